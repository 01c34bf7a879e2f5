//! Two workers on two CPUs, each feeding itself from its own port; the main lcore sleeps.

use arrayvec::ArrayVec;
use dpdk::ring::{self as dpdk_ring, Consumer};
use dpdk::{Eal, LcoreId as Seat, Mbuf};
use gatun_bench::flow::{self, Flow};
use gatun_bench::gateway;
use gatun_bench::goals::Results;
use gatun_bench::measure::{PAIRS, PHASE, SAME, Spread, cpu, load};
use gatun_bench::near::{Line, NEAR};
use gatun_bench::ring::{self, Feed, Worker};
use gatun_engine::addr::{LcoreId, Proto};
use gatun_engine::conn::key::SplitMix;
use gatun_engine::wire::tcp::ACK;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

/// Connections of each.
const CONNECTIONS: usize = 500_000;

/// What runs when.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    /// One worker alone.
    Alone(usize),
    /// Both, with packets that are at home where they come in.
    Local,
    /// Both, and half of the packets are at home on the other one.
    Mixed,
}

/// The steps of a round: the second of a kind is there to be compared with the first.
const ROUND: [Step; 6] = [Step::Alone(0), Step::Alone(0), Step::Alone(1), Step::Local, Step::Local, Step::Mixed];

/// Rounds in which both CPUs share a cache that are enough for a figure of these alone.
const ENOUGH: usize = 7;
/// Rounds, at most: it is gone on until there are [`PAIRS`] of these.
const MOST: usize = 3 * PAIRS;

/// What one worker did in a round.
#[derive(Clone, Copy)]
struct Round {
    /// Whether both CPUs shared a cache, before it.
    near: bool,
    /// Its packets and CPU time, by step.
    steps: [(u64, Duration); ROUND.len()],
}

/// One worker's rounds.
type Log = Vec<Round>;

struct Runner {
    me: usize,
    worker: Worker,
    local: Feed,
    mixed: Feed,
    from_other: Consumer,
    barrier: Arc<Barrier>,
    line: Arc<Line>,
    near: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    log: Arc<Mutex<Log>>,
}

/// G8 and G13.
pub(crate) fn workers(eal: &Eal, r: &mut Results) {
    if eal.lcores().len() < 3 {
        for id in ["G8", "G13"] {
            r.add(id, Err("this machine has only one CPU".to_owned()), "");
        }
        return;
    }
    println!("... two workers, {CONNECTIONS} connections each");
    let logs = [Arc::new(Mutex::new(Log::new())), Arc::new(Mutex::new(Log::new()))];
    let launch = |(seat, runner): (u32, Runner)| eal.launch(Seat(seat), move || runner.run());
    let handles: Vec<_> = (1..).zip(runners(eal, &logs)).map(launch).collect();
    for handle in handles {
        let handle = handle.unwrap_or_else(|e| panic!("{e}"));
        handle.join().unwrap_or_else(|e| panic!("{e}"));
    }
    let [a, b] = logs.map(|log| log.lock().expect("the log").clone());
    let rate = |(count, spent): (u64, Duration)| count as f64 / spent.as_secs_f64();
    let one = |log: &Log, i: usize, step: usize| rate(log[i].steps[step]);
    let both = |i: usize, step: usize| {
        let ((n, t), (m, u)) = (a[i].steps[step], b[i].steps[step]);
        (n + m) as f64 / (t + u).as_secs_f64()
    };
    // The workers' own CPUs give their packets to each other: how far they are apart decides what that costs.
    let (near, apart): (Vec<usize>, Vec<usize>) = (0..a.len()).partition(|i| a[*i].near);
    let told = if near.len() >= ENOUGH { &near } else { &(0..a.len()).collect() };
    let spread = |of: &dyn Fn(usize) -> f64| Spread::of(told.iter().map(|i| of(*i)).collect());
    let mut rounds = format!("{} rounds with both CPUs at one cache, {} with them apart", near.len(), apart.len());
    if near.len() < ENOUGH {
        rounds += ", and all of them count";
    } else if apart.len() >= ENOUGH {
        let apart = Spread::of(apart.iter().map(|i| both(*i, 5) / both(*i, 3)).collect());
        rounds += &format!(" (G13 there: {:.3})", apart.median);
    }
    let checked = |same: Spread, figure: Spread| {
        if (same.median - 1.0).abs() <= SAME {
            Ok(figure.into())
        } else {
            Err(format!("A/A was {:.3}, not 1.00 within {SAME}: the machine is too busy, load {}", same.median, load()))
        }
    };
    let scaling = spread(&|i| one(&a, i, 3) / one(&a, i, 0) + one(&b, i, 3) / one(&b, i, 2));
    let how = format!("each worker with the other over itself alone, summed; {rounds}; load {}", load());
    r.add("G8", checked(spread(&|i| one(&a, i, 1) / one(&a, i, 0)), scaling), &how);
    let redirected = spread(&|i| both(i, 5) / both(i, 3));
    let tsc = |step: usize| dpdk::tsc_hz() as f64 / spread(&|i| both(i, step)).median;
    let how = format!(
        "packets sent a CPU-second of both workers, rings between them; local {:.1}, mixed {:.1} tsc a packet; {rounds}; load {}",
        tsc(3),
        tsc(5),
        load()
    );
    r.add("G13", checked(spread(&|i| both(i, 4) / both(i, 3)), redirected), &how);
}

