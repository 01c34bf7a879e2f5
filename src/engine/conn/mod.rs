//! The connections of one shard: the entries, the index that finds them by either tuple, their seats.
//!
//! Called by the path. It knows nothing of timers, ports or counters: whoever opens and ends a connection
//! ([`crate::shard`]) keeps those in step.

pub mod index;
pub mod key;
pub mod record;
pub mod reuse;
pub mod state;
pub mod tuple;

use crate::addr::{Be16, Be128, Class, ConnId, Dir, Family, NeighborId, RealId};
use crate::laddr::LeaseId;
use crate::mem::{Memory, OutOfMemory, prefetch};
use crate::time::Tick;
use crate::wire::checksum::{Delta, Sum};
use index::{Index, Place, Spot};
use key::{Key, Secret};
use state::State;
use tuple::Tuple;

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
    /// Its client comes over IPv6: its addresses stand in its [`super::Wide`].
    pub const WIDE: u8 = 32;
    /// The connections whose packets ask for more than new addresses, all of them or a SYN.
    pub const SPECIAL: u8 = EXT | WIDE | CLAMP | HIDE_TS;
}

/// A connection: one cache line.
#[derive(Clone, Copy, zerocopy::FromZeros)]
#[repr(C, align(64))]
pub struct Conn {
    /// The tuples of the packets of either direction as they arrive: client to VIP, real server to local address.
    pub keys: [Key; 2],
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
    /// That of its local port.
    pub class: Class,
    /// By direction of the packet: towards the server, towards the client.
    pub next_hops: [NeighborId; 2],
    /// Where the timer entry is filed that counts.
    pub filed: Tick,
    /// See [`flags::EXT`] and [`flags::NEXT_SEQ`].
    pub ext: u32,
    /// Its local port.
    pub lease: LeaseId,
}

const _: () = assert!(size_of::<Conn>() == 64);

impl Conn {
    /// Of these tuples, and nothing else yet.
    #[inline(always)]
    pub fn of(keys: [Key; 2]) -> Conn {
        Conn { keys, ..zerocopy::FromZeros::new_zeroed() }
    }
    /// The client's SYN has this sequence number.
    #[inline(always)]
    pub fn expect_next(&mut self, syn: u32) {
        self.ext = syn.wrapping_add(1);
        self.flags |= flags::NEXT_SEQ;
    }
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
    pub fn key(&self, dir: Dir) -> &Key {
        &self.keys[dir as usize]
    }
    /// The key of what a packet of a direction becomes. Means nothing for [`flags::WIDE`]: see [`Conns::rewritten`].
    #[inline(always)]
    pub fn rewritten(&self, dir: Dir) -> Key {
        self.keys[1 - dir as usize].reversed()
    }
    /// True when any of `bits` is set.
    #[inline(always)]
    pub fn has(&self, bits: u8) -> bool {
        self.flags & bits != 0
    }
}

/// The addresses of a connection whose client comes over IPv6: a second cache line, in the same seat.
#[derive(Clone, Copy, zerocopy::FromZeros)]
#[repr(C, align(64))]
pub struct Wide {
    /// The client.
    pub client: Be128,
    /// What it calls.
    pub vip: Be128,
    /// The server. Its tuple is in [`Conn::keys`] when it is an IPv4 one, and this is its packets' [`Wide::next_id`].
    pub server: Be128,
    /// The local address, unless the server is an IPv4 one.
    pub local: Be128,
}

const _: () = assert!(size_of::<Wide>() == 64);

impl Wide {
    /// Of the packets of the client, which is one of IPv6, and of the server.
    fn of([client, reply]: &[Tuple; 2]) -> Wide {
        let first_id = Sum::new().addr(client.src()).word16(client.sport()).fold();
        Wide {
            client: client.src().v6().unwrap_or_default(),
            vip: client.dst().v6().unwrap_or_default(),
            server: reply.src().v6().unwrap_or(Be128::from_raw([first_id.into(), 0])),
            local: reply.dst().v6().unwrap_or_default(),
        }
    }

