//! The draft: the file's ports, interfaces, routes, neighbours, pools and services, each field read by itself.
//!
//! Called by `parse`, before `link` checks one against the other. A field that could not be read has its problem
//! noted and is absent here, or its default stands in; such a draft never becomes a model.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use toml::de::DeTable;

use super::globals::{self, Globals};
use super::model::Port;
use super::reader::{List, Section};
use super::report::{At, Fault, Report, Spot};
use super::settings::Timeouts;
use super::text;
use super::values::{Mac, MacError, OnServerRemoved, Protocol, Scheduler};

/// The whole file.
pub(super) struct Draft {
    pub(super) globals: Globals,
    pub(super) ports: List<PortDraft>,
    pub(super) interfaces: List<InterfaceDraft>,
    pub(super) routes: List<RouteDraft>,
    pub(super) neighbors: Vec<NeighborDraft>,
    pub(super) pools: List<PoolDraft>,
    pub(super) services: Vec<ServiceDraft>,
    /// The file as a whole, for what is missing from it.
    pub(super) spot: Spot,
}

/// A port; `rest` is complete but for what stands before it.
pub(super) struct PortDraft {
    pub(super) name: Option<At<String>>,
    pub(super) device: Option<At<String>>,
    pub(super) mac: Option<At<Mac>>,
    pub(super) rest: Port,
}

pub(super) struct InterfaceDraft {
    pub(super) spot: Spot,
    pub(super) port: Option<At<String>>,
    pub(super) vlan: Option<u16>,
    pub(super) addresses: Vec<At<IpNet>>,
    /// An address could not be read, so that nothing can be said about what is connected.
    pub(super) partial: bool,
}

pub(super) struct RouteDraft {
    pub(super) to: Option<At<IpNet>>,
    pub(super) via: Option<At<IpAddr>>,
    pub(super) interface: Option<At<String>>,
}

pub(super) struct NeighborDraft {
    pub(super) address: Option<At<IpAddr>>,
    pub(super) mac: Option<Mac>,
    pub(super) interface: Option<At<String>>,
}

pub(super) struct PoolDraft {
    pub(super) spot: Spot,
    pub(super) name: Option<At<String>>,
    pub(super) entries: Vec<At<Vec<IpAddr>>>,
    /// An entry could not be read.
    pub(super) partial: bool,
}

pub(super) struct ServiceDraft {
    pub(super) spot: Spot,
    pub(super) name: Option<At<String>>,
    pub(super) protocol: Option<Protocol>,
    pub(super) address: Option<At<SocketAddr>>,
    pub(super) scheduler: Scheduler,
    pub(super) pool: PoolRef,
    pub(super) mss_clamp: Option<u16>,
    pub(super) timeouts: Timeouts,
    pub(super) on_server_removed: OnServerRemoved,
    pub(super) reals: Vec<RealDraft>,
}

/// What a service says about its pool.
pub(super) enum PoolRef {
    /// Nothing.
    Absent,
    /// Something that could not be read.
    Unreadable,
    /// A name.
    To(At<String>),
}

pub(super) struct RealDraft {
    pub(super) address: Option<At<SocketAddr>>,
    pub(super) weight: u16,
}

/// Reads every table of the file.
pub(super) fn read(report: &Report<'_>, file: &DeTable<'_>) -> Draft {
    let root = Section::root(report, file);
    let globals = globals::read(&root);
    let ports = root.list("port", port);
    let interfaces = root.list("interface", interface);
    let routes = root.list("route", route);
    let neighbors = root.list("neighbor", neighbor).items;
    let pools = root.list("laddr_pool", pool);
    let services = root.list("service", |section| service(section, &globals)).items;
    let spot = root.spot().clone();
    root.finish();
    Draft { globals, ports, interfaces, routes, neighbors, pools, services, spot }
}

fn port(section: Section<'_, '_>) -> PortDraft {
    let name = section.required("name", "give the port a name, as in name = \"wan\"");
    let name = name.and_then(|node| node.parsed(text::name));
    let device = section.field("device").and_then(|node| node.parsed(device));
    let mac = section.field("mac").and_then(|node| node.parsed(mac));
    let rest = Port {
        name: String::new(),
        device: None,
        mac: None,
        mtu: section.number("mtu", 576..=9216).unwrap_or(1500),
        rx_desc: section.number("rx_desc", 64..=32_768).unwrap_or(1024),
        tx_desc: section.number("tx_desc", 64..=32_768).unwrap_or(1024),
        promiscuous: section.flag("promiscuous").unwrap_or(false),
        steering: section.choice("steering").unwrap_or_default(),
    };
    section.finish();
    PortDraft { name, device, mac, rest }
}

