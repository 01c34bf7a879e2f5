//! Between the frames coming in and going out nothing allocates: not on the hit path, and not where connections open,
//! change and end.

#[path = "engine/bench.rs"]
#[allow(dead_code)]
mod bench;

use bench::{Bench, FOUR, LAN, SIX, WAN, WEB, both, segment, toml};
use gatun::replay::Options;
use gatun_engine::addr::{Be32, LcoreId, NeighborId, PortId};
use gatun_engine::frame::Buffer;
use gatun_engine::lcore::capture::{Capture, End, Filter, Points, Protocol, Seen, Sink};
use gatun_engine::lcore::{Batch, Io, Punt, Source};
use gatun_engine::testkit::Packet;
use gatun_engine::testkit::lab::Buf;
use gatun_engine::time::{Tick, Ticks};
use gatun_engine::verdict::DropReason;
use gatun_engine::wire::tcp::{ACK, FIN, SYN};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNTED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The system's allocator, with calls counted on the thread that asks for it.
struct Counting;

fn count() {
    let _ = COUNTED.try_with(|c| c.set(c.get().map(|n| n + 1)));
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps what it promises to the system's allocator.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count();
        // SAFETY: as above; `ptr` came from the system's allocator.
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above; `ptr` came from the system's allocator.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `what` allocates or frees.
fn allocations(what: impl FnOnce()) -> u64 {
    COUNTED.set(Some(0));
    what();
    COUNTED.replace(None).unwrap_or(0)
}

/// A port of the live kind: buffers come from a pool and go back to it.
struct Pool {
    free: Vec<Buf>,
    sent: u64,
}

impl Io for Pool {
    type Buf = Buf;
    fn spare(&mut self) -> Option<Buf> {
        self.free.pop()
    }
    fn send(&mut self, _: PortId, batch: &mut Batch<Buf>) {
        self.sent += batch.len() as u64;
        self.free.extend(batch.drain(..));
    }
    fn redirect(&mut self, _: LcoreId, batch: &mut Batch<Buf>) {
        self.free.extend(batch.drain(..));
    }
    fn punt(&mut self, _: Punt, buf: Buf) -> Result<(), Buf> {
        self.free.push(buf);
        Ok(())
    }
    fn wanted(&mut self, _: NeighborId) {}
}

/// A frame in a buffer of the pool.
fn fill(pool: &mut Pool, port: PortId, frame: &[u8]) -> Buf {
    let mut buf = pool.free.pop().expect("a buffer");
    let mut f = buf.frame();
    f.reset(frame.len()).expect("room").copy_from_slice(frame);
    let (head, len) = (f.head, f.len);
    buf.commit(head, len);
    buf.meta.port = port;
    buf
}

fn burst(b: &mut Bench, pool: &mut Pool, now: Tick, frames: &[(PortId, Vec<u8>)]) {
    let mut batch: Batch<Buf> = frames.iter().map(|(port, frame)| fill(pool, *port, frame)).collect();
    let lcore = &mut b.gateway.lab.lcores_mut()[0];
    lcore.turn(now, pool, &mut batch, Source::Port);
    lcore.finish(now, pool);
    while lcore.shard.next_event().is_some() {}
}

fn pool() -> Pool {
    let mut free = Vec::with_capacity(1_000);
    free.extend((0..400).map(|_| Buf::new(&[0; 4_000], Default::default())));
    Pool { free, sent: 0 }
}

#[test]
fn an_allocation_is_counted() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 2);
}

#[test]
fn the_hit_path_does_not_allocate() {
    for (client, vip) in [("10.0.0.1", WEB), ("[2001:db8:9::1]", SIX), ("[2001:db8:9::1]", FOUR)] {
        hits_do_not_allocate(client, vip);
    }
}

