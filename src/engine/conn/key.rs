//! The tuple of a packet as a key of 16 bytes, and its keyed hash.

use crate::addr::{Be16, Be32, Proto};
use core::fmt;
use core::net::{Ipv4Addr, SocketAddrV4};

/// Addresses, ports, protocol and zone of an IPv4 packet, in its own direction. Two registers; compared as such.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, zerocopy::FromZeros)]
#[repr(C)]
pub struct Key4 {
    /// source, destination
    addrs: u64,
    /// source port, destination port, protocol (8 bits), 8 zero bits, zone (16 bits: VLAN, VRF or tenant)
    rest: u64,
}

impl Key4 {
    /// All zero.
    pub const EMPTY: Key4 = Key4 { addrs: 0, rest: 0 };

    /// From its parts.
    #[inline(always)]
    pub fn new(src: Be32, dst: Be32, sport: Be16, dport: Be16, proto: Proto) -> Key4 {
        Key4 {
            addrs: u64::from(src.raw()) | u64::from(dst.raw()) << 32,
            rest: u64::from(sport.raw()) | u64::from(dport.raw()) << 16 | (proto as u64) << 32,
        }
    }
    /// The source address.
    #[inline(always)]
    pub fn src(&self) -> Be32 {
        Be32::from_raw(self.addrs as u32)
    }
    /// The destination address.
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
    /// The protocol.
    #[inline(always)]
    pub fn proto(&self) -> Proto {
        if (self.rest >> 32) as u8 == Proto::Tcp as u8 { Proto::Tcp } else { Proto::Udp }
    }
    /// The tuple of the answer.
    #[inline(always)]
    pub fn reversed(&self) -> Key4 {
        let ports = self.rest as u32;
        Key4 { addrs: self.addrs.rotate_left(32), rest: self.rest & !0xFFFF_FFFF | u64::from(ports.rotate_left(16)) }
    }
}

impl fmt::Debug for Key4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Key4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |a: Be32, p: Be16| SocketAddrV4::new(Ipv4Addr::from(a), p.host());
        write!(f, "{} {} > {}", self.proto(), side(self.src(), self.sport()), side(self.dst(), self.dport()))
    }
}

/// The secret of the hash, random at start: an attacker must not choose buckets.
#[derive(Clone, Copy, Debug)]
pub struct Secret([u64; 3]);

impl Secret {
    /// From a seed.
    pub fn new(seed: u64) -> Secret {
        let mut s = SplitMix(seed);
        Secret([s.next(), s.next(), s.next() | 1])
    }

    /// The hash of a key: two keyed 64 x 64 bit multiplications, folded.
    #[inline(always)]
    pub fn hash(&self, key: &Key4) -> u64 {
        let fold = |a: u64, b: u64| {
            let p = u128::from(a) * u128::from(b);
            p as u64 ^ (p >> 64) as u64
        };
        fold(fold(key.addrs ^ self.0[0], key.rest ^ self.0[1]) ^ key.addrs.rotate_left(29), self.0[2])
    }
}

/// A sequence of pseudo-random numbers (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Clone, Copy, Debug)]
pub struct SplitMix(pub u64);

impl SplitMix {
    /// The next one.
    #[inline(always)]
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_back_its_parts_and_reverses_twice_to_itself() {
        let k = Key4::new(Be32::new(0xC6120101), Be32::new(0xC6120164), Be16::new(40000), Be16::new(80), Proto::Tcp);
        assert_eq!(alloc::format!("{k}"), "tcp 198.18.1.1:40000 > 198.18.1.100:80");
        let r = k.reversed();
        assert_eq!(alloc::format!("{r}"), "tcp 198.18.1.100:80 > 198.18.1.1:40000");
        assert_eq!(r.reversed(), k);
        assert_ne!(Secret::new(1).hash(&k), Secret::new(2).hash(&k));
        assert_ne!(Secret::new(1).hash(&k), Secret::new(1).hash(&r));
    }
}
