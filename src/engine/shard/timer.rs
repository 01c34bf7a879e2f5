//! The timers of connections: when each is dead, where its entry is filed, and what happens when entries fire.

use super::{Shard, Shared};
use crate::addr::{ConnId, Dir};
use crate::conn::index::Spot;
use crate::conn::state::{State, Timeouts};
use crate::conn::{Conn, flags};
use crate::laddr::LeaseId;
use crate::mem::Memory;
use crate::time::{Tick, Ticks};
use arrayvec::ArrayVec;

/// Quarantines of local ports that are looked at in a tick: a quarter of a million in a minute.
const SWEPT: usize = 64;
/// Lists of local ports whose fill is looked at in a tick: sixty thousand in half a minute.
const COUNTED: u32 = 32;
/// Timer entries that are worked on together.
const GROUP: usize = 32;

/// A connection that ends.
pub(super) struct Due {
    pub(super) id: ConnId,
    lease: LeaseId,
    /// The hash of the key of its replies.
    pub(super) reply: u64,
    /// Where the entries of both keys may stand.
    pub(super) spots: [Spot; 2],
}

impl Shared {
    /// When a connection is dead unless another packet comes.
    #[inline(always)]
    pub fn deadline(&self, conn: &Conn) -> Tick {
        conn.last_seen + self.timeouts(conn).of(conn.state())
    }

    /// When the timer of a connection that begins fires first: no later than its deadline.
    #[inline(always)]
    pub(super) fn first_deadline(&self, conn: &Conn) -> Tick {
        conn.last_seen + self.timeouts(conn).first(conn.state())
    }

    /// How long a connection stays in each state.
    #[inline(always)]
    pub fn timeouts(&self, conn: &Conn) -> &Timeouts {
        let profiles = &self.snapshot.profiles;
        profiles.get(usize::from(conn.profile)).unwrap_or_else(|| general(profiles))
    }
}

/// The timeouts of a service that has none of its own.
#[cold]
fn general(profiles: &[Timeouts]) -> &Timeouts {
    const NONE: Timeouts = Timeouts::all(Ticks::from_secs(60));
    profiles.first().unwrap_or(&NONE)
}

impl Conn {
    /// Whether it has a timer entry that fires no later than this.
    #[inline(always)]
    pub(super) fn is_filed_by(&self, deadline: Tick) -> bool {
        self.has(flags::FILED) && deadline.reached(self.filed)
    }
}

impl<M: Memory> Shard<M> {
    /// Sees to it that the timer of a connection fires no later than its deadline. False when the wheel is full.
    #[inline(always)]
    pub(super) fn file(&mut self, shared: &Shared, id: ConnId) -> bool {
        let deadline = shared.deadline(self.conns.conn(id));
        self.file_by(id, deadline)
    }

    /// Sees to it that the timer of a connection fires no later than a time. False when the wheel is full.
    #[inline(always)]
    pub(super) fn file_by(&mut self, id: ConnId, deadline: Tick) -> bool {
        self.conns.conn(id).is_filed_by(deadline) || self.file_at(id, deadline)
    }

    /// Files an entry that fires no later than a deadline, when there is none.
    pub(super) fn file_at(&mut self, id: ConnId, deadline: Tick) -> bool {
        let has_entry = self.conns.conn(id).has(flags::FILED);
        // Entries left behind by earlier deadlines must not take the room of those that count.
        let left_behind = self.wheel.pending().saturating_sub(self.filed);
        if has_entry && left_behind >= self.conns.capacity() {
            self.stats.lcore.timers_late.add(1);
            return true;
        }
        let Ok(at) = self.wheel.file(id, deadline) else { return has_entry };
        let conn = self.conns.conn_mut(id);
        conn.filed = at;
        conn.flags |= flags::FILED;
        self.filed += usize::from(!has_entry);
        true
    }

    /// Ends what is past its deadline: at most `budget` timer entries. Gives how many it looked at.
    ///
    /// Entries are taken in groups, and what their ends need is loaded for the whole group: so the misses overlap.
    pub fn expire(&mut self, shared: &Shared, now: Tick, budget: usize) -> usize {
        if self.swept != now {
            self.swept = now;
            self.ports.sweep(now, SWEPT);
            self.ports.census(now, &self.stats.lips, COUNTED);
            self.count_tables();
        }
        let mut done = 0;
        while done < budget {
            let mut popped: ArrayVec<(ConnId, Tick), GROUP> = ArrayVec::new();
            let most = GROUP.min(budget - done);
            while popped.len() < most
                && let Some((ids, at)) = self.wheel.pop_some(now, most - popped.len())
            {
                for id in ids.iter().rev().map(|id| ConnId(*id)) {
                    self.conns.prefetch(id);
                    popped.push((id, at));
                }
            }
            if popped.is_empty() {
                break;
            }
            done += popped.len();
            let mut group: ArrayVec<Due, GROUP> = ArrayVec::new();
            for (id, at) in &popped {
                if self.fires(shared, now, *id, *at) {
                    group.push(self.due(*id));
                }
            }
            for due in &group {
                self.conns.prefetch_rest(&due.spots);
                self.ports.prefetch_around(due.lease);
            }
            for due in &group {
                self.close_at(now, due);
            }
        }
        self.count_now();
        done
    }

    /// A timer entry fires: true for one that ends its connection. Any other is left behind by an earlier deadline, or of a free
    /// seat, or its connection goes on.
    #[inline(always)]
    fn fires(&mut self, shared: &Shared, now: Tick, id: ConnId, at: Tick) -> bool {
        let conn = self.conns.conn_mut(id);
        if !conn.has(flags::FILED) || conn.filed != at {
            return false;
        }
        conn.flags &= !flags::FILED;
        self.filed -= 1;
        if conn.state() == State::None {
            return false;
        }
        let ends = now.reached(shared.deadline(conn));
        if !ends {
            self.reroute(shared, id);
            self.file(shared, id);
        }
        ends
    }

    /// What the end of a connection needs, which is loaded.
    #[inline(always)]
    pub(super) fn due(&self, id: ConnId) -> Due {
        let conn = self.conns.conn(id);
        let hashes = [self.conns.hash(&conn.keys[0]), self.conns.hash(&conn.keys[1])];
        let spots = self.conns.prefetch_removal(hashes);
        self.ports.prefetch_lease(conn.lease);
        self.stats.prefetch_conns(conn.real);
        if conn.state().is_closing() {
            self.recent.prefetch(hashes[1]);
        }
        Due { id, lease: conn.lease, reply: hashes[1], spots }
    }

    /// Follows a change of routes; called whenever a timer entry of a live connection fires.
    fn reroute(&mut self, shared: &Shared, id: ConnId) {
        let (client, reply) = (self.conns.tuple(id, Dir::In), self.conns.tuple(id, Dir::Out));
        if let (Ok(server), Ok(client)) = (shared.next_hop(reply.src()), shared.next_hop(client.src())) {
            self.conns.conn_mut(id).next_hops = [server, client];
        }
    }
}
