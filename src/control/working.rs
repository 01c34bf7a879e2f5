//! The configuration that is being changed: what is written and what it means, always in step.
//!
//! A change of services is checked against what it touches alone: the parser reads the rest of the document with only these
//! services. What they share with others (names, VIPs, the room for servers) is looked up here, and when anything is amiss the
//! whole text is parsed, which knows how to say it.

use super::Refusal;
use super::document::{Document, service_key};
use super::edit;
use super::services::Key;
use crate::api::types::{self, Edit, EditResult};
use crate::config::{self, Change, Model, Problem, Protocol};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

/// See the module.
#[derive(Clone, Debug)]
pub struct Working {
    /// What is written.
    pub document: Document,
    /// What it means.
    pub model: Model,
}

/// What was different after a change.
pub(super) struct Difference {
    pub(super) results: Vec<EditResult>,
    pub(super) changes: Vec<Change>,
}

impl Working {
    /// Reads a text; `name` is what its problems call it.
    pub fn read(text: &str, name: &str) -> Result<Working, Refusal> {
        let model = config::parse(text, name).map_err(|problems| Refusal::Invalid(problems.0))?;
        let document = Document::read(text).map_err(|e| Refusal::Text(e.to_string()))?;
        Ok(Working { document, model })
    }

    /// Another document in the place of this one.
    pub(super) fn replace(&mut self, document: Document) -> Result<Difference, Refusal> {
        let model = config::parse(&document.write(), "").map_err(|problems| Refusal::Invalid(problems.0))?;
        let changes = config::diff(&self.model, &model).map_err(Refusal::Invalid)?;
        *self = Working { document, model };
        Ok(Difference { results: Vec::new(), changes })
    }

    /// All of these changes, or none.
    pub(super) fn edit(&mut self, edits: &[Edit]) -> Result<Difference, Refusal> {
        let mut document = self.document.clone();
        let results = edits.iter().map(|e| edit::apply(&mut document, e)).collect::<Result<Vec<_>, _>>()?;
        let difference = match touched(edits) {
            Some(keys) => match self.part(&document, &keys)? {
                Some(part) => {
                    let changes = self.splice(&document, part, &keys)?;
                    self.document = document;
                    Difference { results: Vec::new(), changes }
                }
                None => self.replace(document)?,
            },
            None => self.replace(document)?,
        };
        Ok(Difference { results, ..difference })
    }

    /// The model of these services only; none when they do not go with the others.
    fn part(&self, document: &Document, keys: &BTreeSet<Key>) -> Result<Option<Model>, Refusal> {
        let mut services: Vec<_> = keys.iter().filter_map(|k| Some((document.services.place(*k)?, *k))).collect();
        services.sort_unstable();
        let services = services.iter().filter_map(|(_, key)| document.services.get(*key));
        let text = document.write_with(services.map(|s| &**s));
        let part = config::parse(&text, "").map_err(|problems| Refusal::Invalid(own(problems.0, keys.len() == 1)))?;
        let old: Vec<&config::Service> = keys.iter().filter_map(|key| self.at(*key)).map(|(_, s)| &**s).collect();
        let count = |services: &[Arc<config::Service>]| services.iter().map(|s| s.reals.len()).sum::<usize>();
        let before = old.iter().map(|s| s.reals.len()).sum::<usize>();
        if count(&self.model.services) - before + count(&part.services) > part.tables.reals as usize {
            return Ok(None);
        }
        // What these had before goes with the others; only what is new has to be looked for among them.
        let new = |new: BTreeSet<IpAddr>, old: BTreeSet<IpAddr>| new.difference(&old).copied().collect::<Vec<_>>();
        let vips =
            new(part.services.iter().map(|s| s.address.ip()).collect(), old.iter().map(|s| s.address.ip()).collect());
        let rips = new(
            part.services.iter().flat_map(|s| &s.reals).map(|r| r.address.ip()).collect(),
            old.iter().flat_map(|s| &s.reals).map(|r| r.address.ip()).collect(),
        );
        let known: HashSet<&str> = old.iter().map(|s| s.name.as_str()).collect();
        let names: HashSet<&str> =
            part.services.iter().map(|s| s.name.as_str()).filter(|n| !known.contains(n)).collect();
        if vips.is_empty() && rips.is_empty() && names.is_empty() {
            return Ok(Some(part));
        }
        let is_in = |ips: &[IpAddr], ip: IpAddr| ips.binary_search(&ip).is_ok();
        let amiss = |other: &config::Service| {
            (!names.is_empty() && names.contains(other.name.as_str()))
                || is_in(&rips, other.address.ip())
                || (!vips.is_empty() && other.reals.iter().any(|r| is_in(&vips, r.address.ip())))
        };
        let clash = self.model.services.iter().any(|other| amiss(other) && !keys.contains(&key(other)));
        Ok((!clash).then_some(part))
    }

