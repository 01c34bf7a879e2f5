//! HTTP clients that measure.

use crate::lab::Lab;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: gatun\r\nConnection: close\r\n\r\n";

/// Connection after connection, one request in each, closed by the server.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) target: SocketAddr,
    /// The client's addresses, taken in turn.
    pub(crate) sources: Vec<IpAddr>,
    pub(crate) threads: u32,
    /// Connections a second, all threads together; None is as many as there can be.
    pub(crate) rate: Option<u32>,
    pub(crate) connections: u64,
}

/// How it went.
pub(crate) struct Outcome {
    /// How long each connect took, in order of length.
    pub(crate) connects: Vec<Duration>,
    pub(crate) failures: Vec<String>,
    pub(crate) took: Duration,
}

impl Load {
    /// Begins in the namespace of the client.
    pub(crate) fn start(&self, lab: &Lab) -> thread::JoinHandle<Outcome> {
        let load = self.clone();
        lab.thread("client", move || load.run())
    }

    fn run(&self) -> Outcome {
        let start = Instant::now();
        let next = Arc::new(AtomicU64::new(0));
        // Threads inherit the namespace of the one that makes them.
        let workers: Vec<_> = (0..self.threads)
            .map(|_| {
                let (load, next) = (self.clone(), Arc::clone(&next));
                thread::spawn(move || load.worker(start, &next))
            })
            .collect();
        let mut outcome = Outcome { connects: Vec::new(), failures: Vec::new(), took: Duration::ZERO };
        for worker in workers {
            let (connects, failures) = worker.join().expect("a client thread");
            outcome.connects.extend(connects);
            outcome.failures.extend(failures);
        }
        outcome.took = start.elapsed();
        outcome.connects.sort_unstable();
        outcome
    }

    fn worker(&self, start: Instant, next: &AtomicU64) -> (Vec<Duration>, Vec<String>) {
        let (mut connects, mut failures) = (Vec::new(), Vec::new());
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= self.connections {
                return (connects, failures);
            }
            if let Some(rate) = self.rate {
                let due = start + Duration::from_secs_f64(n as f64 / f64::from(rate));
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            match self.request(n) {
                Ok(took) => connects.push(took),
                Err(failure) => failures.push(failure),
            }
        }
    }

    fn request(&self, n: u64) -> Result<Duration, String> {
        let source = self.sources[n as usize % self.sources.len()];
        let start = Instant::now();
        let mut stream = open(source, self.target).map_err(|e| format!("connect: {e}"))?;
        let took = start.elapsed();
        let answer = request(&mut stream).map_err(|e| format!("after connecting: {e}"))?;
        if answer.starts_with("HTTP/1.1 200") { Ok(took) } else { Err(format!("an answer that is none: {answer:?}")) }
    }
}

fn request(stream: &mut TcpStream) -> std::io::Result<String> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(REQUEST)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A connection from one of the client's addresses.
fn open(source: IpAddr, target: SocketAddr) -> nix::Result<TcpStream> {
    let family = if source.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    let raw = std::os::fd::AsRawFd::as_raw_fd(&fd);
    bind(raw, &SockaddrStorage::from(SocketAddr::new(source, 0)))?;
    connect(raw, &SockaddrStorage::from(target))?;
    Ok(TcpStream::from(fd))
}

impl Outcome {
    /// Fails the test when a request failed.
    pub(crate) fn none_failed(&self) {
        let some = &self.failures[..self.failures.len().min(5)];
        let all = self.failures.len() + self.connects.len();
        assert!(some.is_empty(), "{} of {all} requests failed, as in {some:?}", self.failures.len());
    }

    pub(crate) fn slowest(&self) -> Duration {
        self.connects.last().copied().unwrap_or_default()
    }

    /// How many connects took at least this long.
    pub(crate) fn at_least(&self, limit: Duration) -> usize {
        self.connects.len() - self.connects.partition_point(|&took| took < limit)
    }

    /// Connections a second.
    pub(crate) fn rate(&self) -> f64 {
        self.connects.len() as f64 / self.took.as_secs_f64()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percentile =
            |p: f64| self.connects.get((self.connects.len() as f64 * p) as usize).copied().unwrap_or_default();
        write!(
            f,
            "{} connections, {:.0} a second, connect: median {:.2?}, 99% {:.2?}, 99.9% {:.2?}, slowest {:.2?}",
            self.connects.len(),
            self.rate(),
            percentile(0.5),
            percentile(0.99),
            percentile(0.999),
            self.slowest()
        )
    }
}
