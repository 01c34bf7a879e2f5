//! Where verdicts are carried out and counted, in one place: the batches towards ports and other lcores, the frames that
//! wait for a MAC address, the rate limits of the punts.

use super::capture::Captures;
use super::dropped::DropLog;
use super::{Batch, HELD, HELD_FOR, HELD_PER_HOP, Io, Punt, Source};
use crate::addr::{LcoreId, Mac, NeighborId, PortId};
use crate::conn::Candidate;
use crate::frame::{AllEmitted, Buffer, Emit, Frame, Meta};
use crate::limit::{Bucket, Limits};
use crate::mem::Memory;
use crate::neighbor::NudState;
use crate::path::parse::Head;
use crate::path::{self, AllExpected, Parting, Run};
use crate::shard::{Expected, Shard, Shared, Tables};
use crate::stats::Stats;
use crate::time::Tick;
use crate::verdict::{DropReason, Exit, PuntReason, Verdict};
use alloc::sync::Arc;
use alloc::vec::Vec;

struct Held<B> {
    buf: B,
    hop: NeighborId,
    since: Tick,
}

/// What goes out by a port with the next burst.
struct Out<B> {
    batch: Batch<B>,
    /// Of all its frames.
    bytes: u64,
}

/// What all frames of a turn have in common.
pub(super) struct Given<'a> {
    pub(super) shared: &'a Shared,
    pub(super) tables: Tables<'a>,
    pub(super) expected: &'a AllExpected<'a>,
    pub(super) now: Tick,
    pub(super) source: Source,
}

/// See the module.
pub(super) struct Ways<B> {
    stats: Arc<Stats>,
    outs: Vec<Out<B>>,
    redirects: Vec<Batch<B>>,
    held: Vec<Held<B>>,
    spares: Batch<B>,
    /// What was dropped in this turn, to be freed together.
    discards: Batch<B>,
    pub(super) dropped: DropLog,
    pub(super) captures: Captures,
    pub(super) parting: Parting,
    now: Tick,
    /// By port: what floods one leaves the others alone.
    buckets: Vec<[Bucket; PuntReason::COUNT]>,
}

impl<B: Buffer> Ways<B> {
    /// To so many ports and lcores.
    pub(super) fn new(stats: Arc<Stats>, ports: usize, lcores: usize, limits: &Limits, now: Tick) -> Self {
        Ways {
            stats,
            outs: (0..ports).map(|_| Out { batch: Batch::new(), bytes: 0 }).collect(),
            redirects: (0..lcores).map(|_| Batch::new()).collect(),
            held: Vec::with_capacity(HELD),
            spares: Batch::new(),
            discards: Batch::new(),
            dropped: DropLog::default(),
            captures: Captures::default(),
            parting: Parting::default(),
            now,
            buckets: (0..ports).map(|_| limits.map(|l| Bucket::new(l, now))).collect(),
        }
    }

    /// Changes the rate limits.
    pub(super) fn set_limits(&mut self, limits: &Limits, now: Tick) {
        for (bucket, limit) in self.buckets.iter_mut().flat_map(|of_port| of_port.iter_mut().zip(limits)) {
            if bucket.limit != *limit {
                *bucket = Bucket::new(*limit, now);
            }
        }
    }

    /// A frame, by the shortest way that it may take.
    #[inline(always)]
    pub(super) fn one<M: Memory, I: Io<Buf = B>>(
        &mut self,
        given: &Given<'_>,
        shard: &mut Shard<M>,
        io: &mut I,
        mut buf: B,
        head: &Head,
    ) {
        if let Some(exit) = path::refusal(shard, head) {
            return self.refuse(given, exit, io, buf, head);
        }
        if path::may_hit(head)
            && let Some(port) = path::hit(&given.tables, &mut shard.conns.table(), given.now, &mut buf, head)
        {
            return self.queue(io, port, buf);
        }
        self.other(given, shard, io, buf, head);
    }

    /// A frame that does not take the short way of [`path::hit`].
    #[inline(never)]
    fn other<M: Memory, I: Io<Buf = B>>(
        &mut self,
        given: &Given<'_>,
        shard: &mut Shard<M>,
        io: &mut I,
        buf: B,
        head: &Head,
    ) {
        if let Some(expected) = path::expected(head, given.expected) {
            return self.open(given, shard, io, buf, (head, expected));
        }
        if head.candidate == Candidate::NONE {
            return self.serve(given, shard, io, buf, head);
        }
        if shard.conns.may_be_wide(head.candidate) {
            return self.wide(given, shard, io, buf, head);
        }
        self.step(given, shard, io, buf, head);
    }

