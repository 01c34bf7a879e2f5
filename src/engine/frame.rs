//! Frames and bursts: what the path works on.
//!
//! A [`Frame`] borrows one contiguous buffer and may move its own head within it. A [`Burst`] carries up to [`BURST`]
//! received frames, and spare ones to write what the lcore originates; whoever owns the buffers fills the spares.

use crate::addr::{IfaceId, PortId};
use crate::path::parse::Head;
use crate::verdict::Verdict;
use arrayvec::ArrayVec;

/// Frames a burst, at most.
pub const BURST: usize = 64;
/// Frames that one burst may originate, at most.
pub const SPARES: usize = 64;
/// Free bytes before the frame that whoever hands it over must leave.
pub const HEADROOM: usize = 128;

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
    /// The Toeplitz hash of the NIC, when it carries one.
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

/// What one turn of the path works on.
pub struct Burst<'a> {
    /// The received frames.
    pub frames: ArrayVec<Frame<'a>, BURST>,
    /// What the parser found in each frame.
    pub heads: ArrayVec<Head, BURST>,
    /// Where originated frames are written.
    pub emit: Emit<'a>,
}

impl<'a> Burst<'a> {
    /// An empty burst, with `spares` to originate from.
    #[inline(always)]
    pub fn new(spares: &'a mut dyn Spares) -> Burst<'a> {
        let emit = Emit { spares, sent: ArrayVec::new(), current: 0, before: false };
        Burst { frames: ArrayVec::new(), heads: ArrayVec::new(), emit }
    }
}

/// What became of a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What is to be done with it.
    pub verdict: Verdict,
    /// Where it begins in its buffer.
    pub head: u16,
    /// Its length in its buffer.
    pub len: u16,
}

/// What became of a burst.
pub type Outcomes = ArrayVec<Outcome, BURST>;

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
    /// The index of the received frame that caused it: it is sent right after that one, or right before it.
    pub cause: u8,
    /// Sent before its cause.
    pub before: bool,
    /// `Tx` or `Hold`.
    pub verdict: Verdict,
}

/// The sink for what the path originates: a bounded number of spare frames.
pub struct Emit<'a> {
    spares: &'a mut dyn Spares,
    sent: ArrayVec<Emitted, SPARES>,
    current: u8,
    before: bool,
}

impl Emit<'_> {
    /// What `write` emits is sent before the frame that is being worked on.
    pub fn before(&mut self, write: impl FnOnce(&mut Self)) {
        self.before = true;
        write(self);
        self.before = false;
    }

    /// The frame that is being worked on: what is emitted from now on is sent after it.
    #[inline(always)]
    pub fn caused_by(&mut self, index: usize) {
        self.current = index as u8;
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
                self.sent.push(Emitted { cause: self.current, before: self.before, verdict });
                true
            }
            Some(_) | None => false,
        }
    }

    /// What was emitted, in order: the first so many spares.
    pub fn sent(&self) -> &[Emitted] {
        &self.sent
    }
}
