//! The REST interface of a running gateway (on DPDK, with ports made of rings), over real HTTP: the socket, and TCP.

#![cfg(feature = "dpdk")]

mod capture;
mod gateway;
mod logs;
#[path = "../support/process.rs"]
mod process;
mod spec;
mod tls;

use gateway::{Gateway, WEB, config, http, raw, with_tcp};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn services_and_servers_are_made_changed_and_taken_out_and_each_answer_says_the_generation() {
    let gateway = Gateway::start("");
    let dns =
        json!({"protocol": "udp", "address": "198.18.1.100:53", "reals": [{"address": "198.18.2.11:53", "weight": 3}]});
    let made = gateway.ask("POST", "/api/v1/services", &dns);
    assert_eq!(made.header("location"), Some("/api/v1/services/udp-198.18.1.100-53"));
    assert_eq!(made.header("etag"), Some("\"2\""));
    assert_eq!(made.is(201)["generation"], 2);
    gateway.ask("POST", "/api/v1/services", &dns).is(409);
    let path = "/api/v1/services/udp-198.18.1.100-53";
    let same = gateway.ask("PUT", path, &dns).is(200);
    assert_eq!(
        (same["generation"].clone(), same["reals"][0]["weight"].clone()),
        (json!(2), json!(3)),
        "PUT is idempotent"
    );
    let patched =
        gateway.ask("PATCH", path, &json!({"name": "dns", "scheduler": "wrr", "timeouts": {"udp": 5}})).is(200);
    assert_eq!((patched["name"].as_str(), patched["timeouts"]["udp"].as_u64()), (Some("dns"), Some(5)));
    let back = gateway.ask("PATCH", path, &json!({"name": null, "timeouts": null})).is(200);
    assert_eq!((back["name"].as_str(), back["timeouts"]["udp"].as_u64()), (Some("udp 198.18.1.100:53"), Some(300)));
    // Servers.
    gateway.ask("POST", &format!("{path}/reals"), &json!({"address": "198.18.2.12:53"})).is(201);
    gateway.ask("POST", &format!("{path}/reals"), &json!({"address": "198.18.2.12:53"})).is(409);
    gateway.ask("PATCH", &format!("{path}/reals/198.18.2.12-53"), &json!({"weight": 7})).is(200);
    let listed = gateway.get(&format!("{path}/reals?limit=1")).is(200);
    assert_eq!((listed["total"].clone(), listed["next"].clone()), (json!(2), json!("198.18.2.11-53")));
    let next = gateway.get(&format!("{path}/reals?limit=1&after=198.18.2.11-53")).is(200);
    assert_eq!((next["items"][0]["weight"].clone(), next.get("next")), (json!(7), None));
    for (filter, found) in [
        ("weight=7", vec!["198.18.2.12-53"]),
        ("weight=0", vec![]),
        ("address=198.18.2.11", vec!["198.18.2.11-53"]),
        ("address=198.18.2.11:80", vec![]),
        ("address=198.18.2.12:53&weight=7", vec!["198.18.2.12-53"]),
    ] {
        let listed = gateway.get(&format!("{path}/reals?{filter}")).is(200);
        let ids: Vec<_> = listed["items"].as_array().unwrap().iter().filter_map(|r| r["id"].as_str()).collect();
        assert_eq!(ids, found, "{filter}");
    }
    gateway.ask("DELETE", &format!("{path}/reals/198.18.2.12-53"), &Value::Null).is(200);
    gateway.get(&format!("{path}/reals/198.18.2.12-53")).is(404);
    // A filter finds what it says and nothing else.
    for (filter, found) in [
        ("protocol=udp", 1),
        ("address=198.18.1.100", 2),
        ("address=198.18.1.100:80", 1),
        ("name=web", 1),
        ("scheduler=rr", 1),
        ("real=198.18.2.11", 2),
        ("real=198.18.2.11:53", 1),
        ("laddr_pool=other", 0),
    ] {
        assert_eq!(gateway.get(&format!("/api/v1/services?{filter}")).is(200)["total"], found, "{filter}");
    }
    gateway.ask("DELETE", path, &Value::Null).is(200);
    gateway.ask("DELETE", path, &Value::Null).is(404);
    // What it says is what a file says.
    let exported = gateway.get("/api/v1/config");
    gatun::config::parse(&exported.body, "exported").unwrap();
    gateway.finish();
}

