//! Ports: opening a device by name, its queues, and what can be asked and ordered while it runs.
//!
//! [`Port::open`] plugs the device in, configures it, sets its queues up and starts it. The port and its queues are handles;
//! when the last one goes the port is stopped, closed and its device unplugged. Orders to one port exclude each other; bursts
//! take no lock.

mod config;
mod device;
mod error;
mod info;
mod queue;
mod rings;
mod rss;
mod setup;
mod stats;

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dpdk_sys as sys;

pub use config::{Granted, PortConfig, RssConfig, RssTypes, RxOffloads, TxOffloads};
pub use error::PortError;
pub use info::PortInfo;
pub use queue::{RxQueue, TxQueue};
pub use rings::ring_port;
pub use stats::{Link, PortStats};

pub(crate) use error::check;

use crate::eal::{Eal, EalInner};
use crate::mempool::Mempool;
use device::Claim;

/// A started port. Clones are handles to the same port.
#[derive(Clone, Debug)]
pub struct Port {
    pub(crate) inner: Arc<PortInner>,
}

/// The queues of a port, in order. Each exists once, and is for one lcore at a time.
#[derive(Debug)]
pub struct Queues {
    /// The receive queues.
    pub rx: Vec<RxQueue>,
    /// The transmit queues.
    pub tx: Vec<TxQueue>,
}

impl Port {
    /// Opens and starts a port.
    ///
    /// # Errors
    /// See [`PortError`]; the device is then unplugged again.
    pub fn open(eal: &Eal, config: &PortConfig) -> Result<(Self, Queues), PortError> {
        Self::open_fitted(eal, config.clone(), |_, _| {})
    }

    /// As [`Port::open`], where `fit` makes the configuration fit what the device says of itself, before it is used. What it
    /// does to the device and the port's index has no effect.
    ///
    /// # Errors
    /// See [`PortError`]; the device is then unplugged again.
    pub fn open_fitted(
        eal: &Eal,
        config: PortConfig,
        fit: impl FnOnce(&PortInfo, &mut PortConfig),
    ) -> Result<(Self, Queues), PortError> {
        let claim = Claim::new(&eal.inner, &config.device, config.port_index)?;
        let id = {
            let _hotplug = device::hotplug();
            device::plug(&config.device, config.port_index)?
        };
        Self::start(eal, id, claim, config, Box::new(()), fit)
    }

    /// Configures and starts the port `id`, whose device is plugged in. `backing` lives until the port is closed.
    fn start(
        eal: &Eal,
        id: u16,
        claim: Claim,
        mut config: PortConfig,
        backing: Box<dyn Any + Send + Sync>,
        fit: impl FnOnce(&PortInfo, &mut PortConfig),
    ) -> Result<(Self, Queues), PortError> {
        claim.hold(id)?;
        // From here on dropping the inner object closes the port and unplugs the device.
        let mut inner = PortInner {
            id,
            started: false,
            rx_queues: 0,
            tx_queues: 0,
            granted: Granted::default(),
            control: Mutex::new(()),
            _pools: Vec::new(),
            _backing: backing,
            claim,
            _eal: eal.inner.clone(),
        };
        fit(&info::port_info(id)?, &mut config);
        (inner.rx_queues, inner.tx_queues) = (config.rx_queues, config.tx_queues);
        inner._pools = config.pools.clone();
        inner.granted = setup::configure(id, &inner.claim.name, &config)?;
        // SAFETY: the port is configured and its queues are set up; nobody else starts or stops it.
        check(id, "start", unsafe { sys::rte_eth_dev_start(id) })?;
        inner.started = true;
        let port = Self { inner: Arc::new(inner) };
        setup::after_start(&port, &config)?;
        let rx = (0..config.rx_queues).map(|queue| RxQueue::new(&port, queue)).collect();
        let tx = (0..config.tx_queues).map(|queue| TxQueue::new(&port, queue)).collect();
        Ok((port, Queues { rx, tx }))
    }

    /// DPDK's number of the port, which [`Mbuf::port`](crate::Mbuf::port) gives for what it receives.
    pub fn id(&self) -> u16 {
        self.inner.id
    }

