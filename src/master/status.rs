//! What the running gateway says of itself: services, neighbours, counters, connections.

use super::cpus::Place;
use super::{Master, Seat};
use crate::config::ServiceId;
use crate::config::compile;
use gatun_engine::addr::Addr;
use gatun_engine::conn::record::Record;
use gatun_engine::neighbor::NudState;
use gatun_engine::stats::LcoreStats;
use gatun_engine::verdict::{DropReason, PuntReason};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The whole answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// Counts the configurations of this run.
    pub generation: u64,
    /// The oldest generation that a worker still runs.
    pub generation_running: u64,
    /// Every configured next hop has been probed.
    pub ready: bool,
    /// In the order of the file.
    pub services: Vec<Service>,
    /// `lcores.workers` of the file: `auto`, or the list.
    pub workers: String,
    /// The share of received frames that had to be handed over to the worker that owns them.
    pub redirected: f64,
    /// One a worker.
    pub lcores: Vec<Lcore>,
    /// Every next hop that is known or asked for.
    pub neighbors: Vec<Neighbor>,
    /// In the order of the file.
    pub ports: Vec<Port>,
    /// What the master's responders did.
    pub local: BTreeMap<String, u64>,
    /// Only when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<Vec<Connection>>,
}

/// A service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// tcp or udp.
    pub protocol: String,
    /// VIP and port.
    pub address: String,
    /// Its scheduler.
    pub scheduler: String,
    /// Its servers, in the order of the file.
    pub reals: Vec<Real>,
}

/// A real server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Real {
    /// Address and port.
    pub address: String,
    /// Its weight.
    pub weight: u32,
    /// Connections that LVS calls active.
    pub active: u64,
    /// All other connections.
    pub inactive: u64,
    /// Connections ever.
    pub conns: u64,
    /// Packets from clients.
    pub in_pkts: u64,
    /// Packets to clients.
    pub out_pkts: u64,
    /// Bytes from clients.
    pub in_bytes: u64,
    /// Bytes to clients.
    pub out_bytes: u64,
}

/// A worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lcore {
    /// Its EAL lcore.
    pub id: u32,
    /// Its CPU.
    pub cpu: u32,
    /// Every counter.
    pub counters: BTreeMap<String, u64>,
    /// Drops by reason, where there were any.
    pub drops: BTreeMap<String, u64>,
    /// Punts by reason, where there were any.
    pub punts: BTreeMap<String, u64>,
    /// In less out: 0, always, as the counters are taken between two turns.
    pub balance: i64,
    /// The share of the frames that it received that it had to hand over.
    pub redirected: f64,
    /// How often it made no progress for a second although it ran.
    pub stalls: u64,
    /// How often it made no progress for a second because it did not get to run.
    pub descheduled: u64,
    /// Where it is, while it is stalled. Its counters are then those of the moment, and need not balance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stalled: Option<String>,
}

/// A next hop.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Neighbor {
    /// Its address.
    pub address: String,
    /// The port, with the VLAN where there is one: `lan`, `lan.100`.
    pub interface: String,
    /// Its MAC address, or nothing.
    pub mac: String,
    /// reachable, incomplete or failed.
    pub state: String,
}

/// A port.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The device.
    pub device: String,
    /// Its MAC address.
    pub mac: String,
    /// Whether the link is up.
    pub up: bool,
    /// Its queues. Workers without one live on what others hand over, and send through others.
    pub rx_queues: usize,
    /// How its packets come to the worker that owns their connection.
    pub steering: Steering,
    /// Frames received and sent, and what the device lost.
    pub stats: BTreeMap<String, u64>,
}

/// The steering of a port.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Steering {
    /// What the file asks for: auto, rss, flow, software.
    pub asked: String,
    /// What runs: rss, flow, software.
    pub runs: String,
    /// Why, in a sentence.
    pub why: String,
    /// How often it fell to software from what was asked for.
    pub falls: u64,
}

/// A connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connection {
    /// tcp or udp.
    pub protocol: String,
    /// cip:cport
    pub client: String,
    /// vip:vport
    pub vip: String,
    /// lip:lport
    pub local: String,
    /// rip:rport
    pub real: String,
    /// As ipvsadm names it.
    pub state: String,
    /// Seconds until it expires.
    pub expires: u32,
}

impl Master {
    /// The same when the workers have ended.
    pub fn last_status(&self) -> Status {
        let counts: Vec<&LcoreStats> = self.seats.iter().map(|s| &s.stats.lcore).collect();
        self.status(&counts)
    }

    /// Everything but the connections.
    pub fn status(&self, counts: &[&LcoreStats]) -> Status {
        Status {
            version: env!("GATUN_VERSION").to_owned(),
            generation: self.snapshot.generation,
            generation_running: self.generation_running(),
            ready: self.ready,
            services: self.services(),
            workers: self.model.lcores.workers.to_string(),
            redirected: share(counts.iter().copied()),
            lcores: self.lcores(counts),
            neighbors: self.neighbor_table(),
            ports: self.port_table(),
            local: self.local.stats.named().map(|(name, value)| (name.to_owned(), value)).collect(),
            connections: None,
        }
    }

    fn services(&self) -> Vec<Service> {
        let service = |s: &Arc<crate::config::Service>| {
            let compiled = self.compiled(&s.id());
            let reals = compiled.iter().flat_map(|c| c.reals.iter().rev()).map(|r| self.real(r)).collect();
            Service {
                name: s.name.clone(),
                protocol: s.protocol.to_string(),
                address: s.address.to_string(),
                scheduler: s.scheduler.to_string(),
                reals,
            }
        };
        self.model.services.iter().map(service).collect()
    }

