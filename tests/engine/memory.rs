//! What a connection costs.

use gatun_engine::shard::{Shard, Sizes};
use gatun_engine::stats::Stats;
use gatun_engine::testkit::Counted;
use gatun_engine::time::Tick;
use std::sync::Arc;

/// Bytes a connection, all in, of a shard for a million, so many of which may have an IPv6 client.
fn each(wide: usize) -> f64 {
    let memory = Counted::default();
    let conns = 1_000_000;
    let stats = Arc::new(Stats::new(16));
    let id = gatun_engine::addr::LcoreId(0);
    let _shard = Shard::new(&memory, id, Sizes::of(conns, wide, 16), stats, 1, Tick(0)).unwrap();
    let each = memory.0.get() as f64 / conns as f64;
    println!("{each:.1} bytes a connection");
    each
}

#[test]
fn a_million_connections_cost_at_most_128_bytes_each_all_in() {
    let each = each(0);
    assert!(each <= 128.0, "{each:.1} bytes a connection");
}

#[test]
fn a_million_connections_of_ipv6_cost_at_most_192_bytes_each_all_in() {
    let each = each(1_000_000);
    assert!(each <= 192.0, "{each:.1} bytes a connection");
}
