use super::{DUAL, TWO_ARM, model, problems};

/// One mistake, or a few that belong together, and the edit that makes it: what is to be replaced, and by what.
/// An empty first part puts the second at the top of the file; `+` puts it at the end.
const EDITS: &[(&str, &str, &str)] = &[
    // The file as a whole.
    ("a table nobody knows", "+", "[sevice]\n"),
    ("a field nobody knows", "name = \"lan\"\n[[interface]]", "name = \"lan\"\nspeed = 10\n[[interface]]"),
    ("a table where tables belong", "[[laddr_pool]]", "[laddr_pool]"),
    ("a port where ports belong", "[[port]]\nname = \"wan\"\n[[port]]\nname = \"lan\"", "[port]\nname = \"wan\""),
    (
        "an interface where interfaces belong",
        "[[interface]]\nport = \"wan\"\naddresses = [\"198.18.1.254/24\"]\n[[interface]]",
        "[interface]",
    ),
    ("tables where a table belongs", "", "[[tcp]]\n"),
    ("a value where a table belongs", "", "eal = 3\n"),
    ("a date", "", "[eal]\nmemory_mb = 1979-05-27\n"),
    ("a number in quotes", "", "[tables]\nconnections = \"many\"\n"),
    ("a field with blanks in its name", "", "[tcp]\n\"a b\" = { c = [1, \"two\"] }\n"),
    ("a long value", "", "[eal]\nargz = \"0123456789012345678901234567890123456789012345678901234567890\"\n"),
    // Whole settings.
    ("eal", "", "[eal]\nno_huge = \"yes\"\nmemory_mb = 63\nargs = [\"--vdev=net_null0\", 1, \"\"]\n"),
    ("no worker", "", "[lcores]\nworkers = []\n"),
    ("workers on taken lcores", "", "[lcores]\nmaster = 3\nworkers = [1, 3, 1, 128]\n"),
    ("workers by a word nobody knows", "", "[lcores]\nworkers = \"all\"\n"),
    ("workers by number", "", "[lcores]\nworkers = 3\n"),
    ("cpus of workers that are found at start", "", "[lcores]\nworkers = \"auto\"\ncpus = { 0 = 1, 1 = 0 }\n"),
    ("a master on the default worker's lcore", "", "[lcores]\nmaster = 1\n"),
    ("cpus of nobody", "", "[lcores]\ncpus = { 0 = 0, 2 = 2, x = 1, 1 = 1024 }\nidle = \"slep\"\n"),
    (
        "table sizes one past their bounds",
        "",
        "[tables]\nconnections = 268_435_457\nreals = 0\nneighbors = 65_537\nmbufs = 511\nmbuf_size = 65_408\n",
    ),
    ("more real servers than ids", "", "[tables]\nreals = 1\n"),
    ("steering", "", "[steering]\nkey = \"6d5a\"\nseed = -1\n"),
    ("words", "", "[tcp]\nsyn_timestamps = \"hott\"\non_server_removed = \"drop\"\nraise_sequence = 1\n"),
    ("timeouts one past their bounds", "", "[timeouts]\nsyn = 0\nudp = 2_678_401\nfin_wiat = 3\n"),
    ("limits", "", "[limits]\nicmp_echo = { rate = 1, burst = 0 }\nno_server = 4\nno_service = { rte = 5 }\n"),
    // Ports and interfaces.
    ("an empty file", TWO_ARM, ""),
    ("a port without a name", "name = \"wan\"", ""),
    ("a port's name with a blank", "name = \"wan\"", "name = \"w an\""),
    ("ports of one name", "name = \"wan\"", "name = \"lan\""),
    (
        "ports of one device",
        "name = \"wan\"\n[[port]]",
        "name = \"wan\"\ndevice = \"0000:0A:00.0\"\n[[port]]\ndevice = \"0000:0a:00.0,x=1\"",
    ),
    (
        "ports of one MAC",
        "name = \"wan\"\n[[port]]",
        "name = \"wan\"\nmac = \"02:00:00:00:00:01\"\n[[port]]\nmac = \"02:00:00:00:00:01\"",
    ),
    (
        "MACs that are none",
        "name = \"wan\"\n[[port]]",
        "name = \"wan\"\nmac = \"02:00:00:00:00\"\n[[port]]\nmac = \"03:00:00:00:00:01\"",
    ),
    (
        "MTUs one past their bounds",
        "name = \"wan\"\n[[port]]",
        "name = \"wan\"\nmtu = 575\n[[port]]\nmtu = 9217\nrx_desc = 63\ntx_desc = 32_769",
    ),
    ("a steering policy nobody knows", "name = \"wan\"", "name = \"wan\"\nsteering = \"rrs\""),
    ("an interface on no port", "port = \"wan\"", "port = \"wna\""),
    ("an interface without port", "port = \"wan\"", ""),
    ("VLANs one past their bounds", "port = \"wan\"", "port = \"wan\"\nvlan = 4095"),
    ("VLAN 0", "port = \"wan\"", "port = \"wan\"\nvlan = 0"),
    ("one interface twice", "port = \"wan\"", "port = \"lan\""),
    (
        "one VLAN twice",
        "+",
        "[[interface]]\nport = \"lan\"\nvlan = 7\naddresses = [\"10.0.0.1/24\"]\n[[interface]]\nport = \"lan\"\nvlan = 7\naddresses = [\"10.0.1.1/24\"]\n",
    ),
    ("an interface without addresses", "addresses = [\"198.18.1.254/24\"]", ""),
    ("an interface with no addresses", "addresses = [\"198.18.1.254/24\"]", "addresses = []"),
    (
        "own addresses that are none",
        "\"198.18.1.254/24\"",
        "\"198.18.1.254\", \"198.18.1/24\", \"198.18.1.254/33\", \"198.18.1.254/+1\", \"198.18.1.254/0\", \"\"",
    ),
    (
        "own addresses that no host has",
        "\"198.18.1.254/24\"",
        "\"0.1.2.3/24\", \"127.0.0.1/8\", \"224.0.0.1/24\", \"255.255.255.255/32\", \"240.0.0.1/24\", \"198.18.1.0/24\", \"198.18.1.255/24\"",
    ),
    ("an own address twice", "\"198.18.1.254/24\"", "\"198.18.1.254/24\", \"198.18.1.254/24\""),
    ("subnets that overlap", "\"198.18.1.254/24\"", "\"198.18.1.254/24\", \"198.18.3.1/22\""),
    // Routes and neighbours.
    ("a route without its fields", "+", "[[route]]\n"),
    ("a route with bits behind its prefix", "0.0.0.0/0", "10.1.2.3/8"),
    ("a route of what is never forwarded", "0.0.0.0/0", "224.0.0.0/4"),
    ("a route twice", "+", "[[route]]\nto = \"0.0.0.0/0\"\nvia = \"198.18.2.1\"\n"),
    ("a route to a connected subnet", "0.0.0.0/0", "198.18.2.0/24"),
    ("a next hop on no subnet", "via = \"198.18.1.1\"", "via = \"198.18.3.1\""),
    ("a next hop that is the gateway", "via = \"198.18.1.1\"", "via = \"198.18.1.254\""),
    ("a next hop that is a VIP", "via = \"198.18.1.1\"", "via = \"198.18.1.100\""),
    ("a next hop that is the broadcast address", "via = \"198.18.1.1\"", "via = \"198.18.1.255\""),
    ("a neighbour without MAC", "+", "[[neighbor]]\naddress = \"198.18.2.11\"\n"),
    (
        "a neighbour twice",
        "+",
        "[[neighbor]]\naddress = \"198.18.2.11\"\nmac = \"02:00:00:00:00:01\"\n[[neighbor]]\naddress = \"198.18.2.11\"\nmac = \"02:00:00:00:00:02\"\n",
    ),
    (
        "neighbours that cannot be",
        "+",
        "[[neighbor]]\naddress = \"10.0.0.1\"\nmac = \"02:00:00:00:00:01\"\n[[neighbor]]\naddress = \"198.18.2.100\"\nmac = \"00:00:00:00:00:00\"\n",
    ),
    // Pools.
    ("an empty pool", "\"198.18.2.100-198.18.2.101\"", ""),
    (
        "pool entries that are none",
        "\"198.18.2.100-198.18.2.101\"",
        "\"198.18.2.9-198.18.2.8\", \"198.18.2.1-9\", \"198.18.2.1/30\", \"here\", 5",
    ),
    (
        "pool entries that no host has",
        "\"198.18.2.100-198.18.2.101\"",
        "\"0.0.0.0-0.0.0.9\", \"239.255.255.255-240.0.0.0\", \"127.0.0.0/30\", \"198.18.2.255\"",
    ),
    ("a subnet of local addresses one past the most", "198.18.2.100-198.18.2.101", "10.0.0.0-10.0.4.0"),
    ("many local addresses one past the most", "198.18.2.100-198.18.2.101", "10.0.0.0/22\", \"10.1.0.1"),
    ("every address there is", "198.18.2.100-198.18.2.101", "0.0.0.0/0"),
    ("pools of one name", "+", "[[laddr_pool]]\nname = \"lan\"\naddresses = [\"198.18.2.3\"]\n"),
    ("local addresses in two pools", "+", "[[laddr_pool]]\nname = \"b\"\naddresses = [\"198.18.2.96/28\"]\n"),
    ("a local address that is the gateway's own", "198.18.2.100-198.18.2.101", "198.18.2.254"),
    ("a pool that holds the whole subnet", "198.18.2.100-198.18.2.101", "198.18.2.0/24"),
    // Services.
    ("a service without its fields", "+", "[[service]]\n"),
    ("service addresses that are none", "198.18.1.100:80", "198.18.1.100"),
    ("a service on port 0", "198.18.1.100:80", "198.18.1.100:0"),
    ("a service on port 65536", "198.18.1.100:80", "198.18.1.100:65536"),
    ("a service that is multicast", "198.18.1.100:80", "224.0.0.1:80"),
    ("a VIP that is the gateway's own address", "198.18.1.100:80", "198.18.1.254:80"),
    ("a VIP that is a local address", "198.18.1.100:80", "198.18.2.100:80"),
    ("a VIP that is the broadcast address", "198.18.1.100:80", "198.18.1.255:80"),
    ("a service twice", "+", "[[service]]\nprotocol = \"tcp\"\naddress = \"198.18.1.100:80\"\n"),
    (
        "services of one name",
        "+",
        "[[service]]\nname = \"tcp 198.18.1.100:80\"\nprotocol = \"tcp\"\naddress = \"198.18.1.100:81\"\n",
    ),
    (
        "service words",
        "protocol = \"tcp\"",
        "protocol = \"sctp\"\nscheduler = \"wcl\"\non_server_removed = \"rest\"\nname = \" \"",
    ),
    ("a VIP of a family that no interface has", "198.18.1.100:80", "[2001:db8:1::100]:80"),
    ("a pool that is not there", "protocol = \"tcp\"", "protocol = \"tcp\"\nladdr_pool = \"lna\""),
    ("no pool at all", "[[laddr_pool]]\nname = \"lan\"\naddresses = [\"198.18.2.100-198.18.2.101\"]\n", ""),
    ("a choice of pools", "+", "[[laddr_pool]]\nname = \"b\"\naddresses = [\"198.18.2.3\"]\n"),
    ("an MSS one past its bound", "protocol = \"tcp\"", "protocol = \"tcp\"\nmss_clamp = 535"),
    ("an MSS of UDP", "protocol = \"tcp\"", "protocol = \"udp\"\nmss_clamp = 1440"),
    ("a service's own timeouts", "protocol = \"tcp\"", "protocol = \"tcp\"\ntimeouts = { established = 0, idle = 5 }"),
    // Real servers.
    ("a server without address", "address = \"198.18.2.11:80\"", "weight = 2"),
    ("a field of a server that nobody knows", "address = \"198.18.2.11:80\"", "adress = \"198.18.2.11:80\""),
    ("a server twice", "198.18.2.11:80", "198.18.2.12:80"),
    ("a weight one past its bound", "weight = 3", "weight = 65_536"),
    ("a weight below nothing", "weight = 3", "weight = -1"),
    ("a server that is the VIP", "198.18.2.11:80", "198.18.1.100:80"),
    ("a server that is a local address", "198.18.2.11:80", "198.18.2.101:80"),
    ("a server that is the gateway", "198.18.2.11:80", "198.18.2.254:80"),
    ("a server that is a network", "198.18.2.11:80", "198.18.2.0:80"),
    (
        "a server that nothing leads to",
        "0.0.0.0/0\"\nvia = \"198.18.1.1\"",
        "10.0.0.0/8\"\nvia = \"198.18.1.1\"\n[[service]]\nprotocol = \"udp\"\naddress = \"198.18.1.100:53\"\nreal = [{ address = \"192.0.2.1:53\" }]",
    ),
    // Not TOML.
    ("a value without quotes", "protocol = \"tcp\"", "protocol = tcp"),
    ("a field without value", "protocol = \"tcp\"", "protocol ="),
    ("quotes left open", "protocol = \"tcp\"", "protocol = \"tcp"),
    ("a field twice", "protocol = \"tcp\"", "protocol = \"tcp\"\nprotocol = \"udp\""),
    ("a table twice", "", "[tcp]\n[tcp]\n"),
    ("a header left open", "[[service]]", "[[service]"),
    ("an array left open", "\"198.18.2.100-198.18.2.101\"]", "\"198.18.2.100-198.18.2.101\""),
    ("a comma left out", "80\" }, {", "80\" } {"),
    ("two lines that are no TOML", "port = \"wan\"", "port = wan\nvlan 7"),
    ("a number with zeros before it", "weight = 3", "weight = 03"),
];

