//! Addresses, ports and protocol of a packet of either family, written out: for whatever is not the hit path.

use crate::addr::{Addr, Be16, Be32, Family, Proto};
use core::fmt;
use core::net::SocketAddr;

/// The tuple of a packet, in its own direction. Both addresses are of one family.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuple {
    src: Addr,
    dst: Addr,
    sport: Be16,
    dport: Be16,
    proto: Proto,
}

impl Tuple {
    /// From its parts.
    #[inline(always)]
    pub fn new(src: impl Into<Addr>, dst: impl Into<Addr>, sport: Be16, dport: Be16, proto: Proto) -> Tuple {
        let (src, dst) = (src.into(), dst.into());
        debug_assert!(src.family() == dst.family(), "{src} and {dst} in one packet");
        Tuple { src, dst, sport, dport, proto }
    }
    /// The source address.
    #[inline(always)]
    pub fn src(&self) -> Addr {
        self.src
    }
    /// The destination address.
    #[inline(always)]
    pub fn dst(&self) -> Addr {
        self.dst
    }
    /// The source port.
    #[inline(always)]
    pub fn sport(&self) -> Be16 {
        self.sport
    }
    /// The destination port.
    #[inline(always)]
    pub fn dport(&self) -> Be16 {
        self.dport
    }
    /// The protocol.
    #[inline(always)]
    pub fn proto(&self) -> Proto {
        self.proto
    }
    /// The family of its addresses.
    #[inline(always)]
    pub fn family(&self) -> Family {
        self.src.family()
    }
    /// Source and destination of an IPv4 packet.
    pub fn v4(&self) -> Option<(Be32, Be32)> {
        self.src.v4().zip(self.dst.v4())
    }
    /// The tuple of the answer.
    #[inline(always)]
    pub fn reversed(&self) -> Tuple {
        Tuple { src: self.dst, dst: self.src, sport: self.dport, dport: self.sport, proto: self.proto }
    }
}

impl fmt::Debug for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |a: Addr, p: Be16| SocketAddr::new(a.into(), p.host());
        write!(f, "{} {} > {}", self.proto, side(self.src, self.sport), side(self.dst, self.dport))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use core::net::Ipv6Addr;

    #[test]
    fn a_tuple_reads_as_one_writes_it_and_its_reverse_is_the_answers() {
        let ports = (Be16::new(40000), Be16::new(80));
        let t = Tuple::new(Be32::new(0xC6120101), Be32::new(0xC6120164), ports.0, ports.1, Proto::Tcp);
        assert_eq!(t.to_string(), "tcp 198.18.1.1:40000 > 198.18.1.100:80");
        assert_eq!(t.reversed().to_string(), "tcp 198.18.1.100:80 > 198.18.1.1:40000");
        let ip = |last| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
        let t = Tuple::new(ip(1), ip(2), ports.0, ports.1, Proto::Udp);
        assert_eq!(t.to_string(), "udp [2001:db8::1]:40000 > [2001:db8::2]:80");
        assert_eq!(t.reversed().reversed(), t);
    }
}
