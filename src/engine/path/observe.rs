//! What a packet does to its connection: state, last seen, counts. A packet that only prolongs touches no timer.

use super::parse::Head;
use crate::addr::{ConnId, Dir, Proto};
use crate::conn::flags;
use crate::conn::state::{State, tcp_next};
use crate::frame::Frame;
use crate::mem::Memory;
use crate::shard::{Shard, Shared};
use crate::time::Tick;
use crate::wire::tcp::{FIN, SYN};
use crate::wire::{FromBytes, tcp};

/// Notes a packet, before it is rewritten.
#[inline(always)]
pub(super) fn packet<M: Memory>(
    shared: &Shared,
    shard: &mut Shard<M>,
    now: Tick,
    id: ConnId,
    dir: Dir,
    frame: &Frame<'_>,
    head: &Head,
) {
    let conn = shard.conns.conn(id);
    let next = match head.key.proto() {
        Proto::Tcp => tcp_next(conn.state(), dir, head.flags),
        Proto::Udp => State::Udp,
    };
    shard.stats.real(conn.real).packet(dir, head.ip_len);
    if dir == Dir::In && head.flags & FIN != 0 {
        fin(shard, id, frame, head);
    }
    shard.change(shared, now, id, next);
}

/// The client's FIN: from now on the server expects just one sequence number.
fn fin<M: Memory>(shard: &mut Shard<M>, id: ConnId, frame: &Frame<'_>, head: &Head) {
    let Ok((tcp, _)) = tcp::Header::ref_from_prefix(frame.bytes().get(head.l4()..).unwrap_or(&[])) else { return };
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
