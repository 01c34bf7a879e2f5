//! IPv6 (RFC 8200): the fixed header, and the walk over the extension headers behind it.

use crate::addr::{Be16, Be32, Be128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of the fixed header.
pub const LEN: usize = 40;
/// The least MTU of a link (RFC 8200, 5).
pub const MIN_MTU: u16 = 1280;
/// Next header: ICMPv6.
pub const ICMPV6: u8 = 58;
/// Extension header: options for every hop (RFC 8200, 4.3).
pub const HOP_BY_HOP: u8 = 0;
/// Extension header: routing (RFC 8200, 4.4).
pub const ROUTING: u8 = 43;
/// Extension header: fragment (RFC 8200, 4.5).
pub const FRAGMENT: u8 = 44;
/// Extension header: options for the destination (RFC 8200, 4.6).
pub const DESTINATION: u8 = 60;
/// Bytes of the fragment header.
pub const FRAGMENT_LEN: usize = 8;
/// The bit of [`Fragment::frag`] that says that more fragments follow.
pub const MF: u16 = 1;
/// Option of [`HOP_BY_HOP`]: a payload longer than its header can say (RFC 2675).
pub const JUMBO: u8 = 0xc2;

/// The fixed header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// Version (4 bits), traffic class (8), flow label (20).
    pub ver_class_flow: Be32,
    /// Bytes after this header, extension headers included.
    pub payload_len: Be16,
    /// What follows this header.
    pub next: u8,
    /// Hops that it may still make.
    pub hop_limit: u8,
    /// Source.
    pub src: Be128,
    /// Destination.
    pub dst: Be128,
}

const _: () = assert!(size_of::<Header>() == LEN);

impl Header {
    /// 6, if it is right.
    #[inline(always)]
    pub const fn version(&self) -> u8 {
        self.ver_class_flow.bytes()[0] >> 4
    }
    /// The traffic class (RFC 2474, RFC 3168).
    #[inline(always)]
    pub const fn traffic_class(&self) -> u8 {
        (self.ver_class_flow.host() >> 20) as u8
    }
    /// The flow label (RFC 6437).
    #[inline(always)]
    pub const fn flow_label(&self) -> u32 {
        self.ver_class_flow.host() & 0xf_ffff
    }
    /// The first word of a header.
    #[inline(always)]
    pub const fn first_word(traffic_class: u8, flow_label: u32) -> Be32 {
        Be32::new(6 << 28 | (traffic_class as u32) << 20 | flow_label & 0xf_ffff)
    }
}

/// The fragment header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Fragment {
    /// What follows it.
    pub next: u8,
    /// 0
    pub reserved: u8,
    /// Offset in units of 8 bytes (13 bits), reserved (2 bits), [`MF`].
    pub frag: Be16,
    /// The same in all fragments of a packet.
    pub id: Be32,
}

const _: () = assert!(size_of::<Fragment>() == FRAGMENT_LEN);

impl Fragment {
    /// It stands in a whole packet: first fragment and last (RFC 6946).
    #[inline(always)]
    pub const fn is_atomic(&self) -> bool {
        self.frag.host() & !0b110 == 0
    }
}

/// An extension header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extension<'a> {
    /// [`HOP_BY_HOP`], [`ROUTING`], [`FRAGMENT`] or [`DESTINATION`].
    pub kind: u8,
    /// All of it: at least 8 bytes.
    pub bytes: &'a [u8],
}

/// The extension headers behind a fixed header, in order. It ends before what is none of the four kinds, and before one that
/// goes beyond the bytes: [`Extensions::overrun`] tells which. Of a packet that is a fragment, only what stands up to the
/// fragment header is certain to be there.
#[derive(Clone, Debug)]
pub struct Extensions<'a> {
    next: u8,
    bytes: &'a [u8],
    at: usize,
}

/// The extension headers in `bytes`, the first of which is a `next`.
#[inline]
pub const fn extensions(next: u8, bytes: &[u8]) -> Extensions<'_> {
    Extensions { next, bytes, at: 0 }
}

