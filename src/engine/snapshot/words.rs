//! A map by a word, for what the configuration fills and every packet of no connection asks: one multiplication, one cache
//! line, and no branch on what stands in it.
//!
//! Nobody but the configuration puts anything in, so what is looked up can not make it any longer to search.

use super::mixed;
use alloc::vec::Vec;

/// Seats that are looked at together: a cache line.
const GROUP: usize = 2;
/// What stands in an empty seat.
const EMPTY: u64 = u64::MAX;

/// A word stands in the first free seat from the beginning of its group on, and moves back when one before it goes. At most
/// a quarter of the seats are taken.
#[derive(Clone, Debug)]
pub(super) struct Words<V> {
    /// None, or a power of two of them.
    seats: Vec<(u64, Option<V>)>,
    len: usize,
}

impl<V> Default for Words<V> {
    fn default() -> Self {
        Words { seats: Vec::new(), len: 0 }
    }
}

impl<V> Words<V> {
    /// What a word stands for.
    #[inline(always)]
    pub(super) fn get(&self, word: u64) -> Option<&V> {
        let (groups, _) = self.seats.as_chunks::<GROUP>();
        let mut at = self.home(word);
        loop {
            let group = groups.get(at / GROUP)?;
            let same = group.iter().rev().fold(0, |same, (other, _)| same << 1 | u32::from(*other == word));
            if same != 0 {
                return group[same.trailing_zeros() as usize % GROUP].1.as_ref();
            }
            if group[GROUP - 1].0 == EMPTY {
                return None;
            }
            at = self.beyond(at, GROUP);
        }
    }

    /// Enters a value for a word that is not [`EMPTY`], and gives the one that the word had.
    pub(super) fn insert(&mut self, word: u64, value: V) -> Option<V> {
        debug_assert_ne!(word, EMPTY);
        if 4 * self.len >= self.seats.len() {
            self.grow();
        }
        let at = self.seat_of(word);
        let before = core::mem::replace(&mut self.seats[at], (word, Some(value))).1;
        self.len += usize::from(before.is_none());
        before
    }

    /// Takes a word out, and gives what it stood for.
    pub(super) fn remove(&mut self, word: u64) -> Option<V> {
        if self.seats.is_empty() {
            return None;
        }
        let mut hole = self.seat_of(word);
        let value = core::mem::replace(&mut self.seats[hole], (EMPTY, None)).1?;
        self.len -= 1;
        // Whoever stands behind the hole, and does not begin to be searched behind it, moves into it and leaves a new one.
        let mut at = self.beyond(hole, 1);
        while self.seats[at].0 != EMPTY {
            if self.steps(self.home(self.seats[at].0), at) >= self.steps(hole, at) {
                self.seats.swap(hole, at);
                hole = at;
            }
            at = self.beyond(at, 1);
        }
        Some(value)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &V)> {
        self.seats.iter().filter_map(|(word, value)| Some((*word, value.as_ref()?)))
    }

    /// All values, in no order.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.seats.iter_mut().filter_map(|(_, value)| value.as_mut())
    }

    fn grow(&mut self) {
        let mut seats = Vec::new();
        seats.resize_with((2 * self.seats.len()).max(4 * GROUP), || (EMPTY, None));
        for seat in core::mem::replace(&mut self.seats, seats).into_iter().filter(|(word, _)| *word != EMPTY) {
            let at = self.seat_of(seat.0);
            self.seats[at] = seat;
        }
    }

    /// The seat that has the word, or would have it.
    fn seat_of(&self, word: u64) -> usize {
        let mut at = self.home(word);
        while ![word, EMPTY].contains(&self.seats[at].0) {
            at = self.beyond(at, 1);
        }
        at
    }

    /// The first seat of the group that a word belongs to.
    #[inline(always)]
    fn home(&self, word: u64) -> usize {
        mixed(word) as usize & self.seats.len().wrapping_sub(GROUP)
    }
    /// The seat so many behind another, around the end.
    #[inline(always)]
    fn beyond(&self, at: usize, by: usize) -> usize {
        (at + by) & self.seats.len().wrapping_sub(1)
    }
    /// From one seat to another, around the end.
    fn steps(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.seats.len().wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn it_agrees_with_a_hash_map_however_words_come_and_go(
            ops in proptest::collection::vec((any::<bool>(), 0u64..90, any::<u16>()), 1..900),
            apart in prop_oneof![Just(0u32), Just(24), Just(48)],
        ) {
            let (mut words, mut model) = (Words::default(), HashMap::new());
            for (insert, word, value) in ops {
                let word = word << apart;
                if insert {
                    prop_assert_eq!(words.insert(word, value), model.insert(word, value));
                } else {
                    prop_assert_eq!(words.remove(word), model.remove(&word));
                }
                prop_assert_eq!(words.len(), model.len());
            }
            for word in (0..90).map(|n| n << apart) {
                prop_assert_eq!(words.get(word), model.get(&word));
            }
            let all: HashMap<u64, u16> = words.iter().map(|(word, value)| (word, *value)).collect();
            prop_assert_eq!(all, model);
        }
    }

    #[test]
    fn whatever_numbers_the_services_have_a_look_is_short() {
        let crowds: [fn(u64) -> u64; 4] = [
            |n| n,
            |n| (0x1_12C6 + (n << 24)) << 24 | 6 << 16 | 0x5000,
            |n| (0x1_12C6 + ((n % 256) << 24) + ((n / 256) << 16)) << 24 | 6 << 16 | 0x5000,
            |n| 0x0100_12C6 << 24 | 17 << 16 | ((n % 256) << 8) | (n / 256),
        ];
        for crowd in crowds {
            let mut words = Words::default();
            (0..10_000).for_each(|n| _ = words.insert(crowd(n), n));
            let away = (0..words.seats.len())
                .filter(|at| words.seats[*at].1.is_some())
                .filter(|at| words.steps(words.home(words.seats[*at].0), *at) >= GROUP);
            assert!(away.count() < words.len() / 20, "in other groups than their own");
        }
    }
}
