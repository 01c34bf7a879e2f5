//! Reading the tables that hold for the gateway as a whole: `[eal]` to `[limits]`.
//!
//! Called by `draft`. What is wrong inside one of these tables is found here, too: nothing else of the file matters to them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::reader::{Node, Section};
use super::report::{At, Fault};
use super::settings::{Api, Eal, LCORE_MAX, Lcores, Limit, Limits, Steering, Tables, Tcp, Timeouts, Tls, Workers};
use super::text;
use super::values::{HashKey, HashKeyError, Secs};

/// The longest timeout: 31 days, in seconds.
const TIMEOUT_MAX: u64 = 86_400 * 31;

/// EAL options that gatun gives itself, and the field that says so.
const OWN_EAL_OPTIONS: [(&str, &str); 14] = [
    ("-l", "lcores.workers"),
    ("-c", "lcores.workers"),
    ("--lcores", "lcores.workers"),
    ("--main-lcore", "lcores.master"),
    ("-m", "eal.memory_mb"),
    ("--no-huge", "eal.no_huge"),
    ("--no-pci", "eal.pci"),
    ("-a", "port.device"),
    ("-w", "port.device"),
    ("--allow", "port.device"),
    ("--vdev", "port.device"),
    ("-v", "gatun's own version line"),
    ("-h", "`gatun --help`"),
    ("--help", "`gatun --help`"),
];

/// Everything that is not about one port, address or service.
#[derive(Default)]
pub(super) struct Globals {
    pub(super) eal: Eal,
    pub(super) lcores: Lcores,
    pub(super) tables: Tables,
    pub(super) steering: Steering,
    pub(super) tcp: Tcp,
    pub(super) timeouts: Timeouts,
    pub(super) limits: Limits,
    pub(super) api: Api,
}

/// Reads them from the whole file.
pub(super) fn read(root: &Section<'_, '_>) -> Globals {
    Globals {
        eal: eal(root.section("eal")),
        lcores: lcores(root.section("lcores")),
        tables: tables(root.section("tables")),
        steering: steering(root.section("steering")),
        tcp: tcp(root.section("tcp")),
        timeouts: timeouts(root.section("timeouts"), Timeouts::default()),
        limits: limits(root.section("limits")),
        api: api(root.section("api")),
    }
}

/// Reads `[timeouts]`, or a service's own, over `base`.
pub(super) fn timeouts(section: Section<'_, '_>, base: Timeouts) -> Timeouts {
    let seconds = |name| section.number(name, 1..=TIMEOUT_MAX).map(Secs);
    let (syn, fin) = (seconds("syn"), seconds("fin"));
    let state = |name, short: Option<Secs>, base| seconds(name).or(short).unwrap_or(base);
    let timeouts = Timeouts {
        syn_sent: state("syn_sent", syn, base.syn_sent),
        syn_recv: state("syn_recv", syn, base.syn_recv),
        synack: state("synack", syn, base.synack),
        established: state("established", None, base.established),
        fin_wait: state("fin_wait", fin, base.fin_wait),
        close_wait: state("close_wait", fin, base.close_wait),
        last_ack: state("last_ack", fin, base.last_ack),
        time_wait: state("time_wait", fin, base.time_wait),
        close: state("close", None, base.close),
        udp: state("udp", None, base.udp),
    };
    section.finish();
    timeouts
}

fn eal(section: Section<'_, '_>) -> Eal {
    let default = Eal::default();
    let no_huge = section.flag("no_huge").unwrap_or(default.no_huge);
    let eal = Eal {
        no_huge,
        pci: section.flag("pci").unwrap_or(default.pci),
        memory_mb: section.number("memory_mb", 64..=1_048_576).or(no_huge.then_some(1024)),
        args: elements(&section, "args")
            .into_iter()
            .filter_map(|node| Some(node.parsed(eal_argument)?.value))
            .collect(),
    };
    section.finish();
    eal
}

fn eal_argument(text: &str) -> Result<String, Fault> {
    if text.is_empty() || text.contains('\0') {
        return Err(Fault::new("is no argument", "give the argument as EAL takes it, or take it out"));
    }
    let option = text.split('=').next().unwrap_or(text);
    if let Some((_, instead)) = OWN_EAL_OPTIONS.iter().find(|(own, _)| *own == option) {
        return Err(Fault::new("is an option that gatun sets itself", format!("take it out and use {instead}")));
    }
    Ok(text.to_owned())
}

