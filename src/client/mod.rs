//! The clients' way to the gateway: HTTP over its Unix socket, or over TCP with a token.
//!
//! Used by `gatunctl` and by the ipvsadm of gatun. It speaks the types of [`api::types`](crate::api::types), follows pages,
//! and turns what goes wrong into a [`Failure`] with a sentence. ureq is the HTTP client: small, without a runtime, and it lets us
//! bring the Unix socket.

mod tls;
mod unix;

use crate::api::types::{Page, Problem};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::{Request, Response};
use ureq::tls::TlsConfig;
use ureq::{Agent, Body};

/// Where the gateway answers when nobody says otherwise.
pub const SOCKET: &str = "/run/gatun/gatun.sock";

/// Which gateway.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Target {
    /// The Unix socket of the gateway.
    #[arg(long, global = true, env = "GATUN_SOCKET", default_value = SOCKET, help_heading = "Gateway")]
    pub socket: PathBuf,
    /// Ask over TCP instead, as in https://gw1.example.com:9443; needs --token-file. Without TLS only on this machine.
    #[arg(long, global = true, env = "GATUN_URL", help_heading = "Gateway")]
    pub url: Option<String>,
    /// The file with the token for --url; nobody else may read it.
    #[arg(long, global = true, env = "GATUN_TOKEN_FILE", help_heading = "Gateway")]
    pub token_file: Option<PathBuf>,
    /// The certificate authorities of the gateway, a file in PEM; without it those that browsers trust.
    #[arg(long, global = true, env = "GATUN_CA", help_heading = "Gateway")]
    pub ca: Option<PathBuf>,
}

impl Target {
    /// From the variables of the environment alone.
    pub fn from_environment() -> Self {
        let path = |name| std::env::var_os(name).map(PathBuf::from);
        Self {
            socket: path("GATUN_SOCKET").unwrap_or_else(|| SOCKET.into()),
            url: std::env::var("GATUN_URL").ok(),
            token_file: path("GATUN_TOKEN_FILE"),
            ca: path("GATUN_CA"),
        }
    }
}

/// Why there is no answer, or none that helps.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something is missing on this side.
    #[error("{0}")]
    Here(String),
    /// Nobody answers.
    #[error("no gatun answers on {at}: {why}: is it running, and is this the way to it?")]
    Unreachable {
        /// The socket or URL.
        at: String,
        /// What the system says.
        why: String,
    },
    /// Somebody answers who does not prove to be the gateway.
    #[error("the certificate of {at} does not do: {why}")]
    Untrusted {
        /// The URL.
        at: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// The gateway says what is wrong.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// Somebody answers who is no gatun of this version.
    #[error("{at} does not answer as a gatun of this version does: {why}")]
    Strange {
        /// The socket or URL.
        at: String,
        /// What was unexpected.
        why: String,
    },
}

impl Failure {
    /// The HTTP status, where the gateway refused.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(problem) => Some(problem.status),
            Self::Here(_) | Self::Unreachable { .. } | Self::Untrusted { .. } | Self::Strange { .. } => None,
        }
    }
}

/// What is asked for with a request besides its path.
#[derive(Clone, Debug, Default)]
pub struct Ask<'a> {
    /// Names and values behind the `?`.
    pub query: &'a [(&'a str, String)],
    /// Only if the configuration is still this generation.
    pub generation: Option<u64>,
}

/// A gateway to talk to. One connection is kept open.
pub struct Client {
    agent: Agent,
    base: String,
    at: String,
    token: Option<String>,
}