    /// Where a service stands in the model, which is in the order of the document.
    fn at(&self, wanted: Key) -> Option<(usize, &Arc<config::Service>)> {
        let services = &self.document.services;
        let place = services.place(wanted)?;
        let at = self.model.services.binary_search_by_key(&Some(place), |s| services.place(key(s))).ok()?;
        Some((at, self.model.services.get(at)?))
    }

    /// Puts the services of `part` in their places.
    fn splice(&mut self, document: &Document, part: Model, keys: &BTreeSet<Key>) -> Result<Vec<Change>, Refusal> {
        let old: Vec<(usize, Arc<config::Service>)> =
            keys.iter().filter_map(|key| self.at(*key)).map(|(at, s)| (at, s.clone())).collect();
        let before = Model { services: old.iter().map(|(_, s)| s.clone()).collect(), ..part.clone() };
        let changes = config::diff(&before, &part).map_err(Refusal::Invalid)?;
        let stays = |key: Key| document.services.place(key) == self.document.services.place(key);
        let gone: HashSet<Key> = old.iter().map(|(_, s)| key(s)).filter(|key| !stays(*key)).collect();
        let (in_place, mut at_end): (Vec<_>, Vec<_>) = part.services.into_iter().partition(|s| stays(key(s)));
        at_end.sort_by_key(|s| document.services.place(key(s)));
        let at: HashMap<Key, usize> = old.iter().map(|(at, s)| (key(s), *at)).collect();
        let services = &mut self.model.services;
        for service in in_place {
            if let Some(seat) = at.get(&key(&service)).and_then(|at| services.get_mut(*at)) {
                *seat = service;
            }
        }
        if !gone.is_empty() {
            services.retain(|s| !gone.contains(&key(s)));
        }
        services.extend(at_end);
        Ok(changes)
    }
}

/// The services that the edits are about; none when they are about something else, too.
fn touched(edits: &[Edit]) -> Option<BTreeSet<Key>> {
    let key = |edit: &Edit| match edit {
        Edit::AddService { service } | Edit::PutService { service } => Some((service.protocol, service.address)),
        Edit::PatchService { id, .. } | Edit::DeleteService { id } => service_key(id),
        Edit::AddReal { service, .. }
        | Edit::PutReal { service, .. }
        | Edit::PatchReal { service, .. }
        | Edit::DeleteReal { service, .. } => service_key(service),
        Edit::ClearServices {}
        | Edit::AddLaddrPool { .. }
        | Edit::PutLaddrPool { .. }
        | Edit::DeleteLaddrPool { .. }
        | Edit::AddRoute { .. }
        | Edit::PutRoute { .. }
        | Edit::DeleteRoute { .. }
        | Edit::PutNeighbor { .. }
        | Edit::DeleteNeighbor { .. }
        | Edit::PutTimeouts { .. }
        | Edit::PatchTimeouts { .. } => None,
    };
    edits.iter().map(key).collect()
}

fn key(service: &config::Service) -> Key {
    let protocol = match service.protocol {
        Protocol::Tcp => types::Protocol::Tcp,
        Protocol::Udp => types::Protocol::Udp,
    };
    (protocol, service.address)
}