    /// Source and destination of the packets of a direction as they arrive; only where they are IPv6.
    #[inline(always)]
    pub fn addrs(&self, dir: Dir) -> (Be128, Be128) {
        match dir {
            Dir::In => (self.client, self.vip),
            Dir::Out => (self.server, self.local),
        }
    }

    /// The identification of the next packet to an IPv4 server (RFC 791): they differ in packets that follow each other, and
    /// connections start at different ones. Nothing but the client's packets decides them.
    #[inline(always)]
    pub fn next_id(&mut self) -> Be16 {
        let [id, rest] = self.server.raw();
        self.server = Be128::from_raw([id.wrapping_add(1), rest]);
        Be16::new(id as u16)
    }
}

const DIR_BIT: u32 = 1 << 31;

/// The bit of a hash in [`Conns::may_have_come`]: in which word, and which.
#[inline(always)]
fn mark(hash: u64) -> (usize, u64) {
    ((hash >> 32) as usize % 4, 1 << ((hash >> 34) % 64))
}

/// A guess which connection a packet belongs to, and in which direction. Its key decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate(u32);

/// What a look into the first bucket says of a packet that has no [`Candidate`] there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// If it has a connection, the entry of that stands in the second bucket.
    Away,
    /// It has no connection.
    None,
}

impl Candidate {
    /// There is no connection.
    pub const NONE: Candidate = Candidate(u32::MAX);

    #[inline(always)]
    fn parts(self) -> (ConnId, Dir) {
        (ConnId(self.0 & !DIR_BIT), if self.0 & DIR_BIT == 0 { Dir::In } else { Dir::Out })
    }
}

/// The connections of one shard.
///
/// The first seats have room for the addresses of an IPv6 client and serve either family; the others are IPv4's alone, which
/// takes them first.
pub struct Conns<M: Memory> {
    slab: M::Slice<Conn>,
    wides: M::Slice<Wide>,
    index: Index<M>,
    secret: Secret,
    /// By kind of seat, narrow and wide.
    seats: [Seats; 2],
    /// Seats that were given back, a stack for each kind: `given[s.first..][..s.given]`, the last one given first to be taken.
    given: M::Slice<u32>,
    live: u32,
    /// See [`Conns::may_have_come`].
    came: [u64; 4],
}

/// The seats of the connections, one load away.
pub struct Table<'a>(&'a mut [Conn]);

impl Table<'_> {
    /// The server of a candidate, whose line should be in the cache.
    #[inline(always)]
    pub fn real_of(&self, candidate: Candidate) -> Option<RealId> {
        self.0.get(candidate.parts().0.index()).map(|conn| conn.real)
    }

    /// The next hop of a packet of a candidate.
    pub fn next_hop(&self, candidate: Candidate) -> Option<NeighborId> {
        let (seat, dir) = candidate.parts();
        self.0.get(seat.index()).map(|conn| conn.next_hops[dir as usize])
    }

    /// The candidate, if it is the connection of a packet with this key, and the packet's direction.
    #[inline(always)]
    pub fn confirm(&mut self, candidate: Candidate, key: &Key) -> Option<(&mut Conn, Dir)> {
        let (seat, dir) = candidate.parts();
        self.0.get_mut(seat.index()).filter(|conn| *conn.key(dir) == *key).map(|conn| (conn, dir))
    }
}

/// The free seats of a kind.
#[derive(Clone, Copy)]
struct Seats {
    first: u32,
    /// Seats from here on were never used.
    fresh: u32,
    end: u32,
    /// How many were given back.
    given: u32,
}

/// A free seat, and places in the index for both keys of its connection.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// And its kind.
    seat: (u32, usize),
    places: [Place; 2],
}

