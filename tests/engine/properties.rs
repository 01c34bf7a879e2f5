//! What holds for any packet, any bytes, any order.

use super::bench::*;
use super::ways::Pair;
use gatun::replay::Options;
use gatun::replay::servers::Servers;
use gatun_engine::addr::{LcoreId, Mac, PortId};
use gatun_engine::frame::Meta;
use gatun_engine::testkit::lab::{Arrival, Buf, Link, Sent, mac_of};
use gatun_engine::testkit::world::Fault;
use gatun_engine::testkit::{Packet, World, check, repair, text};
use gatun_engine::verdict::{DropReason, Verdict};
use gatun_engine::wire::{FromBytes, IntoBytes, checksum, ethernet, ipv4};
use proptest::prelude::*;

const DNS: &str = "198.18.1.100:53";

fn small(shards: u8, seed: u64, arrival: Arrival) -> Bench {
    let toml = toml("").replace("80_000", "512");
    Bench::new(&toml, &Options { shards, seed, arrival, links: Vec::new() })
}

/// A few dozen, so that a run is short; `PROPTEST_CASES=5000` is for a night.
pub(crate) fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(48)
}

/// A packet of TCP or UDP, well-formed, from anywhere, and no larger than 1500 bytes.
#[derive(Clone, Debug)]
struct Any {
    tcp: bool,
    src: [u8; 4],
    sport: u16,
    payload: Vec<u8>,
    options: Vec<u8>,
    tcp_options: Vec<u8>,
    seq: u32,
    ttl: u8,
    id: u16,
    tos: u8,
    df: bool,
    pad: usize,
    bad: bool,
    zero: bool,
}

fn any_packet() -> impl Strategy<Value = Any> {
    let ip_options =
        prop_oneof![Just(vec![]), Just(vec![148u8, 4, 0, 0]), Just(vec![7, 7, 4, 0, 0, 0, 0]), Just(vec![1; 40])];
    let tcp_options = prop_oneof![
        Just(vec![]),
        Just(vec![2u8, 4, 5, 180]),
        Just(vec![1, 2, 4, 35, 40]),
        Just(vec![1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]),
        proptest::collection::vec(any::<u8>(), 0..40),
    ];
    let source = (1u8..=223, any::<[u8; 3]>(), 1..=u16::MAX)
        .prop_filter("martian", |(a, ..)| *a != 127)
        .prop_map(|(a, [b, c, d], port)| ([a, b, c, d], port))
        .prop_filter("ours", |(a, _)| a[..2] != [198, 18]);
    let l4 = (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..1380), ip_options, tcp_options, any::<u32>());
    (source, l4, 2u8.., any::<u16>(), any::<u8>(), any::<bool>(), 0usize..30, any::<bool>(), any::<bool>()).prop_map(
        |((src, sport), (tcp, payload, options, tcp_options, seq), ttl, id, tos, df, pad, bad, zero)| Any {
            tcp,
            src,
            sport,
            payload,
            options,
            tcp_options,
            seq,
            ttl,
            id,
            tos,
            df,
            pad,
            bad,
            zero,
        },
    )
}

impl Any {
    fn src(&self) -> String {
        let [a, b, c, d] = self.src;
        format!("{a}.{b}.{c}.{d}:{}", self.sport)
    }

    fn dress(&self, packet: Packet) -> Packet {
        let packet = packet
            .payload(&self.payload)
            .options(&self.options)
            .ttl(self.ttl)
            .id(self.id.into())
            .tos(self.tos)
            .pad(self.pad);
        let packet = if self.df { packet.df() } else { packet };
        match (self.bad, self.zero && !self.tcp) {
            (_, true) => packet.udp_checksum_zero(),
            (true, false) => packet.bad_l4_checksum(),
            (false, false) => packet,
        }
    }

    fn there(&self) -> Packet {
        self.dress(match self.tcp {
            true => Packet::tcp(&self.src(), WEB).flags("S").seq(self.seq).tcp_options(&self.tcp_options),
            false => Packet::udp(&self.src(), DNS),
        })
    }

    fn back(&self, server: &str, local: &str) -> Packet {
        self.dress(match self.tcp {
            true => Packet::tcp(server, local).flags("SA").seq(9).ack(self.seq).tcp_options(&self.tcp_options),
            false => Packet::udp(server, local),
        })
    }
}

/// By what the checksum of TCP or UDP is wrong: 0 where it is right, none where there is none.
fn wrong_by(frame: &[u8]) -> Option<u16> {
    let (ip, rest) = ipv4::Header::ref_from_prefix(&frame[ethernet::LEN..]).unwrap();
    let end = usize::from(ip.total_len.host()) - ipv4::LEN;
    let l4 = &rest[ip.header_len() - ipv4::LEN..end];
    if ip.proto == ipv4::UDP && l4[6..8] == [0, 0] {
        return None;
    }
    let sum = checksum::pseudo(ip.src.into(), ip.dst.into(), ip.proto, l4.len() as u16).bytes(l4).fold();
    Some(!sum)
}

