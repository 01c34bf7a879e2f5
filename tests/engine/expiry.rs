//! A million connections that expire in the same tick.

use super::bench::*;
use gatun::replay::Options;
use gatun_engine::addr::{Be32, LcoreId, NeighborId, PortId, Proto};
use gatun_engine::frame::Meta;
use gatun_engine::lcore::{Batch, EXPIRE_BUDGET, Io, Punt, Source};
use gatun_engine::shard::Opening;
use gatun_engine::testkit::lab::{Buf, Lcore};
use gatun_engine::time::{HZ, Tick, Ticks};
use gatun_engine::verdict::Verdict;
use gatun_engine::wire::tcp::ACK;

const MANY: u32 = 1_000_000;

/// Takes everything and keeps nothing.
struct Nowhere;

impl Io for Nowhere {
    type Buf = Buf;
    fn spare(&mut self) -> Option<Buf> {
        None
    }
    fn send(&mut self, _: PortId, batch: &mut Batch<Buf>) {
        batch.clear();
    }
    fn redirect(&mut self, _: LcoreId, batch: &mut Batch<Buf>) {
        batch.clear();
    }
    fn punt(&mut self, _: Punt, _: Buf) -> Result<(), Buf> {
        Ok(())
    }
    fn wanted(&mut self, _: NeighborId) {}
}

/// Opens half a handshake for each client, all at once.
fn flood(lcore: &mut Lcore, now: Tick) {
    let snapshot = lcore.shared.snapshot().clone();
    let service = snapshot.services.values().find(|s| s.proto == Proto::Tcp).unwrap();
    let real = &service.reals[0];
    let next_hops = [real.addr, Be32::new(0x0A00_0001).into()].map(|a| lcore.shared.next_hop(a).unwrap());
    for n in 0..MANY {
        let client = Bench::key(n);
        let class = lcore.shared.class_of(&client);
        let key = lcore.shard.conns.key(&client);
        let hash = lcore.shard.conns.hash(&key);
        let what = Opening { client, key, hash, class, service, real, next_hops, seq: n };
        lcore.shard.open(&lcore.shared, now, &what, &mut |_| panic!("there are ports for all")).unwrap();
        while lcore.shard.next_event().is_some() {}
    }
}

#[test]
fn a_million_connections_of_one_tick_end_a_few_a_turn_while_others_go_on() {
    let toml = toml("").replace("80_000", "1_000_100").replace("198.18.2.100\"", "198.18.2.100-198.18.2.119\"");
    let mut b = Bench::new(&toml, &Options::default());
    let now = b.gateway.lab.now();
    flood(&mut b.gateway.lab.lcores_mut()[0], now);
    b.at(30);
    let other = b.open(MANY);
    let mac = b.gateway.mac(WAN);
    let lcore = &mut b.gateway.lab.lcores_mut()[0];
    let stats = lcore.shard.stats.clone();
    assert_eq!(stats.lcore.conns_now.value(), u64::from(MANY) + 1);

    let due = now + Ticks::from_secs(60);
    let mut turns = 0;
    for frames in [0, 0, 0, 1, 64].into_iter().cycle() {
        let before = stats.lcore.conns_closed.value();
        if frames > 0 {
            let frame = segment(&other.client, ACK, 1, 1, mac);
            let mut batch: Batch<Buf> =
                (0..frames).map(|_| Buf::new(&frame, Meta { port: WAN, ..Meta::default() })).collect();
            let sent = stats.lcore.tx_sent.value();
            lcore.turn(due, &mut Nowhere, &mut batch, Source::Port);
            lcore.finish(due, &mut Nowhere);
            assert_eq!(stats.lcore.tx_sent.value() - sent, frames as u64, "live connections are served meanwhile");
        } else {
            lcore.finish(due, &mut Nowhere);
        }
        let ended = stats.lcore.conns_closed.value() - before;
        assert!(ended <= (EXPIRE_BUDGET + 2 * frames) as u64, "{ended} entries in a turn of {frames} frames");
        turns += 1;
        if ended == 0 {
            break;
        }
    }
    assert!(turns <= MANY as usize / EXPIRE_BUDGET + 2, "{turns} turns");
    assert_eq!((stats.lcore.conns_now.value(), lcore.shard.conns.len()), (1, 1));

    // The ports rest, and come back: the one that goes on keeps its own.
    for tick in 1..=150 * HZ {
        lcore.finish(due + Ticks(tick), &mut Nowhere);
    }
    let ports = lcore.shard.port_stats();
    assert_eq!((ports.in_use, ports.quarantined, ports.chunks, ports.bad_release), (1, 0, 1, 0));
    assert_eq!(stats.lcore.balance(), 0);
    assert_eq!(stats.reals.iter().map(|r| r.active.value() + r.inactive.value()).sum::<u64>(), 1);
    b.at(250);
    assert_eq!(b.say(&other, false, ACK).verdict, Verdict::Tx(WAN));
}

#[test]
fn short_connections_that_are_forgotten_soon_leave_no_timer_entries_behind() {
    const A_SECOND: u32 = 1_000;
    let toml = toml("[timeouts]\nfin = 1\n").replace("80_000", "2_048");
    let mut b = Bench::new(&toml, &Options::default());
    for n in 0..30 * A_SECOND {
        let conn = b.open(n);
        b.close(&conn);
        b.gateway.lab.advance(u64::from(n + 1) * 1_000_000_000 / u64::from(A_SECOND));
        let live = b.counter(|s| s.conns_now.value());
        let timers = b.counter(|s| s.tables.timers_now.value());
        assert!(live <= 2 * u64::from(A_SECOND) && timers <= live + 100, "{timers} entries of {live} connections");
    }
    assert_eq!(b.counter(|s| s.timers_late.value()), 0);
    b.at(32);
    assert_eq!(b.counter(|s| s.conns_now.value()), 0);
}
