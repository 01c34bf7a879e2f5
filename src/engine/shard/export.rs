//! Connections as records: to list them, to hand them to another node, to carry them over a restart.

use super::open::fill_deltas;
use super::{Shard, Shared};
use crate::addr::{ConnId, Dir, Proto};
use crate::conn::record::{Cursor, Record, Refused};
use crate::conn::state::State;
use crate::conn::tuple::Tuple;
use crate::conn::{NoSeat, flags};
use crate::laddr::{AdoptError, Release};
use crate::mem::Memory;
use crate::snapshot::{Lip, LocalKind};
use crate::time::Tick;

impl<M: Memory> Shard<M> {
    /// Calls `each` with live connections from `cursor` on, for at most `budget` seats. Gives where to go on, or `None`
    /// at the end. A connection that lives through the whole export is seen exactly once.
    pub fn export(
        &self,
        shared: &Shared,
        now: Tick,
        cursor: Cursor,
        budget: usize,
        mut each: impl FnMut(Record),
    ) -> Option<Cursor> {
        let mut from = cursor.0 as usize;
        for _ in 0..budget {
            let id = self.conns.next_live(from)?;
            from = id.index() + 1;
            if let Some(record) = self.record(shared, now, id) {
                each(record);
            }
        }
        Some(Cursor(from as u32))
    }

    fn record(&self, shared: &Shared, now: Tick, id: ConnId) -> Option<Record> {
        let conn = self.conns.conn(id);
        let deadline = shared.deadline(conn);
        if now.reached(deadline) {
            return None;
        }
        let ext = conn.has(flags::EXT).then(|| self.exts.ext(conn.ext)).flatten();
        let next = conn.has(flags::NEXT_SEQ).then_some(conn.ext);
        Some(Record {
            client: self.conns.tuple(id, Dir::In),
            reply: self.conns.tuple(id, Dir::Out),
            real: conn.real,
            state: conn.state(),
            remaining: deadline.since(now),
            seq_delta: ext.map_or(0, |e| e.delta),
            fin_seq: ext.filter(|e| e.fin != 0).map(|e| e.next_seq).or(next),
        })
    }

    /// Ends a connection, by the tuple of its client's packets; the next packet of either side finds none. False when there
    /// is none.
    pub fn end_of(&mut self, now: Tick, client: &Tuple) -> bool {
        match self.conns.find_tuple(client) {
            Some((id, Dir::In)) => {
                self.close(now, id);
                true
            }
            Some((_, Dir::Out)) | None => false,
        }
    }

    /// Goes on with a connection, with its very local port and remaining time.
    pub fn adopt(&mut self, shared: &Shared, now: Tick, r: &Record) -> Result<ConnId, Refused> {
        let class = shared.class_of(&r.client);
        if shared.steer.owner(class) != self.id {
            return Err(Refused::NotHome);
        }
        let proto = r.client.proto();
        let snapshot = shared.snapshot();
        let service = snapshot.service(&r.client).ok_or(Refused::Unknown)?;
        let real = service.reals.iter().find(|x| x.id == r.real).ok_or(Refused::Unknown)?;
        let lip = match snapshot.local(r.reply.dst()).map(|l| l.kind) {
            Some(LocalKind::Lip(id)) => Lip { id, addr: r.reply.dst() },
            Some(LocalKind::Vip | LocalKind::Own) | None => return Err(Refused::Unknown),
        };
        if (real.addr, real.port) != (r.reply.src(), r.reply.sport()) || r.state == State::None {
            return Err(Refused::Unknown);
        }
        if r.seq_delta != 0 && self.exts.is_full() {
            return Err(Refused::Full);
        }
        let hop = |addr| shared.next_hop(addr).map_err(|_| Refused::NoRoute);
        let next_hops = [hop(real.addr)?, hop(r.client.src())?];
        let lease = self
            .ports
            .adopt(&shared.steer, real.endpoint, real.addr, real.port, lip, r.reply.dport(), now)
            .map_err(|e| match e {
                AdoptError::Taken | AdoptError::Reserved => Refused::Taken,
                AdoptError::Elsewhere => Refused::NotHome,
            })?;
        let id = self.conns.insert([r.client, r.reply]).map_err(|e| {
            self.ports.give_back(lease, Release::Free, now);
            if e == NoSeat::Full { Refused::Full } else { Refused::Taken }
        })?;
        let ext = if r.seq_delta != 0 { self.exts.take(r.seq_delta) } else { None };
        let conn = self.conns.conn_mut(id);
        fill_deltas(conn, &[r.client, r.reply]);
        conn.real = real.id;
        conn.profile = service.profile;
        conn.next_hops = next_hops;
        conn.lease = lease;
        if service.mss_clamp.is_some() {
            conn.flags |= flags::CLAMP;
        }
        if let Some(seat) = ext {
            conn.ext = seat;
            conn.flags |= flags::EXT;
            if let (Some(next), Some(e)) = (r.fin_seq, self.exts.ext_mut(seat)) {
                (e.next_seq, e.fin) = (next, 1);
            }
        } else if let (Proto::Tcp, Some(next)) = (proto, r.fin_seq) {
            conn.ext = next;
            conn.flags |= flags::NEXT_SEQ;
        }
        if !self.begin(shared, now, id, r.state) {
            return Err(Refused::Full);
        }
        // As if its last packet had come so long ago that just this much remains.
        let idle = shared.deadline(self.conns.conn(id)).since(now + r.remaining);
        self.conns.conn_mut(id).last_seen = now - idle;
        self.file(shared, id);
        Ok(id)
    }
}
