//! `gatun token`.

use crate::api::tokens::{self, Role};
use std::process::ExitCode;

/// Arguments.
#[derive(clap::Args)]
#[command(
    after_help = "Prints the line for the file of api.tokens on standard output, and the token itself on standard error: it is
shown this once, and only its hash is kept.

Examples:
  gatun token --name ops --role write >> /etc/gatun/tokens
  gatun token --name grafana --role read --expires 2027-12-31T00:00:00Z >> /etc/gatun/tokens"
)]
pub struct Args {
    /// What the history calls its holder: no blanks.
    #[arg(long, value_parser = name)]
    pub name: String,
    /// What its holder may do: read or write.
    #[arg(long, default_value = "read")]
    pub role: Role,
    /// When it ends.
    #[arg(long, value_parser = moment)]
    pub expires: Option<String>,
}

/// Makes a token. 0: done; 1: there is no randomness.
pub fn main(args: &Args) -> ExitCode {
    match tokens::make(&args.name, args.role, args.expires.as_deref()) {
        Ok((token, line)) => {
            println!("{line}");
            eprintln!("{token}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("no token can be made: /dev/urandom: {e}");
            ExitCode::FAILURE
        }
    }
}

fn name(text: &str) -> Result<String, String> {
    let usable = !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_graphic());
    if usable { Ok(text.to_owned()) } else { Err("use 1 to 64 printable characters without blanks".to_owned()) }
}

fn moment(text: &str) -> Result<String, String> {
    let readable = crate::control::clock::seconds(text).is_some();
    if readable { Ok(text.to_owned()) } else { Err("write it as in 2027-12-31T00:00:00Z".to_owned()) }
}
