//! Time in ticks of 1/64 s. Nobody here reads a clock: `now` is an argument, always.

use core::ops::{Add, Sub};

/// Ticks a second.
pub const HZ: u32 = 64;

/// A moment in ticks of 1/64 s since the start of the run. Wraps after 776 days; comparisons hold across the wrap for
/// moments less than 388 days apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, zerocopy::FromZeros)]
#[repr(transparent)]
pub struct Tick(pub u32);

/// A length of time in ticks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Ticks(pub u32);

impl Tick {
    /// From nanoseconds since the start of the run, rounded down.
    pub const fn from_nanos(nanos: u64) -> Tick {
        Tick((nanos as u128 * HZ as u128 / 1_000_000_000) as u32)
    }
    /// True when `self` is at or after `other`.
    #[inline(always)]
    pub const fn reached(self, other: Tick) -> bool {
        self.0.wrapping_sub(other.0) as i32 >= 0
    }
    /// Ticks from `earlier` to `self`; 0 when `earlier` is later.
    #[inline(always)]
    pub const fn since(self, earlier: Tick) -> Ticks {
        let d = self.0.wrapping_sub(earlier.0) as i32;
        Ticks(if d < 0 { 0 } else { d as u32 })
    }
}

impl Ticks {
    /// From whole seconds. Saturates at 388 days.
    pub const fn from_secs(secs: u32) -> Ticks {
        let t = secs as u64 * HZ as u64;
        Ticks(if t > i32::MAX as u64 { i32::MAX as u32 } else { t as u32 })
    }
    /// Seconds, rounded down.
    pub const fn as_secs(self) -> u32 {
        self.0 / HZ
    }
}

impl Add<Ticks> for Tick {
    type Output = Tick;
    #[inline(always)]
    fn add(self, d: Ticks) -> Tick {
        Tick(self.0.wrapping_add(d.0))
    }
}

impl Sub<Ticks> for Tick {
    type Output = Tick;
    #[inline(always)]
    fn sub(self, d: Ticks) -> Tick {
        Tick(self.0.wrapping_sub(d.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_holds_across_the_wrap() {
        let late = Tick(u32::MAX - 3);
        let later = late + Ticks(10);
        assert_eq!(later, Tick(6));
        assert!(later.reached(late) && !late.reached(later) && late.reached(late));
        assert_eq!(later.since(late), Ticks(10));
        assert_eq!(late.since(later), Ticks(0));
    }

    #[test]
    fn a_second_is_64_ticks() {
        assert_eq!(Tick::from_nanos(1_000_000_000), Tick(64));
        assert_eq!(Tick::from_nanos(999_999_999), Tick(63));
        assert_eq!(Ticks::from_secs(900).as_secs(), 900);
        assert_eq!(Ticks::from_secs(u32::MAX), Ticks(i32::MAX as u32));
    }
}
