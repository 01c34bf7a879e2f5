//! The configuration as a whole: transactions, the file, generations, timeouts.

use super::{Answer, App, BASE, Query, change, item, page, state};
use crate::api::answer::{Body, Fail, Reader, Reply, Text, Writer};
use crate::api::types::{
    Applied, ConfigDiff, Edit, Generation, Item, Page, Pending, Problem, Rollback, Timeouts, TimeoutsSpec, Transaction,
};
use crate::api::view;
use crate::control::{Ask, Entry, Working};
use rocket::http::ContentType;
use rocket::{State, delete, get, patch, post, put, routes};
use utoipa::OpenApi;

/// The longest window for a confirmation: a day, in seconds.
const CONFIRM_MAX: u32 = 86_400;

#[derive(OpenApi)]
#[openapi(paths(
    timeouts,
    put_timeouts,
    patch_timeouts,
    transaction,
    export,
    replace,
    diff,
    diff_of,
    pending,
    confirm,
    undo,
    generations,
    generation,
    rollback
))]
pub(super) struct Document;

pub(super) fn routes() -> Vec<rocket::Route> {
    routes![
        timeouts,
        put_timeouts,
        patch_timeouts,
        transaction,
        export,
        replace,
        diff,
        diff_of,
        pending,
        confirm,
        undo,
        generations,
        generation,
        rollback
    ]
}

/// The answer to a change of the whole.
async fn apply(app: &App, who: Writer, dry_run: bool, ask: Ask) -> Answer {
    let (outcome, running) = change(app, who, dry_run, ask).await?;
    let generation = outcome.generation;
    let applied = Applied { generation, running, dry_run, changes: outcome.changes, confirm: outcome.confirm };
    Ok(Reply::json(generation, &applied)?.written(None, running))
}

