//! The beginning of a connection.

use super::lease::Leased;
use super::{Forget, Shard, Shared};
use crate::addr::*;
use crate::conn::index::Spot;
use crate::conn::key::{Key, SplitMix};
use crate::conn::record::EventKind;
use crate::conn::state::State;
use crate::conn::tuple::Tuple;
use crate::conn::{Conn, flags};
use crate::laddr::{Release, Want};
use crate::mem::{Memory, prefetch};
use crate::snapshot::{Lip, Real, Service, SynTimestamps};
use crate::time::Tick;
use crate::verdict::DropReason;
use crate::wire::checksum::{Delta, DeltaSum};

/// What a new connection needs.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// The tuple of the client's packet.
    pub client: Tuple,
    /// Its key.
    pub key: Key,
    /// The hash of its key.
    pub hash: u64,
    /// Its class.
    pub class: Class,
    /// The service.
    pub service: &'a Service,
    /// The chosen server.
    pub real: &'a Real,
    /// Towards the server, towards the client.
    pub next_hops: [NeighborId; 2],
    /// The sequence number of the client's SYN; 0 for UDP.
    pub seq: u32,
}

/// A packet of IPv4 that may open a connection, and what will become of it if nothing comes in between.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// The connection that it opens; all of it, but for its port and its times, once that is foreseen.
    pub conn: Conn,
    /// The service that it asks for.
    pub service: &'a Service,
    /// All of it is foreseen.
    pub whole: bool,
    /// The place of the server in `service.reals`.
    index: Option<u32>,
    /// The numbers that the local port is taken by.
    random: SplitMix,
    /// Of the key of the server's packets, and where its entry may stand in the index.
    hash: u64,
    spot: Spot,
}

impl<'a> Expected<'a> {
    /// A packet with this key, of which nothing else is foreseen yet.
    #[inline(always)]
    pub fn new(key: &Key, class: Class, service: &'a Service) -> Expected<'a> {
        let mut conn = Conn::of([*key, Key::EMPTY]);
        (conn.class, conn.profile) = (class, service.profile);
        Expected { conn, service, whole: false, index: None, random: SplitMix(0), hash: 0, spot: Spot::default() }
    }
}

/// Looks ahead to the connections that the packets of a burst may open, and the way to open one that is as it was foreseen:
/// any other goes by [`Shard::open`], which would have done the same. Packets that come in between may change everything but
/// the configuration.
impl<M: Memory> Shard<M> {
    /// Begins another look ahead.
    pub fn look_ahead(&mut self) {
        self.looks = self.looks.wrapping_add(1);
    }

    /// Loads what [`Shard::foresee_server`] needs.
    #[inline(always)]
    pub fn prefetch_server(&self, service: &Service) {
        prefetch(&self.sched, service.id.index());
    }

    /// Foresees the server that serves the next packet of this look, and loads what is known of it.
    #[inline(always)]
    pub fn foresee_server(&mut self, e: &mut Expected<'_>) {
        let (stats, service) = (&self.stats, e.service);
        let Some(sched) = self.sched.get_mut(service.id.index()) else { return };
        if let Some(index) = sched.foresee(self.looks, service, |id| stats.real(id)) {
            prefetch(&service.reals, index);
            e.index = Some(index as u32);
        }
    }

