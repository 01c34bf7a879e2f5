//! ARP (RFC 826): its packets, read and built. When they are sent is for [`super::hops`] to say.

use super::write::{self, L2};
use super::{Conflict, Out};
use crate::addr::{Addr, Be32, IfaceId, Mac};
use crate::snapshot::Snapshot;
use crate::wire::{FromBytes, arp, ethernet, vlan};
use alloc::vec;

/// The ARP packet of a frame, tagged or not.
pub(super) fn packet(frame: &[u8]) -> Option<arp::Packet> {
    let (eth, rest) = ethernet::Header::ref_from_prefix(frame).ok()?;
    let rest = if eth.ether_type == ethernet::VLAN { rest.get(vlan::LEN..)? } else { rest };
    arp::Packet::read_from_prefix(rest).ok().map(|(p, _)| p)
}

/// Does the sender claim an address of ours?
pub(super) fn conflict(snapshot: &Snapshot, iface: IfaceId, packet: &arp::Packet) -> Option<Conflict> {
    let local = snapshot.local(packet.sender_ip)?;
    let own = snapshot.iface(iface)?.mac;
    let claims = local.iface == Some(iface) && packet.sender_mac != own;
    claims.then_some(Conflict { addr: packet.sender_ip.into(), mac: packet.sender_mac, iface })
}

/// The answer to a request for an address of ours on this interface.
pub(super) fn reply(snapshot: &Snapshot, iface: IfaceId, packet: &arp::Packet) -> Option<Out> {
    let ours = snapshot.local(packet.target_ip).is_some_and(|l| l.iface == Some(iface));
    if packet.op != arp::REQUEST || !ours || packet.is_gratuitous() {
        return None;
    }
    let own = snapshot.iface(iface)?.mac;
    let reply = arp::Packet::new(arp::REPLY, own, packet.target_ip, packet.sender_mac, packet.sender_ip);
    send(snapshot, iface, packet.sender_mac, &reply)
}

/// Says that an address is ours, to all.
pub(super) fn announcement(snapshot: &Snapshot, iface: IfaceId, addr: Be32) -> Option<Out> {
    let own = snapshot.iface(iface)?.mac;
    send(snapshot, iface, Mac::BROADCAST, &arp::Packet::new(arp::REQUEST, own, addr, Mac::BROADCAST, addr))
}

/// Asks for an address: the one who answered last, or all.
pub(super) fn request(snapshot: &Snapshot, iface: IfaceId, target: Be32, last: Option<Mac>) -> Option<Out> {
    let i = snapshot.iface(iface)?;
    let same_net = |own: Addr, len: u8| Addr::V4(target).is_in(own, len);
    let of_family = || i.addrs.iter().filter_map(|(own, len)| own.v4().map(|a| (a, same_net(*own, *len))));
    let own = of_family().find(|(_, same_net)| *same_net).or_else(|| of_family().next());
    let own = own.map_or(Be32::default(), |(own, _)| own);
    let packet = arp::Packet::new(arp::REQUEST, i.mac, own, Mac::default(), target);
    send(snapshot, iface, last.unwrap_or(Mac::BROADCAST), &packet)
}

fn send(snapshot: &Snapshot, iface: IfaceId, dst: Mac, packet: &arp::Packet) -> Option<Out> {
    let i = snapshot.iface(iface)?;
    let l2 = L2 { dst, src: i.mac, vlan: i.vlan };
    let mut frame = vec![0; write::arp_len(&l2)];
    write::arp(&mut frame, &l2, packet);
    Some(Out { port: i.port, frame })
}
