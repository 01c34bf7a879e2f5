//! The program as its operator meets it: start, refusals, end.

use crate::config::Config;
use crate::gateway::run_to_its_end;
use crate::lab::{Lab, VIP, closing};
use nix::sys::signal::Signal;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

#[test]
fn the_gateway_is_ready_within_three_seconds_and_knows_its_next_hops() {
    let (lab, gateway) = Lab::with(&Config::demo());
    println!("ready after {:.0?}", gateway.ready_after);
    // For one of them others may object to its IPv6 addresses (RFC 4862, 5.4).
    assert!(gateway.ready_after < Duration::from_secs(3), "ready after {:?}", gateway.ready_after);
    let status = gateway.status();
    assert!(status.is_ready());
    for server in ["198.18.2.11", "198.18.2.12", "2001:db8:2::11"] {
        assert_eq!(status.neighbor_state(server).as_deref(), Some("reachable"), "{server}");
    }
    // The very first request is not the one that waits for ARP.
    lab.run("client", &format!("curl -sSf -m 1 http://{VIP}/"));
    let log = gateway.finish();
    println!("{log}");
}

#[test]
fn a_server_that_is_away_does_not_keep_the_gateway_from_being_ready() {
    let lab = Lab::new();
    lab.nginx("rs1", &["198.18.2.11"]);
    let gateway = lab.gateway(&Config::demo().edit("198.18.2.12", "198.18.2.99"));
    println!("ready after {:.0?} with a server that does not answer ARP", gateway.ready_after);
    assert_eq!(gateway.status().neighbor_state("198.18.2.11").as_deref(), Some("reachable"));
    assert_ne!(gateway.status().neighbor_state("198.18.2.99").as_deref(), Some("reachable"));
    gateway.finish();
}

#[test]
fn the_status_is_a_table_for_people_too() {
    let (lab, gateway) = Lab::with(&Config::demo());
    lab.run("client", &format!("curl -sSf http://{VIP}/?[1-4]"));
    let said = gateway.tell(&[]);
    for what in ["web", "198.18.1.100:80", "198.18.2.11:80", "198.18.2.12:80", "rr", "active", "inactive"] {
        assert!(said.contains(what), "no {what:?} in\n{said}");
    }
    let said = gateway.tell(&["--connections"]);
    assert!(said.contains("198.18.1.1:") && said.contains("198.18.2.10"), "both tuples in\n{said}");
    gateway.finish();
}

#[test]
fn sigterm_under_load_ends_well_and_balanced() {
    let (lab, gateway) = Lab::with(&Config::demo());
    lab.spawn("client", &format!("wrk -t 1 -c 20 -d 20 -s {} http://{VIP}/", closing()));
    thread::sleep(Duration::from_secs(1));
    gateway.finish();
}

#[test]
fn a_second_gateway_on_the_same_ports_is_refused() {
    let (lab, gateway) = Lab::with(&Config::demo());
    let (code, said) =
        run_to_its_end(lab.in_ns("gw", env!("CARGO_BIN_EXE_gatun")), &lab.path("gatun.toml"), &lab.path("2.sock"));
    println!("{said}");
    assert_eq!(code, Some(1), "{said}");
    assert_one_sentence(&said, &["gt-wan"]);
    // The first one does not notice.
    lab.run("client", &format!("curl -sSf -m 1 http://{VIP}/"));
    gateway.finish();
}

#[test]
fn a_killed_gateway_does_not_keep_the_next_one_from_starting() {
    let (lab, gateway) = Lab::with(&Config::demo());
    gateway.signal(Signal::SIGKILL);
    drop(gateway);
    let next = lab.gateway(&Config::demo());
    lab.run("client", &format!("curl -sSf -m 5 http://{VIP}/"));
    next.finish();
}

#[test]
fn every_problem_of_a_configuration_is_listed_and_the_exit_code_is_2() {
    let lab = Lab::new();
    let file = lab.path("bad.toml");
    let bad = Config::demo()
        .edit("scheduler = \"rr\"", "scheduler = \"best\"")
        .edit("memory_mb", "memory_gb")
        .edit("198.18.2.11:80", "198.18.2.300:80");
    bad.write(&file);
    let (code, said) = run_to_its_end(lab.in_ns("gw", env!("CARGO_BIN_EXE_gatun")), &file, &lab.path("gatun.sock"));
    assert_eq!(code, Some(2), "{said}");
    let check = check_config(&file);
    assert_eq!(check.status.code(), Some(2));
    let checked = String::from_utf8_lossy(&check.stderr);
    for what in ["best", "memory_gb", "198.18.2.300"] {
        assert!(said.contains(what), "run does not tell of {what}:\n{said}");
        assert!(checked.contains(what), "check-config does not tell of {what}:\n{checked}");
    }
}

fn check_config(file: &std::path::Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gatun")).arg("check-config").arg(file).output().expect("gatun starts")
}

#[test]
fn an_unknown_device_is_one_sentence_and_the_exit_code_is_1() {
    let lab = Lab::new();
    let file = lab.path("gatun.toml");
    let gatun = || lab.in_ns("gw", env!("CARGO_BIN_EXE_gatun"));
    let (wan, all) =
        ("net_af_packet0,iface=gt-wan", "net_af_packet0,iface=gt-wan,framesz=2048,blocksz=65536,framecnt=4096");
    for (device, replacement, named) in [
        (wan, "net_af_packet0,iface=gt-none", "gt-none"),
        (wan, "net_marvellous0,iface=gt-wan", "net_marvellous0"),
        (all, "0000:ff:1f.7", "0000:ff:1f.7"),
    ] {
        Config::demo().edit(device, replacement).write(&file);
        let (code, said) = run_to_its_end(gatun(), &file, &lab.path("gatun.sock"));
        println!("{said}");
        assert_eq!(code, Some(1), "{replacement}: {said}");
        assert_one_sentence(&said, &[named]);
    }
}

#[test]
fn status_without_a_gateway_says_so() {
    let lab = Lab::new();
    let mut status = Command::new(env!("CARGO_BIN_EXE_gatun"));
    let output = status.args(["status", "--socket"]).arg(lab.path("gatun.sock")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_one_sentence(&String::from_utf8_lossy(&output.stderr), &["gatun.sock"]);
}

#[test]
fn sighup_without_a_change_is_harmless() {
    let (lab, gateway) = Lab::with(&Config::demo());
    for _ in 0..20 {
        gateway.signal(Signal::SIGHUP);
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(lab.run("client", &format!("curl -sSf -H Connection:close http://{VIP}/?[1-10]")).lines().count(), 10);
    gateway.finish();
}

/// gatun's own last line has these words; EAL may have said more before.
fn assert_one_sentence(said: &str, words: &[&str]) {
    let last = said.lines().last().unwrap_or_default();
    for word in words {
        assert!(last.contains(word), "the last line does not name {word}:\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}
