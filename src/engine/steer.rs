//! Who owns what: the one definition of a tuple's home.
//!
//! A [`Steer`] holds the Toeplitz key of the run and the tables made from it. The class of a tuple is the low bits of
//! the Toeplitz hash that every network card knows (Microsoft RSS: source, destination, source port, destination port),
//! and a class belongs to one lcore for the whole run. The workers ask it for every packet whose card did not, and
//! [`crate::laddr`] asks it backwards: which local port brings a server's reply into a given class? The hash is linear
//! over GF(2), so that is a table look-up, not a search.
//!
//! It never changes after it was made, and never looks at where a packet arrived.

use crate::addr::{Addr, Be16, Be32, Be128, Class, Family, LcoreId};
use crate::conn::tuple::Tuple;
use alloc::boxed::Box;
use core::fmt;
use core::ops::BitXor;

/// How many classes there are: no more than the smallest RETA that we know, and a power of two.
pub const CLASSES: usize = 128;
/// A Toeplitz key, as RSS takes it.
pub type Key = [u8; 40];

/// How many indices [`Steer::lport`] knows for each class.
pub const PORTS: u16 = 512;
/// The indices below this one stand for ports below 1024 and are never used.
pub const RESERVED: u16 = 8;

/// Bits of a hash that make its class.
const CLASS_BITS: usize = CLASSES.trailing_zeros() as usize;
/// Ports below 1 << LOW_BITS are not used as local ports.
const LOW_BITS: usize = 10;
/// What each value of each byte of a tuple adds, by the byte's position; four positions are an IPv4 address, or both ports. The
/// longest tuple is two IPv6 addresses and two ports.
type Tables<T> = [[[T; 256]; 4]; 9];

/// The key or the number of lcores cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The low ten bits of the destination port do not reach every class.
    Weak {
        /// How many of the seven bits of a class they reach.
        rank: u8,
    },
    /// A class has to have an owner, and an owner a class.
    Lcores(u8),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Weak { rank } => write!(
                f,
                "with this RSS key the local ports reach only {} of {CLASSES} classes: leave the key out and gatun \
                 makes one, or change its bytes 13 to 15 and 37 to 39, counted from 0",
                1u32 << rank
            ),
            KeyError::Lcores(n) => write!(f, "{n} workers cannot share {CLASSES} classes: configure 1 to {CLASSES}"),
        }
    }
}

impl core::error::Error for KeyError {}

/// What the addresses and the server's port of a reply tuple add to its class. See [`Steer::base`].
#[derive(Clone, Copy, Debug)]
pub struct Base {
    class: u8,
    family: Family,
}

/// The hash, the map from classes to lcores, and the way back from a class to local ports.
#[derive(Clone)]
pub struct Steer {
    key: Key,
    lcores: u8,
    map: [LcoreId; CLASSES],
    /// What each value of each byte of a tuple adds to the hash, by its position in the tuple.
    bytes: Box<Tables<u32>>,
    /// The same of the class alone: a quarter of the cache.
    classes: Box<Tables<u8>>,
    /// By [`Family`]: the destination port stands at another place in each.
    ports: [Ports; 2],
}

/// The destination port's part of the hash, taken apart: every port is `lead[c] ^ kernel[i]` for one pair (c, i), and
/// its part of the class is then c. All of these maps are linear.
#[derive(Clone)]
struct Ports {
    /// A port below 1024 whose part of the class is the index.
    lead: [u16; CLASSES],
    /// The ports whose part of the class is 0, those below 1024 first.
    kernel: Box<[u16; PORTS as usize]>,
    /// From the high and the low byte of a port to its `c << 9 | i`.
    split: Box<[[u16; 256]; 2]>,
}

