//! The last step: next hop, link header, and fragments where the way out is narrow.

use super::parse::Head;
use super::wide;
use crate::addr::{Be16, Be32, Family, Mac, NeighborId, PortId};
use crate::frame::{Emit, Frame};
use crate::local::write::{self, L2};
use crate::neighbor::NudState;
use crate::shard::Shared;
use crate::verdict::{DropReason, Exit, PuntReason, Verdict};
use crate::wire::{FromBytes, IntoBytes, checksum, ethernet, ipv4, ipv6};

/// The way out of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    hop: NeighborId,
    known: bool,
    dst: Mac,
    src: Mac,
    vlan: u16,
    port: PortId,
    /// What is larger is cut.
    mtu: u16,
    /// The identification of an IPv4 packet that leaves in IPv6 fragments.
    id: Be16,
}

/// Looks whether a packet can leave by a next hop, in a family. Changes nothing yet: a packet that can not is answered as it
/// came.
#[inline(always)]
pub(super) fn way(
    shared: &Shared,
    frame: &mut Frame<'_>,
    head: &Head,
    leaves: Family,
    hop: NeighborId,
) -> Result<Way, Exit> {
    let mut way = hop_of(shared, hop)?;
    if head.ttl <= 1 {
        return Err(PuntReason::TtlExceeded.into());
    }
    if wide::len_as(head, leaves) > way.mtu.min(ipv6::MIN_MTU)
        && let Some(mtu) = too_large(frame, head, leaves, &mut way)
    {
        frame.meta.mtu = mtu;
        return Err(PuntReason::FragNeeded.into());
    }
    Ok(way)
}

/// The largest packet that its sender may send, for one that may not be cut; in the sender's family, which differs by the
/// lengths of the IP headers (RFC 7915, 4.2 and 5.2) and knows no less than 1280 bytes in IPv6 (RFC 8200, 5).
fn too_large(frame: &Frame<'_>, head: &Head, leaves: Family, way: &mut Way) -> Option<u16> {
    const GROWTH: u16 = (ipv6::LEN - ipv4::LEN) as u16;
    let (len, mtu) = (wide::len_as(head, leaves), way.mtu);
    match (head.key.family(), leaves) {
        (Family::V4, Family::V4) => (len > mtu && ip(frame, head)?.dont_fragment()).then_some(mtu),
        (Family::V6, Family::V6) => (len > mtu).then_some(mtu.max(ipv6::MIN_MTU)),
        (Family::V6, Family::V4) => {
            (len > mtu && len > wide::MAY_CUT).then_some(mtu.saturating_add(GROWTH).max(ipv6::MIN_MTU))
        }
        (Family::V4, Family::V6) => {
            let ip = ip(frame, head)?;
            if ip.dont_fragment() {
                return (len > mtu).then_some(mtu.saturating_sub(GROWTH));
            }
            // Nobody can tell this sender what a link behind us takes: the fragments pass every link (RFC 7915, 4).
            (way.mtu, way.id) = (mtu.min(ipv6::MIN_MTU), ip.id);
            None
        }
    }
}

/// The IPv4 header of a packet.
fn ip<'a>(frame: &'a Frame<'_>, head: &Head) -> Option<&'a ipv4::Header> {
    let packet = frame.bytes().get(usize::from(head.l3)..)?;
    ipv4::Header::ref_from_prefix(packet).ok().map(|(ip, _)| ip)
}

/// The same for an ICMP error, about which nobody may be told (RFC 1812, 4.3.2.7; RFC 4443, 2.4).
pub(super) fn silent_way(
    shared: &Shared,
    frame: &mut Frame<'_>,
    head: &Head,
    leaves: Family,
    hop: NeighborId,
) -> Result<Way, Exit> {
    way(shared, frame, head, leaves, hop).map_err(|exit| match exit {
        Exit::Punt(PuntReason::TtlExceeded) => DropReason::TtlExpired.into(),
        Exit::Punt(_) => DropReason::TooBig.into(),
        Exit::Drop(_) | Exit::Redirect(_) => exit,
    })
}

