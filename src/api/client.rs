//! The least that speaks to the REST interface over its Unix socket: one request a connection.

use super::types::Problem;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long the gateway may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody is there, or it went away.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The gateway says what is wrong.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// What came back is no answer.
    #[error("what answers on the socket is no gatun: {0}")]
    Strange(&'static str),
}

/// Asks, and gives the body of a good answer.
///
/// # Errors
/// When nobody answers, or the gateway refuses.
pub fn ask(socket: &Path, method: &str, path: &str, body: &str) -> Result<String, ClientError> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let length = body.len();
    let kind = if body.starts_with('{') { "application/json" } else { "application/toml" };
    // HTTP/1.0: the answer ends with the connection.
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: gatun\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(ClientError::Strange("its answer has no end"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
    match status {
        Some(200..=299) => Ok(body.to_owned()),
        Some(_) => match serde_json::from_str(body) {
            Ok(problem) => Err(ClientError::Problem(Box::new(problem))),
            Err(_) => Err(ClientError::Strange("its problem is none")),
        },
        None => Err(ClientError::Strange("it does not speak HTTP")),
    }
}
