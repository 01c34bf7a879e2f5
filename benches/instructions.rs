//! Instructions a packet, counted by callgrind: the turn of a lcore without DPDK's part of it, in bursts of 32.
//!
//! The bench runs itself under valgrind. What it counts is [`counted_turn`] and what that calls; filling buffers is not in
//! it. The profiles stay in `target/bench/callgrind`, one for each count; `callgrind_annotate FILE` reads them.
//!
//! `cargo bench -p gatun-bench --bench instructions [-- connections]`

use gatun_bench::callgrind::Count;
use gatun_bench::flow::{self, AnyFlow, Bytes, Flow, LEN};
use gatun_bench::gates::Gates;
use gatun_bench::gateway::Families;
use gatun_bench::goals::Results;
use gatun_bench::heap::{Buf, Pool};
use gatun_bench::{callgrind, gateway};
use gatun_engine::addr::{Be16, Be32, Dir, Family, LcoreId, Proto};
use gatun_engine::conn::state::State;
use gatun_engine::conn::{key::SplitMix, tuple::Tuple};
use gatun_engine::frame::Buffer;
use gatun_engine::lcore::{Batch, EXPIRE_BUDGET, Lcore, Source};
use gatun_engine::mem::Heap;
use gatun_engine::snapshot::Snapshot;
use gatun_engine::time::{HZ, Tick, Ticks};
use gatun_engine::wire::tcp::{ACK, FIN, RST, SYN};
use std::hint::black_box;
use std::sync::Arc;

const BURST: usize = 32;
/// For each count.
const PACKETS: usize = 500 * BURST;
/// The size of the table when none is given.
const CONNECTIONS: usize = 1_000_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let conns = args.iter().find_map(|n| n.replace('_', "").parse().ok()).unwrap_or(CONNECTIONS);
    if args.iter().any(|a| a == "counted") {
        return run(conns);
    }
    println!("... under callgrind, {conns} connections");
    let counts = callgrind::count(&["counted", &conns.to_string()], "*counted_turn*", "*next_count*");
    let each = |count: &Count| count.instructions as f64 / PACKETS as f64;
    if args.iter().any(|a| a == "gate") {
        let mut gates = Gates::read();
        counts.iter().for_each(|count| gates.at_most(&count.name, each(count)));
        gates.at_most("calls", calls(&counts[0]));
        gates.at_most("entries", entries() as f64);
        return gates.done();
    }
    let mut r = Results::new("instructions");
    for count in &counts {
        r.add(&count.name, Ok(each(count).into()), "instructions a packet or connection");
    }
    let how = "callgrind, turn and finish of a lcore in bursts of 32, without DPDK's part";
    r.add("G10", Ok(each(&counts[0]).into()), how);
    r.add("G10@calls", Ok(calls(&counts[0]).into()), how);
    r.write();
}

/// System calls and functions of the heap on the path of a hit.
fn calls(hits: &Count) -> f64 {
    assert_eq!(hits.name, "hit-tcp");
    hits.calls as f64 + hits.heap.len() as f64
}

/// Timer entries that a turn of 32 frames looks at when many are due: it ends that many connections.
fn entries() -> u64 {
    let mut gateway = Gateway::new(Proto::Udp, PACKETS);
    let shared = &mut gateway.lcore.shared;
    let mut snapshot = Snapshot::clone(shared.snapshot());
    snapshot.profiles[0].set(State::Udp, 10);
    shared.replace(Arc::new(snapshot));
    gateway.open(PACKETS);
    gateway.now = Tick(11 * HZ);
    let elsewhere = Flow::of(&elsewhere(&gateway.clients(1)[0]), 0);
    let template = gateway.template(0);
    let mut batch: Batch<Buf> = (0..BURST).map(|_| gateway.filled(&template, &elsewhere)).collect();
    counted_turn(&mut gateway.lcore, gateway.now, &mut gateway.pool, &mut batch);
    gateway.lcore.shard.stats.lcore.conns_closed.value()
}

/// What is counted.
#[inline(never)]
fn counted_turn(lcore: &mut Lcore<Heap, Buf>, now: Tick, pool: &mut Pool, batch: &mut Batch<Buf>) {
    lcore.turn(now, pool, batch, Source::Port);
    lcore.finish(now, pool);
}

