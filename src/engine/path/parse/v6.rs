//! What an IPv6 packet is (RFC 8200): its header, the extension headers behind it, and what they carry. Called by the parser
//! for both families, and for the packets that ICMPv6 errors quote.
//!
//! Extension headers stand in the order of RFC 8200, 4.1, as far as hosts keep to it: options for every hop first or not at
//! all, none twice, but for the options for the destination. So there are at most [`MOST`], of at most 255 bytes with the fixed
//! header. What they ask for is for the hosts at the ends: they go on as they are. A fragment header in a whole packet is one
//! of them (RFC 6946, 4); any other is a fragment, and a counted drop.

use super::{Entry, Head, Kind, tcp, udp};
use crate::addr::{Addr, Be128, Mac, Proto};
use crate::conn::key::{Key, Secret};
use crate::conn::state::State;
use crate::conn::tuple::Tuple;
use crate::conn::{Candidate, Conns};
use crate::frame::{Buffer, Meta};
use crate::mem::Memory;
use crate::path::hit;
use crate::snapshot::Snapshot;
use crate::verdict::{DropReason, Exit, PuntReason};
use crate::wire::{FromBytes, checksum, ethernet, icmp, icmpv6, ipv4, ipv6, ndp, plain};

/// Extension headers of a packet, at most: one of each kind, and options for the destination once more.
const MOST: usize = 5;

/// Where a packet came in, and as what.
pub(super) struct Received<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) secret: &'a Secret,
    pub(super) meta: &'a Meta,
    /// The MAC address of the interface, and that of the frame's destination.
    pub(super) own: Mac,
    pub(super) to: Mac,
    /// Bytes from the IP header on, in all segments.
    pub(super) len: usize,
}

/// Takes the frame that nearly every packet of IPv6 comes in, as [`super::plain`] does for IPv4.
#[inline(always)]
pub(super) fn plain<M: Memory, B: Buffer>(entry: &Entry, conns: &Conns<M>, buf: &B) -> Option<Head> {
    if !buf.is_finished() {
        return None;
    }
    let bytes = buf.bytes();
    let (u, rest) = plain::Udp6::ref_from_prefix(bytes).ok()?;
    let (ip, payload_len) = (&u.ip, usize::from(u.ip.payload_len.host()));
    let right = entry.mac == Some(u.eth.dst)
        && u.eth.ether_type == ethernet::IPV6
        && ip.version() == 6
        && payload_len <= bytes.len() - ethernet::LEN - ipv6::LEN;
    if !right {
        return None;
    }
    let (proto, flags, least, keeps) = match ip.next {
        ipv4::TCP => {
            // From the acknowledgement number on.
            let [_, _, _, _, offset, flags, ..] = rest.first_chunk::<{ tcp::LEN - udp::LEN }>()?;
            (Proto::Tcp, *flags, usize::from(offset >> 4) * 4, hit::kept_by_tcp(*flags))
        }
        ipv4::UDP if u.udp.checksum.raw() != 0 => (Proto::Udp, 0, usize::from(u.udp.len.host()), State::Udp as u8),
        _ => return None,
    };
    let header_len = if proto == Proto::Tcp { tcp::LEN } else { udp::LEN };
    if least < header_len || least > payload_len {
        return None;
    }
    let key = Key::v6(conns.secret(), ip.src, ip.dst, u.udp.sport, u.udp.dport, proto);
    let hash = conns.hash(&key);
    conns.prefetch_bucket(hash);
    Some(Head {
        key,
        hash,
        candidate: Candidate::NONE,
        ip_len: (ipv6::LEN + payload_len) as u16,
        flags,
        ttl: ip.hop_limit,
        iface: entry.iface,
        keeps,
        l3: ethernet::LEN as u8,
        ihl: ipv6::LEN as u8,
        kind: Kind::Flow,
    })
}

