//! What gatun is to reach, and what a run of the benches found: `target/bench/NAME.json` for each bench, put together to
//! `target/bench/summary.json`, a table, and the same table for a README, `target/bench/summary.md`.

use crate::measure::Spread;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// One goal.
#[derive(Debug)]
pub struct Goal {
    /// As it is called everywhere.
    pub id: &'static str,
    /// What is measured, and its unit.
    pub what: &'static str,
    /// What has to be reached.
    pub must: f64,
    /// What is aimed at.
    pub aim: f64,
    /// More is better.
    pub higher: bool,
}

const fn high(id: &'static str, what: &'static str, must: f64, aim: f64) -> Goal {
    Goal { id, what, must, aim, higher: true }
}
const fn low(id: &'static str, what: &'static str, must: f64, aim: f64) -> Goal {
    Goal { id, what, must, aim, higher: false }
}

/// All of them.
pub const GOALS: &[Goal] = &[
    high("G1@10k", "packets a CPU-second, share of the 5-tuple swap, 10 k connections", 0.35, 0.45),
    high("G1@1M", "the same, 1 M connections", 0.22, 0.28),
    high("G1@10M", "the same, 10 M connections", 0.14, 0.18),
    low("G2", "cost of a packet at 10 M connections over that at 10 k", 3.5, 2.8),
    high("G3@1M", "connections opened and closed a CPU-second, 1 M live", 8e6, 10e6),
    high("G3@10M", "the same, 10 M live", 5e6, 7e6),
    low("G4", "cost of a packet that opens or matches nothing over that of a hit, 1 M", 1.0, 0.8),
    low("G5", "bytes a connection, everything in, at 10 M", 128.0, 96.0),
    low("G5@IPv6", "the same, IPv6", 192.0, 160.0),
    low("G6@packet", "timers, tsc a packet by ablation, 1 M", 5.0, 3.0),
    low("G6@turn", "longest turn while 1 M connections expire together, us on CPU", 100.0, 50.0),
    low("G7@50%", "take a local port, half of them in use, tsc", 50.0, 25.0),
    low("G7@99%", "the same, 99 % in use", 200.0, 100.0),
    high("G7@usable", "local ports usable for a (server, local address)", 64_512.0, 64_512.0),
    high("G8", "two workers on two CPUs over one", 1.85, 1.95),
    low("G9@p99", "one burst of 32 at 1 M, us", 5.0, 3.0),
    low("G9@p99.9", "the same", 10.0, 6.0),
    low("G10", "instructions a packet on a hit, 1 M", 300.0, 220.0),
    low("G10@calls", "heap allocations and system calls on 16,000 hits", 0.0, 0.0),
    high("G11@1k", "two-process rig, share of testpmd io, 1 k UDP flows", 0.55, 0.70),
    high("G11@60k", "the same, 60 k flows", 0.50, 0.65),
    high("G11@1M", "the same, 1 M flows", 0.40, 0.55),
    high("G12", "six-packet TCP connections a second in the rig, 1 M live", 1.5e6, 2.5e6),
    high("G13", "software policy with half of the packets redirected, over all local", 0.5, 0.7),
];

impl Goal {
    /// The goal of this name.
    pub fn of(id: &str) -> Option<&'static Goal> {
        GOALS.iter().find(|g| g.id == id)
    }

    fn verdict(&self, figure: f64) -> &'static str {
        let reaches = |limit: f64| if self.higher { figure >= limit } else { figure <= limit };
        if reaches(self.aim) {
            "aim"
        } else if reaches(self.must) {
            "must"
        } else {
            "missed"
        }
    }
}

/// A figure, and between what the single ones lay.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// The figure.
    pub value: f64,
    /// Lowest and highest.
    pub spread: [f64; 2],
}

impl From<f64> for Figure {
    fn from(value: f64) -> Figure {
        Figure { value, spread: [value, value] }
    }
}

impl From<Spread> for Figure {
    fn from(s: Spread) -> Figure {
        Figure { value: s.median, spread: [s.low, s.high] }
    }
}

/// What one bench found.
pub struct Results {
    bench: &'static str,
    found: Map<String, Value>,
}

impl Results {
    /// Nothing yet.
    pub fn new(bench: &'static str) -> Results {
        Results { bench, found: Map::new() }
    }

