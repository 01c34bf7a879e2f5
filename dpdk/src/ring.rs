//! Rings: bounded queues of mbufs between lcores, without locks.
//!
//! [`spsc`] for one producer, [`mpsc`] for several; there is one consumer. The handles are the proof: a [`Producer`] and a
//! [`Consumer`] exist once and their bursts take `&mut self`. Dropping the last handle of a ring frees what is in it.

use std::sync::Arc;

use arrayvec::ArrayVec;
use dpdk_sys as sys;
use std::ptr::NonNull;
use thiserror::Error;

use crate::eal::{Eal, EalInner, Shared, c_name};
use crate::errno::Errno;
use crate::mbuf::{Carrier, Mbuf, forget_front, free_burst, raw_burst};

/// Why a ring was not made.
#[derive(Debug, Error)]
pub enum RingError {
    /// A ring of that name exists.
    #[error("a ring named {0} exists already: give this one another name")]
    NameInUse(String),
    /// The name has a NUL byte, is empty or too long.
    #[error("{0:?} cannot name a ring: use 1 to 28 characters without NUL bytes")]
    BadName(String),
    /// No mbufs, or more than 2^30.
    #[error("a ring of {0} mbufs is impossible: choose between 1 and 1073741823")]
    BadSize(u32),
    /// No memory on that socket.
    #[error(
        "there is no memory for ring {name} of {size} mbufs: reserve more huge pages, raise -m, or make it smaller"
    )]
    OutOfMemory {
        /// The ring.
        name: String,
        /// How many mbufs it was to hold.
        size: u32,
    },
    /// Any other reason.
    #[error("ring {0} could not be made, see DPDK's log above: {1}")]
    Failed(String, Errno),
}

/// Makes a ring that holds up to `size` mbufs, for one producer and one consumer, on NUMA socket `socket` (`None`: any).
///
/// # Errors
/// See [`RingError`].
pub fn spsc(eal: &Eal, name: &str, size: u32, socket: Option<u32>) -> Result<(Producer, Consumer), RingError> {
    let ring = Arc::new(Ring::new(eal, name, size, socket, sys::RING_F_SP_ENQ | sys::RING_F_SC_DEQ)?);
    Ok((Producer { ring: ring.clone() }, Consumer { ring }))
}

/// As [`spsc`], for any number of producers. None waits for another: what one enqueues comes out when those that began before
/// it are done (rte_ring's relaxed tail synchronisation), so one that is preempted in the middle delays what is in the ring
/// behind its own, and no producer.
///
/// # Errors
/// See [`RingError`].
pub fn mpsc(eal: &Eal, name: &str, size: u32, socket: Option<u32>) -> Result<(SharedProducer, Consumer), RingError> {
    let ring = Arc::new(Ring::new(eal, name, size, socket, sys::RING_F_MP_RTS_ENQ | sys::RING_F_SC_DEQ)?);
    // SAFETY: the ring is valid and nobody else has it yet.
    let set = unsafe { sys::rte_ring_set_prod_htd_max(ring.raw(), u32::MAX) };
    debug_assert_eq!(set, 0, "only a ring of another kind refuses");
    Ok((SharedProducer { ring: ring.clone() }, Consumer { ring }))
}

/// The only producer of a ring.
#[derive(Debug)]
pub struct Producer {
    ring: Arc<Ring>,
}

impl Producer {
    /// Puts mbufs from the front of `burst` into the ring until it is full; says how many. Those are taken out of `burst`, the
    /// others stay there in order. Never waits.
    #[inline]
    pub fn enqueue_burst<P: Carrier, const N: usize>(&mut self, burst: &mut ArrayVec<P, N>) -> usize {
        self.ring.enqueue(burst)
    }

    /// How many mbufs are in the ring, as of a moment ago.
    #[inline]
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether the ring was empty a moment ago.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many mbufs the ring can hold.
    pub fn capacity(&self) -> usize {
        self.ring.size as usize
    }

    pub(crate) fn raw(&self) -> *mut sys::rte_ring {
        self.ring.raw()
    }
}

/// One of several producers of a ring.
#[derive(Clone, Debug)]
pub struct SharedProducer {
    ring: Arc<Ring>,
}

impl SharedProducer {
    /// As [`Producer::enqueue_burst`].
    #[inline]
    pub fn enqueue_burst<P: Carrier, const N: usize>(&self, burst: &mut ArrayVec<P, N>) -> usize {
        self.ring.enqueue(burst)
    }

