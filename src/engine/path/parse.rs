//! Stage 1: what a frame is. Strict: whatever is not well-formed leaves here, each with a reason of its own.
//!
//! Ethernet and 802.1Q; ARP (RFC 826); IPv4 (RFC 791, RFC 1812 5.2.2); TCP (RFC 9293), UDP (RFC 768), ICMP (RFC 792).
//! IPv6 is in [`v6`]. Lengths are compared with `pkt_len`; all headers must be in the first segment.

pub mod v6;

use super::{Heads, hit};
use crate::addr::{Be16, Be32, Family, IfaceId, Mac, Proto};
use crate::conn::key::{Key, Secret};
use crate::conn::state::State;
use crate::conn::tuple::Tuple;
use crate::conn::{Candidate, Conns};
use crate::frame::{Buffer, Frame};
use crate::mem::Memory;
use crate::shard::{Shard, Shared};
use crate::snapshot::Snapshot;
use crate::verdict::{DropReason, Exit, PuntReason};
use crate::wire::{FromBytes, IntoBytes, arp, checksum, ethernet, icmp, ipv4, ipv6, plain, tcp, udp, vlan};
use core::hint::cold_path;

/// What the parser found.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Head {
    /// The tuple by which its connection is found.
    pub key: Key,
    /// The hash of the key.
    pub hash: u64,
    /// The connection that it most likely is.
    pub candidate: Candidate,
    /// Where the IP header begins in the frame.
    pub l3: u8,
    /// Length of the IP header in bytes, options or extension headers included.
    pub ihl: u8,
    /// What it is.
    pub kind: Kind,
    /// Length of the IP packet in bytes; 0 when it is not known yet.
    pub ip_len: u16,
    /// TCP flags; 0 for other protocols.
    pub flags: u8,
    /// Hops that it may still make.
    pub ttl: u8,
    /// The interface it came in by.
    pub iface: IfaceId,
    /// The [`State`] of a connection that this packet takes the short way in; 0xFF for none.
    pub keeps: u8,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It leaves at once.
    Early(Exit),
    /// TCP or UDP.
    Flow,
    /// The same, and when the burst was looked at it had no connection here, at its home, and could open none: it leaves like
    /// this, unless another packet of the burst opens its connection.
    Stranger(Exit),
    /// The same, but it may open one: which of [`super::AllExpected`] tells what with.
    Opens(u8),
    /// An ICMP error about a packet of ours: the key is that of an answer to the quoted packet.
    IcmpError,
    /// An ICMP echo request.
    Echo,
}

impl Head {
    /// Where the header of TCP, UDP or ICMP begins in the frame.
    #[inline(always)]
    pub fn l4(&self) -> usize {
        usize::from(self.l3) + usize::from(self.ihl)
    }
    /// The tuple of the packet, whose frame these bytes are; of an ICMP error that of an answer to the quoted packet.
    pub fn tuple(&self, bytes: &[u8]) -> Tuple {
        match self.key.family() {
            Family::V4 => self.key.tuple4(),
            Family::V6 => v6::tuple(self, bytes),
        }
    }
    /// True when every card that hashes addresses and ports does so for this packet. Cards differ in how far they look behind
    /// the extension headers of IPv6.
    #[inline(always)]
    pub fn is_hashed_alike(&self) -> bool {
        self.key.family() == Family::V4 || usize::from(self.ihl) == ipv6::LEN
    }
    /// Where the IP packet ends in the frame.
    #[inline(always)]
    pub fn end(&self) -> usize {
        usize::from(self.l3) + usize::from(self.ip_len)
    }
}

/// Says of every frame what it is, and has the bucket of its tuple loaded. Gives the bytes of all frames.
///
/// Never inlined: the loop needs all registers for itself.
#[inline(never)]
pub(super) fn headers<M: Memory, B: Buffer>(
    shared: &Shared,
    shard: &Shard<M>,
    burst: &mut [B],
    heads: &mut Heads,
) -> u64 {
    let (mut bytes, mut more) = (0, shard.whole_way);
    let mut entry = Entry::NONE;
    for (buf, head) in burst.iter().zip(heads.iter_mut()) {
        bytes += buf.len() as u64;
        if buf.form() != entry.form {
            entry = Entry::of(shared.snapshot(), buf);
        }
        if let Some(plain) = plain(&entry, &shard.conns, buf) {
            // The candidate is looked for later.
            *head = Head { candidate: head.candidate, ..plain };
        } else {
            cold_path();
            head.ip_len = 0;
            more = true;
        }
    }
    if more {
        others(shared, shard, burst, heads);
    }
    bytes
}