    /// A frame that may open a connection.
    #[inline(never)]
    fn open<M: Memory, I: Io<Buf = B>>(
        &mut self,
        given: &Given<'_>,
        shard: &mut Shard<M>,
        io: &mut I,
        mut buf: B,
        (head, expected): (&Head, &Expected<'_>),
    ) {
        match path::open(given.shared, &given.tables, shard, given.now, &mut buf, (head, expected)) {
            Some(port) => self.queue(io, port, buf),
            None => self.serve(given, shard, io, buf, head),
        }
    }

    /// A frame of a connection that may be one with IPv6.
    #[inline(never)]
    fn wide<M: Memory, I: Io<Buf = B>>(
        &mut self,
        given: &Given<'_>,
        shard: &mut Shard<M>,
        io: &mut I,
        mut buf: B,
        head: &Head,
    ) {
        match path::hit_wide(&given.tables, &mut shard.conns, given.now, &mut buf, head) {
            Some(port) => self.queue(io, port, buf),
            None => self.step(given, shard, io, buf, head),
        }
    }

    /// A frame that takes its connection a step on, or asks for more than the short ways do.
    #[inline(never)]
    fn step<M: Memory, I: Io<Buf = B>>(
        &mut self,
        given: &Given<'_>,
        shard: &mut Shard<M>,
        io: &mut I,
        mut buf: B,
        head: &Head,
    ) {
        match path::step(given.shared, &given.tables, shard, given.now, &mut buf, head) {
            Some(port) => self.queue(io, port, buf),
            None => self.serve(given, shard, io, buf, head),
        }
    }

    /// A frame that asks for more than the short ways do, and what that causes: frames of our own, before and after it.
    #[inline(never)]
    fn serve<M: Memory, I: Io<Buf = B>>(
        &mut self,
        given: &Given<'_>,
        shard: &mut Shard<M>,
        io: &mut I,
        mut buf: B,
        head: &Head,
    ) {
        let Given { shared, expected, now, source, .. } = *given;
        if source == Source::Port
            && let Some(owner) = path::elsewhere(shared, shard, &mut buf, head)
        {
            return self.carry_out(now, io, buf, Verdict::Redirect(owner), &Meta::default());
        }
        while !self.spares.is_full() {
            let Some(spare) = io.spare() else { break };
            self.spares.push(spare);
        }
        let mut emit = Emit::new(&mut self.spares);
        let mut frame = received(&mut buf, source);
        let verdict = path::serve(shared, shard, now, &mut frame, (head, expected), &mut emit);
        let (start, len, meta) = (frame.head, frame.len, Meta { iface: head.iface, ..frame.meta });
        if let Verdict::Tx(_) | Verdict::Hold(_) = verdict {
            buf.commit(start, len);
        }
        if emit.is_empty() {
            return match verdict {
                Verdict::Tx(port) => self.queue(io, port, buf),
                verdict => self.carry_out(now, io, buf, verdict, &meta),
            };
        }
        let emitted = emit.finish();
        self.carry_out_with(now, io, (buf, verdict, &meta), &emitted);
    }

    /// A frame of no connection, which is not looked at any further.
    #[inline(always)]
    fn refuse<I: Io<Buf = B>>(&mut self, given: &Given<'_>, exit: Exit, io: &mut I, buf: B, head: &Head) {
        match exit {
            Exit::Drop(reason) => self.drop(reason, buf),
            Exit::Punt(reason) if !self.may_punt(reason, buf.port(), given.now) => self.drop(reason.over_limit(), buf),
            Exit::Punt(reason) => self.punt_refused(given, reason, io, buf, head),
            Exit::Redirect(_) if given.source == Source::Ring => self.drop(DropReason::NotHome, buf),
            Exit::Redirect(to) => self.hand_over(io, to, buf),
        }
    }

    #[inline(never)]
    fn punt_refused<I: Io<Buf = B>>(
        &mut self,
        given: &Given<'_>,
        reason: PuntReason,
        io: &mut I,
        mut buf: B,
        head: &Head,
    ) {
        let meta = Meta { iface: head.iface, ..received(&mut buf, given.source).meta };
        self.punt(io, Punt { reason, meta }, buf);
    }

    #[cold]
    fn carry_out_with<I: Io<Buf = B>>(
        &mut self,
        now: Tick,
        io: &mut I,
        cause: (B, Verdict, &Meta),
        emitted: &AllEmitted,
    ) {
        self.stats.lcore.originated.add(emitted.len() as u64);
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
            Verdict::Punt(reason) if !self.may_punt(reason, meta.port, now) => self.drop(reason.over_limit(), buf),
            Verdict::Punt(reason) => self.punt(io, Punt { reason, meta: *meta }, buf),
            Verdict::Hold(hop) => {
                io.wanted(hop);
                let waiting = self.held.iter().filter(|h| h.hop == hop).count();
                if waiting >= HELD_PER_HOP || self.held.len() >= HELD {
                    return self.drop(DropReason::NeighborPending, buf);
                }
                self.held.push(Held { buf, hop, since: now });
                self.stats.lcore.held_now.set(self.held.len() as u64);
            }
        }
    }

