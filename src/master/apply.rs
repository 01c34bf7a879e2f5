//! Another configuration, while connections go on: compiled, published, and told to the responders.

use super::{Master, ports, steering};
use crate::config::compile::{self, CompileError, Shards};
use crate::config::{Model, PortId, ServiceId};
use std::net::SocketAddr;
use std::sync::Arc;
use tracing::warn;

impl Master {
    /// Makes a model run as this generation, which has to be later than the one before.
    ///
    /// # Errors
    /// When it does not fit; then nothing was changed.
    pub fn apply(&mut self, model: Arc<Model>, generation: u64) -> Result<(), CompileError> {
        let seats = &self.seats;
        let in_use = |id| Master::connections_to(seats, id) > 0;
        let shards = Shards { generation: self.generation_running(), in_use: &in_use };
        self.compiler.continue_from(generation.saturating_sub(1));
        let snapshot = Arc::new(self.compiler.compile(&model, &shards)?);
        let new_addresses = snapshot.locals.iter().any(|(addr, _)| self.snapshot.locals.get(&addr).is_none());
        let links = self.model.interfaces != model.interfaces;
        let before = std::mem::replace(&mut self.snapshot, snapshot);
        self.model = model;
        for (i, port) in self.ports.iter().enumerate().filter(|(i, _)| links && self.model.has_ipv6(PortId(*i))) {
            ports::receive_multicast(port, &self.model.ports[i].name);
        }
        let workers = self.seats.len();
        let (owners, fallen) = steering::flow(&mut self.steerings, &self.ports, &self.model, workers, &self.owners);
        self.owners = owners;
        for (i, why) in fallen {
            warn!("port {}: steering falls from flow to software: {why}", self.model.ports[i].name);
        }
        if let Some(hops) = self.compiler.changed_hops() {
            self.local.configure(self.clock.now(), &hops, &compile::fixed(&self.model));
        }
        self.publish();
        if new_addresses {
            self.local.announce_new(self.clock.now(), &self.snapshot, &before, &mut self.outs);
            self.send();
        }
        Ok(())
    }

    /// The oldest generation that a worker runs.
    pub(super) fn generation_running(&self) -> u64 {
        self.seats.iter().map(|s| s.generation).min().unwrap_or_default()
    }

    /// The connections of each server now; nothing while a worker runs an older generation than the newest.
    pub fn connections_of(&self, servers: &[(ServiceId, SocketAddr)]) -> Option<Vec<u64>> {
        let of = |(service, address): &(ServiceId, SocketAddr)| {
            let reals = self.compiled(service).map(|s| s.reals.as_slice()).unwrap_or_default();
            let real = reals.iter().find(|r| compile::socket(r.addr, r.port) == *address);
            real.map_or(0, |r| Master::connections_to(&self.seats, r.id))
        };
        (self.generation_running() == self.snapshot.generation).then(|| servers.iter().map(of).collect())
    }
}
