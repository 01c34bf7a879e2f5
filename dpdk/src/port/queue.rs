//! Queue handles, and the bursts that the whole gateway turns on.

use arrayvec::ArrayVec;
use dpdk_sys as sys;

use super::Port;
use crate::mbuf::{Carrier, forget_front, raw_burst};

/// A receive queue of a started port.
#[derive(Debug)]
pub struct RxQueue {
    port: Port,
    queue: u16,
}

impl RxQueue {
    pub(super) fn new(port: &Port, queue: u16) -> Self {
        Self { port: port.clone(), queue }
    }

    /// Appends received packets to `burst`, at most as many as it has room for; says how many. Never waits.
    ///
    /// Drivers are made for room for 32 or 64 packets; vector drivers give nothing when there is room for fewer than 4.
    #[inline]
    pub fn burst<P: Carrier, const N: usize>(&mut self, burst: &mut ArrayVec<P, N>) -> usize {
        self.burst_of(burst, N)
    }

    /// As [`RxQueue::burst`], but at most `most`.
    #[inline]
    pub fn burst_of<P: Carrier, const N: usize>(&mut self, burst: &mut ArrayVec<P, N>, most: usize) -> usize {
        let old = burst.len();
        let room = burst.remaining_capacity().min(most).min(usize::from(u16::MAX)) as u16;
        let spare = raw_burst(burst).wrapping_add(old);
        // SAFETY: the port runs as long as self, the queue is one of its own and polled by nobody else (&mut, one handle), and
        // `spare` has `room` free places.
        let count = unsafe { sys::rte_eth_rx_burst(self.port.inner.id, self.queue, spare, room) };
        // SAFETY: that many places behind `old` now hold mbufs that the driver handed over.
        unsafe { burst.set_len(old + usize::from(count)) };
        usize::from(count)
    }

    /// The queue's number.
    pub fn index(&self) -> u16 {
        self.queue
    }

    /// The port that it belongs to.
    pub fn port(&self) -> &Port {
        &self.port
    }
}

/// A transmit queue of a started port.
#[derive(Debug)]
pub struct TxQueue {
    port: Port,
    queue: u16,
}

impl TxQueue {
    pub(super) fn new(port: &Port, queue: u16) -> Self {
        Self { port: port.clone(), queue }
    }

    /// Sends packets from the front of `burst` until the queue is full; says how many. What was sent is taken out of `burst`,
    /// what was refused stays there in order. Never waits.
    #[inline]
    pub fn burst<P: Carrier, const N: usize>(&mut self, burst: &mut ArrayVec<P, N>) -> usize {
        let len = burst.len().min(usize::from(u16::MAX)) as u16;
        // SAFETY: the port runs as long as self, the queue is one of its own and used by nobody else (&mut, one handle), and
        // the first `len` places hold mbufs that belong to the caller.
        let sent = unsafe { sys::rte_eth_tx_burst(self.port.inner.id, self.queue, raw_burst(burst), len) };
        // SAFETY: the driver took over the first `sent` mbufs.
        unsafe { forget_front(burst, usize::from(sent)) };
        usize::from(sent)
    }

    /// The queue's number.
    pub fn index(&self) -> u16 {
        self.queue
    }

    /// The port that it belongs to.
    pub fn port(&self) -> &Port {
        &self.port
    }
}
