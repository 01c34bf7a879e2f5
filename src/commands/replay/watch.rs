//! What the user sees while packets go by.

use crate::replay::counters::Counters;
use crate::replay::explain::{self, Style};
use crate::replay::player::Input;
use crate::replay::{Gateway, Observer};
use gatun_engine::testkit::lab::{Sent, Step};
use gatun_engine::testkit::pcap::Writer;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, StdoutLock, Write};
use std::path::PathBuf;

/// A capture file that is being written.
pub(super) struct Output {
    pub(super) path: PathBuf,
    pub(super) writer: Writer<BufWriter<File>>,
    pub(super) frames: u64,
}

/// Explains, and writes what leaves.
pub(super) struct Watch {
    explain: bool,
    json: bool,
    style: Style,
    to: BufWriter<StdoutLock<'static>>,
    /// Added to the gateway's time in the files.
    pub(super) base: u64,
    pub(super) outputs: HashMap<u8, Output>,
    pub(super) unmatched: u64,
    error: Option<anyhow::Error>,
}

impl Watch {
    pub(super) fn new(explain: bool, json: bool, style: Style) -> Watch {
        let to = BufWriter::new(std::io::stdout().lock());
        Watch { explain, json, style, to, base: 0, outputs: HashMap::new(), unmatched: 0, error: None }
    }

    /// A line on standard output.
    pub(super) fn say(&mut self, line: &str) {
        if let Err(e) = writeln!(self.to, "{line}") {
            self.error.get_or_insert(e.into());
        }
    }

    /// The first error so far.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        self.error.take().map_or(Ok(()), Err)
    }

    pub(super) fn end(&mut self, counters: &Counters) -> anyhow::Result<()> {
        if self.json {
            let tables: serde_json::Map<_, _> =
                counters.0.iter().map(|(name, values)| (name.clone(), serde_json::json!(values))).collect();
            self.say(&serde_json::json!({ "counters": tables }).to_string());
        }
        self.check()?;
        Ok(self.to.flush()?)
    }

    fn write(&mut self, sent: &Sent) {
        let Some(output) = self.outputs.get_mut(&sent.port.0) else { return };
        output.frames += 1;
        if let Err(e) = output.writer.write(self.base + sent.nanos, &sent.frame) {
            let error = anyhow::anyhow!("{}: can not be written: {e}", output.path.display());
            self.error.get_or_insert(error);
        }
    }
}

impl Observer for Watch {
    fn step(&mut self, gateway: &Gateway, input: &Input, step: &Step) {
        step.sent.iter().for_each(|s| self.write(s));
        if !self.explain {
            return;
        }
        match self.json {
            true => self.say(&explain::step_json(gateway, input, step).to_string()),
            false => self.say(&explain::step(gateway, input, step, self.style)),
        }
    }

    fn left(&mut self, gateway: &Gateway, sent: &Sent) {
        self.write(sent);
        match (self.explain, self.json) {
            (true, true) => self.say(&serde_json::json!({ "out": [explain::sent_json(gateway, sent)] }).to_string()),
            (true, false) => self.say(&explain::left(gateway, sent, self.style)),
            (false, _) => {}
        }
    }

    fn reloaded(&mut self, _: &Gateway) {
        if self.explain && !self.json {
            self.say("              the configuration is changed");
        }
    }

    fn unmatched(&mut self, _: &Gateway, _: &Input) {
        self.unmatched += 1;
    }
}