#[inline(always)]
fn hop_of(shared: &Shared, hop: NeighborId) -> Result<Way, Exit> {
    let cell = shared.neighbors.cell(hop);
    let iface = shared.snapshot().iface(cell.iface).ok_or(DropReason::NoRoute)?;
    if cell.state == NudState::Failed {
        return Err(DropReason::NeighborFailed.into());
    }
    let known = cell.state == NudState::Reachable;
    let (dst, src, vlan, port, mtu) = (cell.mac, iface.mac, iface.vlan, iface.port, iface.mtu);
    Ok(Way { hop, known, dst, src, vlan, port, mtu, id: Be16::default() })
}

impl Way {
    /// Largest IP packet in bytes.
    pub(super) fn mtu(&self) -> u16 {
        self.mtu
    }
    fn verdict(&self) -> Verdict {
        if self.known { Verdict::Tx(self.port) } else { Verdict::Hold(self.hop) }
    }
    fn l2(&self) -> L2 {
        L2 { dst: self.dst, src: self.src, vlan: self.vlan }
    }
}

/// Gives a rewritten packet its link header, and cuts it if it is too large. `head` says where everything is now; the family
/// is that of the IP header in the frame.
#[inline(always)]
pub(super) fn send(frame: &mut Frame<'_>, head: &Head, way: &Way, emit: &mut Emit<'_>) -> Result<Verdict, Exit> {
    let l2 = way.l2();
    let l2_len = l2.len();
    if frame.pkt_len == u32::from(frame.len) {
        // Padding ends here: it is the sender's memory, not ours to show to others.
        let end = head.end() as u16;
        (frame.len, frame.pkt_len) = (end, u32::from(end));
    }
    if !frame.move_head(i16::from(head.l3) - l2_len as i16) {
        return Err(DropReason::FrameForm.into());
    }
    let family = match frame.bytes().get(l2_len).map(|first| first >> 4) {
        Some(6) => Family::V6,
        Some(_) | None => Family::V4,
    };
    let ether_type = match family {
        Family::V4 => ethernet::IPV4,
        Family::V6 => ethernet::IPV6,
    };
    write::l2(frame.bytes_mut(), &l2, ether_type);
    if head.ip_len > way.mtu {
        match family {
            Family::V4 => cut(frame, head, way, emit)?,
            Family::V6 => cut6(frame, head, way, emit)?,
        }
    }
    Ok(way.verdict())
}

/// Makes the frame, which was an IPv4 packet, the first IPv6 fragment and emits the others (RFC 8200, 4.5; RFC 7915, 4.1).
#[cold]
fn cut6(frame: &mut Frame<'_>, head: &Head, way: &Way, emit: &mut Emit<'_>) -> Result<(), Exit> {
    const HEADERS: usize = ipv6::LEN + ipv6::FRAGMENT_LEN;
    let l2 = way.l2();
    let step = usize::from(way.mtu).saturating_sub(HEADERS) & !7;
    let Some((_, packet)) = frame.bytes().split_at_checked(l2.len()) else { return Err(DropReason::Bug.into()) };
    let (ip, _) = ipv6::Header::read_from_prefix(packet).map_err(|_| DropReason::Bug)?;
    let whole = packet.get(ipv6::LEN..usize::from(head.ip_len)).ok_or(DropReason::TooBig)?;
    if step == 0 || emit.left() < whole.len().div_ceil(step) - 1 {
        return Err(DropReason::NoSpareFrame.into());
    }
    let headers = |offset: usize, len: usize| {
        let more = if offset + len < whole.len() { ipv6::MF } else { 0 };
        let payload_len = Be16::new((ipv6::FRAGMENT_LEN + len) as u16);
        let fragment = ipv6::Fragment {
            next: ip.next,
            reserved: 0,
            frag: Be16::new(offset as u16 | more),
            id: Be32::new(way.id.host().into()),
        };
        (ipv6::Header { payload_len, next: ipv6::FRAGMENT, ..ip }, fragment)
    };
    let put = |bytes: &mut [u8], (ip, fragment): (ipv6::Header, ipv6::Fragment)| {
        let Some((to_ip, rest)) = bytes.split_at_mut_checked(ipv6::LEN) else { return };
        to_ip.copy_from_slice(ip.as_bytes());
        if let Some(to) = rest.get_mut(..ipv6::FRAGMENT_LEN) {
            to.copy_from_slice(fragment.as_bytes());
        }
    };
    for (n, part) in whole.chunks(step).enumerate().skip(1) {
        let headers = headers(n * step, part.len());
        let written = emit.write(l2.len() + HEADERS + part.len(), |bytes| {
            let rest = write::l2(bytes, &l2, ethernet::IPV6);
            put(rest, headers);
            rest[HEADERS..].copy_from_slice(part);
            way.verdict()
        });
        if !written {
            return Err(DropReason::NoSpareFrame.into());
        }
    }
    let first = headers(0, step);
    let len = (l2.len() + ipv6::LEN + step) as u16;
    (frame.len, frame.pkt_len) = (len, u32::from(len));
    // The headers grow at the front.
    if !frame.move_head(-(ipv6::FRAGMENT_LEN as i16)) {
        return Err(DropReason::FrameForm.into());
    }
    put(write::l2(frame.bytes_mut(), &l2, ethernet::IPV6), first);
    Ok(())
}

