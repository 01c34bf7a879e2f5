//! Capture files in the classic format of libpcap (draft-ietf-opsawg-pcap), read and written as a stream.
//!
//! The reader takes both byte orders, microseconds and nanoseconds, and gives Ethernet frames with nanoseconds; frames
//! of Linux cooked captures and raw IP get an Ethernet header with zero MACs. The writer writes little-endian, Ethernet,
//! nanoseconds: the same packets give the same bytes on every machine. No bytes make the reader panic, and no length
//! field makes it allocate more than [`MAX_LEN`].

use crate::addr::{Be16, Mac};
use crate::wire::{IntoBytes, ethernet};
use std::fmt;
use std::io::{self, Read, Write};

/// The longest packet that is read or written, in bytes: what tcpdump captures at most.
pub const MAX_LEN: u32 = 262_144;

const MAGIC_MICROS: u32 = 0xa1b2_c3d4;
const MAGIC_NANOS: u32 = 0xa1b2_3c4d;
const MAGIC_NG: u32 = 0x0a0d_0d0a;

/// A captured packet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Captured {
    /// When, in nanoseconds since 1970.
    pub nanos: u64,
    /// Bytes that the frame had; more than in `frame` when the capture cut it.
    pub orig_len: u32,
    /// The frame from its Ethernet header on.
    pub frame: Vec<u8>,
}

impl Captured {
    /// A whole frame.
    pub fn new(nanos: u64, frame: impl Into<Vec<u8>>) -> Captured {
        let frame = frame.into();
        Captured { nanos, orig_len: frame.len() as u32, frame }
    }
}

/// Why a capture file can not be read or written.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// It begins with this instead of a magic number.
    NotPcap([u8; 4]),
    /// It is in the newer format, pcapng.
    PcapNg,
    /// Its link type is none that is understood.
    LinkType(u32),
    /// It ends within the file's own header.
    NoHeader,
    /// It ends within a packet, counted from 1.
    Truncated(u64),
    /// This packet, counted from 1, says that it has so many bytes.
    TooLong(u64, u32),
    /// A time after the year 2106, in nanoseconds since 1970.
    TooLate(u64),
    /// Reading or writing failed.
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotPcap([a, b, c, d]) => {
                write!(f, "not a pcap file: it begins with {a:02x} {b:02x} {c:02x} {d:02x}")
            }
            Error::PcapNg => f.write_str("a pcapng file; convert it first: editcap -F pcap IN OUT"),
            Error::LinkType(t) => {
                write!(f, "link type {t} is not understood, only Ethernet (1), raw IP (101), Linux cooked (113, 276)")
            }
            Error::NoHeader => f.write_str("the file ends within its own header of 24 bytes"),
            Error::Truncated(n) => write!(f, "the file ends within packet {n}"),
            Error::TooLong(n, len) => write!(f, "packet {n} says that it has {len} bytes, more than {MAX_LEN}"),
            Error::TooLate(nanos) => write!(f, "a time of {nanos} ns since 1970 does not fit into a pcap file"),
            Error::Io(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(e) => Some(e),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(e: io::Error) -> Error {
        Error::Io(e)
    }
}

/// What the packets of a file begin with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    Ethernet,
    RawIp,
    Cooked,
    Cooked2,
}

/// Reads packets one by one. An iterator that ends at the end of the file, or after its first error.
pub struct Reader<R> {
    input: R,
    big_endian: bool,
    /// Nanoseconds in a unit of the fraction of a second.
    unit: u64,
    link: Link,
    count: u64,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the file's header. The input is read in small pieces: give a buffered one.
    pub fn new(mut input: R) -> Result<Reader<R>, Error> {
        let mut header = [0; 24];
        let got = fill(&mut input, &mut header)?;
        let [a, b, c, d, ..] = header;
        let magic = [a, b, c, d];
        let (big_endian, unit) = match (u32::from_be_bytes(magic), u32::from_le_bytes(magic)) {
            _ if got < 4 => return Err(Error::NoHeader),
            (MAGIC_MICROS, _) => (true, 1000),
            (MAGIC_NANOS, _) => (true, 1),
            (_, MAGIC_MICROS) => (false, 1000),
            (_, MAGIC_NANOS) => (false, 1),
            (MAGIC_NG, _) => return Err(Error::PcapNg),
            _ => return Err(Error::NotPcap(magic)),
        };
        if got < header.len() {
            return Err(Error::NoHeader);
        }
        let link = match word(&header, 5, big_endian) {
            1 => Link::Ethernet,
            101 => Link::RawIp,
            113 => Link::Cooked,
            276 => Link::Cooked2,
            other => return Err(Error::LinkType(other)),
        };
        Ok(Reader { input, big_endian, unit, link, count: 0, ended: false })
    }

