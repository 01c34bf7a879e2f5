//! Who sits between the generator's two sides.

use crate::machine::{Machine, Process};
use anyhow::bail;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

/// How long it may take to open its ports.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who can sit there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// gatun, the program.
    Gatun,
    /// testpmd that sends on what it gets, untouched.
    Io,
    /// testpmd that exchanges addresses and ports.
    Swap,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Gatun => "gatun",
            Kind::Io => "testpmd io",
            Kind::Swap => "testpmd 5tswap",
        })
    }
}

/// It sits there, with its ports open.
pub(crate) struct Seat {
    process: Process,
}

impl Seat {
    /// Starts it on CPU 1; its main lcore, which sleeps, shares CPU 0 with the generator.
    pub(crate) fn take(machine: &Machine, kind: Kind, config: String) -> anyhow::Result<Seat> {
        let sockets = machine.sockets();
        for socket in &sockets {
            let _ = std::fs::remove_file(socket);
        }
        let log = machine.path("seat.log");
        let program = if kind == Kind::Gatun { env!("CARGO_BIN_EXE_gatun") } else { "dpdk-testpmd" };
        let mut command = machine.command(program);
        if kind == Kind::Gatun {
            let file = machine.path("gatun.toml");
            std::fs::write(&file, config)?;
            command.arg("run").arg("--config").arg(file).arg("--socket").arg(machine.path("gatun.sock"));
            command.arg("--state").arg(machine.path("state"));
        } else {
            let mode = if kind == Kind::Io { "io" } else { "5tswap" };
            command.args("--in-memory --no-telemetry --no-pci --lcores 0@0,1@1 -m 256".split(' '));
            for (i, socket) in sockets.iter().enumerate() {
                command.arg("--vdev").arg(format!("net_vhost{i},iface={}", socket.display()));
            }
            command.args([
                "--",
                "--nb-cores=1",
                "--txd=1024",
                "--rxd=1024",
                "--no-lsc-interrupt",
                "--disable-link-check",
            ]);
            command.arg(format!("--forward-mode={mode}"));
        }
        // testpmd ends when its input does.
        command.stdin(Stdio::piped()).stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
        let mut seat = Seat { process: Process::start(&mut command, &kind.to_string())? };
        let begin = Instant::now();
        // The second socket is there when the second port is open.
        while !sockets.iter().all(|s| s.exists()) {
            machine.check()?;
            if seat.process.ended() || begin.elapsed() > PATIENCE {
                bail!("{kind} did not start: {}", last_lines(&log));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(seat)
    }

    /// How long each of its threads was on a CPU.
    pub(crate) fn on_cpu(&self) -> OnCpu {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).into_iter().flatten().flatten();
        let nanos = tasks.filter_map(|task| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            Some((task.file_name(), text.split_whitespace().next()?.parse().ok()?))
        });
        OnCpu(nanos.collect())
    }
}

/// Nanoseconds on a CPU, by thread.
pub(crate) struct OnCpu(HashMap<OsString, u64>);

impl OnCpu {
    /// How much the thread that was busiest since then was on a CPU.
    pub(crate) fn busiest_since(&self, before: &OnCpu) -> Duration {
        let spent = self.0.iter().map(|(thread, now)| now - before.0.get(thread).unwrap_or(&0));
        Duration::from_nanos(spent.max().unwrap_or(0))
    }
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}
