//! The chunks of one shard: who holds which ports, and which rest.
//!
//! A chunk is the 512 ports of one (endpoint, LIP, class), the chunks of one (endpoint, class) are a group. A group
//! keeps its chunks in two rings: *open* ones have a free port, *resting* ones have none but some in quarantine. So a
//! port is found without a search, whatever the number of LIPs. Chunks whose ports are all in use are in no ring.
//!
//! After any change to a chunk comes [`Store::settle`], which puts it into the ring that it belongs to, or frees it
//! when it is empty. Nothing here decides which port to take: that is the parent module's.

use super::bits::Bits;
use super::directory::{Directory, hash};
use super::heat::Heat;
use super::slab::{NONE, Seat, Slab};
use super::spent::Spent;
use crate::addr::{Class, EndpointId, LipId};
use crate::mem::{Memory, OutOfMemory, prefetch};
use crate::steer::{PORTS, RESERVED};
use crate::time::{Tick, Ticks};

/// Half of the longest quarantine: RFC 9293 has 2 MSL, Linux servers hold TIME_WAIT for 60 s.
pub(super) const PERIOD: Ticks = Ticks::from_secs(60);
/// Ports of a chunk that can be taken.
pub(super) const USABLE: u16 = PORTS - RESERVED;

/// Where a chunk stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, zerocopy::FromZeros)]
#[repr(u8)]
pub(super) enum Ring {
    /// It is not a chunk: the seat is free.
    Nowhere,
    Open,
    Resting,
    /// In no ring: every port is in use.
    Busy,
}

/// A chunk, but for its bitmap.
#[derive(Clone, Copy, zerocopy::FromZeros)]
#[repr(C)]
pub(super) struct Chunk {
    pub(super) endpoint: u32,
    pub(super) lip: u16,
    /// Where its LIP was in the pool when last seen.
    pub(super) pos: u16,
    pub(super) class: u8,
    pub(super) ring: Ring,
    /// Ports in use.
    pub(super) used: u16,
    /// Ports in quarantine.
    pub(super) resting: u16,
    /// What its ports have in common: [`Steer::lead`] of its LIP and class.
    pub(super) lead: u16,
    /// Its quarantine + 1, 0 for none.
    rest: u32,
    prev: u32,
    pub(super) next: u32,
    pub(super) group: u32,
}

/// The chunks of one (endpoint, class).
#[derive(Clone, Copy, zerocopy::FromZeros)]
#[repr(C)]
pub(super) struct Group {
    endpoint: u32,
    class: u8,
    _room: u8,
    /// The place in the pool whose ports were last offered to be pressed out.
    pub(super) hand: u16,
    pub(super) chunks: u32,
    pub(super) open: u32,
    pub(super) resting: u32,
    /// The pool all of whose LIPs have a chunk here; 0 when that is not known.
    pub(super) print: u32,
}

/// The quarantine of one chunk, but for its two bitmaps.
#[derive(Clone, Copy, zerocopy::FromZeros)]
#[repr(C)]
struct Rest {
    /// When the young bitmap was begun.
    since: Tick,
    /// The chunk + 1, 0 for a free seat.
    chunk: u32,
    link: u32,
}

const _: () = assert!(size_of::<Chunk>() == 32 && size_of::<Group>() == 24 && size_of::<Rest>() == 12);

const NO_CHUNK: Chunk = Chunk {
    endpoint: 0,
    lip: 0,
    pos: 0,
    class: 0,
    ring: Ring::Nowhere,
    used: 0,
    resting: 0,
    lead: 0,
    rest: 0,
    prev: NONE,
    next: NONE,
    group: NONE,
};
const NO_GROUP: Group =
    Group { endpoint: 0, class: 0, _room: 0, hand: 0, chunks: 0, open: NONE, resting: NONE, print: 0 };

impl Seat for Chunk {
    fn link(&mut self) -> &mut u32 {
        &mut self.next
    }
}
impl Seat for Group {
    fn link(&mut self) -> &mut u32 {
        &mut self.print
    }
}
impl Seat for Rest {
    fn link(&mut self) -> &mut u32 {
        &mut self.link
    }
}

