//! Next hops: who is asked for a MAC address, when, and what is learnt; for ARP and neighbour discovery alike.
//!
//! A configured next hop is asked at start, refreshed while it answers, and asked every second while it does not. A host
//! on our own link is learnt when it asks for us, or asked when a frame waits for it. Only the master writes cells.

use super::{Conflict, Out, arp};
use crate::addr::{Addr, IfaceId, Mac, NeighborId};
use crate::neighbor::{Cell, Neighbors, NudState};
use crate::snapshot::{RouteTo, Snapshot};
use crate::time::{HZ, Tick, Ticks};
use crate::wire::arp as wire;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
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
    pub(super) fn heard(&mut self, now: Tick, snapshot: &Snapshot, iface: IfaceId, packet: &wire::Packet) {
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
            out.extend(arp::request(snapshot, entry.iface, entry.addr, entry.mac));
        }
    }

    /// Says once more whose address it is, at most once in 10 s (RFC 5227, 2.4 (b)).
    pub(super) fn defend(&mut self, now: Tick, snapshot: &Snapshot, conflict: &Conflict) -> Option<Out> {
        if self.defended.is_some_and(|at| now.since(at) < DEFEND) {
            return None;
        }
        self.defended = Some(now);
        arp::announcement(snapshot, conflict.iface, conflict.addr)
    }
}
