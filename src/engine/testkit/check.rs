//! An independent opinion on checksums: etherparse computes what [`crate::wire::checksum`] should have.

use etherparse::checksum::Sum16BitWords;
use etherparse::{Icmpv4Slice, Ipv4Slice, NetSlice, SlicedPacket, TransportSlice, UdpSlice};

/// Computes every checksum in an Ethernet frame anew: IPv4 header, TCP, UDP (absent is right), ICMP, and in an ICMP error
/// those of the quoted packet as far as it is quoted. Only the first fragment's IPv4 header is looked at in fragments.
/// What is not IPv4 has no checksum and is right.
///
/// # Errors
/// A sentence about the first checksum that is wrong, or about what makes the frame unreadable.
pub fn checksums(frame: &[u8]) -> Result<(), String> {
    verify(frame, true)
}

fn verify(frame: &[u8], into_quotes: bool) -> Result<(), String> {
    let packet = SlicedPacket::from_ethernet(frame).map_err(|e| format!("unreadable: {e}"))?;
    let Some(NetSlice::Ipv4(ip)) = &packet.net else { return Ok(()) };
    header(ip.header().to_header().calc_header_checksum(), ip.header().header_checksum())?;
    let (src, dst) = (ip.header().source(), ip.header().destination());
    match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            let right = tcp.calc_checksum_ipv4(src, dst).map_err(|e| format!("unreadable: {e}"))?;
            same("TCP checksum", tcp.checksum(), right)
        }
        Some(TransportSlice::Udp(udp)) => udp_checksum(udp, src, dst),
        Some(TransportSlice::Icmpv4(icmp)) => {
            let right = Sum16BitWords::new().add_slice(icmp.slice()).ones_complement().to_be();
            if right != 0 {
                return Err(format!("ICMP checksum {:#06x} is wrong by {right:#06x}", icmp.checksum()));
            }
            if into_quotes { quote(icmp) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

fn header(right: u16, is: u16) -> Result<(), String> {
    same("IPv4 header checksum", is, right)
}

fn udp_checksum(udp: &UdpSlice<'_>, src: [u8; 4], dst: [u8; 4]) -> Result<(), String> {
    if udp.checksum() == 0 {
        return Ok(());
    }
    let right = udp.to_header().calc_checksum_ipv4_raw(src, dst, udp.payload());
    same("UDP checksum", udp.checksum(), right.map_err(|e| format!("unreadable: {e}"))?)
}

/// The packet that an ICMP error quotes.
fn quote(icmp: &Icmpv4Slice<'_>) -> Result<(), String> {
    if !matches!(icmp.type_u8(), 3 | 4 | 5 | 11 | 12) {
        return Ok(());
    }
    let quoted = icmp.slice().get(8..).unwrap_or(&[]);
    if let Ok(ip) = etherparse::Ipv4HeaderSlice::from_slice(quoted) {
        header(ip.to_header().calc_header_checksum(), ip.header_checksum()).map_err(|e| format!("quoted {e}"))?;
    }
    if Ipv4Slice::from_slice(quoted).is_err() {
        return Ok(()); // cut, as quotes are
    }
    // Whole: as if it came in a frame of its own.
    let frame = [&[0; 12][..], &[8, 0], quoted].concat();
    verify(&frame, false).map_err(|e| format!("quoted {e}"))
}

fn same(what: &str, is: u16, right: u16) -> Result<(), String> {
    // 0 and 0xffff are the same in one's complement.
    if is == right || (is ^ right == 0xffff && (is == 0 || right == 0)) {
        return Ok(());
    }
    Err(format!("{what} is {is:#06x} and should be {right:#06x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::Packet;
    use proptest::prelude::*;

    const A: &str = "198.18.1.1:40000";
    const B: &str = "198.18.1.100:80";

    fn wrong(packet: Packet) -> String {
        checksums(&packet.build()).unwrap_err()
    }

    #[test]
    fn wrong_checksums_are_found_and_named() {
        assert!(wrong(Packet::tcp(A, B).bad_ip_checksum()).starts_with("IPv4 header checksum is 0x"));
        assert!(wrong(Packet::tcp(A, B).bad_l4_checksum()).starts_with("TCP checksum is 0x"));
        assert!(wrong(Packet::udp(A, B).payload(b"odd").bad_l4_checksum()).starts_with("UDP checksum is 0x"));
        let echo = Packet::icmp_echo("198.18.1.1", "198.18.1.100", 1, 2);
        assert!(wrong(echo.bad_l4_checksum()).starts_with("ICMP checksum 0x"));
        assert!(wrong(Packet::tcp(A, B).truncate(50)).starts_with("unreadable: "));
    }

    #[test]
    fn absent_udp_checksums_arp_and_later_fragments_are_right() {
        checksums(&Packet::udp(A, B).udp_checksum_zero().build()).unwrap();
        checksums(&Packet::arp_gratuitous("02:00:00:00:00:01", "198.18.1.1").build()).unwrap();
        checksums(&Packet::udp(A, B).fragment(1480, false).bad_l4_checksum().build()).unwrap();
    }

    #[test]
    fn the_quote_of_an_icmp_error_is_looked_into() {
        let error = |quoted: Vec<u8>| Packet::icmp_error("198.18.1.254", "198.18.1.1", 11, 0, 0, &quoted).build();
        checksums(&error(Packet::tcp(A, B).build_ip())).unwrap();
        checksums(&error(Packet::tcp(A, B).bad_l4_checksum().build_ip()[..28].to_vec())).unwrap();
        let bad = checksums(&error(Packet::tcp(A, B).bad_l4_checksum().build_ip())).unwrap_err();
        assert!(bad.starts_with("quoted TCP checksum is"), "{bad}");
        let bad = checksums(&error(Packet::tcp(A, B).bad_ip_checksum().build_ip()[..28].to_vec())).unwrap_err();
        assert!(bad.starts_with("quoted IPv4 header checksum is"), "{bad}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), ip: bool) {
            let mut bytes = bytes;
            if ip && bytes.len() > 14 {
                bytes[12..15].copy_from_slice(&[8, 0, 0x45]);
            }
            let _ = checksums(&bytes);
        }
    }
}
