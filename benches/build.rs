//! The link arguments that `dpdk-sys` found, as in the package above.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_DPDK").is_some() {
        for argument in std::env::var("DEP_DPDK_LINK_ARGS").unwrap_or_default().split_whitespace() {
            println!("cargo::rustc-link-arg={argument}");
        }
    }
}
