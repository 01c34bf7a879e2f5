//! What goes back to a client, and what comes in with its request: JSON bodies, `If-Match`, who it is.

use super::app::App;
use super::front::Identity;
use super::tokens::Role;
use super::types::{Fault, Problem};
use crate::config;
use crate::control::Refusal;
use crate::master::handle::NoAnswer;
use rocket::data::{Data, FromData, Outcome as DataOutcome, ToByteUnit};
use rocket::http::{ContentType, Header, Status};
use rocket::request::{FromRequest, Outcome, Request};
use rocket::response::{Responder, Response, Result as Answered};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::Cursor;

/// What a route gives.
pub(super) type Answer = Result<Reply, Fail>;

/// A good answer.
pub(super) struct Reply {
    status: Status,
    kind: ContentType,
    body: Vec<u8>,
    generation: u64,
    location: Option<String>,
}

impl Reply {
    /// JSON, of the configuration's generation.
    pub(super) fn json<T: Serialize>(generation: u64, body: &T) -> Answer {
        let body = serde_json::to_vec(body).map_err(|e| Fail::bug(&e.to_string()))?;
        Ok(Reply { status: Status::Ok, kind: ContentType::JSON, body, generation, location: None })
    }

    /// A text.
    pub(super) fn text(generation: u64, kind: ContentType, text: String) -> Reply {
        Reply { status: Status::Ok, kind, body: text.into_bytes(), generation, location: None }
    }

    /// What a write did: made something, or is not yet run by every worker.
    pub(super) fn written(mut self, created: Option<String>, running: bool) -> Reply {
        self.status = match (&created, running) {
            (_, false) => Status::Accepted,
            (Some(_), true) => Status::Created,
            (None, true) => Status::Ok,
        };
        self.location = created;
        self
    }

    /// With another status.
    pub(super) fn status(self, status: Status) -> Reply {
        Reply { status, ..self }
    }
}

impl<'r> Responder<'r, 'static> for Reply {
    fn respond_to(self, _: &'r Request<'_>) -> Answered<'static> {
        let mut response = Response::build();
        response.status(self.status).header(self.kind);
        response.header(Header::new("ETag", format!("\"{}\"", self.generation)));
        if let Some(location) = self.location {
            response.header(Header::new("Location", location));
        }
        response.sized_body(self.body.len(), Cursor::new(self.body)).ok()
    }
}

/// A problem document.
#[derive(Clone, Debug)]
pub(super) struct Fail(pub(super) Box<Problem>);

impl Fail {
    pub(super) fn new(
        status: u16,
        kind: &str,
        title: &str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Fail {
        Fail(Box::new(Problem {
            kind: format!("/problems/{kind}"),
            title: title.to_owned(),
            status,
            detail: detail.into(),
            remedy: remedy.into(),
            ..Problem::default()
        }))
    }

    /// With the field that is meant and what stands there.
    pub(super) fn field(mut self, field: &str, value: Option<&str>) -> Fail {
        (self.0.field, self.0.value) = (Some(field.to_owned()), value.map(str::to_owned));
        self
    }

    /// Of which generation the configuration is.
    pub(super) fn at(mut self, generation: u64) -> Fail {
        self.0.generation = generation;
        self
    }

    pub(super) fn not_found(what: &str, id: &str) -> Fail {
        let remedy = format!("list what there is: the {what} may be gone, or have another id");
        Fail::new(404, "not-found", "Not found", format!("there is no {what} {id:?}"), remedy).field("id", Some(id))
    }

    pub(super) fn query(field: &str, value: &str, remedy: &str) -> Fail {
        let detail = format!("the parameter {field} is not understood");
        Fail::new(400, "bad-request", "Bad request", detail, remedy).field(field, Some(value))
    }

    pub(super) fn bug(what: &str) -> Fail {
        Fail::new(500, "bug", "Bug", what, "report this as a bug of gatun, with the request")
    }

    /// As it goes over the wire.
    pub(super) fn body(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).unwrap_or_default()
    }
}

impl<'r> Responder<'r, 'static> for Fail {
    fn respond_to(self, _: &'r Request<'_>) -> Answered<'static> {
        let body = self.body();
        let mut response = Response::build();
        response.status(Status::new(self.0.status)).header(ContentType::new("application", "problem+json"));
        if let Some(allow) = self.0.detail.strip_prefix("the methods here are ") {
            response.header(Header::new("Allow", allow.to_owned()));
        }
        response.sized_body(body.len(), Cursor::new(body)).ok()
    }
}

