//! Counters. One writer each, so an addition is a load and a store, without a lock prefix; readers see every value
//! some time later.

use crate::addr::{Dir, RealId};
use crate::verdict::{DropReason, PuntReason};
use alloc::boxed::Box;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A counter with one writer.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the owner may.
    #[inline(always)]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }
    /// Sets a gauge. Only the owner may.
    #[inline(always)]
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }
    /// The value.
    #[inline(always)]
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

macro_rules! counters {
    ($( #[doc = $help:literal] $name:ident, )*) => {
        /// The counters of one lcore.
        #[derive(Debug)]
        #[repr(C, align(64))]
        pub struct LcoreStats {
            $( #[doc = $help] pub $name: Counter, )*
            /// Frames thrown away, by reason.
            pub drops: [Counter; DropReason::COUNT],
            /// Frames given to the master, by reason.
            pub punts: [Counter; PuntReason::COUNT],
        }

        impl Default for LcoreStats {
            fn default() -> Self {
                LcoreStats { $( $name: Counter::default(), )*
                    drops: core::array::from_fn(|_| Counter::default()),
                    punts: core::array::from_fn(|_| Counter::default()) }
            }
        }

        impl LcoreStats {
            /// Takes over every value of another. Between two turns of its lcore they belong together.
            pub fn copy(&self, from: &LcoreStats) {
                $( self.$name.set(from.$name.value()); )*
                for (to, from) in self.drops.iter().zip(&from.drops).chain(self.punts.iter().zip(&from.punts)) {
                    to.set(from.value());
                }
            }
            /// Every counter but the reasons: name, value, and what it counts.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64, &'static str)> {
                [ $( (stringify!($name), self.$name.value(), $help.trim_ascii()), )* ].into_iter()
            }
        }
    };
}

counters! {
    /// Frames received from ports.
    rx,
    /// Bytes received from ports.
    rx_bytes,
    /// Frames taken from a ring: redirected here, or sent by the master.
    from_ring,
    /// Frames that this lcore made itself.
    originated,
    /// Frames that a port took.
    tx_sent,
    /// Bytes that a port took.
    tx_bytes,
    /// Frames handed over to another lcore.
    to_ring,
    /// Of these, frames that were done with, for a port on which this lcore has no queue.
    relayed,
    /// Frames kept now until their next hop has a MAC address.
    held_now,
    /// Bursts that held at least one frame.
    bursts,
    /// Connections opened.
    conns_opened,
    /// Connections ended, for whatever reason.
    conns_closed,
    /// Connections now.
    conns_now,
    /// Local ports taken now.
    ports_now,
    /// Local ports taken from the quarantine, because no other was free.
    ports_from_quarantine,
    /// Connections in TIME_WAIT or CLOSE that gave up their port.
    ports_from_closing,
    /// Half-open connections that gave up their port.
    ports_from_half_open,
    /// Connections in TIME_WAIT or CLOSE that gave up their seat in a full table.
    seats_from_closing,
    /// Half-open connections that gave up their seat in a full table.
    seats_from_half_open,
    /// Local ports taken at random and not listed: of servers with few connections, or because there was no memory to list them.
    ports_unlisted,
    /// Local ports taken from another class of the same lcore.
    ports_other_class,
    /// Connections on a reused port whose sequence numbers are raised.
    sequence_raised,
    /// SYNs whose timestamp option was taken out because their port was reused.
    timestamps_hidden,
    /// SYNs of a client whose old connection was still closing.
    reopened,
    /// Connections whose timer could not be filed early and that wait for their old one.
    timers_late,
    /// Events that nobody took in time.
    events_lost,
}

impl LcoreStats {
    /// The counter of a drop reason.
    #[inline(always)]
    pub fn drop(&self, reason: DropReason) -> &Counter {
        &self.drops[reason as usize]
    }
    /// The counter of a punt reason.
    #[inline(always)]
    pub fn punt(&self, reason: PuntReason) -> &Counter {
        &self.punts[reason as usize]
    }
    /// What came in less what went out: zero, always, between two turns of the lcore.
    pub fn balance(&self) -> i128 {
        let v = |c: &Counter| i128::from(c.value());
        let dropped: i128 = self.drops.iter().map(v).sum();
        let punted: i128 = self.punts.iter().map(v).sum();
        v(&self.rx) + v(&self.from_ring) + v(&self.originated)
            - v(&self.tx_sent)
            - dropped
            - punted
            - v(&self.to_ring)
            - v(&self.held_now)
    }
}

/// The counters of one real server of one service, on one lcore.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct RealStats {
    /// Connections now in a state that LVS calls active: SYN_SENT, SYN_RECV, ESTABLISHED, SYNACK.
    pub active: Counter,
    /// Connections now in any other state; UDP always.
    pub inactive: Counter,
    /// Connections ever.
    pub conns: Counter,
    /// Packets from clients.
    pub in_pkts: Counter,
    /// Packets to clients.
    pub out_pkts: Counter,
    /// Bytes of IP packets from clients.
    pub in_bytes: Counter,
    /// Bytes of IP packets to clients.
    pub out_bytes: Counter,
}

impl RealStats {
    /// Counts a packet of `len` bytes from its IP header on.
    #[inline(always)]
    pub fn packet(&self, dir: Dir, len: u16) {
        let (pkts, bytes) = match dir {
            Dir::In => (&self.in_pkts, &self.in_bytes),
            Dir::Out => (&self.out_pkts, &self.out_bytes),
        };
        pkts.add(1);
        bytes.add(u64::from(len));
    }
}

/// All counters that a lcore writes and the master reads.
#[derive(Debug)]
pub struct Stats {
    /// The lcore's own.
    pub lcore: LcoreStats,
    /// By [`RealId`].
    pub reals: Box<[RealStats]>,
    nobody: RealStats,
}

impl Stats {
    /// Counters for `reals` real servers.
    pub fn new(reals: usize) -> Stats {
        let reals = (0..reals).map(|_| RealStats::default()).collect();
        Stats { lcore: LcoreStats::default(), reals, nobody: RealStats::default() }
    }
    /// Loads the counters of a real server.
    #[inline(always)]
    pub fn prefetch(&self, id: RealId) {
        crate::mem::prefetch(&self.reals, id.index());
    }
    /// The counters of a real server; for an id out of bounds, counters that nobody reads.
    #[inline(always)]
    pub fn real(&self, id: RealId) -> &RealStats {
        self.reals.get(id.index()).unwrap_or(&self.nobody)
    }
}
