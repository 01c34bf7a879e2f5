//! From a key to the seat of what has it: a hash table of fixed size with open addressing.
//!
//! An entry is 8 bytes, the hash and the seat; the key itself lies in the seat, and the caller compares it. Entries are
//! probed in line and moved back when one before them goes, so that there are no tombstones and a long life costs
//! nothing. It never grows: at most three quarters of it are ever used.
//!
//! Keys that differ in their lowest three bits alone begin to be searched in one cache line: the classes of an endpoint that is
//! busy are asked for together.

use crate::mem::{Memory, OutOfMemory, prefetch};

#[derive(Clone, Copy, PartialEq, Eq, zerocopy::FromZeros)]
#[repr(C)]
struct Entry {
    hash: u32,
    /// The seat + 1; 0 is an empty entry.
    seat: u32,
}

/// Entries in a cache line.
const LINE: usize = 8;

#[derive(Clone, Copy, zerocopy::FromZeros)]
#[repr(C, align(64))]
struct Line([Entry; LINE]);

const _: () = assert!(size_of::<Line>() == 64);

const EMPTY: Entry = Entry { hash: 0, seat: 0 };

pub(super) struct Directory<M: Memory> {
    lines: M::Slice<Line>,
    len: usize,
    room: usize,
    /// Look-ups so far: tests bound what a call may cost.
    #[cfg(test)]
    pub(super) finds: core::cell::Cell<u64>,
}

/// The hash of a key: one multiplication, folded, of what says the line, and the place in it. Keys are made of our own ids, so
/// nobody can choose collisions.
#[inline(always)]
pub(super) fn hash(key: u64) -> u32 {
    let (line, place) = (key / LINE as u64, key as u32 % LINE as u32);
    let product = u128::from(line) * 0x9e37_79b9_7f4a_7c15;
    ((product >> 64 ^ product) >> 32) as u32 & !(LINE as u32 - 1) | place
}

impl<M: Memory> Directory<M> {
    /// Room for `room` entries.
    pub(super) fn new(memory: &M, room: usize) -> Result<Self, OutOfMemory> {
        Ok(Directory {
            lines: memory.zeroed(room.saturating_add(room / 3) / LINE + 1)?,
            len: 0,
            room,
            #[cfg(test)]
            finds: Default::default(),
        })
    }

    /// Loads the entry where a search for this hash begins.
    #[inline(always)]
    pub(super) fn prefetch(&self, hash: u32) {
        prefetch(&self.lines, self.home(hash) / LINE);
    }

    /// The seat with this hash for which `same` holds.
    #[inline]
    pub(super) fn find(&self, hash: u32, same: impl Fn(u32) -> bool) -> Option<u32> {
        #[cfg(test)]
        self.finds.set(self.finds.get() + 1);
        let mut at = self.home(hash);
        loop {
            let entry = self.entry(at);
            if entry.seat == 0 {
                return None;
            }
            if entry.hash == hash && same(entry.seat - 1) {
                return Some(entry.seat - 1);
            }
            at = self.after(at);
        }
    }

    /// Enters a seat that is not yet there. False when it is full.
    pub(super) fn insert(&mut self, hash: u32, seat: u32) -> bool {
        if self.len >= self.room {
            return false;
        }
        let mut at = self.home(hash);
        while self.entry(at).seat != 0 {
            at = self.after(at);
        }
        *self.entry_mut(at) = Entry { hash, seat: seat + 1 };
        self.len += 1;
        true
    }

