//! The index under load, and under the eyes of somebody who knows the code.

use gatun_engine::addr::{Be16, Be32, Proto};
use gatun_engine::conn::index::Index;
use gatun_engine::conn::key::{Key, Secret, SplitMix};
use gatun_engine::testkit::Counted;
use std::cell::Cell;

/// Tuples of each kind that a flood is made of.
const FLOOD: u32 = 65_536;

/// An index for so many entries, and how many would fill it to the last seat: buckets are all that it has.
fn index(entries: usize) -> (Index<Counted>, usize) {
    let memory = Counted::default();
    let index = Index::new(&memory, entries).unwrap();
    (index, memory.0.get() / 64 * 8)
}

fn random(i: u32) -> u64 {
    SplitMix(u64::from(i) << 20 ^ 0x5EED).next()
}

#[test]
fn no_insert_fails_below_90_percent_whatever_the_size() {
    for entries in [10_007, 99_991, 1_000_003, 1_300_021] {
        let (mut index, seats) = index(entries);
        assert!(!(seats / 8).is_power_of_two());
        let most = (seats * 90 / 100) as u32;
        for i in 0..most {
            assert!(index.insert(random(i), i).is_ok(), "entry {i} of {seats} seats");
        }
        assert_eq!(index.len(), most as usize);
        assert!((0..most).all(|i| index.find(random(i), |e| e == i) == Some(i)));
    }
}

#[test]
fn at_90_percent_entries_come_and_go_for_several_times_the_table_and_no_insert_fails() {
    let (mut index, seats) = index(100_003);
    let most = (seats * 90 / 100) as u32;
    for i in 0..most {
        index.insert(random(i), i).unwrap();
    }
    let mut chance = SplitMix(1);
    let mut held: Vec<u32> = (0..most).collect();
    for i in most..most + 5 * seats as u32 {
        let at = chance.next() as usize % held.len();
        let old = std::mem::replace(&mut held[at], i);
        assert!(index.remove(random(old), old));
        assert!(index.insert(random(i), i).is_ok(), "entry {i} of {seats} seats");
    }
    assert!(held.iter().all(|i| index.find(random(*i), |e| e == *i) == Some(*i)));
    held.iter().for_each(|i| assert!(index.remove(random(*i), *i)));
    assert!(index.is_empty());
}

fn key(src: u32, dst: u32, sport: u16, dport: u16) -> Key {
    Key::v4(Be32::new(src), Be32::new(dst), Be16::new(sport), Be16::new(dport), Proto::Tcp)
}

const VIP: u32 = 0xC612_0164;

