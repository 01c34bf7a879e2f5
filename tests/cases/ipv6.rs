//! What only IPv6 has: extension headers, neighbour discovery, and frames that are malformed in its own ways.

use super::Write;
use super::script::{LAN, Script, WAN};
use gatun_engine::addr::{Mac, PortId, Proto};
use gatun_engine::testkit::Packet;
use gatun_engine::testkit::World;
use gatun_engine::testkit::lab::mac_of;
use std::net::Ipv6Addr;

pub(crate) const CASES: &[(&str, World, Write)] = &[
    ("ipv6-extension-headers-pass-or-are-dropped", World::V6, extensions),
    ("ipv6-frames-malformed-by-the-dozen", World::V6, malformed),
    ("ipv6-traffic-class-and-flow-label-pass", World::V6, labels),
    ("ipv6-udp-without-checksum-is-dropped", World::V6, no_checksum),
    ("ndp-own-address-that-another-has-is-left-to-it", World::V6, duplicate),
    ("ndp-of-vip-local-and-own-address-and-of-nobody", World::V6, answers),
    ("ndp-that-is-not-valid-is-dropped-or-ignored", World::V6, invalid),
    ("ndp-what-a-neighbour-says-of-itself-is-believed-by-the-flags", World::V6, flags),
];

const CLIENT: &str = "[2001:db8:1::1]:40000";
const WEB: &str = "[2001:db8:1::100]:80";
const DNS: &str = "[2001:db8:1::100]:53";
const HOST: &str = "2001:db8:1::1";
const VIP: &str = "2001:db8:1::100";
const OWN: &str = "2001:db8:1::254";
const LOCAL: &str = "2001:db8:2::100";
const SERVER: &str = "2001:db8:2::11";

fn ask(data: &[u8]) -> Packet {
    Packet::udp(CLIENT, DNS).payload(data)
}

/// An answer of the server to the client of [`ask`].
fn answer(s: &mut Script, data: &[u8]) -> Packet {
    // The script names clients as in the description.
    let (server, local) = s.ends("198.18.1.1:40000", "198.18.1.100:53", Proto::Udp);
    Packet::udp(&server, &local).payload(data)
}

fn mac(addr: &str) -> Mac {
    mac_of(addr.parse::<Ipv6Addr>().unwrap())
}

/// Options of the kinds that a chain of headers may be filled with: PadN, and one that is unknown and may be skipped.
const UNKNOWN: [u8; 6] = [0x1e, 4, 1, 2, 3, 4];

