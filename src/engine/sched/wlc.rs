//! Weighted least connection (`ip_vs_wlc.c`): the smallest `(active * 256 + inactive) / weight`, compared by
//! cross-multiplication.

use super::has_weight;
use crate::addr::RealId;
use crate::snapshot::Real;
use crate::stats::RealStats;

/// The least loaded server.
pub fn pick<'s>(reals: &[Real], load: impl Fn(RealId) -> &'s RealStats) -> Option<usize> {
    let overhead = |r: &Real| {
        let l = load(r.id);
        u128::from(l.active.value()) * 256 + u128::from(l.inactive.value())
    };
    let mut best: Option<(usize, u128)> = None;
    for (i, r) in reals.iter().enumerate().filter(|(_, r)| has_weight(r)) {
        let oh = overhead(r);
        if best.is_none_or(|(b, best_oh)| best_oh * u128::from(r.weight) > oh * u128::from(reals[b].weight)) {
            best = Some((i, oh));
        }
    }
    best.map(|(i, _)| i)
}

#[cfg(test)]
mod tests {
    use super::super::tests::reals;
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn held_connections_spread_as_on_the_real_ipvs() {
        let list = reals(&[1, 2, 3]);
        let stats: Vec<RealStats> = (0..4).map(|_| RealStats::default()).collect();
        let picks: Vec<u32> = (0..12)
            .map(|_| {
                let id = list[pick(&list, |id| &stats[id.index()]).unwrap()].id;
                stats[id.index()].active.add(1);
                id.0
            })
            .collect();
        assert_eq!(picks, [3, 2, 1, 3, 2, 3, 3, 2, 1, 3, 2, 3]);
        assert_eq!(pick(&reals(&[0, 0]), |_| &stats[0]), None);
    }
}
