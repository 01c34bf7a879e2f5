//! Power loss at every step: a disk that keeps what was synced, and of the rest whatever it likes.

use super::*;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What becomes of writes that were not synced when the power goes.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// All of them are lost.
    Nothing,
    /// All of them were written all the same.
    Everything,
    /// The first so many hundredths of the bytes.
    Part(u8),
    /// The length is there and the bytes are zeros: the size reached the disk before the data.
    Zeros,
    /// The last half, and zeros before it: blocks reach the disk in any order.
    LastHalf,
}

const LOSSES: [Loss; 7] =
    [Loss::Nothing, Loss::Everything, Loss::Part(1), Loss::Part(50), Loss::Part(99), Loss::Zeros, Loss::LastHalf];

#[derive(Clone, Debug, Default)]
struct Blocks {
    /// On the disk.
    safe: Vec<u8>,
    /// As the process sees it.
    seen: Vec<u8>,
}

impl Blocks {
    fn after(&self, loss: Loss) -> Vec<u8> {
        let (safe, seen) = (&self.safe, &self.seen);
        if seen.len() <= safe.len() {
            // Shortened and not synced: either length.
            return if matches!(loss, Loss::Everything) { seen.clone() } else { safe.clone() };
        }
        let fresh = &seen[safe.len()..];
        let mut after = safe.clone();
        match loss {
            Loss::Nothing => {}
            Loss::Everything => after.extend(fresh),
            Loss::Part(share) => after.extend(&fresh[..fresh.len() * usize::from(share) / 100]),
            Loss::Zeros => after.resize(seen.len(), 0),
            Loss::LastHalf => {
                after.resize(safe.len() + fresh.len() / 2, 0);
                after.extend(&fresh[fresh.len() / 2..]);
            }
        }
        after
    }
}

#[derive(Debug, Default)]
struct Inner {
    names: BTreeMap<String, Blocks>,
    /// A rename or a new name that is not safe yet: the names as they were.
    before: Option<BTreeMap<String, Blocks>>,
    /// Steps until the power goes.
    left: Option<usize>,
    steps: usize,
}

/// A disk that loses power.
#[derive(Clone, Default)]
struct Fragile(Rc<RefCell<Inner>>);

impl Fragile {
    fn failing_after(steps: usize) -> Fragile {
        let disk = Fragile::default();
        disk.0.borrow_mut().left = Some(steps);
        disk
    }

    /// One step; an error once the power is gone.
    fn step(&self) -> io::Result<std::cell::RefMut<'_, Inner>> {
        let mut inner = self.0.borrow_mut();
        inner.steps += 1;
        match &mut inner.left {
            Some(0) => return Err(io::Error::other("no power")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(inner)
    }

    /// The disk as the next start finds it. `old_names`: the directory did not reach the disk.
    fn reboot(&self, loss: Loss, old_names: bool) -> Fragile {
        let inner = self.0.borrow();
        let names = inner.before.as_ref().filter(|_| old_names).unwrap_or(&inner.names);
        let survive = |(name, blocks): (&String, &Blocks)| {
            let bytes = blocks.after(loss);
            (name.clone(), Blocks { safe: bytes.clone(), seen: bytes })
        };
        let names = names.iter().map(survive).collect();
        Fragile(Rc::new(RefCell::new(Inner { names, ..Inner::default() })))
    }
}

impl Disk for Fragile {
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.borrow().names.get(name).map(|b| b.seen.clone()))
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        // Two steps: the power may go in the middle of a write.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        for half in [first, second] {
            self.step()?.names.get_mut(name).ok_or(io::ErrorKind::NotFound)?.seen.extend(half);
        }
        Ok(())
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.step()?.names.get_mut(name).ok_or(io::ErrorKind::NotFound)?.seen.truncate(len as usize);
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut inner = self.step()?;
        let blocks = inner.names.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        blocks.safe.clone_from(&blocks.seen);
        Ok(())
    }

    fn create(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        {
            let mut inner = self.step()?;
            inner.before = Some(inner.names.clone());
            inner.names.insert(name.to_owned(), Blocks::default());
        }
        self.append(name, bytes)?;
        self.sync(name)?;
        self.step()?.before = None;
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        {
            let mut inner = self.step()?;
            inner.before = Some(inner.names.clone());
            let file = inner.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            inner.names.insert(to.to_owned(), file);
        }
        self.step()?.before = None;
        Ok(())
    }
}

