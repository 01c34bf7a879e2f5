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

/// Both families on both arms, a VLAN, a link-local router, a static neighbour, and each pair of families that there is.
const DUAL: &str = r#"
[[port]]
name = "wan"
[[port]]
name = "lan"
[[interface]]
port = "wan"
addresses = ["198.18.1.254/24", "2001:db8:1::fe/64"]
[[interface]]
port = "lan"
vlan = 100
addresses = ["198.18.2.254/24", "2001:db8:2::fe/64"]
[[route]]
to = "0.0.0.0/0"
via = "198.18.1.1"
[[route]]
to = "::/0"
via = "fe80::1"
interface = "wan"
[[route]]
to = "2001:db8:64::/48"
via = "2001:db8:2::1"
[[neighbor]]
address = "fe80::1"
interface = "lan.100"
mac = "02:00:00:00:02:01"
[[laddr_pool]]
name = "lan"
addresses = ["198.18.2.100-198.18.2.101", "2001:db8:2::100-2001:db8:2::101"]
[[service]]
protocol = "tcp"
address = "198.18.1.100:80"
real = [{ address = "198.18.2.11:80" }]
[[service]]
protocol = "tcp"
address = "[2001:db8:1::100]:80"
real = [{ address = "[2001:db8:2::11]:80" }, { address = "198.18.2.12:80", weight = 3 }]
"#;

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
