//! Capture files as input: several ports in one order, and what has to be tidied before the gateway can take it.

use super::packet::View;
use super::player::Input;
use gatun_engine::addr::{Mac, PortId};
use gatun_engine::snapshot::Snapshot;
use gatun_engine::testkit::pcap::{self, Captured, Reader};
use gatun_engine::wire::ethernet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// A capture file can not be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error}\n    {remedy}")]
pub struct Error {
    /// Which.
    path: String,
    /// Why not.
    error: pcap::Error,
    remedy: &'static str,
}

impl Error {
    /// About `path`.
    pub fn new(path: &Path, error: pcap::Error) -> Error {
        let remedy = match &error {
            pcap::Error::Io(e) if e.kind() == std::io::ErrorKind::NotFound => "give the path of a capture file",
            pcap::Error::Io(_) => "see that the file can be read or written",
            pcap::Error::NotPcap(_) => "give a capture file, as tcpdump -w writes it",
            pcap::Error::NoHeader | pcap::Error::Truncated(_) => {
                "the capture was cut off: take it again, or cut it at a packet"
            }
            pcap::Error::TooLong(..) => "the file is damaged: take the capture again",
            _ => "convert it, for example with editcap of Wireshark",
        };
        Error { path: path.display().to_string(), error, remedy }
    }
}

type Packets = Reader<BufReader<File>>;

/// Files of several ports, packet by packet in the order of their times; of two at the same time the one of the earlier
/// port goes first.
pub struct Sources {
    sources: Vec<(PortId, PathBuf, Packets, Option<Captured>)>,
    /// The latest time that was given: a packet with an earlier one comes now.
    last: u64,
    first: Option<u64>,
    /// Bytes of all files.
    pub bytes: u64,
}

impl Sources {
    /// Opens the files.
    ///
    /// # Errors
    /// The file that can not be used.
    pub fn open(files: &[(PortId, PathBuf)]) -> Result<Sources, Error> {
        let mut sources = Vec::new();
        let mut bytes = 0;
        let mut files = files.to_vec();
        files.sort_by_key(|(port, _)| *port);
        for (port, path) in files {
            let file = File::open(&path).map_err(|e| Error::new(&path, e.into()))?;
            bytes += file.metadata().map_or(0, |m| m.len());
            let reader = Reader::new(BufReader::new(file)).map_err(|e| Error::new(&path, e))?;
            sources.push((port, path, reader, None));
        }
        let mut all = Sources { sources, last: 0, first: None, bytes };
        for i in 0..all.sources.len() {
            all.refill(i)?;
        }
        all.first = all.sources.iter().filter_map(|(.., next)| Some(next.as_ref()?.nanos)).min();
        Ok(all)
    }

    fn refill(&mut self, i: usize) -> Result<(), Error> {
        let (_, path, reader, next) = &mut self.sources[i];
        *next = reader.next().transpose().map_err(|e| Error::new(path, e))?;
        Ok(())
    }

    /// The time of the first packet in nanoseconds since 1970, down to its whole second: the gateway's time 0.
    pub fn base(&self) -> u64 {
        self.first.unwrap_or(0) / 1_000_000_000 * 1_000_000_000
    }

    /// The next packet, in the gateway's time.
    ///
    /// # Errors
    /// The file that is damaged.
    pub fn read(&mut self) -> Result<Option<(Input, usize)>, Error> {
        let sources = self.sources.iter().enumerate();
        let earliest = sources.filter_map(|(i, (.., next))| Some((next.as_ref()?.nanos, i))).min();
        let Some((nanos, i)) = earliest else { return Ok(None) };
        let (port, .., next) = &mut self.sources[i];
        let (port, packet) = (*port, next.take().unwrap_or_default());
        self.refill(i)?;
        self.last = self.last.max(nanos - self.base().min(nanos));
        let len = packet.frame.len();
        Ok(Some((Input { nanos: self.last, port, frame: packet.frame, answer: false }, len)))
    }
}

/// The ports whose files carry ARP.
///
/// # Errors
/// The file that can not be used.
pub fn with_arp(files: &[(PortId, PathBuf)]) -> Result<Vec<PortId>, Error> {
    let mut ports = Vec::new();
    for (port, path) in files {
        let file = File::open(path).map_err(|e| Error::new(path, e.into()))?;
        let reader = Reader::new(BufReader::new(file)).map_err(|e| Error::new(path, e))?;
        for packet in reader {
            if is_arp(&packet.map_err(|e| Error::new(path, e))?.frame) {
                ports.push(*port);
                break;
            }
        }
    }
    Ok(ports)
}

fn is_arp(frame: &[u8]) -> bool {
    let at = |i: usize| frame.get(i..i + 2).and_then(|b| <[u8; 2]>::try_from(b).ok()).unwrap_or_default();
    let arp = ethernet::ARP.bytes();
    at(12) == arp || at(12) == ethernet::VLAN.bytes() && at(16) == arp
}

/// Makes a frame that was captured somewhere else one of this gateway's link: it is addressed to the gateway's MAC. False
/// for a packet that the gateway itself sent, which does not come in.
pub fn tidy(frame: &mut [u8], own: Mac, snapshot: &Snapshot) -> bool {
    let Some(view) = View::of(frame) else { return true };
    if snapshot.local(view.ip.src).is_some() {
        return false;
    }
    if !view.eth.dst.is_group() {
        frame[..6].copy_from_slice(&own.0);
    }
    true
}
