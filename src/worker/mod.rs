//! A worker: one lcore that polls. It owns its shard, its queues and its rings, and shares nothing that it writes.

pub mod capture;
pub mod idle;
pub mod io;
pub mod mailbox;
pub mod progress;
pub mod rss;

use dpdk::ring::Consumer;
use gatun_engine::addr::PortId;
use gatun_engine::frame::BURST;
use gatun_engine::lcore::{Batch, Lcore, Source};
use gatun_engine::time::{HZ, Tick};
use idle::Idler;
use io::{DpdkIo, HugePages, Packet, Receiver};
use mailbox::{Mailbox, Phase};
use progress::{Position, Progress};
use std::sync::Arc;

/// Ticks from the time-stamp counter, read once a turn.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: u64,
    per_tick: u64,
}

impl Clock {
    /// Starts now.
    pub fn start() -> Clock {
        Clock { start: dpdk::rdtsc(), per_tick: (dpdk::tsc_hz() / u64::from(HZ)).max(1) }
    }

    /// Ticks since the start.
    #[inline(always)]
    pub fn now(&self) -> Tick {
        Tick((dpdk::rdtsc().wrapping_sub(self.start) / self.per_tick) as u32)
    }
}

/// See the module.
pub struct Worker {
    /// The engine.
    pub lcore: Lcore<HugePages, Packet>,
    /// The ways out.
    pub io: DpdkIo,
    /// The receive queues that it polls.
    pub receivers: Vec<Receiver>,
    /// Frames that other workers handed over.
    pub redirected: Consumer,
    /// Frames that go out as they are: of the master, and of workers that have no queue of their own on a port.
    pub relayed: Vec<Consumer>,
    /// Messages of the master.
    pub mailbox: Mailbox,
    /// The time.
    pub clock: Clock,
    /// What to do when there is nothing to do.
    pub idler: Idler,
    /// For the master to see.
    pub progress: Arc<Progress>,
}

impl Worker {
    /// Polls until the master says stop.
    pub fn run(mut self) -> i32 {
        let mut batch: Batch<Packet> = Batch::new();
        self.progress.begin();
        loop {
            let now = self.clock.now();
            let mut frames = 0;
            for receiver in &mut self.receivers {
                self.progress.at(Position::Rx(receiver.port));
                frames += receiver.burst(&mut batch, BURST);
                self.progress.at(Position::Turn(receiver.port));
                self.lcore.turn(now, &mut self.io, &mut batch, Source::Port);
            }
            self.progress.at(Position::Rings);
            frames += self.rings(now, &mut batch);
            self.progress.at(Position::Finish);
            self.lcore.finish(now, &mut self.io);
            self.progress.at(Position::Mailbox);
            if self.mailbox.read(now, &mut self.lcore) == Phase::Stop {
                break;
            }
            self.progress.turned();
            self.progress.at(Position::Idle);
            self.idler.after(frames);
        }
        self.drain(&mut batch);
        0
    }

    fn rings(&mut self, now: Tick, batch: &mut Batch<Packet>) -> usize {
        let handed_over = io::handed_over(&mut self.redirected, batch);
        self.lcore.turn(now, &mut self.io, batch, Source::Ring);
        let mut relayed = 0;
        for ring in &mut self.relayed {
            relayed += ring.dequeue_burst(batch);
            for packet in batch.drain(..) {
                let port = PortId(packet.0.port() as u8);
                self.lcore.relay(&mut self.io, port, std::iter::once(packet));
            }
        }
        handed_over + relayed
    }

    /// What is in the rings still goes out; what waits for a MAC address does not.
    fn drain(&mut self, batch: &mut Batch<Packet>) {
        let now = self.clock.now();
        while self.rings(now, batch) > 0 {}
        self.lcore.finish(now, &mut self.io);
        self.lcore.abandon();
    }
}
