//! `/metrics`: what the gateway counts, for Prometheus, in OpenMetrics text.
//!
//! The route gathers a [`Scrape`] in the words of [`types`](super::types) when it is asked, and [`text`] writes it down: nothing is
//! counted here, and nothing is kept. The number of series is bounded: of services and servers beyond [`SERVICES_MAX`] and
//! [`REALS_MAX`] only how many were left out is told. prometheus-client: the format, with its escapes and rules for names.

use super::types::{
    Capacity, Health, LaddrStats, Lcore, Neighbor, NeighborState, Port, RealStats, ServiceStats, Stats, Totals,
};
use gatun_engine::stats::LcoreStats;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text::encode};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt::Error;

/// Services that have series of their own.
pub const SERVICES_MAX: usize = 10_000;
/// Real servers that have series of their own, on all services together.
pub const REALS_MAX: usize = 20_000;

/// Everything that is told, at a moment.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// The program's version.
    pub version: String,
    /// The configuration's generation.
    pub generation: u64,
    /// Whether it can do its work, and the oldest generation that a worker runs.
    pub health: Health,
    /// Counters of services and their servers, and of reasons.
    pub stats: Stats,
    /// The workers.
    pub lcores: Vec<Lcore>,
    /// The ports.
    pub ports: Vec<Port>,
    /// The next hops.
    pub neighbors: Vec<Neighbor>,
    /// The most connections that the tables of all workers hold.
    pub connections_max: u64,
    /// The limits, and how near they are.
    pub capacity: Vec<Capacity>,
}