/// A packet and what became of it differ in nothing but what has to change; its checksum is wrong by as much as before.
fn same_but_for_addresses(before: &[u8], sent: &[Sent]) -> Result<(), TestCaseError> {
    prop_assert_eq!(sent.len(), 1);
    let after = &sent[0].frame;
    prop_assert_eq!(wrong_by(before), wrong_by(after), "{} became {}", text::long(before), text::long(after));
    let (a, _) = ipv4::Header::ref_from_prefix(&before[ethernet::LEN..]).unwrap();
    let (b, _) = ipv4::Header::ref_from_prefix(&after[ethernet::LEN..]).unwrap();
    prop_assert!(checksum::ipv4_header_ok(&after[ethernet::LEN..ethernet::LEN + b.header_len()]));
    let mut undone = *b;
    (undone.src, undone.dst, undone.ttl, undone.checksum) = (a.src, a.dst, a.ttl, a.checksum);
    prop_assert_eq!(undone.as_bytes(), a.as_bytes());
    let checksum_at = if a.proto == ipv4::UDP { 6 } else { 16 };
    let l4 = ethernet::LEN + a.header_len();
    let end = ethernet::LEN + usize::from(a.total_len.host());
    prop_assert_eq!(after.len(), end, "padding is cut");
    prop_assert_eq!(&before[ethernet::LEN + 20..l4], &after[ethernet::LEN + 20..l4]);
    prop_assert_eq!(&before[l4 + 4..l4 + checksum_at], &after[l4 + 4..l4 + checksum_at]);
    prop_assert_eq!(&before[l4 + checksum_at + 2..end], &after[l4 + checksum_at + 2..end]);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn any_packet_goes_through_with_its_checksum_as_right_or_wrong_as_it_was(p in any_packet(), seed: u64) {
        let mut b = small(1, seed, Arrival::Rss);
        let frame = p.there().macs(mac_of(0.into_be()), b.gateway.mac(WAN)).build();
        let step = b.frame(WAN, &frame);
        prop_assert_eq!(step.verdict, Verdict::Tx(LAN));
        same_but_for_addresses(&frame, &step.sent)?;
        let reply = opened(&step).unwrap();
        let (server, local) = (socket(reply.src(), reply.sport()), socket(reply.dst(), reply.dport()));
        let frame = p.back(&server, &local).macs(mac_of(0.into_be()), b.gateway.mac(LAN)).build();
        let step = b.frame(LAN, &frame);
        prop_assert_eq!(step.verdict, Verdict::Tx(WAN));
        same_but_for_addresses(&frame, &step.sent)?;
    }

    #[test]
    fn any_bytes_by_any_port_never_panic_and_the_balance_holds(
        frames in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..200), any::<u16>()), 0..40),
        shards in 1u8..4, arrival in arrival(), segment: Option<u16>,
    ) {
        let mut b = small(shards, 1, arrival);
        for (lan, bytes, head) in frames {
            let port = if lan { LAN } else { WAN };
            let buf = Buf::with_headroom(128 + head % 64, &bytes, Meta { port, bad_form: head == 7, ..Meta::default() });
            let buf = match segment { Some(len) => buf.segmented(len % 100), None => buf };
            b.gateway.lab.frame(buf);
        }
        b.at(5);
        prop_assert_eq!(b.drops(DropReason::Bug), 0);
    }

    #[test]
    fn any_mutation_of_a_conversation_never_panics_and_the_balance_holds(
        conversation in conversation(), shards in 1u8..4, arrival in arrival(), arp: bool,
    ) {
        let links = vec![if arp { Link::Arp } else { Link::Quiet }; 2];
        let toml = toml("").replace("80_000", "64");
        let mut b = Bench::new(&toml, &Options { shards, seed: 3, arrival, links });
        let mut servers = Servers::default();
        let mut answers: Vec<(PortId, Vec<u8>)> = Vec::new();
        for (n, Turn { what, cut, flips, fix, later }) in conversation.into_iter().enumerate() {
            b.gateway.lab.advance(b.gateway.lab.nanos() + u64::from(later) * 100_000_000);
            let (port, mut frame) = match answers.pop().filter(|_| n % 2 == 1) {
                Some(answer) => answer,
                None => {
                    let (port, packet) = packet(what);
                    let mac = b.gateway.mac(port);
                    (port, packet.macs(mac_of(0.into_be()), mac).build())
                }
            };
            for (at, value) in flips {
                if let Some(byte) = frame.get_mut(usize::from(at)) {
                    *byte = value;
                }
            }
            if fix {
                repair(&mut frame);
            }
            if let Some(cut) = cut {
                frame.truncate(usize::from(cut));
            }
            let buf = Buf::new(&frame, Meta { port, csum_unfinished: later == 3, ..Meta::default() });
            let step = b.gateway.lab.frame(buf);
            for sent in step.sent {
                answers.extend(servers.answer(&sent.frame).map(|frame| (sent.port, frame)));
            }
        }
        prop_assert_eq!(b.drops(DropReason::Bug), 0);
        b.at(2_000);
        for lcore in b.gateway.lab.lcores() {
            let ports = lcore.shard.port_stats();
            prop_assert_eq!((lcore.shard.conns.len(), ports.in_use, ports.quarantined, ports.bad_release), (0, 0, 0, 0));
        }
    }

    #[test]
    fn the_short_way_does_what_the_whole_way_does(conversation in conversation(), vlan: bool) {
        let toml = toml("").replace("80_000", "64");
        let mut pair = Pair::new(&toml);
        let mut servers = Servers::default();
        let mut answers: Vec<(PortId, Vec<u8>)> = Vec::new();
        for (n, Turn { what, cut, flips, fix, later }) in conversation.into_iter().enumerate() {
            let (port, mut frame) = match answers.pop().filter(|_| n % 2 == 1) {
                Some(answer) => answer,
                None => {
                    let (port, packet) = packet(what);
                    let mac = pair.short.gateway.mac(port);
                    let packet = packet.macs(mac_of(0.into_be()), mac);
                    (port, if vlan && later == 1 { packet.vlan(7).build() } else { packet.build() })
                }
            };
            for (at, value) in flips {
                if let Some(byte) = frame.get_mut(usize::from(at)) {
                    *byte = value;
                }
            }
            if fix {
                repair(&mut frame);
            }
            if let Some(cut) = cut {
                frame.truncate(usize::from(cut));
            }
            let meta = Meta { port, csum_unfinished: later == 3, ..Meta::default() };
            pair.later(u64::from(later) * 7);
            for sent in pair.frame(&frame, meta)?.sent {
                answers.extend(servers.answer(&sent.frame).map(|frame| (sent.port, frame)));
            }
        }
        pair.end()?;
    }

    #[test]
    fn one_burst_does_the_same_as_bursts_of_one(conversation in conversation(), split in 1usize..64) {
        let toml = toml("").replace("80_000", "64");
        let run = |split: usize| {
            let mut b = Bench::new(&toml, &Options::default());
            let frames: Vec<Buf> = conversation.iter().map(|t| {
                let (port, packet) = packet(t.what);
                let mac = b.gateway.mac(port);
                // What is known of a frame's form is remembered for those that come behind it.
                let meta = Meta { port, bad_form: t.later == 1, csum_unfinished: t.later == 3, ..Meta::default() };
                Buf::new(&packet.macs(mac_of(0.into_be()), mac).build(), meta)
            }).collect();
            let mut sent: Vec<(PortId, Vec<u8>)> = Vec::new();
            for frames in frames.chunks(split) {
                sent.extend(b.gateway.lab.burst(LcoreId(0), frames.iter().cloned()).into_iter().map(|s| (s.port, s.frame)));
            }
            // Within a burst the ports are served one after the other, and the master's answers come last.
            let of = |p: PortId| sent.iter().filter(|(port, _)| *port == p).map(|(_, f)| f.clone()).collect::<Vec<_>>();
            let mut wan = of(WAN);
            wan.sort();
            (of(LAN), wan)
        };
        prop_assert_eq!(run(1), run(split));
    }
}

