//! What people wrote: the file with what was changed since, in the file's own terms, so that it can be written out as a file
//! again. A [`Model`](crate::config::Model) has the defaults filled in and would no longer know which of them were meant.
//!
//! Read, edited and merged by the control thread; nothing here is checked, which `config` does when the text is parsed.

use super::services::{Key, Services};
use crate::api::types::{LaddrPoolSpec, NeighborSpec, Protocol, RealSpec, RouteSpec, ServiceSpec, TimeoutsSpec};
use ipnet::IpNet;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

/// A configuration as it is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// The tables that only the file changes: `[eal]` to `[limits]`, ports, interfaces, `[api]`.
    pub rest: Arc<toml::Table>,
    /// `[timeouts]`.
    pub timeouts: TimeoutsSpec,
    /// `[[laddr_pool]]`.
    pub laddr_pools: Vec<LaddrPoolSpec>,
    /// `[[route]]`.
    pub routes: Vec<RouteSpec>,
    /// `[[neighbor]]`.
    pub neighbors: Vec<NeighborSpec>,
    /// `[[service]]`.
    pub services: Services,
}

/// Why a text that is a right configuration is no document: the two do not know the same fields.
#[derive(Debug, thiserror::Error)]
#[error("{0}: this version of gatun reads the field in a file but can not keep it: please report this as a bug")]
pub struct Unknown(#[from] toml::de::Error);

impl Document {
    /// Reads a text that `config::parse` takes.
    pub fn read(text: &str) -> Result<Document, Unknown> {
        let mut rest: toml::Table = toml::from_str(text)?;
        let timeouts = match rest.remove("timeouts") {
            Some(table) => table.try_into()?,
            None => TimeoutsSpec::default(),
        };
        let mut routes: Vec<RouteSpec> = list(&mut rest, "route")?;
        routes.iter_mut().for_each(plain_route);
        Ok(Document {
            timeouts,
            routes,
            laddr_pools: list(&mut rest, "laddr_pool")?,
            neighbors: list(&mut rest, "neighbor")?,
            services: list::<ServiceSpec>(&mut rest, "service")?.into_iter().map(Arc::new).collect(),
            rest: Arc::new(rest),
        })
    }

    /// As the file would say it.
    pub fn write(&self) -> String {
        let mut text = self.write_without_services();
        self.services.iter().for_each(|service| write_service(&mut text, service));
        text
    }

    /// The same with these services only.
    pub(super) fn write_with<'a>(&self, services: impl Iterator<Item = &'a ServiceSpec>) -> String {
        let mut text = self.write_without_services();
        services.for_each(|service| write_service(&mut text, service));
        text
    }

    fn write_without_services(&self) -> String {
        let mut text = toml::to_string(&*self.rest).unwrap_or_default();
        if !self.timeouts.is_empty() {
            line(&mut text, "[timeouts]");
            text.push_str(&toml::to_string(&self.timeouts).unwrap_or_default());
        }
        self.laddr_pools.iter().for_each(|pool| tabled(&mut text, "laddr_pool", pool));
        self.routes.iter().for_each(|route| tabled(&mut text, "route", route));
        self.neighbors.iter().for_each(|neighbor| tabled(&mut text, "neighbor", neighbor));
        text
    }

    /// The service with this id.
    pub fn service(&self, id: &str) -> Option<&Arc<ServiceSpec>> {
        self.services.get(service_key(id)?)
    }
}

/// `tcp-198.18.1.100-80`: what a service is known by, the same over restarts.
pub fn service_id(protocol: Protocol, address: SocketAddr) -> String {
    let protocol = match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    format!("{protocol}-{}", real_id(address))
}

/// Protocol and address of an id.
pub fn service_key(id: &str) -> Option<Key> {
    let (protocol, address) = id.split_once('-')?;
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return None,
    };
    Some((protocol, real_key(address)?))
}

/// `198.18.2.21-80`: what a real server of a service is known by.
pub fn real_id(address: SocketAddr) -> String {
    format!("{}-{}", address.ip(), address.port())
}

