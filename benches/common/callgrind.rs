//! Runs the calling program again under callgrind, and reads what it counted.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the profiles are.
pub fn dir() -> PathBuf {
    super::out_dir().join("callgrind")
}

/// Runs this program with `args` under callgrind, and counts the instructions in functions whose name matches `counted`,
/// with all that they call. A function that matches `border` ends a count; it prints the name of that count on a line of
/// its own. Gives names and instructions in order, those named `setup` left out.
pub fn count(args: &[&str], counted: &str, border: &str) -> Vec<(String, u64)> {
    let dir = dir();
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("a directory for the profiles");
    let child = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--error-exitcode=1"])
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
        let (part, named) = (dir.join(format!("part.{}", i + 1)), dir.join(name));
        std::fs::rename(&part, &named).unwrap_or_else(|e| panic!("{}: {e}", part.display()));
        (name.to_owned(), total(&named))
    });
    counts.filter(|(name, _)| name != "setup").collect()
}

fn total(profile: &Path) -> u64 {
    let text = std::fs::read_to_string(profile).expect("a profile");
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
    total.and_then(|n| n.trim().parse().ok()).expect("the total of a profile")
}
