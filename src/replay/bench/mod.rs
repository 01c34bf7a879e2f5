//! What a capture costs: the same frames pass by pass, through the engine alone or over DPDK, in CPU time.
//!
//! First the capture is played once in the laboratory, where model servers answer and a recorded server side is mapped. What
//! came in there, captured frames and answers, is the [`Trace`]. Each pass takes the whole trace through an engine that has
//! just started, with the seed of the laboratory: so every pass opens the same connections with the same leases, and the
//! servers' packets find them. Only the turns of the loop are measured.
//!
//! In a pass frames come in bursts, as they do under load, and not one by one; a burst ends where the capture pauses, so that
//! nothing expires that would not. The time of a burst is that of its last frame. No clock is read between the frames.
//! Next hops are known from the start; what goes to the master is counted and thrown away.

#[cfg(feature = "dpdk")]
pub mod device;
pub mod engine;

use super::player::Input;
use super::{Gateway, Observer};
use gatun_engine::addr::PortId;
use gatun_engine::stats::LcoreStats;
use gatun_engine::testkit::lab::{Sent, Step};
use gatun_engine::time::Tick;
use gatun_engine::verdict::{DropReason, PuntReason};
use nix::time::{ClockId, clock_gettime};
use std::ops::Range;
use std::time::Duration;

/// Frames of a burst, at most: what poll-mode drivers are made for.
pub const BURST: usize = 32;
/// Bursts between two looks at the clock of the CPU time.
const BURSTS: usize = 32;
/// A pause in the capture that ends a burst, in nanoseconds.
const PAUSE: u64 = 1_000_000_000;

/// One frame of a trace.
#[derive(Clone, Debug)]
struct Frame {
    nanos: u64,
    port: PortId,
    bytes: Range<usize>,
}

/// Everything that comes in during a pass, in order. It is an [`Observer`], and records what a player plays.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    frames: Vec<Frame>,
    bytes: Vec<u8>,
    bursts: Vec<Range<usize>>,
    /// Frames that are answers of model servers, and not captured.
    pub answers: u64,
}

impl Observer for Trace {
    fn step(&mut self, _: &Gateway, input: &Input, _: &Step) {
        let from = self.bytes.len();
        self.bytes.extend(&input.frame);
        self.answers += u64::from(input.answer);
        let at = self.frames.len();
        match self.bursts.last_mut() {
            Some(burst)
                if burst.len() < BURST && input.nanos.saturating_sub(self.frames[burst.start].nanos) < PAUSE =>
            {
                burst.end = at + 1;
            }
            _ => self.bursts.push(at..at + 1),
        }
        self.frames.push(Frame { nanos: input.nanos, port: input.port, bytes: from..self.bytes.len() });
    }

    fn left(&mut self, _: &Gateway, _: &Sent) {}
}

impl Trace {
    /// How many frames a pass has.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is nothing to measure.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Bytes of all frames.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// How many bursts a pass has.
    pub fn bursts(&self) -> usize {
        self.bursts.len()
    }

    /// Bytes of the longest frame.
    fn longest(&self) -> usize {
        self.frames.iter().map(|f| f.bytes.len()).max().unwrap_or(0)
    }

    fn frame(&self, f: &Frame) -> &[u8] {
        &self.bytes[f.bytes.clone()]
    }

    fn now(&self, burst: &Range<usize>) -> Tick {
        Tick::from_nanos(self.frames[burst.end - 1].nanos)
    }
}

/// What became of the frames of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Outcome {
    /// Connections that were opened.
    pub opened: u64,
    /// Frames that were sent on, fragments counted as one.
    pub forwarded: u64,
    /// Frames that were dropped.
    pub dropped: u64,
    /// Frames that went to the master: ARP, pings, and what has to be answered.
    pub punted: u64,
}

impl Outcome {
    /// Of an lcore that is all there is.
    pub fn of(stats: &LcoreStats) -> Outcome {
        let dropped = DropReason::ALL.iter().map(|r| stats.drop(*r).value()).sum();
        let punted = PuntReason::ALL.iter().map(|r| stats.punt(*r).value()).sum();
        let forwarded = stats.rx.value().saturating_sub(dropped + punted + stats.held_now.value());
        Outcome { opened: stats.conns_opened.value(), forwarded, dropped, punted }
    }
}

/// One pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// CPU time of the turns.
    pub cpu: Duration,
    /// What became of the frames.
    pub outcome: Outcome,
}

/// CPU time of this thread.
fn cpu() -> Duration {
    // Linux has this clock since 2.6.12.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}