/// What a run did before the power went.
struct Run {
    /// Acknowledged, in order, as far as a rewrite did not leave them out.
    acknowledged: Vec<Vec<u8>>,
    /// What was under way: may be there afterwards, or not.
    pending: Option<Vec<u8>>,
    /// A rewrite was under way: the records may be these instead.
    instead: Option<Vec<Vec<u8>>>,
}

/// Opens, appends, rewrites to the last record, appends again, until the power goes or it is done.
fn run(disk: Fragile) -> Run {
    let mut run = Run { acknowledged: Vec::new(), pending: None, instead: None };
    let Ok((mut journal, _)) = Journal::open(disk) else { return run };
    for n in 0..6u8 {
        let payload = vec![b'a' + n; 5 + usize::from(n) * 700];
        if journal.append(&payload).is_err() {
            run.pending = Some(payload);
            return run;
        }
        run.acknowledged.push(payload);
        if n == 3 {
            let kept = run.acknowledged[2..].to_vec();
            let payloads: Vec<&[u8]> = kept.iter().map(Vec::as_slice).collect();
            if journal.rewrite(&payloads).is_err() {
                run.instead = Some(kept);
                return run;
            }
            run.acknowledged = kept;
        }
    }
    run
}

#[test]
fn what_was_acknowledged_survives_a_power_loss_at_every_step_and_nothing_is_made_up() {
    let whole = Fragile::default();
    assert_eq!(run(whole.clone()).acknowledged.len(), 4);
    let steps = whole.0.borrow().steps;
    assert!(steps > 25, "{steps} steps");
    let mut states = 0;
    for fails_after in 0..=steps {
        for (loss, old_names) in LOSSES.iter().flat_map(|loss| [(*loss, false), (*loss, true)]) {
            let disk = Fragile::failing_after(fails_after);
            let done = run(disk.clone());
            let at = format!("after {fails_after} steps, {loss:?}, old names {old_names}");
            let rebooted = disk.reboot(loss, old_names);
            let (_, found) = Journal::open(rebooted.clone()).unwrap_or_else(|e| panic!("{at}: {e}"));
            assert_eq!(found.damaged, [], "{at}: a crash is not damage");
            let mut with_pending = done.acknowledged.clone();
            with_pending.extend(done.pending.clone());
            let right = found.payloads == done.acknowledged
                || found.payloads == with_pending
                || done.instead.is_some_and(|instead| found.payloads == instead);
            assert!(right, "{at}: {} acknowledged, {} found", done.acknowledged.len(), found.payloads.len());
            // What was found once is found again, and the journal goes on.
            let (mut journal, again) = Journal::open(rebooted.clone()).unwrap();
            assert_eq!((again.payloads.len(), again.cut), (found.payloads.len(), 0), "{at}");
            journal.append(b"next").unwrap();
            let (_, last) = Journal::open(rebooted.reboot(Loss::Nothing, true)).unwrap();
            assert_eq!(last.payloads.last().map(Vec::as_slice), Some(&b"next"[..]), "{at}");
            states += 1;
        }
    }
    println!("{states} states of the disk");
}