/// The address of an id. Only the one way to write it is an id.
pub fn real_key(id: &str) -> Option<SocketAddr> {
    let (ip, port) = id.rsplit_once('-')?;
    let address = SocketAddr::new(ip.parse().ok()?, port.parse().ok()?);
    (real_id(address) == id).then_some(address)
}

/// `198.18.64.0-18`: what a route is known by.
pub fn route_id(to: &str) -> String {
    to.replacen('/', "-", 1)
}

/// The destinations of a route in the one way to write them, where they can be read.
pub(super) fn plain_route(route: &mut RouteSpec) {
    if let Ok(net) = route.to.parse::<IpNet>() {
        route.to = net.to_string();
    }
}

fn list<T: DeserializeOwned>(file: &mut toml::Table, name: &str) -> Result<Vec<T>, toml::de::Error> {
    file.remove(name).map_or(Ok(Vec::new()), toml::Value::try_into)
}

fn line(text: &mut String, header: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(header);
    text.push('\n');
}

fn tabled<T: Serialize>(text: &mut String, name: &str, item: &T) {
    line(text, &format!("[[{name}]]"));
    text.push_str(&toml::to_string(item).unwrap_or_default());
}

fn write_service(text: &mut String, service: &ServiceSpec) {
    // The servers a line each, as people write them.
    let settings = ServiceSpec { reals: Vec::new(), ..service.clone() };
    let mut table = toml::Table::try_from(&settings).unwrap_or_default();
    table.remove("reals");
    line(text, "[[service]]");
    for (field, value) in &table {
        // A table in one line, so that what follows still belongs to the service.
        let _ = writeln!(text, "{field} = {value}");
    }
    if !service.reals.is_empty() {
        text.push_str("real = [\n");
        for RealSpec { address, weight } in &service.reals {
            let _ = match weight {
                1 => writeln!(text, "    {{ address = \"{address}\" }},"),
                weight => writeln!(text, "    {{ address = \"{address}\", weight = {weight} }},"),
            };
        }
        text.push_str("]\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn what_is_written_out_is_the_same_configuration() {
        for file in ["gatun.toml", "demo.toml", "fullnat.toml", "one-arm.toml", "dual-stack.toml", "nat64.toml"] {
            let text = std::fs::read_to_string(format!("{}/conf/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
            let document = Document::read(&text).unwrap();
            let written = document.write();
            let again = config::parse(&written, "written").unwrap_or_else(|p| panic!("{file}: {p}\n{written}"));
            assert_eq!(again, config::parse(&text, file).unwrap(), "{file}");
            assert_eq!(Document::read(&written).unwrap(), document, "{file}");
        }
    }

    #[test]
    fn names_that_need_quotes_are_quoted() {
        let mut document = Document::read(include_str!("../../conf/demo.toml")).unwrap();
        let name = "a \"b\" \\ ' \u{1f6a2} # = []";
        let web = document.services.iter().next().unwrap();
        document.services.put(Arc::new(ServiceSpec { name: Some(name.to_owned()), ..(**web).clone() }));
        let model = config::parse(&document.write(), "written").unwrap();
        assert_eq!(model.services[0].name, name);
    }

    #[test]
    fn an_id_reads_back_and_nothing_else_is_one() {
        for (protocol, address, id) in [
            (Protocol::Tcp, "198.18.1.100:80", "tcp-198.18.1.100-80"),
            (Protocol::Udp, "[2001:db8::1]:53", "udp-2001:db8::1-53"),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(service_id(protocol, address), id);
            assert_eq!(service_key(id), Some((protocol, address)));
        }
        for id in [
            "",
            "tcp",
            "tcp-",
            "tcp-198.18.1.100",
            "tcp-198.18.1.100-080",
            "sctp-198.18.1.100-80",
            "tcp-a-1",
            "tcp-198.18.1.100-65536",
            "tcp-2001:DB8::1-80",
            "-",
            "tcp-198.18.1.100--80",
        ] {
            assert_eq!(service_key(id), None, "{id}");
        }
    }
}
