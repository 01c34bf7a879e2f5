//! Conversations of neighbour discovery in virtual time. What comes in has passed the parser.

use super::*;
use crate::addr::LipId;
use crate::frame::Meta;
use crate::neighbor::{Cell, NudState};
use crate::snapshot::{Iface, Local as OurAddr, Route, RouteTo, Routes};
use crate::testkit::{Packet, check, text};
use crate::time::{HZ, Ticks};
use alloc::string::{String, ToString};
use alloc::vec;
use proptest::prelude::*;

const WAN: IfaceId = IfaceId(0);
const LAN: IfaceId = IfaceId(1);
const OWN: &str = "2001:db8:1::fe";
const VIP: &str = "2001:db8:1::100";
const LINK_LOCAL: &str = "fe80::ff:fe00:fe";
const OWN_MAC: &str = "02:00:00:00:00:fe";
const CLIENT: &str = "2001:db8:1::1";
const CLIENT_MAC: &str = "02:00:00:00:00:01";
const OTHER_MAC: &str = "02:00:00:00:00:02";

fn ip(addr: &str) -> Addr {
    addr.parse::<core::net::IpAddr>().unwrap().into()
}

fn mac(text: &str) -> Mac {
    crate::testkit::build::ToMac::to_mac(text)
}

/// A master with two links; the time, and what it said.
struct Net {
    /// What it reported of groups, which the rest of what it says is read without.
    reports: Vec<Vec<u8>>,
    local: Local,
    snapshot: Snapshot,
    neighbors: Arc<Neighbors>,
    now: Tick,
}

impl Net {
    fn new() -> Net {
        let iface = |port, vlan, last, addr| Iface {
            port: PortId(port),
            vlan,
            mac: Mac([2, 0, 0, 0, 0, last]),
            mtu: 1500,
            addrs: vec![(ip(addr), 64)],
        };
        let route = |prefix, iface| Route { prefix: ip(prefix), len: 64, to: RouteTo::OnLink(iface) };
        let ours = |kind, iface| OurAddr { kind, iface: Some(iface) };
        let locals = [
            (OWN, ours(LocalKind::Own, WAN)),
            (VIP, ours(LocalKind::Vip, WAN)),
            ("2001:db8:2::fe", ours(LocalKind::Own, LAN)),
            ("2001:db8:2::100", ours(LocalKind::Lip(LipId(0)), LAN)),
            ("2001:db8:9::100", OurAddr { kind: LocalKind::Vip, iface: None }),
        ];
        let snapshot = Snapshot {
            ifaces: vec![iface(0, 0, 0xfe, OWN), iface(1, 7, 0xfd, "2001:db8:2::fe")],
            locals: locals.into_iter().map(|(addr, local)| (ip(addr), local)).collect(),
            routes: Routes::new(&[route("2001:db8:1::", WAN), route("2001:db8:2::", LAN)]),
            ..Snapshot::default()
        };
        let neighbors = Arc::new(Neighbors::new(64));
        Net { reports: Vec::new(), local: Local::new(neighbors.clone()), snapshot, neighbors, now: Tick(0) }
    }

    /// One whose only next hop is asked from the start.
    fn with_hop(addr: &str) -> Net {
        let mut net = Net::new();
        net.local.configure(net.now, &[(WAN, ip(addr))], &[]);
        net
    }

    fn read(&mut self, out: Vec<Out>) -> Vec<String> {
        let mut said = Vec::new();
        for Out { frame, .. } in out {
            check::checksums(&frame).unwrap();
            match frame[..6] == [0x33, 0x33, 0, 0, 0, 0x16] {
                true => self.reports.push(frame),
                false => said.push(text::frame(&frame)),
            }
        }
        said
    }

    /// What is said until so many seconds have passed since the start.
    fn until(&mut self, secs: f64) -> Vec<String> {
        let end = Tick((secs * f64::from(HZ)) as u32);
        let mut out = Vec::new();
        while !self.now.reached(end) {
            self.now = self.now + Ticks(1);
            self.local.tick(self.now, &self.snapshot, &mut out);
        }
        self.read(out)
    }

