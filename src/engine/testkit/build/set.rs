//! What can be said about a packet, right and wrong.

use super::{Body, L4Checksum, Packet, Tcp, ToMac, address};
use crate::wire::{ethernet, ipv4, tcp};

/// Ethernet.
impl Packet {
    /// The MAC addresses: source, destination.
    pub fn macs(self, src: impl ToMac, dst: impl ToMac) -> Packet {
        Packet { src_mac: src.to_mac(), dst_mac: dst.to_mac(), ..self }
    }

    /// Another VLAN tag (EtherType 0x8100), inside those that are there. The id may come with priority bits.
    pub fn vlan(mut self, tci: u16) -> Packet {
        self.tags.push((ethernet::VLAN, tci));
        self
    }

    /// Another provider's tag (EtherType 0x88a8), inside those that are there.
    pub fn qinq(mut self, tci: u16) -> Packet {
        self.tags.push((ethernet::QINQ, tci));
        self
    }

    /// So many zeros after the packet, as Ethernet pads short ones.
    pub fn pad(self, n: usize) -> Packet {
        Packet { pad: n, ..self }
    }

    /// Only the first `n` bytes of the frame.
    pub fn truncate(self, n: usize) -> Packet {
        Packet { truncate: Some(n), ..self }
    }
}

/// IPv4 and IPv6.
impl Packet {
    /// Another source address, of the same family. Checksums fit it.
    pub fn from_addr(mut self, src: &str) -> Packet {
        self.ip.src = address(src);
        self
    }

    /// Another destination address, of the same family. Checksums fit it.
    pub fn to_addr(mut self, dst: &str) -> Packet {
        self.ip.dst = address(dst);
        self
    }

    /// Time to live or hop limit; 64 unless said otherwise.
    pub fn ttl(mut self, ttl: u8) -> Packet {
        self.ip.ttl = ttl;
        self
    }

    /// Differentiated services and congestion notification (of IPv6: the traffic class); 0 unless said otherwise.
    pub fn tos(mut self, tos: u8) -> Packet {
        self.ip.tos = tos;
        self
    }

    /// Identification, of IPv4 16 bits; 0 unless said otherwise. IPv6 has it in fragments only.
    pub fn id(mut self, id: u32) -> Packet {
        self.ip.id = id;
        self
    }

    /// Makes it a fragment, `offset` bytes (a multiple of 8) into the packet. One at 0 carries the layer-4 header and
    /// the payload, any other only the payload. Of IPv6 the fragment header stands after the other extensions.
    pub fn fragment(mut self, offset: usize, more: bool) -> Packet {
        self.ip.fragment = Some((offset, more));
        self
    }

    /// Another length of the whole packet in bytes, IP header included. The header checksum fits it, and so for those
    /// that follow.
    pub fn ip_total_len(mut self, n: u16) -> Packet {
        self.ip.said_len = Some(n);
        self
    }

    /// Another version.
    pub fn version(mut self, version: u8) -> Packet {
        self.ip.version = Some(version);
        self
    }
}

/// IPv4 alone.
impl Packet {
    /// Don't fragment.
    pub fn df(mut self) -> Packet {
        self.ip.flags |= ipv4::DF;
        self
    }

    /// IPv4 options, at most 40 bytes; padded with zeros to whole words.
    pub fn options(mut self, options: &[u8]) -> Packet {
        self.ip.options = options.to_vec();
        self
    }

    /// A wrong header checksum.
    pub fn bad_ip_checksum(mut self) -> Packet {
        self.ip.bad_checksum = true;
        self
    }

    /// Another header length, in words of 4 bytes.
    pub fn ihl(mut self, words: u8) -> Packet {
        self.ip.ihl = Some(words);
        self
    }
}

/// IPv6 alone. Extension headers stand in the order of the calls.
impl Packet {
    /// Flow label, 20 bits; 0 unless said otherwise.
    pub fn flow_label(mut self, label: u32) -> Packet {
        self.ip.flow_label = label;
        self
    }

    /// Hop-by-hop options (RFC 8200, 4.3), padded to a whole number of 8 bytes.
    pub fn hop_by_hop(self, options: &[u8]) -> Packet {
        self.extension(0, &filled(options))
    }

    /// Destination options (RFC 8200, 4.6), padded to a whole number of 8 bytes.
    pub fn destination_options(self, options: &[u8]) -> Packet {
        self.extension(60, &filled(options))
    }

    /// A routing header (RFC 8200, 4.4): its type, segments left, and 4 bytes and addresses after that.
    pub fn routing(self, kind: u8, left: u8, via: &[&str]) -> Packet {
        let mut header = vec![0, via.len() as u8 * 2, kind, left, 0, 0, 0, 0];
        via.iter().filter_map(|a| address(a).v6()).for_each(|a| header.extend(a.bytes()));
        self.extension(43, &header)
    }

    /// Any bytes as an extension header of this number. The first one is overwritten with the number of what follows.
    pub fn extension(mut self, number: u8, bytes: &[u8]) -> Packet {
        self.ip.extensions.push((number, bytes.to_vec()));
        self
    }
}

/// TCP, UDP, ICMP.
impl Packet {
    /// The data.
    pub fn payload(self, bytes: &[u8]) -> Packet {
        Packet { payload: bytes.to_vec(), ..self }
    }

