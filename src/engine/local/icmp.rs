//! Answers to single packets: echo replies, ICMP errors (RFC 792, RFC 1812 4.3; RFC 4443), RSTs (RFC 9293, 3.5.2).
//!
//! An answer goes back to the station that the packet came from, from the address that the packet was for. The parser
//! has dropped by then what must not be answered: ICMP errors, fragments, broadcasts, multicasts, impossible sources
//! (RFC 4443, 2.4 (e)); the worker's token buckets limit how many come (2.4 (f)).

use super::Out;
use super::write::{self, Envelope, L2, Tcp};
use crate::addr::{Addr, Be16, Proto};
use crate::conn::tuple::Tuple;
use crate::lcore::Punt;
use crate::snapshot::{Iface, Snapshot};
use crate::verdict::PuntReason;
use crate::wire::tcp::{ACK, FIN, RST, SYN};
use crate::wire::{FromBytes, ethernet, icmp, icmpv6, ipv4, ipv6, tcp, vlan};
use alloc::vec;

struct Packet<'a> {
    iface: &'a Iface,
    back: L2,
    src: Addr,
    dst: Addr,
    tos: u8,
    /// What the layer-4 header is of.
    proto: u8,
    /// From the IP header to the end of the packet, padding left out.
    whole: &'a [u8],
    l4: &'a [u8],
}

fn packet<'a>(snapshot: &'a Snapshot, punt: &Punt, frame: &'a [u8]) -> Option<Packet<'a>> {
    let iface = snapshot.iface(punt.meta.iface)?;
    let (eth, rest) = ethernet::Header::ref_from_prefix(frame).ok()?;
    let rest = if eth.ether_type == ethernet::VLAN { rest.get(vlan::LEN..)? } else { rest };
    let back = L2 { dst: eth.src, src: iface.mac, vlan: iface.vlan };
    if eth.src.is_group() {
        return None;
    }
    if rest.first()? >> 4 == 6 {
        let (ip, payload) = ipv6::Header::ref_from_prefix(rest).ok()?;
        let len = ipv6::LEN + usize::from(ip.payload_len.host());
        let whole = rest.get(..len.min(rest.len()))?;
        let mut headers = ipv6::extensions(ip.next, payload);
        headers.by_ref().for_each(drop);
        let l4 = whole.get(ipv6::LEN + headers.len()..)?;
        let (src, dst, tos) = (ip.src.into(), ip.dst.into(), ip.traffic_class());
        return Some(Packet { iface, back, src, dst, tos, proto: headers.proto(), whole, l4 });
    }
    let (ip, _) = ipv4::Header::ref_from_prefix(rest).ok()?;
    let whole = rest.get(..usize::from(ip.total_len.host()).min(rest.len()))?;
    let l4 = whole.get(ip.header_len()..)?;
    let (src, dst, tos, proto) = (ip.src.into(), ip.dst.into(), ip.tos, ip.proto);
    Some(Packet { iface, back, src, dst, tos, proto, whole, l4 })
}

/// The answer to an echo request.
pub(super) fn echo_reply(snapshot: &Snapshot, punt: &Punt, frame: &[u8]) -> Option<Out> {
    let p = packet(snapshot, punt, frame)?;
    let (request, body) = icmp::Header::ref_from_prefix(p.l4).ok()?;
    let kind = match p.dst {
        Addr::V4(_) => icmp::ECHO_REPLY,
        Addr::V6(_) => icmpv6::ECHO_REPLY,
    };
    Some(p.answer(p.tos, &icmp::Header { kind, code: 0, checksum: Be16::default(), rest: request.rest }, body))
}

/// The ICMP error that a punt calls for.
pub(super) fn error(snapshot: &Snapshot, punt: &Punt, frame: &[u8]) -> Option<Out> {
    let p = packet(snapshot, punt, frame)?;
    let ((v4, v6), mtu) = match punt.reason {
        PuntReason::TtlExceeded => {
            (((icmp::TIME_EXCEEDED, icmp::TTL_EXCEEDED), (icmpv6::TIME_EXCEEDED, icmpv6::HOP_LIMIT_EXCEEDED)), 0)
        }
        PuntReason::FragNeeded => {
            (((icmp::UNREACHABLE, icmp::FRAGMENTATION_NEEDED), (icmpv6::PACKET_TOO_BIG, 0)), punt.meta.mtu)
        }
        PuntReason::NoService | PuntReason::NoServer => {
            (((icmp::UNREACHABLE, icmp::PORT_UNREACHABLE), (icmpv6::UNREACHABLE, icmpv6::PORT_UNREACHABLE)), 0)
        }
        PuntReason::Arp | PuntReason::ArpReply | PuntReason::Ndp | PuntReason::NdpReply | PuntReason::Echo => {
            return None;
        }
    };
    if p.proto == ipv4::TCP && tcp::Header::ref_from_prefix(p.l4).is_ok_and(|(t, _)| t.has(RST)) {
        return None;
    }
    // The MTU takes the last two bytes in ICMP, all four in ICMPv6: never more than 65,535.
    let [high, low] = mtu.to_be_bytes();
    let (kind, code, tos, most) = match p.dst {
        Addr::V4(_) => (v4.0, v4.1, write::TOS_ERROR, icmp::ERROR_LEN),
        Addr::V6(_) => (v6.0, v6.1, 0, icmpv6::ERROR_LEN),
    };
    let quote = p.whole.get(..p.whole.len().min(most - write::ip_len(p.dst.family()) - icmp::LEN))?;
    Some(p.answer(tos, &icmp::Header { kind, code, checksum: Be16::default(), rest: [0, 0, high, low] }, quote))
}

/// The RST for a TCP packet to a port without service; `None` for other protocols, and for a RST.
pub(super) fn reset(snapshot: &Snapshot, punt: &Punt, frame: &[u8]) -> Option<Out> {
    let p = packet(snapshot, punt, frame)?;
    if p.proto != ipv4::TCP {
        return None;
    }
    let (tcp, _, data) = tcp::split(p.l4)?;
    if tcp.has(RST) {
        return None;
    }
    let len = data.len() as u32 + u32::from(tcp.has(SYN)) + u32::from(tcp.has(FIN));
    let what = if tcp.has(ACK) {
        Tcp { seq: tcp.ack.host(), ack: 0, flags: RST }
    } else {
        Tcp { seq: 0, ack: tcp.seq.host().wrapping_add(len), flags: RST | ACK }
    };
    let tuple = Tuple::new(p.src, p.dst, tcp.sport, tcp.dport, Proto::Tcp).reversed();
    let mut frame = vec![0; write::tcp_len(&p.back, tuple.family())];
    write::tcp(&mut frame, &p.back, &tuple, &what);
    Some(Out { port: p.iface.port, frame })
}

impl Packet<'_> {
    fn answer(&self, tos: u8, header: &icmp::Header, body: &[u8]) -> Out {
        let mut frame = vec![0; write::icmp_len(&self.back, self.dst.family(), body.len())];
        let to = Envelope { src: self.dst, dst: self.src, tos, ttl: write::TTL };
        write::icmp(&mut frame, &self.back, &to, header, body);
        Out { port: self.iface.port, frame }
    }
}
