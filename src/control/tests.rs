//! The keeper with the real compiler instead of the master, and a disk in memory.

use super::document::service_id;
use super::*;
use crate::api::types::{GenerationKind, Protocol, RealPatch};
use crate::config::ServiceId;
use crate::config::compile::{Compiler, Shards};
use crate::journal::Disk;
use gatun_engine::addr::Mac;
use gatun_engine::neighbor::Neighbors;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

const FILE: &str = include_str!("../../conf/demo.toml");
const WEB: &str = "tcp-198.18.1.100-80";
const RS1: &str = "198.18.2.11-80";

/// Files that outlive the keeper; refuses to be written while it is full.
#[derive(Clone, Default)]
struct Memory(Rc<RefCell<Files>>);

#[derive(Default)]
struct Files {
    bytes: BTreeMap<String, Vec<u8>>,
    full: bool,
}

impl Memory {
    fn full(&self, full: bool) {
        self.0.borrow_mut().full = full;
    }

    fn write(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        if inner.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        change(inner.bytes.entry(name.to_owned()).or_default());
        Ok(())
    }
}

impl Disk for Memory {
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.borrow().bytes.get(name).cloned())
    }
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.write(name, |file| file.extend(bytes))
    }
    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.write(name, |file| file.truncate(len as usize))
    }
    fn sync(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn create(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.write(name, |file| *file = bytes.to_vec())
    }
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let file = self.0.borrow_mut().bytes.remove(from).unwrap_or_default();
        self.write(to, |there| *there = file)
    }
}

/// What the master would run.
struct Runs {
    compiler: Compiler,
    model: Arc<Model>,
    generation: u64,
    snapshots: usize,
    connections: u64,
}

impl Publish for Runs {
    fn apply(&mut self, model: &Arc<Model>, generation: u64) -> Result<(), Refusal> {
        assert!(generation > self.generation, "generations only grow");
        self.compiler.continue_from(generation - 1);
        let compiled = self.compiler.compile(model, &Shards { generation: self.generation, in_use: &|_| false });
        let snapshot = compiled.map_err(|e| Refusal::Room(e.to_string()))?;
        assert_eq!(snapshot.generation, generation);
        (self.model, self.generation) = (model.clone(), generation);
        self.snapshots += 1;
        Ok(())
    }

    fn connections(&mut self, servers: &[(ServiceId, SocketAddr)]) -> Option<Vec<u64>> {
        Some(vec![self.connections; servers.len()])
    }
}

struct Bed {
    keeper: Keeper<Memory>,
    control: Control,
    runs: Runs,
    disk: Memory,
}

fn open(disk: &Memory, file: &str) -> Bed {
    let (mut keeper, control) = Keeper::open(disk.clone(), file, "gatun.toml").unwrap_or_else(|e| panic!("{e}"));
    keeper.begin();
    let (model, generation) = keeper.model();
    let room = model.tables.reals as usize;
    let mut compiler = Compiler::new(Arc::new(Neighbors::new(64)), vec![Mac::default(); 2], room);
    compiler.continue_from(generation - 1);
    compiler.compile(&model, &Shards::NONE).unwrap();
    let runs = Runs { compiler, model, generation, snapshots: 0, connections: 0 };
    Bed { keeper, control, runs, disk: disk.clone() }
}

impl Bed {
    fn new() -> Bed {
        open(&Memory::default(), FILE)
    }

    /// The process ends here, and another begins with this file.
    fn again(self, file: &str) -> Bed {
        open(&self.disk, file)
    }

    fn all(&mut self, asks: Vec<Ask>) -> Vec<Result<Outcome, Refusal>> {
        let request = |ask| Request { who: "somebody".to_owned(), if_generation: None, dry_run: false, ask };
        self.requests(asks.into_iter().map(request).collect())
    }

    /// As if they had all come at the same moment.
    fn requests(&mut self, requests: Vec<Request>) -> Vec<Result<Outcome, Refusal>> {
        let mut answers = Vec::new();
        let mut first = None;
        for request in requests {
            let (reply, answer) = oneshot::channel();
            answers.push(answer);
            match first {
                None => first = Some((request, reply)),
                Some(_) => self.control.to.try_send((request, reply)).unwrap(),
            }
        }
        self.keeper.serve(first.unwrap(), &mut self.runs);
        answers.iter_mut().map(|answer| answer.try_recv().unwrap()).collect()
    }

