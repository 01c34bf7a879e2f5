//! Duplicate address detection (RFC 4862, 5.4): for the addresses that are the interfaces' own, the link-local ones among
//! them.
//!
//! One probe, and a second to object. Until then an address is tentative: we neither answer for it nor ask from it. One
//! that another has, or wants at the same moment, is left to it, reported, and tried again every minute. VIPs and local
//! addresses are not probed for: they are announced and defended as with ARP, since a gateway that gave up a service's
//! address to the first who claims it would be easy to switch off. An address that passed is defended likewise.

use super::{Conflict, Out, ndp};
use crate::addr::{Addr, Be128, Family, IfaceId};
use crate::snapshot::{LocalKind, Snapshot};
use crate::time::{HZ, Tick, Ticks};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// How long others have to object (RFC 4861, RETRANS_TIMER).
const OBJECTION: Ticks = Ticks(HZ);
/// Between two looks whether a duplicate address is free now.
const AGAIN: Ticks = Ticks(60 * HZ);

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Until then others may object.
    Tentative(Tick),
    Ours,
    /// It is another's; probed for again then.
    Duplicate(Tick),
}

/// What is known of our own addresses. One that was never announced is taken to be ours.
#[derive(Default)]
pub(super) struct Dad {
    states: BTreeMap<(IfaceId, Be128), State>,
}

impl Dad {
    /// Probes for the addresses of the configuration that are new, and announces those that are known to be ours.
    pub(super) fn begin(&mut self, now: Tick, snapshot: &Snapshot, out: &mut Vec<Out>) {
        let own: Vec<_> = own_addresses(snapshot).collect();
        self.states.retain(|name, _| own.contains(name));
        for (iface, addr) in own {
            match self.states.get(&(iface, addr)) {
                Some(State::Ours) => out.extend(ndp::announcement(snapshot, iface, addr)),
                Some(State::Tentative(_) | State::Duplicate(_)) => {}
                None => {
                    self.states.insert((iface, addr), State::Tentative(now + OBJECTION));
                    out.extend(ndp::probe(snapshot, iface, addr));
                }
            }
        }
    }

    /// Ends what has lasted its time.
    pub(super) fn tick(&mut self, now: Tick, snapshot: &Snapshot, out: &mut Vec<Out>) {
        for ((iface, addr), state) in &mut self.states {
            match *state {
                State::Tentative(until) if now.reached(until) => {
                    *state = State::Ours;
                    out.extend(ndp::announcement(snapshot, *iface, *addr));
                }
                State::Duplicate(until) if now.reached(until) => {
                    *state = State::Tentative(now + OBJECTION);
                    out.extend(ndp::probe(snapshot, *iface, *addr));
                }
                State::Tentative(_) | State::Ours | State::Duplicate(_) => {}
            }
        }
    }

    /// Looks at a message that another station sent: does it have, or want, an address that is tentative?
    pub(super) fn hear(&mut self, now: Tick, iface: IfaceId, heard: &ndp::Heard) -> Option<Conflict> {
        let state = self.states.get_mut(&(iface, heard.target))?;
        // One that asks from an address of its own only wants to know who we are: it gets no answer yet.
        let objects = heard.is_probe() || heard.kind == crate::wire::ndp::ADVERTISEMENT;
        if !objects || !matches!(state, State::Tentative(_)) {
            return None;
        }
        *state = State::Duplicate(now + AGAIN);
        Some(Conflict { addr: heard.target.into(), mac: heard.mac.unwrap_or(heard.station), iface })
    }

    /// May the address be used? True also for one that is not the interface's own.
    pub(super) fn is_usable(&self, iface: IfaceId, addr: Be128) -> bool {
        matches!(self.states.get(&(iface, addr)), None | Some(State::Ours))
    }

    /// True while an interface has addresses that are not decided about.
    pub(super) fn is_undecided(&self, iface: IfaceId) -> bool {
        self.states.iter().any(|((i, _), state)| *i == iface && matches!(state, State::Tentative(_)))
    }
}

/// The addresses that are the interfaces' own.
fn own_addresses(snapshot: &Snapshot) -> impl Iterator<Item = (IfaceId, Be128)> + '_ {
    let speaks = snapshot.ifaces.iter().enumerate().filter(|(_, i)| i.speaks(Family::V6));
    speaks.flat_map(move |(n, i)| {
        let id = IfaceId(n as u8);
        let own = move |a: Addr| snapshot.local(a).is_some_and(|l| l.kind == LocalKind::Own && l.iface == Some(id));
        let configured = i.addrs.iter().filter(move |(a, _)| own(*a)).filter_map(|(a, _)| a.v6());
        core::iter::once(i.link_local()).chain(configured).map(move |addr| (id, addr))
    })
}
