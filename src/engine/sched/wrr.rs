//! Weighted round robin (`ip_vs_wrr.c`): walk the list for servers of at least the current weight, which falls by the
//! greatest common divisor with each walk.

use crate::snapshot::Real;

/// Where the walk stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wrr {
    /// The next index to look at.
    next: u32,
    /// cw, the current weight.
    current: i32,
    /// mw, where it starts.
    max: i32,
    /// di, how it falls.
    step: i32,
}

impl Wrr {
    /// The servers changed. At first they are taken as added one by one, oldest first.
    pub fn changed(&mut self, reals: &[Real], first: bool) {
        if first {
            self.current = 0;
            for n in 1..=reals.len() {
                self.adjust(&reals[reals.len() - n..]);
            }
        }
        self.adjust(reals);
        self.next = 0;
    }

    fn adjust(&mut self, reals: &[Real]) {
        let weights = || reals.iter().map(weight).filter(|w| *w > 0);
        let gcd = weights().fold(0, |a, b| {
            let (mut a, mut b) = (a, b);
            while b != 0 {
                (a, b) = (b, a % b);
            }
            a
        });
        self.step = gcd.max(1);
        self.max = weights().max().unwrap_or(0) - (self.step - 1);
        if self.current > self.max || self.current <= 0 {
            self.current = self.max;
        } else if self.step > 1 {
            self.current = self.current / self.step * self.step + 1;
        }
    }

    /// The next server.
    pub fn pick(&mut self, reals: &[Real]) -> Option<usize> {
        if self.max <= 0 {
            return None;
        }
        loop {
            let from = (self.next as usize).min(reals.len());
            let found = reals[from..].iter().position(|r| weight(r) >= self.current && r.weight > 0);
            if let Some(i) = found {
                self.next = (from + i + 1) as u32;
                return Some(from + i);
            }
            self.next = 0;
            self.current -= self.step;
            if self.current <= 0 {
                self.current = self.max;
            }
        }
    }
}

fn weight(real: &Real) -> i32 {
    real.weight.min(i32::MAX as u32) as i32
}

#[cfg(test)]
mod tests {
    use super::super::tests::reals;
    use super::*;
    use alloc::vec::Vec;

    fn take(weights: &[u32], n: usize) -> Vec<u32> {
        let list = reals(weights);
        let mut wrr = Wrr::default();
        wrr.changed(&list, true);
        (0..n).map(|_| list[wrr.pick(&list).unwrap()].id.0).collect()
    }

    #[test]
    fn sequences_of_the_real_ipvs_come_out() {
        assert_eq!(take(&[1, 2, 3], 12), [3, 2, 1, 3, 3, 2, 3, 2, 1, 3, 3, 2]);
        assert_eq!(take(&[5, 3, 1], 9), [3, 2, 1, 1, 1, 2, 1, 2, 1]);
        assert_eq!(take(&[2, 4], 6), [2, 1, 2, 2, 1, 2]);
    }

    #[test]
    fn without_weight_there_is_none() {
        let list = reals(&[0, 0]);
        let mut wrr = Wrr::default();
        wrr.changed(&list, true);
        assert_eq!(wrr.pick(&list), None);
        wrr.changed(&[], false);
        assert_eq!(wrr.pick(&[]), None);
    }
}
