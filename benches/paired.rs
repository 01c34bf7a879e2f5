//! gatun against the bare 5-tuple swap: paired phases in one process, on one lcore, over one net_ring port with the same
//! mbufs. The figure is a share: packets a CPU-second of gatun over those of the swap.
//!
//! Before each phase's turn a generator writes the next flow's tuple into the received frame, in both phases alike; it
//! reads a list in order and never touches the connection table. A phase lasts some 50 ms of CPU time. First the swap is
//! paired with itself: when that share is not 1.00 within 3 %, the machine is too busy, and nothing is reported.
//!
//! `cargo bench -p gatun-bench --bench paired -- [connections ...]`

use arrayvec::ArrayVec;
use dpdk::port::ring_port;
use dpdk::{Eal, Mbuf, Mempool, RxQueue, TxQueue, ring};
use gatun::worker::io::{HugePages, Packet};
use gatun_engine::addr::*;
use gatun_engine::conn::key::SplitMix;
use gatun_engine::frame::BURST;
use gatun_engine::lcore::{Batch, Buffer, Io, Lcore, Punt, Source};
use gatun_engine::limit::DEFAULT_LIMITS;
use gatun_engine::neighbor::{Cell, Neighbors, NudState};
use gatun_engine::sched::Scheduler;
use gatun_engine::shard::{Shard, Shared, Sizes};
use gatun_engine::snapshot::*;
use gatun_engine::stats::Stats;
use gatun_engine::steer::Steer;
use gatun_engine::testkit::Packet as Build;
use nix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::time::Duration;

const SERVICES: u32 = 1_000;
const REALS: u32 = 10;
const LIPS: u32 = 64;
const HOPS: u32 = 256;
const MBUFS: usize = 1_024;
const RX_BURST: usize = 32;
const PHASE: Duration = Duration::from_millis(50);
const PAIRS: usize = 21;
/// Makes frames of 64 bytes, check sequence included.
const PAYLOAD: &[u8] = b"sixsix";

/// What distinguishes the packets of one flow: 16 bytes, read in order.
#[derive(Clone, Copy)]
struct Flow {
    addrs: [u8; 8],
    ports: [u8; 4],
    ip_sum: [u8; 2],
    l4_sum: [u8; 2],
}

/// Where these stand in a frame without VLAN tag and IP options.
const IP_SUM: usize = 24;
const ADDRS: usize = 26;
const PORTS: usize = 34;
const TTL: usize = 22;

struct Ways {
    rx: RxQueue,
    tx: TxQueue,
    pool: Mempool,
    lost: u64,
}

impl Io for Ways {
    type Buf = Packet;
    fn spare(&mut self) -> Option<Packet> {
        self.pool.alloc().map(Packet)
    }
    fn send(&mut self, _port: PortId, batch: &mut Batch<Packet>) {
        let mut mbufs: ArrayVec<Mbuf, BURST> = batch.drain(..).map(|p| p.0).collect();
        self.tx.burst(&mut mbufs);
        self.lost += mbufs.len() as u64;
    }
    fn redirect(&mut self, _to: LcoreId, batch: &mut Batch<Packet>) {
        self.lost += batch.len() as u64;
        batch.clear();
    }
    fn punt(&mut self, punt: Punt, _buf: Packet) -> Result<(), Packet> {
        panic!("no punt is expected: {punt:?}");
    }
    fn wanted(&mut self, hop: NeighborId) {
        panic!("every next hop is known: {hop:?}");
    }
}

struct Bench {
    ways: Ways,
    lcore: Lcore<HugePages, Packet>,
    flows: Vec<Flow>,
    at: usize,
    clock: gatun::worker::Clock,
}

