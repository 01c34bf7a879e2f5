//! The golden cases of `tests/pcap`: each is run, and what leaves must be what is expected, byte for byte.
//!
//! `BLESS=1 cargo test --no-default-features --test cases` makes the outcome the expected one, `REGENERATE=1` the inputs
//! that the scripts here write. Most cases have a twin with IPv6 on both sides and one with clients over IPv6 and servers
//! over IPv4, from the same description: see `testkit::world`; the `case.toml` of a twin is an input, too. `CASES=nat64-`
//! runs those whose name has that in it. Read every new expectation as a person before you commit it: `git diff`, and
//! `gatun replay tests/pcap/CASE --explain`.

#[path = "cases/icmp.rs"]
mod icmp;
#[path = "cases/ipv6.rs"]
mod ipv6;
#[path = "cases/lcores.rs"]
mod lcores;
#[path = "cases/link.rs"]
mod link;
#[path = "cases/nat64.rs"]
mod nat64;
#[path = "cases/script.rs"]
mod script;
#[path = "cases/servers.rs"]
mod servers;
#[path = "cases/tcp.rs"]
mod tcp;
#[path = "cases/twin.rs"]
mod twin;
#[path = "cases/udp.rs"]
mod udp;

use gatun::replay::case::{Case, Outcome, Silent};
use gatun_engine::testkit::{World, check};
use script::Script;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

type Write = fn(&mut Script);

/// Who writes the input of a case.
#[derive(Clone, Copy)]
struct Author {
    /// The case that is described.
    of: &'static str,
    world: World,
    write: Write,
}

/// By the name of the case.
fn scripts() -> BTreeMap<String, Author> {
    let all = [tcp::CASES, udp::CASES, servers::CASES, icmp::CASES, link::CASES].concat();
    let worlds = |(of, write, twins): (&'static str, Write, &[World])| {
        let author = |world: World| (format!("{of}{}", world.suffix()), Author { of, world, write });
        [&[World::V4][..], twins].concat().into_iter().map(author).collect::<Vec<_>>()
    };
    let own = [ipv6::CASES, nat64::CASES].concat().into_iter();
    let own = own.map(|(of, world, write)| (of.to_owned(), Author { of, world, write }));
    all.into_iter().flat_map(worlds).chain(own).collect()
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
    let scripts: Vec<String> = scripts().into_keys().collect();
    assert_eq!(folders, scripts);
}

/// With `REGENERATE=1` and `BLESS=1` the inputs are written first, once, whichever test comes first.
fn regenerated() -> Vec<Case> {
    static ONCE: std::sync::Once = std::sync::Once::new();
    if asked("BLESS") || asked("REGENERATE") {
        ONCE.call_once(|| {
            for (path, bytes) in settings().into_iter().chain(inputs()) {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, bytes).unwrap();
            }
        });
    }
    let only = std::env::var("CASES").unwrap_or_default();
    cases().into_iter().filter(|case| case.name().contains(&only)).collect()
}

/// The configuration of twins, and what several of them share.
fn settings() -> Vec<(PathBuf, Vec<u8>)> {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let mut files = BTreeMap::new();
    for (name, Author { of, world, .. }) in scripts().into_iter().filter(|(name, a)| name != a.of) {
        let text = read(&tree().join(of).join("case.toml"));
        for shared in text.lines().filter_map(|l| l.strip_prefix("config = \"../")?.strip_suffix(".toml\"")) {
            let path = |suffix| tree().join(format!("{shared}{suffix}.toml"));
            files.insert(path(world.suffix()), world.text(&read(&path(""))).into_bytes());
        }
        files.insert(tree().join(&name).join("case.toml"), twin::settings(of, &text, world).into_bytes());
    }
    files.into_iter().collect()
}

/// What the scripts write.
fn inputs() -> Vec<(PathBuf, Vec<u8>)> {
    let scripts = scripts();
    let mut files = Vec::new();
    for case in cases() {
        let Some(author) = scripts.get(&case.name()) else { continue };
        let mut script = Script::new(&case, author.world);
        (author.write)(&mut script);
        let path = |port| tree().join(case.name()).join(format!("in.{port}.pcap"));
        files.extend(script.finish().into_iter().map(|(port, bytes)| (path(port), bytes)));
    }
    files
}

#[test]
fn every_input_is_what_its_script_writes() {
    regenerated();
    let written = settings().into_iter().chain(inputs());
    let wrong: Vec<_> = written.filter(|(path, bytes)| std::fs::read(path).ok().as_ref() != Some(bytes)).collect();
    let wrong: Vec<_> = wrong.into_iter().map(|(path, _)| path).collect();
    assert!(wrong.is_empty(), "not what the scripts write; REGENERATE=1 writes them: {wrong:#?}");
}

#[test]
fn every_case_gives_exactly_what_is_expected() {
    let mut wrong = String::new();
    for case in regenerated() {
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

/// But for those whose checksum is wrong because it came in so: `wrong-checksums` names them.
#[test]
fn every_frame_that_leaves_has_right_checksums() {
    for case in regenerated() {
        let mut wrong = Vec::new();
        for (port, sent) in run(&case).sent {
            for (n, sent) in sent.iter().enumerate() {
                if check::checksums(&sent.frame).is_err() {
                    wrong.push(format!("{port} {}", n + 1));
                }
            }
        }
        assert_eq!(wrong, case.settings.wrong_checksums, "{}", case.name());
    }
}

/// Local ports and, where there are several, servers are chosen by each lcore for itself: see [`lcores`].
#[test]
fn every_case_gives_the_same_on_any_number_of_lcores_and_however_frames_come_to_them() {
    let cases = regenerated();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let cases = &cases;
            scope.spawn(move || cases.iter().skip(thread).step_by(threads).for_each(lcores::the_same));
        }
    });
}
