//! What the rig borrows of the machine, and gives back however it ends: huge pages, a directory, processes.

use crate::near::{Line, NEAR};
use anyhow::{Context, bail};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const PAGES: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
const FREE: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
/// Huge pages of 2 MiB that the two processes need.
const NEEDED: u64 = 832;

/// See the module.
pub(crate) struct Machine {
    dir: tempfile::TempDir,
    /// Set by Ctrl-C.
    stop: Arc<AtomicBool>,
    _pages: HugePages,
}

impl Machine {
    /// Looks whether everything is there, and borrows it.
    pub(crate) fn prepare() -> anyhow::Result<Machine> {
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        if cpus < 2 {
            bail!("the rig needs two CPUs, generator and gateway have one each; this machine has {cpus}");
        }
        if Command::new("dpdk-testpmd").arg("--version").output().is_err() {
            bail!("there is no dpdk-testpmd: apt-get install dpdk-dev");
        }
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, stop.clone())?;
        }
        let pages = HugePages::reserve(NEEDED)?;
        let dir = tempfile::Builder::new().prefix("gatun-rig-").tempdir()?;
        Ok(Machine { dir, stop, _pages: pages })
    }

    /// A file of the run.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The clients' and the servers' side.
    pub(crate) fn sockets(&self) -> [PathBuf; 2] {
        [self.path("wan.sock"), self.path("lan.sock")]
    }

    /// A command that goes before what else runs on the machine, as far as the kernel lets it, and that does not outlive
    /// the rig.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("setsid");
        let before = "echo -20 2>/dev/null > /proc/self/autogroup; exec setpriv --pdeathsig KILL -- \"$@\"";
        command.args(["sh", "-c", before, "sh"]).arg(program.as_ref());
        command
    }

    /// An error when somebody pressed Ctrl-C.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            bail!("interrupted; huge pages and processes are given back");
        }
        Ok(())
    }

    /// Whether the two CPUs share a cache just now.
    pub(crate) fn are_near(&self) -> anyhow::Result<bool> {
        let line = Line::default();
        let on = |cpu: usize| {
            let mut cpus = CpuSet::new();
            cpus.set(cpu)?;
            sched_setaffinity(Pid::from_raw(0), &cpus).with_context(|| format!("CPU {cpu} is not ours"))
        };
        thread::scope(|scope| {
            // Each takes part on whatever CPU it is, lest the other waits for ever.
            let ends = [0, 1].map(|cpu| {
                let (on, line) = (&on, &line);
                scope.spawn(move || {
                    let pinned = on(cpu);
                    let trip = line.round_trip(cpu == 0);
                    pinned.map(|()| trip)
                })
            });
            let [first, second] = ends.map(|end| end.join().map_err(|_| anyhow::anyhow!("a thread died"))?);
            second?;
            Ok(first? < NEAR)
        })
    }

    /// The load average.
    pub(crate) fn load(&self) -> String {
        let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
    }
}

/// Huge pages on top of those that others have.
struct HugePages {
    before: u64,
}

impl HugePages {
    fn reserve(count: u64) -> anyhow::Result<HugePages> {
        let (before, free) = (number(PAGES)?, number(FREE)?);
        let missing = count.saturating_sub(free);
        let pages = HugePages { before };
        if missing > 0 {
            let why = format!("{PAGES} can not be written: run it as root");
            std::fs::write(PAGES, (before + missing).to_string()).context(why)?;
        }
        let free = number(FREE)?;
        if free < count {
            bail!("{count} free huge pages of 2 MiB are needed, and the kernel gives {free}: free some memory");
        }
        Ok(pages)
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        if number(PAGES).is_ok_and(|now| now != self.before)
            && let Err(e) = std::fs::write(PAGES, self.before.to_string())
        {
            eprintln!("bench-rig: the huge pages are not given back ({e}): echo {} > {PAGES}", self.before);
        }
    }
}

fn number(path: &str) -> anyhow::Result<u64> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("{path}: this kernel has no huge pages of 2 MiB"))?;
    text.trim().parse().with_context(|| format!("{path} says {text:?}"))
}

/// A process that ends with the rig.
pub(crate) struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts a command of [`Machine::command`].
    pub(crate) fn start(command: &mut Command, name: &str) -> anyhow::Result<Process> {
        let child = command.spawn().with_context(|| format!("{name} does not start"))?;
        Ok(Process { child, name: name.to_owned() })
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub(crate) fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end, and gives what it wrote.
    pub(crate) fn output(&mut self, machine: &Machine, patience: Duration) -> anyhow::Result<String> {
        let begin = Instant::now();
        let mut pipe = self.child.stdout.take().with_context(|| format!("{} has no output", self.name))?;
        let reader = thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).map(|_| text)
        });
        let status = loop {
            machine.check()?;
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if begin.elapsed() > patience {
                bail!("{} has not ended after {patience:?}", self.name);
            }
            thread::sleep(Duration::from_millis(20));
        };
        let text = reader.join().ok().and_then(Result::ok).unwrap_or_default();
        // 3 is for the caller to judge: the report says why.
        if !status.success() && status.code() != Some(3) {
            bail!("{} ended with {status}", self.name);
        }
        Ok(text)
    }
}

impl Drop for Process {
    /// Asks it to end, and does not ask for long.
    fn drop(&mut self) {
        if self.ended() {
            return;
        }
        let pid = Pid::from_raw(self.child.id() as i32);
        let begin = Instant::now();
        let _ = kill(pid, Signal::SIGTERM);
        while begin.elapsed() < Duration::from_secs(5) {
            if self.ended() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
