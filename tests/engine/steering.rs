//! What holds on any number of lcores, behind any kind of network card.

use super::bench::*;
use super::properties::{arrival, cases, conversation, packet_in, world};
use gatun::replay::Options;
use gatun::replay::packet::View;
use gatun::replay::servers::Servers;
use gatun_engine::addr::{Addr, Be32, LcoreId, PortId, Proto};
use gatun_engine::conn::record::{Cursor, EventKind, Record};
use gatun_engine::conn::state::State;
use gatun_engine::conn::tuple::Tuple;
use gatun_engine::frame::Meta;
use gatun_engine::steer::Steer;
use gatun_engine::testkit::lab::{Arrival, Buf, Sent, Step, mac_of};
use gatun_engine::testkit::{World, repair, text};
use gatun_engine::verdict::{DropReason, Verdict};
use gatun_engine::wire::tcp::{ACK, FIN, RST, SYN};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

/// Local ports of one local address towards one server.
const ALL: usize = 64_512;

fn owner(steer: &Steer, key: &Tuple) -> LcoreId {
    steer.owner(Steer::class(steer.hash(key)))
}

/// The lcore that a frame ended on.
fn last(step: &Step) -> LcoreId {
    step.redirects.last().copied().unwrap_or(step.first)
}

/// Two services of one server, of which one has another server too, and several local addresses.
fn shared_servers() -> String {
    toml("")
        .replace("80_000", "512")
        .replace("addresses = [\"198.18.2.100\"]", "addresses = [\"198.18.2.100-198.18.2.103\"]")
        .replace(
            "real = [{ address = \"198.18.2.11:53\" }]",
            "real = [{ address = \"198.18.2.11:53\" }]\n[[service]]\nprotocol = \"tcp\"\naddress = \"198.18.1.101:80\"\n\
             real = [{ address = \"198.18.2.11:80\" }, { address = \"198.18.2.12:80\" }]",
        )
}

/// A packet of a conversation; every other client goes to the other service.
fn said(b: &Bench, what: (u8, u8, u8)) -> (PortId, Vec<u8>) {
    let (port, packet) = packet_in(b.world, what);
    let packet = packet.macs(mac_of(Be32::new(0)), b.gateway.mac(port));
    let to = |addr: &str| Addr::from(b.world.addr(addr));
    let frame = packet.build();
    let to_vip = what.1 % 2 == 1 && View::of(&frame).is_some_and(|v| v.ip.dst == to("198.18.1.100"));
    (port, if to_vip { packet.to_addr(&to("198.18.1.101").to_string()).build() } else { frame })
}

/// Every connection is at home where it is, by either tuple, and no tuple is held twice.
fn everybody_is_at_home(b: &Bench) -> Result<(), TestCaseError> {
    let (mut clients, mut replies) = (HashSet::new(), HashSet::new());
    for lcore in b.gateway.lab.lcores() {
        let mut records: Vec<Record> = Vec::new();
        lcore.shard.export(&lcore.shared, b.gateway.lab.now(), Cursor::default(), usize::MAX, |r| records.push(r));
        for r in records {
            for key in [&r.client, &r.reply] {
                prop_assert_eq!(owner(b.gateway.lab.steer(), key), lcore.shard.id, "{}", key);
            }
            prop_assert!(clients.insert(r.client), "{} is held twice", r.client);
            prop_assert!(replies.insert(r.reply), "{} is held twice", r.reply);
        }
        prop_assert_eq!(lcore.shard.stats.lcore.balance(), 0);
    }
    Ok(())
}

/// The tuple of a frame of TCP or UDP, and its flags.
fn tuple(frame: &[u8]) -> Option<(Tuple, u8)> {
    let view = View::of(frame)?;
    Some((view.key()?, view.tcp().map_or(0, |(tcp, _)| tcp.flags)))
}

/// A frame as it left, but for the identification of an IPv4 packet that was one of IPv6: each engine counts for itself.
fn unnumbered(world: World, sent: &Sent) -> Sent {
    let mut sent = sent.clone();
    let is_v4 = View::of(&sent.frame).is_some_and(|v| v.ip.src.v4().is_some());
    if world == World::Nat64 && is_v4 {
        sent.frame[18..20].fill(0);
        repair(&mut sent.frame);
    }
    sent
}

