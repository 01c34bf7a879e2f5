//! The tuple of a packet as a key of 16 bytes, and its keyed hash.
//!
//! The key of an IPv4 packet is its tuple. That of an IPv6 packet has a keyed digest of 64 bits in place of the addresses:
//! whoever finds a connection by it compares the addresses too ([`super::Wide`]). Two tuples of live connections with the same
//! ports and digest are as good as impossible, nobody can look for them without the secret, and the second is not opened.

use super::tuple::Tuple;
use crate::addr::{Addr, Be16, Be32, Be128, Family, Proto};
use core::fmt;

/// Addresses, ports, protocol and zone of a packet, in its own direction. Two registers; compared as such.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, zerocopy::FromZeros)]
#[repr(C)]
pub struct Key {
    /// source, destination; of IPv6 a digest of both
    addrs: u64,
    /// source port, destination port, protocol (8 bits), family (8 bits), zone (16 bits: VLAN, VRF or tenant)
    rest: u64,
}

const IPV6: u64 = (Family::V6 as u64) << 40;

impl Key {
    /// All zero.
    pub const EMPTY: Key = Key { addrs: 0, rest: 0 };

    /// Of an IPv4 packet.
    #[inline(always)]
    pub fn v4(src: Be32, dst: Be32, sport: Be16, dport: Be16, proto: Proto) -> Key {
        Key { addrs: u64::from(src.raw()) | u64::from(dst.raw()) << 32, rest: rest(sport, dport, proto) }
    }
    /// Of an IPv6 packet.
    #[inline(always)]
    pub fn v6(secret: &Secret, src: Be128, dst: Be128, sport: Be16, dport: Be16, proto: Proto) -> Key {
        Key { addrs: secret.digest(src, dst), rest: rest(sport, dport, proto) | IPV6 }
    }
    /// Of a packet with this tuple. One whose addresses are of two families has none: [`Key::EMPTY`].
    #[inline]
    pub fn of(secret: &Secret, t: &Tuple) -> Key {
        match (t.src(), t.dst()) {
            (Addr::V4(src), Addr::V4(dst)) => Key::v4(src, dst, t.sport(), t.dport(), t.proto()),
            (Addr::V6(src), Addr::V6(dst)) => Key::v6(secret, src, dst, t.sport(), t.dport(), t.proto()),
            (Addr::V4(_), Addr::V6(_)) | (Addr::V6(_), Addr::V4(_)) => Key::EMPTY,
        }
    }
    /// The family of its packets.
    #[inline(always)]
    pub fn family(&self) -> Family {
        if self.rest & IPV6 == 0 { Family::V4 } else { Family::V6 }
    }
    /// The source address; means nothing for IPv6.
    #[inline(always)]
    pub fn src(&self) -> Be32 {
        Be32::from_raw(self.addrs as u32)
    }
    /// The destination address; means nothing for IPv6.
    #[inline(always)]
    pub fn dst(&self) -> Be32 {
        Be32::from_raw((self.addrs >> 32) as u32)
    }
    /// The source port.
    #[inline(always)]
    pub fn sport(&self) -> Be16 {
        Be16::from_raw(self.rest as u16)
    }
    /// The destination port.
    #[inline(always)]
    pub fn dport(&self) -> Be16 {
        Be16::from_raw((self.rest >> 16) as u16)
    }
    /// Protocol and destination port of an IPv4 packet, from the lowest bit: port 16, protocol 8.
    #[inline(always)]
    pub fn destination4(&self) -> u64 {
        self.rest >> 16 & 0xFF_FFFF
    }
    /// The protocol.
    #[inline(always)]
    pub fn proto(&self) -> Proto {
        if (self.rest >> 32) as u8 == Proto::Tcp as u8 { Proto::Tcp } else { Proto::Udp }
    }
    /// The key of the answer to an IPv4 packet. Of IPv6, only the ports are reversed.
    #[inline(always)]
    pub fn reversed(&self) -> Key {
        let ports = self.rest as u32;
        Key { addrs: self.addrs.rotate_left(32), rest: self.rest & !0xFFFF_FFFF | u64::from(ports.rotate_left(16)) }
    }
    /// The tuple of an IPv4 packet.
    #[inline(always)]
    pub fn tuple4(&self) -> Tuple {
        Tuple::new(self.src(), self.dst(), self.sport(), self.dport(), self.proto())
    }
}

