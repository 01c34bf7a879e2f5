//! tcpdump on an end host, and what it saw.

use crate::lab::{Lab, within};
use gatun_engine::testkit::{check, pcap, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

/// A running tcpdump.
pub(crate) struct Capture {
    tcpdump: Child,
    file: PathBuf,
}

impl Capture {
    /// Starts; packets from now on are in it.
    pub(crate) fn start(lab: &Lab, role: &str, filter: &str) -> Capture {
        let file = lab.path(&format!("{role}.pcap"));
        let mut command = lab.in_ns(role, "tcpdump");
        command.args(["-n", "-i", "eth0", "-s", "0", "-B", "16384", "-U", "--immediate-mode", "-Z", "root", "-w"]);
        let tcpdump = command.arg(&file).arg(filter).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The file's header is written when the capture is on.
        within(Duration::from_secs(5), "tcpdump captures", || file.metadata().is_ok_and(|m| m.len() >= 24));
        Capture { tcpdump, file }
    }

    /// Ends it, and gives the IP packets, but for those of neighbour discovery and multicast. Each must have right checksums.
    pub(crate) fn finish(mut self) -> Vec<Packet> {
        thread::sleep(Duration::from_millis(300));
        kill(Pid::from_raw(self.tcpdump.id() as i32), Signal::SIGINT).expect("tcpdump runs");
        self.tcpdump.wait().unwrap();
        let captured = pcap::read(&std::fs::read(&self.file).unwrap()).expect("a capture file");
        let ip = captured.into_iter().filter(|c| [[8, 0], [0x86, 0xdd]].contains(&[c.frame[12], c.frame[13]]));
        ip.map(|c| {
            check::checksums(&c.frame).unwrap_or_else(|e| panic!("{e}: {}", text::long(&c.frame)));
            Packet(c.frame)
        })
        .filter(|packet| !packet.is_of_the_link())
        .collect()
    }
}

/// An IP packet in an Ethernet frame without VLAN.
pub(crate) struct Packet(Vec<u8>);

impl Packet {
    fn is_ipv6(&self) -> bool {
        self.0[14] >> 4 == 6
    }

    pub(crate) fn source(&self) -> IpAddr {
        if self.is_ipv6() { self.address::<16>(22).into() } else { self.address::<4>(26).into() }
    }

    pub(crate) fn destination(&self) -> IpAddr {
        if self.is_ipv6() { self.address::<16>(38).into() } else { self.address::<4>(30).into() }
    }

    fn address<const N: usize>(&self, offset: usize) -> [u8; N] {
        self.0[offset..offset + N].try_into().expect("the octets of an address")
    }

    /// The TTL, or the hop limit.
    pub(crate) fn ttl(&self) -> u8 {
        self.0[if self.is_ipv6() { 21 } else { 22 }]
    }

    /// ICMP or ICMPv6.
    pub(crate) fn is_icmp(&self) -> bool {
        if self.is_ipv6() { self.0[20] == 58 } else { self.0[23] == 1 }
    }

    /// Neighbour discovery, or what is sent to many.
    fn is_of_the_link(&self) -> bool {
        let neighbours = self.is_ipv6() && self.is_icmp() && (133..=137).contains(&self.0[54]);
        neighbours || self.0[0] & 1 == 1
    }

    /// More of this datagram is to come, or has come before.
    pub(crate) fn is_fragment(&self) -> bool {
        if self.is_ipv6() {
            return self.0[20] == 44;
        }
        u16::from_be_bytes([self.0[20], self.0[21]]) & 0x3fff != 0
    }

    /// Of an IPv4 packet that has UDP in it.
    pub(crate) fn udp_checksum(&self) -> u16 {
        u16::from_be_bytes([self.0[40], self.0[41]])
    }

    /// The length that its header says, with the header.
    pub(crate) fn total_length(&self) -> u16 {
        let (at, header) = if self.is_ipv6() { (18, 40) } else { (16, 0) };
        u16::from_be_bytes([self.0[at], self.0[at + 1]]) + header
    }
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&text::long(&self.0))
    }
}
