//! One turn of a lcore: a burst in, every verdict carried out and counted, in one place.
//!
//! It is generic over the buffers and the ways out ([`Io`]), so that the live worker, `gatun replay` and the tests run
//! the same code. It owns the frames that wait for a MAC address, the rate limits of the punts, and the batches towards
//! the ports. Between the frames coming in and going out nothing here allocates, locks or calls the system.

use crate::addr::{LcoreId, Mac, NeighborId, PortId};
use crate::frame::{AllEmitted, BURST, Buffer, Emit, Meta, Spares};
use crate::limit::{Bucket, Limits};
use crate::mem::Memory;
use crate::neighbor::NudState;
use crate::path::parse::Head;
use crate::path::{self, Heads};
use crate::shard::{Shard, Shared};
use crate::time::{HZ, Tick, Ticks};
use crate::verdict::{DropReason, PuntReason, Verdict};
use alloc::vec::Vec;
use arrayvec::ArrayVec;

/// Frames that wait for one next hop, at most.
pub const HELD_PER_HOP: usize = 3;
/// Frames that wait, at most.
pub const HELD: usize = 256;
/// How long a frame waits, at most.
pub const HELD_FOR: Ticks = Ticks(3 * HZ);
/// Timer entries that a turn looks at, besides two for each frame that it handled: more than it can open.
pub const EXPIRE_BUDGET: usize = 16;

/// Frames on their way.
pub type Batch<B> = ArrayVec<B, BURST>;

/// Why and whence a frame goes to the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Punt {
    /// Why.
    pub reason: PuntReason,
    /// Whence, and what else is to be known.
    pub meta: Meta,
}

/// The ways out of a lcore.
pub trait Io {
    /// Its buffers.
    type Buf: Buffer;
    /// An empty buffer.
    fn spare(&mut self) -> Option<Self::Buf>;
    /// Gives frames to a port, from the front; leaves what the port does not take.
    fn send(&mut self, port: PortId, batch: &mut Batch<Self::Buf>);
    /// Gives frames to another lcore, from the front; leaves what its ring does not take.
    fn redirect(&mut self, to: LcoreId, batch: &mut Batch<Self::Buf>);
    /// Gives a frame to the master, or gives it back when the ring is full.
    fn punt(&mut self, punt: Punt, buf: Self::Buf) -> Result<(), Self::Buf>;
    /// Tells the master that a frame waits for this next hop. May be lost: it is said again.
    fn wanted(&mut self, hop: NeighborId);
}

struct Held<B> {
    buf: B,
    hop: NeighborId,
    since: Tick,
}

/// Where a burst comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A port.
    Port,
    /// The hand-over ring of another lcore.
    Ring,
}

/// What goes out by a port with the next burst.
struct Out<B> {
    batch: Batch<B>,
    /// Of all its frames.
    bytes: u64,
}

/// See the module.
pub struct Lcore<M: Memory, B: Buffer> {
    /// What it shares with the others.
    pub shared: Shared,
    /// Its share of the connections.
    pub shard: Shard<M>,
    outs: Vec<Out<B>>,
    redirects: Vec<Batch<B>>,
    held: Vec<Held<B>>,
    spares: Batch<B>,
    /// Frames in this turn so far.
    handled: usize,
    /// By port: what floods one leaves the others alone.
    buckets: Vec<[Bucket; PuntReason::COUNT]>,
}

impl<M: Memory, B: Buffer> Lcore<M, B> {
    /// A lcore that sends to `ports` ports and hands over to `lcores` lcores.
    pub fn new(shared: Shared, shard: Shard<M>, ports: usize, lcores: usize, limits: &Limits, now: Tick) -> Self {
        Lcore {
            shared,
            shard,
            outs: (0..ports).map(|_| Out { batch: Batch::new(), bytes: 0 }).collect(),
            redirects: (0..lcores).map(|_| Batch::new()).collect(),
            held: Vec::with_capacity(HELD),
            spares: Batch::new(),
            handled: 0,
            buckets: (0..ports).map(|_| limits.map(|l| Bucket::new(l, now))).collect(),
        }
    }

    /// Changes the rate limits.
    pub fn set_limits(&mut self, limits: &Limits, now: Tick) {
        for (bucket, limit) in self.buckets.iter_mut().flat_map(|of_port| of_port.iter_mut().zip(limits)) {
            if bucket.limit != *limit {
                *bucket = Bucket::new(*limit, now);
            }
        }
    }

