//! Whether a card's RSS is ours, on real mbufs: a card made of rings, whose hash is that of DPDK's own function, and which
//! is honest or lies.

#![cfg(feature = "dpdk")]

#[path = "../dpdk/tests/support/mod.rs"]
mod support;

use arrayvec::ArrayVec;
use dpdk::port::ring_port;
use dpdk::ring::{self, Producer};
use dpdk::{Mbuf, Mempool, softrss_be};
use gatun::worker::io::{Packet, Receiver};
use gatun::worker::rss::{ENOUGH, EVERY, Rss, Sampler, Trust, Wrong};
use gatun_engine::addr::PortId;
use gatun_engine::frame::{BURST, Buffer};
use gatun_engine::lcore::Batch;
use gatun_engine::snapshot::Snapshot;
use gatun_engine::steer::Steer;
use gatun_engine::testkit::Packet as Build;
use gatun_engine::testkit::lab::Arrival;
use gatun_engine::testkit::lab::nic;
use gatun_engine::time::Tick;
use std::sync::Arc;
use support::{Turn, eal, packet, pool};

const QUEUES: u16 = 2;

/// The card and the workers that poll it.
struct Card {
    steer: Arc<Steer>,
    pool: Mempool,
    wires: Vec<Producer>,
    receivers: Vec<Receiver>,
    rss: Arc<Rss>,
    sent: u32,
}

/// What becomes of a packet in the card: its hash as it is noted, and its queue.
type Lie = fn(u32, u16) -> (Option<u32>, u16);
const HONEST: Lie = |hash, queue| (Some(hash), queue);

impl Card {
    /// Of which the first `old` packets on each queue came before it had our key.
    fn new(turn: &Turn, name: &str, old: u32) -> Card {
        let steer = Arc::new(Steer::new(Steer::key_from_seed(3), QUEUES as u8).unwrap());
        let queues = std::array::from_fn(|class| u16::from(steer.map()[class].0));
        let rss = Arc::new(Rss::new(steer.clone(), queues));
        let pool = pool(turn, name);
        let ring = |what: &str, q| ring::spsc(&turn.eal, &format!("{name}{what}{q}"), 256, None).unwrap();
        let (wires, rx): (Vec<_>, Vec<_>) = (0..QUEUES).map(|q| ring("rx", q)).unzip();
        let (tx, _out): (Vec<_>, Vec<_>) = (0..QUEUES).map(|q| ring("tx", q)).unzip();
        let (_, queues) = ring_port(&turn.eal, name, &pool, rx, tx).unwrap();
        let receiver = |queue: dpdk::RxQueue| {
            let sampler = Sampler::new(rss.clone(), queue.index(), old);
            Receiver { port: PortId(0), queue, rss: Some(sampler) }
        };
        let receivers = queues.rx.into_iter().map(receiver).collect();
        Card { steer, pool, wires, receivers, rss, sent: 0 }
    }

    /// The next of many flows comes in, and is received. Gives the hash that the engine sees.
    fn flow(&mut self, lie: Lie) -> Option<u32> {
        self.sent += 1;
        let n = self.sent;
        let client = format!("198.18.{}.{}:{}", n >> 8 & 63, n & 255 | 1, 1024 + n % 60_000);
        let frame = if n.is_multiple_of(2) {
            Build::tcp(&client, "198.18.1.100:80")
        } else {
            Build::udp(&client, "198.18.1.100:53")
        };
        self.frame(&frame.build(), lie)
    }

    fn frame(&mut self, bytes: &[u8], lie: Lie) -> Option<u32> {
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        let hash = softrss_be(&[word(26), word(30), word(34)], self.steer.key());
        let (noted, queue) = lie(hash, u16::from(self.steer.owner(Steer::class(hash)).0));
        let mut mbuf = packet(&self.pool, bytes);
        mbuf.set_rss_hash(noted);
        let mut burst = ArrayVec::<Mbuf, 1>::from([mbuf]);
        assert_eq!(self.wires[usize::from(queue)].enqueue_burst(&mut burst), 1);
        let mut batch: Batch<Packet> = Batch::new();
        assert_eq!(self.receivers[usize::from(queue)].burst(&mut batch, 1), 1);
        let seen = batch[0].frame().meta.rss;
        assert!(seen.is_none() || seen == noted, "the engine never sees anything but the card's hash");
        seen
    }

    /// So many flows, all the same way; what the engine saw of the last.
    fn flows(&mut self, count: u64, lie: Lie) -> Option<u32> {
        (0..count).map(|_| self.flow(lie)).last().flatten()
    }
}

#[test]
fn an_honest_card_is_trusted_after_enough_packets_and_not_before() {
    let turn = eal();
    let mut card = Card::new(&turn, "honest", 0);
    // The samplers pass over a burst's worth of packets on each queue.
    let passed_over = u64::from(QUEUES) * BURST as u64;
    assert_eq!(card.flows(ENOUGH - 1, HONEST), None);
    assert_eq!(card.rss.trust(), Trust::Checking);
    card.flows(passed_over + 1, HONEST);
    assert_eq!((card.rss.trust(), card.rss.right()), (Trust::Trusted, ENOUGH));
    assert!(card.flow(HONEST).is_some(), "from now on its hash is used");
    // And it stays under observation, at one packet in many.
    card.flows(10 * u64::from(EVERY), HONEST);
    let looks = card.rss.right() - ENOUGH;
    assert!((8..=12).contains(&looks), "{looks} looks at {} packets", 10 * EVERY);
}

