//! The container files can not be run everywhere; what can be compared with the Makefile and the demo is compared here.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

const MAKEFILE: &str = include_str!("../Makefile");
const MANIFEST: &str = include_str!("../Cargo.toml");
const DOCKERFILE: &str = include_str!("../docker/Dockerfile");
const COMPOSE: &str = include_str!("../docker/compose.yaml");
const NETWORK: &str = include_str!("e2e/net.sh");
const DEMO: &str = include_str!("e2e/demo.sh");

#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
    networks: BTreeMap<String, Network>,
}

#[derive(Deserialize)]
struct Service {
    build: Build,
    command: Vec<String>,
    #[serde(default)]
    entrypoint: Vec<String>,
    networks: BTreeMap<String, Seat>,
}

#[derive(Deserialize)]
struct Build {
    context: String,
    dockerfile: String,
    target: String,
}

#[derive(Deserialize)]
struct Seat {
    ipv4_address: String,
}

#[derive(Deserialize)]
struct Network {
    internal: bool,
    ipam: Ipam,
}

#[derive(Deserialize)]
struct Ipam {
    config: Vec<Subnet>,
}

#[derive(Deserialize)]
struct Subnet {
    subnet: String,
}

fn compose() -> Compose {
    serde_saphyr::from_str(COMPOSE).expect("compose.yaml parses")
}

/// The instructions of a stage of the Dockerfile, each on one line: ("RUN", "apt-get ...").
fn stage(name: &str) -> Vec<(String, String)> {
    let joined = DOCKERFILE.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut inside = false;
    let mut instructions = Vec::new();
    for line in lines {
        let (instruction, rest) = line.split_once(' ').expect("an instruction has arguments");
        if instruction == "FROM" {
            inside = rest.ends_with(&format!(" AS {name}"));
        } else if inside {
            instructions.push((instruction.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
    }
    assert!(!instructions.is_empty(), "the Dockerfile has a stage {name}");
    instructions
}

/// What each `apt-get install` of a stage installs.
fn installs(name: &str) -> Vec<Vec<String>> {
    let run: Vec<String> = stage(name).into_iter().filter(|(what, _)| what == "RUN").map(|(_, line)| line).collect();
    let commands = run.iter().flat_map(|line| line.split(" && "));
    commands
        .filter_map(|command| command.strip_prefix("apt-get install -y --no-install-recommends "))
        .map(|packages| packages.split_whitespace().map(str::to_owned).collect())
        .collect()
}

/// A variable of the Makefile, as words.
fn variable(name: &str) -> Vec<String> {
    let line = MAKEFILE.lines().find_map(|line| line.strip_prefix(&format!("{name} = ")));
    line.unwrap_or_else(|| panic!("the Makefile sets {name}")).split_whitespace().map(str::to_owned).collect()
}

/// The first command of a target of the Makefile, with cargo by its name.
fn recipe(target: &str) -> String {
    let mut lines = MAKEFILE.lines().skip_while(|line| !line.starts_with(&format!("{target}:")));
    let command = lines.nth(1).unwrap_or_else(|| panic!("the Makefile has a target {target}"));
    command.trim().replace("$(CARGO)", "cargo")
}

#[test]
fn the_stages_install_what_the_makefile_installs() {
    assert_eq!(installs("build")[0], variable("BUILD_PACKAGES"));
    assert_eq!(installs("gatun"), [variable("RUN_PACKAGES")]);
    assert_eq!(installs("lab"), [variable("LAB_PACKAGES")]);
}

#[test]
fn the_image_is_built_by_the_command_of_make_release() {
    let run = stage("build");
    assert!(run.contains(&("RUN".to_owned(), recipe("release"))), "{} is not in {run:?}", recipe("release"));
}

#[test]
fn the_image_has_the_rust_that_the_manifest_asks_for() {
    let version = MANIFEST.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("rust-version");
    let toolchain = format!("--default-toolchain {}", version.trim_matches('"'));
    assert!(stage("build").iter().any(|(_, line)| line.ends_with(&toolchain)), "no {toolchain}");
}

#[test]
fn what_the_stages_copy_exists() {
    for (what, line) in ["lab", "gatun"].into_iter().flat_map(stage) {
        if what == "COPY" && !line.starts_with("--from=") {
            let words: Vec<&str> = line.split(' ').collect();
            for source in &words[..words.len() - 1] {
                assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(source).exists(), "{source}");
            }
        }
    }
}

#[test]
fn every_service_is_built_by_a_stage_of_the_dockerfile() {
    for (name, service) in compose().services {
        assert_eq!((&*service.build.context, &*service.build.dockerfile), ("..", "docker/Dockerfile"), "{name}");
        assert!(!stage(&service.build.target).is_empty(), "{name}");
    }
}

#[test]
fn the_gateway_runs_the_command_of_the_demo() {
    let gateway = &compose().services["gateway"];
    assert_eq!(gateway.entrypoint, ["gateway.sh"]);
    assert_eq!(gateway.command, ["gatun", "run", "--config", "/etc/gatun/demo.toml"]);
    assert!(
        DEMO.contains("conf/demo.toml") && DEMO.contains(r#""$gatun" run --config"#),
        "demo.sh runs something else"
    );
    let ports = include_str!("../docker/gateway.sh");
    for port in ["gt-wan", "gt-lan"] {
        assert!(include_str!("../conf/demo.toml").contains(&format!("iface={port}")), "{port}");
        assert!(ports.contains(&format!("port {port} ")), "{port}");
    }
}

#[test]
fn the_servers_run_what_the_demo_runs_on_its_servers() {
    let server = include_str!("../docker/server.sh");
    for (name, address) in [("rs1", "198.18.2.11"), ("rs2", "198.18.2.12")] {
        assert_eq!(compose().services[name].command, ["/gatun/docker/server.sh", name, address]);
    }
    for what in ["nginx -e ", "nginx.conf", "echo.py\" serve ", " 5353"] {
        assert!(server.contains(what), "server.sh: {what}");
        assert!(DEMO.contains(what), "demo.sh: {what}");
    }
    for host in [server, include_str!("../docker/client.sh"), NETWORK] {
        assert!(host.contains("ethtool -K eth0 tx off"), "end hosts make their checksums");
    }
}

#[test]
fn addresses_are_those_of_the_demo() {
    let compose = compose();
    for (service, network) in [("client", "wan"), ("rs1", "lan"), ("rs2", "lan")] {
        let address = &compose.services[service].networks[network].ipv4_address;
        assert!(NETWORK.contains(&format!("{service} {address}/24")), "{service} {address}");
    }
    for (network, subnet) in [("wan", "198.18.1.0/24"), ("lan", "198.18.2.0/24")] {
        assert_eq!(compose.networks[network].ipam.config[0].subnet, subnet);
        assert!(compose.networks[network].internal, "nothing outside is touched");
    }
}
