//! A gateway to try things on.

use gatun::config;
use gatun::replay::packet::View;
use gatun::replay::{Gateway, Options};
use gatun_engine::addr::{Be16, Be32, PortId, Proto};
use gatun_engine::conn::record::EventKind;
use gatun_engine::conn::tuple::Tuple;
use gatun_engine::testkit::lab::{Sent, Step, mac_of};
use gatun_engine::testkit::{Packet, World, check, text};
use gatun_engine::verdict::{DropReason, Verdict};
use gatun_engine::wire::tcp;
use gatun_engine::wire::tcp::{ACK, FIN, RST, SYN};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

pub(crate) const WAN: PortId = PortId(0);
pub(crate) const LAN: PortId = PortId(1);

/// Two ports, one TCP and one UDP service of one server each, one local address.
pub(crate) fn toml(more: &str) -> String {
    format!(
        r#"
[tables]
connections = 80_000
reals = 16
neighbors = 256
{more}
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
via = "198.18.1.253"
[[laddr_pool]]
name = "lan"
addresses = ["198.18.2.100"]
[[service]]
protocol = "tcp"
address = "198.18.1.100:80"
real = [{{ address = "198.18.2.11:80" }}]
[[service]]
protocol = "udp"
address = "198.18.1.100:53"
real = [{{ address = "198.18.2.11:53" }}]
"#
    )
}

/// The service whose server is of IPv6, and the one whose server is of IPv4.
pub(crate) const SIX: &str = "[2001:db8:1::100]:80";
pub(crate) const FOUR: &str = "[2001:db8:1::100]:81";
pub(crate) const SIX_UDP: &str = "[2001:db8:1::100]:53";
pub(crate) const FOUR_UDP: &str = "[2001:db8:1::100]:54";

/// Two ports with addresses of both families; behind IPv6 VIPs a server of each, behind an IPv4 VIP one of IPv4.
pub(crate) fn both(more: &str) -> String {
    format!(
        r#"
[tables]
connections = 64
reals = 16
neighbors = 256
[[port]]
name = "wan"
[[port]]
name = "lan"
[[interface]]
port = "wan"
addresses = ["198.18.1.254/24", "2001:db8:1::fe/64"]
[[interface]]
port = "lan"
addresses = ["198.18.2.254/24", "2001:db8:2::fe/64"]
[[route]]
to = "0.0.0.0/0"
via = "198.18.1.253"
[[route]]
to = "::/0"
via = "2001:db8:1::fd"
[[laddr_pool]]
name = "lan"
addresses = ["198.18.2.100", "2001:db8:2::100"]
[[service]]
protocol = "tcp"
address = "198.18.1.100:80"
real = [{{ address = "198.18.2.11:80" }}]
[[service]]
protocol = "udp"
address = "198.18.1.100:53"
real = [{{ address = "198.18.2.11:53" }}]
[[service]]
protocol = "tcp"
address = "{SIX}"
real = [{{ address = "[2001:db8:2::11]:80" }}]
[[service]]
protocol = "tcp"
address = "{FOUR}"
real = [{{ address = "198.18.2.11:81" }}]
[[service]]
protocol = "udp"
address = "{SIX_UDP}"
real = [{{ address = "[2001:db8:2::11]:53" }}]
[[service]]
protocol = "udp"
address = "{FOUR_UDP}"
real = [{{ address = "198.18.2.11:54" }}]
{more}
"#
    )
}

/// A gateway, and the tuples of the connections that were opened.
pub(crate) struct Bench {
    pub(crate) gateway: Gateway,
    pub(crate) world: World,
}

impl Bench {
    pub(crate) fn new(toml: &str, options: &Options) -> Bench {
        Bench::of(World::V4, toml, options)
    }

    /// What a configuration is in a world; clients are of it, too.
    pub(crate) fn of(world: World, toml: &str, options: &Options) -> Bench {
        let model = config::parse(&world.text(toml), "test.toml").unwrap_or_else(|e| panic!("{e}"));
        Bench { gateway: Gateway::new(model, options).unwrap(), world }
    }

    /// Opens a TCP connection of a client and takes it to where packets go the short way. The server's answers come as this
    /// tuple, both sides written out.
    pub(crate) fn establish(&mut self, client: &str, vip: &str) -> (String, String) {
        let reply = opened(&self.packet(WAN, Packet::tcp(client, vip).flags("S"))).expect("a connection");
        let (server, local) = (socket(reply.src(), reply.sport()), socket(reply.dst(), reply.dport()));
        self.packet(LAN, Packet::tcp(&server, &local).flags("SA"));
        self.packet(WAN, Packet::tcp(client, vip));
        (server, local)
    }

    /// Until then.
    pub(crate) fn at(&mut self, secs: u64) {
        while !self.gateway.lab.advance(secs * 1_000_000_000).is_empty() {}
    }

