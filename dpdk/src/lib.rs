//! The safe layer over DPDK 22.11: EAL, lcores, mempools, mbufs, ports, queues, flow rules, rings and huge-page memory.
//!
//! # What holds
//!
//! - [`Eal`] is the token that DPDK runs. Everything that DPDK must outlive holds a reference to it, so ports are closed
//!   before their mempools are freed, and both before the EAL is cleaned up, in whatever order their owners drop them.
//! - An [`Mbuf`] has one owner. It is not `Clone`, goes back to its mempool when dropped, and a burst takes it by value; what
//!   a queue or ring refuses stays with the caller, in order.
//! - A queue handle exists once, and its bursts take `&mut self`: no two lcores poll one queue.
//! - Between a receive burst and a transmit burst nothing here allocates, locks, panics or calls the system (a virtual
//!   device's PMD may call the system in its burst).
//!
//! # Virtual devices
//!
//! net_af_xdp keeps the mbufs of its fill queue when it is closed, so its pool stays allocated and the device cannot be
//! opened again in the same process; give each such port a pool of its own, and its link a second to settle.
//!
//! # What is absent
//!
//! Cloned and indirect mbufs, transmit-side segmentation, receive interrupts, and everything that knows what a packet means.
//! There is one process: no secondary processes.

mod affinity;
mod clock;
mod dump;
mod eal;
mod errno;
pub mod flow;
mod lcore;
pub mod mbuf;
pub mod mem;
pub mod mempool;
pub mod port;
pub mod ring;
mod softrss;

pub use clock::{rdtsc, tsc_hz};
pub use eal::{Eal, EalError};
pub use errno::Errno;
pub use flow::{FlowError, FlowMatch, FlowRule};
pub use lcore::{LaunchError, LaunchHandle, Lcore, LcoreId, RegisteredThread, current_lcore};
pub use mbuf::{Carrier, HEADROOM, Mbuf};
pub use mem::HugeSlice;
pub use mempool::{Mempool, MempoolError};
pub use port::{Port, PortConfig, PortError, PortInfo, Queues, RxQueue, TxQueue};
pub use softrss::softrss_be;

/// The DPDK release that runs, as `DPDK 22.11.11`.
pub fn version() -> String {
    // SAFETY: rte_version takes no argument and needs no EAL.
    let text = unsafe { dpdk_sys::rte_version() };
    // SAFETY: rte_version returns a NUL-terminated string in static memory.
    unsafe { errno::owned(text) }
}
