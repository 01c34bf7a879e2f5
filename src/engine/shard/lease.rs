//! A local port for a new connection, and what it takes for a server to accept it at once although it may hold an older
//! connection of the same tuple in TIME_WAIT.
//!
//! A port whose server takes this SYN as it is goes before one that needs its sequence numbers raised.

use super::{Forget, Opening, Shard, Shared};
use crate::addr::{Be16, ConnId, Dir, Family, Proto};
use crate::conn::flags;
use crate::conn::tuple::Tuple;
use crate::laddr::{Lease, LeaseId, NoPort, Origin, Want};
use crate::mem::Memory;
use crate::snapshot::{Lip, Settings, SynTimestamps};
use crate::steer::Steer;
use crate::time::Tick;
use crate::verdict::DropReason;

/// Ports that are passed over for one that needs no raised sequence numbers, at most.
const CHOOSY: u32 = 12;

impl<M: Memory> Shard<M> {
    /// Takes a local port: a free one, a quarantined one, or that of a connection that gives it up.
    pub(super) fn lease(
        &mut self,
        shared: &Shared,
        now: Tick,
        what: &Opening<'_>,
        forget: &mut dyn FnMut(Forget),
    ) -> Result<Lease, DropReason> {
        let real = what.real;
        let want = Want {
            endpoint: real.endpoint,
            rip: real.addr,
            rport: real.port,
            pool: what.service.pool(real),
            class: what.class,
            start: self.random.next() as u32,
        };
        let lease = match self.take(&shared.steer, now, &want, what) {
            Ok(lease) => lease,
            Err(NoPort::NoMemory) => return Err(DropReason::PortMemory),
            Err(NoPort::Exhausted) => {
                self.give_up(shared, now, &want, what, forget)?;
                return self.take(&shared.steer, now, &want, what).map_err(|_| DropReason::PortsExhausted);
            }
        };
        let stats = &self.stats.lcore;
        stats.ports_other_class.add(u64::from(lease.other_class));
        stats.ports_unlisted.add(u64::from(lease.id == LeaseId::UNLISTED));
        stats.ports_from_quarantine.add(u64::from(lease.from == Origin::Quarantine));
        Ok(lease)
    }

    fn take(&mut self, steer: &Steer, now: Tick, want: &Want<'_>, what: &Opening<'_>) -> Result<Lease, NoPort> {
        let (conns, recent) = (&self.conns, &self.recent);
        let proto = what.client.proto();
        let reply = |lip: Lip, lport: Be16| conns.key(&Tuple::new(want.rip, lip.addr, want.rport, lport, proto));
        let unused = |_, lip: Lip, lport: Be16| !conns.exists(&reply(lip, lport));
        if proto == Proto::Udp {
            return self.ports.take(steer, want, now, unused);
        }
        let mut passed_over = 0;
        let taken = self.ports.take(steer, want, now, |_, lip, lport| {
            let key = reply(lip, lport);
            let hash = conns.hash(&key);
            let old = || recent.recall(hash, now).is_some_and(|expected| !is_after(what.seq, expected));
            if passed_over < CHOOSY && old() {
                passed_over += 1;
                return false;
            }
            conns.find(hash, &key).is_none()
        });
        match taken {
            Err(NoPort::Exhausted | NoPort::NoMemory) if passed_over > 0 => self.ports.take(steer, want, now, unused),
            taken => taken,
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
    pub(super) fn warm(&mut self, settings: &Settings, now: Tick, id: ConnId, seq: u32) {
        let known = self.recent.recall(self.conns.reply_hash(id), now);
        let hide = match settings.syn_timestamps {
            SynTimestamps::Keep => false,
            SynTimestamps::Hot => known.is_some(),
            SynTimestamps::Strip => true,
        };
        if hide {
            self.conns.conn_mut(id).flags |= flags::HIDE_TS;
        }
        let Some(expected) = known.filter(|_| settings.raise_sequence) else { return };
        if is_after(seq, expected) {
            return;
        }
        if let Some(seat) = self.exts.take(expected.wrapping_add(1).wrapping_sub(seq)) {
            let conn = self.conns.conn_mut(id);
            conn.ext = seat;
            conn.flags = conn.flags & !flags::NEXT_SEQ | flags::EXT;
            self.stats.lcore.sequence_raised.add(1);
        }
    }
}

/// Does a server that expects `expected` take `seq` for new (RFC 9293, 3.4)?
pub(super) fn is_after(seq: u32, expected: u32) -> bool {
    seq.wrapping_sub(expected) as i32 > 0
}
