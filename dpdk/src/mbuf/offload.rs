//! What a NIC says of a packet that it received, and what it is asked to do to one that it sends: hash, checksums, VLAN tag.
//!
//! Called by whoever polls and sends. It changes flags, and the bytes of a packet only to put a tag back.

use dpdk_sys as sys;

use super::{Mbuf, OutOfBuffer};

/// The flags that [`Mbuf::request_checksums`] sets. They make a PMD read as far as the headers' lengths say, so they must not
/// outlive a change of the window.
pub(super) const TX_CHECKSUM_FLAGS: u64 =
    sys::DPDK_MBUF_F_TX_L4_MASK | sys::DPDK_MBUF_F_TX_IP_CKSUM | sys::DPDK_MBUF_F_TX_IPV4 | sys::DPDK_MBUF_F_TX_IPV6;

/// What the NIC says about a checksum of a received packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// It did not look.
    Unknown,
    /// It is wrong.
    Bad,
    /// It is right.
    Good,
    /// It is not filled in, but the data is intact: a packet of a local sender (virtio, tap) that left the sum to the NIC.
    Unfinished,
}

/// The L4 checksum that a NIC is to fill in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L4Checksum {
    /// None.
    No,
    /// That of the TCP header.
    Tcp,
    /// That of the UDP header.
    Udp,
}

/// Checksums that the port is to fill in when it sends a packet. The port must have been granted them, and the packet's L4
/// checksum field must hold the sum of the pseudo header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxChecksums {
    /// Bytes up to the IP header, at most 127.
    pub l2_len: u8,
    /// Bytes of the IP header with its options or extension headers, at most 511.
    pub l3_len: u16,
    /// Whether it is IPv6.
    pub ipv6: bool,
    /// Whether to fill in the IPv4 header's checksum; its field must be 0.
    pub ip: bool,
    /// The L4 checksum to fill in.
    pub l4: L4Checksum,
}

impl Mbuf {
    /// The hash that the NIC computed for RSS, if it did.
    #[inline]
    pub fn rss_hash(&self) -> Option<u32> {
        let raw = self.raw();
        if raw.ol_flags & sys::DPDK_MBUF_F_RX_RSS_HASH == 0 {
            return None;
        }
        // SAFETY: all members of this union are integers: every content is a value.
        let anonymous = unsafe { raw.__bindgen_anon_2.hash };
        // SAFETY: as above.
        Some(unsafe { anonymous.rss })
    }

    /// In [`Mbuf::ol_flags`]: the NIC computed the RSS hash.
    pub const RSS_HASH: u64 = sys::DPDK_MBUF_F_RX_RSS_HASH;
    /// In [`Mbuf::ol_flags`]: the NIC took a VLAN tag off.
    pub const VLAN_STRIPPED: u64 = sys::DPDK_MBUF_F_RX_VLAN_STRIPPED;

    /// Notes the RSS hash, as a NIC does that computed it, or that there is none.
    #[inline]
    pub fn set_rss_hash(&mut self, hash: Option<u32>) {
        let raw = self.raw_mut();
        match hash {
            Some(hash) => {
                raw.ol_flags |= sys::DPDK_MBUF_F_RX_RSS_HASH;
                raw.__bindgen_anon_2.hash.rss = hash;
            }
            None => raw.ol_flags &= !sys::DPDK_MBUF_F_RX_RSS_HASH,
        }
    }

    /// What the NIC says of the IP header's checksum.
    #[inline]
    pub fn ip_checksum(&self) -> Checksum {
        match self.raw().ol_flags & sys::DPDK_MBUF_F_RX_IP_CKSUM_MASK {
            sys::DPDK_MBUF_F_RX_IP_CKSUM_BAD => Checksum::Bad,
            sys::DPDK_MBUF_F_RX_IP_CKSUM_GOOD => Checksum::Good,
            sys::DPDK_MBUF_F_RX_IP_CKSUM_NONE => Checksum::Unfinished,
            _ => Checksum::Unknown,
        }
    }

    /// What the NIC says of the TCP or UDP checksum.
    #[inline]
    pub fn l4_checksum(&self) -> Checksum {
        match self.raw().ol_flags & sys::DPDK_MBUF_F_RX_L4_CKSUM_MASK {
            sys::DPDK_MBUF_F_RX_L4_CKSUM_BAD => Checksum::Bad,
            sys::DPDK_MBUF_F_RX_L4_CKSUM_GOOD => Checksum::Good,
            sys::DPDK_MBUF_F_RX_L4_CKSUM_NONE => Checksum::Unfinished,
            _ => Checksum::Unknown,
        }
    }

