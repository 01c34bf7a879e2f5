//! What becomes of packets: the frames that were thrown away, the way that a tuple would take, the limit that binds next.

use super::{Answer, App, BASE, Query, item, page};
use crate::api::answer::{Body, Fail, Reader};
use crate::api::types::{Capacity, Drop, DroppedFrame, Item, Page, Problem, Trace, TraceSpec};
use crate::config::compile;
use crate::control::clock;
use gatun_engine::lcore::dropped::Dropped;
use gatun_engine::time::HZ;
use gatun_engine::verdict::DropReason;
use gatun_engine::wire::ends::Ends;
use rocket::{State, get, post, routes};
use std::time::Duration;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(paths(drops, trace, capacity))]
pub(super) struct Document;

pub(super) fn routes() -> Vec<rocket::Route> {
    routes![drops, trace, capacity]
}

/// Every reason for which frames were thrown away, with the last of them. Of each reason one frame in 1/64 s is kept.
#[utoipa::path(context_path = BASE, tag = "stats",
    params(("reason" = Option<String>, Query, description = "one reason"),
        ("limit" = Option<usize>, Query, description = "items of a page", minimum = 1, maximum = 1000),
        ("after" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = Page<Drop>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/drops")]
async fn drops(_who: Reader, app: &State<App>, query: Query) -> Answer {
    let query = query.only(&["reason", "limit", "after"])?;
    let wanted = match query.text("reason") {
        None => None,
        Some(label) => Some(DropReason::from_label(label).ok_or_else(|| Fail::not_found("drop reason", label))?),
    };
    let (counts, logs) = (app.handle.counts().await?, app.handle.dropped().await?);
    let (generation, now, places, ports) =
        app.handle.ask(|m| (m.generation(), m.now(), m.workers(), m.links())).await?;
    let mut items = Vec::new();
    for reason in DropReason::ALL.iter().copied().filter(|r| wanted.is_none_or(|wanted| wanted == *r)) {
        let mut last: Vec<(u32, DroppedFrame)> = Vec::new();
        for (log, place) in logs.iter().zip(&places) {
            for frame in log.iter().flat_map(|log| log.of(reason)) {
                let ago = now.since(frame.at).0;
                let port = ports.get(frame.port.index()).map(|(name, _)| name.clone()).unwrap_or_default();
                last.push((ago, shown(frame, ago, port, place.lcore)));
            }
        }
        last.sort_by_key(|(ago, _)| *ago);
        items.push(Drop {
            reason: reason.label().to_owned(),
            help: reason.help().to_owned(),
            count: counts.iter().map(|c| c.drops[reason as usize].value()).sum(),
            last: last.into_iter().take(16).map(|(_, frame)| frame).collect(),
        });
    }
    page(generation, items, &query, |d| d.reason.clone())
}

fn shown(frame: &Dropped, ago: u32, port: String, lcore: u32) -> DroppedFrame {
    let ends = Ends::of(frame.head());
    let ports = ends.and_then(|ends| ends.ports).unwrap_or_default();
    DroppedFrame {
        at: clock::before(Duration::from_millis(u64::from(ago) * 1_000 / u64::from(HZ))),
        port,
        lcore,
        len: frame.len,
        protocol: ends.map(|ends| ends.proto),
        src: ends.map(|ends| compile::socket(ends.src, ports.0)),
        dst: ends.map(|ends| compile::socket(ends.dst, ports.1)),
    }
}

/// What the gateway would do with the first packet of a client, and why. Nothing is opened, and no scheduler moves on.
#[utoipa::path(context_path = BASE, tag = "stats", request_body = TraceSpec,
    responses((status = 200, body = Item<Trace>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[post("/trace", data = "<body>")]
async fn trace(_who: Reader, app: &State<App>, body: Body<TraceSpec>) -> Answer {
    let spec = body.0;
    if spec.client.is_ipv4() != spec.vip.is_ipv4() {
        let remedy = "give client and VIP of the same family";
        let fail = Fail::new(422, "invalid", "Two families", "a packet has addresses of one family", remedy);
        return Err(fail.field("client", Some(&spec.client.to_string())));
    }
    let (generation, trace) = app.handle.ask(move |m| (m.generation(), m.trace(&spec))).await?;
    item(generation, trace)
}

/// How near each limit is, the nearest first: the first is the one that binds next.
#[utoipa::path(context_path = BASE, tag = "stats",
    params(("limit" = Option<usize>, Query, description = "items of a page", minimum = 1, maximum = 1000),
        ("after" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = Page<Capacity>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/capacity")]
async fn capacity(_who: Reader, app: &State<App>, query: Query) -> Answer {
    let query = query.only(&["limit", "after"])?;
    let (generation, limits) = limits(app).await?;
    page(generation, limits, &query, |c| format!("{}/{}", c.limit, c.of.as_deref().unwrap_or_default()))
}

/// The generation, and the limits, the nearest first.
pub(super) async fn limits(app: &App) -> Result<(u64, Vec<Capacity>), Fail> {
    let look = app.meter().await?.look().await?;
    let (generation, mut limits, places) = app.handle.ask(|m| (m.generation(), m.capacity(), m.workers())).await?;
    for (at, place) in places.iter().enumerate() {
        let (busy, _) = look.load(at);
        limits.push(Capacity {
            limit: "worker".to_owned(),
            of: Some(format!("lcore {}", place.lcore)),
            used: (busy * 100.0).round() as u64,
            room: 100,
            share: busy,
            binds: format!("it finds frames in {:.0} % of its turns now", busy * 100.0),
            remedy: "give gatun more workers (lcores.workers), each with a CPU of its own".to_owned(),
        });
    }
    limits.sort_by(|a, b| b.share.total_cmp(&a.share));
    Ok((generation, limits))
}