/// True when a frame of a client would open a connection.
fn would_open(b: &Bench, frame: &[u8]) -> bool {
    let Some((key, flags)) = tuple(frame) else { return false };
    let now = b.gateway.lab.now();
    let live = b.gateway.lab.lcores().iter().find_map(|l| {
        let (id, _) = l.shard.conns.find_tuple(&key)?;
        let conn = l.shard.conns.conn(id);
        (!now.reached(l.shared.deadline(conn))).then_some(conn.state())
    });
    let opens = key.proto() == Proto::Udp || flags & (SYN | ACK | FIN | RST) == SYN;
    opens && live.is_none_or(State::is_closing)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn a_packet_comes_to_its_owner_in_at_most_one_hop_and_no_tuple_is_held_twice(
        conversation in conversation(), shards in 1u8..=8, arrival in arrival(), seed in 0u64..4, world in world(),
    ) {
        let options = Options { shards, arrival, seed, ..Options::default() };
        let mut b = Bench::of(world, &shared_servers(), &options);
        let mut servers = Servers::default();
        let mut answers: Vec<(PortId, Vec<u8>)> = Vec::new();
        for (n, turn) in conversation.iter().enumerate() {
            b.gateway.lab.advance(b.gateway.lab.nanos() + u64::from(turn.later) * 100_000_000);
            let (port, frame) = match answers.pop().filter(|_| n % 2 == 1) {
                Some(answer) => answer,
                None => said(&b, turn.what),
            };
            let step = b.frame(port, &frame);
            prop_assert!(step.redirects.len() <= 1, "{:?}", step);
            let steer = b.gateway.lab.steer();
            if let (Some((key, _)), Verdict::Tx(_)) = (tuple(&frame), step.verdict) {
                prop_assert_eq!(last(&step), owner(steer, &key), "{:?}", step);
            }
            if arrival == Arrival::Rss {
                let early = tuple(&frame).is_none();
                prop_assert!(early || step.redirects.is_empty(), "an honest card needs nobody's help: {:?}", step);
            }
            for event in step.events.iter().filter(|e| e.kind == EventKind::Established) {
                prop_assert_eq!([owner(steer, &event.client), owner(steer, &event.reply)], [last(&step); 2]);
            }
            for sent in step.sent {
                answers.extend(servers.answer(&sent.frame).map(|frame| (sent.port, frame)));
            }
            everybody_is_at_home(&b)?;
        }
        prop_assert_eq!((b.drops(DropReason::NotHome), b.drops(DropReason::Bug)), (0, 0));
    }

    /// Whatever keeps the packets of a flow together; else their order is anybody's.
    #[test]
    fn a_burst_that_many_lcores_share_gives_what_its_packets_give_one_by_one_on_one_lcore(
        conversation in conversation(), shards in 2u8..=8, split in 2usize..64, arrival in proptest::sample::select(vec![
            Arrival::Rss, Arrival::FewQueues, Arrival::First, Arrival::Wrong, Arrival::OwnKey, Arrival::OwnTable,
            Arrival::StaleHash, Arrival::FlowByLip, Arrival::FlowByPortMask,
        ]),
        world in world(),
    ) {
        let run = |shards, arrival, split| {
            let mut b = Bench::of(world, &shared_servers(), &Options { shards, arrival, ..Options::default() });
            let frames: Vec<Buf> = conversation.iter().map(|t| {
                let (port, frame) = said(&b, t.what);
                Buf::new(&frame, Meta { port, ..Meta::default() })
            }).collect();
            let mut sent = Vec::new();
            for frames in frames.chunks(split) {
                sent.extend(b.gateway.lab.arrive(frames.iter().cloned()));
            }
            prop_assert_eq!(b.drops(DropReason::NotHome), 0);
            everybody_is_at_home(&b)?;
            let (lan, wan): (Vec<_>, Vec<_>) = sent.into_iter().partition(|s| s.port == LAN);
            let mut wan: Vec<Vec<u8>> = wan.into_iter().map(|s| s.frame).collect();
            wan.sort();
            Ok((wan, lan.len()))
        };
        prop_assert_eq!(run(shards, arrival, split)?, run(1, Arrival::Rss, 1)?);
    }

    #[test]
    fn connections_that_move_to_an_engine_with_another_number_of_lcores_go_on_byte_by_byte(
        conversation in conversation(), at in 0usize..30, before in 1u8..=7, after in 1u8..=7, arrival in arrival(),
        world in world(),
    ) {
        let options = Options { shards: before, arrival, ..Options::default() };
        let mut one = Bench::of(world, &shared_servers(), &options);
        let mut other = Bench::of(world, &shared_servers(), &options);
        let mut servers = Servers::default();
        let mut answers: Vec<(PortId, Vec<u8>)> = Vec::new();
        for (n, turn) in conversation.iter().enumerate() {
            let nanos = one.gateway.lab.nanos() + u64::from(turn.later) * 1_000_000_000;
            one.at(nanos / 1_000_000_000);
            other.at(nanos / 1_000_000_000);
            if n == at {
                let conns = other.gateway.lab.conns();
                prop_assert_eq!(other.gateway.lab.restart(99, after).unwrap(), 0, "every record is adopted");
                prop_assert!(other.gateway.lab.conns() <= conns);
            }
            let (port, frame) = match answers.pop().filter(|_| n % 2 == 1) {
                Some(answer) => answer,
                None => said(&one, turn.what),
            };
            // Servers and local ports are chosen anew by each engine: who is not there yet does not come any more.
            if n >= at && would_open(&one, &frame) {
                continue;
            }
            let (a, b) = (one.frame(port, &frame), other.frame(port, &frame));
            let all = |step: &Step| step.sent.iter().map(|s| unnumbered(world, s)).collect::<Vec<_>>();
            prop_assert_eq!(all(&a), all(&b), "packet {}, {}", n, text::frame(&frame));
            prop_assert_eq!(a.verdict, b.verdict);
            for sent in a.sent {
                answers.extend(servers.answer(&sent.frame).map(|frame| (sent.port, frame)));
            }
            everybody_is_at_home(&other)?;
        }
        // To the end of everything.
        for b in [&mut one, &mut other] {
            b.at(3_000);
            prop_assert_eq!(b.gateway.lab.conns(), 0);
            for lcore in b.gateway.lab.lcores() {
                let ports = lcore.shard.port_stats();
                prop_assert_eq!((ports.in_use, ports.quarantined, ports.bad_release), (0, 0, 0));
            }
        }
    }
}