    fn announce(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        self.local.announce(self.now, &self.snapshot, &mut out);
        self.read(out)
    }

    fn hear_on(&mut self, iface: IfaceId, packet: Packet) -> Vec<String> {
        let frame = packet.build();
        let reason = if frame.get(54) == Some(&135) { PuntReason::Ndp } else { PuntReason::NdpReply };
        let punt = Punt { reason, meta: Meta { iface, ..Meta::default() } };
        let mut out = Vec::new();
        self.local.input(self.now, &self.snapshot, &punt, &frame, &mut out);
        self.read(out)
    }

    fn hear(&mut self, packet: Packet) -> Vec<String> {
        self.hear_on(WAN, packet)
    }

    fn cell(&self, addr: &str) -> Option<Cell> {
        self.neighbors.find(WAN, ip(addr)).map(|id| self.neighbors.cell(id))
    }

    fn state(&self, addr: &str) -> Option<NudState> {
        self.cell(addr).map(|cell| cell.state)
    }

    fn mac_of(&self, addr: &str) -> Option<String> {
        self.cell(addr).filter(|c| c.state == NudState::Reachable).map(|c| c.mac.to_string())
    }
}

fn answer(flags: &str, station: &str) -> Packet {
    Packet::ndp_advertise(station, CLIENT, OWN_MAC, OWN).ndp_flags(flags)
}

#[test]
fn a_solicitation_is_answered_solicited_and_overriding_and_its_sender_learnt() {
    let mut net = Net::new();
    let said = net.hear(Packet::ndp_solicit(CLIENT_MAC, CLIENT, VIP));
    assert_eq!(said, [format!("ndp {VIP} is-at {OWN_MAC} [SO]")]);
    assert_eq!(net.mac_of(CLIENT).as_deref(), Some(CLIENT_MAC));
    // The interface's own, and its link-local one, asked from a link-local one.
    let said = net.hear(Packet::ndp_solicit(CLIENT_MAC, "fe80::1", OWN));
    assert_eq!(said, [format!("ndp {OWN} is-at {OWN_MAC} [SO]")]);
    let said = net.hear(Packet::ndp_solicit(CLIENT_MAC, CLIENT, LINK_LOCAL));
    assert_eq!(said, [format!("ndp {LINK_LOCAL} is-at {OWN_MAC} [SO]")]);
    assert_eq!(net.mac_of("fe80::1").as_deref(), Some(CLIENT_MAC));
    assert_eq!(net.local.stats.ndp_answered.value(), 3);
}

#[test]
fn nobody_else_is_answered_for() {
    let mut net = Net::new();
    for target in ["2001:db8:1::7", "2001:db8:2::fe", "2001:db8:2::100", "2001:db8:9::100", "fe80::ff:fe00:fd"] {
        let none: [String; 0] = [];
        assert_eq!(net.hear(Packet::ndp_solicit(CLIENT_MAC, CLIENT, target)), none, "{target}");
        assert_eq!(net.cell(CLIENT), None, "who asks for others is not learnt");
    }
}

#[test]
fn a_tagged_link_is_answered_with_its_tag() {
    let mut net = Net::new();
    let said = net.hear_on(LAN, Packet::ndp_solicit(CLIENT_MAC, "2001:db8:2::11", "2001:db8:2::100").vlan(7));
    assert_eq!(said, ["vlan 7 ndp 2001:db8:2::100 is-at 02:00:00:00:00:fd [SO]"]);
}

#[test]
fn a_probe_for_an_address_of_ours_is_answered_to_all_and_unsolicited() {
    let mut net = Net::new();
    for ours in [VIP, OWN, LINK_LOCAL] {
        let said = net.hear(Packet::ndp_solicit(CLIENT_MAC, "::", ours));
        assert_eq!(said, [format!("ndp {ours} is-at {OWN_MAC} [O] to all")]);
    }
    assert_eq!(net.local.take_conflict(), None, "who asks before use does no harm");
}

