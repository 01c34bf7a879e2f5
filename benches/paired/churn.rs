//! Connections that open and end, as fast as one lcore can, while many others are live.

use super::hit::Gateway;
use gatun_bench::goals::Results;
use gatun_bench::measure::{PAIRS, Phase, Spread, load};
use gatun_bench::ring::{self, Feed, Wire, Worker};
use gatun_engine::conn::state::State;
use gatun_engine::snapshot::Snapshot;
use gatun_engine::time::Ticks;
use gatun_engine::wire::tcp::SYN;
use std::sync::Arc;

/// Seats for them: some of the live connections make room.
const SEATS: usize = 500_000;
/// Different clients.
const CLIENTS: usize = 4_000_000;
/// How long one lives: about as long as the lcore takes to open half of the seats.
const LIFE: Ticks = Ticks(2);

/// A SYN opens each; it expires [`LIFE`] later, by its timer.
pub(crate) fn run<F: Wire>(g: &mut Gateway<F>, r: &mut Results, id: &str) {
    let now = g.worker.now();
    let shard = &mut g.worker.lcore.shard;
    let mut from = 0;
    for _ in 0..SEATS {
        let Some(conn) = shard.conns.next_live(from) else { break };
        from = conn.index() + 1;
        shard.close(now, conn);
    }
    let mut snapshot = Snapshot::clone(g.worker.lcore.shared.snapshot());
    snapshot.profiles[0].set_ticks(State::SynRecv, LIFE);
    g.worker.lcore.shared.replace(Arc::new(snapshot));
    let first = g.conns() as u32 + SEATS as u32;
    let mut syns = Feed::new(ring::clients(first, CLIENTS, g.proto).map(|key| F::of_client(&key, SYN)).collect());
    g.worker.fill(SYN);
    // The first phases open what the later ones end.
    let phases: Vec<Result<f64, String>> = (0..PAIRS + 3).map(|_| phase(g, &mut syns)).skip(3).collect();
    let figure = phases.into_iter().collect::<Result<Vec<f64>, String>>().map(|rates| Spread::of(rates).into());
    r.add(id, figure, &format!("a SYN opens, the timer ends, 30 ms later; rings included; load {}", load()));
}

/// Connections opened a CPU-second, when about as many ended.
fn phase<F: Wire>(g: &mut Gateway<F>, syns: &mut Feed<F>) -> Result<f64, String> {
    let count = |g: &Gateway<F>| {
        let stats = &g.worker.lcore.shard.stats.lcore;
        (stats.conns_opened.value(), stats.conns_closed.value())
    };
    let before = count(g);
    let Phase { count: sent, spent } = g.worker.phase(syns, Worker::gatun::<32>);
    let after = count(g);
    let (opened, closed) = (after.0 - before.0, after.1 - before.1);
    if opened * 100 < sent * 99 {
        return Err(format!("only {opened} of {sent} SYNs opened a connection: {:?}", drops(g)));
    }
    Ok(opened.min(closed.max(1)) as f64 / spent.as_secs_f64())
}

/// Why frames were dropped.
fn drops<F: Wire>(g: &Gateway<F>) -> Vec<String> {
    let stats = &g.worker.lcore.shard.stats.lcore;
    let named = gatun_engine::verdict::DropReason::ALL.iter().map(|r| (r, stats.drop(*r).value()));
    named.filter(|(_, n)| *n > 0).map(|(r, n)| format!("{r:?} {n}")).collect()
}
