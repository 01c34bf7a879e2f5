//! A set of the 512 ports of a chunk, by their number in the class.

use crate::steer::{PORTS, RESERVED};
use wide::u32x4;

const WORDS: usize = PORTS as usize / 32;

/// A set of the ports of a chunk: one cache line.
#[derive(Clone, Copy, zerocopy::FromZeros)]
#[repr(C, align(64))]
pub(super) struct Bits([u32; WORDS]);

impl Bits {
    pub(super) const NONE: Bits = Bits([0; WORDS]);
    /// Those that are never used.
    pub(super) const NEVER: Bits = {
        let mut never = Bits::NONE;
        never.0[0] = (1 << RESERVED) - 1;
        never
    };

    #[inline(always)]
    pub(super) fn has(&self, i: u16) -> bool {
        self.0[usize::from(i / 32) % WORDS] >> (i % 32) & 1 != 0
    }
    #[inline(always)]
    pub(super) fn set(&mut self, i: u16) {
        self.0[usize::from(i / 32) % WORDS] |= 1 << (i % 32);
    }
    #[inline(always)]
    pub(super) fn clear(&mut self, i: u16) {
        self.0[usize::from(i / 32) % WORDS] &= !(1 << (i % 32));
    }
    pub(super) fn count(&self) -> u16 {
        self.0.iter().map(|w| w.count_ones() as u16).sum()
    }
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.words_other_than(0) == 0
    }
    pub(super) fn except(&self, other: &Bits) -> Bits {
        Bits(core::array::from_fn(|w| self.0[w] & !other.0[w]))
    }
    fn others(&self) -> Bits {
        Bits(self.0.map(|w| !w))
    }

    /// A member for which `good` holds. Begins with the first word that has a member, from that of `start` on and around,
    /// and in it with the first member from the place of `start` on and around.
    #[inline(always)]
    pub(super) fn pick(&self, start: u16, mut good: impl FnMut(u16) -> bool) -> Option<u16> {
        let i = nearest(start, |w| self.0[w], || self.words_other_than(0))?;
        if good(i) { Some(i) } else { further(*self, i, good) }
    }
    /// As [`Bits::pick`], of those that are no members.
    #[inline(always)]
    pub(super) fn pick_other(&self, start: u16, mut good: impl FnMut(u16) -> bool) -> Option<u16> {
        let i = nearest(start, |w| !self.0[w], || self.words_other_than(u32::MAX))?;
        if good(i) { Some(i) } else { further(self.others(), i, good) }
    }

    /// A bit for each word that is not this one.
    #[inline(always)]
    fn words_other_than(&self, word: u32) -> u32 {
        let (quarters, _) = self.0.as_chunks::<4>();
        let equal = |quarter: &[u32; 4]| u32x4::new(*quarter).simd_eq(u32x4::splat(word)).to_bitmask();
        let equal = quarters.iter().rev().fold(0, |all, quarter| all << 4 | equal(quarter));
        !equal & 0xFFFF
    }
}

/// The other members, when the first was not liked.
#[inline(never)]
fn further(mut left: Bits, refused: u16, mut good: impl FnMut(u16) -> bool) -> Option<u16> {
    let mut i = refused;
    loop {
        left.clear(i);
        i = nearest(i, |w| left.0[w], || left.words_other_than(0))?;
        if good(i) {
            return Some(i);
        }
    }
}

/// The member to begin with, where `words` are those with a member. They are looked at together, and only when the word of
/// `start` has none: it nearly always has, unless hardly any port is left.
#[inline(always)]
fn nearest(start: u16, word: impl Fn(usize) -> u32, words: impl FnOnce() -> u32) -> Option<u16> {
    let (mut w, by) = (usize::from(start / 32) % WORDS, u32::from(start % 32));
    if word(w) == 0 {
        let words = words();
        let turned = (words | words << WORDS) >> w;
        w = (w + turned.trailing_zeros() as usize) % WORDS;
        if words == 0 {
            return None;
        }
    }
    let turned = word(w).rotate_right(by);
    Some(w as u16 * 32 + ((turned.trailing_zeros() + by) % 32) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_member_is_offered_once_whatever_the_start_and_only_until_one_is_liked(
            words: [u32; 16], thin: [u32; 16], start in 0u16..512, liked in 0usize..600,
        ) {
            let bits = Bits(core::array::from_fn(|w| words[w] & thin[w] & (thin[w] >> 7)));
            let members: Vec<u16> = (0..512).filter(|i| bits.has(*i)).collect();
            prop_assert_eq!((members.len() as u16, members.is_empty()), (bits.count(), bits.is_empty()));
            let mut offered = Vec::new();
            let picked = bits.pick(start, |i| {
                offered.push(i);
                offered.len() > liked
            });
            prop_assert_eq!(picked.is_some(), liked < members.len());
            if bits.has(start) {
                prop_assert_eq!(offered[0], start);
            }
            prop_assert!(offered.iter().all(|i| bits.has(*i)));
            prop_assert_eq!(bits.others().pick_other(start, |_| true), bits.pick(start, |_| true));
            offered.sort();
            offered.dedup();
            prop_assert_eq!(offered.len(), members.len().min(liked + 1));
        }
    }
}
