//! Tools for tests and for `gatun replay`: frames that are written as a sentence ([`build`]) and read as one ([`text`]),
//! capture files ([`pcap`]), an independent opinion on checksums ([`check`]), a gateway in virtual time ([`lab`]), and the same
//! description for either family ([`world`]).
//!
//! Compiled only for tests and with the feature `testkit`; it may use `std` and allocate. The path never calls it.

pub mod build;
pub mod check;
mod counted;
pub mod lab;
pub mod pcap;
mod repair;
pub mod text;
pub mod world;

pub use build::Packet;
pub use counted::Counted;
pub use repair::repair;
pub use world::World;
