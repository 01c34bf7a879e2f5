//! ARP (RFC 826): who is asked, when, and what is learnt.
//!
//! A configured next hop is asked at start, refreshed while it answers, and asked every second while it does not. A host
//! on our own link is learnt when it asks for us, or asked when a frame waits for it. Only the master writes cells.

use super::write::{self, L2};
use super::{Conflict, Out};
use crate::addr::{Addr, Be32, IfaceId, Mac, NeighborId};
use crate::neighbor::{Cell, Neighbors, NudState};
use crate::snapshot::{RouteTo, Snapshot};
use crate::time::{HZ, Tick, Ticks};
use crate::wire::{FromBytes, arp, ethernet, vlan};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

/// Requests before a next hop counts as failed.
const TRIES: u8 = 3;
/// Between two requests for a next hop without MAC address.
const RETRY: Ticks = Ticks(HZ / 4);
/// Between two requests while a MAC address is refreshed, and for a failed next hop.
const SLOW_RETRY: Ticks = Ticks(HZ);
/// How long an answer is good (RFC 4861, REACHABLE_TIME).
const REACHABLE: Ticks = Ticks(30 * HZ);
/// Between two defences of our addresses (RFC 5227, DEFEND_INTERVAL).
const DEFEND: Ticks = Ticks(10 * HZ);
/// Requests a tick, at most.
const BUDGET: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Static,
    Configured,
    Learnt,
}

struct Entry {
    kind: Kind,
    iface: IfaceId,
    addr: Addr,
    mac: Option<Mac>,
    tries: u8,
    /// It has answered or has been asked in vain.
    settled: bool,
    /// It does not answer.
    failed: bool,
    /// When something is due; `None` for a failed one that nobody needs.
    due: Option<Tick>,
}

/// All next hops, as the master sees them.
pub(super) struct Hops {
    neighbors: Arc<Neighbors>,
    entries: BTreeMap<NeighborId, Entry>,
    defended: Option<Tick>,
}

impl Hops {
    pub(super) fn new(neighbors: Arc<Neighbors>) -> Hops {
        Hops { neighbors, entries: BTreeMap::new(), defended: None }
    }

    pub(super) fn configure(&mut self, now: Tick, hops: &[(IfaceId, Addr)], fixed: &[(IfaceId, Addr, Mac)]) {
        for entry in self.entries.values_mut().filter(|e| e.kind != Kind::Learnt) {
            if entry.kind == Kind::Static {
                entry.due = Some(now);
            }
            entry.kind = Kind::Learnt;
        }
        for (iface, addr) in hops {
            if let Some(entry) = self.entry(now, *iface, *addr) {
                entry.kind = Kind::Configured;
                entry.due = entry.due.or(Some(now));
            }
        }
        for (iface, addr, mac) in fixed {
            let Some(id) = self.neighbors.claim(*iface, *addr) else { continue };
            if let Some(entry) = self.entry(now, *iface, *addr) {
                (entry.kind, entry.mac, entry.due, entry.settled) = (Kind::Static, Some(*mac), None, true);
                (entry.tries, entry.failed) = (0, false);
            }
            self.neighbors.set(id, Cell { mac: *mac, state: NudState::Reachable, iface: *iface });
        }
    }

    fn entry(&mut self, now: Tick, iface: IfaceId, addr: Addr) -> Option<&mut Entry> {
        let id = self.neighbors.claim(iface, addr)?;
        let new = || Entry {
            kind: Kind::Learnt,
            iface,
            addr,
            mac: None,
            tries: 0,
            settled: false,
            failed: false,
            due: Some(now),
        };
        Some(self.entries.entry(id).or_insert_with(new))
    }

    pub(super) fn ready(&self) -> bool {
        self.entries.values().all(|e| e.kind != Kind::Configured || e.settled)
    }

    pub(super) fn wanted(&mut self, now: Tick, hop: NeighborId) {
        let Some((iface, addr)) = self.neighbors.owner(hop) else { return };
        if let Some(entry) = self.entry(now, iface, addr)
            && entry.due.is_none()
            && entry.kind != Kind::Static
        {
            entry.due = Some(now);
        }
    }

    /// Learns from a packet: what is known is updated, who asks for us is learnt (RFC 826).
    pub(super) fn heard(&mut self, now: Tick, snapshot: &Snapshot, iface: IfaceId, packet: &arp::Packet) {
        let addr = Addr::V4(packet.sender_ip);
        let on_link = snapshot.routes.lookup(addr) == Some(RouteTo::OnLink(iface));
        let for_us = snapshot.local(packet.target_ip).is_some_and(|l| l.iface == Some(iface));
        let known = self.neighbors.find(iface, addr).is_some();
        if packet.sender_ip.raw() == 0 || !(known || for_us && on_link) {
            return;
        }
        let Some(id) = self.neighbors.claim(iface, addr) else { return };
        let Some(entry) = self.entry(now, iface, addr) else { return };
        if entry.kind == Kind::Static {
            return;
        }
        entry.mac = Some(packet.sender_mac);
        (entry.tries, entry.settled, entry.failed) = (0, true, false);
        // Spread over a quarter of the time, so that what was learnt together is not asked together.
        let spread = Ticks(u32::from(id.0) % (REACHABLE.0 / 4));
        entry.due = Some(now + REACHABLE + spread);
        self.neighbors.set(id, Cell { mac: packet.sender_mac, state: NudState::Reachable, iface });
    }

