//! Stands in for `capsule-ffi` 0.1.5, which binds DPDK 19.11: our bindings of 22.11 under the names of then.
//!
//! What differs: constants that were renamed, functions that were bound by other names, two EAL options, a mempool whose
//! fields are looked at, and KNI, which is not there. An EAL that somebody else in the process has started is taken as it is.

#![allow(non_camel_case_types, clippy::missing_safety_doc)]

use dpdk_sys as sys;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};

pub use sys::{
    dpdk_errno as _rte_errno, rte_eal_cleanup, rte_eth_rx_burst as _rte_eth_rx_burst,
    rte_eth_tx_burst as _rte_eth_tx_burst, rte_pktmbuf_free as _rte_pktmbuf_free,
};
pub use sys::{
    rte_eth_allmulticast_disable, rte_eth_allmulticast_enable, rte_eth_conf, rte_eth_dev_adjust_nb_rx_tx_desc,
    rte_eth_dev_close, rte_eth_dev_configure, rte_eth_dev_get_port_by_name, rte_eth_dev_info, rte_eth_dev_info_get,
    rte_eth_dev_socket_id, rte_eth_dev_start, rte_eth_dev_stop, rte_eth_macaddr_get, rte_eth_promiscuous_disable,
    rte_eth_promiscuous_enable, rte_eth_tx_queue_setup, rte_ether_addr, rte_mbuf, rte_socket_id, rte_strerror,
};

/// Bytes of an mbuf without its header.
pub const RTE_MBUF_DEFAULT_BUF_SIZE: u32 = 2_048 + sys::RTE_PKTMBUF_HEADROOM;
pub const DEV_TX_OFFLOAD_MBUF_FAST_FREE: u64 = sys::DPDK_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
pub const ETH_RSS_IP: u64 = sys::DPDK_ETH_RSS_IPV4
    | sys::DPDK_ETH_RSS_FRAG_IPV4
    | sys::DPDK_ETH_RSS_NONFRAG_IPV4_OTHER
    | sys::DPDK_ETH_RSS_IPV6
    | sys::DPDK_ETH_RSS_FRAG_IPV6
    | sys::DPDK_ETH_RSS_NONFRAG_IPV6_OTHER;
pub const ETH_RSS_TCP: u64 = sys::DPDK_ETH_RSS_NONFRAG_IPV4_TCP | sys::DPDK_ETH_RSS_NONFRAG_IPV6_TCP;
pub const ETH_RSS_UDP: u64 = sys::DPDK_ETH_RSS_NONFRAG_IPV4_UDP | sys::DPDK_ETH_RSS_NONFRAG_IPV6_UDP;
pub const ETH_RSS_SCTP: u64 = sys::DPDK_ETH_RSS_NONFRAG_IPV4_SCTP | sys::DPDK_ETH_RSS_NONFRAG_IPV6_SCTP;

pub mod rte_eth_rx_mq_mode {
    pub const ETH_MQ_RX_RSS: u32 = dpdk_sys::DPDK_ETH_MQ_RX_RSS;
}

/// The beginning of DPDK's mempool; the rest is never looked at. `shim.c` holds the offsets against DPDK's.
#[repr(C)]
pub struct rte_mempool {
    pub name: [c_char; 26],
    pub pool_data: *mut c_void,
    pub pool_config: *mut c_void,
    pub mz: *const c_void,
    pub flags: c_uint,
    pub socket_id: c_int,
    pub size: u32,
    pub cache_size: u32,
}

/// CPUs of a thread, as the C library has them.
pub type rte_cpuset_t = [u64; 16];

unsafe extern "C" {
    pub fn rte_socket_count() -> c_uint;
    pub fn rte_socket_id_by_idx(idx: c_uint) -> c_int;
    pub fn rte_thread_set_affinity(cpus: *mut rte_cpuset_t) -> c_int;
    fn rte_lcore_count() -> c_uint;
    pub fn numa_node_of_cpu(cpu: c_int) -> c_int;
    fn capsule_mempool_put_bulk(pool: *mut sys::rte_mempool, objects: *const *mut c_void, count: c_uint);
}

