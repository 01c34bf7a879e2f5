//! `synflood`: SYNs of random clients, by the clock. Answers are counted and thrown away.

use super::addresses::{Clients, Services};
use super::bed::{Bed, CLIENTS, Load, Traffic};
use super::frame::{self, RST, SYN, Segment, Template};
use super::link::WAITING;
use dpdk::Mbuf;

/// See the module.
pub struct Flood {
    clients: Clients,
    services: Services,
    load: Load,
    template: Template,
}

impl Flood {
    /// Of any of these clients.
    pub fn new(bed: &Bed, clients: Clients, services: Services, load: Load) -> Flood {
        Flood { clients, services, load, template: Template::empty_tcp(bed.ends(CLIENTS)) }
    }
}

impl Traffic for Flood {
    fn client(&mut self, bed: &mut Bed, packet: Mbuf) {
        let said = frame::segment(packet.data()).map_or(0, |s| s.flags);
        bed.tally.through += u64::from(said & SYN != 0);
        bed.tally.resets += u64::from(said & RST != 0);
        bed.give(packet);
    }

    fn server(&mut self, bed: &mut Bed, packet: Mbuf) {
        bed.give(packet);
    }

    fn start(&mut self, bed: &mut Bed) {
        while bed.links[CLIENTS].waiting() < WAITING / 2 {
            if self.load.next(0, bed.now).is_none() {
                return;
            }
            let Some(mut packet) = bed.take(self.template.size()) else { return };
            let client = bed.random(self.clients.count().min(u64::from(u32::MAX)) as u32);
            let (from, to) = (self.clients.endpoint(client), self.services.of(client));
            let syn = Segment { seq: bed.random(u32::MAX), ack: 0, flags: SYN };
            self.template.fill_tcp(packet.data_mut(), from, to, syn, 0);
            bed.links[CLIENTS].send(packet);
            bed.tally.started += 1;
        }
    }

    fn look(&mut self, _: &mut Bed) {}
}