/// Writes it down.
pub fn text(scrape: Scrape) -> String {
    let mut registry = Registry::with_prefix("gatun");
    registry.register_collector(Box::new(Told(scrape)));
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Told(Scrape);

type Labels = Vec<(&'static str, String)>;

impl Collector for Told {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let s = &self.0;
        let mut out = Out { encoder: &mut encoder };
        program(&mut out, s)?;
        services(&mut out, &s.stats.services)?;
        reals(&mut out, &s.stats.services)?;
        ports(&mut out, &s.ports)?;
        lcores(&mut out, &s.lcores)?;
        laddrs(&mut out, &s.stats.laddrs)?;
        reasons(&mut out, s)?;
        neighbors(&mut out, &s.neighbors)?;
        limits(&mut out, &s.capacity)
    }
}

/// Writes a family at a time.
struct Out<'a, 'e> {
    encoder: &'a mut DescriptorEncoder<'e>,
}

impl Out<'_, '_> {
    fn counters(&mut self, name: &str, help: &str, values: impl Iterator<Item = (Labels, u64)>) -> Result<(), Error> {
        self.family(name, help, MetricType::Counter, values.map(|(labels, n)| (labels, ConstCounter::new(n))))
    }

    fn gauges(&mut self, name: &str, help: &str, values: impl Iterator<Item = (Labels, f64)>) -> Result<(), Error> {
        self.family(name, help, MetricType::Gauge, values.map(|(labels, n)| (labels, ConstGauge::new(n))))
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> Result<(), Error> {
        ConstGauge::new(value).encode(self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    fn family<M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        values: impl Iterator<Item = (Labels, M)>,
    ) -> Result<(), Error> {
        let mut family = self.encoder.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in values {
            value.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn yes(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}

fn program(out: &mut Out<'_, '_>, s: &Scrape) -> Result<(), Error> {
    let version = std::iter::once((vec![("version", s.version.clone())], 1.0));
    out.gauges("build_info", "The version of the program.", version)?;
    let running = s.health.generation_running;
    out.gauge("generation", "Counts the configurations, over restarts too.", s.generation as f64)?;
    out.gauge("generation_running", "The oldest configuration that a worker still runs.", running as f64)?;
    let lag = s.generation.saturating_sub(running);
    out.gauge("generation_lag", "Configurations by which the slowest worker is behind.", lag as f64)?;
    out.gauge("ready", "Every configured next hop has been probed.", yes(s.health.ready))?;
    let checks = s.health.checks.iter().map(|check| (vec![("check", check.name.clone())], yes(check.ok)));
    out.gauges("health", "Whether a check of /health passes.", checks)?;
    let now: u64 = s.lcores.iter().map(|l| l.connections).sum();
    out.gauge("connections", "Connections now.", now as f64)?;
    out.gauge("connections_max", "Connections that the tables hold.", s.connections_max as f64)?;
    let states = s.stats.states.iter().map(|(state, n)| (vec![("state", state.clone())], *n as f64));
    out.gauges("connections_by_state", "Connections by state, as ipvsadm names them.", states)?;
    let reals: usize = s.stats.services.iter().map(|s| s.reals.len()).sum();
    let help = "Services that have no series of their own, because there are too many.";
    out.gauge("services_left_out", help, s.stats.services.len().saturating_sub(SERVICES_MAX) as f64)?;
    let help = "Real servers that have no series of their own, because there are too many.";
    out.gauge("reals_left_out", help, reals.saturating_sub(REALS_MAX) as f64)
}

/// Of a total, what came from clients and what went to them.
type Directions = fn(&Totals) -> [(&'static str, u64); 2];

/// What services and servers both have: name, help, and which.
const FLOWS: [(&str, &str, Directions); 2] = [
    ("packets", "Packets from clients (in) and to clients (out)", |t| [("in", t.in_pkts), ("out", t.out_pkts)]),
    ("bytes", "Bytes of IP packets from clients (in) and to clients (out)", |t| {
        [("in", t.in_bytes), ("out", t.out_bytes)]
    }),
];

fn services(out: &mut Out<'_, '_>, list: &[ServiceStats]) -> Result<(), Error> {
    let list = &list[..list.len().min(SERVICES_MAX)];
    let labels = |s: &ServiceStats| vec![("service", s.id.clone())];
    let active = list.iter().map(|s| (labels(s), s.totals.active as f64));
    out.gauges("service_connections_active", "Active connections of a service now.", active)?;
    let inactive = list.iter().map(|s| (labels(s), s.totals.inactive as f64));
    out.gauges("service_connections_inactive", "Other connections of a service now.", inactive)?;
    let opened = list.iter().map(|s| (labels(s), s.totals.conns));
    out.counters("service_connections", "Connections of a service ever.", opened)?;
    for (name, help, flows) in FLOWS {
        let values = list.iter().flat_map(|s| flows(&s.totals).map(|flow| (with(labels(s), flow.0), flow.1)));
        out.counters(&format!("service_{name}"), &format!("{help} of a service."), values)?;
    }
    let reals = list.iter().map(|s| (labels(s), s.reals.len() as f64));
    out.gauges("service_reals", "Real servers of a service.", reals)?;
    let usable = |s: &ServiceStats| s.reals.iter().filter(|r| r.weight > 0).count() as f64;
    let usable = list.iter().map(|s| (labels(s), usable(s)));
    out.gauges("service_reals_usable", "Real servers of a service that take new connections.", usable)
}

fn with(mut labels: Labels, direction: &str) -> Labels {
    labels.push(("direction", direction.to_owned()));
    labels
}

fn reals(out: &mut Out<'_, '_>, list: &[ServiceStats]) -> Result<(), Error> {
    let all = || list.iter().flat_map(|s| s.reals.iter().map(move |r| (s, r))).take(REALS_MAX);
    let labels = |(s, r): (&ServiceStats, &RealStats)| vec![("service", s.id.clone()), ("real", r.address.to_string())];
    let active = all().map(|at| (labels(at), at.1.totals.active as f64));
    out.gauges("real_connections_active", "Active connections of a real server now.", active)?;
    let inactive = all().map(|at| (labels(at), at.1.totals.inactive as f64));
    out.gauges("real_connections_inactive", "Other connections of a real server now.", inactive)?;
    let weights = all().map(|at| (labels(at), f64::from(at.1.weight)));
    out.gauges("real_weight", "The share of new connections that a real server takes.", weights)?;
    let opened = all().map(|at| (labels(at), at.1.totals.conns));
    out.counters("real_connections", "Connections of a real server ever.", opened)?;
    for (name, help, flows) in FLOWS {
        let values = all().flat_map(|at| flows(&at.1.totals).map(|flow| (with(labels(at), flow.0), flow.1)));
        out.counters(&format!("real_{name}"), &format!("{help} of a real server."), values)?;
    }
    Ok(())
}

/// The counters of a port, and what they count.
pub const PORT_COUNTERS: [(&str, &str); 8] = [
    ("rx_frames", "Frames that a port received."),
    ("rx_bytes", "Bytes that a port received."),
    ("rx_missed", "Frames that the card had no room for: the workers did not take them in time."),
    ("rx_errors", "Frames that came in damaged."),
    ("rx_no_mbuf", "Frames for which there was no buffer: tables.mbufs is too small."),
    ("tx_frames", "Frames that a port sent."),
    ("tx_bytes", "Bytes that a port sent."),
    ("tx_errors", "Frames that a port could not send."),
];

fn ports(out: &mut Out<'_, '_>, list: &[Port]) -> Result<(), Error> {
    let labels = |p: &Port| vec![("port", p.name.clone())];
    out.gauges("port_up", "Whether the link is up.", list.iter().map(|p| (labels(p), yes(p.up))))?;
    for (name, help) in PORT_COUNTERS {
        let values = list.iter().filter_map(|p| Some((labels(p), *p.stats.get(name)?)));
        out.counters(&format!("port_{name}"), help, values)?;
    }
    let falls = list.iter().map(|p| (labels(p), p.steering.falls));
    out.counters("port_steering_falls", "How often a port fell to software steering.", falls)?;
    let software = list.iter().map(|p| (labels(p), yes(p.steering.runs == "software")));
    out.gauges("port_steering_software", "Frames come to whatever worker, and are handed over in software.", software)
}

fn lcores(out: &mut Out<'_, '_>, list: &[Lcore]) -> Result<(), Error> {
    let labels = |l: &Lcore| vec![("lcore", l.id.to_string())];
    let busy = list.iter().map(|l| (labels(l), l.busy));
    out.gauges(
        "lcore_busy_ratio",
        "The share of a worker's turns in the last second that found something to do.",
        busy,
    )?;
    let fill = list.iter().map(|l| (labels(l), l.burst_fill));
    out.gauges("lcore_burst_fill", "Frames in a burst that held any, of 64.", fill)?;
    let generation = list.iter().map(|l| (labels(l), l.generation_running as f64));
    out.gauges("lcore_generation", "The configuration that a worker runs.", generation)?;
    let stalled = list.iter().map(|l| (labels(l), yes(l.stalled.is_some())));
    out.gauges("lcore_stalled", "A worker makes no progress although it runs.", stalled)?;
    let stalls = list.iter().map(|l| (labels(l), l.stalls));
    out.counters("lcore_stalls", "How often a worker made no progress for a second although it ran.", stalls)?;
    let help = "How often a worker made no progress for a second because it did not get to run.";
    out.counters("lcore_descheduled", help, list.iter().map(|l| (labels(l), l.descheduled)))?;
    let named = LcoreStats::default();
    for (name, _, help) in named.named().chain(named.tables.named()) {
        let values = list.iter().filter_map(|l| Some((labels(l), *l.counters.get(name)?)));
        if gauge(name) {
            out.gauges(&format!("lcore_{name}"), help, values.map(|(labels, n)| (labels, n as f64)))?;
        } else {
            out.counters(&format!("lcore_{name}"), help, values)?;
        }
    }
    Ok(())
}

/// Counters of a lcore that go up and down, or stay.
pub fn gauge(counter: &str) -> bool {
    counter.ends_with("_now") || counter.ends_with("_room")
}

fn laddrs(out: &mut Out<'_, '_>, list: &[LaddrStats]) -> Result<(), Error> {
    let labels = |l: &LaddrStats| vec![("laddr", l.address.to_string())];
    let help =
        "Local ports of an address that are taken, but for those that servers with few connections take at random.";
    out.gauges("laddr_ports", help, list.iter().map(|l| (labels(l), l.ports_in_use as f64)))?;
    let help = "The share that is taken of the ports of an address in its fullest class towards any server.";
    out.gauges("laddr_fullest_class_ratio", help, list.iter().map(|l| (labels(l), l.fullest_class)))
}

fn reasons(out: &mut Out<'_, '_>, s: &Scrape) -> Result<(), Error> {
    let kinds = [("drop", "thrown away", &s.stats.drops), ("punt", "given to the master", &s.stats.punts)];
    for (kind, what, reasons) in kinds {
        let counts = reasons.iter().map(|r| (vec![("reason", r.reason.clone())], r.counted.count));
        out.counters(&format!("{kind}s"), &format!("Frames {what}, by reason."), counts)?;
        let helps = reasons.iter().map(|r| (vec![("reason", r.reason.clone()), ("help", r.help.clone())], 1.0));
        out.gauges(&format!("{kind}_reason_info"), &format!("What a reason means why frames were {what}."), helps)?;
    }
    Ok(())
}

fn neighbors(out: &mut Out<'_, '_>, list: &[Neighbor]) -> Result<(), Error> {
    let states = [
        ("reachable", NeighborState::Reachable),
        ("incomplete", NeighborState::Incomplete),
        ("failed", NeighborState::Failed),
    ];
    let counts = states.map(|(name, state)| {
        let count = list.iter().filter(|n| n.state == state).count();
        (vec![("state", name.to_owned())], count as f64)
    });
    out.gauges("neighbors", "Next hops by state.", counts.into_iter())?;
    // Those that do not answer are few, or the trouble is a larger one.
    let silent = list.iter().filter(|n| n.state != NeighborState::Reachable).take(SILENT_MAX);
    let silent = silent.map(|n| {
        let labels = vec![("address", n.address.to_string()), ("interface", n.interface.clone())];
        (labels, yes(n.state == NeighborState::Failed))
    });
    out.gauges(
        "neighbor_failed",
        "Next hops without a MAC address: 1 where it did not answer, 0 while it is asked.",
        silent,
    )
}

fn limits(out: &mut Out<'_, '_>, list: &[Capacity]) -> Result<(), Error> {
    let list = &list[..list.len().min(LIMITS_MAX)];
    let labels = |c: &Capacity| vec![("limit", c.limit.clone()), ("of", c.of.clone().unwrap_or_default())];
    out.gauges("capacity_used", "How much of a limit is in use.", list.iter().map(|c| (labels(c), c.used as f64)))?;
    out.gauges("capacity_room", "What there is of a limit.", list.iter().map(|c| (labels(c), c.room as f64)))?;
    out.gauges("capacity_ratio", "The share of a limit that is in use.", list.iter().map(|c| (labels(c), c.share)))
}

/// Limits that are told one by one.
const LIMITS_MAX: usize = 1_000;
/// Next hops without a MAC address that are told one by one.
const SILENT_MAX: usize = 1_000;

#[cfg(test)]
mod tests;
