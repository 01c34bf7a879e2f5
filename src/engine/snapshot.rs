//! What a worker may know of the configuration: immutable, made by the master, shared by `Arc`.
//!
//! Scheduler state, counts and statistics are not here: they live in the shard, by stable id. Neighbours are not here
//! either: they are cells that change without a new snapshot.

use crate::addr::*;
use crate::conn::state::Timeouts;
use crate::conn::tuple::Tuple;
use crate::sched::Scheduler;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hashbrown::HashMap;

/// An interface: a port, or a VLAN on a port.
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
    /// Its own addresses and the lengths of their prefixes; the first of a family is the source of what we send.
    pub addrs: Vec<(Addr, u8)>,
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
    /// The interface that answers ARP or NDP for it; `None` for one that is only routed to us.
    pub iface: Option<IfaceId>,
}

/// The local addresses of one family in a pool.
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
    pub addr: Addr,
}

/// A real server of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Real {
    /// Its id: unique to the pair of service and server.
    pub id: RealId,
    /// What local ports are taken towards.
    pub endpoint: EndpointId,
    /// Its address.
    pub addr: Addr,
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
    pub vip: Addr,
    /// The virtual port.
    pub vport: Be16,
    /// How a server is chosen.
    pub scheduler: Scheduler,
    /// Changes whenever `reals` or `scheduler` do: schedulers start over then, as LVS's do.
    pub version: u32,
    /// The servers in LVS's order: the newest first.
    pub reals: Vec<Real>,
    /// Where local addresses come from, by the [`Family`] of the server.
    pub pools: [Arc<Pool>; 2],
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
    pub prefix: Addr,
    /// Its length in bits.
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

impl Service {
    /// Where the local addresses for a server come from.
    #[inline(always)]
    pub fn pool(&self, real: &Real) -> &Arc<Pool> {
        &self.pools[real.addr.family() as usize]
    }
}

/// Longest prefix match: one hash table a family and prefix length in use, longest first.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    by_len: [Vec<(u8, HashMap<Addr, RouteTo>)>; 2],
}

impl Routes {
    /// From routes; of two for the same prefix the later wins.
    pub fn new(routes: &[Route]) -> Routes {
        let by_len = [Family::V4, Family::V6].map(|family| {
            let of_family = || routes.iter().filter(|r| r.prefix.family() == family);
            let mut lengths: Vec<u8> = of_family().map(|r| r.len).collect();
            lengths.sort_unstable_by(|a, b| b.cmp(a));
            lengths.dedup();
            let table = |len| of_family().filter(|r| r.len == len).map(|r| (r.prefix.prefix(len), r.to)).collect();
            lengths.into_iter().map(|len| (len, table(len))).collect()
        });
        Routes { by_len }
    }

    /// The route of the longest prefix that contains `addr`.
    pub fn lookup(&self, addr: Addr) -> Option<RouteTo> {
        let by_len = &self.by_len[addr.family() as usize];
        by_len.iter().find_map(|(len, table)| table.get(&addr.prefix(*len)).copied())
    }
}

/// The addresses of ours.
pub type LocalMap = HashMap<Addr, Local>;
/// The services by protocol, VIP and port.
pub type ServiceMap = HashMap<(Proto, Addr, Be16), Arc<Service>>;

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
    /// What an address of ours is for; `None` for any other.
    #[inline]
    pub fn local(&self, addr: impl Into<Addr>) -> Option<&Local> {
        self.locals.get(&addr.into())
    }
    /// The service that a packet with this tuple asks for.
    #[inline]
    pub fn service(&self, client: &Tuple) -> Option<&Arc<Service>> {
        self.services.get(&(client.proto(), client.dst(), client.dport()))
    }
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
        assert_eq!(Routes::new(&[]).lookup(Addr::V4(Be32::new(1))), None);
    }

    #[test]
    fn the_families_do_not_see_each_others_routes() {
        let ip = |a: &str| Addr::from(a.parse::<core::net::IpAddr>().unwrap());
        let route = |p: &str, len, n| Route { prefix: ip(p), len, to: RouteTo::Via(NeighborId(n)) };
        let routes = Routes::new(&[route("::", 0, 1), route("2001:db8:1::", 48, 2), route("2001:db8:1::7", 128, 3)]);
        let to = |a: &str| routes.lookup(ip(a));
        assert_eq!(to("2001:db8:2::1"), Some(RouteTo::Via(NeighborId(1))));
        assert_eq!(to("2001:db8:1:ffff::"), Some(RouteTo::Via(NeighborId(2))));
        assert_eq!(to("2001:db8:1::7"), Some(RouteTo::Via(NeighborId(3))));
        assert_eq!(to("198.18.0.1"), None);
    }
}
