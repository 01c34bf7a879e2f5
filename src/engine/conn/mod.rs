//! The connections of one shard: the entries, the index that finds them by either tuple, their seats.
//!
//! Called by the path. It knows nothing of timers, ports or counters: whoever opens and ends a connection
//! ([`crate::shard`]) keeps those in step.

pub mod index;
pub mod key;
pub mod record;
pub mod reuse;
pub mod state;

use crate::addr::{ConnId, Dir, NeighborId, RealId};
use crate::laddr::LeaseId;
use crate::mem::{Memory, OutOfMemory, prefetch};
use crate::time::Tick;
use crate::wire::checksum::Delta;
use index::Index;
use key::{Key4, Secret};
use state::State;

/// Bits of [`Conn::flags`].
pub mod flags {
    /// A timer entry for this seat is in the wheel, at [`super::Conn::filed`]; also of a free seat.
    pub const FILED: u8 = 1;
    /// `ext` is an index into the side slab.
    pub const EXT: u8 = 2;
    /// `ext` is the sequence number that the server expects next from the client: its SYN or its FIN was seen last.
    pub const NEXT_SEQ: u8 = 4;
    /// SYNs of this connection have their MSS clamped.
    pub const CLAMP: u8 = 8;
    /// SYNs of the client lose their timestamp option.
    pub const HIDE_TS: u8 = 16;
}

/// A connection: one cache line.
#[derive(Clone, Copy, zerocopy::FromZeros)]
#[repr(C, align(64))]
pub struct Conn {
    /// The tuples of the packets of either direction as they arrive: client to VIP, real server to local address.
    pub keys: [Key4; 2],
    /// What the rewrite of `Dir::In` adds to the IP header checksum; `Dir::Out` has the inverse.
    pub ip_delta: Delta,
    /// The same for the TCP or UDP checksum.
    pub l4_delta: Delta,
    /// When the last packet came.
    pub last_seen: Tick,
    /// Its server.
    pub real: RealId,
    state: State,
    /// See [`flags`].
    pub flags: u8,
    /// The seat of its timeouts.
    pub profile: u8,
    spare: u8,
    /// By direction of the packet: towards the server, towards the client.
    pub next_hops: [NeighborId; 2],
    /// Where the timer entry is filed that counts. In a free seat without one: the next free seat.
    pub filed: Tick,
    /// See [`flags::EXT`] and [`flags::NEXT_SEQ`].
    pub ext: u32,
    /// Its local port.
    pub lease: LeaseId,
}

const _: () = assert!(size_of::<Conn>() == 64);

impl Conn {
    /// Its state; `State::None` for a free seat.
    #[inline(always)]
    pub fn state(&self) -> State {
        self.state
    }
    /// Changes its state.
    #[inline(always)]
    pub fn set_state(&mut self, state: State) {
        self.state = state;
    }
    /// The key of the packets of a direction.
    #[inline(always)]
    pub fn key(&self, dir: Dir) -> &Key4 {
        &self.keys[dir as usize]
    }
    /// What a packet of a direction becomes.
    #[inline(always)]
    pub fn rewritten(&self, dir: Dir) -> Key4 {
        self.keys[1 - dir as usize].reversed()
    }
    /// True when any of `bits` is set.
    #[inline(always)]
    pub fn has(&self, bits: u8) -> bool {
        self.flags & bits != 0
    }
}

const DIR_BIT: u32 = 1 << 31;
const NO_SEAT: u32 = u32::MAX;

/// A guess which connection a packet belongs to, and in which direction. Its key decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate(u32);

impl Candidate {
    /// No guess.
    pub const NONE: Candidate = Candidate(u32::MAX);

    #[inline(always)]
    fn parts(self) -> (ConnId, Dir) {
        (ConnId(self.0 & !DIR_BIT), if self.0 & DIR_BIT == 0 { Dir::In } else { Dir::Out })
    }
}

/// The connections of one shard.
pub struct Conns<M: Memory> {
    slab: M::Slice<Conn>,
    index: Index<M>,
    secret: Secret,
    /// Seats from here on were never used.
    fresh: u32,
    /// The last one given back, and the links to the ones before: free seats keep theirs in `links`.
    free: u32,
    links: M::Slice<u32>,
    live: u32,
}

/// No seat, or no room in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSeat {
    /// Every seat is taken.
    Full,
    /// There is a connection with one of these tuples.
    Exists,
}

impl<M: Memory> Conns<M> {
    /// Seats for `capacity` connections.
    pub fn new(memory: &M, capacity: usize, secret: Secret) -> Result<Self, OutOfMemory> {
        let capacity = capacity.clamp(1, DIR_BIT as usize - 1);
        Ok(Conns {
            slab: memory.zeroed(capacity)?,
            index: Index::new(memory, 2 * capacity)?,
            secret,
            fresh: 0,
            free: NO_SEAT,
            links: memory.zeroed(capacity)?,
            live: 0,
        })
    }

