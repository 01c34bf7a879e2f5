//! Writing the frames that we originate: link header, IPv4 or IPv6, TCP, ICMP, ARP. Full checksums: these packets are ours.

use crate::addr::{Addr, Be16, Be32, Be128, Family, Mac};
use crate::conn::tuple::Tuple;
use crate::wire::{FromBytes, IntoBytes, arp, checksum, ethernet, icmp, ipv4, ipv6, tcp, vlan};

/// TTL of what we originate (RFC 1700: the recommended default).
pub const TTL: u8 = 64;
/// Type of service of ICMP errors (RFC 1812, 4.3.2.5: precedence 6 or 7).
pub const TOS_ERROR: u8 = 0xc0;

/// A link header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L2 {
    /// Destination.
    pub dst: Mac,
    /// Source.
    pub src: Mac,
    /// 0 for untagged.
    pub vlan: u16,
}

impl L2 {
    /// Its length in bytes.
    #[inline(always)]
    pub const fn len(&self) -> usize {
        if self.vlan == 0 { ethernet::LEN } else { ethernet::LEN + vlan::LEN }
    }
    /// Never.
    pub const fn is_empty(&self) -> bool {
        false
    }
}

/// Writes a link header and gives the bytes behind it; nothing when the buffer is too short.
#[inline(always)]
pub fn l2<'a>(bytes: &'a mut [u8], l2: &L2, ether_type: Be16) -> &'a mut [u8] {
    let Ok((eth, rest)) = ethernet::Header::mut_from_prefix(bytes) else { return &mut [] };
    (eth.dst, eth.src) = (l2.dst, l2.src);
    if l2.vlan == 0 {
        eth.ether_type = ether_type;
        return rest;
    }
    eth.ether_type = ethernet::VLAN;
    let Ok((tag, rest)) = vlan::Tag::mut_from_prefix(rest) else { return &mut [] };
    (tag.tci, tag.ether_type) = (Be16::new(l2.vlan), ether_type);
    rest
}

/// Writes an IPv4 header without options, for a payload that fills `bytes`, and gives the payload's bytes.
pub fn ipv4(bytes: &mut [u8], src: Be32, dst: Be32, proto: u8, tos: u8) -> &mut [u8] {
    let total = bytes.len() as u16;
    let Some((header, payload)) = bytes.split_at_mut_checked(ipv4::LEN) else { return &mut [] };
    if let Ok((ip, _)) = ipv4::Header::mut_from_prefix(header) {
        *ip = ipv4::Header {
            ver_ihl: 0x45,
            tos,
            total_len: Be16::new(total),
            id: Be16::new(0),
            frag: Be16::new(ipv4::DF),
            ttl: TTL,
            proto,
            checksum: Be16::new(0),
            src,
            dst,
        };
    }
    checksum::ipv4_header_fill(header);
    payload
}

/// Writes an IPv6 header for a payload that fills `bytes`, and gives the payload's bytes.
pub fn ipv6(bytes: &mut [u8], src: Be128, dst: Be128, next: u8, hop_limit: u8) -> &mut [u8] {
    let payload_len = Be16::new(bytes.len().saturating_sub(ipv6::LEN) as u16);
    let Ok((ip, payload)) = ipv6::Header::mut_from_prefix(bytes) else { return &mut [] };
    *ip = ipv6::Header { ver_class_flow: ipv6::Header::first_word(0, 0), payload_len, next, hop_limit, src, dst };
    payload
}

/// What is said in a TCP segment without data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement; only with its flag.
    pub ack: u32,
    /// Flags.
    pub flags: u8,
}

/// Length of a frame with a TCP segment without options and data.
pub const fn tcp_len(l2: &L2, family: Family) -> usize {
    let ip = match family {
        Family::V4 => ipv4::LEN,
        Family::V6 => ipv6::LEN,
    };
    l2.len() + ip + tcp::LEN
}

/// Writes such a frame; `bytes` has [`tcp_len`] bytes.
pub fn tcp(bytes: &mut [u8], link: &L2, tuple: &Tuple, what: &Tcp) {
    let segment = match (tuple.src(), tuple.dst()) {
        (Addr::V4(src), Addr::V4(dst)) => ipv4(l2(bytes, link, ethernet::IPV4), src, dst, ipv4::TCP, 0),
        (Addr::V6(src), Addr::V6(dst)) => ipv6(l2(bytes, link, ethernet::IPV6), src, dst, ipv4::TCP, TTL),
        (Addr::V4(_), Addr::V6(_)) | (Addr::V6(_), Addr::V4(_)) => return,
    };
    if let Ok((tcp, _)) = tcp::Header::mut_from_prefix(segment) {
        *tcp = tcp::Header {
            sport: tuple.sport(),
            dport: tuple.dport(),
            seq: Be32::new(what.seq),
            ack: Be32::new(what.ack),
            offset: (tcp::LEN as u8 / 4) << 4,
            flags: what.flags,
            window: Be16::new(0),
            checksum: Be16::new(0),
            urgent: Be16::new(0),
        };
    }
    checksum::l4_fill(tuple.src(), tuple.dst(), ipv4::TCP, segment);
}

/// Length of a frame with an ICMP message of `body` bytes behind its header.
pub const fn icmp_len(l2: &L2, body: usize) -> usize {
    l2.len() + ipv4::LEN + icmp::LEN + body
}

/// An ICMP message.
#[derive(Clone, Copy, Debug)]
pub struct Icmp<'a> {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The second word of the header: identifier and sequence number, or unused and MTU.
    pub rest: [u8; 4],
    /// What follows the header.
    pub body: &'a [u8],
}

/// Writes such a frame; `bytes` has [`icmp_len`] bytes.
pub fn icmp(bytes: &mut [u8], link: &L2, src: Be32, dst: Be32, tos: u8, what: &Icmp<'_>) {
    let packet = l2(bytes, link, ethernet::IPV4);
    let message = ipv4(packet, src, dst, ipv4::ICMP, tos);
    if let Ok((header, body)) = icmp::Header::mut_from_prefix(message) {
        *header = icmp::Header { kind: what.kind, code: what.code, checksum: Be16::new(0), rest: what.rest };
        if body.len() == what.body.len() {
            body.copy_from_slice(what.body);
        }
    }
    checksum::icmp_fill(message);
}

/// Length of a frame with ARP.
pub const fn arp_len(l2: &L2) -> usize {
    l2.len() + arp::LEN
}

/// Writes such a frame; `bytes` has [`arp_len`] bytes.
pub fn arp(bytes: &mut [u8], link: &L2, packet: &arp::Packet) {
    let rest = l2(bytes, link, ethernet::ARP);
    if let Some(to) = rest.get_mut(..arp::LEN) {
        to.copy_from_slice(packet.as_bytes());
    }
}
