//! How the captures of a case are made: a conversation in which the server side answers what the gateway really sent.
//!
//! A script talks to a gateway with the configuration and the seed of its case, so that what a server says is addressed
//! to the local port that its client's connection was given. What comes in is kept, and becomes `in.PORT.pcap`.

use gatun::replay::case::{Case, nanos};
use gatun::replay::player::{Input, Observer, Player};
use gatun::replay::{Gateway, Options};
use gatun_engine::addr::{Addr, Be16, Be32, Mac, PortId, Proto};
use gatun_engine::conn::record::EventKind;
use gatun_engine::conn::tuple::Tuple;
use gatun_engine::testkit::lab::{Sent, Step, mac_of};
use gatun_engine::testkit::{Packet, pcap};
use gatun_engine::wire::{FromBytes, ethernet, ipv4, vlan};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

pub(crate) const WAN: PortId = PortId(0);
pub(crate) const LAN: PortId = PortId(1);

/// A server's first sequence number.
pub(crate) const SERVER_ISN: u32 = 500_000;

/// A client's first sequence number: another one for each, by which its connection can be told.
pub(crate) fn isn(client: &str) -> u32 {
    let client: SocketAddr = client.parse().unwrap();
    let host = match client.ip() {
        IpAddr::V4(ip) => ip.octets()[3],
        IpAddr::V6(ip) => ip.octets()[15],
    };
    let (host, port) = (u32::from(host), u32::from(client.port()));
    host.wrapping_sub(1)
        .wrapping_mul(10_000_000)
        .wrapping_add(port.wrapping_sub(40_000).wrapping_mul(100_000))
        .wrapping_add(1_000)
}

#[derive(Default)]
struct Heard {
    sent: Vec<Sent>,
    opened: Vec<(Tuple, Tuple)>,
}

impl Observer for Heard {
    fn step(&mut self, _: &Gateway, _: &Input, step: &Step) {
        self.sent.extend(step.sent.iter().cloned());
        let opened = step.events.iter().filter(|e| e.kind == EventKind::Established);
        self.opened.extend(opened.map(|e| (e.client, e.reply)));
    }
    fn left(&mut self, _: &Gateway, sent: &Sent) {
        self.sent.push(sent.clone());
    }
}

/// See the module.
pub(crate) struct Script {
    player: Player<'static, Heard>,
    inputs: BTreeMap<u8, Vec<pcap::Captured>>,
    reloads: Vec<(u64, gatun::config::Model)>,
    now: u64,
}

impl Script {
    pub(crate) fn new(case: &Case) -> Script {
        let options: Options = case.options();
        let gateway = case.gateway(&options).unwrap();
        let heard = Box::leak(Box::new(Heard::default()));
        let mut player = Player::new(gateway, &case.answering(), None, heard);
        if case.settings.announce {
            player.announce();
        }
        Script { player, inputs: BTreeMap::new(), reloads: case.reloads().to_vec(), now: 0 }
    }

    /// The captures, by the name of the port.
    pub(crate) fn finish(self) -> BTreeMap<String, Vec<u8>> {
        let name = |port: u8| self.player.gateway.port_name(PortId(port)).to_owned();
        self.inputs.iter().map(|(port, packets)| (name(*port), pcap::write(packets).unwrap())).collect()
    }

    /// The time of what comes next, in seconds.
    pub(crate) fn at(&mut self, secs: f64) {
        let at = nanos(secs);
        assert!(at >= self.now, "a script does not go back in time");
        self.now = at;
    }

    /// So much later.
    pub(crate) fn after(&mut self, secs: f64) {
        self.now += nanos(secs);
    }

    /// A frame as it is comes in; gives what left since the last one.
    pub(crate) fn raw(&mut self, port: PortId, frame: Vec<u8>) -> Vec<Sent> {
        while self.reloads.first().is_some_and(|(at, _)| *at <= self.now) {
            let (at, model) = self.reloads.remove(0);
            self.player.reload(at, model).unwrap();
        }
        self.player.observer().sent.clear();
        self.inputs.entry(port.0).or_default().push(pcap::Captured::new(self.now, frame.clone()));
        self.player.feed(Input { nanos: self.now, port, frame, answer: false });
        self.now += 1_000_000;
        core::mem::take(&mut self.player.observer().sent)
    }

    /// A packet of a host on this link comes in, a millisecond after the last one: from the host's MAC, to the gateway's.
    pub(crate) fn packet(&mut self, port: PortId, packet: Packet) -> Vec<Sent> {
        let frame = packet.build();
        let src = source(&frame).unwrap_or_default();
        let frame = packet.macs(mac_of(src), self.mac(port)).build();
        self.raw(port, frame)
    }

    pub(crate) fn wan(&mut self, packet: Packet) -> Vec<Sent> {
        self.packet(WAN, packet)
    }

    pub(crate) fn lan(&mut self, packet: Packet) -> Vec<Sent> {
        self.packet(LAN, packet)
    }

    pub(crate) fn mac(&self, port: PortId) -> Mac {
        self.player.gateway.mac(port)
    }

