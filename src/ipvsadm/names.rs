//! Names of hosts and ports.

use super::model::Proto;
use std::net::{IpAddr, Ipv4Addr};

/// Who knows the names of hosts and ports.
pub trait Names {
    /// The IPv4 address of a host. ipvsadm takes no names for IPv6.
    fn host(&self, name: &str) -> Option<Ipv4Addr>;
    /// The port of a service, as in `http`.
    fn port(&self, name: &str, proto: Proto) -> Option<u16>;
    /// The name of a host.
    fn of_host(&self, ip: IpAddr) -> Option<String>;
    /// The name of a port.
    fn of_port(&self, port: u16, proto: Proto) -> Option<String>;
}

/// The resolver of the system: `/etc/hosts`, DNS, `/etc/services`.
pub struct System;

impl Names for System {
    fn host(&self, name: &str) -> Option<Ipv4Addr> {
        let addresses = dns_lookup::lookup_host(name).ok()?;
        addresses.into_iter().find_map(|ip| match ip {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        })
    }

    fn port(&self, name: &str, proto: Proto) -> Option<u16> {
        let services = std::fs::read_to_string(SERVICES).ok()?;
        port_of(&services, name, proto)
    }

    fn of_host(&self, ip: IpAddr) -> Option<String> {
        // Without a name the resolver gives the address itself.
        dns_lookup::lookup_addr(&ip).ok().filter(|name| name.parse::<IpAddr>().is_err())
    }

    fn of_port(&self, port: u16, proto: Proto) -> Option<String> {
        let services = std::fs::read_to_string(SERVICES).ok()?;
        name_of(&services, port, proto)
    }
}

const SERVICES: &str = "/etc/services";

/// The lines of `/etc/services`: port, protocol, and names, the first of which is the usual one.
fn entries(services: &str) -> impl Iterator<Item = (u16, &str, Vec<&str>)> {
    services.lines().filter_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let name = words.next()?;
        let (port, proto) = words.next()?.split_once('/')?;
        Some((port.parse().ok()?, proto, std::iter::once(name).chain(words).collect()))
    })
}

/// The port of that name in the text of `/etc/services`.
pub(super) fn port_of(services: &str, name: &str, proto: Proto) -> Option<u16> {
    entries(services).find(|(_, p, names)| *p == proto.names().1 && names.contains(&name)).map(|(port, ..)| port)
}

/// The usual name of a port in the text of `/etc/services`.
pub(super) fn name_of(services: &str, port: u16, proto: Proto) -> Option<String> {
    let (_, _, names) = entries(services).find(|(n, p, _)| *n == port && *p == proto.names().1)?;
    names.first().map(|name| (*name).to_owned())
}
