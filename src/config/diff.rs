//! What a reload changes: two models compared, line by line for a person and for the master.
//!
//! Called by the master on SIGHUP with the model that runs and the one just read. Things are told apart by what they
//! are known by on the wire (a service by protocol and address, a route by its destination), never by their place in
//! the file. It applies nothing; what a running gateway cannot change is refused here, all of it at once.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;

use super::change::{Change, ServiceChange};
use super::model::{InterfaceId, LaddrPool, Model, PoolId, Port, Service};
use super::problem::Problem;
use super::settings::Lcores;
use super::text::is_link_local;

/// Everything that is different in `new`; nothing when the two do the same.
///
/// # Errors
/// A problem, without a place, for each difference that needs a restart. Then nothing is to be applied.
pub fn diff(old: &Model, new: &Model) -> Result<Vec<Change>, Vec<Problem>> {
    let problems = fixed(old, new);
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut changes = Vec::new();
    if old.tcp != new.tcp {
        changes.push(Change::Tcp { from: old.tcp.clone(), to: new.tcp.clone() });
    }
    if old.timeouts != new.timeouts {
        changes.push(Change::Timeouts { from: old.timeouts, to: new.timeouts });
    }
    if old.limits != new.limits {
        changes.push(Change::Limits { from: old.limits, to: new.limits });
    }
    addresses(old, new, &mut changes);
    compare(
        &old.routes,
        &new.routes,
        |route| route.to,
        |before, after| {
            changes.extend(match (before, after) {
                (Some(from), Some(to)) if from == to => None,
                (Some(from), Some(to)) => Some(Change::RouteChanged { from: from.clone(), to: to.clone() }),
                (Some(route), None) => Some(Change::RouteRemoved(route.clone())),
                (None, Some(route)) => Some(Change::RouteAdded(route.clone())),
                (None, None) => None,
            });
        },
    );
    compare(
        &old.neighbors,
        &new.neighbors,
        |neighbor| (neighbor.address, link(neighbor.address, neighbor.interface)),
        |before, after| {
            changes.extend(match (before, after) {
                (Some(from), Some(to)) if from == to => None,
                (Some(from), Some(to)) => Some(Change::NeighborChanged { from: from.clone(), to: to.clone() }),
                (Some(neighbor), None) => Some(Change::NeighborRemoved(neighbor.clone())),
                (None, Some(neighbor)) => Some(Change::NeighborAdded(neighbor.clone())),
                (None, None) => None,
            });
        },
    );
    compare(
        &old.laddr_pools,
        &new.laddr_pools,
        |pool| pool.name.clone(),
        |before, after| {
            changes.extend(match (before, after) {
                (Some(from), Some(to)) => pool(from, to),
                (Some(pool), None) => Some(Change::PoolRemoved(pool.clone())),
                (None, Some(pool)) => Some(Change::PoolAdded(pool.clone())),
                (None, None) => None,
            });
        },
    );
    compare(
        &old.services,
        &new.services,
        |service| service.id(),
        |before, after| match (before, after) {
            (Some(from), Some(to)) => service(old, from, new, to, &mut changes),
            (Some(service), None) => changes.push(Change::ServiceRemoved(Service::clone(service))),
            (None, Some(service)) => changes.push(Change::ServiceAdded(Service::clone(service))),
            (None, None) => {}
        },
    );
    Ok(changes)
}

/// A problem for each difference that a running gateway cannot follow.
fn fixed(old: &Model, new: &Model) -> Vec<Problem> {
    let links = |model: &Model| -> Vec<_> { model.interfaces.iter().map(|i| (i.port, i.vlan)).collect() };
    let (old_lcores, new_lcores) = (&old.lcores, &new.lcores);
    let of_a_run = "cannot change while gatun runs";
    let owners = "cannot change while gatun runs: it decides which worker owns which connection";
    let mut differences = vec![
        ("eal".to_owned(), old.eal != new.eal, of_a_run),
        ("lcores.workers".to_owned(), old_lcores.workers != new_lcores.workers, owners),
        (
            "lcores".to_owned(),
            Lcores { workers: new_lcores.workers.clone(), ..old_lcores.clone() } != *new_lcores,
            of_a_run,
        ),
        ("api".to_owned(), old.api != new.api, of_a_run),
        ("tables".to_owned(), old.tables != new.tables, of_a_run),
        ("steering.key".to_owned(), old.steering.key != new.steering.key, owners),
        ("steering.seed".to_owned(), old.steering.seed != new.steering.seed, of_a_run),
    ];
    let otherwise_same = |from: &Port, to: &Port| Port { steering: to.steering, ..from.clone() } == *to;
    let same_ports = old.ports.len() == new.ports.len()
        && old.ports.iter().zip(&new.ports).all(|(from, to)| otherwise_same(from, to));
    if same_ports {
        differences.extend(
            old.ports
                .iter()
                .zip(&new.ports)
                .map(|(from, to)| (format!("port[{:?}].steering", to.name), from.steering != to.steering, of_a_run)),
        );
        let what = "the ports and VLANs of interfaces, and their order, cannot change while gatun runs";
        differences.push(("interface".to_owned(), links(old) != links(new), what));
    } else {
        // With other ports, the interfaces' ports are not comparable.
        differences.push(("port".to_owned(), true, "ports, and their order, cannot change while gatun runs"));
    }
    let problem = |(field, _, what): (String, bool, &str)| Problem {
        file: String::new(),
        line: None,
        column: None,
        field,
        value: None,
        what: what.to_owned(),
        remedy: "restart gatun".to_owned(),
    };
    differences.into_iter().filter(|(_, differs, _)| *differs).map(problem).collect()
}

