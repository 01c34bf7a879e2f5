//! A laboratory in virtual time: the lcores of a gateway, its master and its links, in one thread and without a clock.
//!
//! The code that runs here is the code of the live gateway: [`Lcore::turn`], [`Lcore::finish`], [`Local`]. Only what is
//! around it is a model: network cards that spread frames by their hash ([`nic`]), rings, and time, which moves when a
//! frame comes. The same plan and the same frames give the same frames, byte for byte. `gatun replay` and the tests of
//! whole conversations are built on it.
//!
//! After every frame and whenever time has passed the balance of each lcore is looked at; it is a bug of the engine, and a
//! panic, if it is not zero.

mod links;
pub mod nic;
mod wires;

use crate::addr::{Addr, IfaceId, LcoreId, Mac, NeighborId, PortId};
use crate::conn::record::{Cursor, Event, EventKind, Record};
use crate::conn::state::State;
use crate::frame::{Buffer, Meta};
use crate::lcore::{self, Batch, Source};
use crate::limit::Limits;
use crate::local::Local;
use crate::mem::{Heap, Memory, OutOfMemory};
use crate::neighbor::Neighbors;
use crate::shard::{Shard, Shared, Sizes};
use crate::snapshot::Snapshot;
use crate::stats::Stats;
use crate::steer::Steer;
use crate::time::{HZ, Tick};
use crate::verdict::{DropReason, Verdict};
use alloc::sync::Arc;
use nic::Card;
use std::collections::HashMap;
use wires::{Happened, Wires};

/// An lcore of the laboratory.
pub type Lcore = lcore::Lcore<Heap, Buf>;

pub use links::{Link, mac_of};
pub use nic::Arrival;
pub use wires::{Buf, Sent};

/// Nanoseconds in a tick.
pub const TICK_NANOS: u64 = 1_000_000_000 / HZ as u64;

/// What a laboratory is made of.
#[derive(Clone)]
pub struct Plan {
    /// What all lcores share; as many lcores as the steering knows.
    pub shared: Shared,
    /// The next hops of the configuration.
    pub hops: Vec<(IfaceId, Addr)>,
    /// Its static neighbours.
    pub fixed: Vec<(IfaceId, Addr, Mac)>,
    /// Rate limits of the punts, of each lcore.
    pub limits: Limits,
    /// How large each shard is.
    pub sizes: Sizes,
    /// Seats for the counters of real servers.
    pub reals: usize,
    /// By port.
    pub links: Vec<Link>,
    /// How frames come to the lcores.
    pub arrival: Arrival,
    /// Of all randomness.
    pub seed: u64,
}

impl Plan {
    /// An lcore at the time `now`, on any memory and with any buffers: with the plan's seed it gives the leases that the
    /// laboratory's gives.
    ///
    /// # Errors
    /// When there is no memory for the tables.
    pub fn lcore<M: Memory, B: Buffer>(
        &self,
        memory: &M,
        id: u8,
        seed: u64,
        now: Tick,
    ) -> Result<lcore::Lcore<M, B>, OutOfMemory> {
        let stats = Arc::new(Stats::new(self.reals));
        let seed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(u64::from(id));
        let shard = Shard::new(memory, LcoreId(id), self.sizes, stats, seed, now)?;
        let lcores = usize::from(self.shared.steer.lcores());
        Ok(lcore::Lcore::new(self.shared.clone(), shard, self.links.len(), lcores, &self.limits, now))
    }
}

/// What became of one frame that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The lcore that the network card gave it to.
    pub first: LcoreId,
    /// The lcores that it was given to on its way, the first left out.
    pub redirects: Vec<LcoreId>,
    /// What became of it in the end.
    pub verdict: Verdict,
    /// Everything that left because of it, in order.
    pub sent: Vec<Sent>,
    /// What happened to connections.
    pub events: Vec<Event>,
}

/// See the module.
pub struct Lab {
    plan: Plan,
    lcores: Vec<Lcore>,
    local: Local,
    wires: Wires,
    /// By port.
    cards: Vec<Card>,
    now: Tick,
    nanos: u64,
    events: Vec<Event>,
    known: HashMap<NeighborId, Mac>,
}

