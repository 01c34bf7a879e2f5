//! Opening ports: how many queues each gets, and which worker has which.
//!
//! A port may have fewer queues than there are workers. Then some workers receive nothing from it themselves and live on
//! what others hand over, and send to it through the rings of those that have a queue.

use super::start::StartError;
use super::steering::{self, Steering};
use crate::config::{self, Model, SteeringPolicy};
use crate::worker::io::{Receiver, Way};
use crate::worker::rss::Sampler;
use dpdk::mempool::MempoolError;
use dpdk::port::{PortError, RssConfig};
use dpdk::ring::{self, Consumer, RingError, SharedProducer};
use dpdk::{Eal, Mempool, Port, PortConfig, PortInfo, Queues, RxQueue, TxQueue};
use gatun_engine::addr::{Mac, PortId};
use gatun_engine::steer::Steer;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use tracing::{info, warn};

/// Drivers that make as many queues as their arguments say, each of which must be polled: what arrives on another is lost.
const FIXED: [&str; 5] = ["net_af_packet", "net_af_xdp", "net_pcap", "net_vhost", "net_virtio_user"];

/// The pools of packet buffers, one for each NUMA socket that an lcore is on.
pub(super) struct Pools {
    /// The master's.
    pub(super) first: Mempool,
    others: BTreeMap<Option<u32>, Mempool>,
}

impl Pools {
    /// For the sockets of the master and of the workers.
    pub(super) fn new(
        eal: &Eal,
        tables: &config::Tables,
        master: Option<u32>,
        workers: &[Option<u32>],
    ) -> Result<Pools, MempoolError> {
        let pool = |socket: Option<u32>| {
            let name = socket.map_or("gatun".to_owned(), |s| format!("gatun{s}"));
            Mempool::new(eal, &name, tables.mbufs, 256, tables.mbuf_size, socket)
        };
        let mut pools = Pools { first: pool(master)?, others: BTreeMap::new() };
        for &socket in workers.iter().filter(|s| **s != master) {
            if let Entry::Vacant(vacant) = pools.others.entry(socket) {
                vacant.insert(pool(socket)?);
            }
        }
        Ok(pools)
    }

    /// The pool of a socket.
    pub(super) fn of(&self, socket: Option<u32>) -> &Mempool {
        self.others.get(&socket).unwrap_or(&self.first)
    }

    /// How many pools there are.
    pub(super) fn count(&self) -> usize {
        1 + self.others.len()
    }

    /// Packet buffers that are out of their pool.
    pub(super) fn in_use(&self) -> u32 {
        self.first.in_use() + self.others.values().map(Mempool::in_use).sum::<u32>()
    }
}

/// What all ports are opened with.
pub(super) struct Site<'a> {
    pub(super) eal: &'a Eal,
    pub(super) steer: &'a Steer,
    /// By worker.
    pub(super) pools: Vec<Mempool>,
}

/// A port that runs.
pub(super) struct Opened {
    pub(super) port: Port,
    /// The receive queues in order, each with the worker that polls it.
    pub(super) rx: Vec<(usize, RxQueue)>,
    /// One transmit queue for each worker, as far as they go.
    pub(super) tx: Vec<(usize, TxQueue)>,
    /// Why the device was opened without RSS, although it offers it.
    pub(super) refused: Option<PortError>,
}

impl Opened {
    /// The worker that polls each receive queue.
    pub(super) fn pollers(&self) -> Vec<usize> {
        self.rx.iter().map(|(worker, _)| *worker).collect()
    }

    /// The worker that sends for `worker`: itself, where it has a queue.
    pub(super) fn sender(&self, worker: usize) -> usize {
        let own = self.tx.iter().any(|(sender, _)| *sender == worker);
        if own { worker } else { self.tx[worker % self.tx.len()].0 }
    }
}