#[test]
fn a_write_that_was_made_for_another_generation_is_refused() {
    let gateway = Gateway::start("");
    let weight = |n: u16| json!({"weight": n});
    let path = format!("{WEB}/reals/198.18.2.11-80");
    gateway.with("PATCH", &path, &[("If-Match", "\"1\"")], &weight(2)).is(200);
    let late = gateway.with("PATCH", &path, &[("If-Match", "\"1\"")], &weight(3)).is(412);
    assert_eq!(late["generation"], 2);
    gateway.with("PATCH", &path, &[("If-Match", "1")], &weight(3)).is_problem();
    gateway.with("PATCH", &path, &[("If-Match", "*")], &weight(4)).is(200);
    // Of many who read the same, one wins.
    let gateway = Arc::new(gateway);
    let race = |n: u16| {
        let (gateway, path) = (gateway.clone(), path.clone());
        thread::spawn(move || gateway.with("PATCH", &path, &[("If-Match", "\"3\"")], &json!({"weight": 10 + n})).status)
    };
    let racers: Vec<_> = (0..100).map(race).collect();
    let statuses: Vec<u16> = racers.into_iter().map(|r| r.join().unwrap()).collect();
    assert_eq!(statuses.iter().filter(|s| **s == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|s| **s == 412).count(), 99, "{statuses:?}");
    assert_eq!(gateway.get("/api/v1/version").is(200)["generation"], 4);
}

#[test]
fn a_transaction_is_all_or_nothing() {
    let gateway = Gateway::start("");
    let add = json!({"op": "add_real", "service": "tcp-198.18.1.100-80", "real": {"address": "198.18.2.13:80"}});
    let wrong = json!({"op": "delete_service", "id": "tcp-198.18.1.100-81"});
    gateway.ask("POST", "/api/v1/transaction", &json!({"changes": [add, wrong]})).is(404);
    assert_eq!(gateway.get(WEB).is(200)["reals"].as_array().unwrap().len(), 2);
    let pool = json!({"op": "put_laddr_pool", "laddr_pool": {"name": "two", "addresses": ["198.18.2.200"]}});
    let service =
        json!({"op": "put_service", "service": {"protocol": "tcp", "address": "198.18.1.100:81", "laddr_pool": "two"}});
    let body = json!({"changes": [add, pool, service]});
    let dry = gateway.ask("POST", "/api/v1/transaction?dry_run=true", &body).is(200);
    assert_eq!((dry["generation"].clone(), dry["changes"].as_array().unwrap().len()), (json!(1), 3));
    let done = gateway.ask("POST", "/api/v1/transaction", &body).is(200);
    assert_eq!(
        (done["generation"].clone(), done["running"].clone(), done["changes"].clone()),
        (json!(2), json!(true), dry["changes"].clone())
    );
    let back = gateway.ask("POST", "/api/v1/config/rollback", &json!({"generation": 1})).is(200);
    assert_eq!((back["generation"].clone(), back["changes"].as_array().unwrap().len()), (json!(3), 3));
    gateway.ask("POST", "/api/v1/config/rollback", &json!({"generation": 99})).is(404);
}

