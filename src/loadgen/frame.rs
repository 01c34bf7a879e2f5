//! Frames as the generator writes and reads them: Ethernet, IPv4 without options or IPv6 without extension headers, UDP or
//! TCP without options, and in the payload a mark by which a frame is known again.
//!
//! What does not change from frame to frame, checksums included, is a template; the rest is filled in.

use super::addresses::Endpoint;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// Bytes of the least frame, without its check sequence.
pub const LEAST: usize = 60;
/// Bytes of the least frame of IPv6: with a TCP header and a mark.
const LEAST6: usize = 80;
/// Bytes of the largest.
pub const MOST: usize = 1_514;

const IP: usize = 14;
/// Where TCP and UDP begin over IPv4, and over IPv6.
const L4: usize = 34;
const L4_6: usize = 54;
const UDP: usize = 8;
const TCP: usize = 20;
/// Bytes of the headers of TCP over IPv4, and over IPv6.
const END: usize = L4 + TCP;
const END_6: usize = L4_6 + TCP;
/// In front of a mark's number.
const MAGIC: u16 = 0x6774;

/// Who sends a template's frames to whom, and in which family.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// The sender's MAC address.
    pub own: Mac,
    /// The gateway's.
    pub gateway: Mac,
    /// It is IPv6.
    pub v6: bool,
}

/// Flags of TCP.
pub const FIN: u8 = 1;
/// See [`FIN`].
pub const SYN: u8 = 2;
/// See [`FIN`].
pub const RST: u8 = 4;
/// See [`FIN`].
pub const ACK: u8 = 16;

/// What a TCP header says, but for the ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The sequence number.
    pub seq: u32,
    /// What is acknowledged.
    pub ack: u32,
    /// The flags.
    pub flags: u8,
}

/// A frame but for addresses, ports, numbers and checksums.
#[derive(Clone, Debug)]
pub struct Template {
    head: [u8; END_6],
    v6: bool,
    len: usize,
    /// Bytes of the headers.
    l4_end: usize,
    marked: bool,
    /// The constant part of the checksums, not folded.
    ip_sum: u32,
    l4_sum: u32,
}

impl Template {
    /// A UDP frame of `len` bytes with a mark; over IPv6 of more, when there is not enough room.
    pub fn udp(len: usize, ends: Ends) -> Template {
        let len = if ends.v6 { len.max(LEAST6) } else { len };
        let mut t = Template::ip(17, len, len - IP, UDP, ends);
        let (l4, bytes) = (t.l4(), (len - t.l4()) as u16);
        t.head[l4 + 4..l4 + 6].copy_from_slice(&bytes.to_be_bytes());
        t.l4_sum += u32::from(bytes);
        t
    }

    /// A TCP frame of `len` bytes with a mark; over IPv6 of more, when there is not enough room.
    pub fn tcp(len: usize, ends: Ends) -> Template {
        let len = if ends.v6 { len.max(LEAST6) } else { len };
        Template::ip(6, len, len - IP, TCP, ends)
    }

    /// A TCP frame without payload, padded to the least length.
    pub fn empty_tcp(ends: Ends) -> Template {
        let end = if ends.v6 { END_6 } else { END };
        Template::ip(6, end.max(LEAST), end - IP, TCP, ends)
    }

    fn ip(proto: u8, len: usize, ip_len: usize, header: usize, ends: Ends) -> Template {
        let mut head = [0; END_6];
        head[..6].copy_from_slice(&ends.gateway);
        head[6..12].copy_from_slice(&ends.own);
        let l4 = if ends.v6 { L4_6 } else { L4 };
        let l4_len = ip_len - (l4 - IP);
        if ends.v6 {
            head[12..15].copy_from_slice(&[0x86, 0xDD, 0x60]);
            head[18..20].copy_from_slice(&(l4_len as u16).to_be_bytes());
            (head[20], head[21]) = (proto, 64);
        } else {
            head[12..15].copy_from_slice(&[8, 0, 0x45]);
            head[16..18].copy_from_slice(&(ip_len as u16).to_be_bytes());
            head[20] = 0x40; // DF
            (head[22], head[23]) = (64, proto);
        }
        let ip_sum = if ends.v6 { 0 } else { sum(&head[IP..L4]) };
        let marked = l4_len > header;
        if proto == 6 {
            head[l4 + 12] = 5 << 4;
            head[l4 + 14..l4 + 16].copy_from_slice(&0xFFFF_u16.to_be_bytes());
        }
        let payload = if marked { u32::from(MAGIC) } else { 0 };
        let l4_sum = sum(&head[l4..l4 + header]) + u32::from(proto) + l4_len as u32 + payload;
        Template { head, v6: ends.v6, len, l4_end: l4 + header, marked, ip_sum, l4_sum }
    }

    #[inline(always)]
    fn l4(&self) -> usize {
        if self.v6 { L4_6 } else { L4 }
    }

    /// Bytes of the frame.
    #[inline(always)]
    pub fn size(&self) -> usize {
        self.len
    }