    /// A wrong TCP, UDP, ICMP or ICMPv6 checksum; never 0.
    pub fn bad_l4_checksum(self) -> Packet {
        Packet { l4_checksum: L4Checksum::Bad, ..self }
    }

    /// No checksum: allowed for UDP over IPv4, wrong for any other.
    pub fn udp_checksum_zero(self) -> Packet {
        Packet { l4_checksum: L4Checksum::Absent, ..self }
    }

    /// Only the sum of the pseudo-header in the TCP or UDP checksum, as a sender with checksum offload leaves it.
    pub fn unfinished_checksum(self) -> Packet {
        Packet { l4_checksum: L4Checksum::Unfinished, ..self }
    }

    /// Another UDP length, in bytes. The checksum is computed over all of the datagram with this length.
    pub fn udp_len(mut self, n: u16) -> Packet {
        if let Body::Udp { len, .. } = &mut self.body {
            *len = Some(n);
        }
        self
    }

    /// TCP flags, as letters: F, S, R, P, A (or a dot), U, E (ECE), W (CWR).
    ///
    /// # Panics
    /// On any other letter.
    pub fn flags(self, letters: &str) -> Packet {
        let flags = letters.chars().fold(0, |flags, letter| flags | flag(letter));
        self.with_tcp(|t| t.flags = flags)
    }

    /// Sequence number; 0 unless said otherwise.
    pub fn seq(self, seq: u32) -> Packet {
        self.with_tcp(|t| t.seq = seq)
    }

    /// Acknowledgement number; 0 unless said otherwise. Sets no flag.
    pub fn ack(self, ack: u32) -> Packet {
        self.with_tcp(|t| t.ack = ack)
    }

    /// Window; 65,535 unless said otherwise.
    pub fn window(self, window: u16) -> Packet {
        self.with_tcp(|t| t.window = window)
    }

    /// Urgent pointer, and the flag.
    pub fn urgent(self, pointer: u16) -> Packet {
        self.with_tcp(|t| (t.urgent, t.flags) = (pointer, t.flags | tcp::URG))
    }

    /// TCP option: maximum segment size. Options stand in the order of the calls, without alignment, padded with zeros
    /// to whole words; 40 bytes fit.
    pub fn mss(self, mss: u16) -> Packet {
        self.tcp_option(tcp::MSS, &mss.to_be_bytes())
    }

    /// TCP option: window scale.
    pub fn wscale(self, shift: u8) -> Packet {
        self.tcp_option(tcp::WSCALE, &[shift])
    }

    /// TCP option: selective acknowledgements permitted.
    pub fn sack_permitted(self) -> Packet {
        self.tcp_option(tcp::SACK_PERMITTED, &[])
    }

    /// TCP option: selective acknowledgements, from each first sequence number to before the second.
    pub fn sack(self, blocks: &[(u32, u32)]) -> Packet {
        let data: Vec<u8> = blocks.iter().flat_map(|(a, b)| [a.to_be_bytes(), b.to_be_bytes()].concat()).collect();
        self.tcp_option(tcp::SACK, &data)
    }

    /// TCP option: timestamps, value and echo reply.
    pub fn timestamps(self, value: u32, echo: u32) -> Packet {
        self.tcp_option(tcp::TIMESTAMP, &[value.to_be_bytes(), echo.to_be_bytes()].concat())
    }

    /// TCP option: no operation.
    pub fn nop(self) -> Packet {
        self.tcp_options(&[tcp::NOP])
    }

    /// Any TCP option.
    pub fn tcp_option(self, kind: u8, data: &[u8]) -> Packet {
        self.tcp_options(&[&[kind, data.len() as u8 + 2], data].concat())
    }

    /// Any bytes among the TCP options.
    pub fn tcp_options(self, bytes: &[u8]) -> Packet {
        self.with_tcp(|t| t.options.extend(bytes))
    }

    /// Another TCP data offset, in words of 4 bytes.
    pub fn tcp_offset(self, words: u8) -> Packet {
        self.with_tcp(|t| t.offset = Some(words))
    }

    fn with_tcp<R>(mut self, change: impl FnOnce(&mut Tcp) -> R) -> Packet {
        if let Body::Tcp(tcp) = &mut self.body {
            change(tcp);
        }
        self
    }
}

/// The options of an extension header with its first two bytes, filled up with PadN (RFC 8200, 4.2).
fn filled(options: &[u8]) -> Vec<u8> {
    let len = (2 + options.len()).next_multiple_of(8);
    let mut header = [&[0, (len / 8 - 1) as u8], options].concat();
    match len - header.len() {
        0 => {}
        1 => header.push(0),
        n => {
            header.extend([1, n as u8 - 2]);
            header.resize(len, 0);
        }
    }
    header
}

fn flag(letter: char) -> u8 {
    match letter {
        'F' => tcp::FIN,
        'S' => tcp::SYN,
        'R' => tcp::RST,
        'P' => tcp::PSH,
        'A' | '.' => tcp::ACK,
        'U' => tcp::URG,
        'E' => tcp::ECE,
        'W' => tcp::CWR,
        _ => panic!("not a TCP flag: {letter:?}"),
    }
}
