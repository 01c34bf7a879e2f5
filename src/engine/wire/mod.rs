//! Headers as they stand on the wire, one file a protocol.
//!
//! Each header is a plain structure of bytes and [`Be16`](crate::addr::Be16)s without alignment: check the length once
//! (`Header::ref_from_prefix(bytes)`, `Header::mut_from_prefix(bytes)`, from zerocopy's `FromBytes`), then every field
//! is there. Nothing here judges a packet: whether a field makes sense is for [`path`](crate::path) to say. Nothing here
//! allocates, and no bytes make it panic.
//!
//! [`checksum`] is the only module that reads or writes a checksum.

pub mod ethernet;
pub mod vlan;

pub mod arp;
pub mod ipv4;
pub mod ipv6;

pub mod icmp;
pub mod icmpv6;
pub mod mld;
pub mod ndp;
pub mod tcp;
pub mod udp;

pub mod ends;
pub mod plain;

pub mod checksum;
pub mod option;

pub use zerocopy::{FromBytes, IntoBytes};
