//! IPv4 (RFC 791).

use super::option::{Opt, Options};
use crate::addr::{Be16, Be32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of the header without options.
pub const LEN: usize = 20;
/// Bytes of the header with as many options as fit.
pub const MAX_LEN: usize = 60;

/// The flag that forbids to fragment, in [`Header::frag`].
pub const DF: u16 = 0x4000;
/// The flag that says that more fragments follow, in [`Header::frag`].
pub const MF: u16 = 0x2000;
/// The bits of [`Header::frag`] that count 8 bytes each.
pub const OFFSET_MASK: u16 = 0x1fff;

/// The protocol number of ICMP.
pub const ICMP: u8 = 1;
/// The protocol number of TCP.
pub const TCP: u8 = 6;
/// The protocol number of UDP.
pub const UDP: u8 = 17;

/// Option: end of the list.
pub const EOL: u8 = super::option::EOL;
/// Option: no operation.
pub const NOP: u8 = super::option::NOP;
/// Option: record route.
pub const RECORD_ROUTE: u8 = 7;
/// Option: loose source route.
pub const LSRR: u8 = 131;
/// Option: strict source route.
pub const SSRR: u8 = 137;

/// The header without its options.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// Version (4 bits), header length in words of 4 bytes (4 bits).
    pub ver_ihl: u8,
    /// Differentiated services (RFC 2474) and congestion notification (RFC 3168).
    pub tos: u8,
    /// Bytes of the packet, header included.
    pub total_len: Be16,
    /// Identification, the same in all fragments of a packet.
    pub id: Be16,
    /// Flags (3 bits) and fragment offset in units of 8 bytes (13 bits).
    pub frag: Be16,
    /// Hops that are left.
    pub ttl: u8,
    /// What follows, e.g. [`TCP`].
    pub proto: u8,
    /// Over the header and its options: see [`super::checksum`].
    pub checksum: Be16,
    /// Source address.
    pub src: Be32,
    /// Destination address.
    pub dst: Be32,
}

const _: () = assert!(size_of::<Header>() == LEN);

impl Header {
    /// 4, or the packet is none of IPv4.
    #[inline(always)]
    pub const fn version(&self) -> u8 {
        self.ver_ihl >> 4
    }

    /// Bytes of the header and its options, as it says: 0 to 60; below 20 it is malformed.
    #[inline(always)]
    pub const fn header_len(&self) -> usize {
        (self.ver_ihl & 0x0f) as usize * 4
    }

    /// Routers must not fragment it.
    #[inline(always)]
    pub const fn dont_fragment(&self) -> bool {
        self.frag.host() & DF != 0
    }

    /// It is a fragment, and not the last.
    #[inline(always)]
    pub const fn more_fragments(&self) -> bool {
        self.frag.host() & MF != 0
    }

    /// Where its data belongs in that of the whole packet, in bytes.
    #[inline(always)]
    pub const fn fragment_offset(&self) -> usize {
        (self.frag.host() & OFFSET_MASK) as usize * 8
    }

    /// It is one of several fragments: the first (which has the layer-4 header) or another.
    #[inline(always)]
    pub const fn is_fragment(&self) -> bool {
        self.frag.host() & (MF | OFFSET_MASK) != 0
    }
}

/// The options between the 20 bytes of a header and its [`Header::header_len`]. Safe on any bytes.
#[inline]
pub const fn options(bytes: &[u8]) -> Options<'_> {
    Options::new(bytes)
}

/// True when an option asks for a source route ([`LSRR`], [`SSRR`]). `options` as for [`options`].
#[inline]
pub fn has_source_route(bytes: &[u8]) -> bool {
    options(bytes).any(|Opt { kind, .. }| kind == LSRR || kind == SSRR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_standard_puts_them() {
        let bytes = [
            0x46, 0x12, 0x01, 0x02, 0x03, 0x04, 0x60, 0x02, 64, 17, 0xab, 0xcd, 192, 0, 2, 1, 198, 51, 100, 9, 131, 3,
            4, 0,
        ];
        let (h, options) = Header::ref_from_prefix(&bytes).unwrap();
        assert_eq!((h.version(), h.header_len(), h.tos, h.total_len.host()), (4, 24, 0x12, 0x0102));
        assert_eq!((h.id.host(), h.ttl, h.proto, h.checksum.host()), (0x0304, 64, UDP, 0xabcd));
        assert_eq!((h.src.host(), h.dst.host()), (0xc000_0201, 0xc633_6409));
        assert!(h.dont_fragment() && h.more_fragments() && h.is_fragment());
        assert_eq!(h.fragment_offset(), 16);
        assert!(has_source_route(options));
    }

    #[test]
    fn only_more_fragments_or_an_offset_make_a_fragment() {
        let mut h = Header::read_from_bytes(&[0u8; LEN]).unwrap();
        for (frag, is) in [(0, false), (DF, false), (0x8000, false), (MF, true), (1, true), (OFFSET_MASK, true)] {
            h.frag = Be16::new(frag);
            assert_eq!(h.is_fragment(), is, "{frag:#06x}");
        }
        assert_eq!(h.fragment_offset(), 65528);
    }

    #[test]
    fn a_source_route_hides_neither_after_padding_nor_behind_the_end() {
        assert!(has_source_route(&[1, 1, 137, 3, 4]));
        assert!(has_source_route(&[7, 4, 131, 0, 131, 3, 4]));
        assert!(!has_source_route(&[7, 4, 131, 137]));
        assert!(!has_source_route(&[0, 131, 3, 4]));
        assert!(!has_source_route(&[]));
    }
}
