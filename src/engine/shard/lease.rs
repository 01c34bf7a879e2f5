//! A local port for a new connection, and what it takes for a server to accept it at once although it may hold an older
//! connection of the same tuple in TIME_WAIT.
//!
//! A port whose server takes this SYN as it is goes before one that needs its sequence numbers raised.

use super::open::want;
use super::{Forget, Opening, Shard, Shared};
use crate::addr::{Addr, ConnId, Dir, Family, Proto};
use crate::conn::key::Key;
use crate::conn::reuse::NextSeq;
use crate::conn::tuple::Tuple;
use crate::conn::{Conns, flags};
use crate::laddr::{Lease, LeaseId, NoPort, Origin, Want, Word};
use crate::mem::Memory;
use crate::snapshot::{Settings, SynTimestamps};
use crate::steer::Steer;
use crate::time::Tick;
use crate::verdict::DropReason;

/// Ports that are passed over for one that needs no raised sequence numbers, at most.
const CHOOSY: u32 = 12;

/// A local port, and what was found out about it.
pub(super) struct Leased {
    pub(super) id: LeaseId,
    pub(super) lip: Addr,
    /// Of the server's packets, and its hash.
    pub(super) key: Key,
    pub(super) hash: u64,
    /// What the server may still expect from an older connection of this tuple.
    pub(super) expected: Option<NextSeq>,
}

impl<M: Memory> Shard<M> {
    /// Takes a local port: a free one, a quarantined one, or that of a connection that gives it up.
    pub(super) fn lease(
        &mut self,
        shared: &Shared,
        now: Tick,
        what: &Opening<'_>,
        forget: &mut dyn FnMut(Forget),
    ) -> Result<Leased, DropReason> {
        let want = want(what.real, what.service, what.class, self.random.next());
        let (lease, leased) = match self.take(&shared.steer, now, &want, what) {
            Ok(both) => both,
            Err(NoPort::NoMemory) => return Err(DropReason::PortMemory),
            Err(NoPort::Exhausted) => {
                self.give_up(shared, now, &want, what, forget)?;
                let taken = self.take(&shared.steer, now, &want, what).map_err(|_| DropReason::PortsExhausted);
                return taken.map(|(_, leased)| leased);
            }
        };
        let stats = &self.stats.lcore;
        if leased.id.is_unlisted() {
            stats.ports_unlisted.add(1);
        } else if lease.other_class || lease.from == Origin::Quarantine {
            stats.ports_other_class.add(u64::from(lease.other_class));
            stats.ports_from_quarantine.add(u64::from(lease.from == Origin::Quarantine));
        }
        Ok(leased)
    }

    fn take(
        &mut self,
        steer: &Steer,
        now: Tick,
        want: &Want<'_>,
        what: &Opening<'_>,
    ) -> Result<(Lease, Leased), NoPort> {
        let (conns, recent) = (&mut self.conns, &self.recent);
        let proto = what.client.proto();
        let tcp = proto == Proto::Tcp;
        let mut choosy = CHOOSY;
        let (mut key, mut hash, mut expected) = (Key::EMPTY, 0, None);
        loop {
            let mut passed_over = 0;
            let taken = self.ports.take(steer, want, now, |id, lip, lport| {
                key = conns.key(&Tuple::new(want.rip, lip.addr, want.rport, lport, proto));
                hash = conns.hash(&key);
                expected = if tcp { recent.recall(hash, now) } else { None };
                // An unlisted port had no quarantine: one that is remembered at all rests.
                let hot = |expected: NextSeq| id.is_unlisted() || !expected.is_before(what.seq);
                if passed_over < choosy && expected.is_some_and(hot) {
                    passed_over += 1;
                    return Word::Refused;
                }
                unused(conns, id, hash, &key)
            });
            match taken {
                Err(_) if passed_over > 0 => choosy = 0,
                taken => {
                    return taken
                        .map(|lease| (lease, Leased { id: lease.id, lip: lease.lip.addr, key, hash, expected }));
                }
            }
        }
    }

    /// Ends the connection that gives up its port.
    fn give_up(
        &mut self,
        shared: &Shared,
        now: Tick,
        want: &Want<'_>,
        what: &Opening<'_>,
        forget: &mut dyn FnMut(Forget),
    ) -> Result<(), DropReason> {
        let proto = what.client.proto();
        let victim = self.press(&shared.steer, want, proto, what.seq).ok_or(DropReason::PortsExhausted)?;
        let stats = &self.stats.lcore;
        let half_open = self.conns.conn(victim).state().is_half_open();
        if half_open { &stats.ports_from_half_open } else { &stats.ports_from_closing }.add(1);
        self.end(now, victim, forget);
        Ok(())
    }

    /// Ends the connection that gives up its seat in a full table.
    pub(super) fn give_up_seat(
        &mut self,
        now: Tick,
        client: Family,
        forget: &mut dyn FnMut(Forget),
    ) -> Result<(), DropReason> {
        let victim = self.press_seat(client).ok_or(DropReason::TableFull)?;
        let stats = &self.stats.lcore;
        let half_open = self.conns.conn(victim).state().is_half_open();
        if half_open { &stats.seats_from_half_open } else { &stats.seats_from_closing }.add(1);
        self.end(now, victim, forget);
        Ok(())
    }

    /// Ends a connection before its time; the server of a half-open one is to forget it.
    fn end(&mut self, now: Tick, victim: ConnId, forget: &mut dyn FnMut(Forget)) {
        let conn = *self.conns.conn(victim);
        if conn.state().is_half_open() && conn.has(flags::NEXT_SEQ) {
            forget(Forget {
                tuple: self.conns.rewritten(victim, Dir::In),
                hop: conn.next_hops[Dir::In as usize],
                seq: conn.ext,
            });
        }
        self.close(now, victim);
    }

    /// Makes the server take a SYN although it may hold an older connection of the same tuple in TIME_WAIT.
    #[inline(always)]
    pub(super) fn warm(&mut self, settings: &Settings, id: ConnId, seq: u32, known: Option<NextSeq>) {
        let hide = match settings.syn_timestamps {
            SynTimestamps::Keep => false,
            SynTimestamps::Hot => known.is_some(),
            SynTimestamps::Strip => true,
        };
        if hide {
            self.conns.conn_mut(id).flags |= flags::HIDE_TS;
        }
        let Some(expected) = known.filter(|_| settings.raise_sequence) else { return };
        if expected.is_before(seq) {
            return;
        }
        if let Some(seat) = self.exts.take(expected.successor().wrapping_sub(seq)) {
            let conn = self.conns.conn_mut(id);
            conn.ext = seat;
            conn.flags = conn.flags & !flags::NEXT_SEQ | flags::EXT;
            self.stats.lcore.sequence_raised.add(1);
        }
    }
}

/// Whether nobody has a local port. A connection that has it unlisted has it by the offered id from now on.
#[inline(always)]
fn unused<M: Memory>(conns: &mut Conns<M>, offered: LeaseId, hash: u64, reply: &Key) -> Word {
    let Some((other, dir)) = conns.find(hash, reply) else { return Word::Good };
    let other = conns.conn_mut(other);
    if dir == Dir::In || offered.is_unlisted() || !other.lease.is_unlisted() {
        return Word::Refused;
    }
    other.lease = offered;
    Word::Listed
}
