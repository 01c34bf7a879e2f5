//! A network of namespaces for one test, and what runs in it.

use crate::config::Config;
use crate::gateway::Gateway;
use nix::sched::{CloneFlags, setns};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The address that clients ask.
pub(crate) const VIP: &str = "198.18.1.100";
/// The local address that servers see in most tests.
pub(crate) const LIP: &str = "198.18.2.100";
/// The gateway's own address on the clients' side.
pub(crate) const GATEWAY: &str = "198.18.1.254";
/// The real servers.
pub(crate) const RS1: &str = "198.18.2.11";
pub(crate) const RS2: &str = "198.18.2.12";

/// The addresses of a way through the gateway: which family clients and servers have. What holds for one holds for all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) client: &'static str,
    pub(crate) vip: &'static str,
    /// The gateway's own addresses, on the clients' and on the servers' side.
    pub(crate) gateway: [&'static str; 2],
    pub(crate) lips: [&'static str; 2],
    pub(crate) rs1: &'static str,
    pub(crate) rs2: &'static str,
}

/// IPv4 clients of IPv4 servers.
pub(crate) const V4: Way = Way {
    name: "4 to 4",
    client: "198.18.1.1",
    vip: VIP,
    gateway: [GATEWAY, "198.18.2.254"],
    lips: [LIP, "198.18.2.101"],
    rs1: RS1,
    rs2: RS2,
};
/// IPv6 clients of IPv6 servers.
pub(crate) const V6: Way = Way {
    name: "6 to 6",
    client: "2001:db8:1::1",
    vip: "2001:db8:1::100",
    gateway: ["2001:db8:1::fe", "2001:db8:2::fe"],
    lips: ["2001:db8:2::100", "2001:db8:2::101"],
    rs1: "2001:db8:2::11",
    rs2: "2001:db8:2::12",
};
/// IPv6 clients of IPv4 servers.
pub(crate) const NAT64: Way = Way {
    name: "6 to 4",
    client: V6.client,
    vip: V6.vip,
    gateway: [V6.gateway[0], V4.gateway[1]],
    lips: V4.lips,
    rs1: RS1,
    rs2: RS2,
};
/// All there are.
pub(crate) const WAYS: [Way; 3] = [V4, V6, NAT64];

/// Address and port as one writes them.
pub(crate) fn at(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// Client, gateway and two servers, each in a namespace of its own. One at a time: they want the whole machine.
pub(crate) struct Lab {
    prefix: String,
    dir: PathBuf,
    /// Removes everything when the pipe to it closes: in `drop`, or because this process is gone.
    guard: Child,
    started: Mutex<Vec<Child>>,
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());
static COUNT: AtomicU32 = AtomicU32::new(0);

impl Lab {
    /// The network, without gateway and servers.
    pub(crate) fn new() -> Lab {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            nix::unistd::geteuid().is_root()
                && Command::new("ip").arg("netns").output().is_ok_and(|o| o.status.success()),
            "the end-to-end tests need root, `ip netns` and more: run `make test`"
        );
        allow_many_sockets();
        let prefix = format!("gt{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = PathBuf::from(format!("/tmp/{prefix}"));
        std::fs::create_dir(&dir).unwrap();
        let guard = Command::new("setsid")
            .arg(script("net.sh"))
            .args(["guard", &prefix])
            .arg(&dir)
            .stdin(Stdio::piped())
            .spawn()
            .expect("setsid starts");
        let lab = Lab { prefix, dir, guard, started: Mutex::default(), _turn: turn };
        let up = Command::new(script("net.sh")).args(["up", &lab.prefix]).output().unwrap();
        assert!(up.status.success(), "net.sh up: {}", String::from_utf8_lossy(&up.stderr));
        lab
    }

    /// The network with a ready gateway and nginx on both servers.
    pub(crate) fn with(config: &Config) -> (Lab, Gateway) {
        let lab = Lab::new();
        lab.nginx("rs1", &[V4.rs1, V6.rs1]);
        lab.nginx("rs2", &[V4.rs2, V6.rs2]);
        let gateway = lab.gateway(config);
        (lab, gateway)
    }

    /// A gateway that is ready.
    pub(crate) fn gateway(&self, config: &Config) -> Gateway {
        let file = self.path("gatun.toml");
        config.write(&file);
        Gateway::start(self.in_ns("gw", env!("CARGO_BIN_EXE_gatun")), &file, &self.path("gatun.sock"))
    }

    /// nginx as in the demo: `/` tells who answers and whom it saw, `/big` is a gigabyte of zeros.
    pub(crate) fn nginx(&self, role: &str, addresses: &[&str]) {
        let config = self.path(&format!("{role}.conf"));
        let text = std::fs::read_to_string(script("nginx.conf")).unwrap();
        let listen: String = addresses.iter().map(|a| format!("listen {} backlog=16384; ", at(a, 80))).collect();
        let text = text.replace("DIR", self.dir.to_str().unwrap()).replace("NAME", role).replace("LISTEN", &listen);
        std::fs::write(&config, text).unwrap();
        std::fs::create_dir_all(self.path("www")).unwrap();
        File::create(self.path("www/big")).unwrap().set_len(1 << 30).unwrap();
        let errors = self.path(&format!("{role}.error.log"));
        let mut nginx = self.in_ns(role, "nginx");
        self.start(nginx.arg("-e").arg(&errors).arg("-c").arg(&config));
        self.listens(role, 80);
    }

    /// A command in a namespace, to be started by the caller.
    pub(crate) fn in_ns(&self, role: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &format!("{}-{role}", self.prefix), program]).stdin(Stdio::null());
        command
    }

    /// Runs a command line in a namespace; its words have no blanks. The test fails when the command does.
    pub(crate) fn run(&self, role: &str, line: &str) -> String {
        let output = self.try_run(role, line);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{role}: {line}: {}\n{out}{err}", output.status);
        out.into_owned()
    }

    /// Runs a command line that may fail.
    pub(crate) fn try_run(&self, role: &str, line: &str) -> Output {
        let mut words = line.split_whitespace();
        self.in_ns(role, words.next().expect("a program")).args(words).output().expect("ip netns exec starts")
    }

    /// A counter of the kernel in a namespace, as `nstat` names it.
    pub(crate) fn counter(&self, role: &str, name: &str) -> u64 {
        let said = self.run(role, &format!("nstat -asz {name}"));
        let line = said.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}:\n{said}"));
        line.split_whitespace().nth(1).and_then(|value| value.parse().ok()).expect("a number")
    }

    /// Starts a command line in the background. It ends with the test at the latest.
    pub(crate) fn spawn(&self, role: &str, line: &str) {
        let mut words = line.split_whitespace();
        let mut command = self.in_ns(role, words.next().expect("a program"));
        self.start(command.args(words));
    }

    fn start(&self, command: &mut Command) {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("ip netns exec starts");
        self.started.lock().unwrap().push(child);
    }

    /// Waits until somebody listens on this TCP port there.
    pub(crate) fn listens(&self, role: &str, port: u16) {
        within(Duration::from_secs(5), &format!("{role} listens on port {port}"), || {
            !self.run(role, &format!("ss -Hltn sport = :{port}")).is_empty()
        });
    }

    /// Runs a closure in a thread that is in a namespace. Sockets opened there stay there, wherever they go.
    pub(crate) fn thread<T: Send + 'static>(
        &self,
        role: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let netns = File::open(format!("/run/netns/{}-{role}", self.prefix)).unwrap();
        thread::spawn(move || {
            setns(netns, CloneFlags::CLONE_NEWNET).expect("setns");
            work()
        })
    }

    /// The same, and waits for its result.
    pub(crate) fn within<T: Send + 'static>(&self, role: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
        match self.thread(role, work).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// A path in the directory of this network.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A real server's access log; nginx writes it once a second.
    pub(crate) fn access_log(&self, role: &str) -> String {
        thread::sleep(Duration::from_millis(1200));
        std::fs::read_to_string(self.path(&format!("{role}.access.log"))).unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
        for child in self.started.get_mut().unwrap_or_else(PoisonError::into_inner) {
            let _ = child.wait();
        }
    }
}

/// A file beside these tests.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e").join(name)
}

/// The script that makes wrk open a connection for each request.
pub(crate) fn closing() -> String {
    script("close.lua").display().to_string()
}

/// Waits until it is so; the test fails when it is not so in time.
pub(crate) fn within(limit: Duration, what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn allow_many_sockets() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(most >= 12_000, "a test opens 10,000 sockets, and this shell allows {most} files: see `ulimit -Hn`");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
}
