//! `gatun replay --bench`.

use super::files::Files;
use super::{Args, Usage};
use crate::replay::Gateway;
use crate::replay::bench::{BURST, Outcome, Pass, Trace, engine::Engine};
use anyhow::{Result, bail};
use comfy_table::{CellAlignment, Table, presets::NOTHING};
use gatun_engine::addr::PortId;
use gatun_engine::testkit::pcap::Reader;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufReader, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

/// A pass shorter than this measures the start more than the rest.
const SHORT: Duration = Duration::from_micros(500);

/// The passes over one way in and out.
struct Measured {
    /// In JSON.
    key: &'static str,
    what: &'static str,
    passes: Vec<Pass>,
    packets: usize,
}

/// Median, lowest and highest.
#[derive(Clone, Copy, serde::Serialize)]
struct Spread {
    median: f64,
    lowest: f64,
    highest: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        let at = |i: usize| values.get(i).copied().unwrap_or_default();
        Spread { median: at(values.len() / 2), lowest: at(0), highest: at(values.len().saturating_sub(1)) }
    }
}

impl Measured {
    fn cpu(&self) -> Duration {
        self.passes.iter().map(|p| p.cpu).sum()
    }

    fn each(&self, of: impl Fn(f64, f64) -> f64) -> Spread {
        let packets = self.packets as f64;
        Spread::of(self.passes.iter().map(|p| of(packets, p.cpu.as_secs_f64())).collect())
    }

    fn per_second(&self) -> Spread {
        self.each(|packets, seconds| packets / seconds)
    }

    fn nanos(&self) -> Spread {
        self.each(|packets, seconds| seconds * 1e9 / packets)
    }

    /// What became of the frames: every pass does the same.
    fn outcome(&self) -> Option<Outcome> {
        self.passes.first().map(|p| p.outcome)
    }
}

pub(super) fn run(args: &Args, passes: u32) -> Result<()> {
    if args.shards != 1 {
        return Err(Usage(format!("--bench measures one lcore: leave --shards {} out", args.shards)).into());
    }
    let files = Files::open(args)?;
    for (port, path) in &files.inputs {
        check_packets(&files.gateway, *port, path)?;
    }
    let mut trace = Trace::default();
    let (read, gateway) = files.play(&mut trace, |_| Ok(()))?;
    if trace.is_empty() {
        bail!(
            "--in: there is nothing to measure: of {} frames none came in, and {} had been sent by the gateway itself \
             (--keep takes them in)",
            read.frames,
            read.own
        );
    }
    let live = Outcome::of(&gateway.lab.lcores()[0].shard.stats.lcore);
    let mut measured = vec![engine(&trace, &gateway, passes)?];
    let memory = over_dpdk(args, &trace, &gateway, passes, &mut measured)?;
    let mut out = std::io::stdout().lock();
    match args.json {
        true => writeln!(out, "{}", as_json(&trace, passes, memory, &measured))?,
        false => writeln!(out, "{}", as_text(&trace, passes, memory, &measured))?,
    }
    for warning in warnings(&measured, live) {
        eprintln!("{warning}");
    }
    Ok(())
}

fn check_packets(gateway: &Gateway, port: PortId, path: &PathBuf) -> Result<()> {
    let first = File::open(path).ok().and_then(|file| Reader::new(BufReader::new(file)).ok()?.next());
    if first.is_none() {
        let port = gateway.port_name(port);
        bail!(
            "--in {port}={}: there are no packets in it: give a capture with packets, as tcpdump -w writes it",
            path.display()
        );
    }
    Ok(())
}

fn engine(trace: &Trace, gateway: &Gateway, passes: u32) -> Result<Measured> {
    let mut engine = Engine::new(trace, gateway.lab.plan());
    measure(("engine", "engine alone"), trace, passes, || Ok(engine.pass()?))
}

#[cfg(feature = "dpdk")]
fn over_dpdk(
    args: &Args,
    trace: &Trace,
    gateway: &Gateway,
    passes: u32,
    measured: &mut Vec<Measured>,
) -> Result<Option<&'static str>> {
    if !args.dpdk {
        return Ok(None);
    }
    let mut device = crate::replay::bench::device::Device::open(trace, gateway.lab.plan())?;
    measured.push(measure(("dpdk", "over DPDK"), trace, passes, || Ok(device.pass()?))?);
    Ok(Some(if device.huge_pages { "huge" } else { "ordinary" }))
}

