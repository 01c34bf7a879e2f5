//! Where the tables live. The worker brings huge pages of its NUMA node, tests bring the heap; the engine sizes and
//! touches everything at start and never grows.

use alloc::vec::Vec;
use core::fmt;
use core::ops::DerefMut;
use zerocopy::FromZeros;

/// A value that all-zero bytes are valid for, and that can be copied: what a table may hold.
pub trait Plain: FromZeros + Copy + Send + Sync + 'static {}
impl<T: FromZeros + Copy + Send + Sync + 'static> Plain for T {}

/// A source of zeroed memory.
pub trait Memory {
    /// An owned slice, freed on drop.
    type Slice<T: Plain>: DerefMut<Target = [T]> + Send;
    /// `len` zeroed values, touched, aligned for `T` (at least to a cache line where `T` says so).
    fn zeroed<T: Plain>(&self, len: usize) -> Result<Self::Slice<T>, OutOfMemory>;
}

/// There is not enough memory for a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory {
    /// What was asked for.
    pub bytes: usize,
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no memory for a table of {} bytes: make [tables] smaller or give more memory", self.bytes)
    }
}

impl core::error::Error for OutOfMemory {}

/// The ordinary heap.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heap;

impl Memory for Heap {
    type Slice<T: Plain> = Vec<T>;
    fn zeroed<T: Plain>(&self, len: usize) -> Result<Vec<T>, OutOfMemory> {
        T::new_vec_zeroed(len).map_err(|_| OutOfMemory { bytes: len.saturating_mul(size_of::<T>()) })
    }
}

/// How lines are asked for: `GATUN_PREFETCH` when gatun is built, one of `t0`, `t1` (the default) and `nta`. `make tune`
/// measures them all on a machine.
///
/// `t1` is into the second level of the cache. A burst asks for more lines at once than the first level can wait for (24 on
/// Zen 4), and what comes on top seems to be lost there, and waited for when it is used. With a million connections a hit took
/// 145 ticks of the time-stamp counter when connections were asked for into the first level, and 98 into the second.
#[cfg(target_arch = "x86_64")]
const HINT: i32 = {
    use core::arch::x86_64::{_MM_HINT_NTA, _MM_HINT_T0, _MM_HINT_T1};
    let asked = match option_env!("GATUN_PREFETCH") {
        Some(hint) => hint.as_bytes(),
        None => b"t1",
    };
    match asked {
        b"t0" => _MM_HINT_T0,
        b"t1" => _MM_HINT_T1,
        b"nta" => _MM_HINT_NTA,
        _ => panic!("GATUN_PREFETCH is one of t0, t1 and nta"),
    }
};

/// Asks the core to load the line of `slice[index]`; an index out of bounds does no harm.
#[inline(always)]
#[allow(unsafe_code)]
pub fn prefetch<T>(slice: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        let item = slice.as_ptr().wrapping_add(index);
        // SAFETY: a prefetch reads nothing, has no effect on memory, and faults for no address.
        unsafe { core::arch::x86_64::_mm_prefetch::<HINT>(item.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (slice, index);
}
