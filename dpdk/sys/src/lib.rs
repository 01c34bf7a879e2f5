//! Raw bindings to the system's libdpdk 22.11, made by bindgen at build time.
//!
//! Only what the crate `dpdk` calls is bound; `build.rs` has the list. DPDK's inline functions (bursts, mbuf and ring
//! operations) come through a small C shim that the build compiles. Nothing here is safe and nothing here is documented:
//! the names are DPDK's own, and so is their documentation at <https://doc.dpdk.org/api-22.11/>.
//!
//! `build.rs` emits `DEP_DPDK_LIBDIR`, `DEP_DPDK_VERSION` and `DEP_DPDK_LINK_ARGS` for the build scripts of the crates
//! that depend on this one directly.

#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unnecessary_transmutes,
    rust_2018_idioms,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block
)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
