//! Next hops: who is asked for a MAC address, when, and what is learnt; for ARP and neighbour discovery alike.
//!
//! A configured next hop is asked at start, refreshed while it answers, and asked every second while it does not. A host
//! on our own link is learnt when it asks for us, or asked when a frame waits for it. Only the master writes cells.
//!
//! ```text
//! RFC 4861, 7.3.2    here
//! INCOMPLETE         no MAC address: asked by broadcast or group, three times
//! REACHABLE          confirmed: due after about 30 s
//! STALE, DELAY       heard of, not confirmed: due after 5 s, as if a packet had just been sent there
//! PROBE              due, with a MAC address: asked three times by unicast, a second apart, and used meanwhile
//! (deleted)          failed: forgotten, or asked again every second if it is configured
//! ```
//!
//! A cell says of REACHABLE, STALE, DELAY and PROBE only that there is a MAC address: no worker reports what it sends, so
//! every neighbour counts as one that packets go to.

use super::dad::Dad;
use super::{Conflict, LocalStats, Out, announcement, arp, ndp};
use crate::addr::{Addr, IfaceId, Mac, NeighborId};
use crate::neighbor::{Cell, Neighbors, NudState};
use crate::snapshot::Snapshot;
use crate::time::{HZ, Tick, Ticks};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Requests before a next hop counts as failed (RFC 4861, MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT).
const TRIES: u8 = 3;
/// Between two ARP requests for a next hop without MAC address.
const ARP_RETRY: Ticks = Ticks(HZ / 4);
/// Between two requests while a MAC address is refreshed, for a failed next hop, and for any of IPv6 (RFC 4861,
/// RETRANS_TIMER).
const SLOW_RETRY: Ticks = Ticks(HZ);
/// How long an answer is good (RFC 4861, REACHABLE_TIME).
const REACHABLE: Ticks = Ticks(30 * HZ);
/// How long what was only heard of is used before it is looked into (RFC 4861, DELAY_FIRST_PROBE_TIME).
const DELAY: Ticks = Ticks(5 * HZ);
/// Between two defences of an address of ours (RFC 5227, DEFEND_INTERVAL).
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
    /// How much longer than [`REACHABLE`] its answers are good, so that what was learnt together is not asked together.
    spread: Ticks,
}

/// What a packet says of its sender's MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// The MAC address, if it says one.
    pub(super) mac: Option<Mac>,
    /// It answers a question of ours: the sender is reachable both ways.
    pub(super) solicited: bool,
    /// It holds even if another MAC address is known.
    pub(super) overrides: bool,
    /// It is from somebody who is about to talk to us: learnt even if nobody asked.
    pub(super) learn: bool,
}

/// All next hops, as the master sees them.
pub(super) struct Hops {
    neighbors: Arc<Neighbors>,
    entries: BTreeMap<NeighborId, Entry>,
    /// When our addresses that others claim were defended last.
    defended: BTreeMap<(IfaceId, Addr), Tick>,
}

impl Hops {
    pub(super) fn new(neighbors: Arc<Neighbors>) -> Hops {
        Hops { neighbors, entries: BTreeMap::new(), defended: BTreeMap::new() }
    }

    pub(super) fn configure(&mut self, now: Tick, hops: &[(IfaceId, Addr)], fixed: &[(IfaceId, Addr, Mac)]) {
        for entry in self.entries.values_mut().filter(|e| e.kind != Kind::Learnt) {
            if entry.kind == Kind::Static {
                entry.due = Some(now);
            }
            entry.kind = Kind::Learnt;
        }
        for (iface, addr) in hops {
            if let Some((_, entry)) = self.entry(now, *iface, *addr) {
                entry.kind = Kind::Configured;
                entry.due = entry.due.or(Some(now));
            }
        }
        for (iface, addr, mac) in fixed {
            let Some((id, entry)) = self.entry(now, *iface, *addr) else { continue };
            (entry.kind, entry.mac, entry.due, entry.settled) = (Kind::Static, Some(*mac), None, true);
            (entry.tries, entry.failed) = (0, false);
            self.neighbors.set(id, Cell { mac: *mac, state: NudState::Reachable, iface: *iface });
        }
    }

