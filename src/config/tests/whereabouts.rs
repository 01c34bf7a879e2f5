use std::net::IpAddr;

use super::super::*;
use super::{DUAL, TWO_ARM, model};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Two arms, a subnet inside a routed one, a routed VIP, servers on link, behind the route and behind the default.
fn routed() -> Model {
    let more = r#"
[[route]]
to = "198.18.64.0/18"
via = "198.18.2.1"
[[route]]
to = "198.18.64.0/24"
via = "198.18.2.2"
[[route]]
to = "198.18.2.192/26"
via = "198.18.2.1"
[[laddr_pool]]
name = "far"
addresses = ["10.9.9.9"]
[[service]]
protocol = "udp"
address = "10.1.1.1:53"
laddr_pool = "far"
real = [
    { address = "198.18.64.7:53" }, { address = "198.18.65.7:53" }, { address = "192.0.2.7:53" },
    { address = "198.18.2.11:53" }, { address = "198.18.2.200:53" },
]
"#;
    let first = TWO_ARM.replace("protocol = \"tcp\"", "protocol = \"tcp\"\nladdr_pool = \"lan\"");
    model(&format!("{first}{more}"))
}

#[test]
fn connected_is_the_interface_whose_subnet_contains_the_address() {
    let model = routed();
    for (address, interface) in [
        ("198.18.1.0", Some(0)),
        ("198.18.1.255", Some(0)),
        ("198.18.2.0", Some(1)),
        ("198.18.3.0", None),
        ("198.18.0.255", None),
        ("10.1.1.1", None),
        ("::1", None),
    ] {
        assert_eq!(model.connected(ip(address)), interface.map(InterfaceId), "{address}");
    }
}

#[test]
fn interface_of_knows_only_what_the_gateway_answers_for() {
    let model = routed();
    for (address, interface) in [
        ("198.18.1.254", Some(0)), // own
        ("198.18.1.100", Some(0)), // VIP
        ("198.18.2.101", Some(1)), // local address
        ("198.18.2.102", None),    // one past the pool
        ("198.18.2.11", None),     // a server
        ("10.1.1.1", None),        // a routed VIP
        ("10.9.9.9", None),        // a routed local address
    ] {
        assert_eq!(model.interface_of(ip(address)), interface.map(InterfaceId), "{address}");
    }
}

#[test]
fn route_to_takes_the_longest_prefix() {
    let model = routed();
    for (address, way) in [
        ("198.18.2.11", (1, "198.18.2.11")),
        ("198.18.2.200", (1, "198.18.2.1")), // a route inside the connected subnet
        ("198.18.64.7", (1, "198.18.2.2")),
        ("198.18.65.7", (1, "198.18.2.1")),
        ("192.0.2.7", (0, "198.18.1.1")),
    ] {
        assert_eq!(model.route_to(ip(address)), Some((InterfaceId(way.0), ip(way.1))), "{address}");
    }
    let no_default = model_without_default();
    assert_eq!(no_default.route_to(ip("192.0.2.7")), None);
}

fn model_without_default() -> Model {
    model(&TWO_ARM.replace("[[route]]\nto = \"0.0.0.0/0\"\nvia = \"198.18.1.1\"\n", ""))
}

#[test]
fn next_hops_are_the_routers_and_the_servers_on_link_each_once() {
    let hops: Vec<_> = routed().next_hops().into_iter().map(|(id, hop)| format!("{} {hop}", id.0)).collect();
    assert_eq!(hops, ["0 198.18.1.1", "1 198.18.2.1", "1 198.18.2.2", "1 198.18.2.11", "1 198.18.2.12"]);
    let hops: Vec<_> = model_without_default().next_hops().into_iter().map(|(_, hop)| hop).collect();
    assert_eq!(hops, [ip("198.18.2.11"), ip("198.18.2.12")]);
}

#[test]
fn ipv6_addresses_are_where_their_prefixes_and_routes_are() {
    let model = model(DUAL);
    for (address, interface) in [
        ("2001:db8:1::fe", Some(0)),  // own
        ("2001:db8:1::100", Some(0)), // VIP
        ("2001:db8:2::101", Some(1)), // local address
        ("2001:db8:2::11", None),     // a server
        ("fe80::1", None),
        ("::198.18.1.254", None),
    ] {
        assert_eq!(model.interface_of(ip(address)), interface.map(InterfaceId), "{address}");
    }
    for (address, way) in [
        ("2001:db8:2::11", (1, "2001:db8:2::11")),
        ("2001:db8:64::9", (1, "2001:db8:2::1")),
        ("2001:db9::9", (0, "fe80::1")),
        ("192.0.2.7", (0, "198.18.1.1")),
    ] {
        assert_eq!(model.route_to(ip(address)), Some((InterfaceId(way.0), ip(way.1))), "{address}");
    }
    let hops: Vec<_> = model.next_hops().into_iter().map(|(id, hop)| format!("{} {hop}", id.0)).collect();
    let expected =
        ["0 198.18.1.1", "0 fe80::1", "1 2001:db8:2::1", "1 198.18.2.11", "1 2001:db8:2::11", "1 198.18.2.12"];
    assert_eq!(hops, expected);
    assert_eq!((model.neighbors[0].interface, model.neighbors[0].address), (InterfaceId(1), ip("fe80::1")));
    assert_eq!(
        (model.interface_name(InterfaceId(0)), model.interface_name(InterfaceId(1))),
        ("wan".into(), "lan.100".into())
    );
}

#[test]
fn a_port_has_ipv6_when_an_address_of_it_is_one() {
    let ports = |text: &str| {
        let model = model(text);
        [model.has_ipv6(PortId(0)), model.has_ipv6(PortId(1))]
    };
    assert_eq!(ports(DUAL), [true, true]);
    assert_eq!(ports(TWO_ARM), [false, false]);
    assert_eq!(ports(&TWO_ARM.replacen("1.254/24\"", "1.254/24\", \"2001:db8:1::fe/64\"", 1)), [true, false]);
}

#[test]
fn a_port_is_found_by_its_name() {
    let model = model(TWO_ARM);
    assert_eq!((model.port("lan"), model.port("wan"), model.port("Lan")), (Some(PortId(1)), Some(PortId(0)), None));
}

#[test]
fn a_static_neighbour_and_a_route_know_their_interface() {
    let text = format!("{TWO_ARM}[[neighbor]]\naddress = \"198.18.2.11\"\nmac = \"02:00:00:00:02:11\"\n");
    let model = model(&text);
    assert_eq!(model.neighbors[0].interface, InterfaceId(1));
    assert_eq!(model.routes[0].interface, InterfaceId(0));
}

#[test]
fn an_lcore_runs_on_the_cpu_of_its_number_unless_the_file_says_otherwise() {
    let model = model(&format!("[lcores]\nworkers = [1, 2]\ncpus = {{ 0 = 0, 1 = 0 }}\n{TWO_ARM}"));
    assert_eq!((model.lcores.cpu(0), model.lcores.cpu(1), model.lcores.cpu(2)), (0, 0, 2));
}
