//! Network cards: which lcore a frame comes to, and which hash the card writes down.
//!
//! Queue n is lcore n's. Where a card lies, it says that it took our key and our table, as every card does that accepts
//! the configuration; what it does is another matter, and the gateway has to be right all the same.

use crate::addr::{Addr, Be16, LcoreId, Proto};
use crate::conn::tuple::Tuple;
use crate::snapshot::{LocalKind, Snapshot};
use crate::steer::Steer;
use crate::time::Tick;
use crate::wire::{FromBytes, ethernet, ipv4, ipv6, udp, vlan};

/// What the network cards of a gateway are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Arrival {
    /// By RSS with our key and our table: every frame comes to where it belongs.
    #[default]
    Rss,
    /// RSS as well, but with queues for half of the lcores: the others live on what is handed over.
    FewQueues,
    /// One queue, the first lcore's.
    First,
    /// To the lcore after the one where it belongs, so that nearly all have to be handed over.
    Wrong,
    /// To the queues in turn, whatever the packet.
    RoundRobin,
    /// Hashes with a key of its own, and writes that hash down.
    OwnKey,
    /// Hashes with our key and ignores our table: its queue is the remainder of the hash.
    OwnTable,
    /// Writes down the right hash, and takes the queues in turn.
    HashNotHeeded,
    /// The right queue, but the hash that it writes down is that of the frame before.
    StaleHash,
    /// Flow rules: what goes to a local address goes to the queue of the address, the rest to the first queue.
    FlowByLip,
    /// Flow rules: what goes to a local address goes by the low bits of its port, the rest to the first queue.
    FlowByPortMask,
    /// The kernel's fanout of net_af_packet: by a hash of its own, the same in both directions, which it keeps to itself.
    /// A queue that is full rolls over to the next one.
    Fanout,
}

impl Arrival {
    /// Every kind of card.
    pub const ALL: [Arrival; 12] = [
        Arrival::Rss,
        Arrival::FewQueues,
        Arrival::First,
        Arrival::Wrong,
        Arrival::RoundRobin,
        Arrival::OwnKey,
        Arrival::OwnTable,
        Arrival::HashNotHeeded,
        Arrival::StaleHash,
        Arrival::FlowByLip,
        Arrival::FlowByPortMask,
        Arrival::Fanout,
    ];

    /// Its hash and its queue are what it says they are.
    pub fn is_honest(self) -> bool {
        matches!(self, Arrival::Rss | Arrival::FewQueues)
    }

    /// Queues of a card for so many lcores.
    pub fn queues(self, lcores: u8) -> u8 {
        match self {
            Arrival::First => 1,
            Arrival::FewQueues => lcores.div_ceil(2),
            Arrival::Rss
            | Arrival::Wrong
            | Arrival::RoundRobin
            | Arrival::OwnKey
            | Arrival::OwnTable
            | Arrival::HashNotHeeded
            | Arrival::StaleHash
            | Arrival::FlowByLip
            | Arrival::FlowByPortMask
            | Arrival::Fanout => lcores,
        }
    }
}

/// Frames that a queue of [`Arrival::Fanout`] holds between two ticks, when it is emptied.
const ROOM: u8 = 2;

/// The card of one port.
pub struct Card {
    arrival: Arrival,
    /// What [`Arrival::OwnKey`] hashes with.
    own: Option<Steer>,
    /// The queue whose turn it is.
    turn: u8,
    /// The hash of the frame before.
    before: Option<u32>,
    /// Frames in each queue since a tick.
    filled: (Tick, Vec<u8>),
}

impl Card {
    /// A card that was given the key and the table of `steer`.
    pub fn new(arrival: Arrival, steer: &Steer) -> Card {
        let queues = usize::from(arrival.queues(steer.lcores()));
        let other = || Steer::new(Steer::key_from_seed(u64::from(steer.key()[0]) + 1), steer.lcores()).ok();
        let own = if arrival == Arrival::OwnKey { other() } else { None };
        Card { arrival, own, turn: 0, before: None, filled: (Tick(0), vec![0; queues]) }
    }

    /// The lcore that a frame comes to, and the hash that is written down with it.
    pub fn deliver(&mut self, now: Tick, steer: &Steer, snapshot: &Snapshot, frame: &[u8]) -> (LcoreId, Option<u32>) {
        let queues = self.arrival.queues(steer.lcores());
        let hash = hash(steer, frame);
        let table = |hash: Option<u32>| hash.map_or(0, |h| steer.owner(Steer::class(h)).0);
        let (queue, written) = match self.arrival {
            Arrival::Rss | Arrival::FewQueues => (table(hash), hash),
            Arrival::First => (0, None),
            Arrival::Wrong => (table(hash) + 1, None),
            Arrival::RoundRobin => (self.turn(), None),
            Arrival::OwnKey => {
                let own = self.own.as_ref().and_then(|own| self::hash(own, frame));
                (table(own), own)
            }
            Arrival::OwnTable => (hash.map_or(0, |h| (h % u32::from(queues)) as u8), hash),
            Arrival::HashNotHeeded => (self.turn(), hash),
            Arrival::StaleHash => (table(hash), core::mem::replace(&mut self.before, hash)),
            Arrival::FlowByLip => (rule(snapshot, frame, |lip, _| lip), None),
            Arrival::FlowByPortMask => (rule(snapshot, frame, |_, port| port), None),
            Arrival::Fanout => (self.with_room(now, symmetric(frame) % queues), None),
        };
        (LcoreId(queue % queues), written)
    }

