//! Mempools and mbufs: nothing is lost, and no window leaves its buffer.

mod support;

use arrayvec::ArrayVec;
use dpdk::mbuf::{Checksum, L4Checksum, OutOfBuffer, TxChecksums, free_burst};
use dpdk::{HEADROOM, Mbuf, Mempool, MempoolError};
use support::{eal, packet, pool};

#[test]
fn an_exhausted_pool_gives_none_and_every_mbuf_comes_back() {
    let turn = eal();
    let pool = Mempool::new(&turn.eal, "exhausted", 63, 0, 512, None).expect("a small pool");
    let mut all: Vec<Mbuf> = std::iter::from_fn(|| pool.alloc()).collect();
    assert_eq!((all.len(), pool.available(), pool.in_use()), (63, 0, 63));
    assert!(pool.alloc().is_none());

    drop(all.pop());
    assert_eq!(pool.in_use(), 62);
    assert!(pool.alloc().is_some());

    let mut burst: ArrayVec<Mbuf, 64> = all.drain(..).collect();
    free_burst(&mut burst);
    assert!(burst.is_empty());
    assert_eq!((pool.available(), pool.in_use()), (63, 0));
}

#[test]
fn each_mbuf_of_a_freed_burst_goes_back_to_its_pool() {
    let turn = eal();
    let [a, b] =
        ["one of two", "other of two"].map(|name| Mempool::new(&turn.eal, name, 63, 8, 512, None).expect(name));
    for (of_a, of_b) in [(0, 0), (63, 0), (0, 33), (1, 1), (40, 23)] {
        let mut burst = ArrayVec::<Mbuf, 64>::new();
        a.alloc_bulk(&mut burst, of_a);
        b.alloc_bulk(&mut burst, of_b);
        assert_eq!((burst.len(), a.in_use(), b.in_use()), (of_a + of_b, of_a as u32, of_b as u32));
        free_burst(&mut burst);
        assert_eq!((burst.len(), a.in_use(), b.in_use()), (0, 0, 0));
    }
}