trait IntoBe {
    fn into_be(self) -> gatun_engine::addr::Be32;
}
impl IntoBe for u32 {
    fn into_be(self) -> gatun_engine::addr::Be32 {
        gatun_engine::addr::Be32::new(self)
    }
}

pub(crate) fn arrival() -> impl Strategy<Value = Arrival> {
    proptest::sample::select(Arrival::ALL.to_vec())
}

/// One packet of a conversation, and what happens to it on its way.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) what: (u8, u8, u8),
    cut: Option<u8>,
    flips: Vec<(u8, u8)>,
    fix: bool,
    pub(crate) later: u8,
}

impl Turn {
    /// Changes a frame as this turn says.
    pub(crate) fn mutate(&self, frame: &mut Vec<u8>) {
        for (at, value) in &self.flips {
            if let Some(byte) = frame.get_mut(usize::from(*at)) {
                *byte = *value;
            }
        }
        if self.fix {
            repair(frame);
        }
        if let Some(cut) = self.cut {
            frame.truncate(usize::from(cut));
        }
    }
}

pub(crate) fn conversation() -> impl Strategy<Value = Vec<Turn>> {
    let what = (0u8..14, 0u8..6, any::<u8>());
    let cut = prop_oneof![9 => Just(None), 1 => any::<u8>().prop_map(Some)];
    let flips = prop_oneof![2 => Just(vec![]), 1 => proptest::collection::vec((any::<u8>(), any::<u8>()), 0..4)];
    let turn = (what, cut, flips, any::<bool>(), prop_oneof![3 => Just(0u8), 1 => 0u8..80])
        .prop_map(|(what, cut, flips, fix, later)| Turn { what, cut, flips, fix, later });
    proptest::collection::vec(turn, 1..60)
}