/// The frames that are not plain ones of IPv4: plain ones of IPv6, and those that need a strict look. A loop of their own: IPv4
/// does not pay for them.
#[inline(never)]
fn others<M: Memory, B: Buffer>(shared: &Shared, shard: &Shard<M>, burst: &mut [B], heads: &mut Heads) {
    let mut entry = Entry::NONE;
    for (buf, head) in burst.iter_mut().zip(heads).filter(|(_, h)| shard.whole_way || h.ip_len == 0) {
        if buf.form() != entry.form {
            entry = Entry::of(shared.snapshot(), buf);
        }
        if let Some(plain) = v6::plain(&entry, &shard.conns, buf).filter(|_| !shard.whole_way) {
            *head = plain;
            continue;
        }
        *head = EMPTY;
        let frame = buf.frame();
        head.kind = parse(shared.snapshot(), shard.conns.secret(), &frame, head).unwrap_or_else(Kind::Early);
        head.hash = shard.conns.hash(&head.key);
        shard.conns.prefetch_bucket(head.hash);
    }
}

/// Where untagged frames of a form come in.
pub(super) struct Entry {
    pub(super) form: u64,
    iface: IfaceId,
    /// That of the interface; `None` when no plain frame comes in here.
    pub(super) mac: Option<Mac>,
    /// How those of IPv4 begin.
    pub(super) start: plain::Start,
}

impl Entry {
    /// Of no form.
    pub(super) const NONE: Entry = Entry { form: 0, iface: IfaceId(0), mac: None, start: plain::Start::NEVER };

    #[inline(never)]
    pub(super) fn of<B: Buffer>(snapshot: &Snapshot, buf: &B) -> Entry {
        let port = buf.port();
        let iface = snapshot.iface_of(port, 0).unwrap_or_default();
        let plain = snapshot.iface(iface).filter(|i| i.port == port && i.vlan == 0 && buf.is_plain());
        let mac = plain.map(|i| i.mac);
        Entry { form: buf.form(), iface, mac, start: mac.map_or(plain::Start::NEVER, plain::Start::to) }
    }
}

/// Takes the frame that nearly every packet comes in, when its form is right in every respect; any other goes through
/// [`parse`], which knows the reasons. What both take they take alike: a property test says so.
#[inline(always)]
fn plain<M: Memory, B: Buffer>(entry: &Entry, conns: &Conns<M>, buf: &B) -> Option<Head> {
    if !buf.is_finished() {
        return None;
    }
    let bytes = buf.bytes();
    let (u, rest) = plain::Udp::ref_from_prefix(bytes).ok()?;
    let ip = &u.ip;
    let ip_len = ip.total_len.host();
    if !u.begins(&entry.start)
        || usize::from(ip_len) > bytes.len() - ethernet::LEN
        || !checksum::ipv4_header_ok(ip.as_bytes())
    {
        return None;
    }
    // What header and data take at least, as they say of themselves.
    let (proto, flags, least, keeps) = match ip.proto {
        ipv4::TCP => {
            // From the acknowledgement number on.
            let [_, _, _, _, offset, flags, ..] = rest.first_chunk::<{ tcp::LEN - udp::LEN }>()?;
            let header_len = usize::from(offset >> 4) * 4;
            if header_len < tcp::LEN {
                return None;
            }
            (Proto::Tcp, *flags, header_len, hit::kept_by_tcp(*flags))
        }
        ipv4::UDP => {
            let len = usize::from(u.udp.len.host());
            if len < udp::LEN {
                return None;
            }
            (Proto::Udp, 0, len, State::Udp as u8)
        }
        _ => return None,
    };
    if ipv4::LEN + least > usize::from(ip_len) {
        return None;
    }
    let key = Key::v4(ip.src, ip.dst, u.udp.sport, u.udp.dport, proto);
    let hash = conns.hash(&key);
    conns.prefetch_bucket(hash);
    Some(Head { key, hash, ip_len, flags, ttl: ip.ttl, iface: entry.iface, keeps, ..EMPTY })
}

/// What nothing is known of yet.
pub const EMPTY: Head = Head {
    kind: Kind::Flow,
    iface: IfaceId(0),
    keeps: hit::NONE,
    l3: ethernet::LEN as u8,
    ihl: ipv4::LEN as u8,
    flags: 0,
    ttl: 0,
    ip_len: 0,
    key: Key::EMPTY,
    hash: 0,
    candidate: Candidate::NONE,
};

