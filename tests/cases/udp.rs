//! UDP, and what is the same for every protocol over IPv4: options, TTL, MTU, VLAN, routes.

use super::Write;
use super::script::{LAN, Script, WAN, isn};
use gatun_engine::addr::Proto;
use gatun_engine::testkit::Packet;
use gatun_engine::testkit::lab::mac_of;

pub(crate) const CASES: &[(&str, Write)] = &[
    ("udp-there-and-back-until-it-times-out", udp),
    ("udp-without-checksum-stays-without", no_checksum),
    ("udp-checksum-that-becomes-zero-is-sent-as-ffff", becomes_zero),
    ("udp-corrupt-payload-stays-corrupt", corrupt),
    ("ip-options-pass-but-source-routes-are-dropped", options),
    ("ip-ttl-1-is-answered-and-2-passes-as-1", ttl),
    ("ip-too-big-with-df-is-answered-with-the-mtu", too_big_df),
    ("ip-too-big-without-df-leaves-in-fragments", too_big),
    ("ip-padding-of-short-frames-is-cut", padding),
    ("vlan-comes-in-with-one-tag-and-leaves-with-another", vlan),
    ("one-arm-in-and-out-by-the-same-port", one_arm),
    ("routes-longest-prefix-default-and-none", routes),
];

const CLIENT: &str = "198.18.1.1:40000";
const DNS: &str = "198.18.1.100:53";
const WEB: &str = "198.18.1.100:80";

fn ask(data: &[u8]) -> Packet {
    Packet::udp(CLIENT, DNS).payload(data)
}

/// An answer of the server to the client of [`ask`].
fn answer(s: &mut Script, data: &[u8]) -> Packet {
    let (server, local) = s.ends(CLIENT, DNS, Proto::Udp);
    Packet::udp(&server, &local).payload(data)
}

fn udp(s: &mut Script) {
    s.wan(ask(b"question"));
    let a = answer(s, b"answer");
    s.lan(a.clone());
    // Each packet of either side keeps it for 300 s.
    s.at(299.0);
    s.lan(a.clone());
    s.at(598.0);
    s.wan(ask(b"another question"));
    s.at(898.0 - 0.015_625);
    s.lan(a.clone());
    s.at(898.0 - 0.015_625 + 300.0);
    s.lan(a);
    // The next question is another connection.
    s.wan(ask(b""));
    let a = answer(s, &[]);
    s.lan(a);
}

fn no_checksum(s: &mut Script) {
    s.wan(ask(b"question").udp_checksum_zero());
    let a = answer(s, b"answer").udp_checksum_zero();
    s.lan(a);
    s.wan(ask(b"").udp_checksum_zero());
}

/// All last words of a payload: for one of them the checksum of what leaves comes out as 0, either way.
fn becomes_zero(s: &mut Script) {
    s.wan(ask(&[0, 0]));
    let checksum = |frame: &[u8]| u16::from_be_bytes([frame[40], frame[41]]);
    let there = |s: &mut Script, word: u16| checksum(&s.wan(ask(&word.to_be_bytes()))[0].frame);
    // What is missing to 0xffff with a last word of 0 is the word that makes it 0.
    let word = there(s, 0);
    assert_eq!(there(s, word), 0xffff);
    let back = |s: &mut Script, word: u16| {
        let a = answer(s, &word.to_be_bytes());
        checksum(&s.lan(a)[0].frame)
    };
    let word = back(s, 0);
    assert_eq!(back(s, word), 0xffff);
}

fn corrupt(s: &mut Script) {
    s.wan(ask(b"what came corrupt goes on corrupt").bad_l4_checksum());
    let a = answer(s, b"and so on the way back").bad_l4_checksum();
    s.lan(a);
}

fn options(s: &mut Script) {
    let record_route = [7, 7, 4, 0, 0, 0, 0];
    s.wan(ask(b"record route").options(&record_route));
    s.wan(ask(b"router alert").options(&[148, 4, 0, 0]));
    s.wan(ask(b"forty bytes").options(&[1; 40]));
    s.wan(ask(b"loose source route").options(&[131, 7, 4, 198, 18, 1, 9]));
    s.wan(ask(b"strict source route").options(&[1, 137, 7, 4, 198, 18, 1, 9]));
    let a = answer(s, b"and back").options(&record_route);
    s.lan(a);
    let mut c = s.tcp(CLIENT, WEB);
    let syn = c.client("S").options(&[148, 4, 0, 0]).mss(1460);
    c.wan(syn);
}

