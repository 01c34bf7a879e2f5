//! A golden case: a folder with a configuration, captured input, and exactly what is expected of it.
//!
//! `case.toml` says what it shows and how it runs; `in.PORT.pcap` comes in; `out.PORT.pcap` is what leaves, byte for
//! byte, on one shard; `counters.toml` has every counter that is not zero.

use super::counters::{self, Counters};
use super::input::{self, Sources};
use super::player::Input;
use super::{Error, Gateway, Observer, Options, Player};
use crate::config::{self, Model, Problems};
use gatun_engine::addr::PortId;
use gatun_engine::testkit::lab::{Arrival, Link, Sent, Step};
use gatun_engine::testkit::{pcap, text};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// `case.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// What the case shows, in sentences.
    pub shows: String,
    /// A configuration file, by its path from the folder.
    config: Option<String>,
    /// Configuration that is appended to the file, or all of it.
    #[serde(default)]
    more: String,
    /// See [`Options::seed`].
    #[serde(default = "one")]
    pub seed: u64,
    /// Ports whose servers are models.
    #[serde(default)]
    answer: Vec<String>,
    /// Ports on which neighbours are found by ARP.
    #[serde(default)]
    arp: Vec<String>,
    /// Send gratuitous ARP at the start.
    #[serde(default)]
    pub announce: bool,
    /// The time of the end in seconds, if that is later than the last packet.
    #[serde(default)]
    pub until: f64,
    /// Why only one shard gives what is expected: something is limited by shard, and clients see it.
    pub one_shard_because: Option<String>,
    /// Why only one shard sends what is expected towards servers; clients see the same on any number.
    pub servers_on_one_shard_because: Option<String>,
    /// Frames that leave with a wrong checksum, because they came in so: `"lan 3"` is the third of out.lan.pcap.
    #[serde(default)]
    pub wrong_checksums: Vec<String>,
    /// Changes of the configuration.
    #[serde(default)]
    reload: Vec<Reload>,
}

fn one() -> u64 {
    1
}

#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Reload {
    /// In seconds.
    at: f64,
    config: Option<String>,
    #[serde(default)]
    more: String,
}