fn parse(snapshot: &Snapshot, secret: &Secret, frame: &Frame<'_>, head: &mut Head) -> Result<Kind, Exit> {
    use DropReason as D;
    if frame.meta.bad_form {
        return Err(D::FrameForm.into());
    }
    let bytes = frame.bytes();
    let (eth, mut rest) = ethernet::Header::ref_from_prefix(bytes).map_err(|_| D::EthernetTruncated)?;
    let (mut ether_type, mut vid) = (eth.ether_type, 0);
    head.l3 = ethernet::LEN as u8;
    if ether_type == ethernet::VLAN {
        let (tag, inner) = vlan::Tag::ref_from_prefix(rest).map_err(|_| D::EthernetTruncated)?;
        (ether_type, vid, rest) = (tag.ether_type, tag.vid(), inner);
        head.l3 += vlan::LEN as u8;
    }
    head.iface = snapshot.iface_of(frame.meta.port, vid).ok_or(D::UnknownVlan)?;
    let mac = snapshot.iface(head.iface).ok_or(D::Bug)?.mac;
    let l3_len = frame.pkt_len as usize - usize::from(head.l3);
    if ether_type == ethernet::IPV4 {
        if eth.dst != mac {
            return Err(D::OtherStation.into());
        }
        ip(rest, l3_len, head)
    } else if ether_type == ethernet::ARP {
        arp(rest, eth.dst, mac)
    } else if ether_type == ethernet::IPV6 {
        v6::ip(&v6::Received { snapshot, secret, meta: &frame.meta, own: mac, to: eth.dst, len: l3_len }, rest, head)
    } else {
        Err(D::EtherTypeUnknown.into())
    }
}

fn arp(bytes: &[u8], dst: Mac, own: Mac) -> Result<Kind, Exit> {
    if dst != own && dst != Mac::BROADCAST {
        return Err(DropReason::OtherStation.into());
    }
    let (packet, _) = arp::Packet::ref_from_prefix(bytes).map_err(|_| DropReason::ArpMalformed)?;
    if !packet.is_ipv4_over_ethernet() || packet.sender_mac.is_group() || packet.sender_mac == Mac::default() {
        return Err(DropReason::ArpMalformed.into());
    }
    Err(if packet.op == arp::REPLY { PuntReason::ArpReply } else { PuntReason::Arp }.into())
}

/// `bytes` begin with the IP header; `received` is how many there are in all segments.
#[inline(always)]
fn ip(bytes: &[u8], received: usize, head: &mut Head) -> Result<Kind, Exit> {
    use DropReason as D;
    let (ip, _) = ipv4::Header::ref_from_prefix(bytes).map_err(|_| D::Ipv4Truncated)?;
    let ihl = ip.header_len();
    let ip_len = usize::from(ip.total_len.host());
    if ip.version() != 4 {
        return Err(D::Ipv4Version.into());
    }
    if ihl < ipv4::LEN || ihl > bytes.len() {
        return Err(D::Ipv4HeaderLength.into());
    }
    if ip_len < ihl || ip_len > received {
        return Err(D::Ipv4TotalLength.into());
    }
    if !checksum::ipv4_header_ok(&bytes[..ihl]) {
        return Err(D::Ipv4Checksum.into());
    }
    if is_martian(ip.src) {
        return Err(D::MartianSource.into());
    }
    if is_martian(ip.dst) {
        return Err(D::MartianDestination.into());
    }
    if ihl > ipv4::LEN && ipv4::has_source_route(&bytes[ipv4::LEN..ihl]) {
        return Err(D::SourceRoute.into());
    }
    if ip.is_fragment() {
        return Err(D::Fragment.into());
    }
    head.ihl = ihl as u8;
    head.ip_len = ip_len as u16;
    head.ttl = ip.ttl;
    let l4 = bytes.get(ihl..ip_len.min(bytes.len())).ok_or(D::Ipv4HeaderLength)?;
    let l4_len = ip_len - ihl;
    match ip.proto {
        ipv4::TCP => {
            let (sport, dport) = tcp(l4, head)?;
            head.key = Key::v4(ip.src, ip.dst, sport, dport, Proto::Tcp);
            Ok(Kind::Flow)
        }
        ipv4::UDP => {
            let udp = udp(l4, l4_len)?;
            head.key = Key::v4(ip.src, ip.dst, udp.sport, udp.dport, Proto::Udp);
            Ok(Kind::Flow)
        }
        ipv4::ICMP => icmp(ip, l4, l4_len, head),
        _ => Err(D::ProtocolUnknown.into()),
    }
}