    pub(super) fn tick(&mut self, now: Tick, snapshot: &Snapshot, out: &mut Vec<Out>) {
        let mut budget = BUDGET;
        for (id, entry) in &mut self.entries {
            if budget == 0 || !entry.due.is_some_and(|due| now.reached(due)) || entry.kind == Kind::Static {
                continue;
            }
            budget -= 1;
            if entry.tries >= TRIES && !entry.failed {
                let failed = Cell { mac: Mac::default(), state: NudState::Failed, iface: entry.iface };
                self.neighbors.set(*id, failed);
                (entry.mac, entry.settled, entry.failed) = (None, true, true);
                entry.due = Some(now + SLOW_RETRY);
                continue;
            }
            if entry.failed && entry.kind == Kind::Learnt {
                // Forgotten: the next frame that goes there waits, and has it asked for again.
                let unknown = Cell { mac: Mac::default(), state: NudState::Incomplete, iface: entry.iface };
                self.neighbors.set(*id, unknown);
                (entry.tries, entry.failed, entry.due) = (0, false, None);
                continue;
            }
            entry.tries = entry.tries.saturating_add(1);
            entry.due = Some(now + if entry.mac.is_some() || entry.failed { SLOW_RETRY } else { RETRY });
            out.extend(request(snapshot, entry.iface, entry.addr, entry.mac));
        }
    }

    /// Says once more whose address it is, at most once in 10 s (RFC 5227, 2.4 (b)).
    pub(super) fn defend(&mut self, now: Tick, snapshot: &Snapshot, conflict: &Conflict) -> Option<Out> {
        if self.defended.is_some_and(|at| now.since(at) < DEFEND) {
            return None;
        }
        self.defended = Some(now);
        announcement(snapshot, conflict.iface, conflict.addr)
    }
}

/// The ARP packet of a frame, tagged or not.
pub(super) fn packet(frame: &[u8]) -> Option<arp::Packet> {
    let (eth, rest) = ethernet::Header::ref_from_prefix(frame).ok()?;
    let rest = if eth.ether_type == ethernet::VLAN { rest.get(vlan::LEN..)? } else { rest };
    arp::Packet::read_from_prefix(rest).ok().map(|(p, _)| p)
}

/// Does the sender claim an address of ours?
pub(super) fn conflict(snapshot: &Snapshot, iface: IfaceId, packet: &arp::Packet) -> Option<Conflict> {
    let local = snapshot.local(packet.sender_ip)?;
    let own = snapshot.iface(iface)?.mac;
    let claims = local.iface == Some(iface) && packet.sender_mac != own;
    claims.then_some(Conflict { addr: packet.sender_ip.into(), mac: packet.sender_mac, iface })
}

/// The answer to a request for an address of ours on this interface.
pub(super) fn reply(snapshot: &Snapshot, iface: IfaceId, packet: &arp::Packet) -> Option<Out> {
    let ours = snapshot.local(packet.target_ip).is_some_and(|l| l.iface == Some(iface));
    if packet.op != arp::REQUEST || !ours || packet.is_gratuitous() {
        return None;
    }
    let own = snapshot.iface(iface)?.mac;
    let reply = arp::Packet::new(arp::REPLY, own, packet.target_ip, packet.sender_mac, packet.sender_ip);
    send(snapshot, iface, packet.sender_mac, &reply)
}

/// Says that an address is ours, to all.
pub(super) fn announcement(snapshot: &Snapshot, iface: IfaceId, addr: Addr) -> Option<Out> {
    let addr = addr.v4()?;
    let own = snapshot.iface(iface)?.mac;
    send(snapshot, iface, Mac::BROADCAST, &arp::Packet::new(arp::REQUEST, own, addr, Mac::BROADCAST, addr))
}

/// Asks for an address: the one who answered last, or all.
fn request(snapshot: &Snapshot, iface: IfaceId, addr: Addr, last: Option<Mac>) -> Option<Out> {
    let i = snapshot.iface(iface)?;
    let target = addr.v4()?;
    let of_family = || i.addrs.iter().filter_map(|(own, len)| own.v4().map(|a| (a, addr.is_in(*own, *len))));
    let own = of_family().find(|(_, same_net)| *same_net).or_else(|| of_family().next());
    let own = own.map_or(Be32::default(), |(own, _)| own);
    let packet = arp::Packet::new(arp::REQUEST, i.mac, own, Mac::default(), target);
    send(snapshot, iface, last.unwrap_or(Mac::BROADCAST), &packet)
}

fn send(snapshot: &Snapshot, iface: IfaceId, dst: Mac, packet: &arp::Packet) -> Option<Out> {
    let i = snapshot.iface(iface)?;
    let l2 = L2 { dst, src: i.mac, vlan: i.vlan };
    let mut frame = vec![0; write::arp_len(&l2)];
    write::arp(&mut frame, &l2, packet);
    Some(Out { port: i.port, frame })
}
