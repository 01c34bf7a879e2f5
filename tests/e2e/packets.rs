//! What the packets look like on both sides, and what the gateway answers itself.

use crate::capture::{Capture, Packet};
use crate::config::Config;
use crate::lab::{GATEWAY, LIP, Lab, VIP};
use crate::peers::{ask, ping_pong, tcp_client, tcp_echo, udp_client, udp_echo};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

#[test]
fn packets_on_both_sides_have_right_checksums_and_one_hop_less() {
    let (lab, gateway) = Lab::with(&Config::demo());
    udp_echo(&lab, "rs1", "198.18.2.11:5353");
    udp_echo(&lab, "rs2", "198.18.2.12:5353");
    let client = Capture::start(&lab, "client", "ip");
    let server = Capture::start(&lab, "rs1", "ip");

    lab.run("client", &format!("curl -sSf -H Connection:close http://{VIP}/?[1-20]"));
    lab.run("client", &format!("curl -sSf -m 5 -r 0-4000000 -o /dev/null http://{VIP}/big"));
    lab.run("client", &format!("curl -sSf -m 5 -r 0-4000000 -o /dev/null http://{VIP}/big"));
    for n in 0..20_u8 {
        ask(&udp_client(&lab, &format!("{VIP}:5353")), &vec![n; 50 * usize::from(n)]).expect("an answer");
    }
    lab.run("client", &format!("ping -n -q -c 5 -i 0.1 -W 2 {VIP}"));

    // Finishing them checks every checksum.
    let (client, server) = (client.finish(), server.finish());
    let vip: Ipv4Addr = VIP.parse().unwrap();
    let (cip, rip): (Ipv4Addr, Ipv4Addr) = ("198.18.1.1".parse().unwrap(), "198.18.2.11".parse().unwrap());
    let lips = [Ipv4Addr::new(198, 18, 2, 100), Ipv4Addr::new(198, 18, 2, 101)];

    let to_server: Vec<&Packet> = server.iter().filter(|p| p.destination() == rip).collect();
    assert!(to_server.len() > 100, "{} packets to the server", to_server.len());
    for packet in to_server {
        assert!(lips.contains(&packet.source()), "{packet:?}");
        assert_eq!(packet.ttl(), 63, "{packet:?}");
    }
    let to_client: Vec<&Packet> = client.iter().filter(|p| p.destination() == cip).collect();
    assert!(to_client.len() > 1_000, "{} packets to the client", to_client.len());
    for packet in to_client {
        assert_eq!(packet.source(), vip, "{packet:?}");
        // 64 is the gateway's own echo reply.
        let expected = if packet.is_icmp() { 64 } else { 63 };
        assert_eq!(packet.ttl(), expected, "{packet:?}");
    }
    gateway.finish();
}

#[test]
fn vip_local_and_own_addresses_answer_pings() {
    let lab = Lab::new();
    let gateway = lab.gateway(&Config::demo());
    lab.run("client", "ip route add 198.18.2.0/24 via 198.18.1.254");
    for (role, address) in [
        ("client", VIP),
        ("client", GATEWAY),
        ("client", LIP),
        ("rs1", LIP),
        ("rs2", "198.18.2.101"),
        ("rs1", "198.18.2.254"),
    ] {
        let said = lab.run(role, &format!("ping -n -c 3 -i 0.2 -W 2 {address}"));
        assert!(said.contains("3 received"), "{role} -> {address}: {said}");
    }
    let said = lab.run("client", &format!("ping -n -c 2 -i 0.2 -s 1400 -W 2 {VIP}"));
    assert!(said.contains("2 received"), "{said}");
    gateway.finish();
}

#[test]
fn traceroute_shows_the_gateway_and_gets_through() {
    let (lab, gateway) = Lab::with(&Config::demo());
    udp_echo(&lab, "rs1", "198.18.2.11:5353");
    udp_echo(&lab, "rs2", "198.18.2.12:5353");
    for probe in ["-T -p 80", "-U -p 5353"] {
        let said = lab.run("client", &format!("traceroute -n {probe} -q 1 -w 2 -m 5 {VIP}"));
        println!("{said}");
        let hops: Vec<&str> = said.lines().skip(1).collect();
        assert!(hops[0].contains("198.18.1."), "the first hop is the gateway: {said}");
        assert!(hops.len() <= 2 && hops.last().unwrap().contains(VIP), "then the VIP answers: {said}");
    }
    gateway.finish();
}

#[test]
fn a_server_without_anybody_on_its_port_refuses_at_once() {
    let lab = Lab::new();
    let gateway = lab.gateway(&Config::demo());
    let refused = lab.within("client", || {
        let start = Instant::now();
        let error =
            TcpStream::connect_timeout(&"198.18.1.100:80".parse().unwrap(), Duration::from_secs(5)).unwrap_err();
        (error.kind(), start.elapsed())
    });
    assert!(refused.0 == ErrorKind::ConnectionRefused && refused.1 < Duration::from_millis(500), "TCP: {refused:?}");
    // The server's ICMP error reaches the client with the client's own tuple in it, else its kernel would not know it.
    let answer = ask(&udp_client(&lab, "198.18.1.100:5353"), b"anybody?");
    assert_eq!(answer.map_err(|e| e.kind()), Err(ErrorKind::ConnectionRefused), "UDP");
    // Ports of the VIP without a service: the gateway's own answers.
    let answer = ask(&udp_client(&lab, "198.18.1.100:5354"), b"anybody?");
    assert_eq!(answer.map_err(|e| e.kind()), Err(ErrorKind::ConnectionRefused), "UDP without service");
    let said = lab.try_run("client", "curl -sS -m 2 http://198.18.1.100:81/");
    assert_eq!(said.status.code(), Some(7), "curl could not connect: {said:?}");
    gateway.finish();
}

#[test]
fn a_client_learns_of_a_smaller_mtu_behind_the_gateway() {
    let lab = Lab::new();
    // Its own MTU is right, but it does not tell the client.
    lab.run("rs1", "ip link set eth0 mtu 1400");
    lab.run("rs1", "ip route replace 198.18.2.0/24 dev eth0 advmss 1460");
    let _seen = tcp_echo(&lab, "rs1", "198.18.2.11:80");
    let small = Config::one_to_one("tcp", 80, "198.18.2.11:80");
    let gateway = lab.gateway(&small.edit("name = \"lan\"\ndevice", "name = \"lan\"\nmtu = 1400\ndevice"));
    let capture = Capture::start(&lab, "rs1", "ip dst 198.18.2.11");
    let mut client = tcp_client(&lab, &format!("{VIP}:80"));
    for n in 0..20 {
        ping_pong(&mut client, &[n; 4_000]).expect("an echo");
    }
    let packets = capture.finish();
    assert!(packets.iter().all(|p| p.total_length() <= 1_400 && !p.is_fragment()), "no packet is larger than the MTU");
    let route = lab.run("client", &format!("ip route get {VIP}"));
    assert!(route.contains("mtu 1400"), "{route}");
    gateway.finish();
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
