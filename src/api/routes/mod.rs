//! The routes below `/api/v1`. A route reads its request, asks the keeper, the master or the meter, and puts the answer into
//! the words of `types`.

mod capture;
mod config;
mod live;
mod metrics;
mod network;
mod services;
mod stats;
mod trace;

use super::answer::{Answer, Fail, Reply, Writer};
use super::app::App;
use super::types::{APPLY_WAIT_MS, Item, PAGE, PAGE_MAX, Page};
use crate::control::{Ask, Outcome, Request as Change, State};
use rocket::request::{FromRequest, Outcome as Guard, Request};
use serde::Serialize;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

/// Where all of them are.
pub(super) const BASE: &str = "/api/v1";

/// All of them.
pub(super) fn all() -> Vec<rocket::Route> {
    [
        capture::routes(),
        config::routes(),
        live::routes(),
        network::routes(),
        services::routes(),
        stats::routes(),
        trace::routes(),
    ]
    .concat()
}

/// Those that are not below [`BASE`].
pub(super) fn elsewhere() -> Vec<rocket::Route> {
    metrics::routes()
}

/// All of them, described.
pub(super) fn documents() -> [utoipa::openapi::OpenApi; 8] {
    use utoipa::OpenApi as _;
    [
        services::Document::openapi(),
        network::Document::openapi(),
        stats::Document::openapi(),
        config::Document::openapi(),
        live::Document::openapi(),
        trace::Document::openapi(),
        capture::Document::openapi(),
        metrics::Document::openapi(),
    ]
}

/// The parameters behind the question mark.
pub(super) struct Query {
    given: BTreeMap<String, String>,
    /// The name of one that is there twice.
    twice: Option<String>,
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Query {
    type Error = Infallible;

    async fn from_request(request: &'r Request<'_>) -> Guard<Self, Infallible> {
        let (mut given, mut twice) = (BTreeMap::new(), None);
        for field in request.query_fields() {
            let name = field.name.to_string();
            if given.insert(name.clone(), field.value.to_owned()).is_some() {
                twice = Some(name);
            }
        }
        Guard::Success(Query { given, twice })
    }
}

impl Query {
    /// Refuses what is not known here.
    fn only(self, known: &[&str]) -> Result<Query, Fail> {
        if let Some(name) = &self.twice {
            return Err(Fail::query(name, self.text(name).unwrap_or_default(), "give it once"));
        }
        match self.given.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, value)) if known.is_empty() => {
                Err(Fail::query(name, value, "take it out: there are none here"))
            }
            Some((name, value)) => Err(Fail::query(name, value, &format!("known here: {}", known.join(", ")))),
            None => Ok(self),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str)
    }

    /// A value that reads as it is written.
    fn parsed<T: std::str::FromStr>(&self, name: &str, remedy: &str) -> Result<Option<T>, Fail> {
        self.text(name).map(|text| text.parse().map_err(|_| Fail::query(name, text, remedy))).transpose()
    }

    fn flag(&self, name: &str) -> Result<bool, Fail> {
        Ok(self.parsed(name, "write true or false")?.unwrap_or_default())
    }

    fn limit(&self) -> Result<usize, Fail> {
        let remedy = format!("give a number from 1 to {PAGE_MAX}");
        let limit = self.parsed("limit", &remedy)?.unwrap_or(PAGE);
        let text = self.text("limit").unwrap_or_default();
        if (1..=PAGE_MAX).contains(&limit) { Ok(limit) } else { Err(Fail::query("limit", text, &remedy)) }
    }
}

/// A page of a list whose items are known by a key, in the order of the list.
fn page<T: Serialize>(generation: u64, items: Vec<T>, query: &Query, key: impl Fn(&T) -> String) -> Answer {
    let (limit, total) = (query.limit()?, items.len() as u64);
    let from = match query.text("after") {
        None => 0,
        Some(after) => match items.iter().position(|item| key(item) == after) {
            Some(at) => at + 1,
            None => return Err(Fail::query("after", after, "it is gone: begin again without `after`")),
        },
    };
    let more = items.len() > from + limit;
    let items: Vec<T> = items.into_iter().skip(from).take(limit).collect();
    let next = items.last().filter(|_| more).map(key);
    Reply::json(generation, &Page { generation, items, total: Some(total), next })
}

fn item<T: Serialize>(generation: u64, item: T) -> Answer {
    Reply::json(generation, &Item { generation, item })
}

/// Makes a change, and waits for the workers. Gives what came of it, and whether they all run it.
async fn change(app: &App, who: Writer, dry_run: bool, ask: Ask) -> Result<(Outcome, bool), Fail> {
    let request = Change { who: who.name, if_generation: who.if_generation, dry_run, ask };
    let generation = app.control.state().generation;
    let outcome = app.control.change(request).await.map_err(|refusal| match Fail::from(refusal) {
        fail if fail.0.generation == 0 => fail.at(generation),
        fail => fail,
    })?;
    let running = app.handle.runs(outcome.generation, Duration::from_millis(APPLY_WAIT_MS)).await;
    Ok((outcome, running))
}

/// What there is, as of the last change.
fn state(app: &App) -> std::sync::Arc<State> {
    app.control.state()
}
