//! Frames that belong to other lcores leave a burst before anything is looked up for it. Worth a class for every packet only
//! where many leave: on a port whose card does not bring them to their owners. What stays here, and what is not as plain, takes
//! the usual way, which hands over too what is not at home.

use super::parse::Entry;
use crate::addr::{Class, LcoreId, Proto};
use crate::frame::{BURST, Buffer};
use crate::shard::Shared;
use crate::steer::Steer;
use crate::wire::{FromBytes, ethernet, plain};
use arrayvec::ArrayVec;

/// When a lcore parts its bursts: after one of which many frames left, for a while.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parting {
    /// So many bursts more.
    bursts: u8,
    /// Frames of the last burst.
    frames: usize,
    /// How many of them left.
    left: usize,
}

impl Parting {
    /// So many bursts are parted after one of which so large a share left.
    const BURSTS: u8 = 64;
    const SHARE: usize = 8;

    /// A frame of the burst leaves.
    #[inline(always)]
    pub fn leaves(&mut self) {
        self.left += 1;
    }

    /// Whether the next burst is to be parted, which has so many frames.
    #[inline(always)]
    pub fn is_due(&mut self, frames: usize) -> bool {
        let many = self.left > 0 && self.left * Parting::SHARE >= self.frames;
        let bursts = if many { Parting::BURSTS } else { self.bursts.saturating_sub(1) };
        *self = Parting { bursts, frames, left: 0 };
        bursts > 0
    }
}

/// Takes the plain frames that are at home on other lcores out of a burst, in their order.
#[inline(never)]
pub fn part<B: Buffer>(
    shared: &Shared,
    here: LcoreId,
    burst: &mut ArrayVec<B, BURST>,
    mut leaves: impl FnMut(LcoreId, B),
) {
    let mut stay = ArrayVec::new();
    let mut entry = Entry::NONE;
    for buf in burst.drain(..) {
        if buf.form() != entry.form {
            entry = Entry::of(shared.snapshot(), &buf);
        }
        match class(&entry, &shared.steer, buf.bytes()).map_or(here, |class| shared.steer.owner(class)) {
            owner if owner == here => stay.push(buf),
            owner => leaves(owner, buf),
        }
    }
    *burst = stay;
}

/// The class of the tuple that a plain frame says it is of. The owner looks whether the frame is well-formed.
#[inline(always)]
fn class(entry: &Entry, steer: &Steer, bytes: &[u8]) -> Option<Class> {
    let (u, _) = plain::Udp::ref_from_prefix(bytes).ok()?;
    if u.begins(&entry.start) {
        Proto::from_ip(u.ip.proto)?;
        return Some(steer.class4(u.ip.src, u.ip.dst, u.udp.sport, u.udp.dport));
    }
    let (plain::Udp6 { eth, ip, udp }, _) = plain::Udp6::ref_from_prefix(bytes).ok()?;
    if entry.mac == Some(eth.dst) && eth.ether_type == ethernet::IPV6 && ip.version() == 6 {
        Proto::from_ip(ip.next)?;
        return Some(steer.class6(ip.src, ip.dst, udp.sport, udp.dport));
    }
    None
}
