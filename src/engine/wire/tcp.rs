//! TCP (RFC 9293, 3.1).

use super::option::Options;
use crate::addr::{Be16, Be32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of the header without options.
pub const LEN: usize = 20;
/// Bytes of the header with as many options as fit.
pub const MAX_LEN: usize = 60;

/// Where [`Header::checksum`] stands, for segments that are quoted without their last bytes.
pub const CHECKSUM_AT: usize = core::mem::offset_of!(Header, checksum);

/// Flag: the sender has no more data.
pub const FIN: u8 = 0x01;
/// Flag: synchronise sequence numbers.
pub const SYN: u8 = 0x02;
/// Flag: reset the connection.
pub const RST: u8 = 0x04;
/// Flag: push.
pub const PSH: u8 = 0x08;
/// Flag: the acknowledgement counts.
pub const ACK: u8 = 0x10;
/// Flag: the urgent pointer counts.
pub const URG: u8 = 0x20;
/// Flag: ECN echo (RFC 3168, 6.1).
pub const ECE: u8 = 0x40;
/// Flag: congestion window reduced (RFC 3168, 6.1).
pub const CWR: u8 = 0x80;

/// Option: end of the list.
pub const EOL: u8 = super::option::EOL;
/// Option: no operation.
pub const NOP: u8 = super::option::NOP;
/// Option: maximum segment size, 4 bytes (RFC 9293, 3.7.1).
pub const MSS: u8 = 2;
/// Option: window scale, 3 bytes (RFC 7323, 2.2).
pub const WSCALE: u8 = 3;
/// Option: selective acknowledgements permitted, 2 bytes (RFC 2018, 2).
pub const SACK_PERMITTED: u8 = 4;
/// Option: selective acknowledgements, 2 bytes and 8 for each block (RFC 2018, 3).
pub const SACK: u8 = 5;
/// Option: timestamps, 10 bytes: value and echo reply (RFC 7323, 3.2).
pub const TIMESTAMP: u8 = 8;

/// The header without its options.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// Source port.
    pub sport: Be16,
    /// Destination port.
    pub dport: Be16,
    /// Sequence number of the first byte of data, or of the SYN.
    pub seq: Be32,
    /// The next sequence number that the sender expects.
    pub ack: Be32,
    /// Header length in words of 4 bytes (4 bits), reserved (4 bits).
    pub offset: u8,
    /// [`FIN`] to [`CWR`].
    pub flags: u8,
    /// The window, unscaled.
    pub window: Be16,
    /// Over pseudo-header, header and data: see [`super::checksum`].
    pub checksum: Be16,
    /// The urgent pointer.
    pub urgent: Be16,
}

const _: () = assert!(size_of::<Header>() == LEN);

impl Header {
    /// Bytes of the header and its options, as it says: 0 to 60; below 20 it is malformed.
    #[inline(always)]
    pub const fn header_len(&self) -> usize {
        (self.offset >> 4) as usize * 4
    }

    /// True when all of `flags` are set.
    #[inline(always)]
    pub const fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }
}

/// A segment in its three parts: header, options, data. `None` when `segment` is shorter than its header, or says that
/// its header is shorter than 20 bytes.
#[inline]
pub fn split(segment: &[u8]) -> Option<(&Header, &[u8], &[u8])> {
    let (header, _) = Header::ref_from_prefix(segment).ok()?;
    Some((header, segment.get(LEN..header.header_len())?, segment.get(header.header_len()..)?))
}

/// The options between the 20 bytes of a header and its [`Header::header_len`]. Safe on any bytes.
#[inline]
pub const fn options(bytes: &[u8]) -> Options<'_> {
    Options::new(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: [u8; 25] =
        [0x9c, 0x40, 0, 80, 0, 0, 3, 0xe8, 0, 0, 0, 7, 0x60, 0x12, 1, 0, 0xab, 0xcd, 0, 9, 2, 4, 5, 0xb4, b'x'];

    #[test]
    fn fields_are_where_the_standard_puts_them() {
        let (h, opts, data) = split(&SEGMENT).unwrap();
        assert_eq!((h.sport.host(), h.dport.host(), h.seq.host(), h.ack.host()), (40000, 80, 1000, 7));
        assert_eq!((h.header_len(), h.window.host(), h.checksum.host(), h.urgent.host()), (24, 256, 0xabcd, 9));
        assert!(h.has(SYN | ACK) && !h.has(SYN | FIN));
        assert_eq!((opts, data), (&[2, 4, 5, 0xb4][..], &b"x"[..]));
        let mss = options(opts).next().unwrap();
        assert_eq!((mss.kind, &opts[mss.data()]), (MSS, &[5, 0xb4][..]));
    }

    #[test]
    fn a_header_that_lies_about_its_length_is_not_split() {
        let mut segment = SEGMENT;
        for (offset, ok) in [(0x00, false), (0x40, false), (0x50, true), (0x60, true), (0x70, false), (0xf0, false)] {
            segment[12] = offset;
            assert_eq!(split(&segment).is_some(), ok, "{offset:#04x}");
        }
        assert!(split(&SEGMENT[..19]).is_none());
    }
}