    fn turn(&mut self) -> u8 {
        let queue = self.turn;
        self.turn = (queue + 1) % self.filled.1.len() as u8;
        queue
    }

    /// The first queue with room from this one on; when all are full the one itself, for here nothing is ever lost.
    fn with_room(&mut self, now: Tick, queue: u8) -> u8 {
        let (since, filled) = &mut self.filled;
        if *since != now {
            *since = now;
            filled.fill(0);
        }
        let queues = (0..filled.len()).map(|n| (usize::from(queue) + n) % filled.len());
        let found = queues.into_iter().find(|q| filled[*q] < ROOM).unwrap_or(usize::from(queue));
        filled[found] = filled[found].saturating_add(1);
        found as u8
    }
}

/// The RSS hash of a frame: over addresses and ports, or over the addresses alone where there are no ports. All fragments
/// of a packet count as without ports, the first one too.
pub fn hash(steer: &Steer, frame: &[u8]) -> Option<u32> {
    let (src, dst, ports) = fields(frame)?;
    Some(match ports {
        Some((sport, dport)) => steer.hash(&Tuple::new(src, dst, sport, dport, Proto::Tcp)),
        None => steer.hash2(src, dst),
    })
}

/// The queue of a flow rule, by the last byte of the local address or of the local port.
fn rule(snapshot: &Snapshot, frame: &[u8], by: fn(u8, u8) -> u8) -> u8 {
    let Some((_, dst, ports)) = fields(frame) else { return 0 };
    let lip = snapshot.local(dst).is_some_and(|l| matches!(l.kind, LocalKind::Lip(_)));
    match ports {
        Some((_, dport)) if lip => by(low(dst) as u8, dport.bytes()[1]),
        Some(_) | None => 0,
    }
}

/// A hash that is the same in both directions.
fn symmetric(frame: &[u8]) -> u8 {
    let Some((src, dst, ports)) = fields(frame) else { return 0 };
    let (sport, dport) = ports.unwrap_or_default();
    let sum = low(src).wrapping_add(low(dst)) ^ u32::from(sport.host().wrapping_add(dport.host()));
    (sum.wrapping_mul(0x9E37_79B1) >> 24) as u8
}

/// The last four bytes of an address.
fn low(addr: Addr) -> u32 {
    match addr {
        Addr::V4(a) => a.host(),
        Addr::V6(a) => u128::from_be_bytes(a.bytes()) as u32,
    }
}

type Fields = (Addr, Addr, Option<(Be16, Be16)>);

