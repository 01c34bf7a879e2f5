//! The gateway of the program: the REST interface.
//!
//! Called by `gatun-ipvsadm`. Many changes go in one transaction; where one of them is refused the transaction is cut in two
//! until what is refused stands alone. What IPVS has and gatun does not is refused here, in words, before anything is sent.

use super::model::{Change, Connection, Counts, Dest, Granularity, Key, Method, Proto, Service, Timeouts};
use super::{Exit, Gateway};
use crate::api::types::{
    self as api, Applied, Done, Edit, Item, Protocol, RealPatch, RealSpec, Scheduler, ServicePatch, ServiceSpec, Stats,
    TimeoutsSpec, Totals, Transaction,
};
use crate::client::{Ask, Client, Failure, segment};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// The most changes of a transaction.
const TRANSACTION_MAX: usize = 1_000;
const NOT_FOUND: u16 = 404;
const CONFLICT: u16 = 409;

/// The REST interface of a gateway.
pub struct Rest(pub Client);

impl Gateway for Rest {
    fn services(&mut self, which: Option<Key>, rates: bool) -> Result<Vec<Service>, Exit> {
        let services: Vec<api::Service> = match which {
            Some(key) => {
                let id = id(key).map_err(|_| Exit::refused("No such service"))?;
                let item: Item<api::Service> =
                    self.0.get(&format!("/api/v1/services/{}", segment(&id)), &[]).map_err(|e| {
                        if e.status() == Some(NOT_FOUND) { Exit::refused("No such service") } else { exit(e) }
                    })?;
                vec![item.item]
            }
            None => self.0.list("/api/v1/services", &[], usize::MAX).map_err(exit)?,
        };
        let stats: Option<Item<Stats>> =
            if rates { Some(self.0.get("/api/v1/stats", &[]).map_err(exit)?) } else { None };
        let mut list: Vec<Service> = services.into_iter().map(listed).collect();
        if let Some(stats) = stats {
            fill_rates(&mut list, &stats.item);
        }
        Ok(list)
    }

    fn connections(&mut self, each: &mut dyn FnMut(&Connection)) -> Result<(), Exit> {
        let pages = self.0.pages("/api/v1/connections", &[], &mut |page: api::Page<api::Connection>| {
            for c in page.items {
                let at = |a: SocketAddr| (a.ip(), a.port());
                each(&Connection {
                    proto: proto(c.protocol),
                    expires: c.expires,
                    state: c.state,
                    client: at(c.client),
                    vip: at(c.vip),
                    dest: at(c.real),
                });
            }
            true
        });
        pages.map_err(exit)
    }

    fn timeouts(&mut self) -> Result<Timeouts, Exit> {
        let t: Item<api::Timeouts> = self.0.get("/api/v1/timeouts", &[]).map_err(exit)?;
        Ok(Timeouts { tcp: t.item.established, tcp_fin: t.item.fin_wait, udp: t.item.udp })
    }

    fn change(&mut self, changes: Vec<Change>) -> Vec<Result<(), Exit>> {
        let mut done = Vec::with_capacity(changes.len());
        let mut together = Vec::new();
        for change in changes {
            match request(change) {
                Ok(Request::Edit(edit)) => together.push(edit),
                Ok(Request::Zero(id)) => {
                    self.carry_out(std::mem::take(&mut together), &mut done);
                    done.push(self.zero(id));
                }
                Err(refused) => {
                    self.carry_out(std::mem::take(&mut together), &mut done);
                    done.push(Err(refused));
                }
            }
        }
        self.carry_out(together, &mut done);
        done
    }
}

impl Rest {
    /// In their order; each half by itself where both together are refused.
    fn carry_out(&self, mut edits: Vec<Edit>, done: &mut Vec<Result<(), Exit>>) {
        while edits.len() > TRANSACTION_MAX {
            let rest = edits.split_off(TRANSACTION_MAX);
            self.carry_out(std::mem::replace(&mut edits, rest), done);
        }
        let gone = done.last().is_some_and(|last| last.as_ref().is_err_and(|exit| exit.final_));
        let Some(last) = edits.last().cloned().filter(|_| !gone) else { return };
        let transaction = Transaction { changes: edits };
        let answer = self.0.send::<Applied>("POST", "/api/v1/transaction", &Ask::default(), Some(&transaction));
        let mut edits = transaction.changes;
        match answer {
            Ok(_) => done.extend(edits.iter().map(|_| Ok(()))),
            Err(failure) if edits.len() == 1 => done.push(Err(self.refused(&last, failure))),
            Err(failure) if failure.status().is_some() => {
                let second = edits.split_off(edits.len() / 2);
                self.carry_out(edits, done);
                self.carry_out(second, done);
            }
            Err(failure) => done.push(Err(exit(failure))),
        }
    }

