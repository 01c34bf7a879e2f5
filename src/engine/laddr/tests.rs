use super::store::PERIOD;
use super::*;
use crate::conn::tuple::Tuple;
use crate::mem::Heap;
use crate::snapshot::Pool;
use crate::stats::{LipStats, LipUse};
use crate::time::{HZ, Ticks};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

const RIP: u32 = 0xc633_640a;
const NOW: Tick = Tick(u32::MAX - 5000);

fn ip(a: u32) -> Addr {
    Be32::new(a).into()
}

/// The tuple of a server's packets to a local port.
fn reply(lip: Addr, lport: Be16) -> Tuple {
    Tuple::new(ip(RIP), lip, Be16::new(80), lport, Proto::Tcp)
}

fn steer(lcores: u8) -> Steer {
    Steer::new(Steer::key_from_seed(7), lcores).unwrap()
}

fn pool(lips: u16) -> Pool {
    let lip = |n| Lip { id: LipId(n), addr: ip(0x0a00_0000 + u32::from(n)) };
    Pool::new((1..=lips).map(lip).collect())
}

fn want(pool: &Pool, class: Class, start: u32) -> Want<'_> {
    Want { endpoint: EndpointId(3), rip: ip(RIP), rport: Be16::new(80), pool, class, start }
}

fn ports(chunks: usize, quarantines: usize, lcore: u8) -> Ports<Heap> {
    Ports::new(&Heap, chunks, quarantines, LcoreId(lcore)).unwrap()
}

/// Takes any port, but none that is unlisted: most tests are about chunks.
fn any_port(id: LeaseId, _: Lip, _: Be16) -> Word {
    word(!id.is_unlisted())
}

fn word(good: bool) -> Word {
    if good { Word::Good } else { Word::Refused }
}

/// Takes every port that there is, wanting one class after the other.
fn take_all(ports: &mut Ports<Heap>, steer: &Steer, pool: &Pool, lcore: u8) -> Vec<Lease> {
    let mut leases = Vec::new();
    for (n, class) in steer.classes_of(LcoreId(lcore)).collect::<Vec<_>>().into_iter().cycle().enumerate() {
        match ports.take(steer, &want(pool, class, (n as u32).wrapping_mul(0x9e37_79b9)), NOW, any_port) {
            Ok(lease) => leases.push(lease),
            Err(error) => {
                assert_eq!(error, NoPort::Exhausted);
                return leases;
            }
        }
    }
    leases
}

#[test]
fn all_64512_ports_of_a_lip_are_taken_once_whatever_the_number_of_lcores() {
    for lcores in [1, 2, 7, 128] {
        let (steer, pool) = (steer(lcores), pool(1));
        let mut all = HashSet::new();
        for lcore in 0..lcores {
            let mut ports = ports(128, 0, lcore);
            for lease in take_all(&mut ports, &steer, &pool, lcore) {
                assert!(all.insert(lease.lport.host()), "leased twice: {lease:?}");
                let hash = steer.hash(&reply(lease.lip.addr, lease.lport));
                assert_eq!(steer.owner(Steer::class(hash)), LcoreId(lcore));
            }
        }
        assert_eq!((all.len(), all.iter().min()), (64_512, Some(&1024)));
    }
}

#[test]
fn one_class_that_everybody_wants_reaches_every_port_of_the_lcore() {
    let (steer, pool) = (steer(1), pool(2));
    let mut ports = ports(256, 0, 0);
    for n in 0..2 * 64_512u32 {
        let lease = ports.take(&steer, &want(&pool, Class(5), n), NOW, any_port).unwrap();
        assert_eq!(lease.other_class, n >= 2 * 504);
        assert_eq!(lease.from, Origin::Free);
    }
    assert_eq!(ports.take(&steer, &want(&pool, Class(5), 1), NOW, any_port), Err(NoPort::Exhausted));
    assert_eq!(ports.stats().in_use, 2 * 64_512);
}

#[test]
fn one_lip_is_filled_before_the_next_is_opened() {
    let (steer, pool) = (steer(1), pool(50));
    let mut ports = ports(256, 0, 0);
    for n in 0..504u32 {
        ports.take(&steer, &want(&pool, Class(9), n.wrapping_mul(0x9e37_79b9)), NOW, any_port).unwrap();
        assert_eq!(ports.stats().chunks, 1);
    }
    ports.take(&steer, &want(&pool, Class(9), 4), NOW, any_port).unwrap();
    assert_eq!(ports.stats().chunks, 2);
}

