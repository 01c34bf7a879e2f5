//! The command line, and what follows from it.

use super::addresses::{Clients, Prefix, Services};
use super::frame::{LEAST, MOST, Mac};
use super::link::{Identity, WAITING};
use super::window::TIMES;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr};

const EXAMPLES: &str = "Examples:
  gatun-loadgen udp --device net_virtio_user0,path=/tmp/c.sock,queue_size=1024 \\
                    --device net_virtio_user1,path=/tmp/s.sock,queue_size=1024 \\
                    --clients 100.64.0.0/10 --vip 198.18.1.0-198.18.1.99:80-89 --servers 10.0.0.0/8 \\
                    --routers 198.18.2.0/24 --routers 198.19.2.0/24 \\
                    --gateway 198.18.0.1 --gateway 198.19.0.1 --flows 1000000
  gatun-loadgen tcp  ... --flows 60000 --sizes 64,570,1518
  gatun-loadgen udp  ... --clients 2001:db8:9::/64 --vip [2001:db8:1::100]:80 --servers 10.0.0.0/8 --routers 2001:db8:1::2/128 ...
  gatun-loadgen udp  ... --flows 1000 --rate 1000000          latency at a million packets a second
  gatun-loadgen conn ... --live 1000000 --duration 20 --json
  gatun-loadgen synflood --device net_af_packet0,iface=c0 --clients 198.18.64.0/18 \\
                    --vip 198.18.1.100:80 --gateway 198.18.1.254 --routers 198.18.64.1/32 --rate 200000

The first --device is the clients' side, the second the servers'; --routers and --gateway are given in the same order.
Without --rate the generator is closed-loop: it keeps --window packets (or connections) on their way and sends the next
when one is back, so that the gateway is never overloaded and the result is its throughput. With --rate it sends by the
clock, and latencies count from the moment when a packet was due.

Exit codes: 0 done; 1 the environment does not allow it (devices, memory, a gateway that does not answer); 2 the command
line is wrong; 3 packets came back wrong, or not at all, or more than --max-loss of them were lost.";

/// Load for a gateway: plays the clients and the real servers, on one lcore, and checks what comes back.
#[derive(clap::Parser)]
#[command(name = "gatun-loadgen", version = env!("GATUN_VERSION"), after_help = EXAMPLES)]
pub struct Cli {
    /// What to send.
    #[command(subcommand)]
    pub mode: Mode,
}

/// What to send.
#[derive(clap::Subcommand)]
pub enum Mode {
    /// UDP packets of random flows, there and back.
    Udp(FlowArgs),
    /// TCP packets of random established connections, there and back.
    Tcp(FlowArgs),
    /// Whole TCP connections of six packets: SYN, SYN-ACK, ACK, FIN, FIN-ACK, ACK.
    Conn(ConnArgs),
    /// SYNs of random clients that are never followed by anything. Needs --rate.
    Synflood(FloodArgs),
}

/// Arguments of `udp` and `tcp`.
#[derive(clap::Args)]
pub struct FlowArgs {
    /// Flows; all are opened before the measurement.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub flows: u32,
    /// Bytes of a frame on the wire, check sequence included (64 to 1518; over IPv6 at least 84); with several, each
    /// packet takes one at random.
    #[arg(long, value_delimiter = ',', default_value = "64", value_parser = clap::value_parser!(u16).range(64..=1518))]
    pub sizes: Vec<u16>,
    /// Those of all modes.
    #[command(flatten)]
    pub common: Common,
}

/// Arguments of `conn`.
#[derive(clap::Args)]
pub struct ConnArgs {
    /// Connections that are opened before, and stay.
    #[arg(long, default_value_t = 0)]
    pub live: u32,
    /// How often a client sends a SYN or a FIN again that nobody answers: 1, 3, 7, ... seconds after the first SYN (RFC 6298),
    /// as kernels do. With N times a connection is lost after 2^(N+1) seconds, or when 65,536 more were begun.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=TIMES as i64))]
    pub repeat: u32,
    /// Those of all modes.
    #[command(flatten)]
    pub common: Common,
}

/// Arguments of `synflood`.
#[derive(clap::Args)]
pub struct FloodArgs {
    /// Those of all modes.
    #[command(flatten)]
    pub common: Common,
}

