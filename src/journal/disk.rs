//! What the journal asks of a disk, and a directory that does it. Tests put a disk there that loses power.

use super::{JournalError, NAME};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Files by name, in one directory.
pub trait Disk {
    /// The whole file; none when it is not there.
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// Adds to the end of a file that is there. May be lost, wholly or in part, until it was synced.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Shortens a file.
    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()>;
    /// What was written to the file survives when this returns.
    fn sync(&mut self, name: &str) -> io::Result<()>;
    /// A file with this content, in the place of one that may be there. Content and name survive when this returns.
    fn create(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Takes the place of another file at once: a crash leaves the one or the other. Survives when this returns.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
}

/// A directory of a file system; locked, so that only one process has it.
pub struct Directory {
    path: PathBuf,
    /// The journal, opened once.
    journal: Option<File>,
    _lock: File,
}

impl Directory {
    /// Makes the directory if need be, and locks it.
    ///
    /// # Errors
    /// When it can not be made, or another process has it.
    pub fn open(path: &Path) -> Result<Directory, JournalError> {
        let failed = |source| JournalError::Io { what: format!("the state directory {}", path.display()), source };
        fs::create_dir_all(path).map_err(failed)?;
        let mut options = OpenOptions::new();
        let lock =
            options.create(true).truncate(false).write(true).mode(0o600).open(path.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Directory { path: path.to_owned(), journal: None, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(JournalError::InUse(path.display().to_string())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        let opened = match self.journal.take().filter(|_| name == NAME) {
            Some(file) => file,
            None => OpenOptions::new().append(true).open(self.path.join(name))?,
        };
        Ok(self.journal.insert(opened))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl Disk for Directory {
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.file(name)?.write_all(bytes)
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.file(name)?.set_len(len)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_data()
    }

    fn create(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        // It has the addresses of servers, and nobody else's business.
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(self.path.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        self.sync_names()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.journal = None;
        fs::rename(self.path.join(from), self.path.join(to))?;
        self.sync_names()
    }
}
