//! ICMP (RFC 792).

use crate::addr::Be16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of the header; in an error the quoted packet follows.
pub const LEN: usize = 8;
/// Bytes of an error with its IP header, at most (RFC 1812, 4.3.2.3).
pub const ERROR_LEN: usize = 576;

/// Echo reply.
pub const ECHO_REPLY: u8 = 0;
/// Destination unreachable: an error.
pub const UNREACHABLE: u8 = 3;
/// Source quench: an error, deprecated by RFC 6633.
pub const SOURCE_QUENCH: u8 = 4;
/// Redirect: an error.
pub const REDIRECT: u8 = 5;
/// Echo request.
pub const ECHO: u8 = 8;
/// Time exceeded: an error.
pub const TIME_EXCEEDED: u8 = 11;
/// Parameter problem: an error.
pub const PARAMETER_PROBLEM: u8 = 12;

/// Code of [`UNREACHABLE`]: network.
pub const NET_UNREACHABLE: u8 = 0;
/// Code of [`UNREACHABLE`]: host.
pub const HOST_UNREACHABLE: u8 = 1;
/// Code of [`UNREACHABLE`]: protocol.
pub const PROTOCOL_UNREACHABLE: u8 = 2;
/// Code of [`UNREACHABLE`]: port.
pub const PORT_UNREACHABLE: u8 = 3;
/// Code of [`UNREACHABLE`]: too big and DF is set; carries the next hop's MTU (RFC 1191, 4).
pub const FRAGMENTATION_NEEDED: u8 = 4;
/// Code of [`UNREACHABLE`]: source route failed.
pub const SOURCE_ROUTE_FAILED: u8 = 5;
/// Code of [`UNREACHABLE`]: communication with the host is administratively prohibited.
pub const HOST_PROHIBITED: u8 = 10;
/// Code of [`UNREACHABLE`]: communication administratively prohibited (RFC 1812, 5.2.7.1).
pub const ADMIN_PROHIBITED: u8 = 13;
/// Code of [`TIME_EXCEEDED`]: TTL exceeded in transit.
pub const TTL_EXCEEDED: u8 = 0;
/// Code of [`TIME_EXCEEDED`]: fragment reassembly time exceeded.
pub const REASSEMBLY_EXCEEDED: u8 = 1;

/// The header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// The type, e.g. [`ECHO`].
    pub kind: u8,
    /// The code, which says more about the type.
    pub code: u8,
    /// Over header and data: see [`super::checksum`].
    pub checksum: Be16,
    /// Of a meaning that the type gives.
    pub rest: [u8; 4],
}

const _: () = assert!(size_of::<Header>() == LEN);

impl Header {
    /// The identifier of an echo.
    #[inline(always)]
    pub const fn id(&self) -> Be16 {
        let [a, b, _, _] = self.rest;
        Be16::new(u16::from_be_bytes([a, b]))
    }

    /// The sequence number of an echo.
    #[inline(always)]
    pub const fn seq(&self) -> Be16 {
        let [_, _, c, d] = self.rest;
        Be16::new(u16::from_be_bytes([c, d]))
    }

    /// The next hop's MTU in [`FRAGMENTATION_NEEDED`], in bytes; 0 when the router does not tell (RFC 1191, 5).
    #[inline(always)]
    pub const fn mtu(&self) -> u16 {
        self.seq().host()
    }
}

/// True for the types that quote the packet they are about (RFC 1122, 3.2.2).
#[inline(always)]
pub const fn is_error(kind: u8) -> bool {
    matches!(kind, UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_the_standard_puts_them() {
        let h = Header::read_from_bytes(&[8, 0, 0xab, 0xcd, 1, 2, 3, 4]).unwrap();
        assert_eq!((h.kind, h.code, h.checksum.host()), (ECHO, 0, 0xabcd));
        assert_eq!((h.id().host(), h.seq().host(), h.mtu()), (0x0102, 0x0304, 0x0304));
    }

    #[test]
    fn errors_are_the_five_types_that_quote() {
        let errors: Vec<u8> = (0..=255).filter(|&k| is_error(k)).collect();
        assert_eq!(errors, [3, 4, 5, 11, 12]);
    }
}
