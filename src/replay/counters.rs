//! Counters as a file: every one that is not zero, of all lcores together.
//!
//! ```toml
//! [lcore]
//! rx = 7
//!
//! [drop]
//! tcp_no_connection = 1
//!
//! [real."tcp 198.18.1.100:80 > 198.18.2.11:80"]
//! in_pkts = 4
//! ```
//!
//! The same gateway and the same frames give the same file, so that it is compared line by line.

use super::Gateway;
use crate::config::{Protocol, Service};
use gatun_engine::addr::Proto;
use gatun_engine::stats::{LcoreStats, RealStats, RealTraffic, Stats};
use gatun_engine::verdict::{DropReason, PuntReason};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// Tables of counters by name, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Counters(pub Vec<(String, BTreeMap<String, u64>)>);

impl Counters {
    /// Of a gateway, all lcores together.
    pub fn of(gateway: &mut Gateway) -> Counters {
        let stats: Vec<Arc<Stats>> = gateway.lab.lcores().iter().map(|l| l.shard.stats.clone()).collect();
        let mut tables = Vec::new();
        let mut add = |name: &str, counters: &mut dyn Iterator<Item = (String, u64)>| {
            let mut table = BTreeMap::<String, u64>::new();
            for (name, value) in counters.filter(|(_, value)| *value != 0) {
                *table.entry(name).or_default() += value;
            }
            if !table.is_empty() {
                tables.push((name.to_owned(), table));
            }
        };
        let lcores = || stats.iter().map(|s| &s.lcore);
        let named = |s: &LcoreStats| s.named().map(|(name, value, _)| (name.to_owned(), value)).collect::<Vec<_>>();
        add("lcore", &mut lcores().flat_map(named));
        let drops =
            |s: &LcoreStats| DropReason::ALL.iter().map(|r| (r.label().to_owned(), s.drop(*r).value())).collect();
        add("drop", &mut lcores().flat_map(|s| -> Vec<_> { drops(s) }));
        let punts =
            |s: &LcoreStats| PuntReason::ALL.iter().map(|r| (r.label().to_owned(), s.punt(*r).value())).collect();
        add("punt", &mut lcores().flat_map(|s| -> Vec<_> { punts(s) }));
        add("local", &mut local(gateway).into_iter());
        let snapshot = gateway.lab.snapshot().clone();
        for service in &gateway.model().services {
            let Some(running) = snapshot.services.values().find(|s| is(service, s)) else { continue };
            for real in running.reals.iter().rev() {
                let name =
                    format!("{} {} > {}", running.proto, service.address, super::packet::socket(real.addr, real.port));
                add(
                    &format!("real.{name:?}"),
                    &mut stats.iter().flat_map(|s| of_real(s.real(real.id), s.traffic(real.id))),
                );
            }
        }
        Counters(tables)
    }

    /// As a file.
    pub fn to_toml(&self) -> String {
        let mut text = String::from("# Every counter that is not zero, of all lcores together.\n");
        for (name, counters) in &self.0 {
            let _ = write!(text, "\n[{name}]\n");
            for (name, value) in counters {
                let _ = writeln!(text, "{name} = {value}");
            }
        }
        text
    }

    /// Of one table; 0 for a counter that is not there.
    pub fn value(&self, table: &str, counter: &str) -> u64 {
        let table = self.0.iter().find(|(name, _)| name == table);
        table.and_then(|(_, counters)| counters.get(counter)).copied().unwrap_or(0)
    }
}

fn is(service: &Service, running: &gatun_engine::snapshot::Service) -> bool {
    let proto = match service.protocol {
        Protocol::Tcp => Proto::Tcp,
        Protocol::Udp => Proto::Udp,
    };
    proto == running.proto && service.address == crate::config::compile::socket(running.vip, running.vport)
}

fn of_real(conns: &RealStats, traffic: &RealTraffic) -> Vec<(String, u64)> {
    let RealStats { active, inactive, conns } = conns;
    let RealTraffic { in_pkts, out_pkts, in_bytes, out_bytes } = traffic;
    [
        ("active", active),
        ("inactive", inactive),
        ("conns", conns),
        ("in_pkts", in_pkts),
        ("out_pkts", out_pkts),
        ("in_bytes", in_bytes),
        ("out_bytes", out_bytes),
    ]
    .map(|(name, counter)| (name.to_owned(), counter.value()))
    .to_vec()
}

fn local(gateway: &mut Gateway) -> Vec<(String, u64)> {
    gateway.lab.local().stats.named().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The lines of two files that are not in the other; empty when they say the same.
pub fn diff(expected: &str, got: &str) -> String {
    let lines = |text: &str| {
        let mut table = String::new();
        let mut lines = Vec::new();
        for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
            if line.starts_with('[') {
                table = line.to_owned();
            } else {
                lines.push(format!("{table} {line}"));
            }
        }
        lines
    };
    let (expected, got) = (lines(expected), lines(got));
    let mut diff = String::new();
    diff.extend(expected.iter().filter(|l| !got.contains(l)).map(|l| format!("  - {l}\n")));
    diff.extend(got.iter().filter(|l| !expected.contains(l)).map(|l| format!("  + {l}\n")));
    diff
}
