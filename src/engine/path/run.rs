//! The short way for a burst: its frames from the first on, as long as all of them leave by one port. That is nearly always
//! the whole burst, which then goes out as it came in, without a frame being moved.

use super::hit::hit;
use super::parse::Head;
use crate::addr::PortId;
use crate::conn::Table;
use crate::frame::{BURST, Buffer};
use crate::shard::Tables;
use crate::time::Tick;
use crate::wire::ethernet;

/// So many packets before its turn, the counters of a packet's server are loaded: `GATUN_AHEAD` when gatun is built, from 1 to
/// 64; 8 if nothing is said. `make tune` measures some on a machine.
pub(super) const AHEAD: usize = match option_env!("GATUN_AHEAD") {
    None => 8,
    Some(ahead) => match usize::from_str_radix(ahead, 10) {
        Ok(ahead) if 1 <= ahead && ahead <= BURST => ahead,
        Ok(_) | Err(_) => panic!("GATUN_AHEAD is a number from 1 to 64"),
    },
};

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
/// of all. Behind the heads of the burst are [`AHEAD`] without a candidate.
///
/// Never inlined: the loop needs all registers for itself.
#[inline(never)]
pub fn run<B: Buffer>(tables: Tables<'_>, mut conns: Table<'_>, now: Tick, burst: &mut [B], heads: &[Head]) -> Run {
    let tables = tables.even();
    let (first, ahead) = heads.split_at(heads.len().min(AHEAD));
    for head in first {
        warm(&tables, &conns, head);
    }
    let port = heads.first().and_then(|head| leaves(&tables, &conns, head)).unwrap_or_default();
    let (mut frames, mut ip_bytes, mut end) = (0, 0, End::Burst);
    for (buf, (head, ahead)) in burst.iter_mut().zip(heads.iter().zip(ahead)) {
        warm(&tables, &conns, ahead);
        match hit(&tables, &mut conns, now, buf, head) {
            Some(way) if way == port => ip_bytes += u64::from(head.ip_len),
            other => {
                end = other.map_or(End::Other, End::Turns);
                break;
            }
        }
        frames += 1;
    }
    if end != End::Burst {
        for head in ahead.iter().skip(frames + 1) {
            warm(&tables, &conns, head);
        }
    }
    Run { port, frames, bytes: ip_bytes + (ethernet::LEN * frames) as u64, end }
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
