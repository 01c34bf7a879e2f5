//! A port made of rings, for tests and benches: what is put into one ring is received, what is sent comes out of the other.

use std::ffi::c_uint;

use dpdk_sys as sys;

use super::device::{self, Claim};
use super::{Port, PortConfig, PortError, Queues};
use crate::eal::{Eal, c_name};
use crate::errno::Errno;
use crate::mempool::Mempool;
use crate::ring::{Consumer, Producer};

/// The most queues that net_ring has each way.
const MAX_QUEUES: u16 = 16;

/// Makes a port whose receive queues take from `rx`, and whose transmit queues put into `tx`, in order. `pool` is a formality:
/// the port receives the mbufs that it is given.
///
/// # Errors
/// [`PortError::InUse`] when a port of that name exists, [`PortError::Queues`] for none or more than 16 rings each way, or what
/// [`Port::open`] reports.
pub fn ring_port(
    eal: &Eal,
    name: &str,
    pool: &Mempool,
    rx: Vec<Consumer>,
    tx: Vec<Producer>,
) -> Result<(Port, Queues), PortError> {
    let device = format!("net_ring_{name}");
    let queues = |kind, count: usize| match u16::try_from(count) {
        Ok(count @ 1..=MAX_QUEUES) => Ok(count),
        _ => Err(PortError::Queues {
            device: device.clone(),
            kind,
            wanted: count.min(usize::from(u16::MAX)) as u16,
            max: MAX_QUEUES,
        }),
    };
    let config = PortConfig {
        rx_queues: queues("receive", rx.len())?,
        tx_queues: queues("transmit", tx.len())?,
        ..PortConfig::new(device.clone(), pool.clone())
    };
    let c_name = c_name(name).ok_or_else(|| PortError::BadName(name.to_owned()))?;
    let claim = Claim::new(&eal.inner, &device, 0)?;
    let id = {
        let _hotplug = device::hotplug();
        let rx: Vec<_> = rx.iter().map(Consumer::raw).collect();
        let tx: Vec<_> = tx.iter().map(Producer::raw).collect();
        let (rx_count, tx_count) = (rx.len() as c_uint, tx.len() as c_uint);
        // SAFETY: the arrays hold that many rings, which the port keeps until it is closed (`backing` below). Their handles
        // are given up here, so that the port is the one consumer and the one producer.
        unsafe { sys::rte_eth_from_rings(c_name.as_ptr(), rx.as_ptr(), rx_count, tx.as_ptr(), tx_count, 0) }
    };
    let id = u16::try_from(id).map_err(|_| PortError::Refused { device, errno: Errno::last() })?;
    Port::start(eal, id, claim, config, Box::new((rx, tx)), |_, _| {})
}
