//! What the gateway would do with the first packet of a client, decision by decision, and how near its limits are. Both look
//! at what the workers know; neither changes anything.

use super::Master;
use crate::api::types::{Capacity, Trace, TraceSpec, TraceStep};
use crate::config::compile;
use crate::config::{Protocol, ServiceId};
use crate::control::document::service_id;
use gatun_engine::addr::{Addr, Be16, Proto};
use gatun_engine::conn::tuple::Tuple;
use gatun_engine::laddr::CLASS_PORTS;
use gatun_engine::neighbor::NudState;
use gatun_engine::snapshot::{LocalKind, RouteTo, Service};
use gatun_engine::steer::Steer;
use gatun_engine::time::Tick;
use gatun_engine::verdict::{DropReason, PuntReason};
use std::net::IpAddr;

/// The way so far.
struct Way(Trace);

impl Way {
    fn step(&mut self, step: &str, result: impl Into<String>, why: impl Into<String>) {
        self.0.steps.push(TraceStep { step: step.to_owned(), result: result.into(), why: why.into() });
    }

    fn ends(mut self, step: &str, label: &str, help: &str) -> Trace {
        self.step(step, "dropped", help);
        self.0.drop = Some(label.to_owned());
        self.0
    }
}

impl Master {
    /// This moment, as the workers count it.
    pub fn now(&self) -> Tick {
        self.clock.now()
    }

    /// What would become of a client's first packet.
    pub fn trace(&self, spec: &TraceSpec) -> Trace {
        let (proto, protocol) = match spec.protocol {
            crate::api::types::Protocol::Tcp => (Proto::Tcp, Protocol::Tcp),
            crate::api::types::Protocol::Udp => (Proto::Udp, Protocol::Udp),
        };
        let (client, vip) = (Addr::from(spec.client.ip()), Addr::from(spec.vip.ip()));
        let tuple = Tuple::new(client, vip, Be16::new(spec.client.port()), Be16::new(spec.vip.port()), proto);
        let class = Steer::class(self.steer.hash(&tuple));
        let owner = self.steer.owner(class);
        let lcore = self.places.workers.get(owner.index()).map_or(0, |place| place.lcore);
        let none = Trace {
            forwarded: false,
            steps: Vec::new(),
            service: None,
            real: None,
            lcore,
            class: class.0,
            next_hop: None,
            drop: None,
        };
        let mut way = Way(none);
        way.step(
            "home",
            format!("lcore {lcore}"),
            format!("the hash of the tuple is of class {}, which is its", class.0),
        );
        match self.snapshot.local(vip).map(|local| local.kind) {
            Some(LocalKind::Vip) => way.step("address", spec.vip.ip().to_string(), "it is the VIP of a service"),
            Some(LocalKind::Own) => way.step("address", spec.vip.ip().to_string(), "it is an address of the gateway"),
            Some(LocalKind::Lip(_)) => {
                let reason = DropReason::LipNoConnection;
                return way.ends("address", reason.label(), reason.help());
            }
            None => return way.ends("address", DropReason::NotLocal.label(), DropReason::NotLocal.help()),
        }
        if self.snapshot.local(client).is_some() {
            return way.ends("address", DropReason::MartianSource.label(), DropReason::MartianSource.help());
        }
        let id = ServiceId { protocol, address: spec.vip };
        let Some(service) = self.compiled(&id) else {
            return way.ends("service", PuntReason::NoService.label(), PuntReason::NoService.help());
        };
        way.0.service = Some(service_id(spec.protocol, spec.vip));
        way.step("service", id.to_string(), "it has this address, port and protocol");
        self.trace_server(way, service, client)
    }

    fn trace_server(&self, mut way: Way, service: &Service, client: Addr) -> Trace {
        let usable: Vec<_> = service.reals.iter().filter(|real| real.weight > 0).collect();
        if usable.is_empty() {
            return way.ends("server", PuntReason::NoServer.label(), PuntReason::NoServer.help());
        }
        let names = usable.iter().map(|r| format!("{} (weight {})", compile::socket(r.addr, r.port), r.weight));
        let names = names.collect::<Vec<_>>().join(", ");
        let scheduler = service.scheduler.name();
        let one = usable.len() == 1;
        let why = if one {
            "it is the only one with a weight".to_owned()
        } else {
            format!("{scheduler} picks one of them when the packet comes; each worker has its own turn")
        };
        way.step("server", names, why);
        let [real, ..] = usable.as_slice() else { return way.0 };
        let addr = compile::socket(real.addr, real.port);
        way.0.real = one.then_some(addr);
        let lips = service.pool(real).lips().len();
        way.step("local_address", format!("one of {lips}"), "which has a port whose answer comes to the same worker");
        for (to, what) in [(client, "the client"), (real.addr, "the server")] {
            let known =
                |hop| self.neighbors.claimed().find(|(id, ..)| *id == hop).map(|(_, iface, addr)| (iface, addr));
            let found = match self.snapshot.routes.lookup(to) {
                Some(RouteTo::OnLink(iface)) => Some((iface, to)),
                Some(RouteTo::Via(hop)) => known(hop),
                None => None,
            };
            let Some((iface, addr)) = found else {
                let help = format!("{what}: {}", DropReason::NoRoute.help());
                return way.ends("route", DropReason::NoRoute.label(), &help);
            };
            let name = self.interface(iface);
            way.step("route", format!("{addr} on {name}"), format!("the next hop towards {what}"));
            let state = self.neighbors.find(iface, addr).map(|id| self.neighbors.cell(id));
            let (state, why) = match state.map(|cell| (cell.state, cell.mac)) {
                Some((NudState::Reachable, mac)) => (mac.to_string(), "it answers"),
                Some((NudState::Incomplete, _)) => {
                    ("unknown".to_owned(), "it is being asked; three packets wait for it")
                }
                None => ("unknown".to_owned(), "it is asked when the first packet comes; three packets wait for it"),
                Some((NudState::Failed, _)) => {
                    let reason = DropReason::NeighborFailed;
                    return way.ends("neighbor", reason.label(), reason.help());
                }
            };
            way.step("neighbor", state, why);
            if to == real.addr {
                way.0.next_hop = Some(IpAddr::from(addr)).filter(|_| one);
            }
            let mtu = self.snapshot.iface(iface).map_or(0, |i| i.mtu);
            way.step("mtu", mtu.to_string(), format!("of {name}: what is larger is cut, or its sender is told"));
        }
        if let Some(mss) = service.mss_clamp {
            way.step("mss", mss.to_string(), "the most that the MSS option of a SYN may say");
        }
        way.0.forwarded = true;
        way.0
    }