fn hits_do_not_allocate(client: &str, vip: &str) {
    let mut b = Bench::new(&both(""), &Options::default());
    let mut frames = Vec::new();
    for n in 0..32 {
        let client = format!("{client}:{}", 40_000 + n);
        let (server, local) = b.establish(&client, vip);
        for (port, packet) in [(WAN, Packet::tcp(&client, vip)), (LAN, Packet::tcp(&server, &local))] {
            frames.push((port, packet.flags("PA").macs([2; 6], b.gateway.mac(port)).build()));
        }
    }
    let (mut pool, mut now) = (pool(), b.gateway.lab.now());
    burst(&mut b, &mut pool, now, &frames);
    let before = pool.sent;
    let n = allocations(|| {
        for round in 0..1_000 {
            now = now + Ticks(u32::from(round % 10 == 0));
            burst(&mut b, &mut pool, now, &frames);
        }
    });
    assert_eq!((n, pool.sent - before), (0, 64_000), "{vip}");
}

/// Keeps nothing.
struct Blind(u64);

impl Sink for Blind {
    fn put(&mut self, _: &Seen, bytes: &[u8]) {
        self.0 += bytes.len() as u64;
    }
    fn is_over(&self) -> bool {
        false
    }
}

#[test]
fn captures_do_not_allocate() {
    let mut b = Bench::new(&both(""), &Options::default());
    let (server, local) = b.establish("10.0.0.1:40000", WEB);
    let frames: Vec<_> = (0..30)
        .flat_map(|n| {
            [
                (WAN, Packet::tcp("10.0.0.1:40000", WEB).payload(&vec![7; 40 * n])),
                (LAN, Packet::tcp(&server, &local).payload(b"answer")),
                (WAN, Packet::tcp("10.0.0.2:40000", WEB)),
            ]
        })
        .take(64)
        .map(|(port, packet)| (port, packet.macs([2; 6], b.gateway.mac(port)).build()))
        .collect();
    for points in [Points::Both, Points::Dropped(None)] {
        let ends = [End { addr: Be32::new(0x0A00_0001).into(), port: None }];
        let ends = if points == Points::Both { ends.into_iter().collect() } else { Default::default() };
        let filter = Filter { points, port: None, protocol: Some(Protocol::Tcp), ends };
        let capture = Capture::new(filter, 1_000, Box::new(Blind(0)));
        assert!(b.gateway.lab.lcores_mut()[0].capture(Box::new(capture)).is_ok());
    }
    let (mut pool, now) = (pool(), b.gateway.lab.now());
    burst(&mut b, &mut pool, now, &frames);
    let dropped = b.drops(DropReason::TcpNoConnection);
    let n = allocations(|| (0..5).for_each(|_| burst(&mut b, &mut pool, now, &frames)));
    // A buffer that is dropped is freed here, and nothing else.
    assert_eq!((n, b.drops(DropReason::TcpNoConnection)), (5 * dropped, 6 * dropped));
    assert_eq!(dropped, 21);
}

#[test]
fn opening_changing_and_ending_connections_does_not_allocate() {
    let mut b = Bench::new(&toml("[timeouts]\nfin = 1\nclose = 1\nsyn = 1\nestablished = 2"), &Options::default());
    let (wan, mut now) = (b.gateway.mac(WAN), b.gateway.lab.now());
    let rounds: Vec<Vec<(PortId, Vec<u8>)>> = (0..200)
        .map(|round| {
            let clients = round * 20..round * 20 + 20;
            let say = |flags| clients.clone().map(move |n| (WAN, segment(&Bench::key(n), flags, n, 1, wan)));
            say(SYN).chain(say(ACK)).chain(say(FIN | ACK)).collect()
        })
        .collect();
    let mut pool = pool();
    burst(&mut b, &mut pool, now, &rounds[0]);
    let n = allocations(|| {
        for frames in &rounds[1..] {
            now = now + Ticks(16);
            burst(&mut b, &mut pool, now, frames);
        }
    });
    let stats = &b.gateway.lab.lcores()[0].shard.stats.lcore;
    assert_eq!((n, stats.conns_opened.value()), (0, 4_000));
    assert!(stats.conns_closed.value() > 3_000, "{}", stats.conns_closed.value());
}