impl From<NoAnswer> for Fail {
    fn from(e: NoAnswer) -> Fail {
        Fail::new(503, "unavailable", "Unavailable", e.to_string(), "try again in a moment")
    }
}

impl From<Refusal> for Fail {
    fn from(refusal: Refusal) -> Fail {
        let detail = refusal.to_string();
        match refusal {
            Refusal::NotFound { what, id } => Fail::not_found(what, &id),
            Refusal::Exists { what, id } => {
                let remedy = format!("replace it with PUT, or give the {what} another address or name");
                Fail::new(409, "exists", "There already", detail, remedy).field("id", Some(&id))
            }
            Refusal::InUse { by, id, .. } => {
                let remedy = format!("change {by} first");
                Fail::new(409, "in-use", "In use", detail, remedy).field("id", Some(&id))
            }
            Refusal::Invalid(problems) => invalid(&problems),
            Refusal::Text(_) => Fail::new(400, "bad-request", "Bad request", detail, "give a configuration in TOML"),
            Refusal::Room(_) => {
                Fail::new(507, "no-room", "No room", detail, "nothing was changed; do what the sentence says")
            }
            Refusal::Generation { is, .. } => {
                let remedy = "read it again, and make the change to what there is now";
                Fail::new(412, "changed", "Changed meanwhile", detail, remedy).field("If-Match", None).at(is)
            }
            Refusal::Unconfirmed { .. } => {
                let remedy = "confirm it with POST /api/v1/config/confirm, or undo it with DELETE";
                Fail::new(409, "unconfirmed", "Unconfirmed change", detail, remedy)
            }
            Refusal::NothingToConfirm => {
                let remedy = "it may have been undone already: look at /api/v1/config/generations";
                Fail::new(409, "nothing-to-confirm", "Nothing to confirm", detail, remedy)
            }
            Refusal::NoDrain(id) => {
                Fail::new(404, "not-found", "Not found", detail, "begin with POST").field("id", Some(&id))
            }
            Refusal::Journal(_) => {
                let remedy = "see that the state directory is writable and its disk has room";
                Fail::new(507, "journal", "Not kept", detail, remedy)
            }
            Refusal::Stopping => {
                Fail::new(503, "unavailable", "Unavailable", detail, "ask again when the gateway runs")
            }
            Refusal::Busy => Fail::new(503, "busy", "Busy", detail, "put several changes into one transaction"),
        }
    }
}

fn invalid(problems: &[config::Problem]) -> Fail {
    let fault = |p: &config::Problem| Fault {
        field: p.field.clone(),
        value: p.value.clone(),
        detail: p.what.clone(),
        remedy: p.remedy.clone(),
        line: p.line,
    };
    let faults: Vec<Fault> = problems.iter().map(fault).collect();
    let first = faults.first().cloned().unwrap_or_default();
    let mut fail = Fail::new(422, "invalid", "Not a right configuration", first.detail, first.remedy);
    fail.0.field = Some(first.field).filter(|field| !field.is_empty());
    fail.0.value = first.value;
    if faults.len() > 1 {
        fail.0.faults = faults;
    }
    fail
}

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

/// A body as a text.
pub(super) struct Text(pub(super) String);

#[rocket::async_trait]
impl<'r, T: DeserializeOwned> FromData<'r> for Body<T> {
    type Error = Fail;

    async fn from_data(request: &'r Request<'_>, data: Data<'r>) -> DataOutcome<'r, Self, Fail> {
        let kind = request.content_type();
        if kind.is_some_and(|kind| !kind.is_json()) {
            // A form of another site's page can not say that it is JSON.
            let remedy = "send it with Content-Type: application/json (curl: --json)";
            return failed(
                Fail::new(415, "media-type", "Not JSON", "the body is not said to be JSON", remedy),
                request,
            );
        }
        let bytes = match bytes(data).await {
            Ok(bytes) => bytes,
            Err(fail) => return failed(fail, request),
        };
        let mut deserializer = serde_json::Deserializer::from_slice(&bytes);
        let parsed = serde_path_to_error::deserialize(&mut deserializer);
        match parsed.map_err(|e| (e.path().to_string(), e.into_inner())) {
            Ok(value) => match deserializer.end() {
                Ok(()) => DataOutcome::Success(Body(value)),
                Err(e) => failed(unreadable("", &e), request),
            },
            Err((path, e)) => failed(unreadable(&path, &e), request),
        }
    }
}

#[rocket::async_trait]
impl<'r> FromData<'r> for Text {
    type Error = Fail;

