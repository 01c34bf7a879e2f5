//! Changes of the configuration while traffic goes on.

use crate::config::Config;
use crate::lab::{Lab, VIP, within};
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
    let lab = Lab::new();
    let seen = tcp_echo(&lab, "rs2", "198.18.2.12:80");
    let _rs1 = tcp_echo(&lab, "rs1", "198.18.2.11:80");
    let gateway = lab.gateway(&Config::demo());
    // One connection to each server, and which is which only the gateway knows.
    let mut streams = [tcp_client(&lab, "198.18.1.100:80"), tcp_client(&lab, "198.18.1.100:80")];
    for stream in &mut streams {
        ping_pong(stream, b"before").expect("an echo");
    }
    gateway.reload_and_wait(&Config::demo().edit(RS2_WEB, ""));
    thread::sleep(Duration::from_millis(200));
    let results = streams.each_mut().map(|stream| ping_pong(stream, b"after").map_err(|e| e.kind()));
    let reset = results.iter().filter(|r| **r == Err(ErrorKind::ConnectionReset)).count();
    let well = results.iter().filter(|r| r.is_ok()).count();
    assert_eq!((reset, well), (1, 1), "the removed server's is reset, the other one goes on: {results:?}");
    let (_, end) = seen.recv_timeout(Duration::from_secs(5)).expect("the removed server sees its connection end");
    assert_eq!(end, End::Reset);
    assert!(gateway.status().drops("real_removed_reset") >= 1);
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
