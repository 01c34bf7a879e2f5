//! How long single turns take.

use super::hit::Gateway;
use gatun_bench::goals::Results;
use gatun_bench::measure::{cpu, load, preemptions};
use gatun_bench::ring::Worker;
use std::time::Duration;

/// Bursts that are timed.
const BURSTS: usize = 200_000;
/// A turn whose time on the clock exceeds its CPU time by more was stopped, whatever the kernel says.
const STOLEN: Duration = Duration::from_micros(2);

/// The times of single turns, in microseconds: on the time-stamp counter and of CPU time. Those that were preempted are
/// left out, and counted.
pub(crate) struct Turns {
    wall: Vec<f64>,
    cpu: Vec<f64>,
    preempted: usize,
    us_a_tick: f64,
    /// What reading the clock takes.
    overhead: Duration,
}

impl Turns {
    pub(crate) fn new() -> Turns {
        let overhead = (0..1_000).map(|_| {
            let begin = cpu();
            cpu() - begin
        });
        let overhead = overhead.min().unwrap_or_default();
        let us_a_tick = 1e6 / dpdk::tsc_hz() as f64;
        Turns { wall: Vec::new(), cpu: Vec::new(), preempted: 0, us_a_tick, overhead }
    }

    /// Times one turn.
    #[inline(always)]
    pub(crate) fn one(&mut self, turn: impl FnOnce() -> usize) {
        let (stopped, begin_cpu) = (preemptions(), cpu());
        let begin = dpdk::rdtsc();
        turn();
        let wall = (dpdk::rdtsc() - begin) as f64 * self.us_a_tick;
        let cpu = (cpu() - begin_cpu).saturating_sub(self.overhead).as_secs_f64() * 1e6;
        if preemptions() != stopped || wall > cpu + STOLEN.as_secs_f64() * 1e6 {
            self.preempted += 1;
            return;
        }
        self.wall.push(wall);
        self.cpu.push(cpu);
    }

    /// This part of the turns took at most so long by the time-stamp counter.
    pub(crate) fn wall_us(&mut self, part: f64) -> f64 {
        quantile(&mut self.wall, part)
    }

    /// The same in CPU time.
    pub(crate) fn cpu_us(&mut self, part: f64) -> f64 {
        quantile(&mut self.cpu, part)
    }

    /// How many there are, and how many were left out.
    pub(crate) fn describe(&self) -> String {
        format!("{} turns, {} preempted ones left out", self.wall.len(), self.preempted)
    }
}

fn quantile(times: &mut [f64], part: f64) -> f64 {
    let at = ((times.len() as f64 * part) as usize).min(times.len() - 1);
    *times.select_nth_unstable_by(at, f64::total_cmp).1
}

/// Bursts of 32 over a million connections.
pub(crate) fn bursts(g: &mut Gateway, r: &mut Results) {
    let mut turns = Turns::new();
    for _ in 0..BURSTS {
        turns.one(|| Worker::gatun::<32>(&mut g.worker, &mut g.feed));
    }
    let how = format!("{}; median {:.2} us; load {}", turns.describe(), turns.wall_us(0.5), load());
    for (id, part) in [("G9@p99", 0.99), ("G9@p99.9", 0.999)] {
        r.add(id, Ok(turns.wall_us(part).into()), &how);
    }
}
