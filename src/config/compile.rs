//! From the model to what a worker may know: [`Snapshot`].
//!
//! Ids are given here and stay stable over reloads: a connection refers to its server by [`RealId`] for as long as it
//! lives, also after the server is gone from the file. An id is used again only after every worker runs without it
//! and no shard refers to it, and only when there is no fresh one.

mod convert;

pub use convert::{Fixed, Hop, hops, key_of, limits, service_key, socket};

use super::{self as model, Model};
use convert::{on_removed, own_addresses, settings, timeouts, wanted_reals};
use gatun_engine::addr::{Addr, Be16, EndpointId, IfaceId, LipId, Mac, NeighborId, PortId, Proto, RealId, ServiceId};
use gatun_engine::conn::state::Timeouts;
use gatun_engine::neighbor::Neighbors;
use gatun_engine::sched::Scheduler;
use gatun_engine::snapshot::{
    Iface, Lip, Local, LocalKind, LocalMap, OnRemoved, Pool, Real, RealState, Route, RouteTo, Routes, Service,
    ServiceMap, Snapshot, VipKey,
};
use std::collections::{HashMap, HashSet};
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
pub type ServiceKey = (Proto, Addr, Be16);
type RealKey = (ServiceKey, Addr, Be16);

#[derive(Clone, Copy)]
struct RealSeat {
    id: RealId,
    state: RealState,
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
pub struct Compiler {
    neighbors: Arc<Neighbors>,
    macs: Vec<Mac>,
    room: usize,
    generation: u64,
    version: u32,
    services: HashMap<ServiceKey, Arc<Service>>,
    free_services: Vec<ServiceId>,
    fresh_service: u32,
    reals: HashMap<RealKey, RealSeat>,
    free_reals: Vec<RealId>,
    fresh_real: u32,
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
            services: HashMap::new(),
            free_services: Vec::new(),
            fresh_service: 0,
            reals: HashMap::new(),
            free_reals: Vec::new(),
            // Seat 0 is nobody's: statistics of ids out of bounds go there.
            fresh_real: 1,
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
    pub fn compile(&mut self, model: &Model, shards: &Shards<'_>) -> Result<Snapshot, CompileError> {
        self.check(model, shards)?;
        self.generation += 1;
        let default = timeouts(&model.timeouts);
        match self.profiles.first_mut() {
            Some(first) => *first = default,
            None => self.profiles.push(default),
        }
        let ifaces = self.ifaces(model);
        let mut locals = own_addresses(model);
        let pools = self.pools(model, &mut locals);
        self.retire(model, shards);
        let mut services = ServiceMap::default();
        for s in &model.services {
            let service = self.service(s, &pools)?;
            let iface = model.interface_of(s.address.ip()).map(|i| IfaceId(i.0 as u8));
            locals.insert(service.vip, Local { kind: LocalKind::Vip, iface });
            services.insert(VipKey::new(service.proto, service.vip, service.vport), service);
        }
        let mut reals = vec![RealState::Absent; self.fresh_real as usize];
        for seat in self.reals.values() {
            reals[seat.id.index()] = seat.state;
        }
        Ok(Snapshot {
            generation: self.generation,
            ifaces,
            locals,
            services,
            reals,
            routes: self.routes(model)?,
            profiles: self.profiles.clone(),
            settings: settings(model),
        })
    }

    /// Everything that can fail for want of room, before anything is changed.
    fn check(&mut self, model: &Model, shards: &Shards<'_>) -> Result<(), CompileError> {
        let present = wanted_reals(model);
        let kept = self.reals.iter().filter(|(key, seat)| !present.contains(*key) && shards.keep(seat)).count();
        let wanted = model.services.iter().map(|s| s.reals.len()).sum::<usize>();
        let remedy = "raise tables.reals and restart gatun, or wait until the connections to removed servers end";
        if kept + wanted >= self.room {
            return Err(CompileError::TooMany {
                what: "real servers",
                wanted: kept + wanted,
                room: self.room - 1,
                remedy,
            });
        }
        let services = model.services.len();
        if services > self.room {
            let remedy = "raise tables.reals, which is the room for services too, and restart gatun";
            return Err(CompileError::TooMany { what: "services", wanted: services, room: self.room, remedy });
        }
        let mut profiles: Vec<_> = model.services.iter().map(|s| timeouts(&s.timeouts)).collect();
        profiles.sort_by_key(|t| t.0.map(|t| t.0));
        profiles.dedup();
        profiles.retain(|p| !self.profiles.contains(p));
        let (wanted, room) = (self.profiles.len() + profiles.len() + 1, 256);
        let remedy = "give services the same timeouts, or restart gatun if many were tried one after the other";
        if wanted > room {
            return Err(CompileError::TooMany { what: "different sets of timeouts", wanted, room, remedy });
        }
        Ok(())
    }

    fn ifaces(&self, model: &Model) -> Vec<Iface> {
        let iface = |i: &model::Interface| {
            let port = &model.ports[i.port.0];
            Iface {
                port: PortId(i.port.0 as u8),
                vlan: i.vlan.unwrap_or(0),
                mac: self.macs.get(i.port.0).copied().unwrap_or_default(),
                mtu: port.mtu,
                addrs: i.addresses.iter().map(|a| (a.addr().into(), a.prefix_len())).collect(),
            }
        };
        model.interfaces.iter().map(iface).collect()
    }