    fn zero(&self, service: Option<String>) -> Result<(), Exit> {
        let query: Vec<(&str, String)> = service.map(|id| ("service", id)).into_iter().collect();
        let ask = Ask { query: &query, generation: None };
        match self.0.send::<Done>("POST", "/api/v1/stats/zero", &ask, None::<&()>) {
            Err(e) if e.status() == Some(NOT_FOUND) => Err(Exit::refused("No such service")),
            Err(e) => Err(exit(e)),
            Ok(_) => Ok(()),
        }
    }

    /// In the kernel's words where it has some.
    fn refused(&self, edit: &Edit, failure: Failure) -> Exit {
        let service_is_there =
            |id: &str| self.0.get::<Item<api::Service>>(&format!("/api/v1/services/{}", segment(id)), &[]).is_ok();
        let words = match (edit, failure.status()) {
            (Edit::AddService { .. }, Some(CONFLICT)) => "Service already exists",
            (Edit::PatchService { .. } | Edit::DeleteService { .. }, Some(NOT_FOUND)) => "No such service",
            (Edit::AddReal { .. }, Some(CONFLICT)) => "Destination already exists",
            (Edit::AddReal { .. }, Some(NOT_FOUND)) => "Service not defined",
            (Edit::PatchReal { service, .. } | Edit::DeleteReal { service, .. }, Some(NOT_FOUND)) => {
                if service_is_there(service) { "No such destination" } else { "Service not defined" }
            }
            _ => return exit(failure),
        };
        Exit::refused(words)
    }
}

/// What is sent.
enum Request {
    Edit(Edit),
    Zero(Option<String>),
}

fn request(change: Change) -> Result<Request, Exit> {
    let edit = match change {
        Change::AddService(new) => Edit::AddService { service: service_spec(new)? },
        Change::EditService(new) => {
            let id = id(new.key)?;
            let spec = service_spec(new)?;
            let patch = ServicePatch {
                scheduler: spec.scheduler.map(Some),
                laddr_pool: spec.laddr_pool.map(Some),
                ..ServicePatch::default()
            };
            Edit::PatchService { id, patch }
        }
        Change::DeleteService(key) => Edit::DeleteService { id: id(key)? },
        Change::Clear => Edit::ClearServices {},
        Change::AddDest(key, new) => Edit::AddReal { service: id(key)?, real: real_spec(&new)? },
        Change::EditDest(key, new) => {
            let spec = real_spec(&new)?;
            let patch = RealPatch { weight: Some(spec.weight) };
            Edit::PatchReal { service: id(key)?, id: word(new.ip, new.port), patch }
        }
        Change::DeleteDest(key, ip, port) => Edit::DeleteReal { service: id(key)?, id: word(ip, port) },
        Change::SetTimeouts(new) => {
            let set = |seconds: u32| (seconds > 0).then_some(seconds);
            let timeouts = TimeoutsSpec {
                established: set(new.tcp),
                fin: set(new.tcp_fin),
                udp: set(new.udp),
                ..TimeoutsSpec::default()
            };
            Edit::PatchTimeouts { timeouts }
        }
        Change::Zero(key) => return Ok(Request::Zero(key.map(id).transpose()?)),
    };
    Ok(Request::Edit(edit))
}

fn not_yet(what: &str) -> Exit {
    Exit::refused(format!("gatun can not do this yet: {what}"))
}

/// A service's name in a path: `tcp-198.18.1.100-80`.
fn id(key: Key) -> Result<String, Exit> {
    match key {
        Key::Address(Proto::Tcp, ip, port) => Ok(format!("tcp-{}", word(ip, port))),
        Key::Address(Proto::Udp, ip, port) => Ok(format!("udp-{}", word(ip, port))),
        Key::Address(Proto::Sctp, ..) => Err(not_yet("services of SCTP (--sctp-service)")),
        Key::Mark(..) => Err(not_yet("services by firewall mark (-f)")),
    }
}

fn word(ip: IpAddr, port: u16) -> String {
    format!("{ip}-{port}")
}