#[test]
fn a_census_counts_the_ports_of_each_lip_some_chunks_a_tick() {
    let (steer, pool) = (steer(1), pool(3));
    let (mut ports, lips) = (ports(256, 256, 0), LipStats::new(4));
    let wanted = (0..1_300u32).map(|n| want(&pool, Class((n % 2) as u8), n.wrapping_mul(0x9e37_79b9)));
    let mut leases: Vec<Lease> = wanted.map(|want| ports.take(&steer, &want, NOW, any_port).unwrap()).collect();
    let mut now = NOW;
    for gone in [0, 900, leases.len() - 900] {
        for lease in leases.drain(..gone) {
            ports.give_back(lease.id, Release::Free, now);
        }
        let mut expected = [LipUse::default(); 4];
        let mut classes: HashMap<(LipId, Class), u16> = HashMap::new();
        for lease in &leases {
            let class = Steer::class(steer.hash(&reply(lease.lip.addr, lease.lport)));
            let fill = classes.entry((lease.lip.id, class)).or_default();
            *fill += 1;
            let lip = &mut expected[lease.lip.id.index()];
            (lip.taken, lip.fullest) = (lip.taken + 1, lip.fullest.max(*fill));
        }
        // A pass may be under way that began before, and one is that begins after.
        for _ in 0..3 * HZ {
            now = now + Ticks(1);
            ports.census(now, &lips, 1);
        }
        let told: [LipUse; 4] = core::array::from_fn(|n| lips.of(LipId(n as u16)));
        assert_eq!(told, expected);
    }
}

#[test]
fn a_full_endpoint_with_many_lips_costs_a_few_look_ups_a_call() {
    let (steer, pool) = (steer(1), pool(10));
    let mut ports = ports(1280, 1280, 0);
    let leases = take_all(&mut ports, &steer, &pool, 0);
    assert_eq!(leases.len(), 645_120);
    let cost = |ports: &mut Ports<Heap>, class, limit: u64| {
        let before = ports.store.finds();
        let got = ports.take(&steer, &want(&pool, Class(class), 77), NOW, any_port);
        let finds = ports.store.finds() - before;
        assert!(finds <= limit, "{finds} look-ups for {got:?}");
        got
    };
    for class in 0..128 {
        cost(&mut ports, class, 10_000).unwrap_err(); // the first time it learns
    }
    for class in 0..128 {
        assert_eq!(cost(&mut ports, class, 10), Err(NoPort::Exhausted));
    }
    // One port comes back, in whatever class, to rest or not: it is found at once, and nothing after it.
    for (n, old) in leases.iter().enumerate().step_by(997) {
        let how = if n % 2 == 0 { Release::Free } else { Release::Quarantine };
        ports.give_back(old.id, how, NOW);
        let lease = cost(&mut ports, (n % 128) as u8, 16).unwrap();
        assert_eq!((lease.id, lease.lip, lease.lport), (old.id, old.lip, old.lport));
        assert_eq!(lease.from == Origin::Free, how == Release::Free);
        assert_eq!(cost(&mut ports, (n % 128) as u8, 12), Err(NoPort::Exhausted));
    }
    assert_eq!(ports.stats().spent_endpoints, 1);
    for lease in leases {
        ports.give_back(lease.id, Release::Free, NOW);
    }
    let PortStats { in_use: 0, quarantined: 0, chunks: 0, quarantines: 0, spent_endpoints: 0, .. } = ports.stats()
    else {
        panic!("not everything came back: {:?}", ports.stats());
    };
}

#[test]
fn more_full_endpoints_than_records_are_still_exact() {
    let (steer, pool) = (steer(64), pool(1));
    let mut ports = ports(80, 80, 0);
    let mut leases = Vec::new();
    let take = |ports: &mut Ports<Heap>, endpoint, class| {
        let want = Want { endpoint: EndpointId(endpoint), ..want(&pool, Class(class), endpoint) };
        ports.take(&steer, &want, NOW, any_port)
    };
    for endpoint in 0..40 {
        for _ in 0..1008 {
            leases.push((endpoint, take(&mut ports, endpoint, 0).unwrap()));
        }
        for class in [0, 64] {
            assert_eq!(take(&mut ports, endpoint, class), Err(NoPort::Exhausted));
        }
    }
    let records = ports.stats().spent_endpoints;
    assert!(records < 40, "there are fewer records than full endpoints");
    for (n, (endpoint, lease)) in leases.iter().enumerate().step_by(101) {
        let how = if n % 2 == 0 { Release::Free } else { Release::Quarantine };
        ports.give_back(lease.id, how, NOW);
        assert_eq!(take(&mut ports, *endpoint, (n % 2) as u8 * 64).unwrap().id, lease.id);
        assert_eq!(take(&mut ports, *endpoint, 0), Err(NoPort::Exhausted));
    }
}