#[cfg(not(feature = "dpdk"))]
fn over_dpdk(_: &Args, _: &Trace, _: &Gateway, _: u32, _: &mut Vec<Measured>) -> Result<Option<&'static str>> {
    Ok(None)
}

fn measure(
    (key, what): (&'static str, &'static str),
    trace: &Trace,
    passes: u32,
    mut pass: impl FnMut() -> Result<Pass>,
) -> Result<Measured> {
    let bar = progress(what, passes);
    pass()?;
    let mut done = Vec::new();
    for _ in 0..passes {
        done.push(pass()?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Measured { key, what, passes: done, packets: trace.len() })
}

fn progress(what: &'static str, passes: u32) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(u64::from(passes)).with_message(what);
    let style = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} passes {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn as_json(trace: &Trace, passes: u32, memory: Option<&str>, measured: &[Measured]) -> Value {
    let mut bench = json!({
        "packets": trace.len(),
        "answers": trace.answers,
        "bytes": trace.bytes(),
        "bursts": trace.bursts(),
        "passes": passes,
    });
    for m in measured {
        bench[m.key] = json!({
            "cpu_seconds": m.cpu().as_secs_f64(),
            "packets_per_cpu_second": m.per_second(),
            "ns_per_packet": m.nanos(),
            "pass": m.outcome(),
        });
    }
    if let Some(memory) = memory {
        bench["dpdk"]["pages"] = json!(memory);
    }
    json!({ "bench": bench })
}

fn as_text(trace: &Trace, passes: u32, memory: Option<&str>, measured: &[Measured]) -> String {
    let mut text = format!(
        "a pass: {} packets ({} of them answers of model servers), {} bytes, in {} bursts of {BURST} or fewer\n",
        trace.len(),
        trace.answers,
        trace.bytes(),
        trace.bursts()
    );
    if let Some(o) = measured.first().and_then(Measured::outcome) {
        text += &format!(
            "        {} connections opened, {} packets forwarded, {} dropped, {} to the master\n\n",
            o.opened, o.forwarded, o.dropped, o.punted
        );
    }
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["", "packets a CPU-second", "lowest", "highest", "ns a packet", "lowest", "highest", "CPU s"]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let millions = |n: f64| format!("{:.3} M", n / 1e6);
    let nanos = |n: f64| format!("{n:.1}");
    for m in measured {
        let (rate, time) = (m.per_second(), m.nanos());
        let rate = [rate.median, rate.lowest, rate.highest].map(millions);
        let time = [time.median, time.lowest, time.highest].map(nanos);
        let row = [m.what.to_owned()].into_iter().chain(rate).chain(time);
        table.add_row(row.chain([format!("{:.3}", m.cpu().as_secs_f64())]));
    }
    text += &table.trim_fmt();
    text += &format!("\n\npasses: {passes}, after one to warm up; a figure is their median");
    if let Some(memory) = memory {
        text += &format!("; DPDK on {memory} pages");
    }
    text
}

/// What the reader of the figures should know.
fn warnings(measured: &[Measured], live: Outcome) -> Vec<String> {
    let mut said = Vec::new();
    if cfg!(debug_assertions) {
        said.push("this is a debug build: the figures say nothing. Measure with one of `make release`".to_owned());
    }
    if let Some(pass) = measured.iter().flat_map(|m| &m.passes).find(|p| p.cpu < SHORT) {
        said.push(format!(
            "a pass takes only {:.0} us: take a longer capture, of some 10,000 packets or more",
            pass.cpu.as_secs_f64() * 1e6
        ));
    }
    for m in measured {
        if let Some(o) = m.outcome().filter(|o| o.opened != live.opened) {
            said.push(format!(
                "{}: in bursts {} connections were opened, and {} with the packets one by one",
                m.what, o.opened, live.opened
            ));
        }
    }
    said
}
