//! A frame in one line, for people: `gatun replay --explain` and the differences that tests show.
//!
//! ```text
//! tcp 198.18.1.1:40000 > 198.18.1.100:80 [S] seq 1000 win 65535 mss 1460 len 0
//! udp 198.18.1.1:40000 > 198.18.1.100:53 len 5
//! icmp 11/0 198.18.1.254 > 198.18.1.1 about (tcp 198.18.1.1:40000 > 198.18.1.100:80)
//! icmp echo request 198.18.1.1 > 198.18.1.100 id 7 seq 1 len 56
//! arp who-has 198.18.1.100 tell 198.18.1.1
//! vlan 100 arp 198.18.1.100 is-at 02:00:00:00:00:02
//! tcp [2001:db8:1::7]:40000 > [2001:db8:1::100]:80 [S] seq 1000 win 65535 mss 1440 len 0
//! icmp6 2/0 2001:db8:1::254 > 2001:db8:1::7 mtu 1400 about (udp [2001:db8:1::7]:4000 > [2001:db8:1::100]:53)
//! ndp who-has 2001:db8:1::100 tell 2001:db8:1::7
//! ndp 2001:db8:1::100 is-at 02:00:00:00:00:02 [SO]
//! ```
//!
//! TCP flags are tcpdump's: F S R P, a dot for ACK, U, E (ECE), W (CWR). What is malformed says where and how, a wrong
//! checksum is marked: `!ip-checksum`, `!tcp-checksum`, `!udp-checksum`, `!icmp-checksum`. Lengths are in bytes.

mod ipv6;

use crate::addr::{Addr, Be16, Be32, Mac};
use crate::wire::{FromBytes, arp, checksum, ethernet, icmp, ipv4, tcp, udp, vlan};
use std::fmt::Write;
use std::net::Ipv4Addr;

/// An Ethernet frame in one line.
pub fn frame(bytes: &[u8]) -> String {
    let mut line = Line::default();
    line.frame(bytes);
    line.text
}

/// An Ethernet frame in one line that begins with its MAC addresses and ends with what the IP header has besides the
/// addresses: `02:00:00:00:00:01 > 02:00:00:00:00:02 tcp … len 0 ttl 64 id 0 df`.
pub fn long(bytes: &[u8]) -> String {
    let mut line = Line { long: true, ..Line::default() };
    if let Ok((header, _)) = ethernet::Header::ref_from_prefix(bytes) {
        line.say(format_args!("{} > {}", header.src, header.dst));
    }
    line.frame(bytes);
    line.text
}

#[derive(Default)]
struct Line {
    text: String,
    long: bool,
}

/// How a packet is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    Whole,
    /// Quoted by an ICMP error: cut, and only its addresses are told.
    Quote,
}

/// What TCP and UDP want to know of the packet they are in.
#[derive(Clone, Copy)]
struct Ip {
    src: Addr,
    dst: Addr,
    fragment: bool,
}

impl Ip {
    /// `address:port`, or `[address]:port`.
    fn endpoint(addr: Addr, port: u16) -> String {
        std::net::SocketAddr::new(addr.into(), port).to_string()
    }
}

impl Line {
    /// Another word of the line.
    fn say(&mut self, words: impl std::fmt::Display) {
        if !self.text.is_empty() && !self.text.ends_with('(') {
            self.text.push(' ');
        }
        let _ = write!(self.text, "{words}");
    }

    fn frame(&mut self, bytes: &[u8]) {
        let Ok((header, mut rest)) = ethernet::Header::ref_from_prefix(bytes) else {
            return self.truncated("ethernet", bytes);
        };
        let mut ether_type = header.ether_type;
        while ether_type == ethernet::VLAN || ether_type == ethernet::QINQ {
            let name = if ether_type == ethernet::VLAN { "vlan" } else { "qinq" };
            let Ok((tag, inner)) = vlan::Tag::ref_from_prefix(rest) else { return self.truncated(name, rest) };
            self.say(format_args!("{name} {}", tag.vid()));
            (ether_type, rest) = (tag.ether_type, inner);
        }
        match ether_type {
            ethernet::IPV4 => self.ipv4(rest, View::Whole),
            ethernet::ARP => self.arp(rest),
            ethernet::IPV6 => self.ipv6(rest, View::Whole),
            other => self.say(format_args!("ethertype {:#06x} len {}", other.host(), rest.len())),
        }
    }

