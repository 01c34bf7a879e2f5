//! What a connection costs.

use gatun_engine::shard::{Shard, Sizes};
use gatun_engine::stats::Stats;
use gatun_engine::testkit::Counted;
use gatun_engine::time::Tick;
use std::sync::Arc;

#[test]
fn a_million_connections_cost_at_most_128_bytes_each_all_in() {
    let memory = Counted::default();
    let conns = 1_000_000;
    let stats = Arc::new(Stats::new(16));
    let id = gatun_engine::addr::LcoreId(0);
    let _shard = Shard::new(&memory, id, Sizes::of(conns, 0, 16), stats, 1, Tick(0)).unwrap();
    let each = memory.0.get() as f64 / conns as f64;
    println!("{each:.1} bytes a connection");
    assert!(each <= 128.0, "{each:.1} bytes a connection");
}