pub(super) struct Store<M: Memory> {
    pub(super) chunks: Slab<M, Chunk>,
    /// By chunk: ports in use, in quarantine, or never used.
    bits: M::Slice<Bits>,
    by_chunk: Directory<M>,
    pub(super) groups: Slab<M, Group>,
    by_group: Directory<M>,
    rests: Slab<M, Rest>,
    /// By quarantine: those that came since the last rotation, and those that came before it.
    rest_bits: M::Slice<[Bits; 2]>,
    /// The next quarantine to be swept.
    broom: u32,
    pub(super) spent: Spent<M>,
    pub(super) heat: Heat<M>,
    pub(super) in_use: u64,
    pub(super) quarantined: u64,
    pub(super) skipped: u64,
}

impl<M: Memory> Store<M> {
    pub(super) fn new(memory: &M, chunks: usize, quarantines: usize) -> Result<Self, OutOfMemory> {
        Ok(Store {
            chunks: Slab::new(memory, chunks)?,
            bits: memory.zeroed(chunks)?,
            by_chunk: Directory::new(memory, chunks)?,
            groups: Slab::new(memory, chunks)?,
            by_group: Directory::new(memory, chunks)?,
            rests: Slab::new(memory, quarantines)?,
            rest_bits: memory.zeroed(quarantines)?,
            broom: 0,
            // An endpoint is only recorded when a class of it is full, and then its other classes have chunks too.
            spent: Spent::new(memory, chunks / 16 + 16)?,
            heat: Heat::new(memory, chunks / 4)?,
            in_use: 0,
            quarantined: 0,
            skipped: 0,
        })
    }

    pub(super) fn find(&self, endpoint: EndpointId, lip: LipId, class: Class) -> Option<u32> {
        self.by_chunk.find(hash(chunk_key(endpoint.0, lip.0, class.0)), |c| {
            let chunk = &self.chunks[c];
            chunk.endpoint == endpoint.0 && chunk.lip == lip.0 && chunk.class == class.0
        })
    }
    pub(super) fn group(&self, endpoint: EndpointId, class: Class) -> Option<u32> {
        self.by_group.find(hash(group_key(endpoint.0, class.0)), |g| {
            let group = &self.groups[g];
            group.endpoint == endpoint.0 && group.class == class.0
        })
    }
    /// Is this seat the group of these?
    pub(super) fn is_group(&self, g: u32, endpoint: EndpointId, class: Class) -> bool {
        let group = &self.groups[g];
        group.chunks > 0 && group.endpoint == endpoint.0 && group.class == class.0
    }

    /// Loads what a search for the ports of an endpoint and class begins with.
    pub(super) fn prefetch_group(&self, endpoint: EndpointId, class: Class) {
        self.heat.prefetch(endpoint, class);
        if self.groups.used() > 0 {
            self.by_group.prefetch(hash(group_key(endpoint.0, class.0)));
        }
    }
    /// Loads a chunk.
    pub(super) fn prefetch_chunk(&self, c: u32) {
        self.chunks.prefetch(c);
        prefetch(&self.bits, c as usize);
    }
    /// Loads what goes with a chunk that is freed. The chunk itself should be in the cache.
    pub(super) fn prefetch_around(&self, c: u32) {
        let Some(chunk) = self.chunks.get(c).filter(|chunk| chunk.ring != Ring::Nowhere) else { return };
        self.groups.prefetch(chunk.group);
        self.by_chunk.prefetch(hash(chunk_key(chunk.endpoint, chunk.lip, chunk.class)));
        self.by_group.prefetch(hash(group_key(chunk.endpoint, chunk.class)));
    }

    /// An empty chunk in the open ring, of a group if there is one. To be settled, like after any change.
    pub(super) fn open(
        &mut self,
        endpoint: EndpointId,
        lip: LipId,
        pos: u16,
        class: Class,
        lead: u16,
        group: Option<u32>,
    ) -> Option<u32> {
        if self.chunks.is_full() {
            return None;
        }
        self.heat.list(endpoint, class, true);
        let (endpoint, lip, class) = (endpoint.0, lip.0, class.0);
        let group = match group {
            Some(group) => group,
            None => {
                let group = self.groups.take(Group { endpoint, class, ..NO_GROUP })?;
                self.by_group.insert(hash(group_key(endpoint, class)), group);
                group
            }
        };
        self.groups[group].chunks += 1;
        let c = self.chunks.take(Chunk { endpoint, lip, pos, class, ring: Ring::Busy, lead, group, ..NO_CHUNK })?;
        self.by_chunk.insert(hash(chunk_key(endpoint, lip, class)), c);
        self.bits[c as usize] = Bits::NEVER;
        self.move_to(c, Ring::Open);
        Some(c)
    }

