//! From the model to what a worker may know: [`Snapshot`].
//!
//! Ids are given here and stay stable over reloads: a connection refers to its server by [`RealId`] for as long as it
//! lives, also after the server is gone from the file. An id is used again only after every worker runs without it
//! and no shard refers to it, and only when there is no fresh one.

use super::{self as model, Model, OnServerRemoved, Protocol};
use gatun_engine::addr::{Be16, Be32, EndpointId, IfaceId, LipId, Mac, NeighborId, PortId, Proto, RealId, ServiceId};
use gatun_engine::conn::state::{State, Timeouts};
use gatun_engine::lcore::{DEFAULT_LIMITS, Limit, Limits};
use gatun_engine::neighbor::Neighbors;
use gatun_engine::sched::Scheduler;
use gatun_engine::snapshot::{
    Iface, Lip, Local, LocalKind, OnRemoved, Pool, Real, RealState, Route, RouteTo, Routes, Service, Settings,
    Snapshot, SynTimestamps,
};
use gatun_engine::verdict::PuntReason;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
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
    /// IPv6 got this far.
    #[error("{0} is an IPv6 address, which is not supported yet: use IPv4")]
    Ipv6(IpAddr),
}

type ServiceKey = (Proto, Be32, Be16);
type RealKey = (ServiceKey, Be32, Be16);

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
    services: BTreeMap<(u8, u32, u16), (ServiceId, Option<Arc<Service>>)>,
    reals: HashMap<RealKey, RealSeat>,
    free_reals: Vec<RealId>,
    fresh_real: u32,
    endpoints: HashMap<(Proto, Be32, Be16), EndpointId>,
    lips: HashMap<Be32, LipId>,
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
            services: BTreeMap::new(),
            reals: HashMap::new(),
            free_reals: Vec::new(),
            // Seat 0 is nobody's: statistics of ids out of bounds go there.
            fresh_real: 1,
            endpoints: HashMap::new(),
            lips: HashMap::new(),
            profiles: Vec::new(),
        }
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
        let ifaces = self.ifaces(model)?;
        let mut locals = own_addresses(model)?;
        let pools = self.pools(model, &mut locals)?;
        self.retire(model, shards);
        let mut services = gatun_engine::snapshot::ServiceMap::default();
        for s in &model.services {
            let service = self.service(s, &pools)?;
            let iface = model.interface_of(s.address.ip()).map(|i| IfaceId(i.0 as u8));
            locals.insert(service.vip, Local { kind: LocalKind::Vip, iface });
            services.insert((service.proto, service.vip, service.vport), service);
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

    fn ifaces(&self, model: &Model) -> Result<Vec<Iface>, CompileError> {
        let iface = |i: &model::Interface| {
            let port = &model.ports[i.port.0];
            let addrs: Result<Vec<_>, _> = i.addresses.iter().map(|a| Ok((v4(a.addr())?, a.prefix_len()))).collect();
            Ok(Iface {
                port: PortId(i.port.0 as u8),
                vlan: i.vlan.unwrap_or(0),
                mac: self.macs.get(i.port.0).copied().unwrap_or_default(),
                mtu: port.mtu,
                addrs: addrs?,
            })
        };
        model.interfaces.iter().map(iface).collect()
    }

    fn pools(
        &mut self,
        model: &Model,
        locals: &mut gatun_engine::snapshot::LocalMap,
    ) -> Result<Vec<Arc<Pool>>, CompileError> {
        let mut pools = Vec::new();
        for pool in &model.laddr_pools {
            let mut lips = Vec::new();
            for address in &pool.addresses {
                let addr = v4(*address)?;
                let next = LipId(self.lips.len() as u16);
                let id = *self.lips.entry(addr).or_insert(next);
                let iface = model.interface_of(*address).map(|i| IfaceId(i.0 as u8));
                locals.insert(addr, Local { kind: LocalKind::Lip(id), iface });
                lips.push(Lip { id, addr });
            }
            pools.push(Arc::new(Pool { lips }));
        }
        Ok(pools)
    }

    /// Marks the servers that the model no longer has, and frees the ids of those that nobody refers to.
    fn retire(&mut self, model: &Model, shards: &Shards<'_>) {
        let wanted = wanted_reals(model);
        let silent: HashMap<ServiceKey, OnRemoved> = self
            .services
            .values()
            .filter_map(|(_, s)| s.as_ref())
            .map(|s| ((s.proto, s.vip, s.vport), s.on_removed))
            .chain(model.services.iter().filter_map(|s| Some((service_key(s).ok()?, on_removed(s.on_server_removed)))))
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
        for ((proto, vip, vport), (_, service)) in &mut self.services {
            let there = |s: &model::Service| {
                service_key(s).is_ok_and(|k| (k.0 as u8, k.1.host(), k.2.host()) == (*proto, *vip, *vport))
            };
            if !model.services.iter().any(there) {
                *service = None;
            }
        }
    }

    fn service(&mut self, s: &model::Service, pools: &[Arc<Pool>]) -> Result<Arc<Service>, CompileError> {
        let key = service_key(s)?;
        let (proto, vip, vport) = key;
        let next = ServiceId(self.services.len() as u32);
        let slot = (proto as u8, vip.host(), vport.host());
        let (id, before) = self.services.get(&slot).cloned().unwrap_or((next, None));
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
            pool: pools.get(s.laddr_pool.0).cloned().unwrap_or_default(),
            profile,
            mss_clamp: s.mss_clamp,
            on_removed: on_removed(s.on_server_removed),
        };
        if let Some(before) = before {
            service.version = before.version;
            if service == *before {
                self.services.insert(slot, (id, Some(before.clone())));
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
        self.services.insert(slot, (id, Some(service.clone())));
        Ok(service)
    }

    fn real(&mut self, service: ServiceKey, r: &model::Real) -> Result<Real, CompileError> {
        let (addr, port) = (v4(r.address.ip())?, Be16::new(r.address.port()));
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
                routes.push(Route { prefix: v4(net.addr())?, len: net.prefix_len(), to });
            }
        }
        for r in &model.routes {
            let hop = self.hop(IfaceId(r.interface.0 as u8), v4(r.via)?)?;
            routes.push(Route { prefix: v4(r.to.addr())?, len: r.to.prefix_len(), to: RouteTo::Via(hop) });
        }
        Ok(Routes::new(&routes))
    }

    fn hop(&self, iface: IfaceId, addr: Be32) -> Result<NeighborId, CompileError> {
        let full = CompileError::TooMany {
            what: "neighbours",
            wanted: self.neighbors.claimed().count() + 1,
            room: self.neighbors.claimed().count(),
            remedy: "raise tables.neighbors and restart gatun",
        };
        self.neighbors.claim(iface, addr).ok_or(full)
    }
}

