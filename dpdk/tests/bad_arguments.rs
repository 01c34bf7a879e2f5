//! A start with arguments that the EAL does not know. A binary of its own: the EAL can be tried once in a process.

mod support;

use dpdk::{Eal, EalError};

#[test]
fn an_unknown_argument_is_refused_and_named() {
    let mut args = support::args();
    args.push("--no-such-option".to_owned());
    let error = Eal::init(&args).expect_err("there is no such option");
    assert!(matches!(error, EalError::Arguments { .. }), "{error:?}");
    assert!(error.to_string().contains("--no-such-option"));
}