/// Addresses and ports, as a card sees them.
fn fields(frame: &[u8]) -> Option<Fields> {
    let (eth, mut rest) = ethernet::Header::ref_from_prefix(frame).ok()?;
    let mut ether_type: Be16 = eth.ether_type;
    if ether_type == ethernet::VLAN {
        let (tag, inner) = vlan::Tag::ref_from_prefix(rest).ok()?;
        (ether_type, rest) = (tag.ether_type, inner);
    }
    let (src, dst, proto, l4): (Addr, Addr, u8, _) = if ether_type == ethernet::IPV4 {
        let (ip, _) = ipv4::Header::ref_from_prefix(rest).ok()?;
        (ip.src.into(), ip.dst.into(), if ip.is_fragment() { 0 } else { ip.proto }, rest.get(ip.header_len()..))
    } else if ether_type == ethernet::IPV6 {
        // Behind extension headers it does not look.
        let (ip, l4) = ipv6::Header::ref_from_prefix(rest).ok()?;
        (ip.src.into(), ip.dst.into(), ip.next, Some(l4))
    } else {
        return None;
    };
    let l4 = l4.and_then(|l4| udp::Header::ref_from_prefix(l4).ok());
    let ports = l4.filter(|_| matches!(proto, ipv4::TCP | ipv4::UDP)).map(|(l4, _)| (l4.sport, l4.dport));
    Some((src, dst, ports))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::{Be32, LipId};
    use crate::snapshot::Local;
    use crate::testkit::Packet;
    use std::collections::BTreeSet;

    const LCORES: u8 = 7;
    const LIP: &str = "198.18.2.101";

    fn steer() -> Steer {
        Steer::new(Steer::key_from_seed(1), LCORES).unwrap()
    }

    /// Many flows, to the VIP and to the local address.
    fn frames() -> Vec<Vec<u8>> {
        let client = |n: u16| Packet::tcp(&format!("10.0.0.1:{}", 1_024 + n), "198.18.1.100:80").build();
        let server = |n: u16| Packet::udp("198.18.2.11:53", &format!("{LIP}:{}", 1_024 + n)).build();
        (0..200).flat_map(|n| [client(n), server(n)]).collect()
    }

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::default();
        let lip = LIP.parse::<core::net::Ipv4Addr>().unwrap();
        snapshot.locals.insert(lip.into(), Local { kind: LocalKind::Lip(LipId(0)), iface: None });
        snapshot
    }

    /// What a card does with all frames, which come `a_tick` to a tick: the queue, the hash, and the right hash.
    fn deliver(arrival: Arrival, a_tick: usize) -> Vec<(u8, Option<u32>, u32)> {
        let (steer, snapshot) = (steer(), snapshot());
        let mut card = Card::new(arrival, &steer);
        let one = |(n, frame): (usize, Vec<u8>)| {
            let (to, written) = card.deliver(Tick((n / a_tick) as u32), &steer, &snapshot, &frame);
            (to.0, written, hash(&steer, &frame).unwrap())
        };
        frames().into_iter().enumerate().map(one).collect()
    }

    fn home(hash: u32) -> u8 {
        steer().owner(Steer::class(hash)).0
    }

    #[test]
    fn an_honest_card_gives_our_hash_and_the_queue_of_our_table() {
        assert!(
            deliver(Arrival::Rss, 1)
                .iter()
                .all(|(queue, written, hash)| (*queue, *written) == (home(*hash), Some(*hash)))
        );
    }

    #[test]
    fn every_card_uses_all_queues_that_it_has_and_no_other() {
        for arrival in Arrival::ALL {
            let used: BTreeSet<u8> = deliver(arrival, 3).iter().map(|(queue, ..)| *queue).collect();
            let all: BTreeSet<u8> = match arrival {
                // A rule for the one local address, and the first queue for everybody else.
                Arrival::FlowByLip => [0, 101 % LCORES].into(),
                _ => (0..arrival.queues(LCORES)).collect(),
            };
            assert_eq!(used, all, "{arrival:?}");
        }
    }

    #[test]
    fn cards_that_lie_lie() {
        let wrong_queue = |a| deliver(a, 1).iter().filter(|(queue, _, hash)| *queue != home(*hash)).count();
        let wrong_hash = |a| deliver(a, 1).iter().filter(|(_, w, hash)| w.is_some_and(|w| w != *hash)).count();
        let all = frames().len();
        for (arrival, queues, hashes) in [
            (Arrival::Rss, 0..1, 0..1),
            (Arrival::Wrong, all..all + 1, 0..1),
            (Arrival::OwnKey, all / 2..all, all / 2..all + 1),
            (Arrival::OwnTable, all / 2..all, 0..1),
            (Arrival::HashNotHeeded, all / 2..all, 0..1),
            (Arrival::StaleHash, 0..1, all / 2..all + 1),
        ] {
            assert!(queues.contains(&wrong_queue(arrival)), "{arrival:?}: {}", wrong_queue(arrival));
            assert!(hashes.contains(&wrong_hash(arrival)), "{arrival:?}: {}", wrong_hash(arrival));
        }
    }

    #[test]
    fn both_directions_come_to_one_queue_of_a_fanout_until_it_is_full() {
        let (steer, snapshot) = (steer(), snapshot());
        let mut card = Card::new(Arrival::Fanout, &steer);
        let there = Packet::udp("10.0.0.1:4000", "198.18.1.100:53").build();
        let back = Packet::udp("198.18.1.100:53", "10.0.0.1:4000").build();
        let mut queue = |now, frame: &[u8]| card.deliver(Tick(now), &steer, &snapshot, frame).0.0;
        let first = queue(1, &there);
        let next = (first + 1) % LCORES;
        assert_eq!([queue(1, &back), queue(1, &there), queue(1, &back)], [first, next, next]);
        assert_eq!(queue(2, &back), first, "a tick later it is empty again");
    }

    #[test]
    fn ports_of_fragments_are_not_looked_at_and_what_is_not_ip_has_no_hash() {
        let steer = steer();
        let whole = Packet::udp("10.0.0.1:4000", "198.18.1.100:53").payload(&[0; 64]);
        let by_two = steer.hash2(Be32::new(0x0A00_0001).into(), Be32::new(0xC612_0164).into());
        assert_eq!(hash(&steer, &whole.clone().fragment(0, true).build()), Some(by_two));
        assert_eq!(hash(&steer, &whole.clone().fragment(1480, false).build()), Some(by_two));
        assert_ne!(hash(&steer, &whole.clone().build()), Some(by_two));
        assert_eq!(hash(&steer, &whole.clone().vlan(5).build()), hash(&steer, &whole.build()));
        assert_eq!(hash(&steer, &Packet::arp_gratuitous("02:00:00:00:00:01", "198.18.1.1").build()), None);
        assert_eq!(hash(&steer, &[0; 5]), None);
    }
}
