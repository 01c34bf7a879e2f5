//! A recorded server side, rewritten to the tuples that were leased.
//!
//! Captured behind another balancer, or on a server, the packets of a connection go between some address and port and
//! the server. Here the same connection was given a local address and port of ours, perhaps even another server. A
//! recorded connection is matched with a leased one by its handshake (the sequence number of the client's SYN, which
//! most balancers leave alone), else by order among those to the same server. What the server sent is rewritten, ICMP
//! errors included, with its checksums updated as a translator does; what was sent to the server is left out, because
//! the gateway sends that itself. Packets that come before their connection is opened here wait for it.

use super::packet::{Ip, View};
use super::player::Input;
use gatun_engine::addr::{Addr, Be16, Be32, PortId, Proto};
use gatun_engine::conn::record::EventKind;
use gatun_engine::conn::tuple::Tuple;
use gatun_engine::snapshot::Snapshot;
use gatun_engine::testkit::lab::Step;
use gatun_engine::wire::checksum::{self, DeltaSum};
use gatun_engine::wire::tcp::{ACK, SYN};
use gatun_engine::wire::{FromBytes, icmp, ipv4, ipv6, tcp, udp};
use std::collections::{HashMap, HashSet};

/// Recorded packets that wait for their connection, at most.
const WAITING: usize = 65_536;

struct Lease {
    /// The tuple of the server's packets.
    reply: Tuple,
    /// The client's first sequence number; none for UDP.
    isn: Option<u32>,
    /// What the gateway adds to the client's sequence numbers.
    shift: u32,
    matched: bool,
}

/// See the module.
pub struct Mapper {
    port: PortId,
    servers: HashSet<(Proto, Addr, Be16)>,
    leases: Vec<Lease>,
    /// From the tuple of the server's packets as they were recorded to the lease.
    known: HashMap<Tuple, usize>,
    /// First sequence numbers of recorded clients, by the tuple of the server's packets.
    isns: HashMap<Tuple, u32>,
    waiting: Vec<(Tuple, Input)>,
}

impl Mapper {
    /// For what comes in by `port`.
    pub fn new(port: PortId, snapshot: &Snapshot) -> Mapper {
        let mut mapper = Mapper {
            port,
            servers: HashSet::new(),
            leases: Vec::new(),
            known: HashMap::new(),
            isns: HashMap::new(),
            waiting: Vec::new(),
        };
        mapper.configured(snapshot);
        mapper
    }

    /// Servers that were ever configured are servers.
    pub fn configured(&mut self, snapshot: &Snapshot) {
        for service in snapshot.services.values() {
            self.servers.extend(service.reals.iter().map(|r| (service.proto, r.addr, r.port)));
        }
    }

    /// The port of the recorded server side.
    pub fn port(&self) -> PortId {
        self.port
    }

    /// What comes in for a captured frame: the frame rewritten, or as it is if it is of no server. `None` when the gateway
    /// sends it itself, or when it waits.
    pub fn captured(&mut self, input: &Input) -> Option<Input> {
        let Some(view) = View::of(&input.frame) else { return Some(input.clone()) };
        let recorded = match (view.key(), view.quoted()) {
            (Some(key), _) if self.serves(&key.reversed()) => {
                if let Some((tcp, _)) = view.tcp().filter(|(t, _)| t.has(SYN) && !t.has(ACK)) {
                    // The same tuple once more is another connection.
                    self.isns.insert(key.reversed(), tcp.seq.host());
                    self.known.remove(&key.reversed());
                }
                return None;
            }
            (Some(key), _) if self.serves(&key) => key,
            (None, Some((quoted, _))) if self.serves(&quoted.reversed()) => quoted.reversed(),
            _ => return Some(input.clone()),
        };
        if let Some((tcp, _)) = view.tcp().filter(|(t, _)| t.has(SYN | ACK)) {
            let isn = tcp.ack.host().wrapping_sub(1);
            if let Some(before) = self.isns.insert(recorded, isn)
                && before != isn
            {
                self.known.remove(&recorded);
            }
        }
        if let Some(lease) = self.lease_of(&recorded) {
            return Some(rewrite(input, lease));
        }
        if self.waiting.len() < WAITING {
            self.waiting.push((recorded, input.clone()));
        }
        None
    }

    fn serves(&self, key: &Tuple) -> bool {
        self.servers.contains(&(key.proto(), key.src(), key.sport()))
    }

