//! Counters since the start, and rates over 1, 10 and 60 seconds.

use super::Protocol;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use utoipa::ToSchema;

/// What a real server or a service has served since the start, or since its counters were set to zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// Connections now that LVS calls active.
    pub active: u64,
    /// All other connections now.
    pub inactive: u64,
    /// Connections ever.
    pub conns: u64,
    /// Packets from clients.
    pub in_pkts: u64,
    /// Packets to clients.
    pub out_pkts: u64,
    /// Bytes of IP packets from clients.
    pub in_bytes: u64,
    /// Bytes of IP packets to clients.
    pub out_bytes: u64,
}

/// A second's worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rate {
    /// Connections opened a second.
    pub conns: f64,
    /// Packets from clients a second; of a port or lcore, packets received.
    pub in_pkts: f64,
    /// Packets to clients a second; of a port or lcore, packets sent.
    pub out_pkts: f64,
    /// Bytes a second.
    pub in_bytes: f64,
    /// Bytes a second.
    pub out_bytes: f64,
}

/// The average over the last second, ten seconds and minute, or since the start where that was later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rates {
    /// Over 1 s.
    pub s1: Rate,
    /// Over 10 s.
    pub s10: Rate,
    /// Over 60 s.
    pub s60: Rate,
}

/// How often something happened a second, over 1, 10 and 60 s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Counted {
    /// Ever.
    pub count: u64,
    /// A second, over 1 s.
    pub s1: f64,
    /// A second, over 10 s.
    pub s10: f64,
    /// A second, over 60 s.
    pub s60: f64,
}

/// Everything that is counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// When the counters were read.
    pub at: String,
    /// In the order of the configuration.
    pub services: Vec<ServiceStats>,
    /// By port.
    pub ports: Vec<PortStats>,
    /// By worker.
    pub lcores: Vec<LcoreStats>,
    /// Connections now, by state as ipvsadm names it, on all lcores.
    #[serde(default)]
    pub states: BTreeMap<String, u64>,
    /// The local addresses, the one with the fullest class first; no more than a thousand.
    #[serde(default)]
    pub laddrs: Vec<LaddrStats>,
    /// Frames thrown away, by reason, on all lcores; every reason that there is.
    pub drops: Vec<Reason>,
    /// Frames given to the master, by reason, on all lcores; every reason that there is.
    pub punts: Vec<Reason>,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceStats {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// VIP and port.
    #[schema(value_type = String)]
    pub address: SocketAddr,
    /// All real servers together.
    pub totals: Totals,
    /// All real servers together.
    pub rates: Rates,
    /// How many real servers it has.
    #[serde(default)]
    pub servers: u64,
    /// Its real servers; none with `reals=false`.
    pub reals: Vec<RealStats>,
}

/// A real server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RealStats {
    /// Its id.
    pub id: String,
    /// Address and port.
    #[schema(value_type = String)]
    pub address: SocketAddr,
    /// Its weight.
    pub weight: u16,
    /// Since the start.
    pub totals: Totals,
    /// Lately.
    pub rates: Rates,
}

/// A port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PortStats {
    /// Its name.
    pub name: String,
    /// Frames received, sent and lost.
    pub rx_frames: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Frames that the card had no room for.
    pub rx_missed: u64,
    /// Frames that came in damaged.
    pub rx_errors: u64,
    /// Frames for which there was no buffer.
    pub rx_no_mbuf: u64,
    /// Frames sent.
    pub tx_frames: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Frames that could not be sent.
    pub tx_errors: u64,
    /// Lately; connections are not counted here.
    pub rates: Rates,
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LcoreStats {
    /// Its EAL lcore.
    pub id: u32,
    /// Connections now.
    pub connections: u64,
    /// Local ports taken now.
    pub ports_in_use: u64,
    /// Lately.
    pub rates: Rates,
}

/// A local address. Its ports are counted some at a time: what is told is up to half a minute old.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LaddrStats {
    /// The address.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// Ports taken now, but for those that servers with few connections take at random.
    pub ports_in_use: u64,
    /// The share that is taken of the ports of its fullest class towards any server.
    pub fullest_class: f64,
}

/// A reason why frames were thrown away or given to the master.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// Its name.
    pub reason: String,
    /// What it means.
    pub help: String,
    /// How often.
    #[serde(flatten)]
    pub counted: Counted,
}
