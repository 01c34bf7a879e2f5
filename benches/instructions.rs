//! Instructions of a packet: turns of a lcore without DPDK's part of it, in bursts of 32, counted by callgrind; and what they
//! take from the heap, counted by DHAT. Each count is a process of its own. Opening its connections and filling its frames
//! are not in it; a count whose packets did not do what they are named for fails.
//!
//! `benches/counts.sh` installs gungraun's runner in `target/tools/bin`, runs all counts, and says by `counts.rs` what they mean for
//! goals and gates. With the runner in the PATH, one count alone and beside the last time:
//! `cargo bench -p gatun-bench --bench instructions -- '**hit_tcp'`. The profiles stay in `target/gungraun`;
//! `callgrind_annotate FILE` reads them.

// The macros of gungraun write functions without documentation.
#![allow(missing_docs)]

use gatun_bench::heap::Buf;
use gatun_bench::lone::{self, Gateway, PACKETS};
use gatun_engine::addr::{Family, Proto};
use gatun_engine::conn::{state::State, tuple::Tuple};
use gatun_engine::lcore::{Batch, EXPIRE_BUDGET};
use gatun_engine::stats::LcoreStats;
use gatun_engine::verdict::{DropReason, PuntReason};
use gatun_engine::wire::tcp::{ACK, FIN, RST, SYN};
use gungraun::prelude::*;
use gungraun::{Callgrind, Tool};

/// Connections that are there when packets of TCP over IPv4 are counted.
const CONNECTIONS: usize = 1_000_000;
/// The same for UDP and IPv6, and for the heap.
const FEWER: usize = 100_000;

/// What grows by one with each packet that is counted.
type Done = fn(&LcoreStats) -> u64;

/// What is counted: so many turns.
struct Work {
    gateway: Gateway,
    bursts: Vec<Batch<Buf>>,
    done: Done,
    before: u64,
}

impl Work {
    fn new(gateway: Gateway, bursts: Vec<Batch<Buf>>, done: Done) -> Box<Work> {
        let before = done(gateway.stats());
        Box::new(Work { gateway, bursts, done, before })
    }
}

/// Ends a count.
fn check(work: Box<Work>) {
    let stats = work.gateway.stats();
    assert_eq!((work.done)(stats) - work.before, PACKETS as u64, "each packet did what it is counted for");
    assert_eq!(stats.balance(), 0);
}

/// Packets of both directions of connections.
fn hits(mut gateway: Gateway, conns: usize) -> Box<Work> {
    let keys = gateway.open(conns);
    let frames = gateway.frames(ACK, &keys);
    Work::new(gateway, frames, |stats| stats.tx_sent.value())
}

/// The same of clients of IPv6 with servers of a family.
fn hits_wide(servers: Family) -> Box<Work> {
    hits(Gateway::of(Proto::Tcp, FEWER, [Family::V6, servers]), FEWER)
}

/// Packets of no connection, made of those of clients that are not yet known.
fn misses(flags: u8, to: fn(&Tuple) -> Tuple, done: Done) -> Box<Work> {
    let (mut gateway, clients) = gateway_and_clients();
    let keys: Vec<Tuple> = clients.iter().map(to).collect();
    let frames = gateway.frames(flags, &keys);
    Work::new(gateway, frames, done)
}

/// Some of them are answered: so many as the limit allows.
fn without_service(stats: &LcoreStats) -> u64 {
    stats.punt(PuntReason::NoService).value() + stats.drop(DropReason::LimitNoService).value()
}

/// One packet of many connections.
struct Packet {
    /// From the client.
    client: bool,
    flags: u8,
}

const fn client(flags: u8) -> Packet {
    Packet { client: true, flags }
}
const fn server(flags: u8) -> Packet {
    Packet { client: false, flags }
}

/// Connections that begin and end in order.
const IN_ORDER: [Packet; 6] =
    [client(SYN), server(SYN | ACK), client(ACK), client(FIN | ACK), server(FIN | ACK), client(ACK)];
/// Those that a client resets.
const RESET: [Packet; 3] = [client(SYN), client(ACK), client(RST | ACK)];

/// The last of these packets of many new connections, after those before it.
fn last_of(packets: &[Packet], done: Done) -> Box<Work> {
    let (mut gateway, clients) = gateway_and_clients();
    let mut frames = Vec::new();
    for packet in packets {
        gateway.turns(&mut frames);
        let servers = if packet.client { Vec::new() } else { gateway.servers(&clients) };
        frames = gateway.frames(packet.flags, if packet.client { &clients } else { &servers });
    }
    Work::new(gateway, frames, done)
}

/// Turns without frames in which connections end that were reset.
fn ends() -> Box<Work> {
    let Work { mut gateway, mut bursts, .. } = *last_of(&RESET, |stats| stats.state(State::Close).value());
    gateway.turns(&mut bursts);
    gateway.later(11);
    let turns = (0..PACKETS / EXPIRE_BUDGET + 1).map(|_| Batch::new()).collect();
    Work::new(gateway, turns, |stats| stats.conns_closed.value())
}

fn gateway_and_clients() -> (Gateway, Vec<Tuple>) {
    let mut gateway = Gateway::new(Proto::Tcp, CONNECTIONS);
    gateway.open(CONNECTIONS);
    let clients = gateway.clients(PACKETS);
    (gateway, clients)
}

fn callgrind() -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::with_args(["--collect-systime=yes", "--cache-sim=no"]));
    config
}

fn dhat() -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    config.default_tool(Tool::DHAT);
    config
}

#[library_benchmark(config = callgrind(), teardown = check)]
#[bench::hit_tcp(hits(Gateway::new(Proto::Tcp, CONNECTIONS), CONNECTIONS))]
#[bench::hit_udp(hits(Gateway::new(Proto::Udp, FEWER), FEWER))]
#[bench::hit_6_to_6(hits_wide(Family::V6))]
#[bench::hit_6_to_4(hits_wide(Family::V4))]
#[bench::miss_syn(misses(SYN, lone::elsewhere, |stats| stats.drop(DropReason::NotLocal).value()))]
#[bench::miss_port(misses(SYN, |client| lone::to_port(client, 7), without_service))]
#[bench::miss_ack(misses(ACK, Tuple::clone, |stats| stats.drop(DropReason::TcpNoConnection).value()))]
#[bench::open(last_of(&IN_ORDER[..1], |stats| stats.conns_opened.value()))]
#[bench::synack(last_of(&IN_ORDER[..2], |stats| stats.tx_sent.value()))]
#[bench::establish(last_of(&RESET[..2], |stats| stats.state(State::Established).value()))]
#[bench::fin(last_of(&IN_ORDER[..4], |stats| stats.state(State::CloseWait).value()))]
#[bench::fin_back(last_of(&IN_ORDER[..5], |stats| stats.state(State::TimeWait).value()))]
#[bench::last_ack(last_of(&IN_ORDER, |stats| stats.tx_sent.value()))]
#[bench::reset(last_of(&RESET, |stats| stats.state(State::Close).value()))]
#[bench::expire(ends())]
fn turns(mut work: Box<Work>) -> Box<Work> {
    work.gateway.turns(&mut work.bursts);
    work
}

#[library_benchmark(config = dhat(), teardown = check)]
#[bench::hit_tcp(hits(Gateway::new(Proto::Tcp, FEWER), FEWER))]
fn heap(mut work: Box<Work>) -> Box<Work> {
    work.gateway.turns(&mut work.bursts);
    work
}

library_benchmark_group!(name = counts, benchmarks = [turns, heap]);
main!(library_benchmark_groups = counts);