/// Arguments of all modes.
#[derive(clap::Args)]
pub struct Common {
    /// A PCI address, or a virtual device of DPDK's with its arguments. Twice: clients' side, servers' side.
    #[arg(long = "device", required = true)]
    pub devices: Vec<String>,
    /// The clients' addresses.
    #[arg(long)]
    pub clients: IpNet,
    /// The services: ADDRESS:PORT, or ranges of both.
    #[arg(long)]
    pub vip: Services,
    /// The real servers' addresses.
    #[arg(long)]
    pub servers: Option<IpNet>,
    /// More addresses to answer ARP or neighbour solicitations for: the next hops that the gateway uses on that side.
    #[arg(long)]
    pub routers: Vec<IpNet>,
    /// The gateway's address on that side, to ask where it is.
    #[arg(long)]
    pub gateway: Vec<IpAddr>,
    /// The gateway's MAC address on that side, when it shall not be asked.
    #[arg(long, value_parser = mac)]
    pub gateway_mac: Vec<Mac>,
    /// What is measured is no gateway: it sends on to the other port what it gets, as testpmd does. Nobody is asked
    /// where it is, no flow is opened, and the servers take what comes.
    #[arg(long)]
    pub bare: bool,
    /// Seconds to measure.
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    pub duration: f64,
    /// Seconds of traffic before.
    #[arg(long, default_value_t = 0.5, value_parser = seconds)]
    pub warmup: f64,
    /// Packets, or connections, that are on their way at the same time.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub window: u32,
    /// Packets (udp, tcp: of the clients), connections or SYNs a second, instead of a window.
    #[arg(long, value_parser = rate)]
    pub rate: Option<f64>,
    /// Packets that are sent at once.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub burst: u16,
    /// Per cent of the packets or connections that may be lost.
    #[arg(long, default_value_t = 0.1)]
    pub max_loss: f64,
    /// The CPU to run on.
    #[arg(long, default_value_t = 0)]
    pub cpu: u32,
    /// Packet buffers.
    #[arg(long, default_value_t = 32_767, value_parser = clap::value_parser!(u32).range(1..))]
    pub mbufs: u32,
    /// Descriptors of each queue.
    #[arg(long, default_value_t = 1_024, value_parser = clap::value_parser!(u16).range(64..=4096))]
    pub descriptors: u16,
    /// MiB of memory.
    #[arg(long, default_value_t = 256)]
    pub memory: u32,
    /// Ordinary pages instead of huge ones: for tests, not for figures.
    #[arg(long)]
    pub no_huge: bool,
    /// Look for devices on the PCI bus.
    #[arg(long)]
    pub pci: bool,
    /// The report as JSON on standard output, without progress.
    #[arg(long)]
    pub json: bool,
}

fn mac(text: &str) -> Result<Mac, String> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|b| u8::from_str_radix(b, 16).ok()).collect();
    bytes.and_then(|b| b.try_into().ok()).ok_or(format!("{text:?} is no MAC address: write it as 02:00:00:00:00:01"))
}

fn seconds(text: &str) -> Result<f64, String> {
    let said = text.parse().ok().filter(|s: &f64| (0.0..=86_400.0).contains(s));
    said.ok_or(format!("{text:?} are no seconds: write a number from 0 to 86400"))
}

fn rate(text: &str) -> Result<f64, String> {
    let said = text.replace('_', "").parse().ok().filter(|r: &f64| (1.0..=1e9).contains(r));
    said.ok_or(format!("{text:?} is no rate: write a number from 1 to 1000000000"))
}

/// What is wrong with arguments that are right one by one.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{0}")]
pub struct Wrong(String);

impl Mode {
    /// The arguments of all modes.
    pub fn common(&self) -> &Common {
        match self {
            Mode::Udp(a) | Mode::Tcp(a) => &a.common,
            Mode::Conn(a) => &a.common,
            Mode::Synflood(a) => &a.common,
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Mode::Udp(_) => "udp",
            Mode::Tcp(_) => "tcp",
            Mode::Conn(_) => "conn",
            Mode::Synflood(_) => "synflood",
        }
    }

