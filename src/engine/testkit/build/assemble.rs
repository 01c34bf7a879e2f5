//! From what was said about a packet to its bytes.

use super::{Body, Ip, L4Checksum, Packet, Tcp};
use crate::addr::{Be16, Be32};
use crate::wire::{IntoBytes, checksum, ethernet, icmp, ipv4, tcp, udp, vlan};

impl Packet {
    /// The Ethernet frame.
    ///
    /// # Panics
    /// When options are longer than the 40 bytes that fit, or the packet than 65,535.
    pub fn build(&self) -> Vec<u8> {
        let mut ether_type = match self.body {
            Body::NotIp(ether_type) => ether_type,
            _ => ethernet::IPV4,
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
            _ if self.ip.fragment_offset > 0 => self.ip.over(&self.payload),
            _ => self.ip.over(&self.segment()),
        }
    }

    /// The packet cut into fragments that fit into `mtu` bytes each, with its true checksum in the first.
    ///
    /// # Panics
    /// When not even 8 bytes fit after the IPv4 header.
    pub fn fragments(&self, mtu: usize) -> Vec<Vec<u8>> {
        let room = mtu.saturating_sub(self.ip.header_len()) / 8 * 8;
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

    /// What follows the IPv4 header.
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
        if proto == ipv4::ICMP {
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

fn pseudo(src: Be32, dst: Be32, proto: u8, len: usize) -> [u8; 2] {
    Be16::from_raw(checksum::pseudo(src.into(), dst.into(), proto, length("segment", len)).fold()).bytes()
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
    fn header_len(&self) -> usize {
        ipv4::LEN + self.options.len().next_multiple_of(4)
    }

    /// The packet that carries `data`.
    fn over(&self, data: &[u8]) -> Vec<u8> {
        let options = padded("IPv4", &self.options);
        let header_len = ipv4::LEN + options.len();
        assert!(self.fragment_offset.is_multiple_of(8), "a fragment can not begin at {}", self.fragment_offset);
        let units = length("fragment offset", self.fragment_offset) / 8;
        let header = ipv4::Header {
            ver_ihl: self.version << 4 | self.ihl.unwrap_or((header_len / 4) as u8) & 0x0f,
            tos: self.tos,
            total_len: Be16::new(self.total_len.unwrap_or_else(|| length("packet", header_len + data.len()))),
            id: Be16::new(self.id),
            frag: Be16::new(self.flags | units),
            ttl: self.ttl,
            proto: self.proto,
            checksum: Be16::new(0),
            src: self.src,
            dst: self.dst,
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
    #[should_panic(expected = "not an IPv4 address and port: \"198.18.1.1\"")]
    fn an_address_that_is_none_is_named() {
        Packet::tcp("198.18.1.1", B);
    }

    proptest! {
        #[test]
        fn every_built_packet_has_right_checksums(
            payload in vec(any::<u8>(), 0..200), options in vec(any::<u8>(), 0..40), seq: u32, ports: (u16, u16), udp: bool,
        ) {
            let (a, b) = (format!("198.18.1.1:{}", ports.0), format!("198.18.1.100:{}", ports.1));
            let packet = if udp { Packet::udp(&a, &b) } else { Packet::tcp(&a, &b).seq(seq).tcp_options(&options) };
            let packet = packet.payload(&payload);
            prop_assert_eq!(check::checksums(&packet.build()), Ok(()));
            prop_assert!(check::checksums(&packet.clone().bad_l4_checksum().build()).is_err());
            prop_assert!(check::checksums(&packet.bad_ip_checksum().build()).is_err());
        }
    }
}
