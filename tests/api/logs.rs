//! What the gateway says of itself: its log, who changed what, and its last words.

use crate::gateway::{Gateway, WEB, config};
use crate::process::{self, command};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::stat::fstat;
use serde_json::{Value, json};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A start that is refused before a device is touched, with its log.
fn refused(format: &str, journal: impl FnOnce(&std::io::PipeWriter) -> Option<String>) -> String {
    let dir = tempfile::tempdir().unwrap();
    let api = "[api]\nlisten = [\"127.0.0.1:1\"]\ntokens = \"/nonexistent/tokens\"\n";
    std::fs::write(dir.path().join("gatun.toml"), config(api, 1)).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = command(dir.path());
    if let Some(stream) = journal(&writer) {
        command.env("JOURNAL_STREAM", stream);
    }
    let mut child = command.env("GATUN_LOG_FORMAT", format).stderr(writer).spawn().unwrap();
    drop(command);
    let mut log = String::new();
    reader.read_to_string(&mut log).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{log}");
    log
}

/// As systemd says which stream is the journal's.
fn this_one(writer: &std::io::PipeWriter) -> Option<String> {
    let is = fstat(writer).unwrap();
    Some(format!("{}:{}", is.st_dev, is.st_ino))
}

#[test]
fn in_the_journal_a_line_has_its_priority_and_neither_time_nor_colour() {
    let journal = refused("human", this_one);
    assert!(journal.starts_with("<3>ERROR api.tokens = /nonexistent/tokens"), "{journal:?}");
    // Elsewhere, also where the variable was inherited from a service that logs to the journal.
    for elsewhere in [refused("human", |_| None), refused("human", |_| Some("1:1".to_owned()))] {
        assert!(elsewhere.starts_with("20") && elsewhere.contains("Z ERROR api.tokens"), "{elsewhere:?}");
    }
    let object = refused("json", this_one);
    let object: Value = serde_json::from_str(object.strip_prefix("<3>").unwrap()).unwrap();
    assert_eq!(object["level"], "ERROR");
}

#[test]
fn each_change_leaves_one_line_that_says_what_who_and_which_generation() {
    let gateway = Gateway::start("");
    gateway.ask("PATCH", &format!("{WEB}/reals/198.18.2.11-80"), &json!({"weight": 7})).is(200);
    gateway.ask("POST", "/api/v1/stats/zero", &Value::Null).is(200);
    gateway.ask("PATCH", WEB, &json!({"scheduler": "nonsense"})).is(422);
    let log = gateway.log.clone();
    let who = format!("who=\"uid {}\"", nix::unistd::geteuid());
    gateway.finish();
    let log = log.lock().unwrap();
    let audit: Vec<_> = log.iter().filter_map(|line| line.split_once(" INFO audit: ")).map(|(_, what)| what).collect();
    let weight =
        format!("service tcp 198.18.1.100:80: real 198.18.2.11:80 weight 1 -> 7 generation=2 {who} how=\"edit\"");
    assert_eq!(
        audit,
        [weight, format!("the counters of service tcp 198.18.1.100:80 are zero again generation=2 {who}")]
    );
}

