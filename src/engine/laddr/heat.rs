//! How often ports of each (endpoint, class) were taken lately, and which of them have chunks: a byte each.
//!
//! Endpoints that are many more than there are rows share them. Then a pair is taken for busier than it is, or for one
//! without chunks although it has some; either costs a little and is never wrong, as nothing but an order of search
//! follows from it.

use crate::addr::{Class, EndpointId};
use crate::mem::{Memory, OutOfMemory, prefetch};
use crate::steer::CLASSES;

/// The pair has chunks.
const LISTED: u8 = u8::MAX;
/// Sweeps in which every row is cleared once: a minute of ticks.
const SWEEPS: usize = 60 * crate::time::HZ as usize;

/// Half of the classes of one endpoint: for each the times that a port was taken, or [`LISTED`].
#[derive(Clone, Copy, zerocopy::FromZeros)]
#[repr(C, align(64))]
struct Half([u8; CLASSES / 2]);

pub(super) struct Heat<M: Memory> {
    /// Two for each row, a power of two of rows.
    halves: M::Slice<Half>,
    /// The next one whose takes are forgotten.
    broom: usize,
}

impl<M: Memory> Heat<M> {
    /// For about so many endpoints; at most 65,536 of them are told apart.
    pub(super) fn new(memory: &M, endpoints: usize) -> Result<Self, OutOfMemory> {
        Ok(Heat { halves: memory.zeroed(2 * endpoints.clamp(1, 1 << 16).next_power_of_two())?, broom: 0 })
    }

    /// The row of an endpoint.
    #[inline(always)]
    pub(super) fn row(&self, endpoint: EndpointId) -> u16 {
        (endpoint.index() & (self.halves.len() / 2 - 1)) as u16
    }

    /// How often a port was taken within the last minute, as far as it was counted; `None` for a pair that has chunks.
    #[inline(always)]
    pub(super) fn takes(&self, endpoint: EndpointId, class: Class) -> Option<u8> {
        let (half, at) = self.place(endpoint, class);
        Some(self.halves[half].0[at]).filter(|takes| *takes != LISTED)
    }

    /// Whether a port was taken less often than so, within the last minute, of a pair without chunks.
    #[inline(always)]
    pub(super) fn is_below(&self, endpoint: EndpointId, class: Class, most: u8) -> bool {
        let (half, at) = self.place(endpoint, class);
        self.halves[half].0[at] < most
    }

    /// The same, and if so one more is taken.
    #[inline(always)]
    pub(super) fn count_below(&mut self, endpoint: EndpointId, class: Class, most: u8) -> bool {
        let (half, at) = self.place(endpoint, class);
        let takes = &mut self.halves[half].0[at];
        let is_below = *takes < most;
        *takes += u8::from(is_below && *takes < LISTED - 1);
        is_below
    }

    /// A port was taken, of a pair without chunks.
    #[inline(always)]
    pub(super) fn count(&mut self, endpoint: EndpointId, class: Class) {
        let (half, at) = self.place(endpoint, class);
        let takes = &mut self.halves[half].0[at];
        *takes += u8::from(*takes < LISTED - 1);
    }

    /// The pair has a chunk now, or has none any more.
    pub(super) fn list(&mut self, endpoint: EndpointId, class: Class, listed: bool) {
        let (half, at) = self.place(endpoint, class);
        self.halves[half].0[at] = if listed { LISTED } else { 0 };
    }

    /// Loads what is known of a pair.
    #[inline(always)]
    pub(super) fn prefetch(&self, endpoint: EndpointId, class: Class) {
        prefetch(&self.halves, self.place(endpoint, class).0);
    }

    /// Forgets the takes of the next pairs. To be called once a tick: then those of a minute count.
    pub(super) fn sweep(&mut self) {
        let all = self.halves.len();
        for _ in 0..all.div_ceil(SWEEPS) {
            let half = &mut self.halves[self.broom % all].0;
            half.iter_mut().for_each(|takes| *takes = if *takes == LISTED { LISTED } else { 0 });
            self.broom = (self.broom + 1) % all;
        }
    }

    #[inline(always)]
    fn place(&self, endpoint: EndpointId, class: Class) -> (usize, usize) {
        let class = class.index() % CLASSES;
        (usize::from(self.row(endpoint)) * 2 + class / (CLASSES / 2), class % (CLASSES / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::Heap;

    #[test]
    fn takes_are_counted_by_pair_and_forgotten_after_a_minute_and_chunks_are_not() {
        let mut heat = Heat::<Heap>::new(&Heap, 5_000).unwrap();
        let (a, b) = (EndpointId(7), EndpointId(8));
        for _ in 0..1_000 {
            heat.count(a, Class(127));
        }
        heat.count(a, Class(0));
        heat.list(b, Class(127), true);
        heat.count(b, Class(127));
        let seen = |heat: &Heat<Heap>| [(a, 127), (a, 0), (a, 63), (b, 127)].map(|(e, c)| heat.takes(e, Class(c)));
        assert_eq!(seen(&heat), [Some(254), Some(1), Some(0), None]);
        for _ in 0..SWEEPS {
            heat.sweep();
        }
        assert_eq!(seen(&heat), [Some(0), Some(0), Some(0), None]);
        heat.list(b, Class(127), false);
        assert_eq!(seen(&heat)[3], Some(0));
    }
}
