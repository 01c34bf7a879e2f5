//! Local ports under pressure: in what order they are taken again, and what is done so that a server accepts that.

use super::bench::*;
use gatun::replay::Options;
use gatun_engine::addr::Proto;
use gatun_engine::testkit::Packet;
use gatun_engine::testkit::build::quote;
use gatun_engine::verdict::{DropReason, Verdict};
use gatun_engine::wire::tcp::{ACK, RST, SYN};
use std::collections::HashSet;

/// Ports of one local address towards one server.
const ALL: u32 = 64_512;

#[test]
fn free_ports_first_then_rested_then_closing_then_half_open_and_never_an_established_one() {
    let mut b = Bench::new(&toml(""), &Options::default());
    // These end in order and rest.
    let rested: Vec<Conn> = (0..100).map(|n| b.open(n)).collect();
    rested.iter().for_each(|c| b.close(c));
    b.at(61);
    assert_eq!(b.gateway.lab.conns(), 0);
    assert_eq!(b.gateway.lab.lcores()[0].shard.port_stats().quarantined, 100);
    let closing: Vec<Conn> = (1_000..1_100).map(|n| b.open(n)).collect();
    closing[..50].iter().for_each(|c| b.close(c));
    closing[50..].iter().for_each(|c| b.reset(c));
    let half: Vec<Conn> = (2_000..2_100).filter_map(|n| b.syn(n).1).collect();
    b.at(62);
    let established: Vec<Conn> = (10_000..10_000 + ALL - 300).map(|n| b.open(n)).collect();
    assert_eq!(b.counter(|s| s.ports_from_quarantine.value()), 0, "free ones first");
    assert_eq!(b.gateway.lab.conns() as u32, ALL - 100);
    // Free ones of other classes were taken before any that rests.
    assert!(b.counter(|s| s.ports_other_class.value()) > 0);

    let ports = |conns: &[Conn]| conns.iter().map(|c| c.reply.dport().host()).collect::<HashSet<u16>>();
    let again: Vec<Conn> = (100_000..100_100).map(|n| b.open(n)).collect();
    assert_eq!(ports(&again), ports(&rested));
    assert_eq!(b.counter(|s| s.ports_from_quarantine.value()), 100);
    assert_eq!(b.counter(|s| s.ports_from_closing.value()), 0);

    let again: Vec<Conn> = (100_100..100_200).map(|n| b.open(n)).collect();
    assert_eq!(ports(&again), ports(&closing));
    assert_eq!(b.counter(|s| s.ports_from_closing.value()), 100);
    assert_eq!(b.counter(|s| s.ports_from_half_open.value()), 0);
    assert!(closing.iter().all(|c| !again.iter().any(|a| a.client == c.client)));

    for n in 100_200..100_300 {
        let (step, conn) = b.syn(n);
        let conn = conn.unwrap();
        // The server forgets the old half-open connection before it sees the new SYN.
        let flags: Vec<u8> = step.sent.iter().map(|s| tcp_of(s).1.flags).collect();
        assert_eq!(flags, [RST, SYN]);
        assert_eq!(tcp_of(&step.sent[0]).0, conn.reply.reversed());
        let old = half.iter().position(|h| h.reply == conn.reply).unwrap() as u32;
        assert_eq!(tcp_of(&step.sent[0]).1.seq.host(), 2_000 + old + 1);
        b.say(&conn, false, SYN | ACK);
        b.say(&conn, true, ACK);
    }
    assert_eq!(b.counter(|s| s.ports_from_half_open.value()), 100);

    let (step, conn) = b.syn(200_000);
    assert_eq!((step.verdict, conn.is_none()), (Verdict::Drop(DropReason::PortsExhausted), true));
    assert!(established.iter().step_by(97).all(|c| b.alive(c)), "no established connection was disturbed");
    assert_eq!(b.drops(DropReason::Bug), 0);
}

#[test]
fn the_oldest_of_a_class_gives_up_its_port_first() {
    let mut b = Bench::new(&toml(""), &Options::default());
    let mut closing: Vec<(Conn, u64)> = Vec::new();
    for n in 0..2_000 {
        let conn = b.open(n);
        b.close(&conn);
        if n % 100 == 99 {
            b.at(u64::from(n) / 100 + 1);
        }
        closing.push((conn, u64::from(n) / 100));
    }
    (10_000..10_000 + ALL - 2_000).for_each(|n| _ = b.open(n));
    let class = |b: &Bench, c: &Conn| b.gateway.lab.lcores()[0].shared.class_of(&c.reply);
    let mut left = closing.clone();
    for n in 100_000..101_000 {
        let conn = b.syn(n).1.unwrap();
        let at = left.iter().position(|(c, _)| c.reply == conn.reply).expect("one that was closing");
        let (old, when) = left.remove(at);
        let of = class(&b, &old);
        let older = left.iter().filter(|(c, w)| class(&b, c) == of && *w < when).count();
        assert_eq!(older, 0, "connection {n} took the port of one that closed at {when} s, and an older one was there");
    }
}