    fn lease_of(&mut self, recorded: &Tuple) -> Option<&Lease> {
        if let Some(i) = self.known.get(recorded) {
            return self.leases.get(*i);
        }
        let isn = self.isns.get(recorded).copied();
        let same = |l: &Lease| (l.reply.proto(), l.reply.family()) == (recorded.proto(), recorded.family());
        let fits = |l: &Lease| !l.matched && same(l);
        let same_server = |l: &Lease| (l.reply.src(), l.reply.sport()) == (recorded.src(), recorded.sport());
        let by_handshake = |server: bool| {
            self.leases.iter().position(|l| fits(l) && isn.is_some() && l.isn == isn && (!server || same_server(l)))
        };
        let found = by_handshake(true).or_else(|| by_handshake(false)).or_else(|| {
            // A handshake that is known and fits nobody is that of a connection that was not opened here, or not yet.
            if isn.is_some() && recorded.proto() == Proto::Tcp {
                return None;
            }
            self.leases.iter().position(|l| fits(l) && same_server(l))
        })?;
        self.known.insert(*recorded, found);
        let lease = self.leases.get_mut(found)?;
        lease.matched = true;
        Some(lease)
    }

    /// Notes what a frame opened. Gives what had waited for it.
    pub fn opened(&mut self, input: &Input, step: &Step) -> Vec<Input> {
        let before = self.leases.len();
        for event in step.events.iter().filter(|e| e.kind == EventKind::Established) {
            let isn = |frame: &[u8]| View::of(frame)?.tcp().map(|(t, _)| t.seq.host());
            let own = isn(&input.frame);
            let on = step.sent.iter().find(|s| {
                View::of(&s.frame).and_then(|v| v.key()).is_some_and(|k| k == event.reply.reversed())
                    && View::of(&s.frame).and_then(|v| v.tcp()).is_some_and(|(t, _)| t.has(SYN))
            });
            let shift = on.and_then(|s| Some(isn(&s.frame)?.wrapping_sub(own?))).unwrap_or(0);
            self.leases.push(Lease { reply: event.reply, isn: own, shift, matched: false });
        }
        if before == self.leases.len() {
            return Vec::new();
        }
        let waiting = core::mem::take(&mut self.waiting);
        let mut now = Vec::new();
        for (recorded, late) in waiting {
            match self.lease_of(&recorded) {
                Some(lease) => now.push(Input { nanos: input.nanos, ..rewrite(&late, lease) }),
                None => self.waiting.push((recorded, late)),
            }
        }
        now
    }

    /// What still waits.
    pub fn left_over(&mut self) -> Vec<Input> {
        core::mem::take(&mut self.waiting).into_iter().map(|(_, input)| input).collect()
    }
}

fn rewrite(input: &Input, lease: &Lease) -> Input {
    Input { frame: retuple(&input.frame, &lease.reply, lease.shift), ..input.clone() }
}

/// A frame with another tuple, and `shift` added to its acknowledgement number. Its checksums are as right or wrong as
/// before. An ICMP error becomes one about the answer to that tuple. The frame has a tuple, or quotes a packet that has one.
pub fn retuple(frame: &[u8], new: &Tuple, shift: u32) -> Vec<u8> {
    let mut changed = frame.to_vec();
    let done = match View::of(frame).map(|v| (v.l3, v.quoted().map(|(_, at)| at))) {
        Some((l3, None)) => packet(&mut changed[l3..], new, shift),
        Some((l3, Some(at))) => error(&mut changed, l3, at, new),
        None => None,
    };
    debug_assert!(done.is_some(), "a frame with a tuple can be rewritten");
    changed
}

/// Gives a packet another tuple, with its checksums updated as far as they are there.
fn packet(bytes: &mut [u8], new: &Tuple, shift: u32) -> Option<()> {
    let len = Ip::of(bytes)?.len;
    let (header, l4) = bytes.split_at_mut_checked(len)?;
    let addrs = readdress(header, new.src(), new.dst())?;
    let (ports, _) = udp::Header::mut_from_prefix(l4).ok()?;
    let mut sum = addrs.replace16(ports.sport, new.sport()).replace16(ports.dport, new.dport());
    (ports.sport, ports.dport) = (new.sport(), new.dport());
    match new.proto() {
        Proto::Udp => checksum::apply_udp(&mut ports.checksum, sum.fold()),
        Proto::Tcp => {
            if let Ok((tcp, _)) = tcp::Header::mut_from_prefix(l4) {
                if tcp.has(ACK) && shift != 0 {
                    let ack = Be32::new(tcp.ack.host().wrapping_add(shift));
                    sum = sum.replace32(tcp.ack, ack);
                    tcp.ack = ack;
                }
                checksum::apply(&mut tcp.checksum, sum.fold());
            }
        }
    }
    Some(())
}