/// A connection that nobody may press out.
fn establish(b: &mut Bench, client: Tuple) -> Result<Tuple, Step> {
    let mac = b.gateway.mac(WAN);
    let step = b.frame(WAN, &segment(&client, SYN, 1, 0, mac));
    let Some(reply) = opened(&step) else { return Err(step) };
    let now = b.gateway.lab.now();
    let lcore = &mut b.gateway.lab.lcores_mut()[last(&step).index()];
    let (id, _) = lcore.shard.conns.find_tuple(&client).unwrap();
    let timeouts = lcore.shared.timeouts(lcore.shard.conns.conn(id));
    lcore.shard.change(timeouts, now, id, State::Established);
    Ok(reply)
}

#[test]
fn ports_run_out_on_an_lcore_when_all_of_its_classes_are_used_up_and_no_sooner() {
    for (world, shards, arrival) in [
        (World::V4, 2, Arrival::OwnKey),
        (World::V4, 7, Arrival::RoundRobin),
        (World::V6, 7, Arrival::OwnKey),
        (World::Nat64, 2, Arrival::RoundRobin),
    ] {
        let mut b = Bench::of(world, &toml(""), &Options { shards, arrival, ..Options::default() });
        let steer = b.gateway.lab.steer().clone();
        let mine = |lcore: LcoreId| 504 * steer.classes_of(lcore).count() as u64;
        let (mut replies, mut full) = (HashSet::new(), HashSet::new());
        for n in 0.. {
            if full.len() == usize::from(shards) {
                break;
            }
            match establish(&mut b, Bench::key_of(world, n)) {
                Ok(reply) => assert!(replies.insert(reply), "{reply} is held twice"),
                Err(step) => {
                    assert_eq!(step.verdict, Verdict::Drop(DropReason::PortsExhausted));
                    let id = last(&step);
                    let in_use = b.gateway.lab.lcores()[id.index()].shard.port_stats().in_use;
                    assert_eq!(in_use, mine(id), "lcore {id} of {shards}, {world:?}");
                    full.insert(id);
                }
            }
        }
        assert_eq!(replies.len(), ALL, "{shards} lcores, {world:?}");
    }
}

