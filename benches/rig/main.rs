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
// A part of the other benches' library, too.
#[allow(unreachable_pub)]
#[path = "../common/near.rs"]
mod near;
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
/// From this share on gatun is as fast as io.
const AS_FAST: f64 = 0.9;
/// Of the three in a pair's seat.
const IO: usize = 0;
const GATUN: usize = 1;
const SWAP: usize = 2;
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
    /// Both CPUs shared a cache, before the run and after it. Not part of the report.
    #[serde(default)]
    near: bool,
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
    let bar = bar((shares.len() * pairs * 3 + if conns { pairs * 2 } else { 0 }) as u64);
    let mut results = Results::new(machine.load());
    for (name, flows, must, aim) in shares {
        let of = |kind: Kind| {
            bar.set_message(format!("{name} {kind}"));
            let report = udp(&machine, kind, *flows).with_context(|| format!("{name}, {kind} in the seat"))?;
            bar.inc(1);
            anyhow::Ok(report)
        };
        let runs = runs(&bar, pairs, || Ok([of(Kind::Io)?, of(Kind::Gatun)?, of(Kind::Swap)?]))?;
        results.add(name, share(*must, *aim, &runs));
    }
    if conns {
        let of = |kind: Kind| {
            bar.set_message(format!("G12 {kind}"));
            let report = connections(&machine, kind).with_context(|| format!("G12, {kind} in the seat"))?;
            bar.inc(1);
            anyhow::Ok(report)
        };
        let runs = runs(&bar, pairs, || Ok([of(Kind::Io)?, of(Kind::Gatun)?]))?;
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

/// What was found, by where both CPUs were meanwhile.
struct Runs<const N: usize> {
    /// At one cache.
    near: Vec<[Report; N]>,
    /// At two, at least for a part of the time.
    apart: Vec<[Report; N]>,
}

impl<const N: usize> Runs<N> {
    /// Those that make the figure: if there are some, those with both CPUs at one cache.
    fn told(&self) -> &[[Report; N]] {
        if self.near.is_empty() { &self.apart } else { &self.near }
    }

    /// How many there are, with a figure of the others.
    fn places(&self, figure: impl Fn(&[[Report; N]]) -> f64) -> String {
        let (near, apart) = (self.near.len(), self.apart.len());
        let mut text = format!("{near} with both CPUs at one cache, {apart} with them apart");
        if near == 0 {
            text += ", which count";
        } else if apart > 0 {
            text += &format!(" ({:.2} there)", figure(&self.apart));
        }
        text
    }
}

/// Goes on until so many runs had both CPUs at one cache, for at most twice as many.
fn runs<const N: usize>(
    bar: &ProgressBar,
    wanted: usize,
    mut run: impl FnMut() -> anyhow::Result<[Report; N]>,
) -> anyhow::Result<Runs<N>> {
    let mut runs = Runs { near: Vec::new(), apart: Vec::new() };
    while runs.near.len() < wanted && runs.near.len() + runs.apart.len() < 2 * wanted {
        let reports = run()?;
        if reports.iter().all(|r| r.near) {
            runs.near.push(reports);
        } else {
            bar.inc_length(if runs.apart.len() < wanted { N as u64 } else { 0 });
            runs.apart.push(reports);
        }
    }
    Ok(runs)
}

/// Packets of so many UDP flows, there and back.
fn udp(machine: &Machine, kind: Kind, flows: u32) -> anyhow::Result<Report> {
    let near = machine.are_near()?;
    let seat = Seat::take(machine, kind, config::udp(machine, flows))?;
    let flows = flows.to_string();
    load(machine, seat, near, &[&["udp", "--flows", &flows], bare(kind)].concat())
}

/// Whole TCP connections, in gatun beside a million that are open.
fn connections(machine: &Machine, kind: Kind) -> anyhow::Result<Report> {
    let near = machine.are_near()?;
    let seat = Seat::take(machine, kind, config::tcp(machine))?;
    load(machine, seat, near, &[&["conn", "--live", "1000000", "--warmup", "2"], bare(kind)].concat())
}

/// What the generator is told of a seat that only sends on.
fn bare(kind: Kind) -> &'static [&'static str] {
    if kind == Kind::Gatun { &[] } else { &["--bare"] }
}

