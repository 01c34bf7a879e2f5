//! What is asked of [`super::Ports`], and what it answers.

use crate::addr::*;
use crate::snapshot::{Lip, Pool};
use crate::steer::{CLASSES, PORTS};

/// A taken port: `chunk << 9 | index in the class`. Indices below 8 are never those of a port: 0 is that of no port, 1 that of
/// an unlisted one, of which we keep `row of its endpoint << 16 | class << 9 | 1`.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Default, zerocopy::FromZeros, zerocopy::IntoBytes, zerocopy::Immutable,
)]
#[repr(transparent)]
pub struct LeaseId(pub u32);

impl LeaseId {
    /// No port.
    pub const NONE: LeaseId = LeaseId(0);

    /// It is the id of ports that no chunk has; many ports have the same one.
    #[inline(always)]
    pub const fn is_unlisted(self) -> bool {
        self.0 % PORTS as u32 == 1
    }

    pub(super) fn unlisted(row: u16, class: Class) -> LeaseId {
        LeaseId(u32::from(row) << 16 | (u32::from(class.0) % CLASSES as u32) << 9 | 1)
    }
}

/// What the caller says of a port that could be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// He wants it.
    Good,
    /// Its tuple exists, or it is reserved (the port of a VIP), or he would rather not have it.
    Refused,
    /// A connection has it as an unlisted port, and has the offered id from now on.
    Listed,
}

/// What a port is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Want<'a> {
    /// Of (protocol, rip, rport).
    pub endpoint: EndpointId,
    /// The server.
    pub rip: Addr,
    /// Its port.
    pub rport: Be16,
    /// Where the local address may come from: of the server's family.
    pub pool: &'a Pool,
    /// The class that the reply should come into: that of the client's tuple.
    pub class: Class,
    /// A hash that says which port, and which LIP when one has to be opened, to begin with.
    pub start: u32,
}

/// What a port was before it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Unused, for long enough.
    Free,
    /// In quarantine: its server may still hold the old connection in TIME_WAIT.
    Quarantine,
}

/// A local address and port that is now ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// To give it back with.
    pub id: LeaseId,
    /// The local address.
    pub lip: Lip,
    /// The local port.
    pub lport: Be16,
    /// What it was before.
    pub from: Origin,
    /// Its reply comes into another class than the wanted one, of the same lcore.
    pub other_class: bool,
}

/// Why there is no port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPort {
    /// Every port of every LIP of the pool towards this endpoint is in use.
    Exhausted,
    /// There may be free ports, but all chunks are used up.
    NoMemory,
}

/// How a port comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// After an orderly close: it waits 60 to 120 s.
    Quarantine,
    /// It is free at once.
    Free,
}

/// Why a port cannot be adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdoptError {
    /// In use.
    Taken,
    /// Below 1024.
    Reserved,
    /// Its reply belongs to another lcore.
    Elsewhere,
}

/// Numbers of one shard's ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PortStats {
    /// Ports taken now.
    pub in_use: u64,
    /// Of these, ports that are in no chunk.
    pub unlisted: u64,
    /// Ports in quarantine now; those whose time is up are counted until their chunk is touched.
    pub quarantined: u64,
    /// Chunks in use.
    pub chunks: u32,
    /// Chunks that there are.
    pub chunks_total: u32,
    /// Chunks with a quarantine.
    pub quarantines: u32,
    /// Quarantines that there are.
    pub quarantines_total: u32,
    /// Endpoints with a class that has no free port.
    pub spent_endpoints: u32,
    /// Ports that were free at once because all quarantines were used up, ever.
    pub quarantine_skipped: u64,
    /// Ports given back that were not taken, ever: a bug of the caller.
    pub bad_release: u64,
}
