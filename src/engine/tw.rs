//! The timer wheel of one shard.
//!
//! 4096 slots of one tick, so that a timer is filed at most 64 s ahead; whoever has a longer one files it again when it
//! fires. A slot is a chain of 64-byte blocks from a slab that is sized at start. It is not intrusive: a connection whose
//! deadline comes nearer is filed a second time, and the caller ignores the popped entry that is not the one it
//! remembers. Packets that only prolong a connection never come here.
//!
//! The shard files at transitions and pops in its turn, as many as its budget allows. The wheel reads no clock, knows
//! nothing of connections and never forgets an entry.

use crate::addr::ConnId;
use crate::mem::{Memory, OutOfMemory};
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

    /// Files `id` to be popped at `at`, or as near to it as can be: after the latest `now` of [`Wheel::pop`] and at most
    /// [`HORIZON`] ahead of it. Only for a worker that is more than a second late the entry may come nearer than that.
    /// Returns the tick that it is really filed at, and popped with.
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

    /// An entry whose tick is `now` or earlier, and that tick. Slots come in the order of their ticks, none is left before
    /// it is empty, and however long the gap since the last call none is passed over. The caller may file between two
    /// calls: what it files comes after `now`. It calls until `None` or until its budget is used up.
    pub fn pop(&mut self, now: Tick) -> Option<(ConnId, Tick)> {
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
            let block = &mut self.blocks[slot.first as usize];
            slot.fill = slot.fill.saturating_sub(1);
            let id = ConnId(block.entries[slot.fill as usize % BLOCK]);
            if slot.fill == 0 {
                let empty = slot.first;
                *slot = Slot { first: block.next, fill: BLOCK as u32 };
                block.next = self.free;
                self.free = empty;
            }
            self.pending -= 1;
            return Some((id, at));
        }
    }

    /// How many entries are filed, stale ones included.
    pub fn pending(&self) -> usize {
        self.pending
    }
}
