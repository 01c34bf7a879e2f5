//! Configurations of the gateway: `conf/demo.toml`, and changes to it.

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

    /// One service at the VIP's port through one local address to one server's port.
    pub(crate) fn one_to_one(protocol: &str, vport: u16, real: &str) -> Config {
        Config::with_services(&format!(
            r#"
[[laddr_pool]]
name = "lan"
addresses = ["198.18.2.100"]

[[service]]
name = "web"
protocol = "{protocol}"
address = "198.18.1.100:{vport}"
scheduler = "rr"
real = [{{ address = "{real}" }}]
"#
        ))
    }

    /// Every occurrence of a piece of text replaced; there has to be one.
    pub(crate) fn edit(mut self, from: &str, to: &str) -> Config {
        assert!(self.0.contains(from), "the configuration has no {from:?}:\n{}", self.0);
        self.0 = self.0.replace(from, to);
        self
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
