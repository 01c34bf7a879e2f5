//! What comes to its end by itself: a change that nobody confirmed, and servers whose connections have ended.

use super::asks::server;
use super::{DRAIN_TICK, Keeper, OURSELVES, Publish, SEEN};
use crate::api::types::{Edit, GenerationKind};
use crate::control::{Ask, Refusal, Request, clock, record};
use crate::journal::Disk;
use std::time::Instant;
use tracing::{error, warn};

impl<D: Disk> Keeper<D> {
    /// What has come to its end: a change that nobody confirmed, and servers whose connections have ended.
    pub(in crate::control) fn due(&mut self, master: &mut impl Publish) {
        let ourselves = |ask| Request { who: OURSELVES.to_owned(), if_generation: None, dry_run: false, ask };
        let waits = self.last().confirm().filter(|c| clock::has_come(&c.until)).cloned();
        if let Some(c) = waits {
            warn!("generation {} was not confirmed: back to {}", c.generation, c.back_to);
            let undone = self.together(std::iter::once(&ourselves(Ask::Undo)), master);
            if let Err(e) = undone.and_then(|mut all| all.pop().unwrap_or(Err(Refusal::Stopping))) {
                error!("the generation before can not be brought back: {e}: generation {} stays", c.generation);
                record::confirm(&mut self.entries, c.generation);
            }
        }
        if self.last().drains.is_empty() || self.last().confirm().is_some() || Instant::now() < self.drains_due {
            return;
        }
        self.drains_due = Instant::now() + DRAIN_TICK;
        let drains = self.last().drains.clone();
        let leaving: Vec<_> = drains.iter().filter(|(.., drain)| !drain.keep).collect();
        let servers: Vec<_> = leaving.iter().filter_map(|(s, r, _)| server(s, r)).collect();
        let Some(connections) = master.connections(&servers) else { return };
        for ((service, real, drain), connections) in leaving.into_iter().zip(connections) {
            let over = drain.until.as_deref().is_some_and(clock::has_come);
            if (connections > 0 && !over) || clock::age(&drain.since) < SEEN {
                continue;
            }
            let delete = Edit::DeleteReal { service: service.to_owned(), id: real.to_owned() };
            let taken =
                self.edit(&ourselves(Ask::Edit(Vec::new())), vec![delete], None, GenerationKind::Drained).map(drop);
            if let Err(e) = taken {
                warn!("service {service}: the drained server {real} can not be taken out: {e}");
            }
        }
        if let Err(e) = self.commit(master) {
            warn!("drained servers can not be taken out: {e}");
        }
    }
}

#[cfg(test)]
impl<D: Disk> Keeper<D> {
    /// As if every drain had begun long ago.
    pub(in crate::control) fn long_ago(&mut self) {
        use std::sync::Arc;
        self.drains_due = Instant::now();
        if let Some(entry) = self.entries.back_mut() {
            let drains = Arc::make_mut(&mut Arc::make_mut(entry).drains);
            drains.iter_mut().for_each(|drain| drain.since = "2000-01-01T00:00:00Z".to_owned());
        }
    }
}