impl Room {
    /// The seat.
    #[inline(always)]
    pub fn id(&self) -> ConnId {
        ConnId(self.seat.0)
    }
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
    /// Seats for `capacity` connections, `wide` of which may have an IPv6 client.
    pub fn new(memory: &M, capacity: usize, wide: usize, secret: Secret) -> Result<Self, OutOfMemory> {
        // No seat looks like `Candidate::NONE`.
        let capacity = capacity.clamp(1, DIR_BIT as usize - 1);
        let wide = wide.min(capacity);
        let seats =
            |from: usize, end: usize| Seats { first: from as u32, fresh: from as u32, end: end as u32, given: 0 };
        Ok(Conns {
            slab: memory.zeroed(capacity)?,
            index: Index::new(memory, 2 * capacity)?,
            wides: memory.zeroed(wide)?,
            secret,
            seats: [seats(wide, capacity), seats(0, wide)],
            given: memory.zeroed(capacity)?,
            live: 0,
            came: [0; 4],
        })
    }

    /// Connections now.
    pub fn len(&self) -> usize {
        self.live as usize
    }
    /// False when no connection with a key of this hash came since [`Conns::look_again`]: a packet that had none then has none
    /// now. True for a few others too.
    #[inline(always)]
    pub fn may_have_come(&self, hash: u64) -> bool {
        let (word, bit) = mark(hash);
        self.came[word] & bit != 0
    }
    /// See [`Conns::may_have_come`].
    #[inline(always)]
    pub fn look_again(&mut self) {
        self.came = [0; 4];
    }
    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }
    /// Seats.
    pub fn capacity(&self) -> usize {
        self.slab.len()
    }
    /// Entries of the index, and those that it has places for.
    pub fn index_load(&self) -> (usize, usize) {
        (self.index.len(), self.index.places())
    }
    /// Seats for connections whose client comes over IPv6.
    pub fn wide_capacity(&self) -> usize {
        self.wides.len()
    }
    /// The secret that keys and hashes are made with.
    #[inline(always)]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
    /// The key of a tuple.
    #[inline(always)]
    pub fn key(&self, tuple: &Tuple) -> Key {
        Key::of(&self.secret, tuple)
    }
    /// The hash of a key, for everything below.
    #[inline(always)]
    pub fn hash(&self, key: &Key) -> u64 {
        self.secret.hash(key)
    }

    /// Loads the bucket of a hash.
    #[inline(always)]
    pub fn prefetch_bucket(&self, hash: u64) {
        self.index.prefetch(hash);
    }

    /// Loads a connection that is looked at soon, with its addresses where they stand apart.
    #[inline(always)]
    pub fn prefetch(&self, id: ConnId) {
        prefetch(&self.slab, id.index());
        if id.index() < self.wides.len() {
            prefetch(&self.wides, id.index());
        }
    }

    /// Loads most of what [`Conns::remove_from`] needs, and gives where the entries of these hashes may stand.
    #[inline(always)]
    pub fn prefetch_removal(&self, hashes: [u64; 2]) -> [Spot; 2] {
        let [client, reply] = hashes;
        self.index.prefetch(client);
        self.index.prefetch(reply);
        [self.index.spot(client), self.index.spot(reply)]
    }

    /// Loads the rest of it, once that is in the cache.
    #[inline(always)]
    pub fn prefetch_rest(&self, spots: &[Spot; 2]) {
        self.index.prefetch_rest(&spots[0]);
        self.index.prefetch_rest(&spots[1]);
    }

    /// Loads what [`Conns::room`] and [`Conns::settle`] need for the `n`-th connection from now on, whose reply's key has this
    /// hash; and gives where the entry of that may stand.
    #[inline(always)]
    pub fn prefetch_insertion(&self, reply: u64, n: usize) -> Spot {
        let spot = self.index.spot(reply);
        self.index.prefetch_spot(&spot);
        let narrow = &self.seats[0];
        let seat = match (narrow.given as usize).checked_sub(n + 1) {
            Some(at) => self.given.get(narrow.first as usize + at).map_or(0, |seat| *seat as usize),
            None => narrow.fresh as usize + n - narrow.given as usize,
        };
        prefetch(&self.slab, seat);
        spot
    }

    /// Loads the second bucket of a hash when a connection with a key of it, which is not there, will need it. The first one
    /// should be in the cache.
    #[inline(always)]
    pub fn prefetch_room(&self, hash: u64) {
        self.index.prefetch_room_of(hash);
    }

    /// The same by the spot of the hash.
    #[inline(always)]
    pub fn prefetch_room_at(&self, spot: &Spot) {
        self.index.prefetch_room(spot);
    }

    /// Looks in the first bucket for the connection that is most likely the one, and loads it; or the second bucket where
    /// it may be there. The first bucket should be in the cache.
    #[inline(always)]
    pub fn candidate(&self, hash: u64) -> Result<Candidate, Absent> {
        let Some(e) = self.index.likely(hash) else { return Err(self.absent(hash)) };
        self.prefetch(Candidate(e).parts().0);
        Ok(Candidate(e))
    }

    #[inline(always)]
    fn absent(&self, hash: u64) -> Absent {
        if !self.index.may_be_away(hash) {
            return Absent::None;
        }
        self.index.prefetch_other(hash);
        Absent::Away
    }

    /// For [`Absent::Away`]: looks in the second bucket, which should be in the cache, and loads the connection.
    #[inline(always)]
    pub fn second_candidate(&self, hash: u64) -> Candidate {
        let Some(e) = self.index.likely_other(hash) else { return Candidate::NONE };
        self.prefetch(Candidate(e).parts().0);
        Candidate(e)
    }

    /// The seats alone, for a loop over packets.
    #[inline(always)]
    pub fn table(&mut self) -> Table<'_> {
        Table(&mut self.slab)
    }

    /// Does the candidate sit where a connection may have an IPv6 client?
    #[inline(always)]
    pub fn may_be_wide(&self, candidate: Candidate) -> bool {
        candidate.parts().0.index() < self.wides.len()
    }

    /// As [`Conns::confirm`], for a connection whose client comes over IPv6.
    #[inline(always)]
    pub fn confirm_wide(&mut self, candidate: Candidate, key: &Key) -> Option<(&mut Conn, &mut Wide, Dir)> {
        let (seat, dir) = candidate.parts();
        let wide = self.wides.get_mut(seat.index())?;
        let conn = self.slab.get_mut(seat.index())?;
        (*conn.key(dir) == *key && conn.has(flags::WIDE)).then_some((conn, wide, dir))
    }

    /// As [`Conns::confirm`], and gives the seat.
    #[inline(always)]
    pub fn confirm_seat(&self, candidate: Candidate, key: &Key) -> Option<(ConnId, Dir)> {
        let (seat, dir) = candidate.parts();
        self.slab.get(seat.index()).filter(|conn| *conn.key(dir) == *key).map(|_| (seat, dir))
    }

    /// The connection of a packet with this key, and the packet's direction: the candidate, if it is the one.
    #[inline(always)]
    pub fn find_from(&self, candidate: Candidate, hash: u64, key: &Key) -> Option<(ConnId, Dir)> {
        self.confirm_seat(candidate, key).or_else(|| self.find(hash, key))
    }

    /// The connection of a packet with this key, and the packet's direction.
    #[inline]
    pub fn find(&self, hash: u64, key: &Key) -> Option<(ConnId, Dir)> {
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

    /// The connection of a packet with this tuple, and the packet's direction.
    pub fn find_tuple(&self, tuple: &Tuple) -> Option<(ConnId, Dir)> {
        let key = self.key(tuple);
        self.find(self.hash(&key), &key).filter(|(id, dir)| self.is(*id, *dir, tuple))
    }

    /// Is there a connection with this key?
    pub fn exists(&self, key: &Key) -> bool {
        self.find(self.hash(key), key).is_some()
    }

    /// The addresses of a connection whose client comes over IPv6.
    #[inline(always)]
    pub fn wide(&self, id: ConnId) -> Option<&Wide> {
        self.wides.get(id.index())
    }

    /// The addresses of a connection whose client comes over IPv6.
    #[inline(always)]
    pub fn wide_mut(&mut self, id: ConnId) -> Option<&mut Wide> {
        self.wides.get_mut(id.index())
    }

    /// The tuple of the packets of a direction as they arrive.
    pub fn tuple(&self, id: ConnId, dir: Dir) -> Tuple {
        let key = self.conn(id).key(dir);
        match (key.family(), self.wide(id)) {
            (Family::V6, Some(wide)) => {
                let (src, dst) = wide.addrs(dir);
                Tuple::new(src, dst, key.sport(), key.dport(), key.proto())
            }
            (Family::V4, _) | (Family::V6, None) => key.tuple4(),
        }
    }

    /// The tuple of what a packet of a direction becomes.
    pub fn rewritten(&self, id: ConnId, dir: Dir) -> Tuple {
        self.tuple(id, dir.other()).reversed()
    }

    /// The family that packets of a direction leave in.
    #[inline(always)]
    pub fn leaves(&self, id: ConnId, dir: Dir) -> Family {
        self.conn(id).key(dir.other()).family()
    }

    /// Is this the tuple of the packets of a direction, all of it? Two tuples of IPv6 may have the same key.
    #[inline]
    pub fn is(&self, id: ConnId, dir: Dir, tuple: &Tuple) -> bool {
        self.tuple(id, dir) == *tuple
    }

    /// True when the next [`Conns::insert`] for a client of this family will not fail for want of a seat.
    pub fn has_seat(&self, client: Family) -> bool {
        self.seat(client).is_some()
    }

    /// The next free seat, and its kind.
    #[inline(always)]
    fn seat(&self, client: Family) -> Option<(u32, usize)> {
        let of = |kind: usize| {
            let s = &self.seats[kind];
            match s.given.checked_sub(1) {
                Some(last) => self.given.get((s.first + last) as usize).map(|seat| (*seat, kind)),
                None => (s.fresh < s.end).then_some((s.fresh, kind)),
            }
        };
        match client {
            Family::V4 => of(0).or_else(|| of(1)),
            Family::V6 => of(1),
        }
    }

    /// Gives a seat to a connection whose packets come with these tuples: of the client, of the server. The rest of it is
    /// zero, but for the timer entry that the seat may still have in the wheel.
    pub fn insert(&mut self, tuples: [Tuple; 2]) -> Result<ConnId, NoSeat> {
        let keys = [self.key(&tuples[0]), self.key(&tuples[1])];
        if self.exists(&keys[0]) || self.exists(&keys[1]) {
            return Err(NoSeat::Exists);
        }
        let hashes = keys.map(|key| self.hash(&key));
        self.insert_new(keys, hashes, || tuples)
    }

    /// The same by the keys of both directions and their hashes, when the caller has looked that neither is there. `tuples` is
    /// called for a client of IPv6.
    #[inline(always)]
    pub fn insert_new(
        &mut self,
        keys: [Key; 2],
        hashes: [u64; 2],
        tuples: impl FnOnce() -> [Tuple; 2],
    ) -> Result<ConnId, NoSeat> {
        debug_assert!(self.find(hashes[0], &keys[0]).is_none() && self.find(hashes[1], &keys[1]).is_none());
        let (seat, kind) = self.seat(keys[0].family()).ok_or(NoSeat::Full)?;
        self.index.insert(hashes[0], seat).map_err(|_| NoSeat::Full)?;
        if self.index.insert(hashes[1], seat | DIR_BIT).is_err() {
            self.index.remove(hashes[0], seat);
            return Err(NoSeat::Full);
        }
        let old = &self.slab[seat as usize];
        let mut conn = Conn { flags: old.flags & flags::FILED, filed: old.filed, ..Conn::of(keys) };
        if keys[0].family() == Family::V6 {
            self.wides[seat as usize] = Wide::of(&tuples());
            conn.flags |= flags::WIDE;
        }
        self.sit((seat, kind), hashes, &conn);
        Ok(ConnId(seat))
    }

    /// Puts a connection in a seat; its entries are in the index.
    #[inline(always)]
    fn sit(&mut self, (seat, kind): (u32, usize), hashes: [u64; 2], conn: &Conn) -> &mut Conn {
        let ([client, reply], seats) = (hashes.map(mark), &mut self.seats[kind]);
        self.came[client.0] |= client.1;
        self.came[reply.0] |= reply.1;
        match seats.given.checked_sub(1) {
            Some(left) => seats.given = left,
            None => seats.fresh += 1,
        }
        self.live += 1;
        let place = &mut self.slab[seat as usize];
        *place = *conn;
        place
    }

    /// Room for a connection of IPv4, as long as no other key looks like that of the reply. The caller knows that there is no
    /// connection with the client's key, whose hash this is.
    #[inline(always)]
    pub fn room(&mut self, client: u64, reply: &Spot) -> Option<Room> {
        let seat = self.seat(Family::V4)?;
        if self.index.may_have(reply) {
            return None;
        }
        let client = self.index.spot(client);
        let places = match (self.index.free(&client), self.index.free(reply)) {
            (Some(client), Some(reply)) => [client, reply],
            _ => self.make_room(&client, reply)?,
        };
        (!places[0].is_also(&places[1])).then_some(Room { seat, places })
    }

    #[cold]
    fn make_room(&mut self, client: &Spot, reply: &Spot) -> Option<[Place; 2]> {
        if !self.index.make_free(client) || !self.index.make_free(reply) {
            return None;
        }
        Some([self.index.free(client)?, self.index.free(reply)?])
    }

    /// Puts a connection with the hashes of its keys there, and gives it for what it lacks.
    #[inline(always)]
    pub fn settle(&mut self, Room { seat, places: [client, reply] }: Room, hashes: [u64; 2], conn: &Conn) -> &mut Conn {
        debug_assert!(conn.keys.iter().zip(hashes).all(|(key, hash)| self.hash(key) == hash && !self.exists(key)));
        self.index.fill(client, seat.0);
        self.index.fill(reply, seat.0 | DIR_BIT);
        self.sit(seat, hashes, conn)
    }

    /// Takes a connection out. Its seat is free at once.
    pub fn remove(&mut self, id: ConnId) {
        let Some(conn) = self.slab.get(id.index()) else { return };
        debug_assert!(conn.state() != State::None);
        let spots = conn.keys.map(|key| self.index.spot(self.hash(&key)));
        self.remove_from(id, &spots);
    }

    /// The same for a caller who knows where the entries of its keys may stand.
    #[inline(always)]
    pub fn remove_from(&mut self, id: ConnId, [client, reply]: &[Spot; 2]) {
        self.index.remove_at(client, id.0);
        self.index.remove_at(reply, id.0 | DIR_BIT);
        // The keys go too: a guess from before must not find it.
        let conn = &mut self.slab[id.index()];
        conn.keys = [Key::EMPTY; 2];
        conn.set_state(State::None);
        let seats = &mut self.seats[usize::from(id.index() < self.wides.len())];
        self.given[(seats.first + seats.given) as usize] = id.0;
        seats.given += 1;
        self.live -= 1;
    }

    /// The first connection in a seat from `from` on.
    pub fn next_live(&self, from: usize) -> Option<ConnId> {
        let [narrow, wide] = self.seats.map(|s| s.fresh as usize);
        let mut used = (from..wide).chain(from.max(self.wides.len())..narrow);
        used.find(|i| self.slab[*i].state != State::None).map(|i| ConnId(i as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::{Be32, Proto};
    use crate::mem::Heap;

    fn v4(client: u32) -> [Tuple; 2] {
        let tuple = |src, dst| Tuple::new(Be32::new(src), Be32::new(dst), Be16::new(9), Be16::new(80), Proto::Tcp);
        [tuple(client, 1), tuple(2, client)]
    }

    fn v6(client: u128) -> [Tuple; 2] {
        let ip = |a: u128| Be128::from_bytes(a.to_be_bytes());
        let tuple = |src, dst| Tuple::new(ip(src), ip(dst), Be16::new(9), Be16::new(80), Proto::Tcp);
        [tuple(client, 1), tuple(2, client)]
    }

    fn open(conns: &mut Conns<Heap>, tuples: [Tuple; 2]) -> Result<ConnId, NoSeat> {
        let id = conns.insert(tuples)?;
        conns.conn_mut(id).set_state(State::Established);
        Ok(id)
    }

    #[test]
    fn ipv4_takes_its_own_seats_first_and_ipv6_only_those_with_room_for_its_addresses() {
        let mut conns = Conns::new(&Heap, 100, 4, Secret::new(1)).unwrap();
        let four: Vec<_> = (0..98).map(|i| open(&mut conns, v4(100 + i)).unwrap().0).collect();
        assert!(four.iter().copied().eq((4..100).chain(0..2)));
        assert!(conns.has_seat(Family::V6));
        assert_eq!((2..4).map(|i| open(&mut conns, v6(i)).unwrap().0).collect::<Vec<_>>(), [2, 3]);
        assert!(!conns.has_seat(Family::V4) && !conns.has_seat(Family::V6));
        assert_eq!((open(&mut conns, v6(9)), open(&mut conns, v4(9))), (Err(NoSeat::Full), Err(NoSeat::Full)));
        conns.remove(ConnId(7));
        assert!(conns.has_seat(Family::V4) && !conns.has_seat(Family::V6));
        conns.remove(ConnId(2));
        assert_eq!(open(&mut conns, v6(9)), Ok(ConnId(2)));
        let mut live = std::vec![];
        while let Some(id) = conns.next_live(live.last().map_or(0, |last| last + 1)) {
            live.push(id.index());
        }
        assert!(live.into_iter().eq((0..100).filter(|seat| *seat != 7)));
    }

    #[test]
    fn a_connection_is_found_by_either_tuple_of_either_family_and_gives_them_back() {
        let mut conns = Conns::new(&Heap, 100, 100, Secret::new(1)).unwrap();
        let translated = [v6(77)[0], v4(77)[1]];
        for tuples in [v4(5), v6(5), v6(6), translated] {
            let id = open(&mut conns, tuples).unwrap();
            for (tuple, dir) in tuples.iter().zip([Dir::In, Dir::Out]) {
                assert_eq!(conns.find_tuple(tuple), Some((id, dir)));
                assert_eq!(conns.tuple(id, dir), *tuple);
            }
            assert_eq!(conns.rewritten(id, Dir::In), tuples[1].reversed());
            assert_eq!(conns.rewritten(id, Dir::Out), tuples[0].reversed());
            assert_eq!(open(&mut conns, tuples), Err(NoSeat::Exists));
        }
        assert_eq!(conns.find_tuple(&v6(7)[0]), None);
    }

    #[test]
    fn what_settles_in_the_room_that_was_found_for_it_is_found_and_takes_no_place_of_others() {
        let mut conns = Conns::new(&Heap, 60, 0, Secret::new(1)).unwrap();
        let mut settled = 0;
        for client in 0..60 {
            let keys = v4(100 + client).map(|tuple| conns.key(&tuple));
            let hashes = keys.map(|key| conns.hash(&key));
            let spot = conns.index.spot(hashes[1]);
            if let Some(room) = conns.room(hashes[0], &spot) {
                let mut conn = Conn::of(keys);
                conn.set_state(State::Established);
                conns.settle(room, hashes, &conn);
                settled += 1;
            } else {
                open(&mut conns, v4(100 + client)).unwrap();
            }
            for other in 0..=client {
                for (tuple, dir) in v4(100 + other).iter().zip([Dir::In, Dir::Out]) {
                    assert_eq!(conns.find_tuple(tuple), Some((ConnId(other), dir)));
                }
            }
        }
        assert!((30..60).contains(&settled), "{settled}: two keys may want the same place, seldom");
        assert_eq!(conns.index_load().0, 120);
    }

    #[test]
    fn a_tuple_with_the_digest_of_another_is_not_taken_for_it() {
        let mut conns = Conns::new(&Heap, 4, 4, Secret::new(1)).unwrap();
        let id = open(&mut conns, v6(5)).unwrap();
        conns.wides[id.index()].client = Be128::from_bytes([7; 16]);
        assert_eq!(conns.find_tuple(&v6(5)[0]), None);
    }
}