/// The same of [`DUAL`]: what can be wrong with IPv6, everywhere an address can stand.
const EDITS_OF_DUAL: &[(&str, &str, &str)] = &[
    // Own addresses.
    (
        "own IPv6 addresses that are none",
        "\"2001:db8:1::fe/64\"",
        "\"2001:db8:1::fe\", \"2001:db8:1:fe/64\", \"2001:db8:1::fe/129\", \"2001:db8:1::fe/+1\", \"2001:db8:1::fe/0\", \"[2001:db8:1::fe]/64\", \"2001:db8:1::fe%wan/64\"",
    ),
    (
        "own IPv6 addresses that no host has",
        "\"2001:db8:1::fe/64\"",
        "\"::/128\", \"::1/128\", \"::198.18.1.1/96\", \"::ffff:198.18.1.1/120\", \"fe80::1/64\", \"febf:ffff::1/10\", \"ff02::1/64\", \"ffff::1/16\", \"2001:db8:1::/64\", \"2001:db8:1::/126\"",
    ),
    (
        "an own IPv6 address twice, in two ways to write it",
        "\"2001:db8:1::fe/64\"",
        "\"2001:db8:1::fe/64\", \"2001:DB8:1:0::00FE/64\"",
    ),
    ("IPv6 subnets that overlap", "\"2001:db8:1::fe/64\"", "\"2001:db8:1::fe/64\", \"2001:db8::1/32\""),
    ("an MTU that is too small for IPv6", "name = \"wan\"", "name = \"wan\"\nmtu = 1279"),
    // Routes and neighbours.
    ("an IPv6 route with bits behind its prefix", "2001:db8:64::/48", "2001:db8:64::1/48"),
    ("an IPv6 route of what is never forwarded", "2001:db8:64::/48", "fe80::/10"),
    ("an IPv6 route to a connected subnet", "2001:db8:64::/48", "2001:db8:1::/64"),
    ("an IPv6 route twice", "2001:db8:64::/48", "::/0"),
    ("a next hop of the other family", "via = \"2001:db8:2::1\"", "via = \"198.18.2.1\""),
    ("a next hop with a zone", "via = \"fe80::1\"", "via = \"fe80::1%wan\""),
    ("a link-local next hop without interface", "via = \"fe80::1\"\ninterface = \"wan\"", "via = \"fe80::1\""),
    ("a link-local next hop on an interface that is not there", "interface = \"wan\"", "interface = \"lan\""),
    (
        "a link-local next hop on an interface without IPv6",
        "via = \"fe80::1\"\ninterface = \"wan\"",
        "via = \"fe80::1\"\ninterface = \"dmz\"\n[[port]]\nname = \"dmz\"\n[[interface]]\nport = \"dmz\"\naddresses = [\"198.18.3.254/24\"]",
    ),
    ("a next hop on another interface", "via = \"2001:db8:2::1\"", "via = \"2001:db8:2::1\"\ninterface = \"wan\""),
    ("an IPv6 next hop on no subnet", "via = \"2001:db8:2::1\"", "via = \"2001:db8:3::1\""),
    ("an IPv6 next hop that is a VIP", "via = \"2001:db8:2::1\"", "via = \"2001:db8:1::100\""),
    ("a next hop that is loopback", "via = \"2001:db8:2::1\"", "via = \"::1\""),
    (
        "an interface whose name is that of a port",
        "[[port]]\nname = \"lan\"",
        "[[port]]\nname = \"lan\"\n[[port]]\nname = \"lan.100\"\n[[interface]]\nport = \"lan.100\"\naddresses = [\"198.18.3.254/24\"]",
    ),
    (
        "a link-local neighbour twice on one interface",
        "+",
        "[[neighbor]]\naddress = \"fe80::1\"\ninterface = \"lan.100\"\nmac = \"02:00:00:00:02:01\"\n",
    ),
    ("a link-local neighbour without interface", "interface = \"lan.100\"\n", ""),
    // Pools.
    (
        "IPv6 pool entries that are none",
        "\"2001:db8:2::100-2001:db8:2::101\"",
        "\"2001:db8:2::9-2001:db8:2::8\", \"2001:db8:2::1-9\", \"2001:db8:2::1/126\", \"[2001:db8:2::1]\", \"198.18.2.1-2001:db8:2::1\"",
    ),
    (
        "IPv6 pool entries that no host has",
        "\"2001:db8:2::100-2001:db8:2::101\"",
        "\"::1\", \"fe80::1-fe80::9\", \"ff05::/120\", \"::ffff:198.18.2.3\", \"2001:db8:2::\"",
    ),
    ("IPv6 local addresses one past the most", "2001:db8:2::100-2001:db8:2::101", "2001:db8:9::-2001:db8:9::400"),
    ("every IPv6 address there is", "2001:db8:2::100-2001:db8:2::101", "2000::/3"),
    (
        "an IPv6 local address that is the gateway's own",
        "2001:db8:2::100-2001:db8:2::101",
        "2001:db8:2::fd-2001:db8:2::ff",
    ),
    // Services.
    ("an IPv6 VIP without port", "[2001:db8:1::100]:80", "[2001:db8:1::100]"),
    ("an IPv6 VIP without brackets", "[2001:db8:1::100]:80", "2001:db8:1::100:80"),
    ("an IPv6 VIP with one bracket", "[2001:db8:1::100]:80", "[2001:db8:1::100:80"),
    ("an IPv4 VIP in brackets", "198.18.1.100:80", "[198.18.1.100]:80"),
    ("an IPv6 VIP with port 0", "[2001:db8:1::100]:80", "[2001:db8:1::100]:0"),
    ("an IPv6 VIP with port 65536", "[2001:db8:1::100]:80", "[2001:db8:1::100]:65536"),
    ("an IPv6 VIP with a zone", "[2001:db8:1::100]:80", "[fe80::100%wan]:80"),
    ("a link-local VIP", "[2001:db8:1::100]:80", "[fe80::100]:80"),
    ("a multicast VIP of IPv6", "[2001:db8:1::100]:80", "[ff0e::100]:80"),
    ("a loopback VIP of IPv6", "[2001:db8:1::100]:80", "[::1]:80"),
    ("a VIP of IPv4 in the form of IPv6", "[2001:db8:1::100]:80", "[::ffff:198.18.1.100]:80"),
    ("a VIP that is any router", "[2001:db8:1::100]:80", "[2001:db8:1::]:80"),
    ("an IPv6 VIP that is the gateway's own address", "[2001:db8:1::100]:80", "[2001:db8:1::fe]:80"),
    ("an IPv6 VIP that is a local address", "[2001:db8:1::100]:80", "[2001:db8:2::100]:80"),
    (
        "an IPv6 service twice, in two ways to write it",
        "+",
        "[[service]]\nprotocol = \"tcp\"\naddress = \"[2001:0db8:1::0:100]:80\"\n",
    ),
    ("IPv6 clients without room", "", "[tables]\nipv6_connections = 0\n"),
    // Servers.
    ("an IPv6 server behind an IPv4 VIP", "198.18.2.11:80", "[2001:db8:2::11]:80"),
    ("IPv6 servers without an IPv6 local address", ", \"2001:db8:2::100-2001:db8:2::101\"", ""),
    ("IPv4 servers without an IPv4 local address", "\"198.18.2.100-198.18.2.101\", ", ""),
    ("a link-local server", "[2001:db8:2::11]:80", "[fe80::11]:80"),
    (
        "an IPv6 server that nothing leads to",
        "to = \"::/0\"",
        "to = \"2001:db8:99::/48\"\nvia = \"fe80::2\"\ninterface = \"wan\"\n[[service]]\nprotocol = \"udp\"\naddress = \"[2001:db8:1::100]:53\"\nreal = [{ address = \"[2001:db8:77::1]:53\" }]\n[[route]]\nto = \"2001:db8:98::/48\"",
    ),
    ("an IPv6 server that is the VIP", "[2001:db8:2::11]:80", "[2001:db8:1::100]:80"),
    ("an IPv6 server twice", "198.18.2.12:80", "[2001:db8:2::11]:80"),
];