/// Starts the EAL, with the options as they are called now.
pub unsafe fn rte_eal_init(argc: c_int, argv: *mut *mut c_char) -> c_int {
    // SAFETY: reads a number, which is 0 before the EAL has started.
    if unsafe { rte_lcore_count() } > 0 {
        return argc;
    }
    let renamed = |argument: &CStr| match argument.to_bytes() {
        b"--master-lcore" => c"--main-lcore".to_owned(),
        b"--pci-whitelist" => c"--allow".to_owned(),
        _ => argument.to_owned(),
    };
    let mut arguments = Vec::new();
    for at in 0..argc as usize {
        // SAFETY: the caller gives `argc` strings.
        arguments.push(renamed(unsafe { CStr::from_ptr(*argv.add(at)) }));
    }
    let mut pointers: Vec<_> = arguments.iter().map(|a: &CString| a.as_ptr().cast_mut()).collect();
    // SAFETY: strings that live through the call, which copies what it keeps.
    unsafe { sys::rte_eal_init(argc, pointers.as_mut_ptr()) }
}

pub unsafe fn rte_pktmbuf_pool_create(
    name: *const c_char,
    count: c_uint,
    cache: c_uint,
    private: u16,
    room: u16,
    socket: c_int,
) -> *mut rte_mempool {
    // SAFETY: what the caller promises.
    unsafe { sys::rte_pktmbuf_pool_create(name, count, cache, private, room, socket).cast() }
}

pub unsafe fn rte_mempool_free(pool: *mut rte_mempool) {
    // SAFETY: what the caller promises.
    unsafe { sys::rte_mempool_free(pool.cast()) }
}

pub unsafe fn _rte_mempool_put_bulk(pool: *mut sys::rte_mempool, objects: *const *mut c_void, count: c_uint) {
    // SAFETY: what the caller promises.
    unsafe { capsule_mempool_put_bulk(pool, objects, count) }
}

pub unsafe fn _rte_pktmbuf_alloc(pool: *mut rte_mempool) -> *mut rte_mbuf {
    // SAFETY: what the caller promises.
    unsafe { sys::rte_pktmbuf_alloc(pool.cast()) }
}

pub unsafe fn _rte_pktmbuf_alloc_bulk(pool: *mut rte_mempool, mbufs: *mut *mut rte_mbuf, count: c_uint) -> c_int {
    // SAFETY: what the caller promises.
    unsafe { sys::rte_pktmbuf_alloc_bulk(pool.cast(), mbufs, count) }
}

pub unsafe fn rte_eth_rx_queue_setup(
    port: u16,
    queue: u16,
    descriptors: u16,
    socket: c_uint,
    conf: *const sys::rte_eth_rxconf,
    pool: *mut rte_mempool,
) -> c_int {
    // SAFETY: what the caller promises.
    unsafe { sys::rte_eth_rx_queue_setup(port, queue, descriptors, socket, conf, pool.cast()) }
}

/// The kernel's network interface, which DPDK 22.11 of Debian does not have: all that is asked of it fails.
pub struct rte_kni(());

#[derive(Default)]
pub struct rte_kni_conf {
    pub name: [c_char; 32],
    pub group_id: u16,
    pub mbuf_size: u32,
    pub mac_addr: [u8; 6],
}

#[derive(Default)]
pub struct rte_kni_ops {
    pub port_id: u16,
    pub change_mtu: Option<extern "C" fn(u16, c_uint) -> c_int>,
    pub config_network_if: Option<extern "C" fn(u16, u8) -> c_int>,
    pub config_mac_address: Option<extern "C" fn(u16, *mut u8) -> c_int>,
    pub config_promiscusity: Option<extern "C" fn(u16, u8) -> c_int>,
}

pub unsafe fn rte_kni_init(_: c_uint) -> c_int {
    -1
}
pub unsafe fn rte_kni_close() {}
pub unsafe fn rte_kni_alloc(_: *mut rte_mempool, _: *const rte_kni_conf, _: *mut rte_kni_ops) -> *mut rte_kni {
    std::ptr::null_mut()
}
pub unsafe fn rte_kni_release(_: *mut rte_kni) -> c_int {
    -1
}
pub unsafe fn rte_kni_get_name(_: *const rte_kni) -> *const c_char {
    c"".as_ptr()
}
pub unsafe fn rte_kni_handle_request(_: *mut rte_kni) -> c_int {
    -1
}
pub unsafe fn rte_kni_rx_burst(_: *mut rte_kni, _: *mut *mut rte_mbuf, _: c_uint) -> c_uint {
    0
}
pub unsafe fn rte_kni_tx_burst(_: *mut rte_kni, _: *mut *mut rte_mbuf, _: c_uint) -> c_uint {
    0
}