fn service_spec(new: Service) -> Result<ServiceSpec, Exit> {
    id(new.key)?;
    let (protocol, address) = match new.key {
        Key::Address(Proto::Tcp, ip, port) => (Protocol::Tcp, SocketAddr::new(ip, port)),
        Key::Address(Proto::Udp, ip, port) => (Protocol::Udp, SocketAddr::new(ip, port)),
        Key::Address(Proto::Sctp, ..) | Key::Mark(..) => return Err(not_yet("services without TCP or UDP port")),
    };
    let scheduler = match new.scheduler.as_str() {
        "rr" => Scheduler::Rr,
        "wrr" => Scheduler::Wrr,
        "wlc" => Scheduler::Wlc,
        other => {
            let what = "Scheduler or persistence engine not found";
            return Err(Exit::refused(format!("{what}: gatun has rr, wrr and wlc, and no `{other}'")));
        }
    };
    let refused = [
        (new.persistent.is_some(), "persistence (-p)"),
        (new.engine.is_some(), "persistence engines (--pe)"),
        (new.one_packet, "one-packet scheduling (-o)"),
        (new.flags != 0, "scheduler flags (-b)"),
        (address.port() == 0, "services of every port (port 0)"),
    ];
    match refused.iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(not_yet(what)),
        None => Ok(ServiceSpec {
            name: None,
            protocol,
            address,
            scheduler: Some(scheduler),
            laddr_pool: new.laddr,
            mss_clamp: None,
            timeouts: TimeoutsSpec::default(),
            on_server_removed: None,
            reals: Vec::new(),
        }),
    }
}

fn real_spec(new: &Dest) -> Result<RealSpec, Exit> {
    match new.method {
        Method::FullNat => {}
        Method::Masq => return Err(not_yet("NAT (-m); it has FULLNAT, give --fullnat")),
        Method::Route => {
            return Err(not_yet(
                "direct routing (-g, which is also meant without -m, -i and --fullnat); it has FULLNAT, give --fullnat",
            ));
        }
        Method::Tunnel(_) => return Err(not_yet("tunnels (-i); it has FULLNAT, give --fullnat")),
    }
    if new.upper > 0 || new.lower > 0 {
        return Err(not_yet("thresholds of connections (-x, -y)"));
    }
    let weight = u16::try_from(new.weight);
    let weight = weight.map_err(|_| Exit::refused(format!("the weight is {}: give at most 65535", new.weight)))?;
    Ok(RealSpec { address: SocketAddr::new(new.ip, new.port), weight })
}

fn proto(protocol: Protocol) -> Proto {
    match protocol {
        Protocol::Tcp => Proto::Tcp,
        Protocol::Udp => Proto::Udp,
    }
}

fn listed(s: api::Service) -> Service {
    let scheduler = match s.scheduler {
        Scheduler::Rr => "rr",
        Scheduler::Wrr => "wrr",
        Scheduler::Wlc => "wlc",
    };
    let dest = |r: api::Real| Dest {
        ip: r.address.ip(),
        port: r.address.port(),
        method: Method::FullNat,
        weight: r.weight.into(),
        upper: 0,
        lower: 0,
        active: r.totals.active,
        inactive: r.totals.inactive,
        persistent: 0,
        counts: totals(r.totals),
    };
    let v6 = s.address.is_ipv6();
    Service {
        key: Key::Address(proto(s.protocol), s.address.ip(), s.address.port()),
        scheduler: scheduler.to_owned(),
        flags: 0,
        one_packet: false,
        persistent: None,
        granularity: if v6 { Granularity::ONE_V6 } else { Granularity::ONE_V4 },
        engine: None,
        laddr: Some(s.laddr_pool),
        counts: totals(s.totals),
        dests: s.reals.into_iter().map(dest).collect(),
    }
}

fn totals(t: Totals) -> Counts {
    Counts { conns: t.conns, in_pkts: t.in_pkts, out_pkts: t.out_pkts, in_bytes: t.in_bytes, out_bytes: t.out_bytes }
}

/// Those of the last second.
fn fill_rates(list: &mut [Service], stats: &Stats) {
    let whole = |r: api::Rate| Counts {
        conns: r.conns.round() as u64,
        in_pkts: r.in_pkts.round() as u64,
        out_pkts: r.out_pkts.round() as u64,
        in_bytes: r.in_bytes.round() as u64,
        out_bytes: r.out_bytes.round() as u64,
    };
    let by_id: HashMap<&str, &api::ServiceStats> = stats.services.iter().map(|s| (s.id.as_str(), s)).collect();
    for service in list {
        let stats = id(service.key).ok().and_then(|id| by_id.get(id.as_str()).copied());
        service.counts = stats.map(|s| whole(s.rates.s1)).unwrap_or_default();
        for dest in &mut service.dests {
            let address = SocketAddr::new(dest.ip, dest.port);
            let real = stats.and_then(|s| s.reals.iter().find(|r| r.address == address));
            dest.counts = real.map(|r| whole(r.rates.s1)).unwrap_or_default();
        }
    }
}

