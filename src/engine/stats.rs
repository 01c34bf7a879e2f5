//! Counters. One writer each, so an addition is a load and a store, without a lock prefix; readers see every value
//! some time later.

use crate::addr::{Dir, LipId, RealId};
use crate::conn::state::{STATES, State};
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
            /// How full its tables are.
            pub tables: TableStats,
            /// Connections now, by state; a hit changes none.
            pub states: [Counter; STATES],
            /// Frames thrown away, by reason.
            pub drops: [Counter; DropReason::COUNT],
            /// Frames given to the master, by reason.
            pub punts: [Counter; PuntReason::COUNT],
        }

        impl Default for LcoreStats {
            fn default() -> Self {
                LcoreStats { $( $name: Counter::default(), )*
                    tables: TableStats::default(),
                    states: core::array::from_fn(|_| Counter::default()),
                    drops: core::array::from_fn(|_| Counter::default()),
                    punts: core::array::from_fn(|_| Counter::default()) }
            }
        }

        impl LcoreStats {
            /// Takes over every value of another. Between two turns of its lcore they belong together.
            pub fn copy(&self, from: &LcoreStats) {
                $( self.$name.set(from.$name.value()); )*
                self.tables.copy(&from.tables);
                let pairs = self.drops.iter().zip(&from.drops).chain(self.punts.iter().zip(&from.punts));
                for (to, from) in pairs.chain(self.states.iter().zip(&from.states)) {
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

macro_rules! gauges {
    ($( #[doc = $help:literal] $name:ident, )*) => {
        /// How full the tables of one lcore are, once a tick.
        #[derive(Debug, Default)]
        pub struct TableStats { $( #[doc = $help] pub $name: Counter, )* }

        impl TableStats {
            fn copy(&self, from: &TableStats) {
                $( self.$name.set(from.$name.value()); )*
            }
            /// Every gauge: name, value, and what it says.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64, &'static str)> {
                [ $( (stringify!($name), self.$name.value(), $help.trim_ascii()), )* ].into_iter()
            }
        }
    };
}

gauges! {
    /// Connections that there is room for.
    conns_room,
    /// Entries of the index of connections now: two a connection.
    index_now,
    /// Entries of the index that there is room for. It is made for 75 % of them.
    index_room,
    /// Timer entries now: one a connection, and those that earlier deadlines left behind.
    timers_now,
    /// Timer entries that there is room for.
    timers_room,
    /// Lists of local ports now: one for each server, local address and class that has many.
    port_lists_now,
    /// Lists of local ports that there is room for.
    port_lists_room,
}

impl LcoreStats {
    /// Connections now in a state.
    #[inline(always)]
    pub fn state(&self, state: State) -> &Counter {
        &self.states[state as usize]
    }
    /// A connection goes from one state into another; none is [`State::None`].
    #[inline(always)]
    pub(crate) fn count_state(&self, before: State, next: State) {
        self.state(before).add(u64::MAX);
        self.state(next).add(1);
    }
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

/// The connections of one real server of one service, on one lcore.
#[derive(Debug, Default)]
#[repr(C, align(32))]
pub struct RealStats {
    /// Connections now in a state that LVS calls active: SYN_SENT, SYN_RECV, ESTABLISHED, SYNACK.
    pub active: Counter,
    /// Connections now in any other state; UDP always.
    pub inactive: Counter,
    /// Connections ever.
    pub conns: Counter,
}

impl RealStats {
    /// A connection becomes active that was not, or the other way round.
    #[inline(always)]
    pub(crate) fn count_change(&self, active: bool) {
        let (from, to) = if active { (&self.inactive, &self.active) } else { (&self.active, &self.inactive) };
        from.add(u64::MAX);
        to.add(1);
    }
}

/// The packets of one real server of one service, on one lcore: apart from its connections, so that what every packet counts
/// takes half a cache line.
#[derive(Debug, Default)]
#[repr(C, align(32))]
pub struct RealTraffic {
    /// Packets from clients.
    pub in_pkts: Counter,
    /// Bytes of IP packets from clients.
    pub in_bytes: Counter,
    /// Packets to clients.
    pub out_pkts: Counter,
    /// Bytes of IP packets to clients.
    pub out_bytes: Counter,
}

impl RealTraffic {
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

/// How the local ports of one LIP stand on one lcore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LipUse {
    /// Ports taken, but for those that servers with few connections take at random.
    pub taken: u32,
    /// Ports taken of the fullest of its classes towards any server, of [`CLASS_PORTS`](crate::laddr::CLASS_PORTS).
    pub fullest: u16,
}

/// How the local ports stand by LIP. They are counted by a census that looks at some of them a tick: what is read is what
/// its last whole pass found.
#[derive(Debug, Default)]
pub struct LipStats {
    /// Whole passes so far.
    passes: Counter,
    /// By [`LipId`], of the passes that met it last: the one before and the newest.
    lips: Box<[[Counter; 2]]>,
}

/// Of a word: 24 bits for the pass, 30 for what is taken, 10 for the fullest class.
const PASS: u32 = 40;

impl LipStats {
    /// For ids below `lips`.
    pub fn new(lips: usize) -> LipStats {
        LipStats { passes: Counter::default(), lips: (0..lips).map(|_| Default::default()).collect() }
    }

    /// What the last whole pass found of a LIP; nothing where it has no ports taken.
    pub fn of(&self, lip: LipId) -> LipUse {
        let pass = self.passes.value() << PASS;
        let found = self.lips.get(lip.index()).and_then(|words| {
            let words = words.each_ref().map(Counter::value);
            words.into_iter().find(|word| pass != 0 && (word ^ pass) >> PASS == 0)
        });
        found.map_or(LipUse::default(), |word| LipUse {
            taken: (word >> 10) as u32 & 0x3fff_ffff,
            fullest: word as u16 & 0x3ff,
        })
    }

    /// The pass that is under way found `taken` ports of a class of a LIP.
    pub(crate) fn found(&self, lip: LipId, taken: u16) {
        let Some([before, now]) = self.lips.get(lip.index()) else { return };
        let (pass, taken) = ((self.passes.value() + 1) << PASS, u64::from(taken));
        let word = now.value();
        if (word ^ pass) >> PASS == 0 {
            let fullest = (word & 0x3ff).max(taken);
            now.set(((word >> 10) + taken) << 10 | fullest);
        } else {
            before.set(word);
            now.set(pass | taken << 10 | taken);
        }
    }

    /// The pass that is under way has seen all.
    pub(crate) fn passed(&self) {
        self.passes.add(1);
    }
}

/// All counters that a lcore writes and the master reads.
#[derive(Debug)]
pub struct Stats {
    /// The lcore's own.
    pub lcore: LcoreStats,
    /// By [`RealId`].
    pub reals: Box<[RealStats]>,
    /// By [`RealId`].
    pub traffic: Box<[RealTraffic]>,
    /// By [`LipId`].
    pub lips: LipStats,
    nobody: (RealStats, RealTraffic),
}

impl Stats {
    /// Counters for `reals` real servers.
    pub fn new(reals: usize) -> Stats {
        Stats::with_lips(reals, 0)
    }
    /// The same, and for `lips` LIPs.
    pub fn with_lips(reals: usize, lips: usize) -> Stats {
        Stats {
            lcore: LcoreStats::default(),
            reals: (0..reals).map(|_| RealStats::default()).collect(),
            traffic: (0..reals).map(|_| RealTraffic::default()).collect(),
            lips: LipStats::new(lips),
            nobody: Default::default(),
        }
    }
    /// Loads all counters of a real server.
    #[inline(always)]
    pub fn prefetch(&self, id: RealId) {
        self.prefetch_conns(id);
        crate::mem::prefetch(&self.traffic, id.index());
    }
    /// Loads the counters of a real server's connections.
    #[inline(always)]
    pub fn prefetch_conns(&self, id: RealId) {
        crate::mem::prefetch(&self.reals, id.index());
    }
    /// The connections of a real server; for an id out of bounds, counters that nobody reads.
    #[inline(always)]
    pub fn real(&self, id: RealId) -> &RealStats {
        self.reals.get(id.index()).unwrap_or(&self.nobody.0)
    }
    /// The packets of a real server; for an id out of bounds, counters that nobody reads.
    #[inline(always)]
    pub fn traffic(&self, id: RealId) -> &RealTraffic {
        self.traffic.get(id.index()).unwrap_or(&self.nobody.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_census_tells_what_its_last_whole_pass_found() {
        let (stats, one, two) = (LipStats::new(2), LipId(0), LipId(1));
        let told = |lip| (stats.of(lip).taken, stats.of(lip).fullest);
        stats.found(one, 5);
        stats.found(one, 504);
        assert_eq!(told(one), (0, 0), "the first pass is under way");
        stats.passed();
        assert_eq!((told(one), told(two)), ((509, 504), (0, 0)));
        stats.found(one, 7);
        stats.found(two, 9);
        assert_eq!((told(one), told(two)), ((509, 504), (0, 0)), "the second is under way");
        stats.passed();
        assert_eq!((told(one), told(two)), ((7, 7), (9, 9)));
        // What a pass does not meet has nothing.
        stats.found(two, 9);
        assert_eq!(told(one), (7, 7));
        stats.passed();
        stats.found(LipId(2), 1);
        assert_eq!((told(one), told(two), told(LipId(2))), ((0, 0), (9, 9), (0, 0)));
    }
}
