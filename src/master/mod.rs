//! The master lcore: it owns the model, answers what the workers punt, keeps the neighbours, and publishes snapshots.
//!
//! A turn of its loop is bounded; between turns with nothing to do it sleeps for a fraction of a millisecond.

mod apply;
pub mod asks;
pub mod cpus;
pub mod handle;
pub mod observe;
mod ports;
pub mod start;
pub mod status;
mod steering;
mod trace;
pub mod watch;

use crate::config::Model;
use crate::config::compile::Compiler;
use crate::worker::Clock;
use crate::worker::io::Punts;
use crate::worker::mailbox::{FromWorker, Rings, ToWorker};
use crate::worker::progress::Progress;
use arrayvec::ArrayVec;
use asks::Asks;
use cpus::Places;
use dpdk::ring::Producer;
use dpdk::{Eal, LaunchHandle, Mbuf, Mempool, Port};
use gatun_engine::addr::RealId;
use gatun_engine::frame::BURST;
use gatun_engine::local::{Local, Out};
use gatun_engine::neighbor::Neighbors;
use gatun_engine::snapshot::Snapshot;
use gatun_engine::stats::Stats;
use gatun_engine::steer::Steer;
use gatun_engine::time::{HZ, Tick, Ticks};
use handle::Desk;
use ports::Pools;
use start::Claim;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use steering::{Owners, Steering};
use tracing::{error, info, warn};
use watch::{Finding, Sample, Watch};

/// Punts of one kind that the master takes from one worker in a turn.
const PUNT_BUDGET: usize = 64;
/// How long it sleeps when there is nothing to do.
const NAP: Duration = Duration::from_micros(300);
/// How long what is open may go on after SIGTERM.
const GRACE: Duration = Duration::from_millis(500);
/// How long a worker may take to end. All its queues are empty by then, or it is stuck.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at the neighbours' timers.
const NEIGHBOR_TURN: Ticks = Ticks(HZ / 16);

/// One worker, as the master sees it.
pub struct Seat {
    handle: Option<LaunchHandle>,
    rings: Arc<Rings>,
    punts: Arc<Punts>,
    relay: Producer,
    stats: Arc<Stats>,
    /// The generation it runs.
    generation: u64,
    /// The generation that was sent to it last.
    sent: u64,
    progress: Arc<Progress>,
    watch: Watch,
    /// What it was asked.
    asks: Asks,
}

/// What the operating system asks for.
#[derive(Clone, Default)]
pub struct Signals {
    /// SIGTERM or SIGINT.
    pub stop: Arc<AtomicBool>,
    /// SIGHUP. The keeper of the configuration looks at it.
    pub reload: Arc<AtomicBool>,
}

/// See the module. Fields are dropped in this order: ports before pool before EAL.
pub struct Master {
    model: Arc<Model>,
    compiler: Compiler,
    steer: Arc<Steer>,
    snapshot: Arc<Snapshot>,
    neighbors: Arc<Neighbors>,
    local: Local,
    seats: Vec<Seat>,
    clock: Clock,
    ready: bool,
    places: Places,
    outs: Vec<Out>,
    /// By port: the worker that sends what the master makes.
    senders: Vec<usize>,
    steerings: Vec<Steering>,
    owners: Owners,
    ports: Vec<Port>,
    pools: Pools,
    _eal: Eal,
    _claims: Vec<Claim>,
}

impl Master {
    /// Runs until a signal says stop. `ready` is called once, when every configured next hop has been probed.
    pub fn run(&mut self, signals: &Signals, desk: &Desk<Master>, ready: &mut dyn FnMut()) {
        let running = desk.running();
        self.announce();
        let mut neighbors_due = self.clock.now();
        let mut watch_due = Instant::now();
        while !signals.stop.load(Ordering::Relaxed) {
            let now = self.clock.now();
            let mut busy = self.turn(now);
            if now.reached(neighbors_due) {
                neighbors_due = now + NEIGHBOR_TURN;
                self.local.tick(now, &self.snapshot, &mut self.outs);
                busy |= self.send();
            }
            if Instant::now() >= watch_due {
                watch_due = Instant::now() + watch::INTERVAL;
                self.watch();
            }
            if !self.ready && self.local.ready() {
                self.ready = true;
                self.log_next_hops();
                ready();
            }
            busy |= desk.serve(self);
            let generation = self.generation_running();
            if *running.borrow() != generation {
                running.send_replace(generation);
            }
            if !busy {
                std::thread::sleep(NAP);
            }
        }
        self.stop();
    }

