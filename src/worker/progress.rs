//! How far a worker is: written by the worker as it goes, read by the master now and then.
//!
//! One cache line with one writer, and plain stores: it costs the worker next to nothing.

use gatun_engine::addr::PortId;
use nix::time::ClockId;
use nix::unistd::gettid;
use std::fmt;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Where in its turn a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// It has not begun.
    Start,
    /// In the driver: it asks a port for frames.
    Rx(PortId),
    /// In the engine, with the frames of a port.
    Turn(PortId),
    /// With the frames of the rings.
    Rings,
    /// At the end of a turn: timers, and what is queued goes out.
    Finish,
    /// With a message of the master.
    Mailbox,
    /// There was nothing to do.
    Idle,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Position::Start => f.write_str("before its first turn"),
            Position::Rx(port) => write!(f, "in the driver, receiving from port {}", port.0),
            Position::Turn(port) => write!(f, "in the engine, with frames of port {}", port.0),
            Position::Rings => f.write_str("with frames of its rings"),
            Position::Finish => f.write_str("in timers or sending"),
            Position::Mailbox => f.write_str("with a message of the master"),
            Position::Idle => f.write_str("idle"),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Progress {
    turns: AtomicU64,
    position: AtomicU32,
    /// The kernel's id of its thread; 0 until it runs.
    thread: AtomicI32,
}

impl Progress {
    /// The worker begins, on the calling thread.
    pub fn begin(&self) {
        self.thread.store(gettid().as_raw(), Relaxed);
    }

    /// The worker is here now.
    #[inline(always)]
    pub fn at(&self, position: Position) {
        let code = match position {
            Position::Start => 0,
            Position::Rx(port) => 1 | u32::from(port.0) << 8,
            Position::Turn(port) => 2 | u32::from(port.0) << 8,
            Position::Rings => 3,
            Position::Finish => 4,
            Position::Mailbox => 5,
            Position::Idle => 6,
        };
        self.position.store(code, Relaxed);
    }

    /// The worker has done another turn.
    #[inline(always)]
    pub fn turned(&self) {
        self.turns.store(self.turns.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Where it was last.
    pub fn position(&self) -> Position {
        let code = self.position.load(Relaxed);
        let port = PortId((code >> 8) as u8);
        match code & 0xff {
            1 => Position::Rx(port),
            2 => Position::Turn(port),
            3 => Position::Rings,
            4 => Position::Finish,
            5 => Position::Mailbox,
            6 => Position::Idle,
            _ => Position::Start,
        }
    }

    /// Turns so far.
    pub fn turns(&self) -> u64 {
        self.turns.load(Relaxed)
    }

    /// The CPU time that its thread has used; `None` before it runs and after it ended.
    pub fn cpu(&self) -> Option<Duration> {
        let thread = self.thread.load(Relaxed);
        if thread == 0 {
            return None;
        }
        // The kernel's number of a thread's clock, as in pthread_getcpuclockid(3): the thread's id inverted, and 6 for the
        // time on a CPU (2) of one thread (4).
        ClockId::from_raw(!thread << 3 | 6).now().ok().map(Duration::from)
    }
}
