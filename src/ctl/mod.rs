//! `gatunctl`: the gateway's REST interface for people and scripts.
//!
//! Every command is a request or a few, and a table, or with `--json` what the interface answered. What changes the configuration goes
//! as one transaction, so that it is made as a whole or not at all. Nothing is kept here: the gateway knows everything.

mod capture;
mod config;
mod live;
mod network;
mod services;
mod stats;
mod support;
mod table;
mod top;

use crate::api::types::{Applied, Edit, Transaction};
use crate::client::{Ask, Client, Failure, Target};
use clap::{CommandFactory, Parser, Subcommand};
use serde::Serialize;
use std::io::Write;
use std::process::ExitCode;

/// Looks at a running gateway, and changes it.
#[derive(Parser)]
#[command(name = "gatunctl", version = env!("GATUN_VERSION"), after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    target: Target,
    /// JSON on standard output, as the interface has it.
    #[arg(long, global = true)]
    json: bool,
    /// Change only if the configuration is still of this generation.
    #[arg(long, global = true, value_name = "N")]
    generation: Option<u64>,
    /// Only say what would change.
    #[arg(long, global = true)]
    dry_run: bool,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Exit codes:
  0  done
  1  no gateway answers, or a file can not be used
  2  the command line is wrong, or a value in it
  3  the gateway refuses: not there, there already, or of another generation
  4  the gateway failed

Examples:
  gatunctl service list
  gatunctl service add tcp 198.18.1.100:80 --scheduler wrr --real 198.18.2.11:80 --real 198.18.2.12:80=3
  gatunctl real drain tcp/198.18.1.100:80 198.18.2.11:80 --deadline 300 --wait
  gatunctl stats --watch
  gatunctl top
  gatunctl trace tcp 198.18.1.1:40000 198.18.1.100:80
  gatunctl capture -w - --port wan | tcpdump -n -r -
  gatunctl config export > gatun.toml
  gatunctl config apply gatun.toml --confirm 60
  gatunctl --url https://gw1.example.com:9443 --token-file ~/.gatun-token service list --json";

#[derive(Subcommand)]
enum Command {
    /// Services.
    #[command(subcommand, visible_alias = "svc")]
    Service(services::Command),
    /// Real servers of a service.
    #[command(subcommand)]
    Real(services::RealCommand),
    /// Pools of local addresses.
    #[command(subcommand)]
    Laddr(network::LaddrCommand),
    /// Static routes.
    #[command(subcommand)]
    Route(network::RouteCommand),
    /// Neighbours: next hops and their MAC addresses.
    #[command(subcommand)]
    Neigh(network::NeighCommand),
    /// Ports of the network card.
    #[command(subcommand)]
    Port(network::PortCommand),
    /// Workers.
    #[command(subcommand)]
    Lcore(network::LcoreCommand),
    /// Connections.
    #[command(subcommand)]
    Conn(live::ConnCommand),
    /// Counters and rates of services, ports and workers.
    Stats(stats::Args),
    /// Set the counters of services and servers to zero.
    Zero(stats::ZeroArgs),
    /// The same on the whole screen, by rate.
    Top(top::Args),
    /// Frames thrown away: the reasons, and the last frames of one.
    Drops(live::DropsArgs),
    /// Frames as they come in, go out or are thrown away, into a capture file or into tcpdump.
    Capture(capture::Args),
    /// What would become of a packet, and why.
    Trace(live::TraceArgs),
    /// How long a connection stays without a packet.
    #[command(subcommand)]
    Timeout(live::TimeoutCommand),
    /// The configuration as a whole.
    #[command(subcommand)]
    Config(config::Command),
    /// The limit that will bind next.
    Capacity,
    /// Whether the gateway can do its work. Exit code 4 when it can not.
    Health,
    /// Collect what a person needs who is to help.
    Support(support::Args),
    /// The version of the gateway.
    Version,
    /// Print a completion script for a shell.
    Completion {
        /// Which one.
        shell: clap_complete::Shell,
    },
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::Completion { shell } = cli.command {
        clap_complete::generate(shell, &mut Cli::command(), "gatunctl", &mut std::io::stdout());
        return ExitCode::SUCCESS;
    }
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::from(e.code())
        }
    }
}

