//! One lcore's share of everything: its connections, their timers, their local ports, their servers' counts.
//!
//! This is the life of a connection: [`Shard::open`], [`Shard::change`], [`Shard::close`], [`Shard::expire`]. Whoever
//! opens or ends one does it here, so that index, timer, port, counts and events stay in step. A worker owns it
//! (`&mut`): there are no locks.

use crate::addr::*;
use crate::conn::key::{Key, Secret, SplitMix};
use crate::conn::record::{Event, EventKind};
use crate::conn::reuse::{Exts, Recent};
use crate::conn::state::{State, Timeouts};
use crate::conn::tuple::Tuple;
use crate::conn::{Conn, Conns, flags};
use crate::egress::{self, Egresses};
use crate::laddr::{Ports, Release};
use crate::mem::{Memory, OutOfMemory};
use crate::neighbor::{Hops, Neighbors};
use crate::sched::SchedState;
use crate::snapshot::{RealState, RouteTo, Service, Snapshot};
use crate::stats::{RealTraffic, Stats};
use crate::steer::Steer;
use crate::time::{Tick, Ticks};
use crate::tw::Wheel;
use crate::verdict::DropReason;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

mod export;
mod lease;
mod open;
mod pressure;
mod timer;

pub use open::{Expected, Opening};
use pressure::Pressed;
use timer::Due;

/// How large a shard is.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Connections.
    pub conns: usize,
    /// Of these, connections whose client may come over IPv6: 64 bytes more each.
    pub wide: usize,
    /// Services, by id.
    pub services: usize,
    /// (endpoint, local address, class) triples that hold ports at the same time.
    pub port_chunks: usize,
}

impl Sizes {
    /// What `conns` connections need. A chunk holds the ports of one (endpoint, local address, class) that has many; where
    /// there is no room for another, ports are taken at random.
    pub fn of(conns: usize, wide: usize, services: usize) -> Sizes {
        Sizes { conns, wide, services, port_chunks: (conns / 16).max(8_192) }
    }
}

/// What all shards of a run share. Each lcore has its own, so that a packet counts no references.
#[derive(Clone)]
pub struct Shared {
    snapshot: Arc<Snapshot>,
    /// The shortest time after which a connection that is in use can be dead, of all services.
    fresh: Ticks,
    egresses: Egresses,
    /// The next hops.
    pub neighbors: Arc<Neighbors>,
    /// Who owns what.
    pub steer: Arc<Steer>,
}

impl Shared {
    /// From its parts.
    pub fn new(snapshot: Arc<Snapshot>, neighbors: Arc<Neighbors>, steer: Arc<Steer>) -> Shared {
        let (fresh, egresses) = (fresh(&snapshot), Egresses::of(&snapshot));
        Shared { snapshot, fresh, egresses, neighbors, steer }
    }

    /// The configuration.
    #[inline(always)]
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Replaces the configuration and gives the old one; between two bursts.
    pub fn replace(&mut self, snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
        self.fresh = fresh(&snapshot);
        self.egresses.fill(&snapshot);
        core::mem::replace(&mut self.snapshot, snapshot)
    }

    /// What the short way reads, at hand for a loop over packets.
    #[inline(always)]
    pub fn tables<'a>(&'a self, stats: &'a Stats) -> Tables<'a> {
        Tables {
            hops: self.neighbors.hops(),
            egresses: self.egresses.ways(),
            reals: &self.snapshot.reals,
            fresh: self.fresh,
            traffic: &stats.traffic,
        }
    }

    /// The class of a tuple: `home(tuple)`.
    pub fn class_of(&self, tuple: &Tuple) -> Class {
        self.steer.class_of(tuple)
    }

    /// The same, of IPv4.
    #[inline(always)]
    pub fn class_of4(&self, key: &Key) -> Class {
        self.steer.class4(key.src(), key.dst(), key.sport(), key.dport())
    }

    /// The next hop towards an address of IPv4, if it is known.
    #[inline(always)]
    pub fn known_hop(&self, addr: Be32) -> Option<NeighborId> {
        match self.snapshot.routes.lookup4(addr)? {
            RouteTo::Via(hop) => Some(hop),
            RouteTo::OnLink(iface) => self.neighbors.find(iface, addr.into()),
        }
    }

    /// The next hop towards an address, asked for if it is new.
    #[inline(always)]
    pub fn next_hop(&self, addr: Addr) -> Result<NeighborId, DropReason> {
        match self.snapshot.routes.lookup(addr) {
            Some(RouteTo::Via(hop)) => Ok(hop),
            Some(RouteTo::OnLink(iface)) => self.on_link(iface, addr),
            None => Err(DropReason::NoRoute),
        }
    }

    #[inline(never)]
    fn on_link(&self, iface: IfaceId, addr: Addr) -> Result<NeighborId, DropReason> {
        self.neighbors.claim(iface, addr).ok_or(DropReason::NeighborTableFull)
    }

