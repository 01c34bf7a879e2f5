//! `gatun status`: tables for people, JSON for programs.

use super::run::SOCKET;
use crate::client::{Client, Target};
use crate::master::status::Status;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  gatun status
  gatun status --connections
  gatun status --json | jq '.lcores[].drops'")]
pub struct Args {
    /// Where the gateway answers.
    #[arg(long, default_value = SOCKET)]
    pub socket: PathBuf,
    /// The connections too.
    #[arg(long)]
    pub connections: bool,
    /// JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Asks the gateway and prints. 0: done; 1: nobody answers.
pub fn main(args: &Args) -> ExitCode {
    match print(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e:#}");
            ExitCode::FAILURE
        }
    }
}

fn print(args: &Args) -> anyhow::Result<()> {
    let client = Client::new(&Target { socket: args.socket.clone(), ..Target::default() })?;
    let status: Status = client.get("/api/v1/status", &[("connections", args.connections.to_string())])?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&status)?)?;
        return Ok(());
    }
    writeln!(out, "{}", services(&status))?;
    if let Some(text) = connections(&status) {
        writeln!(out, "\n{text}")?;
    }
    writeln!(out, "\n{}\n\n{}\n\n{}", neighbors(&status), ports(&status), workers(&status))?;
    writeln!(out, "\n{}", counters(&status))?;
    Ok(())
}

fn table(header: &[&str], numbers_from: usize) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    for column in table.column_iter_mut().skip(numbers_from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn services(s: &Status) -> String {
    let header = ["service", "address", "scheduler", "weight", "active", "inactive", "conns", "in pkts", "out pkts"];
    let mut t = table(&header, 3);
    for service in &s.services {
        let address = format!("{} {}", service.protocol, service.address);
        t.add_row([service.name.as_str(), &address, &service.scheduler]);
        for r in &service.reals {
            let numbers = [u64::from(r.weight), r.active, r.inactive, r.conns, r.in_pkts, r.out_pkts];
            let mut row = vec![String::new(), format!("-> {}", r.address), String::new()];
            row.extend(numbers.map(|n| n.to_string()));
            t.add_row(row);
        }
    }
    t.trim_fmt()
}

fn connections(s: &Status) -> Option<String> {
    let list = s.connections.as_ref()?;
    let mut t = table(&["proto", "client", "vip", "local", "real", "state", "expires"], 6);
    for c in list {
        let expires = format!("{}:{:02}", c.expires / 60, c.expires % 60);
        t.add_row([&c.protocol, &c.client, &c.vip, &c.local, &c.real, &c.state, &expires]);
    }
    Some(format!("{}\n{} connections", t.trim_fmt(), list.len()))
}

fn neighbors(s: &Status) -> String {
    let mut t = table(&["next hop", "interface", "mac", "state"], 4);
    for n in &s.neighbors {
        t.add_row([&n.address, &n.interface, &n.mac, &n.state]);
    }
    t.trim_fmt()
}

fn ports(s: &Status) -> String {
    let header = ["port", "link", "mac", "queues", "rx frames", "missed", "errors", "tx frames", "errors", "steering"];
    let mut t = table(&header, 3);
    if let Some(last) = t.column_mut(header.len() - 1) {
        last.set_cell_alignment(CellAlignment::Left);
    }
    for p in &s.ports {
        let stat = |name: &str| p.stats.get(name).copied().unwrap_or_default().to_string();
        let numbers = ["rx_frames", "rx_missed", "rx_errors", "tx_frames", "tx_errors"].map(stat);
        let mut row = vec![p.name.clone(), if p.up { "up" } else { "down" }.to_owned(), p.mac.clone()];
        row.push(p.rx_queues.to_string());
        row.extend(numbers);
        row.push(format!("{}: {}", p.steering.runs, p.steering.why));
        t.add_row(row);
    }
    t.trim_fmt()
}

fn workers(s: &Status) -> String {
    let mut t = table(&["worker lcore", "cpu", "received", "handed over", "stalls", "descheduled"], 0);
    for l in &s.lcores {
        let received = l.counters.get("rx").copied().unwrap_or_default();
        let mut row = [u64::from(l.id), u64::from(l.cpu), received].map(|n| n.to_string()).to_vec();
        row.push(percent(l.redirected));
        row.extend([l.stalls, l.descheduled].map(|n| n.to_string()));
        row.extend(l.stalled.iter().map(|at| format!("stalled {at}")));
        t.add_row(row);
    }
    format!(
        "workers = {}; {} of all received frames were handed over\n{}",
        s.workers,
        percent(s.redirected),
        t.trim_fmt()
    )
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// The counters of every lcore, and their balance.
pub fn counters(s: &Status) -> String {
    let mut lines = Vec::new();
    for l in &s.lcores {
        let mut t = table(&[&format!("lcore {}", l.id), ""], 1);
        for (name, value) in l.counters.iter().filter(|(_, v)| **v > 0) {
            t.add_row([name.clone(), value.to_string()]);
        }
        for (name, value) in &l.punts {
            t.add_row([format!("punt {name}"), value.to_string()]);
        }
        for (name, value) in &l.drops {
            t.add_row([format!("drop {name}"), value.to_string()]);
        }
        t.add_row(["balance (in less out)".to_owned(), l.balance.to_string()]);
        lines.push(t.trim_fmt());
    }
    lines.join("\n\n")
}
