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
use core::hash::{BuildHasherDefault, Hasher};

mod ours;
mod routes;
mod words;

pub use ours::{LocalMap, ServiceMap, VipKey};
pub use routes::Routes;

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

impl Iface {
    /// Its link-local address: fe80:: and the modified EUI-64 of its MAC address (RFC 4291, 2.5.1 and 2.5.6). It is never
    /// configured, and stands in no table: other interfaces may have the same one on their links.
    pub const fn link_local(&self) -> Be128 {
        let [a, b, c, d, e, f] = self.mac.0;
        Be128::from_bytes([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
    }

    /// True when it has an address of this family. Only then does it have its link-local address in use.
    pub fn speaks(&self, family: Family) -> bool {
        self.addrs.iter().any(|(addr, _)| addr.family() == family)
    }
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

/// A hash of a few instructions, for tables that nobody but the configuration fills: what is looked up in them can not make
/// them any longer to search.
pub type Quick = BuildHasherDefault<Mixer>;

/// The hasher of [`Quick`]: a multiplication for each word of eight bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mixer(u64);

impl Hasher for Mixer {
    #[inline(always)]
    fn finish(&self) -> u64 {
        mixed(self.0)
    }
    #[inline(always)]
    fn write_u8(&mut self, n: u8) {
        self.0 = self.0.rotate_left(8) ^ u64::from(n);
    }
    #[inline(always)]
    fn write_u16(&mut self, n: u16) {
        self.0 = self.0.rotate_left(16) ^ u64::from(n);
    }
    #[inline(always)]
    fn write_u32(&mut self, n: u32) {
        self.0 = self.0.rotate_left(32) ^ u64::from(n);
    }
    #[inline(always)]
    fn write_u64(&mut self, n: u64) {
        self.0 = self.finish() ^ n;
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u8(*byte));
    }
}

#[inline(always)]
fn mixed(word: u64) -> u64 {
    let product = u128::from(word) * 0x9E37_79B9_7F4A_7C15;
    product as u64 ^ (product >> 64) as u64
}

/// The whole of it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts the snapshots of a run.
    pub generation: u64,
    /// By [`IfaceId`].
    pub ifaces: Vec<Iface>,
    /// The addresses of ours.
    pub locals: LocalMap,
    /// The services by protocol, VIP and port. Each VIP is one of `locals`.
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
    /// True for an address of ours, of whatever interface, or the link-local one of this interface.
    pub fn is_ours(&self, iface: IfaceId, addr: Addr) -> bool {
        self.local(addr).is_some() || self.is_link_local_of(iface, addr)
    }
    /// True for an address that we answer ARP or NDP for on the link of this interface.
    pub fn answers(&self, iface: IfaceId, addr: Addr) -> bool {
        self.local(addr).is_some_and(|l| l.iface == Some(iface)) || self.is_link_local_of(iface, addr)
    }
    fn is_link_local_of(&self, iface: IfaceId, addr: Addr) -> bool {
        let (Some(addr), Some(iface)) = (addr.v6(), self.iface(iface)) else { return false };
        addr == iface.link_local() && iface.speaks(Family::V6)
    }
    /// True when an address is on the link of this interface: in one of its prefixes, or link-local.
    pub fn on_link(&self, iface: IfaceId, addr: Addr) -> bool {
        addr.is_link_local() || self.routes.lookup(addr) == Some(RouteTo::OnLink(iface))
    }
    /// The service that a packet with this tuple asks for.
    #[inline]
    pub fn service(&self, client: &Tuple) -> Option<&Arc<Service>> {
        self.services.get(&VipKey::new(client.proto(), client.dst(), client.dport()))
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
            locals: LocalMap::default(),
            services: ServiceMap::default(),
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

    #[test]
    fn an_interface_that_speaks_ipv6_has_a_link_local_address_from_its_mac() {
        let ip = |a: &str| Addr::from(a.parse::<core::net::IpAddr>().unwrap());
        let mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
        let mut iface =
            Iface { port: PortId(0), vlan: 0, mac, mtu: 1500, addrs: alloc::vec![(ip("2001:db8:1::1"), 64)] };
        let link_local = ip("fe80::5054:ff:fe12:3456");
        assert_eq!(Addr::V6(iface.link_local()), link_local);
        assert!(link_local.is_link_local() && !ip("2001:db8:1::1").is_link_local() && !ip("fec0::1").is_link_local());
        let mut snapshot = Snapshot { ifaces: alloc::vec![iface.clone()], ..Snapshot::default() };
        assert!(snapshot.is_ours(IfaceId(0), link_local) && snapshot.answers(IfaceId(0), link_local));
        assert!(!snapshot.is_ours(IfaceId(1), link_local), "there is no such interface");
        assert!(snapshot.on_link(IfaceId(0), ip("fe80::1")) && !snapshot.on_link(IfaceId(0), ip("2001:db8:1::9")));
        iface.addrs = alloc::vec![(ip("198.18.1.254"), 24)];
        snapshot.ifaces = alloc::vec![iface];
        assert!(!snapshot.is_ours(IfaceId(0), link_local), "it speaks IPv4 only");
    }
}
