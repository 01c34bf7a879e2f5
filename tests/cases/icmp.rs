//! ICMP: errors that are translated, pings that are answered, and what is answered never or not too often.

use super::Write;
use super::script::Script;
use super::world::{BOTH, Fault, World};
use gatun_engine::addr::Proto;
use gatun_engine::testkit::Packet;
use gatun_engine::testkit::build::quote;

pub(crate) const CASES: &[(&str, Write, &[World])] = &[
    ("icmp-errors-from-the-server-side-reach-the-client", from_the_server_side, BOTH),
    ("icmp-errors-from-the-client-side-reach-the-server", from_the_client_side, BOTH),
    ("icmp-errors-about-nothing-are-dropped", about_nothing, BOTH),
    ("icmp-ping-of-vip-local-and-own-address", ping, BOTH),
    ("icmp-answers-are-limited-by-reason", limits, BOTH),
];

const CLIENT: &str = "198.18.1.1:40000";
const WEB: &str = "198.18.1.100:80";
const DNS: &str = "198.18.1.100:53";
const ROUTER: &str = "198.18.2.1";

/// Errors of every kind that is passed on.
const ERRORS: [Fault; 6] =
    [Fault::Host, Fault::Port, Fault::TooBig(1300), Fault::Prohibited, Fault::Exceeded, Fault::Parameter];

fn from_the_server_side(s: &mut Script) {
    let w = s.world;
    let mut c = s.tcp(CLIENT, WEB);
    c.open();
    let whole = c.send(b"a packet that somebody complains about")[0].frame.clone();
    let udp = s.wan(w.udp(CLIENT, DNS).payload(b"a question"))[0].frame.clone();
    // Only over IPv4 there is a datagram without a checksum.
    let no_sum = s.wan(w.udp(CLIENT, DNS).payload(b"unsummed").udp_checksum_zero()).pop();
    for frame in [&whole, &udp] {
        let lip = "198.18.2.100";
        for fault in ERRORS {
            // As much as RFC 792 asks for, and all of it.
            s.lan(w.error(ROUTER, lip, fault, &quote(frame, 8)));
            s.lan(w.error(ROUTER, lip, fault, &quote(frame, 1500)));
        }
        // The server itself; TTL 1, which nobody is told about; and with the options of a packet that went far.
        s.lan(w.error("198.18.2.11", lip, Fault::Port, &quote(frame, 20)));
        s.lan(w.error(ROUTER, lip, Fault::Host, &quote(frame, 8)).ttl(1));
        s.lan(w.error(ROUTER, lip, Fault::Host, &quote(frame, 8)).options(&[148, 4, 0, 0]));
    }
    if let Some(no_sum) = no_sum {
        s.lan(w.error(ROUTER, "198.18.2.100", Fault::Port, &quote(&no_sum.frame, 1500)));
    }
    // The connections go on.
    let mut c = s.tcp(CLIENT, WEB);
    (c.seq, c.server_seq) = (c.seq + 39, c.server_seq + 1);
    c.reply(b"still here");
}

fn from_the_client_side(s: &mut Script) {
    let w = s.world;
    let mut c = s.tcp(CLIENT, WEB);
    c.open();
    let tcp = c.reply(b"an answer that does not arrive")[0].frame.clone();
    s.wan(w.udp(CLIENT, DNS).payload(b"a question"));
    let (server, local) = s.ends(CLIENT, DNS, Proto::Udp);
    let udp = s.lan(Packet::udp(&server, &local).payload(b"an answer"))[0].frame.clone();
    for frame in [&tcp, &udp] {
        for fault in ERRORS {
            s.wan(w.error("198.18.1.253", "198.18.1.100", fault, &quote(frame, 8)));
            s.wan(w.error("198.18.1.1", "198.18.1.100", fault, &quote(frame, 1500)));
        }
    }
}

