//! Replay of the user's own files.

use super::watch::{Output, Watch};
use super::{Args, Usage, blessing, load, style, write_file};
use crate::config::Model;
use crate::replay::counters::Counters;
use crate::replay::input::{self, Sources};
use crate::replay::{Error, Gateway, Observer, Options, Player, mac};
use anyhow::{Context, Result};
use gatun_engine::addr::PortId;
use gatun_engine::testkit::lab::Link;
use gatun_engine::testkit::pcap::Writer;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{BufWriter, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

/// Files from this size on have a progress bar.
const LONG: u64 = 4 << 20;

fn port(model: &Model, name: &str) -> Result<PortId> {
    match model.port(name) {
        Some(id) => Ok(PortId(id.0 as u8)),
        None => {
            let names: Vec<_> = model.ports.iter().map(|p| p.name.as_str()).collect();
            Err(Usage(format!("there is no port {name:?} in the configuration: it has {}", names.join(", "))).into())
        }
    }
}

fn named(model: &Model, files: &[(String, PathBuf)]) -> Result<Vec<(PortId, PathBuf)>> {
    let mut ports: Vec<(PortId, PathBuf)> = Vec::new();
    for (name, path) in files {
        let id = port(model, name)?;
        if ports.iter().any(|(p, _)| *p == id) {
            return Err(
                Usage(format!("port {name:?} has two files: merge them first, for example with mergecap")).into()
            );
        }
        ports.push((id, path.clone()));
    }
    Ok(ports)
}

/// A gateway and what is to be played to it, as the command line says.
pub(super) struct Files {
    pub(super) gateway: Gateway,
    pub(super) sources: Sources,
    /// In the order of the command line.
    pub(super) inputs: Vec<(PortId, PathBuf)>,
    answer: Vec<PortId>,
    map: Option<PortId>,
    keep: bool,
}

/// What was read.
#[derive(Clone, Copy, Default)]
pub(super) struct Read {
    pub(super) frames: u64,
    /// Of these, what the gateway itself had sent.
    pub(super) own: u64,
}

impl Files {
    pub(super) fn open(args: &Args) -> Result<Files> {
        let config = args.config.as_ref().context("--config is missing")?;
        let model = load(config)?;
        let inputs = named(&model, &args.input)?;
        if inputs.is_empty() {
            return Err(Usage("nothing comes in: give at least one --in PORT=FILE".to_owned()).into());
        }
        let answer = args.answer.iter().map(|name| port(&model, name)).collect::<Result<Vec<_>>>()?;
        let map = args.map.as_ref().map(|name| port(&model, name)).transpose()?;
        if let Some(map) = map.filter(|m| !inputs.iter().any(|(p, _)| p == m)) {
            let name = &model.ports[map.index()].name;
            return Err(Usage(format!("--map {name} needs the recorded server side: give --in {name}=FILE")).into());
        }
        let resolved = input::with_link(&inputs)?;
        let link = |p: usize| if resolved.contains(&PortId(p as u8)) { Link::Arp } else { Link::Quiet };
        let options = Options {
            shards: args.shards,
            seed: args.seed.unwrap_or(1),
            links: (0..model.ports.len()).map(link).collect(),
            ..Options::default()
        };
        let gateway = Gateway::new(model, &options).map_err(|e| match e {
            Error::Memory(e) => anyhow::anyhow!("{}: {e}", config.display()),
            e => Usage(format!("{}: {e}", config.display())).into(),
        })?;
        Ok(Files { gateway, sources: Sources::open(&inputs)?, inputs, answer, map, keep: args.keep })
    }

    /// Plays everything, and gives what was read and the gateway at the end. `check` is asked now and then whether to go on.
    pub(super) fn play<O: Observer>(
        self,
        observer: &mut O,
        check: fn(&mut O) -> Result<()>,
    ) -> Result<(Read, Gateway)> {
        let Files { gateway, mut sources, answer, map, keep, .. } = self;
        let macs: Vec<_> = (0..gateway.model().ports.len()).map(|p| mac(gateway.model(), p)).collect();
        let bar = progress(&sources);
        let mut player = Player::new(gateway, &answer, map, observer);
        player.announce();
        let mut read = Read::default();
        while let Some((mut packet, len)) = sources.read()? {
            bar.inc(len as u64 + 16);
            read.frames += 1;
            if !keep && !input::tidy(&mut packet.frame, macs[packet.port.index()], player.gateway.lab.snapshot()) {
                read.own += 1;
                continue;
            }
            player.feed(packet);
            if read.frames.is_multiple_of(256) {
                check(player.observer())?;
            }
        }
        player.end(0);
        bar.finish_and_clear();
        Ok((read, player.gateway))
    }
}

/// True when the counters are as expected, or nothing was expected.
pub(super) fn run(args: &Args) -> Result<bool> {
    let files = Files::open(args)?;
    let outs = named(files.gateway.model(), &args.out)?;
    let mut watch = Watch::new(args.explain, args.json, style());
    watch.base = files.sources.base();
    for (port, path) in outs {
        let file = File::create(&path).with_context(|| format!("{}: can not be written", path.display()))?;
        let writer =
            Writer::new(BufWriter::new(file)).with_context(|| format!("{}: can not be written", path.display()))?;
        watch.outputs.insert(port.0, Output { path, writer, frames: 0 });
    }
    let (read, mut gateway) = files.play(&mut watch, Watch::check)?;
    let counters = Counters::of(&mut gateway);
    watch.end(&counters)?;
    finish(args, watch, &counters, read)
}

fn progress(sources: &Sources) -> ProgressBar {
    if sources.bytes < LONG || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(sources.bytes);
    let style = ProgressStyle::with_template("{bar:40} {percent}% {bytes}/{total_bytes} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn finish(args: &Args, watch: Watch, counters: &Counters, read: Read) -> Result<bool> {
    let Read { frames, own } = read;
    let Watch { outputs, unmatched, .. } = watch;
    let drops: u64 = counters.0.iter().filter(|(name, _)| name == "drop").flat_map(|(_, c)| c.values()).sum();
    if !args.json {
        eprintln!(
            "{frames} frames read; {} connections opened, {} frames sent, {drops} dropped",
            counters.value("lcore", "conns_opened"),
            counters.value("lcore", "tx_sent"),
        );
    }
    if own > 0 {
        eprintln!("{own} frames were left out: the gateway itself is their source (--keep takes them in)");
    }
    if unmatched > 0 {
        eprintln!(
            "{unmatched} recorded frames of servers belong to no connection that was opened here, and were left out"
        );
    }
    for output in outputs.into_values() {
        let path = output.path.clone();
        output.writer.finish().with_context(|| format!("{}: can not be written", path.display()))?;
    }
    let Some(path) = &args.counters else { return Ok(true) };
    let is = counters.to_toml();
    if blessing() || !path.exists() {
        write_file(path, &is)?;
        return Ok(true);
    }
    let expected = std::fs::read_to_string(path).with_context(|| format!("{}: can not be read", path.display()))?;
    let diff = crate::replay::counters::diff(&expected, &is);
    if !diff.is_empty() {
        eprintln!("{}: - expected, + counted (BLESS=1 writes the file)\n{diff}", path.display());
    }
    Ok(diff.is_empty())
}
