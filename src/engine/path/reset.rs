//! RSTs that we send on our own: to both sides of a connection whose server was removed, and to a server whose half-open
//! connection gave up its port.

use super::parse::Head;
use crate::addr::{ConnId, Dir, NeighborId};
use crate::conn::flags;
use crate::conn::tuple::Tuple;
use crate::frame::{Emit, Frame};
use crate::local::write::{self, Tcp};
use crate::mem::Memory;
use crate::neighbor::NudState;
use crate::shard::{Forget, Shard, Shared};
use crate::verdict::Verdict;
use crate::wire::tcp::{ACK, FIN, RST, SYN};
use crate::wire::{FromBytes, tcp};

/// Tells client and server that their connection is over, in answer to a packet of either (RFC 9293, 3.5.2). A client
/// whose packet `opens` a new connection is not told: it would take the RST for the answer to its SYN. False when there
/// was no spare frame for one of them.
pub(super) fn both_sides<M: Memory>(
    shared: &Shared,
    shard: &Shard<M>,
    (id, dir): (ConnId, Dir),
    frame: &Frame<'_>,
    head: &Head,
    opens: bool,
    emit: &mut Emit<'_>,
) -> bool {
    let Some(segment) = frame.bytes().get(head.l4()..) else { return false };
    let Ok((tcp, _)) = tcp::Header::ref_from_prefix(segment) else { return false };
    let conn = shard.conns.conn(id);
    let delta = conn.has(flags::EXT).then(|| shard.exts.ext(conn.ext)).flatten().map_or(0, |e| e.delta);
    // The numbers of the other side differ from the sender's by `delta`.
    let (seq_shift, ack_shift) = match dir {
        Dir::In => (delta, 0),
        Dir::Out => (0, delta.wrapping_neg()),
    };
    let (seq, ack) = (tcp.seq.host(), tcp.ack.host());
    let payload = usize::from(head.ip_len).saturating_sub(usize::from(head.ihl) + tcp.header_len()) as u32;
    let next = seq.wrapping_add(payload + u32::from(tcp.has(SYN)) + u32::from(tcp.has(FIN)));
    let to_sender =
        if tcp.has(ACK) { Tcp { seq: ack, ack: 0, flags: RST } } else { Tcp { seq: 0, ack: next, flags: RST | ACK } };
    let ack_flag = if tcp.has(ACK) { ACK } else { 0 };
    let on = Tcp { seq: seq.wrapping_add(seq_shift), ack: ack.wrapping_add(ack_shift), flags: RST | ack_flag };
    let back = match dir {
        Dir::In => Dir::Out,
        Dir::Out => Dir::In,
    };
    let on = send(shared, &shard.conns.rewritten(id, dir), on, conn.next_hops[dir as usize], emit);
    on && (opens || send(shared, &head.tuple(frame.bytes()).reversed(), to_sender, conn.next_hops[back as usize], emit))
}

/// Makes a server forget a half-open connection. Goes out before the packet that is being worked on.
pub(super) fn forget(shared: &Shared, what: &Forget, emit: &mut Emit<'_>) {
    emit.before(|emit| {
        send(shared, &what.tuple, Tcp { seq: what.seq, ack: 0, flags: RST }, what.hop, emit);
    });
}

fn send(shared: &Shared, key: &Tuple, tcp: Tcp, hop: NeighborId, emit: &mut Emit<'_>) -> bool {
    let cell = shared.neighbors.cell(hop);
    let Some(iface) = shared.snapshot().iface(cell.iface) else { return false };
    let l2 = write::L2 { dst: cell.mac, src: iface.mac, vlan: iface.vlan };
    let verdict = if cell.state == NudState::Reachable { Verdict::Tx(iface.port) } else { Verdict::Hold(hop) };
    emit.write(write::tcp_len(&l2, key.family()), |bytes| {
        write::tcp(bytes, &l2, key, &tcp);
        verdict
    })
}
