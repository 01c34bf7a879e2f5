//! The loop of the generator: both sides polled in turn by one lcore, and what all kinds of traffic need.

use super::frame::{self, Ends};
use super::latency::Latency;
use super::link::{Burst, Link};
use arrayvec::ArrayVec;
use dpdk::{HEADROOM, Mbuf, Mempool, rdtsc, tsc_hz};
use gatun_engine::testkit::check;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Turns between two looks at the rest of the world.
const LOOK: u32 = 256;
/// Turns with nothing to do before others may run.
const PATIENCE: u32 = 16;
/// One in as many packets has its checksums looked at.
const SAMPLE: u64 = 1_024;
/// Buffers that are kept at hand.
const SPARE: usize = 1_024;

/// What is counted while traffic runs.
#[derive(Default)]
pub struct Tally {
    /// Packets that came through the gateway, as they should.
    pub through: u64,
    /// Exchanges that are done: packets there and back, whole connections.
    pub done: u64,
    /// Started.
    pub started: u64,
    /// Not as they should be: not ours, another tuple, a server that is none.
    pub wrong: u64,
    /// Ours, but given up before, or for the second time.
    pub late: u64,
    /// RSTs that came.
    pub resets: u64,
    /// SYNs and FINs that were sent again.
    pub repeated: u64,
    /// Packets whose checksums were looked at, and were wrong.
    pub sampled: u64,
    /// See `sampled`.
    pub bad_checksums: u64,
    /// From start to end of an exchange, in ticks of the time stamp counter.
    pub latency: Latency,
    /// What was said about the first that was wrong.
    pub first_wrong: Option<String>,
}

/// See the module.
pub struct Bed {
    /// The clients' side, and the servers'.
    pub links: Vec<Link>,
    /// The time, read once a turn.
    pub now: u64,
    /// What is counted.
    pub tally: Tally,
    /// Set by a signal.
    pub stop: Arc<AtomicBool>,
    pool: Mempool,
    spare: Box<ArrayVec<Mbuf, SPARE>>,
    random: u64,
    idle: u64,
    seen: u64,
}

/// The clients' side in [`Bed::links`].
pub const CLIENTS: usize = 0;
/// The servers' side.
pub const SERVERS: usize = 1;

/// A kind of traffic.
pub trait Traffic {
    /// A packet came to the clients.
    fn client(&mut self, bed: &mut Bed, packet: Mbuf);
    /// A packet came to the servers.
    fn server(&mut self, bed: &mut Bed, packet: Mbuf);
    /// Starts as much as may be on its way now.
    fn start(&mut self, bed: &mut Bed);
    /// Now and then.
    fn look(&mut self, bed: &mut Bed);
    /// Nothing is left to do.
    fn done(&self) -> bool {
        false
    }
}

/// How a run of the loop went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run {
    /// Ticks that it took.
    pub ticks: u64,
    /// Of these, in turns without anything to do.
    pub idle: u64,
    /// A signal ended it.
    pub stopped: bool,
}

impl Bed {
    /// With these sides.
    pub fn new(links: Vec<Link>, pool: Mempool, stop: Arc<AtomicBool>) -> Bed {
        Bed {
            links,
            now: rdtsc(),
            tally: Tally::default(),
            stop,
            pool,
            spare: Box::default(),
            random: 0x9E37_79B9_7F4A_7C15,
            idle: 0,
            seen: 0,
        }
    }

    /// Lets traffic run for this long, or until it is done. `watch` is called about ten times a second, with the part of
    /// the time that has passed.
    pub fn run(&mut self, traffic: &mut impl Traffic, time: Duration, watch: &mut dyn FnMut(f64, &Tally)) -> Run {
        let (begin, length) = (rdtsc(), (time.as_secs_f64() * tsc_hz() as f64) as u64);
        let (every, longest_turn) = (tsc_hz() / 10, tsc_hz() / 100_000);
        let (mut told, mut turns, mut quiet) = (begin, 0_u32, 0_u32);
        self.idle = 0;
        self.now = begin;
        let mut burst = Burst::new();
        loop {
            let before = self.now;
            let mut busy = 0;
            for side in (0..self.links.len()).rev() {
                busy += self.links[side].receive(&mut burst);
                if side == 0 || !burst.is_empty() {
                    self.now = rdtsc();
                }
                for packet in burst.drain(..) {
                    let Some(packet) = self.links[side].neighbours(packet) else { continue };
                    if side == CLIENTS { traffic.client(self, packet) } else { traffic.server(self, packet) }
                }
            }
            let started = self.tally.started;
            traffic.start(self);
            self.links.iter_mut().for_each(Link::flush);
            if busy == 0 && started == self.tally.started {
                let took = self.now.saturating_sub(before);
                // A longer turn was not idle: others had the CPU.
                self.idle += if took < longest_turn { took } else { 0 };
                quiet += 1;
                if quiet > PATIENCE {
                    std::thread::yield_now();
                }
            } else {
                quiet = 0;
            }
            turns = turns.wrapping_add(1);
            if !turns.is_multiple_of(LOOK) {
                continue;
            }
            traffic.look(self);
            let ticks = self.now.saturating_sub(begin);
            let stopped = self.stop.load(Ordering::Relaxed);
            if ticks >= length || stopped || traffic.done() {
                return Run { ticks, idle: self.idle, stopped };
            }
            if self.now.saturating_sub(told) >= every {
                told = self.now;
                watch(ticks as f64 / length as f64, &self.tally);
            }
        }
    }

