//! Capture files, piece by piece.
//!
//! pcap is the codec that `gatun replay` reads with. pcapng (draft-ietf-opsawg-pcapng) is written here, as it is four kinds of
//! blocks with no choices: an interface for each port, and with each frame its direction, its lcore, and why it was thrown away.

use crate::api::types::CaptureFormat;
use gatun_engine::lcore::capture::{Point, Seen};
use gatun_engine::testkit::pcap;

/// A file that is being written, and what of it was not taken yet.
pub(super) enum File {
    Pcap(pcap::Writer<Vec<u8>>),
    PcapNg { out: Vec<u8>, ports: u32 },
}

/// A frame of it.
pub(super) struct Entry<'a> {
    pub(super) nanos: u64,
    pub(super) seen: Seen,
    /// The worker that saw it.
    pub(super) lcore: u32,
    pub(super) bytes: &'a [u8],
}

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;
const COMMENT: u16 = 1;

impl File {
    /// Its beginning. `ports` are the names of all ports, in the order of their ids.
    ///
    /// # Errors
    /// None that are known: it is written to memory.
    pub(super) fn begin(format: CaptureFormat, ports: &[String], snaplen: u32) -> Result<File, pcap::Error> {
        match format {
            CaptureFormat::Pcap => Ok(File::Pcap(pcap::Writer::new(Vec::new())?)),
            CaptureFormat::Pcapng => {
                let mut out = Vec::new();
                let mut section = vec![0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0];
                section.extend([0xff; 8]);
                option(&mut section, 4, concat!("gatun ", env!("GATUN_VERSION")).as_bytes());
                block(&mut out, SECTION, section);
                for name in ports {
                    let mut interface = vec![1, 0, 0, 0];
                    interface.extend(snaplen.to_le_bytes());
                    option(&mut interface, 2, name.as_bytes());
                    // Nanoseconds.
                    option(&mut interface, 9, &[9]);
                    block(&mut out, INTERFACE, interface);
                }
                Ok(File::PcapNg { out, ports: ports.len() as u32 })
            }
        }
    }

    /// Another frame.
    pub(super) fn put(&mut self, entry: &Entry<'_>) {
        let Entry { nanos, seen, lcore, bytes } = entry;
        match self {
            // A time after 2106 or a frame of 256 KiB, of which there is none.
            File::Pcap(writer) => drop(writer.write_cut(*nanos, bytes, seen.len)),
            File::PcapNg { out, ports } => {
                let interface = u32::from(seen.port.0).min(ports.saturating_sub(1));
                let len = bytes.len() as u32;
                let words = [interface, (*nanos >> 32) as u32, *nanos as u32, len, seen.len.max(len)];
                let mut packet: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                packet.extend_from_slice(bytes);
                packet.resize(packet.len().next_multiple_of(4), 0);
                let (direction, comment) = match seen.point {
                    Point::Received => (1u32, format!("lcore {lcore}")),
                    Point::Sent => (2, format!("lcore {lcore}")),
                    Point::Dropped(reason) => {
                        (1, format!("lcore {lcore} dropped it: {}: {}", reason.label(), reason.help()))
                    }
                };
                option(&mut packet, 2, &direction.to_le_bytes());
                option(&mut packet, COMMENT, comment.as_bytes());
                block(out, PACKET, packet);
            }
        }
    }

    /// Its end: in pcapng, how many frames there are and how many there was no room for.
    pub(super) fn end(&mut self, nanos: u64, frames: u64, lost: u64) {
        if let File::PcapNg { out, ports } = self
            && *ports > 0
        {
            let words = [0, (nanos >> 32) as u32, nanos as u32];
            let mut statistics: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let comment = format!("of all ports: {frames} frames, and {lost} that there was no room for");
            option(&mut statistics, COMMENT, comment.as_bytes());
            block(out, STATISTICS, statistics);
        }
    }

    /// Bytes that wait to be taken.
    pub(super) fn waiting(&mut self) -> usize {
        self.written().len()
    }

    /// Takes what was written since.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.written())
    }

    fn written(&mut self) -> &mut Vec<u8> {
        match self {
            File::Pcap(writer) => writer.output(),
            File::PcapNg { out, .. } => out,
        }
    }
}