#[test]
fn the_order_is_free_then_another_class_then_quarantine_then_that_of_another_class() {
    let (steer, pool) = (steer(64), pool(1));
    let mut ports = ports(2, 2, 0);
    let leases = take_all(&mut ports, &steer, &pool, 0);
    let of =
        |class| leases.iter().map(|l| (l.id, class_of(&steer, l))).filter(move |l| l.1 == Class(class)).map(|l| l.0);
    let (mut own, mut other) = (of(0), of(64));
    for id in [own.next(), other.next()].into_iter().flatten() {
        ports.give_back(id, Release::Quarantine, NOW);
    }
    for id in [own.next(), other.next()].into_iter().flatten() {
        ports.give_back(id, Release::Free, NOW);
    }
    let mut take = || ports.take(&steer, &want(&pool, Class(0), 1), NOW, any_port).map(|l| (l.from, l.other_class));
    assert_eq!(take(), Ok((Origin::Free, false)));
    assert_eq!(take(), Ok((Origin::Free, true)));
    assert_eq!(take(), Ok((Origin::Quarantine, false)));
    assert_eq!(take(), Ok((Origin::Quarantine, true)));
    assert_eq!(take(), Err(NoPort::Exhausted));
}

fn class_of(steer: &Steer, lease: &Lease) -> Class {
    Steer::class(steer.hash(&reply(lease.lip.addr, lease.lport)))
}

#[test]
fn a_port_rests_at_least_60_and_at_most_120_s() {
    let (steer, pool) = (steer(128), pool(1));
    for phase in [0, 1, 1000, PERIOD.0 - 1, PERIOD.0, PERIOD.0 + 1] {
        for wait in [0, 1, PERIOD.0 - 1, PERIOD.0, 2 * PERIOD.0 - 1, 2 * PERIOD.0, 100 * PERIOD.0] {
            let mut ports = ports(1, 1, 0);
            let leases = take_all(&mut ports, &steer, &pool, 0);
            // The first begins the quarantine, the second comes into it somewhere.
            ports.give_back(leases[0].id, Release::Quarantine, NOW);
            let then = NOW + Ticks(phase);
            ports.give_back(leases[1].id, Release::Quarantine, then);
            let now = then + Ticks(wait);
            let want = want(&pool, Class(0), 0);
            let only = |_: LeaseId, _: Lip, lport| word(lport == leases[1].lport);
            let from = ports.take(&steer, &want, now, only).unwrap().from;
            match wait {
                _ if wait < PERIOD.0 => assert_eq!(from, Origin::Quarantine, "{phase} {wait}"),
                _ if wait >= 2 * PERIOD.0 => assert_eq!(from, Origin::Free, "{phase} {wait}"),
                _ => {}
            }
        }
    }
}

#[test]
fn a_port_that_need_not_rest_is_free_at_once() {
    let (steer, pool) = (steer(128), pool(1));
    let mut ports = ports(1, 1, 0);
    let leases = take_all(&mut ports, &steer, &pool, 0);
    ports.give_back(leases[9].id, Release::Free, NOW);
    let lease = ports.take(&steer, &want(&pool, Class(0), 0), NOW, any_port).unwrap();
    assert_eq!((lease.id, lease.from), (leases[9].id, Origin::Free));
}

#[test]
fn of_ports_in_quarantine_the_older_ones_go_first() {
    let (steer, pool) = (steer(128), pool(1));
    let mut ports = ports(1, 1, 0);
    let leases = take_all(&mut ports, &steer, &pool, 0);
    ports.give_back(leases[0].id, Release::Quarantine, NOW);
    ports.give_back(leases[1].id, Release::Quarantine, NOW + PERIOD);
    let lease = ports.take(&steer, &want(&pool, Class(0), 0), NOW + PERIOD, any_port).unwrap();
    assert_eq!((lease.id, lease.from), (leases[0].id, Origin::Quarantine));
}

#[test]
fn without_a_quarantine_left_a_port_is_free_at_once_and_counted() {
    let (steer, pool) = (steer(64), pool(1));
    let mut ports = ports(2, 1, 0);
    let mut take = |class| ports.take(&steer, &want(&pool, Class(class), 0), NOW, any_port).unwrap().id;
    let (a, b) = (take(0), take(64));
    ports.give_back(a, Release::Quarantine, NOW);
    ports.give_back(b, Release::Quarantine, NOW);
    let stats = ports.stats();
    assert_eq!((stats.quarantined, stats.quarantine_skipped, stats.chunks, stats.quarantines), (1, 1, 1, 1));
}

#[test]
fn a_sweep_ends_quarantines_within_its_budget_and_gives_the_memory_back() {
    let (steer, pool) = (steer(1), pool(1));
    let mut ports = ports(100, 100, 0);
    for class in 0..100 {
        let lease = ports.take(&steer, &want(&pool, Class(class), 0), NOW, any_port).unwrap();
        ports.give_back(lease.id, Release::Quarantine, NOW);
    }
    assert_eq!((ports.stats().chunks, ports.stats().quarantined), (100, 100));
    let end = NOW + PERIOD + PERIOD;
    ports.sweep(end - Ticks(1), 1000);
    assert_eq!(ports.stats().quarantined, 100);
    for left in [70, 40, 10, 0, 0] {
        ports.sweep(end, 30);
        assert_eq!((ports.stats().quarantined, ports.stats().chunks), (left, left as u32));
    }
    assert_eq!(ports.stats().quarantines, 0);
}

