//! How a figure is taken: paired phases on the CPU's own time, medians and their spread.

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// How long a phase runs.
pub const PHASE: Duration = Duration::from_millis(50);
/// Pairs of phases in a measurement.
pub const PAIRS: usize = 21;
/// How far the median of a loop paired with itself may be from 1.
pub const SAME: f64 = 0.03;
/// How often a measurement is tried while it is not.
const TRIES: usize = 3;

/// CPU time of this thread.
pub fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock").into()
}

/// How often this thread was stopped for another one.
pub fn preemptions() -> i64 {
    getrusage(UsageWho::RUSAGE_THREAD).expect("the usage of a thread").involuntary_context_switches()
}

/// Processes that wanted to run in the last minute, as the kernel says.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// The middle of some figures, with the lowest and the highest; the outermost one on either side is left out.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The lowest but one.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The highest but one.
    pub high: f64,
}

impl Spread {
    /// Of at least three figures.
    pub fn of(mut figures: Vec<f64>) -> Spread {
        figures.sort_by(f64::total_cmp);
        let n = figures.len();
        Spread { low: figures[1], median: figures[n / 2], high: figures[n - 2] }
    }
}

/// Units of work and the CPU time that they took.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    /// Packets, or whatever is counted.
    pub count: u64,
    /// CPU time.
    pub spent: Duration,
}

impl Phase {
    /// Units a second.
    pub fn rate(&self) -> f64 {
        self.count as f64 / self.spent.as_secs_f64()
    }
}

/// Calls `turn`, which says how many units it did, for [`PHASE`]; looks at the clock every 8,192 units.
#[inline(always)]
pub fn phase(mut turn: impl FnMut() -> usize) -> Phase {
    let begin = cpu();
    let mut count = 0;
    loop {
        let next = count + 8_192;
        while count < next {
            count += turn() as u64;
        }
        let spent = cpu() - begin;
        if spent >= PHASE {
            return Phase { count, spent };
        }
    }
}

/// Two loops, phase after phase.
#[derive(Clone, Copy, Debug)]
pub struct Pairs {
    /// Rate of the second over rate of the first.
    pub share: Spread,
    /// Units a second of each, the median.
    pub rates: [f64; 2],
}

impl Pairs {
    /// [`PAIRS`] pairs of phases of two loops over the same thing.
    pub fn run<T: ?Sized>(on: &mut T, a: impl Fn(&mut T) -> Phase, b: impl Fn(&mut T) -> Phase) -> Pairs {
        let rates: Vec<[f64; 2]> = (0..PAIRS).map(|_| [a(on).rate(), b(on).rate()]).collect();
        let of = |i: usize| Spread::of(rates.iter().map(|r| r[i]).collect()).median;
        Pairs { share: Spread::of(rates.iter().map(|r| r[1] / r[0]).collect()), rates: [of(0), of(1)] }
    }

    /// The same, when a first loop paired with itself is the same within [`SAME`]; else why there is no measurement.
    pub fn checked<T: ?Sized>(
        on: &mut T,
        a: impl Fn(&mut T) -> Phase,
        b: impl Fn(&mut T) -> Phase,
    ) -> Result<Pairs, String> {
        let mut seen = Vec::new();
        for _ in 0..TRIES {
            let same = Pairs::run(on, &a, &a).share.median;
            seen.push(format!("{same:.3}"));
            if (same - 1.0).abs() <= SAME {
                return Ok(Pairs::run(on, a, b));
            }
        }
        Err(format!("A/A was {}, not 1.00 within {SAME}: the machine is too busy, load {}", seen.join(" "), load()))
    }
}
