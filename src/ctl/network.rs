//! `gatunctl laddr`, `route`, `neigh`, `port` and `lcore`.

use super::services::word;
use super::table::{facts, percent, table};
use super::{Ctl, Done};
use crate::api::types::{Edit, Item, LaddrPool, LaddrPoolSpec, Lcore, Neighbor, NeighborSpec, Port, Route, RouteSpec};
use crate::client::segment;
use std::collections::BTreeMap;
use std::net::IpAddr;

#[derive(clap::Subcommand)]
pub(super) enum LaddrCommand {
    /// List the pools.
    List,
    /// Add a pool.
    #[command(after_help = "Example:
  gatunctl laddr add lan 198.18.2.100-198.18.2.163")]
    Add {
        /// What services call it.
        name: String,
        /// Addresses, ranges and subnets.
        #[arg(required = true)]
        addresses: Vec<String>,
    },
    /// Give a pool other addresses.
    Set {
        /// Which.
        name: String,
        /// All its addresses, ranges and subnets.
        #[arg(required = true)]
        addresses: Vec<String>,
    },
    /// Take a pool away that no service takes from.
    Delete {
        /// Which.
        name: String,
    },
}

#[derive(clap::Subcommand)]
pub(super) enum RouteCommand {
    /// List them.
    List,
    /// Add one.
    Add {
        /// The destinations, as in 198.18.64.0/18.
        to: String,
        /// The next hop.
        via: IpAddr,
        /// The interface of a link-local next hop, as in lan or lan.100.
        #[arg(long)]
        interface: Option<String>,
    },
    /// Give one another next hop, or add it.
    Set {
        /// The destinations, as in 198.18.64.0/18.
        to: String,
        /// The next hop.
        via: IpAddr,
        /// The interface of a link-local next hop, as in lan or lan.100.
        #[arg(long)]
        interface: Option<String>,
    },
    /// Take one away.
    Delete {
        /// The destinations, as in 198.18.64.0/18.
        to: String,
    },
}

#[derive(clap::Subcommand)]
pub(super) enum NeighCommand {
    /// List them.
    List,
    /// Write one down, which is then never asked.
    Set {
        /// Its address.
        address: IpAddr,
        /// Its MAC address.
        mac: String,
        /// The interface of a link-local address, as in lan or lan.100.
        #[arg(long)]
        interface: Option<String>,
    },
    /// Forget one that was written down.
    Delete {
        /// Its address.
        address: IpAddr,
        /// The interface of a link-local address, as in lan or lan.100.
        #[arg(long)]
        interface: Option<String>,
    },
}

#[derive(clap::Subcommand)]
pub(super) enum PortCommand {
    /// List them.
    List,
    /// One, with its driver, offloads and own counters.
    Show {
        /// Its name.
        name: String,
    },
}

#[derive(clap::Subcommand)]
pub(super) enum LcoreCommand {
    /// List them.
    List,
    /// One, with every counter.
    Show {
        /// Its EAL lcore.
        id: u32,
    },
}

pub(super) fn laddr(ctl: &Ctl, command: LaddrCommand) -> Done {
    match command {
        LaddrCommand::List => {
            let pools: Vec<LaddrPool> = ctl.client.list("/api/v1/laddr-pools", &[], usize::MAX)?;
            ctl.show(&pools, |pools| {
                let mut t = table(&["pool", "addresses", "size", "services"], 2);
                for p in pools {
                    t.add_row([&p.name, &p.addresses.join(" "), &p.size.to_string(), &p.services.len().to_string()]);
                }
                t.trim_fmt()
            })
        }
        LaddrCommand::Add { name, addresses } => {
            ctl.edit(vec![Edit::AddLaddrPool { laddr_pool: LaddrPoolSpec { name, addresses } }])
        }
        LaddrCommand::Set { name, addresses } => {
            // A slip of the pen makes no new pool.
            let _: Item<LaddrPool> = ctl.client.get(&format!("/api/v1/laddr-pools/{}", segment(&name)), &[])?;
            ctl.edit(vec![Edit::PutLaddrPool { laddr_pool: LaddrPoolSpec { name, addresses } }])
        }
        LaddrCommand::Delete { name } => ctl.edit(vec![Edit::DeleteLaddrPool { name }]),
    }
}

pub(super) fn route(ctl: &Ctl, command: RouteCommand) -> Done {
    match command {
        RouteCommand::List => {
            let routes: Vec<Route> = ctl.client.list("/api/v1/routes", &[], usize::MAX)?;
            ctl.show(&routes, |routes| {
                let mut t = table(&["to", "via", "interface"], 3);
                for r in routes {
                    t.add_row([&r.to, &r.via.to_string(), &r.interface]);
                }
                t.trim_fmt()
            })
        }
        RouteCommand::Add { to, via, interface } => {
            ctl.edit(vec![Edit::AddRoute { route: RouteSpec { to, via, interface } }])
        }
        RouteCommand::Set { to, via, interface } => {
            ctl.edit(vec![Edit::PutRoute { route: RouteSpec { to, via, interface } }])
        }
        RouteCommand::Delete { to } => ctl.edit(vec![Edit::DeleteRoute { id: to.replace('/', "-") }]),
    }
}

