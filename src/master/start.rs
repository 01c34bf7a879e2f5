//! The start: EAL, ports, pools, rings, shards, workers; in this order, and freed in the opposite one.

use super::asks::Asks;
use super::cpus::{self, Place, Places};
use super::ports::{self, Hands, Pools, Site};
use super::steering;
use super::watch::{self, Watch};
use super::{Master, Seat};
use crate::config::compile::{self, CompileError, Compiler, Shards};
use crate::config::{self, Idle, Model};
use crate::worker::idle::{Idler, Policy};
use crate::worker::io::{DpdkIo, HugePages, Punts};
use crate::worker::mailbox::{Mailbox, Rings};
use crate::worker::progress::Progress;
use crate::worker::{Clock, Worker};
use dpdk::ring::{self, Consumer, Producer, SharedProducer};
use dpdk::{Eal, Port};
use gatun_engine::addr::LcoreId;
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
    /// Nowhere for a worker to run.
    #[error(
        "lcores.workers = \"auto\": there is no CPU but the master's ({cpu}) that gatun may use: let it use more (taskset, cpuset), or let both share one with workers = [1] and cpus = {{ 1 = {cpu} }}"
    )]
    NoWorker {
        /// The master's CPU.
        cpu: u32,
    },
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
        // The PMD would say that it is not permitted. Others make their interface themselves, or mean a socket by it.
        let there = ["net_af_packet", "net_af_xdp", "net_pcap"].iter().any(|driver| device.starts_with(driver));
        if let Some(iface) = iface.filter(|i| there && !Path::new("/sys/class/net").join(i).exists()) {
            return Err(StartError::NoInterface { port: port.name.clone(), iface: iface.to_owned() });
        }
        let in_use = |_| StartError::InUse { port: port.name.clone(), device: iface.unwrap_or(device).to_owned() };
        let address = SocketAddr::from_abstract_name(name).map_err(in_use)?;
        claims.push(Claim { _socket: UnixDatagram::bind_addr(&address).map_err(in_use)? });
    }
    Ok(claims)
}

/// Starts everything, with a model as this generation. The calling thread becomes the master lcore.
pub fn start(model: Arc<Model>, generation: u64, claims: Vec<Claim>) -> Result<Master, StartError> {
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let places = cpus::place(&model.lcores, online.trim(), &cpus::allowed())?;
    let eal = Eal::init(&eal_args(&model, &places))?;
    let workers = places.workers.len();
    let lcores = eal.lcores();
    let socket = |place: &Place| lcores.iter().find(|l| l.id.0 == place.lcore).and_then(|l| l.socket);
    let sockets: Vec<Option<u32>> = places.workers.iter().map(socket).collect();
    check_mbufs(&model, &sockets)?;
    let pools = Pools::new(&eal, &model.tables, socket(&places.master), &sockets)?;

    // Each on its own: who learns the RSS key, of which local ports tell, must not learn the tables' secrets from it.
    let mut chosen = model.steering.seed.map(SplitMix);
    let mut seed = || chosen.as_mut().map_or_else(random, SplitMix::next);
    let key = model.steering.key.as_ref().map_or_else(|| Steer::key_from_seed(seed()), |k| k.0);
    let steer = Arc::new(Steer::new(key, workers as u8)?);

    let site = Site { eal: &eal, steer: &steer, pools: sockets.iter().map(|s| pools.of(*s).clone()).collect() };
    let (opened, macs) = ports::open_all(&site, &model)?;
    let devices: Vec<Port> = opened.iter().map(|o| o.port.clone()).collect();
    let (steerings, owners) = steering::set_up(&model, &opened, &devices, workers, &steer);

    let neighbors = Arc::new(Neighbors::new(model.tables.neighbors as usize));
    let mut compiler = Compiler::new(neighbors.clone(), macs, model.tables.reals as usize);
    compiler.continue_from(generation.saturating_sub(1));
    let snapshot = Arc::new(compiler.compile(&model, &Shards::NONE)?);
    let clock = Clock::start();

    let mut local = Local::new(neighbors.clone());
    let hops = compiler.changed_hops().unwrap_or_default();
    local.configure(clock.now(), &hops, &compile::fixed(&model));

    let mut hand_over: Vec<(SharedProducer, Consumer)> = Vec::new();
    for (i, socket) in sockets.iter().enumerate() {
        hand_over.push(ring::mpsc(&eal, &format!("redirect{i}"), 4_096, *socket)?);
    }
    let (peers, redirected): (Vec<_>, Vec<_>) = hand_over.into_iter().unzip();
    let senders: Vec<usize> = opened.iter().map(|o| o.sender(0)).collect();
    let mut hands = ports::share(&eal, opened, &steerings, &sockets)?;
    let sizes = Sizes::of(
        model.tables.connections as usize,
        model.tables.ipv6_connections as usize,
        model.tables.reals as usize,
    );
    let idle = idle_policy(&model, &places);
    let generation = snapshot.generation;
    let mut seats = Vec::new();
    for (i, redirected) in redirected.into_iter().enumerate() {
        let (lcore, socket) = (places.workers[i].lcore, sockets[i]);
        let Hands { receivers, tx, mut relayed } = std::mem::take(&mut hands[i]);
        let memory = HugePages { eal: eal.clone(), socket };
        let stats = Arc::new(Stats::with_lips(model.tables.reals as usize, compile::LIPS));
        let (id, seed) = (LcoreId(i as u8), seed());
        let snapshot = steering::view(&snapshot, &owners, i);
        let shared = Shared::new(snapshot, neighbors.clone(), steer.clone());
        let shard = Shard::new(&memory, id, sizes, stats.clone(), seed, clock.now())?;
        let (relay, of_the_master): (Producer, Consumer) = ring::spsc(&eal, &format!("relay{i}"), 1_024, socket)?;
        relayed.insert(0, of_the_master);
        let (punts, rings, progress) = (Arc::new(Punts::new()), Arc::new(Rings::new()), Arc::new(Progress::default()));
        let worker = Worker {
            lcore: Lcore::new(shared, shard, model.ports.len(), workers, &compile::limits(&model), clock.now()),
            io: DpdkIo {
                tx,
                stats: stats.clone(),
                peers: peers.clone(),
                punts: punts.clone(),
                pool: pools.of(socket).clone(),
            },
            receivers,
            redirected,
            relayed,
            mailbox: Mailbox::new(rings.clone()),
            clock,
            idler: Idler::new(idle),
            progress: progress.clone(),
        };
        let handle = eal
            .launch(dpdk::LcoreId(lcore), move || worker.run())
            .map_err(|source| StartError::Launch { lcore, source })?;
        seats.push(Seat {
            handle: Some(handle),
            rings,
            punts,
            relay,
            stats,
            generation,
            sent: generation,
            progress,
            watch: Watch::new(watch::LIMIT),
            asks: Asks::default(),
        });
    }
    drop(peers);
    Ok(Master {
        model,
        compiler,
        steer,
        snapshot,
        neighbors,
        local,
        seats,
        clock,
        ready: false,
        places,
        outs: Vec::new(),
        senders,
        steerings,
        owners,
        ports: devices,
        pools,
        _eal: eal,
        _claims: claims,
    })
}

