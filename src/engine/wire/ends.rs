//! Who speaks to whom in a frame, as far as its bytes say: for what is shown to people or picked out for them. The path decides
//! nothing by it, and takes none of it for right.

use super::{FromBytes, ethernet, ipv4, ipv6, vlan};
use crate::addr::{Addr, Be16};

/// VLAN tags that are looked behind.
const TAGS: usize = 2;
/// Extension headers that are looked behind.
const EXTENSIONS: usize = 8;

/// Protocol, addresses and ports of an IP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    /// The protocol of its IP header, or of the last extension header.
    pub proto: u8,
    /// Where it comes from.
    pub src: Addr,
    /// Where it goes.
    pub dst: Addr,
    /// Source and destination port of TCP and UDP; a fragment that is not the first has none.
    pub ports: Option<(Be16, Be16)>,
}

impl Ends {
    /// Of an Ethernet frame; none of one that carries no IP packet, or less than its headers. Safe on any bytes.
    pub fn of(frame: &[u8]) -> Option<Ends> {
        let (eth, mut rest) = ethernet::Header::ref_from_prefix(frame).ok()?;
        let mut kind = eth.ether_type;
        for _ in 0..TAGS {
            if kind == ethernet::VLAN || kind == ethernet::QINQ {
                let (tag, inner) = vlan::Tag::ref_from_prefix(rest).ok()?;
                (kind, rest) = (tag.ether_type, inner);
            }
        }
        let (proto, src, dst, l4): (u8, Addr, Addr, Option<&[u8]>) = match kind {
            ethernet::IPV4 => {
                let (ip, _) = ipv4::Header::ref_from_prefix(rest).ok()?;
                let l4 = rest.get(ip.header_len().max(ipv4::LEN)..).filter(|_| ip.fragment_offset() == 0);
                (ip.proto, ip.src.into(), ip.dst.into(), l4)
            }
            ethernet::IPV6 => {
                let (ip, rest) = ipv6::Header::ref_from_prefix(rest).ok()?;
                let mut chain = ipv6::extensions(ip.next, rest);
                let fragment = |ext: ipv6::Extension<'_>| {
                    let header = ipv6::Fragment::ref_from_prefix(ext.bytes).ok().filter(|_| ext.kind == ipv6::FRAGMENT);
                    header.is_some_and(|(header, _)| header.frag.host() >> 3 != 0)
                };
                let later = chain.by_ref().take(EXTENSIONS).any(fragment);
                let l4 = rest.get(chain.len()..).filter(|_| !later);
                (chain.proto(), ip.src.into(), ip.dst.into(), l4)
            }
            _ => return None,
        };
        let ports = l4.filter(|_| matches!(proto, ipv4::TCP | ipv4::UDP)).and_then(|l4| {
            let (ports, _) = <[Be16; 2]>::read_from_prefix(l4).ok()?;
            Some((ports[0], ports[1]))
        });
        Some(Ends { proto, src, dst, ports })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::Packet;
    use proptest::prelude::*;

    fn addr(text: &str) -> Addr {
        text.parse::<std::net::IpAddr>().unwrap().into()
    }

    fn ports(a: u16, b: u16) -> Option<(Be16, Be16)> {
        Some((Be16::new(a), Be16::new(b)))
    }

    #[test]
    fn a_frame_says_its_ends_as_far_as_it_has_them() {
        let four = Packet::udp("198.18.1.1:4000", "198.18.1.100:53");
        let six = Packet::tcp("[2001:db8::1]:4000", "[2001:db8::2]:80");
        let ends = Ends { proto: 17, src: addr("198.18.1.1"), dst: addr("198.18.1.100"), ports: ports(4000, 53) };
        let wide = Ends { proto: 6, src: addr("2001:db8::1"), dst: addr("2001:db8::2"), ports: ports(4000, 80) };
        for (packet, ends) in [
            (four.clone(), Some(ends)),
            (four.clone().vlan(100), Some(ends)),
            (four.clone().qinq(7).vlan(100), Some(ends)),
            (four.clone().options(&[1, 1, 1, 0]), Some(ends)),
            (four.clone().ihl(3), Some(ends)),
            (four.clone().truncate(36), Some(Ends { ports: None, ..ends })),
            (four.clone().truncate(33), None),
            (Packet::icmp_echo("198.18.1.1", "198.18.1.100", 1, 1), Some(Ends { proto: 1, ports: None, ..ends })),
            (six.clone(), Some(wide)),
            (six.clone().vlan(100), Some(wide)),
            (six.clone().hop_by_hop(&[1, 4, 0, 0, 0, 0]).destination_options(&[1, 4, 0, 0, 0, 0]), Some(wide)),
            (six.truncate(53), None),
            (Packet::arp_request("02:00:00:00:00:09", "198.18.1.1", "198.18.1.254"), None),
        ] {
            assert_eq!(Ends::of(&packet.build()), ends, "{packet:?}");
        }
    }

    #[test]
    fn of_the_fragments_of_a_packet_only_the_first_has_ports() {
        for (src, dst) in [("198.18.1.1:4000", "198.18.1.100:53"), ("[2001:db8::1]:4000", "[2001:db8::2]:53")] {
            let whole = Ends::of(&Packet::udp(src, dst).build()).unwrap();
            let fragments = Packet::udp(src, dst).payload(&[7; 3_000]).fragments(1_280);
            for (n, fragment) in fragments.iter().enumerate() {
                let expected = Ends { ports: whole.ports.filter(|_| n == 0), ..whole };
                assert_eq!(Ends::of(fragment), Some(expected), "fragment {n} of {src}");
            }
            assert!(fragments.len() > 2);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at_without_panic(
            kind in prop::sample::select(vec![[8u8, 0], [0x86, 0xdd], [0x81, 0], [0x88, 0xa8]]),
            bytes in prop::collection::vec(any::<u8>(), 0..120),
        ) {
            let _ = Ends::of(&bytes);
            let _ = Ends::of(&[&[0; 12][..], &kind, &bytes].concat());
        }
    }
}
