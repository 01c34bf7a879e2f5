//! The timer wheel of one shard.
//!
//! 4096 slots of one tick, so that a timer is filed at most 64 s ahead; whoever has a longer one files it again when it
//! fires. A slot is a chain of 64-byte blocks from a slab that is sized at start. It is not intrusive: a connection
//! whose deadline comes nearer is filed a second time, and the caller ignores the popped entry that is not the one it
//! remembers. Packets that only prolong a connection never come here.
//!
//! The shard files at transitions and pops in its turn, as many as its budget allows. The wheel reads no clock, knows
//! nothing of connections and never forgets an entry.

use crate::addr::ConnId;
use crate::mem::{Memory, OutOfMemory, prefetch};
use crate::time::{Tick, Ticks};

/// Slots, a power of two.
const SLOTS: u32 = 4096;
/// Entries in a block.
const BLOCK: usize = 15;

/// The farthest ahead that an entry is filed: a second less than the wheel is long, so that a worker may be late by as
/// much before entries are filed nearer than asked for.
pub const HORIZON: Ticks = Ticks(SLOTS - 64);

/// All blocks are in use: the entry was not filed, all others stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A block of entries of one slot: one cache line.
#[derive(Clone, Copy, zerocopy::FromZeros)]
#[repr(C, align(64))]
struct Block {
    entries: [u32; BLOCK],
    /// The next block of the slot, or of the free ones; 0 is none.
    next: u32,
}

/// The blocks of one tick.
#[derive(Clone, Copy, zerocopy::FromZeros)]
#[repr(C)]
struct Slot {
    /// The first block; 0 is none. Only this one may be partly filled.
    first: u32,
    /// Entries in it.
    fill: u32,
}

/// The wheel.
pub struct Wheel<M: Memory> {
    slots: M::Slice<Slot>,
    /// Block 0 is never used: it means none.
    blocks: M::Slice<Block>,
    free: u32,
    pending: usize,
    /// Every slot up to this tick is empty; later ones may lie up to [`SLOTS`] ahead of it.
    done: Tick,
    /// The latest moment that we were told.
    now: Tick,
}

impl<M: Memory> Wheel<M> {
    /// An empty wheel with room for `entries` entries however they are spread. 64 bytes for 15 of them, and 288 KiB.
    pub fn new(memory: &M, entries: usize, now: Tick) -> Result<Self, OutOfMemory> {
        let len = (entries.div_ceil(BLOCK)).saturating_add(SLOTS as usize + 1);
        if len > u32::MAX as usize {
            return Err(OutOfMemory { bytes: len.saturating_mul(size_of::<Block>()) });
        }
        let mut blocks = memory.zeroed::<Block>(len)?;
        for (i, block) in blocks.iter_mut().enumerate().skip(1) {
            block.next = if i + 1 < len { i as u32 + 1 } else { 0 };
        }
        Ok(Wheel { slots: memory.zeroed(SLOTS as usize)?, blocks, free: 1, pending: 0, done: now, now })
    }

    /// Files `id` to be popped at `at`, or as near to it as can be: after the latest `now` of [`Wheel::pop`] and at
    /// most [`HORIZON`] ahead of it. Only for a worker that is more than a second late the entry may come nearer than
    /// that. Returns the tick that it is really filed at, and popped with.
    #[inline(always)]
    pub fn file(&mut self, id: ConnId, at: Tick) -> Result<Tick, Full> {
        let ahead = at.since(self.now).0.clamp(1, HORIZON.0);
        // Never a whole turn ahead of a slot that is not yet empty.
        let ahead = self.now.since(self.done).0.saturating_add(ahead).min(SLOTS);
        let at = self.done + Ticks(ahead);
        let slot = &mut self.slots[(at.0 % SLOTS) as usize];
        if slot.first == 0 || slot.fill as usize >= BLOCK {
            let block = self.free;
            if block == 0 {
                return Err(Full);
            }
            let links = &mut self.blocks[block as usize];
            self.free = links.next;
            links.next = slot.first;
            *slot = Slot { first: block, fill: 0 };
        }
        self.blocks[slot.first as usize].entries[slot.fill as usize % BLOCK] = id.0;
        slot.fill += 1;
        self.pending += 1;
        Ok(at)
    }

    /// True when [`Wheel::file`] will not fail.
    #[inline(always)]
    pub fn has_room(&self) -> bool {
        self.free != 0
    }