impl Extensions<'_> {
    /// What stands at [`Extensions::len`].
    #[inline(always)]
    pub const fn proto(&self) -> u8 {
        self.next
    }
    /// Bytes that were walked over.
    #[inline(always)]
    pub const fn len(&self) -> usize {
        self.at
    }
    /// True when nothing was walked over.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.at == 0
    }
    /// At the end: what stands here should be an extension header, and is truncated.
    #[inline(always)]
    pub const fn overrun(&self) -> bool {
        matches!(self.next, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION)
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Extension<'a>;

    #[inline]
    fn next(&mut self) -> Option<Extension<'a>> {
        let rest = self.bytes.get(self.at..)?;
        let [next, units, ..] = *rest else { return None };
        let len = match self.next {
            HOP_BY_HOP | ROUTING | DESTINATION => 8 + 8 * usize::from(units),
            FRAGMENT => FRAGMENT_LEN,
            _ => return None,
        };
        let bytes = rest.get(..len)?;
        let kind = core::mem::replace(&mut self.next, next);
        self.at += len;
        Some(Extension { kind, bytes })
    }
}

/// The kinds of the options in a [`HOP_BY_HOP`] or [`DESTINATION`] header. `None` when they are malformed.
pub fn options(extension: &[u8]) -> Option<impl Iterator<Item = u8> + '_> {
    // Walked twice: to be malformed is a property of the whole.
    let walk = |at: usize| match *extension.get(at..)? {
        [0, ..] => Some((0, at + 1)),
        [kind, len, ..] => Some((kind, at + 2 + usize::from(len))),
        _ => None,
    };
    let mut end = 2;
    while let Some((_, next)) = walk(end) {
        end = next;
    }
    let mut at = 2;
    (end == extension.len()).then(|| {
        core::iter::from_fn(move || {
            let (kind, next) = walk(at)?;
            at = next;
            Some(kind)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn extension_headers_come_in_order_and_what_follows_them_is_known() {
        let mut bytes = [0; 40];
        bytes[..2].copy_from_slice(&[DESTINATION, 0]);
        bytes[8..10].copy_from_slice(&[FRAGMENT, 1]);
        bytes[24..32].copy_from_slice(&[17, 0, 0, 0, 0, 0, 0, 9]);
        let mut all = extensions(HOP_BY_HOP, &bytes);
        let found: Vec<_> = all.by_ref().map(|e| (e.kind, e.bytes.len())).collect();
        assert_eq!(found, [(HOP_BY_HOP, 8), (DESTINATION, 16), (FRAGMENT, 8)]);
        assert_eq!((all.proto(), all.len(), all.overrun()), (17, 32, false));
        let mut cut = extensions(HOP_BY_HOP, &bytes[..23]);
        assert_eq!((cut.by_ref().count(), cut.proto(), cut.overrun()), (1, DESTINATION, true));
        let (f, _) = Fragment::ref_from_prefix(&bytes[24..]).unwrap();
        assert_eq!((f.is_atomic(), f.id.host(), f.next), (true, 9, 17));
        for (frag, atomic) in [(MF, false), (8, false), (0b110, true)] {
            assert_eq!(Fragment { frag: Be16::new(frag), ..*f }.is_atomic(), atomic);
        }
    }

    #[test]
    fn options_are_walked_to_their_end_or_are_malformed() {
        let kinds = |bytes: &[u8]| options(bytes).map(Iterator::collect::<Vec<_>>);
        assert_eq!(kinds(&[6, 0, 1, 4, 0, 0, 0, 0]), Some(vec![1]));
        assert_eq!(kinds(&[6, 0, 0, 0, JUMBO, 2, 0, 0]), Some(vec![0, 0, JUMBO]));
        assert_eq!(kinds(&[6, 0, 5, 5, 0, 0, 0, 0]), None, "one byte too long");
        assert_eq!(kinds(&[6, 0, 5, 3, 0, 0, 0, 7]), None, "a kind without length");
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end_within_bounds(next: u8, bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut all = extensions(next, &bytes);
            let sum: usize = all.by_ref().map(|e| e.bytes.len()).sum();
            prop_assert_eq!(all.len(), sum);
            prop_assert!(sum <= bytes.len());
        }
    }

    #[test]
    fn fields_are_where_the_standard_puts_them() {
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(&[0x6a, 0xb1, 0x23, 0x45, 0x01, 0x02, 6, 64]);
        (bytes[8], bytes[39]) = (0x20, 9);
        let h = Header::read_from_bytes(&bytes).unwrap();
        assert_eq!((h.version(), h.traffic_class(), h.flow_label()), (6, 0xab, 0x12345));
        assert_eq!((h.payload_len.host(), h.next, h.hop_limit), (0x0102, 6, 64));
        assert_eq!((h.src.bytes()[0], h.dst.bytes()[15]), (0x20, 9));
        assert_eq!(Header::first_word(0xab, 0x12345), h.ver_class_flow);
    }
}
