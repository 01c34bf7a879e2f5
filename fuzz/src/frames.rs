//! Any frames into a gateway: it does not panic, and the balance of each lcore holds after every frame.
//!
//! The input is one byte of options, then frames: a byte of port and flags, two of length, the frame's bytes.
#![no_main]

use gatun::config;
use gatun::replay::servers::Servers;
use gatun::replay::{Gateway, Options};
use gatun_engine::addr::PortId;
use gatun_engine::frame::Meta;
use gatun_engine::testkit::lab::{Arrival, Buf, Link};
use gatun_engine::testkit::repair;
use gatun_engine::verdict::DropReason;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static MODEL: LazyLock<config::Model> = LazyLock::new(|| {
    config::parse(include_str!("../both.toml"), "both.toml").unwrap_or_else(|e| panic!("{e}"))
});

fuzz_target!(|input: &[u8]| {
    let Some((options, mut rest)) = input.split_first() else { return };
    let options = Options {
        shards: 1 + (options & 3),
        seed: 1,
        arrival: Arrival::ALL[usize::from(options >> 5 << 2 | options >> 2 & 3) % Arrival::ALL.len()],
        links: vec![if options & 16 != 0 { Link::Arp } else { Link::Quiet }; 2],
    };
    let mut gateway = Gateway::new(MODEL.clone(), &options).unwrap_or_else(|e| panic!("{e}"));
    let mut servers = Servers::default();
    while let Some((&[flags, high, low], after)) = rest.split_first_chunk() {
        let (bytes, after) = after.split_at(after.len().min(usize::from(u16::from_be_bytes([high, low]))));
        rest = after;
        let port = PortId(flags & 1);
        let mut frame = bytes.to_vec();
        if flags & 2 != 0 {
            // Past the first checks: to our MAC, and with right checksums.
            if let Some(dst) = frame.get_mut(..6).filter(|dst| dst[0] & 1 == 0) {
                dst.copy_from_slice(&gateway.mac(port).0);
            }
            repair(&mut frame);
        }
        gateway.lab.advance(gateway.lab.nanos() + u64::from(flags >> 4) * 400_000_000);
        let buf = Buf::new(&frame, Meta { port, csum_unfinished: flags & 4 != 0, ..Meta::default() });
        let step = gateway.lab.frame(buf);
        if flags & 8 != 0 {
            for sent in step.sent {
                if let Some(answer) = servers.answer(&sent.frame) {
                    gateway.lab.input(sent.port, &answer);
                }
            }
        }
    }
    assert_eq!(gateway.lab.drops(DropReason::Bug), 0);
});
