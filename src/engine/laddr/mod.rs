//! Local addresses and ports of one shard.
//!
//! It owns which (LIP, lport) is in use towards which endpoint, by class, and lets a port that was given back rest
//! before it is used again. The slow path takes a port for a new connection and gives it back when the connection ends;
//! a restart adopts ports of connections that it restores.
//!
//! A reply has to come home by itself, so a port is taken from the 504 that bring the tuple (rip, lip, rport, lport)
//! into the class of the client's tuple: [`Steer::lport`] knows them by number, and a chunk is a bitmap over these
//! numbers. Within its chunk a port is searched from a hashed position on (RFC 6056, section 3.3.3).
//!
//! A LIP is filled before the next one is opened. In what order ports are taken: free ones of the wanted class, free
//! ones of another class of the same lcore, then the same two again for ports in quarantine. [`NoPort::Exhausted`] is
//! exact: every port towards the endpoint is in use, or was refused by the caller. However long it stays so, a call
//! costs a few look-ups, not one for each class and LIP (see `spent`).
//!
//! A chunk for each lone connection would be dear. Few connections to each of very many servers need none, as a port at random
//! is nearly always free: as long as few ports of an (endpoint, class) were taken within the last minute, as measured by how
//! many its pool has, they are tried at random and the caller's word is all that counts. Such ports are *unlisted*: they do
//! not rest, and the caller refuses those that he knows to be hot. The same is done when there is no memory for another
//! chunk. An unlisted port that a search in a chunk comes across is listed there and then ([`Word::Listed`]), so that a
//! search is exact and none meets it twice.
//!
//! All memory is taken at start. It knows no connection and no service, and never looks at a clock.

mod bits;
mod census;
mod directory;
mod heat;
mod hunt;
mod lease;
mod slab;
mod spent;
mod store;
#[cfg(test)]
mod tests;

use self::census::Census;
use self::hunt::{Hunt, guess};
pub use self::lease::*;
use self::store::{Ring, Store};
use crate::addr::*;
use crate::mem::{Memory, OutOfMemory};
use crate::snapshot::Lip;
use crate::steer::{CLASSES, PORTS, RESERVED, Steer};
use crate::time::Tick;

/// Unlisted ports of an (endpoint, class) that are taken within a minute, for each LIP but one: of its 504 ports. One that
/// rests is then met once in 60 times at most, and the caller knows it if he remembers it.
const SPARSE: usize = 4;
/// Ports that are tried at random where few are taken.
const FEW: u32 = 4;
/// The same when there is no memory for a chunk.
const MANY: u32 = 16;

/// Ports of a class that can be taken, of one LIP towards one server.
pub const CLASS_PORTS: u16 = store::USABLE;

/// The local ports of one shard.
pub struct Ports<M: Memory> {
    lcore: LcoreId,
    /// Its classes, once they were asked for.
    classes: u128,
    store: Store<M>,
    bad_release: u64,
    /// Ports in use that are in no chunk.
    unlisted: u64,
    census: Census,
}

impl<M: Memory> Ports<M> {
    /// Room for `chunks` triples of endpoint, LIP and class, `quarantines` of which may have ports in quarantine.
    /// About 150 bytes a chunk and 140 a quarantine; at most 2^23 chunks.
    pub fn new(memory: &M, chunks: usize, quarantines: usize, lcore: LcoreId) -> Result<Self, OutOfMemory> {
        if chunks > (u32::MAX / u32::from(PORTS)) as usize + 1 {
            return Err(OutOfMemory { bytes: chunks.saturating_mul(150) });
        }
        Ok(Ports {
            lcore,
            classes: 0,
            store: Store::new(memory, chunks, quarantines)?,
            bad_release: 0,
            unlisted: 0,
            census: Census::new(),
        })
    }

    /// Takes a port. `word` is asked last, for each one that could be taken, until it is good.
    pub fn take(
        &mut self,
        steer: &Steer,
        want: &Want<'_>,
        now: Tick,
        word: impl FnMut(LeaseId, Lip, Be16) -> Word,
    ) -> Result<Lease, NoPort> {
        let mut hunt = Hunt { steer, want, now, word, no_memory: false };
        let at_home = steer.owner(want.class) == self.lcore;
        if at_home
            && self.may_be_unlisted(want)
            && let Some(lease) = self.unlisted_in(&mut hunt, want.class, FEW)
        {
            return Ok(lease);
        }
        if at_home && let Some(pick) = self.free_in(&mut hunt, want.class) {
            return Ok(pick.leased(steer, want));
        }
        self.elsewhere(&mut hunt, at_home)
    }

