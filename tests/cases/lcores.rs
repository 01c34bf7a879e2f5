//! A case on several lcores, behind any kind of network card, gives what it gives on one.
//!
//! Each lcore chooses servers and local ports for itself. The n-th connection of either run is the same client's, and so
//! the server, local address and local port of the one stand for those of the other, one to one: they are put in their
//! place, also in quotes and fragments, with the MAC address of a server that is on the link. The times, the
//! order of what goes to one, the ports and every other byte have to be the same; so have the counters, but for those of rings and bursts.

use gatun::replay::case::Case;
use gatun::replay::counters::Counters;
use gatun::replay::map::retuple;
use gatun::replay::player::{Input, Observer};
use gatun::replay::{Gateway, Options};
use gatun_engine::addr::{Be16, Be32, Proto};
use gatun_engine::conn::record::EventKind;
use gatun_engine::conn::tuple::Tuple;
use gatun_engine::testkit::lab::{Arrival, Sent, Step, mac_of};
use gatun_engine::testkit::{check, text};
use gatun_engine::wire::{FromBytes, ethernet, icmp, ipv4, udp, vlan};
use std::collections::{BTreeMap, HashMap};

/// On 1, 2, 4 and 7 lcores behind every kind of card.
pub(crate) fn the_same(case: &Case) {
    let expected = run(case, &case.options());
    for shards in [1, 2, 4, 7] {
        for arrival in Arrival::ALL {
            let options = Options { shards, arrival, seed: u64::from(shards) * 1_000, ..case.options() };
            let got = run(case, &options);
            let what = format!("{} on {shards} lcores, {arrival:?}", case.name());
            let one = shards == 1;
            // What is limited by lcore is more on several.
            if one || case.settings.one_shard_because.is_none() {
                got.clients_see(&expected, &what);
            }
            if one || limited_by_lcore(case).is_none() {
                got.is(&expected, &what);
            }
            for (sent, _) in got.sent.values().flatten().filter(|_| case.settings.wrong_checksums.is_empty()) {
                check::checksums(&sent.frame).unwrap_or_else(|e| panic!("{what}: {e}: {sent:?}"));
            }
        }
    }
}

fn limited_by_lcore(case: &Case) -> Option<&String> {
    case.settings.one_shard_because.as_ref().or(case.settings.servers_on_one_shard_because.as_ref())
}

fn run(case: &Case, options: &Options) -> Run {
    let mut seen = Run::default();
    let outcome = case.run(options, case.recorded(), &mut seen).unwrap_or_else(|e| panic!("{}: {e}", case.name()));
    // What waited for one MAC address on several lcores leaves at one time, in the order of the lcores.
    seen.sent.values_mut().for_each(|sent| sent.sort_by_key(|(s, of)| (s.nanos, *of)));
    Run { counters: masked(&outcome.counters), ..seen }
}

/// What was seen.
#[derive(Default)]
struct Run {
    /// The tuples of clients and of servers, in the order in which the connections were opened.
    opened: Vec<(Tuple, Tuple)>,
    /// The connections whose tuples they are, by the tuple of the servers' packets.
    by_reply: HashMap<Tuple, usize>,
    /// By the name of the port; with the connection that a frame towards a server belongs to.
    sent: BTreeMap<String, Vec<(Sent, Option<usize>)>>,
    /// The connection of a packet that is cut, by addresses and identification.
    fragments: HashMap<(Be32, Be32, Be16), usize>,
    counters: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Observer for Run {
    fn step(&mut self, gateway: &Gateway, _: &Input, step: &Step) {
        assert!(step.redirects.len() <= 1, "handed over twice: {step:?}");
        for event in step.events.iter().filter(|e| e.kind == EventKind::Established) {
            self.by_reply.insert(event.reply, self.opened.len());
            self.opened.push((event.client, event.reply));
        }
        step.sent.iter().for_each(|s| self.left(gateway, s));
    }

    fn left(&mut self, gateway: &Gateway, sent: &Sent) {
        let of = self.connection(&sent.frame);
        self.sent.entry(gateway.port_name(sent.port).to_owned()).or_default().push((sent.clone(), of));
    }
}

impl Run {
    /// The connection of a frame towards a server.
    fn connection(&mut self, frame: &[u8]) -> Option<usize> {
        let (ip, l4) = packet(frame)?;
        let whole = (ip.src, ip.dst, ip.id);
        if ip.fragment_offset() > 0 {
            return self.fragments.get(&whole).copied();
        }
        let found = match icmp::Header::ref_from_prefix(l4) {
            Ok((icmp, quote)) if ip.proto == ipv4::ICMP && icmp::is_error(icmp.kind) => {
                let (quoted, _) = ipv4::Header::ref_from_prefix(quote).ok()?;
                key(quoted, quote.get(quoted.header_len()..)?)?
            }
            _ => key(ip, l4)?.reversed(),
        };
        let n = *self.by_reply.get(&found)?;
        self.fragments.insert(whole, n);
        Some(n)
    }

