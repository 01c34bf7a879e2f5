//! The form of the journal's file: a line that names the format, then records.
//!
//! A record is a mark, the payload's length and the CRC-32 of length and payload, both little-endian, and the payload. The
//! mark lets a scan find the next record behind a damaged one.

use super::{JournalError, NAME};
use std::io;

/// The newest format that is known, and the one that is written.
const FORMAT: u32 = 1;
/// The first line of a file.
pub(super) const HEADER: &[u8] = b"gatun journal 1\n";
const MARK: [u8; 4] = [0xa7, b'g', b'j', b'r'];
const HEAD: usize = 12;

/// What a file holds.
pub(super) struct Scan {
    pub(super) payloads: Vec<Vec<u8>>,
    /// Behind the last whole record.
    pub(super) end: u64,
    pub(super) damaged: Vec<(u64, u64)>,
}

/// The payload as it stands in the file.
pub(super) fn frame(payload: &[u8]) -> io::Result<Vec<u8>> {
    let len = u32::try_from(payload.len()).map_err(|_| io::Error::other("a record of more than 4 GiB"))?;
    let mut frame = Vec::with_capacity(HEAD + payload.len());
    frame.extend(MARK);
    frame.extend(len.to_le_bytes());
    frame.extend(checksum(len, payload).to_le_bytes());
    frame.extend(payload);
    Ok(frame)
}

/// Reads a whole file.
pub(super) fn scan(bytes: &[u8]) -> Result<Scan, JournalError> {
    let mut at = header(bytes)?;
    let mut scan = Scan { payloads: Vec::new(), end: at as u64, damaged: Vec::new() };
    while at < bytes.len() {
        if let Some(payload) = record(bytes, at) {
            scan.payloads.push(payload.to_vec());
            at += HEAD + payload.len();
            scan.end = at as u64;
            continue;
        }
        let next = (at + 1..bytes.len()).find(|next| record(bytes, *next).is_some());
        let Some(next) = next else { break };
        scan.damaged.push((at as u64, (next - at) as u64));
        at = next;
    }
    Ok(scan)
}

/// Where the records begin.
fn header(bytes: &[u8]) -> Result<usize, JournalError> {
    if bytes.starts_with(HEADER) {
        return Ok(HEADER.len());
    }
    let line = bytes.split(|b| *b == b'\n').next().and_then(|line| std::str::from_utf8(line).ok());
    let found = line.and_then(|line| line.strip_prefix("gatun journal ")).and_then(|n| n.parse().ok());
    match found {
        Some(found) if found > FORMAT => Err(JournalError::Newer { found, known: FORMAT }),
        Some(_) | None => Err(JournalError::NoJournal(NAME)),
    }
}

/// The payload of the whole record at this place.
fn record(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?.strip_prefix(&MARK)?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let len = u32::from_le_bytes(*len);
    let payload = rest.get(..len as usize)?;
    (checksum(len, payload) == u32::from_le_bytes(*sum)).then_some(payload)
}

fn checksum(len: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&len.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}
