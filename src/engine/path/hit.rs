//! The short way, which nearly every packet takes: a plain frame of a live connection, whose state it does not change,
//! towards a next hop that is known. It looks first and writes last: whatever asks for more gives `None`, with nothing
//! changed, and takes the whole way of [`super::serve`], which would have done the same with this packet. Property tests
//! hold the two against each other.

use super::parse::Head;
use crate::addr::{ConnId, Dir, PortId};
use crate::conn::state::{State, tcp_next};
use crate::conn::{Conn, Conns, Table, flags};
use crate::egress::Egress;
use crate::frame::{Buffer, Frame};
use crate::mem::Memory;
use crate::neighbor::Hop;
use crate::shard::Tables;
use crate::stats::RealTraffic;
use crate::time::Tick;
use crate::wire::checksum::{self, Delta};
use crate::wire::tcp::{ACK, FIN, RST, SYN};
use crate::wire::{FromBytes, ethernet, plain};

/// No state.
pub(super) const NONE: u8 = 0xFF;
/// No state of a connection that is there: a plain SYN, which may take the way of [`opened`].
pub(super) const OPENS: u8 = 0xFE;
/// No state either: any other plain packet, which takes the way of [`super::step`] at best. The lowest of the three.
const STEPS: u8 = 0xFD;

/// The state of a connection that a plain TCP packet with these flags takes the short way in, because it does not change
/// it; or [`NONE`].
#[inline(always)]
pub(super) fn kept_by_tcp(flags: u8) -> u8 {
    KEPT[usize::from(flags) % KEPT.len()]
}

const KEPT: [u8; 32] = {
    let mut kept = [STEPS; 32];
    let mut flags = 0;
    while flags < 32 {
        kept[flags as usize] = match flags & (ACK | FIN | RST | SYN) {
            ACK => State::Established as u8,
            SYN => OPENS,
            _ => STEPS,
        };
        flags += 1;
    }
    kept
};

/// False for a packet that surely does not take the short way.
#[inline(always)]
pub fn may_hit(head: &Head) -> bool {
    head.keeps < STEPS
}

/// The short way: forwards a packet and gives the port by which it leaves, or does nothing.
#[inline(always)]
pub fn hit<B: Buffer>(
    tables: &Tables<'_>,
    conns: &mut Table<'_>,
    now: Tick,
    buf: &mut B,
    head: &Head,
) -> Option<PortId> {
    let (conn, dir) = conns.confirm(head.candidate, &head.key)?;
    if conn.state() as u8 != head.keeps || conn.has(flags::EXT | flags::WIDE) {
        return None;
    }
    let way = Way::of(tables, conn, dir, head)?;
    if !tables.is_fresh(conn, now) {
        return None;
    }
    let bytes = buf.bytes_mut();
    let had = bytes.len();
    way.rewrite(conn, dir, bytes, head)?;
    // Padding ends here, as in `output::send`.
    let len = ethernet::LEN + usize::from(head.ip_len);
    if had != len {
        let start = buf.frame().head;
        buf.commit(start, len as u16);
    }
    conn.last_seen = now;
    way.traffic.packet(dir, head.ip_len);
    Some(way.egress.port)
}

/// Forwards the packet that opened a connection, when both ask for nothing special; or does nothing.
#[inline(always)]
pub(super) fn opened<M: Memory>(
    tables: &Tables<'_>,
    conns: &Conns<M>,
    id: ConnId,
    frame: &mut Frame<'_>,
    head: &Head,
) -> Option<PortId> {
    let conn = conns.conn(id);
    if head.keeps == NONE || conn.has(flags::SPECIAL) {
        return None;
    }
    let way = Way::of(tables, conn, Dir::In, head)?;
    way.rewrite(conn, Dir::In, frame.bytes_mut(), head)?;
    way.traffic.packet(Dir::In, head.ip_len);
    frame.len = ethernet::LEN as u16 + head.ip_len;
    frame.pkt_len = u32::from(frame.len);
    Some(way.egress.port)
}

/// The way out of a plain packet.
pub(super) struct Way<'a> {
    hop: Hop,
    pub(super) egress: &'a Egress,
    pub(super) traffic: &'a RealTraffic,
}

impl<'a> Way<'a> {
    /// `None` for a packet that can not leave as it is.
    #[inline(always)]
    pub(super) fn of(tables: &Tables<'a>, conn: &Conn, dir: Dir, head: &Head) -> Option<Way<'a>> {
        let hop = tables.hops.hop(conn.next_hops[dir as usize]);
        let egress = tables.egresses.towards(hop);
        let traffic = tables.present(conn.real)?;
        (head.ip_len <= egress.mtu && head.ttl > 1).then_some(Way { hop, egress, traffic })
    }

    /// Rewrites a packet.
    #[inline(always)]
    pub(super) fn rewrite(&self, conn: &Conn, dir: Dir, bytes: &mut [u8], head: &Head) -> Option<()> {
        let l4_delta = conn.l4_delta.toward(dir);
        if head.keeps == State::Udp as u8 {
            let (f, _) = plain::Udp::mut_from_prefix(bytes).ok()?;
            checksum::apply_udp(&mut f.udp.checksum, l4_delta);
        } else {
            let (f, _) = plain::Tcp::mut_from_prefix(bytes).ok()?;
            checksum::apply(&mut f.tcp.checksum, l4_delta);
        }
        // The part that both have in common.
        let (f, _) = plain::Udp::mut_from_prefix(bytes).ok()?;
        let new = conn.rewritten(dir);
        (f.udp.sport, f.udp.dport) = (new.sport(), new.dport());
        f.eth.set_link(self.egress.link(self.hop));
        (f.ip.src, f.ip.dst) = (new.src(), new.dst());
        f.ip.ttl -= 1;
        checksum::apply_both(&mut f.ip.checksum, conn.ip_delta.toward(dir), Delta::TTL_DOWN);
        Some(())
    }
}

// What the short way takes for no change of state is none.
const _: () = assert!(
    matches!(tcp_next(State::Established, crate::addr::Dir::In, ACK), State::Established)
        && matches!(tcp_next(State::Established, crate::addr::Dir::Out, ACK), State::Established)
);
