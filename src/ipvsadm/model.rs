//! What ipvsadm speaks of: services, real servers, connections, and the commands about them.
//!
//! Plain data between [`parse`](super::parse), the gateway and [`print`](super::print). It holds all that IPVS knows, also
//! what gatun does not do yet, so that what is asked for can be told from what can be done.

use std::net::{IpAddr, Ipv4Addr};

/// A layer 4 protocol, with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proto {
    /// TCP.
    Tcp = 6,
    /// UDP.
    Udp = 17,
    /// SCTP.
    Sctp = 132,
}

impl Proto {
    /// As listings and `/etc/services` have it.
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Tcp => ("TCP", "tcp"),
            Self::Udp => ("UDP", "udp"),
            Self::Sctp => ("SCTP", "sctp"),
        }
    }
}

/// What a service is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Protocol, VIP and port; port 0 is every port.
    Address(Proto, IpAddr, u16),
    /// A firewall mark of IPv4 packets, or of IPv6 packets (`true`).
    Mark(u32, bool),
}

impl Key {
    /// Whether its clients speak IPv6.
    pub fn v6(self) -> bool {
        match self {
            Self::Address(_, ip, _) => ip.is_ipv6(),
            Self::Mark(_, v6) => v6,
        }
    }

    /// The protocol, where there is one.
    pub fn proto(self) -> Option<Proto> {
        match self {
            Self::Address(proto, ..) => Some(proto),
            Self::Mark(..) => None,
        }
    }
}

/// Which clients count as one for persistence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// A netmask.
    V4(Ipv4Addr),
    /// A prefix length.
    V6(u8),
}

impl Granularity {
    /// Each client for itself.
    pub const ONE_V4: Self = Self::V4(Ipv4Addr::BROADCAST);
    /// Each client for itself.
    pub const ONE_V6: Self = Self::V6(128);
}

/// A service.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// What it is known by.
    pub key: Key,
    /// Its scheduler's name.
    pub scheduler: String,
    /// Flags of the scheduler: bit n is `flag-(n+1)`.
    pub flags: u8,
    /// Every packet is scheduled by itself.
    pub one_packet: bool,
    /// Seconds for which a client stays with its server.
    pub persistent: Option<u32>,
    /// Which clients count as one.
    pub granularity: Granularity,
    /// What else recognises a client.
    pub engine: Option<String>,
    /// gatun: the pool of local addresses; when editing, absent leaves it as it is.
    pub laddr: Option<String>,
    /// Of all its servers together: since the start, or a second's worth.
    pub counts: Counts,
    /// In the order in which they were added.
    pub dests: Vec<Dest>,
}

/// A real server.
#[derive(Clone, Debug, PartialEq)]
pub struct Dest {
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// How packets get there.
    pub method: Method,
    /// Its share of new connections.
    pub weight: u32,
    /// The most connections; 0: no limit.
    pub upper: u32,
    /// It is used again below so many connections; 0: three quarters of the upper one.
    pub lower: u32,
    /// Active connections.
    pub active: u64,
    /// All other connections.
    pub inactive: u64,
    /// Persistence templates.
    pub persistent: u64,
    /// Since the start, or a second's worth.
    pub counts: Counts,
}

/// How packets get to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// NAT.
    Masq,
    /// Direct routing.
    Route,
    /// A tunnel.
    Tunnel(Tunnel),
    /// NAT of both addresses, gatun's.
    FullNat,
}

/// A kind of tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnel {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation, to this port.
    Gue(u16, TunnelChecksum),
    /// Generic routing encapsulation.
    Gre(TunnelChecksum),
}

/// The checksum of a tunnel's own header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelChecksum {
    /// There is none.
    None,
    /// Over everything.
    Full,
    /// Left to the other end.
    Remote,
}

/// What was counted, since the start or in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections.
    pub conns: u64,
    /// Packets from clients.
    pub in_pkts: u64,
    /// Packets to clients.
    pub out_pkts: u64,
    /// Bytes from clients.
    pub in_bytes: u64,
    /// Bytes to clients.
    pub out_bytes: u64,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its protocol.
    pub proto: Proto,
    /// Seconds until it expires.
    pub expires: u32,
    /// Its state by name.
    pub state: String,
    /// The client.
    pub client: (IpAddr, u16),
    /// The service.
    pub vip: (IpAddr, u16),
    /// The server.
    pub dest: (IpAddr, u16),
}

/// Timeouts in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP, established.
    pub tcp: u32,
    /// TCP after a FIN.
    pub tcp_fin: u32,
    /// UDP.
    pub udp: u32,
}

/// A change of the table.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// -A
    AddService(Service),
    /// -E
    EditService(Service),
    /// -D
    DeleteService(Key),
    /// -C
    Clear,
    /// -a
    AddDest(Key, Dest),
    /// -e
    EditDest(Key, Dest),
    /// -d
    DeleteDest(Key, IpAddr, u16),
    /// --set; 0 leaves as it is.
    SetTimeouts(Timeouts),
    /// -Z, of one service or of all.
    Zero(Option<Key>),
}

/// A command line, understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Change the table.
    Change(Change),
    /// -L
    List(Listing),
    /// -S
    Save {
        /// -n
        numeric: bool,
    },
    /// -R
    Restore,
    /// --start-daemon
    StartDaemon,
    /// --stop-daemon
    StopDaemon,
    /// -h
    Help,
    /// -v
    Version,
}

/// What -L shows, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing {
    /// What.
    pub what: What,
    /// -n: no names.
    pub numeric: bool,
    /// --exact: no K, M, G, T.
    pub exact: bool,
    /// Not with --nosort.
    pub sort: bool,
}

/// What -L shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// All services, or one.
    Services(Option<Key>, View),
    /// -c, with --persistent-conn also what else recognises a client.
    Connections {
        /// --persistent-conn
        engine: bool,
    },
    /// --timeout
    Timeouts,
    /// --daemon
    Daemons,
}

/// What of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Weights and connections.
    Plain,
    /// --stats
    Stats,
    /// --rate
    Rate,
    /// --thresholds
    Thresholds,
    /// --persistent-conn
    Persistent,
    /// --tun-info
    Tunnels,
}
