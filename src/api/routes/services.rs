//! Services, and their real servers.

use super::{Answer, App, BASE, Query, change, item, page, state};
use crate::api::answer::{Body, Fail, Reader, Reply, Writer};
use crate::api::meter::Ids;
use crate::api::types::{
    Done, Drain, DrainSpec, Edit, Item, Page, Problem, Protocol, Real, RealPatch, RealSpec, Scheduler, Service,
    ServicePatch, ServiceSpec,
};
use crate::api::view;
use crate::config;
use crate::control::Ask;
use crate::control::document::{real_id, service_id};
use rocket::{State, delete, get, patch, post, put, routes};
use std::net::{IpAddr, SocketAddr};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(paths(
    services,
    add_service,
    service,
    put_service,
    patch_service,
    delete_service,
    reals,
    add_real,
    real,
    put_real,
    patch_real,
    delete_real,
    drain,
    begin_drain,
    end_drain
))]
pub(super) struct Document;

pub(super) fn routes() -> Vec<rocket::Route> {
    routes![
        services,
        add_service,
        service,
        put_service,
        patch_service,
        delete_service,
        reals,
        add_real,
        real,
        put_real,
        patch_real,
        delete_real,
        drain,
        begin_drain,
        end_drain
    ]
}

/// The services.
#[utoipa::path(context_path = BASE, tag = "services",
    params(("protocol" = Option<Protocol>, Query, description = "tcp or udp"),
        ("address" = Option<String>, Query, description = "VIP, or VIP and port"),
        ("name" = Option<String>, Query, description = "a part of the name"),
        ("scheduler" = Option<Scheduler>, Query, description = "rr, wrr, wlc"),
        ("laddr_pool" = Option<String>, Query, description = "the name of a pool"),
        ("real" = Option<String>, Query, description = "a real server's address, or address and port"),
        ("limit" = Option<usize>, Query, description = "items of a page", minimum = 1, maximum = 1000),
        ("after" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = Page<Service>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/services")]
async fn services(_who: Reader, app: &State<App>, query: Query) -> Answer {
    let known = ["protocol", "address", "name", "scheduler", "laddr_pool", "real", "limit", "after"];
    let query = query.only(&known)?;
    let (meter, wanted) = (app.meter().await?, wanted(&query)?);
    let (ids, drains) = (meter.ids().await?, state(app).last().map(|e| e.drains.clone()).unwrap_or_default());
    let found: Vec<&config::Service> =
        ids.model.services.iter().map(|s| &**s).filter(|s| wanted.matches(&ids, s)).collect();
    // Only those of the page are counted.
    let (limit, total) = (query.limit()?, found.len() as u64);
    let from = match query.text("after") {
        None => 0,
        Some(after) => match ids.find(after).and_then(|last| found.iter().position(|s| s.id() == last.id())) {
            Some(at) => at + 1,
            None => return Err(Fail::query("after", after, "it is gone: begin again without `after`")),
        },
    };
    let some = found.iter().skip(from).take(limit);
    let next = some.clone().next_back().filter(|_| found.len() > from + limit).map(|s| view::id(s));
    let items: Vec<Service> = some.map(|s| view::service(&ids, s, meter, &drains)).collect();
    let generation = ids.generation;
    Reply::json(generation, &Page { generation, items, total: Some(total), next })
}

/// What a list is to have.
struct Wanted {
    protocol: Option<Protocol>,
    address: Option<Endpoint>,
    name: Option<String>,
    scheduler: Option<String>,
    pool: Option<String>,
    real: Option<Endpoint>,
}

/// An address, perhaps with its port.
struct Endpoint(IpAddr, Option<u16>);

impl Endpoint {
    fn read(query: &Query, name: &str) -> Result<Option<Endpoint>, Fail> {
        let read = |text: &str| {
            let with_port = text.parse().map(|s: SocketAddr| Endpoint(s.ip(), Some(s.port())));
            let remedy = "write an address, or address and port, as in 198.18.1.100:80 or [2001:db8::1]:80";
            with_port
                .or_else(|_| text.parse().map(|ip| Endpoint(ip, None)))
                .map_err(|_| Fail::query(name, text, remedy))
        };
        query.text(name).map(read).transpose()
    }

    fn is(&self, address: SocketAddr) -> bool {
        self.0 == address.ip() && self.1.is_none_or(|port| port == address.port())
    }
}

fn wanted(query: &Query) -> Result<Wanted, Fail> {
    let word = |name, remedy| match query.text(name).map(|t| (t, serde_json::from_value(t.into()))) {
        None => Ok(None),
        Some((_, Ok(value))) => Ok(Some(value)),
        Some((text, Err(_))) => Err(Fail::query(name, text, remedy)),
    };
    if let Some(text) = query.text("scheduler") {
        let known: Result<Scheduler, _> = serde_json::from_value(text.into());
        known.map_err(|_| Fail::query("scheduler", text, "write rr, wrr or wlc"))?;
    }
    Ok(Wanted {
        protocol: word("protocol", "write tcp or udp")?,
        address: Endpoint::read(query, "address")?,
        name: query.text("name").map(str::to_owned),
        scheduler: query.text("scheduler").map(str::to_owned),
        pool: query.text("laddr_pool").map(str::to_owned),
        real: Endpoint::read(query, "real")?,
    })
}

impl Wanted {
    fn matches(&self, ids: &Ids, s: &config::Service) -> bool {
        let pool = || ids.model.laddr_pools.get(s.laddr_pool.0).map(|p| p.name.as_str());
        self.protocol.is_none_or(|p| p == view::protocol(s.protocol))
            && self.address.as_ref().is_none_or(|a| a.is(s.address))
            && self.name.as_ref().is_none_or(|name| s.name.contains(name))
            && self.scheduler.as_ref().is_none_or(|name| s.scheduler.to_string() == *name)
            && self.pool.as_ref().is_none_or(|name| pool() == Some(name))
            && self.real.as_ref().is_none_or(|r| s.reals.iter().any(|real| r.is(real.address)))
    }
}

/// One service as it runs now.
async fn found(app: &App, id: &str) -> Result<(u64, Service), Fail> {
    let (meter, drains) = (app.meter().await?, state(app).last().map(|e| e.drains.clone()).unwrap_or_default());
    let ids = meter.ids().await?;
    let service = ids.find(id).map(|s| view::service(&ids, s, meter, &drains));
    service.map(|s| (ids.generation, s)).ok_or_else(|| Fail::not_found("service", id).at(ids.generation))
}

async fn found_real(app: &App, id: &str, rid: &str) -> Result<(u64, Real), Fail> {
    let (generation, service) = found(app, id).await?;
    let real = service.reals.into_iter().find(|r| r.id == rid);
    real.map(|r| (generation, r)).ok_or_else(|| Fail::not_found("real server", rid).at(generation))
}

/// Makes one change of a service, and shows the service.
async fn write(app: &App, who: Writer, id: &str, edit: Edit) -> Answer {
    let (outcome, running) = change(app, who, false, Ask::Edit(vec![edit])).await?;
    let created = outcome.results.first().is_some_and(|r| r.created);
    let location = created.then(|| format!("{BASE}/services/{id}"));
    let (_, service) = found(app, id).await?;
    Ok(item(outcome.generation, service)?.written(location, running))
}

async fn write_real(app: &App, who: Writer, id: &str, rid: &str, edit: Edit) -> Answer {
    let (outcome, running) = change(app, who, false, Ask::Edit(vec![edit])).await?;
    let created = outcome.results.first().is_some_and(|r| r.created);
    let location = created.then(|| format!("{BASE}/services/{id}/reals/{rid}"));
    let (_, real) = found_real(app, id, rid).await?;
    Ok(item(outcome.generation, real)?.written(location, running))
}

/// A body and a path that mean different things.
fn same(field: &str, given: &str, path: &str) -> Result<(), Fail> {
    if given == path {
        return Ok(());
    }
    let detail = format!("the body is about {given:?}, and the path about {path:?}");
    let remedy = "these can not change: delete the one and make the other, in one transaction";
    Err(Fail::new(422, "invalid", "Not what the path says", detail, remedy).field(field, Some(given)))
}

/// Makes a service that is not there yet.
#[utoipa::path(context_path = BASE, tag = "services", request_body = ServiceSpec,
    responses((status = 201, body = Item<Service>), (status = 202, body = Item<Service>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[post("/services", data = "<body>")]
async fn add_service(who: Writer, app: &State<App>, body: Body<ServiceSpec>) -> Answer {
    let id = service_id(body.0.protocol, body.0.address);
    write(app, who, &id, Edit::AddService { service: body.0 }).await
}

/// A service.
#[utoipa::path(context_path = BASE, tag = "services",
    responses((status = 200, body = Item<Service>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/services/<id>")]
async fn service(_who: Reader, app: &State<App>, id: &str) -> Answer {
    let (generation, service) = found(app, id).await?;
    item(generation, service)
}

/// Makes a service, or replaces it with all its real servers. Connections to servers that stay go on.
#[utoipa::path(context_path = BASE, tag = "services", request_body = ServiceSpec,
    responses((status = 200, body = Item<Service>), (status = 201, body = Item<Service>), (status = 202, body = Item<Service>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[put("/services/<id>", data = "<body>")]
async fn put_service(who: Writer, app: &State<App>, id: &str, body: Body<ServiceSpec>) -> Answer {
    same("address", &service_id(body.0.protocol, body.0.address), id)?;
    write(app, who, id, Edit::PutService { service: body.0 }).await
}

/// Changes some settings of a service.
#[utoipa::path(context_path = BASE, tag = "services", request_body = ServicePatch,
    responses((status = 200, body = Item<Service>), (status = 202, body = Item<Service>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[patch("/services/<id>", data = "<body>")]
async fn patch_service(who: Writer, app: &State<App>, id: &str, body: Body<ServicePatch>) -> Answer {
    write(app, who, id, Edit::PatchService { id: id.to_owned(), patch: body.0 }).await
}

/// Takes a service out, with its real servers.
#[utoipa::path(context_path = BASE, tag = "services",
    responses((status = 200, body = Done), (status = 202, body = Done),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[delete("/services/<id>")]
async fn delete_service(who: Writer, app: &State<App>, id: &str) -> Answer {
    gone(app, who, Edit::DeleteService { id: id.to_owned() }).await
}

/// Takes something out.
pub(super) async fn gone(app: &App, who: Writer, edit: Edit) -> Answer {
    let (outcome, running) = change(app, who, false, Ask::Edit(vec![edit])).await?;
    let generation = outcome.generation;
    Ok(Reply::json(generation, &Done { generation, running })?.written(None, running))
}

/// The real servers of a service.
#[utoipa::path(context_path = BASE, tag = "services",
    params(("limit" = Option<usize>, Query, description = "items of a page", minimum = 1, maximum = 1000),
        ("after" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = Page<Real>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/services/<id>/reals")]
async fn reals(_who: Reader, app: &State<App>, id: &str, query: Query) -> Answer {
    let query = query.only(&["limit", "after"])?;
    let (generation, service) = found(app, id).await?;
    page(generation, service.reals, &query, |r| r.id.clone())
}

/// Adds a real server that is not there yet.
#[utoipa::path(context_path = BASE, tag = "services", request_body = RealSpec,
    responses((status = 201, body = Item<Real>), (status = 202, body = Item<Real>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[post("/services/<id>/reals", data = "<body>")]
async fn add_real(who: Writer, app: &State<App>, id: &str, body: Body<RealSpec>) -> Answer {
    let (service, real) = (id.to_owned(), body.0);
    write_real(app, who, id, &real_id(real.address), Edit::AddReal { service, real }).await
}

/// A real server.
#[utoipa::path(context_path = BASE, tag = "services",
    responses((status = 200, body = Item<Real>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/services/<id>/reals/<rid>")]
async fn real(_who: Reader, app: &State<App>, id: &str, rid: &str) -> Answer {
    let (generation, real) = found_real(app, id, rid).await?;
    item(generation, real)
}

/// Adds a real server, or replaces it. A weight other than 0 ends its drain.
#[utoipa::path(context_path = BASE, tag = "services", request_body = RealSpec,
    responses((status = 200, body = Item<Real>), (status = 201, body = Item<Real>), (status = 202, body = Item<Real>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[put("/services/<id>/reals/<rid>", data = "<body>")]
async fn put_real(who: Writer, app: &State<App>, id: &str, rid: &str, body: Body<RealSpec>) -> Answer {
    same("address", &real_id(body.0.address), rid)?;
    write_real(app, who, id, rid, Edit::PutReal { service: id.to_owned(), real: body.0 }).await
}

/// Gives a real server another weight. One other than 0 ends its drain.
#[utoipa::path(context_path = BASE, tag = "services", request_body = RealPatch,
    responses((status = 200, body = Item<Real>), (status = 202, body = Item<Real>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[patch("/services/<id>/reals/<rid>", data = "<body>")]
async fn patch_real(who: Writer, app: &State<App>, id: &str, rid: &str, body: Body<RealPatch>) -> Answer {
    let edit = Edit::PatchReal { service: id.to_owned(), id: rid.to_owned(), patch: body.0 };
    write_real(app, who, id, rid, edit).await
}

/// Takes a real server out at once. What becomes of its connections is the service's `on_server_removed`.
#[utoipa::path(context_path = BASE, tag = "services",
    responses((status = 200, body = Done), (status = 202, body = Done),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[delete("/services/<id>/reals/<rid>")]
async fn delete_real(who: Writer, app: &State<App>, id: &str, rid: &str) -> Answer {
    gone(app, who, Edit::DeleteReal { service: id.to_owned(), id: rid.to_owned() }).await
}

/// How far the drain of a real server is.
#[utoipa::path(context_path = BASE, tag = "services",
    responses((status = 200, body = Item<Drain>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/services/<id>/reals/<rid>/drain")]
async fn drain(_who: Reader, app: &State<App>, id: &str, rid: &str) -> Answer {
    let (generation, real) = found_real(app, id, rid).await?;
    let drain = real.drain.ok_or_else(|| Fail::not_found("drain of", rid).at(generation))?;
    item(generation, drain)
}

/// Gives a real server no new connections, and takes it out when it has none left.
#[utoipa::path(context_path = BASE, tag = "services", request_body = DrainSpec,
    responses((status = 200, body = Item<Drain>), (status = 202, body = Item<Drain>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[post("/services/<id>/reals/<rid>/drain", data = "<body>")]
async fn begin_drain(who: Writer, app: &State<App>, id: &str, rid: &str, body: Body<DrainSpec>) -> Answer {
    let ask = Ask::Drain { service: id.to_owned(), real: rid.to_owned(), spec: body.0 };
    let (outcome, running) = change(app, who, false, ask).await?;
    let (_, real) = found_real(app, id, rid).await?;
    let drain = real.drain.ok_or_else(|| Fail::not_found("drain of", rid).at(outcome.generation))?;
    Ok(item(outcome.generation, drain)?.written(None, running))
}

/// Calls the drain off: the server has its weight again.
#[utoipa::path(context_path = BASE, tag = "services",
    responses((status = 200, body = Item<Real>), (status = 202, body = Item<Real>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[delete("/services/<id>/reals/<rid>/drain")]
async fn end_drain(who: Writer, app: &State<App>, id: &str, rid: &str) -> Answer {
    let ask = Ask::Undrain { service: id.to_owned(), real: rid.to_owned() };
    let (outcome, running) = change(app, who, false, ask).await?;
    let (_, real) = found_real(app, id, rid).await?;
    Ok(item(outcome.generation, real)?.written(None, running))
}
