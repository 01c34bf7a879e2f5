//! The values of the model in the engine's terms.

use super::{CompileError, RealKey, ServiceKey};
use crate::config::{self as model, Model, OnServerRemoved, Protocol};
use gatun_engine::addr::{Be16, Be32, IfaceId, Mac, Proto};
use gatun_engine::conn::state::{State, Timeouts};
use gatun_engine::limit::{DEFAULT_LIMITS, Limit, Limits};
use gatun_engine::snapshot::{Local, LocalKind, LocalMap, OnRemoved, Settings, SynTimestamps};
use gatun_engine::verdict::PuntReason;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A next hop.
pub type Hop = (IfaceId, Be32);
/// A static neighbour.
pub type Fixed = (IfaceId, Be32, Mac);

/// The next hops that are asked from the start, and the static entries.
pub fn hops(model: &Model) -> (Vec<Hop>, Vec<Fixed>) {
    let hop = |(i, a): (model::InterfaceId, IpAddr)| Some((IfaceId(i.0 as u8), v4(a).ok()?));
    let fixed = |n: &model::Neighbor| Some((IfaceId(n.interface.0 as u8), v4(n.address).ok()?, Mac(n.mac.0)));
    (model.next_hops().into_iter().filter_map(hop).collect(), model.neighbors.iter().filter_map(fixed).collect())
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

pub(super) fn own_addresses(model: &Model) -> Result<LocalMap, CompileError> {
    let mut locals = LocalMap::default();
    for (i, iface) in model.interfaces.iter().enumerate() {
        for net in &iface.addresses {
            let local = Local { kind: LocalKind::Own, iface: Some(IfaceId(i as u8)) };
            locals.insert(v4(net.addr())?, local);
        }
    }
    Ok(locals)
}

pub(super) fn settings(model: &Model) -> Settings {
    let syn_timestamps = match model.tcp.syn_timestamps {
        model::SynTimestamps::Keep => SynTimestamps::Keep,
        model::SynTimestamps::Hot => SynTimestamps::Hot,
        model::SynTimestamps::Strip => SynTimestamps::Strip,
    };
    Settings { syn_timestamps, raise_sequence: model.tcp.raise_sequence }
}

pub(super) fn service_key(s: &model::Service) -> Result<ServiceKey, CompileError> {
    let proto = match s.protocol {
        Protocol::Tcp => Proto::Tcp,
        Protocol::Udp => Proto::Udp,
    };
    Ok((proto, v4(s.address.ip())?, Be16::new(s.address.port())))
}

pub(super) fn wanted_reals(model: &Model) -> HashSet<RealKey> {
    let of = |s: &model::Service| {
        let key = service_key(s).ok();
        s.reals
            .iter()
            .filter_map(move |r| Some((key?, v4(r.address.ip()).ok()?, Be16::new(r.address.port()))))
            .collect::<Vec<_>>()
    };
    model.services.iter().flat_map(of).collect()
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

/// An IPv4 address as it stands on the wire.
pub fn v4(addr: IpAddr) -> Result<Be32, CompileError> {
    match addr {
        IpAddr::V4(a) => Ok(a.into()),
        IpAddr::V6(_) => Err(CompileError::Ipv6(addr)),
    }
}

/// Address and port as people write them.
pub fn socket(addr: Be32, port: Be16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from(addr).into(), port.host())
}
