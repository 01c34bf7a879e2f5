//! What time it was: from the time-stamp counter, with which workers stamp frames, to the wall clock.
//!
//! Both clocks are read together every few milliseconds, and what was stamped between two readings lies on the line between
//! them. So neither the counter's frequency has to be known, which the kernel estimates, nor does it matter that it drifts.

use std::time::SystemTime;

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// The time-stamp counter.
    pub(super) tsc: u64,
    /// Nanoseconds since 1970.
    pub(super) nanos: u64,
}

impl Moment {
    /// Now: of a few readings the one that took least, as a thread may be interrupted in the middle of one.
    pub(super) fn now() -> Moment {
        let read = || {
            let before = dpdk::rdtsc();
            let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
            let took = dpdk::rdtsc().wrapping_sub(before);
            (took, Moment { tsc: before.wrapping_add(took / 2), nanos: nanos as u64 })
        };
        let readings = [read(), read(), read(), read()];
        readings.into_iter().min_by_key(|(took, _)| *took).map_or(Moment { tsc: 0, nanos: 0 }, |(_, moment)| moment)
    }
}

/// The line between two moments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeline {
    from: Moment,
    to: Moment,
}

impl Timeline {
    /// Begins at a moment.
    pub(super) fn begin(at: Moment) -> Timeline {
        Timeline { from: at, to: at }
    }

    /// Goes on to a later moment.
    pub(super) fn go_on(&mut self, to: Moment) {
        *self = Timeline { from: self.to, to };
    }

    /// Where it is now.
    pub(super) fn now(&self) -> Moment {
        self.to
    }

    /// Nanoseconds since 1970 at a reading of the counter.
    pub(super) fn nanos(&self, tsc: u64) -> u64 {
        let between = |a: u64, b: u64| i128::from(b) - i128::from(a);
        let (ticks, nanos) = (between(self.from.tsc, self.to.tsc), between(self.from.nanos, self.to.nanos));
        if ticks <= 0 {
            return self.to.nanos;
        }
        let at = i128::from(self.to.nanos) + between(self.to.tsc, tsc) * nanos / ticks;
        u64::try_from(at).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_lies_on_the_line_between_the_readings_around_it() {
        let at = |tsc, nanos| Moment { tsc, nanos };
        let mut line = Timeline::begin(at(1_000, 5_000_000));
        assert_eq!(line.nanos(1_500), 5_000_000, "one reading is no line yet");
        line.go_on(at(3_000, 5_001_000));
        assert_eq!([1_000, 2_000, 3_000].map(|tsc| line.nanos(tsc)), [5_000_000, 5_000_500, 5_001_000]);
        // One that came late for its line, and a clock that was set back.
        line.go_on(at(4_000, 5_002_000));
        assert_eq!([2_999, 3_500, 4_000].map(|tsc| line.nanos(tsc)), [5_000_999, 5_001_500, 5_002_000]);
        line.go_on(at(5_000, 4_000_000));
        assert_eq!(line.nanos(5_000), 4_000_000);
        line.go_on(at(5_000, 4_000_000));
        assert_eq!(line.nanos(u64::MAX), 4_000_000);
    }

    #[test]
    fn both_clocks_go_on_together() {
        let mut line = Timeline::begin(Moment::now());
        line.go_on(Moment::now());
        let now = line.now();
        assert_eq!(line.nanos(now.tsc), now.nanos);
        let system = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
        assert!(system - now.nanos < 1_000_000_000);
    }
}
