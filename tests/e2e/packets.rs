//! What the packets look like on both sides, and what the gateway answers itself.

use crate::capture::{Capture, Packet};
use crate::config::Config;
use crate::lab::{Lab, NAT64, V4, V6, VIP, WAYS, Way, at};
use crate::peers::{ask, ping_pong, tcp_client, tcp_echo, udp_client, udp_echo};
use std::io::ErrorKind;
use std::net::{IpAddr, TcpStream};
use std::time::{Duration, Instant};

#[test]
fn packets_on_both_sides_have_right_checksums_and_one_hop_less() {
    for way in &WAYS {
        packets_on_both_sides_are_right_on(way);
    }
}

fn packets_on_both_sides_are_right_on(way: &Way) {
    let (lab, gateway) = Lab::with(&Config::demo_on(way));
    udp_echo(&lab, "rs1", &at(way.rs1, 5353));
    udp_echo(&lab, "rs2", &at(way.rs2, 5353));
    let client = Capture::start(&lab, "client", "ip or ip6");
    let server = Capture::start(&lab, "rs1", "ip or ip6");

    let url = at(way.vip, 80);
    lab.run("client", &format!("curl -sSf -m 20 -H Connection:close http://{url}/?[1-20]"));
    lab.run("client", &format!("curl -sSf -m 5 -r 0-4000000 -o /dev/null http://{url}/big"));
    lab.run("client", &format!("curl -sSf -m 5 -r 0-4000000 -o /dev/null http://{url}/big"));
    for n in 0..20_u8 {
        ask(&udp_client(&lab, &at(way.vip, 5353)), &vec![n; 50 * usize::from(n)]).expect("an answer");
    }
    lab.run("client", &format!("ping -n -q -c 5 -i 0.1 -W 2 {}", way.vip));

    // Finishing them checks every checksum.
    let (client, server) = (client.finish(), server.finish());
    let ip = |address: &str| -> IpAddr { address.parse().unwrap() };
    let lips = way.lips.map(ip);

    let to_server: Vec<&Packet> = server.iter().filter(|p| p.destination() == ip(way.rs1)).collect();
    assert!(to_server.len() > 100, "{}: {} packets to the server", way.name, to_server.len());
    for packet in to_server {
        assert!(lips.contains(&packet.source()), "{packet:?}");
        assert_eq!(packet.ttl(), 63, "{packet:?}");
    }
    let to_client: Vec<&Packet> = client.iter().filter(|p| p.destination() == ip(way.client)).collect();
    assert!(to_client.len() > 1_000, "{}: {} packets to the client", way.name, to_client.len());
    for packet in to_client {
        assert_eq!(packet.source(), ip(way.vip), "{packet:?}");
        // 64 is the gateway's own echo reply, and its word to a server that sends too much at once.
        let expected = if packet.is_icmp() { 64 } else { 63 };
        assert_eq!(packet.ttl(), expected, "{packet:?}");
    }
    gateway.finish();
}

#[test]
fn vip_local_and_own_addresses_answer_pings() {
    let lab = Lab::new();
    let gateway = lab.gateway(&Config::demo());
    for way in [&V4, &V6] {
        let net = way.rs1.replace(".11", ".0/24").replace("::11", "::/64");
        lab.run("client", &format!("ip route add {net} via {}", way.gateway[0]));
        for (role, address) in [
            ("client", way.vip),
            ("client", way.gateway[0]),
            ("client", way.lips[0]),
            ("rs1", way.lips[0]),
            ("rs2", way.lips[1]),
            ("rs1", way.gateway[1]),
        ] {
            let said = lab.run(role, &format!("ping -n -c 3 -i 0.2 -W 2 {address}"));
            assert!(said.contains("3 received"), "{role} -> {address}: {said}");
        }
        let said = lab.run("client", &format!("ping -n -c 2 -i 0.2 -s 1400 -W 2 {}", way.vip));
        assert!(said.contains("2 received"), "{said}");
    }
    // Its link-local addresses, made from its MAC addresses.
    for (role, address) in [("client", "fe80::ff:fe00:1fe"), ("rs1", "fe80::ff:fe00:2fe")] {
        let said = lab.run(role, &format!("ping -n -c 3 -i 0.2 -W 2 {address}%eth0"));
        assert!(said.contains("3 received"), "{role} -> {address}: {said}");
    }
    gateway.finish();
}

