//! Clients of IPv6, and their servers of either family.

use super::bench::*;
use super::properties::{cases, conversation};
use super::ways::Pair;
use gatun::replay::Options;
use gatun::replay::servers::Servers;
use gatun_engine::addr::{Be32, PortId};
use gatun_engine::conn::tuple::Tuple;
use gatun_engine::frame::Meta;
use gatun_engine::testkit::lab::{Buf, Step, mac_of};
use gatun_engine::testkit::{Packet, check, text};
use gatun_engine::verdict::{DropReason, PuntReason, Verdict};
use gatun_engine::wire::{FromBytes, checksum, ethernet, ipv4, ipv6};
use proptest::prelude::*;

const CLIENT: &str = "[2001:db8:9::1]:40000";
fn bench() -> Bench {
    Bench::new(&both(""), &Options::default())
}

/// A packet of a host, as it is, and what became of it: by the short way and by the whole way.
fn through(b: &mut Bench, port: PortId, packet: &Packet) -> Step {
    let frame = packet.clone().macs(mac_of(Be32::new(0)), b.gateway.mac(port)).build();
    b.frame(port, &frame)
}

/// Opens a connection; the server's answers come as this tuple, both written out.
fn open(b: &mut Bench, packet: &Packet) -> (String, String) {
    let step = through(b, WAN, packet);
    let reply: Tuple = opened(&step).unwrap_or_else(|| panic!("{:?}", step.verdict));
    (socket(reply.src(), reply.sport()), socket(reply.dst(), reply.dport()))
}

fn six(frame: &[u8]) -> (ipv6::Header, &[u8]) {
    assert_eq!(frame[12..14], [0x86, 0xdd], "{}", text::long(frame));
    let (ip, rest) = ipv6::Header::read_from_prefix(&frame[ethernet::LEN..]).unwrap();
    assert_eq!(rest.len(), usize::from(ip.payload_len.host()), "nothing behind the packet");
    (ip, rest)
}

fn four(frame: &[u8]) -> (ipv4::Header, &[u8]) {
    assert_eq!(frame[12..14], [0x08, 0x00], "{}", text::long(frame));
    let (ip, rest) = ipv4::Header::read_from_prefix(&frame[ethernet::LEN..]).unwrap();
    assert_eq!(rest.len() + ipv4::LEN, usize::from(ip.total_len.host()), "nothing behind the packet");
    assert!(checksum::ipv4_header_ok(&frame[ethernet::LEN..ethernet::LEN + ipv4::LEN]));
    (ip, rest)
}

/// The one frame that a step sent, by this port.
fn one(step: &Step, port: PortId) -> &[u8] {
    assert_eq!((step.verdict, step.sent.len()), (Verdict::Tx(port), 1));
    &step.sent[0].frame
}

/// Both ways do what is asked, on a connection that is established.
fn both_ways(vip: &str, what: impl Fn(&mut Bench, &str, &str)) {
    for whole in [false, true] {
        let mut b = bench();
        b.gateway.lab.lcores_mut()[0].shard.whole_way = whole;
        let (server, local) = b.establish(CLIENT, vip);
        what(&mut b, &server, &local);
        assert_eq!(b.drops(DropReason::Bug), 0);
    }
}

