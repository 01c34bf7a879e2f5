//! Links: neighbours that are simply there, or that have to be asked for.

use super::{Buf, Lab};
use crate::addr::{Addr, Mac, NeighborId, PortId};
use crate::frame::Meta;
use crate::lcore::Punt;
use crate::local::Out;
use crate::neighbor::{Cell, NudState};
use crate::testkit::Packet;
use crate::verdict::PuntReason;
use crate::wire::{FromBytes, arp, ethernet, vlan};

/// How a port's neighbours are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Link {
    /// Every neighbour is there and known without a word: nobody sees ARP on this link. See [`mac_of`].
    #[default]
    Quiet,
    /// By ARP: the frames that come in have to answer.
    Arp,
}

/// The MAC address of a neighbour on a [`Link::Quiet`] link, and of whoever answers there: 02:00 and its IPv4 address, or
/// 02:06 and the end of its IPv6 address.
pub fn mac_of(addr: impl Into<Addr>) -> Mac {
    match addr.into() {
        Addr::V4(addr) => {
            let [a, b, c, d] = addr.bytes();
            Mac([2, 0, a, b, c, d])
        }
        Addr::V6(addr) => {
            let [.., a, b, c, d] = addr.bytes();
            Mac([2, 6, a, b, c, d])
        }
    }
}

impl Lab {
    pub(super) fn link(&self, port: PortId) -> Link {
        self.plan.links.get(port.index()).copied().unwrap_or_default()
    }

    /// A neighbour of a quiet link is known as soon as somebody thinks of it. True when it was not.
    pub(super) fn meet(&mut self, hop: NeighborId) -> bool {
        let neighbors = &self.plan.shared.neighbors;
        let Some((iface, addr)) = neighbors.owner(hop) else { return false };
        let quiet = self.plan.shared.snapshot().iface(iface).is_some_and(|i| self.link(i.port) == Link::Quiet);
        if !quiet || neighbors.cell(hop).state == NudState::Reachable {
            return false;
        }
        let mac = mac_of(addr);
        self.known.insert(hop, mac);
        neighbors.set(hop, Cell { mac, state: NudState::Reachable, iface });
        true
    }

    /// Frames of the master, over the first lcore. On a quiet link nobody hears ARP requests, and everybody answers.
    pub(super) fn relay(&mut self, out: Vec<Out>) {
        for Out { port, frame } in out {
            let question = asked(&frame).filter(|_| self.link(port) == Link::Quiet);
            let Some((vlan, packet)) = question else {
                let buf = core::iter::once(Buf::new(&frame, Meta::default()));
                self.lcores[0].relay(&mut self.wires, port, buf);
                continue;
            };
            let snapshot = self.plan.shared.snapshot().clone();
            if let (false, Some(iface)) = (packet.is_gratuitous(), snapshot.iface_of(port, vlan)) {
                let mac = mac_of(packet.target_ip);
                let reply = Packet::arp(arp::Packet::new(
                    arp::REPLY,
                    mac,
                    packet.target_ip,
                    packet.sender_mac,
                    packet.sender_ip,
                ));
                let punt = Punt { reason: PuntReason::Arp, meta: Meta { port, iface, ..Meta::default() } };
                self.local.input(self.now, &snapshot, &punt, &reply.build(), &mut Vec::new());
            }
        }
        if let Some(first) = self.lcores.first_mut() {
            first.finish(self.now, &mut self.wires);
        }
    }
}

/// The ARP request of a frame, and its VLAN.
fn asked(frame: &[u8]) -> Option<(u16, arp::Packet)> {
    let (eth, rest) = ethernet::Header::ref_from_prefix(frame).ok()?;
    let (vid, ether_type, rest) = match eth.ether_type {
        ethernet::VLAN => {
            let (tag, rest) = vlan::Tag::ref_from_prefix(rest).ok()?;
            (tag.vid(), tag.ether_type, rest)
        }
        other => (0, other, rest),
    };
    let packet = arp::Packet::read_from_prefix(rest).ok()?.0;
    (ether_type == ethernet::ARP && packet.op == arp::REQUEST).then_some((vid, packet))
}
