//! `gatun replay`.

mod bench;
mod files;
mod watch;

use crate::config;
use crate::replay::case::{Case, CaseError};
use crate::replay::explain::Style;
use anyhow::{Context, Result, bail};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use watch::Watch;

/// Arguments.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// A case of the tree, as tests/pcap/tcp-handshake-and-data-both-ways: runs it and compares with what it expects.
    #[arg(conflicts_with_all = ["config", "input", "out", "answer", "map", "counters", "bench"])]
    case: Option<PathBuf>,
    /// The configuration file. Devices of ports are not needed.
    #[arg(long, value_name = "FILE", required_unless_present = "case")]
    config: Option<PathBuf>,
    /// What comes in by a port: a capture file. Several are merged by time.
    #[arg(long = "in", value_name = "PORT=FILE", value_parser = port_and_file)]
    input: Vec<(String, PathBuf)>,
    /// Where to write what leaves by a port.
    #[arg(long, value_name = "PORT=FILE", value_parser = port_and_file)]
    out: Vec<(String, PathBuf)>,
    /// Let model servers answer what leaves by this port: ARP, neighbour solicitations, ping, TCP (echo), UDP (echo).
    #[arg(long, value_name = "PORT")]
    answer: Vec<String>,
    /// What comes in by this port was recorded behind another balancer or on a server: rewrite it to the tuples that
    /// are leased here. Connections are matched by handshake, else by order of those to the same server.
    #[arg(long, value_name = "PORT")]
    map: Option<String>,
    /// Compare all non-zero counters with this file; write it if it is not there, or with BLESS=1.
    #[arg(long, value_name = "FILE")]
    counters: Option<PathBuf>,
    /// Lcores that share the work; a client sees the same on any number.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=128))]
    shards: u8,
    /// Of all randomness, where the configuration has no steering.seed [default: 1, or that of the case].
    #[arg(long)]
    seed: Option<u64>,
    /// Print a line a packet: time, port, what came in, what became of it and why, what went out.
    #[arg(long)]
    explain: bool,
    /// Print JSON: with --explain an object a packet, and the counters at the end.
    #[arg(long)]
    json: bool,
    /// Measure: take everything that comes in N times through the engine, and say how many packets that is for a second
    /// of CPU time. See below.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    #[arg(conflicts_with_all = ["out", "counters", "explain"])]
    bench: Option<u32>,
    /// With --bench: measure also over DPDK, without a network card: out of net_pcap, through the live receive and transmit
    /// code, into net_null. The capture is held in packet buffers; huge pages are taken when enough are free.
    #[cfg(feature = "dpdk")]
    #[arg(long, requires = "bench")]
    dpdk: bool,
    /// Take frames as they are. Without this, frames that were captured somewhere else are addressed to the gateway's
    /// MAC, and those that the gateway itself sent are left out.
    #[arg(long)]
    keep: bool,
}

const HELP: &str = "\
Time comes from the packets: an hour of capture takes as long as its packets do. The same files, seed and shards give
the same output, byte for byte.

Neighbours: on a port whose capture carries ARP or neighbour discovery, the gateway speaks them as it does live, and the
capture has to answer. On all other ports the link is a model: every neighbour that the configuration does not define is
there, with the MAC address 02:00 and its IPv4 address (198.18.2.11 is at 02:00:c6:12:02:0b) or 02:06 and the end of its
IPv6 address, and nobody is seen asking.

With --explain, a line that begins with a time and PORT* is an answer of a model server.

--bench plays the files once as usual, and keeps in memory all that came in: captured frames, mapped ones, answers of model
servers. One pass takes all of it through an engine that has just started, so each pass opens the same connections anew and
gives the servers' packets the same leases; connections do not last from pass to pass. One pass warms up, N are measured.
Frames come in bursts of 32 (fewer where the capture pauses for a second), in the time of the packets. What is measured is the
CPU time of one lcore for receiving bursts (with --dpdk), for the engine, and for sending; not reading files, not making the
tables, and not what the master does with ARP and pings. Take a capture of some 10,000 packets or more, and a release build.

Exit codes: 0 done, and equal to what was expected; 1 a file can not be read or written; 2 the configuration or the
command line is wrong; 3 something differs from what was expected.