/// What a packet is; `bytes` begin with its header.
pub(super) fn ip(from: &Received<'_>, bytes: &[u8], head: &mut Head) -> Result<Kind, Exit> {
    use DropReason as D;
    if from.to != from.own && !is_group(from.to) {
        return Err(D::OtherStation.into());
    }
    let (ip, rest) = ipv6::Header::ref_from_prefix(bytes).map_err(|_| D::Ipv6Truncated)?;
    if ip.version() != 6 {
        return Err(D::Ipv6Version.into());
    }
    if from.to != from.own && !(is_multicast(ip.dst) && from.to == ndp::group_mac(ip.dst)) {
        return Err(D::OtherStation.into());
    }
    let payload_len = usize::from(ip.payload_len.host());
    let ip_len = u16::try_from(ipv6::LEN + payload_len).map_err(|_| D::Ipv6PayloadLength)?;
    if usize::from(ip_len) > from.len || payload_len == 0 && ip.next == ipv6::HOP_BY_HOP {
        return Err(D::Ipv6PayloadLength.into());
    }
    let here = rest.get(..payload_len.min(rest.len())).unwrap_or(&[]);
    let (proto, ext_len) = upper(ip.next, here, Fragments::Refused)?;
    // At most 255: `upper` sees to that.
    head.ihl = (ipv6::LEN + ext_len) as u8;
    (head.ip_len, head.ttl) = (ip_len, ip.hop_limit);
    let (l4, l4_len) = (here.get(ext_len..).unwrap_or(&[]), payload_len - ext_len);
    if proto == ipv6::ICMPV6 {
        return icmp(from, ip, l4, l4_len, head);
    }
    let proto = Proto::from_ip(proto).ok_or(D::ProtocolUnknown)?;
    may_flow(ip.src, ip.dst)?;
    let (sport, dport) = match proto {
        Proto::Tcp => tcp(l4, head)?,
        Proto::Udp => {
            let udp = udp(l4, l4_len)?;
            if udp.checksum.raw() == 0 && !from.meta.csum_unfinished {
                return Err(D::UdpNoChecksum.into());
            }
            (udp.sport, udp.dport)
        }
    };
    head.key = Key::v6(from.secret, ip.src, ip.dst, sport, dport, proto);
    Ok(Kind::Flow)
}

/// What to do about fragments.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fragments {
    Refused,
    /// The first one is taken: a quoted packet needs no more than its first bytes.
    First,
}

/// The protocol behind the extension headers, and their length in bytes.
fn upper(next: u8, bytes: &[u8], fragments: Fragments) -> Result<(u8, usize), DropReason> {
    use DropReason as D;
    let mut chain = ipv6::extensions(next, bytes);
    let mut seen = [0u8; MOST];
    for (n, ext) in chain.by_ref().enumerate() {
        let before = seen.iter().take(n).filter(|kind| **kind == ext.kind).count();
        let most = if ext.kind == ipv6::DESTINATION { 2 } else { 1 };
        let Some(place) = seen.get_mut(n).filter(|_| before < most) else { return Err(D::Ipv6Extension) };
        *place = ext.kind;
        match (ext.kind, ext.bytes) {
            (ipv6::HOP_BY_HOP, _) if n > 0 => return Err(D::Ipv6Extension),
            (ipv6::HOP_BY_HOP, bytes) => {
                if ipv6::options(bytes).ok_or(D::Ipv6Extension)?.any(|kind| kind == ipv6::JUMBO) {
                    return Err(D::Ipv6PayloadLength);
                }
            }
            (ipv6::DESTINATION, bytes) => drop(ipv6::options(bytes).ok_or(D::Ipv6Extension)?),
            (ipv6::ROUTING, [_, _, kind, segments_left, ..]) if *kind == 0 || *segments_left != 0 => {
                return Err(D::Ipv6RoutingHeader);
            }
            (ipv6::FRAGMENT, bytes) => {
                let (f, _) = ipv6::Fragment::ref_from_prefix(bytes).map_err(|_| D::Ipv6Extension)?;
                let taken = f.is_atomic() || fragments == Fragments::First && f.frag.host() >> 3 == 0;
                if !taken {
                    return Err(D::Fragment);
                }
            }
            (_, _) => {}
        }
    }
    if chain.overrun() || ipv6::LEN + chain.len() > usize::from(u8::MAX) {
        return Err(D::Ipv6Extension);
    }
    Ok((chain.proto(), chain.len()))
}