    /// The ports of a chunk that are not free.
    pub(super) fn bits(&self, c: u32) -> &Bits {
        &self.bits[c as usize]
    }
    /// The ports of a chunk in quarantine: young and old.
    pub(super) fn resting(&self, c: u32) -> [Bits; 2] {
        self.chunks[c].rest.checked_sub(1).map_or([Bits::NONE; 2], |r| self.rest_bits[r as usize])
    }
    /// The ports of a chunk in use.
    pub(super) fn in_use(&self, c: u32) -> Bits {
        let [young, old] = self.resting(c);
        self.bits[c as usize].except(&young).except(&old).except(&Bits::NEVER)
    }

    /// Puts a free or resting port to use.
    #[inline(always)]
    pub(super) fn claim(&mut self, c: u32, i: u16) {
        if self.bits[c as usize].has(i) {
            self.wake(c, i);
        }
        self.bits[c as usize].set(i);
        self.chunks[c].used += 1;
        self.in_use += 1;
    }

    /// Puts a free port of a chunk in the open ring to use, and the chunk where it then belongs: most often it stays.
    #[inline(always)]
    pub(super) fn claim_free(&mut self, c: u32, i: u16) {
        let (bits, chunk) = (&mut self.bits[c as usize], &mut self.chunks[c]);
        debug_assert!(!bits.has(i) && chunk.ring == Ring::Open);
        bits.set(i);
        chunk.used += 1;
        let is_full = chunk.used + chunk.resting == USABLE;
        self.in_use += 1;
        if is_full {
            self.settle(c);
        }
    }

    /// Ends the use of a port.
    pub(super) fn release(&mut self, c: u32, i: u16, rest: bool, now: Tick) {
        self.chunks[c].used -= 1;
        self.in_use -= 1;
        if !(rest && self.lay(c, i, now)) {
            self.bits[c as usize].clear(i);
        }
    }

    /// Lays a port to rest. False when there is no quarantine left for its chunk.
    fn lay(&mut self, c: u32, i: u16, now: Tick) -> bool {
        if self.chunks[c].rest == 0 {
            let Some(r) = self.rests.take(Rest { since: now, chunk: c + 1, link: 0 }) else {
                self.skipped += 1;
                return false;
            };
            self.rest_bits[r as usize] = [Bits::NONE; 2];
            self.chunks[c].rest = r + 1;
        }
        let chunk = &mut self.chunks[c];
        self.rest_bits[chunk.rest as usize - 1][0].set(i);
        chunk.resting += 1;
        self.quarantined += 1;
        if chunk.resting == 1 {
            self.spent.rested(EndpointId(chunk.endpoint), Class(chunk.class));
        }
        true
    }

    /// Takes one port out of quarantine.
    fn wake(&mut self, c: u32, i: u16) {
        let Some(r) = self.chunks[c].rest.checked_sub(1) else { return };
        for bits in &mut self.rest_bits[r as usize] {
            bits.clear(i);
        }
        self.woken(c, r, 1);
    }
    fn woken(&mut self, c: u32, r: u32, ports: u16) {
        self.quarantined -= u64::from(ports);
        self.chunks[c].resting -= ports;
        if self.chunks[c].resting == 0 {
            self.chunks[c].rest = 0;
            self.rests.give(r, Rest { since: Tick(0), chunk: 0, link: 0 });
        }
    }

    /// True for a chunk that [`Store::rotate`] would leave as it is.
    #[inline(always)]
    pub(super) fn is_rotated(&self, c: u32, now: Tick) -> bool {
        let Some(chunk) = self.chunks.get(c) else { return false };
        let Some(r) = chunk.rest.checked_sub(1) else { return true };
        now.since(self.rests[r].since) < PERIOD
    }