impl Steer {
    /// The tables for a key and a number of lcores. Class c belongs to lcore `c % lcores`.
    pub fn new(key: Key, lcores: u8) -> Result<Steer, KeyError> {
        if lcores == 0 || usize::from(lcores) > CLASSES {
            return Err(KeyError::Lcores(lcores));
        }
        let bytes = byte_tables(&key);
        let classes = class_tables(&bytes);
        // From the bits of the destination port, the lowest first, to what they add to the class.
        let bits = |at: usize| {
            let bit = |b: usize| classes[at][3 - b / 8][1 << (b % 8)];
            core::array::from_fn(bit)
        };
        let ports = [Ports::new(bits(2))?, Ports::new(bits(8))?];
        let map = core::array::from_fn(|c| LcoreId((c % usize::from(lcores)) as u8));
        Ok(Steer { key, lcores, map, bytes, classes, ports })
    }

    /// A key that [`Steer::new`] accepts, always the same one for a seed.
    pub fn key_from_seed(seed: u64) -> Key {
        let mut state = seed;
        loop {
            let mut key = [0; 40];
            for part in key.chunks_exact_mut(8) {
                part.copy_from_slice(&splitmix(&mut state).to_be_bytes());
            }
            if Steer::new(key, 1).is_ok() {
                return key;
            }
        }
    }

    /// The key: every port of ours gets the same one.
    pub fn key(&self) -> &Key {
        &self.key
    }
    /// How many lcores share the classes.
    pub fn lcores(&self) -> u8 {
        self.lcores
    }

    /// The hash over two addresses of one family, for packets without ports.
    pub fn hash2(&self, src: Addr, dst: Addr) -> u32 {
        sum(&self.bytes, (src, dst), [0; 4])
    }
    /// The hash over a tuple.
    pub fn hash(&self, t: &Tuple) -> u32 {
        sum(&self.bytes, (t.src(), t.dst()), ports(t.sport(), t.dport()))
    }
    /// The class of a tuple.
    pub fn class_of(&self, t: &Tuple) -> Class {
        Class(sum(&self.classes, (t.src(), t.dst()), ports(t.sport(), t.dport())))
    }
    /// The class of a tuple of IPv4, from its parts.
    #[inline(always)]
    pub fn class4(&self, src: Be32, dst: Be32, sport: Be16, dport: Be16) -> Class {
        Class(sum4(&self.classes, src, dst, ports(sport, dport)))
    }
    /// The class of a tuple of IPv6, from its parts.
    #[inline(always)]
    pub fn class6(&self, src: Be128, dst: Be128, sport: Be16, dport: Be16) -> Class {
        Class(sum6(&self.classes, src, dst, ports(sport, dport)))
    }
    /// What the addresses and the server's port of a reply add to its class: (`rip`, `lip`, `rport`, 0).
    #[inline(always)]
    pub fn base(&self, rip: Addr, rport: Be16, lip: Addr) -> Base {
        Base { class: sum(&self.classes, (rip, lip), ports(rport, Be16::default())), family: rip.family() }
    }

    /// The class of a tuple with this hash.
    #[inline(always)]
    pub fn class(hash: u32) -> Class {
        Class((hash as usize % CLASSES) as u8)
    }
    /// Whose class it is. Only the low seven bits of `class` count.
    #[inline(always)]
    pub fn owner(&self, class: Class) -> LcoreId {
        self.map[class.index() % CLASSES]
    }
    /// The owner of each class: the RETA of every port of ours, repeated to its length.
    pub fn map(&self) -> &[LcoreId; CLASSES] {
        &self.map
    }
    /// The classes of an lcore, in order; none for an lcore that there is not.
    pub fn classes_of(&self, lcore: LcoreId) -> impl Iterator<Item = Class> + use<> {
        let end = if lcore.0 < self.lcores { CLASSES as u8 } else { 0 };
        (lcore.0..end).step_by(usize::from(self.lcores.max(1))).map(Class)
    }