fn lcores(section: Section<'_, '_>) -> Lcores {
    let default = Lcores::default();
    let master = section.number("master", 0..=u64::from(LCORE_MAX)).unwrap_or(default.master);
    let (workers, sure) = match section.field("workers") {
        Some(given) if given.is_string() => (auto(&given), true),
        Some(given) => listed(&given, master),
        None => {
            if default.workers == Workers::Lcores(vec![master]) {
                let what = format!("is missing, and its default is {}, the master's lcore", default.workers);
                section.absent("workers", what, "say which lcores the workers run on");
            }
            (default.workers, true)
        }
    };
    let used = |lcore| match &workers {
        Workers::Auto => lcore == master,
        Workers::Lcores(lcores) => !sure || lcore == master || lcores.contains(&lcore),
    };
    let cpus = cpus(section.section("cpus"), &workers, used);
    let idle = section.choice("idle").unwrap_or(default.idle);
    section.finish();
    Lcores { master, workers, cpus, idle }
}

/// The one word that may stand for the workers.
fn auto(given: &Node<'_, '_>) -> Workers {
    if given.string() != Some("auto") {
        let remedy = "write \"auto\" for one worker on each CPU but the master's, or list lcores, as in [1, 2]";
        given.fault(Fault::new("says nothing about workers", remedy));
    }
    Workers::Auto
}

/// A list of lcores, and whether all of it could be read.
fn listed(given: &Node<'_, '_>, master: u32) -> (Workers, bool) {
    let mut workers: Vec<u32> = Vec::new();
    let nodes = given.elements();
    if given.is_array() && nodes.is_empty() {
        given.fault(Fault::new("has no worker", "give at least one lcore, as in workers = [1]"));
    }
    for node in &nodes {
        let Some(lcore) = node.number(0..=u64::from(LCORE_MAX)) else { continue };
        if lcore == master {
            node.fault(Fault::new("is the master's lcore", "give each worker an lcore of its own"));
        } else if workers.contains(&lcore) {
            node.fault(Fault::new("is there twice", "give each worker an lcore of its own"));
        } else {
            workers.push(lcore);
        }
    }
    let sure = nodes.len() == workers.len();
    (Workers::Lcores(workers), sure)
}

fn cpus(section: Section<'_, '_>, workers: &Workers, used: impl Fn(u32) -> bool) -> BTreeMap<u32, u32> {
    let mut cpus = BTreeMap::new();
    for (At { value: name, spot }, node) in section.entries() {
        let cpu = node.number(0..=1023);
        match name.parse() {
            Ok(lcore) if used(lcore) => cpus.extend(cpu.map(|cpu| (lcore, cpu))),
            Ok(_) if *workers == Workers::Auto => {
                let what = "is not the master's lcore, and workers = \"auto\" chooses the others' CPUs";
                section.report().problem(&spot, what, "take it out, or list the workers");
            }
            Ok(_) => section.report().problem(&spot, "is not the master's nor a worker's lcore", "take it out"),
            Err(_) => section.report().problem(&spot, "is not an lcore", "write lcore = cpu, as in { 0 = 0, 1 = 2 }"),
        }
    }
    cpus
}

fn tables(section: Section<'_, '_>) -> Tables {
    let default = Tables::default();
    let connections = section.number("connections", 1..=268_435_456).unwrap_or(default.connections);
    let tables = Tables {
        connections,
        ipv6_connections: section.number("ipv6_connections", 0..=u64::from(connections)).unwrap_or(connections),
        reals: section.number("reals", 1..=16_777_216).unwrap_or(default.reals),
        neighbors: section.number("neighbors", 1..=65_536).unwrap_or(default.neighbors),
        mbufs: section.number("mbufs", 512..=16_777_216).unwrap_or(default.mbufs),
        mbuf_size: section.number("mbuf_size", 1_024..=65_407).unwrap_or(default.mbuf_size),
    };
    section.finish();
    tables
}

