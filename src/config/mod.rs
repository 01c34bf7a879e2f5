//! The configuration: from a TOML file to a [`Model`] that is known to be right.

mod model;
mod problem;
mod settings;
mod values;

pub use model::{Interface, InterfaceId, LaddrPool, Model, Neighbor, PoolId, Port, PortId, Real, Route, Service};
pub use problem::{Problem, Problems};
pub use settings::{Eal, Lcores, Limit, Limits, Steering, Tables, Tcp, Timeouts};
pub use values::{
    HashKey, HashKeyError, Idle, Mac, MacError, OnServerRemoved, Protocol, Scheduler, Secs, SynTimestamps,
};
