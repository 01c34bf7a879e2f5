//! Over DPDK: the trace comes out of net_pcap, which holds it in memory and gives it again and again (`infinite_rx`), each
//! frame copied into a fresh mbuf; it goes through the receive and transmit code of the live worker, and ends in net_null.
//!
//! One device has the frames of all ports, so that their order is that of the trace; the port is written into the mbuf.

use super::{BURST, BURSTS, Outcome, Pass, Trace, cpu};
use crate::worker::io::{DpdkIo, HugePages, Packet, Punts, Receiver, Way};
use dpdk::{Eal, EalError, Mempool, Port, PortConfig, PortError, mempool::MempoolError};
use gatun_engine::addr::PortId;
use gatun_engine::lcore::{Batch, Lcore, Source};
use gatun_engine::mem::OutOfMemory;
use gatun_engine::stats::Stats;
use gatun_engine::testkit::lab::Plan;
use gatun_engine::testkit::pcap::{Captured, Writer};
use gatun_engine::time::Tick;
use std::fs::File;
use std::io::BufWriter;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Mbufs besides those that hold the trace: on their way, spare, held, and in the cache of the lcore.
const ON_THE_WAY: u32 = 4_095;
/// Bytes of an mbuf besides its room: headers, headroom, and what spreads mbufs over the memory channels.
const MBUF: u64 = 640;
/// Bytes that a connection takes at most, with its timer, ports and index.
const CONNECTION: u64 = 160;
/// MiB for everything else.
const REST: u64 = 64;
/// Bytes of an ordinary page.
const PAGE: u64 = 4_096;
/// Bytes of a huge page.
const HUGE: u64 = 2 << 20;

