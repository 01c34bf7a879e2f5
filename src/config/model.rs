//! The model: what a valid configuration file says, and where an address belongs.
//!
//! Owned by the master, which compiles it to a snapshot, and read by `run` and `replay` at start. A model that
//! exists has passed every check of this module's parent: names are unique, references resolve, next hops are
//! connected. It is plain data; it opens no port and knows nothing of the running gateway.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use serde::Serialize;

use super::settings::{Api, Eal, Lcores, Limits, Steering, Tables, Tcp, Timeouts};
use super::values::{Mac, OnServerRemoved, Protocol, Scheduler, SteeringPolicy};

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Model {
    /// How DPDK starts.
    pub eal: Eal,
    /// Who runs where.
    pub lcores: Lcores,
    /// Table sizes.
    pub tables: Tables,
    /// Hash key and seed.
    pub steering: Steering,
    /// TCP settings that hold for every service.
    pub tcp: Tcp,
    /// Timeouts of services that do not have their own.
    pub timeouts: Timeouts,
    /// Punts a second.
    pub limits: Limits,
    /// Who may speak to the REST interface.
    pub api: Api,
    /// The network ports, in the order of the file, at least one. [`PortId`] counts here.
    pub ports: Vec<Port>,
    /// The interfaces, in the order of the file, at least one. [`InterfaceId`] counts here.
    pub interfaces: Vec<Interface>,
    /// The static routes, in the order of the file.
    pub routes: Vec<Route>,
    /// The static neighbours, in the order of the file.
    pub neighbors: Vec<Neighbor>,
    /// The pools of local addresses, in the order of the file. [`PoolId`] counts here.
    pub laddr_pools: Vec<LaddrPool>,
    /// The services, in the order of the file. One that stays the same is shared from one model to the next.
    pub services: Vec<Arc<Service>>,
}

/// Which of [`Model::ports`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PortId(pub usize);

/// Which of [`Model::interfaces`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct InterfaceId(pub usize);

/// Which of [`Model::laddr_pools`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PoolId(pub usize);

/// `[[port]]`: a network port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Port {
    /// What the other tables, the counters and `replay` call it. Letters, digits, `_`, `-` and `.`, at most 32.
    pub name: String,
    /// The PCI address, or a vdev with its arguments. `replay` needs none.
    pub device: Option<String>,
    /// The address to use instead of the device's own.
    pub mac: Option<Mac>,
    /// The most bytes of an IP packet, 576 to 9216, at least 1280 where there is IPv6. Default 1500.
    pub mtu: u16,
    /// Receive descriptors of a queue, 64 to 32768. Default 1024.
    pub rx_desc: u16,
    /// Transmit descriptors of a queue, 64 to 32768. Default 1024.
    pub tx_desc: u16,
    /// Receive frames to any MAC address. Default false.
    pub promiscuous: bool,
    /// How its packets come to the worker that owns their connection. Default `auto`.
    pub steering: SteeringPolicy,
}

/// `[[interface]]`: a port or one VLAN of it, with the gateway's own addresses there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// The port.
    pub port: PortId,
    /// The VLAN id, 1 to 4094; absent for untagged frames.
    pub vlan: Option<u16>,
    /// The gateway's own addresses with their subnets, at least one.
    pub addresses: Vec<IpNet>,
}

/// `[[route]]`: a static route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    /// The destinations; no host bits are set.
    pub to: IpNet,
    /// The next hop, on a connected subnet or link-local; of the family of `to`.
    pub via: IpAddr,
    /// The interface whose subnet contains `via`, or that was named.
    pub interface: InterfaceId,
}

/// `[[neighbor]]`: a static neighbour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Neighbor {
    /// The neighbour's address, on a connected subnet or link-local.
    pub address: IpAddr,
    /// Its MAC address.
    pub mac: Mac,
    /// The interface whose subnet contains `address`, or that was named.
    pub interface: InterfaceId,
}

/// `[[laddr_pool]]`: local addresses, the source addresses that real servers see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LaddrPool {
    /// What services call it. Letters, digits, `_`, `-` and `.`, at most 32.
    pub name: String,
    /// 1 to 1024 unicast addresses of either family in the order of the file, ranges and subnets written out, none twice in any pool.
    pub addresses: Vec<IpAddr>,
}

/// `[[service]]`: a VIP and port, and who serves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Unique; by default protocol and address, as in `tcp 198.18.1.100:80`.
    pub name: String,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// VIP and vport; unique with the protocol.
    pub address: SocketAddr,
    /// How a real server is picked.
    pub scheduler: Scheduler,
    /// Where its local addresses come from.
    pub laddr_pool: PoolId,
    /// The most the MSS option of a SYN may say, bytes; absent: left alone.
    pub mss_clamp: Option<u16>,
    /// The timeouts that hold here: the service's own over those of the model.
    pub timeouts: Timeouts,
    /// What holds here: the service's own or that of the model.
    pub on_server_removed: OnServerRemoved,
    /// The real servers, in the order of the file; none twice; possibly none at all. Behind an IPv6 VIP they may be of either
    /// family, behind an IPv4 VIP of IPv4. The pool has a local address of the family of each.
    pub reals: Vec<Real>,
}