    /// Takes all frames of `input` through the path and carries out their verdicts.
    pub fn turn<I: Io<Buf = B>>(&mut self, now: Tick, io: &mut I, input: &mut Batch<B>, source: Source) {
        if input.is_empty() {
            return;
        }
        if !self.held.is_empty() {
            // What waited goes before what comes now.
            self.release(now, io);
        }
        self.handled += input.len();
        let stats = &self.shard.stats.lcore;
        stats.bursts.add(1);
        let mut heads = Heads::new();
        let bytes = path::look(&self.shared, &self.shard, input, &mut heads);
        match source {
            Source::Port => {
                stats.rx.add(input.len() as u64);
                stats.rx_bytes.add(bytes);
            }
            Source::Ring => stats.from_ring.add(input.len() as u64),
        }
        for (mut buf, head) in input.drain(..).zip(&heads) {
            match path::hit(&self.shared, &mut self.shard, now, &mut buf, head) {
                Some(port) => self.queue(io, port, buf),
                None => self.serve(now, io, buf, head, source),
            }
        }
    }

    /// A frame of a connection with IPv6, or one that asks for more than [`path::hit`] does, and what it causes: frames of our own, before and after it.
    #[inline(never)]
    fn serve<I: Io<Buf = B>>(&mut self, now: Tick, io: &mut I, mut buf: B, head: &Head, source: Source) {
        if let Some(port) = path::hit_wide(&self.shared, &mut self.shard, now, &mut buf, head) {
            return self.queue(io, port, buf);
        }
        if source == Source::Port
            && let Some(owner) = path::elsewhere(&self.shared, &self.shard, &mut buf, head)
        {
            return self.carry_out(now, io, buf, Verdict::Redirect(owner), &Meta::default());
        }
        while !self.spares.is_full() {
            let Some(spare) = io.spare() else { break };
            self.spares.push(spare);
        }
        let mut emit = Emit::new(&mut self.spares);
        let mut frame = buf.frame();
        if source == Source::Ring {
            (frame.meta.redirected, frame.meta.rss) = (true, None);
        }
        let verdict = path::serve(&self.shared, &mut self.shard, now, &mut frame, head, &mut emit);
        let (start, len, meta) = (frame.head, frame.len, Meta { iface: head.iface, ..frame.meta });
        if let Verdict::Tx(_) | Verdict::Hold(_) = verdict {
            buf.commit(start, len);
        }
        if emit.is_empty() {
            return self.carry_out(now, io, buf, verdict, &meta);
        }
        let emitted = emit.finish();
        self.carry_out_with(now, io, (buf, verdict, &meta), &emitted);
    }

    #[cold]
    fn carry_out_with<I: Io<Buf = B>>(
        &mut self,
        now: Tick,
        io: &mut I,
        cause: (B, Verdict, &Meta),
        emitted: &AllEmitted,
    ) {
        self.shard.stats.lcore.originated.add(emitted.len() as u64);
        let spares: Batch<B> = self.spares.drain(..emitted.len()).collect();
        let (mut cause, none) = (Some(cause), Meta::default());
        for (spare, e) in spares.into_iter().zip(emitted) {
            if !e.before
                && let Some((buf, verdict, meta)) = cause.take()
            {
                self.carry_out(now, io, buf, verdict, meta);
            }
            self.carry_out(now, io, spare, e.verdict, &none);
        }
        if let Some((buf, verdict, meta)) = cause {
            self.carry_out(now, io, buf, verdict, meta);
        }
    }

    /// The one place where a verdict is carried out and counted.
    fn carry_out<I: Io<Buf = B>>(&mut self, now: Tick, io: &mut I, buf: B, verdict: Verdict, meta: &Meta) {
        match verdict {
            Verdict::Tx(port) => self.queue(io, port, buf),
            Verdict::Drop(reason) => self.drop(reason, buf),
            Verdict::Redirect(to) => self.hand_over(io, to, buf),
            Verdict::Punt(reason) => {
                let bucket = self.buckets.get_mut(meta.port.index()).map(|of_port| &mut of_port[reason as usize]);
                if !bucket.is_some_and(|b| b.take(now)) {
                    return self.drop(reason.over_limit(), buf);
                }
                match io.punt(Punt { reason, meta: *meta }, buf) {
                    Ok(()) => self.shard.stats.lcore.punt(reason).add(1),
                    Err(buf) => self.drop(DropReason::PuntRingFull, buf),
                }
            }
            Verdict::Hold(hop) => {
                io.wanted(hop);
                let waiting = self.held.iter().filter(|h| h.hop == hop).count();
                if waiting >= HELD_PER_HOP || self.held.len() >= HELD {
                    return self.drop(DropReason::NeighborPending, buf);
                }
                self.held.push(Held { buf, hop, since: now });
                self.shard.stats.lcore.held_now.set(self.held.len() as u64);
            }
        }
    }

    fn drop(&self, reason: DropReason, buf: B) {
        self.shard.stats.lcore.drop(reason).add(1);
        drop(buf);
    }

    fn queue<I: Io<Buf = B>>(&mut self, io: &mut I, port: PortId, buf: B) {
        let Some(out) = self.outs.get_mut(port.index()) else { return self.drop(DropReason::Bug, buf) };
        let len = buf.len() as u64;
        match out.batch.try_push(buf) {
            Ok(()) => out.bytes += len,
            Err(full) => self.queue_full(io, port, full.element()),
        }
    }

