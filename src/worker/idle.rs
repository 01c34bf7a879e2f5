//! What a worker does after a turn without frames: two lcores that spin on one CPU stop each other.

use std::thread;
use std::time::Duration;

/// How to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Poll again at once.
    Spin,
    /// Let others run first.
    Yield,
    /// Sleep, longer the longer nothing comes.
    Sleep,
}

/// Empty turns before a sleeper sleeps.
const PATIENCE: u32 = 64;
/// The longest sleep in microseconds. The kernel adds some 50.
const LONGEST: u64 = 100;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Idler {
    policy: Policy,
    empty: u32,
}

impl Idler {
    /// With this policy.
    pub fn new(policy: Policy) -> Idler {
        Idler { policy, empty: 0 }
    }

    /// After a turn that handled so many frames.
    #[inline(always)]
    pub fn after(&mut self, frames: usize) {
        if frames > 0 {
            self.empty = 0;
            return;
        }
        self.empty = self.empty.saturating_add(1);
        match self.policy {
            Policy::Spin => std::hint::spin_loop(),
            Policy::Yield => thread::yield_now(),
            Policy::Sleep if self.empty < PATIENCE => thread::yield_now(),
            Policy::Sleep => {
                let micros = u64::from((self.empty - PATIENCE) / 16 + 1).min(LONGEST);
                thread::sleep(Duration::from_micros(micros));
            }
        }
    }
}
