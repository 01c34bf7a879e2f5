//! gatun end to end: the real program on DPDK ports, between real kernels in network namespaces.
//!
//! `make test` runs these with what they need: root, and the programs that `make deps` installs. They run one after the
//! other; each has its own network (see `net.sh`), which is gone when the test ends, however it ends.

#![cfg(feature = "dpdk")]

mod capture;
mod config;
mod gateway;
mod lab;
mod load;
mod peers;

mod demo;
mod floods;
mod ipv6;
mod live_capture;
mod packets;
mod port_reuse;
mod process;
mod reload;
mod rest;
mod steering;
mod syn_flood;
mod web;
