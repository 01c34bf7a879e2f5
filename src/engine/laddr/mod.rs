//! Local ports of one shard. (Signatures; the inside follows.)

use crate::addr::*;
use crate::mem::{Memory, OutOfMemory};
use crate::snapshot::{Lip, Pool};
use crate::steer::Steer;
use crate::time::Tick;
use core::marker::PhantomData;

/// A taken port: `chunk << 9 | index in the class`. 0 is never that of a port.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, Debug, Default, zerocopy::FromZeros, zerocopy::IntoBytes, zerocopy::Immutable,
)]
#[repr(transparent)]
pub struct LeaseId(pub u32);

impl LeaseId {
    /// No port.
    pub const NONE: LeaseId = LeaseId(0);
}

/// What a port is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Want<'a> {
    /// Of (protocol, rip, rport).
    pub endpoint: EndpointId,
    /// The server.
    pub rip: Be32,
    /// Its port.
    pub rport: Be16,
    /// Where the local address may come from.
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
    /// All chunks are used up.
    NoMemory,
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

/// The local ports of one shard.
pub struct Ports<M: Memory> {
    _m: PhantomData<fn() -> M>,
}

impl<M: Memory> Ports<M> {
    /// Room for `chunks` triples of endpoint, LIP and class, `quarantines` of which may have ports in quarantine.
    pub fn new(_memory: &M, _chunks: usize, _quarantines: usize, _lcore: LcoreId) -> Result<Self, OutOfMemory> {
        Ok(Ports { _m: PhantomData })
    }
    /// Takes a port.
    pub fn take(
        &mut self,
        _: &Steer,
        _: &Want<'_>,
        _now: Tick,
        _free: impl FnMut(Lip, Be16) -> bool,
    ) -> Result<Lease, NoPort> {
        Err(NoPort::Exhausted)
    }
    /// Gives a port back.
    pub fn give_back(&mut self, _id: LeaseId, _how: Release, _now: Tick) {}
    /// Takes exactly this port.
    #[allow(clippy::too_many_arguments)]
    pub fn adopt(
        &mut self,
        _steer: &Steer,
        _endpoint: EndpointId,
        _rip: Be32,
        _rport: Be16,
        _lip: Lip,
        _lport: Be16,
        _now: Tick,
    ) -> Result<LeaseId, AdoptError> {
        Err(AdoptError::NoMemory)
    }
    /// The taken ports of one chunk.
    pub fn taken<'a>(
        &'a mut self,
        _steer: &'a Steer,
        _want: &Want<'_>,
    ) -> impl Iterator<Item = (LeaseId, Lip, Be16)> + use<'a, M> {
        core::iter::empty()
    }
    /// The numbers.
    pub fn stats(&self) -> PortStats {
        PortStats::default()
    }
    /// Rotates quarantines and frees empty chunks.
    pub fn sweep(&mut self, _now: Tick, _budget: usize) {}
}
