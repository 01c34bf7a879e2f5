//! The order of listings, as ipvsadm has it.
//!
//! Addresses are compared by the sign of their difference in 32 bits. That is no order: 10.0.0.1 comes before 100.0.0.1,
//! that before 192.0.2.1, and that before 10.0.0.1. What comes out then depends on who is compared with whom, so the merge
//! sort of the C library is done here step by step.

use super::model::{Dest, Key, Service};
use std::cmp::Ordering;
use std::net::IpAddr;

/// Services: firewall mark, family, protocol, address, port.
pub(super) fn services(list: Vec<Service>) -> Vec<Service> {
    merge_sort(list, &|a, b| by_key(a.key, b.key))
}

/// Servers: address and port.
pub(super) fn dests(list: Vec<Dest>) -> Vec<Dest> {
    merge_sort(list, &|a, b| by_address(a.ip, b.ip).then(a.port.cmp(&b.port)))
}

fn by_key(a: Key, b: Key) -> Ordering {
    let mark = |key| match key {
        Key::Mark(mark, _) => mark,
        Key::Address(..) => 0,
    };
    let rest = match (a, b) {
        (Key::Address(pa, a, aport), Key::Address(pb, b, bport)) => {
            pa.cmp(&pb).then(by_address(a, b)).then(aport.cmp(&bport))
        }
        (Key::Address(..) | Key::Mark(..), Key::Mark(..)) | (Key::Mark(..), Key::Address(..)) => Ordering::Equal,
    };
    by_difference(mark(a), mark(b)).then(a.v6().cmp(&b.v6())).then(rest)
}

fn by_address(a: IpAddr, b: IpAddr) -> Ordering {
    let (a, b) = (words(a), words(b));
    a.into_iter().zip(b).map(|(a, b)| by_difference(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn words(ip: IpAddr) -> [u32; 4] {
    match ip {
        IpAddr::V4(ip) => [ip.to_bits(), 0, 0, 0],
        IpAddr::V6(ip) => {
            let bits = ip.to_bits();
            [96, 64, 32, 0].map(|shift| (bits >> shift & 0xffff_ffff) as u32)
        }
    }
}

fn by_difference(a: u32, b: u32) -> Ordering {
    (a.wrapping_sub(b) as i32).cmp(&0)
}

/// The first half is the smaller one; of equals the one of the first half comes first.
fn merge_sort<T>(mut list: Vec<T>, order: &dyn Fn(&T, &T) -> Ordering) -> Vec<T> {
    if list.len() < 2 {
        return list;
    }
    let second = merge_sort(list.split_off(list.len() / 2), order);
    let first = merge_sort(list, order);
    let mut merged = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter().peekable(), second.into_iter().peekable());
    while let (Some(a), Some(b)) = (first.peek(), second.peek()) {
        let next = if order(a, b).is_le() { first.next() } else { second.next() };
        merged.extend(next);
    }
    merged.extend(first);
    merged.extend(second);
    merged
}
