//! The short way for a burst: its frames from the first on, as long as all of them leave by one port. That is nearly always
//! the whole burst, which then goes out as it came in, without a frame being moved.

use super::hit::hit;
use super::parse::Head;
use crate::addr::PortId;
use crate::conn::Table;
use crate::frame::Buffer;
use crate::shard::Tables;
use crate::time::Tick;
use crate::wire::ethernet;

/// So many packets before its turn, the counters of a packet's server are loaded.
const AHEAD: usize = 8;

/// Frames from the front of a burst that were forwarded.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// The port by which they leave.
    pub port: PortId,
    /// How many they are.
    pub frames: usize,
    /// Their bytes.
    pub bytes: u64,
    /// What comes after them.
    pub end: End,
}

/// What ends a [`Run`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The burst.
    Burst,
    /// A frame that was forwarded too, but leaves by another port.
    Turns(PortId),
    /// A frame that does not take the short way.
    Other,
}

/// Forwards frames from the front of a burst, whose connections should be in the cache, and loads the counters of the servers
/// of all.
///
/// Never inlined: the loop needs all registers for itself.
#[inline(never)]
pub fn run<B: Buffer>(tables: Tables<'_>, mut conns: Table<'_>, now: Tick, burst: &mut [B], heads: &[Head]) -> Run {
    let tables = tables.even();
    for head in heads.iter().take(AHEAD) {
        warm(&tables, &conns, head);
    }
    let port = heads.first().and_then(|head| leaves(&tables, &conns, head)).unwrap_or_default();
    let mut bytes = 0;
    for (i, (buf, head)) in burst.iter_mut().zip(heads).enumerate() {
        if let Some(head) = heads.get(i + AHEAD) {
            warm(&tables, &conns, head);
        }
        let end = match hit(&tables, &mut conns, now, buf, head) {
            Some(way) if way == port => {
                bytes += frame_len(head);
                continue;
            }
            Some(way) => End::Turns(way),
            None => End::Other,
        };
        for head in heads.iter().skip(i + AHEAD + 1) {
            warm(&tables, &conns, head);
        }
        return Run { port, frames: i, bytes, end };
    }
    Run { port, frames: heads.len(), bytes, end: End::Burst }
}

#[inline(always)]
fn warm(tables: &Tables<'_>, conns: &Table<'_>, head: &Head) {
    if let Some(real) = conns.real_of(head.candidate) {
        tables.prefetch(real);
    }
}

/// The port by which a packet most likely leaves.
fn leaves(tables: &Tables<'_>, conns: &Table<'_>, head: &Head) -> Option<PortId> {
    conns.next_hop(head.candidate).map(|hop| tables.egresses.towards(tables.hops.hop(hop)).port)
}

/// The bytes of a plain frame, once it was forwarded.
#[inline(always)]
fn frame_len(head: &Head) -> u64 {
    (ethernet::LEN + usize::from(head.ip_len)) as u64
}
