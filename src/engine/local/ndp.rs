//! Neighbour discovery (RFC 4861): its packets, read and built. When they are sent is for [`super::hops`] and
//! [`super::dad`] to say.
//!
//! We answer as a host: no advertisement says that we are a router, as we forward nothing that is not for an address of
//! ours.

use super::dad::Dad;
use super::write::{self, L2};
use super::{Conflict, Out};
use crate::addr::{Addr, Be128, Family, IfaceId, Mac};
use crate::snapshot::{Iface, Snapshot};
use crate::wire::ndp::{
    ADVERTISEMENT, ALL_NODES, Message, OVERRIDE, SOLICITATION, SOLICITED, SOURCE_LINK, TARGET_LINK,
};
use crate::wire::{FromBytes, ethernet, ipv6, ndp, vlan};
use alloc::vec;

/// A valid message (RFC 4861, 7.1.1 and 7.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// The station that sent it.
    pub(super) station: Mac,
    /// [`Be128::default`] in a probe for a duplicate address.
    pub(super) src: Be128,
    /// [`SOLICITATION`] or [`ADVERTISEMENT`].
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) target: Be128,
    /// The link-layer address that it carries: of the sender in a solicitation, of the target in an advertisement.
    pub(super) mac: Option<Mac>,
}

impl Heard {
    /// Somebody looks whether an address is free (RFC 4862, 5.4.2).
    pub(super) fn is_probe(&self) -> bool {
        self.kind == SOLICITATION && self.src == Be128::default()
    }

    /// It comes from an address of the link, or from none yet.
    pub(super) fn is_from(&self, snapshot: &Snapshot, iface: IfaceId) -> bool {
        self.is_probe() || snapshot.on_link(iface, self.src.into()) || snapshot.is_ours(iface, self.src.into())
    }
}

/// The message of a frame, tagged or not. The parser has looked at hop limit, checksum and lengths; `None` for what is
/// not valid for another reason.
pub(super) fn read(frame: &[u8]) -> Option<Heard> {
    let (eth, rest) = ethernet::Header::ref_from_prefix(frame).ok()?;
    let rest = if eth.ether_type == ethernet::VLAN { rest.get(vlan::LEN..)? } else { rest };
    let (ip, payload) = ipv6::Header::ref_from_prefix(rest).ok()?;
    let (message, options) = Message::ref_from_prefix(payload.get(..usize::from(ip.payload_len.host()))?).ok()?;
    if ip.next != ipv6::ICMPV6 || message.code != 0 || is_group(message.target) || eth.src.is_group() {
        return None;
    }
    let valid = match message.kind {
        SOLICITATION => true,
        // Nobody asks for all.
        ADVERTISEMENT => !(is_group(ip.dst) && message.flags & SOLICITED != 0),
        _ => false,
    };
    let kind = if message.kind == SOLICITATION { SOURCE_LINK } else { TARGET_LINK };
    let mac = ndp::link_option(options, kind).ok()?;
    let heard =
        Heard { station: eth.src, src: ip.src, kind: message.kind, flags: message.flags, target: message.target, mac };
    let probe_ok = !heard.is_probe() || mac.is_none() && ip.dst == ndp::solicited_node(message.target);
    let src_ok = !is_group(ip.src) && (heard.kind == SOLICITATION || ip.src != Be128::default());
    let mac_ok = mac.is_none_or(|mac| !mac.is_group() && mac != Mac::default());
    (valid && probe_ok && src_ok && mac_ok).then_some(heard)
}

fn is_group(addr: Be128) -> bool {
    addr.bytes()[0] == 0xff
}

/// Does the sender claim an address that we answer for?
pub(super) fn conflict(snapshot: &Snapshot, iface: IfaceId, heard: &Heard) -> Option<Conflict> {
    let own = snapshot.iface(iface)?.mac;
    let addr = if heard.kind == SOLICITATION { heard.src } else { heard.target };
    let mac = heard.mac.unwrap_or(heard.station);
    (mac != own && snapshot.answers(iface, addr.into())).then_some(Conflict { addr: addr.into(), mac, iface })
}

/// The answer to a solicitation for an address of ours. One that comes from no address is answered to all (7.2.4).
pub(super) fn advertisement(snapshot: &Snapshot, iface: IfaceId, heard: &Heard) -> Option<Out> {
    let i = snapshot.iface(iface)?;
    if heard.is_probe() {
        return announcement(snapshot, iface, heard.target);
    }
    let message = Message::new(ADVERTISEMENT, SOLICITED | OVERRIDE, heard.target);
    let to = (heard.mac.unwrap_or(heard.station), heard.src);
    Some(send(i, to, heard.target, &message, Some(TARGET_LINK)))
}

/// Says that an address is ours, to all (7.2.6).
pub(super) fn announcement(snapshot: &Snapshot, iface: IfaceId, addr: Be128) -> Option<Out> {
    let message = Message::new(ADVERTISEMENT, OVERRIDE, addr);
    Some(send(snapshot.iface(iface)?, to_group(ALL_NODES), addr, &message, Some(TARGET_LINK)))
}

/// Asks for an address: the one who answered last, or the group of those who may have it (7.2.2). `None` when this
/// interface has no address to ask from.
pub(super) fn solicitation(
    snapshot: &Snapshot,
    dad: &Dad,
    iface: IfaceId,
    target: Be128,
    last: Option<Mac>,
) -> Option<Out> {
    let i = snapshot.iface(iface)?;
    let src = source(i, dad, iface, target)?;
    let to = last.map_or_else(|| to_group(ndp::solicited_node(target)), |mac| (mac, target));
    Some(send(i, to, src, &Message::new(SOLICITATION, 0, target), Some(SOURCE_LINK)))
}

/// Asks whether anybody has an address that we are about to use (RFC 4862, 5.4.2).
pub(super) fn probe(snapshot: &Snapshot, iface: IfaceId, addr: Be128) -> Option<Out> {
    let to = to_group(ndp::solicited_node(addr));
    Some(send(snapshot.iface(iface)?, to, Be128::default(), &Message::new(SOLICITATION, 0, addr), None))
}

/// The address of an interface to ask from: one of the target's prefix, or the link-local one, or any; never one that may
/// be another's.
fn source(i: &Iface, dad: &Dad, iface: IfaceId, target: Be128) -> Option<Be128> {
    let own = || i.addrs.iter().filter_map(|(a, len)| a.v6().map(|own| (own, Addr::V6(target).is_in(*a, *len))));
    let of_prefix = own().filter(|(_, same)| *same);
    let others = own().filter(|(_, same)| !*same);
    let link_local = i.speaks(Family::V6).then(|| (i.link_local(), false));
    let mut all = of_prefix.chain(link_local).chain(others).map(|(own, _)| own);
    all.find(|own| dad.is_usable(iface, *own))
}

fn to_group(group: Be128) -> (Mac, Be128) {
    (ndp::group_mac(group), group)
}

fn send(i: &Iface, (mac, dst): (Mac, Be128), src: Be128, message: &Message, option: Option<u8>) -> Out {
    let l2 = L2 { dst: mac, src: i.mac, vlan: i.vlan };
    let option = option.map(|kind| ndp::LinkOption::new(kind, i.mac));
    let mut frame = vec![0; write::ndp_len(&l2, option.as_ref())];
    write::ndp(&mut frame, &l2, src, dst, message, option.as_ref());
    Out { port: i.port, frame }
}
