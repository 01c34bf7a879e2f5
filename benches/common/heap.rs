//! Buffers and ways out without DPDK: for what is counted, not timed.

use gatun_engine::addr::{LcoreId, NeighborId, PortId};
use gatun_engine::frame::{Buffer, Frame, HEADROOM, Meta};
use gatun_engine::lcore::{Batch, Io, Punt};

/// A buffer as small as a pointer, as an mbuf is. One that is dropped is lost: giving it back is DPDK's work, which is
/// not counted for what is sent either.
pub struct Buf(&'static mut Room);

struct Room {
    bytes: [u8; HEADROOM + 192],
    head: u16,
    len: u16,
}

impl Buf {
    /// An empty one.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Buf {
        Buf(Box::leak(Box::new(Room { bytes: [0; HEADROOM + 192], head: HEADROOM as u16, len: 0 })))
    }

    #[inline(always)]
    fn range(&self) -> std::ops::Range<usize> {
        let head = usize::from(self.0.head);
        head..head + usize::from(self.0.len)
    }
}

impl Buffer for Buf {
    #[inline(always)]
    fn frame(&mut self) -> Frame<'_> {
        Frame::new(&mut self.0.bytes, self.0.head, self.0.len, Meta::default())
    }
    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        &self.0.bytes[self.range()]
    }
    #[inline(always)]
    fn bytes_mut(&mut self) -> &mut [u8] {
        let range = self.range();
        &mut self.0.bytes[range]
    }
    #[inline(always)]
    fn port(&self) -> PortId {
        PortId(0)
    }
    #[inline(always)]
    fn is_plain(&self) -> bool {
        true
    }
    #[inline(always)]
    fn is_finished(&self) -> bool {
        true
    }
    #[inline(always)]
    fn commit(&mut self, head: u16, len: u16) {
        (self.0.head, self.0.len) = (head, len);
    }
    #[inline(always)]
    fn len(&self) -> usize {
        usize::from(self.0.len)
    }
}

/// A port whose frames come back, and a master who takes everything.
pub struct Pool {
    free: Vec<Buf>,
    /// As they were sent: sorting them in is no part of what is counted.
    sent: Vec<Batch<Buf>>,
}

impl Pool {
    /// With so many buffers.
    pub fn new(buffers: usize) -> Pool {
        Pool { free: (0..buffers).map(|_| Buf::new()).collect(), sent: Vec::with_capacity(buffers) }
    }

    /// A buffer to fill.
    pub fn take(&mut self) -> Buf {
        self.free.extend(self.sent.drain(..).flatten());
        self.free.pop().expect("a buffer is left")
    }
}

impl Io for Pool {
    type Buf = Buf;
    fn spare(&mut self) -> Option<Buf> {
        self.free.pop()
    }
    #[inline(always)]
    fn send(&mut self, _port: PortId, batch: &mut Batch<Buf>) {
        self.sent.push(std::mem::take(batch));
    }
    fn redirect(&mut self, _to: LcoreId, batch: &mut Batch<Buf>) {
        self.free.extend(batch.drain(..));
    }
    fn punt(&mut self, _punt: Punt, buf: Buf) -> Result<(), Buf> {
        self.free.push(buf);
        Ok(())
    }
    fn wanted(&mut self, hop: NeighborId) {
        panic!("every next hop is known: {hop:?}");
    }
}
