//! tcpdump on an end host, and what it saw.

use crate::lab::{Lab, within};
use gatun_engine::testkit::{check, pcap, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::Ipv4Addr;
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

    /// Ends it, and gives the IPv4 packets. Each must have right checksums.
    pub(crate) fn finish(mut self) -> Vec<Packet> {
        thread::sleep(Duration::from_millis(300));
        kill(Pid::from_raw(self.tcpdump.id() as i32), Signal::SIGINT).expect("tcpdump runs");
        self.tcpdump.wait().unwrap();
        let captured = pcap::read(&std::fs::read(&self.file).unwrap()).expect("a capture file");
        let ipv4 = captured.into_iter().filter(|c| c.frame[12..14] == [8, 0]);
        ipv4.map(|c| {
            check::checksums(&c.frame).unwrap_or_else(|e| panic!("{e}: {}", text::long(&c.frame)));
            Packet(c.frame)
        })
        .collect()
    }
}

/// An IPv4 packet in an Ethernet frame without VLAN.
pub(crate) struct Packet(Vec<u8>);

impl Packet {
    pub(crate) fn source(&self) -> Ipv4Addr {
        Ipv4Addr::from_octets(self.0[26..30].try_into().expect("four octets"))
    }

    pub(crate) fn destination(&self) -> Ipv4Addr {
        Ipv4Addr::from_octets(self.0[30..34].try_into().expect("four octets"))
    }

    pub(crate) fn ttl(&self) -> u8 {
        self.0[22]
    }

    pub(crate) fn is_icmp(&self) -> bool {
        self.0[23] == 1
    }

    /// More of this datagram is to come, or has come before.
    pub(crate) fn is_fragment(&self) -> bool {
        u16::from_be_bytes([self.0[20], self.0[21]]) & 0x3fff != 0
    }

    /// The length that its header says.
    pub(crate) fn total_length(&self) -> u16 {
        u16::from_be_bytes([self.0[16], self.0[17]])
    }
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&text::long(&self.0))
    }
}
