//! ICMP: errors about packets of ours are translated with the packet they quote; echo requests go to the master.
//!
//! An error neither prolongs nor ends a connection (RFC 5508 REQ-6). Its outer source becomes the address that the
//! connection shows on that side, so that nothing of the inside leaks and a server needs no route to the router.

use super::output;
use super::parse::Head;
use super::{open, output::Way};
use crate::addr::{Be16, Be32, ConnId, Dir, Proto};
use crate::conn::flags;
use crate::conn::key::Key;
use crate::frame::{Emit, Frame};
use crate::mem::Memory;
use crate::shard::{Shard, Shared};
use crate::time::Tick;
use crate::verdict::{DropReason, Exit, PuntReason, Verdict};
use crate::wire::checksum::{self, Delta, DeltaSum};
use crate::wire::{FromBytes, icmp, ipv4, tcp, udp};

/// An echo request for an address of ours.
pub(super) fn echo(shared: &Shared, frame: &Frame<'_>, head: &Head) -> Exit {
    let ip = frame.bytes().get(usize::from(head.l3)..).unwrap_or(&[]);
    let Ok((ip, _)) = ipv4::Header::ref_from_prefix(ip) else { return DropReason::Bug.into() };
    if shared.snapshot().local(ip.src).is_some() {
        return DropReason::MartianSource.into();
    }
    match shared.snapshot().local(ip.dst).is_some() {
        true => PuntReason::Echo.into(),
        false => DropReason::NotLocal.into(),
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
    let Some((id, dir)) = shard.conns.find(head.hash, &head.key) else {
        open::home(shared, shard, frame, &head.tuple(frame.bytes()))?;
        return Err(DropReason::IcmpNoConnection.into());
    };
    let conn = shard.conns.conn(id);
    if now.reached(shared.deadline(conn)) {
        return Err(DropReason::IcmpNoConnection.into());
    }
    let way: Way = output::silent_way(shared, frame, head, conn.next_hops[dir as usize])?;
    rewrite(shard, id, dir, frame, head).ok_or(DropReason::IcmpQuote)?;
    output::send(frame, head, &way, emit)
}

fn rewrite<M: Memory>(shard: &Shard<M>, id: ConnId, dir: Dir, frame: &mut Frame<'_>, head: &Head) -> Option<()> {
    let conn = shard.conns.conn(id);
    let new = conn.rewritten(dir);
    let ext = conn.has(flags::EXT).then(|| shard.exts.ext(conn.ext)).flatten();
    // What the other side sees of the numbers in the quoted packet, which went the other way.
    let seq_shift = ext.map_or(0, |e| match dir {
        Dir::In => 0,
        Dir::Out => e.delta.wrapping_neg(),
    });
    let packet = frame.bytes_mut().get_mut(usize::from(head.l3)..usize::from(head.l3) + usize::from(head.ip_len))?;
    let (ip, message) = packet.split_at_mut_checked(usize::from(head.ihl))?;
    let (ip, _) = ipv4::Header::mut_from_prefix(ip).ok()?;
    let delta = DeltaSum::new().replace32(ip.src, new.src()).replace32(ip.dst, new.dst()).fold();
    (ip.src, ip.dst) = (new.src(), new.dst());
    ip.ttl = ip.ttl.wrapping_sub(1);
    checksum::apply_both(&mut ip.checksum, delta, Delta::TTL_DOWN);

    let (icmp, quote) = icmp::Header::mut_from_prefix(message).ok()?;
    let delta = requote(quote, &new.reversed(), seq_shift)?;
    checksum::apply(&mut icmp.checksum, delta);
    Some(())
}

/// Gives the quoted packet the tuple that the receiver sent it with, its checksums included as far as they are quoted.
/// Gives what that adds to the ICMP checksum.
fn requote(quote: &mut [u8], new: &Key, seq_shift: u32) -> Option<Delta> {
    let ihl = ipv4::Header::ref_from_prefix(quote).ok()?.0.header_len();
    let (header, l4) = quote.split_at_mut_checked(ihl)?;
    let (ip, _) = ipv4::Header::mut_from_prefix(header).ok()?;
    let addrs = DeltaSum::new().replace32(ip.src, new.src()).replace32(ip.dst, new.dst());
    let mut sum = addrs;
    (ip.src, ip.dst) = (new.src(), new.dst());
    let old = ip.checksum;
    checksum::apply(&mut ip.checksum, addrs.fold());
    sum = sum.replace16(old, ip.checksum);

    let (ports, _) = udp::Header::mut_from_prefix(l4).ok()?;
    let mut inner = addrs.replace16(ports.sport, new.sport()).replace16(ports.dport, new.dport());
    sum = sum.replace16(ports.sport, new.sport()).replace16(ports.dport, new.dport());
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
            if let Ok((tcp, _)) = tcp::Header::mut_from_prefix(l4) {
                let old: Be16 = tcp.checksum;
                checksum::apply(&mut tcp.checksum, inner.fold());
                sum = sum.replace16(old, tcp.checksum);
            }
        }
    }
    Some(sum.fold())
}
