//! Neighbours as 8-byte cells, shared by all lcores: MAC address, state and interface of a next hop.
//!
//! A cell has one writer, the master. A seat is claimed once, by whoever first needs the next hop (the master for
//! configured ones, a worker for a client on its own link), and stays claimed for the run: connections hold its id. Seats are
//! found by hash, ids are given out in order: however large the table is, the cells of a few hundred next hops are a few
//! kilobytes in one piece, of which every packet reads one.

use crate::addr::{Addr, Be32, Be128, IfaceId, Mac, NeighborId};
use alloc::boxed::Box;
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
use zerocopy::FromZeros;

/// What is known of a next hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum NudState {
    /// Nothing yet: it is being asked, or about to be.
    Incomplete = 0,
    /// It answered.
    Reachable = 1,
    /// It did not answer; asked again after a while.
    Failed = 2,
}

/// What a cell says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    /// Its MAC address; all zero unless reachable.
    pub mac: Mac,
    /// See [`NudState`].
    pub state: NudState,
    /// The interface whose link it is on.
    pub iface: IfaceId,
}

/// A cell as it is stored: the MAC address, six zero bits, the state (2 bits), the interface (8 bits).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hop(u64);

impl Hop {
    /// Different values of [`Hop::place`].
    pub const PLACES: usize = 1 << 10;

    fn of(cell: Cell) -> Hop {
        Hop(cell.mac.raw() | (u64::from(cell.iface.0) << 2 | cell.state as u64) << 54)
    }

    /// [`Mac::raw`] of its address; all zero unless reachable.
    #[inline(always)]
    pub fn mac(self) -> u64 {
        self.0 & 0xFFFF_FFFF_FFFF
    }

    /// Its interface and its state as one index.
    #[inline(always)]
    pub fn place(self) -> usize {
        (self.0 >> 54) as usize
    }

    /// The place of the hops of an interface that are reachable.
    pub fn known_on(iface: u8) -> usize {
        usize::from(iface) << 2 | NudState::Reachable as usize
    }
}

/// Seats that a search looks at, at most.
const PROBES: usize = 64;

/// Looks at a seat that another lcore is about to finish, at most.
const PATIENCE: usize = 64;

/// A cell for every [`NeighborId`], so that none is out of bounds. Those that are not used are pages that nobody touches.
type Cells = [AtomicU64; 1 << 16];

/// All next hops of a run.
#[derive(Debug)]
pub struct Neighbors {
    names: Box<[Name]>,
    /// By id, the seat plus 1; 0 for an id that nobody has.
    seats: Box<[AtomicU32]>,
    /// Ids given out.
    given: AtomicU32,
    cells: Box<Cells>,
}

/// Whose a seat is. It is claimed by one exchange of `word`; id and address are written after that, and the seat counts once
/// [`READY`] is set.
#[derive(Debug, Default)]
struct Name {
    /// [`CLAIMED`], [`READY`], [`IPV6`], the interface, and the IPv4 address or 32 bits that stand for the IPv6 address.
    word: AtomicU64,
    v6: [AtomicU64; 2],
    /// A [`NeighborId`].
    id: AtomicU16,
}

const CLAIMED: u64 = 1 << 63;
const READY: u64 = 1 << 62;
const IPV6: u64 = 1 << 61;

