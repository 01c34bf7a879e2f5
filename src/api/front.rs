//! The front of the REST interface: it listens, keeps the limits, finds out who asks, and hands each request to Rocket.
//!
//! Rocket 0.5 listens on TCP alone and has no limits of connections, header times or rates. So the front is hyper, over a Unix
//! socket, TCP or TLS alike, and a request that passed it goes into Rocket through `rocket::local`, which dispatches as its own
//! server does. Rocket has the routes, the guards and the answers; nothing reaches it that is too large, too slow or unknown.

use super::answer::Fail;
use super::rate::Rate;
use super::stream::{Live, Tap};
use super::tokens::{Role, TokenFile};
use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rocket::local::asynchronous::Client;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// Connections at once, of the Unix socket and of TCP each.
const CONNECTIONS: usize = 256;
/// Of one TCP client's address.
const OF_ONE: usize = 128;
/// How long a client may take for its TLS handshake, and for the headers of a request.
const HEADERS: Duration = Duration::from_secs(5);
/// How long a client may take for the body of a request.
const BODY: Duration = Duration::from_secs(20);
/// How long the gateway may take for an answer: a change waits two seconds at most.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a connection may last. A client that reads slowly does not keep its seat for ever.
const LIFE: Duration = Duration::from_secs(600);
/// Bytes of a request's headers.
const HEAD_MAX: usize = 32 << 10;
/// Bytes of a body: some 100,000 real servers in one transaction.
const BODY_MAX: usize = 32 << 20;
/// Requests a second of each address, unless the file says otherwise.
const RATE: u32 = 1_000;

/// What an answer holds: all of it, or what comes.
type Content = Either<Full<Bytes>, Live>;

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// For the history.
    pub(super) name: String,
    /// What it may do.
    pub(super) role: Role,
}

/// Where a request came in.
#[derive(Clone, Debug)]
enum Peer {
    Unix { uid: u32 },
    Tcp { address: SocketAddr },
}

/// See the module.
pub(super) struct Front {
    rocket: Client,
    tokens: Option<TokenFile>,
    hosts: Vec<String>,
    open_metrics: bool,
    rate: Rate,
    unix: Arc<Semaphore>,
    tcp: Arc<Semaphore>,
    of_each: Mutex<HashMap<IpAddr, usize>>,
}

/// A seat of an address; given back when the connection ends.
struct Seat {
    front: Arc<Front>,
    address: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut of_each = self.front.of_each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seats) = of_each.get_mut(&self.address) {
            *seats -= 1;
            if *seats == 0 {
                of_each.remove(&self.address);
            }
        }
    }
}

impl Front {
    pub(super) fn new(rocket: Client, tokens: Option<TokenFile>, api: &crate::config::Api) -> Front {
        Front {
            rocket,
            tokens,
            hosts: api.hosts.clone(),
            open_metrics: api.open_metrics,
            rate: Rate::new(api.rate.unwrap_or(RATE)),
            unix: Arc::new(Semaphore::new(CONNECTIONS)),
            tcp: Arc::new(Semaphore::new(CONNECTIONS)),
            of_each: Mutex::default(),
        }
    }

    /// Serves a Unix socket for ever.
    pub(super) async fn unix(self: Arc<Self>, listener: UnixListener) {
        loop {
            // The next one is only taken when there is a seat: until then it waits in the kernel, and no work is done for it.
            let Ok(permit) = self.unix.clone().acquire_owned().await else { return };
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let uid = stream.peer_cred().map_or(u32::MAX, |peer| peer.uid());
            let front = self.clone();
            tokio::spawn(async move {
                front.connection(stream, Peer::Unix { uid }).await;
                drop(permit);
            });
        }
    }

