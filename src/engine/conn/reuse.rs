//! What is remembered of local ports that were given back a short time ago, so that a server that still holds the old
//! connection in TIME_WAIT takes the next SYN at once.
//!
//! Linux takes a SYN in TIME_WAIT when its sequence number is after the last one, or its timestamp is newer, and its
//! timestamp is not older (`tcp_timewait_state_process`; RFC 6191). So it is kept by the hash of its packets' tuple what the server expects next:
//! in six bytes, with the sequence number rounded up, in sets of one cache line whose oldest entry makes room.

use crate::mem::{Memory, OutOfMemory};
use crate::time::{Tick, Ticks};
use wide::u16x8;

/// How long Linux keeps TIME_WAIT, and as much as its timer may be late: older entries say nothing.
const TIME_WAIT: Ticks = Ticks::from_secs(64);
const WAYS: usize = 10;
/// A second of the run in 11 bits: an entry that nobody replaced looks new again for a minute in 34.
const SECONDS: u32 = (1 << 11) - 1;
/// Sequence numbers are kept in units of 2 MiB.
const UNIT: u32 = 21;

/// From the highest bit: sequence number 11, high part of the tag 10, second 11. All zero is free.
#[derive(Clone, Copy, zerocopy::FromZeros, PartialEq, Eq)]
#[repr(transparent)]
struct Entry(u32);

impl Entry {
    fn new(next_seq: u32, tag: Tag, at: Tick) -> Entry {
        let units = next_seq.wrapping_add((1 << UNIT) - 1) >> UNIT;
        Entry((units << UNIT) | (tag.high << 11) | second(at))
    }
    fn next_seq(self) -> NextSeq {
        NextSeq((self.0 >> UNIT) << UNIT)
    }
    /// Seconds since it was made.
    fn age(self, now: Tick) -> u32 {
        second(now).wrapping_sub(self.0) & SECONDS
    }
    /// Free ones first, then the oldest.
    fn worth(self, now: Tick) -> u32 {
        if self.0 == 0 { 0 } else { SECONDS + 1 - self.age(now) }
    }
}

/// What a server expects next from the client of an old connection, rounded up to [`UNIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextSeq(u32);

impl NextSeq {
    /// Does the server take this sequence number for new (RFC 9293, 3.4), whichever it expects of those that are rounded up to
    /// this one?
    pub fn is_before(self, seq: u32) -> bool {
        (1..(1 << 31) - (1 << UNIT)).contains(&seq.wrapping_sub(self.0))
    }

    /// The least sequence number that the server surely takes for new.
    pub fn successor(self) -> u32 {
        self.0.wrapping_add(1)
    }
}

fn second(at: Tick) -> u32 {
    (at.0 / crate::time::HZ) & SECONDS
}

/// What tells a tuple from the others of its set: 26 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Tag {
    /// 10 bits, never 0.
    high: u32,
    low: u16,
}

#[derive(Clone, Copy, zerocopy::FromZeros)]
#[repr(C, align(64))]
struct Set {
    entries: [Entry; WAYS],
    low: [u16; WAYS],
    spare: u32,
}

const _: () = assert!(size_of::<Set>() == 64);

impl Set {
    #[inline(always)]
    fn find(&self, tag: Tag) -> Option<usize> {
        if self.may_have(tag) { self.look(tag) } else { None }
    }

    /// True when a low part of a tag is the same: seldom for another tuple.
    #[inline(always)]
    fn may_have(&self, tag: Tag) -> bool {
        let [low @ .., a, b] = self.low;
        u16x8::new(low).simd_eq(u16x8::splat(tag.low)).any() || a == tag.low || b == tag.low
    }

    #[inline(never)]
    fn look(&self, tag: Tag) -> Option<usize> {
        (0..WAYS).find(|i| self.low[*i] == tag.low && (self.entries[*i].0 >> 11) & 0x3FF == tag.high)
    }
}

/// See the module.
pub struct Recent<M: Memory> {
    sets: M::Slice<Set>,
}