#[test]
fn a_next_hop_is_asked_by_group_every_second_and_found() {
    let mut net = Net::with_hop(CLIENT);
    let ask = format!("ndp who-has {CLIENT} tell {OWN}");
    assert_eq!(net.until(0.9), [ask.as_str()]);
    assert_eq!(net.until(1.9), [ask.as_str()]);
    assert!(!net.local.ready());
    assert_eq!(net.hear(answer("SO", CLIENT_MAC)), Vec::<String>::new());
    assert_eq!(net.mac_of(CLIENT).as_deref(), Some(CLIENT_MAC));
    assert!(net.local.ready());
    assert_eq!(net.until(31.5), Vec::<String>::new(), "an answer is good for half a minute");
    assert_eq!(net.local.stats.ndp_asked.value(), 2);
}

#[test]
fn the_group_and_its_mac_address_are_those_of_the_target() {
    let mut net = Net::with_hop("2001:db8:1::ab:cdef");
    let mut out = Vec::new();
    net.local.tick(Tick(1), &net.snapshot, &mut out);
    assert_eq!(out[0].frame[..6], [0x33, 0x33, 0xff, 0xab, 0xcd, 0xef]);
    assert_eq!(
        Addr::from(<[u8; 16]>::try_from(&out[0].frame[38..54]).map(core::net::Ipv6Addr::from).unwrap()),
        ip("ff02::1:ffab:cdef")
    );
    assert_eq!(out[0].frame[21], 255);
}

#[test]
fn a_link_local_next_hop_is_asked_from_the_link_local_address() {
    let mut net = Net::with_hop("fe80::1");
    assert_eq!(net.until(0.5), [format!("ndp who-has fe80::1 tell {LINK_LOCAL}")]);
    let mut net = Net::with_hop("2001:db8:77::1");
    assert_eq!(net.until(0.5), [format!("ndp who-has 2001:db8:77::1 tell {LINK_LOCAL}")], "of no prefix of ours");
}

#[test]
fn a_next_hop_that_does_not_answer_fails_is_asked_on_and_comes_back() {
    let mut net = Net::with_hop(CLIENT);
    assert_eq!(net.until(2.9).len(), 3);
    assert_eq!(net.state(CLIENT), Some(NudState::Incomplete));
    net.until(3.1);
    assert_eq!(net.state(CLIENT), Some(NudState::Failed));
    assert!(net.local.ready(), "it was asked in vain");
    assert_eq!(net.until(10.0).len(), 6);
    net.hear(answer("SO", CLIENT_MAC));
    assert_eq!(net.mac_of(CLIENT).as_deref(), Some(CLIENT_MAC));
}

#[test]
fn a_known_neighbour_is_asked_by_unicast_and_used_until_it_fails() {
    let mut net = Net::with_hop(CLIENT);
    net.until(0.5);
    net.hear(answer("SO", CLIENT_MAC));
    let said = net.until(40.4);
    let ask = format!("ndp who-has {CLIENT} tell {OWN} unicast");
    assert_eq!(said.first(), Some(&ask));
    net.hear(answer("SO", CLIENT_MAC));
    // The next time nobody answers: three more, then it has failed.
    let mut asked = 0;
    while net.state(CLIENT) == Some(NudState::Reachable) {
        asked += net.until(f64::from(net.now.0 + 1) / f64::from(HZ)).len();
    }
    assert_eq!(asked, 3);
    assert_eq!(net.state(CLIENT), Some(NudState::Failed));
    let said = net.until(f64::from(net.now.0) / f64::from(HZ) + 1.1);
    assert_eq!(said, [format!("ndp who-has {CLIENT} tell {OWN}")], "by group again");
}

