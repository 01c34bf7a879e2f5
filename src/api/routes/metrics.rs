//! `/metrics`: not below `/api/v1`, but where Prometheus looks.

use super::{App, live, network, stats, trace};
use crate::api::answer::{Fail, Reply};
use crate::api::metrics::{self, Scrape};
use crate::api::types::Problem;
use rocket::http::ContentType;
use rocket::{State, get};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(paths(scrape))]
pub(super) struct Document;

/// Its route.
pub(super) fn routes() -> Vec<rocket::Route> {
    rocket::routes![scrape]
}

/// Everything that is counted, for Prometheus. Who may ask was decided at the front: `api.open_metrics` opens it.
#[utoipa::path(tag = "stats",
    responses((status = 200, body = String, content_type = "application/openmetrics-text"),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/metrics")]
async fn scrape(app: &State<App>) -> Result<Reply, Fail> {
    let (generation, stats) = stats::counted(app, None, true).await?;
    let (_, health) = live::examined(app).await?;
    let (_, lcores) = network::workers(app).await?;
    let (ports, neighbors) = app.handle.ask(|m| (m.listed_ports(None), m.neighbors())).await?;
    let (_, capacity) = trace::limits(app).await?;
    // Each worker has tables of this size.
    let tables = u64::from(super::state(app).model.tables.connections) * lcores.len() as u64;
    let scrape = Scrape {
        version: env!("GATUN_VERSION").to_owned(),
        generation,
        health,
        stats,
        lcores,
        ports,
        neighbors,
        connections_max: tables,
        capacity,
    };
    let text = tokio::task::spawn_blocking(move || metrics::text(scrape)).await;
    let text = text.map_err(|e| Fail::bug(&e.to_string()))?;
    let kind =
        ContentType::new("application", "openmetrics-text").with_params([("version", "1.0.0"), ("charset", "utf-8")]);
    Ok(Reply::text(generation, kind, text))
}
