//! Frames of connections whose every line is in the cache: what looking at them costs, and what rewriting them does.

use super::{Micro, timed};
use gatun_bench::flow::{self, Bytes, Flow, LEN};
use gatun_bench::heap::{Buf, Pool};
use gatun_bench::{gateway, ring};
use gatun_engine::addr::{Be16, Be32, LcoreId, Proto};
use gatun_engine::conn::tuple::Tuple;
use gatun_engine::frame::Buffer;
use gatun_engine::lcore::Lcore;
use gatun_engine::mem::Heap;
use gatun_engine::path::parse::EMPTY;
use gatun_engine::path::{self, AllExpected, Heads};
use gatun_engine::time::Tick;
use gatun_engine::wire::tcp::ACK;
use std::time::Duration;

const BURST: usize = 32;
/// Bursts that are rewritten between two readings of the clock.
const BURSTS: usize = 32;

pub(super) fn run(micro: &mut Micro) {
    let shared = gateway::shared(Proto::Tcp, 1);
    let mut lcore: Lcore<Heap, Buf> = gateway::lcore(&Heap, LcoreId(0), BURST, &shared, Tick(0));
    let opened = flow::open(&mut lcore, |_| Tick(0), ring::clients(0, BURST, Proto::Tcp), Buf::new);
    let flows = flow::shuffled(&opened);
    let nobody = Tuple::new(Be32::default(), Be32::default(), Be16::default(), Be16::default(), Proto::Tcp);
    let template = flow::frame(&nobody, ACK, 1);
    let mut pool = Pool::new(BURSTS * BURST);
    let mut bufs: Vec<Buf> = (0..BURSTS * BURST).map(|_| pool.take()).collect();
    let fresh = |bufs: &mut [Buf]| {
        for (buf, flow) in bufs.iter_mut().zip(flows.iter().take(BURST).cycle()) {
            fill(buf, &template, flow);
        }
    };
    fresh(&mut bufs);
    let mut heads: Box<Heads> = Box::new([EMPTY; _]);
    micro.run("parse", "parsed, and buckets and connections asked for", |n| {
        let bursts = n.div_ceil(BURST as u64);
        let (_, spent) = timed(|| {
            for _ in 0..bursts {
                path::look(&lcore.shared, &mut lcore.shard, &mut bufs[..BURST], &mut heads, &mut AllExpected::new());
            }
        });
        (bursts * BURST as u64, spent)
    });
    micro.run("rewrite", "confirmed, judged and rewritten", |n| {
        let rounds = n.div_ceil((BURSTS * BURST) as u64);
        let mut spent = Duration::ZERO;
        for _ in 0..rounds {
            fresh(&mut bufs);
            let (hits, took) = timed(|| {
                let mut hits = 0;
                let (stats, conns) = (&lcore.shard.stats, &mut lcore.shard.conns);
                let tables = lcore.shared.tables(stats);
                for (buf, head) in bufs.iter_mut().zip(heads[..BURST].iter().cycle()) {
                    hits += usize::from(path::hit(&tables, &mut conns.table(), Tick(0), buf, head).is_some());
                }
                hits
            });
            assert_eq!(hits, BURSTS * BURST);
            spent += took;
        }
        (rounds * (BURSTS * BURST) as u64, spent)
    });
}

fn fill(buf: &mut Buf, template: &Bytes, flow: &Flow) {
    let mut frame = buf.frame();
    let bytes = frame.reset(LEN).expect("room");
    bytes.copy_from_slice(template);
    flow.write(bytes.try_into().expect("a whole frame"), Proto::Tcp);
    let (head, len) = (frame.head, frame.len);
    buf.commit(head, len);
}