#[test]
fn a_neighbour_that_was_only_heard_of_is_looked_into_after_five_seconds() {
    let mut net = Net::new();
    net.hear(Packet::ndp_solicit(CLIENT_MAC, CLIENT, VIP));
    assert_eq!(net.until(4.9), Vec::<String>::new());
    assert_eq!(net.until(5.1), [format!("ndp who-has {CLIENT} tell {OWN} unicast")]);
    net.hear(answer("SO", CLIENT_MAC));
    assert_eq!(net.until(34.0), Vec::<String>::new());
    // A learnt one that is gone is forgotten, and asked for when a frame waits.
    let id = net.neighbors.find(WAN, ip(CLIENT)).unwrap();
    net.until(50.0);
    assert_eq!(net.state(CLIENT), Some(NudState::Incomplete));
    assert_eq!(net.until(60.0), Vec::<String>::new());
    net.local.wanted(net.now, id);
    assert_eq!(net.until(60.5), [format!("ndp who-has {CLIENT} tell {OWN}")]);
}

/// RFC 4861, 7.2.5 and appendix C, row by row: what was known, what is said, what is known then, and whether it is looked into
/// within five seconds.
#[test]
fn advertisements_change_what_is_known_as_the_rfc_says() {
    type Row = (Option<&'static str>, &'static str, Option<&'static str>, Option<&'static str>, bool);
    let rows: [Row; 15] = [
        // INCOMPLETE
        (None, "", Some(OTHER_MAC), Some(OTHER_MAC), true),
        (None, "O", Some(OTHER_MAC), Some(OTHER_MAC), true),
        (None, "S", Some(OTHER_MAC), Some(OTHER_MAC), false),
        (None, "SO", Some(OTHER_MAC), Some(OTHER_MAC), false),
        (None, "SO", None, None, true),
        // REACHABLE, the same MAC address
        (Some(CLIENT_MAC), "", Some(CLIENT_MAC), Some(CLIENT_MAC), false),
        (Some(CLIENT_MAC), "S", Some(CLIENT_MAC), Some(CLIENT_MAC), false),
        (Some(CLIENT_MAC), "O", Some(CLIENT_MAC), Some(CLIENT_MAC), false),
        (Some(CLIENT_MAC), "SO", Some(CLIENT_MAC), Some(CLIENT_MAC), false),
        (Some(CLIENT_MAC), "SO", None, Some(CLIENT_MAC), false),
        (Some(CLIENT_MAC), "", None, Some(CLIENT_MAC), false),
        // REACHABLE, another one
        (Some(CLIENT_MAC), "", Some(OTHER_MAC), Some(CLIENT_MAC), true),
        (Some(CLIENT_MAC), "S", Some(OTHER_MAC), Some(CLIENT_MAC), true),
        (Some(CLIENT_MAC), "O", Some(OTHER_MAC), Some(OTHER_MAC), true),
        (Some(CLIENT_MAC), "SO", Some(OTHER_MAC), Some(OTHER_MAC), false),
    ];
    for (known, flags, says, then, looked_into) in rows {
        let mut net = Net::with_hop(CLIENT);
        net.until(0.1);
        if let Some(station) = known {
            net.hear(answer("SO", station));
        }
        let mut packet = answer(flags, says.unwrap_or(CLIENT_MAC));
        if says.is_none() {
            packet = packet.ndp_options(&[]);
        }
        net.hear(packet);
        let row = format!("{known:?} [{flags}] {says:?}");
        assert_eq!(net.mac_of(CLIENT).as_deref(), then, "{row}");
        assert_eq!(!net.until(5.3).is_empty(), looked_into, "{row}");
    }
}

#[test]
fn an_advertisement_of_somebody_nobody_asked_for_is_not_learnt() {
    let mut net = Net::new();
    net.hear(Packet::ndp_announce(CLIENT_MAC, CLIENT));
    assert_eq!(net.cell(CLIENT), None);
}

