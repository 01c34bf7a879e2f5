//! The REST interface while traffic goes on.

use crate::config::Config;
use crate::gateway::Gateway;
use crate::lab::{Lab, VIP, within};
use crate::load::Load;
use crate::peers::{ping_pong, tcp_client, tcp_echo, udp_echo};
use gatun::client::{Ask, Client, Target};
use serde_json::{Value, json};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const WEB: &str = "/api/v1/services/tcp-198.18.1.100-80";

fn ask(gateway: &Gateway, method: &str, path: &str, body: &Value) -> Value {
    let client = Client::new(&Target { socket: gateway.socket().to_owned(), ..Target::default() }).expect("a client");
    let body = Some(body).filter(|body| !body.is_null());
    client.send(method, path, &Ask::default(), body).unwrap_or_else(|e| panic!("{method} {path}: {e}"))
}

#[test]
fn connections_are_found_counted_and_ended_by_any_field() {
    let lab = Lab::new();
    let _servers = [tcp_echo(&lab, "rs1", "198.18.2.11:80"), tcp_echo(&lab, "rs2", "198.18.2.12:80")];
    let gateway = lab.gateway(&Config::demo());
    let mut streams: Vec<_> = (0..6).map(|_| tcp_client(&lab, "198.18.1.100:80")).collect();
    for stream in &mut streams {
        ping_pong(stream, b"before").expect("an echo");
    }
    let count = |filter: &str| {
        ask(&gateway, "GET", &format!("/api/v1/connections/count?{filter}"), &Value::Null)["count"].clone()
    };
    assert_eq!((count(""), count("state=established"), count("protocol=udp")), (json!(6), json!(6), json!(0)));
    assert_eq!(
        (count("real=198.18.2.11"), count("real=198.18.2.12:80"), count("vip=198.18.1.100:81")),
        (json!(3), json!(3), json!(0))
    );
    // Page by page each is seen once.
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = ask(&gateway, "GET", &format!("/api/v1/connections?limit=2&client=198.18.1.1{after}"), &Value::Null);
        let items = page["items"].as_array().expect("items");
        assert!(items.len() <= 2, "{page}");
        seen.extend(items.iter().map(|c| c["client"].as_str().expect("a client").to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    let mut expected: Vec<_> = streams.iter().map(|s| s.local_addr().unwrap().to_string()).collect();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    let client = &expected[0];
    let killed = ask(&gateway, "DELETE", &format!("/api/v1/connections?client={client}"), &Value::Null);
    assert_eq!((killed["killed"].clone(), count("")), (json!(1), json!(5)));
    assert_eq!(
        ask(&gateway, "DELETE", "/api/v1/connections?real=198.18.2.12", &Value::Null)["killed"]
            .as_u64()
            .map(|n| (2..=3).contains(&n)),
        Some(true)
    );
    let well = streams.iter_mut().filter(|s| s.local_addr().unwrap().to_string() != *client);
    let well = well.map(|s| {
        s.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        ping_pong(s, b"after").is_ok()
    });
    assert!((2..=3).contains(&well.filter(|well| *well).count()), "the others go on");
    gateway.finish();
}

#[test]
fn a_server_drained_and_brought_back_under_load_costs_no_request() {
    let (lab, gateway) = Lab::with(&Config::demo());
    let load = Load {
        target: format!("{VIP}:80").parse().unwrap(),
        sources: vec!["198.18.1.1".parse().unwrap()],
        threads: 8,
        rate: Some(1_000),
        connections: 5_000,
    };
    let running = load.start(&lab);
    thread::sleep(Duration::from_millis(800));
    let real = format!("{WEB}/reals/198.18.2.12-80");
    let begun = ask(&gateway, "POST", &format!("{real}/drain"), &json!({"deadline": 3}));
    assert_eq!(begun["weight"], 1, "{begun}");
    within(Duration::from_secs(20), "rs2 leaves at its deadline, when only connections in TIME_WAIT are left", || {
        gateway.status().real("web", "198.18.2.12:80", "weight").is_none()
    });
    thread::sleep(Duration::from_millis(300));
    ask(&gateway, "POST", &format!("{WEB}/reals"), &json!({"address": "198.18.2.12:80"}));
    let outcome = running.join().expect("the load");
    println!("drained and back: {outcome}");
    outcome.none_failed();
    gateway.finish();
}

/// Datagrams there and back, one after the other, until it is told to stop. A datagram that is lost is not sent again: the
/// number of those that came back, or which one did not.
fn datagrams(lab: &Lab, stop: &Arc<AtomicBool>) -> thread::JoinHandle<Result<u64, u64>> {
    let stop = stop.clone();
    lab.thread("client", move || {
        let socket = UdpSocket::bind("198.18.1.1:0").expect("bind");
        socket.connect("198.18.1.100:5353").expect("connect");
        socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        let mut buffer = [0; 64];
        for n in 0u64.. {
            if stop.load(Ordering::Relaxed) {
                return Ok(n);
            }
            socket.send(&n.to_be_bytes()).expect("send");
            match socket.recv(&mut buffer) {
                Ok(len) if buffer[..len].ends_with(&n.to_be_bytes()) => {}
                _ => return Err(n),
            }
        }
        unreachable!("there are more numbers than that");
    })
}

/// Forty changes: by turns services come, get a server, and go; those that have traffic get a server, lose it, and have
/// other weights.
fn changes(turn: u32) -> Value {
    let (web, echo) = ("tcp-198.18.1.100-80", "udp-198.18.1.100-5353");
    let mut changes: Vec<Value> = (10_000..10_036)
        .map(|port| match turn % 3 {
            0 => json!({"op": "put_service", "service": {"protocol": "tcp", "address": format!("198.18.1.100:{port}")}}),
            1 => json!({"op": "put_real", "service": format!("tcp-198.18.1.100-{port}"), "real": {"address": "198.18.2.11:80"}}),
            _ => json!({"op": "delete_service", "id": format!("tcp-198.18.1.100-{port}")}),
        })
        .collect();
    for (service, port) in [(web, 80), (echo, 5353)] {
        // It is not there: with a weight it would cost requests.
        let real = json!({"address": format!("198.18.2.13:{port}"), "weight": 0});
        changes.push(match turn % 3 {
            0 => json!({"op": "add_real", "service": service, "real": real}),
            1 => json!({"op": "put_real", "service": service, "real": real}),
            _ => json!({"op": "delete_real", "service": service, "id": format!("198.18.2.13-{port}")}),
        });
        let patch = json!({"weight": 1 + turn % 9});
        changes
            .push(json!({"op": "patch_real", "service": service, "id": format!("198.18.2.12-{port}"), "patch": patch}));
    }
    json!({"changes": changes})
}

#[test]
fn a_thousand_changes_a_second_cost_neither_a_request_nor_a_datagram() {
    let (lab, gateway) = Lab::with(&Config::demo());
    udp_echo(&lab, "rs1", "198.18.2.11:5353");
    udp_echo(&lab, "rs2", "198.18.2.12:5353");
    let load = Load {
        target: format!("{VIP}:80").parse().unwrap(),
        sources: vec!["198.18.1.1".parse().unwrap()],
        threads: 4,
        rate: Some(500),
        connections: 2_500,
    };
    let stop = Arc::default();
    let (requests, datagrams) = (load.start(&lab), datagrams(&lab, &stop));
    let (begun, mut turns) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(4) {
        ask(&gateway, "POST", "/api/v1/transaction", &changes(turns));
        turns += 1;
    }
    let (made, rate) = (40 * turns, f64::from(40 * turns) / begun.elapsed().as_secs_f64());
    let outcome = requests.join().expect("the load");
    stop.store(true, Ordering::Relaxed);
    let echoed = datagrams.join().expect("the datagrams");
    println!("{made} changes, {rate:.0} a second: {outcome}; {echoed:?} datagrams");
    outcome.none_failed();
    assert!(echoed.is_ok_and(|n| n > 500), "{echoed:?}");
    assert!(rate > 1_000.0, "{rate}");
    gateway.finish();
}
