//! The link: ARP, next hops that do not answer, and frames that are malformed by the dozen.

use super::Write;
use super::script::{LAN, Script, WAN, isn};
use super::world::{ALONE, BOTH, World};
use gatun_engine::addr::Mac;
use gatun_engine::testkit::Packet;
use gatun_engine::testkit::lab::mac_of;
use gatun_engine::wire::arp;

pub(crate) const CASES: &[(&str, Write, &[World])] = &[
    ("arp-of-vip-local-and-own-address-and-of-nobody", answers, ALONE),
    ("arp-conflict-is-defended-once-in-ten-seconds", conflict, BOTH),
    ("arp-next-hop-is-asked-and-three-frames-wait", pending, BOTH),
    ("arp-next-hop-that-falls-silent-fails-and-comes-back", silent, BOTH),
    ("frames-malformed-by-the-dozen", malformed, ALONE),
];

const CLIENT: &str = "198.18.1.1:40000";
const WEB: &str = "198.18.1.100:80";
const CLIENT_MAC: [u8; 6] = [2, 0, 198, 18, 1, 1];
const SERVER_MAC: [u8; 6] = [2, 0, 198, 18, 2, 11];

fn answers(s: &mut Script) {
    for address in ["198.18.1.100", "198.18.1.254", "198.18.2.100", "198.18.1.99", "198.18.1.1"] {
        let request = Packet::arp_request(CLIENT_MAC, "198.18.1.1", address);
        s.raw(WAN, request.build());
    }
    s.raw(LAN, Packet::arp_request(SERVER_MAC, "198.18.2.11", "198.18.2.100").build());
    // To our MAC only, padded as on the wire; a reply that nobody asked for; a probe (RFC 5227).
    let mac = s.mac(WAN);
    let unicast = Packet::arp_request(CLIENT_MAC, "198.18.1.1", "198.18.1.100").macs(CLIENT_MAC, mac).pad(18);
    s.raw(WAN, unicast.build());
    s.raw(WAN, Packet::arp_reply(CLIENT_MAC, "198.18.1.1", mac, "198.18.1.254").build());
    s.raw(WAN, Packet::arp_request(CLIENT_MAC, "0.0.0.0", "198.18.1.100").build());
    // Malformed, or for somebody else.
    let packet = |op, mac| arp::Packet::new(op, mac, ip([198, 18, 1, 1]), Mac::default(), ip([198, 18, 1, 100]));
    let group = Packet::arp(packet(arp::REQUEST, Mac([3, 0, 0, 0, 0, 1]))).macs(CLIENT_MAC, Mac::BROADCAST);
    s.raw(WAN, group.build());
    let cut = Packet::arp(packet(arp::REQUEST, Mac(CLIENT_MAC))).macs(CLIENT_MAC, Mac::BROADCAST).truncate(30);
    s.raw(WAN, cut.build());
    let ieee = Packet::raw(0x0806, &[0, 6, 8, 0, 6, 4, 0, 1].map(|b| b).repeat(4)).macs(CLIENT_MAC, Mac::BROADCAST);
    s.raw(WAN, ieee.build());
    let other = Packet::arp_request(CLIENT_MAC, "198.18.1.1", "198.18.1.100").macs(CLIENT_MAC, [2, 0, 0, 0, 9, 9]);
    s.raw(WAN, other.build());
}

fn ip(bytes: [u8; 4]) -> gatun_engine::addr::Be32 {
    std::net::Ipv4Addr::from(bytes).into()
}

fn conflict(s: &mut Script) {
    let w = s.world;
    let thief = Mac([2, 0, 0, 0, 0x0b, 0xad]);
    s.raw(WAN, w.announces(thief, "198.18.1.100").build());
    s.at(5.0);
    s.raw(WAN, w.announces(thief, "198.18.1.100").build());
    s.at(10.5);
    let mac = s.mac(WAN);
    s.raw(WAN, w.answers(thief, "198.18.1.100", mac, "198.18.1.254").build());
    // Our own announcement that comes back is none.
    s.raw(WAN, w.announces(mac, "198.18.1.100").build());
}