impl<M: Memory> Recent<M> {
    /// `sets` of ten, a cache line each: half as many tuples as there is room for are kept without loss.
    pub fn new(memory: &M, sets: usize) -> Result<Self, OutOfMemory> {
        Ok(Recent { sets: memory.zeroed(sets.max(1))? })
    }

    /// The set of a tuple, and its tag in it.
    #[inline(always)]
    fn place(&self, hash: u64) -> (usize, Tag) {
        let set = ((hash & 0xFFFF_FFFF) * self.sets.len() as u64) >> 32;
        (set as usize, Tag { high: ((hash >> 32) & 0x3FF).max(1) as u32, low: (hash >> 48) as u16 })
    }

    /// The connection whose replies have this tuple has ended, its last packet came at `at`; its server expects `next_seq` from the client.
    pub fn remember(&mut self, hash: u64, next_seq: u32, at: Tick, now: Tick) {
        if now.since(at) >= TIME_WAIT {
            return;
        }
        let (set, tag) = self.place(hash);
        let Some(set) = self.sets.get_mut(set) else { return };
        let least = || (0..WAYS).min_by_key(|i| set.entries[*i].worth(now)).unwrap_or(0);
        let way = set.find(tag).unwrap_or_else(least);
        set.entries[way] = Entry::new(next_seq, tag, at);
        set.low[way] = tag.low;
    }

    /// Loads what is known of a tuple.
    #[inline(always)]
    pub fn prefetch(&self, hash: u64) {
        crate::mem::prefetch(&self.sets, self.place(hash).0);
    }

    /// What the server of the last connection of this tuple expects next, if it may still remember that connection.
    #[inline(always)]
    pub fn recall(&self, hash: u64, now: Tick) -> Option<NextSeq> {
        let (set, tag) = self.place(hash);
        let set = self.sets.get(set)?;
        let entry = set.entries[set.find(tag)?];
        (entry.age(now) < TIME_WAIT.as_secs()).then_some(entry.next_seq())
    }
}

/// Sequence numbers of a connection whose client's are too low for its server: `delta` is added towards the server.
#[derive(Clone, Copy, zerocopy::FromZeros, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Ext {
    /// Added to the client's sequence numbers, taken from the server's acknowledgements.
    pub delta: u32,
    /// What the server expects next from the client, once its FIN was seen (in the server's numbers).
    pub next_seq: u32,
    /// 1 once the client's FIN was seen.
    pub fin: u32,
    /// In a free seat: the next free one, plus 1.
    next_free: u32,
}

/// A bounded slab of [`Ext`].
pub struct Exts<M: Memory> {
    slab: M::Slice<Ext>,
    free: u32,
    fresh: u32,
}

impl<M: Memory> Exts<M> {
    /// Room for `capacity`.
    pub fn new(memory: &M, capacity: usize) -> Result<Self, OutOfMemory> {
        Ok(Exts { slab: memory.zeroed(capacity.max(1))?, free: 0, fresh: 0 })
    }

    /// No seat is free.
    pub fn is_full(&self) -> bool {
        self.free == 0 && self.fresh as usize >= self.slab.len()
    }

    /// Takes a seat. `None` when there is none.
    pub fn take(&mut self, delta: u32) -> Option<u32> {
        let seat = if self.free != 0 {
            let seat = self.free - 1;
            self.free = self.slab[seat as usize].next_free;
            seat
        } else if (self.fresh as usize) < self.slab.len() {
            self.fresh += 1;
            self.fresh - 1
        } else {
            return None;
        };
        self.slab[seat as usize] = Ext { delta, next_seq: 0, fin: 0, next_free: 0 };
        Some(seat)
    }

    /// Gives a seat back.
    pub fn give_back(&mut self, seat: u32) {
        if let Some(e) = self.slab.get_mut(seat as usize) {
            e.next_free = self.free;
            self.free = seat + 1;
        }
    }

