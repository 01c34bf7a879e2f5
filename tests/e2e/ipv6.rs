//! What is IPv6's own: neighbour discovery with real kernels, link-local routers, and VLANs that carry both families.

use crate::capture::Capture;
use crate::config::Config;
use crate::lab::{Lab, NAT64, V4, V6, WAYS, at, script, within};
use crate::peers::{ask, udp_client, udp_echo};
use std::time::Duration;

/// The link-local addresses of the client and of the gateway's port towards it, made from their MAC addresses.
const CLIENT_LINK_LOCAL: &str = "fe80::ff:fe00:101";
const GATEWAY_LINK_LOCAL: &str = "fe80::ff:fe00:1fe";

#[test]
fn neighbours_find_each_other_and_the_gateway_knows_their_state() {
    let (lab, gateway) = Lab::with(&Config::demo_on(&V6));
    lab.run("client", &format!("curl -sSf -m 5 http://{}/", at(V6.vip, 80)));
    lab.run("rs1", &format!("ping -n -c 1 -W 2 {}", V6.lips[0]));
    let knows = |role: &str, address: &str, mac: &str| {
        let said = lab.run(role, &format!("ip -6 neigh show {address}"));
        assert!(said.contains(mac), "{role} does not know {address}: {said}");
    };
    knows("client", V6.vip, "02:00:00:00:01:fe");
    knows("rs1", V6.lips[0], "02:00:00:00:02:fe");
    let status = gateway.status();
    for address in [V6.client, V6.rs1, V6.rs2] {
        assert_eq!(status.neighbor_state(address).as_deref(), Some("reachable"), "{address}");
    }
    let said = gateway.tell(&[]);
    assert!(said.contains("[2001:db8:1::100]:80") && said.contains("2001:db8:2::11"), "{said}");
    gateway.finish();
}

#[test]
fn a_link_local_router_leads_to_clients_behind_it_and_the_gateways_own_leads_to_it() {
    let lab = Lab::new();
    lab.nginx("rs1", &[V6.rs1, V4.rs1]);
    for way in [&V6, &NAT64] {
        // Clients are behind the client's namespace, which is their router.
        lab.run("client", "ip addr replace 2001:db8:99::1/128 dev lo");
        lab.run("client", &format!("ip route replace 2001:db8:2::/64 via {GATEWAY_LINK_LOCAL} dev eth0"));
        let route = format!("[[route]]\nto = \"::/0\"\nvia = \"{CLIENT_LINK_LOCAL}\"\ninterface = \"wan\"\n");
        let gateway = lab.gateway(&Config::on(way, "tcp", 80).add(&route));
        assert_eq!(gateway.status().neighbor_state(CLIENT_LINK_LOCAL).as_deref(), Some("reachable"));
        let url = at(way.vip, 80);
        let said = lab.run("client", &format!("curl -sSf -m 5 --interface 2001:db8:99::1 http://{url}/?[1-20]"));
        assert_eq!(said.lines().filter(|line| line.contains(&format!(" saw {}:", way.lips[0]))).count(), 20, "{said}");
        lab.run("client", &format!("ping -n -c 2 -i 0.2 -W 2 -I 2001:db8:99::1 {}", V6.gateway[1]));
        gateway.finish();
    }
}

#[test]
fn a_host_that_wants_an_address_of_the_gateway_learns_that_it_is_taken() {
    let lab = Lab::new();
    let gateway = lab.gateway(&Config::demo());
    lab.run("client", "sysctl -qw net.ipv6.conf.eth0.accept_dad=1 net.ipv6.conf.eth0.dad_transmits=1");
    for address in [V6.vip, V6.gateway[0]] {
        lab.run("client", &format!("ip addr add {address}/64 dev eth0"));
        within(Duration::from_secs(5), "the kernel finds the duplicate", || {
            lab.run("client", &format!("ip -6 addr show dev eth0 to {address}")).contains("dadfailed")
        });
    }
    gateway.finish();
}

#[test]
fn a_gateway_whose_address_another_has_says_so_and_serves_all_the_same() {
    let lab = Lab::new();
    lab.nginx("rs1", &[V6.rs1]);
    lab.run("rs2", &format!("ip addr add {}/64 dev eth0 nodad", V6.gateway[1]));
    let gateway = lab.gateway(&Config::on(&V6, "tcp", 80));
    assert!(gateway.log().contains(&format!("02:00:00:00:02:12 says that {} is its own", V6.gateway[1])));
    lab.run("client", &format!("curl -sSf -m 5 http://{}/?[1-10]", at(V6.vip, 80)));
    gateway.finish();
}

