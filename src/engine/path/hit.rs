//! The short way, which nearly every packet takes: a plain frame of a live connection, whose state it does not change,
//! towards a next hop that is known. It looks first and writes last: whatever asks for more gives `None`, with nothing
//! changed, and takes the whole way of [`super::serve`], which would have done the same with this packet. Property tests
//! hold the two against each other.

use super::parse::Head;
use crate::addr::{Dir, PortId};
use crate::conn::flags;
use crate::conn::state::{State, tcp_next};
use crate::frame::Buffer;
use crate::mem::Memory;
use crate::shard::{Shard, Shared};
use crate::snapshot::RealState;
use crate::time::Tick;
use crate::wire::checksum::{self, Delta};
use crate::wire::tcp::{ACK, FIN, RST, SYN};
use crate::wire::{FromBytes, ethernet, plain};

/// The short way: forwards a packet and gives the port by which it leaves, or does nothing.
#[inline(always)]
pub fn hit<M: Memory, B: Buffer>(
    shared: &Shared,
    shard: &mut Shard<M>,
    now: Tick,
    buf: &mut B,
    head: &Head,
) -> Option<PortId> {
    let Shard { conns, stats, .. } = shard;
    let (snapshot, neighbors) = (shared.snapshot(), &shared.neighbors);
    let (conn, dir) = conns.confirm(head.candidate, &head.key)?;
    let tcp = match conn.state() {
        State::Established if head.flags & (ACK | FIN | RST | SYN) == ACK => true,
        State::Udp => false,
        _ => return None,
    };
    let (mac, iface) = neighbors.reachable(conn.next_hops[dir as usize])?;
    let iface = snapshot.iface(iface)?;
    let unusual = !head.plain
        || conn.has(flags::EXT | flags::WIDE)
        || !shared.is_fresh(conn, now)
        || snapshot.real(conn.real) != RealState::Present
        || iface.vlan != 0
        || head.ip_len > iface.mtu
        || head.ttl <= 1;
    if unusual {
        return None;
    }
    let new = conn.rewritten(dir);
    let bytes = buf.bytes_mut();
    let had = bytes.len();
    let (eth, ip) = if tcp {
        let (f, _) = plain::Tcp::mut_from_prefix(bytes).ok()?;
        (f.tcp.sport, f.tcp.dport) = (new.sport(), new.dport());
        checksum::apply(&mut f.tcp.checksum, conn.l4_delta.toward(dir));
        (&mut f.eth, &mut f.ip)
    } else {
        let (f, _) = plain::Udp::mut_from_prefix(bytes).ok()?;
        (f.udp.sport, f.udp.dport) = (new.sport(), new.dport());
        checksum::apply_udp(&mut f.udp.checksum, conn.l4_delta.toward(dir));
        (&mut f.eth, &mut f.ip)
    };
    eth.dst = mac;
    eth.src = iface.mac;
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
    stats.real(conn.real).packet(dir, head.ip_len);
    Some(iface.port)
}

// What the short way takes for no change of state is none.
const _: () = assert!(
    matches!(tcp_next(State::Established, Dir::In, ACK), State::Established)
        && matches!(tcp_next(State::Established, Dir::Out, ACK), State::Established)
);
