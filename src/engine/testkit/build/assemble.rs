//! From what was said about a packet to its bytes.

use super::{Body, Ip, L4Checksum, Packet, Tcp, by_family};
use crate::addr::{Addr, Be16, Be32, Be128};
use crate::wire::{IntoBytes, checksum, ethernet, icmp, ipv4, ipv6, tcp, udp, vlan};

/// The number of the fragment header (RFC 8200, 4.5), and its bytes.
const FRAGMENT: u8 = 44;
const FRAGMENT_LEN: usize = 8;

impl Packet {
    /// The Ethernet frame.
    ///
    /// # Panics
    /// When options are longer than the 40 bytes that fit, or the packet than 65,535.
    pub fn build(&self) -> Vec<u8> {
        let mut ether_type = match self.body {
            Body::NotIp(ether_type) => ether_type,
            Body::Tcp(_) | Body::Udp { .. } | Body::Icmp { .. } | Body::OtherIp => {
                by_family(self.ip.src, ethernet::IPV4, ethernet::IPV6)
            }
        };
        let mut tags = Vec::new();
        for (announced, tci) in self.tags.iter().rev() {
            tags.splice(0..0, vlan::Tag { tci: Be16::new(*tci), ether_type }.as_bytes().iter().copied());
            ether_type = *announced;
        }
        let header = ethernet::Header { dst: self.dst_mac, src: self.src_mac, ether_type };
        let mut frame = [header.as_bytes(), &tags, &self.build_ip(), &vec![0; self.pad]].concat();
        frame.truncate(self.truncate.unwrap_or(usize::MAX));
        frame
    }

    /// The packet without Ethernet header, padding and truncation: what an ICMP error quotes of it.
    pub fn build_ip(&self) -> Vec<u8> {
        match self.body {
            Body::NotIp(_) => self.payload.clone(),
            _ if self.ip.fragment.is_some_and(|(offset, _)| offset > 0) => self.ip.over(&self.payload),
            _ => self.ip.over(&self.segment()),
        }
    }

    /// The packet cut into fragments that fit into `mtu` bytes each, with its true checksum in the first.
    ///
    /// # Panics
    /// When not even 8 bytes fit after the IP header.
    pub fn fragments(&self, mtu: usize) -> Vec<Vec<u8>> {
        let room = mtu.saturating_sub(self.ip.header_len(true)) / 8 * 8;
        assert!(room > 0, "no fragment fits into an MTU of {mtu} bytes");
        let segment = self.segment();
        let pieces = segment.len().div_ceil(room);
        let piece = |(i, data): (usize, &[u8])| {
            let proto = self.ip.proto;
            let packet = Packet { body: Body::OtherIp, payload: data.to_vec(), ..self.clone() };
            let mut packet = packet.fragment(i * room, i + 1 < pieces);
            packet.ip.proto = proto;
            packet.build()
        };
        segment.chunks(room).enumerate().map(piece).collect()
    }

    /// What follows the IP header and its extensions.
    fn segment(&self) -> Vec<u8> {
        let header = match &self.body {
            Body::Tcp(tcp) => tcp.header(),
            Body::Udp { sport, dport, len } => {
                let len = len.unwrap_or(length("UDP datagram", udp::LEN + self.payload.len()));
                let [sport, dport, len] = [*sport, *dport, len].map(Be16::new);
                udp::Header { sport, dport, len, checksum: Be16::new(0) }.as_bytes().to_vec()
            }
            Body::Icmp { kind, code, rest } => {
                let (kind, code, rest) = (*kind, *code, *rest);
                icmp::Header { kind, code, checksum: Be16::new(0), rest }.as_bytes().to_vec()
            }
            Body::OtherIp | Body::NotIp(_) => return self.payload.clone(),
        };
        let mut segment = [&header[..], &self.payload].concat();
        let place = match self.body {
            Body::Tcp(_) => 16,
            Body::Udp { .. } => 6,
            _ => 2,
        };
        let (src, dst, proto) = (self.ip.src, self.ip.dst, self.ip.proto);
        if (proto, src.v4().is_some()) == (ipv4::ICMP, true) {
            checksum::icmp_fill(&mut segment);
        } else {
            checksum::l4_fill(src, dst, proto, &mut segment);
        }
        let right = [segment[place], segment[place + 1]];
        let written = match self.l4_checksum {
            L4Checksum::Right => right,
            L4Checksum::Bad => wrong(right),
            L4Checksum::Absent => [0, 0],
            L4Checksum::Unfinished => pseudo(src, dst, proto, segment.len()),
        };
        segment[place..place + 2].copy_from_slice(&written);
        segment
    }
}

