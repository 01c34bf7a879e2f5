//! gatun, a FULLNAT gateway and layer 4 load balancer on DPDK: the programs around the engine.
//!
//! [`config`] reads the file into a model; [`replay`] runs it over captured packets.

#![forbid(unsafe_code)]

pub mod commands;
pub mod config;
pub mod replay;
