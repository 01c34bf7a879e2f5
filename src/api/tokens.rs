//! Tokens of TCP clients. The file has only their hashes, and who may read it is checked all the same.
//!
//! A token is 32 random bytes, so that one round of SHA-256 is enough: there is nothing to guess.

use super::watched::Watched;
use crate::control::clock;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use subtle::ConstantTimeEq;
use tracing::{error, info};

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Read,
    /// Look and change.
    Write,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Role::Read => "read",
            Role::Write => "write",
        })
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Role, String> {
        match text {
            "read" => Ok(Role::Read),
            "write" => Ok(Role::Write),
            other => Err(format!("{other:?} is no role: write read or write")),
        }
    }
}

/// A token that is known.
#[derive(Clone, Debug)]
pub struct Token {
    /// What the history calls its holder.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    hash: [u8; 32],
    expires: Option<String>,
}

/// Why a file of tokens is not used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It can not be read.
    #[error("api.tokens = {path}: {source}: make it with `gatun token --name NAME --role write >> {path}`")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Others may read or write it.
    #[error("api.tokens = {path}: others may read or write it (mode {mode:o}): chmod 600 {path}")]
    Mode {
        /// The file.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// A line is none.
    #[error("{path}:{line}: {what}: a line is ROLE NAME sha256:HEX [EXPIRES], as `gatun token` prints it")]
    Line {
        /// The file.
        path: String,
        /// From 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// None is there.
    #[error("api.tokens = {0}: no token is there: add one with `gatun token --name NAME --role write >> {0}`")]
    Empty(String),
}

/// See the module.
#[derive(Debug)]
pub struct Tokens(Vec<Token>);

impl Tokens {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is not there, others may read it, or a line is none.
    pub fn load(path: &str) -> Result<Tokens, TokenError> {
        let failed = |source| TokenError::Io { path: path.to_owned(), source };
        let mut file = std::fs::File::open(Path::new(path)).map_err(failed)?;
        // Of the very file that is read.
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(TokenError::Mode { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        let mut tokens = Vec::new();
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            tokens.push(read(line).map_err(|what| TokenError::Line { path: path.to_owned(), line: n + 1, what })?);
        }
        if tokens.is_empty() { Err(TokenError::Empty(path.to_owned())) } else { Ok(Tokens(tokens)) }
    }

    /// Whose this is. Takes the same time whatever is presented.
    pub fn find(&self, presented: &str) -> Option<&Token> {
        let hash: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        let mut found = None;
        for token in &self.0 {
            if bool::from(token.hash.ct_eq(&hash)) {
                found = Some(token);
            }
        }
        found.filter(|token| !token.expires.as_deref().is_some_and(clock::has_come))
    }
}

/// The file of tokens while the gateway runs. It is read again when it was changed, at most a second later, so that who was
/// taken out of it is refused without a restart. A file that is wrong by then lets nobody in, and the log says why.
#[derive(Debug)]
pub struct TokenFile {
    path: String,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    tokens: Tokens,
    file: Watched,
}

impl TokenFile {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is not there, others may read it, or a line is none.
    pub fn open(path: &str) -> Result<TokenFile, TokenError> {
        let file = Watched::new(&[path]);
        let known = Known { tokens: Tokens::load(path)?, file };
        Ok(TokenFile { path: path.to_owned(), known: Mutex::new(known) })
    }

    /// Whose this is.
    pub fn find(&self, presented: &str) -> Option<Token> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.file.changed() {
            known.tokens = self.again();
        }
        known.tokens.find(presented).cloned()
    }

    fn again(&self) -> Tokens {
        match Tokens::load(&self.path) {
            Ok(tokens) => {
                info!("api.tokens = {}: {} token(s) were read again", self.path, tokens.0.len());
                tokens
            }
            Err(e) => {
                error!("{e}; until then nobody is let in over TCP");
                Tokens(Vec::new())
            }
        }
    }
}

/// A new token, and its line for the file.
///
/// # Errors
/// When the kernel gives no random bytes.
pub fn make(name: &str, role: Role, expires: Option<&str>) -> std::io::Result<(String, String)> {
    let mut bytes = [0u8; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let token = format!("gatun_{}", hex(&bytes));
    let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    let expires = expires.map(|at| format!(" {at}")).unwrap_or_default();
    let line = format!("{role} {name} sha256:{}{expires}", hex(&hash));
    Ok((token, line))
}

/// A line of the file.
fn read(line: &str) -> Result<Token, String> {
    let mut words = line.split_whitespace();
    let role = words.next().unwrap_or_default().parse()?;
    let name = words.next().filter(|n| n.len() <= 64).ok_or("its name is missing")?.to_owned();
    let digits = words.next().and_then(|hash| hash.strip_prefix("sha256:")).ok_or("its hash is missing")?;
    let hash = unhex(digits).ok_or("its hash is not 64 hexadecimal digits")?;
    let expires = words.next().map(str::to_owned);
    if let Some(at) = expires.as_deref().filter(|at| clock::seconds(at).is_none()) {
        return Err(format!("{at:?} is no moment: write it as in 2027-01-31T00:00:00Z"));
    }
    match words.next() {
        Some(more) => Err(format!("{more:?} is too much")),
        None => Ok(Token { name, role, hash, expires }),
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Option<[u8; 32]> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut bytes = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let [high, low] = *pair else { return None };
        *byte = nibble(high)? << 4 | nibble(low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions, write};

    fn file(lines: &str, mode: u32) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        write(&path, lines).unwrap();
        set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let path = path.to_str().unwrap().to_owned();
        (dir, path)
    }

    #[test]
    fn a_token_that_was_made_is_found_with_its_role_and_no_other_is() {
        let (reader, r) = make("grafana", Role::Read, None).unwrap();
        let (writer, w) = make("ops", Role::Write, Some("2999-01-01T00:00:00Z")).unwrap();
        let (expired, e) = make("old", Role::Write, Some("2020-01-01T00:00:00Z")).unwrap();
        let (_dir, path) = file(&format!("# who\n{r}\n\n{w}\n{e}\n"), 0o600);
        let tokens = Tokens::load(&path).unwrap();
        let role = |t: &str| tokens.find(t).map(|t| (t.name.clone(), t.role));
        assert_eq!(role(&reader), Some(("grafana".to_owned(), Role::Read)));
        assert_eq!(role(&writer), Some(("ops".to_owned(), Role::Write)));
        for wrong in [expired.as_str(), "", "gatun_", &reader[1..], &reader.to_uppercase()] {
            assert_eq!(role(wrong), None, "{wrong}");
        }
        assert_ne!(reader, writer);
    }

    #[test]
    fn a_file_that_others_may_read_or_that_is_wrong_is_refused_with_a_sentence() {
        let (_, line) = make("ops", Role::Write, None).unwrap();
        for (text, mode, said) in [
            (line.as_str(), 0o640, "chmod 600"),
            (line.as_str(), 0o602, "mode 602"),
            ("# nobody\n", 0o600, "no token is there"),
            ("admin ops sha256:00", 0o600, "is no role"),
            ("write ops sha256:00", 0o600, "64 hexadecimal"),
            ("write ops", 0o600, "its hash is missing"),
            ("write", 0o600, "its name is missing"),
            (&format!("{line} tomorrow"), 0o600, "is no moment"),
            (&format!("{line} 2027-01-01T00:00:00Z x"), 0o600, "is too much"),
        ] {
            let (_dir, path) = file(text, mode);
            let error = Tokens::load(&path).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert!(Tokens::load("/nonexistent").unwrap_err().to_string().contains("gatun token"));
    }
}
