//! Requests a second of each address: a token bucket each, for a bounded number of addresses.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Addresses that are remembered.
const REMEMBERED: usize = 4_096;

/// See the module.
pub(super) struct Rate {
    per_second: f64,
    buckets: Mutex<HashMap<IpAddr, (f64, Instant)>>,
}

impl Rate {
    /// So many a second, and as many at once.
    pub(super) fn new(per_second: u32) -> Rate {
        Rate { per_second: per_second.into(), buckets: Mutex::default() }
    }

    /// Whether there is room for one more.
    pub(super) fn admits(&self, from: IpAddr, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= REMEMBERED && !buckets.contains_key(&from) {
            // Who was quiet for a second has a full bucket, as a stranger has.
            buckets.retain(|_, (_, seen)| now.duration_since(*seen).as_secs() == 0);
            if buckets.len() >= REMEMBERED {
                return false;
            }
        }
        let (left, seen) = buckets.entry(from).or_insert((self.per_second, now));
        *left = (*left + now.duration_since(*seen).as_secs_f64() * self.per_second).min(self.per_second);
        *seen = now;
        let admitted = *left >= 1.0;
        *left -= f64::from(u8::from(admitted));
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_second_has_so_many_and_one_address_does_not_use_up_another_s() {
        let (rate, start) = (Rate::new(10), Instant::now());
        let [a, b]: [IpAddr; 2] = ["198.18.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        assert_eq!((0..20).filter(|_| rate.admits(a, start)).count(), 10);
        assert!(rate.admits(b, start));
        let later = start + Duration::from_millis(500);
        assert_eq!((0..20).filter(|_| rate.admits(a, later)).count(), 5);
    }

    #[test]
    fn the_addresses_that_are_remembered_are_bounded() {
        let (rate, start) = (Rate::new(1), Instant::now());
        let address = |n: usize| IpAddr::from([10, 0, (n >> 8) as u8, n as u8]);
        let admitted = (0..REMEMBERED + 100).filter(|n| rate.admits(address(*n), start)).count();
        assert_eq!(admitted, REMEMBERED);
        assert!(rate.admits(address(REMEMBERED + 1), start + Duration::from_secs(2)));
    }
}
