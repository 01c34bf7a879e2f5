//! What a port is asked for, and what it grants.

use bitflags::bitflags;
use dpdk_sys as sys;

use crate::mempool::Mempool;

bitflags! {
    /// What a port does to received packets, or can do. A driver may report more than is named here; no more is granted.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RxOffloads: u64 {
        /// Takes the VLAN tag off; see [`Mbuf::stripped_vlan`](crate::Mbuf::stripped_vlan).
        const VLAN_STRIP = sys::DPDK_ETH_RX_OFFLOAD_VLAN_STRIP;
        /// Checks the IPv4 header's checksum.
        const IPV4_CHECKSUM = sys::DPDK_ETH_RX_OFFLOAD_IPV4_CKSUM;
        /// Checks UDP checksums.
        const UDP_CHECKSUM = sys::DPDK_ETH_RX_OFFLOAD_UDP_CKSUM;
        /// Checks TCP checksums.
        const TCP_CHECKSUM = sys::DPDK_ETH_RX_OFFLOAD_TCP_CKSUM;
        /// Spreads a packet that is larger than an mbuf over several.
        const SCATTER = sys::DPDK_ETH_RX_OFFLOAD_SCATTER;
        /// Hands over the RSS hash; see [`Mbuf::rss_hash`](crate::Mbuf::rss_hash). Asked for with [`PortConfig::rss`] anyway.
        const RSS_HASH = sys::DPDK_ETH_RX_OFFLOAD_RSS_HASH;
    }
}

bitflags! {
    /// What a port does to packets that it sends, or can do. A driver may report more than is named here; no more is granted.
    /// Fast free is left out on purpose: it breaks mempools when mbufs of several meet in one queue.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct TxOffloads: u64 {
        /// Puts a VLAN tag in; see [`Mbuf::insert_vlan`](crate::Mbuf::insert_vlan).
        const VLAN_INSERT = sys::DPDK_ETH_TX_OFFLOAD_VLAN_INSERT;
        /// Fills in IPv4 header checksums; see [`Mbuf::request_checksums`](crate::Mbuf::request_checksums).
        const IPV4_CHECKSUM = sys::DPDK_ETH_TX_OFFLOAD_IPV4_CKSUM;
        /// Fills in UDP checksums.
        const UDP_CHECKSUM = sys::DPDK_ETH_TX_OFFLOAD_UDP_CKSUM;
        /// Fills in TCP checksums.
        const TCP_CHECKSUM = sys::DPDK_ETH_TX_OFFLOAD_TCP_CKSUM;
        /// Sends packets of several mbufs.
        const MULTI_SEGMENT = sys::DPDK_ETH_TX_OFFLOAD_MULTI_SEGS;
    }
}

bitflags! {
    /// Kinds of packets, and parts of them, that the RSS hash is taken over.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RssTypes: u64 {
        /// IPv4 that no other type covers: addresses.
        const IPV4 = sys::DPDK_ETH_RSS_IPV4;
        /// IPv4 fragments: addresses.
        const FRAG_IPV4 = sys::DPDK_ETH_RSS_FRAG_IPV4;
        /// TCP over IPv4: addresses and ports.
        const IPV4_TCP = sys::DPDK_ETH_RSS_NONFRAG_IPV4_TCP;
        /// UDP over IPv4: addresses and ports.
        const IPV4_UDP = sys::DPDK_ETH_RSS_NONFRAG_IPV4_UDP;
        /// IPv4 with another protocol: addresses.
        const IPV4_OTHER = sys::DPDK_ETH_RSS_NONFRAG_IPV4_OTHER;
        /// IPv6 that no other type covers: addresses.
        const IPV6 = sys::DPDK_ETH_RSS_IPV6;
        /// IPv6 fragments: addresses.
        const FRAG_IPV6 = sys::DPDK_ETH_RSS_FRAG_IPV6;
        /// TCP over IPv6: addresses and ports.
        const IPV6_TCP = sys::DPDK_ETH_RSS_NONFRAG_IPV6_TCP;
        /// UDP over IPv6: addresses and ports.
        const IPV6_UDP = sys::DPDK_ETH_RSS_NONFRAG_IPV6_UDP;
        /// IPv6 with another protocol: addresses.
        const IPV6_OTHER = sys::DPDK_ETH_RSS_NONFRAG_IPV6_OTHER;
        /// Only the source address.
        const L3_SRC_ONLY = sys::DPDK_ETH_RSS_L3_SRC_ONLY;
        /// Only the destination address.
        const L3_DST_ONLY = sys::DPDK_ETH_RSS_L3_DST_ONLY;
        /// Only the source port.
        const L4_SRC_ONLY = sys::DPDK_ETH_RSS_L4_SRC_ONLY;
        /// Only the destination port.
        const L4_DST_ONLY = sys::DPDK_ETH_RSS_L4_DST_ONLY;
    }
}

