use std::path::{Path, PathBuf};

use super::super::*;

fn conf(name: &str) -> Model {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(name);
    load(path).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn every_file_in_conf_is_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let files: Vec<PathBuf> = folder.read_dir().expect("conf/").map(|entry| entry.expect("an entry").path()).collect();
    let tomls: Vec<_> = files.iter().filter(|path| path.extension().is_some_and(|ext| ext == "toml")).collect();
    assert!(tomls.len() >= 6, "{tomls:?}");
    for path in tomls {
        load(path).unwrap_or_else(|problems| panic!("{problems}"));
    }
}

#[test]
fn the_annotated_example_says_what_it_shows() {
    let model = conf("gatun.toml");
    assert_eq!(model.lcores.workers, Workers::Lcores(vec![1, 2]));
    assert_eq!(model.interfaces[1].vlan, Some(100));
    assert_eq!(model.laddr_pools[0].addresses.len(), 1 + 5 + 16 + 16);
    let web = &model.services[0];
    assert_eq!((web.name.as_str(), web.scheduler, web.mss_clamp), ("web", Scheduler::Wlc, Some(1440)));
    assert_eq!((web.timeouts.established, web.timeouts.fin_wait), (Secs(300), Secs(60)));
    assert_eq!(web.on_server_removed, OnServerRemoved::Silent);
    assert_eq!(web.reals.iter().map(|real| real.weight).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(model.services[1].name, "udp 198.18.1.100:53");
    assert_eq!(model.services[1].on_server_removed, OnServerRemoved::Reset);
    let web = &model.services[2];
    assert_eq!(web.address.to_string(), "[2001:db8:1::100]:80");
    assert_eq!(web.reals.iter().map(|real| real.address.is_ipv6()).collect::<Vec<_>>(), [true, false]);
    assert_eq!((model.routes[1].via.to_string(), model.routes[1].interface), ("fe80::1".to_owned(), InterfaceId(0)));
}

#[test]
fn the_dual_stack_example_has_a_vip_of_each_family_and_a_vlan_with_both() {
    let model = conf("dual-stack.toml");
    assert_eq!(model.interfaces[1].vlan, Some(100));
    assert!([0, 1].iter().all(|port| model.has_ipv6(PortId(*port))));
    let families = |service: &std::sync::Arc<Service>| {
        (service.address.is_ipv6(), service.reals.iter().all(|r| r.address.is_ipv6()))
    };
    assert_eq!(model.services.iter().map(families).collect::<Vec<_>>(), [(false, false), (true, true)]);
    assert_eq!(model.next_hops().len(), 6);
}

#[test]
fn the_nat64_example_has_no_ipv6_behind_the_gateway() {
    let model = conf("nat64.toml");
    assert_eq!([0, 1].map(|port| model.has_ipv6(PortId(port))), [true, false]);
    let web = &model.services[0];
    assert!(web.address.is_ipv6() && web.reals.iter().all(|real| real.address.is_ipv4()));
}

/// Each commented-out line of the annotated example is a field with its default.
#[test]
fn the_defaults_that_the_annotated_example_shows_are_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/gatun.toml");
    let text = std::fs::read_to_string(path).expect("conf/gatun.toml");
    let invented = ["# key", "# seed", "# mac", "# tokens", "# tls_", "# rate"];
    let uncommented = |line: &str| match line.strip_prefix("# ") {
        Some(field)
            if field.split_whitespace().nth(1) == Some("=") && !invented.iter().any(|i| line.starts_with(i)) =>
        {
            field.to_owned()
        }
        _ => line.to_owned(),
    };
    let full = text.lines().map(uncommented).collect::<Vec<_>>().join("\n");
    assert!(full.lines().filter(|line| !line.starts_with('#')).count() > 90);
    assert_eq!(parse(&full, "gatun.toml"), parse(&text, "gatun.toml"));
}

