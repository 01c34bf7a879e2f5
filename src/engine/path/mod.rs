//! The way of a packet.
//!
//! ```text
//!   rx -> parse -> warm -> | lookup -> (open) -> way out -> observe -> rewrite -> output | -> tx
//! ```
//!
//! The first two stages are loops over the burst, so that its cache misses overlap: buckets first, then connections.
//! The rest goes packet by packet, in the order of arrival, on lines that are in the cache by then: what one packet opens
//! or ends is seen by the next one of the same burst, and a burst of 64 does the same as 64 bursts of one.

pub mod parse;

mod icmp;
mod lookup;
mod observe;
mod open;
mod output;
mod reset;
mod rewrite;

use crate::frame::Burst;
use crate::mem::Memory;
use crate::shard::Shard;
use crate::time::Tick;
use crate::verdict::{Exit, Verdict};
use parse::{Head, Kind};

/// The way of one burst: every frame gets its verdict, and leaves rewritten if that is `Tx` or `Hold`.
pub fn forward<M: Memory>(shard: &mut Shard<M>, now: Tick, burst: &mut Burst<'_>) {
    parse::headers(shard, burst);
    lookup::warm(shard, burst);
    burst.verdicts.clear();
    for i in 0..burst.heads.len() {
        let verdict = serve(shard, now, burst, i).unwrap_or_else(Verdict::from);
        burst.verdicts.push(verdict);
    }
}

/// The way of one packet.
#[inline(always)]
fn serve<M: Memory>(shard: &mut Shard<M>, now: Tick, burst: &mut Burst<'_>, i: usize) -> Result<Verdict, Exit> {
    let head: &Head = &burst.heads[i];
    let frame = &mut burst.frames[i];
    let emit = &mut burst.emit;
    emit.caused_by(i);
    match head.kind {
        Kind::Flow => {}
        Kind::Early(exit) => return Err(exit),
        Kind::IcmpError => return icmp::translate(shard, now, frame, head, emit),
        Kind::Echo => return Err(icmp::echo(shard, frame, head)),
    }
    let (conn, dir) = match lookup::connection(shard, now, frame, head, emit)? {
        Some(hit) => hit,
        None => open::miss(shard, now, frame, head, emit)?,
    };
    let way = output::way(shard, frame, head, shard.conns.conn(conn).next_hops[dir as usize])?;
    observe::packet(shard, now, conn, dir, frame, head);
    rewrite::apply(shard, conn, dir, frame, head);
    output::send(frame, head, &way, emit)
}
