//! Connections whose client comes over IPv6: the headers that their packets leave with, and their short way.
//!
//! 6 to 6: addresses and hop limit change; traffic class, flow label and extension headers go on as they are (RFC 6437, 3:
//! whoever forwards does not touch a label). 6 to 4 and back: the IP header is another one (RFC 7915, 4.1 and 5.1), the rest
//! of the packet stays where it is, and the front of the frame moves. Extension headers and IPv4 options are left out: none
//! has a counterpart. One hop is counted, not two. The checksum of TCP or UDP changes by the connection's difference, in which
//! the two pseudo-headers are. A SYN keeps its MSS, unless the service clamps it: what either side offers fits its own link, and
//! a packet that grows by the 20 bytes between the headers does so towards the client, which offered 20 bytes less.

use super::parse::Head;
use crate::addr::{Be16, Be128, ConnId, Dir, Family, PortId};
use crate::conn::key::Key;
use crate::conn::state::State;
use crate::conn::tuple::Tuple;
use crate::conn::{Conn, Conns, Wide, flags};
use crate::frame::{Buffer, Frame};
use crate::mem::Memory;
use crate::shard::{Shard, Tables};
use crate::time::Tick;
use crate::wire::{FromBytes, IntoBytes, checksum, ethernet, ipv4, ipv6, tcp, udp};
use zerocopy::{Immutable, KnownLayout, Unaligned};

/// The largest IPv4 packet that another router may cut although it was an IPv6 packet: one of 1280 bytes (RFC 7915, 5.1).
pub(super) const MAY_CUT: u16 = ipv6::MIN_MTU - (ipv6::LEN - ipv4::LEN) as u16;

/// The length of a packet once it leaves in a family: its own, unless that changes.
#[inline(always)]
pub(super) fn len_as(head: &Head, family: Family) -> u16 {
    let l4_len = head.ip_len - u16::from(head.ihl);
    match (head.key.family(), family) {
        (Family::V4, Family::V4) | (Family::V6, Family::V6) => head.ip_len,
        (Family::V6, Family::V4) => l4_len + ipv4::LEN as u16,
        (Family::V4, Family::V6) => l4_len.saturating_add(ipv6::LEN as u16),
    }
}

/// Gives a packet the IP header that it leaves with, and says where everything is then. `None`, with nothing changed, when the
/// buffer has no room before the frame.
#[inline(always)]
fn readdress(conn: &Conn, wide: &mut Wide, dir: Dir, frame: &mut Frame<'_>, head: &Head) -> Option<Head> {
    let new = conn.rewritten(dir);
    let (dst, src) = wide.addrs(dir.other());
    let ip_len = len_as(head, new.family());
    let packet = frame.bytes_mut().get_mut(usize::from(head.l3)..)?;
    match (head.key.family(), new.family()) {
        (Family::V6, Family::V6) => {
            let (ip, _) = ipv6::Header::mut_from_prefix(packet).ok()?;
            (ip.src, ip.dst) = (src, dst);
            ip.hop_limit = ip.hop_limit.wrapping_sub(1);
            Some(*head)
        }
        (Family::V6, Family::V4) => {
            let (ip, rest) = ipv6::Header::read_from_prefix(packet).ok()?;
            let atomic = if usize::from(head.ihl) == ipv6::LEN { None } else { atomic_id(&ip, rest) };
            let (place, after) = swap::<ipv4::Header>(frame, head, ip_len)?;
            let frag = if ip_len > MAY_CUT && atomic.is_none() { ipv4::DF } else { 0 };
            *place = as_ipv4(&ip, &new, ip_len, atomic.unwrap_or_else(|| wide.next_id()), frag);
            Some(after)
        }
        (Family::V4, Family::V6) => {
            let (ip, _) = ipv4::Header::read_from_prefix(packet).ok()?;
            let (place, after) = swap::<ipv6::Header>(frame, head, ip_len)?;
            *place = as_ipv6(&ip, (src, dst), ip_len);
            Some(after)
        }
        (Family::V4, Family::V4) => None,
    }
}

/// As [`readdress`], for the whole way.
pub(super) fn headers<M: Memory>(
    shard: &mut Shard<M>,
    id: ConnId,
    dir: Dir,
    frame: &mut Frame<'_>,
    head: &Head,
) -> Option<Head> {
    let conn = *shard.conns.conn(id);
    readdress(&conn, shard.conns.wide_mut(id)?, dir, frame, head)
}

/// Makes room for another IP header that ends where the old one did.
#[inline(always)]
fn swap<'a, H: FromBytes + IntoBytes + KnownLayout + Immutable + Unaligned>(
    frame: &'a mut Frame<'_>,
    head: &Head,
    ip_len: u16,
) -> Option<(&'a mut H, Head)> {
    let ihl = size_of::<H>() as u8;
    if !frame.move_head(i16::from(head.ihl) - i16::from(ihl)) {
        return None;
    }
    let (place, _) = H::mut_from_prefix(frame.bytes_mut().get_mut(usize::from(head.l3)..)?).ok()?;
    Some((place, Head { ihl, ip_len, ..*head }))
}

