//! Servers and clients that are threads of the test, where nginx and curl can not see enough.

use crate::lab::{Lab, V4, V6, at};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// How a connection ended, as its server saw it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Orderly,
    Reset,
    Other(ErrorKind),
}

/// A TCP server that sends back what it gets. Tells how each connection ended.
pub(crate) fn tcp_echo(lab: &Lab, role: &str, address: &str) -> Receiver<(SocketAddr, End)> {
    let address = address.to_owned();
    let listener = lab.within(role, move || TcpListener::bind(address).expect("bind"));
    let (ends, seen) = mpsc::channel();
    thread::spawn(move || {
        while let Ok((stream, client)) = listener.accept() {
            let ends = ends.clone();
            thread::spawn(move || ends.send((client, echo(stream))));
        }
    });
    seen
}

fn echo(mut stream: TcpStream) -> End {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return End::Orderly,
            Ok(n) => {
                if let Err(error) = stream.write_all(&buffer[..n]) {
                    return ended_by(error);
                }
            }
            Err(error) => return ended_by(error),
        }
    }
}

fn ended_by(error: std::io::Error) -> End {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => End::Reset,
        other => End::Other(other),
    }
}

/// A UDP server that sends back what it gets, with its name in front. It ends when nothing came for twenty seconds.
pub(crate) fn udp_echo(lab: &Lab, role: &str, address: &str) {
    let (name, address) = (role.to_owned(), address.to_owned());
    let socket = lab.within(role, move || UdpSocket::bind(address).expect("bind"));
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok((n, client)) = socket.recv_from(&mut buffer) {
            let answer = [name.as_bytes(), b" ", &buffer[..n]].concat();
            let _ = socket.send_to(&answer, client);
        }
    });
}

/// A UDP socket of the client, connected to the target.
pub(crate) fn udp_client(lab: &Lab, target: &str) -> UdpSocket {
    let target = target.to_owned();
    lab.within("client", move || {
        let client = if target.starts_with('[') { V6.client } else { V4.client };
        let socket = UdpSocket::bind(at(client, 0)).expect("bind");
        socket.connect(target).expect("connect");
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        socket
    })
}

/// Sends a datagram and gives the answer.
pub(crate) fn ask(socket: &UdpSocket, text: &[u8]) -> std::io::Result<Vec<u8>> {
    socket.send(text)?;
    let mut buffer = vec![0; 65_536];
    let n = socket.recv(&mut buffer)?;
    buffer.truncate(n);
    Ok(buffer)
}

/// A TCP connection of the client.
pub(crate) fn tcp_client(lab: &Lab, target: &str) -> TcpStream {
    let target: SocketAddr = target.parse().expect("an address and port");
    lab.within("client", move || {
        let stream = TcpStream::connect_timeout(&target, Duration::from_secs(5)).expect("connect");
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    })
}

/// Sends a line to an echo and waits for it to come back. Gives how long that took.
pub(crate) fn ping_pong(stream: &mut TcpStream, line: &[u8]) -> std::io::Result<Duration> {
    let start = Instant::now();
    stream.write_all(line)?;
    let mut answer = vec![0; line.len()];
    stream.read_exact(&mut answer)?;
    assert_eq!(answer, line, "an echo is what was sent");
    Ok(start.elapsed())
}
