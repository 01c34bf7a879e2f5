//! The journal: what was acknowledged is in it, whatever happens to the process or the power.
//!
//! Owned by the control thread. It keeps payloads in order and knows nothing of what they mean. A file of records, each with
//! its length and a checksum; one [`Journal::append`] is one record and one fdatasync, however many changes it carries, so
//! that all who wait share it. Never more than one record is unsynced: damage before the last record is therefore damage, and
//! not a crash. [`Journal::rewrite`] puts a shorter file in the place of the old one by rename. Nothing is ever written into the
//! middle of a file.

mod disk;
mod record;
#[cfg(test)]
mod tests;

pub use disk::{Directory, Disk};
use record::{HEADER, Scan};
use std::io;

/// The journal's file.
const NAME: &str = "journal";
/// What a rewrite makes before it takes the journal's place.
const NEW: &str = "journal.new";

/// Why a journal can not be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk.
    #[error("{what}: {source}: is the directory there, writable, on a disk with room? Give another with --state DIR")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// Another process has it.
    #[error("another gatun keeps its journal in {0}: stop that one first, or give this one its own --state DIR")]
    InUse(String),
    /// Of a version that is not known yet.
    #[error(
        "the journal is of format {found}, and this gatun knows formats up to {known}: use the gatun that wrote it, or a newer one, or move the file away to start from the configuration file alone"
    )]
    Newer {
        /// Its format.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
    /// Something else.
    #[error("the file {0} in the state directory is no journal of gatun: move it away, or give another --state DIR")]
    NoJournal(&'static str),
}

/// What was found when a journal was opened.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Every whole record, in order.
    pub payloads: Vec<Vec<u8>>,
    /// Bytes of an unfinished last record, which nobody was told of, that were cut off.
    pub cut: u64,
    /// Stretches that are damaged though records come after them: offset and length in bytes.
    pub damaged: Vec<(u64, u64)>,
    /// The copy of the damaged file.
    pub set_aside: Option<String>,
}

/// See the module.
pub struct Journal<D> {
    disk: D,
    len: u64,
    /// What is on the disk is not known: only a rewrite makes it good again.
    broken: bool,
}

impl<D: Disk> Journal<D> {
    /// Opens the journal, makes one when there is none, and repairs what a crash left.
    ///
    /// # Errors
    /// When the disk does not do what is asked of it, or the file is not one that this version reads.
    pub fn open(mut disk: D) -> Result<(Journal<D>, Recovered), JournalError> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |source| JournalError::Io { what, source }
        };
        let bytes = disk.read(NAME).map_err(failed("the journal can not be read"))?;
        let mut journal = Journal { disk, len: 0, broken: false };
        let Some(bytes) = bytes else {
            journal.rewrite(&[]).map_err(failed("the journal can not be made"))?;
            return Ok((journal, Recovered::default()));
        };
        let Scan { payloads, end, damaged } = record::scan(&bytes)?;
        let mut recovered = Recovered { payloads, cut: bytes.len() as u64 - end, damaged, set_aside: None };
        journal.len = end;
        if !recovered.damaged.is_empty() {
            let name = journal.aside().map_err(failed("the damaged journal can not be set aside"))?;
            journal.disk.create(&name, &bytes).map_err(failed("the damaged journal can not be set aside"))?;
            recovered.set_aside = Some(name);
            let payloads: Vec<&[u8]> = recovered.payloads.iter().map(Vec::as_slice).collect();
            journal.rewrite(&payloads).map_err(failed("the journal can not be repaired"))?;
        } else if recovered.cut > 0 {
            journal.disk.truncate(NAME, end).map_err(failed("the journal's torn end can not be cut off"))?;
            journal.disk.sync(NAME).map_err(failed("the journal can not be synced"))?;
        }
        Ok((journal, recovered))
    }

    /// Adds a record. When this returns, it survives; when it fails, the journal takes no more until it was rewritten.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn append(&mut self, payload: &[u8]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("the journal failed before and was not rewritten since"));
        }
        let frame = record::frame(payload)?;
        let written = self.disk.append(NAME, &frame).and_then(|()| self.disk.sync(NAME));
        // After a failed sync the kernel may have dropped the pages: what is on the disk is anybody's guess.
        self.broken = written.is_err();
        self.len += frame.len() as u64;
        written
    }

    /// Puts a file with only these records in the place of the old one. Until it is done, the old one holds.
    ///
    /// # Errors
    /// When the disk does not take it; then the old file is still there.
    pub fn rewrite(&mut self, payloads: &[&[u8]]) -> io::Result<()> {
        let mut bytes = HEADER.to_vec();
        for payload in payloads {
            bytes.extend(record::frame(payload)?);
        }
        self.disk.create(NEW, &bytes)?;
        self.disk.rename(NEW, NAME).inspect_err(|_| self.broken = true)?;
        (self.len, self.broken) = (bytes.len() as u64, false);
        Ok(())
    }

    /// Its size, bytes.
    pub fn size(&self) -> u64 {
        self.len
    }

    /// Whether it has to be rewritten before it takes anything.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// A name that is free.
    fn aside(&mut self) -> io::Result<String> {
        for n in 1..1_000 {
            let name = format!("journal.damaged.{n}");
            if self.disk.read(&name)?.is_none() {
                return Ok(name);
            }
        }
        Err(io::Error::other("there are a thousand damaged journals already: move them away"))
    }
}
