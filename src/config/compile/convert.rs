//! The values of the model in the engine's terms.

use super::ServiceKey;
use crate::config::{self as model, Model, OnServerRemoved, Protocol};
use gatun_engine::addr::{Addr, Be16, IfaceId, Mac, Proto};
use gatun_engine::conn::state::{State, Timeouts};
use gatun_engine::limit::{DEFAULT_LIMITS, Limit, Limits};
use gatun_engine::snapshot::{Local, LocalKind, LocalMap, OnRemoved, Settings, SynTimestamps};
use gatun_engine::verdict::PuntReason;
use std::net::{IpAddr, SocketAddr};

/// A next hop.
pub type Hop = (IfaceId, Addr);
/// A static neighbour.
pub type Fixed = (IfaceId, Addr, Mac);

/// The next hops that are asked from the start, and the static entries.
pub fn hops(model: &Model) -> (Vec<Hop>, Vec<Fixed>) {
    (model.next_hops().into_iter().map(hop).collect(), fixed(model))
}

/// The static neighbours.
pub fn fixed(model: &Model) -> Vec<Fixed> {
    let fixed = |n: &model::Neighbor| (IfaceId(n.interface.0 as u8), Addr::from(n.address), Mac(n.mac.0));
    model.neighbors.iter().map(fixed).collect()
}

pub(super) fn hop((interface, addr): (model::InterfaceId, IpAddr)) -> Hop {
    (IfaceId(interface.0 as u8), Addr::from(addr))
}

/// The rate limits of the punts.
pub fn limits(model: &Model) -> Limits {
    let mut limits = DEFAULT_LIMITS;
    let l = &model.limits;
    for (reason, limit) in [
        (PuntReason::Echo, l.icmp_echo),
        (PuntReason::TtlExceeded, l.ttl_exceeded),
        (PuntReason::FragNeeded, l.frag_needed),
        (PuntReason::NoService, l.no_service),
        (PuntReason::NoServer, l.no_server),
    ] {
        limits[reason as usize] = Limit { rate: limit.rate, burst: limit.burst };
    }
    limits
}

pub(super) fn own_addresses(model: &Model) -> LocalMap {
    let mut locals = LocalMap::default();
    for (i, iface) in model.interfaces.iter().enumerate() {
        for net in &iface.addresses {
            let local = Local { kind: LocalKind::Own, iface: Some(IfaceId(i as u8)) };
            locals.insert(net.addr().into(), local);
        }
    }
    locals
}

pub(super) fn settings(model: &Model) -> Settings {
    let syn_timestamps = match model.tcp.syn_timestamps {
        model::SynTimestamps::Keep => SynTimestamps::Keep,
        model::SynTimestamps::Hot => SynTimestamps::Hot,
        model::SynTimestamps::Strip => SynTimestamps::Strip,
    };
    Settings { syn_timestamps, raise_sequence: model.tcp.raise_sequence }
}

/// What a service is found by.
pub fn service_key(s: &model::Service) -> ServiceKey {
    key_of(&s.id())
}

/// The same of its id.
pub fn key_of(id: &model::ServiceId) -> ServiceKey {
    let (proto, vip, vport) = parts(id);
    ServiceKey::new(proto, vip, vport)
}

/// What an id says, as the engine has it.
pub(super) fn parts(id: &model::ServiceId) -> (Proto, Addr, Be16) {
    let proto = match id.protocol {
        Protocol::Tcp => Proto::Tcp,
        Protocol::Udp => Proto::Udp,
    };
    (proto, id.address.ip().into(), Be16::new(id.address.port()))
}

pub(super) fn on_removed(o: OnServerRemoved) -> OnRemoved {
    match o {
        OnServerRemoved::Reset => OnRemoved::Reset,
        OnServerRemoved::Silent => OnRemoved::Silent,
    }
}

pub(super) fn timeouts(t: &model::Timeouts) -> Timeouts {
    let mut out = Timeouts::default();
    for (state, secs) in [
        (State::SynSent, t.syn_sent),
        (State::SynRecv, t.syn_recv),
        (State::SynAck, t.synack),
        (State::Established, t.established),
        (State::FinWait, t.fin_wait),
        (State::CloseWait, t.close_wait),
        (State::LastAck, t.last_ack),
        (State::TimeWait, t.time_wait),
        (State::Close, t.close),
        (State::Udp, t.udp),
    ] {
        out.set(state, secs.0);
    }
    out
}

/// Address and port as people write them.
pub fn socket(addr: Addr, port: Be16) -> SocketAddr {
    SocketAddr::new(addr.into(), port.host())
}
