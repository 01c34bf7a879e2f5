//! Captures: which frames, as what, in either family; and that nothing is different with one.

use super::bench::*;
use gatun::replay::Options;
use gatun_engine::addr::{Be16, LcoreId, NeighborId, PortId};
use gatun_engine::frame::{Buffer, Meta};
use gatun_engine::lcore::capture::{AT_ONCE, Capture, End, Filter, Point, Points, Protocol, Seen, Sink};
use gatun_engine::lcore::{Batch, Io, Punt, Source};
use gatun_engine::testkit::lab::{Buf, Lcore};
use gatun_engine::testkit::{Packet, World, text};
use gatun_engine::verdict::{DropReason, Verdict};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

const CLIENT: &str = "198.18.1.7:40000";
const OTHER: &str = "198.18.1.8:40000";

/// What was captured.
#[derive(Clone, Default)]
struct Film(Arc<Mutex<Reel>>);

#[derive(Default)]
struct Reel {
    frames: Vec<(Seen, Vec<u8>)>,
    over: bool,
}

impl Sink for Film {
    fn put(&mut self, seen: &Seen, bytes: &[u8]) {
        self.0.lock().unwrap().frames.push((*seen, bytes.to_vec()));
    }
    fn is_over(&self) -> bool {
        self.0.lock().unwrap().over
    }
}

impl Film {
    /// What was captured since, each as point, port and sentence.
    fn develop(&self) -> Vec<(Point, PortId, String)> {
        let frames = std::mem::take(&mut self.0.lock().unwrap().frames);
        frames.into_iter().map(|(seen, bytes)| (seen.point, seen.port, text::frame(&bytes))).collect()
    }

    /// The same, without what the frames say.
    fn points(&self) -> Vec<(Point, PortId)> {
        self.develop().into_iter().map(|(point, port, _)| (point, port)).collect()
    }
}

fn everything(points: Points) -> Filter {
    Filter { points, port: None, protocol: None, ends: Default::default() }
}

/// The first lcore begins to capture.
fn begin(lcore: &mut Lcore, filter: Filter, snaplen: usize) -> Film {
    let film = Film::default();
    assert!(lcore.capture(Box::new(Capture::new(filter, snaplen, Box::new(film.clone())))).is_ok());
    film
}

fn film(b: &mut Bench, filter: Filter) -> Film {
    begin(&mut b.gateway.lab.lcores_mut()[0], filter, 2_048)
}

fn end(text: &str) -> End {
    match text.parse::<SocketAddr>() {
        Ok(both) => End { addr: both.ip().into(), port: Some(Be16::new(both.port())) },
        Err(_) => End { addr: text.parse::<std::net::IpAddr>().unwrap().into(), port: None },
    }
}

#[test]
fn a_packet_is_seen_as_it_came_and_as_it_went() {
    for world in [World::V4, World::V6, World::Nat64] {
        let mut b = Bench::of(world, &toml(""), &Options::default());
        let (client, web) = (world.text(CLIENT), world.text(WEB));
        let film = film(&mut b, everything(Points::Both));
        let (server, local) = b.establish(&client, &web);
        let frames = film.develop();
        let way = |port_in, port_out| [(Point::Received, port_in), (Point::Sent, port_out)];
        let expected = [way(WAN, LAN), way(LAN, WAN), way(WAN, LAN)].concat();
        assert_eq!(frames.iter().map(|(point, port, _)| (*point, *port)).collect::<Vec<_>>(), expected, "{world:?}");
        assert!(frames[0].2.starts_with(&format!("tcp {client} > {web} [S]")), "{frames:?}");
        assert!(frames[1].2.starts_with(&format!("tcp {local} > {server} [S]")), "{frames:?}");
    }
}

