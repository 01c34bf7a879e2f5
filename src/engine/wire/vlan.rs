//! VLAN tags (IEEE 802.1Q, 9.6): what follows an EtherType of [`ethernet::VLAN`] or [`ethernet::QINQ`].
//!
//! [`ethernet::VLAN`]: super::ethernet::VLAN
//! [`ethernet::QINQ`]: super::ethernet::QINQ

use crate::addr::Be16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of the tag.
pub const LEN: usize = 4;

/// The bits of the tag control information that are the VLAN id.
pub const VID_MASK: u16 = 0x0fff;
/// The bit that says that the frame may be dropped first.
pub const DEI: u16 = 0x1000;

/// The tag, without the EtherType that announces it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Tag {
    /// Priority (3 bits), drop eligible (1 bit), VLAN id (12 bits).
    pub tci: Be16,
    /// What follows.
    pub ether_type: Be16,
}

const _: () = assert!(size_of::<Tag>() == LEN);

impl Tag {
    /// The VLAN id, 0 to 4095; 0 is a tag that carries only a priority.
    #[inline(always)]
    pub const fn vid(&self) -> u16 {
        self.tci.host() & VID_MASK
    }

    /// The priority, 0 to 7.
    #[inline(always)]
    pub const fn priority(&self) -> u8 {
        (self.tci.host() >> 13) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_low_twelve_bits() {
        let tag = Tag::read_from_bytes(&[0xbf, 0xff, 0x08, 0x00]).unwrap();
        assert_eq!((tag.vid(), tag.priority(), tag.tci.host() & DEI), (4095, 5, DEI));
        assert_eq!(tag.ether_type, crate::wire::ethernet::IPV4);
    }
}
