//! The CPUs a thread may run on. `rte_eal_init` pins its caller; this module takes the pin out again.

use std::io;
use std::mem::size_of;

/// A set of CPUs, as the kernel keeps it.
#[derive(Clone, Copy)]
pub(crate) struct CpuSet(libc::cpu_set_t);

impl CpuSet {
    /// The CPUs of the calling thread.
    pub(crate) fn current() -> io::Result<Self> {
        // SAFETY: cpu_set_t is an array of integers, for which zero is a value.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: 0 is the calling thread, and `set` has the size that is passed.
        let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
        if result == 0 { Ok(Self(set)) } else { Err(io::Error::last_os_error()) }
    }

    /// Lets the calling thread run on this set.
    pub(crate) fn apply(&self) -> io::Result<()> {
        // SAFETY: 0 is the calling thread, and the set has the size that is passed.
        let result = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &self.0) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}
