//! Captures: streams of frames.

use super::gateway::Gateway;
use gatun_engine::testkit::pcap;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// A capture whose answer has begun.
struct Capturing {
    stream: BufReader<UnixStream>,
    head: String,
}

impl Capturing {
    fn begin(gateway: &Gateway, spec: &Value) -> Capturing {
        let (mut stream, body) = (gateway.unix(), spec.to_string());
        // HTTP/1.0: the answer is not cut into chunks.
        let head = format!(
            "POST /api/v1/captures HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        let (mut stream, mut head) = (BufReader::new(stream), String::new());
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).unwrap() > 0, "{head}");
        }
        Capturing { stream, head }
    }

    fn path(&self) -> String {
        let path = self.head.lines().find_map(|line| line.strip_prefix("location: "));
        path.unwrap_or_else(|| panic!("{}", self.head)).to_owned()
    }

    /// What comes until it ends.
    fn finish(mut self) -> Vec<u8> {
        let mut file = Vec::new();
        self.stream.read_to_end(&mut file).unwrap();
        file
    }
}

/// Until it is so.
#[track_caller]
fn soon(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Has it ask for a neighbour that does not answer, again and again. What goes out by a port made of a ring comes in there.
fn ask_for_a_neighbor(gateway: &Gateway) {
    gateway.ask("PUT", "/api/v1/routes/198.18.64.0-18", &json!({"to": "198.18.64.0/18", "via": "198.18.2.1"})).is(201);
}

#[test]
fn frames_are_captured_while_they_come_and_an_end_has_each_of_its_ways() {
    let gateway = Gateway::start("");
    ask_for_a_neighbor(&gateway);
    // So many frames.
    let begun = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let capture = Capturing::begin(&gateway, &json!({"port": "lan", "count": 4}));
    assert!(capture.head.starts_with("HTTP/1.0 200"), "{}", capture.head);
    assert!(capture.head.contains("content-type: application/vnd.tcpdump.pcap"), "{}", capture.head);
    let path = capture.path();
    let frames = pcap::read(&capture.finish()).unwrap();
    let ended = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(frames.len(), 4);
    let margin = Duration::from_millis(50);
    let times = (begun - margin).as_nanos() as u64..(ended + margin).as_nanos() as u64;
    for frame in &frames {
        assert_eq!((frame.frame.len(), frame.orig_len, &frame.frame[12..14]), (42, 42, &[8u8, 6][..]), "{frame:?}");
        assert!(times.contains(&frame.nanos), "{frame:?} {times:?}");
    }
    assert!(frames.is_sorted_by_key(|frame| frame.nanos));
    let told = gateway.get(&path).is(200);
    assert_eq!(
        (told["running"].clone(), told["frames"].clone(), told["lost"].clone()),
        (json!(false), json!(4), json!(0))
    );
    assert_eq!((told["who"].as_str().map(|who| &who[..4]), told["spec"]["port"].as_str()), (Some("uid "), Some("lan")));
    // So many seconds. No frame of the other port is there.
    let capture = Capturing::begin(&gateway, &json!({"port": "wan", "seconds": 1}));
    assert_eq!(pcap::read(&capture.finish()).unwrap(), []);
    // Dropped frames, cut, with the reason.
    let spec = json!({"drop": "arp_malformed", "format": "pcapng", "count": 1, "snaplen": 20});
    let file = Capturing::begin(&gateway, &spec).finish();
    let holds = |what: &str| file.windows(what.len()).any(|window| window == what.as_bytes());
    assert!(holds("lan") && holds("lcore 1 dropped it: arp_malformed: ARP that is truncated"), "{file:?}");
    // Somebody ends it; what was there until then is whole.
    let capture = Capturing::begin(&gateway, &json!({"direction": "tx"}));
    let path = capture.path();
    assert_eq!(gateway.get(&path).is(200)["running"], true);
    soon("frames come", || gateway.get(&path).is(200)["frames"].as_u64() > Some(0));
    gateway.ask("DELETE", &path, &Value::Null).is(200);
    assert!(!pcap::read(&capture.finish()).unwrap().is_empty());
    let listed = gateway.get("/api/v1/captures").is(200);
    assert_eq!((listed["total"].clone(), listed["items"][0]["id"].clone()), (json!(4), json!(4)), "{listed}");
    gateway.finish();
}

#[test]
fn two_captures_run_at_once_and_clients_that_go_away_leave_nothing_behind() {
    let gateway = Gateway::start("");
    ask_for_a_neighbor(&gateway);
    for round in 0..3 {
        let two = [json!({"seconds": 300}), json!({"drop": "any", "seconds": 300})];
        let captures: Vec<_> = two.iter().map(|spec| Capturing::begin(&gateway, spec)).collect();
        let third = gateway.ask("POST", "/api/v1/captures", &json!({}));
        third.is_problem();
        assert!(third.status == 409 && third.json()["detail"].as_str().unwrap().contains("of uid "), "{third:?}");
        // One goes at once, the other in the middle of it.
        if round == 1 {
            soon("frames come", || gateway.get("/api/v1/captures").is(200)["items"][1]["frames"].as_u64() > Some(0));
        }
        drop(captures);
        soon("nobody captures", || {
            let listed = gateway.get("/api/v1/captures").is(200);
            listed["items"].as_array().unwrap().iter().all(|capture| capture["running"] == false)
        });
    }
    let mut seats = Vec::new();
    soon("both seats are free", || {
        let capture = Capturing::begin(&gateway, &json!({"seconds": 2}));
        if capture.head.contains(" 200 ") {
            seats.push(capture);
        }
        seats.len() == 2
    });
    // The gateway ends while they go on.
    gateway.finish();
}