#[inline(always)]
fn rest(sport: Be16, dport: Be16, proto: Proto) -> u64 {
    u64::from(sport.raw()) | u64::from(dport.raw()) << 16 | (proto as u64) << 32
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.family() {
            Family::V4 => fmt::Display::fmt(&self.tuple4(), f),
            Family::V6 => {
                write!(f, "{} [{:#x}] {} > {}", self.proto(), self.addrs, self.sport().host(), self.dport().host())
            }
        }
    }
}

/// The secret of the hash, random at start: an attacker must not choose buckets.
#[derive(Clone, Copy, Debug)]
pub struct Secret([u64; 5]);

impl Secret {
    /// From a seed.
    pub fn new(seed: u64) -> Secret {
        let mut s = SplitMix(seed);
        Secret([s.next(), s.next(), s.next() | 1, s.next(), s.next()])
    }

    /// The hash of a key: two keyed 64 x 64 bit multiplications, folded.
    #[inline(always)]
    pub fn hash(&self, key: &Key) -> u64 {
        fold(fold(key.addrs ^ self.0[0], key.rest ^ self.0[1]) ^ key.addrs.rotate_left(29), self.0[2])
    }

    /// A digest of two IPv6 addresses in their order: three keyed multiplications, folded.
    #[inline(always)]
    fn digest(&self, src: Be128, dst: Be128) -> u64 {
        let ([a, b], [c, d]) = (src.raw(), dst.raw());
        let src = fold(a ^ self.0[3], b ^ self.0[1]) ^ a.rotate_left(31) ^ b;
        let dst = fold(c ^ self.0[4], d ^ self.0[0]) ^ c ^ d.rotate_left(17);
        fold(src ^ self.0[0], dst ^ self.0[3]) ^ src.rotate_left(23) ^ dst
    }
}

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let p = u128::from(a) * u128::from(b);
    p as u64 ^ (p >> 64) as u64
}

/// A sequence of pseudo-random numbers (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitMix(pub u64);

impl SplitMix {
    /// The next one.
    #[inline(always)]
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mixed(self.0)
    }
    /// The sequence after its next `n` numbers.
    #[inline(always)]
    pub fn after(&self, n: usize) -> SplitMix {
        SplitMix(self.0.wrapping_add(STEP.wrapping_mul(n as u64)))
    }
}

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

#[inline(always)]
fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ahead_are_those_that_come() {
        let mut s = SplitMix(7);
        let ahead = [0, 1, 2, 9].map(|n| s.after(n).next());
        let come: Vec<u64> = (0..10).map(|_| s.next()).collect();
        assert_eq!(ahead, [come[0], come[1], come[2], come[9]]);
    }

    #[test]
    fn a_key_of_ipv4_gives_back_its_parts_and_reverses_twice_to_itself() {
        let t = Tuple::new(Be32::new(0xC6120101), Be32::new(0xC6120164), Be16::new(40000), Be16::new(80), Proto::Tcp);
        let secret = Secret::new(1);
        let k = Key::of(&secret, &t);
        assert_eq!((k.tuple4(), k.family()), (t, Family::V4));
        assert_eq!(k.reversed().tuple4(), t.reversed());
        assert_eq!(k.reversed().reversed(), k);
        assert_ne!(secret.hash(&k), Secret::new(2).hash(&k));
        assert_ne!(secret.hash(&k), secret.hash(&k.reversed()));
    }

    #[test]
    fn a_key_of_ipv6_changes_with_any_bit_of_its_addresses_with_their_order_and_with_the_secret() {
        let (secret, other) = (Secret::new(1), Secret::new(2));
        let ports = (Be16::new(40000), Be16::new(80), Proto::Udp);
        let key = |secret: &Secret, src: u128, dst: u128| {
            let (src, dst) = (Be128::from_bytes(src.to_be_bytes()), Be128::from_bytes(dst.to_be_bytes()));
            Key::v6(secret, src, dst, ports.0, ports.1, ports.2)
        };
        let (src, dst) = (0x2001_0db8 << 96 | 1, 0x2001_0db8 << 96 | 2);
        let k = key(&secret, src, dst);
        assert_eq!((k.family(), k.sport(), k.dport(), k.proto()), (Family::V6, ports.0, ports.1, ports.2));
        let mut all = std::collections::HashSet::from([k, key(&secret, dst, src), key(&other, src, dst)]);
        for bit in 0..128 {
            all.insert(key(&secret, src ^ 1 << bit, dst));
            all.insert(key(&secret, src, dst ^ 1 << bit));
        }
        assert_eq!(all.len(), 3 + 256);
    }
}
