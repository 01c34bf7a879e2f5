//! Errors about connections of each kind, there and back: what a receiver reads is what it sent.

use super::*;
use crate::addr::*;
use crate::conn::record::EventKind;
use crate::conn::tuple::Tuple;
use crate::limit::DEFAULT_LIMITS;
use crate::neighbor::Neighbors;
use crate::sched::Scheduler;
use crate::shard::{Shared, Sizes};
use crate::snapshot::*;
use crate::steer::Steer;
use crate::testkit::lab::{Arrival, Lab, Link, Plan, Step, mac_of};
use crate::testkit::{Packet, check, text};
use crate::verdict::{DropReason, PuntReason, Verdict};
use crate::wire::{FromBytes, ethernet, icmp, icmpv6, ipv4, ipv6};
use alloc::sync::Arc;
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};

const WAN: PortId = PortId(0);
const LAN: PortId = PortId(1);

/// The connections of a kind: client, service, and a router on either side.
#[derive(Clone, Copy, Debug)]
struct World {
    client: &'static str,
    vip: &'static str,
    port: u16,
    wan_router: &'static str,
    lan_router: &'static str,
}

const V4: World = World {
    client: "198.18.1.1:40000",
    vip: "198.18.1.100",
    port: 80,
    wan_router: "198.18.1.253",
    lan_router: "198.18.2.253",
};
const V6: World = World {
    client: "[2001:db8:1::1]:40000",
    vip: "2001:db8:1::100",
    port: 80,
    wan_router: "2001:db8:1::253",
    lan_router: "2001:db8:2::253",
};
const NAT64: World = World { port: 64, lan_router: "198.18.2.253", ..V6 };
const WORLDS: [World; 3] = [V4, V6, NAT64];

fn ip(addr: &str) -> Addr {
    addr.parse::<IpAddr>().unwrap().into()
}

fn lab(lan_mtu: u16) -> Lab {
    let iface = |port, mtu, addrs: [&str; 2]| Iface {
        port: PortId(port),
        vlan: 0,
        mac: Mac([2, 0, 0, 0, 1, port]),
        mtu,
        addrs: addrs.iter().map(|a| (ip(a), if a.contains(':') { 64 } else { 24 })).collect(),
    };
    let ifaces = vec![
        iface(0, 1500, ["198.18.1.254", "2001:db8:1::254"]),
        iface(1, lan_mtu, ["198.18.2.254", "2001:db8:2::254"]),
    ];
    let route = |prefix: &str, len, iface| Route { prefix: ip(prefix), len, to: RouteTo::OnLink(IfaceId(iface)) };
    let routes = Routes::new(&[
        route("198.18.1.0", 24, 0),
        route("198.18.2.0", 24, 1),
        route("2001:db8:1::", 64, 0),
        route("2001:db8:2::", 64, 1),
    ]);
    let lip = |id, addr: &str| Arc::new(Pool::new(vec![Lip { id: LipId(id), addr: ip(addr) }]));
    let pools = [lip(0, "198.18.2.100"), lip(1, "2001:db8:2::100")];
    let mut snapshot = Snapshot { ifaces, routes, reals: vec![RealState::Present; 8], ..Snapshot::default() };
    let of = |kind, iface| Local { kind, iface: Some(IfaceId(iface)) };
    for (vip, port, server) in [
        ("198.18.1.100", 80, "198.18.2.11"),
        ("2001:db8:1::100", 80, "2001:db8:2::11"),
        ("2001:db8:1::100", 64, "198.18.2.11"),
    ] {
        for proto in [Proto::Tcp, Proto::Udp] {
            let n = snapshot.services.len() as u32;
            let (addr, port) = (ip(server), Be16::new(port));
            let real = Real { id: RealId(n + 1), endpoint: EndpointId(n), addr, port, weight: 1 };
            let service = Service {
                id: ServiceId(n),
                proto,
                vip: ip(vip),
                vport: port,
                scheduler: Scheduler::Rr,
                version: 0,
                reals: vec![real],
                pools: pools.clone(),
                profile: 0,
                mss_clamp: None,
                on_removed: OnRemoved::Reset,
            };
            snapshot.locals.insert(ip(vip), of(LocalKind::Vip, 0));
            snapshot.services.insert(VipKey::new(proto, ip(vip), port), Arc::new(service));
        }
    }
    for (addr, kind, iface) in [
        ("198.18.1.254", LocalKind::Own, 0),
        ("2001:db8:1::254", LocalKind::Own, 0),
        ("198.18.2.254", LocalKind::Own, 1),
        ("2001:db8:2::254", LocalKind::Own, 1),
        ("198.18.2.100", LocalKind::Lip(LipId(0)), 1),
        ("2001:db8:2::100", LocalKind::Lip(LipId(1)), 1),
    ] {
        snapshot.locals.insert(ip(addr), of(kind, iface));
    }
    let neighbors = Arc::new(Neighbors::new(64));
    let steer = Arc::new(Steer::new(Steer::key_from_seed(1), 1).unwrap());
    Lab::new(Plan {
        shared: Shared::new(Arc::new(snapshot), neighbors, steer),
        hops: vec![(IfaceId(1), ip("198.18.2.11")), (IfaceId(1), ip("2001:db8:2::11"))],
        fixed: Vec::new(),
        limits: DEFAULT_LIMITS,
        sizes: Sizes::of(64, 64, 8),
        reals: 16,
        links: vec![Link::Quiet; 2],
        arrival: Arrival::First,
        seed: 1,
    })
    .unwrap()
}