    /// What there is room for, and what is used of it.
    pub fn capacity(&self) -> Vec<Capacity> {
        let limit = |limit: &str, of: Option<String>, used: u64, room: u64, binds: &str, remedy: &str| Capacity {
            limit: limit.to_owned(),
            of,
            used,
            room,
            share: if room == 0 { 0.0 } else { used as f64 / room as f64 },
            binds: binds.to_owned(),
            remedy: remedy.to_owned(),
        };
        let tables = &self.model.tables;
        let mut limits = Vec::new();
        for (place, seat) in self.places.workers.iter().zip(&self.seats) {
            let (used, room) = (seat.stats.lcore.conns_now.value(), u64::from(tables.connections));
            let remedy = "raise tables.connections and restart gatun, or shorten timeouts";
            let binds = format!("new connections are refused at {room} on this worker");
            limits.push(limit("connections", Some(format!("lcore {}", place.lcore)), used, room, &binds, remedy));
        }
        for (place, seat) in self.places.workers.iter().zip(&self.seats) {
            let (lcore, stats) = (format!("lcore {}", place.lcore), &seat.stats.lcore.tables);
            for (name, used, room, binds) in [
                (
                    "index",
                    &stats.index_now,
                    &stats.index_room,
                    "new connections are refused where an entry finds no place",
                ),
                (
                    "timers",
                    &stats.timers_now,
                    &stats.timers_room,
                    "timers are filed late: connections end up to 64 s after their time",
                ),
                (
                    "port_lists",
                    &stats.port_lists_now,
                    &stats.port_lists_room,
                    "ports are then taken at random, with more tries for each",
                ),
            ] {
                let remedy = "raise tables.connections and restart gatun";
                limits.push(limit(name, Some(lcore.clone()), used.value(), room.value(), binds, remedy));
            }
        }
        let ports: u64 = self.seats.iter().map(|s| s.stats.lcore.ports_now.value()).sum();
        let remedy = "add local addresses to the pool, or servers to the service";
        for pool in &self.model.laddr_pools {
            let at = self.model.laddr_pools.iter().position(|p| p.name == pool.name);
            let servers: u64 =
                self.model.services.iter().filter(|s| Some(s.laddr_pool.0) == at).map(|s| s.reals.len() as u64).sum();
            let room = pool.addresses.len() as u64 * 64_512 * servers.max(1);
            let binds =
                format!("each server has {} connections from this pool at most", pool.addresses.len() as u64 * 64_512);
            let fullest =
                pool.addresses.iter().map(|lip| (self.laddr(*lip).fullest, lip)).max_by_key(|(used, _)| *used);
            if let Some((used, lip)) = fullest {
                let binds = format!(
                    "{lip}: new connections of this class towards this server take ports of other classes, which are handed over"
                );
                let room = CLASS_PORTS.into();
                limits.push(limit(
                    "port_class",
                    Some(pool.name.clone()),
                    used.into(),
                    room,
                    &binds,
                    "add local addresses to the pool",
                ));
            }
            // The ports are counted together: the share is right for one pool, and too high for several.
            limits.push(limit("local_ports", Some(pool.name.clone()), ports, room, &binds, remedy));
        }
        let present = self.model.services.iter().map(|s| s.reals.len() as u64).sum();
        let remedy = "raise tables.reals and restart gatun";
        let room = u64::from(tables.reals).saturating_sub(1);
        limits.push(limit("reals", None, present, room, "no more servers can be added", remedy));
        let hops = self.neighbors.claimed().count() as u64;
        let remedy = "raise tables.neighbors and restart gatun";
        limits.push(limit(
            "neighbors",
            None,
            hops,
            tables.neighbors.into(),
            "no more next hops can be reached",
            remedy,
        ));
        let (used, room) = (u64::from(self.pools.in_use()), u64::from(tables.mbufs) * self.pools.count() as u64);
        let remedy = "raise tables.mbufs and restart gatun";
        limits.push(limit("mbufs", None, used, room, "frames are lost at the card", remedy));
        limits
    }
}