pub(super) fn neigh(ctl: &Ctl, command: NeighCommand) -> Done {
    match command {
        NeighCommand::List => {
            let neighbors: Vec<Neighbor> = ctl.client.list("/api/v1/neighbors", &[], usize::MAX)?;
            ctl.show(&neighbors, |neighbors| {
                let mut t = table(&["next hop", "interface", "mac", "state", ""], 5);
                for n in neighbors {
                    let fixed = if n.fixed { "written down" } else { "" };
                    let mac = n.mac.as_deref().unwrap_or("");
                    t.add_row([&n.address.to_string(), &n.interface, mac, &word(&n.state), fixed]);
                }
                t.trim_fmt()
            })
        }
        NeighCommand::Set { address, mac, interface } => {
            ctl.edit(vec![Edit::PutNeighbor { neighbor: NeighborSpec { address, mac, interface } }])
        }
        NeighCommand::Delete { address, interface } => ctl.edit(vec![Edit::DeleteNeighbor { address, interface }]),
    }
}

pub(super) fn port(ctl: &Ctl, command: PortCommand) -> Done {
    match command {
        PortCommand::List => {
            let ports: Vec<Port> = ctl.client.list("/api/v1/ports", &[], usize::MAX)?;
            ctl.show(&ports, |ports| {
                let header =
                    ["port", "link", "driver", "mac", "queues", "rx frames", "missed", "errors", "tx frames", "errors"];
                let mut t = table(&header, 4);
                for p in ports {
                    let stat = |name: &str| p.stats.get(name).copied().unwrap_or_default().to_string();
                    let numbers = ["rx_frames", "rx_missed", "rx_errors", "tx_frames", "tx_errors"].map(stat);
                    let mut row = vec![p.name.clone(), link(p), p.driver.clone(), p.mac.clone()];
                    row.push(format!("{}/{}", p.rx_queues, p.tx_queues));
                    row.extend(numbers);
                    t.add_row(row);
                }
                t.trim_fmt()
            })
        }
        PortCommand::Show { name } => {
            let port: Item<Port> = ctl.client.get(&format!("/api/v1/ports/{}", segment(&name)), &[])?;
            ctl.show(&port.item, |p| {
                let s = &p.steering;
                let all = [
                    ("port", p.name.clone()),
                    ("link", link(p)),
                    ("device", p.device.clone()),
                    ("driver", p.driver.clone()),
                    ("mac", p.mac.clone()),
                    ("mtu", p.mtu.to_string()),
                    ("queues", format!("{} to receive, {} to send", p.rx_queues, p.tx_queues)),
                    ("offloads", p.offloads.join(" ")),
                    ("steering", format!("{} (asked: {}; falls: {}): {}", s.runs, s.asked, s.falls, s.why)),
                ];
                let more: Vec<(&str, u64)> = numbers(&p.stats).chain(numbers(&p.xstats)).collect();
                format!("{}\n\n{}", facts(&all), counters(more))
            })
        }
    }
}

fn link(p: &Port) -> String {
    match (p.up, p.speed) {
        (false, _) => "down".to_owned(),
        (true, None) => "up".to_owned(),
        (true, Some(speed)) => format!("{speed} Mbit/s"),
    }
}

pub(super) fn lcore(ctl: &Ctl, command: LcoreCommand) -> Done {
    match command {
        LcoreCommand::List => {
            let lcores: Vec<Lcore> = ctl.client.list("/api/v1/lcores", &[], usize::MAX)?;
            ctl.show(&lcores, |lcores| {
                let header = [
                    "lcore",
                    "cpu",
                    "busy",
                    "burst",
                    "connections",
                    "ports in use",
                    "handed over",
                    "generation",
                    "stalls",
                    "",
                ];
                let mut t = table(&header, 0);
                for l in lcores {
                    let mut row =
                        vec![l.id.to_string(), l.cpu.to_string(), percent(l.busy), format!("{:.1}", l.burst_fill)];
                    row.extend([l.connections, l.ports_in_use].map(|n| n.to_string()));
                    row.push(percent(l.redirected));
                    row.extend([l.generation_running, l.stalls].map(|n| n.to_string()));
                    row.push(l.stalled.as_ref().map_or(String::new(), |at| format!("stalled {at}")));
                    t.add_row(row);
                }
                t.trim_fmt()
            })
        }
        LcoreCommand::Show { id } => {
            let lcore: Item<Lcore> = ctl.client.get(&format!("/api/v1/lcores/{id}"), &[])?;
            ctl.show(&lcore.item, |l| {
                let all = [
                    ("lcore", format!("{} on CPU {}", l.id, l.cpu)),
                    ("busy", percent(l.busy)),
                    ("burst", format!("{:.1} frames of 64", l.burst_fill)),
                    ("connections", l.connections.to_string()),
                    ("ports in use", l.ports_in_use.to_string()),
                    ("handed over", percent(l.redirected)),
                ];
                let tables = [("state", &l.states), ("counter", &l.counters), ("drop", &l.drops), ("punt", &l.punts)];
                let named = tables.iter().flat_map(|(kind, map)| {
                    map.iter().filter(|(_, n)| **n > 0).map(move |(name, n)| (format!("{kind} {name}"), *n))
                });
                let named: Vec<(String, u64)> = named.collect();
                format!("{}\n\n{}", facts(&all), counters(named.iter().map(|(name, n)| (name.as_str(), *n)).collect()))
            })
        }
    }
}

fn numbers(map: &BTreeMap<String, u64>) -> impl Iterator<Item = (&str, u64)> {
    map.iter().map(|(name, n)| (name.as_str(), *n))
}

fn counters(list: Vec<(&str, u64)>) -> String {
    let mut t = table(&["counter", "since the start"], 1);
    for (name, n) in list {
        t.add_row([name, &n.to_string()]);
    }
    t.trim_fmt()
}
