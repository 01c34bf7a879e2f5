//! Who owns what: the one definition of a tuple's home.
//!
//! A [`Steer`] holds the Toeplitz key of the run and the tables made from it. The class of a tuple is the low bits of
//! the Toeplitz hash that every network card knows (Microsoft RSS: source, destination, source port, destination port),
//! and a class belongs to one lcore for the whole run. The workers ask it for every packet whose card did not, and
//! [`crate::laddr`] asks it backwards: which local port brings a server's reply into a given class? The hash is linear
//! over GF(2), so that is a table look-up, not a search.
//!
//! It never changes after it was made, and never looks at where a packet arrived.

use crate::addr::{Be16, Be32, Class, LcoreId};
use alloc::boxed::Box;
use alloc::vec;
use core::fmt;

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
/// Bytes of the longest tuple that the tables are made for: two IPv6 addresses and two ports.
const POSITIONS: usize = 36;

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
                "with this RSS key the local ports reach only {} of {CLASSES} classes: leave the key out and gatun makes one, \
                 or change its bytes 10 to 16",
                1u32 << rank
            ),
            KeyError::Lcores(n) => write!(f, "{n} workers cannot share {CLASSES} classes: configure 1 to {CLASSES}"),
        }
    }
}

impl core::error::Error for KeyError {}

/// The hash, the map from classes to lcores, and the way back from a class to local ports.
#[derive(Clone)]
pub struct Steer {
    key: Key,
    lcores: u8,
    map: [LcoreId; CLASSES],
    /// What each value of each byte of a tuple adds to the hash, by its position in the tuple.
    bytes: Box<[[u32; 256]; POSITIONS]>,
    ports: Ports,
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
        let bit = |b: usize| (bytes[if b < 8 { 11 } else { 10 }][1 << (b % 8)] as usize % CLASSES) as u8;
        let ports = Ports::new(core::array::from_fn(bit))?;
        let map = core::array::from_fn(|c| LcoreId((c % usize::from(lcores)) as u8));
        Ok(Steer { key, lcores, map, bytes, ports })
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

    /// The hash over two addresses, for packets without ports.
    #[inline]
    pub fn hash2(&self, src: Be32, dst: Be32) -> u32 {
        self.hash_at(0, src.bytes()) ^ self.hash_at(4, dst.bytes())
    }
    /// The hash over a tuple.
    #[inline]
    pub fn hash4(&self, src: Be32, dst: Be32, sport: Be16, dport: Be16) -> u32 {
        self.hash2(src, dst) ^ self.hash_at(8, sport.bytes()) ^ self.hash_at(10, dport.bytes())
    }
    /// What `bytes` at position `at` of a tuple add to its hash. `at + N` is at most 36.
    #[inline(always)]
    fn hash_at<const N: usize>(&self, at: usize, bytes: [u8; N]) -> u32 {
        let mut hash = 0;
        for (table, byte) in self.bytes.iter().skip(at).zip(bytes) {
            hash ^= table[usize::from(byte)];
        }
        hash
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

    /// The `i`-th local port whose reply comes into class `want`, where `base` is the hash of the reply tuple
    /// (rip, lip, rport, 0). Each of the 65,536 ports is that of one pair of class and index; the indices below
    /// [`RESERVED`] are those of ports below 1024. Only the low nine bits of `i` count.
    #[inline]
    pub fn lport(&self, base: u32, want: Class, i: u16) -> u16 {
        let part = (base as usize ^ want.index()) % CLASSES;
        self.ports.lead[part] ^ self.ports.kernel[usize::from(i % PORTS)]
    }
    /// The class of the reply to a local port and the port's index in it: the inverse of [`Steer::lport`].
    #[inline]
    pub fn place(&self, base: u32, lport: u16) -> (Class, u16) {
        let [high, low] = lport.to_be_bytes().map(usize::from);
        let split = self.ports.split[0][high] ^ self.ports.split[1][low];
        (Steer::class(base ^ u32::from(split / PORTS)), split % PORTS)
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

/// What each value of each byte of a tuple adds to the hash.
fn byte_tables(key: &Key) -> Box<[[u32; 256]; POSITIONS]> {
    let mut tables = vec![[0u32; 256]; POSITIONS];
    for (window, table) in key.windows(5).zip(tables.iter_mut()) {
        // The 40 bits of the key that the byte's eight bits see, 32 at a time.
        let window = window.iter().fold(0u64, |w, byte| w << 8 | u64::from(*byte));
        for (value, sum) in table.iter_mut().enumerate() {
            *sum = (0..8).filter(|b| value >> b & 1 != 0).fold(0, |h, b| h ^ (window >> (b + 1)) as u32);
        }
    }
    // A vector of that length, always.
    tables.into_boxed_slice().try_into().unwrap_or_else(|_| Box::new([[0; 256]; POSITIONS]))
}

/// SplitMix64: a seed becomes a stream of well mixed words.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
