//! Answers that go on: the route gives a channel, the front sends what comes out of it as it comes.
//!
//! Rocket dispatches the request and makes the head of the answer. Its body does not go through Rocket: whatever a local answer
//! of Rocket's has as a body, the front could only read to its end. So the front leaves a [`Tap`] in the request, and the route
//! leaves the channel there.

use bytes::Bytes;
use hyper::body::{Body, Frame};
use rocket::http::{ContentType, Header, Status};
use rocket::request::Request;
use rocket::response::{Responder, Response, Result as Answered};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Where a route leaves its channel for the front.
#[derive(Clone, Default)]
pub(super) struct Tap(Arc<Mutex<Option<mpsc::Receiver<Bytes>>>>);

impl Tap {
    /// The body of the answer, if it goes on.
    pub(super) fn body(&self) -> Option<Live> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().map(Live)
    }
}

/// An answer that goes on until the other end of its channel is dropped. When its client goes away, so does the channel.
pub(super) struct Stream {
    pub(super) kind: ContentType,
    pub(super) generation: u64,
    pub(super) location: String,
    pub(super) from: mpsc::Receiver<Bytes>,
}

impl<'r> Responder<'r, 'static> for Stream {
    fn respond_to(self, request: &'r Request<'_>) -> Answered<'static> {
        let tap = request.local_cache(Tap::default);
        *tap.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.from);
        let mut response = Response::build();
        response.status(Status::Ok).header(self.kind).header(Header::new("Location", self.location));
        response.header(Header::new("ETag", format!("\"{}\"", self.generation))).ok()
    }
}

/// The body of an answer that goes on.
pub(super) struct Live(mpsc::Receiver<Bytes>);

impl Body for Live {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
