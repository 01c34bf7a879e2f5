//! From a draft to the model: pools and services checked against each other and against the topology.
//!
//! Called by `parse`. What it returns is a model only when the report stayed empty; a draft with problems is linked
//! as far as it goes, to find the others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::draft::{Draft, PoolDraft, PoolRef, RealDraft, ServiceDraft};
use super::model::{LaddrPool, Model, PoolId, Real, Service};
use super::owners::Owners;
use super::reader::List;
use super::report::{At, Report, Spot};
use super::settings::Tables;
use super::text::POOL_MAX;
use super::topology::{Topology, unique};

/// Checks everything that concerns more than one field.
pub(super) fn link(draft: Draft, report: &Report<'_>) -> Model {
    let owners = Owners::new(&draft.interfaces.items, &draft.pools.items, &draft.services, report);
    let mut topology = Topology::new(draft.ports, draft.interfaces, &draft.spot, report);
    topology.add_routes(draft.routes, &owners, report);
    let neighbors = topology.neighbors(draft.neighbors, &owners, report);
    let pools_whole: Vec<bool> =
        draft.pools.items.iter().map(|pool| !pool.partial && !pool.entries.is_empty()).collect();
    let (pools_known, laddr_pools) = pools(draft.pools, &topology, report);
    let (pools, tables) = (&laddr_pools, &draft.globals.tables);
    let services = Services { topology: &topology, owners: &owners, pools, pools_whole, pools_known, tables, report };
    let services = services.link(draft.services);
    let globals = draft.globals;
    Model {
        eal: globals.eal,
        lcores: globals.lcores,
        tables: globals.tables,
        steering: globals.steering,
        tcp: globals.tcp,
        timeouts: globals.timeouts,
        limits: globals.limits,
        api: globals.api,
        ports: topology.ports,
        interfaces: topology.interfaces,
        routes: topology.routes,
        neighbors,
        laddr_pools,
        services,
    }
}

/// The pools, and whether every one has a name that services can refer to.
fn pools(drafts: List<PoolDraft>, topology: &Topology, report: &Report<'_>) -> (bool, Vec<LaddrPool>) {
    let mut names: HashMap<String, Spot> = HashMap::new();
    let mut pools = Vec::new();
    let known = drafts.whole && drafts.items.iter().all(|pool| pool.name.is_some());
    for pool in drafts.items {
        if let Some(name) = &pool.name {
            let what = "is the name of another pool";
            unique(&mut names, name.value.clone(), &name.spot, what, "give each pool its own name", report);
        }
        for entry in &pool.entries {
            for address in &entry.value {
                topology.check_edge(*address, &entry.spot, report);
            }
        }
        let addresses: Vec<IpAddr> = pool.entries.into_iter().flat_map(|entry| entry.value).collect();
        if addresses.len() > POOL_MAX && !pool.partial {
            let what = format!("has {} addresses", addresses.len());
            let remedy = format!("a pool has at most {POOL_MAX}; each gives 64,512 ports towards each server");
            report.problem(&pool.spot, what, remedy);
        }
        pools.push(LaddrPool { name: pool.name.map(|name| name.value).unwrap_or_default(), addresses });
    }
    (known, pools)
}

/// What services are checked against.
struct Services<'a, 't> {
    topology: &'a Topology,
    owners: &'a Owners,
    pools: &'a [LaddrPool],
    /// By pool: every entry of it could be read.
    pools_whole: Vec<bool>,
    pools_known: bool,
    tables: &'a Tables,
    report: &'a Report<'t>,
}

impl Services<'_, '_> {
    fn link(&self, drafts: Vec<ServiceDraft>) -> Vec<Arc<Service>> {
        let mut names: HashMap<String, Spot> = HashMap::new();
        let mut endpoints = HashMap::new();
        let mut services = Vec::new();
        let mut reals_left = self.tables.reals as usize;
        for mut draft in drafts {
            let laddr_pool = self.pool(&draft);
            self.check_families(&draft, laddr_pool);
            let reals = self.reals(std::mem::take(&mut draft.reals), &mut reals_left);
            let Some(address) = draft.address else { continue };
            self.topology.check_edge(address.value.ip(), &address.spot, self.report);
            self.topology.check_family(address.value.ip(), &address.spot, self.report);
            let Some(protocol) = draft.protocol else { continue };
            let what = "is the address of another service of this protocol";
            let key = (protocol, address.value);
            unique(&mut endpoints, key, &address.spot, what, "merge the two, or use another port", self.report);
            let default = format!("{protocol} {}", address.value);
            let named = draft.name.is_some();
            let (name, spot) = draft.name.map_or((default, address.spot), |name| (name.value, name.spot));
            // Two services without a name have the same one only when they have the same address, which was said.
            if named || !names.contains_key(&name) {
                let what = "is the name of another service";
                unique(&mut names, name.clone(), &spot, what, "give each service its own name", self.report);
            }
            services.push(Arc::new(Service {
                name,
                protocol,
                address: address.value,
                scheduler: draft.scheduler,
                laddr_pool: PoolId(laddr_pool.unwrap_or(0)),
                mss_clamp: draft.mss_clamp,
                timeouts: draft.timeouts,
                on_server_removed: draft.on_server_removed,
                reals,
            }));
        }
        services
    }

