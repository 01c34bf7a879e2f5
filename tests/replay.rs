//! `gatun replay` and `gatun check-config` as commands: what they say, write and return.

use gatun_engine::testkit::pcap::{self, Captured};
use gatun_engine::testkit::{Packet, text};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const HANDSHAKE: &str = "tests/pcap/tcp-handshake-and-data-both-ways";

fn gatun(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gatun"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("BLESS")
        .output()
        .unwrap()
}

fn out(o: &Output) -> String {
    String::from_utf8_lossy(&o.stdout).into_owned()
}

fn err(o: &Output) -> String {
    String::from_utf8_lossy(&o.stderr).into_owned()
}

fn code(o: &Output) -> i32 {
    o.status.code().unwrap_or(-1)
}

fn write(path: &Path, packets: &[(f64, Vec<u8>)]) {
    let packets: Vec<_> =
        packets.iter().map(|(at, f)| Captured::new((1_700_000_000.0 + at) as u64 * 1_000_000_000, f.clone())).collect();
    std::fs::write(path, pcap::write(&packets).unwrap()).unwrap();
}

fn lines(path: &Path) -> Vec<String> {
    pcap::read(&std::fs::read(path).unwrap()).unwrap().iter().map(|p| text::frame(&p.frame)).collect()
}

/// A case of the tree in a folder of its own, to be spoilt.
fn copy(case: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pcap");
    let to = dir.path().join(case);
    std::fs::create_dir(&to).unwrap();
    std::fs::copy(from.join("two-arm.toml"), dir.path().join("two-arm.toml")).unwrap();
    for file in from.join(case).read_dir().unwrap().map(|f| f.unwrap()) {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    (dir, to)
}

#[test]
fn a_case_of_the_tree_explains_how_the_four_tuples_change() {
    let o = gatun(&["replay", HANDSHAKE, "--explain"]);
    let said = out(&o);
    assert_eq!(code(&o), 0, "{}", err(&o));
    for line in [
        "0.000000 wan  tcp 198.18.1.1:40000 > 198.18.1.100:80 [S] seq 1000 win 65535 mss 1460 len 0  => lan  tcp 198.18.2.100:",
        "opened: client 198.18.1.1:40000 > VIP 198.18.1.100:80 ",
        "back:   server 198.18.2.11:80 > local 198.18.2.100:",
        "becomes  VIP 198.18.1.100:80 > client 198.18.1.1:40000",
        "tcp-handshake-and-data-both-ways: as expected",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert!(!said.contains('\x1b'), "colour only on a terminal");
}

#[test]
fn a_case_that_differs_is_told_with_what_differs_and_exits_3() {
    let (_dir, case) = copy("tcp-handshake-and-data-both-ways");
    let counters = std::fs::read_to_string(case.join("counters.toml")).unwrap();
    std::fs::write(case.join("counters.toml"), counters.replace("rx = 10", "rx = 11")).unwrap();
    let mut packets = pcap::read(&std::fs::read(case.join("out.lan.pcap")).unwrap()).unwrap();
    packets[2].frame[22] -= 1;
    packets.pop();
    std::fs::write(case.join("out.lan.pcap"), pcap::write(&packets).unwrap()).unwrap();
    let o = gatun(&["replay", case.to_str().unwrap()]);
    assert_eq!(code(&o), 3);
    for line in [
        "out.lan.pcap: 5 frames expected, 6 left; frame 3 differs",
        "ttl 62 id 0",
        "- [lcore] rx = 11",
        "+ [lcore] rx = 10",
    ] {
        assert!(err(&o).contains(line), "{line}\n{}", err(&o));
    }
}

#[test]
fn blessing_makes_the_outcome_the_expected_one() {
    let (_dir, case) = copy("tcp-handshake-and-data-both-ways");
    let expected = std::fs::read(case.join("out.wan.pcap")).unwrap();
    std::fs::remove_file(case.join("out.wan.pcap")).unwrap();
    assert_eq!(code(&gatun(&["replay", case.to_str().unwrap()])), 3);
    let o = Command::new(env!("CARGO_BIN_EXE_gatun")).args(["replay"]).arg(&case).env("BLESS", "1").output().unwrap();
    assert_eq!(code(&o), 0, "{}", err(&o));
    assert_eq!(std::fs::read(case.join("out.wan.pcap")).unwrap(), expected);
}

#[test]
fn files_of_a_user_go_through_with_model_servers() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    // As captured somewhere else: other MACs, packets of both directions, a time of today.
    let client = |flags: &str, seq| Packet::tcp("198.18.1.7:5000", "198.18.1.100:80").flags(flags).seq(seq);
    let vip = Packet::tcp("198.18.1.100:80", "198.18.1.7:5000").flags("SA").seq(77).ack(2);
    write(
        &at("wan.pcap"),
        &[
            (0.0, client("S", 1).build()),
            (0.0, vip.build()),
            (1.0, client("A", 2).ack(78).build()),
            (2.0, client("PA", 2).ack(78).payload(b"hello").build()),
        ],
    );
    let (wan, x, y, c) = (at("wan.pcap"), at("x.pcap"), at("y.pcap"), at("c.toml"));
    let (input, x_arg, y_arg) =
        (format!("wan={}", wan.display()), format!("wan={}", x.display()), format!("lan={}", y.display()));
    let args = |counters: bool| {
        let mut args = vec!["replay", "--config", "conf/demo.toml", "--in", &input, "--answer", "lan", "--seed", "3"];
        args.extend(["--out", &x_arg, "--out", &y_arg]);
        args.extend(if counters { vec!["--counters", c.to_str().unwrap()] } else { vec![] });
        args.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let run = |args: &[String]| gatun(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let o = run(&args(true));
    assert_eq!((code(&o), out(&o)), (0, String::new()), "{}", err(&o));
    assert!(err(&o).contains("4 frames read; 1 connections opened, 5 frames sent, 0 dropped"), "{}", err(&o));
    assert!(err(&o).contains("1 frames were left out: the gateway itself is their source"), "{}", err(&o));
    let client_sees = lines(&x);
    assert_eq!(client_sees.len(), 2);
    assert!(
        client_sees[0].starts_with("tcp 198.18.1.100:80 > 198.18.1.7:5000 [S.] seq 1000001 ack 2 "),
        "{client_sees:?}"
    );
    assert!(client_sees[1].ends_with("ack 7 win 65535 len 5"), "{client_sees:?}");
    assert_eq!(lines(&y).len(), 3);
    let first = pcap::read(&std::fs::read(&y).unwrap()).unwrap();
    assert_eq!(first[0].nanos, 1_700_000_000_000_000_000, "in the time of the packets");

    // The counters were written, and are compared from now on.
    let counters = std::fs::read_to_string(&c).unwrap();
    assert!(counters.contains("[real.\"tcp 198.18.1.100:80 > 198.18.2.12:80\"]"), "{counters}");
    assert_eq!(code(&run(&args(true))), 0);
    std::fs::write(&c, counters.replace("rx = 5", "rx = 6")).unwrap();
    let o = run(&args(true));
    assert_eq!(code(&o), 3);
    assert!(err(&o).contains("- [lcore] rx = 6") && err(&o).contains("+ [lcore] rx = 5"), "{}", err(&o));

    // A client sees the same on any number of shards.
    for shards in ["2", "4", "7"] {
        let o = run(&[args(false), vec!["--shards".to_owned(), shards.to_owned()]].concat());
        assert_eq!((code(&o), lines(&x)), (0, client_sees.clone()));
    }
}

#[test]
fn a_recorded_server_side_is_mapped_to_what_was_leased() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    // Behind another balancer two connections went to 198.18.2.11, from its own address and ports; and a third, of which
    // there is no client.
    let client = |n: u32| format!("198.18.1.{n}:5000");
    let there = |n: u32, flags: &str, seq: u32| Packet::tcp(&client(n), "198.18.1.100:80").flags(flags).seq(seq);
    let proxy = |port: u16| format!("10.9.9.9:{port}");
    let server = |port: u16, flags: &str, seq: u32| Packet::tcp("198.18.2.11:80", &proxy(port)).flags(flags).seq(seq);
    let syn = |port: u16, seq: u32| Packet::tcp(&proxy(port), "198.18.2.11:80").flags("S").seq(seq).build();
    write(
        &dir.path().join("wan.pcap"),
        &[
            (0.0, there(1, "S", 100).build()),
            (1.0, there(2, "S", 200).build()),
            (3.0, there(1, "A", 101).ack(9_001).build()),
            (3.0, there(2, "A", 201).ack(8_001).build()),
        ],
    );
    write(
        &dir.path().join("lan.pcap"),
        &[
            // Its clock is a little ahead: this comes before the client's SYN, and waits for it.
            (0.0, syn(1_002, 200)),
            (0.0, server(1_002, "SA", 8_000).ack(201).build()),
            (1.0, syn(1_001, 100)),
            (1.0, server(1_001, "SA", 9_000).ack(101).build()),
            (4.0, server(1_001, "PA", 9_001).ack(101).payload(b"for the first").build()),
            (4.0, server(1_002, "PA", 8_001).ack(201).payload(b"for the second one").build()),
            (5.0, server(1_003, "SA", 7_000).ack(301).build()),
        ],
    );
    let wan_out = dir.path().join("x.pcap");
    let args = ["replay", "--config", "conf/demo.toml", "--map", "lan"].map(str::to_owned).to_vec();
    let files = ["--in", &format!("wan={}", at("wan.pcap")), "--in", &format!("lan={}", at("lan.pcap"))]
        .map(str::to_owned)
        .to_vec();
    let outs = ["--out".to_owned(), format!("wan={}", wan_out.display())].to_vec();
    let args = [args, files, outs].concat();
    let o = gatun(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code(&o), 0, "{}", err(&o));
    assert!(err(&o).contains("1 recorded frames of servers belong to no connection"), "{}", err(&o));
    assert_eq!(
        lines(&wan_out),
        [
            "tcp 198.18.1.100:80 > 198.18.1.2:5000 [S.] seq 8000 ack 201 win 65535 len 0",
            "tcp 198.18.1.100:80 > 198.18.1.1:5000 [S.] seq 9000 ack 101 win 65535 len 0",
            "tcp 198.18.1.100:80 > 198.18.1.1:5000 [P.] seq 9001 ack 101 win 65535 len 13",
            "tcp 198.18.1.100:80 > 198.18.1.2:5000 [P.] seq 8001 ack 201 win 65535 len 18",
        ]
    );
}

/// A capture of clients that open a connection each, send something and close, some of them twice from the same port; a
/// ping, and a packet of no connection. Gives how many frames and how many connections that is.
fn busy(path: &Path) -> (u64, u64) {
    let mut packets = Vec::new();
    let mut opened = 0;
    for n in 0..120u16 {
        let client = format!("198.18.1.{}:{}", 1 + n % 50, 5_000 + n);
        for round in 0..1 + u32::from(n % 3 == 0) {
            let (from, isn) = (f64::from(n / 40) + f64::from(round) * 20.0, 1 + round * 1_000_000);
            let say = |flags| Packet::tcp(&client, "198.18.1.100:80").flags(flags);
            let there = isn + 1_000_001;
            packets.extend([
                (from, say("S").seq(isn).build()),
                (from + 1.0, say("A").seq(isn + 1).ack(there).build()),
                (from + 2.0, say("PA").seq(isn + 1).ack(there).payload(b"hello").build()),
                (from + 3.0, say("FA").seq(isn + 6).ack(there + 5).build()),
                (from + 4.0, say("A").seq(isn + 7).ack(there + 6).build()),
            ]);
            opened += 1;
        }
    }
    packets.push((50.0, Packet::icmp_echo("198.18.1.9", "198.18.1.100", 1, 1).build()));
    packets.push((51.0, Packet::tcp("198.18.1.9:1", "198.18.1.100:80").flags("A").seq(1).ack(1).build()));
    packets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let frames = packets.len() as u64;
    write(path, &packets);
    (frames, opened)
}

#[test]
fn a_bench_takes_every_packet_of_both_sides_through_each_pass() {
    let dir = tempfile::tempdir().unwrap();
    let wan = dir.path().join("wan.pcap");
    let (captured, opened) = busy(&wan);
    let input = format!("wan={}", wan.display());
    let mut args = vec!["replay", "--config", "conf/demo.toml", "--in", &input, "--answer", "lan", "--bench", "5"];
    let over = if cfg!(feature = "dpdk") { vec!["engine", "dpdk"] } else { vec!["engine"] };
    args.extend(over.contains(&"dpdk").then_some("--dpdk"));
    let o = gatun(&[&args[..], &["--json"]].concat());
    assert_eq!(code(&o), 0, "{}", err(&o));
    let bench = &serde_json::from_str::<serde_json::Value>(&out(&o)).unwrap()["bench"];
    let number = |value: &serde_json::Value| value.as_f64().unwrap_or_else(|| panic!("{value} in {bench}"));
    // SYN, data and FIN are answered.
    let packets = captured + 3 * opened;
    assert_eq!((&bench["packets"], &bench["answers"]), (&packets.into(), &(3 * opened).into()), "{bench}");
    assert!((packets / 32..packets).contains(&bench["bursts"].as_u64().unwrap()), "{bench}");
    for way in over {
        let figures = &bench[way];
        let pass = serde_json::json!({ "opened": opened, "forwarded": packets - 2, "dropped": 1, "punted": 1 });
        assert_eq!(figures["pass"], pass, "the servers' packets find what this pass leased: {bench}");
        let seconds = number(&figures["cpu_seconds"]);
        assert!(seconds > 0.0);
        let (rate, nanos) = (&figures["packets_per_cpu_second"], &figures["ns_per_packet"]);
        for spread in [rate, nanos] {
            assert!(number(&spread["lowest"]) <= number(&spread["median"]), "{bench}");
            assert!(number(&spread["median"]) <= number(&spread["highest"]), "{bench}");
        }
        let mean = 5.0 * packets as f64 / seconds;
        assert!((number(&rate["lowest"])..=number(&rate["highest"])).contains(&mean), "{mean} of {bench}");
        assert!((number(&rate["median"]) * number(&nanos["median"]) / 1e9 - 1.0).abs() < 0.001, "{bench}");
    }
    let o = gatun(&args);
    for words in [
        format!("a pass: {packets} packets ({} of them answers of model servers), ", 3 * opened),
        format!("{opened} connections opened, {} packets forwarded, 1 dropped, 1 to the master", packets - 2),
        "engine alone".to_owned(),
        "passes: 5, after one to warm up".to_owned(),
    ] {
        assert!(out(&o).contains(&words), "{words}\n{}", out(&o));
    }
    assert_eq!(err(&o).contains("this is a debug build"), cfg!(debug_assertions), "{}", err(&o));
}

#[test]
fn a_bench_has_the_same_packets_of_a_mapped_server_side() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let client = |flags: &str, seq| Packet::tcp("198.18.1.1:5000", "198.18.1.100:80").flags(flags).seq(seq);
    let server = |flags: &str, seq| Packet::tcp("198.18.2.11:80", "10.9.9.9:1001").flags(flags).seq(seq);
    write(&at("wan.pcap"), &[(0.0, client("S", 100).build()), (2.0, client("A", 101).ack(901).build())]);
    write(&at("lan.pcap"), &[(1.0, server("SA", 900).ack(101).build()), (3.0, server("PA", 901).ack(101).build())]);
    let (wan, lan) = (format!("wan={}", at("wan.pcap").display()), format!("lan={}", at("lan.pcap").display()));
    let files = ["--config", "conf/demo.toml", "--in", &wan, "--in", &lan, "--map", "lan"];
    let o = gatun(&[&["replay"], &files[..], &["--bench", "1", "--json"]].concat());
    assert_eq!(code(&o), 0, "{}", err(&o));
    let json: serde_json::Value = serde_json::from_str(&out(&o)).unwrap();
    assert_eq!(
        (&json["bench"]["packets"], &json["bench"]["bursts"]),
        (&4.into(), &4.into()),
        "a second between any two"
    );
    let pass = serde_json::json!({ "opened": 1, "forwarded": 4, "dropped": 0, "punted": 0 });
    assert_eq!(json["bench"]["engine"]["pass"], pass);
}

#[test]
fn json_is_an_object_a_line() {
    let o = gatun(&["replay", HANDSHAKE, "--explain", "--json"]);
    assert_eq!(code(&o), 0, "{}", err(&o));
    let said = out(&o);
    let objects: Vec<serde_json::Value> = said.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(objects.len(), 11);
    assert_eq!(objects[0]["opened"]["vip"], "198.18.1.100:80");
    assert_eq!((objects[0]["verdict"].as_str(), objects[0]["out"][0]["port"].as_str()), (Some("tx"), Some("lan")));
    assert_eq!(objects[10]["counters"]["lcore"]["rx"], 10);
}

#[test]
fn errors_say_what_file_what_is_wrong_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text.pcap");
    std::fs::write(&text, "this is no capture").unwrap();
    let text = format!("wan={}", text.display());
    let config = "conf/demo.toml";
    let wan = format!("wan={HANDSHAKE}/in.wan.pcap");
    let (empty, own) = (dir.path().join("empty.pcap"), dir.path().join("own.pcap"));
    write(&empty, &[]);
    write(&own, &[(0.0, Packet::tcp("198.18.1.100:80", "198.18.1.7:5000").flags("SA").build())]);
    let (empty, own) = (format!("wan={}", empty.display()), format!("wan={}", own.display()));
    let wrong = dir.path().join("wrong.toml");
    std::fs::write(&wrong, "[[port]]\nnam = \"wan\"\n").unwrap();
    for (args, exit, words) in [
        (vec!["replay"], 2, "required"),
        (vec!["replay", "tests/pcap/none"], 1, "there is no case.toml in it"),
        (vec!["replay", "--config", config], 2, "nothing comes in: give at least one --in PORT=FILE"),
        (vec!["replay", "--config", config, "--in", "wan"], 2, "is not PORT=FILE, as in wan=clients.pcap"),
        (vec!["replay", "--config", config, "--in", "wan=none.pcap"], 1, "none.pcap: No such file"),
        (vec!["replay", "--config", config, "--in", &text], 1, "not a pcap file: it begins with 74 68 69 73"),
        (
            vec!["replay", "--config", config, "--in", "dmz=x.pcap"],
            2,
            "there is no port \"dmz\" in the configuration: it has wan, lan",
        ),
        (vec!["replay", "--config", config, "--in", &wan, "--in", &wan], 2, "has two files: merge them first"),
        (
            vec!["replay", "--config", config, "--in", &wan, "--map", "lan"],
            2,
            "--map lan needs the recorded server side",
        ),
        (
            vec!["replay", "--config", config, "--in", &wan, "--out", "lan=/no/such/folder/x"],
            1,
            "/no/such/folder/x: can not be written",
        ),
        (vec!["replay", "--config", "none.toml", "--in", &wan], 1, "none.toml"),
        (vec!["replay", "--config", wrong.to_str().unwrap(), "--in", &wan], 2, "did you mean"),
        (vec!["replay", "--config", config, "--in", &wan, "--shards", "0"], 2, "1..=128"),
        (vec!["replay", HANDSHAKE, "--config", config], 2, "cannot be used with"),
        (vec!["replay", HANDSHAKE, "--bench", "1"], 2, "cannot be used with"),
        (vec!["replay", "--config", config, "--in", &wan, "--bench", "0"], 2, "1..=1000000"),
        (vec!["replay", "--config", config, "--in", &wan, "--bench", "1", "--explain"], 2, "cannot be used with"),
        (
            vec!["replay", "--config", config, "--in", &wan, "--bench", "1", "--shards", "2"],
            2,
            "--bench measures one lcore: leave --shards 2 out",
        ),
        (
            vec!["replay", "--config", config, "--in", &empty, "--bench", "1"],
            1,
            "empty.pcap: there are no packets in it: give a capture with packets",
        ),
        (
            vec!["replay", "--config", config, "--in", &own, "--bench", "1"],
            1,
            "of 1 frames none came in, and 1 had been sent by the gateway itself (--keep takes them in)",
        ),
    ] {
        let o = gatun(&args);
        assert_eq!(code(&o), exit, "{args:?}: {}", err(&o));
        assert!(err(&o).contains(words), "{args:?} does not say {words:?}: {}", err(&o));
    }
}

