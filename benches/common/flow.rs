//! Frames of 64 bytes, check sequence included, and the flows that they belong to.

use super::gateway::{self, MAC, PEER, SERVICES};
use gatun_engine::addr::{Be16, Be32, Be128, Family, LcoreId, NeighborId, PortId, Proto};
use gatun_engine::conn::record::EventKind;
use gatun_engine::conn::{key::SplitMix, tuple::Tuple};
use gatun_engine::frame::{BURST, Buffer};
use gatun_engine::lcore::{Batch, Io, Lcore, Punt, Source};
use gatun_engine::local::write;
use gatun_engine::mem::Memory;
use gatun_engine::time::Tick;
use gatun_engine::wire::tcp::{ACK, SYN};
use gatun_engine::wire::{FromBytes, checksum, ethernet, ipv4, ipv6, udp};
use std::sync::LazyLock;

/// Bytes of a frame without its check sequence.
pub const LEN: usize = 60;
/// From the TTL to the ports.
const MIDDLE: std::ops::Range<usize> = 22..38;

/// From our neighbour to us.
const LINK: [u8; 12] = {
    let (to, from) = (MAC.0, PEER.0);
    [to[0], to[1], to[2], to[3], to[4], to[5], from[0], from[1], from[2], from[3], from[4], from[5]]
};

/// A frame.
pub type Bytes = [u8; LEN];

/// A frame with this tuple, from our neighbour to us.
pub fn frame(key: &Tuple, flags: u8, seq: u32) -> Bytes {
    let mut bytes = [b'6'; LEN];
    let link = write::L2 { dst: MAC, src: PEER, vlan: 0 };
    match key.proto() {
        Proto::Tcp => {
            // The header first, then as an IP packet with six bytes of data.
            write::tcp(&mut bytes[..54], &link, key, &write::Tcp { seq, ack: 1, flags });
            lengthen(&mut bytes, key, ipv4::TCP);
        }
        Proto::Udp => {
            let packet = write::l2(&mut bytes, &link, ethernet::IPV4);
            let (src, dst) = key.v4().expect("an IPv4 flow");
            let segment = write::ipv4(packet, src, dst, ipv4::UDP, 0, write::TTL);
            let len = segment.len() as u16;
            if let Ok((header, _)) = udp::Header::mut_from_prefix(segment) {
                (header.sport, header.dport) = (key.sport(), key.dport());
                header.len = Be16::new(len);
            }
            checksum::l4_fill(key.src(), key.dst(), ipv4::UDP, segment);
        }
    }
    bytes
}

fn lengthen(bytes: &mut Bytes, key: &Tuple, proto: u8) {
    let (header, segment) = bytes[ethernet::LEN..].split_at_mut(ipv4::LEN);
    header[2..4].copy_from_slice(&((LEN - ethernet::LEN) as u16).to_be_bytes());
    checksum::ipv4_header_fill(header);
    checksum::l4_fill(key.src(), key.dst(), proto, segment);
}

/// Bytes of a frame of TCP over IPv6 with as much data as one of [`LEN`] has over IPv4.
pub const LEN6: usize = LEN + ipv6::LEN - ipv4::LEN;
/// The addresses and the ports in it.
const MIDDLE6: std::ops::Range<usize> = 22..58;
/// Its checksum.
const SUM6: usize = 70;
/// Where the TCP flags stand, over IPv4 and IPv6.
const FLAGS: [usize; 2] = [47, 67];

/// A frame of TCP over IPv6.
pub type Bytes6 = [u8; LEN6];

/// The same over IPv6; only TCP.
pub fn frame6(key: &Tuple, flags: u8, seq: u32) -> Bytes6 {
    let mut bytes = [b'6'; LEN6];
    let link = write::L2 { dst: MAC, src: PEER, vlan: 0 };
    write::tcp(&mut bytes[..74], &link, key, &write::Tcp { seq, ack: 1, flags });
    bytes[18..20].copy_from_slice(&((LEN6 - ethernet::LEN - ipv6::LEN) as u16).to_be_bytes());
    checksum::l4_fill(key.src(), key.dst(), ipv4::TCP, &mut bytes[ethernet::LEN + ipv6::LEN..]);
    bytes
}

/// What distinguishes the TCP frames of one flow of either family.
#[derive(Clone, Copy)]
pub enum AnyFlow {
    /// IPv4, and TCP flags.
    Four(Flow, u8),
    /// IPv6: addresses and ports, the checksum, and TCP flags.
    Six([u8; 36], [u8; 2], u8),
}

