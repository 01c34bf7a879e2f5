//! Checking ports, interfaces, routes and neighbours against each other: what is connected, and what leads where.
//!
//! Called by `link`, first of all: services are checked against the topology that comes out of here.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::draft::{InterfaceDraft, NeighborDraft, PortDraft, RouteDraft};
use super::model::{Interface, InterfaceId, Neighbor, Port, PortId, Route, interface_name, subnet_around, way};
use super::owners::Owners;
use super::reader::List;
use super::report::{At, Fault, Report, Spot};
use super::text::{is_link_local, refuse_edge};

/// The least MTU of a link that carries IPv6, bytes (RFC 8200, 5).
const IPV6_MTU: u16 = 1280;

/// The network side of the model.
pub(super) struct Topology {
    pub(super) ports: Vec<Port>,
    pub(super) interfaces: Vec<Interface>,
    pub(super) routes: Vec<Route>,
    /// Every subnet of the file could be read: what lies in none is not connected.
    subnets_known: bool,
    /// Every route could be used: where none leads, there is no way.
    routes_known: bool,
}

impl Topology {
    /// Checks ports and interfaces; no routes yet.
    pub(super) fn new(
        ports: List<PortDraft>,
        interfaces: List<InterfaceDraft>,
        file: &Spot,
        report: &Report<'_>,
    ) -> Self {
        let readable = interfaces.whole && interfaces.items.iter().all(|interface| !interface.partial);
        let subnets_known = readable && !interfaces.items.is_empty();
        let absent = |field: &str, remedy: &str| report.problem(&file.below(field), "is missing", remedy);
        if ports.whole && ports.items.is_empty() {
            absent("port", "add a [[port]] with at least a name");
        }
        if interfaces.whole && interfaces.items.is_empty() {
            absent("interface", "add an [[interface]] with a port and addresses");
        }
        let names: Vec<_> = ports.items.iter().map(|port| port.name.as_ref().map(|name| name.value.clone())).collect();
        let names_known = ports.whole && !names.is_empty() && names.iter().all(Option::is_some);
        let ports = self::ports(ports.items, report);
        let addresses =
            interfaces.items.iter().enumerate().flat_map(|(nth, i)| i.addresses.iter().map(move |a| (nth, a)));
        let ipv6: Vec<_> =
            addresses.filter(|(_, at)| at.value.addr().is_ipv6()).map(|(n, at)| (n, at.spot.clone())).collect();
        let interfaces = self::interfaces(interfaces.items, &names, names_known, report);
        let topology = Self { ports, interfaces, routes: Vec::new(), subnets_known, routes_known: subnets_known };
        for (nth, spot) in ipv6 {
            topology.check_mtu(InterfaceId(nth), &spot, report);
        }
        topology
    }

    /// Checks the routes and adds them.
    pub(super) fn add_routes(&mut self, drafts: List<RouteDraft>, owners: &Owners, report: &Report<'_>) {
        let before = report.count();
        let mut seen: HashMap<IpNet, Spot> = HashMap::new();
        self.routes_known &= drafts.whole;
        for RouteDraft { to, via, interface } in drafts.items {
            self.routes_known &= to.is_some() && via.is_some();
            if let Some(to) = &to {
                if let Some(first) = seen.get(&to.value) {
                    let what = format!("is routed twice, first in line {}", report.line(first));
                    report.problem(&to.spot, what, "keep one of them");
                } else if self.interfaces.iter().flat_map(|i| &i.addresses).any(|net| net.trunc() == to.value) {
                    report.problem(&to.spot, "is a connected subnet", "take the route out: an interface leads there");
                }
                seen.insert(to.value, to.spot.clone());
            }
            if let (Some(to), Some(via)) = (&to, &via)
                && to.value.addr().is_ipv4() != via.value.is_ipv4()
            {
                let remedy = format!("give a next hop of the family of {}", to.value);
                report.problem(&via.spot, "is of the other family than its destinations", remedy);
            }
            let interface = via.as_ref().and_then(|via| self.next_hop(via, interface.as_ref(), owners, report));
            if let (Some(to), Some(via), Some(interface)) = (to, via, interface) {
                self.routes.push(Route { to: to.value, via: via.value, interface });
            }
        }
        self.routes_known &= report.count() == before;
    }

    /// Checks the static neighbours.
    pub(super) fn neighbors(&self, drafts: Vec<NeighborDraft>, owners: &Owners, report: &Report<'_>) -> Vec<Neighbor> {
        let mut seen = HashMap::new();
        let mut neighbors = Vec::new();
        for NeighborDraft { address, mac, interface } in drafts {
            let Some(address) = address else { continue };
            // A link-local address is another machine on another interface.
            let link = interface.as_ref().filter(|_| is_link_local(address.value)).map(|at| at.value.clone());
            if let Some(first) = seen.insert((address.value, link), address.spot.clone()) {
                let what = format!("has a neighbor entry already, in line {}", report.line(&first));
                report.problem(&address.spot, what, "keep one of them");
            }
            let interface = self.next_hop(&address, interface.as_ref(), owners, report);
            if let (Some(mac), Some(interface)) = (mac, interface) {
                neighbors.push(Neighbor { address: address.value, mac, interface });
            }
        }
        neighbors
    }

