//! TCP: the life of a connection, and who may begin one.

use super::Write;
use super::script::{SERVER_ISN, Script, Tcp, isn};
use super::world::{BOTH, World};

pub(crate) const CASES: &[(&str, Write, &[World])] = &[
    ("tcp-handshake-and-data-both-ways", handshake_and_data, BOTH),
    ("tcp-client-closes-first", client_closes_first, BOTH),
    ("tcp-server-closes-first", server_closes_first, BOTH),
    ("tcp-reset-by-either-side-is-forgotten-after-ten-seconds", reset, BOTH),
    ("tcp-every-state-times-out-to-the-second", every_state, BOTH),
    ("tcp-only-a-plain-syn-opens", only_a_plain_syn, BOTH),
    ("tcp-syn-sent-twice-is-one-connection", syn_twice, BOTH),
    ("tcp-syn-on-a-closing-connection-opens-anew", opens_anew, BOTH),
    ("tcp-mss-is-clamped-both-ways", clamp, BOTH),
    ("tcp-options-and-flags-pass-untouched", options, BOTH),
    ("tcp-corrupt-payload-stays-corrupt", corrupt, BOTH),
    ("tcp-through-model-servers", model_servers, BOTH),
];

const CLIENT: &str = "198.18.1.1:40000";
const WEB: &str = "198.18.1.100:80";

