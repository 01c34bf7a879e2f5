//! Pools of local addresses, routes, neighbours, ports and lcores.

use super::services::gone;
use super::{Answer, App, BASE, Query, change, item, page, state};
use crate::api::answer::{Body, Fail, Reader, Writer};
use crate::api::types::{
    Done, Edit, Item, LaddrPool, LaddrPoolSpec, Lcore, Neighbor, NeighborSpec, Page, Port, Problem, Route, RouteSpec,
};
use crate::api::view;
use crate::control::document::route_id;
use crate::control::{Ask, State as Kept};
use gatun_engine::conn::state::State as ConnState;
use gatun_engine::verdict::{DropReason, PuntReason};
use rocket::{State, delete, get, post, put, routes};
use std::net::IpAddr;
use std::sync::Arc;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(paths(
    laddr_pools,
    add_laddr_pool,
    laddr_pool,
    put_laddr_pool,
    delete_laddr_pool,
    routes_,
    add_route,
    route,
    put_route,
    delete_route,
    neighbors,
    neighbor,
    put_neighbor,
    delete_neighbor,
    ports,
    port,
    lcores,
    lcore
))]
pub(super) struct Document;

pub(super) fn routes() -> Vec<rocket::Route> {
    routes![
        laddr_pools,
        add_laddr_pool,
        laddr_pool,
        put_laddr_pool,
        delete_laddr_pool,
        routes_,
        add_route,
        route,
        put_route,
        delete_route,
        neighbors,
        neighbor,
        put_neighbor,
        delete_neighbor,
        ports,
        port,
        lcores,
        lcore
    ]
}

/// The pools as they are written, and who takes from them.
fn pools(kept: &Kept) -> Vec<LaddrPool> {
    let Some(last) = kept.last() else { return Vec::new() };
    let pool = |spec: &LaddrPoolSpec| {
        let at = kept.model.laddr_pools.iter().position(|p| p.name == spec.name);
        let takes = |s: &&Arc<crate::config::Service>| Some(s.laddr_pool.0) == at;
        LaddrPool {
            name: spec.name.clone(),
            addresses: spec.addresses.clone(),
            size: at.and_then(|at| kept.model.laddr_pools.get(at)).map_or(0, |p| p.addresses.len() as u64),
            services: kept.model.services.iter().filter(takes).map(|s| view::id(s)).collect(),
        }
    };
    last.document.laddr_pools.iter().map(pool).collect()
}

fn static_routes(kept: &Kept) -> Vec<Route> {
    let route = |r: &crate::config::Route| {
        let to = r.to.to_string();
        Route { id: route_id(&to), to, via: r.via, interface: kept.model.interface_name(r.interface) }
    };
    kept.model.routes.iter().map(route).collect()
}

/// Makes one change, and shows what `find` finds afterwards.
async fn write<T: serde::Serialize>(
    app: &App,
    who: Writer,
    path: &str,
    edit: Edit,
    find: impl Fn(&Kept) -> Option<T>,
) -> Answer {
    let (outcome, running) = change(app, who, false, Ask::Edit(vec![edit])).await?;
    let made = outcome.results.first().filter(|r| r.created).map(|r| format!("{BASE}/{path}/{}", r.id));
    let thing = find(&state(app)).ok_or_else(|| Fail::not_found("thing in", path).at(outcome.generation))?;
    Ok(item(outcome.generation, thing)?.written(made, running))
}

