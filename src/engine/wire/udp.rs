//! UDP (RFC 768).

use crate::addr::Be16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of the header.
pub const LEN: usize = 8;

/// The header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// Source port.
    pub sport: Be16,
    /// Destination port.
    pub dport: Be16,
    /// Bytes of header and data.
    pub len: Be16,
    /// Over pseudo-header, header and data, or 0 for none: see [`super::checksum`].
    pub checksum: Be16,
}

const _: () = assert!(size_of::<Header>() == LEN);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_standard_puts_them() {
        let (h, data) = Header::ref_from_prefix(&[0, 53, 0x12, 0x34, 0, 9, 0xab, 0xcd, b'x']).unwrap();
        assert_eq!((h.sport.host(), h.dport.host(), h.len.host(), h.checksum.host()), (53, 0x1234, 9, 0xabcd));
        assert_eq!(data, b"x");
    }
}
