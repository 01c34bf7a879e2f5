//! Frames for an operator to look at: copies of those that match, as they come in, as they go out, or as they are thrown away.
//!
//! Off, it costs a look at an empty list, once a burst and once a dropped frame. On, the lcore copies what matches into a
//! [`Sink`] that was made before; it neither waits nor allocates. Whoever began a capture ends it by letting go of the other
//! end of the sink: then the lcore gives the capture back. Which lcore a frame is seen by, and when, the sink knows.
//!
//! A frame that is handed over between lcores is seen once as it comes in and once as it goes out. Of a frame in several
//! segments the first is copied.

use super::Io;
use crate::addr::{Addr, Be16, PortId};
use crate::frame::{BURST, Buffer};
use crate::verdict::DropReason;
use crate::wire::ends::Ends;
use crate::wire::{ipv4, ipv6};
use alloc::boxed::Box;
use alloc::vec::Vec;
use arrayvec::ArrayVec;

/// Captures at once.
pub const AT_ONCE: usize = 2;

/// Where frames are captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Points {
    /// As they were received from a port.
    Received,
    /// As a port took them.
    Sent,
    /// Both.
    Both,
    /// As they were thrown away, for this reason or for any.
    Dropped(Option<DropReason>),
}

/// Where a frame was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// It came in by its port.
    Received,
    /// It went out by its port.
    Sent,
    /// It was thrown away.
    Dropped(DropReason),
}

/// A captured frame, besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where.
    pub point: Point,
    /// The port that it went out by; of others the one that it came in by.
    pub port: PortId,
    /// Bytes of the whole frame.
    pub len: u32,
}

/// A protocol to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP and ICMPv6.
    Icmp,
}

/// An end to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The address.
    pub addr: Addr,
    /// The port of TCP or UDP; none for whatever the address sends and gets.
    pub port: Option<Be16>,
}

/// Which frames. All conditions hold together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Where they are seen.
    pub points: Points,
    /// By which port; see [`Seen::port`].
    pub port: Option<PortId>,
    /// Of which protocol.
    pub protocol: Option<Protocol>,
    /// Of one end: from it or to it. Of two: between them, in both directions.
    pub ends: ArrayVec<End, 2>,
}

/// Where copies go.
pub trait Sink: Send {
    /// Takes a frame: its first bytes. Full, it counts the frame as lost; it never waits.
    fn put(&mut self, seen: &Seen, bytes: &[u8]);
    /// Nobody wants any more frames.
    fn is_over(&self) -> bool;
}

/// What goes out with a burst, until it is known how much of it the port took.
struct Staged {
    bytes: Vec<u8>,
    /// Of each frame: its place in the burst, where its bytes begin, and its length.
    frames: ArrayVec<(usize, usize, u32), BURST>,
}

/// See the module.
pub struct Capture {
    filter: Filter,
    /// Bytes of a frame that are kept, at most.
    snaplen: usize,
    sink: Box<dyn Sink>,
    staged: Staged,
}

impl Capture {
    /// Of the first `snaplen` bytes of each frame that matches.
    pub fn new(filter: Filter, snaplen: usize, sink: Box<dyn Sink>) -> Capture {
        let room = match filter.points {
            Points::Sent | Points::Both => BURST * snaplen,
            Points::Received | Points::Dropped(_) => 0,
        };
        // Written once, so that no page of it is missing under traffic.
        let mut bytes = alloc::vec![0xff; room];
        bytes.clear();
        Capture { filter, snaplen, sink, staged: Staged { bytes, frames: ArrayVec::new() } }
    }

    fn see<B: Buffer>(&mut self, point: Point, buf: &B) {
        let (port, bytes) = (buf.port(), buf.bytes());
        if self.filter.takes(point, port, bytes) {
            self.sink.put(&Seen { point, port, len: buf.len() as u32 }, cut(bytes, self.snaplen));
        }
    }

    fn stage<B: Buffer>(&mut self, port: PortId, batch: &[B]) {
        let Staged { bytes, frames } = &mut self.staged;
        bytes.clear();
        frames.clear();
        for (n, buf) in batch.iter().enumerate().take(BURST) {
            if self.filter.takes(Point::Sent, port, buf.bytes()) {
                frames.push((n, bytes.len(), buf.len() as u32));
                bytes.extend_from_slice(cut(buf.bytes(), self.snaplen));
            }
        }
    }

