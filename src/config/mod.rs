//! The configuration: from a TOML file to a [`Model`] that is known to be right, or every [`Problem`] it has.
//!
//! Called by `run`, `replay` and `check-config`, and by the master at a reload, which asks [`diff`] what changed.
//! It parses and does not validate: a model holds only typed values that fit each other. It never stops at the first
//! problem, never panics on any text, and never opens a device, a socket or anything but the file.
//!
//! The way of a file: `globals` and `draft` read each field by itself with `reader` and `text`; `owners`, `topology` and
//! `link` check one against the other; all of them note what they find in the `report`.

mod change;
pub mod compile;
mod diff;
mod draft;
mod globals;
mod link;
mod model;
mod owners;
mod problem;
mod reader;
mod report;
mod settings;
mod syntax;
mod text;
mod topology;
mod values;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use change::{Change, ServiceChange, ServiceId};
pub use diff::diff;
pub use model::{Interface, InterfaceId, LaddrPool, Model, Neighbor, PoolId, Port, PortId, Real, Route, Service};
pub use problem::{Problem, Problems};
pub use settings::{Api, Eal, LCORE_MAX, Lcores, Limit, Limits, Steering, Tables, Tcp, Timeouts, Tls, Workers};
pub use values::{
    HashKey, HashKeyError, Idle, Mac, MacError, OnServerRemoved, Protocol, Scheduler, Secs, SteeringPolicy,
    SynTimestamps,
};

use report::Report;
use toml::de::DeTable;

/// Reads a configuration file.
///
/// # Errors
/// Every problem of the file, or the one that kept it from being read.
pub fn load(path: impl AsRef<Path>) -> Result<Model, Problems> {
    let path = path.as_ref();
    parse(&text(path)?, &path.display().to_string())
}

/// The text of a configuration file.
///
/// # Errors
/// The problem that kept it from being read.
pub fn text(path: &Path) -> Result<String, Problems> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| syntax::unreadable(&file, &error))?;
    String::from_utf8(bytes).map_err(|error| syntax::not_utf8(&file, &error))
}

/// Reads a configuration from `text`; `file` is what its problems call it.
///
/// A text that is no TOML has only its syntax problems: what a broken table was meant to hold cannot be judged.
///
/// # Errors
/// Every problem of the text, in the order of its lines.
pub fn parse(text: &str, file: &str) -> Result<Model, Problems> {
    let report = Report::new(file, text);
    let (tree, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        syntax::note(&errors, text, &report);
        return Err(report.problems().unwrap_or(Problems(Vec::new())));
    }
    let model = link::link(draft::read(&report, tree.get_ref()), &report);
    match report.problems() {
        None => Ok(model),
        Some(problems) => Err(problems),
    }
}
