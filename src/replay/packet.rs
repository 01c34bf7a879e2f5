//! What replay wants to know of a frame: where its headers are, and its tuple.

use gatun_engine::addr::{Addr, Be16, Proto};
use gatun_engine::conn::tuple::Tuple;
use gatun_engine::wire::{FromBytes, ethernet, icmp, ipv4, tcp, udp, vlan};

/// An IPv4 packet in a frame.
pub(super) struct View<'a> {
    pub(super) eth: &'a ethernet::Header,
    pub(super) vlan: u16,
    /// Where the IPv4 header begins.
    pub(super) l3: usize,
    pub(super) ip: &'a ipv4::Header,
    /// From the end of the IPv4 header to the end of the packet.
    pub(super) l4: &'a [u8],
}

impl<'a> View<'a> {
    /// `None` for what is not IPv4 or is cut.
    pub(super) fn of(frame: &'a [u8]) -> Option<View<'a>> {
        let (eth, rest) = ethernet::Header::ref_from_prefix(frame).ok()?;
        let (vlan, ether_type, l3): (u16, Be16, usize) = match eth.ether_type {
            ethernet::VLAN => {
                let (tag, _) = vlan::Tag::ref_from_prefix(rest).ok()?;
                (tag.vid(), tag.ether_type, ethernet::LEN + vlan::LEN)
            }
            other => (0, other, ethernet::LEN),
        };
        let packet = frame.get(l3..).filter(|_| ether_type == ethernet::IPV4)?;
        let (ip, _) = ipv4::Header::ref_from_prefix(packet).ok()?;
        let l4 = packet.get(ip.header_len()..usize::from(ip.total_len.host()))?;
        Some(View { eth, vlan, l3, ip, l4 })
    }

    /// The tuple of TCP and UDP.
    pub(super) fn key(&self) -> Option<Tuple> {
        key(self.ip, self.l4)
    }

    /// The TCP header, and the bytes behind it and its options.
    pub(super) fn tcp(&self) -> Option<(&'a tcp::Header, &'a [u8])> {
        let (header, _, data) = tcp::split(self.l4).filter(|_| self.ip.proto == ipv4::TCP && !self.ip.is_fragment())?;
        Some((header, data))
    }

    /// The tuple of the packet that an ICMP error quotes, and where in the frame its IPv4 header begins.
    pub(super) fn quoted(&self) -> Option<(Tuple, usize)> {
        let (icmp, quote) = icmp::Header::ref_from_prefix(self.l4).ok().filter(|_| self.ip.proto == ipv4::ICMP)?;
        let (ip, _) = ipv4::Header::ref_from_prefix(quote).ok().filter(|_| icmp::is_error(icmp.kind))?;
        let key = key(ip, quote.get(ip.header_len()..)?)?;
        Some((key, self.l3 + self.ip.header_len() + icmp::LEN))
    }
}

fn key(ip: &ipv4::Header, l4: &[u8]) -> Option<Tuple> {
    let proto = Proto::from_ip(ip.proto).filter(|_| !ip.is_fragment())?;
    let (ports, _) = udp::Header::ref_from_prefix(l4).ok()?;
    Some(Tuple::new(ip.src, ip.dst, ports.sport, ports.dport, proto))
}

/// An address and port as people write them.
pub(super) fn socket(addr: impl Into<Addr>, port: Be16) -> String {
    crate::config::compile::socket(addr.into(), port).to_string()
}
