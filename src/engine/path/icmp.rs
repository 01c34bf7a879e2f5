//! ICMP and ICMPv6: errors about packets of ours are translated with the packet they quote; echo requests go to the master.
//!
//! An error neither prolongs nor ends a connection (RFC 5508 REQ-6). Its outer source becomes the address that the
//! connection shows on that side, so that nothing of the inside leaks and a server needs no route to the router. It is
//! changed where it stands when it leaves in the family that it came in; else it is written anew ([`across`]), from a
//! message whose checksum was right.

mod across;

use super::open;
use super::output::{self, Way};
use super::parse::{self, Head};
use crate::addr::{Addr, Be16, Be32, ConnId, Dir, Family, Proto};
use crate::conn::flags;
use crate::conn::tuple::Tuple;
use crate::frame::{Emit, Frame};
use crate::local::write::{self, Envelope};
use crate::mem::Memory;
use crate::shard::{Shard, Shared};
use crate::time::Tick;
use crate::verdict::{DropReason, Exit, PuntReason, Verdict};
use crate::wire::checksum::{self, Delta, DeltaSum};
use crate::wire::{FromBytes, icmp, icmpv6, ipv4, ipv6, tcp, udp};
use across::Mtus;

/// An echo request for an address of ours.
pub(super) fn echo(shared: &Shared, frame: &Frame<'_>, head: &Head) -> Exit {
    let packet = frame.bytes().get(usize::from(head.l3)..).unwrap_or(&[]);
    let Some((src, dst)) = addrs(packet) else { return DropReason::Bug.into() };
    if shared.snapshot().is_ours(head.iface, src) {
        return DropReason::MartianSource.into();
    }
    match shared.snapshot().is_ours(head.iface, dst) {
        true => PuntReason::Echo.into(),
        false => DropReason::NotLocal.into(),
    }
}

/// Source and destination of a packet of either family.
fn addrs(packet: &[u8]) -> Option<(Addr, Addr)> {
    if packet.first()? >> 4 == 6 {
        ipv6::Header::ref_from_prefix(packet).ok().map(|(ip, _)| (ip.src.into(), ip.dst.into()))
    } else {
        ipv4::Header::ref_from_prefix(packet).ok().map(|(ip, _)| (ip.src.into(), ip.dst.into()))
    }
}

/// Sends an ICMP error on to the other side of the connection that it is about.
pub(super) fn translate<M: Memory>(
    shared: &Shared,
    shard: &mut Shard<M>,
    now: Tick,
    frame: &mut Frame<'_>,
    head: &Head,
    emit: &mut Emit<'_>,
) -> Result<Verdict, Exit> {
    let tuple = head.tuple(frame.bytes());
    let found = shard.conns.find(head.hash, &head.key);
    let Some((id, dir)) = found.filter(|(id, dir)| shard.conns.is(*id, *dir, &tuple)) else {
        open::home(shared, shard, frame, &tuple)?;
        return Err(DropReason::IcmpNoConnection.into());
    };
    let conn = shard.conns.conn(id);
    if now.reached(shared.deadline(conn)) {
        return Err(DropReason::IcmpNoConnection.into());
    }
    let (hop, back) = (conn.next_hops[dir as usize], conn.next_hops[dir.other() as usize]);
    let (comes, leaves) = (head.key.family(), shard.conns.leaves(id, dir));
    // One that is written anew is cut to what every link takes.
    let ip_len = if comes == leaves { head.ip_len } else { u16::from(head.ihl) };
    let way: Way = output::silent_way(shared, frame, &Head { ip_len, ..*head }, leaves, hop)?;
    let to = Receiver::of(shard, id, dir);
    let head = if comes == leaves {
        in_place(&to, frame, head).ok_or(DropReason::IcmpQuote)?;
        *head
    } else {
        let other = shared.snapshot().iface(shared.neighbors.cell(back).iface).map_or(u16::MAX, |i| i.mtu);
        let mtus = match leaves {
            Family::V4 => Mtus { v4: way.mtu(), v6: other },
            Family::V6 => Mtus { v4: other, v6: way.mtu() },
        };
        anew(&to, &mtus, frame, head)?
    };
    output::send(frame, &head, &way, emit)
}

/// What the receiver of an error knows of the connection.
struct Receiver {
    /// The tuple of the error's outer addresses, and of packets to the receiver.
    outer: Tuple,
    /// What it sees of the sequence numbers in the quoted packet.
    seq_shift: u32,
}

