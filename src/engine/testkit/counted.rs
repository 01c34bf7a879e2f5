//! A heap that counts what is asked of it.

use crate::mem::{Heap, Memory, OutOfMemory, Plain};
use core::cell::Cell;

/// The heap, and the bytes that were taken from it.
#[derive(Debug, Default)]
pub struct Counted(pub Cell<usize>);

impl Memory for Counted {
    type Slice<T: Plain> = Vec<T>;
    fn zeroed<T: Plain>(&self, len: usize) -> Result<Vec<T>, OutOfMemory> {
        self.0.set(self.0.get() + len * size_of::<T>());
        Heap.zeroed(len)
    }
}
