//! Counters over time: a sample every second, and from it the rates over 1, 10 and 60 seconds.
//!
//! It reads the workers' counters, which have one writer each and may be read at any time, and asks the master only for what
//! the devices count. It never writes a counter: setting them to zero is remembering what they were.

use super::types::{Counted, Rate, Rates, Totals};
use super::view;
use crate::config::Model;
use crate::config::compile;
use crate::control::document::service_key;
use crate::master::Master;
use crate::master::handle::{Handle, NoAnswer};
use crate::worker::progress::Progress;
use gatun_engine::addr::{Addr, Be16, RealId};
use gatun_engine::snapshot::{Snapshot, VipKey};
use gatun_engine::stats::{Counter, RealStats, RealTraffic, Stats};
use gatun_engine::verdict::{DropReason, PuntReason};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Between two samples.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);
/// Samples a second apart: for 1 and 10 s.
const FINE: usize = 11;
/// Samples ten seconds apart: for 60 s.
const COARSE: usize = 7;
const APART: usize = 10;
/// Connections opened, packets in and out, bytes in and out.
const FLOWS: usize = 5;

/// Counters that grow, of one thing: connections, packets in and out, bytes in and out.
pub(super) type Flow = [u64; FLOWS];

/// Every counter at a moment.
#[derive(Clone, Debug)]
struct Sample {
    at: Instant,
    /// By [`RealId`].
    reals: Vec<Flow>,
    lcores: Vec<Flow>,
    ports: Vec<Flow>,
    /// Bursts that held frames, and turns, by worker.
    turns: Vec<(u64, u64)>,
    drops: Vec<u64>,
    punts: Vec<u64>,
}

/// See the module.
pub(super) struct Meter {
    handle: Handle<Master>,
    workers: Vec<(Arc<Stats>, Arc<Progress>)>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    fine: VecDeque<Arc<Sample>>,
    coarse: VecDeque<Arc<Sample>>,
    taken: usize,
    /// What the ids were looked up in last: only services that are others since are looked at again.
    seen: Option<Arc<Snapshot>>,
    /// Whose counters an id has, and what they were when they became its, or were set to zero.
    owners: HashMap<RealId, Owner>,
    zero: HashMap<RealId, Totals>,
}

/// A server of a service.
type Owner = (compile::ServiceKey, Addr, Be16);

/// The servers of a model, and by which ids they are counted.
pub(super) struct Ids {
    /// The model.
    pub(super) model: Arc<Model>,
    /// Its generation.
    pub(super) generation: u64,
    snapshot: Arc<Snapshot>,
}

impl Ids {
    /// Each service with the ids of its servers, in the order of the model.
    pub(super) fn services(&self) -> impl Iterator<Item = (&crate::config::Service, Vec<RealId>)> {
        self.model.services.iter().map(|service| (&**service, self.of(service)))
    }

    /// Those of one service.
    pub(super) fn of(&self, service: &crate::config::Service) -> Vec<RealId> {
        let compiled = self.snapshot.services.get(&compile::service_key(service));
        // The engine has the newest first.
        compiled.map(|c| c.reals.iter().rev().map(|r| r.id).collect()).unwrap_or_default()
    }

    /// The service with this id.
    pub(super) fn find(&self, id: &str) -> Option<&crate::config::Service> {
        let (protocol, address) = service_key(id)?;
        let is = |s: &&Arc<crate::config::Service>| s.address == address && view::protocol(s.protocol) == protocol;
        self.model.services.iter().find(is).map(|s| &**s)
    }
}

impl Meter {
    /// Of a gateway that runs.
    ///
    /// # Errors
    /// When the master does not answer.
    pub(super) async fn new(handle: Handle<Master>) -> Result<Meter, NoAnswer> {
        let workers = handle.ask(|master| master.observed()).await?;
        Ok(Meter { handle, workers, inner: Mutex::default() })
    }

