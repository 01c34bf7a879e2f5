//! What is said at the end: JSON for programs, lines for people.

use super::bed::{Bed, Run};
use super::link::RX_BURST;
use dpdk::tsc_hz;
use serde::Serialize;
use std::fmt;

/// Times in microseconds; of a packet there and back, or from SYN to SYN-ACK.
#[derive(Debug, Serialize)]
pub struct Micros {
    /// Half are not longer.
    pub p50: f64,
    /// Nine of ten are not longer.
    pub p90: f64,
    /// 99 of 100 are not longer.
    pub p99: f64,
    /// 999 of 1000 are not longer.
    pub p99_9: f64,
    /// None is longer.
    pub most: f64,
}

/// The result of a measurement.
#[derive(Debug, Serialize)]
pub struct Report {
    /// udp, tcp, conn, synflood.
    pub mode: &'static str,
    /// Flows, or connections that were there from the beginning.
    pub flows: u32,
    /// Seconds that were measured.
    pub seconds: f64,
    /// Packets that came through the gateway, in both directions together.
    pub packets: u64,
    /// The same a second.
    pub packets_per_second: f64,
    /// Exchanges that were done: packets there and back, whole connections; of a flood, SYNs sent.
    pub done: u64,
    /// The same a second.
    pub done_per_second: f64,
    /// Exchanges that were started.
    pub started: u64,
    /// Of these, lost on the way.
    pub lost: u64,
    /// Per cent of those that were started.
    pub lost_percent: f64,
    /// Packets that should not have come as they came.
    pub wrong: u64,
    /// Packets that came after they were given up.
    pub late: u64,
    /// RSTs.
    pub resets: u64,
    /// SYNs and FINs that were sent again.
    pub repeated: u64,
    /// Packets that the generator threw away itself, as the gateway did not take them in time.
    pub unsent: u64,
    /// Packets whose checksums were looked at.
    pub checksums_sampled: u64,
    /// Of these, wrong ones.
    pub checksums_bad: u64,
    /// The first that was wrong.
    pub first_wrong: Option<String>,
    /// The part of the time in which the generator had nothing to do.
    pub idle_share: f64,
    /// Packets that it received at once, in the middle.
    pub mean_burst: f64,
    /// Its time on the CPU, of the time that passed: less than 1 when others ran there.
    pub on_cpu_share: f64,
    /// What the result is a figure of: "gateway", "generator", or "rate" with --rate.
    pub bound_by: &'static str,
    /// Latencies: with --rate those of the gateway, else mostly of the queues that the window fills.
    pub latency_us: Option<Micros>,
}

/// What was counted when the measurement began.
pub struct Start {
    received: u64,
    bursts: u64,
    unsent: u64,
    cpu: u64,
}

impl Start {
    /// Now.
    pub fn now(bed: &Bed) -> Start {
        let (received, bursts) = counts(bed);
        Start { received, bursts, unsent: unsent(bed), cpu: on_cpu() }
    }
}

fn counts(bed: &Bed) -> (u64, u64) {
    bed.links.iter().fold((0, 0), |(r, b), l| (r + l.received, b + l.bursts))
}

fn unsent(bed: &Bed) -> u64 {
    bed.links.iter().map(|l| l.unsent).sum()
}

/// Nanoseconds that this thread was on a CPU; 0 where the kernel does not say.
fn on_cpu() -> u64 {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    said.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

impl Report {
    /// Of a run that began with an empty tally.
    pub fn new(
        mode: &'static str,
        flows: u32,
        bed: &Bed,
        start: &Start,
        run: Run,
        lost: u64,
        open_loop: bool,
    ) -> Report {
        let t = &bed.tally;
        let seconds = run.ticks as f64 / tsc_hz() as f64;
        let (received, bursts) = counts(bed);
        let done = if mode == "synflood" { t.started } else { t.done };
        let micros = |part: f64| t.latency.percentile(part).map(|ticks| ticks as f64 * 1e6 / tsc_hz() as f64);
        let latency_us = micros(1.0).map(|most| Micros {
            p50: micros(0.5).unwrap_or_default(),
            p90: micros(0.9).unwrap_or_default(),
            p99: micros(0.99).unwrap_or_default(),
            p99_9: micros(0.999).unwrap_or_default(),
            most,
        });
        let idle_share = run.idle as f64 / run.ticks.max(1) as f64;
        let mean_burst = (received - start.received) as f64 / (bursts - start.bursts).max(1) as f64;
        // A generator that keeps up finds little each time that it looks, or nothing.
        let behind = idle_share < 0.05 && mean_burst >= 0.75 * RX_BURST as f64;
        let bound_by = match (open_loop, behind) {
            (true, _) => "rate",
            (false, true) => "generator",
            (false, false) => "gateway",
        };
        Report {
            mode,
            flows,
            seconds,
            packets: t.through,
            packets_per_second: t.through as f64 / seconds,
            done,
            done_per_second: done as f64 / seconds,
            started: t.started,
            lost,
            lost_percent: 100.0 * lost as f64 / t.started.max(1) as f64,
            wrong: t.wrong,
            late: t.late,
            resets: t.resets,
            repeated: t.repeated,
            unsent: unsent(bed) - start.unsent,
            checksums_sampled: t.sampled,
            checksums_bad: t.bad_checksums,
            first_wrong: t.first_wrong.clone(),
            idle_share,
            mean_burst,
            on_cpu_share: (on_cpu() - start.cpu) as f64 / (seconds * 1e9),
            bound_by,
            latency_us,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.mode {
            "conn" => "connections",
            "synflood" => "SYNs",
            _ => "round trips",
        };
        writeln!(f, "{}: {:.2} s, {} flows", self.mode, self.seconds, self.flows)?;
        writeln!(f, "  {:>14.0} packets a second through the gateway, both directions", self.packets_per_second)?;
        writeln!(f, "  {:>14.0} {what} a second", self.done_per_second)?;
        writeln!(f, "  {:>14} of {} lost ({:.4} %), {} late", self.lost, self.started, self.lost_percent, self.late)?;
        writeln!(f, "  {:>14} wrong, {} RSTs, {} sent again", self.wrong, self.resets, self.repeated)?;
        if self.unsent > 0 {
            writeln!(f, "  {:>14} packets thrown away here: the gateway did not take them in time", self.unsent)?;
        }
        writeln!(f, "  {:>14} checksums wrong of {} looked at", self.checksums_bad, self.checksums_sampled)?;
        if let Some(first) = &self.first_wrong {
            writeln!(f, "  {:>14} {first}", "first:")?;
        }
        if let Some(l) = &self.latency_us {
            let from = if self.mode == "conn" { "SYN to SYN-ACK" } else { "there and back" };
            writeln!(
                f,
                "  {:>14} {from}, us: p50 {:.1}, p90 {:.1}, p99 {:.1}, p99.9 {:.1}, most {:.1}",
                "", l.p50, l.p90, l.p99, l.p99_9, l.most
            )?;
        }
        write!(
            f,
            "  generator: idle {:.1} % of the time, {:.1} packets a burst, on its CPU {:.1} %",
            100.0 * self.idle_share,
            self.mean_burst,
            100.0 * self.on_cpu_share
        )?;
        match self.bound_by {
            "generator" => write!(f, "\n  THE GENERATOR IS THE BOTTLENECK: the gateway can do more than this"),
            "gateway" => write!(f, "\n  the gateway is the bottleneck"),
            _ => Ok(()),
        }
    }
}
