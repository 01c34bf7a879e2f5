//! Captures: who has one, and the task that brings the frames from the workers' rings into the answer of the request.
//!
//! A capture is bounded in frames, in seconds, in bytes of a frame, and in what may wait between worker and client: a client that
//! reads slowly loses frames, and nobody waits for it. It ends by itself, by `DELETE`, or with its client. Then the task lets go
//! of the rings, and each worker gives its capture back with its next turn.

mod file;
mod plan;
mod wall;

pub(super) use plan::Plan;

use super::answer::Fail;
use super::types::{Capture as Shown, CaptureSpec};
use crate::control::clock;
use crate::worker::capture::{Reader, ring};
use bytes::Bytes;
use file::{Entry, File};
use gatun_engine::lcore::capture::{AT_ONCE, Capture};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior};
use wall::{Moment, Timeline};

/// Captures that are remembered.
const REMEMBERED: usize = 16;
/// Bytes of all rings of a capture, as far as each has what it needs.
const MEMORY: usize = 32 << 20;
/// Bytes of a ring, at least: some bursts of the longest frames.
const RING_LEAST: usize = 2 << 20;
/// Bytes of a ring, at most.
const RING_MOST: usize = 8 << 20;
/// How often the rings are looked into.
const PERIOD: Duration = Duration::from_millis(20);
/// Bytes that are sent at once.
const PIECE: usize = 64 << 10;
/// How long a client may take for the last of it.
const GRACE: Duration = Duration::from_secs(2);

/// Every capture.
pub(super) struct Captures {
    seats: Arc<Semaphore>,
    /// The newest last.
    all: Mutex<VecDeque<Arc<Record>>>,
    began: AtomicU64,
}

impl Default for Captures {
    fn default() -> Self {
        Captures { seats: Arc::new(Semaphore::new(AT_ONCE)), all: Mutex::default(), began: AtomicU64::new(0) }
    }
}

/// One capture, as it is told of.
pub(super) struct Record {
    pub(super) id: u64,
    who: String,
    since: String,
    /// Of the configuration then.
    generation: u64,
    spec: CaptureSpec,
    running: AtomicBool,
    frames: AtomicU64,
    lost: AtomicU64,
    stop: Notify,
}

impl Record {
    pub(super) fn shown(&self) -> Shown {
        Shown {
            id: self.id,
            who: self.who.clone(),
            since: self.since.clone(),
            running: self.running.load(Relaxed),
            frames: self.frames.load(Relaxed),
            lost: self.lost.load(Relaxed),
            spec: self.spec.clone(),
        }
    }

    /// Ends it: what was captured until now still goes out.
    pub(super) fn stop(&self) {
        self.stop.notify_one();
    }
}

impl Captures {
    /// All that are remembered, the newest first.
    pub(super) fn all(&self) -> Vec<Arc<Record>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }

    /// One of them.
    pub(super) fn find(&self, id: u64) -> Option<Arc<Record>> {
        self.all().into_iter().find(|record| record.id == id)
    }

    /// A seat for another one.
    ///
    /// # Errors
    /// When there are as many as may be.
    pub(super) fn seat(&self) -> Result<OwnedSemaphorePermit, Fail> {
        self.seats.clone().try_acquire_owned().map_err(|_| {
            let running: Vec<_> = self.all().into_iter().filter(|record| record.running.load(Relaxed)).collect();
            let whose: Vec<_> = running.iter().map(|r| format!("{} of {} since {}", r.id, r.who, r.since)).collect();
            let detail = format!("there are {AT_ONCE} captures already: {}", whose.join(", "));
            let remedy = "wait until one ends, or end one: DELETE /api/v1/captures/{id}";
            Fail::new(409, "captures", "Too many captures", detail, remedy)
        })
    }

    /// Notes one that is about to begin.
    pub(super) fn note(&self, who: &str, generation: u64, spec: CaptureSpec) -> Arc<Record> {
        let record = Arc::new(Record {
            id: self.began.fetch_add(1, Relaxed) + 1,
            who: who.to_owned(),
            since: clock::now(),
            generation,
            spec,
            running: AtomicBool::new(true),
            frames: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            stop: Notify::new(),
        });
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_back(record.clone());
        if all.len() > REMEMBERED {
            // Not one that runs: of these there are few.
            let ended = all.iter().position(|record| !record.running.load(Relaxed));
            ended.map(|at| all.remove(at));
        }
        record
    }
}

