//! `gatun run`.

use std::process::ExitCode;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {}

/// Runs.
pub fn main(_args: &Args) -> ExitCode {
    ExitCode::SUCCESS
}
