//! Whose an address is: an interface's own, a pool's local address, a VIP. No address is two of them.
//!
//! Filled by `link` from the draft before anything that refers to addresses is checked.

use std::collections::HashMap;
use std::net::IpAddr;

use super::draft::{InterfaceDraft, PoolDraft, ServiceDraft};
use super::report::{At, Report, Spot};

/// Every address that the gateway answers for, and whose it is, in words.
#[derive(Default)]
pub(super) struct Owners(HashMap<IpAddr, String>);

impl Owners {
    /// Notes every address that has two owners.
    pub(super) fn new(
        interfaces: &[InterfaceDraft],
        pools: &[PoolDraft],
        services: &[ServiceDraft],
        report: &Report<'_>,
    ) -> Self {
        let mut owners = Self::default();
        for At { value: net, spot } in interfaces.iter().flat_map(|interface| &interface.addresses) {
            let owner = format!("the gateway's own address (line {})", report.line(spot));
            let taken = owners.take([net.addr()], &owner);
            note(&taken, spot, "give each own address once", report);
        }
        for (pool, At { value: addresses, spot }) in pools.iter().flat_map(|p| p.entries.iter().map(move |e| (p, e))) {
            let owner = format!("a local address of {} (line {})", pool.spot.field, report.line(spot));
            let taken = owners.take(addresses.iter().copied(), &owner);
            let remedy = "give each local address once, and none that is the gateway's own or a VIP";
            note(&taken, spot, remedy, report);
        }
        let mut vips: HashMap<IpAddr, String> = HashMap::new();
        for At { value: address, spot } in services.iter().filter_map(|service| service.address.as_ref()) {
            if let Some(owner) = owners.of(address.ip()) {
                let taken = vec![(address.ip(), owner.to_owned())];
                note(&taken, spot, "use another VIP: own addresses and local addresses cannot be one", report);
            } else {
                let owner = || format!("a VIP (line {})", report.line(spot));
                vips.entry(address.ip()).or_insert_with(owner);
            }
        }
        owners.0.extend(vips);
        owners
    }

    /// Whose `address` is, as in "the gateway's own address (line 12)".
    pub(super) fn of(&self, address: IpAddr) -> Option<&str> {
        self.0.get(&address).map(String::as_str)
    }

    /// Gives the addresses to `owner`; answers with those that were taken, and by whom.
    fn take(&mut self, addresses: impl IntoIterator<Item = IpAddr>, owner: &str) -> Vec<(IpAddr, String)> {
        let mut taken = Vec::new();
        for address in addresses {
            match self.0.get(&address) {
                Some(before) => taken.push((address, before.clone())),
                None => drop(self.0.insert(address, owner.to_owned())),
            }
        }
        taken
    }
}

/// One problem for all of `taken`.
fn note(taken: &[(IpAddr, String)], spot: &Spot, remedy: &str, report: &Report<'_>) {
    if let Some((address, owner)) = taken.first() {
        let more =
            if taken.len() > 1 { format!("; {} of these addresses are taken", taken.len()) } else { String::new() };
        report.problem(spot, format!("{address} is already {owner}{more}"), remedy);
    }
}
