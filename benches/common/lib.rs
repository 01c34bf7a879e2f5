//! What the benches share: the gateway that all of them measure, its flows, and how a figure is taken.

pub mod flow;
pub mod gates;
pub mod gateway;
pub mod goals;
pub mod heap;
pub mod lone;
pub mod measure;
pub mod memory;
pub mod near;
#[cfg(feature = "dpdk")]
pub mod ring;
#[cfg(feature = "dpdk")]
pub mod swap;

use std::path::{Path, PathBuf};

/// `target/bench`, where the results are.
pub fn out_dir() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into())).join("bench")
}
