//! The subcommands of `gatun`.

pub mod check_config;
pub mod replay;
#[cfg(feature = "dpdk")]
pub mod run;
#[cfg(feature = "dpdk")]
pub mod status;
#[cfg(feature = "dpdk")]
pub mod token;
