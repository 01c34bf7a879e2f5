//! The rewrite: the connection's stored deltas, applied. Checksums are only ever updated (RFC 1624), so a corrupt packet
//! stays corrupt; all lengths were checked by the parser.

use super::parse::Head;
use crate::addr::{Be16, Be32, ConnId, Dir, Proto};
use crate::conn::flags;
use crate::conn::key::Key;
use crate::frame::Frame;
use crate::mem::Memory;
use crate::shard::{Shard, Shared};
use crate::wire::checksum::{self, Delta, DeltaSum};
use crate::wire::tcp::{self, ACK, SYN};
use crate::wire::{FromBytes, ipv4, udp};

/// Turns a packet into the one that goes on: addresses, ports, TTL less one, and for the few connections that need it
/// sequence numbers and the options of a SYN.
pub(super) fn apply<M: Memory>(
    shared: &Shared,
    shard: &Shard<M>,
    id: ConnId,
    dir: Dir,
    frame: &mut Frame<'_>,
    head: &Head,
) {
    let conn = shard.conns.conn(id);
    let new = conn.rewritten(dir);
    let (ip_delta, l4_delta) = (conn.ip_delta.toward(dir), conn.l4_delta.toward(dir));
    let unfinished = frame.meta.csum_unfinished;
    let Some(packet) = frame.bytes_mut().get_mut(usize::from(head.l3)..) else { return };
    let Some((ip, l4)) = packet.split_at_mut_checked(usize::from(head.ihl)) else { return };
    addresses(ip, &new, ip_delta);
    match new.proto() {
        Proto::Tcp => {
            let special = conn.has(flags::EXT) || head.flags & SYN != 0 && conn.has(flags::CLAMP | flags::HIDE_TS);
            let extra = if special { special_tcp(shared, shard, id, dir, l4) } else { Delta::ZERO };
            let Ok((tcp, _)) = tcp::Header::mut_from_prefix(l4) else { return };
            (tcp.sport, tcp.dport) = (new.sport(), new.dport());
            checksum::apply(&mut tcp.checksum, l4_delta.then(extra));
        }
        Proto::Udp => {
            let Ok((udp, _)) = udp::Header::mut_from_prefix(l4) else { return };
            (udp.sport, udp.dport) = (new.sport(), new.dport());
            checksum::apply_udp(&mut udp.checksum, l4_delta);
        }
    }
    if unfinished {
        let len = usize::from(head.ip_len - u16::from(head.ihl));
        if let Some(segment) = l4.get_mut(..len) {
            checksum::l4_fill(new.src(), new.dst(), new.proto() as u8, segment);
        }
    }
}

#[inline(always)]
fn addresses(ip: &mut [u8], new: &Key, delta: Delta) {
    if let Ok((ip, _)) = ipv4::Header::mut_from_prefix(ip) {
        header(ip, new, delta);
    }
}

#[inline(always)]
fn header(ip: &mut ipv4::Header, new: &Key, delta: Delta) {
    (ip.src, ip.dst) = (new.src(), new.dst());
    ip.ttl = ip.ttl.wrapping_sub(1);
    checksum::apply_both(&mut ip.checksum, delta, Delta::TTL_DOWN);
}

/// Sequence numbers and options. Gives what they add to the checksum.
#[cold]
fn special_tcp<M: Memory>(shared: &Shared, shard: &Shard<M>, id: ConnId, dir: Dir, segment: &mut [u8]) -> Delta {
    let conn = shard.conns.conn(id);
    let mut sum = DeltaSum::new();
    let Ok((tcp, rest)) = tcp::Header::mut_from_prefix(segment) else { return Delta::ZERO };
    let Some(options) = rest.get_mut(..tcp.header_len().saturating_sub(tcp::LEN)) else { return Delta::ZERO };
    if let Some(ext) = conn.has(flags::EXT).then(|| shard.exts.ext(conn.ext)).flatten() {
        sum = match dir {
            Dir::In => shift(sum, &mut tcp.seq, ext.delta),
            Dir::Out if tcp.has(ACK) => {
                let back = ext.delta.wrapping_neg();
                selective_acks(shift(sum, &mut tcp.ack, back), options, back)
            }
            Dir::Out => sum,
        };
    }
    if tcp.has(SYN) && conn.has(flags::CLAMP) {
        let client = shard.conns.tuple(id, Dir::In);
        let service = shared.snapshot().service(&client);
        if let Some(most) = service.and_then(|s| s.mss_clamp) {
            sum = clamp_mss(sum, options, most);
        }
    }
    if tcp.has(SYN) && dir == Dir::In && conn.has(flags::HIDE_TS) {
        sum = hide_timestamps(sum, options, &shard.stats.lcore.timestamps_hidden);
    }
    sum.fold()
}

fn shift(sum: DeltaSum, field: &mut Be32, by: u32) -> DeltaSum {
    let new = Be32::new(field.host().wrapping_add(by));
    let sum = sum.replace32(*field, new);
    *field = new;
    sum
}

/// Replaces bytes of the options from `at` on, if they are there.
fn replace(sum: DeltaSum, options: &mut [u8], at: usize, new: &[u8]) -> DeltaSum {
    let Some(old) = options.get_mut(at..at + new.len()) else { return sum };
    let sum = sum.replace_at(at, old, new);
    old.copy_from_slice(new);
    sum
}

/// SACK blocks (RFC 2018) are acknowledgements too.
fn selective_acks(mut sum: DeltaSum, options: &mut [u8], by: u32) -> DeltaSum {
    let Some(sack) = tcp::options(options).find(|o| o.kind == tcp::SACK) else { return sum };
    for at in sack.data().step_by(4) {
        let Some(edge) = options.get(at..at + 4).and_then(|b| Be32::read_from_bytes(b).ok()) else { return sum };
        sum = replace(sum, options, at, &edge.host().wrapping_add(by).to_be_bytes());
    }
    sum
}

fn clamp_mss(sum: DeltaSum, options: &mut [u8], most: u16) -> DeltaSum {
    let Some(mss) = tcp::options(options).find(|o| o.kind == tcp::MSS && o.len == 4) else { return sum };
    let at = mss.data().start;
    match options.get(at..at + 2).and_then(|b| Be16::read_from_bytes(b).ok()) {
        Some(offered) if offered.host() > most => replace(sum, options, at, &most.to_be_bytes()),
        Some(_) | None => sum,
    }
}

fn hide_timestamps(sum: DeltaSum, options: &mut [u8], hidden: &crate::stats::Counter) -> DeltaSum {
    let Some(ts) = tcp::options(options).find(|o| o.kind == tcp::TIMESTAMP && o.len == 10) else { return sum };
    hidden.add(1);
    replace(sum, options, ts.at, &[tcp::NOP; 10])
}
