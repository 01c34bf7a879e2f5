//! What replay wants to know of a frame of either family: where its headers are, and its tuple.

use gatun_engine::addr::{Addr, Be16, Be32, Proto};
use gatun_engine::conn::tuple::Tuple;
use gatun_engine::wire::{FromBytes, ethernet, icmp, icmpv6, ipv4, ipv6, tcp, udp, vlan};

/// An IP packet in a frame.
pub struct View<'a> {
    /// The link header.
    pub eth: &'a ethernet::Header,
    /// The VLAN, 0 for none.
    pub vlan: u16,
    /// Where the IP header begins.
    pub l3: usize,
    /// What the IP header says.
    pub ip: Ip,
    /// From the end of the IP header and its extensions to the end of the packet.
    pub l4: &'a [u8],
}

/// What an IP header and its extensions say.
#[derive(Clone, Copy, Debug)]
pub struct Ip {
    /// Source.
    pub src: Addr,
    /// Destination.
    pub dst: Addr,
    /// What follows.
    pub proto: u8,
    /// Bytes of the header with its options or extensions.
    pub len: usize,
    /// Bytes of the packet.
    pub total: usize,
    /// Of a fragment: its offset in bytes, and its identification.
    pub fragment: Option<(usize, Be32)>,
}

impl Ip {
    /// Of the header that bytes begin with, also if the packet is cut behind it.
    pub fn of(bytes: &[u8]) -> Option<Ip> {
        match bytes.first()? >> 4 {
            4 => {
                let (ip, _) = ipv4::Header::ref_from_prefix(bytes).ok()?;
                let (len, total) = (ip.header_len(), ip.total_len.host().into());
                let place = || (ip.fragment_offset(), Be32::new(ip.id.host().into()));
                let fragment = ip.is_fragment().then(place);
                Some(Ip { src: ip.src.into(), dst: ip.dst.into(), proto: ip.proto, len, total, fragment })
            }
            6 => {
                let (ip, rest) = ipv6::Header::ref_from_prefix(bytes).ok()?;
                let mut extensions = ipv6::extensions(ip.next, rest);
                let mut fragment = None;
                for extension in extensions.by_ref().filter(|e| e.kind == ipv6::FRAGMENT) {
                    let (header, _) = ipv6::Fragment::ref_from_prefix(extension.bytes).ok()?;
                    if !header.is_atomic() {
                        fragment = Some((usize::from(header.frag.host() & !7), header.id));
                        break;
                    }
                }
                let (proto, len) = (extensions.proto(), ipv6::LEN + extensions.len());
                let total = ipv6::LEN + usize::from(ip.payload_len.host());
                Some(Ip { src: ip.src.into(), dst: ip.dst.into(), proto, len, total, fragment })
            }
            _ => None,
        }
    }

    /// The tuple of TCP and UDP; `l4` may be cut behind the ports.
    pub fn key(&self, l4: &[u8]) -> Option<Tuple> {
        let proto = Proto::from_ip(self.proto).filter(|_| self.fragment.is_none_or(|(offset, _)| offset == 0))?;
        let (ports, _) = udp::Header::ref_from_prefix(l4).ok()?;
        Some(Tuple::new(self.src, self.dst, ports.sport, ports.dport, proto))
    }

    /// The message is an echo request or reply, or an error: `None` when it is no ICMP of this family.
    pub fn icmp<'a>(&self, l4: &'a [u8]) -> Option<(Icmp, &'a icmp::Header, &'a [u8])> {
        let (header, data) = icmp::Header::ref_from_prefix(l4).ok()?;
        let kind = match (self.src, self.proto, header.kind) {
            (Addr::V4(_), ipv4::ICMP, icmp::ECHO) | (Addr::V6(_), ipv6::ICMPV6, icmpv6::ECHO) => Icmp::Echo,
            (Addr::V4(_), ipv4::ICMP, kind) if icmp::is_error(kind) => Icmp::Error,
            (Addr::V6(_), ipv6::ICMPV6, kind) if icmpv6::is_error(kind) => Icmp::Error,
            (Addr::V4(_), ipv4::ICMP, _) | (Addr::V6(_), ipv6::ICMPV6, _) => Icmp::Other,
            _ => return None,
        };
        Some((kind, header, data))
    }
}