#[test]
fn ipv6_to_ipv6_changes_addresses_ports_and_one_hop_and_keeps_class_label_and_extensions() {
    both_ways(SIX, |b, server, local| {
        let packet = Packet::tcp(CLIENT, SIX).payload(b"hello").tos(0xb9).flow_label(0xabcde).ttl(9).pad(4);
        let step = through(b, WAN, &packet);
        check::checksums(one(&step, LAN)).unwrap();
        let (ip, rest) = six(one(&step, LAN));
        assert_eq!((ip.traffic_class(), ip.flow_label(), ip.hop_limit), (0xb9, 0xabcde, 8));
        assert!(text::frame(one(&step, LAN)).starts_with(&format!("tcp {local} > {server}")));
        assert_eq!(&rest[20..], b"hello");

        let step = through(b, LAN, &Packet::tcp(server, local).payload(b"answer").flow_label(7).ttl(2));
        check::checksums(one(&step, WAN)).unwrap();
        let (ip, rest) = six(one(&step, WAN));
        assert_eq!((ip.traffic_class(), ip.flow_label(), ip.hop_limit, &rest[20..]), (0, 7, 1, &b"answer"[..]));
        assert!(text::frame(one(&step, WAN)).starts_with(&format!("tcp {SIX} > {CLIENT}")));

        let step = through(b, WAN, &packet.clone().hop_by_hop(&[5, 2, 0, 0]).destination_options(&[]));
        check::checksums(one(&step, LAN)).unwrap();
        assert_eq!(six(one(&step, LAN)).1[..16], [60, 0, 5, 2, 0, 0, 1, 0, 6, 0, 1, 4, 0, 0, 0, 0]);
    });
}

#[test]
fn ipv6_to_ipv4_gets_the_header_of_rfc_7915_and_loses_extension_headers() {
    both_ways(FOUR, |b, server, local| {
        let packet = Packet::tcp(CLIENT, FOUR).payload(b"hello").tos(0xb9).flow_label(0xabcde).ttl(9).pad(4);
        let ids: Vec<u16> = [packet.clone(), packet.clone().destination_options(&[5, 2, 0, 0]), packet.clone()]
            .iter()
            .map(|packet| {
                let step = through(b, WAN, packet);
                check::checksums(one(&step, LAN)).unwrap();
                let (ip, rest) = four(one(&step, LAN));
                assert_eq!((ip.ver_ihl, ip.tos, ip.ttl, ip.proto, ip.frag.host()), (0x45, 0xb9, 8, 6, 0));
                assert!(text::frame(one(&step, LAN)).starts_with(&format!("tcp {local} > {server}")));
                assert_eq!(&rest[20..], b"hello");
                ip.id.host()
            })
            .collect();
        assert_eq!([ids[1].wrapping_sub(ids[0]), ids[2].wrapping_sub(ids[1])], [1, 1], "{ids:?}");

        let step = through(b, WAN, &packet.clone().fragment(0, false).id(0x1234_5678));
        let (ip, _) = four(one(&step, LAN));
        assert_eq!((ip.id.host(), ip.frag.host()), (0x5678, 0), "RFC 7915, 5.1.1");

        for (payload, df) in [(1220, 0), (1221, ipv4::DF)] {
            let step = through(b, WAN, &packet.clone().payload(&vec![7; payload]));
            let (ip, _) = four(one(&step, LAN));
            assert_eq!((ip.total_len.host(), ip.frag.host()), (payload as u16 + 40, df));
        }
    });
}

#[test]
fn ipv4_to_ipv6_gets_the_header_of_rfc_7915_and_loses_options() {
    both_ways(FOUR, |b, server, local| {
        let packet = Packet::tcp(server, local).payload(b"answer").tos(0xb9).id(7).ttl(9).pad(6);
        for packet in
            [packet.clone(), packet.clone().df(), packet.clone().options(&[148, 4, 0, 0]), packet.clone().vlan(0)]
        {
            let step = through(b, LAN, &packet);
            check::checksums(one(&step, WAN)).unwrap();
            let (ip, rest) = six(one(&step, WAN));
            assert_eq!((ip.traffic_class(), ip.flow_label(), ip.hop_limit, ip.next), (0xb9, 0, 8, 6));
            assert!(text::frame(one(&step, WAN)).starts_with(&format!("tcp {FOUR} > {CLIENT}")));
            assert_eq!(&rest[20..], b"answer");
        }
    });
}

#[test]
fn a_wrong_checksum_stays_wrong_in_each_direction() {
    for vip in [SIX, FOUR] {
        both_ways(vip, |b, server, local| {
            for (port, packet) in [(WAN, Packet::tcp(CLIENT, vip)), (LAN, Packet::tcp(server, local))] {
                let step = through(b, port, &packet.payload(b"odd").bad_l4_checksum());
                let wrong = check::checksums(&step.sent[0].frame).unwrap_err();
                assert!(wrong.contains("TCP checksum"), "{wrong}");
            }
        });
    }
}

