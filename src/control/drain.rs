//! Real servers on their way out: weight 0 until their connections have ended, or until their time is up.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// By service and real server, both by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Drains(BTreeMap<String, BTreeMap<String, Drain>>);

/// A real server on its way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// When it began.
    pub since: String,
    /// When it is taken out at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The weight that it had.
    pub weight: u16,
    /// The connections that it had when it began.
    pub connections: u64,
    /// It stays with weight 0.
    pub keep: bool,
}

impl Drains {
    /// Of one server.
    pub fn find(&self, service: &str, real: &str) -> Option<&Drain> {
        self.0.get(service)?.get(real)
    }

    /// All of them: service, real server, drain.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &Drain)> {
        self.0.iter().flat_map(|(s, reals)| reals.iter().map(move |(r, d)| (s.as_str(), r.as_str(), d)))
    }

    /// Whether nobody is on the way out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg(test)]
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Drain> {
        self.0.values_mut().flat_map(BTreeMap::values_mut)
    }

    pub(super) fn insert(&mut self, service: &str, real: &str, drain: Drain) {
        self.0.entry(service.to_owned()).or_default().insert(real.to_owned(), drain);
    }

    pub(super) fn remove(&mut self, service: &str, real: &str) {
        if let Some(reals) = self.0.get_mut(service) {
            reals.remove(real);
        }
        self.0.retain(|_, reals| !reals.is_empty());
    }
}
