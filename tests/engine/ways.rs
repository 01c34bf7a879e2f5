//! The short ways against the whole way: two gateways see the same packets, and one of them takes no short cut.

use super::bench::*;
use super::properties::cases;
use gatun::replay::Options;
use gatun_engine::addr::{Be32, PortId};
use gatun_engine::conn::record::Record;
use gatun_engine::conn::state::State;
use gatun_engine::frame::Meta;
use gatun_engine::testkit::lab::{Buf, Step, mac_of};
use gatun_engine::testkit::{Packet, text};
use gatun_engine::wire::tcp::{ACK, FIN, RST, SYN};
use proptest::prelude::*;

/// A gateway that takes the short ways, and one that takes none.
pub(crate) struct Pair {
    pub(crate) short: Bench,
    whole: Bench,
}

type Checked<T> = Result<T, TestCaseError>;

impl Pair {
    pub(crate) fn new(toml: &str) -> Pair {
        let options = Options { seed: 3, ..Options::default() };
        let (short, mut whole) = (Bench::new(toml, &options), Bench::new(toml, &options));
        whole.gateway.lab.lcores_mut()[0].shard.whole_way = true;
        Pair { short, whole }
    }

    /// Some time later: tenths of a second.
    pub(crate) fn later(&mut self, tenths: u64) {
        for b in [&mut self.short, &mut self.whole] {
            b.gateway.lab.advance(b.gateway.lab.nanos() + tenths * 100_000_000);
        }
    }

    /// What becomes of a frame, which is the same for both.
    pub(crate) fn frame(&mut self, frame: &[u8], meta: Meta) -> Checked<Step> {
        let [a, b] = [&mut self.short, &mut self.whole].map(|b| b.gateway.lab.frame(Buf::new(frame, meta)));
        prop_assert_eq!(&a, &b, "{}", text::frame(frame));
        prop_assert_eq!(records(&self.short), records(&self.whole), "{}", text::frame(frame));
        Ok(a)
    }

    /// The same packet for both, of a host on this link.
    fn packet(&mut self, port: PortId, packet: Packet) -> Checked<Step> {
        let mac = self.short.gateway.mac(port);
        self.frame(&packet.macs(mac_of(Be32::new(0)), mac).build(), Meta { port, ..Meta::default() })
    }

    /// All counters are the same, now and while time passes until the last timer has fired.
    pub(crate) fn end(mut self) -> Checked<()> {
        let counters = |b: &Bench| format!("{:?}", b.gateway.lab.lcores()[0].shard.stats);
        for tenths in [0, 1, 10, 20, 70, 100, 400, 10, 10, 600, 8_000, 20_000] {
            self.later(tenths);
            prop_assert_eq!(counters(&self.short), counters(&self.whole));
            prop_assert_eq!(records(&self.short), records(&self.whole));
        }
        prop_assert_eq!(self.short.gateway.lab.conns(), 0);
        Ok(())
    }
}

/// All connections, with what the servers expect of them and how long they have left.
fn records(b: &Bench) -> Vec<Record> {
    let (lcore, mut records) = (&b.gateway.lab.lcores()[0], Vec::new());
    lcore.shard.export(&lcore.shared, b.gateway.lab.now(), Default::default(), usize::MAX, |r| records.push(r));
    records
}

/// With room for so many connections: a service as it comes, one that asks for more with every SYN, and one whose
/// connections are soon over.
fn tomls(connections: usize) -> [String; 3] {
    let at = "address = \"198.18.1.100:80\"";
    [
        toml(""),
        toml("[tcp]\nsyn_timestamps = \"strip\"\n").replace(at, &format!("{at}\nmss_clamp = 1000")),
        toml("[timeouts]\nfin = 1\nclose = 2\n"),
    ]
    .map(|toml| toml.replace("80_000", &connections.to_string()))
}

/// A segment of a connection, with its length, sequence number and options made of `more`.
fn segment(from: &str, to: &str, flags: u8, more: u32) -> Packet {
    let letters: String =
        "FSRPAU".char_indices().filter(|(bit, _)| flags >> bit & 1 != 0).map(|(_, letter)| letter).collect();
    let packet = Packet::tcp(from, to).flags(&letters).seq(more.wrapping_mul(0x9E37_79B9)).ack(more);
    let packet = if more.is_multiple_of(3) { packet.mss(1460).timestamps(more, 1) } else { packet };
    packet.payload(&vec![b'x'; more as usize % 50])
}

