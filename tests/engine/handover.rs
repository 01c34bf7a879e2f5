//! Frames between lcores, in many orders of their steps (shuttle): rings that are often full, and workers that never wait.

use super::bench::*;
use gatun::replay::Options;
use gatun_engine::addr::{Be32, LcoreId, NeighborId, PortId};
use gatun_engine::frame::{Buffer, Meta};
use gatun_engine::lcore::{Batch, Io, Punt, Source};
use gatun_engine::steer::Steer;
use gatun_engine::testkit::Packet;
use gatun_engine::testkit::lab::nic::hash;
use gatun_engine::testkit::lab::{Buf, Lcore, mac_of};
use gatun_engine::verdict::DropReason;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

const LCORES: u8 = 3;
/// Frames that come to each lcore.
const FRAMES: usize = 24;

/// A hand-over ring: a burst goes in or out at once, and before it the other workers may do as many steps as they like.
struct Ring {
    frames: Mutex<VecDeque<Buf>>,
    step: shuttle::sync::atomic::AtomicUsize,
}

impl Ring {
    fn new() -> Ring {
        Ring { frames: Mutex::default(), step: shuttle::sync::atomic::AtomicUsize::new(0) }
    }

    /// What does not fit stays.
    fn enqueue(&self, room: usize, batch: &mut Batch<Buf>) {
        self.step.fetch_add(1, SeqCst);
        let mut frames = self.frames.lock().unwrap();
        let fits = batch.len().min(room - frames.len());
        frames.extend(batch.drain(..fits));
    }

    fn dequeue(&self, most: usize) -> Batch<Buf> {
        self.step.fetch_add(1, SeqCst);
        let mut frames = self.frames.lock().unwrap();
        let taken = frames.len().min(most);
        frames.drain(..taken).collect()
    }
}

/// The ways out of one lcore.
struct Out<'r> {
    rings: &'r [Ring],
    room: usize,
    /// Client and number of each datagram that left.
    sent: Vec<(u16, u8)>,
}

impl Io for Out<'_> {
    type Buf = Buf;
    fn spare(&mut self) -> Option<Buf> {
        None
    }
    fn send(&mut self, _: PortId, batch: &mut Batch<Buf>) {
        let payload = |b: Buf| (u16::from_be_bytes([b.bytes()[42], b.bytes()[43]]), b.bytes()[44]);
        self.sent.extend(batch.drain(..).map(payload));
    }
    fn redirect(&mut self, to: LcoreId, batch: &mut Batch<Buf>) {
        self.rings[to.index()].enqueue(self.room, batch);
    }
    fn punt(&mut self, _: Punt, buf: Buf) -> Result<(), Buf> {
        Err(buf)
    }
    fn wanted(&mut self, _: NeighborId) {}
}

/// A worker's turn, but for its ports.
fn turn(lcore: &mut Lcore, out: &mut Out<'_>, mut received: Batch<Buf>) -> usize {
    let now = Default::default();
    lcore.turn(now, out, &mut received, Source::Port);
    let mut handed_over = out.rings[lcore.shard.id.index()].dequeue(4);
    let count = handed_over.len();
    lcore.turn(now, out, &mut handed_over, Source::Ring);
    lcore.finish(now, out);
    assert_eq!(lcore.shard.stats.lcore.balance(), 0);
    count
}

/// Datagrams of one client for each lcore, which come in on another than its own. The two first clients have one home.
fn frames(b: &Bench, steer: &Steer) -> Vec<VecDeque<Buf>> {
    let datagram = |port: u16, n: u8| {
        let [high, low] = port.to_be_bytes();
        let packet = Packet::udp(&format!("10.0.0.1:{port}"), "198.18.1.100:53").payload(&[high, low, n]);
        packet.macs(mac_of(Be32::new(0x0A00_0001)), b.gateway.mac(WAN)).build()
    };
    let home = |port| steer.owner(Steer::class(hash(steer, &datagram(port, 0)).unwrap_or(0)));
    let client = |lcore: u8, after: u16| (after..).find(|port| home(*port) == LcoreId(lcore)).unwrap();
    let first = client(2, 5_000);
    let clients = [first, client(2, first + 1), client(0, 5_000)];
    let meta = Meta { port: WAN, ..Meta::default() };
    clients.iter().map(|port| (0..FRAMES as u8).map(|n| Buf::new(&datagram(*port, n), meta)).collect()).collect()
}

/// Gives how many frames a full ring refused.
fn hand_over(room: usize) -> u64 {
    let mut b = Bench::new(&toml("").replace("80_000", "64"), &Options { shards: LCORES, ..Options::default() });
    let steer = b.gateway.lab.steer().clone();
    let received = frames(&b, &steer);
    let rings: Vec<Ring> = (0..LCORES).map(|_| Ring::new()).collect();
    let lcores = b.gateway.lab.lcores_mut();
    let mut outs: Vec<Out<'_>> = lcores.iter().map(|_| Out { rings: &rings, room, sent: Vec::new() }).collect();
    shuttle::thread::scope(|scope| {
        for ((lcore, out), mut received) in lcores.iter_mut().zip(&mut outs).zip(received) {
            scope.spawn(move || {
                while !received.is_empty() {
                    let burst = received.len().min(3);
                    turn(lcore, out, received.drain(..burst).collect());
                }
            });
        }
    });
    // The run ends: what is in the rings still goes out.
    for (lcore, out) in lcores.iter_mut().zip(&mut outs) {
        while turn(lcore, out, Batch::new()) > 0 {}
    }

    let sum = |of: &dyn Fn(&Lcore) -> u64| lcores.iter().map(of).sum::<u64>();
    let all = u64::from(LCORES) * FRAMES as u64;
    let refused = sum(&|l| l.shard.stats.lcore.drop(DropReason::RedirectRingFull).value());
    assert_eq!(sum(&|l| l.shard.stats.lcore.rx.value()), all);
    assert_eq!(sum(&|l| l.shard.stats.lcore.to_ring.value()), all - refused, "all are at home elsewhere");
    assert_eq!(sum(&|l| l.shard.stats.lcore.from_ring.value()), all - refused, "none is lost, none comes twice");
    assert_eq!(sum(&|l| l.shard.stats.lcore.tx_sent.value()), all - refused, "none goes a second time");
    for out in outs {
        let mut last: HashMap<u16, u8> = HashMap::new();
        for (client, n) in out.sent {
            assert!(last.insert(client, n).is_none_or(|before| before < n), "the order of a client is kept");
        }
    }
    refused
}

fn check(scheduler: impl Scheduler + 'static, room: usize) -> u64 {
    static REFUSED: AtomicU64 = AtomicU64::new(0);
    let mut config = shuttle::Config::new();
    config.stack_size = 1 << 20;
    REFUSED.store(0, SeqCst);
    shuttle::Runner::new(scheduler, config).run(move || _ = REFUSED.fetch_add(hand_over(room), SeqCst));
    REFUSED.load(SeqCst)
}

#[test]
fn a_full_ring_refuses_and_in_any_order_of_steps_no_frame_is_lost_doubled_or_overtaken() {
    assert!(check(RandomScheduler::new_from_seed(1, 150), 4) > 0, "rings were full at times");
    assert!(check(PctScheduler::new_from_seed(1, 3, 150), 4) > 0);
    // Room for everything: nothing is refused.
    assert_eq!(check(RandomScheduler::new_from_seed(2, 50), 3 * FRAMES), 0);
}
