//! Frames that read better than hex, whole and right by default, and wrong in any one place on request.
//!
//! ```
//! use gatun_engine::testkit::{Packet, text};
//! let syn = Packet::tcp("198.18.1.1:40000", "198.18.1.100:80").flags("S").seq(1000).mss(1460).build();
//! assert_eq!(text::frame(&syn), "tcp 198.18.1.1:40000 > 198.18.1.100:80 [S] seq 1000 win 65535 mss 1460 len 0");
//! ```
//!
//! The addresses say the family: `"198.18.1.1:80"` or `"[2001:db8::1]:80"`. A builder is called with what a person wrote:
//! an address that can not be parsed is a panic that says so. Setters of a protocol that the packet does not carry do
//! nothing.

mod assemble;
mod ndp;
mod set;

use crate::addr::{Addr, Be16, Be32, Family, Mac};
use crate::wire::{IntoBytes, arp, ethernet, ipv4, ipv6, tcp};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The source MAC address, unless said otherwise.
pub const SRC_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
/// The destination MAC address, unless said otherwise.
pub const DST_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);

/// A packet that is being written. See the constructors, then the setters, then [`Packet::build`].
#[derive(Clone, Debug)]
pub struct Packet {
    dst_mac: Mac,
    src_mac: Mac,
    /// Each with the EtherType that announces it, outermost first.
    tags: Vec<(Be16, u16)>,
    body: Body,
    ip: Ip,
    payload: Vec<u8>,
    l4_checksum: L4Checksum,
    pad: usize,
    truncate: Option<usize>,
}

#[derive(Clone, Debug)]
enum Body {
    Tcp(Tcp),
    Udp { sport: u16, dport: u16, len: Option<u16> },
    Icmp { kind: u8, code: u8, rest: [u8; 4] },
    OtherIp,
    NotIp(Be16),
}

#[derive(Clone, Debug)]
struct Tcp {
    sport: u16,
    dport: u16,
    seq: u32,
    ack: u32,
    flags: u8,
    window: u16,
    urgent: u16,
    options: Vec<u8>,
    /// The data offset in words, when it is to be another than it is.
    offset: Option<u8>,
}

#[derive(Clone, Debug)]
struct Ip {
    src: Addr,
    dst: Addr,
    proto: u8,
    /// Type of service, traffic class.
    tos: u8,
    id: u32,
    /// Time to live, hop limit.
    ttl: u8,
    /// Only of IPv4: DF.
    flags: u16,
    /// Where it begins in the whole packet, in bytes, and whether more follow.
    fragment: Option<(usize, bool)>,
    /// Only of IPv4.
    options: Vec<u8>,
    /// Only of IPv6.
    flow_label: u32,
    /// Only of IPv6: each with its number, and its bytes from the first, which will say what follows.
    extensions: Vec<(u8, Vec<u8>)>,
    /// Bytes of the packet as the header says them.
    said_len: Option<u16>,
    ihl: Option<u8>,
    version: Option<u8>,
    bad_checksum: bool,
}

#[derive(Clone, Copy, Debug)]
enum L4Checksum {
    Right,
    Bad,
    Absent,
    /// Only the sum of the pseudo-header, as a sender with checksum offload leaves it.
    Unfinished,
}

impl Packet {
    /// TCP from `src` to `dst`, both `"address:port"`: an ACK without data, window 65,535.
    pub fn tcp(src: &str, dst: &str) -> Packet {
        let ((src, sport), (dst, dport)) = (endpoint(src), endpoint(dst));
        let (flags, window, options) = (tcp::ACK, 65535, Vec::new());
        let tcp = Tcp { sport, dport, seq: 0, ack: 0, flags, window, urgent: 0, options, offset: None };
        Packet::over_ip(src, dst, ipv4::TCP, Body::Tcp(tcp))
    }

    /// UDP from `src` to `dst`, both `"address:port"`.
    pub fn udp(src: &str, dst: &str) -> Packet {
        let ((src, sport), (dst, dport)) = (endpoint(src), endpoint(dst));
        Packet::over_ip(src, dst, ipv4::UDP, Body::Udp { sport, dport, len: None })
    }

    /// An ICMP or ICMPv6 echo request.
    pub fn icmp_echo(src: &str, dst: &str, id: u16, seq: u16) -> Packet {
        let ([a, b], [c, d]) = (id.to_be_bytes(), seq.to_be_bytes());
        Packet::icmp(src, dst, by_family(address(src), 8, 128), 0, [a, b, c, d])
    }

    /// An ICMP or ICMPv6 echo reply.
    pub fn icmp_echo_reply(src: &str, dst: &str, id: u16, seq: u16) -> Packet {
        let mut reply = Packet::icmp_echo(src, dst, id, seq);
        if let Body::Icmp { kind, .. } = &mut reply.body {
            *kind = by_family(address(src), 0, 129);
        }
        reply
    }

    /// An ICMP or ICMPv6 error, of the types and codes of the family. `mtu` is that of ICMP 3/4 or ICMPv6 2/0, and 0
    /// elsewhere; `quoted` begins with the IP header of the packet it is about: see [`quote`] and [`Packet::build_ip`].
    pub fn icmp_error(src: &str, dst: &str, kind: u8, code: u8, mtu: u16, quoted: &[u8]) -> Packet {
        let [c, d] = mtu.to_be_bytes();
        Packet::icmp(src, dst, kind, code, [0, 0, c, d]).payload(quoted)
    }

