//! The protocol of master and worker, in every order in which their steps can happen (shuttle), on a model of the rings.

use super::{FromWorker, Mailbox, Phase, Rings, ToWorker};
use crate::config;
use crate::replay::{Gateway, Options};
use gatun_engine::addr::{Be32, LcoreId, PortId};
use gatun_engine::conn::record::Cursor;
use gatun_engine::lcore::capture::{AT_ONCE, Capture, Filter, Points, Seen, Sink};
use gatun_engine::limit::DEFAULT_LIMITS;
use gatun_engine::mem::Heap;
use gatun_engine::neighbor::Neighbors;
use gatun_engine::shard::{Shard, Shared, Sizes};
use gatun_engine::snapshot::Snapshot;
use gatun_engine::stats::Stats;
use gatun_engine::steer::Steer;
use gatun_engine::testkit::Packet;
use gatun_engine::testkit::lab::{Lcore, mac_of};
use gatun_engine::time::Tick;
use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler, Scheduler};
use shuttle::thread;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};

/// What the rings are in these tests: the same four operations, each one step that happens at once, before which the
/// other thread may take any number of its own.
pub struct ArrayQueue<T> {
    ring: Mutex<VecDeque<T>>,
    capacity: usize,
    step: shuttle::sync::atomic::AtomicUsize,
    pub pushed: AtomicUsize,
    pub popped: AtomicUsize,
}

impl<T> ArrayQueue<T> {
    pub fn new(capacity: usize) -> ArrayQueue<T> {
        let (pushed, popped) = Default::default();
        let step = shuttle::sync::atomic::AtomicUsize::new(0);
        ArrayQueue { ring: Mutex::default(), capacity, step, pushed, popped }
    }

    fn now<R>(&self, what: impl FnOnce(&mut VecDeque<T>) -> R) -> R {
        self.step.fetch_add(1, SeqCst);
        what(&mut self.ring.lock().unwrap())
    }

    pub fn push(&self, message: T) -> Result<(), T> {
        self.now(|ring| {
            if ring.len() == self.capacity {
                return Err(message);
            }
            ring.push_back(message);
            self.pushed.fetch_add(1, SeqCst);
            Ok(())
        })
    }

    pub fn pop(&self) -> Option<T> {
        self.now(|ring| ring.pop_front().inspect(|_| _ = self.popped.fetch_add(1, SeqCst)))
    }

    pub fn is_empty(&self) -> bool {
        self.now(|ring| ring.is_empty())
    }

    pub fn is_full(&self) -> bool {
        self.now(|ring| ring.len() == self.capacity)
    }
}

/// An lcore that runs by this snapshot: one that an earlier conversation left, for its tables take longer to make than all
/// the rest.
fn lcore(snapshot: Arc<Snapshot>) -> Lcore {
    let mut lcore = LEFT.lock().unwrap().pop().unwrap_or_else(|| {
        let steer = Arc::new(Steer::new(Steer::key_from_seed(1), 1).unwrap());
        let shared = Shared::new(Arc::default(), Arc::new(Neighbors::new(4)), steer);
        let sizes = Sizes { conns: 4, wide: 0, services: 1, port_chunks: 4 };
        let shard = Shard::new(&Heap, LcoreId(0), sizes, Arc::new(Stats::new(4)), 1, Tick(0)).unwrap();
        Lcore::new(shared, shard, 1, 1, &DEFAULT_LIMITS, Tick(0))
    });
    lcore.shared.replace(snapshot);
    lcore.shard.accepting = true;
    lcore
}

static LEFT: Mutex<Vec<Lcore>> = Mutex::new(Vec::new());

fn check(scheduler: impl Scheduler + 'static, what: impl Fn() + Send + Sync + 'static) {
    let mut config = shuttle::Config::new();
    config.stack_size = 1 << 20;
    shuttle::Runner::new(scheduler, config).run(what);
}

/// Snapshots by generation, each with one owner; and which of them the master has got back.
struct Snapshots {
    all: Vec<Weak<Snapshot>>,
    back: Vec<AtomicBool>,
}

impl Snapshots {
    /// Nobody but the master lets go of one: until it is back it has its owner, whether worker or ring.
    fn look(&self) {
        for (generation, (one, back)) in self.all.iter().zip(&self.back).enumerate() {
            let owners = usize::from(!back.load(SeqCst));
            assert_eq!(one.strong_count(), owners, "owners of generation {generation}");
        }
    }

