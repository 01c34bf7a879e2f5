//! The way of captured frames from a worker to who asked for them: a ring of bytes for each worker and capture.
//!
//! The worker has the one end as its [`Sink`] and stamps what it puts in with the time-stamp counter. A frame that finds no
//! room is lost, and counted. Letting go of the other end ends the capture. The ring is rtrb's, because its one producer never
//! waits for its one consumer, wherever that was interrupted.

use bytemuck::{Pod, Zeroable};
use gatun_engine::addr::PortId;
use gatun_engine::lcore::capture::{Point, Seen, Sink};
use gatun_engine::stats::Counter;
use gatun_engine::verdict::DropReason;
use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// What stands before the bytes of a frame.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Head {
    tsc: u64,
    /// Of the whole frame.
    len: u32,
    /// Bytes that follow.
    kept: u32,
    port: u8,
    point: u8,
    reason: u8,
    unused: [u8; 5],
}

const HEAD: usize = size_of::<Head>();
const RECEIVED: u8 = 0;
const SENT: u8 = 1;
const DROPPED: u8 = 2;

/// The worker's end.
pub struct Writer {
    to: Producer<u8>,
    lost: Arc<Counter>,
    /// There may be so many captures; this one counts until the last worker has given it back.
    _seat: Arc<OwnedSemaphorePermit>,
}

/// The end of who asked.
pub struct Reader {
    from: Consumer<u8>,
    lost: Arc<Counter>,
}

/// A captured frame, before its bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shot {
    /// When, by the time-stamp counter.
    pub tsc: u64,
    /// What, and where.
    pub seen: Seen,
    kept: usize,
}

/// A ring for so many bytes: those of the frames, and some for each.
pub fn ring(bytes: usize, seat: Arc<OwnedSemaphorePermit>) -> (Writer, Reader) {
    let (mut to, mut from) = RingBuffer::new(bytes);
    // Written once, so that no page of it is missing under traffic.
    if let Ok(all) = to.write_chunk(bytes) {
        all.commit_all();
    }
    if let Ok(all) = from.read_chunk(bytes) {
        all.commit_all();
    }
    let lost = Arc::new(Counter::default());
    (Writer { to, lost: lost.clone(), _seat: seat }, Reader { from, lost })
}

impl Sink for Writer {
    fn put(&mut self, seen: &Seen, bytes: &[u8]) {
        let (point, reason) = match seen.point {
            Point::Received => (RECEIVED, 0),
            Point::Sent => (SENT, 0),
            Point::Dropped(reason) => (DROPPED, reason as u8),
        };
        let (tsc, len, kept, port) = (dpdk::rdtsc(), seen.len, bytes.len() as u32, seen.port.0);
        let head = Head { tsc, len, kept, port, point, reason, unused: [0; 5] };
        match self.to.write_chunk(HEAD + bytes.len()) {
            Ok(mut chunk) => {
                copy(bytemuck::bytes_of(&head), chunk.as_mut_slices(), 0);
                copy(bytes, chunk.as_mut_slices(), HEAD);
                chunk.commit_all();
            }
            Err(_) => self.lost.add(1),
        }
    }

    fn is_over(&self) -> bool {
        self.to.is_abandoned()
    }
}

/// Copies to a place in two slices that follow each other: where a ring ends, it begins again.
fn copy(bytes: &[u8], (first, second): (&mut [u8], &mut [u8]), at: usize) {
    let (here, there) = bytes.split_at(first.len().saturating_sub(at).min(bytes.len()));
    let rest = (at + here.len()).saturating_sub(first.len());
    if let Some(place) = first.get_mut(at..at + here.len()) {
        place.copy_from_slice(here);
    }
    if let Some(place) = second.get_mut(rest..rest + there.len()) {
        place.copy_from_slice(there);
    }
}

impl Reader {
    /// The next frame, which stays.
    pub fn peek(&mut self) -> Option<Shot> {
        let chunk = self.from.read_chunk(HEAD).ok()?;
        let (first, second) = chunk.as_slices();
        let mut head = Head::zeroed();
        bytemuck::bytes_of_mut(&mut head).iter_mut().zip(first.iter().chain(second)).for_each(|(to, b)| *to = *b);
        let point = match head.point {
            RECEIVED => Point::Received,
            SENT => Point::Sent,
            _ => Point::Dropped(DropReason::ALL.get(usize::from(head.reason)).copied().unwrap_or(DropReason::Bug)),
        };
        let seen = Seen { point, port: PortId(head.port), len: head.len };
        Some(Shot { tsc: head.tsc, seen, kept: head.kept as usize })
    }