/// What it is called, and its n-th tuple.
type Flood = (&'static str, Box<dyn Fn(u32) -> Key>);

/// Kinds of tuples that somebody may choose who knows the hash but not its secret: differences in few bits, at either end
/// of a word, arithmetic progressions, and words of zeros and ones, which a multiplication likes least.
fn floods() -> Vec<Flood> {
    vec![
        ("ports of one host", Box::new(|i| key(0x0A00_0001, VIP, i as u16, 80))),
        ("hosts in a row", Box::new(|i| key(0x0A00_0000 + i, VIP, 4_000, 80))),
        ("hosts by their high bytes", Box::new(|i| key(i << 16, VIP, 4_000, 80))),
        ("hosts by their middle bytes", Box::new(|i| key(i << 8, VIP, 4_000, 80))),
        ("hosts by their first and last byte", Box::new(|i| key(i >> 8 << 24 | i & 255, VIP, 4_000, 80))),
        ("256 hosts, 256 ports", Box::new(|i| key(0x0A00_0000 + (i >> 8), VIP, i as u16 & 255, 80))),
        ("256 hosts, 256 ports, all by high bytes", Box::new(|i| key(i >> 8 << 16, VIP, (i as u16 & 255) << 8, 80))),
        ("hosts and ports together", Box::new(|i| key(0x0A00_0000 + i, VIP, i as u16, 80))),
        ("hosts up, ports down", Box::new(|i| key(0x0A00_0000 + i, VIP, !(i as u16), 80))),
        ("hosts that repeat their port", Box::new(|i| key(i << 16 | i, VIP, i as u16, 80))),
        ("hosts in large steps", Box::new(|i| key(i.wrapping_mul(65_537), VIP, 4_000, 80))),
        ("256 VIPs, 256 ports", Box::new(|i| key(0x0A00_0001, VIP + (i >> 8), i as u16 & 255, 80))),
        ("256 services, 256 ports", Box::new(|i| key(0x0A00_0001, VIP, i as u16 & 255, (i >> 8) as u16))),
        ("half of each word zero", Box::new(|i| key(0, VIP, i as u16, 0))),
        ("one word zero", Box::new(|i| key(0, 0, i as u16, 80))),
        ("one word ones", Box::new(|i| key(u32::MAX, u32::MAX, i as u16, 80))),
        ("nothing but hosts", Box::new(|i| key(i, 0, 0, 0))),
        ("replies to one local address", Box::new(|i| key(0xC612_020B, 0xC612_0264, 80, i as u16))),
    ]
}

/// How an index fares that these tuples fill to 90 %.
#[derive(Debug)]
struct Fared {
    /// Entries for which there was no room.
    refused: usize,
    /// Entries in the first of their two buckets: the fewer, the more was moved about.
    at_first: usize,
    /// Entries with the right tag that were looked at to find each of them, less the one that it was.
    in_vain: usize,
    /// The same, of the worst.
    longest: usize,
}

fn flooded(secret: &Secret, keys: &[Key]) -> Fared {
    let (mut index, seats) = index(keys.len() * 75 / 90 + 8);
    assert!(keys.len() <= seats * 90 / 100 && keys.len() >= seats * 89 / 100);
    let hashes: Vec<u64> = keys.iter().map(|k| secret.hash(k)).collect();
    let mut fared = Fared { refused: 0, at_first: 0, in_vain: 0, longest: 0 };
    let mut held = vec![false; keys.len()];
    for (i, hash) in hashes.iter().enumerate() {
        held[i] = index.insert(*hash, i as u32).is_ok();
    }
    for (i, hash) in hashes.iter().enumerate() {
        if !held[i] {
            fared.refused += 1;
            continue;
        }
        let looks = Cell::new(0);
        let is = |e: u32| {
            looks.set(looks.get() + 1);
            e == i as u32
        };
        assert_eq!(index.find(*hash, is), Some(i as u32));
        fared.at_first += usize::from(index.likely(*hash) == Some(i as u32));
        fared.in_vain += looks.get() - 1;
        fared.longest = fared.longest.max(looks.get() - 1);
    }
    fared
}

/// As it does with tuples by chance: of 65,536 some 15 look-ups see another entry of the same tag, and none sees three.
fn as_by_chance(fared: &Fared, usual: &Fared, what: &str) {
    let about_as_many = fared.at_first.abs_diff(usual.at_first) < FLOOD as usize / 50;
    assert!(
        fared.refused == 0 && about_as_many && fared.in_vain < 80 && fared.longest <= 2,
        "{what}: {fared:?}, and by chance {usual:?}"
    );
}

fn by_chance(secret: &Secret) -> Fared {
    let mut chance = SplitMix(4_711);
    let keys: Vec<Key> = (0..FLOOD).map(|_| key(chance.next() as u32, VIP, chance.next() as u16, 80)).collect();
    flooded(secret, &keys)
}

#[test]
fn tuples_of_any_pattern_fill_the_index_as_tuples_by_chance_do() {
    for seed in [1, 2, 3] {
        let secret = Secret::new(seed);
        let usual = by_chance(&secret);
        for (name, tuple) in floods() {
            let keys: Vec<Key> = (0..FLOOD).map(tuple).collect();
            as_by_chance(&flooded(&secret, &keys), &usual, name);
        }
    }
}

#[test]
fn tuples_that_crowd_under_one_secret_do_not_under_another() {
    // All in one of 256 parts of the index, under a secret that somebody got to know.
    let known = Secret::new(99);
    let mut chance = SplitMix(1);
    let tuples = std::iter::from_fn(|| Some(key(chance.next() as u32, VIP, chance.next() as u16, 80)));
    let crowd: Vec<Key> = tuples.filter(|k| known.hash(k) as u32 >> 24 == 7).take(FLOOD as usize).collect();
    let fared = flooded(&known, &crowd);
    assert!(fared.refused > 0, "the attack works on who loses the secret: {fared:?}");
    for seed in [1, 2, 3] {
        let secret = Secret::new(seed);
        as_by_chance(&flooded(&secret, &crowd), &by_chance(&secret), &format!("secret {seed}"));
    }
}
