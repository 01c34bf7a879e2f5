//! Buffers, rings and ports of the laboratory.

use crate::addr::{LcoreId, NeighborId, PortId};
use crate::frame::Buffer;
use crate::frame::{Frame, HEADROOM, Meta};
use crate::lcore::{Batch, Io, Punt};
use crate::verdict::{DropReason, PuntReason, Verdict};
use std::collections::VecDeque;

/// Bytes of a frame that the engine originates, at most.
const SPARE: usize = 9_216 + 64;

/// A buffer with a frame of any length. What is beyond 65,535 bytes is as in a further segment.
#[derive(Clone, Debug)]
pub struct Buf {
    buf: Vec<u8>,
    head: u16,
    len: u16,
    pkt_len: u32,
    /// What is known about it.
    pub meta: Meta,
}

impl Buf {
    /// A frame behind the usual headroom.
    pub fn new(frame: &[u8], meta: Meta) -> Buf {
        Buf::with_headroom(HEADROOM as u16, frame, meta)
    }

    /// A frame behind so much headroom.
    pub fn with_headroom(head: u16, frame: &[u8], meta: Meta) -> Buf {
        let mut buf = vec![0; usize::from(head)];
        buf.extend_from_slice(frame);
        let len = u16::try_from(frame.len()).unwrap_or(u16::MAX);
        Buf { buf, head, len, pkt_len: frame.len() as u32, meta }
    }

    /// Says that only the first `len` bytes are in the first segment.
    pub fn segmented(mut self, len: u16) -> Buf {
        self.len = self.len.min(len);
        self
    }

    fn spare() -> Buf {
        Buf { buf: vec![0; HEADROOM + SPARE], head: HEADROOM as u16, len: 0, pkt_len: 0, meta: Meta::default() }
    }

    fn range(&self) -> core::ops::Range<usize> {
        usize::from(self.head)..usize::from(self.head) + usize::from(self.len)
    }
}

impl Buffer for Buf {
    fn frame(&mut self) -> Frame<'_> {
        let mut frame = Frame::new(&mut self.buf, self.head, self.len, self.meta);
        frame.pkt_len = self.pkt_len;
        frame
    }
    fn bytes(&self) -> &[u8] {
        self.buf.get(self.range()).unwrap_or(&[])
    }
    fn bytes_mut(&mut self) -> &mut [u8] {
        let range = self.range();
        self.buf.get_mut(range).unwrap_or(&mut [])
    }
    fn port(&self) -> PortId {
        self.meta.port
    }
    fn is_plain(&self) -> bool {
        self.pkt_len == u32::from(self.len) && !self.meta.bad_form
    }
    fn is_finished(&self) -> bool {
        !self.meta.csum_unfinished
    }
    fn commit(&mut self, head: u16, len: u16) {
        (self.head, self.len, self.pkt_len) = (head, len, u32::from(len));
    }
    fn len(&self) -> usize {
        self.pkt_len as usize
    }
}

/// A frame that left.
#[derive(Clone, PartialEq, Eq)]
pub struct Sent {
    /// When, in nanoseconds.
    pub nanos: u64,
    /// By which port.
    pub port: PortId,
    /// From the Ethernet header on.
    pub frame: Vec<u8>,
}

impl core::fmt::Debug for Sent {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:.6} port {} {}", self.nanos as f64 / 1e9, self.port, crate::testkit::text::long(&self.frame))
    }
}

/// What was seen of the frame that is being worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happened {
    Sent(PortId),
    Held,
    Dropped(DropReason),
    Punted(PuntReason),
    Redirected(LcoreId),
}

/// All ways out of all lcores.
pub(super) struct Wires {
    pub(super) nanos: u64,
    pub(super) sent: Vec<Sent>,
    pub(super) punts: VecDeque<(Punt, Buf)>,
    pub(super) wanted: Vec<NeighborId>,
    pub(super) log: Vec<Happened>,
    waiting: Option<NeighborId>,
    rings: Vec<VecDeque<Buf>>,
}

impl Wires {
    pub(super) fn new(lcores: usize) -> Wires {
        let rings = (0..lcores).map(|_| VecDeque::new()).collect();
        Wires {
            nanos: 0,
            sent: Vec::new(),
            punts: VecDeque::new(),
            wanted: Vec::new(),
            log: Vec::new(),
            waiting: None,
            rings,
        }
    }

    pub(super) fn next_redirect(&mut self) -> Option<(LcoreId, Buf)> {
        let rings = self.rings.iter_mut().enumerate();
        rings.into_iter().find_map(|(id, ring)| Some((LcoreId(id as u8), ring.pop_front()?)))
    }

    /// Where the frame went, and what became of it there. A packet that is cut, or answered with RSTs, leaves as several
    /// frames: what is said is what became of itself.
    pub(super) fn outcome(&self) -> (Vec<LcoreId>, Verdict) {
        let mut redirects = Vec::new();
        let (mut sent, mut held, mut dropped, mut punted) = (None, None, None, None);
        for happened in &self.log {
            match happened {
                Happened::Redirected(to) => redirects.push(*to),
                // What the master answers comes after the punt.
                Happened::Sent(port) if punted.is_none() => sent = sent.or(Some(Verdict::Tx(*port))),
                Happened::Sent(_) => {}
                Happened::Held => held = Some(Verdict::Hold(self.waiting.unwrap_or_default())),
                Happened::Dropped(reason) => dropped = dropped.or(Some(*reason)),
                Happened::Punted(reason) => punted = punted.or(Some(Verdict::Punt(*reason))),
            }
        }
        let pending = dropped == Some(DropReason::NeighborPending);
        let drop = dropped.map(Verdict::Drop);
        let own = if pending { None } else { drop };
        (redirects, own.or(punted).or(held).or(sent).or(drop).unwrap_or(Verdict::Drop(DropReason::Bug)))
    }
}

impl Io for Wires {
    type Buf = Buf;

    fn spare(&mut self) -> Option<Buf> {
        Some(Buf::spare())
    }
    fn send(&mut self, port: PortId, batch: &mut Batch<Buf>) {
        for buf in batch.drain(..) {
            self.log.push(Happened::Sent(port));
            self.sent.push(Sent { nanos: self.nanos, port, frame: buf.bytes().to_vec() });
        }
    }
    fn redirect(&mut self, to: LcoreId, batch: &mut Batch<Buf>) {
        self.log.extend(batch.iter().map(|_| Happened::Redirected(to)));
        if let Some(ring) = self.rings.get_mut(to.index()) {
            ring.extend(batch.drain(..));
        }
    }
    fn punt(&mut self, punt: Punt, buf: Buf) -> Result<(), Buf> {
        self.log.push(Happened::Punted(punt.reason));
        self.punts.push_back((punt, buf));
        Ok(())
    }
    fn wanted(&mut self, hop: NeighborId) {
        self.waiting = Some(hop);
        self.wanted.push(hop);
    }
}
