//! A worker as it runs live, but for the generator: one port made of rings, whose frames come in again when they were sent.
//!
//! Between receiving and working, the generator writes the next flow into each frame, alike for every loop. It reads a
//! list in order and never touches the connection table.

use crate::flow::{self, AnyFlow, Bytes, Flow, LEN};
use crate::gateway;
use crate::measure::{Phase, phase};
use crate::swap;
use arrayvec::ArrayVec;
use dpdk::ring::{self, Consumer};
use dpdk::{Eal, Mbuf, Mempool};
use gatun::worker::Clock;
use gatun::worker::io::{self, DpdkIo, HugePages, Packet, Punts, Receiver, Way};
use gatun_engine::addr::{Be16, Be32, LcoreId, PortId, Proto};
use gatun_engine::conn::{key::SplitMix, tuple::Tuple};
use gatun_engine::frame::Buffer;
use gatun_engine::lcore::{Batch, Lcore, Source};
use gatun_engine::shard::Shared;
use gatun_engine::testkit::check;
use gatun_engine::time::{HZ, Tick, Ticks};
use gatun_engine::wire::tcp::ACK;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Frames in the rings: those of a receive queue of usual length.
const FRAMES: usize = 1_024;
/// Mbufs there are, spare ones and those in the cache of a lcore included.
const MBUFS: u32 = 4_095;

/// The time at the start: enough for a minute before it.
const STARTED: Ticks = Ticks(60 * HZ);

/// Huge pages are there, at least for a million connections.
pub fn huge_pages() -> bool {
    free_huge_pages() >= 256
}

/// Huge pages of 2 MiB that nobody uses.
pub fn free_huge_pages() -> usize {
    let free = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    free.ok().and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}

/// Where the tables are.
pub fn memory() -> &'static str {
    if huge_pages() { "huge pages" } else { "ordinary pages: figures are not valid" }
}

/// Starts DPDK: the main lcore on the second CPU if there is one, and a lcore on each of the first two.
pub fn start() -> Eal {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let lcores = if cpus > 1 { "0@1,1@0,2@1" } else { "0@0" };
    let mut args = vec!["--no-pci", "--no-telemetry", "--lcores", lcores, "--log-level=*:error"];
    args.extend(if huge_pages() { &["--in-memory"][..] } else { &["--no-huge", "--no-shconf", "-m", "6000"][..] });
    Eal::init(&args.into_iter().map(str::to_owned).collect::<Vec<_>>()).expect("DPDK")
}

/// A flow whose frames a generator writes.
pub trait Wire: Copy {
    /// Of the packets of a client that has this tuple over IPv4.
    fn of_client(key: &Tuple, flags: u8) -> Self;
    /// Makes what came in a frame of it.
    fn put(&self, mbuf: &mut Mbuf, proto: Proto);
    /// Its tuple.
    fn tuple(&self, proto: Proto) -> Tuple;
}

impl Wire for Flow {
    fn of_client(key: &Tuple, flags: u8) -> Flow {
        Flow::of(key, flags)
    }
    #[inline(always)]
    fn put(&self, mbuf: &mut Mbuf, proto: Proto) {
        self.write(whole(mbuf), proto);
    }
    fn tuple(&self, proto: Proto) -> Tuple {
        self.key(proto)
    }
}

impl Wire for AnyFlow {
    fn of_client(key: &Tuple, flags: u8) -> AnyFlow {
        AnyFlow::of(&flow::six(key), flags)
    }
    #[inline(always)]
    fn put(&self, mbuf: &mut Mbuf, _proto: Proto) {
        // It left with another length than it came with.
        mbuf.reset();
        mbuf.set_port(0);
        self.write(mbuf.append(self.frame_len() as u16).expect("room"));
    }
    fn tuple(&self, _proto: Proto) -> Tuple {
        self.key()
    }
}

/// What a generator sends, again and again.
pub struct Feed<F = Flow> {
    /// In this order.
    pub flows: Vec<F>,
    at: usize,
}

impl<F: Wire> Feed<F> {
    /// From the first flow on.
    pub fn new(flows: Vec<F>) -> Feed<F> {
        assert!(!flows.is_empty());
        Feed { flows, at: 0 }
    }

    /// The next flow.
    #[inline(always)]
    pub fn take(&mut self) -> &F {
        let at = self.at;
        self.at = if at + 1 == self.flows.len() { 0 } else { at + 1 };
        &self.flows[at]
    }
}

/// See the module.
pub struct Worker {
    /// The engine.
    pub lcore: Lcore<HugePages, Packet>,
    /// The time.
    pub clock: Clock,
    /// The ways out.
    pub io: DpdkIo,
    receiver: Receiver,
    proto: Proto,
}

/// A loop over a feed that says how many frames it took.
pub type Turn<F> = fn(&mut Worker, &mut Feed<F>) -> usize;