#[test]
fn every_mistake_has_its_sentence() {
    insta::assert_snapshot!(told(TWO_ARM, EDITS));
}

#[test]
fn every_mistake_about_ipv6_has_its_sentence() {
    insta::assert_snapshot!(told(DUAL, EDITS_OF_DUAL));
}

/// What is said of each of the edits of `right`.
fn told(right: &str, edits: &[(&str, &str, &str)]) -> String {
    let mut told = String::new();
    for (name, from, to) in edits {
        let text = match *from {
            "" => format!("{to}{right}"),
            "+" => format!("{right}{to}"),
            from => {
                assert!(right.contains(from), "{name}: nothing to replace");
                right.replacen(from, to, 1)
            }
        };
        told.push_str(&format!("# {name}\n{}\n\n", problems(&text)));
    }
    told
}

#[test]
fn many_mistakes_are_told_at_once_in_the_order_of_the_lines() {
    let text = EDITS.iter().filter(|(_, from, to)| from.is_empty() && to.starts_with("[timeouts]"));
    let text: String = text.map(|(_, _, to)| *to).collect();
    let text = format!("{text}{}", TWO_ARM.replace("198.18.2.1", "198.18.7.1").replace("weight", "wait"));
    insta::assert_snapshot!(problems(&text));
}

