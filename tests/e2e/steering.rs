//! Several workers on ports with enough queues, with fewer, and with none of their own.

use crate::config::Config;
use crate::gateway::Gateway;
use crate::lab::{Lab, VIP, closing, within};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

const TWO_WORKERS: &str = "workers = [1, 2]\ncpus = { 0 = 0, 1 = 0, 2 = 1 }";
const THREE_WORKERS: &str = "workers = [1, 2, 3]\ncpus = { 0 = 0, 1 = 0, 2 = 1, 3 = 1 }";

/// Requests on new connections and on kept ones, none of which fails.
fn requests(lab: &Lab) {
    let said = lab.run("client", &format!("curl -sSf -H Connection:close http://{VIP}/?[1-300]"));
    assert_eq!(said.lines().count(), 300, "{said}");
    for script in [format!("-s {}", closing()), String::new()] {
        let said = lab.run("client", &format!("wrk -t 1 -c 50 -d 2 {script} http://{VIP}/"));
        assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
        println!("{}", said.lines().find(|line| line.contains("Requests/sec")).expect("a rate"));
    }
}

/// Every worker opened its share, and what was handed over is told.
fn all_work(gateway: &Gateway, workers: usize) {
    let status = gateway.status();
    let opened = status.by_lcore("conns_opened");
    assert_eq!(opened.len(), workers);
    assert!(opened.iter().all(|&n| n > 50), "connections opened by each worker: {opened:?}");
    let of = |counter| status.by_lcore(counter).into_iter().sum::<u64>();
    let share = (of("to_ring") - of("relayed")) as f64 / of("rx") as f64;
    let told = status.json()["redirected"].as_f64().expect("a share");
    println!("{workers} workers opened {opened:?}; {:.1} % of all received frames were handed over", 100.0 * told);
    assert!(told > 0.1 && (told - share).abs() < 1e-9, "{told} is told, {share} is so");
    let said = gateway.tell(&[]);
    assert!(said.contains("of all received frames were handed over"), "{said}");
    assert!(said.contains("software: net_af_packet has no RSS over TCP and UDP ports"), "{said}");
}

#[test]
fn two_workers_share_ports_of_one_queue() {
    let (lab, gateway) = Lab::with(&Config::demo().edit("workers = [1]", TWO_WORKERS));
    requests(&lab);
    all_work(&gateway, 2);
    // Each has the one queue of one port, and sends to the other port through the other worker.
    let status = gateway.status();
    assert!(status.by_lcore("rx").iter().all(|&n| n > 100), "{:?}", status.by_lcore("rx"));
    assert!(status.by_lcore("relayed").iter().all(|&n| n > 100), "{:?}", status.by_lcore("relayed"));
    // The gateway's own frames find a queue of their port, too.
    lab.run("client", &format!("ping -n -q -c 3 -i 0.1 -W 2 {VIP}"));
    lab.run("rs1", "ping -n -q -c 3 -i 0.1 -W 2 198.18.2.254");
    gateway.finish();
}

#[test]
fn three_workers_share_ports_of_two_queues() {
    let config = Config::demo().edit("workers = [1]", THREE_WORKERS).edit("framecnt=4096", "framecnt=2048,qpairs=2");
    let (lab, gateway) = Lab::with(&config);
    requests(&lab);
    all_work(&gateway, 3);
    gateway.finish();
}

#[test]
fn a_worker_without_any_queue_lives_on_what_others_hand_over() {
    // One port of one queue for both sides, and two workers.
    let lab = Lab::new();
    lab.nginx("rs1", &["198.18.2.11"]);
    let config = Config::one_to_one("tcp", 80, "198.18.2.11:80").edit("workers = [1]", THREE_WORKERS);
    let gateway = lab.gateway(&config);
    requests(&lab);
    all_work(&gateway, 3);
    let status = gateway.status();
    let (rx, relayed) = (status.by_lcore("rx"), status.by_lcore("relayed"));
    assert_eq!((rx[2], status.json()["ports"][0]["rx_queues"].as_u64()), (0, Some(1)), "{rx:?}");
    assert!(
        relayed[2] > 100 && status.by_lcore("tx_sent")[2] == 0,
        "all that it sends goes through others: {relayed:?}"
    );
    gateway.finish();
}

#[test]
fn auto_is_a_worker_on_each_cpu_but_the_masters() {
    let (lab, gateway) = Lab::with(&Config::demo().edit("workers = [1]", "workers = \"auto\""));
    lab.run("client", &format!("curl -sSf -m 5 http://{VIP}/"));
    let status = gateway.status();
    assert_eq!(status.json()["workers"], "auto");
    let cpus: Vec<u64> =
        status.json()["lcores"].as_array().expect("lcores").iter().map(|l| l["cpu"].as_u64().expect("a CPU")).collect();
    let set = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap();
    let allowed: Vec<u64> =
        (1..nix::sched::CpuSet::count()).filter(|&c| set.is_set(c).unwrap()).map(|c| c as u64).collect();
    assert_eq!(cpus, allowed[..allowed.len().min(127)], "every CPU but 0, which is the master's");
    assert!(gateway.tell(&[]).contains("workers = auto"));
    gateway.finish();
}

/// The demo on devices that receive empty frames at will, and accept a hash key without using it.
fn on_null(wan: &str, lan: &str) -> Config {
    let options = ",framesz=2048,blocksz=65536,framecnt=4096";
    Config::demo()
        .edit("workers = [1]", &format!("{TWO_WORKERS}\nidle = \"sleep\""))
        .edit(&format!("net_af_packet0,iface=gt-wan{options}\""), &format!("net_null0,copy=1\"\nsteering = \"{wan}\""))
        .edit(&format!("net_af_packet1,iface=gt-lan{options}\""), &format!("net_null1,copy=1\"\nsteering = \"{lan}\""))
}