    /// What the port granted of its configuration.
    pub fn granted(&self) -> Granted {
        let mut granted = self.inner.granted.clone();
        // SAFETY: the port exists as long as self.
        granted.promiscuous = unsafe { sys::rte_eth_promiscuous_get(self.id()) } == 1;
        // SAFETY: as above.
        granted.all_multicast = unsafe { sys::rte_eth_allmulticast_get(self.id()) } == 1;
        granted
    }

    /// How many receive queues it runs with.
    pub fn rx_queues(&self) -> u16 {
        self.inner.rx_queues
    }

    /// How many transmit queues it runs with.
    pub fn tx_queues(&self) -> u16 {
        self.inner.tx_queues
    }

    /// What the port is and can do.
    ///
    /// # Errors
    /// [`PortError::Failed`] when the driver does not answer.
    pub fn info(&self) -> Result<PortInfo, PortError> {
        let _control = self.control();
        info::port_info(self.id())
    }

    /// The MAC address.
    ///
    /// # Errors
    /// [`PortError::Failed`] when the driver does not answer.
    pub fn mac(&self) -> Result<[u8; 6], PortError> {
        info::mac(self.id())
    }

    /// The MTU, in bytes of the IP packet.
    ///
    /// # Errors
    /// [`PortError::Failed`] when the driver does not answer.
    pub fn mtu(&self) -> Result<u16, PortError> {
        let mut mtu = 0;
        // SAFETY: the port exists as long as self; writes to the place that it is given.
        check(self.id(), "tell its MTU", unsafe { sys::rte_eth_dev_get_mtu(self.id(), &mut mtu) })?;
        Ok(mtu)
    }

    /// Sets the MTU, in bytes of the IP packet. Some drivers can do so only before the port starts: set it in [`PortConfig`].
    ///
    /// # Errors
    /// [`PortError::Mtu`], [`PortError::Unsupported`], or [`PortError::Failed`].
    pub fn set_mtu(&self, mtu: u16) -> Result<(), PortError> {
        let _control = self.control();
        setup::set_mtu(self.id(), &self.inner.claim.name, mtu)
    }

    /// Whether to receive frames for every MAC address.
    ///
    /// # Errors
    /// [`PortError::Unsupported`] or [`PortError::Failed`].
    pub fn set_promiscuous(&self, on: bool) -> Result<(), PortError> {
        let _control = self.control();
        let order = if on { sys::rte_eth_promiscuous_enable } else { sys::rte_eth_promiscuous_disable };
        // SAFETY: the port exists as long as self; the control lock is held.
        check(self.id(), "change its promiscuous mode", unsafe { order(self.id()) })
    }

    /// Whether to receive frames for every multicast address.
    ///
    /// # Errors
    /// [`PortError::Unsupported`] or [`PortError::Failed`].
    pub fn set_all_multicast(&self, on: bool) -> Result<(), PortError> {
        let _control = self.control();
        let order = if on { sys::rte_eth_allmulticast_enable } else { sys::rte_eth_allmulticast_disable };
        // SAFETY: the port exists as long as self; the control lock is held.
        check(self.id(), "change its multicast mode", unsafe { order(self.id()) })
    }

    pub(crate) fn control(&self) -> MutexGuard<'_, ()> {
        self.inner.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the handles of a port share. The order of the fields is the order in which they go, after `drop`.
pub(crate) struct PortInner {
    id: u16,
    started: bool,
    rx_queues: u16,
    tx_queues: u16,
    granted: Granted,
    /// DPDK's control functions do not stand two threads at one port.
    control: Mutex<()>,
    /// Receive queues hold mbufs of these until the port is closed.
    _pools: Vec<Mempool>,
    /// What a software port is made of.
    _backing: Box<dyn Any + Send + Sync>,
    claim: Claim,
    _eal: Arc<EalInner>,
}

impl Drop for PortInner {
    fn drop(&mut self) {
        let _hotplug = device::hotplug();
        let device = info::dev_info(self.id).map_or(std::ptr::null_mut(), |info| info.device);
        if self.started {
            // SAFETY: the port is started, and no queue handle is left that could be in a burst.
            let _ = unsafe { sys::rte_eth_dev_stop(self.id) };
        }
        // SAFETY: the port is stopped, and no handle to it is left.
        let _ = unsafe { sys::rte_eth_dev_close(self.id) };
        device::unplug(device);
    }
}

impl std::fmt::Debug for PortInner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port").field("id", &self.id).field("device", &self.claim.name).finish()
    }
}
