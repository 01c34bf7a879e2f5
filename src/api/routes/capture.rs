//! Captures: frames as they come, for tcpdump.
//!
//! A capture shows what people send to each other, so it takes the role write; who made one is in the log.

use super::{Answer, App, BASE, Query, item, page, state};
use crate::api::answer::{Body, Fail, Reader, Writer};
use crate::api::capture::{Plan, Recording};
use crate::api::stream::Stream;
use crate::api::types::{Capture, CaptureFormat, CaptureSpec, Item, Page, Problem};
use rocket::http::ContentType;
use rocket::{State, delete, get, post, routes};
use tokio::sync::mpsc;
use utoipa::{OpenApi, ToSchema};

/// Pieces that wait for the client.
const WAITING: usize = 8;

#[derive(OpenApi)]
#[openapi(paths(captures, begin, capture, stop))]
pub(super) struct Document;

pub(super) fn routes() -> Vec<rocket::Route> {
    routes![captures, begin, capture, stop]
}

/// A capture file.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "it is only described")]
struct CaptureFile(Vec<u8>);

/// The captures that run, and the last that ended, the newest first.
#[utoipa::path(context_path = BASE, tag = "captures",
    params(("limit" = Option<usize>, Query, description = "items of a page", minimum = 1, maximum = 1000),
        ("after" = Option<u64>, Query, description = "`next` of the page before")),
    responses((status = 200, body = Page<Capture>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/captures")]
async fn captures(_who: Reader, app: &State<App>, query: Query) -> Answer {
    let query = query.only(&["limit", "after"])?;
    let items = app.captures.all().iter().map(|record| record.shown()).collect();
    page(state(app).generation, items, &query, |capture: &Capture| capture.id.to_string())
}

/// Captures frames. The answer is a capture file that goes on while they come, and ends after so many frames or seconds; who
/// closes the connection ends it at once. `Location` says where to see what became of it. Two captures may run at once.
#[utoipa::path(context_path = BASE, tag = "captures", request_body = CaptureSpec,
    responses((status = 200, content((CaptureFile = "application/vnd.tcpdump.pcap"), (CaptureFile = "application/x-pcapng"))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "there are two already"),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[post("/captures", data = "<body>")]
async fn begin(who: Writer, app: &State<App>, body: Body<CaptureSpec>) -> Result<Stream, Fail> {
    let (generation, links, workers) = app.handle.ask(|m| (m.generation(), m.links(), m.workers())).await?;
    let ports: Vec<String> = links.into_iter().map(|(name, _)| name).collect();
    let workers: Vec<u32> = workers.iter().map(|worker| worker.lcore).collect();
    let plan = Plan::of(&body.0, &ports)?;
    let seat = app.captures.seat()?;
    let what = serde_json::to_string(&body.0).unwrap_or_default();
    let record = app.captures.note(&who.name, generation, body.0);
    who.note(&format!("capture {} begins: {what}", record.id));
    let location = format!("{BASE}/captures/{}", record.id);
    let (recording, captures) = Recording::new(record, seat, &plan, &ports, &workers)?;
    if app.handle.capture(captures).await? == 0 {
        let remedy = "look at /api/v1/health, and ask again";
        return Err(Fail::new(503, "unavailable", "Unavailable", "no worker answered", remedy));
    }
    let (to, from) = mpsc::channel(WAITING);
    tokio::spawn(recording.run(to));
    let kind = match plan.format {
        CaptureFormat::Pcap => ContentType::new("application", "vnd.tcpdump.pcap"),
        CaptureFormat::Pcapng => ContentType::new("application", "x-pcapng"),
    };
    Ok(Stream { kind, generation, location, from })
}

/// A capture that runs, or that ended not long ago.
#[utoipa::path(context_path = BASE, tag = "captures", params(("id" = u64, Path, description = "its number")),
    responses((status = 200, body = Item<Capture>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/captures/<id>")]
async fn capture(_who: Reader, app: &State<App>, id: &str) -> Answer {
    item(state(app).generation, found(app, id)?.shown())
}

/// Ends a capture. What was captured until now still goes to its client.
#[utoipa::path(context_path = BASE, tag = "captures", params(("id" = u64, Path, description = "its number")),
    responses((status = 200, body = Item<Capture>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[delete("/captures/<id>")]
async fn stop(who: Writer, app: &State<App>, id: &str) -> Answer {
    let record = found(app, id)?;
    record.stop();
    who.note(&format!("capture {} is to end", record.id));
    item(state(app).generation, record.shown())
}

fn found(app: &App, id: &str) -> Result<std::sync::Arc<crate::api::capture::Record>, Fail> {
    let number = id.parse().ok();
    number.and_then(|id| app.captures.find(id)).ok_or_else(|| Fail::not_found("capture", id))
}
