//! Changes of the configuration while traffic goes on.

use crate::config::Config;
use crate::lab::{Lab, V4, V6, VIP, WAYS, at, within};
use crate::load::Load;
use crate::peers::{End, ping_pong, tcp_client, tcp_echo};
use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

const RS2_WEB: &str = "    { address = \"198.18.2.12:80\" },\n";
const RS2_WEB_DRAINING: &str = "    { address = \"198.18.2.12:80\", weight = 0 },\n";

fn load(connections: u64) -> Load {
    Load {
        target: format!("{VIP}:80").parse().unwrap(),
        sources: vec!["198.18.1.1".parse().unwrap()],
        threads: 8,
        rate: Some(1_000),
        connections,
    }
}

#[test]
fn a_server_drained_and_removed_under_load_costs_no_request() {
    let (lab, gateway) = Lab::with(&Config::demo());
    let running = load(5_000).start(&lab);
    let rs2 = |field: &str| gateway.status().real("web", "198.18.2.12:80", field);
    thread::sleep(Duration::from_millis(1_000));
    gateway.reload(&Config::demo().edit(RS2_WEB, RS2_WEB_DRAINING));
    within(Duration::from_secs(3), "rs2 has weight 0", || rs2("weight") == Some(0));
    within(Duration::from_secs(3), "rs2 has no connection", || rs2("active") == Some(0));
    let taken = rs2("conns").expect("rs2 is there");
    thread::sleep(Duration::from_millis(300));
    assert_eq!(rs2("conns"), Some(taken), "a server of weight 0 gets no new connection");
    gateway.reload(&Config::demo().edit(RS2_WEB, ""));
    within(Duration::from_secs(3), "rs2 is out", || rs2("weight").is_none());
    thread::sleep(Duration::from_millis(1_000));
    gateway.reload(&Config::demo());
    within(Duration::from_secs(3), "rs2 is back", || rs2("weight") == Some(1));
    let outcome = running.join().expect("the load");
    println!("a server out and in again: {outcome}");
    outcome.none_failed();
    assert!(rs2("conns").is_some_and(|conns| conns > 0), "rs2 gets connections again");
    gateway.finish();
}

#[test]
fn a_removed_server_resets_both_sides_with_their_next_packet() {
    for way in &WAYS {
        let lab = Lab::new();
        let seen = tcp_echo(&lab, "rs2", &at(way.rs2, 80));
        let _rs1 = tcp_echo(&lab, "rs1", &at(way.rs1, 80));
        let both = Config::demo_on(way);
        let gateway = lab.gateway(&both);
        // One connection to each server, and which is which only the gateway knows.
        let mut streams = [tcp_client(&lab, &at(way.vip, 80)), tcp_client(&lab, &at(way.vip, 80))];
        for stream in &mut streams {
            ping_pong(stream, b"before").expect("an echo");
        }
        gateway.reload_and_wait(&both.edit(&format!(", {{ address = \"{}\" }}", at(way.rs2, 80)), ""));
        thread::sleep(Duration::from_millis(200));
        let results = streams.each_mut().map(|stream| ping_pong(stream, b"after").map_err(|e| e.kind()));
        let reset = results.iter().filter(|r| **r == Err(ErrorKind::ConnectionReset)).count();
        let well = results.iter().filter(|r| r.is_ok()).count();
        assert_eq!(
            (reset, well),
            (1, 1),
            "{}: the removed server's is reset, the other one goes on: {results:?}",
            way.name
        );
        let (_, end) = seen.recv_timeout(Duration::from_secs(5)).expect("the removed server sees its connection end");
        assert_eq!(end, End::Reset, "{}", way.name);
        assert!(gateway.status().drops("real_removed_reset") >= 1);
        gateway.finish();
    }
}

#[test]
fn ipv6_comes_with_a_reload_and_goes_with_the_next_while_ipv4_goes_on() {
    let lab = Lab::new();
    let _echo = [tcp_echo(&lab, "rs1", &at(V4.rs1, 80)), tcp_echo(&lab, "rs1", &at(V6.rs1, 80))];
    let ipv4_alone = Config::on(&V4, "tcp", 80).edit(", \"2001:db8:1::fe/64\"", "").edit(", \"2001:db8:2::fe/64\"", "");
    let gateway = lab.gateway(&ipv4_alone);
    let mut old = tcp_client(&lab, &at(V4.vip, 80));
    ping_pong(&mut old, b"before").expect("an echo");
    assert!(!gateway.log().contains("IPv6"), "{}", gateway.log());

    let service = Config::on(&V6, "tcp", 80).edit("name = \"web\"", "name = \"web6\"\nladdr_pool = \"lan6\"");
    let service =
        service.edit("name = \"lan\"\naddresses = [\"2001", "name = \"lan6\"\naddresses = [\"2001").services();
    let both = Config::on(&V4, "tcp", 80).edit("name = \"web\"", "name = \"web\"\nladdr_pool = \"lan\"").add(&service);
    gateway.reload_and_wait(&both);
    let mut new = tcp_client(&lab, &at(V6.vip, 80));
    ping_pong(&mut new, b"over IPv6").expect("an echo");
    ping_pong(&mut old, b"meanwhile").expect("an echo");
    assert!(gateway.log().contains("port wan: promiscuous, as its driver has no other way to receive multicast"));

    gateway.reload_and_wait(&ipv4_alone);
    thread::sleep(Duration::from_millis(200));
    assert!(ping_pong(&mut new, b"after").is_err(), "its server is removed");
    ping_pong(&mut old, b"after").expect("an echo");
    gateway.finish();
}

#[test]
fn a_bad_file_changes_nothing_and_says_why() {
    let (lab, gateway) = Lab::with(&Config::demo());
    let mut kept = tcp_client(&lab, "198.18.1.100:80");
    let before = gateway.status().generation();
    let bad = Config::demo().edit("scheduler = \"rr\"", "scheduler = \"best\"").edit("memory_mb", "memory_gb");
    gateway.reload(&bad);
    within(Duration::from_secs(3), "both problems are logged", || gateway.says("best") && gateway.says("memory_gb"));
    assert_eq!(gateway.status().generation(), before);
    assert_eq!(lab.run("client", &format!("curl -sSf -H Connection:close http://{VIP}/?[1-10]")).lines().count(), 10);
    std::io::Write::write_all(&mut kept, b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut kept, &mut answer).expect("the connection goes on");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // And a good file still works.
    gateway.reload_and_wait(&Config::demo().edit(RS2_WEB, RS2_WEB_DRAINING));
    assert_eq!(gateway.status().real("web", "198.18.2.12:80", "weight"), Some(0));
    gateway.finish();
}
