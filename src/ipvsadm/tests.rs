//! Ours beside the real program: every command of the transcripts in `tests/ipvsadm`, byte for byte.

use super::model::*;
use super::names::{self, Names};
use super::{Bench, Exit, Gateway, run};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// A gateway in memory, which refuses what the kernel refuses, in its words.
struct Kernel {
    services: Vec<Service>,
    timeouts: Timeouts,
}

const SCHEDULERS: [&str; 13] = ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"];

impl Kernel {
    fn new() -> Self {
        Self { services: Vec::new(), timeouts: Timeouts { tcp: 900, tcp_fin: 120, udp: 300 } }
    }

    fn service(&mut self, key: Key, otherwise: &str) -> Result<&mut Service, Exit> {
        self.services.iter_mut().find(|s| s.key == key).ok_or_else(|| Exit::refused(otherwise))
    }

    fn apply(&mut self, change: Change) -> Result<(), Exit> {
        match change {
            Change::AddService(new) => {
                if self.services.iter().any(|s| s.key == new.key) {
                    return Err(Exit::refused("Service already exists"));
                }
                known(&new)?;
                self.services.push(new);
            }
            Change::EditService(new) => {
                let old = self.service(new.key, "No such service")?;
                known(&new)?;
                *old = Service { dests: std::mem::take(&mut old.dests), ..new };
            }
            Change::DeleteService(key) => {
                self.service(key, "No such service")?;
                self.services.retain(|s| s.key != key);
            }
            Change::Clear => self.services.clear(),
            Change::AddDest(key, new) => {
                let service = self.service(key, "Service not defined")?;
                in_range(&new)?;
                if service.dests.iter().any(|d| (d.ip, d.port) == (new.ip, new.port)) {
                    return Err(Exit::refused("Destination already exists"));
                }
                service.dests.push(new);
            }
            Change::EditDest(key, new) => {
                let service = self.service(key, "Service not defined")?;
                in_range(&new)?;
                let old = service.dests.iter_mut().find(|d| (d.ip, d.port) == (new.ip, new.port));
                *old.ok_or_else(|| Exit::refused("No such destination"))? = new;
            }
            Change::DeleteDest(key, ip, port) => {
                let service = self.service(key, "Service not defined")?;
                let at = service.dests.iter().position(|d| (d.ip, d.port) == (ip, port));
                service.dests.remove(at.ok_or_else(|| Exit::refused("No such destination"))?);
            }
            Change::SetTimeouts(new) => {
                let set = |old: &mut u32, new| *old = if new == 0 { *old } else { new };
                set(&mut self.timeouts.tcp, new.tcp);
                set(&mut self.timeouts.tcp_fin, new.tcp_fin);
                set(&mut self.timeouts.udp, new.udp);
            }
            Change::Zero(Some(key)) => self.service(key, "No such service").map(|_| ())?,
            Change::Zero(None) => {}
        }
        Ok(())
    }
}

fn known(service: &Service) -> Result<(), Exit> {
    let engine = service.engine.as_deref().is_none_or(|engine| engine == "sip");
    let known = SCHEDULERS.contains(&service.scheduler.as_str()) && engine;
    if known { Ok(()) } else { Err(Exit::refused("Scheduler or persistence engine not found")) }
}

fn in_range(dest: &Dest) -> Result<(), Exit> {
    let unicast = match dest.ip {
        IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_multicast() && !ip.is_unspecified() && !ip.is_unicast_link_local(),
    };
    if dest.upper < dest.lower {
        return Err(Exit::refused("Numerical result out of range"));
    }
    let what = "Invalid operation.  Possibly wrong module version, address not unicast, ...";
    if unicast { Ok(()) } else { Err(Exit::refused(what)) }
}

impl Gateway for Kernel {
    fn services(&mut self, which: Option<Key>, _rates: bool) -> Result<Vec<Service>, Exit> {
        match which {
            Some(key) => self.service(key, "No such service").map(|s| vec![s.clone()]),
            None => Ok(self.services.clone()),
        }
    }

