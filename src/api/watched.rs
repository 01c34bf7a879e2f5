//! Files that are read again when they change, while the gateway runs: tokens and certificates are renewed without a restart,
//! which would cost every connection.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Changes with every change of a file, or of its mode: inode, size, and the time of the change in s and ns. None where there
/// is no file.
type Stamp = Option<(u64, u64, i64, i64)>;

/// Files, and how they were when they were looked at last.
#[derive(Debug)]
pub(super) struct Watched {
    files: Vec<(String, Stamp)>,
    looked: Instant,
}

impl Watched {
    /// To be made before the files are read: what changes in between is seen then.
    pub(super) fn new(files: &[&str]) -> Watched {
        let files = files.iter().map(|path| ((*path).to_owned(), stamp(path))).collect();
        Watched { files, looked: Instant::now() }
    }

    /// Whether one was changed since this was asked last. Looks once a second at most.
    pub(super) fn changed(&mut self) -> bool {
        self.looked.elapsed() >= LOOK && self.look()
    }

    fn look(&mut self) -> bool {
        self.looked = Instant::now();
        let mut changed = false;
        for (path, known) in &mut self.files {
            let now = stamp(path);
            changed |= *known != now;
            *known = now;
        }
        changed
    }
}

fn stamp(path: &str) -> Stamp {
    std::fs::metadata(path).ok().map(|m| (m.ino(), m.size(), m.ctime(), m.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, remove_file, rename, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn every_way_to_change_a_file_is_seen_once() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| dir.path().join(name).to_str().unwrap().to_owned());
        write(&one, "1").unwrap();
        let mut watched = Watched::new(&[&one, &two]);
        assert!(!watched.changed() && !watched.look(), "nothing was changed");
        let ways: [(&str, &dyn Fn()); 5] = [
            ("longer", &|| write(&one, "12").unwrap()),
            ("its mode", &|| set_permissions(&one, Permissions::from_mode(0o640)).unwrap()),
            ("made", &|| write(&two, "12").unwrap()),
            ("renamed", &|| rename(&two, &one).unwrap()),
            ("removed", &|| remove_file(&one).unwrap()),
        ];
        for (way, change) in ways {
            change();
            assert!(watched.look() && !watched.look(), "{way}");
        }
    }
}
