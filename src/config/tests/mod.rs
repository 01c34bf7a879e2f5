//! The configuration as a whole: the examples, files with every kind of problem, and texts of no kind at all.

mod any_text;
mod bad_files;
mod examples;
mod reload;
mod whereabouts;

use super::{Model, parse};

/// The model of a text that has no problem.
#[track_caller]
fn model(text: &str) -> Model {
    parse(text, "t.toml").unwrap_or_else(|problems| panic!("{problems}"))
}

/// The problems of a text, as `check-config` shows them.
#[track_caller]
fn problems(text: &str) -> String {
    parse(text, "t.toml").expect_err("a text with problems").to_string()
}

/// Two arms, two pools' worth of servers, nothing optional. Tests add to it or change it.
const TWO_ARM: &str = r#"
[[port]]
name = "wan"
[[port]]
name = "lan"
[[interface]]
port = "wan"
addresses = ["198.18.1.254/24"]
[[interface]]
port = "lan"
addresses = ["198.18.2.254/24"]
[[route]]
to = "0.0.0.0/0"
via = "198.18.1.1"
[[laddr_pool]]
name = "lan"
addresses = ["198.18.2.100-198.18.2.101"]
[[service]]
protocol = "tcp"
address = "198.18.1.100:80"
real = [{ address = "198.18.2.11:80" }, { address = "198.18.2.12:80", weight = 3 }]
"#;