fn main() {
    let counts: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.replace('_', "").parse().ok()).collect();
    let counts = if counts.is_empty() { vec![10_000, 1_000_000] } else { counts };
    let huge = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    let huge = huge.ok().and_then(|n| n.trim().parse::<u32>().ok()).unwrap_or(0) >= 512;
    let mut args = vec!["--no-pci", "--no-telemetry", "--lcores", "0@1", "--log-level=*:error"];
    args.extend(if huge { &["--in-memory"][..] } else { &["--no-huge", "--no-shconf", "-m", "6000"][..] });
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    let eal = Eal::init(&args).expect("DPDK");
    println!("memory: {}", if huge { "huge pages" } else { "ordinary pages (figures are not valid)" });
    for count in counts {
        let mut bench = Bench::new(&eal, count);
        let same = bench.pairs(Bench::swap, Bench::swap);
        let share = bench.pairs(Bench::swap, Bench::gatun);
        println!(
            "{count:>9} connections: A/A {:.3} [{:.3} {:.3}]  share {:.3} [{:.3} {:.3}]  swap {:.1} tsc, gatun {:.1} tsc a packet",
            same.share.1,
            same.share.0,
            same.share.2,
            share.share.1,
            share.share.0,
            share.share.2,
            share.tsc.0,
            share.tsc.1
        );
        assert_eq!(bench.ways.lost, 0, "frames were lost on the way");
        let stats = &bench.lcore.shard.stats.lcore;
        assert_eq!(stats.conns_opened.value(), count as u64, "measured packets opened connections");
        assert_eq!(stats.balance(), 0);
    }
}

struct Paired {
    /// Lowest, median, highest.
    share: (f64, f64, f64),
    tsc: (f64, f64),
}

impl Bench {
    fn new(eal: &Eal, count: usize) -> Bench {
        let pool = Mempool::new(eal, &format!("p{count}"), 8_191, 256, 2_048, None).expect("mbufs");
        let (mut producer, consumer) = ring::spsc(eal, &format!("r{count}"), 2_047, None).expect("a ring");
        let template = Build::tcp("198.18.0.1:1", "198.18.0.2:2").flags("A").payload(PAYLOAD).macs(MAC, PEER).build();
        let mut batch: ArrayVec<Mbuf, 1> = ArrayVec::new();
        for _ in 0..MBUFS {
            let mut mbuf = pool.alloc().expect("an mbuf");
            mbuf.append(60).expect("room")[..template.len()].copy_from_slice(&template);
            mbuf.set_port(0);
            batch.push(mbuf);
            producer.enqueue_burst(&mut batch);
        }
        // What is sent goes into the ring that is received from.
        let (_, queues) = ring_port(eal, &format!("l{count}"), &pool, vec![consumer], vec![producer]).expect("a port");
        let (rx, tx) = (queues.rx.into_iter().next().expect("rx"), queues.tx.into_iter().next().expect("tx"));
        let mut ways = Ways { rx, tx, pool, lost: 0 };

        let neighbors = Arc::new(Neighbors::new(65_536));
        let snapshot = Arc::new(snapshot(&neighbors));
        let steer = Arc::new(Steer::new(Steer::key_from_seed(1), 1).expect("a key"));
        let shared = Shared { snapshot, neighbors, steer };
        let stats = Arc::new(Stats::new((SERVICES * REALS) as usize + 1));
        let memory = HugePages { eal: eal.clone(), socket: None };
        let sizes = Sizes { port_chunks: (count / 2).max(100_000), ..Sizes::of(count * 10 / 9, SERVICES as usize) };
        let clock = gatun::worker::Clock::start();
        let shard = Shard::new(&memory, LcoreId(0), sizes, shared, stats, 7, clock.now()).expect("memory");
        let mut lcore = Lcore::new(shard, 1, 1, &DEFAULT_LIMITS, clock.now());
        let flows = open(&mut lcore, &mut ways, &clock, count);
        Bench { ways, lcore, flows, at: 0, clock }
    }

    #[inline(always)]
    fn generate(&mut self, batch: &mut ArrayVec<Mbuf, RX_BURST>) -> usize {
        let n = self.ways.rx.burst(batch);
        for mbuf in batch.iter_mut() {
            let flow = self.flows[self.at];
            self.at += 1;
            if self.at == self.flows.len() {
                self.at = 0;
            }
            let bytes: &mut [u8; 60] = mbuf.data_mut().try_into().expect("60 bytes");
            bytes[..6].copy_from_slice(&MAC.0);
            bytes[TTL] = 64;
            bytes[IP_SUM..IP_SUM + 2].copy_from_slice(&flow.ip_sum);
            bytes[ADDRS..ADDRS + 8].copy_from_slice(&flow.addrs);
            bytes[PORTS..PORTS + 4].copy_from_slice(&flow.ports);
            bytes[50..52].copy_from_slice(&flow.l4_sum);
        }
        n
    }

