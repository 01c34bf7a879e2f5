//! `gatun run`.

use crate::config;
use crate::master::{Signals, socket, start};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use tracing::{error, info, warn};

/// Where the running gateway answers `gatun status`.
pub const SOCKET: &str = "/run/gatun/gatun.sock";

/// Arguments.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  gatun run --config conf/gatun.toml
  gatun run --config conf/demo.toml --socket /tmp/gatun.sock

SIGTERM and SIGINT stop it in order, SIGHUP reads the file again.")]
pub struct Args {
    /// The configuration file.
    #[arg(long, short)]
    pub config: PathBuf,
    /// Where to answer `gatun status`.
    #[arg(long, default_value = SOCKET)]
    pub socket: PathBuf,
}

/// Runs until a signal. 0: stopped in order; 1: the environment does not allow it; 2: the configuration is wrong.
pub fn main(args: &Args) -> ExitCode {
    let begin = Instant::now();
    let level = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let colour = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(level)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .init();
    let model = match config::load(&args.config) {
        Ok(model) => model,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::from(2);
        }
    };
    let signals = Signals::default();
    let registered = [(SIGTERM, &signals.stop), (SIGINT, &signals.stop), (SIGHUP, &signals.reload)]
        .into_iter()
        .try_for_each(|(signal, flag)| signal_hook::flag::register(signal, flag.clone()).map(drop));
    if let Err(e) = registered {
        error!("signals can not be handled: {e}");
        return ExitCode::FAILURE;
    }
    // Before the EAL starts: a refused instance must not touch a device, and threads would inherit the master's CPU.
    let claims = match start::claim(&model) {
        Ok(claims) => claims,
        Err(e) => {
            error!("{e}");
            return ExitCode::FAILURE;
        }
    };
    let (server, requests) = match socket::listen(&args.socket) {
        Ok(listening) => listening,
        Err(e) => {
            error!("the status socket {}: {e}", args.socket.display());
            return ExitCode::FAILURE;
        }
    };
    let mut master = match start::start(model, &args.config, claims) {
        Ok(master) => master,
        Err(e) => {
            error!("{e}");
            return ExitCode::from(if matches!(e, start::StartError::Key(_) | start::StartError::Compile(_)) {
                2
            } else {
                1
            });
        }
    };
    master.run(&signals, &requests, &mut || {
        info!("ready after {} ms", begin.elapsed().as_millis());
        // Without a service manager there is nobody to tell.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    });
    let (status, ended) = (master.last_status(), master.has_ended());
    let kept = master.end();
    if kept > 0 {
        warn!("{kept} packet buffers did not come back from the ports");
    }
    drop(server);
    eprintln!("{}", super::status::counters(&status));
    if !ended {
        ExitCode::FAILURE
    } else if status.lcores.iter().all(|l| l.balance == 0) {
        ExitCode::SUCCESS
    } else {
        error!("the counters do not balance: please report this as a bug of gatun");
        ExitCode::FAILURE
    }
}
