//! Whether two CPUs share a cache.
//!
//! On a virtual machine it changes while it runs: the host moves the CPUs, and at times they are at one third-level cache and at
//! times at two. A line of memory then takes some 50 ns or some 300 ns to go to the other CPU and come back. Whatever two
//! CPUs do with each other follows that, so it has to be told with the figure.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Two CPUs that share a cache give a line to each other and get it back in less.
pub const NEAR: Duration = Duration::from_nanos(150);

const TRIPS: u64 = 1_000;
const TRIES: usize = 9;

/// The line that goes to and fro.
#[derive(Debug)]
#[repr(align(128))]
pub struct Line {
    turn: AtomicU64,
    both: Barrier,
}

impl Default for Line {
    fn default() -> Line {
        Line { turn: AtomicU64::new(0), both: Barrier::new(2) }
    }
}

impl Line {
    /// The time that the line takes to go to the other CPU and come back, in the median of some tries: called by two threads
    /// at once, each on its CPU, one as `first`.
    pub fn round_trip(&self, first: bool) -> Duration {
        let mut tries: Vec<Duration> = (0..TRIES).map(|_| self.trips(first)).collect();
        tries.sort();
        tries[TRIES / 2] / TRIPS as u32
    }

    fn trips(&self, first: bool) -> Duration {
        self.both.wait();
        let start = self.turn.load(Ordering::Acquire);
        // Nobody goes before both know where it starts.
        self.both.wait();
        let begin = Instant::now();
        for trip in 0..TRIPS {
            let turn = start + 2 * trip + u64::from(!first);
            while self.turn.load(Ordering::Acquire) != turn {
                std::hint::spin_loop();
            }
            self.turn.store(turn + 1, Ordering::Release);
        }
        begin.elapsed()
    }
}