fn syn(w: World, n: u16) -> Packet {
    let client = format!("198.18.1.1:{}", 40_000 + n);
    w.tcp(&client, WEB).flags("S").seq(isn(&client)).mss(1460)
}

fn pending(s: &mut Script) {
    let w = s.world;
    // The server has not answered yet: three wait, two are too many.
    s.at(0.1);
    for n in 0..5 {
        s.wan(syn(w, n));
    }
    s.at(0.2);
    let (lan, wan) = (s.mac(LAN), s.mac(WAN));
    s.raw(LAN, w.answers(w.mac("198.18.2.11"), "198.18.2.11", lan, "198.18.2.254").build());
    // The way back: the client is on our link and is asked now, because a frame waits for it.
    let mut c = s.tcp("198.18.1.1:40000", WEB);
    c.seq += 1;
    c.syn_ack();
    s.after(0.05);
    s.raw(WAN, w.answers(w.mac("198.18.1.1"), "198.18.1.1", wan, "198.18.1.254").build());
    // A client on our link that nobody answers for: what waits is given up.
    s.wan(w.tcp("198.18.1.9:40000", WEB).flags("S").seq(isn("198.18.1.9:40000")));
    let mut c = s.tcp("198.18.1.9:40000", WEB);
    c.seq += 1;
    c.syn_ack();
    s.at(3.5);
    let mut c = s.tcp("198.18.1.9:40000", WEB);
    c.seq += 1;
    c.syn_ack();
    // Once it has said who it is, it is reached.
    s.raw(WAN, w.asks(w.mac("198.18.1.9"), "198.18.1.9", "198.18.1.100").build());
    let mut c = s.tcp("198.18.1.9:40000", WEB);
    c.seq += 1;
    c.syn_ack();
}

fn silent(s: &mut Script) {
    let w = s.world;
    let (lan, wan) = (s.mac(LAN), s.mac(WAN));
    let answers = |s: &mut Script| {
        s.raw(LAN, w.answers(w.mac("198.18.2.11"), "198.18.2.11", lan, "198.18.2.254").build());
        s.raw(WAN, w.answers(w.mac("198.18.1.253"), "198.18.1.253", wan, "198.18.1.254").build());
        // Of one that was not asked for an advertisement is nothing to go by (RFC 4861, 7.2.5): it asks, itself.
        let (client, host) = (w.mac("198.18.1.1"), "198.18.1.1");
        let heard = if w == World::V4 {
            w.answers(client, host, wan, "198.18.1.254")
        } else {
            w.asks(client, host, "198.18.1.100")
        };
        s.raw(WAN, heard.build());
    };
    s.at(0.1);
    answers(s);
    s.tcp(CLIENT, WEB).open();
    // After half a minute they are asked whether they are still there, and nobody answers.
    s.at(50.0);
    let mut c = s.tcp(CLIENT, WEB);
    c.seq += 1;
    c.server_seq += 1;
    c.send(b"to a server that is gone");
    c.reply(b"to a client that is gone");
    s.at(55.0);
    let mut c = s.tcp(CLIENT, WEB);
    c.seq += 1;
    c.server_seq += 1;
    c.reply(b"the client is asked again, because this waits for it");
    s.at(55.1);
    answers(s);
    let mut c = s.tcp(CLIENT, WEB);
    c.seq += 1;
    c.server_seq += 1;
    c.send(b"here we are again");
    c.reply(b"both of us");
}

