//! `gatunctl stats` and `zero`.

use super::table::{percent, short, table};
use super::{Ctl, Done, print};
use crate::api::types::{Counted, Done as Answer, Item, Rate, Rates, Stats};
use std::time::Duration;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  gatunctl stats
  gatunctl stats --watch 5 --over 10
  gatunctl stats tcp/198.18.1.100:80 --over 60
  gatunctl stats --json | jq '.drops[] | select(.count > 0)'")]
pub(super) struct Args {
    /// Only of this service: its id, or as in tcp/198.18.1.100:80.
    service: Option<super::services::Id>,
    /// Again every so many seconds, until Ctrl-C.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1")]
    watch: Option<u64>,
    /// Rates over so many seconds: 1, 10 or 60.
    #[arg(long, default_value_t = 1, value_parser = over)]
    over: u8,
}

#[derive(clap::Args)]
pub(super) struct ZeroArgs {
    /// Only of this service: its id, or as in tcp/198.18.1.100:80.
    service: Option<super::services::Id>,
}

fn over(text: &str) -> Result<u8, String> {
    match text {
        "1" => Ok(1),
        "10" => Ok(10),
        "60" => Ok(60),
        _ => Err("rates are there over 1, 10 and 60 seconds".to_owned()),
    }
}

pub(super) fn run(ctl: &Ctl, args: Args) -> Done {
    let query: Vec<(&str, String)> = args.service.map(|id| ("service", id.text())).into_iter().collect();
    loop {
        let stats: Item<Stats> = ctl.client.get("/api/v1/stats", &query)?;
        ctl.show(&stats.item, |stats| text(stats, args.over))?;
        match args.watch {
            Some(seconds) => std::thread::sleep(Duration::from_secs(seconds.max(1))),
            None => return Ok(()),
        }
        if !ctl.json {
            print("\n")?;
        }
    }
}

pub(super) fn zero(ctl: &Ctl, args: ZeroArgs) -> Done {
    let query: Vec<(&str, String)> = args.service.map(|id| ("service", id.text())).into_iter().collect();
    let done: Answer = ctl.client.send("POST", "/api/v1/stats/zero", &ctl.ask(&query), None::<&()>)?;
    ctl.show(&done, |_| "set to zero".to_owned())
}

/// The rate over so many seconds.
pub(super) fn rate(rates: &Rates, over: u8) -> Rate {
    match over {
        1 => rates.s1,
        10 => rates.s10,
        _ => rates.s60,
    }
}

/// The rate of a count over so many seconds.
pub(super) fn counted(c: &Counted, over: u8) -> f64 {
    match over {
        1 => c.s1,
        10 => c.s10,
        _ => c.s60,
    }
}

/// Local addresses that are shown: the fullest.
const LADDRS: usize = 10;

fn text(stats: &Stats, over: u8) -> String {
    let header = ["service", "active", "inactive", "conns", "conn/s", "in pkt/s", "out pkt/s", "in B/s", "out B/s"];
    let mut services = table(&header, 1);
    for s in &stats.services {
        let rates = |r: Rate| [r.conns, r.in_pkts, r.out_pkts, r.in_bytes, r.out_bytes].map(short);
        let mut row = vec![s.id.clone()];
        row.extend([s.totals.active, s.totals.inactive, s.totals.conns].map(|n| n.to_string()));
        row.extend(rates(rate(&s.rates, over)));
        services.add_row(row);
        for r in &s.reals {
            let mut row = vec![format!("  -> {}", r.address)];
            row.extend([r.totals.active, r.totals.inactive, r.totals.conns].map(|n| n.to_string()));
            row.extend(rates(rate(&r.rates, over)));
            services.add_row(row);
        }
    }
    let mut ports = table(&["port", "rx pkt/s", "tx pkt/s", "rx B/s", "tx B/s", "missed", "no buffer", "errors"], 1);
    for p in &stats.ports {
        let r = rate(&p.rates, over);
        let mut row = vec![p.name.clone()];
        row.extend([r.in_pkts, r.out_pkts, r.in_bytes, r.out_bytes].map(short));
        row.extend([p.rx_missed, p.rx_no_mbuf, p.rx_errors + p.tx_errors].map(|n| n.to_string()));
        ports.add_row(row);
    }
    let mut lcores = table(&["lcore", "connections", "ports in use", "rx pkt/s", "tx pkt/s"], 0);
    for l in &stats.lcores {
        let r = rate(&l.rates, over);
        let mut row = vec![l.id.to_string(), l.connections.to_string(), l.ports_in_use.to_string()];
        row.extend([r.in_pkts, r.out_pkts].map(short));
        lcores.add_row(row);
    }
    let mut drops = table(&["drop", "frames", "a second"], 1);
    for d in stats.drops.iter().filter(|d| d.counted.count > 0) {
        drops.add_row([d.reason.clone(), d.counted.count.to_string(), short(counted(&d.counted, over))]);
    }
    let mut states = table(&["state", "connections"], 1);
    for (state, n) in stats.states.iter().filter(|(_, n)| **n > 0) {
        states.add_row([state, &n.to_string()]);
    }
    let mut laddrs = table(&["local address", "ports in use", "fullest class"], 1);
    for l in stats.laddrs.iter().filter(|l| l.ports_in_use > 0).take(LADDRS) {
        laddrs.add_row([l.address.to_string(), l.ports_in_use.to_string(), percent(l.fullest_class)]);
    }
    let tables = [services, ports, lcores, states, laddrs, drops].map(|t| t.trim_fmt());
    format!("{}, rates over {over} s\n{}", stats.at, tables.join("\n\n"))
}