    /// The master frees one.
    fn free(&self, old: Arc<Snapshot>) {
        let generation = old.generation as usize;
        drop(old);
        assert!(!self.back[generation].swap(true, SeqCst), "generation {generation} came back twice");
        self.look();
    }
}

/// The worker's end, and what it takes and answers in a turn.
struct Worker {
    mailbox: Mailbox,
    lcore: Lcore,
}

impl Worker {
    fn turn(&mut self, snapshots: &Snapshots) -> Phase {
        let rings = self.mailbox.rings.clone();
        let (taken, answered) = (rings.to.popped.load(SeqCst), rings.from.pushed.load(SeqCst));
        let phase = self.mailbox.read(Tick(0), &mut self.lcore);
        assert!(rings.to.popped.load(SeqCst) - taken <= 1, "one message a turn");
        assert!(rings.from.pushed.load(SeqCst) - answered <= 1, "one answer a turn");
        snapshots.look();
        phase
    }
}

/// The master's end, and what it still has to say.
struct Master {
    rings: Arc<Rings>,
    messages: VecDeque<ToWorker>,
    used: Vec<u64>,
    counted: usize,
    listed: usize,
}

impl Master {
    fn turn(&mut self, snapshots: &Snapshots) {
        if let Some(message) = self.messages.pop_front()
            && let Err(message) = self.rings.to.push(message)
        {
            self.messages.push_front(message);
        }
        match self.rings.from.pop() {
            None => {}
            Some(FromWorker::Done(generation, old, _)) => {
                self.used.push(generation);
                snapshots.free(old);
            }
            Some(FromWorker::Counted(_)) => self.counted += 1,
            Some(FromWorker::Listed(..)) => self.listed += 1,
            Some(
                FromWorker::Dropped(_) | FromWorker::Ended(..) | FromWorker::Captures(_) | FromWorker::CaptureOver(_),
            ) => panic!("nobody asked for it"),
        }
    }
}

/// A master that publishes so many snapshots, and asks for counters and a list after each when it is `curious`, and a
/// worker, side by side for some turns, then to the end.
fn converse(generations: u64, curious: bool, depth: usize, turns: usize) {
    let mut all: VecDeque<Arc<Snapshot>> =
        (0..=generations).map(|generation| Arc::new(Snapshot { generation, ..Snapshot::default() })).collect();
    let snapshots = Arc::new(Snapshots {
        all: all.iter().map(Arc::downgrade).collect(),
        back: all.iter().map(|_| AtomicBool::new(false)).collect(),
    });
    let rings = Arc::new(Rings::holding(depth));
    let first = all.pop_front().unwrap();
    let mut worker = Worker { mailbox: Mailbox::new(rings.clone()), lcore: lcore(first) };
    let mut messages = VecDeque::new();
    for snapshot in all {
        messages.push_back(ToWorker::Snapshot(snapshot, Box::new(DEFAULT_LIMITS)));
        if curious {
            messages.push_back(ToWorker::Count(Box::default()));
            messages.push_back(ToWorker::List(Cursor::default(), Vec::with_capacity(4)));
        }
    }
    messages.push_back(ToWorker::Close);
    let mut master = Master { rings, messages, used: Vec::new(), counted: 0, listed: 0 };

    let theirs = snapshots.clone();
    let working = thread::spawn(move || {
        for _ in 0..turns {
            assert_eq!(worker.turn(&theirs), Phase::Run);
        }
        worker
    });
    for _ in 0..turns {
        master.turn(&snapshots);
    }
    let mut worker = working.join().unwrap();

    // Whatever happened, nobody waits for the other: all is said and answered after as many turns as there are messages.
    for _ in 0..3 * generations + 2 {
        master.turn(&snapshots);
        assert_eq!(worker.turn(&snapshots), Phase::Run);
    }
    master.turn(&snapshots);
    assert!(master.messages.is_empty() && !worker.lcore.shard.accepting);
    assert_eq!(master.used, (1..=generations).collect::<Vec<_>>(), "in order, each once");
    assert_eq!(
        (master.counted, master.listed),
        if curious { (generations as usize, generations as usize) } else { (0, 0) }
    );
    assert_eq!(worker.lcore.shared.snapshot().generation, generations);
    assert_eq!(snapshots.back.iter().filter(|b| !b.load(SeqCst)).count(), 1, "only the last is in use");
    master.rings.to.push(ToWorker::Stop).ok().unwrap();
    assert_eq!(worker.turn(&snapshots), Phase::Stop);
    LEFT.lock().unwrap().push(worker.lcore);
}

