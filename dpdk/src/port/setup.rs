//! Bringing a port from plugged in to ready to start.

use dpdk_sys as sys;

use super::Port;
use super::config::{Granted, PortConfig, RssTypes, RxOffloads, TxOffloads};
use super::error::{PortError, check};
use super::info::dev_info;
use super::rss::check_key;

/// Configures the port and sets up its queues.
pub(super) fn configure(id: u16, device: &str, config: &PortConfig) -> Result<Granted, PortError> {
    let info = dev_info(id)?;
    check_queues(device, "receive", config.rx_queues, info.max_rx_queues)?;
    check_queues(device, "transmit", config.tx_queues, info.max_tx_queues)?;
    if config.pools.len() != 1 && config.pools.len() != usize::from(config.rx_queues) {
        return Err(PortError::Pools { given: config.pools.len(), queues: config.rx_queues });
    }
    let mut granted = grant(&info, config);
    let mut conf = sys::rte_eth_conf::default();
    if let Some(mtu) = config.mtu {
        check_mtu(device, mtu, &info)?;
        conf.rxmode.mtu = u32::from(mtu);
    }
    conf.rxmode.offloads = granted.rx_offloads.bits();
    conf.txmode.offloads = granted.tx_offloads.bits();
    let mut key = config.rss.as_ref().map(|rss| rss.key.clone()).unwrap_or_default();
    if !granted.rss_types.is_empty() {
        check_key(device, &key, &info)?;
        conf.rxmode.mq_mode = sys::RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_hf = granted.rss_types.bits();
        if !key.is_empty() {
            conf.rx_adv_conf.rss_conf.rss_key = key.as_mut_ptr();
            conf.rx_adv_conf.rss_conf.rss_key_len = key.len() as u8;
        }
    }
    // SAFETY: the port is not started; `conf` and the key it points to live through the call, which copies what it keeps.
    check(id, "be configured", unsafe { sys::rte_eth_dev_configure(id, config.rx_queues, config.tx_queues, &conf) })?;
    (granted.rx_desc, granted.tx_desc) = (config.rx_desc.max(1), config.tx_desc.max(1));
    // SAFETY: the port is configured; writes to the places that it is given.
    let result = unsafe { sys::rte_eth_dev_adjust_nb_rx_tx_desc(id, &mut granted.rx_desc, &mut granted.tx_desc) };
    check(id, "tell how many descriptors it can have", result)?;
    set_up_queues(id, config, &granted)?;
    if let Some(mtu) = config.mtu {
        match set_mtu(id, device, mtu) {
            // Then it counts as a limit of DPDK's alone; the driver has none.
            Err(PortError::Unsupported { .. }) => {}
            other => other?,
        }
    }
    Ok(granted)
}

/// What needs a started port.
pub(super) fn after_start(port: &Port, config: &PortConfig) -> Result<(), PortError> {
    let optional = |result| match result {
        Err(PortError::Unsupported { .. }) => Ok(()),
        other => other,
    };
    if config.promiscuous {
        optional(port.set_promiscuous(true))?;
    }
    if config.all_multicast {
        optional(port.set_all_multicast(true))?;
    }
    Ok(())
}

pub(super) fn set_mtu(id: u16, device: &str, mtu: u16) -> Result<(), PortError> {
    check_mtu(device, mtu, &dev_info(id)?)?;
    // SAFETY: the port exists, and nobody else gives it orders meanwhile.
    check(id, "change its MTU", unsafe { sys::rte_eth_dev_set_mtu(id, mtu) })
}

fn grant(info: &sys::rte_eth_dev_info, config: &PortConfig) -> Granted {
    let supported = RssTypes::from_bits_retain(info.flow_type_rss_offloads);
    let rss_types = config.rss.as_ref().map_or(RssTypes::empty(), |rss| rss.types & supported);
    let mut rx_offloads = config.rx_offloads;
    rx_offloads.set(RxOffloads::RSS_HASH, !rss_types.is_empty());
    Granted {
        rx_offloads: rx_offloads & RxOffloads::from_bits_truncate(info.rx_offload_capa),
        tx_offloads: config.tx_offloads & TxOffloads::from_bits_truncate(info.tx_offload_capa),
        rss_types,
        ..Granted::default()
    }
}

fn set_up_queues(id: u16, config: &PortConfig, granted: &Granted) -> Result<(), PortError> {
    let info = dev_info(id)?;
    // SAFETY: the port exists; a port that is gone gives a negative number.
    let socket = unsafe { sys::rte_eth_dev_socket_id(id) };
    let socket = u32::try_from(socket).unwrap_or(sys::DPDK_SOCKET_ID_ANY as u32);
    let mut rx_conf = info.default_rxconf;
    rx_conf.offloads |= granted.rx_offloads.bits();
    for queue in 0..config.rx_queues {
        let Some(pool) = config.pools.get(usize::from(queue)).or(config.pools.first()) else { break };
        // SAFETY: the port is configured and not started; the pool is one of mbufs and the port keeps a handle to it.
        let result = unsafe { sys::rte_eth_rx_queue_setup(id, queue, granted.rx_desc, socket, &rx_conf, pool.raw()) };
        check(id, "set up a receive queue (is the mbuf large enough for the MTU?)", result)?;
    }
    let mut tx_conf = info.default_txconf;
    tx_conf.offloads = (tx_conf.offloads | granted.tx_offloads.bits()) & !sys::DPDK_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
    for queue in 0..config.tx_queues {
        // SAFETY: the port is configured and not started.
        let result = unsafe { sys::rte_eth_tx_queue_setup(id, queue, granted.tx_desc, socket, &tx_conf) };
        check(id, "set up a transmit queue", result)?;
    }
    Ok(())
}

fn check_queues(device: &str, kind: &'static str, wanted: u16, max: u16) -> Result<(), PortError> {
    if (1..=max).contains(&wanted) {
        return Ok(());
    }
    Err(PortError::Queues { device: device.to_owned(), kind, wanted, max })
}

fn check_mtu(device: &str, wanted: u16, info: &sys::rte_eth_dev_info) -> Result<(), PortError> {
    let (min, max) = (info.min_mtu, info.max_mtu);
    // A driver that does not say reports a maximum of 0 or of everything.
    if wanted >= min && (max == 0 || wanted <= max) {
        return Ok(());
    }
    Err(PortError::Mtu { device: device.to_owned(), wanted, min, max })
}
