//! Packets that open nothing and match nothing, against hits of the same gateway: none may cost more, or a flood of them
//! would be an attack. For each packet of either kind an mbuf is freed and another one taken, as behind a card.

use super::hit::{Gateway, tsc};
use gatun_bench::flow::Flow;
use gatun_bench::goals::Results;
use gatun_bench::measure::{Pairs, load};
use gatun_bench::ring::{self, Feed, Worker};
use gatun_engine::addr::{Addr, Be16, Be32};
use gatun_engine::conn::tuple::Tuple;
use gatun_engine::wire::tcp::{ACK, SYN};

/// Different packets of each kind.
const PACKETS: usize = 1_000_000;

/// Measures three kinds; the worst is the figure.
pub(crate) fn all(g: &mut Gateway, r: &mut Results) {
    let others: Vec<Tuple> = ring::clients(g.conns() as u32, PACKETS, g.proto).collect();
    let to = |key: &Tuple, addr: Addr, port: Be16| Tuple::new(key.src(), addr, key.sport(), port, key.proto());
    let nowhere = |key: &Tuple| to(key, Be32::new(0xCB00_7101).into(), key.dport());
    let closed = |key: &Tuple| to(key, key.dst(), Be16::new(7));
    let kinds = [
        ("miss-address", SYN, others.iter().map(nowhere).collect::<Vec<_>>()),
        ("miss-port", SYN, others.iter().map(closed).collect()),
        ("miss-connection", ACK, others.clone()),
    ];
    let opened = g.worker.lcore.shard.stats.lcore.conns_opened.value();
    let mut worst: Result<Option<Pairs>, String> = Ok(None);
    for (name, flags, keys) in kinds {
        let misses = Feed::new(keys.iter().map(|key| Flow::of(key, flags)).collect());
        let pairs = against_hits(g, misses, flags);
        let cost = |p: &Pairs| 1.0 / p.share.median;
        match (&pairs, &mut worst) {
            (Ok(p), Ok(w)) => {
                *w = Some(w.filter(|w| cost(w) > cost(p)).unwrap_or(*p));
                let [hit, miss] = p.rates.map(tsc);
                r.add(name, Ok(cost(p).into()), &format!("hit {hit:.1}, miss {miss:.1} tsc a packet"));
            }
            (Err(why), _) => worst = Err(why.clone()),
            (Ok(_), Err(_)) => {}
        }
    }
    assert_eq!(g.worker.lcore.shard.stats.lcore.conns_opened.value(), opened, "a miss opened a connection");
    let figure = worst.and_then(|w| w.map(|w| (1.0 / w.share.median).into()).ok_or_else(|| "none".to_owned()));
    r.add(
        "G4",
        figure,
        &format!(
            "the worst of three kinds, an mbuf freed and another taken for each packet and each hit; load {}",
            load()
        ),
    );
}

/// Hits and misses in turn, and the frames of each in the rings.
fn against_hits(g: &mut Gateway, misses: Feed, flags: u8) -> Result<Pairs, String> {
    let mut both = (g, misses);
    Pairs::checked(
        &mut both,
        |(g, _)| {
            g.worker.fill(ACK);
            g.phase(Worker::renewing::<32>)
        },
        |(g, misses)| {
            g.worker.fill(flags);
            g.worker.phase(misses, Worker::dropping::<32>)
        },
    )
}
