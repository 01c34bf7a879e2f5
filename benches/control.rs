//! The control plane at its largest: 10,000 services with 100,000 servers. What it takes to load them and to change one thing
//! of them, from the request to the worker that runs the new snapshot: the keeper, its journal on the disk, the compiler and a
//! worker's mailbox are the real ones. What is left out is the master's other work of a turn.
//!
//! `cargo bench -p gatun-bench --bench control`

use gatun::api::types::{Edit, RealPatch, RealSpec, ServiceSpec};
use gatun::config::compile::{Compiler, Shards, limits};
use gatun::config::{Model, ServiceId};
use gatun::control::{Ask, Control, Keeper, Publish, Refusal, Request, Working};
use gatun::journal::Directory;
use gatun::master::Signals;
use gatun::worker::mailbox::{Mailbox, Rings, ToWorker};
use gatun_bench::gateway;
use gatun_bench::goals::{Figure, Results};
use gatun_bench::heap::Buf;
use gatun_bench::measure::cpu;
use gatun_engine::addr::{LcoreId, Mac};
use gatun_engine::lcore::Lcore;
use gatun_engine::limit::DEFAULT_LIMITS;
use gatun_engine::mem::Heap;
use gatun_engine::neighbor::Neighbors;
use gatun_engine::shard::{Shard, Shared, Sizes};
use gatun_engine::stats::Stats;
use gatun_engine::steer::Steer;
use gatun_engine::time::Tick;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SERVICES: u32 = 10_000;
const REALS: u32 = 10;
/// Changes of each kind.
const CHANGES: u32 = 200;
/// As many edits as `gatun-ipvsadm -R` puts into a transaction.
const TOGETHER: usize = 1_000;

fn main() {
    let mut results = Results::new("control");
    let text = file(SERVICES);
    load(&mut results, &text);
    let bed = Bed::start(&text);
    for (name, edits) in kinds() {
        let before = bed.times();
        for n in 0..CHANGES {
            bed.change(edits(n));
        }
        let all = bed.times();
        results.add(
            &format!("control {name}"),
            Ok(middle(&all.changes[before.changes.len()..])),
            "keeper and compiler, ms on CPU a change",
        );
    }
    let before = bed.times().changes.len();
    let late = bed.thousand_a_second(Duration::from_secs(5));
    let all = bed.times();
    let busy: f64 = all.changes[before..].iter().sum::<f64>() / 5_000.0;
    results.add(
        "control 1000/s busy",
        Ok(busy.into()),
        "share of a CPU that the keeper takes at 1,000 changes a second",
    );
    results.add(
        "control 1000/s snapshots",
        Ok(((all.changes.len() - before) as f64 / 5.0).into()),
        "snapshots a second then",
    );
    results.add("control 1000/s answer", Ok(middle(&late)), "ms until a change is answered then");
    results.add("control turn", Ok(middle(&all.turns)), "a worker's turn that takes a snapshot, us on CPU");
    let longest = all.turns.iter().copied().fold(0.0, f64::max);
    results.add("control turn max", Ok(longest.into()), "the longest of them");
    bed.end();
    bulk(&mut results);
    results.write();
}

/// From a text to a snapshot.
fn load(results: &mut Results, text: &str) {
    let ms = |what: &mut dyn FnMut()| {
        let figures: Vec<f64> = (0..5).map(|_| timed(&mut *what)).collect();
        middle(&figures)
    };
    let read = ms(&mut || drop(Working::read(text, "big.toml")));
    results.add("control read", Ok(read), "text of 6 MB to a model and a document, ms");
    let model = Arc::new(Working::read(text, "big.toml").expect("a right file").model);
    let compiled = ms(&mut || drop(compiler(&model).compile(&model, &Shards::NONE).expect("room")));
    results.add("control compile", Ok(compiled), "a model to the first snapshot, ms");
    let whole = ms(&mut || Bed::start(text).end());
    results.add("control load", Ok(whole), "file to running, and down again, with an empty journal, ms");
}

/// The same configuration by requests: as one transaction, and in the order of `ipvsadm -S`.
fn bulk(results: &mut Results) {
    let bed = Bed::start(&file(0));
    let all = (0..SERVICES).map(|n| Edit::AddService { service: service(n, REALS) }).collect();
    results.add("control transaction", Ok(timed(|| bed.change(all)).into()), "10,000 services as one transaction, ms");
    bed.end();
    let bed = Bed::start(&file(0));
    let lines = (0..SERVICES).flat_map(|n| {
        let reals = (0..REALS).map(move |r| Edit::AddReal { service: id(n), real: real(n, r) });
        std::iter::once(Edit::AddService { service: service(n, 0) }).chain(reals)
    });
    let lines: Vec<Edit> = lines.collect();
    let restore = timed(|| lines.chunks(TOGETHER).for_each(|some| bed.change(some.to_vec())));
    results.add("control restore", Ok(restore.into()), "110,000 lines of a restore, 1,000 in a transaction, ms");
    bed.end();
}

