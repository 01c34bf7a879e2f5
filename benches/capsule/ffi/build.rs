//! Compiles the shim, with the flags that DPDK's headers want.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=shim.c");
    let output = Command::new("pkg-config").args(["--cflags", "libdpdk"]).output();
    let flags = output.expect("pkg-config knows libdpdk: apt-get install libdpdk-dev pkg-config").stdout;
    let mut build = cc::Build::new();
    build.file("shim.c").warnings(false).opt_level(3).flag("-D_GNU_SOURCE");
    for flag in String::from_utf8_lossy(&flags).split_whitespace() {
        build.flag(flag);
    }
    build.compile("capsule_shim");
    println!("cargo::rustc-link-lib=dylib=numa");
}