#[test]
fn every_route_answers() {
    let gateway = Gateway::start("");
    for path in [
        "version",
        "services",
        "laddr-pools",
        "laddr-pools/lan",
        "routes",
        "neighbors",
        "neighbors/198.18.2.11",
        "ports",
        "ports/wan",
        "lcores",
        "lcores/1",
        "connections",
        "connections/count",
        "captures",
        "stats",
        "timeouts",
        "config/diff",
        "config/confirm",
        "config/generations",
        "status",
        "health",
    ] {
        let answer = gateway.get(&format!("/api/v1/{path}"));
        assert!(answer.json().get("generation").is_some(), "{path}: {answer:?}");
        answer.is(200);
    }
    assert_eq!(gateway.get("/api/v1/ports/wan").is(200)["driver"], "net_ring");
    let stats = gateway.get("/api/v1/stats").is(200);
    assert!(stats["drops"].as_array().unwrap().len() > 20);
    assert_eq!((stats["states"]["ESTABLISHED"].clone(), stats["laddrs"].as_array().map(Vec::len)), (json!(0), Some(2)));
    assert_eq!(stats["services"][0]["reals"].as_array().map(Vec::len), Some(2));
    let one = gateway.get("/api/v1/stats?service=tcp-198.18.1.100-80&reals=false").is(200);
    assert_eq!((one["services"].as_array().map(Vec::len), one["services"][0]["servers"].clone()), (Some(1), json!(2)));
    assert_eq!(one["services"][0]["reals"], json!([]));
    gateway.get("/api/v1/stats?service=tcp-198.18.1.100-81").is(404);
    for limit in ["index", "timers", "port_lists", "port_class", "connections"] {
        let limits = gateway.get("/api/v1/capacity").is(200);
        let found = limits["items"].as_array().unwrap().iter().find(|l| l["limit"] == limit);
        assert!(found.is_some_and(|l| l["room"].as_u64() > Some(0)), "{limit}: {limits}");
    }
    assert_eq!(gateway.get("/openapi.json").is(200)["openapi"].as_str().map(|v| &v[..3]), Some("3.1"));
    assert!(gateway.get("/docs/index.html").body.contains("swagger"));
    assert!(gateway.get("/docs/swagger-initializer.js").body.contains("/openapi.json"));
    gateway.ask("PUT", "/api/v1/routes/198.18.64.0-18", &json!({"to": "198.18.64.0/18", "via": "198.18.2.1"})).is(201);
    assert_eq!(gateway.get("/api/v1/routes/198.18.64.0-18").is(200)["interface"], "lan");
    gateway.ask("DELETE", "/api/v1/routes/198.18.64.0-18", &Value::Null).is(200);
    gateway
        .ask("PUT", "/api/v1/neighbors/198.18.2.13", &json!({"address": "198.18.2.13", "mac": "02:00:00:00:02:13"}))
        .is(201);
    gateway.ask("DELETE", "/api/v1/neighbors/198.18.2.13", &Value::Null).is(200);
    gateway.ask("POST", "/api/v1/stats/zero", &Value::Null).is(200);
    // Who threw what away: our own ARP comes back from the ring.
    let drops = gateway.get("/api/v1/drops?reason=arp_malformed").is(200);
    let last = &drops["items"][0]["last"][0];
    assert_eq!(
        (drops["items"][0]["count"].as_u64() > Some(0), last["port"].is_string(), last["lcore"].as_u64()),
        (true, true, Some(1)),
        "{drops}"
    );
    gateway.get("/api/v1/drops?reason=nonsense").is(404);
    assert!(gateway.get("/api/v1/drops?limit=1000").is(200)["items"].as_array().unwrap().len() > 20);
    let limits = gateway.get("/api/v1/capacity").is(200);
    let names: Vec<_> = limits["items"].as_array().unwrap().iter().filter_map(|l| l["limit"].as_str()).collect();
    for limit in ["connections", "local_ports", "reals", "neighbors", "mbufs", "worker"] {
        assert!(names.contains(&limit), "{limit}: {names:?}");
    }
    // The command line asks over the same socket.
    let mut status = Command::new(env!("CARGO_BIN_EXE_gatun"));
    let said = status.args(["status", "--connections", "--socket"]).arg(gateway.file("gatun.sock")).output().unwrap();
    assert!(said.status.success() && String::from_utf8_lossy(&said.stdout).contains("198.18.2.11:80"), "{said:?}");
    gateway.finish();
}

