//! The model and the counters in the words of the interface.

use super::meter::{Ids, Meter};
use super::types::{Drain, DrainState, OnServerRemoved, Protocol, Real, Scheduler, Service, Timeouts, Totals};
use crate::config;
use crate::control::document::{real_id, service_id};
use crate::control::{Drain as Draining, Drains};
use gatun_engine::addr::RealId;

pub(super) fn protocol(protocol: config::Protocol) -> Protocol {
    match protocol {
        config::Protocol::Tcp => Protocol::Tcp,
        config::Protocol::Udp => Protocol::Udp,
    }
}

/// What a service of the model is known by.
pub(super) fn id(service: &config::Service) -> String {
    service_id(protocol(service.protocol), service.address)
}

/// A service with its counters.
pub(super) fn service(ids: &Ids, service: &config::Service, meter: &Meter, drains: &Drains) -> Service {
    let reals = reals(service, &ids.of(service), meter, drains);
    let mut totals = Totals::default();
    reals.iter().for_each(|real| add(&mut totals, &real.totals));
    Service {
        id: id(service),
        name: service.name.clone(),
        protocol: protocol(service.protocol),
        address: service.address,
        scheduler: match service.scheduler {
            config::Scheduler::Rr => Scheduler::Rr,
            config::Scheduler::Wrr => Scheduler::Wrr,
            config::Scheduler::Wlc => Scheduler::Wlc,
        },
        laddr_pool: ids.model.laddr_pools.get(service.laddr_pool.0).map(|p| p.name.clone()).unwrap_or_default(),
        mss_clamp: service.mss_clamp,
        timeouts: timeouts(&service.timeouts),
        on_server_removed: match service.on_server_removed {
            config::OnServerRemoved::Reset => OnServerRemoved::Reset,
            config::OnServerRemoved::Silent => OnServerRemoved::Silent,
        },
        totals,
        reals,
    }
}

/// The servers of a service, in the order of the configuration.
pub(super) fn reals(service: &config::Service, ids: &[RealId], meter: &Meter, drains: &Drains) -> Vec<Real> {
    let of = id(service);
    let real = |(at, real): (usize, &config::Real)| {
        let totals = ids.get(at).map(|id| meter.totals(*id)).unwrap_or_default();
        let id = real_id(real.address);
        let drain = drains.find(&of, &id).map(|d| drain(d, &totals));
        Real { id, address: real.address, weight: real.weight, drain, totals }
    };
    service.reals.iter().enumerate().map(real).collect()
}

pub(super) fn drain(drain: &Draining, totals: &Totals) -> Drain {
    let connections = totals.active + totals.inactive;
    Drain {
        state: if connections == 0 { DrainState::Drained } else { DrainState::Draining },
        since: drain.since.clone(),
        until: drain.until.clone(),
        weight: drain.weight,
        connections_before: drain.connections,
        connections,
        keep: drain.keep,
    }
}

pub(super) fn timeouts(t: &config::Timeouts) -> Timeouts {
    Timeouts {
        syn_sent: t.syn_sent.0,
        syn_recv: t.syn_recv.0,
        synack: t.synack.0,
        established: t.established.0,
        fin_wait: t.fin_wait.0,
        close_wait: t.close_wait.0,
        last_ack: t.last_ack.0,
        time_wait: t.time_wait.0,
        close: t.close.0,
        udp: t.udp.0,
    }
}

pub(super) fn add(sum: &mut Totals, t: &Totals) {
    for (sum, n) in [
        (&mut sum.active, t.active),
        (&mut sum.inactive, t.inactive),
        (&mut sum.conns, t.conns),
        (&mut sum.in_pkts, t.in_pkts),
        (&mut sum.out_pkts, t.out_pkts),
        (&mut sum.in_bytes, t.in_bytes),
        (&mut sum.out_bytes, t.out_bytes),
    ] {
        *sum = sum.wrapping_add(n);
    }
}
