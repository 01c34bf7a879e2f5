//! Neighbour discovery (RFC 4861, 4): solicitations and advertisements.

use super::{Body, Packet, ToMac, address};
use crate::addr::{Addr, Mac};

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// The option with the sender's link-layer address, and that with the target's.
const SOURCE: u8 = 1;
const TARGET: u8 = 2;
/// Bytes of the target address, which the options follow.
const TARGET_LEN: usize = 16;

impl Packet {
    /// `tell`, at `mac`, asks the solicited-node group who has `who_has`. From `"::"` it is a probe for duplicate
    /// addresses (RFC 4862, 5.4.2), without the sender's MAC address.
    pub fn ndp_solicit(mac: impl ToMac, tell: &str, who_has: &str) -> Packet {
        let mac = mac.to_mac();
        let group = group(who_has);
        let options = if tell == "::" { Vec::new() } else { option(SOURCE, mac) };
        let packet = Packet::ndp(SOLICITATION, tell, &group.to_string(), who_has, &options);
        packet.macs(mac, multicast(group))
    }

    /// `ip` is at `mac`: said to `to_ip` at `to_mac`, who asked (S), and to be believed (O).
    pub fn ndp_advertise(mac: impl ToMac, ip: &str, to_mac: impl ToMac, to_ip: &str) -> Packet {
        let (mac, to_mac) = (mac.to_mac(), to_mac.to_mac());
        Packet::ndp(ADVERTISEMENT, ip, to_ip, ip, &option(TARGET, mac)).ndp_flags("SO").macs(mac, to_mac)
    }

    /// `ip` is at `mac`: said to all nodes unasked (RFC 4861, 7.2.6), and to be believed (O).
    pub fn ndp_announce(mac: impl ToMac, ip: &str) -> Packet {
        let (mac, all) = (mac.to_mac(), "ff02::1");
        let packet = Packet::ndp(ADVERTISEMENT, ip, all, ip, &option(TARGET, mac));
        packet.ndp_flags("O").macs(mac, multicast(address(all)))
    }

    fn ndp(kind: u8, src: &str, dst: &str, target: &str, options: &[u8]) -> Packet {
        let target = address(target).v6().map(|a| a.bytes()).unwrap_or_default();
        Packet::icmp(src, dst, kind, 0, [0; 4]).ttl(255).payload(&[&target, options].concat())
    }

    /// The flags of an advertisement: R(outer), S(olicited), O(verride).
    ///
    /// # Panics
    /// On any other letter.
    pub fn ndp_flags(mut self, letters: &str) -> Packet {
        if let Body::Icmp { rest, .. } = &mut self.body {
            rest[0] = letters.chars().fold(0, |flags, letter| flags | flag(letter));
        }
        self
    }

    /// Any bytes for the options that follow the target.
    pub fn ndp_options(mut self, bytes: &[u8]) -> Packet {
        self.payload.truncate(TARGET_LEN);
        self.payload.extend(bytes);
        self
    }
}

fn flag(letter: char) -> u8 {
    match letter {
        'R' => 0x80,
        'S' => 0x40,
        'O' => 0x20,
        _ => panic!("not a flag of an advertisement: {letter:?}"),
    }
}

/// A link-layer address option (RFC 4861, 4.6.1).
fn option(kind: u8, mac: Mac) -> Vec<u8> {
    [&[kind, 1], &mac.0[..]].concat()
}

/// The solicited-node group of an address (RFC 4291, 2.7.1).
fn group(of: &str) -> Addr {
    let Addr::V6(of) = address(of) else { panic!("not an IPv6 address: {of:?}") };
    let [.., a, b, c] = of.bytes();
    core::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c])).into()
}

/// The MAC address of a group (RFC 2464, 7).
fn multicast(group: Addr) -> Mac {
    match group {
        Addr::V4(_) => Mac::BROADCAST,
        Addr::V6(group) => {
            let [.., a, b, c, d] = group.bytes();
            Mac([0x33, 0x33, a, b, c, d])
        }
    }
}
