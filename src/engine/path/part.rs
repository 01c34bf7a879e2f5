//! Frames that belong to other lcores leave a burst before anything is looked up for it. Worth a class for every packet only
//! where many leave: on a port whose card does not bring them to their owners. What stays here, and what is not as plain, takes
//! the usual way, which hands over too what is not at home.

use super::parse::Entry;
use crate::addr::{Class, LcoreId, Proto};
use crate::frame::Buffer;
use crate::shard::Shared;
use crate::steer::Steer;
use crate::wire::{FromBytes, ethernet, plain};

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

    /// So many frames of the burst leave.
    #[inline(always)]
    pub fn leave(&mut self, frames: usize) {
        self.left += frames;
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

/// Says where the frames of a burst are at home, as far as that is plain.
pub struct Homes<'a> {
    shared: &'a Shared,
    entry: Entry,
}

impl<'a> Homes<'a> {
    /// For a burst.
    pub fn new(shared: &'a Shared) -> Homes<'a> {
        Homes { shared, entry: Entry::NONE }
    }

    /// The lcore that a frame belongs to; `None` when that is not plain.
    #[inline(always)]
    pub fn of<B: Buffer>(&mut self, buf: &B) -> Option<LcoreId> {
        if buf.form() != self.entry.form {
            self.entry = Entry::of(self.shared.snapshot(), buf);
        }
        class(&self.entry, &self.shared.steer, buf.bytes()).map(|class| self.shared.steer.owner(class))
    }
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
