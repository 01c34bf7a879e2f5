use super::*;
use crate::api::types::{Counted, HealthCheck, Protocol, Rates, Reason};
use gatun_engine::verdict::{DropReason, PuntReason};
use std::collections::HashSet;

fn service(n: usize, reals: usize) -> ServiceStats {
    let totals =
        Totals { active: 3, inactive: 2, conns: 50, in_pkts: 100, out_pkts: 90, in_bytes: 1_000, out_bytes: 900 };
    let real = |m: usize| RealStats {
        id: format!("198.18.2.{m}-80"),
        address: format!("198.18.{}.{}:80", m / 250, m % 250 + 1).parse().unwrap(),
        weight: (m % 2) as u16,
        totals,
        rates: Rates::default(),
    };
    ServiceStats {
        id: format!("tcp-2001:db8::{n:x}-80"),
        name: "web".to_owned(),
        protocol: Protocol::Tcp,
        address: format!("[2001:db8::{n:x}]:80").parse().unwrap(),
        totals,
        rates: Rates::default(),
        servers: reals as u64,
        reals: (0..reals).map(real).collect(),
    }
}

/// A gateway with so much of everything.
pub(crate) fn scrape(services: usize, reals: usize) -> Scrape {
    let reason = |reason: &str, help: &str, count| Reason {
        reason: reason.to_owned(),
        help: help.to_owned(),
        counted: Counted { count, ..Counted::default() },
    };
    let counters = LcoreStats::default();
    counters.rx.add(7);
    counters.ports_now.set(9);
    let lcore = |id: u32| Lcore {
        id,
        cpu: id,
        busy: 0.25,
        burst_fill: 12.5,
        connections: 5,
        ports_in_use: 9,
        redirected: 0.0,
        generation_running: 41,
        states: Default::default(),
        counters: counters.named().chain(counters.tables.named()).map(|(name, n, _)| (name.to_owned(), n)).collect(),
        drops: Default::default(),
        punts: Default::default(),
        stalls: 1,
        descheduled: 2,
        stalled: None,
    };
    let neighbor = |address: &str, state| Neighbor {
        address: address.parse().unwrap(),
        interface: "lan".to_owned(),
        mac: None,
        state,
        fixed: false,
    };
    Scrape {
        version: "0.1.0 (\"quoted\")".to_owned(),
        generation: 42,
        health: Health {
            ok: true,
            ready: true,
            generation_running: 41,
            checks: vec![HealthCheck { name: "journal".to_owned(), ok: true, detail: String::new() }],
        },
        stats: Stats {
            services: (0..services).map(|n| service(n, reals)).collect(),
            drops: DropReason::ALL.iter().map(|r| reason(r.label(), r.help(), 4)).collect(),
            punts: PuntReason::ALL.iter().map(|r| reason(r.label(), r.help(), 5)).collect(),
            states: [("ESTABLISHED".to_owned(), 6), ("UDP".to_owned(), 4)].into(),
            laddrs: vec![LaddrStats {
                address: "198.18.2.100".parse().unwrap(),
                ports_in_use: 600,
                fullest_class: 0.75,
            }],
            ..Stats::default()
        },
        lcores: vec![lcore(1), lcore(2)],
        ports: vec![Port {
            name: "wan".to_owned(),
            device: "0000:01:00.0".to_owned(),
            driver: "net_ice".to_owned(),
            mac: "02:00:00:00:00:01".to_owned(),
            up: true,
            speed: Some(100_000),
            mtu: 1_500,
            rx_queues: 2,
            tx_queues: 2,
            offloads: Vec::new(),
            steering: Default::default(),
            stats: PORT_COUNTERS.iter().map(|(name, _)| ((*name).to_owned(), 11)).collect(),
            xstats: Default::default(),
        }],
        neighbors: vec![
            neighbor("198.18.2.11", NeighborState::Reachable),
            neighbor("2001:db8:1::11", NeighborState::Failed),
        ],
        connections_max: 1_000_000,
        capacity: vec![Capacity {
            limit: "local_ports".to_owned(),
            of: Some("198.18.2.11:80".to_owned()),
            used: 63_000,
            room: 64_512,
            share: 0.5,
            binds: "soon".to_owned(),
            remedy: "more addresses".to_owned(),
        }],
    }
}