/// Chains of headers, each by what it shows. The first part passes.
fn chains() -> (Vec<Packet>, Vec<Packet>) {
    let via = ["2001:db8:9::1", "2001:db8:9::2"];
    let passes = vec![
        ask(b"hop-by-hop").hop_by_hop(&[]),
        ask(b"router alert").hop_by_hop(&[5, 2, 0, 0]),
        ask(b"options for the destination").destination_options(&UNKNOWN),
        ask(b"long options").destination_options(&[&[1, 60][..], &[0; 60]].concat()),
        ask(b"home address").destination_options(&[&[0xc9, 16][..], &[0x20; 16]].concat()),
        ask(b"segments left 0").routing(2, 0, &via[..1]),
        ask(b"an unknown kind, segments left 0").routing(200, 0, &via),
        ask(b"atomic fragment").id(7).fragment(0, false),
        ask(b"all in order").hop_by_hop(&[]).destination_options(&[]).routing(2, 0, &via[..1]).destination_options(&[]),
    ];
    let dropped = vec![
        ask(b"source route").routing(0, 2, &via),
        ask(b"type 0, segments left 0").routing(0, 0, &via),
        ask(b"segments left").routing(2, 1, &via[..1]),
        ask(b"segment routing").routing(4, 1, &via),
        ask(b"more segments than addresses").routing(3, 255, &[]),
        ask(b"first fragment").fragment(0, true),
        ask(b"fragment").fragment(1232, true),
        ask(b"last fragment").fragment(1232, false),
        // Where it may not stand, twice, and on and on.
        ask(b"hop-by-hop second").destination_options(&[]).hop_by_hop(&[]),
        ask(b"hop-by-hop twice").hop_by_hop(&[]).hop_by_hop(&[]),
        ask(b"routing twice").routing(2, 0, &via[..1]).routing(2, 0, &via[..1]),
        ask(b"fragment twice").fragment(0, false).extension(44, &[0; 8]),
        (0..3).fold(ask(b"three times for the destination"), |p, _| p.destination_options(&[])),
        (0..60).fold(ask(b"sixty times"), |p, _| p.destination_options(&[])),
        (0..5).fold(ask(b"five long ones"), |p, _| p.destination_options(&[&[1, 252][..], &[0; 252]].concat())),
        // Longer than the packet, or cut.
        ask(b"overrun").extension(60, &[0, 200, 1, 4, 0, 0, 0, 0]),
        ask(b"hop-by-hop overrun").extension(0, &[0, 255, 1, 4, 0, 0, 0, 0]),
        Packet::ip(HOST, VIP, 60),
        Packet::ip(HOST, VIP, 0).payload(&[17]),
        Packet::ip(HOST, VIP, 44).payload(&[17, 0, 0, 0, 0, 0, 0]),
        Packet::ip(HOST, VIP, 43).payload(&[17, 2, 0, 0, 0, 0, 0, 0]),
        // Options that overrun their header, and a jumbogram.
        ask(b"an option too long").extension(0, &[0, 0, 0x1e, 9, 0, 0, 0, 0]),
        ask(b"half an option").extension(0, &[0, 0, 1, 3, 0, 0, 0, 0x1e]),
        ask(b"jumbo").hop_by_hop(&[0xc2, 4, 0, 1, 0, 0]),
        // What follows is nothing that we take.
        Packet::ip(HOST, VIP, 59),
        Packet::ip(HOST, VIP, 59).hop_by_hop(&[]).payload(b"data after the end"),
        Packet::ip(HOST, VIP, 51).payload(&[17, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        Packet::ip(HOST, VIP, 50).payload(&[0; 24]),
        Packet::ip(HOST, VIP, 135).payload(&[59, 0, 0, 0, 0, 0, 0, 0]),
        Packet::ip(HOST, VIP, 253).payload(&[0; 8]),
        Packet::ip(HOST, VIP, 1).payload(&[8, 0, 0xf7, 0xff, 0, 0, 0, 0]),
        Packet::ip(HOST, VIP, 6).destination_options(&[]),
        Packet::ip(HOST, VIP, 17).hop_by_hop(&[]).payload(&[0; 7]),
    ];
    (passes, dropped)
}

fn extensions(s: &mut Script) {
    let (passes, dropped) = chains();
    for packet in &passes {
        s.wan(packet.clone());
    }
    for packet in &dropped {
        s.wan(packet.clone());
    }
    let a = answer(s, b"and back").hop_by_hop(&[]).destination_options(&UNKNOWN);
    s.lan(a);
    let mut c = s.tcp("198.18.1.1:40000", "198.18.1.100:80");
    let syn = c.client("S").destination_options(&UNKNOWN).mss(1440);
    c.wan(syn);
    c.seq += 1;
    let syn_ack = c.server("SA").hop_by_hop(&[]).mss(1440);
    c.lan(syn_ack);
    c.server_seq += 1;
    let data = c.client("PA").destination_options(&UNKNOWN).payload(b"behind options");
    c.wan(data);
    // About a packet with options: they are part of what is quoted.
    let sent = s.wan(ask(b"complain").destination_options(&UNKNOWN))[0].frame.clone();
    for n in [16, 1200] {
        let quoted = gatun_engine::testkit::build::quote(&sent, n);
        s.lan(Packet::icmp_error("2001:db8:2::1", LOCAL, 1, 3, 0, &quoted).hop_by_hop(&[]));
    }
    // Answered as it came: hop limit 1, and a port without service.
    s.wan(ask(b"hop limit").destination_options(&UNKNOWN).ttl(1));
    s.wan(Packet::udp(CLIENT, "[2001:db8:1::100]:9").hop_by_hop(&[]));
}

fn labels(s: &mut Script) {
    for (class, label) in [(0, 0), (0xb8, 0), (0, 0xf_ffff), (0x03, 0x12345), (0xff, 1)] {
        s.wan(ask(b"there").tos(class).flow_label(label));
        let a = answer(s, b"back").tos(class).flow_label(label);
        s.lan(a);
    }
    let mut c = s.tcp("198.18.1.1:40000", "198.18.1.100:80");
    let syn = c.client("SEW").tos(0).flow_label(0xabcde);
    c.wan(syn);
    c.seq += 1;
    let syn_ack = c.server("SAE").tos(2).flow_label(0x54321);
    c.lan(syn_ack);
    c.server_seq += 1;
    let data = c.client("PA").tos(3).flow_label(0xabcde).payload(b"congestion was met");
    c.wan(data);
}

fn no_checksum(s: &mut Script) {
    s.wan(ask(b"none").udp_checksum_zero());
    s.wan(ask(b"a right one"));
    let a = answer(s, b"none").udp_checksum_zero();
    s.lan(a);
    let a = answer(s, b"a right one");
    s.lan(a);
}

fn malformed(s: &mut Script) {
    let (own, from) = (s.mac(WAN), mac(HOST));
    let at = |p: Packet| p.macs(from, own).build();
    let tcp = || Packet::tcp(CLIENT, WEB).flags("S");
    let udp = || ask(b"12345678");
    let echo = || Packet::icmp_echo(HOST, VIP, 1, 1);
    let src = |src: &str| at(tcp().from_addr(src));
    let dst = |dst: &str| at(tcp().to_addr(dst));
    let (l2, l3) = (14, 14 + 40);
    let frames: Vec<Vec<u8>> = vec![
        // Ethernet: another station, our group for something else, IPv4 that says IPv6 and the other way.
        tcp().macs(from, [2, 0, 0, 0, 0, 0x77]).build(),
        tcp().macs(from, [0x33, 0x33, 0, 0, 0, 1]).build(),
        tcp().macs(from, Mac::BROADCAST).build(),
        at(tcp().vlan(7)),
        at(Packet::raw(0x0800, &tcp().build_ip())),
        at(Packet::raw(0x86dd, &Packet::tcp("198.18.1.1:1", "198.18.1.100:80").build_ip())),
        // The fixed header.
        at(Packet::raw(0x86dd, &[])),
        at(tcp().truncate(l3 - 1)),
        at(tcp().version(4)),
        at(tcp().version(7)),
        at(tcp().ip_total_len(61)),
        at(tcp().ip_total_len(65_535)),
        at(tcp().payload(b"cut in the data").truncate(l3 + 25)),
        at(tcp().ip_total_len(40)),
        // Addresses that are never on a wire, of another scope, or our own.
        src("::"),
        src("::1"),
        src("ff02::1"),
        src("ff0e::1"),
        src("fe80::1"),
        src("::ffff:198.18.1.1"),
        src(VIP),
        src(OWN),
        src(LOCAL),
        dst("::"),
        dst("::1"),
        dst("ff02::1"),
        dst("ff0e::100"),
        dst("fe80::1"),
        dst("::ffff:198.18.1.100"),
        dst("2001:db8:1::99"),
        dst(LOCAL),
        at(Packet::tcp(WEB, WEB).flags("S")),
        at(Packet::udp("[2001:db8:1::1]:0", DNS)),
        at(Packet::tcp(CLIENT, "[2001:db8:1::100]:0").flags("S")),
        // TCP
        at(tcp().truncate(l3 + 19).ip_total_len(59)),
        at(tcp().tcp_offset(4)),
        at(tcp().tcp_offset(6)),
        at(tcp().tcp_offset(15).payload(b"too few bytes")),
        // UDP
        at(udp().truncate(l3 + 7).ip_total_len(47)),
        at(udp().udp_len(7)),
        at(udp().udp_len(17)),
        at(udp().udp_len(0)),
        at(udp().udp_checksum_zero()),
        // ICMPv6
        at(echo().truncate(l3 + 7).ip_total_len(47)),
        at(echo().bad_l4_checksum()),
        at(echo().udp_checksum_zero()),
        at(Packet::icmp(HOST, VIP, 130, 0, [0; 4]).payload(&[0; 16])),
        at(Packet::icmp(HOST, VIP, 99, 0, [0; 4])),
        at(Packet::icmp(HOST, VIP, 255, 0, [0; 4])),
        at(Packet::icmp_error(HOST, VIP, 1, 4, 0, &[0x60; 20])),
        at(Packet::icmp_error(HOST, VIP, 1, 4, 0, &Packet::tcp("198.18.1.1:1", "198.18.1.100:80").build_ip())),
        at(Packet::ip(HOST, VIP, 58).payload(&[128, 0, 0, 0, 0])),
        // Well-formed: padding of any length behind the packet.
        at(tcp().pad(9_000)),
    ];
    assert!(frames[0].len() > l2);
    for frame in frames {
        s.raw(WAN, frame);
    }
}

fn answers(s: &mut Script) {
    // Until others have had a second to object an own address is not answered for; a VIP is.
    s.at(0.1);
    for address in [VIP, OWN, "fe80::67:61ff:fe74:7500"] {
        s.raw(WAN, Packet::ndp_solicit(mac(HOST), HOST, address).build());
    }
    s.at(1.5);
    for address in [VIP, OWN, LOCAL, "2001:db8:1::99", HOST, "fe80::67:61ff:fe74:7500"] {
        s.raw(WAN, Packet::ndp_solicit(mac(HOST), HOST, address).build());
    }
    s.raw(LAN, Packet::ndp_solicit(mac(SERVER), SERVER, LOCAL).build());
    // From a link-local address.
    s.raw(WAN, Packet::ndp_solicit(mac(HOST), "fe80::1", VIP).build());
    // To our own MAC and address, with and without the option; probes of somebody who wants an address of ours.
    let own = s.mac(WAN);
    let direct = Packet::ndp_solicit(mac(HOST), HOST, VIP).to_addr(VIP).macs(mac(HOST), own);
    s.raw(WAN, direct.clone().pad(8).build());
    s.raw(WAN, direct.ndp_options(&[]).build());
    for address in [VIP, OWN, "2001:db8:1::99"] {
        s.raw(WAN, Packet::ndp_solicit([2, 0, 0, 0, 0, 0x99], "::", address).build());
    }
    // Other options are skipped: a nonce (RFC 3971), and one of an unknown kind.
    let link = [&[14, 1, 1, 2, 3, 4, 5, 6][..], &[200, 2], &[0; 14], &[1, 1], &mac(HOST).0].concat();
    s.raw(WAN, Packet::ndp_solicit(mac(HOST), HOST, VIP).ndp_options(&link).build());
}

fn invalid(s: &mut Script) {
    s.at(0.5);
    let from = mac(HOST);
    let own = s.mac(WAN);
    let ns = || Packet::ndp_solicit(from, HOST, VIP);
    let na = || Packet::ndp_advertise(from, HOST, own, OWN);
    let group = |p: Packet| p.macs(from, [0x33, 0x33, 0xff, 0, 1, 0]);
    for packet in [
        // From beyond the link, of another code, damaged, cut.
        ns().ttl(254),
        ns().ttl(1),
        na().ttl(254),
        group(Packet::icmp(HOST, "ff02::1:ff00:100", 135, 1, [0; 4]).ttl(255).payload(&[0x20; 24])),
        ns().bad_l4_checksum(),
        na().bad_l4_checksum(),
        ns().truncate(14 + 40 + 20).ip_total_len(60),
        group(Packet::icmp(HOST, "ff02::1:ff00:100", 135, 0, [0; 4]).ttl(255)),
        // For a group; options of no length, too long, of another link.
        Packet::ndp_solicit(from, HOST, "ff02::1"),
        ns().ndp_options(&[1, 0, 2, 0, 0, 0, 0, 1]),
        ns().ndp_options(&[1, 2, 2, 0, 0, 0, 0, 1]),
        ns().ndp_options(&[1]),
        ns().ndp_options(&[&[1, 2][..], &[2; 14]].concat()),
        ns().ndp_options(&[1, 1, 0x33, 0x33, 0, 0, 0, 1]),
        ns().ndp_options(&[1, 1, 0, 0, 0, 0, 0, 0]),
        // Probes with an address, or not to the group; sources that can not be.
        Packet::ndp_solicit(from, "::", VIP).ndp_options(&[1, 1, 2, 0, 0, 0, 0, 1]),
        Packet::ndp_solicit(from, "::", VIP).to_addr(VIP).macs(from, own),
        ns().from_addr("ff02::1"),
        na().from_addr("::"),
        // Solicited, and to all.
        Packet::ndp_announce(from, HOST).ndp_flags("SO"),
        // Who asks is not of our link; who advertises speaks for one who is not.
        Packet::ndp_solicit(from, "2001:db8:77::1", VIP),
        Packet::ndp_advertise(from, "2001:db8:77::1", own, OWN),
        // Not for us to hear: routers, and who says that they know better.
        Packet::icmp("fe80::1", "ff02::1", 134, 0, [64, 0, 0, 0])
            .ttl(255)
            .payload(&[0; 8])
            .macs(from, [0x33, 0x33, 0, 0, 0, 1]),
        Packet::icmp(HOST, "ff02::2", 133, 0, [0; 4]).ttl(255).macs(from, [0x33, 0x33, 0, 0, 0, 2]),
        Packet::icmp("fe80::1", OWN, 137, 0, [0; 4]).ttl(255).payload(&[0x20; 32]).macs(from, own),
        // Behind an extension header, in a fragment (RFC 6980), to another station.
        ns().hop_by_hop(&[]),
        ns().fragment(0, false),
        ns().macs(from, [2, 0, 0, 0, 9, 9]),
        ns().macs(from, [0x33, 0x33, 0xff, 0, 9, 9]),
        ns().macs([3, 0, 0, 0, 0, 1], [0x33, 0x33, 0xff, 0, 1, 0]),
    ] {
        s.raw(WAN, packet.build());
    }
    // Who is valid is answered all the same.
    s.raw(WAN, ns().build());
}

fn duplicate(s: &mut Script) {
    let thief = [2, 0, 0, 0, 0x0b, 0xad];
    // The own address of the one link: another has it. That of the other link: another wants it at the same moment.
    s.at(0.3);
    s.raw(WAN, Packet::ndp_announce(thief, OWN).build());
    s.raw(LAN, Packet::ndp_solicit(thief, "::", "2001:db8:2::254").build());
    // Nobody is answered about an address that is not ours.
    s.at(2.0);
    s.raw(WAN, Packet::ndp_solicit(mac(HOST), HOST, OWN).build());
    s.raw(LAN, Packet::ndp_solicit(mac(SERVER), SERVER, "2001:db8:2::254").build());
    // Services go on: from the link-local address the next hop is asked, and answers.
    resolved(s, LAN, SERVER, "fe80::67:61ff:fe74:7501");
    s.wan(ask(b"asked"));
    // A minute later the address is tried again, and nobody objects.
    s.at(63.0);
    s.raw(WAN, Packet::ndp_solicit(mac(HOST), HOST, OWN).build());
    // Once it is ours it is defended.
    s.at(64.0);
    s.raw(WAN, Packet::ndp_announce(thief, OWN).build());
    s.raw(WAN, Packet::ndp_solicit(mac(HOST), HOST, OWN).build());
}

/// A neighbour answers an address of ours.
fn resolved(s: &mut Script, port: PortId, neighbour: &str, to: &str) {
    let own = s.mac(port);
    s.raw(port, Packet::ndp_advertise(mac(neighbour), neighbour, own, to).build());
}

fn flags(s: &mut Script) {
    let own = s.mac(LAN);
    let other = [2, 0, 0, 0, 0, 0x99];
    let to = "2001:db8:2::254";
    let said = |mac: Mac, flags: &str| Packet::ndp_advertise(mac, SERVER, own, to).ndp_flags(flags).build();
    let mut n = 40_000;
    // Where the next datagram goes tells what is believed.
    let mut probe = |s: &mut Script| {
        n += 1;
        s.wan(Packet::udp(&format!("[{HOST}]:{n}"), DNS).payload(b"where"));
    };
    s.at(0.1);
    // Unsolicited and without an address there is nothing to resolve by; then it answers.
    let bare = Packet::ndp_advertise(mac(SERVER), SERVER, own, to).ndp_options(&[]).build();
    s.raw(LAN, bare.clone());
    probe(s);
    s.at(1.1);
    s.raw(LAN, said(mac(SERVER), "SO"));
    probe(s);
    // Another address without O is not believed; the one that is known is.
    s.raw(LAN, said(Mac(other), "S"));
    probe(s);
    s.raw(LAN, said(Mac(other), ""));
    probe(s);
    s.raw(LAN, said(mac(SERVER), "S"));
    probe(s);
    // With O it is, also unsolicited and to all.
    s.raw(LAN, said(Mac(other), "O"));
    probe(s);
    s.raw(LAN, Packet::ndp_announce(mac(SERVER), SERVER).build());
    probe(s);
    // Without an address and solicited: the one that is known is still good.
    s.raw(LAN, bare);
    probe(s);
    // A solicitation names its sender.
    s.raw(LAN, Packet::ndp_solicit(other, SERVER, LOCAL).build());
    probe(s);
    // A router that is no router any more is a neighbour still.
    s.raw(LAN, said(mac(SERVER), "RSO"));
    s.raw(LAN, said(mac(SERVER), "SO"));
    probe(s);
}