    fn one(&mut self, ask: Ask) -> Result<Outcome, Refusal> {
        self.all(vec![ask]).remove(0)
    }

    fn weight(&self) -> Option<u16> {
        let web = self.runs.model.services.iter().find(|s| service_id(Protocol::Tcp, s.address) == WEB)?;
        web.reals.iter().find(|r| r.address.to_string() == "198.18.2.11:80").map(|r| r.weight)
    }

    /// What is written, what runs and what is shown are the same.
    fn consistent(&self) {
        let state = self.control.state();
        assert_eq!(*state.model, *self.runs.model);
        assert_eq!(state.generation, self.runs.generation);
        let written = state.last().unwrap().document.write();
        assert_eq!(crate::config::parse(&written, "written").unwrap(), *self.runs.model);
    }
}

fn weight(weight: u16) -> Ask {
    let patch = RealPatch { weight: Some(weight) };
    Ask::Edit(vec![Edit::PatchReal { service: WEB.to_owned(), id: RS1.to_owned(), patch }])
}

fn edit(json: &str) -> Ask {
    Ask::Edit(serde_json::from_str(json).unwrap())
}

#[test]
fn what_was_acknowledged_is_there_after_a_crash_with_its_generation_and_history() {
    let mut bed = Bed::new();
    for n in 2..=4 {
        assert_eq!(bed.one(weight(n)).unwrap().generation, u64::from(n));
    }
    bed.consistent();
    let bed = bed.again(FILE);
    bed.consistent();
    assert_eq!((bed.weight(), bed.runs.generation), (Some(4), 4));
    let history = bed.control.state().history.clone();
    let lines: Vec<_> = history.iter().map(|e| (e.generation(), e.listed().who, e.listed().changes.len())).collect();
    let expected = [(1, "file", 0), (2, "somebody", 1), (3, "somebody", 1), (4, "somebody", 1)];
    assert_eq!(lines, expected.map(|(g, who, n)| (g, who.to_owned(), n)));
}