/// Makes the frame the first fragment and emits the others (RFC 791, 3.2).
#[cold]
fn cut(frame: &mut Frame<'_>, head: &Head, way: &Way, emit: &mut Emit<'_>) -> Result<(), Exit> {
    let (l2, ihl) = (way.l2(), usize::from(head.ihl));
    let step = usize::from(way.mtu).saturating_sub(ihl) & !7;
    let Some((_, packet)) = frame.bytes().split_at_checked(l2.len()) else { return Err(DropReason::Bug.into()) };
    let whole = packet.get(ihl..usize::from(head.ip_len)).ok_or(DropReason::TooBig)?;
    if step == 0 || emit.left() < whole.len().div_ceil(step) - 1 {
        return Err(DropReason::NoSpareFrame.into());
    }
    let mut first = [0; ipv4::MAX_LEN];
    first[..ihl].copy_from_slice(&packet[..ihl]);
    let mut later = first;
    let later_len = copied_options(&mut later, ihl);
    let id_of_whole = ipv4::Header::ref_from_prefix(packet).map_err(|_| DropReason::Bug)?.0.frag;
    for (n, part) in whole.chunks(step).enumerate().skip(1) {
        let more = (n + 1) * step < whole.len();
        let header = &mut later[..later_len];
        fragment_header(header, part.len(), n * step, more, id_of_whole);
        let written = emit.write(l2.len() + later_len + part.len(), |bytes| {
            let rest = write::l2(bytes, &l2, ethernet::IPV4);
            rest[..later_len].copy_from_slice(header);
            rest[later_len..].copy_from_slice(part);
            way.verdict()
        });
        if !written {
            return Err(DropReason::NoSpareFrame.into());
        }
    }
    fragment_header(&mut first[..ihl], step, 0, true, id_of_whole);
    let l2_len = l2.len();
    let len = (l2_len + ihl + step) as u16;
    (frame.len, frame.pkt_len) = (len, u32::from(len));
    if let Some(header) = frame.bytes_mut().get_mut(l2_len..l2_len + ihl) {
        header.copy_from_slice(&first[..ihl]);
    }
    Ok(())
}

fn fragment_header(header: &mut [u8], payload: usize, offset: usize, more: bool, whole: Be16) {
    let len = header.len();
    if let Ok((ip, _)) = ipv4::Header::mut_from_prefix(header) {
        ip.total_len = Be16::new((len + payload) as u16);
        let flags = whole.host() & !(ipv4::OFFSET_MASK | ipv4::MF) | if more { ipv4::MF } else { 0 };
        ip.frag = Be16::new(flags | (offset / 8) as u16);
        ip.ver_ihl = 0x40 | (len / 4) as u8;
    }
    checksum::ipv4_header_fill(header);
}

/// Keeps the options that every fragment carries (the highest bit of their kind), and gives the length of the header.
fn copied_options(header: &mut [u8; ipv4::MAX_LEN], ihl: usize) -> usize {
    let all = *header;
    let options = &all[ipv4::LEN..ihl];
    let mut end = ipv4::LEN;
    for option in ipv4::options(options).filter(|o| o.kind & 0x80 != 0) {
        let bytes = &options[option.range()];
        header[end..end + bytes.len()].copy_from_slice(bytes);
        end += bytes.len();
    }
    let len = end.next_multiple_of(4);
    header[end..len].fill(ipv4::EOL);
    len
}
