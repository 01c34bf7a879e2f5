//! Neighbours as 8-byte cells, shared by all lcores: MAC address, state and interface of a next hop.
//!
//! A cell has one writer, the master. A seat is claimed once, by whoever first needs the next hop (the master for
//! configured ones, a worker for a client on its own link), and stays claimed for the run: connections hold its id.

use crate::addr::{Be32, IfaceId, Mac, NeighborId};
use alloc::boxed::Box;
use core::sync::atomic::{AtomicU64, Ordering};

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

/// All next hops of a run.
#[derive(Debug)]
pub struct Neighbors {
    keys: Box<[AtomicU64]>,
    cells: Box<[AtomicU64]>,
}

const CLAIMED: u64 = 1 << 63;

fn key(iface: IfaceId, addr: Be32) -> u64 {
    CLAIMED | u64::from(iface.0) << 32 | u64::from(addr.raw())
}

impl Neighbors {
    /// Room for `seats` next hops, a power of two of at most 65,536 (rounded up).
    pub fn new(seats: usize) -> Neighbors {
        let seats = seats.clamp(PROBES, 65_536).next_power_of_two();
        let zeros = || (0..seats).map(|_| AtomicU64::new(0)).collect();
        Neighbors { keys: zeros(), cells: zeros() }
    }

    /// The seat of a next hop, claimed if it had none. `None` when the table is full around it.
    pub fn claim(&self, iface: IfaceId, addr: Be32) -> Option<NeighborId> {
        let want = key(iface, addr);
        let mask = self.keys.len() - 1;
        let start = (want.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize;
        for i in 0..PROBES {
            let seat = (start + i) & mask;
            let mut found = self.keys[seat].load(Ordering::Acquire);
            if found == 0 {
                found = match self.keys[seat].compare_exchange(0, want, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => want,
                    Err(other) => other,
                };
            }
            if found == want {
                return Some(NeighborId(seat as u16));
            }
        }
        None
    }

    /// The seat of a next hop, if it has one.
    pub fn find(&self, iface: IfaceId, addr: Be32) -> Option<NeighborId> {
        let want = key(iface, addr);
        let mask = self.keys.len() - 1;
        let start = (want.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize;
        (0..PROBES)
            .map(|i| (start + i) & mask)
            .map(|seat| (seat, self.keys[seat].load(Ordering::Acquire)))
            .take_while(|(_, k)| *k != 0)
            .find(|(_, k)| *k == want)
            .map(|(seat, _)| NeighborId(seat as u16))
    }

    /// Interface and address of a seat, if it is claimed.
    pub fn owner(&self, id: NeighborId) -> Option<(IfaceId, Be32)> {
        let k = self.keys.get(id.index())?.load(Ordering::Acquire);
        (k != 0).then(|| (IfaceId((k >> 32) as u8), Be32::from_raw(k as u32)))
    }

    /// Every claimed seat.
    pub fn claimed(&self) -> impl Iterator<Item = (NeighborId, IfaceId, Be32)> + '_ {
        (0..self.keys.len()).filter_map(|i| {
            let id = NeighborId(i as u16);
            self.owner(id).map(|(iface, addr)| (id, iface, addr))
        })
    }

    /// What is known of a next hop.
    #[inline(always)]
    pub fn cell(&self, id: NeighborId) -> Cell {
        let Some(cell) = self.cells.get(id.index()) else {
            return Cell { mac: Mac::default(), state: NudState::Failed, iface: IfaceId(0) };
        };
        let v = cell.load(Ordering::Relaxed);
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
        if let Some(seat) = self.cells.get(id.index()) {
            seat.store(Hop::of(cell).0, Ordering::Release);
        }
    }
}

/// The cells of all next hops.
#[derive(Clone, Copy, Debug)]
pub struct Hops<'a>(&'a [AtomicU64]);

impl Hops<'_> {
    /// One of them; what is not there is not reachable.
    #[inline(always)]
    pub fn hop(&self, id: NeighborId) -> Hop {
        Hop(self.0.get(id.index()).map_or(0, |cell| cell.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_claimed_once_and_found_again() {
        let n = Neighbors::new(256);
        let a = n.claim(IfaceId(1), Be32::new(0xC612_0101)).unwrap();
        assert_eq!(n.claim(IfaceId(1), Be32::new(0xC612_0101)), Some(a));
        assert_ne!(n.claim(IfaceId(2), Be32::new(0xC612_0101)), Some(a));
        assert_eq!(n.find(IfaceId(1), Be32::new(0xC612_0101)), Some(a));
        assert_eq!(n.find(IfaceId(1), Be32::new(0xC612_0102)), None);
        assert_eq!(n.owner(a), Some((IfaceId(1), Be32::new(0xC612_0101))));
        assert_eq!(n.cell(a), Cell { mac: Mac::default(), state: NudState::Incomplete, iface: IfaceId(1) });
        let cell = Cell { mac: Mac([2, 0, 0, 0, 0, 9]), state: NudState::Reachable, iface: IfaceId(1) };
        n.set(a, cell);
        assert_eq!(n.cell(a), cell);
    }

    #[test]
    fn a_full_table_gives_no_seat_and_keeps_what_it_has() {
        let n = Neighbors::new(64);
        for i in 0..64 {
            assert!(n.claim(IfaceId(0), Be32::new(i)).is_some());
        }
        assert_eq!(n.claim(IfaceId(0), Be32::new(64)), None);
        assert!((0..64).all(|i| n.find(IfaceId(0), Be32::new(i)).is_some()));
        assert_eq!(n.claimed().count(), 64);
    }
}
