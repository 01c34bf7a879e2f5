//! What is different between one model and the next, so that the work is that of the difference.
//!
//! Called by the compiler. A service that stayed the same is the same one: models share it, and nothing is compared.

use super::Hop;
use crate::config::{Model, Service};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// The next hops, and how many routes and servers need each.
#[derive(Default)]
pub(super) struct Hops {
    needed: BTreeMap<Hop, usize>,
    changed: bool,
}

impl Hops {
    /// Those of other routes, and no servers yet.
    pub(super) fn begin(&mut self, routers: impl Iterator<Item = Hop>) {
        self.needed.clear();
        self.changed = true;
        routers.for_each(|router| self.add(router));
    }

    pub(super) fn add(&mut self, hop: Hop) {
        let count = self.needed.entry(hop).or_default();
        *count += 1;
        self.changed |= *count == 1;
    }

    pub(super) fn remove(&mut self, hop: Hop) {
        let Some(count) = self.needed.get_mut(&hop) else { return };
        *count -= 1;
        if *count == 0 {
            self.needed.remove(&hop);
            self.changed = true;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.needed.len()
    }

    pub(super) fn contains(&self, hop: &Hop) -> bool {
        self.needed.contains_key(hop)
    }

    /// All of them, when they are others than when this was asked last.
    pub(super) fn changed(&mut self) -> Option<Vec<Hop>> {
        std::mem::take(&mut self.changed).then(|| self.needed.keys().copied().collect())
    }
}

/// Whether two models say the same of everything but services.
pub(super) fn same_but_services(a: &Model, b: &Model) -> bool {
    let Model { eal, lcores, tables, steering, tcp, timeouts, limits, api, .. } = a;
    let Model { ports, interfaces, routes, neighbors, laddr_pools, services: _, .. } = a;
    (eal, lcores, tables, steering, tcp, timeouts, limits, api)
        == (&b.eal, &b.lcores, &b.tables, &b.steering, &b.tcp, &b.timeouts, &b.limits, &b.api)
        && (ports, interfaces, routes, neighbors, laddr_pools)
            == (&b.ports, &b.interfaces, &b.routes, &b.neighbors, &b.laddr_pools)
}

/// The services of the one list that the other does not share, and the other way round.
pub(super) fn differing<'a>(
    old: &'a [Arc<Service>],
    new: &'a [Arc<Service>],
) -> (Vec<&'a Arc<Service>>, Vec<&'a Arc<Service>>) {
    let same = |(a, b): &(&Arc<_>, &Arc<_>)| Arc::ptr_eq(a, b);
    let head = old.iter().zip(new).take_while(same).count();
    let (old, new) = (&old[head..], &new[head..]);
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(same).count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    let addresses = |services: &[Arc<_>]| services.iter().map(Arc::as_ptr).collect::<HashSet<_>>();
    let (before, after) = (addresses(old), addresses(new));
    let not_in = |service: &&Arc<_>, others: &HashSet<_>| !others.contains(&Arc::as_ptr(service));
    (old.iter().filter(|s| not_in(s, &after)).collect(), new.iter().filter(|s| not_in(s, &before)).collect())
}
