//! The frames that nearly every packet comes in: untagged, IPv4 without options, or IPv6 without extension headers. All
//! their fields stand at fixed places, so that one length check serves them all.

use super::{ethernet, ipv4, ipv6, tcp, udp};
use crate::addr::Mac;
use wide::u8x16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Such a frame with TCP over IPv4.
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

/// Such a frame with UDP over IPv4.
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

/// Such a frame with UDP over IPv6, or the beginning of one with TCP.
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Udp6 {
    /// The link header.
    pub eth: ethernet::Header,
    /// The IPv6 header.
    pub ip: ipv6::Header,
    /// The UDP header.
    pub udp: udp::Header,
}

/// How a frame begins that goes to a station and carries an IPv4 packet without options.
#[derive(Clone, Copy, Debug)]
pub struct Start(u8x16);

impl Start {
    /// Destination, EtherType, version and header length; neither the source nor the type of service.
    const LOOKED_AT: u8x16 = {
        const ALL: u8 = 0xFF;
        u8x16::new([ALL, ALL, ALL, ALL, ALL, ALL, 0, 0, 0, 0, 0, 0, ALL, ALL, ALL, 0])
    };
    /// No frame begins like this.
    pub const NEVER: Start = Start(u8x16::new([1; 16]));

    /// Of frames to this address.
    pub fn to(mac: Mac) -> Start {
        let [a, b, c, d, e, f] = mac.0;
        Start(u8x16::new([a, b, c, d, e, f, 0, 0, 0, 0, 0, 0, 0x08, 0x00, 0x45, 0]))
    }
}

impl Udp {
    /// True when it begins like this, and is no fragment.
    #[inline(always)]
    pub fn begins(&self, start: &Start) -> bool {
        let bytes: &[u8; size_of::<Udp>()] = zerocopy::transmute_ref!(self);
        let begin = bytes.first_chunk().map_or(Start::NEVER.0, |b| u8x16::new(*b));
        (begin & Start::LOOKED_AT).simd_eq(start.0).all() && self.ip.frag.raw() & !ipv4::DF.to_be() == 0
    }
}

const _: () = assert!(size_of::<Tcp>() == 54 && size_of::<Udp>() == 42 && size_of::<Udp6>() == 62);