/// The counters of a lcore that say where its frames came from and went to: received, their bytes, and handed over.
fn moved(b: &Bench, lcore: LcoreId) -> [u64; 4] {
    let stats = &b.gateway.lab.lcores()[lcore.index()].shard.stats.lcore;
    [&stats.rx, &stats.rx_bytes, &stats.to_ring, &stats.from_ring].map(|c| c.value())
}

#[test]
fn bursts_are_parted_when_many_frames_belong_to_others_and_what_stays_is_served_in_order() {
    for world in [World::V4, World::V6, World::Nat64] {
        let mut b = Bench::of(world, &toml(""), &Options { shards: 3, arrival: Arrival::First, ..Options::default() });
        let steer = b.gateway.lab.steer().clone();
        let (here, mac) = (LcoreId(0), b.gateway.mac(WAN));
        let (mut home, mut away): (Vec<Tuple>, Vec<Tuple>) =
            (0..400).map(|n| Bench::key_of(world, n)).partition(|key| owner(&steer, key) == here);
        home.truncate(64);
        away.truncate(64);
        let mixed: Vec<Tuple> = home.iter().zip(&away).flat_map(|(a, b)| [*a, *b]).take(64).collect();
        let replies: HashMap<Tuple, Tuple> =
            home.iter().chain(&away).map(|key| (*key, establish(&mut b, *key).unwrap())).collect();
        // The first burst says that many leave; from then on bursts are parted, also one that nobody leaves, or everybody.
        for burst in [&mixed, &mixed, &home, &away, &mixed] {
            assert_eq!(burst.len(), 64);
            let frames: Vec<Vec<u8>> = burst.iter().map(|key| segment(key, ACK, 2, 2, mac)).collect();
            let bytes: usize = frames.iter().map(Vec::len).sum();
            let (before, others) = (moved(&b, here), moved(&b, LcoreId(1))[3] + moved(&b, LcoreId(2))[3]);
            let meta = Meta { port: WAN, ..Meta::default() };
            let sent = b.gateway.lab.burst(here, frames.iter().map(|frame| Buf::new(frame, meta)));
            let left = burst.iter().filter(|key| owner(&steer, key) != here).count() as u64;
            let [rx, rx_bytes, to_ring, from_ring] = before;
            assert_eq!(moved(&b, here), [rx + 64, rx_bytes + bytes as u64, to_ring + left, from_ring]);
            assert_eq!(moved(&b, LcoreId(1))[3] + moved(&b, LcoreId(2))[3], others + left);
            for lcore in (0..3).map(LcoreId) {
                let served = |key: &&Tuple| owner(&steer, key) == lcore;
                let expected: Vec<Tuple> = burst.iter().filter(served).map(|key| replies[key].reversed()).collect();
                let of_these = |t: &Tuple| expected.contains(t);
                let got: Vec<Tuple> = sent.iter().filter_map(|s| Some(tuple(&s.frame)?.0)).filter(of_these).collect();
                assert_eq!(got, expected, "{world:?}, lcore {lcore}");
            }
            assert_eq!(sent.len(), 64);
            everybody_is_at_home(&b).unwrap();
        }
    }
}

#[test]
fn a_connection_moves_to_another_number_of_lcores_unless_its_two_classes_have_two_owners_there() {
    let mut b = Bench::new(&toml(""), &Options { shards: 2, ..Options::default() });
    let class = |b: &Bench, key: &Tuple| b.gateway.lab.lcores()[0].shared.class_of(key);
    let wanted = class(&b, &Bench::key(0));
    // More clients of one class than it has ports: the last ones get ports of other classes of their lcore.
    let clients: Vec<Tuple> = (0..).map(Bench::key).filter(|k| class(&b, k) == wanted).take(600).collect();
    let replies: Vec<Tuple> = clients.iter().map(|k| establish(&mut b, *k).unwrap()).collect();
    let other_class = replies.iter().filter(|r| class(&b, r) != wanted).count();
    assert_eq!(other_class, 600 - 504);

    let refused = b.gateway.lab.restart(7, 3).unwrap();
    let steer = b.gateway.lab.steer();
    let two_owners = clients.iter().zip(&replies).filter(|(c, r)| owner(steer, c) != owner(steer, r)).count();
    assert!(two_owners > 0 && refused == two_owners, "{refused} refused, {two_owners} have two owners");
    assert_eq!(b.gateway.lab.conns(), 600 - refused);
    everybody_is_at_home(&b).unwrap();
}