#[test]
fn the_demo_needs_no_card_and_no_huge_pages() {
    let model = conf("demo.toml");
    assert_eq!((model.eal.no_huge, model.eal.pci, model.eal.memory_mb), (true, false, Some(256)));
    assert_eq!((model.lcores.master, &model.lcores.workers), (0, &Workers::Lcores(vec![1])));
    assert!(model.ports.iter().all(|port| port.device.as_ref().is_some_and(|d| d.starts_with("net_af_packet"))));
    let hops: Vec<_> = model.next_hops().into_iter().map(|(interface, hop)| format!("{} {hop}", interface.0)).collect();
    assert_eq!(hops, ["1 198.18.2.11", "1 198.18.2.12", "1 2001:db8:2::11"]);
}

#[test]
fn one_arm_puts_both_sides_on_one_port() {
    let model = conf("one-arm.toml");
    assert_eq!(model.ports.len(), 1);
    assert!(model.interfaces.iter().all(|interface| interface.port == PortId(0)));
}

#[test]
fn the_least_file_has_the_documented_defaults() {
    let model = super::model(super::TWO_ARM);
    assert_eq!(model.eal, Eal { no_huge: false, pci: true, memory_mb: None, args: vec![] });
    assert_eq!(model.tables.connections, 1_000_000);
    assert_eq!((model.ports[0].mtu, model.ports[0].rx_desc, model.ports[0].promiscuous), (1500, 1024, false));
    assert_eq!(model.services[0].scheduler, Scheduler::Wlc);
    assert_eq!(model.services[0].name, "tcp 198.18.1.100:80");
    assert_eq!(model.services[0].reals[0].weight, 1);
    let timeouts = model.timeouts.states().map(|(_, secs)| secs.0);
    assert_eq!(timeouts, [60, 60, 60, 900, 60, 60, 60, 60, 10, 300]);
    assert!(model.limits.reasons().iter().all(|(_, limit)| *limit == Limit { rate: 1000, burst: 200 }));
}

#[test]
fn a_state_by_name_wins_over_the_short_form_and_a_service_over_the_whole() {
    let text = format!("[timeouts]\nsyn_recv = 7\nsyn = 5\nfin = 9\nlast_ack = 3\n{}", super::TWO_ARM);
    let text = format!("{text}timeouts = {{ fin = 2, udp = 4 }}\n");
    let model = super::model(&text);
    let secs = |timeouts: Timeouts| timeouts.states().map(|(_, secs)| secs.0);
    assert_eq!(secs(model.timeouts), [5, 7, 5, 900, 9, 9, 3, 9, 10, 300]);
    assert_eq!(secs(model.services[0].timeouts), [5, 7, 5, 900, 2, 2, 2, 2, 10, 4]);
}

#[test]
fn a_model_and_problems_can_be_written_as_json() {
    let json = serde_json::to_value(super::model(super::TWO_ARM)).expect("JSON");
    assert_eq!(json["services"][0]["address"], "198.18.1.100:80");
    assert_eq!(json["services"][0]["protocol"], "tcp");
    assert_eq!(json["interfaces"][1]["addresses"][0], "198.18.2.254/24");
    let problems = parse("[eal]\npci = 1\n", "t.toml").expect_err("a problem");
    let json = serde_json::to_value(problems).expect("JSON");
    assert_eq!(json[0]["field"], "port", "problems of the whole come first");
    assert_eq!((&json[2]["line"], &json[2]["field"], &json[2]["value"]), (&2.into(), &"eal.pci".into(), &"1".into()));
}

#[test]
fn a_file_that_cannot_be_read_is_one_problem() {
    let folder = tempfile::tempdir().expect("a folder");
    let told =
        |path: &Path| load(path).expect_err("a problem").to_string().replace(&*folder.path().to_string_lossy(), "");
    assert_eq!(
        told(&folder.path().join("no.toml")),
        "/no.toml: cannot be read: No such file or directory (os error 2)\n    \
         check the path; conf/ has examples to start from"
    );
    assert_eq!(told(folder.path()), ": cannot be read: Is a directory (os error 21)\n    give the path of a file");
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, b"[eal]\nargs = [\"\xff\xfe\"]\n").expect("a file");
    assert_eq!(
        told(&binary),
        "/binary.toml:2:10: is not UTF-8\n    save the file in UTF-8; a binary file is no configuration"
    );
}
