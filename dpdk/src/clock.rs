//! The time stamp counter. Reading it takes about 9 ns: once a burst, not once a packet.

/// The time stamp counter, in cycles of [`tsc_hz`].
#[inline]
pub fn rdtsc() -> u64 {
    // SAFETY: an unprivileged instruction without operands.
    unsafe { dpdk_sys::rte_rdtsc() }
}

/// The frequency of [`rdtsc`] in Hz, measured when the EAL started; 0 before.
pub fn tsc_hz() -> u64 {
    // SAFETY: reads a variable that only rte_eal_init writes.
    unsafe { dpdk_sys::rte_get_tsc_hz() }
}