fn ttl(s: &mut Script) {
    // None of these makes an entry.
    s.wan(ask(b"one").ttl(1).id(9).tos(0x20));
    s.wan(Packet::tcp(CLIENT, WEB).flags("S").seq(isn(CLIENT)).ttl(1));
    s.wan(ask(b"none").ttl(0));
    s.wan(ask(b"two").ttl(2));
    s.wan(ask(b"most").ttl(255));
    s.wan(ask(b"one, of a connection").ttl(1));
    let a = answer(s, b"two, back").ttl(2);
    s.lan(a);
    let a = answer(s, b"one, back").ttl(1);
    s.lan(a);
}

fn too_big_df(s: &mut Script) {
    // 1400 fit to the server, 1300 to the client.
    s.wan(ask(&[7; 1372]).df());
    s.wan(ask(&[7; 1373]).df());
    let a = answer(s, &[8; 1272]).df();
    s.lan(a);
    let a = answer(s, &[8; 1273]).df();
    s.lan(a);
    let mut c = s.tcp(CLIENT, WEB);
    c.open();
    let big = c.client("PA").payload(&[9; 1361]);
    c.wan(big);
    let big = c.server("PA").payload(&[9; 1361]);
    c.lan(big);
}

fn too_big(s: &mut Script) {
    let data: Vec<u8> = (0..3_000u32).map(|i| (i % 251) as u8).collect();
    s.wan(ask(&data[..1373]).id(1));
    s.wan(ask(&data[..2_900]).id(2));
    let a = answer(s, &data).id(3).tos(0xb8);
    s.lan(a);
    // Only options that say so are copied into every fragment: router alert is, record route is not.
    s.wan(ask(&data[..1400]).id(4).options(&[148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0]));
    let a = answer(s, &data[..1373]).id(5).udp_checksum_zero();
    s.lan(a);
}

fn padding(s: &mut Script) {
    s.wan(ask(b"").pad(18));
    let a = answer(s, b"1").pad(17);
    s.lan(a);
    let mut c = s.tcp(CLIENT, WEB);
    let syn = c.client("S").pad(6);
    c.wan(syn);
}

fn vlan(s: &mut Script) {
    let trunk = WAN;
    let mut c = s.tcp(CLIENT, WEB);
    c.vlans = (Some(100), Some(200));
    let syn = c.client("S").mss(1460).vlan(100);
    c.script.packet(trunk, syn);
    c.seq += 1;
    let syn_ack = c.server("SA").vlan(200);
    c.script.packet(trunk, syn_ack);
    c.server_seq += 1;
    // Priority bits of the tag are not carried over.
    let data = c.client("PA").payload(b"with priority").vlan(0xa000 | 100);
    c.script.packet(trunk, data);
    // Untagged, an unknown VLAN, and two tags: no interface, no interface, and no IPv4.
    for packet in [c.client("A"), c.client("A").vlan(300), c.client("A").vlan(100).vlan(7)] {
        c.script.packet(trunk, packet);
    }
    // To an own address of the other VLAN, and a ping there and back by the same tag.
    s.packet(trunk, Packet::icmp_echo("198.18.1.1", "198.18.1.100", 1, 1).vlan(100));
}

fn one_arm(s: &mut Script) {
    let mut c = s.tcp("198.18.1.1:40000", WEB);
    let packet = c.client("S").mss(1460);
    c.wan(packet);
    c.seq += 1;
    let packet = c.server("SA");
    c.wan(packet);
    c.server_seq += 1;
    c.ack();
    c.send(b"hello");
    let packet = c.server("PA").payload(b"hello yourself");
    c.wan(packet);
}

fn routes(s: &mut Script) {
    // The client is beyond the default gateway, and a router of the net 203.0.113.0/24 is nearer.
    for (client, router) in
        [("192.0.2.7:4000", "198.18.1.253"), ("203.0.113.7:4000", "198.18.1.252"), ("198.18.1.7:4000", "198.18.1.7")]
    {
        let router: std::net::Ipv4Addr = router.parse().unwrap();
        let syn = Packet::tcp(client, WEB).flags("S").seq(isn(client)).macs(mac_of(router), s.mac(WAN));
        s.raw(WAN, syn.build());
        let (server, local) = s.ends(client, WEB, Proto::Tcp);
        let back = Packet::tcp(&server, &local).flags("SA").seq(7).ack(isn(client) + 1);
        let router: std::net::Ipv4Addr = "198.18.2.1".parse().unwrap();
        let frame = back.macs(mac_of(router), s.mac(LAN)).build();
        s.raw(LAN, frame);
    }
    // The default route is gone.
    s.at(10.0);
    let syn = Packet::tcp("192.0.2.8:4000", WEB).flags("S").macs(mac_of([198, 18, 1, 253].into_be()), s.mac(WAN));
    s.raw(WAN, syn.build());
}

trait IntoBe {
    fn into_be(self) -> gatun_engine::addr::Be32;
}

impl IntoBe for [u8; 4] {
    fn into_be(self) -> gatun_engine::addr::Be32 {
        std::net::Ipv4Addr::from(self).into()
    }
}
