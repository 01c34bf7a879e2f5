//! What a worker may know of the configuration: immutable, made by the master, shared by `Arc`.
//!
//! Scheduler state, counts and statistics are not here: they live in the shard, by stable id. Neighbours are not here
//! either: they are cells that change without a new snapshot.

use crate::addr::*;
use crate::conn::state::Timeouts;
use crate::sched::Scheduler;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hashbrown::HashMap;

/// An IPv4 interface: a port, or a VLAN on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iface {
    /// Its port.
    pub port: PortId,
    /// Its VLAN, 0 for untagged.
    pub vlan: u16,
    /// Its MAC address.
    pub mac: Mac,
    /// Largest IP packet in bytes.
    pub mtu: u16,
    /// Its own addresses and the lengths of their prefixes; the first is the source of what we send.
    pub addrs: Vec<(Be32, u8)>,
}

/// What an address of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalKind {
    /// A virtual IP.
    Vip,
    /// A local address of a pool.
    Lip(LipId),
    /// An interface's own.
    Own,
}

/// An address of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// What it is for.
    pub kind: LocalKind,
    /// The interface that answers ARP for it; `None` for one that is only routed to us.
    pub iface: Option<IfaceId>,
}

/// A pool of local addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    lips: Vec<Lip>,
    print: u32,
}

impl Pool {
    /// Of these addresses, in the order of the configuration.
    pub fn new(lips: Vec<Lip>) -> Pool {
        let mix = |h: u64, lip: &Lip| (h ^ u64::from(lip.id.0)).wrapping_mul(0x9fb2_1c65_1e98_df25).rotate_left(29);
        let print = (lips.iter().fold(lips.len() as u64, mix) >> 16) as u32 | 1;
        Pool { lips, print }
    }

    /// Its addresses, in the order of the configuration.
    #[inline(always)]
    pub fn lips(&self) -> &[Lip] {
        &self.lips
    }

    /// A hash of the ids of its addresses, never 0: what is known of one pool does not hold for another.
    pub fn print(&self) -> u32 {
        self.print
    }
}

impl Default for Pool {
    fn default() -> Self {
        Pool::new(Vec::new())
    }
}

/// A local address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lip {
    /// Its id, unique among all pools.
    pub id: LipId,
    /// Its address.
    pub addr: Be32,
}

/// A real server of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Real {
    /// Its id: unique to the pair of service and server.
    pub id: RealId,
    /// What local ports are taken towards.
    pub endpoint: EndpointId,
    /// Its address.
    pub addr: Be32,
    /// Its port.
    pub port: Be16,
    /// Its weight; 0 drains.
    pub weight: u32,
}

/// What to do with the connections of a server that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnRemoved {
    /// TCP: a RST to both sides with the next packet. UDP: schedule again with the next packet.
    #[default]
    Reset,
    /// Drop in silence, as LVS does with `expire_nodest_conn=0`; a server that comes back goes on with them.
    Silent,
}

/// A virtual service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// TCP or UDP.
    pub proto: Proto,
    /// The virtual IP.
    pub vip: Be32,
    /// The virtual port.
    pub vport: Be16,
    /// How a server is chosen.
    pub scheduler: Scheduler,
    /// Changes whenever `reals` or `scheduler` do: schedulers start over then, as LVS's do.
    pub version: u32,
    /// The servers in LVS's order: the newest first.
    pub reals: Vec<Real>,
    /// Where local addresses come from.
    pub pool: Arc<Pool>,
    /// The seat of its timeouts in [`Snapshot::profiles`].
    pub profile: u8,
    /// Largest MSS to let pass in a SYN, either way.
    pub mss_clamp: Option<u16>,
    /// See [`OnRemoved`].
    pub on_removed: OnRemoved,
}

/// What a connection needs to know of its server, by [`RealId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RealState {
    /// There is none of this id.
    #[default]
    Absent,
    /// Takes new connections, or drains: what exists goes on.
    Present,
    /// Removed: TCP is reset, UDP scheduled again.
    RemovedReset,
    /// Removed: packets are dropped in silence.
    RemovedSilent,
}

/// What happens to the timestamp option of a SYN on a local port that may still be in TIME_WAIT at its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SynTimestamps {
    /// Nothing.
    Keep,
    /// It is taken out when the port was used a short time ago: the server then has nothing to compare.
    #[default]
    Hot,
    /// It is taken out of every SYN.
    Strip,
}