/// The identification of a whole packet with a fragment header (RFC 7915, 5.1.1): its low 16 bits.
fn atomic_id(ip: &ipv6::Header, rest: &[u8]) -> Option<Be16> {
    let fragment = ipv6::extensions(ip.next, rest).find(|ext| ext.kind == ipv6::FRAGMENT)?;
    let (fragment, _) = ipv6::Fragment::ref_from_prefix(fragment.bytes).ok()?;
    Some(Be16::new(fragment.id.host() as u16))
}

/// RFC 7915, 5.1.
#[inline(always)]
fn as_ipv4(ip: &ipv6::Header, new: &Key, ip_len: u16, id: Be16, frag: u16) -> ipv4::Header {
    let mut header = ipv4::Header {
        ver_ihl: 0x45,
        tos: ip.traffic_class(),
        total_len: Be16::new(ip_len),
        id,
        frag: Be16::new(frag),
        ttl: ip.hop_limit.wrapping_sub(1),
        proto: new.proto() as u8,
        checksum: Be16::default(),
        src: new.src(),
        dst: new.dst(),
    };
    checksum::ipv4_header_fill(header.as_mut_bytes());
    header
}

/// RFC 7915, 4.1.
#[inline(always)]
fn as_ipv6(ip: &ipv4::Header, (src, dst): (Be128, Be128), ip_len: u16) -> ipv6::Header {
    ipv6::Header {
        ver_class_flow: ipv6::Header::first_word(ip.tos, 0),
        payload_len: Be16::new(ip_len - ipv6::LEN as u16),
        next: ip.proto,
        hop_limit: ip.ttl.wrapping_sub(1),
        src,
        dst,
    }
}

/// The checksum of a UDP datagram from an IPv4 server that has none; over IPv6 it must have one (RFC 7915, 4.5). `l4` begins with
/// it. False when it does not lie in one segment.
#[cold]
pub(super) fn sum_up(new: &Tuple, l4: &mut [u8]) -> bool {
    let len = udp::Header::ref_from_prefix(l4).map_or(0, |(udp, _)| usize::from(udp.len.host()));
    let datagram = l4.get_mut(..len).filter(|d| d.len() >= udp::LEN);
    datagram.is_some_and(|datagram| {
        checksum::l4_fill(new.src(), new.dst(), new.proto() as u8, datagram);
        true
    })
}

/// The short way, as [`super::hit`] is for IPv4: forwards a packet and gives the port by which it leaves, or does nothing.
#[inline(never)]
pub fn hit<M: Memory, B: Buffer>(
    tables: &Tables<'_>,
    conns: &mut Conns<M>,
    now: Tick,
    buf: &mut B,
    head: &Head,
) -> Option<PortId> {
    let (conn, wide, dir) = conns.confirm_wide(head.candidate, &head.key)?;
    if conn.state() as u8 != head.keeps || conn.has(flags::EXT) {
        return None;
    }
    let hop = tables.hops.hop(conn.next_hops[dir as usize]);
    let egress = tables.egresses.towards(hop);
    let stats = tables.present(conn.real)?;
    let new = conn.rewritten(dir);
    if len_as(head, new.family()) > egress.mtu || head.ttl <= 1 || !tables.is_fresh(conn, now) {
        return None;
    }
    let tcp = head.keeps != State::Udp as u8;
    let mut frame = buf.frame();
    let (start, had) = (frame.head, frame.len);
    let packet = frame.bytes().get(ethernet::LEN..)?;
    match head.key.family() {
        Family::V6 => {
            // The key has but a digest of them.
            let (ip, _) = ipv6::Header::ref_from_prefix(packet).ok()?;
            if (ip.src, ip.dst) != wide.addrs(dir) {
                return None;
            }
        }
        Family::V4 => {
            let (ip, l4) = ipv4::Header::ref_from_prefix(packet).ok()?;
            let unsummed = !tcp && udp::Header::ref_from_prefix(l4).is_ok_and(|(udp, _)| udp.checksum.raw() == 0);
            if unsummed || !ip.dont_fragment() && len_as(head, new.family()) > ipv6::MIN_MTU {
                return None;
            }
        }
    }
    let after = readdress(conn, wide, dir, &mut frame, head)?;
    let (l2, packet) = frame.bytes_mut().split_at_mut_checked(ethernet::LEN)?;
    let l4 = packet.get_mut(usize::from(after.ihl)..)?;
    if tcp {
        let (tcp, _) = tcp::Header::mut_from_prefix(l4).ok()?;
        (tcp.sport, tcp.dport) = (new.sport(), new.dport());
        checksum::apply(&mut tcp.checksum, conn.l4_delta.toward(dir));
    } else {
        let (udp, _) = udp::Header::mut_from_prefix(l4).ok()?;
        (udp.sport, udp.dport) = (new.sport(), new.dport());
        checksum::apply_udp(&mut udp.checksum, conn.l4_delta.toward(dir));
    }
    let (eth, _) = ethernet::Header::mut_from_prefix(l2).ok()?;
    let ether_type = match new.family() {
        Family::V4 => ethernet::IPV4,
        Family::V6 => ethernet::IPV6,
    };
    eth.set_link(egress.link(hop));
    eth.ether_type = ether_type;
    // Padding ends here, as in `output::send`.
    let (begin, len) = (frame.head, ethernet::LEN as u16 + after.ip_len);
    if (begin, len) != (start, had) {
        buf.commit(begin, len);
    }
    conn.last_seen = now;
    stats.packet(dir, head.ip_len);
    Some(egress.port)
}