    /// A service as the workers know it.
    pub(super) fn compiled(&self, service: &ServiceId) -> Option<&Arc<gatun_engine::snapshot::Service>> {
        self.snapshot.services.get(&compile::key_of(service))
    }

    fn real(&self, r: &gatun_engine::snapshot::Real) -> Real {
        use gatun_engine::stats::{Counter, Stats};
        let sum =
            |of: &dyn Fn(&Stats) -> &Counter| self.seats.iter().fold(0u64, |n, s| n.wrapping_add(of(&s.stats).value()));
        Real {
            address: compile::socket(r.addr, r.port).to_string(),
            weight: r.weight,
            active: sum(&|s| &s.real(r.id).active),
            inactive: sum(&|s| &s.real(r.id).inactive),
            conns: sum(&|s| &s.real(r.id).conns),
            in_pkts: sum(&|s| &s.traffic(r.id).in_pkts),
            out_pkts: sum(&|s| &s.traffic(r.id).out_pkts),
            in_bytes: sum(&|s| &s.traffic(r.id).in_bytes),
            out_bytes: sum(&|s| &s.traffic(r.id).out_bytes),
        }
    }

    fn lcores(&self, counts: &[&LcoreStats]) -> Vec<Lcore> {
        let lcore = |((place, seat), s): ((&Place, &Seat), &&LcoreStats)| {
            let nonzero = |(label, n): (&str, u64)| (n > 0).then(|| (label.to_owned(), n));
            Lcore {
                id: place.lcore,
                cpu: place.cpu,
                counters: s.named().map(|(name, value, _)| (name.to_owned(), value)).collect(),
                drops: DropReason::ALL.iter().filter_map(|r| nonzero((r.label(), s.drop(*r).value()))).collect(),
                punts: PuntReason::ALL.iter().filter_map(|r| nonzero((r.label(), s.punt(*r).value()))).collect(),
                balance: s.balance() as i64,
                redirected: share(std::iter::once(*s)),
                stalls: seat.watch.stalls,
                descheduled: seat.watch.descheduled,
                stalled: seat.watch.stuck().map(|position| position.to_string()),
            }
        };
        self.places.workers.iter().zip(&self.seats).zip(counts).map(lcore).collect()
    }

    fn neighbor_table(&self) -> Vec<Neighbor> {
        let mut table: Vec<_> = self.neighbors.claimed().collect();
        table.sort_by_key(|(_, iface, addr)| (*iface, *addr));
        let row = |(id, iface, addr): (_, _, Addr)| {
            let cell = self.neighbors.cell(id);
            let (mac, state) = match cell.state {
                NudState::Reachable => (cell.mac.to_string(), "reachable"),
                NudState::Incomplete => (String::new(), "incomplete"),
                NudState::Failed => (String::new(), "failed"),
            };
            Neighbor { address: addr.to_string(), interface: self.interface(iface), mac, state: state.to_owned() }
        };
        table.into_iter().map(row).collect()
    }

    pub(super) fn interface(&self, iface: gatun_engine::addr::IfaceId) -> String {
        self.model.interface_name(crate::config::InterfaceId(iface.index()))
    }

    fn port_table(&self) -> Vec<Port> {
        let row = |(i, (config, port)): (usize, (&crate::config::Port, &dpdk::Port))| {
            let mac = self.snapshot.ifaces.iter().find(|f| f.port.index() == i).map(|f| f.mac.to_string());
            let stats = port.stats().map(|s| super::observe::named(&s)).unwrap_or_default();
            Port {
                name: config.name.clone(),
                device: config.device.clone().unwrap_or_default(),
                mac: mac.unwrap_or_default(),
                up: port.link().is_ok_and(|l| l.up),
                rx_queues: usize::from(port.rx_queues()),
                steering: self.steerings.get(i).map(steering).unwrap_or_default(),
                stats,
            }
        };
        self.model.ports.iter().zip(&self.ports).enumerate().map(row).collect()
    }
}

/// Frames that were handed over to their owner, of all that were received.
fn share<'a>(lcores: impl Iterator<Item = &'a LcoreStats>) -> f64 {
    let of = |s: &LcoreStats| (s.to_ring.value().saturating_sub(s.relayed.value()), s.rx.value());
    let (handed_over, received) = lcores.map(of).fold((0, 0), |(a, b), (x, y)| (a + x, b + y));
    if received == 0 { 0.0 } else { handed_over as f64 / received as f64 }
}

fn steering(s: &super::steering::Steering) -> Steering {
    let (asked, runs, why) = s.tell();
    Steering { asked: asked.to_string(), runs: runs.to_string(), why, falls: s.falls() }
}

/// A connection as it is listed.
pub fn connection(r: &Record) -> Connection {
    let side = |addr, port| compile::socket(addr, port).to_string();
    Connection {
        protocol: r.client.proto().to_string(),
        client: side(r.client.src(), r.client.sport()),
        vip: side(r.client.dst(), r.client.dport()),
        local: side(r.reply.dst(), r.reply.dport()),
        real: side(r.reply.src(), r.reply.sport()),
        state: r.state.name().to_owned(),
        expires: r.remaining.as_secs(),
    }
}