    fn entry(&mut self, now: Tick, iface: IfaceId, addr: Addr) -> Option<(NeighborId, &mut Entry)> {
        let id = self.neighbors.claim(iface, addr)?;
        let seat = self.neighbors.seat(id)?;
        let new = || Entry {
            kind: Kind::Learnt,
            iface,
            addr,
            mac: None,
            tries: 0,
            settled: false,
            failed: false,
            due: Some(now),
            spread: Ticks(seat as u32 % (REACHABLE.0 / 4)),
        };
        Some((id, self.entries.entry(id).or_insert_with(new)))
    }

    pub(super) fn ready(&self) -> bool {
        self.entries.values().all(|e| e.kind != Kind::Configured || e.settled)
    }

    pub(super) fn wanted(&mut self, now: Tick, hop: NeighborId) {
        let Some((iface, addr)) = self.neighbors.owner(hop) else { return };
        if let Some((_, entry)) = self.entry(now, iface, addr)
            && entry.due.is_none()
            && entry.kind != Kind::Static
        {
            entry.due = Some(now);
        }
    }

    /// Learns from a packet (RFC 826; RFC 4861, 7.2.3 and 7.2.5).
    pub(super) fn heard(&mut self, now: Tick, iface: IfaceId, addr: Addr, claim: &Claim) {
        // A link of IPv6 has more addresses than there are seats: whoever makes them up must not take them all (RFC 6583).
        let room = self.entries.len() < self.neighbors.capacity() / 2;
        if !(claim.learn && room) && self.neighbors.find(iface, addr).is_none() {
            return;
        }
        let Some((id, entry)) = self.entry(now, iface, addr) else { return };
        let Some(mac) = claim.mac.or(entry.mac).filter(|_| entry.kind != Kind::Static) else { return };
        let changed = entry.mac.is_some_and(|known| known != mac);
        if changed && !claim.overrides {
            // Not believed, but looked into.
            entry.due = entry.due.map(|due| if due.reached(now + DELAY) { now + DELAY } else { due });
            return;
        }
        if claim.solicited {
            entry.due = Some(now + REACHABLE + entry.spread);
        } else if changed || entry.mac.is_none() {
            entry.due = Some(now + DELAY);
        } else {
            return;
        }
        entry.mac = Some(mac);
        (entry.tries, entry.settled, entry.failed) = (0, true, false);
        self.neighbors.set(id, Cell { mac, state: NudState::Reachable, iface });
    }

    pub(super) fn tick(&mut self, now: Tick, snapshot: &Snapshot, dad: &Dad, stats: &LocalStats, out: &mut Vec<Out>) {
        self.defended.retain(|_, at| now.since(*at) < DEFEND);
        let mut budget = BUDGET;
        for (id, entry) in &mut self.entries {
            if budget == 0 || !entry.due.is_some_and(|due| now.reached(due)) || entry.kind == Kind::Static {
                continue;
            }
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
            let (question, retry, asked) = match entry.addr {
                Addr::V4(addr) => {
                    let question = arp::request(snapshot, entry.iface, addr, entry.mac);
                    (question, ARP_RETRY, &stats.arp_asked)
                }
                Addr::V6(addr) => {
                    let question = ndp::solicitation(snapshot, dad, entry.iface, addr, entry.mac);
                    if question.is_none() && dad.is_undecided(entry.iface) {
                        // Soon there is an address to ask from.
                        continue;
                    }
                    (question, SLOW_RETRY, &stats.ndp_asked)
                }
            };
            budget -= 1;
            entry.tries = entry.tries.saturating_add(1);
            entry.due = Some(now + if entry.mac.is_some() || entry.failed { SLOW_RETRY } else { retry });
            asked.add(u64::from(question.is_some()));
            out.extend(question);
        }
    }

    /// Says once more whose address it is, at most once in 10 s (RFC 5227, 2.4 (b)).
    pub(super) fn defend(&mut self, now: Tick, snapshot: &Snapshot, conflict: &Conflict) -> Option<Out> {
        let name = (conflict.iface, conflict.addr);
        if self.defended.get(&name).is_some_and(|at| now.since(*at) < DEFEND) {
            return None;
        }
        self.defended.insert(name, now);
        announcement(snapshot, conflict.iface, conflict.addr)
    }
}
