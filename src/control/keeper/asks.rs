//! What becomes of a request, as far as the configuration goes: checked, and put with what is to be committed.

use super::{Keeper, lines, step};
use crate::api::types::{Confirmation, DrainSpec, Edit, GenerationKind, RealPatch};
use crate::config::{self, Protocol, ServiceId};
use crate::control::document::{Document, real_id, real_key, service_key};
use crate::control::drain::{Drain, Drains};
use crate::control::keeper::Publish;
use crate::control::record::{self, Body, Entry};
use crate::control::working::{Difference, Working};
use crate::control::{Ask, Outcome, Refusal, Request, clock};
use crate::journal::Disk;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

impl<D: Disk> Keeper<D> {
    /// One request. What it changes is in the batch afterwards.
    pub(super) fn take(&mut self, request: &Request, master: &mut impl Publish) -> Result<Outcome, Refusal> {
        if let Some(wanted) = request.if_generation.filter(|wanted| *wanted != self.generation) {
            return Err(Refusal::Generation { wanted, is: self.generation });
        }
        let last = self.last().clone();
        match (&request.ask, last.confirm()) {
            (Ask::Confirm, confirm) => return self.confirm(confirm.is_some()),
            (Ask::Undo, None) => return Err(Refusal::NothingToConfirm),
            (Ask::Undo, Some(confirm)) => {
                return self.roll_back(request, confirm.back_to, GenerationKind::NotConfirmed);
            }
            (_, Some(c)) => return Err(Refusal::Unconfirmed { generation: c.generation, until: c.until.clone() }),
            (_, None) => {}
        }
        match &request.ask {
            Ask::Edit(edits) => self.edit(request, edits.clone(), None, GenerationKind::Edit),
            Ask::Replace { text, confirm } => {
                let new = Working::read(text, "")?;
                let changes = config::diff(&self.working.model, &new.model).map_err(Refusal::Invalid)?;
                let text = new.document.write();
                self.whole(request, new, changes, Body::Running { text }, GenerationKind::Replace, *confirm)
            }
            Ask::Rollback(generation) => self.roll_back(request, *generation, GenerationKind::Rollback),
            Ask::Drain { service, real, spec } => self.drain(request, service, real, *spec, master),
            Ask::Undrain { service, real } => {
                let drain = last.drains.find(service, real).ok_or_else(|| Refusal::NoDrain(real.clone()))?;
                let mut drains = (*last.drains).clone();
                drains.remove(service, real);
                self.edit(request, vec![weight(service, real, drain.weight)], Some(drains), GenerationKind::Edit)
            }
            Ask::Confirm | Ask::Undo => Err(Refusal::NothingToConfirm),
        }
    }

    pub(super) fn edit(
        &mut self,
        request: &Request,
        edits: Vec<Edit>,
        drains: Option<Drains>,
        kind: GenerationKind,
    ) -> Result<Outcome, Refusal> {
        let saved = request.dry_run.then(|| self.working.clone());
        let Difference { results, changes } = self.working.edit(&edits)?;
        let changes = lines(&changes);
        if let Some(saved) = saved {
            self.working = saved;
            return Ok(Outcome { generation: self.generation, results, changes, confirm: None });
        }
        let last = self.last();
        let all = drains.unwrap_or_else(|| (*last.drains).clone());
        let drains = valid(all, &self.working.document);
        // Where there is no change to tell, the text may still be another.
        if changes.is_empty() && self.working.document == *last.document && drains == *last.drains {
            return Ok(Outcome { generation: self.generation, results, changes, confirm: None });
        }
        let drains = (drains != *last.drains).then_some(drains);
        let outcome = self.push(request, changes, Body::Edits { edits, drains }, kind, None)?;
        Ok(Outcome { results, ..outcome })
    }

    /// Another configuration in the place of the one there is.
    fn whole(
        &mut self,
        request: &Request,
        new: Working,
        changes: Vec<config::Change>,
        body: Body,
        kind: GenerationKind,
        confirm: Option<u32>,
    ) -> Result<Outcome, Refusal> {
        let changes = lines(&changes);
        // What is undone is a generation of its own even where it is the same: the one before waits no longer.
        let same = new.document == self.working.document && kind != GenerationKind::NotConfirmed;
        if request.dry_run || same {
            return Ok(Outcome { generation: self.generation, changes, ..Outcome::default() });
        }
        self.working = new;
        self.push(request, changes, body, kind, confirm)
    }

