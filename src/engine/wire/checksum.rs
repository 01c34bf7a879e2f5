//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624): the one module that touches checksums.
//!
//! A checksum is never swapped: the one's-complement sum comes out the same in either byte order (RFC 1071, 2 (B)), so
//! everything here adds 16-bit words as they lie in memory, and a `u16` is what [`Be16::raw`] gives and
//! [`Be16::from_raw`] takes.
//!
//! Frames that are forwarded are only ever updated, by a [`Delta`] that is computed once for a connection and applied to
//! each packet: a corrupt packet stays corrupt, by the same difference. [`l4_fill`] is for frames that we originate, and
//! for those whose sender left the checksum unfinished.

use super::{ipv4, ipv6};
use crate::addr::{Addr, Be16, Be32, Dir};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A one's-complement sum that words are added to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    #[inline(always)]
    pub const fn new() -> Sum {
        Sum(0)
    }

    /// Adds bytes; a last odd one is the first of a word whose other byte is 0. So of all bytes that are added, only
    /// the last may be of odd number. Any length that a packet can have (up to 16 GiB).
    #[inline]
    pub fn bytes(self, bytes: &[u8]) -> Sum {
        let (eights, rest) = bytes.as_chunks::<8>();
        let mut sum = self.0;
        for eight in eights {
            let word = u64::from_ne_bytes(*eight);
            sum += (word & 0xffff_ffff) + (word >> 32);
        }
        let (fours, rest) = rest.as_chunks::<4>();
        for four in fours {
            sum += u64::from(u32::from_ne_bytes(*four));
        }
        let last = match *rest {
            [] => return Sum(sum),
            [a] => [a, 0, 0, 0],
            [a, b] => [a, b, 0, 0],
            [a, b, c, ..] => [a, b, c, 0],
        };
        Sum(sum + u64::from(u32::from_ne_bytes(last)))
    }

    /// Adds a word.
    #[inline(always)]
    pub const fn word16(self, word: Be16) -> Sum {
        Sum(self.0 + word.raw() as u64)
    }

    /// Adds two words.
    #[inline(always)]
    pub const fn word32(self, words: Be32) -> Sum {
        Sum(self.0 + words.raw() as u64)
    }

    /// Adds the words of an address.
    #[inline(always)]
    pub fn addr(self, addr: Addr) -> Sum {
        match addr {
            Addr::V4(a) => self.word32(a),
            Addr::V6(a) => self.bytes(&a.bytes()),
        }
    }

    /// The sum in 16 bits, not complemented. It is 0 only if nothing but zeros was added.
    #[inline(always)]
    pub const fn fold(self) -> u16 {
        fold(self.0)
    }
}

/// Adds the carries in again (RFC 1071, 1 (2)); 2^16, 2^32 and 2^48 are all 1 in one's complement.
#[inline(always)]
const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32); // below 2^33
    let sum = (sum & 0xffff) + (sum >> 16); // below 2^18
    let sum = (sum & 0xffff) + (sum >> 16); // below 2^16 + 4
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// The checksum of some bytes, raw: the complement of their sum. A message that contains its own right checksum gives 0.
#[inline]
pub fn of(bytes: &[u8]) -> u16 {
    !Sum::new().bytes(bytes).fold()
}

/// The sum of the pseudo-header of TCP (RFC 9293, 3.1), UDP (RFC 768) and ICMPv6 over either family (RFC 8200, 8.1: its
/// longer fields add the same). `len` is that of the segment in bytes.
#[inline(always)]
pub fn pseudo(src: Addr, dst: Addr, proto: u8, len: u16) -> Sum {
    Sum::new().addr(src).addr(dst).word16(Be16::new(proto.into())).word16(Be16::new(len))
}

/// A one's-complement difference between two versions of some bytes, raw: new minus old. Its zero is unique
/// ([`Delta::ZERO`], which is also what zeroed memory holds), so that equal differences compare equal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Delta(pub u16);

impl Delta {
    /// No difference.
    pub const ZERO: Delta = Delta(0);
    /// One hop less in an IPv4 header, whatever the TTL was (RFC 1141, 2). Never for a TTL of 0.
    pub const TTL_DOWN: Delta = Delta(u16::from_ne_bytes([0xfe, 0xff]));

