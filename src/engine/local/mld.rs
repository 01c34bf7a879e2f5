//! The groups that we listen to (RFC 3810): the solicited-node groups of the addresses we answer for.
//!
//! A switch that listens in (RFC 4541) gives the solicitations for an address to those alone that report its group. We
//! report at start and after every change, twice, as one may be lost, and then on and on, without waiting for queries: so no
//! packet has to be let in for it. The period is shorter than the time after which a switch forgets (260 s).

use super::Out;
use super::dad::Dad;
use super::write::{self, L2};
use crate::addr::{Be16, Be128, Family, IfaceId};
use crate::snapshot::{Iface, Snapshot};
use crate::time::{HZ, Tick, Ticks};
use crate::wire::mld::{ALL_ROUTERS, HOP_LIMIT, IS_EXCLUDE, RECORD_LEN, REPORT, ROUTER_ALERT, Record, TO_EXCLUDE};
use crate::wire::ndp::{group_mac, solicited_node};
use crate::wire::{IntoBytes, checksum, ethernet, icmp, ipv6};
use alloc::vec;
use alloc::vec::Vec;

/// Until the first report is said again: the addresses were probed for by then (RFC 3810, 9.11).
const AGAIN: Ticks = Ticks(HZ);
/// Between two reports from then on (RFC 3810, 9.2: the interval of queries).
const PERIOD: Ticks = Ticks(125 * HZ);
/// Records of a report, as many as every link takes.
const RECORDS: usize = (ipv6::MIN_MTU as usize - ipv6::LEN - ROUTER_ALERT.len() - icmp::LEN) / RECORD_LEN;

/// When the next report is due; `None` before the first announcement.
#[derive(Default)]
pub(super) struct Mld {
    due: Option<Tick>,
    kind: u8,
}

impl Mld {
    /// Joins the groups of every address of the configuration.
    pub(super) fn begin(&mut self, now: Tick, snapshot: &Snapshot, dad: &Dad, out: &mut Vec<Out>) {
        self.kind = TO_EXCLUDE;
        self.report(now + AGAIN, snapshot, dad, out);
    }

    pub(super) fn tick(&mut self, now: Tick, snapshot: &Snapshot, dad: &Dad, out: &mut Vec<Out>) {
        if self.due.is_some_and(|due| now.reached(due)) {
            self.report(now + PERIOD, snapshot, dad, out);
            self.kind = IS_EXCLUDE;
        }
    }

    fn report(&mut self, next: Tick, snapshot: &Snapshot, dad: &Dad, out: &mut Vec<Out>) {
        self.due = Some(next);
        for (n, iface) in snapshot.ifaces.iter().enumerate().filter(|(_, i)| i.speaks(Family::V6)) {
            let id = IfaceId(n as u8);
            // Without an address of its own a station reports from none (RFC 3590, 4).
            let own = iface.link_local();
            let src = if dad.is_usable(id, own) { own } else { Be128::default() };
            let groups = groups(snapshot, id, iface);
            out.extend(groups.chunks(RECORDS).map(|groups| frame(iface, src, self.kind, groups)));
        }
    }
}

/// The groups of all addresses that an interface answers for.
fn groups(snapshot: &Snapshot, id: IfaceId, iface: &Iface) -> Vec<Be128> {
    let here = snapshot.locals.iter().filter(|(_, local)| local.iface == Some(id));
    let addrs = here.filter_map(|(addr, _)| addr.v6()).chain([iface.link_local()]);
    let mut groups: Vec<Be128> = addrs.map(solicited_node).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

fn frame(iface: &Iface, src: Be128, kind: u8, groups: &[Be128]) -> Out {
    let link = L2 { dst: group_mac(ALL_ROUTERS), src: iface.mac, vlan: iface.vlan };
    let len = link.len() + ipv6::LEN + ROUTER_ALERT.len() + icmp::LEN + groups.len() * RECORD_LEN;
    let mut frame = vec![0; len];
    let packet = write::l2(&mut frame, &link, ethernet::IPV6);
    let payload = write::ipv6(packet, src, ALL_ROUTERS, ipv6::HOP_BY_HOP, 0, HOP_LIMIT);
    if let Some((alert, message)) = payload.split_at_mut_checked(ROUTER_ALERT.len()) {
        alert.copy_from_slice(&ROUTER_ALERT);
        let [high, low] = (groups.len() as u16).to_be_bytes();
        let header = icmp::Header { kind: REPORT, code: 0, checksum: Be16::default(), rest: [0, 0, high, low] };
        let (place, records) = message.split_at_mut(icmp::LEN);
        place.copy_from_slice(header.as_bytes());
        for (place, group) in records.chunks_exact_mut(RECORD_LEN).zip(groups) {
            place.copy_from_slice(Record::new(kind, *group).as_bytes());
        }
        checksum::l4_fill(src, ALL_ROUTERS, ipv6::ICMPV6, message);
    }
    Out { port: iface.port, frame }
}
