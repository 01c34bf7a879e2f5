//! Rings, and ports made of them.

mod support;

use arrayvec::ArrayVec;
use dpdk::ring::{self, RingError};
use dpdk::{LcoreId, Mbuf, PortError, port};
use support::{eal, numbered, numbers, pool};

#[test]
fn a_ring_keeps_the_order_and_refuses_what_does_not_fit() {
    let turn = eal();
    let pool = pool(&turn, "ring-order");
    let (mut producer, mut consumer) = ring::spsc(&turn.eal, "order", 10, None).expect("a small ring");
    assert_eq!((producer.capacity(), producer.len(), consumer.is_empty()), (10, 0, true));

    let mut burst = numbered::<32>(&pool, 14);
    assert_eq!(producer.enqueue_burst(&mut burst), 10);
    assert_eq!(numbers(&burst), [10, 11, 12, 13], "what was refused stays, in order");
    assert_eq!(producer.enqueue_burst(&mut burst), 0);
    assert_eq!(consumer.len(), 10);

    let mut out = ArrayVec::<Mbuf, 4>::new();
    assert_eq!(consumer.dequeue_burst(&mut out), 4);
    assert_eq!(consumer.dequeue_burst(&mut out), 0, "no room");
    assert_eq!(numbers(&out), [0, 1, 2, 3]);
    assert_eq!(producer.enqueue_burst(&mut burst), 4);
    let mut rest = ArrayVec::<Mbuf, 32>::new();
    assert_eq!(consumer.dequeue_burst(&mut rest), 10);
    assert_eq!(numbers(&rest), (4..14).collect::<Vec<u8>>());
    assert_eq!(consumer.dequeue_burst(&mut rest), 0, "empty");

    drop((out, rest, burst));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn the_last_handle_frees_what_is_in_the_ring() {
    let turn = eal();
    let pool = pool(&turn, "ring-drain");
    let (producer, consumer) = ring::mpsc(&turn.eal, "drain", 200, None).expect("a small ring");
    let second = producer.clone();
    assert_eq!(producer.enqueue_burst(&mut numbered::<100>(&pool, 100)), 100);
    assert_eq!(second.enqueue_burst(&mut numbered::<100>(&pool, 100)), 100);
    assert_eq!(pool.in_use(), 200);
    drop((consumer, producer));
    assert_eq!(second.len(), 200, "a handle is left");
    drop(second);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn impossible_rings_are_refused_with_the_reason() {
    let turn = eal();
    let try_ring = |name: &str, size| ring::spsc(&turn.eal, name, size, None).err();
    let _first = ring::spsc(&turn.eal, "taken", 1, None).expect("a ring of one");
    assert!(matches!(try_ring("taken", 8), Some(RingError::NameInUse(_))));
    assert!(matches!(try_ring("", 8), Some(RingError::BadName(_))));
    assert!(matches!(try_ring(&"x".repeat(40), 8), Some(RingError::BadName(_))));
    assert!(matches!(try_ring("zero", 0), Some(RingError::BadSize(0))));
    assert!(matches!(try_ring("large", 1 << 30), Some(RingError::BadSize(_))));
    assert!(matches!(try_ring("memory", 1 << 29), Some(RingError::OutOfMemory { .. })));
}

#[test]
fn mbufs_cross_from_lcore_to_lcore() {
    let turn = eal();
    let pool = pool(&turn, "ring-cross");
    let (mut producer, mut consumer) = ring::spsc(&turn.eal, "cross", 16, None).expect("a small ring");
    let sender_pool = pool.clone();
    let sender = turn.eal.launch(LcoreId(1), move || {
        let mut sent = 0;
        while sent < 1000 {
            let mut burst = ArrayVec::<Mbuf, 1>::new();
            sender_pool.alloc_bulk(&mut burst, 1);
            if let Some(slot) = burst.first_mut().and_then(|mbuf| mbuf.append(4)) {
                slot.copy_from_slice(&i32::to_ne_bytes(sent));
            }
            sent += producer.enqueue_burst(&mut burst) as i32;
            std::thread::yield_now();
        }
        sent
    });
    let sender = sender.expect("lcore 1 is idle");
    let mut expected = 0;
    let mut burst = ArrayVec::<Mbuf, 8>::new();
    while expected < 1000 {
        consumer.dequeue_burst(&mut burst);
        for mbuf in burst.drain(..) {
            assert_eq!(mbuf.data(), i32::to_ne_bytes(expected));
            expected += 1;
        }
        std::thread::yield_now();
    }
    assert_eq!(sender.join().expect("the sender ends"), 1000);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_port_of_rings_receives_and_sends_and_leaves_what_the_ring_refuses() {
    let turn = eal();
    let pool = pool(&turn, "ring-port");
    let (mut wire_in, rx) = ring::spsc(&turn.eal, "port-in", 64, None).expect("a small ring");
    let (tx, mut wire_out) = ring::spsc(&turn.eal, "port-out", 20, None).expect("a small ring");
    let opened = port::ring_port(&turn.eal, "loop", &pool, vec![rx], vec![tx]);
    let (port, mut queues) = opened.expect("a port of rings");
    let info = port.info().expect("it describes itself");
    assert_eq!((info.driver.as_str(), info.device.as_str()), ("net_ring", "net_ring_loop"));

    wire_in.enqueue_burst(&mut numbered::<32>(&pool, 32));
    let mut burst = ArrayVec::<Mbuf, 32>::new();
    assert_eq!(queues.rx[0].burst(&mut burst), 32);
    assert_eq!(queues.rx[0].burst(&mut burst), 0, "no room");
    assert_eq!(queues.tx[0].burst(&mut burst), 20);
    assert_eq!(numbers(&burst), (20..32).collect::<Vec<u8>>(), "what was refused stays, in order");
    let mut out = ArrayVec::<Mbuf, 32>::new();
    assert_eq!(wire_out.dequeue_burst(&mut out), 20);
    assert_eq!(numbers(&out), (0..20).collect::<Vec<u8>>());
    assert_eq!(queues.tx[0].burst(&mut burst), 12);
    assert!(burst.is_empty());

    let stats = port.stats().expect("it counts");
    assert_eq!((stats.ipackets, stats.opackets), (32, 32));
    let again = ring::spsc(&turn.eal, "port-again", 8, None).expect("a small ring");
    let again = port::ring_port(&turn.eal, "loop", &pool, vec![again.1], vec![again.0]);
    assert!(matches!(again, Err(PortError::InUse(_))));

    drop((port, out, wire_in, wire_out));
    assert_eq!(queues.rx[0].burst(&mut burst), 0, "the queues keep the port open");
    drop(queues);
    assert_eq!(pool.in_use(), 0);
    let (producer, consumer) = ring::spsc(&turn.eal, "port-in", 8, None).expect("the ring went with the port");
    port::ring_port(&turn.eal, "loop", &pool, vec![consumer], vec![producer]).expect("and so did its device");
}

#[test]
fn a_port_needs_at_least_one_ring_each_way() {
    let turn = eal();
    let pool = pool(&turn, "ring-none");
    let none = port::ring_port(&turn.eal, "none", &pool, vec![], vec![]);
    assert!(matches!(none, Err(PortError::Queues { kind: "receive", max: 16, .. })));
}

/// Items of the two producers together.
const ITEMS: u32 = 10_000_000;

/// Sends half of all items, each with the producer's name and its number; gives how often the ring refused some.
fn produce(ring: &ring::SharedProducer, pool: &dpdk::Mempool, name: u32) -> u64 {
    let (mut made, mut refused) = (0, 0);
    let mut burst = ArrayVec::<Mbuf, 32>::new();
    while made < ITEMS / 2 || !burst.is_empty() {
        let room = 32 - burst.len();
        let from = burst.len();
        pool.alloc_bulk(&mut burst, room.min((ITEMS / 2 - made) as usize));
        for mbuf in &mut burst[from..] {
            let item = (u64::from(name) << 32 | u64::from(made)).to_ne_bytes();
            mbuf.append(8).expect("eight bytes fit").copy_from_slice(&item);
            made += 1;
        }
        ring.enqueue_burst(&mut burst);
        if !burst.is_empty() {
            refused += 1;
            std::thread::yield_now();
        }
    }
    refused
}

#[test]
fn two_producers_fill_a_small_ring_for_ten_million_items_and_none_is_lost_or_overtaken() {
    let turn = eal();
    let pool = pool(&turn, "ring-stress");
    let (producer, mut consumer) = ring::mpsc(&turn.eal, "stress", 100, None).expect("a small ring");
    let (first, first_pool) = (producer.clone(), pool.clone());
    let first = turn.eal.launch(LcoreId(1), move || i32::try_from(produce(&first, &first_pool, 0)).unwrap_or(i32::MAX));
    let first = first.expect("lcore 1 is idle");
    let (eal, second_pool) = (turn.eal.clone(), pool.clone());
    let second = std::thread::spawn(move || {
        let _lcore = eal.register_thread().expect("there is an lcore id left");
        produce(&producer, &second_pool, 1)
    });
    let mut next = [0u32; 2];
    let mut burst = ArrayVec::<Mbuf, 32>::new();
    while next != [ITEMS / 2; 2] {
        assert!(consumer.len() <= 100, "no more than it holds");
        if consumer.dequeue_burst(&mut burst) == 0 {
            std::thread::yield_now();
        }
        for mbuf in burst.drain(..) {
            let item = u64::from_ne_bytes(mbuf.data().try_into().expect("eight bytes"));
            let of = &mut next[(item >> 32) as usize];
            assert_eq!(item as u32, *of, "in order, none lost, none twice");
            *of += 1;
        }
    }
    let refused = first.join().expect("the first producer ends") as u64 + second.join().expect("the second one ends");
    assert!(refused > 0, "the ring was full at times");
    assert!(consumer.is_empty());
    assert_eq!(pool.in_use(), 0);
}