    /// The difference that takes this one back.
    #[inline(always)]
    pub const fn inverse(self) -> Delta {
        Delta::unique(!self.0)
    }

    /// The difference for packets of a direction, of one that is stored for `Dir::In`. Only for [`apply`] and its like: no
    /// difference may come out as 0xFFFF, which changes a checksum as little as 0 does.
    #[inline(always)]
    pub const fn toward(self, dir: Dir) -> Delta {
        // All bits of it for `Dir::Out`: no branch, as packets of both directions come mixed.
        Delta(self.0 ^ (dir as u16).wrapping_neg())
    }

    /// Both differences, in any order.
    #[inline(always)]
    pub const fn then(self, other: Delta) -> Delta {
        let sum = self.0 as u32 + other.0 as u32;
        Delta::unique(((sum & 0xffff) + (sum >> 16)) as u16)
    }

    /// Of the two zeros of one's complement, takes 0.
    #[inline(always)]
    const fn unique(sum: u16) -> Delta {
        Delta(if sum == 0xffff { 0 } else { sum })
    }
}

/// Gathers what is replaced in the bytes under a checksum, and makes one [`Delta`] of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeltaSum(u64);

impl DeltaSum {
    /// Nothing is replaced.
    #[inline(always)]
    pub const fn new() -> DeltaSum {
        DeltaSum(0)
    }

    /// Replaces two words at an even offset: an address, a sequence number.
    #[inline(always)]
    pub const fn replace32(self, old: Be32, new: Be32) -> DeltaSum {
        DeltaSum(self.0 + !old.raw() as u64 + new.raw() as u64)
    }

    /// Replaces an address by one of any family, as the pseudo-header has them.
    #[inline(always)]
    pub fn replace_addr(self, old: Addr, new: Addr) -> DeltaSum {
        match (old, new) {
            (Addr::V4(old), Addr::V4(new)) => self.replace32(old, new),
            (Addr::V4(_) | Addr::V6(_), _) => {
                let (old, new) = (Sum::new().addr(old).fold(), Sum::new().addr(new).fold());
                DeltaSum(self.0 + u64::from(!old) + u64::from(new))
            }
        }
    }

    /// Replaces a word at an even offset: a port, a length.
    #[inline(always)]
    pub const fn replace16(self, old: Be16, new: Be16) -> DeltaSum {
        DeltaSum(self.0 + !old.raw() as u64 + new.raw() as u64)
    }

    /// Replaces any bytes, `offset` bytes after the first that the checksum covers. (Only its parity counts, and every
    /// IPv4 and TCP header has an even length: an offset from the first option does as well.) When one of the two is
    /// shorter, zeros stand for what it lacks.
    #[inline]
    pub fn replace_at(self, offset: usize, old: &[u8], new: &[u8]) -> DeltaSum {
        let sum = fold(u64::from(!Sum::new().bytes(old).fold()) + u64::from(Sum::new().bytes(new).fold()));
        // A byte at an odd offset has the other place in its word (RFC 1071, 2 (B)).
        let sum = if offset.is_multiple_of(2) { sum } else { sum.swap_bytes() };
        DeltaSum(self.0 + u64::from(sum))
    }

    /// Both.
    #[inline(always)]
    pub const fn then(self, other: DeltaSum) -> DeltaSum {
        DeltaSum(self.0 + other.0)
    }

    /// The difference.
    #[inline(always)]
    pub const fn fold(self) -> Delta {
        Delta::unique(fold(self.0))
    }
}

/// Updates the checksum of an IPv4 header, a TCP segment or an ICMP message: `HC' = HC - ~m - m'` (RFC 1624, equation 4,
/// which is equation 3 bit by bit). What was right stays right, what was wrong stays wrong.
#[inline(always)]
pub const fn apply(field: &mut Be16, d: Delta) {
    *field = Be16::from_raw(updated(field.raw(), d));
}

/// As [`apply`], for two differences at once.
#[inline(always)]
pub const fn apply_both(field: &mut Be16, a: Delta, b: Delta) {
    *field = Be16::from_raw(updated(updated(field.raw(), a), b));
}

/// Updates the checksum of a UDP datagram: 0, which is no checksum, stays; one that comes out as 0 is sent as 0xFFFF
/// (RFC 768).
#[inline(always)]
pub const fn apply_udp(field: &mut Be16, d: Delta) {
    let old = field.raw();
    let new = updated(old, d);
    *field = Be16::from_raw(if old == 0 { 0 } else { never_zero(new) });
}