    /// A buffer for a frame of `len` bytes. `None` when all are on their way.
    #[inline(always)]
    pub fn take(&mut self, len: usize) -> Option<Mbuf> {
        let mut packet = self.spare.pop().or_else(|| self.pool.alloc())?;
        // A buffer holds the largest frame.
        packet.set_window(HEADROOM, len as u16).ok()?;
        Some(packet)
    }

    /// A buffer that is not needed any more.
    #[inline(always)]
    pub fn give(&mut self, packet: Mbuf) {
        // Beyond that it goes back to its pool.
        let _ = self.spare.try_push(packet);
    }

    /// A random number below `n`.
    #[inline(always)]
    pub fn random(&mut self, n: u32) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (((self.random >> 32) * u64::from(n)) >> 32) as u32
    }

    /// Something that should not have come.
    #[cold]
    pub fn wrong(&mut self, what: &str, packet: Mbuf) {
        self.tally.wrong += 1;
        let frame = packet.data();
        self.tally.first_wrong.get_or_insert_with(|| format!("{what}: {}", gatun_engine::testkit::text::frame(frame)));
        self.give(packet);
    }

    /// Looks at the checksums of one packet in a thousand.
    #[inline(always)]
    pub fn sample(&mut self, frame: &[u8]) {
        self.seen += 1;
        if self.seen.is_multiple_of(SAMPLE) {
            self.check(frame);
        }
    }

    #[cold]
    fn check(&mut self, frame: &[u8]) {
        self.tally.sampled += 1;
        if let Err(what) = check::checksums(frame) {
            self.tally.bad_checksums += 1;
            self.tally.first_wrong.get_or_insert(what);
        }
    }

    /// Who sends from a side to its gateway.
    pub fn ends(&self, side: usize) -> Ends {
        let link = &self.links[side];
        Ends { own: link.mac, gateway: link.gateway.unwrap_or_default(), v6: link.speaks_v6() }
    }

    /// Asks for the gateway on every side until it is known, for at most this long; says on which side it is not.
    pub fn find_gateway(&mut self, time: Duration) -> Result<(), usize> {
        let mut asking = Asking { every: tsc_hz() / 5, last: 0, all: false };
        self.run(&mut asking, time, &mut |_, _| {});
        match self.links.iter().position(|l| l.gateway.is_none()) {
            None => Ok(()),
            Some(side) => Err(side),
        }
    }
}

/// Asks for the gateway.
struct Asking {
    every: u64,
    last: u64,
    all: bool,
}

impl Traffic for Asking {
    fn client(&mut self, bed: &mut Bed, packet: Mbuf) {
        bed.give(packet);
    }
    fn server(&mut self, bed: &mut Bed, packet: Mbuf) {
        bed.give(packet);
    }
    fn start(&mut self, _: &mut Bed) {}
    fn look(&mut self, bed: &mut Bed) {
        if bed.now.saturating_sub(self.last) < self.every {
            return;
        }
        self.last = bed.now;
        for side in 0..bed.links.len() {
            if bed.links[side].gateway.is_none()
                && let Some(packet) = bed.take(frame::LEAST)
            {
                bed.links[side].ask(packet);
            }
        }
        self.all = bed.links.iter().all(|l| l.gateway.is_some());
    }
    fn done(&self) -> bool {
        self.all
    }
}

/// When the next is due, at a rate.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    per_tick: f64,
    begin: u64,
    count: u64,
}

impl Pace {
    /// So many a second, from now on.
    pub fn new(rate: f64, now: u64) -> Pace {
        Pace { per_tick: rate / tsc_hz() as f64, begin: now, count: 0 }
    }

    /// The moment at which the next was due, if it is due.
    #[inline(always)]
    pub fn due(&mut self, now: u64) -> Option<u64> {
        let due = self.begin + (self.count as f64 / self.per_tick) as u64;
        if due > now {
            return None;
        }
        self.count += 1;
        Some(due)
    }
}

/// How many may be on their way, or when the next is due.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// Closed loop.
    Window(u32),
    /// Open loop.
    Rate(Pace),
}

impl Load {
    /// When the next that may start now was due; `None` when none may.
    #[inline(always)]
    pub fn next(&mut self, outstanding: u32, now: u64) -> Option<u64> {
        match self {
            Load::Window(n) => (outstanding < *n).then_some(now),
            Load::Rate(pace) => pace.due(now),
        }
    }
}
