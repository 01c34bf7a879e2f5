//! TCP: the life of a connection.

use super::Write;
use super::script::Script;

pub(crate) const CASES: &[(&str, Write)] = &[
    ("tcp-handshake-and-data-both-ways", handshake_and_data),
    ("tcp-client-closes-first", client_closes_first),
    ("tcp-server-closes-first", server_closes_first),
    ("tcp-reset-by-either-side-is-forgotten-after-ten-seconds", reset),
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