#[test]
fn a_lip_that_is_the_server_itself_is_never_used() {
    let mut lips = pool(3).lips().to_vec();
    lips[1].addr = ip(RIP);
    let (steer, mut pool) = (steer(128), Pool::new(lips));
    let mut ports = ports(3, 0, 0);
    let leases = take_all(&mut ports, &steer, &pool, 0);
    assert_eq!(leases.len(), 2 * 504);
    assert!(leases.iter().all(|l| l.lip.addr != ip(RIP)));
    pool = Pool::new(vec![pool.lips()[1]]);
    assert_eq!(ports.take(&steer, &want(&pool, Class(0), 0), NOW, any_port), Err(NoPort::Exhausted));
}

#[test]
fn a_pool_without_addresses_is_exhausted() {
    let steer = steer(1);
    let got = ports(3, 0, 0).take(&steer, &want(&Pool::default(), Class(0), 5), NOW, any_port);
    assert_eq!(got, Err(NoPort::Exhausted));
}

#[test]
fn two_pools_that_share_a_lip_never_lease_the_same_port() {
    let (steer, all) = (steer(64), pool(3));
    let (a, b) = (Pool::new(all.lips()[..2].to_vec()), Pool::new(all.lips()[1..].to_vec()));
    let mut ports = ports(6, 0, 0);
    let mut seen = HashSet::new();
    let mut exhausted = [false; 2];
    for n in 0.. {
        let (side, pool) = if n % 2 == 0 { (0, &a) } else { (1, &b) };
        match ports.take(&steer, &want(pool, Class(0), n), NOW, any_port) {
            Ok(lease) => {
                assert!(!exhausted[side]);
                assert!(pool.lips().contains(&lease.lip));
                assert!(seen.insert((lease.lip.id, lease.lport.host())));
            }
            Err(error) => {
                assert_eq!(error, NoPort::Exhausted);
                exhausted[side] = true;
                if exhausted == [true; 2] {
                    break;
                }
            }
        }
    }
    assert_eq!(seen.len(), 3 * 2 * 504);
}

#[test]
fn when_all_chunks_are_used_up_ports_are_unlisted_then_other_classes_help_and_then_it_says_so() {
    let (steer, pool) = (steer(64), pool(1));
    let mut ports = ports(1, 0, 0);
    let first = ports.take(&steer, &want(&pool, Class(0), 0), NOW, any_port).unwrap();
    let (mut seen, mut unlisted) = (HashSet::new(), Vec::new());
    for n in 0..100u32 {
        let take = |ports: &mut Ports<Heap>, lport: &mut dyn FnMut(Be16) -> bool| {
            let start = n.wrapping_mul(0x85eb_ca6b);
            ports.take(&steer, &want(&pool, Class(64), start), NOW, |_, _, port| word(lport(port)))
        };
        let lease = take(&mut ports, &mut |port| seen.insert(port)).unwrap();
        assert!(lease.id.is_unlisted());
        assert_eq!((lease.from, lease.other_class), (Origin::Free, false));
        assert_eq!((class_of(&steer, &lease), ports.class(lease.id)), (Class(64), Class(64)));
        unlisted.push(lease.id);
    }
    assert_eq!((ports.stats().in_use, ports.stats().unlisted), (101, 100));
    // The caller likes no other.
    let elsewhere = |id: LeaseId, _, _| word(!id.is_unlisted());
    assert!(ports.take(&steer, &want(&pool, Class(64), 7), NOW, elsewhere).unwrap().other_class);
    for n in 2..504 {
        ports.take(&steer, &want(&pool, Class(0), n), NOW, elsewhere).unwrap();
    }
    for class in [0, 64] {
        assert_eq!(ports.take(&steer, &want(&pool, Class(class), 1), NOW, elsewhere), Err(NoPort::NoMemory));
    }
    let got = ports.adopt(&steer, EndpointId(4), ip(1), Be16::new(1), pool.lips()[0], own_port(&steer, 1, 1), NOW);
    assert_eq!(got.map(LeaseId::is_unlisted), Ok(true));
    assert_eq!(ports.stats().chunks, 1);
    for id in unlisted.into_iter().chain(got) {
        ports.give_back(id, Release::Quarantine, NOW);
    }
    let stats = ports.stats();
    assert_eq!((stats.in_use, stats.unlisted, stats.quarantined, stats.bad_release), (504, 0, 0, 0));
    ports.give_back(first.id, Release::Free, NOW);
    assert_eq!(ports.stats().in_use, 503);
}

