//! Flow rules (rte_flow): packets to a destination address go to one receive queue.
//!
//! A rule is owned: dropping it takes it out of the NIC. Whether a driver really applies what it accepts must be seen from
//! received packets.

use std::ffi::c_void;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ptr::{NonNull, null};

use dpdk_sys as sys;
use thiserror::Error;

use crate::errno::{Errno, owned};
use crate::port::Port;

/// Why a rule was refused.
#[derive(Debug, Error)]
pub enum FlowError {
    /// The queue is not one of the port's.
    #[error("port {port} has no receive queue {queue}: it has {queues}, choose one of these")]
    Queue {
        /// The port's id.
        port: u16,
        /// What was asked for.
        queue: u16,
        /// How many there are.
        queues: u16,
    },
    /// The driver refuses the rule, or has no rules.
    #[error("port {port} refuses the flow rule: use another sharding policy for this port: {message} ({errno})")]
    Refused {
        /// The port's id.
        port: u16,
        /// What the driver says.
        message: String,
        /// The driver's error number.
        errno: Errno,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    V4 { address: Ipv4Addr, mask: Ipv4Addr },
    V6 { address: Ipv6Addr, mask: Ipv6Addr },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Any,
    Tcp { port: u16, mask: u16 },
    Udp { port: u16, mask: u16 },
}

/// What packets a rule is for: a destination address, and perhaps a destination port, both under masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowMatch {
    network: Network,
    transport: Transport,
    priority: u32,
}

impl FlowMatch {
    /// IPv4 packets whose destination is `address` in the bits of `mask`.
    pub fn ipv4_dst(address: Ipv4Addr, mask: Ipv4Addr) -> Self {
        Self { network: Network::V4 { address, mask }, transport: Transport::Any, priority: 0 }
    }

    /// IPv6 packets whose destination is `address` in the bits of `mask`.
    pub fn ipv6_dst(address: Ipv6Addr, mask: Ipv6Addr) -> Self {
        Self { network: Network::V6 { address, mask }, transport: Transport::Any, priority: 0 }
    }

    /// Of these only TCP segments whose destination port is `port` in the bits of `mask` (0: any TCP).
    pub fn tcp_dst(self, port: u16, mask: u16) -> Self {
        Self { transport: Transport::Tcp { port, mask }, ..self }
    }

    /// Of these only UDP datagrams whose destination port is `port` in the bits of `mask` (0: any UDP).
    pub fn udp_dst(self, port: u16, mask: u16) -> Self {
        Self { transport: Transport::Udp { port, mask }, ..self }
    }

    /// The rule's priority: 0, the default, is the highest.
    pub fn priority(self, priority: u32) -> Self {
        Self { priority, ..self }
    }
}

impl Port {
    /// Asks the driver whether it would take the rule that sends what `matches` to receive queue `queue`.
    ///
    /// # Errors
    /// See [`FlowError`].
    pub fn validate_flow(&self, matches: &FlowMatch, queue: u16) -> Result<(), FlowError> {
        self.check_queue(queue)?;
        let _control = self.control();
        let mut error = sys::rte_flow_error::default();
        let result = with_rule(matches, queue, |attr, pattern, actions| {
            // SAFETY: the port exists as long as self; pattern and actions end with their END entries.
            unsafe { sys::rte_flow_validate(self.id(), attr, pattern, actions, &mut error) }
        });
        Errno::check(result).map_err(|errno| self.refused(&error, errno))
    }

    /// Sends what `matches` to receive queue `queue`, until the rule is dropped.
    ///
    /// # Errors
    /// See [`FlowError`].
    pub fn create_flow(&self, matches: &FlowMatch, queue: u16) -> Result<FlowRule, FlowError> {
        self.check_queue(queue)?;
        let _control = self.control();
        let mut error = sys::rte_flow_error::default();
        let rule = with_rule(matches, queue, |attr, pattern, actions| {
            // SAFETY: the port exists as long as self; pattern and actions end with their END entries.
            unsafe { sys::rte_flow_create(self.id(), attr, pattern, actions, &mut error) }
        });
        match NonNull::new(rule) {
            Some(rule) => Ok(FlowRule { port: self.clone(), rule }),
            None => Err(self.refused(&error, Errno::last())),
        }
    }

    fn check_queue(&self, queue: u16) -> Result<(), FlowError> {
        let queues = self.rx_queues();
        if queue < queues { Ok(()) } else { Err(FlowError::Queue { port: self.id(), queue, queues }) }
    }