    fn roll_back(&mut self, request: &Request, to: u64, kind: GenerationKind) -> Result<Outcome, Refusal> {
        let entry = self.entries.iter().chain(&self.batch).find(|e| e.generation() == to);
        let entry = entry.ok_or_else(|| Refusal::not_found("generation", &to.to_string()))?;
        let text = entry.document.write();
        let new = Working::read(&text, "")?;
        let changes = config::diff(&self.working.model, &new.model).map_err(Refusal::Invalid)?;
        self.whole(request, new, changes, Body::Running { text }, kind, None)
    }

    fn confirm(&mut self, waits: bool) -> Result<Outcome, Refusal> {
        let generation = self.generation;
        if !waits || !self.batch.is_empty() {
            return Err(Refusal::NothingToConfirm);
        }
        self.keep(&record::confirmed(generation)).map_err(Refusal::Journal)?;
        record::confirm(&mut self.entries, generation);
        self.put_out();
        Ok(Outcome { generation, ..Outcome::default() })
    }

    fn drain(
        &mut self,
        request: &Request,
        service: &str,
        real: &str,
        spec: DrainSpec,
        master: &mut impl Publish,
    ) -> Result<Outcome, Refusal> {
        let weight_now = weight_of(&self.working.document, service, real)?;
        let mut drains = (*self.last().drains).clone();
        let (now, until) = clock::now_and(Duration::from_secs(spec.deadline.unwrap_or_default().into()));
        let until = spec.deadline.map(|_| until);
        let drain = match drains.find(service, real) {
            // It goes on with other terms.
            Some(before) => Drain { until, keep: spec.keep, ..before.clone() },
            None => {
                let of = server(service, real).and_then(|s| master.connections(&[s]));
                let connections = of.and_then(|c| c.first().copied()).unwrap_or_default();
                Drain { since: now, until, weight: weight_now, connections, keep: spec.keep }
            }
        };
        drains.insert(service, real, drain);
        self.edit(request, vec![weight(service, real, 0)], Some(drains), GenerationKind::Edit)
    }

    pub(super) fn push(
        &mut self,
        request: &Request,
        changes: Vec<String>,
        body: Body,
        kind: GenerationKind,
        confirm: Option<u32>,
    ) -> Result<Outcome, Refusal> {
        let (before, generation) = (self.last().clone(), self.generation + 1);
        let mut step = step(generation, &request.who, kind, changes.clone(), body);
        step.confirm = confirm.map(|seconds| {
            let (_, until) = clock::now_and(Duration::from_secs(seconds.into()));
            Confirmation { generation, back_to: before.generation(), until }
        });
        let confirm = step.confirm.clone();
        // The same documents again would be the same work again.
        let drains = match &step.body {
            Body::Edits { drains: Some(drains), .. } => Arc::new(drains.clone()),
            Body::Edits { drains: None, .. } | Body::File { .. } => before.drains.clone(),
            Body::Running { .. } => Arc::new(valid((*before.drains).clone(), &self.working.document)),
        };
        let document = Arc::new(self.working.document.clone());
        let (file, conflicts) = (before.file.clone(), before.conflicts.clone());
        self.batch.push(Arc::new(Entry { step, document, file, conflicts, drains }));
        self.generation = generation;
        Ok(Outcome { generation, changes, confirm, ..Outcome::default() })
    }
}

fn weight(service: &str, real: &str, weight: u16) -> Edit {
    Edit::PatchReal { service: service.to_owned(), id: real.to_owned(), patch: RealPatch { weight: Some(weight) } }
}

fn weight_of(document: &Document, service: &str, real: &str) -> Result<u16, Refusal> {
    let service = document.service(service).ok_or_else(|| Refusal::not_found("service", service))?;
    let found = service.reals.iter().find(|r| real_id(r.address) == real);
    found.map(|r| r.weight).ok_or_else(|| Refusal::not_found("real server", real))
}

/// A server as the master knows it.
pub(super) fn server(service: &str, real: &str) -> Option<(ServiceId, SocketAddr)> {
    let (protocol, address) = service_key(service)?;
    let protocol = match protocol {
        crate::api::types::Protocol::Tcp => Protocol::Tcp,
        crate::api::types::Protocol::Udp => Protocol::Udp,
    };
    Some((ServiceId { protocol, address }, real_key(real)?))
}

/// Without those that are gone, or that somebody gave a weight again.
fn valid(mut drains: Drains, document: &Document) -> Drains {
    if drains.is_empty() {
        return drains;
    }
    let drains_on = |(service, real): &(&str, &str)| matches!(weight_of(document, service, real), Ok(0));
    let over = drains.iter().map(|(service, real, _)| (service, real)).filter(|server| !drains_on(server));
    let over: Vec<(String, String)> = over.map(|(s, r)| (s.to_owned(), r.to_owned())).collect();
    over.iter().for_each(|(service, real)| drains.remove(service, real));
    drains
}