#[test]
fn whatever_is_sent_is_answered_with_a_problem_and_changes_nothing() {
    let gateway = Gateway::start("");
    let before = gateway.get("/api/v1/config").body;
    let long = format!("/api/v1/services/{}", "x".repeat(4_000));
    let deep = "[".repeat(100_000);
    let many = format!(r#"{{"changes": [{}]}}"#, vec![r#"{"op": "clear_services", "x": 1}"#; 1_000].join(","));
    let json_bodies = [
        "",
        "{",
        "null",
        "[]",
        "\"\"",
        "1e999",
        "{}",
        "{\"weight\": -1}",
        "{\"weight\": 65536}",
        "{\"weight\": 1.5}",
        "{\"weight\": \"1\"}",
        "{\"weight\": 99999999999999999999999999}",
        "{\"weight\": 1, \"weight\": 2}",
        "{\"wieght\": 1}",
        "{\"weight\": 1}x",
        "{\"weight\": true}",
        "\u{feff}{\"weight\": 1}",
        "{\"🚢\": \"\\ud83d\"}",
        &deep,
    ];
    for body in json_bodies {
        let answer = http(
            gateway.unix(),
            "PATCH",
            &format!("{WEB}/reals/198.18.2.11-80"),
            &[("Content-Type", "application/json")],
            body.as_bytes(),
        );
        if body == "{}" {
            answer.is(200);
        } else {
            answer.is_problem();
        }
    }
    let weights = format!("{WEB}/reals?weight=70000");
    for (method, path, body) in [
        ("GET", "/", ""),
        ("GET", "/api/v1", ""),
        ("GET", "/api/v2/services", ""),
        ("GET", "/api/v1/services/%", ""),
        ("GET", "/api/v1/services/%ff%fe", ""),
        ("GET", "/api/v1/services/..%2f..", ""),
        ("GET", &long, ""),
        ("GET", "/api/v1/services?limit=0", ""),
        ("GET", "/api/v1/services?limit=99999999999999999999", ""),
        ("GET", "/api/v1/services?limit=-1", ""),
        ("GET", "/api/v1/services?protocol=sctp", ""),
        ("GET", "/api/v1/services?address=nowhere", ""),
        ("GET", "/api/v1/services?after=gone", ""),
        ("GET", "/api/v1/services?what=ever", ""),
        ("GET", "/api/v1/services?limit=1&limit=2", ""),
        ("QUERY", "/api/v1/services", ""),
        ("BREW", "/api/v1/config", ""),
        ("GET", "/api/v1/connections?after=9.9.9", ""),
        ("GET", "/api/v1/connections?lcore=all", ""),
        ("GET", &weights, ""),
        ("GET", "/api/v1/stats?reals=some", ""),
        ("GET", "/api/v1/lcores/1e9", ""),
        ("GET", "/api/v1/config/generations/0", ""),
        ("GET", "/docs/../Cargo.toml", ""),
        ("DELETE", "/api/v1/services", ""),
        ("PUT", "/api/v1/version", "{}"),
        ("PATCH", "/api/v1/stats", "{}"),
        ("DELETE", "/api/v1/connections", ""),
        ("DELETE", "/api/v1/connections?client=x", ""),
        ("POST", "/api/v1/captures", ""),
        ("POST", "/api/v1/captures", r#"{"port": "dmz"}"#),
        ("POST", "/api/v1/captures", r#"{"drop": "bad_luck"}"#),
        ("POST", "/api/v1/captures", r#"{"drop": "any", "direction": "rx"}"#),
        ("POST", "/api/v1/captures", r#"{"host": "198.18.1.1:x"}"#),
        ("POST", "/api/v1/captures", r#"{"host": "198.18.1.1", "peer": "2001:db8::1"}"#),
        ("POST", "/api/v1/captures", r#"{"protocol": "sctp"}"#),
        ("POST", "/api/v1/captures", r#"{"count": 0}"#),
        ("POST", "/api/v1/captures", r#"{"count": 1e99}"#),
        ("POST", "/api/v1/captures", r#"{"seconds": 18446744073709551615}"#),
        ("POST", "/api/v1/captures", r#"{"seconds": 18446744073709551616}"#),
        ("POST", "/api/v1/captures", r#"{"snaplen": -1}"#),
        ("POST", "/api/v1/captures", r#"{"interface": "lan"}"#),
        ("GET", "/api/v1/captures/1", ""),
        ("DELETE", "/api/v1/captures/x", ""),
        ("POST", "/api/v1/services", r#"{"protocol": "tcp", "address": "198.18.1.100:0"}"#),
        ("POST", "/api/v1/services", r#"{"protocol": "tcp", "address": "127.0.0.1:80"}"#),
        ("POST", "/api/v1/services", r#"{"protocol": "tcp", "address": "198.18.1.254:80"}"#),
        ("POST", "/api/v1/services", r#"{"protocol": "tcp", "address": "198.18.1.100:81", "name": "a\u0000b"}"#),
        ("POST", "/api/v1/services", r#"{"protocol": "tcp", "address": "198.18.1.100:81", "name": "web"}"#),
        ("POST", "/api/v1/services", r#"{"protocol": "tcp", "address": "198.18.1.100:81", "laddr_pool": "none"}"#),
        ("POST", "/api/v1/services", r#"{"protocol": "udp", "address": "198.18.1.100:81", "mss_clamp": 1400}"#),
        ("PATCH", WEB, r#"{"timeouts": [null, 5]}"#),
        ("PATCH", WEB, r#"{"reals": [["198.18.2.13:80", 2]]}"#),
        ("POST", "/api/v1/transaction", r#"{"changes": [["clear_services"]]}"#),
        ("PUT", WEB, r#"{"protocol": "tcp", "address": "198.18.1.100:81"}"#),
        ("POST", "/api/v1/laddr-pools", r#"{"name": "x", "addresses": ["198.18.2.0/8"]}"#),
        ("DELETE", "/api/v1/laddr-pools/lan", ""),
        ("POST", "/api/v1/routes", r#"{"to": "0.0.0.0/0", "via": "203.0.113.1"}"#),
        ("PATCH", "/api/v1/timeouts", r#"{"established": 4294967296}"#),
        ("POST", "/api/v1/transaction", &many),
        ("PUT", "/api/v1/config", "\u{0}\u{1}"),
        ("PUT", "/api/v1/config?confirm=0", ""),
        ("PUT", "/api/v1/config?confirm=soon", ""),
        ("POST", "/api/v1/config/confirm", ""),
        ("DELETE", "/api/v1/config/confirm", ""),
    ] {
        let answer = http(gateway.unix(), method, path, &[("Content-Type", "application/json")], body.as_bytes());
        answer.is_problem();
    }
    let form = http(gateway.unix(), "POST", "/api/v1/services", &[("Content-Type", "text/plain")], b"{}");
    assert_eq!(form.status, 415, "{form:?}");
    let not_utf8 = http(gateway.unix(), "PUT", "/api/v1/config", &[], b"\xff\xfe");
    not_utf8.is_problem();
    let allowed = http(gateway.unix(), "DELETE", "/api/v1/timeouts", &[], b"");
    assert_eq!((allowed.status, allowed.header("allow")), (405, Some("GET, PATCH, PUT")), "{allowed:?}");
    // No HTTP at all: an answer or the end of the connection, and the next one is served.
    let headers = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(10_000));
    for bytes in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"\x16\x03\x01\x02\0\x01",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        headers.as_bytes(),
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PUT /api/v1/config HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n",
    ] {
        let mut stream = gateway.unix();
        stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        if let Some(answer) = raw(&mut stream, bytes) {
            assert!((400..600).contains(&answer.status), "{answer:?}");
        }
    }
    assert_eq!(gateway.get("/api/v1/config").body, before);
    assert_eq!(gateway.get("/api/v1/version").is(200)["generation"], 1);
    gateway.finish();
}

#[test]
fn a_trace_says_what_would_become_of_a_packet_and_why() {
    let gateway = Gateway::start("");
    let trace = |protocol: &str, client: &str, vip: &str| {
        gateway.ask("POST", "/api/v1/trace", &json!({"protocol": protocol, "client": client, "vip": vip}))
    };
    let way = trace("tcp", "198.18.1.1:40000", "198.18.1.100:80").is(200);
    let steps: Vec<_> = way["steps"].as_array().unwrap().iter().filter_map(|s| s["step"].as_str()).collect();
    assert_eq!(steps[..5], ["home", "address", "service", "server", "local_address"], "{way}");
    assert!(steps.contains(&"route") && steps.contains(&"neighbor") && steps.contains(&"mtu"), "{way}");
    assert_eq!(
        (way["forwarded"].clone(), way["lcore"].clone(), way["service"].clone()),
        (json!(true), json!(1), json!("tcp-198.18.1.100-80"))
    );
    gateway.ask("PATCH", &format!("{WEB}/reals/198.18.2.12-80"), &json!({"weight": 0})).is(200);
    let one = trace("tcp", "198.18.1.1:40000", "198.18.1.100:80").is(200);
    assert_eq!((one["real"].as_str(), one["next_hop"].as_str()), (Some("198.18.2.11:80"), Some("198.18.2.11")));
    gateway.ask("PATCH", &format!("{WEB}/reals/198.18.2.11-80"), &json!({"weight": 0})).is(200);
    for (protocol, client, vip, why) in [
        ("tcp", "198.18.1.1:40000", "198.18.1.100:80", "no_server"),
        ("udp", "198.18.1.1:40000", "198.18.1.100:80", "no_service"),
        ("tcp", "198.18.1.1:40000", "198.18.1.101:80", "not_local"),
        ("tcp", "198.18.1.1:40000", "198.18.2.100:80", "lip_no_connection"),
        ("tcp", "198.18.2.100:40000", "198.18.1.100:80", "martian_source"),
    ] {
        let way = trace(protocol, client, vip).is(200);
        assert_eq!((way["drop"].as_str(), way["forwarded"].as_bool()), (Some(why), Some(false)), "{way}");
    }
    trace("tcp", "[2001:db8::1]:4000", "198.18.1.100:80").is_problem();
    trace("tcp", "somewhere", "198.18.1.100:80").is_problem();
    gateway.finish();
}

#[test]
fn over_tcp_only_who_has_a_token_is_served_and_only_as_far_as_its_role_goes() {
    let (gateway, [writer, reader, expired]) = with_tcp("hosts = [\"gw1.example.net\"]\n", |config| config);
    let bearer = |token: &str| format!("Bearer {token}");
    let (write, read) = (bearer(&writer), bearer(&reader));
    for wrong in
        ["", "Bearer", "Bearer x", "Basic eDp5", &writer, &bearer(&expired), &bearer(&writer.replace("gatun", "Gatun"))]
    {
        let answer = gateway.tcp("GET", "/api/v1/version", &[("Authorization", wrong)]);
        answer.is_problem();
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{wrong}");
    }
    assert_eq!(gateway.tcp("GET", "/api/v1/version", &[]).status, 401);
    gateway.tcp("GET", "/api/v1/version", &[("Authorization", &read)]).is(200);
    assert_eq!(gateway.tcp("DELETE", WEB, &[("Authorization", &read)]).status, 403);
    // Captures show what people send to each other.
    assert_eq!(gateway.tcp("POST", "/api/v1/captures", &[("Authorization", &read)]).status, 403);
    assert_eq!(gateway.tcp("GET", "/api/v1/captures", &[("Authorization", &read)]).status, 200);
    gateway.tcp("DELETE", WEB, &[("Authorization", &write)]).is(200);
    let who = gateway.get("/api/v1/config/generations?limit=1").is(200)["items"][0]["who"].clone();
    assert_eq!(who, "ops (127.0.0.1)");
    // DNS rebinding: a name of the attacker's that points here.
    for (host, status) in [
        ("evil.example", 421),
        ("evil.example:80", 421),
        ("localhost", 200),
        ("127.0.0.1:1", 200),
        ("gw1.example.net", 200),
    ] {
        let answer = gateway.tcp("GET", "/api/v1/version", &[("Host", host), ("Authorization", &read)]);
        assert_eq!(answer.status, status, "{host}: {answer:?}");
    }
    let foreign = gateway.tcp("GET", "/api/v1/version", &[("Origin", "http://evil.example"), ("Authorization", &read)]);
    assert_eq!(foreign.status, 403);
    // A browser shows the page, and then asks for a token.
    assert_eq!(gateway.tcp("GET", "/docs/index.html", &[]).status, 200);
    assert_eq!(gateway.tcp("GET", "/openapi.json", &[]).status, 200);
    gateway.finish();
}

#[test]
fn the_socket_is_for_its_owner_and_group_and_goes_with_the_gateway() {
    let gateway = Gateway::start("");
    let socket = gateway.file("gatun.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    assert_eq!(std::fs::metadata(gateway.file("state/journal")).unwrap().permissions().mode() & 0o777, 0o600);
    let dir = gateway.dir.path().to_owned();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatun"));
    command.args(["run", "--config"]).arg(dir.join("gatun.toml")).arg("--socket").arg(dir.join("2.sock"));
    let second = command.arg("--state").arg(dir.join("state")).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(second.status.code() == Some(1) && said.contains("another gatun keeps its journal"), "{said}");
    let mut gateway = gateway;
    gateway.kill(Signal::SIGTERM);
    gateway.child.wait().unwrap();
    assert!(!socket.exists());
}

#[test]
fn what_is_unsafe_is_refused_at_start_with_a_sentence() {
    for (api, code, said) in [
        ("listen = [\"0.0.0.0:8080\"]\ntokens = \"/etc/gatun/tokens\"", 2, "not on loopback"),
        ("listen = [\"127.0.0.1:8080\"]", 2, "gatun token"),
        ("listen = [\"127.0.0.1:8080\"]\ntokens = \"/nonexistent/tokens\"", 1, "gatun token"),
        ("listen = [\"127.0.0.1\"]\ntokens = \"/etc/gatun/tokens\"", 2, "127.0.0.1:8443"),
        ("tls_cert = \"/etc/gatun/cert.pem\"", 2, "tls_key"),
        ("tokens = \"tokens\"", 2, "absolute path"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("gatun.toml");
        std::fs::write(&file, config(&format!("[api]\n{api}\n"), 1)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatun"));
        command.args(["run", "--config"]).arg(&file).arg("--socket").arg(dir.path().join("s"));
        let output = command.arg("--state").arg(dir.path().join("state")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{api}: {text}");
        assert!(text.contains(said), "{api}: {text}");
    }
}

#[test]
fn slow_clients_do_not_keep_others_waiting_and_are_sent_away() {
    let (gateway, [_, reader, _]) = with_tcp("", |config| config);
    let begun = Instant::now();
    let slow: Vec<TcpStream> = (0..300)
        .map(|n| {
            let mut stream = TcpStream::connect(gateway.tcp).unwrap();
            // Half a request, or nothing at all.
            if n % 2 == 0 {
                let _ = stream.write_all(b"GET /api/v1/version HTTP/1.1\r\nHost:");
            }
            stream
        })
        .collect();
    gateway.get("/api/v1/version").is(200);
    assert!(begun.elapsed() < Duration::from_secs(4), "the socket is served meanwhile: {:?}", begun.elapsed());
    let mut first = &slow[0];
    first.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = Vec::new();
    let _ = first.read_to_end(&mut answer);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let bearer = format!("Bearer {reader}");
    let served = || {
        raw(&mut TcpStream::connect(gateway.tcp).unwrap(),
        format!("GET /api/v1/version HTTP/1.1\r\nHost: localhost\r\nAuthorization: {bearer}\r\nConnection: close\r\n\r\n").as_bytes())
    };
    let within = Instant::now();
    while served().is_none_or(|answer| answer.status != 200) {
        assert!(within.elapsed() < Duration::from_secs(15), "TCP is served again when the slow ones are gone");
        thread::sleep(Duration::from_millis(50));
    }
    drop(slow);
    gateway.finish();
}

#[test]
fn the_file_and_the_interface_are_merged_at_sighup_and_the_file_wins() {
    let mut gateway = Gateway::start("");
    gateway.ask("PATCH", &format!("{WEB}/reals/198.18.2.11-80"), &json!({"weight": 7})).is(200);
    gateway.ask("PATCH", WEB, &json!({"scheduler": "wrr"})).is(200);
    let text = std::fs::read_to_string(gateway.file("gatun.toml")).unwrap();
    let text = text.replace("scheduler = \"rr\"", "scheduler = \"wlc\"");
    std::fs::write(gateway.file("gatun.toml"), &text).unwrap();
    gateway.kill(Signal::SIGHUP);
    let begun = Instant::now();
    while gateway.get("/api/v1/version").is(200)["generation"] == 3 {
        assert!(begun.elapsed() < Duration::from_secs(10), "SIGHUP has an effect");
        thread::sleep(Duration::from_millis(10));
    }
    let web = gateway.get(WEB).is(200);
    assert_eq!((web["scheduler"].as_str(), web["reals"][0]["weight"].as_u64()), (Some("wlc"), Some(7)));
    let diff = gateway.get("/api/v1/config/diff").is(200);
    assert_eq!(diff["conflicts"][0]["field"], "service[\"tcp-198.18.1.100-80\"].scheduler");
    assert_eq!(diff["changes"].as_array().map(Vec::len), Some(1), "{diff}");
    gateway.finish();
}

/// `GATUN_KILLS=200` is the long form of it.
#[test]
fn what_was_acknowledged_survives_sigkill() {
    let kills = std::env::var("GATUN_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    let mut gateway = Gateway::start("");
    let acknowledged = Arc::new(AtomicU64::new(1));
    let mut written = 0;
    for n in 0..kills {
        let socket = gateway.file("gatun.sock");
        let writer = thread::spawn({
            let acknowledged = acknowledged.clone();
            move || {
                let mut weight = acknowledged.load(Ordering::SeqCst);
                loop {
                    weight += 1;
                    let Ok(mut stream) = UnixStream::connect(&socket) else { return };
                    let (body, path) = (json!({"weight": weight}).to_string(), format!("{WEB}/reals/198.18.2.11-80"));
                    let head = "HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n";
                    let request = format!("PATCH {path} {head}Content-Length: {}\r\n\r\n{body}", body.len());
                    match raw(&mut stream, request.as_bytes()) {
                        Some(answer) if answer.status == 200 => acknowledged.store(weight, Ordering::SeqCst),
                        Some(answer) => panic!("{answer:?}"),
                        None => return,
                    }
                }
            }
        });
        // Some change or other is under way then, at another place each time.
        thread::sleep(Duration::from_millis(40 + 7 * (n % 23)));
        gateway.kill(Signal::SIGKILL);
        writer.join().unwrap();
        gateway.again();
        let last = acknowledged.load(Ordering::SeqCst);
        let found = gateway.get(&format!("{WEB}/reals/198.18.2.11-80")).is(200)["weight"].as_u64().unwrap();
        assert!(found == last || found == last + 1, "kill {n}: {last} was acknowledged, {found} is there");
        acknowledged.store(found, Ordering::SeqCst);
        written = found;
    }
    println!("{kills} kills, {written} changes");
    assert!(written > kills, "changes were made between the kills");
    gateway.finish();
}

#[test]
fn a_hundred_clients_at_once_are_all_served() {
    let gateway = Arc::new(Gateway::start(""));
    let client = |n: usize| {
        let gateway = gateway.clone();
        thread::spawn(move || {
            let real = json!({"address": format!("198.18.2.13:{}", 1_000 + n), "weight": n});
            gateway.ask("POST", &format!("{WEB}/reals"), &real).is(201);
            assert_eq!(gateway.get(WEB).is(200)["id"], "tcp-198.18.1.100-80");
        })
    };
    let clients: Vec<_> = (0..100).map(client).collect();
    clients.into_iter().for_each(|c| c.join().unwrap());
    let web = gateway.get(WEB).is(200);
    assert_eq!((web["generation"].clone(), web["reals"].as_array().unwrap().len()), (json!(101), 102));
    assert!(gateway.device > 0);
}