/// The values on both sides of each bound, of IPv6.
#[test]
fn the_first_and_last_of_each_range_of_ipv6_are_right() {
    for (from, to) in [
        ("name = \"wan\"", "name = \"wan\"\nmtu = 1280"),
        ("2001:db8:1::fe/64", "2001:db8:1::fe/128"),
        // A link between two routers has no address that means any router (RFC 6164).
        ("2001:db8:1::fe/64", "2001:db8:3::/127"),
        ("2001:db8:64::/48", "8000::/1"),
        ("2001:db8:64::/48", "2001:db8:64::1/128"),
        // Any router of the subnet may be the next hop.
        ("via = \"2001:db8:2::1\"", "via = \"2001:db8:2::\""),
        ("via = \"2001:db8:2::1\"", "via = \"2001:db8:2::1\"\ninterface = \"lan.100\""),
        ("2001:db8:2::100-2001:db8:2::101", "2001:db8:9::/119"),
        ("2001:db8:2::100-2001:db8:2::101", "2001:db8:9::-2001:db8:9::3fd"),
        ("2001:db8:2::100-2001:db8:2::101", "2001:db8:9::7-2001:db8:9::7"),
        ("[2001:db8:1::100]:80", "[2001:db8:1::100]:1"),
        ("[2001:db8:1::100]:80", "[2001:DB8:1:0:0:0:0:100]:65535"),
        ("[2001:db8:1::100]:80", "[fec0::1]:80"),
        ("", "[tables]\nipv6_connections = 1\n"),
    ] {
        let text = if from.is_empty() { format!("{to}{DUAL}") } else { DUAL.replacen(from, to, 1) };
        assert_ne!(text, DUAL);
        model(&text);
    }
}