    /// The `i`-th local port whose reply comes into class `want`. Each of the 65,536 ports is that of one pair of class and
    /// index; the indices below [`RESERVED`] are those of ports below 1024. Only the low nine bits of `i` count.
    #[inline(always)]
    pub fn lport(&self, base: Base, want: Class, i: u16) -> u16 {
        self.lport_of(base.family, self.lead(base, want), i)
    }
    /// What the local ports have in common whose replies come into class `want`: for [`Steer::lport_of`].
    #[inline(always)]
    pub fn lead(&self, base: Base, want: Class) -> u16 {
        self.ports[base.family as usize].lead[(usize::from(base.class) ^ want.index()) % CLASSES]
    }
    /// The `i`-th local port of those that have this in common.
    #[inline(always)]
    pub fn lport_of(&self, family: Family, lead: u16, i: u16) -> u16 {
        lead ^ self.ports[family as usize].kernel[usize::from(i % PORTS)]
    }
    /// The class of the reply to a local port and the port's index in it: the inverse of [`Steer::lport`].
    #[inline]
    pub fn place(&self, base: Base, lport: u16) -> (Class, u16) {
        let [high, low] = lport.to_be_bytes().map(usize::from);
        let ports = &self.ports[base.family as usize];
        let split = ports.split[0][high] ^ ports.split[1][low];
        (Class(base.class ^ (split / PORTS) as u8), split % PORTS)
    }
}

impl fmt::Debug for Steer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the key: who knows it can aim at one lcore.
        f.debug_struct("Steer").field("lcores", &self.lcores).finish_non_exhaustive()
    }
}

impl Ports {
    /// From the part of the class that each bit of the port has, the lowest bit first.
    fn new(bit: [u8; 16]) -> Result<Ports, KeyError> {
        let part = |port: u16| (0..16).filter(|b| port >> b & 1 != 0).fold(0u8, |c, b| c ^ bit[b]);
        // Gauss: `pivots[b]` is a low port whose part has b as its highest bit; what is left over is the low kernel.
        let mut pivots = [0u16; CLASS_BITS];
        let mut basis = [0u16; 9];
        let (mut rank, mut kernels) = (0, 0);
        for b in 0..LOW_BITS {
            let mut port = 1u16 << b;
            while let Some(top) = part(port).checked_ilog2() {
                if pivots[top as usize] == 0 {
                    pivots[top as usize] = port;
                    rank += 1;
                    break;
                }
                port ^= pivots[top as usize];
            }
            if part(port) == 0 && kernels < basis.len() {
                basis[kernels] = port;
                kernels += 1;
            }
        }
        if rank != CLASS_BITS {
            return Err(KeyError::Weak { rank: rank as u8 });
        }
        let lead = |want: u8| {
            (0..CLASS_BITS).rev().fold(0u16, |p, b| if (want ^ part(p)) >> b & 1 != 0 { p ^ pivots[b] } else { p })
        };
        // One more kernel vector for each high bit: the bit and the low port that makes up for it.
        for (j, vector) in basis.iter_mut().skip(LOW_BITS - CLASS_BITS).enumerate() {
            let high = 1u16 << (LOW_BITS + j);
            *vector = high ^ lead(part(high));
        }
        let kernel = |i: usize| (0..9).filter(|b| i >> b & 1 != 0).fold(0u16, |p, b| p ^ basis[b]);

        let mut ports = Ports {
            lead: core::array::from_fn(|c| lead(c as u8)),
            kernel: Box::new(core::array::from_fn(kernel)),
            split: Box::new([[0; 256]; 2]),
        };
        for (c, lead) in ports.lead.iter().enumerate() {
            for (i, kernel) in ports.kernel.iter().enumerate() {
                let split = (c << 9 | i) as u16;
                match (lead ^ kernel).to_be_bytes() {
                    [high, 0] => ports.split[0][usize::from(high)] = split,
                    [0, low] => ports.split[1][usize::from(low)] = split,
                    _ => {}
                }
            }
        }
        Ok(ports)
    }
}

/// What a tuple adds to what the tables are of; nothing for addresses of two families.
#[inline(always)]
fn sum<T: Copy + Default + BitXor<Output = T>>(tables: &Tables<T>, (src, dst): (Addr, Addr), ports: [u8; 4]) -> T {
    match (src, dst) {
        (Addr::V4(src), Addr::V4(dst)) => sum4(tables, src, dst, ports),
        (Addr::V6(src), Addr::V6(dst)) => sum6(tables, src, dst, ports),
        (Addr::V4(_), Addr::V6(_)) | (Addr::V6(_), Addr::V4(_)) => T::default(),
    }
}

