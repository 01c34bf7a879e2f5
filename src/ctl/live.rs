//! `gatunctl conn`, `drops`, `trace`, `timeout`, `capacity`, `health` and `version`.

use super::services::{protocol, word};
use super::table::{facts, percent, table};
use super::{Ctl, Done, Trouble, print};
use crate::api::types::{
    Capacity, Connection, Count, Drop, Edit, Health, Item, Killed, Protocol, Timeouts, TimeoutsSpec, Trace, TraceSpec,
    Version,
};
use std::net::SocketAddr;

#[derive(clap::Subcommand)]
pub(super) enum ConnCommand {
    /// List them.
    #[command(after_help = "Examples:
  gatunctl conn list --real 198.18.2.11:80 --state ESTABLISHED
  gatunctl conn list --limit 10 --json")]
    List {
        #[command(flatten)]
        which: Which,
        /// At most so many.
        #[arg(long, default_value_t = 1_000)]
        limit: usize,
    },
    /// Count them.
    Count {
        #[command(flatten)]
        which: Which,
    },
    /// End them; both sides of a TCP connection are told, by a RST.
    Kill {
        #[command(flatten)]
        which: Which,
        /// All of them, when nothing else says which.
        #[arg(long)]
        all: bool,
    },
}

/// Which connections. Several conditions hold together.
#[derive(clap::Args)]
pub(super) struct Which {
    /// tcp or udp.
    #[arg(long, value_parser = protocol)]
    protocol: Option<Protocol>,
    /// The client: an address, with or without port.
    #[arg(long)]
    client: Option<String>,
    /// The service's address, with or without port.
    #[arg(long)]
    vip: Option<String>,
    /// The local address, with or without port.
    #[arg(long)]
    local: Option<String>,
    /// The real server's address, with or without port.
    #[arg(long)]
    real: Option<String>,
    /// The state, as in ESTABLISHED.
    #[arg(long)]
    state: Option<String>,
}

