//! Figures, verdicts, and where they are written.

use crate::{least, median, most};
use anyhow::Context;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    /// More is.
    Higher,
}

/// How a goal was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// At least as good as was aimed for.
    Aim,
    /// At least as good as it must be.
    Must,
    /// Not as good.
    Missed,
    /// The measurement says nothing.
    Unmeasured,
}

/// One goal.
#[derive(Debug, Serialize)]
pub(crate) struct Goal {
    figure: Option<f64>,
    must: f64,
    aim: f64,
    better: Better,
    verdict: Verdict,
    /// The least and the most.
    spread: Vec<f64>,
    how: String,
}

impl Goal {
    /// The median of these values, unless there are none that say anything.
    pub(crate) fn new(values: Option<Vec<f64>>, must: f64, aim: f64, better: Better, how: String) -> Goal {
        let figure = values.as_deref().map(median);
        let verdict = match figure {
            None => Verdict::Unmeasured,
            Some(f) if f >= aim => Verdict::Aim,
            Some(f) if f >= must => Verdict::Must,
            Some(_) => Verdict::Missed,
        };
        let spread = values.map_or(Vec::new(), |v| vec![least(&v), most(&v)]);
        Goal { figure, must, aim, better, verdict, spread, how }
    }
}

/// All goals of a run.
pub(crate) struct Results {
    goals: BTreeMap<String, Goal>,
    load: String,
}

impl Results {
    /// None yet; with the load average before the first.
    pub(crate) fn new(load: String) -> Results {
        Results { goals: BTreeMap::new(), load }
    }

    /// One more.
    pub(crate) fn add(&mut self, name: &str, goal: Goal) {
        self.goals.insert(name.to_owned(), goal);
    }

    /// Prints the table, and writes `target/bench/rig.json`.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        let mut table = Table::new();
        table.load_style(NOTHING).set_header(["goal", "figure", "from", "to", "must", "aim", "verdict"]);
        for column in table.column_iter_mut().skip(1).take(5) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for (name, g) in &self.goals {
            let number = |n: Option<&f64>| n.map_or("-".to_owned(), |n| text(*n));
            let verdict = format!("{:?}", g.verdict).to_lowercase();
            let (from, to) = (number(g.spread.first()), number(g.spread.get(1)));
            table.add_row([name.clone(), number(g.figure.as_ref()), from, to, text(g.must), text(g.aim), verdict]);
        }
        println!("{}\n", table.trim_fmt());
        for (name, g) in &self.goals {
            println!("{name}: {}", g.how);
        }
        println!("load average before: {}", self.load);
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/rig.json");
        let dir = file.parent().context("a directory")?;
        std::fs::create_dir_all(dir)
            .and_then(|()| std::fs::write(&file, serde_json::to_string_pretty(&self.goals)?))?;
        println!("written to {}", file.display());
        Ok(())
    }
}

/// Shares with two digits, rates in millions.
fn text(n: f64) -> String {
    if n >= 1e5 { format!("{:.2} M", n / 1e6) } else { format!("{n:.2}") }
}