    pub(crate) fn frame(&mut self, port: PortId, frame: &[u8]) -> Step {
        self.gateway.lab.input(port, frame)
    }

    /// A packet of a host on this link.
    pub(crate) fn packet(&mut self, port: PortId, packet: Packet) -> Step {
        let mac = self.gateway.mac(port);
        let step = self.gateway.lab.input(port, &packet.macs(mac_of(Be32::new(0)), mac).build());
        for sent in &step.sent {
            check::checksums(&sent.frame).unwrap_or_else(|e| panic!("{}: {e}", text::long(&sent.frame)));
        }
        step
    }

    pub(crate) fn counter(&self, of: impl Fn(&gatun_engine::stats::LcoreStats) -> u64) -> u64 {
        self.gateway.lab.lcores().iter().map(|l| of(&l.shard.stats.lcore)).sum()
    }

    pub(crate) fn drops(&self, reason: DropReason) -> u64 {
        self.gateway.lab.drops(reason)
    }
}

/// The n-th client.
pub(crate) fn client(n: u32) -> (Be32, Be16) {
    (Be32::new(0x0A00_0000 + n / 50_000), Be16::new(1_024 + (n % 50_000) as u16))
}

pub(crate) fn socket(addr: impl Into<IpAddr>, port: Be16) -> String {
    SocketAddr::new(addr.into(), port.host()).to_string()
}

/// The tuple of the server's packets of what a step opened.
pub(crate) fn opened(step: &Step) -> Option<Tuple> {
    step.events.iter().find(|e| e.kind == EventKind::Established).map(|e| e.reply)
}

/// The tuple of a frame that left, and its TCP header.
pub(crate) fn tcp_of(sent: &Sent) -> (Tuple, tcp::Header) {
    let view = View::of(&sent.frame).unwrap();
    (view.key().unwrap(), *view.tcp().unwrap().0)
}

/// A fast way to make a TCP packet, for tests with many: no options, no data.
pub(crate) fn segment(key: &Tuple, flags: u8, seq: u32, ack: u32, mac: gatun_engine::addr::Mac) -> Vec<u8> {
    let mut frame = vec![0; if key.v4().is_some() { 54 } else { 74 }];
    let l2 = gatun_engine::local::write::L2 { dst: mac, src: mac_of(key.src()), vlan: 0 };
    let what = gatun_engine::local::write::Tcp { seq, ack, flags };
    gatun_engine::local::write::tcp(&mut frame, &l2, key, &what);
    frame
}

/// One connection, by its packets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conn {
    pub(crate) client: Tuple,
    pub(crate) reply: Tuple,
}

pub(crate) const WEB: &str = "198.18.1.100:80";

impl Bench {
    pub(crate) fn key(n: u32) -> Tuple {
        Bench::key_of(World::V4, n)
    }

    /// The tuple of the n-th client's packets in a world.
    pub(crate) fn key_of(world: World, n: u32) -> Tuple {
        let (addr, port) = client(n);
        let far = 0x2001_0db8_0010 << 80;
        let src = match world {
            World::V4 => IpAddr::V4(addr.into()),
            World::V6 | World::Nat64 => Ipv6Addr::from(far | u128::from(addr.host())).into(),
        };
        Tuple::new(src, world.addr("198.18.1.100"), port, Be16::new(80), Proto::Tcp)
    }

    pub(crate) fn syn(&mut self, n: u32) -> (Step, Option<Conn>) {
        let client = Self::key_of(self.world, n);
        let mac = self.gateway.mac(WAN);
        let step = self.frame(WAN, &segment(&client, SYN, n, 0, mac));
        let conn = opened(&step).map(|reply| Conn { client, reply });
        (step, conn)
    }

    pub(crate) fn say(&mut self, c: &Conn, by_client: bool, flags: u8) -> Step {
        let (port, key) = if by_client { (WAN, &c.client) } else { (LAN, &c.reply) };
        let mac = self.gateway.mac(port);
        self.frame(port, &segment(key, flags, 1, 1, mac))
    }

    pub(crate) fn open(&mut self, n: u32) -> Conn {
        let (step, conn) = self.syn(n);
        let conn = conn.unwrap_or_else(|| panic!("client {n}: {:?}", step.verdict));
        self.say(&conn, false, SYN | ACK);
        let step = self.say(&conn, true, ACK);
        assert!(matches!(step.verdict, Verdict::Tx(_)), "client {n}: {:?}", step.verdict);
        conn
    }

    pub(crate) fn close(&mut self, c: &Conn) {
        self.say(c, true, FIN | ACK);
        self.say(c, false, FIN | ACK);
    }

    pub(crate) fn reset(&mut self, c: &Conn) {
        self.say(c, false, RST);
    }

    pub(crate) fn alive(&mut self, c: &Conn) -> bool {
        matches!(self.say(c, false, ACK).verdict, Verdict::Tx(_))
    }
}
