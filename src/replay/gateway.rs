//! A configuration, running in the laboratory: what `gatun run` is with network cards, this is without.

use crate::config::compile::{self, CompileError, Compiler, Shards};
use crate::config::{Model, Problems, diff};
use gatun_engine::addr::{Mac, PortId, RealId};
use gatun_engine::mem::OutOfMemory;
use gatun_engine::neighbor::Neighbors;
use gatun_engine::shard::{Shared, Sizes};
use gatun_engine::steer::{KeyError, Steer};
use gatun_engine::testkit::lab::{Arrival, Lab, Link, Plan};
use std::sync::Arc;

/// What is not in the configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// Lcores, each with its share of the connections.
    pub shards: u8,
    /// Of all randomness, where the configuration has none.
    pub seed: u64,
    /// How frames come to the lcores.
    pub arrival: Arrival,
    /// By port, in the order of the configuration; quiet where there are too few.
    pub links: Vec<Link>,
}

impl Default for Options {
    fn default() -> Self {
        Options { shards: 1, seed: 1, arrival: Arrival::Rss, links: Vec::new() }
    }
}

/// Why a configuration can not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not fit the tables.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The steering key or the number of shards.
    #[error("{0}")]
    Steering(KeyError),
    /// The tables do not fit the memory.
    #[error("{0}")]
    Memory(OutOfMemory),
    /// A reload asks for what only a restart can do.
    #[error("{0}")]
    Reload(Problems),
}

/// See the module.
pub struct Gateway {
    /// What runs.
    pub lab: Lab,
    model: Arc<Model>,
    compiler: Compiler,
}

impl Gateway {
    /// A gateway at time 0.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn new(model: Model, options: &Options) -> Result<Gateway, Error> {
        let seed = model.steering.seed.unwrap_or(options.seed);
        let key = model.steering.key.map_or_else(|| Steer::key_from_seed(seed), |k| k.0);
        let steer = Steer::new(key, options.shards).map_err(Error::Steering)?;
        let neighbors = Arc::new(Neighbors::new(model.tables.neighbors as usize));
        let macs = (0..model.ports.len()).map(|port| mac(&model, port)).collect();
        let reals = model.tables.reals as usize;
        let mut compiler = Compiler::new(neighbors.clone(), macs, reals);
        let model = Arc::new(model);
        let snapshot = Arc::new(compiler.compile(&model, &Shards::NONE)?);
        let (hops, fixed) = compile::hops(&model);
        let mut links = options.links.clone();
        links.resize(model.ports.len(), Link::default());
        let plan = Plan {
            shared: Shared::new(snapshot, neighbors, Arc::new(steer)),
            hops,
            fixed,
            limits: compile::limits(&model),
            sizes: Sizes::of(model.tables.connections as usize, model.tables.ipv6_connections as usize, reals),
            reals,
            links,
            arrival: options.arrival,
            seed,
        };
        let lab = Lab::new(plan).map_err(Error::Memory)?;
        Ok(Gateway { lab, model, compiler })
    }

    /// Takes a new configuration while connections go on, as SIGHUP does.
    ///
    /// # Errors
    /// When it changes what only a restart can change; then nothing has changed.
    pub fn reload(&mut self, model: Model) -> Result<(), Error> {
        diff(&self.model, &model).map_err(|p| Error::Reload(Problems(p)))?;
        let model = Arc::new(model);
        let lcores = self.lab.lcores();
        let in_use = |id: RealId| {
            let of = |l: &gatun_engine::testkit::lab::Lcore| {
                let real = l.shard.stats.real(id);
                real.active.value() + real.inactive.value()
            };
            lcores.iter().any(|l| of(l) > 0)
        };
        let snapshot = Arc::new(
            self.compiler.compile(&model, &Shards { generation: self.lab.snapshot().generation, in_use: &in_use })?,
        );
        let (hops, fixed) = compile::hops(&model);
        self.lab.publish(snapshot, hops, fixed, compile::limits(&model));
        self.model = model;
        Ok(())
    }

    /// The configuration that is in force.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What a port is called.
    pub fn port_name(&self, port: PortId) -> &str {
        self.model.ports.get(port.index()).map_or("?", |p| &p.name)
    }

    /// The MAC address of a port.
    pub fn mac(&self, port: PortId) -> Mac {
        mac(&self.model, port.index())
    }
}

/// A port's MAC address: the configured one, or 02:67:61:74:75 (`gatu`) and the port's number.
pub fn mac(model: &Model, port: usize) -> Mac {
    let own = Mac([0x02, b'g', b'a', b't', b'u', port as u8]);
    model.ports.get(port).and_then(|p| p.mac).map_or(own, |m| Mac(m.0))
}