    /// What is in a seat.
    #[inline(always)]
    pub fn ext(&self, seat: u32) -> Option<&Ext> {
        self.slab.get(seat as usize)
    }
    /// What is in a seat.
    #[inline(always)]
    pub fn ext_mut(&mut self, seat: u32) -> Option<&mut Ext> {
        self.slab.get_mut(seat as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::key::SplitMix;
    use crate::mem::Heap;

    fn tuple(i: u32) -> u64 {
        SplitMix(u64::from(i)).next()
    }

    #[test]
    fn a_tuple_is_remembered_for_as_long_as_linux_keeps_time_wait() {
        let mut r = Recent::<Heap>::new(&Heap, 6).unwrap();
        let at = |s: u32| Tick(s * 64);
        r.remember(tuple(9), 7, at(100), at(130));
        assert_eq!(r.recall(tuple(9), at(130)), Some(NextSeq(1 << 21)), "rounded up");
        assert_eq!(r.recall(tuple(9), at(163)), Some(NextSeq(1 << 21)));
        assert_eq!(r.recall(tuple(9), at(164)), None);
        assert_eq!(r.recall(tuple(10), at(130)), None);
        r.remember(tuple(9), u32::MAX, at(131), at(131));
        assert_eq!(r.recall(tuple(9), at(131)), Some(NextSeq(0)), "across the wrap");
        r.remember(tuple(8), 1, at(100), at(164));
        assert_eq!(r.recall(tuple(8), at(164)), None, "too old when it came");
    }

    #[test]
    fn a_sequence_number_passes_for_new_only_where_it_is_new_for_all_that_are_rounded_alike() {
        // As Linux compares: `after` in include/net/tcp.h.
        let after = |seq: u32, expected: u32| expected.wrapping_sub(seq).cast_signed() < 0;
        let mut chance = SplitMix(3);
        let mut passed = 0;
        for n in 0..200_000 {
            let expected = chance.next() as u32;
            // Half of them near the two edges.
            let seq = match n % 4 {
                0 => expected.wrapping_add((1 << 31) - (1 << 21) + (chance.next() as u32 >> 10)),
                1 => expected.wrapping_sub(1 << 21).wrapping_add(chance.next() as u32 >> 10),
                _ => chance.next() as u32,
            };
            let known = Entry::new(expected, Tag { high: 1, low: 1 }, Tick(0)).next_seq();
            assert!(!known.is_before(seq) || after(seq, expected), "{seq} for {expected}");
            assert!(known.is_before(known.successor()) && after(known.successor(), expected));
            passed += u32::from(known.is_before(seq));
        }
        assert!(passed > 50_000, "{passed}");
    }

    #[test]
    fn half_as_many_as_there_is_room_for_are_kept_and_the_oldest_make_room() {
        let mut r = Recent::<Heap>::new(&Heap, 13_107).unwrap();
        for i in 0..64_512 {
            r.remember(tuple(i), i, Tick(0), Tick(0));
        }
        let kept = (0..64_512)
            .filter(|i| r.recall(tuple(*i), Tick(0)) == Some(NextSeq(i.wrapping_add(0x1F_FFFF) >> 21 << 21)));
        let kept = kept.count();
        assert!(kept > 62_500, "{kept}");
        for i in 100_000..400_000 {
            r.remember(tuple(i), 5, Tick(64 * 20), Tick(64 * 20));
        }
        let old =
            (0..64_512).filter(|i| r.recall(tuple(*i), Tick(64 * 20)).is_some_and(|s| s != NextSeq(1 << 21))).count();
        assert_eq!(old, 0);
        assert!(r.recall(tuple(399_999), Tick(64 * 20)).is_some());
    }

    #[test]
    fn seats_come_back() {
        let mut e = Exts::<Heap>::new(&Heap, 2).unwrap();
        let (a, b) = (e.take(1).unwrap(), e.take(2).unwrap());
        assert_eq!((e.take(3), e.is_full()), (None, true));
        e.give_back(a);
        e.give_back(b);
        assert!(!e.is_full());
        assert_eq!((e.take(4), e.take(5), e.take(6)), (Some(b), Some(a), None));
        assert_eq!(e.ext(b).map(|x| x.delta), Some(4));
    }
}
