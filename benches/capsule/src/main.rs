//! capsule 0.1.5 against a plain loop over our `dpdk` crate: the same rewrite, by which a client's packet goes on to a server,
//! over the same mbufs in the same ring, paired in one process and on one thread.
//!
//! Each rewrites addresses and ports to what the flow's list says, so there is no table on either side; lowers the TTL; writes
//! MAC addresses; and leaves right checksums. The plain loop updates them (RFC 1624). capsule's packets have no way to do so
//! when a port changes, and compute them anew (`reconcile_all`), over all of the 60 bytes. Before that, both put the flow's
//! frame into the mbuf as it comes from the client. What each sends is compared, byte by byte.
//!
//! A phase lasts 50 ms of CPU time. First the plain loop is paired with itself: when that share is not 1.00 within 3 %, the
//! machine is too busy, and nothing is reported. capsule runs its own pipeline: poll, map, send, 32 packets a burst, without
//! metrics, inside its own runtime.
//!
//! `cargo run --release -- [--json]`

use arrayvec::ArrayVec;
use capsule::batch::{Batch, Pipeline, Poll};
use capsule::net::MacAddr;
use capsule::packets::ip::v4::Ipv4;
use capsule::packets::{Ethernet, Packet, Tcp4};
use capsule::{Mbuf, PortQueue, Runtime};
use dpdk::port::ring_port;
use dpdk::{Eal, Mempool, RxQueue, TxQueue, ring};
use gatun_engine::addr::{Be16, Be32, Mac};
use gatun_engine::testkit::{Packet as Build, check};
use gatun_engine::wire::checksum::{self, DeltaSum};
use gatun_engine::wire::{FromBytes, ethernet, ipv4, tcp};
use nix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::net::Ipv4Addr;
use std::process::exit;
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

/// As many as there are mbufs, so that each goes around with a flow of its own.
const FLOWS: usize = 1_024;
/// What capsule takes in one burst.
const BURST: usize = 32;
const PHASE: Duration = Duration::from_millis(50);
const PAIRS: usize = 21;
const FRAME: usize = 60;
/// Too busy beyond.
const SAME: f64 = 0.03;
const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];
const NEXT: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// A client's frame, and what it becomes.
#[derive(Clone, Copy)]
struct Flow {
    frame: [u8; FRAME],
    src: [u8; 4],
    dst: [u8; 4],
    sport: u16,
    dport: u16,
}

fn flows() -> Vec<Flow> {
    let flow = |n: usize| {
        let client = format!("100.64.{}.{}:{}", n / 250, 1 + n % 250, 1_024 + n * 7);
        let built =
            Build::tcp(&client, "198.18.1.100:80").flags("A").payload(b"sixsix").macs(Mac(NEXT), Mac(OURS)).build();
        let frame = built.try_into().expect("60 bytes");
        let [high, low] = (n as u16).to_be_bytes();
        let (src, dst) = ([198, 18, 2, 100 + high], [198, 18, 3, low]);
        Flow { frame, src, dst, sport: 2_000 + n as u16, dport: 8_080 }
    };
    (0..FLOWS).map(flow).collect()
}

/// The flows in turn.
struct Turn {
    flows: Vec<Flow>,
    at: Cell<usize>,
}

impl Turn {
    #[inline(always)]
    fn next(&self) -> &Flow {
        let at = self.at.get();
        self.at.set((at + 1) % FLOWS);
        &self.flows[at]
    }
}

/// The plain loop.
struct Plain {
    rx: RxQueue,
    tx: TxQueue,
}

impl Plain {
    fn burst(&mut self, turn: &Turn, rewrite: impl Fn(&mut [u8], &Flow)) -> usize {
        let mut mbufs: ArrayVec<dpdk::Mbuf, BURST> = ArrayVec::new();
        let received = self.rx.burst(&mut mbufs);
        for mbuf in &mut mbufs {
            let flow = turn.next();
            let frame = mbuf.data_mut();
            frame[..FRAME].copy_from_slice(&flow.frame);
            rewrite(frame, flow);
        }
        self.tx.burst(&mut mbufs);
        assert!(mbufs.is_empty(), "the ring has room for every mbuf that was taken out of it");
        received
    }

    fn forward(&mut self, turn: &Turn) -> usize {
        self.burst(turn, |frame, flow| rewrite(frame, flow).expect("a whole TCP packet"))
    }

    /// What neither can spare: ring, mbufs, and the flow's frame.
    fn bare(&mut self, turn: &Turn) -> usize {
        self.burst(turn, |_, _| ())
    }

    /// Everything that is in the ring, left as it is.
    fn look(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while frames.len() < FLOWS {
            let mut mbufs: ArrayVec<dpdk::Mbuf, BURST> = ArrayVec::new();
            self.rx.burst(&mut mbufs);
            frames.extend(mbufs.iter().map(|mbuf| mbuf.data().to_vec()));
            self.tx.burst(&mut mbufs);
        }
        frames
    }
}