fn malformed(s: &mut Script) {
    let mac = s.mac(WAN);
    let from = mac_of(ip([198, 18, 1, 1]));
    let tcp = || Packet::tcp(CLIENT, WEB).flags("S").macs(from, mac);
    let udp = || Packet::udp(CLIENT, "198.18.1.100:53").payload(b"12345678").macs(from, mac);
    let at =
        |src: &str, dst: &str| Packet::tcp(&format!("{src}:40000"), &format!("{dst}:80")).flags("S").macs(from, mac);
    let l2 = 14;
    let frames: Vec<Vec<u8>> = vec![
        // Ethernet
        vec![],
        tcp().truncate(13).build(),
        tcp().macs(from, [2, 0, 0, 0, 0, 0x77]).build(),
        tcp().macs(from, Mac::BROADCAST).build(),
        tcp().vlan(7).build(),
        tcp().vlan(7).truncate(16).build(),
        tcp().qinq(7).build(),
        Packet::raw(0x88cc, &[0; 40]).macs(from, mac).build(),
        Packet::raw(0x86dd, &[0x60; 60]).macs(from, mac).build(),
        // IPv4
        tcp().truncate(l2 + 19).build(),
        tcp().version(6).build(),
        tcp().ihl(4).build(),
        tcp().ihl(15).build(),
        tcp().ip_total_len(19).build(),
        tcp().ip_total_len(60).build(),
        tcp().payload(b"cut in the data").truncate(l2 + 45).build(),
        tcp().bad_ip_checksum().build(),
        udp().fragment(0, true).build(),
        udp().fragment(8, true).build(),
        udp().fragment(16, false).build(),
        tcp().options(&[131, 3, 4]).build(),
        Packet::ip("198.18.1.1", "198.18.1.100", 47).payload(&[0; 20]).macs(from, mac).build(),
        Packet::ip("198.18.1.1", "198.18.1.100", 41).payload(&[0x60; 60]).macs(from, mac).build(),
        // Addresses
        at("0.0.0.0", "198.18.1.100").build(),
        at("127.0.0.1", "198.18.1.100").build(),
        at("224.0.0.5", "198.18.1.100").build(),
        at("240.0.0.1", "198.18.1.100").build(),
        at("255.255.255.255", "198.18.1.100").build(),
        at("198.18.1.254", "198.18.1.100").build(),
        at("198.18.2.100", "198.18.1.100").build(),
        at("198.18.1.1", "224.0.0.1").build(),
        at("198.18.1.1", "127.0.0.1").build(),
        at("198.18.1.1", "0.0.0.0").build(),
        at("198.18.1.1", "255.255.255.255").build(),
        Packet::tcp(WEB, WEB).flags("S").macs(from, mac).build(),
        Packet::udp("198.18.1.1:0", "198.18.1.100:53").macs(from, mac).build(),
        Packet::tcp("198.18.1.1:40000", "198.18.1.100:0").flags("S").macs(from, mac).build(),
        // TCP
        tcp().truncate(l2 + 39).ip_total_len(39).build(),
        tcp().truncate(l2 + 20).ip_total_len(20).build(),
        tcp().tcp_offset(4).build(),
        tcp().tcp_offset(6).build(),
        tcp().tcp_offset(15).payload(b"too few bytes").build(),
        // UDP
        udp().truncate(l2 + 27).ip_total_len(27).build(),
        udp().udp_len(7).build(),
        udp().udp_len(17).build(),
        udp().udp_len(0).build(),
        // ICMP
        Packet::icmp_echo("198.18.1.1", "198.18.1.100", 1, 1)
            .macs(from, mac)
            .truncate(l2 + 27)
            .ip_total_len(27)
            .build(),
        Packet::icmp_echo("198.18.1.1", "198.18.1.100", 1, 1).macs(from, mac).bad_l4_checksum().build(),
        Packet::icmp("198.18.1.1", "198.18.1.100", 42, 0, [0; 4]).macs(from, mac).build(),
        // Well-formed: a UDP length that is shorter than the packet, and a jumbo frame of zeros behind the packet.
        udp().udp_len(12).build(),
        tcp().pad(9_000).build(),
    ];
    for frame in frames {
        s.raw(WAN, frame);
    }
}