impl Client {
    /// Does not connect yet.
    pub fn new(target: &Target) -> Result<Self, Failure> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .max_redirects(0)
            .proxy(None);
        let Some(url) = &target.url else {
            let socket = target.socket.clone();
            return Ok(Self {
                agent: Agent::with_parts(config.build(), unix::Socket(socket.clone()), unix::NoNames),
                base: "http://localhost".to_owned(),
                at: socket.display().to_string(),
                token: None,
            });
        };
        tls::check(url)?;
        let Some(path) = &target.token_file else {
            return Err(Failure::Here("--url needs --token-file: over TCP the gateway asks for a token".to_owned()));
        };
        let (token, roots) = (tls::token(path)?, tls::roots(target.ca.as_deref())?);
        let config = config.tls_config(TlsConfig::builder().root_certs(roots).build()).build();
        let base = url.trim_end_matches('/').to_owned();
        Ok(Self { agent: config.into(), at: base.clone(), base, token: Some(token) })
    }

    /// GET of one thing.
    pub fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, Failure> {
        self.send("GET", path, &Ask { query, generation: None }, None::<&()>)
    }

    /// GET of all pages of a list, at most `limit` items.
    pub fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        limit: usize,
    ) -> Result<Vec<T>, Failure> {
        let mut items = Vec::new();
        self.pages(path, query, &mut |page| {
            items.extend(page.items);
            items.len() < limit
        })?;
        items.truncate(limit);
        Ok(items)
    }

    /// GET of the pages of a list, until there are no more or `each` has enough.
    pub fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        each: &mut dyn FnMut(Page<T>) -> bool,
    ) -> Result<(), Failure> {
        let mut query = query.to_vec();
        if !query.iter().any(|(name, _)| *name == "limit") {
            query.push(("limit", crate::api::types::PAGE_MAX.to_string()));
        }
        loop {
            let page: Page<T> = self.get(path, &query)?;
            query.retain(|(name, _)| *name != "after");
            let next = page.next.clone();
            if !each(page) {
                return Ok(());
            }
            match next {
                Some(next) => query.push(("after", next)),
                None => return Ok(()),
            }
        }
    }

    /// Any method, with JSON or nothing, for JSON.
    pub fn send<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        ask: &Ask<'_>,
        body: Option<&impl Serialize>,
    ) -> Result<T, Failure> {
        let body = body.map(serde_json::to_vec).transpose().map_err(|e| self.strange(e))?;
        let answer = self.answer(method, path, ask, body.map(|body| ("application/json", body)))?;
        serde_json::from_slice(&answer).map_err(|e| self.strange(e))
    }

    /// Any method, with a body of any kind, for whatever comes.
    pub fn answer(
        &self,
        method: &str,
        path: &str,
        ask: &Ask<'_>,
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<Vec<u8>, Failure> {
        let mut answer = self.open(method, path, ask, body)?;
        // A page of services can have many servers.
        let bytes = answer.body_mut().with_config().limit(1 << 30).read_to_vec();
        bytes.map_err(|e| self.unreachable(e))
    }

    /// GET of a document that is worth reading whatever the status is.
    pub fn document<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let mut answer = self.exchange("GET", path, &Ask::default(), None)?;
        let text = answer.body_mut().read_to_string().map_err(|e| self.unreachable(e))?;
        serde_json::from_str(&text).map_err(|e| match serde_json::from_str(&text) {
            Ok(problem) => Failure::Refused(problem),
            Err(_) => self.strange(e),
        })
    }

    /// The same as it comes, for what is long.
    pub fn open(
        &self,
        method: &str,
        path: &str,
        ask: &Ask<'_>,
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<Response<Body>, Failure> {
        let mut answer = self.exchange(method, path, ask, body)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let text = answer.body_mut().read_to_string().map_err(|e| self.unreachable(e))?;
        match serde_json::from_str::<Problem>(&text) {
            Ok(problem) => Err(Failure::Refused(Box::new(problem))),
            Err(_) => Err(self.strange(format!("{status} to {method} {path}"))),
        }
    }

    fn exchange(
        &self,
        method: &str,
        path: &str,
        ask: &Ask<'_>,
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<Response<Body>, Failure> {
        let mut url = format!("{}{path}", self.base);
        for (n, (name, value)) in ask.query.iter().enumerate() {
            url.push(if n == 0 { '?' } else { '&' });
            url.push_str(&format!("{name}={}", segment(value)));
        }
        let mut request = Request::builder().method(method).uri(url);
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if let Some(generation) = ask.generation {
            request = request.header("If-Match", format!("\"{generation}\""));
        }
        let odd = |e| Failure::Here(format!("{path} is no path to ask for: {e}"));
        let answer = match body {
            Some((kind, body)) => self.agent.run(request.header("Content-Type", kind).body(body).map_err(odd)?),
            None => self.agent.run(request.body(()).map_err(odd)?),
        };
        answer.map_err(|e| self.unreachable(e))
    }

    fn unreachable(&self, e: ureq::Error) -> Failure {
        if let Some(why) = tls::distrust(&e) {
            return Failure::Untrusted { at: self.at.clone(), why };
        }
        let why = match e {
            ureq::Error::Io(e) => e.to_string(),
            e => e.to_string(),
        };
        Failure::Unreachable { at: self.at.clone(), why }
    }

    fn strange(&self, why: impl std::fmt::Display) -> Failure {
        Failure::Strange { at: self.at.clone(), why: why.to_string() }
    }
}

fn read(path: &Path, what: &str) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|e| Failure::Here(format!("{what} can not be read from {}: {e}", path.display())))
}

