//! Frames: what the path works on.
//!
//! A [`Frame`] borrows one contiguous buffer and may move its own head within it. What the lcore originates is written
//! through an [`Emit`] into spare buffers; whoever owns the buffers fills the spares.

use crate::addr::{IfaceId, PortId};
use crate::verdict::Verdict;
use arrayvec::ArrayVec;

/// Frames a burst, at most.
pub const BURST: usize = 64;
/// Frames that one burst may originate, at most.
pub const SPARES: usize = 64;
/// Free bytes before a frame that nobody has moved yet.
pub const HEADROOM: usize = 128;
/// Free bytes before the frame that whoever hands it over must leave: what headers may grow by. A driver that puts back the
/// VLAN tag that a kernel took out (net_af_packet) has used up some of [`HEADROOM`].
pub const LEAST_HEADROOM: usize = 64;

/// What is known about a frame besides its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// The port it came in by.
    pub port: PortId,
    /// It came from another lcore: it must be at home here.
    pub redirected: bool,
    /// Its TCP or UDP checksum was never finished by its sender (tap, virtio): compute it in full.
    pub csum_unfinished: bool,
    /// Its frame is in a form the engine does not take (shared, or headers over several segments).
    pub bad_form: bool,
    /// The Toeplitz hash of the NIC: only of one whose hashes were found to be ours, and of a frame that it received.
    pub rss: Option<u32>,
    /// On a punt: the interface that it came in by.
    pub iface: IfaceId,
    /// On a punt for `FragNeeded`: the largest IP packet that would have passed.
    pub mtu: u16,
}

/// One Ethernet frame in a buffer with room before and after.
pub struct Frame<'a> {
    /// The whole buffer.
    pub buf: &'a mut [u8],
    /// Where the frame begins in `buf`.
    pub head: u16,
    /// Bytes of the frame in `buf`.
    pub len: u16,
    /// Bytes of the frame in all its segments; `len` for a frame of one segment.
    pub pkt_len: u32,
    /// See [`Meta`].
    pub meta: Meta,
}

impl<'a> Frame<'a> {
    /// A frame of one segment.
    pub fn new(buf: &'a mut [u8], head: u16, len: u16, meta: Meta) -> Frame<'a> {
        debug_assert!(usize::from(head) + usize::from(len) <= buf.len());
        Frame { buf, head, len, pkt_len: u32::from(len), meta }
    }

    /// The bytes of the frame.
    #[inline(always)]
    pub fn bytes(&self) -> &[u8] {
        let head = usize::from(self.head);
        self.buf.get(head..head + usize::from(self.len)).unwrap_or(&[])
    }

    /// The bytes of the frame.
    #[inline(always)]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let head = usize::from(self.head);
        self.buf.get_mut(head..head + usize::from(self.len)).unwrap_or(&mut [])
    }

    /// Makes the frame `len` bytes long from [`HEADROOM`] on and gives its bytes; `None` when the buffer is too small.
    pub fn reset(&mut self, len: usize) -> Option<&mut [u8]> {
        let bytes = self.buf.get_mut(HEADROOM..HEADROOM + len)?;
        self.head = HEADROOM as u16;
        self.len = u16::try_from(len).ok()?;
        self.pkt_len = len as u32;
        self.meta = Meta::default();
        Some(bytes)
    }

    /// Moves the head by `by` bytes: negative grows the frame at its front. False when the buffer has no room.
    pub fn move_head(&mut self, by: i16) -> bool {
        let head = i32::from(self.head) + i32::from(by);
        let len = i32::from(self.len) - i32::from(by);
        if head < 0 || len < 0 || (head + len) as usize > self.buf.len() {
            return false;
        }
        self.head = head as u16;
        self.pkt_len = (i64::from(self.pkt_len) - i64::from(by)) as u32;
        self.len = len as u16;
        true
    }
}

/// A buffer that carries one frame.
pub trait Buffer {
    /// The frame, to work on.
    fn frame(&mut self) -> Frame<'_>;
    /// The bytes of the frame in its first segment.
    fn bytes(&self) -> &[u8];
    /// The bytes of the frame in its first segment.
    fn bytes_mut(&mut self) -> &mut [u8];
    /// The port that it came in by.
    fn port(&self) -> PortId;
    /// True when it is all in one segment, in a form that the engine takes: [`Buffer::bytes`] are the frame.
    fn is_plain(&self) -> bool;
    /// What [`Buffer::port`] and [`Buffer::is_plain`] say, as one number that is not 0: both say the same of all frames with the
    /// same number.
    #[inline(always)]
    fn form(&self) -> u64 {
        1 | u64::from(self.is_plain()) << 1 | u64::from(self.port().0) << 8
    }
    /// True when its checksums were finished by its sender.
    fn is_finished(&self) -> bool;
    /// Takes over where the frame begins and how long it is.
    fn commit(&mut self, head: u16, len: u16);
    /// Bytes of the whole frame.
    fn len(&self) -> usize;
    /// True for a frame without bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Throws away all frames of a batch.
    fn discard(batch: &mut ArrayVec<Self, BURST>)
    where
        Self: Sized,
    {
        batch.clear();
    }
}

/// A pool of empty frames.
pub trait Spares {
    /// How many there are.
    fn count(&self) -> usize;
    /// Makes the frame at `index` `len` bytes long and has them written. False when there is none, or it is too small.
    fn write(&mut self, index: usize, len: usize, write: &mut dyn FnMut(&mut [u8])) -> bool;
}

/// A frame that this lcore originated, in the spare of the same index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// Sent before the frame that caused it; else after it.
    pub before: bool,
    /// `Tx` or `Hold`.
    pub verdict: Verdict,
}

/// What one frame caused.
pub type AllEmitted = ArrayVec<Emitted, SPARES>;

/// The sink for what the path originates because of one frame: a bounded number of spare frames.
pub struct Emit<'a> {
    spares: &'a mut dyn Spares,
    sent: AllEmitted,
    before: bool,
}

impl<'a> Emit<'a> {
    /// Writes into `spares`, from the first on.
    pub fn new(spares: &'a mut dyn Spares) -> Emit<'a> {
        Emit { spares, sent: ArrayVec::new(), before: false }
    }

    /// What `write` emits is sent before the frame that is being worked on.
    pub fn before(&mut self, write: impl FnOnce(&mut Self)) {
        self.before = true;
        write(self);
        self.before = false;
    }

    /// How many spare frames are left.
    pub fn left(&self) -> usize {
        self.spares.count().min(SPARES) - self.sent.len()
    }

    /// Writes a frame of `len` bytes with `write`, which says what becomes of it. False when no spare is left, or when
    /// the frame does not fit: the caller counts that.
    pub fn write(&mut self, len: usize, write: impl FnOnce(&mut [u8]) -> Verdict) -> bool {
        if self.left() == 0 {
            return false;
        }
        let (mut write, mut verdict) = (Some(write), None);
        let written = self.spares.write(self.sent.len(), len, &mut |bytes| {
            verdict = write.take().map(|write| write(bytes));
        });
        match verdict {
            Some(verdict) if written => {
                self.sent.push(Emitted { before: self.before, verdict });
                true
            }
            Some(_) | None => false,
        }
    }

    /// True when nothing was emitted.
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// What was emitted, in order: the first so many spares.
    pub fn finish(self) -> AllEmitted {
        self.sent
    }
}