fn about_nothing(s: &mut Script) {
    let w = s.world;
    let sent = s.wan(w.udp(CLIENT, DNS).payload(b"a question"))[0].frame.clone();
    let (server, local) = s.ends(CLIENT, DNS, Proto::Udp);
    s.lan(Packet::udp(&server, &local).payload(b"an answer"));
    let error = |quoted: &[u8]| w.error(ROUTER, "198.18.2.100", Fault::Port, quoted);
    let other = w.udp("198.18.2.100:2000", "198.18.2.11:53").payload(b"nobody's");
    s.lan(error(&quote(&other.build(), 8)));
    // The quote is short, empty, of another protocol, a later fragment, damaged, not to who is told.
    s.lan(error(&quote(&sent, 3)));
    s.lan(error(&[]));
    s.lan(error(&w.ip("198.18.2.100", "198.18.2.11", 47).payload(&[0; 8]).build_ip()));
    s.lan(error(&other.payload(&[0; 8]).fragment(8, false).build_ip()));
    let mut quoted = quote(&sent, 8);
    quoted[8] ^= 1;
    s.lan(error(&quoted));
    s.lan(w.error(ROUTER, "198.18.2.254", Fault::Port, &quote(&sent, 8)));
    // A wrong ICMP checksum, and types that are no errors of this kind: a redirect, a reply, a question for the time or
    // for a name, a truncated echo.
    s.lan(error(&quote(&sent, 8)).bad_l4_checksum());
    let v4 = w.header("198.18.2.11") == 20;
    let (redirect, question, ping) = if v4 { (5, 13, 8) } else { (137, 139, 128) };
    s.lan(w.icmp(ROUTER, "198.18.2.100", redirect, 1).payload(&quote(&sent, 8)));
    s.lan(w.echo_reply("198.18.2.11", "198.18.2.100", 1, 1));
    s.lan(w.icmp("198.18.2.11", "198.18.2.100", question, 0).payload(&[0; 12]));
    let cut = w.header("198.18.2.11") + 4;
    s.lan(w.icmp("198.18.2.11", "198.18.2.100", ping, 0).truncate(14 + cut).ip_total_len(cut as u16));
}

fn ping(s: &mut Script) {
    let w = s.world;
    let own = ["198.18.1.100", "198.18.1.254", "198.18.2.254", "198.18.2.100"].into_iter();
    for (n, address) in own.filter(|a| w.reach("198.18.1.1", a)).enumerate() {
        s.wan(w.echo("198.18.1.1", address, 7, n as u16).payload(b"abcdefghijklmnopqrstuvw").tos(0x10));
    }
    s.lan(w.echo("198.18.2.11", "198.18.2.254", 8, 1).payload(&[0; 56]));
    s.lan(w.echo("198.18.2.11", "198.18.2.100", 8, 2));
    // TTL 1 is enough for us; what is not ours, wrong, or from one of our own addresses is not answered.
    s.wan(w.echo("198.18.1.1", "198.18.1.100", 9, 1).ttl(1));
    s.wan(w.echo("198.18.1.1", "198.18.1.99", 9, 2));
    s.wan(w.echo("198.18.1.1", "198.18.1.100", 9, 3).bad_l4_checksum());
    s.wan(w.echo("198.18.1.254", "198.18.1.100", 9, 4));
    s.wan(w.echo("198.18.1.1", "255.255.255.255", 9, 5));
}

fn limits(s: &mut Script) {
    let w = s.world;
    // Five at once, then one a second.
    for round in 0..3 {
        s.at(f64::from(round) * 2.0);
        for n in 0..7 {
            s.wan(w.echo("198.18.1.1", "198.18.1.100", round as u16, n));
            s.wan(w.udp(CLIENT, "198.18.1.100:99").payload(b"no service"));
            s.wan(w.udp(CLIENT, DNS).payload(b"ttl").ttl(1));
        }
    }
    // Each reason has its own; forwarding and others are not touched.
    s.wan(w.udp(CLIENT, DNS).payload(b"through"));
    s.wan(w.tcp(CLIENT, WEB).flags("S"));
}
