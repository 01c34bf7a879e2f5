//! ICMP errors from one family to the other (RFC 7915, 4.2, 4.3, 5.2, 5.3): what they say, and the header that they quote.
//!
//! Whatever has no counterpart is `None`, and dropped. The quoted header is the one that the receiver of the error sent: as
//! it is, not one hop further; without the extension headers or options that only the other side has seen. Extensions of
//! the error itself (RFC 4884) are left out, with the padding before them.

use crate::addr::{Addr, Be16};
use crate::conn::tuple::Tuple;
use crate::wire::{FromBytes, IntoBytes, checksum, icmp, icmpv6, ipv4, ipv6};

/// Bytes between the two IP headers.
const GROWTH: u16 = (ipv6::LEN - ipv4::LEN) as u16;
/// The least MTU of IPv4 (RFC 791, 3.2).
const MIN_MTU_V4: u16 = 68;
/// MTUs that links really have, for routers that do not tell theirs (RFC 1191, 7.1), as far as IPv6 knows them.
const PLATEAUS: [u16; 7] = [65535, 32000, 17914, 8166, 4352, 2002, 1492];

/// The MTUs of the next hops of either side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mtus {
    pub(super) v4: u16,
    pub(super) v6: u16,
}

/// What an ICMP error says, in ICMPv6; the quoted packet says that it has `quoted_len` bytes (4.2).
pub(super) fn to_v6(icmp: &icmp::Header, quoted_len: u16, mtus: &Mtus) -> Option<icmp::Header> {
    use icmpv6::{ADMIN_PROHIBITED, NO_ROUTE, PORT_UNREACHABLE, UNREACHABLE};
    let unreachable = |code| Some(said(UNREACHABLE, code, 0));
    match (icmp.kind, icmp.code) {
        // Protocol unreachable: the field is wrong that names the protocol.
        (icmp::UNREACHABLE, icmp::PROTOCOL_UNREACHABLE) => {
            Some(said(icmpv6::PARAMETER_PROBLEM, icmpv6::UNKNOWN_NEXT_HEADER, 6))
        }
        (icmp::UNREACHABLE, icmp::PORT_UNREACHABLE) => unreachable(PORT_UNREACHABLE),
        (icmp::UNREACHABLE, icmp::FRAGMENTATION_NEEDED) => {
            let told = match icmp.mtu() {
                0 => PLATEAUS.into_iter().find(|plateau| *plateau < quoted_len).unwrap_or(ipv6::MIN_MTU),
                mtu => mtu.saturating_add(GROWTH),
            };
            let mtu = told.min(mtus.v6).min(mtus.v4.saturating_add(GROWTH)).max(ipv6::MIN_MTU);
            Some(said(icmpv6::PACKET_TOO_BIG, 0, mtu.into()))
        }
        // Networks and hosts: unreachable, unknown, isolated, not for this type of service; source route failed.
        (icmp::UNREACHABLE, 0 | 1 | 5..=8 | 11 | 12) => unreachable(NO_ROUTE),
        // Prohibited: the network, the host, communication; precedence cutoff.
        (icmp::UNREACHABLE, 9 | 10 | 13 | 15) => unreachable(ADMIN_PROHIBITED),
        (icmp::TIME_EXCEEDED, code @ (icmp::TTL_EXCEEDED | icmp::REASSEMBLY_EXCEEDED)) => {
            Some(said(icmpv6::TIME_EXCEEDED, code, 0))
        }
        // The pointer, or a bad length.
        (icmp::PARAMETER_PROBLEM, 0 | 2) => {
            let pointer = match icmp.rest[0] {
                at @ (0 | 1) => at.into(),
                2 | 3 => 4,
                8 => 7,
                9 => 6,
                12..=15 => 8,
                16..=19 => 24,
                _ => return None,
            };
            Some(said(icmpv6::PARAMETER_PROBLEM, icmpv6::ERRONEOUS_FIELD, pointer))
        }
        _ => None,
    }
}

