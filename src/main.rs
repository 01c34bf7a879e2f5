//! `gatun`: the gateway and its offline tools.
#![forbid(unsafe_code)]

use clap::{CommandFactory, Parser, Subcommand};
use gatun::commands::{check_config, replay};
#[cfg(feature = "dpdk")]
use gatun::commands::{run, status, token};
use std::process::ExitCode;

/// A FULLNAT gateway and layer-4 load balancer on DPDK.
///
/// Exit codes: 0 done; 1 the environment does not allow it (devices, permissions, files); 2 the configuration or the
/// command line is wrong; 3 a replay differs from what was expected.
#[derive(Parser)]
#[command(name = "gatun", version = env!("GATUN_VERSION"), after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  gatun check-config conf/gatun.toml
  gatun run --config conf/gatun.toml
  gatun status --json
  gatun replay tests/pcap/tcp-handshake-and-data-both-ways --explain";

#[derive(Subcommand)]
enum Command {
    /// Forward traffic, in the foreground, until SIGTERM. SIGHUP reads the configuration again.
    #[cfg(feature = "dpdk")]
    Run(run::Args),
    /// Show services, connections, neighbours and counters of the running gateway.
    #[cfg(feature = "dpdk")]
    Status(status::Args),
    /// Make a token for the REST interface over TCP.
    #[cfg(feature = "dpdk")]
    Token(token::Args),
    /// Take pcap files through the gateway, in the time of their packets.
    Replay(replay::Args),
    /// Say everything that is wrong with a configuration file.
    CheckConfig(check_config::Args),
    /// Print a completion script for a shell.
    Completion {
        /// Which one.
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    match Cli::parse().command {
        #[cfg(feature = "dpdk")]
        Command::Run(args) => run::main(&args),
        #[cfg(feature = "dpdk")]
        Command::Status(args) => status::main(&args),
        #[cfg(feature = "dpdk")]
        Command::Token(args) => token::main(&args),
        Command::Replay(args) => replay::main(&args),
        Command::CheckConfig(args) => check_config::main(&args),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "gatun", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
    }
}
