//! The keeper: the one thread that changes the configuration.

mod asks;
mod due;
mod file;

use super::document::Document;
use super::record::{self, Body, Entry, Step};
use super::working::Working;
use super::{Control, Desk, Outcome, Refusal, Request, State, Waiting, channel, clock, merge};
use crate::api::types::GenerationKind;
use crate::config::{self, Model, Problem, Problems, ServiceId};
use crate::journal::{Disk, Journal, JournalError};
use crate::master::Signals;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};
use tracing::{error, info, warn};

/// Between two snapshots, at least.
const APART: Duration = Duration::from_millis(5);
/// Between two looks at what has become due.
const TICK: Duration = Duration::from_millis(50);
/// Between two looks at the servers on their way out.
const DRAIN_TICK: Duration = Duration::from_millis(250);
/// A server that drains is there for so long at least: who asked for it wants to see it.
const SEEN: Duration = Duration::from_secs(1);
/// Requests that become one snapshot and one sync of the journal.
const BATCH: usize = 256;
/// A journal shorter than this is not worth a rewrite, bytes.
const SHORT: u64 = 1 << 20;
/// Lines that a generation says of itself.
const LINES: usize = 1_000;
/// Who does what nobody asked for.
const OURSELVES: &str = "gatun";

/// Who makes a model run: the master.
pub trait Publish {
    /// Compiles it and gives it to the workers.
    ///
    /// # Errors
    /// When it does not fit; then nothing was changed.
    fn apply(&mut self, model: &Arc<Model>, generation: u64) -> Result<(), Refusal>;
    /// The connections of each server now; nothing while a worker still runs an older generation.
    fn connections(&mut self, servers: &[(ServiceId, SocketAddr)]) -> Option<Vec<u64>>;
}

/// Why there is no configuration to start with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file.
    #[error("{0}")]
    File(Problems),
    /// The journal.
    #[error("{0}")]
    Journal(#[from] JournalError),
    /// The file does not go with what was changed since.
    #[error(
        "{0}\nthe file is right by itself, but not with what was changed by the REST interface since: correct the file, or move the file `journal` out of the state directory to start from the file alone"
    )]
    Merged(Problems),
}

/// See the module.
pub struct Keeper<D> {
    desk: Desk,
    journal: Journal<D>,
    entries: VecDeque<Arc<Entry>>,
    /// Taken, and not yet kept.
    batch: Vec<Arc<Entry>>,
    working: Working,
    /// What the master was given last.
    published: Arc<Model>,
    generation: u64,
    lost: Arc<Vec<String>>,
    trouble: Option<String>,
    /// The journal's size when it was rewritten last.
    rewritten: u64,
    applied: Instant,
    drains_due: Instant,
}

impl<D: Disk> Keeper<D> {
    /// Puts together what the file says and what the journal kept.
    ///
    /// # Errors
    /// When there is no way to start with both.
    pub fn open(disk: D, text: &str, file: &str) -> Result<(Keeper<D>, Control), OpenError> {
        let read = Working::read(text, file).map_err(|e| OpenError::File(problems(e, file)))?;
        let (journal, recovered) = Journal::open(disk)?;
        if recovered.cut > 0 {
            info!("journal: {} bytes of a change that nobody was told of were cut off", recovered.cut);
        }
        let (mut entries, mut lost) = record::replay(&recovered.payloads);
        for (offset, len) in &recovered.damaged {
            let aside = recovered.set_aside.as_deref().unwrap_or_default();
            lost.push(format!("{len} bytes at {offset} are damaged: the whole file was set aside as {aside}"));
        }
        for line in &lost {
            error!("journal: lost: {line}");
        }
        let working = match entries.back() {
            None => read,
            Some(last) if *last.file == read.document => again(&last.document, read)?,
            Some(last) => {
                let (merged, conflicts) = merge::merge(&last.file, &read.document, &last.document);
                for c in &conflicts {
                    let (f, r) = (c.file.as_deref().unwrap_or("nothing"), c.running.as_deref().unwrap_or("nothing"));
                    warn!("start: {}: the file says {f}, the REST interface had said {r}: the file wins", c.field);
                }
                let before = again(&last.document, read.clone()).ok();
                let file = read.document.clone();
                let working = again(&Arc::new(merged), read)?;
                let lines = before.map_or_else(Vec::new, |before| differences(&before.model, &working.model));
                let running = (working.document != file).then(|| working.document.write());
                let body = Body::File { text: file.write(), running, conflicts };
                let step = step(last.generation() + 1, "file", GenerationKind::Start, lines, body);
                if let Ok(entry) = last.after(step) {
                    record::push(&mut entries, entry);
                }
                working
            }
        };
        if entries.is_empty() {
            let body = Body::File { text: working.document.write(), running: None, conflicts: Vec::new() };
            record::push(
                &mut entries,
                Entry {
                    step: step(1, "file", GenerationKind::Start, Vec::new(), body),
                    document: Arc::new(working.document.clone()),
                    file: Arc::new(working.document.clone()),
                    conflicts: Arc::default(),
                    drains: Arc::default(),
                },
            );
        }
        let generation = entries.back().map_or(1, |e| e.generation());
        let (published, lost) = (Arc::new(working.model.clone()), Arc::new(lost));
        let history = Arc::new(entries.clone());
        let state = State { generation, model: published.clone(), history, journal: None, lost: lost.clone() };
        let (control, desk) = channel(state);
        let (applied, drains_due, rewritten) = (Instant::now(), Instant::now(), journal.size());
        let keeper = Keeper {
            desk,
            journal,
            entries,
            batch: Vec::new(),
            working,
            published,
            generation,
            lost,
            trouble: None,
            rewritten,
            applied,
            drains_due,
        };
        Ok((keeper, control))
    }