fn pseudo(src: Addr, dst: Addr, proto: u8, len: usize) -> [u8; 2] {
    Be16::from_raw(checksum::pseudo(src, dst, proto, length("segment", len)).fold()).bytes()
}

/// Another checksum, which is neither 0 nor the same in one's complement.
fn wrong(right: [u8; 2]) -> [u8; 2] {
    let flip = if right == [0x55, 0x55] { 0x22 } else { 0x55 };
    right.map(|b| b ^ flip)
}

fn length(what: &str, len: usize) -> u16 {
    u16::try_from(len).unwrap_or_else(|_| panic!("a {what} of {len} bytes; 65,535 fit"))
}

/// Options, padded with zeros to whole words.
fn padded(what: &str, options: &[u8]) -> Vec<u8> {
    assert!(options.len() <= 40, "{} bytes of {what} options; 40 fit", options.len());
    let mut options = options.to_vec();
    options.resize(options.len().next_multiple_of(4), 0);
    options
}

impl Ip {
    /// Bytes of the header with options and extensions, when it is a fragment or not.
    fn header_len(&self, fragment: bool) -> usize {
        let extensions: usize = self.extensions.iter().map(|(_, bytes)| bytes.len()).sum();
        let v6 = ipv6::LEN + extensions + if fragment { FRAGMENT_LEN } else { 0 };
        by_family(self.src, ipv4::LEN + self.options.len().next_multiple_of(4), v6)
    }

    /// The fragment offset in units of 8 bytes, and whether more follow.
    fn place(&self) -> (u16, bool) {
        let (offset, more) = self.fragment.unwrap_or_default();
        assert!(offset.is_multiple_of(8), "a fragment can not begin at {offset}");
        (length("fragment offset", offset) / 8, more)
    }

    /// The packet that carries `data`.
    fn over(&self, data: &[u8]) -> Vec<u8> {
        match (self.src, self.dst) {
            (Addr::V4(src), Addr::V4(dst)) => self.v4(src, dst, data),
            (Addr::V6(src), Addr::V6(dst)) => self.v6(src, dst, data),
            (Addr::V4(_), Addr::V6(_)) | (Addr::V6(_), Addr::V4(_)) => {
                panic!("addresses of two families: {}, {}", self.src, self.dst)
            }
        }
    }

    fn v4(&self, src: Be32, dst: Be32, data: &[u8]) -> Vec<u8> {
        let options = padded("IPv4", &self.options);
        let header_len = ipv4::LEN + options.len();
        let (units, more) = self.place();
        let header = ipv4::Header {
            ver_ihl: self.version.unwrap_or(4) << 4 | self.ihl.unwrap_or((header_len / 4) as u8) & 0x0f,
            tos: self.tos,
            total_len: Be16::new(self.said_len.unwrap_or_else(|| length("packet", header_len + data.len()))),
            id: Be16::new(length("identification", self.id as usize)),
            frag: Be16::new(self.flags | if more { ipv4::MF } else { 0 } | units),
            ttl: self.ttl,
            proto: self.proto,
            checksum: Be16::new(0),
            src,
            dst,
        };
        let mut packet = [header.as_bytes(), &options, data].concat();
        // What a reader takes for the header, when the header says a length that can be one.
        let said = usize::from(header.ver_ihl & 0x0f) * 4;
        let said = if (ipv4::LEN..=packet.len()).contains(&said) { said } else { header_len };
        checksum::ipv4_header_fill(&mut packet[..said]);
        if self.bad_checksum {
            let bad = wrong([packet[10], packet[11]]);
            packet[10..12].copy_from_slice(&bad);
        }
        packet
    }

