//! A start without huge pages. A binary of its own: the EAL can be tried once in a process.

mod support;

use dpdk::{Eal, EalError};

#[test]
fn a_start_without_huge_pages_names_the_remedy() {
    let free = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    if free.is_ok_and(|free| free.trim() != "0") {
        return; // Somebody reserved some: there is nothing to see here.
    }
    let args: Vec<_> = support::args().into_iter().filter(|arg| arg != "--no-huge").collect();
    let error = Eal::init(&args).expect_err("there are no huge pages");
    assert!(matches!(error, EalError::NoHugePages), "{error:?}");
    assert!(error.to_string().contains("nr_hugepages") && error.to_string().contains("no_huge"));
    assert!(matches!(Eal::init(&support::args()), Err(EalError::AlreadyStarted)));
}
