//! Times, counted in classes that are a 32nd of their value wide.

const SUB: u64 = 32;
const CLASSES: usize = (64 - 4) * SUB as usize;

/// How often each time was met.
pub struct Latency {
    counts: Box<[u64]>,
    total: u64,
    most: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Latency { counts: vec![0; CLASSES].into_boxed_slice(), total: 0, most: 0 }
    }
}

impl Latency {
    /// One more, in any unit.
    #[inline(always)]
    pub fn record(&mut self, time: u64) {
        self.counts[class(time)] += 1;
        self.total += 1;
        self.most = self.most.max(time);
    }

    /// The time that this part of all did not exceed, to 3 %; `None` when there is none.
    pub fn percentile(&self, part: f64) -> Option<u64> {
        let wanted = ((self.total as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        let class = self.counts.iter().position(|n| {
            seen += n;
            seen >= wanted
        })?;
        Some(upper(class).min(self.most))
    }

    /// The longest.
    pub fn most(&self) -> Option<u64> {
        (self.total > 0).then_some(self.most)
    }
}

#[inline(always)]
fn class(time: u64) -> usize {
    let shift = (64 - (time | SUB).leading_zeros()).saturating_sub(6);
    (u64::from(shift) * SUB + (time >> shift)) as usize
}

/// The largest time of a class.
fn upper(class: usize) -> u64 {
    let class = class as u64;
    if class < 2 * SUB {
        return class;
    }
    let shift = class / SUB - 1;
    let first = (class - shift * SUB) << shift;
    first + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_its_class() {
        for time in (0..5_000).chain([1 << 40, (1 << 40) + 12_345, u64::MAX / 2, u64::MAX]) {
            let class = class(time);
            assert!(class < CLASSES && upper(class) >= time, "{time}: {class}");
            assert!(class == 0 || upper(class - 1) < time, "{time}: {class}");
            assert!(upper(class) - time <= time / 16, "{time}: {class}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_times() {
        let mut l = Latency::default();
        assert_eq!((l.percentile(0.5), l.most()), (None, None));
        (1..=1_000).for_each(|n| l.record(n));
        let near = |part: f64, is: u64| {
            let said = l.percentile(part).unwrap();
            assert!(said.abs_diff(is) <= is / 30, "{part}: {said}");
        };
        near(0.5, 500);
        near(0.9, 900);
        near(0.999, 999);
        assert_eq!((l.percentile(1.0), l.most()), (Some(1_000), Some(1_000)));
    }
}