/// Refuses addresses that no packet of a flow may have; says whether the two are the same.
pub(super) fn judge(head: &Head, bytes: &[u8]) -> Result<bool, DropReason> {
    let tuple = tuple(head, bytes);
    if let (Some(src), Some(dst)) = (tuple.src().v6(), tuple.dst().v6()) {
        may_flow(src, dst)?;
    }
    Ok(tuple.src() == tuple.dst())
}

/// Link-local addresses are for packets between neighbours: nobody forwards them (RFC 4291, 2.5.6).
fn may_flow(src: Be128, dst: Be128) -> Result<(), DropReason> {
    if is_martian(src) || Addr::V6(src).is_link_local() {
        return Err(DropReason::MartianSource);
    }
    if is_martian(dst) || Addr::V6(dst).is_link_local() {
        return Err(DropReason::MartianDestination);
    }
    Ok(())
}

/// Addresses that no packet may come from or go to: unspecified, loopback and the other IPv4-compatible ones, IPv4-mapped ones
/// (RFC 4291, 2.5.2 to 2.5.5), multicast. Site-local ones are as any other (RFC 3879, 4).
#[inline(always)]
pub fn is_martian(addr: Be128) -> bool {
    let [first, _, _, _, _, _, _, _, a, b, c, d, ..] = addr.bytes();
    let middle = u32::from_be_bytes([a, b, c, d]);
    first == 0xff || addr.raw()[0] == 0 && (middle == 0 || middle == 0xffff)
}

/// The tuple of a packet whose frame these bytes are; of an error that of an answer to the quoted packet.
pub(super) fn tuple(head: &Head, bytes: &[u8]) -> Tuple {
    let key = &head.key;
    let of = |src: Be128, dst: Be128| Tuple::new(src, dst, key.sport(), key.dport(), key.proto());
    let found = match head.kind {
        Kind::IcmpError => bytes.get(head.l4() + icmp::LEN..).and_then(quoted).map(|q| q.tuple.reversed()),
        Kind::Flow | Kind::Stranger(_) | Kind::Opens(_) | Kind::Echo | Kind::Early(_) => {
            let ip = bytes.get(usize::from(head.l3)..).and_then(|b| ipv6::Header::ref_from_prefix(b).ok());
            ip.map(|(ip, _)| of(ip.src, ip.dst))
        }
    };
    found.unwrap_or_else(|| of(Be128::default(), Be128::default()))
}

/// Is it an Ethernet address of an IPv6 multicast group (RFC 2464, 7)?
fn is_group(mac: Mac) -> bool {
    mac.0[..2] == [0x33, 0x33]
}

fn is_multicast(addr: Be128) -> bool {
    addr.bytes()[0] == 0xff
}

fn icmp(from: &Received<'_>, ip: &ipv6::Header, l4: &[u8], l4_len: usize, head: &mut Head) -> Result<Kind, Exit> {
    use DropReason as D;
    let (icmp, body) = icmp::Header::ref_from_prefix(l4).map_err(|_| D::IcmpTruncated)?;
    // What does not lie in one segment can not be summed up here.
    if l4.len() < l4_len || !checksum::l4_ok(ip.src, ip.dst, ipv6::ICMPV6, l4) {
        return Err(D::IcmpChecksum.into());
    }
    if icmp.kind == ndp::SOLICITATION || icmp.kind == ndp::ADVERTISEMENT {
        return Err(neighbor(from, ip, l4, head));
    }
    // What routers and groups say to each other (RFC 4861, RFC 3810) is for hosts that listen to them.
    if !matches!(icmp.kind, icmpv6::ECHO | icmpv6::UNREACHABLE..=icmpv6::PARAMETER_PROBLEM) {
        return Err(D::IcmpType.into());
    }
    if is_martian(ip.src) {
        return Err(D::MartianSource.into());
    }
    if is_martian(ip.dst) {
        return Err(D::MartianDestination.into());
    }
    if icmp.kind == icmpv6::ECHO {
        return Ok(Kind::Echo);
    }
    let answer = quoted(body).filter(|q| q.tuple.src() == ip.dst.into()).ok_or(D::IcmpQuote)?.tuple.reversed();
    head.key = Key::of(from.secret, &answer);
    Ok(Kind::IcmpError)
}

