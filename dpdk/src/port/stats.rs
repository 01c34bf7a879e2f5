//! Link state and counters. All of these may call into the driver for milliseconds: not for the packet path.

use std::ffi::c_char;

use dpdk_sys as sys;

use super::Port;
use super::error::{PortError, check};
use crate::errno::owned;

/// The state of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whether it is up.
    pub up: bool,
    /// Mbit/s; `None` when the driver does not know.
    pub speed_mbps: Option<u32>,
    /// Whether it is full duplex.
    pub duplex: bool,
}

/// A port's counters since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Packets received.
    pub ipackets: u64,
    /// Packets sent.
    pub opackets: u64,
    /// Bytes received.
    pub ibytes: u64,
    /// Bytes sent.
    pub obytes: u64,
    /// Packets that the NIC dropped because the receive queue was full.
    pub imissed: u64,
    /// Erroneous packets received.
    pub ierrors: u64,
    /// Packets that were not sent.
    pub oerrors: u64,
    /// Receive buffers that could not be had from the mempool.
    pub rx_nombuf: u64,
}

impl Port {
    /// The state of the link. Does not wait for it to settle.
    ///
    /// # Errors
    /// [`PortError::Unsupported`] or [`PortError::Failed`].
    pub fn link(&self) -> Result<Link, PortError> {
        let _control = self.control();
        let mut link = sys::rte_eth_link::default();
        // SAFETY: the port exists as long as self; writes to the structure that it is given.
        check(self.id(), "tell the state of its link", unsafe { sys::rte_eth_link_get_nowait(self.id(), &mut link) })?;
        let known = link.link_speed != sys::DPDK_ETH_SPEED_UNKNOWN && link.link_speed != 0;
        Ok(Link {
            up: link.link_status() != 0,
            speed_mbps: known.then_some(link.link_speed),
            duplex: link.link_duplex() != 0,
        })
    }

    /// The port's counters.
    ///
    /// # Errors
    /// [`PortError::Unsupported`] or [`PortError::Failed`].
    pub fn stats(&self) -> Result<PortStats, PortError> {
        let _control = self.control();
        let mut raw = sys::rte_eth_stats::default();
        // SAFETY: the port exists as long as self; writes to the structure that it is given.
        check(self.id(), "tell its counters", unsafe { sys::rte_eth_stats_get(self.id(), &mut raw) })?;
        Ok(PortStats {
            ipackets: raw.ipackets,
            opackets: raw.opackets,
            ibytes: raw.ibytes,
            obytes: raw.obytes,
            imissed: raw.imissed,
            ierrors: raw.ierrors,
            oerrors: raw.oerrors,
            rx_nombuf: raw.rx_nombuf,
        })
    }

    /// All counters that the driver has, by its own names; the generic ones come first.
    ///
    /// # Errors
    /// [`PortError::Unsupported`] or [`PortError::Failed`].
    pub fn xstats(&self) -> Result<Vec<(String, u64)>, PortError> {
        const WHAT: &str = "tell its extended counters";
        let _control = self.control();
        // SAFETY: without a table the call only counts.
        let count = unsafe { sys::rte_eth_xstats_get_names(self.id(), std::ptr::null_mut(), 0) };
        check(self.id(), WHAT, count)?;
        let mut names =
            vec![sys::rte_eth_xstat_name { name: [0; sys::RTE_ETH_XSTATS_NAME_SIZE as usize] }; count as usize];
        // SAFETY: the table has as many entries as the call is told.
        let named = unsafe { sys::rte_eth_xstats_get_names(self.id(), names.as_mut_ptr(), count as u32) };
        check(self.id(), WHAT, named)?;
        let mut values = vec![sys::rte_eth_xstat { id: 0, value: 0 }; count as usize];
        // SAFETY: the table has as many entries as the call is told.
        let valued = unsafe { sys::rte_eth_xstats_get(self.id(), values.as_mut_ptr(), count as u32) };
        check(self.id(), WHAT, valued)?;
        values.truncate(valued as usize);
        let name_of = |id: u64| names.get(id as usize).map(|entry| text(&entry.name));
        Ok(values.iter().filter_map(|entry| Some((name_of(entry.id)?, entry.value))).collect())
    }
}

fn text(name: &[c_char]) -> String {
    if !name.contains(&0) {
        return String::new();
    }
    // SAFETY: the name ends with the NUL byte that was just found.
    unsafe { owned(name.as_ptr()) }
}
