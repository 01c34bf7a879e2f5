//! `gatunctl capture`: frames into a file, or into tcpdump.

use super::table::table;
use super::{Ctl, Done, Trouble};
use crate::api::types::{
    CAPTURE_COUNT, CAPTURE_COUNT_MAX, CAPTURE_SECONDS, CAPTURE_SECONDS_MAX, CAPTURE_SNAPLEN, Capture, CaptureDirection,
    CaptureFormat, CaptureProtocol, CaptureSpec, Item,
};
use clap::ValueEnum;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

const PATH: &str = "/api/v1/captures";
/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

#[derive(clap::Args)]
#[command(
    after_help = "Several conditions hold together. A capture ends after --count frames, after --seconds, with Ctrl-C, or when
the program that it is piped into ends. Frames that the gateway had no room for, because they came faster than they were
read, are counted and told of at the end. A connection has other addresses towards its server: `gatunctl conn list --client`
says which.

Examples:
  gatunctl capture -w - | tcpdump -n -r -
  gatunctl capture -w - --drop tcp_no_connection --seconds 300 | tcpdump -n -r -
  gatunctl capture -w lan.pcap --port lan --dir tx --count 1000
  gatunctl capture -w - --tuple 198.18.1.1:40000,198.18.1.100:80 --snaplen 96 | tcpdump -n -r -
  gatunctl capture -w why.pcapng --format pcapng --drop any      # the reason is each frame's comment
  gatunctl capture --list"
)]
pub(super) struct Args {
    /// The capture file; - for standard output.
    #[arg(short = 'w', long = "write", value_name = "FILE", required_unless_present_any = ["list", "stop"])]
    write: Option<PathBuf>,
    /// Only frames of this port.
    #[arg(long)]
    port: Option<String>,
    /// Frames as they were received, as they were sent, or both.
    #[arg(long = "dir", value_enum, default_value = "both", conflicts_with = "drop")]
    direction: Direction,
    /// Frames that are thrown away, for this reason or for any; `gatunctl drops --all` lists them.
    #[arg(long, value_name = "REASON")]
    drop: Option<String>,
    /// Only frames of this protocol.
    #[arg(long, value_enum)]
    protocol: Option<Protocol>,
    /// Only frames from and to this address, or address and port.
    #[arg(long, value_name = "ADDRESS[:PORT]", conflicts_with = "tuple")]
    host: Option<String>,
    /// Only frames between these two, in both directions.
    #[arg(long, value_name = "ADDRESS[:PORT],ADDRESS[:PORT]", value_delimiter = ',')]
    tuple: Vec<String>,
    /// Bytes of a frame that are kept.
    #[arg(short = 's', long, value_name = "BYTES", default_value_t = CAPTURE_SNAPLEN[1],
        value_parser = clap::value_parser!(u64).range(CAPTURE_SNAPLEN[0]..=CAPTURE_SNAPLEN[1]))]
    snaplen: u64,
    /// End after so many frames.
    #[arg(short = 'c', long, value_name = "FRAMES", default_value_t = CAPTURE_COUNT,
        value_parser = clap::value_parser!(u64).range(1..=CAPTURE_COUNT_MAX))]
    count: u64,
    /// End after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = CAPTURE_SECONDS,
        value_parser = clap::value_parser!(u64).range(1..=CAPTURE_SECONDS_MAX))]
    seconds: u64,
    /// What everything reads; or pcapng, with port, direction, lcore and drop reason of each frame.
    #[arg(long, value_enum, default_value = "pcap")]
    format: Format,
    /// List the captures that run, and the last that ended.
    #[arg(long, conflicts_with_all = ["write", "stop"])]
    list: bool,
    /// End a capture, whoever began it.
    #[arg(long, value_name = "ID", conflicts_with = "write")]
    stop: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Direction {
    Rx,
    Tx,
    Both,
}

#[derive(Clone, Copy, ValueEnum)]
enum Protocol {
    Tcp,
    Udp,
    Icmp,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Pcap,
    Pcapng,
}

pub(super) fn run(ctl: &Ctl, args: Args) -> Done {
    if args.list {
        let captures: Vec<Capture> = ctl.client.list(PATH, &[], usize::MAX)?;
        return ctl.show(&captures, |captures| listed(captures));
    }
    if let Some(id) = args.stop {
        let path = format!("{PATH}/{id}");
        let stopped: Item<Capture> = ctl.client.send("DELETE", &path, &ctl.ask(&[]), None::<&()>)?;
        return ctl.show(&stopped.item, |capture| format!("capture {} ends", capture.id));
    }
    let to = args.write.clone().unwrap_or_default();
    record(ctl, &spec(args)?, &to)
}