/// A port of lcore 0 towards (rip, rport).
fn own_port(steer: &Steer, rip: u32, rport: u16) -> Be16 {
    let base = steer.base(ip(rip), Be16::new(rport), pool(1).lips()[0].addr);
    Be16::new(steer.lport(base, Class(0), 99))
}

#[test]
fn ports_that_the_caller_refuses_are_skipped_and_stay_free() {
    let (steer, pool) = (steer(128), pool(2));
    let mut ports = ports(2, 2, 0);
    // All of the first LIP are reserved, and some of the second.
    let good = |lip: Lip, lport: Be16| lip.id == LipId(2) && !lport.host().is_multiple_of(3);
    let mut got = HashSet::new();
    let listed = |id: LeaseId, lip, lport| word(!id.is_unlisted() && good(lip, lport));
    while let Ok(lease) = ports.take(&steer, &want(&pool, Class(0), 0), NOW, listed) {
        assert!(good(lease.lip, lease.lport) && got.insert(lease.lport.host()));
    }
    let base = steer.base(ip(RIP), Be16::new(80), pool.lips()[1].addr);
    let all = (RESERVED..PORTS).filter(|i| !steer.lport(base, Class(0), *i).is_multiple_of(3)).count();
    assert_eq!(got.len(), all);
    assert_eq!(ports.stats().chunks, 1, "a chunk is not kept for ports that are refused");
    assert!(ports.take(&steer, &want(&pool, Class(0), 0), NOW, any_port).is_ok());
}

#[test]
fn a_restored_connection_gets_its_own_port_or_hears_why_not() {
    let (steer, pool) = (steer(2), pool(1));
    let mut ports = ports(2, 2, 0);
    let lip = pool.lips()[0];
    let adopt = |ports: &mut Ports<Heap>, lport: u16, now| {
        ports.adopt(&steer, EndpointId(3), ip(RIP), Be16::new(80), lip, Be16::new(lport), now)
    };
    assert!((0..1024).all(|p| adopt(&mut ports, p, NOW) == Err(AdoptError::Reserved)));
    let base = steer.base(ip(RIP), Be16::new(80), lip.addr);
    assert_eq!(adopt(&mut ports, steer.lport(base, Class(1), 30), NOW), Err(AdoptError::Elsewhere));
    assert_eq!(ports.stats().chunks, 0);
    let lport = steer.lport(base, Class(6), 30);
    let id = adopt(&mut ports, lport, NOW).unwrap();
    assert_eq!(adopt(&mut ports, lport, NOW), Err(AdoptError::Taken));
    ports.give_back(id, Release::Quarantine, NOW);
    assert_eq!(adopt(&mut ports, lport, NOW), Ok(id));
    // Its chunk serves new connections too.
    let lease = ports.take(&steer, &want(&pool, Class(6), 3), NOW, any_port).unwrap();
    assert!(!lease.other_class && lease.lport.host() != lport);
    assert_eq!(ports.stats().chunks, 1);
}

#[test]
fn whoever_presses_out_sees_the_ports_in_use_of_one_lip_after_the_other() {
    let (steer, pool) = (steer(32), pool(3));
    let mut ports = ports(12, 12, 0);
    assert_eq!(ports.taken(&steer, &want(&pool, Class(0), 0)).count(), 0);
    let leases = take_all(&mut ports, &steer, &pool, 0);
    let by_id: HashMap<_, _> = leases.iter().map(|l| (l.id, (l.lip, l.lport))).collect();
    let mut lips = HashSet::new();
    for _ in 0..3 {
        let seen: Vec<_> = ports.taken(&steer, &want(&pool, Class(0), 0)).collect();
        assert_eq!(seen.len(), 504);
        for (id, lip, lport) in &seen {
            assert_eq!(by_id[id], (*lip, *lport));
            assert_eq!(lip.id, seen[0].1.id);
            assert_eq!(Steer::class(steer.hash(&reply(lip.addr, *lport))), Class(0));
        }
        lips.insert(seen[0].1.id);
    }
    assert_eq!(lips.len(), 3);
    // What rests is not in use.
    let class0: Vec<_> = leases.iter().filter(|l| class_of(&steer, l) == Class(0)).collect();
    for lease in &class0 {
        ports.give_back(lease.id, Release::Quarantine, NOW);
    }
    assert_eq!(ports.taken(&steer, &want(&pool, Class(0), 0)).count(), 0);
    let other = leases.iter().find(|l| class_of(&steer, l) != Class(0)).unwrap();
    assert_eq!(ports.class(other.id), class_of(&steer, other));
    assert_eq!(ports.taken(&steer, &want(&pool, class_of(&steer, other), 0)).count(), 504);
}

