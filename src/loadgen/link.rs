//! One side of the test bed: a port with a queue each way, whoever it says it is, and where its gateway is.

use super::addresses::Prefix;
use super::frame::Mac;
use arrayvec::ArrayVec;
use dpdk::port::PortError;
use dpdk::{Eal, HEADROOM, Mbuf, Mempool, Port, PortConfig, RxQueue, TxQueue};
use gatun_engine::addr::{self, Be32};
use gatun_engine::wire::{FromBytes, IntoBytes, arp};
use std::net::Ipv4Addr;

/// Packets that are taken from a queue at once.
pub const RX_BURST: usize = 64;
/// Packets that may wait for room in the transmit queue.
pub const WAITING: usize = 8_192;

/// A burst as it was received.
pub type Burst = ArrayVec<Mbuf, RX_BURST>;

const ETHERNET: usize = 14;
const ARP: [u8; 2] = [8, 6];

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
    gateway_ip: Option<Ipv4Addr>,
    own_ip: Ipv4Addr,
    answers: Vec<Prefix>,
    /// Packets that the port took.
    pub sent: u64,
    /// Bursts and packets received.
    pub bursts: u64,
    /// See `bursts`.
    pub received: u64,
}

/// Who a link says it is.
pub struct Identity {
    /// It answers ARP for these.
    pub answers: Vec<Prefix>,
    /// The address that it asks ARP from.
    pub own_ip: Ipv4Addr,
    /// The gateway to ask for.
    pub gateway_ip: Option<Ipv4Addr>,
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
        burst.iter().for_each(Mbuf::prefetch);
        count
    }

    /// Sends a packet with the next burst.
    #[inline(always)]
    pub fn send(&mut self, packet: Mbuf) {
        // What has no room any more is lost, and missed by whoever waits for it.
        let _ = self.out.try_push(packet);
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

    /// Answers a request for one of its addresses, learns the gateway's. Gives back what is not ARP.
    #[inline(always)]
    pub fn arp(&mut self, packet: Mbuf) -> Option<Mbuf> {
        if packet.data().get(12..ETHERNET) != Some(&ARP) {
            return Some(packet);
        }
        self.arp_slow(packet);
        None
    }

    #[cold]
    fn arp_slow(&mut self, mut packet: Mbuf) {
        let frame = packet.data_mut();
        let Some((head, body)) = frame.split_at_mut_checked(ETHERNET) else { return };
        let Ok((said, _)) = arp::Packet::mut_from_prefix(body) else { return };
        let (sender, target) = (said.sender_ip.host(), said.target_ip.host());
        if self.gateway_ip.is_some_and(|ip| ip.to_bits() == sender) {
            self.gateway = Some(said.sender_mac.0);
        }
        if said.op != arp::REQUEST || !self.answers.iter().any(|p| p.contains(target)) {
            return;
        }
        let (own, asked) = (addr::Mac(self.mac), said.sender_mac);
        *said = arp::Packet::new(arp::REPLY, own, said.target_ip, asked, said.sender_ip);
        head[..6].copy_from_slice(&asked.0);
        head[6..12].copy_from_slice(&own.0);
        self.send(packet);
    }

    /// Asks where the gateway is.
    pub fn ask(&mut self, mut packet: Mbuf) {
        let Some(gateway) = self.gateway_ip else { return };
        let len = ETHERNET + arp::LEN;
        if packet.set_window(HEADROOM, len as u16).is_err() {
            return;
        }
        let (own, nobody) = (addr::Mac(self.mac), addr::Mac([0; 6]));
        let (own_ip, gateway) = (Be32::new(self.own_ip.to_bits()), Be32::new(gateway.to_bits()));
        let request = arp::Packet::new(arp::REQUEST, own, own_ip, nobody, gateway);
        if let Some((head, body)) = packet.data_mut().split_at_mut_checked(ETHERNET) {
            head[..6].fill(0xFF);
            head[6..12].copy_from_slice(&self.mac);
            head[12..].copy_from_slice(&ARP);
            body[..arp::LEN].copy_from_slice(request.as_bytes());
        }
        self.send(packet);
        self.flush();
    }
}
