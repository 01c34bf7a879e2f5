//! The gateway that everything is measured on: 1,000 services of 10 servers each, 64 local addresses, 256 next hops,
//! one port for both sides. For IPv6 it is the same one: each address stands behind a prefix of 96 bits ([`in_family`]).

use gatun_engine::addr::*;
use gatun_engine::frame::Buffer;
use gatun_engine::lcore::Lcore;
use gatun_engine::limit::DEFAULT_LIMITS;
use gatun_engine::mem::Memory;
use gatun_engine::neighbor::{Cell, Neighbors, NudState};
use gatun_engine::sched::Scheduler;
use gatun_engine::shard::{Shard, Shared, Sizes};
use gatun_engine::snapshot::*;
use gatun_engine::stats::Stats;
use gatun_engine::steer::Steer;
use gatun_engine::time::Tick;
use std::sync::Arc;

/// Services.
pub const SERVICES: u32 = 1_000;
/// Servers of each.
pub const REALS: u32 = 10;
/// Local addresses.
pub const LIPS: u32 = 64;
/// Next hops.
pub const HOPS: u32 = 256;

/// Ours.
pub const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
/// Everybody else's.
pub const PEER: Mac = Mac([2, 0, 0, 0, 0, 2]);

/// Where a service listens.
pub fn service(n: u32) -> (Be32, Be16) {
    (Be32::new(0xC612_0000 + n / 10), Be16::new(80 + (n % 10) as u16))
}

/// The n-th client: 4 M addresses, then the next port.
pub fn client(n: u32) -> (Be32, Be16) {
    (Be32::new(0x6440_0000 + (n & 0x3F_FFFF)), Be16::new(1_024 + (n >> 22) as u16 * 7))
}

/// The n-th local address.
pub fn local(n: u32) -> Be32 {
    Be32::new(0xC613_8000 + n)
}

/// An address as it is, or behind 2001:db8::/96.
pub fn in_family(addr: Be32, family: Family) -> Addr {
    match family {
        Family::V4 => addr.into(),
        Family::V6 => Be128::from_bytes((0x2001_0db8 << 96 | u128::from(addr.host())).to_be_bytes()).into(),
    }
}

/// The families of clients and servers.
pub type Families = [Family; 2];

/// What all lcores of a run share, with IPv4 on both sides.
pub fn shared(proto: Proto, lcores: u8) -> Shared {
    shared_of(proto, lcores, [Family::V4; 2])
}

/// The same with these families.
pub fn shared_of(proto: Proto, lcores: u8, families: Families) -> Shared {
    let neighbors = Arc::new(Neighbors::new(65_536));
    let snapshot = Arc::new(snapshot(&neighbors, proto, families));
    let steer = Arc::new(Steer::new(Steer::key_from_seed(1), lcores).expect("a key"));
    Shared::new(snapshot, neighbors, steer)
}

/// Tables for exactly `conns` connections of clients of this family.
pub fn sizes(conns: usize, clients: Family) -> Sizes {
    let wide = match clients {
        Family::V4 => 0,
        Family::V6 => conns,
    };
    Sizes::of(conns, wide, SERVICES as usize)
}

/// One lcore of such a gateway.
pub fn lcore<M: Memory, B: Buffer>(memory: &M, id: LcoreId, conns: usize, shared: &Shared, now: Tick) -> Lcore<M, B> {
    let stats = Arc::new(Stats::new((SERVICES * REALS) as usize + 1));
    let clients = shared.snapshot().services.values().next().map_or(Family::V4, |s| s.vip.family());
    let shard = Shard::new(memory, id, sizes(conns, clients), stats, 7, now);
    let shard = shard.unwrap_or_else(|e| panic!("{e}"));
    Lcore::new(shared.clone(), shard, 1, usize::from(shared.steer.lcores()), &DEFAULT_LIMITS, now)
}

fn snapshot(neighbors: &Neighbors, proto: Proto, [clients, servers]: Families) -> Snapshot {
    let iface =
        Iface { port: PortId(0), vlan: 0, mac: MAC, mtu: 1500, addrs: vec![(Be32::new(0xC613_0001).into(), 16)] };
    let hop = |addr| {
        let id = neighbors.claim(IfaceId(0), addr).expect("a seat");
        neighbors.set(id, Cell { mac: PEER, state: NudState::Reachable, iface: IfaceId(0) });
        id
    };
    let lips: Vec<_> = (0..LIPS).map(|i| Lip { id: LipId(i as u16), addr: in_family(local(i), servers) }).collect();
    let mut s = Snapshot { generation: 1, ifaces: vec![iface], ..Snapshot::default() };
    s.reals = vec![RealState::Present; (SERVICES * REALS) as usize + 1];
    let mut routes = Vec::new();
    // Servers in 256 networks, clients in 256 others.
    let mut route = |prefix: u32, len: u8, family: Family, via: u32| {
        let (prefix, via) = (in_family(Be32::new(prefix), family), in_family(Be32::new(via), family));
        let more = if family == Family::V4 { 0 } else { 96 };
        routes.push(Route { prefix, len: len + more, to: RouteTo::Via(hop(via)) });
    };
    for i in 0..HOPS {
        route(0x0A00_0000 + (i << 16), 16, servers, 0xC613_0100 + i);
        route(0x6440_0000 + (i << 14), 18, clients, 0xC613_0100 + i);
    }
    s.routes = Routes::new(&routes);
    for lip in &lips {
        s.locals.insert(lip.addr, Local { kind: LocalKind::Lip(lip.id), iface: None });
    }
    let mut pools = [Arc::default(), Arc::default()];
    pools[servers as usize] = Arc::new(Pool::new(lips));
    for n in 0..SERVICES {
        let (vip, vport) = service(n);
        let vip = in_family(vip, clients);
        s.locals.insert(vip, Local { kind: LocalKind::Vip, iface: None });
        let service = Service {
            id: ServiceId(n),
            proto,
            vip,
            vport,
            scheduler: Scheduler::Rr,
            version: 1,
            reals: (0..REALS).map(|r| real(n * REALS + r, servers)).collect(),
            pools: pools.clone(),
            profile: 0,
            mss_clamp: None,
            on_removed: OnRemoved::Reset,
        };
        s.services.insert(VipKey::new(proto, vip, vport), Arc::new(service));
    }
    s
}

fn real(id: u32, family: Family) -> Real {
    let addr = in_family(Be32::new(0x0A00_0000 + ((id % HOPS) << 16) + id / HOPS + 1), family);
    Real { id: RealId(id + 1), endpoint: EndpointId(id), addr, port: Be16::new(80), weight: 1 }
}