/// A connection of a world, opened.
struct Open {
    lab: Lab,
    world: World,
    proto: Proto,
    /// Of the server's packets.
    reply: Tuple,
}

fn to(addr: IpAddr, port: u16) -> String {
    SocketAddr::new(addr, port).to_string()
}

impl Open {
    fn new(world: World, proto: Proto) -> Open {
        let mut lab = lab(1500);
        let step = send(&mut lab, WAN, Open::packet(&world, proto).flags("S"));
        let reply = step.events.iter().find(|e| e.kind == EventKind::Established).unwrap().reply;
        let mut open = Open { lab, world, proto, reply };
        // An answer, so that nobody waits for a MAC address any more.
        let answer = open.of_server(b"").flags("SA");
        send(&mut open.lab, LAN, answer);
        open
    }

    fn packet(world: &World, proto: Proto) -> Packet {
        let vip = to(world.vip.parse().unwrap(), world.port);
        match proto {
            Proto::Tcp => Packet::tcp(world.client, &vip),
            Proto::Udp => Packet::udp(world.client, &vip),
        }
    }

    fn of_client(&self, payload: &[u8]) -> Packet {
        Open::packet(&self.world, self.proto).payload(payload).seq(7).tos(0x2e)
    }

    fn of_server(&self, payload: &[u8]) -> Packet {
        let src = to(self.reply.src().into(), self.reply.sport().host());
        let dst = to(self.reply.dst().into(), self.reply.dport().host());
        let packet = match self.proto {
            Proto::Tcp => Packet::tcp(&src, &dst),
            Proto::Udp => Packet::udp(&src, &dst),
        };
        packet.payload(payload).seq(9).tos(0x2e)
    }

    /// What the other side gets of a packet, from its IP header on, and the packet as it was sent.
    fn through(&mut self, port: PortId, packet: Packet) -> (Vec<u8>, Vec<u8>) {
        let sent = packet.clone().build_ip();
        let step = send(&mut self.lab, port, packet);
        let [out] = &step.sent[..] else {
            panic!("{:?}: {:?}", step.verdict, step.sent.iter().map(|s| text::frame(&s.frame)).collect::<Vec<_>>())
        };
        (out.frame[ethernet::LEN..].to_vec(), sent)
    }