Examples:
  # a case of the tree, packet by packet; BLESS=1 makes the outcome the expected one
  gatun replay tests/pcap/tcp-handshake-and-data-both-ways --explain
  # clients' packets from a capture of your own, with model servers
  gatun replay --config conf/fullnat.toml --in wan=clients.pcap --answer lan --explain
  # both sides as they were captured around another balancer, and what gatun makes of them
  gatun replay --config conf/fullnat.toml --in wan=a.pcap --in lan=b.pcap --map lan --out wan=x.pcap --out lan=y.pcap
  # what a packet of it costs
  gatun replay --config conf/fullnat.toml --in wan=clients.pcap --answer lan --bench 20";

fn port_and_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((port, file)) if !port.is_empty() && !file.is_empty() => Ok((port.to_owned(), file.into())),
        _ => Err("is not PORT=FILE, as in wan=clients.pcap".to_owned()),
    }
}

/// Exit codes.
const FILES: u8 = 1;
const CONFIG: u8 = 2;
const DIFFERS: u8 = 3;

/// An error of the configuration or the command line.
#[derive(Debug)]
struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Replays.
pub fn main(args: &Args) -> ExitCode {
    let done = match &args.case {
        Some(folder) => case(args, folder),
        None => match args.bench {
            Some(passes) => bench::run(args, passes).map(|()| true),
            None => files::run(args),
        },
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(DIFFERS),
        Err(e) => {
            // Who closed our output has seen enough.
            let broken = |e: &std::io::Error| e.kind() == std::io::ErrorKind::BrokenPipe;
            if e.downcast_ref::<std::io::Error>().is_some_and(broken) {
                return ExitCode::SUCCESS;
            }
            eprintln!("{e:#}");
            ExitCode::from(if e.is::<Usage>() { CONFIG } else { FILES })
        }
    }
}

fn style() -> Style {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    if colour { Style::COLOUR } else { Style::PLAIN }
}

fn blessing() -> bool {
    std::env::var_os("BLESS").is_some_and(|v| v == "1")
}

/// A case of the tree; true when it is as expected.
fn case(args: &Args, folder: &Path) -> Result<bool> {
    if !folder.join("case.toml").exists() {
        bail!(
            "{}: there is no case.toml in it. Give a folder of tests/pcap, or --config and --in for files of your own",
            folder.display()
        );
    }
    let case = Case::read(folder).map_err(wrong)?;
    let mut options = case.options();
    let as_recorded = args.shards == 1 && args.seed.is_none();
    options.shards = args.shards;
    options.seed = args.seed.unwrap_or(options.seed);
    let map = if as_recorded { None } else { case.recorded() };
    let mut watch = Watch::new(args.explain, args.json, style());
    if args.explain && !args.json {
        watch.say(&format!("{}\n", case.settings.shows.trim()));
    }
    let outcome = case.run(&options, map, &mut watch).map_err(wrong)?;
    watch.end(&outcome.counters)?;
    if !as_recorded {
        eprintln!("not compared: what is expected is that of one shard and seed {}", case.settings.seed);
        return Ok(true);
    }
    if blessing() {
        case.bless(&outcome).map_err(wrong)?;
        eprintln!("{}: this outcome is the expected one now", case.name());
        return Ok(true);
    }
    let diff = case.compare(&outcome).map_err(wrong)?;
    if diff.is_empty() {
        if !args.json {
            println!("\n{}: as expected", case.name());
        }
        return Ok(true);
    }
    std::io::stdout().flush()?;
    eprintln!("{}: differs from what is expected (- expected, + is)\n{diff}", case.name());
    Ok(false)
}

fn wrong(e: CaseError) -> anyhow::Error {
    match e {
        CaseError::File(..) | CaseError::Input(_) => anyhow::Error::new(e),
        CaseError::Settings(..) | CaseError::Config(_) | CaseError::Run(..) => Usage(e.to_string()).into(),
    }
}

fn load(path: &Path) -> Result<config::Model> {
    match config::load(path) {
        Ok(model) => Ok(model),
        Err(problems) if !path.exists() => Err(anyhow::anyhow!("{problems}")),
        Err(problems) => Err(Usage(problems.to_string()).into()),
    }
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("{}: can not be written", path.display()))
}