    /// Connections now.
    pub fn len(&self) -> usize {
        self.live as usize
    }
    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }
    /// Seats.
    pub fn capacity(&self) -> usize {
        self.slab.len()
    }
    /// The hash of a key, for everything below.
    #[inline(always)]
    pub fn hash(&self, key: &Key4) -> u64 {
        self.secret.hash(key)
    }

    /// Loads the bucket of a hash.
    #[inline(always)]
    pub fn prefetch_bucket(&self, hash: u64) {
        self.index.prefetch(hash);
    }

    /// Loads a connection that is looked at soon.
    #[inline(always)]
    pub fn prefetch(&self, id: ConnId) {
        prefetch(&self.slab, id.index());
    }

    /// Loads what [`Conns::remove`] needs. The connection itself should be in the cache.
    #[inline(always)]
    pub fn prefetch_removal(&self, id: ConnId) {
        let Some(conn) = self.slab.get(id.index()) else { return };
        conn.keys.iter().for_each(|key| self.index.prefetch(self.hash(key)));
        prefetch(&self.links, id.index());
    }

    /// Looks in the first bucket for the connection that is most likely the one, and loads it, or else the second bucket.
    /// The first bucket should be in the cache.
    #[inline(always)]
    pub fn candidate(&self, hash: u64) -> Candidate {
        let Some(e) = self.index.likely(hash) else {
            self.index.prefetch_other(hash);
            return Candidate::NONE;
        };
        prefetch(&self.slab, (e & !DIR_BIT) as usize);
        Candidate(e)
    }

    /// Looks in the second bucket, which should be in the cache, and loads the connection.
    #[inline(always)]
    pub fn second_candidate(&self, hash: u64) -> Candidate {
        let Some(e) = self.index.likely_other(hash) else { return Candidate::NONE };
        prefetch(&self.slab, (e & !DIR_BIT) as usize);
        Candidate(e)
    }

    /// The server of a candidate; its line should be in the cache.
    #[inline(always)]
    pub fn real_of(&self, candidate: Candidate) -> Option<RealId> {
        self.slab.get((candidate.0 & !DIR_BIT) as usize).map(|c| c.real)
    }

    /// The candidate, if it is the connection of a packet with this key, and the packet's direction.
    #[inline(always)]
    pub fn confirm(&mut self, candidate: Candidate, key: &Key4) -> Option<(&mut Conn, Dir)> {
        let (seat, dir) = candidate.parts();
        self.slab.get_mut(seat.index()).filter(|conn| *conn.key(dir) == *key).map(|conn| (conn, dir))
    }

    /// The connection of a packet with this key, and the packet's direction: the candidate, if it is the one.
    #[inline(always)]
    pub fn find_from(&self, candidate: Candidate, hash: u64, key: &Key4) -> Option<(ConnId, Dir)> {
        let (seat, dir) = candidate.parts();
        match self.slab.get(seat.index()) {
            Some(conn) if *conn.key(dir) == *key => Some((seat, dir)),
            Some(_) | None => self.find(hash, key),
        }
    }

    /// The connection of a packet with this key, and the packet's direction.
    #[inline]
    pub fn find(&self, hash: u64, key: &Key4) -> Option<(ConnId, Dir)> {
        let is = |e: u32| self.slab[(e & !DIR_BIT) as usize].keys[(e >> 31) as usize] == *key;
        self.index.find(hash, is).map(|e| Candidate(e).parts())
    }

    /// The connection in a seat. A free seat has [`State::None`].
    #[inline(always)]
    pub fn conn(&self, id: ConnId) -> &Conn {
        &self.slab[id.index()]
    }
    /// The connection in a seat.
    #[inline(always)]
    pub fn conn_mut(&mut self, id: ConnId) -> &mut Conn {
        &mut self.slab[id.index()]
    }

    /// The hash of the tuple of a connection's replies.
    pub fn reply_hash(&self, id: ConnId) -> u64 {
        self.hash(self.conn(id).key(Dir::Out))
    }

    /// Is there a connection with this key?
    pub fn exists(&self, key: &Key4) -> bool {
        self.find(self.hash(key), key).is_some()
    }

    /// True when the next [`Conns::insert`] will not fail for want of a seat.
    pub fn has_seat(&self) -> bool {
        self.free != NO_SEAT || (self.fresh as usize) < self.slab.len()
    }

    /// Gives a seat to a connection with these keys; the rest of it is zero, but for the timer entry that the seat may
    /// still have in the wheel.
    pub fn insert(&mut self, keys: [Key4; 2]) -> Result<ConnId, NoSeat> {
        let hashes = [self.hash(&keys[0]), self.hash(&keys[1])];
        if self.find(hashes[0], &keys[0]).is_some() || self.find(hashes[1], &keys[1]).is_some() {
            return Err(NoSeat::Exists);
        }
        let seat = if self.free != NO_SEAT {
            self.free
        } else if (self.fresh as usize) < self.slab.len() {
            self.fresh
        } else {
            return Err(NoSeat::Full);
        };
        self.index.insert(hashes[0], seat).map_err(|_| NoSeat::Full)?;
        if self.index.insert(hashes[1], seat | DIR_BIT).is_err() {
            self.index.remove(hashes[0], seat);
            return Err(NoSeat::Full);
        }
        if seat == self.free {
            self.free = self.links[seat as usize];
        } else {
            self.fresh += 1;
        }
        self.live += 1;
        let old = self.slab[seat as usize];
        self.slab[seat as usize] =
            Conn { keys, flags: old.flags & flags::FILED, filed: old.filed, ..zerocopy::FromZeros::new_zeroed() };
        Ok(ConnId(seat))
    }

    /// Takes a connection out. Its seat is free at once.
    pub fn remove(&mut self, id: ConnId) {
        let conn = self.slab[id.index()];
        debug_assert!(conn.state() != State::None);
        self.index.remove(self.hash(&conn.keys[0]), id.0);
        self.index.remove(self.hash(&conn.keys[1]), id.0 | DIR_BIT);
        // The keys go too: a guess from before must not find it.
        self.slab[id.index()].keys = [Key4::EMPTY; 2];
        self.slab[id.index()].set_state(State::None);
        self.links[id.index()] = self.free;
        self.free = id.0;
        self.live -= 1;
    }

    /// The first connection in a seat from `from` on.
    pub fn next_live(&self, from: usize) -> Option<ConnId> {
        (from..self.fresh as usize).find(|i| self.slab[*i].state != State::None).map(|i| ConnId(i as u32))
    }
}
