//! IPv6, ICMPv6 and neighbour discovery in one line.
//!
//! Extension headers are told after the rest, in their order: `hop-by-hop`, `dst-options`, `routing 0/2` (its type, and the
//! segments left), `frag 1232+ id 7`.

use super::{Ip, Line, View};
use crate::addr::Mac;
use crate::wire::{FromBytes, checksum, icmp, ipv4, ipv6};
use std::net::Ipv6Addr;

/// Numbers of what may follow a header (RFC 8200, 4; RFC 4302).
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const NO_NEXT: u8 = 59;
const DESTINATION: u8 = 60;

/// Types of ICMPv6 (RFC 4443; RFC 4861).
const TOO_BIG: u8 = 2;
const ECHO: u8 = 128;
const ECHO_REPLY: u8 = 129;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// The chain of extension headers.
#[derive(Default)]
struct Chain {
    words: Vec<String>,
    fragment: bool,
    /// It is a fragment, and not the first.
    later: bool,
}

impl Line {
    pub(super) fn ipv6(&mut self, bytes: &[u8], view: View) {
        let Ok((header, rest)) = ipv6::Header::ref_from_prefix(bytes) else { return self.truncated("ipv6", bytes) };
        if header.version() != 6 {
            return self.say(format_args!("ipv6 version {}: malformed", header.version()));
        }
        let (src, dst) = (Ipv6Addr::from(header.src), Ipv6Addr::from(header.dst));
        let said = usize::from(header.payload_len.host());
        let end = if view == View::Quote { said.min(rest.len()) } else { said };
        let Some(rest) = rest.get(..end) else {
            return self.say(format_args!("ipv6 {src} > {dst} payload length {said} of {}: truncated", rest.len()));
        };
        let mut chain = Chain::default();
        let (proto, data) = chain.walk(header.next, rest);
        let ip = Ip { src: header.src.into(), dst: header.dst.into(), fragment: chain.fragment };
        match proto {
            ipv4::TCP if !chain.later => self.tcp(&ip, data, view),
            ipv4::UDP if !chain.later => self.udp(&ip, data, view),
            ipv6::ICMPV6 if !chain.later => self.icmpv6(&ip, data, view, header.hop_limit),
            NO_NEXT => self.say(format_args!("ip6 {src} > {dst} no-next len {}", data.len())),
            _ => {
                self.say(format_args!("ip6 {src} > {dst} proto {proto}"));
                if view == View::Whole {
                    self.say(format_args!("len {}", data.len()));
                }
            }
        }
        chain.words.iter().for_each(|word| self.say(word));
        if self.long && view == View::Whole {
            self.say(format_args!("hlim {}", header.hop_limit));
            if header.traffic_class() != 0 {
                self.say(format_args!("class {:#04x}", header.traffic_class()));
            }
            if header.flow_label() != 0 {
                self.say(format_args!("flow {:#07x}", header.flow_label()));
            }
        }
    }

    fn icmpv6(&mut self, ip: &Ip, message: &[u8], view: View, hop_limit: u8) {
        let Ip { src, dst, .. } = *ip;
        let Ok((header, data)) = icmp::Header::ref_from_prefix(message) else {
            return self.say(format_args!("icmp6 {src} > {dst} {} bytes: truncated", message.len()));
        };
        if view == View::Quote {
            return self.say(format_args!("icmp6 {} {src} > {dst}", kind(header)));
        }
        match header.kind {
            SOLICITATION | ADVERTISEMENT => self.ndp(ip, header, data, hop_limit),
            ECHO | ECHO_REPLY => {
                let (id, seq, len) = (header.id().host(), header.seq().host(), data.len());
                self.say(format_args!("icmp6 {} {src} > {dst} id {id} seq {seq} len {len}", kind(header)));
            }
            error if error < ECHO => {
                self.say(format_args!("icmp6 {} {src} > {dst}", kind(header)));
                if header.kind == TOO_BIG {
                    self.say(format_args!("mtu {}", u32::from_be_bytes(header.rest)));
                }
                self.say("about (");
                self.ipv6(data, View::Quote);
                self.text.push(')');
            }
            _ => self.say(format_args!("icmp6 {} {src} > {dst} len {}", kind(header), data.len())),
        }
        if !ip.fragment && !checksum::l4_ok(src, dst, ipv6::ICMPV6, message) {
            self.say("!icmp-checksum");
        }
    }

