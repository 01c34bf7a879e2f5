//! An independent opinion on checksums: etherparse computes what [`crate::wire::checksum`] should have.

use etherparse::checksum::Sum16BitWords;
use etherparse::{Icmpv4Slice, Icmpv6Slice, Ipv4Slice, Ipv6Slice, NetSlice, SlicedPacket, TransportSlice, UdpSlice};

/// Computes every checksum in an Ethernet frame anew: IPv4 header, TCP, UDP (absent is right over IPv4), ICMP, ICMPv6, and
/// in an error of these those of the quoted packet as far as it is quoted. Only the first fragment's IPv4 header is looked
/// at in fragments. What is neither IPv4 nor IPv6 has no checksum and is right.
///
/// # Errors
/// A sentence about the first checksum that is wrong, or about what makes the frame unreadable.
pub fn checksums(frame: &[u8]) -> Result<(), String> {
    verify(frame, true)
}

/// Source and destination of a packet.
#[derive(Clone, Copy)]
enum Addrs {
    V4([u8; 4], [u8; 4]),
    V6([u8; 16], [u8; 16]),
}

fn verify(frame: &[u8], into_quotes: bool) -> Result<(), String> {
    let packet = SlicedPacket::from_ethernet(frame).map_err(|e| format!("unreadable: {e}"))?;
    let addrs = match &packet.net {
        Some(NetSlice::Ipv4(ip)) => {
            header(ip.header().to_header().calc_header_checksum(), ip.header().header_checksum())?;
            Addrs::V4(ip.header().source(), ip.header().destination())
        }
        Some(NetSlice::Ipv6(ip)) => Addrs::V6(ip.header().source(), ip.header().destination()),
        Some(NetSlice::Arp(_)) | None => return Ok(()),
    };
    match (&packet.transport, addrs) {
        (Some(TransportSlice::Tcp(tcp)), addrs) => {
            let right = match addrs {
                Addrs::V4(src, dst) => tcp.calc_checksum_ipv4(src, dst),
                Addrs::V6(src, dst) => tcp.calc_checksum_ipv6(src, dst),
            };
            same("TCP checksum", tcp.checksum(), right.map_err(|e| format!("unreadable: {e}"))?)
        }
        (Some(TransportSlice::Udp(udp)), addrs) => udp_checksum(udp, addrs),
        (Some(TransportSlice::Icmpv4(icmp)), Addrs::V4(..)) => icmpv4(icmp, into_quotes),
        (Some(TransportSlice::Icmpv6(icmp)), Addrs::V6(src, dst)) => icmpv6(icmp, src, dst, into_quotes),
        (Some(TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_)), _) => Err("ICMP of the other family".into()),
        (Some(TransportSlice::Igmp(_)) | None, _) => Ok(()),
    }
}

fn header(right: u16, is: u16) -> Result<(), String> {
    same("IPv4 header checksum", is, right)
}

fn udp_checksum(udp: &UdpSlice<'_>, addrs: Addrs) -> Result<(), String> {
    let right = match addrs {
        Addrs::V4(..) if udp.checksum() == 0 => return Ok(()),
        Addrs::V4(src, dst) => udp.to_header().calc_checksum_ipv4_raw(src, dst, udp.payload()),
        Addrs::V6(..) if udp.checksum() == 0 => return Err("UDP checksum is absent".into()),
        Addrs::V6(src, dst) => udp.to_header().calc_checksum_ipv6_raw(src, dst, udp.payload()),
    };
    same("UDP checksum", udp.checksum(), right.map_err(|e| format!("unreadable: {e}"))?)
}

fn icmpv4(icmp: &Icmpv4Slice<'_>, into_quotes: bool) -> Result<(), String> {
    let right = Sum16BitWords::new().add_slice(icmp.slice()).ones_complement().to_be();
    if right != 0 {
        return Err(format!("ICMP checksum {:#06x} is wrong by {right:#06x}", icmp.checksum()));
    }
    if !into_quotes || !matches!(icmp.type_u8(), 3 | 4 | 5 | 11 | 12) {
        return Ok(());
    }
    let quoted = icmp.slice().get(8..).unwrap_or(&[]);
    if let Ok(ip) = etherparse::Ipv4HeaderSlice::from_slice(quoted) {
        header(ip.to_header().calc_header_checksum(), ip.header_checksum()).map_err(|e| format!("quoted {e}"))?;
    }
    // What is cut, as quotes are, can not be computed.
    if Ipv4Slice::from_slice(quoted).is_ok() { quote([8, 0], quoted) } else { Ok(()) }
}

fn icmpv6(icmp: &Icmpv6Slice<'_>, src: [u8; 16], dst: [u8; 16], into_quotes: bool) -> Result<(), String> {
    if !icmp.is_checksum_valid(src, dst) {
        return Err(format!("ICMPv6 checksum {:#06x} is wrong", icmp.checksum()));
    }
    let quoted = icmp.slice().get(8..).unwrap_or(&[]);
    let whole = into_quotes && icmp.type_u8() < 128 && Ipv6Slice::from_slice(quoted).is_ok();
    if whole { quote([0x86, 0xdd], quoted) } else { Ok(()) }
}

/// The whole packet that an ICMP error quotes: as if it came in a frame of its own.
fn quote(ether_type: [u8; 2], quoted: &[u8]) -> Result<(), String> {
    let frame = [&[0; 12][..], &ether_type, quoted].concat();
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

    #[test]
    fn ipv6_is_judged_by_its_own_rules() {
        const A: &str = "[2001:db8:1::7]:40000";
        const B: &str = "[2001:db8:1::100]:80";
        let error = |quoted: &[u8]| Packet::icmp_error("2001:db8:1::254", "2001:db8:1::7", 1, 4, 0, quoted);
        for packet in [Packet::tcp(A, B).payload(b"odd"), Packet::udp(A, B).hop_by_hop(&[]).payload(b"odd")] {
            checksums(&packet.build()).unwrap();
            checksums(&packet.clone().payload(b"fragment").fragment(1232, false).bad_l4_checksum().build()).unwrap();
            let quoted = packet.build_ip();
            checksums(&error(&quoted).build()).unwrap();
            checksums(&error(&quoted[..48]).build()).unwrap();
        }
        assert!(wrong(Packet::tcp(A, B).bad_l4_checksum()).starts_with("TCP checksum is 0x"));
        assert_eq!(wrong(Packet::udp(A, B).udp_checksum_zero()), "UDP checksum is absent");
        assert!(wrong(error(&[]).bad_l4_checksum()).starts_with("ICMPv6 checksum 0x"));
        let quoted = Packet::tcp(A, B).bad_l4_checksum().build_ip();
        assert!(wrong(error(&quoted)).starts_with("quoted TCP checksum is"));
        assert!(wrong(Packet::ndp_solicit([2; 6], "2001:db8::1", "2001:db8::2").bad_l4_checksum()).contains("ICMPv6"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), ip in 0..3) {
            let mut bytes = bytes;
            if ip > 0 && bytes.len() > 14 {
                bytes[12..15].copy_from_slice(if ip == 1 { &[8, 0, 0x45] } else { &[0x86, 0xdd, 0x60] });
            }
            let _ = checksums(&bytes);
        }
    }
}