fn steering(section: Section<'_, '_>) -> Steering {
    let key = |text: &str| {
        text.parse::<HashKey>().map_err(|HashKeyError| {
            Fault::new(HashKeyError.to_string(), "give 80 hexadecimal digits, or take it out for a random one")
        })
    };
    let steering = Steering {
        key: section.field("key").and_then(|node| node.parsed(key)).map(|key| key.value),
        // TOML's whole numbers end at i64::MAX.
        seed: section.number("seed", 0..=i64::MAX.unsigned_abs()),
    };
    section.finish();
    steering
}

fn tcp(section: Section<'_, '_>) -> Tcp {
    let default = Tcp::default();
    let tcp = Tcp {
        syn_timestamps: section.choice("syn_timestamps").unwrap_or(default.syn_timestamps),
        raise_sequence: section.flag("raise_sequence").unwrap_or(default.raise_sequence),
        on_server_removed: section.choice("on_server_removed").unwrap_or(default.on_server_removed),
    };
    section.finish();
    tcp
}

fn limits(section: Section<'_, '_>) -> Limits {
    let limits = Limits {
        icmp_echo: limit(section.section("icmp_echo")),
        ttl_exceeded: limit(section.section("ttl_exceeded")),
        frag_needed: limit(section.section("frag_needed")),
        no_service: limit(section.section("no_service")),
        no_server: limit(section.section("no_server")),
    };
    section.finish();
    limits
}

fn limit(section: Section<'_, '_>) -> Limit {
    let default = Limit::default();
    let rate = section.number("rate", 0..=10_000_000).unwrap_or(default.rate);
    let given = section.field("burst");
    let burst = given.as_ref().and_then(|node| node.number(0..=1_000_000));
    if let Some(node) = given.filter(|_| burst == Some(0) && rate > 0) {
        node.fault(Fault::new("lets nothing through", "give a burst of at least 1, or a rate of 0 to stop them all"));
    }
    section.finish();
    // Rate 0 without a burst means none, not the first few hundred.
    let burst = burst.unwrap_or(if rate == 0 { 0 } else { default.burst });
    Limit { rate, burst }
}

fn api(section: Section<'_, '_>) -> Api {
    let given = |name| section.field(name).and_then(|node: Node<'_, '_>| node.parsed(text::path));
    let listeners = elements(&section, "listen");
    let listen: Vec<At<SocketAddr>> = listeners.into_iter().filter_map(|node| node.parsed(text::listener)).collect();
    let tokens = given("tokens");
    let (cert, key) = (given("tls_cert"), given("tls_key"));
    if let Some(first) = listen.first().filter(|_| tokens.is_none()) {
        let remedy = "give tokens = \"/etc/gatun/tokens\"; `gatun token` makes one";
        section.report().problem(&first.spot, "is TCP, which needs a token", remedy);
    }
    for at in listen.iter().filter(|at| !at.value.ip().is_loopback() && (cert.is_none() || key.is_none())) {
        let remedy = "give tls_cert and tls_key, or listen on loopback only, or use the Unix socket";
        section.report().problem(
            &at.spot,
            "is not on loopback, where tokens would be read by others without TLS",
            remedy,
        );
    }
    let tls = match (cert, key) {
        (Some(cert), Some(key)) => Some(Tls { cert: cert.value, key: key.value }),
        (Some(cert), None) => {
            section.report().problem(&cert.spot, "is a certificate without its key", "give tls_key, too");
            None
        }
        (None, Some(key)) => {
            section.report().problem(&key.spot, "is a key without its certificate", "give tls_cert, too");
            None
        }
        (None, None) => None,
    };
    let hosts =
        elements(&section, "hosts").into_iter().filter_map(|node| Some(node.parsed(text::host)?.value)).collect();
    let api = Api {
        listen: listen.into_iter().map(|at| at.value).collect(),
        tokens: tokens.map(|at| at.value),
        tls,
        hosts,
        open_metrics: section.flag("open_metrics").unwrap_or_default(),
        rate: section.number("rate", 1..=1_000_000),
    };
    section.finish();
    api
}

fn elements<'r, 't>(section: &Section<'r, 't>, name: &'static str) -> Vec<Node<'r, 't>> {
    section.field(name).map(|node| node.elements()).unwrap_or_default()
}
