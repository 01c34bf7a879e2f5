//! Configurations of the gateway: `conf/demo.toml`, and changes to it.

use crate::lab::{V4, Way, at};
use std::path::Path;

/// The text of a configuration file.
#[derive(Clone)]
pub(crate) struct Config(String);

impl Config {
    /// `conf/demo.toml` as it is.
    pub(crate) fn demo() -> Config {
        Config(include_str!("../../conf/demo.toml").to_owned())
    }

    /// The demo's ports and addresses, with these pools and services instead of its own.
    pub(crate) fn with_services(services: &str) -> Config {
        let Config(demo) = Config::demo();
        let ports = demo.split_once("[[laddr_pool]]").expect("the pools come after the ports").0;
        Config(format!("{ports}{services}"))
    }

    /// One service at the IPv4 VIP's port through one local address to one server's port.
    pub(crate) fn one_to_one(protocol: &str, vport: u16, real: &str) -> Config {
        Config::one(protocol, &at(V4.vip, vport), V4.lips[0], real)
    }

    /// One service on a way through the gateway, at the same port of VIP and first server, through one local address.
    pub(crate) fn on(way: &Way, protocol: &str, port: u16) -> Config {
        Config::one(protocol, &at(way.vip, port), way.lips[0], &at(way.rs1, port))
    }

    /// Both services of the demo on a way through the gateway, with both servers and both local addresses of it.
    pub(crate) fn demo_on(way: &Way) -> Config {
        let Way { vip, lips: [first, second], rs1, rs2, .. } = way;
        let service = |name: &str, protocol: &str, port: u16| {
            let (vip, rs1, rs2) = (at(vip, port), at(rs1, port), at(rs2, port));
            format!(
                r#"
[[service]]
name = "{name}"
protocol = "{protocol}"
address = "{vip}"
scheduler = "rr"
real = [{{ address = "{rs1}" }}, {{ address = "{rs2}" }}]
"#
            )
        };
        let pool = format!("[[laddr_pool]]\nname = \"lan\"\naddresses = [\"{first}\", \"{second}\"]\n");
        Config::with_services(&format!("{pool}{}{}", service("web", "tcp", 80), service("echo", "udp", 5353)))
    }

    fn one(protocol: &str, vip: &str, lip: &str, real: &str) -> Config {
        Config::with_services(&format!(
            r#"
[[laddr_pool]]
name = "lan"
addresses = ["{lip}"]

[[service]]
name = "web"
protocol = "{protocol}"
address = "{vip}"
scheduler = "rr"
real = [{{ address = "{real}" }}]
"#
        ))
    }

    /// The same on one port, with clients and servers each in a VLAN of it.
    pub(crate) fn on_a_trunk(self, iface: &str, clients: u16, servers: u16) -> Config {
        let Config(text) = self;
        let (before, ports) = text.split_once("[[port]]").expect("ports");
        let (_, after) = ports.split_once("[[interface]]").expect("interfaces after the ports");
        let options = "framesz=2048,blocksz=65536,framecnt=4096";
        let port = format!("[[port]]\nname = \"trunk\"\ndevice = \"net_af_packet0,iface={iface},{options}\"\n");
        let interfaces = format!("[[interface]]{after}")
            .replace("port = \"wan\"", &format!("port = \"trunk\"\nvlan = {clients}"))
            .replace("port = \"lan\"", &format!("port = \"trunk\"\nvlan = {servers}"));
        Config(format!("{before}{port}\n{interfaces}"))
    }

    /// Every occurrence of a piece of text replaced; there has to be one.
    pub(crate) fn edit(mut self, from: &str, to: &str) -> Config {
        assert!(self.0.contains(from), "the configuration has no {from:?}:\n{}", self.0);
        self.0 = self.0.replace(from, to);
        self
    }

    /// The pools and services alone.
    pub(crate) fn services(&self) -> String {
        let (_, services) = self.0.split_once("[[laddr_pool]]").expect("pools");
        format!("[[laddr_pool]]{services}")
    }

    /// With further tables at the end.
    pub(crate) fn add(mut self, tables: &str) -> Config {
        self.0.push('\n');
        self.0.push_str(tables);
        self
    }

    /// Writes it at once, so that a gateway reads either the old file or this one.
    pub(crate) fn write(&self, file: &Path) {
        let new = file.with_extension("new");
        std::fs::write(&new, &self.0).unwrap();
        std::fs::rename(&new, file).unwrap();
    }
}
