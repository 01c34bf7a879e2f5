//! What is asked of the running gateway: health, version, connections.

use super::{Answer, App, BASE, PAGE_MAX, Query, item, state};
use crate::api::answer::{Fail, Reader, Reply, Writer};
use crate::api::types::{
    Connection, Count, Health, HealthCheck, Item, Killed, NeighborState, Page, Problem, Protocol, Version,
};
use crate::config::compile;
use crate::master::asks::Listed;
use gatun_engine::addr::Proto;
use gatun_engine::conn::record::{Cursor, Record};
use rocket::http::Status;
use rocket::{State, delete, get, routes};
use std::net::{IpAddr, SocketAddr};
use utoipa::OpenApi;

/// Pages of a worker that one request looks through before it answers with what it has.
const LOOKS: usize = 16;
/// Connections of a message of a worker.
const MESSAGE: usize = 4_096;

#[derive(OpenApi)]
#[openapi(paths(version, health, status, connections, count, kill))]
pub(super) struct Document;

pub(super) fn routes() -> Vec<rocket::Route> {
    routes![version, health, status, connections, count, kill]
}

/// The program.
#[utoipa::path(context_path = BASE, tag = "gateway",
    responses((status = 200, body = Item<Version>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/version")]
async fn version(_who: Reader, app: &State<App>) -> Answer {
    let version = Version {
        version: env!("GATUN_VERSION").to_owned(),
        api: "v1".to_owned(),
        dpdk: dpdk::version(),
        started: app.started.clone(),
    };
    item(state(app).generation, version)
}

/// Whether the gateway can do its work; 503 while it can not.
#[utoipa::path(context_path = BASE, tag = "gateway",
    responses((status = 200, body = Item<Health>), (status = 503, body = Item<Health>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/health")]
async fn health(_who: Reader, app: &State<App>) -> Answer {
    let (generation, health) = examined(app).await?;
    let working = health.ready && health.checks.iter().filter(|c| c.name == "workers").all(|c| c.ok);
    let reply = item(generation, health)?;
    Ok(if working { reply } else { reply.status(Status::ServiceUnavailable) })
}

/// The generation, and what was found.
pub(super) async fn examined(app: &App) -> Result<(u64, Health), Fail> {
    let kept = state(app);
    let (ready, workers, hops) = app.handle.ask(|m| (m.is_ready(), m.workers(), m.neighbors())).await?;
    let links = app.handle.ask(|m| m.links()).await?;
    let (generation, running) = (kept.generation, app.handle.running());
    let check = |name: &str, bad: Vec<String>, good: &str| HealthCheck {
        name: name.to_owned(),
        ok: bad.is_empty(),
        detail: if bad.is_empty() { good.to_owned() } else { bad.join("; ") },
    };
    let stalled =
        |w: &crate::master::observe::Place| w.stalled.as_ref().map(|at| format!("lcore {} is stalled {at}", w.lcore));
    let silent = hops.iter().filter(|n| n.state == NeighborState::Failed);
    let down = links.iter().filter(|(_, up)| !up).map(|(name, _)| format!("{name} is down"));
    let journal: Vec<String> = kept.journal.iter().cloned().collect();
    let behind = (running < generation).then(|| format!("a worker runs generation {running}, not {generation}"));
    let checks = vec![
        check("workers", workers.iter().filter_map(stalled).collect(), "every worker makes progress"),
        check("configuration", behind.into_iter().collect(), "every worker runs the newest generation"),
        check("ports", down.collect(), "every link is up"),
        check(
            "next_hops",
            silent.map(|n| format!("{} does not answer", n.address)).collect(),
            "every next hop answers",
        ),
        check("journal", journal, "changes are kept"),
    ];
    let ok = ready && checks.iter().all(|c| c.ok);
    Ok((generation, Health { ok, ready, generation_running: running, checks }))
}

/// What `gatun status` shows.
#[utoipa::path(context_path = BASE, tag = "gateway",
    params(("connections" = Option<bool>, Query, description = "the connections too")),
    responses((status = 200, body = serde_json::Value),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/status")]
async fn status(_who: Reader, app: &State<App>, query: Query) -> Answer {
    let with_connections = query.only(&["connections"])?.flag("connections")?;
    let counts = app.handle.counts().await?;
    let mut status = app.handle.ask(move |m| m.status(&counts.iter().map(|c| &**c).collect::<Vec<_>>())).await?;
    if with_connections {
        let records = app.handle.list_all().await?;
        status.connections = Some(records.iter().map(crate::master::status::connection).collect());
    }
    Reply::json(status.generation, &status)
}

/// What a listed connection has to be.
struct Wanted {
    protocol: Option<Protocol>,
    /// client, vip, local, real
    sides: [Option<(IpAddr, Option<u16>)>; 4],
    state: Option<String>,
    lcore: Option<u32>,
}

const FIELDS: [&str; 7] = ["protocol", "client", "vip", "local", "real", "state", "lcore"];

impl Wanted {
    fn read(query: &Query) -> Result<Wanted, Fail> {
        let side = |name: &str| {
            let read = |text: &str| {
                let both = text.parse::<SocketAddr>().map(|s| (s.ip(), Some(s.port())));
                let remedy = "write an address, or address and port, as in 198.18.1.1:40000 or [2001:db8::1]:80";
                both.or_else(|_| text.parse().map(|ip| (ip, None))).map_err(|_| Fail::query(name, text, remedy))
            };
            query.text(name).map(read).transpose()
        };
        let protocol = match query.text("protocol") {
            None => None,
            Some("tcp") => Some(Protocol::Tcp),
            Some("udp") => Some(Protocol::Udp),
            Some(other) => return Err(Fail::query("protocol", other, "write tcp or udp")),
        };
        Ok(Wanted {
            protocol,
            sides: [side("client")?, side("vip")?, side("local")?, side("real")?],
            state: query.text("state").map(str::to_uppercase),
            lcore: query.parsed("lcore", "give the number of a worker's EAL lcore")?,
        })
    }

    fn everything(&self) -> bool {
        let Wanted { protocol, sides: _, state, lcore } = self;
        protocol.is_none() && state.is_none() && lcore.is_none() && self.sides.iter().all(Option::is_none)
    }

    fn matches(&self, c: &Connection) -> bool {
        let sides = [c.client, c.vip, c.local, c.real];
        self.protocol.is_none_or(|p| p == c.protocol)
            && self.state.as_ref().is_none_or(|s| *s == c.state)
            && self.lcore.is_none_or(|lcore| lcore == c.lcore)
            && self.sides.iter().zip(sides).all(|(wanted, is)| {
                wanted.is_none_or(|(ip, port)| ip == is.ip() && port.is_none_or(|port| port == is.port()))
            })
    }
}

fn connection(r: &Record, lcore: u32) -> Connection {
    Connection {
        protocol: match r.client.proto() {
            Proto::Udp => Protocol::Udp,
            Proto::Tcp => Protocol::Tcp,
        },
        client: compile::socket(r.client.src(), r.client.sport()),
        vip: compile::socket(r.client.dst(), r.client.dport()),
        local: compile::socket(r.reply.dst(), r.reply.dport()),
        real: compile::socket(r.reply.src(), r.reply.sport()),
        state: r.state.name().to_owned(),
        expires: r.remaining.as_secs(),
        lcore,
    }
}

/// `worker.seat`: where a listing goes on.
fn read_cursor(text: &str) -> Result<(usize, Cursor), Fail> {
    let read = text.split_once('.').and_then(|(w, c)| Some((w.parse().ok()?, Cursor(c.parse().ok()?))));
    read.ok_or_else(|| Fail::query("after", text, "give `next` of the page before, or begin again without `after`"))
}

/// Connections. A page may have fewer than `limit` items, or none, and still a `next`: no request looks through all of very
/// many connections at once.
#[utoipa::path(context_path = BASE, tag = "connections",
    params(("protocol" = Option<Protocol>, Query, description = "tcp or udp"),
        ("client" = Option<String>, Query, description = "cip or cip:cport"),
        ("vip" = Option<String>, Query, description = "vip or vip:vport"),
        ("local" = Option<String>, Query, description = "lip or lip:lport"),
        ("real" = Option<String>, Query, description = "rip or rip:rport"),
        ("state" = Option<String>, Query, description = "as ipvsadm names it"),
        ("lcore" = Option<u32>, Query, description = "the EAL lcore of a worker"),
        ("limit" = Option<usize>, Query, description = "items of a page", minimum = 1, maximum = 1000),
        ("after" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = Page<Connection>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/connections")]
async fn connections(_who: Reader, app: &State<App>, query: Query) -> Answer {
    let query = query.only(&[&FIELDS[..], &["limit", "after"]].concat())?;
    let (wanted, limit) = (Wanted::read(&query)?, query.limit()?.min(PAGE_MAX));
    let (mut worker, mut from) = query.text("after").map_or(Ok((0, Cursor::default())), read_cursor)?;
    let (generation, places) = app.handle.ask(|m| (m.generation(), m.workers())).await?;
    let mut items: Vec<Connection> = Vec::new();
    let mut next = None;
    for _ in 0..LOOKS {
        // With a filter few of many may do; without one no more than are wanted are asked for.
        let room = limit - items.len();
        let most = if wanted.everything() { room } else { MESSAGE };
        let Some(mut page) = app.handle.list(worker, from, most).await? else { break };
        let lcore = places.get(worker).map_or(0, |p| p.lcore);
        let fits = |r: &Record| wanted.matches(&connection(r, lcore));
        // More than there is room for: again, and only so far that the cursor says exactly where to go on.
        if let Some((last, _)) = page.0.iter().enumerate().filter(|(_, r)| fits(r)).nth(room) {
            let Some(fewer) = app.handle.list(worker, from, last).await? else { break };
            page = fewer;
        }
        items.extend(page.0.iter().map(|r| connection(r, lcore)).filter(|c| wanted.matches(c)));
        (worker, from) = page.1.map_or((worker + 1, Cursor::default()), |cursor| (worker, cursor));
        next = (worker < places.len()).then(|| format!("{worker}.{}", from.0));
        if items.len() >= limit || next.is_none() {
            break;
        }
    }
    Reply::json(generation, &Page { generation, items, total: None, next })
}

/// How many connections there are, of all or of some.
#[utoipa::path(context_path = BASE, tag = "connections",
    params(("protocol" = Option<Protocol>, Query, description = "tcp or udp"),
        ("client" = Option<String>, Query, description = "cip or cip:cport"),
        ("vip" = Option<String>, Query, description = "vip or vip:vport"),
        ("local" = Option<String>, Query, description = "lip or lip:lport"),
        ("real" = Option<String>, Query, description = "rip or rip:rport"),
        ("state" = Option<String>, Query, description = "as ipvsadm names it"),
        ("lcore" = Option<u32>, Query, description = "the EAL lcore of a worker")),
    responses((status = 200, body = Item<Count>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/connections/count")]
async fn count(_who: Reader, app: &State<App>, query: Query) -> Answer {
    let query = query.only(&FIELDS)?;
    let wanted = Wanted::read(&query)?;
    let generation = state(app).generation;
    if wanted.everything() {
        let count = app.handle.counts().await?.iter().map(|c| c.conns_now.value()).sum();
        return item(generation, Count { count });
    }
    let places = app.handle.ask(|m| m.workers()).await?;
    let (mut worker, mut from, mut count) = (0, Cursor::default(), 0);
    while let Some((records, then)) = listed(app, worker, from).await? {
        let lcore = places.get(worker).map_or(0, |p| p.lcore);
        count += records.iter().filter(|r| wanted.matches(&connection(r, lcore))).count() as u64;
        (worker, from) = then.map_or((worker + 1, Cursor::default()), |cursor| (worker, cursor));
    }
    item(generation, Count { count })
}

/// Ends connections: the next packet of either side finds none. A filter has to say which.
#[utoipa::path(context_path = BASE, tag = "connections",
    params(("protocol" = Option<Protocol>, Query, description = "tcp or udp"),
        ("client" = Option<String>, Query, description = "cip or cip:cport"),
        ("vip" = Option<String>, Query, description = "vip or vip:vport"),
        ("local" = Option<String>, Query, description = "lip or lip:lport"),
        ("real" = Option<String>, Query, description = "rip or rip:rport"),
        ("state" = Option<String>, Query, description = "as ipvsadm names it"),
        ("lcore" = Option<u32>, Query, description = "the EAL lcore of a worker")),
    responses((status = 200, body = Item<Killed>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[delete("/connections")]
async fn kill(who: Writer, app: &State<App>, query: Query) -> Answer {
    let query = query.only(&FIELDS)?;
    let wanted = Wanted::read(&query)?;
    if wanted.everything() {
        let remedy = format!("say which, by one of {}", FIELDS.join(", "));
        return Err(Fail::new(400, "bad-request", "Bad request", "this would end every connection", remedy));
    }
    let places = app.handle.ask(|m| m.workers()).await?;
    let (mut worker, mut from, mut killed) = (0, Cursor::default(), 0);
    while let Some((records, then)) = listed(app, worker, from).await? {
        let lcore = places.get(worker).map_or(0, |p| p.lcore);
        let meant = records.iter().filter(|r| wanted.matches(&connection(r, lcore)));
        let clients: Vec<_> = meant.map(|r| r.client).collect();
        killed += app.handle.end(worker, &clients).await? as u64;
        (worker, from) = then.map_or((worker + 1, Cursor::default()), |cursor| (worker, cursor));
    }
    who.note(&format!("{killed} connection(s) ended"));
    item(state(app).generation, Killed { killed })
}

async fn listed(app: &App, worker: usize, from: Cursor) -> Result<Option<Listed>, Fail> {
    Ok(app.handle.list(worker, from, MESSAGE).await?)
}
