//! What the journal keeps: the configuration at some generation, and each step since.
//!
//! A step is what was asked for, not what came of it, so that it is as small as the request. After a gap in a damaged journal
//! a step may no longer fit; then it is left out and named.

use super::document::Document;
use super::drain::Drains;
use super::edit;
use crate::api::types::{Confirmation, Conflict, Edit, GenerationKind};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

/// Generations that are kept.
pub const KEPT: usize = 50;

/// A record of the journal, as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
enum Record {
    /// What there was: later steps begin here.
    Base {
        step: Box<Step>,
        file: String,
        running: String,
        #[serde(default)]
        conflicts: Vec<Conflict>,
        #[serde(default)]
        drains: Drains,
    },
    /// What was acknowledged together.
    Steps { steps: Vec<Step> },
    /// The generation was confirmed.
    Confirmed { generation: u64 },
}

/// One generation, and how it came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) generation: u64,
    pub(super) at: String,
    pub(super) who: String,
    pub(super) kind: GenerationKind,
    pub(super) changes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) confirm: Option<Confirmation>,
    pub(super) body: Body,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Body {
    /// These edits. Drains that begin or end with them.
    Edits {
        edits: Vec<Edit>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        drains: Option<Drains>,
    },
    /// All of it.
    Running { text: String },
    /// A file; with what came of it where that is something else.
    File {
        text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        running: Option<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        conflicts: Vec<Conflict>,
    },
}

/// A generation with all that there was.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(super) step: Step,
    /// What ran.
    pub document: Arc<Document>,
    /// The last file that had been applied.
    pub file: Arc<Document>,
    /// Where it won.
    pub conflicts: Arc<Vec<Conflict>>,
    /// Who was on the way out.
    pub drains: Arc<Drains>,
}

impl Entry {
    /// Its number.
    pub fn generation(&self) -> u64 {
        self.step.generation
    }

    /// What waits for a word.
    pub fn confirm(&self) -> Option<&Confirmation> {
        self.step.confirm.as_ref()
    }

    /// As it is listed.
    pub fn listed(&self) -> crate::api::types::Generation {
        let Step { generation, at, who, kind, changes, .. } = self.step.clone();
        crate::api::types::Generation { generation, at, who, kind, changes }
    }

    /// The next entry: this one with a step. An error says why the step does not fit.
    pub(super) fn after(&self, step: Step) -> Result<Entry, String> {
        let mut next = Entry {
            step,
            document: self.document.clone(),
            file: self.file.clone(),
            conflicts: self.conflicts.clone(),
            drains: self.drains.clone(),
        };
        match &next.step.body {
            Body::Edits { edits, drains } => {
                let mut document = (*self.document).clone();
                edits.iter().try_for_each(|e| edit::apply(&mut document, e).map(drop)).map_err(|e| e.to_string())?;
                next.document = Arc::new(document);
                if let Some(drains) = drains {
                    next.drains = Arc::new(drains.clone());
                }
            }
            Body::Running { text } => next.document = read(text)?,
            Body::File { text, running, conflicts } => {
                next.file = read(text)?;
                next.document = running.as_ref().map_or_else(|| Ok(next.file.clone()), |text| read(text))?;
                next.conflicts = Arc::new(conflicts.clone());
            }
        }
        Ok(next)
    }
}

fn read(text: &str) -> Result<Arc<Document>, String> {
    Document::read(text).map(Arc::new).map_err(|e| e.to_string())
}

/// The generations of a journal, and what could not be made of it.
pub(super) fn replay(payloads: &[Vec<u8>]) -> (VecDeque<Arc<Entry>>, Vec<String>) {
    let (mut entries, mut lost) = (VecDeque::new(), Vec::new());
    for (n, payload) in payloads.iter().enumerate() {
        match serde_json::from_slice(payload) {
            Ok(Record::Base { step, file, running, conflicts, drains }) => match (read(&file), read(&running)) {
                (Ok(file), Ok(document)) => {
                    let (conflicts, drains) = (Arc::new(conflicts), Arc::new(drains));
                    entries = VecDeque::from([Arc::new(Entry { step: *step, document, file, conflicts, drains })]);
                }
                (Err(e), _) | (_, Err(e)) => lost.push(format!("generation {}: {e}", step.generation)),
            },
            Ok(Record::Steps { steps }) => {
                for step in steps {
                    let generation = step.generation;
                    let next = entries.back().ok_or_else(|| "nothing is there that it changes".to_owned());
                    match next.and_then(|last| last.after(step)) {
                        Ok(entry) => push(&mut entries, entry),
                        Err(e) => lost.push(format!("generation {generation}: {e}")),
                    }
                }
            }
            Ok(Record::Confirmed { generation }) => confirm(&mut entries, generation),
            Err(e) => lost.push(format!("record {}: {e}", n + 1)),
        }
    }
    (entries, lost)
}

/// Adds a generation, and forgets the oldest when there are too many.
pub(super) fn push(entries: &mut VecDeque<Arc<Entry>>, entry: Entry) {
    push_shared(entries, Arc::new(entry));
}

/// The same.
pub(super) fn push_shared(entries: &mut VecDeque<Arc<Entry>>, entry: Arc<Entry>) {
    entries.push_back(entry);
    if entries.len() > KEPT {
        entries.pop_front();
    }
}

/// The generation waits no longer.
pub(super) fn confirm(entries: &mut VecDeque<Arc<Entry>>, generation: u64) {
    for entry in entries.iter_mut().filter(|e| e.generation() == generation) {
        Arc::make_mut(entry).step.confirm = None;
    }
}

/// The record of these steps.
pub(super) fn steps<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<u8> {
    payload(&Record::Steps { steps: entries.map(|e| e.step.clone()).collect() })
}

/// The record of a confirmation.
pub(super) fn confirmed(generation: u64) -> Vec<u8> {
    payload(&Record::Confirmed { generation })
}

/// All that is kept, as few records.
pub(super) fn all(entries: &VecDeque<Arc<Entry>>) -> Vec<Vec<u8>> {
    let Some(first) = entries.front() else { return Vec::new() };
    let base = payload(&Record::Base {
        // How the first one came about is not needed any more: what it was is there.
        step: Box::new(Step { body: Body::Edits { edits: Vec::new(), drains: None }, ..first.step.clone() }),
        file: first.file.write(),
        running: first.document.write(),
        conflicts: (*first.conflicts).clone(),
        drains: (*first.drains).clone(),
    });
    let later = entries.iter().skip(1).map(|e| steps(std::iter::once(&**e)));
    std::iter::once(base).chain(later).collect()
}

fn payload(record: &Record) -> Vec<u8> {
    // Strings, numbers and lists of them: there is nothing that JSON can not say.
    serde_json::to_vec(record).unwrap_or_default()
}
