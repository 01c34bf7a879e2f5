//! A packet of no connection: the slow path. In order: is it at home here, is it for us, is there a service, may it open,
//! who serves it, and from which local port.

use super::lookup;
use super::parse::{self, Head, Kind};
use super::reset;
use crate::addr::{Addr, Be32, Class, ConnId, Dir, Family, LcoreId, Proto};
use crate::conn::Candidate;
use crate::conn::tuple::Tuple;
use crate::frame::{BURST, Emit, Frame};
use crate::mem::Memory;
use crate::shard::{Expected, Opening, Shard, Shared};
use crate::snapshot::{LocalKind, Service, VipKey};
use crate::time::Tick;
use crate::verdict::{DropReason, Exit, PuntReason};
use crate::wire::{FromBytes, tcp};
use arrayvec::ArrayVec;

/// What was found out about the packets of a burst that may open a connection, in their order, before any of them was served.
pub type AllExpected<'a> = ArrayVec<Expected<'a>, BURST>;

/// Says what becomes of those packets of a burst that have no connection and can open none, and loads what it takes to open one
/// for the others. Buckets of their own tuples should be in the cache.
#[inline(never)]
pub(super) fn expect<'a, M: Memory>(
    shared: &'a Shared,
    shard: &mut Shard<M>,
    heads: &mut [Head],
    all: &mut AllExpected<'a>,
) {
    if shard.whole_way {
        return;
    }
    let alone = shared.steer.lcores() == 1;
    for head in heads.iter_mut().filter(|head| head.candidate == Candidate::NONE) {
        if head.kind == Kind::Flow && head.key.family() == Family::V4 {
            let at_home = if alone { Ok(()) } else { stays(shared, shard, head) };
            head.kind = at_home.and_then(|()| fate(shared, shard, head, all)).unwrap_or_else(Kind::Stranger);
        }
    }
    if !all.is_empty() {
        foresee(shared, shard, all);
    }
}

/// Looks ahead to the connections that these packets may open: first their servers, then, when these are on their way, the
/// rest, and at last where both of their entries find room.
#[inline(never)]
fn foresee<M: Memory>(shared: &Shared, shard: &mut Shard<M>, all: &mut AllExpected<'_>) {
    shard.look_ahead();
    for expected in all.iter_mut() {
        shard.foresee_server(expected);
    }
    for (n, expected) in all.iter_mut().enumerate() {
        shard.foresee(shared, n, expected);
    }
    for expected in all.iter() {
        shard.foresee_room(expected);
    }
}

/// A packet that may have a connection on another lcore goes there.
#[inline(never)]
fn stays<M: Memory>(shared: &Shared, shard: &Shard<M>, head: &Head) -> Result<(), Exit> {
    match shared.steer.owner(shared.class_of4(&head.key)) {
        owner if owner == shard.id => Ok(()),
        owner => parse::judge(head, &[]).map_err(Exit::from).and(Err(Exit::Redirect(owner))),
    }
}

/// What becomes of a packet of IPv4 that has no connection, and is at home.
#[inline(always)]
fn fate<'a, M: Memory>(
    shared: &'a Shared,
    shard: &Shard<M>,
    head: &Head,
    all: &mut AllExpected<'a>,
) -> Result<Kind, Exit> {
    let key = &head.key;
    parse::judge(head, &[])?;
    let service = asked(shared, (key.src().into(), key.dst().into()), VipKey::of_packet4(key), head.flags)?;
    Ok(expect_one(shared, shard, head, service, all))
}

#[inline(always)]
fn expect_one<'a, M: Memory>(
    shared: &Shared,
    shard: &Shard<M>,
    Head { key, hash, .. }: &Head,
    service: &'a Service,
    all: &mut AllExpected<'a>,
) -> Kind {
    shard.prefetch_server(service);
    shard.conns.prefetch_room(*hash);
    match all.try_push(Expected::new(key, shared.class_of4(key), service)) {
        Ok(()) => Kind::Opens(all.len() as u8 - 1),
        Err(_) => Kind::Flow,
    }
}

/// The service that a packet of no connection asks for, if it may open one; or where it goes instead.
#[inline(always)]
fn asked(shared: &Shared, (from, to): (Addr, Addr), vip: VipKey, flags: u8) -> Result<&Service, Exit> {
    let snapshot = shared.snapshot();
    let service = if snapshot.locals.may_have(to) { snapshot.services.get(&vip) } else { None };
    if service.is_none() {
        match snapshot.local(to).map(|l| l.kind) {
            Some(LocalKind::Vip | LocalKind::Own) => {}
            Some(LocalKind::Lip(_)) => return Err(DropReason::LipNoConnection.into()),
            None => return Err(DropReason::NotLocal.into()),
        }
    }
    if snapshot.local(from).is_some() {
        return Err(DropReason::MartianSource.into());
    }
    let Some(service) = service else {
        return Err(PuntReason::NoService.into());
    };
    if vip.proto() == Proto::Tcp && !lookup::opens(flags) {
        return Err(DropReason::TcpNoConnection.into());
    }
    Ok(service)
}

/// Opens a connection for a packet of which nothing was expected, or says where the packet goes instead.
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
    let vip = VipKey::new(client.proto(), client.dst(), client.dport());
    let service = asked(shared, (client.src(), client.dst()), vip, head.flags)?;
    let class = class.unwrap_or_else(|| shared.class_of(&client));
    Ok((open(shared, shard, now, frame, head, (&client, class, service), emit)?, Dir::In))
}

/// Opens a connection for a packet that asks for this service, or says where the packet goes instead.
#[inline(never)]
pub(super) fn open<M: Memory>(
    shared: &Shared,
    shard: &mut Shard<M>,
    now: Tick,
    frame: &Frame<'_>,
    head: &Head,
    (client, class, service): (&Tuple, Class, &Service),
    emit: &mut Emit<'_>,
) -> Result<ConnId, Exit> {
    if !shard.accepting {
        return Err(DropReason::Stopping.into());
    }
    if head.ttl <= 1 {
        return Err(PuntReason::TtlExceeded.into());
    }
    let real = shard.schedule(service).and_then(|i| service.reals.get(i)).ok_or(PuntReason::NoServer)?;
    if client.family() == Family::V4 && real.addr.family() == Family::V6 {
        // The configuration offers none: a client of IPv4 has no seat for such addresses.
        return Err(DropReason::Untranslatable.into());
    }
    let (to_client, to_server) = (shared.next_hop(client.src())?, shared.next_hop(real.addr)?);
    let (seq, next_hops) = (sequence(frame, head).host(), [to_server, to_client]);
    let (key, hash) = (head.key, head.hash);
    let what = Opening { client: *client, key, hash, class, service, real, next_hops, seq };
    Ok(shard.open(shared, now, &what, &mut |forget| reset::forget(shared, &forget, emit))?)
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
