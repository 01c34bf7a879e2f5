//! Counters and rates.

use super::{Answer, App, BASE, Query, item};
use crate::api::answer::{Fail, Reader, Reply, Writer};
use crate::api::types::{
    Done, Item, LaddrStats, LcoreStats, PortStats, Problem, RealStats, Reason, ServiceStats, Stats, Totals,
};
use crate::api::view;
use crate::control::clock;
use crate::control::document::real_id;
use gatun_engine::addr::RealId;
use gatun_engine::conn::state::State as ConnState;
use gatun_engine::laddr::CLASS_PORTS;
use gatun_engine::stats::LipUse;
use gatun_engine::verdict::{DropReason, PuntReason};
use rocket::{State, get, post, routes};
use std::net::IpAddr;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(paths(stats, zero))]
pub(super) struct Document;

/// Local addresses that are told one by one.
const LADDRS_MAX: usize = 1_000;

pub(super) fn routes() -> Vec<rocket::Route> {
    routes![stats, zero]
}

/// Everything that is counted, with rates over 1, 10 and 60 seconds.
#[utoipa::path(context_path = BASE, tag = "stats",
    params(("service" = Option<String>, Query, description = "the id of one service: the others are left out"),
        ("reals" = Option<bool>, Query, description = "false leaves the real servers out")),
    responses((status = 200, body = Item<Stats>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/stats")]
async fn stats(_who: Reader, app: &State<App>, query: Query) -> Answer {
    let query = query.only(&["service", "reals"])?;
    let reals = query.parsed("reals", "write true or false")?.unwrap_or(true);
    let (generation, stats) = counted(app, query.text("service"), reals).await?;
    item(generation, stats)
}

/// The generation, and everything that is counted, perhaps of one service alone.
pub(super) async fn counted(app: &App, only: Option<&str>, with_reals: bool) -> Result<(u64, Stats), Fail> {
    let meter = app.meter().await?;
    let (ids, look) = (meter.ids().await?, meter.look().await?);
    let only = match only {
        Some(id) => Some(ids.find(id).ok_or_else(|| Fail::not_found("service", id).at(ids.generation))?),
        None => None,
    };
    let (ports, places, laddrs) = app.handle.ask(|m| (m.port_counters(), m.workers(), m.laddrs())).await?;
    let counts = app.handle.counts().await?;
    let service = |(service, reals): (&crate::config::Service, Vec<RealId>)| {
        let real = |(real, id): (&crate::config::Real, &RealId)| RealStats {
            id: real_id(real.address),
            address: real.address,
            weight: real.weight,
            totals: meter.totals(*id),
            rates: look.real(*id),
        };
        let mut totals = Totals::default();
        reals.iter().for_each(|id| view::add(&mut totals, &meter.totals(*id)));
        ServiceStats {
            id: view::id(service),
            name: service.name.clone(),
            protocol: view::protocol(service.protocol),
            address: service.address,
            totals,
            rates: look.reals(&reals),
            servers: reals.len() as u64,
            reals: if with_reals { service.reals.iter().zip(&reals).map(real).collect() } else { Vec::new() },
        }
    };
    let port = |(at, (port, s)): (usize, (&crate::config::Port, &dpdk::port::PortStats))| PortStats {
        name: port.name.clone(),
        rx_frames: s.ipackets,
        rx_bytes: s.ibytes,
        rx_missed: s.imissed,
        rx_errors: s.ierrors,
        rx_no_mbuf: s.rx_nombuf,
        tx_frames: s.opackets,
        tx_bytes: s.obytes,
        tx_errors: s.oerrors,
        rates: look.port(at),
    };
    let lcore = |(at, (place, s)): (usize, (&crate::master::observe::Place, &gatun_engine::stats::LcoreStats))| {
        let (connections, ports_in_use) = (s.conns_now.value(), s.ports_now.value());
        LcoreStats { id: place.lcore, connections, ports_in_use, rates: look.lcore(at) }
    };
    let in_state = |state: &ConnState| counts.iter().map(|c| c.state(*state).value()).sum::<u64>();
    let reason = |label: &str, help: &str, counted| Reason { reason: label.to_owned(), help: help.to_owned(), counted };
    let stats = Stats {
        at: clock::now(),
        services: match only {
            Some(one) => vec![service((one, ids.of(one)))],
            None => ids.services().map(service).collect(),
        },
        ports: ids.model.ports.iter().zip(&ports).enumerate().map(port).collect(),
        lcores: places.iter().zip(counts.iter().map(|c| &**c)).enumerate().map(lcore).collect(),
        states: ConnState::ALL[1..].iter().map(|state| (state.name().to_owned(), in_state(state))).collect(),
        laddrs: fullest(laddrs),
        drops: DropReason::ALL.iter().map(|r| reason(r.label(), r.help(), look.drop(*r))).collect(),
        punts: PuntReason::ALL.iter().map(|r| reason(r.label(), r.help(), look.punt(*r))).collect(),
    };
    Ok((ids.generation, stats))
}

/// The local addresses, the fullest first.
fn fullest(laddrs: Vec<(IpAddr, LipUse)>) -> Vec<LaddrStats> {
    let stats = |(address, used): (IpAddr, LipUse)| LaddrStats {
        address,
        ports_in_use: used.taken.into(),
        fullest_class: f64::from(used.fullest) / f64::from(CLASS_PORTS),
    };
    let mut all: Vec<LaddrStats> = laddrs.into_iter().map(stats).collect();
    all.sort_by(|a, b| b.fullest_class.total_cmp(&a.fullest_class).then(a.address.cmp(&b.address)));
    all.truncate(LADDRS_MAX);
    all
}

/// Counts what services have served from zero again. Nothing else is touched.
#[utoipa::path(context_path = BASE, tag = "stats",
    params(("service" = Option<String>, Query, description = "the id of one service; without it all of them")),
    responses((status = 200, body = Done),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[post("/stats/zero")]
async fn zero(who: Writer, app: &State<App>, query: Query) -> Answer {
    let query = query.only(&["service"])?;
    let meter = app.meter().await?;
    let ids = meter.ids().await?;
    let wanted = query.text("service");
    let mut found = false;
    for (service, reals) in ids.services().filter(|(s, _)| wanted.is_none_or(|id| view::id(s) == id)) {
        found = true;
        who.note(&format!("the counters of service {} are zero again", service.id()));
        meter.zero(&reals);
    }
    match wanted.filter(|_| !found) {
        Some(id) => Err(Fail::not_found("service", id).at(ids.generation)),
        None => Reply::json(ids.generation, &Done { generation: ids.generation, running: true }),
    }
}
