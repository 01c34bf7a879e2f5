//! A flood of what the master has to answer costs an established connection nothing, and no neighbour.

use crate::config::Config;
use crate::lab::{Lab, V4, V6, Way, at};
use crate::peers::{ping_pong, tcp_client, tcp_echo};
use std::thread;
use std::time::{Duration, Instant};

/// A web service, a UDP service behind a small MTU, and a service without servers.
fn config(way: &Way) -> Config {
    let (echo, nobody, real) = (at(way.vip, 5353), at(way.vip, 81), at(way.rs1, 5353));
    Config::on(way, "tcp", 80).edit("name = \"lan\"\ndevice", "name = \"lan\"\nmtu = 1400\ndevice").add(&format!(
        r#"
[[service]]
name = "echo"
protocol = "udp"
address = "{echo}"
real = [{{ address = "{real}" }}]

[[service]]
name = "nobody"
protocol = "tcp"
address = "{nobody}"
real = []
"#
    ))
}

#[test]
fn floods_of_every_punt_leave_connections_and_neighbours_unharmed() {
    for (way, who_has) in [(&V4, "limit_arp"), (&V6, "limit_ndp")] {
        floods_leave_connections_and_neighbours_unharmed_on(way, who_has);
    }
}

fn floods_leave_connections_and_neighbours_unharmed_on(way: &Way, who_has: &str) {
    let lab = Lab::new();
    let _seen = tcp_echo(&lab, "rs1", &at(way.rs1, 80));
    let gateway = lab.gateway(&config(way));
    let vip = way.vip;
    let mut stream = tcp_client(&lab, &at(vip, 80));
    for (kind, over) in [
        ("ping", "limit_echo"),
        ("ttl1", "limit_ttl_exceeded"),
        ("dead-port", "limit_no_service"),
        ("no-server", "limit_no_server"),
        ("too-big", "limit_frag_needed"),
        ("who-has", who_has),
    ] {
        let before = gateway.status().drops(over);
        let frames = crate::lab::script("frames.py");
        // Two seconds of 20,000 a second.
        lab.spawn("client", &format!("{} {kind} {vip} 40000 20000", frames.display()));
        let start = Instant::now();
        let (mut slowest, mut turns, mut flushed) = (Duration::ZERO, 0, false);
        while start.elapsed() < Duration::from_millis(2_200) {
            let took = ping_pong(&mut stream, &[b'x'; 1_000]);
            slowest = slowest.max(took.unwrap_or_else(|e| panic!("{kind}: the established connection: {e}")));
            turns += 1;
            thread::sleep(Duration::from_millis(2));
            if !flushed && start.elapsed() > Duration::from_millis(700) {
                flushed = true;
                // The gateway's neighbours have to ask anew, in the middle of it. Those who share a cable with a flood of
                // requests share its limit, too; the servers do not.
                lab.run("rs1", "ip neigh flush all");
                if kind != "who-has" {
                    lab.run("client", "ip neigh flush all");
                }
                let start = Instant::now();
                let mut fresh = tcp_client(&lab, &at(vip, 80));
                ping_pong(&mut fresh, b"fresh").expect("an echo");
                let took = start.elapsed();
                println!("{kind}: neighbours on both sides and a new connection took {took:.2?}");
                assert!(took < Duration::from_millis(900), "{kind}: neighbours and a new connection took {took:?}");
            }
        }
        let status = gateway.status();
        let limited = status.drops(over) - before;
        println!("{kind}: {turns} exchanges, the slowest {slowest:.2?}; {limited} frames were over the limit");
        assert!(limited > 10_000, "{kind}: {limited} frames dropped as {over}");
        assert!(slowest < Duration::from_millis(200), "{kind}: an exchange took {slowest:?}");
        assert_eq!(status.neighbor_state(way.rs1).as_deref(), Some("reachable"), "{kind}");
    }
    gateway.finish();
}
