//! The REST interface: `/api/v1` over a Unix socket, and over TCP with tokens.
//!
//! [`types`] is what goes over the wire; it needs no DPDK, so that the clients are built on any machine. The rest answers: the
//! front admits requests, Rocket routes them, the routes ask the keeper of the configuration and the master. All of it runs in
//! ordinary threads, away from the workers' CPUs; none of it touches a packet.

#[cfg(feature = "dpdk")]
mod answer;
#[cfg(feature = "dpdk")]
mod app;
#[cfg(feature = "dpdk")]
mod capture;
#[cfg(feature = "dpdk")]
mod catcher;
#[cfg(feature = "dpdk")]
mod certificate;
#[cfg(feature = "dpdk")]
mod front;
#[cfg(feature = "dpdk")]
mod meter;
pub mod metrics;
#[cfg(feature = "dpdk")]
mod openapi;
#[cfg(feature = "dpdk")]
mod rate;
#[cfg(feature = "dpdk")]
mod routes;
#[cfg(feature = "dpdk")]
pub mod server;
#[cfg(feature = "dpdk")]
mod stream;
#[cfg(feature = "dpdk")]
pub mod tokens;
pub mod types;
#[cfg(feature = "dpdk")]
mod view;
#[cfg(feature = "dpdk")]
mod watched;

#[cfg(feature = "dpdk")]
pub use openapi::document;
