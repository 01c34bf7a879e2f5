//! A local port is taken again while the Linux server still holds its old connection in TIME_WAIT.
//!
//! One local address towards one server: after 64,512 connections every further one is such a case. Eight addresses of the
//! client make sure that half of them come with an older timestamp and a lower sequence number than the connection before:
//! Linux draws both bases anew for each pair of addresses.

use crate::config::Config;
use crate::lab::{Lab, VIP};
use crate::load::{Load, Outcome};
use std::time::Duration;

const PORTS: u64 = 64_512;

/// A SYN that a server in TIME_WAIT does not take is sent again after a second.
const SECOND: Duration = Duration::from_millis(900);

fn press(tcp: &str, connections: u64, timestamps: u8) -> Outcome {
    let (lab, gateway) = Lab::with(
        &Config::one_to_one("tcp", 80, "198.18.2.11:80").add(&format!("[tcp]\n{tcp}\n\n[timeouts]\nfin = 1\n")),
    );
    lab.run("client", &format!("sysctl -qw net.ipv4.tcp_timestamps={timestamps}"));
    for n in 2..=8 {
        lab.run("client", &format!("ip addr add 198.18.1.{n}/24 dev eth0"));
    }
    let load = Load {
        target: format!("{VIP}:80").parse().unwrap(),
        sources: (1..=8).map(|n| format!("198.18.1.{n}").parse().unwrap()).collect(),
        threads: 24,
        rate: None,
        connections,
    };
    let outcome = load.start(&lab).join().expect("the load");
    let waiting = lab.run("rs1", "ss -s");
    println!("{tcp}, timestamps {timestamps}: {outcome}");
    println!("  the server: {}", waiting.lines().find(|line| line.starts_with("TCP:")).unwrap_or_default());
    gateway.finish();
    outcome
}

#[test]
fn no_connect_takes_a_second_because_of_a_port_in_time_wait() {
    let outcome = press(r#"syn_timestamps = "hot""#, PORTS + 20_000, 1);
    outcome.none_failed();
    assert_eq!(outcome.at_least(SECOND), 0, "connects that took a second: {outcome}");
}

#[test]
fn nor_when_the_client_sends_no_timestamps() {
    let outcome = press(r#"syn_timestamps = "hot""#, PORTS + 20_000, 0);
    outcome.none_failed();
    assert_eq!(outcome.at_least(SECOND), 0, "connects that took a second: {outcome}");
}

/// Not a promise but a price tag: what the two settings would cost if both were off.
#[test]
fn what_untouched_timestamps_and_sequence_numbers_cost_is_shown() {
    let outcome = press("syn_timestamps = \"keep\"\nraise_sequence = false", PORTS + 10_000, 1);
    println!("  of 10,000 connects on ports in TIME_WAIT {} took a second", outcome.at_least(SECOND));
}
