//! ARP for IPv4 over Ethernet (RFC 826).

use crate::addr::{Be16, Be32, Mac};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of the packet.
pub const LEN: usize = 28;

/// Who has the target's protocol address?
pub const REQUEST: Be16 = Be16::new(1);
/// The sender has it.
pub const REPLY: Be16 = Be16::new(2);

/// An ARP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Packet {
    /// Hardware type: 1 for Ethernet.
    pub htype: Be16,
    /// Protocol type: 0x0800 for IPv4.
    pub ptype: Be16,
    /// Bytes of a hardware address: 6.
    pub hlen: u8,
    /// Bytes of a protocol address: 4.
    pub plen: u8,
    /// [`REQUEST`] or [`REPLY`].
    pub op: Be16,
    /// The sender's MAC address.
    pub sender_mac: Mac,
    /// The sender's IPv4 address; 0 in a probe (RFC 5227, 1.1).
    pub sender_ip: Be32,
    /// The target's MAC address; of no meaning in a request.
    pub target_mac: Mac,
    /// The target's IPv4 address.
    pub target_ip: Be32,
}

const _: () = assert!(size_of::<Packet>() == LEN);

impl Packet {
    /// A packet for IPv4 over Ethernet.
    pub const fn new(op: Be16, sender_mac: Mac, sender_ip: Be32, target_mac: Mac, target_ip: Be32) -> Packet {
        let (htype, ptype) = (Be16::new(1), super::ethernet::IPV4);
        Packet { htype, ptype, hlen: 6, plen: 4, op, sender_mac, sender_ip, target_mac, target_ip }
    }

    /// True when the types and lengths are those of IPv4 over Ethernet; otherwise the addresses are not where they seem.
    #[inline]
    pub fn is_ipv4_over_ethernet(&self) -> bool {
        self.htype == Be16::new(1) && self.ptype == super::ethernet::IPV4 && self.hlen == 6 && self.plen == 4
    }

    /// True when it announces the sender's own address (RFC 5227, 3).
    #[inline]
    pub fn is_gratuitous(&self) -> bool {
        self.sender_ip == self.target_ip
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    #[test]
    fn a_reply_is_laid_out_as_rfc_826_says() {
        let ip = |n| Be32::from(Ipv4Addr::new(192, 0, 2, n));
        let packet = Packet::new(REPLY, Mac([2; 6]), ip(1), Mac([4; 6]), ip(9));
        let bytes = [0, 1, 8, 0, 6, 4, 0, 2, 2, 2, 2, 2, 2, 2, 192, 0, 2, 1, 4, 4, 4, 4, 4, 4, 192, 0, 2, 9];
        assert_eq!(packet.as_bytes(), bytes);
        assert!(packet.is_ipv4_over_ethernet() && !packet.is_gratuitous());
    }
}
