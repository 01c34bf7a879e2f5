//! `conn`: whole TCP connections, of six packets.
//!
//! ```text
//! client  -- SYN ->           -- ACK ->  -- FIN ->               -- ACK ->
//! server           <- SYN-ACK --                   <- FIN-ACK --
//! ```
//!
//! The client's number is that of its connection, and the server knows from what is acknowledged where a connection
//! stands: neither looks anything up. A client may send again what nobody answers; a server answers what it is asked.

use super::addresses::{Clients, Endpoint, Prefix, Services};
use super::bed::{Bed, CLIENTS, Load, SERVERS, Traffic};
use super::frame::{self, ACK, FIN, Head, RST, SYN, Segment, Template};
use super::link::WAITING;
use super::opening::SERVER_SEQ;
use super::window::Window;
use dpdk::{HEADROOM, Mbuf, tsc_hz};

/// The client waits for the SYN-ACK, for the FIN-ACK.
const ASKED: u32 = 0;
const CLOSING: u32 = 1;

/// See the module.
pub struct Conns {
    clients: Clients,
    services: Services,
    servers: Option<Prefix>,
    load: Load,
    /// The connections that are not over, by number: what the client waits for.
    pub window: Window,
    there: Template,
    back: Template,
    /// Numbers from here on are used, and again when all were.
    first: u32,
    count: u64,
    /// How often a SYN or a FIN is sent again.
    repeats: u32,
}

/// The number that the client's SYN has.
#[inline(always)]
fn client_seq(number: u32) -> u32 {
    number.wrapping_mul(0x9E37_79B1)
}

impl Conns {
    /// Of the clients from number `first` on, who send a SYN or a FIN again that many times.
    pub fn new(
        bed: &Bed,
        (clients, services, servers): (Clients, Services, Option<Prefix>),
        first: u32,
        load: Load,
        repeats: u32,
    ) -> Conns {
        let (clients_ends, servers_ends) = (bed.ends(CLIENTS), bed.ends(SERVERS));
        Conns {
            clients,
            services,
            servers,
            load,
            window: Window::new(0),
            there: Template::empty_tcp(clients_ends),
            back: Template::empty_tcp(servers_ends),
            first,
            count: (clients.count() - u64::from(first)).max(1),
            repeats,
        }
    }

    /// The client of a connection.
    #[inline(always)]
    fn client_of(&self, number: u32) -> u32 {
        self.first + (u64::from(number) % self.count) as u32
    }

    /// The connection that is on its way and has this client.
    #[inline(always)]
    fn number_of(&self, client: Endpoint) -> Option<(u32, u32, u64)> {
        // Clients are used in turn, and those on their way are neighbours: the number before the next that has this client.
        let next = u64::from(self.window.next());
        let at = u64::from(self.clients.number(client).wrapping_sub(self.first));
        let behind = (next % self.count + self.count - at % self.count - 1) % self.count + 1;
        let number = (next.wrapping_sub(behind)) as u32;
        self.window.get(number).map(|(stage, since)| (number, stage, since))
    }

    #[inline(always)]
    fn say(&self, bed: &mut Bed, mut packet: Mbuf, head: Head, said: Segment, side: usize) {
        let template = if side == CLIENTS { &self.there } else { &self.back };
        if packet.set_window(HEADROOM, template.size() as u16).is_ok() {
            template.fill_tcp(packet.data_mut(), head.to, head.from, said, 0);
            bed.links[side].send(packet);
        }
    }

    /// Says again what is not answered.
    fn repeat(&mut self, bed: &mut Bed, number: u32, stage: u32) {
        let Some(packet) = bed.take(frame::LEAST) else { return };
        let client = self.client_of(number);
        let head = Head { from: self.services.of(client), to: self.clients.endpoint(client), proto: 6 };
        let syn = Segment { seq: client_seq(number), ack: 0, flags: SYN };
        let said = match stage {
            ASKED => syn,
            _ => Segment { seq: syn.seq.wrapping_add(1), ack: SERVER_SEQ.wrapping_add(1), flags: FIN | ACK },
        };
        self.say(bed, packet, head, said, CLIENTS);
        bed.tally.repeated += 1;
    }
}

