//! `gatun run`.

use crate::api::server;
use crate::config::{self, Model};
use crate::control::{Keeper, OpenError};
use crate::journal::Directory;
use crate::log::{self, Format};
use crate::master::{Signals, cpus, handle, start};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use tracing::{Level, error, info, warn};

/// Where the running gateway answers.
pub const SOCKET: &str = "/run/gatun/gatun.sock";
/// Where it keeps what was changed by the REST interface.
pub const STATE: &str = "/var/lib/gatun";

/// Arguments.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  gatun run --config conf/gatun.toml
  gatun run --config conf/demo.toml --socket /tmp/gatun.sock --state /tmp/gatun

SIGTERM and SIGINT stop it in order, SIGHUP reads the file again.")]
pub struct Args {
    /// The configuration file.
    #[arg(long, short)]
    pub config: PathBuf,
    /// The Unix socket of the REST interface, where `gatun status` asks too.
    #[arg(long, default_value = SOCKET)]
    pub socket: PathBuf,
    /// The directory of the journal, which keeps what is changed by the REST interface.
    #[arg(long, default_value = STATE)]
    pub state: PathBuf,
    /// How it logs to standard error: lines for people and journald, or an object of JSON a line.
    #[arg(long, value_enum, env = "GATUN_LOG_FORMAT", default_value_t)]
    pub log_format: Format,
}

/// Runs until a signal. 0: stopped in order; 1: the environment does not allow it; 2: the configuration is wrong.
pub fn main(args: &Args) -> ExitCode {
    let begin = Instant::now();
    log::start(args.log_format);
    let say = |level, text: &str| log::say(args.log_format, level, text);
    let text = match config::text(&args.config) {
        Ok(text) => text,
        Err(problems) => {
            say(Level::ERROR, &problems.to_string());
            return ExitCode::from(2);
        }
    };
    let opened = Directory::open(&args.state).map_err(OpenError::from);
    let opened = opened.and_then(|state| Keeper::open(state, &text, &args.config.display().to_string()));
    let (keeper, control) = match opened {
        Ok(opened) => opened,
        Err(OpenError::Journal(e)) => {
            error!("{e}");
            return ExitCode::FAILURE;
        }
        Err(e) => {
            say(Level::ERROR, &e.to_string());
            return ExitCode::from(2);
        }
    };
    let (model, generation) = keeper.model();
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
    let sockets = match server::listen(&args.socket, &model.api) {
        Ok(sockets) => sockets,
        Err(e) => {
            error!("{e}");
            return ExitCode::FAILURE;
        }
    };
    let (handle, desk) = handle::desk();
    let server = match server::start(sockets, control, handle.clone(), &polled(&model)) {
        Ok(server) => server,
        Err(e) => {
            error!("{e}");
            return ExitCode::FAILURE;
        }
    };
    let mut master = match start::start(model, generation, claims) {
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
    let keeping = std::thread::Builder::new().name("keeper".to_owned()).spawn({
        let (signals, file) = (signals.clone(), args.config.clone());
        move || keeper.run(handle, &signals, &file)
    });
    if let Err(e) = keeping {
        error!("there is no thread to be had for the configuration: {e}");
        return ExitCode::FAILURE;
    }
    master.run(&signals, &desk, &mut || {
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
    match args.log_format {
        Format::Human => eprintln!("{}", super::status::counters(&status)),
        Format::Json => info!(status = serde_json::to_string(&status).unwrap_or_default(), "the counters at the end"),
    }
    if !ended {
        ExitCode::FAILURE
    } else if status.lcores.iter().all(|l| l.balance == 0) {
        ExitCode::SUCCESS
    } else {
        error!("the counters do not balance: please report this as a bug of gatun");
        ExitCode::FAILURE
    }
}

/// The CPUs that workers poll.
fn polled(model: &Model) -> Vec<u32> {
    // What is wrong with the places is said at the start of DPDK.
    let places = cpus::place(&model.lcores, "", &cpus::allowed());
    places.map(|places| places.workers.iter().map(|place| place.cpu).collect()).unwrap_or_default()
}