    /// Takes samples for ever.
    pub(super) async fn run(self: Arc<Self>) {
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            // Those of a gateway that is stopping are nobody's any more.
            let Ok(sample) = self.sample().await else { return };
            let _ = self.ids().await;
            self.lock().keep(sample);
        }
    }

    /// The servers' ids. An id that has another owner than before counts from here.
    ///
    /// # Errors
    /// When the master does not answer.
    pub(super) async fn ids(&self) -> Result<Ids, NoAnswer> {
        let (snapshot, model) = self.handle.ask(|m| (m.snapshot(), m.model())).await?;
        let mut inner = self.lock();
        let Inner { seen, owners, zero, .. } = &mut *inner;
        if seen.as_ref().is_none_or(|seen| seen.generation < snapshot.generation) {
            let before = seen.as_ref().map(|seen| &seen.services);
            let same = |key: &VipKey, service| before.and_then(|b| b.get(key)).is_some_and(|b| Arc::ptr_eq(b, service));
            for (key, service) in snapshot.services.iter().filter(|(key, service)| !same(key, service)) {
                for real in &service.reals {
                    let owner = (key, real.addr, real.port);
                    if owners.insert(real.id, owner).is_some_and(|before| before != owner) {
                        zero.insert(real.id, self.counted(real.id));
                    }
                }
            }
            *seen = Some(snapshot.clone());
        }
        drop(inner);
        Ok(Ids { model, generation: snapshot.generation, snapshot })
    }

    /// What a server has served.
    pub(super) fn totals(&self, id: RealId) -> Totals {
        let counted = self.counted(id);
        let zero = self.lock().zero.get(&id).copied().unwrap_or_default();
        Totals {
            active: counted.active,
            inactive: counted.inactive,
            conns: counted.conns.wrapping_sub(zero.conns),
            in_pkts: counted.in_pkts.wrapping_sub(zero.in_pkts),
            out_pkts: counted.out_pkts.wrapping_sub(zero.out_pkts),
            in_bytes: counted.in_bytes.wrapping_sub(zero.in_bytes),
            out_bytes: counted.out_bytes.wrapping_sub(zero.out_bytes),
        }
    }

    /// Counts anew from here.
    pub(super) fn zero(&self, ids: &[RealId]) {
        for id in ids {
            let counted = self.counted(*id);
            self.lock().zero.insert(*id, counted);
        }
    }

    /// Everything that has a rate, now.
    ///
    /// # Errors
    /// When the master does not answer.
    pub(super) async fn look(&self) -> Result<Look, NoAnswer> {
        let now = self.sample().await?;
        let inner = self.lock();
        let before = |seconds: u64| {
            // A sample is never quite so old as it should be.
            let age = Duration::from_millis(seconds * 1_000 - 100);
            let old = |s: &&Arc<Sample>| now.at.duration_since(s.at) >= age;
            let found = inner.fine.iter().rev().find(old).or_else(|| inner.coarse.iter().rev().find(old));
            found.or(inner.coarse.front()).or(inner.fine.front()).cloned()
        };
        let before = [before(1), before(10), before(60)];
        drop(inner);
        Ok(Look { now, before })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sum(&self, of: impl Fn(&Stats) -> &Counter) -> u64 {
        self.workers.iter().fold(0, |n, (stats, _)| n.wrapping_add(of(stats).value()))
    }

    fn counted(&self, id: RealId) -> Totals {
        let conns = |of: fn(&RealStats) -> &Counter| self.sum(|stats| of(stats.real(id)));
        let traffic = |of: fn(&RealTraffic) -> &Counter| self.sum(|stats| of(stats.traffic(id)));
        Totals {
            active: conns(|s| &s.active),
            inactive: conns(|s| &s.inactive),
            conns: conns(|s| &s.conns),
            in_pkts: traffic(|s| &s.in_pkts),
            out_pkts: traffic(|s| &s.out_pkts),
            in_bytes: traffic(|s| &s.in_bytes),
            out_bytes: traffic(|s| &s.out_bytes),
        }
    }

    async fn sample(&self) -> Result<Sample, NoAnswer> {
        let (ports, reals) = self.handle.ask(|m| (m.port_counters(), m.reals_known())).await?;
        let real = |n: usize| {
            let t = self.counted(RealId(n as u32));
            [t.conns, t.in_pkts, t.out_pkts, t.in_bytes, t.out_bytes]
        };
        let lcore = |(stats, _): &(Arc<Stats>, Arc<Progress>)| {
            let l = &stats.lcore;
            [&l.conns_opened, &l.rx, &l.tx_sent, &l.rx_bytes, &l.tx_bytes].map(Counter::value)
        };
        Ok(Sample {
            at: Instant::now(),
            reals: (0..reals).map(real).collect(),
            lcores: self.workers.iter().map(lcore).collect(),
            ports: ports.iter().map(|p| [0, p.ipackets, p.opackets, p.ibytes, p.obytes]).collect(),
            turns: self.workers.iter().map(|(stats, p)| (stats.lcore.bursts.value(), p.turns())).collect(),
            drops: DropReason::ALL.iter().map(|r| self.sum(|s| s.lcore.drop(*r))).collect(),
            punts: PuntReason::ALL.iter().map(|r| self.sum(|s| s.lcore.punt(*r))).collect(),
        })
    }
}

impl Inner {
    fn keep(&mut self, sample: Sample) {
        let sample = Arc::new(sample);
        let bound = |list: &mut VecDeque<Arc<Sample>>, most: usize| {
            if list.len() > most {
                list.pop_front();
            }
        };
        if self.taken.is_multiple_of(APART) {
            self.coarse.push_back(sample.clone());
            bound(&mut self.coarse, COARSE);
        }
        self.taken = self.taken.wrapping_add(1);
        self.fine.push_back(sample);
        bound(&mut self.fine, FINE);
    }
}

/// Now, and 1, 10 and 60 seconds before.
pub(super) struct Look {
    now: Sample,
    before: [Option<Arc<Sample>>; 3],
}

impl Look {
    /// Of a server.
    pub(super) fn real(&self, id: RealId) -> Rates {
        self.rates(|s| s.reals.get(id.index()).copied().unwrap_or_default())
    }

