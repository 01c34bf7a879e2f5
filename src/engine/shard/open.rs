//! The beginning of a connection.

use super::lease::Leased;
use super::{Forget, Shard, Shared};
use crate::addr::*;
use crate::conn::key::Key;
use crate::conn::record::EventKind;
use crate::conn::state::State;
use crate::conn::tuple::Tuple;
use crate::conn::{Conn, flags};
use crate::laddr::{Release, Want};
use crate::mem::Memory;
use crate::snapshot::{Real, Service};
use crate::time::Tick;
use crate::verdict::DropReason;
use crate::wire::checksum::DeltaSum;

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
    /// See [`Shard::expect`].
    pub reply: Option<Foreseen>,
}

/// The server's packets of a connection that is about to be opened, if nothing comes in between.
#[derive(Clone, Copy)]
pub struct Foreseen {
    /// The server.
    pub(super) real: RealId,
    /// The number that the local port follows from.
    pub(super) start: u32,
    /// Of the server's packets, and its hash.
    pub(super) key: Key,
    pub(super) hash: u64,
}

impl<M: Memory> Shard<M> {
    /// Loads what it takes to open the `n`-th connection from now on, and tells of it, as far as that can be known before:
    /// whoever is served meanwhile may change it. For IPv4.
    #[inline(always)]
    pub fn expect(&self, shared: &Shared, n: usize, proto: Proto, class: Class, service: &Service) -> Option<Foreseen> {
        let stats = &self.stats;
        let picked = self.sched.get(service.id.index()).and_then(|s| { *s }.pick(service, |id| stats.real(id)));
        let real = picked.and_then(|i| service.reals.get(i))?;
        stats.prefetch(real.id);
        let want = want(real, service, class, self.random.ahead(n));
        self.ports.prefetch(&want);
        let (lip, lport) = self.ports.guess(&shared.steer, &want)?;
        let (Addr::V4(rip), Addr::V4(lip)) = (real.addr, lip.addr) else { return None };
        let key = Key::v4(rip, lip, real.port, lport, proto);
        let hash = self.conns.hash(&key);
        self.conns.prefetch_insertion(hash, n);
        self.recent.prefetch(hash);
        Some(Foreseen { real: real.id, start: want.start, key, hash })
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
            (Family::V4, Family::V4) => fill_deltas4(conn),
            (Family::V4 | Family::V6, _) => fill_deltas(conn, &[what.client, reply()]),
        }
        conn.real = real.id;
        conn.profile = what.service.profile;
        conn.next_hops = what.next_hops;
        conn.lease = lease;
        if tcp {
            conn.ext = what.seq.wrapping_add(1);
            conn.flags |= flags::NEXT_SEQ;
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
        if self.file(shared, id) {
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

/// As [`fill_deltas`], by the keys of IPv4.
#[inline(always)]
fn fill_deltas4(conn: &mut Conn) {
    let (old, new) = (conn.keys[0], conn.rewritten(Dir::In));
    let addrs = DeltaSum::new().replace32(old.src(), new.src()).replace32(old.dst(), new.dst());
    conn.ip_delta = addrs.fold();
    conn.l4_delta = addrs.replace16(old.sport(), new.sport()).replace16(old.dport(), new.dport()).fold();
}

/// What a rewrite adds to the checksums (RFC 1624): new addresses and ports less the old ones, for `Dir::In`.
#[inline(always)]
pub(super) fn fill_deltas(conn: &mut Conn, [client, reply]: &[Tuple; 2]) {
    let (old, new) = (client, reply.reversed());
    let addrs = DeltaSum::new().replace_addr(old.src(), new.src()).replace_addr(old.dst(), new.dst());
    conn.ip_delta = addrs.fold();
    conn.l4_delta = addrs.replace16(old.sport(), new.sport()).replace16(old.dport(), new.dport()).fold();
}