#[test]
fn every_condition_of_a_filter_counts_and_ends_are_looked_for_in_both_directions() {
    use Point::{Received as R, Sent as S};
    for world in [World::V4, World::V6, World::Nat64] {
        let (client, other, web) = (world.text(CLIENT), world.text(OTHER), world.text(WEB));
        let client_alone = world.text("198.18.1.7");
        let all = || everything(Points::Both);
        let ends = |ends: &[&str]| Filter { ends: ends.iter().map(|e| end(e)).collect(), ..all() };
        let table: Vec<(Filter, Vec<(Point, PortId)>)> = vec![
            (everything(Points::Received), vec![(R, WAN), (R, LAN), (R, WAN)]),
            (everything(Points::Sent), vec![(S, LAN), (S, WAN), (S, LAN)]),
            (Filter { port: Some(LAN), ..all() }, vec![(S, LAN), (R, LAN), (S, LAN)]),
            (Filter { port: Some(PortId(9)), ..all() }, vec![]),
            (ends(&[&client]), vec![(R, WAN), (S, WAN), (R, WAN)]),
            (ends(&[&client_alone]), vec![(R, WAN), (S, WAN), (R, WAN)]),
            (ends(&[&client, &web]), vec![(R, WAN), (S, WAN), (R, WAN)]),
            (ends(&[&web, &client_alone]), vec![(R, WAN), (S, WAN), (R, WAN)]),
            (ends(&[&client, &client]), vec![]),
            (ends(&[&other]), vec![]),
            (
                Filter { protocol: Some(Protocol::Tcp), points: Points::Received, ..ends(&[&web]) },
                vec![(R, WAN), (R, WAN)],
            ),
            (Filter { protocol: Some(Protocol::Udp), ..all() }, vec![]),
            (everything(Points::Dropped(None)), vec![]),
        ];
        for (filter, expected) in table {
            let mut b = Bench::of(world, &toml(""), &Options::default());
            let film = film(&mut b, filter.clone());
            b.establish(&client, &web);
            assert_eq!(film.points(), expected, "{world:?} {filter:?}");
        }
    }
}

#[test]
fn the_protocol_of_icmp_is_that_of_either_family_and_what_is_no_ip_has_no_ends() {
    for (ping, vip) in [("198.18.1.7", "198.18.1.100"), ("2001:db8:1::7", "2001:db8:1::100")] {
        let mut b = Bench::new(&both(""), &Options::default());
        let icmp = film(&mut b, Filter { protocol: Some(Protocol::Icmp), ..everything(Points::Received) });
        let of_vip = film(&mut b, Filter { ends: [end(vip)].into_iter().collect(), ..everything(Points::Received) });
        b.packet(WAN, Packet::icmp_echo(ping, vip, 1, 1));
        b.packet(WAN, Packet::arp_request("02:00:00:00:00:09", "198.18.1.7", "198.18.1.100"));
        assert_eq!((icmp.develop().len(), of_vip.develop().len()), (1, 1));
    }
}

#[test]
fn a_dropped_frame_is_seen_with_its_reason_and_by_no_other() {
    for world in [World::V4, World::V6] {
        let mut b = Bench::of(world, &toml(""), &Options::default());
        let one = film(&mut b, everything(Points::Dropped(Some(DropReason::TcpNoConnection))));
        let any = film(&mut b, everything(Points::Dropped(None)));
        let ack = Packet::tcp(&world.text(CLIENT), &world.text(WEB)).flags("A");
        assert_eq!(b.packet(WAN, ack).verdict, Verdict::Drop(DropReason::TcpNoConnection));
        let elsewhere = Packet::udp(&world.text(CLIENT), &world.text("203.0.113.9:53"));
        assert_eq!(b.packet(WAN, elsewhere).verdict, Verdict::Drop(DropReason::NotLocal));
        let dropped = |reason| (Point::Dropped(reason), WAN);
        assert_eq!(one.points(), [dropped(DropReason::TcpNoConnection)]);
        assert_eq!(any.points(), [dropped(DropReason::TcpNoConnection), dropped(DropReason::NotLocal)]);
    }
}

#[test]
fn frames_are_cut_and_say_how_long_they_were() {
    let mut b = Bench::new(&toml(""), &Options::default());
    let lcore = &mut b.gateway.lab.lcores_mut()[0];
    let short = begin(lcore, everything(Points::Both), 40);
    let packet = Packet::udp(CLIENT, "198.18.1.100:53").payload(&[7; 500]);
    b.packet(WAN, packet);
    let frames = std::mem::take(&mut short.0.lock().unwrap().frames);
    let lengths: Vec<_> = frames.iter().map(|(seen, bytes)| (seen.len, bytes.len())).collect();
    assert_eq!(lengths, [(542, 40), (542, 40)]);
}

/// A port that takes so many frames of a burst, or one that another lcore sends for.
struct Narrow {
    takes: usize,
    itself: bool,
}

impl Io for Narrow {
    type Buf = Buf;
    fn spare(&mut self) -> Option<Buf> {
        None
    }
    fn send(&mut self, _: PortId, batch: &mut Batch<Buf>) {
        batch.drain(..self.takes.min(batch.len()));
    }
    fn redirect(&mut self, _: LcoreId, batch: &mut Batch<Buf>) {
        batch.clear();
    }
    fn punt(&mut self, _: Punt, _: Buf) -> Result<(), Buf> {
        Ok(())
    }
    fn wanted(&mut self, _: NeighborId) {}
    fn sends_itself(&self, _: PortId) -> bool {
        self.itself
    }
}

