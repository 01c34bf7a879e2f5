//! The short way, which nearly every packet takes: a plain frame of a live connection, whose state it does not change,
//! towards a next hop that is known. It looks first and writes last: whatever asks for more gives `None`, with nothing
//! changed, and takes the whole way of [`super::serve`], which would have done the same with this packet. Property tests
//! hold the two against each other.

use super::parse::Head;
use crate::addr::PortId;
use crate::conn::state::{State, tcp_next};
use crate::conn::{Conns, flags};
use crate::frame::Buffer;
use crate::mem::Memory;
use crate::shard::Tables;
use crate::time::Tick;
use crate::wire::checksum::{self, Delta};
use crate::wire::tcp::{ACK, FIN, RST, SYN};
use crate::wire::{FromBytes, ethernet, plain};

/// No state.
pub(super) const NONE: u8 = 0xFF;

/// The state of a connection that a plain TCP packet with these flags takes the short way in, because it does not change
/// it; or [`NONE`].
#[inline(always)]
pub(super) fn kept_by_tcp(flags: u8) -> u8 {
    KEPT[usize::from(flags) % KEPT.len()]
}

const KEPT: [u8; 32] = {
    let mut kept = [NONE; 32];
    let mut flags = 0;
    while flags < 32 {
        if flags & (ACK | FIN | RST | SYN) == ACK {
            kept[flags as usize] = State::Established as u8;
        }
        flags += 1;
    }
    kept
};

/// The short way: forwards a packet and gives the port by which it leaves, or does nothing.
#[inline(always)]
pub fn hit<M: Memory, B: Buffer>(
    tables: &Tables<'_>,
    conns: &mut Conns<M>,
    now: Tick,
    buf: &mut B,
    head: &Head,
) -> Option<PortId> {
    let (conn, dir) = conns.confirm(head.candidate, &head.key)?;
    if conn.state() as u8 != head.keeps || conn.has(flags::EXT) {
        return None;
    }
    let hop = tables.hops.hop(conn.next_hops[dir as usize]);
    let egress = tables.egresses.towards(hop);
    let stats = tables.present(conn.real)?;
    if head.ip_len > egress.mtu || head.ttl <= 1 || !tables.is_fresh(conn, now) {
        return None;
    }
    let new = conn.rewritten(dir);
    let bytes = buf.bytes_mut();
    let had = bytes.len();
    let (eth, ip) = if head.keeps == State::Udp as u8 {
        let (f, _) = plain::Udp::mut_from_prefix(bytes).ok()?;
        (f.udp.sport, f.udp.dport) = (new.sport(), new.dport());
        checksum::apply_udp(&mut f.udp.checksum, conn.l4_delta.toward(dir));
        (&mut f.eth, &mut f.ip)
    } else {
        let (f, _) = plain::Tcp::mut_from_prefix(bytes).ok()?;
        (f.tcp.sport, f.tcp.dport) = (new.sport(), new.dport());
        checksum::apply(&mut f.tcp.checksum, conn.l4_delta.toward(dir));
        (&mut f.eth, &mut f.ip)
    };
    eth.set_link(egress.link(hop));
    (ip.src, ip.dst) = (new.src(), new.dst());
    ip.ttl -= 1;
    checksum::apply_both(&mut ip.checksum, conn.ip_delta.toward(dir), Delta::TTL_DOWN);
    // Padding ends here, as in `output::send`.
    let len = ethernet::LEN + usize::from(head.ip_len);
    if had != len {
        let start = buf.frame().head;
        buf.commit(start, len as u16);
    }
    conn.last_seen = now;
    stats.packet(dir, head.ip_len);
    Some(egress.port)
}

// What the short way takes for no change of state is none.
const _: () = assert!(
    matches!(tcp_next(State::Established, crate::addr::Dir::In, ACK), State::Established)
        && matches!(tcp_next(State::Established, crate::addr::Dir::Out, ACK), State::Established)
);