#[test]
fn everything_that_is_counted_is_told_with_its_help() {
    let text = text(scrape(2, 3));
    for line in [
        "gatun_build_info{version=\"0.1.0 (\\\"quoted\\\")\"} 1.0",
        "gatun_generation_lag 1.0",
        "gatun_connections 10.0",
        "gatun_service_connections_total{service=\"tcp-2001:db8::1-80\"} 50",
        "gatun_service_packets_total{service=\"tcp-2001:db8::0-80\",direction=\"in\"} 100",
        "gatun_service_reals_usable{service=\"tcp-2001:db8::0-80\"} 1.0",
        "gatun_real_weight{service=\"tcp-2001:db8::0-80\",real=\"198.18.0.2:80\"} 1.0",
        "gatun_port_rx_missed_total{port=\"wan\"} 11",
        "gatun_lcore_rx_total{lcore=\"1\"} 7",
        "gatun_lcore_ports_now{lcore=\"2\"} 9.0",
        "gatun_connections_by_state{state=\"ESTABLISHED\"} 6.0",
        "gatun_laddr_ports{laddr=\"198.18.2.100\"} 600.0",
        "gatun_laddr_fullest_class_ratio{laddr=\"198.18.2.100\"} 0.75",
        "# TYPE gatun_lcore_index_room gauge",
        "gatun_lcore_busy_ratio{lcore=\"1\"} 0.25",
        "gatun_drops_total{reason=\"table_full\"} 4",
        "gatun_neighbors{state=\"failed\"} 1.0",
        "gatun_neighbor_failed{address=\"2001:db8:1::11\",interface=\"lan\"} 1.0",
        "gatun_capacity_ratio{limit=\"local_ports\",of=\"198.18.2.11:80\"} 0.5",
        "gatun_health{check=\"journal\"} 1.0",
        "# HELP gatun_lcore_rx Frames received from ports.",
        "# TYPE gatun_lcore_ports_now gauge",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    for reason in DropReason::ALL {
        let (label, help) = (reason.label(), reason.help());
        let line = format!("gatun_drop_reason_info{{reason=\"{label}\",help=\"{help}\"}} 1.0");
        assert!(text.lines().any(|l| l == line), "{line}");
        assert!(text.contains(&format!("gatun_drops_total{{reason=\"{label}\"}} ")));
    }
}

#[test]
fn no_series_is_told_twice_and_each_has_a_type_and_a_help() {
    let text = text(scrape(3, 4));
    let mut seen = HashSet::new();
    for line in text.lines() {
        if let Some(about) = line.strip_prefix("# ") {
            assert!(about == "EOF" || !about.ends_with(".."), "{line}");
            continue;
        }
        let series = line.rsplit_once(' ').unwrap().0;
        assert!(seen.insert(series.to_owned()), "{series} twice");
        let name = series.split('{').next().unwrap();
        let family = name.strip_suffix("_total").unwrap_or(name);
        assert!(text.contains(&format!("# TYPE {family} ")) && text.contains(&format!("# HELP {family} ")), "{name}");
    }
    assert!(text.ends_with("# EOF\n") && seen.len() > 150, "{}", seen.len());
}

#[test]
fn the_number_of_series_is_bounded_and_what_is_left_out_is_told() {
    let text = text(scrape(SERVICES_MAX + 5, 3));
    let count = |start: &str| text.lines().filter(|l| l.starts_with(start)).count();
    assert_eq!(count("gatun_service_reals{"), SERVICES_MAX);
    assert_eq!(count("gatun_real_weight{"), REALS_MAX);
    assert!(text.contains("\ngatun_services_left_out 5.0\n"));
    assert!(text.contains(&format!("\ngatun_reals_left_out {}.0\n", (SERVICES_MAX + 5) * 3 - REALS_MAX)));
}

fn file(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every word that begins with `gatun_`.
fn names(text: &str) -> HashSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("gatun_")).collect()
}