    /// The state of a connection's server.
    #[inline(always)]
    pub fn real_state(&self, conn: &Conn) -> RealState {
        self.snapshot.real(conn.real)
    }
}

/// What the short way reads, besides the connections: each table one load away.
#[derive(Clone, Copy)]
pub struct Tables<'a> {
    /// The next hops.
    pub hops: Hops<'a>,
    /// The interfaces behind them.
    pub egresses: egress::Ways<'a>,
    reals: &'a [RealState],
    fresh: Ticks,
    traffic: &'a [RealTraffic],
}

impl<'a> Tables<'a> {
    /// The same with as many states as counters of servers, so that one look at an index is enough.
    #[inline(always)]
    pub fn even(self) -> Tables<'a> {
        let known = self.reals.len().min(self.traffic.len());
        Tables { reals: &self.reals[..known], traffic: &self.traffic[..known], ..self }
    }

    /// True when a connection that is established, or UDP, was in use so short a time ago that it can not be dead. One
    /// that was not may be: [`Shared::deadline`] knows.
    #[inline(always)]
    pub fn is_fresh(&self, conn: &Conn, now: Tick) -> bool {
        now.0.wrapping_sub(conn.last_seen.0) < self.fresh.0
    }

    /// Loads the counters of a server's packets.
    #[inline(always)]
    pub fn prefetch(&self, real: RealId) {
        crate::mem::prefetch(self.traffic, real.index());
    }

    /// The counters of the packets of a server that is there.
    #[inline(always)]
    pub fn present(&self, real: RealId) -> Option<&'a RealTraffic> {
        let RealState::Present = self.reals.get(real.index())? else { return None };
        self.traffic.get(real.index())
    }
}

/// See the module.
pub struct Shard<M: Memory> {
    /// Whose it is.
    pub id: LcoreId,
    /// Its counters.
    pub stats: Arc<Stats>,
    /// False once the run ends: nothing opens any more.
    pub accepting: bool,
    /// No packet takes the short way: for tests that hold the two ways against each other.
    pub whole_way: bool,
    /// Its connections.
    pub conns: Conns<M>,
    pub(crate) exts: Exts<M>,
    ports: Ports<M>,
    wheel: Wheel<M>,
    recent: Recent<M>,
    /// Seats whose entry in the wheel counts; the rest of the wheel's entries are left behind.
    filed: usize,
    /// When the quarantines of ports were last looked at.
    swept: Tick,
    sched: Vec<SchedState>,
    /// See [`Shard::look_ahead`].
    looks: u32,
    pressed: Pressed,
    random: SplitMix,
    events: VecDeque<Event>,
    tap: usize,
}

/// A half-open connection that gave up its port or its seat: its server must forget it before the next SYN comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forget {
    /// The tuple of packets to the server.
    pub tuple: Tuple,
    /// The next hop towards the server.
    pub hop: NeighborId,
    /// What the server expects next from the client.
    pub seq: u32,
}

impl<M: Memory> Shard<M> {
    /// A shard of these sizes, with its memory taken and touched. `seed` decides the order of ports and the hash.
    pub fn new(
        memory: &M,
        id: LcoreId,
        sizes: Sizes,
        stats: Arc<Stats>,
        seed: u64,
        now: Tick,
    ) -> Result<Self, OutOfMemory> {
        let secret = Secret::new(seed);
        // Local ports are seen outside: what they tell of their sequence must not lead back to the secret.
        let random = SplitMix(secret.hash(&Key::EMPTY));
        let conns = Conns::new(memory, sizes.conns, sizes.wide, secret)?;
        let capacity = conns.capacity();
        // One entry a connection that counts, and as many again that are left behind by earlier deadlines.
        let timers = 2 * capacity;
        stats.lcore.tables.conns_room.set(capacity as u64);
        stats.lcore.tables.index_room.set(conns.index_load().1 as u64);
        stats.lcore.tables.timers_room.set(timers as u64);
        stats.lcore.tables.port_lists_room.set(sizes.port_chunks as u64);
        Ok(Shard {
            id,
            stats,
            accepting: true,
            whole_way: false,
            conns,
            exts: Exts::new(memory, capacity / 16)?,
            ports: Ports::new(memory, sizes.port_chunks, sizes.port_chunks / 4 + 1, id)?,
            wheel: Wheel::new(memory, timers, now)?,
            // A set for eight connections; never less than the ports of four (server, local address) pairs need.
            recent: Recent::new(memory, (capacity / 8).max(4 * 64_512 / 10))?,
            filed: 0,
            swept: now,
            sched: alloc::vec![SchedState::default(); sizes.services],
            looks: 0,
            pressed: Pressed::default(),
            random,
            events: VecDeque::new(),
            tap: 0,
        })
    }

