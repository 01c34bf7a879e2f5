//! Answers to single packets: echo replies, ICMP errors (RFC 792, RFC 1812 4.3), RSTs (RFC 9293, 3.5.2).
//!
//! An answer goes back to the station that the packet came from, from the address that the packet was for. The parser
//! has dropped by then what must not be answered: ICMP errors, fragments, broadcasts, impossible sources.

use super::Out;
use super::write::{self, Icmp, L2, Tcp};
use crate::addr::Proto;
use crate::conn::tuple::Tuple;
use crate::lcore::Punt;
use crate::snapshot::{Iface, Snapshot};
use crate::verdict::PuntReason;
use crate::wire::tcp::{ACK, FIN, RST, SYN};
use crate::wire::{FromBytes, ethernet, icmp, ipv4, tcp, vlan};
use alloc::vec;

/// Bytes of an ICMP error with its IP header, at most (RFC 1812, 4.3.2.3).
const ERROR_LEN: usize = 576;

struct Packet<'a> {
    iface: &'a Iface,
    back: L2,
    ip: &'a ipv4::Header,
    /// From the IP header to the end of the packet, padding left out.
    whole: &'a [u8],
    l4: &'a [u8],
}

fn packet<'a>(snapshot: &'a Snapshot, punt: &Punt, frame: &'a [u8]) -> Option<Packet<'a>> {
    let iface = snapshot.iface(punt.meta.iface)?;
    let (eth, rest) = ethernet::Header::ref_from_prefix(frame).ok()?;
    let rest = if eth.ether_type == ethernet::VLAN { rest.get(vlan::LEN..)? } else { rest };
    let (ip, _) = ipv4::Header::ref_from_prefix(rest).ok()?;
    let whole = rest.get(..usize::from(ip.total_len.host()).min(rest.len()))?;
    let l4 = whole.get(ip.header_len()..)?;
    let back = L2 { dst: eth.src, src: iface.mac, vlan: iface.vlan };
    (!eth.src.is_group()).then_some(Packet { iface, back, ip, whole, l4 })
}

/// The answer to an echo request.
pub(super) fn echo_reply(snapshot: &Snapshot, punt: &Punt, frame: &[u8]) -> Option<Out> {
    let p = packet(snapshot, punt, frame)?;
    let (request, body) = icmp::Header::ref_from_prefix(p.l4).ok()?;
    let reply = Icmp { kind: icmp::ECHO_REPLY, code: 0, rest: request.rest, body };
    Some(p.answer(p.ip.tos, &reply))
}

/// The ICMP error that a punt calls for.
pub(super) fn error(snapshot: &Snapshot, punt: &Punt, frame: &[u8]) -> Option<Out> {
    let p = packet(snapshot, punt, frame)?;
    let (kind, code, mtu) = match punt.reason {
        PuntReason::TtlExceeded => (icmp::TIME_EXCEEDED, icmp::TTL_EXCEEDED, 0),
        PuntReason::FragNeeded => (icmp::UNREACHABLE, icmp::FRAGMENTATION_NEEDED, punt.meta.mtu),
        PuntReason::NoService | PuntReason::NoServer => (icmp::UNREACHABLE, icmp::PORT_UNREACHABLE, 0),
        PuntReason::Arp | PuntReason::ArpReply | PuntReason::Ndp | PuntReason::NdpReply | PuntReason::Echo => {
            return None;
        }
    };
    if p.ip.proto == ipv4::TCP && tcp::Header::ref_from_prefix(p.l4).is_ok_and(|(t, _)| t.has(RST)) {
        return None;
    }
    let [high, low] = mtu.to_be_bytes();
    let quote = p.whole.get(..p.whole.len().min(ERROR_LEN - ipv4::LEN - icmp::LEN))?;
    Some(p.answer(write::TOS_ERROR, &Icmp { kind, code, rest: [0, 0, high, low], body: quote }))
}

/// The RST for a TCP packet to a port without service; `None` for other protocols, and for a RST.
pub(super) fn reset(snapshot: &Snapshot, punt: &Punt, frame: &[u8]) -> Option<Out> {
    let p = packet(snapshot, punt, frame)?;
    if p.ip.proto != ipv4::TCP {
        return None;
    }
    let (tcp, options, data) = tcp::split(p.l4)?;
    if tcp.has(RST) {
        return None;
    }
    let _ = options;
    let len = data.len() as u32 + u32::from(tcp.has(SYN)) + u32::from(tcp.has(FIN));
    let what = if tcp.has(ACK) {
        Tcp { seq: tcp.ack.host(), ack: 0, flags: RST }
    } else {
        Tcp { seq: 0, ack: tcp.seq.host().wrapping_add(len), flags: RST | ACK }
    };
    let tuple = Tuple::new(p.ip.src, p.ip.dst, tcp.sport, tcp.dport, Proto::Tcp).reversed();
    let mut frame = vec![0; write::tcp_len(&p.back, tuple.family())];
    write::tcp(&mut frame, &p.back, &tuple, &what);
    Some(Out { port: p.iface.port, frame })
}

impl Packet<'_> {
    fn answer(&self, tos: u8, what: &Icmp<'_>) -> Out {
        let mut frame = vec![0; write::icmp_len(&self.back, what.body.len())];
        write::icmp(&mut frame, &self.back, self.ip.dst, self.ip.src, tos, what);
        Out { port: self.iface.port, frame }
    }
}