    /// Flows or connections that are there from the beginning.
    pub fn flows(&self) -> u32 {
        match self {
            Mode::Udp(a) | Mode::Tcp(a) => a.flows,
            Mode::Conn(a) => a.live,
            Mode::Synflood(_) => 0,
        }
    }

    /// Bytes of the frames, without check sequence.
    pub fn frame_sizes(&self) -> Vec<usize> {
        match self {
            Mode::Udp(a) | Mode::Tcp(a) => a.sizes.iter().map(|s| usize::from(*s) - 4).collect(),
            Mode::Conn(_) | Mode::Synflood(_) => vec![LEAST],
        }
    }

    /// Looks at what concerns several arguments, and gives who the sides are.
    ///
    /// # Errors
    /// A sentence about the first that is wrong.
    pub fn identities(&self) -> Result<Vec<Identity>, Wrong> {
        let c = self.common();
        let wrong = |text: String| Err(Wrong(text));
        let sides = if matches!(self, Mode::Synflood(_)) { 1 } else { 2 };
        if c.devices.len() != sides {
            let need = if sides == 1 { "the clients' side" } else { "one for the clients' side, one for the servers'" };
            return wrong(format!("--device is given {} times: {} needs {need}", c.devices.len(), self.name()));
        }
        if sides == 2 && c.servers.is_none() && !c.bare {
            return wrong("--servers is missing: give the prefix of the gateway's real servers".to_owned());
        }
        if sides == 1 && c.rate.is_none() {
            return wrong("--rate is missing: say how many SYNs a second the flood has".to_owned());
        }
        if c.bare && sides == 1 {
            return wrong("--bare: a flood has nothing to do with it, leave it out".to_owned());
        }
        let (asked, told) = (c.gateway.len(), c.gateway_mac.len());
        if !c.bare && asked != sides && told != sides {
            return wrong(format!(
                "--gateway is given {asked} times, and there are {sides} sides: give it once for each"
            ));
        }
        let clients = Clients::new(c.clients);
        if u64::from(self.flows()) > clients.count() {
            let (have, net) = (clients.count(), c.clients);
            return wrong(format!(
                "{} flows need as many clients, but --clients {net} has {have}: give it a shorter prefix",
                self.flows()
            ));
        }
        let addr = |bits: u128| Ipv6Addr::from(bits).to_canonical();
        let v6 = |addr: IpAddr| addr.is_ipv6();
        if let Some(service) = c.vip.iter().find(|s| v6(addr(s.addr)) != v6(c.clients.addr())) {
            return wrong(format!(
                "--vip {service} is of another family than --clients {}: give both of one",
                c.clients
            ));
        }
        if let Some(service) = c.vip.iter().find(|s| c.clients.contains(&addr(s.addr))) {
            return wrong(format!("--vip {service} is one of the --clients {}: keep them apart", c.clients));
        }
        if self.frame_sizes().iter().any(|s| *s > MOST) {
            return wrong(format!("--sizes: at most {} bytes are possible", MOST + 4));
        }
        if c.mbufs < WAITING as u32 {
            return wrong(format!("--mbufs {}: at least {WAITING} are needed", c.mbufs));
        }
        // Whoever gets a packet from a bare forwarder is the server.
        let own = [Some(c.clients), c.servers.or(c.bare.then_some(c.clients))];
        let families = |i: usize| own[i].into_iter().chain(c.routers.get(i).copied()).map(|net| v6(net.addr()));
        for (i, net) in own.iter().enumerate().take(sides) {
            if families(i).chain(c.gateway.get(i).map(|ip| v6(*ip))).any(|f| Some(f) != families(i).next()) {
                let net = net.map(|net| net.to_string()).unwrap_or_default();
                return wrong(format!("--routers and --gateway of the side of {net} have to be of its family"));
            }
        }
        let side = |i: usize| {
            let nets: Vec<IpNet> = own[i].into_iter().chain(c.routers.get(i).copied()).collect();
            Identity {
                own_ip: nets.last().map_or(c.clients.addr(), IpNet::addr),
                answers: if c.bare { Vec::new() } else { nets.into_iter().map(Prefix::from).collect() },
                gateway_ip: c.gateway.get(i).copied(),
                gateway: c.gateway_mac.get(i).copied().or(c.bare.then_some([2, 0, 0, 0, 0, 0xFE])),
            }
        };
        Ok((0..sides).map(side).collect())
    }