    fn truncated(&mut self, what: &str, bytes: &[u8]) {
        self.say(format_args!("{what} {} bytes: truncated", bytes.len()));
    }

    fn arp(&mut self, bytes: &[u8]) {
        let Ok((packet, _)) = arp::Packet::ref_from_prefix(bytes) else { return self.truncated("arp", bytes) };
        if !packet.is_ipv4_over_ethernet() {
            return self.say("arp: not for IPv4 over Ethernet");
        }
        let (sender, target) = (address(packet.sender_ip), address(packet.target_ip));
        match packet.op {
            arp::REQUEST if packet.is_gratuitous() => {
                self.say(format_args!("arp announce {sender} is-at {}", packet.sender_mac));
            }
            arp::REQUEST => self.say(format_args!("arp who-has {target} tell {sender}")),
            arp::REPLY => self.say(format_args!("arp {sender} is-at {}", packet.sender_mac)),
            other => self.say(format_args!("arp operation {}", other.host())),
        }
        if packet.op == arp::REPLY && packet.target_mac == Mac::BROADCAST {
            self.say("to all");
        }
    }

    fn ipv4(&mut self, bytes: &[u8], view: View) {
        let Ok((header, _)) = ipv4::Header::ref_from_prefix(bytes) else { return self.truncated("ipv4", bytes) };
        if header.version() != 4 {
            return self.say(format_args!("ipv4 version {}: malformed", header.version()));
        }
        let Some(options) = bytes.get(ipv4::LEN..header.header_len()) else {
            return self.say(format_args!("ipv4 header length {}: malformed", header.header_len()));
        };
        let total_len = usize::from(header.total_len.host());
        // Ethernet pads short packets: what is beyond the total length is not of the packet.
        let end = if view == View::Quote { total_len.min(bytes.len()) } else { total_len };
        let Some(data) = bytes.get(header.header_len()..end) else {
            let addresses = format!("{} > {}", address(header.src), address(header.dst));
            let fault = if total_len < header.header_len() { "malformed" } else { "truncated" };
            return self.say(format_args!("ipv4 {addresses} total length {total_len} of {}: {fault}", bytes.len()));
        };
        self.transport(header, data, view);
        self.besides(header, options, view);
        if !checksum::ipv4_header_ok(bytes.get(..header.header_len()).unwrap_or(&[])) {
            self.say("!ip-checksum");
        }
    }

    fn transport(&mut self, header: &ipv4::Header, data: &[u8], view: View) {
        let ip = Ip { src: header.src.into(), dst: header.dst.into(), fragment: header.is_fragment() };
        match header.proto {
            _ if header.fragment_offset() > 0 => self.other(header, data, view),
            ipv4::TCP => self.tcp(&ip, data, view),
            ipv4::UDP => self.udp(&ip, data, view),
            ipv4::ICMP => self.icmp(header, data, view),
            _ => self.other(header, data, view),
        }
    }

    /// What of the IPv4 header is worth a word.
    fn besides(&mut self, header: &ipv4::Header, options: &[u8], view: View) {
        if header.is_fragment() {
            let more = if header.more_fragments() { "+" } else { "" };
            self.say(format_args!("frag {}{more}", header.fragment_offset()));
        }
        if ipv4::has_source_route(options) {
            self.say("source-route");
        } else if !options.is_empty() {
            self.say("ip-options");
        }
        if self.long && view == View::Whole {
            self.say(format_args!("ttl {} id {}", header.ttl, header.id.host()));
            if header.tos != 0 {
                self.say(format_args!("tos {:#04x}", header.tos));
            }
            if header.dont_fragment() {
                self.say("df");
            }
        }
    }

