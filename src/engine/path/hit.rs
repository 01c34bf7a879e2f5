//! The short way, which nearly every packet takes: a plain frame of a live connection, whose state it does not change,
//! towards a next hop that is known. It looks first and writes last: whatever asks for more gives `None`, with nothing
//! changed, and takes the whole way of [`super::serve`], which would have done the same with this packet. Property tests
//! hold the two against each other.

use super::parse::Head;
use crate::addr::{Dir, Proto};
use crate::conn::flags;
use crate::conn::state::{State, tcp_next};
use crate::frame::Frame;
use crate::mem::Memory;
use crate::neighbor::NudState;
use crate::shard::Shard;
use crate::snapshot::RealState;
use crate::time::Tick;
use crate::verdict::Verdict;
use crate::wire::checksum::{self, Delta};
use crate::wire::tcp::{FIN, SYN};
use crate::wire::{FromBytes, ethernet, plain};

/// Forwards a packet, or does nothing.
#[inline(always)]
pub(super) fn forward<M: Memory>(
    shard: &mut Shard<M>,
    now: Tick,
    frame: &mut Frame<'_>,
    head: &Head,
) -> Option<Verdict> {
    let Shard { conns, snapshot, neighbors, stats, .. } = shard;
    let (conn, dir) = conns.confirm(head.candidate, &head.key)?;
    let tcp = head.key.proto() == Proto::Tcp;
    let next = if tcp { tcp_next(conn.state(), dir, head.flags) } else { State::Udp };
    let timeouts = snapshot.profiles.get(usize::from(conn.profile))?;
    let cell = neighbors.cell(conn.next_hops[dir as usize]);
    let iface = snapshot.iface(cell.iface)?;
    let unusual = !head.plain
        || next != conn.state()
        || head.flags & (FIN | SYN) != 0
        || conn.has(flags::EXT)
        || now.reached(conn.last_seen + timeouts.of(conn.state()))
        || snapshot.real(conn.real) != RealState::Present
        || cell.state != NudState::Reachable
        || iface.vlan != 0
        || head.ip_len > iface.mtu
        || head.ttl <= 1
        || frame.meta.csum_unfinished;
    if unusual {
        return None;
    }
    let new = conn.rewritten(dir);
    let (ip_delta, l4_delta) = match dir {
        Dir::In => (conn.ip_delta, conn.l4_delta),
        Dir::Out => (conn.ip_delta.inverse(), conn.l4_delta.inverse()),
    };
    let bytes = frame.bytes_mut();
    let (eth, ip) = if tcp {
        let (f, _) = plain::Tcp::mut_from_prefix(bytes).ok()?;
        (f.tcp.sport, f.tcp.dport) = (new.sport(), new.dport());
        checksum::apply(&mut f.tcp.checksum, l4_delta);
        (&mut f.eth, &mut f.ip)
    } else {
        let (f, _) = plain::Udp::mut_from_prefix(bytes).ok()?;
        (f.udp.sport, f.udp.dport) = (new.sport(), new.dport());
        checksum::apply_udp(&mut f.udp.checksum, l4_delta);
        (&mut f.eth, &mut f.ip)
    };
    (eth.dst, eth.src) = (cell.mac, iface.mac);
    (ip.src, ip.dst) = (new.src(), new.dst());
    ip.ttl -= 1;
    checksum::apply(&mut ip.checksum, ip_delta.then(Delta::TTL_DOWN));
    // Padding ends here, as in `output::send`.
    frame.len = ethernet::LEN as u16 + head.ip_len;
    frame.pkt_len = u32::from(frame.len);
    conn.last_seen = now;
    stats.real(conn.real).packet(dir, head.ip_len);
    Some(Verdict::Tx(iface.port))
}