#[test]
fn check_config_tells_every_problem_or_sums_up() {
    let o = gatun(&["check-config", "conf/fullnat.toml"]);
    assert_eq!(code(&o), 0);
    assert_eq!(
        out(&o),
        "conf/fullnat.toml: right. 2 ports, 2 interfaces, 2 local addresses, 1 service, 2 real servers, 1 worker\n"
    );
    let o = gatun(&["check-config", "--json", "conf/fullnat.toml"]);
    let json: serde_json::Value = serde_json::from_str(&out(&o)).unwrap();
    assert_eq!((json["ok"].as_bool(), json["summary"]["reals"].as_u64()), (Some(true), Some(2)));

    let dir = tempfile::tempdir().unwrap();
    let wrong = dir.path().join("wrong.toml");
    let right = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/demo.toml")).unwrap();
    std::fs::write(&wrong, right.replace("scheduler", "sheduler").replace("198.18.1.100:80", "198.18.1.100")).unwrap();
    let o = gatun(&["check-config", wrong.to_str().unwrap()]);
    assert_eq!(code(&o), 2);
    let said = err(&o);
    assert!(said.contains("sheduler") && said.contains("wrong.toml: 5 problems"), "{said}");
    let o = gatun(&["check-config", "--json", wrong.to_str().unwrap()]);
    let json: serde_json::Value = serde_json::from_str(&out(&o)).unwrap();
    assert_eq!((code(&o), json["ok"].as_bool(), json["problems"].as_array().map(Vec::len)), (2, Some(false), Some(5)));
    assert!(json["problems"][0]["line"].is_number() && json["problems"][0]["remedy"].is_string());
    assert_eq!(code(&gatun(&["check-config", "none.toml"])), 2);
}
