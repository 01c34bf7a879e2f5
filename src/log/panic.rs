//! The last words of a gateway with a bug: which thread, where, why, and how it came there.

use super::Format;
use std::backtrace::Backtrace;
use std::io::Write;
use std::panic::PanicHookInfo;

/// The priority of the report, as syslog(3) numbers them: critical.
const PRIORITY: u8 = 2;

/// From now on a panic of any thread is reported on standard error, and ends the process by SIGABRT: a gateway that has lost a
/// thread must not go on with the others. So it is also where unwinding is possible, as in builds for development.
pub(super) fn report(format: Format, journal: bool) {
    std::panic::set_hook(Box::new(move |info| {
        let text = match format {
            Format::Human => human(info),
            Format::Json => json(info),
        };
        let prefix = if journal { format!("<{PRIORITY}>") } else { String::new() };
        let text: String = text.lines().map(|line| format!("{prefix}{line}\n")).collect();
        // In one piece; past tracing, which may be what panics.
        let _ = std::io::stderr().write_all(text.as_bytes());
        std::process::abort();
    }));
}

fn human(info: &PanicHookInfo<'_>) -> String {
    let lcore = dpdk::current_lcore().map_or(String::new(), |lcore| format!("lcore {}, ", lcore.0));
    format!(
        "PANIC in {lcore}thread {} at {}: {}\n{}\nThis is a bug of gatun: please report it, with these lines.",
        thread(),
        place(info),
        message(info),
        Backtrace::force_capture().to_string().trim_end(),
    )
}

fn json(info: &PanicHookInfo<'_>) -> String {
    serde_json::json!({
        "timestamp": crate::control::clock::now(),
        "level": "ERROR",
        "message": format!("panic: {}", message(info)),
        "at": place(info),
        "lcore": dpdk::current_lcore().map(|lcore| lcore.0),
        "thread": thread(),
        "backtrace": Backtrace::force_capture().to_string(),
    })
    .to_string()
}

/// The kernel's name for it: those of DPDK's have none of Rust's.
fn thread() -> String {
    let name = std::fs::read_to_string("/proc/thread-self/comm").unwrap_or_default();
    name.trim_end().to_owned()
}

fn place(info: &PanicHookInfo<'_>) -> String {
    info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string)
}

fn message<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