    /// Notes why a server at `address` cannot be reached, if it cannot.
    pub(super) fn check_reachable(&self, address: IpAddr, spot: &Spot, report: &Report<'_>) {
        if way(&self.interfaces, &self.routes, address).is_some() {
            self.check_edge(address, spot, report);
        } else if self.subnets_known && self.routes_known {
            let remedy = format!("give an [[interface]] an address in its subnet, or add a [[route]] to {address}");
            report.problem(
                spot,
                "cannot be reached: no interface's subnet contains it and no route leads there",
                remedy,
            );
        }
    }

    /// Notes when no client can reach `address`, as no interface has an address of its family.
    pub(super) fn check_family(&self, address: IpAddr, spot: &Spot, report: &Report<'_>) {
        let same = |net: &IpNet| net.addr().is_ipv6() == address.is_ipv6();
        if self.subnets_known && !self.interfaces.iter().flat_map(|i| &i.addresses).any(same) {
            let (family, example) =
                if address.is_ipv4() { ("IPv4", "198.18.1.254/24") } else { ("IPv6", "2001:db8:1::fe/64") };
            let what = format!("{address} is {family}, and no interface has an address of that family");
            report.problem(spot, what, format!("give an [[interface]] one, as in {example:?}"));
        }
    }

    /// Notes when `address` is one of the subnet around it that no single host has.
    pub(super) fn check_edge(&self, address: IpAddr, spot: &Spot, report: &Report<'_>) {
        if let Some((_, net)) = subnet_around(&self.interfaces, address)
            && let Err(Fault { what, remedy }) = refuse_edge(net, address)
        {
            let what = what.replacen("is ", &format!("{address} is "), 1);
            report.problem(spot, what, remedy);
        }
    }

    /// The interface of a next hop or neighbour, if it is on one and someone else's address. `named` is what the file says
    /// of it, which it has to for a link-local address.
    fn next_hop(
        &self,
        hop: &At<IpAddr>,
        named: Option<&At<String>>,
        owners: &Owners,
        report: &Report<'_>,
    ) -> Option<InterfaceId> {
        if let Some(owner) = owners.of(hop.value) {
            report.problem(&hop.spot, format!("is {owner}"), "give the address of another machine");
        }
        let said = named.map(|name| self.interface(name, report));
        if is_link_local(hop.value) {
            if said.is_none() {
                let what = "is a link-local address, of which each interface has its own";
                let names: Vec<_> = self.names().iter().map(|name| format!("{name:?}")).collect();
                report.problem(&hop.spot, what, format!("say which one: interface = {}", names.join(" or ")));
            }
            let interface = said.flatten()?;
            if self.subnets_known && !self.interfaces[interface.0].addresses.iter().any(|net| net.addr().is_ipv6()) {
                let what = format!("is on {}, which has no IPv6 address", self.name(interface));
                report.problem(&hop.spot, what, "give that interface one, as in \"2001:db8:1::fe/64\"");
            }
            return Some(interface);
        }
        let around = subnet_around(&self.interfaces, hop.value).map(|(interface, _)| interface);
        match (around, said) {
            (None, _) if self.subnets_known => {
                report.problem(&hop.spot, "is on no connected subnet", self.connected_subnets());
            }
            (Some(around), Some(Some(said))) if around != said => {
                let what = format!("is on the interface {}", self.name(around));
                report.problem(&hop.spot, what, "correct `interface`, or take it out");
            }
            (None | Some(_), _) => {}
        }
        // Any router of an IPv6 subnet has its anycast address.
        if hop.value.is_ipv4() {
            self.check_edge(hop.value, &hop.spot, report);
        }
        around
    }

    /// The interface of that name, as `gatun status` writes it.
    fn interface(&self, name: &At<String>, report: &Report<'_>) -> Option<InterfaceId> {
        let names = self.names();
        let mut found =
            names.iter().enumerate().filter(|(_, known)| **known == name.value).map(|(nth, _)| InterfaceId(nth));
        let first = found.next();
        if first.is_none() && self.subnets_known {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            name.unknown("is not the name of an [[interface]]", &names, report);
        }
        if found.next().is_some() {
            report.problem(&name.spot, "is the name of a port and of a VLAN", "give that port another name");
        }
        first
    }

    fn name(&self, InterfaceId(nth): InterfaceId) -> String {
        self.interfaces.get(nth).map_or(String::new(), |i| interface_name(&self.ports, i))
    }