/// Why a case can not run.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// A file can not be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// `case.toml` is wrong.
    #[error("{0}: {1}")]
    Settings(PathBuf, String),
    /// A configuration is wrong.
    #[error("{0}")]
    Config(#[from] Problems),
    /// It can not run.
    #[error("{0}: {1}")]
    Run(PathBuf, Error),
    /// A capture file can not be used.
    #[error(transparent)]
    Input(#[from] input::Error),
}

/// A case that was read.
pub struct Case {
    folder: PathBuf,
    /// What is in `case.toml`.
    pub settings: Settings,
    /// The configuration at the start.
    pub model: Model,
    reloads: Vec<(u64, Model)>,
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What left, by the name of the port.
    pub sent: BTreeMap<String, Vec<Sent>>,
    /// The counters at the end.
    pub counters: Counters,
}

/// Seconds as nanoseconds.
pub fn nanos(secs: f64) -> u64 {
    (secs * 1e9).round() as u64
}

impl Case {
    /// Reads a folder, but not its captures.
    ///
    /// # Errors
    /// See [`CaseError`].
    pub fn read(folder: &Path) -> Result<Case, CaseError> {
        let path = folder.join("case.toml");
        let text = std::fs::read_to_string(&path).map_err(|e| CaseError::File(path.clone(), e))?;
        let settings: Settings = toml::from_str(&text).map_err(|e| CaseError::Settings(path, e.to_string()))?;
        let model = model(folder, settings.config.as_deref(), &settings.more)?;
        let mut reloads = Vec::new();
        for r in &settings.reload {
            reloads.push((nanos(r.at), self::model(folder, r.config.as_deref(), &r.more)?));
        }
        Ok(Case { folder: folder.to_owned(), settings, model, reloads })
    }

    /// The last part of the folder's path.
    pub fn name(&self) -> String {
        self.folder.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned())
    }

    /// How it runs on one shard.
    pub fn options(&self) -> Options {
        let link = |name: &str| if self.settings.arp.iter().any(|a| a == name) { Link::Arp } else { Link::Quiet };
        let links = self.model.ports.iter().map(|p| link(&p.name)).collect();
        Options { shards: 1, seed: self.settings.seed, arrival: Arrival::Rss, links }
    }

    /// A gateway with its configuration.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn gateway(&self, options: &Options) -> Result<Gateway, CaseError> {
        Gateway::new(self.model.clone(), options).map_err(|e| CaseError::Run(self.folder.clone(), e))
    }

    /// The reloads, with their times in nanoseconds.
    pub fn reloads(&self) -> &[(u64, Model)] {
        &self.reloads
    }

    /// The ports of model servers.
    pub fn answering(&self) -> Vec<PortId> {
        self.settings.answer.iter().filter_map(|name| self.port(name)).collect()
    }

    fn port(&self, name: &str) -> Option<PortId> {
        self.model.port(name).map(|p| PortId(p.0 as u8))
    }

    /// The captures that come in.
    pub fn inputs(&self) -> Vec<(PortId, PathBuf)> {
        let file = |(i, p): (usize, &config::Port)| (PortId(i as u8), self.folder.join(format!("in.{}.pcap", p.name)));
        self.model.ports.iter().enumerate().map(file).filter(|(_, path)| path.exists()).collect()
    }

    /// The port of the recorded server side: the last one that has a capture.
    pub fn recorded(&self) -> Option<PortId> {
        self.inputs().into_iter().map(|(port, _)| port).next_back()
    }

    /// Runs it. `map`: the port whose capture was recorded with other leases than these will be.
    ///
    /// # Errors
    /// See [`CaseError`].
    pub fn run(&self, options: &Options, map: Option<PortId>, looker: &mut dyn Observer) -> Result<Outcome, CaseError> {
        let gateway = self.gateway(options)?;
        let mut sources = Sources::open(&self.inputs())?;
        let mut collector = Collector { sent: BTreeMap::new(), looker };
        let mut player = Player::new(gateway, &self.answering(), map, &mut collector);
        if self.settings.announce {
            player.announce();
        }
        let mut reloads = self.reloads.iter().peekable();
        while let Some((input, _)) = sources.read()? {
            while let Some((at, model)) = reloads.next_if(|(at, _)| *at <= input.nanos) {
                player.reload(*at, model.clone()).map_err(|e| CaseError::Run(self.folder.clone(), e))?;
            }
            player.feed(input);
        }
        for (at, model) in reloads {
            player.reload(*at, model.clone()).map_err(|e| CaseError::Run(self.folder.clone(), e))?;
        }
        player.end(nanos(self.settings.until));
        let counters = Counters::of(&mut player.gateway);
        Ok(Outcome { sent: collector.sent, counters })
    }

    /// What is different from what is expected, for a person; empty when nothing is.
    ///
    /// # Errors
    /// A file that can not be read.
    pub fn compare(&self, outcome: &Outcome) -> Result<String, CaseError> {
        let mut diff = String::new();
        for port in &self.model.ports {
            let path = self.out(&port.name);
            let expected = match std::fs::read(&path) {
                Ok(bytes) => pcap::read(&bytes).map_err(|e| input::Error::new(&path, e))?,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
                Err(e) => return Err(CaseError::File(path, e)),
            };
            let expected = expected.into_iter().map(|p| (p.nanos, p.frame)).collect::<Vec<_>>();
            let sent = outcome.sent.get(&port.name).into_iter().flatten();
            let sent = sent.map(|s| (s.nanos, s.frame.clone())).collect::<Vec<_>>();
            diff += &frames(&format!("out.{}.pcap", port.name), &expected, &sent);
        }
        let path = self.folder.join("counters.toml");
        let expected = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(CaseError::File(path, e)),
        };
        let counters = counters::diff(&expected, &outcome.counters.to_toml());
        if !counters.is_empty() {
            diff += &format!("counters.toml: - expected, + counted\n{counters}");
        }
        Ok(diff)
    }

    fn out(&self, port: &str) -> PathBuf {
        self.folder.join(format!("out.{port}.pcap"))
    }

    /// Makes an outcome the expected one.
    ///
    /// # Errors
    /// A file that can not be written.
    pub fn bless(&self, outcome: &Outcome) -> Result<(), CaseError> {
        for port in &self.model.ports {
            let path = self.out(&port.name);
            let sent = outcome.sent.get(&port.name).map_or(&[][..], |s| s);
            if sent.is_empty() {
                let _ = std::fs::remove_file(&path);
                continue;
            }
            let packets: Vec<_> = sent.iter().map(|s| pcap::Captured::new(s.nanos, s.frame.clone())).collect();
            let bytes = pcap::write(&packets).map_err(|e| input::Error::new(&path, e))?;
            std::fs::write(&path, bytes).map_err(|e| CaseError::File(path, e))?;
        }
        let path = self.folder.join("counters.toml");
        std::fs::write(&path, outcome.counters.to_toml()).map_err(|e| CaseError::File(path, e))
    }
}