#[inline(always)]
fn sum4<T: Copy + BitXor<Output = T>>(tables: &Tables<T>, src: Be32, dst: Be32, ports: [u8; 4]) -> T {
    four(&tables[0], src.bytes()) ^ four(&tables[1], dst.bytes()) ^ four(&tables[2], ports)
}

#[inline(always)]
fn sum6<T: Copy + BitXor<Output = T>>(tables: &Tables<T>, src: Be128, dst: Be128, ports: [u8; 4]) -> T {
    let (src, dst) = (src.bytes(), dst.bytes());
    let addresses = src.as_chunks().0.iter().chain(dst.as_chunks().0);
    addresses.zip(tables).fold(four(&tables[8], ports), |sum, (bytes, tables)| sum ^ four(tables, *bytes))
}

#[inline(always)]
fn four<T: Copy + BitXor<Output = T>>(tables: &[[T; 256]; 4], bytes: [u8; 4]) -> T {
    let [a, b, c, d] = bytes.map(usize::from);
    tables[0][a] ^ tables[1][b] ^ tables[2][c] ^ tables[3][d]
}

/// A tuple's ports as they stand in it.
#[inline(always)]
fn ports(sport: Be16, dport: Be16) -> [u8; 4] {
    let ([a, b], [c, d]) = (sport.bytes(), dport.bytes());
    [a, b, c, d]
}

/// What each value of each byte of a tuple adds to the class.
fn class_tables(bytes: &Tables<u32>) -> Box<Tables<u8>> {
    let mut classes = Box::new([[[0; 256]; 4]; 9]);
    let all = classes.as_flattened_mut().as_flattened_mut().iter_mut();
    for (class, hash) in all.zip(bytes.as_flattened().as_flattened()) {
        *class = Steer::class(*hash).0;
    }
    classes
}

/// What each value of each byte of a tuple adds to the hash.
fn byte_tables(key: &Key) -> Box<Tables<u32>> {
    let mut tables = Box::new([[[0; 256]; 4]; 9]);
    for (window, table) in key.windows(5).zip(tables.as_flattened_mut()) {
        // The 40 bits of the key that the byte's eight bits see, 32 at a time.
        let window = window.iter().fold(0u64, |w, byte| w << 8 | u64::from(*byte));
        for (value, sum) in table.iter_mut().enumerate() {
            *sum = (0..8).filter(|b| value >> b & 1 != 0).fold(0, |h, b| h ^ (window >> (b + 1)) as u32);
        }
    }
    tables
}

