//! What can go wrong with a port.

use thiserror::Error;

use crate::errno::Errno;

/// Why a port was not opened, or refused an order.
#[derive(Debug, Error)]
pub enum PortError {
    /// This process has the device open.
    #[error("device {0} is in use by this program already: give each port a device of its own")]
    InUse(String),
    /// No driver takes a virtual device of that name.
    #[error(
        "no driver takes the device {0}: use a PCI address as 0000:01:00.0, or a virtual device whose name begins with its driver's, as net_af_packet0,iface=eth1, and check that DPDK's drivers are installed (librte-net-...)"
    )]
    UnknownDriver(String),
    /// There is no PCI device at that address.
    #[error(
        "there is no device {0}: see lspci -D for the addresses, and do not pass --no-pci to the EAL when a PCI device is wanted"
    )]
    UnknownDevice(String),
    /// The PCI device belongs to the kernel, or DPDK has no driver for it.
    #[error(
        "no DPDK driver takes the device {0}: bind it to vfio-pci (dpdk-devbind.py --bind=vfio-pci {0}), or see whether DPDK supports it"
    )]
    Unbound(String),
    /// The driver refused to start the device.
    #[error(
        "the driver refused the device {device}: check its arguments, that the interface exists and is up, and that this program may open it (CAP_NET_RAW, CAP_NET_ADMIN); DPDK's log above has the reason: {errno}"
    )]
    Refused {
        /// The device, with its arguments.
        device: String,
        /// What DPDK reported, which is seldom the cause.
        errno: Errno,
    },
    /// The device made no port, or not as many as asked for.
    #[error("device {0} has no network port of that index: it is no network device, or `port_index` is too large")]
    NoPort(String),
    /// A name contains a NUL byte.
    #[error("{0:?} cannot name a device: remove the NUL byte")]
    BadName(String),
    /// More queues than the device has, or none.
    #[error("device {device} has {max} {kind} queues, not {wanted}: choose between 1 and {max}")]
    Queues {
        /// The device.
        device: String,
        /// `receive` or `transmit`.
        kind: &'static str,
        /// What was asked for.
        wanted: u16,
        /// What there is.
        max: u16,
    },
    /// An MTU out of range.
    #[error("device {device} cannot have an MTU of {wanted}: choose between {min} and {max}")]
    Mtu {
        /// The device.
        device: String,
        /// What was asked for, in bytes.
        wanted: u16,
        /// The least, in bytes.
        min: u16,
        /// The most, in bytes.
        max: u16,
    },
    /// An RSS key of the wrong length.
    #[error("device {device} wants an RSS key of {wanted} bytes, not {given}: give one of that length")]
    RssKey {
        /// The device.
        device: String,
        /// Bytes given.
        given: usize,
        /// Bytes wanted.
        wanted: usize,
    },
    /// Neither one mempool nor one for each receive queue.
    #[error("{given} mempools were given for {queues} receive queues: give one, or one for each queue")]
    Pools {
        /// How many mempools.
        given: usize,
        /// How many receive queues.
        queues: u16,
    },
    /// A redirection table of the wrong length, or with a queue that is not there.
    #[error("the redirection table does not fit the port: it has {size} entries, each a receive queue below {queues}")]
    Reta {
        /// Entries that the port's table has.
        size: u16,
        /// The port's receive queues.
        queues: u16,
    },
    /// The device cannot do that.
    #[error("port {port} cannot {what}: its driver does not support it, do without")]
    Unsupported {
        /// The port's id.
        port: u16,
        /// What was to be done.
        what: &'static str,
    },
    /// The driver failed.
    #[error("port {port} could not {what}: DPDK's log above has the reason: {errno}")]
    Failed {
        /// The port's id.
        port: u16,
        /// What was to be done.
        what: &'static str,
        /// What the driver reported.
        errno: Errno,
    },
}

/// Turns the result of a port's control call into an error that says what was tried.
pub(crate) fn check(port: u16, what: &'static str, result: i32) -> Result<(), PortError> {
    Errno::check(result).map_err(|errno| match errno.0 {
        libc::ENOTSUP | libc::ENOSYS => PortError::Unsupported { port, what },
        _ => PortError::Failed { port, what, errno },
    })
}
