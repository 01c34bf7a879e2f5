//! The settings of the gateway as a whole: one struct a table of the file, with the defaults of what is not given.
//!
//! Plain data, read by the master and the workers at start. Services, addresses and routes are in `model`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use serde::{Serialize, Serializer};

use super::values::{HashKey, Idle, OnServerRemoved, Secs, SynTimestamps};

/// `[eal]`: how DPDK's environment starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Eal {
    /// Run on ordinary pages instead of huge pages, for tests and the demo. Default false.
    pub no_huge: bool,
    /// Look for devices on the PCI bus. Default true; false is EAL's `--no-pci`.
    pub pci: bool,
    /// Memory to take at start, MiB. Absent: EAL takes huge pages as it needs them; with `no_huge` it is 1024.
    pub memory_mb: Option<u32>,
    /// Further EAL arguments, passed on as they are. Default none.
    pub args: Vec<String>,
}

impl Default for Eal {
    fn default() -> Self {
        Self { no_huge: false, pci: true, memory_mb: None, args: Vec::new() }
    }
}

/// `[lcores]`: who runs where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lcores {
    /// The EAL lcore of the master. Default 0.
    pub master: u32,
    /// Who the workers are. Default lcore 1 alone.
    pub workers: Workers,
    /// The CPU an lcore is bound to, for those bound to another than that of their own number. Default none.
    pub cpus: BTreeMap<u32, u32>,
    /// What a worker does when there is nothing to do. Default `auto`.
    pub idle: Idle,
}

/// The largest number of an lcore: Debian's DPDK is built for 128 of them.
pub const LCORE_MAX: u32 = 127;

/// Which lcores work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Workers {
    /// One for each CPU that the process may use, but the master's. Decided at start.
    Auto,
    /// These EAL lcores: at least one, none twice, none the master's.
    Lcores(Vec<u32>),
}

impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Lcores(lcores) => write!(f, "{lcores:?}"),
        }
    }
}

impl Serialize for Workers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Lcores(lcores) => lcores.serialize(serializer),
        }
    }
}

impl Lcores {
    /// The CPU that `lcore` is bound to.
    pub fn cpu(&self, lcore: u32) -> u32 {
        self.cpus.get(&lcore).copied().unwrap_or(lcore)
    }
}

impl Default for Lcores {
    fn default() -> Self {
        Self { master: 0, workers: Workers::Lcores(vec![1]), cpus: BTreeMap::new(), idle: Idle::default() }
    }
}

/// `[tables]`: sizes, fixed from start to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tables {
    /// Connections a worker lcore can hold. Default 1,000,000.
    pub connections: u32,
    /// Of these, connections whose client comes over IPv6, which take 64 bytes more each. Default: all of them.
    pub ipv6_connections: u32,
    /// Ids for pairs of service and server. Default 131,072.
    pub reals: u32,
    /// Neighbours, which is next hops. Default 65,536, which is also the most.
    pub neighbors: u32,
    /// Packet buffers of a socket. Default 16,384.
    pub mbufs: u32,
    /// Bytes of packet that a buffer holds, without its headroom. Default 2,048.
    pub mbuf_size: u16,
}

impl Default for Tables {
    fn default() -> Self {
        let connections = 1_000_000;
        Self {
            connections,
            ipv6_connections: connections,
            reals: 131_072,
            neighbors: 65_536,
            mbufs: 16_384,
            mbuf_size: 2_048,
        }
    }
}

/// `[steering]`: which lcore owns what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Steering {
    /// The Toeplitz key. Default: random at each start.
    pub key: Option<HashKey>,
    /// Seed of all other randomness, for replay and tests. Default: random at each start.
    pub seed: Option<u64>,
}

/// `[tcp]`: how TCP connections are treated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tcp {
    /// The timestamp option of a SYN whose local port may still be in TIME_WAIT on the server. Default `hot`.
    pub syn_timestamps: SynTimestamps,
    /// Raise the sequence numbers of a connection whose local port may still be in TIME_WAIT on the server above
    /// those of the connection before, so that the server accepts its SYN. Default true.
    pub raise_sequence: bool,
    /// The connections of a removed server, where the service does not say otherwise. Default `reset`.
    pub on_server_removed: OnServerRemoved,
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            syn_timestamps: SynTimestamps::default(),
            raise_sequence: true,
            on_server_removed: OnServerRemoved::default(),
        }
    }
}

