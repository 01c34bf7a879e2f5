//! Multicast listener discovery, version 2 (RFC 3810): the reports that say which groups a station listens to.

use crate::addr::{Be16, Be128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// ICMPv6 type of a report. The second word of its header ends with the number of its records.
pub const REPORT: u8 = 143;
/// Bytes of a record without sources.
pub const RECORD_LEN: usize = 20;
/// The hop limit of every message.
pub const HOP_LIMIT: u8 = 1;

/// Record: a group is listened to.
pub const IS_EXCLUDE: u8 = 2;
/// Record: a group is listened to from now on.
pub const TO_EXCLUDE: u8 = 4;

/// ff02::16, all routers that know this version.
pub const ALL_ROUTERS: Be128 = Be128::from_bytes([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x16]);

/// The extension header that stands before every message: options for every hop, a router alert (RFC 2711) and padding;
/// ICMPv6 follows.
pub const ROUTER_ALERT: [u8; 8] = [super::ipv6::ICMPV6, 0, 5, 2, 0, 0, 1, 0];

/// What a report says of a group, whatever the sources.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Record {
    /// [`IS_EXCLUDE`] or [`TO_EXCLUDE`].
    pub kind: u8,
    /// Words of data after the sources: 0.
    pub aux_len: u8,
    /// Number of sources: 0.
    pub sources: Be16,
    /// The group.
    pub group: Be128,
}

const _: () = assert!(size_of::<Record>() == RECORD_LEN);

impl Record {
    /// Without sources.
    pub const fn new(kind: u8, group: Be128) -> Record {
        Record { kind, aux_len: 0, sources: Be16::new(0), group }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_laid_out_as_rfc_3810_says() {
        let record = Record::new(TO_EXCLUDE, ALL_ROUTERS);
        let mut bytes = [0; RECORD_LEN];
        (bytes[0], bytes[4], bytes[5], bytes[19]) = (4, 0xff, 2, 0x16);
        assert_eq!(record.as_bytes(), bytes);
    }
}