/// What all TCP frames of a family have in common.
static TEMPLATES: LazyLock<(Bytes, Bytes6)> = LazyLock::new(|| {
    let nobody = |family| {
        let any = gateway::in_family(Be32::default(), family);
        Tuple::new(any, any, Be16::default(), Be16::default(), Proto::Tcp)
    };
    (frame(&nobody(Family::V4), 0, 1), frame6(&nobody(Family::V6), 0, 1))
});

impl AnyFlow {
    /// The flow of a TCP frame.
    pub fn of(key: &Tuple, flags: u8) -> AnyFlow {
        match key.family() {
            Family::V4 => AnyFlow::Four(Flow::of(key, flags), flags),
            Family::V6 => {
                let bytes = frame6(key, flags, 1);
                AnyFlow::Six(bytes[MIDDLE6].try_into().expect("36 bytes"), [bytes[SUM6], bytes[SUM6 + 1]], flags)
            }
        }
    }

    /// Its tuple.
    pub fn key(&self) -> Tuple {
        match self {
            AnyFlow::Four(flow, _) => flow.key(Proto::Tcp),
            AnyFlow::Six(middle, ..) => {
                let ip = |at: usize| Be128::from_bytes(middle[at..at + 16].try_into().expect("16 bytes"));
                let two = |at: usize| Be16::new(u16::from_be_bytes([middle[at], middle[at + 1]]));
                Tuple::new(ip(0), ip(16), two(32), two(34), Proto::Tcp)
            }
        }
    }

    /// Bytes of its frames.
    #[inline(always)]
    pub fn frame_len(&self) -> usize {
        match self {
            AnyFlow::Four(..) => LEN,
            AnyFlow::Six(..) => LEN6,
        }
    }

    /// Writes a frame of it; `bytes` are [`AnyFlow::frame_len`].
    #[inline(always)]
    pub fn write(&self, bytes: &mut [u8]) {
        let (four, six) = &*TEMPLATES;
        match self {
            AnyFlow::Four(flow, flags) => {
                bytes.copy_from_slice(four);
                bytes[FLAGS[0]] = *flags;
                if let Ok(bytes) = bytes.try_into() {
                    flow.write(bytes, Proto::Tcp);
                }
            }
            AnyFlow::Six(middle, sum, flags) => {
                bytes.copy_from_slice(six);
                bytes[FLAGS[1]] = *flags;
                bytes[MIDDLE6].copy_from_slice(middle);
                bytes[SUM6..SUM6 + 2].copy_from_slice(sum);
            }
        }
    }
}

/// The tuple of an IPv4 client's packets in IPv6.
pub fn six(key: &Tuple) -> Tuple {
    let (src, dst) = key.v4().expect("an IPv4 flow");
    let of = |a| gateway::in_family(a, Family::V6);
    Tuple::new(of(src), of(dst), key.sport(), key.dport(), key.proto())
}

/// What distinguishes the frames of one flow.
#[derive(Clone, Copy)]
pub struct Flow {
    /// TTL, protocol, header checksum, addresses, ports.
    middle: [u8; 16],
    l4_sum: [u8; 2],
}

impl Flow {
    /// The flow of a frame.
    pub fn of(key: &Tuple, flags: u8) -> Flow {
        let bytes = frame(key, flags, 1);
        let at = sum_place(key.proto());
        Flow { middle: bytes[MIDDLE].try_into().expect("16 bytes"), l4_sum: [bytes[at], bytes[at + 1]] }
    }

    /// Its tuple.
    pub fn key(&self, proto: Proto) -> Tuple {
        let four = |at: usize| Be32::new(u32::from_be_bytes(self.middle[at..at + 4].try_into().expect("4 bytes")));
        let two = |at: usize| Be16::new(u16::from_be_bytes([self.middle[at], self.middle[at + 1]]));
        Tuple::new(four(4), four(8), two(12), two(14), proto)
    }

    /// Makes a frame of the same protocol and flags, wherever it comes from, one of this flow.
    #[inline(always)]
    pub fn write(&self, bytes: &mut Bytes, proto: Proto) {
        bytes[..12].copy_from_slice(&LINK);
        bytes[MIDDLE].copy_from_slice(&self.middle);
        let at = sum_place(proto);
        bytes[at..at + 2].copy_from_slice(&self.l4_sum);
    }
}

