//! What is asked for every packet that has no connection: whether its addresses are ours, and for which service it is.

use super::words::Words;
use super::{Local, Quick, Service};
use crate::addr::{Addr, Be16, Be32, Family, Proto};
use crate::conn::key::Key;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::hash::{Hash, Hasher};
use hashbrown::HashMap;

/// Words of the filter, a power of two: 8 KiB.
const WORDS: usize = 1 << 10;

/// The addresses of ours. IPv4 addresses pass a filter first: one bit each, by a hash.
#[derive(Clone, Debug)]
pub struct LocalMap {
    v4: Words<Local>,
    v6: HashMap<Addr, Local, Quick>,
    filter: Box<[u64; WORDS]>,
    /// Addresses that were taken out since the filter was made; it still lets them pass.
    left: usize,
}

impl Default for LocalMap {
    fn default() -> LocalMap {
        LocalMap { v4: Words::default(), v6: HashMap::default(), filter: Box::new([0; WORDS]), left: 0 }
    }
}

impl PartialEq for LocalMap {
    fn eq(&self, other: &LocalMap) -> bool {
        self.v4.len() == other.v4.len()
            && self.v4.iter().all(|(word, local)| other.v4.get(word) == Some(local))
            && self.v6 == other.v6
    }
}

impl LocalMap {
    /// Adds an address.
    pub fn insert(&mut self, addr: Addr, local: Local) {
        match addr {
            Addr::V4(v4) => {
                self.v4.insert(u64::from(v4.raw()), local);
                self.mark(v4);
            }
            Addr::V6(_) => _ = self.v6.insert(addr, local),
        }
    }

    /// Takes an address out.
    pub fn remove(&mut self, addr: &Addr) {
        match addr {
            Addr::V4(v4) => self.left += usize::from(self.v4.remove(u64::from(v4.raw())).is_some()),
            Addr::V6(_) => _ = self.v6.remove(addr),
        }
    }

    /// What an address of ours is for; `None` for any other.
    #[inline(always)]
    pub fn get(&self, addr: &Addr) -> Option<&Local> {
        match addr {
            Addr::V4(v4) if self.may_have(*addr) => self.v4.get(u64::from(v4.raw())),
            Addr::V4(_) => None,
            Addr::V6(_) => self.v6.get(addr),
        }
    }

    /// False for an address that is not ours: a quick look, which some other addresses pass too.
    #[inline(always)]
    pub fn may_have(&self, addr: Addr) -> bool {
        let Addr::V4(addr) = addr else { return true };
        let (word, bit) = place(addr);
        self.filter[word] & bit != 0
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Addr, &Local)> {
        let v4 = self.v4.iter().map(|(word, local)| (Addr::V4(Be32::from_raw(word as u32)), local));
        v4.chain(self.v6.iter().map(|(addr, local)| (*addr, local)))
    }

    /// Lets an address pass the filter, which is made anew when it lets pass more that left than are there.
    fn mark(&mut self, addr: Be32) {
        let anew = self.left > self.v4.len();
        if anew {
            self.left = 0;
            self.filter.fill(0);
        }
        let all = self.v4.iter().filter(|_| anew).map(|(word, _)| Be32::from_raw(word as u32));
        for (word, bit) in all.chain([addr]).map(place) {
            self.filter[word] |= bit;
        }
    }
}

impl FromIterator<(Addr, Local)> for LocalMap {
    fn from_iter<I: IntoIterator<Item = (Addr, Local)>>(all: I) -> LocalMap {
        let mut map = LocalMap::default();
        all.into_iter().for_each(|(addr, local)| map.insert(addr, local));
        map
    }
}

/// The bit of an address: in which word, and which.
#[inline(always)]
fn place(addr: Be32) -> (usize, u64) {
    let hash = addr.raw().wrapping_mul(0x9E37_79B1) >> 16;
    (hash as usize / 64 % WORDS, 1 << (hash % 64))
}

/// The services by protocol, VIP and port.
#[derive(Clone, Debug, Default)]
pub struct ServiceMap {
    v4: Words<Arc<Service>>,
    v6: HashMap<VipKey, Arc<Service>, Quick>,
}

impl PartialEq for ServiceMap {
    fn eq(&self, other: &ServiceMap) -> bool {
        self.len() == other.len() && self.iter().all(|(key, service)| other.get(&key) == Some(service))
    }
}

impl ServiceMap {
    /// Adds a service, and gives the one that was there.
    pub fn insert(&mut self, key: VipKey, service: Arc<Service>) -> Option<Arc<Service>> {
        match key.word4() {
            Some(word) => self.v4.insert(word, service),
            None => self.v6.insert(key, service),
        }
    }

    /// Takes a service out, and gives it.
    pub fn remove(&mut self, key: &VipKey) -> Option<Arc<Service>> {
        match key.word4() {
            Some(word) => self.v4.remove(word),
            None => self.v6.remove(key),
        }
    }

    /// The service of a key. Reads nothing of the service itself.
    #[inline(always)]
    pub fn get(&self, key: &VipKey) -> Option<&Arc<Service>> {
        match key.word4() {
            Some(word) => self.v4.get(word),
            None => self.v6.get(key),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (VipKey, &Arc<Service>)> {
        let v4 = self.v4.iter().map(|(word, service)| (VipKey::of_word4(word), service));
        v4.chain(self.v6.iter().map(|(key, service)| (*key, service)))
    }

    /// All services, in no order.
    pub fn values(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.iter().map(|(_, service)| service)
    }

    /// All services, in no order.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Arc<Service>> {
        self.v4.values_mut().chain(self.v6.values_mut())
    }
}

/// Protocol, VIP and port of a service, in words: for IPv4 all of it is one.
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
    /// Of what a packet of IPv4 goes to.
    #[inline(always)]
    pub fn of_packet4(key: &Key) -> VipKey {
        VipKey { addr: [u64::from(key.dst().raw()), 0], rest: key.destination4() }
    }
    /// The protocol.
    #[inline(always)]
    pub fn proto(&self) -> Proto {
        if (self.rest >> 16) as u8 == Proto::Tcp as u8 { Proto::Tcp } else { Proto::Udp }
    }
    /// All that an IPv4 key says.
    #[inline(always)]
    fn word4(&self) -> Option<u64> {
        (self.rest >> 24 == Family::V4 as u64).then_some(self.addr[0] << 24 | self.rest)
    }
    fn of_word4(word: u64) -> VipKey {
        VipKey { addr: [word >> 24, 0], rest: word & 0xFF_FFFF }
    }
}

impl Hash for VipKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.addr[1]);
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
            let key = VipKey::of_packet4(&packet);
            assert_eq!(key, VipKey::new(proto, vip.into(), vport));
            assert_eq!((key.proto(), key.word4().map(VipKey::of_word4)), (proto, Some(key)));
            assert_ne!(VipKey::of_packet4(&packet.reversed()), VipKey::new(proto, vip.into(), vport));
        }
    }
}
