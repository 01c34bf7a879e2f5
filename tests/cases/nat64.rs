//! What only translation has: headers that are left behind, lengths that change, and errors that mean the same in another
//! family or nothing at all.

use super::Write;
use super::script::{Script, isn};
use gatun_engine::addr::Proto;
use gatun_engine::testkit::Packet;
use gatun_engine::testkit::World;
use gatun_engine::testkit::build::quote;

pub(crate) const CASES: &[(&str, World, Write)] = &[
    ("nat64-and-ipv6-servers-behind-one-vip", World::Nat64, mixed),
    ("nat64-errors-from-ipv4-in-the-words-of-ipv6", World::Nat64, from_ipv4),
    ("nat64-errors-from-ipv6-in-the-words-of-ipv4", World::Nat64, from_ipv6),
    ("nat64-headers-that-have-no-counterpart-are-left-behind", World::Nat64, left_behind),
    ("nat64-lengths-by-the-byte", World::Nat64, lengths),
    ("nat64-udp-without-checksum-gets-one", World::Nat64, no_checksum),
];

const CLIENT: &str = "[2001:db8:1::1]:40000";
const DNS: &str = "[2001:db8:1::100]:53";
const ROUTER: &str = "198.18.2.1";
const LOCAL: &str = "198.18.2.100";

fn ask(data: &[u8]) -> Packet {
    Packet::udp(CLIENT, DNS).payload(data)
}

/// An answer of the server to the client of [`ask`].
fn answer(s: &mut Script, data: &[u8]) -> Packet {
    // The script names clients as in the description.
    let (server, local) = s.ends("198.18.1.1:40000", "198.18.1.100:53", Proto::Udp);
    Packet::udp(&server, &local).payload(data)
}

fn mixed(s: &mut Script) {
    for n in 1..7 {
        let client = format!("198.18.1.{n}:40000");
        let mut c = s.tcp(&client, "198.18.1.100:80");
        c.syn();
        c.server_seq = isn(&client) + gatun::replay::servers::ISN + 1;
        c.ack();
        c.send(b"over whichever family");
        c.server_seq += 21;
        c.fin();
        c.server_seq += 1;
        c.ack();
    }
}

fn left_behind(s: &mut Script) {
    s.wan(ask(b"plain").tos(0xb8).flow_label(0x12345));
    s.wan(ask(b"options").hop_by_hop(&[5, 2, 0, 0]).destination_options(&[]));
    s.wan(ask(b"a route that is used up").routing(2, 0, &["2001:db8:9::1"]));
    // The identification of an atomic fragment is kept, and others are allowed to cut it (RFC 7915, 5.1.1).
    s.wan(ask(b"atomic fragment").id(0x12_3456).fragment(0, false));
    // Above 1,260 bytes there is DF, below there is none (RFC 7915, 5.1).
    s.wan(ask(&[7; 1_232]));
    s.wan(ask(&[7; 1_233]));
    let a = answer(s, b"plain").tos(0xb8).id(9).df();
    s.lan(a);
    let a = answer(s, b"record route, router alert").options(&[7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0]);
    s.lan(a);
    let a = answer(s, b"a source route").options(&[131, 7, 4, 198, 18, 1, 9]);
    s.lan(a);
    let a = answer(s, b"a fragment").fragment(0, true);
    s.lan(a);
    let a = answer(s, b"short, and padded").pad(1);
    s.lan(a);
    let mut c = s.tcp("198.18.1.1:40000", "198.18.1.100:80");
    let syn = c.client("S").destination_options(&[]).mss(1440).pad(6);
    c.wan(syn);
    c.seq += 1;
    let syn_ack = c.server("SA").options(&[148, 4, 0, 0]).mss(1460).pad(2);
    c.lan(syn_ack);
}

fn no_checksum(s: &mut Script) {
    s.wan(ask(b"none").udp_checksum_zero());
    s.wan(ask(b"question"));
    for data in [&b""[..], b"odd", b"even", &[0xff; 64], &[0; 64]] {
        let a = answer(s, data).udp_checksum_zero();
        s.lan(a);
    }
    // Padding is not of the datagram.
    let a = answer(s, b"padded").udp_checksum_zero().pad(12);
    s.lan(a);
    // A length that is below that of the packet.
    let a = answer(s, b"12345678").udp_checksum_zero().udp_len(12);
    s.lan(a);
}

/// Servers' link 1,400, clients' 1,300: what fits, one byte more, and fragments for IPv6.
fn lengths(s: &mut Script) {
    let data: Vec<u8> = (0..4_000u32).map(|i| (i % 251) as u8).collect();
    // 40 + 8 + 1,372 becomes 20 + 8 + 1,372 = 1,400.
    s.wan(ask(&data[..1_372]));
    s.wan(ask(&data[..1_373]));
    // 20 + 8 + 1,252 becomes 1,300, with DF; without it, 1,280 is all that IPv6 may be sent uncut (RFC 7915, 4.1).
    for (n, len) in [1_252, 1_253, 1_232, 1_233, 1_272, 1_300, 2_500, 3_980].into_iter().enumerate() {
        let a = answer(s, &data[..len]).id(n as u32 + 1);
        s.lan(if n < 2 { a.df() } else { a });
    }
    // Without a checksum there can be none for the whole: it is computed before it is cut, or it is dropped.
    let a = answer(s, &data[..1_500]).id(99).udp_checksum_zero();
    s.lan(a);
    let mut c = s.tcp("198.18.1.1:40000", "198.18.1.100:80");
    c.open();
    let fits = c.server("PA").payload(&data[..1_240]);
    c.lan(fits);
    let big = c.server("PA").payload(&data[..1_241]);
    c.lan(big);
    let big = c.client("PA").payload(&data[..1_361]);
    c.wan(big);
}

