//! SIGHUP: the difference between the old file and the new one is applied to what runs, while connections go on. A bad file
//! changes nothing and says why.

use super::{Keeper, Publish, lines, problems};
use crate::api::types::GenerationKind;
use crate::config::{self, Problem};
use crate::control::document::Document;
use crate::control::record::Body;
use crate::control::working::Working;
use crate::control::{Ask, Request, merge};
use crate::journal::Disk;
use std::path::Path;
use std::sync::Arc;
use tracing::{error, info, warn};

impl<D: Disk> Keeper<D> {
    /// The file again.
    pub(in crate::control) fn reload(&mut self, path: &Path, master: &mut impl Publish) {
        let file = path.display().to_string();
        let read = match config::load(path) {
            Ok(_) => std::fs::read_to_string(path).map_err(|e| e.to_string()),
            Err(problems) => return refuse(&file, &problems.0),
        };
        let read = read.and_then(|text| Document::read(&text).map_err(|e| e.to_string()));
        let document = match read {
            Ok(document) => document,
            Err(e) => return error!("reload: {file}: {e}: nothing was changed"),
        };
        let last = self.last().clone();
        if *last.file == document {
            return info!("reload: {file} says nothing new");
        }
        if let Some(c) = last.confirm() {
            return error!("reload: generation {} waits to be confirmed: nothing was changed", c.generation);
        }
        let (merged, conflicts) = merge::merge(&last.file, &document, &last.document);
        for c in &conflicts {
            let (f, r) = (c.file.as_deref().unwrap_or("nothing"), c.running.as_deref().unwrap_or("nothing"));
            warn!("reload: {}: the file says {f}, the REST interface had said {r}: the file wins", c.field);
        }
        let new = match Working::read(&merged.write(), "") {
            Ok(new) => new,
            Err(e) => return refuse(&file, &problems(e, "").0),
        };
        let changes = match config::diff(&self.working.model, &new.model) {
            Ok(changes) => lines(&changes),
            Err(problems) => return refuse(&file, &problems),
        };
        let running = (new.document != document).then(|| new.document.write());
        let body = Body::File { text: document.write(), running, conflicts: conflicts.clone() };
        self.working = new;
        let who = Request { who: "file".to_owned(), if_generation: None, dry_run: false, ask: Ask::Confirm };
        let pushed = self.push(&who, changes.clone(), body, GenerationKind::Reload, None);
        if let Some(entry) = self.batch.last_mut().map(Arc::make_mut) {
            (entry.file, entry.conflicts) = (Arc::new(document), Arc::new(conflicts));
        }
        if let Err(e) = pushed.and_then(|_| self.commit(master)) {
            return error!("reload: nothing was changed: {e}");
        }
        info!("reload: generation {} with {} change(s)", self.generation, changes.len());
    }
}

fn refuse(file: &str, problems: &[Problem]) {
    for problem in problems {
        error!("reload: {problem}");
    }
    error!("reload: {} problem(s) in {file}: nothing was changed", problems.len());
}