fn runners(eal: &Eal, logs: &[Arc<Mutex<Log>>; 2]) -> Vec<Runner> {
    let shared = gateway::shared(Proto::Tcp, 2);
    let (barrier, over) = (Arc::new(Barrier::new(2)), Arc::new(AtomicBool::new(false)));
    let (line, near) = (Arc::new(Line::default()), Arc::new(AtomicBool::new(false)));
    let (to, from): (Vec<_>, Vec<_>) =
        ["other0", "other1"].map(|name| dpdk_ring::mpsc(eal, name, 4_096, None).expect("a ring")).into_iter().unzip();
    let workers: Vec<(Worker, Vec<Flow>)> = [0, 1]
        .map(|me| {
            let id = LcoreId(me);
            let mut worker = Worker::new(eal, id, Proto::Tcp, CONNECTIONS, &shared);
            let mine: Vec<_> = ring::clients(0, 3 * CONNECTIONS, Proto::Tcp)
                .filter(|key| shared.steer.owner(shared.class_of(key)) == id)
                .take(CONNECTIONS)
                .collect();
            let opened = worker.open(mine.into_iter());
            assert_eq!(opened.len(), CONNECTIONS);
            worker.io.peers = to.clone();
            (worker, flow::shuffled(&opened))
        })
        .into();
    let flows: Vec<Vec<Flow>> = workers.iter().map(|(_, flows)| flows.clone()).collect();
    let seats = workers.into_iter().zip(from).zip(logs).enumerate();
    seats
        .map(|(me, (((worker, local), from_other), log))| Runner {
            me,
            worker,
            mixed: Feed::new(mix(&local, &flows[1 - me])),
            local: Feed::new(local),
            from_other,
            barrier: barrier.clone(),
            line: line.clone(),
            near: near.clone(),
            over: over.clone(),
            log: log.clone(),
        })
        .collect()
}

/// One of either, by chance.
fn mix(a: &[Flow], b: &[Flow]) -> Vec<Flow> {
    let mut random = SplitMix(11);
    a.iter().zip(b).map(|(a, b)| if random.next().is_multiple_of(2) { *a } else { *b }).collect()
}

impl Runner {
    fn run(mut self) -> i32 {
        let (mut rounds, mut near) = (0, 0);
        while near < PAIRS && rounds < MOST {
            let is_near = self.are_near();
            let steps = ROUND.map(|step| {
                self.prepare();
                match step {
                    Step::Alone(who) if who != self.me => (0, Duration::ZERO),
                    Step::Alone(_) | Step::Local => self.phase(false),
                    Step::Mixed => self.phase(true),
                }
            });
            self.log.lock().expect("the log").push(Round { near: is_near, steps });
            (rounds, near) = (rounds + 1, near + usize::from(is_near));
        }
        self.barrier.wait();
        0
    }

    /// Whether both CPUs share a cache, which both workers say alike.
    fn are_near(&self) -> bool {
        let first = self.me == 0;
        let trip = self.line.round_trip(first);
        if first {
            self.near.store(trip < NEAR, Relaxed);
        }
        self.barrier.wait();
        self.near.load(Relaxed)
    }

    /// Frames that went over to the other worker go home: both begin with as many.
    fn prepare(&mut self) {
        self.barrier.wait();
        let mut handed_over: ArrayVec<Mbuf, 64> = ArrayVec::new();
        while self.from_other.dequeue_burst(&mut handed_over) > 0 {
            handed_over.clear();
        }
        self.worker.empty();
        self.over.store(false, Relaxed);
        self.barrier.wait();
        self.worker.fill(ACK);
        self.barrier.wait();
    }

    /// Packets sent, and the CPU time for them. It is over for both when one of them has had its time.
    fn phase(&mut self, mixed: bool) -> (u64, Duration) {
        let sent = |w: &Worker| w.lcore.shard.stats.lcore.tx_sent.value();
        let (begin, before) = (cpu(), sent(&self.worker));
        loop {
            for _ in 0..64 {
                let feed = if mixed { &mut self.mixed } else { &mut self.local };
                if self.worker.among_others::<32>(feed, &mut self.from_other) == 0 {
                    // The other worker has all frames, and may itself be stopped.
                    std::thread::yield_now();
                }
            }
            let spent = cpu() - begin;
            if spent >= PHASE || self.over.load(Relaxed) {
                self.over.store(true, Relaxed);
                return (sent(&self.worker) - before, spent);
            }
        }
    }
}