#[test]
fn a_datagram_without_checksum_gets_one_on_its_way_to_ipv6() {
    for whole in [false, true] {
        let mut b = bench();
        b.gateway.lab.lcores_mut()[0].shard.whole_way = whole;
        let (server, local) = open(&mut b, &Packet::udp(CLIENT, FOUR_UDP).payload(b"?"));
        for payload in [&b"odd"[..], b"even", b""] {
            let step = through(&mut b, LAN, &Packet::udp(&server, &local).payload(payload).udp_checksum_zero());
            check::checksums(one(&step, WAN)).unwrap();
            assert_eq!(&six(one(&step, WAN)).1[8..], payload);
        }
        let long = Packet::udp(&server, &local).payload(&[7; 800]).udp_checksum_zero();
        let frame = long.macs(mac_of(Be32::new(0)), b.gateway.mac(LAN)).build();
        let meta = Meta { port: LAN, ..Meta::default() };
        let step = b.gateway.lab.frame(Buf::new(&frame, meta).segmented(200));
        assert_eq!(step.verdict, Verdict::Drop(DropReason::UdpNoChecksum));
        // A server of IPv6 must have one.
        let (server, local) = open(&mut b, &Packet::udp(CLIENT, SIX_UDP).payload(b"?"));
        let step = through(&mut b, LAN, &Packet::udp(&server, &local).udp_checksum_zero());
        assert_eq!(step.verdict, Verdict::Drop(DropReason::UdpNoChecksum));
    }
}

#[test]
fn what_is_too_large_for_the_way_out_is_said_to_its_sender() {
    let too_large = Verdict::Punt(PuntReason::FragNeeded);
    let small = |port: &str| {
        both("")
            .replace(&format!("[[port]]\nname = \"{port}\"\n"), &format!("[[port]]\nname = \"{port}\"\nmtu = 1400\n"))
    };
    let payload = |n: usize| vec![7; n];
    // 6 to 6, and 6 to 4, where 20 bytes more pass.
    for (vip, most) in [(SIX, 1400), (FOUR, 1420)] {
        let mut b = Bench::new(&small("lan"), &Options::default());
        b.establish(CLIENT, vip);
        let fits = Packet::tcp(CLIENT, vip).payload(&payload(most - 60));
        assert_eq!(through(&mut b, WAN, &fits).verdict, Verdict::Tx(LAN));
        let step = through(&mut b, WAN, &Packet::tcp(CLIENT, vip).payload(&payload(most - 59)));
        assert_eq!(step.verdict, too_large);
        let said = text::frame(&step.sent[0].frame);
        assert!(said.contains(&format!("mtu {most}")), "{said}");
    }
    // 4 to 6, where 20 bytes less pass: with DF it is said.
    let mut b = Bench::new(&small("wan"), &Options::default());
    let (server, local) = b.establish(CLIENT, FOUR);
    let fits = Packet::tcp(&server, &local).df().payload(&payload(1380 - 40));
    assert_eq!(through(&mut b, LAN, &fits).verdict, Verdict::Tx(WAN));
    let step = through(&mut b, LAN, &Packet::tcp(&server, &local).df().payload(&payload(1381 - 40)));
    assert_eq!(step.verdict, too_large);
    let said = text::frame(&step.sent[0].frame);
    assert!(said.contains("mtu 1380"), "{said}");
}

