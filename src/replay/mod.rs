//! Replay: captured frames through the gateway, in the time of the packets.
//!
//! [`Gateway`] is a configuration in the laboratory of the engine's testkit; [`Player`] feeds it with frames in the order
//! of their times, lets model [`servers`] answer, and [`map`]s a recorded server side to the tuples that were leased;
//! [`case`] is a golden case of `tests/pcap`; [`bench`] measures what a capture costs. Called by `gatun replay` and by the
//! tests. No clock, no network and no DPDK, but in [`bench`].

pub mod bench;
pub mod case;
pub mod counters;
pub mod explain;
pub mod input;
pub mod map;
pub mod packet;
pub mod player;
pub mod servers;

mod gateway;

pub use gateway::{Error, Gateway, Options, mac};
pub use player::{Observer, Player};
