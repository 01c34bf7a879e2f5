//! gatun, a FULLNAT gateway and layer 4 load balancer on DPDK: the programs around the engine.
//!
//! [`config`] reads the file into a model and compiles it for the engine. With feature `dpdk`, `worker` polls and `master`
//! answers, watches and publishes. [`replay`] runs the engine over captured packets instead. [`commands`] is what the
//! command line calls.

#![forbid(unsafe_code)]

pub mod api;
pub mod client;
pub mod commands;
pub mod config;
#[cfg(feature = "dpdk")]
pub mod control;
pub mod ctl;
pub mod ipvsadm;
#[cfg(feature = "dpdk")]
pub mod journal;
#[cfg(feature = "dpdk")]
pub mod loadgen;
#[cfg(feature = "dpdk")]
pub mod log;
#[cfg(feature = "dpdk")]
pub mod master;
pub mod replay;
#[cfg(feature = "dpdk")]
pub mod worker;