/// The frames of one capture on their way to its client.
pub(super) struct Recording {
    record: Arc<Record>,
    /// With the worker of each.
    readers: Vec<(u32, Reader)>,
    file: File,
    timeline: Timeline,
    /// Frames that are still wanted.
    left: u64,
    until: Instant,
    /// The bytes of a frame, used again and again.
    bytes: Vec<u8>,
    _seat: Arc<OwnedSemaphorePermit>,
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.count_lost();
        self.record.running.store(false, Relaxed);
        let Shown { id, who, frames, lost, .. } = self.record.shown();
        let generation = self.record.generation;
        tracing::info!(generation, who, "audit: capture {id} ended: {frames} frames, {lost} lost");
    }
}

impl Recording {
    /// One that is ready, and what the workers, which are these, have to begin. Its time runs from now on.
    ///
    /// # Errors
    /// None that are known.
    pub(super) fn new(
        record: Arc<Record>,
        seat: OwnedSemaphorePermit,
        plan: &Plan,
        ports: &[String],
        workers: &[u32],
    ) -> Result<(Recording, Vec<Capture>), Fail> {
        let file = File::begin(plan.format, ports, plan.snaplen as u32).map_err(|e| Fail::bug(&e.to_string()))?;
        let seat = Arc::new(seat);
        let room = (MEMORY / workers.len().max(1)).clamp(RING_LEAST, RING_MOST);
        let end = |lcore: &u32| {
            let (writer, reader) = ring(room, seat.clone());
            let capture = Capture::new(plan.filter.clone(), plan.snaplen, Box::new(writer));
            ((*lcore, reader), capture)
        };
        let (readers, captures) = workers.iter().map(end).unzip();
        let timeline = Timeline::begin(Moment::now());
        let until = Instant::now() + plan.seconds;
        let recording =
            Recording { record, readers, file, timeline, left: plan.count, until, bytes: Vec::new(), _seat: seat };
        Ok((recording, captures))
    }

    /// Brings frames until it is over.
    pub(super) async fn run(mut self, to: mpsc::Sender<Bytes>) {
        let mut every = tokio::time::interval(PERIOD);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut over = false;
        while !over {
            let gone = self.readers.iter().all(|(_, reader)| reader.is_abandoned());
            over = tokio::select! {
                () = to.closed() => return,
                () = self.record.stop.notified() => true,
                () = tokio::time::sleep_until(self.until) => true,
                _ = every.tick() => gone,
            };
            self.timeline.go_on(Moment::now());
            loop {
                let more = self.fill();
                if !self.hand_on(&to).await {
                    return;
                }
                if !more {
                    break;
                }
            }
            over |= self.left == 0 || Instant::now() >= self.until;
        }
        self.count_lost();
        let (frames, lost) = (self.record.frames.load(Relaxed), self.record.lost.load(Relaxed));
        self.file.end(self.timeline.now().nanos, frames, lost);
        self.hand_on(&to).await;
    }

    /// Writes a piece of what was captured before now, in the order of time. True when there may be more.
    fn fill(&mut self) -> bool {
        let now = self.timeline.now().tsc;
        while self.left > 0 {
            if self.file.waiting() >= PIECE {
                return true;
            }
            let heads = self.readers.iter_mut().enumerate().filter_map(|(n, (_, reader))| Some((n, reader.peek()?)));
            let Some((n, shot)) = heads.filter(|(_, shot)| shot.tsc <= now).min_by_key(|(_, shot)| shot.tsc) else {
                return false;
            };
            let (lcore, reader) = &mut self.readers[n];
            reader.take(&mut self.bytes);
            let nanos = self.timeline.nanos(shot.tsc);
            self.file.put(&Entry { nanos, seen: shot.seen, lcore: *lcore, bytes: &self.bytes });
            self.left -= 1;
            self.record.frames.fetch_add(1, Relaxed);
        }
        false
    }

    /// Sends what is written. False when it is all over.
    async fn hand_on(&mut self, to: &mpsc::Sender<Bytes>) -> bool {
        self.count_lost();
        if self.file.waiting() == 0 {
            return true;
        }
        let sent = to.send(Bytes::from(self.file.take()));
        tokio::pin!(sent);
        // A client that does not read is waited for until its time is up, or somebody ends it.
        loop {
            tokio::select! {
                sent = &mut sent => return sent.is_ok(),
                () = self.record.stop.notified() => self.until = self.until.min(Instant::now()),
                () = tokio::time::sleep_until(self.until + GRACE) => return false,
                () = tokio::time::sleep(PERIOD) => self.count_lost(),
            }
        }
    }

    fn count_lost(&self) {
        self.record.lost.store(self.readers.iter().map(|(_, reader)| reader.lost()).sum(), Relaxed);
    }
}