    fn names(&self) -> Vec<String> {
        self.interfaces.iter().map(|i| interface_name(&self.ports, i)).collect()
    }

    /// Notes when a port that is to carry IPv6 can not (RFC 8200, 5).
    fn check_mtu(&self, InterfaceId(nth): InterfaceId, spot: &Spot, report: &Report<'_>) {
        let port = self.interfaces.get(nth).and_then(|i| self.ports.get(i.port.0));
        if let Some(port) = port.filter(|port| port.mtu < IPV6_MTU) {
            let what =
                format!("is IPv6, which needs an mtu of at least {IPV6_MTU}; port {:?} has {}", port.name, port.mtu);
            report.problem(spot, what, "raise the mtu of the port");
        }
    }

    fn connected_subnets(&self) -> String {
        let subnets = self.interfaces.iter().flat_map(|i| &i.addresses).map(|net| net.trunc().to_string());
        let mut subnets: Vec<_> = subnets.collect();
        if subnets.len() > 8 {
            subnets.truncate(8);
            subnets.push("...".to_owned());
        }
        format!("give an address in a subnet of an [[interface]]: {}", subnets.join(", "))
    }
}

fn ports(drafts: Vec<PortDraft>, report: &Report<'_>) -> Vec<Port> {
    let mut names: HashMap<String, Spot> = HashMap::new();
    let mut devices: HashMap<String, Spot> = HashMap::new();
    let mut macs = HashMap::new();
    let mut ports = Vec::new();
    for PortDraft { name, device, mac, rest } in drafts {
        if let Some(At { value, spot }) = &name {
            unique(
                &mut names,
                value.clone(),
                spot,
                "is the name of another port",
                "give each port its own name",
                report,
            );
        }
        if let Some(At { value, spot }) = &device {
            // The same NIC with other arguments is still the same NIC.
            let id = value.split(',').next().unwrap_or(value).to_ascii_lowercase();
            let remedy = "give each port its own device (vdevs differ in the number behind their name)";
            unique(&mut devices, id, spot, "is the device of another port", remedy, report);
        }
        if let Some(At { value, spot }) = &mac {
            let what = "is the MAC address of another port";
            unique(&mut macs, *value, spot, what, "give each port its own MAC address", report);
        }
        let name = name.map(|name| name.value).unwrap_or_default();
        ports.push(Port { name, device: device.map(|at| at.value), mac: mac.map(|at| at.value), ..rest });
    }
    ports
}

fn interfaces(
    drafts: Vec<InterfaceDraft>,
    ports: &[Option<String>],
    ports_known: bool,
    report: &Report<'_>,
) -> Vec<Interface> {
    let mut links = HashMap::new();
    let mut subnets: Vec<(usize, IpNet, Spot)> = Vec::new();
    let mut interfaces = Vec::new();
    for (nth, draft) in drafts.into_iter().enumerate() {
        let names: Vec<_> = ports.iter().flatten().map(String::as_str).collect();
        let port = draft.port.as_ref().and_then(|port| {
            let found = ports.iter().position(|name| name.as_ref() == Some(&port.value));
            if found.is_none() && ports_known {
                port.unknown("is not the name of a [[port]]", &names, report);
            }
            found
        });
        if let Some(port) = port {
            let remedy = "put all addresses of a port, or of a VLAN of it, into one [[interface]]";
            let what = "is an interface that was there already";
            unique(&mut links, (port, draft.vlan), &draft.spot, what, remedy, report);
        }
        for At { value: net, spot } in &draft.addresses {
            let overlap = |(other, subnet, _): &&(usize, IpNet, Spot)| {
                *other != nth && (subnet.contains(&net.trunc()) || net.contains(&subnet.trunc()))
            };
            if let Some((_, subnet, first)) = subnets.iter().find(overlap)
                && subnet.addr() != net.addr()
            {
                let what = format!("overlaps {} of another interface (line {})", subnet.trunc(), report.line(first));
                report.problem(spot, what, "give each interface subnets of its own");
            }
            subnets.push((nth, *net, spot.clone()));
        }
        let addresses = draft.addresses.into_iter().map(|net| net.value).collect();
        interfaces.push(Interface { port: PortId(port.unwrap_or(0)), vlan: draft.vlan, addresses });
    }
    interfaces
}

/// Notes a problem when `key` was seen before, and where.
pub(super) fn unique<K: Eq + std::hash::Hash>(
    seen: &mut HashMap<K, Spot>,
    key: K,
    spot: &Spot,
    what: &str,
    remedy: &str,
    report: &Report<'_>,
) {
    if let Some(first) = seen.get(&key) {
        report.problem(spot, format!("{what} (line {})", report.line(first)), remedy);
    } else {
        seen.insert(key, spot.clone());
    }
}
