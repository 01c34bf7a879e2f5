//! What ports say that they can do, and what they do of it when asked: queues, MTU, offloads, RSS key and redirection
//! table, flow rules. This is how the lines of docs/nics.md marked "measured" were made.
//!
//! `cargo run -p dpdk --example portinfo -- [DEVICE ...]`, where DEVICE is a virtual device with its arguments, as
//! `net_null0` or `net_af_packet0,iface=veth0,qpairs=2`, or a PCI address that is bound to vfio-pci. Only the PCI devices
//! that are named are probed. Most virtual devices do with ordinary pages, which are taken when no huge page is free;
//! hardware and net_virtio_user need huge pages.

use std::error::Error;
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use dpdk::port::{RssConfig, RssTypes, RxOffloads, TxOffloads};
use dpdk::{Eal, FlowMatch, Mbuf, Mempool, Port, PortConfig, PortError, Queues};

/// Asked for; a port that has fewer gets what it has.
const QUEUES: u16 = 4;
const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 100);

fn main() -> Result<(), Box<dyn Error>> {
    let mut devices: Vec<String> = std::env::args().skip(1).collect();
    if devices.is_empty() {
        devices = ["net_null0", "net_ring0", "net_pcap0,tx_pcap=/dev/null"].map(str::to_owned).to_vec();
    }
    let pci: Vec<String> = devices.iter().filter(|d| !d.starts_with("net_")).cloned().collect();
    let huge = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")?.trim() != "0";
    let mut args = vec!["--no-telemetry", "--log-level=*:error"];
    args.extend(if huge { ["--in-memory", "--single-file-segments"] } else { ["--no-huge", "--no-shconf"] });
    args.extend(if huge { ["-m", "128"] } else { ["-m", "256"] });
    match pci.is_empty() {
        true => args.push("--no-pci"),
        false => args.extend(pci.iter().flat_map(|address| ["-a", address.as_str()])),
    }
    let eal = Eal::init(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())?;
    println!("{}", dpdk::version());
    for (number, device) in devices.iter().enumerate() {
        println!("\n{device}");
        if let Err(error) = describe(&eal, number, device) {
            println!("  {error}");
        }
    }
    Ok(())
}

fn describe(eal: &Eal, number: usize, device: &str) -> Result<(), Box<dyn Error>> {
    // In a page, where net_af_xdp wants them.
    let pool = Mempool::new(eal, &format!("portinfo{number}"), 8_191, 64, 3_584 - dpdk::HEADROOM, None)?;
    let (port, mut queues, key) = open(eal, device, pool)?;
    let info = port.info()?;
    line("driver", &info.driver);
    line("queues at most", format!("{} rx, {} tx", info.max_rx_queues, info.max_tx_queues));
    line("MTU", format!("{} to {}, now {}", info.min_mtu, info.max_mtu, tell(port.mtu())));
    for mtu in [1500, 9000] {
        line(&format!("  set to {mtu}"), told(port.set_mtu(mtu)));
    }
    line("rx offloads", names(RxOffloads::all().iter_names().filter(|(_, bit)| info.rx_offloads.contains(*bit))));
    line("tx offloads", names(TxOffloads::all().iter_names().filter(|(_, bit)| info.tx_offloads.contains(*bit))));
    line("RSS types", names(RssTypes::all().iter_names().filter(|(_, bit)| info.rss_types.contains(*bit))));
    line("  granted", names(port.granted().rss_types.iter_names()));
    line("RSS key", format!("{} bytes", info.rss_key_size));
    line("  is the configured one", tell(port.rss_hash().map(|rss| if rss.key == key { "yes" } else { "no" })));
    line("redirection table", format!("{} entries", info.reta_size));
    line("  set and read back", tell(reta(&port)));
    line("all multicast", told(port.set_all_multicast(true)));
    line("promiscuous", told(port.set_promiscuous(true)));
    line("received within a second", received(&mut queues));
    let to_address = FlowMatch::ipv4_dst(ADDRESS, Ipv4Addr::BROADCAST);
    let last = port.rx_queues() - 1;
    line(&format!("flow rule, {ADDRESS} to queue {last}"), told(port.create_flow(&to_address, last)));
    line("  only TCP ports x & 3 = 1", told(port.create_flow(&to_address.tcp_dst(1, 3), last)));
    Ok(())
}

/// Opens the device with a key of our own and as many queues as it lets us have. Gives the key too.
fn open(eal: &Eal, device: &str, pool: Mempool) -> Result<(Port, Queues, Vec<u8>), PortError> {
    let (mut rx, mut tx, mut len) = (QUEUES, QUEUES, 40);
    loop {
        let key: Vec<u8> = (0..len).map(|byte: usize| (byte * 37 + 11) as u8).collect();
        let types = RssTypes::IPV4_TCP | RssTypes::IPV4_UDP | RssTypes::IPV6_TCP | RssTypes::IPV6_UDP;
        let config = PortConfig {
            rx_queues: rx,
            tx_queues: tx,
            rss: Some(RssConfig { key: key.clone(), types }),
            ..PortConfig::new(device, pool.clone())
        };
        match Port::open(eal, &config) {
            Err(PortError::Queues { kind: "receive", max: most @ 1.., .. }) => rx = most,
            Err(PortError::Queues { max: most @ 1.., .. }) => tx = most,
            Err(PortError::RssKey { wanted, .. }) => len = wanted,
            other => return other.map(|(port, queues)| (port, queues, key)),
        }
    }
}

/// Gives the entries to the queues from the last to the first, and sees whether they stay so.
fn reta(port: &Port) -> Result<&'static str, PortError> {
    let queues = port.rx_queues();
    let wanted: Vec<u16> = (0..port.reta()?.len()).map(|i| queues - 1 - i as u16 % queues).collect();
    port.set_reta(&wanted)?;
    Ok(if port.reta()? == wanted { "yes" } else { "no: it says yes and keeps another" })
}

/// What comes within a second, and whether it carries a hash.
fn received(queues: &mut Queues) -> String {
    let (mut packets, mut hashes) = (0, 0);
    let end = Instant::now() + Duration::from_secs(1);
    while packets == 0 && Instant::now() < end {
        for queue in &mut queues.rx {
            let mut burst = ArrayVec::<Mbuf, 32>::new();
            packets += queue.burst(&mut burst);
            hashes += burst.iter().filter(|mbuf| mbuf.rss_hash().is_some()).count();
        }
    }
    format!("{packets} packets, {hashes} of them with a hash")
}

fn line(what: &str, value: impl Display) {
    println!("  {what:<42} {value}");
}

fn tell<T: Display, E: Display>(result: Result<T, E>) -> String {
    result.map_or_else(|error| error.to_string(), |value| value.to_string())
}

fn told<T, E: Display>(result: Result<T, E>) -> String {
    tell(result.map(|_| "accepted"))
}

fn names<T>(bits: impl Iterator<Item = (&'static str, T)>) -> String {
    let names: Vec<_> = bits.map(|(name, _)| name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}
