//! One description, several worlds: what a script and its configuration say in IPv4 is said again with clients over IPv6,
//! and with servers over IPv6 or IPv4.
//!
//! | in the description | with IPv6 |
//! |---|---|
//! | 198.18.1.7, of the clients' side | 2001:db8:1::7 |
//! | 198.18.2.11, of the servers' side | 2001:db8:2::11; behind NAT64 it stays |
//! | 192.0.2.7, 203.0.113.7: far away | 2001:db8:192::7, 2001:db8:113::7 |
//! | 0.0.0.0, 255.255.255.255 | ::, ff02::1 |
//!
//! An address that is put into a world twice is the same as if it were put there once.

use gatun_engine::addr::{Addr, Mac};
use gatun_engine::testkit::Packet;
use gatun_engine::testkit::lab::mac_of;
use std::net::{IpAddr, Ipv4Addr};

/// Who speaks what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum World {
    /// The description itself: IPv4 on both sides.
    V4,
    /// IPv6 on both sides.
    V6,
    /// Clients over IPv6, servers over IPv4.
    Nat64,
}

/// Of no other world: what it shows is only of IPv4, or has its like in a case of its own.
pub(crate) const ALONE: &[World] = &[];
/// Has a twin with IPv6 on both sides.
pub(crate) const V6: &[World] = &[World::V6];
/// Has a twin of either kind.
pub(crate) const BOTH: &[World] = &[World::V6, World::Nat64];

/// ICMP and ICMPv6 errors that mean the same (RFC 7915, 4.2 and 5.2).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Host,
    Port,
    TooBig(u16),
    Prohibited,
    Exceeded,
    Parameter,
}

impl World {
    /// What the name of a twin ends with.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            World::V4 => "",
            World::V6 => "-ipv6",
            World::Nat64 => "-nat64",
        }
    }

    /// A text with every IPv4 address in it put into this world, and with its port or its prefix length.
    pub(crate) fn text(self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
            // Not in the middle of a word or of an IPv6 address.
            let inside = rest[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == ':');
            let (before, from) = rest.split_at(at);
            let end = from.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(from.len());
            let (word, after) = from.split_at(end);
            out += before;
            match word.parse::<Ipv4Addr>() {
                Ok(addr) if !inside => rest = self.address(addr, after, &mut out),
                _ => {
                    out += word;
                    rest = after;
                }
            }
        }
        out + rest
    }

    /// Says an address with what belongs to it in the text behind it; gives what is behind that.
    fn address<'a>(self, addr: Ipv4Addr, after: &'a str, out: &mut String) -> &'a str {
        let stays = match (self, addr.octets()) {
            (World::V4, _) => true,
            (World::V6, _) => false,
            (World::Nat64, [198, 18, net, _]) => net > 1,
            (World::Nat64, _) => false,
        };
        if stays {
            *out += &addr.to_string();
            return after;
        }
        let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let address = match addr.octets() {
            [0, 0, 0, 0] => "::".to_owned(),
            [255, 255, 255, 255] => "ff02::1".to_owned(),
            [198, 18, net, 0] | [203, 0, net, 0] => format!("2001:db8:{net}::"),
            [198, 18, net, host] | [203, 0, net, host] => format!("2001:db8:{net}::{host}"),
            [192, 0, 2, host] => format!("2001:db8:192::{host}"),
            _ => panic!("{addr} has no like in IPv6"),
        };
        if let Some(port) = after.strip_prefix(':').filter(|p| digits(p) > 0) {
            let (port, after) = port.split_at(digits(port));
            *out += &format!("[{address}]:{port}");
            return after;
        }
        *out += &address;
        if let Some(len) = after.strip_prefix('/') {
            let (len, after) = len.split_at(digits(len));
            *out += if len == "0" { "/0" } else { "/64" };
            return after;
        }
        after
    }

    pub(crate) fn addr(self, addr: &str) -> IpAddr {
        self.text(addr).parse().unwrap()
    }

    /// The MAC address of a neighbour.
    pub(crate) fn mac(self, addr: &str) -> Mac {
        mac_of(Addr::from(self.addr(addr)))
    }

    /// Bytes of the IP header that an address's packets have.
    pub(crate) fn header(self, of: &str) -> usize {
        if self.addr(of).is_ipv4() { 20 } else { 40 }
    }

    /// They speak the same.
    pub(crate) fn reach(self, from: &str, to: &str) -> bool {
        self.addr(from).is_ipv4() == self.addr(to).is_ipv4()
    }

    pub(crate) fn tcp(self, src: &str, dst: &str) -> Packet {
        Packet::tcp(&self.text(src), &self.text(dst))
    }

    pub(crate) fn udp(self, src: &str, dst: &str) -> Packet {
        Packet::udp(&self.text(src), &self.text(dst))
    }

    pub(crate) fn echo(self, src: &str, dst: &str, id: u16, seq: u16) -> Packet {
        Packet::icmp_echo(&self.text(src), &self.text(dst), id, seq)
    }

    pub(crate) fn echo_reply(self, src: &str, dst: &str, id: u16, seq: u16) -> Packet {
        Packet::icmp_echo_reply(&self.text(src), &self.text(dst), id, seq)
    }

    pub(crate) fn icmp(self, src: &str, dst: &str, kind: u8, code: u8) -> Packet {
        Packet::icmp(&self.text(src), &self.text(dst), kind, code, [0; 4])
    }

    pub(crate) fn ip(self, src: &str, dst: &str, proto: u8) -> Packet {
        Packet::ip(&self.text(src), &self.text(dst), proto)
    }

    /// `src` tells `dst` about a quoted packet.
    pub(crate) fn error(self, src: &str, dst: &str, fault: Fault, quoted: &[u8]) -> Packet {
        let v4 = self.addr(dst).is_ipv4();
        let ((kind, code), mtu) = match fault {
            Fault::Host => (if v4 { (3, 1) } else { (1, 3) }, 0),
            Fault::Port => (if v4 { (3, 3) } else { (1, 4) }, 0),
            Fault::TooBig(mtu) => (if v4 { (3, 4) } else { (2, 0) }, mtu),
            Fault::Prohibited => (if v4 { (3, 13) } else { (1, 1) }, 0),
            Fault::Exceeded => (if v4 { (11, 0) } else { (3, 0) }, 0),
            Fault::Parameter => (if v4 { (12, 0) } else { (4, 0) }, 0),
        };
        Packet::icmp_error(&self.text(src), &self.text(dst), kind, code, mtu, quoted)
    }

    /// `tell`, at `mac`, asks its link who has an address.
    pub(crate) fn asks(self, mac: Mac, tell: &str, who_has: &str) -> Packet {
        let (tell, who_has) = (self.text(tell), self.text(who_has));
        let v4 = who_has.parse::<Ipv4Addr>().is_ok();
        if v4 { Packet::arp_request(mac, &tell, &who_has) } else { Packet::ndp_solicit(mac, &tell, &who_has) }
    }

    /// `ip` is at `mac`: said to who asked.
    pub(crate) fn answers(self, mac: Mac, ip: &str, to_mac: Mac, to_ip: &str) -> Packet {
        let (ip, to_ip) = (self.text(ip), self.text(to_ip));
        let v4 = ip.parse::<Ipv4Addr>().is_ok();
        if v4 { Packet::arp_reply(mac, &ip, to_mac, &to_ip) } else { Packet::ndp_advertise(mac, &ip, to_mac, &to_ip) }
    }

    /// `ip` is at `mac`: said to all.
    pub(crate) fn announces(self, mac: Mac, ip: &str) -> Packet {
        let ip = self.text(ip);
        let v4 = ip.parse::<Ipv4Addr>().is_ok();
        if v4 { Packet::arp_gratuitous(mac, &ip) } else { Packet::ndp_announce(mac, &ip) }
    }
}

