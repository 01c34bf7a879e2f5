//! Frames as the generator writes and reads them: Ethernet, IPv4 without options, UDP or TCP without options, and in the
//! payload a mark by which a frame is known again.
//!
//! What does not change from frame to frame, checksums included, is a template; the rest is filled in.

use super::addresses::Endpoint;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// Bytes of the least frame, without its check sequence.
pub const LEAST: usize = 60;
/// Bytes of the largest.
pub const MOST: usize = 1_514;

const IP: usize = 14;
const L4: usize = 34;
const UDP_END: usize = 42;
const TCP_END: usize = 54;
/// In front of a mark's number.
const MAGIC: u16 = 0x6774;

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
    head: [u8; TCP_END],
    len: usize,
    /// Bytes of the headers.
    l4_end: usize,
    marked: bool,
    /// The constant part of the checksums, not folded.
    ip_sum: u32,
    l4_sum: u32,
}

impl Template {
    /// A UDP frame of `len` bytes with a mark.
    pub fn udp(len: usize, from: Mac, to: Mac) -> Template {
        let mut t = Template::ip(17, len, len - IP, UDP_END, from, to);
        t.head[38..40].copy_from_slice(&((len - L4) as u16).to_be_bytes());
        t.l4_sum += (len - L4) as u32;
        t
    }

    /// A TCP frame of `len` bytes with a mark.
    pub fn tcp(len: usize, from: Mac, to: Mac) -> Template {
        Template::ip(6, len, len - IP, TCP_END, from, to)
    }

    /// A TCP frame without payload, padded to the least length.
    pub fn empty_tcp(from: Mac, to: Mac) -> Template {
        Template::ip(6, LEAST, TCP_END - IP, TCP_END, from, to)
    }

    fn ip(proto: u8, len: usize, ip_len: usize, l4_end: usize, from: Mac, to: Mac) -> Template {
        let mut head = [0; TCP_END];
        head[..6].copy_from_slice(&to);
        head[6..12].copy_from_slice(&from);
        head[12..IP].copy_from_slice(&[8, 0]);
        head[IP] = 0x45;
        head[16..18].copy_from_slice(&(ip_len as u16).to_be_bytes());
        head[20] = 0x40; // DF
        head[22] = 64;
        head[23] = proto;
        let ip_sum = sum(&head[IP..L4]);
        let l4_len = ip_len - (L4 - IP);
        let marked = ip_len > l4_end - IP;
        if proto == 6 {
            head[46] = 5 << 4;
            head[48..50].copy_from_slice(&0xFFFF_u16.to_be_bytes());
        }
        let payload = if marked { u32::from(MAGIC) } else { 0 };
        let l4_sum = sum(&head[L4..l4_end]) + u32::from(proto) + l4_len as u32 + payload;
        Template { head, len, l4_end, marked, ip_sum, l4_sum }
    }

    /// Bytes of the frame.
    #[inline(always)]
    pub fn size(&self) -> usize {
        self.len
    }

    /// Writes a UDP frame with this mark.
    #[inline(always)]
    pub fn fill_udp(&self, frame: &mut [u8], from: Endpoint, to: Endpoint, mark: u32) {
        let Some(h) = self.begin(frame, from, to) else { return };
        let sum = self.l4_sum + addresses(from, to) + ports(from, to) + words(mark);
        // A sum of 0 would mean that there is none (RFC 768).
        let sum = match fold(sum) {
            0 => 0xFFFF,
            sum => sum,
        };
        h[40..42].copy_from_slice(&sum.to_be_bytes());
        self.end(frame, mark);
    }

    /// Writes a TCP frame; one without payload has no mark.
    #[inline(always)]
    pub fn fill_tcp(&self, frame: &mut [u8], from: Endpoint, to: Endpoint, s: Segment, mark: u32) {
        let Some(h) = self.begin(frame, from, to) else { return };
        h[38..42].copy_from_slice(&s.seq.to_be_bytes());
        h[42..46].copy_from_slice(&s.ack.to_be_bytes());
        h[47] = s.flags;
        let mark_sum = if self.marked { words(mark) } else { 0 };
        let numbers = words(s.seq) + words(s.ack) + u32::from(s.flags) + mark_sum;
        let sum = fold(self.l4_sum + addresses(from, to) + ports(from, to) + numbers);
        h[50..52].copy_from_slice(&sum.to_be_bytes());
        self.end(frame, mark);
    }

    #[inline(always)]
    fn begin<'a>(&self, frame: &'a mut [u8], from: Endpoint, to: Endpoint) -> Option<&'a mut [u8; TCP_END]> {
        let h: &mut [u8; TCP_END] = frame.first_chunk_mut()?;
        *h = self.head;
        h[24..26].copy_from_slice(&fold(self.ip_sum + addresses(from, to)).to_be_bytes());
        h[26..30].copy_from_slice(&from.addr.to_be_bytes());
        h[30..34].copy_from_slice(&to.addr.to_be_bytes());
        h[34..36].copy_from_slice(&from.port.to_be_bytes());
        h[36..38].copy_from_slice(&to.port.to_be_bytes());
        Some(h)
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

