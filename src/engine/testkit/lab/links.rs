//! Links: neighbours that are simply there, or that have to be asked for.

use super::{Buf, Lab};
use crate::addr::{Addr, Be128, Mac, NeighborId, PortId};
use crate::frame::Meta;
use crate::lcore::Punt;
use crate::local::Out;
use crate::local::write::{self, L2};
use crate::neighbor::{Cell, NudState};
use crate::testkit::Packet;
use crate::verdict::PuntReason;
use crate::wire::{FromBytes, arp, ethernet, ipv6, mld, ndp, vlan};

/// How a port's neighbours are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Link {
    /// Every neighbour is there and known without a word: nobody sees ARP or NDP on this link. See [`mac_of`].
    #[default]
    Quiet,
    /// By ARP and NDP: the frames that come in have to answer.
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

    /// Frames of the master, over the first lcore. On a quiet link nobody hears what is said to all, and everybody answers
    /// what is asked.
    pub(super) fn relay(&mut self, out: Vec<Out>) {
        for Out { port, frame } in out {
            let said = said(&frame).filter(|_| self.link(port) == Link::Quiet);
            let Some((vlan, said)) = said else {
                let buf = core::iter::once(Buf::new(&frame, Meta::default()));
                self.lcores[0].relay(&mut self.wires, port, buf);
                continue;
            };
            let snapshot = self.plan.shared.snapshot().clone();
            let (Some(iface), Some((reason, reply))) = (snapshot.iface_of(port, vlan), said.answer()) else { continue };
            let punt = Punt { reason, meta: Meta { port, iface, ..Meta::default() } };
            self.local.input(self.now, &snapshot, &punt, &reply, &mut Vec::new());
        }
        if let Some(first) = self.lcores.first_mut() {
            first.finish(self.now, &mut self.wires);
        }
    }
}

/// What we say on a link that is not an answer.
enum Said {
    /// Who has the target? Asked by ARP.
    Arp(arp::Packet),
    /// Who has the target? Asked by NDP, from this address.
    Ndp(ndp::Message, Be128),
    /// An address is ours, or about to be.
    ToAll,
}

impl Said {
    /// The answer of the neighbour who is asked, as the master gets it.
    fn answer(&self) -> Option<(PuntReason, Vec<u8>)> {
        match self {
            Said::Arp(p) => {
                let mac = mac_of(p.target_ip);
                let reply = arp::Packet::new(arp::REPLY, mac, p.target_ip, p.sender_mac, p.sender_ip);
                Some((PuntReason::ArpReply, Packet::arp(reply).build()))
            }
            Said::Ndp(m, src) => {
                let link = L2 { dst: Mac::default(), src: mac_of(m.target), vlan: 0 };
                let option = ndp::LinkOption::new(ndp::TARGET_LINK, link.src);
                let reply = ndp::Message::new(ndp::ADVERTISEMENT, ndp::SOLICITED | ndp::OVERRIDE, m.target);
                let mut frame = vec![0; write::ndp_len(&link, Some(&option))];
                write::ndp(&mut frame, &link, m.target, *src, &reply, Some(&option));
                Some((PuntReason::NdpReply, frame))
            }
            Said::ToAll => None,
        }
    }
}

/// What a frame says, and its VLAN. `None` for any other frame, answers among them.
fn said(frame: &[u8]) -> Option<(u16, Said)> {
    let (eth, rest) = ethernet::Header::ref_from_prefix(frame).ok()?;
    let (vid, ether_type, rest) = match eth.ether_type {
        ethernet::VLAN => {
            let (tag, rest) = vlan::Tag::ref_from_prefix(rest).ok()?;
            (tag.vid(), tag.ether_type, rest)
        }
        other => (0, other, rest),
    };
    if ether_type == ethernet::ARP {
        let packet = arp::Packet::read_from_prefix(rest).ok()?.0;
        let said = if packet.is_gratuitous() { Said::ToAll } else { Said::Arp(packet) };
        return (packet.op == arp::REQUEST).then_some((vid, said));
    }
    let (ip, payload) = ipv6::Header::ref_from_prefix(rest).ok().filter(|_| ether_type == ethernet::IPV6)?;
    if ip.dst == mld::ALL_ROUTERS {
        return Some((vid, Said::ToAll));
    }
    let message = ndp::Message::read_from_prefix(payload).ok().filter(|_| ip.next == ipv6::ICMPV6)?.0;
    match message.kind {
        ndp::SOLICITATION if ip.src == Be128::default() => Some((vid, Said::ToAll)),
        ndp::SOLICITATION => Some((vid, Said::Ndp(message, ip.src))),
        ndp::ADVERTISEMENT if ip.dst == ndp::ALL_NODES => Some((vid, Said::ToAll)),
        _ => None,
    }
}
