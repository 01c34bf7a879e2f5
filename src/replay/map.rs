//! A recorded server side, rewritten to the tuples that were leased.
//!
//! Captured behind another balancer, or on a server, the packets of a connection go between some address and port and
//! the server. Here the same connection was given a local address and port of ours, perhaps even another server. A
//! recorded connection is matched with a leased one by its handshake (the sequence number of the client's SYN, which
//! most balancers leave alone), else by order among those to the same server. What the server sent is rewritten, ICMP
//! errors included, with its checksums updated as a translator does; what was sent to the server is left out, because
//! the gateway sends that itself. Packets that come before their connection is opened here wait for it.

use super::packet::View;
use super::player::Input;
use gatun_engine::addr::{Addr, Be16, Be32, PortId, Proto};
use gatun_engine::conn::record::EventKind;
use gatun_engine::conn::tuple::Tuple;
use gatun_engine::snapshot::Snapshot;
use gatun_engine::testkit::lab::Step;
use gatun_engine::wire::checksum::{self, DeltaSum};
use gatun_engine::wire::tcp::{ACK, SYN};
use gatun_engine::wire::{FromBytes, icmp, ipv4, tcp, udp};
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
        let fits = |l: &Lease| !l.matched && l.reply.proto() == recorded.proto();
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
    let ihl = ipv4::Header::ref_from_prefix(bytes).ok()?.0.header_len();
    let (header, l4) = bytes.split_at_mut_checked(ihl)?;
    let (ip, _) = ipv4::Header::mut_from_prefix(header).ok()?;
    let (src, dst) = new.v4()?;
    let addrs = DeltaSum::new().replace32(ip.src, src).replace32(ip.dst, dst);
    (ip.src, ip.dst) = (src, dst);
    checksum::apply(&mut ip.checksum, addrs.fold());
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

/// Gives an ICMP error and the packet that it quotes another tuple. What was wrong stays wrong: the ICMP checksum, or a
/// destination that never sent the quoted packet.
fn error(frame: &mut [u8], l3: usize, quote: usize, new: &Tuple) -> Option<()> {
    let message = quote - icmp::LEN;
    let right = checksum::icmp_ok(frame.get(message..)?);
    let sender = ipv4::Header::ref_from_prefix(frame.get(quote..)?).ok()?.0.src;
    let (ip, _) = ipv4::Header::mut_from_prefix(frame.get_mut(l3..)?).ok()?;
    let end = l3 + usize::from(ip.total_len.host());
    if ip.dst == sender {
        let dst = new.dst().v4()?;
        checksum::apply(&mut ip.checksum, DeltaSum::new().replace32(ip.dst, dst).fold());
        ip.dst = dst;
    }
    packet(frame.get_mut(quote..end)?, &new.reversed(), 0)?;
    if right {
        checksum::icmp_fill(frame.get_mut(message..end)?);
    }
    Some(())
}