    /// An error that the router on this side of the link sends about a packet that has come by it.
    fn error(&mut self, port: PortId, (kind, code, rest): (u8, u8, [u8; 4]), quote: &[u8]) -> Step {
        let (router, to) = match port {
            WAN => (self.world.wan_router, self.world.vip.to_owned()),
            _ => (self.world.lan_router, self.reply.dst().to_string()),
        };
        send(&mut self.lab, port, Packet::icmp(router, &to, kind, code, rest).payload(quote).tos(0xc0))
    }
}

fn send(lab: &mut Lab, port: PortId, packet: Packet) -> Step {
    let mac = lab.snapshot().ifaces[port.index()].mac;
    let step = lab.input(port, &packet.macs(mac_of(Be32::new(9)), mac).build());
    for sent in &step.sent {
        check::checksums(&sent.frame).unwrap_or_else(|e| panic!("{}: {e}", text::long(&sent.frame)));
    }
    step
}

/// The parts of an error that left: its addresses, what it says, what it quotes.
fn parts(step: &Step) -> (Addr, Addr, icmp::Header, Vec<u8>) {
    let [out] = &step.sent[..] else {
        panic!("{:?}: {:?}", step.verdict, step.sent.iter().map(|s| text::frame(&s.frame)).collect::<Vec<_>>())
    };
    let packet = &out.frame[ethernet::LEN..];
    let (src, dst, message): (Addr, Addr, &[u8]) = if packet[0] >> 4 == 6 {
        let (ip, rest) = ipv6::Header::ref_from_prefix(packet).unwrap();
        assert_eq!((ip.next, usize::from(ip.payload_len.host())), (ipv6::ICMPV6, rest.len()));
        assert_eq!((ip.hop_limit, ip.traffic_class()), (63, 0xc0));
        (ip.src.into(), ip.dst.into(), rest)
    } else {
        let (ip, rest) = ipv4::Header::ref_from_prefix(packet).unwrap();
        assert_eq!((ip.proto, usize::from(ip.total_len.host())), (ipv4::ICMP, packet.len()));
        assert_eq!((ip.ttl, ip.tos), (63, 0xc0));
        (ip.src.into(), ip.dst.into(), rest)
    };
    let (header, quote) = icmp::Header::read_from_prefix(message).unwrap();
    (src, dst, header, quote.to_vec())
}

/// A quoted packet as its sender sent it: one hop further, and of IPv4 what a translation can not bring back left out.
fn as_sent(mut packet: Vec<u8>, translated: bool) -> Vec<u8> {
    if packet[0] >> 4 == 6 {
        packet[7] -= 1;
        return packet;
    }
    let (ip, _) = ipv4::Header::mut_from_prefix(&mut packet).unwrap();
    ip.ttl -= 1;
    if translated {
        (ip.id, ip.frag) = (Be16::new(0), Be16::new(ipv4::DF));
    }
    let header = &mut packet[..ipv4::LEN];
    crate::wire::checksum::ipv4_header_fill(header);
    packet
}

/// Port unreachable, in the family of a packet.
fn port_unreachable(of: &[u8]) -> (u8, u8, [u8; 4]) {
    if of[0] >> 4 == 6 { (1, 4, [0; 4]) } else { (3, 3, [0; 4]) }
}

#[test]
fn an_error_from_either_side_of_every_kind_of_connection_quotes_what_its_receiver_sent() {
    for (world, proto) in WORLDS.into_iter().flat_map(|w| [(w, Proto::Tcp), (w, Proto::Udp)]) {
        let mut open = Open::new(world, proto);
        let translated = world.port == NAT64.port;
        for (from, by) in [(WAN, LAN), (LAN, WAN)] {
            let packet = if from == WAN { open.of_client(b"payload") } else { open.of_server(b"payload") };
            let (seen, sent) = open.through(from, packet);
            let step = open.error(by, port_unreachable(&seen), &seen);
            let (src, dst, header, quote) = parts(&step);
            let (expect_src, expect_dst) = match from {
                WAN => (ip(world.vip), Addr::from(world.client.parse::<SocketAddr>().unwrap().ip())),
                _ => (open.reply.dst(), open.reply.src()),
            };
            assert_eq!((src, dst), (expect_src, expect_dst), "{world:?}");
            assert_eq!((header.kind, header.code, header.rest), port_unreachable(&sent));
            assert_eq!(quote, as_sent(sent, translated), "{world:?} {proto}");
        }
    }
}