#[test]
fn what_an_ipv4_server_lets_be_cut_reaches_the_client_in_fragments_of_1280_bytes() {
    for vlan in [false, true] {
        let toml = if vlan { both("").replace("port = \"wan\"\n", "port = \"wan\"\nvlan = 5\n") } else { both("") };
        let mut b = Bench::new(&toml, &Options::default());
        let ask = Packet::udp(CLIENT, FOUR_UDP).payload(b"?");
        let (server, local) = open(&mut b, &if vlan { ask.vlan(5) } else { ask });
        for (len, frames) in [(1232, 1), (1233, 2), (1472, 2), (4000, 4)] {
            let payload: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let packet = Packet::udp(&server, &local).payload(&payload).id(0x1234);
            let step = through(&mut b, LAN, &packet);
            let mut whole = Vec::new();
            assert_eq!((step.verdict, step.sent.len()), (Verdict::Tx(WAN), frames), "{len}");
            for (n, sent) in step.sent.iter().enumerate() {
                let frame = if vlan { [&sent.frame[..12], &sent.frame[16..]].concat() } else { sent.frame.clone() };
                let (ip, rest) = six(&frame);
                if frames == 1 {
                    check::checksums(&frame).unwrap();
                    assert_eq!(ip.next, ipv4::UDP, "none asks for a fragment header");
                    continue;
                }
                let (f, part) = ipv6::Fragment::ref_from_prefix(rest).unwrap();
                assert!(frame.len() <= ethernet::LEN + 1280);
                assert_eq!((ip.next, f.next, f.id.host()), (ipv6::FRAGMENT, ipv4::UDP, 0x1234));
                assert_eq!(f.frag.host(), whole.len() as u16 | u16::from(n + 1 < frames));
                whole.extend(part);
            }
            if frames > 1 {
                let (src, dst) =
                    (SIX.parse::<std::net::SocketAddr>().unwrap(), CLIENT.parse::<std::net::SocketAddr>().unwrap());
                assert_eq!(whole[8..], payload);
                assert!(checksum::l4_ok(src.ip(), dst.ip(), ipv4::UDP, &whole));
            }
        }
    }
}

#[test]
fn a_packet_of_several_segments_is_translated_in_its_first() {
    let mut b = bench();
    let (server, local) = b.establish(CLIENT, FOUR);
    for (port, packet, by) in [(WAN, Packet::tcp(CLIENT, FOUR), -20), (LAN, Packet::tcp(&server, &local).df(), 20)] {
        let frame = packet.payload(&[7; 600]).macs(mac_of(Be32::new(0)), b.gateway.mac(port)).build();
        let meta = Meta { port, ..Meta::default() };
        let step = b.gateway.lab.frame(Buf::new(&frame, meta).segmented(100));
        assert!(matches!(step.verdict, Verdict::Tx(_)));
        assert_eq!(
            step.sent[0].frame.len() as i32,
            100 + by,
            "of the laboratory's buffers only the first segment leaves"
        );
        let len = |frame: &[u8]| match frame[12] {
            8 => i32::from(u16::from_be_bytes([frame[16], frame[17]])),
            _ => 40 + i32::from(u16::from_be_bytes([frame[18], frame[19]])),
        };
        assert_eq!(len(&step.sent[0].frame) - len(&frame), by);
    }
}

#[test]
fn an_unfinished_checksum_leaves_finished_in_either_family() {
    for (first, answer) in [
        (Packet::tcp(CLIENT, SIX).flags("S"), Packet::tcp as fn(&str, &str) -> Packet),
        (Packet::tcp(CLIENT, FOUR).flags("S"), Packet::tcp),
        (Packet::udp(CLIENT, SIX_UDP).payload(b"odd"), Packet::udp),
        (Packet::udp(CLIENT, FOUR_UDP).payload(b"odd"), Packet::udp),
    ] {
        let mut b = bench();
        let send = |b: &mut Bench, port, packet: Packet| {
            let frame = packet.unfinished_checksum().macs(mac_of(Be32::new(0)), b.gateway.mac(port)).build();
            assert!(check::checksums(&frame).is_err());
            b.gateway.lab.frame(Buf::new(&frame, Meta { port, csum_unfinished: true, ..Meta::default() }))
        };
        let step = send(&mut b, WAN, first);
        check::checksums(one(&step, LAN)).unwrap();
        let reply = opened(&step).unwrap();
        let (server, local) = (socket(reply.src(), reply.sport()), socket(reply.dst(), reply.dport()));
        let step = send(&mut b, LAN, answer(&server, &local).payload(b"answer!"));
        check::checksums(one(&step, WAN)).unwrap();
    }
}

