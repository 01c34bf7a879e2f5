//! gatun.
fn main() {}