    fn v6(&self, src: Be128, dst: Be128, data: &[u8]) -> Vec<u8> {
        let mut extensions = self.extensions.clone();
        if self.fragment.is_some() {
            let (units, more) = self.place();
            let [a, b] = (units << 3 | u16::from(more)).to_be_bytes();
            extensions.push((FRAGMENT, [&[0, 0, a, b][..], &self.id.to_be_bytes()].concat()));
        }
        // From the last to the first, as each says what follows it.
        let (mut next, mut rest) = (self.proto, data.to_vec());
        for (number, mut header) in extensions.into_iter().rev() {
            if let Some(first) = header.first_mut() {
                *first = next;
            }
            (next, rest) = (number, [header, rest].concat());
        }
        let first = Be32::new(u32::from(self.version.unwrap_or(6)) << 28 | self.first_bits());
        let payload_len = self.said_len.map(|n| n.saturating_sub(ipv6::LEN as u16));
        let payload_len = Be16::new(payload_len.unwrap_or_else(|| length("IPv6 payload", rest.len())));
        let header = ipv6::Header { ver_class_flow: first, payload_len, next, hop_limit: self.ttl, src, dst };
        [header.as_bytes(), &rest].concat()
    }

    /// Traffic class and flow label.
    fn first_bits(&self) -> u32 {
        ipv6::Header::first_word(self.tos, self.flow_label).host() & 0x0fff_ffff
    }
}

