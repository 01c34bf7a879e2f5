//! Ethernet II (IEEE 802.3, 3.2.6).

use crate::addr::{Be16, Mac};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of the header.
pub const LEN: usize = 14;

/// The EtherType of IPv4 (RFC 894).
pub const IPV4: Be16 = Be16::new(0x0800);
/// The EtherType of ARP (RFC 826).
pub const ARP: Be16 = Be16::new(0x0806);
/// The EtherType of a VLAN tag (IEEE 802.1Q).
pub const VLAN: Be16 = Be16::new(0x8100);
/// The EtherType of an outer, provider's VLAN tag (IEEE 802.1ad).
pub const QINQ: Be16 = Be16::new(0x88a8);
/// The EtherType of IPv6 (RFC 2464).
pub const IPV6: Be16 = Be16::new(0x86dd);

/// The header of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// Destination.
    pub dst: Mac,
    /// Source.
    pub src: Mac,
    /// What follows, e.g. [`IPV4`]. Below 0x0600 it is the length of an IEEE 802.3 frame.
    pub ether_type: Be16,
}

const _: () = assert!(size_of::<Header>() == LEN);

impl Header {
    /// Sets both addresses: the first eight bytes and the four after them, each as it lies in memory of low end first.
    #[inline(always)]
    pub fn set_link(&mut self, (head, tail): (u64, u32)) {
        let bytes: &mut [u8; LEN] = zerocopy::transmute_mut!(self);
        bytes[..8].copy_from_slice(&head.to_le_bytes());
        bytes[8..12].copy_from_slice(&tail.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_standard_puts_them() {
        let frame = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x08, 0x06, 0xff];
        let (header, rest) = Header::ref_from_prefix(&frame).unwrap();
        assert_eq!((header.dst, header.src), (Mac([1, 2, 3, 4, 5, 6]), Mac([7, 8, 9, 10, 11, 12])));
        assert_eq!((header.ether_type, rest), (ARP, &[0xff][..]));
        assert!(Header::ref_from_prefix(&frame[..13]).is_err());
    }
}