    /// Punts, neighbours that are waited for, answers of workers. True when there was something.
    fn turn(&mut self, now: Tick) -> bool {
        let mut busy = false;
        for seat in &mut self.seats {
            for ring in [&seat.punts.link, &seat.punts.rest] {
                for (punt, packet) in std::iter::from_fn(|| ring.pop()).take(PUNT_BUDGET) {
                    self.local.input(now, &self.snapshot, &punt, packet.0.data(), &mut self.outs);
                    busy = true;
                }
            }
            for hop in std::iter::from_fn(|| seat.punts.wanted.pop()).take(PUNT_BUDGET) {
                self.local.wanted(now, hop);
                busy = true;
            }
            while let Some(message) = seat.rings.from.pop() {
                busy = true;
                match message {
                    FromWorker::Done(generation, ..) => seat.generation = generation,
                    FromWorker::Counted(counts) => seat.asks.counted(counts),
                    FromWorker::Listed(records, next) => seat.asks.listed(records, next),
                    FromWorker::Dropped(log) => seat.asks.dropped(log),
                    FromWorker::Captures(refused) => seat.asks.captures(refused.is_none()),
                    FromWorker::CaptureOver(capture) => drop(capture),
                    FromWorker::Ended(ended, _) => seat.asks.ended(ended),
                }
            }
            seat.asks.send(|message| seat.rings.to.push(message));
        }
        if let Some(c) = self.local.take_conflict() {
            let addr = c.addr;
            warn!("address conflict: {} says that {addr} is its own; it is ours: find that host and change it", c.mac);
        }
        self.publish();
        busy | self.send()
    }

    /// Sends what the responders made, each by a worker that has a queue of its port. True when there was something.
    fn send(&mut self) -> bool {
        if self.outs.is_empty() {
            return false;
        }
        let mut bursts: Vec<ArrayVec<Mbuf, BURST>> = self.seats.iter().map(|_| ArrayVec::new()).collect();
        for out in self.outs.drain(..) {
            let sender = self.senders.get(out.port.index()).copied().unwrap_or_default();
            let (burst, seat) = (&mut bursts[sender], &mut self.seats[sender]);
            if burst.is_full() {
                seat.relay.enqueue_burst(burst);
                // What the ring does not take is lost, as any frame may be: neighbours are asked for again, peers repeat.
                burst.clear();
            }
            if let Some(mbuf) = fill(&self.pools.first, &out) {
                burst.push(mbuf);
            }
        }
        for (burst, seat) in bursts.iter_mut().zip(&mut self.seats) {
            seat.relay.enqueue_burst(burst);
        }
        true
    }

    /// Looks at the workers' progress, and at what they found of the cards' hashes.
    fn watch(&mut self) {
        for (seat, place) in self.seats.iter_mut().zip(&self.places.workers) {
            let Some(finding) = Sample::of(&seat.progress).and_then(|sample| seat.watch.look(sample)) else { continue };
            match finding {
                Finding::Stalled(at) => error!(
                    "worker lcore {} is stalled: it runs and makes no progress; last seen {at}: please report this as a bug",
                    place.lcore
                ),
                Finding::Descheduled(at) => warn!(
                    "worker lcore {} does not get to run on CPU {}; last seen {at}: give it a CPU of its own",
                    place.lcore, place.cpu
                ),
                Finding::GoesOn(after) => warn!("worker lcore {} goes on after {} ms", place.lcore, after.as_millis()),
            }
        }
        for (steering, port) in self.steerings.iter_mut().zip(&self.model.ports) {
            if let Some(why) = steering.fallen() {
                warn!("port {}: steering falls from rss to software: {why}", port.name);
            }
        }
    }

    fn announce(&mut self) {
        self.local.announce(self.clock.now(), &self.snapshot, &mut self.outs);
        self.send();
    }

