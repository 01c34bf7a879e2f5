//! Addresses and numbers as ipvsadm reads them.
//!
//! `10.1.0.100:80`, `shop.example.com:http`, `[2001:db8::1]:80`. A bare IPv6 address has no port, so `2001:db8::1:80` is one
//! whole address. IPv4 addresses may be written in all the old ways, `10.1` and `0x0a.1` among them.

use super::model::Proto;
use super::names::Names;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address and, where one was given, a port.
pub(super) fn endpoint(text: &str, proto: Option<Proto>, names: &dyn Names) -> Option<(IpAddr, Option<u16>)> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(inner) => {
            let (host, after) = inner.split_once(']')?;
            (host, Some(after.strip_prefix(':')?))
        }
        None => (text, None),
    };
    let (ip, port) = match host.parse::<Ipv6Addr>() {
        Ok(ip) => (IpAddr::V6(ip), port),
        // What is in brackets and no IPv6 address is looked at once more, without what follows the brackets.
        Err(_) => {
            let (host, port) = host.rsplit_once(':').map_or((host, None), |(host, port)| (host, Some(port)));
            let ip = old_ipv4(host).or_else(|| names.host(host))?;
            (IpAddr::V4(ip), port)
        }
    };
    let port = match port {
        Some(port) => Some(port_number(port, proto, names)?),
        None => None,
    };
    Some((ip, port))
}

fn port_number(text: &str, proto: Option<Proto>, names: &dyn Names) -> Option<u16> {
    match number(text, 0, 65_535) {
        Some(port) => u16::try_from(port).ok(),
        None => names.port(text, proto?),
    }
}

/// An IPv4 address of one to four parts, each decimal, octal after `0` or hexadecimal after `0x`; the last part fills what
/// is left of the address (inet_aton).
pub(super) fn old_ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = text.split('.').map(old_number).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    let room = u32::try_from(4usize.checked_sub(first.len())?).ok().filter(|room| *room > 0)?;
    let high = first.iter().try_fold(0u32, |high, part| (*part < 256).then(|| high << 8 | part))?;
    let shift = 8 * room;
    (u64::from(*last) < 1u64 << shift).then(|| Ipv4Addr::from(high.checked_shl(shift).unwrap_or(0) | last))
}

fn old_number(text: &str) -> Option<u32> {
    let digits =
        |digits: &str, radix| (!digits.starts_with('+')).then(|| u32::from_str_radix(digits, radix).ok()).flatten();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => digits(hex, 16),
        None if text.len() > 1 && text.starts_with('0') => digits(text, 8),
        None => digits(text, 10),
    }
}

/// A decimal number within bounds, as strtol reads it: blanks and a sign may come first, nothing may follow.
pub(super) fn number(text: &str, least: i64, most: i64) -> Option<i64> {
    text.trim_ascii_start().parse().ok().filter(|n| (least..=most).contains(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_addresses_are_read_as_inet_aton_does() {
        let table = [
            ("10.1.0.100", Some([10, 1, 0, 100])),
            ("10.1.0", Some([10, 1, 0, 0])),
            ("10.1", Some([10, 0, 0, 1])),
            ("24", Some([0, 0, 0, 24])),
            ("4294967295", Some([255; 4])),
            ("0x7f.1", Some([127, 0, 0, 1])),
            ("010.1", Some([8, 0, 0, 1])),
            ("10.1.0.256", None),
            ("256.1", None),
            ("10.16777216", None),
            ("10.1.0.1.2", None),
            ("10..1", None),
            ("", None),
            ("x", None),
            ("08", None),
        ];
        for (text, octets) in table {
            assert_eq!(old_ipv4(text), octets.map(Ipv4Addr::from), "{text}");
        }
    }

    #[test]
    fn numbers_may_have_blanks_and_a_sign_before_them_and_nothing_after() {
        for (text, n) in [("3", Some(3)), (" 3", Some(3)), ("+3", Some(3)), ("010", Some(10)), ("10", Some(10))] {
            assert_eq!(number(text, 0, 10), n, "{text}");
        }
        for text in ["", " ", "3 ", "0x3", "11", "-1", "99999999999999999999"] {
            assert_eq!(number(text, 0, 10), None, "{text}");
        }
    }
}
