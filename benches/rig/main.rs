//! The two-process rig (`make bench-rig`): `gatun-loadgen` on CPU 0, and in the gateway's seat on CPU 1 by turns the real
//! `gatun run`, testpmd `io` and testpmd `5tswap`, over vhost-user and virtio-user.
//!
//! The figure of G11 is a share: gatun's packets a second over those of testpmd io, in the same seat, in pairs that follow
//! each other. G12 counts whole TCP connections. What the generator had left over is told with each figure: where it had
//! nothing, the figure is the generator's and not gatun's.
//!
//! `docs/benchmarks.md` says how to read the result.

mod config;
mod machine;
mod result;
mod seat;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use machine::{Machine, Process};
use result::{Better, Goal, Results};
use seat::{Kind, Seat};
use serde::Deserialize;
use std::io::IsTerminal;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

/// Pairs of a goal, unless `--pairs` says otherwise.
const PAIRS: usize = 5;
/// Seconds that each run is measured.
const SECONDS: f64 = 2.0;
/// A thread that had its CPU for less of the time was disturbed.
const UNDISTURBED: f64 = 0.8;
/// How long one run may take, with opening all flows.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is used of a report of gatun-loadgen.
#[derive(Clone, Debug, Deserialize)]
struct Report {
    packets_per_second: f64,
    done_per_second: f64,
    lost_percent: f64,
    wrong: u64,
    checksums_bad: u64,
    idle_share: f64,
    mean_burst: f64,
    on_cpu_share: f64,
    bound_by: String,
    first_wrong: Option<String>,
    /// On its CPU, of the time: the busiest thread in the gateway's seat. Not part of the report.
    #[serde(default)]
    seat_on_cpu: f64,
}

impl Report {
    fn undisturbed(&self) -> bool {
        self.on_cpu_share.min(self.seat_on_cpu) >= UNDISTURBED
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("bench-rig: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let (pairs, only) = arguments()?;
    let machine = Machine::prepare()?;
    let goals: [(&str, u32, f64, f64); 3] =
        [("G11@1k", 1_000, 0.55, 0.70), ("G11@60k", 60_000, 0.50, 0.65), ("G11@1M", 1_000_000, 0.40, 0.55)];
    let wanted = |name: &str| only.as_ref().is_none_or(|o| name.starts_with(o.as_str()));
    let shares: Vec<_> = goals.iter().filter(|g| wanted(g.0)).collect();
    let conns = wanted("G12");
    let bar = bar((shares.len() * pairs * 3 + if conns { pairs } else { 0 }) as u64);
    let mut results = Results::new(machine.load());
    for (name, flows, must, aim) in shares {
        let mut runs = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..pairs {
            for (kind, runs) in [Kind::Io, Kind::Gatun, Kind::Swap].into_iter().zip(&mut runs) {
                bar.set_message(format!("{name} {kind}"));
                runs.push(udp(&machine, kind, *flows).with_context(|| format!("{name}, {kind} in the seat"))?);
                bar.inc(1);
            }
        }
        let [io, gatun, swap] = runs;
        results.add(name, share(*must, *aim, &io, &gatun, &swap));
    }
    if conns {
        let mut runs = Vec::new();
        for _ in 0..pairs {
            bar.set_message("G12");
            runs.push(connections(&machine).context("G12")?);
            bar.inc(1);
        }
        results.add("G12", rate(1.5e6, 2.5e6, &runs));
    }
    bar.finish_and_clear();
    drop(machine);
    results.write()
}

fn arguments() -> anyhow::Result<(usize, Option<String>)> {
    let (mut pairs, mut only) = (PAIRS, None);
    // Cargo adds --bench.
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--pairs" => {
                let text = arguments.next().unwrap_or_default();
                pairs =
                    text.parse().ok().filter(|n| (1..=50).contains(n)).with_context(|| {
                        format!("--pairs {text:?}: write a number from 1 to 50; {PAIRS} when left out")
                    })?;
            }
            "--only" => only = Some(arguments.next().context("--only needs G11, G11@1k, G11@60k, G11@1M or G12")?),
            other => bail!("{other:?} is no argument: there are --pairs N and --only GOAL"),
        }
    }
    Ok((pairs, only))
}

/// Packets of so many UDP flows, there and back.
fn udp(machine: &Machine, kind: Kind, flows: u32) -> anyhow::Result<Report> {
    let seat = Seat::take(machine, kind, config::udp(machine, flows))?;
    let flows = flows.to_string();
    let bare = if kind == Kind::Gatun { &[][..] } else { &["--bare"] };
    load(machine, &seat, &[&["udp", "--flows", &flows], bare].concat())
}

