//! Where the engine and DPDK meet, and the only place: mbufs as buffers, queues and rings as ways out, huge pages as
//! memory.

use bytemuck::TransparentWrapper;
use crossbeam_queue::ArrayQueue;
use dpdk::mbuf::{Checksum, free_burst, prefetch_burst};
use dpdk::ring::{Consumer, SharedProducer};
use dpdk::{Eal, HugeSlice, Mbuf, Mempool, RxQueue, TxQueue};
use gatun_engine::addr::{LcoreId, NeighborId, PortId};
use gatun_engine::frame::{Buffer, Frame, LEAST_HEADROOM, Meta};
use gatun_engine::lcore::{Batch, Io, Punt};
use gatun_engine::mem::{Memory, OutOfMemory, Plain};
use gatun_engine::stats::{LcoreStats, Stats};
use std::sync::Arc;

use super::rss::Sampler;

/// A received or originated frame. The mbuf's port is ours ([`PortId`]), not DPDK's. Nothing but an mbuf: DPDK takes and
/// gives bursts of packets as they are.
#[derive(TransparentWrapper)]
#[repr(transparent)]
pub struct Packet(pub Mbuf);

impl Buffer for Packet {
    #[inline(always)]
    fn frame(&mut self) -> Frame<'_> {
        let mbuf = &mut self.0;
        let meta = Meta {
            port: PortId(mbuf.port() as u8),
            csum_unfinished: mbuf.l4_checksum() == Checksum::Unfinished,
            bad_form: mbuf.refcnt() != 1 || usize::from(mbuf.headroom()) < LEAST_HEADROOM,
            rss: mbuf.rss_hash(),
            ..Meta::default()
        };
        let pkt_len = mbuf.pkt_len();
        let (buf, head, len) = mbuf.buf_and_head();
        Frame { buf, head, len, pkt_len, meta }
    }

    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        self.0.data()
    }

    #[inline(always)]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.data_mut()
    }

    #[inline(always)]
    fn port(&self) -> PortId {
        PortId(self.0.port() as u8)
    }

    #[inline(always)]
    fn is_plain(&self) -> bool {
        self.0.is_simple(LEAST_HEADROOM as u16)
    }

    #[inline(always)]
    fn form(&self) -> u64 {
        self.0.layout()
    }

    #[inline(always)]
    fn is_finished(&self) -> bool {
        self.0.l4_checksum() != Checksum::Unfinished
    }

    #[inline(always)]
    fn commit(&mut self, head: u16, len: u16) {
        // The engine moves the head within the buffer that it was given.
        let moved = self.0.set_window(head, len);
        debug_assert!(moved.is_ok());
    }

    #[inline(always)]
    fn len(&self) -> usize {
        self.0.pkt_len() as usize
    }

    fn discard(batch: &mut Batch<Packet>) {
        free_burst(batch);
    }
}

/// What a worker sends to the master. ARP and neighbour discovery have a ring of their own that goes first.
pub struct Punts {
    /// ARP and neighbour discovery.
    pub link: ArrayQueue<(Punt, Packet)>,
    /// Everything else.
    pub rest: ArrayQueue<(Punt, Packet)>,
    /// Next hops that a frame waits for.
    pub wanted: ArrayQueue<NeighborId>,
}

impl Punts {
    /// Empty rings.
    pub fn new() -> Punts {
        Punts { link: ArrayQueue::new(512), rest: ArrayQueue::new(512), wanted: ArrayQueue::new(256) }
    }
}

impl Default for Punts {
    fn default() -> Self {
        Self::new()
    }
}

/// A worker's way to a port.
pub enum Way {
    /// Its own queue.
    Queue(TxQueue),
    /// The ring of a worker that has a queue, which sends the frames as they are.
    Through(SharedProducer),
}

/// The queues and rings of one worker.
pub struct DpdkIo {
    /// By [`PortId`].
    pub tx: Vec<Way>,
    /// Its counters.
    pub stats: Arc<Stats>,
    /// By [`LcoreId`]: the hand-over rings of the other workers.
    pub peers: Vec<SharedProducer>,
    /// To the master.
    pub punts: Arc<Punts>,
    /// Where spare frames come from.
    pub pool: Mempool,
}

impl Io for DpdkIo {
    type Buf = Packet;

    #[inline(always)]
    fn spare(&mut self) -> Option<Packet> {
        self.pool.alloc().map(Packet)
    }

    #[inline(always)]
    fn send(&mut self, port: PortId, batch: &mut Batch<Packet>) {
        match self.tx.get_mut(port.index()) {
            Some(Way::Queue(queue)) => {
                queue.burst(batch);
            }
            Some(Way::Through(ring)) => through(ring, port, batch, &self.stats.lcore),
            None => {}
        }
    }