#[test]
fn as_json_every_line_is_an_object_from_the_first_to_the_last() {
    let gateway = Gateway::start_with("", &[], |config| config);
    let dir = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(gateway.file("gatun.toml")).unwrap();
    gateway.finish();
    std::fs::write(dir.path().join("gatun.toml"), text).unwrap();
    let (log, mut command) = (Default::default(), command(dir.path()));
    command.args(["--log-format", "json"]);
    let mut child = process::run(command, &log);
    let mut ctl = Command::new(env!("CARGO_BIN_EXE_gatunctl"));
    ctl.arg("--socket").arg(dir.path().join("gatun.sock")).args(["service", "delete", "tcp/198.18.1.100:80"]);
    assert!(ctl.output().unwrap().status.success());
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
    let objects = || -> Vec<Value> {
        let log = log.lock().unwrap();
        log.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    };
    // The thread that reads may be a little behind.
    let begun = Instant::now();
    while !objects().iter().any(|line| line["status"].is_string()) {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", objects());
    }
    let objects = objects();
    assert!(objects.iter().all(|line| line["timestamp"].is_string() && line["message"].is_string()), "{objects:?}");
    let audit: Vec<_> = objects.iter().filter(|line| line["generation"] == 2).collect();
    let [audit] = &audit[..] else { panic!("{objects:?}") };
    let uid = format!("uid {}", nix::unistd::geteuid());
    assert_eq!((audit["who"].as_str(), audit["how"].as_str()), (Some(&*uid), Some("edit")));
    let end = objects.iter().find_map(|line| line["status"].as_str()).unwrap();
    assert_eq!(serde_json::from_str::<Value>(end).unwrap()["lcores"][0]["balance"], 0);
}

#[test]
fn a_core_dump_has_neither_tables_nor_packets() {
    let gateway = Gateway::start("");
    let smaps = std::fs::read_to_string(format!("/proc/{}/smaps", gateway.child.id())).unwrap();
    // kB of memory in use, by whether it is left out of dumps (dd).
    let (mut size, mut out, mut largest_in) = (0, 0, 0);
    for line in smaps.lines() {
        if let Some(kb) = line.strip_prefix("Size:") {
            size = kb.trim().trim_end_matches(" kB").parse().unwrap();
        }
        let Some(flags) = line.strip_prefix("VmFlags: ") else { continue };
        let has = |flag| flags.split(' ').any(|f| f == flag);
        match has("rd") && has("wr") {
            true if has("dd") => out += size,
            true => largest_in = size.max(largest_in),
            false => {}
        }
    }
    assert!(out >= 128 << 10, "memory_mb = 128: {out} kB are left out");
    assert!(largest_in < 64 << 10, "{largest_in} kB in one piece would be dumped");
    gateway.finish();
}

/// The child: a worker of DPDK's that comes across a bug.
fn abort() -> ! {
    setrlimit(Resource::RLIMIT_CORE, 0, 0).unwrap();
    let format = if std::env::var("GATUN_ABORT").unwrap() == "json" {
        gatun::log::Format::Json
    } else {
        gatun::log::Format::Human
    };
    gatun::log::start(format);
    let args = "--no-huge --no-shconf --no-telemetry --no-pci -m 64 --lcores 0@0,1@0 --log-level=*:error";
    let eal = dpdk::Eal::init(&args.split(' ').map(str::to_owned).collect::<Vec<_>>()).unwrap();
    let worker = eal.launch(eal.lcores()[1].id, come_across_a_bug).unwrap();
    let _ = worker.join();
    unreachable!("the process has ended");
}

#[inline(never)]
fn come_across_a_bug() -> i32 {
    let empty: [i32; 0] = [];
    empty[std::hint::black_box(7)]
}

#[test]
fn a_bug_ends_the_process_with_the_place_the_thread_and_the_way_there() {
    if std::env::var_os("GATUN_ABORT").is_some() {
        abort();
    }
    let name = "logs::a_bug_ends_the_process_with_the_place_the_thread_and_the_way_there";
    let run = |format: &str| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", name, "--nocapture"]).env("GATUN_ABORT", format).stdin(Stdio::null());
        let output = child.output().unwrap();
        assert_eq!(output.status.signal(), Some(Signal::SIGABRT as i32), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let said = run("human");
    for part in
        ["PANIC in lcore 1, thread ", "tests/api/logs.rs:", "the len is 0 but the index is 7", "come_across_a_bug"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = run("json");
    let object: Value = said.lines().find_map(|line| serde_json::from_str(line).ok()).unwrap();
    assert_eq!(object["lcore"], 1, "{object}");
    assert!(object["backtrace"].as_str().unwrap().contains("come_across_a_bug"), "{object}");
}
