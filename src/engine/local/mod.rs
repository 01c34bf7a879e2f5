//! What we say ourselves: ARP, NDP, ICMP, RST, as pure responders. The master lcore runs them; the worker only writes RSTs.
//!
//! A [`Local`] takes punted frames and moments, and gives frames to send. It never decides about a client's packet.

mod arp;
mod dad;
mod hops;
mod icmp;
mod mld;
mod ndp;
pub mod write;

use crate::addr::{Addr, Family, IfaceId, Mac, NeighborId, PortId};
use crate::lcore::Punt;
use crate::neighbor::Neighbors;
use crate::snapshot::{LocalKind, Snapshot};
use crate::stats::Counter;
use crate::time::Tick;
use crate::verdict::PuntReason;
use crate::wire::ndp::{ADVERTISEMENT, OVERRIDE, SOLICITED};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use dad::Dad;
use hops::{Claim, Hops};
use mld::Mld;

/// Addresses of ours that are announced together.
const ANNOUNCED: usize = 64;

/// A complete frame to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Out {
    /// The port it leaves by.
    pub port: PortId,
    /// From the Ethernet header on.
    pub frame: Vec<u8>,
}

macro_rules! counters {
    ($( #[doc = $help:literal] $name:ident, )*) => {
        /// What the responders did.
        #[derive(Debug, Default)]
        pub struct LocalStats { $( #[doc = $help] pub $name: Counter, )* }

        impl LocalStats {
            /// Every counter: name and value.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [ $( (stringify!($name), self.$name.value()), )* ].into_iter()
            }
        }
    };
}

counters! {
    /// ARP requests sent.
    arp_asked,
    /// ARP requests answered.
    arp_answered,
    /// ARP from a station that claims one of our addresses.
    arp_conflicts,
    /// Neighbour solicitations sent, but for probes for duplicate addresses.
    ndp_asked,
    /// Neighbour solicitations answered.
    ndp_answered,
    /// Neighbour discovery from a station that claims, or wants, one of our addresses.
    ndp_conflicts,
    /// Neighbour discovery that makes no sense, or comes from an address that is not on the link.
    ndp_refused,
    /// Echo requests answered.
    echo_answered,
    /// ICMP errors sent.
    errors_sent,
    /// RSTs sent for ports without service.
    resets_sent,
    /// Punted frames that called for no answer.
    ignored,
}

/// Somebody else claims an address of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The address.
    pub addr: Addr,
    /// Who claims it.
    pub mac: Mac,
    /// Where.
    pub iface: IfaceId,
}

/// See the module.
pub struct Local {
    hops: Hops,
    dad: Dad,
    mld: Mld,
    /// Addresses of ours that are still to be announced.
    unsaid: VecDeque<(IfaceId, Addr)>,
    conflict: Option<Conflict>,
    /// What it did.
    pub stats: LocalStats,
}

impl Local {
    /// With no next hop yet.
    pub fn new(neighbors: Arc<Neighbors>) -> Local {
        Local {
            hops: Hops::new(neighbors),
            dad: Dad::default(),
            mld: Mld::default(),
            unsaid: VecDeque::new(),
            conflict: None,
            stats: LocalStats::default(),
        }
    }

    /// The configured next hops, asked from now on, and the static entries.
    pub fn configure(&mut self, now: Tick, hops: &[(IfaceId, Addr)], fixed: &[(IfaceId, Addr, Mac)]) {
        self.hops.configure(now, hops, fixed);
    }

    /// True when every configured next hop has answered or has been asked in vain.
    pub fn ready(&self) -> bool {
        self.hops.ready()
    }

    /// Says to all that every address that we answer for is ours: by gratuitous ARP (RFC 5227, 2.3; a request with sender =
    /// target), by unsolicited advertisement (RFC 4861, 7.2.6). An IPv6 address that is an interface's own is first
    /// probed for, when it is new: see [`dad`]. The groups by which others ask for them are joined.
    /// At once it says no more than a few: the rest follows tick by tick, as rings and switches hold no thousands.
    pub fn announce(&mut self, now: Tick, snapshot: &Snapshot, out: &mut Vec<Out>) {
        self.announce_if(now, snapshot, &|_| true, out);
    }

    /// The same for the addresses that a snapshot has and the one before had not.
    pub fn announce_new(&mut self, now: Tick, snapshot: &Snapshot, before: &Snapshot, out: &mut Vec<Out>) {
        self.announce_if(now, snapshot, &|addr| before.locals.get(&addr).is_none(), out);
    }

    fn announce_if(&mut self, now: Tick, snapshot: &Snapshot, is_meant: &dyn Fn(Addr) -> bool, out: &mut Vec<Out>) {
        let mut probes = Vec::new();
        self.dad.begin(now, snapshot, &mut probes);
        // The groups first: objections come by them (RFC 4862, 5.4.2).
        self.mld.begin(now, snapshot, &self.dad, out);
        out.append(&mut probes);
        let probed = |addr: Addr, kind: LocalKind| addr.family() == Family::V6 && kind == LocalKind::Own;
        let ours = snapshot.locals.iter().filter(|(addr, local)| is_meant(*addr) && !probed(*addr, local.kind));
        let mut addrs: Vec<_> = ours.filter_map(|(a, l)| l.iface.map(|i| (i, a))).collect();
        addrs.sort_unstable();
        self.unsaid.extend(addrs);
        self.say(snapshot, out);
    }

    /// Announces some of what is left to be announced, and is still ours.
    fn say(&mut self, snapshot: &Snapshot, out: &mut Vec<Out>) {
        for (iface, addr) in self.unsaid.drain(..self.unsaid.len().min(ANNOUNCED)) {
            if snapshot.answers(iface, addr) {
                out.extend(announcement(snapshot, iface, addr));
            }
        }
    }

    /// A frame that a worker gave to the master.
    pub fn input(&mut self, now: Tick, snapshot: &Snapshot, punt: &Punt, frame: &[u8], out: &mut Vec<Out>) {
        let before = out.len();
        match punt.reason {
            PuntReason::Arp | PuntReason::ArpReply => self.arp(now, snapshot, punt.meta.iface, frame, out),
            PuntReason::Ndp | PuntReason::NdpReply => self.ndp(now, snapshot, punt.meta.iface, frame, out),
            PuntReason::Echo => self.answer(&|s| &s.echo_answered, icmp::echo_reply(snapshot, punt, frame), out),
            PuntReason::TtlExceeded | PuntReason::FragNeeded | PuntReason::NoServer => {
                self.answer(&|s| &s.errors_sent, icmp::error(snapshot, punt, frame), out);
            }
            PuntReason::NoService => match icmp::reset(snapshot, punt, frame) {
                Some(reset) => self.answer(&|s| &s.resets_sent, Some(reset), out),
                None => self.answer(&|s| &s.errors_sent, icmp::error(snapshot, punt, frame), out),
            },
        }
        if out.len() == before && !punt.reason.is_link() {
            self.stats.ignored.add(1);
        }
    }

    fn answer(&self, counter: &dyn Fn(&LocalStats) -> &Counter, answer: Option<Out>, out: &mut Vec<Out>) {
        if let Some(answer) = answer {
            counter(&self.stats).add(1);
            out.push(answer);
        }
    }

    fn arp(&mut self, now: Tick, snapshot: &Snapshot, iface: IfaceId, frame: &[u8], out: &mut Vec<Out>) {
        let Some(packet) = arp::packet(frame) else { return };
        if let Some(conflict) = arp::conflict(snapshot, iface, &packet) {
            self.stats.arp_conflicts.add(1);
            self.conflict = Some(conflict);
            out.extend(self.hops.defend(now, snapshot, &conflict));
            return;
        }
        if packet.sender_ip.raw() != 0 {
            let addr = packet.sender_ip.into();
            let for_us = snapshot.answers(iface, packet.target_ip.into());
            let learn = for_us && snapshot.on_link(iface, addr);
            let claim = Claim { mac: Some(packet.sender_mac), solicited: true, overrides: true, learn };
            self.hops.heard(now, iface, addr, &claim);
        }
        if let Some(reply) = arp::reply(snapshot, iface, &packet) {
            self.stats.arp_answered.add(1);
            out.push(reply);
        }
    }

    fn ndp(&mut self, now: Tick, snapshot: &Snapshot, iface: IfaceId, frame: &[u8], out: &mut Vec<Out>) {
        let Some(heard) = ndp::read(frame).filter(|heard| heard.is_from(snapshot, iface)) else {
            return self.stats.ndp_refused.add(1);
        };
        if snapshot.iface(iface).is_none_or(|i| i.mac == heard.station) {
            // What we said ourselves, come back.
            return;
        }
        let lost = self.dad.hear(now, iface, &heard);
        if let Some(conflict) = lost.or_else(|| ndp::conflict(snapshot, iface, &heard)) {
            let usable = conflict.addr.v6().is_some_and(|addr| self.dad.is_usable(iface, addr));
            if lost.is_some() || usable {
                self.stats.ndp_conflicts.add(1);
                self.conflict = Some(conflict);
                if usable {
                    out.extend(self.hops.defend(now, snapshot, &conflict));
                }
            }
            return;
        }
        if heard.kind == ADVERTISEMENT {
            let (solicited, overrides) = (heard.flags & SOLICITED != 0, heard.flags & OVERRIDE != 0);
            let claim = Claim { mac: heard.mac, solicited, overrides, learn: false };
            return self.hops.heard(now, iface, heard.target.into(), &claim);
        }
        if !snapshot.answers(iface, heard.target.into()) || !self.dad.is_usable(iface, heard.target) {
            return;
        }
        if heard.mac.is_some() {
            let claim = Claim { mac: heard.mac, solicited: false, overrides: true, learn: true };
            self.hops.heard(now, iface, heard.src.into(), &claim);
        }
        if let Some(reply) = ndp::advertisement(snapshot, iface, &heard) {
            self.stats.ndp_answered.add(1);
            out.push(reply);
        }
    }

    /// A frame waits for this next hop.
    pub fn wanted(&mut self, now: Tick, hop: NeighborId) {
        self.hops.wanted(now, hop);
    }

    /// Asks what is due. Call it at least every 1/16 s.
    pub fn tick(&mut self, now: Tick, snapshot: &Snapshot, out: &mut Vec<Out>) {
        self.dad.tick(now, snapshot, out);
        self.mld.tick(now, snapshot, &self.dad, out);
        self.hops.tick(now, snapshot, &self.dad, &self.stats, out);
        self.say(snapshot, out);
    }

    /// The last address conflict that was not reported yet.
    pub fn take_conflict(&mut self) -> Option<Conflict> {
        self.conflict.take()
    }
}

/// Says that an address is ours, to all.
fn announcement(snapshot: &Snapshot, iface: IfaceId, addr: Addr) -> Option<Out> {
    match addr {
        Addr::V4(addr) => arp::announcement(snapshot, iface, addr),
        Addr::V6(addr) => ndp::announcement(snapshot, iface, addr),
    }
}

#[cfg(test)]
mod tests;
