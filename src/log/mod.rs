//! What `gatun run` says on standard error: for people, for journald, or as JSON for programs.
//!
//! One line an event. Where standard error is the journal's, which adds the time and knows priorities, a line begins with its
//! priority as in sd-daemon(3), and has neither time nor colour; the journal takes JSON in its lines the same way. That needs no
//! library, and whoever reads standard error elsewhere reads the same lines, which tracing-journald's own socket would not give.
//! The packet path never logs.

pub mod panic;

use nix::sys::stat::fstat;
use std::fmt;
use std::io::{IsTerminal, stderr};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, Layer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Rocket says of each request what it did with it, from within our routes too; they say nothing themselves.
const LOGGED: &str = "info,rocket=off,hyper=off,gatun::api::routes=off";

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people and for journald.
    #[default]
    Human,
    /// An object a line.
    Json,
}

/// From now on events go to standard error, and a panic is reported there before it ends the process. `RUST_LOG` says which
/// events; without it from info on.
pub fn start(format: Format) {
    let level = EnvFilter::try_from_default_env().unwrap_or_else(|_| LOGGED.into());
    let (events, journal) = (tracing_subscriber::registry().with(level), is_journal());
    panic::report(format, journal);
    let human = format::format().with_target(false);
    let layer = Layer::new().with_writer(stderr);
    match (format, journal) {
        (Format::Human, false) => events.with(layer.with_ansi(stderr().is_terminal()).event_format(human)).init(),
        (Format::Human, true) => {
            events.with(layer.with_ansi(false).event_format(WithPriority(human.without_time()))).init();
        }
        (Format::Json, false) => events.with(layer.fmt_fields(format::JsonFields::new()).event_format(json())).init(),
        (Format::Json, true) => {
            events.with(layer.fmt_fields(format::JsonFields::new()).event_format(WithPriority(json()))).init();
        }
    }
}

/// Says what has many lines: as it is for people, as one event for programs.
pub fn say(format: Format, level: Level, text: &str) {
    match (format, level) {
        (Format::Human, _) => eprintln!("{text}"),
        (Format::Json, Level::ERROR) => tracing::error!("{text}"),
        (Format::Json, _) => tracing::info!("{text}"),
    }
}

fn json() -> format::Format<format::Json> {
    format::format().with_target(false).json().flatten_event(true).with_current_span(false).with_span_list(false)
}

/// Whether standard error is a stream of journald's: systemd says which one it is, as device and inode.
fn is_journal() -> bool {
    let Ok(given) = std::env::var("JOURNAL_STREAM") else { return false };
    fstat(stderr()).is_ok_and(|is| given == format!("{}:{}", is.st_dev, is.st_ino))
}

/// A line with the priority of sd-daemon(3) in front.
struct WithPriority<F>(F);

impl<S, N, F> FormatEvent<S, N> for WithPriority<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write!(to, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(context, to, event)
    }
}

/// As syslog(3) numbers them.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}
