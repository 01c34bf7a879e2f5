//! Values as they stand on the wire, and ids.
//!
//! [`Be16`] and [`Be32`] hold network byte order and have no arithmetic: `lport + 1` does not compile. Ids are newtypes,
//! stable for as long as any shard refers to them.

use core::fmt;
use core::net::Ipv4Addr;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A 16-bit value in network byte order, with the alignment of a byte.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Be16([u8; 2]);

impl Be16 {
    /// From a number.
    #[inline(always)]
    pub const fn new(value: u16) -> Self {
        Be16(value.to_be_bytes())
    }
    /// As a number.
    #[inline(always)]
    pub const fn host(self) -> u16 {
        u16::from_be_bytes(self.0)
    }
    /// The two bytes as they lie in memory, for keys and checksums.
    #[inline(always)]
    pub const fn raw(self) -> u16 {
        u16::from_ne_bytes(self.0)
    }
    /// The inverse of [`Be16::raw`].
    #[inline(always)]
    pub const fn from_raw(raw: u16) -> Self {
        Be16(raw.to_ne_bytes())
    }
    /// The two bytes as they stand on the wire.
    #[inline(always)]
    pub const fn bytes(self) -> [u8; 2] {
        self.0
    }
}

/// A 32-bit value in network byte order, with the alignment of a byte: an IPv4 address, a sequence number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Be32([u8; 4]);

impl Be32 {
    /// From a number.
    #[inline(always)]
    pub const fn new(value: u32) -> Self {
        Be32(value.to_be_bytes())
    }
    /// As a number.
    #[inline(always)]
    pub const fn host(self) -> u32 {
        u32::from_be_bytes(self.0)
    }
    /// The four bytes as they lie in memory, for keys and checksums.
    #[inline(always)]
    pub const fn raw(self) -> u32 {
        u32::from_ne_bytes(self.0)
    }
    /// The inverse of [`Be32::raw`].
    #[inline(always)]
    pub const fn from_raw(raw: u32) -> Self {
        Be32(raw.to_ne_bytes())
    }
    /// The four bytes as they stand on the wire.
    #[inline(always)]
    pub const fn bytes(self) -> [u8; 4] {
        self.0
    }
}

impl From<Ipv4Addr> for Be32 {
    fn from(a: Ipv4Addr) -> Self {
        Be32(a.octets())
    }
}

impl From<Be32> for Ipv4Addr {
    fn from(a: Be32) -> Self {
        Ipv4Addr::from(a.0)
    }
}

impl fmt::Debug for Be16 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host().fmt(f)
    }
}

impl fmt::Debug for Be32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.host())
    }
}

/// A MAC address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// ff:ff:ff:ff:ff:ff
    pub const BROADCAST: Mac = Mac([0xff; 6]);

    /// As a number of 48 bits, to compare with.
    #[inline(always)]
    pub const fn raw(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }

    /// True for broadcast and multicast (the group bit).
    #[inline(always)]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A layer-4 protocol that gatun balances.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[repr(u8)]
pub enum Proto {
    /// RFC 9293
    Tcp = 6,
    /// RFC 768
    Udp = 17,
}

impl Proto {
    /// From the protocol field of an IP header.
    #[inline(always)]
    pub const fn from_ip(p: u8) -> Option<Proto> {
        match p {
            6 => Some(Proto::Tcp),
            17 => Some(Proto::Udp),
            _ => None,
        }
    }
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Proto::Tcp => "tcp",
            Proto::Udp => "udp",
        })
    }
}

/// Which way a packet of a connection goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Dir {
    /// Client to VIP.
    In = 0,
    /// Real server to local address.
    Out = 1,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident($int:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Default, zerocopy::FromZeros)]
        #[repr(transparent)]
        pub struct $name(pub $int);
        impl $name {
            /// As an index into an array by this id.
            #[inline(always)]
            pub const fn index(self) -> usize { self.0 as usize }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Display::fmt(&self.0, f) }
        }
    )*};
}

ids! {
    /// A NIC port, in the order of the configuration.
    PortId(u8);
    /// An interface: a port, or a VLAN on a port.
    IfaceId(u8);
    /// A worker lcore, counted from 0 in the order of the configuration: the index of its shard.
    LcoreId(u8);
    /// A virtual service.
    ServiceId(u32);
    /// A real server of one service: a pair (service, address and port).
    RealId(u32);
    /// A (protocol, address, port) that local ports are taken towards; shared by every service that uses it.
    EndpointId(u32);
    /// A local address.
    LipId(u16);
    /// A next hop: the seat of its neighbour cell.
    NeighborId(u16);
    /// The seat of a connection in its shard.
    ConnId(u32);
    /// A class of tuples that move together: the low bits of their Toeplitz hash, 0..128.
    Class(u8);
}
