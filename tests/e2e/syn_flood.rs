//! A SYN flood that fills the table costs honest clients nothing: half-open connections give up their seats, oldest first.
//!
//! Generator, gatun, and the kernels of client and server share the CPUs of the machine, so the flood is slower here than
//! what gatun has to withstand; tests/engine/pressure.rs has the full one, in virtual time.

use crate::config::Config;
use crate::lab::{Lab, VIP, within};
use crate::load::Load;
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;

/// SYNs a second: what a gatun without optimisation on a busy machine takes from veth without losing any.
const RATE: u32 = 5_000;
/// Seats of the table: the flood fills it in half a second.
const SEATS: u64 = 2_500;

#[test]
fn honest_clients_connect_through_a_syn_flood_over_a_full_table() {
    let config = Config::one_to_one("tcp", 80, "198.18.2.11:80");
    let (lab, gateway) = Lab::with(&config.edit("connections = 65_536", &format!("connections = {SEATS}")));
    // So that no connection below is the one that waits until the gateway knows the client's MAC address.
    lab.run("client", &format!("curl -sSf -m 5 http://{VIP}/"));
    let mut flood = lab.in_ns("client", env!("CARGO_BIN_EXE_gatun-loadgen"));
    flood.args(["synflood", "--no-huge", "--json", "--memory", "128", "--mbufs", "12287", "--device"]);
    flood.arg("net_af_packet0,iface=eth0,framesz=2048,blocksz=65536,framecnt=4096");
    flood.args(["--clients", "198.18.1.128/26", "--vip", "198.18.1.100:80", "--gateway", "198.18.1.254"]);
    flood.args(["--rate", &RATE.to_string(), "--duration", "8", "--warmup", "0"]);
    let flood = flood.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ip netns exec starts");
    let counter = |name: &str| gateway.status().by_lcore(name).iter().sum::<u64>();
    within(Duration::from_secs(30), "the flood fills the table", || counter("seats_from_half_open") > 0);

    let before = counter("seats_from_half_open");
    let sources = vec!["198.18.1.1".parse().unwrap()];
    let honest =
        Load { target: format!("{VIP}:80").parse().unwrap(), sources, threads: 4, rate: Some(50), connections: 300 };
    let outcome = honest.start(&lab).join().expect("the load");
    let during = counter("seats_from_half_open");

    let output = flood.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    println!("the flood: {:.0} SYNs a second, {during} seats pressed out", report["done_per_second"].as_f64().unwrap());
    println!("honest clients: {outcome}");
    assert!(during > before, "the flood went on over the full table while honest clients came");
    assert_eq!(gateway.status().drops("table_full"), 0);
    gateway.finish();
    outcome.none_failed();
}