impl Worker {
    /// A worker with room for `conns` connections, and none open.
    pub fn new(eal: &Eal, id: LcoreId, proto: Proto, conns: usize, shared: &Shared) -> Worker {
        static NAMES: AtomicU32 = AtomicU32::new(0);
        let name = NAMES.fetch_add(1, Ordering::Relaxed);
        let pool = Mempool::new(eal, &format!("pool{name}"), MBUFS, 256, 2_048, None).expect("mbufs");
        let (producer, consumer) = ring::spsc(eal, &format!("ring{name}"), MBUFS, None).expect("a ring");
        // What is sent goes into the ring that is received from.
        let (_, queues) =
            dpdk::port::ring_port(eal, &format!("port{name}"), &pool, vec![consumer], vec![producer]).expect("a port");
        let receiver = Receiver { port: PortId(0), queue: queues.rx.into_iter().next().expect("a queue"), rss: None };
        let memory = HugePages { eal: eal.clone(), socket: None };
        let lcore = gateway::lcore(&memory, id, conns, shared, Tick(0));
        let io = DpdkIo {
            tx: queues.tx.into_iter().map(Way::Queue).collect(),
            stats: lcore.shard.stats.clone(),
            peers: Vec::new(),
            punts: Arc::new(Punts::new()),
            pool,
        };
        let mut worker = Worker { lcore, clock: Clock::start(), io, receiver, proto };
        worker.fill(ACK);
        worker
    }

    #[inline(always)]
    fn transmit<const N: usize>(&mut self, batch: &mut ArrayVec<Mbuf, N>) {
        if let Some(Way::Queue(queue)) = self.io.tx.first_mut() {
            queue.burst(batch);
        }
    }

    /// Makes every frame one with these TCP flags, and fills the rings.
    pub fn fill(&mut self, flags: u8) {
        let none = Tuple::new(Be32::default(), Be32::default(), Be16::default(), Be16::default(), self.proto);
        let template = flow::frame(&none, flags, 1);
        self.empty();
        let mut all: Vec<Mbuf> = std::iter::from_fn(|| self.io.pool.alloc()).collect();
        for mbuf in &mut all {
            mbuf.reset();
            mbuf.append(LEN as u16).expect("room").copy_from_slice(&template);
        }
        let mut batch: ArrayVec<Mbuf, 1> = ArrayVec::new();
        for mbuf in all.drain(..FRAMES) {
            batch.push(mbuf);
            self.transmit(&mut batch);
        }
    }

    /// Takes all frames out of the rings.
    pub fn empty(&mut self) {
        let mut batch: ArrayVec<Mbuf, 64> = ArrayVec::new();
        while self.receiver.queue.burst(&mut batch) > 0 {
            batch.clear();
        }
    }

    /// The time.
    #[inline(always)]
    pub fn now(&self) -> Tick {
        self.clock.now() + STARTED
    }

    /// Opens connections of these clients, evenly over the minute before the start, so that their timers do not fire
    /// together; gives the tuples of both directions.
    pub fn open(&mut self, keys: impl ExactSizeIterator<Item = Tuple>) -> Vec<[Tuple; 2]> {
        let (mut opened, all) = (0, keys.len() as u64);
        let now = |n: usize| {
            opened += n as u64;
            Tick((opened * u64::from(STARTED.0) / all) as u32)
        };
        self.open_at(now, keys)
    }

    /// The same at times of choice.
    pub fn open_at(
        &mut self,
        now: impl FnMut(usize) -> Tick,
        keys: impl ExactSizeIterator<Item = Tuple>,
    ) -> Vec<[Tuple; 2]> {
        let pool = &self.io.pool;
        let fresh = || {
            let mut mbuf = pool.alloc().expect("an mbuf");
            mbuf.set_port(0);
            Packet(mbuf)
        };
        flow::open(&mut self.lcore, now, keys, fresh)
    }

    #[inline(always)]
    fn receive<const N: usize>(&mut self, feed: &mut Feed<impl Wire>, into: &mut Batch<Packet>) -> usize {
        let received = self.receiver.burst(into, N);
        for packet in into.iter_mut() {
            feed.take().put(&mut packet.0, self.proto);
        }
        received
    }

    /// One turn of gatun over a burst of up to `N` frames.
    #[inline(always)]
    pub fn gatun<const N: usize>(&mut self, feed: &mut Feed<impl Wire>) -> usize {
        let now = self.now();
        self.gatun_at::<N>(feed, now)
    }

    /// The same at a time of choice.
    #[inline(always)]
    pub fn gatun_at<const N: usize>(&mut self, feed: &mut Feed<impl Wire>, now: Tick) -> usize {
        let mut batch = Batch::new();
        let received = self.receive::<N>(feed, &mut batch);
        self.lcore.turn(now, &mut self.io, &mut batch, Source::Port);
        self.lcore.finish(now, &mut self.io);
        received
    }

