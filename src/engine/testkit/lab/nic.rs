//! A network card: which lcore a frame comes to.

use crate::addr::{Be16, LcoreId};
use crate::steer::Steer;
use crate::wire::{FromBytes, ethernet, ipv4, udp, vlan};

/// How frames come to the lcores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Arrival {
    /// As the card's hash says, with our key and our table, which is where they belong.
    #[default]
    Rss,
    /// All to the first lcore, as from a card with one queue.
    First,
    /// To any lcore, whatever the packet: the next one after the last, so that nearly all have to be redirected.
    Wrong,
}

/// The lcore that a frame comes to, and the hash that the card wrote down.
pub(super) fn deliver(arrival: Arrival, steer: &Steer, frame: &[u8]) -> (LcoreId, Option<u32>) {
    let hash = hash(steer, frame);
    let home = hash.map_or(LcoreId(0), |h| steer.owner(Steer::class(h)));
    match arrival {
        Arrival::Rss => (home, hash),
        Arrival::First => (LcoreId(0), None),
        Arrival::Wrong => (LcoreId((home.0 + 1) % steer.lcores()), None),
    }
}

/// The RSS hash of a frame: over addresses and ports, or over the addresses alone where there are no ports.
pub fn hash(steer: &Steer, frame: &[u8]) -> Option<u32> {
    let (eth, mut rest) = ethernet::Header::ref_from_prefix(frame).ok()?;
    let mut ether_type: Be16 = eth.ether_type;
    if ether_type == ethernet::VLAN {
        let (tag, inner) = vlan::Tag::ref_from_prefix(rest).ok()?;
        (ether_type, rest) = (tag.ether_type, inner);
    }
    let (ip, _) = ipv4::Header::ref_from_prefix(rest).ok().filter(|_| ether_type == ethernet::IPV4)?;
    let ports = rest.get(ip.header_len()..).and_then(|l4| udp::Header::ref_from_prefix(l4).ok());
    match (ip.proto, ports) {
        (ipv4::TCP | ipv4::UDP, Some((l4, _))) if !ip.is_fragment() => {
            Some(steer.hash4(ip.src, ip.dst, l4.sport, l4.dport))
        }
        _ => Some(steer.hash2(ip.src, ip.dst)),
    }
}