#[test]
fn every_port_comes_back_when_everything_has_ended() {
    for shards in [1, 3] {
        let mut b = Bench::new(&toml(""), &Options { shards, ..Options::default() });
        let mut taken = HashSet::new();
        for n in 0..20_000 {
            let conn = b.open(n);
            assert!(taken.insert(conn.reply), "{:?} is taken twice", conn.reply);
            match n % 3 {
                0 => b.close(&conn),
                1 => b.reset(&conn),
                _ => {}
            }
        }
        b.at(1_000);
        assert_eq!(b.gateway.lab.conns(), 0);
        b.at(1_200);
        for lcore in b.gateway.lab.lcores() {
            let ports = lcore.shard.port_stats();
            let nothing = (ports.in_use, ports.quarantined, ports.chunks, ports.quarantines, ports.bad_release);
            assert_eq!(nothing, (0, 0, 0, 0, 0), "{shards} shards");
            let s = &lcore.shard.stats.lcore;
            assert_eq!((s.conns_now.value(), s.ports_now.value()), (0, 0));
            assert_eq!(s.conns_opened.value(), s.conns_closed.value());
            assert_eq!(lcore.shard.stats.reals.iter().map(|r| r.active.value() + r.inactive.value()).sum::<u64>(), 0);
        }
    }
}

/// All ports taken but one, whose connection is in TIME_WAIT: the next SYN gets that one.
fn last_port(more: &str) -> (Bench, Conn) {
    let mut b = Bench::new(&toml(more), &Options::default());
    let old = b.open(0);
    (10_000..10_000 + ALL - 1).for_each(|n| _ = b.open(n));
    // The client's FIN has sequence number 5,000,000: the server expects 5,000,001 from now on.
    let (client, vip) = (socket(old.client.src(), old.client.sport()), WEB);
    b.packet(WAN, Packet::tcp(&client, vip).flags("FA").seq(5_000_000).ack(1));
    b.say(&old, false, gatun_engine::wire::tcp::FIN | ACK);
    (b, old)
}

/// Where the numbers of a connection begin whose port's server expects `expected`: after it, rounded up to 2 MiB.
fn above(expected: u32) -> u32 {
    expected.next_multiple_of(1 << 21) + 1
}

const NEW: &str = "198.18.1.7:40000";

fn syn(seq: u32) -> Packet {
    Packet::tcp(NEW, WEB).flags("S").seq(seq).mss(1460).sack_permitted().timestamps(100, 0)
}