    /// One turn of gatun over frames in new mbufs, as behind a card: each mbuf that is received is freed and another taken, which
    /// is what [`Worker::dropping`] has to do too.
    #[inline(always)]
    pub fn renewing<const N: usize>(&mut self, feed: &mut Feed) -> usize {
        let now = self.now();
        let mut batch = Batch::new();
        let received = self.receiver.burst(&mut batch, N);
        Packet::discard(&mut batch);
        let mut fresh: ArrayVec<Mbuf, N> = ArrayVec::new();
        self.io.pool.alloc_bulk(&mut fresh, received);
        for mut mbuf in fresh {
            mbuf.set_port(0);
            mbuf.append(LEN as u16);
            feed.take().put(&mut mbuf, self.proto);
            batch.push(Packet(mbuf));
        }
        self.lcore.turn(now, &mut self.io, &mut batch, Source::Port);
        self.lcore.finish(now, &mut self.io);
        received
    }

    /// One turn of gatun, of which nothing is sent: every frame is dropped, and a new one put in its place.
    #[inline(always)]
    pub fn dropping<const N: usize>(&mut self, feed: &mut Feed) -> usize {
        let received = self.gatun::<N>(feed);
        let mut batch: ArrayVec<Mbuf, N> = ArrayVec::new();
        self.io.pool.alloc_bulk(&mut batch, received);
        for mbuf in &mut batch {
            mbuf.append(LEN as u16);
        }
        self.transmit(&mut batch);
        received
    }

    /// One turn of gatun over a burst of up to `N` frames and over what other workers handed over, in the order of the live
    /// worker; says how many frames.
    #[inline(always)]
    pub fn among_others<const N: usize>(&mut self, feed: &mut Feed<impl Wire>, from: &mut Consumer) -> usize {
        let now = self.now();
        let mut batch = Batch::new();
        let own = self.receive::<N>(feed, &mut batch);
        self.lcore.turn(now, &mut self.io, &mut batch, Source::Port);
        let others = io::handed_over(from, &mut batch);
        self.lcore.turn(now, &mut self.io, &mut batch, Source::Ring);
        self.lcore.finish(now, &mut self.io);
        own + others
    }

    /// One turn of the reference: swaps every 5-tuple.
    #[inline(always)]
    pub fn swap<const N: usize>(&mut self, feed: &mut Feed<impl Wire>) -> usize {
        let mut batch: ArrayVec<Mbuf, N> = ArrayVec::new();
        let received = self.receiver.queue.burst(&mut batch);
        for mbuf in &mut batch {
            feed.take().put(mbuf, self.proto);
        }
        for mbuf in &mut batch {
            swap::five_tuple(mbuf);
        }
        self.transmit(&mut batch);
        received
    }

    /// A phase of a loop.
    #[inline(always)]
    pub fn phase<F: Wire>(&mut self, feed: &mut Feed<F>, turn: impl Fn(&mut Worker, &mut Feed<F>) -> usize) -> Phase {
        phase(|| turn(self, feed))
    }

    /// Has a loop send the next flows of a feed, at most `most`, and `check` every frame that it sent against its flow.
    pub fn verify<F: Wire>(
        &mut self,
        feed: &mut Feed<F>,
        most: usize,
        turn: Turn<F>,
        check: impl Fn(&mut Worker, &F, &[u8]),
    ) {
        let mut sent = 0;
        while sent < most.min(feed.flows.len()) {
            // Exactly once around: afterwards the rings hold the frames in the order that they were sent in.
            let first = feed.at;
            let mut round = 0;
            while round < FRAMES {
                round += turn(self, feed);
            }
            assert_eq!(round, FRAMES, "bursts are a part of all frames");
            let mut batch: ArrayVec<Mbuf, FRAMES> = ArrayVec::new();
            self.receiver.queue.burst(&mut batch);
            assert_eq!(batch.len(), FRAMES, "frames were lost on the way");
            for (i, mbuf) in batch.iter().enumerate() {
                let flow = feed.flows[(first + i) % feed.flows.len()];
                check::checksums(mbuf.data()).unwrap_or_else(|e| panic!("frame {}: {e}", sent + i));
                check(self, &flow, mbuf.data());
            }
            self.transmit(&mut batch);
            sent += FRAMES;
        }
    }

    /// Everything was accounted for, and nothing was lost.
    pub fn account(&self) {
        let stats = &self.lcore.shard.stats.lcore;
        assert_eq!(stats.balance(), 0);
        assert_eq!(stats.drop(gatun_engine::verdict::DropReason::TxFull).value(), 0, "the rings were full");
    }
}

#[inline(always)]
fn whole(mbuf: &mut Mbuf) -> &mut Bytes {
    mbuf.data_mut().try_into().expect("a frame of 64 bytes")
}

/// The tuples of `n` clients from the `first` on.
pub fn clients(first: u32, n: usize, proto: Proto) -> impl ExactSizeIterator<Item = Tuple> {
    let mut random = SplitMix(u64::from(first) + 5);
    (first..first + n as u32).map(move |n| flow::client_key(n, proto, &mut random))
}

/// Flows of a Zipf distribution (exponent 1) over these, as many as there are.
pub fn zipf(flows: &[Flow]) -> Vec<Flow> {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=flows.len())
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    let mut random = SplitMix(9);
    let mut draw = || sums.partition_point(|s| *s < random.next() as f64 / u64::MAX as f64 * sum);
    (0..flows.len()).map(|_| flows[draw().min(flows.len() - 1)]).collect()
}
