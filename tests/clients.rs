//! The clients against a running gateway (on DPDK, with ports made of rings): gatun-ipvsadm, gatunctl, and who reads /metrics.

#![cfg(feature = "dpdk")]

#[path = "support/process.rs"]
mod process;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const CONFIG: &str = r#"
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
neighbors = 64
[[port]]
name = "lan"
device = "net_ringN"
[[interface]]
port = "lan"
addresses = ["198.18.1.254/24", "198.18.2.254/24"]
[[neighbor]]
address = "198.18.2.11"
mac = "02:00:00:00:02:11"
[[neighbor]]
address = "198.18.2.12"
mac = "02:00:00:00:02:12"
[[laddr_pool]]
name = "lan"
addresses = ["198.18.2.100-198.18.2.101"]
"#;

/// A running gateway without services, and its directory.
struct Gateway {
    child: Child,
    dir: tempfile::TempDir,
}

/// What a program said, and how it ended.
#[derive(Debug, PartialEq)]
struct Said {
    out: String,
    err: String,
    code: i32,
}

fn said(out: &str, err: &str, code: i32) -> Said {
    Said { out: out.to_owned(), err: err.to_owned(), code }
}

impl Gateway {
    fn start() -> Gateway {
        static DEVICES: AtomicU32 = AtomicU32::new(0);
        // The tests of other processes have other devices.
        let device = std::process::id() % 100_000 * 100 + 50 + DEVICES.fetch_add(1, Ordering::Relaxed);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("gatun.toml"), CONFIG.replace('N', &device.to_string())).unwrap();
        let child = process::run(process::command(dir.path()), &Arc::default());
        Gateway { child, dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, program: &str, arguments: &str, input: &str) -> Said {
        let mut command = Command::new(program);
        command.args(arguments.split_whitespace()).env("GATUN_SOCKET", self.file("gatun.sock"));
        for name in ["GATUN_URL", "GATUN_TOKEN_FILE", "GATUN_CA"] {
            command.env_remove(name);
        }
        command.current_dir(self.dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { out: text(done.stdout), err: text(done.stderr), code: done.status.code().unwrap() }
    }

    fn ipvsadm(&self, arguments: &str) -> Said {
        self.run(env!("CARGO_BIN_EXE_gatun-ipvsadm"), arguments, "")
    }

    fn ctl(&self, arguments: &str) -> Said {
        self.run(env!("CARGO_BIN_EXE_gatunctl"), arguments, "")
    }

    /// A command that does what it is told.
    fn well(&self, arguments: &str) -> String {
        let said = self.ctl(arguments);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "gatunctl {arguments}: {said:?}");
        said.out
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

const RULES: &str = "\
-A -t 198.18.1.100:80 -s wrr --laddr lan
-a -t 198.18.1.100:80 -r 198.18.2.11:80 --fullnat -w 1
-a -t 198.18.1.100:80 -r 198.18.2.12:8080 --fullnat -w 3
-A -u 198.18.1.100:53 -s rr --laddr lan
-a -u 198.18.1.100:53 -r 198.18.2.11:53 --fullnat -w 0
";
const LISTED: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  198.18.1.100:80 wrr
  -> 198.18.2.11:80               FullNat 1      0          0         
  -> 198.18.2.12:8080             FullNat 3      0          0         
UDP  198.18.1.100:53 rr
  -> 198.18.2.11:53               FullNat 0      0          0         
";

#[test]
fn ipvsadm_restores_lists_and_saves_the_same_state() {
    let gateway = Gateway::start();
    let restore = |rules: &str| gateway.run(env!("CARGO_BIN_EXE_gatun-ipvsadm"), "-R", rules);
    assert_eq!(restore(RULES), said("", "", 0));
    assert_eq!(gateway.ipvsadm("-Ln"), said(LISTED, "", 0));
    assert_eq!(gateway.ipvsadm("-Sn"), said(RULES, "", 0));
    assert_eq!(gateway.ipvsadm("-C"), said("", "", 0));
    assert_eq!(gateway.ipvsadm("-Sn"), said("", "", 0));
    assert_eq!(restore(RULES), said("", "", 0));
    assert_eq!(gateway.ipvsadm("-Sn"), said(RULES, "", 0));
    // What is wrong with a line harms no other, wherever it stands among many.
    let lines: String = (1..100).map(|n| format!("-A -t 198.18.1.{n}:80 -s rr --laddr lan\n")).collect();
    let wrong = lines.replace("-A -t 198.18.1.50:80 -s rr", "-A -t 198.18.1.100:80 -s rr");
    assert_eq!(restore(&wrong), said("", "Service already exists\n", 0));
    assert_eq!(gateway.ipvsadm("-Sn").out.lines().count(), 98 + 5);
}

#[test]
fn ipvsadm_refuses_in_the_words_of_the_kernel_or_says_what_gatun_can_not_do() {
    let gateway = Gateway::start();
    let table = [
        ("-A -t 198.18.1.100:80", "", 0),
        ("-A -t 198.18.1.100:80", "Service already exists\n", 255),
        ("-D -t 198.18.1.100:81", "No such service\n", 255),
        ("-Ln -t 198.18.1.100:81", "No such service\n", 1),
        ("-a -t 198.18.1.100:81 -r 198.18.2.11 --fullnat", "Service not defined\n", 255),
        ("-a -t 198.18.1.100:80 -r 198.18.2.11 --fullnat", "", 0),
        ("-a -t 198.18.1.100:80 -r 198.18.2.11 --fullnat", "Destination already exists\n", 255),
        ("-e -t 198.18.1.100:80 -r 198.18.2.12 --fullnat", "No such destination\n", 255),
        ("-d -t 198.18.1.100:81 -r 198.18.2.12", "Service not defined\n", 255),
        ("-e -t 198.18.1.100:80 -r 198.18.2.11 --fullnat -w 0", "", 0),
        ("-A -f 7", "gatun can not do this yet: services by firewall mark (-f)\n", 255),
        ("-A -t 198.18.1.100:82 -w 3", "Illegal 'weight' option with the 'add-service' command\n", 2),
        ("-Z -t 198.18.1.100:80", "", 0),
        ("--set 800 0 0", "", 0),
    ];
    for (command, err, code) in table {
        let answer = gateway.ipvsadm(command);
        assert_eq!((answer.err.as_str(), answer.code), (err, code), "ipvsadm {command}");
    }
    assert_eq!(gateway.ipvsadm("-L --timeout"), said("Timeout (tcp tcpfin udp): 800 60 300\n", "", 0));
    let nobody =
        Command::new(env!("CARGO_BIN_EXE_gatun-ipvsadm")).env("GATUN_SOCKET", gateway.file("x")).output().unwrap();
    assert_eq!(nobody.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nobody.stderr).starts_with("Can't initialize ipvs: "));
}

#[test]
fn gatunctl_changes_what_it_is_told_and_shows_it() {
    let gateway = Gateway::start();
    let added =
        gateway.well("service add tcp 198.18.1.100:80 --scheduler rr --real 198.18.2.11:80 --real 198.18.2.12:80=3");
    assert!(added.contains("which every worker runs"), "{added}");
    let json: serde_json::Value = serde_json::from_str(&gateway.well("service list --json")).unwrap();
    assert_eq!((&json[0]["id"], &json[0]["reals"][1]["weight"]), (&"tcp-198.18.1.100-80".into(), &3.into()));
    assert!(gateway.well("service set tcp/198.18.1.100:80 --scheduler wlc --dry-run").contains("nothing was done"));
    assert!(gateway.well("service show tcp/198.18.1.100:80").contains(" rr"));
    gateway.well("real weight tcp/198.18.1.100:80 198.18.2.11:80 7");
    assert!(gateway.well("real drain tcp/198.18.1.100:80 198.18.2.12:80 --wait").contains("drained"));
    for command in ["stats", "port list", "port show lan", "lcore list", "lcore show 1", "neigh list", "route list"] {
        assert!(gateway.well(command).lines().count() > 0, "{command}");
    }
    assert!(gateway.well("health").contains("journal"));
    assert!(gateway.well("trace tcp 198.18.1.1:40000 198.18.1.100:80").contains("198.18.2.11:80"));
    assert!(gateway.well("drops --all").contains("table_full") && gateway.well("drops bug").contains("report"));
    assert!(gateway.well("capacity").contains("connections"));
    assert_eq!((gateway.well("conn count").trim(), gateway.ctl("conn kill").code), ("0", 2));
    // A configuration that nobody confirms would go by itself; here it is undone.
    let file = gateway.well("config export");
    std::fs::write(gateway.file("new.toml"), file.replace("weight = 7", "weight = 8")).unwrap();
    assert!(gateway.well("config diff new.toml").contains("weight 7 -> 8"));
    assert!(gateway.well("config apply new.toml --confirm 60").contains("config confirm"));
    assert!(gateway.well("config undo").contains("weight 8 -> 7"));
    assert!(gateway.well("config history").lines().count() > 5);
    for (command, code) in [
        ("service show nosuch", 3),
        ("service add tcp 198.18.1.100:80", 3),
        ("service delete tcp/198.18.1.100:80 --generation 1", 3),
        ("real add tcp/198.18.1.100:80 224.0.0.1:80", 2),
        ("real add nonsense/198.18.1.100:80 198.18.2.11:80", 2),
        ("service list --socket /nonexistent", 1),
        ("config apply /nonexistent", 1),
    ] {
        let answer = gateway.ctl(command);
        assert_eq!(answer.code, code, "gatunctl {command}: {answer:?}");
        assert!(!answer.err.is_empty(), "gatunctl {command}");
    }
}

#[test]
fn gatunctl_captures_into_tcpdump_and_into_files() {
    let gateway = Gateway::start();
    // It asks for this neighbour again and again; what goes out by a port made of a ring comes in there.
    gateway.well("route add 198.18.64.0/18 198.18.2.1");
    let piped = format!("{} capture -w - --port lan --count 2 | tcpdump -n -r -", env!("CARGO_BIN_EXE_gatunctl"));
    let mut shell = Command::new("sh");
    let said = shell.arg("-c").arg(&piped).env("GATUN_SOCKET", gateway.file("gatun.sock")).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    let asks = out.lines().any(|line| line.contains("ARP, Request who-has 198.18.2.1 tell "));
    assert!(asks && out.lines().count() == 2, "{out}\n{err}");
    assert!(err.contains("2 frames, 0 lost"), "{err}");
    let file = gateway.ctl("capture -w drops.pcap --drop any --count 1 --snaplen 30");
    assert_eq!((file.code, file.err.as_str()), (0, "1 frames, 0 lost\n"));
    let frames = gatun_engine::testkit::pcap::read(&std::fs::read(gateway.file("drops.pcap")).unwrap()).unwrap();
    assert_eq!((frames.len(), frames[0].frame.len(), frames[0].orig_len), (1, 30, 42));
    assert_eq!(gateway.well("capture --list").lines().count(), 3);
    for (command, code, said) in [
        ("capture", 2, "--write"),
        ("capture -w x --port dmz", 2, "give one of lan"),
        ("capture -w x --drop bad_luck", 2, "gatunctl drops"),
        ("capture -w x --dir rx --drop any", 2, "--drop"),
        ("capture -w x --tuple 198.18.1.1", 2, "two ends"),
        ("capture -w x --host nowhere", 2, "198.18.1.1:40000"),
        ("capture -w x --seconds 301", 2, "1..=300"),
        ("capture -w x --count 0", 2, "1..=1000000"),
        ("capture -w /nonexistent/x --count 1", 1, "/nonexistent/x"),
        ("capture --stop 99", 3, "there is no capture"),
    ] {
        let answer = gateway.ctl(command);
        assert!(answer.code == code && answer.err.contains(said), "gatunctl {command}: {answer:?}");
        assert!(!gateway.file("x").exists(), "no file of a capture that there is not");
    }
}

#[test]
fn prometheus_reads_every_counter() {
    let gateway = Gateway::start();
    gateway.well("service add tcp 198.18.1.100:80 --real 198.18.2.11:80");
    let client = gatun::client::Target { socket: gateway.file("gatun.sock"), ..Default::default() };
    let client = gatun::client::Client::new(&client).unwrap();
    let text = client.answer("GET", "/metrics", &Default::default(), None).unwrap();
    let text = String::from_utf8(text).unwrap();
    for line in [
        "gatun_ready 1.0",
        "gatun_connections_max 4096.0",
        "gatun_service_reals_usable{service=\"tcp-198.18.1.100-80\"} 1.0",
        "gatun_port_up{port=\"lan\"} 1.0",
        "gatun_health{check=\"journal\"} 1.0",
        "gatun_drops_total{reason=\"table_full\"} 0",
        "# TYPE gatun_capacity_ratio gauge",
        "# EOF",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
}
