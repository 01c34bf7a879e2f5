//! Writing the frames that we originate: link header, IPv4 or IPv6, TCP, ICMP, ARP, NDP. Full checksums: these packets are ours.

use crate::addr::{Addr, Be16, Be32, Be128, Family, Mac};
use crate::conn::tuple::Tuple;
use crate::wire::{FromBytes, IntoBytes, arp, checksum, ethernet, icmp, ipv4, ipv6, ndp, tcp, vlan};

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
pub fn ipv4(bytes: &mut [u8], src: Be32, dst: Be32, proto: u8, tos: u8, ttl: u8) -> &mut [u8] {
    let total = bytes.len() as u16;
    let Some((header, payload)) = bytes.split_at_mut_checked(ipv4::LEN) else { return &mut [] };
    if let Ok((ip, _)) = ipv4::Header::mut_from_prefix(header) {
        *ip = ipv4::Header {
            ver_ihl: 0x45,
            tos,
            total_len: Be16::new(total),
            id: Be16::new(0),
            frag: Be16::new(ipv4::DF),
            ttl,
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
pub fn ipv6(bytes: &mut [u8], src: Be128, dst: Be128, next: u8, class: u8, hop_limit: u8) -> &mut [u8] {
    let payload_len = Be16::new(bytes.len().saturating_sub(ipv6::LEN) as u16);
    let Ok((ip, payload)) = ipv6::Header::mut_from_prefix(bytes) else { return &mut [] };
    *ip = ipv6::Header { ver_class_flow: ipv6::Header::first_word(class, 0), payload_len, next, hop_limit, src, dst };
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

/// Length of an IP header without options.
pub const fn ip_len(family: Family) -> usize {
    match family {
        Family::V4 => ipv4::LEN,
        Family::V6 => ipv6::LEN,
    }
}

/// Length of a frame with a TCP segment without options and data.
pub const fn tcp_len(l2: &L2, family: Family) -> usize {
    l2.len() + ip_len(family) + tcp::LEN
}

/// Writes such a frame; `bytes` has [`tcp_len`] bytes.
pub fn tcp(bytes: &mut [u8], link: &L2, tuple: &Tuple, what: &Tcp) {
    let segment = match (tuple.src(), tuple.dst()) {
        (Addr::V4(src), Addr::V4(dst)) => ipv4(l2(bytes, link, ethernet::IPV4), src, dst, ipv4::TCP, 0, TTL),
        (Addr::V6(src), Addr::V6(dst)) => ipv6(l2(bytes, link, ethernet::IPV6), src, dst, ipv4::TCP, 0, TTL),
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

/// Length of a frame with an ICMP or ICMPv6 message of `body` bytes behind its header.
pub const fn icmp_len(l2: &L2, family: Family, body: usize) -> usize {
    l2.len() + ip_len(family) + icmp::LEN + body
}

/// What stands before an ICMP or ICMPv6 message.
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
    /// Source.
    pub src: Addr,
    /// Destination.
    pub dst: Addr,
    /// Type of service, or traffic class.
    pub tos: u8,
    /// Hops that it may still make.
    pub ttl: u8,
}

/// Writes such a frame; `bytes` has [`icmp_len`] bytes. The checksum in `header` means nothing.
pub fn icmp(bytes: &mut [u8], link: &L2, to: &Envelope, header: &icmp::Header, body: &[u8]) {
    let ether_type = match to.dst.family() {
        Family::V4 => ethernet::IPV4,
        Family::V6 => ethernet::IPV6,
    };
    let packet = l2(bytes, link, ether_type);
    if let Some(place) = packet.get_mut(ip_len(to.dst.family()) + icmp::LEN..).filter(|p| p.len() == body.len()) {
        place.copy_from_slice(body);
    }
    icmp_packet(packet, to, header);
}

/// Writes the headers of a packet whose ICMP or ICMPv6 message has its body in place, and the checksums.
pub fn icmp_packet(packet: &mut [u8], to: &Envelope, header: &icmp::Header) {
    let message = match (to.src, to.dst) {
        (Addr::V4(src), Addr::V4(dst)) => ipv4(packet, src, dst, ipv4::ICMP, to.tos, to.ttl),
        (Addr::V6(src), Addr::V6(dst)) => ipv6(packet, src, dst, ipv6::ICMPV6, to.tos, to.ttl),
        (Addr::V4(_), Addr::V6(_)) | (Addr::V6(_), Addr::V4(_)) => return,
    };
    if let Some(place) = message.get_mut(..icmp::LEN) {
        place.copy_from_slice(header.as_bytes());
    }
    match to.dst.family() {
        Family::V4 => checksum::icmp_fill(message),
        Family::V6 => checksum::l4_fill(to.src, to.dst, ipv6::ICMPV6, message),
    }
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

/// Length of a frame with neighbour discovery.
pub const fn ndp_len(l2: &L2, option: Option<&ndp::LinkOption>) -> usize {
    l2.len() + ipv6::LEN + ndp::LEN + if option.is_some() { ndp::LINK_OPTION_LEN } else { 0 }
}

/// Writes such a frame; `bytes` has [`ndp_len`] bytes.
pub fn ndp(
    bytes: &mut [u8],
    link: &L2,
    src: Be128,
    dst: Be128,
    message: &ndp::Message,
    option: Option<&ndp::LinkOption>,
) {
    let payload = ipv6(l2(bytes, link, ethernet::IPV6), src, dst, ipv6::ICMPV6, 0, ndp::HOP_LIMIT);
    if let Some((to, options)) = payload.split_at_mut_checked(ndp::LEN) {
        to.copy_from_slice(message.as_bytes());
        if let (Some(option), Some(to)) = (option, options.get_mut(..ndp::LINK_OPTION_LEN)) {
            to.copy_from_slice(option.as_bytes());
        }
    }
    checksum::l4_fill(src, dst, ipv6::ICMPV6, payload);
}