    /// What is to run, and its generation.
    pub fn model(&self) -> (Arc<Model>, u64) {
        (self.published.clone(), self.generation)
    }

    /// Keeps until a signal says stop. The model that was there at the beginning runs already.
    pub fn run(mut self, mut master: impl Publish, signals: &Signals, file: &Path) {
        self.begin();
        while !signals.stop.load(Ordering::Relaxed) {
            match self.desk.from.recv_timeout(TICK) {
                Ok(first) => self.serve(first, &mut master),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if signals.reload.swap(false, Ordering::Relaxed) {
                self.reload(file, &mut master);
            }
            self.due(&mut master);
        }
    }

    /// With the start's own step, and without what is too old: the file that just worked is what counts from now on.
    pub(super) fn begin(&mut self) {
        if let Err(e) = self.rewrite() {
            error!("journal: {e}: the configuration runs, and changes by the REST interface are refused");
        }
        self.put_out();
    }

    /// This request and all that wait with it.
    pub(super) fn serve(&mut self, first: Waiting, master: &mut impl Publish) {
        std::thread::sleep(APART.saturating_sub(self.applied.elapsed()));
        let mut waiting = vec![first];
        waiting.extend(std::iter::from_fn(|| self.desk.from.try_recv().ok()).take(BATCH - 1));
        let together = self.together(waiting.iter().map(|(request, _)| request), master);
        match together {
            Ok(outcomes) => {
                for ((_, reply), outcome) in waiting.into_iter().zip(outcomes) {
                    // Who does not wait for the answer does not want it.
                    let _ = reply.send(outcome);
                }
            }
            // One of them does not fit, and nobody knows which: one by one.
            Err(_) if waiting.len() > 1 => {
                for (request, reply) in waiting {
                    let outcome = self.together(std::iter::once(&request), master);
                    let _ = reply.send(outcome.and_then(|mut o| o.pop().unwrap_or(Err(Refusal::Stopping))));
                }
            }
            Err(e) => waiting.into_iter().for_each(|(_, reply)| drop(reply.send(Err(e.clone())))),
        }
    }

    /// What became of each, or why all of them together can not be.
    fn together<'a>(
        &mut self,
        requests: impl Iterator<Item = &'a Request>,
        master: &mut impl Publish,
    ) -> Result<Vec<Result<Outcome, Refusal>>, Refusal> {
        let outcomes = requests.map(|request| self.take(request, master)).collect();
        self.commit(master)?;
        Ok(outcomes)
    }

    fn last(&self) -> &Arc<Entry> {
        // There is a first generation from the beginning, and the newest is never forgotten.
        self.batch.last().or(self.entries.back()).unwrap_or_else(|| unreachable!("a history without a generation"))
    }

