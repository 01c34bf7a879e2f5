//! Who talks to whom: the clients' addresses and ports by number, the services, what belongs to a side.

use ipnet::Ipv4Net;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// The ports of an address that are used: from 1024 on.
const PORTS: u32 = 64_512;

/// An address and a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The address, in host order.
    pub addr: u32,
    /// The port, in host order.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Ipv4Addr::from(self.addr), self.port)
    }
}

/// The clients: all addresses of a prefix with all ports, numbered; neighbouring numbers have different addresses.
#[derive(Clone, Copy, Debug)]
pub struct Clients {
    base: u32,
    host_bits: u32,
}

impl Clients {
    /// Those of a prefix.
    pub fn new(prefix: Ipv4Net) -> Clients {
        Clients { base: prefix.network().to_bits(), host_bits: 32 - u32::from(prefix.prefix_len()) }
    }

    /// How many there are; more than 2^32 are not numbered.
    pub fn count(&self) -> u64 {
        (u64::from(PORTS) << self.host_bits).min(1 << 32)
    }

    /// The client of a number.
    #[inline(always)]
    pub fn endpoint(&self, number: u32) -> Endpoint {
        let (host, port) = (number & self.host_mask(), u64::from(number) >> self.host_bits);
        Endpoint { addr: self.base | host, port: 1_024 + port as u16 }
    }

    /// The number of a client.
    #[inline(always)]
    pub fn number(&self, client: Endpoint) -> u32 {
        let port = u64::from(client.port.wrapping_sub(1_024));
        (port << self.host_bits) as u32 | client.addr & self.host_mask()
    }

    #[inline(always)]
    fn host_mask(&self) -> u32 {
        ((1_u64 << self.host_bits) - 1) as u32
    }
}

/// The services: addresses and ports of VIPs. Each client asks one of them, always the same.
#[derive(Clone, Debug)]
pub struct Services(Vec<Endpoint>);

impl Services {
    /// The one that a client asks.
    #[inline(always)]
    pub fn of(&self, client: u32) -> Endpoint {
        let spread = u64::from(client.wrapping_mul(0x9E37_79B1));
        self.0[((spread * self.0.len() as u64) >> 32) as usize]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Endpoint> + '_ {
        self.0.iter().copied()
    }
}

impl FromStr for Services {
    type Err = String;

    /// `198.18.1.100:80`, and with ranges `198.18.1.0-198.18.1.99:80-89`.
    fn from_str(text: &str) -> Result<Services, String> {
        let hint = "write ADDRESS:PORT or FIRST-LAST:FIRST-LAST, as in 198.18.1.0-198.18.1.99:80-89";
        let (addrs, ports) = text.split_once(':').ok_or(format!("{text:?} has no port: {hint}"))?;
        let addrs = range::<Ipv4Addr>(addrs).ok_or(format!("{addrs:?} is no range of addresses: {hint}"))?;
        let ports = range::<u16>(ports).ok_or(format!("{ports:?} is no range of ports: {hint}"))?;
        let (first, last) = (addrs.0.to_bits(), addrs.1.to_bits());
        let many = (u64::from(last) - u64::from(first) + 1) * (u64::from(ports.1 - ports.0) + 1);
        if many > 1 << 20 {
            return Err(format!("{text:?} are {many} services: at most {} are possible", 1 << 20));
        }
        let all = (first..=last).flat_map(|addr| (ports.0..=ports.1).map(move |port| Endpoint { addr, port }));
        Ok(Services(all.collect()))
    }
}

/// `A` or `A-B`, A not after B.
fn range<T: FromStr + Copy + PartialOrd>(text: &str) -> Option<(T, T)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

/// A prefix, to compare addresses with.
#[derive(Clone, Copy, Debug)]
pub struct Prefix {
    base: u32,
    mask: u32,
}

impl Prefix {
    /// Does it hold this address?
    #[inline(always)]
    pub fn contains(&self, addr: u32) -> bool {
        addr & self.mask == self.base
    }
}

impl From<Ipv4Net> for Prefix {
    fn from(net: Ipv4Net) -> Prefix {
        Prefix { base: net.network().to_bits(), mask: net.netmask().to_bits() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_another_client_and_comes_back_from_it() {
        let clients = Clients::new("198.18.0.0/30".parse().unwrap());
        assert_eq!(clients.count(), 4 * 64_512);
        assert_eq!(clients.endpoint(0).to_string(), "198.18.0.0:1024");
        assert_eq!(clients.endpoint(5).to_string(), "198.18.0.1:1025");
        assert_eq!(clients.endpoint(4 * 64_512 - 1).to_string(), "198.18.0.3:65535");
        for n in [0, 1, 77, 4 * 64_512 - 1] {
            assert_eq!(clients.number(clients.endpoint(n)), n);
        }
        let all = Clients::new("0.0.0.0/0".parse().unwrap());
        assert_eq!((all.count(), all.number(all.endpoint(u32::MAX))), (1 << 32, u32::MAX));
    }

    #[test]
    fn services_are_all_asked_and_mistakes_have_a_sentence() {
        let services: Services = "198.18.1.0-198.18.1.9:80-89".parse().unwrap();
        assert_eq!(services.iter().count(), 100);
        let asked: std::collections::HashSet<String> = (0..10_000).map(|n| services.of(n).to_string()).collect();
        assert_eq!(asked.len(), 100);
        let error = |text: &str| text.parse::<Services>().unwrap_err();
        assert!(error("198.18.1.1").starts_with("\"198.18.1.1\" has no port: write ADDRESS:PORT"));
        assert!(error("198.18.1.9-198.18.1.1:80").starts_with("\"198.18.1.9-198.18.1.1\" is no range of addresses"));
        assert!(error("198.18.1.1:x").starts_with("\"x\" is no range of ports"));
        assert!(error("10.0.0.0-11.0.0.0:80").contains("are 16777217 services: at most 1048576"));
    }
}