fn spec(args: Args) -> Result<CaptureSpec, Trouble> {
    let (host, peer) = match (args.host, args.tuple.as_slice()) {
        (host, []) => (host, None),
        (_, [one, other]) => (Some(one.clone()), Some(other.clone())),
        (_, other) => {
            let given = other.join(",");
            return Err(Trouble::Usage(format!("--tuple {given}: give two ends with a comma between them")));
        }
    };
    Ok(CaptureSpec {
        port: args.port,
        direction: args.drop.is_none().then_some(match args.direction {
            Direction::Rx => CaptureDirection::Rx,
            Direction::Tx => CaptureDirection::Tx,
            Direction::Both => CaptureDirection::Both,
        }),
        drop: args.drop,
        protocol: args.protocol.map(|protocol| match protocol {
            Protocol::Tcp => CaptureProtocol::Tcp,
            Protocol::Udp => CaptureProtocol::Udp,
            Protocol::Icmp => CaptureProtocol::Icmp,
        }),
        host,
        peer,
        snaplen: Some(args.snaplen),
        count: Some(args.count),
        seconds: Some(args.seconds),
        format: Some(match args.format {
            Format::Pcap => CaptureFormat::Pcap,
            Format::Pcapng => CaptureFormat::Pcapng,
        }),
    })
}

fn record(ctl: &Ctl, spec: &CaptureSpec, to: &Path) -> Done {
    let standard = to.as_os_str() == "-";
    if standard && std::io::stdout().is_terminal() {
        let what = "a capture is nothing for a terminal: gatunctl capture -w - | tcpdump -n -r -";
        return Err(Trouble::Usage(what.to_owned()));
    }
    let body = serde_json::to_vec(spec).map_err(|e| Trouble::Usage(e.to_string()))?;
    let mut answer = ctl.client.open("POST", PATH, &ctl.ask(&[]), Some(("application/json", body)))?;
    // Only when the gateway has said yes is there a file.
    let mut out: Box<dyn Write> = match standard {
        true => Box::new(std::io::stdout().lock()),
        false => Box::new(File::create(to).map_err(Trouble::system(to.display().to_string()))?),
    };
    let told = answer.headers().get("Location").and_then(|path| path.to_str().ok()).map(str::to_owned);
    let ended = until_interrupted(ctl, told.as_deref(), || copy(answer.body_mut().as_reader(), &mut *out, to))?;
    if let Some(path) = told.filter(|_| ended) {
        let capture: Item<Capture> = ctl.client.get(&path, &[])?;
        eprintln!("{} frames, {} lost", capture.item.frames, capture.item.lost);
    }
    Ok(())
}

/// Does `work`, which reads the stream of a capture. Ctrl-C ends that at the gateway, so that the stream ends behind a whole
/// frame; pressed twice, it ends this program at once.
fn until_interrupted<T>(
    ctl: &Ctl,
    capture: Option<&str>,
    work: impl FnOnce() -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(Trouble::system("Ctrl-C can not be waited for"))?;
    let handle = signals.handle();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for (n, signal) in signals.forever().enumerate() {
                // Of these signals it does not come back.
                let end_at_once = move || drop(emulate_default_handler(signal));
                match capture.filter(|_| n == 0) {
                    None => end_at_once(),
                    Some(path) => drop(scope.spawn(move || {
                        let stopped: Result<Item<Capture>, _> =
                            ctl.client.send("DELETE", path, &ctl.ask(&[]), None::<&()>);
                        stopped.map_or_else(|_| end_at_once(), drop);
                    })),
                }
            }
        });
        let done = work();
        handle.close();
        done
    })
}

/// Writes a capture. False when whoever reads it has seen enough before its end.
fn copy(mut frames: impl Read, out: &mut dyn Write, to: &Path) -> Result<bool, Trouble> {
    let mut piece = vec![0; PIECE];
    loop {
        let len = match frames.read(&mut piece) {
            Ok(0) => return Ok(true),
            Ok(len) => len,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(Trouble::system("the capture broke off")(e)),
        };
        match out.write_all(&piece[..len]).and_then(|()| out.flush()) {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => return Ok(false),
            done => done.map_err(Trouble::system(to.display().to_string()))?,
        }
    }
}

fn listed(captures: &[Capture]) -> String {
    let mut t = table(&["id", "who", "since", "", "frames", "lost", "what"], 7);
    for c in captures {
        let what = serde_json::to_string(&c.spec).unwrap_or_default();
        let state = if c.running { "runs" } else { "ended" };
        let [id, frames, lost] = [c.id, c.frames, c.lost].map(|n| n.to_string());
        t.add_row([id, c.who.clone(), c.since.clone(), state.to_owned(), frames, lost, what]);
    }
    t.trim_fmt()
}
