//! `gatunctl`: see [`gatun::ctl`].
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    gatun::ctl::main()
}
