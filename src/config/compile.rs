//! From the model to what a worker may know: [`Snapshot`].
//!
//! Ids are given here and stay stable over reloads: a connection refers to its server by [`RealId`] for as long as it
//! lives, also after the server is gone from the file. An id is used again only after every worker runs without it
//! and no shard refers to it, and only when there is no fresh one.

mod convert;
mod difference;
mod network;

pub use convert::{Fixed, Hop, fixed, hops, key_of, limits, service_key, socket};

use super::{self as model, Model};
use convert::{hop, on_removed, parts, settings, timeouts};
use difference::{Hops, differing, same_but_services};
use gatun_engine::addr::{Addr, Be16, EndpointId, IfaceId, LipId, Mac, Proto, RealId, ServiceId};
use gatun_engine::conn::state::Timeouts;
use gatun_engine::neighbor::Neighbors;
use gatun_engine::sched::Scheduler;
use gatun_engine::snapshot::{
    Local, LocalKind, LocalMap, OnRemoved, Pool, Real, RealState, Routes, Service, ServiceMap, Snapshot, VipKey,
};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Why a model can not be made into a snapshot.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CompileError {
    /// A table of ids is full.
    #[error("there are {wanted} {what}, and room for {room}: {remedy}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many the file has.
        wanted: usize,
        /// How many there can be.
        room: usize,
        /// What to do.
        remedy: &'static str,
    },
}

/// What a service is found by: protocol, VIP and port.
pub type ServiceKey = VipKey;
type RealKey = (ServiceKey, Addr, Be16);

/// Sets of timeouts: a connection has a byte for the number of its own.
const PROFILES: usize = 256;
/// Local addresses of a run: their ids have 16 bits.
pub const LIPS: usize = 1 << 16;

#[derive(Clone, Copy)]
struct RealSeat {
    id: RealId,
    /// The first generation without it.
    removed: Option<u64>,
}

/// What the shards say of a moment.
pub struct Shards<'a> {
    /// The generation that every worker runs, or a later one.
    pub generation: u64,
    /// Whether any shard has a connection to a server.
    pub in_use: &'a dyn Fn(RealId) -> bool,
}

impl Shards<'_> {
    /// No worker runs yet.
    pub const NONE: Shards<'static> = Shards { generation: 0, in_use: &|_| false };

    fn keep(&self, seat: &RealSeat) -> bool {
        seat.removed.is_none_or(|at| at > self.generation) || (self.in_use)(seat.id)
    }
}

/// Gives ids and remembers them from one model to the next.
///
/// Where only services differ, the work is that of the services that do: models share what stays the same, which is told by
/// its address. What is left of all of them is a copy of the tables, without a look at any service.
pub struct Compiler {
    neighbors: Arc<Neighbors>,
    macs: Vec<Mac>,
    room: usize,
    generation: u64,
    version: u32,
    /// The model of the last snapshot.
    model: Option<Arc<Model>>,
    /// Of that model.
    pools: Vec<[Arc<Pool>; 2]>,
    locals: LocalMap,
    routes: Routes,
    services: ServiceMap,
    /// How many services a VIP has.
    vips: HashMap<Addr, usize>,
    /// By id.
    states: Vec<RealState>,
    hops: Hops,
    free_services: Vec<ServiceId>,
    fresh_service: u32,
    reals: HashMap<RealKey, RealSeat>,
    /// Those that the model no longer has.
    removed: HashSet<RealKey>,
    free_reals: Vec<RealId>,
    endpoints: HashMap<(Proto, Addr, Be16), EndpointId>,
    lips: HashMap<Addr, LipId>,
    profiles: Vec<Timeouts>,
}

impl Compiler {
    /// `macs` by port; `room` real servers at most.
    pub fn new(neighbors: Arc<Neighbors>, macs: Vec<Mac>, room: usize) -> Compiler {
        Compiler {
            neighbors,
            macs,
            room,
            generation: 0,
            version: 0,
            model: None,
            pools: Vec::new(),
            locals: LocalMap::default(),
            routes: Routes::default(),
            services: ServiceMap::default(),
            vips: HashMap::new(),
            // Seat 0 is nobody's: statistics of ids out of bounds go there.
            states: vec![RealState::Absent],
            hops: Hops::default(),
            free_services: Vec::new(),
            fresh_service: 0,
            reals: HashMap::new(),
            removed: HashSet::new(),
            free_reals: Vec::new(),
            endpoints: HashMap::new(),
            lips: HashMap::new(),
            profiles: Vec::new(),
        }
    }