impl Lab {
    /// A gateway at time 0. Nothing has been sent yet: see [`Lab::announce`].
    ///
    /// # Errors
    /// When there is no memory for the tables.
    pub fn new(plan: Plan) -> Result<Lab, OutOfMemory> {
        let mut lab = Lab {
            lcores: Vec::new(),
            local: Local::new(plan.shared.neighbors.clone()),
            wires: Wires::new(0),
            cards: Vec::new(),
            now: Tick(0),
            nanos: 0,
            events: Vec::new(),
            known: HashMap::new(),
            plan,
        };
        lab.start(lab.plan.seed)?;
        lab.configure();
        Ok(lab)
    }

    /// New lcores, rings and cards.
    fn start(&mut self, seed: u64) -> Result<(), OutOfMemory> {
        let steer = self.plan.shared.steer.clone();
        self.lcores = (0..steer.lcores()).map(|id| self.lcore(id, seed)).collect::<Result<_, _>>()?;
        self.wires = Wires::new(self.lcores.len());
        self.wires.nanos = self.nanos;
        self.cards = self.plan.links.iter().map(|_| Card::new(self.plan.arrival, &steer)).collect();
        Ok(())
    }

    fn lcore(&self, id: u8, seed: u64) -> Result<Lcore, OutOfMemory> {
        let mut lcore: Lcore = self.plan.lcore(&Heap, id, seed, self.now)?;
        lcore.shard.tap(4 * crate::frame::BURST);
        Ok(lcore)
    }

    fn configure(&mut self) {
        let snapshot = self.plan.shared.snapshot();
        let quiet = |iface: IfaceId| snapshot.iface(iface).is_some_and(|i| self.link(i.port) == Link::Quiet);
        let asked: Vec<_> = self.plan.hops.iter().copied().filter(|(i, _)| !quiet(*i)).collect();
        self.local.configure(self.now, &asked, &self.plan.fixed);
        for (iface, addr) in self.plan.hops.clone() {
            if let Some(hop) = self.plan.shared.neighbors.claim(iface, addr) {
                self.meet(hop);
            }
        }
    }

    /// Says which addresses are ours, on the links where anybody hears it. Those of IPv6 that are the interfaces' own are
    /// probed for first, which takes a second.
    pub fn announce(&mut self) -> Vec<Sent> {
        let mut out = Vec::new();
        self.local.announce(self.now, self.plan.shared.snapshot(), &mut out);
        self.relay(out);
        self.settle();
        self.take()
    }

    /// Replaces the configuration, as a reload does.
    pub fn publish(
        &mut self,
        snapshot: Arc<Snapshot>,
        hops: Vec<(IfaceId, Addr)>,
        fixed: Vec<(IfaceId, Addr, Mac)>,
        limits: Limits,
    ) {
        self.plan.shared.replace(snapshot.clone());
        (self.plan.hops, self.plan.fixed, self.plan.limits) = (hops, fixed, limits);
        for lcore in &mut self.lcores {
            lcore.shared.replace(snapshot.clone());
            lcore.set_limits(&limits, self.now);
        }
        self.configure();
    }

    /// Lets time pass until `nanos`, or until something leaves, which it gives: call it again until it gives nothing.
    /// A time in the past changes nothing.
    pub fn advance(&mut self, nanos: u64) -> Vec<Sent> {
        while self.nanos / TICK_NANOS < nanos / TICK_NANOS {
            let next = if self.idle() { nanos / TICK_NANOS } else { self.nanos / TICK_NANOS + 1 };
            self.nanos = next * TICK_NANOS;
            self.now = Tick::from_nanos(self.nanos);
            self.wires.nanos = self.nanos;
            self.tick();
            if !self.wires.sent.is_empty() {
                return self.take();
            }
        }
        self.nanos = self.nanos.max(nanos);
        self.wires.nanos = self.nanos;
        self.weigh();
        Vec::new()
    }

    /// Nothing can be due: there is no connection, no port rests, and nobody asks for neighbours.
    fn idle(&self) -> bool {
        let nothing = |l: &Lcore| l.shard.conns.is_empty() && l.shard.port_stats().quarantined == 0;
        self.plan.links.iter().all(|l| *l == Link::Quiet) && self.lcores.iter().all(nothing)
    }

