//! Whether a port's RSS is ours: a sample of what it receives must carry the hash that we compute, on the queue that we
//! asked for. A driver's word for it is only a claim.
//!
//! An [`Rss`] is shared by the workers that poll the port; each of its queues has a [`Sampler`]. Until [`ENOUGH`] packets
//! were right, every packet is looked at; after that one in [`EVERY`]. The first wrong one ends it for good: the hashes of
//! this port are no longer used, and the master says so. Nothing here allocates.

use gatun_engine::addr::{Addr, Be16, Proto};
use gatun_engine::conn::tuple::Tuple;
use gatun_engine::frame::BURST;
use gatun_engine::steer::{CLASSES, Steer};
use gatun_engine::wire::{FromBytes, ethernet, ipv4, ipv6, udp, vlan};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use super::io::Packet;

/// Packets that have to be right before the hashes of a port are used.
pub const ENOUGH: u64 = 1_024;
/// From then on one packet in so many is looked at.
pub const EVERY: u32 = 1_024;

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It carries no hash.
    NoHash,
    /// Its hash is not the one that we compute.
    OtherHash,
    /// It came by another queue than the table says.
    OtherQueue,
}

impl Wrong {
    /// What it says of the device.
    pub fn sentence(self) -> &'static str {
        match self {
            Wrong::NoHash => "received packets carry no hash",
            Wrong::OtherHash => "received packets carry another hash than the key gives",
            Wrong::OtherQueue => "packets come by other queues than the table says",
        }
    }
}

/// How far a port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Not enough packets were seen.
    Checking,
    /// Its hashes are ours, and are used.
    Trusted,
    /// They are not.
    Refuted(Wrong),
}

const CHECKING: u8 = 0;
const TRUSTED: u8 = 1;
const REFUTED: [Wrong; 3] = [Wrong::NoHash, Wrong::OtherHash, Wrong::OtherQueue];

/// See the module.
#[derive(Debug)]
pub struct Rss {
    steer: Arc<Steer>,
    /// The queue of each class.
    queues: [u16; CLASSES],
    state: AtomicU8,
    right: AtomicU64,
}

impl Rss {
    /// A port whose table gives each class one of its queues.
    pub fn new(steer: Arc<Steer>, queues: [u16; CLASSES]) -> Rss {
        Rss { steer, queues, state: AtomicU8::new(CHECKING), right: AtomicU64::new(0) }
    }

    /// How far it is.
    pub fn trust(&self) -> Trust {
        match self.state.load(Relaxed) {
            CHECKING => Trust::Checking,
            TRUSTED => Trust::Trusted,
            code => Trust::Refuted(REFUTED[usize::from(code - 2) % REFUTED.len()]),
        }
    }

    /// Packets that were looked at and were right.
    pub fn right(&self) -> u64 {
        self.right.load(Relaxed)
    }

    /// What is wrong with a packet that came by a queue. `Ok(false)` for one that says nothing: neither TCP nor UDP over
    /// IPv4, or a fragment.
    pub fn judge(&self, queue: u16, hash: Option<u32>, frame: &[u8]) -> Result<bool, Wrong> {
        let Some(ours) = tuple_hash(&self.steer, frame) else { return Ok(false) };
        match hash {
            None => Err(Wrong::NoHash),
            Some(theirs) if theirs != ours => Err(Wrong::OtherHash),
            Some(_) if self.queues[Steer::class(ours).index()] != queue => Err(Wrong::OtherQueue),
            Some(_) => Ok(true),
        }
    }

    fn note(&self, right: u64) {
        let right = self.right.fetch_add(right, Relaxed) + right;
        if right >= ENOUGH {
            // Not over the verdict of another worker.
            let _ = self.state.compare_exchange(CHECKING, TRUSTED, Relaxed, Relaxed);
        }
    }

    fn refute(&self, wrong: Wrong) {
        self.state.store(2 + wrong as u8, Relaxed);
    }
}

/// The part of one queue. See the module.
pub struct Sampler {
    port: Arc<Rss>,
    queue: u16,
    /// Packets until the next look.
    left: u32,
}

impl Sampler {
    /// For a queue whose first `old` packets may have been received before the port had key and table.
    pub fn new(port: Arc<Rss>, queue: u16, old: u32) -> Sampler {
        Sampler { port, queue, left: old + BURST as u32 }
    }

    /// After a burst. True when the hashes that it carries may be used.
    #[inline(always)]
    pub fn look(&mut self, burst: &[Packet]) -> bool {
        match self.left.checked_sub(burst.len() as u32) {
            Some(left) => self.left = left,
            None => self.sample(burst),
        }
        self.port.state.load(Relaxed) == TRUSTED
    }

    #[cold]
    fn sample(&mut self, burst: &[Packet]) {
        self.left = match self.port.trust() {
            Trust::Checking => 0,
            Trust::Trusted => EVERY,
            Trust::Refuted(_) => return self.left = u32::MAX,
        };
        let mut right = 0;
        for Packet(mbuf) in burst {
            match self.port.judge(self.queue, mbuf.rss_hash(), mbuf.data()) {
                Ok(said) => right += u64::from(said),
                Err(wrong) => return self.port.refute(wrong),
            }
            if self.left == EVERY && right > 0 {
                break;
            }
        }
        self.port.note(right);
    }
}

/// The hash that a card with our key computes over addresses and ports; none for what it hashes in another way.
fn tuple_hash(steer: &Steer, frame: &[u8]) -> Option<u32> {
    let (eth, mut rest) = ethernet::Header::ref_from_prefix(frame).ok()?;
    let mut ether_type: Be16 = eth.ether_type;
    if ether_type == ethernet::VLAN {
        let (tag, inner) = vlan::Tag::ref_from_prefix(rest).ok()?;
        (ether_type, rest) = (tag.ether_type, inner);
    }
    let (src, dst, proto, l4): (Addr, Addr, u8, &[u8]) = if ether_type == ethernet::IPV4 {
        let (ip, _) =
            ipv4::Header::ref_from_prefix(rest).ok().filter(|(ip, _)| ip.version() == 4 && !ip.is_fragment())?;
        (ip.src.into(), ip.dst.into(), ip.proto, rest.get(ip.header_len()..)?)
    } else if ether_type == ethernet::IPV6 {
        // Cards differ in how far they look behind extension headers.
        let (ip, l4) = ipv6::Header::ref_from_prefix(rest).ok().filter(|(ip, _)| ip.version() == 6)?;
        (ip.src.into(), ip.dst.into(), ip.next, l4)
    } else {
        return None;
    };
    let proto = Proto::from_ip(proto)?;
    let (l4, _) = udp::Header::ref_from_prefix(l4).ok()?;
    Some(steer.hash(&Tuple::new(src, dst, l4.sport, l4.dport, proto)))
}