/// A part of a path, or a value of a query, with what has a meaning there escaped.
pub fn segment(text: &str) -> String {
    const MEANING: &AsciiSet = &CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'#')
        .add(b'%')
        .add(b'&')
        .add(b'+')
        .add(b'/')
        .add(b'<')
        .add(b'>')
        .add(b'?')
        .add(b'[')
        .add(b']')
        .add(b'\\')
        .add(b'^')
        .add(b'`')
        .add(b'{')
        .add(b'|')
        .add(b'}');
    utf8_percent_encode(text, MEANING).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::{Count, Item};
    use std::io::{BufRead, BufReader, Read, Write};
    use std::os::unix::net::UnixListener;

    /// Answers each request on one connection with the next of `answers`, and gives back what was asked.
    fn serve(path: &Path, answers: Vec<(&'static str, String)>) -> std::thread::JoinHandle<Vec<String>> {
        let listener = UnixListener::bind(path).unwrap();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut asked = Vec::new();
            for (status, body) in answers {
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    reader.read_line(&mut head).unwrap();
                }
                let head = head.to_lowercase();
                let chunked = head.contains("transfer-encoding: chunked");
                let length = head.split("content-length: ").nth(1).and_then(|n| n.lines().next()?.parse().ok());
                let mut content = vec![0; length.unwrap_or(0)];
                reader.read_exact(&mut content).unwrap();
                assert!(!chunked, "a body of known length");
                asked.push(format!("{head}{}", String::from_utf8(content).unwrap()));
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
            }
            asked
        })
    }

    fn target(path: &Path) -> Target {
        Target { socket: path.to_owned(), ..Target::default() }
    }

    #[test]
    fn pages_are_followed_and_refusals_are_problems_on_one_connection() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let page = |items: &str, next: &str| format!(r#"{{"generation":3,"items":[{items}]{next}}}"#);
        let problem = r#"{"type":"/problems/not-found","title":"t","status":404,"detail":"there is no service x","remedy":"look"}"#;
        let answers = vec![
            ("200 OK", page(r#"{"count":1},{"count":2}"#, r#","next":"a b""#)),
            ("200 OK", page(r#"{"count":3}"#, "")),
            ("404 Not Found", problem.to_owned()),
            ("200 OK", r#"{"generation":4,"count":9}"#.to_owned()),
        ];
        let server = serve(&path, answers);
        let client = Client::new(&target(&path)).unwrap();
        let counts: Vec<Count> = client.list("/api/v1/things", &[("name", "a&b".to_owned())], 100).unwrap();
        assert_eq!(counts.iter().map(|c| c.count).collect::<Vec<_>>(), [1, 2, 3]);
        let refused = client.get::<Count>("/api/v1/things/x", &[]).unwrap_err();
        assert_eq!((refused.status(), refused.to_string().as_str()), (Some(404), "there is no service x: look"));
        let ask = Ask { query: &[], generation: Some(4) };
        let done: Item<Count> = client.send("PUT", "/api/v1/things/y", &ask, Some(&Count { count: 9 })).unwrap();
        assert_eq!((done.generation, done.item.count), (4, 9));
        let asked = server.join().unwrap();
        assert!(asked[0].starts_with("get /api/v1/things?name=a%26b&limit=1000 "), "{}", asked[0]);
        assert!(asked[1].starts_with("get /api/v1/things?name=a%26b&limit=1000&after=a%20b "), "{}", asked[1]);
        assert!(asked[3].contains("if-match: \"4\"") && asked[3].ends_with("{\"count\":9}"), "{}", asked[3]);
    }

    #[test]
    fn who_is_not_there_or_no_gatun_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let client = Client::new(&target(&path)).unwrap();
        let failure = client.get::<Count>("/api/v1/version", &[]).unwrap_err();
        assert!(failure.to_string().contains(path.to_str().unwrap()), "{failure}");
        assert!(matches!(failure, Failure::Unreachable { .. }), "{failure}");
        let server = serve(&path, vec![("200 OK", "hello".to_owned())]);
        let failure = client.get::<Count>("/api/v1/version", &[]).unwrap_err();
        assert!(matches!(failure, Failure::Strange { .. }), "{failure}");
        server.join().unwrap();
    }

    #[test]
    fn over_tcp_a_token_is_needed() {
        let target = Target { url: Some("http://127.0.0.1:1".to_owned()), ..Target::default() };
        let failure = Client::new(&target).err().unwrap();
        assert!(failure.to_string().contains("--token-file"), "{failure}");
    }
}