/// `sockets` are those of the workers.
fn check_mbufs(model: &Model, sockets: &[Option<u32>]) -> Result<(), StartError> {
    let workers = sockets.len();
    let on_one = sockets.iter().map(|s| sockets.iter().filter(|o| *o == s).count()).max().unwrap_or_default();
    let queues = |p: &config::Port| ports::expected(p.device.as_deref().unwrap_or_default(), workers) as u32;
    // On each socket its share of the queues; and caches, spares, held frames and punts of each lcore.
    let descriptors: u32 = model.ports.iter().map(|p| (u32::from(p.rx_desc) + u32::from(p.tx_desc)) * queues(p)).sum();
    let need = (descriptors as usize * on_one).div_ceil(workers) as u32 + (on_one as u32 + 1) * 1_024;
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
pub fn eal_args(model: &Model, places: &Places) -> Vec<String> {
    let lcores: Vec<String> = places.all().map(|p| format!("{}@{}", p.lcore, p.cpu)).collect();
    let master = places.master.lcore.to_string();
    let mut args = vec!["--lcores".to_owned(), lcores.join(","), "--main-lcore".to_owned(), master];
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
fn idle_policy(model: &Model, places: &Places) -> Policy {
    const KERNEL: [&str; 4] = ["net_af_packet", "net_af_xdp", "net_tap", "net_pcap"];
    let devices = || model.ports.iter().filter_map(|p| p.device.as_deref());
    match model.lcores.idle {
        Idle::Spin => Policy::Spin,
        Idle::Yield => Policy::Yield,
        Idle::Sleep => Policy::Sleep,
        Idle::Auto if devices().any(|d| KERNEL.iter().any(|k| d.starts_with(k))) => Policy::Sleep,
        Idle::Auto => {
            let cpus: BTreeSet<u32> = places.all().map(|p| p.cpu).collect();
            if cpus.len() == places.all().count() { Policy::Spin } else { Policy::Yield }
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
    fn the_eal_is_told_what_the_file_says_and_nothing_of_other_cards() {
        let model = model("workers = [1]\ncpus = { 1 = 0 }");
        let places = cpus::place(&model.lcores, "", &[]).unwrap();
        let args = eal_args(&model, &places).join(" ");
        let expected = "--lcores 0@0,1@0 --main-lcore 0 --no-telemetry --log-level=*:warning --no-huge --no-shconf --no-pci -m 256";
        assert_eq!(args, expected);
    }

    #[test]
    fn too_few_or_too_small_buffers_are_refused_before_a_port_is_opened() {
        let model = model("workers = [1]");
        assert!(check_mbufs(&model, &[None]).is_ok());
        // On two sockets each pool serves its own lcores: half of the queues.
        assert!(check_mbufs(&model, &[Some(0), Some(0)]).is_ok());
        let mut two = model.clone();
        two.ports.iter_mut().for_each(|p| p.device = Some("0000:01:00.0".to_owned()));
        two.tables.mbufs = 6_144;
        assert!(check_mbufs(&two, &[Some(0), Some(1)]).is_ok());
        assert!(matches!(check_mbufs(&two, &[Some(0), Some(0)]), Err(StartError::Mbufs { need: 11_264, .. })));
        let mut few = model.clone();
        few.tables.mbufs = 512;
        let need = "tables.mbufs is 512, but the queues of all ports and what is on its way need 6144: raise it";
        assert_eq!(check_mbufs(&few, &[None]).unwrap_err().to_string(), need);
        let mut small = model;
        small.ports[0].mtu = 9_000;
        assert!(matches!(check_mbufs(&small, &[None]), Err(StartError::MbufSize { mtu: 9_000, need: 9_022, .. })));
    }
}
