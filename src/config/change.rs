//! A change of the configuration, and the line in which a person reads it.
//!
//! Made by `diff`, shown and applied by the master. Plain data.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::Serialize;

use super::model::{InterfaceId, LaddrPool, Neighbor, Real, Route, Service};
use super::settings::{Limits, Tcp, Timeouts};
use super::text::is_link_local;
use super::values::{OnServerRemoved, Protocol, Scheduler};

/// What a service is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ServiceId {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// VIP and vport.
    pub address: SocketAddr,
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.protocol, self.address)
    }
}

impl Service {
    /// What the service is known by.
    pub fn id(&self) -> ServiceId {
        ServiceId { protocol: self.protocol, address: self.address }
    }
}

/// One thing that is different in the new model. Shows as one line.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the fields of a variant are what its name says, before and after")]
pub enum Change {
    /// TCP settings for all services.
    Tcp { from: Tcp, to: Tcp },
    /// Timeouts of services without their own. Each service that it reaches has its own change, too.
    Timeouts { from: Timeouts, to: Timeouts },
    /// Punts a second.
    Limits { from: Limits, to: Limits },
    /// An own address more.
    AddressAdded { interface: InterfaceId, address: IpNet },
    /// An own address less.
    AddressRemoved { interface: InterfaceId, address: IpNet },
    /// A destination that had no route of its own.
    RouteAdded(Route),
    /// A destination that has none any more.
    RouteRemoved(Route),
    /// Another next hop, or the same one on another interface.
    RouteChanged { from: Route, to: Route },
    /// A static neighbour more.
    NeighborAdded(Neighbor),
    /// A static neighbour less.
    NeighborRemoved(Neighbor),
    /// Another MAC address, or the same one on another interface.
    NeighborChanged { from: Neighbor, to: Neighbor },
    /// A pool more.
    PoolAdded(LaddrPool),
    /// A pool less.
    PoolRemoved(LaddrPool),
    /// A pool with other addresses.
    PoolChanged { name: String, added: Vec<IpAddr>, removed: Vec<IpAddr> },
    /// A service more, with its real servers.
    ServiceAdded(Service),
    /// A service less, with its real servers.
    ServiceRemoved(Service),
    /// A service with other settings; its real servers apart.
    ServiceChanged { service: ServiceId, changes: Vec<ServiceChange> },
    /// A real server more.
    RealAdded { service: ServiceId, real: Real },
    /// A real server less.
    RealRemoved { service: ServiceId, real: Real },
    /// A real server with another weight.
    RealReweighted { service: ServiceId, address: SocketAddr, from: u16, to: u16 },
    /// The real servers that stay stand in another order.
    RealsReordered { service: ServiceId },
}

