//! Counters and rates.

use super::{Answer, App, BASE, Query, item};
use crate::api::answer::{Fail, Reader, Reply, Writer};
use crate::api::types::{Done, Item, LcoreStats, PortStats, Problem, RealStats, Reason, ServiceStats, Stats, Totals};
use crate::api::view;
use crate::control::clock;
use crate::control::document::real_id;
use gatun_engine::addr::RealId;
use gatun_engine::verdict::{DropReason, PuntReason};
use rocket::{State, get, post, routes};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(paths(stats, zero))]
pub(super) struct Document;

pub(super) fn routes() -> Vec<rocket::Route> {
    routes![stats, zero]
}

/// Everything that is counted, with rates over 1, 10 and 60 seconds.
#[utoipa::path(context_path = BASE, tag = "stats",
    responses((status = 200, body = Item<Stats>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/stats")]
async fn stats(_who: Reader, app: &State<App>) -> Answer {
    let (generation, stats) = counted(app).await?;
    item(generation, stats)
}

/// The generation, and everything that is counted.
pub(super) async fn counted(app: &App) -> Result<(u64, Stats), Fail> {
    let meter = app.meter().await?;
    let (ids, look) = (meter.ids().await?, meter.look().await?);
    let (ports, places) = app.handle.ask(|m| (m.port_counters(), m.workers())).await?;
    let counts = app.handle.counts().await?;
    let service = |(service, reals): (&crate::config::Service, Vec<RealId>)| {
        let real = |(real, id): (&crate::config::Real, &RealId)| RealStats {
            id: real_id(real.address),
            address: real.address,
            weight: real.weight,
            totals: meter.totals(*id),
            rates: look.real(*id),
        };
        let listed: Vec<RealStats> = service.reals.iter().zip(&reals).map(real).collect();
        let mut totals = Totals::default();
        listed.iter().for_each(|real| view::add(&mut totals, &real.totals));
        ServiceStats {
            id: view::id(service),
            name: service.name.clone(),
            protocol: view::protocol(service.protocol),
            address: service.address,
            totals,
            rates: look.reals(&reals),
            reals: listed,
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
    let reason = |label: &str, help: &str, counted| Reason { reason: label.to_owned(), help: help.to_owned(), counted };
    let stats = Stats {
        at: clock::now(),
        services: ids.services().map(service).collect(),
        ports: ids.model.ports.iter().zip(&ports).enumerate().map(port).collect(),
        lcores: places.iter().zip(counts.iter().map(|c| &**c)).enumerate().map(lcore).collect(),
        drops: DropReason::ALL.iter().map(|r| reason(r.label(), r.help(), look.drop(*r))).collect(),
        punts: PuntReason::ALL.iter().map(|r| reason(r.label(), r.help(), look.punt(*r))).collect(),
    };
    Ok((ids.generation, stats))
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