/// How a port spreads packets over its receive queues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RssConfig {
    /// The Toeplitz key; empty for the driver's own. Its length must be [`PortInfo::rss_key_size`](super::PortInfo), mostly
    /// 40 or 52 bytes.
    pub key: Vec<u8>,
    /// What to hash. Types that the port does not support are left out; see [`Granted::rss_types`].
    pub types: RssTypes,
}

/// What a port is asked for.
#[derive(Clone, Debug)]
pub struct PortConfig {
    /// A PCI address (`0000:01:00.0`), or a virtual device with its arguments (`net_af_packet0,iface=veth0,framesz=2048`).
    pub device: String,
    /// Which of the device's ports, for the few devices that have several behind one PCI address.
    pub port_index: usize,
    /// Receive queues. Each must be polled: several virtual devices lose what is not.
    pub rx_queues: u16,
    /// Transmit queues.
    pub tx_queues: u16,
    /// Descriptors of each receive queue; rounded to what the device can do, see [`Granted::rx_desc`].
    pub rx_desc: u16,
    /// Descriptors of each transmit queue; rounded to what the device can do, see [`Granted::tx_desc`].
    pub tx_desc: u16,
    /// Bytes of the largest IP packet; `None` leaves the device's own, mostly 1500.
    pub mtu: Option<u16>,
    /// Whether to receive frames for every MAC address.
    pub promiscuous: bool,
    /// Whether to receive frames for every multicast address (IPv6 neighbour discovery needs it when not promiscuous).
    pub all_multicast: bool,
    /// How to spread packets over the receive queues; `None` for no RSS.
    pub rss: Option<RssConfig>,
    /// One mempool for all receive queues, or one for each in order. Put each on its lcore's NUMA socket.
    pub pools: Vec<Mempool>,
    /// What the port should do on receipt, as far as it can.
    pub rx_offloads: RxOffloads,
    /// What the port should do when it sends, as far as it can.
    pub tx_offloads: TxOffloads,
}

impl PortConfig {
    /// One queue each way with 1,024 descriptors, without offloads, RSS, MTU or promiscuous mode.
    pub fn new(device: impl Into<String>, pool: Mempool) -> Self {
        Self {
            device: device.into(),
            port_index: 0,
            rx_queues: 1,
            tx_queues: 1,
            rx_desc: 1024,
            tx_desc: 1024,
            mtu: None,
            promiscuous: false,
            all_multicast: false,
            rss: None,
            pools: vec![pool],
            rx_offloads: RxOffloads::empty(),
            tx_offloads: TxOffloads::empty(),
        }
    }
}

/// What a port granted of its [`PortConfig`]. A grant is the driver's claim: some virtual devices accept what they ignore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// Those of the wanted receive offloads that the port supports.
    pub rx_offloads: RxOffloads,
    /// Those of the wanted transmit offloads that the port supports.
    pub tx_offloads: TxOffloads,
    /// Those of the wanted RSS types that the port supports; empty when RSS is off.
    pub rss_types: RssTypes,
    /// Descriptors of each receive queue.
    pub rx_desc: u16,
    /// Descriptors of each transmit queue.
    pub tx_desc: u16,
    /// Whether promiscuous mode is on.
    pub promiscuous: bool,
    /// Whether all multicast frames are received.
    pub all_multicast: bool,
}