#[test]
fn what_comes_together_is_one_snapshot_and_one_record_and_each_is_answered_for_itself() {
    let mut bed = Bed::new();
    let before = bed.disk.0.borrow().bytes["journal"].len();
    let mut asks: Vec<Ask> = (2..=9).map(weight).collect();
    asks.insert(3, edit(r#"[{"op": "delete_service", "id": "tcp-198.18.1.100-9"}]"#));
    asks.insert(5, edit(r#"[{"op": "patch_service", "id": "tcp-198.18.1.100-80", "patch": {"name": "echo"}}]"#));
    let outcomes = bed.all(asks);
    let refused: Vec<_> = outcomes.iter().enumerate().filter(|(_, o)| o.is_err()).map(|(n, _)| n).collect();
    assert_eq!(refused, [3, 5]);
    let generations: Vec<_> = outcomes.iter().flatten().map(|o| o.generation).collect();
    assert_eq!(generations, [2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!((bed.runs.snapshots, bed.weight()), (1, Some(9)));
    let records = bed.disk.0.borrow().bytes["journal"][before..].windows(4).filter(|w| *w == b"\xa7gjr").count();
    assert_eq!(records, 1);
    bed.consistent();
    assert_eq!(bed.again(FILE).weight(), Some(9));
}

#[test]
fn a_change_of_one_service_leaves_the_others_where_they_are() {
    let mut bed = Bed::new();
    let before = bed.runs.model.clone();
    bed.all(vec![weight(7)]).pop().unwrap().unwrap();
    let after = bed.runs.model.clone();
    let pairs = before.services.iter().zip(&after.services);
    let changed: Vec<String> = pairs.filter(|(a, b)| !Arc::ptr_eq(a, b)).map(|(_, s)| s.id().to_string()).collect();
    assert_eq!((changed, bed.weight()), (vec!["tcp 198.18.1.100:80".to_owned()], Some(7)));
    let documents = [0, 1].map(|n| bed.control.state().history[n].document.clone());
    let [before, after] = documents.each_ref().map(|d| d.services.iter());
    assert_eq!(before.zip(after).filter(|(a, b)| !Arc::ptr_eq(a, b)).count(), 1);
}

#[test]
fn what_does_not_fit_is_refused_alone() {
    let mut bed = Bed::new();
    let reals: Vec<String> =
        (0..1_100).map(|n| format!(r#"{{"address": "198.18.2.{}:{}"}}"#, 1 + n % 9, 1_000 + n)).collect();
    let add = r#"{"op": "add_service", "service": {"protocol": "tcp", "address": "198.18.1.100:81"}}"#;
    let big = format!(
        r#"[{add}, {{"op": "patch_service", "id": "tcp-198.18.1.100-81", "patch": {{"reals": [{}]}}}}]"#,
        reals.join(",")
    );
    // Just as many as the file allows, and one more than the compiler has seats for.
    let full = format!(
        r#"[{add}, {{"op": "patch_service", "id": "tcp-198.18.1.100-81", "patch": {{"reals": [{}]}}}}]"#,
        reals[..1_016].join(",")
    );
    let outcomes = bed.all(vec![weight(2), edit(&big), edit(&full), weight(3)]);
    assert!(matches!(outcomes[1], Err(Refusal::Invalid(_))), "{:?}", outcomes[1]);
    assert!(matches!(outcomes[2], Err(Refusal::Room(_))), "{:?}", outcomes[2]);
    assert!(outcomes[0].is_ok() && outcomes[3].is_ok());
    assert_eq!((bed.weight(), bed.runs.model.services.len()), (Some(3), 4));
    bed.consistent();
}

#[test]
fn a_change_that_can_not_be_kept_is_not_made_and_the_next_one_is() {
    let mut bed = Bed::new();
    bed.one(weight(5)).unwrap();
    bed.disk.full(true);
    assert!(matches!(bed.one(weight(6)), Err(Refusal::Journal(_))));
    assert_eq!(bed.weight(), Some(5), "what ran for a moment runs no more");
    assert!(bed.control.state().journal.is_some());
    assert!(matches!(bed.one(weight(7)), Err(Refusal::Journal(_))));
    bed.disk.full(false);
    let outcome = bed.one(weight(8)).unwrap();
    assert_eq!((bed.weight(), outcome.generation), (Some(8), bed.runs.generation));
    assert!(bed.control.state().journal.is_none());
    bed.consistent();
    assert_eq!(bed.again(FILE).weight(), Some(8));
}

#[test]
fn who_changes_what_somebody_else_has_changed_is_told_so() {
    let mut bed = Bed::new();
    let if_generation =
        |generation, ask| Request { who: "somebody".to_owned(), if_generation: Some(generation), dry_run: false, ask };
    let outcomes = bed.requests(vec![if_generation(1, weight(2)), if_generation(1, weight(3))]);
    assert_eq!(outcomes[0].as_ref().map(|o| o.generation), Ok(2));
    assert_eq!(outcomes[1], Err(Refusal::Generation { wanted: 1, is: 2 }));
    assert_eq!(bed.weight(), Some(2));
    // The same again is no change, and no generation.
    assert_eq!(bed.one(weight(2)).unwrap().generation, 2);
    let dry = Request { who: String::new(), if_generation: None, dry_run: true, ask: weight(9) };
    let dry = bed.requests(vec![dry]).remove(0).unwrap();
    assert_eq!((dry.generation, dry.changes.len(), bed.weight()), (2, 1, Some(2)));
}

#[test]
fn fifty_generations_are_kept_over_a_restart_and_each_can_come_back() {
    let mut bed = Bed::new();
    for n in 2..=120 {
        bed.one(weight(n)).unwrap();
    }
    let bed = bed.again(FILE);
    let oldest = bed.control.state().history.front().unwrap().generation();
    assert_eq!((bed.control.state().history.len(), oldest), (KEPT, 71));
    let mut bed = bed.again(FILE);
    assert!(matches!(bed.one(Ask::Rollback(70)), Err(Refusal::NotFound { .. })));
    let outcome = bed.one(Ask::Rollback(71)).unwrap();
    assert_eq!((bed.weight(), outcome.generation), (Some(71), 121));
    assert_eq!(bed.control.state().last().unwrap().listed().kind, GenerationKind::Rollback);
    bed.consistent();
}

#[test]
fn a_journal_that_grows_is_made_short_again() {
    let service = |n| format!("[[service]]\nprotocol = \"tcp\"\naddress = \"198.18.1.101:{}\"\n", 1_000 + n);
    let many = FILE.to_owned() + &(0..300).map(service).collect::<String>();
    let mut bed = Bed::new();
    let longest = (0..120).map(|n| {
        let text = many.replace("rr", if n % 2 == 0 { "wrr" } else { "rr" });
        bed.one(Ask::Replace { text, confirm: None }).unwrap();
        bed.disk.0.borrow().bytes["journal"].len()
    });
    let longest = longest.max().unwrap();
    assert!((1 << 20..3 << 20).contains(&longest), "{longest} bytes");
    assert_eq!(bed.again(FILE).runs.generation, 121);
}

#[test]
fn the_new_file_s_difference_is_applied_at_start_and_at_reload_alike() {
    let other = FILE.replacen("scheduler = \"rr\"", "scheduler = \"wlc\"", 1);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gatun.toml");
    std::fs::write(&path, &other).unwrap();
    let clash = edit(r#"[{"op": "patch_service", "id": "tcp-198.18.1.100-80", "patch": {"scheduler": "wrr"}}]"#);
    for at_start in [true, false] {
        let mut bed = Bed::new();
        bed.one(weight(7)).unwrap();
        bed.one(clash.clone()).unwrap();
        if at_start {
            bed = bed.again(&other);
        } else {
            bed.keeper.reload(&path, &mut bed.runs);
        }
        bed.consistent();
        assert_eq!((bed.weight(), bed.runs.generation), (Some(7), 4), "at start: {at_start}");
        assert_eq!(bed.runs.model.services[0].scheduler.to_string(), "wlc", "the file wins");
        let state = bed.control.state();
        let said: Vec<_> = state.last().unwrap().conflicts.iter().map(|c| c.field.clone()).collect();
        assert_eq!(said, ["service[\"tcp-198.18.1.100-80\"].scheduler"]);
        // The file that was applied is the one that the next is compared with.
        let bed = bed.again(&other);
        assert_eq!((bed.weight(), bed.runs.generation), (Some(7), 4));
        assert_eq!(bed.control.state().last().unwrap().conflicts.len(), 1);
        let bed = bed.again(FILE);
        assert_eq!((bed.weight(), bed.runs.model.services[0].scheduler.to_string().as_str()), (Some(7), "rr"));
    }
}

#[test]
fn a_bad_file_changes_nothing() {
    let mut bed = Bed::new();
    bed.one(weight(7)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gatun.toml");
    for bad in ["nonsense".to_owned(), FILE.replace("workers = [1]", "workers = [1, 2]"), FILE.replace("rr", "best")] {
        std::fs::write(&path, bad).unwrap();
        bed.keeper.reload(&path, &mut bed.runs);
        assert_eq!((bed.runs.generation, bed.weight()), (2, Some(7)));
    }
    bed.consistent();
}

#[test]
fn a_file_that_does_not_go_with_the_changes_is_refused_at_start_with_both_sides_named() {
    let mut bed = Bed::new();
    bed.one(edit(r#"[{"op": "add_laddr_pool", "laddr_pool": {"name": "two", "addresses": ["198.18.2.200"]}}]"#))
        .unwrap();
    let disk = bed.disk.clone();
    let clash = FILE.replace("198.18.2.254/24", "198.18.2.200/24");
    let error = Keeper::open(disk, &clash, "gatun.toml").map(drop).unwrap_err().to_string();
    assert!(error.contains("198.18.2.200") && error.contains("REST interface"), "{error}");
}

#[test]
fn a_change_that_is_not_confirmed_goes_even_when_the_process_dies_meanwhile() {
    let other = FILE.replacen("scheduler = \"rr\"", "scheduler = \"wlc\"", 1);
    let replace = |seconds| Ask::Replace { text: other.clone(), confirm: Some(seconds) };
    let mut bed = Bed::new();
    let confirm = bed.one(replace(3_600)).unwrap().confirm.unwrap();
    assert_eq!((confirm.generation, confirm.back_to), (2, 1));
    assert!(matches!(bed.one(weight(3)), Err(Refusal::Unconfirmed { .. })));
    bed.keeper.due(&mut bed.runs);
    let mut bed = bed.again(FILE);
    assert_eq!(bed.runs.model.services[0].scheduler.to_string(), "wlc", "it has an hour");
    bed.one(Ask::Undo).unwrap();
    assert_eq!(bed.runs.model.services[0].scheduler.to_string(), "rr");
    assert_eq!(bed.one(Ask::Confirm), Err(Refusal::NothingToConfirm));
    // One whose time is up at once.
    bed.one(replace(0)).unwrap();
    let mut bed = bed.again(FILE);
    bed.keeper.due(&mut bed.runs);
    assert_eq!(bed.runs.model.services[0].scheduler.to_string(), "rr");
    assert_eq!(bed.control.state().last().unwrap().listed().kind, GenerationKind::NotConfirmed);
    // And one that is confirmed stays.
    bed.one(replace(0)).unwrap();
    bed.one(Ask::Confirm).unwrap();
    let mut bed = bed.again(FILE);
    bed.keeper.due(&mut bed.runs);
    assert_eq!(bed.runs.model.services[0].scheduler.to_string(), "wlc");
    bed.consistent();
}

fn drain(deadline: Option<u32>, keep: bool) -> Ask {
    let spec = DrainSpec { deadline, keep };
    Ask::Drain { service: WEB.to_owned(), real: RS1.to_owned(), spec }
}

#[test]
fn a_drained_server_leaves_with_its_last_connection_or_at_its_deadline_or_not_at_all() {
    for (deadline, keep, connections, leaves) in [
        (None, false, 0, true),
        (None, false, 3, false),
        (Some(0), false, 3, true),
        (Some(3_600), false, 3, false),
        (None, true, 0, false),
    ] {
        let mut bed = Bed::new();
        bed.runs.connections = connections;
        bed.one(weight(5)).unwrap();
        bed.one(drain(deadline, keep)).unwrap();
        assert_eq!(bed.weight(), Some(0));
        // It is seen for a moment, whatever it has.
        bed.keeper.due(&mut bed.runs);
        assert_eq!(bed.weight(), Some(0));
        bed = bed.again(FILE);
        bed.runs.connections = connections;
        bed.keeper.long_ago();
        bed.keeper.due(&mut bed.runs);
        assert_eq!(bed.weight().is_none(), leaves, "{deadline:?} {keep} {connections}");
        bed.consistent();
        assert_eq!(bed.control.state().last().unwrap().drains.is_empty(), leaves);
        if !leaves {
            let undrain = Ask::Undrain { service: WEB.to_owned(), real: RS1.to_owned() };
            bed.one(undrain.clone()).unwrap();
            assert_eq!(bed.weight(), Some(5));
            assert!(matches!(bed.one(undrain), Err(Refusal::NoDrain(_))));
        }
    }
}

#[test]
fn a_server_that_is_given_a_weight_drains_no_more() {
    let mut bed = Bed::new();
    bed.one(drain(None, false)).unwrap();
    bed.one(weight(2)).unwrap();
    assert!(bed.control.state().last().unwrap().drains.is_empty());
    bed.keeper.long_ago();
    bed.keeper.due(&mut bed.runs);
    assert_eq!(bed.weight(), Some(2));
}

#[test]
fn a_damaged_step_is_named_and_what_comes_after_it_is_kept() {
    let mut bed = Bed::new();
    bed.one(weight(2)).unwrap();
    bed.one(edit(r#"[{"op": "put_service", "service": {"protocol": "tcp", "address": "198.18.1.100:81"}}]"#)).unwrap();
    bed.one(edit(r#"[{"op": "put_real", "service": "tcp-198.18.1.100-81", "real": {"address": "198.18.2.11:81"}}]"#))
        .unwrap();
    bed.one(weight(9)).unwrap();
    let disk = bed.disk.clone();
    {
        let mut inner = disk.0.borrow_mut();
        let journal = inner.bytes.get_mut("journal").unwrap();
        let at = journal.windows(11).position(|w| w == b"put_service").unwrap();
        journal[at] ^= 1;
    }
    let bed = bed.again(FILE);
    bed.consistent();
    assert_eq!((bed.weight(), bed.runs.model.services.len(), bed.runs.generation), (Some(9), 4, 5));
    let lost = bed.control.state().lost.join("\n");
    assert!(lost.contains("generation 4") && lost.contains("journal.damaged.1"), "{lost}");
}