/// The `case.toml` of a twin.
pub(crate) fn case(name: &str, text: &str, world: World) -> String {
    let (_, rest) = text.split_once("shows = \"\"\"").and_then(|(_, rest)| rest.split_once("\"\"\"")).unwrap();
    let who = match world {
        World::V4 => panic!("{name} is no twin"),
        World::V6 => "IPv6 on both sides",
        World::Nat64 => "clients over IPv6 and servers over IPv4",
    };
    let rest = world.text(rest).replace(".toml\"", &format!("{}.toml\"", world.suffix()));
    format!("# Written by tests/cases, from that of {name}.\nshows = \"As {name}, with {who}.\"{rest}")
}

#[test]
fn addresses_are_put_into_a_world_with_their_ports_and_prefixes_and_nothing_else_is() {
    let text =
        "addresses = [\"198.18.1.254/24\"] # 1_024, 02:00:c6:12:02:0b; 198.18.2.11:80, 0.0.0.0/0 by 198.18.1.253, 1.5";
    assert_eq!(World::V4.text(text), text);
    let v6 = "addresses = [\"2001:db8:1::254/64\"] # 1_024, 02:00:c6:12:02:0b; [2001:db8:2::11]:80, ::/0 by 2001:db8:1::253, 1.5";
    assert_eq!(World::V6.text(text), v6);
    assert_eq!(World::V6.text(v6), v6);
    let nat64 =
        "addresses = [\"2001:db8:1::254/64\"] # 1_024, 02:00:c6:12:02:0b; 198.18.2.11:80, ::/0 by 2001:db8:1::253, 1.5";
    assert_eq!((World::Nat64.text(text), World::Nat64.text(nat64)), (nat64.to_owned(), nat64.to_owned()));
    assert_eq!(World::V6.text("203.0.113.0/24 198.18.64.11:80"), "2001:db8:113::/64 [2001:db8:64::11]:80");
}