    /// The next snapshot is of the generation behind this one.
    pub fn continue_from(&mut self, generation: u64) {
        self.generation = generation;
    }

    /// The next snapshot.
    pub fn compile(&mut self, model: &Arc<Model>, shards: &Shards<'_>) -> Result<Snapshot, CompileError> {
        let before = self.model.clone();
        let only_services = before.as_ref().is_some_and(|before| same_but_services(before, model));
        let old = before.as_ref().map_or(&[][..], |before| &before.services);
        let (gone, come) = if only_services {
            differing(old, &model.services)
        } else {
            (old.iter().collect(), model.services.iter().collect())
        };
        self.check(model, &gone, &come, shards)?;
        if only_services {
            self.leave(model, &gone);
        } else {
            self.globals(model)?;
        }
        self.generation += 1;
        self.retire(&gone, &come, shards);
        for service in come {
            self.service(model, service);
        }
        self.model = Some(model.clone());
        Ok(Snapshot {
            generation: self.generation,
            ifaces: self.ifaces(model),
            locals: self.locals.clone(),
            services: self.services.clone(),
            reals: self.states.clone(),
            routes: self.routes.clone(),
            profiles: self.profiles.clone(),
            settings: settings(model),
        })
    }

    /// The next hops that the model needs, when they are others than when this was asked last, or static ones may be.
    pub fn changed_hops(&mut self) -> Option<Vec<Hop>> {
        self.hops.changed()
    }

    /// Everything that can fail for want of room, before anything is changed.
    fn check(
        &self,
        model: &Model,
        gone: &[&Arc<model::Service>],
        come: &[&Arc<model::Service>],
        shards: &Shards<'_>,
    ) -> Result<(), CompileError> {
        let wanted: HashSet<RealKey> = real_keys(come).collect();
        let kept = self.removed.iter().filter(|key| !wanted.contains(*key));
        let kept = kept.filter(|key| self.reals.get(*key).is_some_and(|seat| shards.keep(seat))).count();
        // Those that go now are kept for as long as a worker runs with them.
        let going = real_keys(gone).filter(|key| !wanted.contains(key)).count();
        let present = |services: &[&Arc<model::Service>]| services.iter().map(|s| s.reals.len()).sum::<usize>();
        let stay = self.reals.len() - self.removed.len() - present(gone);
        let reals = kept + going + stay + present(come);
        let rule = |what, wanted, room, remedy| {
            if wanted > room { Err(CompileError::TooMany { what, wanted, room, remedy }) } else { Ok(()) }
        };
        let remedy = "raise tables.reals and restart gatun, or wait until the connections to removed servers end";
        rule("real servers", reals, self.room.saturating_sub(1), remedy)?;
        let remedy = "raise tables.reals, which is the room for services too, and restart gatun";
        rule("services", model.services.len(), self.room, remedy)?;
        let mut profiles: Vec<_> = come.iter().map(|s| timeouts(&s.timeouts)).collect();
        profiles.push(timeouts(&model.timeouts));
        profiles.sort_unstable();
        profiles.dedup();
        profiles.retain(|p| !self.profiles.contains(p));
        let remedy = "give services the same timeouts, or restart gatun if many were tried one after the other";
        rule("different sets of timeouts", self.profiles.len() + profiles.len(), PROFILES, remedy)?;
        let addresses = model.laddr_pools.iter().flat_map(|pool| &pool.addresses);
        let new = addresses.filter(|address| !self.lips.contains_key(&Addr::from(**address))).count();
        let remedy = "take addresses out of the pools, and restart gatun if many were tried one after the other";
        rule("local addresses", self.lips.len() + new, LIPS, remedy)?;
        let new: HashSet<Hop> = come.iter().flat_map(|s| on_link(model, s)).collect();
        let hops = self.hops.len() + new.iter().filter(|hop| !self.hops.contains(hop)).count();
        let remedy = "raise tables.neighbors and restart gatun, or reach the servers over routers";
        rule("next hops", hops, self.neighbors.capacity(), remedy)
    }