/// What an ICMPv6 error says, in ICMP (5.2).
pub(super) fn to_v4(icmp: &icmp::Header, mtus: &Mtus) -> Option<icmp::Header> {
    let unreachable = |code| Some(said(icmp::UNREACHABLE, code, 0));
    match (icmp.kind, icmp.code) {
        (icmpv6::UNREACHABLE, icmpv6::NO_ROUTE | icmpv6::BEYOND_SCOPE | icmpv6::ADDRESS_UNREACHABLE) => {
            unreachable(icmp::HOST_UNREACHABLE)
        }
        (icmpv6::UNREACHABLE, icmpv6::ADMIN_PROHIBITED) => unreachable(icmp::HOST_PROHIBITED),
        (icmpv6::UNREACHABLE, icmpv6::PORT_UNREACHABLE) => unreachable(icmp::PORT_UNREACHABLE),
        (icmpv6::PACKET_TOO_BIG, _) => {
            // Less than every link of IPv6 has is nobody's MTU (RFC 8201, 4).
            let told = u16::try_from(icmpv6::value(icmp)).unwrap_or(u16::MAX).max(ipv6::MIN_MTU) - GROWTH;
            let mtu = told.min(mtus.v4).min(mtus.v6.saturating_sub(GROWTH)).max(MIN_MTU_V4);
            Some(said(icmp::UNREACHABLE, icmp::FRAGMENTATION_NEEDED, mtu.into()))
        }
        (icmpv6::TIME_EXCEEDED, code @ (icmpv6::HOP_LIMIT_EXCEEDED | icmpv6::REASSEMBLY_EXCEEDED)) => {
            Some(said(icmp::TIME_EXCEEDED, code, 0))
        }
        (icmpv6::PARAMETER_PROBLEM, icmpv6::ERRONEOUS_FIELD) => {
            let pointer: u32 = match icmpv6::value(icmp) {
                at @ (0 | 1) => at,
                4 | 5 => 2,
                6 => 9,
                7 => 8,
                8..=23 => 12,
                24..=39 => 16,
                _ => return None,
            };
            // Of one byte here, the first.
            Some(said(icmp::PARAMETER_PROBLEM, 0, pointer << 24))
        }
        (icmpv6::PARAMETER_PROBLEM, icmpv6::UNKNOWN_NEXT_HEADER) => unreachable(icmp::PROTOCOL_UNREACHABLE),
        _ => None,
    }
}

/// A message whose checksum is still to be filled in.
fn said(kind: u8, code: u8, value: u32) -> icmp::Header {
    icmp::Header { kind, code, checksum: Be16::default(), rest: value.to_be_bytes() }
}

/// A quoted packet, taken apart.
pub(super) struct Quote<'a> {
    /// Traffic class, or type of service.
    tos: u8,
    hops: u8,
    /// Bytes of the packet behind its headers, as it said.
    l4_len: u16,
    /// What is quoted of them.
    pub(super) l4: &'a [u8],
}

/// The packet that an ICMP error quotes, and its length as it says. The parser has seen its header.
pub(super) fn quoted_v4<'a>(icmp: &icmp::Header, quote: &'a [u8]) -> Option<(Quote<'a>, u16)> {
    let quote = without_extensions(quote, usize::from(icmp.rest[1]) * 4);
    let (ip, _) = ipv4::Header::ref_from_prefix(quote).ok()?;
    let l4_len = ip.total_len.host().checked_sub(ip.header_len() as u16)?;
    let l4 = quote.get(ip.header_len()..)?;
    let l4 = l4.get(..usize::from(l4_len)).unwrap_or(l4);
    Some((Quote { tos: ip.tos, hops: ip.ttl, l4_len, l4 }, ip.total_len.host()))
}

/// The packet that an ICMPv6 error quotes, whose headers have `ihl` bytes.
pub(super) fn quoted_v6<'a>(icmp: &icmp::Header, quote: &'a [u8], ihl: usize) -> Option<Quote<'a>> {
    let extensible = matches!(icmp.kind, icmpv6::UNREACHABLE | icmpv6::TIME_EXCEEDED);
    let quote = without_extensions(quote, if extensible { usize::from(icmp.rest[0]) * 8 } else { 0 });
    let (ip, _) = ipv6::Header::ref_from_prefix(quote).ok()?;
    let l4_len = ip.payload_len.host().checked_sub((ihl - ipv6::LEN) as u16)?;
    let l4 = quote.get(ihl..)?;
    let l4 = l4.get(..usize::from(l4_len)).unwrap_or(l4);
    Some(Quote { tos: ip.traffic_class(), hops: ip.hop_limit, l4_len, l4 })
}