#[test]
fn a_syn_has_its_mss_clamped_in_either_family() {
    let clamped = both("")
        .replace(":80\"\nreal", ":80\"\nmss_clamp = 1380\nreal")
        .replace(":81\"\nreal", ":81\"\nmss_clamp = 1380\nreal");
    for vip in [SIX, FOUR] {
        let mut b = Bench::new(&clamped, &Options::default());
        let step = through(&mut b, WAN, &Packet::tcp(CLIENT, vip).flags("S").mss(1440));
        assert!(text::frame(one(&step, LAN)).contains("mss 1380"));
        let reply = opened(&step).unwrap();
        let answer = Packet::tcp(&socket(reply.src(), reply.sport()), &socket(reply.dst(), reply.dport()));
        let step = through(&mut b, LAN, &answer.flags("SA").mss(1460));
        check::checksums(one(&step, WAN)).unwrap();
        assert!(text::frame(one(&step, WAN)).contains("mss 1380"));
    }
}

#[test]
fn a_packet_with_the_digest_of_another_connection_is_dropped_on_either_way() {
    both_ways(SIX, |b, _, _| {
        let conns = &mut b.gateway.lab.lcores_mut()[0].shard.conns;
        let id = conns.next_live(0).unwrap();
        let client: std::net::Ipv6Addr = "2001:db8:9::2".parse().unwrap();
        conns.wide_mut(id).unwrap().client = client.into();
        let step = through(b, WAN, &Packet::tcp(CLIENT, SIX));
        assert_eq!(step.verdict, Verdict::Drop(DropReason::TupleCollision));
    });
}