#[test]
fn a_solicitation_with_another_mac_address_is_believed_and_looked_into() {
    let mut net = Net::with_hop(CLIENT);
    net.until(0.1);
    net.hear(answer("SO", CLIENT_MAC));
    net.hear(Packet::ndp_solicit(OTHER_MAC, CLIENT, VIP));
    assert_eq!(net.mac_of(CLIENT).as_deref(), Some(OTHER_MAC));
    assert_eq!(net.until(5.5), [format!("ndp who-has {CLIENT} tell {OWN} unicast")]);
}

#[test]
fn a_flood_of_made_up_neighbours_leaves_half_of_the_seats_to_others() {
    let mut net = Net::new();
    for n in 0..500 {
        assert_eq!(net.hear(Packet::ndp_solicit(CLIENT_MAC, &format!("2001:db8:1::bad:{n:x}"), VIP)).len(), 1);
    }
    assert_eq!(net.neighbors.claimed().count(), net.neighbors.capacity() / 2);
    // A worker takes a seat for whom it has a frame, and that one is asked for.
    let id = net.neighbors.claim(WAN, ip(CLIENT)).unwrap();
    net.local.wanted(net.now, id);
    assert_eq!(net.until(0.1), [format!("ndp who-has {CLIENT} tell {OWN}")]);
    net.hear(answer("SO", CLIENT_MAC));
    assert_eq!(net.mac_of(CLIENT).as_deref(), Some(CLIENT_MAC));
}

#[test]
fn a_static_entry_is_never_changed_and_never_asked() {
    let mut net = Net::new();
    net.local.configure(net.now, &[], &[(WAN, ip(CLIENT), mac(CLIENT_MAC))]);
    net.hear(answer("SO", OTHER_MAC));
    net.hear(Packet::ndp_solicit(OTHER_MAC, CLIENT, VIP));
    assert_eq!(net.mac_of(CLIENT).as_deref(), Some(CLIENT_MAC));
    assert_eq!(net.until(60.0), Vec::<String>::new());
}

#[test]
fn what_is_not_valid_or_not_from_the_link_is_refused_and_counted() {
    let solicit = || Packet::ndp_solicit(CLIENT_MAC, CLIENT, VIP);
    let refused = [
        ("from another prefix", Packet::ndp_solicit(CLIENT_MAC, "2001:db8:3::1", VIP)),
        ("from the prefix of another link", Packet::ndp_solicit(CLIENT_MAC, "2001:db8:2::1", VIP)),
        ("from a group", Packet::ndp_solicit(CLIENT_MAC, "ff02::1", VIP)),
        ("about a group", Packet::ndp_solicit(CLIENT_MAC, CLIENT, "ff02::1")),
        ("an option without length", solicit().ndp_options(&[1, 0, 2, 0, 0, 0, 0, 1])),
        ("an option beyond the end", solicit().ndp_options(&[1, 2, 2, 0, 0, 0, 0, 1])),
        ("half an option", solicit().ndp_options(&[1])),
        ("the MAC address of a group", solicit().ndp_options(&[1, 1, 3, 0, 0, 0, 0, 1])),
        ("no MAC address", solicit().ndp_options(&[1, 1, 0, 0, 0, 0, 0, 0])),
        (
            "a probe with a MAC address",
            Packet::ndp_solicit(CLIENT_MAC, "::", VIP).ndp_options(&[1, 1, 2, 0, 0, 0, 0, 1]),
        ),
        ("solicited, and to all", Packet::ndp_announce(CLIENT_MAC, CLIENT).ndp_flags("SO")),
        ("from nowhere", Packet::ndp_advertise(CLIENT_MAC, "::", OWN_MAC, OWN)),
    ];
    for (what, packet) in refused {
        let mut net = Net::new();
        assert_eq!(net.hear(packet), Vec::<String>::new(), "{what}");
        assert_eq!(net.local.stats.ndp_refused.value(), 1, "{what}");
        assert_eq!(net.neighbors.claimed().count(), 0, "{what}");
    }
}

