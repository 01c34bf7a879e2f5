//! What an IPv6 packet is (RFC 8200): its header, the extension headers behind it, and what they carry. Called by the parser
//! for both families, and for the packets that ICMPv6 errors quote.
//!
//! Extension headers stand in the order of RFC 8200, 4.1, as far as hosts keep to it: options for every hop first or not at
//! all, none twice, but for the options for the destination. So there are at most [`MOST`], of at most 255 bytes with the fixed
//! header. What they ask for is for the hosts at the ends: they go on as they are. A fragment header in a whole packet is one
//! of them (RFC 6946, 4); any other is a fragment, and a counted drop.

use super::{Entry, Head, Kind, tcp, udp};
use crate::addr::{Be128, Mac, Proto};
use crate::conn::Candidate;
use crate::conn::key::{Key, Secret};
use crate::conn::tuple::Tuple;
use crate::frame::{Buffer, Meta};
use crate::path::Heads;
use crate::snapshot::Snapshot;
use crate::verdict::{DropReason, Exit, PuntReason};
use crate::wire::{FromBytes, checksum, ethernet, icmp, ipv4, ipv6, plain};

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
///
/// Never inlined: the loop needs its registers for IPv4.
#[inline(never)]
pub(super) fn plain<B: Buffer>(entry: &Entry, secret: &Secret, buf: &B, heads: &mut Heads) -> Option<()> {
    if !buf.is_plain() {
        return None;
    }
    let bytes = buf.bytes();
    let (u, rest) = plain::Udp6::ref_from_prefix(bytes).ok()?;
    let (ip, payload_len) = (&u.ip, usize::from(u.ip.payload_len.host()));
    let right = u.eth.dst.raw() == entry.mac
        && u.eth.ether_type == ethernet::IPV6
        && ip.version() == 6
        && payload_len <= bytes.len() - ethernet::LEN - ipv6::LEN;
    if !right {
        return None;
    }
    let (proto, flags, least) = match ip.next {
        ipv4::TCP => {
            // From the acknowledgement number on.
            let [_, _, _, _, offset, flags, ..] = rest.first_chunk::<{ tcp::LEN - udp::LEN }>()?;
            (Proto::Tcp, *flags, usize::from(offset >> 4) * 4)
        }
        ipv4::UDP if u.udp.checksum.raw() != 0 => (Proto::Udp, 0, usize::from(u.udp.len.host())),
        _ => return None,
    };
    let header_len = if proto == Proto::Tcp { tcp::LEN } else { udp::LEN };
    if least < header_len || least > payload_len {
        return None;
    }
    heads.push(Head {
        kind: Kind::Flow,
        iface: entry.iface,
        l3: ethernet::LEN as u8,
        ihl: ipv6::LEN as u8,
        flags,
        ttl: ip.hop_limit,
        plain: true,
        ip_len: (ipv6::LEN + payload_len) as u16,
        key: Key::v6(secret, ip.src, ip.dst, u.udp.sport, u.udp.dport, proto),
        hash: 0,
        candidate: Candidate::NONE,
    });
    Some(())
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
    if from.to != from.own && !is_group_of(from.to, ip.dst) {
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

fn may_flow(src: Be128, dst: Be128) -> Result<(), DropReason> {
    if is_martian(src) || is_link_local(src) {
        return Err(DropReason::MartianSource);
    }
    if is_martian(dst) || is_link_local(dst) {
        return Err(DropReason::MartianDestination);
    }
    Ok(())
}

/// Addresses that no packet may come from or go to: unspecified, loopback and the other IPv4-compatible ones, IPv4-mapped ones
/// (RFC 4291, 2.5.2 to 2.5.5), multicast. Site-local ones are as any other (RFC 3879, 4).
#[inline(always)]
pub fn is_martian(addr: Be128) -> bool {
    let bytes = addr.bytes();
    let [high, low] = addr.raw();
    let middle = u32::from_be((low & 0xffff_ffff) as u32);
    bytes[0] == 0xff || high == 0 && (middle == 0 || middle == 0xffff)
}

/// Of one link only: routers never forward it (RFC 4291, 2.5.6).
#[inline(always)]
pub fn is_link_local(addr: Be128) -> bool {
    let [a, b, ..] = addr.bytes();
    a == 0xfe && b & 0xc0 == 0x80
}

/// The tuple of a packet whose frame these bytes are; of an error that of an answer to the quoted packet.
pub(super) fn tuple(head: &Head, bytes: &[u8]) -> Tuple {
    let key = &head.key;
    let of = |src: Be128, dst: Be128| Tuple::new(src, dst, key.sport(), key.dport(), key.proto());
    let found = match head.kind {
        Kind::IcmpError => bytes.get(head.l4() + icmp::LEN..).and_then(quoted).map(|q| q.tuple.reversed()),
        Kind::Flow | Kind::Echo | Kind::Early(_) => {
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

/// Is it the one of this group?
fn is_group_of(mac: Mac, group: Be128) -> bool {
    let bytes = group.bytes();
    bytes[0] == 0xff && bytes[12..] == mac.0[2..]
}

/// ff02::1
const ALL_NODES: Be128 = Be128::from_bytes([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// The group that an address is asked for by (RFC 4291, 2.7.1).
fn solicited_node(addr: Be128) -> Be128 {
    let [.., a, b, c] = addr.bytes();
    Be128::from_bytes([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

// ICMPv6 (RFC 4443, 2.1, and RFC 4861, 4).
const UNREACHABLE: u8 = 1;
const PARAMETER_PROBLEM: u8 = 4;
const ECHO: u8 = 128;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

fn icmp(from: &Received<'_>, ip: &ipv6::Header, l4: &[u8], l4_len: usize, head: &mut Head) -> Result<Kind, Exit> {
    use DropReason as D;
    let (icmp, body) = icmp::Header::ref_from_prefix(l4).map_err(|_| D::IcmpTruncated)?;
    let sum = checksum::pseudo(ip.src.into(), ip.dst.into(), ipv6::ICMPV6, l4_len as u16);
    // What does not lie in one segment can not be summed up here.
    if l4.len() < l4_len || sum.bytes(l4).fold() != 0xffff {
        return Err(D::IcmpChecksum.into());
    }
    if icmp.kind == SOLICITATION || icmp.kind == ADVERTISEMENT {
        return Err(neighbor(from, ip, icmp, body, head));
    }
    if is_martian(ip.src) {
        return Err(D::MartianSource.into());
    }
    if is_martian(ip.dst) {
        return Err(D::MartianDestination.into());
    }
    match icmp.kind {
        ECHO => Ok(Kind::Echo),
        UNREACHABLE..=PARAMETER_PROBLEM => {
            let answer = quoted(body).filter(|q| q.tuple.src() == ip.dst.into()).ok_or(D::IcmpQuote)?.tuple.reversed();
            head.key = Key::of(from.secret, &answer);
            Ok(Kind::IcmpError)
        }
        _ => Err(D::IcmpType.into()),
    }
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

/// Bytes of a neighbour solicitation or advertisement behind the ICMP header: its target.
const TARGET: usize = 16;

/// Neighbour discovery (RFC 4861, 7.1): what is valid, and said to us or to all, is for the master.
fn neighbor(from: &Received<'_>, ip: &ipv6::Header, icmp: &icmp::Header, body: &[u8], head: &Head) -> Exit {
    use DropReason as D;
    let Some((target, mut options)) = body.split_first_chunk::<TARGET>() else { return D::NdpMalformed.into() };
    let target = Be128::from_bytes(*target);
    if ip.hop_limit != 255 || icmp.code != 0 || is_martian(target) {
        return D::NdpMalformed.into();
    }
    let mut source_mac = false;
    while let [kind, units, ..] = *options {
        source_mac |= kind == 1;
        match options.get(8 * usize::from(units)..) {
            Some(rest) if units > 0 => options = rest,
            Some(_) | None => return D::NdpMalformed.into(),
        }
    }
    if !options.is_empty() {
        return D::NdpMalformed.into();
    }
    let unspecified = ip.src == Be128::default();
    if is_martian(ip.src) && !(unspecified && icmp.kind == SOLICITATION) {
        return D::MartianSource.into();
    }
    let multicast = ip.dst.bytes()[0] == 0xff;
    let asked_by_group = ip.dst == solicited_node(target);
    if icmp.kind == SOLICITATION {
        // Whoever has no address yet asks the group, and has no MAC address to be answered at.
        if unspecified && (source_mac || !asked_by_group) {
            return D::NdpMalformed.into();
        }
        let ours = from.snapshot.local(target).is_some_and(|l| l.iface == Some(head.iface));
        return match (multicast, ours) {
            (false, _) | (true, true) if !multicast || asked_by_group || ip.dst == ALL_NODES => PuntReason::Ndp.into(),
            // A host hears only of the groups that it is in.
            (_, _) => D::OtherStation.into(),
        };
    }
    // Solicited, and said to all.
    if multicast && icmp.rest[0] & 0x40 != 0 {
        return D::NdpMalformed.into();
    }
    if multicast && ip.dst != ALL_NODES {
        return D::OtherStation.into();
    }
    PuntReason::NdpReply.into()
}