#[test]
fn a_raised_sequence_number_is_brought_back_in_the_quote_with_its_checksum() {
    for world in [V4, V6] {
        let mut open = Open::new(world, Proto::Tcp);
        let packet = open.of_client(b"odd");
        let (mut seen, sent) = open.through(WAN, packet);
        let client = Tuple::new(
            Addr::from(world.client.parse::<SocketAddr>().unwrap().ip()),
            ip(world.vip),
            Be16::new(40000),
            Be16::new(80),
            Proto::Tcp,
        );
        let before = seen.clone();
        let sum = requote(DeltaSum::new(), &mut seen, &client, 1_000_u32.wrapping_neg()).unwrap();
        let expect = DeltaSum::new().replace_at(0, &before, &seen);
        assert_eq!(sum.fold(), expect.fold(), "what the message's checksum changes by");
        let mut expect = as_sent(sent, false);
        let l4 = expect.len() - 23;
        expect[l4 + 4..l4 + 8].copy_from_slice(&7_u32.wrapping_sub(1_000).to_be_bytes());
        checksum::l4_fill(client.src(), client.dst(), ipv4::TCP, &mut expect[l4..]);
        assert_eq!(seen, expect);
    }
}

#[test]
fn the_mtu_of_another_family_is_told_in_ones_own() {
    let mut open = Open::new(NAT64, Proto::Udp);
    let packet = open.of_client(&[0; 1300]);
    let (seen, sent) = open.through(WAN, packet);
    let (_, _, header, quote) = parts(&open.error(LAN, (3, 4, [0, 0, 0x05, 0x14]), &seen[..28]));
    assert_eq!((header.kind, header.code, icmpv6::value(&header)), (2, 0, 1300 + 20));
    assert_eq!(quote, as_sent(sent, true)[..48], "as much as the router quoted");
    let packet = open.of_server(&[0; 1300]).df();
    let (seen, sent) = open.through(LAN, packet);
    let (_, _, header, quote) = parts(&open.error(WAN, (2, 0, 1300u32.to_be_bytes()), &seen[..1232]));
    assert_eq!((header.kind, header.code, header.mtu()), (3, 4, 1300 - 20));
    assert_eq!(quote, as_sent(sent, true)[..576 - 28], "as much as an ICMP error takes");
}

#[test]
fn an_error_grows_to_what_every_link_takes_and_no_further() {
    let mut open = Open::new(NAT64, Proto::Tcp);
    let packet = open.of_client(&[1; 1300]);
    let (seen, sent) = open.through(WAN, packet);
    let step = open.error(LAN, (11, 0, [0; 4]), &seen[..1300]);
    let (_, _, header, quote) = parts(&step);
    assert_eq!((header.kind, header.code), (3, 0));
    assert_eq!(quote, as_sent(sent, true)[..1280 - 48]);
    assert_eq!(step.sent[0].frame.len(), ethernet::LEN + 1280);
}

