//! `gatun-loadgen` against the real gatun: two processes, vhost-user between them, ordinary pages. Needs no root.

#![cfg(feature = "dpdk")]

#[path = "support/process.rs"]
mod process;

use gatun_engine::testkit::World;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const MACHINE: &str = r#"
[eal]
no_huge = true
pci = false
memory_mb = 128
[lcores]
master = 0
workers = [1]
cpus = { 1 = 0 }
[tables]
connections = 20_000
reals = 64
neighbors = 1_024
mbufs = 12_287
[[port]]
name = "wan"
device = "net_vhost0,iface=DIR/wan.sock"
[[port]]
name = "lan"
device = "net_vhost1,iface=DIR/lan.sock"
"#;

/// Who is where, in a world.
struct Net {
    config: &'static str,
    clients: &'static str,
    vip: &'static str,
    servers: &'static str,
    /// Of the clients' side, and of the servers'.
    routers: [&'static str; 2],
    gateways: [&'static str; 2],
}

impl Net {
    fn of(world: World) -> Net {
        let four = Net {
            config: FOUR,
            clients: "100.64.0.0/10",
            vip: "198.18.1.1:80",
            servers: "10.0.0.0/8",
            routers: ["198.18.2.0/24", "198.19.2.0/24"],
            gateways: ["198.18.0.1", "198.19.0.1"],
        };
        let six = |vip| Net {
            config: SIX,
            clients: "2001:db8:9::/64",
            vip,
            servers: "2001:db8:a::/64",
            routers: ["2001:db8:1::2/128", "2001:db8:2::2/128"],
            gateways: ["2001:db8:1::1", "2001:db8:2::1"],
        };
        match world {
            World::V4 => four,
            World::V6 => six("[2001:db8:1::100]:80"),
            World::Nat64 => Net {
                servers: four.servers,
                routers: ["2001:db8:1::2/128", four.routers[1]],
                gateways: ["2001:db8:1::1", four.gateways[1]],
                ..six("[2001:db8:1::101]:80")
            },
        }
    }
}

const FOUR: &str = r#"
[[interface]]
port = "wan"
addresses = ["198.18.0.1/16"]
[[interface]]
port = "lan"
addresses = ["198.19.0.1/16"]
[[route]]
to = "100.64.0.0/10"
via = "198.18.2.1"
[[route]]
to = "10.0.0.0/8"
via = "198.19.2.1"
[[laddr_pool]]
name = "lan"
addresses = ["198.19.128.0-198.19.128.3"]
[[service]]
protocol = "udp"
address = "198.18.1.1:80"
scheduler = "rr"
real = [{ address = "10.0.0.1:80" }, { address = "10.0.0.2:80" }]
[[service]]
protocol = "tcp"
address = "198.18.1.1:80"
scheduler = "rr"
real = [{ address = "10.0.0.1:80" }, { address = "10.0.0.2:80" }]
"#;

/// A VIP with servers of IPv6, and one with servers of IPv4.
const SIX: &str = r#"
[[interface]]
port = "wan"
addresses = ["2001:db8:1::1/64"]
[[interface]]
port = "lan"
addresses = ["198.19.0.1/16", "2001:db8:2::1/64"]
[[route]]
to = "2001:db8:9::/64"
via = "2001:db8:1::2"
[[route]]
to = "10.0.0.0/8"
via = "198.19.2.1"
[[route]]
to = "2001:db8:a::/64"
via = "2001:db8:2::2"
[[laddr_pool]]
name = "lan"
addresses = ["198.19.128.0-198.19.128.3", "2001:db8:2::1000-2001:db8:2::1003"]
[[service]]
protocol = "udp"
address = "[2001:db8:1::100]:80"
scheduler = "rr"
real = [{ address = "[2001:db8:a::1]:80" }, { address = "[2001:db8:a::2]:80" }]
[[service]]
protocol = "tcp"
address = "[2001:db8:1::100]:80"
scheduler = "rr"
real = [{ address = "[2001:db8:a::1]:80" }, { address = "[2001:db8:a::2]:80" }]
[[service]]
protocol = "udp"
address = "[2001:db8:1::101]:80"
scheduler = "rr"
real = [{ address = "10.0.0.1:80" }, { address = "10.0.0.2:80" }]
[[service]]
protocol = "tcp"
address = "[2001:db8:1::101]:80"
scheduler = "rr"
real = [{ address = "10.0.0.1:80" }, { address = "10.0.0.2:80" }]
"#;

/// A gatun that waits for a generator.
struct Bed {
    world: World,
    dir: tempfile::TempDir,
    gatun: Child,
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

impl Bed {
    fn new(world: World) -> Bed {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir().unwrap();
        let text = format!("{MACHINE}{}", Net::of(world).config).replace("DIR", dir.path().to_str().unwrap());
        std::fs::write(dir.path().join("gatun.toml"), text).unwrap();
        let gatun = process::run(process::command(dir.path()), &Arc::default());
        Bed { world, dir, gatun, _turn: turn }
    }

    fn load(&self, line: &str) -> Output {
        load(self.world, self.dir.path(), line)
    }

    /// Runs the generator, which has nothing to complain about, for half a second.
    fn report(&self, line: &str) -> Value {
        let output = self.load(&format!("{line} --duration 0.5 --warmup 0.1 --window 64"));
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{line}\n{out}{err}");
        let report: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{line}: {e}\n{out}{err}"));
        for nothing in ["wrong", "checksums_bad", "late", "lost", "resets"] {
            assert_eq!(report[nothing], 0, "{line}: {nothing}\n{out}");
        }
        assert!(report["done"].as_u64() > Some(0), "{line}\n{out}");
        report
    }

    /// A counter of the gateway.
    fn counter(&self, name: &str) -> u64 {
        let socket = self.dir.path().join("gatun.sock");
        let mut status = Command::new(env!("CARGO_BIN_EXE_gatun"));
        let output = status.args(["status", "--json", "--socket"]).arg(socket).output().unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        let counters = &status["lcores"][0]["counters"];
        counters[name].as_u64().unwrap_or_else(|| panic!("no counter {name}: {counters}"))
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.gatun.id() as i32), signal).unwrap();
    }

    /// Stops gatun, whose counters have to balance.
    fn finish(mut self) {
        self.signal(Signal::SIGTERM);
        assert!(self.gatun.wait().unwrap().success(), "the counters do not balance");
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.gatun.kill();
        let _ = self.gatun.wait();
    }
}

fn device(n: u32, socket: PathBuf) -> String {
    format!("net_virtio_user{n},path={},packed_vq=1,mrg_rxbuf=0,in_order=1,queue_size=1024", socket.display())
}

/// Runs the generator. The words of the line have no blanks.
fn load(world: World, dir: &Path, line: &str) -> Output {
    let net = Net::of(world);
    let mut words = line.split_whitespace();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatun-loadgen"));
    command.args(words.next()).args(["--no-huge", "--json", "--memory", "128", "--mbufs", "12287"]);
    let sides = if line.starts_with("synflood") { 1 } else { 2 };
    for (n, socket) in ["wan.sock", "lan.sock"].into_iter().enumerate().take(sides) {
        command.arg("--device").arg(device(n as u32, dir.join(socket)));
        command.args(["--routers", net.routers[n], "--gateway", net.gateways[n]]);
    }
    if !line.contains("--servers") {
        command.args(["--servers", net.servers]);
    }
    command.args(["--clients", net.clients, "--vip", net.vip]).args(words).output().unwrap()
}

#[test]
fn every_mode_gets_through_and_counts_what_the_gateway_counts() {
    through(World::V4);
}

#[test]
fn clients_of_ipv6_get_through_to_servers_of_ipv6() {
    through(World::V6);
}

#[test]
fn clients_of_ipv6_get_through_to_servers_of_ipv4() {
    through(World::Nat64);
}

fn through(world: World) {
    let bed = Bed::new(world);
    let udp = bed.report("udp --flows 100");
    assert_eq!(udp["packets"].as_f64().map(|p| p >= 2.0 * udp["done"].as_f64().unwrap() - 64.0), Some(true));
    assert_eq!(bed.counter("conns_opened"), 100);
    bed.report("udp --flows 100 --sizes 64,570,1518");
    assert_eq!(bed.counter("conns_opened"), 100, "the same flows");
    bed.report("tcp --flows 150 --sizes 64,1000");
    assert_eq!(bed.counter("conns_opened"), 250);
    // New connections of the same clients: their old ones are established, and only repeat their SYN.
    let conn = bed.report("conn --live 150");
    let done = conn["done"].as_u64().unwrap();
    assert!(bed.counter("conns_opened") >= 250 + done, "{done} of {}", bed.counter("conns_opened"));
    let paced = bed.report("udp --flows 10 --rate 500");
    assert_eq!(paced["bound_by"], "rate");
    // By the clock: what was due in the measured time, and no more.
    let (started, due) = (paced["started"].as_f64().unwrap(), 500.0 * paced["seconds"].as_f64().unwrap());
    assert!(started <= due + 2.0, "{started} of {due}");
    assert!(paced["latency_us"]["p99"].as_f64() >= paced["latency_us"]["p50"].as_f64());
    bed.finish();
}

#[test]
fn a_flood_opens_as_many_connections_as_it_says_it_sent_syns() {
    for world in [World::V4, World::Nat64] {
        let bed = Bed::new(world);
        let report = bed.report("synflood --rate 2000");
        let (opened, started) = (bed.counter("conns_opened"), report["done"].as_u64().unwrap());
        assert!(opened >= started, "{opened} of {started}, and the warm-up; {world:?}");
        bed.finish();
    }
}

#[test]
fn clients_who_send_again_lose_nothing_while_the_gateway_stands_still() {
    let bed = Bed::new(World::V4);
    let output = std::thread::scope(|scope| {
        let load = scope.spawn(|| bed.load("conn --rate 300 --repeat 2 --duration 6 --warmup 0"));
        // From here on next hops are known, and what comes gets through.
        while bed.counter("tx_sent") < 600 {
            assert!(!load.is_finished(), "no connection got through");
        }
        bed.signal(Signal::SIGSTOP);
        std::thread::sleep(Duration::from_millis(1_600));
        bed.signal(Signal::SIGCONT);
        load.join().unwrap()
    });
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{report}");
    // Both SYNs came through at last, and both were answered.
    for some in ["repeated", "late", "done"] {
        assert!(report[some].as_u64() > Some(0), "{some}: {report}");
    }
    for nothing in ["lost", "wrong", "unsent", "checksums_bad"] {
        assert_eq!(report[nothing], 0, "{nothing}: {report}");
    }
    bed.finish();
}

#[test]
fn what_is_not_as_it_should_be_has_an_exit_code_and_a_sentence() {
    let says = |output: &Output, code: i32, text: &str| {
        let all = [&output.stdout[..], &output.stderr[..]].concat();
        let all = String::from_utf8_lossy(&all);
        assert_eq!(output.status.code(), Some(code), "{all}");
        assert!(all.contains(text), "{text}: {all}");
    };
    let bed = Bed::new(World::V4);
    says(&bed.load("synflood"), 2, "--rate is missing: say how many SYNs a second the flood has");
    // The gateway's servers are not where the generator thinks they are.
    says(&bed.load("udp --servers 11.0.0.0/8 --duration 0.2"), 3, "no address of a server");
    let nobody = bed.load("udp --gateway-mac 02:00:00:00:00:77 --gateway-mac 02:00:00:00:00:78 --flows 8");
    says(&nobody, 1, "8 of 8 flows do not open: the gateway drops their first packets");
    bed.finish();
    let empty = tempfile::tempdir().unwrap();
    says(&load(World::V4, empty.path(), "udp"), 1, "--device net_virtio_user0,path=");
}
