//! Devices: plugging them in by name, finding the ports they made, and unplugging them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dpdk_sys as sys;

use super::error::PortError;
use super::info::{dev_info, device_name};
use crate::eal::{EalInner, c_name};
use crate::errno::Errno;

/// A device that this process has open. Others find it in use until this is dropped.
pub(super) struct Claim {
    pub(super) name: String,
    eal: Arc<EalInner>,
}

impl Claim {
    /// Claims the device that `spec`, a PCI address or a virtual device with arguments, names.
    pub(super) fn new(eal: &Arc<EalInner>, spec: &str, port_index: usize) -> Result<Self, PortError> {
        let device = canonical(spec);
        let name = if port_index == 0 { device } else { format!("{device}/{port_index}") };
        let mut open = eal.open_devices.lock().unwrap_or_else(PoisonError::into_inner);
        if open.iter().any(|(taken, _)| *taken == name) {
            return Err(PortError::InUse(name));
        }
        open.push((name.clone(), None));
        Ok(Self { name, eal: eal.clone() })
    }

    /// Claims the port that the device turned out to have. No two claims may mean one port: its queues must exist once.
    pub(super) fn hold(&self, port: u16) -> Result<(), PortError> {
        let mut open = self.eal.open_devices.lock().unwrap_or_else(PoisonError::into_inner);
        if open.iter().any(|&(_, taken)| taken == Some(port)) {
            return Err(PortError::InUse(self.name.clone()));
        }
        if let Some(entry) = open.iter_mut().find(|(name, _)| *name == self.name) {
            entry.1 = Some(port);
        }
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.eal.open_devices.lock().unwrap_or_else(PoisonError::into_inner).retain(|(name, _)| *name != self.name);
    }
}

/// Taken while devices come and go: DPDK's hot-plug functions and its table of ports do not stand two threads.
pub(super) fn hotplug() -> MutexGuard<'static, ()> {
    static HOTPLUG: Mutex<()> = Mutex::new(());
    HOTPLUG.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plugs the device in, if it is not yet, and gives the id of its port. For a caller that holds [`hotplug`].
pub(super) fn plug(spec: &str, port_index: usize) -> Result<u16, PortError> {
    let device = &canonical(spec);
    if device.is_empty() {
        return Err(PortError::UnknownDriver(spec.to_owned()));
    }
    let c_spec = c_name(spec).ok_or_else(|| PortError::BadName(spec.to_owned()))?;
    // SAFETY: a NUL-terminated string that DPDK copies; the EAL runs, because a Claim was made first.
    let result = unsafe { sys::rte_dev_probe(c_spec.as_ptr()) };
    if let Err(errno) = Errno::check(result)
        && errno.0 != libc::EEXIST
    {
        return Err(explain(spec, device, errno));
    }
    ports_of(device).nth(port_index).ok_or_else(|| PortError::NoPort(device.to_owned()))
}

/// Unplugs a device, unless a port of it is left. For a caller that holds [`hotplug`].
pub(super) fn unplug(device: *mut sys::rte_device) {
    if device.is_null() || ports_of(&device_name(device)).next().is_some() {
        return;
    }
    // SAFETY: the device was that of a port which this process closed, and it has no port left.
    let _ = unsafe { sys::rte_dev_remove(device) };
}

fn ports_of(device: &str) -> impl Iterator<Item = u16> {
    ports().filter(move |&id| dev_info(id).is_ok_and(|info| device_name(info.device) == device))
}

fn ports() -> impl Iterator<Item = u16> {
    let next = |from: u16| {
        // SAFETY: any number is accepted; reads the table of ports.
        let id = unsafe { sys::rte_eth_find_next(from) };
        (u32::from(id) < sys::RTE_MAX_ETHPORTS).then_some(id)
    };
    std::iter::successors(next(0), move |&id| next(id + 1))
}

fn explain(spec: &str, device: &str, errno: Errno) -> PortError {
    let device = device.to_owned();
    match (is_pci(&device), errno.0) {
        (true, libc::ENOTSUP) => PortError::Unbound(device),
        (true, libc::ENODEV | libc::ENOENT | libc::EFAULT) => PortError::UnknownDevice(device),
        // No bus and no driver could make anything of the name; what a driver itself reports is another number.
        (false, libc::EFAULT) => PortError::UnknownDriver(device),
        _ => PortError::Refused { device: spec.to_owned(), errno },
    }
}

/// The device's name as DPDK gives it: without arguments and bus, a PCI address with its domain and in lower case.
fn canonical(spec: &str) -> String {
    let device = spec.split(',').next().unwrap_or_default();
    let device = device.strip_prefix("pci:").or(device.strip_prefix("vdev:")).unwrap_or(device);
    match (is_pci(device), device.matches(':').count()) {
        (true, 1) => format!("0000:{}", device.to_ascii_lowercase()),
        (true, _) => device.to_ascii_lowercase(),
        (false, _) => device.to_owned(),
    }
}

/// Whether the name has the form of a PCI address, with or without its domain.
fn is_pci(name: &str) -> bool {
    let hex = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let Some((place, function)) = name.rsplit_once('.') else { return false };
    let parts: Vec<&str> = place.split(':').collect();
    (2..=3).contains(&parts.len()) && parts.into_iter().all(hex) && hex(function)
}

#[cfg(test)]
mod tests {
    use super::{canonical, is_pci};

    #[test]
    fn pci_addresses_are_told_from_virtual_devices() {
        assert!(is_pci("0000:01:00.0"));
        assert!(is_pci("af:00.1"));
        for name in ["net_null0", "net_af_packet0", "eth0.1", "0000:01:00", ":.", ""] {
            assert!(!is_pci(name), "{name}");
        }
    }

    #[test]
    fn one_device_has_one_name() {
        for spec in ["0000:AF:00.1", "af:00.1", "pci:0000:af:00.1,arg=1"] {
            assert_eq!(canonical(spec), "0000:af:00.1");
        }
        for spec in ["net_null0", "vdev:net_null0", "net_null0,size=64"] {
            assert_eq!(canonical(spec), "net_null0");
        }
    }
}