/// Source and destination port of a segment, which is well-formed.
#[inline(always)]
fn tcp(l4: &[u8], head: &mut Head) -> Result<(Be16, Be16), DropReason> {
    let (tcp, _) = tcp::Header::ref_from_prefix(l4).map_err(|_| DropReason::TcpTruncated)?;
    if tcp.header_len() < tcp::LEN || tcp.header_len() > l4.len() {
        return Err(DropReason::TcpDataOffset);
    }
    head.flags = tcp.flags;
    Ok((tcp.sport, tcp.dport))
}

/// The header of a datagram, which is well-formed. `l4_len` is what the packet holds, in all segments.
#[inline(always)]
fn udp(l4: &[u8], l4_len: usize) -> Result<&udp::Header, DropReason> {
    let (udp, _) = udp::Header::ref_from_prefix(l4).map_err(|_| DropReason::UdpTruncated)?;
    let len = usize::from(udp.len.host());
    if len < udp::LEN || len > l4_len {
        return Err(DropReason::UdpLength);
    }
    Ok(udp)
}

/// Refuses tuples that no packet may have. Those of a connection need no look: they had it when it was opened.
#[inline(always)]
pub(super) fn judge(head: &Head, bytes: &[u8]) -> Result<(), DropReason> {
    let key = &head.key;
    let same_address = match key.family() {
        Family::V4 => {
            if is_martian(key.src()) {
                return Err(DropReason::MartianSource);
            }
            if is_martian(key.dst()) {
                return Err(DropReason::MartianDestination);
            }
            key.src() == key.dst()
        }
        Family::V6 => v6::judge(head, bytes)?,
    };
    if key.sport().raw() == 0 || key.dport().raw() == 0 {
        return Err(DropReason::PortZero);
    }
    if same_address && key.sport() == key.dport() {
        return Err(DropReason::Land);
    }
    Ok(())
}

fn icmp(ip: &ipv4::Header, l4: &[u8], l4_len: usize, head: &mut Head) -> Result<Kind, Exit> {
    let (icmp, quote) = icmp::Header::ref_from_prefix(l4).map_err(|_| DropReason::IcmpTruncated)?;
    // What does not lie in one segment can not be summed up here.
    if l4.len() < l4_len || !checksum::icmp_ok(l4) {
        return Err(DropReason::IcmpChecksum.into());
    }
    if icmp.kind == icmp::ECHO {
        return Ok(Kind::Echo);
    }
    if !matches!(icmp.kind, icmp::UNREACHABLE | icmp::TIME_EXCEEDED | icmp::PARAMETER_PROBLEM | icmp::SOURCE_QUENCH) {
        return Err(DropReason::IcmpType.into());
    }
    head.key = quoted(quote).filter(|k| k.dst() == ip.dst).ok_or(DropReason::IcmpQuote)?;
    Ok(Kind::IcmpError)
}

/// The tuple of an answer to the quoted packet (RFC 792: at least its header and 8 bytes).
fn quoted(quote: &[u8]) -> Option<Key> {
    let (ip, _) = ipv4::Header::ref_from_prefix(quote).ok()?;
    let ihl = ip.header_len();
    if ip.version() != 4 || ihl < ipv4::LEN || ip.fragment_offset() != 0 || !checksum::ipv4_header_ok(quote.get(..ihl)?)
    {
        return None;
    }
    let proto = Proto::from_ip(ip.proto)?;
    let (ports, _) = udp::Header::ref_from_prefix(quote.get(ihl..)?).ok()?;
    Some(Key::v4(ip.src, ip.dst, ports.sport, ports.dport, proto).reversed())
}

/// Addresses that no packet may come from or go to (RFC 1812, 5.3.7): this network, loopback, multicast, class E and
/// the limited broadcast.
#[inline(always)]
pub fn is_martian(addr: Be32) -> bool {
    MARTIAN[usize::from(addr.bytes()[0])]
}

/// By the first byte of an address.
static MARTIAN: [bool; 256] = {
    let mut martian = [false; 256];
    let mut first = 0;
    while first < 256 {
        martian[first] = matches!(first, 0 | 127 | 224..);
        first += 1;
    }
    martian
};
