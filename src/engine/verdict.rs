//! Every way out. A frame ends in exactly one [`Verdict`]; a drop and a punt name their reason.
//!
//! The doc comment of a reason is what the operator reads; its name in snake case is the metric's label.

use crate::addr::{LcoreId, NeighborId, PortId};

/// What becomes of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Send on this port.
    Tx(PortId),
    /// Keep until this next hop has a MAC address, or drop when too many wait already.
    Hold(NeighborId),
    /// Throw away.
    Drop(DropReason),
    /// Give to the master lcore.
    Punt(PuntReason),
    /// Give to the lcore that owns the tuple.
    Redirect(LcoreId),
}

/// How a frame leaves the path early: everything but `Tx` and `Hold`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// See [`Verdict::Drop`].
    Drop(DropReason),
    /// See [`Verdict::Punt`].
    Punt(PuntReason),
    /// See [`Verdict::Redirect`].
    Redirect(LcoreId),
}

impl From<Exit> for Verdict {
    fn from(e: Exit) -> Verdict {
        match e {
            Exit::Drop(r) => Verdict::Drop(r),
            Exit::Punt(r) => Verdict::Punt(r),
            Exit::Redirect(l) => Verdict::Redirect(l),
        }
    }
}

impl From<DropReason> for Exit {
    fn from(r: DropReason) -> Exit {
        Exit::Drop(r)
    }
}

impl From<PuntReason> for Exit {
    fn from(r: PuntReason) -> Exit {
        Exit::Punt(r)
    }
}

macro_rules! reasons {
    ($(#[$edoc:meta])* $Enum:ident { $( #[doc = $help:literal] $name:ident = $label:literal, )* }) => {
        $(#[$edoc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $Enum { $( #[doc = $help] $name, )* }

        impl $Enum {
            /// Every reason, in the order of the packet's way.
            pub const ALL: &'static [$Enum] = &[ $( $Enum::$name, )* ];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();
            /// The label of its counter.
            pub const fn label(self) -> &'static str {
                match self { $( $Enum::$name => $label, )* }
            }
            /// What it means, in a sentence for the operator.
            pub const fn help(self) -> &'static str {
                match self { $( $Enum::$name => $help.trim_ascii(), )* }
            }
            /// The reason with this label.
            pub fn from_label(label: &str) -> Option<$Enum> {
                Self::ALL.iter().copied().find(|r| r.label() == label)
            }
        }
    };
}

