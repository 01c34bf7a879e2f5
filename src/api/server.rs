//! The start of the REST interface: sockets, tokens and certificates first, so that what is wrong with them is said before a
//! device is touched; then the threads that serve.

use super::app::App;
use super::front::Front;
use super::tokens::{TokenError, TokenFile};
use super::{certificate, openapi, routes};
use crate::config::Api;
use crate::control::{Control, clock};
use crate::master::Master;
use crate::master::handle::Handle;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use rocket::local::asynchronous::Client;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;

/// Threads that serve.
const THREADS: usize = 2;

/// Why the REST interface does not start.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Somebody is there.
    #[error("another gatun answers on {0}: stop it, or give this one its own --socket")]
    InUse(String),
    /// A socket.
    #[error("{what} can not be had: {source}")]
    Socket {
        /// Which.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// The tokens.
    #[error("{0}")]
    Tokens(#[from] TokenError),
    /// The certificate or its key.
    #[error("{field} = {path}: {why}: give a file in PEM")]
    Tls {
        /// `api.tls_cert` or `api.tls_key`.
        field: &'static str,
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// The routes.
    #[error("the routes do not fit together: {0}: please report this as a bug")]
    Routes(String),
}

/// What listens, and who may speak. The Unix socket's file goes with it.
pub struct Sockets {
    path: PathBuf,
    unix: Option<UnixListener>,
    tcp: Vec<std::net::TcpListener>,
    tls: Option<TlsAcceptor>,
    tokens: Option<TokenFile>,
    api: Api,
}

impl Drop for Sockets {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The running interface: ends when it is dropped.
pub struct Server {
    _runtime: Runtime,
    _sockets: Sockets,
}

/// Takes every socket, and reads every file.
///
/// # Errors
/// A sentence for what is wrong.
pub fn listen(path: &Path, api: &Api) -> Result<Sockets, ApiError> {
    let tokens = api.tokens.as_deref().map(TokenFile::open).transpose()?;
    let tls = api.tls.as_ref().map(certificate::acceptor).transpose()?;
    if UnixStream::connect(path).is_ok() {
        return Err(ApiError::InUse(path.display().to_string()));
    }
    let failed = |what: String| move |source| ApiError::Socket { what, source };
    let name = format!("the socket {}", path.display());
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(failed(name.clone()))?;
    }
    // Left behind by an instance that was killed: nobody answers on it.
    let _ = std::fs::remove_file(path);
    // Nobody may open it before its mode is right.
    let old = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o117));
    let bound = UnixListener::bind(path);
    nix::sys::stat::umask(old);
    let unix = bound.map_err(failed(name.clone()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed(name.clone()))?;
    unix.set_nonblocking(true).map_err(failed(name))?;
    let tcp = api.listen.iter().map(|address| tcp(*address)).collect::<Result<_, _>>()?;
    Ok(Sockets { path: path.to_owned(), unix: Some(unix), tcp, tls, tokens, api: api.clone() })
}

fn tcp(address: SocketAddr) -> Result<std::net::TcpListener, ApiError> {
    let failed = |source| ApiError::Socket { what: format!("api.listen = {address}"), source };
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// Serves from now on, in threads of its own on CPUs other than `busy`. To be called before the EAL pins the calling thread.
///
/// # Errors
/// When there are no threads to be had.
pub fn start(mut sockets: Sockets, control: Control, handle: Handle<Master>, busy: &[u32]) -> Result<Server, ApiError> {
    let cpus = others(busy);
    let failed = |source| ApiError::Socket { what: "the threads of the REST interface".to_owned(), source };
    let runtime = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .max_blocking_threads(THREADS)
        .thread_name("api")
        .enable_all()
        .on_thread_start(move || {
            // Where the kernel does not allow it, it schedules as it likes.
            let _ = sched_setaffinity(Pid::from_raw(0), &cpus);
        })
        .build()
        .map_err(failed)?;
    let app = App::new(control, handle, clock::now());
    let client = runtime.block_on(rocket(app))?;
    let front = Arc::new(Front::new(client, sockets.tokens.take(), &sockets.api));
    let _guard = runtime.enter();
    if let Some(listener) = sockets.unix.take() {
        runtime.spawn(front.clone().unix(tokio::net::UnixListener::from_std(listener).map_err(failed)?));
    }
    for listener in std::mem::take(&mut sockets.tcp) {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
        runtime.spawn(front.clone().tcp(listener, sockets.tls.clone()));
    }
    drop(_guard);
    Ok(Server { _runtime: runtime, _sockets: sockets })
}

/// The routes, without a socket of their own.
async fn rocket(app: App) -> Result<Client, ApiError> {
    // Nothing is read from the environment or from a file of Rocket's.
    let config = rocket::Config {
        log_level: rocket::config::LogLevel::Off,
        cli_colors: false,
        ..rocket::Config::release_default()
    };
    let rocket = rocket::custom(config)
        .manage(app)
        .mount(routes::BASE, routes::all())
        .mount("/", openapi::routes())
        .mount("/", routes::elsewhere())
        .register("/", rocket::catchers![super::catcher::problem]);
    Client::untracked(rocket).await.map_err(|e| ApiError::Routes(e.to_string()))
}

/// Every CPU that this process may use, but those of the workers; all where nothing would be left.
fn others(busy: &[u32]) -> CpuSet {
    let allowed = crate::master::cpus::allowed();
    let free: Vec<u32> = allowed.iter().copied().filter(|cpu| !busy.contains(cpu)).collect();
    let mut set = CpuSet::new();
    for cpu in if free.is_empty() { &allowed } else { &free } {
        // Out of bounds is no CPU.
        let _ = set.set(*cpu as usize);
    }
    set
}