    #[cold]
    fn queue_full<I: Io<Buf = B>>(&mut self, io: &mut I, port: PortId, buf: B) {
        self.flush_port(io, port);
        self.queue(io, port, buf);
    }

    fn hand_over<I: Io<Buf = B>>(&mut self, io: &mut I, to: LcoreId, buf: B) {
        let Some(batch) = self.redirects.get_mut(to.index()) else { return self.drop(DropReason::Bug, buf) };
        batch.push(buf);
        if batch.is_full() {
            self.flush_redirect(io, to);
        }
    }

    fn flush_port<I: Io<Buf = B>>(&mut self, io: &mut I, port: PortId) {
        let Out { batch, bytes } = &mut self.outs[port.index()];
        let frames = batch.len();
        io.send(port, batch);
        let stats = &self.shard.stats.lcore;
        stats.tx_sent.add((frames - batch.len()) as u64);
        stats.tx_bytes.add(*bytes - batch.iter().map(|b| b.len() as u64).sum::<u64>());
        *bytes = 0;
        stats.drop(DropReason::TxFull).add(batch.len() as u64);
        batch.clear();
    }

    fn flush_redirect<I: Io<Buf = B>>(&mut self, io: &mut I, to: LcoreId) {
        let batch = &mut self.redirects[to.index()];
        let frames = batch.len();
        io.redirect(to, batch);
        let stats = &self.shard.stats.lcore;
        stats.to_ring.add((frames - batch.len()) as u64);
        stats.drop(DropReason::RedirectRingFull).add(batch.len() as u64);
        batch.clear();
    }

    /// Queues frames of the master, complete as they are.
    pub fn relay<I: Io<Buf = B>>(&mut self, io: &mut I, port: PortId, frames: impl Iterator<Item = B>) {
        for buf in frames {
            self.shard.stats.lcore.from_ring.add(1);
            self.queue(io, port, buf);
        }
    }

    /// The end of a turn: timers, frames that waited, and everything that is queued goes out.
    pub fn finish<I: Io<Buf = B>>(&mut self, now: Tick, io: &mut I) {
        self.shard.expire(&self.shared, now, EXPIRE_BUDGET + 2 * self.handled);
        self.handled = 0;
        if !self.held.is_empty() {
            self.release(now, io);
        }
        for port in 0..self.outs.len() {
            if !self.outs[port].batch.is_empty() {
                self.flush_port(io, PortId(port as u8));
            }
        }
        for to in 0..self.redirects.len() {
            if !self.redirects[to].is_empty() {
                self.flush_redirect(io, LcoreId(to as u8));
            }
        }
    }

    /// Sends what waited for a MAC address that is known now, and drops what waited too long.
    fn release<I: Io<Buf = B>>(&mut self, now: Tick, io: &mut I) {
        let mut i = 0;
        while let Some(held) = self.held.get(i) {
            let cell = self.shared.neighbors.cell(held.hop);
            let too_long = now.since(held.since) > HELD_FOR;
            let port = self.shared.snapshot().iface(cell.iface).map(|i| i.port);
            match (cell.state, port) {
                (NudState::Incomplete, _) if !too_long => {
                    io.wanted(held.hop);
                    i += 1;
                }
                (NudState::Reachable, Some(port)) => {
                    let mut held = self.held.remove(i);
                    address(&mut held.buf, cell.mac);
                    self.queue(io, port, held.buf);
                }
                (NudState::Failed, _) | (NudState::Reachable, None) => {
                    let held = self.held.remove(i);
                    self.drop(DropReason::NeighborFailed, held.buf);
                }
                (NudState::Incomplete, _) => {
                    let held = self.held.remove(i);
                    self.drop(DropReason::NeighborPending, held.buf);
                }
            }
        }
        self.shard.stats.lcore.held_now.set(self.held.len() as u64);
    }

    /// Drops what waits: the run ends.
    pub fn abandon(&mut self) {
        while let Some(held) = self.held.pop() {
            self.drop(DropReason::NeighborPending, held.buf);
        }
        self.shard.stats.lcore.held_now.set(0);
    }
}

fn address<B: Buffer>(buf: &mut B, mac: Mac) {
    if let Some(dst) = buf.frame().bytes_mut().get_mut(..6) {
        dst.copy_from_slice(&mac.0);
    }
}

impl<B: Buffer> Spares for Batch<B> {
    fn count(&self) -> usize {
        self.len()
    }
    fn write(&mut self, index: usize, len: usize, write: &mut dyn FnMut(&mut [u8])) -> bool {
        let Some(buf) = self.get_mut(index) else { return false };
        let mut frame = buf.frame();
        let Some(bytes) = frame.reset(len) else { return false };
        write(bytes);
        let (head, len) = (frame.head, frame.len);
        buf.commit(head, len);
        true
    }
}