/// A packet of one of a few clients, so that they meet their connections again.
pub(crate) fn packet(what: (u8, u8, u8)) -> (PortId, Packet) {
    packet_in(World::V4, what)
}

/// As [`packet`], in any world.
pub(crate) fn packet_in(w: World, (kind, client, more): (u8, u8, u8)) -> (PortId, Packet) {
    let src = format!("10.0.0.{}:{}", client + 1, 40_000 + u16::from(more % 2));
    let tcp = |flags: &str| w.tcp(&src, WEB).flags(flags).seq(u32::from(more) * 1_000).ack(7);
    let quoted = || w.udp("198.18.2.100:2000", "198.18.2.11:53").payload(b"12345678").build_ip();
    match kind {
        0..=3 => (WAN, tcp("S").mss(1460).timestamps(more.into(), 0)),
        4 => (WAN, tcp("A")),
        5 => (WAN, tcp("PA").payload(&vec![more; usize::from(more) * 8])),
        6 => (WAN, tcp("FA")),
        7 => (WAN, tcp("R")),
        8 => (WAN, w.udp(&src, DNS).payload(&vec![more; usize::from(more) * 16])),
        9 => (WAN, w.echo(&format!("10.0.0.{client}"), "198.18.1.100", more.into(), 1)),
        10 => (WAN, tcp("S").ttl(more % 3)),
        11 => (LAN, w.error("198.18.2.1", "198.18.2.100", Fault::Port, &quoted())),
        12 => (LAN, w.tcp("198.18.2.11:80", &format!("198.18.2.100:{}", 2_000 + u16::from(more))).flags("A")),
        _ => (WAN, w.asks(Mac([2, 0, 0, 0, 0, more]), "198.18.1.9", "198.18.1.100")),
    }
}

pub(crate) fn world() -> impl Strategy<Value = World> {
    proptest::sample::select(World::ALL.to_vec())
}

#[test]
fn a_packet_with_an_unfinished_checksum_leaves_with_a_right_one() {
    for packet in [
        Packet::tcp("10.0.0.1:4000", WEB).flags("S").mss(1460).unfinished_checksum(),
        Packet::udp("10.0.0.1:4000", DNS).payload(b"odd").unfinished_checksum(),
    ] {
        let mut b = small(1, 1, Arrival::Rss);
        let frame = packet.macs(mac_of(0.into_be()), b.gateway.mac(WAN)).build();
        assert!(check::checksums(&frame).is_err());
        let buf = Buf::new(&frame, Meta { port: WAN, csum_unfinished: true, ..Meta::default() });
        let step = b.gateway.lab.frame(buf);
        check::checksums(&step.sent[0].frame).unwrap();
    }
}

#[test]
fn the_same_seed_gives_the_same_and_another_seed_another_local_port() {
    let port = |seed| {
        let mut b = small(1, seed, Arrival::Rss);
        b.syn(1).1.unwrap().reply.dport().host()
    };
    assert_eq!(port(1), port(1));
    assert_ne!(port(1), port(2));
}

/// Where an untagged frame has its protocol a tagged one has its identification: 6 is not TCP there.
#[test]
fn a_tagged_datagram_has_no_tcp_flags_whatever_its_identification() {
    let tagged = toml("").replace("port = \"wan\"\naddresses", "port = \"wan\"\nvlan = 5\naddresses");
    let mut b = Bench::new(&tagged, &Options::default());
    let datagram = Packet::udp("10.0.0.1:40000", DNS).payload(&[0xff; 64]).id(6).udp_checksum_zero().vlan(5);
    let step = b.packet(WAN, datagram);
    assert_eq!(step.verdict, Verdict::Tx(LAN));
    let mut records = Vec::new();
    let shard = &b.gateway.lab.lcores()[0].shard;
    shard.export(&b.gateway.lab.lcores()[0].shared, b.gateway.lab.now(), Default::default(), 10, |r| records.push(r));
    assert_eq!(records.iter().map(|r| r.fin_seq).collect::<Vec<_>>(), [None]);
}
