//! A gateway of one lcore without DPDK, and the frames that come to it: for what is counted, not timed.

use super::flow::{self, AnyFlow, Bytes, Flow, LEN};
use super::gateway::{self, Families};
use super::heap::{Buf, Pool};
use gatun_engine::addr::{Be16, Be32, Dir, Family, LcoreId, Proto};
use gatun_engine::conn::{key::SplitMix, tuple::Tuple};
use gatun_engine::frame::Buffer;
use gatun_engine::lcore::{Batch, Lcore, Source};
use gatun_engine::mem::Heap;
use gatun_engine::stats::LcoreStats;
use gatun_engine::time::{HZ, Tick, Ticks};
use gatun_engine::wire::tcp::ACK;

/// Frames of a turn.
pub const BURST: usize = 32;
/// Packets of each count, or connections.
pub const PACKETS: usize = 500 * BURST;

/// The lcore, its buffers and its clients.
pub struct Gateway {
    lcore: Lcore<Heap, Buf>,
    pool: Pool,
    proto: Proto,
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
        Gateway { lcore, pool: Pool::new(3 * PACKETS), proto, clients: 0, random: SplitMix(5), now }
    }

    /// The tuples of clients that were not yet here.
    pub fn clients(&mut self, n: usize) -> Vec<Tuple> {
        let first = self.clients;
        self.clients += n as u32;
        (first..self.clients).map(|n| flow::client_key(n, self.proto, &mut self.random)).collect()
    }

    /// Opens so many connections; gives the flows of both directions in random order.
    pub fn open(&mut self, conns: usize) -> Vec<Flow> {
        let clients = self.clients(conns);
        let opened = flow::open(&mut self.lcore, |_| self.now, clients.into_iter(), Buf::new);
        assert_eq!(opened.len(), conns, "every client has its connection");
        flow::shuffled(&opened)
    }

    /// The same of clients of IPv6.
    pub fn open_wide(&mut self, conns: usize) -> Vec<AnyFlow> {
        let clients: Vec<Tuple> = self.clients(conns).iter().map(flow::six).collect();
        let opened = flow::open(&mut self.lcore, |_| self.now, clients.into_iter(), Buf::new);
        assert_eq!(opened.len(), conns, "every client has its connection");
        flow::in_random_order(&opened, |key| AnyFlow::of(key, ACK))
    }

    /// The tuples of the servers' packets to these clients.
    pub fn servers(&self, clients: &[Tuple]) -> Vec<Tuple> {
        let conns = &self.lcore.shard.conns;
        let reply = |client| conns.find_tuple(client).map(|(id, _)| conns.tuple(id, Dir::Out)).expect("a connection");
        clients.iter().map(reply).collect()
    }

    /// Frames of IPv4 with these TCP flags, of the flows 0, 1, 2 ...
    pub fn frames(&mut self, flags: u8, flow: impl Fn(usize) -> Flow) -> Vec<Batch<Buf>> {
        let nobody = Tuple::new(Be32::default(), Be32::default(), Be16::default(), Be16::default(), self.proto);
        let template = flow::frame(&nobody, flags, 1);
        self.bursts(|gateway, i| gateway.filled(&template, &flow(i)))
    }

    /// The same with the flow of each of these tuples.
    pub fn frames_of(&mut self, flags: u8, keys: &[Tuple]) -> Vec<Batch<Buf>> {
        self.frames(flags, |i| Flow::of(&keys[i], flags))
    }

    /// Frames of either family.
    pub fn frames_wide(&mut self, flow: impl Fn(usize) -> AnyFlow) -> Vec<Batch<Buf>> {
        self.bursts(|gateway, i| {
            let flow = flow(i);
            let mut buf = gateway.pool.take();
            let mut frame = buf.frame();
            flow.write(frame.reset(flow.frame_len()).expect("room"));
            let (head, len) = (frame.head, frame.len);
            buf.commit(head, len);
            buf
        })
    }

    fn bursts(&mut self, mut frame: impl FnMut(&mut Gateway, usize) -> Buf) -> Vec<Batch<Buf>> {
        (0..PACKETS).step_by(BURST).map(|first| (first..first + BURST).map(|i| frame(self, i)).collect()).collect()
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
