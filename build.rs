//! Turns what `dpdk-sys` found out about libdpdk into link arguments for the programs, and stamps their version.
//!
//! Link arguments do not reach a program from the build script of a dependency. Metadata does, as `DEP_DPDK_*`, but only a
//! direct dependency's: that is why this package depends on `dpdk-sys` without using it. Without feature `dpdk` there is no
//! such variable, and only the version is stamped.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_DPDK").is_some() {
        for argument in env::var("DEP_DPDK_LINK_ARGS").unwrap_or_default().split_whitespace() {
            println!("cargo::rustc-link-arg={argument}");
        }
        println!("cargo::rustc-env=GATUN_DPDK_VERSION={}", env::var("DEP_DPDK_VERSION").unwrap_or_default());
    }
    println!("cargo::rustc-env=GATUN_VERSION={}", version());
}

/// The crate's version, with the commit where git knows it: `0.1.0 (82c1451)`.
fn version() -> String {
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    // Grows with every commit and checkout; a missing file would make cargo run this script each time.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
    match git(&["rev-parse", "--short", "HEAD"]) {
        Some(commit) => format!("{version} ({commit})"),
        None => version,
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
