//! What timers cost.

use super::hit::{Gateway, tsc};
use super::latency::{Watch, quantile};
use dpdk::Eal;
use gatun_bench::goals::{Figure, Results};
use gatun_bench::measure::{Pairs, load};
use gatun_bench::ring::{self, Feed, Worker};
use gatun_bench::{flow, gateway};
use gatun_engine::addr::{LcoreId, Proto};
use gatun_engine::time::{HZ, Tick, Ticks};

/// Connections that end together.
const TOGETHER: usize = 1_000_000;
/// Connections that go on meanwhile.
const LIVE: usize = 10_000;
/// Runs of the same.
const RUNS: usize = 9;

/// Packets of a million connections, whose timers fire once a minute, with a clock that runs and with one that stands still.
pub(crate) fn ablation(g: &mut Gateway, r: &mut Results) {
    let pairs = Pairs::checked(
        g,
        |g| {
            let now = g.worker.now();
            g.phase(|w, feed| w.gatun_at::<32>(feed, now))
        },
        |g| g.phase(Worker::gatun::<32>),
    );
    let figure = pairs.map(|p| {
        let more = |share: f64| tsc(p.rates[1]) * (1.0 - share);
        Figure { value: more(p.share.median), spread: [more(p.share.high), more(p.share.low)] }
    });
    let how = format!("a clock that runs against one that stands still, uniform, b32; load {}", load());
    r.add("G6@packet", figure, &how);
}

/// Microseconds of the wait beside each turn: about as long as one in which connections end.
const WAIT: f64 = 8.0;

/// The longest turn while a million connections expire. The same turns are made in each of some runs, and each counts with its
/// median: an interrupt, which takes longer than any turn and looks like CPU time, does not meet the same one in most runs. The
/// waits, which do nothing, go through the same: what is longer for them than they are is not gatun's.
pub(crate) fn together(eal: &Eal, r: &mut Results) {
    println!("... expiring {TOGETHER} connections together, {RUNS} times");
    let runs: Vec<Vec<Turn>> = (0..RUNS).map(|_| expire(eal)).collect();
    let turns = runs[0].len();
    assert!(runs.iter().all(|run| run.len() == turns), "the same turns in each run");
    let longest = |us: &mut dyn Iterator<Item = f64>| us.fold(0.0, f64::max);
    let median =
        |i: usize, of: fn(&Turn) -> f64| quantile(&mut runs.iter().map(|run| of(&run[i])).collect::<Vec<_>>(), 0.5);
    let medians = |of: fn(&Turn) -> f64| longest(&mut (0..turns).map(|i| median(i, of)));
    let (own, wait) = (medians(|turn| turn.own), medians(|turn| turn.wait));
    let single = runs.iter().map(|run| longest(&mut run.iter().map(|turn| turn.own).filter(|us| us.is_finite())));
    let single: Vec<String> = single.map(|us| format!("{us:.0}")).collect();
    let how = format!(
        "of {turns} turns, each with its median of {RUNS} runs; the longest of single runs {} us; waits of {WAIT} us beside \
         each turn, by the same rule: {wait:.0} us; load {}",
        single.join(", "),
        load()
    );
    let figure =
        if own.is_finite() { Ok(own.into()) } else { Err(format!("a turn was preempted in most runs; {how}")) };
    r.add("G6@turn", figure, &how);
}

/// CPU time of a turn, and of the wait after it, in microseconds; infinite for one that was preempted.
struct Turn {
    own: f64,
    wait: f64,
}

/// A million UDP connections that were last seen in the same tick, until all have expired. Others go on.
fn expire(eal: &Eal) -> Vec<Turn> {
    let mut worker = Worker::new(eal, LcoreId(0), Proto::Udp, TOGETHER + LIVE, &gateway::shared(Proto::Udp, 1));
    let begin = Tick(0);
    let opened = worker.open_at(|_| begin, ring::clients(0, TOGETHER + LIVE, Proto::Udp));
    assert_eq!(opened.len(), TOGETHER + LIVE);
    let mut feed = Feed::new(flow::shuffled(&opened[..LIVE]));
    let (watch, mut turns) = (Watch::new(), Vec::new());
    let mut turn = |worker: &mut Worker, now| {
        let own = watch.time(|| worker.gatun_at::<32>(&mut feed, now));
        let [own, wait] = [own, watch.wait(WAIT)].map(|took| took.map_or(f64::INFINITY, |took| took.cpu));
        turns.push(Turn { own, wait });
    };
    // A timer is filed 63 s ahead at most: it fires and is filed again, until 300 s have passed.
    for secs in (0..=310).step_by(5) {
        let now = begin + Ticks(secs * HZ);
        (0..(2 * TOGETHER / 128) / 10).for_each(|_| turn(&mut worker, now));
    }
    let now = begin + Ticks(310 * HZ);
    while worker.lcore.shard.conns.len() > LIVE {
        turn(&mut worker, now);
    }
    assert_eq!(worker.lcore.shard.conns.len(), LIVE, "those that are used go on");
    worker.account();
    turns
}
