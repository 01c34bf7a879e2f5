//! Which connection gives up its local port when every port towards a server is taken, or its seat when the table is full:
//! the oldest in TIME_WAIT or CLOSE, then the oldest half-open one, never one that is established.
//!
//! How many such connections there are is counted by the class of their port, so that no time is lost on classes that
//! have none. The ports of one (server, local address, class) are looked through at once, and the oldest are kept for the
//! next SYNs to that server, whatever their class: under a flood a SYN then costs 16 looks, not 504. So the oldest is the
//! oldest of a 128th, which on the whole is as good.
//!
//! A full table is the same question without a server: whose seat? Seats are looked through in order, a group at a time, and
//! the oldest of each group are kept, so that a flood of SYNs presses out its own and not the handshake of a moment ago.

use super::Shard;
use crate::addr::{Class, ConnId, EndpointId, Family, Proto};
use crate::conn::flags;
use crate::conn::state::{STATES, State};
use crate::conn::tuple::Tuple;
use crate::laddr::{LeaseId, Want};
use crate::mem::Memory;
use crate::steer::{CLASSES, Steer};
use crate::time::Tick;
use arrayvec::ArrayVec;

/// Candidates that are kept.
const KEPT: usize = 32;
/// Groups of ports that are looked through for one SYN, at most.
const GROUPS: usize = 8;
/// Candidates that are compared for one SYN, at most.
const CHOICE: usize = 8;
/// Seats of the table that are looked through at once.
const SEATS: usize = 128;
/// Of these, the connections that may be pressed out for the next SYNs: the oldest.
const KEPT_SEATS: usize = 16;

#[derive(Clone, Copy)]
struct Candidate {
    conn: ConnId,
    lease: LeaseId,
    last_seen: Tick,
}

/// Whose port can be taken, and where to look for more.
pub(super) struct Pressed {
    /// The server that the candidates are of.
    of: Option<EndpointId>,
    /// They are over; else they are half-open.
    over: bool,
    /// The oldest last.
    oldest: ArrayVec<Candidate, KEPT>,
    /// Connections by their rank and the class of their port. There is no fourth rank: but so no index is out of bounds.
    counts: [[u32; CLASSES]; 4],
    /// The class after the one that was looked through last.
    hand: u8,
    /// Whose seats can be taken, and when they were last seen; the oldest last.
    seats: ArrayVec<(ConnId, Tick), KEPT_SEATS>,
    /// The seat after the one that was looked at last.
    seat_hand: usize,
}

/// The rank of a connection by its state: 0 for those that are over, pressed out first, 1 for those that are half-open, 2 for
/// those that nobody presses out.
const RANKS: [u8; STATES] = {
    let mut ranks = [2; STATES];
    let mut i = 0;
    while i < STATES {
        if State::ALL[i].is_over() {
            ranks[i] = 0;
        } else if State::ALL[i].is_half_open() {
            ranks[i] = 1;
        }
        i += 1;
    }
    ranks
};

impl Default for Pressed {
    fn default() -> Self {
        Pressed {
            of: None,
            over: false,
            oldest: ArrayVec::new(),
            counts: [[0; CLASSES]; 4],
            hand: 0,
            seats: ArrayVec::new(),
            seat_hand: 0,
        }
    }
}

impl Pressed {
    /// A connection is over that was not: half-open candidates have lost their turn.
    pub(super) fn outdated(&mut self) {
        if !self.over {
            self.of = None;
        }
    }

    /// A connection with a port of this class goes from one state into another.
    #[inline(always)]
    pub(super) fn count(&mut self, class: Class, before: State, next: State) {
        let mut add = |state: State, n: u32| {
            let rank = usize::from(RANKS[state as usize]) % self.counts.len();
            let count = &mut self.counts[rank][class.index() % CLASSES];
            *count = count.wrapping_add(n);
        };
        add(before, u32::MAX);
        add(next, 1);
    }

    /// The classes with connections that are over, or half-open.
    fn classes(&self, over: bool) -> u128 {
        let counts = self.counts[usize::from(!over)].iter().enumerate();
        counts.fold(0, |set, (class, n)| set | u128::from(*n > 0) << class)
    }
}

impl<M: Memory> Shard<M> {
    /// The connection that gives up its port.
    pub(super) fn press(&mut self, steer: &Steer, want: &Want<'_>, proto: Proto, seq: u32) -> Option<ConnId> {
        if let Some(id) = self.kept(want.endpoint, seq) {
            return Some(id);
        }
        for over in [true, false] {
            let mut classes = self.pressed.classes(over);
            let mut from = want.class.0;
            for _ in 0..GROUPS {
                let Some(class) = first_from(classes, from) else { break };
                if want.pool.lips().len() == 1 {
                    classes &= !(1 << class);
                }
                self.pressed.hand = (class + 1) % CLASSES as u8;
                from = self.pressed.hand;
                self.look_through(steer, &Want { class: Class(class), ..*want }, proto, over);
                if let Some(id) = self.kept(want.endpoint, seq) {
                    return Some(id);
                }
            }
        }
        None
    }