type Kind = (&'static str, fn(u32) -> Vec<Edit>);

/// What is changed, and how.
fn kinds() -> [Kind; 4] {
    [
        ("weight", |n| vec![reweigh(n)]),
        ("server", |n| {
            let new = RealSpec { address: SocketAddr::from(([198, 19, 254, 1], 1 + n as u16 / 2)), weight: 1 };
            let delete =
                Edit::DeleteReal { service: id(7), id: format!("{}-{}", new.address.ip(), new.address.port()) };
            vec![if n.is_multiple_of(2) { Edit::AddReal { service: id(7), real: new } } else { delete }]
        }),
        ("service", |n| {
            let new = SERVICES + n / 2;
            let add = Edit::AddService { service: service(new, REALS) };
            vec![if n.is_multiple_of(2) { add } else { Edit::DeleteService { id: id(new) } }]
        }),
        ("first service", |n| {
            // The first of all goes and comes back as the last.
            vec![Edit::DeleteService { id: id(n) }, Edit::AddService { service: service(n, REALS) }]
        }),
    ]
}

fn reweigh(n: u32) -> Edit {
    let service = n.wrapping_mul(7_919) % (SERVICES / 2) + SERVICES / 2;
    let address = real(service, 3).address;
    let weight = Some(1_000 + (n % 60_000) as u16);
    Edit::PatchReal {
        service: id(service),
        id: format!("{}-{}", address.ip(), address.port()),
        patch: RealPatch { weight },
    }
}

/// A keeper at work, with what the master and a worker do of a change.
struct Bed {
    control: Control,
    signals: Signals,
    thread: std::thread::JoinHandle<()>,
    times: Arc<Mutex<Times>>,
    dir: std::path::PathBuf,
    runtime: tokio::runtime::Runtime,
}

/// On CPU.
#[derive(Clone, Default)]
struct Times {
    /// Of the keeper, ms, from one snapshot to the next.
    changes: Vec<f64>,
    /// Of the worker's turns that took a snapshot, us.
    turns: Vec<f64>,
}

impl Bed {
    fn start(text: &str) -> Bed {
        let dir = gatun_bench::out_dir().join(format!("control-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("a directory for the journal");
        let disk = Directory::open(&dir).expect("a journal");
        let (keeper, control) = Keeper::open(disk, text, "big.toml").unwrap_or_else(|e| panic!("{e}"));
        let (model, generation) = keeper.model();
        let times = Arc::new(Mutex::new(Times::default()));
        let runs = Runs::start(&model, generation, times.clone());
        let signals = Signals::default();
        let thread = std::thread::spawn({
            let signals = signals.clone();
            move || keeper.run(runs, &signals, Path::new("big.toml"))
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        Bed { control, signals, thread, times, dir, runtime }
    }

    fn change(&self, edits: Vec<Edit>) {
        let outcome = self.runtime.block_on(self.control.change(request(edits)));
        outcome.unwrap_or_else(|e| panic!("{e}"));
    }

    /// Weights, whether the answers come in time or not; how long each answer took, ms.
    fn thousand_a_second(&self, time: Duration) -> Vec<f64> {
        let set = tokio::task::LocalSet::new();
        set.block_on(&self.runtime, async {
            let mut tick = tokio::time::interval(Duration::from_millis(1));
            let begin = Instant::now();
            let mut answers = Vec::new();
            for n in 0.. {
                tick.tick().await;
                if begin.elapsed() >= time {
                    break;
                }
                let (control, request) = (self.control.clone(), request(vec![reweigh(n)]));
                answers.push(tokio::task::spawn_local(async move {
                    let begin = Instant::now();
                    control.change(request).await.unwrap_or_else(|e| panic!("{e}"));
                    begin.elapsed().as_secs_f64() * 1e3
                }));
            }
            let mut late = Vec::new();
            for answer in answers {
                late.push(answer.await.expect("an answer"));
            }
            late
        })
    }

    fn times(&self) -> Times {
        self.times.lock().expect("times").clone()
    }

    fn end(self) {
        self.signals.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the keeper");
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// What the master does of a change, and a worker: here on the keeper's thread.
struct Runs {
    compiler: Compiler,
    rings: Arc<Rings>,
    mailbox: Mailbox,
    lcore: Lcore<Heap, Buf>,
    generation: u64,
    times: Arc<Mutex<Times>>,
    since: Duration,
}

impl Runs {
    fn start(model: &Arc<Model>, generation: u64, times: Arc<Mutex<Times>>) -> Runs {
        let mut compiler = compiler(model);
        compiler.continue_from(generation - 1);
        let snapshot = Arc::new(compiler.compile(model, &Shards::NONE).expect("room"));
        let steer = Arc::new(Steer::new(Steer::key_from_seed(1), 1).expect("a key"));
        let shared = Shared::new(snapshot, Arc::new(Neighbors::new(1_024)), steer);
        let (sizes, stats) = (Sizes::of(1_024, 0, model.tables.reals as usize), Arc::new(Stats::new(1)));
        let shard = Shard::new(&Heap, LcoreId(0), sizes, stats, 1, Tick(0)).expect("memory");
        let rings = Arc::new(Rings::new());
        let lcore = Lcore::new(shared, shard, 1, 1, &DEFAULT_LIMITS, Tick(0));
        Runs { compiler, mailbox: Mailbox::new(rings.clone()), rings, lcore, generation, times, since: Duration::ZERO }
    }
}

impl Publish for Runs {
    fn apply(&mut self, model: &Arc<Model>, generation: u64) -> Result<(), Refusal> {
        self.compiler.continue_from(generation - 1);
        let shards = Shards { generation: self.generation, in_use: &|_| false };
        let snapshot = self.compiler.compile(model, &shards).map_err(|e| Refusal::Room(e.to_string()))?;
        let message = ToWorker::Snapshot(Arc::new(snapshot), Box::new(limits(model)));
        assert!(self.rings.to.push(message).is_ok(), "a ring with room");
        let begin = cpu();
        self.mailbox.read(Tick(1), &mut self.lcore);
        let turn = cpu() - begin;
        assert!(self.rings.from.pop().is_some(), "the worker has taken it");
        self.generation = generation;
        let mut times = self.times.lock().expect("times");
        times.turns.push(turn.as_secs_f64() * 1e6);
        // All that the keeper did since the last one: edit, check, compile, journal, and freeing what was before.
        let now = cpu();
        if self.since != Duration::ZERO {
            times.changes.push((now - self.since).as_secs_f64() * 1e3);
        }
        self.since = now;
        Ok(())
    }

    fn connections(&mut self, servers: &[(ServiceId, SocketAddr)]) -> Option<Vec<u64>> {
        Some(vec![0; servers.len()])
    }
}

fn compiler(model: &Model) -> Compiler {
    Compiler::new(
        Arc::new(Neighbors::new(1_024)),
        vec![gateway::MAC; 2].into_iter().map(|m: Mac| m).collect(),
        model.tables.reals as usize,
    )
}

fn request(edits: Vec<Edit>) -> Request {
    Request { who: "bench".to_owned(), if_generation: None, dry_run: false, ask: Ask::Edit(edits) }
}

/// Wall clock, ms.
fn timed(what: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    what();
    begin.elapsed().as_secs_f64() * 1e3
}

/// The median, with all but the last hundredth on either side.
fn middle(figures: &[f64]) -> Figure {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or_default();
    Figure { value: at(0.5), spread: [at(0.01), at(0.99)] }
}

/// A gateway with so many services, behind one router.
fn file(services: u32) -> String {
    let mut text = r#"
[tables]
reals = 131_072
[[port]]
name = "wan"
device = "net_null0"
[[port]]
name = "lan"
device = "net_null1"
[[interface]]
port = "wan"
addresses = ["198.18.0.254/24"]
[[interface]]
port = "lan"
addresses = ["198.18.1.254/24"]
[[route]]
to = "198.19.128.0/17"
via = "198.18.1.1"
[[laddr_pool]]
name = "lan"
addresses = ["198.18.1.100-198.18.1.163"]
"#
    .to_owned();
    for n in 0..services {
        text += &format!("[[service]]\nprotocol = \"tcp\"\naddress = \"{}\"\nscheduler = \"wrr\"\nreal = [\n", vip(n));
        for r in 0..REALS {
            let RealSpec { address, weight } = real(n, r);
            text += &format!("    {{ address = \"{address}\", weight = {weight} }},\n");
        }
        text += "]\n";
    }
    text
}

/// 250 addresses of each subnet of 256.
fn host(base: [u8; 2], n: u32) -> Ipv4Addr {
    Ipv4Addr::new(198, base[0], base[1] + (n / 250) as u8, (n % 250 + 1) as u8)
}

fn vip(n: u32) -> SocketAddr {
    SocketAddr::from((host([19, 0], n), 80))
}

fn real(service: u32, r: u32) -> RealSpec {
    let n = service * REALS + r;
    let address = SocketAddr::from((host([19, 128], n % 25_000), 8_000 + (n / 25_000) as u16));
    RealSpec { address, weight: 1 + (n % 7) as u16 }
}

fn service(n: u32, reals: u32) -> ServiceSpec {
    let spec = format!(r#"{{"protocol": "tcp", "address": "{}", "scheduler": "wrr"}}"#, vip(n));
    let spec: ServiceSpec = serde_json::from_str(&spec).expect("a service");
    ServiceSpec { reals: (0..reals).map(|r| real(n, r)).collect(), ..spec }
}

fn id(n: u32) -> String {
    format!("tcp-{}-80", vip(n).ip())
}