fn from_ipv4(s: &mut Script) {
    let sent = s.wan(ask(b"a question"))[0].frame.clone();
    let error = |kind, code, rest: [u8; 4], quoted: &[u8]| {
        Packet::icmp(ROUTER, LOCAL, kind, code, rest).payload(quoted).tos(0xc0)
    };
    let short = quote(&sent, 8);
    // Unreachable, with every code; RFC 7915, 4.2.
    for code in 0..=16 {
        s.lan(error(3, code, if code == 4 { [0, 0, 5, 20] } else { [0; 4] }, &short));
    }
    // An MTU that is not told, too small, and larger than our own link.
    for mtu in [0u16, 68, 1_259, 1_260, 1_261, 1_480, 1_500, 9_000] {
        let [a, b] = mtu.to_be_bytes();
        s.lan(error(3, 4, [0, 0, a, b], &short));
    }
    s.lan(error(4, 0, [0; 4], &short));
    s.lan(error(5, 1, [198, 18, 2, 9], &short));
    s.lan(error(11, 0, [0; 4], &short));
    s.lan(error(11, 1, [0; 4], &short));
    // What is wrong, by the place in the header; by a missing option; by its length; by nobody knows what.
    for at in 0..=20 {
        s.lan(error(12, 0, [at, 0, 0, 0], &short));
    }
    for code in 1..=3 {
        s.lan(error(12, code, [0; 4], &short));
    }
    // All of the packet is quoted, more than it, with options, and with the extensions of RFC 4884.
    s.lan(error(3, 1, [0; 4], &quote(&sent, 1500)));
    s.lan(error(3, 1, [0; 4], &[&quote(&sent, 1500)[..], &[0; 90]].concat()));
    let with_options = {
        let mut packet = quote(&sent, 1500);
        packet.splice(20..20, [148, 4, 0, 0]);
        packet[0] = 0x46;
        packet[3] += 4;
        gatun_engine::wire::checksum::ipv4_header_fill(&mut packet[..24]);
        packet
    };
    s.lan(error(3, 1, [0; 4], &with_options));
    let padded = [&quote(&sent, 1500)[..], &[0; 90], &[0x20, 0, 0, 0, 0, 8, 1, 1, 0, 1, 0x21, 0]].concat();
    s.lan(error(11, 0, [0, 32, 0, 0], &padded));
    // A large datagram, quoted whole: what is told is cut to 1,280 bytes (RFC 4443, 2.4 (c)).
    let large = s.wan(ask(&[7; 1_400]))[0].frame.clone();
    s.lan(error(3, 3, [0; 4], &quote(&large, 1_400)));
    s.lan(error(3, 3, [0; 4], &short).bad_l4_checksum());
    s.lan(error(3, 3, [0; 4], &short).ttl(1));
}

fn from_ipv6(s: &mut Script) {
    s.wan(ask(b"a question"));
    let answered = answer(s, b"an answer").id(77);
    let sent = s.lan(answered)[0].frame.clone();
    let error = |kind, code, value: u32, quoted: &[u8]| {
        Packet::icmp("2001:db8:1::253", "2001:db8:1::100", kind, code, value.to_be_bytes()).payload(quoted)
    };
    let short = quote(&sent, 8);
    // RFC 7915, 5.2: unreachable, with every code.
    for code in 0..=8 {
        s.wan(error(1, code, 0, &short));
    }
    for mtu in [0, 68, 576, 1_279, 1_280, 1_281, 1_420, 1_500, 9_000, 1 << 20] {
        s.wan(error(2, 0, mtu, &short));
    }
    s.wan(error(3, 0, 0, &short));
    s.wan(error(3, 1, 0, &short));
    for at in [0, 1, 2, 3, 4, 5, 6, 7, 8, 23, 24, 39, 40, 48, 1 << 30] {
        s.wan(error(4, 0, at, &short));
    }
    for code in 1..=3 {
        s.wan(error(4, code, 6, &short));
    }
    s.wan(error(100, 0, 0, &short));
    s.wan(error(127, 0, 0, &short));
    // All of the packet is quoted, and more than it.
    s.wan(error(1, 4, 0, &quote(&sent, 1500)));
    s.wan(error(1, 4, 0, &[&quote(&sent, 1500)[..], &[0; 90]].concat()));
    // The quoted packet has an extension header, and is a first fragment: both are left behind.
    let strange = Packet::udp(DNS, CLIENT).payload(b"an answer").hop_by_hop(&[]).build();
    s.wan(error(1, 4, 0, &quote(&strange, 16)));
    let fragment = Packet::udp(DNS, CLIENT).payload(&[7; 1_224]).id(5).fragment(0, true).build();
    s.wan(error(3, 1, 0, &quote(&fragment, 16)));
    // A large answer, quoted as far as 1,280 bytes hold: in IPv4 576 are enough (RFC 1812, 4.3.2.3).
    let large = answer(s, &[7; 1_200]);
    let large = s.lan(large)[0].frame.clone();
    s.wan(error(1, 4, 0, &quote(&large, 1_192)));
    s.wan(error(1, 4, 0, &short).bad_l4_checksum());
    s.wan(error(1, 4, 0, &short).ttl(1));
    s.wan(error(1, 4, 0, &short).hop_by_hop(&[]));
}