    async fn from_data(request: &'r Request<'_>, data: Data<'r>) -> DataOutcome<'r, Self, Fail> {
        match bytes(data).await.map(String::from_utf8) {
            Ok(Ok(text)) => DataOutcome::Success(Text(text)),
            Ok(Err(_)) => {
                let remedy = "send the text in UTF-8";
                failed(Fail::new(400, "bad-request", "Bad request", "the body is not UTF-8", remedy), request)
            }
            Err(fail) => failed(fail, request),
        }
    }
}

async fn bytes(data: Data<'_>) -> Result<Vec<u8>, Fail> {
    // The front has counted them already.
    let read = data.open(1u32.gibibytes()).into_bytes().await;
    read.map(|bytes| bytes.into_inner()).map_err(|e| Fail::bug(&e.to_string()))
}

fn unreadable(path: &str, e: &serde_json::Error) -> Fail {
    let status = if e.is_data() { 422 } else { 400 };
    let (kind, title) = if e.is_data() { ("invalid", "Not what is expected") } else { ("bad-request", "Not JSON") };
    let remedy = if e.is_data() { "see /docs for what belongs here" } else { "send a JSON document" };
    let fail = Fail::new(status, kind, title, e.to_string(), remedy);
    if path.is_empty() || path == "." { fail } else { fail.field(path, None) }
}

/// The problem goes to the catcher, which is all that Rocket lets a guard say.
fn failed<'r, T>(fail: Fail, request: &Request<'_>) -> DataOutcome<'r, T, Fail> {
    let status = Status::new(fail.0.status);
    request.local_cache(|| Some(fail.clone()));
    DataOutcome::Error((status, fail))
}

fn denied<T>(fail: Fail, request: &Request<'_>) -> Outcome<T, Fail> {
    let status = Status::new(fail.0.status);
    request.local_cache(|| Some(fail.clone()));
    Outcome::Error((status, fail))
}

/// Somebody who may look.
pub(super) struct Reader;

/// Somebody who may change.
pub(super) struct Writer {
    /// For the history.
    pub(super) name: String,
    /// From `If-Match`.
    pub(super) if_generation: Option<u64>,
    /// Of the configuration when it came.
    generation: u64,
}

impl Writer {
    /// Says in the log what it did, where that is no change of the configuration.
    pub(super) fn note(&self, what: &str) {
        tracing::info!(generation = self.generation, who = self.name, "audit: {what}");
    }
}

fn identity(request: &Request<'_>) -> Option<Identity> {
    request.local_cache(|| None::<Identity>).clone()
}

fn unknown() -> Fail {
    let remedy = "send the header Authorization: Bearer TOKEN";
    Fail::new(401, "unauthorized", "Who is this?", "the request has no token that is known and has not expired", remedy)
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Reader {
    type Error = Fail;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Fail> {
        match identity(request) {
            Some(_) => Outcome::Success(Reader),
            None => denied(unknown(), request),
        }
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Writer {
    type Error = Fail;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Fail> {
        let Some(Identity { name, role }) = identity(request) else { return denied(unknown(), request) };
        if role < Role::Write {
            let remedy = "use a token of role write";
            let detail = format!("{name} may look, and not change");
            return denied(Fail::new(403, "forbidden", "Forbidden", detail, remedy), request);
        }
        let generation = request.rocket().state::<App>().map_or(0, |app| app.control.state().generation);
        let given = request.headers().get_one("If-Match").map(str::trim);
        let number = |given: &str| given.strip_prefix('"')?.strip_suffix('"')?.parse().ok();
        match given {
            None | Some("*") => Outcome::Success(Writer { name, if_generation: None, generation }),
            Some(given) => match number(given) {
                Some(given) => Outcome::Success(Writer { name, if_generation: Some(given), generation }),
                None => {
                    let remedy = "give the ETag of an answer, as in If-Match: \"17\"";
                    let detail = "If-Match is not a generation in quotes";
                    let fail = Fail::new(400, "bad-request", "Bad request", detail, remedy);
                    denied(fail.field("If-Match", Some(given)), request)
                }
            },
        }
    }
}
