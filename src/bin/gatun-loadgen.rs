//! `gatun-loadgen`: see [`gatun::loadgen`].
#![forbid(unsafe_code)]

use clap::Parser;
use gatun::loadgen::{self, Cli, LoadError};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        if let Err(e) = signal_hook::flag::register(signal, stop.clone()) {
            eprintln!("signals can not be handled: {e}");
            return ExitCode::FAILURE;
        }
    }
    let common = cli.mode.common();
    match loadgen::run(&cli.mode, stop) {
        Err(e @ LoadError::Wrong(_)) => {
            eprintln!("error: {e}");
            ExitCode::from(2)
        }
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
        Ok(report) => {
            if common.json {
                match serde_json::to_string_pretty(&report) {
                    Ok(text) => println!("{text}"),
                    Err(e) => eprintln!("error: the report can not be written: {e}"),
                }
            } else {
                println!("{report}");
            }
            let wrong = report.wrong + report.checksums_bad > 0;
            let missing = report.lost_percent > common.max_loss || report.done == 0;
            if wrong || missing { ExitCode::from(3) } else { ExitCode::SUCCESS }
        }
    }
}
