//! `udp` and `tcp`: packets of random flows go to their servers, are turned around there, and come back.

use super::addresses::{Clients, Prefix, Services};
use super::bed::{Bed, CLIENTS, Load, SERVERS, Traffic};
use super::frame::{self, ACK, Head, Segment, Template};
use super::link::WAITING;
use super::window::Window;
use dpdk::{Mbuf, tsc_hz};

/// See the module.
pub struct Flows {
    proto: u8,
    clients: Clients,
    services: Services,
    /// `None`: whoever gets a packet is the server.
    servers: Option<Prefix>,
    flows: u32,
    load: Load,
    /// What is on its way, by the marks of the packets: the flows.
    pub window: Window,
    templates: Vec<Template>,
}

impl Flows {
    /// Of the first `flows` clients; frames of these sizes.
    pub fn new(
        bed: &Bed,
        tcp: bool,
        (clients, services, servers): (Clients, Services, Option<Prefix>),
        flows: u32,
        sizes: &[usize],
        load: Load,
    ) -> Flows {
        let ends = bed.ends(CLIENTS);
        let template = |len: &usize| if tcp { Template::tcp(*len, ends) } else { Template::udp(*len, ends) };
        Flows {
            proto: if tcp { 6 } else { 17 },
            clients,
            services,
            servers,
            flows,
            load,
            window: Window::new(0),
            templates: sizes.iter().map(template).collect(),
        }
    }
}

impl Traffic for Flows {
    #[inline(always)]
    fn client(&mut self, bed: &mut Bed, packet: Mbuf) {
        let data = packet.data();
        let head = Head::read(data).filter(|h| h.proto == self.proto);
        let Some((head, mark)) = head.zip(frame::mark(data, self.proto)) else {
            let is_reset = frame::segment(data).is_some_and(|s| s.flags & frame::RST != 0);
            bed.tally.resets += u64::from(is_reset);
            return bed.wrong("not a packet of ours", packet);
        };
        let Some((flow, at)) = self.window.get(mark) else {
            bed.tally.late += 1;
            return bed.give(packet);
        };
        if head.to != self.clients.endpoint(flow) || head.from != self.services.of(flow) {
            return bed.wrong("the addresses of another flow", packet);
        }
        self.window.back(mark);
        bed.tally.through += 1;
        bed.tally.done += 1;
        bed.tally.latency.record(bed.now.saturating_sub(at));
        bed.sample(data);
        bed.give(packet);
    }

    #[inline(always)]
    fn server(&mut self, bed: &mut Bed, mut packet: Mbuf) {
        let data = packet.data();
        let head = Head::read(data).filter(|h| h.proto == self.proto);
        let Some(head) = head.filter(|_| frame::mark(data, self.proto).is_some()) else {
            return bed.wrong("not a packet of ours at a server", packet);
        };
        if self.servers.is_some_and(|s| !s.contains(head.to.addr)) {
            return bed.wrong("no address of a server", packet);
        }
        bed.tally.through += 1;
        bed.sample(data);
        frame::turn_around(packet.data_mut());
        bed.links[SERVERS].send(packet);
    }

    #[inline(always)]
    fn start(&mut self, bed: &mut Bed) {
        while bed.links[CLIENTS].waiting() < WAITING / 2 {
            let Some(at) = self.load.next(self.window.outstanding, bed.now) else { return };
            let template = match &self.templates[..] {
                [one] => one,
                many => &many[bed.random(many.len() as u32) as usize],
            };
            let Some(mut packet) = bed.take(template.size()) else { return };
            let flow = bed.random(self.flows);
            let (client, vip) = (self.clients.endpoint(flow), self.services.of(flow));
            let mark = self.window.leave(flow, at);
            if self.proto == 6 {
                template.fill_tcp(packet.data_mut(), client, vip, Segment { seq: 1, ack: 1, flags: ACK }, mark);
            } else {
                template.fill_udp(packet.data_mut(), client, vip, mark);
            }
            bed.links[CLIENTS].send(packet);
            bed.tally.started += 1;
        }
    }

    fn look(&mut self, bed: &mut Bed) {
        self.window.give_up(bed.now.saturating_sub(tsc_hz()));
    }
}
