//! Values as they stand on the wire, and ids.
//!
//! [`Be16`], [`Be32`] and [`Be128`] hold network byte order and have no arithmetic: `lport + 1` does not compile. Ids are newtypes,
//! stable for as long as any shard refers to them.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A 16-bit value in network byte order, with the alignment of a byte.
#[derive(Clone, Copy, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Be16([u8; 2]);

impl Hash for Be16 {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u16(self.raw());
    }
}

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

/// A 128-bit value in network byte order, with the alignment of a byte: an IPv6 address.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Be128([u8; 16]);

impl Be128 {
    /// The bytes as they stand on the wire.
    #[inline(always)]
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }
    /// From the bytes as they stand on the wire.
    #[inline(always)]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Be128(bytes)
    }
    /// The two halves as they lie in memory, for keys and checksums.
    #[inline(always)]
    pub const fn raw(self) -> [u64; 2] {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = self.0;
        [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes([i, j, k, l, m, n, o, p])]
    }
    /// The inverse of [`Be128::raw`].
    #[inline(always)]
    pub const fn from_raw([high, low]: [u64; 2]) -> Self {
        let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]) = (high.to_ne_bytes(), low.to_ne_bytes());
        Be128([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
    }
}

/// An address of either family.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Addr {
    /// RFC 791
    V4(Be32),
    /// RFC 4291
    V6(Be128),
}

/// Of an address, a tuple, a packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Family {
    /// IPv4
    V4 = 0,
    /// IPv6
    V6 = 1,
}

impl Addr {
    /// Its family.
    #[inline(always)]
    pub const fn family(self) -> Family {
        match self {
            Addr::V4(_) => Family::V4,
            Addr::V6(_) => Family::V6,
        }
    }
    /// It as an IPv4 address, if it is one.
    #[inline(always)]
    pub const fn v4(self) -> Option<Be32> {
        match self {
            Addr::V4(a) => Some(a),
            Addr::V6(_) => None,
        }
    }
    /// It as an IPv6 address, if it is one.
    #[inline(always)]
    pub const fn v6(self) -> Option<Be128> {
        match self {
            Addr::V4(_) => None,
            Addr::V6(a) => Some(a),
        }
    }
    /// Is it in the prefix of `len` bits of `net`? Never in one of the other family.
    pub fn is_in(self, net: Addr, len: u8) -> bool {
        self.family() == net.family() && self.prefix(len) == net.prefix(len)
    }
    /// True for the IPv6 addresses that mean something on one link only: fe80::/10 (RFC 4291, 2.5.6).
    pub const fn is_link_local(self) -> bool {
        match self {
            Addr::V4(_) => false,
            Addr::V6(a) => a.0[0] == 0xfe && a.0[1] & 0xc0 == 0x80,
        }
    }
    /// Its first `len` bits; zeros after them.
    pub fn prefix(self, len: u8) -> Addr {
        match self {
            Addr::V4(a) => {
                let mask = u32::MAX.checked_shl(32u32.saturating_sub(len.into())).unwrap_or(0);
                Addr::V4(Be32::new(a.host() & mask))
            }
            Addr::V6(a) => {
                let mask = u128::MAX.checked_shl(128u32.saturating_sub(len.into())).unwrap_or(0);
                Addr::V6(Be128((u128::from_be_bytes(a.0) & mask).to_be_bytes()))
            }
        }
    }
}

impl Hash for Addr {
    /// One word for IPv4, two for IPv6. Where the two would be the same, equality tells them apart.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Addr::V4(a) => state.write_u32(a.raw()),
            Addr::V6(a) => a.raw().iter().for_each(|word| state.write_u64(*word)),
        }
    }
}

impl PartialOrd for Addr {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Addr {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        IpAddr::from(*self).cmp(&IpAddr::from(*other))
    }
}

impl From<Be32> for Addr {
    fn from(a: Be32) -> Self {
        Addr::V4(a)
    }
}

impl From<Be128> for Addr {
    fn from(a: Be128) -> Self {
        Addr::V6(a)
    }
}

impl From<Ipv4Addr> for Addr {
    fn from(a: Ipv4Addr) -> Self {
        Addr::V4(a.into())
    }
}

impl From<Ipv6Addr> for Addr {
    fn from(a: Ipv6Addr) -> Self {
        Addr::V6(a.into())
    }
}

impl From<IpAddr> for Addr {
    fn from(a: IpAddr) -> Self {
        match a {
            IpAddr::V4(a) => a.into(),
            IpAddr::V6(a) => a.into(),
        }
    }
}

impl From<Addr> for IpAddr {
    fn from(a: Addr) -> Self {
        match a {
            Addr::V4(a) => Ipv4Addr::from(a).into(),
            Addr::V6(a) => Ipv6Addr::from(a).into(),
        }
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&IpAddr::from(*self), f)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Ipv6Addr> for Be128 {
    fn from(a: Ipv6Addr) -> Self {
        Be128(a.octets())
    }
}

impl From<Be128> for Ipv6Addr {
    fn from(a: Be128) -> Self {
        Ipv6Addr::from(a.0)
    }
}

impl fmt::Debug for Be128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Ipv6Addr::from(*self), f)
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

impl Dir {
    /// The way of the answers.
    #[inline(always)]
    pub const fn other(self) -> Dir {
        match self {
            Dir::In => Dir::Out,
            Dir::Out => Dir::In,
        }
    }
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
