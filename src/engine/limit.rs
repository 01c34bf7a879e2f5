//! Rate limits of what goes to the master: a token bucket a reason and port, so that no flood harms another kind, or another
//! port.

use crate::time::{HZ, Tick};
use crate::verdict::PuntReason;

/// How many punts of a reason go to the master, from one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Frames a second, on average.
    pub rate: u32,
    /// Frames at once.
    pub burst: u32,
}

/// By [`PuntReason`].
pub type Limits = [Limit; PuntReason::COUNT];

/// The limits when the configuration says nothing: ARP and neighbour discovery 2,000 a second each way, the rest 1,000. A
/// reason has one bucket for both families, which is what RFC 4443, 2.4 (f) asks for.
pub const DEFAULT_LIMITS: Limits = {
    let mut limits = [Limit { rate: 1_000, burst: 200 }; PuntReason::COUNT];
    let mut i = 0;
    while i < PuntReason::COUNT {
        if PuntReason::ALL[i].is_link() {
            limits[i] = Limit { rate: 2_000, burst: 500 };
        }
        i += 1;
    }
    limits
};

/// A token bucket in units of 1/64 token, so that a tick adds `rate` units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// What it holds to.
    pub(crate) limit: Limit,
    units: u64,
    filled: Tick,
}

impl Bucket {
    /// A full one.
    pub(crate) fn new(limit: Limit, now: Tick) -> Bucket {
        Bucket { limit, units: u64::from(limit.burst) * u64::from(HZ), filled: now }
    }

    /// Takes a token, if there is one.
    #[inline(always)]
    pub(crate) fn take(&mut self, now: Tick) -> bool {
        // So most of a flood.
        if self.filled == now && self.units < u64::from(HZ) {
            return false;
        }
        self.fill_and_take(now)
    }

    /// The same, with what was added since the last time.
    #[inline(never)]
    fn fill_and_take(&mut self, now: Tick) -> bool {
        let add = u64::from(now.since(self.filled).0) * u64::from(self.limit.rate);
        self.filled = now;
        self.units = (self.units + add).min(u64::from(self.limit.burst) * u64::from(HZ));
        let enough = self.units >= u64::from(HZ);
        self.units -= if enough { u64::from(HZ) } else { 0 };
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_lets_its_burst_through_at_once_and_its_rate_from_then_on() {
        let mut b = Bucket::new(Limit { rate: 100, burst: 20 }, Tick(0));
        assert_eq!((0..50).filter(|_| b.take(Tick(0))).count(), 20);
        let in_a_second = (1..=64).map(|t| (0..50).filter(|_| b.take(Tick(t))).count()).sum::<usize>();
        assert_eq!(in_a_second, 100);
        assert_eq!((0..50).filter(|_| b.take(Tick(64 * 1_000))).count(), 20, "it holds no more than its burst");
        let mut none = Bucket::new(Limit { rate: 0, burst: 0 }, Tick(0));
        assert!(!none.take(Tick(64)));
    }
}
