//! The twins of a case: the same description in other worlds.

use gatun_engine::testkit::World;

/// Of no other world: what it shows is only of IPv4, or has its like in a case of its own.
pub(crate) const ALONE: &[World] = &[];
/// Has a twin with IPv6 on both sides.
pub(crate) const V6: &[World] = &[World::V6];
/// Has a twin of either kind.
pub(crate) const BOTH: &[World] = &[World::V6, World::Nat64];

/// The `case.toml` of a twin.
pub(crate) fn settings(name: &str, text: &str, world: World) -> String {
    let (_, rest) = text.split_once("shows = \"\"\"").and_then(|(_, rest)| rest.split_once("\"\"\"")).unwrap();
    let who = match world {
        World::V4 => panic!("{name} is no twin"),
        World::V6 => "IPv6 on both sides",
        World::Nat64 => "clients over IPv6 and servers over IPv4",
    };
    let rest = world.text(rest).replace(".toml\"", &format!("{}.toml\"", world.suffix()));
    format!("# Written by tests/cases, from that of {name}.\nshows = \"As {name}, with {who}.\"{rest}")
}