fn mix(word: u64) -> u64 {
    word.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// What the word of a finished seat holds.
fn word(iface: IfaceId, addr: Addr) -> u64 {
    let (family, low) = match addr {
        Addr::V4(a) => (0, a.raw()),
        Addr::V6(a) => {
            let [high, low] = a.raw();
            (IPV6, (mix(mix(high) ^ low) >> 32) as u32)
        }
    };
    CLAIMED | READY | family | u64::from(iface.0) << 32 | u64::from(low)
}

impl Name {
    /// The word, once it is finished; 0 for a free seat, or when whoever claimed it is not done in time.
    fn word(&self) -> u64 {
        (0..PATIENCE).map(|_| self.word.load(Ordering::Acquire)).find(|w| *w == 0 || w & READY != 0).unwrap_or(CLAIMED)
    }

    fn v6(&self) -> Be128 {
        Be128::from_raw([self.v6[0].load(Ordering::Relaxed), self.v6[1].load(Ordering::Relaxed)])
    }

    /// Of a finished seat with the right word: is it the one?
    fn is(&self, addr: Addr) -> bool {
        addr.v6().is_none_or(|a| self.v6() == a)
    }

    /// The id of a finished seat.
    fn id(&self) -> NeighborId {
        NeighborId(self.id.load(Ordering::Relaxed))
    }
}

impl Neighbors {
    /// Room for `seats` next hops, a power of two of at most 65,536 (rounded up).
    pub fn new(seats: usize) -> Neighbors {
        let seats = seats.clamp(PROBES, 65_536).next_power_of_two();
        let names = (0..seats).map(|_| Name::default()).collect();
        let cells = Cells::new_box_zeroed().unwrap_or_else(|_| Box::new([const { AtomicU64::new(0) }; _]));
        Neighbors { names, seats: (0..seats).map(|_| AtomicU32::new(0)).collect(), given: AtomicU32::new(0), cells }
    }

    /// How many seats there are.
    pub fn capacity(&self) -> usize {
        self.names.len()
    }

    /// Where a word may sit.
    fn seats_for(&self, word: u64) -> impl Iterator<Item = usize> {
        let mask = self.names.len() - 1;
        let start = (mix(word) >> 40) as usize;
        (0..PROBES).map(move |i| (start + i) & mask)
    }

    /// The seat of a next hop, claimed if it had none. `None` when the table is full around it.
    pub fn claim(&self, iface: IfaceId, addr: Addr) -> Option<NeighborId> {
        let want = word(iface, addr);
        for seat in self.seats_for(want) {
            let name = &self.names[seat];
            let mut found = name.word();
            if found == 0 {
                if let Some(id) = self.sit(seat, want, addr) {
                    return Some(id);
                }
                found = name.word();
            }
            if found == CLAIMED {
                // It may be the very one: asked for again with the next packet.
                return None;
            }
            if found == want && name.is(addr) {
                return Some(name.id());
            }
        }
        None
    }

    /// Makes a free seat ours and gives it an id. `None` when another lcore was faster.
    fn sit(&self, seat: usize, word: u64, addr: Addr) -> Option<NeighborId> {
        let name = &self.names[seat];
        name.word.compare_exchange(0, word & !READY, Ordering::AcqRel, Ordering::Acquire).ok()?;
        if let Addr::V6(a) = addr {
            name.v6.iter().zip(a.raw()).for_each(|(half, value)| half.store(value, Ordering::Relaxed));
        }
        // One for each seat: there are as many.
        let id = self.given.fetch_add(1, Ordering::Relaxed);
        name.id.store(id as u16, Ordering::Relaxed);
        self.seats[id as usize].store(seat as u32 + 1, Ordering::Relaxed);
        name.word.store(word, Ordering::Release);
        Some(NeighborId(id as u16))
    }

    /// The seat of a next hop, if it has one.
    pub fn find(&self, iface: IfaceId, addr: Addr) -> Option<NeighborId> {
        let want = word(iface, addr);
        self.seats_for(want)
            .map(|seat| (seat, self.names[seat].word()))
            .take_while(|(_, found)| *found != 0)
            .find(|(seat, found)| *found == want && self.names[*seat].is(addr))
            .map(|(seat, _)| self.names[seat].id())
    }

    /// The seat of an id: scattered, as it is found by hash.
    pub fn seat(&self, id: NeighborId) -> Option<usize> {
        self.seats.get(id.index())?.load(Ordering::Relaxed).checked_sub(1).map(|seat| seat as usize)
    }

    /// Interface and address of a seat, if it is claimed.
    pub fn owner(&self, id: NeighborId) -> Option<(IfaceId, Addr)> {
        let name = self.names.get(self.seat(id)?)?;
        let word = name.word();
        let addr = if word & IPV6 == 0 { Addr::V4(Be32::from_raw(word as u32)) } else { Addr::V6(name.v6()) };
        (word & READY != 0).then_some((IfaceId((word >> 32) as u8), addr))
    }

    /// Every claimed seat.
    pub fn claimed(&self) -> impl Iterator<Item = (NeighborId, IfaceId, Addr)> + '_ {
        (0..self.given.load(Ordering::Relaxed)).filter_map(|i| {
            let id = NeighborId(i as u16);
            self.owner(id).map(|(iface, addr)| (id, iface, addr))
        })
    }

    /// What is known of a next hop.
    #[inline(always)]
    pub fn cell(&self, id: NeighborId) -> Cell {
        if id.index() >= self.names.len() {
            return Cell { mac: Mac::default(), state: NudState::Failed, iface: IfaceId(0) };
        }
        let v = self.hops().hop(id).0;
        let [a, b, c, d, e, f, state, iface] = v.to_le_bytes();
        let mac = Mac([a, b, c, d, e, f]);
        match state >> 6 {
            1 => Cell { mac, state: NudState::Reachable, iface: IfaceId(iface) },
            2 => Cell { mac, state: NudState::Failed, iface: IfaceId(iface) },
            // Until the master has written the cell, the interface stands in the key alone.
            _ => Cell { mac, state: NudState::Incomplete, iface: self.owner(id).map_or(IfaceId(0), |(i, _)| i) },
        }
    }

    /// The cells, for a loop over packets.
    #[inline(always)]
    pub fn hops(&self) -> Hops<'_> {
        Hops(&self.cells)
    }

    /// Writes a cell. Only the master may.
    pub fn set(&self, id: NeighborId, cell: Cell) {
        self.cells[usize::from(id.0)].store(Hop::of(cell).0, Ordering::Release);
    }
}