    fn packet(&mut self) -> Result<Option<Captured>, Error> {
        let mut header = [0; 16];
        let got = fill(&mut self.input, &mut header)?;
        if got == 0 {
            return Ok(None);
        }
        self.count += 1;
        if got < header.len() {
            return Err(Error::Truncated(self.count));
        }
        let [secs, fraction, len, orig_len] = [0, 1, 2, 3].map(|i| word(&header, i, self.big_endian));
        if len > MAX_LEN {
            return Err(Error::TooLong(self.count, len));
        }
        let mut bytes = vec![0; len as usize];
        if fill(&mut self.input, &mut bytes)? < bytes.len() {
            return Err(Error::Truncated(self.count));
        }
        let frame = self.link.to_ethernet(bytes);
        let orig_len = (i64::from(orig_len) + frame.len() as i64 - i64::from(len)).max(frame.len() as i64) as u32;
        Ok(Some(Captured { nanos: u64::from(secs) * 1_000_000_000 + u64::from(fraction) * self.unit, orig_len, frame }))
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Captured, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let packet = self.packet().transpose();
        self.ended = !matches!(packet, Some(Ok(_)));
        packet
    }
}

impl Link {
    /// As an Ethernet frame. What is too short for its own header becomes a frame without content.
    fn to_ethernet(self, bytes: Vec<u8>) -> Vec<u8> {
        let (ether_type, skip) = match (self, bytes.as_slice()) {
            (Link::Ethernet, _) => return bytes,
            (Link::RawIp, [first, ..]) if first >> 4 == 6 => (ethernet::IPV6, 0),
            (Link::RawIp, _) => (ethernet::IPV4, 0),
            (Link::Cooked, [_, _, _, _, _, _, _, _, _, _, _, _, _, _, a, b, ..]) => (be16(*a, *b), 16),
            (Link::Cooked2, [a, b, ..]) => (be16(*a, *b), 20),
            (Link::Cooked | Link::Cooked2, _) => (Be16::new(0), bytes.len()),
        };
        let header = ethernet::Header { dst: Mac::default(), src: Mac::default(), ether_type };
        [header.as_bytes(), bytes.get(skip..).unwrap_or(&[])].concat()
    }
}

fn be16(a: u8, b: u8) -> Be16 {
    Be16::new(u16::from_be_bytes([a, b]))
}

