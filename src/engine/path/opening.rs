//! The short way of a packet of IPv4 that opens a connection, when everything is as it was when the burst was looked at, and
//! neither asks for anything special. As with [`super::hit`], whatever asks for more takes the whole way, with nothing changed,
//! and that would have done the same with this packet.

use super::hit::{self, Way};
use super::parse::Head;
use crate::addr::{Be32, Dir, PortId, Proto};
use crate::frame::Buffer;
use crate::mem::Memory;
use crate::shard::{Expected, Shard, Shared, Tables};
use crate::time::Tick;
use crate::wire::{FromBytes, ethernet, ipv4};

/// Where the sequence number stands in a plain frame of TCP.
const SEQ: usize = ethernet::LEN + ipv4::LEN + 4;

/// Opens a connection, forwards the packet and gives the port by which it leaves; or does nothing.
#[inline(always)]
pub fn open<M: Memory, B: Buffer>(
    shared: &Shared,
    tables: &Tables<'_>,
    shard: &mut Shard<M>,
    now: Tick,
    buf: &mut B,
    (head, expected): (&Head, &Expected<'_>),
) -> Option<PortId> {
    if !expected.whole || head.keeps == hit::NONE {
        return None;
    }
    if shard.conns.may_have_come(head.hash) && shard.conns.find(head.hash, &head.key).is_some() {
        return None;
    }
    let conn = &expected.conn;
    let way = Way::of(tables, conn, Dir::In, head)?;
    let bytes = buf.bytes_mut();
    let seq = match head.key.proto() {
        Proto::Tcp => Be32::read_from_bytes(bytes.get(SEQ..SEQ + 4)?).ok()?.host(),
        Proto::Udp => 0,
    };
    shard.open_foreseen(shared, now, head.hash, seq, expected)?;
    let had = bytes.len();
    // Every plain frame is long enough; one that were not would take the rest of the whole way from here.
    way.rewrite(conn, Dir::In, bytes, head)?;
    let len = ethernet::LEN + usize::from(head.ip_len);
    if had != len {
        let start = buf.frame().head;
        buf.commit(start, len as u16);
    }
    way.traffic.packet(Dir::In, head.ip_len);
    Some(way.egress.port)
}