    /// Serves a TCP socket for ever.
    pub(super) async fn tcp(self: Arc<Self>, listener: TcpListener, tls: Option<TlsAcceptor>) {
        loop {
            let Ok((stream, address)) = listener.accept().await else {
                // Out of file descriptors: those that end give some back.
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            // Who finds no seat is sent away at once: it is not known yet, and must not keep others waiting.
            let (Ok(permit), Some(seat)) = (self.tcp.clone().try_acquire_owned(), self.seat(address.ip())) else {
                continue;
            };
            let (front, tls, peer) = (self.clone(), tls.clone(), Peer::Tcp { address });
            tokio::spawn(async move {
                match tls {
                    None => front.connection(stream, peer).await,
                    Some(tls) => {
                        if let Ok(Ok(stream)) = tokio::time::timeout(HEADERS, tls.accept(stream)).await {
                            front.connection(stream, peer).await;
                        }
                    }
                }
                drop((permit, seat));
            });
        }
    }

    fn seat(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let mut of_each = self.of_each.lock().unwrap_or_else(PoisonError::into_inner);
        let seats = of_each.entry(address).or_default();
        (*seats < OF_ONE).then(|| {
            *seats += 1;
            Seat { front: self.clone(), address }
        })
    }

    async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self: &Arc<Self>, stream: S, peer: Peer) {
        let service = service_fn(|request| {
            let (front, peer) = (self.clone(), peer.clone());
            async move { Ok::<_, Infallible>(front.answer(request, &peer).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS)
            .max_buf_size(HEAD_MAX)
            .serve_connection(TokioIo::new(stream), service);
        // What goes wrong with a connection is the client's business: it sees it end.
        let _ = tokio::time::timeout(LIFE, connection).await;
    }

    async fn answer(&self, request: Request<Incoming>, peer: &Peer) -> Response<Content> {
        let head = request.method() == Method::HEAD;
        let mut response = match self.admitted(request, peer).await {
            Ok(response) => response,
            Err(fail) => {
                let body = if head { Vec::new() } else { fail.body() };
                let mut response = Response::new(Either::Left(Full::from(body)));
                *response.status_mut() = StatusCode::from_u16(fail.0.status).unwrap_or(StatusCode::BAD_REQUEST);
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
                // What is left of the body is not worth reading, and a stranger's connection is not worth keeping.
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
                match fail.0.status {
                    401 => headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
                    429 => headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1")),
                    _ => None,
                };
                response
            }
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        response
    }

    async fn admitted(&self, request: Request<Incoming>, peer: &Peer) -> Result<Response<Content>, Fail> {
        let tcp = match peer {
            Peer::Unix { .. } => None,
            Peer::Tcp { address } => Some(*address),
        };
        if tcp.is_some_and(|address| !self.rate.admits(address.ip(), Instant::now())) {
            let remedy = "wait a second; several changes go into one transaction";
            return Err(Fail::new(429, "rate", "Too many requests", "more requests than api.rate allows", remedy));
        }
        check_origin(request.headers(), tcp.is_some(), &self.hosts)?;
        let identity = self.identify(&request, peer)?;
        let (parts, body) = request.into_parts();
        let body = read(&parts.headers, body).await?;
        // A method that nobody knows is answered as one that no route has.
        let method = parts.method.as_str().parse().unwrap_or(rocket::http::Method::Trace);
        let target = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut local = self.rocket.req(method, target).body(body);
        let tap = Tap::default();
        local.inner_mut().local_cache(|| tap.clone());
        if let Some(identity) = identity {
            local.inner_mut().local_cache(|| Some(identity));
        }
        for (name, value) in &parts.headers {
            if let Ok(value) = value.to_str() {
                local.add_header(rocket::http::Header::new(name.as_str().to_owned(), value.to_owned()));
            }
        }
        let answered = tokio::time::timeout(ANSWER, async {
            let answer = local.dispatch().await;
            let (status, mut headers) = (answer.status().code, Vec::new());
            for h in answer.headers().iter() {
                headers.push((h.name().as_str().to_owned(), h.value().to_owned()));
            }
            (status, headers, answer.into_bytes().await.unwrap_or_default())
        });
        let Ok((status, headers, bytes)) = answered.await else {
            let remedy = "look at /api/v1/health, and ask again";
            return Err(Fail::new(503, "unavailable", "Unavailable", "the gateway took too long to answer", remedy));
        };
        let body = tap.body().map_or_else(|| Either::Left(Full::from(bytes)), Either::Right);
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in headers {
            let name =
                HeaderName::try_from(name).ok().filter(|name| ![header::CONTENT_LENGTH, header::SERVER].contains(name));
            if let (Some(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
                response.headers_mut().append(name, value);
            }
        }
        Ok(response)
    }

    /// Who asks; nobody where nobody needs to be known.
    fn identify(&self, request: &Request<Incoming>, peer: &Peer) -> Result<Option<Identity>, Fail> {
        let address = match peer {
            Peer::Unix { uid } => return Ok(Some(Identity { name: format!("uid {uid}"), role: Role::Write })),
            Peer::Tcp { address } => address,
        };
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = given.and_then(|given| {
            let (scheme, token) = given.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let token = bearer.and_then(|bearer| self.tokens.as_ref()?.find(bearer));
        if let Some(token) = token {
            return Ok(Some(Identity { name: format!("{} ({})", token.name, address.ip()), role: token.role }));
        }
        let (path, get) = (request.uri().path(), request.method() == Method::GET);
        // What the source says anyway, so that a browser can show the page and ask for the token.
        let public = path == "/openapi.json" || path == "/docs" || path.starts_with("/docs/");
        if get && (public || (self.open_metrics && path == "/metrics")) {
            return Ok(None);
        }
        let remedy = "send the header Authorization: Bearer TOKEN; `gatun token` makes one";
        let detail = "the request has no token that is known and has not expired";
        Err(Fail::new(401, "unauthorized", "Who is this?", detail, remedy))
    }
}

/// A page of another site must not speak to the gateway through its reader's browser: neither openly, nor under a name that it
/// makes point here.
fn check_origin(headers: &HeaderMap, tcp: bool, hosts: &[String]) -> Result<(), Fail> {
    let mut given = headers.get_all(header::HOST).iter();
    let host = given.next().and_then(|host| host.to_str().ok()).unwrap_or_default();
    let misdirected = |detail: String| {
        let remedy = "call the gateway by an address, by localhost, or by a name in api.hosts";
        Fail::new(421, "host", "Not this host", detail, remedy).field("Host", Some(host))
    };
    if given.next().is_some() {
        return Err(misdirected("there are several Host headers".to_owned()));
    }
    if tcp && !(known(host, hosts)) {
        return Err(misdirected(format!("{host:?} is not a name of this gateway")));
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let from = origin.split_once("://").map(|(_, host)| host);
        if from.is_none_or(|from| !from.eq_ignore_ascii_case(host) || host.is_empty()) {
            let remedy = "use the page under /docs, or a client that is no browser";
            let detail = "the request comes from a page of another site";
            return Err(Fail::new(403, "origin", "Another site", detail, remedy).field("Origin", Some(origin)));
        }
    }
    Ok(())
}

/// A name that nobody else can make point here: an address, `localhost`, or one that the file names.
fn known(host: &str, hosts: &[String]) -> bool {
    if host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok() {
        return true;
    }
    if host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).is_some_and(|h| h.parse::<IpAddr>().is_ok()) {
        return true;
    }
    let name = host.rsplit_once(':').map_or(
        host,
        |(name, port)| {
            if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host }
        },
    );
    let name = name.to_ascii_lowercase();
    name == "localhost" || hosts.contains(&name)
}

async fn read(headers: &HeaderMap, body: Incoming) -> Result<Vec<u8>, Fail> {
    let too_large = || {
        let detail = format!("the body has more than {BODY_MAX} bytes");
        Fail::new(413, "too-large", "Too large", detail, "make several transactions of it")
    };
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > BODY_MAX as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY, Limited::new(body, BODY_MAX).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes().to_vec()),
        Ok(Err(e)) if e.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => {
            let detail = "the body is not what its headers say";
            Err(Fail::new(400, "bad-request", "Bad request", detail, "send it whole"))
        }
        Err(_) => {
            let detail = format!("the body was not there after {} s", BODY.as_secs());
            Err(Fail::new(408, "timeout", "Too slow", detail, "send it faster"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(&'static str, &str)]) -> HeaderMap {
        given.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect()
    }

    #[test]
    fn only_names_that_nobody_else_can_point_here_are_names_of_the_gateway() {
        let hosts = ["gw1.example.net".to_owned()];
        for host in
            ["127.0.0.1", "127.0.0.1:80", "[::1]:80", "[::1]", "localhost", "LOCALHOST:9", "gw1.example.net:443"]
        {
            assert!(check_origin(&headers(&[("host", host)]), true, &hosts).is_ok(), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:80",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost:x",
            "1",
        ] {
            let fail = check_origin(&headers(&[("host", host)]), true, &hosts).unwrap_err();
            assert_eq!(fail.0.status, 421, "{host}");
        }
        assert!(check_origin(&headers(&[]), false, &hosts).is_ok(), "a Unix socket has no name");
    }

    #[test]
    fn a_page_of_another_site_is_turned_away_and_our_own_is_not() {
        for (host, origin, own) in [
            ("localhost:8080", "http://localhost:8080", true),
            ("localhost:8080", "http://localhost:9090", false),
            ("localhost:8080", "http://evil.example", false),
            ("localhost:8080", "null", false),
            ("localhost:8080", "", false),
        ] {
            let given = headers(&[("host", host), ("origin", origin)]);
            assert_eq!(check_origin(&given, true, &[]).is_ok(), own, "{origin}");
            assert_eq!(check_origin(&given, false, &[]).is_ok(), own, "{origin}");
        }
    }
}