    fn ndp(&mut self, ip: &Ip, header: &icmp::Header, data: &[u8], hop_limit: u8) {
        let Ip { src, dst, .. } = *ip;
        let Some((target, options)) = data.split_first_chunk::<16>() else {
            return self.say(format_args!("ndp {src} > {dst} {} bytes: truncated", data.len()));
        };
        let target = Ipv6Addr::from(*target);
        let unspecified = crate::addr::Addr::from(Ipv6Addr::UNSPECIFIED);
        let mac = mac(options);
        if header.kind == SOLICITATION {
            self.say(format_args!("ndp who-has {target}"));
            if src == unspecified {
                self.say("probe")
            } else {
                self.say(format_args!("tell {src}"))
            }
            if (src == unspecified) == mac.is_some() {
                self.say(mac.map_or("without mac".into(), |mac| format!("with mac {mac}")));
            }
        } else {
            self.say(format_args!("ndp {target} is-at {}", mac.map_or("no mac".into(), |mac| mac.to_string())));
            let flags = "RSO".chars().enumerate().filter(|(bit, _)| header.rest[0] << bit & 0x80 != 0);
            let flags: String = flags.map(|(_, letter)| letter).collect();
            if !flags.is_empty() {
                self.say(format_args!("[{flags}]"));
            }
            if src != crate::addr::Addr::from(target) {
                self.say(format_args!("says {src}"));
            }
        }
        if dst == crate::addr::Addr::from(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)) {
            self.say("to all");
        } else if dst.v6().is_some_and(|dst| dst.bytes()[0] != 0xff) && header.kind == SOLICITATION {
            self.say("unicast");
        }
        if hop_limit != 255 {
            self.say(format_args!("hlim {hop_limit}: malformed"));
        }
        if header.code != 0 {
            self.say(format_args!("code {}: malformed", header.code));
        }
    }
}

impl Chain {
    /// What comes after all extension headers: its number and its bytes. Stops before one that overruns the packet.
    fn walk<'a>(&mut self, mut next: u8, mut rest: &'a [u8]) -> (u8, &'a [u8]) {
        while matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION) && !self.later {
            let Some(&[then, len, c, d]) = rest.first_chunk() else {
                self.words.push(format!("extension {next} {} bytes: truncated", rest.len()));
                break;
            };
            let len = match next {
                FRAGMENT => 8,
                AUTHENTICATION => (usize::from(len) + 2) * 4,
                _ => (usize::from(len) + 1) * 8,
            };
            let Some((header, after)) = rest.split_at_checked(len) else {
                self.words.push(format!("extension {next} of {len} bytes: truncated"));
                break;
            };
            let word = match next {
                HOP_BY_HOP => "hop-by-hop".into(),
                DESTINATION => "dst-options".into(),
                ROUTING => format!("routing {c}/{d}"),
                FRAGMENT => self.fragment(header),
                _ => "auth".into(),
            };
            self.words.push(word);
            (next, rest) = (then, after);
        }
        (next, rest)
    }

    fn fragment(&mut self, header: &[u8]) -> String {
        let &[_, _, a, b, c, d, e, f] = header else { return "frag truncated".into() };
        let (place, id) = (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]));
        let (offset, more) = (place & !7, if place & 1 != 0 { "+" } else { "" });
        (self.fragment, self.later) = (place & !6 != 0, offset != 0);
        format!("frag {offset}{more} id {id}")
    }
}

fn kind(header: &icmp::Header) -> String {
    match header.kind {
        ECHO => "echo request".into(),
        ECHO_REPLY => "echo reply".into(),
        kind => format!("{kind}/{}", header.code),
    }
}