/// `[[service.real]]`: a real server of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Real {
    /// rip and rport.
    pub address: SocketAddr,
    /// Its share of new connections, 0 to 65535. 0 drains. Default 1.
    pub weight: u16,
}

impl Model {
    /// The interface whose subnet contains `addr`, so that it is reached there without a next hop.
    pub fn connected(&self, addr: IpAddr) -> Option<InterfaceId> {
        subnet_around(&self.interfaces, addr).map(|(id, _)| id)
    }

    /// The interface on which the gateway itself answers for `addr`: an own address, or a VIP or local address that
    /// lies in a connected subnet. None for addresses of others, and for a VIP or local address that is only routed here.
    pub fn interface_of(&self, addr: IpAddr) -> Option<InterfaceId> {
        let own = || self.interfaces.iter().flat_map(|i| &i.addresses).any(|net| net.addr() == addr);
        let vip = || self.services.iter().any(|service| service.address.ip() == addr);
        let lip = || self.laddr_pools.iter().any(|pool| pool.addresses.contains(&addr));
        if own() || vip() || lip() { self.connected(addr) } else { None }
    }

    /// The way to `addr`: its interface, and the next hop there, which is `addr` itself where it is connected.
    /// The longest prefix wins, a connected subnet over a route of the same length. None: there is no way.
    pub fn route_to(&self, addr: IpAddr) -> Option<(InterfaceId, IpAddr)> {
        way(&self.interfaces, &self.routes, addr)
    }

    /// Every next hop that the configuration needs: those of the routes, then the on-link real servers; none twice.
    pub fn next_hops(&self) -> Vec<(InterfaceId, IpAddr)> {
        let vias = self.routes.iter().map(|route| (route.interface, route.via));
        let reals = self.services.iter().flat_map(|service| &service.reals).map(|real| real.address.ip());
        let on_link = reals.filter_map(|rip| self.route_to(rip).filter(|(_, hop)| *hop == rip));
        let mut seen = std::collections::HashSet::new();
        vias.chain(on_link).filter(|hop| seen.insert(*hop)).collect()
    }

    /// What an interface is called: its port, with the VLAN where there is one: `lan`, `lan.100`.
    pub fn interface_name(&self, InterfaceId(nth): InterfaceId) -> String {
        self.interfaces.get(nth).map_or(String::new(), |i| interface_name(&self.ports, i))
    }

    /// Whether IPv6 is spoken on a port: an interface of it has an address of that family, and so a link-local one.
    pub fn has_ipv6(&self, port: PortId) -> bool {
        let interfaces = self.interfaces.iter().filter(|interface| interface.port == port);
        interfaces.flat_map(|interface| &interface.addresses).any(|net| net.addr().is_ipv6())
    }

    /// The port of that name.
    pub fn port(&self, name: &str) -> Option<PortId> {
        self.ports.iter().position(|port| port.name == name).map(PortId)
    }
}

/// See [`Model::interface_name`].
pub(super) fn interface_name(ports: &[Port], interface: &Interface) -> String {
    let port = ports.get(interface.port.0).map_or("", |port| port.name.as_str());
    interface.vlan.map_or(port.to_owned(), |vlan| format!("{port}.{vlan}"))
}

/// The longest subnet around `addr`, and its interface.
pub(super) fn subnet_around(interfaces: &[Interface], addr: IpAddr) -> Option<(InterfaceId, IpNet)> {
    let subnets = interfaces.iter().enumerate().flat_map(|(id, i)| i.addresses.iter().map(move |net| (id, *net)));
    let around = subnets.filter(|(_, net)| net.contains(&addr));
    around.max_by_key(|(_, net)| net.prefix_len()).map(|(id, net)| (InterfaceId(id), net))
}

/// See [`Model::route_to`].
pub(super) fn way(interfaces: &[Interface], routes: &[Route], addr: IpAddr) -> Option<(InterfaceId, IpAddr)> {
    let on_link = subnet_around(interfaces, addr);
    let matching = routes.iter().filter(|route| route.to.contains(&addr));
    let route = matching.max_by_key(|route| route.to.prefix_len());
    match (on_link, route) {
        (Some((id, net)), Some(route)) if net.prefix_len() >= route.to.prefix_len() => Some((id, addr)),
        (_, Some(route)) => Some((route.interface, route.via)),
        (Some((id, _)), None) => Some((id, addr)),
        (None, None) => None,
    }
}
