//! Stage 2 and the first step of a packet: the connection it belongs to, in either direction.

use super::open::{self, AllExpected};
use super::parse::Head;
use super::reset;
use crate::addr::{ConnId, Dir, Family, Proto};
use crate::conn::{Absent, Candidate};
use crate::frame::{BURST, Emit, Frame};
use crate::mem::Memory;
use crate::shard::{Shard, Shared};
use crate::snapshot::RealState;
use crate::time::Tick;
use crate::verdict::{DropReason, Exit};
use crate::wire::tcp::{ACK, FIN, RST, SYN};

/// Loads the connections of a burst, whose buckets are on their way.
#[inline(never)]
pub(super) fn warm<'a, M: Memory>(
    shared: &'a Shared,
    shard: &mut Shard<M>,
    heads: &mut [Head],
    expected: &mut AllExpected<'a>,
) {
    // A bit for each that may be in its second bucket.
    let (mut away, mut strangers) = (0u64, false);
    for (i, head) in heads.iter_mut().enumerate() {
        head.candidate = match shard.conns.candidate(head.hash) {
            Ok(candidate) => candidate,
            Err(Absent::Away) => {
                away |= 1 << (i % BURST);
                Candidate::NONE
            }
            Err(Absent::None) => {
                strangers = true;
                Candidate::NONE
            }
        };
    }
    if away != 0 {
        strangers |= second_buckets(shard, heads, away);
    }
    if strangers {
        open::expect(shared, shard, heads, expected);
    }
}

/// Looks for the packets of these bits in their second buckets. True when there is one that has no connection.
#[inline(never)]
fn second_buckets<M: Memory>(shard: &Shard<M>, heads: &mut [Head], mut away: u64) -> bool {
    let mut strangers = false;
    while let Some(head) = heads.get_mut(away.trailing_zeros() as usize) {
        head.candidate = shard.conns.second_candidate(head.hash);
        strangers |= head.candidate == Candidate::NONE;
        away &= away - 1;
    }
    strangers
}

/// A plain SYN: the only thing that opens a TCP connection.
#[inline(always)]
pub(super) fn opens(flags: u8) -> bool {
    flags & (SYN | ACK | FIN | RST) == SYN
}

/// The connection of a packet, unless it is dead, or closing and the client opens anew.
#[inline(always)]
pub(super) fn connection<M: Memory>(
    shared: &Shared,
    shard: &mut Shard<M>,
    now: Tick,
    frame: &Frame<'_>,
    head: &Head,
    emit: &mut Emit<'_>,
) -> Result<Option<(ConnId, Dir)>, Exit> {
    let Some((id, dir)) = shard.conns.find_from(head.candidate, head.hash, &head.key) else { return Ok(None) };
    if head.key.family() == Family::V6 && !shard.conns.is(id, dir, &head.tuple(frame.bytes())) {
        return Err(DropReason::TupleCollision.into());
    }
    let conn = shard.conns.conn(id);
    if now.reached(shared.deadline(conn)) {
        shard.close(now, id);
        return Ok(None);
    }
    if dir == Dir::In && opens(head.flags) && conn.state().is_closing() {
        shard.stats.lcore.reopened.add(1);
        shard.close(now, id);
        return Ok(None);
    }
    match shared.real_state(conn) {
        RealState::Present => Ok(Some((id, dir))),
        RealState::RemovedSilent => Err(DropReason::RealRemoved.into()),
        RealState::Absent | RealState::RemovedReset => removed(shared, shard, now, (id, dir), frame, head, emit),
    }
}

/// The server of a connection is no longer configured: TCP ends on both sides, UDP gets another server.
#[cold]
fn removed<M: Memory>(
    shared: &Shared,
    shard: &mut Shard<M>,
    now: Tick,
    (id, dir): (ConnId, Dir),
    frame: &Frame<'_>,
    head: &Head,
    emit: &mut Emit<'_>,
) -> Result<Option<(ConnId, Dir)>, Exit> {
    match (head.key.proto(), dir) {
        (Proto::Tcp, _) if head.flags & RST != 0 => Ok(Some((id, dir))),
        (Proto::Tcp, _) => {
            // A client that wants a new connection gets one, from a server that is there.
            let anew = dir == Dir::In && opens(head.flags);
            let told = reset::both_sides(shared, shard, (id, dir), frame, head, anew, emit);
            shard.close(now, id);
            if anew {
                return Ok(None);
            }
            Err(if told { DropReason::RealRemovedReset } else { DropReason::NoSpareFrame }.into())
        }
        (Proto::Udp, Dir::In) => {
            shard.close(now, id);
            Ok(None)
        }
        (Proto::Udp, Dir::Out) => Ok(Some((id, dir))),
    }
}