#[test]
fn an_error_of_any_length_is_cut_to_what_its_family_takes() {
    let mut open = Open::new(NAT64, Proto::Udp);
    for (from, by, most) in [(WAN, LAN, 1280), (LAN, WAN, 576)] {
        let packet = if from == WAN { open.of_client(b"x") } else { open.of_server(b"x") };
        let (mut seen, _) = open.through(from, packet);
        // What is longer than the quoted packet says is no part of it.
        if seen[0] >> 4 == 6 {
            seen[4..6].copy_from_slice(&60_000_u16.to_be_bytes());
        } else {
            seen[2..4].copy_from_slice(&60_000_u16.to_be_bytes());
            crate::wire::checksum::ipv4_header_fill(&mut seen[..20]);
        }
        for more in [0, 500, 1_300, 9_000, 40_000] {
            let quote = [&seen[..], &vec![9; more]].concat();
            let step = open.error(by, port_unreachable(&seen), &quote);
            let [out] = &step.sent[..] else { panic!("{more}: {:?}", step.verdict) };
            let grown = if from == WAN { 40 } else { 0 };
            assert!(out.frame.len() <= ethernet::LEN + most.min(28 + quote.len() + grown), "{more}");
            assert_eq!(out.frame.len() == ethernet::LEN + most, more >= 1_300 || from == LAN && more >= 576, "{more}");
        }
    }
}

#[test]
fn extensions_of_an_error_are_left_out_when_it_changes_its_family() {
    // RFC 4884: 32 words of the packet, then the extension.
    let mut open = Open::new(NAT64, Proto::Udp);
    let packet = open.of_client(&[7; 400]);
    let (seen, sent) = open.through(WAN, packet);
    let extension = [0x20, 0, 0, 0, 0, 8, 1, 1, 0, 0, 0, 0];
    let (_, _, header, quote) = parts(&open.error(LAN, (11, 0, [0, 32, 0, 0]), &[&seen[..128], &extension].concat()));
    assert_eq!((header.kind, header.rest), (3, [0; 4]));
    assert_eq!(quote, as_sent(sent, true)[..148]);
    let packet = open.of_server(&[7; 400]);
    let (seen, sent) = open.through(LAN, packet);
    let (_, _, header, quote) = parts(&open.error(WAN, (3, 0, [16, 0, 0, 0]), &[&seen[..128], &extension].concat()));
    assert_eq!((header.kind, header.rest), (11, [0; 4]));
    assert_eq!(quote, as_sent(sent, true)[..108]);
}

#[test]
fn what_has_no_counterpart_is_dropped_for_that_reason() {
    let mut open = Open::new(NAT64, Proto::Tcp);
    let packet = open.of_client(b"");
    let (seen, _) = open.through(WAN, packet);
    for said in
        [(3, 14, [0; 4]), (3, 16, [0; 4]), (11, 2, [0; 4]), (12, 0, [6, 0, 0, 0]), (12, 1, [0; 4]), (4, 0, [0; 4])]
    {
        let step = open.error(LAN, said, &seen);
        assert_eq!(step.verdict, Verdict::Drop(DropReason::Untranslatable), "{said:?}");
    }
    let packet = open.of_server(b"");
    let (seen, _) = open.through(LAN, packet);
    for said in [(1, 5, [0; 4]), (1, 6, [0; 4]), (3, 2, [0; 4]), (4, 0, [0, 0, 0, 2]), (4, 2, [0; 4])] {
        let step = open.error(WAN, said, &seen);
        assert_eq!(step.verdict, Verdict::Drop(DropReason::Untranslatable), "{said:?}");
    }
    assert!(open.lab.lcores()[0].shard.conns.len() == 1, "and the connection goes on");
}

#[test]
fn errors_about_nothing_and_with_no_hop_left_are_dropped() {
    for world in WORLDS {
        let mut open = Open::new(world, Proto::Udp);
        let packet = open.of_client(b"");
        let (mut seen, _) = open.through(WAN, packet);
        let said = port_unreachable(&seen);
        let router = Packet::icmp(world.lan_router, &open.reply.dst().to_string(), said.0, said.1, said.2);
        let step = send(&mut open.lab, LAN, router.payload(&seen).ttl(1));
        assert_eq!(step.verdict, Verdict::Drop(DropReason::TtlExpired));
        // Another local port.
        let l4 = if seen[0] >> 4 == 6 { ipv6::LEN } else { ipv4::LEN };
        seen[l4] ^= 0x40;
        assert_eq!(open.error(LAN, said, &seen).verdict, Verdict::Drop(DropReason::IcmpNoConnection), "{world:?}");
        assert_eq!(open.error(LAN, said, &seen[..l4 + 7]).verdict, Verdict::Drop(DropReason::IcmpQuote), "{world:?}");
    }
}

