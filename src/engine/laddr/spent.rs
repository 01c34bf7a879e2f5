//! What is known about endpoints that run short of ports, so that a SYN towards a full one does not search every class
//! again.
//!
//! A record is made for an endpoint when the class that was asked for has nothing left, learns from what a search finds
//! to be empty, and forgets when a port or a chunk comes back. A bit that says "nothing here" is always true; any other
//! bit only says "look". So a missing record costs time and is never wrong. A record goes as soon as it rules nothing
//! out.

use super::directory::{Directory, hash};
use super::slab::{Seat, Slab};
use crate::addr::{Class, EndpointId};
use crate::mem::{Memory, OutOfMemory};

/// One endpoint; bit c of the sets is class c.
#[derive(Clone, Copy, zerocopy::FromZeros)]
#[repr(C)]
struct Record {
    endpoint: u32,
    /// The pool that `opened` is about, see [`super::Hunt::print`].
    print: u32,
    link: u32,
    _room: u32,
    /// Classes that may have a chunk with a free port.
    free: u128,
    /// Classes that may have a chunk with a port in quarantine.
    resting: u128,
    /// Classes in which every LIP of the pool has its chunk.
    opened: u128,
}

impl Seat for Record {
    fn link(&mut self) -> &mut u32 {
        &mut self.link
    }
}

const BLANK: Record =
    Record { endpoint: 0, print: 0, link: 0, _room: 0, free: u128::MAX, resting: u128::MAX, opened: 0 };

/// What a search found out about one class.
#[derive(Clone, Copy)]
pub(super) struct Finding {
    /// No chunk has a free port.
    pub(super) no_free: bool,
    /// Every LIP of the pool has its chunk.
    pub(super) all_opened: bool,
}

pub(super) struct Spent<M: Memory> {
    records: Slab<M, Record>,
    directory: Directory<M>,
}

impl<M: Memory> Spent<M> {
    pub(super) fn new(memory: &M, endpoints: usize) -> Result<Self, OutOfMemory> {
        Ok(Spent { records: Slab::new(memory, endpoints)?, directory: Directory::new(memory, endpoints)? })
    }

    /// How many endpoints have a class with nothing left.
    pub(super) fn len(&self) -> u32 {
        self.records.used()
    }

    /// The classes that may have a free port or a LIP that is not yet opened.
    pub(super) fn may_have_free(&self, endpoint: EndpointId, print: u32) -> u128 {
        match self.find(endpoint) {
            Some(seat) if self.records[seat].print == print => self.records[seat].free | !self.records[seat].opened,
            _ => u128::MAX,
        }
    }
    /// The classes that may have a port in quarantine.
    pub(super) fn may_have_resting(&self, endpoint: EndpointId) -> u128 {
        self.find(endpoint).map_or(u128::MAX, |seat| self.records[seat].resting)
    }

    /// A class was searched in vain for a free port. What was found makes a record, if it rules the class out.
    pub(super) fn searched(&mut self, endpoint: EndpointId, print: u32, class: Class, finding: Finding) {
        let out = finding.no_free && finding.all_opened;
        let Some(seat) = self.find(endpoint).or_else(|| if out { self.make(endpoint) } else { None }) else { return };
        let record = &mut self.records[seat];
        if record.print != print {
            record.print = print;
            record.opened = 0;
        }
        if finding.no_free {
            record.free &= !bit(class);
        }
        if finding.all_opened {
            record.opened |= bit(class);
        }
        self.keep_or_drop(seat);
    }
    /// A class has no port in quarantine.
    pub(super) fn none_resting(&mut self, endpoint: EndpointId, class: Class) {
        if let Some(seat) = self.find(endpoint) {
            self.records[seat].resting &= !bit(class);
        }
    }

    /// A chunk of the class has a free port again.
    pub(super) fn freed(&mut self, endpoint: EndpointId, class: Class) {
        self.forget(endpoint, |record| record.free |= bit(class));
    }
    /// A chunk of the class has a port in quarantine again.
    pub(super) fn rested(&mut self, endpoint: EndpointId, class: Class) {
        self.forget(endpoint, |record| record.resting |= bit(class));
    }
    /// A chunk of the class is gone.
    pub(super) fn closed(&mut self, endpoint: EndpointId, class: Class) {
        self.forget(endpoint, |record| record.opened &= !bit(class));
    }

    fn forget(&mut self, endpoint: EndpointId, change: impl FnOnce(&mut Record)) {
        if let Some(seat) = self.find(endpoint) {
            change(&mut self.records[seat]);
            self.keep_or_drop(seat);
        }
    }

    fn keep_or_drop(&mut self, seat: u32) {
        let record = self.records[seat];
        if record.opened & !record.free == 0 {
            self.directory.remove(hash(u64::from(record.endpoint)), seat);
            self.records.give(seat, BLANK);
        }
    }

    fn find(&self, endpoint: EndpointId) -> Option<u32> {
        if self.records.used() == 0 {
            return None;
        }
        self.directory.find(hash(u64::from(endpoint.0)), |seat| self.records[seat].endpoint == endpoint.0)
    }

    fn make(&mut self, endpoint: EndpointId) -> Option<u32> {
        let seat = self.records.take(Record { endpoint: endpoint.0, ..BLANK })?;
        self.directory.insert(hash(u64::from(endpoint.0)), seat);
        Some(seat)
    }

    #[cfg(test)]
    pub(super) fn finds(&self) -> u64 {
        self.directory.finds.get()
    }
}

#[inline(always)]
fn bit(class: Class) -> u128 {
    1u128 << (class.0 % 128)
}