    /// Whether one more punt is within its limit.
    #[inline(always)]
    fn may_punt(&mut self, reason: PuntReason, port: PortId, now: Tick) -> bool {
        self.buckets.get_mut(port.index()).is_some_and(|of_port| of_port[reason as usize].take(now))
    }

    fn punt<I: Io<Buf = B>>(&mut self, io: &mut I, punt: Punt, buf: B) {
        match io.punt(punt, buf) {
            Ok(()) => self.stats.lcore.punt(punt.reason).add(1),
            Err(buf) => self.drop(DropReason::PuntRingFull, buf),
        }
    }

    /// Throws a frame away. Buffers are freed together.
    #[inline(always)]
    fn drop(&mut self, reason: DropReason, buf: B) {
        self.stats.lcore.drop(reason).add(1);
        self.dropped.note(reason, self.now, &buf);
        self.discards.push(buf);
        if self.discards.is_full() || !self.captures.is_empty() {
            self.discard(reason);
        }
    }

    /// Frees what was dropped; of these frames the captures have not yet seen the last one.
    #[inline(never)]
    fn discard(&mut self, reason: DropReason) {
        if let Some(last) = self.discards.last() {
            self.captures.dropped(reason, core::slice::from_ref(last));
        }
        B::discard(&mut self.discards);
    }

    #[inline(always)]
    pub(super) fn queue<I: Io<Buf = B>>(&mut self, io: &mut I, port: PortId, buf: B) {
        if let Err(buf) = queue(&mut self.outs, port, buf) {
            self.queue_full(io, port, buf);
        }
    }

    /// Queues all frames of a batch, which are those of a run: they go out at once, when no others wait.
    #[inline(always)]
    pub(super) fn queue_all<I: Io<Buf = B>>(&mut self, io: &mut I, run: &Run, batch: &mut Batch<B>) {
        match self.outs.get(run.port.index()) {
            Some(out) if out.batch.is_empty() => {
                let Ways { stats, dropped, captures, now, .. } = self;
                Books { stats, dropped, captures, now: *now }.transmit(io, run.port, batch, run.bytes);
            }
            Some(_) | None => batch.drain(..).for_each(|buf| self.queue(io, run.port, buf)),
        }
    }

    #[cold]
    fn queue_full<I: Io<Buf = B>>(&mut self, io: &mut I, port: PortId, buf: B) {
        if port.index() < self.outs.len() {
            self.flush_port(io, port);
        }
        if let Err(buf) = queue(&mut self.outs, port, buf) {
            self.drop(DropReason::Bug, buf);
        }
    }

    /// Hands the plain frames of a burst that belong to other lcores over to them. Gives their bytes.
    #[inline(never)]
    pub(super) fn part<I: Io<Buf = B>>(
        &mut self,
        shared: &Shared,
        here: LcoreId,
        io: &mut I,
        burst: &mut Batch<B>,
    ) -> u64 {
        let (frames, mut homes) = (burst.len(), path::Homes::new(shared));
        let mut bytes = 0;
        // Those that stay are sorted as all others are: nobody can predict a branch between them.
        for buf in burst.drain(..) {
            let (owner, len) = (homes.of(&buf).unwrap_or(here), buf.len() as u64);
            bytes += len * u64::from(owner != here);
            self.give(io, owner, buf);
        }
        if let Some(stay) = self.redirects.get_mut(here.index()) {
            burst.extend(stay.drain(..));
        }
        self.parting.leave(frames - burst.len());
        bytes
    }

    fn hand_over<I: Io<Buf = B>>(&mut self, io: &mut I, to: LcoreId, buf: B) {
        self.parting.leave(1);
        self.give(io, to, buf);
    }