    fn other(&mut self, header: &ipv4::Header, data: &[u8], view: View) {
        self.say(format_args!("ip {} > {} proto {}", address(header.src), address(header.dst), header.proto));
        if view == View::Whole {
            self.say(format_args!("len {}", data.len()));
        }
    }

    /// The protocol and the endpoints; of a quote only the ports are sure to be there.
    fn endpoints(&mut self, name: &str, ip: &Ip, data: &[u8]) -> bool {
        let Ip { src, dst, .. } = *ip;
        let (Some([a, b]), Some([c, d])) = (data.first_chunk(), data.get(2..).and_then(|d| d.first_chunk())) else {
            self.say(format_args!("{name} {src} > {dst} {} bytes: truncated", data.len()));
            return false;
        };
        let [sport, dport] = [[*a, *b], [*c, *d]].map(u16::from_be_bytes);
        self.say(format_args!("{name} {} > {}", Ip::endpoint(src, sport), Ip::endpoint(dst, dport)));
        true
    }

    fn tcp(&mut self, ip: &Ip, segment: &[u8], view: View) {
        if !self.endpoints("tcp", ip, segment) || view == View::Quote {
            return;
        }
        let Ok((header, _)) = tcp::Header::ref_from_prefix(segment) else {
            return self.say(format_args!("{} bytes: truncated", segment.len()));
        };
        let Some((_, options, data)) = tcp::split(segment) else {
            return self.say(format_args!("data offset {} of {}: malformed", header.header_len(), segment.len()));
        };
        self.say(format_args!("[{}] seq {}", flags(header.flags), header.seq.host()));
        if header.has(tcp::ACK) {
            self.say(format_args!("ack {}", header.ack.host()));
        }
        self.say(format_args!("win {}", header.window.host()));
        if header.has(tcp::URG) {
            self.say(format_args!("urg {}", header.urgent.host()));
        }
        self.tcp_options(options);
        self.say(format_args!("len {}", data.len()));
        if !ip.fragment && !checksum::l4_ok(ip.src, ip.dst, ipv4::TCP, segment) {
            self.say("!tcp-checksum");
        }
    }

    fn tcp_options(&mut self, bytes: &[u8]) {
        let mut options = tcp::options(bytes);
        while let Some(option) = options.next() {
            let data = options.data(option);
            match (option.kind, data) {
                (tcp::NOP, _) => {}
                (tcp::MSS, &[a, b]) => self.say(format_args!("mss {}", u16::from_be_bytes([a, b]))),
                (tcp::WSCALE, &[shift]) => self.say(format_args!("wscale {shift}")),
                (tcp::SACK_PERMITTED, []) => self.say("sack-permitted"),
                (tcp::TIMESTAMP, &[a, b, c, d, e, f, g, h]) => {
                    let [value, echo] = [[a, b, c, d], [e, f, g, h]].map(u32::from_be_bytes);
                    self.say(format_args!("ts {value}/{echo}"));
                }
                (tcp::SACK, blocks) if !blocks.is_empty() && blocks.len().is_multiple_of(8) => {
                    self.say("sack");
                    for &[a, b, c, d, e, f, g, h] in blocks.as_chunks().0 {
                        let [from, to] = [[a, b, c, d], [e, f, g, h]].map(u32::from_be_bytes);
                        self.say(format_args!("{from}-{to}"));
                    }
                }
                (kind, data) => {
                    self.say(format_args!("option {kind}"));
                    for (i, byte) in data.iter().enumerate() {
                        let _ = write!(self.text, "{}{byte:02x}", if i == 0 { ":" } else { "" });
                    }
                }
            }
        }
        if !matches!(options.rest(), [] | [tcp::EOL, ..]) {
            self.say("!tcp-options");
        }
    }

