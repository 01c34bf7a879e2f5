//! What does not vary with the machine, beside its goals, or with `gate` beside what is recorded in `gates.toml`: the counts of
//! `instructions.rs`, and the connections that a turn ends. `benches/counts.sh` runs both.

use gatun_bench::gates::Gates;
use gatun_bench::goals::Results;
use gatun_bench::lone::{self, Gateway, PACKETS};
use gatun_engine::addr::Proto;
use gatun_engine::conn::state::State;
use gatun_engine::snapshot::Snapshot;
use serde_json::Value;
use std::sync::Arc;

fn main() {
    let path = gatun_bench::out_dir().join("instructions.jsonl");
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("{}: {e}; benches/counts.sh writes it", path.display()));
    let counts: Vec<Count> = text.lines().map(Count::read).collect();
    let instructions = || counts.iter().filter_map(|c| Some((c.name.as_str(), c.metric("Ir")? / PACKETS as f64)));
    let sum =
        |metric| counts.iter().filter(|c| c.name == "hit-tcp").filter_map(|c| c.metric(metric)).reduce(|a, b| a + b);
    let calls = sum("SysCount").zip(sum("TotalBlocks")).map(|(calls, blocks)| calls + blocks);
    let calls = calls.expect("system calls and blocks of the heap on hits");

    if std::env::args().any(|a| a == "gate") {
        let mut gates = Gates::read();
        instructions().for_each(|(name, figure)| gates.at_most(name, figure));
        gates.at_most("calls", calls);
        gates.at_most("entries", entries() as f64);
        return gates.done();
    }
    let mut r = Results::new("counts");
    instructions().for_each(|(name, figure)| r.add(name, Ok(figure.into()), "instructions a packet or connection"));
    let hits = instructions().find(|(name, _)| *name == "hit-tcp").expect("instructions of hits").1;
    let how = "callgrind, turn and finish of a lcore in bursts of 32, without DPDK's part";
    r.add("G10", Ok(hits.into()), how);
    r.add("G10@calls", Ok(calls.into()), "callgrind and DHAT, the same");
    r.write();
}

/// What gungraun says of one count.
struct Count {
    name: String,
    found: Value,
}

impl Count {
    fn read(line: &str) -> Count {
        let found: Value =
            serde_json::from_str(line).unwrap_or_else(|e| panic!("a line that is no count: {e}: {line}"));
        let name = found["id"].as_str().expect("a count has a name").replace('_', "-");
        Count { name, found }
    }

    /// A metric, if its tool was run for this count.
    fn metric(&self, name: &str) -> Option<f64> {
        let profiles = self.found["profiles"].as_array().into_iter().flatten();
        profiles.filter_map(|p| p["data"]["total"]["metrics"][name]["values"]["new"].as_f64()).next()
    }
}

/// Timer entries that a turn of 32 frames looks at when many are due: it ends that many connections.
fn entries() -> u64 {
    let mut gateway = Gateway::new(Proto::Udp, PACKETS);
    let shared = &mut gateway.lcore().shared;
    let mut snapshot = Snapshot::clone(shared.snapshot());
    snapshot.profiles[0].set(State::Udp, 10);
    shared.replace(Arc::new(snapshot));
    gateway.open(PACKETS);
    gateway.later(11);
    let nobody = lone::elsewhere(&gateway.clients(1)[0]);
    let mut frames = gateway.frames(0, &[nobody]);
    gateway.turns(&mut frames[..1]);
    gateway.stats().conns_closed.value()
}