impl Which {
    fn query(self) -> Vec<(&'static str, String)> {
        let given = [
            ("protocol", self.protocol.as_ref().map(word)),
            ("client", self.client),
            ("vip", self.vip),
            ("local", self.local),
            ("real", self.real),
            ("state", self.state),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

#[derive(clap::Args)]
pub(super) struct DropsArgs {
    /// The last frames of one reason.
    reason: Option<String>,
    /// Also the reasons that did not happen.
    #[arg(long)]
    all: bool,
}

#[derive(clap::Args)]
#[command(after_help = "Example:
  gatunctl trace tcp 198.18.1.1:40000 198.18.1.100:80")]
pub(super) struct TraceArgs {
    /// tcp or udp.
    #[arg(value_parser = protocol)]
    protocol: Protocol,
    /// Where the packet comes from.
    client: SocketAddr,
    /// Where it goes.
    vip: SocketAddr,
}

#[derive(clap::Subcommand)]
pub(super) enum TimeoutCommand {
    /// Show them.
    Show,
    /// Set some, seconds.
    #[command(after_help = "Example:
  gatunctl timeout set --established 600 --fin 30")]
    Set(TimeoutArgs),
}

/// Seconds; what is not given stays.
#[derive(clap::Args)]
pub(super) struct TimeoutArgs {
    /// syn_sent, syn_recv and synack.
    #[arg(long)]
    syn: Option<u32>,
    /// ESTABLISHED.
    #[arg(long)]
    established: Option<u32>,
    /// fin_wait, close_wait, last_ack and time_wait.
    #[arg(long)]
    fin: Option<u32>,
    /// CLOSE.
    #[arg(long)]
    close: Option<u32>,
    /// UDP.
    #[arg(long)]
    udp: Option<u32>,
}

pub(super) fn conn(ctl: &Ctl, command: ConnCommand) -> Done {
    match command {
        ConnCommand::List { which, limit } => {
            let connections: Vec<Connection> = ctl.client.list("/api/v1/connections", &which.query(), limit)?;
            ctl.show(&connections, |list| {
                let mut t = table(&["proto", "client", "vip", "local", "real", "state", "expires", "lcore"], 6);
                for c in list {
                    let expires = format!("{}:{:02}", c.expires / 60, c.expires % 60);
                    let ends = [c.client, c.vip, c.local, c.real].map(|a| a.to_string());
                    let mut row = vec![word(&c.protocol)];
                    row.extend(ends);
                    row.extend([c.state.clone(), expires, c.lcore.to_string()]);
                    t.add_row(row);
                }
                format!(
                    "{}\n{} connections{}",
                    t.trim_fmt(),
                    list.len(),
                    if list.len() == limit { ", perhaps more" } else { "" }
                )
            })
        }
        ConnCommand::Count { which } => {
            let count: Item<Count> = ctl.client.get("/api/v1/connections/count", &which.query())?;
            ctl.show(&count.item, |count| count.count.to_string())
        }
        ConnCommand::Kill { which, all } => {
            let query = which.query();
            if query.is_empty() && !all {
                return Err(Trouble::Usage("this would end every connection: say which, or --all".to_owned()));
            }
            let killed: Item<Killed> =
                ctl.client.send("DELETE", "/api/v1/connections", &ctl.ask(&query), None::<&()>)?;
            ctl.show(&killed.item, |killed| format!("{} connections were ended", killed.killed))
        }
    }
}

pub(super) fn drops(ctl: &Ctl, args: &DropsArgs) -> Done {
    let mut drops: Vec<Drop> = ctl.client.list("/api/v1/drops", &[], usize::MAX)?;
    if let Some(reason) = &args.reason {
        let known: Vec<String> = drops.iter().map(|drop| drop.reason.clone()).collect();
        drops.retain(|drop| drop.reason == *reason);
        let Some(drop) = drops.first() else {
            let known = known.join(", ");
            return Err(Trouble::Usage(format!("{reason} is no reason to drop a frame: there are {known}")));
        };
        return ctl.show(drop, frames);
    }
    if !args.all {
        drops.retain(|drop| drop.count > 0);
    }
    drops.sort_by_key(|drop| std::cmp::Reverse(drop.count));
    ctl.show(&drops, |drops| {
        let mut t = table(&["reason", "frames", "what it means"], 3);
        for drop in drops {
            t.add_row([drop.reason.clone(), drop.count.to_string(), drop.help.clone()]);
        }
        t.trim_fmt()
    })
}

fn frames(drop: &Drop) -> String {
    let mut t = table(&["at", "port", "lcore", "bytes", "proto", "from", "to"], 7);
    for f in &drop.last {
        let end = |at: Option<SocketAddr>| at.map_or(String::new(), |at| at.to_string());
        let protocol = f.protocol.map_or(String::new(), |p| p.to_string());
        t.add_row([
            f.at.clone(),
            f.port.clone(),
            f.lcore.to_string(),
            f.len.to_string(),
            protocol,
            end(f.src),
            end(f.dst),
        ]);
    }
    format!("{}: {}\n{} frames; the last of them:\n{}", drop.reason, drop.help, drop.count, t.trim_fmt())
}

pub(super) fn trace(ctl: &Ctl, args: &TraceArgs) -> Done {
    let spec = TraceSpec { protocol: args.protocol, client: args.client, vip: args.vip };
    let trace: Item<Trace> = ctl.client.send("POST", "/api/v1/trace", &ctl.ask(&[]), Some(&spec))?;
    ctl.show(&trace.item, |trace| {
        let mut t = table(&["step", "answer", "why"], 3);
        for step in &trace.steps {
            t.add_row([&step.step, &step.result, &step.why]);
        }
        format!("{}\n{}", t.trim_fmt(), trace_end(trace))
    })
}

fn trace_end(trace: &Trace) -> String {
    let to = match (&trace.drop, trace.real) {
        (Some(reason), _) => return format!("it would be dropped: {reason}"),
        (None, _) if !trace.forwarded => return "it would not be forwarded".to_owned(),
        (None, Some(real)) => real.to_string(),
        (None, None) => "one of these servers".to_owned(),
    };
    format!("it would go to {to}, by lcore {} (class {})", trace.lcore, trace.class)
}

pub(super) fn timeout(ctl: &Ctl, command: TimeoutCommand) -> Done {
    match command {
        TimeoutCommand::Show => {
            let timeouts: Item<Timeouts> = ctl.client.get("/api/v1/timeouts", &[])?;
            ctl.show(&timeouts.item, |t| {
                let all = [
                    ("established", t.established),
                    ("syn_sent", t.syn_sent),
                    ("syn_recv", t.syn_recv),
                    ("synack", t.synack),
                    ("fin_wait", t.fin_wait),
                    ("close_wait", t.close_wait),
                    ("last_ack", t.last_ack),
                    ("time_wait", t.time_wait),
                    ("close", t.close),
                    ("udp", t.udp),
                ];
                facts(&all.map(|(name, seconds)| (name, format!("{seconds} s"))))
            })
        }
        TimeoutCommand::Set(args) => {
            let timeouts = TimeoutsSpec {
                syn: args.syn,
                established: args.established,
                fin: args.fin,
                close: args.close,
                udp: args.udp,
                ..TimeoutsSpec::default()
            };
            ctl.edit(vec![Edit::PatchTimeouts { timeouts }])
        }
    }
}

pub(super) fn capacity(ctl: &Ctl) -> Done {
    let mut limits: Vec<Capacity> = ctl.client.list("/api/v1/capacity", &[], usize::MAX)?;
    limits.sort_by(|a, b| b.share.total_cmp(&a.share));
    ctl.show(&limits, |limits| {
        let mut t = table(&["limit", "of", "used", "room", "share", "binds", "remedy"], 2);
        for column in [5, 6] {
            if let Some(column) = t.column_mut(column) {
                column.set_cell_alignment(comfy_table::CellAlignment::Left);
            }
        }
        for l in limits {
            let of = l.of.clone().unwrap_or_default();
            let (used, room) = (l.used.to_string(), l.room.to_string());
            t.add_row([l.limit.clone(), of, used, room, percent(l.share), l.binds.clone(), l.remedy.clone()]);
        }
        t.trim_fmt()
    })
}

pub(super) fn health(ctl: &Ctl) -> Done {
    // A gateway that is not ready answers 503, with the same document.
    let health = ctl.client.document::<Item<Health>>("/api/v1/health")?.item;
    ctl.show(&health, |health| {
        let mut t = table(&["check", "", "what was found"], 3);
        for check in &health.checks {
            t.add_row([check.name.as_str(), if check.ok { "ok" } else { "NOT OK" }, &check.detail]);
        }
        t.trim_fmt()
    })?;
    if health.ok { Ok(()) } else { Err(Trouble::Unwell("the gateway is not well".to_owned())) }
}

pub(super) fn version(ctl: &Ctl) -> Done {
    let version: Item<Version> = ctl.client.get("/api/v1/version", &[])?;
    ctl.show(&version.item, |v| {
        facts(&[
            ("gatun", v.version.clone()),
            ("interface", v.api.clone()),
            ("DPDK", v.dpdk.clone()),
            ("started", v.started.clone()),
            ("gatunctl", env!("GATUN_VERSION").to_owned()),
        ])
    })
}

/// For commands that print a text of the gateway as it is.
pub(super) fn raw(bytes: &[u8]) -> Done {
    print(&String::from_utf8_lossy(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_ends_with_what_becomes_of_the_packet_also_where_the_server_is_chosen_later() {
        let trace = |forwarded, real: Option<&str>, drop: Option<&str>| {
            trace_end(&Trace {
                forwarded,
                steps: Vec::new(),
                service: None,
                real: real.map(|real| real.parse().unwrap()),
                lcore: 1,
                class: 2,
                next_hop: None,
                drop: drop.map(str::to_owned),
            })
        };
        assert_eq!(trace(true, Some("198.18.2.11:80"), None), "it would go to 198.18.2.11:80, by lcore 1 (class 2)");
        assert_eq!(trace(true, None, None), "it would go to one of these servers, by lcore 1 (class 2)");
        assert_eq!(trace(false, None, Some("no_server")), "it would be dropped: no_server");
        assert_eq!(trace(false, None, None), "it would not be forwarded");
    }
}
