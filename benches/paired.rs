//! gatun against the bare 5-tuple swap, and against itself: paired phases in one process, on one lcore, over one port made
//! of rings, with the same mbufs. A figure is a share of two rates a CPU-second, taken from phases that follow each other;
//! before, one of the loops is paired with itself, and when that is not 1.00 within 3 % there is no figure.
//!
//! `cargo bench -p gatun-bench --bench paired [-- PART ...]`, where a part is `10k`, `1M`, `10M`, `udp`, `6-to-6`, `6-to-4`,
//! `together` or `two`; `gate` alone compares with `benches/gates.toml`, `hits` are the hits of the first two, and `churn` is
//! what opens and ends of the second.

#[path = "paired/churn.rs"]
mod churn;
#[path = "paired/gate.rs"]
mod gate;
#[path = "paired/hit.rs"]
mod hit;
#[path = "paired/latency.rs"]
mod latency;
#[path = "paired/miss.rs"]
mod miss;
#[path = "paired/timers.rs"]
mod timers;
#[path = "paired/two.rs"]
mod two;

use dpdk::Eal;
use gatun_bench::goals::Results;
use gatun_bench::{measure, memory, ring};
use gatun_engine::addr::{Family, Proto};

const MILLION: usize = 1_000_000;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let asked = |part: &str| wanted.iter().any(|w| w == part);
    let run = |part: &str| wanted.is_empty() || asked(part);
    let eal = ring::start();
    println!("load {}; memory: {}", measure::load(), ring::memory());
    if asked("gate") {
        return gate::run(&eal);
    }
    let mut r = Results::new("paired");
    if asked("hits") {
        for (connections, id) in [(10_000, "G1@10k"), (MILLION, "G1@1M")] {
            hit::Gateway::new(&eal, Proto::Tcp, connections).share(&mut r, id);
        }
        return;
    }
    if asked("churn") {
        return churn::run(&mut hit::Gateway::new(&eal, Proto::Tcp, MILLION), &mut r, "G3@1M");
    }
    let small = run("10k").then(|| ten_thousand(&eal, &mut r)).flatten();
    if run("1M") {
        million(&eal, &mut r);
    }
    if run("udp") {
        udp(&eal, &mut r);
    }
    for (part, servers) in [("6-to-6", Family::V6), ("6-to-4", Family::V4)] {
        if run(part) {
            wide(&eal, &mut r, part, servers);
        }
    }
    if run("together") {
        timers::together(&eal, &mut r);
    }
    if run("two") {
        two::workers(&eal, &mut r);
    }
    if run("10M") {
        ten_million(&eal, &mut r, small);
    }
    r.write();
}

fn ten_thousand(eal: &Eal, r: &mut Results) -> Option<f64> {
    let mut g = hit::Gateway::new(eal, Proto::Tcp, 10_000);
    g.verify();
    let share = g.share(r, "G1@10k");
    g.worker.account();
    share
}

/// Huge pages of 2 MiB for ten million connections.
const PAGES: usize = 720;

fn million(eal: &Eal, r: &mut Results) {
    let before = memory::resident();
    let mut g = hit::Gateway::new(eal, Proto::Tcp, MILLION);
    // The goal is about ten million; what can not be there is not measured there.
    g.memory(r, if ring::free_huge_pages() < PAGES { "G5" } else { "bytes@1M" }, before);
    g.verify();
    g.share(r, "G1@1M");
    g.bursts(r);
    g.zipf(r);
    timers::ablation(&mut g, r);
    latency::bursts(&mut g, r);
    miss::all(&mut g, r);
    g.worker.account();
    churn::run(&mut g, r, "G3@1M");
}

fn udp(eal: &Eal, r: &mut Results) {
    let mut g = hit::Gateway::new(eal, Proto::Udp, MILLION);
    g.verify();
    g.share(r, "udp@1M");
    g.worker.account();
}

/// A million clients of IPv6: the figures beside the goals for IPv4.
fn wide(eal: &Eal, r: &mut Results, part: &str, servers: Family) {
    let before = memory::resident();
    let mut g = hit::Gateway::wide(eal, servers, MILLION);
    if servers == Family::V6 {
        // The same for both. Without huge pages it holds for the first part that runs: later ones use its memory again.
        g.memory(r, "G5@IPv6", before);
    }
    g.verify();
    g.share(r, &format!("G1@1M-{part}"));
    g.worker.account();
    churn::run(&mut g, r, &format!("G3@1M-{part}"));
}

fn ten_million(eal: &Eal, r: &mut Results, small: Option<f64>) {
    if ring::free_huge_pages() < PAGES {
        let why = format!("it takes {PAGES} free huge pages of 2 MiB: `make bench` reserves them");
        for id in ["G1@10M", "G2", "G3@10M"] {
            r.add(id, Err(why.clone()), "");
        }
        return;
    }
    let before = memory::resident();
    let mut g = hit::Gateway::new(eal, Proto::Tcp, 10 * MILLION);
    g.memory(r, "G5", before);
    g.verify();
    let large = g.share(r, "G1@10M");
    match small.zip(large) {
        Some((small, large)) => r.add("G2", Ok((small / large).into()), "share at 10 k over share at 10 M"),
        None => r.add("G2", Err("one of the two is not measured".to_owned()), ""),
    }
    g.worker.account();
    churn::run(&mut g, r, "G3@10M");
}