    /// The next one of those that were found before: of the oldest few one whose server takes `seq` for new.
    fn kept(&mut self, endpoint: EndpointId, seq: u32) -> Option<ConnId> {
        if self.pressed.of != Some(endpoint) {
            return None;
        }
        let conns = &self.conns;
        let over = self.pressed.over;
        let fits = |c: &Candidate| {
            let conn = conns.conn(c.conn);
            let state = conn.state();
            let right = if over { state.is_over() } else { state.is_half_open() };
            right && conn.lease == c.lease && conn.last_seen == c.last_seen
        };
        let takes_it = |c: &Candidate| {
            let conn = conns.conn(c.conn);
            !conn.has(flags::NEXT_SEQ) || is_after(seq, conn.ext)
        };
        let oldest = &mut self.pressed.oldest;
        while oldest.last().is_some_and(|c| !fits(c)) {
            oldest.pop();
        }
        let last = oldest.len().checked_sub(1)?;
        let few = (0..=last).rev().take(CHOICE);
        let at = few.into_iter().find(|at| fits(&oldest[*at]) && takes_it(&oldest[*at])).unwrap_or(last);
        Some(oldest.remove(at).conn)
    }

    /// The connection that gives up its seat to a client of this family, of any server.
    pub(super) fn press_seat(&mut self, client: Family) -> Option<ConnId> {
        let end = match client {
            Family::V4 => self.conns.capacity(),
            Family::V6 => self.conns.wide_capacity(),
        };
        for _ in 0..GROUPS {
            while let Some((id, last_seen)) = self.pressed.seats.pop() {
                let conn = self.conns.conn(id);
                if id.index() < end
                    && conn.last_seen == last_seen
                    && (conn.state().is_over() || conn.state().is_half_open())
                {
                    return Some(id);
                }
            }
            if self.pressed.classes(true) | self.pressed.classes(false) == 0 {
                return None;
            }
            self.look_at_seats(end);
        }
        None
    }

    /// Finds the oldest that are over in the next group of the seats below `end`, or the oldest half-open ones if none is.
    fn look_at_seats(&mut self, end: usize) {
        let (conns, pressed) = (&self.conns, &mut self.pressed);
        let from = pressed.seat_hand % end.max(1);
        let group = from..(from + SEATS).min(end);
        pressed.seat_hand = group.end;
        for is in [State::is_over, State::is_half_open] {
            for seat in group.clone() {
                let id = ConnId(seat as u32);
                let conn = conns.conn(id);
                if is(conn.state()) {
                    keep(&mut pressed.seats, (id, conn.last_seen), |c| c.1);
                }
            }
            if !pressed.seats.is_empty() {
                return;
            }
        }
    }

    fn look_through(&mut self, steer: &Steer, want: &Want<'_>, proto: Proto, over: bool) {
        let mut oldest: ArrayVec<Candidate, KEPT> = ArrayVec::new();
        let conns = &self.conns;
        for (lease, lip, lport) in self.ports.taken(steer, want) {
            let reply = Tuple::new(want.rip, lip.addr, want.rport, lport, proto);
            let Some((id, _)) = conns.find_tuple(&reply) else { continue };
            let conn = conns.conn(id);
            if if over { conn.state().is_over() } else { conn.state().is_half_open() } {
                keep(&mut oldest, Candidate { conn: id, lease, last_seen: conn.last_seen }, |c| c.last_seen);
            }
        }
        (self.pressed.of, self.pressed.over, self.pressed.oldest) = (Some(want.endpoint), over, oldest);
    }
}

/// The first class of a set from one on, around the end.
fn first_from(set: u128, class: u8) -> Option<u8> {
    let left = set.rotate_right(u32::from(class) % CLASSES as u32);
    (left != 0).then(|| ((left.trailing_zeros() + u32::from(class)) % CLASSES as u32) as u8)
}

/// Puts a candidate into a list that is sorted with the oldest last, and keeps the oldest.
fn keep<T, const N: usize>(list: &mut ArrayVec<T, N>, c: T, last_seen: impl Fn(&T) -> Tick) {
    let at = list.iter().position(|o| last_seen(&c).reached(last_seen(o))).unwrap_or(list.len());
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

/// Does a server that expects `expected` take `seq` for new (RFC 9293, 3.4)?
fn is_after(seq: u32, expected: u32) -> bool {
    seq.wrapping_sub(expected) as i32 > 0
}
