//! `gatun-ipvsadm`: see [`gatun::ipvsadm`]. It may be called `ipvsadm` by a link.
#![forbid(unsafe_code)]

use gatun::client::{Client, Target};
use gatun::ipvsadm::names::System;
use gatun::ipvsadm::rest::Rest;
use gatun::ipvsadm::{Bench, run};
use std::io::BufWriter;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    let client = match Client::new(&Target::from_environment()) {
        Ok(client) => client,
        Err(e) => {
            eprintln!("Can't initialize ipvs: {e}");
            return ExitCode::from(2);
        }
    };
    let mut bench = Bench {
        gateway: &mut Rest(client),
        names: &System,
        input: &mut std::io::stdin().lock(),
        // A list of a million connections is not written line by line.
        out: &mut BufWriter::new(std::io::stdout().lock()),
        err: &mut std::io::stderr(),
    };
    ExitCode::from(run(&arguments, &mut bench))
}