#[test]
fn alerts_and_dashboard_ask_for_what_is_told() {
    let text = text(scrape(2, 3));
    let told: HashSet<&str> = text.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
    for name in ["conf/prometheus/gatun.rules.yml", "conf/prometheus/gatun.test.yml", "conf/grafana/gatun.json"] {
        let asked = file(name);
        let asked = names(&asked);
        assert!(asked.len() > 10, "{name}");
        let unknown: Vec<_> = asked.difference(&told).collect();
        assert!(unknown.is_empty(), "{name} asks for {unknown:?}");
    }
}

#[test]
fn the_page_of_counters_is_that_of_the_code() {
    let page = page();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/counters.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let same = file("docs/counters.md") == page;
    assert!(same, "docs/counters.md is not what the code says: BLESS=1 cargo test the_page_of_counters");
}

/// docs/counters.md.
fn page() -> String {
    let mut out = String::from(PAGE_HEAD);
    out.push_str("\n## A worker\n\nMetrics `gatun_lcore_NAME`, of those that only grow with `_total`; also in `gatunctl lcore show`.\n\n");
    let stats = LcoreStats::default();
    rows(&mut out, stats.named().chain(stats.tables.named()).map(|(name, _, help)| (name, help)));
    out.push_str(
        "\n## Drops\n\nIn the order of the packet's way. `gatun_drops_total{reason=\"NAME\"}`, `gatunctl drops`.\n\n",
    );
    rows(&mut out, DropReason::ALL.iter().map(|r| (r.label(), r.help())));
    out.push_str("\n## Punts\n\nWhat the master answers. `gatun_punts_total{reason=\"NAME\"}`.\n\n");
    rows(&mut out, PuntReason::ALL.iter().map(|r| (r.label(), r.help())));
    out.push_str("\n## A port\n\nThe device's own counting. `gatun_port_NAME_total`, `gatunctl port show`.\n\n");
    rows(&mut out, PORT_COUNTERS.into_iter());
    out.push_str("\n## All metrics\n\n");
    let text = text(scrape(1, 1));
    let mut types = std::collections::HashMap::new();
    for (name, kind) in text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split_once(' ')) {
        types.insert(name, kind);
    }
    let metrics = text.lines().filter_map(|l| l.strip_prefix("# HELP ")?.split_once(' '));
    let metrics = metrics.map(|(name, help)| match types.get(name) {
        Some(&"counter") => (format!("{name}_total"), help.to_owned()),
        _ => (name.to_owned(), help.to_owned()),
    });
    let metrics: Vec<(String, String)> = metrics.collect();
    rows(&mut out, metrics.iter().map(|(name, help)| (name.as_str(), help.as_str())));
    out
}

const PAGE_HEAD: &str = "\
# Counters

This page is made from the code (`BLESS=1 cargo test the_page_of_counters`), and a test holds the two together.

```
            rx ──┐                            ┌── tx_sent
     from_ring ──┼─> parse, look up, rewrite ─┼── drops, by reason
    originated ──┘                            ├── punts, by reason ──> master
                                              ├── to_ring ──> another worker
                                              └── held_now, for a next hop
```

Every frame that comes in at the left goes out at the right, once. Between two turns, for every worker:
`rx + from_ring + originated = tx_sent + drops + punts + to_ring + held_now`. `gatun status` prints the difference.
";

fn rows<'a>(out: &mut String, list: impl Iterator<Item = (&'a str, &'a str)>) {
    out.push_str("| name | what it counts |\n|---|---|\n");
    for (name, help) in list {
        out.push_str(&format!("| `{name}` | {} |\n", help.replace('|', "\\|")));
    }
}