    /// Takes the port of [`Ports::guess`], which the caller found to be good, if [`Ports::take`] would begin with it. The caller
    /// says that the class is at home here.
    #[inline(always)]
    pub fn take_guessed(&mut self, want: &Want<'_>) -> Option<LeaseId> {
        let most = self.most_unlisted(want);
        if !self.store.heat.count_below(want.endpoint, want.class, most) {
            return None;
        }
        self.unlisted += 1;
        Some(LeaseId::unlisted(self.store.heat.row(want.endpoint), want.class))
    }

    /// Are so few ports of this (endpoint, class) taken that a port at random will do? There is one for many that its pool
    /// has, and none in a chunk.
    #[inline(always)]
    fn may_be_unlisted(&self, want: &Want<'_>) -> bool {
        let most = self.most_unlisted(want);
        most > 0 && self.store.heat.is_below(want.endpoint, want.class, most)
    }

    /// As many ports may be taken within a minute before they are listed: any number when there is no chunk left.
    #[inline(always)]
    fn most_unlisted(&self, want: &Want<'_>) -> u8 {
        let room = want.pool.lips().len().saturating_sub(1) * SPARSE;
        if self.store.chunks.is_full() { u8::MAX } else { room.min(usize::from(u8::MAX)) as u8 }
    }

    /// What [`Ports::take`] does when the wanted class has no free port.
    #[inline(never)]
    fn elsewhere<F: FnMut(LeaseId, Lip, Be16) -> Word>(
        &mut self,
        hunt: &mut Hunt<'_, F>,
        at_home: bool,
    ) -> Result<Lease, NoPort> {
        let (steer, want) = (hunt.steer, hunt.want);
        if at_home
            && hunt.no_memory
            && let Some(lease) = self.unlisted_in(hunt, want.class, MANY)
        {
            return Ok(lease);
        }
        if self.classes == 0 {
            self.classes = steer.classes_of(self.lcore).fold(0, |set, class| set | bit(class));
        }
        let others = self.classes & !bit(want.class);
        let may = self.store.spent.may_have_free(want.endpoint, want.pool.print());
        if let Some(pick) = from(others & may, want.class).find_map(|class| self.free_in(hunt, class)) {
            return Ok(pick.leased(steer, want));
        }
        if at_home && let Some(pick) = self.resting_in(hunt, want.class) {
            return Ok(pick.leased(steer, want));
        }
        let may = self.store.spent.may_have_resting(want.endpoint);
        if let Some(pick) = from(others & may, want.class).find_map(|class| self.resting_in(hunt, class)) {
            return Ok(pick.leased(steer, want));
        }
        Err(if hunt.no_memory { NoPort::NoMemory } else { NoPort::Exhausted })
    }

    /// Takes exactly this port, for a connection that is restored; also out of quarantine. Its class is that of its
    /// reply tuple.
    #[allow(clippy::too_many_arguments)]
    pub fn adopt(
        &mut self,
        steer: &Steer,
        endpoint: EndpointId,
        rip: Addr,
        rport: Be16,
        lip: Lip,
        lport: Be16,
        now: Tick,
    ) -> Result<LeaseId, AdoptError> {
        let (class, i) = steer.place(steer.base(rip, rport, lip.addr), lport.host());
        if i < RESERVED {
            return Err(AdoptError::Reserved);
        }
        if steer.owner(class) != self.lcore {
            return Err(AdoptError::Elsewhere);
        }
        let found = self.store.find(endpoint, lip.id, class);
        let open = |store: &mut Store<M>| {
            let lead = steer.lead(steer.base(rip, rport, lip.addr), class);
            store.open(endpoint, lip.id, u16::MAX, class, lead, store.group(endpoint, class))
        };
        let Some(c) = found.or_else(|| open(&mut self.store)) else {
            self.unlisted += 1;
            return Ok(LeaseId::unlisted(self.store.heat.row(endpoint), class));
        };
        self.store.rotate(c, now);
        let taken = self.store.in_use(c).has(i);
        if !taken {
            self.store.claim(c, i);
        }
        self.store.settle(c);
        if taken { Err(AdoptError::Taken) } else { Ok(lease_id(c, i)) }
    }

    /// Gives a port back. One that is not taken is ignored and counted: it is a bug of the caller.
    #[inline(always)]
    pub fn give_back(&mut self, id: LeaseId, how: Release, now: Tick) {
        if id.is_unlisted() && self.unlisted > 0 {
            self.unlisted -= 1;
        } else {
            self.give_back_listed(id, how, now);
        }
    }