#[inline(always)]
const fn updated(raw: u16, d: Delta) -> u16 {
    let (less, borrow) = raw.overflowing_sub(d.0);
    less.wrapping_sub(borrow as u16)
}

#[inline(always)]
const fn never_zero(raw: u16) -> u16 {
    if raw == 0 { 0xffff } else { raw }
}

/// True when the checksum of an IPv4 header is right. `header` is all of it with its options, and nothing more.
#[inline(always)]
pub fn ipv4_header_ok(header: &[u8]) -> bool {
    // Nearly all have no options. The addresses are one word, as in a key.
    let Ok(header): Result<&[u8; ipv4::LEN], _> = header.try_into() else { return of(header) == 0 };
    let [start, addrs] = [header.first_chunk(), header.last_chunk()].map(|b| b.map_or(0, |b| u64::from_ne_bytes(*b)));
    let middle = header[8..].first_chunk().map_or(0, |b| u32::from_ne_bytes(*b));
    // Every carry counts 1, as 2^64 is 1 in one's complement too.
    let (sum, carry) = start.overflowing_add(addrs);
    let (sum, carry) = sum.carrying_add(u64::from(middle), carry);
    let sum = sum + u64::from(carry);
    // A multiple of 0xffff, and not 0 (Warren: Hacker's Delight, 10-17).
    const INVERSE: u64 = 0xfffe_fffe_fffe_ffff;
    sum.wrapping_mul(INVERSE).wrapping_sub(1) < u64::MAX / 0xffff
}

/// Writes the checksum of an IPv4 header. `header` is all of it with its options; below 20 bytes nothing is written.
#[inline]
pub fn ipv4_header_fill(header: &mut [u8]) {
    fill(header, 10, Sum::new());
}

/// True when the checksum of an ICMP message is right. `message` is all of it, and nothing more.
#[inline]
pub fn icmp_ok(message: &[u8]) -> bool {
    of(message) == 0
}

/// Writes the checksum of an ICMP message; below 4 bytes nothing is written.
#[inline]
pub fn icmp_fill(message: &mut [u8]) {
    // The field really holds 0 first: the rest of an echo reply may be nothing but zeros, too, and then 0 for the sum and
    // its complement are not the same.
    write(message, 2, 0);
    let raw = of(message);
    write(message, 2, raw);
}

/// The checksum that belongs in a TCP segment, UDP datagram or ICMPv6 message, raw, whatever its field holds now; never 0 for UDP.
/// `segment` is header and data, at most 65,535 bytes.
#[inline]
pub fn l4(src: impl Into<Addr>, dst: impl Into<Addr>, proto: u8, segment: &[u8]) -> u16 {
    let pseudo = pseudo(src.into(), dst.into(), proto, segment.len() as u16);
    let raw = full(segment, l4_place(proto), pseudo);
    if proto == ipv4::UDP { never_zero(raw) } else { raw }
}

/// True when the checksum of a TCP segment, UDP datagram or ICMPv6 message is right, or absent (UDP only). `segment` as for [`l4`].
#[inline]
pub fn l4_ok(src: impl Into<Addr>, dst: impl Into<Addr>, proto: u8, segment: &[u8]) -> bool {
    if proto == ipv4::UDP && segment.get(6..8) == Some(&[0, 0]) {
        return true;
    }
    pseudo(src.into(), dst.into(), proto, segment.len() as u16).bytes(segment).fold() == 0xffff
}

/// Writes [`l4`] into the segment; nothing is written when the segment is too short for the field.
#[inline]
pub fn l4_fill(src: impl Into<Addr>, dst: impl Into<Addr>, proto: u8, segment: &mut [u8]) {
    let raw = l4(src, dst, proto, segment);
    write(segment, l4_place(proto), raw);
}

/// Where the checksum stands in a segment.
#[inline(always)]
const fn l4_place(proto: u8) -> usize {
    match proto {
        ipv4::UDP => 6,
        ipv6::ICMPV6 => 2,
        _ => 16,
    }
}

