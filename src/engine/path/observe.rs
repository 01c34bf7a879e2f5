//! What a packet does to its connection: state, last seen, counts. A packet that only prolongs touches no timer.

use super::parse::Head;
use crate::addr::{ConnId, Dir, Proto};
use crate::conn::flags;
use crate::conn::state::{State, Timeouts, tcp_next};
use crate::mem::Memory;
use crate::shard::{Shard, Shared};
use crate::time::Tick;
use crate::wire::tcp::{FIN, SYN};
use crate::wire::{FromBytes, tcp};

/// Notes a packet, whose frame has these bytes, before it is rewritten.
#[inline(always)]
pub(super) fn packet<M: Memory>(
    shared: &Shared,
    shard: &mut Shard<M>,
    now: Tick,
    (id, dir): (ConnId, Dir),
    bytes: &[u8],
    head: &Head,
) {
    let conn = shard.conns.conn(id);
    let timeouts = shared.timeouts(conn);
    shard.stats.traffic(conn.real).packet(dir, head.ip_len);
    match head.key.proto() {
        Proto::Tcp => {
            let l4 = bytes.get(head.l4()..).unwrap_or(&[]);
            let tcp = tcp::Header::ref_from_prefix(l4).ok().map(|(tcp, _)| tcp);
            segment(timeouts, shard, now, (id, dir), tcp, head);
        }
        Proto::Udp => shard.change(timeouts, now, id, State::Udp),
    }
}

/// Notes what a packet of TCP does to its connection.
#[inline(always)]
pub(super) fn segment<M: Memory>(
    timeouts: &Timeouts,
    shard: &mut Shard<M>,
    now: Tick,
    (id, dir): (ConnId, Dir),
    tcp: Option<&tcp::Header>,
    head: &Head,
) {
    if dir == Dir::In
        && head.flags & FIN != 0
        && let Some(tcp) = tcp
    {
        fin(shard, id, tcp, head);
    }
    let next = tcp_next(shard.conns.conn(id).state(), dir, head.flags);
    shard.change(timeouts, now, id, next);
}

/// The client's FIN: from now on the server expects just one sequence number.
#[inline(always)]
fn fin<M: Memory>(shard: &mut Shard<M>, id: ConnId, tcp: &tcp::Header, head: &Head) {
    let payload = usize::from(head.ip_len).saturating_sub(usize::from(head.ihl) + tcp.header_len()) as u32;
    let syn = u32::from(head.flags & SYN != 0);
    let next = tcp.seq.host().wrapping_add(payload).wrapping_add(syn + 1);
    let conn = shard.conns.conn_mut(id);
    if !conn.has(flags::EXT) {
        conn.ext = next;
        conn.flags |= flags::NEXT_SEQ;
        return;
    }
    let seat = conn.ext;
    if let Some(ext) = shard.exts.ext_mut(seat) {
        ext.next_seq = next.wrapping_add(ext.delta);
        ext.fin = 1;
    }
}
