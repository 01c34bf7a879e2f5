//! The reference: a swap of the 5-tuple, as testpmd's forward mode `5tswap` is documented. Each layer is parsed and its
//! addresses or ports are swapped, and it stops at the first layer that it does not know: Ethernet with any VLAN tags, IPv4
//! with any options or IPv6, TCP or UDP. As there, each mbuf is told how long its headers are, for the port's offloads.

use dpdk::Mbuf;
use dpdk::mbuf::{L4Checksum, TxChecksums};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86DD;
const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88A8;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Swaps what there is to swap in a frame.
#[inline(always)]
pub fn five_tuple(mbuf: &mut Mbuf) {
    if let Some((l2_len, l3_len, ipv6)) = frame(mbuf.data_mut()) {
        // No checksum is asked for, and headers that were swapped lie within the frame.
        let _ = mbuf.request_checksums(TxChecksums { l2_len, l3_len, ipv6, ip: false, l4: L4Checksum::No });
    }
}

/// The same on its bytes; gives the lengths of the link and IP headers of an IP packet, and whether it is IPv6.
#[inline(always)]
fn frame(bytes: &mut [u8]) -> Option<(u8, u16, bool)> {
    let (eth, mut rest) = bytes.split_first_chunk_mut::<14>()?;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *eth;
    *eth = [s0, s1, s2, s3, s4, s5, d0, d1, d2, d3, d4, d5, t0, t1];
    let (mut l2_len, mut ether_type) = (14_u8, u16::from_be_bytes([t0, t1]));
    while ether_type == VLAN || ether_type == QINQ {
        let (tag, inner) = rest.split_first_chunk_mut::<4>()?;
        ether_type = u16::from_be_bytes([tag[2], tag[3]]);
        l2_len = l2_len.saturating_add(4);
        rest = inner;
    }
    let (proto, l3_len, ipv6) = match ether_type {
        IPV4 => {
            let ip = rest.first_chunk_mut::<20>()?;
            swap::<4>(&mut ip[12..]);
            (ip[9], u16::from(ip[0] & 15) * 4, false)
        }
        IPV6 => {
            let ip = rest.first_chunk_mut::<40>()?;
            swap::<16>(&mut ip[8..]);
            (ip[6], 40, true)
        }
        _ => return None,
    };
    if proto == TCP || proto == UDP {
        swap::<2>(rest.get_mut(usize::from(l3_len)..)?);
    }
    Some((l2_len, l3_len, ipv6))
}

/// Swaps two neighbours of `N` bytes each.
#[inline(always)]
fn swap<const N: usize>(bytes: &mut [u8]) {
    if let Some((a, rest)) = bytes.split_first_chunk_mut::<N>()
        && let Some(b) = rest.first_chunk_mut::<N>()
    {
        std::mem::swap(a, b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two addresses of these bytes, in order or swapped.
    fn two(a: u8, b: u8, len: usize, swapped: bool) -> Vec<u8> {
        let (a, b) = if swapped { (b, a) } else { (a, b) };
        [vec![a; len], vec![b; len]].concat()
    }

    fn packet(between: &[u8], ip: &[u8], addr_len: usize, options: &[u8], swapped: bool) -> Vec<u8> {
        let (macs, addrs) = (two(1, 2, 6, swapped), two(3, 4, addr_len, swapped));
        [&macs, between, ip, &addrs, options, &two(5, 6, 2, swapped), &[7; 16]].concat()
    }

    #[test]
    fn every_layer_that_is_known_is_swapped() {
        let v4 = |ihl: u8, proto| [0x40 | ihl, 0, 0, 40, 0, 0, 0, 0, 64, proto, 0, 0];
        let v6 = [0x60, 0, 0, 0, 0, 20, TCP, 64];
        let tagged = [0x81, 0, 0, 9, 0x88, 0xA8, 0, 9, 8, 0];
        for (between, ip, addr_len, options, lengths) in [
            (&[8, 0][..], &v4(5, TCP)[..], 4, &[][..], (14, 20, false)),
            (&[8, 0], &v4(5, UDP), 4, &[], (14, 20, false)),
            (&[8, 0], &v4(6, TCP), 4, &[1; 4], (14, 24, false)),
            (&tagged, &v4(5, UDP), 4, &[], (22, 20, false)),
            (&[0x86, 0xDD], &v6, 16, &[], (14, 40, true)),
        ] {
            let mut bytes = packet(between, ip, addr_len, options, false);
            assert_eq!(frame(&mut bytes), Some(lengths));
            assert_eq!(bytes, packet(between, ip, addr_len, options, true));
        }
    }

    #[test]
    fn the_first_layer_that_is_not_known_ends_it() {
        let mut arp = packet(&[8, 6], &[9; 12], 4, &[], false);
        let rest = arp[12..].to_vec();
        assert_eq!(frame(&mut arp), None);
        assert_eq!((&arp[..12], &arp[12..]), (&two(1, 2, 6, true)[..], &rest[..]));
        assert_eq!(frame(&mut [0; 13]), None);
    }
}
