//! The pure core of gatun: frames go in, frames and verdicts come out.
//!
//! It owns the tables, pools, timers, schedulers and state machines of one forwarding core. It does no I/O, reads no
//! clock, starts no thread: time ([`time::Tick`]), randomness (a seed) and memory ([`mem::Memory`]) are arguments.
//! The same input, seed and shard count give the same output, byte for byte.
//!
//! Read [`path`] first: it is the way of a packet.
#![cfg_attr(not(any(test, feature = "testkit")), no_std)]
#![deny(unsafe_code)] // but for the prefetch hint, in `mem`
extern crate alloc;

pub mod addr;
pub mod mem;
pub mod time;

pub mod frame;
pub mod lcore;
pub mod limit;
pub mod path;
pub mod verdict;

pub mod conn;
pub mod laddr;
pub mod sched;
pub mod shard;
pub mod steer;
pub mod tw;

pub mod egress;
pub mod local;
pub mod neighbor;
pub mod snapshot;
pub mod stats;

pub mod wire;

#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
