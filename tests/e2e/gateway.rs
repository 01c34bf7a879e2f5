//! A running `gatun run`, and what it says about itself.

use crate::config::Config;
use crate::lab::within;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A gateway process. Every test ends it with [`Gateway::finish`], which demands the balance.
pub(crate) struct Gateway {
    child: Child,
    config: PathBuf,
    socket: PathBuf,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    /// From its start until it said it is ready.
    pub(crate) ready_after: Duration,
}

impl Gateway {
    /// Starts `COMMAND run` and waits until it is ready.
    pub(crate) fn start(mut command: Command, config: &Path, socket: &Path) -> Gateway {
        let start = Instant::now();
        command.arg("run").arg("--config").arg(config).arg("--socket").arg(socket);
        command.arg("--state").arg(socket.with_extension("state"));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("ip netns exec starts");
        let stderr = child.stderr.take().expect("stderr is a pipe");
        let log = Arc::new(Mutex::new(Vec::new()));
        let reader = thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    log.lock().unwrap().push(line);
                }
            }
        });
        let (config, socket) = (config.to_owned(), socket.to_owned());
        let mut gateway = Gateway { child, config, socket, log, reader: Some(reader), ready_after: Duration::ZERO };
        while !gateway.says("ready") {
            if let Some(status) = gateway.child.try_wait().unwrap() {
                panic!("gatun did not start: {status}");
            }
            assert!(start.elapsed() < Duration::from_secs(20), "gatun is not ready after 20 s");
            thread::sleep(Duration::from_millis(5));
        }
        gateway.ready_after = start.elapsed();
        gateway
    }

    /// Whether a word of its log so far is this one.
    pub(crate) fn says(&self, word: &str) -> bool {
        let word_of = |line: &String| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == word);
        self.log.lock().unwrap().iter().any(word_of)
    }

    /// Its log so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Gives it another configuration by SIGHUP, without waiting for the effect.
    pub(crate) fn reload(&self, config: &Config) {
        config.write(&self.config);
        self.signal(Signal::SIGHUP);
    }

    /// Gives it another configuration and waits until a new snapshot is out.
    pub(crate) fn reload_and_wait(&self, config: &Config) {
        let before = self.status().generation();
        self.reload(config);
        within(Duration::from_secs(5), "the reload has an effect", || self.status().generation() > before);
    }

    /// The kernel's ids of its workers' threads.
    pub(crate) fn worker_threads(&self) -> Vec<Pid> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("gatun runs");
        let worker =
            |task: &Path| std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.starts_with("rte-worker"));
        let id = |task: PathBuf| task.file_name()?.to_str()?.parse().ok().map(Pid::from_raw);
        tasks.map(|task| task.unwrap().path()).filter(|task| worker(task)).filter_map(id).collect()
    }

    /// Where it answers.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("gatun runs");
    }

    /// `gatun status --json`.
    pub(crate) fn status(&self) -> Status {
        Status(serde_json::from_str(&self.tell(&["--json"])).expect("status prints JSON"))
    }

    /// `gatun status --connections --json`: the list of connections.
    pub(crate) fn connections(&self) -> Vec<Value> {
        let status: Value = serde_json::from_str(&self.tell(&["--connections", "--json"])).expect("status prints JSON");
        status["connections"].as_array().expect("a list").clone()
    }

    /// What `gatun status` with these arguments prints.
    pub(crate) fn tell(&self, arguments: &[&str]) -> String {
        let mut status = Command::new(env!("CARGO_BIN_EXE_gatun"));
        let output = status.arg("status").arg("--socket").arg(&self.socket).args(arguments).output().unwrap();
        assert!(output.status.success(), "gatun status: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("status prints text")
    }

    /// SIGTERM. It has to end well within three seconds, with every frame accounted for. Gives the log.
    pub(crate) fn finish(mut self) -> String {
        let start = Instant::now();
        self.signal(Signal::SIGTERM);
        let exit = self.exit(start, Duration::from_secs(3));
        assert!(exit.success(), "gatun ended with {exit}");
        let log = self.log();
        let balances: Vec<_> = log.lines().filter(|line| line.contains("balance")).collect();
        assert!(!balances.is_empty() && balances.iter().all(|line| line.ends_with(" 0")), "the balance:\n{log}");
        log
    }

    /// How it ends, which has to be within `limit` of `start`.
    pub(crate) fn exit(&mut self, start: Instant, limit: Duration) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let _ = self.reader.take().map(JoinHandle::join);
                return status;
            }
            assert!(start.elapsed() < limit, "gatun still runs {limit:?} after SIGTERM");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            let log = self.log.lock().unwrap();
            eprintln!("the last lines of gatun's log:\n{}", log[log.len().saturating_sub(40)..].join("\n"));
        }
    }
}

/// A `gatun run` that is expected to end by itself: its exit code and what it said.
pub(crate) fn run_to_its_end(mut command: Command, config: &Path, socket: &Path) -> (Option<i32>, String) {
    command.arg("run").arg("--config").arg(config).arg("--socket").arg(socket);
    command.arg("--state").arg(socket.with_extension("state"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("ip netns exec starts");
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > Duration::from_secs(10) {
            let _ = child.kill();
            let _ = child.wait();
            panic!("gatun runs, though it should have refused");
        }
        thread::sleep(Duration::from_millis(10));
    };
    let mut said = String::new();
    child.stderr.take().expect("stderr is a pipe").read_to_string(&mut said).unwrap();
    (status.code(), said)
}

/// What `gatun status --json` said.
pub(crate) struct Status(Value);

impl Status {
    pub(crate) fn generation(&self) -> u64 {
        self.0["generation"].as_u64().expect("a generation")
    }

    /// All of it.
    pub(crate) fn json(&self) -> &Value {
        &self.0
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.0["ready"].as_bool().expect("ready or not")
    }

    /// A number of a server of a service: weight, active, inactive, conns, in_pkts... None when it has no such server.
    pub(crate) fn real(&self, service: &str, address: &str, field: &str) -> Option<u64> {
        let services = self.0["services"].as_array().expect("services");
        let service = services.iter().find(|s| s["name"] == service)?;
        let real = service["reals"].as_array().expect("reals").iter().find(|r| r["address"] == address)?;
        Some(real[field].as_u64().unwrap_or_else(|| panic!("a server has no number {field}: {real}")))
    }

    /// A counter of each lcore.
    pub(crate) fn by_lcore(&self, counter: &str) -> Vec<u64> {
        let lcores = self.0["lcores"].as_array().expect("lcores");
        lcores.iter().map(|lcore| lcore["counters"][counter].as_u64().unwrap_or(0)).collect()
    }

    /// The drops of one reason, over all lcores.
    pub(crate) fn drops(&self, reason: &str) -> u64 {
        let lcores = self.0["lcores"].as_array().expect("lcores");
        lcores.iter().map(|lcore| lcore["drops"][reason].as_u64().unwrap_or(0)).sum()
    }

    pub(crate) fn neighbor_state(&self, address: &str) -> Option<String> {
        let neighbors = self.0["neighbors"].as_array().expect("neighbors");
        let neighbor = neighbors.iter().find(|n| n["address"] == address)?;
        Some(neighbor["state"].as_str().expect("a state").to_owned())
    }
}
