//! A packet in one line: when, where, what came in, what became of it and why, what went out.
//!
//! ```text
//! 0.000000 wan  tcp 198.18.1.1:40000 > 198.18.1.100:80 [S] … => lan  tcp 198.18.2.100:3012 > 198.18.2.11:80 [S] …
//!          opened: client 198.18.1.1:40000 > VIP 198.18.1.100:80     becomes  local 198.18.2.100:3012 > server 198.18.2.11:80
//!          back:   server 198.18.2.11:80 > local 198.18.2.100:3012  becomes  VIP 198.18.1.100:80 > client 198.18.1.1:40000
//! ```
//!
//! On a terminal what goes out stands in a line of its own, below what came in.

use super::Gateway;
use super::packet::socket;
use super::player::Input;
use gatun_engine::conn::record::{Event, EventKind};
use gatun_engine::testkit::lab::{Sent, Step};
use gatun_engine::testkit::text;
use gatun_engine::verdict::{PuntReason, Verdict};
use serde_json::{Value, json};

/// Colours of a terminal, or none.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    drop: &'static str,
    good: &'static str,
    note: &'static str,
    dim: &'static str,
    end: &'static str,
    /// Between what came in and what became of it.
    then: &'static str,
}

impl Style {
    /// No colours.
    pub const PLAIN: Style = Style { drop: "", good: "", note: "", dim: "", end: "", then: "  " };
    /// Of a terminal.
    pub const COLOUR: Style = Style {
        drop: "\x1b[31m",
        good: "\x1b[32m",
        note: "\x1b[36m",
        dim: "\x1b[2m",
        end: "\x1b[0m",
        then: "\n         ",
    };
}

fn time(nanos: u64) -> String {
    format!("{}.{:06}", nanos / 1_000_000_000, nanos / 1_000 % 1_000_000)
}

fn punt(reason: PuntReason) -> &'static str {
    match reason {
        PuntReason::Arp | PuntReason::ArpReply | PuntReason::Ndp | PuntReason::NdpReply => "to the master",
        PuntReason::Echo => "answered",
        PuntReason::TtlExceeded | PuntReason::FragNeeded | PuntReason::NoService | PuntReason::NoServer => "refused",
    }
}

/// The line of a frame that came in, and one more for a connection that it opened.
pub fn step(gateway: &Gateway, input: &Input, step: &Step, style: Style) -> String {
    let Style { drop, good, note, dim, end, then } = style;
    let port = gateway.port_name(input.port);
    let by = if input.answer { "*" } else { " " };
    let mut line = format!("{dim}{:>12}{end} {port}{by} {}", time(input.nanos), text::frame(&input.frame));
    for to in &step.redirects {
        line += &format!("  {dim}(to lcore {to}){end}");
    }
    match step.verdict {
        Verdict::Tx(_) => {}
        Verdict::Hold(_) => line += &format!("{then}{note}=> waits for the MAC address of its next hop{end}"),
        Verdict::Drop(reason) => {
            line += &format!("{then}{drop}=> drop {}{end}: {}", reason.label(), reason.help());
        }
        Verdict::Punt(reason) => {
            line += &format!("{then}{note}=> {} {}{end}: {}", punt(reason), reason.label(), reason.help())
        }
        Verdict::Redirect(to) => line += &format!("{then}{drop}=> lost on the way to lcore {to}{end}"),
    }
    for sent in &step.sent {
        line += &format!("{then}{good}=> {}{end}  {}", gateway.port_name(sent.port), text::frame(&sent.frame));
    }
    for event in step.events.iter().filter(|e| e.kind == EventKind::Established) {
        for tuples in opened(event) {
            line += &format!("\n{:>12} {note}{tuples}{end}", "");
        }
    }
    line
}

/// The line of a frame that left by itself.
pub fn left(gateway: &Gateway, sent: &Sent, style: Style) -> String {
    let Style { good, dim, end, .. } = style;
    let port = gateway.port_name(sent.port);
    format!("{dim}{:>12}{end} (by itself)  {good}=> {port}{end}  {}", time(sent.nanos), text::frame(&sent.frame))
}

/// The four tuples of a new connection.
fn opened(event: &Event) -> [String; 2] {
    let (client, vip) =
        (socket(event.client.src(), event.client.sport()), socket(event.client.dst(), event.client.dport()));
    let (server, local) =
        (socket(event.reply.src(), event.reply.sport()), socket(event.reply.dst(), event.reply.dport()));
    let (there, here) = (format!("client {client} > VIP {vip}"), format!("server {server} > local {local}"));
    let width = there.len().max(here.len());
    [
        format!("opened: {there:width$}  becomes  local {local} > server {server}"),
        format!("back:   {here:width$}  becomes  VIP {vip} > client {client}"),
    ]
}

/// The same for a program.
pub fn step_json(gateway: &Gateway, input: &Input, step: &Step) -> Value {
    let (verdict, reason, help) = match step.verdict {
        Verdict::Tx(_) => ("tx", None, None),
        Verdict::Hold(_) => ("hold", None, None),
        Verdict::Drop(r) => ("drop", Some(r.label()), Some(r.help())),
        Verdict::Punt(r) => ("punt", Some(r.label()), Some(r.help())),
        Verdict::Redirect(_) => ("redirect", None, None),
    };
    let opened = step.events.iter().find(|e| e.kind == EventKind::Established).map(|e| {
        json!({
            "client": socket(e.client.src(), e.client.sport()), "vip": socket(e.client.dst(), e.client.dport()),
            "local": socket(e.reply.dst(), e.reply.dport()), "server": socket(e.reply.src(), e.reply.sport()),
        })
    });
    json!({
        "time": time(input.nanos), "port": gateway.port_name(input.port), "model": input.answer,
        "in": text::frame(&input.frame), "verdict": verdict, "reason": reason, "help": help,
        "lcores": step.redirects.iter().map(|l| l.0).collect::<Vec<_>>(), "opened": opened,
        "out": step.sent.iter().map(|s| sent_json(gateway, s)).collect::<Vec<_>>(),
    })
}

/// A frame that left, for a program.
pub fn sent_json(gateway: &Gateway, sent: &Sent) -> Value {
    json!({ "time": time(sent.nanos), "port": gateway.port_name(sent.port), "frame": text::frame(&sent.frame) })
}