impl Receiver {
    fn of<M: Memory>(shard: &Shard<M>, id: ConnId, dir: Dir) -> Receiver {
        let conn = shard.conns.conn(id);
        let ext = conn.has(flags::EXT).then(|| shard.exts.ext(conn.ext)).flatten();
        // The quoted packet went the other way.
        let seq_shift = ext.map_or(0, |e| match dir {
            Dir::In => 0,
            Dir::Out => e.delta.wrapping_neg(),
        });
        Receiver { outer: shard.conns.rewritten(id, dir), seq_shift }
    }

    /// The tuple of the quoted packet as the receiver sent it.
    fn quoted(&self) -> Tuple {
        self.outer.reversed()
    }
}

/// Changes an error that leaves in the family that it came in.
fn in_place(to: &Receiver, frame: &mut Frame<'_>, head: &Head) -> Option<()> {
    let packet = frame.bytes_mut().get_mut(usize::from(head.l3)..head.end())?;
    let (ip, message) = packet.split_at_mut_checked(usize::from(head.ihl))?;
    // The checksum of ICMPv6 covers the addresses, that of ICMP does not.
    let mut sum = DeltaSum::new();
    match (to.outer.src(), to.outer.dst()) {
        (Addr::V4(src), Addr::V4(dst)) => {
            let (ip, _) = ipv4::Header::mut_from_prefix(ip).ok()?;
            let delta = DeltaSum::new().replace32(ip.src, src).replace32(ip.dst, dst).fold();
            (ip.src, ip.dst) = (src, dst);
            ip.ttl = ip.ttl.wrapping_sub(1);
            checksum::apply_both(&mut ip.checksum, delta, Delta::TTL_DOWN);
        }
        (Addr::V6(src), Addr::V6(dst)) => {
            let (ip, _) = ipv6::Header::mut_from_prefix(ip).ok()?;
            sum = sum.replace_addr(ip.src.into(), src.into()).replace_addr(ip.dst.into(), dst.into());
            (ip.src, ip.dst) = (src, dst);
            ip.hop_limit = ip.hop_limit.wrapping_sub(1);
        }
        (Addr::V4(_), Addr::V6(_)) | (Addr::V6(_), Addr::V4(_)) => return None,
    }
    let (icmp, quote) = icmp::Header::mut_from_prefix(message).ok()?;
    let sum = requote(sum, quote, &to.quoted(), to.seq_shift)?;
    checksum::apply(&mut icmp.checksum, sum.fold());
    Some(())
}

/// Gives the quoted packet the tuple that the receiver sent it with, its checksums included as far as they are quoted.
/// Adds what that changes in the message to `sum`.
fn requote(sum: DeltaSum, quote: &mut [u8], new: &Tuple, seq_shift: u32) -> Option<DeltaSum> {
    match (new.src(), new.dst()) {
        (Addr::V4(src), Addr::V4(dst)) => {
            let ihl = ipv4::Header::ref_from_prefix(quote).ok()?.0.header_len();
            let (header, l4) = quote.split_at_mut_checked(ihl)?;
            let (ip, _) = ipv4::Header::mut_from_prefix(header).ok()?;
            let addrs = DeltaSum::new().replace32(ip.src, src).replace32(ip.dst, dst);
            let old = ip.checksum;
            (ip.src, ip.dst) = (src, dst);
            checksum::apply(&mut ip.checksum, addrs.fold());
            let sum = sum.then(addrs).replace16(old, ip.checksum);
            segment(sum, addrs, l4, new, seq_shift)
        }
        (Addr::V6(src), Addr::V6(dst)) => {
            let ihl = parse::v6::quoted(quote)?.ihl;
            let (header, l4) = quote.split_at_mut_checked(ihl)?;
            let (ip, _) = ipv6::Header::mut_from_prefix(header).ok()?;
            let addrs = DeltaSum::new().replace_addr(ip.src.into(), src.into()).replace_addr(ip.dst.into(), dst.into());
            (ip.src, ip.dst) = (src, dst);
            segment(sum.then(addrs), addrs, l4, new, seq_shift)
        }
        (Addr::V4(_), Addr::V6(_)) | (Addr::V6(_), Addr::V4(_)) => None,
    }
}