#[test]
fn traceroute_shows_the_gateway_and_gets_through() {
    for way in &WAYS {
        let (lab, gateway) = Lab::with(&Config::demo_on(way));
        udp_echo(&lab, "rs1", &at(way.rs1, 5353));
        udp_echo(&lab, "rs2", &at(way.rs2, 5353));
        for probe in ["-T -p 80", "-U -p 5353"] {
            let said = lab.run("client", &format!("traceroute -n {probe} -q 1 -w 2 -m 5 {}", way.vip));
            println!("{said}");
            let hops: Vec<&str> = said.lines().skip(1).collect();
            let of_the_gateway = [way.gateway[0], way.vip].iter().any(|address| hops[0].contains(address));
            assert!(of_the_gateway, "the first hop is the gateway: {said}");
            assert!(hops.len() <= 2 && hops.last().unwrap().contains(way.vip), "then the VIP answers: {said}");
        }
        gateway.finish();
    }
}

#[test]
fn a_server_without_anybody_on_its_port_refuses_at_once() {
    for way in &WAYS {
        let lab = Lab::new();
        let gateway = lab.gateway(&Config::demo_on(way));
        let target = at(way.vip, 80).parse().unwrap();
        let refused = lab.within("client", move || {
            let start = Instant::now();
            let error = TcpStream::connect_timeout(&target, Duration::from_secs(5)).unwrap_err();
            (error.kind(), start.elapsed())
        });
        let at_once = refused.1 < Duration::from_millis(500);
        assert!(refused.0 == ErrorKind::ConnectionRefused && at_once, "{}, TCP: {refused:?}", way.name);
        // The server's ICMP error reaches the client with the client's own tuple in it, else its kernel would not know it.
        let answer = ask(&udp_client(&lab, &at(way.vip, 5353)), b"anybody?");
        assert_eq!(answer.map_err(|e| e.kind()), Err(ErrorKind::ConnectionRefused), "{}, UDP", way.name);
        // Ports of the VIP without a service: the gateway's own answers.
        let answer = ask(&udp_client(&lab, &at(way.vip, 5354)), b"anybody?");
        assert_eq!(answer.map_err(|e| e.kind()), Err(ErrorKind::ConnectionRefused), "{}, UDP, no service", way.name);
        let said = lab.try_run("client", &format!("curl -sS -m 2 http://{}/", at(way.vip, 81)));
        assert_eq!(said.status.code(), Some(7), "{}: curl could not connect: {said:?}", way.name);
        gateway.finish();
    }
}

#[test]
fn a_client_learns_of_a_smaller_mtu_behind_the_gateway() {
    // An IPv4 header is 20 bytes shorter: an IPv6 client of an IPv4 server may send so much more.
    for (way, mtu) in [(&V4, 1_400), (&V6, 1_400), (&NAT64, 1_420)] {
        let lab = Lab::new();
        small_mtu_untold(&lab, "rs1", way.rs1);
        let route = learnt_across(&lab, way, "lan", ("rs1", way.rs1), ("client", way.vip));
        assert!(route.contains(&format!("mtu {mtu}")), "{}: {route}", way.name);
    }
}

#[test]
fn a_server_learns_of_a_smaller_mtu_towards_its_client() {
    for (way, mtu) in [(&V4, 1_400), (&V6, 1_400), (&NAT64, 1_380)] {
        let lab = Lab::new();
        small_mtu_untold(&lab, "client", way.client);
        let route = learnt_across(&lab, way, "wan", ("client", way.client), ("rs1", way.lips[0]));
        assert!(route.contains(&format!("mtu {mtu}")), "{}: {route}", way.name);
    }
}