    /// Takes the addresses and next hops of services out.
    fn leave(&mut self, model: &Model, gone: &[&Arc<model::Service>]) {
        for service in gone {
            let vip = Addr::from(service.address.ip());
            if let Some(count) = self.vips.get_mut(&vip) {
                *count -= 1;
                if *count == 0 {
                    self.vips.remove(&vip);
                    self.locals.remove(&vip);
                }
            }
            on_link(model, service).for_each(|hop| self.hops.remove(hop));
        }
    }

    /// Marks the servers that the model no longer has, and frees the ids of those that nobody refers to.
    fn retire(&mut self, gone: &[&Arc<model::Service>], come: &[&Arc<model::Service>], shards: &Shards<'_>) {
        let wanted: HashSet<RealKey> = real_keys(come).collect();
        let there: HashMap<ServiceKey, &model::Service> = come.iter().map(|s| (service_key(s), &***s)).collect();
        for service in gone {
            let key = service_key(service);
            let state = removed_state(there.get(&key).copied().unwrap_or(service));
            for real in real_keys(&[*service]).filter(|real| !wanted.contains(real)) {
                let Some(seat) = self.reals.get_mut(&real) else { continue };
                seat.removed = Some(self.generation);
                self.states[seat.id.index()] = state;
                self.removed.insert(real);
            }
            if !there.contains_key(&key)
                && let Some(service) = self.services.remove(&key)
            {
                self.free_services.push(service.id);
            }
        }
        let (reals, states, free) = (&mut self.reals, &mut self.states, &mut self.free_reals);
        self.removed.retain(|key| {
            let Some(seat) = reals.get(key).copied().filter(|_| !wanted.contains(key)) else { return false };
            if let Some(service) = there.get(&key.0) {
                states[seat.id.index()] = removed_state(service);
            }
            let keep = shards.keep(&seat);
            if !keep {
                free.push(seat.id);
                states[seat.id.index()] = RealState::Absent;
                reals.remove(key);
            }
            keep
        });
    }

    fn service(&mut self, model: &Model, s: &model::Service) {
        let key = service_key(s);
        let (proto, vip, vport) = parts(&s.id());
        *self.vips.entry(vip).or_default() += 1;
        self.locals.insert(vip, Local { kind: LocalKind::Vip, iface: link(model, s.address.ip()) });
        on_link(model, s).for_each(|hop| self.hops.add(hop));
        let before = self.services.get(&key).cloned();
        let id = before.as_ref().map(|s| s.id).or_else(|| self.free_services.pop()).unwrap_or_else(|| {
            self.fresh_service += 1;
            ServiceId(self.fresh_service - 1)
        });
        // LVS lists the newest first: the file is read as if its servers were added one by one.
        let mut reals: Vec<Real> = s.reals.iter().map(|r| self.real(key, proto, r)).collect();
        reals.reverse();
        let profile = self.profile(timeouts(&s.timeouts));
        let mut service = Service {
            id,
            proto,
            vip,
            vport,
            scheduler: Scheduler::from_name(&s.scheduler.to_string()).unwrap_or(Scheduler::Wlc),
            version: self.version,
            reals,
            pools: self.pools.get(s.laddr_pool.0).cloned().unwrap_or_default(),
            profile,
            mss_clamp: s.mss_clamp,
            on_removed: on_removed(s.on_server_removed),
        };
        if let Some(before) = before {
            service.version = before.version;
            if service == *before {
                return;
            }
            if service.reals != before.reals || service.scheduler != before.scheduler {
                self.version += 1;
                service.version = self.version;
            }
        } else {
            self.version += 1;
            service.version = self.version;
        }
        self.services.insert(key, Arc::new(service));
    }

    /// There is an id: how many are wanted was checked.
    fn real(&mut self, service: ServiceKey, proto: Proto, r: &model::Real) -> Real {
        let (addr, port) = (Addr::from(r.address.ip()), Be16::new(r.address.port()));
        let seat = self.reals.entry((service, addr, port)).or_insert_with(|| {
            let id = if self.states.len() < self.room {
                self.states.push(RealState::Absent);
                RealId(self.states.len() as u32 - 1)
            } else {
                self.free_reals.pop().unwrap_or_default()
            };
            RealSeat { id, removed: None }
        });
        seat.removed = None;
        self.states[seat.id.index()] = RealState::Present;
        let next = EndpointId(self.endpoints.len() as u32);
        let endpoint = *self.endpoints.entry((proto, addr, port)).or_insert(next);
        Real { id: seat.id, endpoint, addr, port, weight: u32::from(r.weight) }
    }

