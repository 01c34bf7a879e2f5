//! Memory of DPDK's: huge pages, on a NUMA socket of choice. Under `--no-huge` it is ordinary memory.

use std::ffi::c_uint;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

use dpdk_sys as sys;
use thiserror::Error;
use zerocopy::FromZeros;

use crate::eal::{Eal, EalInner};

/// The alignment of every [`HugeSlice`]: a cache line, in bytes.
pub const ALIGNMENT: usize = 64;

/// Why a slice was not allocated.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MemError {
    /// No room for it in one piece.
    #[error(
        "there is no memory for {bytes} bytes in one piece: reserve more huge pages on that NUMA socket, raise -m, or make the tables smaller"
    )]
    OutOfMemory {
        /// The bytes wanted.
        bytes: usize,
    },
    /// More bytes than an address space has.
    #[error("{count} elements of {size} bytes are more than can be addressed: make the tables smaller")]
    TooLarge {
        /// Elements wanted.
        count: usize,
        /// Bytes of each.
        size: usize,
    },
}

/// A slice of `T` in huge pages, zeroed, at a multiple of 64 bytes. Its length is fixed.
pub struct HugeSlice<T> {
    start: NonNull<T>,
    len: usize,
    owns: PhantomData<T>,
    _eal: Arc<EalInner>,
}

// SAFETY: owns its elements, as a Box does; DPDK frees memory from any thread.
unsafe impl<T: Send> Send for HugeSlice<T> {}
// SAFETY: a shared slice gives out shared references only.
unsafe impl<T: Sync> Sync for HugeSlice<T> {}

impl<T: FromZeros> HugeSlice<T> {
    /// Allocates `len` elements of all zeros on NUMA socket `socket` (`None`: the caller's, or any).
    ///
    /// # Errors
    /// [`MemError::OutOfMemory`] or [`MemError::TooLarge`].
    pub fn zeroed(eal: &Eal, len: usize, socket: Option<u32>) -> Result<Self, MemError> {
        const { assert!(align_of::<T>() <= ALIGNMENT, "a HugeSlice aligns its elements to 64 bytes at most") }
        let bytes = len.checked_mul(size_of::<T>()).filter(|&bytes| bytes <= isize::MAX as usize);
        let bytes = bytes.ok_or(MemError::TooLarge { count: len, size: size_of::<T>() })?;
        let start = if bytes == 0 {
            NonNull::dangling()
        } else {
            let socket = socket.map_or(sys::DPDK_SOCKET_ID_ANY, |socket| socket as i32);
            // SAFETY: the EAL runs; a null type name is allowed, and the alignment is a power of two.
            let start = unsafe { sys::rte_zmalloc_socket(std::ptr::null(), bytes, ALIGNMENT as c_uint, socket) };
            NonNull::new(start.cast()).ok_or(MemError::OutOfMemory { bytes })?
        };
        Ok(Self { start, len, owns: PhantomData, _eal: eal.inner.clone() })
    }
}

impl<T> Deref for HugeSlice<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `len` aligned elements that self owns; all zeros is a value of T (FromZeros, without which none is made).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for HugeSlice<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and self is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T> Drop for HugeSlice<T> {
    fn drop(&mut self) {
        let elements: *mut [T] = &mut **self;
        // SAFETY: the elements are dropped once, here.
        unsafe { std::ptr::drop_in_place(elements) };
        if self.len * size_of::<T>() > 0 {
            // SAFETY: memory from rte_zmalloc_socket, which nobody refers to any more.
            unsafe { sys::rte_free(self.start.as_ptr().cast()) };
        }
    }
}

impl<T> std::fmt::Debug for HugeSlice<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HugeSlice").field("len", &self.len).field("element_bytes", &size_of::<T>()).finish()
    }
}