    fn udp(&mut self, ip: &Ip, datagram: &[u8], view: View) {
        if !self.endpoints("udp", ip, datagram) || view == View::Quote {
            return;
        }
        let Ok((header, data)) = udp::Header::ref_from_prefix(datagram) else {
            return self.say(format_args!("{} bytes: truncated", datagram.len()));
        };
        let len = usize::from(header.len.host());
        if ip.fragment {
            // The length is that of the whole datagram.
            return self.say(format_args!("len {}", len.saturating_sub(udp::LEN)));
        }
        if len != datagram.len() {
            return self.say(format_args!("length {len} of {}: malformed", datagram.len()));
        }
        self.say(format_args!("len {}", data.len()));
        if header.checksum == Be16::new(0) {
            self.say("no-checksum");
        } else if !checksum::l4_ok(ip.src, ip.dst, ipv4::UDP, datagram) {
            self.say("!udp-checksum");
        }
    }

    fn icmp(&mut self, ip: &ipv4::Header, message: &[u8], view: View) {
        let (src, dst) = (address(ip.src), address(ip.dst));
        let Ok((header, data)) = icmp::Header::ref_from_prefix(message) else {
            return self.say(format_args!("icmp {src} > {dst} {} bytes: truncated", message.len()));
        };
        match header.kind {
            icmp::ECHO => self.say("icmp echo request"),
            icmp::ECHO_REPLY => self.say("icmp echo reply"),
            kind => self.say(format_args!("icmp {kind}/{}", header.code)),
        }
        self.say(format_args!("{src} > {dst}"));
        if view == View::Quote {
            return;
        }
        if icmp::is_error(header.kind) {
            if (header.kind, header.code) == (icmp::UNREACHABLE, icmp::FRAGMENTATION_NEEDED) {
                self.say(format_args!("mtu {}", header.mtu()));
            }
            if header.kind == icmp::REDIRECT {
                self.say(format_args!("to {}", Ipv4Addr::from(header.rest)));
            }
            self.say("about (");
            self.ipv4(data, View::Quote);
            self.text.push(')');
        } else {
            if matches!(header.kind, icmp::ECHO | icmp::ECHO_REPLY) {
                self.say(format_args!("id {} seq {}", header.id().host(), header.seq().host()));
            }
            self.say(format_args!("len {}", data.len()));
        }
        if !ip.is_fragment() && !checksum::icmp_ok(message) {
            self.say("!icmp-checksum");
        }
    }
}

fn address(a: Be32) -> Ipv4Addr {
    Ipv4Addr::from(a)
}

