//! From a key to the seat of what has it: a hash table of fixed size with open addressing.
//!
//! An entry is 8 bytes, the hash and the seat; the key itself lies in the seat, and the caller compares it. Entries are
//! probed in line and moved back when one before them goes, so that there are no tombstones and a long life costs
//! nothing. It never grows: at most three quarters of it are ever used.

use crate::mem::{Memory, OutOfMemory, prefetch};

#[derive(Clone, Copy, PartialEq, Eq, zerocopy::FromZeros)]
#[repr(C)]
struct Entry {
    hash: u32,
    /// The seat + 1; 0 is an empty entry.
    seat: u32,
}

const EMPTY: Entry = Entry { hash: 0, seat: 0 };

pub(super) struct Directory<M: Memory> {
    entries: M::Slice<Entry>,
    len: usize,
    room: usize,
    /// Look-ups so far: tests bound what a call may cost.
    #[cfg(test)]
    pub(super) finds: core::cell::Cell<u64>,
}

/// The hash of a key: one multiplication, folded. Keys are made of our own ids, so nobody can choose collisions.
#[inline(always)]
pub(super) fn hash(key: u64) -> u32 {
    let product = u128::from(key) * 0x9e37_79b9_7f4a_7c15;
    ((product >> 64 ^ product) >> 32) as u32
}

impl<M: Memory> Directory<M> {
    /// Room for `room` entries.
    pub(super) fn new(memory: &M, room: usize) -> Result<Self, OutOfMemory> {
        let entries = memory.zeroed(room.saturating_add(room / 3).saturating_add(4))?;
        Ok(Directory {
            entries,
            len: 0,
            room,
            #[cfg(test)]
            finds: Default::default(),
        })
    }

    /// Loads the entry where a search for this hash begins.
    #[inline(always)]
    pub(super) fn prefetch(&self, hash: u32) {
        prefetch(&self.entries, self.home(hash));
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
        self.entries[at] = Entry { hash, seat: seat + 1 };
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
                self.entries[hole] = entry;
                hole = at;
            }
        }
        self.entries[hole] = EMPTY;
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    fn entry(&self, at: usize) -> Entry {
        self.entries.get(at).copied().unwrap_or(EMPTY)
    }
    #[inline(always)]
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.entries.len() as u64) >> 32) as usize
    }
    #[inline(always)]
    fn after(&self, at: usize) -> usize {
        if at + 1 < self.entries.len() { at + 1 } else { 0 }
    }
    /// Steps from `from` to `to`, around the end.
    #[inline(always)]
    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.entries.len() - from }
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
            prop_assert!(directory.entries.iter().all(|e| *e == EMPTY));
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