/// A packet that an ICMPv6 error quotes.
pub struct Quoted {
    /// Its tuple, in its own direction.
    pub tuple: Tuple,
    /// Bytes of its IP header with the extension headers.
    pub ihl: usize,
}

/// What an ICMPv6 error is about: `quote` begins with the quoted packet. Its addresses, ports and extension headers must be
/// there; of the rest as much as its sender saw fit.
pub fn quoted(quote: &[u8]) -> Option<Quoted> {
    let (ip, rest) = ipv6::Header::ref_from_prefix(quote).ok().filter(|(ip, _)| ip.version() == 6)?;
    let (proto, ext_len) = upper(ip.next, rest, Fragments::First).ok()?;
    let (ports, _) = udp::Header::ref_from_prefix(rest.get(ext_len..)?).ok()?;
    let tuple = Tuple::new(ip.src, ip.dst, ports.sport, ports.dport, Proto::from_ip(proto)?);
    Some(Quoted { tuple, ihl: ipv6::LEN + ext_len })
}

/// Neighbour discovery (RFC 4861, 7.1): what is valid, and said to us or to all, is for the master.
fn neighbor(from: &Received<'_>, ip: &ipv6::Header, l4: &[u8], head: &Head) -> Exit {
    use DropReason as D;
    let Ok((message, options)) = ndp::Message::ref_from_prefix(l4) else { return D::NdpMalformed.into() };
    let asks = message.kind == ndp::SOLICITATION;
    let (to_all, to_group) = (ip.dst == ndp::ALL_NODES, ip.dst == ndp::solicited_node(message.target));
    let Ok(source) = ndp::link_option(options, ndp::SOURCE_LINK) else { return D::NdpMalformed.into() };
    let unspecified = ip.src == Be128::default();
    let invalid = ip.hop_limit != ndp::HOP_LIMIT
        || message.code != 0
        || is_martian(message.target)
        // Never in fragments, whole or not (RFC 6980), nor behind anything else.
        || usize::from(head.ihl) != ipv6::LEN
        // Whoever has no address yet asks the group, and tells no MAC address.
        || asks && unspecified && (source.is_some() || !to_group)
        || !asks && is_multicast(ip.dst) && message.flags & ndp::SOLICITED != 0;
    if invalid {
        return D::NdpMalformed.into();
    }
    if is_martian(ip.src) && !(unspecified && asks) {
        return D::MartianSource.into();
    }
    // A host hears only of the groups that it is in.
    let in_group = || to_all || asks && to_group && from.snapshot.answers(head.iface, message.target.into());
    if is_multicast(ip.dst) && !in_group() {
        return D::OtherStation.into();
    }
    if asks { PuntReason::Ndp.into() } else { PuntReason::NdpReply.into() }
}

#[cfg(test)]
mod tests {
    use super::super::EMPTY;
    use super::*;
    use crate::addr::{Family, IfaceId, PortId};
    use crate::frame::Frame;
    use crate::mem::Heap;
    use crate::snapshot::{Iface, Local, LocalKind};
    use crate::testkit::Packet;
    use crate::testkit::build::{DST_MAC, quote};
    use crate::testkit::lab::Buf;
    use proptest::prelude::*;
    use std::format;
    use std::vec::Vec;

    const CLIENT: &str = "[2001:db8:1::9]:40000";
    const VIP: &str = "[2001:db8:1::100]:80";

