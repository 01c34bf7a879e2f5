//! The golden cases of `tests/pcap`: each is run, and what leaves must be what is expected, byte for byte.
//!
//! `BLESS=1 cargo test --no-default-features --test cases` makes the outcome the expected one, `REGENERATE=1` the inputs
//! that the scripts here write. Read every new expectation as a person before you commit it: `git diff`, and
//! `gatun replay tests/pcap/CASE --explain`.

#[path = "cases/script.rs"]
mod script;
#[path = "cases/tcp.rs"]
mod tcp;

use gatun::replay::case::{Case, Outcome, Silent};
use gatun_engine::testkit::check;
use script::Script;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

type Write = fn(&mut Script);

/// Who writes the input of each case.
fn scripts() -> BTreeMap<&'static str, Write> {
    [tcp::CASES].concat().into_iter().collect()
}

fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pcap")
}

fn cases() -> Vec<Case> {
    let mut folders: Vec<PathBuf> =
        tree().read_dir().unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    folders.iter().map(|f| Case::read(f).unwrap_or_else(|e| panic!("{e}"))).collect()
}

fn asked(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|v| v == "1")
}

fn run(case: &Case) -> Outcome {
    case.run(&case.options(), None, &mut Silent).unwrap_or_else(|e| panic!("{}: {e}", case.name()))
}

#[test]
fn every_case_has_its_script_and_every_script_its_case() {
    let folders: Vec<String> = cases().iter().map(Case::name).collect();
    let scripts: Vec<&str> = scripts().into_keys().collect();
    assert_eq!(folders, scripts);
}

#[test]
fn every_input_is_what_its_script_writes() {
    let scripts = scripts();
    let mut wrong = Vec::new();
    for case in cases() {
        let Some(write) = scripts.get(case.name().as_str()) else { continue };
        let mut script = Script::new(&case);
        write(&mut script);
        let folder = tree().join(case.name());
        for (port, bytes) in script.finish() {
            let path = folder.join(format!("in.{port}.pcap"));
            if asked("BLESS") || asked("REGENERATE") {
                std::fs::write(&path, bytes).unwrap();
            } else if std::fs::read(&path).ok() != Some(bytes) {
                wrong.push(path);
            }
        }
    }
    assert!(wrong.is_empty(), "not what the scripts write; REGENERATE=1 writes them: {wrong:#?}");
}

#[test]
fn every_case_gives_exactly_what_is_expected() {
    if asked("BLESS") || asked("REGENERATE") {
        every_input_is_what_its_script_writes();
    }
    let mut wrong = String::new();
    for case in cases() {
        let outcome = run(&case);
        assert_eq!(outcome, run(&case), "{}: not the same twice", case.name());
        if asked("BLESS") {
            case.bless(&outcome).unwrap();
        }
        let diff = case.compare(&outcome).unwrap_or_else(|e| panic!("{e}"));
        if !diff.is_empty() {
            wrong += &format!("{}\n{diff}", case.name());
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// But for those whose checksum is wrong because it came in so: they say it in `case.toml`.
#[test]
fn every_frame_that_leaves_has_right_checksums() {
    for case in cases() {
        for (port, sent) in run(&case).sent {
            for (n, sent) in sent.iter().enumerate() {
                if let Err(e) = check::checksums(&sent.frame) {
                    let meant = case.settings.wrong_checksums.contains(&e);
                    assert!(meant, "{}: out.{port}.pcap, frame {}: {e}", case.name(), n + 1);
                }
            }
        }
    }
}
