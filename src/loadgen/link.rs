//! One side of the test bed: a port with a queue each way, whoever it says it is, and where its gateway is.

use super::addresses::{Endpoint, Prefix};
use super::frame::Mac;
use arrayvec::ArrayVec;
use dpdk::port::PortError;
use dpdk::{Eal, HEADROOM, Mbuf, Mempool, Port, PortConfig, RxQueue, TxQueue};
use gatun_engine::addr;
use gatun_engine::testkit::Packet;
use gatun_engine::wire::{FromBytes, arp, ipv6, ndp};
use std::net::{IpAddr, Ipv6Addr};

/// Packets that are taken from a queue at once.
pub const RX_BURST: usize = 64;
/// Packets that may wait for room in the transmit queue.
pub const WAITING: usize = 8_192;

/// A burst as it was received.
pub type Burst = ArrayVec<Mbuf, RX_BURST>;

const ETHERNET: usize = 14;

/// See the module.
pub struct Link {
    _port: Port,
    rx: RxQueue,
    tx: TxQueue,
    out: Box<ArrayVec<Mbuf, WAITING>>,
    burst: usize,
    /// Its own address.
    pub mac: Mac,
    /// The gateway's, once it is known.
    pub gateway: Option<Mac>,
    gateway_ip: Option<IpAddr>,
    own_ip: IpAddr,
    answers: Vec<Prefix>,
    /// Packets that the port took.
    pub sent: u64,
    /// Packets that found no room even among those that wait for the port, and were thrown away.
    pub unsent: u64,
    /// Bursts and packets received.
    pub bursts: u64,
    /// See `bursts`.
    pub received: u64,
}

/// Who a link says it is.
pub struct Identity {
    /// It answers for these.
    pub answers: Vec<Prefix>,
    /// The address that it asks from; it says of which family the side is.
    pub own_ip: IpAddr,
    /// The gateway to ask for.
    pub gateway_ip: Option<IpAddr>,
    /// Where the gateway is, when it shall not be asked.
    pub gateway: Option<Mac>,
}

impl Link {
    /// Opens a port. `burst` packets are sent at once when there are as many.
    pub fn open(
        eal: &Eal,
        device: &str,
        pool: &Mempool,
        descriptors: u16,
        burst: usize,
        who: Identity,
    ) -> Result<Link, PortError> {
        let config = PortConfig {
            rx_desc: descriptors,
            tx_desc: descriptors,
            promiscuous: true,
            ..PortConfig::new(device, pool.clone())
        };
        let (port, mut queues) = Port::open(eal, &config)?;
        // One queue each way was asked for and granted.
        let (Some(rx), Some(tx)) = (queues.rx.pop(), queues.tx.pop()) else {
            return Err(PortError::BadName(device.to_owned()));
        };
        let mac = port.mac()?;
        Ok(Link {
            _port: port,
            rx,
            tx,
            out: Box::default(),
            burst,
            mac,
            gateway: who.gateway,
            gateway_ip: who.gateway_ip,
            own_ip: who.own_ip,
            answers: who.answers,
            sent: 0,
            unsent: 0,
            bursts: 0,
            received: 0,
        })
    }

    /// Takes what has come; what is ARP is dealt with here.
    #[inline(always)]
    pub fn receive(&mut self, burst: &mut Burst) -> usize {
        let count = self.rx.burst(burst);
        if count == 0 {
            return 0;
        }
        self.bursts += 1;
        self.received += count as u64;
        // Nearly every packet is written to: turned around, or used for the next one.
        burst.iter().for_each(Mbuf::prefetch_to_write);
        count
    }

    /// Sends a packet with the next burst.
    #[inline(always)]
    pub fn send(&mut self, packet: Mbuf) {
        self.unsent += u64::from(self.out.try_push(packet).is_err());
        if self.out.len() >= self.burst {
            self.flush();
        }
    }