/// The problems of one service without the path to it, in the words of the interface.
fn own(mut problems: Vec<Problem>, one: bool) -> Vec<Problem> {
    for problem in &mut problems {
        (problem.line, problem.column) = (None, None);
        let rest =
            problem.field.strip_prefix("service[").and_then(|f| f.split_once("].")).map(|(_, rest)| rest.to_owned());
        if let Some(rest) = rest.filter(|_| one) {
            problem.field = rest.strip_prefix("real[").map_or(rest.clone(), |server| format!("reals[{server}"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILE: &str = include_str!("../../conf/demo.toml");

    fn working() -> Working {
        Working::read(FILE, "demo.toml").unwrap()
    }

    fn edits(text: &str) -> Vec<Edit> {
        serde_json::from_str(text).unwrap()
    }

    /// Any edit of a few services, right or wrong.
    fn any_edit() -> impl Strategy<Value = Edit> {
        let service = prop::sample::select(vec![
            "198.18.1.100:80",
            "198.18.1.100:81",
            "198.18.1.101:80",
            "198.18.2.11:80",
            "198.18.1.254:80",
        ]);
        let real = prop::sample::select(vec![
            "198.18.2.11:80",
            "198.18.2.12:80",
            "198.18.1.101:80",
            "198.18.2.100:80",
            "10.0.0.1:1",
        ]);
        let name = prop::sample::select(vec!["null", "\"web\"", "\"echo\"", "\"x\"", "\"\""]);
        (0..8u8, service, real, name, 0..3u16).prop_map(|(op, service, real, name, weight)| {
            let (id, rid) = (format!("tcp-{}", service.replace(':', "-")), real.replace(':', "-"));
            let spec = format!(r#"{{"protocol":"tcp","address":"{service}","name":{name},"reals":[{{"address":"{real}","weight":{weight}}}]}}"#);
            let real = format!(r#"{{"address":"{real}","weight":{weight}}}"#);
            let text = match op {
                0 => format!(r#"{{"op":"add_service","service":{spec}}}"#),
                1 => format!(r#"{{"op":"put_service","service":{spec}}}"#),
                2 => format!(r#"{{"op":"patch_service","id":"{id}","patch":{{"name":{name},"reals":[{real}]}}}}"#),
                3 => format!(r#"{{"op":"delete_service","id":"{id}"}}"#),
                4 => format!(r#"{{"op":"add_real","service":"{id}","real":{real}}}"#),
                5 => format!(r#"{{"op":"put_real","service":"{id}","real":{real}}}"#),
                6 => format!(r#"{{"op":"patch_real","service":"{id}","id":"{rid}","patch":{{"weight":{weight}}}}}"#),
                _ => format!(r#"{{"op":"delete_real","service":"{id}","id":"{rid}"}}"#),
            };
            serde_json::from_str(&text).unwrap()
        })
    }

    proptest! {
        #[test]
        fn a_change_of_a_part_is_the_change_of_the_whole(transactions in prop::collection::vec(prop::collection::vec(any_edit(), 1..4), 1..8)) {
            let mut working = working();
            for transaction in transactions {
                let before = working.clone();
                let mut document = working.document.clone();
                let whole = transaction.iter().try_for_each(|e| edit::apply(&mut document, e).map(drop));
                let whole = whole.and_then(|()| { let mut w = working.clone(); w.replace(document).map(|d| (w, d.changes)) });
                match (working.edit(&transaction), whole) {
                    (Ok(difference), Ok((all, changes))) => {
                        prop_assert_eq!(&working.document, &all.document);
                        prop_assert_eq!(&working.model, &all.model);
                        let lines = |c: &[Change]| c.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
                        prop_assert_eq!(lines(&difference.changes), lines(&changes));
                    }
                    (Err(_), Err(_)) => {
                        prop_assert_eq!(&working.document, &before.document);
                        prop_assert_eq!(&working.model, &before.model);
                    }
                    (part, whole) => prop_assert!(false, "part {:?}, whole {:?}", part.map(|d| d.changes), whole.map(|w| w.1)),
                }
            }
        }
    }

    #[test]
    fn a_problem_names_the_field_of_the_request() {
        let wrong = edits(
            r#"[{"op":"put_service","service":{"protocol":"tcp","address":"198.18.1.100:80","mss_clamp":5,"reals":[{"address":"10.0.0.1:80"}]}}]"#,
        );
        let Err(Refusal::Invalid(problems)) = working().edit(&wrong).map(drop) else { panic!("refused") };
        let fields: Vec<_> = problems.iter().map(|p| p.field.as_str()).collect();
        assert_eq!(fields, ["mss_clamp", "reals[0].address"]);
        assert!(problems.iter().all(|p| !p.remedy.is_empty() && p.line.is_none()));
    }

    #[test]
    fn a_second_pool_does_not_take_the_services_of_the_first() {
        let mut w = working();
        w.edit(&edits(r#"[{"op":"add_laddr_pool","laddr_pool":{"name":"two","addresses":["198.18.2.200"]}}]"#))
            .unwrap();
        assert_eq!((w.model.laddr_pools.len(), w.model.services[0].laddr_pool.0), (2, 0));
        let used = w.edit(&edits(r#"[{"op":"delete_laddr_pool","name":"lan"}]"#)).map(drop);
        assert!(matches!(used, Err(Refusal::InUse { .. })), "{used:?}");
        w.edit(&edits(r#"[{"op":"delete_laddr_pool","name":"two"}]"#)).unwrap();
    }

    #[test]
    fn what_a_running_gateway_can_not_follow_is_refused() {
        let mut w = working();
        let other = Document::read(&FILE.replace("workers = [1]", "workers = [1, 2]")).unwrap();
        let Err(Refusal::Invalid(problems)) = w.replace(other).map(drop) else { panic!("refused") };
        assert_eq!(problems[0].field, "lcores.workers");
    }
}
