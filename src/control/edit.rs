//! One change of a document: [`Edit`]s are what a request asks for and what the journal keeps.

use super::Refusal;
use super::document::{Document, plain_route, real_id, real_key, route_id, service_id, service_key};
use super::services::Services;
use crate::api::types::{
    Edit, EditResult, LaddrPoolSpec, NeighborSpec, RealPatch, RealSpec, RouteSpec, ServicePatch, ServiceSpec,
    TimeoutsSpec,
};
use std::net::IpAddr;
use std::sync::Arc;

/// Makes the change. When it is refused, nothing was changed.
pub(super) fn apply(document: &mut Document, edit: &Edit) -> Result<EditResult, Refusal> {
    match edit {
        Edit::AddService { service } => put_service(document, service, false),
        Edit::PutService { service } => put_service(document, service, true),
        Edit::PatchService { id, patch } => patch_service(document, id, patch),
        Edit::DeleteService { id } => {
            let gone = service_key(id).is_some_and(|key| document.services.remove(key));
            if gone { Ok(there(id)) } else { Err(Refusal::not_found("service", id)) }
        }
        Edit::ClearServices {} => {
            document.services = Services::default();
            Ok(there("*"))
        }
        Edit::AddReal { service, real } => put_real(document, service, real, false),
        Edit::PutReal { service, real } => put_real(document, service, real, true),
        Edit::PatchReal { service, id, patch } => {
            let (mut service, at) = real(document, service, id)?;
            let RealPatch { weight } = *patch;
            let real = &mut service.reals[at];
            real.weight = weight.unwrap_or(real.weight);
            document.services.put(Arc::new(service));
            Ok(there(id))
        }
        Edit::DeleteReal { service, id } => {
            let (mut service, at) = real(document, service, id)?;
            service.reals.remove(at);
            document.services.put(Arc::new(service));
            Ok(there(id))
        }
        Edit::AddLaddrPool { laddr_pool } => put_pool(document, laddr_pool, false),
        Edit::PutLaddrPool { laddr_pool } => put_pool(document, laddr_pool, true),
        Edit::DeleteLaddrPool { name } => delete_pool(document, name),
        Edit::AddRoute { route } => put_route(document, route, false),
        Edit::PutRoute { route } => put_route(document, route, true),
        Edit::DeleteRoute { id } => {
            let at = document.routes.iter().position(|r| route_id(&r.to) == *id);
            document.routes.remove(at.ok_or_else(|| Refusal::not_found("route", id))?);
            Ok(there(id))
        }
        Edit::PutNeighbor { neighbor } => Ok(put_neighbor(document, neighbor)),
        Edit::DeleteNeighbor { address, interface } => delete_neighbor(document, *address, interface.as_deref()),
        Edit::PutTimeouts { timeouts } => {
            document.timeouts = *timeouts;
            Ok(there("timeouts"))
        }
        Edit::PatchTimeouts { timeouts } => {
            document.timeouts = over(document.timeouts, timeouts);
            Ok(there("timeouts"))
        }
    }
}

fn there(id: &str) -> EditResult {
    EditResult { id: id.to_owned(), created: false }
}

fn made(id: String) -> EditResult {
    EditResult { id, created: true }
}

fn put_service(document: &mut Document, spec: &ServiceSpec, replace: bool) -> Result<EditResult, Refusal> {
    let id = service_id(spec.protocol, spec.address);
    let is_there = document.services.get((spec.protocol, spec.address)).is_some();
    if is_there && !replace {
        return Err(Refusal::exists("service", &id));
    }
    document.services.put(Arc::new(spec.clone()));
    Ok(if is_there { there(&id) } else { made(id) })
}

fn patch_service(document: &mut Document, id: &str, patch: &ServicePatch) -> Result<EditResult, Refusal> {
    let mut service = service(document, id)?;
    let ServicePatch { name, scheduler, laddr_pool, mss_clamp, timeouts, on_server_removed, reals } = patch.clone();
    service.name = name.unwrap_or(service.name.take());
    service.scheduler = scheduler.unwrap_or(service.scheduler);
    service.laddr_pool = laddr_pool.unwrap_or(service.laddr_pool.take());
    service.mss_clamp = mss_clamp.unwrap_or(service.mss_clamp);
    service.timeouts = timeouts.map_or(service.timeouts, Option::unwrap_or_default);
    service.on_server_removed = on_server_removed.unwrap_or(service.on_server_removed);
    service.reals = reals.unwrap_or(std::mem::take(&mut service.reals));
    document.services.put(Arc::new(service));
    Ok(there(id))
}

/// A service, to be changed.
fn service(document: &Document, id: &str) -> Result<ServiceSpec, Refusal> {
    let service = document.service(id).ok_or_else(|| Refusal::not_found("service", id))?;
    Ok((**service).clone())
}