#[test]
fn bulk_allocation_is_all_or_nothing() {
    let turn = eal();
    let pool = Mempool::new(&turn.eal, "bulk", 31, 0, 512, None).expect("a small pool");
    let mut burst = ArrayVec::<Mbuf, 64>::new();
    assert_eq!(pool.alloc_bulk(&mut burst, 20), 20);
    assert_eq!(pool.alloc_bulk(&mut burst, 12), 0, "the pool has 11");
    assert_eq!(pool.alloc_bulk(&mut burst, 11), 11);
    assert_eq!(burst.len(), 31);
    assert_eq!(pool.alloc_bulk(&mut burst, 60), 0, "the burst has not the room");
    assert_eq!(pool.alloc_bulk(&mut burst, 0), 0);
    drop(burst);
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_fresh_mbuf_is_empty_behind_its_headroom() {
    let turn = eal();
    let pool = pool(&turn, "fresh");
    let mut mbuf = pool.alloc().expect("the pool is full");
    assert_eq!((mbuf.headroom(), mbuf.tailroom(), mbuf.data_len(), mbuf.pkt_len()), (HEADROOM, 2048, 0, 0));
    assert_eq!((mbuf.nb_segs(), mbuf.refcnt(), mbuf.ol_flags()), (1, 1, 0));
    assert!(mbuf.is_contiguous());
    assert!(mbuf.data().is_empty());
    assert_eq!((mbuf.ip_checksum(), mbuf.l4_checksum()), (Checksum::Unknown, Checksum::Unknown));
    assert_eq!((mbuf.rss_hash(), mbuf.stripped_vlan()), (None, None));
    let (buffer, head, len) = mbuf.buf_and_head();
    assert_eq!((buffer.len(), head, len), (2048 + usize::from(HEADROOM), HEADROOM, 0));
}

#[test]
fn the_window_moves_into_the_headroom_and_back() {
    let turn = eal();
    let pool = pool(&turn, "window");
    let mut mbuf = packet(&pool, b"payload");
    mbuf.set_window(HEADROOM - 4, 11).expect("within the buffer");
    mbuf.data_mut()[..4].copy_from_slice(b"head");
    assert_eq!(mbuf.data(), b"headpayload");
    assert_eq!((mbuf.headroom(), mbuf.data_len(), mbuf.pkt_len()), (HEADROOM - 4, 11, 11));
    mbuf.set_window(HEADROOM, 7).expect("within the buffer");
    assert_eq!(mbuf.data(), b"payload");

    let end = 2048 + HEADROOM;
    assert_eq!(mbuf.set_window(0, end), Ok(()), "all of the buffer");
    assert_eq!(mbuf.set_window(end, 0), Ok(()), "nothing, at the end");
    assert_eq!(mbuf.set_window(1, end), Err(OutOfBuffer));
    assert_eq!(mbuf.set_window(u16::MAX, u16::MAX), Err(OutOfBuffer));
    assert_eq!((mbuf.headroom(), mbuf.pkt_len()), (end, 0), "a refused window changes nothing");
}

#[test]
fn append_ends_with_the_tailroom() {
    let turn = eal();
    let pool = pool(&turn, "append");
    let mut mbuf = packet(&pool, b"ab");
    mbuf.append(1).expect("there is room")[0] = b'c';
    assert_eq!(mbuf.data(), b"abc");
    assert!(mbuf.append(2046).is_none());
    assert!(mbuf.append(u16::MAX).is_none());
    assert_eq!(mbuf.append(2045).expect("the last byte").len(), 2045);
    assert_eq!((mbuf.tailroom(), mbuf.pkt_len()), (0, 2048));
}

#[test]
fn reset_forgets_the_packet() {
    let turn = eal();
    let pool = pool(&turn, "reset");
    let mut mbuf = packet(&pool, &[1; 100]);
    mbuf.set_port(7);
    mbuf.insert_vlan(100);
    assert_eq!(mbuf.port(), 7);
    mbuf.reset();
    assert_eq!((mbuf.pkt_len(), mbuf.headroom(), mbuf.ol_flags()), (0, HEADROOM, 0));
    assert_ne!(mbuf.port(), 7);
}

#[test]
fn a_hash_is_noted_and_forgotten() {
    let turn = eal();
    let pool = pool(&turn, "hash");
    let mut mbuf = packet(&pool, b"x");
    assert_eq!(mbuf.rss_hash(), None);
    mbuf.set_rss_hash(Some(0xdead_beef));
    assert_eq!(mbuf.rss_hash(), Some(0xdead_beef));
    mbuf.set_rss_hash(None);
    assert_eq!((mbuf.rss_hash(), mbuf.ol_flags()), (None, 0));
}

#[test]
fn a_vlan_tag_that_was_taken_off_can_be_put_back() {
    let turn = eal();
    let pool = pool(&turn, "vlan");
    let mut mbuf = packet(&pool, b"toMAC1fromM2\x08\x00payload");
    mbuf.restore_vlan().expect("nothing to do");
    mbuf.set_stripped_vlan(0x6064);
    mbuf.restore_vlan().expect("there is room");
    assert_eq!(mbuf.data(), b"toMAC1fromM2\x81\x00\x60\x64\x08\x00payload");
    assert_eq!((mbuf.headroom(), mbuf.stripped_vlan(), mbuf.ol_flags()), (HEADROOM - 4, None, 0));
    let mut short = packet(&pool, b"toMAC1");
    short.set_stripped_vlan(1);
    short.restore_vlan().expect_err("no Ethernet header");
    assert_eq!((short.data(), short.stripped_vlan()), (&b"toMAC1"[..], Some(1)));
}

#[test]
fn checksums_are_requested_only_for_headers_that_are_there() {
    let turn = eal();
    let pool = pool(&turn, "checksums");
    let mut mbuf = packet(&pool, &[0; 54]);
    let tcp = TxChecksums { l2_len: 14, l3_len: 20, ipv6: false, ip: true, l4: L4Checksum::Tcp };
    assert_eq!(mbuf.request_checksums(tcp), Ok(()));
    let flags = mbuf.ol_flags();
    assert_ne!(flags, 0);
    assert_eq!(mbuf.request_checksums(TxChecksums { l3_len: 24, ..tcp }), Err(OutOfBuffer));
    assert_eq!(mbuf.request_checksums(TxChecksums { l2_len: 128, ..tcp }), Err(OutOfBuffer));
    assert_eq!(mbuf.request_checksums(TxChecksums { ipv6: true, ..tcp }), Err(OutOfBuffer));
    assert_eq!(mbuf.ol_flags(), flags, "a refused request changes nothing");
    mbuf.set_window(HEADROOM, 20).expect("within the buffer");
    assert_eq!(mbuf.ol_flags(), 0, "the headers may have moved");
}

#[test]
fn a_pool_name_is_free_again_once_its_mbufs_are_back() {
    let turn = eal();
    let first = pool(&turn, "twice");
    let taken = Mempool::new(&turn.eal, "twice", 63, 0, 512, None);
    assert!(matches!(taken, Err(MempoolError::NameInUse(name)) if name == "twice"));
    let survivor = packet(&first, b"still here");
    drop(first);
    assert_eq!(survivor.data(), b"still here", "an mbuf outlives the last handle to its pool");
}

#[test]
fn impossible_pools_are_refused_with_the_reason() {
    let turn = eal();
    let try_pool = |name: &str, count, cache, room| Mempool::new(&turn.eal, name, count, cache, room, None).err();
    assert!(matches!(try_pool("", 63, 0, 512), Some(MempoolError::BadName(_))));
    assert!(matches!(try_pool("a\0b", 63, 0, 512), Some(MempoolError::BadName(_))));
    assert!(matches!(try_pool(&"x".repeat(40), 63, 0, 512), Some(MempoolError::BadName(_))));
    assert!(matches!(try_pool("none", 0, 0, 512), Some(MempoolError::BadSize { .. })));
    assert!(matches!(try_pool("cache", 63, 513, 512), Some(MempoolError::BadSize { .. })));
    assert!(matches!(try_pool("room", 63, 0, u16::MAX), Some(MempoolError::DataRoom { .. })));
    let huge = try_pool("huge", 10_000_000, 0, 2048);
    assert!(matches!(huge, Some(MempoolError::OutOfMemory { .. })), "{huge:?}");
}