fn run(cli: Cli) -> Done {
    let ctl =
        Ctl { client: Client::new(&cli.target)?, json: cli.json, generation: cli.generation, dry_run: cli.dry_run };
    match cli.command {
        Command::Service(command) => services::run(&ctl, command),
        Command::Real(command) => services::run_real(&ctl, command),
        Command::Laddr(command) => network::laddr(&ctl, command),
        Command::Route(command) => network::route(&ctl, command),
        Command::Neigh(command) => network::neigh(&ctl, command),
        Command::Port(command) => network::port(&ctl, command),
        Command::Lcore(command) => network::lcore(&ctl, command),
        Command::Conn(command) => live::conn(&ctl, command),
        Command::Stats(args) => stats::run(&ctl, args),
        Command::Zero(args) => stats::zero(&ctl, args),
        Command::Top(args) => top::run(&ctl, &args),
        Command::Drops(args) => live::drops(&ctl, &args),
        Command::Capture(args) => capture::run(&ctl, args),
        Command::Trace(args) => live::trace(&ctl, &args),
        Command::Timeout(command) => live::timeout(&ctl, command),
        Command::Config(command) => config::run(&ctl, command),
        Command::Capacity => live::capacity(&ctl),
        Command::Health => live::health(&ctl),
        Command::Support(args) => support::run(&ctl, &args),
        Command::Version => live::version(&ctl),
        // Done before there is a gateway to ask.
        Command::Completion { .. } => Ok(()),
    }
}

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// The gateway, or the way to it.
    #[error("{0}")]
    Gateway(#[from] Failure),
    /// A value of the command line.
    #[error("{0}")]
    Usage(String),
    /// A file or the terminal.
    #[error("{what}: {why}")]
    System {
        /// Which.
        what: String,
        /// What the system says.
        why: std::io::Error,
    },
    /// The gateway answers, and is not well.
    #[error("{0}")]
    Unwell(String),
}

type Done = Result<(), Trouble>;

impl Trouble {
    fn code(&self) -> u8 {
        match self {
            Self::Gateway(failure) => match failure.status() {
                None => 1,
                Some(400 | 413 | 415 | 422) => 2,
                Some(500..) => 4,
                Some(_) => 3,
            },
            Self::Usage(_) => 2,
            Self::System { .. } => 1,
            Self::Unwell(_) => 4,
        }
    }

    fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |why| Self::System { what, why }
    }
}

/// What every command works with.
struct Ctl {
    client: Client,
    json: bool,
    generation: Option<u64>,
    dry_run: bool,
}

impl Ctl {
    /// Prints what was answered: as JSON, or as `text` says it.
    fn show<T: Serialize>(&self, answer: &T, text: impl FnOnce(&T) -> String) -> Done {
        let text = if self.json {
            serde_json::to_string_pretty(answer).map_err(|e| Trouble::Usage(e.to_string()))?
        } else {
            text(answer)
        };
        print(&text)
    }

    /// Asks with the generation of the command line.
    fn ask<'a>(&self, query: &'a [(&'a str, String)]) -> Ask<'a> {
        Ask { query, generation: self.generation }
    }

    /// What is asked for with `--dry-run`.
    fn dry_run(&self) -> Vec<(&'static str, String)> {
        if self.dry_run { vec![("dry_run", "true".to_owned())] } else { Vec::new() }
    }

    /// Changes the configuration, all or nothing, and tells what is different.
    fn edit(&self, changes: Vec<Edit>) -> Done {
        let transaction = Transaction { changes };
        let query = self.dry_run();
        let applied = self.client.send("POST", "/api/v1/transaction", &self.ask(&query), Some(&transaction))?;
        self.show(&applied, applied_text)
    }
}

fn applied_text(applied: &Applied) -> String {
    let mut text: String = applied.changes.iter().map(|line| format!("{line}\n")).collect();
    let generation = applied.generation;
    text.push_str(&match (applied.dry_run, applied.changes.is_empty(), applied.running) {
        (true, ..) => format!("nothing was done; the configuration is generation {generation}"),
        (false, true, _) => format!("nothing changed; the configuration is generation {generation}"),
        (false, false, true) => format!("generation {generation}, which every worker runs"),
        (false, false, false) => format!("generation {generation}, which not every worker runs yet"),
    });
    if let Some(confirm) = &applied.confirm {
        text.push_str(&format!(
            "\ngeneration {} comes back at {} unless you say: gatunctl config confirm",
            confirm.back_to, confirm.until
        ));
    }
    text
}

fn print(text: &str) -> Done {
    let mut out = std::io::stdout().lock();
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    match write!(out, "{text}{end}") {
        // The reader has seen enough.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(Trouble::system("standard output")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::Problem;

    #[test]
    fn the_command_line_is_well_formed_and_every_command_has_a_help() {
        let cli = Cli::command();
        cli.clone().debug_assert();
        for command in cli.get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }

    #[test]
    fn exit_codes_tell_who_is_to_do_something() {
        let refused =
            |status| Trouble::Gateway(Failure::Refused(Box::new(Problem { status, ..Problem::default() }))).code();
        assert_eq!([400, 404, 409, 412, 422, 500, 503].map(refused), [2, 3, 3, 3, 2, 4, 4]);
        let nobody = Failure::Unreachable { at: "x".to_owned(), why: "y".to_owned() };
        assert_eq!([Trouble::Gateway(nobody).code(), Trouble::Usage(String::new()).code()], [1, 2]);
    }

    #[test]
    fn a_change_says_what_is_different_and_how_far_it_is() {
        let applied = Applied { generation: 7, running: true, changes: vec!["a".to_owned()], ..Applied::default() };
        assert_eq!(applied_text(&applied), "a\ngeneration 7, which every worker runs");
        assert_eq!(
            applied_text(&Applied { generation: 7, ..Applied::default() }),
            "nothing changed; the configuration is generation 7"
        );
    }
}