/// The timeouts of services without their own.
#[utoipa::path(context_path = BASE, tag = "configuration",
    responses((status = 200, body = Item<Timeouts>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/timeouts")]
async fn timeouts(_who: Reader, app: &State<App>) -> Answer {
    let kept = state(app);
    item(kept.generation, view::timeouts(&kept.model.timeouts))
}

async fn set_timeouts(app: &App, who: Writer, edit: Edit) -> Answer {
    let (outcome, running) = change(app, who, false, Ask::Edit(vec![edit])).await?;
    Ok(item(outcome.generation, view::timeouts(&state(app).model.timeouts))?.written(None, running))
}

/// Sets the timeouts; what is left out is the default.
#[utoipa::path(context_path = BASE, tag = "configuration", request_body = TimeoutsSpec,
    responses((status = 200, body = Item<Timeouts>), (status = 202, body = Item<Timeouts>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[put("/timeouts", data = "<body>")]
async fn put_timeouts(who: Writer, app: &State<App>, body: Body<TimeoutsSpec>) -> Answer {
    set_timeouts(app, who, Edit::PutTimeouts { timeouts: body.0 }).await
}

/// Sets some timeouts; what is left out stays.
#[utoipa::path(context_path = BASE, tag = "configuration", request_body = TimeoutsSpec,
    responses((status = 200, body = Item<Timeouts>), (status = 202, body = Item<Timeouts>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[patch("/timeouts", data = "<body>")]
async fn patch_timeouts(who: Writer, app: &State<App>, body: Body<TimeoutsSpec>) -> Answer {
    set_timeouts(app, who, Edit::PatchTimeouts { timeouts: body.0 }).await
}

/// Makes several changes at once: all of them, or none.
#[utoipa::path(context_path = BASE, tag = "configuration", request_body = Transaction,
    params(("dry_run" = Option<bool>, Query, description = "only say what would change")),
    responses((status = 200, body = Applied), (status = 202, body = Applied),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[post("/transaction", data = "<body>")]
async fn transaction(who: Writer, app: &State<App>, query: Query, body: Body<Transaction>) -> Answer {
    let dry_run = query.only(&["dry_run"])?.flag("dry_run")?;
    apply(app, who, dry_run, Ask::Edit(body.0.changes)).await
}

fn toml() -> ContentType {
    ContentType::new("application", "toml")
}

fn newest(app: &App) -> Result<(u64, std::sync::Arc<Entry>), Fail> {
    let kept = state(app);
    let last = kept.history.back().cloned().ok_or_else(|| Fail::bug("there is no configuration"))?;
    Ok((kept.generation, last))
}

/// What runs, as a file that `gatun run` takes.
#[utoipa::path(context_path = BASE, tag = "configuration",
    responses((status = 200, body = String, content_type = "application/toml"),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/config")]
async fn export(_who: Reader, app: &State<App>) -> Answer {
    let (generation, last) = newest(app)?;
    Ok(Reply::text(generation, toml(), last.document.write()))
}

/// Puts a configuration in the place of all there is.
#[utoipa::path(context_path = BASE, tag = "configuration",
    request_body(content = String, content_type = "application/toml"),
    params(("dry_run" = Option<bool>, Query, description = "only say what would change"),
        ("confirm" = Option<u32>, Query, description = "seconds after which it is undone, unless it is confirmed",
            minimum = 1, maximum = 86400)),
    responses((status = 200, body = Applied), (status = 202, body = Applied),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[put("/config", data = "<body>")]
async fn replace(who: Writer, app: &State<App>, query: Query, body: Text) -> Answer {
    let query = query.only(&["dry_run", "confirm"])?;
    let remedy = format!("give the seconds, from 1 to {CONFIRM_MAX}");
    let confirm: Option<u32> = query.parsed("confirm", &remedy)?;
    if confirm.is_some_and(|seconds| !(1..=CONFIRM_MAX).contains(&seconds)) {
        return Err(Fail::query("confirm", query.text("confirm").unwrap_or_default(), &remedy));
    }
    apply(app, who, query.flag("dry_run")?, Ask::Replace { text: body.0, confirm }).await
}

/// What the REST interface changed: from the last file that was applied to what runs.
#[utoipa::path(context_path = BASE, tag = "configuration",
    responses((status = 200, body = ConfigDiff),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/config/diff")]
async fn diff(_who: Reader, app: &State<App>) -> Answer {
    let (generation, last) = newest(app)?;
    let file = Working::read(&last.file.write(), "").map_err(Fail::from)?;
    let changes = crate::config::diff(&file.model, &state(app).model).unwrap_or_default();
    let changes = changes.iter().map(ToString::to_string).collect();
    Reply::json(generation, &ConfigDiff { generation, changes, conflicts: last.conflicts.to_vec() })
}

/// What a configuration would change, or what is wrong with it.
#[utoipa::path(context_path = BASE, tag = "configuration",
    request_body(content = String, content_type = "application/toml"),
    responses((status = 200, body = ConfigDiff),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[post("/config/diff", data = "<body>")]
async fn diff_of(_who: Reader, app: &State<App>, body: Text) -> Answer {
    let kept = state(app);
    let new = Working::read(&body.0, "").map_err(Fail::from)?;
    let changes = crate::config::diff(&kept.model, &new.model);
    let changes = changes.map_err(|problems| Fail::from(crate::control::Refusal::Invalid(problems)))?;
    let changes = changes.iter().map(ToString::to_string).collect();
    Reply::json(kept.generation, &ConfigDiff { generation: kept.generation, changes, conflicts: Vec::new() })
}

/// What waits to be confirmed.
#[utoipa::path(context_path = BASE, tag = "configuration",
    responses((status = 200, body = Pending),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/config/confirm")]
async fn pending(_who: Reader, app: &State<App>) -> Answer {
    let (generation, last) = newest(app)?;
    Reply::json(generation, &Pending { generation, confirm: last.confirm().cloned() })
}

/// Keeps what waits to be confirmed.
#[utoipa::path(context_path = BASE, tag = "configuration",
    responses((status = 200, body = Applied), (status = 202, body = Applied),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[post("/config/confirm")]
async fn confirm(who: Writer, app: &State<App>) -> Answer {
    apply(app, who, false, Ask::Confirm).await
}

/// Undoes what waits to be confirmed, at once.
#[utoipa::path(context_path = BASE, tag = "configuration",
    responses((status = 200, body = Applied), (status = 202, body = Applied),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[delete("/config/confirm")]
async fn undo(who: Writer, app: &State<App>) -> Answer {
    apply(app, who, false, Ask::Undo).await
}

/// The last generations, the newest first: who brought them, and what was different.
#[utoipa::path(context_path = BASE, tag = "configuration",
    params(("limit" = Option<usize>, Query, description = "items of a page", minimum = 1, maximum = 1000),
        ("after" = Option<String>, Query, description = "`next` of the page before")),
    responses((status = 200, body = Page<Generation>),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/config/generations")]
async fn generations(_who: Reader, app: &State<App>, query: Query) -> Answer {
    let kept = state(app);
    let list: Vec<Generation> = kept.history.iter().rev().map(|e| e.listed()).collect();
    page(kept.generation, list, &query.only(&["limit", "after"])?, |g| g.generation.to_string())
}

/// An earlier configuration, as a file.
#[utoipa::path(context_path = BASE, tag = "configuration",
    responses((status = 200, body = String, content_type = "application/toml"),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[get("/config/generations/<n>")]
async fn generation(_who: Reader, app: &State<App>, n: &str) -> Answer {
    let kept = state(app);
    let entry = kept.history.iter().find(|e| e.generation().to_string() == n);
    let entry = entry.ok_or_else(|| Fail::not_found("generation", n).at(kept.generation))?;
    Ok(Reply::text(kept.generation, toml(), entry.document.write()))
}

/// An earlier configuration again.
#[utoipa::path(context_path = BASE, tag = "configuration", request_body = Rollback,
    params(("dry_run" = Option<bool>, Query, description = "only say what would change")),
    responses((status = 200, body = Applied), (status = 202, body = Applied),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
#[post("/config/rollback", data = "<body>")]
async fn rollback(who: Writer, app: &State<App>, query: Query, body: Body<Rollback>) -> Answer {
    let dry_run = query.only(&["dry_run"])?.flag("dry_run")?;
    apply(app, who, dry_run, Ask::Rollback(body.0.generation)).await
}
