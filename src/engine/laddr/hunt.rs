//! The search for one port: what [`Ports::take`] does in each class that it comes to.

use super::bits::Bits;
use super::slab::NONE;
use super::spent::Finding;
use super::store::{Ring, USABLE};
use super::{Lease, LeaseId, Origin, Ports, Want, Word, lease_id};
use crate::addr::*;
use crate::mem::Memory;
use crate::snapshot::Lip;
use crate::steer::{PORTS, RESERVED, Steer};
use crate::time::Tick;

/// One search for a port.
pub(super) struct Hunt<'a, F> {
    pub(super) steer: &'a Steer,
    pub(super) want: &'a Want<'a>,
    pub(super) now: Tick,
    /// The caller's word on a lease, its LIP and its lport.
    pub(super) word: F,
    pub(super) no_memory: bool,
}

/// A port that was taken.
#[derive(Clone, Copy)]
pub(super) struct Pick<'a> {
    /// Its chunk.
    c: u32,
    /// Its number in the class.
    i: u16,
    lip: &'a Lip,
    /// Of the chunk.
    class: Class,
    lead: u16,
    /// What it was before.
    from: Origin,
}

impl<M: Memory> Ports<M> {
    /// A free port of a class: of the LIPs that are open, then of one that is opened for it.
    #[inline(always)]
    pub(super) fn free_in<'a, F: FnMut(LeaseId, Lip, Be16) -> Word>(
        &mut self,
        hunt: &mut Hunt<'a, F>,
        class: Class,
    ) -> Option<Pick<'a>> {
        let group = self.store.group(hunt.want.endpoint, class);
        if let Some(group) = group
            && let Some(lease) = self.free_at_once(hunt, group)
        {
            return Some(lease);
        }
        self.free_at_length(hunt, class, group)
    }

    /// A free port of the chunk that a search begins with: nearly always it has one, and no quarantine that is over.
    #[inline(always)]
    fn free_at_once<'a, F: FnMut(LeaseId, Lip, Be16) -> Word>(
        &mut self,
        hunt: &mut Hunt<'a, F>,
        group: u32,
    ) -> Option<Pick<'a>> {
        let c = self.store.groups[group].open;
        if !self.store.is_rotated(c, hunt.now) {
            return None;
        }
        let pick = self.choose(hunt, c, Origin::Free)?;
        self.store.claim_free(c, pick.i);
        Some(pick)
    }

    #[inline(never)]
    fn free_at_length<'a, F: FnMut(LeaseId, Lip, Be16) -> Word>(
        &mut self,
        hunt: &mut Hunt<'a, F>,
        class: Class,
        group: Option<u32>,
    ) -> Option<Pick<'a>> {
        if let Some(group) = group
            && let Some(lease) = self.around(hunt, group, Ring::Open, Origin::Free)
        {
            return Some(lease);
        }
        if let Some(lease) = self.open_lip(hunt, class, group) {
            return Some(lease);
        }
        // The group may be gone with its last chunk, when that was found to be empty.
        let print = hunt.want.pool.print();
        if let Some(group) = self.store.group(hunt.want.endpoint, class) {
            let group = self.store.groups[group];
            let finding = Finding { no_free: group.open == NONE, all_opened: group.print == print };
            self.store.spent.searched(hunt.want.endpoint, print, class, finding);
        }
        None
    }

    /// A free port of a LIP that has no chunk yet.
    fn open_lip<'a, F: FnMut(LeaseId, Lip, Be16) -> Word>(
        &mut self,
        hunt: &mut Hunt<'a, F>,
        class: Class,
        group: Option<u32>,
    ) -> Option<Pick<'a>> {
        let want = hunt.want;
        let print = want.pool.print();
        // The group may be gone with its last chunk, when that was found to be empty.
        let mut group = group.filter(|g| self.store.is_group(*g, want.endpoint, class));
        if group.is_some_and(|g| self.store.groups[g].print == print) {
            return None;
        }
        if self.store.chunks.is_full() && hunt.no_memory {
            return None;
        }
        let lips = want.pool.lips();
        let first = want.start as usize % lips.len().max(1);
        let mut all_opened = true;
        for (pos, lip) in lips.iter().enumerate().cycle().skip(first).take(lips.len()) {
            if lip.addr == want.rip || group.is_some() && self.store.find(want.endpoint, lip.id, class).is_some() {
                continue;
            }
            all_opened = false;
            let lead = hunt.steer.lead(hunt.steer.base(want.rip, want.rport, lip.addr), class);
            let Some(c) = self.store.open(want.endpoint, lip.id, pos as u16, class, lead, group) else {
                hunt.no_memory = true;
                return None;
            };
            let lease = self.pick(hunt, c, Origin::Free);
            self.store.settle(c);
            if lease.is_some() {
                return lease;
            }
            // A chunk without a port for us stays all the same when it lists some that were taken before.
            group = group.or_else(|| self.store.group(want.endpoint, class));
        }
        if all_opened && let Some(group) = self.store.group(want.endpoint, class) {
            self.store.groups[group].print = print;
        }
        None
    }

    /// A port of a class that no chunk lists, of LIPs that have none.
    pub(super) fn unlisted_in<F: FnMut(LeaseId, Lip, Be16) -> Word>(
        &mut self,
        hunt: &mut Hunt<'_, F>,
        class: Class,
        tries: u32,
    ) -> Option<Lease> {
        let want = hunt.want;
        let has_chunks = self.store.heat.takes(want.endpoint, class).is_none();
        let id = LeaseId::unlisted(self.store.heat.row(want.endpoint), class);
        for n in 0..tries {
            let (lip, lport) = guess(hunt.steer, want, class, n)?;
            if lip.addr == want.rip || has_chunks && self.store.find(want.endpoint, lip.id, class).is_some() {
                continue;
            }
            if (hunt.word)(id, lip, lport) == Word::Good {
                self.unlisted += 1;
                self.store.heat.count(want.endpoint, class);
                return Some(Lease { id, lip, lport, from: Origin::Free, other_class: false });
            }
        }
        None
    }

    /// A port in quarantine of a class, the one that rests longest first; or one whose time turns out to be up.
    pub(super) fn resting_in<'a, F: FnMut(LeaseId, Lip, Be16) -> Word>(
        &mut self,
        hunt: &mut Hunt<'a, F>,
        class: Class,
    ) -> Option<Pick<'a>> {
        let endpoint = hunt.want.endpoint;
        for ring in [Ring::Resting, Ring::Open] {
            let Some(group) = self.store.group(endpoint, class) else { break };
            if let Some(lease) = self.around(hunt, group, ring, Origin::Quarantine) {
                return Some(lease);
            }
        }
        let none = match self.store.group(endpoint, class) {
            Some(group) => self.store.groups[group].resting == NONE && self.store.groups[group].open == NONE,
            None => true,
        };
        if none {
            self.store.spent.none_resting(endpoint, class);
        }
        None
    }

    /// Tries the chunks of one ring of a group, and leaves the ring to begin with the one that had a port.
    fn around<'a, F: FnMut(LeaseId, Lip, Be16) -> Word>(
        &mut self,
        hunt: &mut Hunt<'a, F>,
        group: u32,
        ring: Ring,
        from: Origin,
    ) -> Option<Pick<'a>> {
        let first = *self.store.groups[group].head(ring)?;
        let mut c = first;
        for _ in 0..self.store.groups[group].chunks {
            if c == NONE {
                break;
            }
            let next = self.store.chunks[c].next;
            self.store.rotate(c, hunt.now);
            let lease = match self.pick(hunt, c, Origin::Free) {
                None if from == Origin::Quarantine => self.pick(hunt, c, Origin::Quarantine),
                lease => lease,
            };
            if lease.is_some() {
                if c != first
                    && let Some(head) = self.store.groups[group].head(ring)
                {
                    *head = c;
                }
                self.store.settle(c);
                return lease;
            }
            self.store.settle(c);
            let left = self.store.groups[group].head(ring).is_none_or(|head| *head == NONE);
            c = if left || next == first { NONE } else { next };
        }
        None
    }

    /// Takes a port of one chunk, if the pool has its LIP and the caller likes it.
    #[inline(never)]
    fn pick<'a, F: FnMut(LeaseId, Lip, Be16) -> Word>(
        &mut self,
        hunt: &mut Hunt<'a, F>,
        c: u32,
        from: Origin,
    ) -> Option<Pick<'a>> {
        let pick = self.choose(hunt, c, from)?;
        self.store.claim(c, pick.i);
        Some(pick)
    }

    /// A port of one chunk that may be taken, if the pool has its LIP and the caller likes it.
    #[inline(always)]
    fn choose<'a, F: FnMut(LeaseId, Lip, Be16) -> Word>(
        &mut self,
        hunt: &mut Hunt<'a, F>,
        c: u32,
        from: Origin,
    ) -> Option<Pick<'a>> {
        let chunk = &mut self.store.chunks[c];
        if from == Origin::Quarantine && chunk.resting == 0 {
            return None;
        }
        let lips = hunt.want.pool.lips();
        let here = |lip: &Lip| lip.id.0 == chunk.lip;
        let (pos, lip) = match lips.get(usize::from(chunk.pos)) {
            Some(lip) if here(lip) => (chunk.pos, lip),
            _ => lips.iter().position(here).and_then(|pos| Some((pos as u16, lips.get(pos)?)))?,
        };
        chunk.pos = pos;
        if lip.addr == hunt.want.rip {
            return None;
        }

        let (class, lead) = (Class(chunk.class), chunk.lead);
        let start = RESERVED + (hunt.want.start.wrapping_mul(0x9e37_79b1) >> 16) as u16 % USABLE;
        let (steer, word) = (hunt.steer, &mut hunt.word);
        // Those that turn out to be taken as unlisted ones.
        let mut others = None;
        let mut good = |i| match word(lease_id(c, i), *lip, Be16::new(steer.lport_of(lip.addr.family(), lead, i))) {
            Word::Good => true,
            Word::Refused => false,
            Word::Listed => {
                others.get_or_insert(Bits::NONE).set(i);
                false
            }
        };
        let picked = match from {
            Origin::Free => self.store.bits(c).pick_other(start, good),
            Origin::Quarantine => {
                let [young, old] = self.store.resting(c);
                old.pick(start, &mut good).or_else(|| young.pick(start, good))
            }
        };
        if let Some(others) = &others {
            self.list(c, others);
        }
        Some(Pick { c, i: picked?, lip, class, lead, from })
    }

    /// Lists ports of a chunk that were taken when it did not list them.
    #[cold]
    fn list(&mut self, c: u32, ports: &Bits) {
        for i in (RESERVED..PORTS).filter(|i| ports.has(*i)) {
            self.store.claim(c, i);
            self.unlisted = self.unlisted.saturating_sub(1);
        }
    }

    /// The next LIP of the pool that has ports of this class in use, and its chunk.
    pub(super) fn next_in_use(&mut self, want: &Want<'_>, class: Class) -> Option<(u32, Lip)> {
        let group = self.store.group(want.endpoint, class)?;
        let lips = want.pool.lips();
        let hand = usize::from(self.store.groups[group].hand) + 1;
        let (pos, c, lip) = lips.iter().enumerate().cycle().skip(hand % lips.len().max(1)).take(lips.len()).find_map(
            |(pos, lip)| {
                let c = self.store.find(want.endpoint, lip.id, class)?;
                (self.store.chunks[c].used > 0).then_some((pos, c, *lip))
            },
        )?;
        self.store.groups[group].hand = pos as u16;
        Some((c, lip))
    }
}