#[test]
fn what_a_port_does_not_take_is_not_seen_as_sent_but_as_dropped() {
    let mut b = Bench::new(&toml(""), &Options::default());
    let frames: Vec<Vec<u8>> = (0..10u8).map(|n| vec![n; 60 + usize::from(n)]).collect();
    let now = b.gateway.lab.now();
    let lcore = &mut b.gateway.lab.lcores_mut()[0];
    let sent = begin(lcore, everything(Points::Sent), 64);
    let lost = begin(lcore, everything(Points::Dropped(Some(DropReason::TxFull))), 64);
    let mut send = |io: &mut Narrow| {
        let bufs = frames.iter().map(|f| Buf::new(f, Meta { port: WAN, ..Meta::default() }));
        lcore.relay(io, LAN, bufs);
        lcore.finish(now, io);
        let of = |film: &Film| {
            let frames = std::mem::take(&mut film.0.lock().unwrap().frames);
            frames.into_iter().map(|(seen, bytes)| (seen.port, bytes[0], bytes.len())).collect::<Vec<_>>()
        };
        (of(&sent), of(&lost))
    };
    let of =
        |port, range: std::ops::Range<u8>| range.map(|n| (port, n, (60 + usize::from(n)).min(64))).collect::<Vec<_>>();
    assert_eq!(send(&mut Narrow { takes: 64, itself: true }), (of(LAN, 0..10), vec![]));
    assert_eq!(send(&mut Narrow { takes: 7, itself: true }), (of(LAN, 0..7), of(WAN, 7..10)));
    assert_eq!(send(&mut Narrow { takes: 0, itself: true }), (vec![], of(WAN, 0..10)));
    // The lcore that has the queue sees them go out.
    assert_eq!(send(&mut Narrow { takes: 64, itself: false }), (vec![], vec![]));
}

#[test]
fn a_capture_ends_when_nobody_wants_it_and_there_are_no_more_than_two() {
    let mut b = Bench::new(&toml(""), &Options::default());
    let films: Vec<Film> = (0..AT_ONCE).map(|_| film(&mut b, everything(Points::Both))).collect();
    let lcore = &mut b.gateway.lab.lcores_mut()[0];
    let more = Capture::new(everything(Points::Both), 64, Box::new(Film::default()));
    assert!(lcore.capture(Box::new(more)).is_err());
    assert!(lcore.capture_over().is_none());
    films[0].0.lock().unwrap().over = true;
    assert!(lcore.capture_over().is_some() && lcore.capture_over().is_none() && lcore.is_capturing());
    b.establish(CLIENT, WEB);
    assert_eq!((films[0].develop().len(), films[1].develop().len()), (0, 6));
    films[1].0.lock().unwrap().over = true;
    let lcore = &mut b.gateway.lab.lcores_mut()[0];
    assert!(lcore.capture_over().is_some() && !lcore.is_capturing());
}

#[test]
fn frames_of_another_lcore_are_seen_by_the_one_that_received_them() {
    let mut b = Bench::new(&toml(""), &Options::default());
    let film = film(&mut b, everything(Points::Received));
    let (mac, now) = (b.gateway.mac(WAN), b.gateway.lab.now());
    let frame = Packet::udp(CLIENT, "198.18.1.100:53").macs("02:00:00:00:00:09", mac).build();
    let mut batch: Batch<Buf> = [Buf::new(&frame, Meta { port: WAN, ..Meta::default() })].into_iter().collect();
    assert_eq!(batch[0].len(), frame.len());
    let mut io = Narrow { takes: 64, itself: true };
    b.gateway.lab.lcores_mut()[0].turn(now, &mut io, &mut batch, Source::Ring);
    assert_eq!(film.develop(), []);
}

#[test]
fn with_captures_or_without_the_same_leaves() {
    let conversation = |captured: bool| {
        let mut b = Bench::new(&both(""), &Options::default());
        if captured {
            film(&mut b, everything(Points::Both));
            film(&mut b, everything(Points::Dropped(None)));
        }
        let mut sent = Vec::new();
        for vip in [WEB, SIX, FOUR] {
            let client = if vip == WEB { CLIENT } else { "[2001:db8:9::1]:40000" };
            let (server, local) = b.establish(client, vip);
            for packet in [
                (WAN, Packet::tcp(client, vip).payload(b"question")),
                (LAN, Packet::tcp(&server, &local).payload(b"answer")),
                (WAN, Packet::tcp(client, vip).flags("FA")),
                (WAN, Packet::tcp(client, vip).ttl(1)),
                (WAN, Packet::udp(client, vip)),
            ] {
                sent.push(b.packet(packet.0, packet.1));
            }
        }
        sent
    };
    assert_eq!(conversation(true), conversation(false));
}
