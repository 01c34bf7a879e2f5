//! What can be said about a packet, right and wrong.

use super::{Body, L4Checksum, Packet, Tcp, ToMac};
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

/// IPv4.
impl Packet {
    /// Time to live; 64 unless said otherwise.
    pub fn ttl(mut self, ttl: u8) -> Packet {
        self.ip.ttl = ttl;
        self
    }

    /// Differentiated services and congestion notification; 0 unless said otherwise.
    pub fn tos(mut self, tos: u8) -> Packet {
        self.ip.tos = tos;
        self
    }

    /// Identification; 0 unless said otherwise.
    pub fn id(mut self, id: u16) -> Packet {
        self.ip.id = id;
        self
    }

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

    /// Makes it a fragment, `offset` bytes (a multiple of 8) into the packet. One at 0 carries the layer-4 header and
    /// the payload, any other only the payload.
    pub fn fragment(mut self, offset: usize, more: bool) -> Packet {
        self.ip.fragment_offset = offset;
        self.ip.flags = self.ip.flags & !ipv4::MF | if more { ipv4::MF } else { 0 };
        self
    }

    /// A wrong header checksum.
    pub fn bad_ip_checksum(mut self) -> Packet {
        self.ip.bad_checksum = true;
        self
    }

    /// Another total length, in bytes. The header checksum fits it, and so for those that follow.
    pub fn ip_total_len(mut self, n: u16) -> Packet {
        self.ip.total_len = Some(n);
        self
    }

    /// Another header length, in words of 4 bytes.
    pub fn ihl(mut self, words: u8) -> Packet {
        self.ip.ihl = Some(words);
        self
    }

    /// Another version.
    pub fn version(mut self, version: u8) -> Packet {
        self.ip.version = version;
        self
    }
}

/// TCP, UDP, ICMP.
impl Packet {
    /// The data.
    pub fn payload(self, bytes: &[u8]) -> Packet {
        Packet { payload: bytes.to_vec(), ..self }
    }

    /// A wrong TCP, UDP or ICMP checksum; never 0.
    pub fn bad_l4_checksum(self) -> Packet {
        Packet { l4_checksum: L4Checksum::Bad, ..self }
    }

    /// No checksum: allowed for UDP, wrong for any other.
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
