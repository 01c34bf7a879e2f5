//! The parts of the engine by themselves, by criterion: `table`, `ports`, `wheel`, `rewrite`, `parse`. On CPU time, on
//! the ordinary heap, in ticks of the time-stamp counter for each lookup, port, timer or packet.
//!
//! `cargo bench -p gatun-bench --bench micro [-- PART]`

#[path = "micro/path.rs"]
mod path;
#[path = "micro/ports.rs"]
mod ports;
#[path = "micro/table.rs"]
mod table;
#[path = "micro/wheel.rs"]
mod wheel;

use criterion::Criterion;
use gatun_bench::goals::Results;
use gatun_bench::measure::{Spread, cpu};
use std::cell::RefCell;
use std::time::{Duration, Instant};

fn main() {
    let criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(600))
        .without_plots()
        .configure_from_args();
    let mut micro = Micro { criterion, results: Results::new("micro"), tsc_a_second: tsc_a_second() };
    table::run(&mut micro);
    ports::run(&mut micro);
    wheel::run(&mut micro);
    path::run(&mut micro);
    micro.criterion.final_summary();
    micro.results.write();
}

struct Micro {
    criterion: Criterion,
    results: Results,
    tsc_a_second: f64,
}

impl Micro {
    /// Has criterion call `work`, which does at least so many units and says how many it did and what they took on CPU.
    fn run(&mut self, id: &str, how: &str, mut work: impl FnMut(u64) -> (u64, Duration)) {
        let samples = RefCell::new(Vec::new());
        self.criterion.bench_function(id, |b| {
            b.iter_custom(|units| {
                let (done, spent) = work(units);
                samples.borrow_mut().push(spent.as_secs_f64() * self.tsc_a_second / done as f64);
                spent.mul_f64(units as f64 / done as f64)
            });
        });
        // The first ones warmed up; none at all were taken of what was filtered out.
        let samples = samples.into_inner();
        if samples.len() >= 20 {
            self.results.add(id, Ok(Spread::of(samples[samples.len() - 20..].to_vec()).into()), how);
        }
    }
}

/// What `work` takes on CPU.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begin = cpu();
    let done = work();
    (done, cpu() - begin)
}

/// How fast the time-stamp counter runs.
fn tsc_a_second() -> f64 {
    let (begin, clock) = (dpdk::rdtsc(), Instant::now());
    std::thread::sleep(Duration::from_millis(100));
    (dpdk::rdtsc() - begin) as f64 / clock.elapsed().as_secs_f64()
}
