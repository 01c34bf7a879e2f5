//! What is remembered of local ports that were given back a short time ago, so that a server that still holds the old
//! connection in TIME_WAIT takes the next SYN at once.
//!
//! Linux takes a SYN in TIME_WAIT when its sequence number is after the last one, or its timestamp is newer, and its
//! timestamp is not older (`tcp_timewait_state_process`; RFC 6191). So the sequence number that the server expects
//! next is kept by lease, in a table without chains: a later entry replaces an earlier one of the same seat.

use crate::laddr::LeaseId;
use crate::mem::{Memory, OutOfMemory};
use crate::time::{Tick, Ticks};

/// How long Linux keeps TIME_WAIT, and a little: older entries say nothing.
const TIME_WAIT: Ticks = Ticks::from_secs(61);

#[derive(Clone, Copy, zerocopy::FromZeros)]
#[repr(C)]
struct Entry {
    /// The lease plus 1; 0 is free.
    lease: u32,
    next_seq: u32,
    at: Tick,
}

/// See the module.
pub struct Recent<M: Memory> {
    entries: M::Slice<Entry>,
}

impl<M: Memory> Recent<M> {
    /// Room for `entries`, rounded up to a power of two.
    pub fn new(memory: &M, entries: usize) -> Result<Self, OutOfMemory> {
        Ok(Recent { entries: memory.zeroed(entries.next_power_of_two())? })
    }

    fn seat(&self, lease: LeaseId) -> usize {
        ((u64::from(lease.0.wrapping_mul(0x9E37_79B1)) * self.entries.len() as u64) >> 32) as usize
    }

    /// The connection of this lease has ended; its server expects `next_seq` from the client.
    pub fn remember(&mut self, lease: LeaseId, next_seq: u32, now: Tick) {
        let seat = self.seat(lease);
        self.entries[seat] = Entry { lease: lease.0.wrapping_add(1), next_seq, at: now };
    }

    /// What the server of the last connection of this lease expects, if it may still remember it.
    pub fn recall(&self, lease: LeaseId, now: Tick) -> Option<u32> {
        let e = &self.entries[self.seat(lease)];
        (e.lease == lease.0.wrapping_add(1) && now.since(e.at) < TIME_WAIT).then_some(e.next_seq)
    }
}

/// Sequence numbers of a connection whose client's are too low for its server: `delta` is added towards the server.
#[derive(Clone, Copy, zerocopy::FromZeros, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Ext {
    /// Added to the client's sequence numbers, taken from the server's acknowledgements.
    pub delta: u32,
    /// What the server expects next from the client, once its FIN was seen (in the server's numbers).
    pub next_seq: u32,
    /// 1 once the client's FIN was seen.
    pub fin: u32,
    /// In a free seat: the next free one, plus 1.
    next_free: u32,
}

/// A bounded slab of [`Ext`].
pub struct Exts<M: Memory> {
    slab: M::Slice<Ext>,
    free: u32,
    fresh: u32,
}

impl<M: Memory> Exts<M> {
    /// Room for `capacity`.
    pub fn new(memory: &M, capacity: usize) -> Result<Self, OutOfMemory> {
        Ok(Exts { slab: memory.zeroed(capacity.max(1))?, free: 0, fresh: 0 })
    }

    /// No seat is free.
    pub fn is_full(&self) -> bool {
        self.free == 0 && self.fresh as usize >= self.slab.len()
    }

    /// Takes a seat. `None` when there is none.
    pub fn take(&mut self, delta: u32) -> Option<u32> {
        let seat = if self.free != 0 {
            let seat = self.free - 1;
            self.free = self.slab[seat as usize].next_free;
            seat
        } else if (self.fresh as usize) < self.slab.len() {
            self.fresh += 1;
            self.fresh - 1
        } else {
            return None;
        };
        self.slab[seat as usize] = Ext { delta, next_seq: 0, fin: 0, next_free: 0 };
        Some(seat)
    }

    /// Gives a seat back.
    pub fn give_back(&mut self, seat: u32) {
        if let Some(e) = self.slab.get_mut(seat as usize) {
            e.next_free = self.free;
            self.free = seat + 1;
        }
    }

    /// What is in a seat.
    #[inline(always)]
    pub fn ext(&self, seat: u32) -> Option<&Ext> {
        self.slab.get(seat as usize)
    }
    /// What is in a seat.
    #[inline(always)]
    pub fn ext_mut(&mut self, seat: u32) -> Option<&mut Ext> {
        self.slab.get_mut(seat as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::Heap;

    #[test]
    fn a_lease_is_remembered_for_as_long_as_linux_keeps_time_wait() {
        let mut r = Recent::<Heap>::new(&Heap, 16).unwrap();
        r.remember(LeaseId(0), 7, Tick(0));
        assert_eq!(r.recall(LeaseId(0), Tick(60 * 64)), Some(7));
        assert_eq!(r.recall(LeaseId(1), Tick(0)), None);
        assert_eq!(r.recall(LeaseId(0), Tick(61 * 64)), None);
    }

    #[test]
    fn seats_come_back() {
        let mut e = Exts::<Heap>::new(&Heap, 2).unwrap();
        let (a, b) = (e.take(1).unwrap(), e.take(2).unwrap());
        assert_eq!((e.take(3), e.is_full()), (None, true));
        e.give_back(a);
        e.give_back(b);
        assert!(!e.is_full());
        assert_eq!((e.take(4), e.take(5), e.take(6)), (Some(b), Some(a), None));
        assert_eq!(e.ext(b).map(|x| x.delta), Some(4));
    }
}
