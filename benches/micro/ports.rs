//! Local ports of one (server, local address), half and nearly full.

use super::{Micro, timed};
use gatun_bench::gateway;
use gatun_engine::addr::{Be16, Be32, Class, EndpointId, LcoreId, LipId};
use gatun_engine::conn::key::SplitMix;
use gatun_engine::laddr::{LeaseId, NoPort, Ports, Release, Want, Word};
use gatun_engine::mem::Heap;
use gatun_engine::snapshot::{Lip, Pool};
use gatun_engine::steer::{CLASSES, Steer};
use gatun_engine::time::Tick;
use std::time::Duration;

/// Ports of a local address above the reserved ones.
const ALL: usize = 64_512;
/// Taken at a time: few enough for the level to stay about the same, many for the reading of the clock not to count.
const BATCH: usize = 256;

pub(super) fn run(micro: &mut Micro) {
    let mut server = Server::new();
    while server.taken.len() < ALL / 2 {
        server.take().expect("half of them");
    }
    micro.run("G7@50%", "free ones of 128 classes, classes of clients at random, one lcore", |n| server.cost(n));
    while server.taken.len() < ALL * 99 / 100 {
        server.take().expect("nearly all");
    }
    micro.run("G7@99%", "the same", |n| server.cost(n));
    let refused = loop {
        if let Err(why) = server.take() {
            break why;
        }
    };
    assert_eq!(refused, NoPort::Exhausted);
    micro.results.add("G7@usable", Ok((server.taken.len() as f64).into()), "taken until there was no other");
}

/// One server behind one local address.
struct Server {
    ports: Ports<Heap>,
    steer: Steer,
    pool: Pool,
    random: SplitMix,
    taken: Vec<LeaseId>,
}

impl Server {
    fn new() -> Server {
        let pool = Pool::new(vec![Lip { id: LipId(0), addr: gateway::local(0).into() }]);
        let ports = Ports::new(&Heap, 100_000, 25_000, LcoreId(0)).expect("memory");
        let steer = Steer::new(Steer::key_from_seed(1), 1).expect("a key");
        Server { ports, steer, pool, random: SplitMix(4), taken: Vec::with_capacity(ALL) }
    }

    fn take(&mut self) -> Result<(), NoPort> {
        let n = self.random.next();
        let want = Want {
            endpoint: EndpointId(1),
            rip: Be32::new(0x0A00_0001).into(),
            rport: Be16::new(80),
            pool: &self.pool,
            class: Class((n % CLASSES as u64) as u8),
            start: (n >> 32) as u32,
        };
        let lease = self.ports.take(&self.steer, &want, Tick(0), |_, _, _| Word::Good)?;
        self.taken.push(lease.id);
        Ok(())
    }

    /// Takes ports; others are given back in between, which is not counted.
    fn cost(&mut self, n: u64) -> (u64, Duration) {
        let (mut done, mut spent) = (0, Duration::ZERO);
        while done < n {
            let (_, took) = timed(|| (0..BATCH).for_each(|_| self.take().expect("a free port")));
            spent += took;
            done += BATCH as u64;
            for _ in 0..BATCH {
                let at = (self.random.next() % self.taken.len() as u64) as usize;
                self.ports.give_back(self.taken.swap_remove(at), Release::Free, Tick(0));
            }
        }
        (done, spent)
    }
}