/// Calls `pair` with what each key is in `old` and in `new`: first what is gone, then the rest in the order of `new`.
fn compare<'m, T, K: Hash + Eq>(
    old: &'m [T],
    new: &'m [T],
    key: impl Fn(&T) -> K,
    mut pair: impl FnMut(Option<&'m T>, Option<&'m T>),
) {
    let before: HashMap<K, &T> = old.iter().map(|item| (key(item), item)).collect();
    let after: HashMap<K, &T> = new.iter().map(|item| (key(item), item)).collect();
    for item in old.iter().filter(|item| !after.contains_key(&key(item))) {
        pair(Some(item), None);
    }
    for item in new {
        pair(before.get(&key(item)).copied(), Some(item));
    }
}

/// The interface, where an address says nothing without it.
fn link(address: IpAddr, interface: InterfaceId) -> Option<InterfaceId> {
    is_link_local(address).then_some(interface)
}

fn addresses(old: &Model, new: &Model, changes: &mut Vec<Change>) {
    for (id, (before, after)) in old.interfaces.iter().zip(&new.interfaces).enumerate() {
        let interface = InterfaceId(id);
        compare(
            &before.addresses,
            &after.addresses,
            |net| *net,
            |before, after| match (before, after) {
                (Some(net), None) => changes.push(Change::AddressRemoved { interface, address: *net }),
                (None, Some(net)) => changes.push(Change::AddressAdded { interface, address: *net }),
                (Some(_), Some(_)) | (None, None) => {}
            },
        );
    }
}

fn pool(from: &LaddrPool, to: &LaddrPool) -> Option<Change> {
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    compare(
        &from.addresses,
        &to.addresses,
        |address| *address,
        |before, after| match (before, after) {
            (Some(address), None) => removed.push(*address),
            (None, Some(address)) => added.push(*address),
            (Some(_), Some(_)) | (None, None) => {}
        },
    );
    let same = added.is_empty() && removed.is_empty();
    (!same).then(|| Change::PoolChanged { name: to.name.clone(), added, removed })
}

fn service(old: &Model, from: &Service, new: &Model, to: &Service, changes: &mut Vec<Change>) {
    let service = to.id();
    let settings = settings(old, from, new, to);
    if !settings.is_empty() {
        changes.push(Change::ServiceChanged { service, changes: settings });
    }
    let mut lasting = Vec::new();
    compare(
        &from.reals,
        &to.reals,
        |real| real.address,
        |before, after| match (before, after) {
            (Some(real), None) => changes.push(Change::RealRemoved { service, real: *real }),
            (None, Some(real)) => changes.push(Change::RealAdded { service, real: *real }),
            (Some(before), Some(after)) => {
                lasting.push(after.address);
                if before.weight != after.weight {
                    let (from, to) = (before.weight, after.weight);
                    changes.push(Change::RealReweighted { service, address: after.address, from, to });
                }
            }
            (None, None) => {}
        },
    );
    let remaining: HashSet<_> = lasting.iter().copied().collect();
    let stayed = from.reals.iter().map(|real| real.address).filter(|address| remaining.contains(address));
    if !stayed.eq(lasting.iter().copied()) {
        changes.push(Change::RealsReordered { service });
    }
}

fn settings(old: &Model, from: &Service, new: &Model, to: &Service) -> Vec<ServiceChange> {
    let pool =
        |model: &Model, PoolId(nth)| model.laddr_pools.get(nth).map(|pool| pool.name.clone()).unwrap_or_default();
    let mut changes = Vec::new();
    if from.name != to.name {
        changes.push(ServiceChange::Name { from: from.name.clone(), to: to.name.clone() });
    }
    if from.scheduler != to.scheduler {
        changes.push(ServiceChange::Scheduler { from: from.scheduler, to: to.scheduler });
    }
    let (before, after) = (pool(old, from.laddr_pool), pool(new, to.laddr_pool));
    if before != after {
        changes.push(ServiceChange::LaddrPool { from: before, to: after });
    }
    if from.mss_clamp != to.mss_clamp {
        changes.push(ServiceChange::MssClamp { from: from.mss_clamp, to: to.mss_clamp });
    }
    if from.timeouts != to.timeouts {
        changes.push(ServiceChange::Timeouts { from: from.timeouts, to: to.timeouts });
    }
    if from.on_server_removed != to.on_server_removed {
        let (from, to) = (from.on_server_removed, to.on_server_removed);
        changes.push(ServiceChange::OnServerRemoved { from, to });
    }
    changes
}
