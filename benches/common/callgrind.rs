//! Runs the calling program again under callgrind, and reads what it counted.
//!
//! gungraun does this too, with a process for each count and a runner of the very same version to be installed. Here all
//! counts share one table of a million connections, which is what takes the time, and each has its system calls and calls of
//! the heap beside its instructions, for the gates.

use std::process::{Command, Stdio};

/// The name of a count that nobody wants.
pub const SETUP: &str = "setup";

/// One count.
#[derive(Clone, Debug)]
pub struct Count {
    /// Its name.
    pub name: String,
    /// Instructions.
    pub instructions: u64,
    /// System calls.
    pub calls: u64,
    /// Functions of the heap that were called.
    pub heap: Vec<String>,
}

/// Runs this program with `args` under callgrind, and counts what is in functions whose name matches `counted`, with all
/// that they call. A function that matches `border` ends a count; it prints the name of that count on a line of its own.
/// Gives the counts in order, those named [`SETUP`] left out.
pub fn count(args: &[&str], counted: &str, border: &str) -> Vec<Count> {
    let dir = super::out_dir().join("callgrind");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("a directory for the profiles");
    let child = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--error-exitcode=1", "--collect-systime=yes"])
        // Names are written once for all profiles otherwise, into the first.
        .arg("--compress-strings=no")
        .arg(format!("--toggle-collect={counted}"))
        .arg(format!("--dump-after={border}"))
        .arg(format!("--callgrind-out-file={}", dir.join("part").display()))
        .arg(std::env::current_exe().expect("the name of this program"))
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .expect("valgrind, which `make deps` installs");
    let output = child.wait_with_output().expect("valgrind's output");
    assert!(output.status.success(), "valgrind ended with {}", output.status);
    let names = String::from_utf8(output.stdout).expect("names");
    let counts = names.lines().enumerate().map(|(i, name)| {
        let part = dir.join(format!("part.{}", i + 1));
        let text = std::fs::read_to_string(&part).unwrap_or_else(|e| panic!("{}: {e}", part.display()));
        std::fs::remove_file(part).and_then(|()| std::fs::write(dir.join(name), readable(&text))).expect("a profile");
        read(name, &text)
    });
    counts.filter(|count| count.name != SETUP).collect()
}

/// Without the functions that had begun before this count and went on after it, as calls that never happened: such a
/// call's cost is taken for the caller's own by `callgrind_annotate`.
fn readable(profile: &str) -> String {
    let mut lines = profile.lines();
    let mut text = String::new();
    while let Some(line) = lines.next() {
        if line.starts_with("calls=0 ") {
            lines.next();
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn read(name: &str, text: &str) -> Count {
    let field = |prefix: &str| text.lines().find_map(|line| line.strip_prefix(prefix)).map(str::split_whitespace);
    let events = field("events: ").expect("the events of a profile");
    // Zeros at its end are left out.
    let mut totals = field("totals: ").expect("the totals of a profile").map_while(|n| n.parse::<u64>().ok());
    let total = |event| events.clone().position(|e| e == event).and_then(|i| totals.clone().nth(i)).unwrap_or(0);
    let (instructions, calls) = (total("Ir"), total("sysCount"));
    assert!(name == SETUP || totals.next().is_some_and(|n| n > 0), "{name}: nothing was counted");
    let heap = ["malloc", "calloc", "realloc", "free", "posix_memalign", "aligned_alloc"];
    let functions = text.lines().filter_map(|l| l.strip_prefix("fn=").or_else(|| l.strip_prefix("cfn=")));
    let heap = functions.filter(|f| heap.contains(f)).map(str::to_owned).collect();
    Count { name: name.to_owned(), instructions, calls, heap }
}
