use super::super::*;
use super::{DUAL, TWO_ARM, model};

/// The changes from one text to another, a line each.
#[track_caller]
fn changes(old: &str, new: &str) -> Vec<String> {
    let changes = diff(&model(old), &model(new)).expect("changes that need no restart");
    changes.iter().map(ToString::to_string).collect()
}

/// Checks the changes of one edit, and that the edit backwards is a change, too.
#[track_caller]
fn edit(from: &str, to: &str, expected: &[&str]) {
    assert!(TWO_ARM.contains(from), "{from}");
    let new = TWO_ARM.replacen(from, to, 1);
    assert_eq!(changes(TWO_ARM, &new), expected);
    assert!(!changes(&new, TWO_ARM).is_empty());
}

#[test]
fn the_same_file_changes_nothing() {
    assert_eq!(changes(TWO_ARM, TWO_ARM), [""; 0]);
}

#[test]
fn settings_show_only_what_differs() {
    edit(
        "",
        "[tcp]\nsyn_timestamps = \"keep\"\nraise_sequence = false\n",
        &["tcp: syn_timestamps hot -> keep, raise_sequence true -> false"],
    );
    edit("", "[limits]\nno_server = { rate = 5, burst = 1 }\n", &["limits: no_server 1000/s burst 200 -> 5/s burst 1"]);
    edit(
        "",
        "[timeouts]\nsyn = 5\nudp = 30\n",
        &[
            "timeouts: syn_sent 60 s -> 5 s, syn_recv 60 s -> 5 s, synack 60 s -> 5 s, udp 300 s -> 30 s",
            "service tcp 198.18.1.100:80: timeouts syn_sent 60 s -> 5 s, syn_recv 60 s -> 5 s, synack 60 s -> 5 s, \
         udp 300 s -> 30 s",
        ],
    );
}

#[test]
fn a_service_is_known_by_protocol_and_address() {
    let udp = "[[service]]\nprotocol = \"udp\"\naddress = \"198.18.1.100:80\"\n";
    assert_eq!(
        changes(TWO_ARM, &format!("{TWO_ARM}{udp}")),
        ["service udp 198.18.1.100:80: added with 0 real servers"]
    );
    assert_eq!(
        changes(&format!("{TWO_ARM}{udp}"), TWO_ARM),
        ["service udp 198.18.1.100:80: removed with 0 real servers"]
    );
    edit(
        "198.18.1.100:80",
        "198.18.1.100:81",
        &[
            "service tcp 198.18.1.100:80: removed with 2 real servers",
            "service tcp 198.18.1.100:81: added with 2 real servers",
        ],
    );
    edit(
        "protocol = \"tcp\"",
        "protocol = \"tcp\"\nname = \"web\"\nscheduler = \"rr\"\nmss_clamp = 1400\non_server_removed = \"silent\"",
        &["service tcp 198.18.1.100:80: name \"tcp 198.18.1.100:80\" -> \"web\", scheduler wlc -> rr, \
         mss_clamp none -> 1400, on_server_removed reset -> silent"],
    );
}

#[test]
fn real_servers_come_go_weigh_and_move() {
    let reals = "{ address = \"198.18.2.11:80\" }, { address = \"198.18.2.12:80\", weight = 3 }";
    edit(
        reals,
        "{ address = \"198.18.2.12:80\", weight = 3 }",
        &["service tcp 198.18.1.100:80: real 198.18.2.11:80 removed"],
    );
    edit(
        reals,
        "{ address = \"198.18.2.11:80\", weight = 0 }, { address = \"198.18.2.13:80\" }",
        &[
            "service tcp 198.18.1.100:80: real 198.18.2.12:80 removed",
            "service tcp 198.18.1.100:80: real 198.18.2.11:80 weight 1 -> 0",
            "service tcp 198.18.1.100:80: real 198.18.2.13:80 added with weight 1",
        ],
    );
    edit(
        reals,
        "{ address = \"198.18.2.12:80\", weight = 3 }, { address = \"198.18.2.11:80\" }",
        &["service tcp 198.18.1.100:80: real servers in another order"],
    );
}

#[test]
fn pools_change_by_name() {
    edit(
        "198.18.2.100-198.18.2.101",
        "198.18.2.101-198.18.2.103",
        &["laddr_pool lan: 2 addresses added, 198.18.2.100 removed"],
    );
    edit(
        "name = \"lan\"\naddresses = [\"198.18.2.100-",
        "name = \"far\"\naddresses = [\"198.18.2.100-",
        &[
            "laddr_pool lan: removed with 2 addresses",
            "laddr_pool far: added with 2 addresses",
            "service tcp 198.18.1.100:80: laddr_pool lan -> far",
        ],
    );
}

#[test]
fn a_pool_in_another_place_of_the_file_is_the_same_pool() {
    let with = |pools: [&str; 2]| {
        let pools =
            pools.map(|name| format!("[[laddr_pool]]\nname = \"{name}\"\naddresses = [\"10.0.{}.1\"]\n", name.len()));
        let text = TWO_ARM.replace("protocol", "laddr_pool = \"lan\"\nprotocol");
        text.replace("[[laddr_pool]]", &format!("{}{}[[laddr_pool]]", pools[0], pools[1]))
    };
    assert_eq!(changes(&with(["a", "bb"]), &with(["bb", "a"])), [""; 0]);
}

