//! Receive-side scaling while the port runs: the redirection table and the hash.
//!
//! What a driver reports here is a claim. net_null accepts a key and a table, and uses neither.

use dpdk_sys as sys;

use super::Port;
use super::config::{RssConfig, RssTypes};
use super::error::{PortError, check};
use super::info::dev_info;

/// Entries of the redirection table in one group of DPDK's.
const GROUP: usize = sys::RTE_ETH_RETA_GROUP_SIZE as usize;

impl Port {
    /// The redirection table: a receive queue for each of the hash's low bits.
    ///
    /// # Errors
    /// [`PortError::Unsupported`] when there is none, or [`PortError::Failed`].
    pub fn reta(&self) -> Result<Vec<u16>, PortError> {
        const WHAT: &str = "tell its redirection table";
        let _control = self.control();
        let size = self.reta_size(WHAT)?;
        let mut groups =
            vec![sys::rte_eth_rss_reta_entry64 { mask: u64::MAX, ..Default::default() }; size.div_ceil(GROUP)];
        // SAFETY: the groups hold at least `size` entries.
        let result = unsafe { sys::rte_eth_dev_rss_reta_query(self.id(), groups.as_mut_ptr(), size as u16) };
        check(self.id(), WHAT, result)?;
        Ok(groups.iter().flat_map(|group| group.reta).take(size).collect())
    }

    /// Replaces the redirection table, whose length is that of [`Port::reta`].
    ///
    /// # Errors
    /// [`PortError::Reta`] for a wrong length or queue, [`PortError::Unsupported`], or [`PortError::Failed`].
    pub fn set_reta(&self, reta: &[u16]) -> Result<(), PortError> {
        const WHAT: &str = "change its redirection table";
        let _control = self.control();
        let size = self.reta_size(WHAT)?;
        let queues = self.rx_queues();
        if reta.len() != size || reta.iter().any(|&queue| queue >= queues) {
            return Err(PortError::Reta { size: size as u16, queues });
        }
        let mut groups: Vec<_> = reta
            .chunks(GROUP)
            .map(|chunk| {
                let mut group =
                    sys::rte_eth_rss_reta_entry64 { mask: u64::MAX >> (GROUP - chunk.len()), ..Default::default() };
                group.reta[..chunk.len()].copy_from_slice(chunk);
                group
            })
            .collect();
        // SAFETY: the groups hold `size` entries, each a queue that the port has.
        let result = unsafe { sys::rte_eth_dev_rss_reta_update(self.id(), groups.as_mut_ptr(), size as u16) };
        check(self.id(), WHAT, result)
    }

    /// The key and the types of the hash.
    ///
    /// # Errors
    /// [`PortError::Unsupported`] when there is no RSS, or [`PortError::Failed`].
    pub fn rss_hash(&self) -> Result<RssConfig, PortError> {
        let _control = self.control();
        let mut key = vec![0; key_size(&dev_info(self.id())?)];
        let mut conf = conf(&mut key, RssTypes::empty());
        // SAFETY: the port exists as long as self; the key has the length that `conf` says.
        let result = unsafe { sys::rte_eth_dev_rss_hash_conf_get(self.id(), &mut conf) };
        check(self.id(), "tell its RSS hash", result)?;
        let types = RssTypes::from_bits_retain(conf.rss_hf);
        Ok(RssConfig { key, types })
    }

    /// Replaces the key (unless empty) and the types of the hash.
    ///
    /// # Errors
    /// [`PortError::RssKey`] for a key of the wrong length, [`PortError::Unsupported`], or [`PortError::Failed`].
    pub fn rss_hash_update(&self, rss: &RssConfig) -> Result<(), PortError> {
        let _control = self.control();
        check_key(&self.inner.claim.name, &rss.key, &dev_info(self.id())?)?;
        let mut key = rss.key.clone();
        let mut conf = conf(&mut key, rss.types);
        // SAFETY: the port exists as long as self; the key has the length that `conf` says and lives through the call.
        let result = unsafe { sys::rte_eth_dev_rss_hash_update(self.id(), &mut conf) };
        check(self.id(), "change its RSS hash", result)
    }

    fn reta_size(&self, what: &'static str) -> Result<usize, PortError> {
        match dev_info(self.id())?.reta_size {
            0 => Err(PortError::Unsupported { port: self.id(), what }),
            size => Ok(usize::from(size)),
        }
    }
}

/// Bytes of the port's RSS key. Drivers that do not say (net_null) take 40 without a look at the length they are given.
pub(super) fn key_size(info: &sys::rte_eth_dev_info) -> usize {
    if info.hash_key_size == 0 { 40 } else { usize::from(info.hash_key_size) }
}

/// A key must be empty, for the driver's own, or of exactly the right length: drivers read that many bytes.
pub(super) fn check_key(device: &str, key: &[u8], info: &sys::rte_eth_dev_info) -> Result<(), PortError> {
    let wanted = key_size(info);
    if key.is_empty() || key.len() == wanted {
        return Ok(());
    }
    Err(PortError::RssKey { device: device.to_owned(), given: key.len(), wanted })
}

fn conf(key: &mut [u8], types: RssTypes) -> sys::rte_eth_rss_conf {
    let rss_key = if key.is_empty() { std::ptr::null_mut() } else { key.as_mut_ptr() };
    sys::rte_eth_rss_conf { rss_key, rss_key_len: key.len() as u8, rss_hf: types.bits() }
}