    fn tick(&mut self) {
        for lcore in &mut self.lcores {
            lcore.finish(self.now, &mut self.wires);
        }
        self.settle();
        let mut out = Vec::new();
        self.local.tick(self.now, self.plan.shared.snapshot(), &mut out);
        self.relay(out);
        self.settle();
    }

    /// A frame comes in by a port, now.
    pub fn input(&mut self, port: PortId, frame: &[u8]) -> Step {
        self.frame(Buf::new(frame, Meta { port, ..Meta::default() }))
    }

    /// As [`Lab::input`], for a frame in any form.
    pub fn frame(&mut self, mut buf: Buf) -> Step {
        let first = self.deliver(&mut buf);
        self.wires.log.clear();
        self.events.clear();
        self.turn(first, buf, Source::Port);
        self.settle();
        let (redirects, verdict) = self.wires.outcome();
        Step { first, redirects, verdict, sent: self.take(), events: core::mem::take(&mut self.events) }
    }

    /// The lcore that the card of its port gives a frame to.
    fn deliver(&mut self, buf: &mut Buf) -> LcoreId {
        let (steer, snapshot) = (&self.plan.shared.steer, self.plan.shared.snapshot());
        let Some(card) = self.cards.get_mut(buf.meta.port.index()) else { return LcoreId(0) };
        let (to, rss) = card.deliver(self.now, steer, snapshot, buf.bytes());
        // A worker hands on the hashes of no other cards.
        buf.meta.rss = rss.filter(|_| self.plan.arrival.is_honest());
        to
    }

    /// Several frames at once, 64 at most: each lcore works on what its queues got before it sees what others hand over.
    /// What left because of them.
    pub fn arrive(&mut self, frames: impl Iterator<Item = Buf>) -> Vec<Sent> {
        let mut queues: Vec<Batch<Buf>> = self.lcores.iter().map(|_| Batch::new()).collect();
        for mut buf in frames {
            let to = self.deliver(&mut buf);
            queues[to.index()].push(buf);
        }
        for (lcore, queue) in self.lcores.iter_mut().zip(&mut queues) {
            lcore.turn(self.now, &mut self.wires, queue, Source::Port);
            lcore.finish(self.now, &mut self.wires);
        }
        self.settle();
        self.take()
    }

    /// Several frames in one burst, to one lcore: what left because of them.
    pub fn burst(&mut self, to: LcoreId, frames: impl Iterator<Item = Buf>) -> Vec<Sent> {
        let mut batch: Batch<Buf> = frames.collect();
        let lcore = &mut self.lcores[to.index()];
        lcore.turn(self.now, &mut self.wires, &mut batch, Source::Port);
        lcore.finish(self.now, &mut self.wires);
        self.settle();
        self.take()
    }

    fn turn(&mut self, to: LcoreId, buf: Buf, source: Source) {
        let lcore = &mut self.lcores[to.index()];
        let stats = lcore.shard.stats.clone();
        let drops = |reason: DropReason| stats.lcore.drop(reason).value();
        let before: Vec<u64> = DropReason::ALL.iter().map(|r| drops(*r)).collect();
        let held = stats.lcore.held_now.value();
        let mut batch: Batch<Buf> = core::iter::once(buf).collect();
        lcore.turn(self.now, &mut self.wires, &mut batch, source);
        for (reason, before) in DropReason::ALL.iter().zip(before).filter(|(r, before)| drops(**r) > *before) {
            self.wires.log.extend((before..drops(*reason)).map(|_| Happened::Dropped(*reason)));
        }
        if stats.lcore.held_now.value() > held {
            self.wires.log.push(Happened::Held);
        }
        lcore.finish(self.now, &mut self.wires);
        while let Some(event) = lcore.shard.next_event() {
            self.events.push(event);
        }
        for event in self.events.clone() {
            if event.kind == EventKind::Established {
                let hops = self.lcores[to.index()].shard.conns.conn(event.conn).next_hops;
                hops.into_iter().for_each(|hop| _ = self.meet(hop));
            }
        }
    }