    /// Frees the ports of a chunk whose quarantine is over.
    #[inline(always)]
    pub(super) fn rotate(&mut self, c: u32, now: Tick) {
        if let Some(r) = self.chunks[c].rest.checked_sub(1) {
            let age = now.since(self.rests[r].since);
            if age >= PERIOD {
                self.rotate_by(c, r, age);
            }
        }
    }
    #[inline(never)]
    fn rotate_by(&mut self, c: u32, r: u32, age: Ticks) {
        let [young, old] = &mut self.rest_bits[r as usize];
        let mut woken = old.count();
        let bits = &mut self.bits[c as usize];
        *bits = bits.except(old);
        *old = *young;
        *young = Bits::NONE;
        self.rests[r].since = self.rests[r].since + PERIOD;
        if age.0 >= 2 * PERIOD.0 {
            woken += old.count();
            *bits = bits.except(old);
            *old = Bits::NONE;
        }
        self.woken(c, r, woken);
    }

    /// Rotates the next `budget` quarantines.
    pub(super) fn sweep(&mut self, now: Tick, budget: usize) {
        let touched = self.rests.touched();
        for _ in 0..budget.min(touched as usize) {
            self.broom = if self.broom < touched { self.broom } else { 0 };
            if let Some(c) = self.rests[self.broom].chunk.checked_sub(1) {
                self.rotate(c, now);
                self.settle(c);
            }
            self.broom += 1;
        }
    }

    /// Puts a chunk where it belongs after a change; frees it when it is empty.
    pub(super) fn settle(&mut self, c: u32) {
        let Chunk { used, resting, ring, endpoint, class, .. } = self.chunks[c];
        if used == 0 && resting == 0 {
            return self.close(c);
        }
        let right = match (used + resting < USABLE, resting > 0) {
            (true, _) => Ring::Open,
            (false, true) => Ring::Resting,
            (false, false) => Ring::Busy,
        };
        if right != ring {
            self.move_to(c, right);
            if right == Ring::Open {
                self.spent.freed(EndpointId(endpoint), Class(class));
            }
        }
    }

    fn close(&mut self, c: u32) {
        self.move_to(c, Ring::Busy);
        let Chunk { endpoint, lip, class, group, .. } = self.chunks[c];
        self.by_chunk.remove(hash(chunk_key(endpoint, lip, class)), c);
        self.chunks.give(c, NO_CHUNK);
        self.groups[group].chunks -= 1;
        self.groups[group].print = 0;
        if self.groups[group].chunks == 0 {
            self.by_group.remove(hash(group_key(endpoint, class)), group);
            self.groups.give(group, NO_GROUP);
            self.heat.list(EndpointId(endpoint), Class(class), false);
        }
        self.spent.closed(EndpointId(endpoint), Class(class));
    }

    /// Moves a chunk to the end of another ring.
    fn move_to(&mut self, c: u32, ring: Ring) {
        let Chunk { ring: from, prev, next, group, .. } = self.chunks[c];
        let group = &mut self.groups[group];
        if let Some(head) = group.head(from) {
            if next == c {
                *head = NONE;
            } else {
                if *head == c {
                    *head = next;
                }
                self.chunks[prev].next = next;
                self.chunks[next].prev = prev;
            }
        }
        let (mut prev, mut next) = (NONE, NONE);
        if let Some(head) = group.head(ring) {
            (prev, next) = (c, c);
            if *head == NONE {
                *head = c;
            } else {
                next = *head;
                prev = self.chunks[next].prev;
                self.chunks[prev].next = c;
                self.chunks[next].prev = c;
            }
        }
        let chunk = &mut self.chunks[c];
        (chunk.ring, chunk.prev, chunk.next) = (ring, prev, next);
    }

    /// How many times anything was looked up.
    #[cfg(test)]
    pub(super) fn finds(&self) -> u64 {
        self.by_chunk.finds.get() + self.by_group.finds.get() + self.spent.finds()
    }
    pub(super) fn quarantines(&self) -> (u32, u32) {
        (self.rests.used(), self.rests.total())
    }
}

impl Group {
    /// Where a ring begins.
    pub(super) fn head(&mut self, ring: Ring) -> Option<&mut u32> {
        match ring {
            Ring::Open => Some(&mut self.open),
            Ring::Resting => Some(&mut self.resting),
            Ring::Busy | Ring::Nowhere => None,
        }
    }
}

/// A key of a chunk: endpoint 32, LIP 16, class 16.
fn chunk_key(endpoint: u32, lip: u16, class: u8) -> u64 {
    u64::from(endpoint) << 32 | u64::from(lip) << 16 | u64::from(class)
}
fn group_key(endpoint: u32, class: u8) -> u64 {
    u64::from(endpoint) << 32 | u64::from(class)
}
