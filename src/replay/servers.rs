//! Model servers: they answer what the gateway sends out of a port, as real ones would at their simplest.
//!
//! Any address answers ARP and ping, any port takes TCP and echoes what it gets, any UDP port echoes. An answer depends
//! on what came and on nothing else, not even on the address it came from: so a client sees the same bytes whatever
//! server and local port its connection was given. No retransmission, no window: nothing is ever lost here.

use super::packet::{View, socket};
use gatun_engine::conn::tuple::Tuple;
use gatun_engine::testkit::Packet;
use gatun_engine::testkit::lab::mac_of;
use gatun_engine::wire::tcp::{ACK, FIN, RST, SYN};
use gatun_engine::wire::{FromBytes, arp, ethernet, icmp, ipv4, udp, vlan};
use std::collections::HashMap;
use std::net::Ipv4Addr;

/// A server's first sequence number is its client's plus this.
pub const ISN: u32 = 1_000_000;
/// How long a server thinks, in nanoseconds.
pub const THINKS: u64 = 200_000;

/// All servers of a port.
#[derive(Debug, Default)]
pub struct Servers {
    /// By the tuple of the client's packets: the next sequence number.
    next: HashMap<Tuple, u32>,
}

impl Servers {
    /// The answer to a frame, if it calls for one.
    pub fn answer(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        if let Some(reply) = arp_reply(frame) {
            return Some(reply);
        }
        let view = View::of(frame)?;
        let packet = match view.ip.proto {
            ipv4::TCP => self.tcp(&view)?,
            ipv4::UDP if !view.ip.is_fragment() => {
                let (header, data) = udp::Header::ref_from_prefix(view.l4).ok()?;
                let (src, dst) = (socket(view.ip.src, header.sport), socket(view.ip.dst, header.dport));
                Packet::udp(&dst, &src).payload(data)
            }
            ipv4::ICMP => {
                let (icmp, data) = icmp::Header::ref_from_prefix(view.l4).ok()?;
                let (src, dst) = (Ipv4Addr::from(view.ip.src), Ipv4Addr::from(view.ip.dst));
                if icmp.kind != icmp::ECHO {
                    return None;
                }
                let (id, seq) = (icmp.id().host(), icmp.seq().host());
                Packet::icmp_echo_reply(&dst.to_string(), &src.to_string(), id, seq).payload(data)
            }
            _ => return None,
        };
        let packet = packet.df().macs(view.eth.dst, view.eth.src);
        Some(if view.vlan == 0 { packet.build() } else { packet.vlan(view.vlan).build() })
    }

    fn tcp(&mut self, view: &View<'_>) -> Option<Packet> {
        let (tcp, data) = view.tcp()?;
        let key = view.key()?;
        let (client, server) = (socket(key.src(), key.sport()), socket(key.dst(), key.dport()));
        let seq = tcp.seq.host();
        let answer = Packet::tcp(&server, &client);
        if tcp.has(RST) {
            self.next.remove(&key);
            return None;
        }
        if tcp.has(SYN) {
            let isn = seq.wrapping_add(ISN);
            self.next.insert(key, isn.wrapping_add(1));
            return Some(answer.flags("SA").seq(isn).ack(seq.wrapping_add(1)).mss(1460));
        }
        let Some(next) = self.next.get_mut(&key) else {
            // Of no connection (RFC 9293, 3.10.7.1).
            let ack = tcp.ack.host();
            return Some(answer.flags("R").seq(if tcp.has(ACK) { ack } else { 0 }));
        };
        let end = seq.wrapping_add(data.len() as u32).wrapping_add(u32::from(tcp.has(FIN)));
        let now = *next;
        *next = next.wrapping_add(data.len() as u32).wrapping_add(u32::from(tcp.has(FIN)));
        match (data.is_empty(), tcp.has(FIN)) {
            (true, false) => None,
            (_, true) => Some(answer.flags("FA").seq(now).ack(end).payload(data)),
            (false, false) => Some(answer.flags("PA").seq(now).ack(end).payload(data)),
        }
    }
}

fn arp_reply(frame: &[u8]) -> Option<Vec<u8>> {
    let (eth, rest) = ethernet::Header::ref_from_prefix(frame).ok()?;
    let (vid, ether_type, rest) = match eth.ether_type {
        ethernet::VLAN => {
            let (tag, rest) = vlan::Tag::ref_from_prefix(rest).ok()?;
            (tag.vid(), tag.ether_type, rest)
        }
        other => (0, other, rest),
    };
    let (question, _) = arp::Packet::ref_from_prefix(rest).ok().filter(|_| ether_type == ethernet::ARP)?;
    if question.op != arp::REQUEST || question.is_gratuitous() {
        return None;
    }
    let mac = mac_of(question.target_ip);
    let answer = arp::Packet::new(arp::REPLY, mac, question.target_ip, question.sender_mac, question.sender_ip);
    let answer = Packet::arp(answer).macs(mac, question.sender_mac);
    Some(if vid == 0 { answer.build() } else { answer.vlan(vid).build() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatun_engine::testkit::{check, text};

    const LIP: &str = "198.18.2.100:2000";
    const RS: &str = "198.18.2.11:80";

    fn said(servers: &mut Servers, packet: Packet) -> String {
        servers.answer(&packet.build()).map_or(String::new(), |frame| {
            check::checksums(&frame).unwrap();
            text::frame(&frame)
        })
    }

    #[test]
    fn a_whole_connection_is_answered_with_the_right_numbers() {
        let mut s = Servers::default();
        let from = |flags| Packet::tcp(LIP, RS).flags(flags);
        let back = "tcp 198.18.2.11:80 > 198.18.2.100:2000";
        let answer = said(&mut s, from("S").seq(10));
        assert_eq!(answer, format!("{back} [S.] seq 1000010 ack 11 win 65535 mss 1460 len 0"));
        assert_eq!(said(&mut s, from("A").seq(11).ack(1000011)), "");
        let answer = said(&mut s, from("PA").seq(11).ack(1000011).payload(b"hello"));
        assert_eq!(answer, format!("{back} [P.] seq 1000011 ack 16 win 65535 len 5"));
        let answer = said(&mut s, from("FA").seq(16).ack(1000016));
        assert_eq!(answer, format!("{back} [F.] seq 1000016 ack 17 win 65535 len 0"));
        assert_eq!(said(&mut s, from("R").seq(17)), "");
        assert_eq!(said(&mut s, from("A").seq(17).ack(5)), format!("{back} [R] seq 5 win 65535 len 0"));
    }

    #[test]
    fn udp_ping_and_arp_are_answered() {
        let mut s = Servers::default();
        let answer = said(&mut s, Packet::udp(LIP, RS).payload(b"abc"));
        assert_eq!(answer, "udp 198.18.2.11:80 > 198.18.2.100:2000 len 3");
        let answer = said(&mut s, Packet::icmp_echo("198.18.2.100", "198.18.2.11", 7, 8).payload(b"x"));
        assert_eq!(answer, "icmp echo reply 198.18.2.11 > 198.18.2.100 id 7 seq 8 len 1");
        let answer = said(&mut s, Packet::arp_request("02:00:00:00:00:01", "198.18.2.100", "198.18.2.11").vlan(5));
        assert_eq!(answer, "vlan 5 arp 198.18.2.11 is-at 02:00:c6:12:02:0b");
        assert_eq!(said(&mut s, Packet::arp_gratuitous("02:00:00:00:00:01", "198.18.2.100")), "");
    }
}