#[test]
fn our_own_addresses_are_probed_for_once_and_used_after_a_second() {
    let mut net = Net::with_hop(CLIENT);
    let said = net.announce();
    let expect = [
        format!("ndp who-has {LINK_LOCAL} probe"),
        format!("ndp who-has {OWN} probe"),
        "vlan 7 ndp who-has fe80::ff:fe00:fd probe".into(),
        "vlan 7 ndp who-has 2001:db8:2::fe probe".into(),
        format!("ndp {VIP} is-at {OWN_MAC} [O] to all"),
        "vlan 7 ndp 2001:db8:2::100 is-at 02:00:00:00:00:fd [O] to all".into(),
    ];
    assert_eq!(said, expect);
    // Tentative: neither answered for nor asked from.
    assert_eq!(net.hear(Packet::ndp_solicit(CLIENT_MAC, CLIENT, OWN)), Vec::<String>::new());
    assert_eq!(net.until(0.9), Vec::<String>::new());
    assert!(!net.local.ready());
    let said = net.until(1.1);
    assert_eq!(said.len(), 5, "four announcements and a question: {said:?}");
    assert!(said.contains(&format!("ndp {OWN} is-at {OWN_MAC} [O] to all")));
    assert!(said.contains(&format!("ndp who-has {CLIENT} tell {OWN}")));
    assert_eq!(net.hear(Packet::ndp_solicit(CLIENT_MAC, CLIENT, OWN)).len(), 1);
    // Said again after a reload: nothing is tentative again.
    assert!(net.announce().iter().all(|said| said.ends_with("[O] to all")));
    assert_eq!(net.local.take_conflict(), None);
}

#[test]
fn an_address_that_another_has_or_wants_is_left_to_it_reported_and_tried_again_after_a_minute() {
    let claims = [Packet::ndp_announce(OTHER_MAC, OWN), Packet::ndp_solicit(OTHER_MAC, "::", OWN)];
    for claim in claims {
        let mut net = Net::with_hop(CLIENT);
        net.announce();
        net.until(0.5);
        assert_eq!(net.hear(claim.clone()), Vec::<String>::new());
        let conflict = Conflict { addr: ip(OWN), mac: mac(OTHER_MAC), iface: WAN };
        assert_eq!(net.local.take_conflict(), Some(conflict));
        assert_eq!(net.local.stats.ndp_conflicts.value(), 1);
        let said = net.until(1.1);
        assert!(!said.iter().any(|said| said.contains(&format!("ndp {OWN} is-at"))), "{said:?}");
        assert!(said.contains(&format!("ndp who-has {CLIENT} tell {LINK_LOCAL}")), "{said:?}");
        // It is the other's now: no answer, and no second report.
        assert_eq!(net.hear(Packet::ndp_solicit(CLIENT_MAC, CLIENT, OWN)), Vec::<String>::new());
        net.hear(Packet::ndp_announce(OTHER_MAC, OWN));
        assert_eq!(net.local.take_conflict(), None);
        assert!(net.until(60.6).contains(&format!("ndp who-has {OWN} probe")));
        assert!(net.until(61.6).contains(&format!("ndp {OWN} is-at {OWN_MAC} [O] to all")));
    }
}

#[test]
fn our_own_probe_that_comes_back_is_no_duplicate() {
    let mut net = Net::new();
    net.announce();
    net.hear(Packet::ndp_solicit(OWN_MAC, "::", OWN));
    assert_eq!(net.local.take_conflict(), None);
    assert!(net.until(1.1).contains(&format!("ndp {OWN} is-at {OWN_MAC} [O] to all")));
}