/// Settings that are the same for all services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// See [`SynTimestamps`].
    pub syn_timestamps: SynTimestamps,
    /// Raise the sequence numbers of a connection whose reused port needs it.
    pub raise_sequence: bool,
}

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The prefix.
    pub prefix: Be32,
    /// Its length, 0..=32.
    pub len: u8,
    /// Where it leads.
    pub to: RouteTo,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteTo {
    /// The destination is on this interface's link.
    OnLink(IfaceId),
    /// To a gateway.
    Via(NeighborId),
}

/// Longest prefix match: one hash table a prefix length in use, longest first.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    by_len: Vec<(u32, HashMap<u32, RouteTo>)>,
}

impl Routes {
    /// From routes; of two for the same prefix the later wins.
    pub fn new(routes: &[Route]) -> Routes {
        let mut by_len: Vec<(u32, HashMap<u32, RouteTo>)> = Vec::new();
        for len in (0..=32u8).rev() {
            let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
            let table: HashMap<u32, RouteTo> =
                routes.iter().filter(|r| r.len == len).map(|r| (r.prefix.host() & mask, r.to)).collect();
            if !table.is_empty() {
                by_len.push((mask, table));
            }
        }
        Routes { by_len }
    }

    /// The route of the longest prefix that contains `addr`.
    pub fn lookup(&self, addr: Be32) -> Option<RouteTo> {
        self.by_len.iter().find_map(|(mask, table)| table.get(&(addr.host() & mask)).copied())
    }
}

/// The addresses of ours.
pub type LocalMap = HashMap<Be32, Local>;
/// The services by protocol, VIP and port.
pub type ServiceMap = HashMap<(Proto, Be32, Be16), Arc<Service>>;

/// The whole of it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts the snapshots of a run.
    pub generation: u64,
    /// By [`IfaceId`].
    pub ifaces: Vec<Iface>,
    /// The addresses of ours.
    pub locals: LocalMap,
    /// The services by protocol, VIP and port.
    pub services: ServiceMap,
    /// By [`RealId`].
    pub reals: Vec<RealState>,
    /// Where packets go.
    pub routes: Routes,
    /// Timeouts by profile; 0 is the default one.
    pub profiles: Vec<Timeouts>,
    /// See [`Settings`].
    pub settings: Settings,
}

impl Snapshot {
    /// The interface of a port and VLAN.
    pub fn iface_of(&self, port: PortId, vlan: u16) -> Option<IfaceId> {
        self.ifaces.iter().position(|i| i.port == port && i.vlan == vlan).map(|i| IfaceId(i as u8))
    }
    /// The interface of an id.
    #[inline(always)]
    pub fn iface(&self, id: IfaceId) -> Option<&Iface> {
        self.ifaces.get(id.index())
    }
    /// The state of a real server.
    #[inline(always)]
    pub fn real(&self, id: RealId) -> RealState {
        self.reals.get(id.index()).copied().unwrap_or_default()
    }
}

impl Default for Snapshot {
    fn default() -> Self {
        Snapshot {
            generation: 0,
            ifaces: Vec::new(),
            locals: HashMap::new(),
            services: HashMap::new(),
            reals: Vec::new(),
            routes: Routes::default(),
            profiles: alloc::vec![Timeouts::default()],
            settings: Settings { syn_timestamps: SynTimestamps::default(), raise_sequence: true },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    #[test]
    fn the_longest_prefix_wins_and_a_default_route_takes_the_rest() {
        let route =
            |p: [u8; 4], len, n| Route { prefix: Ipv4Addr::from(p).into(), len, to: RouteTo::Via(NeighborId(n)) };
        let routes = Routes::new(&[route([0; 4], 0, 1), route([198, 18, 0, 0], 16, 2), route([198, 18, 1, 9], 32, 3)]);
        let to = |a: [u8; 4]| routes.lookup(Ipv4Addr::from(a).into());
        assert_eq!(to([192, 0, 2, 1]), Some(RouteTo::Via(NeighborId(1))));
        assert_eq!(to([198, 18, 255, 255]), Some(RouteTo::Via(NeighborId(2))));
        assert_eq!(to([198, 18, 1, 9]), Some(RouteTo::Via(NeighborId(3))));
        assert_eq!(Routes::new(&[]).lookup(Be32::new(1)), None);
    }
}
