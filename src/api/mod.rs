//! The REST interface: `/api/v1` over a Unix socket, and over TCP with tokens.
//!
//! [`types`] is what goes over the wire; it needs no DPDK, so that the clients are built on any machine.

pub mod metrics;
pub mod types;