#[test]
fn a_reused_port_hides_timestamps_and_raises_sequence_numbers_all_the_way() {
    let (mut b, old) = last_port("");
    let step = b.packet(WAN, syn(1_000));
    let reply = opened(&step).unwrap();
    assert_eq!(reply, old.reply);
    let (_, there) = tcp_of(&step.sent[0]);
    let raised = above(5_000_001);
    let line = gatun_engine::testkit::text::frame(&step.sent[0].frame);
    assert!(line.ends_with(&format!("[S] seq {raised} win 65535 mss 1460 sack-permitted len 0")), "{line}");
    assert_eq!(there.header_len(), 20 + 16, "the option is overwritten, not cut out");
    let (server, local) = (socket(reply.src(), reply.sport()), socket(reply.dst(), reply.dport()));
    let says = |step: &gatun_engine::testkit::lab::Step| gatun_engine::testkit::text::frame(&step.sent[0].frame);

    // Back: acknowledgements are lowered again, selective ones too; the server's own numbers stay.
    let step = b.packet(LAN, Packet::tcp(&server, &local).flags("SA").seq(9_000).ack(raised + 1).mss(1460));
    assert!(says(&step).contains("[S.] seq 9000 ack 1001 "), "{}", says(&step));
    let step = b.packet(WAN, Packet::tcp(NEW, WEB).flags("PA").seq(1_001).ack(9_001).payload(b"data"));
    assert!(says(&step).contains(&format!("[P.] seq {} ack 9001 ", raised + 1)), "{}", says(&step));
    let sack = [(raised + 11, raised + 21), (raised + 31, raised + 41)];
    let ack = || Packet::tcp(&server, &local).flags("A").seq(9_001).ack(raised + 5);
    let step = b.packet(LAN, ack().nop().nop().sack(&sack));
    assert!(says(&step).contains("ack 1005 win 65535 sack 1011-1021 1031-1041 "), "{}", says(&step));
    // Not on an even byte, and with a block that is cut.
    let step = b.packet(LAN, ack().nop().sack(&sack[..1]));
    assert!(says(&step).contains("sack 1011-1021 "), "{}", says(&step));
    // A RST without acknowledgement has none to lower.
    let quoted = b.packet(WAN, Packet::tcp(NEW, WEB).flags("A").seq(1_005).ack(9_001).payload(b"more")).sent.remove(0);
    // An error about it tells the client its own numbers.
    let error = Packet::icmp_error("198.18.2.1", "198.18.2.100", 3, 4, 1300, &quote(&quoted.frame, 1500));
    let step = b.packet(LAN, error);
    let inner = &step.sent[0].frame[14 + 20 + 8 + 20..];
    assert_eq!(u32::from_be_bytes([inner[4], inner[5], inner[6], inner[7]]), 1_005);
    // Its own FIN is remembered in the server's numbers, for the next one on this port.
    b.packet(WAN, Packet::tcp(NEW, WEB).flags("FA").seq(1_009).ack(9_001));
    b.packet(LAN, Packet::tcp(&server, &local).flags("FA").seq(9_001).ack(raised + 10));
    let step = b.packet(WAN, Packet::tcp("198.18.1.8:40000", WEB).flags("S").seq(7));
    assert_eq!(opened(&step), Some(old.reply));
    assert_eq!(tcp_of(&step.sent[0]).1.seq.host(), above(raised + 10));
    assert_eq!(b.counter(|s| s.sequence_raised.value()), 2);
    // The second SYN had no timestamps to hide.
    assert_eq!(b.counter(|s| s.timestamps_hidden.value()), 1);
}

#[test]
fn a_reused_port_leaves_a_higher_sequence_number_alone() {
    let (mut b, old) = last_port("");
    let step = b.packet(WAN, syn(above(5_000_001)));
    assert_eq!((opened(&step), tcp_of(&step.sent[0]).1.seq.host()), (Some(old.reply), above(5_000_001)));
    assert_eq!((b.counter(|s| s.sequence_raised.value()), b.counter(|s| s.timestamps_hidden.value())), (0, 1));
}

#[test]
fn settings_decide_what_a_reused_port_does() {
    for (more, seq, hidden) in [
        ("[tcp]\nraise_sequence = false", 1_000, true),
        ("[tcp]\nsyn_timestamps = \"keep\"", above(5_000_001), false),
        ("[tcp]\nsyn_timestamps = \"strip\"", above(5_000_001), true),
        ("[tcp]\nsyn_timestamps = \"keep\"\nraise_sequence = false", 1_000, false),
    ] {
        let (mut b, old) = last_port(more);
        let step = b.packet(WAN, syn(1_000));
        assert_eq!((opened(&step), tcp_of(&step.sent[0]).1.seq.host()), (Some(old.reply), seq), "{more}");
        let line = gatun_engine::testkit::text::frame(&step.sent[0].frame);
        assert_eq!(!line.contains(" ts 100/0 "), hidden, "{more}: {line}");
    }
    // A port that nobody used costs nothing, unless timestamps are always taken out.
    for (more, hidden) in [("", false), ("[tcp]\nsyn_timestamps = \"strip\"", true)] {
        let mut b = Bench::new(&toml(more), &Options::default());
        let step = b.packet(WAN, syn(1_000));
        let line = gatun_engine::testkit::text::frame(&step.sent[0].frame);
        assert_eq!((!line.contains(" ts 100/0 "), tcp_of(&step.sent[0]).1.seq.host()), (hidden, 1_000), "{line}");
    }
}

#[test]
fn ports_towards_one_server_say_nothing_about_another() {
    let more = "";
    let toml = toml(more).replace(
        "real = [{ address = \"198.18.2.11:80\" }]",
        "scheduler = \"wrr\"\nreal = [{ address = \"198.18.2.11:80\", weight = 1000 }, { address = \"198.18.2.12:80\", weight = 1000 }]",
    );
    let mut b = Bench::new(&toml, &Options::default());
    let mut taken = HashSet::new();
    // Half of them each: together more than one server has ports.
    for n in 0..70_000 {
        let (step, conn) = b.syn(n);
        let conn = conn.unwrap_or_else(|| panic!("{n}: {:?}", step.verdict));
        assert!(taken.insert((conn.reply.src(), conn.reply.dport(), Proto::Tcp)));
    }
    assert_eq!(b.counter(|s| s.ports_from_half_open.value()), 0);
}