/// Opens all ports, each with the MAC address that it is to use.
pub(super) fn open_all(site: &Site<'_>, model: &Model) -> Result<(Vec<Opened>, Vec<Mac>), StartError> {
    let (mut all, mut macs, mut few) = (Vec::new(), Vec::new(), 0);
    for (i, config) in model.ports.iter().enumerate() {
        let opened = open(site, config, few)?;
        if model.has_ipv6(config::PortId(i)) {
            receive_multicast(&opened.port, &config.name);
        }
        if opened.rx.len() < site.pools.len() {
            few += opened.rx.len();
        }
        let fail = |source| StartError::Port { port: config.name.clone(), source };
        macs.push(match config.mac {
            Some(mac) => Mac(mac.0),
            None => Mac(opened.port.mac().map_err(fail)?),
        });
        all.push(opened);
    }
    Ok((all, macs))
}

/// Has a port receive what is sent to the solicited-node groups of our addresses (RFC 4291, 2.7.1): all multicast, as the
/// groups change with every reload, and cards filter only so many. Where the driver has no such mode, everything.
pub(super) fn receive_multicast(port: &Port, name: &str) {
    if port.granted().promiscuous || port.set_all_multicast(true).is_ok() {
        return;
    }
    match port.set_promiscuous(true) {
        Ok(()) => info!("port {name}: promiscuous, as its driver has no other way to receive multicast for IPv6"),
        Err(error) => warn!(
            "port {name}: its driver can not be told to receive multicast ({error}): see to it that frames to 33:33:ff:00:00:00/24 come, or IPv6 neighbours do not find gatun"
        ),
    }
}

/// Opens a port. The first of its queues goes to worker `first`, where there are not enough for all.
fn open(site: &Site<'_>, config: &config::Port, first: usize) -> Result<Opened, StartError> {
    let name = config.name.clone();
    let Some(device) = &config.device else { return Err(StartError::NoDevice(name)) };
    let workers = site.pools.len();
    // Who said software wants to see the card without our help; all others profit from whatever it spreads.
    let wanted = workers > 1 && config.steering != SteeringPolicy::Software || config.steering == SteeringPolicy::Rss;
    let (opened, refused) = match started(site, config, device, first, wanted) {
        Err(error @ (PortError::Failed { .. } | PortError::Unsupported { .. })) if wanted => {
            match started(site, config, device, first, false) {
                Ok(opened) => (Ok(opened), Some(error)),
                Err(_) => (Err(error), None),
            }
        }
        other => (other, None),
    };
    let (port, queues) = opened.map_err(|source| StartError::Port { port: name, source })?;
    let rx = owners(queues.rx.len(), workers, first).into_iter().zip(queues.rx).collect();
    let tx = owners(queues.tx.len().min(workers), workers, first).into_iter().zip(queues.tx).collect();
    Ok(Opened { port, rx, tx, refused })
}

fn started(
    site: &Site<'_>,
    config: &config::Port,
    device: &str,
    first: usize,
    rss: bool,
) -> Result<(Port, Queues), PortError> {
    let pool = &site.pools[0];
    let port_config = PortConfig {
        rx_desc: config.rx_desc,
        tx_desc: config.tx_desc,
        mtu: (!device.starts_with("net_") || config.mtu != 1500).then_some(config.mtu),
        promiscuous: config.promiscuous || config.mac.is_some(),
        ..PortConfig::new(device, pool.clone())
    };
    Port::open_fitted(site.eal, port_config, |info, config| {
        let workers = site.pools.len();
        (config.rx_queues, config.tx_queues) = queues(device, info, workers);
        let pollers = owners(usize::from(config.rx_queues), workers, first);
        config.pools = pollers.into_iter().map(|worker| site.pools[worker].clone()).collect();
        config.rss = (rss && !info.rss_types.is_empty()).then(|| RssConfig {
            key: steering::key(site.steer, info.rss_key_size),
            types: steering::types(info.rss_types),
        });
    })
}

/// What a worker has in its hands.
#[derive(Default)]
pub(super) struct Hands {
    pub(super) receivers: Vec<Receiver>,
    /// By port.
    pub(super) tx: Vec<Way>,
    /// The ring of frames that others send through this worker.
    pub(super) relayed: Vec<Consumer>,
}

