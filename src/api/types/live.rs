//! What is asked of the running gateway: connections, drops, the way of a tuple, health.

use super::Protocol;
use super::object::objects;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use utoipa::ToSchema;

objects!(TraceSpec);

/// The program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// Its version.
    pub version: String,
    /// The version of this interface.
    pub api: String,
    /// DPDK's version.
    pub dpdk: String,
    /// When it was started.
    pub started: String,
}

/// Whether it can do its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Every check passes.
    pub ok: bool,
    /// Every configured next hop has been probed.
    pub ready: bool,
    /// The oldest generation that a worker still runs.
    pub generation_running: u64,
    /// What was looked at.
    pub checks: Vec<HealthCheck>,
}

/// One look at the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthCheck {
    /// What: `workers`, `journal`, `next_hops`, `ports`, `configuration`.
    pub name: String,
    /// Whether it is well.
    pub ok: bool,
    /// What was found, in a sentence.
    pub detail: String,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Connection {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// cip:cport
    #[schema(value_type = String)]
    pub client: SocketAddr,
    /// vip:vport
    #[schema(value_type = String)]
    pub vip: SocketAddr,
    /// lip:lport
    #[schema(value_type = String)]
    pub local: SocketAddr,
    /// rip:rport
    #[schema(value_type = String)]
    pub real: SocketAddr,
    /// As ipvsadm names it.
    pub state: String,
    /// Seconds until it expires.
    pub expires: u32,
    /// The worker that owns it.
    pub lcore: u32,
}

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Count {
    /// So many.
    pub count: u64,
}

/// Connections that were ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Killed {
    /// So many.
    pub killed: u64,
}

/// A drop reason, and the last frames that it met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Drop {
    /// Its name.
    pub reason: String,
    /// What it means.
    pub help: String,
    /// How often, on all lcores.
    pub count: u64,
    /// At most 16, the newest first.
    pub last: Vec<DroppedFrame>,
}

/// A frame that was thrown away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DroppedFrame {
    /// When.
    pub at: String,
    /// The port that it came in by.
    pub port: String,
    /// The worker that threw it away.
    pub lcore: u32,
    /// Bytes of the frame.
    pub len: u32,
    /// Its protocol number; absent where it is no IP packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u8>,
    /// Where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub src: Option<SocketAddr>,
    /// Where it was to go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub dst: Option<SocketAddr>,
}

/// The tuple of a packet that might come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct TraceSpec {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Where it comes from.
    #[schema(value_type = String, format = "socket-address", example = "198.18.1.1:40000")]
    pub client: SocketAddr,
    /// Where it goes.
    #[schema(value_type = String, format = "socket-address", example = "198.18.1.100:80")]
    pub vip: SocketAddr,
}

/// What the gateway would do with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Trace {
    /// Whether it would be forwarded.
    pub forwarded: bool,
    /// Each decision, in the order of the packet's way.
    pub steps: Vec<TraceStep>,
    /// The service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The real server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub real: Option<SocketAddr>,
    /// The worker that owns it.
    pub lcore: u32,
    /// The class of its hash, 0 to 127.
    pub class: u8,
    /// The next hop towards the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub next_hop: Option<IpAddr>,
    /// The reason why it would be dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<String>,
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TraceStep {
    /// What was asked: `home`, `address`, `service`, `server`, `local_address`, `route`, `neighbor`, `mtu`, `mss`.
    pub step: String,
    /// The answer.
    pub result: String,
    /// Why.
    pub why: String,
}

/// A limit, and how near it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Capacity {
    /// Which: `connections`, `local_ports`, `reals`, `neighbors`, `mbufs`, `worker`.
    pub limit: String,
    /// Of what, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// In use now.
    pub used: u64,
    /// What there is.
    pub room: u64,
    /// The share in use, 0 to 1.
    pub share: f64,
    /// The load at which it binds, in words.
    pub binds: String,
    /// What to do about it.
    pub remedy: String,
}
