//! The ways out of the short way: by next hop, all that a packet needs of the interface that it leaves by.
//!
//! Made of a snapshot by [`crate::shard::Shared`], read by [`crate::path::hit`]. Interfaces that ask for more than an
//! untagged frame are not in it: their packets take the whole way.

use crate::addr::PortId;
use crate::neighbor::Hop;
use crate::snapshot::Snapshot;
use alloc::boxed::Box;

/// What a packet needs of the interface that it leaves by.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(16))]
pub struct Egress {
    /// The source address of its frames: the first two bytes in the place where they follow a destination in a `u64`.
    src_head: u64,
    /// The other four.
    src_tail: u32,
    /// Largest IP packet in bytes; 0 when there is no way out here.
    pub mtu: u16,
    /// The port.
    pub port: PortId,
}

impl Egress {
    /// The addresses of a frame to a next hop, as they stand at its beginning.
    #[inline(always)]
    pub fn link(&self, to: Hop) -> (u64, u32) {
        (to.mac() | self.src_head, self.src_tail)
    }
}

/// By [`Hop::place`].
#[derive(Clone, Debug)]
pub struct Egresses(Box<[Egress; Hop::PLACES]>);

/// The same, one load away.
#[derive(Clone, Copy, Debug)]
pub struct Ways<'a>(&'a [Egress; Hop::PLACES]);

impl Egresses {
    /// Of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Egresses {
        let mut all = Egresses(Box::new([Egress::default(); Hop::PLACES]));
        all.fill(snapshot);
        all
    }

    /// Makes it that of another snapshot, in place: a worker does this between two bursts.
    pub fn fill(&mut self, snapshot: &Snapshot) {
        self.0.fill(Egress::default());
        for (i, iface) in snapshot.ifaces.iter().enumerate().filter(|(_, i)| i.vlan == 0) {
            let Some(at) = u8::try_from(i).ok().and_then(|i| self.0.get_mut(Hop::known_on(i))) else { return };
            let [a, b, tail @ ..] = iface.mac.0;
            let src_head = u64::from_le_bytes([0, 0, 0, 0, 0, 0, a, b]);
            *at = Egress { src_head, src_tail: u32::from_le_bytes(tail), mtu: iface.mtu, port: iface.port };
        }
    }

    /// All of them.
    #[inline(always)]
    pub fn ways(&self) -> Ways<'_> {
        Ways(&self.0)
    }
}

impl<'a> Ways<'a> {
    /// Towards a next hop.
    #[inline(always)]
    pub fn towards(&self, hop: Hop) -> &'a Egress {
        &self.0[hop.place()]
    }
}
