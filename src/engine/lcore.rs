//! One turn of a lcore: a burst in, every verdict carried out and counted, in one place (`lcore/ways.rs`).
//!
//! It is generic over the buffers and the ways out ([`Io`]), so that the live worker, `gatun replay` and the tests run
//! the same code. Between the frames coming in and going out nothing here allocates, locks or calls the system.

pub mod capture;
pub mod dropped;
mod ways;

use crate::addr::{LcoreId, NeighborId, PortId};
use crate::frame::{BURST, Buffer, Meta, Spares};
use crate::limit::Limits;
use crate::mem::Memory;
use crate::path::parse::EMPTY;
use crate::path::{self, AllExpected, End, Heads};
use crate::shard::{Shard, Shared};
use crate::stats::Stats;
use crate::time::{HZ, Tick, Ticks};
use crate::verdict::PuntReason;
use alloc::boxed::Box;
use alloc::sync::Arc;
use arrayvec::ArrayVec;
use capture::Capture;
use ways::{Given, Ways};

/// Frames that wait for one next hop, at most.
pub const HELD_PER_HOP: usize = 3;
/// Frames that wait, at most.
pub const HELD: usize = 256;
/// How long a frame waits, at most.
pub const HELD_FOR: Ticks = Ticks(3 * HZ);
/// Timer entries that a turn looks at, besides two for each frame that it handled: more than it can open.
pub const EXPIRE_BUDGET: usize = 16;

/// Frames on their way.
pub type Batch<B> = ArrayVec<B, BURST>;

/// Why and whence a frame goes to the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Punt {
    /// Why.
    pub reason: PuntReason,
    /// Whence, and what else is to be known.
    pub meta: Meta,
}

/// The ways out of a lcore.
pub trait Io {
    /// Its buffers.
    type Buf: Buffer;
    /// An empty buffer.
    fn spare(&mut self) -> Option<Self::Buf>;
    /// Gives frames to a port, from the front; leaves what the port does not take.
    fn send(&mut self, port: PortId, batch: &mut Batch<Self::Buf>);
    /// Gives frames to another lcore, from the front; leaves what its ring does not take.
    fn redirect(&mut self, to: LcoreId, batch: &mut Batch<Self::Buf>);
    /// Gives a frame to the master, or gives it back when the ring is full.
    fn punt(&mut self, punt: Punt, buf: Self::Buf) -> Result<(), Self::Buf>;
    /// Tells the master that a frame waits for this next hop. May be lost: it is said again.
    fn wanted(&mut self, hop: NeighborId);
    /// False when another lcore sends what this one gives to the port. Asked while frames are captured.
    fn sends_itself(&self, _port: PortId) -> bool {
        true
    }
}

/// Where a burst comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A port.
    Port,
    /// The hand-over ring of another lcore.
    Ring,
}

/// See the module.
pub struct Lcore<M: Memory, B: Buffer> {
    /// What it shares with the others.
    pub shared: Shared,
    /// Its share of the connections.
    pub shard: Shard<M>,
    stats: Arc<Stats>,
    ways: Ways<B>,
    heads: Box<Heads>,
    /// Frames in this turn so far.
    handled: usize,
}

impl<M: Memory, B: Buffer> Lcore<M, B> {
    /// A lcore that sends to `ports` ports and hands over to `lcores` lcores.
    pub fn new(shared: Shared, shard: Shard<M>, ports: usize, lcores: usize, limits: &Limits, now: Tick) -> Self {
        let stats = shard.stats.clone();
        let ways = Ways::new(stats.clone(), ports, lcores, limits, now);
        Lcore { shared, shard, stats, ways, heads: Box::new([EMPTY; _]), handled: 0 }
    }

    /// Changes the rate limits.
    pub fn set_limits(&mut self, limits: &Limits, now: Tick) {
        self.ways.set_limits(limits, now);
    }