#[test]
fn in_every_order_of_steps_each_old_snapshot_is_freed_once_and_by_the_master() {
    let orders = Arc::new(AtomicUsize::new(0));
    let count = orders.clone();
    check(DfsScheduler::new(None, false), move || {
        count.fetch_add(1, SeqCst);
        converse(2, false, 1, 4);
    });
    assert!(orders.load(SeqCst) > 10_000, "{orders:?} orders");
}

#[test]
fn with_many_messages_in_rings_of_any_depth_nothing_is_lost_and_nobody_waits_for_ever() {
    for depth in [1, 2, 16] {
        check(RandomScheduler::new_from_seed(1, 200), move || converse(6, true, depth, 20));
        check(PctScheduler::new_from_seed(1, 3, 200), move || converse(6, true, depth, 20));
    }
}

#[test]
fn a_long_list_is_made_a_part_a_turn_and_what_comes_meanwhile_waits() {
    const CONNS: usize = 600;
    let toml = include_str!("../../../conf/demo.toml");
    check(RandomScheduler::new_from_seed(1, 1), move || {
        let model = config::parse(toml, "demo.toml").unwrap();
        let mut gateway = Gateway::new(model, &Options::default()).unwrap();
        let mac = gateway.mac(PortId(0));
        for n in 0..CONNS {
            let syn = Packet::tcp(&format!("198.18.1.7:{}", 2_000 + n), "198.18.1.100:80").flags("S");
            let frame = syn.macs(mac_of(Be32::new(0x0A00_0001)), mac).build();
            assert!(!gateway.lab.input(PortId(0), &frame).sent.is_empty());
        }
        let rings = Arc::new(Rings::new());
        let mut mailbox = Mailbox::new(rings.clone());
        rings.to.push(ToWorker::List(Cursor::default(), Vec::with_capacity(CONNS + 1))).ok().unwrap();
        rings.to.push(ToWorker::Close).ok().unwrap();
        let lcore = &mut gateway.lab.lcores_mut()[0];
        let mut turns = 0;
        while rings.from.is_empty() {
            assert!(lcore.shard.accepting, "the next message waits for the list");
            mailbox.read(Tick(0), lcore);
            turns += 1;
        }
        assert_eq!(turns, CONNS / super::LISTED + 1);
        let Some(FromWorker::Listed(records, None)) = rings.from.pop() else { panic!("a whole list") };
        assert_eq!(records.len(), CONNS);
        mailbox.read(Tick(0), lcore);
        assert!(!lcore.shard.accepting);
    });
}

/// A sink that takes nothing.
struct Blind {
    over: Arc<AtomicBool>,
}

impl Sink for Blind {
    fn put(&mut self, _: &Seen, _: &[u8]) {}
    fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }
}

#[test]
fn a_capture_that_nobody_wants_any_more_comes_back_when_there_is_room() {
    check(RandomScheduler::new_from_seed(1, 1), || {
        let rings = Arc::new(Rings::holding(1));
        let mut mailbox = Mailbox::new(rings.clone());
        let mut lcore = lcore(Arc::default());
        let over = Arc::new(AtomicBool::new(false));
        let filter = Filter { points: Points::Both, port: None, protocol: None, ends: Default::default() };
        let mut turn = || {
            mailbox.read(Tick(0), &mut lcore);
            lcore.is_capturing()
        };
        let capture = || {
            let sink = Box::new(Blind { over: over.clone() });
            ToWorker::Capture(Box::new(Capture::new(filter.clone(), 64, sink)))
        };
        // As many as it can, and one that it gives back.
        for n in 0..=AT_ONCE {
            rings.to.push(capture()).ok().unwrap();
            assert!(turn());
            let Some(FromWorker::Captures(refused)) = rings.from.pop() else { panic!("an answer") };
            assert_eq!(refused.is_some(), n == AT_ONCE);
        }
        over.store(true, SeqCst);
        // One a turn, and none while there is no room for it.
        assert!(turn() && turn());
        assert!(matches!(rings.from.pop(), Some(FromWorker::CaptureOver(_))));
        assert!(!turn());
        assert!(matches!(rings.from.pop(), Some(FromWorker::CaptureOver(_))));
        assert!(!turn() && rings.from.is_empty());
        LEFT.lock().unwrap().push(lcore);
    });
}
