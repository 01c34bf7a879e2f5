//! Instructions a packet, counted by callgrind: the turn of a lcore without DPDK's part of it, in bursts of 32.
//!
//! The bench runs itself under valgrind. What it counts is [`counted_turn`] and what that calls; filling buffers is not in
//! it. The profiles stay in `target/bench/callgrind`, one for each count; `callgrind_annotate FILE` reads them.
//!
//! `cargo bench -p gatun-bench --bench instructions [-- connections]`

use gatun_bench::flow::{self, Bytes, Flow, LEN};
use gatun_bench::heap::{Buf, Pool};
use gatun_bench::{callgrind, gateway};
use gatun_engine::addr::{Be16, Be32, LcoreId, Proto};
use gatun_engine::conn::key::{Key4, SplitMix};
use gatun_engine::lcore::{Batch, Buffer, EXPIRE_BUDGET, Lcore, Source};
use gatun_engine::mem::Heap;
use gatun_engine::time::{HZ, Tick, Ticks};
use gatun_engine::wire::tcp::{ACK, RST, SYN};
use std::hint::black_box;

const BURST: usize = 32;
/// For each count.
const PACKETS: usize = 500 * BURST;
/// The size of the table when none is given.
const CONNECTIONS: usize = 1_000_000;

fn main() {
    let mut args = std::env::args().skip(1).filter(|a| a != "--bench");
    let first = args.next();
    if first.as_deref() == Some("--counted") {
        return run(args.next().and_then(|n| n.parse().ok()).unwrap_or(CONNECTIONS));
    }
    let conns = first.and_then(|n| n.replace('_', "").parse().ok()).unwrap_or(CONNECTIONS);
    for (name, instructions) in callgrind::count(&["--counted", &conns.to_string()], "*counted_turn*", "*next_count*") {
        println!("{name:<12} {:7.1} instructions a packet", instructions as f64 / PACKETS as f64);
    }
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
    next_count("setup");
    tcp.bursts(ACK, |i| flows[i]);
    next_count("hit-tcp");
    let opened = tcp.opened();
    // To an address that is not ours, and of no connection.
    let fresh = tcp.clients(PACKETS);
    tcp.bursts(SYN, |i| Flow::of(&elsewhere(&fresh[i]), SYN));
    next_count("miss-syn");
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
    tcp.check();
    drop(tcp);

    let mut udp = Gateway::new(Proto::Udp, conns / 10);
    let flows = udp.open(conns / 10);
    next_count("setup");
    udp.bursts(0, |i| flows[i]);
    next_count("hit-udp");
    udp.check();
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
        let now = Tick(0);
        let shared = gateway::shared(proto, 1);
        let lcore = gateway::lcore(&Heap, LcoreId(0), conns + PACKETS, &shared, now);
        Gateway { lcore, pool: Pool::default(), proto, clients: 0, random: SplitMix(5), now }
    }

    /// The tuples of clients that were not yet here.
    fn clients(&mut self, n: usize) -> Vec<Key4> {
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

    fn opened(&self) -> u64 {
        self.lcore.shard.stats.lcore.conns_opened.value()
    }

    /// Counts frames of the flows 0, 1, 2 ...
    fn bursts(&mut self, flags: u8, flow: impl Fn(usize) -> Flow) {
        let template =
            flow::frame(&Key4::new(Be32::new(0), Be32::new(0), Be16::new(0), Be16::new(0), self.proto), flags, 1);
        for first in (0..PACKETS).step_by(BURST) {
            let mut batch: Batch<Buf> = (first..first + BURST).map(|i| self.filled(&template, &flow(i))).collect();
            counted_turn(&mut self.lcore, self.now, &mut self.pool, &mut batch);
        }
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

/// The same to an address that nobody here has.
fn elsewhere(key: &Key4) -> Key4 {
    Key4::new(key.src(), Be32::new(0xCB00_7101), key.sport(), key.dport(), key.proto())
}