/// An option of a block; the list of them ends with the block.
fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend_from_slice(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

fn block(out: &mut Vec<u8>, kind: u32, mut body: Vec<u8>) {
    // The end of its options.
    body.extend([0; 4]);
    let len = (body.len() as u32 + 12).to_le_bytes();
    out.extend(kind.to_le_bytes());
    out.extend(len);
    out.extend(body);
    out.extend(len);
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatun_engine::addr::PortId;
    use gatun_engine::testkit::Packet;
    use gatun_engine::verdict::DropReason;

    const NANOS: u64 = 1_795_280_000_123_456_789;

    fn ports() -> Vec<String> {
        ["wan", "lan"].map(str::to_owned).to_vec()
    }

    fn entry(bytes: &[u8], point: Point) -> Entry<'_> {
        Entry { nanos: NANOS, seen: Seen { point, port: PortId(1), len: 100 }, lcore: 3, bytes }
    }

    #[test]
    fn a_pcap_file_comes_in_pieces_that_are_one_file() {
        let mut file = File::begin(CaptureFormat::Pcap, &ports(), 64).unwrap();
        let mut all = file.take();
        assert_eq!(all.len(), 24);
        for point in [Point::Received, Point::Sent] {
            file.put(&entry(b"frame", point));
            all.extend(file.take());
        }
        file.end(NANOS, 2, 0);
        assert_eq!(file.waiting(), 0);
        let frames = pcap::read(&all).unwrap();
        assert_eq!(frames.len(), 2);
        assert_eq!((frames[1].nanos, frames[1].orig_len, frames[1].frame.as_slice()), (NANOS, 100, &b"frame"[..]));
    }

    /// The blocks of a file: kind and body.
    fn blocks(mut bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let word = |at: &[u8]| u32::from_le_bytes(at[..4].try_into().unwrap());
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let (kind, len) = (word(bytes), word(&bytes[4..]) as usize);
            assert_eq!((len % 4, word(&bytes[len - 4..]) as usize), (0, len), "a whole block");
            found.push((kind, bytes[8..len - 4].to_vec()));
            bytes = &bytes[len..];
        }
        found
    }

    #[test]
    fn pcapng_says_port_direction_lcore_reason_and_what_was_lost() {
        let mut file = File::begin(CaptureFormat::Pcapng, &ports(), 64).unwrap();
        let frame = Packet::udp("198.18.1.1:4000", "198.18.1.100:53").build();
        for point in [Point::Received, Point::Sent, Point::Dropped(DropReason::Land)] {
            file.put(&entry(&frame, point));
        }
        file.end(NANOS, 3, 7);
        let bytes = file.take();
        let blocks = blocks(&bytes);
        let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [SECTION, INTERFACE, INTERFACE, PACKET, PACKET, PACKET, STATISTICS]);
        let holds = |block: usize, what: &[u8]| blocks[block].1.windows(what.len()).any(|window| window == what);
        assert!(holds(1, b"wan") && holds(2, b"lan") && holds(3, b"lcore 3") && !holds(3, b"dropped"));
        assert!(holds(5, b"lcore 3 dropped it: land: Source and destination"));
        assert!(holds(6, b"3 frames, and 7 that"));
        let packet = &blocks[4].1;
        let nanos = u64::from(u32::from_le_bytes(packet[4..8].try_into().unwrap())) << 32
            | u64::from(u32::from_le_bytes(packet[8..12].try_into().unwrap()));
        assert_eq!((packet[0], nanos, packet[12], packet[16]), (1, NANOS, 42, 100));
        assert_eq!(&packet[20..62], frame);
        assert_eq!(packet[64..72], [2, 0, 4, 0, 2, 0, 0, 0], "outbound");
    }

    /// Whoever reads captures reads this one.
    #[test]
    fn tcpdump_reads_either_format() {
        let frame = Packet::udp("198.18.1.1:4000", "198.18.1.100:5353").payload(b"hello").build();
        for format in [CaptureFormat::Pcap, CaptureFormat::Pcapng] {
            let mut file = File::begin(format, &ports(), 64).unwrap();
            file.put(&entry(&frame, Point::Dropped(DropReason::Land)));
            file.end(NANOS, 1, 0);
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("capture");
            std::fs::write(&path, file.take()).unwrap();
            let mut tcpdump = std::process::Command::new("tcpdump");
            let said = tcpdump.args(["-tt", "-n", "--nano", "-r"]).arg(&path).output().expect("tcpdump is installed");
            let text = String::from_utf8_lossy(&said.stdout).into_owned();
            assert!(text.starts_with("1795280000.123456789 IP 198.18.1.1.4000 > 198.18.1.100.5353"), "{said:?}");
        }
    }
}
