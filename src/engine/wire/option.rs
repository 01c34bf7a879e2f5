//! The list of options that IPv4 (RFC 791, 3.1) and TCP (RFC 9293, 3.1) have in common: a kind of one byte, for all but
//! two kinds followed by the length of the whole option and its data.

use core::ops::Range;

/// End of the list; without a length.
pub const EOL: u8 = 0;
/// No operation: fills a byte; without a length.
pub const NOP: u8 = 1;

/// One option: where it stands, and what it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opt {
    /// Where its kind stands, in bytes from the first option.
    pub at: usize,
    /// Its kind.
    pub kind: u8,
    /// Bytes of the whole option: kind, length and data. 1 for [`NOP`], at least 2 for any other.
    pub len: usize,
}

impl Opt {
    /// The whole option, in bytes from the first option. Always within the bytes that were iterated over.
    #[inline(always)]
    pub const fn range(&self) -> Range<usize> {
        self.at..self.at + self.len
    }

    /// Its data, in bytes from the first option; empty for [`NOP`]. Always within the bytes that were iterated over.
    #[inline(always)]
    pub const fn data(&self) -> Range<usize> {
        let head = if self.len < 2 { self.len } else { 2 };
        self.at + head..self.at + self.len
    }
}

/// The options in some bytes, in order, each [`NOP`] too. Ends at [`EOL`], at the end of the bytes, and before an option
/// whose length is below 2 or goes beyond them; [`Options::rest`] then tells which.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Options<'a> {
    /// The options in `bytes`: those of a header, without what stands before and after them.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Options<'a> {
        Options { bytes, at: 0 }
    }

    /// What has not been iterated over: empty, or from [`EOL`] on, or from a malformed option on.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or(&[])
    }

    /// The data of an option that came from these bytes.
    #[inline]
    pub fn data(&self, opt: Opt) -> &'a [u8] {
        self.bytes.get(opt.data()).unwrap_or(&[])
    }
}

impl Iterator for Options<'_> {
    type Item = Opt;

    #[inline]
    fn next(&mut self) -> Option<Opt> {
        let at = self.at;
        let (kind, len) = match *self.rest() {
            [] | [EOL, ..] => return None,
            [NOP, ..] => (NOP, 1),
            [kind, len, ..] => (kind, usize::from(len)),
            [_] => return None,
        };
        if len == 0 || (len == 1 && kind != NOP) || len > self.rest().len() {
            return None;
        }
        self.at = at + len;
        Some(Opt { at, kind, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn options_come_in_order_with_their_places() {
        let bytes = [1, 2, 4, 5, 0xb4, 1, 4, 2, 0, 9];
        let mut list = Options::new(&bytes);
        let found: Vec<_> = list.by_ref().map(|o| (o.at, o.kind, o.data())).collect();
        assert_eq!(found, [(0, 1, 1..1), (1, 2, 3..5), (5, 1, 6..6), (6, 4, 8..8)]);
        assert_eq!(list.rest(), [0, 9]);
    }

    #[test]
    fn a_malformed_option_ends_the_list() {
        for bytes in [&[5][..], &[5, 0], &[5, 1], &[5, 3], &[8, 10, 0, 0]] {
            let mut list = Options::new(bytes);
            assert_eq!(list.next(), None, "{bytes:?}");
            assert_eq!(list.rest(), bytes);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end_within_bounds(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut end = 0;
            for opt in Options::new(&bytes) {
                prop_assert_eq!(opt.at, end);
                end = opt.range().end;
                prop_assert!(end > opt.at && end <= bytes.len());
                prop_assert!(bytes.get(opt.data()).is_some());
            }
        }
    }
}