    /// Foresees all of the `n`-th connection from now on, whose server is foreseen, and loads what it takes to open it.
    #[inline(always)]
    pub fn foresee(&self, shared: &Shared, n: usize, e: &mut Expected<'_>) {
        let Some(real) = e.index.and_then(|index| e.service.reals.get(index as usize)) else { return };
        self.stats.prefetch(real.id);
        e.random = self.random.after(n);
        let want = want(real, e.service, e.conn.class, e.random.clone().next());
        self.ports.prefetch(&want);
        let Addr::V4(rip) = real.addr else { return };
        let Some((Lip { addr: Addr::V4(lip), .. }, lport)) = self.ports.guess(&shared.steer, &want) else { return };
        let client = e.conn.keys[0];
        let key = Key::v4(rip, lip, real.port, lport, client.proto());
        e.hash = self.conns.hash(&key);
        e.spot = self.conns.prefetch_insertion(e.hash, n);
        self.recent.prefetch(e.hash);
        let (Some(to_server), Some(to_client)) = (shared.known_hop(rip), shared.known_hop(client.src())) else {
            return;
        };
        e.conn.keys[1] = key;
        [e.conn.ip_delta, e.conn.l4_delta] = deltas4(&client, &key.reversed());
        (e.conn.real, e.conn.next_hops) = (real.id, [to_server, to_client]);
        let strip = shared.snapshot().settings.syn_timestamps == SynTimestamps::Strip;
        e.whole = rip != lip && !strip && e.service.mss_clamp.is_none();
    }

    /// Loads the second bucket for the reply of a foreseen connection, if the first one, which should be in the cache, is full.
    #[inline(always)]
    pub fn foresee_room(&self, e: &Expected<'_>) {
        self.conns.prefetch_room_at(&e.spot);
    }

    /// Opens a connection that is as it was foreseen, for a packet whose key has this hash; or does nothing. The caller knows
    /// that there is none with that key. `seq` is the sequence number of a SYN, 0 for UDP.
    #[inline(always)]
    pub fn open_foreseen(
        &mut self,
        shared: &Shared,
        now: Tick,
        hash: u64,
        seq: u32,
        e: &Expected<'_>,
    ) -> Option<ConnId> {
        let Shard { stats, conns, ports, wheel, sched, random, recent, pressed, .. } = self;
        let (stats, service, index) = (&**stats, e.service, e.index? as usize);
        let (real, tcp) = (service.reals.get(index)?, service.proto == Proto::Tcp);
        if !self.accepting || *random != e.random || tcp && recent.recall(e.hash, now).is_some() || !wheel.has_room() {
            return None;
        }
        let room = conns.room(hash, &e.spot)?;
        let sched = sched.get_mut(service.id.index())?;
        if !sched.is_next(index, service, |id| stats.real(id)) {
            return None;
        }
        let (id, state) = (room.id(), if tcp { State::SynRecv } else { State::Udp });
        let deadline = now + shared.timeouts(&e.conn).first(state);
        // The seat may still have a timer entry of before: it serves, unless it comes too late.
        let old = conns.conn(id);
        let filed = old.has(flags::FILED).then_some(old.filed);
        if filed.is_some() && !old.is_filed_by(deadline) {
            return None;
        }
        let class = e.conn.class;
        let lease = ports.take_guessed(&want(real, service, class, 0))?;
        // From here on it opens.
        sched.go_on(index, service);
        random.next();
        let filed = match filed {
            Some(at) => Some(at),
            None => wheel.file(id, deadline).ok().inspect(|_| self.filed += 1),
        };
        let conn = conns.settle(room, [hash, e.hash], &e.conn);
        conn.set_state(state);
        (conn.last_seen, conn.lease) = (now, lease);
        if let Some(at) = filed {
            (conn.filed, conn.flags) = (at, conn.flags | flags::FILED);
        }
        if tcp {
            conn.expect_next(seq);
        }
        pressed.count(class, State::None, state);
        stats.lcore.count_state(State::None, state);
        stats.lcore.ports_unlisted.add(1);
        stats.lcore.conns_opened.add(1);
        let real = stats.real(real.id);
        if tcp { &real.active } else { &real.inactive }.add(1);
        real.conns.add(1);
        self.event(EventKind::Established, id);
        Some(id)
    }

