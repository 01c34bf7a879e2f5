//! A local port is taken again while the Linux server still holds its old connection in TIME_WAIT.
//!
//! One local address towards one server: after 64,512 connections every further one is such a case. Several addresses of
//! the client make sure that many of them come with an older timestamp and a lower sequence number than the connection
//! before: Linux draws both bases anew for each pair of addresses, and for each tuple.
//!
//! A server that does not take such a SYN answers with an ACK, the client resets that and sends its SYN again: after a
//! second, or after ten milliseconds when it is Linux 5.6 or newer. So the clock of this machine's clients does not show
//! how it went; the SYNs that had to be sent again do.

use crate::config::Config;
use crate::lab::{Lab, V4, WAYS, Way, at};
use crate::load::{Load, Outcome};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The ports of one local address towards one server.
const PORTS: u64 = 64_512;
/// Connections that find every port used.
const REUSED: u64 = 20_000;

struct Pressed {
    outcome: Outcome,
    syns_sent_again: u64,
}

/// One at a time: each keeps both CPUs of a small machine busy, and what one has no time for, another has to send again.
static ALONE: Mutex<()> = Mutex::new(());

fn press(way: &Way, tcp: &str, timestamps: u8) -> Pressed {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (lab, gateway) = Lab::with(&Config::on(way, "tcp", 80).add(&format!("[tcp]\n{tcp}\n\n[timeouts]\nfin = 1\n")));
    lab.run("client", &format!("sysctl -qw net.ipv4.tcp_timestamps={timestamps}"));
    let net = way.client.strip_suffix('1').expect("the first host of its network");
    let sources: Vec<IpAddr> = (1..=5).map(|n| format!("{net}{n}").parse().unwrap()).collect();
    for source in &sources[1..] {
        lab.run("client", &format!("ip addr add {source}/{} dev eth0", if source.is_ipv4() { 24 } else { 64 }));
    }
    for source in &sources {
        // So that no connection below is the one that waits until the gateway knows the client's MAC address.
        lab.run("client", &format!("curl -sSf -m 5 --interface {source} http://{}/", at(way.vip, 80)));
    }
    let target = at(way.vip, 80).parse().unwrap();
    let load = Load { target, sources, threads: 16, rate: None, connections: PORTS + REUSED };
    let outcome = load.start(&lab).join().expect("the load");
    let syns_sent_again = lab.counter("client", "TcpExtTCPSynRetrans");
    println!("{}, {}, timestamps {timestamps}: {outcome}", way.name, tcp.replace('\n', ", "));
    println!("  of {REUSED} SYNs on ports that the server holds in TIME_WAIT, {syns_sent_again} had to be sent again");
    gateway.finish();
    outcome.none_failed();
    Pressed { outcome, syns_sent_again }
}

impl Pressed {
    fn taken_at_once(&self) {
        let slow = self.outcome.at_least(Duration::from_millis(900));
        assert_eq!(slow, 0, "connects that took a second: {}", self.outcome);
        // A packet may be lost between two kernels as well.
        assert!(self.syns_sent_again <= REUSED / 1_000, "{} SYNs were not taken at first", self.syns_sent_again);
    }
}

#[test]
fn a_server_in_time_wait_takes_every_syn_on_a_port_that_is_used_again() {
    for way in &WAYS {
        press(way, r#"syn_timestamps = "hot""#, 1).taken_at_once();
    }
}

#[test]
fn a_server_in_time_wait_takes_every_syn_of_clients_without_timestamps() {
    for way in &WAYS {
        press(way, r#"syn_timestamps = "hot""#, 0).taken_at_once();
    }
}

/// Not a promise but a price tag: what the default settings save.
#[test]
fn what_untouched_timestamps_and_sequence_numbers_cost_is_shown() {
    press(&V4, "syn_timestamps = \"keep\"\nraise_sequence = false", 1);
}