    /// Writes a UDP frame with this mark. The ends are of its family.
    #[inline(always)]
    pub fn fill_udp(&self, frame: &mut [u8], from: Endpoint, to: Endpoint, mark: u32) {
        let Some((h, addrs)) = self.begin(frame, from, to) else { return };
        let sum = self.l4_sum + addrs + ports(from, to) + words(mark);
        // A sum of 0 would mean that there is none (RFC 768).
        let sum = match fold(sum) {
            0 => 0xFFFF,
            sum => sum,
        };
        h[6..8].copy_from_slice(&sum.to_be_bytes());
        self.end(frame, mark);
    }

    /// Writes a TCP frame; one without payload has no mark. The ends are of its family.
    #[inline(always)]
    pub fn fill_tcp(&self, frame: &mut [u8], from: Endpoint, to: Endpoint, s: Segment, mark: u32) {
        let Some((h, addrs)) = self.begin(frame, from, to) else { return };
        h[4..8].copy_from_slice(&s.seq.to_be_bytes());
        h[8..12].copy_from_slice(&s.ack.to_be_bytes());
        h[13] = s.flags;
        let mark_sum = if self.marked { words(mark) } else { 0 };
        let numbers = words(s.seq) + words(s.ack) + u32::from(s.flags) + mark_sum;
        let sum = fold(self.l4_sum + addrs + ports(from, to) + numbers);
        h[16..18].copy_from_slice(&sum.to_be_bytes());
        self.end(frame, mark);
    }

    /// The header of layer 4 with its ports, and the sum of the addresses.
    #[inline(always)]
    fn begin<'a>(&self, frame: &'a mut [u8], from: Endpoint, to: Endpoint) -> Option<(&'a mut [u8; TCP], u32)> {
        if self.v6 {
            let h: &mut [u8; END_6] = frame.first_chunk_mut()?;
            *h = self.head;
            h[22..38].copy_from_slice(&from.addr.to_be_bytes());
            h[38..54].copy_from_slice(&to.addr.to_be_bytes());
            h[54..56].copy_from_slice(&from.port.to_be_bytes());
            h[56..58].copy_from_slice(&to.port.to_be_bytes());
            return Some((h.last_chunk_mut()?, all_words(from.addr) + all_words(to.addr)));
        }
        let h: &mut [u8; END] = frame.first_chunk_mut()?;
        *h = *self.head.first_chunk()?;
        // The last four bytes of a mapped address.
        let (src, dst) = (from.addr as u32, to.addr as u32);
        let addrs = words(src) + words(dst);
        h[24..26].copy_from_slice(&fold(self.ip_sum + addrs).to_be_bytes());
        h[26..30].copy_from_slice(&src.to_be_bytes());
        h[30..34].copy_from_slice(&dst.to_be_bytes());
        h[34..36].copy_from_slice(&from.port.to_be_bytes());
        h[36..38].copy_from_slice(&to.port.to_be_bytes());
        Some((h.last_chunk_mut()?, addrs))
    }

    #[inline(always)]
    fn end(&self, frame: &mut [u8], mark: u32) {
        let Some(payload) = frame.get_mut(self.l4_end..) else { return };
        payload.fill(0);
        if let (true, Some(bytes)) = (self.marked, payload.first_chunk_mut::<6>()) {
            bytes[..2].copy_from_slice(&MAGIC.to_be_bytes());
            bytes[2..].copy_from_slice(&mark.to_be_bytes());
        }
    }
}

/// A received frame of UDP or TCP over IPv4 without options, or over IPv6 without extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Where it comes from.
    pub from: Endpoint,
    /// Where it goes to.
    pub to: Endpoint,
    /// The protocol's number.
    pub proto: u8,
}

impl Head {
    /// Reads it; `None` when it is something else.
    #[inline(always)]
    pub fn read(frame: &[u8]) -> Option<Head> {
        let h: &[u8; L4 + UDP] = frame.first_chunk()?;
        if h[12..14] == [0x86, 0xDD] {
            return Head::v6(frame.first_chunk()?);
        }
        if h[12] != 8 || h[13] != 0 || h[IP] != 0x45 || !matches!(h[23], 6 | 17) {
            return None;
        }
        let addr = |at: usize| Endpoint::mapped(u32::from_be_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]]));
        let port = |at: usize| u16::from_be_bytes([h[at], h[at + 1]]);
        Some(Head {
            from: Endpoint { addr: addr(26), port: port(34) },
            to: Endpoint { addr: addr(30), port: port(36) },
            proto: h[23],
        })
    }

    #[inline(always)]
    fn v6(h: &[u8; L4_6 + UDP]) -> Option<Head> {
        if h[IP] >> 4 != 6 || !matches!(h[20], 6 | 17) {
            return None;
        }
        let [src, dst] = h.get(22..L4_6)?.as_chunks::<16>().0 else { return None };
        let port = |at: usize| u16::from_be_bytes([h[at], h[at + 1]]);
        Some(Head {
            from: Endpoint { addr: u128::from_be_bytes(*src), port: port(54) },
            to: Endpoint { addr: u128::from_be_bytes(*dst), port: port(56) },
            proto: h[20],
        })
    }
}

