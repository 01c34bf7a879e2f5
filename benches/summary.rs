//! Puts the results of all benches together: `target/bench/summary.json`, and a table.

use gatun_bench::goals;

fn main() {
    // The rig's are those of its own last run.
    goals::summary(&["counts", "micro", "control", "paired", "rig"]);
}