fn exit(failure: Failure) -> Exit {
    match failure {
        Failure::Refused(problem) => Exit::refused(problem.to_string()),
        Failure::Here(_) | Failure::Unreachable { .. } | Failure::Untrusted { .. } | Failure::Strange { .. } => {
            Exit::unreachable(failure)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::Command;
    use super::super::names::System;
    use super::super::parse::parse;
    use super::*;

    fn asked(command: &str) -> Result<Request, Exit> {
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        match parse(&words, &System).unwrap() {
            Command::Change(change) => request(change),
            other => panic!("{other:?}"),
        }
    }

    fn json(command: &str) -> String {
        match asked(command).unwrap() {
            Request::Edit(edit) => serde_json::to_string(&edit).unwrap(),
            Request::Zero(id) => format!("zero {id:?}"),
        }
    }

    #[test]
    fn commands_become_edits_of_the_rest_interface() {
        let table = [
            (
                "-A -t 198.18.1.100:80 -s rr --laddr lan",
                r#"{"op":"add_service","service":{"protocol":"tcp","address":"198.18.1.100:80","scheduler":"rr","laddr_pool":"lan","reals":[]}}"#,
            ),
            (
                "-E -u [2001:db8::1]:53",
                r#"{"op":"patch_service","id":"udp-2001:db8::1-53","patch":{"scheduler":"wlc"}}"#,
            ),
            ("-D -t 198.18.1.100:80", r#"{"op":"delete_service","id":"tcp-198.18.1.100-80"}"#),
            ("-C", r#"{"op":"clear_services"}"#),
            (
                "-a -t 198.18.1.100:80 -r 198.18.2.11 --fullnat -w 3",
                r#"{"op":"add_real","service":"tcp-198.18.1.100-80","real":{"address":"198.18.2.11:80","weight":3}}"#,
            ),
            (
                "-e -t [2001:db8::1]:80 -r [2001:db8::2]:8080 --fullnat -w 0",
                r#"{"op":"patch_real","service":"tcp-2001:db8::1-80","id":"2001:db8::2-8080","patch":{"weight":0}}"#,
            ),
            (
                "-d -t 198.18.1.100:80 -r 198.18.2.11:81",
                r#"{"op":"delete_real","service":"tcp-198.18.1.100-80","id":"198.18.2.11-81"}"#,
            ),
            ("--set 600 0 100", r#"{"op":"patch_timeouts","timeouts":{"established":600,"udp":100}}"#),
            ("-Z -t 198.18.1.100:80", r#"zero Some("tcp-198.18.1.100-80")"#),
            ("-Z", "zero None"),
        ];
        for (command, edit) in table {
            assert_eq!(json(command), edit, "{command}");
        }
    }

    #[test]
    fn what_gatun_can_not_do_is_refused_in_words_and_with_255() {
        let table = [
            ("-A -f 7", "firewall mark"),
            ("-A --sctp-service 198.18.1.100:80", "SCTP"),
            ("-A -t 198.18.1.100:80 -s sh", "rr, wrr and wlc"),
            ("-A -t 198.18.1.100:80 -p 50", "-p"),
            ("-A -u 198.18.1.100:80 -o", "-o"),
            ("-A -u 198.18.1.100:80 --pe sip", "--pe"),
            ("-A -t 198.18.1.100:80 -s wlc -b flag-1", "-b"),
            ("-A -t 198.18.1.100:0 -p 5", "persistence"),
            ("-a -t 198.18.1.100:80 -r 198.18.2.11", "give --fullnat"),
            ("-a -t 198.18.1.100:80 -r 198.18.2.11 -m", "NAT (-m)"),
            ("-a -t 198.18.1.100:80 -r 198.18.2.11 -g", "direct routing (-g"),
            ("-a -t 198.18.1.100:80 -r 198.18.2.11 -i", "tunnels (-i)"),
            ("-a -t 198.18.1.100:80 -r 198.18.2.11 --fullnat -x 5", "-x"),
            ("-a -t 198.18.1.100:80 -r 198.18.2.11 --fullnat -w 65536", "65535"),
            ("-D -f 7", "firewall mark"),
        ];
        for (command, word) in table {
            let refused = asked(command).err().unwrap_or_else(|| panic!("{command} is taken"));
            assert!(refused.message.contains(word) && refused.code == 255 && !refused.final_, "{command}: {refused:?}");
        }
    }
}