/// The same, and where a real server of it stands.
fn real(document: &Document, of: &str, id: &str) -> Result<(ServiceSpec, usize), Refusal> {
    let service = service(document, of)?;
    let address = real_key(id);
    let place = service.reals.iter().position(|r| Some(r.address) == address);
    Ok((service, place.ok_or_else(|| Refusal::not_found("real server", id))?))
}

fn put_real(document: &mut Document, of: &str, spec: &RealSpec, replace: bool) -> Result<EditResult, Refusal> {
    let mut service = service(document, of)?;
    let id = real_id(spec.address);
    let place = service.reals.iter().position(|r| r.address == spec.address);
    if place.is_some() && !replace {
        return Err(Refusal::exists("real server", &id));
    }
    match place {
        Some(place) => service.reals[place] = *spec,
        None => service.reals.push(*spec),
    }
    document.services.put(Arc::new(service));
    Ok(if place.is_some() { there(&id) } else { made(id) })
}

fn put_pool(document: &mut Document, spec: &LaddrPoolSpec, replace: bool) -> Result<EditResult, Refusal> {
    let place = document.laddr_pools.iter().position(|p| p.name == spec.name);
    match place {
        Some(_) if !replace => Err(Refusal::exists("pool", &spec.name)),
        Some(at) => {
            document.laddr_pools[at] = spec.clone();
            Ok(there(&spec.name))
        }
        None => {
            // Services that name no pool take from the only one, which is the only one no longer.
            if let [only] = document.laddr_pools.as_slice() {
                let only = only.name.clone();
                let named = |s: &Arc<ServiceSpec>| match s.laddr_pool {
                    Some(_) => s.clone(),
                    None => Arc::new(ServiceSpec { laddr_pool: Some(only.clone()), ..(**s).clone() }),
                };
                document.services = document.services.iter().map(named).collect();
            }
            document.laddr_pools.push(spec.clone());
            Ok(made(spec.name.clone()))
        }
    }
}

fn delete_pool(document: &mut Document, name: &str) -> Result<EditResult, Refusal> {
    let at = document.laddr_pools.iter().position(|p| p.name == name);
    let at = at.ok_or_else(|| Refusal::not_found("pool", name))?;
    let only = document.laddr_pools.len() == 1;
    let takes = |s: &&Arc<ServiceSpec>| s.laddr_pool.as_deref().map_or(only, |pool| pool == name);
    if let Some(service) = document.services.iter().find(takes) {
        let by = service_id(service.protocol, service.address);
        return Err(Refusal::InUse { what: "pool", id: name.to_owned(), by });
    }
    document.laddr_pools.remove(at);
    Ok(there(name))
}

fn put_route(document: &mut Document, spec: &RouteSpec, replace: bool) -> Result<EditResult, Refusal> {
    let mut spec = spec.clone();
    plain_route(&mut spec);
    let id = route_id(&spec.to);
    match document.routes.iter().position(|r| r.to == spec.to) {
        Some(_) if !replace => Err(Refusal::exists("route", &id)),
        Some(at) => {
            document.routes[at] = spec;
            Ok(there(&id))
        }
        None => {
            document.routes.push(spec);
            Ok(made(id))
        }
    }
}

fn put_neighbor(document: &mut Document, spec: &NeighborSpec) -> EditResult {
    let id = spec.address.to_string();
    match document.neighbors.iter_mut().find(|n| n.address == spec.address && n.interface == spec.interface) {
        Some(neighbor) => {
            *neighbor = spec.clone();
            there(&id)
        }
        None => {
            document.neighbors.push(spec.clone());
            made(id)
        }
    }
}

fn delete_neighbor(document: &mut Document, address: IpAddr, interface: Option<&str>) -> Result<EditResult, Refusal> {
    let is = |n: &NeighborSpec| n.address == address && (interface.is_none() || n.interface.as_deref() == interface);
    let at = document.neighbors.iter().position(is);
    document.neighbors.remove(at.ok_or_else(|| Refusal::not_found("static neighbor", &address.to_string()))?);
    Ok(there(&address.to_string()))
}

/// A short form takes the place of the names that it stands for, unless they are given too.
fn over(base: TimeoutsSpec, t: &TimeoutsSpec) -> TimeoutsSpec {
    let state =
        |own: Option<u32>, short: Option<u32>, base: Option<u32>| own.or(if short.is_some() { None } else { base });
    TimeoutsSpec {
        syn: t.syn.or(base.syn),
        fin: t.fin.or(base.fin),
        syn_sent: state(t.syn_sent, t.syn, base.syn_sent),
        syn_recv: state(t.syn_recv, t.syn, base.syn_recv),
        synack: state(t.synack, t.syn, base.synack),
        established: t.established.or(base.established),
        fin_wait: state(t.fin_wait, t.fin, base.fin_wait),
        close_wait: state(t.close_wait, t.fin, base.close_wait),
        last_ack: state(t.last_ack, t.fin, base.last_ack),
        time_wait: state(t.time_wait, t.fin, base.time_wait),
        close: t.close.or(base.close),
        udp: t.udp.or(base.udp),
    }
}