    fn redirect(&mut self, to: LcoreId, batch: &mut Batch<Packet>) {
        if let Some(ring) = self.peers.get(to.index()) {
            ring.enqueue_burst(batch);
        }
    }

    fn punt(&mut self, punt: Punt, buf: Packet) -> Result<(), Packet> {
        let ring = if punt.reason.is_link() { &self.punts.link } else { &self.punts.rest };
        ring.push((punt, buf)).map_err(|(_, buf)| buf)
    }

    fn wanted(&mut self, hop: NeighborId) {
        // A full ring is no loss: it is said again with the next turn.
        let _ = self.punts.wanted.push(hop);
    }

    fn sends_itself(&self, port: PortId) -> bool {
        matches!(self.tx.get(port.index()), Some(Way::Queue(_)))
    }
}

/// Gives frames for a port to the worker that sends them. What its ring does not take stays in the batch.
fn through(ring: &SharedProducer, port: PortId, batch: &mut Batch<Packet>, stats: &LcoreStats) {
    let bytes: u64 = batch.iter().map(|p| p.len() as u64).sum();
    batch.iter_mut().for_each(|p| p.0.set_port(u16::from(port.0)));
    let taken = ring.enqueue_burst(batch) as u64;
    let left: u64 = batch.iter().map(|p| p.len() as u64).sum();
    // The engine takes what leaves the batch for sent by a port. It will be, and is counted there, by the other worker.
    stats.tx_sent.add(taken.wrapping_neg());
    stats.tx_bytes.add((bytes - left).wrapping_neg());
    stats.to_ring.add(taken);
    stats.relayed.add(taken);
}

/// One receive queue, and the port it belongs to.
pub struct Receiver {
    /// Ours.
    pub port: PortId,
    /// DPDK's.
    pub queue: RxQueue,
    /// On a port whose card may hash as we do.
    pub rss: Option<Sampler>,
}

impl Receiver {
    /// Takes a burst of at most `most` frames that are tagged as they were on the wire.
    #[inline(always)]
    pub fn burst(&mut self, into: &mut Batch<Packet>, most: usize) -> usize {
        let old = into.len();
        let received = self.queue.burst_of(into, most);
        let new = &mut into[old..];
        let port = u16::from(self.port.0);
        let ours = self.rss.as_mut().is_some_and(|rss| rss.look(new));
        let marks = if ours { Mbuf::VLAN_STRIPPED } else { Mbuf::VLAN_STRIPPED | Mbuf::RSS_HASH };
        for Packet(mbuf) in new {
            mbuf.set_port(port);
            if mbuf.ol_flags() & marks != 0 {
                unmark(mbuf, ours);
            }
        }
        received
    }
}

/// Makes a frame what it was on the wire, and takes off a hash that is not ours.
#[inline(never)]
fn unmark(mbuf: &mut Mbuf, ours: bool) {
    if !ours {
        mbuf.set_rss_hash(None);
    }
    if mbuf.stripped_vlan().is_some() {
        // Without room the engine refuses the frame for its form.
        let _ = mbuf.restore_vlan();
    }
}

/// Takes a burst that another worker handed over: its lines are on their way from that CPU's cache.
#[inline(always)]
pub fn handed_over(ring: &mut Consumer, into: &mut Batch<Packet>) -> usize {
    let taken = ring.dequeue_burst(into);
    prefetch_burst(into);
    taken
}

/// Bytes of an ordinary page.
const PAGE: usize = 4_096;

/// Memory of the worker's NUMA node, on huge pages when there are any.
#[derive(Clone)]
pub struct HugePages {
    /// The EAL.
    pub eal: Eal,
    /// The NUMA node.
    pub socket: Option<u32>,
}

impl Memory for HugePages {
    type Slice<T: Plain> = HugeSlice<T>;
    fn zeroed<T: Plain>(&self, len: usize) -> Result<HugeSlice<T>, OutOfMemory> {
        let mut slice: HugeSlice<T> = HugeSlice::zeroed(&self.eal, len, self.socket)
            .map_err(|_| OutOfMemory { bytes: len.saturating_mul(size_of::<T>()) })?;
        // DPDK knows ordinary pages to be zero and leaves them to be faulted in; that must not happen under traffic.
        for page in slice.chunks_mut((PAGE / size_of::<T>().max(1)).max(1)) {
            page[0] = T::new_zeroed();
        }
        Ok(slice)
    }
}
