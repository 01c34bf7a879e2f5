//! The start: EAL, ports, pools, rings, shards, workers; in this order, and freed in the opposite one.

use super::status::Jobs;
use super::{Master, Seat};
use crate::config::compile::{self, CompileError, Compiler, Shards};
use crate::config::{Idle, Model};
use crate::worker::idle::{Idler, Policy};
use crate::worker::io::{DpdkIo, HugePages, Punts, Receiver};
use crate::worker::mailbox::{Mailbox, Rings};
use crate::worker::{Clock, Worker};
use dpdk::ring::{self, Consumer, Producer, SharedProducer};
use dpdk::{Eal, Mempool, Port, PortConfig, RxQueue, TxQueue};
use gatun_engine::addr::{LcoreId, Mac, PortId};
use gatun_engine::conn::key::SplitMix;
use gatun_engine::lcore::Lcore;
use gatun_engine::local::Local;
use gatun_engine::mem::OutOfMemory;
use gatun_engine::neighbor::Neighbors;
use gatun_engine::shard::{Shard, Shared, Sizes};
use gatun_engine::stats::Stats;
use gatun_engine::steer::{KeyError, Steer};
use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::sync::Arc;

/// Why the gateway does not start. Each is a sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The EAL.
    #[error("DPDK does not start: {0}")]
    Eal(#[from] dpdk::EalError),
    /// A CPU that is not there.
    #[error(
        "lcores: lcore {lcore} is to run on CPU {cpu}, but this machine has the CPUs {online}: change lcores.master or lcores.workers, or map the lcore to another CPU in lcores.cpus"
    )]
    NoCpu {
        /// The lcore.
        lcore: u32,
        /// Its CPU.
        cpu: u32,
        /// What there is, as the kernel writes it: `0-3,8`.
        online: String,
    },
    /// A port.
    #[error("port {port:?}: {source}")]
    Port {
        /// Its name.
        port: String,
        /// Why.
        source: dpdk::port::PortError,
    },
    /// A port without device.
    #[error("port {0:?} has no device: give it one in the file (a PCI address, or net_af_packet0,iface=...)")]
    NoDevice(String),
    /// An interface of the kernel that is not there.
    #[error(
        "port {port:?}: there is no interface {iface:?} in this network namespace: create it, or correct the device"
    )]
    NoInterface {
        /// Its name.
        port: String,
        /// The interface.
        iface: String,
    },
    /// Another instance has the device.
    #[error("port {port:?}: another gatun already runs on {device:?}: stop that one first, or use another device")]
    InUse {
        /// Its name.
        port: String,
        /// The device.
        device: String,
    },
    /// Too few queues.
    #[error(
        "port {port:?} has {queues} queue(s) for {workers} workers: give it more (qpairs={workers} for net_af_packet), or set lcores.workers to fewer"
    )]
    Queues {
        /// Its name.
        port: String,
        /// What it has.
        queues: u16,
        /// Workers.
        workers: usize,
    },
    /// The buffers do not suffice.
    #[error("tables.mbufs is {have}, but the queues of all ports and what is on its way need {need}: raise it")]
    Mbufs {
        /// What there are.
        have: u32,
        /// What is needed.
        need: u32,
    },
    /// A packet of a port's MTU does not fit.
    #[error(
        "port {port:?}: its mtu {mtu} does not fit into tables.mbuf_size {size}: raise mbuf_size to {need}, or lower the mtu"
    )]
    MbufSize {
        /// Its name.
        port: String,
        /// Its MTU.
        mtu: u16,
        /// Bytes of a buffer.
        size: u16,
        /// What would do.
        need: u16,
    },
    /// The packet buffers.
    #[error("the packet buffers can not be had: {0}")]
    Mempool(#[from] dpdk::mempool::MempoolError),
    /// The rings.
    #[error("the rings between lcores can not be had: {0}")]
    Ring(#[from] dpdk::ring::RingError),
    /// The tables.
    #[error("{0}, or raise eal.memory_mb")]
    Memory(#[from] OutOfMemory),
    /// The hash key.
    #[error("steering.key: {0}")]
    Key(#[from] KeyError),
    /// The configuration does not fit.
    #[error("{0}")]
    Compile(#[from] CompileError),
    /// A worker.
    #[error("worker lcore {lcore}: {source}")]
    Launch {
        /// Which.
        lcore: u32,
        /// Why.
        source: dpdk::LaunchError,
    },
}

/// Keeps other instances off a device; released when the process ends, however it does.
pub struct Claim {
    _socket: UnixDatagram,
}

/// Claims the devices of all ports, before DPDK touches them. The claim is an abstract Unix socket, which belongs to the
/// network namespace, as interfaces do.
pub fn claim(model: &Model) -> Result<Vec<Claim>, StartError> {
    let mut claims = Vec::new();
    for port in &model.ports {
        let Some(device) = &port.device else { return Err(StartError::NoDevice(port.name.clone())) };
        let iface = device.split(',').find_map(|a| a.strip_prefix("iface="));
        let name = format!("gatun/device/{}", iface.unwrap_or(device));
        // The PMD would say that it is not permitted. net_tap makes its interface itself.
        if let Some(iface) =
            iface.filter(|i| !device.starts_with("net_tap") && !Path::new("/sys/class/net").join(i).exists())
        {
            return Err(StartError::NoInterface { port: port.name.clone(), iface: iface.to_owned() });
        }
        let in_use = |_| StartError::InUse { port: port.name.clone(), device: iface.unwrap_or(device).to_owned() };
        let address = SocketAddr::from_abstract_name(name).map_err(in_use)?;
        claims.push(Claim { _socket: UnixDatagram::bind_addr(&address).map_err(in_use)? });
    }
    Ok(claims)
}

/// Starts everything. The calling thread becomes the master lcore.
pub fn start(model: Model, file: &Path, claims: Vec<Claim>) -> Result<Master, StartError> {
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    check_cpus(&model, online.trim())?;
    let eal = Eal::init(&eal_args(&model))?;
    let workers = model.lcores.workers.len();
    let first = model.lcores.workers.first().copied().unwrap_or_default();
    let socket = eal.lcores().into_iter().find(|l| l.id.0 == first).and_then(|l| l.socket);
    check_mbufs(&model)?;
    let pool = Mempool::new(&eal, "gatun", model.tables.mbufs, 256, model.tables.mbuf_size, socket)?;

    let mut ports = Vec::new();
    let mut macs = Vec::new();
    let mut rx: Vec<Vec<Receiver>> = (0..workers).map(|_| Vec::new()).collect();
    let mut tx: Vec<Vec<TxQueue>> = (0..workers).map(|_| Vec::new()).collect();
    for (i, config) in model.ports.iter().enumerate() {
        let (port, receivers, senders) = open(&eal, config, &pool, workers)?;
        let fail = |source| StartError::Port { port: config.name.clone(), source };
        macs.push(match config.mac {
            Some(mac) => Mac(mac.0),
            None => Mac(port.mac().map_err(fail)?),
        });
        for (q, queue) in receivers.into_iter().enumerate() {
            rx[q % workers].push(Receiver { port: PortId(i as u8), queue });
        }
        for (worker, queue) in senders.into_iter().enumerate() {
            tx[worker].push(queue);
        }
        ports.push(port);
    }

    let mut random = SplitMix(model.steering.seed.unwrap_or_else(random));
    let key = model.steering.key.as_ref().map_or_else(|| Steer::key_from_seed(random.next()), |k| k.0);
    let steer = Arc::new(Steer::new(key, workers as u8)?);
    let neighbors = Arc::new(Neighbors::new(model.tables.neighbors as usize));
    let mut compiler = Compiler::new(neighbors.clone(), macs, model.tables.reals as usize);
    let snapshot = Arc::new(compiler.compile(&model, &Shards::NONE)?);
    let clock = Clock::start();

    let mut local = Local::new(neighbors.clone());
    let (hops, fixed) = compile::hops(&model);
    local.configure(clock.now(), &hops, &fixed);

    let mut hand_over: Vec<(SharedProducer, Consumer)> = Vec::new();
    for i in 0..workers {
        hand_over.push(ring::mpsc(&eal, &format!("redirect{i}"), 4_096, socket)?);
    }
    let (peers, redirected): (Vec<_>, Vec<_>) = hand_over.into_iter().unzip();
    let shared = Shared::new(snapshot.clone(), neighbors.clone(), steer);
    let sizes = Sizes::of(model.tables.connections as usize, model.tables.reals as usize);
    let idle = idle_policy(&model);
    let mut seats = Vec::new();
    for (i, ((rx, tx), redirected)) in rx.into_iter().zip(tx).zip(redirected).enumerate() {
        let lcore = model.lcores.workers[i];
        let socket = eal.lcores().into_iter().find(|l| l.id.0 == lcore).and_then(|l| l.socket);
        let memory = HugePages { eal: eal.clone(), socket };
        let stats = Arc::new(Stats::new(model.tables.reals as usize));
        let (id, seed) = (LcoreId(i as u8), random.next());
        let shard = Shard::new(&memory, id, sizes, stats.clone(), seed, clock.now())?;
        let (relay, relayed): (Producer, Consumer) = ring::spsc(&eal, &format!("relay{i}"), 1_024, socket)?;
        let (punts, rings) = (Arc::new(Punts::new()), Arc::new(Rings::new()));
        let worker = Worker {
            lcore: Lcore::new(shared.clone(), shard, ports.len(), workers, &compile::limits(&model), clock.now()),
            io: DpdkIo { tx, peers: peers.clone(), punts: punts.clone(), pool: pool.clone() },
            receivers: rx,
            redirected,
            relayed,
            mailbox: Mailbox::new(rings.clone()),
            clock,
            idler: Idler::new(idle),
        };
        let handle = eal
            .launch(dpdk::LcoreId(lcore), move || worker.run())
            .map_err(|source| StartError::Launch { lcore, source })?;
        seats.push(Seat::new(handle, rings, punts, relay, stats, snapshot.generation));
    }
    drop(peers);
    Ok(Master {
        model,
        file: file.to_owned(),
        compiler,
        snapshot,
        neighbors,
        local,
        seats,
        jobs: Jobs::default(),
        clock,
        ready: false,
        outs: Vec::new(),
        ports,
        pool,
        _eal: eal,
        _claims: claims,
    })
}

fn open(
    eal: &Eal,
    config: &crate::config::Port,
    pool: &Mempool,
    workers: usize,
) -> Result<(Port, Vec<RxQueue>, Vec<TxQueue>), StartError> {
    let name = config.name.clone();
    let Some(device) = &config.device else { return Err(StartError::NoDevice(name)) };
    // Every queue that a virtual device makes must be polled, so it gets as many as its arguments say; a card gets one
    // for each worker.
    let virtual_device = device.starts_with("net_");
    let pairs = device.split(',').find_map(|a| a.strip_prefix("qpairs=").or(a.strip_prefix("queues=")));
    let queues = match pairs.and_then(|n| n.parse().ok()) {
        Some(n) => n,
        None if virtual_device => 1,
        None => workers as u16,
    };
    if usize::from(queues) < workers {
        return Err(StartError::Queues { port: name, queues, workers });
    }
    let port_config = PortConfig {
        rx_queues: queues,
        tx_queues: queues,
        rx_desc: config.rx_desc,
        tx_desc: config.tx_desc,
        mtu: (!virtual_device || config.mtu != 1500).then_some(config.mtu),
        promiscuous: config.promiscuous || config.mac.is_some(),
        ..PortConfig::new(device.clone(), pool.clone())
    };
    let (port, queues) = Port::open(eal, &port_config).map_err(|source| StartError::Port { port: name, source })?;
    Ok((port, queues.rx, queues.tx.into_iter().take(workers).collect()))
}

/// The EAL would answer with a page of its usage.
fn check_cpus(model: &Model, online: &str) -> Result<(), StartError> {
    let ranges: Vec<(u32, u32)> = online
        .split(',')
        .filter_map(|r| {
            let (first, last) = r.split_once('-').unwrap_or((r, r));
            Some((first.parse().ok()?, last.parse().ok()?))
        })
        .collect();
    let l = &model.lcores;
    let missing = std::iter::once(l.master)
        .chain(l.workers.iter().copied())
        .find(|lcore| !ranges.iter().any(|(first, last)| (*first..=*last).contains(&l.cpu(*lcore))));
    match missing {
        Some(lcore) if !ranges.is_empty() => {
            Err(StartError::NoCpu { lcore, cpu: l.cpu(lcore), online: online.to_owned() })
        }
        Some(_) | None => Ok(()),
    }
}

fn check_mbufs(model: &Model) -> Result<(), StartError> {
    let workers = model.lcores.workers.len() as u32;
    let queues: u32 = model.ports.iter().map(|p| (u32::from(p.rx_desc) + u32::from(p.tx_desc)) * workers).sum();
    // Caches, spares, held frames and punts of each lcore.
    let need = queues + (workers + 1) * 1_024;
    let have = model.tables.mbufs;
    if have < need {
        return Err(StartError::Mbufs { have, need });
    }
    for p in &model.ports {
        // Ethernet, one tag, and the frame check sequence that some cards leave.
        let need = p.mtu + 22;
        if need > model.tables.mbuf_size {
            let (port, size) = (p.name.clone(), model.tables.mbuf_size);
            return Err(StartError::MbufSize { port, mtu: p.mtu, size, need });
        }
    }
    Ok(())
}

/// The arguments of the EAL that follow from the file.
pub fn eal_args(model: &Model) -> Vec<String> {
    let l = &model.lcores;
    let at = |lcore: u32| format!("{lcore}@{}", l.cpu(lcore));
    let lcores: Vec<String> = std::iter::once(l.master).chain(l.workers.iter().copied()).map(at).collect();
    let mut args = vec!["--lcores".to_owned(), lcores.join(","), "--main-lcore".to_owned(), l.master.to_string()];
    args.push("--no-telemetry".to_owned());
    args.push("--log-level=*:warning".to_owned());
    if model.eal.no_huge {
        args.extend(["--no-huge".to_owned(), "--no-shconf".to_owned()]);
    } else {
        args.push("--in-memory".to_owned());
    }
    if !model.eal.pci {
        args.push("--no-pci".to_owned());
    } else {
        // Only what the file names: EAL would else probe every card it can.
        let pci = model.ports.iter().filter_map(|p| p.device.as_ref()).filter(|d| !d.starts_with("net_"));
        args.extend(pci.flat_map(|d| ["-a".to_owned(), d.clone()]));
        if !model.ports.iter().filter_map(|p| p.device.as_ref()).any(|d| !d.starts_with("net_")) {
            args.push("--no-pci".to_owned());
        }
    }
    if let Some(mb) = model.eal.memory_mb {
        args.extend(["-m".to_owned(), mb.to_string()]);
    }
    args.extend(model.eal.args.iter().cloned());
    args
}

/// `auto`: sleep where the kernel feeds the ports, as it needs the CPU too; spin where every lcore has a CPU to itself;
/// else yield.
fn idle_policy(model: &Model) -> Policy {
    const KERNEL: [&str; 4] = ["net_af_packet", "net_af_xdp", "net_tap", "net_pcap"];
    let devices = || model.ports.iter().filter_map(|p| p.device.as_deref());
    match model.lcores.idle {
        Idle::Spin => Policy::Spin,
        Idle::Yield => Policy::Yield,
        Idle::Sleep => Policy::Sleep,
        Idle::Auto if devices().any(|d| KERNEL.iter().any(|k| d.starts_with(k))) => Policy::Sleep,
        Idle::Auto => {
            let l = &model.lcores;
            let lcores = || std::iter::once(l.master).chain(l.workers.iter().copied());
            let cpus: BTreeSet<u32> = lcores().map(|i| l.cpu(i)).collect();
            if cpus.len() == lcores().count() { Policy::Spin } else { Policy::Yield }
        }
    }
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(text: &str) -> Model {
        let file = include_str!("../../conf/demo.toml").replace("workers = [1]", text);
        crate::config::parse(&file, "test.toml").unwrap()
    }

    #[test]
    fn an_lcore_on_a_cpu_that_is_not_there_is_named_with_the_remedy() {
        let ok = |text, online| check_cpus(&model(text), online).map_err(|e| e.to_string());
        assert_eq!(ok("workers = [1]", "0-1"), Ok(()));
        assert_eq!(ok("workers = [1, 9]", "0-3,8-9"), Ok(()));
        assert_eq!(ok("workers = [1, 2]\ncpus = { 2 = 0 }", "0-1"), Ok(()));
        assert_eq!(ok("workers = [1]", ""), Ok(()), "an unknown machine is left to the EAL");
        let error = ok("workers = [1, 2]", "0-1").unwrap_err();
        assert!(
            error.starts_with("lcores: lcore 2 is to run on CPU 2, but this machine has the CPUs 0-1: "),
            "{error}"
        );
    }

    #[test]
    fn the_eal_is_told_what_the_file_says_and_nothing_of_other_cards() {
        let args = eal_args(&model("workers = [1]\ncpus = { 1 = 0 }")).join(" ");
        let expected = "--lcores 0@0,1@0 --main-lcore 0 --no-telemetry --log-level=*:warning --no-huge --no-shconf --no-pci -m 256";
        assert_eq!(args, expected);
    }

    #[test]
    fn too_few_or_too_small_buffers_are_refused_before_a_port_is_opened() {
        let model = model("workers = [1]");
        assert!(check_mbufs(&model).is_ok());
        let mut few = model.clone();
        few.tables.mbufs = 512;
        let need = "tables.mbufs is 512, but the queues of all ports and what is on its way need 6144: raise it";
        assert_eq!(check_mbufs(&few).unwrap_err().to_string(), need);
        let mut small = model;
        small.ports[0].mtu = 9_000;
        assert!(matches!(check_mbufs(&small), Err(StartError::MbufSize { mtu: 9_000, need: 9_022, .. })));
    }
}