    /// The tuple of the server's packets of the last connection that a client opened.
    pub(crate) fn lease(&mut self, client: &str, vip: &str, proto: Proto) -> Tuple {
        let client = key(client, vip, proto);
        let of = |s: &mut Self| s.player.observer().opened.iter().rev().find(|(c, _)| *c == client).map(|(_, r)| *r);
        of(self).unwrap_or_else(|| panic!("{client} has no connection"))
    }

    /// A TCP connection of a client, not yet opened.
    pub(crate) fn tcp<'s>(&'s mut self, client: &str, vip: &str) -> Tcp<'s> {
        Tcp {
            script: self,
            client: client.to_owned(),
            vip: vip.to_owned(),
            seq: isn(client),
            server_seq: SERVER_ISN,
            vlans: (None, None),
        }
    }

    /// The server's and the local end of a client's connection, as text.
    pub(crate) fn ends(&mut self, client: &str, vip: &str, proto: Proto) -> (String, String) {
        let reply = self.lease(client, vip, proto);
        let text = |a: Addr, p: Be16| SocketAddr::new(a.into(), p.host()).to_string();
        (text(reply.src(), reply.sport()), text(reply.dst(), reply.dport()))
    }
}

/// One TCP connection: who says what, with the right numbers.
pub(crate) struct Tcp<'s> {
    pub(crate) script: &'s mut Script,
    client: String,
    vip: String,
    pub(crate) seq: u32,
    pub(crate) server_seq: u32,
    /// Of the client's link, of the server's.
    pub(crate) vlans: (Option<u16>, Option<u16>),
}

impl Tcp<'_> {
    /// A packet of the client.
    pub(crate) fn client(&self, flags: &str) -> Packet {
        let packet = Packet::tcp(&self.client, &self.vip).flags(flags).seq(self.seq).df();
        if flags.contains('A') { packet.ack(self.server_seq) } else { packet }
    }

    /// A packet of the server.
    pub(crate) fn server(&mut self, flags: &str) -> Packet {
        let (server, local) = self.script.ends(&self.client, &self.vip, Proto::Tcp);
        let packet = Packet::tcp(&server, &local).flags(flags).seq(self.server_seq).df();
        if flags.contains('A') { packet.ack(self.seq) } else { packet }
    }

    pub(crate) fn wan(&mut self, packet: Packet) -> Vec<Sent> {
        let packet = self.vlans.0.map_or(packet.clone(), |v| packet.vlan(v));
        self.script.wan(packet)
    }

    pub(crate) fn lan(&mut self, packet: Packet) -> Vec<Sent> {
        let packet = self.vlans.1.map_or(packet.clone(), |v| packet.vlan(v));
        self.script.lan(packet)
    }

    pub(crate) fn syn(&mut self) -> Vec<Sent> {
        let packet = self.client("S").mss(1460);
        let sent = self.wan(packet);
        self.seq = self.seq.wrapping_add(1);
        sent
    }

    pub(crate) fn syn_ack(&mut self) -> Vec<Sent> {
        let packet = self.server("SA").mss(1460);
        let sent = self.lan(packet);
        self.server_seq = self.server_seq.wrapping_add(1);
        sent
    }

    pub(crate) fn ack(&mut self) -> Vec<Sent> {
        let packet = self.client("A");
        self.wan(packet)
    }

    pub(crate) fn server_ack(&mut self) -> Vec<Sent> {
        let packet = self.server("A");
        self.lan(packet)
    }

    /// The three packets that open it.
    pub(crate) fn open(&mut self) -> &mut Self {
        self.syn();
        self.syn_ack();
        self.ack();
        self
    }

    pub(crate) fn send(&mut self, data: &[u8]) -> Vec<Sent> {
        let packet = self.client("PA").payload(data);
        let sent = self.wan(packet);
        self.seq = self.seq.wrapping_add(data.len() as u32);
        sent
    }

    pub(crate) fn reply(&mut self, data: &[u8]) -> Vec<Sent> {
        let packet = self.server("PA").payload(data);
        let sent = self.lan(packet);
        self.server_seq = self.server_seq.wrapping_add(data.len() as u32);
        sent
    }

    pub(crate) fn fin(&mut self) -> Vec<Sent> {
        let packet = self.client("FA");
        let sent = self.wan(packet);
        self.seq = self.seq.wrapping_add(1);
        sent
    }

    pub(crate) fn server_fin(&mut self) -> Vec<Sent> {
        let packet = self.server("FA");
        let sent = self.lan(packet);
        self.server_seq = self.server_seq.wrapping_add(1);
        sent
    }
}

fn key(src: &str, dst: &str, proto: Proto) -> Tuple {
    let (src, dst): (SocketAddr, SocketAddr) = (src.parse().unwrap(), dst.parse().unwrap());
    Tuple::new(src.ip(), dst.ip(), Be16::new(src.port()), Be16::new(dst.port()), proto)
}

/// The IPv4 source address of a frame.
fn source(frame: &[u8]) -> Option<Be32> {
    let (eth, rest) = ethernet::Header::ref_from_prefix(frame).ok()?;
    let rest = if eth.ether_type == ethernet::VLAN { rest.get(vlan::LEN..)? } else { rest };
    ipv4::Header::ref_from_prefix(rest).ok().map(|(ip, _)| ip.src)
}