    /// Sends what waits.
    #[inline(always)]
    pub fn flush(&mut self) {
        if !self.out.is_empty() {
            self.sent += self.tx.burst(&mut self.out) as u64;
        }
    }

    /// Packets that wait for room in the queue.
    #[inline(always)]
    pub fn waiting(&self) -> usize {
        self.out.len()
    }

    /// Its packets are of IPv6.
    pub fn speaks_v6(&self) -> bool {
        self.own_ip.is_ipv6()
    }

    /// Answers who asks for one of its addresses, learns the gateway's. Gives back what is neither ARP nor ICMPv6.
    #[inline(always)]
    pub fn neighbours(&mut self, packet: Mbuf) -> Option<Mbuf> {
        match packet.data().get(12..21) {
            Some([8, 6, ..]) => self.arp(packet),
            Some([0x86, 0xDD, .., ipv6::ICMPV6]) => self.ndp(packet),
            _ => return Some(packet),
        }
        None
    }

    #[cold]
    fn arp(&mut self, mut packet: Mbuf) {
        let frame = packet.data_mut();
        let Some((head, body)) = frame.split_at_mut_checked(ETHERNET) else { return };
        let Ok((said, _)) = arp::Packet::mut_from_prefix(body) else { return };
        let mapped = |ip: addr::Be32| Endpoint::mapped(ip.host());
        if self.gateway_ip == Some(addr::Addr::V4(said.sender_ip).into()) {
            self.gateway = Some(said.sender_mac.0);
        }
        if said.op != arp::REQUEST || !self.answers.iter().any(|p| p.contains(mapped(said.target_ip))) {
            return;
        }
        let (own, asked) = (addr::Mac(self.mac), said.sender_mac);
        *said = arp::Packet::new(arp::REPLY, own, said.target_ip, asked, said.sender_ip);
        head[..6].copy_from_slice(&asked.0);
        head[6..12].copy_from_slice(&own.0);
        self.send(packet);
    }

    /// A neighbour solicitation or advertisement; any other ICMPv6 is not for us. A probe for duplicates is not answered: the
    /// address is the other's.
    #[cold]
    fn ndp(&mut self, packet: Mbuf) {
        let Some(body) = packet.data().get(ETHERNET..) else { return };
        let Ok((ip, rest)) = ipv6::Header::ref_from_prefix(body) else { return };
        let Ok((said, options)) = ndp::Message::ref_from_prefix(rest) else { return };
        let (src, target) = (Ipv6Addr::from(ip.src), Ipv6Addr::from(said.target));
        let kind = if said.kind == ndp::SOLICITATION { ndp::SOURCE_LINK } else { ndp::TARGET_LINK };
        let Ok(Some(mac)) = ndp::link_option(options, kind) else { return };
        let speaker = if said.kind == ndp::ADVERTISEMENT { target } else { src };
        if self.gateway_ip == Some(speaker.into()) {
            self.gateway = Some(mac.0);
        }
        let asked = said.kind == ndp::SOLICITATION && !src.is_unspecified();
        if asked && self.answers.iter().any(|p| p.contains(target.to_bits())) {
            self.say(packet, &Packet::ndp_advertise(self.mac, &target.to_string(), mac, &src.to_string()));
        }
    }

    /// Sends what is rarely said.
    fn say(&mut self, mut packet: Mbuf, what: &Packet) {
        let frame = what.build();
        if packet.set_window(HEADROOM, frame.len() as u16).is_ok() {
            packet.data_mut().copy_from_slice(&frame);
            self.send(packet);
        }
    }

    /// Asks where the gateway is.
    pub fn ask(&mut self, packet: Mbuf) {
        let Some(gateway) = self.gateway_ip else { return };
        let (own, gateway) = (self.own_ip.to_string(), gateway.to_string());
        let question = match self.speaks_v6() {
            true => Packet::ndp_solicit(self.mac, &own, &gateway),
            false => Packet::arp_request(self.mac, &own, &gateway),
        };
        self.say(packet, &question);
        self.flush();
    }
}