    fn swap(&mut self) -> usize {
        let mut batch: ArrayVec<Mbuf, RX_BURST> = ArrayVec::new();
        let n = self.generate(&mut batch);
        for mbuf in &mut batch {
            let b: &mut [u8; 60] = mbuf.data_mut().try_into().expect("60 bytes");
            let (dst, src) = b[..12].split_at_mut(6);
            dst.swap_with_slice(src);
            let (src, dst) = b[ADDRS..ADDRS + 8].split_at_mut(4);
            src.swap_with_slice(dst);
            let (sport, dport) = b[PORTS..PORTS + 4].split_at_mut(2);
            sport.swap_with_slice(dport);
        }
        self.ways.tx.burst(&mut batch);
        self.ways.lost += batch.len() as u64;
        n
    }

    fn gatun(&mut self) -> usize {
        let now = self.clock.now();
        let mut batch: ArrayVec<Mbuf, RX_BURST> = ArrayVec::new();
        let n = self.generate(&mut batch);
        let mut packets: Batch<Packet> = batch.into_iter().map(Packet).collect();
        self.lcore.turn(now, &mut self.ways, &mut packets, Source::Port);
        self.lcore.finish(now, &mut self.ways);
        n
    }

    fn pairs(&mut self, a: fn(&mut Self) -> usize, b: fn(&mut Self) -> usize) -> Paired {
        let mut shares = Vec::new();
        let (mut tsc_a, mut tsc_b) = (Vec::new(), Vec::new());
        for _ in 0..PAIRS {
            let (a, b) = (self.phase(a), self.phase(b));
            shares.push(b.0 / a.0);
            tsc_a.push(a.1);
            tsc_b.push(b.1);
        }
        for v in [&mut shares, &mut tsc_a, &mut tsc_b] {
            v.sort_by(f64::total_cmp);
        }
        Paired { share: (shares[1], shares[PAIRS / 2], shares[PAIRS - 2]), tsc: (tsc_a[PAIRS / 2], tsc_b[PAIRS / 2]) }
    }

    /// Packets a CPU-second, and time-stamp ticks a packet.
    fn phase(&mut self, turn: fn(&mut Self) -> usize) -> (f64, f64) {
        let cpu = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock"));
        let begin = cpu();
        let mut packets = 0;
        loop {
            for _ in 0..256 {
                packets += turn(self);
            }
            let spent = cpu() - begin;
            if spent >= PHASE {
                let seconds = spent.as_secs_f64();
                return (packets as f64 / seconds, seconds * dpdk::tsc_hz() as f64 / packets as f64);
            }
        }
    }
}

const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const PEER: Mac = Mac([2, 0, 0, 0, 0, 2]);

fn vip(service: u32) -> Be32 {
    Be32::new(0xC612_0000 + service / 10)
}

fn snapshot(neighbors: &Neighbors) -> Snapshot {
    let iface = Iface { port: PortId(0), vlan: 0, mac: MAC, mtu: 1500, addrs: vec![(Be32::new(0xC613_0001), 16)] };
    let hop = |addr| {
        let id = neighbors.claim(IfaceId(0), addr).expect("a seat");
        neighbors.set(id, Cell { mac: PEER, state: NudState::Reachable, iface: IfaceId(0) });
        id
    };
    let lips: Vec<_> = (0..LIPS).map(|i| Lip { id: LipId(i as u16), addr: Be32::new(0xC613_8000 + i) }).collect();
    let pool = Arc::new(Pool { lips: lips.clone() });
    let mut s = Snapshot { generation: 1, ifaces: vec![iface], ..Snapshot::default() };
    s.reals = vec![RealState::Present; (SERVICES * REALS) as usize + 1];
    let mut routes = Vec::new();
    // Servers in 256 networks, clients in 256 others: 256 next hops.
    for i in 0..HOPS {
        let to = RouteTo::Via(hop(Be32::new(0xC613_0100 + i)));
        routes.push(Route { prefix: Be32::new(0x0A00_0000 + (i << 16)), len: 16, to });
        routes.push(Route { prefix: Be32::new(0x6440_0000 + (i << 14)), len: 18, to });
    }
    s.routes = Routes::new(&routes);
    for lip in lips {
        s.locals.insert(lip.addr, Local { kind: LocalKind::Lip(lip.id), iface: None });
    }
    for service in 0..SERVICES {
        let reals = (0..REALS)
            .map(|r| {
                let id = service * REALS + r;
                let addr = Be32::new(0x0A00_0000 + ((id % HOPS) << 16) + id / HOPS + 1);
                Real { id: RealId(id + 1), endpoint: EndpointId(id), addr, port: Be16::new(80), weight: 1 }
            })
            .collect();
        let (vip, vport) = (vip(service), Be16::new(80 + (service % 10) as u16));
        s.locals.insert(vip, Local { kind: LocalKind::Vip, iface: None });
        let service = Service {
            id: ServiceId(service),
            proto: Proto::Tcp,
            vip,
            vport,
            scheduler: Scheduler::Rr,
            version: 1,
            reals,
            pool: pool.clone(),
            profile: 0,
            mss_clamp: None,
            on_removed: OnRemoved::Reset,
        };
        s.services.insert((Proto::Tcp, vip, vport), Arc::new(service));
    }
    s
}