#[inline(always)]
fn rewrite(frame: &mut [u8], flow: &Flow) -> Option<()> {
    let (eth, packet) = ethernet::Header::mut_from_prefix(frame).ok()?;
    (eth.src, eth.dst) = (Mac(OURS), Mac(NEXT));
    let (ip, l4) = ipv4::Header::mut_from_prefix(packet).ok().filter(|(ip, _)| ip.ver_ihl == 0x45)?;
    let (tcp, _) = tcp::Header::mut_from_prefix(l4).ok().filter(|_| ip.proto == ipv4::TCP)?;
    let (src, dst) = (Be32::new(u32::from_be_bytes(flow.src)), Be32::new(u32::from_be_bytes(flow.dst)));
    let (sport, dport) = (Be16::new(flow.sport), Be16::new(flow.dport));
    let addrs = DeltaSum::new().replace32(ip.src, src).replace32(ip.dst, dst);
    let ports = addrs.replace16(tcp.sport, sport).replace16(tcp.dport, dport);
    let hops = |ttl: u8| Be16::new(u16::from_be_bytes([ttl, ip.proto]));
    let ttl = addrs.replace16(hops(ip.ttl), hops(ip.ttl - 1));
    checksum::apply(&mut ip.checksum, ttl.fold());
    checksum::apply(&mut tcp.checksum, ports.fold());
    ip.ttl -= 1;
    (ip.src, ip.dst) = (src, dst);
    (tcp.sport, tcp.dport) = (sport, dport);
    Some(())
}

/// The same in capsule's words.
fn translate(mut mbuf: Mbuf, turn: &Turn) -> Result<Tcp4, Box<dyn std::error::Error + Send + Sync>> {
    let flow = turn.next();
    mbuf.write_data_slice(0, &flow.frame)?;
    let mut ethernet = mbuf.parse::<Ethernet>()?;
    ethernet.set_src(MacAddr::from(OURS));
    ethernet.set_dst(MacAddr::from(NEXT));
    let mut ip = ethernet.parse::<Ipv4>()?;
    ip.set_ttl(ip.ttl() - 1);
    ip.set_src(Ipv4Addr::from(flow.src));
    ip.set_dst(Ipv4Addr::from(flow.dst));
    let mut tcp = ip.parse::<Tcp4>()?;
    tcp.set_src_port(flow.sport);
    tcp.set_dst_port(flow.dport);
    tcp.reconcile_all();
    Ok(tcp)
}

fn main() {
    let huge = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    let huge = huge.ok().and_then(|n| n.trim().parse::<u32>().ok()).unwrap_or(0) >= 64;
    let cpu = last_cpu();
    let lcore = format!("0@{cpu}");
    let mut args = vec!["--no-pci", "--no-telemetry", "--log-level=*:error", "--lcores", &lcore];
    args.extend(if huge { &["--in-memory"][..] } else { &["--no-huge", "--no-shconf"][..] });
    args.extend(["-m", "128"]);
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    let eal = Eal::init(&args).expect("DPDK");
    let pool = Mempool::new(&eal, "plain", 2_047, 256, 2_048, None).expect("mbufs");
    let (mut producer, consumer) = ring::spsc(&eal, "frames", 2_047, None).expect("a ring");
    let mut batch: ArrayVec<dpdk::Mbuf, 1> = ArrayVec::new();
    for _ in 0..FLOWS {
        let mut mbuf = pool.alloc().expect("an mbuf");
        mbuf.append(FRAME as u16).expect("room");
        batch.push(mbuf);
        producer.enqueue_burst(&mut batch);
    }
    let (_, queues) = ring_port(&eal, "plain", &pool, vec![consumer], vec![producer]).expect("a port");
    second_port();
    let (rx, tx) = (queues.rx.into_iter().next().expect("rx"), queues.tx.into_iter().next().expect("tx"));
    // Each port belongs to one of the two, the ring between receiving and sending to both, on one thread.
    let plain = Mutex::new(Some(Plain { rx, tx }));
    let config = format!(
        "app_name = \"capsule\"\nmaster_core = {cpu}\nduration = 1\n[mempool]\ncapacity = 2047\n\
         [[ports]]\nname = \"cap0\"\ndevice = \"net_ring_capsule\"\ncores = [{cpu}]\n"
    );
    let mut runtime = Runtime::build(toml::from_str(&config).expect("capsule's configuration")).expect("capsule");
    runtime
        .add_pipeline_to_port("cap0", move |queue| -> Pipe {
            let plain = plain.lock().expect("one thread").take().expect("once");
            measure(plain, queue, huge);
            // capsule would close what is not its own.
            exit(0)
        })
        .expect("a pipeline");
    runtime.execute().expect("capsule runs");
}

/// Never made: what is measured ends the program.
type Pipe = capsule::batch::Send<Poll<PortQueue>, PortQueue>;