#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "is not taken"))]
fn a_port_that_is_not_taken_cannot_be_given_back() {
    let (steer, pool) = (steer(128), pool(1));
    let mut ports = ports(1, 1, 0);
    let id = ports.take(&steer, &want(&pool, Class(0), 0), NOW, any_port).unwrap().id;
    ports.give_back(id, Release::Quarantine, NOW);
    for id in [id, LeaseId::NONE, LeaseId(511), LeaseId(512 * 7 + 99), LeaseId(u32::MAX)] {
        ports.give_back(id, Release::Free, NOW);
    }
    assert_eq!(ports.stats().bad_release, 5);
}

/// A caller who knows what he has, by LIP and port, towards one endpoint.
#[derive(Default)]
struct Caller(HashMap<(LipId, u16), LeaseId>);

impl Caller {
    fn take(&mut self, ports: &mut Ports<Heap>, steer: &Steer, want: &Want<'_>, now: Tick) -> Result<Lease, NoPort> {
        let held = &mut self.0;
        let lease = ports.take(steer, want, now, |id, lip, lport| match held.get_mut(&(lip.id, lport.host())) {
            None => Word::Good,
            Some(other) if other.is_unlisted() && !id.is_unlisted() => {
                *other = id;
                Word::Listed
            }
            Some(_) => Word::Refused,
        })?;
        assert!(held.insert((lease.lip.id, lease.lport.host()), lease.id).is_none(), "taken twice: {lease:?}");
        assert_eq!(ports.class(lease.id), class_of(steer, &lease));
        Ok(lease)
    }
}

#[test]
fn few_ports_in_a_minute_are_not_listed_and_more_are() {
    let (steer, pool) = (steer(1), pool(6));
    let mut ports = ports(256, 64, 0);
    let few = 5 * SPARSE as u64;
    let mut caller = Caller::default();
    let mut take = |ports: &mut Ports<Heap>, n: u32| {
        let want = want(&pool, Class(9), n.wrapping_mul(0x9e37_79b9));
        caller.take(ports, &steer, &want, NOW).unwrap()
    };
    let leases: Vec<Lease> = (0..few as u32).map(|n| take(&mut ports, n)).collect();
    assert!(leases.iter().all(|l| l.id.is_unlisted() && l.from == Origin::Free && !l.other_class));
    assert_eq!((ports.stats().unlisted, ports.stats().chunks), (few, 0));
    assert!(leases.iter().map(|l| l.lip.id).collect::<HashSet<_>>().len() > 3, "all LIPs have their share");
    let listed = take(&mut ports, 99);
    assert!(!listed.id.is_unlisted());
    assert_eq!((ports.stats().in_use, ports.stats().unlisted, ports.stats().chunks), (few + 1, few, 1));
    for lease in leases {
        ports.give_back(lease.id, Release::Quarantine, NOW);
    }
    assert_eq!((ports.stats().in_use, ports.stats().unlisted, ports.stats().quarantined), (1, 0, 0));
    // As long as there is a chunk, ports are listed; afterwards few are not.
    for _ in 0..60 * crate::time::HZ {
        ports.sweep(NOW, 0);
    }
    assert!(!take(&mut ports, 100).id.is_unlisted());
    let mut others = Caller::default();
    assert!(others.take(&mut ports, &steer, &want(&pool, Class(8), 1), NOW).unwrap().id.is_unlisted());
}

#[test]
fn a_pool_of_one_address_has_all_its_ports_listed() {
    let (steer, pool) = (steer(1), pool(1));
    let mut ports = ports(256, 64, 0);
    let mut caller = Caller::default();
    assert!(!caller.take(&mut ports, &steer, &want(&pool, Class(3), 5), NOW).unwrap().id.is_unlisted());
}

#[test]
fn every_port_is_taken_once_also_of_those_that_were_not_listed_and_a_full_endpoint_is_found_full_at_little_cost() {
    let (steer, pool) = (steer(32), pool(3));
    let mut ports = ports(64, 64, 0);
    let mut caller = Caller::default();
    let mut take = |ports: &mut Ports<Heap>, n: u32| {
        let class = Class((n % 4 * 32) as u8);
        caller.take(ports, &steer, &want(&pool, class, n.wrapping_mul(0x9e37_79b9)), NOW)
    };
    // Over many minutes, so that many are unlisted.
    for n in 0..3 * 4 * 504 {
        for _ in 0..600 {
            ports.sweep(NOW, 0);
        }
        take(&mut ports, n).unwrap();
    }
    for n in 0..4 {
        assert_eq!(take(&mut ports, n), Err(NoPort::Exhausted));
    }
    assert_eq!((ports.stats().in_use, ports.stats().unlisted), (3 * 4 * 504, 0), "a search has listed all of them");
    let before = ports.store.finds();
    assert_eq!(take(&mut ports, 77), Err(NoPort::Exhausted));
    assert!(ports.store.finds() - before <= 10);
    for id in caller.0.into_values() {
        ports.give_back(id, Release::Free, NOW);
    }
    let stats = ports.stats();
    assert_eq!((stats.in_use, stats.unlisted, stats.chunks, stats.spent_endpoints, stats.bad_release), (0, 0, 0, 0, 0));
}