/// The checksum of `bytes` as if the field at `place`, an even offset, held 0.
#[inline]
fn full(bytes: &[u8], place: usize, pseudo: Sum) -> u16 {
    let now = bytes.get(place..).and_then(|b| b.first_chunk()).map_or(0, |b: &[u8; 2]| u16::from_ne_bytes(*b));
    let sum = pseudo.bytes(bytes).fold();
    !fold(u64::from(sum) + u64::from(!now))
}

#[inline]
fn fill(bytes: &mut [u8], place: usize, pseudo: Sum) {
    let raw = full(bytes, place, pseudo);
    write(bytes, place, raw);
}

#[inline]
fn write(bytes: &mut [u8], place: usize, raw: u16) {
    if let Some(field) = bytes.get_mut(place..).and_then(|b| b.first_chunk_mut()) {
        *field = raw.to_ne_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use zerocopy::FromZeros;

    /// The checksum as RFC 1071, 4.1 computes it: a number, in host order, word by word.
    fn by_the_book(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    fn host(raw: u16) -> u16 {
        Be16::from_raw(raw).host()
    }

    fn field(host: u16) -> Be16 {
        Be16::new(host)
    }

    /// Equal in one's complement, where 0 and 0xffff are the same.
    fn same(a: u16, b: u16) -> bool {
        a == b || (a ^ b == 0xffff && (a == 0 || b == 0))
    }

    #[test]
    fn a_message_of_nothing_but_zeros_has_a_checksum_too() {
        let mut reply = [0; 8];
        icmp_fill(&mut reply);
        assert_eq!(reply, [0, 0, 0xff, 0xff, 0, 0, 0, 0]);
        assert!(icmp_ok(&reply));
    }

    #[test]
    fn the_sum_of_rfc_1071_section_3_comes_out() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(host(Sum::new().bytes(&bytes).fold()), 0xddf2);
        assert_eq!(host(of(&bytes)), !0xddf2);
    }

    #[test]
    fn the_example_of_rfc_1624_section_4_comes_out() {
        let d = DeltaSum::new().replace16(Be16::new(0x5555), Be16::new(0x3285)).fold();
        let mut hc = field(0xdd2f);
        apply(&mut hc, d);
        assert_eq!(hc, field(0x0000));
        apply(&mut hc, d.inverse());
        assert_eq!(hc, field(0xdd2f));
        let mut udp = field(0xdd2f);
        apply_udp(&mut udp, d);
        assert_eq!(udp, field(0xffff));
    }

    #[test]
    fn a_known_icmpv6_message_has_its_known_checksum() {
        let ip = |a: &str| a.parse::<core::net::Ipv6Addr>().unwrap();
        let (src, dst) = (ip("2001:db8::1"), ip("2001:db8::2"));
        // 2 * (2001 + 0db8) + 1 + 2 + 8 + 3a + 8000 + 1234 + 1 without a carry.
        let mut echo = [0x80, 0, 0xde, 0xad, 0x12, 0x34, 0, 1];
        assert!(!l4_ok(src, dst, ipv6::ICMPV6, &echo));
        l4_fill(src, dst, ipv6::ICMPV6, &mut echo);
        assert_eq!(echo[2..4], (!(2 * (0x2001 + 0x0db8) + 1 + 2 + 8 + 0x3a + 0x8000 + 0x1234 + 1u16)).to_be_bytes());
        assert!(l4_ok(src, dst, ipv6::ICMPV6, &echo));
    }

    #[test]
    fn a_known_ipv4_header_has_its_known_checksum() {
        let mut header = [
            0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8,
            0x00, 0xc7,
        ];
        assert!(ipv4_header_ok(&header));
        header[10..12].copy_from_slice(&[0xde, 0xad]);
        assert!(!ipv4_header_ok(&header));
        ipv4_header_fill(&mut header);
        assert_eq!(header[10..12], [0xb8, 0x61]);
        assert!(!ipv4_header_ok(&[]));
    }

    #[test]
    fn fields_that_are_not_there_are_not_written() {
        for len in 0..24 {
            let mut bytes = vec![0xa5; len];
            ipv4_header_fill(&mut bytes);
            assert_eq!(bytes != vec![0xa5; len], len >= 12);
            let mut bytes = vec![0xa5; len];
            l4_fill(Be32::new(1), Be32::new(2), ipv4::TCP, &mut bytes);
            assert_eq!(bytes != vec![0xa5; len], len >= 18);
            let mut bytes = vec![0xa5; len];
            icmp_fill(&mut bytes);
            assert_eq!(bytes != vec![0xa5; len], len >= 4);
        }
    }

    #[test]
    fn zero_is_no_checksum_for_udp_and_stays_so() {
        let d = DeltaSum::new().replace16(Be16::new(1), Be16::new(2)).fold();
        let mut hc = field(0);
        apply_udp(&mut hc, d);
        assert_eq!(hc, field(0));
        assert!(l4_ok(Be32::new(1), Be32::new(2), ipv4::UDP, &[0, 1, 0, 2, 0, 9, 0, 0, 7]));
        assert!(!l4_ok(Be32::new(1), Be32::new(2), ipv4::TCP, &[0; 20]));
    }

    #[test]
    fn a_udp_checksum_that_comes_out_as_zero_is_filled_in_as_ffff() {
        let (src, dst) = (Be32::new(0), Be32::new(0));
        let mut datagram = [0, 0, 0, 0, 0, 10, 0, 0, 0xff, 0xda]; // 17 + 10 + 10 + 0xffda = 0xffff
        l4_fill(src, dst, ipv4::UDP, &mut datagram);
        assert_eq!(datagram[6..8], [0xff, 0xff]);
        assert!(l4_ok(src, dst, ipv4::UDP, &datagram));
    }

    #[test]
    fn every_ttl_goes_down_by_one_with_its_checksum() {
        for ttl in 1..=255 {
            let mut header = ipv4::Header::new_zeroed();
            (header.ver_ihl, header.ttl, header.proto, header.id) = (0x45, ttl, 6, Be16::new(u16::from(ttl) * 251));
            ipv4_header_fill(header.as_mut_bytes());
            header.ttl -= 1;
            apply(&mut header.checksum, Delta::TTL_DOWN);
            let mut full = header;
            ipv4_header_fill(full.as_mut_bytes());
            assert_eq!((header.ttl, header.checksum), (ttl - 1, full.checksum));
        }
    }

    #[test]
    fn replacing_a_value_by_itself_is_no_difference() {
        for v in [0u16, 1, 0x7fff, 0xfffe, 0xffff] {
            assert_eq!(DeltaSum::new().replace16(Be16::new(v), Be16::new(v)).fold(), Delta::ZERO);
        }
        for hc in 0..=0xffff {
            let mut f = field(hc);
            apply(&mut f, Delta::ZERO);
            assert_eq!(f, field(hc));
            apply_udp(&mut f, Delta::ZERO);
            assert_eq!(f, field(hc));
        }
        assert_eq!(Delta::ZERO.inverse(), Delta::ZERO);
    }

    #[test]
    fn inverse_and_then_are_those_of_a_group_for_every_difference() {
        for n in 0..0xffff {
            let d = Delta(n);
            assert_eq!(d.inverse().inverse(), d);
            assert_eq!(d.then(d.inverse()), Delta::ZERO);
            assert_eq!(d.then(Delta::ZERO), d);
        }
    }

    #[test]
    fn the_inverse_gives_every_right_checksum_back() {
        // A right checksum is never 0xffff, but for UDP, where it is never 0: the sum of a packet is never 0.
        let d = Delta(0x1234);
        for hc in 0..0xffff {
            let mut f = field(hc);
            apply(&mut f, d);
            apply(&mut f, d.inverse());
            assert_eq!(f, field(hc));
            let mut f = field(!hc);
            apply_udp(&mut f, d);
            apply_udp(&mut f, d.inverse());
            assert_eq!(f, field(!hc));
        }
    }

    #[test]
    fn equations_3_and_4_of_rfc_1624_are_the_same_for_every_checksum() {
        for d in [0, 1, 2, 0x1234, 0x8000, 0xfffd, 0xfffe, 0xffff] {
            for hc in 0..=0xffff {
                assert_eq!(updated(hc, Delta(d)), !fold(u64::from(!hc) + u64::from(d)), "{hc:#x} and {d:#x}");
            }
        }
    }

    /// A segment, and where something in it is replaced by what.
    fn replaced() -> impl Strategy<Value = (Vec<u8>, usize, Vec<u8>)> {
        (vec(any::<u8>(), 20..120), any::<prop::sample::Index>(), vec(any::<u8>(), 0..20)).prop_map(|(old, at, new)| {
            let at = 18 + at.index(old.len() - 18);
            let len = new.len().min(old.len() - at);
            (old, at, new[..len].to_vec())
        })
    }

    proptest! {
        #[test]
        fn the_fast_sum_is_that_of_the_book(bytes in vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(host(of(&bytes)), by_the_book(&bytes));
        }

        #[test]
        fn incremental_is_full_for_addresses_and_ports(
            old in any::<[u32; 4]>(), new in any::<[u32; 4]>(), rest in vec(any::<u8>(), 0..100), udp: bool,
        ) {
            let proto = if udp { ipv4::UDP } else { ipv4::TCP };
            let make = |v: &[u32; 4]| {
                let mut segment = [&v[2].to_be_bytes()[..], &v[3].to_be_bytes(), &[0; 12], &rest].concat();
                l4_fill(Be32::new(v[0]), Be32::new(v[1]), proto, &mut segment);
                segment
            };
            let (before, after) = (make(&old), make(&new));
            prop_assert!(l4_ok(Be32::new(old[0]), Be32::new(old[1]), proto, &before));
            let mut sum = DeltaSum::new();
            for (at, (old, new)) in old.iter().zip(&new).enumerate() {
                if udp && at == 3 { // that is length and checksum
                    continue;
                }
                sum = sum.replace32(Be32::new(*old), Be32::new(*new));
            }
            let place = l4_place(proto);
            if udp && before[4..6] != after[4..6] {
                sum = sum.replace_at(4, &before[4..6], &after[4..6]);
            }
            let mut hc = Be16::read_from_bytes(&before[place..place + 2]).unwrap();
            if udp { apply_udp(&mut hc, sum.fold()) } else { apply(&mut hc, sum.fold()) }
            prop_assert_eq!(hc.bytes(), &after[place..place + 2]);
        }

        #[test]
        fn incremental_is_full_for_bytes_at_any_offset((mut segment, at, new) in replaced()) {
            let (src, dst) = (Be32::new(0xc612_0101), Be32::new(0xc612_0164));
            l4_fill(src, dst, ipv4::TCP, &mut segment);
            let mut hc = Be16::read_from_bytes(&segment[16..18]).unwrap();
            let d = DeltaSum::new().replace_at(at, &segment[at..at + new.len()], &new).fold();
            apply(&mut hc, d);
            segment[at..at + new.len()].copy_from_slice(&new);
            prop_assert_eq!(hc.raw(), l4(src, dst, ipv4::TCP, &segment));
        }

        #[test]
        fn a_wrong_checksum_stays_wrong_by_the_same_difference((segment, at, new) in replaced(), wrong: u16) {
            let (src, dst) = (Be32::new(0xc612_0101), Be32::new(0xc612_0164));
            let error = |field: Be16, segment: &[u8]| {
                DeltaSum::new().replace16(Be16::from_raw(l4(src, dst, ipv4::TCP, segment)), field).fold()
            };
            let mut after = segment.clone();
            after[at..at + new.len()].copy_from_slice(&new);
            let mut hc = field(wrong);
            let before = error(hc, &segment);
            apply(&mut hc, DeltaSum::new().replace_at(at, &segment[at..at + new.len()], &new).fold());
            prop_assert_eq!(error(hc, &after), before);
        }

        #[test]
        fn parts_of_a_replacement_add_up(a: u32, b: u32, c: u32, offset in 0usize..8) {
            let (a, b, c) = (Be32::new(a), Be32::new(b), Be32::new(c));
            let d = |x: Be32, y: Be32| DeltaSum::new().replace_at(offset, &x.bytes(), &y.bytes()).fold();
            prop_assert_eq!(d(a, b).then(d(b, c)), d(a, c));
            prop_assert_eq!(d(a, b).inverse(), d(b, a));
            if offset % 2 == 0 {
                prop_assert_eq!(d(a, b), DeltaSum::new().replace32(a, b).fold());
            }
        }

        #[test]
        fn the_inverse_brings_any_checksum_back(hc: u16, d in 0..0xffffu16) {
            let mut f = field(hc);
            apply(&mut f, Delta(d));
            apply(&mut f, Delta(d).inverse());
            prop_assert!(same(f.host(), hc));
        }
    }
}
