//! Local addresses, routes, neighbours, ports and lcores.

use super::object::objects;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use utoipa::ToSchema;

objects!(LaddrPoolSpec, RouteSpec, NeighborSpec);

/// A pool of local addresses as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct LaddrPoolSpec {
    /// What services call it.
    #[schema(example = "lan")]
    pub name: String,
    /// Addresses, ranges and subnets, as in `198.18.2.10`, `198.18.2.16-198.18.2.20`, `198.18.2.32/28`.
    #[schema(example = json!(["198.18.2.100-198.18.2.101"]))]
    pub addresses: Vec<String>,
}

/// A pool as it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LaddrPool {
    /// Its name, by which it is known.
    pub name: String,
    /// As they were written.
    pub addresses: Vec<String>,
    /// How many local addresses that is.
    pub size: u64,
    /// The ids of the services that take from it.
    pub services: Vec<String>,
}

/// A static route as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct RouteSpec {
    /// The destinations, as in `198.18.64.0/18`.
    #[schema(example = "198.18.64.0/18")]
    pub to: String,
    /// The next hop, on a connected subnet.
    #[schema(value_type = String, format = "ip-address", example = "198.18.2.1")]
    pub via: IpAddr,
    /// The interface of a link-local next hop, as in `lan` or `lan.100`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
}

/// A static route as it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Route {
    /// Its destinations in one word: `198.18.64.0-18`.
    pub id: String,
    /// The destinations.
    pub to: String,
    /// The next hop.
    #[schema(value_type = String)]
    pub via: IpAddr,
    /// The port, with the VLAN where there is one: `lan`, `lan.100`.
    pub interface: String,
}

/// A static neighbour as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct NeighborSpec {
    /// Its address, on a connected subnet.
    #[schema(value_type = String, format = "ip-address", example = "198.18.2.21")]
    pub address: IpAddr,
    /// Its MAC address.
    #[schema(example = "02:00:00:00:02:21")]
    pub mac: String,
    /// The interface of a link-local address, as in `lan` or `lan.100`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
}

/// A next hop that is known or asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Neighbor {
    /// Its address, by which it is known.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// The port, with the VLAN where there is one: `lan`, `lan.100`.
    pub interface: String,
    /// Absent while it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Whether it answers.
    pub state: NeighborState,
    /// It was written down, and is never asked.
    pub fixed: bool,
}

/// See [`Neighbor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NeighborState {
    /// Its MAC address is known.
    Reachable,
    /// It is being asked.
    Incomplete,
    /// It did not answer.
    Failed,
}

/// A port of the network card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Port {
    /// Its name, by which it is known.
    pub name: String,
    /// The device, as in the file.
    pub device: String,
    /// The poll-mode driver.
    pub driver: String,
    /// Its MAC address.
    #[schema(example = "02:00:00:00:02:21")]
    pub mac: String,
    /// Whether the link is up.
    pub up: bool,
    /// Megabits a second; absent where the device does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<u32>,
    /// The most bytes of an IP packet.
    pub mtu: u16,
    /// Its receive queues. Workers without one live on what others hand over.
    pub rx_queues: u32,
    /// Its transmit queues. Workers without one send through others.
    pub tx_queues: u32,
    /// What the card does for gatun, by DPDK's names.
    pub offloads: Vec<String>,
    /// How its packets come to the worker that owns their connection.
    pub steering: PortSteering,
    /// Frames and bytes received and sent, and what the device lost.
    pub stats: BTreeMap<String, u64>,
    /// The device's own counters; only of a single port.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xstats: BTreeMap<String, u64>,
}

/// The steering of a port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortSteering {
    /// What the file asks for: auto, rss, flow, software.
    pub asked: String,
    /// What runs: rss, flow, software.
    pub runs: String,
    /// Why, in a sentence.
    pub why: String,
    /// How often it fell to software from what was asked for.
    pub falls: u64,
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Lcore {
    /// Its EAL lcore, by which it is known.
    pub id: u32,
    /// Its CPU.
    pub cpu: u32,
    /// The share of its turns in the last second that found something to do.
    pub busy: f64,
    /// Frames in a burst that held any, on the average of the last second, of 64.
    pub burst_fill: f64,
    /// Connections now.
    pub connections: u64,
    /// Local ports taken now.
    pub ports_in_use: u64,
    /// The share of the frames that it received that it had to hand over, since the start.
    pub redirected: f64,
    /// The generation that it runs.
    pub generation_running: u64,
    /// Connections now, by state as ipvsadm names it; states with none are left out.
    #[serde(default)]
    pub states: BTreeMap<String, u64>,
    /// Every counter.
    pub counters: BTreeMap<String, u64>,
    /// Drops by reason, where there were any.
    pub drops: BTreeMap<String, u64>,
    /// Punts by reason, where there were any.
    pub punts: BTreeMap<String, u64>,
    /// How often it made no progress for a second although it ran.
    pub stalls: u64,
    /// How often it made no progress for a second because it did not get to run.
    pub descheduled: u64,
    /// Where it is, while it is stalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled: Option<String>,
}