fn flags(flags: u8) -> String {
    let letters = "FSRP.UEW".chars().enumerate().filter(|(bit, _)| flags >> bit & 1 != 0);
    let letters: String = letters.map(|(_, letter)| letter).collect();
    if letters.is_empty() { "none".into() } else { letters }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Packet, build};
    use proptest::collection::vec;
    use proptest::prelude::*;

    const A: &str = "198.18.1.1:40000";
    const B: &str = "198.18.1.100:80";
    const MAC: &str = "02:00:00:00:00:01";
    const FROM_TO: &str = "198.18.1.1:40000 > 198.18.1.100:80";

    fn said(packet: Packet) -> String {
        frame(&packet.build())
    }

    #[test]
    fn tcp_is_one_line() {
        let syn = Packet::tcp(A, B).flags("S").seq(1000).mss(1460).sack_permitted().timestamps(5, 0).nop().wscale(7);
        let options = "mss 1460 sack-permitted ts 5/0 wscale 7";
        assert_eq!(said(syn), format!("tcp {FROM_TO} [S] seq 1000 win 65535 {options} len 0"));
        let data = Packet::tcp(A, B).flags("PA").seq(1).ack(2).window(3).sack(&[(7, 9), (11, 13)]).payload(b"hello");
        assert_eq!(said(data), format!("tcp {FROM_TO} [P.] seq 1 ack 2 win 3 sack 7-9 11-13 len 5"));
        let strange = Packet::tcp(A, B).flags("FREW").urgent(4).tcp_option(254, &[0xab, 0xcd]).tcp_option(30, &[]);
        assert_eq!(
            said(strange),
            format!("tcp {FROM_TO} [FRUEW] seq 0 win 65535 urg 4 option 254:abcd option 30 len 0")
        );
        let lying = Packet::tcp(A, B).flags("").tcp_options(&[8, 10, 0, 0]);
        assert_eq!(said(lying), format!("tcp {FROM_TO} [none] seq 0 win 65535 !tcp-options len 0"));
    }

    #[test]
    fn udp_and_other_protocols_are_one_line() {
        assert_eq!(said(Packet::udp(A, B).payload(b"hello").pad(9)), format!("udp {FROM_TO} len 5"));
        assert_eq!(said(Packet::udp(A, B).udp_checksum_zero()), format!("udp {FROM_TO} len 0 no-checksum"));
        assert_eq!(
            said(Packet::ip("10.0.0.1", "10.0.0.2", 47).payload(b"gre")),
            "ip 10.0.0.1 > 10.0.0.2 proto 47 len 3"
        );
        assert_eq!(said(Packet::raw(0x86dd, b"abc")), "ipv6 3 bytes: truncated");
        assert_eq!(said(Packet::raw(0x88cc, b"abc")), "ethertype 0x88cc len 3");
    }

    #[test]
    fn icmp_errors_tell_what_they_are_about() {
        let quoted = build::quote(&Packet::tcp(A, B).flags("S").build(), 8);
        let error = |kind, code, mtu| said(Packet::icmp_error("198.18.1.254", "198.18.1.1", kind, code, mtu, &quoted));
        assert_eq!(error(11, 0, 0), format!("icmp 11/0 198.18.1.254 > 198.18.1.1 about (tcp {FROM_TO})"));
        assert_eq!(error(3, 4, 1400), format!("icmp 3/4 198.18.1.254 > 198.18.1.1 mtu 1400 about (tcp {FROM_TO})"));
        let cut = Packet::icmp_error("198.18.1.254", "198.18.1.1", 3, 3, 0, &quoted[..22]);
        let about = "about (tcp 198.18.1.1 > 198.18.1.100 2 bytes: truncated)";
        assert_eq!(said(cut), format!("icmp 3/3 198.18.1.254 > 198.18.1.1 {about}"));
        let none = Packet::icmp_error("198.18.1.254", "198.18.1.1", 3, 3, 0, &[]);
        assert_eq!(said(none), "icmp 3/3 198.18.1.254 > 198.18.1.1 about (ipv4 0 bytes: truncated)");
        let echo = Packet::icmp_echo("198.18.1.1", "198.18.1.100", 7, 1).payload(b"abc");
        assert_eq!(said(echo), "icmp echo request 198.18.1.1 > 198.18.1.100 id 7 seq 1 len 3");
        let reply = Packet::icmp_echo_reply("198.18.1.100", "198.18.1.1", 7, 1);
        assert_eq!(said(reply), "icmp echo reply 198.18.1.100 > 198.18.1.1 id 7 seq 1 len 0");
    }

    #[test]
    fn arp_and_tags_are_one_line() {
        assert_eq!(
            said(Packet::arp_request(MAC, "198.18.1.1", "198.18.1.100")),
            "arp who-has 198.18.1.100 tell 198.18.1.1"
        );
        let reply = Packet::arp_reply("02:00:00:00:00:02", "198.18.1.100", MAC, "198.18.1.1");
        assert_eq!(said(reply.vlan(100)), "vlan 100 arp 198.18.1.100 is-at 02:00:00:00:00:02");
        assert_eq!(said(Packet::arp_gratuitous(MAC, "198.18.1.1")), format!("arp announce 198.18.1.1 is-at {MAC}"));
        assert_eq!(said(Packet::udp(A, B).qinq(5).vlan(6)), format!("qinq 5 vlan 6 udp {FROM_TO} len 0"));
    }

    #[test]
    fn the_long_line_has_the_macs_and_the_ip_header() {
        let packet = Packet::udp(A, B).ttl(9).id(3).tos(0xb8).df();
        let macs = "02:00:00:00:00:01 > 02:00:00:00:00:02";
        assert_eq!(long(&packet.build()), format!("{macs} udp {FROM_TO} len 0 ttl 9 id 3 tos 0xb8 df"));
    }

    #[test]
    fn wrong_checksums_are_marked() {
        assert_eq!(said(Packet::udp(A, B).bad_ip_checksum()), format!("udp {FROM_TO} len 0 !ip-checksum"));
        assert_eq!(said(Packet::udp(A, B).bad_l4_checksum()), format!("udp {FROM_TO} len 0 !udp-checksum"));
        assert!(said(Packet::tcp(A, B).bad_l4_checksum()).ends_with(" len 0 !tcp-checksum"));
        assert!(said(Packet::icmp_echo("10.0.0.1", "10.0.0.2", 1, 1).bad_l4_checksum()).ends_with(" !icmp-checksum"));
        let quoted = Packet::udp(A, B).bad_ip_checksum().build_ip();
        let error = Packet::icmp_error("10.0.0.1", "10.0.0.2", 11, 0, 0, &quoted);
        assert!(said(error).ends_with(&format!("about (udp {FROM_TO} !ip-checksum)")));
    }

    #[test]
    fn malformed_frames_say_where_and_how() {
        let ips = "198.18.1.1 > 198.18.1.100";
        for (packet, expected) in [
            (Packet::tcp(A, B).truncate(12), "ethernet 12 bytes: truncated".to_string()),
            (Packet::tcp(A, B).vlan(1).truncate(17), "vlan 3 bytes: truncated".into()),
            (Packet::raw(0x0806, &[0; 27]), "arp 27 bytes: truncated".into()),
            (Packet::raw(0x0806, &[0; 28]), "arp: not for IPv4 over Ethernet".into()),
            (Packet::tcp(A, B).truncate(33), "ipv4 19 bytes: truncated".into()),
            (Packet::tcp(A, B).version(5), "ipv4 version 5: malformed".into()),
            (Packet::tcp(A, B).ihl(4), "ipv4 header length 16: malformed".into()),
            (Packet::udp(A, B).ihl(15), "ipv4 header length 60: malformed".into()),
            (Packet::tcp(A, B).ip_total_len(2000), format!("ipv4 {ips} total length 2000 of 40: truncated")),
            (Packet::tcp(A, B).ip_total_len(19), format!("ipv4 {ips} total length 19 of 40: malformed")),
            (Packet::tcp(A, B).ip_total_len(39), format!("tcp {FROM_TO} 19 bytes: truncated")),
            (Packet::tcp(A, B).ip_total_len(22), format!("tcp {ips} 2 bytes: truncated")),
            (Packet::tcp(A, B).tcp_offset(4), format!("tcp {FROM_TO} data offset 16 of 20: malformed")),
            (Packet::tcp(A, B).tcp_offset(6), format!("tcp {FROM_TO} data offset 24 of 20: malformed")),
            (Packet::udp(A, B).udp_len(7), format!("udp {FROM_TO} length 7 of 8: malformed")),
            (Packet::ip("10.0.0.1", "10.0.0.2", 1), "icmp 10.0.0.1 > 10.0.0.2 0 bytes: truncated".into()),
            (Packet::udp(A, B).options(&[131, 3, 4]), format!("udp {FROM_TO} len 0 source-route")),
        ] {
            assert_eq!(said(packet), expected);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_make_one_line(
            start in prop::sample::select(vec![&[][..], &[0x45], &[0x45, 0, 0, 40], &[0x46, 0, 0, 60, 0, 0, 0, 0, 9, 6],
                &[0x45, 0, 0, 60, 0, 0, 0, 0, 9, 17], &[0x45, 0, 0, 70, 0, 0, 0, 0, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11],
                &[0x60, 0, 0, 0, 0, 40, 0, 9], &[0x60, 0, 0, 0, 0, 40, 58, 255], &[0x60, 0, 0, 0, 0, 40, 44, 9]]),
            bytes in vec(any::<u8>(), 0..100), kind in prop::sample::select(vec![0x0800u16, 0x0806, 0x8100, 0x88a8, 0x86dd]),
        ) {
            let built = Packet::raw(kind, &[start, &bytes].concat()).build();
            for bytes in [&built[..], &bytes] {
                prop_assert!(!frame(bytes).is_empty() && !frame(bytes).contains('\n'));
                prop_assert!(long(bytes).len() >= frame(bytes).len());
            }
        }
    }
}