/// The quoted packet alone: an error with extensions says where they begin; 0 for one without.
fn without_extensions(quote: &[u8], len: usize) -> &[u8] {
    quote.get(..len).filter(|_| len > 0).unwrap_or(quote)
}

impl Quote<'_> {
    /// Writes its header with another tuple, in the family of that, and gives its length. The bytes behind it are for the
    /// caller. `None` when it does not fit.
    pub(super) fn header(&self, to: &mut [u8], tuple: &Tuple) -> Option<usize> {
        match (tuple.src(), tuple.dst()) {
            (Addr::V4(src), Addr::V4(dst)) => {
                let header = to.get_mut(..ipv4::LEN)?;
                let ip = ipv4::Header {
                    ver_ihl: 0x45,
                    tos: self.tos,
                    total_len: Be16::new(self.l4_len.checked_add(ipv4::LEN as u16)?),
                    id: Be16::default(),
                    frag: Be16::new(ipv4::DF),
                    ttl: self.hops,
                    proto: tuple.proto() as u8,
                    checksum: Be16::default(),
                    src,
                    dst,
                };
                header.copy_from_slice(ip.as_bytes());
                checksum::ipv4_header_fill(header);
                Some(ipv4::LEN)
            }
            (Addr::V6(src), Addr::V6(dst)) => {
                let ip = ipv6::Header {
                    ver_class_flow: ipv6::Header::first_word(self.tos, 0),
                    payload_len: Be16::new(self.l4_len),
                    next: tuple.proto() as u8,
                    hop_limit: self.hops,
                    src,
                    dst,
                };
                to.get_mut(..ipv6::LEN)?.copy_from_slice(ip.as_bytes());
                Some(ipv6::LEN)
            }
            (Addr::V4(_), Addr::V6(_)) | (Addr::V6(_), Addr::V4(_)) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MTUS: Mtus = Mtus { v4: 1500, v6: 1500 };

    #[test]
    fn every_row_of_rfc_7915_section_4_2_comes_out() {
        let unreachable = [
            (0, Some((1, 0))),
            (1, Some((1, 0))),
            (2, Some((4, 1))),
            (3, Some((1, 4))),
            (4, Some((2, 0))),
            (5, Some((1, 0))),
            (6, Some((1, 0))),
            (7, Some((1, 0))),
            (8, Some((1, 0))),
            (9, Some((1, 1))),
            (10, Some((1, 1))),
            (11, Some((1, 0))),
            (12, Some((1, 0))),
            (13, Some((1, 1))),
            (14, None),
            (15, Some((1, 1))),
            (16, None),
            (255, None),
        ];
        for (code, expect) in unreachable {
            let got = to_v6(&said(3, code, 1400), 1500, &MTUS);
            assert_eq!(got.map(|s| (s.kind, s.code)), expect, "3/{code}");
        }
        assert_eq!(to_v6(&said(3, 2, 0), 1500, &MTUS).unwrap().rest, [0, 0, 0, 6]);
        for (kind, code, expect) in [(11, 0, Some((3, 0))), (11, 1, Some((3, 1))), (11, 2, None), (4, 0, None)] {
            let got = to_v6(&said(kind, code, 0), 1500, &MTUS);
            assert_eq!(got.map(|s| (s.kind, s.code)), expect, "{kind}/{code}");
        }
        for kind in [0, 5, 8, 9, 10, 13, 14, 15, 16, 17, 18, 255] {
            assert_eq!(to_v6(&said(kind, 0, 0), 1500, &MTUS), None, "{kind}");
        }
    }

    #[test]
    fn pointers_go_to_the_fields_of_figure_3() {
        let rows: [(std::ops::RangeInclusive<u8>, Option<u32>); 12] = [
            (0..=0, Some(0)),
            (1..=1, Some(1)),
            (2..=3, Some(4)),
            (4..=5, None),
            (6..=6, None),
            (7..=7, None),
            (8..=8, Some(7)),
            (9..=9, Some(6)),
            (10..=11, None),
            (12..=15, Some(8)),
            (16..=19, Some(24)),
            (20..=255, None),
        ];
        for (pointers, expect) in rows {
            for pointer in pointers {
                for code in [0, 2] {
                    let got = to_v6(&said(12, code, u32::from(pointer) << 24), 1500, &MTUS);
                    assert_eq!(got, expect.map(|to| said(4, 0, to)), "{pointer}");
                }
            }
        }
        assert_eq!(to_v6(&said(12, 1, 0), 1500, &MTUS), None);
    }

    #[test]
    fn every_row_of_rfc_7915_section_5_2_comes_out() {
        let rows = [
            (1, 0, Some((3, 1))),
            (1, 1, Some((3, 10))),
            (1, 2, Some((3, 1))),
            (1, 3, Some((3, 1))),
            (1, 4, Some((3, 3))),
            (1, 5, None),
            (1, 6, None),
            (2, 0, Some((3, 4))),
            (3, 0, Some((11, 0))),
            (3, 1, Some((11, 1))),
            (3, 2, None),
            (4, 0, Some((12, 0))),
            (4, 1, Some((3, 2))),
            (4, 2, None),
            (5, 0, None),
            (100, 0, None),
            (127, 0, None),
            (128, 0, None),
            (137, 0, None),
        ];
        for (kind, code, expect) in rows {
            let got = to_v4(&said(kind, code, 0), &MTUS);
            assert_eq!(got.map(|s| (s.kind, s.code)), expect, "{kind}/{code}");
        }
    }

    #[test]
    fn pointers_go_to_the_fields_of_figure_6() {
        let rows: [(std::ops::RangeInclusive<u32>, Option<u8>); 9] = [
            (0..=0, Some(0)),
            (1..=1, Some(1)),
            (2..=3, None),
            (4..=5, Some(2)),
            (6..=6, Some(9)),
            (7..=7, Some(8)),
            (8..=23, Some(12)),
            (24..=39, Some(16)),
            (40..=300, None),
        ];
        for (pointers, expect) in rows {
            for pointer in pointers {
                let got = to_v4(&said(4, 0, pointer), &MTUS);
                assert_eq!(got, expect.map(|to| said(12, 0, u32::from(to) << 24)), "{pointer}");
            }
        }
        assert_eq!(to_v4(&said(4, 0, u32::MAX), &MTUS), None);
    }

    #[test]
    fn an_mtu_changes_by_the_20_bytes_between_the_headers_and_stays_one_that_links_have() {
        let up = |told: u16, quoted: u16, mtus: Mtus| {
            let said = to_v6(&said(3, 4, told.into()), quoted, &mtus).unwrap();
            u32::from_be_bytes(said.rest)
        };
        assert_eq!(up(1400, 1500, MTUS), 1420);
        assert_eq!(up(1260, 1500, MTUS), 1280);
        assert_eq!(up(1259, 1500, MTUS), 1280);
        assert_eq!(up(68, 1500, MTUS), 1280);
        assert_eq!(up(9000, 9000, MTUS), 1500, "not more than the link to the client takes");
        assert_eq!(up(9000, 9000, Mtus { v4: 1400, v6: 9000 }), 1420, "nor than the one to the server");
        assert_eq!(up(65535, 65535, Mtus { v4: 65535, v6: 65535 }), 65535);
        // Routers that do not tell: the next of the plateaus.
        let wide = Mtus { v4: 65535, v6: 65535 };
        assert_eq!(up(0, 1500, wide), 1492);
        assert_eq!(up(0, 1492, wide), 1280);
        assert_eq!(up(0, 2003, wide), 2002);
        assert_eq!(up(0, 2002, wide), 1492);
        assert_eq!(up(0, 65535, wide), 32000);
        assert_eq!(up(0, 100, wide), 1280);

        let down = |told: u32, mtus: Mtus| {
            let said = to_v4(&said(2, 0, told), &mtus).unwrap();
            u32::from_be_bytes(said.rest)
        };
        assert_eq!(down(1420, MTUS), 1400);
        assert_eq!(down(1280, MTUS), 1260);
        assert_eq!(down(1279, MTUS), 1260);
        assert_eq!(down(0, MTUS), 1260);
        assert_eq!(down(9000, MTUS), 1480);
        assert_eq!(down(u32::MAX, wide), 65515);
        assert_eq!(down(9000, Mtus { v4: 1300, v6: 9000 }), 1300);
    }
}
