//! Addresses, subnets, ranges and names as the file writes them, each with its own sentence for what is wrong.
//!
//! Pure functions from text to a value or a [`Fault`]; called while the file is read. What an address may be used
//! for is asked later, in `link`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use super::report::Fault;

/// The most addresses a pool may have.
pub(super) const POOL_MAX: usize = 1024;

const GIVE_ADDRESS: &str = "give an address, as in 198.18.1.254 or 2001:db8:1::fe";
const GIVE_ENDPOINT: &str = "give address and port, as in 198.18.1.100:80 or [2001:db8:1::100]:80";
const GIVE_SUBNET: &str = "give an address and a prefix length, as in 198.18.1.254/24 or 2001:db8:1::fe/64";
const GIVE_RANGE: &str = "give both ends, as in 198.18.2.16-198.18.2.20 or 2001:db8:2::10-2001:db8:2::1f";

/// A unicast address of a machine on a link of ours. It may be a link-local one.
pub(super) fn on_link(text: &str) -> Result<IpAddr, Fault> {
    let address = address(text, "is not an address", GIVE_ADDRESS)?;
    if !is_link_local(address) {
        refuse_special(address)?;
    }
    Ok(address)
}

/// Is it an IPv6 address that means something on its own link only?
pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// A unicast address and a port other than 0.
pub(super) fn endpoint(text: &str) -> Result<SocketAddr, Fault> {
    const WHAT: &str = "is not an address and port";
    let bracketed = text.strip_prefix('[').map(|rest| rest.split_once(']'));
    let (host, port) = match bracketed {
        Some(Some((host, ""))) if host.parse::<Ipv6Addr>().is_ok() => {
            return Err(Fault::new("has no port", GIVE_ENDPOINT));
        }
        Some(Some((host, rest))) if host.contains(':') => (host, rest.strip_prefix(':')),
        Some(_) => return Err(Fault::new(WHAT, GIVE_ENDPOINT)),
        None if text.parse::<IpAddr>().is_ok() => return Err(no_port(text)),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let Some(port) = port else { return Err(Fault::new(WHAT, GIVE_ENDPOINT)) };
    let address = address(host, WHAT, GIVE_ENDPOINT)?;
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|port| digits && *port != 0u16);
    let port = port.ok_or_else(|| Fault::new("has a port that does not exist", "give a port from 1 to 65535"))?;
    refuse_special(address)?;
    Ok((address, port).into())
}

/// An own address with the prefix length of its subnet: `198.18.1.254/24`, `2001:db8:1::fe/64`.
pub(super) fn own_address(text: &str) -> Result<IpNet, Fault> {
    let net = subnet(text)?;
    if is_link_local(net.addr()) {
        let remedy = "take it out: each interface has one, made from its MAC address (fe80::/64, EUI-64)";
        return Err(Fault::new("is a link-local address", remedy));
    }
    refuse_special(net.addr())?;
    if net.prefix_len() == 0 {
        let remedy = format!("give a prefix length from 1 to {}", net.max_prefix_len());
        return Err(Fault::new("is a subnet of every address", remedy));
    }
    refuse_edge(net, net.addr())?;
    Ok(net)
}

/// The destination of a route: no host bits, no addresses that are never forwarded.
pub(super) fn destination(text: &str) -> Result<IpNet, Fault> {
    let net = trimmed(subnet(text)?)?;
    let special = |end| refuse_special(end).is_err();
    let forwarded = net.prefix_len() <= 1 || !special(net.network()) || !special(net.broadcast());
    if !forwarded {
        return Err(Fault::new("is never forwarded", "route unicast addresses, or 0.0.0.0/0 and ::/0 for all"));
    }
    Ok(net)
}

/// An entry of a pool: one address, `first-last`, or a subnet of which every address is taken.
pub(super) fn pool_entry(text: &str) -> Result<Vec<IpAddr>, Fault> {
    let (first, last) = if let Some((first, last)) = text.split_once('-') {
        let bound = |text: &str| address(text.trim(), "is not a range of addresses", GIVE_RANGE);
        (bound(first)?, bound(last)?)
    } else if text.contains('/') {
        let net = trimmed(subnet(text)?)?;
        (net.network(), net.broadcast())
    } else {
        let remedy = "write 198.18.2.10, 198.18.2.16-198.18.2.20 or 198.18.2.32/28; IPv6 in the same ways";
        let one = address(text, "is not an address, range or subnet", remedy)?;
        (one, one)
    };
    refuse_special(first)?;
    refuse_special(last)?;
    if first.is_ipv4() != last.is_ipv4() {
        return Err(Fault::new("is a range from one family to the other", GIVE_RANGE));
    }
    let low = bits(first);
    let Some(steps) = bits(last).checked_sub(low) else {
        return Err(Fault::new("is a range that ends before it starts", format!("write {last}-{first}")));
    };
    if steps >= POOL_MAX as u128 {
        let remedy = format!("a pool has at most {POOL_MAX}; each gives 64,512 ports towards each server");
        return Err(Fault::new(format!("has {} addresses", steps.saturating_add(1)), remedy));
    }
    let nth = |step: u128| match first {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from((low + step) as u32)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(low + step)),
    };
    Ok((0..=steps).map(nth).collect())
}

/// A name that other tables refer to.
pub(super) fn name(text: &str) -> Result<String, Fault> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if text.is_empty() || text.len() > 32 || !text.bytes().all(plain) {
        return Err(Fault::new("is not a usable name", "use 1 to 32 letters, digits, `_`, `-` and `.`"));
    }
    Ok(text.to_owned())
}