/// SplitMix64: a seed becomes a stream of well mixed words.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Proto;
    use core::net::{Ipv4Addr, Ipv6Addr};
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// The key of Microsoft's verification suite for RSS.
    const MICROSOFT: Key = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca,
        0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b,
        0xbe, 0xac, 0x01, 0xfa,
    ];

    /// The definition, bit by bit.
    fn toeplitz(key: &Key, input: &[u8]) -> u32 {
        let key_bit = |n: usize| u32::from(key[n / 8] >> (7 - n % 8) & 1);
        (0..input.len() * 8)
            .filter(|n| input[n / 8] >> (7 - n % 8) & 1 != 0)
            .fold(0, |hash, n| hash ^ (n..n + 32).fold(0, |w, b| w << 1 | key_bit(b)))
    }

    fn ports_of(steer: &Steer, base: Base, class: Class) -> HashSet<u16> {
        (RESERVED..PORTS).map(|i| steer.lport(base, class, i)).collect()
    }

    #[test]
    fn the_hash_is_that_of_the_microsoft_verification_suite() {
        let steer = Steer::new(MICROSOFT, 4).unwrap();
        for (src, sport, dst, dport, hash4, hash2) in [
            ([66, 9, 149, 187], 2794, [161, 142, 100, 80], 1766, 0x51cc_c178, 0x323e_8fc2),
            ([199, 92, 111, 2], 14230, [65, 69, 140, 83], 4739, 0xc626_b0ea, 0xd718_262a),
            ([24, 19, 198, 95], 12898, [12, 22, 207, 184], 38024, 0x5c2b_394a, 0xd2d0_a5de),
            ([38, 27, 205, 30], 48228, [209, 142, 163, 6], 2217, 0xafc7_327f, 0x8298_9176),
            ([153, 39, 163, 191], 44251, [202, 188, 127, 2], 1303, 0x10e8_28a2, 0x5d18_09c5),
        ] {
            let (src, dst) = (Addr::from(Ipv4Addr::from(src)), Addr::from(Ipv4Addr::from(dst)));
            assert_eq!(steer.hash(&Tuple::new(src, dst, Be16::new(sport), Be16::new(dport), Proto::Tcp)), hash4);
            assert_eq!(steer.hash2(src, dst), hash2);
        }
    }

    #[test]
    fn the_hash_of_ipv6_is_that_of_the_microsoft_verification_suite() {
        let steer = Steer::new(MICROSOFT, 4).unwrap();
        for (src, sport, dst, dport, hash4, hash2) in [
            ("3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766, 0x4020_7d3d, 0x2cc1_8cd5),
            ("3ffe:501:8::260:97ff:fe40:efab", 14230, "ff02::1", 4739, 0xdde5_1bbf, 0x0f0c_461c),
            ("3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251, "fe80::200:f8ff:fe21:67cf", 38024, 0x02d1_feef, 0x4b61_e985),
        ] {
            let (src, dst): (Ipv6Addr, Ipv6Addr) = (src.parse().unwrap(), dst.parse().unwrap());
            assert_eq!(steer.hash(&Tuple::new(src, dst, Be16::new(sport), Be16::new(dport), Proto::Tcp)), hash4);
            assert_eq!(steer.hash2(src.into(), dst.into()), hash2);
        }
    }

    #[test]
    fn every_port_from_1024_on_belongs_to_exactly_one_class_and_each_has_504() {
        for (key, class) in [(MICROSOFT, 0), (MICROSOFT, 0x6f), (Steer::key_from_seed(1), 0x55)] {
            for family in [Family::V4, Family::V6] {
                let base = Base { class, family };
                let steer = Steer::new(key, 1).unwrap();
                let mut all = HashSet::new();
                for class in (0..128).map(Class) {
                    let ports = ports_of(&steer, base, class);
                    assert_eq!(ports.len(), 504);
                    assert!(ports.iter().all(|p| *p >= 1024));
                    assert!((0..RESERVED).all(|i| steer.lport(base, class, i) < 1024));
                    all.extend(ports);
                }
                assert_eq!(all.len(), 64_512);
            }
        }
    }

    #[test]
    fn every_class_has_one_owner_and_every_lcore_its_share() {
        for lcores in [1, 2, 7, 127, 128] {
            let steer = Steer::new(MICROSOFT, lcores).unwrap();
            let mut all = HashSet::new();
            for lcore in (0..lcores).map(LcoreId) {
                let classes: Vec<_> = steer.classes_of(lcore).collect();
                assert!(classes.len() == 128 / usize::from(lcores) || classes.len() == 128 / usize::from(lcores) + 1);
                for class in classes {
                    assert_eq!((steer.owner(class), steer.map()[class.index()]), (lcore, lcore));
                    assert!(all.insert(class));
                }
            }
            assert_eq!(all.len(), 128);
            assert_eq!(steer.classes_of(LcoreId(lcores)).count(), 0);
            assert_eq!(steer.classes_of(LcoreId(255)).count(), 0);
        }
    }

    #[test]
    fn a_key_that_does_not_reach_every_class_is_refused_with_a_remedy() {
        let mut dead = MICROSOFT;
        dead[10..17].fill(0);
        let error = Steer::new(dead, 1).unwrap_err();
        assert_eq!(error, KeyError::Weak { rank: 0 });
        assert!(error.to_string().contains("leave the key out"));
        // A period of four bits leaves four of the seven.
        assert_eq!(Steer::new([0x11; 40], 1).unwrap_err(), KeyError::Weak { rank: 4 });
        assert_eq!(Steer::new(MICROSOFT, 0).unwrap_err(), KeyError::Lcores(0));
        assert_eq!(Steer::new(MICROSOFT, 129).unwrap_err(), KeyError::Lcores(129));
    }

    #[test]
    fn a_seed_gives_a_key_that_is_accepted_and_always_the_same() {
        for seed in 0..200 {
            assert!(Steer::new(Steer::key_from_seed(seed), 128).is_ok());
        }
        assert_eq!(Steer::key_from_seed(9), Steer::key_from_seed(9));
        assert_ne!(Steer::key_from_seed(9), Steer::key_from_seed(10));
    }

    #[test]
    fn the_key_does_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", Steer::new(MICROSOFT, 3).unwrap()), "Steer { lcores: 3, .. }");
    }

    fn tuple6(src: u128, dst: u128, sport: u16, dport: u16) -> Tuple {
        let ip = |a: u128| Be128::from_bytes(a.to_be_bytes());
        Tuple::new(ip(src), ip(dst), Be16::new(sport), Be16::new(dport), Proto::Tcp)
    }

    fn tuple4(src: u32, dst: u32, sport: u16, dport: u16) -> Tuple {
        Tuple::new(Be32::new(src), Be32::new(dst), Be16::new(sport), Be16::new(dport), Proto::Tcp)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn tables_agree_with_the_definition_bit_by_bit(seed: u64, src: u128, dst: u128, sport: u16, dport: u16) {
            let steer = Steer::new(Steer::key_from_seed(seed), 3).unwrap();
            let ports = [sport.to_be_bytes(), dport.to_be_bytes()].concat();
            let (src4, dst4) = (src as u32, dst as u32);
            let input = [&src4.to_be_bytes()[..], &dst4.to_be_bytes(), &ports].concat();
            let t = tuple4(src4, dst4, sport, dport);
            prop_assert_eq!(steer.class4(Be32::new(src4), Be32::new(dst4), t.sport(), t.dport()), steer.class_of(&t));
            prop_assert_eq!(steer.hash(&t), toeplitz(steer.key(), &input));
            prop_assert_eq!(steer.class_of(&t), Steer::class(steer.hash(&t)));
            prop_assert_eq!(steer.hash2(t.src(), t.dst()), toeplitz(steer.key(), &input[..8]));
            let input = [&src.to_be_bytes()[..], &dst.to_be_bytes(), &ports].concat();
            let t = tuple6(src, dst, sport, dport);
            let [src6, dst6] = [src, dst].map(|a| Be128::from_bytes(a.to_be_bytes()));
            prop_assert_eq!(steer.class6(src6, dst6, t.sport(), t.dport()), steer.class_of(&t));
            prop_assert_eq!(steer.hash(&t), toeplitz(steer.key(), &input));
            prop_assert_eq!(steer.class_of(&t), Steer::class(steer.hash(&t)));
            prop_assert_eq!(steer.hash2(t.src(), t.dst()), toeplitz(steer.key(), &input[..32]));
        }

        #[test]
        fn a_local_port_brings_its_reply_into_the_wanted_class_and_place_is_the_inverse(
            seed: u64, rip: u128, lip: u128, rport: u16, class in 0u8..128, i in 0u16..512, v6: bool,
        ) {
            let steer = Steer::new(Steer::key_from_seed(seed), 3).unwrap();
            let class = Class(class);
            let reply = |lport| match v6 {
                true => tuple6(rip, lip, rport, lport),
                false => tuple4(rip as u32, lip as u32, rport, lport),
            };
            let t = reply(0);
            let base = steer.base(t.src(), t.sport(), t.dst());
            let lport = steer.lport(base, class, i);
            prop_assert_eq!(Steer::class(steer.hash(&reply(lport))), class);
            prop_assert_eq!(steer.place(base, lport), (class, i));
            prop_assert_eq!(lport < 1024, i < RESERVED);
        }
    }
}
