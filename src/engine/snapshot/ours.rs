//! What is asked for every packet that has no connection: whether its addresses are ours, and for which service it is.

use super::{Local, Quick};
use crate::addr::{Addr, Be16, Be32, Family, Proto};
use crate::conn::key::Key;
use alloc::vec;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use hashbrown::HashMap;

/// Bits of the filter, a power of two: 8 KiB.
const BITS: usize = 1 << 16;

/// The addresses of ours. IPv4 addresses pass a filter first: one bit each, by a hash.
#[derive(Clone, Debug, Default)]
pub struct LocalMap {
    all: HashMap<Addr, Local, Quick>,
    /// Empty until there is an address.
    filter: Vec<u64>,
    /// Addresses that were taken out since the filter was made; it still lets them pass.
    left: usize,
}

impl PartialEq for LocalMap {
    fn eq(&self, other: &LocalMap) -> bool {
        self.all == other.all
    }
}

impl LocalMap {
    /// Adds an address.
    pub fn insert(&mut self, addr: Addr, local: Local) {
        self.all.insert(addr, local);
        if self.filter.is_empty() || self.left > self.all.len() {
            self.left = 0;
            self.filter = vec![0; BITS / 64];
            self.all.keys().for_each(|addr| mark(&mut self.filter, *addr));
        } else {
            mark(&mut self.filter, addr);
        }
    }

    /// Takes an address out.
    pub fn remove(&mut self, addr: &Addr) {
        self.left += usize::from(self.all.remove(addr).is_some());
    }

    /// What an address of ours is for; `None` for any other.
    #[inline(always)]
    pub fn get(&self, addr: &Addr) -> Option<&Local> {
        if self.may_have(*addr) { self.all.get(addr) } else { None }
    }

    /// False for an address that is not ours: a quick look, which some other addresses pass too.
    #[inline(always)]
    pub fn may_have(&self, addr: Addr) -> bool {
        let Addr::V4(addr) = addr else { return true };
        let (word, bit) = place(addr);
        self.filter.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Addr, &Local)> {
        self.all.iter()
    }
}

impl FromIterator<(Addr, Local)> for LocalMap {
    fn from_iter<I: IntoIterator<Item = (Addr, Local)>>(all: I) -> LocalMap {
        let mut map = LocalMap::default();
        all.into_iter().for_each(|(addr, local)| map.insert(addr, local));
        map
    }
}

fn mark(filter: &mut [u64], addr: Addr) {
    if let Addr::V4(addr) = addr {
        let (word, bit) = place(addr);
        filter[word] |= bit;
    }
}

/// The bit of an address: in which word, and which.
#[inline(always)]
fn place(addr: Be32) -> (usize, u64) {
    let hash = addr.raw().wrapping_mul(0x9E37_79B1) >> 16;
    (hash as usize / 64 % (BITS / 64), 1 << (hash % 64))
}

/// Protocol, VIP and port of a service, in words: one comparison each, and for IPv4 one word to hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VipKey {
    addr: [u64; 2],
    /// Family, protocol, port.
    rest: u64,
}

impl VipKey {
    /// From its parts.
    #[inline(always)]
    pub fn new(proto: Proto, vip: Addr, vport: Be16) -> VipKey {
        let addr = match vip {
            Addr::V4(addr) => [u64::from(addr.raw()), 0],
            Addr::V6(addr) => addr.raw(),
        };
        VipKey { addr, rest: (vip.family() as u64) << 24 | (proto as u64) << 16 | u64::from(vport.raw()) }
    }
}

impl VipKey {
    /// Of what a packet of IPv4 goes to.
    #[inline(always)]
    pub fn of_packet4(key: &Key) -> VipKey {
        VipKey { addr: [u64::from(key.dst().raw()), 0], rest: key.destination4() }
    }
}

impl Hash for VipKey {
    #[inline(always)]
    fn hash<H: Hasher>(&self, state: &mut H) {
        if self.rest >> 24 == Family::V6 as u64 {
            state.write_u64(self.addr[1]);
        }
        state.write_u64(self.addr[0] ^ self.rest << 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::LocalKind;

    #[test]
    fn what_was_inserted_is_found_and_nearly_everything_else_is_refused_by_the_filter() {
        let local = Local { kind: LocalKind::Own, iface: None };
        let ours = |n: u32| Addr::V4(Be32::new(0xC612_0000 + n));
        let map: LocalMap = (0..1_000).map(|n| (ours(n), local)).collect();
        assert!((0..1_000).all(|n| map.get(&ours(n)) == Some(&local)));
        let others = (0..100_000).map(|n| Addr::V4(Be32::new(0x6440_0000 + n)));
        assert!(others.clone().all(|other| map.get(&other).is_none()));
        assert!(others.filter(|other| map.may_have(*other)).count() < 5_000);
        assert_eq!(LocalMap::default().get(&ours(1)), None);
    }

    #[test]
    fn addresses_that_come_and_go_do_not_fill_the_filter() {
        let local = Local { kind: LocalKind::Own, iface: None };
        let ours = |n: u32| Addr::V4(Be32::new(0xC612_0000 + n));
        let mut map: LocalMap = (0..100).map(|n| (ours(n), local)).collect();
        for n in 100..50_000 {
            map.insert(ours(n), local);
            map.remove(&ours(n - 100));
        }
        assert_eq!(map, (49_900..50_000).map(|n| (ours(n), local)).collect());
        assert!((0..49_900).filter(|n| map.may_have(ours(*n))).count() < 1_000);
    }

    #[test]
    fn the_key_of_a_packet_is_that_of_the_service_it_asks_for() {
        let (vip, vport) = (Be32::new(0xC612_0164), Be16::new(443));
        for proto in [Proto::Tcp, Proto::Udp] {
            let packet = Key::v4(Be32::new(0x6440_0001), vip, Be16::new(40_000), vport, proto);
            assert_eq!(VipKey::of_packet4(&packet), VipKey::new(proto, vip.into(), vport));
            assert_ne!(VipKey::of_packet4(&packet.reversed()), VipKey::new(proto, vip.into(), vport));
        }
    }
}