    /// An entry whose tick is `now` or earlier, and that tick. Slots come in the order of their ticks, none is left
    /// before it is empty, and however long the gap since the last call none is passed over. The caller may file
    /// between two calls: what it files comes after `now`. It calls until `None` or until its budget is used up.
    pub fn pop(&mut self, now: Tick) -> Option<(ConnId, Tick)> {
        self.pop_some(now, 1).and_then(|(ids, at)| Some((ConnId(*ids.last()?), at)))
    }

    /// As many calls of [`Wheel::pop`] as can be made at once, at least one and at most `most`: their entries, the first one
    /// last, and their tick.
    #[inline(always)]
    pub fn pop_some(&mut self, now: Tick, most: usize) -> Option<(&[u32], Tick)> {
        if now.reached(self.now) {
            self.now = now;
        }
        loop {
            let late = self.now.since(self.done).0;
            if self.pending == 0 || late == 0 {
                self.done = self.now;
                return None;
            }
            let at = self.done + Ticks(1);
            let slot = &mut self.slots[(at.0 % SLOTS) as usize];
            if slot.first == 0 {
                self.done = at;
                continue;
            }
            let first = slot.first as usize;
            let fill = (slot.fill as usize).min(BLOCK);
            let left = fill.saturating_sub(most.max(1));
            slot.fill = left as u32;
            self.pending -= fill - left;
            if left == 0 {
                let block = &mut self.blocks[first];
                *slot = Slot { first: block.next, fill: BLOCK as u32 };
                block.next = self.free;
                self.free = first as u32;
                let next = self.blocks.get(slot.first as usize).map_or(0, |block| block.next);
                prefetch(&self.blocks, next as usize);
            }
            return Some((&self.blocks[first].entries[left..fill], at));
        }
    }

