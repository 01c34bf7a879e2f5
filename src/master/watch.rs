//! Watches the workers: one that makes no progress is either stalled, when its thread uses the CPU all the same, or merely
//! descheduled, when it does not.
//!
//! A [`Watch`] is a function of the [`Sample`]s that it is given; the master takes one of each worker four times a second.

use crate::worker::progress::{Position, Progress};
use std::time::{Duration, Instant};

/// Between two samples of a worker.
pub const INTERVAL: Duration = Duration::from_millis(250);
/// Without progress for so long, a worker is worth a word.
pub const LIMIT: Duration = Duration::from_secs(1);
/// Who uses less than this share of a CPU is not running: one in so many.
const SHARE: u32 = 20;

/// A worker at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// Its turns so far.
    pub turns: u64,
    /// The CPU time of its thread.
    pub cpu: Duration,
    /// Where it is.
    pub position: Position,
}

impl Sample {
    /// Of a worker, now; none before it runs and after it ended.
    pub fn of(progress: &Progress) -> Option<Sample> {
        let (position, turns) = (progress.position(), progress.turns());
        Some(Sample { at: Instant::now(), turns, cpu: progress.cpu()?, position })
    }
}

/// What there is to say of a worker. Each is said once, until it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It makes no progress although it runs.
    Stalled(Position),
    /// It makes no progress and does not run: the system gives its CPU to others, or it waits in the kernel.
    Descheduled(Position),
    /// It goes on, after so long.
    GoesOn(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Stalled,
    Descheduled,
}

/// See the module.
#[derive(Debug)]
pub struct Watch {
    limit: Duration,
    /// The first sample with the turns of the last.
    since: Option<Sample>,
    state: State,
    /// How often it stalled.
    pub stalls: u64,
    /// How often it was descheduled.
    pub descheduled: u64,
}

impl Watch {
    /// Of a worker that may take `limit` for a turn.
    pub fn new(limit: Duration) -> Watch {
        Watch { limit, since: None, state: State::Running, stalls: 0, descheduled: 0 }
    }

    /// Whether it answers: false from a finding on until it goes on.
    pub fn runs(&self) -> bool {
        self.state == State::Running
    }

    /// Where it has been for too long.
    pub fn stuck(&self) -> Option<Position> {
        self.since.filter(|_| self.state == State::Stalled).map(|s| s.position)
    }

    /// Takes a sample.
    pub fn look(&mut self, now: Sample) -> Option<Finding> {
        let since = *self.since.get_or_insert(now);
        let idle = now.at.saturating_duration_since(since.at);
        if now.turns != since.turns {
            self.since = Some(now);
            return (std::mem::replace(&mut self.state, State::Running) != State::Running)
                .then_some(Finding::GoesOn(idle));
        }
        if idle < self.limit {
            return None;
        }
        let uses_cpu = now.cpu.saturating_sub(since.cpu) >= idle / SHARE;
        match (self.state, uses_cpu) {
            // What did not run for a while and then does not come back is stalled, too.
            (State::Running | State::Descheduled, true) => {
                self.state = State::Stalled;
                self.stalls += 1;
                self.since = Some(Sample { position: now.position, ..since });
                Some(Finding::Stalled(now.position))
            }
            (State::Running, false) => {
                self.state = State::Descheduled;
                self.descheduled += 1;
                Some(Finding::Descheduled(now.position))
            }
            (State::Stalled, _) | (State::Descheduled, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatun_engine::addr::PortId;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// What a watch says of samples: milliseconds, turns, milliseconds of CPU.
    fn said(samples: &[(u64, u64, u64)]) -> (Vec<Option<Finding>>, Watch) {
        let (start, mut watch) = (Instant::now(), Watch::new(LIMIT));
        let sample = |&(at, turns, cpu): &(u64, u64, u64)| Sample {
            at: start + Duration::from_millis(at),
            turns,
            cpu: Duration::from_millis(cpu),
            position: Position::Turn(PortId(1)),
        };
        (samples.iter().map(|s| watch.look(sample(s))).collect(), watch)
    }

    const STALLED: Option<Finding> = Some(Finding::Stalled(Position::Turn(PortId(1))));
    const DESCHEDULED: Option<Finding> = Some(Finding::Descheduled(Position::Turn(PortId(1))));

    #[test]
    fn who_makes_progress_is_not_spoken_of_however_little_cpu_it_has() {
        let (said, watch) = said(&[(0, 0, 0), (900, 1, 1), (1_800, 2, 2), (60_000, 3, 2), (120_000, 2, 3)]);
        assert_eq!(said, [None; 5]);
        assert_eq!((watch.stalls, watch.descheduled, watch.runs()), (0, 0, true));
    }

    #[test]
    fn who_runs_without_progress_for_a_second_is_stalled_and_told_once() {
        let (said, watch) = said(&[(0, 7, 0), (999, 7, 999), (1_000, 7, 1_000), (1_250, 7, 1_250), (1_500, 8, 1_500)]);
        assert_eq!(said, [None, None, STALLED, None, Some(Finding::GoesOn(Duration::from_millis(1_500)))]);
        assert_eq!((watch.stalls, watch.descheduled, watch.runs()), (1, 0, true));
    }

    #[test]
    fn who_does_not_run_is_descheduled_and_no_stall() {
        let (said, watch) = said(&[(0, 7, 5), (1_000, 7, 54), (5_000, 7, 60), (5_250, 8, 100)]);
        assert_eq!(said, [None, DESCHEDULED, None, Some(Finding::GoesOn(Duration::from_millis(5_250)))]);
        assert_eq!((watch.stalls, watch.descheduled), (0, 1));
        assert_eq!(watch.stuck(), None);
    }

    #[test]
    fn who_comes_back_to_the_cpu_and_still_makes_no_progress_is_stalled() {
        let (said, watch) = said(&[(0, 7, 0), (1_000, 7, 0), (2_000, 7, 1_000)]);
        assert_eq!(said, [None, DESCHEDULED, STALLED]);
        assert_eq!((watch.stalls, watch.descheduled, watch.runs()), (1, 1, false));
        assert_eq!(watch.stuck(), Some(Position::Turn(PortId(1))));
    }

    /// A thread that does `work` again and again without a turn, until a watch says this of it.
    fn until(wanted: Finding, work: fn()) -> Watch {
        let (progress, stop) = (Arc::new(Progress::default()), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (progress, stop) = (progress.clone(), stop.clone());
            move || {
                progress.begin();
                progress.turned();
                progress.at(Position::Rings);
                while !stop.load(Ordering::Relaxed) {
                    work();
                }
            }
        });
        let mut watch = Watch::new(Duration::from_millis(200));
        while Sample::of(&progress).and_then(|sample| watch.look(sample)) != Some(wanted) {
            std::thread::sleep(Duration::from_millis(10));
        }
        stop.store(true, Ordering::Relaxed);
        thread.join().unwrap();
        assert!(Sample::of(&progress).is_none(), "a thread that ended has no clock");
        watch
    }

    #[test]
    fn a_thread_that_spins_is_stalled() {
        let watch = until(Finding::Stalled(Position::Rings), std::hint::spin_loop);
        assert_eq!((watch.stalls, watch.stuck()), (1, Some(Position::Rings)));
    }

    #[test]
    fn a_thread_that_sleeps_is_descheduled_and_not_stalled() {
        let watch = until(Finding::Descheduled(Position::Rings), || std::thread::sleep(Duration::from_millis(50)));
        assert_eq!((watch.stalls, watch.descheduled), (0, 1));
    }
}
