//! The way of a packet.
//!
//! ```text
//!   rx -> parse -> warm -> | hit, or step, or: lookup -> (open) -> way out -> observe -> rewrite -> output | -> tx
//! ```
//!
//! The first two stages are loops over the burst, so that its cache misses overlap: buckets first, then connections.
//! The rest goes packet by packet, in the order of arrival, on lines that are in the cache by then: what one packet opens
//! or ends is seen by the next one of the same burst, and a burst of 64 does the same as 64 bursts of one. [`hit`] is a
//! short cut through all of it for the packets that ask for nothing special, which are nearly all; [`hit_wide`] is the one
//! for connections whose client comes over IPv6. [`step()`] is the short cut for the packets of handshakes and closes.
//!
//! The families differ in two places: what a packet is ([`parse::v6`]), and which IP header it leaves with (`wide`). What is
//! between them knows keys, connections and lengths.

pub mod parse;

mod hit;
mod icmp;
mod lookup;
mod observe;
mod open;
mod opening;
mod output;
mod part;
mod reset;
mod rewrite;
mod run;
mod step;
mod wide;

use crate::addr::{Dir, LcoreId};
use crate::conn::Candidate;
use crate::frame::{BURST, Buffer, Emit, Frame};
use crate::mem::Memory;
use crate::shard::{Expected, Shard, Shared};
use crate::steer::Steer;
use crate::time::Tick;
use crate::verdict::{Exit, Verdict};
pub use hit::{hit, may_hit};
pub use open::AllExpected;
pub use opening::open;
use parse::{Head, Kind};
pub use part::{Homes, Parting};
pub use run::{End, Run, run};
pub use step::step;
pub use wide::hit as hit_wide;

/// What the frames of a burst are, and some without a candidate behind the last. It is only ever overwritten.
pub type Heads = [Head; BURST + run::AHEAD];

/// Looks at every frame of a burst, and has its lines of the tables loaded. Gives the bytes of all frames. As many of
/// `heads` are valid as the burst has frames, some without a candidate are behind them, and `expected`, which is empty before,
/// is for those that may open a connection.
#[inline(always)]
pub fn look<'a, M: Memory, B: Buffer>(
    shared: &'a Shared,
    shard: &mut Shard<M>,
    burst: &mut [B],
    heads: &mut Heads,
    expected: &mut AllExpected<'a>,
) -> u64 {
    shard.conns.look_again();
    let bytes = parse::headers(shared, shard, burst, heads);
    let (heads, behind) = heads.split_at_mut(burst.len().min(BURST));
    behind.iter_mut().take(run::AHEAD).for_each(|head| head.candidate = Candidate::NONE);
    lookup::warm(shared, shard, heads, expected);
    bytes
}

/// The heads of a burst of so many frames, and those behind them: what [`run`] takes.
#[inline(always)]
pub fn with_ahead(heads: &Heads, frames: usize) -> &[Head] {
    heads.get(..frames + run::AHEAD).unwrap_or(heads)
}

/// What becomes of a packet of no connection, when that was plain from the first look at it, and still is.
#[inline(always)]
pub fn refusal<M: Memory>(shard: &Shard<M>, head: &Head) -> Option<Exit> {
    match head.kind {
        Kind::Stranger(exit) if !shard.conns.may_have_come(head.hash) => Some(exit),
        Kind::Stranger(_) | Kind::Opens(_) | Kind::Flow | Kind::Early(_) | Kind::IcmpError | Kind::Echo => None,
    }
}

/// What is expected of a packet that may open a connection.
#[inline(always)]
pub fn expected<'e, 'a>(head: &Head, all: &'e AllExpected<'a>) -> Option<&'e Expected<'a>> {
    match head.kind {
        Kind::Opens(n) => all.get(usize::from(n)),
        Kind::Stranger(_) | Kind::Flow | Kind::Early(_) | Kind::IcmpError | Kind::Echo => None,
    }
}

/// The lcore that a packet belongs to, if it is another one: what it asks for is seen to there. The hash of a card
/// counts, when it is of one whose hashes are ours.
#[inline(always)]
pub fn elsewhere<M: Memory, B: Buffer>(shared: &Shared, shard: &Shard<M>, buf: &mut B, head: &Head) -> Option<LcoreId> {
    if shared.steer.lcores() == 1
        || head.kind != Kind::Flow
        || shard.whole_way
        || parse::judge(head, buf.bytes()).is_err()
    {
        return None;
    }
    let rss = buf.frame().meta.rss.filter(|_| head.is_hashed_alike());
    let class = rss.map_or_else(|| shared.class_of(&head.tuple(buf.bytes())), Steer::class);
    Some(shared.steer.owner(class)).filter(|owner| *owner != shard.id)
}

/// The whole way of one frame: what is to be done with it. It leaves rewritten if that is `Tx` or `Hold`.
pub fn serve<M: Memory>(
    shared: &Shared,
    shard: &mut Shard<M>,
    now: Tick,
    frame: &mut Frame<'_>,
    (head, expected): (&Head, &AllExpected<'_>),
    emit: &mut Emit<'_>,
) -> Verdict {
    stages(shared, shard, now, frame, (head, expected), emit).unwrap_or_else(Verdict::from)
}

fn stages<M: Memory>(
    shared: &Shared,
    shard: &mut Shard<M>,
    now: Tick,
    frame: &mut Frame<'_>,
    (head, expected): (&Head, &AllExpected<'_>),
    emit: &mut Emit<'_>,
) -> Result<Verdict, Exit> {
    let (conn, dir) = match head.kind {
        Kind::Early(exit) => return Err(exit),
        Kind::IcmpError => return icmp::translate(shared, shard, now, frame, head, emit),
        Kind::Echo => return Err(icmp::echo(shared, frame, head)),
        Kind::Opens(n) => {
            let may_be_there = shard.conns.may_have_come(head.hash);
            let found = if may_be_there { lookup::connection(shared, shard, now, frame, head, emit)? } else { None };
            match (found, expected.get(usize::from(n))) {
                (Some(hit), _) => hit,
                (None, None) => open::miss(shared, shard, now, frame, head, emit)?,
                (None, Some(expected)) => {
                    let asked = (&head.key.tuple4(), expected.conn.class, expected.service);
                    let conn = open::open(shared, shard, now, frame, head, asked, emit)?;
                    let tables = shared.tables(&shard.stats);
                    if let Some(port) = hit::opened(&tables, &shard.conns, conn, frame, head) {
                        return Ok(Verdict::Tx(port));
                    }
                    (conn, Dir::In)
                }
            }
        }
        Kind::Flow | Kind::Stranger(_) => {
            parse::judge(head, frame.bytes())?;
            match lookup::connection(shared, shard, now, frame, head, emit)? {
                Some(hit) => hit,
                None => open::miss(shared, shard, now, frame, head, emit)?,
            }
        }
    };
    let (leaves, hop) = (shard.conns.leaves(conn, dir), shard.conns.conn(conn).next_hops[dir as usize]);
    let way = output::way(shared, frame, head, leaves, hop)?;
    observe::packet(shared, shard, now, (conn, dir), frame.bytes(), head);
    let head = rewrite::apply(shared, shard, conn, dir, frame, head)?;
    output::send(frame, &head, &way, emit)
}