/// Opens `count` connections by the packets of real handshakes, and gives the flows of both directions in random order.
fn open(
    lcore: &mut Lcore<HugePages, Packet>,
    ways: &mut Ways,
    clock: &gatun::worker::Clock,
    count: usize,
) -> Vec<Flow> {
    let mut flows = Vec::with_capacity(2 * count);
    let mut random = SplitMix(3);
    let bytes_of = |flags: &str, client: (Be32, u16), service: u32| {
        let from = format!("{}:{}", std::net::Ipv4Addr::from(client.0), client.1);
        let to = format!("{}:{}", std::net::Ipv4Addr::from(vip(service)), 80 + service % 10);
        Build::tcp(&from, &to).flags(flags).payload(PAYLOAD).macs(PEER, MAC).build()
    };
    for i in 0..count as u32 {
        let service = (random.next() % u64::from(SERVICES)) as u32;
        let client = (Be32::new(0x6440_0000 + (i & 0x3F_FFFF)), 1_024 + (i >> 22) as u16 * 7);
        for flags in ["S", "A"] {
            let frame = bytes_of(flags, client, service);
            let mut mbuf = ways.pool.alloc().expect("an mbuf");
            mbuf.append(frame.len() as u16).expect("room").copy_from_slice(&frame);
            mbuf.set_port(0);
            let mut batch: Batch<Packet> = Batch::new();
            batch.push(Packet(mbuf));
            // Sent into a ring that is full but for these: taken out again at once.
            let mut out = Taken::default();
            lcore.turn(clock.now(), &mut Sink { pool: &ways.pool, out: &mut out }, &mut batch, Source::Port);
            lcore.finish(clock.now(), &mut Sink { pool: &ways.pool, out: &mut out });
            if flags == "A" {
                flows.push(flow(&frame));
                let sent = out.frame.expect("the packet goes on");
                flows.push(flow(&reply(&sent)));
            }
        }
    }
    for i in (1..flows.len()).rev() {
        flows.swap(i, (random.next() % (i as u64 + 1)) as usize);
    }
    flows
}

#[derive(Default)]
struct Taken {
    frame: Option<Vec<u8>>,
}

struct Sink<'a> {
    pool: &'a Mempool,
    out: &'a mut Taken,
}

impl Io for Sink<'_> {
    type Buf = Packet;
    fn spare(&mut self) -> Option<Packet> {
        self.pool.alloc().map(Packet)
    }
    fn send(&mut self, _port: PortId, batch: &mut Batch<Packet>) {
        for mut packet in batch.drain(..) {
            self.out.frame = Some(packet.frame().bytes().to_vec());
        }
    }
    fn redirect(&mut self, _to: LcoreId, _batch: &mut Batch<Packet>) {}
    fn punt(&mut self, punt: Punt, _buf: Packet) -> Result<(), Packet> {
        panic!("no punt is expected: {punt:?}");
    }
    fn wanted(&mut self, hop: NeighborId) {
        panic!("every next hop is known: {hop:?}");
    }
}

/// The server's answer to a packet, by its tuple.
fn reply(frame: &[u8]) -> Vec<u8> {
    let ip = |at: usize| std::net::Ipv4Addr::new(frame[at], frame[at + 1], frame[at + 2], frame[at + 3]);
    let port = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let from = format!("{}:{}", ip(ADDRS + 4), port(PORTS + 2));
    let to = format!("{}:{}", ip(ADDRS), port(PORTS));
    Build::tcp(&from, &to).flags("A").payload(PAYLOAD).macs(PEER, MAC).build()
}

fn flow(frame: &[u8]) -> Flow {
    let take = |at: usize| [frame[at], frame[at + 1]];
    Flow {
        addrs: frame[ADDRS..ADDRS + 8].try_into().expect("8 bytes"),
        ports: frame[PORTS..PORTS + 4].try_into().expect("4 bytes"),
        ip_sum: take(IP_SUM),
        l4_sum: take(50),
    }
}
