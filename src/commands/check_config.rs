//! `gatun check-config`.

use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// The configuration file.
    pub config: PathBuf,
    /// Problems as JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Prints every problem of a file. 0: none; 2: some.
pub fn main(args: &Args) -> ExitCode {
    match crate::config::load(&args.config) {
        Ok(_) => ExitCode::SUCCESS,
        Err(problems) => {
            eprintln!("{problems}");
            ExitCode::from(2)
        }
    }
}
