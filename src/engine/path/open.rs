//! A packet of no connection: the slow path. In order: is it at home here, is it for us, is there a service, may it open,
//! who serves it, and from which local port.

use super::lookup;
use super::parse::{Head, Kind};
use super::reset;
use crate::addr::{Be32, Class, ConnId, Dir, Family, LcoreId, Proto};
use crate::conn::Candidate;
use crate::conn::tuple::Tuple;
use crate::frame::{Emit, Frame};
use crate::mem::Memory;
use crate::shard::{Opening, Shard, Shared};
use crate::snapshot::LocalKind;
use crate::time::Tick;
use crate::verdict::{DropReason, Exit, PuntReason};
use crate::wire::{FromBytes, tcp};

/// Loads what it takes to open connections for those packets of a burst that ask for one. Buckets of their own tuples should
/// be in the cache.
#[inline(never)]
pub(super) fn expect<M: Memory>(shared: &Shared, shard: &Shard<M>, heads: &mut [Head]) {
    let mut opening = 0;
    for head in heads.iter_mut().filter(|head| head.candidate == Candidate::NONE) {
        let asks = head.key.proto() == Proto::Udp || lookup::opens(head.flags);
        if !asks || head.kind != Kind::Flow || head.key.family() == Family::V6 {
            continue;
        }
        let client = head.key.tuple4();
        match shared.snapshot().service(&client) {
            Some(service) => {
                shard.expect(shared, opening, &client, service);
                opening += 1;
            }
            None => head.candidate = Candidate::UNSERVED,
        }
    }
}

/// Opens a connection for a packet, or says where the packet goes instead.
pub(super) fn miss<M: Memory>(
    shared: &Shared,
    shard: &mut Shard<M>,
    now: Tick,
    frame: &Frame<'_>,
    head: &Head,
    emit: &mut Emit<'_>,
) -> Result<(ConnId, Dir), Exit> {
    let client = head.tuple(frame.bytes());
    // With one lcore everything is at home, and only what is opened needs its class.
    let class = if shared.steer.lcores() > 1 { Some(home(shared, shard, frame, &client)?) } else { None };
    let snapshot = shared.snapshot();
    let service = if head.candidate == Candidate::UNSERVED { None } else { snapshot.service(&client) };
    if service.is_none() {
        match snapshot.local(client.dst()).map(|l| l.kind) {
            Some(LocalKind::Vip | LocalKind::Own) => {}
            Some(LocalKind::Lip(_)) => return Err(DropReason::LipNoConnection.into()),
            None => return Err(DropReason::NotLocal.into()),
        }
    }
    if snapshot.local(client.src()).is_some() {
        return Err(DropReason::MartianSource.into());
    }
    let Some(service) = service else {
        return Err(PuntReason::NoService.into());
    };
    if client.proto() == Proto::Tcp && !lookup::opens(head.flags) {
        return Err(DropReason::TcpNoConnection.into());
    }
    if !shard.accepting {
        return Err(DropReason::Stopping.into());
    }
    if head.ttl <= 1 {
        return Err(PuntReason::TtlExceeded.into());
    }
    let real = shard.schedule(service).and_then(|i| service.reals.get(i)).ok_or(PuntReason::NoServer)?;
    let class = class.unwrap_or_else(|| shared.class_of(&client));
    let (to_client, to_server) = (shared.next_hop(client.src())?, shared.next_hop(real.addr)?);
    let seq = sequence(frame, head).host();
    let what = Opening { client, class, service, real, next_hops: [to_server, to_client], seq };
    let id = shard.open(shared, now, &what, &mut |forget| reset::forget(shared, &forget, emit))?;
    Ok((id, Dir::In))
}

/// The class of a tuple that is at home on this lcore; any other goes there, once. Computed here: no port is taken on the
/// word of a card.
pub(super) fn home<M: Memory>(
    shared: &Shared,
    shard: &Shard<M>,
    frame: &Frame<'_>,
    tuple: &Tuple,
) -> Result<Class, Exit> {
    let class = shared.class_of(tuple);
    let owner: LcoreId = shared.steer.owner(class);
    if owner == shard.id {
        Ok(class)
    } else if frame.meta.redirected {
        Err(DropReason::NotHome.into())
    } else {
        Err(Exit::Redirect(owner))
    }
}

fn sequence(frame: &Frame<'_>, head: &Head) -> Be32 {
    if head.key.proto() == Proto::Udp {
        return Be32::default();
    }
    tcp::Header::ref_from_prefix(frame.bytes().get(head.l4()..).unwrap_or(&[])).map_or(Be32::default(), |(t, _)| t.seq)
}
