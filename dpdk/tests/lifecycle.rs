//! From start to clean-up on one thread, which is the main lcore. One test, because the EAL starts once in a process.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dpdk::{Eal, EalError, LaunchError, LcoreId, Mempool, MempoolError, current_lcore, rdtsc, tsc_hz};

#[test]
fn the_eal_starts_once_runs_functions_on_lcores_and_cleans_up() {
    assert_eq!(current_lcore(), None);
    assert!(matches!(Eal::init(&["a\0b".to_owned()]), Err(EalError::NulByte(_))), "refused before anything starts");
    let eal = Eal::init(&support::args()).expect("the EAL starts");
    assert!(matches!(Eal::init(&support::args()), Err(EalError::AlreadyStarted)));
    assert_eq!(current_lcore(), Some(LcoreId(0)));
    assert!(!eal.has_hugepages());
    lcores(&eal);
    clock();
    pools(&eal);
    drop(eal);
    assert!(matches!(Eal::init(&support::args()), Err(EalError::AlreadyStarted)), "not even after the clean-up");
}

fn lcores(eal: &Eal) {
    let lcores = eal.lcores();
    let seen: Vec<_> = lcores.iter().map(|lcore| (lcore.id, lcore.cpus.as_slice(), lcore.is_main)).collect();
    assert_eq!(seen, [(LcoreId(0), &[0][..], true), (LcoreId(1), &[1][..], false)]);
    assert!(lcores.iter().all(|lcore| lcore.socket.is_some()));

    assert!(matches!(eal.launch(LcoreId(0), || 0), Err(LaunchError::Main(_))));
    assert!(matches!(eal.launch(LcoreId(2), || 0), Err(LaunchError::Unknown(_))));
    assert!(matches!(eal.launch(LcoreId(u32::MAX), || 0), Err(LaunchError::Unknown(_))));
    assert!(matches!(eal.register_thread(), Err(LaunchError::Register(_))), "the main lcore is one already");

    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    let handle = eal.launch(LcoreId(1), move || {
        while !seen.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        current_lcore().map_or(-1, |id| id.0 as i32)
    });
    let handle = handle.expect("lcore 1 is idle");
    assert!(handle.is_running());
    assert!(matches!(eal.launch(LcoreId(1), || 0), Err(LaunchError::Busy(_))));
    stop.store(true, Ordering::Release);
    assert_eq!(handle.join().expect("the function returns"), 1);

    let panics = eal.launch(LcoreId(1), || panic!("on purpose")).expect("a joined lcore is idle").join();
    assert!(matches!(panics, Err(LaunchError::Panicked(LcoreId(1), text)) if text == "on purpose"));
    let again = eal.launch(LcoreId(1), || 7).expect("an lcore survives a panic");
    assert_eq!(again.join().expect("the function returns"), 7);
}

fn clock() {
    assert!(tsc_hz() > 100_000_000);
    let before = rdtsc();
    assert!(rdtsc() >= before);
}

fn pools(eal: &Eal) {
    let pool = || Mempool::new(eal, "reused", 511, 32, 512, None);
    for _ in 0..50 {
        let pool = pool().expect("the name is free again at once");
        let mbufs: Vec<_> = std::iter::from_fn(|| pool.alloc()).collect();
        assert_eq!(mbufs.len(), 511);
    }
    let mbuf = pool().expect("a pool").alloc().expect("an mbuf");
    assert!(matches!(pool(), Err(MempoolError::NameInUse(_))), "a pool stays while an mbuf of it is out");
    drop(mbuf);
    pool().expect("the last mbuf is back");

    let elsewhere = pool().expect("a pool");
    let sum = eal.launch(LcoreId(1), move || elsewhere.alloc().map_or(0, |mbuf| i32::from(mbuf.headroom())));
    assert_eq!(sum.expect("lcore 1 is idle").join().expect("it returns"), 128);
    pool().expect("a pool that another lcore let go of is freed when that lcore is idle");
}