    fn ip(addr: &str) -> Addr {
        addr.parse::<core::net::IpAddr>().unwrap().into()
    }

    fn snapshot() -> Snapshot {
        let addrs = vec![(ip("2001:db8:1::fe"), 64)];
        let iface = Iface { port: PortId(0), vlan: 0, mac: DST_MAC, mtu: 1500, addrs };
        let mut snapshot = Snapshot { ifaces: vec![iface], ..Snapshot::default() };
        snapshot.locals.insert(ip("2001:db8:1::100"), Local { kind: LocalKind::Vip, iface: Some(IfaceId(0)) });
        snapshot
    }

    fn conns() -> Conns<Heap> {
        Conns::new(&Heap, 4, 4, Secret::new(1)).unwrap()
    }

    /// What the strict parser says of a frame.
    fn strictly(frame: &[u8], meta: Meta, first: usize) -> (Kind, Head) {
        let (mut bytes, mut head) = (frame.to_vec(), EMPTY);
        let mut frame = Frame::new(&mut bytes, 0, first.min(frame.len()) as u16, meta);
        frame.pkt_len = frame.buf.len() as u32;
        let kind = super::super::parse(&snapshot(), &Secret::new(1), &frame, &mut head).unwrap_or_else(Kind::Early);
        head.kind = kind;
        (kind, head)
    }

    fn said(packet: Packet) -> Kind {
        let (kind, head) = strictly(&packet.clone().build(), Meta::default(), usize::MAX);
        match kind {
            Kind::Flow => super::super::judge(&head, &packet.build()).map_or_else(|r| Kind::Early(r.into()), |_| kind),
            Kind::Stranger(_) | Kind::Opens(_) | Kind::Early(_) | Kind::IcmpError | Kind::Echo => kind,
        }
    }

    fn tcp() -> Packet {
        Packet::tcp(CLIENT, VIP).flags("S")
    }

    fn udp() -> Packet {
        Packet::udp(CLIENT, VIP).payload(b"12345678")
    }