/// The cells of all next hops.
#[derive(Clone, Copy, Debug)]
pub struct Hops<'a>(&'a Cells);

impl Hops<'_> {
    /// One of them; what is not there is not reachable.
    #[inline(always)]
    pub fn hop(&self, id: NeighborId) -> Hop {
        Hop(self.0[usize::from(id.0)].load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(a: u32) -> Addr {
        Be32::new(a).into()
    }

    fn ip6(a: u128) -> Addr {
        Be128::from_bytes(a.to_be_bytes()).into()
    }

    #[test]
    fn a_seat_is_claimed_once_and_found_again() {
        let n = Neighbors::new(256);
        let a = n.claim(IfaceId(1), ip(0xC612_0101)).unwrap();
        assert_eq!(n.claim(IfaceId(1), ip(0xC612_0101)), Some(a));
        assert_ne!(n.claim(IfaceId(2), ip(0xC612_0101)), Some(a));
        assert_eq!(n.find(IfaceId(1), ip(0xC612_0101)), Some(a));
        assert_eq!(n.find(IfaceId(1), ip(0xC612_0102)), None);
        assert_eq!(n.owner(a), Some((IfaceId(1), ip(0xC612_0101))));
        assert_eq!(n.cell(a), Cell { mac: Mac::default(), state: NudState::Incomplete, iface: IfaceId(1) });
        let cell = Cell { mac: Mac([2, 0, 0, 0, 0, 9]), state: NudState::Reachable, iface: IfaceId(1) };
        n.set(a, cell);
        assert_eq!(n.cell(a), cell);
    }

    #[test]
    fn a_full_table_gives_no_seat_and_keeps_what_it_has() {
        let n = Neighbors::new(64);
        for i in 0..64 {
            assert_eq!(n.claim(IfaceId(0), ip(i)), Some(NeighborId(i as u16)), "cells are used from the first one on");
        }
        assert_eq!(n.claim(IfaceId(0), ip(64)), None);
        assert!((0..64).all(|i| n.find(IfaceId(0), ip(i)).is_some()));
        assert_eq!(n.claimed().count(), 64);
    }

    #[test]
    fn seats_of_ipv6_are_told_apart_by_the_whole_address_and_from_ipv4() {
        let n = Neighbors::new(65_536);
        let net = 0x2001_0db8 << 96;
        let seats: std::collections::HashSet<_> =
            (0..2_000).map(|i| n.claim(IfaceId(3), ip6(net | i)).unwrap()).collect();
        assert_eq!(seats.len(), 2_000);
        for i in 0..2_000 {
            let seat = n.claim(IfaceId(3), ip6(net | i)).unwrap();
            assert_eq!(
                (n.find(IfaceId(3), ip6(net | i)), n.owner(seat)),
                (Some(seat), Some((IfaceId(3), ip6(net | i))))
            );
        }
        assert_eq!(n.find(IfaceId(2), ip6(net)), None);
        let v4 = n.claim(IfaceId(3), ip(0xC612_0101)).unwrap();
        assert_eq!(n.owner(v4), Some((IfaceId(3), ip(0xC612_0101))));
        assert_eq!(n.claimed().count(), 2_001);
    }

    #[test]
    fn one_seat_for_a_next_hop_that_many_ask_for_at_once() {
        let n = Neighbors::new(64);
        for round in 0..200u128 {
            let seats: Vec<_> = std::thread::scope(|s| {
                let ask = || s.spawn(|| (0..).find_map(|_| n.claim(IfaceId(0), ip6(round % 16))));
                [ask(), ask(), ask()].map(|t| t.join().unwrap()).to_vec()
            });
            assert!(seats.iter().all(|s| *s == seats[0]), "{seats:?}");
        }
        let ids: Vec<u16> = n.claimed().map(|(id, ..)| id.0).collect();
        assert_eq!(ids, (0..16).collect::<Vec<_>>());
        assert_eq!(n.claimed().count(), 16);
    }
}