/// `[api]`: who may speak to the REST interface besides those who may open its Unix socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Api {
    /// Where it listens for TCP. Default nowhere. Off loopback only with TLS.
    pub listen: Vec<SocketAddr>,
    /// The file with the hashes of the tokens that TCP needs.
    pub tokens: Option<String>,
    /// The certificate with its chain, and its key, both in PEM. Given together.
    pub tls: Option<Tls>,
    /// Names by which clients may call it besides addresses and `localhost`. Default none.
    pub hosts: Vec<String>,
    /// `/metrics` needs no token. Default false.
    pub open_metrics: bool,
    /// Requests a second of each TCP client's address. Default 1,000.
    pub rate: Option<u32>,
}

/// See [`Api`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tls {
    /// The file of the certificates.
    pub cert: String,
    /// The file of the key.
    pub key: String,
}

/// How long a connection stays in each state without a packet.
///
/// `syn` in the file sets `syn_sent`, `syn_recv` and `synack`; `fin` sets `fin_wait`, `close_wait`, `last_ack` and
/// `time_wait`; a field that names one state wins over the short form, wherever it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Timeouts {
    /// The server opened. Default 60 s.
    pub syn_sent: Secs,
    /// The client's SYN was seen. Default 60 s.
    pub syn_recv: Secs,
    /// The server's SYN and ACK were seen. Default 60 s.
    pub synack: Secs,
    /// Open. Default 900 s.
    pub established: Secs,
    /// The server closed first. Default 60 s.
    pub fin_wait: Secs,
    /// The client closed first. Default 60 s.
    pub close_wait: Secs,
    /// The client closed first, the server after it. Default 60 s.
    pub last_ack: Secs,
    /// Both closed. Default 60 s.
    pub time_wait: Secs,
    /// Ended by a RST. Default 10 s.
    pub close: Secs,
    /// UDP has only this state. Default 300 s.
    pub udp: Secs,
}

impl Timeouts {
    /// Every state by the name it has in the file, in the order of a connection's life.
    pub fn states(&self) -> [(&'static str, Secs); 10] {
        [
            ("syn_sent", self.syn_sent),
            ("syn_recv", self.syn_recv),
            ("synack", self.synack),
            ("established", self.established),
            ("fin_wait", self.fin_wait),
            ("close_wait", self.close_wait),
            ("last_ack", self.last_ack),
            ("time_wait", self.time_wait),
            ("close", self.close),
            ("udp", self.udp),
        ]
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        let (syn, fin) = (Secs(60), Secs(60));
        Self {
            syn_sent: syn,
            syn_recv: syn,
            synack: syn,
            established: Secs(900),
            fin_wait: fin,
            close_wait: fin,
            last_ack: fin,
            time_wait: fin,
            close: Secs(10),
            udp: Secs(300),
        }
    }
}

/// A token bucket of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// Packets a second, from each port to each worker. 0 with a burst of 0: none at all.
    pub rate: u32,
    /// Packets at once after a quiet time. At least 1 where the rate is.
    pub burst: u32,
}

impl Default for Limit {
    fn default() -> Self {
        Self { rate: 1_000, burst: 200 }
    }
}

/// `[limits]`: what a worker may hand to the master or answer itself, by reason. Default 1000 a second, burst 200.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Pings of an own address, a VIP or a local address.
    pub icmp_echo: Limit,
    /// Packets whose TTL ends here: ICMP time exceeded.
    pub ttl_exceeded: Limit,
    /// Packets with DF that are too big for the way on: ICMP fragmentation needed.
    pub frag_needed: Limit,
    /// Packets to a VIP's port without a service: RST or ICMP port unreachable.
    pub no_service: Limit,
    /// New connections to a service without a usable server: ICMP port unreachable.
    pub no_server: Limit,
}

impl Limits {
    /// Every limit by the name it has in the file.
    pub fn reasons(&self) -> [(&'static str, Limit); 5] {
        [
            ("icmp_echo", self.icmp_echo),
            ("ttl_exceeded", self.ttl_exceeded),
            ("frag_needed", self.frag_needed),
            ("no_service", self.no_service),
            ("no_server", self.no_server),
        ]
    }
}