    #[test]
    fn headers_are_taken_or_refused_each_for_its_reason() {
        use DropReason as D;
        let drop = |r: DropReason| Kind::Early(r.into());
        let long = |n: usize| [&[0, (n / 8 - 1) as u8][..], &[0; 400][..n - 2]].concat();
        let cases = [
            ("a SYN", tcp(), Kind::Flow),
            ("a datagram", udp(), Kind::Flow),
            ("a short header", tcp().truncate(14 + 39), drop(D::Ipv6Truncated)),
            ("another version", tcp().version(4), drop(D::Ipv6Version)),
            ("more than came", udp().ip_total_len(57), drop(D::Ipv6PayloadLength)),
            ("less than UDP says", udp().ip_total_len(55), drop(D::UdpLength)),
            ("no room for TCP", tcp().ip_total_len(59), drop(D::TcpTruncated)),
            ("half a UDP header", udp().ip_total_len(44), drop(D::UdpTruncated)),
            ("no checksum", udp().udp_checksum_zero(), drop(D::UdpNoChecksum)),
            ("options for all hops", tcp().hop_by_hop(&[5, 2, 0, 0]), Kind::Flow),
            ("and for the end", tcp().hop_by_hop(&[]).destination_options(&[1, 2, 0, 0]), Kind::Flow),
            (
                "all four",
                tcp().hop_by_hop(&[]).destination_options(&[]).routing(4, 0, &[]).fragment(0, false),
                Kind::Flow,
            ),
            ("for the end twice", tcp().destination_options(&[]).destination_options(&[]), Kind::Flow),
            (
                "for the end thrice",
                tcp().destination_options(&[]).destination_options(&[]).destination_options(&[]),
                drop(D::Ipv6Extension),
            ),
            ("all hops, later", tcp().destination_options(&[]).hop_by_hop(&[]), drop(D::Ipv6Extension)),
            ("all hops twice", tcp().hop_by_hop(&[]).hop_by_hop(&[]), drop(D::Ipv6Extension)),
            ("routing twice", tcp().routing(4, 0, &[]).routing(4, 0, &[]), drop(D::Ipv6Extension)),
            ("an overrun", tcp().extension(60, &[0, 9, 0, 0, 0, 0, 0, 0]), drop(D::Ipv6Extension)),
            ("an option that overruns", tcp().extension(0, &[0, 0, 5, 9, 0, 0, 0, 0]), drop(D::Ipv6Extension)),
            ("as long as it may be", tcp().extension(60, &long(208)), Kind::Flow),
            ("longer", tcp().extension(60, &long(216)), drop(D::Ipv6Extension)),
            ("a jumbogram", tcp().hop_by_hop(&[0xc2, 4, 0, 1, 0, 0]), drop(D::Ipv6PayloadLength)),
            ("a real one", tcp().hop_by_hop(&[0xc2, 4, 0, 1, 0, 0]).ip_total_len(40), drop(D::Ipv6PayloadLength)),
            ("a source route", tcp().routing(0, 0, &[]), drop(D::Ipv6RoutingHeader)),
            ("segments left", tcp().routing(4, 1, &["2001:db8::1"]), drop(D::Ipv6RoutingHeader)),
            ("a whole fragment", tcp().fragment(0, false), Kind::Flow),
            ("the first of some", udp().fragment(0, true), drop(D::Fragment)),
            ("the last of some", udp().fragment(8, false), drop(D::Fragment)),
            ("ESP", Packet::ip("2001:db8:1::9", "2001:db8:1::100", 50), drop(D::ProtocolUnknown)),
            ("AH", Packet::ip("2001:db8:1::9", "2001:db8:1::100", 51), drop(D::ProtocolUnknown)),
            ("nothing", Packet::ip("2001:db8:1::9", "2001:db8:1::100", 59), drop(D::ProtocolUnknown)),
            ("ICMP of IPv4", Packet::ip("2001:db8:1::9", "2001:db8:1::100", 1), drop(D::ProtocolUnknown)),
            ("from nobody", tcp().from_addr("::"), drop(D::MartianSource)),
            ("from itself", tcp().from_addr("::1"), drop(D::MartianSource)),
            ("from a group", tcp().from_addr("ff02::1"), drop(D::MartianSource)),
            ("from a mapped one", tcp().from_addr("::ffff:198.18.1.1"), drop(D::MartianSource)),
            ("from a compatible one", tcp().from_addr("::198.18.1.1"), drop(D::MartianSource)),
            ("from a neighbour", tcp().from_addr("fe80::1"), drop(D::MartianSource)),
            ("from a site", tcp().from_addr("fec0::1"), Kind::Flow),
            ("to a neighbour", tcp().to_addr("febf::1"), drop(D::MartianDestination)),
            ("to a group", tcp().to_addr("ff0e::1"), drop(D::MartianDestination)),
            ("to itself", udp().to_addr("::1"), drop(D::MartianDestination)),
            ("from port 0", Packet::tcp("[2001:db8:1::9]:0", VIP), drop(D::PortZero)),
            ("to port 0", Packet::udp(CLIENT, "[2001:db8:1::100]:0"), drop(D::PortZero)),
            ("land", Packet::tcp(VIP, VIP), drop(D::Land)),
            ("the same address", Packet::tcp("[2001:db8:1::100]:81", VIP), Kind::Flow),
            ("another station", tcp().macs([2; 6], [2; 6]), drop(D::OtherStation)),
            ("a group's station", tcp().macs([2; 6], "33:33:00:00:00:01"), drop(D::OtherStation)),
        ];
        for (name, packet, kind) in cases {
            assert_eq!(said(packet), kind, "{name}");
        }
        let unfinished = Meta { csum_unfinished: true, ..Meta::default() };
        assert_eq!(strictly(&udp().udp_checksum_zero().build(), unfinished, usize::MAX).0, Kind::Flow, "unfinished");
        assert_eq!(strictly(&tcp().hop_by_hop(&[]).build(), Meta::default(), 60).0, drop(D::Ipv6Extension), "cut");
    }

