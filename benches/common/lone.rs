//! A gateway of one lcore without DPDK, and the frames that come to it: for what is counted, not timed.

use super::flow;
use super::gateway::{self, Families};
use super::heap::{Buf, Pool};
use gatun_engine::addr::{Be16, Be32, Dir, Family, LcoreId, Proto};
use gatun_engine::conn::{key::SplitMix, tuple::Tuple};
use gatun_engine::lcore::{Batch, Lcore, Source};
use gatun_engine::mem::Heap;
use gatun_engine::stats::LcoreStats;
use gatun_engine::time::{HZ, Tick, Ticks};

/// Frames of a turn.
pub const BURST: usize = 32;
/// Packets of each count, or connections.
pub const PACKETS: usize = 500 * BURST;

/// The lcore, its buffers and its clients.
pub struct Gateway {
    lcore: Lcore<Heap, Buf>,
    pool: Pool,
    proto: Proto,
    /// Of the clients.
    family: Family,
    clients: u32,
    random: SplitMix,
    now: Tick,
}

impl Gateway {
    /// With room for so many connections, and for those of one count. IPv4.
    pub fn new(proto: Proto, conns: usize) -> Gateway {
        Gateway::of(proto, conns, [Family::V4; 2])
    }

    /// The same for clients and servers of these families.
    pub fn of(proto: Proto, conns: usize, families: Families) -> Gateway {
        let now = Tick(0);
        let shared = gateway::shared_of(proto, 1, families);
        let lcore = gateway::lcore(&Heap, LcoreId(0), conns + PACKETS, &shared, now);
        Gateway {
            lcore,
            pool: Pool::new(3 * PACKETS),
            proto,
            family: families[0],
            clients: 0,
            random: SplitMix(5),
            now,
        }
    }

    /// The tuples of clients that were not yet here.
    pub fn clients(&mut self, n: usize) -> Vec<Tuple> {
        let first = self.clients;
        self.clients += n as u32;
        let key = |n| {
            let key = flow::client_key(n, self.proto, &mut self.random);
            if self.family == Family::V6 { flow::six(&key) } else { key }
        };
        (first..self.clients).map(key).collect()
    }

    /// Opens so many connections; gives the tuples of both directions in random order.
    pub fn open(&mut self, conns: usize) -> Vec<Tuple> {
        let clients = self.clients(conns);
        let opened = flow::open(&mut self.lcore, |_| self.now, clients.into_iter(), Buf::new);
        assert_eq!(opened.len(), conns, "every client has its connection");
        flow::in_random_order(&opened, Tuple::clone)
    }

    /// The tuples of the servers' packets to these clients.
    pub fn servers(&self, clients: &[Tuple]) -> Vec<Tuple> {
        let conns = &self.lcore.shard.conns;
        let reply = |client| conns.find_tuple(client).map(|(id, _)| conns.tuple(id, Dir::Out)).expect("a connection");
        clients.iter().map(reply).collect()
    }

    /// Frames of these tuples, from the first on and from the beginning again, with these TCP flags.
    pub fn frames(&mut self, flags: u8, keys: &[Tuple]) -> Vec<Batch<Buf>> {
        let mut frames = keys.iter().cycle().map(|key| {
            let mut buf = self.pool.take();
            flow::fill(&mut buf, key, flags);
            buf
        });
        (0..PACKETS / BURST).map(|_| frames.by_ref().take(BURST).collect()).collect()
    }

    /// A turn for each of these bursts, and what ends a turn.
    pub fn turns(&mut self, bursts: &mut [Batch<Buf>]) {
        for burst in bursts {
            turn(&mut self.lcore, self.now, &mut self.pool, burst);
        }
    }

    /// So many seconds go by.
    pub fn later(&mut self, seconds: u32) {
        self.now = self.now + Ticks(seconds * HZ);
    }

    /// The lcore.
    pub fn lcore(&mut self) -> &mut Lcore<Heap, Buf> {
        &mut self.lcore
    }

    /// Its counters.
    pub fn stats(&self) -> &LcoreStats {
        &self.lcore.shard.stats.lcore
    }
}

/// One turn. Not inlined: what is counted does not depend on what is around it.
#[inline(never)]
fn turn(lcore: &mut Lcore<Heap, Buf>, now: Tick, pool: &mut Pool, burst: &mut Batch<Buf>) {
    lcore.turn(now, pool, burst, Source::Port);
    lcore.finish(now, pool);
}

/// The same client's packet to another port.
pub fn to_port(client: &Tuple, port: u16) -> Tuple {
    Tuple::new(client.src(), client.dst(), client.sport(), Be16::new(port), client.proto())
}

/// The same to one of 256 addresses that nobody here has.
pub fn elsewhere(client: &Tuple) -> Tuple {
    let nobody = Be32::new(0xCB00_7100 + client.src().v4().map_or(0, Be32::host) % 256);
    Tuple::new(client.src(), nobody, client.sport(), client.dport(), client.proto())
}