#[test]
fn addresses_routes_and_neighbours_come_and_go() {
    edit(
        "[\"198.18.1.254/24\"]",
        "[\"198.18.1.254/24\", \"198.18.9.254/24\"]",
        &["interface 0: 198.18.9.254/24 added"],
    );
    edit("via = \"198.18.1.1\"", "via = \"198.18.1.2\"", &["route 0.0.0.0/0: via 198.18.1.1 -> 198.18.1.2"]);
    edit(
        "to = \"0.0.0.0/0\"",
        "to = \"10.0.0.0/8\"",
        &["route 0.0.0.0/0 via 198.18.1.1 removed", "route 10.0.0.0/8 via 198.18.1.1 added"],
    );
    let neighbor = |mac: &str| format!("{TWO_ARM}[[neighbor]]\naddress = \"198.18.2.11\"\nmac = \"{mac}\"\n");
    let (a, b) = (neighbor("02:00:00:00:00:0a"), neighbor("02:00:00:00:00:0b"));
    assert_eq!(changes(TWO_ARM, &a), ["neighbor 198.18.2.11 at 02:00:00:00:00:0a added"]);
    assert_eq!(changes(&a, &b), ["neighbor 198.18.2.11: 02:00:00:00:00:0a -> 02:00:00:00:00:0b"]);
    assert_eq!(changes(&b, TWO_ARM), ["neighbor 198.18.2.11 at 02:00:00:00:00:0b removed"]);
}

#[test]
fn ipv6_comes_goes_and_moves_as_ipv4_does() {
    let edit = |from: &str, to: &str, expected: &[&str]| {
        assert!(DUAL.contains(from), "{from}");
        assert_eq!(changes(DUAL, &DUAL.replacen(from, to, 1)), expected);
    };
    assert_eq!(changes(DUAL, &DUAL.replace("[2001:db8:2::11]", "[2001:DB8:2:0:0::11]")), [""; 0], "the same address");
    edit(
        ", \"2001:db8:1::fe/64\"",
        ", \"2001:db8:1::fd/64\"",
        &["interface 0: 2001:db8:1::fe/64 removed", "interface 0: 2001:db8:1::fd/64 added"],
    );
    // The same address on another link is another router.
    edit(
        "\"fe80::1\"\ninterface = \"wan\"",
        "\"fe80::1\"\ninterface = \"lan.100\"",
        &["route ::/0: via fe80::1 on interface 0 -> fe80::1 on interface 1"],
    );
    edit(
        "interface = \"lan.100\"",
        "interface = \"wan\"",
        &[
            "neighbor fe80::1 on interface 1 at 02:00:00:00:02:01 removed",
            "neighbor fe80::1 on interface 0 at 02:00:00:00:02:01 added",
        ],
    );
    edit(
        "2001:db8:2::100-2001:db8:2::101",
        "2001:db8:2::101",
        &["laddr_pool lan: 0 addresses added, 2001:db8:2::100 removed"],
    );
    edit(
        "198.18.2.12:80",
        "[2001:db8:2::12]:80",
        &[
            "service tcp [2001:db8:1::100]:80: real 198.18.2.12:80 removed",
            "service tcp [2001:db8:1::100]:80: real [2001:db8:2::12]:80 added with weight 3",
        ],
    );
    edit(
        "[2001:db8:1::100]:80",
        "[2001:db8:1::101]:80",
        &[
            "service tcp [2001:db8:1::100]:80: removed with 2 real servers",
            "service tcp [2001:db8:1::101]:80: added with 2 real servers",
        ],
    );
}

#[test]
fn what_a_running_gateway_cannot_follow_is_refused_all_at_once() {
    let settings = "[eal]\npci = false\n[lcores]\nworkers = [1, 2]\n[tables]\nreals = 7\n[steering]\nseed = 1\n";
    let new = format!("{settings}{}", TWO_ARM.replacen("name = \"wan\"", "name = \"wan\"\nmtu = 9000", 1));
    let problems = diff(&model(TWO_ARM), &model(&new)).expect_err("problems");
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "eal: cannot change while gatun runs\n    restart gatun",
            "lcores.workers: cannot change while gatun runs: it decides which worker owns which connection\n    restart gatun",
            "tables: cannot change while gatun runs\n    restart gatun",
            "steering.seed: cannot change while gatun runs\n    restart gatun",
            "port: ports, and their order, cannot change while gatun runs\n    restart gatun",
        ]
    );
    let vlan = TWO_ARM.replacen("port = \"lan\"", "port = \"lan\"\nvlan = 7", 1);
    let problems = diff(&model(TWO_ARM), &model(&vlan)).expect_err("a problem");
    assert_eq!(problems.len(), 1);
    assert_eq!((problems[0].field.as_str(), problems[0].remedy.as_str()), ("interface", "restart gatun"));
}

#[test]
fn what_decides_who_owns_a_connection_is_refused_by_its_own_name() {
    let told = |new: &str| -> Vec<String> {
        let problems = diff(&model(TWO_ARM), &model(new)).expect_err("problems");
        problems.into_iter().map(|p| p.field).collect()
    };
    assert_eq!(told(&format!("[lcores]\nworkers = \"auto\"\n{TWO_ARM}")), ["lcores.workers"]);
    assert_eq!(told(&format!("[lcores]\nidle = \"spin\"\n{TWO_ARM}")), ["lcores"]);
    assert_eq!(told(&format!("[steering]\nkey = \"{}\"\n{TWO_ARM}", "6d5a".repeat(20))), ["steering.key"]);
    let policy = TWO_ARM.replacen("name = \"lan\"", "name = \"lan\"\nsteering = \"software\"", 1);
    assert_eq!(told(&policy), ["port[\"lan\"].steering"]);
}