impl Tcp {
    /// The header with its options.
    fn header(&self) -> Vec<u8> {
        let options = padded("TCP", &self.options);
        let header = tcp::Header {
            sport: Be16::new(self.sport),
            dport: Be16::new(self.dport),
            seq: Be32::new(self.seq),
            ack: Be32::new(self.ack),
            offset: self.offset.unwrap_or(((tcp::LEN + options.len()) / 4) as u8) << 4,
            flags: self.flags,
            window: Be16::new(self.window),
            checksum: Be16::new(0),
            urgent: Be16::new(self.urgent),
        };
        [header.as_bytes(), &options].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{build, check, text};
    use proptest::collection::vec;
    use proptest::prelude::*;

    const A: &str = "198.18.1.1:40000";
    const B: &str = "198.18.1.100:80";

    #[test]
    fn a_syn_is_these_bytes() {
        let syn = Packet::tcp(A, B).flags("S").seq(1000).mss(1460).sack_permitted().nop().nop().ttl(63).id(7).df();
        let expected = [
            2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00, //
            0x45, 0, 0, 48, 0, 7, 0x40, 0, 63, 6, 0xad, 0x37, 198, 18, 1, 1, 198, 18, 1, 100, //
            0x9c, 0x40, 0, 80, 0, 0, 3, 0xe8, 0, 0, 0, 0, 0x70, 2, 0xff, 0xff, 0x54, 0x1d, 0, 0, //
            2, 4, 5, 0xb4, 4, 2, 1, 1,
        ];
        assert_eq!(syn.build(), expected);
    }

    #[test]
    fn every_kind_of_packet_is_right_by_default() {
        let inner = Packet::tcp(A, B).flags("PA").payload(b"hello").vlan(7);
        let quoted = build::quote(&inner.build(), 8);
        assert_eq!(quoted, inner.build_ip()[..28]);
        for packet in [
            Packet::tcp(A, B).timestamps(1, 0).sack(&[(1, 2), (3, 4)]).wscale(7).urgent(3).payload(b"odd"),
            Packet::tcp(A, B).options(&[7, 3, 4]).vlan(100).pad(6),
            Packet::udp(A, B).payload(b"odd").qinq(5).vlan(6),
            Packet::udp(A, B),
            Packet::icmp_echo("198.18.1.1", "198.18.1.100", 7, 1).payload(b"abc"),
            Packet::icmp_echo_reply("198.18.1.1", "198.18.1.100", 7, 1),
            Packet::icmp_error("198.18.1.254", "198.18.1.1", 3, 4, 1400, &quoted),
            Packet::ip("198.18.1.1", "198.18.1.100", 47).payload(b"gre"),
            Packet::arp_request("02:00:00:00:00:09", "198.18.1.1", "198.18.1.100"),
        ] {
            check::checksums(&packet.build()).unwrap();
        }
    }

    const A6: &str = "[2001:db8:1::7]:40000";
    const B6: &str = "[2001:db8:1::100]:80";

    #[test]
    fn a_datagram_over_ipv6_is_these_bytes() {
        let packet = Packet::udp(A6, B6).ttl(63).tos(0xab).flow_label(0x12345).hop_by_hop(&[5, 2, 0, 0]);
        let expected = [
            2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, //
            0x6a, 0xb1, 0x23, 0x45, 0, 17, 0, 63, //
            0x20, 1, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, //
            0x20, 1, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, //
            17, 0, 5, 2, 0, 0, 1, 0, 0x9c, 0x40, 0, 80, 0, 9, 0x8e, 0xd0, b'x',
        ];
        assert_eq!(packet.payload(b"x").build(), expected);
    }

    #[test]
    fn every_kind_of_packet_over_ipv6_is_right_by_default() {
        let (a, b) = ("2001:db8:1::7", "2001:db8:1::100");
        let inner = Packet::tcp(A6, B6).flags("PA").payload(b"hello").vlan(7);
        let quoted = build::quote(&inner.build(), 8);
        assert_eq!(quoted, inner.build_ip()[..48]);
        for packet in [
            Packet::tcp(A6, B6)
                .timestamps(1, 0)
                .wscale(7)
                .destination_options(&[1, 0])
                .payload(b"odd")
                .vlan(100)
                .pad(6),
            Packet::udp(A6, B6).payload(b"odd"),
            Packet::icmp_echo(a, b, 7, 1).payload(b"abc"),
            Packet::icmp_echo_reply(a, b, 7, 1),
            Packet::icmp_error(a, b, 2, 0, 1400, &quoted),
            Packet::ndp_solicit("02:00:00:00:00:09", a, b),
            Packet::ndp_solicit("02:00:00:00:00:09", "::", b),
            Packet::ndp_advertise("02:00:00:00:00:09", a, [2; 6], b),
            Packet::ndp_announce("02:00:00:00:00:09", a),
        ] {
            check::checksums(&packet.build()).unwrap();
        }
    }

    #[test]
    fn a_solicitation_goes_to_the_group_of_its_target() {
        let frame = Packet::ndp_solicit([2; 6], "2001:db8:1::7", "2001:db8:1::12:3456").build();
        assert_eq!(frame[..6], [0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
        assert_eq!(frame[38..54], [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0x12, 0x34, 0x56]);
        assert_eq!((frame[21], frame[54], frame.len()), (255, 135, 14 + 40 + 8 + 16 + 8));
    }

    #[test]
    fn lies_about_ipv6_are_told_where_they_were_asked_for() {
        let ip = |p: Packet| p.build_ip();
        assert_eq!(ip(Packet::tcp(A6, B6).version(4))[0], 0x40);
        assert_eq!(ip(Packet::tcp(A6, B6).ip_total_len(49))[4..6], [0, 9]);
        let chain = ip(Packet::udp(A6, B6).extension(60, &[0, 200, 0, 0]).routing(0, 1, &["2001:db8::1"]));
        assert_eq!((chain[6], &chain[40..48], &chain[66..68]), (60, &[43, 200, 0, 0, 17, 2, 0, 1][..], &[0, 1][..]));
        let fragment = ip(Packet::udp(A6, B6).fragment(1232, true).id(9));
        assert_eq!((fragment[6], &fragment[40..48]), (44, &[17, 0, 4, 0xd1, 0, 0, 0, 9][..]));
    }

    #[test]
    fn fragments_of_ipv6_put_together_are_the_packet() {
        let whole = Packet::udp(A6, B6).payload(&[7; 2000]).id(9);
        let data: Vec<u8> = whole.fragments(1280).iter().flat_map(|f| f[62..].to_vec()).collect();
        assert_eq!(data, whole.build_ip()[40..]);
        assert_eq!(whole.fragments(1280).iter().map(Vec::len).collect::<Vec<_>>(), [14 + 1280, 14 + 48 + 776]);
    }

    #[test]
    fn tags_stand_outermost_first() {
        let frame = Packet::raw(0x1234, b"x").qinq(0x6005).vlan(6).macs([1; 6], [3; 6]).build();
        assert_eq!(frame, [3, 3, 3, 3, 3, 3, 1, 1, 1, 1, 1, 1, 0x88, 0xa8, 0x60, 5, 0x81, 0, 0, 6, 0x12, 0x34, b'x']);
    }

    #[test]
    fn lies_are_told_where_they_were_asked_for() {
        let ip = |p: Packet| p.build_ip();
        assert_eq!(ip(Packet::tcp(A, B).version(6))[0], 0x65);
        assert_eq!(ip(Packet::tcp(A, B).ihl(4))[0], 0x44);
        assert_eq!(ip(Packet::tcp(A, B).ip_total_len(9))[2..4], [0, 9]);
        assert_eq!(ip(Packet::tcp(A, B).tcp_offset(4))[32], 0x40);
        assert_eq!(ip(Packet::udp(A, B).udp_len(7))[24..26], [0, 7]);
        assert_eq!(ip(Packet::udp(A, B).udp_checksum_zero())[26..28], [0, 0]);
        assert_eq!(ip(Packet::udp(A, B).fragment(1480, true))[6..8], [0x20, 185]);
        assert_eq!(Packet::udp(A, B).truncate(13).build().len(), 13);
        // Only the header checksum is wrong, or only the other one.
        let right = ip(Packet::udp(A, B));
        let differ = |p: Packet| ip(p).iter().zip(&right).map(|(a, b)| a != b).collect::<Vec<_>>();
        assert!(
            differ(Packet::udp(A, B).bad_ip_checksum()).iter().enumerate().all(|(i, d)| *d == (10..12).contains(&i))
        );
        assert!(
            differ(Packet::udp(A, B).bad_l4_checksum()).iter().enumerate().all(|(i, d)| *d == (26..28).contains(&i))
        );
    }

    #[test]
    fn an_unfinished_checksum_holds_the_sum_of_the_pseudo_header() {
        let segment = Packet::tcp(A, B).payload(b"hello").unfinished_checksum().build_ip().split_off(20);
        let sum = Be16::new(u16::from_be_bytes([segment[16], segment[17]]));
        let pseudo = checksum::pseudo(Be32::new(0xc612_0101).into(), Be32::new(0xc612_0164).into(), 6, 25);
        assert_eq!(sum.raw(), pseudo.fold());
    }

    #[test]
    fn fragments_put_together_are_the_packet() {
        let whole = Packet::udp(A, B).payload(&[7; 3000]).id(9);
        let fragments = whole.fragments(1500);
        let texts: Vec<_> = fragments.iter().map(|f| text::frame(f)).collect();
        assert_eq!(
            texts,
            [
                "udp 198.18.1.1:40000 > 198.18.1.100:80 len 3000 frag 0+",
                "ip 198.18.1.1 > 198.18.1.100 proto 17 len 1480 frag 1480+",
                "ip 198.18.1.1 > 198.18.1.100 proto 17 len 48 frag 2960",
            ]
        );
        let data: Vec<u8> = fragments.iter().flat_map(|f| f[34..].to_vec()).collect();
        assert_eq!(data, whole.build_ip()[20..]);
    }

    #[test]
    #[should_panic(expected = "not an address and port: \"198.18.1.1\"")]
    fn an_address_that_is_none_is_named() {
        Packet::tcp("198.18.1.1", B);
    }

    proptest! {
        #[test]
        fn every_built_packet_has_right_checksums(
            payload in vec(any::<u8>(), 0..200), options in vec(any::<u8>(), 0..40), seq: u32, ports: (u16, u16), udp: bool,
            v6: bool,
        ) {
            let (a, b) = if v6 { ("[2001:db8:1::7]", "[2001:db8:1::100]") } else { ("198.18.1.1", "198.18.1.100") };
            let (a, b) = (format!("{a}:{}", ports.0), format!("{b}:{}", ports.1));
            let packet = if udp { Packet::udp(&a, &b) } else { Packet::tcp(&a, &b).seq(seq).tcp_options(&options) };
            let packet = packet.payload(&payload);
            prop_assert_eq!(check::checksums(&packet.build()), Ok(()));
            prop_assert!(check::checksums(&packet.clone().bad_l4_checksum().build()).is_err());
            prop_assert!(v6 || check::checksums(&packet.bad_ip_checksum().build()).is_err());
        }
    }
}