fn load(machine: &Machine, seat: Seat, near: bool, arguments: &[&str]) -> anyhow::Result<Report> {
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
    drop(seat);
    report.near = near && machine.are_near()?;
    if report.wrong + report.checksums_bad > 0 {
        bail!(
            "{} packets came back wrong, as {:?}: the gateway does not do its work",
            report.wrong,
            report.first_wrong
        );
    }
    Ok(report)
}

fn share(must: f64, aim: f64, runs: &Runs<3>) -> Goal {
    let shares = |runs: &[[Report; 3]], of: usize| -> Vec<f64> {
        let pairs = runs.iter().filter(|r| r[IO].undisturbed() && r[of].undisturbed());
        pairs.map(|r| r[of].packets_per_second / r[IO].packets_per_second).collect()
    };
    let told = runs.told();
    let (gatun, swap) = (shares(told, GATUN), shares(told, SWAP));
    let mpps = |of: usize| told.iter().map(|r| r[of].packets_per_second / 1e6).collect::<Vec<_>>();
    let same: Vec<f64> = mpps(IO).windows(2).map(|w| w[1] / w[0]).collect();
    let mut how = format!(
        "median of {} undisturbed pairs of {}; Mpps io {:.2}, gatun {:.2}, 5tswap {:.2} (share {:.2}); successive io runs {:.2} to {:.2}; {}; {}; {}",
        gatun.len(),
        told.len(),
        median(&mpps(IO)),
        median(&mpps(GATUN)),
        median(&mpps(SWAP)),
        median(&swap),
        least(&same),
        most(&same),
        runs.places(|apart| median(&shares(apart, GATUN))),
        generator("io", told, IO),
        generator("gatun", told, GATUN)
    );
    let (io_bound, gatun_bound) = (bound(told, IO), bound(told, GATUN));
    if io_bound {
        how += "; THE GENERATOR BOUNDS io: the share is an upper limit";
    }
    // Beside a bounded io, a gatun that is as fast stands at the same limit.
    let at_the_limit = gatun_bound || io_bound && median(&gatun) > AS_FAST;
    if at_the_limit {
        how += "; THE GENERATOR BOUNDS gatun, too: the share says nothing";
    }
    let goal = Goal::new((!gatun.is_empty()).then_some(gatun), must, aim, Better::Higher, how);
    if at_the_limit { goal.unmeasured() } else { goal }
}

fn rate(must: f64, aim: f64, runs: &Runs<2>) -> Goal {
    let rates = |runs: &[[Report; 2]], of: usize| -> Vec<f64> {
        runs.iter().map(|r| &r[of]).filter(|r| r.undisturbed()).map(|r| r.done_per_second).collect()
    };
    let told = runs.told();
    let (good, io) = (rates(told, GATUN), rates(told, IO));
    let mut how = format!(
        "connections a second beside 1 M live ones, median of {} undisturbed runs of {}; through io {:.2} M ({:.2} to {:.2}); {}; {}; {}",
        good.len(),
        told.len(),
        median(&io) / 1e6,
        least(&io) / 1e6,
        most(&io) / 1e6,
        runs.places(|apart| median(&rates(apart, GATUN)) / 1e6),
        generator("io", told, IO),
        generator("gatun", told, GATUN)
    );
    if bound(told, IO) {
        how += "; THE GENERATOR BOUNDS io: it could do more than this";
    }
    if bound(told, GATUN) {
        how += "; THE GENERATOR IS THE BOTTLENECK: gatun can do more than this";
    }
    Goal::new((!good.is_empty()).then_some(good), must, aim, Better::Higher, how)
}

/// Whether most of these runs say that the generator was the bottleneck.
fn bound<const N: usize>(runs: &[[Report; N]], of: usize) -> bool {
    2 * runs.iter().filter(|r| r[of].bound_by == "generator").count() > runs.len()
}

fn generator<const N: usize>(with: &str, runs: &[[Report; N]], seat: usize) -> String {
    let of = |what: fn(&Report) -> f64| median(&runs.iter().map(|r| what(&r[seat])).collect::<Vec<_>>());
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
