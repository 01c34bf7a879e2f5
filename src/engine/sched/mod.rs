//! Choosing a real server, exactly as LVS does: one file a scheduler, servers in LVS's order (the newest first), ties to
//! the first in that order, weight 0 never.
//!
//! State is kept in the shard, by service; it starts over when the service changes, as in `ip_vs_*_dest_changed`.

pub mod rr;
pub mod wlc;
pub mod wrr;

use crate::addr::RealId;
use crate::snapshot::{Real, Service};
use crate::stats::RealStats;

/// How a server is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduler {
    /// Round robin.
    Rr,
    /// Weighted round robin.
    Wrr,
    /// Weighted least connection.
    Wlc,
}

impl Scheduler {
    /// As ipvsadm names it.
    pub const fn name(self) -> &'static str {
        match self {
            Scheduler::Rr => "rr",
            Scheduler::Wrr => "wrr",
            Scheduler::Wlc => "wlc",
        }
    }
    /// The scheduler of a name.
    pub fn from_name(name: &str) -> Option<Scheduler> {
        [Scheduler::Rr, Scheduler::Wrr, Scheduler::Wlc].into_iter().find(|s| s.name() == name)
    }
}

/// What a scheduler remembers of one service.
#[derive(Clone, Copy, Debug, Default)]
pub struct SchedState {
    /// The [`Service::version`] that it was made for, plus 1; 0 for none.
    version: u64,
    rr: rr::Rr,
    wrr: wrr::Wrr,
}

impl SchedState {
    /// The index of a server in `service.reals`, or `None` when no server has a weight. `load` gives a server's
    /// connections on this lcore.
    pub fn pick<'s>(&mut self, service: &Service, load: impl Fn(RealId) -> &'s RealStats) -> Option<usize> {
        let version = u64::from(service.version) + 1;
        if self.version != version {
            self.rr.changed(&service.reals);
            self.wrr.changed(&service.reals, self.version == 0);
            self.version = version;
        }
        match service.scheduler {
            Scheduler::Rr => self.rr.pick(&service.reals),
            Scheduler::Wrr => self.wrr.pick(&service.reals),
            Scheduler::Wlc => wlc::pick(&service.reals, load),
        }
    }
}

fn has_weight(real: &Real) -> bool {
    real.weight > 0
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::addr::{Be16, Be32, EndpointId};
    use alloc::vec::Vec;

    /// Servers as LVS lists them after adding them in the order of `weights`: rs1 has id 1.
    pub(crate) fn reals(weights: &[u32]) -> Vec<Real> {
        let real = |(i, w): (usize, &u32)| Real {
            id: RealId(i as u32 + 1),
            endpoint: EndpointId(i as u32),
            addr: Be32::new(i as u32).into(),
            port: Be16::new(80),
            weight: *w,
        };
        weights.iter().enumerate().map(real).rev().collect()
    }

    #[test]
    fn names_go_there_and_back() {
        for s in [Scheduler::Rr, Scheduler::Wrr, Scheduler::Wlc] {
            assert_eq!(Scheduler::from_name(s.name()), Some(s));
        }
        assert_eq!(Scheduler::from_name("nosuch"), None);
    }
}