/// Reads until `to` is full or the input ends; gives how much was read.
fn fill(input: &mut impl Read, to: &mut [u8]) -> io::Result<usize> {
    let mut at = 0;
    while at < to.len() {
        match input.read(&mut to[at..]) {
            Ok(0) => break,
            Ok(n) => at += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(at)
}

fn word(bytes: &[u8], index: usize, big_endian: bool) -> u32 {
    let word = bytes.get(index * 4..).and_then(|b| b.first_chunk()).copied().unwrap_or_default();
    if big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
}

/// Writes packets one by one.
pub struct Writer<W> {
    output: W,
    count: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the file's header. The output is written in small pieces: give a buffered one.
    pub fn new(mut output: W) -> Result<Writer<W>, Error> {
        let version = 2 | 4 << 16;
        for word in [MAGIC_NANOS, version, 0, 0, MAX_LEN, 1] {
            output.write_all(&u32::to_le_bytes(word))?;
        }
        Ok(Writer { output, count: 0 })
    }

    /// Writes a whole frame; `nanos` since 1970.
    pub fn write(&mut self, nanos: u64, frame: &[u8]) -> Result<(), Error> {
        self.write_cut(nanos, frame, frame.len() as u32)
    }

    /// Writes a packet that was read, as it was read.
    pub fn write_captured(&mut self, packet: &Captured) -> Result<(), Error> {
        self.write_cut(packet.nanos, &packet.frame, packet.orig_len)
    }

    /// Writes what a capture that cuts has of a frame of `orig_len` bytes.
    pub fn write_cut(&mut self, nanos: u64, frame: &[u8], orig_len: u32) -> Result<(), Error> {
        self.count += 1;
        let secs = u32::try_from(nanos / 1_000_000_000).map_err(|_| Error::TooLate(nanos))?;
        let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        if len > MAX_LEN {
            return Err(Error::TooLong(self.count, len));
        }
        for word in [secs, (nanos % 1_000_000_000) as u32, len, orig_len.max(len)] {
            self.output.write_all(&word.to_le_bytes())?;
        }
        Ok(self.output.write_all(frame)?)
    }

    /// The output, as far as it is written: to take it out piece by piece.
    pub fn output(&mut self) -> &mut W {
        &mut self.output
    }

    /// Flushes, and gives the output back.
    pub fn finish(mut self) -> Result<W, Error> {
        self.output.flush()?;
        Ok(self.output)
    }
}

/// Reads a whole file from memory.
pub fn read(bytes: &[u8]) -> Result<Vec<Captured>, Error> {
    Reader::new(bytes)?.collect()
}

/// Writes a whole file to memory.
pub fn write(packets: &[Captured]) -> Result<Vec<u8>, Error> {
    let mut writer = Writer::new(Vec::new())?;
    for packet in packets {
        writer.write_captured(packet)?;
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// A file of one packet, as its words and bytes stand in it.
    fn file(big: bool, magic: u32, link: u32, packet: [u32; 4], bytes: &[u8]) -> Vec<u8> {
        let word = |w: u32| if big { w.to_be_bytes() } else { w.to_le_bytes() };
        let version = if big { 2 << 16 | 4 } else { 4 << 16 | 2 };
        let header = [magic, version, 0, 0, 65535, link];
        let mut file: Vec<u8> = header.iter().chain(&packet).flat_map(|w| word(*w)).collect();
        file.extend(bytes);
        file
    }

    fn sentence(bytes: &[u8]) -> String {
        read(bytes).unwrap_err().to_string()
    }

    #[test]
    fn both_orders_and_both_units_are_read() {
        for big in [false, true] {
            for (magic, unit) in [(MAGIC_MICROS, 1000), (MAGIC_NANOS, 1)] {
                let packets = read(&file(big, magic, 1, [7, 123_456, 3, 60], b"abc")).unwrap();
                let nanos = 7_000_000_000 + 123_456 * unit;
                assert_eq!(packets, [Captured { nanos, orig_len: 60, frame: b"abc".to_vec() }]);
            }
        }
    }

    #[test]
    fn the_first_bytes_tcpdump_writes_are_understood() {
        // tcpdump -w on a little-endian machine: magic d4c3b2a1, version 2.4, snaplen 262144, Ethernet.
        let bytes = [
            0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0, //
            0x00, 0xe1, 0xf5, 0x05, 0x40, 0x42, 0x0f, 0, 2, 0, 0, 0, 64, 0, 0, 0, 0xaa, 0xbb,
        ];
        let nanos = 100_000_000 * 1_000_000_000 + 1_000_000 * 1000;
        assert_eq!(read(&bytes).unwrap(), [Captured { nanos, orig_len: 64, frame: vec![0xaa, 0xbb] }]);
    }

    #[test]
    fn what_is_written_is_these_bytes_on_every_machine() {
        let bytes = write(&[Captured::new(3_000_000_005, *b"hi")]).unwrap();
        let expected = [
            0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0, //
            3, 0, 0, 0, 5, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, b'h', b'i',
        ];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn raw_and_cooked_packets_get_an_ethernet_header_without_macs() {
        let ethernet = |ether_type: [u8; 2], rest: &[u8]| [&[0; 12][..], &ether_type, rest].concat();
        let raw = |link, bytes: &[u8], orig| {
            let packet = [0, 0, bytes.len() as u32, orig];
            read(&file(false, MAGIC_MICROS, link, packet, bytes)).unwrap().remove(0)
        };
        let v4 = raw(101, &[0x45, 1], 40);
        assert_eq!((v4.frame, v4.orig_len), (ethernet([8, 0], &[0x45, 1]), 54));
        assert_eq!(raw(101, &[0x60, 1], 2).frame, ethernet([0x86, 0xdd], &[0x60, 1]));
        assert_eq!(raw(101, &[], 0).frame, ethernet([8, 0], &[]));

        let cooked = [&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 6][..], b"arp"].concat();
        let got = raw(113, &cooked, 19);
        assert_eq!((got.frame, got.orig_len), (ethernet([8, 6], b"arp"), 17));
        assert_eq!(raw(113, &cooked[..15], 15).frame, ethernet([0, 0], &[]));

        let cooked2 = [&[8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0][..], b"ip"].concat();
        assert_eq!(raw(276, &cooked2, 22).frame, ethernet([8, 0], b"ip"));
        assert_eq!(raw(276, &[8], 1).frame, ethernet([0, 0], &[]));
    }

    #[test]
    fn every_error_is_a_sentence() {
        let good = file(false, MAGIC_MICROS, 1, [0, 0, 3, 3], b"abc");
        assert_eq!(sentence(b""), "the file ends within its own header of 24 bytes");
        assert_eq!(sentence(&good[..23]), "the file ends within its own header of 24 bytes");
        assert_eq!(sentence(&good[..30]), "the file ends within packet 1");
        assert_eq!(sentence(&good[..42]), "the file ends within packet 1");
        assert_eq!(sentence(b"GIF89a"), "not a pcap file: it begins with 47 49 46 38");
        assert!(sentence(&[0x0a, 0x0d, 0x0d, 0x0a]).contains("editcap -F pcap"));
        assert!(sentence(&file(true, MAGIC_NANOS, 127, [0; 4], b"")).starts_with("link type 127 is not understood"));
        let huge = file(true, MAGIC_NANOS, 1, [0, 0, u32::MAX, 0], b"");
        assert_eq!(sentence(&huge), "packet 1 says that it has 4294967295 bytes, more than 262144");
        let late = write(&[Captured::new(u64::MAX, *b"x")]).unwrap_err().to_string();
        assert_eq!(late, "a time of 18446744073709551615 ns since 1970 does not fit into a pcap file");
        assert!(write(&[Captured::new(0, vec![0; MAX_LEN as usize + 1])]).is_err());
    }

    #[test]
    fn packets_before_an_error_are_given_and_nothing_after_it() {
        let mut bytes = write(&[Captured::new(1, *b"one"), Captured::new(2, *b"two")]).unwrap();
        bytes.pop();
        let mut reader = Reader::new(bytes.as_slice()).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().frame, b"one");
        assert!(matches!(reader.next(), Some(Err(Error::Truncated(2)))));
        assert!(reader.next().is_none());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            packets in vec((0..=u64::from(u32::MAX), 0..1_000_000_000u64, vec(any::<u8>(), 0..200), 0..100u32), 0..8),
        ) {
            let packets: Vec<_> = packets.into_iter().map(|(secs, nanos, frame, cut)| {
                Captured { nanos: secs * 1_000_000_000 + nanos, orig_len: frame.len() as u32 + cut, frame }
            }).collect();
            let bytes = write(&packets).unwrap();
            prop_assert_eq!(&read(&bytes).unwrap(), &packets);
            prop_assert_eq!(write(&packets).unwrap(), bytes);
        }

        #[test]
        fn any_bytes_after_any_header_are_read_without_panic(
            big: bool, nanos: bool, link in prop::sample::select(vec![1u32, 101, 113, 276, 9]), bytes in vec(any::<u8>(), 0..300),
            small in 0..40u32,
        ) {
            let magic = if nanos { MAGIC_NANOS } else { MAGIC_MICROS };
            let _ = read(&bytes);
            let _ = read(&file(big, magic, link, [u32::MAX, u32::MAX, small, 0], &bytes));
        }
    }
}