#[test]
fn echo_is_for_addresses_of_ours_the_link_local_one_among_them() {
    let mut lab = lab(1500);
    let link_local = Addr::from(lab.snapshot().ifaces[0].link_local()).to_string();
    let other = Addr::from(lab.snapshot().ifaces[1].link_local()).to_string();
    for (src, dst, reply) in [
        ("2001:db8:1::1", "2001:db8:1::100", true),
        ("2001:db8:1::1", "2001:db8:2::100", true),
        ("2001:db8:1::1", "2001:db8:1::254", true),
        ("fe80::1", &link_local, true),
        ("fe80::1", &other, false),
        ("2001:db8:1::1", "2001:db8:1::7", false),
        ("198.18.1.1", "198.18.1.100", true),
    ] {
        let step = send(&mut lab, WAN, Packet::icmp_echo(src, dst, 1, 2).payload(b"ping"));
        if reply {
            assert_eq!(step.verdict, Verdict::Punt(PuntReason::Echo), "{dst}");
            let said = text::frame(&step.sent[0].frame);
            assert!(said.contains("echo reply") || said.contains("echo-reply"), "{said}");
            assert!(said.contains(&format!("{dst} > {src}")) && said.ends_with("id 1 seq 2 len 4"), "{said}");
        } else {
            assert_eq!(step.verdict, Verdict::Drop(DropReason::NotLocal), "{dst}");
        }
    }
}

#[test]
fn what_a_host_would_refuse_is_refused_in_the_family_it_came_in() {
    let mut lab = lab(1500);
    let client = "[2001:db8:1::1]:40000";
    let udp = Packet::udp(client, "[2001:db8:1::100]:9").payload(&[3; 1400]);
    let step = send(&mut lab, WAN, udp.clone());
    let (src, dst, header, quote) = parts_of_ours(&step);
    assert_eq!((src, dst), (ip("2001:db8:1::100"), ip("2001:db8:1::1")));
    assert_eq!((header.kind, header.code, header.rest), (1, 4, [0; 4]));
    assert_eq!(quote, udp.build_ip()[..1280 - 48]);
    let step = send(&mut lab, WAN, Packet::tcp(client, "[2001:db8:1::100]:9").flags("S").seq(41));
    assert!(text::frame(&step.sent[0].frame).contains("[RA] ") || text::frame(&step.sent[0].frame).contains("[R.] "));
    let step = send(&mut lab, WAN, Packet::tcp(client, "[2001:db8:1::100]:80").flags("S").ttl(1));
    assert_eq!(
        {
            let (_, _, h, _) = parts_of_ours(&step);
            (h.kind, h.code)
        },
        (3, 0)
    );
    // Nobody is told about a RST.
    let step = send(&mut lab, WAN, Packet::tcp(client, "[2001:db8:1::100]:9").flags("R"));
    assert_eq!((step.verdict, step.sent.len()), (Verdict::Punt(PuntReason::NoService), 0));
}

#[test]
fn what_is_too_large_for_the_servers_link_is_answered_with_the_mtu_in_the_clients_family() {
    for (world, lan_mtu, told) in [(V6, 1400, 1400), (NAT64, 1400, 1420)] {
        let mut lab = lab(lan_mtu);
        send(&mut lab, WAN, Open::packet(&world, Proto::Udp));
        let packet = Open::packet(&world, Proto::Udp).payload(&[1; 1440]);
        let step = send(&mut lab, WAN, packet);
        assert_eq!(step.verdict, Verdict::Punt(PuntReason::FragNeeded), "{world:?}");
        let (_, _, header, quote) = parts_of_ours(&step);
        assert_eq!((header.kind, header.code, icmpv6::value(&header)), (2, 0, told));
        assert_eq!(quote.len(), 1280 - 48);
    }
}

