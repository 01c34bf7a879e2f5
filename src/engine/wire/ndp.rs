//! Neighbour discovery (RFC 4861): solicitations and advertisements, which are ICMPv6 messages, and their options.

use crate::addr::{Be16, Be128, Mac};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a message without options.
pub const LEN: usize = 24;
/// Bytes of an option with an Ethernet address.
pub const LINK_OPTION_LEN: usize = 8;
/// The hop limit of every message: one that a router has passed on has less.
pub const HOP_LIMIT: u8 = 255;

/// Type: router solicitation.
pub const ROUTER_SOLICITATION: u8 = 133;
/// Type: router advertisement.
pub const ROUTER_ADVERTISEMENT: u8 = 134;
/// Type: who has the target?
pub const SOLICITATION: u8 = 135;
/// Type: the sender has the target.
pub const ADVERTISEMENT: u8 = 136;
/// Type: redirect.
pub const REDIRECT: u8 = 137;

/// Flag of an advertisement: the sender is a router.
pub const ROUTER: u8 = 0x80;
/// Flag of an advertisement: it answers a solicitation.
pub const SOLICITED: u8 = 0x40;
/// Flag of an advertisement: what was known before does not hold any more.
pub const OVERRIDE: u8 = 0x20;

/// Option: the link-layer address of the sender.
pub const SOURCE_LINK: u8 = 1;
/// Option: the link-layer address of the target.
pub const TARGET_LINK: u8 = 2;

/// ff02::1, all nodes of the link.
pub const ALL_NODES: Be128 = Be128::from_bytes([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// A neighbour solicitation or advertisement without its options.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Message {
    /// [`SOLICITATION`] or [`ADVERTISEMENT`].
    pub kind: u8,
    /// 0.
    pub code: u8,
    /// Over a pseudo-header and the whole message: see [`super::checksum`].
    pub checksum: Be16,
    /// [`ROUTER`], [`SOLICITED`], [`OVERRIDE`]; 0 in a solicitation.
    pub flags: u8,
    /// 0.
    pub reserved: [u8; 3],
    /// Whose link-layer address it is about.
    pub target: Be128,
}

const _: () = assert!(size_of::<Message>() == LEN);

impl Message {
    /// A message whose checksum is still to be filled in.
    pub const fn new(kind: u8, flags: u8, target: Be128) -> Message {
        Message { kind, code: 0, checksum: Be16::new(0), flags, reserved: [0; 3], target }
    }
}

/// The option with a link-layer address that is one of Ethernet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LinkOption {
    /// [`SOURCE_LINK`] or [`TARGET_LINK`].
    pub kind: u8,
    /// In units of 8 bytes: 1.
    pub len: u8,
    /// The address.
    pub mac: Mac,
}

const _: () = assert!(size_of::<LinkOption>() == LINK_OPTION_LEN);

impl LinkOption {
    /// With its length.
    pub const fn new(kind: u8, mac: Mac) -> LinkOption {
        LinkOption { kind, len: 1, mac }
    }
}

/// An option with a length of 0, or one that goes beyond the message: all of it is to be refused (RFC 4861, 4.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadOption;

/// The Ethernet address in the first option of this kind. Every option is looked at; those of other kinds are skipped.
pub fn link_option(mut options: &[u8], kind: u8) -> Result<Option<Mac>, BadOption> {
    let mut found = None;
    while let [this, len, ..] = *options {
        let (option, rest) = options.split_at_checked(usize::from(len) * 8).ok_or(BadOption)?;
        if len == 0 {
            return Err(BadOption);
        }
        if this == kind && found.is_none() {
            // A longer one is no address of Ethernet (RFC 2464, 6).
            found = LinkOption::read_from_bytes(option).ok().map(|o| o.mac);
        }
        options = rest;
    }
    if options.is_empty() { Ok(found) } else { Err(BadOption) }
}

/// The solicited-node group of an address (RFC 4291, 2.7.1): ff02::1:ff00:0 and its last 24 bits.
pub const fn solicited_node(addr: Be128) -> Be128 {
    let [.., a, b, c] = addr.bytes();
    Be128::from_bytes([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// The Ethernet address of an IPv6 group (RFC 2464, 7): 33:33 and its last 32 bits.
pub const fn group_mac(group: Be128) -> Mac {
    let [.., a, b, c, d] = group.bytes();
    Mac([0x33, 0x33, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv6Addr;
    use proptest::prelude::*;

    fn ip(addr: &str) -> Be128 {
        addr.parse::<Ipv6Addr>().unwrap().into()
    }

    #[test]
    fn an_advertisement_is_laid_out_as_rfc_4861_says() {
        let m = Message::new(ADVERTISEMENT, SOLICITED | OVERRIDE, ip("2001:db8::1"));
        let mut bytes = [0; LEN];
        (bytes[0], bytes[4], bytes[23]) = (136, 0x60, 1);
        bytes[8..12].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        assert_eq!(m.as_bytes(), bytes);
        assert_eq!(LinkOption::new(TARGET_LINK, Mac([2; 6])).as_bytes(), [2, 1, 2, 2, 2, 2, 2, 2]);
    }

    #[test]
    fn groups_have_the_addresses_of_their_rfcs() {
        let group = solicited_node(ip("4037::1:800:200e:8c6c"));
        assert_eq!(group, ip("ff02::1:ff0e:8c6c"));
        assert_eq!(group_mac(group), Mac([0x33, 0x33, 0xff, 0x0e, 0x8c, 0x6c]));
        assert_eq!(group_mac(ALL_NODES), Mac([0x33, 0x33, 0, 0, 0, 1]));
        assert_eq!(ALL_NODES, ip("ff02::1"));
    }

    #[test]
    fn the_address_is_found_behind_other_options_and_bad_lengths_are_refused() {
        let nonce = [14, 1, 1, 2, 3, 4, 5, 6];
        let source = [1, 1, 2, 0, 0, 0, 0, 9];
        let other = [1, 1, 2, 0, 0, 0, 0, 8];
        let mac = Some(Mac([2, 0, 0, 0, 0, 9]));
        assert_eq!(link_option(&[nonce, source, other].concat(), SOURCE_LINK), Ok(mac));
        assert_eq!(link_option(&[nonce, source].concat(), TARGET_LINK), Ok(None));
        assert_eq!(link_option(&[], SOURCE_LINK), Ok(None));
        assert_eq!(link_option(&[&[1, 2][..], &[0; 14]].concat(), SOURCE_LINK), Ok(None), "no address of Ethernet");
        for bad in [&[1, 0, 0, 0, 0, 0, 0, 0][..], &[1, 2, 0, 0, 0, 0, 0, 0], &[1], &[1, 1, 0, 0, 0, 0, 0]] {
            assert_eq!(link_option(bad, SOURCE_LINK), Err(BadOption), "{bad:?}");
            assert_eq!(link_option(&[&source[..], bad].concat(), SOURCE_LINK), Err(BadOption), "behind a good one");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Some(mac)) = link_option(&bytes, SOURCE_LINK) {
                prop_assert!(bytes.len() >= LINK_OPTION_LEN && bytes.windows(6).any(|w| w == mac.0));
            }
        }
    }
}
