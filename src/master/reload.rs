//! SIGHUP: the difference between the old file and the new one is applied while connections go on. A bad file changes
//! nothing and says why.

use super::{Master, ports, steering};
use crate::config::compile::{self, Shards};
use crate::config::{self, PortId, Problem};
use gatun_engine::time::Tick;
use std::sync::Arc;
use tracing::{error, info, warn};

impl Master {
    /// Reads the file again.
    pub(super) fn reload(&mut self, now: Tick) {
        let file = self.file.clone();
        let model = match config::load(&file) {
            Ok(model) => model,
            Err(problems) => return refuse(&file.display().to_string(), &problems.0),
        };
        let changes = match config::diff(&self.model, &model) {
            Ok(changes) => changes,
            Err(problems) => return refuse(&file.display().to_string(), &problems),
        };
        if changes.is_empty() {
            info!("reload: {} says nothing new", file.display());
            return;
        }
        let seats = &self.seats;
        let in_use = |id| Master::connections_to(seats, id) > 0;
        let generation = seats.iter().map(|s| s.generation).min().unwrap_or_default();
        let snapshot = match self.compiler.compile(&model, &Shards { generation, in_use: &in_use }) {
            Ok(snapshot) => Arc::new(snapshot),
            Err(e) => return error!("reload: nothing was changed: {e}"),
        };
        let announced =
            |s: &gatun_engine::snapshot::Snapshot| s.locals.keys().copied().collect::<std::collections::HashSet<_>>();
        let new_addresses = announced(&snapshot) != announced(&self.snapshot);
        self.snapshot = snapshot;
        self.model = model;
        for (i, port) in self.ports.iter().enumerate().filter(|(i, _)| self.model.has_ipv6(PortId(*i))) {
            ports::receive_multicast(port, &self.model.ports[i].name);
        }
        let workers = self.seats.len();
        let (owners, fallen) = steering::flow(&mut self.steerings, &self.ports, &self.model, workers, &self.owners);
        self.owners = owners;
        for (i, why) in fallen {
            warn!("port {}: steering falls from flow to software: {why}", self.model.ports[i].name);
        }
        let (hops, fixed) = compile::hops(&self.model);
        self.local.configure(now, &hops, &fixed);
        self.publish();
        for change in &changes {
            info!("reload: {change}");
        }
        info!("reload: generation {} with {} change(s)", self.snapshot.generation, changes.len());
        if new_addresses {
            self.announce();
        }
    }
}

fn refuse(file: &str, problems: &[Problem]) {
    for problem in problems {
        error!("reload: {problem}");
    }
    error!("reload: {} problem(s) in {file}: nothing was changed", problems.len());
}