#[test]
fn a_search_that_lists_ports_of_two_lips_and_takes_none_leaves_every_other_port_to_be_found() {
    // With 128 lcores there is no other class to look in.
    let (steer, pool, class) = (steer(128), pool(2), Class(0));
    let mut ports = ports(16, 4, 0);
    let mut caller = Caller::default();
    for start in 0..4 {
        caller.take(&mut ports, &steer, &want(&pool, class, start * 0x1000_0001), NOW).unwrap();
    }
    let lips: HashSet<LipId> = caller.0.keys().map(|(lip, _)| *lip).collect();
    assert_eq!((lips.len(), ports.stats().unlisted), (2, 4), "each has ports that are not listed");
    let nothing = |caller: &mut Caller, ports: &mut Ports<Heap>| {
        ports.take(&steer, &want(&pool, class, 9), NOW, |id, lip, lport| {
            match caller.0.get_mut(&(lip.id, lport.host())) {
                Some(other) if other.is_unlisted() && !id.is_unlisted() => {
                    *other = id;
                    Word::Listed
                }
                Some(_) | None => Word::Refused,
            }
        })
    };
    for _ in 0..2 {
        assert_eq!(nothing(&mut caller, &mut ports), Err(NoPort::Exhausted));
    }
    assert_eq!((ports.stats().unlisted, ports.stats().chunks, ports.store.groups.used()), (0, 2, 1));
    for lip in lips {
        caller.0.retain(|(other, _), id| {
            if *other == lip {
                ports.give_back(*id, Release::Free, NOW);
            }
            *other != lip
        });
        let of_lip = ports.take(&steer, &want(&pool, class, 9), NOW, |_, l, _| word(l.id == lip)).unwrap();
        assert_eq!(of_lip.lip.id, lip);
    }
}

#[test]
fn lone_connections_of_640000_servers_and_lcores_fit_in_100_mb_and_take_no_chunks() {
    let memory = crate::testkit::Counted::default();
    // 10,000 servers on each of 64 lcores.
    let mut ports = Ports::new(&memory, 8_192, 0, LcoreId(5)).unwrap();
    assert!(memory.0.get() * 64 <= 100_000_000, "{} bytes", memory.0.get());
    let (steer, pool) = (steer(64), pool(100));
    for n in 0..10_000 {
        let want = Want { endpoint: EndpointId(n), ..want(&pool, Class(5 + 64 * (n % 2) as u8), n * 31) };
        ports.take(&steer, &want, NOW, |_, _, _| Word::Good).unwrap();
    }
    assert_eq!((ports.stats().unlisted, ports.stats().chunks), (10_000, 0));
}

#[derive(Clone, Debug)]
enum Op {
    Take { endpoint: u32, class: u8, start: u32 },
    Give { which: usize, rest: bool },
    Adopt { which: usize },
    Wait(u32),
    Sweep(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (0u32..2, 0u8..8, any::<u32>()).prop_map(|(endpoint, class, start)| Op::Take { endpoint, class, start }),
        8 => (any::<usize>(), any::<bool>()).prop_map(|(which, rest)| Op::Give { which, rest }),
        1 => any::<usize>().prop_map(|which| Op::Adopt { which }),
        2 => prop_oneof![0u32..300, PERIOD.0 - 2..PERIOD.0 + 2, 0..3 * PERIOD.0].prop_map(Op::Wait),
        1 => (0usize..10).prop_map(Op::Sweep),
    ]
}

type Port = (EndpointId, LipId, u16);

