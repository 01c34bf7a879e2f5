//! The Toeplitz hash as DPDK computes it in software, to test one's own against.

use dpdk_sys as sys;

/// The hash that a NIC with `key` computes over `tuple`: the words of the packet (addresses, then the two ports in one word),
/// each in host order, first the one that comes first in the packet.
///
/// # Panics
/// When the key has fewer than `4 * (tuple.len() + 1)` bytes. For tests and start-up, not for the packet path.
pub fn softrss_be(tuple: &[u32], key: &[u8]) -> u32 {
    assert!(
        key.len() >= 4 * (tuple.len() + 1),
        "an RSS key for {} words has at least {} bytes",
        tuple.len(),
        4 * (tuple.len() + 1)
    );
    let mut tuple = tuple.to_vec();
    // rte_softrss_be wants each word of the key in host order, which is what rte_convert_rss_key does.
    let key: Vec<u32> =
        key.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]])).collect();
    // SAFETY: the tuple has that many words, and the key one word more at least.
    unsafe { sys::rte_softrss_be(tuple.as_mut_ptr(), tuple.len() as u32, key.as_ptr().cast()) }
}
