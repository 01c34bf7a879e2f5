//! Opens flows before they are measured: a UDP packet there and back, or a TCP handshake. Those that fail are tried again.

use super::addresses::{Clients, Endpoint, Services};
use super::bed::{Bed, CLIENTS, SERVERS, Traffic};
use super::frame::{self, ACK, Head, SYN, Segment, Template};
use super::link::WAITING;
use dpdk::{Mbuf, tsc_hz};

/// The servers' first sequence number.
pub const SERVER_SEQ: u32 = 0x1000_0000;
/// Rounds over all flows that are made at most without any of them opening.
const VAIN: u32 = 20;

/// See the module.
pub struct Opening {
    tcp: bool,
    clients: Clients,
    services: Services,
    /// One bit a flow.
    open: Vec<u64>,
    left: u32,
    flows: u32,
    at: u32,
    window: u32,
    outstanding: u32,
    heard: u64,
    left_before: u32,
    vain: u32,
    udp: Template,
    there: Template,
    back: Template,
}

impl Opening {
    /// Of the first `flows` clients.
    pub fn new(bed: &Bed, tcp: bool, clients: Clients, services: Services, flows: u32, window: u32) -> Opening {
        let (clients_ends, servers_ends) = (bed.ends(CLIENTS), bed.ends(SERVERS));
        Opening {
            tcp,
            clients,
            services,
            open: vec![0; flows.div_ceil(64) as usize],
            left: flows,
            flows,
            at: 0,
            window,
            outstanding: 0,
            heard: bed.now,
            left_before: flows,
            vain: 0,
            udp: Template::udp(frame::LEAST, clients_ends),
            there: Template::empty_tcp(clients_ends),
            back: Template::empty_tcp(servers_ends),
        }
    }

    /// Flows that are not open.
    pub fn left(&self) -> u32 {
        self.left
    }

    fn is_open(&self, flow: u32) -> bool {
        self.open.get(flow as usize / 64).is_none_or(|bits| bits >> (flow % 64) & 1 == 1)
    }

    fn opened(&mut self, client: Endpoint, bed: &Bed) {
        let flow = self.clients.number(client);
        self.heard = bed.now;
        self.outstanding = self.outstanding.saturating_sub(1);
        if !self.is_open(flow) {
            self.open[flow as usize / 64] |= 1 << (flow % 64);
            self.left -= 1;
        }
    }
}

impl Traffic for Opening {
    fn client(&mut self, bed: &mut Bed, mut packet: Mbuf) {
        let Some(head) = Head::read(packet.data()) else { return bed.wrong("not UDP or TCP", packet) };
        if !self.tcp {
            self.opened(head.to, bed);
            return bed.give(packet);
        }
        match frame::segment(packet.data()) {
            Some(s) if head.proto == 6 && s.flags & (SYN | ACK) == SYN | ACK => {
                self.opened(head.to, bed);
                let ack = Segment { seq: s.ack, ack: s.seq.wrapping_add(1), flags: ACK };
                let window = packet.set_window(dpdk::HEADROOM, self.there.size() as u16);
                if window.is_ok() {
                    self.there.fill_tcp(packet.data_mut(), head.to, head.from, ack, 0);
                    bed.links[CLIENTS].send(packet);
                }
            }
            _ => bed.give(packet),
        }
    }

    fn server(&mut self, bed: &mut Bed, mut packet: Mbuf) {
        let Some(head) = Head::read(packet.data()) else { return bed.wrong("not UDP or TCP", packet) };
        if !self.tcp {
            frame::turn_around(packet.data_mut());
            return bed.links[SERVERS].send(packet);
        }
        match frame::segment(packet.data()) {
            Some(s) if head.proto == 6 && s.flags & (SYN | ACK) == SYN => {
                let answer = Segment { seq: SERVER_SEQ, ack: s.seq.wrapping_add(1), flags: SYN | ACK };
                if packet.set_window(dpdk::HEADROOM, self.back.size() as u16).is_ok() {
                    self.back.fill_tcp(packet.data_mut(), head.to, head.from, answer, 0);
                    bed.links[SERVERS].send(packet);
                }
            }
            _ => bed.give(packet),
        }
    }

    fn start(&mut self, bed: &mut Bed) {
        while self.outstanding < self.window && bed.links[CLIENTS].waiting() < WAITING / 2 {
            while self.at < self.flows && self.is_open(self.at) {
                self.at += 1;
            }
            if self.at == self.flows {
                return;
            }
            let size = if self.tcp { self.there.size() } else { self.udp.size() };
            let Some(mut packet) = bed.take(size) else { return };
            let (client, vip) = (self.clients.endpoint(self.at), self.services.of(self.at));
            if self.tcp {
                let syn = Segment { seq: self.at.wrapping_mul(0x9E37_79B1), ack: 0, flags: SYN };
                self.there.fill_tcp(packet.data_mut(), client, vip, syn, 0);
            } else {
                self.udp.fill_udp(packet.data_mut(), client, vip, self.at);
            }
            bed.links[CLIENTS].send(packet);
            bed.tally.started += 1;
            self.outstanding += 1;
            self.at += 1;
        }
    }

    fn look(&mut self, bed: &mut Bed) {
        // What has not come back 100 ms after the last that did is lost.
        if bed.now.saturating_sub(self.heard) < tsc_hz() / 10 {
            return;
        }
        (self.heard, self.outstanding) = (bed.now, 0);
        if self.at == self.flows {
            self.at = 0;
            self.vain = if self.left < self.left_before { 0 } else { self.vain + 1 };
            self.left_before = self.left;
        }
    }

    fn done(&self) -> bool {
        self.left == 0 && self.outstanding == 0 || self.vain >= VAIN
    }
}