/// Where the checksum of TCP or UDP stands.
const fn sum_place(proto: Proto) -> usize {
    match proto {
        Proto::Tcp => 50,
        Proto::Udp => 40,
    }
}

/// The tuple of the n-th client's packets, to some service.
pub fn client_key(n: u32, proto: Proto, random: &mut SplitMix) -> Tuple {
    let (vip, vport) = gateway::service((random.next() % u64::from(SERVICES)) as u32);
    let (addr, port) = gateway::client(n);
    Tuple::new(addr, vip, port, vport, proto)
}

/// Makes a buffer the frame of this tuple, of either family.
pub fn fill<B: Buffer>(buf: &mut B, key: &Tuple, flags: u8) {
    let mut frame_of = |bytes: &[u8]| {
        let mut frame = buf.frame();
        frame.reset(bytes.len()).expect("room").copy_from_slice(bytes);
        let (head, len) = (frame.head, frame.len);
        buf.commit(head, len);
    };
    match key.family() {
        Family::V4 => frame_of(&frame(key, flags, 1)),
        Family::V6 => frame_of(&frame6(key, flags, 1)),
    }
}

/// Opens connections by the packets of real handshakes, and gives the tuples of both directions of each. `now` gives the
/// time of the next so many, `fresh` a buffer that came in by port 0.
pub fn open<M: Memory, B: Buffer>(
    lcore: &mut Lcore<M, B>,
    mut now: impl FnMut(usize) -> Tick,
    keys: impl Iterator<Item = Tuple>,
    fresh: impl FnMut() -> B,
) -> Vec<[Tuple; 2]> {
    let mut sink = Sink { fresh, spent: Vec::new() };
    let mut opened = Vec::with_capacity(keys.size_hint().0);
    lcore.shard.tap(BURST);
    let mut keys = keys.peekable();
    while keys.peek().is_some() {
        let clients: Vec<Tuple> = keys.by_ref().take(BURST).collect();
        let now = now(clients.len());
        for flags in [SYN, ACK] {
            let mut batch: Batch<B> = clients.iter().map(|key| sink.filled(key, flags)).collect();
            lcore.turn(now, &mut sink, &mut batch, Source::Port);
            lcore.finish(now, &mut sink);
        }
        while let Some(event) = lcore.shard.next_event() {
            if event.kind == EventKind::Established {
                opened.push([event.client, event.reply]);
            }
        }
    }
    lcore.shard.tap(0);
    opened
}

/// The flows of both directions of these connections, in random order.
pub fn shuffled(opened: &[[Tuple; 2]]) -> Vec<Flow> {
    in_random_order(opened, |key| Flow::of(key, ACK))
}

/// The same, made with `flow`.
pub fn in_random_order<T>(opened: &[[Tuple; 2]], flow: impl Fn(&Tuple) -> T) -> Vec<T> {
    let mut flows: Vec<T> = opened.iter().flatten().map(flow).collect();
    let mut random = SplitMix(3);
    for i in (1..flows.len()).rev() {
        flows.swap(i, (random.next() % (i as u64 + 1)) as usize);
    }
    flows
}

/// A way out into nothing.
struct Sink<B, F> {
    fresh: F,
    spent: Vec<B>,
}

impl<B: Buffer, F: FnMut() -> B> Sink<B, F> {
    fn filled(&mut self, key: &Tuple, flags: u8) -> B {
        let mut buf = self.spent.pop().unwrap_or_else(|| (self.fresh)());
        fill(&mut buf, key, flags);
        buf
    }
}

impl<B: Buffer, F: FnMut() -> B> Io for Sink<B, F> {
    type Buf = B;
    fn spare(&mut self) -> Option<B> {
        Some((self.fresh)())
    }
    fn send(&mut self, _port: PortId, batch: &mut Batch<B>) {
        self.spent.extend(batch.drain(..));
    }
    fn redirect(&mut self, to: LcoreId, _batch: &mut Batch<B>) {
        panic!("every connection is opened at home, none on {to:?}");
    }
    fn punt(&mut self, punt: Punt, _buf: B) -> Result<(), B> {
        panic!("no punt is expected: {punt:?}");
    }
    fn wanted(&mut self, hop: NeighborId) {
        panic!("every next hop is known: {hop:?}");
    }
}
