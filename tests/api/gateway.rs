//! A running gateway, and the plainest HTTP to ask it.

use crate::process::{command, run};
use gatun::api::tokens::{self, Role};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) const CONFIG: &str = r#"
[eal]
no_huge = true
pci = false
memory_mb = 128
[lcores]
master = 0
workers = [1]
cpus = { 1 = 0 }
idle = "sleep"
[tables]
connections = 4_096
reals = 1_024
neighbors = 256
[[port]]
name = "wan"
device = "net_ringN0"
[[port]]
name = "lan"
device = "net_ringN1"
[[interface]]
port = "wan"
addresses = ["198.18.1.254/24"]
[[interface]]
port = "lan"
addresses = ["198.18.2.254/24"]
[[neighbor]]
address = "198.18.2.11"
mac = "02:00:00:00:02:11"
[[neighbor]]
address = "198.18.2.12"
mac = "02:00:00:00:02:12"
[[laddr_pool]]
name = "lan"
addresses = ["198.18.2.100-198.18.2.101"]
[[service]]
name = "web"
protocol = "tcp"
address = "198.18.1.100:80"
scheduler = "rr"
real = [
    { address = "198.18.2.11:80" },
    { address = "198.18.2.12:80" },
]
"#;
pub(crate) const WEB: &str = "/api/v1/services/tcp-198.18.1.100-80";

/// A running `gatun run`, and its directory.
pub(crate) struct Gateway {
    pub(crate) child: Child,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) device: u32,
    /// What it has logged.
    pub(crate) log: Arc<Mutex<Vec<String>>>,
    /// Its TCP address, if it has one.
    pub(crate) tcp: SocketAddr,
}

pub(crate) static DEVICES: AtomicU32 = AtomicU32::new(0);

impl Gateway {
    /// With this before the rest of its configuration; `TCP` is its TCP address, `DIR` its directory.
    pub(crate) fn start(extra: &str) -> Gateway {
        Gateway::start_with(extra, &[], |config| config)
    }

    /// The same with files, which only their owner may read, and with another configuration.
    pub(crate) fn start_with(extra: &str, files: &[(&str, &str)], edit: impl FnOnce(String) -> String) -> Gateway {
        // The tests of other processes have other devices.
        let device = std::process::id() % 100_000 * 100 + DEVICES.fetch_add(1, Ordering::Relaxed);
        let dir = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = free.local_addr().unwrap();
        drop(free);
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let extra = extra.replace("TCP", &tcp.to_string()).replace("DIR", dir.path().to_str().unwrap());
        std::fs::write(dir.path().join("gatun.toml"), edit(config(&extra, device))).unwrap();
        let log = Arc::default();
        let child = run(command(dir.path()), &log);
        Gateway { child, dir, device, log, tcp }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn kill(&mut self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Another process on the same directory.
    pub(crate) fn again(&mut self) {
        let _ = self.child.wait();
        self.child = run(command(self.dir.path()), &self.log);
    }

    pub(crate) fn unix(&self) -> UnixStream {
        let stream = UnixStream::connect(self.file("gatun.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        stream
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.with(method, path, &[], body)
    }

    pub(crate) fn with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        http(self.unix(), method, path, &[&[("Content-Type", "application/json")], headers].concat(), body.as_bytes())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &Value::Null)
    }

    pub(crate) fn tcp(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        http(TcpStream::connect(self.tcp).unwrap(), method, path, headers, b"")
    }

    /// SIGTERM: it ends well, with every frame accounted for.
    pub(crate) fn finish(mut self) {
        self.kill(Signal::SIGTERM);
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

pub(crate) fn config(extra: &str, device: u32) -> String {
    format!("{extra}\n{}", CONFIG.replace('N', &device.to_string()))
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// It is a problem that says what to do.
    #[track_caller]
    pub(crate) fn is_problem(&self) {
        assert!((400..500).contains(&self.status), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        for field in ["type", "title", "detail", "remedy"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {self:?}");
        }
        assert_eq!(problem["status"], self.status, "{self:?}");
    }
}

pub(crate) fn http(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request += "Host: localhost\r\n";
    }
    headers.iter().for_each(|(name, value)| request += &format!("{name}: {value}\r\n"));
    let mut bytes = (request + "\r\n").into_bytes();
    bytes.extend(body);
    raw(&mut stream, &bytes).unwrap_or_else(|| panic!("no answer to {method} {path}"))
}

/// Sends these bytes; none when the connection was closed without an answer.
pub(crate) fn raw(stream: &mut (impl Read + Write), bytes: &[u8]) -> Option<Answer> {
    // Who is refused early may not read all of it.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

/// The lines of a file of tokens, and the tokens: who may write, who may read, and whose has expired.
pub(crate) fn tokens() -> (String, [String; 3]) {
    let (writer, w) = tokens::make("ops", Role::Write, None).unwrap();
    let (reader, r) = tokens::make("grafana", Role::Read, None).unwrap();
    let (expired, e) = tokens::make("old", Role::Write, Some("2020-01-01T00:00:00Z")).unwrap();
    (format!("{w}\n{r}\n{e}\n"), [writer, reader, expired])
}

/// A gateway that listens on TCP, with the tokens.
pub(crate) fn with_tcp(more: &str, edit: impl FnOnce(String) -> String) -> (Gateway, [String; 3]) {
    let (lines, secrets) = tokens();
    let api = format!("[api]\nlisten = [\"TCP\"]\ntokens = \"DIR/tokens\"\n{more}");
    (Gateway::start_with(&api, &[("tokens", &lines)], edit), secrets)
}
