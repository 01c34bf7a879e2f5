//! Addresses, subnets, ranges and names as the file writes them, each with its own sentence for what is wrong.
//!
//! Pure functions from text to a value or a [`Fault`]; called while the file is read. What an address may be used
//! for is asked later, in `link`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net};

use super::report::Fault;

/// The most addresses a pool may have.
pub(super) const POOL_MAX: usize = 1024;

const GIVE_ADDRESS: &str = "give an IPv4 address, as in 198.18.1.254";
const GIVE_ENDPOINT: &str = "give address and port, as in 198.18.1.100:80";
const GIVE_SUBNET: &str = "give an address and a prefix length, as in 198.18.1.254/24";

/// A unicast address.
pub(super) fn unicast(text: &str) -> Result<IpAddr, Fault> {
    refuse_ipv6(text, GIVE_ADDRESS)?;
    let address: Ipv4Addr = text.parse().map_err(|_| Fault::new("is not an address", GIVE_ADDRESS))?;
    refuse_special(address)?;
    Ok(address.into())
}

/// A unicast address and a port other than 0.
pub(super) fn endpoint(text: &str) -> Result<SocketAddr, Fault> {
    refuse_ipv6(text, GIVE_ENDPOINT)?;
    let Some((address, port)) = text.split_once(':') else {
        return Err(match text.parse::<Ipv4Addr>() {
            Ok(_) => Fault::new("has no port", GIVE_ENDPOINT),
            Err(_) => Fault::new("is not an address and port", GIVE_ENDPOINT),
        });
    };
    let address: Ipv4Addr = address.parse().map_err(|_| Fault::new("is not an address and port", GIVE_ENDPOINT))?;
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|port| digits && *port != 0u16);
    let port = port.ok_or_else(|| Fault::new("has a port that does not exist", "give a port from 1 to 65535"))?;
    refuse_special(address)?;
    Ok((address, port).into())
}

/// An own address with the prefix length of its subnet: `198.18.1.254/24`.
pub(super) fn own_address(text: &str) -> Result<IpNet, Fault> {
    let net = ipv4_net(text)?;
    refuse_special(net.addr())?;
    if net.prefix_len() == 0 {
        return Err(Fault::new("is a subnet of every address", "give a prefix length from 1 to 32"));
    }
    refuse_edge(net, net.addr())?;
    Ok(net.into())
}

/// The destination of a route: no host bits, no addresses that are never forwarded.
pub(super) fn destination(text: &str) -> Result<IpNet, Fault> {
    let net = trimmed(ipv4_net(text)?)?;
    let special = |end| refuse_special(end).is_err();
    let forwarded = net.prefix_len() <= 1 || !special(net.network()) || !special(net.broadcast());
    if !forwarded {
        return Err(Fault::new("is never forwarded", "route unicast addresses, or 0.0.0.0/0 for all"));
    }
    Ok(net.into())
}

/// An entry of a pool: one address, `first-last`, or a subnet of which every address is taken.
pub(super) fn pool_entry(text: &str) -> Result<Vec<IpAddr>, Fault> {
    refuse_ipv6(text, GIVE_ADDRESS)?;
    let (first, last) = if let Some((first, last)) = text.split_once('-') {
        let bound = |text: &str| text.trim().parse::<Ipv4Addr>();
        let (Ok(first), Ok(last)) = (bound(first), bound(last)) else {
            return Err(Fault::new("is not a range of addresses", "give both ends, as in 198.18.2.16-198.18.2.20"));
        };
        if last < first {
            return Err(Fault::new("is a range that ends before it starts", format!("write {last}-{first}")));
        }
        (first, last)
    } else if text.contains('/') {
        let net = trimmed(ipv4_net(text)?)?;
        (net.network(), net.broadcast())
    } else {
        let one = text.parse().map_err(|_| {
            Fault::new(
                "is not an address, range or subnet",
                "write 198.18.2.10, 198.18.2.16-198.18.2.20 or 198.18.2.32/28",
            )
        })?;
        (one, one)
    };
    refuse_special(first)?;
    refuse_special(last)?;
    let (first, last) = (u32::from(first), u32::from(last));
    let count = u64::from(last - first) + 1;
    if count > POOL_MAX as u64 {
        return Err(Fault::new(
            format!("has {count} addresses"),
            format!("a pool has at most {POOL_MAX}; each gives 64,512 ports towards each server"),
        ));
    }
    Ok((first..=last).map(|bits| Ipv4Addr::from(bits).into()).collect())
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

/// Refuses the network and the broadcast address of `net`.
pub(super) fn refuse_edge(net: Ipv4Net, address: Ipv4Addr) -> Result<(), Fault> {
    if net.prefix_len() >= 31 {
        return Ok(());
    }
    let network = net.network();
    let edge = match address {
        edge if edge == network => "network",
        edge if edge == net.broadcast() => "broadcast",
        _ => return Ok(()),
    };
    let what = format!("is the {edge} address of {network}/{}", net.prefix_len());
    Err(Fault::new(what, "use an address between the first and the last of the subnet"))
}

/// Refuses what no host has as its address.
fn refuse_special(address: Ipv4Addr) -> Result<(), Fault> {
    let kind = match address.octets() {
        [0, ..] => "an address of \"this network\" (0.0.0.0/8)",
        [127, ..] => "a loopback address",
        [255, 255, 255, 255] => "the broadcast address",
        [224..=239, ..] => "a multicast address",
        [240..=255, ..] => "a reserved address (240.0.0.0/4)",
        _ => return Ok(()),
    };
    Err(Fault::new(format!("is {kind}"), "give a unicast address"))
}

fn refuse_ipv6(text: &str, remedy: &str) -> Result<(), Fault> {
    let bare = text.split(['/', '%', '-']).next().unwrap_or(text).trim_start_matches('[');
    let bare = bare.split(']').next().unwrap_or(bare);
    if bare.parse::<Ipv6Addr>().is_ok() {
        return Err(Fault::new("IPv6 is not supported yet", remedy));
    }
    Ok(())
}

fn ipv4_net(text: &str) -> Result<Ipv4Net, Fault> {
    refuse_ipv6(text, GIVE_SUBNET)?;
    let Some((address, length)) = text.split_once('/') else {
        return Err(match text.parse::<Ipv4Addr>() {
            Ok(_) => Fault::new("has no prefix length", GIVE_SUBNET),
            Err(_) => Fault::new("is not a subnet", GIVE_SUBNET),
        });
    };
    let address = address.parse().map_err(|_| Fault::new("is not a subnet", GIVE_SUBNET))?;
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let net = length.parse().ok().filter(|_| digits).and_then(|length| Ipv4Net::new(address, length).ok());
    net.ok_or_else(|| Fault::new("has a prefix length that does not exist", "give a prefix length from 0 to 32"))
}

fn trimmed(net: Ipv4Net) -> Result<Ipv4Net, Fault> {
    if net.trunc() == net {
        return Ok(net);
    }
    Err(Fault::new("has bits set behind its prefix", format!("write {}", net.trunc())))
}