/// The address of the first link-layer address option (RFC 4861, 4.6.1).
fn mac(mut options: &[u8]) -> Option<Mac> {
    while let [kind, len, ..] = *options {
        let (option, rest) = options.split_at_checked(usize::from(len) * 8).filter(|(o, _)| !o.is_empty())?;
        if let (1 | 2, Some(mac)) = (kind, option.get(2..).and_then(|o| o.first_chunk())) {
            return Some(Mac(*mac));
        }
        options = rest;
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::testkit::build::{Packet, quote};
    use crate::testkit::text::{frame, long};

    const A: &str = "[2001:db8:1::7]:40000";
    const B: &str = "[2001:db8:1::100]:80";
    const FROM_TO: &str = "[2001:db8:1::7]:40000 > [2001:db8:1::100]:80";
    const FROM: &str = "2001:db8:1::7";
    const TO: &str = "2001:db8:1::100";
    const MAC: &str = "02:00:00:00:00:09";

    fn said(packet: Packet) -> String {
        frame(&packet.build())
    }

    #[test]
    fn tcp_and_udp_have_their_addresses_in_brackets() {
        let syn = Packet::tcp(A, B).flags("S").seq(1000).mss(1440);
        assert_eq!(said(syn), format!("tcp {FROM_TO} [S] seq 1000 win 65535 mss 1440 len 0"));
        assert_eq!(said(Packet::udp(A, B).payload(b"odd").vlan(7)), format!("vlan 7 udp {FROM_TO} len 3"));
        assert_eq!(said(Packet::udp(A, B).bad_l4_checksum()), format!("udp {FROM_TO} len 0 !udp-checksum"));
        assert_eq!(said(Packet::udp(A, B).udp_checksum_zero()), format!("udp {FROM_TO} len 0 no-checksum"));
        assert_eq!(said(Packet::ip(FROM, TO, 59)), format!("ip6 {FROM} > {TO} no-next len 0"));
    }

    #[test]
    fn the_long_line_has_hop_limit_class_and_flow_label() {
        let packet = Packet::udp(A, B).ttl(9).tos(0xb8).flow_label(0x12345).build();
        let macs = "02:00:00:00:00:01 > 02:00:00:00:00:02";
        assert_eq!(long(&packet), format!("{macs} udp {FROM_TO} len 0 hlim 9 class 0xb8 flow 0x12345"));
    }

    #[test]
    fn extension_headers_are_told_in_their_order() {
        let packet = Packet::udp(A, B).hop_by_hop(&[5, 2, 0, 0]).destination_options(&[]).routing(0, 2, &[TO, FROM]);
        assert_eq!(said(packet), format!("udp {FROM_TO} len 0 hop-by-hop dst-options routing 0/2"));
        let first = Packet::udp(A, B).payload(&[7; 64]).id(9).fragment(0, true);
        assert_eq!(said(first), format!("udp {FROM_TO} len 64 frag 0+ id 9"));
        let last = Packet::udp(A, B).payload(&[7; 64]).id(9).fragment(1232, false);
        assert_eq!(said(last), format!("ip6 {FROM} > {TO} proto 17 len 64 frag 1232 id 9"));
        let overrun = Packet::udp(A, B).extension(60, &[0, 9, 0, 0, 0, 0, 0, 0]);
        assert_eq!(said(overrun), format!("ip6 {FROM} > {TO} proto 60 len 16 extension 60 of 80 bytes: truncated"));
    }

    #[test]
    fn icmpv6_errors_tell_what_they_are_about() {
        let quoted = quote(&Packet::tcp(A, B).build(), 8);
        let error = |kind, code, mtu| said(Packet::icmp_error("2001:db8:1::254", FROM, kind, code, mtu, &quoted));
        assert_eq!(error(1, 4, 0), format!("icmp6 1/4 2001:db8:1::254 > {FROM} about (tcp {FROM_TO})"));
        assert_eq!(error(2, 0, 1280), format!("icmp6 2/0 2001:db8:1::254 > {FROM} mtu 1280 about (tcp {FROM_TO})"));
        assert_eq!(
            said(Packet::icmp_echo(FROM, TO, 7, 1).payload(b"abc")),
            format!("icmp6 echo request {FROM} > {TO} id 7 seq 1 len 3")
        );
        assert!(said(Packet::icmp_echo_reply(FROM, TO, 7, 1).bad_l4_checksum()).ends_with(" len 0 !icmp-checksum"));
        assert_eq!(said(Packet::ip(FROM, TO, 58)), format!("icmp6 {FROM} > {TO} 0 bytes: truncated"));
    }

    #[test]
    fn neighbour_discovery_reads_as_arp_does() {
        let (all, announced) = (Packet::ndp_announce(MAC, FROM), format!("ndp {FROM} is-at {MAC} [O] to all"));
        let advertised = Packet::ndp_advertise(MAC, FROM, [3; 6], TO);
        for (packet, expected) in [
            (Packet::ndp_solicit(MAC, FROM, TO), format!("ndp who-has {TO} tell {FROM}")),
            (Packet::ndp_solicit(MAC, FROM, TO).to_addr(TO), format!("ndp who-has {TO} tell {FROM} unicast")),
            (Packet::ndp_solicit(MAC, "::", TO), format!("ndp who-has {TO} probe")),
            (Packet::ndp_solicit(MAC, FROM, TO).ndp_options(&[]), format!("ndp who-has {TO} tell {FROM} without mac")),
            (Packet::ndp_solicit(MAC, FROM, TO).ttl(64), format!("ndp who-has {TO} tell {FROM} hlim 64: malformed")),
            (all, announced),
            (advertised.clone(), format!("ndp {FROM} is-at {MAC} [SO]")),
            (advertised.clone().ndp_flags("R"), format!("ndp {FROM} is-at {MAC} [R]")),
            (advertised.ndp_options(&[2, 0]), format!("ndp {FROM} is-at no mac [SO]")),
        ] {
            assert_eq!(said(packet), expected);
        }
    }

    #[test]
    fn malformed_packets_say_where_and_how() {
        let ips = format!("{FROM} > {TO}");
        for (packet, expected) in [
            (Packet::raw(0x86dd, &[0x60; 39]), "ipv6 39 bytes: truncated".to_string()),
            (Packet::tcp(A, B).version(5), "ipv6 version 5: malformed".into()),
            (Packet::tcp(A, B).ip_total_len(2000), format!("ipv6 {ips} payload length 1960 of 20: truncated")),
            (Packet::tcp(A, B).ip_total_len(59), format!("tcp {FROM_TO} 19 bytes: truncated")),
            (Packet::tcp(A, B).ip_total_len(40), format!("tcp {ips} 0 bytes: truncated")),
        ] {
            assert_eq!(said(packet), expected);
        }
    }
}
