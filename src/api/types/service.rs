//! Services and their real servers.

use super::object::objects;
use super::stats::Totals;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use utoipa::ToSchema;

objects!(ServiceSpec, RealSpec, ServicePatch, RealPatch, DrainSpec, TimeoutsSpec);

/// The layer 4 protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// How a real server is picked for a new connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheduler {
    /// Round robin.
    Rr,
    /// Weighted round robin.
    Wrr,
    /// Weighted least connection.
    #[default]
    Wlc,
}

/// What becomes of the TCP connections of a server that was taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnServerRemoved {
    /// Both sides get a RST.
    Reset,
    /// Their packets are dropped until they time out.
    Silent,
}

/// A service as it is written. It is known by protocol and address; both stay for as long as it lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct ServiceSpec {
    /// For people, unique; without it protocol and address, as in `tcp 198.18.1.100:80`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// VIP and port, as in `198.18.1.100:80` or `[2001:db8::1]:80`.
    #[schema(value_type = String, format = "socket-address", example = "198.18.1.100:80")]
    pub address: SocketAddr,
    /// Without it wlc.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<Scheduler>,
    /// The pool of its local addresses; can be left out when there is one pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub laddr_pool: Option<String>,
    /// The most that the MSS option of a SYN may say, 536 to 9176 bytes; without it untouched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 536, maximum = 9176)]
    pub mss_clamp: Option<u16>,
    /// What is not given here is that of the gateway.
    #[serde(default, skip_serializing_if = "TimeoutsSpec::is_empty")]
    pub timeouts: TimeoutsSpec,
    /// Without it that of the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_server_removed: Option<OnServerRemoved>,
    /// In the order in which they were added.
    #[serde(default, alias = "real")]
    pub reals: Vec<RealSpec>,
}

/// A real server as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct RealSpec {
    /// Address and port.
    #[schema(value_type = String, format = "socket-address", example = "198.18.2.21:80")]
    pub address: SocketAddr,
    /// Its share of new connections, 0 to 65535; 0 takes none. 1 when left out.
    #[serde(default = "one")]
    #[schema(maximum = 65535)]
    pub weight: u16,
}

fn one() -> u16 {
    1
}

/// Changes to a service: what is absent stays, null takes a setting away (RFC 7396). Protocol and address can not change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct ServicePatch {
    /// See [`ServiceSpec`].
    #[serde(default, with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub name: Option<Option<String>>,
    /// See [`ServiceSpec`].
    #[serde(default, with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Scheduler>)]
    pub scheduler: Option<Option<Scheduler>>,
    /// See [`ServiceSpec`].
    #[serde(default, with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub laddr_pool: Option<Option<String>>,
    /// See [`ServiceSpec`].
    #[serde(default, with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u16>, minimum = 536, maximum = 9176)]
    pub mss_clamp: Option<Option<u16>>,
    /// All of them: a state that is not given is that of the gateway.
    #[serde(default, with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<TimeoutsSpec>)]
    pub timeouts: Option<Option<TimeoutsSpec>>,
    /// See [`ServiceSpec`].
    #[serde(default, with = "nullable", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<OnServerRemoved>)]
    pub on_server_removed: Option<Option<OnServerRemoved>>,
    /// All of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reals: Option<Vec<RealSpec>>,
}

/// Tells null from absent.
mod nullable {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<Option<T>>, D::Error> {
        Option::<T>::deserialize(d).map(Some)
    }

    pub(super) fn serialize<T: Serialize, S: Serializer>(value: &Option<Option<T>>, s: S) -> Result<S::Ok, S::Error> {
        value.as_ref().and_then(Option::as_ref).serialize(s)
    }
}

/// Changes to a real server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct RealPatch {
    /// See [`RealSpec`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 65535)]
    pub weight: Option<u16>,
}

/// A service as it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Service {
    /// Protocol and address in one word, the same over restarts: `tcp-198.18.1.100-80`, `udp-2001:db8::1-53`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// VIP and port.
    #[schema(value_type = String)]
    pub address: SocketAddr,
    /// How a real server is picked.
    pub scheduler: Scheduler,
    /// The pool of its local addresses.
    pub laddr_pool: String,
    /// The most that the MSS option of a SYN may say, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mss_clamp: Option<u16>,
    /// Those that hold here, its own and the gateway's.
    pub timeouts: Timeouts,
    /// What holds here.
    pub on_server_removed: OnServerRemoved,
    /// Of all real servers together.
    pub totals: Totals,
    /// In the order in which they were added.
    pub reals: Vec<Real>,
}

/// A real server as it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Real {
    /// Its address in one word, the same over restarts: `198.18.2.21-80`.
    pub id: String,
    /// Address and port.
    #[schema(value_type = String)]
    pub address: SocketAddr,
    /// Its share of new connections.
    pub weight: u16,
    /// Only while it drains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    /// What it has served.
    pub totals: Totals,
}

/// To take a real server out when its connections have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct DrainSpec {
    /// Seconds after which it is taken out with what connections it still has; without it there is no such moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u32>,
    /// Keep it with weight 0 when it is drained, instead of taking it out.
    #[serde(default)]
    pub keep: bool,
}

/// A real server on its way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Drain {
    /// How far it is.
    pub state: DrainState,
    /// When it began.
    pub since: String,
    /// When it is taken out at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The weight that it had, and has again when the drain is called off.
    pub weight: u16,
    /// The connections that it had when it began.
    pub connections_before: u64,
    /// Those that it has now.
    pub connections: u64,
    /// It stays with weight 0 when it is drained.
    pub keep: bool,
}

/// See [`Drain`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DrainState {
    /// It takes no new connections and still has some.
    Draining,
    /// It has none any more.
    Drained,
}

/// How long a connection stays in each state without a packet, seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[allow(missing_docs, reason = "the states of a connection by name")]
pub struct Timeouts {
    pub syn_sent: u32,
    pub syn_recv: u32,
    pub synack: u32,
    pub established: u32,
    pub fin_wait: u32,
    pub close_wait: u32,
    pub last_ack: u32,
    pub time_wait: u32,
    pub close: u32,
    pub udp: u32,
}

/// Timeouts as they are written: `syn` stands for syn_sent, syn_recv and synack, `fin` for fin_wait, close_wait, last_ack and
/// time_wait; a state by its own name wins. What is absent is left to the gateway's, or to the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default, remote = "Self")]
#[allow(missing_docs, reason = "the states of a connection by name")]
pub struct TimeoutsSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2678400)]
    pub syn: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2678400)]
    pub fin: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2678400)]
    pub syn_sent: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2678400)]
    pub syn_recv: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2678400)]
    pub synack: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2678400)]
    pub established: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2678400)]
    pub fin_wait: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2678400)]
    pub close_wait: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2678400)]
    pub last_ack: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2678400)]
    pub time_wait: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2678400)]
    pub close: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2678400)]
    pub udp: Option<u32>,
}

impl TimeoutsSpec {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
