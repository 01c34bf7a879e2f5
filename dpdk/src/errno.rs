//! DPDK's error numbers: where they are kept, and what they are called.

use std::ffi::{CStr, c_char, c_int};
use std::fmt;

/// A positive errno value, as DPDK reports it; displays as its text and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// The calling thread's `rte_errno`.
    pub(crate) fn last() -> Self {
        // SAFETY: reads a thread-local of the calling thread.
        Self(unsafe { dpdk_sys::dpdk_errno() })
    }

    /// From the result of a call that returns 0 or a negated errno.
    pub(crate) fn check(result: c_int) -> Result<(), Self> {
        if result < 0 { Err(Self(-result)) } else { Ok(()) }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: any number is accepted; the text is in static or thread-local memory.
        let text = unsafe { dpdk_sys::rte_strerror(self.0) };
        // SAFETY: rte_strerror never returns null, and its text is only replaced by this thread's next call.
        let text = unsafe { owned(text) };
        write!(f, "{text} (errno {})", self.0)
    }
}

/// Copies a C string; an empty string for null.
///
/// # Safety
/// `text` is null or points to a NUL-terminated string that stays as it is during the call.
pub(crate) unsafe fn owned(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}