    /// Sends the newest snapshot to every worker that has not got it.
    fn publish(&mut self) {
        let limits = crate::config::compile::limits(&self.model);
        let (snapshot, owners) = (&self.snapshot, &self.owners);
        for (i, seat) in self.seats.iter_mut().enumerate().filter(|(_, s)| s.sent < snapshot.generation) {
            if seat.rings.to.is_full() {
                continue;
            }
            let message = ToWorker::Snapshot(steering::view(snapshot, owners, i), Box::new(limits));
            if seat.rings.to.push(message).is_ok() {
                seat.sent = self.snapshot.generation;
            }
        }
    }

    /// Connections to a server now, on all workers.
    fn connections_to(seats: &[Seat], id: RealId) -> u64 {
        let of = |s: &Seat| s.stats.real(id).active.value().wrapping_add(s.stats.real(id).inactive.value());
        seats.iter().map(of).sum()
    }

    fn log_next_hops(&self) {
        let (hops, _) = crate::config::compile::hops(&self.model);
        let mut reached = 0;
        for (iface, addr) in &hops {
            let state = self.neighbors.find(*iface, *addr).map(|id| self.neighbors.cell(id).state);
            if state == Some(gatun_engine::neighbor::NudState::Reachable) {
                reached += 1;
            } else {
                warn!("next hop {} does not answer: is it up, and on this network?", addr);
            }
        }
        info!("{reached} of {} next hops answer", hops.len());
    }

    /// SIGTERM: open nothing more, let what is under way finish, drain, end.
    fn stop(&mut self) {
        info!("stopping: no new connections; what is open has {} ms", GRACE.as_millis());
        let until = Instant::now() + GRACE;
        self.tell_all(|| ToWorker::Close, until);
        let open = |seats: &[Seat]| seats.iter().map(|s| s.stats.lcore.conns_now.value()).sum::<u64>();
        while Instant::now() < until && open(&self.seats) > 0 {
            let now = self.clock.now();
            if !self.turn(now) {
                std::thread::sleep(NAP);
            }
        }
        let until = Instant::now() + PATIENCE;
        self.tell_all(|| ToWorker::Stop, until);
        for (seat, place) in self.seats.iter_mut().zip(&self.places.workers) {
            let runs = |seat: &Seat| seat.handle.as_ref().is_some_and(LaunchHandle::is_running);
            // A worker waits for room in its return ring before it takes a message.
            while runs(seat) && Instant::now() < until {
                while seat.rings.from.pop().is_some() {}
                std::thread::sleep(NAP);
            }
            if runs(seat) {
                let at = seat.progress.position();
                error!("worker lcore {} does not end; last seen {at}: the process ends without it", place.lcore);
            } else if let Some(Err(e)) = seat.handle.take().map(LaunchHandle::join) {
                warn!("{e}");
            }
        }
    }

    /// Whether every worker has ended.
    pub fn has_ended(&self) -> bool {
        self.seats.iter().all(|seat| seat.handle.is_none())
    }

    /// Until then at most: one that is stuck reads nothing.
    fn tell_all(&self, message: impl Fn() -> ToWorker, until: Instant) {
        for seat in &self.seats {
            let mut next = Some(message());
            while let Some(m) = next.take() {
                next = seat.rings.to.push(m).err().filter(|_| Instant::now() < until);
                if next.is_some() {
                    while seat.rings.from.pop().is_some() {}
                    std::thread::sleep(NAP);
                }
            }
        }
    }

    /// Closes the ports and frees the rings. Gives the packet buffers that did not come back: none, unless a driver keeps
    /// some.
    pub fn end(self) -> u32 {
        let Master { seats, steerings, ports, pools, .. } = self;
        drop(seats);
        drop(steerings);
        drop(ports);
        pools.in_use()
    }
}

fn fill(pool: &Mempool, out: &Out) -> Option<Mbuf> {
    let mut mbuf = pool.alloc()?;
    let room = mbuf.append(u16::try_from(out.frame.len()).ok()?)?;
    room.copy_from_slice(&out.frame);
    mbuf.set_port(u16::from(out.port.0));
    Some(mbuf)
}
