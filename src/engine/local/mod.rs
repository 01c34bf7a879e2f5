//! What we say ourselves: ARP, ICMP, RST, as pure responders. The master lcore runs them; the worker only writes RSTs.
//!
//! A [`Local`] takes punted frames and moments, and gives frames to send. It never decides about a client's packet.

pub mod arp;
pub mod icmp;
pub mod write;

use crate::addr::{Addr, IfaceId, Mac, NeighborId, PortId};
use crate::lcore::Punt;
use crate::neighbor::Neighbors;
use crate::snapshot::Snapshot;
use crate::stats::Counter;
use crate::time::Tick;
use crate::verdict::PuntReason;
use alloc::sync::Arc;
use alloc::vec::Vec;
use arp::Hops;

/// A complete frame to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Out {
    /// The port it leaves by.
    pub port: PortId,
    /// From the Ethernet header on.
    pub frame: Vec<u8>,
}

/// What the responders did.
#[derive(Debug, Default)]
pub struct LocalStats {
    /// ARP requests sent.
    pub arp_asked: Counter,
    /// ARP requests answered.
    pub arp_answered: Counter,
    /// ARP from a station that claims one of our addresses.
    pub arp_conflicts: Counter,
    /// Echo requests answered.
    pub echo_answered: Counter,
    /// ICMP errors sent.
    pub errors_sent: Counter,
    /// RSTs sent for ports without service.
    pub resets_sent: Counter,
    /// Punted frames that called for no answer.
    pub ignored: Counter,
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
    conflict: Option<Conflict>,
    /// What it did.
    pub stats: LocalStats,
}

impl Local {
    /// With no next hop yet.
    pub fn new(neighbors: Arc<Neighbors>) -> Local {
        Local { hops: Hops::new(neighbors), conflict: None, stats: LocalStats::default() }
    }

    /// The configured next hops, asked from now on, and the static entries.
    pub fn configure(&mut self, now: Tick, hops: &[(IfaceId, Addr)], fixed: &[(IfaceId, Addr, Mac)]) {
        self.hops.configure(now, hops, fixed);
    }

    /// True when every configured next hop has answered or has been asked in vain.
    pub fn ready(&self) -> bool {
        self.hops.ready()
    }

    /// Gratuitous ARP for every address that we answer for (RFC 5227, 2.3; a request with sender = target).
    pub fn announce(&mut self, snapshot: &Snapshot, out: &mut Vec<Out>) {
        let mut addrs: Vec<_> = snapshot.locals.iter().filter_map(|(a, l)| l.iface.map(|i| (i, *a))).collect();
        addrs.sort_unstable();
        for (iface, addr) in addrs {
            out.extend(arp::announcement(snapshot, iface, addr));
        }
    }

    /// A frame that a worker gave to the master.
    pub fn input(&mut self, now: Tick, snapshot: &Snapshot, punt: &Punt, frame: &[u8], out: &mut Vec<Out>) {
        let before = out.len();
        match punt.reason {
            PuntReason::Arp | PuntReason::ArpReply => self.arp(now, snapshot, punt.meta.iface, frame, out),
            PuntReason::Ndp | PuntReason::NdpReply => {}
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
        self.hops.heard(now, snapshot, iface, &packet);
        if let Some(reply) = arp::reply(snapshot, iface, &packet) {
            self.stats.arp_answered.add(1);
            out.push(reply);
        }
    }

    /// A frame waits for this next hop.
    pub fn wanted(&mut self, now: Tick, hop: NeighborId) {
        self.hops.wanted(now, hop);
    }

    /// Asks what is due. Call it at least every 1/16 s.
    pub fn tick(&mut self, now: Tick, snapshot: &Snapshot, out: &mut Vec<Out>) {
        let before = out.len();
        self.hops.tick(now, snapshot, out);
        self.stats.arp_asked.add((out.len() - before) as u64);
    }

    /// The last address conflict that was not reported yet.
    pub fn take_conflict(&mut self) -> Option<Conflict> {
        self.conflict.take()
    }
}