    fn profile(&mut self, t: Timeouts) -> u8 {
        let seat = self.profiles.iter().position(|p| *p == t).unwrap_or_else(|| {
            self.profiles.push(t);
            self.profiles.len() - 1
        });
        seat as u8
    }
}

/// The servers of services, as the compiler knows them.
fn real_keys(services: &[&Arc<model::Service>]) -> impl Iterator<Item = RealKey> {
    services.iter().flat_map(|s| {
        let key = service_key(s);
        s.reals.iter().map(move |r| (key, Addr::from(r.address.ip()), Be16::new(r.address.port())))
    })
}

/// The servers of a service that are their own next hops.
fn on_link(model: &Model, service: &model::Service) -> impl Iterator<Item = Hop> {
    let ips = service.reals.iter().map(|r| r.address.ip());
    ips.filter_map(|ip| model.route_to(ip).filter(|(_, hop)| *hop == ip)).map(hop)
}

/// The interface that answers for an address of ours.
fn link(model: &Model, address: IpAddr) -> Option<IfaceId> {
    model.connected(address).map(|i| IfaceId(i.0 as u8))
}

fn removed_state(service: &model::Service) -> RealState {
    match on_removed(service.on_server_removed) {
        OnRemoved::Silent => RealState::RemovedSilent,
        OnRemoved::Reset => RealState::RemovedReset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatun_engine::snapshot::RealState::{Absent, Present, RemovedReset, RemovedSilent};

    use proptest::prelude::*;

    const FILE: &str = include_str!("../../conf/demo.toml");

    fn compiler() -> Compiler {
        Compiler::new(Arc::new(Neighbors::new(1_024)), vec![Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2])], 1_024)
    }

    fn model(edit: impl Fn(&str) -> String) -> Arc<Model> {
        Arc::new(crate::config::parse(&edit(FILE), "test.toml").unwrap())
    }

    fn web(s: &Snapshot) -> &Service {
        s.services.values().find(|s| s.proto == Proto::Tcp && s.vip.v4().is_some()).unwrap()
    }

    fn without_rs2(text: &str) -> String {
        text.replacen("    { address = \"198.18.2.12:80\" },\n", "", 1)
    }

    #[test]
    fn servers_stand_in_the_order_of_lvs_the_newest_first() {
        let s = compiler().compile(&model(str::to_owned), &Shards::NONE).unwrap();
        let addrs: Vec<_> = web(&s).reals.iter().map(|r| socket(r.addr, r.port).to_string()).collect();
        assert_eq!(addrs, ["198.18.2.12:80", "198.18.2.11:80"]);
        assert_eq!(s.generation, 1);
        assert!(web(&s).reals.iter().all(|r| s.real(r.id) == Present));
    }

    #[test]
    fn a_server_takes_local_addresses_of_its_own_family_whatever_its_vip_is() {
        let s = compiler().compile(&model(str::to_owned), &Shards::NONE).unwrap();
        let service = s.services.values().find(|s| s.proto == Proto::Tcp && s.vip.v6().is_some()).unwrap();
        let mut lips: Vec<_> = service
            .reals
            .iter()
            .map(|real| (real.addr.to_string(), service.pool(real).lips().iter().map(|l| l.addr.to_string()).collect()))
            .collect();
        lips.sort();
        let of = |real: &str, lips: [&str; 2]| (real.to_owned(), lips.map(str::to_owned).to_vec());
        let expected = [
            of("198.18.2.12", ["198.18.2.100", "198.18.2.101"]),
            of("2001:db8:2::11", ["2001:db8:2::100", "2001:db8:2::101"]),
        ];
        assert_eq!(lips, expected);
        let answers = |a: &str| s.local(a.parse::<std::net::IpAddr>().unwrap()).and_then(|l| l.iface);
        for (address, iface) in [("2001:db8:1::100", 0), ("2001:db8:1::fe", 0), ("2001:db8:2::101", 1)] {
            assert_eq!(answers(address), Some(IfaceId(iface)), "{address}");
        }
        // One server is one endpoint, for services of either family.
        let rs2 = |vip_is_ipv4: bool| {
            let mut services =
                s.services.values().filter(|s| s.proto == Proto::Tcp && s.vip.v4().is_some() == vip_is_ipv4);
            let reals = &services.next().unwrap().reals;
            reals.iter().find(|r| r.addr.to_string() == "198.18.2.12").map(|r| (r.endpoint, r.id)).unwrap()
        };
        assert_eq!(rs2(true).0, rs2(false).0);
        assert_ne!(rs2(true).1, rs2(false).1);
    }

    #[test]
    fn ids_stay_over_a_reload_and_an_unchanged_service_is_shared() {
        let mut c = compiler();
        let a = c.compile(&model(str::to_owned), &Shards::NONE).unwrap();
        let b = c.compile(&model(str::to_owned), &Shards::NONE).unwrap();
        assert_eq!(b.generation, 2);
        for (key, service) in a.services.iter() {
            assert!(b.services.get(&key).is_some_and(|b| Arc::ptr_eq(service, b)));
        }
    }

    #[test]
    fn a_removed_server_keeps_its_id_until_nobody_refers_to_it_and_comes_back_with_it() {
        let mut c = compiler();
        let first = c.compile(&model(str::to_owned), &Shards::NONE).unwrap();
        let rs2 = web(&first).reals[0].id;
        let used = |id| id == rs2;
        let removed = c.compile(&model(without_rs2), &Shards { generation: 1, in_use: &used }).unwrap();
        assert_eq!(removed.real(rs2), RemovedReset);
        assert_ne!(web(&removed).version, web(&first).version);
        // Every worker runs without it, but a connection is left: it stays.
        let kept = c.compile(&model(without_rs2), &Shards { generation: 2, in_use: &used }).unwrap();
        assert_eq!(kept.real(rs2), RemovedReset);
        let back = c.compile(&model(str::to_owned), &Shards { generation: 3, in_use: &used }).unwrap();
        assert_eq!((web(&back).reals[0].id, back.real(rs2)), (rs2, Present));
        // Gone for good once nobody refers to it.
        c.compile(&model(without_rs2), &Shards { generation: 4, in_use: &|_| false }).unwrap();
        let gone = c.compile(&model(without_rs2), &Shards { generation: 5, in_use: &|_| false }).unwrap();
        assert_eq!(gone.real(rs2), Absent);
    }

    #[test]
    fn a_silent_service_says_so_of_its_removed_servers() {
        let silent = |t: &str| t.replace("scheduler = \"rr\"", "scheduler = \"rr\"\non_server_removed = \"silent\"");
        let mut c = compiler();
        let first = c.compile(&model(silent), &Shards::NONE).unwrap();
        let rs2 = web(&first).reals[0].id;
        let removed =
            c.compile(&model(|t| silent(&without_rs2(t))), &Shards { generation: 1, in_use: &|_| true }).unwrap();
        assert_eq!(removed.real(rs2), RemovedSilent);
    }

    #[test]
    fn too_many_servers_are_refused_with_a_remedy_and_nothing_changes() {
        let mut c = Compiler::new(Arc::new(Neighbors::new(64)), vec![Mac::default(); 2], 8);
        let err = c.compile(&model(str::to_owned), &Shards::NONE).unwrap_err();
        assert_eq!(
            err.to_string(),
            "there are 8 real servers, and room for 7: raise tables.reals and restart gatun, or wait until the connections to removed servers end"
        );
        let mut other = c.compile(&model(without_rs2), &Shards::NONE).unwrap();
        assert_eq!(std::mem::take(&mut other.generation), 1);
    }

    #[test]
    fn more_servers_on_link_than_there_are_seats_for_neighbours_are_refused_with_a_remedy() {
        let mut c = Compiler::new(Arc::new(Neighbors::new(64)), vec![Mac::default(); 2], 1_024);
        let mut many = Model::clone(&model(str::to_owned));
        let server = |n| model::Real { address: ([198, 18, 2, n], 80).into(), weight: 1 };
        Arc::make_mut(&mut many.services[0]).reals = (1..100).map(server).collect();
        let err = c.compile(&Arc::new(many), &Shards::NONE).unwrap_err();
        let remedy =
            "next hops, and room for 64: raise tables.neighbors and restart gatun, or reach the servers over routers";
        assert!(err.to_string().ends_with(remedy), "{err}");
    }

    #[test]
    fn what_a_small_change_leaves_alone_is_not_touched() {
        let mut c = compiler();
        let first = model(str::to_owned);
        let a = c.compile(&first, &Shards::NONE).unwrap();
        assert!(c.changed_hops().is_some() && c.changed_hops().is_none());
        let mut second = Model::clone(&first);
        let web = Arc::make_mut(&mut second.services[0]);
        web.reals[0].weight = 9;
        let b = c.compile(&Arc::new(second), &Shards::NONE).unwrap();
        let same = |(key, service)| b.services.get(&key).is_some_and(|b| Arc::ptr_eq(service, b));
        assert_eq!(
            (a.services.iter().filter(|service| !same(*service)).count(), b.services.len()),
            (1, a.services.len())
        );
        assert_eq!((&a.locals, &a.reals), (&b.locals, &b.reals));
        assert_eq!(c.changed_hops(), None, "the next hops are those of before");
    }

    /// Some services of six, with some servers, by their numbers.
    fn some_services() -> impl Strategy<Value = Vec<(usize, Vec<u8>, u16)>> {
        let reals = prop::collection::btree_set(0..4u8, 0..3).prop_map(|set| set.into_iter().collect());
        prop::collection::btree_map(0..6usize, (reals, 0..2u16), 0..6)
            .prop_map(|map| map.into_iter().map(|(n, (reals, weight))| (n, reals, weight)).collect())
    }

    fn service(base: &model::Service, (n, reals, weight): &(usize, Vec<u8>, u16)) -> model::Service {
        // Two services share a VIP; some servers are on our link, some behind a router.
        let ips = |r: u8| if r < 2 { [198, 18, 2, 11 + r] } else { [192, 0, 2, r] };
        let reals = reals.iter().map(|r| model::Real { address: (ips(*r), 80).into(), weight: *weight }).collect();
        let address = ([198, 18, 1, 100 + *n as u8 / 2], 80 + *n as u16).into();
        let silent = if *weight == 0 { model::OnServerRemoved::Silent } else { model::OnServerRemoved::Reset };
        model::Service { name: format!("{n}"), address, reals, on_server_removed: silent, ..base.clone() }
    }

    proptest! {
        /// The one compiler is told by sharing what stays the same, the other has to find out.
        #[test]
        fn a_change_of_services_makes_the_snapshot_that_all_of_them_anew_would_make(
            steps in prop::collection::vec((some_services(), any::<bool>()), 1..8)
        ) {
            let base = model(str::to_owned);
            let (mut quick, mut whole) = (compiler(), compiler());
            let mut before: Vec<Arc<model::Service>> = Vec::new();
            for (generation, (step, used)) in steps.into_iter().enumerate() {
                let services = step.iter().map(|s| service(&base.services[0], s));
                let shared = services.map(|s| before.iter().find(|b| ***b == s).cloned().unwrap_or(Arc::new(s)));
                before = shared.collect();
                let shared = Arc::new(Model { services: before.clone(), ..Model::clone(&base) });
                let anew = before.iter().map(|s| Arc::new(model::Service::clone(s))).collect();
                let anew = Arc::new(Model { services: anew, ..Model::clone(&base) });
                let in_use = |id: RealId| used && id.0.is_multiple_of(2);
                let shards = Shards { generation: generation as u64, in_use: &in_use };
                let (a, b) = (quick.compile(&shared, &shards).unwrap(), whole.compile(&anew, &shards).unwrap());
                prop_assert_eq!((&a.locals, &a.reals, &a.profiles), (&b.locals, &b.reals, &b.profiles));
                prop_assert_eq!(&a.services, &b.services);
                let mut hops = hops(&shared).0;
                hops.sort();
                if let Some(now) = quick.changed_hops() {
                    prop_assert_eq!(now, hops.clone());
                }
                prop_assert_eq!(quick.hops.len(), hops.len());
            }
        }
    }
}