/// Here one count ends and the next begins.
#[inline(never)]
fn next_count(name: &str) {
    println!("{}", black_box(name));
}

fn run(conns: usize) {
    let mut tcp = Gateway::new(Proto::Tcp, conns);
    let flows = tcp.open(conns);
    next_count(callgrind::SETUP);
    tcp.bursts(ACK, |i| flows[i % flows.len()]);
    next_count("hit-tcp");
    let opened = tcp.opened();
    // To an address that is not ours, and of no connection.
    let fresh = tcp.clients(PACKETS);
    tcp.bursts(SYN, |i| Flow::of(&elsewhere(&fresh[i]), SYN));
    next_count("miss-syn");
    // To a port of ours without a service.
    tcp.bursts(SYN, |i| Flow::of(&to_port(&fresh[i], 7), SYN));
    next_count("miss-port");
    tcp.bursts(ACK, |i| Flow::of(&fresh[i], ACK));
    next_count("miss-ack");
    assert_eq!(tcp.opened(), opened, "a miss opened a connection");
    tcp.bursts(SYN, |i| Flow::of(&fresh[i], SYN));
    next_count("open");
    assert_eq!(tcp.opened() - opened, PACKETS as u64);
    tcp.bursts(ACK, |i| Flow::of(&fresh[i], ACK));
    next_count("establish");
    tcp.bursts(RST | ACK, |i| Flow::of(&fresh[i], RST | ACK));
    next_count("reset");
    tcp.turns_later();
    next_count("expire");
    assert_eq!(tcp.lcore.shard.stats.lcore.conns_closed.value(), PACKETS as u64);
    tcp.whole_connections();
    tcp.check();
    drop(tcp);

    let mut udp = Gateway::new(Proto::Udp, conns / 10);
    let flows = udp.open(conns / 10);
    next_count(callgrind::SETUP);
    udp.bursts(0, |i| flows[i % flows.len()]);
    next_count("hit-udp");
    udp.check();
    drop(udp);

    // Clients of IPv6, both directions mixed: servers of IPv6, then of IPv4.
    for (name, servers) in [("hit-6-to-6", Family::V6), ("hit-6-to-4", Family::V4)] {
        let mut wide = Gateway::of(Proto::Tcp, conns / 10, [Family::V6, servers]);
        let flows = wide.open_any(conns / 10);
        next_count(callgrind::SETUP);
        wide.bursts_any(|i| flows[i % flows.len()]);
        next_count(name);
        wide.check();
    }
}

struct Gateway {
    lcore: Lcore<Heap, Buf>,
    pool: Pool,
    proto: Proto,
    clients: u32,
    random: SplitMix,
    now: Tick,
}

impl Gateway {
    fn new(proto: Proto, conns: usize) -> Gateway {
        Gateway::of(proto, conns, [Family::V4; 2])
    }

    fn of(proto: Proto, conns: usize, families: Families) -> Gateway {
        let now = Tick(0);
        let shared = gateway::shared_of(proto, 1, families);
        let lcore = gateway::lcore(&Heap, LcoreId(0), conns + PACKETS, &shared, now);
        Gateway { lcore, pool: Pool::new(3 * PACKETS), proto, clients: 0, random: SplitMix(5), now }
    }

    /// The tuples of clients that were not yet here.
    fn clients(&mut self, n: usize) -> Vec<Tuple> {
        let first = self.clients;
        self.clients += n as u32;
        (first..self.clients).map(|n| flow::client_key(n, self.proto, &mut self.random)).collect()
    }

    fn open(&mut self, conns: usize) -> Vec<Flow> {
        let clients = self.clients(conns);
        let opened = flow::open(&mut self.lcore, |_| self.now, clients.into_iter(), Buf::new);
        assert_eq!(opened.len(), conns, "every client has its connection");
        flow::shuffled(&opened)
    }

    fn open_any(&mut self, conns: usize) -> Vec<AnyFlow> {
        let clients: Vec<Tuple> = self.clients(conns).iter().map(flow::six).collect();
        let opened = flow::open(&mut self.lcore, |_| self.now, clients.into_iter(), Buf::new);
        assert_eq!(opened.len(), conns, "every client has its connection");
        flow::in_random_order(&opened, |key| AnyFlow::of(key, ACK))
    }