    #[test]
    fn icmp_is_echo_an_error_about_a_flow_or_neighbour_discovery_that_is_for_us() {
        use DropReason as D;
        let drop = |r: DropReason| Kind::Early(r.into());
        let punt = |r: PuntReason| Kind::Early(r.into());
        let (router, us) = ("2001:db8:1::5", "2001:db8:1::100");
        let error = |quoted: &Packet| Packet::icmp_error(router, us, 1, 4, 0, &quote(&quoted.clone().build(), 1200));
        let answer = Packet::tcp(VIP, CLIENT);
        let ask = || Packet::ndp_solicit([2; 6], "2001:db8:1::9", us);
        let probe = || Packet::ndp_solicit([2; 6], "::", us);
        let tell = || Packet::ndp_advertise([2; 6], "2001:db8:1::9", DST_MAC, us);
        let cases = [
            ("echo", Packet::icmp_echo(router, us, 1, 1), Kind::Echo),
            ("a neighbour's echo", Packet::icmp_echo("fe80::5", us, 1, 1), Kind::Echo),
            ("an echo to all", Packet::icmp_echo(router, "ff02::1", 1, 1), drop(D::MartianDestination)),
            ("a reply", Packet::icmp_echo_reply(router, us, 1, 1), drop(D::IcmpType)),
            ("a wrong checksum", Packet::icmp_echo(router, us, 1, 1).bad_l4_checksum(), drop(D::IcmpChecksum)),
            ("half a header", Packet::icmp_echo(router, us, 1, 1).ip_total_len(47), drop(D::IcmpTruncated)),
            ("an error", error(&answer), Kind::IcmpError),
            ("about options", error(&answer.clone().destination_options(&[])), Kind::IcmpError),
            (
                "about a first fragment",
                error(&Packet::udp(VIP, CLIENT).fragment(0, true).payload(&[1; 32])),
                Kind::IcmpError,
            ),
            (
                "about another fragment",
                error(&Packet::udp(VIP, CLIENT).fragment(8, true).payload(&[1; 32])),
                drop(D::IcmpQuote),
            ),
            ("about another's packet", error(&Packet::tcp("[2001:db8:1::7]:80", CLIENT)), drop(D::IcmpQuote)),
            ("about an echo", error(&Packet::icmp_echo(us, router, 1, 1)), drop(D::IcmpQuote)),
            ("about nothing", Packet::icmp_error(router, us, 2, 0, 1280, &[]), drop(D::IcmpQuote)),
            ("an unknown error", Packet::icmp_error(router, us, 5, 0, 0, &[]), drop(D::IcmpType)),
            (
                "a router",
                Packet::icmp("fe80::5", "ff02::1", 134, 0, [0; 4]).macs([2; 6], "33:33:00:00:00:01"),
                drop(D::IcmpType),
            ),
            ("a router, to us", Packet::icmp("fe80::5", us, 134, 0, [0; 4]), drop(D::IcmpType)),
            ("a redirect", Packet::icmp("fe80::5", us, 137, 0, [0; 4]), drop(D::IcmpType)),
            ("who has our address", ask(), punt(PuntReason::Ndp)),
            (
                "who has the interface's",
                Packet::ndp_solicit([2; 6], "fe80::9", "fe80::ff:fe00:2"),
                punt(PuntReason::Ndp),
            ),
            (
                "who has another's",
                Packet::ndp_solicit([2; 6], "2001:db8:1::9", "2001:db8:1::101"),
                drop(D::OtherStation),
            ),
            ("said to us alone", ask().to_addr(us).macs([2; 6], DST_MAC), punt(PuntReason::Ndp)),
            ("is it free", probe(), punt(PuntReason::Ndp)),
            ("with a MAC address", probe().ndp_options(&[1, 1, 2, 2, 2, 2, 2, 2]), drop(D::NdpMalformed)),
            ("not to the group", probe().to_addr(us).macs([2; 6], DST_MAC), drop(D::NdpMalformed)),
            ("from afar", ask().ttl(254), drop(D::NdpMalformed)),
            ("no length", ask().ndp_options(&[1, 0, 2, 2, 2, 2, 2, 2]), drop(D::NdpMalformed)),
            ("too long", ask().ndp_options(&[1, 2, 2, 2, 2, 2, 2, 2]), drop(D::NdpMalformed)),
            ("one byte more", ask().ndp_options(&[1, 1, 2, 2, 2, 2, 2, 2, 9]), drop(D::NdpMalformed)),
            ("other options", ask().ndp_options(&[14, 1, 2, 2, 2, 2, 2, 2]), punt(PuntReason::Ndp)),
            ("behind options", ask().destination_options(&[]), drop(D::NdpMalformed)),
            ("from a group", ask().from_addr("ff02::9"), drop(D::MartianSource)),
            ("an answer", tell(), punt(PuntReason::NdpReply)),
            ("to all, unasked", Packet::ndp_announce([2; 6], "2001:db8:1::9"), punt(PuntReason::NdpReply)),
            ("to all, asked", Packet::ndp_announce([2; 6], "2001:db8:1::9").ndp_flags("SO"), drop(D::NdpMalformed)),
            ("from nobody", tell().from_addr("::"), drop(D::MartianSource)),
        ];
        for (name, packet, kind) in cases {
            assert_eq!(said(packet), kind, "{name}");
        }
        let frame = error(&answer.destination_options(&[])).build();
        let (_, head) = strictly(&frame, Meta::default(), usize::MAX);
        assert_eq!(format!("{}", head.tuple(&frame)), format!("tcp {CLIENT} > {VIP}"));
        assert_eq!(head.key, Key::of(&Secret::new(1), &head.tuple(&frame)));
        assert_eq!(strictly(&frame, Meta::default(), 100).0, drop(D::IcmpChecksum), "over two segments");
    }