fn handshake_and_data(s: &mut Script) {
    let mut c = s.tcp(CLIENT, WEB);
    c.open();
    c.send(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n");
    c.server_ack();
    c.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n");
    c.ack();
    c.fin();
    c.server_fin();
    c.ack();
}

fn client_closes_first(s: &mut Script) {
    let mut c = s.tcp(CLIENT, WEB);
    c.open().fin();
    c.server_ack();
    // Half closed: the server may go on.
    c.reply(b"still talking");
    c.ack();
    c.server_fin();
    c.ack();
}

fn server_closes_first(s: &mut Script) {
    let mut c = s.tcp(CLIENT, WEB);
    c.open().server_fin();
    c.ack();
    c.send(b"still talking");
    c.server_ack();
    c.fin();
    c.server_ack();
}

fn reset(s: &mut Script) {
    for (client, by_client, later) in [
        ("198.18.1.1:40001", true, 9.9),
        ("198.18.1.1:40002", true, 10.1),
        ("198.18.1.1:40003", false, 9.9),
        ("198.18.1.1:40004", false, 10.1),
    ] {
        let mut c = s.tcp(client, WEB);
        c.open();
        let rst = if by_client { c.client("R") } else { c.server("R") };
        if by_client {
            c.wan(rst)
        } else {
            c.lan(rst)
        };
        c.script.after(later);
        // A late packet goes through while the entry is there.
        c.server_ack();
    }
}

/// Brings a connection into a state; its last packet comes at a whole second.
type Bring = fn(&mut Tcp<'_>, f64);

fn every_state(s: &mut Script) {
    let states: [(u32, Bring); 7] = [
        (60, |c, at| {
            // SYN_RECV
            c.script.at(at);
            c.syn();
        }),
        (900, |c, at| {
            // ESTABLISHED
            c.syn();
            c.syn_ack();
            c.script.at(at);
            c.ack();
        }),
        (60, |c, at| {
            // CLOSE_WAIT
            c.open();
            c.script.at(at);
            c.fin();
        }),
        (60, |c, at| {
            // FIN_WAIT
            c.open();
            c.script.at(at);
            c.server_fin();
        }),
        (60, |c, at| {
            // TIME_WAIT
            c.open().fin();
            c.script.at(at);
            c.server_fin();
        }),
        (10, |c, at| {
            // CLOSE
            c.open();
            c.script.at(at);
            let rst = c.client("R");
            c.wan(rst);
        }),
        (60, |c, at| {
            // SYN_SENT: the server begins anew after a RST
            c.open();
            let rst = c.client("R");
            c.wan(rst);
            c.script.at(at);
            let syn = c.server("S");
            c.lan(syn);
        }),
    ];
    let mut at = 1.0;
    for (n, (timeout, bring)) in states.iter().enumerate() {
        // A tick is 1/64 s: the last moment of life, and the first of death.
        for (m, probe) in [f64::from(*timeout) - 0.015_625, f64::from(*timeout)].into_iter().enumerate() {
            let client = format!("198.18.1.{}:{}", n + 1, 40_000 + m);
            let mut c = s.tcp(&client, WEB);
            bring(&mut c, at);
            c.script.at(at + probe);
            c.server_ack();
            at = (at + probe).ceil() + 1.0;
        }
    }
}

fn only_a_plain_syn(s: &mut Script) {
    let w = s.world;
    let plain = |client: &str, flags: &str| w.tcp(client, WEB).flags(flags).seq(isn(client));
    for (n, flags) in ["", "A", "SA", "SF", "SR", "F", "FA", "R", "RA", "PA", "SFA", "FPU"].iter().enumerate() {
        s.wan(plain(&format!("198.18.1.1:{}", 40_000 + n), flags));
    }
    // With ECN and with data a SYN is plain.
    s.wan(plain("198.18.1.1:41000", "SEW"));
    s.wan(plain("198.18.1.1:41001", "S").payload(b"fast open"));
    s.wan(plain("198.18.1.1:41002", "SPU"));
}

fn syn_twice(s: &mut Script) {
    let mut c = s.tcp(CLIENT, WEB);
    c.syn();
    c.script.after(1.0);
    c.seq = isn(CLIENT);
    c.syn();
    c.syn_ack();
    c.server_seq = SERVER_ISN;
    c.syn_ack();
    c.ack();
}

fn opens_anew(s: &mut Script) {
    // TIME_WAIT, CLOSE_WAIT, FIN_WAIT, CLOSE.
    for (n, close) in ["both", "client", "server", "reset"].iter().enumerate() {
        let client = format!("198.18.1.1:{}", 40_000 + n);
        let mut c = s.tcp(&client, WEB);
        c.open();
        match *close {
            "both" => {
                c.fin();
                c.server_fin();
            }
            "client" => _ = c.fin(),
            "server" => _ = c.server_fin(),
            _ => {
                let rst = c.server("R");
                c.lan(rst);
            }
        }
        c.seq += 100_000;
        c.open();
        c.send(b"again");
    }
    // On one that is open it does not: a SYN goes to the server, who answers it (RFC 9293, 3.10.7.4).
    let mut c = s.tcp("198.18.1.1:40010", WEB);
    c.open();
    let syn = c.client("S");
    c.wan(syn);
    c.server_ack();
}

fn clamp(s: &mut Script) {
    let w = s.world;
    let mut c = s.tcp(CLIENT, WEB);
    c.syn();
    c.syn_ack();
    for (n, packet) in [
        w.tcp("198.18.1.1:40001", WEB).mss(1401),
        w.tcp("198.18.1.1:40002", WEB).mss(1400),
        w.tcp("198.18.1.1:40003", WEB).mss(536),
        // Not on a word of its own.
        w.tcp("198.18.1.1:40004", WEB).nop().mss(9000),
        w.tcp("198.18.1.1:40005", WEB).wscale(7).mss(9000).sack_permitted(),
        w.tcp("198.18.1.1:40006", WEB),
        // A truncated option, and a list that ends before it.
        w.tcp("198.18.1.1:40007", WEB).tcp_options(&[2, 4, 0x23]),
        w.tcp("198.18.1.1:40008", WEB).tcp_options(&[0, 2, 4, 0x23, 0x28]),
        w.tcp("198.18.1.1:40009", WEB).tcp_options(&[2, 0, 0x23, 0x28]),
    ]
    .into_iter()
    .enumerate()
    {
        s.wan(packet.flags("S").seq(n as u32));
    }
}

fn options(s: &mut Script) {
    let mut c = s.tcp(CLIENT, WEB);
    let syn = c.client("SEW").mss(1460).sack_permitted().timestamps(100, 0).nop().wscale(7);
    c.wan(syn);
    c.seq += 1;
    let syn_ack = c.server("SAE").mss(1400).sack_permitted().timestamps(900, 100).nop().wscale(9);
    c.lan(syn_ack);
    c.server_seq += 1;
    let ack = c.client("A").nop().nop().timestamps(101, 900);
    c.wan(ack);
    let urgent =
        c.client("PA").nop().nop().timestamps(102, 900).payload(b"urgent").urgent(3).window(17).tos(0xb8).id(77);
    c.wan(urgent);
    let (a, b) = (c.seq + 10, c.seq + 20);
    let sack = c.server("A").nop().nop().sack(&[(a, b), (b + 5, b + 9)]).tos(2);
    c.lan(sack);
    let unknown = c.client("PAU").tcp_option(254, &[1, 2, 3, 4, 5, 6]).payload(b"odd");
    c.wan(unknown);
}

fn corrupt(s: &mut Script) {
    let mut c = s.tcp(CLIENT, WEB);
    c.open();
    let bad = c.client("PA").payload(b"what came corrupt goes on corrupt").bad_l4_checksum();
    c.wan(bad);
    let bad = c.server("PA").payload(b"and so on the way back").bad_l4_checksum();
    c.lan(bad);
}

fn model_servers(s: &mut Script) {
    for n in 0..8 {
        let client = format!("198.18.1.{}:40000", n + 1);
        let mut c = s.tcp(&client, WEB);
        c.syn();
        c.server_seq = isn(&client) + gatun::replay::servers::ISN + 1;
        c.ack();
        c.send(b"echo this");
        c.server_seq += 9;
        c.fin();
        c.server_seq += 1;
        c.ack();
    }
}
