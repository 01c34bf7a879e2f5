//! The frame that nearly every packet comes in: untagged, IPv4 without options. All its fields stand at fixed places, so
//! that one length check serves them all.

use super::{ethernet, ipv4, tcp, udp};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Such a frame with TCP.
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Tcp {
    /// The link header.
    pub eth: ethernet::Header,
    /// The IPv4 header.
    pub ip: ipv4::Header,
    /// The TCP header; options may follow.
    pub tcp: tcp::Header,
}

/// Such a frame with UDP.
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Udp {
    /// The link header.
    pub eth: ethernet::Header,
    /// The IPv4 header.
    pub ip: ipv4::Header,
    /// The UDP header.
    pub udp: udp::Header,
}

impl Udp {
    /// True when it goes to a MAC address ([`crate::addr::Mac::raw`], two bytes up) and carries an IPv4 packet without
    /// options that is no fragment: all in one comparison.
    #[inline(always)]
    pub fn is_to(&self, mac: u64) -> bool {
        const FORM: u32 = u32::from_le_bytes([0x08, 0x00, 0x45, 0]);
        let bytes: &[u8; size_of::<Udp>()] = zerocopy::transmute_ref!(self);
        let to = bytes.first_chunk().map_or(0, |b| u64::from_le_bytes(*b)) << 16;
        // EtherType, version, header length; not the type of service.
        let form = bytes[12..].first_chunk().map_or(0, |b| u32::from_le_bytes(*b)) & 0xFF_FFFF;
        let fragment = self.ip.frag.raw() & !ipv4::DF.to_be();
        to ^ mac | u64::from(form ^ FORM) | u64::from(fragment) == 0
    }
}

const _: () = assert!(size_of::<Tcp>() == 54 && size_of::<Udp>() == 42);
