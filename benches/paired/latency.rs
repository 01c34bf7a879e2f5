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

/// Times single turns.
pub(crate) struct Watch {
    us_a_tick: f64,
    /// What reading the clock takes.
    overhead: Duration,
}

/// What a turn took, in microseconds.
#[derive(Clone, Copy)]
pub(crate) struct Took {
    /// By the time-stamp counter.
    pub(crate) wall: f64,
    /// Of CPU time.
    pub(crate) cpu: f64,
}

impl Watch {
    pub(crate) fn new() -> Watch {
        let overhead = (0..1_000).map(|_| {
            let begin = cpu();
            cpu() - begin
        });
        Watch { us_a_tick: 1e6 / dpdk::tsc_hz() as f64, overhead: overhead.min().unwrap_or_default() }
    }

    /// Times one turn. `None` when it was preempted.
    #[inline(always)]
    pub(crate) fn time<R>(&self, turn: impl FnOnce() -> R) -> Option<Took> {
        let (stopped, begin_cpu) = (preemptions(), cpu());
        let begin = dpdk::rdtsc();
        turn();
        let wall = (dpdk::rdtsc() - begin) as f64 * self.us_a_tick;
        let cpu = (cpu() - begin_cpu).saturating_sub(self.overhead).as_secs_f64() * 1e6;
        let preempted = preemptions() != stopped || wall > cpu + STOLEN.as_secs_f64() * 1e6;
        (!preempted).then_some(Took { wall, cpu })
    }

    /// Times a wait of so many microseconds, which does nothing: what it takes longer, the machine takes (interrupts, and the
    /// host that it runs on), without the kernel's calling that a preemption.
    #[inline(always)]
    pub(crate) fn wait(&self, us: f64) -> Option<Took> {
        let ticks = (us / self.us_a_tick) as u64;
        self.time(|| {
            let begin = dpdk::rdtsc();
            while dpdk::rdtsc() - begin < ticks {}
        })
    }
}

/// The time that this part of the turns took at most.
pub(crate) fn quantile(times: &mut [f64], part: f64) -> f64 {
    let at = ((times.len() as f64 * part) as usize).min(times.len() - 1);
    *times.select_nth_unstable_by(at, f64::total_cmp).1
}

/// Microseconds of the wait beside each burst: about as long as a burst.
const WAIT: f64 = 2.0;

/// Bursts of 32 over a million connections.
pub(crate) fn bursts(g: &mut Gateway, r: &mut Results) {
    let watch = Watch::new();
    let (mut bursts, mut waits) = (Vec::with_capacity(BURSTS), Vec::with_capacity(BURSTS));
    for _ in 0..BURSTS {
        bursts.extend(watch.time(|| Worker::gatun::<32>(&mut g.worker, &mut g.feed)).map(|took| took.wall));
        waits.extend(watch.wait(WAIT).map(|took| took.wall));
    }
    let (good, bad) = (bursts.len(), BURSTS - bursts.len());
    let how = format!("of {good} bursts, {bad} preempted ones left out; median {:.2} us", quantile(&mut bursts, 0.5));
    for (id, part) in [("G9@p99", 0.99), ("G9@p99.9", 0.999)] {
        let wait = quantile(&mut waits, part);
        let how = format!("{how}; a wait of {WAIT} us, beside each, {wait:.1} us; load {}", load());
        r.add(id, Ok(quantile(&mut bursts, part).into()), &how);
    }
}