#[test]
fn one_port_carries_both_families_in_two_vlans() {
    let lab = Lab::new();
    lab.nginx("rs1", &[V4.rs1, V6.rs1]);
    lab.nginx("rs2", &[V4.rs2, V6.rs2]);
    lab.run("gw", "ip link add trunk0 type veth peer name trunk1");
    lab.run("gw", "ip link set trunk0 up");
    lab.run("gw", "ip link set trunk1 up");
    lab.spawn("gw", &format!("{} trunk1 100=gt-wan 200=gt-lan", script("trunk.py").display()));
    for way in &WAYS {
        let gateway = lab.gateway(&Config::demo_on(way).on_a_trunk("trunk0", 100, 200));
        let url = at(way.vip, 80);
        let said = lab.run("client", &format!("curl -sSf -m 10 -H Connection:close http://{url}/?[1-20]"));
        for name in ["rs1", "rs2"] {
            assert_eq!(said.lines().filter(|line| line.starts_with(name)).count(), 10, "{}: {said}", way.name);
        }
        lab.run("client", &format!("curl -sSf -m 10 -r 0-1000000 -o /dev/null http://{url}/big"));
        lab.run("client", &format!("ping -n -c 2 -i 0.2 -W 2 {}", way.vip));
        let status = gateway.tell(&[]);
        assert!(status.contains("trunk.100") && status.contains("trunk.200"), "{status}");
        gateway.finish();
    }
}

#[test]
fn an_ipv4_server_that_leaves_out_udp_checksums_is_understood_by_ipv6_clients() {
    let lab = Lab::new();
    lab.spawn("rs1", &format!("{} serve rs1 {} 5353 no-checksum", script("echo.py").display(), V4.rs1));
    let gateway = lab.gateway(&Config::on(&NAT64, "udp", 5353));
    let client = udp_client(&lab, &at(NAT64.vip, 5353));
    within(Duration::from_secs(5), "the server is up", || ask(&client, b"there?").is_ok());
    let capture = Capture::start(&lab, "rs1", &format!("udp and src {}", V4.rs1));
    for text in ["even", "odd", ""] {
        let answer = ask(&client, text.as_bytes()).expect("an answer");
        assert!(answer.starts_with(b"rs1 saw 198.18.2.100:") && answer.ends_with(format!(": {text}").as_bytes()));
    }
    let packets = capture.finish();
    assert!(packets.len() == 3 && packets.iter().all(|p| p.udp_checksum() == 0), "{packets:?}");
    assert_eq!(lab.counter("client", "Udp6InCsumErrors"), 0);
    gateway.finish();
}

#[test]
fn a_datagram_that_is_too_long_as_ipv6_comes_in_fragments() {
    let lab = Lab::new();
    // Its packets have no DF: whoever forwards may cut them.
    lab.run("rs1", "sysctl -qw net.ipv4.ip_no_pmtu_disc=1");
    udp_echo(&lab, "rs1", &at(V4.rs1, 5353));
    let gateway = lab.gateway(&Config::on(&NAT64, "udp", 5353));
    let client = udp_client(&lab, &at(NAT64.vip, 5353));
    let capture = Capture::start(&lab, "client", &format!("ip6 and dst {}", NAT64.client));
    // The answer is four bytes longer. It fits into an IPv4 packet, and as IPv6 into the least MTU only when it is the last.
    for length in [1_452, 1_229, 1_228] {
        let text: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        assert_eq!(ask(&client, &text).expect("an answer"), [b"rs1 ", &text[..]].concat(), "{length} bytes");
    }
    let packets = capture.finish();
    assert_eq!(packets.iter().filter(|p| p.is_fragment()).count(), 4, "{packets:?}");
    assert!(packets.iter().all(|p| p.total_length() <= 1_280), "the fragments pass every link: {packets:?}");
    gateway.finish();
}

#[test]
fn workers_share_connections_of_every_way() {
    for way in &WAYS {
        let config = Config::demo_on(way)
            .edit("workers = [1]", "workers = [1, 2]\ncpus = { 0 = 0, 1 = 0, 2 = 1 }")
            .edit("framecnt=4096", "framecnt=4096,qpairs=2");
        let (lab, gateway) = Lab::with(&config);
        let said =
            lab.run("client", &format!("curl -sSf -m 20 -H Connection:close http://{}/?[1-100]", at(way.vip, 80)));
        assert_eq!(said.lines().count(), 100, "{}: {said}", way.name);
        let opened = gateway.status().by_lcore("conns_opened");
        assert!(opened.iter().all(|&n| n > 20), "{}: connections opened by each worker: {opened:?}", way.name);
        gateway.finish();
    }
}
