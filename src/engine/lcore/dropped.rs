//! The last frames that were thrown away, by reason, for the operator who asks why.
//!
//! The lcore writes, and gives a copy between two turns to who asks. Of each reason it keeps one frame a tick at most, so that a
//! flood costs a comparison a frame and does not push out at once what came before it.

use crate::addr::PortId;
use crate::frame::Buffer;
use crate::time::Tick;
use crate::verdict::DropReason;
use alloc::boxed::Box;
use alloc::vec;

/// Frames of a reason.
pub const KEPT: usize = 16;
/// Bytes of a frame: Ethernet, two tags, IPv6 and the ports.
pub const HEAD: usize = 80;

/// A frame that was thrown away.
#[derive(Clone, Copy, Debug)]
pub struct Dropped {
    /// When.
    pub at: Tick,
    /// The port that it came in by.
    pub port: PortId,
    /// Bytes of the whole frame.
    pub len: u32,
    kept: u8,
    head: [u8; HEAD],
}

impl Dropped {
    const NONE: Dropped = Dropped { at: Tick(0), port: PortId(0), len: 0, kept: 0, head: [0; HEAD] };

    /// Its first bytes, as it came in.
    pub fn head(&self) -> &[u8] {
        self.head.get(..usize::from(self.kept)).unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug)]
struct Last {
    /// How many were ever kept.
    count: u32,
    /// When the newest was.
    newest: Tick,
    frames: [Dropped; KEPT],
}

impl Last {
    #[inline(never)]
    fn keep<B: Buffer>(&mut self, now: Tick, buf: &B) {
        let bytes = buf.bytes();
        let kept = bytes.len().min(HEAD);
        let seat = &mut self.frames[self.count as usize % KEPT];
        (seat.at, seat.port, seat.len, seat.kept) = (now, buf.port(), buf.len() as u32, kept as u8);
        seat.head[..kept].copy_from_slice(&bytes[..kept]);
        (self.count, self.newest) = (self.count.wrapping_add(1), now);
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct DropLog {
    /// By reason.
    last: Box<[Last]>,
}

impl Default for DropLog {
    fn default() -> Self {
        let none = Last { count: 0, newest: Tick(0), frames: [Dropped::NONE; KEPT] };
        DropLog { last: vec![none; DropReason::COUNT].into_boxed_slice() }
    }
}

impl DropLog {
    /// Notes a frame that is thrown away.
    #[inline(always)]
    pub fn note<B: Buffer>(&mut self, reason: DropReason, now: Tick, buf: &B) {
        if let Some(last) = self.last.get_mut(reason as usize)
            && (last.newest != now || last.count == 0)
        {
            last.keep(now, buf);
        }
    }

    /// Takes over what another has.
    pub fn copy(&mut self, from: &DropLog) {
        self.last.copy_from_slice(&from.last);
    }

    /// The frames of a reason, the newest first.
    pub fn of(&self, reason: DropReason) -> impl Iterator<Item = &Dropped> {
        let last = self.last.get(reason as usize);
        let count = last.map_or(0, |last| last.count);
        let seats = (0..KEPT as u32).map(move |back| count.wrapping_sub(1 + back));
        seats.filter_map(move |seat| last?.frames.get(seat as usize % KEPT)).filter(|frame| frame.len > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Meta;
    use crate::testkit::Packet;
    use crate::testkit::lab::Buf;

    fn buf(n: u16) -> Buf {
        let frame = Packet::udp(&alloc::format!("198.18.1.1:{n}"), "198.18.1.100:53").build();
        Buf::new(&frame, Meta { port: PortId(1), ..Meta::default() })
    }

    #[test]
    fn the_last_sixteen_of_a_reason_are_kept_the_newest_first_and_one_a_tick() {
        let mut log = DropLog::default();
        assert_eq!(log.of(DropReason::Land).count(), 0);
        for n in 1..=40u16 {
            log.note(DropReason::Land, Tick(u32::from(n)), &buf(n));
            log.note(DropReason::Land, Tick(u32::from(n)), &buf(n + 1_000));
        }
        let mut copy = DropLog::default();
        copy.copy(&log);
        let ports = copy.of(DropReason::Land).map(|f| u16::from_be_bytes([f.head()[34], f.head()[35]]));
        assert!(ports.eq((25..=40).rev()));
        let newest = copy.of(DropReason::Land).next().unwrap();
        assert_eq!((newest.at, newest.port, newest.len), (Tick(40), PortId(1), 42));
        assert_eq!(copy.of(DropReason::Bug).count(), 0);
    }
}