/// A received frame of UDP or TCP over IPv4 without options.
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
        let h: &[u8; UDP_END] = frame.first_chunk()?;
        if h[12] != 8 || h[13] != 0 || h[IP] != 0x45 || !matches!(h[23], 6 | 17) {
            return None;
        }
        let addr = |at: usize| u32::from_be_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]]);
        let port = |at: usize| u16::from_be_bytes([h[at], h[at + 1]]);
        Some(Head {
            from: Endpoint { addr: addr(26), port: port(34) },
            to: Endpoint { addr: addr(30), port: port(36) },
            proto: h[23],
        })
    }
}

/// The TCP header of a frame that [`Head::read`] took for TCP.
#[inline(always)]
pub fn segment(frame: &[u8]) -> Option<Segment> {
    let h: &[u8; TCP_END] = frame.first_chunk()?;
    let number = |at: usize| u32::from_be_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]]);
    Some(Segment { seq: number(38), ack: number(42), flags: h[47] })
}

/// The mark of a frame.
#[inline(always)]
pub fn mark(frame: &[u8], proto: u8) -> Option<u32> {
    let payload = frame.get(if proto == 6 { TCP_END } else { UDP_END }..)?;
    let [a, b, mark @ ..] = payload.first_chunk::<6>()?;
    (u16::from_be_bytes([*a, *b]) == MAGIC).then(|| u32::from_be_bytes(*mark))
}

/// Makes a frame its own answer: addresses and ports change places, which no checksum notices.
#[inline(always)]
pub fn turn_around(frame: &mut [u8]) {
    let Some(h) = frame.first_chunk_mut::<UDP_END>() else { return };
    let (dst, src) = h[..12].split_at_mut(6);
    dst.swap_with_slice(src);
    let (src, dst) = h[26..34].split_at_mut(4);
    src.swap_with_slice(dst);
    let (src, dst) = h[34..38].split_at_mut(2);
    src.swap_with_slice(dst);
}

#[inline(always)]
fn words(n: u32) -> u32 {
    (n >> 16) + (n & 0xFFFF)
}

#[inline(always)]
fn addresses(from: Endpoint, to: Endpoint) -> u32 {
    words(from.addr) + words(to.addr)
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

    const HERE: Mac = [2, 0, 0, 0, 0, 1];
    const THERE: Mac = [2, 0, 0, 0, 0, 2];

    fn ends(n: u32) -> (Endpoint, Endpoint) {
        let addr = n.wrapping_mul(0x9E37_79B1);
        (Endpoint { addr, port: n as u16 }, Endpoint { addr: !addr, port: (n >> 3) as u16 })
    }

    #[test]
    fn frames_have_right_checksums_and_are_read_as_they_were_written() {
        for len in [LEAST, 61, 64, 1_000, MOST] {
            let (udp, tcp) = (Template::udp(len, HERE, THERE), Template::tcp(len, HERE, THERE));
            for n in 0..2_000 {
                let ((from, to), mark_is) = (ends(n), n.wrapping_mul(0x0101_4567));
                let mut frame = vec![0xEE; len];
                udp.fill_udp(&mut frame, from, to, mark_is);
                checksums(&frame).unwrap();
                assert_eq!(Head::read(&frame), Some(Head { from, to, proto: 17 }));
                assert_eq!(mark(&frame, 17), Some(mark_is));
                turn_around(&mut frame);
                checksums(&frame).unwrap();
                assert_eq!(Head::read(&frame), Some(Head { from: to, to: from, proto: 17 }));
                let said = Segment { seq: mark_is, ack: !mark_is, flags: ACK };
                tcp.fill_tcp(&mut frame, from, to, said, mark_is);
                checksums(&frame).unwrap();
                assert_eq!((segment(&frame), mark(&frame, 6)), (Some(said), Some(mark_is)));
            }
        }
    }

    #[test]
    fn a_frame_without_payload_is_padded_and_has_no_mark() {
        let empty = Template::empty_tcp(HERE, THERE);
        let mut frame = vec![0xEE; empty.size()];
        let (from, to) = ends(7);
        empty.fill_tcp(&mut frame, from, to, Segment { seq: 1, ack: 2, flags: SYN }, 99);
        checksums(&frame).unwrap();
        assert_eq!((frame.len(), mark(&frame, 6), &frame[54..]), (60, None, &[0; 6][..]));
        assert_eq!(Head::read(&frame[..41]), None);
    }
}