/// Kinds of ICMP and ICMPv6 messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmp {
    /// An echo request.
    Echo,
    /// An error, which quotes the packet it is about.
    Error,
    /// Any other.
    Other,
}

impl<'a> View<'a> {
    /// `None` for what is neither IPv4 nor IPv6, or is cut.
    pub fn of(frame: &'a [u8]) -> Option<View<'a>> {
        let (eth, vlan, ether_type, l3) = link(frame)?;
        let packet = frame.get(l3..)?;
        let ip = Ip::of(packet)?;
        let announced = match ip.src {
            Addr::V4(_) => ethernet::IPV4,
            Addr::V6(_) => ethernet::IPV6,
        };
        let l4 = packet.get(ip.len..ip.total).filter(|_| ether_type == announced)?;
        Some(View { eth, vlan, l3, ip, l4 })
    }

    /// The tuple of TCP and UDP; of a fragment, if it is the first.
    pub fn key(&self) -> Option<Tuple> {
        self.ip.key(self.l4)
    }

    /// The TCP header, and the bytes behind it and its options.
    pub fn tcp(&self) -> Option<(&'a tcp::Header, &'a [u8])> {
        let whole = self.ip.proto == ipv4::TCP && self.ip.fragment.is_none();
        let (header, _, data) = tcp::split(self.l4).filter(|_| whole)?;
        Some((header, data))
    }

    /// The tuple of the packet that an ICMP error quotes, and where in the frame its IP header begins.
    pub fn quoted(&self) -> Option<(Tuple, usize)> {
        let (_, _, quote) = self.ip.icmp(self.l4).filter(|(kind, ..)| *kind == Icmp::Error)?;
        let ip = Ip::of(quote).filter(|ip| ip.src.family() == self.ip.src.family())?;
        Some((ip.key(quote.get(ip.len..)?)?, self.l3 + self.ip.len + icmp::LEN))
    }
}

/// The link header, the VLAN, what follows, and where.
pub fn link(frame: &[u8]) -> Option<(&ethernet::Header, u16, Be16, usize)> {
    let (eth, rest) = ethernet::Header::ref_from_prefix(frame).ok()?;
    Some(match eth.ether_type {
        ethernet::VLAN => {
            let (tag, _) = vlan::Tag::ref_from_prefix(rest).ok()?;
            (eth, tag.vid(), tag.ether_type, ethernet::LEN + vlan::LEN)
        }
        other => (eth, 0, other, ethernet::LEN),
    })
}

/// An address and port as people write them.
pub(super) fn socket(addr: impl Into<Addr>, port: Be16) -> String {
    crate::config::compile::socket(addr.into(), port).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatun_engine::testkit::{Packet, build};

    const A: &str = "[2001:db8:1::7]:40000";
    const B: &str = "[2001:db8:1::100]:80";

    #[test]
    fn behind_extension_headers_there_is_the_same_tuple() {
        let key = |p: Packet| View::of(&p.build()).unwrap().key().unwrap().to_string();
        let plain = key(Packet::udp(A, B));
        assert_eq!(key(Packet::udp(A, B).hop_by_hop(&[]).destination_options(&[1, 4, 0, 0, 0, 0]).vlan(7)), plain);
        assert_eq!(key(Packet::udp(A, B).fragment(0, false)), plain);
        assert!(View::of(&Packet::udp(A, B).fragment(8, false).build()).unwrap().key().is_none());
        assert!(View::of(&Packet::udp(A, B).truncate(60).build()).is_none());
    }

    #[test]
    fn a_quote_is_found_in_an_error_of_its_family_only() {
        let quoted = build::quote(&Packet::tcp(A, B).build(), 8);
        let error = |kind| Packet::icmp_error("2001:db8::1", "2001:db8:1::7", kind, 0, 0, &quoted).build();
        let (key, at) = View::of(&error(1)).unwrap().quoted().unwrap();
        assert_eq!((key.src().to_string(), key.sport().host(), at), ("2001:db8:1::7".into(), 40_000, 14 + 40 + 8));
        assert!(View::of(&error(129)).unwrap().quoted().is_none());
        let other = Packet::icmp_error("198.18.1.254", "198.18.1.1", 3, 0, 0, &quoted).build();
        assert!(View::of(&other).unwrap().quoted().is_none());
    }
}
