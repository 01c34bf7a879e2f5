//! Questions to the workers: each is asked over its mailbox, between two of its turns, and answers in the order of the
//! questions. A worker that does not answer keeps nobody but who asked it waiting.

use super::Master;
use super::handle::{Handle, NoAnswer};
use crate::worker::mailbox::{ENDED, ToWorker};
use gatun_engine::conn::record::{Cursor, Record};
use gatun_engine::conn::tuple::Tuple;
use gatun_engine::lcore::capture::Capture;
use gatun_engine::lcore::dropped::DropLog;
use gatun_engine::stats::LcoreStats;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::oneshot;

/// Questions that a worker has at once. The rest of its ring is for what the master has to say.
const AT_ONCE: usize = 4;
/// Questions that wait for a worker.
const WAITING: usize = 64;
/// How long a worker may take, which answers between two turns.
const PATIENCE: Duration = Duration::from_secs(2);
/// Connections that a message lists.
const PAGE: usize = 4_096;

/// A page of a worker's connections, and where to go on.
pub type Listed = (Vec<Record>, Option<Cursor>);

/// The questions to one worker.
#[derive(Default)]
pub(super) struct Asks {
    waiting: VecDeque<(ToWorker, Answer)>,
    sent: VecDeque<Answer>,
}

enum Answer {
    Counts(oneshot::Sender<Box<LcoreStats>>),
    List(oneshot::Sender<Listed>),
    Dropped(oneshot::Sender<Box<DropLog>>),
    Captures(oneshot::Sender<bool>),
    End(oneshot::Sender<usize>),
}

impl Asks {
    /// Its counters came.
    pub(super) fn counted(&mut self, counts: Box<LcoreStats>) {
        if let Some(Answer::Counts(reply)) = self.sent.pop_front() {
            // Who does not wait for the answer does not want it.
            let _ = reply.send(counts);
        }
    }

    /// A page came.
    pub(super) fn listed(&mut self, records: Vec<Record>, next: Option<Cursor>) {
        if let Some(Answer::List(reply)) = self.sent.pop_front() {
            let _ = reply.send((records, next));
        }
    }

    /// The last frames that it threw away came.
    pub(super) fn dropped(&mut self, log: Box<DropLog>) {
        if let Some(Answer::Dropped(reply)) = self.sent.pop_front() {
            let _ = reply.send(log);
        }
    }

    /// It captures frames, or has as many captures as it can.
    pub(super) fn captures(&mut self, begun: bool) {
        if let Some(Answer::Captures(reply)) = self.sent.pop_front() {
            let _ = reply.send(begun);
        }
    }

    /// It ended so many connections.
    pub(super) fn ended(&mut self, ended: usize) {
        if let Some(Answer::End(reply)) = self.sent.pop_front() {
            let _ = reply.send(ended);
        }
    }

    /// Asks what waits, as far as `push` takes it.
    pub(super) fn send(&mut self, push: impl Fn(ToWorker) -> Result<(), ToWorker>) {
        while self.sent.len() < AT_ONCE
            && let Some((message, answer)) = self.waiting.pop_front()
        {
            match push(message) {
                Ok(()) => self.sent.push_back(answer),
                Err(message) => return self.waiting.push_front((message, answer)),
            }
        }
    }

    /// Who is told nothing learns that by the end of the channel.
    fn add(&mut self, message: ToWorker, answer: Answer) {
        if self.waiting.len() < WAITING {
            self.waiting.push_back((message, answer));
        }
    }
}

impl Master {
    /// Each worker's counters as they are between two turns; of one that is stuck, as they are.
    fn ask_counts(&mut self) -> Vec<oneshot::Receiver<Box<LcoreStats>>> {
        let ask = |seat: &mut super::Seat| {
            let (reply, answer) = oneshot::channel();
            if seat.watch.runs() {
                seat.asks.add(ToWorker::Count(Box::default()), Answer::Counts(reply));
            } else {
                let _ = reply.send(copy(&seat.stats.lcore));
            }
            answer
        };
        self.seats.iter_mut().map(ask).collect()
    }

    /// A page of a worker's connections; none of one that is stuck.
    fn ask_list(&mut self, worker: usize, from: Cursor, most: usize) -> Option<oneshot::Receiver<Listed>> {
        let seat = self.seats.get_mut(worker)?;
        let (reply, answer) = oneshot::channel();
        if seat.watch.runs() {
            seat.asks.add(ToWorker::List(from, Vec::with_capacity(most)), Answer::List(reply));
        } else {
            let _ = reply.send((Vec::new(), None));
        }
        Some(answer)
    }

    /// The last frames that each worker threw away.
    fn ask_dropped(&mut self) -> Vec<oneshot::Receiver<Box<DropLog>>> {
        let ask = |seat: &mut super::Seat| {
            let (reply, answer) = oneshot::channel();
            seat.asks.add(ToWorker::Dropped(Box::default()), Answer::Dropped(reply));
            answer
        };
        self.seats.iter_mut().map(ask).collect()
    }

