//! `gatun-loadgen`: a load generator on the `dpdk` layer, for `benches/rig` and for hardware.
//!
//! It is the clients on one port and the real servers on the other, with the gateway in between, and runs on one lcore.
//! Closed-loop: a window of packets or connections is on its way, and the next one starts when one is back; so the gateway
//! is never overloaded, and what comes back in a second is its throughput. Or open-loop, at a rate, for latencies.
//!
//! Every packet that comes back is checked: its addresses and ports are those of its flow, and its mark is of one that is on
//! its way. Checksums are looked at in one packet of a thousand. It allocates nothing while traffic runs, and keeps nothing
//! of a flow but its number.

pub mod addresses;
pub mod bed;
pub mod conns;
pub mod flood;
pub mod flows;
pub mod frame;
pub mod latency;
pub mod link;
pub mod opening;
pub mod options;
pub mod report;
pub mod window;

pub use options::{Cli, Mode};
pub use report::Report;

use addresses::{Clients, Prefix};
use bed::{Bed, Load, Pace, Tally, Traffic};
use conns::Conns;
use dpdk::{Eal, Mempool};
use flood::Flood;
use flows::Flows;
use indicatif::{ProgressBar, ProgressStyle};
use link::Link;
use opening::Opening;
use report::Start;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The command line.
    #[error("{0}")]
    Wrong(#[from] options::Wrong),
    /// The EAL.
    #[error("DPDK does not start: {0}")]
    Eal(#[from] dpdk::EalError),
    /// The packet buffers.
    #[error("--mbufs: {0}")]
    Mempool(#[from] dpdk::mempool::MempoolError),
    /// A port.
    #[error("--device {device}: {source}")]
    Port {
        /// Which.
        device: String,
        /// Why.
        source: dpdk::port::PortError,
    },
    /// It does not say where it is.
    #[error(
        "--gateway {0} does not answer ARP or neighbour discovery: is it up, and is the device connected to it? --gateway-mac does without"
    )]
    NoGateway(String),
    /// The gateway lets flows down.
    #[error(
        "{left} of {flows} flows do not open: the gateway drops their first packets (see `gatun status`), its table is too small, or the servers are not reached{hint}"
    )]
    NotOpen {
        /// Those.
        left: u32,
        /// Of these.
        flows: u32,
        /// The first wrong packet.
        hint: String,
    },
    /// A signal.
    #[error("stopped by a signal before anything was measured")]
    Stopped,
}

/// How long the gateway has to say where it is.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long flows may take to open.
const OPENING: Duration = Duration::from_secs(120);

/// Measures. `stop` ends it early, with a report of what was measured until then.
///
/// # Errors
/// See [`LoadError`].
pub fn run(mode: &Mode, stop: Arc<AtomicBool>) -> Result<Report, LoadError> {
    let common = mode.common();
    let identities = mode.identities()?;
    let eal = Eal::init(&mode.eal_args())?;
    let pool = Mempool::new(&eal, "loadgen", common.mbufs, 256, 2_048, None)?;
    let mut links = Vec::new();
    for (device, who) in common.devices.iter().zip(identities) {
        let link = Link::open(&eal, device, &pool, common.descriptors, usize::from(common.burst), who);
        links.push(link.map_err(|source| LoadError::Port { device: device.clone(), source })?);
    }
    let mut bed = Bed::new(links, pool, stop);
    if let Err(side) = bed.find_gateway(PATIENCE) {
        let ip = common.gateway.get(side).map(|ip| ip.to_string()).unwrap_or_default();
        return Err(LoadError::NoGateway(ip));
    }
    let (clients, services) = (Clients::new(common.clients), common.vip.clone());
    let servers = common.servers.filter(|_| !common.bare).map(Prefix::from);
    let whom = (clients, services, servers);
    let (tcp, flows) = (!matches!(mode, Mode::Udp(_)), mode.flows());
    if flows > 0 && !common.bare {
        open(&mut bed, tcp, &whom, flows, common)?;
    }
    let load = |bed: &Bed| match common.rate {
        Some(rate) => Load::Rate(Pace::new(rate, bed.now)),
        None => Load::Window(common.window),
    };
    let load = load(&bed);
    Ok(match mode {
        Mode::Udp(_) | Mode::Tcp(_) => {
            let traffic = Flows::new(&bed, tcp, whom, flows, &mode.frame_sizes(), load);
            measure(mode, &mut bed, traffic, |t| t.window.lost)
        }
        Mode::Conn(args) => {
            let traffic = Conns::new(&bed, whom, flows, load, args.repeat);
            measure(mode, &mut bed, traffic, |t| t.window.lost)
        }
        Mode::Synflood(_) => {
            let traffic = Flood::new(&bed, whom.0, whom.1, load);
            measure(mode, &mut bed, traffic, |_| 0)
        }
    })
}

type Whom = (Clients, addresses::Services, Option<Prefix>);

fn open(bed: &mut Bed, tcp: bool, whom: &Whom, flows: u32, common: &options::Common) -> Result<(), LoadError> {
    let mut opening = Opening::new(bed, tcp, whom.0, whom.1.clone(), flows, common.window);
    let bar = bar(common.json, "opening", u64::from(flows));
    let run = bed.run(&mut opening, OPENING, &mut |_, tally| bar.set_position(tally.started.min(u64::from(flows))));
    bar.finish_and_clear();
    let tally = std::mem::take(&mut bed.tally);
    match opening.left() {
        0 => Ok(()),
        _ if run.stopped => Err(LoadError::Stopped),
        left => {
            let hint = tally.first_wrong.map(|first| format!("; {first}")).unwrap_or_default();
            Err(LoadError::NotOpen { left, flows, hint })
        }
    }
}

fn measure<T: Traffic>(mode: &Mode, bed: &mut Bed, mut traffic: T, lost: fn(&T) -> u64) -> Report {
    let common = mode.common();
    bed.run(&mut traffic, Duration::from_secs_f64(common.warmup), &mut |_, _| {});
    // Mistakes count from the beginning.
    let Tally { wrong, sampled, bad_checksums, first_wrong, .. } = std::mem::take(&mut bed.tally);
    bed.tally = Tally { wrong, sampled, bad_checksums, first_wrong, ..Tally::default() };
    let (start, lost_before) = (Start::now(bed), lost(&traffic));
    let bar = bar(common.json, mode.name(), 1_000);
    let run = bed.run(&mut traffic, Duration::from_secs_f64(common.duration), &mut |part, _| {
        bar.set_position((part * 1_000.0) as u64);
    });
    bar.finish_and_clear();
    let lost = lost(&traffic) - lost_before;
    Report::new(mode.name(), mode.flows(), bed, &start, run, lost, common.rate.is_some())
}

fn bar(json: bool, what: &'static str, length: u64) -> ProgressBar {
    if json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg:>10} {wide_bar} {percent:>3} % {eta:>4}");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(what)
}