impl Pick<'_> {
    /// What the caller gets for it.
    #[inline(always)]
    pub(super) fn leased(&self, steer: &Steer, want: &Want<'_>) -> Lease {
        let Pick { c, i, lip, class, lead, from } = *self;
        let lport = Be16::new(steer.lport_of(lip.addr.family(), lead, i));
        Lease { id: lease_id(c, i), lip: *lip, lport, from, other_class: class != want.class }
    }
}

/// The n-th port to try of a class of which nothing is known.
#[inline(always)]
pub(super) fn guess(steer: &Steer, want: &Want<'_>, class: Class, n: u32) -> Option<(Lip, Be16)> {
    let random = want.start.wrapping_add(n).wrapping_mul(0x9e37_79b1);
    let lips = want.pool.lips();
    let lip = *lips.get(scaled(random, lips.len() as u32) as usize)?;
    let i = RESERVED + scaled(random.wrapping_mul(0x85eb_ca6b), u32::from(USABLE)) as u16;
    Some((lip, Be16::new(steer.lport(steer.base(want.rip, want.rport, lip.addr), class, i))))
}

/// A number below `n` by a random one.
#[inline(always)]
fn scaled(random: u32, n: u32) -> u32 {
    ((u64::from(random) * u64::from(n)) >> 32) as u32
}