    fn pool(&self, draft: &ServiceDraft) -> Option<usize> {
        let names: Vec<_> = self.pools.iter().map(|pool| pool.name.as_str()).collect();
        let spot = draft.spot.below("laddr_pool");
        match &draft.pool {
            PoolRef::Unreadable => None,
            // A pool that is there in some way may be the one that is meant.
            PoolRef::Absent if !self.pools_known && names.len() != 1 => None,
            PoolRef::To(name) => {
                let found = names.iter().position(|known| *known == name.value);
                if found.is_none() && self.pools_known {
                    name.unknown("is not the name of a [[laddr_pool]]", &names, self.report);
                }
                found
            }
            PoolRef::Absent if names.is_empty() => {
                let remedy = "add a [[laddr_pool]] with the addresses that servers shall see";
                self.report.problem(&spot, "is missing, and there is no pool", remedy);
                None
            }
            PoolRef::Absent if names.len() > 1 => {
                let named: Vec<_> = names.iter().copied().filter(|name| !name.is_empty()).collect();
                let remedy = format!("name one of {}", named.join(", "));
                self.report.problem(&spot, format!("is missing, and there are {} pools", names.len()), remedy);
                None
            }
            PoolRef::Absent => Some(0),
        }
    }

    /// Notes servers that the service's VIP or pool can not serve for their family, and a VIP whose clients have no room.
    fn check_families(&self, draft: &ServiceDraft, pool: Option<usize>) {
        let reals = || draft.reals.iter().filter_map(|real| real.address.as_ref());
        let vip = draft.address.as_ref();
        if let Some(At { value, spot }) = vip.filter(|vip| vip.value.is_ipv6() && self.tables.ipv6_connections == 0) {
            let what = format!("{} is IPv6, and tables.ipv6_connections = 0 has no room for its clients", value.ip());
            self.report.problem(spot, what, "raise tables.ipv6_connections");
        }
        if let Some(vip) = vip.filter(|vip| vip.value.is_ipv4()) {
            for real in reals().filter(|real| real.value.is_ipv6()) {
                let what = format!("is an IPv6 server behind the IPv4 VIP {}, which is not offered", vip.value.ip());
                let remedy = "give the server's IPv4 address, or the service an IPv6 VIP: that can have servers of both families";
                self.report.problem(&real.spot, what, remedy);
            }
        }
        let Some((pool, true)) = pool.map(|pool| (&self.pools[pool], self.pools_whole[pool])) else { return };
        let vip_is_ipv4 = vip.is_some_and(|vip| vip.value.is_ipv4());
        for (ipv6, family) in [(false, "IPv4"), (true, "IPv6")] {
            // One sentence for all servers of the family. What the VIP can not have was told.
            let first = reals().find(|real| real.value.is_ipv6() == ipv6 && !(ipv6 && vip_is_ipv4));
            if let Some(real) = first.filter(|_| !pool.addresses.iter().any(|lip| lip.is_ipv6() == ipv6)) {
                let what = format!("is {family}, and laddr_pool {:?} has no local address of that family", pool.name);
                let remedy = "add one to the pool: it may hold both families; or give the service another pool";
                self.report.problem(&real.spot, what, remedy);
            }
        }
    }

    fn reals(&self, drafts: Vec<RealDraft>, left: &mut usize) -> Vec<Real> {
        let mut seen = HashMap::new();
        let mut reals = Vec::new();
        for RealDraft { address, weight } in drafts {
            let Some(address) = address else { continue };
            let (ip, spot) = (address.value.ip(), &address.spot);
            let what = "is there twice in this service";
            unique(&mut seen, address.value, spot, what, "keep one of them", self.report);
            match self.owners.of(ip) {
                Some(owner) => self.report.problem(spot, format!("is {owner}"), "give a server's address"),
                None => self.topology.check_reachable(ip, spot, self.report),
            }
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => {
                    let what = format!("is one real server more than tables.reals = {}", self.tables.reals);
                    self.report.problem(spot, what, "raise tables.reals");
                }
            }
            reals.push(Real { address: address.value, weight });
        }
        reals
    }
}