    fn refused(&self, error: &sys::rte_flow_error, errno: Errno) -> FlowError {
        // SAFETY: the driver's message is null or a string constant.
        let message = unsafe { owned(error.message) };
        let message = if message.is_empty() { "the driver gives no reason".to_owned() } else { message };
        FlowError::Refused { port: self.id(), message, errno }
    }
}

/// A rule in a NIC. Dropping it takes it out; while it lives, the port stays open.
#[derive(Debug)]
pub struct FlowRule {
    port: Port,
    rule: NonNull<sys::rte_flow>,
}

// SAFETY: the rule belongs to this handle alone, and the port's control lock is held whenever DPDK is given it.
unsafe impl Send for FlowRule {}
// SAFETY: `&self` gives nothing of the rule.
unsafe impl Sync for FlowRule {}

impl FlowRule {
    /// The port that it is in.
    pub fn port(&self) -> &Port {
        &self.port
    }
}

impl Drop for FlowRule {
    fn drop(&mut self) {
        let _control = self.port.control();
        let mut error = sys::rte_flow_error::default();
        // SAFETY: the port exists as long as self, which owns the rule and is not used again.
        let _ = unsafe { sys::rte_flow_destroy(self.port.id(), self.rule.as_ptr(), &mut error) };
    }
}

/// Builds DPDK's form of the rule and gives it to `call`, for whose duration alone it lives.
fn with_rule<R>(
    matches: &FlowMatch,
    queue: u16,
    call: impl FnOnce(*const sys::rte_flow_attr, *const sys::rte_flow_item, *const sys::rte_flow_action) -> R,
) -> R {
    let mut attr = sys::rte_flow_attr { priority: matches.priority, ..Default::default() };
    attr.set_ingress(1);

    let (mut ipv4, mut ipv4_mask) = (sys::rte_flow_item_ipv4::default(), sys::rte_flow_item_ipv4::default());
    let (mut ipv6, mut ipv6_mask) = (sys::rte_flow_item_ipv6::default(), sys::rte_flow_item_ipv6::default());
    let network = match matches.network {
        Network::V4 { address, mask } => {
            ipv4.hdr.dst_addr = u32::from_ne_bytes((address & mask).octets());
            ipv4_mask.hdr.dst_addr = u32::from_ne_bytes(mask.octets());
            item(sys::RTE_FLOW_ITEM_TYPE_IPV4, &ipv4, &ipv4_mask)
        }
        Network::V6 { address, mask } => {
            ipv6.hdr.dst_addr = (address & mask).octets();
            ipv6_mask.hdr.dst_addr = mask.octets();
            item(sys::RTE_FLOW_ITEM_TYPE_IPV6, &ipv6, &ipv6_mask)
        }
    };

    let (mut tcp, mut tcp_mask) = (sys::rte_flow_item_tcp::default(), sys::rte_flow_item_tcp::default());
    let (mut udp, mut udp_mask) = (sys::rte_flow_item_udp::default(), sys::rte_flow_item_udp::default());
    let end = sys::rte_flow_item { type_: sys::RTE_FLOW_ITEM_TYPE_END, ..Default::default() };
    let transport = match matches.transport {
        Transport::Any => end,
        Transport::Tcp { port, mask } => {
            (tcp.hdr.dst_port, tcp_mask.hdr.dst_port) = ((port & mask).to_be(), mask.to_be());
            item(sys::RTE_FLOW_ITEM_TYPE_TCP, &tcp, &tcp_mask)
        }
        Transport::Udp { port, mask } => {
            (udp.hdr.dst_port, udp_mask.hdr.dst_port) = ((port & mask).to_be(), mask.to_be());
            item(sys::RTE_FLOW_ITEM_TYPE_UDP, &udp, &udp_mask)
        }
    };

    let ethernet = sys::rte_flow_item { type_: sys::RTE_FLOW_ITEM_TYPE_ETH, ..Default::default() };
    let pattern = [ethernet, network, transport, end];
    let queue = sys::rte_flow_action_queue { index: queue };
    let actions = [
        sys::rte_flow_action { type_: sys::RTE_FLOW_ACTION_TYPE_QUEUE, conf: (&raw const queue).cast() },
        sys::rte_flow_action { type_: sys::RTE_FLOW_ACTION_TYPE_END, conf: null() },
    ];
    call(&attr, pattern.as_ptr(), actions.as_ptr())
}

fn item<T>(type_: sys::rte_flow_item_type, spec: &T, mask: &T) -> sys::rte_flow_item {
    let pointer = |value: &T| std::ptr::from_ref(value).cast::<c_void>();
    sys::rte_flow_item { type_, spec: pointer(spec), last: null(), mask: pointer(mask) }
}