    fn sent(&mut self, port: PortId, taken: usize) {
        let Staged { bytes, frames } = &self.staged;
        for (i, (_, from, len)) in frames.iter().enumerate().take_while(|(_, (n, ..))| *n < taken) {
            let to = frames.get(i + 1).map_or(bytes.len(), |(_, next, _)| *next);
            self.sink.put(&Seen { point: Point::Sent, port, len: *len }, &bytes[*from..to]);
        }
    }
}

fn cut(bytes: &[u8], snaplen: usize) -> &[u8] {
    bytes.get(..snaplen).unwrap_or(bytes)
}

impl Filter {
    fn takes(&self, point: Point, port: PortId, bytes: &[u8]) -> bool {
        let here = match (self.points, point) {
            (Points::Received | Points::Both, Point::Received) | (Points::Sent | Points::Both, Point::Sent) => true,
            (Points::Dropped(wanted), Point::Dropped(reason)) => wanted.is_none_or(|wanted| wanted == reason),
            (Points::Received | Points::Sent | Points::Both | Points::Dropped(_), _) => false,
        };
        here && self.port.is_none_or(|wanted| wanted == port) && self.is_between(bytes)
    }

    /// Whether protocol and ends are those that are looked for.
    fn is_between(&self, frame: &[u8]) -> bool {
        if self.protocol.is_none() && self.ends.is_empty() {
            return true;
        }
        let Some(ends) = Ends::of(frame) else { return false };
        let protocol = self.protocol.is_none_or(|wanted| match wanted {
            Protocol::Tcp => ends.proto == ipv4::TCP,
            Protocol::Udp => ends.proto == ipv4::UDP,
            Protocol::Icmp => matches!(ends.proto, ipv4::ICMP | ipv6::ICMPV6),
        });
        let (sport, dport) = ends.ports.unzip();
        let is =
            |end: &End, addr: Addr, port: Option<Be16>| end.addr == addr && (end.port.is_none() || end.port == port);
        let (from, to) = (|end: &End| is(end, ends.src, sport), |end: &End| is(end, ends.dst, dport));
        protocol
            && match self.ends.as_slice() {
                [] => true,
                [one] => from(one) || to(one),
                [one, other, ..] => from(one) && to(other) || from(other) && to(one),
            }
    }
}

/// The captures of a lcore.
#[derive(Default)]
pub(super) struct Captures(ArrayVec<Box<Capture>, AT_ONCE>);

impl Captures {
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Begins one, or gives it back when there are as many as may be.
    pub(super) fn begin(&mut self, capture: Box<Capture>) -> Result<(), Box<Capture>> {
        self.0.try_push(capture).map_err(|full| full.element())
    }

    /// One that is over.
    pub(super) fn over(&mut self) -> Option<Box<Capture>> {
        let at = self.0.iter().position(|capture| capture.sink.is_over())?;
        Some(self.0.swap_remove(at))
    }

    /// These frames came in.
    #[cold]
    #[inline(never)]
    pub(super) fn received<B: Buffer>(&mut self, burst: &[B]) {
        for capture in &mut self.0 {
            burst.iter().for_each(|buf| capture.see(Point::Received, buf));
        }
    }

    /// These frames are thrown away.
    #[cold]
    #[inline(never)]
    pub(super) fn dropped<B: Buffer>(&mut self, reason: DropReason, frames: &[B]) {
        for capture in &mut self.0 {
            frames.iter().for_each(|buf| capture.see(Point::Dropped(reason), buf));
        }
    }

    /// Sends a burst, and keeps what the port took of it. What another lcore sends is captured there.
    #[cold]
    #[inline(never)]
    pub(super) fn send<I: Io>(&mut self, io: &mut I, port: PortId, batch: &mut super::Batch<I::Buf>) {
        if !io.sends_itself(port) {
            return io.send(port, batch);
        }
        self.0.iter_mut().for_each(|capture| capture.stage(port, batch));
        let frames = batch.len();
        io.send(port, batch);
        self.0.iter_mut().for_each(|capture| capture.sent(port, frames - batch.len()));
    }
}