    /// Adds a figure, or the reason why there is none, and prints it. A name that no goal has is kept as a figure without
    /// verdict.
    pub fn add(&mut self, id: &str, figure: Result<Figure, String>, how: &str) {
        let mut entry = match &figure {
            Ok(f) => json!({ "figure": short(f.value), "spread": f.spread.map(short), "how": how }),
            Err(why) => json!({ "figure": null, "spread": [], "how": why, "verdict": "unmeasured" }),
        };
        if let Some(goal) = Goal::of(id) {
            entry["must"] = goal.must.into();
            entry["aim"] = goal.aim.into();
            entry["better"] = if goal.higher { "higher" } else { "lower" }.into();
            if let Ok(f) = figure {
                entry["verdict"] = goal.verdict(f.value).into();
            }
        }
        println!("{}", line(id, &entry));
        self.found.insert(id.to_owned(), entry);
    }

    /// Writes `target/bench/BENCH.json`.
    pub fn write(self) {
        write(self.bench, &Value::Object(self.found));
    }
}

fn path(name: &str) -> PathBuf {
    crate::out_dir().join(format!("{name}.json"))
}

fn write(name: &str, value: &Value) {
    std::fs::create_dir_all(crate::out_dir()).expect("target/bench");
    let text = serde_json::to_string_pretty(value).expect("JSON");
    std::fs::write(path(name), text + "\n").expect("target/bench");
}

/// What a bench has written.
pub fn read(name: &str) -> Map<String, Value> {
    let text = std::fs::read_to_string(path(name)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Puts what the benches have written together: the goals are written, all is printed.
pub fn summary(benches: &[&str]) {
    let mut found: Map<String, Value> = benches.iter().flat_map(|name| read(name)).collect();
    let mut results = Map::new();
    let mut markdown = "| goal | must | aim | found | | what |\n|---|---|---|---|---|---|\n".to_owned();
    println!("\n{:<11} {:>11} {:>9} {:>9}  verdict", "goal", "figure", "must", "aim");
    for goal in GOALS {
        let unmeasured = || json!({ "figure": null, "spread": [], "verdict": "unmeasured", "how": "it was not run" });
        let mut entry = found.remove(goal.id).unwrap_or_else(unmeasured);
        entry["must"] = goal.must.into();
        entry["aim"] = goal.aim.into();
        entry["better"] = if goal.higher { "higher" } else { "lower" }.into();
        println!("{}", line(goal.id, &entry));
        markdown += &row(goal, &entry);
        results.insert(goal.id.to_owned(), entry);
    }
    println!("\nOther figures");
    for (id, entry) in &found {
        println!("{}", line(id, entry));
    }
    write("summary", &Value::Object(results));
    std::fs::write(crate::out_dir().join("summary.md"), markdown).expect("target/bench");
}

/// One row of the table for a README.
fn row(goal: &Goal, entry: &Value) -> String {
    let found = entry["figure"].as_f64().map_or("-".to_owned(), readable);
    let verdict = entry["verdict"].as_str().unwrap_or("");
    format!(
        "| {} | {} | {} | {found} | {verdict} | {} |\n",
        goal.id,
        readable(goal.must),
        readable(goal.aim),
        goal.what
    )
}

/// One line of the table.
fn line(id: &str, entry: &Value) -> String {
    let number = |v: &Value| v.as_f64().map_or("-".to_owned(), readable);
    let spread = match entry["spread"].as_array().map(Vec::as_slice) {
        Some([low, high]) if low != high => format!(" [{} {}]", number(low), number(high)),
        _ => String::new(),
    };
    let (must, aim) = (number(&entry["must"]), number(&entry["aim"]));
    let what = Goal::of(id).map_or("", |g| g.what);
    let verdict = entry["verdict"].as_str().unwrap_or("");
    let how = entry["how"].as_str().unwrap_or("");
    format!("{id:<11} {:>11} {must:>9} {aim:>9}  {verdict:<10} {what}{spread}; {how}", number(&entry["figure"]))
}

fn readable(n: f64) -> String {
    match n {
        n if n >= 1e5 => format!("{:.2} M", n / 1e6),
        n if n >= 100.0 || n == n.trunc() => format!("{n:.0}"),
        n => format!("{n:.3}"),
    }
}

/// Four digits are more than any of these figures is good for, but for a count.
fn short(n: f64) -> f64 {
    if n == n.trunc() { n } else { format!("{n:.3e}").parse().unwrap_or(n) }
}