    fn connections(&mut self, _each: &mut dyn FnMut(&Connection)) -> Result<(), Exit> {
        Ok(())
    }

    fn timeouts(&mut self) -> Result<Timeouts, Exit> {
        Ok(self.timeouts)
    }

    fn change(&mut self, changes: Vec<Change>) -> Vec<Result<(), Exit>> {
        changes.into_iter().map(|change| self.apply(change)).collect()
    }
}

/// The names that the transcripts were recorded with.
struct Recorded {
    hosts: String,
    services: String,
}

impl Recorded {
    fn new() -> Self {
        Self { hosts: text("hosts"), services: text("services") }
    }

    fn entries(&self) -> impl Iterator<Item = (IpAddr, Vec<&str>)> {
        self.hosts.lines().map(|line| {
            let mut words = line.split_whitespace();
            (words.next().unwrap().parse().unwrap(), words.collect())
        })
    }
}

impl Names for Recorded {
    fn host(&self, name: &str) -> Option<Ipv4Addr> {
        self.entries().find_map(|(ip, names)| match ip {
            IpAddr::V4(ip) if names.contains(&name) => Some(ip),
            _ => None,
        })
    }

    fn port(&self, name: &str, proto: Proto) -> Option<u16> {
        names::port_of(&self.services, name, proto)
    }

    fn of_host(&self, ip: IpAddr) -> Option<String> {
        self.entries().find(|(a, _)| *a == ip).map(|(_, names)| names[0].to_owned())
    }

    fn of_port(&self, port: u16, proto: Proto) -> Option<String> {
        names::name_of(&self.services, port, proto)
    }
}

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ipvsadm").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A command of a transcript, with its input, and everything that it answered.
struct Said {
    command: String,
    input: String,
    answer: String,
}

fn transcript(name: &str) -> Vec<Said> {
    let mut said: Vec<Said> = Vec::new();
    for line in text(name).lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            said.push(Said { command: command.to_owned(), input: String::new(), answer: String::new() });
        } else if let Some(last) = said.last_mut() {
            match line.strip_prefix('<') {
                Some(input) => last.input.push_str(&format!("{}\n", input.strip_prefix(' ').unwrap_or(input))),
                None if line.starts_with(['>', '!', '=']) => last.answer.push_str(&format!("{line}\n")),
                None => {}
            }
        }
    }
    said
}

/// As the shell does it, as far as the transcripts need it.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn answer(gateway: &mut dyn Gateway, names: &dyn Names, said: &Said) -> String {
    let arguments = words(&said.command).split_off(1);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut input = said.input.as_bytes();
    let code = run(&arguments, &mut Bench { gateway, names, input: &mut input, out: &mut out, err: &mut err });
    let marked = |mark: &str, bytes: Vec<u8>| {
        String::from_utf8(bytes).unwrap().lines().map(|line| format!("{mark} {line}\n")).collect::<String>()
    };
    format!("{}{}= {code}\n", marked(">", out), marked("!", err))
}

/// Plays a transcript and says where we differ.
fn differences(name: &str) -> Vec<String> {
    let (mut kernel, names) = (Kernel::new(), Recorded::new());
    let said = transcript(name);
    assert!(said.len() > 10, "{name} has {} commands", said.len());
    said.iter()
        .filter_map(|said| {
            let ours = answer(&mut kernel, &names, said);
            let more = format!("$ {}\n{}\nours:\n{ours}\nthe real one:\n{}", said.command, said.input, said.answer);
            (ours != said.answer).then_some(more)
        })
        .collect()
}