    /// Takes all frames of `input` through the path and carries out their verdicts.
    pub fn turn<I: Io<Buf = B>>(&mut self, now: Tick, io: &mut I, input: &mut Batch<B>, source: Source) {
        if input.is_empty() {
            return;
        }
        let Lcore { shared, shard, stats, ways, heads, handled } = self;
        let shared = &*shared;
        // What waited goes before what comes now.
        ways.release(shared, now, io);
        *handled += input.len();
        stats.lcore.bursts.add(1);
        match source {
            Source::Port => {
                stats.lcore.rx.add(input.len() as u64);
                if !ways.captures.is_empty() {
                    ways.captures.received(input);
                }
                if ways.parting.is_due(input.len()) && !shard.whole_way {
                    stats.lcore.rx_bytes.add(ways.part(shared, shard.id, io, input));
                    if input.is_empty() {
                        return;
                    }
                }
            }
            Source::Ring => stats.lcore.from_ring.add(input.len() as u64),
        }
        let mut expected = AllExpected::new();
        let bytes = path::look(shared, shard, input, heads, &mut expected);
        if source == Source::Port {
            stats.lcore.rx_bytes.add(bytes);
        }
        let given = Given { shared, tables: shared.tables(stats), expected: &expected, now, source };
        let heads = path::with_ahead(heads, input.len());
        let run = path::run(given.tables, shard.conns.table(), now, input, heads);
        if run.end == End::Burst {
            return ways.queue_all(io, &run, input);
        }
        let mut frames = input.drain(..).zip(heads);
        frames.by_ref().take(run.frames).for_each(|(buf, _)| ways.queue(io, run.port, buf));
        if let End::Turns(port) = run.end
            && let Some((buf, _)) = frames.next()
        {
            ways.queue(io, port, buf);
        }
        frames.for_each(|(buf, head)| ways.one(&given, shard, io, buf, head));
    }

    /// Queues frames of the master, complete as they are.
    pub fn relay<I: Io<Buf = B>>(&mut self, io: &mut I, port: PortId, frames: impl Iterator<Item = B>) {
        for buf in frames {
            self.stats.lcore.from_ring.add(1);
            self.ways.queue(io, port, buf);
        }
    }

    /// The end of a turn: timers, frames that waited, and everything that is queued goes out.
    pub fn finish<I: Io<Buf = B>>(&mut self, now: Tick, io: &mut I) {
        self.shard.expire(&self.shared, now, EXPIRE_BUDGET + 2 * self.handled);
        self.handled = 0;
        self.ways.release(&self.shared, now, io);
        self.ways.flush(io);
    }

    /// The last frames that were thrown away.
    pub fn dropped(&self) -> &dropped::DropLog {
        &self.ways.dropped
    }

    /// Begins to capture frames, or gives the capture back when there are [`capture::AT_ONCE`] already.
    ///
    /// # Errors
    /// The capture.
    pub fn capture(&mut self, capture: Box<Capture>) -> Result<(), Box<Capture>> {
        self.ways.captures.begin(capture)
    }

    /// Whether frames are captured.
    #[inline(always)]
    pub fn is_capturing(&self) -> bool {
        !self.ways.captures.is_empty()
    }

    /// A capture that nobody wants frames of any more: it is no longer this lcore's.
    pub fn capture_over(&mut self) -> Option<Box<Capture>> {
        self.ways.captures.over()
    }

    /// Drops what waits: the run ends.
    pub fn abandon(&mut self) {
        self.ways.abandon();
    }
}

impl<B: Buffer> Spares for Batch<B> {
    fn count(&self) -> usize {
        self.len()
    }
    fn write(&mut self, index: usize, len: usize, write: &mut dyn FnMut(&mut [u8])) -> bool {
        let Some(buf) = self.get_mut(index) else { return false };
        let mut frame = buf.frame();
        let Some(bytes) = frame.reset(len) else { return false };
        write(bytes);
        let (head, len) = (frame.head, frame.len);
        buf.commit(head, len);
        true
    }
}