    #[inline(never)]
    fn give_back_listed(&mut self, id: LeaseId, how: Release, now: Tick) {
        let (c, i) = (id.0 / u32::from(PORTS), (id.0 % u32::from(PORTS)) as u16);
        let taken =
            self.store.chunks.get(c).is_some_and(|chunk| chunk.ring != Ring::Nowhere) && self.store.in_use(c).has(i);
        debug_assert!(taken, "{id:?} was given back and is not taken");
        if !taken {
            self.bad_release += 1;
            return;
        }
        self.store.rotate(c, now);
        self.store.release(c, i, how == Release::Quarantine, now);
        self.store.settle(c);
    }

    /// All ports in use of one LIP in the wanted class, for a caller who looks for a connection that can give up its own.
    /// Successive calls go around the LIPs of the pool.
    pub fn taken<'a>(
        &'a mut self,
        steer: &'a Steer,
        want: &Want<'_>,
    ) -> impl Iterator<Item = (LeaseId, Lip, Be16)> + use<'a, M> {
        let found = self.next_in_use(want, want.class);
        let family = want.rip.family();
        found.into_iter().flat_map(move |(c, lip)| {
            let (ports, lead) = (self.store.in_use(c), self.store.chunks[c].lead);
            (RESERVED..PORTS)
                .filter(move |i| ports.has(*i))
                .map(move |i| (lease_id(c, i), lip, Be16::new(steer.lport_of(family, lead, i))))
        })
    }

    /// Loads what [`Ports::take`] begins with.
    #[inline(always)]
    pub fn prefetch(&self, want: &Want<'_>) {
        self.store.prefetch_group(want.endpoint, want.class);
    }
    /// The port that [`Ports::take`] tries first, if it will be unlisted.
    #[inline(always)]
    pub fn guess(&self, steer: &Steer, want: &Want<'_>) -> Option<(Lip, Be16)> {
        if want.pool.lips().len() > 1 { guess(steer, want, want.class, 0) } else { None }
    }
    /// Loads a port that is given back soon.
    #[inline(always)]
    pub fn prefetch_lease(&self, id: LeaseId) {
        if !id.is_unlisted() {
            self.store.prefetch_chunk(id.0 / u32::from(PORTS));
        }
    }
    /// Loads the rest of what belongs to it, once that is in the cache.
    #[inline(always)]
    pub fn prefetch_around(&self, id: LeaseId) {
        if !id.is_unlisted() {
            self.store.prefetch_around(id.0 / u32::from(PORTS));
        }
    }

    /// The class of a taken port: that of its reply.
    pub fn class(&self, id: LeaseId) -> Class {
        if id.is_unlisted() {
            return Class((id.0 >> 9) as u8 % CLASSES as u8);
        }
        self.store.chunks.get(id.0 / u32::from(PORTS)).map_or(Class(0), |chunk| Class(chunk.class))
    }

    /// Ends the quarantines whose time is up, looking at no more than `budget` of them, and frees chunks that become
    /// empty by it. To be called once a tick, with a budget that has all looked at within a minute.
    pub fn sweep(&mut self, now: Tick, budget: usize) {
        self.store.heat.sweep();
        self.store.sweep(now, budget);
    }

    /// Ports taken now.
    #[inline(always)]
    pub fn in_use(&self) -> u64 {
        self.store.in_use + self.unlisted
    }

    /// The numbers. Cheap.
    pub fn stats(&self) -> PortStats {
        let (quarantines, quarantines_total) = self.store.quarantines();
        PortStats {
            in_use: self.in_use(),
            unlisted: self.unlisted,
            quarantined: self.store.quarantined,
            chunks: self.store.chunks.used(),
            chunks_total: self.store.chunks.total(),
            quarantines,
            quarantines_total,
            spent_endpoints: self.store.spent.len(),
            quarantine_skipped: self.store.skipped,
            bad_release: self.bad_release,
        }
    }
}

fn lease_id(c: u32, i: u16) -> LeaseId {
    LeaseId(c * u32::from(PORTS) + u32::from(i))
}

fn bit(class: Class) -> u128 {
    1 << (class.index() % CLASSES)
}

/// The classes of a set, from the one after `class` on and around.
fn from(set: u128, class: Class) -> impl Iterator<Item = Class> {
    let turn = (u32::from(class.0) + 1) % CLASSES as u32;
    let mut left = set.rotate_right(turn);
    core::iter::from_fn(move || {
        let n = left.trailing_zeros();
        left &= left.checked_sub(1)?;
        Some(Class(((n + turn) % CLASSES as u32) as u8))
    })
}