/// The quoted TCP segment or UDP datagram: ports, sequence number, and a checksum that `addrs` changes too.
fn segment(sum: DeltaSum, addrs: DeltaSum, l4: &mut [u8], new: &Tuple, seq_shift: u32) -> Option<DeltaSum> {
    let (ports, _) = udp::Header::mut_from_prefix(l4).ok()?;
    let changed = DeltaSum::new().replace16(ports.sport, new.sport()).replace16(ports.dport, new.dport());
    let (mut inner, mut sum) = (addrs.then(changed), sum.then(changed));
    (ports.sport, ports.dport) = (new.sport(), new.dport());
    match new.proto() {
        Proto::Udp => {
            let old = ports.checksum;
            checksum::apply_udp(&mut ports.checksum, inner.fold());
            sum = sum.replace16(old, ports.checksum);
        }
        Proto::Tcp => {
            if seq_shift != 0 {
                let (seq, _) = Be32::mut_from_prefix(l4.get_mut(4..)?).ok()?;
                let shifted = Be32::new(seq.host().wrapping_add(seq_shift));
                (inner, sum) = (inner.replace32(*seq, shifted), sum.replace32(*seq, shifted));
                *seq = shifted;
            }
            let field = l4.get_mut(tcp::CHECKSUM_AT..).and_then(|b| Be16::mut_from_prefix(b).ok());
            if let Some((field, _)) = field {
                let old = *field;
                checksum::apply(field, inner.fold());
                sum = sum.replace16(old, *field);
            }
        }
    }
    Some(sum)
}

/// Writes an error anew in the other family, and says where everything is then.
fn anew(to: &Receiver, mtus: &Mtus, frame: &mut Frame<'_>, head: &Head) -> Result<Head, Exit> {
    let packet = frame.bytes().get(usize::from(head.l3)..head.end()).ok_or(DropReason::Bug)?;
    let (ip, message) = packet.split_at_checked(usize::from(head.ihl)).ok_or(DropReason::Bug)?;
    let (icmp, quote) = icmp::Header::ref_from_prefix(message).map_err(|_| DropReason::Bug)?;
    let (old_src, old_dst, tos, said, quoted, ihl, most);
    match to.outer.family() {
        Family::V6 => {
            let (q, len) = across::quoted_v4(icmp, quote).ok_or(DropReason::IcmpQuote)?;
            said = across::to_v6(icmp, len, mtus);
            tos = ipv4::Header::ref_from_prefix(ip).map_err(|_| DropReason::Bug)?.0.tos;
            let (inner, _) = ipv4::Header::ref_from_prefix(quote).map_err(|_| DropReason::IcmpQuote)?;
            (old_src, old_dst) = (Addr::V4(inner.src), Addr::V4(inner.dst));
            (quoted, ihl, most) = (q, ipv6::LEN, icmpv6::ERROR_LEN);
        }
        Family::V4 => {
            let inner = parse::v6::quoted(quote).ok_or(DropReason::IcmpQuote)?;
            quoted = across::quoted_v6(icmp, quote, inner.ihl).ok_or(DropReason::IcmpQuote)?;
            said = across::to_v4(icmp, mtus);
            tos = ipv6::Header::ref_from_prefix(ip).map_err(|_| DropReason::Bug)?.0.traffic_class();
            (old_src, old_dst) = (inner.tuple.src(), inner.tuple.dst());
            (ihl, most) = (ipv4::LEN, icmp::ERROR_LEN);
        }
    }
    let said: icmp::Header = said.ok_or(DropReason::Untranslatable)?;

    let mut room = [0; icmpv6::ERROR_LEN];
    let (new, at) = (to.quoted(), ihl + icmp::LEN);
    let header_len = quoted.header(&mut room[at..], &new).ok_or(DropReason::IcmpQuote)?;
    let l4_at = at + header_len;
    let l4_len = quoted.l4.len().min(most - l4_at);
    let l4 = &mut room[l4_at..l4_at + l4_len];
    l4.copy_from_slice(&quoted.l4[..l4_len]);
    let addrs = DeltaSum::new().replace_addr(old_src, new.src()).replace_addr(old_dst, new.dst());
    segment(DeltaSum::new(), addrs, l4, &new, to.seq_shift).ok_or(DropReason::IcmpQuote)?;
    let ip_len = l4_at + l4_len;
    let packet = &mut room[..ip_len];
    let envelope = Envelope { src: to.outer.src(), dst: to.outer.dst(), tos, ttl: head.ttl.wrapping_sub(1) };
    write::icmp_packet(packet, &envelope, &said);

    let start = usize::from(head.l3);
    let (old_end, new_end) = (head.end(), start + ip_len);
    let kept = old_end.min(new_end);
    (frame.len, frame.pkt_len) = (kept as u16, kept as u32);
    // It grows at its front, by a few bytes: there is room before a frame, and not always behind it.
    if !frame.move_head(-((new_end - kept) as i16)) {
        return Err(DropReason::FrameForm.into());
    }
    let place = frame.bytes_mut().get_mut(start..).ok_or(DropReason::Bug)?;
    place.copy_from_slice(packet);
    Ok(Head { ihl: ihl as u8, ip_len: ip_len as u16, ..*head })
}

#[cfg(test)]
mod tests;
