//! How ordinary threads speak to the master: they hand it a look or a deed, a bounded number of them waits, and it does a
//! bounded number in a turn of its loop.
//!
//! What is handed over must be short: the master answers ARP between two of them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// What may wait.
const WAITING: usize = 256;
/// What is done in a turn.
const A_TURN: usize = 16;
/// How long anybody waits for the master, which sleeps for less than a millisecond.
const PATIENCE: Duration = Duration::from_secs(10);

type Job<M> = Box<dyn FnOnce(&mut M) + Send>;

/// Why the master does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Too much waits already.
    #[error("the master has too many questions to answer: ask again in a moment")]
    Busy,
    /// It ended, or has not begun.
    #[error("the gateway is starting or stopping: ask again when it runs")]
    Gone,
}

/// An ordinary thread's end.
pub struct Handle<M> {
    to: SyncSender<Job<M>>,
    running: watch::Receiver<u64>,
}

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Handle { to: self.to.clone(), running: self.running.clone() }
    }
}

impl<M: 'static> Handle<M> {
    /// Has the master do something, and gives what came of it.
    ///
    /// # Errors
    /// When it does not come to it.
    pub async fn ask<T: Send + 'static>(&self, job: impl FnOnce(&mut M) -> T + Send + 'static) -> Result<T, NoAnswer> {
        let (reply, answer) = oneshot::channel();
        self.send(Box::new(move |master| drop(reply.send(job(master)))))?;
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(NoAnswer::Gone),
        }
    }

    /// The same for a thread that may wait.
    ///
    /// # Errors
    /// When it does not come to it.
    pub fn ask_and_wait<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut M) -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let (reply, answer) = channel();
        // Only this one waits for room: what it brings is worth more than a look.
        self.to.send(Box::new(move |master| drop(reply.send(job(master))))).map_err(|_| NoAnswer::Gone)?;
        answer.recv_timeout(PATIENCE).map_err(|e| match e {
            RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected => NoAnswer::Gone,
        })
    }

    /// Waits until every worker runs this generation or a later one; false when that takes longer than `limit`.
    pub async fn runs(&self, generation: u64, limit: Duration) -> bool {
        let mut running = self.running.clone();
        let reached = running.wait_for(|running| *running >= generation);
        matches!(tokio::time::timeout(limit, reached).await, Ok(Ok(_)))
    }

    /// The oldest generation that a worker runs.
    pub fn running(&self) -> u64 {
        *self.running.borrow()
    }

    fn send(&self, job: Job<M>) -> Result<(), NoAnswer> {
        self.to.try_send(job).map_err(|e| match e {
            TrySendError::Full(_) => NoAnswer::Busy,
            TrySendError::Disconnected(_) => NoAnswer::Gone,
        })
    }
}

/// The master's end.
pub struct Desk<M> {
    from: Receiver<Job<M>>,
    running: Arc<watch::Sender<u64>>,
}

impl<M> Desk<M> {
    /// Does what waits, as much as fits into a turn. True when there was something.
    pub fn serve(&self, master: &mut M) -> bool {
        let mut served = false;
        for job in self.from.try_iter().take(A_TURN) {
            job(master);
            served = true;
        }
        served
    }

    /// Where the master says which generation all workers run.
    pub fn running(&self) -> Arc<watch::Sender<u64>> {
        self.running.clone()
    }
}

/// Both ends.
pub fn desk<M>() -> (Handle<M>, Desk<M>) {
    let (to, from) = sync_channel(WAITING);
    let (sender, running) = watch::channel(0);
    (Handle { to, running }, Desk { from, running: Arc::new(sender) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_question_is_answered_by_the_master_and_by_no_other_thread() {
        let (handle, desk) = desk::<u32>();
        let asking = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let answer = runtime.block_on(handle.ask(|m| {
                *m += 1;
                thread::current().id()
            }));
            (answer, handle.ask_and_wait(|m| *m))
        });
        let mut master = 6;
        while !asking.is_finished() {
            desk.serve(&mut master);
        }
        assert_eq!(asking.join().unwrap(), (Ok(thread::current().id()), Ok(7)));
    }

    #[test]
    fn a_turn_is_bounded_and_so_is_what_waits() {
        let (handle, desk) = desk::<usize>();
        for _ in 0..WAITING {
            handle.send(Box::new(|m| *m += 1)).unwrap();
        }
        assert_eq!(handle.send(Box::new(|m| *m += 1)), Err(NoAnswer::Busy));
        let mut master = 0;
        assert!(desk.serve(&mut master));
        assert_eq!(master, A_TURN);
        while desk.serve(&mut master) {}
        assert_eq!(master, WAITING);
        drop(desk);
        assert_eq!(handle.send(Box::new(|m| *m += 1)), Err(NoAnswer::Gone));
    }

    #[test]
    fn who_waits_for_a_generation_sees_it_come_or_not() {
        let (handle, desk) = desk::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let running = desk.running();
        running.send_replace(3);
        assert!(runtime.block_on(handle.runs(3, Duration::from_secs(5))));
        assert!(!runtime.block_on(handle.runs(4, Duration::from_millis(1))));
        let later = thread::spawn(move || running.send_replace(5));
        assert!(runtime.block_on(handle.runs(4, Duration::from_secs(5))));
        assert_eq!((later.join().unwrap(), handle.running()), (3, 5));
    }
}
