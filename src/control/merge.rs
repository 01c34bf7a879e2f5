//! The file and what was changed since: the difference between the old file and the new one is applied to what runs. What only
//! the interface made stays; where both changed a field, the file wins and that is said.
//!
//! Called at start and on SIGHUP, with what the journal kept.

use super::document::{Document, real_id, route_id, service_id};
use super::services::Services;
use crate::api::types::{Conflict, RealSpec, ServiceSpec};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;
use toml::{Table, Value};

/// What is to run, and where the file won. `base` is the file that was applied last, `file` the new one.
pub(super) fn merge(base: &Document, file: &Document, running: &Document) -> (Document, Vec<Conflict>) {
    let mut conflicts = Vec::new();
    let c = &mut conflicts;
    let merged = Document {
        rest: one("", Some(&*base.rest), Some(&*file.rest), Some(&*running.rest), c).unwrap_or_default().into(),
        timeouts: one("timeouts", Some(&base.timeouts), Some(&file.timeouts), Some(&running.timeouts), c)
            .unwrap_or_default(),
        laddr_pools: keyed(
            [&base.laddr_pools, &file.laddr_pools, &running.laddr_pools],
            |pool| pool.name.clone(),
            |name, b, f, r| one(&format!("laddr_pool[{name:?}]"), b, f, r, c),
        ),
        routes: keyed(
            [&base.routes, &file.routes, &running.routes],
            |route| route.to.clone(),
            |to, b, f, r| one(&format!("route[{:?}]", route_id(to)), b, f, r, c),
        ),
        neighbors: keyed(
            [&base.neighbors, &file.neighbors, &running.neighbors],
            |neighbor| (neighbor.address, neighbor.interface.clone()),
            |(address, _), b, f, r| one(&format!("neighbor[\"{address}\"]"), b, f, r, c),
        ),
        services: services([&base.services, &file.services, &running.services], c),
    };
    (merged, conflicts)
}

fn services([base, file, running]: [&Services; 3], conflicts: &mut Vec<Conflict>) -> Services {
    let list = |services: &Services| services.iter().cloned().collect::<Vec<_>>();
    let merged = keyed(
        [&list(base), &list(file), &list(running)],
        |service| (service.protocol, service.address),
        |key, b, f, r| {
            let field = format!("service[{:?}]", service_id(key.0, key.1));
            service(&field, b.map(|s| &**s), f.map(|s| &**s), r.map(|s| &**s), conflicts).map(Arc::new)
        },
    );
    merged.into_iter().collect()
}

fn service(
    field: &str,
    base: Option<&ServiceSpec>,
    file: Option<&ServiceSpec>,
    running: Option<&ServiceSpec>,
    conflicts: &mut Vec<Conflict>,
) -> Option<ServiceSpec> {
    if file == base || running == base || file == running {
        return decided(base, file, running).cloned();
    }
    let bare = |s: Option<&ServiceSpec>| s.map(|s| ServiceSpec { reals: Vec::new(), ..s.clone() });
    let (Some(f), Some(r)) = (file, running) else {
        conflicts.push(conflict(field, bare(file).as_ref(), bare(running).as_ref()));
        return file.cloned();
    };
    let none = Vec::new();
    let reals = keyed(
        [base.map_or(&none, |b| &b.reals), &f.reals, &r.reals],
        |real: &RealSpec| real.address,
        |address, b, f, r| one(&format!("{field}.reals[{:?}]", real_id(*address)), b, f, r, conflicts),
    );
    let settings = one(field, bare(base).as_ref(), bare(file).as_ref(), bare(running).as_ref(), conflicts);
    settings.map(|settings| ServiceSpec { reals, ..settings })
}

/// What the three say when at most one of the two that may differ does.
fn decided<'a, T: PartialEq>(base: Option<&'a T>, file: Option<&'a T>, running: Option<&'a T>) -> Option<&'a T> {
    if file == base { running } else { file }
}