#[test]
fn a_failed_append_takes_nothing_more_until_the_journal_was_rewritten() {
    let disk = Fragile::default();
    let (mut journal, _) = Journal::open(disk.clone()).unwrap();
    journal.append(b"one").unwrap();
    disk.0.borrow_mut().left = Some(1);
    assert!(journal.append(b"two").is_err());
    disk.0.borrow_mut().left = None;
    assert!(journal.is_broken());
    assert!(journal.append(b"three").is_err());
    journal.rewrite(&[b"one"]).unwrap();
    journal.append(b"three").unwrap();
    let (_, found) = Journal::open(disk.reboot(Loss::Nothing, true)).unwrap();
    assert_eq!(found.payloads, [b"one".to_vec(), b"three".to_vec()]);
}

/// A journal with these records.
fn written(payloads: &[&[u8]]) -> Fragile {
    let disk = Fragile::default();
    let (mut journal, _) = Journal::open(disk.clone()).unwrap();
    payloads.iter().for_each(|p| journal.append(p).unwrap());
    disk
}

fn bytes(disk: &Fragile) -> Vec<u8> {
    disk.0.borrow().names[NAME].seen.clone()
}

fn with(bytes: Vec<u8>) -> Fragile {
    let disk = Fragile::default();
    disk.0.borrow_mut().names.insert(NAME.to_owned(), Blocks { safe: bytes.clone(), seen: bytes });
    disk
}

#[test]
fn a_damaged_middle_is_set_aside_and_named_and_the_rest_is_kept() {
    let whole = bytes(&written(&[b"first", b"second", b"third"]));
    let second = HEADER.len() + 12 + 5;
    for at in second..second + 12 + 6 {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x20;
        let disk = with(damaged.clone());
        let (_, found) = Journal::open(disk.clone()).unwrap();
        assert_eq!(found.payloads, [b"first".to_vec(), b"third".to_vec()], "byte {at}");
        assert_eq!(found.damaged, [(second as u64, 18)], "byte {at}");
        let aside = found.set_aside.unwrap();
        assert_eq!(disk.0.borrow().names[&aside].seen, damaged, "as it was found");
        let (_, again) = Journal::open(disk).unwrap();
        assert_eq!((again.payloads.len(), again.damaged.len()), (2, 0));
    }
}

#[test]
fn a_newer_format_and_a_file_of_something_else_are_refused_with_a_sentence() {
    let newer = Journal::open(with(b"gatun journal 2\nwhatever".to_vec())).map(drop).unwrap_err().to_string();
    assert!(newer.contains("format 2") && newer.contains("up to 1"), "{newer}");
    let other = Journal::open(with(b"#!/bin/sh\n".to_vec())).map(drop).unwrap_err().to_string();
    assert!(other.contains("is no journal"), "{other}");
}

#[test]
fn a_directory_keeps_a_journal_and_belongs_to_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let (mut journal, _) = Journal::open(Directory::open(&path).unwrap()).unwrap();
    journal.append(b"one").unwrap();
    let refused = Directory::open(&path).map(drop).unwrap_err().to_string();
    assert!(refused.contains("another gatun"), "{refused}");
    journal.rewrite(&[b"one", b"two"]).unwrap();
    journal.append(b"three").unwrap();
    drop(journal);
    let file = path.join(NAME);
    let mut torn = std::fs::read(&file).unwrap();
    torn.truncate(torn.len() - 1);
    std::fs::write(&file, torn).unwrap();
    let (_, found) = Journal::open(Directory::open(&path).unwrap()).unwrap();
    assert_eq!((found.payloads, found.cut), (vec![b"one".to_vec(), b"two".to_vec()], 16));
}

proptest! {
    #[test]
    fn any_bytes_are_a_journal_or_a_sentence(tail in proptest::collection::vec(any::<u8>(), 0..400), header: bool) {
        let mut bytes = if header { HEADER.to_vec() } else { Vec::new() };
        bytes.extend(tail);
        if let Ok((_, found)) = Journal::open(with(bytes)) {
            prop_assert!(header && found.payloads.len() <= 33);
        }
    }
}