/// Where the header of layer 4 begins in a frame that [`Head::read`] took.
#[inline(always)]
fn l4(frame: &[u8]) -> usize {
    if frame.get(12) == Some(&0x86) { L4_6 } else { L4 }
}

/// The TCP header of a frame that [`Head::read`] took for TCP.
#[inline(always)]
pub fn segment(frame: &[u8]) -> Option<Segment> {
    let h: &[u8; TCP] = frame.get(l4(frame)..)?.first_chunk()?;
    let number = |at: usize| u32::from_be_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]]);
    Some(Segment { seq: number(4), ack: number(8), flags: h[13] })
}

/// The mark of a frame.
#[inline(always)]
pub fn mark(frame: &[u8], proto: u8) -> Option<u32> {
    let payload = frame.get(l4(frame) + if proto == 6 { TCP } else { UDP }..)?;
    let [a, b, mark @ ..] = payload.first_chunk::<6>()?;
    (u16::from_be_bytes([*a, *b]) == MAGIC).then(|| u32::from_be_bytes(*mark))
}

/// Makes a frame its own answer: addresses and ports change places, which no checksum notices.
#[inline(always)]
pub fn turn_around(frame: &mut [u8]) {
    let (addrs, len, l4) = if l4(frame) == L4 { (26, 4, L4) } else { (22, 16, L4_6) };
    if frame.len() < l4 + 4 {
        return;
    }
    let (dst, src) = frame[..12].split_at_mut(6);
    dst.swap_with_slice(src);
    let (src, dst) = frame[addrs..l4].split_at_mut(len);
    src.swap_with_slice(dst);
    let (src, dst) = frame[l4..l4 + 4].split_at_mut(2);
    src.swap_with_slice(dst);
}

#[inline(always)]
fn words(n: u32) -> u32 {
    (n >> 16) + (n & 0xFFFF)
}

#[inline(always)]
fn all_words(n: u128) -> u32 {
    [n >> 96, n >> 64, n >> 32, n].into_iter().map(|four| words(four as u32)).sum()
}

#[inline(always)]
fn ports(from: Endpoint, to: Endpoint) -> u32 {
    u32::from(from.port) + u32::from(to.port)
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0))).sum()
}

#[inline(always)]
fn fold(sum: u32) -> u16 {
    let sum = words(sum);
    !(words(sum) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatun_engine::testkit::check::checksums;

    const FOUR: Ends = Ends { own: [2, 0, 0, 0, 0, 1], gateway: [2, 0, 0, 0, 0, 2], v6: false };
    const SIX: Ends = Ends { v6: true, ..FOUR };

    fn ends(n: u32, v6: bool) -> (Endpoint, Endpoint) {
        let low = n.wrapping_mul(0x9E37_79B1);
        let addr = |low: u32| match v6 {
            true => 0x2001 << 112 | (u128::from(low) * 0x1_0000_0001_0001),
            false => Endpoint::mapped(low),
        };
        (Endpoint { addr: addr(low), port: n as u16 }, Endpoint { addr: addr(!low), port: (n >> 3) as u16 })
    }

    #[test]
    fn frames_have_right_checksums_and_are_read_as_they_were_written() {
        for (len, to_whom) in [LEAST, 61, 64, 1_000, MOST].into_iter().flat_map(|l| [(l, FOUR), (l, SIX)]) {
            let (udp, tcp) = (Template::udp(len, to_whom), Template::tcp(len, to_whom));
            for n in 0..2_000 {
                let ((from, to), mark_is) = (ends(n, to_whom.v6), n.wrapping_mul(0x0101_4567));
                let mut frame = vec![0xEE; udp.size()];
                udp.fill_udp(&mut frame, from, to, mark_is);
                checksums(&frame).unwrap();
                assert_eq!(Head::read(&frame), Some(Head { from, to, proto: 17 }));
                assert_eq!(mark(&frame, 17), Some(mark_is));
                turn_around(&mut frame);
                checksums(&frame).unwrap();
                assert_eq!(Head::read(&frame), Some(Head { from: to, to: from, proto: 17 }));
                let said = Segment { seq: mark_is, ack: !mark_is, flags: ACK };
                let mut frame = vec![0xEE; tcp.size()];
                tcp.fill_tcp(&mut frame, from, to, said, mark_is);
                checksums(&frame).unwrap();
                assert_eq!((segment(&frame), mark(&frame, 6)), (Some(said), Some(mark_is)));
            }
        }
    }

    #[test]
    fn a_frame_without_payload_is_padded_and_has_no_mark() {
        for (to_whom, len, headers) in [(FOUR, 60, 54), (SIX, 74, 74)] {
            let empty = Template::empty_tcp(to_whom);
            let mut frame = vec![0xEE; empty.size()];
            let (from, to) = ends(7, to_whom.v6);
            empty.fill_tcp(&mut frame, from, to, Segment { seq: 1, ack: 2, flags: SYN }, 99);
            checksums(&frame).unwrap();
            assert_eq!((frame.len(), mark(&frame, 6)), (len, None));
            assert!(frame[headers..].iter().all(|b| *b == 0));
            assert_eq!(Head::read(&frame[..41]), None);
        }
    }
}
