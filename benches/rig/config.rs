//! The world of the rig, as gatun's configuration and as arguments of the generator: 1,000 services of 10 servers each,
//! 64 local addresses, 256 next hops on either side.

use crate::machine::Machine;
use std::fmt::Write;

const VIPS: u32 = 100;
const VPORTS: u32 = 10;
const REALS: u32 = 10;
const HOPS: u32 = 256;

/// The arguments of the generator that are always the same.
pub(crate) const LOADGEN: [&str; 14] = [
    "--clients",
    "100.64.0.0/10",
    "--vip",
    "198.18.1.0-198.18.1.99:80-89",
    "--servers",
    "10.0.0.0/8",
    "--routers",
    "198.18.2.0/24",
    "--routers",
    "198.19.2.0/24",
    "--gateway",
    "198.18.0.1",
    "--gateway",
    "198.19.0.1",
];

/// For so many UDP flows.
pub(crate) fn udp(machine: &Machine, flows: u32) -> String {
    text(machine, "udp", (flows + flows / 4).max(65_536))
}

/// For a million TCP connections that stay, and those that come and go within a second and a half.
pub(crate) fn tcp(machine: &Machine) -> String {
    text(machine, "tcp", 4_000_000)
}

fn text(machine: &Machine, protocol: &str, connections: u32) -> String {
    let [wan, lan] = machine.sockets().map(|s| s.display().to_string());
    let mut t = format!(
        r#"[eal]
pci = false
memory_mb = 1024
args = ["--log-level=lib.vhost:error"]
[lcores]
master = 0
workers = [1]
idle = "spin"
[tables]
connections = {connections}
reals = 16_384
neighbors = 1_024
mbufs = 32_767
[timeouts]
fin = 1
[[port]]
name = "wan"
device = "net_vhost0,iface={wan}"
[[port]]
name = "lan"
device = "net_vhost1,iface={lan}"
[[interface]]
port = "wan"
addresses = ["198.18.0.1/16"]
[[interface]]
port = "lan"
addresses = ["198.19.0.1/16"]
[[laddr_pool]]
name = "lan"
addresses = ["198.19.128.0-198.19.128.63"]
"#
    );
    // Writing to a String does not fail.
    for hop in 0..HOPS {
        let (a, b) = (64 + hop / 4, hop % 4 * 64);
        let _ = writeln!(t, "[[route]]\nto = \"100.{a}.{b}.0/18\"\nvia = \"198.18.2.{hop}\"");
        let _ = writeln!(t, "[[route]]\nto = \"10.{hop}.0.0/16\"\nvia = \"198.19.2.{hop}\"");
    }
    for service in 0..VIPS * VPORTS {
        let (vip, vport) = (service / VPORTS, 80 + service % VPORTS);
        let reals = (0..REALS).map(|r| {
            let real = service * REALS + r;
            format!("{{ address = \"10.{}.0.{}:80\" }}", real % HOPS, real / HOPS + 1)
        });
        let reals = reals.collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            t,
            "[[service]]\nprotocol = \"{protocol}\"\naddress = \"198.18.1.{vip}:{vport}\"\nscheduler = \"rr\"\nreal = [{reals}]"
        );
    }
    t
}