    fn pools(&mut self, model: &Model, locals: &mut LocalMap) -> Vec<[Arc<Pool>; 2]> {
        let mut pools = Vec::new();
        for pool in &model.laddr_pools {
            let mut lips = [Vec::new(), Vec::new()];
            for address in &pool.addresses {
                let addr = Addr::from(*address);
                let next = LipId(self.lips.len() as u16);
                let id = *self.lips.entry(addr).or_insert(next);
                let iface = model.interface_of(*address).map(|i| IfaceId(i.0 as u8));
                locals.insert(addr, Local { kind: LocalKind::Lip(id), iface });
                lips[addr.family() as usize].push(Lip { id, addr });
            }
            pools.push(lips.map(|lips| Arc::new(Pool::new(lips))));
        }
        pools
    }

    /// Marks the servers that the model no longer has, and frees the ids of those that nobody refers to.
    fn retire(&mut self, model: &Model, shards: &Shards<'_>) {
        let wanted = wanted_reals(model);
        let silent: HashMap<ServiceKey, OnRemoved> = self
            .services
            .values()
            .map(|s| ((s.proto, s.vip, s.vport), s.on_removed))
            .chain(model.services.iter().map(|s| (service_key(s), on_removed(s.on_server_removed))))
            .collect();
        let generation = self.generation;
        let free = &mut self.free_reals;
        self.reals.retain(|key, seat| {
            if wanted.contains(key) {
                return true;
            }
            seat.state = match silent.get(&key.0) {
                Some(OnRemoved::Silent) => RealState::RemovedSilent,
                Some(OnRemoved::Reset) | None => RealState::RemovedReset,
            };
            seat.removed = seat.removed.or(Some(generation));
            let keep = shards.keep(seat);
            if !keep {
                free.push(seat.id);
            }
            keep
        });
        let there: HashSet<_> = model.services.iter().map(service_key).collect();
        let free = &mut self.free_services;
        self.services.retain(|key, service| {
            let stays = there.contains(key);
            if !stays {
                free.push(service.id);
            }
            stays
        });
    }

    fn service(&mut self, s: &model::Service, pools: &[[Arc<Pool>; 2]]) -> Result<Arc<Service>, CompileError> {
        let key = service_key(s);
        let (proto, vip, vport) = key;
        let before = self.services.get(&key).cloned();
        let id = before.as_ref().map(|s| s.id).or_else(|| self.free_services.pop()).unwrap_or_else(|| {
            self.fresh_service += 1;
            ServiceId(self.fresh_service - 1)
        });
        let mut reals = Vec::new();
        for r in &s.reals {
            reals.push(self.real(key, r)?);
        }
        // LVS lists the newest first: the file is read as if its servers were added one by one.
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
            pools: pools.get(s.laddr_pool.0).cloned().unwrap_or_default(),
            profile,
            mss_clamp: s.mss_clamp,
            on_removed: on_removed(s.on_server_removed),
        };
        if let Some(before) = before {
            service.version = before.version;
            if service == *before {
                return Ok(before);
            }
            if service.reals != before.reals || service.scheduler != before.scheduler {
                self.version += 1;
                service.version = self.version;
            }
        } else {
            self.version += 1;
            service.version = self.version;
        }
        let service = Arc::new(service);
        self.services.insert(key, service.clone());
        Ok(service)
    }

    fn real(&mut self, service: ServiceKey, r: &model::Real) -> Result<Real, CompileError> {
        let (addr, port) = (Addr::from(r.address.ip()), Be16::new(r.address.port()));
        let seat = self.reals.entry((service, addr, port)).or_insert_with(|| {
            let fresh = (self.fresh_real as usize) < self.room;
            let id = if fresh { RealId(self.fresh_real) } else { self.free_reals.pop().unwrap_or_default() };
            self.fresh_real += u32::from(fresh);
            RealSeat { id, state: RealState::Present, removed: None }
        });
        (seat.state, seat.removed) = (RealState::Present, None);
        let next = EndpointId(self.endpoints.len() as u32);
        let endpoint = *self.endpoints.entry((service.0, addr, port)).or_insert(next);
        Ok(Real { id: seat.id, endpoint, addr, port, weight: u32::from(r.weight) })
    }

    fn profile(&mut self, t: Timeouts) -> u8 {
        let seat = self.profiles.iter().position(|p| *p == t).unwrap_or_else(|| {
            self.profiles.push(t);
            self.profiles.len() - 1
        });
        seat as u8
    }

    fn routes(&self, model: &Model) -> Result<Routes, CompileError> {
        let mut routes = Vec::new();
        for (i, iface) in model.interfaces.iter().enumerate() {
            for net in &iface.addresses {
                let to = RouteTo::OnLink(IfaceId(i as u8));
                routes.push(Route { prefix: net.addr().into(), len: net.prefix_len(), to });
            }
        }
        for r in &model.routes {
            let hop = self.hop(IfaceId(r.interface.0 as u8), r.via.into())?;
            routes.push(Route { prefix: r.to.addr().into(), len: r.to.prefix_len(), to: RouteTo::Via(hop) });
        }
        Ok(Routes::new(&routes))
    }

    fn hop(&self, iface: IfaceId, addr: Addr) -> Result<NeighborId, CompileError> {
        let full = CompileError::TooMany {
            what: "neighbours",
            wanted: self.neighbors.claimed().count() + 1,
            room: self.neighbors.claimed().count(),
            remedy: "raise tables.neighbors and restart gatun",
        };
        self.neighbors.claim(iface, addr).ok_or(full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatun_engine::snapshot::RealState::{Absent, Present, RemovedReset, RemovedSilent};

    const FILE: &str = include_str!("../../conf/demo.toml");

    fn compiler() -> Compiler {
        Compiler::new(Arc::new(Neighbors::new(1_024)), vec![Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2])], 1_024)
    }

    fn model(edit: impl Fn(&str) -> String) -> Model {
        crate::config::parse(&edit(FILE), "test.toml").unwrap()
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
        for (key, service) in &a.services {
            assert!(Arc::ptr_eq(service, &b.services[key]));
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
}
