//! Packets of connections that are there, which is nearly all there is.

use dpdk::Eal;
use gatun_bench::flow::{self, AnyFlow, Flow};
use gatun_bench::gateway;
use gatun_bench::goals::Results;
use gatun_bench::measure::{Pairs, Phase, load};
use gatun_bench::memory::resident;
use gatun_bench::ring::{self, Feed, Wire, Worker};
use gatun_engine::addr::{Family, LcoreId, Mac, Proto};
use gatun_engine::conn::tuple::Tuple;
use gatun_engine::wire::tcp::ACK;
use gatun_engine::wire::{FromBytes, ethernet, plain};

/// Frames that are looked at in a verification, at most.
const VERIFIED: usize = 400_000;

/// A worker with all its connections open, and their flows in random order.
pub(crate) struct Gateway<F = Flow> {
    pub(crate) worker: Worker,
    pub(crate) feed: Feed<F>,
    pub(crate) proto: Proto,
    /// Bytes of the lists that the bench itself made to open them.
    lists: usize,
    /// What was resident when all were open.
    open: u64,
}

impl Gateway {
    pub(crate) fn new(eal: &Eal, proto: Proto, conns: usize) -> Gateway {
        let mut worker = Worker::new(eal, LcoreId(0), proto, conns, &gateway::shared(proto, 1));
        println!("... opening {conns} connections");
        let opened = worker.open(ring::clients(0, conns, proto));
        Gateway::with(worker, proto, conns, opened, Flow::of)
    }

    /// The same with few flows that have most of the packets.
    pub(crate) fn zipf(&mut self, r: &mut Results) {
        let skewed = Feed::new(ring::zipf(&self.feed.flows));
        let uniform = std::mem::replace(&mut self.feed, skewed);
        self.share(r, "zipf@1M");
        self.feed = uniform;
    }
}

impl Gateway<AnyFlow> {
    /// Clients of IPv6, and servers of this family.
    pub(crate) fn wide(eal: &Eal, servers: Family, conns: usize) -> Gateway<AnyFlow> {
        let shared = gateway::shared_of(Proto::Tcp, 1, [Family::V6, servers]);
        let mut worker = Worker::new(eal, LcoreId(0), Proto::Tcp, conns, &shared);
        println!("... opening {conns} connections of IPv6");
        let opened = worker.open(ring::clients(0, conns, Proto::Tcp).map(|key| flow::six(&key)));
        Gateway::with(worker, Proto::Tcp, conns, opened, AnyFlow::of)
    }
}

impl<F: Wire> Gateway<F> {
    fn with(
        worker: Worker,
        proto: Proto,
        conns: usize,
        opened: Vec<[Tuple; 2]>,
        of: impl Fn(&Tuple, u8) -> F,
    ) -> Gateway<F> {
        assert_eq!(opened.len(), conns, "every client has its connection");
        let (open, lists) = (resident(), size_of_val(opened.as_slice()));
        let feed = Feed::new(flow::in_random_order(&opened, |key| of(key, ACK)));
        Gateway { worker, feed, proto, lists, open }
    }

    pub(crate) fn conns(&self) -> usize {
        self.worker.lcore.shard.conns.len()
    }

    /// What all of it takes, over the connections.
    pub(crate) fn memory(&self, r: &mut Results, id: &str, before: u64) {
        let bytes = self.open.saturating_sub(before + self.lists as u64) as f64;
        let how = "growth of resident and huge pages from the start of DPDK on, every connection open";
        r.add(id, Ok((bytes / self.conns() as f64).into()), how);
    }

    /// Looks at what both loops send, outside of any measurement: checksums, and that each frame is what it is to be.
    pub(crate) fn verify(&mut self) {
        let proto = self.proto;
        self.worker.verify(&mut self.feed, VERIFIED, Worker::swap::<32>, |_, flow, frame| {
            let (link, key) = read(frame, proto);
            assert_eq!(link, [gateway::PEER, gateway::MAC], "the swap swaps the link addresses");
            assert_eq!(key, flow.tuple(proto).reversed(), "the swap swaps the tuple");
        });
        self.worker.verify(&mut self.feed, VERIFIED, Worker::gatun::<32>, |worker, flow, frame| {
            let (link, key) = read(frame, proto);
            let (conns, came) = (&worker.lcore.shard.conns, flow.tuple(proto));
            let (id, dir) = conns.find_tuple(&came).expect("its connection");
            assert_eq!(link, [gateway::PEER, gateway::MAC]);
            assert_eq!(key, conns.rewritten(id, dir), "gatun rewrites the tuple");
        });
    }

    /// The share of gatun in the rate of the swap, in bursts of 32.
    pub(crate) fn share(&mut self, r: &mut Results, id: &str) -> Option<f64> {
        let pairs = self.paired::<32>();
        let figure = pairs.as_ref().map(|p| p.share.median).ok();
        r.add(id, pairs.as_ref().map(|p| p.share.into()).map_err(String::clone), &how(&pairs));
        figure
    }

    /// The same in other bursts.
    pub(crate) fn bursts(&mut self, r: &mut Results) {
        for (id, pairs) in
            [("burst1@1M", self.paired::<1>()), ("burst4@1M", self.paired::<4>()), ("burst64@1M", self.paired::<64>())]
        {
            r.add(id, pairs.as_ref().map(|p| p.share.into()).map_err(String::clone), &how(&pairs));
        }
    }

    /// gatun over the swap, in bursts of `N`.
    pub(crate) fn paired<const N: usize>(&mut self) -> Result<Pairs, String> {
        Pairs::checked(self, |g| g.phase(Worker::swap::<N>), |g| g.phase(Worker::gatun::<N>))
    }

    #[inline(always)]
    pub(crate) fn phase(&mut self, turn: impl Fn(&mut Worker, &mut Feed<F>) -> usize) -> Phase {
        self.worker.phase(&mut self.feed, turn)
    }
}

fn how(pairs: &Result<Pairs, String>) -> String {
    match pairs {
        Ok(p) => {
            let [swap, gatun] = p.rates.map(tsc);
            format!("swap {swap:.1}, gatun {gatun:.1} tsc a packet; load {}", load())
        }
        Err(_) => String::new(),
    }
}

/// Ticks of the time-stamp counter a unit, at this rate a second.
pub(crate) fn tsc(rate: f64) -> f64 {
    dpdk::tsc_hz() as f64 / rate
}

/// Link addresses and tuple of a frame.
fn read(frame: &[u8], proto: Proto) -> ([Mac; 2], Tuple) {
    if let Ok((f, _)) = plain::Udp6::ref_from_prefix(frame)
        && f.eth.ether_type == ethernet::IPV6
    {
        return ([f.eth.dst, f.eth.src], Tuple::new(f.ip.src, f.ip.dst, f.udp.sport, f.udp.dport, proto));
    }
    let (f, _) = plain::Udp::ref_from_prefix(frame).expect("a whole frame");
    ([f.eth.dst, f.eth.src], Tuple::new(f.ip.src, f.ip.dst, f.udp.sport, f.udp.dport, proto))
}