    /// The arguments of the EAL.
    pub fn eal_args(&self) -> Vec<String> {
        let c = self.common();
        let lcore = format!("0@{}", c.cpu);
        let memory = c.memory.to_string();
        let mut args = vec!["--lcores", &lcore, "--no-telemetry", "--log-level=*:error", "-m", &memory];
        // One file for all memory: the other end of a virtio-user port maps it.
        let pages = if c.no_huge { ["--no-huge", "--no-shconf"] } else { ["--in-memory", "--single-file-segments"] };
        args.extend(pages);
        let pci: Vec<&str> = c.devices.iter().map(String::as_str).filter(|d| !d.starts_with("net_")).collect();
        if c.pci && !pci.is_empty() {
            args.extend(pci.into_iter().flat_map(|d| ["-a", d]));
        } else {
            args.push("--no-pci");
        }
        args.into_iter().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    fn wrong(line: &str) -> String {
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap_or_else(|e| panic!("{line}: {e}"));
        cli.mode.identities().err().expect("it is wrong").to_string()
    }

    #[test]
    fn what_is_wrong_is_named_with_its_remedy() {
        Cli::command().debug_assert();
        let two = "x udp --device a --device b --clients 100.64.0.0/10 --vip 198.18.1.1:80";
        assert!(
            wrong("x udp --device a --clients 10.0.0.0/8 --vip 1.1.1.1:80")
                .starts_with("--device is given 1 times: udp")
        );
        assert!(wrong(two).starts_with("--servers is missing"));
        assert!(wrong(&format!("{two} --servers 10.0.0.0/8")).starts_with("--gateway is given 0 times"));
        assert!(wrong(&two.replace("100.64.0.0/10", "198.18.1.0/32 --bare --flows 99999")).contains("has 64512"));
        assert!(wrong(&two.replace("100.64.0.0/10", "198.18.1.0/24 --bare")).contains("keep them apart"));
        let six = "x udp --device a --device b --clients 2001:db8:9::/64 --vip 198.18.1.1:80 --bare";
        assert!(wrong(six).contains("is of another family than --clients 2001:db8:9::/64"));
        let six = six.replace("198.18.1.1:80 --bare", "[2001:db8:1::1]:80 --servers 10.0.0.0/8 --gateway 198.18.0.1");
        assert!(
            wrong(&format!("{six} --gateway 198.19.0.1"))
                .contains("the side of 2001:db8:9::/64 have to be of its family")
        );
        let flood = "x synflood --device a --clients 10.0.0.0/8 --vip 1.1.1.1:80";
        assert!(wrong(flood).starts_with("--rate is missing"));
        let refused =
            |more: &str| Cli::try_parse_from(format!("{two} {more}").split_whitespace()).err().expect("refused");
        assert!(refused("--rate 0").to_string().contains("\"0\" is no rate"));
        assert!(refused("--duration x").to_string().contains("\"x\" are no seconds"));
        assert!(refused("--gateway-mac 1:2").to_string().contains("\"1:2\" is no MAC address"));
    }

    #[test]
    fn a_bare_forwarder_is_not_asked_for_and_the_sides_are_told_apart() {
        let line = "x udp --device a --device b --clients 100.64.0.0/10 --vip 198.18.1.1:80";
        let parse = |line: &str| Cli::try_parse_from(line.split_whitespace()).unwrap().mode.identities().unwrap();
        let sides = parse(&format!("{line} --bare"));
        assert!(sides.iter().all(|s| s.gateway.is_some() && s.answers.is_empty()));
        let more = "--servers 10.0.0.0/8 --routers 198.18.2.0/24 --routers 198.19.2.0/24 --gateway 198.18.0.1 --gateway 198.19.0.1";
        let sides = parse(&format!("{line} {more}"));
        assert_eq!(sides[1].own_ip.to_string(), "198.19.2.0");
        assert!(sides[0].answers.iter().any(|p| p.contains(0xFFFF_6440_0001)) && sides[0].gateway.is_none());
    }
}