    /// Chooses a server of a service: its index in `service.reals`.
    pub fn schedule(&mut self, service: &Service) -> Option<usize> {
        let stats = &self.stats;
        self.sched.get_mut(service.id.index())?.pick(service, |id| stats.real(id))
    }

    /// How full the tables are, once a tick.
    fn count_tables(&self) {
        let (stats, ports) = (&self.stats.lcore.tables, self.ports.stats());
        stats.index_now.set(self.conns.index_load().0 as u64);
        stats.timers_now.set(self.wheel.pending() as u64);
        stats.port_lists_now.set(u64::from(ports.chunks));
    }

    /// How many connections and ports there are. The short ways leave it to [`Shard::expire`], which ends every turn.
    #[inline(always)]
    fn count_now(&self) {
        self.stats.lcore.conns_now.set(self.conns.len() as u64);
        self.stats.lcore.ports_now.set(self.ports.in_use());
    }

    /// A packet brings a connection into a state, which may be the one it is in.
    #[inline(always)]
    pub fn change(&mut self, timeouts: &Timeouts, now: Tick, id: ConnId, next: State) {
        let conn = self.conns.conn_mut(id);
        let before = conn.state();
        conn.last_seen = now;
        if before == next {
            return;
        }
        conn.set_state(next);
        self.stats.lcore.count_state(before, next);
        self.pressed.count(conn.class, before, next);
        if before.is_active() != next.is_active() {
            self.stats.real(conn.real).count_change(next.is_active());
        }
        if next.is_over() {
            self.pressed.outdated();
        }
        let deadline = now + timeouts.of(next);
        if !conn.is_filed_by(deadline) {
            self.file_at(id, deadline);
        }
        self.event(EventKind::Changed, id);
    }

    /// Ends a connection: its port goes into quarantine after an orderly close, and is free at once after a RST.
    pub fn close(&mut self, now: Tick, id: ConnId) {
        let due = self.due(id);
        self.close_at(now, &due);
        self.count_now();
    }

    /// The same once it is known what that needs. The caller sees to [`Shard::count_now`].
    #[inline(always)]
    fn close_at(&mut self, now: Tick, &Due { id, reply, ref spots, .. }: &Due) {
        self.event(EventKind::Closed, id);
        let conn = self.conns.conn(id);
        let (state, real, lease, ext) = (conn.state(), conn.real, conn.lease, conn.ext);
        let release = match state {
            State::None | State::Close | State::Udp => Release::Free,
            State::Established
            | State::SynSent
            | State::SynRecv
            | State::FinWait
            | State::TimeWait
            | State::CloseWait
            | State::LastAck
            | State::Listen
            | State::SynAck => Release::Quarantine,
        };
        if state.is_closing() && release == Release::Quarantine {
            let expected = if conn.has(flags::EXT) {
                self.exts.ext(ext).filter(|e| e.fin != 0).map(|e| e.next_seq)
            } else {
                conn.has(flags::NEXT_SEQ).then_some(ext)
            };
            if let Some(next_seq) = expected {
                self.recent.remember(reply, next_seq, conn.last_seen, now);
            }
        }
        if conn.has(flags::EXT) {
            self.exts.give_back(ext);
        }
        let class = conn.class;
        self.stats.lcore.count_state(state, State::None);
        self.pressed.count(class, state, State::None);
        self.ports.give_back(lease, release, now);
        let real = self.stats.real(real);
        if state.is_active() {
            real.active.add(u64::MAX)
        } else {
            real.inactive.add(u64::MAX)
        }
        self.conns.remove_from(id, spots);
        self.stats.lcore.conns_closed.add(1);
    }

    /// Keeps up to `capacity` events from now on for [`Shard::next_event`]; 0 keeps none. Loses, counted, what comes
    /// when it is full.
    pub fn tap(&mut self, capacity: usize) {
        self.tap = capacity;
        self.events = VecDeque::with_capacity(capacity);
    }

    /// The oldest event.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    #[inline(always)]
    fn event(&mut self, kind: EventKind, id: ConnId) {
        if self.tap != 0 {
            self.tell(kind, id);
        }
    }

    #[cold]
    fn tell(&mut self, kind: EventKind, id: ConnId) {
        if self.events.len() >= self.tap {
            self.stats.lcore.events_lost.add(1);
            return;
        }
        let conn = self.conns.conn(id);
        let (client, reply) = (self.conns.tuple(id, Dir::In), self.conns.tuple(id, Dir::Out));
        self.events.push_back(Event { kind, conn: id, client, reply, real: conn.real, state: conn.state() });
    }

    /// How its local ports stand.
    pub fn port_stats(&self) -> crate::laddr::PortStats {
        self.ports.stats()
    }
}

fn fresh(snapshot: &Snapshot) -> Ticks {
    let both = |t: &Timeouts| t.of(State::Established).min(t.of(State::Udp));
    snapshot.profiles.iter().map(both).min().unwrap_or_default()
}
