//! A set of the 512 ports of a chunk, by their number in the class.

use crate::steer::RESERVED;

/// A set of the ports of a chunk: one cache line.
#[derive(Clone, Copy, zerocopy::FromZeros)]
#[repr(C, align(64))]
pub(super) struct Bits(pub(super) [u64; 8]);

impl Bits {
    pub(super) const NONE: Bits = Bits([0; 8]);
    /// Those that are never used.
    pub(super) const NEVER: Bits = Bits([(1 << RESERVED) - 1, 0, 0, 0, 0, 0, 0, 0]);

    #[inline(always)]
    pub(super) fn has(&self, i: u16) -> bool {
        self.0[usize::from(i / 64) % 8] >> (i % 64) & 1 != 0
    }
    pub(super) fn set(&mut self, i: u16) {
        self.0[usize::from(i / 64) % 8] |= 1 << (i % 64);
    }
    pub(super) fn clear(&mut self, i: u16) {
        self.0[usize::from(i / 64) % 8] &= !(1 << (i % 64));
    }
    pub(super) fn count(&self) -> u16 {
        self.0.iter().map(|w| w.count_ones() as u16).sum()
    }
    pub(super) fn except(&self, other: &Bits) -> Bits {
        Bits(core::array::from_fn(|w| self.0[w] & !other.0[w]))
    }
    /// The first member for which `good` holds, from `start` on and around.
    pub(super) fn pick(&self, start: u16, good: impl FnMut(u16) -> bool) -> Option<u16> {
        pick(|w| self.0[w], start, good)
    }
    /// As [`Bits::pick`], of those that are no members.
    pub(super) fn pick_other(&self, start: u16, good: impl FnMut(u16) -> bool) -> Option<u16> {
        pick(|w| !self.0[w], start, good)
    }
}

#[inline(always)]
fn pick(word_of: impl Fn(usize) -> u64, start: u16, mut good: impl FnMut(u16) -> bool) -> Option<u16> {
    let (word, above) = (usize::from(start / 64), u64::MAX << (start % 64));
    for n in 0..=8 {
        let w = (word + n) % 8;
        let mut left = word_of(w) & if n == 0 { above } else { u64::MAX } & if n == 8 { !above } else { u64::MAX };
        while left != 0 {
            let i = (w * 64) as u16 + left.trailing_zeros() as u16;
            if good(i) {
                return Some(i);
            }
            left &= left - 1;
        }
    }
    None
}