    /// How many entries are filed, stale ones included.
    pub fn pending(&self) -> usize {
        self.pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::Heap;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn wheel(entries: usize, now: Tick) -> Wheel<Heap> {
        Wheel::new(&Heap, entries, now).unwrap()
    }

    #[derive(Clone, Debug)]
    enum Op {
        File(u32),
        Advance(u32),
        Pop(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (0u32..5000).prop_map(Op::File),
            3 => prop_oneof![8 => 0u32..200, 2 => 3900u32..4200, 1 => 0u32..100_000].prop_map(Op::Advance),
            3 => prop_oneof![0usize..4, Just(usize::MAX)].prop_map(Op::Pop),
        ]
    }

    proptest! {
        #[test]
        fn every_entry_fires_once_and_not_before_its_tick(
            start in prop_oneof![any::<u32>(), u32::MAX - 6000..=u32::MAX],
            ops in proptest::collection::vec(op(), 1..300),
        ) {
            let mut wheel = wheel(300, Tick(start));
            let mut model: HashMap<ConnId, Tick> = HashMap::new();
            let (mut now, mut told, mut last) = (Tick(start), Tick(start), None::<Tick>);
            // In order of ticks over the whole run, but for what is filed into the past of a backlog.
            let mut next = 0;
            for op in ops.into_iter().chain([Op::Advance(0), Op::Pop(usize::MAX)]) {
                match op {
                    Op::File(ahead) => {
                        let id = ConnId(next);
                        next += 1;
                        let at = wheel.file(id, now + Ticks(ahead)).unwrap();
                        prop_assert!(told.since(at).0 == 0 || told.since(wheel.done) > Ticks(4096 - 4032));
                        prop_assert!(at.reached(wheel.done + Ticks(1)) && (told + HORIZON).reached(at));
                        if told == now && wheel.done == now {
                            prop_assert_eq!(at, now + Ticks(ahead.clamp(1, HORIZON.0)));
                        }
                        model.insert(id, at);
                        last = None;
                    }
                    Op::Advance(by) => now = now + Ticks(by),
                    Op::Pop(budget) => {
                        told = now;
                        let mut popped = 0;
                        while popped < budget {
                            let Some((id, at)) = wheel.pop(now) else { break };
                            popped += 1;
                            prop_assert_eq!(model.remove(&id), Some(at));
                            prop_assert!(now.reached(at));
                            prop_assert!(last.is_none_or(|l| at.reached(l)));
                            last = Some(at);
                        }
                        if popped < budget {
                            prop_assert!(model.values().all(|at| !now.reached(*at)), "something is late");
                        }
                    }
                }
                prop_assert_eq!(wheel.pending(), model.len());
            }
            now = now + HORIZON;
            while let Some((id, at)) = wheel.pop(now) {
                prop_assert_eq!(model.remove(&id), Some(at));
            }
            prop_assert!(model.is_empty());
        }
    }

    #[test]
    fn driven_each_tick_an_entry_fires_on_its_tick_also_across_the_wrap() {
        let mut now = Tick(u32::MAX - 3000);
        let mut wheel = wheel(4, now);
        for (id, ahead) in [(1, 1), (2, 2999), (3, 3002), (4, HORIZON.0)] {
            assert_eq!(wheel.file(ConnId(id), now + Ticks(ahead)), Ok(now + Ticks(ahead)));
        }
        let begin = now;
        let mut fired = Vec::new();
        for _ in 0..5000 {
            now = now + Ticks(1);
            while let Some((id, at)) = wheel.pop(now) {
                assert_eq!(at, now);
                fired.push((id.0, now.since(begin).0));
            }
        }
        assert_eq!(fired, [(1, 1), (2, 2999), (3, 3002), (4, HORIZON.0)]);
    }

    #[test]
    fn the_past_fires_with_the_next_tick_and_the_far_future_at_the_horizon() {
        let now = Tick(1000);
        let mut wheel = wheel(3, now);
        assert_eq!(wheel.pop(now), None);
        assert_eq!(wheel.file(ConnId(1), Tick(10)), Ok(Tick(1001)));
        assert_eq!(wheel.file(ConnId(2), now), Ok(Tick(1001)));
        assert_eq!(wheel.file(ConnId(3), now + Ticks(100_000)), Ok(now + HORIZON));
        assert_eq!(wheel.pop(now), None);
    }

    #[test]
    fn filing_again_while_popping_does_not_go_on_for_ever() {
        let mut wheel = wheel(10, Tick(0));
        for id in 0..10 {
            wheel.file(ConnId(id), Tick(5)).unwrap();
        }
        let mut popped = 0;
        while let Some((id, _)) = wheel.pop(Tick(5)) {
            popped += 1;
            assert_eq!(wheel.file(id, Tick(5)), Ok(Tick(6)));
        }
        assert_eq!((popped, wheel.pending()), (10, 10));
        // Nor after a gap of many turns.
        let now = Tick(50_000);
        let mut popped = 0;
        while let Some((id, _)) = wheel.pop(now) {
            popped += 1;
            wheel.file(id, now + Ticks(9)).unwrap();
        }
        assert!(popped <= 10 * (50_000 / 4095 + 1), "{popped}");
        assert_eq!(wheel.pending(), 10);
    }

    #[test]
    fn a_million_entries_of_one_tick_are_popped_with_a_budget() {
        const N: u32 = 1_000_000;
        let mut wheel = wheel(N as usize, Tick(0));
        for id in 0..N {
            assert_eq!(wheel.file(ConnId(id), Tick(77)), Ok(Tick(77)));
        }
        assert_eq!(wheel.pop(Tick(76)), None);
        let mut seen = vec![false; N as usize];
        let mut now = Tick(77);
        while wheel.pending() > 0 {
            for _ in 0..1000 {
                let (id, at) = wheel.pop(now).unwrap();
                assert_eq!(at, Tick(77));
                assert!(!core::mem::replace(&mut seen[id.index()], true));
            }
            now = now + Ticks(10);
        }
        assert!(seen.into_iter().all(|s| s));
        assert_eq!(wheel.pop(now), None);
    }

    #[test]
    fn there_is_room_for_all_entries_however_they_are_spread() {
        let mut wheel = wheel(4096 * 16, Tick(0));
        for id in 0..4096 * 16 {
            wheel.file(ConnId(id), Tick(1 + id % HORIZON.0)).unwrap();
        }
    }

    #[test]
    fn a_full_wheel_says_so_loses_nothing_and_takes_new_entries_when_old_ones_are_gone() {
        let mut wheel = wheel(0, Tick(0));
        let mut filed = 0;
        while wheel.file(ConnId(filed), Tick(9)).is_ok() {
            filed += 1;
        }
        assert_eq!(filed, 4096 * 15);
        assert_eq!(wheel.file(ConnId(0), Tick(10)), Err(Full));
        assert_eq!(wheel.pending(), filed as usize);
        for _ in 0..15 {
            assert!(wheel.pop(Tick(9)).is_some());
        }
        assert!(wheel.file(ConnId(filed), Tick(10)).is_ok());
        let mut ids: Vec<u32> = core::iter::from_fn(|| wheel.pop(Tick(10))).map(|(id, _)| id.0).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), filed as usize - 15 + 1);
    }
}