/// Runs operations against a model of sets. `modulus` thins out the ports that the caller likes, so that a short run
/// comes to their end; with `fill` they are all taken first.
fn run(ops: Vec<Op>, modulus: u16, fill: bool, quarantines: usize) -> Result<(), TestCaseError> {
    let (steer, pool) = (steer(32), pool(2));
    let mut ports = ports(2 * 2 * 4, quarantines, 0);
    let (mut held, mut now): (HashMap<Port, LeaseId>, Tick) = (HashMap::new(), NOW);
    // Given back to rest, and when.
    let mut rested: HashMap<Port, Tick> = HashMap::new();
    let mut order: Vec<Port> = Vec::new();
    let all: HashSet<(LipId, u16)> = pool
        .lips()
        .iter()
        .flat_map(|lip| (1024..=u16::MAX).map(move |p| (*lip, p)))
        .filter(|(lip, p)| {
            let class = Steer::class(steer.hash(&reply(lip.addr, Be16::new(*p))));
            p % modulus == 0 && steer.owner(class) == LcoreId(0)
        })
        .map(|(lip, p)| (lip.id, p))
        .collect();
    let first =
        (0..if fill { all.len() as u32 } else { 0 }).map(|n| Op::Take { endpoint: 0, class: n as u8 % 4, start: n });
    for op in first.chain(ops) {
        match op {
            Op::Take { endpoint, class, start } => {
                let class = Class(class % 4 * 32);
                let want = Want { endpoint: EndpointId(endpoint), ..want(&pool, class, start) };
                let of = |p: &&Port| p.0 == want.endpoint;
                let skipped = ports.stats().quarantine_skipped > 0;
                let taken = ports.take(&steer, &want, now, |id, lip, lport| {
                    let other = held.get_mut(&(want.endpoint, lip.id, lport.host()));
                    match other.filter(|_| lport.host().is_multiple_of(modulus)) {
                        Some(other) if other.is_unlisted() && !id.is_unlisted() => {
                            *other = id;
                            Word::Listed
                        }
                        other => word(other.is_none() && lport.host().is_multiple_of(modulus)),
                    }
                });
                match taken {
                    Ok(lease) => {
                        let port = (want.endpoint, lease.lip.id, lease.lport.host());
                        prop_assert!(all.contains(&(port.1, port.2)), "not ours: {:?}", lease);
                        prop_assert!(held.insert(port, lease.id).is_none(), "leased twice: {:?}", lease);
                        order.push(port);
                        prop_assert_eq!(lease.other_class, class_of(&steer, &lease) != class);
                        match (lease.from, rested.remove(&port)) {
                            (Origin::Free, Some(then)) => prop_assert!(skipped || now.since(then) >= PERIOD),
                            (Origin::Free, None) => {}
                            (Origin::Quarantine, None) => prop_assert!(false, "it did not rest"),
                            (Origin::Quarantine, Some(then)) => {
                                prop_assert!(now.since(then).0 < 2 * PERIOD.0);
                                // Nothing else was free: all that is not held rests.
                                let busy = held.keys().chain(rested.keys()).filter(of).count();
                                prop_assert_eq!(busy, all.len());
                            }
                        }
                    }
                    Err(error) => {
                        prop_assert_eq!(error, NoPort::Exhausted);
                        prop_assert_eq!(held.keys().filter(of).count(), all.len(), "there was one more");
                    }
                }
            }
            Op::Give { which, rest } if !order.is_empty() => {
                let port = order.swap_remove(which % order.len());
                let skipped = ports.stats().quarantine_skipped;
                let how = if rest { Release::Quarantine } else { Release::Free };
                let id = held.remove(&port).unwrap();
                ports.give_back(id, how, now);
                if rest && !id.is_unlisted() && ports.stats().quarantine_skipped == skipped {
                    rested.insert(port, now);
                }
            }
            Op::Adopt { which } => {
                let (lip, lport) = *all.iter().min_by_key(|p| (p.1 as usize).wrapping_mul(31) ^ which).unwrap();
                let lip = *pool.lips().iter().find(|l| l.id == lip).unwrap();
                let port = (EndpointId(1), lip.id, lport);
                let got = ports.adopt(&steer, port.0, ip(RIP), Be16::new(80), lip, Be16::new(lport), now);
                let other = held.get(&port);
                prop_assert_eq!(got.err(), other.filter(|id| !id.is_unlisted()).map(|_| AdoptError::Taken));
                if let (Ok(id), Some(_)) = (got, other) {
                    // It is for the caller to know that an unlisted one is taken.
                    ports.give_back(id, Release::Free, now);
                } else if let Ok(id) = got {
                    held.insert(port, id);
                    order.push(port);
                    rested.remove(&port);
                }
            }
            Op::Wait(ticks) => now = now + Ticks(ticks),
            Op::Sweep(budget) => ports.sweep(now, budget),
            Op::Give { .. } => {}
        }
        prop_assert_eq!(ports.stats().in_use, held.len() as u64);
        prop_assert!(ports.stats().quarantined <= rested.len() as u64);
    }
    for id in held.into_values() {
        ports.give_back(id, Release::Quarantine, now);
    }
    ports.sweep(now + PERIOD + PERIOD, quarantines);
    let stats = ports.stats();
    prop_assert_eq!((stats.in_use, stats.quarantined, stats.chunks, stats.quarantines), (0, 0, 0, 0));
    prop_assert_eq!((stats.spent_endpoints, stats.bad_release), (0, 0));
    prop_assert_eq!(ports.store.groups.used(), 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_port_is_leased_twice_and_all_come_back_when_few_are_liked(
        ops in proptest::collection::vec(op(), 1..500),
        modulus in prop_oneof![Just(199u16), Just(499)],
        quarantines in 0usize..17,
    ) {
        run(ops, modulus, false, quarantines)?;
    }

    #[test]
    fn no_port_is_leased_twice_and_all_come_back_when_all_are_in_use(
        ops in proptest::collection::vec(op(), 1..300), quarantines in 0usize..17,
    ) {
        run(ops, 1, true, quarantines)?;
    }
}