    /// How many mbufs are in the ring, as of a moment ago.
    #[inline]
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether the ring was empty a moment ago.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many mbufs the ring can hold.
    pub fn capacity(&self) -> usize {
        self.ring.size as usize
    }
}

/// The only consumer of a ring.
#[derive(Debug)]
pub struct Consumer {
    ring: Arc<Ring>,
}

impl Consumer {
    /// Appends mbufs from the ring to `burst`, in order, at most as many as it has room for; says how many. Never waits.
    #[inline]
    pub fn dequeue_burst<P: Carrier, const N: usize>(&mut self, burst: &mut ArrayVec<P, N>) -> usize {
        self.ring.dequeue(burst)
    }

    /// How many mbufs are in the ring, as of a moment ago.
    #[inline]
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether the ring was empty a moment ago.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many mbufs the ring can hold.
    pub fn capacity(&self) -> usize {
        self.ring.size as usize
    }

    pub(crate) fn raw(&self) -> *mut sys::rte_ring {
        self.ring.raw()
    }
}

struct Ring {
    ring: Shared<sys::rte_ring>,
    size: u32,
    _eal: Arc<EalInner>,
}

impl Ring {
    fn new(eal: &Eal, name: &str, size: u32, socket: Option<u32>, flags: u32) -> Result<Self, RingError> {
        let bad_name = || RingError::BadName(name.to_owned());
        let c_name = c_name(name).filter(|c_name| !c_name.is_empty()).ok_or_else(bad_name)?;
        if !(1..1 << 30).contains(&size) {
            return Err(RingError::BadSize(size));
        }
        let socket = socket.map_or(sys::DPDK_SOCKET_ID_ANY, |socket| socket as i32);
        // SAFETY: the EAL runs and the name is NUL-terminated; DPDK checks the size.
        let ring = unsafe { sys::rte_ring_create(c_name.as_ptr(), size, socket, flags | sys::RING_F_EXACT_SZ) };
        let ring = NonNull::new(ring).ok_or_else(|| {
            let errno = Errno::last();
            match errno.0 {
                libc::EEXIST => RingError::NameInUse(name.to_owned()),
                libc::ENAMETOOLONG => bad_name(),
                libc::EINVAL => RingError::BadSize(size),
                libc::ENOMEM => RingError::OutOfMemory { name: name.to_owned(), size },
                _ => RingError::Failed(name.to_owned(), errno),
            }
        })?;
        Ok(Self { ring: Shared(ring), size, _eal: eal.inner.clone() })
    }

    fn raw(&self) -> *mut sys::rte_ring {
        self.ring.0.as_ptr()
    }

    /// For the only producer of a single-producer ring, or any producer of another.
    #[inline]
    fn enqueue<P: Carrier, const N: usize>(&self, burst: &mut ArrayVec<P, N>) -> usize {
        let (table, len) = (raw_burst(burst), burst.len() as u32);
        // SAFETY: the first `len` places are mbufs of the caller's; the ring's kind allows this producer (see above).
        let count = unsafe { sys::rte_ring_enqueue_burst(self.raw(), table.cast(), len, std::ptr::null_mut()) };
        // SAFETY: the ring took over the first `count` mbufs.
        unsafe { forget_front(burst, count as usize) };
        count as usize
    }

    /// For the only consumer.
    #[inline]
    fn dequeue<P: Carrier, const N: usize>(&self, burst: &mut ArrayVec<P, N>) -> usize {
        let old = burst.len();
        let (spare, room) = (raw_burst(burst).wrapping_add(old), burst.remaining_capacity() as u32);
        // SAFETY: `spare` has `room` free places; the ring's one consumer calls, and only mbufs are ever enqueued.
        let count = unsafe { sys::rte_ring_dequeue_burst(self.raw(), spare.cast(), room, std::ptr::null_mut()) };
        // SAFETY: that many places behind `old` now hold mbufs that left the ring.
        unsafe { burst.set_len(old + count as usize) };
        count as usize
    }

    #[inline]
    fn len(&self) -> usize {
        // SAFETY: the ring lives as long as self.
        unsafe { sys::rte_ring_count(self.raw()) as usize }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let mut left = ArrayVec::<Mbuf, 64>::new();
        while self.dequeue(&mut left) > 0 {
            free_burst(&mut left);
        }
        // SAFETY: no handle is left, and the ring is empty.
        unsafe { sys::rte_ring_free(self.raw()) };
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").field("len", &self.len()).field("size", &self.size).finish()
    }
}