/// Gives an IP header other addresses of its family, and tells the difference.
fn readdress(header: &mut [u8], src: Addr, dst: Addr) -> Option<DeltaSum> {
    let old = Ip::of(header)?;
    let sum = DeltaSum::new().replace_addr(old.src, src).replace_addr(old.dst, dst);
    match (old.src, src, dst) {
        (Addr::V4(_), Addr::V4(src), Addr::V4(dst)) => {
            let (ip, _) = ipv4::Header::mut_from_prefix(header).ok()?;
            (ip.src, ip.dst) = (src, dst);
            checksum::apply(&mut ip.checksum, sum.fold());
        }
        (Addr::V6(_), Addr::V6(src), Addr::V6(dst)) => {
            let (ip, _) = ipv6::Header::mut_from_prefix(header).ok()?;
            (ip.src, ip.dst) = (src, dst);
        }
        (Addr::V4(_) | Addr::V6(_), _, _) => return None,
    }
    Some(sum)
}

/// Gives an ICMP error and the packet that it quotes another tuple. What was wrong stays wrong: the ICMP checksum, or a
/// destination that never sent the quoted packet.
fn error(frame: &mut [u8], l3: usize, quote: usize, new: &Tuple) -> Option<()> {
    let (message, ip) = (quote - icmp::LEN, Ip::of(frame.get(l3..)?)?);
    let end = l3 + ip.total;
    let right = match ip.src {
        Addr::V4(_) => checksum::icmp_ok(frame.get(message..end)?),
        Addr::V6(_) => checksum::l4_ok(ip.src, ip.dst, ipv6::ICMPV6, frame.get(message..end)?),
    };
    let dst = if ip.dst == Ip::of(frame.get(quote..end)?)?.src { new.dst() } else { ip.dst };
    readdress(frame.get_mut(l3..message)?, ip.src, dst)?;
    packet(frame.get_mut(quote..end)?, &new.reversed(), 0)?;
    if right {
        let message = frame.get_mut(message..end)?;
        match ip.src {
            Addr::V4(_) => checksum::icmp_fill(message),
            Addr::V6(_) => checksum::l4_fill(ip.src, dst, ipv6::ICMPV6, message),
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatun_engine::testkit::{Packet, build, check, text};

    fn tuple(src: &str, dst: &str, proto: Proto) -> Tuple {
        let [src, dst] = [src, dst].map(|a| a.parse::<std::net::SocketAddr>().unwrap());
        Tuple::new(src.ip(), dst.ip(), Be16::new(src.port()), Be16::new(dst.port()), proto)
    }

    #[test]
    fn packets_and_errors_of_either_family_get_another_tuple_with_right_checksums() {
        for (server, lip, new, to, router, kind) in [
            ("198.18.2.11:80", "198.18.2.100:2000", "198.18.2.12:80", "198.18.2.101:3000", "198.18.2.1", 3),
            (
                "[2001:db8:2::11]:80",
                "[2001:db8:2::100]:2000",
                "[2001:db8:2::12]:80",
                "[2001:db8:2::101]:3000",
                "2001:db8:2::1",
                1,
            ),
        ] {
            let tuple = tuple(new, to, Proto::Tcp);
            let answer = Packet::tcp(server, lip).flags("SA").ack(7).mss(1400).tos(3).hop_by_hop(&[]);
            let changed = retuple(&answer.build(), &tuple, 9);
            let expected = text::frame(&answer.ack(16).build()).replace(server, new).replace(lip, to);
            assert_eq!(text::frame(&changed), expected);
            check::checksums(&changed).unwrap();

            let sent = Packet::tcp(lip, server).payload(b"asked").build();
            let host = lip.parse::<std::net::SocketAddr>().unwrap().ip().to_string();
            for quoted in [build::quote(&sent, 8), build::quote(&sent, 1500)] {
                let changed = retuple(&Packet::icmp_error(router, &host, kind, 1, 0, &quoted).build(), &tuple, 0);
                assert!(
                    text::frame(&changed).ends_with(&format!("about (tcp {to} > {new})")),
                    "{}",
                    text::frame(&changed)
                );
                check::checksums(&changed).unwrap();
            }
        }
    }
}
