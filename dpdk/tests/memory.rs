//! Huge-page slices and the software Toeplitz hash.

mod support;

use dpdk::mem::{ALIGNMENT, MemError};
use dpdk::{HugeSlice, softrss_be};
use support::{eal, packet, pool};

#[test]
fn a_slice_is_zeroed_and_aligned_even_in_memory_used_before() {
    let turn = eal();
    for len in [1, 7, 1000, 100_000] {
        for _ in 0..3 {
            let mut slice = HugeSlice::<u64>::zeroed(&turn.eal, len, None).expect("there is memory");
            assert_eq!(slice.len(), len);
            assert_eq!(slice.as_ptr().addr() % ALIGNMENT, 0);
            assert!(slice.iter().all(|&word| word == 0));
            slice.fill(u64::MAX);
        }
    }
}

#[test]
fn an_empty_slice_takes_no_memory() {
    let turn = eal();
    assert!(HugeSlice::<u64>::zeroed(&turn.eal, 0, None).expect("nothing").is_empty());
    assert_eq!(HugeSlice::<()>::zeroed(&turn.eal, 5, None).expect("nothing").len(), 5);
}

#[test]
fn too_much_memory_is_refused_with_the_bytes_wanted() {
    let turn = eal();
    let error = HugeSlice::<[u8; 64]>::zeroed(&turn.eal, 1 << 30, None).expect_err("64 GiB of 256 MiB");
    assert_eq!(error, MemError::OutOfMemory { bytes: 64 << 30 });
    assert!(error.to_string().contains("68719476736 bytes"));
    let error = HugeSlice::<u64>::zeroed(&turn.eal, usize::MAX, None).expect_err("overflow");
    assert_eq!(error, MemError::TooLarge { count: usize::MAX, size: 8 });
}

#[test]
fn memory_comes_back_when_a_slice_is_dropped() {
    let turn = eal();
    for _ in 0..20 {
        let slice = HugeSlice::<[u8; 1 << 20]>::zeroed(&turn.eal, 100, None);
        assert_eq!(slice.expect("100 of 256 MiB, each time").len(), 100);
    }
}

/// What the kernel says of the mapping that an address is in.
fn flags(address: usize) -> String {
    let smaps = std::fs::read_to_string("/proc/self/smaps").expect("Linux");
    let (mut inside, hex) = (false, |text| usize::from_str_radix(text, 16).ok());
    for line in smaps.lines() {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        if let Some((Some(start), Some(end))) = range.map(|(start, end)| (hex(start), hex(end))) {
            inside = (start..end).contains(&address);
        }
        if let Some(flags) = line.strip_prefix("VmFlags: ").filter(|_| inside) {
            return flags.to_owned();
        }
    }
    panic!("{address:x} is in no mapping")
}

#[test]
fn core_dumps_have_neither_slices_nor_packets() {
    let turn = eal();
    let slice = HugeSlice::<u64>::zeroed(&turn.eal, 1_000_000, None).expect("there is memory");
    let (pool, own) = (pool(&turn, "not dumped"), vec![1u64; 1_000_000]);
    let mbuf = packet(&pool, &[0; 60]);
    // dd: do not dump.
    assert!(flags(slice.as_ptr().addr()).split(' ').any(|flag| flag == "dd"));
    assert!(flags(mbuf.data().as_ptr().addr()).split(' ').any(|flag| flag == "dd"));
    assert!(flags(own.as_ptr().addr()).split(' ').all(|flag| flag != "dd"));
}

/// Microsoft's verification suite for RSS over IPv4.
#[test]
fn the_toeplitz_hash_agrees_with_the_published_vectors() {
    const KEY: [u8; 40] = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca,
        0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b,
        0xbe, 0xac, 0x01, 0xfa,
    ];
    let address = |bytes| u32::from_be_bytes(bytes);
    for (source, sport, destination, dport, with_ports, without) in [
        ([66, 9, 149, 187], 2794, [161, 142, 100, 80], 1766, 0x51cc_c178, 0x323e_8fc2),
        ([199, 92, 111, 2], 14230, [65, 69, 140, 83], 4739, 0xc626_b0ea, 0xd718_262a),
        ([24, 19, 198, 95], 12898, [12, 22, 207, 184], 38024, 0x5c2b_394a, 0xd2d0_a5de),
    ] {
        let addresses = [address(source), address(destination)];
        assert_eq!(softrss_be(&addresses, &KEY), without);
        let [source, destination] = addresses;
        assert_eq!(softrss_be(&[source, destination, sport << 16 | dport], &KEY), with_ports);
    }
}