    fn opened(&self) -> u64 {
        self.lcore.shard.stats.lcore.conns_opened.value()
    }

    /// Counts frames of the flows 0, 1, 2 ...
    fn bursts(&mut self, flags: u8, flow: impl Fn(usize) -> Flow) {
        let template =
            flow::frame(&Tuple::new(Be32::new(0), Be32::new(0), Be16::new(0), Be16::new(0), self.proto), flags, 1);
        for first in (0..PACKETS).step_by(BURST) {
            let mut batch: Batch<Buf> = (first..first + BURST).map(|i| self.filled(&template, &flow(i))).collect();
            counted_turn(&mut self.lcore, self.now, &mut self.pool, &mut batch);
        }
    }

    /// Counts the packets of connections that begin and end in order, but for those that are counted elsewhere.
    fn whole_connections(&mut self) {
        let clients = self.clients(PACKETS);
        self.bursts(SYN, |i| Flow::of(&clients[i], SYN));
        next_count(callgrind::SETUP);
        let conns = &self.lcore.shard.conns;
        let reply = |client| conns.find_tuple(client).map(|(id, _)| conns.tuple(id, Dir::Out)).expect("a connection");
        let servers: Vec<Tuple> = clients.iter().map(reply).collect();
        for (flags, from, name) in [
            (SYN | ACK, &servers, "synack"),
            (ACK, &clients, callgrind::SETUP),
            (FIN | ACK, &clients, "fin"),
            (FIN | ACK, &servers, "fin-back"),
            (ACK, &clients, "last-ack"),
        ] {
            self.bursts(flags, |i| Flow::of(&from[i], flags));
            next_count(name);
        }
        assert_eq!(self.lcore.shard.stats.lcore.state(State::TimeWait).value(), PACKETS as u64);
    }

    /// The same of either family; all of them hits.
    fn bursts_any(&mut self, flow: impl Fn(usize) -> AnyFlow) {
        let sent = self.lcore.shard.stats.lcore.tx_sent.value();
        for first in (0..PACKETS).step_by(BURST) {
            let mut batch: Batch<Buf> = Batch::new();
            for flow in (first..first + BURST).map(&flow) {
                let mut buf = self.pool.take();
                let mut frame = buf.frame();
                flow.write(frame.reset(flow.frame_len()).expect("room"));
                let (head, len) = (frame.head, frame.len);
                buf.commit(head, len);
                batch.push(buf);
            }
            counted_turn(&mut self.lcore, self.now, &mut self.pool, &mut batch);
        }
        assert_eq!(self.lcore.shard.stats.lcore.tx_sent.value() - sent, PACKETS as u64);
    }

    /// A frame of no flow.
    fn template(&self, flags: u8) -> Bytes {
        let nobody = Tuple::new(Be32::default(), Be32::default(), Be16::default(), Be16::default(), self.proto);
        flow::frame(&nobody, flags, 1)
    }

    fn filled(&mut self, template: &Bytes, flow: &Flow) -> Buf {
        let mut buf = self.pool.take();
        let mut frame = buf.frame();
        let bytes = frame.reset(LEN).expect("room");
        bytes.copy_from_slice(template);
        flow.write(bytes.try_into().expect("a whole frame"), self.proto);
        let (head, len) = (frame.head, frame.len);
        buf.commit(head, len);
        buf
    }

    /// Counts turns without frames, eleven seconds later: reset connections are forgotten after ten.
    fn turns_later(&mut self) {
        self.now = self.now + Ticks(11 * HZ);
        for _ in 0..PACKETS / EXPIRE_BUDGET + 1 {
            counted_turn(&mut self.lcore, self.now, &mut self.pool, &mut Batch::new());
        }
    }

    fn check(&self) {
        assert_eq!(self.lcore.shard.stats.lcore.balance(), 0);
    }
}

/// The same to another port.
fn to_port(client: &Tuple, port: u16) -> Tuple {
    Tuple::new(client.src(), client.dst(), client.sport(), Be16::new(port), client.proto())
}

/// The same to one of 256 addresses that nobody here has.
fn elsewhere(key: &Tuple) -> Tuple {
    let nobody = Be32::new(0xCB00_7100 + key.src().v4().map_or(0, Be32::host) % 256);
    Tuple::new(key.src(), nobody, key.sport(), key.dport(), key.proto())
}