fn interface(section: Section<'_, '_>) -> InterfaceDraft {
    let port = section.required("port", "name the [[port]] that it is on");
    let port = port.and_then(|node| node.parsed(|name| Ok(name.to_owned())));
    let vlan = section.number("vlan", 1..=4094);
    let given = section.required("addresses", "give the gateway's own address there, as in [\"198.18.1.254/24\"]");
    let nodes = given.iter().flat_map(|node| node.elements()).collect::<Vec<_>>();
    let count = nodes.len();
    let addresses: Vec<_> = nodes.into_iter().filter_map(|node| node.parsed(text::own_address)).collect();
    if let Some(node) = given.filter(|node| count == 0 && node.is_array()) {
        node.fault(Fault::new("has no address", "give the gateway's own address there, as in [\"198.18.1.254/24\"]"));
    }
    let (spot, partial) = (section.spot().clone(), addresses.len() < count.max(1));
    section.finish();
    InterfaceDraft { spot, port, vlan, addresses, partial }
}

fn route(section: Section<'_, '_>) -> RouteDraft {
    let to = section.required("to", "give the destinations, as in to = \"0.0.0.0/0\" or to = \"::/0\"");
    let to = to.and_then(|node| node.parsed(text::destination));
    let via = section.required("via", "give the next hop's address, as in via = \"198.18.1.1\"");
    let via = via.and_then(|node| node.parsed(text::on_link));
    let interface = interface_name(&section);
    section.finish();
    RouteDraft { to, via, interface }
}

fn neighbor(section: Section<'_, '_>) -> NeighborDraft {
    let address = section.required("address", "give the neighbour's address");
    let address = address.and_then(|node| node.parsed(text::on_link));
    let interface = interface_name(&section);
    let given = section.required("mac", "give its MAC address, as in mac = \"02:00:00:00:02:21\"");
    let mac = given.and_then(|node| node.parsed(mac)).map(|mac| mac.value);
    section.finish();
    NeighborDraft { address, mac, interface }
}

/// The interface that a link-local address is on, as `gatun status` names it: `wan`, or `lan.100` for a VLAN.
fn interface_name(section: &Section<'_, '_>) -> Option<At<String>> {
    section.field("interface").and_then(|node| node.parsed(|name| Ok(name.to_owned())))
}

fn pool(section: Section<'_, '_>) -> PoolDraft {
    let name = section.required("name", "give the pool a name, as in name = \"lan\"");
    let name = name.and_then(|node| node.parsed(text::name));
    let given = section.required("addresses", "give the local addresses, as in [\"198.18.2.100-198.18.2.101\"]");
    let nodes = given.iter().flat_map(|node| node.elements()).collect::<Vec<_>>();
    let count = nodes.len();
    let entries: Vec<_> = nodes.into_iter().filter_map(|node| node.parsed(text::pool_entry)).collect();
    if let Some(node) = given.filter(|node| count == 0 && node.is_array()) {
        node.fault(Fault::new("is an empty pool", "give at least one local address"));
    }
    let (spot, partial) = (section.spot().clone(), entries.len() < count);
    section.finish();
    PoolDraft { spot, name, entries, partial }
}

fn service(section: Section<'_, '_>, globals: &Globals) -> ServiceDraft {
    let name = section.field("name").and_then(|node| node.parsed(text::title));
    let protocol = section.required("protocol", "write protocol = \"tcp\" or \"udp\"").and_then(|node| node.choice());
    let address = section.required("address", "give VIP and port, as in address = \"198.18.1.100:80\"");
    let address = address.and_then(|node| node.parsed(text::endpoint));
    let pool = match section.field("laddr_pool") {
        None => PoolRef::Absent,
        Some(node) => match node.parsed(|name| Ok(name.to_owned())) {
            None => PoolRef::Unreadable,
            Some(name) => PoolRef::To(name),
        },
    };
    let draft = ServiceDraft {
        spot: section.spot().clone(),
        name,
        protocol,
        address,
        scheduler: section.choice("scheduler").unwrap_or(Scheduler::Wlc),
        pool,
        mss_clamp: mss_clamp(&section, protocol),
        timeouts: globals::timeouts(section.section("timeouts"), globals.timeouts),
        on_server_removed: section.choice("on_server_removed").unwrap_or(globals.tcp.on_server_removed),
        reals: section.list("real", real).items,
    };
    section.finish();
    draft
}

fn mss_clamp(section: &Section<'_, '_>, protocol: Option<Protocol>) -> Option<u16> {
    let node = section.field("mss_clamp")?;
    if protocol == Some(Protocol::Udp) {
        node.fault(Fault::new("says nothing about UDP, which has no MSS", "take it out"));
    }
    node.number(536..=9176)
}

fn real(section: Section<'_, '_>) -> RealDraft {
    let address = section.required("address", "give the server's address and port, as in \"198.18.2.21:80\"");
    let address = address.and_then(|node| node.parsed(text::endpoint));
    let weight = section.number("weight", 0..=65_535).unwrap_or(1);
    section.finish();
    RealDraft { address, weight }
}

fn device(text: &str) -> Result<String, Fault> {
    let usable = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !usable {
        let remedy = "give a PCI address as in 0000:01:00.0, or a vdev as in net_af_packet0,iface=eth1";
        return Err(Fault::new("is not a device", remedy));
    }
    Ok(text.to_owned())
}

fn mac(text: &str) -> Result<Mac, Fault> {
    text.parse().map_err(|error: MacError| Fault::new(error.to_string(), "give a unicast one, as in 02:00:00:00:02:21"))
}