/// As [`parts`], for what we say ourselves.
fn parts_of_ours(step: &Step) -> (Addr, Addr, icmp::Header, Vec<u8>) {
    let [out] = &step.sent[..] else {
        panic!("{:?}: {:?}", step.verdict, step.sent.iter().map(|s| text::frame(&s.frame)).collect::<Vec<_>>())
    };
    let (ip, message) = ipv6::Header::ref_from_prefix(&out.frame[ethernet::LEN..]).unwrap();
    assert_eq!((ip.next, ip.hop_limit), (ipv6::ICMPV6, 64));
    let (header, quote) = icmp::Header::read_from_prefix(message).unwrap();
    (ip.src.into(), ip.dst.into(), header, quote.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_quoted_of_whatever_packet_comes_back_as_it_was_sent(
        world in 0usize..3, tcp: bool, client: bool, cut in 8usize..1500,
        payload in proptest::collection::vec(any::<u8>(), 0..1200),
    ) {
        // Half a checksum is left as it is.
        prop_assume!(!tcp || cut != 17);
        let world = WORLDS[world];
        let mut open = Open::new(world, if tcp { Proto::Tcp } else { Proto::Udp });
        let (from, by) = if client { (WAN, LAN) } else { (LAN, WAN) };
        let packet = if client { open.of_client(&payload) } else { open.of_server(&payload) };
        let (seen, sent) = open.through(from, packet);
        let ihl = |packet: &[u8]| if packet[0] >> 4 == 6 { ipv6::LEN } else { ipv4::LEN };
        let quoted = &seen[..seen.len().min(ihl(&seen) + cut)];
        let step = open.error(by, port_unreachable(&seen), quoted);
        let (.., quote) = parts(&step);
        let translated = ihl(&seen) != ihl(&sent);
        let most = match (translated, ihl(&sent)) {
            (false, _) => 65_535,
            (true, ipv6::LEN) => 1280 - 48,
            (true, _) => 576 - 28,
        };
        let len = (quoted.len() - ihl(&seen) + ihl(&sent)).min(most);
        prop_assert_eq!(&quote[..], &as_sent(sent, world.port == NAT64.port)[..len]);
    }

    #[test]
    fn garbage_in_an_error_is_never_a_panic_and_what_leaves_is_right(
        world in 0usize..3, tcp: bool, client: bool, kind: u8, code in 0u8..17, rest: [u8; 4],
        at in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut open = Open::new(WORLDS[world], if tcp { Proto::Tcp } else { Proto::Udp });
        let (from, by) = if client { (WAN, LAN) } else { (LAN, WAN) };
        let packet = if client { open.of_client(b"some data") } else { open.of_server(b"some data") };
        let (mut seen, _) = open.through(from, packet);
        for (index, value) in &at {
            let index = index.index(seen.len());
            seen[index] = *value;
        }
        seen.truncate(cut.index(seen.len()) + 1);
        let six = match by {
            WAN => open.world.vip.contains(':'),
            _ => open.reply.dst().family() == Family::V6,
        };
        let kind = if six { kind % 6 } else { kind % 14 };
        let router = if by == WAN { open.world.wan_router } else { open.world.lan_router };
        let to = if by == WAN { open.world.vip.to_owned() } else { open.reply.dst().to_string() };
        let mac = open.lab.snapshot().ifaces[by.index()].mac;
        let frame = Packet::icmp(router, &to, kind, code, rest).payload(&seen).macs(mac_of(Be32::new(9)), mac).build();
        let step = open.lab.input(by, &frame);
        if at.is_empty() {
            for sent in &step.sent {
                prop_assert!(check::checksums(&sent.frame).is_ok(), "{}", text::long(&sent.frame));
            }
        }
    }
}