/// Gives every queue to its worker, and a ring to those that have none.
pub(super) fn share(
    eal: &Eal,
    opened: Vec<Opened>,
    steerings: &[Steering],
    sockets: &[Option<u32>],
) -> Result<Vec<Hands>, RingError> {
    let mut hands: Vec<Hands> = sockets.iter().map(|_| Hands::default()).collect();
    let mut rings: Vec<Option<SharedProducer>> = vec![None; hands.len()];
    for (i, (opened, steering)) in opened.into_iter().zip(steerings).enumerate() {
        let senders: Vec<usize> = (0..hands.len()).map(|worker| opened.sender(worker)).collect();
        let mut queues: Vec<Option<TxQueue>> = hands.iter().map(|_| None).collect();
        for (worker, queue) in opened.tx {
            queues[worker] = Some(queue);
        }
        for (worker, (sender, queue)) in senders.into_iter().zip(queues).enumerate() {
            let way = match (queue, &rings[sender]) {
                (Some(queue), _) => Way::Queue(queue),
                (None, Some(ring)) => Way::Through(ring.clone()),
                (None, None) => {
                    let (ring, consumer) = ring::mpsc(eal, &format!("through{sender}"), 4_096, sockets[sender])?;
                    hands[sender].relayed.push(consumer);
                    rings[sender] = Some(ring.clone());
                    Way::Through(ring)
                }
            };
            hands[worker].tx.push(way);
        }
        let old = u32::from(opened.port.granted().rx_desc);
        for (worker, queue) in opened.rx {
            let rss = steering.rss().map(|rss| Sampler::new(rss.clone(), queue.index(), old));
            hands[worker].receivers.push(Receiver { port: PortId(i as u8), queue, rss });
        }
    }
    Ok(hands)
}

/// How many queues of each kind: one for each worker, as far as the device has them.
fn queues(device: &str, info: &PortInfo, workers: usize) -> (u16, u16) {
    let wanted = u16::try_from(workers).unwrap_or(u16::MAX);
    if is_fixed(device) {
        (info.max_rx_queues, info.max_tx_queues)
    } else {
        (info.max_rx_queues.min(wanted), info.max_tx_queues.min(wanted))
    }
}

/// How many queues a device will have at most, as far as can be said before it is opened.
pub(super) fn expected(device: &str, workers: usize) -> usize {
    if !is_fixed(device) {
        return workers;
    }
    let given = device.split(',').find_map(|a| {
        ["qpairs=", "queues=", "queue_count="].iter().find_map(|name| a.strip_prefix(name)).and_then(|n| n.parse().ok())
    });
    given.unwrap_or(1)
}

fn is_fixed(device: &str) -> bool {
    FIXED.iter().any(|driver| device.starts_with(driver))
}

/// The worker of each queue. All in order where there are enough; else from `first` on, so that the single queues of
/// several ports do not all fall to one worker.
fn owners(queues: usize, workers: usize, first: usize) -> Vec<usize> {
    let first = if queues < workers { first } else { 0 };
    (0..queues).map(|queue| (first + queue) % workers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_go_round_the_workers_and_few_begin_where_the_last_port_ended() {
        assert_eq!(owners(2, 2, 1), [0, 1], "enough for all: worker n has queue n on every port");
        assert_eq!(owners(4, 2, 1), [0, 1, 0, 1], "every queue is polled");
        assert_eq!(owners(1, 3, 0), [0]);
        assert_eq!(owners(1, 3, 1), [1]);
        assert_eq!(owners(2, 3, 2), [2, 0]);
    }

    #[test]
    fn drivers_that_make_their_queues_by_arguments_have_as_many_as_these_say() {
        assert_eq!(expected("net_af_packet0,iface=a,qpairs=4", 2), 4);
        assert_eq!(expected("net_af_packet0,iface=a", 2), 1);
        assert_eq!(expected("net_virtio_user0,path=/p,queues=2", 8), 2);
        assert_eq!(expected("net_null0", 8), 8);
        assert_eq!(expected("0000:01:00.0", 8), 8);
    }
}
