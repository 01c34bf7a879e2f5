//! What is on its way: numbered, so that what does not come back is known to be lost.

/// As many can be on their way; a power of two.
pub const SLOTS: usize = 1 << 16;

#[derive(Clone, Copy, Default)]
struct Slot {
    number: u32,
    what: u32,
    at: u64,
    out: bool,
}

/// As many times a number can be [`Window::overdue`].
pub const TIMES: usize = 5;

/// The ring of those that are on their way.
pub struct Window {
    slots: Box<[Slot]>,
    next: u32,
    oldest: u32,
    /// Up to here numbers were looked at for the first time, the second, ...
    looked: [u32; TIMES],
    /// How many are on their way.
    pub outstanding: u32,
    /// How many did not come back.
    pub lost: u64,
}

impl Window {
    /// Nothing is on its way; the first number is `first`.
    pub fn new(first: u32) -> Window {
        let slots = vec![Slot::default(); SLOTS].into_boxed_slice();
        Window { slots, next: first, oldest: first, looked: [first; TIMES], outstanding: 0, lost: 0 }
    }

    /// The number that is given next.
    #[inline(always)]
    pub fn next(&self) -> u32 {
        self.next
    }

    /// Something leaves at this time: its number. If the ring is full the oldest counts as lost.
    #[inline(always)]
    pub fn leave(&mut self, what: u32, at: u64) -> u32 {
        if self.next.wrapping_sub(self.oldest) as usize == SLOTS {
            self.pass();
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.outstanding += 1;
        self.slots[number as usize % SLOTS] = Slot { number, what, at, out: true };
        number
    }

    /// What left under this number and is still out, and when.
    #[inline(always)]
    pub fn get(&self, number: u32) -> Option<(u32, u64)> {
        let slot = &self.slots[number as usize % SLOTS];
        (slot.out && slot.number == number).then_some((slot.what, slot.at))
    }

    /// Notes something else about one that is out.
    #[inline(always)]
    pub fn note(&mut self, number: u32, what: u32) {
        self.slots[number as usize % SLOTS].what = what;
    }

    /// It came back.
    #[inline(always)]
    pub fn back(&mut self, number: u32) {
        self.slots[number as usize % SLOTS].out = false;
        self.outstanding -= 1;
    }

    /// The next that left before `limit` and is still out, and what was noted of it: each number once for each of [`TIMES`],
    /// oldest first.
    pub fn overdue(&mut self, time: usize, limit: u64) -> Option<(u32, u32)> {
        let at = &mut self.looked[time];
        if at.wrapping_sub(self.oldest) as usize > SLOTS {
            // Those were given up meanwhile.
            *at = self.oldest;
        }
        while *at != self.next {
            let slot = &self.slots[*at as usize % SLOTS];
            if slot.at >= limit {
                break;
            }
            *at = at.wrapping_add(1);
            if slot.out {
                return Some((slot.number, slot.what));
            }
        }
        None
    }

    /// What left before `limit` and did not come back by now is lost.
    pub fn give_up(&mut self, limit: u64) {
        while self.oldest != self.next {
            let slot = &self.slots[self.oldest as usize % SLOTS];
            if slot.out && slot.at >= limit {
                return;
            }
            self.pass();
        }
    }

    fn pass(&mut self) {
        let slot = &mut self.slots[self.oldest as usize % SLOTS];
        if std::mem::take(&mut slot.out) {
            self.lost += 1;
            self.outstanding -= 1;
        }
        self.oldest = self.oldest.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_known_and_the_rest_is_lost_in_time() {
        let mut w = Window::new(u32::MAX);
        let numbers: Vec<u32> = (0..10).map(|n| w.leave(100 + n, u64::from(n))).collect();
        assert_eq!((numbers[0], numbers[1], w.outstanding), (u32::MAX, 0, 10));
        for n in [0, 2, 3] {
            assert_eq!(w.get(numbers[n]), Some((100 + n as u32, n as u64)));
            w.back(numbers[n]);
            assert_eq!(w.get(numbers[n]), None, "once");
        }
        w.give_up(5);
        assert_eq!((w.lost, w.outstanding), (2, 5));
        assert_eq!(w.get(numbers[1]), None, "too late");
        w.give_up(100);
        assert_eq!((w.lost, w.outstanding), (7, 0));
    }

    #[test]
    fn what_is_late_is_told_once_each_time() {
        let mut w = Window::new(u32::MAX - 1);
        let numbers: Vec<u32> = (0..6).map(|n| w.leave(100 + n, u64::from(n))).collect();
        w.back(numbers[1]);
        let told = |w: &mut Window, time, limit| -> Vec<(u32, u32)> {
            std::iter::from_fn(|| w.overdue(time, limit)).collect()
        };
        assert_eq!(told(&mut w, 0, 3), [(numbers[0], 100), (numbers[2], 102)]);
        assert_eq!(told(&mut w, 0, 4), [(numbers[3], 103)], "the others were told");
        assert_eq!(told(&mut w, 1, 1), [(numbers[0], 100)], "for the second time");
        w.give_up(3);
        assert_eq!(told(&mut w, 1, 100), [(numbers[3], 103), (numbers[4], 104), (numbers[5], 105)], "not what is lost");
        assert_eq!(told(&mut w, 0, 100), [(numbers[4], 104), (numbers[5], 105)]);
        assert_eq!(told(&mut w, 0, 100), []);
    }

    #[test]
    fn a_full_ring_gives_up_the_oldest() {
        let mut w = Window::new(0);
        (0..SLOTS as u32 + 5).for_each(|n| _ = w.leave(n, 0));
        assert_eq!((w.lost, w.outstanding as usize), (5, SLOTS));
        assert_eq!((w.get(4), w.get(5)), (None, Some((5, 0))));
    }
}