/// The next hops that are asked from the start, and the static entries.
pub fn hops(model: &Model) -> (Vec<(IfaceId, Be32)>, Vec<(IfaceId, Be32, Mac)>) {
    let hop = |(i, a): (model::InterfaceId, IpAddr)| Some((IfaceId(i.0 as u8), v4(a).ok()?));
    let fixed = |n: &model::Neighbor| Some((IfaceId(n.interface.0 as u8), v4(n.address).ok()?, Mac(n.mac.0)));
    (model.next_hops().into_iter().filter_map(hop).collect(), model.neighbors.iter().filter_map(fixed).collect())
}

/// The rate limits of the punts.
pub fn limits(model: &Model) -> Limits {
    let mut limits = DEFAULT_LIMITS;
    let l = &model.limits;
    for (reason, limit) in [
        (PuntReason::Echo, l.icmp_echo),
        (PuntReason::TtlExceeded, l.ttl_exceeded),
        (PuntReason::FragNeeded, l.frag_needed),
        (PuntReason::NoService, l.no_service),
        (PuntReason::NoServer, l.no_server),
    ] {
        limits[reason as usize] = Limit { rate: limit.rate, burst: limit.burst };
    }
    limits
}

fn own_addresses(model: &Model) -> Result<gatun_engine::snapshot::LocalMap, CompileError> {
    let mut locals = gatun_engine::snapshot::LocalMap::default();
    for (i, iface) in model.interfaces.iter().enumerate() {
        for net in &iface.addresses {
            let local = Local { kind: LocalKind::Own, iface: Some(IfaceId(i as u8)) };
            locals.insert(v4(net.addr())?, local);
        }
    }
    Ok(locals)
}

fn settings(model: &Model) -> Settings {
    let syn_timestamps = match model.tcp.syn_timestamps {
        model::SynTimestamps::Keep => SynTimestamps::Keep,
        model::SynTimestamps::Hot => SynTimestamps::Hot,
        model::SynTimestamps::Strip => SynTimestamps::Strip,
    };
    Settings { syn_timestamps, raise_sequence: model.tcp.raise_sequence }
}

fn service_key(s: &model::Service) -> Result<ServiceKey, CompileError> {
    let proto = match s.protocol {
        Protocol::Tcp => Proto::Tcp,
        Protocol::Udp => Proto::Udp,
    };
    Ok((proto, v4(s.address.ip())?, Be16::new(s.address.port())))
}

fn wanted_reals(model: &Model) -> HashSet<RealKey> {
    let of = |s: &model::Service| {
        let key = service_key(s).ok();
        s.reals
            .iter()
            .filter_map(move |r| Some((key?, v4(r.address.ip()).ok()?, Be16::new(r.address.port()))))
            .collect::<Vec<_>>()
    };
    model.services.iter().flat_map(of).collect()
}

fn on_removed(o: OnServerRemoved) -> OnRemoved {
    match o {
        OnServerRemoved::Reset => OnRemoved::Reset,
        OnServerRemoved::Silent => OnRemoved::Silent,
    }
}

fn timeouts(t: &model::Timeouts) -> Timeouts {
    let mut out = Timeouts::default();
    for (state, secs) in [
        (State::SynSent, t.syn_sent),
        (State::SynRecv, t.syn_recv),
        (State::SynAck, t.synack),
        (State::Established, t.established),
        (State::FinWait, t.fin_wait),
        (State::CloseWait, t.close_wait),
        (State::LastAck, t.last_ack),
        (State::TimeWait, t.time_wait),
        (State::Close, t.close),
        (State::Udp, t.udp),
    ] {
        out.set(state, secs.0);
    }
    out
}

/// An IPv4 address as it stands on the wire.
pub fn v4(addr: IpAddr) -> Result<Be32, CompileError> {
    match addr {
        IpAddr::V4(a) => Ok(a.into()),
        IpAddr::V6(_) => Err(CompileError::Ipv6(addr)),
    }
}

/// Address and port as people write them.
pub fn socket(addr: Be32, port: Be16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from(addr).into(), port.host())
}
