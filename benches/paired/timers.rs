//! What timers cost.

use super::hit::{Gateway, tsc};
use super::latency::Turns;
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

/// A million UDP connections that were last seen in the same tick, until all have expired. Others go on.
pub(crate) fn together(eal: &Eal, r: &mut Results) {
    println!("... expiring {TOGETHER} connections together");
    let mut worker = Worker::new(eal, LcoreId(0), Proto::Udp, TOGETHER + LIVE, &gateway::shared(Proto::Udp, 1));
    let begin = Tick(0);
    let opened = worker.open_at(|_| begin, ring::clients(0, TOGETHER + LIVE, Proto::Udp));
    assert_eq!(opened.len(), TOGETHER + LIVE);
    let mut feed = Feed::new(flow::shuffled(&opened[..LIVE]));
    let mut turns = Turns::new();
    // A timer is filed 63 s ahead at most: it fires and is filed again, until 300 s have passed.
    for secs in (0..=310).step_by(5) {
        let now = begin + Ticks(secs * HZ);
        for _ in 0..(2 * TOGETHER / 128) / 10 {
            turns.one(|| worker.gatun_at::<32>(&mut feed, now));
        }
    }
    let now = begin + Ticks(310 * HZ);
    while worker.lcore.shard.conns.len() > LIVE {
        turns.one(|| worker.gatun_at::<32>(&mut feed, now));
    }
    assert_eq!(worker.lcore.shard.conns.len(), LIVE, "those that are used go on");
    worker.account();
    let how = format!("of {}; 99.99 % took {:.1} us; load {}", turns.describe(), turns.cpu_us(0.9999), load());
    r.add("G6@turn", Ok(turns.cpu_us(1.0).into()), &how);
}
