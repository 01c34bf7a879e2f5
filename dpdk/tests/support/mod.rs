//! One EAL for each test binary, started by whichever test comes first.
#![allow(dead_code)]

use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};

use arrayvec::ArrayVec;
use dpdk::{Eal, Mbuf, Mempool, RegisteredThread};

/// Without huge pages, shared files, telemetry or the machine's own network cards.
pub(crate) const ARGS: &[&str] = &[
    "--no-huge",
    "--no-shconf",
    "--no-telemetry",
    "--no-pci",
    "-m",
    "256",
    "--lcores",
    "0@0,1@1",
    "--log-level=*:error",
];

pub(crate) fn args() -> Vec<String> {
    ARGS.iter().map(|&arg| arg.to_owned()).collect()
}

/// The EAL, and the right to use it alone. The calling thread is an lcore for as long.
pub(crate) struct Turn {
    pub(crate) eal: Eal,
    _lcore: RegisteredThread,
    _alone: std::sync::MutexGuard<'static, ()>,
}

/// Waits for the EAL. Tests of one binary take turns, so that they may count mbufs.
///
/// The EAL starts on a thread of its own, which then sleeps: a test's thread ends with the test, the main lcore must not.
pub(crate) fn eal() -> Turn {
    static EAL: OnceLock<Eal> = OnceLock::new();
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let eal = EAL
        .get_or_init(|| {
            let (sender, receiver) = channel();
            std::thread::spawn(move || main_lcore(&sender));
            receiver.recv().expect("the main lcore answers").expect("the EAL starts")
        })
        .clone();
    let lcore = eal.register_thread().expect("there is an lcore id left");
    Turn { eal, _lcore: lcore, _alone: alone }
}

fn main_lcore(sender: &Sender<Result<Eal, dpdk::EalError>>) {
    let _ = sender.send(Eal::init(&args()));
    loop {
        std::thread::park();
    }
}

pub(crate) fn pool(turn: &Turn, name: &str) -> Mempool {
    Mempool::new(&turn.eal, name, 1023, 32, 2048, None).expect("there is memory for a small pool")
}

/// An mbuf that holds `bytes`.
pub(crate) fn packet(pool: &Mempool, bytes: &[u8]) -> Mbuf {
    let mut mbuf = pool.alloc().expect("the pool has an mbuf");
    mbuf.append(bytes.len() as u16).expect("the bytes fit").copy_from_slice(bytes);
    mbuf
}

/// `count` packets of 60 bytes, each of which starts with its number.
pub(crate) fn numbered<const N: usize>(pool: &Mempool, count: u8) -> ArrayVec<Mbuf, N> {
    (0..count).map(|number| packet(pool, &[number; 60])).collect()
}

/// The first byte of each packet.
pub(crate) fn numbers<const N: usize>(burst: &ArrayVec<Mbuf, N>) -> Vec<u8> {
    burst.iter().map(|mbuf| mbuf.data()[0]).collect()
}
