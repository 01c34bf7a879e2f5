//! The engine alone: frames out of memory, and ways out that only count.

use super::{BURSTS, Outcome, Pass, Trace, cpu};
use gatun_engine::addr::{LcoreId, NeighborId, PortId};
use gatun_engine::frame::{Buffer, Frame, Meta, SPARES};
use gatun_engine::lcore::{Batch, HELD, Io, Lcore, Punt, Source};
use gatun_engine::mem::{Heap, Memory, OutOfMemory, Plain};
use gatun_engine::testkit::lab::{Buf, Plan};
use gatun_engine::time::Tick;
use std::cell::RefCell;
use std::hint::black_box;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

/// The longest frame that the engine makes itself, besides fragments of what came in: an ICMP error.
const ERROR: usize = 1_024;
/// Bytes of an ordinary page.
const PAGE: usize = 4_096;

/// The ordinary heap, with every page in place before it is used: a page fault is no cost of a packet.
struct Touched;

impl Memory for Touched {
    type Slice<T: Plain> = Vec<T>;
    fn zeroed<T: Plain>(&self, len: usize) -> Result<Vec<T>, OutOfMemory> {
        let mut slice = black_box(Heap.zeroed::<T>(len)?);
        for page in slice.chunks_mut((PAGE / size_of::<T>().max(1)).max(1)) {
            page[0] = T::new_zeroed();
        }
        Ok(black_box(slice))
    }
}

/// As an mbuf: a pointer is handed around, and not what it points to.
struct Boxed(Box<Buf>);

/// Buffers that come back when they are dropped, as mbufs do.
#[derive(Clone, Default)]
struct Pool(Rc<RefCell<Vec<Boxed>>>);

impl Pool {
    fn take(&self) -> Option<Slot> {
        let buf = self.0.borrow_mut().pop()?;
        Some(Slot { buf: Some(buf), home: self.clone() })
    }
}

/// A buffer of the pool.
struct Slot {
    /// There until it is dropped.
    buf: Option<Boxed>,
    home: Pool,
}

impl Drop for Slot {
    #[inline(always)]
    fn drop(&mut self) {
        self.home.0.borrow_mut().extend(self.buf.take());
    }
}

impl Slot {
    #[inline(always)]
    fn buf(&self) -> &Buf {
        &self.buf.as_ref().expect("there until it is dropped").0
    }
    #[inline(always)]
    fn buf_mut(&mut self) -> &mut Buf {
        &mut self.buf.as_mut().expect("there until it is dropped").0
    }
}

impl Buffer for Slot {
    #[inline(always)]
    fn frame(&mut self) -> Frame<'_> {
        self.buf_mut().frame()
    }
    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        self.buf().bytes()
    }
    #[inline(always)]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self.buf_mut().bytes_mut()
    }
    #[inline(always)]
    fn port(&self) -> PortId {
        self.buf().port()
    }
    #[inline(always)]
    fn is_plain(&self) -> bool {
        self.buf().is_plain()
    }
    #[inline(always)]
    fn is_finished(&self) -> bool {
        self.buf().is_finished()
    }
    #[inline(always)]
    fn commit(&mut self, head: u16, len: u16) {
        self.buf_mut().commit(head, len);
    }
    #[inline(always)]
    fn len(&self) -> usize {
        self.buf().len()
    }
}

/// The ways out: all lead back into the pool.
struct Ways {
    pool: Pool,
}

impl Io for Ways {
    type Buf = Slot;
    #[inline(always)]
    fn spare(&mut self) -> Option<Slot> {
        self.pool.take()
    }
    #[inline(always)]
    fn send(&mut self, _: PortId, batch: &mut Batch<Slot>) {
        batch.clear();
    }
    fn redirect(&mut self, _: LcoreId, batch: &mut Batch<Slot>) {
        batch.clear();
    }
    fn punt(&mut self, _: Punt, _: Slot) -> Result<(), Slot> {
        Ok(())
    }
    fn wanted(&mut self, _: NeighborId) {}
}

/// See the module.
pub struct Engine<'a> {
    trace: &'a Trace,
    plan: &'a Plan,
    ways: Ways,
    /// Frames that come next, as a driver would have them ready.
    ready: Vec<Slot>,
}

impl<'a> Engine<'a> {
    /// For a trace that was recorded from a laboratory of this plan.
    pub fn new(trace: &'a Trace, plan: &'a Plan) -> Engine<'a> {
        Engine { trace, plan, ways: Ways { pool: Pool::default() }, ready: Vec::new() }
    }

    /// Takes the whole trace through an engine that starts now.
    ///
    /// # Errors
    /// When there is no memory for the tables.
    pub fn pass(&mut self) -> Result<Pass, OutOfMemory> {
        let mut lcore: Lcore<Touched, Slot> = self.plan.lcore(&Touched, 0, self.plan.seed, Tick(0))?;
        let mut batch = Batch::new();
        let mut spent = Duration::ZERO;
        for bursts in self.trace.bursts.chunks(BURSTS) {
            let (Some(first), Some(last)) = (bursts.first(), bursts.last()) else { continue };
            self.fill(first.start..last.end);
            let mut ready = self.ready.drain(..);
            let begin = cpu();
            for burst in bursts {
                let now = self.trace.now(burst);
                batch.extend(ready.by_ref().take(burst.len()));
                lcore.turn(now, &mut self.ways, &mut batch, Source::Port);
                lcore.finish(now, &mut self.ways);
            }
            spent += cpu() - begin;
        }
        Ok(Pass { cpu: spent, outcome: Outcome::of(&lcore.shard.stats.lcore) })
    }

    fn fill(&mut self, frames: Range<usize>) {
        // Room for VLAN tags that the way out adds.
        let empty = vec![0; self.trace.longest().max(ERROR) + 16];
        let missing = (frames.len() + SPARES + HELD).saturating_sub(self.ways.pool.0.borrow().len());
        let new = (0..missing).map(|_| Boxed(Box::new(Buf::new(&empty, Meta::default()))));
        self.ways.pool.0.borrow_mut().extend(new);
        for f in &self.trace.frames[frames] {
            let Some(mut slot) = self.ways.pool.take() else { continue };
            let (bytes, buf) = (self.trace.frame(f), slot.buf_mut());
            let mut frame = buf.frame();
            if let Some(to) = frame.reset(bytes.len()) {
                to.copy_from_slice(bytes);
            }
            let (head, len) = (frame.head, frame.len);
            buf.commit(head, len);
            buf.meta = Meta { port: f.port, ..Meta::default() };
            self.ready.push(slot);
        }
    }
}
