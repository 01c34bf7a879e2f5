//! `gatunctl capture` while traffic goes on: into a real tcpdump, and into files.

use crate::config::Config;
use crate::gateway::Gateway;
use crate::lab::{Lab, NAT64, V4, V6, Way, at, within};
use crate::load::Load;
use gatun_engine::testkit::{check, pcap, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn gatunctl(gateway: &Gateway, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatunctl"));
    command.args(arguments.split_whitespace()).env("GATUN_SOCKET", gateway.socket());
    command
}

/// `gatunctl capture -w - ... | tcpdump -r -`.
struct Pipe {
    gatunctl: Child,
    tcpdump: Child,
}

impl Pipe {
    fn start(gateway: &Gateway, arguments: &str) -> Pipe {
        let mut command = gatunctl(gateway, &format!("capture -w - {arguments}"));
        let mut gatunctl = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let frames = gatunctl.stdout.take().expect("a pipe");
        let mut command = Command::new("tcpdump");
        let command = command.args(["-l", "-n", "-r", "-"]).stdin(frames).stdout(Stdio::piped()).stderr(Stdio::null());
        Pipe { gatunctl, tcpdump: command.spawn().expect("tcpdump is installed") }
    }
}

/// Requests for three seconds.
fn load(way: &Way) -> Load {
    let target = at(way.vip, 80).parse().unwrap();
    Load { target, sources: vec![way.client.parse().unwrap()], threads: 4, rate: Some(400), connections: 1_200 }
}

#[test]
fn tcpdump_shows_the_frames_of_a_tuple_while_they_come_and_no_request_fails() {
    for way in [&V4, &V6, &NAT64] {
        let (lab, gateway) = Lab::with(&Config::demo_on(way));
        let running = load(way).start(&lab);
        let (vip, client) = (at(way.vip, 80), way.client);
        let mut pipe = Pipe::start(&gateway, &format!("--tuple {client},{vip} --snaplen 128 --seconds 60"));
        let mut lines = BufReader::new(pipe.tcpdump.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        let seen: Vec<String> = lines.by_ref().take(200).collect();
        // It still runs: these were shown as they came.
        assert!(pipe.gatunctl.try_wait().unwrap().is_none(), "{}", way.name);
        let (ask, answer) = (format!("{client}."), format!("{}.80 > {client}.", way.vip));
        assert!(seen.iter().all(|line| line.contains(&ask)), "{}: {seen:#?}", way.name);
        assert!(
            seen.iter().any(|line| line.contains(&answer)) && seen.iter().any(|line| line.contains("HTTP")),
            "{seen:#?}"
        );
        // Ctrl-C, in the middle of it: what came until then is shown, and the gateway lets go of it.
        kill(Pid::from_raw(pipe.gatunctl.id() as i32), Signal::SIGINT).unwrap();
        lines.for_each(drop);
        assert!(pipe.tcpdump.wait().unwrap().success(), "the last frame is whole");
        let ended = pipe.gatunctl.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success() && said.contains(" frames, 0 lost"), "{said}");
        within(Duration::from_secs(5), "the capture ends with its client", || {
            let listed = gatunctl(&gateway, "capture --list --json").output().unwrap();
            let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
            listed[0]["running"] == false
        });
        let outcome = running.join().expect("the load");
        println!("{}: {outcome}", way.name);
        outcome.none_failed();
        gateway.finish();
    }
}

#[test]
fn a_file_has_each_packet_once_as_it_came_and_as_it_went_with_right_checksums() {
    // The second of two workers has no queues: it gets all and sends all through the first.
    let two = "workers = [1, 2]\ncpus = { 0 = 0, 1 = 0, 2 = 1 }";
    for config in [Config::demo(), Config::demo().edit("workers = [1]", two)] {
        a_file_has_each_packet_once(&config);
    }
}

fn a_file_has_each_packet_once(config: &Config) {
    let (lab, gateway) = Lab::with(config);
    let all = lab.path("all.pcap");
    let mut command = gatunctl(&gateway, &format!("capture -w {} --protocol tcp --count 1000", all.display()));
    let mut capture = command.stderr(Stdio::piped()).spawn().unwrap();
    within(Duration::from_secs(5), "the capture is on", || all.metadata().is_ok_and(|m| m.len() >= 24));
    let running = load(&V4).start(&lab);
    assert!(capture.wait().unwrap().success());
    let said = std::io::read_to_string(capture.stderr.take().expect("a pipe")).unwrap();
    assert!(said.starts_with("1000 frames, "), "{said}");
    let frames = pcap::read(&std::fs::read(&all).unwrap()).expect("a capture file");
    assert_eq!(frames.len(), 1_000);
    let mut sides = [0u32; 2];
    for captured in &frames {
        assert_eq!(captured.frame.len() as u32, captured.orig_len, "whole frames");
        check::checksums(&captured.frame).unwrap_or_else(|e| panic!("{e}: {}", text::long(&captured.frame)));
        let said = text::frame(&captured.frame);
        sides[usize::from(said.contains("198.18.2."))] += 1;
    }
    // What comes in on one side goes out on the other, and nothing twice but what hosts say twice.
    assert!(sides[0].abs_diff(sides[1]) < 100, "{sides:?}");
    let different: HashSet<&[u8]> = frames.iter().map(|captured| captured.frame.as_slice()).collect();
    assert!(different.len() > 980, "{} different frames", different.len());
    // Frames of one look into the rings stand in the order of time, and each look is later than the one before.
    let backwards = frames.windows(2).filter(|pair| pair[1].nanos < pair[0].nanos).count();
    assert!(backwards < 10, "{backwards} frames that are earlier than the one before");
    running.join().expect("the load").none_failed();
    gateway.finish();
}

#[test]
fn dropped_frames_are_captured_with_their_reason() {
    let (lab, gateway) = Lab::with(&Config::demo());
    let file = lab.path("drops.pcapng");
    let arguments = format!("capture -w {} --format pcapng --drop not_local --count 3", file.display());
    let mut capture = gatunctl(&gateway, &arguments).stderr(Stdio::piped()).spawn().unwrap();
    within(Duration::from_secs(5), "the capture is on", || file.metadata().is_ok_and(|m| m.len() >= 28));
    // Its own mac address, and nobody's address.
    lab.run("client", "ip neigh replace 198.18.1.77 lladdr 02:00:00:00:01:fe dev eth0");
    lab.spawn("client", "ping -n -c 5 -i 0.2 198.18.1.77");
    assert!(capture.wait().unwrap().success());
    let bytes = std::fs::read(&file).unwrap();
    let times = |what: &str| bytes.windows(what.len()).filter(|window| *window == what.as_bytes()).count();
    assert_eq!(times("lcore 1 dropped it: not_local: The destination is no address of this gateway."), 3);
    let said = Command::new("tcpdump").args(["-n", "-r"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(said.lines().filter(|l| l.contains("198.18.1.1 > 198.18.1.77: ICMP echo request")).count(), 3, "{said}");
    gateway.finish();
}

#[test]
fn a_client_that_does_not_read_loses_frames_and_keeps_nobody_waiting() {
    let lab = Lab::new();
    let gateway = lab.gateway(&Config::on(&V4, "tcp", 5201));
    lab.spawn("rs1", "iperf3 -s");
    lab.listens("rs1", 5201);
    let mut capture = UnixStream::connect(gateway.socket()).unwrap();
    let body = r#"{"seconds": 4, "count": 1000000}"#;
    let head = "POST /api/v1/captures HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: ";
    capture.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    // The answer has begun, and is not read any more.
    let mut first = [0; 512];
    assert!(capture.read(&mut first).unwrap() > 0);
    let said = lab.run("client", &format!("iperf3 -c {} -t 3 -J", V4.vip));
    let said: serde_json::Value = serde_json::from_str(&said).expect("iperf3 prints JSON");
    let rate = said["end"]["sum_received"]["bits_per_second"].as_f64().expect("a rate") / 1e9;
    let one = || {
        let listed = gatunctl(&gateway, "capture --list --json").output().unwrap();
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
        listed[0].clone()
    };
    let lost = one()["lost"].as_u64().expect("a number");
    println!("{rate:.2} Gbit/s, {lost} frames lost to a client that does not read");
    assert!(rate > 0.05 && lost > 1_000, "{rate} Gbit/s, {lost} lost");
    within(Duration::from_secs(8), "it ends when its time is up", || one()["running"] == false);
    drop(capture);
    gateway.finish();
}
