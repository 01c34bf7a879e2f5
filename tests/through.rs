//! A worker without a transmit queue sends through the ring of one that has a queue: every frame is accounted for on both
//! sides, also when the ring is full.

#![cfg(feature = "dpdk")]

#[path = "../dpdk/tests/support/mod.rs"]
mod support;

use dpdk::port::ring_port;
use dpdk::ring::{self, Consumer};
use dpdk::{Mempool, TxQueue};
use gatun::worker::io::{DpdkIo, HugePages, Packet, Punts, Way};
use gatun_engine::addr::{LcoreId, PortId};
use gatun_engine::lcore::{Batch, Lcore};
use gatun_engine::limit::DEFAULT_LIMITS;
use gatun_engine::neighbor::Neighbors;
use gatun_engine::shard::{Shard, Shared, Sizes};
use gatun_engine::snapshot::Snapshot;
use gatun_engine::stats::{LcoreStats, Stats};
use gatun_engine::steer::Steer;
use gatun_engine::time::Tick;
use gatun_engine::verdict::DropReason;
use std::sync::Arc;
use support::{Turn, eal, packet, pool};

const NOW: Tick = Tick(0);

/// A worker's engine and its one way to the one port.
struct Worker {
    lcore: Lcore<HugePages, Packet>,
    io: DpdkIo,
}

impl Worker {
    fn new(turn: &Turn, id: u8, pool: &Mempool, way: Way) -> Worker {
        let steer = Steer::new(Steer::key_from_seed(1), 2).unwrap();
        let shared = Shared::new(Arc::new(Snapshot::default()), Arc::new(Neighbors::new(16)), Arc::new(steer));
        let stats = Arc::new(Stats::new(1));
        let memory = HugePages { eal: turn.eal.clone(), socket: None };
        let shard = Shard::new(&memory, LcoreId(id), Sizes::of(64, 0, 1), stats.clone(), 1, NOW).unwrap();
        let (peers, punts) = (Vec::new(), Arc::new(Punts::new()));
        let io = DpdkIo { tx: vec![way], stats, peers, punts, pool: pool.clone() };
        Worker { lcore: Lcore::new(shared, shard, 1, 2, &DEFAULT_LIMITS, NOW), io }
    }

    /// Frames that are done with come in by a ring and are sent.
    fn send(&mut self, frames: impl Iterator<Item = Packet>) {
        self.lcore.relay(&mut self.io, PortId(0), frames);
        self.lcore.finish(NOW, &mut self.io);
        assert_eq!(self.stats().balance(), 0);
    }

    fn stats(&self) -> &LcoreStats {
        &self.io.stats.lcore
    }
}

/// The only queue of a port, and what comes out of it.
fn port(turn: &Turn, pool: &Mempool) -> (TxQueue, Consumer) {
    let (_wire, rx) = ring::spsc(&turn.eal, "in", 64, None).unwrap();
    let (tx, out) = ring::spsc(&turn.eal, "out", 1_024, None).unwrap();
    let (_, queues) = ring_port(&turn.eal, "only", pool, vec![rx], vec![tx]).unwrap();
    (queues.tx.into_iter().next().unwrap(), out)
}

#[test]
fn frames_sent_through_another_worker_balance_on_both_and_a_full_ring_drops() {
    let turn = eal();
    let pool = pool(&turn, "through");
    let (queue, mut wire) = port(&turn, &pool);
    let (ring, mut handed) = ring::mpsc(&turn.eal, "ring", 100, None).unwrap();
    let mut without = Worker::new(&turn, 0, &pool, Way::Through(ring));
    let mut with = Worker::new(&turn, 1, &pool, Way::Queue(queue));

    let frames: Vec<Packet> = (0..150).map(|n| Packet(packet(&pool, &[n; 60]))).collect();
    without.send(frames.into_iter());
    let s = without.stats();
    assert_eq!((s.from_ring.value(), s.to_ring.value(), s.relayed.value()), (150, 100, 100));
    assert_eq!((s.tx_sent.value(), s.tx_bytes.value()), (0, 0), "it has no queue");
    assert_eq!(s.drop(DropReason::TxFull).value(), 50, "and does not wait for room");

    let mut batch: Batch<Packet> = Batch::new();
    while handed.dequeue_burst(&mut batch) > 0 {
        assert!(batch.iter().all(|p| p.0.port() == 0), "each says which port it is for");
        with.send(batch.drain(..));
    }
    let s = with.stats();
    assert_eq!((s.from_ring.value(), s.tx_sent.value(), s.tx_bytes.value()), (100, 100, 6_000));
    let mut sent: Batch<Packet> = Batch::new();
    let mut seen = Vec::new();
    while wire.dequeue_burst(&mut sent) > 0 {
        seen.extend(sent.drain(..).map(|packet| packet.0.data()[0]));
    }
    assert_eq!(seen, (0..100).collect::<Vec<u8>>(), "in order");
}
