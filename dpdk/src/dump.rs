//! Core dumps leave DPDK's memory out: it is gigabytes of tables, and other people's packets. What remains fits on a disk, and
//! still has the stack of every thread.

use std::ffi::{c_int, c_void};

use dpdk_sys as sys;

/// From now on no core dump has memory of the EAL's, neither what there is nor what it takes later. Where the kernel refuses,
/// dumps are larger; nothing else depends on it.
pub(crate) fn leave_memory_out() {
    // SAFETY: the EAL runs, and `list` asks for no argument.
    unsafe { sys::rte_memseg_list_walk(Some(list), std::ptr::null_mut()) };
    // Where memory is taken once and for all, the EAL has no such events and says so.
    // SAFETY: the EAL runs; the name is a string that it copies, and `event` asks for no argument.
    unsafe { sys::rte_mem_event_callback_register(c"core dumps".as_ptr(), Some(event), std::ptr::null_mut()) };
}

/// Memory that belongs together: some of it in use, the rest reserved.
unsafe extern "C" fn list(list: *const sys::rte_memseg_list, _: *mut c_void) -> c_int {
    // SAFETY: DPDK calls this with a list of its own, which stays as it is meanwhile.
    let list = unsafe { &*list };
    // SAFETY: both members of the union are the same address.
    let start = unsafe { list.__bindgen_anon_1.base_va };
    if list.external == 0 {
        leave_out(start, list.len);
    }
    0
}

unsafe extern "C" fn event(event: sys::rte_mem_event, start: *const c_void, len: usize, _: *mut c_void) {
    if event == sys::RTE_MEM_EVENT_ALLOC {
        leave_out(start.cast_mut(), len);
    }
}

fn leave_out(start: *mut c_void, len: usize) {
    // SAFETY: whole pages of the EAL's; this changes what a core dump has, and no byte of them.
    unsafe { libc::madvise(start, len, libc::MADV_DONTDUMP) };
}
