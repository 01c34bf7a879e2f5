//! The way of a packet.
//!
//! ```text
//!   rx -> parse -> warm -> | hit, or: lookup -> (open) -> way out -> observe -> rewrite -> output | -> tx
//! ```
//!
//! The first two stages are loops over the burst, so that its cache misses overlap: buckets first, then connections.
//! The rest goes packet by packet, in the order of arrival, on lines that are in the cache by then: what one packet opens
//! or ends is seen by the next one of the same burst, and a burst of 64 does the same as 64 bursts of one. [`hit`] is a
//! short cut through all of it for the packets that ask for nothing special, which are nearly all.

pub mod parse;

mod hit;
mod icmp;
mod lookup;
mod observe;
mod open;
mod output;
mod reset;
mod rewrite;

use crate::frame::{Burst, Emit, Frame, Outcome, Outcomes};
use crate::mem::Memory;
use crate::shard::Shard;
use crate::time::Tick;
use crate::verdict::{Exit, Verdict};
use parse::{Head, Kind};

/// The way of one burst: every frame gets its outcome, and leaves rewritten if that is `Tx` or `Hold`.
pub fn forward<M: Memory>(shard: &mut Shard<M>, now: Tick, burst: &mut Burst<'_>, outcomes: &mut Outcomes) {
    parse::headers(shard, burst);
    lookup::warm(shard, burst);
    for (i, (frame, head)) in burst.frames.iter_mut().zip(&burst.heads).enumerate() {
        let verdict = match hit::forward(shard, now, frame, head) {
            Some(verdict) => verdict,
            None => {
                burst.emit.caused_by(i);
                serve(shard, now, frame, head, &mut burst.emit).unwrap_or_else(Verdict::from)
            }
        };
        outcomes.push(Outcome { verdict, head: frame.head, len: frame.len });
    }
}

/// The whole way of one packet.
fn serve<M: Memory>(
    shard: &mut Shard<M>,
    now: Tick,
    frame: &mut Frame<'_>,
    head: &Head,
    emit: &mut Emit<'_>,
) -> Result<Verdict, Exit> {
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