#[test]
fn a_card_that_begins_to_lie_is_found_out_and_never_trusted_again() {
    let turn = eal();
    for (name, lie, wrong) in [
        ("lies", (|hash, queue| (Some(hash ^ 1 << 31), queue)) as Lie, Wrong::OtherHash),
        ("mute", |_, queue| (None, queue), Wrong::NoHash),
        ("astray", |hash, queue| (Some(hash), 1 - queue), Wrong::OtherQueue),
    ] {
        let mut card = Card::new(&turn, name, 0);
        card.flows(2 * ENOUGH, HONEST);
        assert_eq!(card.rss.trust(), Trust::Trusted, "{name}");
        card.flows(2 * u64::from(EVERY), lie);
        assert_eq!(card.rss.trust(), Trust::Refuted(wrong), "{name}");
        assert_eq!(card.flows(5 * ENOUGH, HONEST), None, "{name}");
        assert_eq!(card.rss.trust(), Trust::Refuted(wrong), "{name}");
    }
}

#[test]
fn one_wrong_packet_among_the_first_is_enough() {
    let turn = eal();
    let mut card = Card::new(&turn, "one", 0);
    card.flows(500, HONEST);
    card.flow(|hash, queue| (Some(!hash), queue));
    card.flows(ENOUGH, HONEST);
    assert_eq!(card.rss.trust(), Trust::Refuted(Wrong::OtherHash));
}

#[test]
fn what_came_before_the_card_had_our_key_is_not_held_against_it() {
    let turn = eal();
    let mut card = Card::new(&turn, "old", 300);
    for _ in 0..300 {
        // On the first queue alone, as from a card that knows nothing of ours yet.
        card.flow(|_, _| (Some(0), 0));
    }
    assert_eq!(card.rss.trust(), Trust::Checking);
    card.flows(3 * ENOUGH, HONEST);
    assert_eq!(card.rss.trust(), Trust::Trusted);
}

#[test]
fn what_a_card_hashes_in_another_way_says_nothing() {
    let turn = eal();
    let mut card = Card::new(&turn, "silent", 0);
    card.flows(2 * ENOUGH, HONEST);
    let says_nothing = [
        Build::arp_request("02:00:00:00:00:09", "198.18.1.1", "198.18.1.254").build(),
        Build::icmp_echo("198.18.1.1", "198.18.1.100", 1, 1).build(),
        Build::udp("198.18.1.1:4000", "198.18.1.100:53").fragment(0, true).payload(&[0; 64]).build(),
        Build::udp("198.18.1.1:4000", "198.18.1.100:53").fragment(64, false).payload(&[0; 64]).build(),
        vec![0; 60],
    ];
    for frame in says_nothing.iter().cycle().take(3 * EVERY as usize) {
        card.frame(frame, |_, _| (None, 0));
    }
    assert_eq!(card.rss.trust(), Trust::Trusted);
}

/// The cards of the laboratory, which the engine is right behind whatever they are.
#[test]
fn every_kind_of_lying_card_is_found_out_within_a_burst_and_for_its_lie() {
    let cards: [(Arrival, Option<Wrong>); Arrival::ALL.len()] = [
        (Arrival::Rss, None),
        (Arrival::FewQueues, None),
        (Arrival::First, Some(Wrong::NoHash)),
        (Arrival::Wrong, Some(Wrong::NoHash)),
        (Arrival::RoundRobin, Some(Wrong::NoHash)),
        (Arrival::OwnKey, Some(Wrong::OtherHash)),
        (Arrival::OwnTable, Some(Wrong::OtherQueue)),
        (Arrival::HashNotHeeded, Some(Wrong::OtherQueue)),
        (Arrival::StaleHash, Some(Wrong::OtherHash)),
        (Arrival::FlowByLip, Some(Wrong::NoHash)),
        (Arrival::FlowByPortMask, Some(Wrong::NoHash)),
        (Arrival::Fanout, Some(Wrong::NoHash)),
    ];
    for (arrival, expected) in cards {
        let steer = Arc::new(Steer::new(Steer::key_from_seed(7), 7).unwrap());
        let queues = u16::from(arrival.queues(7));
        let port = Rss::new(steer.clone(), steer.map().map(|owner| u16::from(owner.0) % queues));
        let mut card = nic::Card::new(arrival, &steer);
        let said = |n: usize| {
            let frame = Build::tcp(&format!("10.0.0.1:{}", 5_000 + n), "198.18.1.100:80").build();
            let (queue, hash) = card.deliver(Tick(0), &steer, &Snapshot::default(), &frame);
            port.judge(u16::from(queue.0), hash, &frame)
        };
        // The first frame behind a card with stale hashes has none: there was none before it.
        let skipped = usize::from(arrival == Arrival::StaleHash);
        let lie = (0..BURST + skipped).map(said).skip(skipped).find_map(Result::err);
        assert_eq!(lie, expected, "{arrival:?}");
    }
}
