//! Round robin (`ip_vs_rr.c`): go on after the server that was used last.

use super::has_weight;
use crate::addr::RealId;
use crate::snapshot::Real;

/// The server that was used last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rr {
    id: RealId,
    /// The place after its own; 0 for no server yet.
    next: u32,
}

impl Rr {
    /// The servers changed: keep the place, or that of the predecessor when the server is gone.
    pub fn changed(&mut self, reals: &[Real]) {
        let Some(at) = (self.next as usize).checked_sub(1) else { return };
        let at = reals.iter().position(|r| r.id == self.id).or(at.checked_sub(1)).filter(|at| *at < reals.len());
        match at {
            Some(at) => self.used(reals, at),
            None => *self = Rr::default(),
        }
    }

    /// The next one with a weight.
    #[inline(always)]
    pub fn pick(&mut self, reals: &[Real]) -> Option<usize> {
        let start = self.next as usize;
        let start = if start < reals.len() { start } else { 0 };
        let at = if has_weight(reals.get(start)?) { start } else { further(reals, start)? };
        self.used(reals, at);
        Some(at)
    }

    /// The server there was used.
    #[inline(always)]
    pub fn used(&mut self, reals: &[Real], at: usize) {
        *self = reals.get(at).map_or(Rr::default(), |real| Rr { id: real.id, next: at as u32 + 1 });
    }
}

/// The first one with a weight from `start` on and around.
#[inline(never)]
fn further(reals: &[Real], start: usize) -> Option<usize> {
    (start..reals.len()).chain(0..start).find(|i| has_weight(&reals[*i]))
}

#[cfg(test)]
mod tests {
    use super::super::tests::reals;
    use super::*;
    use alloc::vec::Vec;

    fn take(rr: &mut Rr, reals: &[Real], n: usize) -> Vec<u32> {
        (0..n).map(|_| reals[rr.pick(reals).unwrap()].id.0).collect()
    }

    #[test]
    fn the_newest_server_comes_first_and_weight_0_is_skipped() {
        assert_eq!(take(&mut Rr::default(), &reals(&[1, 1, 1]), 6), [3, 2, 1, 3, 2, 1]);
        assert_eq!(take(&mut Rr::default(), &reals(&[1, 0, 1]), 4), [3, 1, 3, 1]);
        assert_eq!(Rr::default().pick(&reals(&[0, 0])), None);
        assert_eq!(Rr::default().pick(&[]), None);
    }

    #[test]
    fn a_deleted_server_hands_its_place_to_its_predecessor() {
        let mut rr = Rr::default();
        let mut list = reals(&[1, 1, 1]);
        assert_eq!(take(&mut rr, &list, 2), [3, 2]);
        list.remove(1);
        rr.changed(&list);
        assert_eq!(take(&mut rr, &list, 3), [1, 3, 1]);
        list.remove(1);
        rr.changed(&list);
        assert_eq!(take(&mut rr, &list, 2), [3, 3]);
    }
}