#[test]
fn when_a_server_goes_both_sides_are_reset_each_in_its_family() {
    for vip in [SIX, FOUR] {
        let mut b = bench();
        let (server, local) = b.establish(CLIENT, vip);
        let gone =
            both("").replace("[2001:db8:2::11]:80", "[2001:db8:2::12]:80").replace("198.18.2.11:81", "198.18.2.12:81");
        b.gateway.reload(gatun::config::parse(&gone, "test.toml").unwrap()).unwrap();
        let step = through(&mut b, WAN, &Packet::tcp(CLIENT, vip).seq(10).ack(20));
        assert_eq!(step.verdict, Verdict::Drop(DropReason::RealRemovedReset));
        let sent: Vec<String> = step
            .sent
            .iter()
            .map(|s| {
                check::checksums(&s.frame).unwrap();
                text::frame(&s.frame)
            })
            .collect();
        for to in [format!("tcp {local} > {server} [R"), format!("tcp {vip} > {CLIENT} [R")] {
            assert!(sent.iter().any(|s| s.starts_with(&to)), "{sent:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn the_short_way_does_what_the_whole_way_does_for_clients_of_ipv6(conversation in conversation(), vlan: bool) {
        let mut pair = Pair::new(&both(""));
        let mut servers = Servers::default();
        let mut answers: Vec<(PortId, Vec<u8>)> = Vec::new();
        for (n, turn) in conversation.into_iter().enumerate() {
            let (port, mut frame) = match answers.pop().filter(|_| n % 2 == 1) {
                Some(answer) => answer,
                None => {
                    let packet = packet(turn.what).macs(mac_of(Be32::new(0)), pair.short.gateway.mac(WAN));
                    (WAN, if vlan && turn.later == 1 { packet.vlan(7).build() } else { packet.build() })
                }
            };
            turn.mutate(&mut frame);
            let meta = Meta { port, csum_unfinished: turn.later == 3, ..Meta::default() };
            pair.later(u64::from(turn.later) * 7);
            for sent in pair.frame(&frame, meta)?.sent {
                answers.extend(servers.answer(&sent.frame).map(|frame| (sent.port, frame)));
            }
        }
        prop_assert_eq!(pair.short.drops(DropReason::Bug), 0);
        pair.end()?;
    }

    #[test]
    fn any_packet_of_ipv6_goes_through_with_its_payload_and_a_checksum_as_wrong_as_it_was(
        is_tcp: bool, to_four: bool, payload in proptest::collection::vec(any::<u8>(), 0..1300), tos: u8, ttl in 2u8..,
        bad: bool, options in proptest::collection::vec(any::<u8>(), 0..24),
    ) {
        let mut b = bench();
        let vip = match (is_tcp, to_four) { (true, false) => SIX, (true, true) => FOUR, (false, false) => SIX_UDP, (false, true) => FOUR_UDP };
        let dress = |packet: Packet| {
            let packet = packet.tcp_options(&options).payload(&payload).tos(tos).ttl(ttl);
            if bad { packet.bad_l4_checksum() } else { packet }
        };
        let there = dress(if is_tcp { Packet::tcp(CLIENT, vip).flags("S") } else { Packet::udp(CLIENT, vip) });
        let step = through(&mut b, WAN, &there);
        same_but_for_headers(&there.clone().build(), one(&step, LAN))?;
        let reply = opened(&step).unwrap();
        let (server, local) = (socket(reply.src(), reply.sport()), socket(reply.dst(), reply.dport()));
        let back = dress(if is_tcp { Packet::tcp(&server, &local).flags("SA") } else { Packet::udp(&server, &local) }).df();
        let step = through(&mut b, LAN, &back);
        same_but_for_headers(&back.clone().build(), one(&step, WAN))?;
    }
}

/// Family, traffic class, hops, protocol, and what the IP header is followed by; and by how much the checksum is wrong.
fn parts(frame: &[u8]) -> (u8, u8, u8, Vec<u8>, u16) {
    let (tos, ttl, proto, l4, sum) = if frame[12] == 8 {
        let (ip, l4) = four(frame);
        let sum = checksum::pseudo(ip.src.into(), ip.dst.into(), ip.proto, l4.len() as u16);
        (ip.tos, ip.ttl, ip.proto, l4, sum)
    } else {
        let (ip, l4) = six(frame);
        let sum = checksum::pseudo(ip.src.into(), ip.dst.into(), ip.next, l4.len() as u16);
        (ip.traffic_class(), ip.hop_limit, ip.next, l4, sum)
    };
    (tos, ttl, proto, l4.to_vec(), !sum.bytes(l4).fold())
}

fn same_but_for_headers(before: &[u8], after: &[u8]) -> Result<(), TestCaseError> {
    let (a, b) = (parts(before), parts(after));
    prop_assert_eq!(
        (a.0, a.1 - 1, a.2, a.4),
        (b.0, b.1, b.2, b.4),
        "{} became {}",
        text::long(before),
        text::long(after)
    );
    let sum_at = if a.2 == ipv4::UDP { 6 } else { 16 };
    prop_assert_eq!(&a.3[4..sum_at], &b.3[4..sum_at]);
    prop_assert_eq!(&a.3[sum_at + 2..], &b.3[sum_at + 2..]);
    Ok(())
}

/// A packet of one of a few clients of IPv6, so that they meet their connections again.
fn packet((kind, client, more): (u8, u8, u8)) -> Packet {
    let src = format!("[2001:db8:9::{}]:{}", client + 1, 40_000 + u16::from(more % 2));
    let (web, dns) = if client % 2 == 0 { (SIX, SIX_UDP) } else { (FOUR, FOUR_UDP) };
    let tcp = |flags: &str| Packet::tcp(&src, web).flags(flags).seq(u32::from(more) * 1_000).ack(7);
    match kind {
        0..=2 => tcp("S").mss(1440).timestamps(more.into(), 0),
        3 | 4 => tcp("A"),
        5 | 6 => tcp("PA").payload(&vec![more; usize::from(more) * 6]),
        7 => tcp("FA"),
        8 => tcp("R"),
        9 | 10 => Packet::udp(&src, dns).payload(&vec![more; usize::from(more) * 6]),
        11 => tcp("S").ttl(more % 3),
        12 => tcp("PA").destination_options(&[]).payload(&[more]),
        _ => tcp("PA").fragment(0, more % 4 == 0).id(more.into()),
    }
}
