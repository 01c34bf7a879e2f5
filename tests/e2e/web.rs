//! Ordinary traffic: many requests, much data, many connections.

use crate::config::Config;
use crate::lab::{Lab, V4, V6, VIP, WAYS, Way, at, closing, within};
use crate::load::Load;
use crate::peers::{ask, ping_pong, tcp_client, tcp_echo, udp_client, udp_echo};
use serde_json::Value;
use std::io::{Read, Write};
use std::time::Duration;

/// Whether a line says of one of these local addresses that a server saw it.
fn is_local(way: &Way, line: &str) -> bool {
    way.lips.iter().any(|lip| line.contains(&format!(" saw {lip}:")))
}

#[test]
fn curl_gets_both_servers_in_turn() {
    for way in &WAYS {
        curl_gets_both_servers_in_turn_on(way);
    }
}

fn curl_gets_both_servers_in_turn_on(way: &Way) {
    let (lab, gateway) = Lab::with(&Config::demo_on(way));
    let url = at(way.vip, 80);
    let answers = lab.run("client", &format!("curl -sSf -m 20 -H Connection:close http://{url}/?[1-100]"));
    let mut names = answers.lines().map(|line| &line[..3]);
    let first = names.next().expect("an answer");
    let mut last = first;
    for name in names {
        assert_ne!(name, last, "round robin takes the other server each time:\n{answers}");
        last = name;
    }
    assert_eq!(answers.lines().count(), 100);
    assert!(answers.lines().all(|line| is_local(way, line)), "servers see local addresses only:\n{answers}");
    for (role, address) in [("rs1", at(way.rs1, 80)), ("rs2", at(way.rs2, 80))] {
        let log = lab.access_log(role);
        assert_eq!(log.lines().filter(|line| is_local(way, &format!(" saw {line}"))).count(), 50, "{role}");
        assert_eq!(gateway.status().real("web", &address, "conns"), Some(50), "{role}");
    }
    gateway.finish();
}

#[test]
fn servers_of_both_families_take_turns_behind_one_ipv6_vip() {
    let lab = Lab::new();
    lab.nginx("rs1", &[V6.rs1]);
    // It has no IPv6 at all.
    lab.nginx("rs2", &[V4.rs2]);
    lab.run("rs2", "ip -6 addr flush dev eth0");
    let gateway = lab.gateway(&Config::demo());
    let url = at(V6.vip, 80);
    let answers = lab.run("client", &format!("curl -sSf -m 20 -H Connection:close http://{url}/?[1-100]"));
    let of = |way: &Way, name: &str| answers.lines().filter(|l| l.starts_with(name) && is_local(way, l)).count();
    assert_eq!((of(&V6, "rs1"), of(&V4, "rs2")), (50, 50), "{answers}");
    gateway.finish();
}

#[test]
fn a_large_download_arrives_as_it_is_and_no_kernel_finds_a_wrong_checksum() {
    let data: Vec<u8> = (0..32 << 20).map(|n: u32| (n.wrapping_mul(0x9E37_79B1) >> 24) as u8).collect();
    for way in &WAYS {
        let lab = Lab::new();
        lab.nginx("rs1", &[way.rs1]);
        std::fs::write(lab.path("www/big"), &data).unwrap();
        let gateway = lab.gateway(&Config::on(way, "tcp", 80));
        let (url, file) = (at(way.vip, 80), lab.path("downloaded"));
        lab.run("client", &format!("curl -sSf -m 60 -o {} http://{url}/big", file.display()));
        assert!(std::fs::read(&file).unwrap() == data, "{}: the file is another one", way.name);
        for role in ["client", "rs1"] {
            assert_eq!(lab.counter(role, "TcpInCsumErrors"), 0, "{}: {role}", way.name);
        }
        gateway.finish();
    }
}

#[test]
fn wrk_on_kept_connections_has_no_failed_request() {
    let (lab, gateway) = Lab::with(&Config::demo());
    let said = lab.run("client", &format!("wrk -t 1 -c 50 -d 4 --latency http://{VIP}/"));
    assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
    println!("wrk, kept connections: {}", line_with(&said, "Requests/sec"));
    gateway.finish();
}

#[test]
fn wrk_with_a_connection_for_each_request_has_no_failed_request() {
    let (lab, gateway) = Lab::with(&Config::demo());
    let said = lab.run("client", &format!("wrk -t 1 -c 50 -d 4 --latency -s {} http://{VIP}/", closing()));
    assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
    println!("wrk, a connection each: {}", line_with(&said, "Requests/sec"));
    gateway.finish();
}

#[test]
fn three_thousand_short_connections_a_second_for_a_minute_never_wait_to_connect() {
    let (lab, gateway) = Lab::with(&Config::one_to_one("tcp", 80, "198.18.2.11:80"));
    let load = Load {
        target: format!("{VIP}:80").parse().unwrap(),
        sources: vec!["198.18.1.1".parse().unwrap()],
        threads: 24,
        rate: Some(3_000),
        connections: 180_000,
    };
    let outcome = load.start(&lab).join().expect("the load");
    println!("through one local address to one server, at default timeouts: {outcome}");
    outcome.none_failed();
    assert!(outcome.rate() > 2_700.0, "the load itself could not keep up: {outcome}");
    assert_eq!(outcome.at_least(Duration::from_millis(200)), 0, "connects above 200 ms: {outcome}");
    // With 64,512 ports most connections find one that the server still holds in TIME_WAIT: see `port_reuse`.
    let again = lab.counter("client", "TcpExtTCPSynRetrans");
    println!("SYNs that had to be sent again: {again}");
    assert!(again <= 180, "{again} SYNs were not taken at first");
    gateway.finish();
}

