//! IPv6 (RFC 8200): the fixed header.

use crate::addr::{Be16, Be32, Be128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of the fixed header.
pub const LEN: usize = 40;
/// The least MTU of a link (RFC 8200, 5).
pub const MIN_MTU: u16 = 1280;
/// Next header: ICMPv6.
pub const ICMPV6: u8 = 58;

/// The fixed header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// Version (4 bits), traffic class (8), flow label (20).
    pub ver_class_flow: Be32,
    /// Bytes after this header, extension headers included.
    pub payload_len: Be16,
    /// What follows this header.
    pub next: u8,
    /// Hops that it may still make.
    pub hop_limit: u8,
    /// Source.
    pub src: Be128,
    /// Destination.
    pub dst: Be128,
}

const _: () = assert!(size_of::<Header>() == LEN);

impl Header {
    /// 6, if it is right.
    #[inline(always)]
    pub const fn version(&self) -> u8 {
        self.ver_class_flow.bytes()[0] >> 4
    }
    /// The traffic class (RFC 2474, RFC 3168).
    #[inline(always)]
    pub const fn traffic_class(&self) -> u8 {
        (self.ver_class_flow.host() >> 20) as u8
    }
    /// The flow label (RFC 6437).
    #[inline(always)]
    pub const fn flow_label(&self) -> u32 {
        self.ver_class_flow.host() & 0xf_ffff
    }
    /// The first word of a header.
    #[inline(always)]
    pub const fn first_word(traffic_class: u8, flow_label: u32) -> Be32 {
        Be32::new(6 << 28 | (traffic_class as u32) << 20 | flow_label & 0xf_ffff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_standard_puts_them() {
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(&[0x6a, 0xb1, 0x23, 0x45, 0x01, 0x02, 6, 64]);
        (bytes[8], bytes[39]) = (0x20, 9);
        let h = Header::read_from_bytes(&bytes).unwrap();
        assert_eq!((h.version(), h.traffic_class(), h.flow_label()), (6, 0xab, 0x12345));
        assert_eq!((h.payload_len.host(), h.next, h.hop_limit), (0x0102, 6, 64));
        assert_eq!((h.src.bytes()[0], h.dst.bytes()[15]), (0x20, 9));
        assert_eq!(Header::first_word(0xab, 0x12345), h.ver_class_flow);
    }
}