    proptest! {
        #[test]
        fn what_is_taken_as_plain_is_taken_alike_by_the_strict_parser(
            udp: bool, payload in proptest::collection::vec(any::<u8>(), 0..60), pad in 0usize..8,
            flips in proptest::collection::vec((12usize..80, any::<u8>()), 0..3), cut in 0usize..120,
        ) {
            let packet = if udp { Packet::udp(CLIENT, VIP) } else { Packet::tcp(CLIENT, VIP) };
            let mut frame = packet.payload(&payload).pad(pad).build();
            for (at, value) in flips {
                if let Some(byte) = frame.get_mut(at) {
                    *byte = value;
                }
            }
            frame.truncate(cut.max(54));
            let buf = Buf::new(&frame, Meta::default());
            if let Some(took) = plain(&Entry::of(&snapshot(), &buf), &conns(), &buf) {
                let (_, strict) = strictly(&frame, Meta::default(), usize::MAX);
                // The strict parser says of some addresses already what `judge` says of them.
                if !matches!(strict.kind, Kind::Early(Exit::Drop(DropReason::MartianSource | DropReason::MartianDestination))) {
                    prop_assert_eq!(format!("{took:?}"), format!("{:?}", Head { keeps: took.keeps, hash: took.hash, ..strict }));
                }
            }
        }
    }

    fn packet_of(udp: bool, payload: &[u8]) -> Vec<u8> {
        let packet = if udp { Packet::udp(CLIENT, VIP) } else { Packet::tcp(CLIENT, VIP) };
        packet.payload(payload).build()
    }

    #[test]
    fn a_whole_datagram_and_segment_are_plain() {
        for frame in [packet_of(true, b"x"), packet_of(false, b""), packet_of(true, b"")] {
            let buf = Buf::new(&frame, Meta::default());
            let head = plain(&Entry::of(&snapshot(), &buf), &conns(), &buf).expect("plain");
            assert_eq!(
                (head.key.family(), head.ihl, head.l3, head.hash),
                (Family::V6, 40, 14, conns().hash(&head.key))
            );
        }
    }
}