#[test]
fn iperf3_runs_both_ways() {
    for way in &WAYS {
        let lab = Lab::new();
        let gateway = lab.gateway(&Config::on(way, "tcp", 5201));
        lab.spawn("rs1", "iperf3 -s");
        lab.listens("rs1", 5201);
        for (direction, option) in [("client to server", ""), ("server to client", "-R")] {
            let said = lab.run("client", &format!("iperf3 -c {} -t 3 -J {option}", way.vip));
            let said: Value = serde_json::from_str(&said).expect("iperf3 prints JSON");
            let rate = said["end"]["sum_received"]["bits_per_second"].as_f64().expect("a rate") / 1e9;
            let again = &said["end"]["sum_sent"]["retransmits"];
            println!("iperf3 {}, {direction}: {rate:.2} Gbit/s, {again} retransmits", way.name);
            assert!(rate > 0.05, "iperf3 {}, {direction}: {rate} Gbit/s", way.name);
        }
        gateway.finish();
    }
}

#[test]
fn udp_datagrams_come_back_from_the_server_that_their_client_has() {
    for way in &WAYS {
        let lab = Lab::new();
        udp_echo(&lab, "rs1", &at(way.rs1, 5353));
        udp_echo(&lab, "rs2", &at(way.rs2, 5353));
        let gateway = lab.gateway(&Config::demo_on(way));
        let mut servers = Vec::new();
        for _ in 0..4 {
            let client = udp_client(&lab, &at(way.vip, 5353));
            let first = ask(&client, b"one").expect("an answer");
            assert_eq!(ask(&client, b"one").expect("an answer"), first, "one client stays with one server");
            assert!(first.ends_with(b" one"));
            servers.push(first);
        }
        assert_eq!(servers[0], servers[2], "{}", way.name);
        assert_eq!(servers[1], servers[3], "{}", way.name);
        assert_ne!(servers[0], servers[1], "{}: the next client gets the other server", way.name);
        gateway.finish();
    }
}

#[test]
fn ten_thousand_connections_at_once_are_all_usable() {
    let (lab, gateway) = Lab::with(&Config::demo());
    let streams: Vec<_> = lab.within("client", || {
        let target = format!("{VIP}:80").parse().unwrap();
        (0..10_000)
            .map(|n| {
                let stream = std::net::TcpStream::connect_timeout(&target, Duration::from_secs(5));
                let stream = stream.unwrap_or_else(|e| panic!("connection {n}: {e}"));
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                stream
            })
            .collect()
    });
    let active = |gateway: &crate::gateway::Gateway| {
        let status = gateway.status();
        ["198.18.2.11:80", "198.18.2.12:80"].map(|real| status.real("web", real, "active").expect("a server"))
    };
    assert_eq!(active(&gateway), [5_000, 5_000]);
    assert_eq!(gateway.connections().len(), 10_000);
    for turn in 0..2 {
        for (n, mut stream) in streams.iter().enumerate() {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: gatun\r\n\r\n").unwrap();
            let mut answer = [0; 512];
            let read = stream.read(&mut answer).unwrap_or_else(|e| panic!("connection {n}, turn {turn}: {e}"));
            assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "connection {n}, turn {turn}");
        }
    }
    drop(streams);
    within(Duration::from_secs(10), "no connection is established any more", || active(&gateway) == [0, 0]);
    gateway.finish();
}

#[test]
fn two_workers_share_the_connections() {
    let config = Config::demo()
        .edit("workers = [1]", "workers = [1, 2]\ncpus = { 0 = 0, 1 = 0, 2 = 1 }")
        .edit("framecnt=4096", "framecnt=4096,qpairs=2");
    let (lab, gateway) = Lab::with(&config);
    let said = lab.run("client", &format!("curl -sSf -H Connection:close http://{VIP}/?[1-200]"));
    assert_eq!(said.lines().count(), 200, "{said}");
    let said = lab.run("client", &format!("wrk -t 1 -c 50 -d 3 -s {} http://{VIP}/", closing()));
    assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
    println!("wrk, a connection each, two workers: {}", line_with(&said, "Requests/sec"));
    let opened = gateway.status().by_lcore("conns_opened");
    assert!(opened.len() >= 2 && opened.iter().all(|&n| n > 50), "connections opened by each worker: {opened:?}");
    gateway.finish();
}

#[test]
fn a_listed_connection_tells_both_tuples() {
    for way in &WAYS {
        let lab = Lab::new();
        let seen = tcp_echo(&lab, "rs1", &at(way.rs1, 80));
        let gateway = lab.gateway(&Config::on(way, "tcp", 80));
        let mut stream = tcp_client(&lab, &at(way.vip, 80));
        ping_pong(&mut stream, b"hello").expect("an echo");
        let connections = gateway.connections();
        let [connection] = &connections[..] else { panic!("one connection: {connections:?}") };
        let text = |field: &str| connection[field].as_str().expect("a text").to_owned();
        assert_eq!(text("protocol"), "tcp");
        assert_eq!(text("client"), stream.local_addr().unwrap().to_string());
        assert_eq!(text("vip"), at(way.vip, 80));
        assert_eq!(text("real"), at(way.rs1, 80));
        assert_eq!(text("state").to_lowercase(), "established");
        drop(stream);
        let (client, end) = seen.recv_timeout(Duration::from_secs(5)).expect("the server saw it end");
        assert_eq!(end, crate::peers::End::Orderly);
        assert_eq!(text("local"), client.to_string());
        assert_eq!(client.ip().to_string(), way.lips[0]);
        gateway.finish();
    }
}

fn line_with(text: &str, what: &str) -> String {
    text.lines().find(|line| line.contains(what)).unwrap_or_default().trim().to_owned()
}