    /// The VLAN tag's control information (priority and id, in host order) if the NIC took the tag off the packet.
    #[inline]
    pub fn stripped_vlan(&self) -> Option<u16> {
        let raw = self.raw();
        (raw.ol_flags & sys::DPDK_MBUF_F_RX_VLAN_STRIPPED != 0).then_some(raw.vlan_tci)
    }

    /// Notes that a VLAN tag was taken off the packet, as a NIC does.
    #[inline]
    pub fn set_stripped_vlan(&mut self, tci: u16) {
        let raw = self.raw_mut();
        raw.vlan_tci = tci;
        raw.ol_flags |= sys::DPDK_MBUF_F_RX_VLAN | sys::DPDK_MBUF_F_RX_VLAN_STRIPPED;
    }

    /// Puts a VLAN tag that the NIC took off back into the packet, four bytes of headroom further on.
    ///
    /// # Errors
    /// [`OutOfBuffer`] for a packet without Ethernet header, or with less headroom; the mbuf is then as it was.
    pub fn restore_vlan(&mut self) -> Result<(), OutOfBuffer> {
        const TAG: u16 = 4;
        const ADDRESSES: usize = 12;
        let Some(tci) = self.stripped_vlan() else { return Ok(()) };
        let (head, len) = (self.headroom(), self.raw().data_len);
        if head < TAG || usize::from(len) < ADDRESSES {
            return Err(OutOfBuffer);
        }
        self.set_window(head - TAG, len + TAG)?;
        let frame = self.data_mut();
        frame.copy_within(usize::from(TAG)..usize::from(TAG) + ADDRESSES, 0);
        frame[ADDRESSES..ADDRESSES + 2].copy_from_slice(&[0x81, 0]);
        frame[ADDRESSES + 2..ADDRESSES + 4].copy_from_slice(&tci.to_be_bytes());
        self.raw_mut().ol_flags &= !(sys::DPDK_MBUF_F_RX_VLAN | sys::DPDK_MBUF_F_RX_VLAN_STRIPPED);
        Ok(())
    }

    /// Asks the sending port to put a VLAN tag with this control information (host order) into the packet. The port must have
    /// been granted [`TxOffloads::VLAN_INSERT`](crate::port::TxOffloads::VLAN_INSERT).
    #[inline]
    pub fn insert_vlan(&mut self, tci: u16) {
        let raw = self.raw_mut();
        raw.vlan_tci = tci;
        raw.ol_flags |= sys::DPDK_MBUF_F_TX_VLAN;
    }

    /// Asks the sending port to fill in checksums; replaces an earlier request.
    ///
    /// # Errors
    /// [`OutOfBuffer`] when the headers do not lie within the first segment, or a length is over its limit.
    #[inline]
    pub fn request_checksums(&mut self, wanted: TxChecksums) -> Result<(), OutOfBuffer> {
        // The NIC or PMD reads and writes as far as the end of the checksum field behind these headers.
        let l4_len: u32 = match wanted.l4 {
            L4Checksum::No => 0,
            L4Checksum::Tcp => 20,
            L4Checksum::Udp => 8,
        };
        let l3_min = if wanted.ipv6 { 40 } else { 20 };
        let headers = u32::from(wanted.l2_len) + u32::from(wanted.l3_len) + l4_len;
        let raw = self.raw_mut();
        if wanted.l2_len > 127 || wanted.l3_len > 511 || wanted.l3_len < l3_min || headers > u32::from(raw.data_len) {
            return Err(OutOfBuffer);
        }
        let family = if wanted.ipv6 { sys::DPDK_MBUF_F_TX_IPV6 } else { sys::DPDK_MBUF_F_TX_IPV4 };
        let ip = if wanted.ip && !wanted.ipv6 { sys::DPDK_MBUF_F_TX_IP_CKSUM } else { 0 };
        let l4 = match wanted.l4 {
            L4Checksum::No => 0,
            L4Checksum::Tcp => sys::DPDK_MBUF_F_TX_TCP_CKSUM,
            L4Checksum::Udp => sys::DPDK_MBUF_F_TX_UDP_CKSUM,
        };
        raw.ol_flags = raw.ol_flags & !TX_CHECKSUM_FLAGS | family | ip | l4;
        // l2_len is bits 0 to 6 and l3_len bits 7 to 15 of this word; the lengths of other offloads are 0.
        raw.__bindgen_anon_3.tx_offload = u64::from(wanted.l2_len) | u64::from(wanted.l3_len) << 7;
        Ok(())
    }
}