/// A port of capsule's, over the ring that the other has.
fn second_port() {
    // SAFETY: the name ends with a NUL byte.
    let ring = unsafe { dpdk_sys::rte_ring_lookup(c"frames".as_ptr()) };
    assert!(!ring.is_null());
    let rings = [ring];
    // SAFETY: the arrays hold one ring each, which lives as long as the process.
    let port = unsafe { dpdk_sys::rte_eth_from_rings(c"capsule".as_ptr(), rings.as_ptr(), 1, rings.as_ptr(), 1, 0) };
    assert!(port >= 0, "a port over the ring");
}

fn measure(mut plain: Plain, queue: PortQueue, huge: bool) {
    let turn = Rc::new(Turn { flows: flows(), at: Cell::new(0) });
    let of_capsule = turn.clone();
    let mut pipeline = Poll::new(queue.clone())
        .map(move |mbuf| translate(mbuf, &of_capsule).map_err(|e| panic!("capsule refuses a packet: {e}")))
        .send(queue);
    let mut capsule = || {
        pipeline.run_once();
        BURST
    };
    compare(&mut plain, &turn, &mut capsule);

    let same = pairs(&mut plain, &turn, &mut |plain| plain.forward(&turn));
    let bare = pairs(&mut plain, &turn, &mut |plain| plain.bare(&turn));
    let share = pairs(&mut plain, &turn, &mut |_| capsule());
    let away = (same.share[1] - 1.0).abs();
    if away > SAME {
        eprintln!("the plain loop is {:.3} of itself: the machine is too busy, nothing is reported", same.share[1]);
        exit(1);
    }
    if std::env::args().any(|a| a == "--json") {
        let of = |nanos: f64| serde_json::json!({ "packets_per_cpu_second": 1e9 / nanos, "ns_per_packet": nanos });
        let report = serde_json::json!({
            "capsule": of(share.nanos[1]), "plain": of(share.nanos[0]), "bare": of(bare.nanos[1]), "share": share.share[1],
            "spread": [share.share[0], share.share[2]], "same": same.share, "huge_pages": huge,
        });
        println!("{report}");
        return;
    }
    println!("                          packets a CPU-second   ns a packet   of these the rewrite");
    let bare = bare.nanos[1];
    println!("{:<25} {:>18.2} M {bare:>13.1}", "nothing but the ring", 1e3 / bare);
    for (what, nanos) in [("plain loop, our crate", share.nanos[0]), ("capsule 0.1.5", share.nanos[1])] {
        println!("{what:<25} {:>18.2} M {nanos:>13.1} {:>22.1}", 1e3 / nanos, nanos - bare);
    }
    println!(
        "\ncapsule is {:.3} [{:.3} {:.3}] of the plain loop; the plain loop of itself {:.3} [{:.3} {:.3}]; {} pages",
        share.share[1],
        share.share[0],
        share.share[2],
        same.share[1],
        same.share[0],
        same.share[2],
        if huge { "huge" } else { "ordinary" }
    );
}

/// Both make the same of every flow, with right checksums.
fn compare(plain: &mut Plain, turn: &Turn, capsule: &mut dyn FnMut() -> usize) {
    for _ in 0..FLOWS / BURST {
        capsule();
    }
    let of_capsule = plain.look();
    for _ in 0..FLOWS / BURST {
        plain.forward(turn);
    }
    let of_plain = plain.look();
    assert_eq!(of_capsule, of_plain, "they send the same");
    for (frame, flow) in of_plain.iter().zip(&turn.flows) {
        check::checksums(frame).expect("right checksums");
        assert_eq!((&frame[26..30], &frame[30..34], frame[22]), (&flow.src[..], &flow.dst[..], flow.frame[22] - 1));
        assert_eq!(frame[34..38], [flow.sport.to_be_bytes(), flow.dport.to_be_bytes()].concat());
    }
}

struct Paired {
    /// Lowest, median, highest, without the outermost.
    share: [f64; 3],
    /// Of the first and of the second, medians.
    nanos: [f64; 2],
}

/// The plain loop, and then another one.
fn pairs(plain: &mut Plain, turn: &Turn, other: &mut dyn FnMut(&mut Plain) -> usize) -> Paired {
    let (mut shares, mut first, mut second) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let a = phase(&mut || plain.forward(turn));
        let b = phase(&mut || other(plain));
        shares.push(a / b);
        first.push(a);
        second.push(b);
    }
    for values in [&mut shares, &mut first, &mut second] {
        values.sort_by(f64::total_cmp);
    }
    let middle = PAIRS / 2;
    Paired { share: [shares[1], shares[middle], shares[PAIRS - 2]], nanos: [first[middle], second[middle]] }
}

/// Nanoseconds of CPU time a packet.
fn phase(burst: &mut dyn FnMut() -> usize) -> f64 {
    let cpu = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock"));
    let (begin, mut packets) = (cpu(), 0);
    loop {
        for _ in 0..256 {
            packets += burst();
        }
        let spent = cpu() - begin;
        if spent >= PHASE {
            return spent.as_nanos() as f64 / packets as f64;
        }
    }
}

/// The last CPU that this process may use.
fn last_cpu() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:")).unwrap_or("0");
    list.rsplit([',', '-']).next().and_then(|cpu| cpu.trim().parse().ok()).unwrap_or(0)
}