    /// Of servers together.
    pub(super) fn reals(&self, ids: &[RealId]) -> Rates {
        self.rates(|s| {
            let mut sum = Flow::default();
            for flow in ids.iter().filter_map(|id| s.reals.get(id.index())) {
                sum.iter_mut().zip(flow).for_each(|(sum, n)| *sum = sum.wrapping_add(*n));
            }
            sum
        })
    }

    /// Of a worker.
    pub(super) fn lcore(&self, at: usize) -> Rates {
        self.rates(|s| s.lcores.get(at).copied().unwrap_or_default())
    }

    /// Of a port.
    pub(super) fn port(&self, at: usize) -> Rates {
        self.rates(|s| s.ports.get(at).copied().unwrap_or_default())
    }

    /// Of a drop reason.
    pub(super) fn drop(&self, reason: DropReason) -> Counted {
        self.counted(|s| s.drops.get(reason as usize).copied().unwrap_or_default())
    }

    /// Of a punt reason.
    pub(super) fn punt(&self, reason: PuntReason) -> Counted {
        self.counted(|s| s.punts.get(reason as usize).copied().unwrap_or_default())
    }

    /// The share of a worker's turns in the last second that found frames, and frames a burst.
    pub(super) fn load(&self, worker: usize) -> (f64, f64) {
        let [Some(before), ..] = &self.before else { return (0.0, 0.0) };
        let of = |s: &Sample| {
            let (bursts, turns) = s.turns.get(worker).copied().unwrap_or_default();
            (bursts, turns, s.lcores.get(worker).map_or(0, |flow| flow[1]))
        };
        let ((b0, t0, f0), (b1, t1, f1)) = (of(before), of(&self.now));
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let (bursts, turns, frames) = (b1.wrapping_sub(b0), t1.wrapping_sub(t0), f1.wrapping_sub(f0));
        // A turn takes a burst of each port: more than one may have held frames.
        (share(bursts, turns).min(1.0), share(frames, bursts))
    }

    fn rates(&self, of: impl Fn(&Sample) -> Flow) -> Rates {
        let now = of(&self.now);
        let rate = |before: &Option<Arc<Sample>>| {
            let Some(before) = before else { return Rate::default() };
            let seconds = self.now.at.duration_since(before.at).as_secs_f64().max(0.001);
            let then = of(before);
            let a_second = |n: usize| now[n].wrapping_sub(then[n]) as f64 / seconds;
            Rate {
                conns: a_second(0),
                in_pkts: a_second(1),
                out_pkts: a_second(2),
                in_bytes: a_second(3),
                out_bytes: a_second(4),
            }
        };
        let [s1, s10, s60] = &self.before;
        Rates { s1: rate(s1), s10: rate(s10), s60: rate(s60) }
    }

    fn counted(&self, of: impl Fn(&Sample) -> u64) -> Counted {
        let rates = self.rates(|s| [of(s), 0, 0, 0, 0]);
        Counted { count: of(&self.now), s1: rates.s1.conns, s10: rates.s10.conns, s60: rates.s60.conns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: Instant, count: u64) -> Sample {
        let flow = [count, 2 * count, 0, 0, 0];
        Sample {
            at,
            reals: vec![Flow::default(), flow],
            lcores: vec![flow],
            ports: vec![flow],
            turns: vec![(count, 4 * count)],
            drops: vec![count],
            punts: vec![],
        }
    }

    #[test]
    fn rates_are_over_one_ten_and_sixty_seconds_and_the_memory_is_bounded() {
        let start = Instant::now();
        let mut inner = Inner::default();
        let mut count = 0;
        // Ten a second for a hundred seconds, then a hundred a second for five.
        for second in 0..=105u64 {
            count += if second > 100 { 100 } else { 10 };
            inner.keep(sample(start + Duration::from_secs(second), count));
        }
        assert_eq!((inner.fine.len(), inner.coarse.len()), (FINE, COARSE));
        let now = inner.fine.back().unwrap().clone();
        let find = |age| {
            let all = || inner.fine.iter().rev().chain(inner.coarse.iter().rev());
            all().find(|s| now.at.duration_since(s.at) >= Duration::from_secs(age)).cloned()
        };
        let look = Look { before: [find(1), find(10), find(60)], now: Sample::clone(&now) };
        let rates = look.real(RealId(1));
        assert_eq!((rates.s1.conns, rates.s1.in_pkts, rates.s10.conns), (100.0, 200.0, 55.0));
        assert!((16.9..17.0).contains(&rates.s60.conns), "{}", rates.s60.conns);
        assert_eq!(look.reals(&[RealId(1), RealId(1), RealId(9)]).s1.conns, 200.0);
        assert_eq!(look.load(0), (0.25, 2.0));
        assert_eq!(look.drop(DropReason::ALL[0]).count, count);
    }

    #[test]
    fn without_a_sample_there_is_no_rate() {
        let look = Look { now: sample(Instant::now(), 5), before: [None, None, None] };
        assert_eq!((look.lcore(0), look.load(0)), (Rates::default(), (0.0, 0.0)));
    }
}