    /// Any ICMP or ICMPv6 message; its data is the payload.
    pub fn icmp(src: &str, dst: &str, kind: u8, code: u8, rest: [u8; 4]) -> Packet {
        let (src, dst) = (address(src), address(dst));
        Packet::over_ip(src, dst, by_family(src, ipv4::ICMP, ipv6::ICMPV6), Body::Icmp { kind, code, rest })
    }

    /// Any other protocol; what follows the IP header is the payload.
    pub fn ip(src: &str, dst: &str, proto: u8) -> Packet {
        Packet::over_ip(address(src), address(dst), proto, Body::OtherIp)
    }

    /// `tell`, at `mac`, asks everybody who has `who_has`.
    pub fn arp_request(mac: impl ToMac, tell: &str, who_has: &str) -> Packet {
        let mac = mac.to_mac();
        let packet = arp::Packet::new(arp::REQUEST, mac, address4(tell), Mac::default(), address4(who_has));
        Packet::arp(packet).macs(mac, Mac::BROADCAST)
    }

    /// `ip` is at `mac`: said to `to_ip` at `to_mac`.
    pub fn arp_reply(mac: impl ToMac, ip: &str, to_mac: impl ToMac, to_ip: &str) -> Packet {
        let (mac, to_mac) = (mac.to_mac(), to_mac.to_mac());
        Packet::arp(arp::Packet::new(arp::REPLY, mac, address4(ip), to_mac, address4(to_ip))).macs(mac, to_mac)
    }

    /// `ip` is at `mac`: said to everybody, as a request (RFC 5227, 3).
    pub fn arp_gratuitous(mac: impl ToMac, ip: &str) -> Packet {
        Packet::arp_request(mac, ip, ip)
    }

    /// Any ARP packet.
    pub fn arp(packet: arp::Packet) -> Packet {
        Packet::raw(ethernet::ARP.host(), packet.as_bytes())
    }

    /// Any bytes after an Ethernet header of this type.
    pub fn raw(ether_type: u16, bytes: &[u8]) -> Packet {
        let any = Addr::V4(Be32::new(0));
        Packet::over_ip(any, any, 0, Body::NotIp(Be16::new(ether_type))).payload(bytes)
    }

    fn over_ip(src: Addr, dst: Addr, proto: u8, body: Body) -> Packet {
        assert_eq!(src.family(), dst.family(), "addresses of two families: {src}, {dst}");
        let ip = Ip {
            src,
            dst,
            proto,
            tos: 0,
            id: 0,
            ttl: 64,
            flags: 0,
            fragment: None,
            options: Vec::new(),
            flow_label: 0,
            extensions: Vec::new(),
            said_len: None,
            ihl: None,
            version: None,
            bad_checksum: false,
        };
        let (dst_mac, src_mac, l4_checksum) = (DST_MAC, SRC_MAC, L4Checksum::Right);
        let (tags, payload) = (Vec::new(), Vec::new());
        Packet { dst_mac, src_mac, tags, body, ip, payload, l4_checksum, pad: 0, truncate: None }
    }
}

/// Of an Ethernet frame (with any tags) of IPv4 or IPv6 what an ICMP error quotes: the IP header (of IPv6 without its
/// extensions) and `n` bytes after it. RFC 792 asks for 8, RFC 1812, 4.3.2.3 for as many as fit into 576, RFC 4443, 2.4
/// for as many as fit into 1,280.
pub fn quote(frame: &[u8], n: usize) -> Vec<u8> {
    let mut at = 12;
    while matches!(frame.get(at..at + 2), Some([0x81, 0x00] | [0x88, 0xa8])) {
        at += 4;
    }
    let packet = frame.get(at + 2..).unwrap_or(&[]);
    let header_len = match (frame.get(at..at + 2), packet.first()) {
        (Some([0x86, 0xdd]), _) => ipv6::LEN,
        (_, first) => first.map_or(0, |b| usize::from(b & 0x0f) * 4),
    };
    packet[..packet.len().min(header_len + n)].to_vec()
}

/// What can be written for a MAC address: a [`Mac`], six bytes, or `"02:00:00:00:00:01"`.
pub trait ToMac {
    /// The address.
    ///
    /// # Panics
    /// When it can not be parsed.
    fn to_mac(self) -> Mac;
}

impl ToMac for Mac {
    fn to_mac(self) -> Mac {
        self
    }
}

impl ToMac for [u8; 6] {
    fn to_mac(self) -> Mac {
        Mac(self)
    }
}

impl ToMac for &str {
    fn to_mac(self) -> Mac {
        let bytes: Option<Vec<u8>> = self.split(':').map(|b| u8::from_str_radix(b, 16).ok()).collect();
        match bytes.and_then(|b| b.try_into().ok()) {
            Some(bytes) => Mac(bytes),
            None => panic!("not a MAC address: {self:?}"),
        }
    }
}

fn endpoint(s: &str) -> (Addr, u16) {
    match s.parse::<SocketAddr>() {
        Ok(a) => (a.ip().into(), a.port()),
        Err(_) => panic!("not an address and port: {s:?}"),
    }
}

fn address(s: &str) -> Addr {
    match s.parse::<IpAddr>() {
        Ok(a) => a.into(),
        Err(_) => panic!("not an address: {s:?}"),
    }
}

fn address4(s: &str) -> Be32 {
    match s.parse::<Ipv4Addr>() {
        Ok(a) => a.into(),
        Err(_) => panic!("not an IPv4 address: {s:?}"),
    }
}

fn by_family<T>(addr: Addr, v4: T, v6: T) -> T {
    match addr.family() {
        Family::V4 => v4,
        Family::V6 => v6,
    }
}