/// A name for people: no control characters, not blank.
pub(super) fn title(text: &str) -> Result<String, Fault> {
    let count = text.chars().count();
    if text.trim() != text || count == 0 || count > 64 || text.chars().any(char::is_control) {
        return Err(Fault::new("is not a usable name", "use 1 to 64 printable characters, no blank at either end"));
    }
    Ok(text.to_owned())
}

/// Where the REST interface listens: an address of either family and a port.
pub(super) fn listener(text: &str) -> Result<SocketAddr, Fault> {
    text.parse().map_err(|_| Fault::new("is not an address and port", "write 127.0.0.1:8443 or [::1]:8443"))
}

/// The absolute path of a file.
pub(super) fn path(text: &str) -> Result<String, Fault> {
    if !text.starts_with('/') || text.contains('\0') {
        return Err(Fault::new("is not an absolute path", "give the whole path, as in /etc/gatun/tokens"));
    }
    Ok(text.to_owned())
}

/// A name of a host, in small letters.
pub(super) fn host(text: &str) -> Result<String, Fault> {
    let label = |l: &str| !l.is_empty() && l.len() <= 63 && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if text.len() > 253 || !text.split('.').all(label) {
        return Err(Fault::new("is not a host's name", "write the name without port, as in gw1.example.net"));
    }
    Ok(text.to_ascii_lowercase())
}

/// Refuses the addresses of `net` that no single host has: network and broadcast address, and for IPv6 the address that
/// means any router of the subnet (RFC 4291, 2.6.1; none on links between two routers, RFC 6164).
pub(super) fn refuse_edge(net: IpNet, address: IpAddr) -> Result<(), Fault> {
    if net.prefix_len() + 1 >= net.max_prefix_len() {
        return Ok(());
    }
    let edge = match address {
        edge if edge == net.network() && edge.is_ipv6() => "subnet-router anycast",
        edge if edge == net.network() => "network",
        edge if edge == net.broadcast() && edge.is_ipv4() => "broadcast",
        _ => return Ok(()),
    };
    let what = format!("is the {edge} address of {}", net.trunc());
    let remedy = match net {
        IpNet::V4(_) => "use an address between the first and the last of the subnet",
        IpNet::V6(_) => "use another address of the subnet",
    };
    Err(Fault::new(what, remedy))
}

/// Refuses what no host has as its address, or none that can be reached from another link.
fn refuse_special(address: IpAddr) -> Result<(), Fault> {
    let kind = match address {
        IpAddr::V4(address) => match address.octets() {
            [0, ..] => "an address of \"this network\" (0.0.0.0/8)",
            [127, ..] => "a loopback address",
            [255, 255, 255, 255] => "the broadcast address",
            [224..=239, ..] => "a multicast address",
            [240..=255, ..] => "a reserved address (240.0.0.0/4)",
            _ => return Ok(()),
        },
        IpAddr::V6(address) => match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0] => "the unspecified address",
            [0, 0, 0, 0, 0, 0, 0, 1] => "a loopback address",
            [0, 0, 0, 0, 0, 0, ..] => "a reserved address (::/96)",
            [0, 0, 0, 0, 0, 0xffff, high, low] => {
                let inner = Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
                return Err(Fault::new("is an IPv4 address in the form of IPv6", format!("write {inner}")));
            }
            [0xfe80..=0xfebf, ..] => "a link-local address, which other links do not reach",
            [0xff00..=0xffff, ..] => "a multicast address",
            _ => return Ok(()),
        },
    };
    Err(Fault::new(format!("is {kind}"), "give a unicast address"))
}

/// An address of either family; `what` is said of a text that is none.
fn address(text: &str, what: &str, remedy: &str) -> Result<IpAddr, Fault> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Some((address, _)) = inner.split_once('%')
        && address.parse::<Ipv6Addr>().is_ok()
    {
        return Err(Fault::new(
            "has a zone",
            format!("write {address}; routes and neighbours have `interface` for it"),
        ));
    }
    match inner.parse::<Ipv6Addr>() {
        Ok(address) => Err(Fault::new("has brackets, and no port behind them", format!("write {address}"))),
        Err(_) => Err(Fault::new(what, remedy)),
    }
}

fn no_port(text: &str) -> Fault {
    match text.parse::<Ipv6Addr>() {
        Ok(_) => Fault::new("has no brackets around its address", "write the port behind them: [2001:db8:1::100]:80"),
        Err(_) => Fault::new("has no port", GIVE_ENDPOINT),
    }
}

fn subnet(text: &str) -> Result<IpNet, Fault> {
    let Some((host, length)) = text.split_once('/') else {
        return Err(match text.parse::<IpAddr>() {
            Ok(_) => Fault::new("has no prefix length", GIVE_SUBNET),
            Err(_) => Fault::new("is not a subnet", GIVE_SUBNET),
        });
    };
    let address = address(host, "is not a subnet", GIVE_SUBNET)?;
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let net = length.parse().ok().filter(|_| digits).and_then(|length| IpNet::new(address, length).ok());
    net.ok_or_else(|| {
        let most = if address.is_ipv4() { 32 } else { 128 };
        Fault::new("has a prefix length that does not exist", format!("give a prefix length from 0 to {most}"))
    })
}

fn trimmed(net: IpNet) -> Result<IpNet, Fault> {
    if net.trunc() == net {
        return Ok(net);
    }
    Err(Fault::new("has bits set behind its prefix", format!("write {}", net.trunc())))
}

/// An address as a number.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}