    /// Makes what was taken run, and keeps it. On an error all of it is as before.
    fn commit(&mut self, master: &mut impl Publish) -> Result<(), Refusal> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        let model = Arc::new(self.working.model.clone());
        self.applied = Instant::now();
        if let Err(e) = master.apply(&model, self.generation) {
            self.restore();
            self.generation = batch.first().map_or(self.generation, |e| e.generation() - 1);
            return Err(e);
        }
        if let Err(e) = self.keep(&record::steps(batch.iter().map(|e| &**e))) {
            self.restore();
            // It ran for a moment: what runs now is a generation of its own.
            self.generation += 1;
            if let Err(e) = master.apply(&self.published, self.generation) {
                error!("journal: the configuration before can not be brought back: {e}");
            }
            self.put_out();
            return Err(Refusal::Journal(e));
        }
        self.published = model;
        for entry in batch {
            audit(&entry);
            record::push_shared(&mut self.entries, entry);
        }
        if self.journal.size() > SHORT.max(2 * self.rewritten)
            && let Err(e) = self.rewrite()
        {
            warn!("journal: it grows, as it can not be rewritten: {e}");
        }
        self.put_out();
        Ok(())
    }

    fn restore(&mut self) {
        let document = self.entries.back().map(|e| (*e.document).clone()).unwrap_or_default();
        self.working = Working { document, model: (*self.published).clone() };
    }

    /// Appends; a journal that failed before is made good first.
    fn keep(&mut self, payload: &[u8]) -> Result<(), String> {
        if self.journal.is_broken() {
            self.rewrite()?;
        }
        let kept = self.journal.append(payload).map_err(|e| format!("the journal does not take it: {e}"));
        self.note(kept)
    }

    fn rewrite(&mut self) -> Result<(), String> {
        let records = record::all(&self.entries);
        let payloads: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let kept = self.journal.rewrite(&payloads).map_err(|e| format!("the journal can not be rewritten: {e}"));
        self.rewritten = self.journal.size();
        self.note(kept)
    }

    fn note(&mut self, kept: Result<(), String>) -> Result<(), String> {
        self.trouble = kept.as_ref().err().cloned();
        kept
    }

    fn put_out(&self) {
        self.desk.put_out(State {
            generation: self.generation,
            model: self.published.clone(),
            history: Arc::new(self.entries.clone()),
            journal: self.trouble.clone(),
            lost: self.lost.clone(),
        });
    }
}

/// A document's model, unless it is the one that was read.
fn again(document: &Arc<Document>, read: Working) -> Result<Working, OpenError> {
    if **document == read.document {
        return Ok(read);
    }
    Working::read(&document.write(), "").map_err(|e| OpenError::Merged(problems(e, "")))
}

fn step(generation: u64, who: &str, kind: GenerationKind, changes: Vec<String>, body: Body) -> Step {
    Step { generation, at: clock::now(), who: who.to_owned(), kind, changes, confirm: None, body }
}

/// What is different, also where it takes a restart.
fn differences(old: &Model, new: &Model) -> Vec<String> {
    match config::diff(old, new) {
        Ok(changes) => lines(&changes),
        Err(problems) => problems.iter().map(|p| format!("{}: changed", p.field)).collect(),
    }
}

fn lines(changes: &[config::Change]) -> Vec<String> {
    let mut lines: Vec<String> = changes.iter().take(LINES).map(ToString::to_string).collect();
    if changes.len() > LINES {
        lines.push(format!("and {} more", changes.len() - LINES));
    }
    lines
}

fn problems(refusal: Refusal, file: &str) -> Problems {
    match refusal {
        Refusal::Invalid(mut problems) => {
            if file.is_empty() {
                // The places are those of a text that nobody wrote.
                problems.iter_mut().for_each(|p| (p.line, p.column) = (None, None));
            }
            Problems(problems)
        }
        other => Problems(vec![Problem {
            file: file.to_owned(),
            line: None,
            column: None,
            field: String::new(),
            value: None,
            what: other.to_string(),
            remedy: "report this as a bug".to_owned(),
        }]),
    }
}

/// A line for each difference: what, who and which generation.
fn audit(entry: &Entry) {
    let Step { generation, who, kind, changes, .. } = &entry.step;
    let nothing = ["nothing that shows".to_owned()];
    for change in if changes.is_empty() { &nothing[..] } else { changes } {
        info!(generation, who, how = kind.word(), "audit: {change}");
    }
}
