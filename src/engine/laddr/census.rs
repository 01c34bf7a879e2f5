//! How full the local ports are, by LIP, without a count on the way of any connection: some chunks a tick are looked at, one
//! pass after the other.
//!
//! Called by the shard once a tick. Ports in no chunk are not seen: their servers have few connections.

use super::Ports;
use super::store::Ring;
use crate::addr::LipId;
use crate::mem::Memory;
use crate::stats::LipStats;
use crate::time::{HZ, Tick, Ticks};

/// Between the beginnings of two passes, at least.
const APART: Ticks = Ticks(HZ);

/// Where the pass that is under way stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Census {
    next: u32,
    begun: Option<Tick>,
}

impl Census {
    pub(super) const fn new() -> Census {
        Census { next: 0, begun: None }
    }
}

impl<M: Memory> Ports<M> {
    /// Looks at no more than `budget` chunks, and begins no pass within a second of the one before.
    pub fn census(&mut self, now: Tick, lips: &LipStats, budget: u32) {
        let Census { next, begun } = &mut self.census;
        if *next == 0 {
            if begun.is_some_and(|begun| now.since(begun) < APART) {
                return;
            }
            *begun = Some(now);
        }
        let chunks = &self.store.chunks;
        let end = chunks.touched().min(*next + budget);
        for chunk in (*next..end).filter_map(|c| chunks.get(c)) {
            if chunk.ring != Ring::Nowhere && chunk.used > 0 {
                lips.found(LipId(chunk.lip), chunk.used);
            }
        }
        *next = end;
        if end == chunks.touched() {
            *next = 0;
            lips.passed();
        }
    }
}
