//! Seats of one kind, taken and freed in constant time: storage of fixed size with a list of the free ones.
//!
//! It owns the seats; who holds an index decides what lives there. It never grows and never touches a seat that was not
//! yet used.

use crate::mem::{Memory, OutOfMemory, Plain, prefetch};
use core::ops::{Index, IndexMut};

/// The index of nothing.
pub(super) const NONE: u32 = u32::MAX;

/// A value with a field that may hold the free list while it is not in use.
pub(super) trait Seat: Plain {
    fn link(&mut self) -> &mut u32;
}

pub(super) struct Slab<M: Memory, T: Seat> {
    seats: M::Slice<T>,
    free: u32,
    /// Seats from here on were never used.
    fresh: u32,
    used: u32,
}

impl<M: Memory, T: Seat> Slab<M, T> {
    pub(super) fn new(memory: &M, seats: usize) -> Result<Self, OutOfMemory> {
        if seats >= NONE as usize {
            return Err(OutOfMemory { bytes: seats.saturating_mul(size_of::<T>()) });
        }
        Ok(Slab { seats: memory.zeroed(seats)?, free: NONE, fresh: 0, used: 0 })
    }

    /// A seat with `value` in it; `None` when all are in use.
    pub(super) fn take(&mut self, value: T) -> Option<u32> {
        let index = if self.free != NONE { self.free } else { self.fresh };
        let seat = self.seats.get_mut(index as usize)?;
        if self.free != NONE {
            self.free = *seat.link();
        } else {
            self.fresh += 1;
        }
        *seat = value;
        self.used += 1;
        Some(index)
    }

    /// Frees a seat and leaves `empty` in it, but for the link.
    pub(super) fn give(&mut self, index: u32, empty: T) {
        let free = self.free;
        let seat = &mut self[index];
        *seat = empty;
        *seat.link() = free;
        self.free = index;
        self.used -= 1;
    }

    pub(super) fn prefetch(&self, index: u32) {
        prefetch(&self.seats, index as usize);
    }
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        self.seats.get(index as usize)
    }
    pub(super) fn is_full(&self) -> bool {
        self.used == self.total()
    }
    pub(super) fn used(&self) -> u32 {
        self.used
    }
    pub(super) fn total(&self) -> u32 {
        self.seats.len() as u32
    }
    /// One past the highest index that was ever in use.
    pub(super) fn touched(&self) -> u32 {
        self.fresh
    }
}

impl<M: Memory, T: Seat> Index<u32> for Slab<M, T> {
    type Output = T;
    #[inline(always)]
    fn index(&self, index: u32) -> &T {
        &self.seats[index as usize]
    }
}

impl<M: Memory, T: Seat> IndexMut<u32> for Slab<M, T> {
    #[inline(always)]
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.seats[index as usize]
    }
}