    /// Compares everything that is of no connection towards a server, byte for byte.
    fn clients_see(&self, expected: &Run, what: &str) {
        let lines = |r: &Run| -> Vec<String> {
            let line =
                |port: &String, s: &Sent| format!("{port} {} {} {:02x?}", s.nanos, text::long(&s.frame), s.frame);
            let seen = |(port, (s, of)): (&String, &(Sent, Option<usize>))| of.is_none().then(|| line(port, s));
            r.sent.iter().flat_map(|(port, sent)| sent.iter().map(move |s| (port, s))).filter_map(seen).collect()
        };
        for (n, (got, want)) in lines(self).iter().zip(lines(expected)).enumerate() {
            assert_eq!(*got, want, "{what}: frame {}", n + 1);
        }
        assert_eq!(lines(self).len(), lines(expected).len(), "{what}");
    }

    /// Compares what was seen with what was seen on one lcore.
    fn is(&self, expected: &Run, what: &str) {
        let clients = |r: &Run| r.opened.iter().map(|(client, _)| *client).collect::<Vec<_>>();
        assert_eq!(clients(self), clients(expected), "{what}: connections");
        let ports = |r: &Run| r.sent.iter().map(|(port, sent)| (port.clone(), sent.len())).collect::<Vec<_>>();
        assert_eq!(ports(self), ports(expected), "{what}: frames");
        for (port, wanted) in &expected.sent {
            for (n, ((got, of), (want, of_want))) in self.sent[port].iter().zip(wanted).enumerate() {
                assert_eq!(of, of_want, "{what}: whose is {port} {}, {got:?}", n + 1);
                let leases = of.map(|n| (&self.opened[n].1, &expected.opened[n].1));
                let frame = leases.map_or(got.frame.clone(), |(old, new)| as_leased(&got.frame, old, new));
                let line = |s: &Sent, frame: &[u8]| format!("{} {} {frame:02x?}", s.nanos, text::long(frame));
                assert_eq!(line(got, &frame), line(want, &want.frame), "{what}: {port} {}", n + 1);
                let right = |s: &Sent| check::checksums(&s.frame).is_ok();
                assert_eq!(right(got), right(want), "{what}: {got:?}");
            }
        }
        assert_eq!(self.counters, expected.counters, "{what}");
    }
}

/// A frame towards a server as if its connection had been given `new` and not `old`, both the tuples of servers' packets.
fn as_leased(frame: &[u8], old: &Tuple, new: &Tuple) -> Vec<u8> {
    let mut frame = match packet(frame) {
        // Behind the first fragment there are no ports; server and local address have to be the same, then.
        Some((ip, _)) if ip.fragment_offset() > 0 => frame.to_vec(),
        _ => retuple(frame, &new.reversed(), 0),
    };
    if frame[..6] == mac_of(old.src()).0 {
        frame[..6].copy_from_slice(&mac_of(new.src()).0);
    }
    frame
}

/// The IPv4 header of a frame and what is behind it.
fn packet(frame: &[u8]) -> Option<(&ipv4::Header, &[u8])> {
    let (eth, mut rest) = ethernet::Header::ref_from_prefix(frame).ok()?;
    let mut ether_type = eth.ether_type;
    if ether_type == ethernet::VLAN {
        let (tag, inner) = vlan::Tag::ref_from_prefix(rest).ok()?;
        (ether_type, rest) = (tag.ether_type, inner);
    }
    let (ip, _) = ipv4::Header::ref_from_prefix(rest).ok().filter(|_| ether_type == ethernet::IPV4)?;
    Some((ip, rest.get(ip.header_len()..)?))
}

fn key(ip: &ipv4::Header, l4: &[u8]) -> Option<Tuple> {
    let (ports, _) = udp::Header::ref_from_prefix(l4).ok()?;
    Some(Tuple::new(ip.src, ip.dst, ports.sport, ports.dport, Proto::from_ip(ip.proto)?))
}

/// Counters without those of bursts and rings; those of a service's servers together.
fn masked(counters: &Counters) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut tables: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for (name, table) in &counters.0 {
        let service = name.split(" > ").next().unwrap_or(name);
        let sum = tables.entry(service.to_owned()).or_default();
        for (counter, value) in table {
            if !(name == "lcore" && ["bursts", "from_ring", "to_ring"].contains(&counter.as_str())) {
                *sum.entry(counter.clone()).or_default() += value;
            }
        }
    }
    tables
}