#[test]
fn any_flags_in_any_state_do_the_same_on_the_short_ways_and_on_the_whole_way() {
    let (client, server) = (true, false);
    let open = [(client, SYN), (server, SYN | ACK), (client, ACK)];
    let walks: [(&[_], State); 8] = [
        (&open[..1], State::SynRecv),
        (&open[..2], State::SynRecv),
        (&open, State::Established),
        (&[open[0], open[1], open[2], (client, FIN | ACK)], State::CloseWait),
        (&[open[0], open[1], open[2], (server, FIN | ACK)], State::FinWait),
        (&[open[0], open[1], open[2], (client, FIN | ACK), (server, FIN | ACK)], State::TimeWait),
        (&[open[0], open[1], open[2], (server, RST | ACK)], State::Close),
        (&[open[0], open[1], open[2], (server, FIN | ACK), (server, SYN)], State::SynSent),
    ];
    for toml in tomls(512) {
        for (walk, state) in walks {
            let mut pair = Pair::new(&toml);
            for n in 0..2 * 64 {
                let from = format!("10.0.0.1:{}", 40_000 + n);
                let say = |pair: &mut Pair, by_client: bool, (server, local): &(String, String), flags, more| {
                    match by_client {
                        true => pair.packet(WAN, segment(&from, WEB, flags, more)),
                        false => pair.packet(LAN, segment(server, local, flags, more)),
                    }
                    .unwrap()
                };
                let step = say(&mut pair, client, &Default::default(), SYN, n);
                let reply = opened(&step).expect("a connection");
                let back = (socket(reply.src(), reply.sport()), socket(reply.dst(), reply.dport()));
                for (by_client, flags) in &walk[1..] {
                    say(&mut pair, *by_client, &back, *flags, n + 1);
                }
                let now = records(&pair.short).into_iter().find(|r| r.reply == reply).map(|r| r.state);
                assert_eq!(now, Some(state));
                pair.later(u64::from(n % 5 * 4));
                // All flags, congestion or not, from either side.
                say(&mut pair, n % 2 == 0, &back, (n / 2) as u8, n + 2);
                say(&mut pair, n % 3 == 0, &back, ACK, n + 3);
            }
            pair.end().unwrap();
        }
    }
}

/// A segment of one of a few connections: of which, by whom, with which flags, and how many tenths of a second later.
#[derive(Clone, Copy, Debug)]
struct Said {
    client: u16,
    by_client: bool,
    flags: u8,
    ttl: u8,
    more: u32,
    later: u16,
}

fn said() -> impl Strategy<Value = Said> {
    let flags = proptest::sample::select(vec![SYN, SYN | ACK, ACK, FIN | ACK, FIN | ACK, RST, RST | ACK, 0, SYN | FIN]);
    let flags = prop_oneof![9 => flags, 1 => any::<u8>()];
    let later = prop_oneof![8 => Just(0u16), 2 => 0u16..30, 1 => 0u16..700];
    let ttl = prop_oneof![9 => Just(64u8), 1 => 0u8..3];
    (0u16..4, any::<bool>(), flags, ttl, any::<u32>(), later)
        .prop_map(|(client, by_client, flags, ttl, more, later)| Said { client, by_client, flags, ttl, more, later })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn conversations_with_any_flags_do_the_same_on_the_short_ways_and_on_the_whole_way(
        all in proptest::collection::vec(said(), 1..120), toml in proptest::sample::select(tomls(4).to_vec()),
    ) {
        // A table so small that timers are late, and packets meet connections that are dead.
        let mut pair = Pair::new(&toml);
        let mut replies: [Option<(String, String)>; 4] = Default::default();
        for s in all {
            pair.later(s.later.into());
            let place = &mut replies[usize::from(s.client)];
            let (port, packet) = match place {
                Some((server, local)) if !s.by_client => (LAN, segment(server, local, s.flags, s.more)),
                _ => (WAN, segment(&format!("10.0.0.1:{}", 40_000 + s.client), WEB, s.flags, s.more)),
            };
            let step = pair.packet(port, packet.ttl(s.ttl))?;
            if let Some(reply) = opened(&step) {
                *place = Some((socket(reply.src(), reply.sport()), socket(reply.dst(), reply.dport())));
            }
        }
        pair.end()?;
    }
}
