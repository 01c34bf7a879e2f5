//! What a change must not make worse: the share at 1 M connections, and what a worker does at most in a turn.

use super::{MILLION, hit};
use dpdk::Eal;
use gatun::worker::mailbox::{Mailbox, Phase, Rings, ToWorker};
use gatun_bench::gates::Gates;
use gatun_bench::ring::Worker;
use gatun_engine::addr::Proto;
use std::sync::Arc;

/// Compares with the recorded figures. Ends the program when one of them is worse.
pub(crate) fn run(eal: &Eal) {
    let mut gates = Gates::read();
    let mut g = hit::Gateway::new(eal, Proto::Tcp, MILLION);
    gates.at_most("messages", messages(&mut g.worker) as f64);
    g.verify();
    match g.paired::<32>() {
        Ok(pairs) => gates.at_least("share", pairs.share.median),
        Err(why) => println!("share: skipped: {why}"),
    }
    gates.done();
}

/// How many of the master's messages a worker takes in one turn.
fn messages(worker: &mut Worker) -> usize {
    let rings = Arc::new(Rings::new());
    let mut mailbox = Mailbox::new(rings.clone());
    let waiting = rings.to.capacity() / 2;
    for _ in 0..waiting {
        assert!(rings.to.push(ToWorker::Count(Box::default())).is_ok());
    }
    assert_eq!(mailbox.read(worker.now(), &mut worker.lcore), Phase::Run);
    waiting - rings.to.len()
}