    /// Puts a frame among those of a lcore.
    #[inline(always)]
    fn give<I: Io<Buf = B>>(&mut self, io: &mut I, to: LcoreId, buf: B) {
        let Some(batch) = self.redirects.get_mut(to.index()) else { return self.drop(DropReason::Bug, buf) };
        if let Err(full) = batch.try_push(buf) {
            self.flush_redirect(io, to);
            self.redirects[to.index()].push(full.element());
        }
    }

    /// Everything that is queued goes out.
    pub(super) fn flush<I: Io<Buf = B>>(&mut self, io: &mut I) {
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
        if !self.discards.is_empty() {
            B::discard(&mut self.discards);
        }
    }

    fn flush_port<I: Io<Buf = B>>(&mut self, io: &mut I, port: PortId) {
        let Ways { stats, outs, dropped, captures, now, .. } = self;
        let Out { batch, bytes } = &mut outs[port.index()];
        Books { stats, dropped, captures, now: *now }.transmit(io, port, batch, core::mem::take(bytes));
    }

    fn flush_redirect<I: Io<Buf = B>>(&mut self, io: &mut I, to: LcoreId) {
        let batch = &mut self.redirects[to.index()];
        let frames = batch.len();
        io.redirect(to, batch);
        if let Some(first) = batch.first() {
            self.dropped.note(DropReason::RedirectRingFull, self.now, first);
            self.captures.dropped(DropReason::RedirectRingFull, batch);
        }
        let stats = &self.stats.lcore;
        stats.to_ring.add((frames - batch.len()) as u64);
        stats.drop(DropReason::RedirectRingFull).add(batch.len() as u64);
        B::discard(batch);
    }

    /// Sends what waited for a MAC address that is known now, and drops what waited too long.
    pub(super) fn release<I: Io<Buf = B>>(&mut self, shared: &Shared, now: Tick, io: &mut I) {
        self.now = now;
        if self.held.is_empty() {
            return;
        }
        let mut i = 0;
        while let Some(held) = self.held.get(i) {
            let cell = shared.neighbors.cell(held.hop);
            let too_long = now.since(held.since) > HELD_FOR;
            let port = shared.snapshot().iface(cell.iface).map(|i| i.port);
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
        self.stats.lcore.held_now.set(self.held.len() as u64);
    }

    /// Drops what waits: the run ends.
    pub(super) fn abandon(&mut self) {
        while let Some(held) = self.held.pop() {
            self.drop(DropReason::NeighborPending, held.buf);
        }
        B::discard(&mut self.discards);
        self.stats.lcore.held_now.set(0);
    }
}

/// Where it is written down what became of frames.
struct Books<'a> {
    stats: &'a Stats,
    dropped: &'a mut DropLog,
    captures: &'a mut Captures,
    now: Tick,
}

impl Books<'_> {
    /// Gives frames to a port, which are so many bytes, and counts them.
    fn transmit<I: Io>(&mut self, io: &mut I, port: PortId, batch: &mut Batch<I::Buf>, bytes: u64) {
        let frames = batch.len();
        if self.captures.is_empty() {
            io.send(port, batch);
        } else {
            self.captures.send(io, port, batch);
        }
        if let Some(first) = batch.first() {
            self.dropped.note(DropReason::TxFull, self.now, first);
            self.captures.dropped(DropReason::TxFull, batch);
        }
        let stats = &self.stats.lcore;
        stats.tx_sent.add((frames - batch.len()) as u64);
        stats.tx_bytes.add(bytes - batch.iter().map(|b| b.len() as u64).sum::<u64>());
        stats.drop(DropReason::TxFull).add(batch.len() as u64);
        I::Buf::discard(batch);
    }
}

/// A frame that came in. What the card of another lcore said of it does not count here.
fn received<B: Buffer>(buf: &mut B, source: Source) -> Frame<'_> {
    let mut frame = buf.frame();
    if source == Source::Ring {
        (frame.meta.redirected, frame.meta.rss) = (true, None);
    }
    frame
}

/// Puts a frame among those that go out by a port; gives it back when these are as many as go out at once.
#[inline(always)]
fn queue<B: Buffer>(outs: &mut [Out<B>], port: PortId, buf: B) -> Result<(), B> {
    let Some(out) = outs.get_mut(port.index()) else { return Err(buf) };
    let len = buf.len() as u64;
    out.batch.try_push(buf).map_err(|full| full.element())?;
    out.bytes += len;
    Ok(())
}

fn address<B: Buffer>(buf: &mut B, mac: Mac) {
    if let Some(dst) = buf.frame().bytes_mut().get_mut(..6) {
        dst.copy_from_slice(&mac.0);
    }
}
