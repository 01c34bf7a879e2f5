//! The master as the keeper sees it.

use super::{Publish, Refusal};
use crate::config::{Model, ServiceId};
use crate::master::Master;
use crate::master::handle::Handle;
use std::net::SocketAddr;
use std::sync::Arc;

impl Publish for Handle<Master> {
    fn apply(&mut self, model: &Arc<Model>, generation: u64) -> Result<(), Refusal> {
        let model = model.clone();
        match self.ask_and_wait(move |master| master.apply(model, generation)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(Refusal::Room(e.to_string())),
            Err(_) => Err(Refusal::Stopping),
        }
    }

    fn connections(&mut self, servers: &[(ServiceId, SocketAddr)]) -> Option<Vec<u64>> {
        let servers = servers.to_vec();
        self.ask_and_wait(move |master| master.connections_of(&servers)).ok().flatten()
    }
}
