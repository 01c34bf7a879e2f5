//! A connection as it is listed, handed to another node, or carried over a restart.

use super::state::State;
use super::tuple::Tuple;
use crate::addr::{ConnId, RealId};
use crate::time::Ticks;

/// Everything that a shard needs to go on with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Tuple of the client's packets.
    pub client: Tuple,
    /// Tuple of the server's packets: names the local address and port.
    pub reply: Tuple,
    /// Its server.
    pub real: RealId,
    /// Its state.
    pub state: State,
    /// Time until it expires.
    pub remaining: Ticks,
    /// Added to the client's sequence numbers towards the server; 0 for nearly all.
    pub seq_delta: u32,
    /// What the server expects next from the client, once the client's FIN was seen.
    pub fin_seq: Option<u32>,
}

/// Where an export stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Cursor(pub u32);

/// Why a record could not be adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// This shard does not own it.
    NotHome,
    /// Its server, service or local address is not configured.
    Unknown,
    /// There is a connection with one of its tuples, or its local port is taken.
    Taken,
    /// No route to one of its sides.
    NoRoute,
    /// No seat, or no memory for its port.
    Full,
}

/// What happened to a connection, for whoever listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// Its seat in its shard.
    pub conn: ConnId,
    /// Tuple of the client's packets.
    pub client: Tuple,
    /// Tuple of the server's packets.
    pub reply: Tuple,
    /// Its server.
    pub real: RealId,
    /// The state it is in now; when it ended, the state it ended in.
    pub state: State,
}

/// See [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Opened and given a server and a local port.
    Established,
    /// Its state changed.
    Changed,
    /// Ended.
    Closed,
}
