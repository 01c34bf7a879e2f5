//! ICMPv6 (RFC 4443). Its header is that of ICMP; its checksum covers a pseudo-header too.

use super::icmp::Header;

/// Bytes of the header; in an error the quoted packet follows.
pub const LEN: usize = super::icmp::LEN;
/// Bytes of an error with its IP header, at most: what every link takes (RFC 4443, 2.4 (c)).
pub const ERROR_LEN: usize = super::ipv6::MIN_MTU as usize;

/// Destination unreachable: an error.
pub const UNREACHABLE: u8 = 1;
/// Packet too big: an error that carries the next hop's MTU.
pub const PACKET_TOO_BIG: u8 = 2;
/// Time exceeded: an error.
pub const TIME_EXCEEDED: u8 = 3;
/// Parameter problem: an error that carries a pointer to the octet that is wrong.
pub const PARAMETER_PROBLEM: u8 = 4;
/// Echo request.
pub const ECHO: u8 = 128;
/// Echo reply.
pub const ECHO_REPLY: u8 = 129;

/// Code of [`UNREACHABLE`]: no route.
pub const NO_ROUTE: u8 = 0;
/// Code of [`UNREACHABLE`]: communication administratively prohibited.
pub const ADMIN_PROHIBITED: u8 = 1;
/// Code of [`UNREACHABLE`]: beyond the scope of the source address.
pub const BEYOND_SCOPE: u8 = 2;
/// Code of [`UNREACHABLE`]: address.
pub const ADDRESS_UNREACHABLE: u8 = 3;
/// Code of [`UNREACHABLE`]: port.
pub const PORT_UNREACHABLE: u8 = 4;
/// Code of [`UNREACHABLE`]: the source address failed a policy.
pub const SOURCE_POLICY: u8 = 5;
/// Code of [`UNREACHABLE`]: the route says to refuse.
pub const REJECT_ROUTE: u8 = 6;
/// Code of [`TIME_EXCEEDED`]: hop limit exceeded in transit.
pub const HOP_LIMIT_EXCEEDED: u8 = 0;
/// Code of [`TIME_EXCEEDED`]: fragment reassembly time exceeded.
pub const REASSEMBLY_EXCEEDED: u8 = 1;
/// Code of [`PARAMETER_PROBLEM`]: an erroneous header field.
pub const ERRONEOUS_FIELD: u8 = 0;
/// Code of [`PARAMETER_PROBLEM`]: an unknown next header.
pub const UNKNOWN_NEXT_HEADER: u8 = 1;
/// Code of [`PARAMETER_PROBLEM`]: an unknown option.
pub const UNKNOWN_OPTION: u8 = 2;

/// True for the types that quote the packet they are about (RFC 4443, 2.1: the highest bit says it).
#[inline(always)]
pub const fn is_error(kind: u8) -> bool {
    kind < 128
}

/// The MTU of [`PACKET_TOO_BIG`] in bytes, or the pointer of [`PARAMETER_PROBLEM`].
#[inline(always)]
pub const fn value(header: &Header) -> u32 {
    let [a, b, c, d] = header.rest;
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromBytes;

    #[test]
    fn errors_are_the_types_of_the_lower_half() {
        assert!([UNREACHABLE, PACKET_TOO_BIG, TIME_EXCEEDED, PARAMETER_PROBLEM, 100, 127].into_iter().all(is_error));
        assert!(![ECHO, ECHO_REPLY, 133, 135, 136, 255].into_iter().any(is_error));
    }

    #[test]
    fn the_mtu_takes_all_of_the_second_word() {
        let header = Header::read_from_bytes(&[2, 0, 0xab, 0xcd, 0, 0, 0x05, 0xdc]).unwrap();
        assert_eq!((header.kind, value(&header)), (PACKET_TOO_BIG, 1500));
    }
}