    /// Takes a seat out; nothing happens when it is not there.
    pub(super) fn remove(&mut self, hash: u32, seat: u32) {
        let gone = Entry { hash, seat: seat + 1 };
        let mut hole = self.home(hash);
        while self.entry(hole) != gone {
            if self.entry(hole).seat == 0 {
                return;
            }
            hole = self.after(hole);
        }
        self.len -= 1;
        // Whoever stands behind the hole and whose home is not, moves into it and leaves a new one.
        let mut at = hole;
        loop {
            at = self.after(at);
            let entry = self.entry(at);
            if entry.seat == 0 {
                break;
            }
            if self.distance(self.home(entry.hash), at) >= self.distance(hole, at) {
                *self.entry_mut(hole) = entry;
                hole = at;
            }
        }
        *self.entry_mut(hole) = EMPTY;
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    fn entry(&self, at: usize) -> Entry {
        self.lines.get(at / LINE).map_or(EMPTY, |line| line.0[at % LINE])
    }
    #[inline(always)]
    fn entry_mut(&mut self, at: usize) -> &mut Entry {
        &mut self.lines[at / LINE].0[at % LINE]
    }
    #[inline(always)]
    fn home(&self, hash: u32) -> usize {
        let line = hash & !(LINE as u32 - 1);
        ((u64::from(line) * self.lines.len() as u64) >> 32) as usize * LINE + hash as usize % LINE
    }
    #[inline(always)]
    fn after(&self, at: usize) -> usize {
        if at + 1 < self.lines.len() * LINE { at + 1 } else { 0 }
    }
    /// Steps from `from` to `to`, around the end.
    #[inline(always)]
    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.lines.len() * LINE - from }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::Heap;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn it_agrees_with_a_hash_map_however_keys_come_and_go(
            ops in proptest::collection::vec((any::<bool>(), 0u64..60), 1..600),
            crowd in prop_oneof![Just(1u32), Just(7), Just(u32::MAX)],
        ) {
            // With few different hashes, the highest among them, so that chains are long and go around the end.
            let hash = |key: u64| u32::MAX - hash(key) % crowd;
            let mut directory = Directory::<Heap>::new(&Heap, 40).unwrap();
            let mut model = HashMap::new();
            let mut keys = Vec::new();
            for (insert, key) in ops {
                let found = directory.find(hash(key), |seat| keys[seat as usize] == key);
                prop_assert_eq!(found, model.get(&key).copied());
                match found {
                    None if insert => {
                        let seat = keys.len() as u32;
                        keys.push(key);
                        let room = directory.insert(hash(key), seat);
                        prop_assert_eq!(room, model.len() < 40);
                        if room {
                            model.insert(key, seat);
                        }
                    }
                    Some(seat) if !insert => {
                        directory.remove(hash(key), seat);
                        model.remove(&key);
                    }
                    _ => {}
                }
                prop_assert_eq!(directory.len(), model.len());
            }
            for key in 0..60 {
                prop_assert_eq!(directory.find(hash(key), |s| keys[s as usize] == key), model.get(&key).copied());
            }
            for (key, seat) in model {
                directory.remove(hash(key), seat);
            }
            prop_assert!(directory.lines.iter().flat_map(|line| line.0).all(|e| e == EMPTY));
        }
    }

    #[test]
    fn the_classes_of_an_endpoint_lie_in_the_lines_that_they_fill() {
        let directory = Directory::<Heap>::new(&Heap, 1_000).unwrap();
        for first in (0..4_096).step_by(LINE) {
            let homes: Vec<usize> = (first..first + LINE as u64).map(|key| directory.home(hash(key))).collect();
            assert_eq!(homes[0] % LINE, 0);
            assert!(homes.iter().copied().eq(homes[0]..homes[0] + LINE));
        }
    }

    #[test]
    fn an_entry_of_a_full_directory_is_found_near_its_home() {
        const ROOM: u64 = 60_000;
        // All classes of some endpoints; one class of each of many; eight in a row of each.
        let keys: [fn(u64) -> u64; 3] =
            [|n| ((n / 128) << 32) + n % 128, |n| (n << 32) + n * 37 % 128, |n| ((n / 8) << 32) + 64 + n % 8];
        for key in keys {
            let mut directory = Directory::<Heap>::new(&Heap, ROOM as usize).unwrap();
            (0..ROOM).for_each(|n| assert!(directory.insert(hash(key(n)), n as u32)));
            let entries = directory.lines.iter().flat_map(|line| line.0).enumerate().filter(|(_, e)| *e != EMPTY);
            let steps: usize = entries.map(|(at, e)| directory.distance(directory.home(e.hash), at)).sum();
            let each = steps as f64 / ROOM as f64;
            assert!(each < LINE as f64 / 2.0, "{each} steps");
        }
    }

    #[test]
    fn a_seat_that_is_not_there_is_not_removed() {
        let mut directory = Directory::<Heap>::new(&Heap, 2).unwrap();
        assert!(directory.insert(5, 0));
        directory.remove(5, 1);
        directory.remove(6, 0);
        assert_eq!(directory.find(5, |_| true), Some(0));
    }
}