/// A received TCP packet.
#[inline(always)]
fn read(packet: &Mbuf) -> Option<(Head, Segment)> {
    let data = packet.data();
    Head::read(data).filter(|h| h.proto == 6).zip(frame::segment(data))
}

impl Traffic for Conns {
    #[inline(always)]
    fn client(&mut self, bed: &mut Bed, packet: Mbuf) {
        let Some((head, s)) = read(&packet) else { return bed.wrong("not TCP", packet) };
        if s.flags & RST != 0 {
            bed.tally.resets += 1;
            return bed.give(packet);
        }
        let Some((number, stage, since)) = self.number_of(head.to) else {
            bed.tally.late += 1;
            return bed.give(packet);
        };
        if head.from != self.services.of(self.client_of(number)) {
            return bed.wrong("the addresses of another connection", packet);
        }
        bed.sample(packet.data());
        let mine = Segment { seq: s.ack, ack: s.seq.wrapping_add(1), flags: ACK };
        match (stage, s.flags & (SYN | FIN)) {
            (ASKED, SYN) => {
                bed.tally.through += 1;
                bed.tally.latency.record(bed.now.saturating_sub(since));
                self.window.note(number, CLOSING);
                self.say(bed, packet, head, mine, CLIENTS);
                if let Some(packet) = bed.take(frame::LEAST) {
                    self.say(bed, packet, head, Segment { flags: FIN | ACK, ..mine }, CLIENTS);
                }
            }
            (CLOSING, FIN) => {
                bed.tally.through += 1;
                self.window.back(number);
                self.say(bed, packet, head, mine, CLIENTS);
            }
            (CLOSING, SYN) if self.repeats > 0 => {
                // The SYN was answered twice.
                bed.tally.late += 1;
                bed.give(packet);
            }
            _ => bed.wrong("not what this connection waits for", packet),
        }
    }

    #[inline(always)]
    fn server(&mut self, bed: &mut Bed, packet: Mbuf) {
        let Some((head, s)) = read(&packet) else { return bed.wrong("not TCP at a server", packet) };
        if self.servers.is_some_and(|p| !p.contains(head.to.addr)) {
            return bed.wrong("no address of a server", packet);
        }
        bed.sample(packet.data());
        bed.tally.through += 1;
        let ack = s.seq.wrapping_add(1);
        match s.flags & (SYN | FIN | RST) {
            SYN => {
                self.say(bed, packet, head, Segment { seq: SERVER_SEQ, ack, flags: SYN | ACK }, SERVERS);
            }
            FIN => {
                let said = Segment { seq: SERVER_SEQ.wrapping_add(1), ack, flags: FIN | ACK };
                self.say(bed, packet, head, said, SERVERS);
            }
            0 => {
                // The last packet acknowledges the server's FIN.
                bed.tally.done += u64::from(s.ack == SERVER_SEQ.wrapping_add(2));
                bed.give(packet);
            }
            _ => {
                bed.tally.resets += 1;
                bed.give(packet);
            }
        }
    }

    #[inline(always)]
    fn start(&mut self, bed: &mut Bed) {
        while bed.links[CLIENTS].waiting() < WAITING / 2 {
            let Some(at) = self.load.next(self.window.outstanding, bed.now) else { return };
            let Some(mut packet) = bed.take(self.there.size()) else { return };
            let number = self.window.leave(ASKED, at);
            let client = self.client_of(number);
            let syn = Segment { seq: client_seq(number), ack: 0, flags: SYN };
            let (from, to) = (self.clients.endpoint(client), self.services.of(client));
            self.there.fill_tcp(packet.data_mut(), from, to, syn, 0);
            bed.links[CLIENTS].send(packet);
            bed.tally.started += 1;
        }
    }

    fn look(&mut self, bed: &mut Bed) {
        // RFC 6298, 2.1 and 5.5: again after a second, and then each time after twice as long.
        let (now, hz) = (bed.now, tsc_hz());
        let ago = |seconds: u64| now.saturating_sub(seconds * hz);
        for time in 0..self.repeats {
            while let Some((number, stage)) = self.window.overdue(time as usize, ago((2 << time) - 1)) {
                self.repeat(bed, number, stage);
            }
        }
        self.window.give_up(ago(2 << self.repeats));
    }
}