#[test]
fn a_vip_that_another_claims_is_defended_once_in_ten_seconds_and_never_given_up() {
    let mut net = Net::new();
    net.announce();
    net.until(2.0);
    let defence = [format!("ndp {VIP} is-at {OWN_MAC} [O] to all")];
    assert_eq!(net.hear(Packet::ndp_announce(OTHER_MAC, VIP)), defence);
    assert_eq!(net.hear(Packet::ndp_solicit(OTHER_MAC, VIP, OWN)), Vec::<String>::new(), "asked from it: a claim too");
    assert_eq!(net.local.stats.ndp_conflicts.value(), 2);
    let said = net.hear(Packet::ndp_announce(OTHER_MAC, OWN));
    assert_eq!(said, [format!("ndp {OWN} is-at {OWN_MAC} [O] to all")], "each address by itself");
    net.until(12.1);
    assert_eq!(net.hear(Packet::ndp_announce(OTHER_MAC, VIP)), defence);
    assert_eq!(net.hear(Packet::ndp_solicit(CLIENT_MAC, CLIENT, VIP)).len(), 1);
    assert!(net.local.take_conflict().is_some());
}

#[test]
fn groups_are_joined_before_the_probe_and_reported_on_and_on() {
    let mut net = Net::new();
    net.announce();
    let wan = |net: &Net| net.reports.iter().filter(|f| f[12..14] == [0x86, 0xdd]).cloned().collect::<Vec<_>>();
    let [first] = &wan(&net)[..] else { panic!("{:?}", net.reports) };
    // To ff02::16 with one hop and a router alert, from no address yet.
    assert_eq!((first[20], first[21]), (0, 1));
    assert_eq!(first[22..38], [0; 16]);
    assert_eq!(first[54..62], [58, 0, 5, 2, 0, 0, 1, 0]);
    // The link-local address ends as the configured one does: two groups for three addresses.
    assert_eq!((first[62], &first[68..70]), (143, &[0, 2][..]));
    let groups: Vec<_> = first[70..].chunks(20).map(|r| (r[0], r[4..20].to_vec())).collect();
    let group = |addr: &str| (4, crate::wire::ndp::solicited_node(ip(addr).v6().unwrap()).bytes().to_vec());
    assert_eq!(groups, [group(OWN), group(VIP)]);
    net.until(1.5);
    let second = wan(&net)[1].clone();
    assert_eq!(second[22..38], ip(LINK_LOCAL).v6().unwrap().bytes(), "once it has an address");
    assert_eq!(second[70], 4);
    net.until(100.0);
    assert_eq!(wan(&net).len(), 2);
    net.until(260.0);
    let reports = wan(&net);
    assert_eq!((reports.len(), reports[3][70]), (4, 2));
    assert_eq!(net.reports.len(), 8, "both links");
}

#[test]
fn an_interface_without_ipv6_says_nothing_of_it() {
    let mut net = Net::new();
    net.snapshot.ifaces.iter_mut().for_each(|i| i.addrs = vec![(ip("198.18.1.254"), 24)]);
    net.snapshot.locals = Default::default();
    assert_eq!(net.announce(), Vec::<String>::new());
    assert_eq!(net.hear(Packet::ndp_solicit(CLIENT_MAC, "fe80::1", LINK_LOCAL)), Vec::<String>::new());
    assert_eq!(net.reports, Vec::<Vec<u8>>::new());
}

proptest! {
    #[test]
    fn any_bytes_are_answered_or_not_and_never_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
        form in 0usize..4,
        at in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut frame = match form {
            0 => bytes,
            1 => Packet::ndp_solicit(CLIENT_MAC, CLIENT, VIP).ndp_options(&bytes).build(),
            2 => answer("SO", CLIENT_MAC).ndp_options(&bytes).build(),
            _ => Packet::udp("[2001:db8:1::1]:9", "[2001:db8:1::100]:53").payload(&bytes).build(),
        };
        for (index, value) in at {
            if !frame.is_empty() {
                let index = index.index(frame.len());
                frame[index] = value;
            }
        }
        let mut net = Net::with_hop(CLIENT);
        net.announce();
        for reason in PuntReason::ALL {
            let meta = Meta { iface: WAN, mtu: 1400, ..Meta::default() };
            let punt = Punt { reason: *reason, meta };
            net.local.input(net.now, &net.snapshot, &punt, &frame, &mut Vec::new());
        }
        net.until(3.0);
    }
}