    /// Until nothing is on its way between lcores and master any more.
    fn settle(&mut self) {
        loop {
            if let Some((to, buf)) = self.wires.next_redirect() {
                self.turn(to, buf, Source::Ring);
            } else if let Some((punt, buf)) = self.wires.punts.pop_front() {
                let mut out = Vec::new();
                self.local.input(self.now, self.plan.shared.snapshot(), &punt, buf.bytes(), &mut out);
                self.relay(out);
                // What waited for the MAC address that has just been learnt.
                self.finish();
            } else if let Some(hop) = self.wires.wanted.pop() {
                if self.meet(hop) {
                    self.finish();
                } else if !self.known.contains_key(&hop) {
                    self.local.wanted(self.now, hop);
                }
            } else {
                break;
            }
        }
    }

    /// Looks at the balance of every lcore, and whether its connections are counted in one state each.
    fn weigh(&self) {
        for lcore in &self.lcores {
            let stats = &lcore.shard.stats.lcore;
            let in_states: u64 = State::ALL[1..].iter().map(|state| stats.state(*state).value()).sum();
            assert_eq!(in_states, stats.conns_now.value(), "lcore {}: connections in all states", lcore.shard.id);
            let (id, balance) = (lcore.shard.id, lcore.shard.stats.lcore.balance());
            assert!(balance == 0, "lcore {id}: the balance is {balance} and not 0; this is a bug of gatun");
        }
    }

    fn finish(&mut self) {
        for lcore in &mut self.lcores {
            lcore.finish(self.now, &mut self.wires);
        }
        // Whoever still waits is asked for again with the next tick.
        self.wires.wanted.retain(|hop| !self.known.contains_key(hop));
        self.wires.wanted.dedup();
        let waiting = core::mem::take(&mut self.wires.wanted);
        waiting.into_iter().for_each(|hop| self.local.wanted(self.now, hop));
    }

    /// What left, when everything has settled.
    fn take(&mut self) -> Vec<Sent> {
        self.weigh();
        core::mem::take(&mut self.wires.sent)
    }

    /// All connections move to a new engine with so many lcores, as over a restart: each record goes to the lcore that owns
    /// it there. Gives how many were refused.
    ///
    /// # Errors
    /// When there is no memory for the tables.
    ///
    /// # Panics
    /// When so many lcores can not share the classes.
    pub fn restart(&mut self, seed: u64, lcores: u8) -> Result<usize, OutOfMemory> {
        let mut records: Vec<Record> = Vec::new();
        for lcore in &mut self.lcores {
            let mut cursor = Some(Cursor::default());
            while let Some(at) = cursor {
                cursor = lcore.shard.export(&lcore.shared, self.now, at, 7, |r| records.push(r));
            }
            lcore.abandon();
        }
        let steer = Steer::new(*self.plan.shared.steer.key(), lcores);
        self.plan.shared.steer = Arc::new(steer.unwrap_or_else(|e| panic!("{e}")));
        self.start(seed)?;
        let mut refused = 0;
        for record in &records {
            let shared = &self.plan.shared;
            let owner = shared.steer.owner(shared.class_of(&record.client));
            refused += usize::from(self.lcores[owner.index()].shard.adopt(shared, self.now, record).is_err());
        }
        Ok(refused)
    }

    /// The lcores, to look at.
    pub fn lcores(&self) -> &[Lcore] {
        &self.lcores
    }

    /// The lcores, to do with as one likes.
    pub fn lcores_mut(&mut self) -> &mut [Lcore] {
        &mut self.lcores
    }

    /// The master's responders.
    pub fn local(&mut self) -> &mut Local {
        &mut self.local
    }

    /// The neighbours.
    pub fn neighbors(&self) -> &Neighbors {
        &self.plan.shared.neighbors
    }

    /// The configuration in force.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        self.plan.shared.snapshot()
    }

    /// What it is made of.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The steering.
    pub fn steer(&self) -> &Steer {
        &self.plan.shared.steer
    }

    /// The time in nanoseconds.
    pub fn nanos(&self) -> u64 {
        self.nanos
    }

    /// The time in ticks.
    pub fn now(&self) -> Tick {
        self.now
    }

    /// Connections of all lcores.
    pub fn conns(&self) -> usize {
        self.lcores.iter().map(|l| l.shard.conns.len()).sum()
    }

    /// Drops of a reason, of all lcores.
    pub fn drops(&self, reason: DropReason) -> u64 {
        self.lcores.iter().map(|l| l.shard.stats.lcore.drop(reason).value()).sum()
    }
}