/// One thing, field by field.
fn one<T: Serialize + DeserializeOwned + PartialEq + Clone>(
    field: &str,
    base: Option<&T>,
    file: Option<&T>,
    running: Option<&T>,
    conflicts: &mut Vec<Conflict>,
) -> Option<T> {
    if file == base || running == base || file == running {
        return decided(base, file, running).cloned();
    }
    let value = |thing: Option<&T>| thing.and_then(|thing| Value::try_from(thing).ok());
    let merged = values(field, value(base).as_ref(), value(file).as_ref(), value(running).as_ref(), conflicts)?;
    // Fields of either side fit together one by one; should they ever not, the file is what holds.
    merged.try_into().ok().or_else(|| file.cloned())
}

fn values(
    field: &str,
    base: Option<&Value>,
    file: Option<&Value>,
    running: Option<&Value>,
    conflicts: &mut Vec<Conflict>,
) -> Option<Value> {
    if file == base || running == base || file == running {
        return decided(base, file, running).cloned();
    }
    let (Some(Value::Table(f)), Some(Value::Table(r))) = (file, running) else {
        conflicts.push(conflict(field, file, running));
        return file.cloned();
    };
    let none = Table::new();
    let b = base.and_then(Value::as_table).unwrap_or(&none);
    let mut merged = Table::new();
    for name in f.keys().chain(r.keys().filter(|name| !f.contains_key(*name))) {
        let path = if field.is_empty() { name.clone() } else { format!("{field}.{name}") };
        if let Some(value) = values(&path, b.get(name), f.get(name), r.get(name), conflicts) {
            merged.insert(name.clone(), value);
        }
    }
    Some(Value::Table(merged))
}

/// Things that are known by a key: first those of the file in its order, then those that only run.
fn keyed<T: PartialEq + Clone, K: Hash + Eq + Clone>(
    [base, file, running]: [&Vec<T>; 3],
    key: impl Fn(&T) -> K,
    mut one: impl FnMut(&K, Option<&T>, Option<&T>, Option<&T>) -> Option<T>,
) -> Vec<T> {
    if file == base || running == base {
        return if file == base { running.clone() } else { file.clone() };
    }
    let by_key =
        |list: &'_ Vec<T>| list.iter().enumerate().map(|(at, item)| (key(item), at)).collect::<HashMap<_, _>>();
    let (in_base, in_file, in_running) = (by_key(base), by_key(file), by_key(running));
    let mut done = HashSet::new();
    let mut merged = Vec::new();
    for item in file.iter().chain(running) {
        let key = key(item);
        if !done.insert(key.clone()) {
            continue;
        }
        let of = |list: &HashMap<K, usize>| list.get(&key).copied();
        merged.extend(one(
            &key,
            of(&in_base).and_then(|at| base.get(at)),
            of(&in_file).and_then(|at| file.get(at)),
            of(&in_running).and_then(|at| running.get(at)),
        ));
    }
    merged
}

