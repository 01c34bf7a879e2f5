//! What must not get worse: figures recorded in `benches/gates.toml`, that a change is compared with.
//!
//! Counts may grow by 2 %. With `GATES=record` in the environment what is found is recorded instead.

use std::path::PathBuf;
use toml::Table;

/// How much a count may grow.
const MORE: f64 = 1.02;
/// What part of the share that was found is recorded: it is a ratio of times, and varies with the machine.
const LESS: f64 = 0.85;

/// The recorded figures.
pub struct Gates {
    recorded: Table,
    record: bool,
    failed: bool,
}

impl Gates {
    /// Those of the tree.
    pub fn read() -> Gates {
        let text = std::fs::read_to_string(path()).unwrap_or_default();
        let recorded = text.parse().unwrap_or_else(|e| panic!("benches/gates.toml: {e}"));
        Gates { recorded, record: std::env::var("GATES").as_deref() == Ok("record"), failed: false }
    }

    /// This count is at most 2 % above the recorded one.
    pub fn at_most(&mut self, name: &str, figure: f64) {
        self.compare(name, figure, figure, |recorded| figure <= recorded * MORE);
    }

    /// This share is at least the one recorded for CPUs of this make; for a make that has none it is not compared.
    pub fn at_least(&mut self, name: &str, figure: f64) {
        let name = format!("{name}-{}", vendor());
        if !self.record && !self.recorded.contains_key(&name) {
            println!(
                "{name}: {figure:.3}, not compared: none is recorded for CPUs of this make; `make gates GATES=record` does it"
            );
            return;
        }
        self.compare(&name, figure, figure * LESS, |recorded| figure >= recorded);
    }

    fn compare(&mut self, name: &str, figure: f64, to_record: f64, good: impl Fn(f64) -> bool) {
        if self.record {
            let rounded = format!("{to_record:.3}").parse::<f64>().unwrap_or(to_record);
            self.recorded.insert(name.to_owned(), rounded.into());
        }
        let recorded = self.recorded.get(name).and_then(|v| v.as_float());
        let verdict = match recorded {
            Some(recorded) if good(recorded) => "good",
            Some(_) => "WORSE",
            None => "NOT RECORDED",
        };
        self.failed |= verdict != "good";
        println!("{name:<18} {figure:>9.3}, recorded {:>9.3}: {verdict}", recorded.unwrap_or(f64::NAN));
    }

    /// Writes what was recorded, or ends the program when something was worse.
    pub fn done(self) {
        if self.record {
            let text = format!("{HEAD}{}", self.recorded);
            std::fs::write(path(), text).unwrap_or_else(|e| panic!("benches/gates.toml: {e}"));
        }
        if self.failed {
            eprintln!("Worse than benches/gates.toml. If it has to be so: `make gates GATES=record`, and say why.");
            std::process::exit(1);
        }
    }
}

const HEAD: &str = "\
# Recorded by `make gates GATES=record`. A count may be 2 % above: instructions a packet (hit-*, miss-*) or a connection
# (open, establish, reset, expire), allocations and system calls on 16,000 hits, timer entries that a turn of 32 frames looks
# at, messages that a worker takes in a turn. `share` is the least that gatun reaches of the 5-tuple swap at 1 M connections, for
# each make of CPU: it is a ratio of what waits for memory to what does not.
";

/// The make of this machine's CPUs, as they say themselves: `AuthenticAMD`, `GenuineIntel`.
fn vendor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let vendor = text.lines().find_map(|line| line.strip_prefix("vendor_id")?.split_once(':'));
    vendor.map_or("unknown", |(_, vendor)| vendor.trim()).to_owned()
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("gates.toml")
}