/// A fortieth of a gateway with a table of a million under 200,000 SYNs a second: 70 s fill the table seventeen times over.
#[test]
fn honest_clients_connect_through_a_syn_flood_that_fills_the_table() {
    const SEATS: u32 = 25_000;
    let mut b = Bench::new(&toml("").replace("80_000", "25_000"), &Options::default());
    let before: Vec<Conn> = (0..500).map(|n| b.open(n)).collect();
    // Client and server each take their time to answer; meanwhile the flood goes on.
    let (mut asked, mut answered, mut open) = (None::<Conn>, None::<Conn>, Vec::new());
    for tenth in 0..700 {
        for n in 0..500 {
            b.syn(1_000_000 + tenth * 500 + n);
        }
        b.gateway.lab.advance((u64::from(tenth) + 1) * 100_000_000);
        if let Some(conn) = answered.take() {
            let step = b.say(&conn, true, ACK);
            assert!(matches!(step.verdict, Verdict::Tx(_)), "the ACK of {tenth}: {:?}", step.verdict);
            open.push(conn);
        }
        if let Some(conn) = asked.take() {
            let step = b.say(&conn, false, SYN | ACK);
            assert!(matches!(step.verdict, Verdict::Tx(_)), "the SYN-ACK of {tenth}: {:?}", step.verdict);
            answered = Some(conn);
        }
        let (step, conn) = b.syn(10_000 + tenth);
        asked = Some(conn.unwrap_or_else(|| panic!("the SYN of {tenth}: {:?}", step.verdict)));
    }
    assert_eq!(open.len(), 698);
    assert!(b.counter(|s| s.seats_from_half_open.value()) > 10 * u64::from(SEATS), "the table was full");
    assert!(before.iter().chain(&open).all(|c| b.alive(c)), "no established connection was disturbed");
    assert_eq!((b.drops(DropReason::TableFull), b.drops(DropReason::Bug)), (0, 0));
}

#[test]
fn a_full_table_takes_seats_of_closing_and_half_open_connections_never_of_an_established_one() {
    let mut b = Bench::new(&toml("").replace("80_000", "300"), &Options::default());
    let conns: Vec<Conn> = (0..100).map(|n| b.open(n)).collect();
    let closing: Vec<Conn> = (100..200).map(|n| b.open(n)).collect();
    closing.iter().for_each(|c| b.close(c));
    (200..300).for_each(|n| _ = b.syn(n));
    for n in 1_000..1_200 {
        let conn = b.open(n);
        assert!(b.alive(&conn));
    }
    assert_eq!(b.counter(|s| s.seats_from_half_open.value()), 100);
    assert_eq!(b.counter(|s| s.seats_from_closing.value()), 100);
    let (step, _) = b.syn(5_000);
    assert_eq!(step.verdict, Verdict::Drop(DropReason::TableFull));
    assert!(conns.iter().all(|c| b.alive(c)));
}

#[test]
fn few_connections_to_each_of_many_servers_take_no_memory_for_ports_or_open_although_there_is_none_left() {
    let servers: Vec<String> = (20..220).map(|n| format!("{{ address = \"198.18.2.{n}:80\" }}")).collect();
    let text = toml("")
        .replacen("{ address = \"198.18.2.11:80\" }", &servers.join(", "), 1)
        .replace("reals = 16", "reals = 256");
    // Some 22,000 pairs of server and class. With one local address the ports of each are listed, and there is memory for
    // 8,192 of them; with ten, two ports of a pair are few.
    for (pool, unlisted) in [("198.18.2.240", 10_000..45_000), ("198.18.2.240-198.18.2.249", 50_000..50_001)] {
        let mut b = Bench::new(&text.replace("198.18.2.100\"", &format!("{pool}\"")), &Options::default());
        let mut replies = HashSet::new();
        for n in 0..50_000 {
            let conn = b.open(n);
            assert!(replies.insert(conn.reply), "{} is taken twice", conn.reply);
        }
        let taken = b.counter(|s| s.ports_unlisted.value());
        assert!(unlisted.contains(&taken), "{taken} unlisted");
        let ports = b.gateway.lab.lcores()[0].shard.port_stats();
        assert_eq!((ports.in_use, ports.unlisted), (50_000, taken));
        assert_eq!(b.counter(|s| s.ports_other_class.value()), 0);
        b.at(3_000);
        let ports = b.gateway.lab.lcores()[0].shard.port_stats();
        let nothing = (ports.in_use, ports.unlisted, ports.quarantined, ports.chunks, ports.bad_release);
        assert_eq!((b.gateway.lab.conns(), nothing), (0, (0, 0, 0, 0, 0)));
    }
}
