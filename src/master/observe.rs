//! What others may see of the master: short looks, each at most as long as the list of ports or workers.

use super::Master;
use crate::api::types::{Neighbor, NeighborState, Port, PortSteering};
use crate::config::Model;
use crate::worker::progress::Progress;
use dpdk::port::PortStats;
use gatun_engine::addr::Addr;
use gatun_engine::neighbor::NudState;
use gatun_engine::snapshot::{Local, LocalKind, Snapshot};
use gatun_engine::stats::{LipUse, Stats};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// A worker as it is listed, without its counters.
pub struct Place {
    /// Its EAL lcore.
    pub lcore: u32,
    /// Its CPU.
    pub cpu: u32,
    /// The generation that it runs.
    pub generation: u64,
    /// How often it made no progress although it ran.
    pub stalls: u64,
    /// How often it did not get to run.
    pub descheduled: u64,
    /// Where it is, while it is stalled.
    pub stalled: Option<String>,
}

impl Master {
    /// The model that runs.
    pub fn model(&self) -> Arc<Model> {
        self.model.clone()
    }

    /// What the workers were given of it last: the servers' ids are in it.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.clone()
    }

    /// Its generation.
    pub fn generation(&self) -> u64 {
        self.snapshot.generation
    }

    /// Whether every configured next hop has been probed.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// What each worker counts, and whether it makes progress.
    pub fn observed(&self) -> Vec<(Arc<Stats>, Arc<Progress>)> {
        self.seats.iter().map(|seat| (seat.stats.clone(), seat.progress.clone())).collect()
    }

    /// How many ids of servers were ever given.
    pub fn reals_known(&self) -> usize {
        self.snapshot.reals.len()
    }

    /// The local addresses in the order of the pools, and how their ports stand on all workers.
    pub fn laddrs(&self) -> Vec<(IpAddr, LipUse)> {
        let addresses = self.model.laddr_pools.iter().flat_map(|pool| &pool.addresses);
        addresses.map(|address| (*address, self.laddr(*address))).collect()
    }

    /// How the ports of one of them stand.
    pub(super) fn laddr(&self, address: IpAddr) -> LipUse {
        let local = self.snapshot.locals.get(&Addr::from(address));
        let Some(Local { kind: LocalKind::Lip(id), .. }) = local else { return LipUse::default() };
        self.seats.iter().map(|seat| seat.stats.lips.of(*id)).fold(LipUse::default(), |sum, of| LipUse {
            taken: sum.taken + of.taken,
            fullest: sum.fullest.max(of.fullest),
        })
    }

    /// What each port counts; zeros where its driver does not say.
    pub fn port_counters(&self) -> Vec<PortStats> {
        self.ports.iter().map(|port| port.stats().unwrap_or_default()).collect()
    }

    /// Each port, and whether its link is up.
    pub fn links(&self) -> Vec<(String, bool)> {
        let up = |port: &dpdk::Port| port.link().is_ok_and(|l| l.up);
        self.model.ports.iter().zip(&self.ports).map(|(config, port)| (config.name.clone(), up(port))).collect()
    }

    /// The workers.
    pub fn workers(&self) -> Vec<Place> {
        let place = |(place, seat): (&super::cpus::Place, &super::Seat)| Place {
            lcore: place.lcore,
            cpu: place.cpu,
            generation: seat.generation,
            stalls: seat.watch.stalls,
            descheduled: seat.watch.descheduled,
            stalled: seat.watch.stuck().map(|position| position.to_string()),
        };
        self.places.workers.iter().zip(&self.seats).map(place).collect()
    }

    /// Every next hop that is known or asked for, in the order of interfaces and addresses.
    pub fn neighbors(&self) -> Vec<Neighbor> {
        let row = |(id, iface, addr): (_, _, gatun_engine::addr::Addr)| {
            let cell = self.neighbors.cell(id);
            let address = IpAddr::from(addr);
            let (mac, state) = match cell.state {
                NudState::Reachable => (Some(cell.mac.to_string()), NeighborState::Reachable),
                NudState::Incomplete => (None, NeighborState::Incomplete),
                NudState::Failed => (None, NeighborState::Failed),
            };
            let fixed = self.model.neighbors.iter().any(|n| n.address == address);
            Neighbor { address, interface: self.interface(iface), mac, state, fixed }
        };
        let mut table: Vec<_> = self.neighbors.claimed().map(row).collect();
        table.sort_by(|a, b| (&a.interface, a.address).cmp(&(&b.interface, b.address)));
        table
    }

    /// The ports; the device's own counters only of the one that is named.
    pub fn listed_ports(&self, with_xstats: Option<&str>) -> Vec<Port> {
        let row = |(i, (config, port)): (usize, (&crate::config::Port, &dpdk::Port))| {
            let link = port.link();
            let granted = port.granted();
            let rx = granted.rx_offloads.iter_names().map(|(name, _)| format!("rx_{}", name.to_lowercase()));
            let tx = granted.tx_offloads.iter_names().map(|(name, _)| format!("tx_{}", name.to_lowercase()));
            let mac = self.snapshot.ifaces.iter().find(|f| f.port.index() == i).map(|f| f.mac.to_string());
            let steering = self.steerings.get(i).map(|s| {
                let (asked, runs, why) = s.tell();
                PortSteering { asked: asked.to_string(), runs: runs.to_string(), why, falls: s.falls() }
            });
            let xstats = (with_xstats == Some(config.name.as_str())).then(|| port.xstats().unwrap_or_default());
            Port {
                name: config.name.clone(),
                device: config.device.clone().unwrap_or_default(),
                driver: port.info().map(|info| info.driver).unwrap_or_default(),
                mac: mac.unwrap_or_default(),
                up: link.as_ref().is_ok_and(|l| l.up),
                speed: link.ok().and_then(|l| l.speed_mbps),
                mtu: config.mtu,
                rx_queues: port.rx_queues().into(),
                tx_queues: port.tx_queues().into(),
                offloads: rx.chain(tx).collect(),
                steering: steering.unwrap_or_default(),
                stats: port.stats().map(|s| named(&s)).unwrap_or_default(),
                xstats: xstats.into_iter().flatten().collect(),
            }
        };
        self.model.ports.iter().zip(&self.ports).enumerate().map(row).collect()
    }
}

/// A port's counters by name.
pub(super) fn named(s: &PortStats) -> BTreeMap<String, u64> {
    let named = [
        ("rx_frames", s.ipackets),
        ("rx_bytes", s.ibytes),
        ("rx_missed", s.imissed),
        ("rx_errors", s.ierrors),
        ("rx_no_mbuf", s.rx_nombuf),
        ("tx_frames", s.opackets),
        ("tx_bytes", s.obytes),
        ("tx_errors", s.oerrors),
    ];
    named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
