//! Services and their servers: who is chosen, who drains, who is gone, and what there is no service for.

use super::Write;
use super::script::{Script, isn};
use super::world::{BOTH, World};
use gatun_engine::addr::Proto;
use gatun_engine::testkit::Packet;

pub(crate) const CASES: &[(&str, Write, &[World])] = &[
    ("service-schedulers-choose-as-lvs-does", schedulers, BOTH),
    ("service-without-a-server-is-refused", no_server, BOTH),
    ("service-unknown-port-of-a-vip-is-refused-as-by-a-host", unknown_port, BOTH),
    ("server-with-weight-0-drains", drains, BOTH),
    ("server-removed-resets-tcp-on-both-sides", removed_reset, BOTH),
    ("server-removed-in-silence-goes-on-when-it-is-back", removed_silent, BOTH),
    ("server-removed-moves-udp-to-another", removed_udp, BOTH),
    ("table-full-drops-and-disturbs-nobody", table_full, BOTH),
];

const WEB: &str = "198.18.1.100:80";
const DNS: &str = "198.18.1.100:53";

fn syn(w: World, client: &str, vip: &str) -> Packet {
    w.tcp(client, vip).flags("S").seq(isn(client)).df()
}

fn schedulers(s: &mut Script) {
    for vip in ["198.18.1.100:80", "198.18.1.100:81", "198.18.1.100:82"] {
        for n in 0..9 {
            s.wan(syn(s.world, &format!("198.18.1.1:{}", 40_000 + n), vip));
        }
    }
}

fn no_server(s: &mut Script) {
    s.wan(syn(s.world, "198.18.1.1:40000", "198.18.1.100:80"));
    s.wan(syn(s.world, "198.18.1.1:40000", "198.18.1.100:81"));
    s.wan(s.world.udp("198.18.1.1:40000", DNS).payload(&[7; 600]).tos(0x20).id(5));
    // What can not open is not refused either.
    s.wan(s.world.tcp("198.18.1.1:40001", WEB).flags("A"));
}

fn unknown_port(s: &mut Script) {
    let port = "198.18.1.100:8080";
    s.wan(syn(s.world, "198.18.1.1:40000", port));
    s.wan(s.world.tcp("198.18.1.1:40001", port).flags("S").seq(5).payload(b"four"));
    s.wan(s.world.tcp("198.18.1.1:40002", port).flags("A").seq(5).ack(77));
    s.wan(s.world.tcp("198.18.1.1:40003", port).flags("FPA").seq(5).ack(78).payload(b"data"));
    s.wan(s.world.tcp("198.18.1.1:40004", port).flags("F").seq(5));
    s.wan(s.world.tcp("198.18.1.1:40005", port).flags("R").seq(5));
    s.wan(s.world.tcp("198.18.1.1:40006", port).flags("").seq(5));
    s.wan(s.world.udp("198.18.1.1:40000", "198.18.1.100:80").payload(b"tcp only"));
    // An own address and a local one.
    s.wan(syn(s.world, "198.18.1.1:40007", "198.18.1.254:22"));
    if s.world.reach("198.18.1.1", "198.18.2.100") {
        s.wan(syn(s.world, "198.18.1.1:40008", "198.18.2.100:80"));
    }
    s.wan(syn(s.world, "198.18.1.1:40009", "198.18.1.99:80"));
}

fn drains(s: &mut Script) {
    let mut c = s.tcp("198.18.1.1:40000", WEB);
    c.open();
    s.at(10.0);
    // rs1, which has it, has weight 0 from here on; new connections go to rs2.
    let mut c = again(s, "198.18.1.1:40000");
    c.send(b"goes on");
    c.reply(b"with the server that it has");
    for n in 1..4 {
        let client = format!("198.18.1.1:{}", 40_000 + n);
        s.tcp(&client, WEB).open();
    }
}

/// A connection that is open, to go on with.
fn again<'s>(s: &'s mut Script, client: &str) -> super::script::Tcp<'s> {
    let mut c = s.tcp(client, WEB);
    c.seq += 1;
    c.server_seq += 1;
    c
}

fn removed_reset(s: &mut Script) {
    for n in 0..5 {
        let client = format!("198.18.1.1:{}", 40_000 + n);
        s.tcp(&client, WEB).open();
    }
    s.at(10.0);
    // The server is gone: with the next packet of either side, both are told.
    again(s, "198.18.1.1:40000").send(b"from the client");
    again(s, "198.18.1.1:40001").reply(b"from the server");
    again(s, "198.18.1.1:40002").fin();
    // A RST needs no answer.
    let c = again(s, "198.18.1.1:40003");
    let rst = c.client("R");
    s.wan(rst);
    // A new SYN on the old tuple: the server is told, the client gets a new connection.
    let mut c = again(s, "198.18.1.1:40004");
    c.seq += 70_000;
    c.open();
    // What comes late is of no connection.
    again(s, "198.18.1.1:40000").send(b"late");
}

fn removed_silent(s: &mut Script) {
    s.tcp("198.18.1.1:40000", WEB).open();
    s.at(10.0);
    again(s, "198.18.1.1:40000").send(b"nobody answers");
    again(s, "198.18.1.1:40000").reply(b"in neither direction");
    s.tcp("198.18.1.1:40001", WEB).open();
    s.at(20.0);
    again(s, "198.18.1.1:40000").send(b"and on it goes");
    again(s, "198.18.1.1:40000").reply(b"as if nothing had been");
}

fn removed_udp(s: &mut Script) {
    let client = "198.18.1.1:40000";
    s.wan(s.world.udp(client, DNS).payload(b"one"));
    let (server, local) = s.ends(client, DNS, Proto::Udp);
    s.lan(Packet::udp(&server, &local).payload(b"answer one"));
    s.at(10.0);
    s.lan(Packet::udp(&server, &local).payload(b"a late answer is still an answer"));
    s.wan(s.world.udp(client, DNS).payload(b"two"));
    let (server, local) = s.ends(client, DNS, Proto::Udp);
    s.lan(Packet::udp(&server, &local).payload(b"answer two"));
}

fn table_full(s: &mut Script) {
    let client = |n: u16| format!("198.18.1.1:{}", 40_000 + n);
    for n in 0..8 {
        s.tcp(&client(n), WEB).open();
    }
    s.wan(syn(s.world, &client(8), WEB));
    s.wan(syn(s.world, &client(9), WEB));
    // Those that are there go on.
    let mut c = s.tcp(&client(0), WEB);
    (c.seq, c.server_seq) = (c.seq + 1, c.server_seq + 1);
    c.send(b"hello");
    c.reply(b"world");
    // One ends: the next client gets its seat, and the one after that the seat of this half-open connection.
    let mut c = s.tcp(&client(1), WEB);
    c.seq += 1;
    let rst = c.client("R");
    c.wan(rst);
    s.wan(syn(s.world, "198.18.1.1:41000", WEB));
    s.wan(syn(s.world, "198.18.1.1:41001", WEB));
}