/// The pools of local addresses.
#[utoipa::path(context_path = BASE, tag = "network",
    params(("limit" = Option<usize>, Query, description = "items of a page", minimum = 1, maximum = 1000),
        ("after" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = Page<LaddrPool>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/laddr-pools")]
async fn laddr_pools(_who: Reader, app: &State<App>, query: Query) -> Answer {
    let kept = state(app);
    page(kept.generation, pools(&kept), &query.only(&["limit", "after"])?, |p| p.name.clone())
}

/// Makes a pool that is not there yet.
#[utoipa::path(context_path = BASE, tag = "network", request_body = LaddrPoolSpec,
    responses((status = 201, body = Item<LaddrPool>), (status = 202, body = Item<LaddrPool>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[post("/laddr-pools", data = "<body>")]
async fn add_laddr_pool(who: Writer, app: &State<App>, body: Body<LaddrPoolSpec>) -> Answer {
    let name = body.0.name.clone();
    let find = move |kept: &Kept| pools(kept).into_iter().find(|p| p.name == name);
    write(app, who, "laddr-pools", Edit::AddLaddrPool { laddr_pool: body.0 }, find).await
}

/// A pool.
#[utoipa::path(context_path = BASE, tag = "network",
    responses((status = 200, body = Item<LaddrPool>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/laddr-pools/<name>")]
async fn laddr_pool(_who: Reader, app: &State<App>, name: &str) -> Answer {
    let kept = state(app);
    let pool = pools(&kept).into_iter().find(|p| p.name == name);
    item(kept.generation, pool.ok_or_else(|| Fail::not_found("pool", name).at(kept.generation))?)
}

/// Makes a pool, or gives it other addresses. Connections from addresses that go are not cut.
#[utoipa::path(context_path = BASE, tag = "network", request_body = LaddrPoolSpec,
    responses((status = 200, body = Item<LaddrPool>), (status = 201, body = Item<LaddrPool>),
        (status = 202, body = Item<LaddrPool>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[put("/laddr-pools/<name>", data = "<body>")]
async fn put_laddr_pool(who: Writer, app: &State<App>, name: &str, body: Body<LaddrPoolSpec>) -> Answer {
    if body.0.name != name {
        let detail = format!("the body is about {:?}, and the path about {name:?}", body.0.name);
        let remedy = "a pool keeps its name: make another, and let the services take from it";
        return Err(
            Fail::new(422, "invalid", "Not what the path says", detail, remedy).field("name", Some(&body.0.name))
        );
    }
    let find = |kept: &Kept| pools(kept).into_iter().find(|p| p.name == name);
    write(app, who, "laddr-pools", Edit::PutLaddrPool { laddr_pool: body.0 }, find).await
}

/// Takes a pool out that no service takes from.
#[utoipa::path(context_path = BASE, tag = "network",
    responses((status = 200, body = Done), (status = 202, body = Done),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[delete("/laddr-pools/<name>")]
async fn delete_laddr_pool(who: Writer, app: &State<App>, name: &str) -> Answer {
    gone(app, who, Edit::DeleteLaddrPool { name: name.to_owned() }).await
}

/// The static routes.
#[utoipa::path(context_path = BASE, tag = "network", operation_id = "routes",
    params(("limit" = Option<usize>, Query, description = "items of a page", minimum = 1, maximum = 1000),
        ("after" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = Page<Route>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/routes")]
async fn routes_(_who: Reader, app: &State<App>, query: Query) -> Answer {
    let kept = state(app);
    page(kept.generation, static_routes(&kept), &query.only(&["limit", "after"])?, |r| r.id.clone())
}

/// Makes a route to destinations that have none yet.
#[utoipa::path(context_path = BASE, tag = "network", request_body = RouteSpec,
    responses((status = 201, body = Item<Route>), (status = 202, body = Item<Route>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[post("/routes", data = "<body>")]
async fn add_route(who: Writer, app: &State<App>, body: Body<RouteSpec>) -> Answer {
    let id = plain_id(&body.0.to);
    let find = move |kept: &Kept| static_routes(kept).into_iter().find(|r| r.id == id);
    write(app, who, "routes", Edit::AddRoute { route: body.0 }, find).await
}

/// The id of destinations however they are written.
fn plain_id(to: &str) -> String {
    to.parse::<ipnet::IpNet>().map_or_else(|_| route_id(to), |net| route_id(&net.to_string()))
}

/// A route.
#[utoipa::path(context_path = BASE, tag = "network",
    responses((status = 200, body = Item<Route>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/routes/<id>")]
async fn route(_who: Reader, app: &State<App>, id: &str) -> Answer {
    let kept = state(app);
    let route = static_routes(&kept).into_iter().find(|r| r.id == id);
    item(kept.generation, route.ok_or_else(|| Fail::not_found("route", id).at(kept.generation))?)
}

/// Makes a route, or gives it another next hop.
#[utoipa::path(context_path = BASE, tag = "network", request_body = RouteSpec,
    responses((status = 200, body = Item<Route>), (status = 201, body = Item<Route>), (status = 202, body = Item<Route>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[put("/routes/<id>", data = "<body>")]
async fn put_route(who: Writer, app: &State<App>, id: &str, body: Body<RouteSpec>) -> Answer {
    if plain_id(&body.0.to) != id {
        let detail = format!("the body is about {:?}, and the path about {id:?}", body.0.to);
        let remedy = "give the destinations of the path";
        return Err(Fail::new(422, "invalid", "Not what the path says", detail, remedy).field("to", Some(&body.0.to)));
    }
    let find = |kept: &Kept| static_routes(kept).into_iter().find(|r| r.id == id);
    write(app, who, "routes", Edit::PutRoute { route: body.0 }, find).await
}

/// Takes a route out.
#[utoipa::path(context_path = BASE, tag = "network",
    responses((status = 200, body = Done), (status = 202, body = Done),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[delete("/routes/<id>")]
async fn delete_route(who: Writer, app: &State<App>, id: &str) -> Answer {
    gone(app, who, Edit::DeleteRoute { id: id.to_owned() }).await
}

/// Every next hop that is known or asked for.
#[utoipa::path(context_path = BASE, tag = "network",
    params(("limit" = Option<usize>, Query, description = "items of a page", minimum = 1, maximum = 1000),
        ("after" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = Page<Neighbor>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/neighbors")]
async fn neighbors(_who: Reader, app: &State<App>, query: Query) -> Answer {
    let (generation, table) = app.handle.ask(|m| (m.generation(), m.neighbors())).await?;
    page(generation, table, &query.only(&["limit", "after"])?, |n| n.address.to_string())
}

async fn found_neighbor(app: &App, address: &str) -> Result<(u64, Neighbor), Fail> {
    let (generation, table) = app.handle.ask(|m| (m.generation(), m.neighbors())).await?;
    let neighbor = table.into_iter().find(|n| n.address.to_string() == address);
    neighbor.map(|n| (generation, n)).ok_or_else(|| Fail::not_found("neighbor", address).at(generation))
}

/// A next hop.
#[utoipa::path(context_path = BASE, tag = "network",
    responses((status = 200, body = Item<Neighbor>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/neighbors/<address>")]
async fn neighbor(_who: Reader, app: &State<App>, address: &str) -> Answer {
    let (generation, neighbor) = found_neighbor(app, address).await?;
    item(generation, neighbor)
}

/// Writes a next hop's MAC address down, so that it is never asked.
#[utoipa::path(context_path = BASE, tag = "network", request_body = NeighborSpec,
    responses((status = 200, body = Item<Neighbor>), (status = 201, body = Item<Neighbor>),
        (status = 202, body = Item<Neighbor>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[put("/neighbors/<address>", data = "<body>")]
async fn put_neighbor(who: Writer, app: &State<App>, address: &str, body: Body<NeighborSpec>) -> Answer {
    let given = body.0.address.to_string();
    if given != address {
        let detail = format!("the body is about {given:?}, and the path about {address:?}");
        let remedy = "give the address of the path";
        return Err(Fail::new(422, "invalid", "Not what the path says", detail, remedy).field("address", Some(&given)));
    }
    let (outcome, running) = change(app, who, false, Ask::Edit(vec![Edit::PutNeighbor { neighbor: body.0 }])).await?;
    let made = outcome.results.first().is_some_and(|r| r.created);
    let (_, neighbor) = found_neighbor(app, address).await?;
    Ok(item(outcome.generation, neighbor)?.written(made.then(|| format!("{BASE}/neighbors/{address}")), running))
}

/// From now on the next hop is asked for its MAC address.
#[utoipa::path(context_path = BASE, tag = "network",
    params(("interface" = Option<String>, Query, description = "of which interface, where several have the address")),
    responses((status = 200, body = Done), (status = 202, body = Done),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[delete("/neighbors/<address>")]
async fn delete_neighbor(who: Writer, app: &State<App>, address: &str, query: Query) -> Answer {
    let read: IpAddr = address.parse().map_err(|_| Fail::not_found("static neighbor", address))?;
    let interface = query.only(&["interface"])?.text("interface").map(str::to_owned);
    gone(app, who, Edit::DeleteNeighbor { address: read, interface }).await
}

/// The ports of the network card.
#[utoipa::path(context_path = BASE, tag = "network",
    params(("limit" = Option<usize>, Query, description = "items of a page", minimum = 1, maximum = 1000),
        ("after" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = Page<Port>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/ports")]
async fn ports(_who: Reader, app: &State<App>, query: Query) -> Answer {
    let (generation, ports) = app.handle.ask(|m| (m.generation(), m.listed_ports(None))).await?;
    page(generation, ports, &query.only(&["limit", "after"])?, |p| p.name.clone())
}

/// A port, with the device's own counters.
#[utoipa::path(context_path = BASE, tag = "network",
    responses((status = 200, body = Item<Port>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/ports/<name>")]
async fn port(_who: Reader, app: &State<App>, name: &str) -> Answer {
    let wanted = name.to_owned();
    let (generation, ports) = app.handle.ask(move |m| (m.generation(), m.listed_ports(Some(&wanted)))).await?;
    let port = ports.into_iter().find(|p| p.name == name);
    item(generation, port.ok_or_else(|| Fail::not_found("port", name).at(generation))?)
}

/// The generation, and the workers.
pub(super) async fn workers(app: &App) -> Result<(u64, Vec<Lcore>), Fail> {
    let counts = app.handle.counts().await?;
    let look = app.meter().await?.look().await?;
    let (generation, places) = app.handle.ask(|m| (m.generation(), m.workers())).await?;
    let nonzero = |(label, n): (&str, u64)| (n > 0).then(|| (label.to_owned(), n));
    let lcore = |(at, (place, s)): (usize, (crate::master::observe::Place, Box<gatun_engine::stats::LcoreStats>))| {
        let (busy, burst_fill) = look.load(at);
        let handed_over = s.to_ring.value().saturating_sub(s.relayed.value());
        Lcore {
            id: place.lcore,
            cpu: place.cpu,
            busy,
            burst_fill,
            connections: s.conns_now.value(),
            ports_in_use: s.ports_now.value(),
            redirected: if s.rx.value() == 0 { 0.0 } else { handed_over as f64 / s.rx.value() as f64 },
            generation_running: place.generation,
            states: ConnState::ALL[1..]
                .iter()
                .filter_map(|state| nonzero((state.name(), s.state(*state).value())))
                .collect(),
            counters: s.named().chain(s.tables.named()).map(|(name, value, _)| (name.to_owned(), value)).collect(),
            drops: DropReason::ALL.iter().filter_map(|r| nonzero((r.label(), s.drops[*r as usize].value()))).collect(),
            punts: PuntReason::ALL.iter().filter_map(|r| nonzero((r.label(), s.punts[*r as usize].value()))).collect(),
            stalls: place.stalls,
            descheduled: place.descheduled,
            stalled: place.stalled,
        }
    };
    Ok((generation, places.into_iter().zip(counts).enumerate().map(lcore).collect()))
}

/// The workers.
#[utoipa::path(context_path = BASE, tag = "network",
    params(("limit" = Option<usize>, Query, description = "items of a page", minimum = 1, maximum = 1000),
        ("after" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = Page<Lcore>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/lcores")]
async fn lcores(_who: Reader, app: &State<App>, query: Query) -> Answer {
    let query = query.only(&["limit", "after"])?;
    let (generation, lcores) = workers(app).await?;
    page(generation, lcores, &query, |l| l.id.to_string())
}

/// A worker.
#[utoipa::path(context_path = BASE, tag = "network",
    responses((status = 200, body = Item<Lcore>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/lcores/<id>")]
async fn lcore(_who: Reader, app: &State<App>, id: &str) -> Answer {
    let (generation, lcores) = workers(app).await?;
    let lcore = lcores.into_iter().find(|l| l.id.to_string() == id);
    item(generation, lcore.ok_or_else(|| Fail::not_found("lcore", id).at(generation))?)
}