    /// Puts the bytes of the next frame in place of what `into` has.
    pub fn take(&mut self, into: &mut Vec<u8>) {
        into.clear();
        let Some(shot) = self.peek() else { return };
        // A frame is in the ring as a whole or not at all.
        if let Ok(chunk) = self.from.read_chunk(HEAD + shot.kept) {
            let (first, second) = chunk.as_slices();
            into.extend_from_slice(first.get(HEAD..).unwrap_or_default());
            into.extend_from_slice(second.get(HEAD.saturating_sub(first.len())..).unwrap_or_default());
            chunk.commit_all();
        }
    }

    /// Frames that found no room.
    pub fn lost(&self) -> u64 {
        self.lost.value()
    }

    /// The worker is gone.
    pub fn is_abandoned(&self) -> bool {
        self.from.is_abandoned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::sync::Semaphore;

    fn ends(bytes: usize) -> (Writer, Reader, Arc<Semaphore>) {
        let seats = Arc::new(Semaphore::new(1));
        let seat = seats.clone().try_acquire_owned().unwrap();
        let (writer, reader) = ring(bytes, Arc::new(seat));
        (writer, reader, seats)
    }

    fn seen(n: u32) -> Seen {
        let point = match n % 3 {
            0 => Point::Received,
            1 => Point::Sent,
            _ => Point::Dropped(DropReason::ALL[n as usize % DropReason::COUNT]),
        };
        Seen { point, port: PortId(n as u8), len: n }
    }

    #[test]
    fn a_full_ring_loses_the_newest_and_says_how_many() {
        let (mut writer, mut reader, _) = ends(3 * (HEAD + 10));
        (0..5).for_each(|n| writer.put(&seen(n), &[n as u8; 10]));
        assert_eq!((reader.lost(), reader.peek().map(|shot| shot.seen)), (2, Some(seen(0))));
        let mut bytes = Vec::new();
        reader.take(&mut bytes);
        assert_eq!(bytes, [0; 10]);
        writer.put(&seen(9), &[9; 10]);
        writer.put(&seen(10), &[10; 1]);
        for n in [1, 2, 9] {
            assert_eq!(reader.peek().map(|shot| shot.seen), Some(seen(n)));
            reader.take(&mut bytes);
            assert_eq!(bytes, [n as u8; 10]);
        }
        assert_eq!((reader.peek(), reader.lost()), (None, 3));
        reader.take(&mut bytes);
        assert!(bytes.is_empty());
    }

    #[test]
    fn each_end_learns_that_the_other_is_gone_and_the_seat_is_free_with_the_writer() {
        let (writer, reader, seats) = ends(100);
        assert!(!writer.is_over() && !reader.is_abandoned());
        drop(reader);
        assert!(writer.is_over());
        assert_eq!(seats.available_permits(), 0);
        drop(writer);
        assert_eq!(seats.available_permits(), 1);
        let (writer, reader, _) = ends(100);
        drop(writer);
        assert!(reader.is_abandoned());
    }

    proptest! {
        #[test]
        fn what_is_put_in_comes_out_in_order(frames in prop::collection::vec((0..60usize, any::<bool>()), 0..200)) {
            let (mut writer, mut reader, _) = ends(500);
            let (mut expected, mut lost) = (std::collections::VecDeque::new(), 0);
            let mut bytes = Vec::new();
            for (n, (len, take)) in frames.into_iter().enumerate() {
                let frame = vec![n as u8; len];
                let before = reader.lost();
                writer.put(&seen(n as u32), &frame);
                if reader.lost() == before { expected.push_back((seen(n as u32), frame)) } else { lost += 1 }
                if take && let Some((seen, frame)) = expected.pop_front() {
                    prop_assert_eq!(reader.peek().map(|shot| shot.seen), Some(seen));
                    reader.take(&mut bytes);
                    prop_assert_eq!(&bytes, &frame);
                }
            }
            prop_assert_eq!(reader.lost(), lost);
        }
    }
}
