//! `gatun replay`.

use std::process::ExitCode;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {}

/// Replays.
pub fn main(_args: &Args) -> ExitCode {
    ExitCode::SUCCESS
}
