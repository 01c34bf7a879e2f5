//! What a port's driver says about it.

use std::mem::MaybeUninit;

use dpdk_sys as sys;

use super::config::{RssTypes, RxOffloads, TxOffloads};
use super::error::{PortError, check};
use super::rss::key_size;
use crate::errno::owned;

/// What a port is and can do, as its driver claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortInfo {
    /// DPDK's number of the port.
    pub id: u16,
    /// The driver, as `net_ixgbe`.
    pub driver: String,
    /// The device, as `0000:01:00.0` or `net_tap0`.
    pub device: String,
    /// The most receive queues.
    pub max_rx_queues: u16,
    /// The most transmit queues.
    pub max_tx_queues: u16,
    /// Entries of the redirection table; 0 when there is none.
    pub reta_size: u16,
    /// Bytes of the RSS key: what the driver says, or else DPDK's usual 40.
    pub rss_key_size: usize,
    /// What RSS can hash.
    pub rss_types: RssTypes,
    /// Offloads on receipt.
    pub rx_offloads: RxOffloads,
    /// Offloads when sending.
    pub tx_offloads: TxOffloads,
    /// The least MTU, in bytes.
    pub min_mtu: u16,
    /// The largest MTU, in bytes.
    pub max_mtu: u16,
    /// The MAC address.
    pub mac: [u8; 6],
    /// The NUMA socket; `None` when it has none or DPDK does not know.
    pub socket: Option<u32>,
}

pub(super) fn port_info(id: u16) -> Result<PortInfo, PortError> {
    let raw = dev_info(id)?;
    // SAFETY: the driver's name is a string constant of the loaded driver.
    let driver = unsafe { owned(raw.driver_name) };
    // SAFETY: the port exists; a port that is gone gives a negative number.
    let socket = unsafe { sys::rte_eth_dev_socket_id(id) };
    Ok(PortInfo {
        id,
        driver,
        device: device_name(raw.device),
        max_rx_queues: raw.max_rx_queues,
        max_tx_queues: raw.max_tx_queues,
        reta_size: raw.reta_size,
        rss_key_size: key_size(&raw),
        rss_types: RssTypes::from_bits_retain(raw.flow_type_rss_offloads),
        rx_offloads: RxOffloads::from_bits_retain(raw.rx_offload_capa),
        tx_offloads: TxOffloads::from_bits_retain(raw.tx_offload_capa),
        min_mtu: raw.min_mtu,
        max_mtu: raw.max_mtu,
        mac: mac(id)?,
        socket: u32::try_from(socket).ok(),
    })
}

pub(super) fn dev_info(id: u16) -> Result<sys::rte_eth_dev_info, PortError> {
    let mut raw = MaybeUninit::<sys::rte_eth_dev_info>::zeroed();
    // SAFETY: DPDK checks the id, and fills in the structure that it is given.
    let result = unsafe { sys::rte_eth_dev_info_get(id, raw.as_mut_ptr()) };
    check(id, "describe itself", result)?;
    // SAFETY: zeroed before and filled in by now; integers, and pointers that may be null.
    Ok(unsafe { raw.assume_init() })
}

pub(super) fn device_name(device: *mut sys::rte_device) -> String {
    if device.is_null() {
        return String::new();
    }
    // SAFETY: the device of a port that exists.
    let name = unsafe { sys::rte_dev_name(device) };
    // SAFETY: the name lives as long as the device.
    unsafe { owned(name) }
}

pub(super) fn mac(id: u16) -> Result<[u8; 6], PortError> {
    let mut address = sys::rte_ether_addr::default();
    // SAFETY: DPDK checks the id, and writes to the address that it is given.
    check(id, "tell its MAC address", unsafe { sys::rte_eth_macaddr_get(id, &mut address) })?;
    Ok(address.addr_bytes)
}