reasons! {
    /// Why a frame was thrown away.
    DropReason {
        /// The frame is in a form that the engine does not take: shared, or with headers spread over segments.
        FrameForm = "frame_form",
        /// Shorter than an Ethernet header, or than the VLAN tag it announces.
        EthernetTruncated = "ethernet_truncated",
        /// Addressed to another station's MAC.
        OtherStation = "other_station",
        /// No interface is configured for this port and VLAN.
        UnknownVlan = "unknown_vlan",
        /// Neither IPv4, IPv6 nor ARP.
        EtherTypeUnknown = "ether_type_unknown",
        /// ARP that is truncated, not for IPv4 over Ethernet, or from an impossible MAC address.
        ArpMalformed = "arp_malformed",
        /// Shorter than an IPv4 header.
        Ipv4Truncated = "ipv4_truncated",
        /// The version field is not 4.
        Ipv4Version = "ipv4_version",
        /// The header length field is below 5 words, or beyond the packet.
        Ipv4HeaderLength = "ipv4_header_length",
        /// The total length is smaller than the header, or larger than what was received.
        Ipv4TotalLength = "ipv4_total_length",
        /// The IPv4 header checksum is wrong.
        Ipv4Checksum = "ipv4_checksum",
        /// The source address can not be one: this network, loopback, multicast, broadcast, class E, IPv6 forms that never are on a wire, or an address of our own.
        MartianSource = "martian_source",
        /// The destination address can not be one: this network, loopback, multicast, broadcast, class E, IPv6 forms that never are on a wire.
        MartianDestination = "martian_destination",
        /// A loose or strict source route option.
        SourceRoute = "source_route",
        /// Shorter than an IPv6 header.
        Ipv6Truncated = "ipv6_truncated",
        /// The version field is not 6.
        Ipv6Version = "ipv6_version",
        /// The payload length is larger than what was received, or smaller than the headers it holds; jumbograms are not taken.
        Ipv6PayloadLength = "ipv6_payload_length",
        /// Extension headers that overrun the packet, stand where they may not, repeat, or go on for too long.
        Ipv6Extension = "ipv6_extension",
        /// A routing header with segments left, or of type 0 (RFC 5095).
        Ipv6RoutingHeader = "ipv6_routing_header",
        /// Source and destination are the same address and port.
        Land = "land",
        /// A fragment; fragments are not reassembled.
        Fragment = "fragment",
        /// Neither TCP, UDP nor the ICMP of its family.
        ProtocolUnknown = "protocol_unknown",
        /// Shorter than a TCP header.
        TcpTruncated = "tcp_truncated",
        /// The TCP data offset is below 5 words, or beyond the packet.
        TcpDataOffset = "tcp_data_offset",
        /// Shorter than a UDP header.
        UdpTruncated = "udp_truncated",
        /// The UDP length is below 8, or more than the packet holds.
        UdpLength = "udp_length",
        /// UDP over IPv6 without a checksum (RFC 8200, 8.1).
        UdpNoChecksum = "udp_no_checksum",
        /// Port 0 as source or destination.
        PortZero = "port_zero",
        /// Shorter than an ICMP header.
        IcmpTruncated = "icmp_truncated",
        /// The ICMP checksum is wrong (RFC 5508 REQ-3).
        IcmpChecksum = "icmp_checksum",
        /// An ICMP error whose quoted packet is truncated, of another protocol, or has a wrong header checksum (RFC 5508 REQ-3).
        IcmpQuote = "icmp_quote",
        /// An ICMP error about a packet of no connection (RFC 5508 REQ-4).
        IcmpNoConnection = "icmp_no_connection",
        /// An ICMP type that is neither an echo request nor a translatable error.
        IcmpType = "icmp_type",
        /// Neighbour discovery that is truncated, not from our link (hop limit below 255), or with options that make no sense.
        NdpMalformed = "ndp_malformed",
        /// An ICMP message, or a packet, that has no counterpart in the family of the other side (RFC 7915).
        Untranslatable = "untranslatable",
        /// An IPv6 packet whose tuple has the digest of another connection's.
        TupleCollision = "tuple_collision",
        /// The destination is no address of this gateway.
        NotLocal = "not_local",
        /// Towards a local address, and of no connection.
        LipNoConnection = "lip_no_connection",
        /// A TCP packet that belongs to no connection and can not open one: not a plain SYN.
        TcpNoConnection = "tcp_no_connection",
        /// The gateway is stopping: nothing opens any more.
        Stopping = "stopping",
        /// There is no route to the client, or to the real server.
        NoRoute = "no_route",
        /// The table has no free connection; live ones are never disturbed.
        TableFull = "table_full",
        /// The timer wheel has no room.
        WheelFull = "wheel_full",
        /// Every local port towards this real server is taken by a connection that must not be ended.
        PortsExhausted = "ports_exhausted",
        /// The memory for local ports is used up by other endpoints.
        PortMemory = "port_memory",
        /// The connection's real server was removed, and the service says to be silent about it.
        RealRemoved = "real_removed",
        /// A TCP packet of a connection whose real server was removed: both sides were sent a RST.
        RealRemovedReset = "real_removed_reset",
        /// TTL 1 on a packet that no ICMP error may answer (RFC 1812, 4.3.2.7).
        TtlExpired = "ttl_expired",
        /// Too large for the way out, and nobody may be told (RFC 1812, 4.3.2.7).
        TooBig = "too_big",
        /// Three frames wait for this next hop's MAC address already.
        NeighborPending = "neighbor_pending",
        /// The next hop does not answer ARP or neighbour discovery.
        NeighborFailed = "neighbor_failed",
        /// There is no seat for another neighbour.
        NeighborTableFull = "neighbor_table_full",
        /// No spare frame to send what this lcore originates.
        NoSpareFrame = "no_spare_frame",
        /// The port did not take the frame.
        TxFull = "tx_full",
        /// The hand-over ring of the owning lcore is full.
        RedirectRingFull = "redirect_ring_full",
        /// Redirected here although it is not at home here either.
        NotHome = "not_home",
        /// The ring to the master is full.
        PuntRingFull = "punt_ring_full",
        /// Over the rate limit for ARP requests.
        LimitArp = "limit_arp",
        /// Over the rate limit for ARP replies.
        LimitArpReply = "limit_arp_reply",
        /// Over the rate limit for neighbour solicitations.
        LimitNdp = "limit_ndp",
        /// Over the rate limit for neighbour advertisements.
        LimitNdpReply = "limit_ndp_reply",
        /// Over the rate limit for ICMP echo.
        LimitEcho = "limit_echo",
        /// Over the rate limit for ICMP time exceeded.
        LimitTtlExceeded = "limit_ttl_exceeded",
        /// Over the rate limit for ICMP fragmentation needed and ICMPv6 packet too big.
        LimitFragNeeded = "limit_frag_needed",
        /// Over the rate limit for answers about ports without service.
        LimitNoService = "limit_no_service",
        /// Over the rate limit for answers about services without server.
        LimitNoServer = "limit_no_server",
        /// An invariant of gatun itself is broken: please report it.
        Bug = "bug",
    }
}

