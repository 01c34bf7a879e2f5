//! The frames that nearly every packet comes in: untagged, IPv4 without options, or IPv6 without extension headers. All
//! their fields stand at fixed places, so that one length check serves them all.

use super::{ethernet, ipv4, ipv6, tcp, udp};
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

const _: () = assert!(size_of::<Tcp>() == 54 && size_of::<Udp>() == 42 && size_of::<Udp6>() == 62);
