//! The second short way: a plain packet that takes its connection a step on, from one state to the next, or comes while it
//! is in one that most packets do not see, as in a handshake or at the end. As [`super::hit`] it looks first and writes
//! last, with the same rewrite, and the same property test holds it against the whole way.

use super::hit::{NONE, Way};
use super::lookup;
use super::observe;
use super::parse::Head;
use crate::addr::{Dir, PortId};
use crate::conn::state::State;
use crate::conn::{Conn, flags};
use crate::frame::Buffer;
use crate::mem::Memory;
use crate::shard::{Shard, Shared, Tables};
use crate::time::Tick;
use crate::wire::tcp::SYN;
use crate::wire::{FromBytes, ethernet, plain};

/// The second short way: forwards a packet and gives the port by which it leaves, or does nothing.
#[inline(always)]
pub fn step<M: Memory, B: Buffer>(
    shared: &Shared,
    tables: &Tables<'_>,
    shard: &mut Shard<M>,
    now: Tick,
    buf: &mut B,
    head: &Head,
) -> Option<PortId> {
    if head.keeps == NONE || head.keeps == State::Udp as u8 {
        return None;
    }
    let (id, dir) = shard.conns.confirm_seat(head.candidate, &head.key)?;
    let conn = shard.conns.conn(id);
    let timeouts = shared.timeouts(conn);
    if now.reached(conn.last_seen + timeouts.of(conn.state())) || asks_for_more(conn, dir, head) {
        return None;
    }
    let way = Way::of(tables, conn, dir, head)?;
    let bytes = buf.bytes_mut();
    let had = bytes.len();
    way.rewrite(conn, dir, bytes, head)?;
    way.traffic.packet(dir, head.ip_len);
    // The sequence number is still the one that it came with.
    let tcp = plain::Tcp::ref_from_prefix(bytes).ok().map(|(frame, _)| &frame.tcp);
    observe::segment(timeouts, shard, now, (id, dir), tcp, head);
    // Padding ends here, as in `output::send`.
    let len = ethernet::LEN + usize::from(head.ip_len);
    if had != len {
        let start = buf.frame().head;
        buf.commit(start, len as u16);
    }
    Some(way.egress.port)
}

/// Does a packet open a connection anew, or is there more to change in it than addresses and ports?
#[inline(always)]
fn asks_for_more(conn: &Conn, dir: Dir, head: &Head) -> bool {
    if head.flags & SYN == 0 {
        return conn.has(flags::EXT | flags::WIDE);
    }
    conn.has(flags::SPECIAL) || dir == Dir::In && lookup::opens(head.flags) && conn.state().is_closing()
}
