//! The last step: next hop, link header, and fragments where the way out is narrow.

use super::parse::Head;
use crate::addr::{Be16, Mac, NeighborId, PortId};
use crate::frame::{Emit, Frame};
use crate::local::write::{self, L2};
use crate::neighbor::NudState;
use crate::shard::Shared;
use crate::verdict::{DropReason, Exit, PuntReason, Verdict};
use crate::wire::{FromBytes, checksum, ethernet, ipv4};

/// The way out of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    hop: NeighborId,
    known: bool,
    dst: Mac,
    src: Mac,
    vlan: u16,
    port: PortId,
    mtu: u16,
}

/// Looks whether a packet can leave by a next hop. Changes nothing yet: a packet that can not is answered as it came.
#[inline(always)]
pub(super) fn way(shared: &Shared, frame: &mut Frame<'_>, head: &Head, hop: NeighborId) -> Result<Way, Exit> {
    let way = hop_of(shared, hop)?;
    if head.ttl <= 1 {
        return Err(PuntReason::TtlExceeded.into());
    }
    if head.ip_len > way.mtu && dont_fragment(frame, head) {
        frame.meta.mtu = way.mtu;
        return Err(PuntReason::FragNeeded.into());
    }
    Ok(way)
}

fn dont_fragment(frame: &Frame<'_>, head: &Head) -> bool {
    let packet = frame.bytes().get(usize::from(head.l3)..).unwrap_or(&[]);
    ipv4::Header::ref_from_prefix(packet).is_ok_and(|(ip, _)| ip.dont_fragment())
}

/// The same for an ICMP error, about which nobody may be told (RFC 1812, 4.3.2.7).
pub(super) fn silent_way(shared: &Shared, frame: &mut Frame<'_>, head: &Head, hop: NeighborId) -> Result<Way, Exit> {
    way(shared, frame, head, hop).map_err(|exit| match exit {
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
    Ok(Way { hop, known, dst: cell.mac, src: iface.mac, vlan: iface.vlan, port: iface.port, mtu: iface.mtu })
}

impl Way {
    fn verdict(&self) -> Verdict {
        if self.known { Verdict::Tx(self.port) } else { Verdict::Hold(self.hop) }
    }
    fn l2(&self) -> L2 {
        L2 { dst: self.dst, src: self.src, vlan: self.vlan }
    }
}

/// Gives a rewritten packet its link header, and cuts it if it is too large.
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
    write::l2(frame.bytes_mut(), &l2, ethernet::IPV4);
    if head.ip_len > way.mtu {
        cut(frame, head, way, emit)?;
    }
    Ok(way.verdict())
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
