//! Connections found, missed, put in and taken out, in bursts of 32 over a full table of a million.

use super::{Micro, timed};
use gatun_bench::{gateway, ring};
use gatun_engine::addr::{ConnId, Proto};
use gatun_engine::conn::key::{Key, Secret, SplitMix};
use gatun_engine::conn::state::State;
use gatun_engine::conn::tuple::Tuple;
use gatun_engine::conn::{Candidate, Conns};
use gatun_engine::mem::Heap;
use std::hint::black_box;
use std::time::Duration;

const CONNECTIONS: usize = 1_000_000;
const BURST: usize = 32;

pub(super) fn run(micro: &mut Micro) {
    let mut conns = Conns::new(&Heap, CONNECTIONS, 0, Secret::new(1)).expect("memory");
    let mut random = SplitMix(2);
    let mut keys: Vec<Tuple> = Vec::with_capacity(2 * CONNECTIONS);
    // All but some, for those that come and go.
    for client in ring::clients(0, CONNECTIONS - BURST, Proto::Tcp) {
        let pair = [client, reply(&client, &mut random)];
        insert(&mut conns, pair);
        keys.extend(pair);
    }
    for i in (1..keys.len()).rev() {
        keys.swap(i, (random.next() % (i as u64 + 1)) as usize);
    }
    let others: Vec<Tuple> = ring::clients(CONNECTIONS as u32, CONNECTIONS, Proto::Tcp).collect();
    let of = |tuples: &[Tuple]| tuples.iter().map(|t| conns.key(t)).collect::<Vec<_>>();
    let (there, elsewhere) = (of(&keys), of(&others));
    micro.run("table/hit", "bursts of 32 random keys, prefetched", |n| find(&conns, &there, n, true));
    micro.run("table/miss", "bursts of 32 random keys, prefetched", |n| find(&conns, &elsewhere, n, false));
    micro.run("table/insert-remove", "put in and taken out again, 32 at a time", |n| churn(&mut conns, &others, n));
}

/// A tuple that no other connection's server answers with, for all that matters here.
fn reply(client: &Tuple, random: &mut SplitMix) -> Tuple {
    let n = random.next();
    Tuple::new(client.src(), gateway::local(n as u32 % gateway::LIPS), client.sport(), client.dport(), Proto::Udp)
}

fn insert(conns: &mut Conns<Heap>, keys: [Tuple; 2]) -> ConnId {
    let id = conns.insert(keys).expect("a seat");
    conns.conn_mut(id).set_state(State::Established);
    id
}

fn find(conns: &Conns<Heap>, keys: &[Key], n: u64, there: bool) -> (u64, Duration) {
    let bursts = (n as usize).div_ceil(BURST);
    let (found, spent) = timed(|| {
        let mut found = 0;
        for burst in keys.chunks_exact(BURST).cycle().take(bursts) {
            let mut hashes = [0; BURST];
            for (hash, key) in hashes.iter_mut().zip(burst) {
                *hash = conns.hash(key);
                conns.prefetch_bucket(*hash);
            }
            let candidates = hashes.map(|hash| conns.candidate(hash).unwrap_or(Candidate::NONE));
            for ((key, hash), candidate) in burst.iter().zip(hashes).zip(candidates) {
                found += usize::from(black_box(conns.find_from(candidate, hash, key)).is_some());
            }
        }
        found
    });
    assert_eq!(found, if there { bursts * BURST } else { 0 });
    ((bursts * BURST) as u64, spent)
}

fn churn(conns: &mut Conns<Heap>, keys: &[Tuple], n: u64) -> (u64, Duration) {
    let bursts = (n as usize).div_ceil(BURST);
    let mut random = SplitMix(n);
    let (_, spent) = timed(|| {
        for burst in keys.chunks_exact(BURST).cycle().take(bursts) {
            let ids: Vec<ConnId> = burst.iter().map(|key| insert(conns, [*key, reply(key, &mut random)])).collect();
            ids.into_iter().for_each(|id| conns.remove(id));
        }
    });
    ((bursts * BURST) as u64, spent)
}
