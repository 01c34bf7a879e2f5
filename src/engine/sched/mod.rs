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
#[repr(align(64))]
pub struct SchedState {
    /// The [`Service::version`] that it was made for, plus 1; 0 for none.
    version: u64,
    now: Turn,
    /// As it will be when all packets have opened their connections that were foreseen in a look ahead, and that look.
    ahead: (u32, Turn),
}

const _: () = assert!(size_of::<SchedState>() == 64);

/// Whose turn it is.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    rr: rr::Rr,
    wrr: wrr::Wrr,
}

impl SchedState {
    /// The index of a server in `service.reals`, or `None` when no server has a weight. `load` gives a server's
    /// connections on this lcore.
    pub fn pick<'s>(&mut self, service: &Service, load: impl Fn(RealId) -> &'s RealStats) -> Option<usize> {
        let version = version(service);
        if self.version != version {
            self.now.rr.changed(&service.reals);
            self.now.wrr.changed(&service.reals, self.version == 0);
            self.version = version;
        }
        self.now.pick(service, load)
    }

    /// What the next call of [`SchedState::pick`] will choose when all that was foreseen in the same look comes true before it.
    /// `None` when that is not known.
    #[inline(always)]
    pub fn foresee<'s>(
        &mut self,
        look: u32,
        service: &Service,
        load: impl Fn(RealId) -> &'s RealStats,
    ) -> Option<usize> {
        if self.version != version(service) {
            return None;
        }
        if self.ahead.0 != look {
            self.ahead = (look, self.now);
        }
        self.ahead.1.pick(service, load)
    }

    /// True when [`SchedState::pick`] will choose the server at `index`.
    #[inline(always)]
    pub fn is_next<'s>(&self, index: usize, service: &Service, load: impl Fn(RealId) -> &'s RealStats) -> bool {
        if self.version != version(service) {
            return false;
        }
        let picked = match service.scheduler {
            Scheduler::Rr => { self.now.rr }.pick(&service.reals),
            Scheduler::Wrr => { self.now.wrr }.pick(&service.reals),
            Scheduler::Wlc => wlc::pick(&service.reals, load),
        };
        picked == Some(index)
    }

    /// What [`SchedState::pick`] does besides, when that was true.
    #[inline(always)]
    pub fn go_on(&mut self, index: usize, service: &Service) {
        match service.scheduler {
            Scheduler::Rr => self.now.rr.used(&service.reals, index),
            Scheduler::Wrr => drop(self.now.wrr.pick(&service.reals)),
            Scheduler::Wlc => {}
        }
    }
}

#[inline(always)]
fn version(service: &Service) -> u64 {
    u64::from(service.version) + 1
}

impl Turn {
    #[inline(always)]
    fn pick<'s>(&mut self, service: &Service, load: impl Fn(RealId) -> &'s RealStats) -> Option<usize> {
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
    fn servers_that_are_foreseen_are_those_that_are_picked() {
        let stats: Vec<RealStats> = (0..5).map(|_| RealStats::default()).collect();
        let load = |id: RealId| &stats[id.index()];
        let mut service = Service {
            id: crate::addr::ServiceId(0),
            proto: crate::addr::Proto::Tcp,
            vip: Be32::new(1).into(),
            vport: Be16::new(80),
            scheduler: Scheduler::Rr,
            version: 7,
            reals: reals(&[3, 0, 1, 2]),
            pools: Default::default(),
            profile: 0,
            mss_clamp: None,
            on_removed: Default::default(),
        };
        for scheduler in [Scheduler::Rr, Scheduler::Wrr, Scheduler::Wlc] {
            service.scheduler = scheduler;
            let (mut state, mut alone) = (SchedState::default(), SchedState::default());
            assert_eq!(state.foresee(1, &service, load), None, "nothing is known of a service that changed");
            assert_eq!(state.pick(&service, load), alone.pick(&service, load));
            for look in 2..20 {
                let foreseen: Vec<usize> = (0..7).map(|_| state.foresee(look, &service, load).unwrap()).collect();
                // Not all that is foreseen comes true.
                for index in foreseen.into_iter().take(look as usize % 8) {
                    assert!(state.is_next(index, &service, load));
                    assert!((0..4).all(|other| other == index || !state.is_next(other, &service, load)));
                    state.go_on(index, &service);
                    assert_eq!(alone.pick(&service, load), Some(index));
                }
            }
            service.version += 1;
            assert!(!(0..4).any(|index| state.is_next(index, &service, load)));
        }
    }

    #[test]
    fn names_go_there_and_back() {
        for s in [Scheduler::Rr, Scheduler::Wrr, Scheduler::Wlc] {
            assert_eq!(Scheduler::from_name(s.name()), Some(s));
        }
        assert_eq!(Scheduler::from_name("nosuch"), None);
    }
}
