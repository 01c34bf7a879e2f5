//! Questions to the master: it asks one worker after the other, between the turns of its loop, and answers all who waited.

use super::Master;
use super::status::{self, Status};
use crate::worker::mailbox::ToWorker;
use gatun_engine::conn::record::{Cursor, Record};
use gatun_engine::stats::LcoreStats;
use std::sync::mpsc::Sender;

/// Connections a message lists.
const PAGE: usize = 4_096;

/// A question to the master.
pub struct Request {
    /// The connections too.
    pub connections: bool,
    /// Where the answer goes.
    pub reply: Sender<Status>,
}

/// Questions that wait for the workers' counters and lists.
#[derive(Default)]
pub(super) struct Jobs {
    /// They came while others were being answered.
    queued: Vec<Request>,
    waiting: Vec<Request>,
    /// The worker that is being asked, and what to ask it next.
    at: Option<(usize, Ask)>,
    counts: Vec<LcoreStats>,
    found: Vec<Record>,
}

#[derive(Clone, Copy)]
enum Ask {
    Count,
    List(Cursor),
    WaitCount,
    WaitList,
    Next,
}

impl Jobs {
    /// A new question.
    pub(super) fn add(&mut self, request: Request) {
        self.queued.push(request);
    }

    /// A worker's counters. Late ones, after it was given up, are nobody's.
    pub(super) fn counted(&mut self, worker: usize, counts: Box<LcoreStats>) {
        if !matches!(self.at, Some((w, Ask::WaitCount)) if w == worker) {
            return;
        }
        self.counts.push(*counts);
        let list = self.waiting.iter().any(|r| r.connections);
        self.at = Some((worker, if list { Ask::List(Cursor::default()) } else { Ask::Next }));
    }

    /// A worker's page.
    pub(super) fn listed(&mut self, worker: usize, records: Vec<Record>, next: Option<Cursor>) {
        if !matches!(self.at, Some((w, Ask::WaitList)) if w == worker) {
            return;
        }
        self.found.extend(records);
        self.at = Some((worker, next.map_or(Ask::Next, Ask::List)));
    }

    /// A worker that does not answer: its counters as they are, and none of its connections.
    fn give_up(&mut self, worker: usize, ask: Ask, stats: &LcoreStats) {
        if matches!(ask, Ask::Count | Ask::WaitCount) {
            let counts = LcoreStats::default();
            counts.copy(stats);
            self.counts.push(counts);
        }
        self.at = Some((worker + 1, Ask::Count));
    }
}

impl Master {
    /// Takes the next step towards the answers. True when there was something to do.
    pub(super) fn answer_jobs(&mut self) -> bool {
        if self.jobs.waiting.is_empty() {
            self.jobs.waiting = std::mem::take(&mut self.jobs.queued);
        }
        if self.jobs.waiting.is_empty() {
            return false;
        }
        let (worker, ask) = self.jobs.at.unwrap_or((0, Ask::Count));
        let Some(seat) = self.seats.get(worker) else {
            self.answer();
            return true;
        };
        if !seat.watch.runs() && !matches!(ask, Ask::Next) {
            self.jobs.give_up(worker, ask, &seat.stats.lcore);
            return true;
        }
        let send = |message| seat.rings.to.push(message).is_ok();
        let next = match ask {
            Ask::Count if send(ToWorker::Count(Box::default())) => (worker, Ask::WaitCount),
            Ask::List(cursor) if send(ToWorker::List(cursor, Vec::with_capacity(PAGE))) => (worker, Ask::WaitList),
            Ask::Next => (worker + 1, Ask::Count),
            Ask::Count | Ask::List(_) | Ask::WaitCount | Ask::WaitList => (worker, ask),
        };
        self.jobs.at = Some(next);
        !matches!(ask, Ask::WaitCount | Ask::WaitList)
    }

    fn answer(&mut self) {
        let queued = std::mem::take(&mut self.jobs.queued);
        let jobs = std::mem::replace(&mut self.jobs, Jobs { queued, ..Jobs::default() });
        let counts: Vec<&LcoreStats> = jobs.counts.iter().collect();
        let status = self.status(&counts);
        let connections: Vec<_> = jobs.found.iter().map(status::connection).collect();
        for request in jobs.waiting {
            let connections = request.connections.then(|| connections.clone());
            // Who does not wait for the answer does not want it.
            let _ = request.reply.send(Status { connections, ..status.clone() });
        }
    }
}