    /// Has each worker begin a capture.
    fn ask_capture(&mut self, captures: Vec<Capture>) -> Vec<oneshot::Receiver<bool>> {
        let ask = |(seat, capture): (&mut super::Seat, Capture)| {
            let (reply, answer) = oneshot::channel();
            seat.asks.add(ToWorker::Capture(Box::new(capture)), Answer::Captures(reply));
            answer
        };
        self.seats.iter_mut().zip(captures).map(ask).collect()
    }

    /// Ends connections of a worker.
    fn ask_end(&mut self, worker: usize, clients: Vec<Tuple>) -> Option<oneshot::Receiver<usize>> {
        let seat = self.seats.get_mut(worker)?;
        let (reply, answer) = oneshot::channel();
        seat.asks.add(ToWorker::End(clients), Answer::End(reply));
        Some(answer)
    }

    fn raw_counts(&self, worker: usize) -> Box<LcoreStats> {
        self.seats.get(worker).map(|seat| copy(&seat.stats.lcore)).unwrap_or_default()
    }
}

fn copy(stats: &LcoreStats) -> Box<LcoreStats> {
    let counts = Box::<LcoreStats>::default();
    counts.copy(stats);
    counts
}

impl Handle<Master> {
    /// The counters of each worker, which belong together; of one that does not answer in time, those of the moment.
    ///
    /// # Errors
    /// When the master does not answer.
    pub async fn counts(&self) -> Result<Vec<Box<LcoreStats>>, NoAnswer> {
        let mut counts = Vec::new();
        for (worker, answer) in self.ask(Master::ask_counts).await?.into_iter().enumerate() {
            counts.push(match tokio::time::timeout(PATIENCE, answer).await {
                Ok(Ok(of_this)) => of_this,
                Ok(Err(_)) | Err(_) => self.ask(move |m| m.raw_counts(worker)).await?,
            });
        }
        Ok(counts)
    }

    /// At most so many connections of a worker from a cursor on; none when there is no such worker.
    ///
    /// # Errors
    /// When the master or the worker does not answer.
    pub async fn list(&self, worker: usize, from: Cursor, most: usize) -> Result<Option<Listed>, NoAnswer> {
        let most = most.min(PAGE);
        let Some(answer) = self.ask(move |m| m.ask_list(worker, from, most)).await? else { return Ok(None) };
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(listed)) => Ok(Some(listed)),
            Ok(Err(_)) | Err(_) => Err(NoAnswer::Busy),
        }
    }

    /// The last frames that each worker threw away; nothing of one that does not answer in time.
    ///
    /// # Errors
    /// When the master does not answer.
    pub async fn dropped(&self) -> Result<Vec<Option<Box<DropLog>>>, NoAnswer> {
        let mut logs = Vec::new();
        for answer in self.ask(Master::ask_dropped).await? {
            logs.push(tokio::time::timeout(PATIENCE, answer).await.ok().and_then(Result::ok));
        }
        Ok(logs)
    }

    /// Has the workers begin a capture, one each. Gives how many do: not one that is stuck, which begins when it goes on.
    ///
    /// # Errors
    /// When the master does not answer.
    pub async fn capture(&self, captures: Vec<Capture>) -> Result<usize, NoAnswer> {
        let mut begun = 0;
        let until = tokio::time::Instant::now() + PATIENCE;
        for answer in self.ask(|m| m.ask_capture(captures)).await? {
            let answer = tokio::time::timeout_at(until, answer).await;
            begun += usize::from(matches!(answer, Ok(Ok(true))));
        }
        Ok(begun)
    }

    /// Ends the connections of these clients on a worker. Gives how many of them were there.
    ///
    /// # Errors
    /// When the master or the worker does not answer.
    pub async fn end(&self, worker: usize, clients: &[Tuple]) -> Result<usize, NoAnswer> {
        let mut ended = 0;
        for some in clients.chunks(ENDED) {
            let some = some.to_vec();
            let Some(answer) = self.ask(move |m| m.ask_end(worker, some)).await? else { break };
            match tokio::time::timeout(PATIENCE, answer).await {
                Ok(Ok(of_these)) => ended += of_these,
                Ok(Err(_)) | Err(_) => return Err(NoAnswer::Busy),
            }
        }
        Ok(ended)
    }

    /// Every connection of every worker.
    ///
    /// # Errors
    /// When the master or a worker does not answer.
    pub async fn list_all(&self) -> Result<Vec<Record>, NoAnswer> {
        let mut found = Vec::new();
        let mut worker = 0;
        let mut from = Some(Cursor::default());
        while let Some(cursor) = from {
            let Some((records, next)) = self.list(worker, cursor, PAGE).await? else { break };
            found.extend(records);
            if next.is_none() {
                worker += 1;
            }
            from = Some(next.unwrap_or_default());
        }
        Ok(found)
    }
}