/// Why DPDK can not be measured; the source says more.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The EAL.
    #[error("--dpdk: DPDK does not start")]
    Eal(#[from] EalError),
    /// The buffers.
    #[error("--dpdk: all of the capture has to be in packet buffers; take a shorter one, or reserve more huge pages")]
    Mempool(#[from] MempoolError),
    /// A device.
    #[error("--dpdk: a virtual device can not be opened")]
    Port(#[from] PortError),
    /// The file that net_pcap reads.
    #[error("--dpdk: {0}: {1}; set TMPDIR to a folder with room for the capture")]
    File(PathBuf, gatun_engine::testkit::pcap::Error),
}

/// See the module.
pub struct Device<'a> {
    trace: &'a Trace,
    plan: &'a Plan,
    receiver: Receiver,
    io: DpdkIo,
    /// What memory there is.
    pub huge_pages: bool,
    eal: Eal,
}

impl<'a> Device<'a> {
    /// Starts DPDK, once a process, and gives the trace to net_pcap.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub fn open(trace: &'a Trace, plan: &'a Plan) -> Result<Device<'a>, DeviceError> {
        let mbufs = u32::try_from(trace.len()).unwrap_or(u32::MAX).saturating_add(ON_THE_WAY);
        let room = u16::try_from(trace.longest().max(2_048) + 16).unwrap_or(u16::MAX);
        let bytes = |mbuf: u64| u64::from(mbufs) * mbuf + plan.sizes.conns as u64 * CONNECTION + (REST << 20);
        let mbuf = u64::from(room) + MBUF;
        let huge_pages = free_huge_pages() > bytes(mbuf) / HUGE;
        // No mbuf crosses the boundary of a page.
        let megabytes = bytes(if huge_pages { mbuf } else { mbuf.next_multiple_of(PAGE) }) >> 20;
        let eal = Eal::init(&eal_args(huge_pages, megabytes))?;
        let pool = Mempool::new(&eal, "bench", mbufs, 256, room, None)?;
        let file = Temporary::write(trace)?;
        let source = PortConfig::new(format!("net_pcap0,rx_pcap={},infinite_rx=1", file.0.display()), pool.clone());
        let (_, source) = Port::open(&eal, &source)?;
        let tx_queues = plan.links.len() as u16;
        let sink = PortConfig { tx_queues, ..PortConfig::new("net_null0,no-rx=1", pool.clone()) };
        let (_, sink) = Port::open(&eal, &sink)?;
        let Some(queue) = source.rx.into_iter().next() else {
            return Err(PortError::NoPort("net_pcap0".to_owned()).into());
        };
        Ok(Device {
            trace,
            plan,
            receiver: Receiver { port: PortId(0), queue, rss: None },
            io: DpdkIo {
                tx: sink.tx.into_iter().map(Way::Queue).collect(),
                stats: Arc::new(Stats::new(0)),
                peers: Vec::new(),
                punts: Arc::new(Punts::new()),
                pool,
            },
            huge_pages,
            eal,
        })
    }

    /// Takes the whole trace through an engine that starts now.
    ///
    /// # Errors
    /// When there is no memory for the tables.
    pub fn pass(&mut self) -> Result<Pass, OutOfMemory> {
        let memory = HugePages { eal: self.eal.clone(), socket: None };
        let mut lcore: Lcore<HugePages, Packet> = self.plan.lcore(&memory, 0, self.plan.seed, Tick(0))?;
        self.io.stats = lcore.shard.stats.clone();
        let mut batch = Batch::new();
        let mut spent = Duration::ZERO;
        for bursts in self.trace.bursts.chunks(BURSTS) {
            let begin = cpu();
            for burst in bursts {
                let now = self.trace.now(burst);
                self.receive(burst, &mut batch);
                lcore.turn(now, &mut self.io, &mut batch, Source::Port);
                lcore.finish(now, &mut self.io);
            }
            spent += cpu() - begin;
            // The master.
            while self.io.punts.link.pop().or_else(|| self.io.punts.rest.pop()).is_some() {}
            while self.io.punts.wanted.pop().is_some() {}
        }
        Ok(Pass { cpu: spent, outcome: Outcome::of(&lcore.shard.stats.lcore) })
    }

    #[inline(always)]
    fn receive(&mut self, burst: &Range<usize>, batch: &mut Batch<Packet>) {
        if burst.len() == BURST {
            self.receiver.burst(batch, BURST);
        } else {
            // net_pcap gives as many as there is room for: the next burst is to begin with its own first frame.
            while batch.len() < burst.len() && self.receiver.burst(batch, 1) > 0 {}
        }
        for (packet, frame) in batch.iter_mut().zip(&self.trace.frames[burst.clone()]) {
            packet.0.set_port(u16::from(frame.port.0));
        }
    }
}

fn free_huge_pages() -> u64 {
    let text = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    text.ok().and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}

fn eal_args(huge_pages: bool, megabytes: u64) -> Vec<String> {
    let mut args = ["--no-pci", "--no-telemetry", "--log-level=*:error", "--lcores"].map(str::to_owned).to_vec();
    // One lcore, wherever this process may run.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let cpus = status.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:")).map_or("0", str::trim);
    args.push(format!("0@({cpus})"));
    args.extend(
        if huge_pages { vec!["--in-memory"] } else { vec!["--no-huge", "--no-shconf"] }.into_iter().map(str::to_owned),
    );
    args.extend(["-m".to_owned(), megabytes.to_string()]);
    args
}

/// A capture file for as long as net_pcap needs it.
struct Temporary(PathBuf);

impl Temporary {
    fn write(trace: &Trace) -> Result<Temporary, DeviceError> {
        let file = Temporary(std::env::temp_dir().join(format!("gatun-bench-{}.pcap", std::process::id())));
        file.fill(trace, &file.0).map_err(|e| DeviceError::File(file.0.clone(), e))?;
        Ok(file)
    }

    fn fill(&self, trace: &Trace, path: &Path) -> Result<(), gatun_engine::testkit::pcap::Error> {
        let mut writer = Writer::new(BufWriter::new(File::create(path)?))?;
        for f in &trace.frames {
            writer.write_captured(&Captured::new(f.nanos, trace.frame(f).to_vec()))?;
        }
        writer.finish().map(drop)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
