//! Which connection gives up its local port when every port towards a server is taken: the oldest in TIME_WAIT or CLOSE,
//! then the oldest half-open one, never one that is established.
//!
//! The ports of one (server, local address, class) are looked through at once, and the oldest are kept for the next SYNs
//! to that server, whatever their class: under a flood a SYN then costs 16 looks, not 504. So the oldest is the oldest of
//! a 128th, which on the whole is as good.

use super::Shard;
use crate::addr::{ConnId, EndpointId, Proto};
use crate::conn::key::Key4;
use crate::laddr::{LeaseId, Want};
use crate::mem::Memory;
use crate::time::Tick;
use arrayvec::ArrayVec;

/// Candidates that are kept.
const KEPT: usize = 32;
/// Groups of ports that are looked through for one SYN, at most.
const GROUPS: usize = 8;

#[derive(Clone, Copy)]
struct Candidate {
    conn: ConnId,
    lease: LeaseId,
    last_seen: Tick,
}

/// The candidates for one endpoint, the oldest last.
#[derive(Default)]
pub(super) struct Pressed {
    of: Option<EndpointId>,
    over: bool,
    oldest: ArrayVec<Candidate, KEPT>,
}

impl Pressed {
    /// A connection is over that was not: half-open candidates have lost their turn.
    pub(super) fn outdated(&mut self) {
        if !self.over {
            self.of = None;
        }
    }
}

impl<M: Memory> Shard<M> {
    /// The connection that gives up its port.
    pub(super) fn press(&mut self, want: &Want<'_>, proto: Proto) -> Option<ConnId> {
        for _ in 0..=GROUPS {
            if self.pressed.of == Some(want.endpoint) {
                while let Some(c) = self.pressed.oldest.pop() {
                    let conn = self.conns.conn(c.conn);
                    let state = conn.state();
                    let fits = if self.pressed.over { state.is_over() } else { state.is_half_open() };
                    if fits && conn.lease == c.lease && conn.last_seen == c.last_seen {
                        return Some(c.conn);
                    }
                }
            }
            self.look_through(want, proto);
            self.pressed.of = Some(want.endpoint);
        }
        None
    }

    fn look_through(&mut self, want: &Want<'_>, proto: Proto) {
        let mut over: ArrayVec<Candidate, KEPT> = ArrayVec::new();
        let mut half_open: ArrayVec<Candidate, KEPT> = ArrayVec::new();
        let conns = &self.conns;
        for (lease, lip, lport) in self.ports.taken(&self.steer, want) {
            let key = Key4::new(want.rip, lip.addr, want.rport, lport, proto);
            let Some((id, _)) = conns.find(conns.hash(&key), &key) else { continue };
            let conn = conns.conn(id);
            let candidate = Candidate { conn: id, lease, last_seen: conn.last_seen };
            if conn.state().is_over() {
                keep(&mut over, candidate);
            } else if conn.state().is_half_open() {
                keep(&mut half_open, candidate);
            }
        }
        self.pressed.over = !over.is_empty();
        self.pressed.oldest = if over.is_empty() { half_open } else { over };
    }
}

/// Puts a candidate into a list that is sorted with the oldest last, and keeps the oldest.
fn keep(list: &mut ArrayVec<Candidate, KEPT>, c: Candidate) {
    let at = list.iter().position(|o| c.last_seen.reached(o.last_seen)).unwrap_or(list.len());
    if list.is_full() {
        if at == 0 {
            return;
        }
        list.remove(0);
        list.insert(at - 1, c);
    } else {
        list.insert(at, c);
    }
}
