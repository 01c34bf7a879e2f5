//! Who talks to whom: the clients' addresses and ports by number, the services, what belongs to a side.

use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The ports of an address that are used: from 1024 on.
const PORTS: u32 = 64_512;

/// An address and a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The address as that of IPv6; one of IPv4 is mapped (RFC 4291, 2.5.5.2).
    pub addr: u128,
    /// The port, in host order.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(Ipv6Addr::from(self.addr).to_canonical(), self.port).fmt(f)
    }
}

impl Endpoint {
    /// An IPv4 address as one of IPv6.
    #[inline(always)]
    pub fn mapped(addr: u32) -> u128 {
        0xFFFF << 32 | u128::from(addr)
    }
}

/// Any address as one of IPv6.
fn bits(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => Endpoint::mapped(addr.to_bits()),
        IpAddr::V6(addr) => addr.to_bits(),
    }
}

/// Bits behind a prefix.
fn host_bits(prefix: &IpNet) -> u32 {
    u32::from(prefix.max_prefix_len() - prefix.prefix_len())
}

/// The clients: all addresses of a prefix with all ports, numbered; neighbouring numbers have different addresses.
#[derive(Clone, Copy, Debug)]
pub struct Clients {
    base: u128,
    host_bits: u32,
}

impl Clients {
    /// Those of a prefix; of a large one of IPv6 the first 2^32 addresses.
    pub fn new(prefix: IpNet) -> Clients {
        Clients { base: bits(prefix.network()), host_bits: host_bits(&prefix).min(32) }
    }

    /// How many there are; more than 2^32 are not numbered.
    pub fn count(&self) -> u64 {
        (u64::from(PORTS) << self.host_bits).min(1 << 32)
    }

    /// The client of a number.
    #[inline(always)]
    pub fn endpoint(&self, number: u32) -> Endpoint {
        let (host, port) = (number & self.host_mask(), u64::from(number) >> self.host_bits);
        Endpoint { addr: self.base | u128::from(host), port: 1_024 + port as u16 }
    }

    /// The number of a client.
    #[inline(always)]
    pub fn number(&self, client: Endpoint) -> u32 {
        let port = u64::from(client.port.wrapping_sub(1_024));
        (port << self.host_bits) as u32 | client.addr as u32 & self.host_mask()
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

    /// `198.18.1.100:80` or `[2001:db8::1]:80`, and with ranges `198.18.1.0-198.18.1.99:80-89`.
    fn from_str(text: &str) -> Result<Services, String> {
        let hint =
            "write ADDRESS:PORT or FIRST-LAST:FIRST-LAST, as in 198.18.1.0-198.18.1.99:80-89 or [2001:db8::1]:80";
        let (addrs, ports) = text.rsplit_once(':').ok_or(format!("{text:?} has no port: {hint}"))?;
        let inside = addrs.strip_prefix('[').and_then(|a| a.strip_suffix(']'));
        let addrs = match inside {
            Some(addrs) => range::<Ipv6Addr>(addrs).map(|(a, b)| (a.to_bits(), b.to_bits())),
            None => range::<Ipv4Addr>(addrs).map(|(a, b)| (bits(a.into()), bits(b.into()))),
        }
        .ok_or(format!("{addrs:?} is no range of addresses: {hint}"))?;
        let ports = range::<u16>(ports).ok_or(format!("{ports:?} is no range of ports: {hint}"))?;
        let (first, last) = addrs;
        let many = (last - first).saturating_add(1).saturating_mul(u128::from(ports.1 - ports.0) + 1);
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
    base: u128,
    mask: u128,
}

impl Prefix {
    /// Does it hold this address?
    #[inline(always)]
    pub fn contains(&self, addr: u128) -> bool {
        addr & self.mask == self.base
    }
}

impl From<IpNet> for Prefix {
    fn from(net: IpNet) -> Prefix {
        let mask = u128::MAX.checked_shl(host_bits(&net)).unwrap_or(0);
        Prefix { base: bits(net.network()), mask }
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
        let six = Clients::new("2001:db8::/126".parse().unwrap());
        assert_eq!((six.count(), six.endpoint(5).to_string()), (4 * 64_512, "[2001:db8::1]:1025".into()));
        let large = Clients::new("2001:db8::/64".parse().unwrap());
        assert_eq!(large.endpoint(0x1_0007).to_string(), "[2001:db8::1:7]:1024");
        for n in [0, 5, 0x1_0007, u32::MAX] {
            assert_eq!(large.number(large.endpoint(n)), n);
        }
        let all = Clients::new("0.0.0.0/0".parse().unwrap());
        assert_eq!((all.count(), all.number(all.endpoint(u32::MAX))), (1 << 32, u32::MAX));
    }

    #[test]
    fn a_prefix_holds_its_addresses_and_none_of_the_other_family() {
        let at = |text: &str| bits(text.parse().unwrap());
        let prefix = |text: &str| Prefix::from(text.parse::<IpNet>().unwrap());
        assert!(prefix("10.0.0.0/8").contains(at("10.255.0.1")) && !prefix("10.0.0.0/8").contains(at("11.0.0.1")));
        assert!(
            prefix("2001:db8::/32").contains(at("2001:db8:9::1")) && !prefix("0.0.0.0/0").contains(at("2001:db8::1"))
        );
    }

    #[test]
    fn services_are_all_asked_and_mistakes_have_a_sentence() {
        let services: Services = "198.18.1.0-198.18.1.9:80-89".parse().unwrap();
        assert_eq!(services.iter().count(), 100);
        let asked: std::collections::HashSet<String> = (0..10_000).map(|n| services.of(n).to_string()).collect();
        assert_eq!(asked.len(), 100);
        let six: Services = "[2001:db8::100-2001:db8::10f]:80".parse().unwrap();
        assert_eq!(six.iter().last().unwrap().to_string(), "[2001:db8::10f]:80");
        let error = |text: &str| text.parse::<Services>().unwrap_err();
        assert!(error("198.18.1.1").starts_with("\"198.18.1.1\" has no port: write ADDRESS:PORT"));
        assert!(error("198.18.1.9-198.18.1.1:80").starts_with("\"198.18.1.9-198.18.1.1\" is no range of addresses"));
        assert!(error("2001:db8::1:80").starts_with("\"2001:db8::1\" is no range of addresses"));
        assert!(error("198.18.1.1:x").starts_with("\"x\" is no range of ports"));
        assert!(error("10.0.0.0-11.0.0.0:80").contains("are 16777217 services: at most 1048576"));
    }
}