reasons! {
    /// Why a frame was given to the master lcore.
    PuntReason {
        /// An ARP request.
        Arp = "arp",
        /// An ARP reply.
        ArpReply = "arp_reply",
        /// A neighbour solicitation.
        Ndp = "ndp",
        /// A neighbour advertisement.
        NdpReply = "ndp_reply",
        /// ICMP echo request to an address of our own.
        Echo = "echo",
        /// TTL 1: the sender gets ICMP 11/0 or ICMPv6 3/0.
        TtlExceeded = "ttl_exceeded",
        /// Too large and DF: the sender gets ICMP 3/4 or ICMPv6 2/0.
        FragNeeded = "frag_needed",
        /// An address of ours without service on this port: RST, ICMP 3/3 or ICMPv6 1/4.
        NoService = "no_service",
        /// A service without server: ICMP 3/3 or ICMPv6 1/4.
        NoServer = "no_server",
    }
}

impl PuntReason {
    /// ARP and neighbour discovery: without them nothing goes, so they go first.
    pub const fn is_link(self) -> bool {
        match self {
            PuntReason::Arp | PuntReason::ArpReply | PuntReason::Ndp | PuntReason::NdpReply => true,
            PuntReason::Echo
            | PuntReason::TtlExceeded
            | PuntReason::FragNeeded
            | PuntReason::NoService
            | PuntReason::NoServer => false,
        }
    }
    /// The drop that a punt over its rate limit becomes.
    pub const fn over_limit(self) -> DropReason {
        match self {
            PuntReason::Arp => DropReason::LimitArp,
            PuntReason::ArpReply => DropReason::LimitArpReply,
            PuntReason::Ndp => DropReason::LimitNdp,
            PuntReason::NdpReply => DropReason::LimitNdpReply,
            PuntReason::Echo => DropReason::LimitEcho,
            PuntReason::TtlExceeded => DropReason::LimitTtlExceeded,
            PuntReason::FragNeeded => DropReason::LimitFragNeeded,
            PuntReason::NoService => DropReason::LimitNoService,
            PuntReason::NoServer => DropReason::LimitNoServer,
        }
    }
}

const _: () = assert!(size_of::<Exit>() == 2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_is_its_name_in_snake_case_and_unique() {
        for (i, r) in DropReason::ALL.iter().enumerate() {
            let name = alloc::format!("{r:?}");
            let mut snake = alloc::string::String::new();
            for (i, c) in name.chars().enumerate() {
                if c.is_uppercase() && i > 0 {
                    snake.push('_');
                }
                snake.push(c.to_ascii_lowercase());
            }
            assert_eq!(snake, r.label());
            assert_eq!(*r as usize, i);
            assert_eq!(DropReason::from_label(r.label()), Some(*r));
            assert!(r.help().ends_with('.'), "{}", r.label());
        }
    }
}
