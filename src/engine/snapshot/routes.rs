//! Longest prefix match: one hash table a family and prefix length in use, longest first.

use super::{Quick, Route, RouteTo};
use crate::addr::{Addr, Be32, Family};
use alloc::vec;
use alloc::vec::Vec;
use hashbrown::HashMap;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    v4: Vec<OfLength>,
    /// By their length.
    v6: Vec<(u8, HashMap<Addr, RouteTo, Quick>)>,
}

/// The IPv4 routes of one length: open addressing, at most half full. It is read twice for each connection that opens.
#[derive(Clone, Debug)]
struct OfLength {
    mask: u32,
    /// A power of two of them.
    seats: Vec<Option<(u32, RouteTo)>>,
}

impl Routes {
    /// From routes; of two for the same prefix the later wins.
    pub fn new(routes: &[Route]) -> Routes {
        let of_family = |family| routes.iter().filter(move |r| r.prefix.family() == family);
        let lengths = |family| {
            let mut lengths: Vec<u8> = of_family(family).map(|r| r.len).collect();
            lengths.sort_unstable_by(|a, b| b.cmp(a));
            lengths.dedup();
            lengths.into_iter()
        };
        let of_length = |family, len| of_family(family).filter(move |r| r.len == len);
        let v6 = |len| of_length(Family::V6, len).map(move |r| (r.prefix.prefix(len), r.to));
        Routes {
            v4: lengths(Family::V4).map(|len| OfLength::new(len, of_length(Family::V4, len))).collect(),
            v6: lengths(Family::V6).map(|len| (len, v6(len).collect())).collect(),
        }
    }

    /// The route of the longest prefix that contains `addr`.
    #[inline(always)]
    pub fn lookup(&self, addr: Addr) -> Option<RouteTo> {
        match addr {
            Addr::V4(addr) => self.lookup4(addr),
            Addr::V6(_) => self.v6.iter().find_map(|(len, table)| table.get(&addr.prefix(*len)).copied()),
        }
    }
}

impl Routes {
    /// The same for an address of IPv4.
    #[inline(always)]
    pub fn lookup4(&self, addr: Be32) -> Option<RouteTo> {
        self.v4.iter().find_map(|of_length| of_length.lookup(addr))
    }
}

impl OfLength {
    fn new<'a>(len: u8, routes: impl Iterator<Item = &'a Route> + Clone) -> OfLength {
        let mask = u32::MAX.checked_shl(32u32.saturating_sub(len.into())).unwrap_or(0);
        let mut table = OfLength { mask, seats: vec![None; (2 * routes.clone().count()).next_power_of_two()] };
        for (addr, to) in routes.filter_map(|r| Some((r.prefix.v4()?, r.to))) {
            let (prefix, mut at) = table.place(addr);
            while table.seats[at].is_some_and(|(other, _)| other != prefix) {
                at = (at + 1) % table.seats.len();
            }
            table.seats[at] = Some((prefix, to));
        }
        table
    }

    #[inline(always)]
    fn lookup(&self, addr: Be32) -> Option<RouteTo> {
        let (prefix, mut at) = self.place(addr);
        loop {
            let (found, to) = (*self.seats.get(at)?)?;
            if found == prefix {
                return Some(to);
            }
            at = (at + 1) & (self.seats.len() - 1);
        }
    }

    /// The prefix of an address, and where a search for it begins.
    #[inline(always)]
    fn place(&self, addr: Be32) -> (u32, usize) {
        let prefix = addr.host() & self.mask;
        let hash = u64::from(prefix.wrapping_mul(0x9E37_79B1));
        (prefix, ((hash * self.seats.len() as u64) >> 32) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::NeighborId;
    use core::net::Ipv4Addr;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_finds_what_a_look_at_every_route_finds(
            routes in proptest::collection::vec((any::<u32>(), 0u8..=32, any::<u16>()), 0..200),
            few in 1u32..20, others: [u32; 8],
        ) {
            // Few different high bits, so that prefixes contain one another and addresses are in some.
            let near = |n: u32| (n % few) << 24 | n >> 16;
            let routes: Vec<Route> = routes.into_iter().map(|(prefix, len, to)| Route {
                prefix: Addr::V4(Be32::new(near(prefix))).prefix(len),
                len,
                to: RouteTo::Via(NeighborId(to)),
            }).collect();
            let table = Routes::new(&routes);
            let addrs = routes.iter().map(|r| r.prefix).chain(others.map(|n| Addr::V4(Be32::new(near(n)))));
            for addr in addrs {
                let best = routes.iter().filter(|r| addr.is_in(r.prefix, r.len)).max_by_key(|r| r.len);
                prop_assert_eq!(table.lookup(addr), best.map(|r| r.to));
            }
        }
    }

    #[test]
    fn the_longest_prefix_wins_and_a_default_route_takes_the_rest() {
        let route =
            |p: [u8; 4], len, n| Route { prefix: Ipv4Addr::from(p).into(), len, to: RouteTo::Via(NeighborId(n)) };
        let routes = Routes::new(&[route([0; 4], 0, 1), route([198, 18, 0, 0], 16, 2), route([198, 18, 1, 9], 32, 3)]);
        let to = |a: [u8; 4]| routes.lookup(Ipv4Addr::from(a).into());
        assert_eq!(to([192, 0, 2, 1]), Some(RouteTo::Via(NeighborId(1))));
        assert_eq!(to([198, 18, 255, 255]), Some(RouteTo::Via(NeighborId(2))));
        assert_eq!(to([198, 18, 1, 9]), Some(RouteTo::Via(NeighborId(3))));
        assert_eq!(Routes::new(&[]).lookup(Addr::V4(Be32::new(1))), None);
    }

    #[test]
    fn the_families_do_not_see_each_others_routes() {
        let ip = |a: &str| Addr::from(a.parse::<core::net::IpAddr>().unwrap());
        let route = |p: &str, len, n| Route { prefix: ip(p), len, to: RouteTo::Via(NeighborId(n)) };
        let routes = Routes::new(&[route("::", 0, 1), route("2001:db8:1::", 48, 2), route("2001:db8:1::7", 128, 3)]);
        let to = |a: &str| routes.lookup(ip(a));
        assert_eq!(to("2001:db8:2::1"), Some(RouteTo::Via(NeighborId(1))));
        assert_eq!(to("2001:db8:1:ffff::"), Some(RouteTo::Via(NeighborId(2))));
        assert_eq!(to("2001:db8:1::7"), Some(RouteTo::Via(NeighborId(3))));
        assert_eq!(to("198.18.0.1"), None);
    }
}
