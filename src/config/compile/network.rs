//! What of a snapshot is not a service's: interfaces, pools of local addresses, routes.
//!
//! Part of the compiler.

use super::convert::{hop, own_addresses, timeouts};
use super::{CompileError, Compiler, link};
use crate::config::{self as model, Model};
use gatun_engine::addr::{Addr, IfaceId, LipId, NeighborId, PortId};
use gatun_engine::snapshot::{Iface, Lip, Local, LocalKind, Pool, Route, RouteTo, Routes};
use std::sync::Arc;

impl Compiler {
    /// What is not a service's.
    pub(super) fn globals(&mut self, model: &Model) -> Result<(), CompileError> {
        // It can fail, and changes nothing but seats of neighbours, which are never given up.
        self.routes = self.routes(model)?;
        let default = timeouts(&model.timeouts);
        match self.profiles.first_mut() {
            Some(first) => *first = default,
            None => self.profiles.push(default),
        }
        self.locals = own_addresses(model);
        self.pools = self.pools(model);
        // All services are counted anew.
        self.vips.clear();
        self.hops.begin(model.routes.iter().map(|route| hop((route.interface, route.via))));
        Ok(())
    }

    pub(super) fn ifaces(&self, model: &Model) -> Vec<Iface> {
        let iface = |i: &model::Interface| {
            let port = &model.ports[i.port.0];
            Iface {
                port: PortId(i.port.0 as u8),
                vlan: i.vlan.unwrap_or(0),
                mac: self.macs.get(i.port.0).copied().unwrap_or_default(),
                mtu: port.mtu,
                addrs: i.addresses.iter().map(|a| (a.addr().into(), a.prefix_len())).collect(),
            }
        };
        model.interfaces.iter().map(iface).collect()
    }

    fn pools(&mut self, model: &Model) -> Vec<[Arc<Pool>; 2]> {
        let mut pools = Vec::new();
        for pool in &model.laddr_pools {
            let mut lips = [Vec::new(), Vec::new()];
            for address in &pool.addresses {
                let addr = Addr::from(*address);
                let next = LipId(self.lips.len() as u16);
                let id = *self.lips.entry(addr).or_insert(next);
                self.locals.insert(addr, Local { kind: LocalKind::Lip(id), iface: link(model, *address) });
                lips[addr.family() as usize].push(Lip { id, addr });
            }
            pools.push(lips.map(|lips| Arc::new(Pool::new(lips))));
        }
        pools
    }

    fn routes(&self, model: &Model) -> Result<Routes, CompileError> {
        let mut routes = Vec::new();
        for (i, iface) in model.interfaces.iter().enumerate() {
            for net in &iface.addresses {
                let to = RouteTo::OnLink(IfaceId(i as u8));
                routes.push(Route { prefix: net.addr().into(), len: net.prefix_len(), to });
            }
        }
        for r in &model.routes {
            let hop = self.hop(IfaceId(r.interface.0 as u8), r.via.into())?;
            routes.push(Route { prefix: r.to.addr().into(), len: r.to.prefix_len(), to: RouteTo::Via(hop) });
        }
        Ok(Routes::new(&routes))
    }

    fn hop(&self, iface: IfaceId, addr: Addr) -> Result<NeighborId, CompileError> {
        let full = CompileError::TooMany {
            what: "neighbours",
            wanted: self.neighbors.claimed().count() + 1,
            room: self.neighbors.claimed().count(),
            remedy: "raise tables.neighbors and restart gatun",
        };
        self.neighbors.claim(iface, addr).ok_or(full)
    }
}
