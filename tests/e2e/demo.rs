//! The demo itself.

use crate::lab::{Lab, script, within};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn demo() -> Command {
    // A shell can not trap a signal that was ignored when it started, as SIGINT is in what a script runs in the background.
    let mut demo = Command::new("env");
    demo.arg("--default-signal=INT,HUP,TERM,PIPE").arg(script("demo.sh"));
    demo.env("GATUN", env!("CARGO_BIN_EXE_gatun")).env_remove("KEEP").stdin(Stdio::null());
    demo.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    demo
}

/// Namespaces, processes and files of this demo that are still there.
fn left_behind(demo: &Child) -> Vec<String> {
    let prefix = format!("gt{}", demo.id());
    let mut left = Vec::new();
    let names = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    left.extend(
        names.map(|n| n.file_name().to_string_lossy().into_owned()).filter(|n| n.starts_with(&format!("{prefix}-"))),
    );
    let directory = format!("/tmp/{prefix}");
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains(&format!("{directory}/")) || command.contains(&format!("{prefix}-")) {
            left.push(command);
        }
    }
    if Path::new(&directory).exists() {
        left.push(directory);
    }
    left
}

#[test]
fn two_demos_side_by_side_show_everything_and_leave_nothing() {
    let lab = Lab::new(); // for its turn only: a demo makes its own network
    let start = Instant::now();
    let running = [demo().spawn().unwrap(), demo().spawn().unwrap()];
    for mut demo in running {
        let (mut out, mut err) = (String::new(), String::new());
        demo.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        demo.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        let status = demo.wait().unwrap();
        assert!(status.success(), "the demo ended with {status}\n{out}\n{err}");
        println!("{out}the demos took {:.1?}", start.elapsed());
        for shown in
            ["FullNat", "0 failed requests", "it would go to", "5 frames; the last of them", "gatun_drops_total{"]
        {
            assert!(out.contains(shown), "{shown} is not in\n{out}");
        }
        assert!(out.contains("All of it worked"), "{out}");
        assert_eq!(left_behind(&demo), Vec::<String>::new());
    }
    drop(lab);
}

#[test]
fn the_demo_keeps_running_when_asked_and_is_removed_by_its_own_command() {
    let lab = Lab::new();
    let mut running = demo().env("KEEP", "1").spawn().unwrap();
    let mut out = String::new();
    running.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert!(running.wait().unwrap().success(), "{out}");
    // The first and the last of the commands that it prints to be pasted.
    let commands: Vec<&str> = out.lines().skip_while(|l| !l.contains("left running")).skip(1).map(str::trim).collect();
    let paste = |what: &str| {
        let line = commands.iter().find(|line| line.contains(what)).unwrap_or_else(|| panic!("no {what} in\n{out}"));
        Command::new("sh").args(["-c", line]).output().unwrap()
    };
    let curl = paste(" curl ");
    assert!(curl.status.success() && curl.stdout.starts_with(b"rs"), "{curl:?}");
    assert!(paste(" status --connections").status.success());
    assert!(paste("gatunctl real drain ").status.success() && paste("gatunctl real undrain ").status.success());
    assert!(!left_behind(&running).is_empty());
    assert!(paste("demo.sh remove ").status.success());
    assert_eq!(left_behind(&running), Vec::<String>::new());
    drop(lab);
}

#[test]
fn the_demo_leaves_nothing_when_it_is_interrupted() {
    let lab = Lab::new();
    // At the first sign of each of these steps, Ctrl-C.
    for step in ["[ 1/", "[ 3/", "[ 4/", "real drain"] {
        let mut running = demo().spawn().unwrap();
        let mut out = BufReader::new(running.stdout.take().unwrap()).lines();
        let reached = out.by_ref().map_while(Result::ok).any(|line| line.contains(step));
        assert!(reached, "the demo ends before {step}");
        killpg(Pid::from_raw(running.id() as i32), Signal::SIGINT).expect("the demo runs");
        let mut status = None;
        within(Duration::from_secs(8), &format!("the demo ends when interrupted at {step}"), || {
            status = running.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.and_then(|s| s.code()), Some(130), "{step}");
        assert_eq!(left_behind(&running), Vec::<String>::new(), "interrupted at {step}");
    }
    drop(lab);
}

#[test]
fn the_demo_leaves_nothing_when_it_fails() {
    let lab = Lab::new();
    // Programs that end at once.
    let programs = lab.path("programs");
    std::fs::create_dir(&programs).unwrap();
    for name in ["gatun", "gatunctl", "gatun-ipvsadm"] {
        std::os::unix::fs::symlink("/bin/false", programs.join(name)).unwrap();
    }
    let mut running = demo().env("GATUN", programs.join("gatun")).spawn().unwrap();
    let mut said = String::new();
    running.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(1), "{said}");
    assert!(said.contains("FAILED at step 3"), "{said}");
    assert_eq!(left_behind(&running), Vec::<String>::new());
    drop(lab);
}
