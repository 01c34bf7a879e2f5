//! Threads that the EAL did not start.

mod support;

use dpdk::{LcoreId, current_lcore};
use support::eal;

#[test]
fn a_registered_thread_is_an_lcore_until_it_drops_the_guard() {
    let turn = eal();
    let eal = turn.eal.clone();
    let thread = std::thread::spawn(move || {
        assert_eq!(current_lcore(), None);
        let guard = eal.register_thread().expect("there is an lcore id left");
        let id = current_lcore().expect("it is an lcore now");
        assert!(eal.register_thread().is_err(), "once is enough");
        drop(guard);
        assert_eq!(current_lcore(), None);
        id
    });
    let id = thread.join().expect("the thread ends");
    assert!(id > LcoreId(1), "0 and 1 are EAL lcores");
    assert_ne!(Some(id), current_lcore());
}

#[test]
fn threads_get_the_affinity_from_before_the_start_back() {
    let turn = eal();
    let eal = turn.eal.clone();
    let before = std::thread::available_parallelism().expect("the kernel knows");
    let pinned = eal.launch(LcoreId(1), || std::thread::available_parallelism().map_or(0, |n| n.get() as i32));
    assert_eq!(pinned.expect("lcore 1 is idle").join().expect("it returns"), 1);
    let restored = eal.launch(LcoreId(1), {
        let eal = eal.clone();
        move || {
            // As a thread that an lcore starts, and which inherits its CPU.
            let child = std::thread::spawn(move || {
                eal.restore_affinity().expect("the kernel allows it");
                std::thread::available_parallelism().map_or(0, |n| n.get() as i32)
            });
            child.join().unwrap_or(-1)
        }
    });
    assert_eq!(restored.expect("lcore 1 is idle").join().expect("it returns"), before.get() as i32);
}

#[test]
fn an_lcore_is_idle_again_after_a_handle_was_dropped() {
    let turn = eal();
    drop(turn.eal.launch(LcoreId(1), || 0).expect("lcore 1 is idle"));
    let launched = std::iter::repeat_with(|| turn.eal.launch(LcoreId(1), || 5)).find_map(Result::ok);
    assert_eq!(launched.expect("soon").join().expect("it returns"), 5);
}