    /// Opens a connection. `forget` hears of half-open ones that were ended for their port or seat.
    pub fn open(
        &mut self,
        shared: &Shared,
        now: Tick,
        what: &Opening<'_>,
        forget: &mut dyn FnMut(Forget),
    ) -> Result<ConnId, DropReason> {
        let family = what.client.family();
        if !self.conns.has_seat(family) {
            self.give_up_seat(now, family, forget)?;
        }
        let Leased { id: lease, lip, key, hash, expected } = self.lease(shared, now, what, forget)?;
        let real = what.real;
        let reply = || Tuple::new(real.addr, lip, real.port, key.dport(), what.client.proto());
        let Ok(id) = self.conns.insert_new([what.key, key], [what.hash, hash], || [what.client, reply()]) else {
            self.ports.give_back(lease, Release::Free, now);
            return Err(DropReason::TableFull);
        };
        let tcp = what.client.proto() == Proto::Tcp;
        let conn = self.conns.conn_mut(id);
        match (what.key.family(), key.family()) {
            (Family::V4, Family::V4) => {
                [conn.ip_delta, conn.l4_delta] = deltas4(&what.key, &key.reversed());
            }
            (Family::V4 | Family::V6, _) => fill_deltas(conn, &[what.client, reply()]),
        }
        conn.real = real.id;
        conn.profile = what.service.profile;
        conn.next_hops = what.next_hops;
        conn.lease = lease;
        if tcp {
            conn.expect_next(what.seq);
        }
        if what.service.mss_clamp.is_some() {
            conn.flags |= flags::CLAMP;
        }
        if !self.begin(shared, now, id, if tcp { State::SynRecv } else { State::Udp }) {
            return Err(DropReason::WheelFull);
        }
        if tcp {
            self.warm(&shared.snapshot().settings, id, what.seq, expected);
        }
        self.stats.real(real.id).conns.add(1);
        self.stats.lcore.conns_opened.add(1);
        self.event(EventKind::Established, id);
        Ok(id)
    }

    /// The first state of a connection, its counts and its timer. False, and the connection is gone, when the wheel is full.
    pub(super) fn begin(&mut self, shared: &Shared, now: Tick, id: ConnId, state: State) -> bool {
        let conn = self.conns.conn_mut(id);
        conn.set_state(state);
        conn.last_seen = now;
        conn.class = self.ports.class(conn.lease);
        self.stats.lcore.count_state(State::None, state);
        self.pressed.count(conn.class, State::None, state);
        let real = self.stats.real(conn.real);
        if state.is_active() {
            real.active.add(1)
        } else {
            real.inactive.add(1)
        }
        self.count_now();
        let first = shared.first_deadline(self.conns.conn(id));
        if self.file_by(id, first) {
            return true;
        }
        self.close(now, id);
        false
    }
}

/// What a local port is wanted for.
#[inline(always)]
pub(super) fn want<'a>(real: &Real, service: &'a Service, class: Class, random: u64) -> Want<'a> {
    let pool = service.pool(real);
    Want { endpoint: real.endpoint, rip: real.addr, rport: real.port, pool, class, start: random as u32 }
}

/// As [`fill_deltas`], by the keys of IPv4: of the IP header, of TCP or UDP.
#[inline(always)]
fn deltas4(old: &Key, new: &Key) -> [Delta; 2] {
    let addrs = DeltaSum::new().replace32(old.src(), new.src()).replace32(old.dst(), new.dst());
    [addrs.fold(), addrs.replace16(old.sport(), new.sport()).replace16(old.dport(), new.dport()).fold()]
}

/// What a rewrite adds to the checksums (RFC 1624): new addresses and ports less the old ones, for `Dir::In`.
#[inline(always)]
pub(super) fn fill_deltas(conn: &mut Conn, [client, reply]: &[Tuple; 2]) {
    let (old, new) = (client, reply.reversed());
    let addrs = DeltaSum::new().replace_addr(old.src(), new.src()).replace_addr(old.dst(), new.dst());
    conn.ip_delta = addrs.fold();
    conn.l4_delta = addrs.replace16(old.sport(), new.sport()).replace16(old.dport(), new.dport()).fold();
}