fn model(folder: &Path, config: Option<&str>, more: &str) -> Result<Model, CaseError> {
    let path = config.map(|c| folder.join(c));
    let name = path.as_ref().map_or(folder.join("case.toml"), Clone::clone).display().to_string();
    let base = match path {
        Some(path) => std::fs::read_to_string(&path).map_err(|e| CaseError::File(path, e))?,
        None => String::new(),
    };
    Ok(config::parse(&format!("{base}\n{more}"), &name)?)
}

/// Remembers what leaves, and lets somebody else look on.
struct Collector<'a> {
    sent: BTreeMap<String, Vec<Sent>>,
    looker: &'a mut dyn Observer,
}

impl Collector<'_> {
    fn keep(&mut self, gateway: &Gateway, sent: &Sent) {
        self.sent.entry(gateway.port_name(sent.port).to_owned()).or_default().push(sent.clone());
    }
}

impl Observer for Collector<'_> {
    fn step(&mut self, gateway: &Gateway, input: &Input, step: &Step) {
        step.sent.iter().for_each(|s| self.keep(gateway, s));
        self.looker.step(gateway, input, step);
    }
    fn left(&mut self, gateway: &Gateway, sent: &Sent) {
        self.keep(gateway, sent);
        self.looker.left(gateway, sent);
    }
    fn reloaded(&mut self, gateway: &Gateway) {
        self.looker.reloaded(gateway);
    }
    fn unmatched(&mut self, gateway: &Gateway, input: &Input) {
        self.looker.unmatched(gateway, input);
    }
}

/// Looks on and says nothing.
pub struct Silent;

impl Observer for Silent {
    fn step(&mut self, _: &Gateway, _: &Input, _: &Step) {}
    fn left(&mut self, _: &Gateway, _: &Sent) {}
}

/// What is different between two captures: the first frames that are.
fn frames(file: &str, expected: &[(u64, Vec<u8>)], got: &[(u64, Vec<u8>)]) -> String {
    let mut diff = String::new();
    let line =
        |sign, (nanos, frame): &(u64, Vec<u8>)| format!("  {sign} {:.6} {}\n", *nanos as f64 / 1e9, text::long(frame));
    let same = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
    if same < expected.len().max(got.len()) {
        diff +=
            &format!("{file}: {} frames expected, {} left; frame {} differs\n", expected.len(), got.len(), same + 1);
    }
    for i in (same..expected.len().max(got.len())).take(5) {
        match (expected.get(i), got.get(i)) {
            (Some(a), Some(b)) if a == b => {}
            (a, b) => {
                let (a, b) = (a.map(|a| line('-', a)), b.map(|b| line('+', b)));
                let bytes = a.is_some() && a.as_ref().map(|a| &a[3..]) == b.as_ref().map(|b| &b[3..]);
                diff.extend(a);
                diff.extend(b);
                diff += if bytes { "    (they differ in bytes that are not shown)\n" } else { "" };
            }
        }
    }
    diff
}