/// One setting of a service that is different.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "each is the field of `Service` of its name, before and after")]
pub enum ServiceChange {
    Name {
        from: String,
        to: String,
    },
    Scheduler {
        from: Scheduler,
        to: Scheduler,
    },
    /// The pools by name.
    LaddrPool {
        from: String,
        to: String,
    },
    MssClamp {
        from: Option<u16>,
        to: Option<u16>,
    },
    Timeouts {
        from: Timeouts,
        to: Timeouts,
    },
    OnServerRemoved {
        from: OnServerRemoved,
        to: OnServerRemoved,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { from, to } => write!(f, "tcp: {}", tcp(from, to)),
            Self::Timeouts { from, to } => write!(f, "timeouts: {}", timeouts(from, to)),
            Self::Limits { from, to } => write!(f, "limits: {}", limits(from, to)),
            Self::AddressAdded { interface, address } => write!(f, "interface {}: {address} added", interface.0),
            Self::AddressRemoved { interface, address } => write!(f, "interface {}: {address} removed", interface.0),
            Self::RouteAdded(route) => write!(f, "route {} via {} added", route.to, via(route)),
            Self::RouteRemoved(route) => write!(f, "route {} via {} removed", route.to, via(route)),
            Self::RouteChanged { from, to } => write!(f, "route {}: via {} -> {}", to.to, via(from), via(to)),
            Self::NeighborAdded(neighbor) => write!(f, "neighbor {} at {} added", address(neighbor), neighbor.mac),
            Self::NeighborRemoved(neighbor) => write!(f, "neighbor {} at {} removed", address(neighbor), neighbor.mac),
            Self::NeighborChanged { from, to } => write!(f, "neighbor {}: {} -> {}", address(to), from.mac, to.mac),
            Self::PoolAdded(pool) => write!(f, "laddr_pool {}: added with {}", pool.name, count(&pool.addresses)),
            Self::PoolRemoved(pool) => write!(f, "laddr_pool {}: removed with {}", pool.name, count(&pool.addresses)),
            Self::PoolChanged { name, added, removed } => {
                write!(f, "laddr_pool {name}: {} added, {} removed", count(added), count(removed))
            }
            Self::ServiceAdded(service) => write!(f, "service {}: added with {}", service.id(), reals(service)),
            Self::ServiceRemoved(service) => write!(f, "service {}: removed with {}", service.id(), reals(service)),
            Self::ServiceChanged { service, changes } => {
                write!(f, "service {service}: {}", joined(changes.iter().map(ToString::to_string)))
            }
            Self::RealAdded { service, real } => {
                write!(f, "service {service}: real {} added with weight {}", real.address, real.weight)
            }
            Self::RealRemoved { service, real } => write!(f, "service {service}: real {} removed", real.address),
            Self::RealReweighted { service, address, from, to } => {
                write!(f, "service {service}: real {address} weight {from} -> {to}")
            }
            Self::RealsReordered { service } => write!(f, "service {service}: real servers in another order"),
        }
    }
}

impl fmt::Display for ServiceChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clamp = |mss: &Option<u16>| mss.map_or("none".to_owned(), |mss| mss.to_string());
        match self {
            Self::Name { from, to } => write!(f, "name {from:?} -> {to:?}"),
            Self::Scheduler { from, to } => write!(f, "scheduler {from} -> {to}"),
            Self::LaddrPool { from, to } => write!(f, "laddr_pool {from} -> {to}"),
            Self::MssClamp { from, to } => write!(f, "mss_clamp {} -> {}", clamp(from), clamp(to)),
            Self::Timeouts { from, to } => write!(f, "timeouts {}", timeouts(from, to)),
            Self::OnServerRemoved { from, to } => write!(f, "on_server_removed {from} -> {to}"),
        }
    }
}

fn via(route: &Route) -> String {
    on(route.via, route.interface)
}

fn address(neighbor: &Neighbor) -> String {
    on(neighbor.address, neighbor.interface)
}

/// An address, with its interface where it says nothing without it.
fn on(address: IpAddr, interface: InterfaceId) -> String {
    match is_link_local(address) {
        true => format!("{address} on interface {}", interface.0),
        false => address.to_string(),
    }
}

fn tcp(from: &Tcp, to: &Tcp) -> String {
    let changes = [
        changed("syn_timestamps", &from.syn_timestamps, &to.syn_timestamps),
        changed("raise_sequence", &from.raise_sequence, &to.raise_sequence),
        changed("on_server_removed", &from.on_server_removed, &to.on_server_removed),
    ];
    joined(changes.into_iter().flatten())
}

fn timeouts(from: &Timeouts, to: &Timeouts) -> String {
    let states = from.states().into_iter().zip(to.states());
    joined(states.filter_map(|((state, from), (_, to))| changed(state, &from, &to)))
}

fn limits(from: &Limits, to: &Limits) -> String {
    let reasons = from.reasons().into_iter().zip(to.reasons()).filter(|(from, to)| from != to);
    joined(reasons.map(|((reason, from), (_, to))| {
        format!("{reason} {}/s burst {} -> {}/s burst {}", from.rate, from.burst, to.rate, to.burst)
    }))
}

fn changed<T: PartialEq + fmt::Display>(name: &str, from: &T, to: &T) -> Option<String> {
    (from != to).then(|| format!("{name} {from} -> {to}"))
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

fn count(addresses: &[IpAddr]) -> String {
    match addresses {
        [one] => one.to_string(),
        many => format!("{} addresses", many.len()),
    }
}

fn reals(service: &Service) -> String {
    match service.reals.len() {
        1 => "1 real server".to_owned(),
        several => format!("{several} real servers"),
    }
}