/// The values on both sides of each bound: the last that is right is right.
#[test]
fn the_first_and_last_of_each_range_are_right() {
    for (from, to) in [
        ("name = \"wan\"", "name = \"wan\"\nmtu = 576\nrx_desc = 64\ntx_desc = 32_768"),
        ("name = \"wan\"", "name = \"wan\"\nmtu = 9216"),
        ("name = \"wan\"", "name = \"abcdefghijklmnopqrstuvwxyz-_.123\"\n[[port]]\nname = \"wan\""),
        ("port = \"wan\"", "port = \"wan\"\nvlan = 1"),
        ("port = \"wan\"", "port = \"wan\"\nvlan = 4094"),
        ("weight = 3", "weight = 0"),
        ("weight = 3", "weight = 65_535"),
        ("", "[timeouts]\nsyn = 1\nudp = 2_678_400\n"),
        ("", "[tables]\nconnections = 1\nreals = 2\nneighbors = 65_536\n"),
        ("", "[tables]\nconnections = 268_435_456\n"),
        ("", "[lcores]\nmaster = 127\nworkers = [0, 126]\n"),
        ("", "[lcores]\nmaster = 127\nworkers = \"auto\"\ncpus = { 127 = 0 }\n"),
        ("name = \"wan\"", "name = \"wan\"\nsteering = \"rss\""),
        ("name = \"wan\"", "name = \"wan\"\nsteering = \"flow\""),
        ("name = \"wan\"", "name = \"wan\"\nsteering = \"software\""),
        ("", "[limits]\nicmp_echo = { rate = 0 }\nno_server = { rate = 0, burst = 0 }\n"),
        ("198.18.1.100:80", "198.18.1.100:1"),
        ("198.18.1.100:80", "198.18.1.100:65535"),
        ("198.18.2.100-198.18.2.101", "10.0.0.0/22"),
        ("198.18.2.100-198.18.2.101", "10.0.0.9-10.0.0.9"),
        ("198.18.2.100-198.18.2.101", "198.18.2.1-198.18.2.10"),
        ("protocol = \"tcp\"", "protocol = \"tcp\"\nmss_clamp = 536"),
        ("real = [{ address = \"198.18.2.11:80\" }, { address = \"198.18.2.12:80\", weight = 3 }]", "real = []"),
    ] {
        let text = if from.is_empty() { format!("{to}{TWO_ARM}") } else { TWO_ARM.replacen(from, to, 1) };
        assert_ne!(text, TWO_ARM);
        model(&text);
    }
}