/// A host whose own MTU is 1,400, and who asks for segments as if it were 1,500.
fn small_mtu_untold(lab: &Lab, role: &str, address: &str) {
    lab.run(role, "ip link set eth0 mtu 1400");
    let (net, mss) = match address.rsplit_once("::") {
        Some((net, _)) => (format!("{net}::/64 metric 256"), 1_440),
        None => (format!("{}.0/24", address.rsplit_once('.').expect("an IPv4 address").0), 1_460),
    };
    lab.run(role, &format!("ip route replace {net} dev eth0 advmss {mss}"));
}

/// Large packets both ways through a gateway with a port of MTU 1,400, behind which one host is. Each one that comes to it
/// fits. Gives the way to the gateway as the other host sees it then.
fn learnt_across(lab: &Lab, way: &Way, port: &str, small: (&str, &str), other: (&str, &str)) -> String {
    let _seen = tcp_echo(lab, "rs1", &at(way.rs1, 80));
    let device = |mtu: &str| format!("name = \"{port}\"\n{mtu}device");
    let gateway = lab.gateway(&Config::on(way, "tcp", 80).edit(&device(""), &device("mtu = 1400\n")));
    let capture = Capture::start(lab, small.0, &format!("dst {}", small.1));
    let mut client = tcp_client(lab, &at(way.vip, 80));
    for n in 0..20 {
        ping_pong(&mut client, &[n; 4_000]).unwrap_or_else(|e| panic!("{}: an echo: {e}", way.name));
    }
    let packets = capture.finish();
    let fits = packets.iter().all(|p| p.total_length() <= 1_400 && !p.is_fragment());
    assert!(fits, "{}: no packet is larger than the MTU", way.name);
    gateway.finish();
    lab.run(other.0, &format!("ip route get {}", other.1))
}

/// Everything large: a frame of af_packet and an mbuf hold what the kernel has put together.
fn jumbo(protocol: &str, port: u16) -> Config {
    Config::one_to_one(protocol, port, &format!("198.18.2.11:{port}"))
        .edit("framesz=2048,blocksz=65536,framecnt=4096", "framesz=16384,blocksz=65536,framecnt=512")
        .edit("[tables]\n", "[tables]\nmbuf_size = 16_384\nmbufs = 8_192\n")
        .edit("memory_mb = 256", "memory_mb = 512")
}

#[test]
fn a_datagram_that_the_kernel_reassembled_is_fragmented_again() {
    let lab = Lab::new();
    udp_echo(&lab, "rs1", "198.18.2.11:5353");
    let gateway = lab.gateway(&jumbo("udp", 5353));
    let capture = Capture::start(&lab, "rs1", "ip dst 198.18.2.11");
    let client = udp_client(&lab, &format!("{VIP}:5353"));
    for length in [4_000, 1_473, 8_000, 1_472] {
        // Without DF, as a resolver sends: else the client would be told to send less.
        no_path_mtu_discovery(&lab);
        let text: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        let answer = ask(&client, &text).unwrap_or_else(|e| panic!("{length} bytes: {e}"));
        assert_eq!(answer, [b"rs1 ", &text[..]].concat(), "{length} bytes come back as they were");
    }
    let packets = capture.finish();
    assert!(packets.iter().any(Packet::is_fragment), "large datagrams arrive as fragments");
    assert!(packets.iter().all(|p| p.total_length() <= 1_500), "no packet is larger than the MTU");
    gateway.finish();
}

fn no_path_mtu_discovery(lab: &Lab) {
    lab.run("client", "sysctl -qw net.ipv4.ip_no_pmtu_disc=1");
    lab.run("rs1", "sysctl -qw net.ipv4.ip_no_pmtu_disc=1");
}