fn conflict<T: Serialize>(field: &str, file: Option<&T>, running: Option<&T>) -> Conflict {
    let shown = |thing: Option<&T>| thing.and_then(|t| Value::try_from(t).ok()).map(|value| value.to_string());
    Conflict { field: field.to_owned(), running: shown(running), file: shown(file) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::Edit;
    use crate::config;
    use crate::control::edit::apply;

    const FILE: &str = include_str!("../../conf/demo.toml");

    fn document(edit: impl Fn(&str) -> String) -> Document {
        let text = edit(FILE);
        config::parse(&text, "test.toml").unwrap();
        Document::read(&text).unwrap()
    }

    fn edited(edits: &[&str]) -> Document {
        let mut running = document(str::to_owned);
        for edit in edits {
            apply(&mut running, &serde_json::from_str::<Edit>(edit).unwrap()).unwrap();
        }
        running
    }

    const WEIGHT: &str =
        r#"{"op": "patch_real", "service": "tcp-198.18.1.100-80", "id": "198.18.2.11-80", "patch": {"weight": 7}}"#;
    const NEW: &str = r#"{"op": "put_service", "service": {"protocol": "tcp", "address": "198.18.1.100:81", "reals": [{"address": "198.18.2.11:81"}]}}"#;
    const DELETE: &str = r#"{"op": "delete_service", "id": "udp-198.18.1.100-5353"}"#;
    const WLC: &str = r#"{"op": "patch_service", "id": "tcp-198.18.1.100-80", "patch": {"scheduler": "wlc"}}"#;

    #[test]
    fn what_only_the_interface_made_stays_when_the_file_is_the_same() {
        let file = document(str::to_owned);
        let running = edited(&[WEIGHT, NEW, DELETE]);
        assert_eq!(merge(&file, &file, &running), (running, vec![]));
    }

    #[test]
    fn the_difference_of_the_files_is_applied_to_what_runs() {
        let (base, file) = (
            document(str::to_owned),
            document(|t| t.replacen("\"198.18.2.12:80\" }", "\"198.18.2.12:80\", weight = 3 }", 1)),
        );
        let (merged, conflicts) = merge(&base, &file, &edited(&[WEIGHT, NEW, DELETE]));
        assert_eq!(conflicts, []);
        let expected = edited(&[WEIGHT, NEW, DELETE, &WEIGHT.replace(".11", ".12").replace('7', "3")]);
        assert_eq!(merged, expected);
    }

    #[test]
    fn where_both_changed_a_field_the_file_wins_and_that_is_said() {
        let base = document(str::to_owned);
        let file = document(|t| t.replacen("scheduler = \"rr\"", "scheduler = \"wrr\"", 1));
        let (merged, conflicts) = merge(&base, &file, &edited(&[WLC, WEIGHT]));
        let web = merged.services.iter().next().unwrap();
        assert_eq!(web.scheduler, Some(crate::api::types::Scheduler::Wrr));
        assert_eq!(web.reals[0].weight, 7, "what only the interface changed stays");
        let said: Vec<_> =
            conflicts.iter().map(|c| (c.field.as_str(), c.running.as_deref(), c.file.as_deref())).collect();
        assert_eq!(said, [("service[\"tcp-198.18.1.100-80\"].scheduler", Some("\"wlc\""), Some("\"wrr\""))]);
    }

    #[test]
    fn a_service_that_the_file_drops_goes_though_it_was_changed_and_one_that_it_changes_comes_back() {
        let base = document(str::to_owned);
        let without = |t: &str| t.split("[[service]]\nname = \"echo\"").next().unwrap().to_owned();
        let drain = r#"{"op": "patch_real", "service": "udp-198.18.1.100-5353", "id": "198.18.2.11-5353", "patch": {"weight": 0}}"#;
        let (merged, conflicts) = merge(&base, &document(without), &edited(&[drain]));
        assert_eq!((merged.services.len(), conflicts.len()), (1, 1));
        assert_eq!((conflicts[0].file.is_none(), conflicts[0].running.is_some()), (true, true));
        let file = document(|t| t.replace("name = \"echo\"", "name = \"echo2\""));
        let (merged, conflicts) = merge(&base, &file, &edited(&[DELETE]));
        assert_eq!((merged.services.len(), conflicts.len()), (4, 1));
        assert_eq!(merged.services.iter().nth(1).and_then(|s| s.name.as_deref()), Some("echo2"));
    }

    #[test]
    fn a_file_and_an_interface_that_say_the_same_do_not_conflict() {
        let base = document(str::to_owned);
        let file = document(|t| t.replacen("\"198.18.2.11:80\" }", "\"198.18.2.11:80\", weight = 7 }", 1));
        assert_eq!(merge(&base, &file, &edited(&[WEIGHT])), (file, vec![]));
    }
}