/// Whole TCP connections beside a million that are open.
fn connections(machine: &Machine) -> anyhow::Result<Report> {
    let seat = Seat::take(machine, Kind::Gatun, config::tcp(machine))?;
    load(machine, &seat, &["conn", "--live", "1000000", "--warmup", "2"])
}

fn load(machine: &Machine, seat: &Seat, arguments: &[&str]) -> anyhow::Result<Report> {
    let mut command = machine.command(env!("CARGO_BIN_EXE_gatun-loadgen"));
    command.args(arguments).args(["--json", "--cpu", "0", "--duration", &SECONDS.to_string()]);
    for (i, socket) in machine.sockets().iter().enumerate() {
        let socket = socket.display();
        let device = format!("net_virtio_user{i},path={socket},packed_vq=1,mrg_rxbuf=0,in_order=1,queue_size=1024");
        command.args(["--device", &device]);
    }
    command.args(config::LOADGEN);
    let before = seat.on_cpu();
    let begin = std::time::Instant::now();
    let mut process = Process::start(command.stdout(Stdio::piped()), "gatun-loadgen")?;
    let text = process.output(machine, PATIENCE)?;
    let (spent, wall) = (seat.on_cpu().busiest_since(&before), begin.elapsed());
    let mut report: Report = serde_json::from_str(&text).with_context(|| format!("gatun-loadgen said {text:?}"))?;
    report.seat_on_cpu = spent.as_secs_f64() / wall.as_secs_f64();
    if report.wrong + report.checksums_bad > 0 {
        bail!(
            "{} packets came back wrong, as {:?}: the gateway does not do its work",
            report.wrong,
            report.first_wrong
        );
    }
    Ok(report)
}

fn share(must: f64, aim: f64, io: &[Report], gatun: &[Report], swap: &[Report]) -> Goal {
    let of = |them: &[Report]| -> Vec<f64> {
        let pairs = io.iter().zip(them).filter(|(io, it)| io.undisturbed() && it.undisturbed());
        pairs.map(|(io, it)| it.packets_per_second / io.packets_per_second).collect()
    };
    let (shares, swaps) = (of(gatun), of(swap));
    let same: Vec<f64> = io.windows(2).map(|w| w[1].packets_per_second / w[0].packets_per_second).collect();
    let mpps = |them: &[Report]| median(&them.iter().map(|r| r.packets_per_second / 1e6).collect::<Vec<_>>());
    let mut how = format!(
        "median of {} undisturbed pairs of {}; Mpps io {:.2}, gatun {:.2}, 5tswap {:.2} (share {:.2}); successive io runs {:.2} to {:.2}; {}; {}",
        shares.len(),
        io.len(),
        mpps(io),
        mpps(gatun),
        mpps(swap),
        median(&swaps),
        least(&same),
        most(&same),
        generator("io", io),
        generator("gatun", gatun)
    );
    if bound(io) {
        how += "; THE GENERATOR BOUNDS io: the share is an upper limit";
    }
    let measured = !shares.is_empty() && !bound(gatun);
    Goal::new(measured.then_some(shares), must, aim, Better::Higher, how)
}

fn rate(must: f64, aim: f64, runs: &[Report]) -> Goal {
    let good: Vec<f64> = runs.iter().filter(|r| r.undisturbed()).map(|r| r.done_per_second).collect();
    let mut how = format!(
        "connections a second beside 1 M live ones, median of {} undisturbed runs of {}; {}",
        good.len(),
        runs.len(),
        generator("gatun", runs)
    );
    if bound(runs) {
        how += "; THE GENERATOR IS THE BOTTLENECK: gatun can do more than this";
    }
    Goal::new((!good.is_empty()).then_some(good), must, aim, Better::Higher, how)
}

/// Whether most of these runs say that the generator was the bottleneck.
fn bound(runs: &[Report]) -> bool {
    2 * runs.iter().filter(|r| r.bound_by == "generator").count() > runs.len()
}

fn generator(with: &str, runs: &[Report]) -> String {
    let of = |what: fn(&Report) -> f64| median(&runs.iter().map(what).collect::<Vec<_>>());
    format!(
        "generator with {with}: idle {:.0} %, {:.0} packets a burst; lost {:.4} %; on CPU {:.2}, seat {:.2}",
        100.0 * of(|r| r.idle_share),
        of(|r| r.mean_burst),
        of(|r| r.lost_percent),
        of(|r| r.on_cpu_share),
        of(|r| r.seat_on_cpu)
    )
}

fn bar(length: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg:18} {eta:>4}");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The middle one; NaN when there is none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(crate) fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::min)
}

pub(crate) fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::max)
}