#[test]
fn a_device_that_only_claims_to_steer_falls_to_software_and_says_why() {
    let lab = Lab::new();
    let gateway = lab.gateway(&on_null("rss", "flow"));
    let status = gateway.status();
    let steering = |port: usize| status.json()["ports"][port]["steering"].clone();
    println!("{}\n{}", steering(0), steering(1));
    assert_eq!((steering(0)["asked"].as_str(), steering(0)["runs"].as_str()), (Some("rss"), Some("software")));
    assert!(steering(0)["why"].as_str().unwrap().contains("net_null"), "{}", steering(0));
    assert_eq!((steering(1)["asked"].as_str(), steering(1)["runs"].as_str()), (Some("flow"), Some("software")));
    assert!(steering(1)["why"].as_str().unwrap().contains("the rule for "), "{}", steering(1));
    assert_eq!((steering(0)["falls"].as_u64(), steering(1)["falls"].as_u64()), (Some(1), Some(1)));
    let log = gateway.finish();
    assert!(log.contains("port wan: steering falls from rss to software"), "{log}");
    assert!(log.contains("port lan: steering falls from flow to software"), "{log}");
}

#[test]
fn a_worker_that_does_not_get_to_run_is_told_of_and_does_not_keep_the_status_waiting() {
    let (lab, gateway) = Lab::with(&Config::demo().edit("workers = [1]", TWO_WORKERS));
    let stopped = stop_second_worker(&gateway);
    within(Duration::from_secs(10), "the stopped worker is logged", || {
        gateway.log().contains("worker lcore 2 does not get to run")
    });
    let lcore = |n: usize| gateway.status().json()["lcores"][n].clone();
    assert!(lcore(1)["descheduled"].as_u64() >= Some(1));
    assert_eq!((lcore(0)["stalls"].as_u64(), lcore(1)["stalls"].as_u64()), (Some(0), Some(0)));
    gateway.connections();
    ptrace::detach(stopped, None).expect("to let it go on");
    within(Duration::from_secs(5), "it goes on", || gateway.log().contains("lcore 2 goes on after"));
    lab.run("client", &format!("curl -sSf -H Connection:close http://{VIP}/?[1-50]"));
    gateway.finish();
}

/// Stops one thread as a debugger does; signals stop all of them.
fn stop_second_worker(gateway: &Gateway) -> Pid {
    let workers = gateway.worker_threads();
    assert_eq!(workers.len(), 2);
    ptrace::seize(workers[1], ptrace::Options::empty()).expect("to be the debugger of a child");
    ptrace::interrupt(workers[1]).expect("to stop it");
    waitpid(workers[1], Some(WaitPidFlag::__WALL)).expect("it stops");
    workers[1]
}

#[test]
fn a_worker_that_does_not_end_does_not_keep_the_gateway_from_ending() {
    let (_lab, mut gateway) = Lab::with(&Config::demo().edit("workers = [1]", TWO_WORKERS));
    let stopped = stop_second_worker(&gateway);
    gateway.signal(Signal::SIGTERM);
    // The debugger has to take leave of the thread, too.
    let flags = WaitPidFlag::__WALL | WaitPidFlag::WNOHANG;
    within(Duration::from_secs(10), "the thread is gone", || {
        waitpid(stopped, Some(flags)) != Ok(WaitStatus::StillAlive)
    });
    let exit = gateway.exit(Instant::now(), Duration::from_secs(10));
    let log = gateway.log();
    assert!(log.contains("worker lcore 2 does not end"), "{log}");
    assert_eq!(exit.code(), Some(1), "it did not stop in order");
}

#[test]
fn another_policy_or_other_workers_are_refused_by_a_reload() {
    let (lab, gateway) = Lab::with(&Config::demo());
    let before = gateway.status().generation();
    let other = Config::demo()
        .edit("name = \"wan\"", "name = \"wan\"\nsteering = \"software\"")
        .edit("workers = [1]", "workers = \"auto\"");
    gateway.reload(&other);
    within(Duration::from_secs(3), "the refusal is logged", || gateway.log().contains("nothing was changed"));
    let log = gateway.log();
    for what in
        ["port[\"wan\"].steering: cannot change while gatun runs", "lcores.workers: cannot change while gatun runs"]
    {
        assert!(log.contains(what), "no {what:?} in\n{log}");
    }
    assert_eq!(gateway.status().generation(), before);
    lab.run("client", &format!("curl -sSf -m 5 http://{VIP}/"));
    gateway.finish();
}

#[test]
fn a_bad_argument_for_the_eal_is_a_sentence_without_its_page_of_usage() {
    let lab = Lab::new();
    let file = lab.path("gatun.toml");
    Config::demo().edit("memory_mb = 256", "memory_mb = 256\nargs = [\"--no-such-option\"]").write(&file);
    let mut gatun = lab.in_ns("gw", env!("CARGO_BIN_EXE_gatun"));
    let output =
        gatun.args(["run", "--config"]).arg(&file).arg("--socket").arg(lab.path("gatun.sock")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert_eq!(
        (output.status.code(), output.stdout.len()),
        (Some(1), 0),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(said.lines().last().is_some_and(|last| last.contains("--no-such-option")), "{said}");
}