fn same(name: &str) {
    let differences = differences(name);
    assert!(differences.is_empty(), "{} differences in {name}\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn the_grammar_is_that_of_the_real_program() {
    same("grammar.txt");
}

#[test]
fn every_command_takes_and_refuses_the_options_that_the_real_one_does() {
    same("matrix.txt");
}

#[test]
fn services_are_read_listed_and_saved_as_the_real_one_does() {
    same("services.txt");
}

#[test]
fn real_servers_are_read_listed_and_saved_as_the_real_one_does() {
    same("servers.txt");
}

#[test]
fn rules_are_restored_as_the_real_one_does() {
    same("restore.txt");
}

/// The kernel with what the exact listings of a transcript say of its traffic.
struct Busy {
    kernel: Kernel,
    totals: Vec<Row>,
    rates: Vec<Row>,
    states: Vec<Row>,
    persistent: Vec<Row>,
    connections: Vec<Connection>,
}

/// A line of a listing of services: the service, the server where it is one, and the numbers at its end.
struct Row {
    key: Key,
    dest: Option<(IpAddr, u16)>,
    numbers: Vec<u64>,
}

/// The rows of the listing that a command gave.
fn rows(said: &[Said], command: &str) -> Vec<Row> {
    let said = said.iter().find(|s| s.command == command).unwrap();
    let mut key = None;
    let mut rows = Vec::new();
    for line in said.answer.lines().filter_map(|line| line.strip_prefix("> ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let numbers = words.iter().filter_map(|word| word.parse().ok()).collect();
        match words.as_slice() {
            ["->", dest, ..] if !dest.starts_with("Remote") => {
                rows.push(Row { key: key.unwrap(), dest: Some(at(dest)), numbers });
            }
            [proto @ ("TCP" | "UDP"), address, ..] => {
                let proto = if *proto == "TCP" { Proto::Tcp } else { Proto::Udp };
                let (ip, port) = at(address);
                key = Some(Key::Address(proto, ip, port));
                rows.push(Row { key: Key::Address(proto, ip, port), dest: None, numbers });
            }
            _ => {}
        }
    }
    rows
}

fn at(text: &str) -> (IpAddr, u16) {
    let address: std::net::SocketAddr = text.parse().unwrap();
    (address.ip(), address.port())
}

fn numbers(rows: &[Row], key: Key, dest: Option<(IpAddr, u16)>) -> &[u64] {
    &rows.iter().find(|row| (row.key, row.dest) == (key, dest)).unwrap().numbers
}

fn counts(rows: &[Row], key: Key, dest: Option<(IpAddr, u16)>) -> Counts {
    let &[conns, in_pkts, out_pkts, in_bytes, out_bytes] = numbers(rows, key, dest) else { panic!("five numbers") };
    Counts { conns, in_pkts, out_pkts, in_bytes, out_bytes }
}

impl Busy {
    fn new(said: &[Said]) -> Self {
        let listed = said.iter().find(|s| s.command == "ipvsadm -Lnc").unwrap();
        let connection = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let &[_, proto, _, state, client, vip, dest] = words.as_slice() else { panic!("{line}") };
            Connection {
                proto: if proto == "TCP" { Proto::Tcp } else { Proto::Udp },
                expires: 0,
                state: state.to_owned(),
                client: at(client),
                vip: at(vip),
                dest: at(dest),
            }
        };
        Self {
            kernel: Kernel::new(),
            totals: rows(said, "ipvsadm -Ln --stats --exact"),
            rates: rows(said, "ipvsadm -Ln --rate --exact"),
            states: rows(said, "ipvsadm -Ln"),
            persistent: rows(said, "ipvsadm -Ln --persistent-conn"),
            connections: listed.answer.lines().filter(|l| l.contains(':')).map(connection).collect(),
        }
    }

    /// Time goes on between two lists of connections.
    fn at_the_time_of(&mut self, said: &Said) {
        let clocks = said.answer.lines().filter_map(|line| {
            let (minutes, seconds) = line.split_whitespace().nth(2)?.split_once(':')?;
            Some(minutes.parse::<u32>().ok()? * 60 + seconds.parse::<u32>().ok()?)
        });
        for (connection, expires) in self.connections.iter_mut().zip(clocks) {
            connection.expires = expires;
        }
    }
}

impl Gateway for Busy {
    fn services(&mut self, which: Option<Key>, rates: bool) -> Result<Vec<Service>, Exit> {
        let mut services = self.kernel.services(which, rates)?;
        let rows = if rates { &self.rates } else { &self.totals };
        for service in &mut services {
            service.counts = counts(rows, service.key, None);
            for dest in &mut service.dests {
                let at = Some((dest.ip, dest.port));
                dest.counts = counts(rows, service.key, at);
                let states = numbers(&self.states, service.key, at);
                (dest.active, dest.inactive) = (states[1], states[2]);
                dest.persistent = numbers(&self.persistent, service.key, at)[1];
            }
        }
        Ok(services)
    }

    fn connections(&mut self, each: &mut dyn FnMut(&Connection)) -> Result<(), Exit> {
        self.connections.iter().for_each(each);
        Ok(())
    }

    fn timeouts(&mut self) -> Result<Timeouts, Exit> {
        self.kernel.timeouts()
    }

    fn change(&mut self, changes: Vec<Change>) -> Vec<Result<(), Exit>> {
        self.kernel.change(changes)
    }
}

#[test]
fn counters_rates_and_connections_are_listed_as_the_real_one_does() {
    let said = transcript("traffic.txt");
    let (mut busy, names) = (Busy::new(&said), Recorded::new());
    assert!(busy.connections.len() > 5 && busy.totals.iter().any(|row| row.numbers[3] > 1_000_000_000));
    for said in &said {
        busy.at_the_time_of(said);
        assert_eq!(answer(&mut busy, &names, said), said.answer, "$ {}", said.command);
    }
}

#[test]
fn comments_are_taken_where_the_real_one_ends_the_run() {
    let input = "# a comment\n-A -t 10.1.0.100:80 # another\n\n-a -t 10.1.0.100:80 -r 10.2.1.2 --fullnat\n".to_owned();
    let mut kernel = Kernel::new();
    let said = Said { command: "ipvsadm -R".to_owned(), input, answer: String::new() };
    assert_eq!(answer(&mut kernel, &Recorded::new(), &said), "= 0\n");
    assert_eq!(kernel.services[0].dests.len(), 1);
}

#[test]
fn fullnat_is_listed_and_saved_and_comes_back_as_it_was() {
    let (mut kernel, names) = (Kernel::new(), Recorded::new());
    let said = |command: &str, input: &str| Said {
        command: command.to_owned(),
        input: input.to_owned(),
        answer: String::new(),
    };
    let rules = "\
-A -t 10.1.0.100:80 -s wrr --laddr lan
-a -t 10.1.0.100:80 -r 10.2.1.2:80 --fullnat -w 3
-A -t [2001:db8::1]:80 -s rr --laddr lan6
-a -t [2001:db8::1]:80 -r [2001:db8:1::2]:8080 --fullnat -w 1
";
    assert_eq!(answer(&mut kernel, &names, &said("ipvsadm -R", rules)), "= 0\n");
    let before = kernel.services.clone();
    let listed = answer(&mut kernel, &names, &said("ipvsadm -Ln", ""));
    assert!(listed.contains(">   -> 10.2.1.2:80                  FullNat 3      0          0         \n"), "{listed}");
    let saved = answer(&mut kernel, &names, &said("ipvsadm -Sn", ""));
    assert_eq!(saved, rules.lines().map(|rule| format!("> {rule}\n")).collect::<String>() + "= 0\n");
    let again = saved.replace("> ", "").replace("= 0\n", "");
    assert_eq!(answer(&mut kernel, &names, &said("ipvsadm -R", &format!("-C\n{again}"))), "= 0\n");
    assert_eq!(kernel.services, before);
}
