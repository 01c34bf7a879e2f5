//! What master and worker tell each other: bounded rings, one message a turn.
//!
//! A worker takes a message only when its return ring has room, and sends every old snapshot back, so that memory is
//! freed on the master.

#[cfg(test)]
mod tests;

#[cfg(not(test))]
use crossbeam_queue::ArrayQueue;
use gatun_engine::conn::record::{Cursor, Record};
use gatun_engine::conn::tuple::Tuple;
use gatun_engine::frame::Buffer;
use gatun_engine::lcore::Lcore;
use gatun_engine::lcore::capture::Capture;
use gatun_engine::lcore::dropped::DropLog;
use gatun_engine::limit::Limits;
use gatun_engine::mem::Memory;
use gatun_engine::snapshot::Snapshot;
use gatun_engine::stats::LcoreStats;
use gatun_engine::time::Tick;
use std::sync::Arc;
#[cfg(test)]
use tests::ArrayQueue;

/// Messages that a ring holds.
const DEPTH: usize = 16;
/// Connections that a listing visits in one turn.
const LISTED: usize = 256;
/// Connections that one message ends.
pub const ENDED: usize = 64;

/// To a worker.
pub enum ToWorker {
    /// Use this configuration, and these limits for punts.
    Snapshot(Arc<Snapshot>, Box<Limits>),
    /// Fill this list, up to its capacity, from the cursor on.
    List(Cursor, Vec<Record>),
    /// Copy the counters, as they are between two turns.
    Count(Box<LcoreStats>),
    /// Copy the last frames that were thrown away.
    Dropped(Box<DropLog>),
    /// Begin to capture frames.
    Capture(Box<Capture>),
    /// End the connections of these clients; no more than [`ENDED`].
    End(Vec<Tuple>),
    /// Open nothing any more.
    Close,
    /// Drain and end.
    Stop,
}

/// From a worker.
pub enum FromWorker {
    /// It uses the configuration of this generation; the one before, and its message, to be freed.
    Done(u64, Arc<Snapshot>, Box<Limits>),
    /// The counters.
    Counted(Box<LcoreStats>),
    /// The list, and where to go on.
    Listed(Vec<Record>, Option<Cursor>),
    /// The last frames that were thrown away.
    Dropped(Box<DropLog>),
    /// It captures; or the capture, when it has as many as it can.
    Captures(Option<Box<Capture>>),
    /// Nobody wants this capture's frames any more; to be freed.
    CaptureOver(Box<Capture>),
    /// So many of them were there; and their list, to be freed.
    Ended(usize, Vec<Tuple>),
}

/// Both rings of one worker.
pub struct Rings {
    /// To the worker.
    pub to: ArrayQueue<ToWorker>,
    /// From it.
    pub from: ArrayQueue<FromWorker>,
}

impl Rings {
    /// Empty rings.
    pub fn new() -> Rings {
        Rings::holding(DEPTH)
    }

    fn holding(messages: usize) -> Rings {
        Rings { to: ArrayQueue::new(messages), from: ArrayQueue::new(messages) }
    }
}

impl Default for Rings {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Yes.
    Run,
    /// No.
    Stop,
}

/// The worker's end.
pub struct Mailbox {
    rings: Arc<Rings>,
    listing: Option<(Cursor, Vec<Record>)>,
}

impl Mailbox {
    /// The worker's end of these rings.
    pub fn new(rings: Arc<Rings>) -> Mailbox {
        Mailbox { rings, listing: None }
    }

    /// Takes one message, or goes on with a list.
    #[inline(always)]
    pub fn read<M: Memory, B: Buffer>(&mut self, now: Tick, lcore: &mut Lcore<M, B>) -> Phase {
        if self.listing.is_none() && self.rings.to.is_empty() && !lcore.is_capturing() {
            return Phase::Run;
        }
        self.read_slow(now, lcore)
    }

    #[cold]
    fn read_slow<M: Memory, B: Buffer>(&mut self, now: Tick, lcore: &mut Lcore<M, B>) -> Phase {
        if self.rings.from.is_full() {
            return Phase::Run;
        }
        if let Some(capture) = lcore.capture_over() {
            self.answer(FromWorker::CaptureOver(capture));
            return Phase::Run;
        }
        if let Some((cursor, list)) = self.listing.take() {
            self.list(now, lcore, cursor, list);
            return Phase::Run;
        }
        match self.rings.to.pop() {
            None => {}
            Some(ToWorker::Snapshot(snapshot, limits)) => {
                let generation = snapshot.generation;
                let old = lcore.shared.replace(snapshot);
                lcore.set_limits(&limits, now);
                self.answer(FromWorker::Done(generation, old, limits));
            }
            Some(ToWorker::List(cursor, list)) => self.list(now, lcore, cursor, list),
            Some(ToWorker::Count(counts)) => {
                counts.copy(&lcore.shard.stats.lcore);
                self.answer(FromWorker::Counted(counts));
            }
            Some(ToWorker::Dropped(mut log)) => {
                log.copy(lcore.dropped());
                self.answer(FromWorker::Dropped(log));
            }
            Some(ToWorker::Capture(capture)) => {
                let refused = lcore.capture(capture).err();
                self.answer(FromWorker::Captures(refused));
            }
            Some(ToWorker::End(clients)) => {
                let ended = clients.iter().take(ENDED).filter(|client| lcore.shard.end_of(now, client)).count();
                self.answer(FromWorker::Ended(ended, clients));
            }
            Some(ToWorker::Close) => lcore.shard.accepting = false,
            Some(ToWorker::Stop) => return Phase::Stop,
        }
        Phase::Run
    }

    fn list<M: Memory, B: Buffer>(&mut self, now: Tick, lcore: &Lcore<M, B>, cursor: Cursor, mut list: Vec<Record>) {
        let room = list.capacity() - list.len();
        let next = lcore.shard.export(&lcore.shared, now, cursor, LISTED.min(room), |record| list.push(record));
        match next {
            Some(next) if list.len() < list.capacity() => self.listing = Some((next, list)),
            next => self.answer(FromWorker::Listed(list, next)),
        }
    }

    fn answer(&self, message: FromWorker) {
        // There is room: it was looked for before the message was taken, and only this worker fills the ring.
        let sent = self.rings.from.push(message);
        debug_assert!(sent.is_ok());
    }
}
