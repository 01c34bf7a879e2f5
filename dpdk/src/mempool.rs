//! Mempools of mbufs: a fixed number of buffers, made once, with a cache for each lcore in front.

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::Arc;

use arrayvec::ArrayVec;
use dpdk_sys as sys;
use thiserror::Error;

use crate::eal::{Eal, EalInner, Shared, c_name};
use crate::errno::Errno;
use crate::mbuf::{Carrier, HEADROOM, Mbuf};

/// Why a mempool was not made.
#[derive(Debug, Error)]
pub enum MempoolError {
    /// A mempool of that name exists.
    #[error("a mempool named {0} exists already: give this one another name")]
    NameInUse(String),
    /// The name has a NUL byte, is empty or too long.
    #[error("{0:?} cannot name a mempool: use 1 to 24 characters without NUL bytes")]
    BadName(String),
    /// The data room and the headroom together do not fit in 16 bits.
    #[error("a data room of {data_room} bytes is too large: at most {} bytes are possible", u16::MAX - HEADROOM)]
    DataRoom {
        /// What was asked for, in bytes.
        data_room: u16,
    },
    /// No memory on that socket.
    #[error(
        "there is no memory for mempool {name} of {count} mbufs, about {bytes} bytes: reserve more huge pages, raise -m, or set fewer mbufs"
    )]
    OutOfMemory {
        /// The pool.
        name: String,
        /// How many mbufs were asked for.
        count: u32,
        /// How many bytes they take, about.
        bytes: u64,
    },
    /// A cache too large for the pool, or no mbufs at all.
    #[error(
        "mempool {name} of {count} mbufs with a cache of {cache} is impossible: the cache may have at most 512 mbufs and two thirds of the pool"
    )]
    BadSize {
        /// The pool.
        name: String,
        /// How many mbufs were asked for.
        count: u32,
        /// The cache of an lcore, in mbufs.
        cache: u32,
    },
    /// Any other reason.
    #[error("mempool {0} could not be made, see DPDK's log above: {1}")]
    Failed(String, Errno),
}

/// A mempool of mbufs of one segment size. Clones are handles to the same pool.
///
/// Dropping the last handle gives the memory back once every mbuf has returned, and no later than the next pool is made.
#[derive(Clone)]
pub struct Mempool {
    inner: Arc<PoolInner>,
}

impl Mempool {
    /// Makes a pool of `count` mbufs (2^n - 1 is the best use of memory), each with `data_room` bytes behind [`HEADROOM`]
    /// bytes of headroom, on NUMA socket `socket` (`None`: any). `cache` mbufs stay with each lcore, at most 512.
    ///
    /// # Errors
    /// See [`MempoolError`].
    pub fn new(
        eal: &Eal,
        name: &str,
        count: u32,
        cache: u32,
        data_room: u16,
        socket: Option<u32>,
    ) -> Result<Self, MempoolError> {
        eal.inner.free_retired();
        let bad_name = || MempoolError::BadName(name.to_owned());
        let c_name: CString = c_name(name).filter(|c_name| !c_name.is_empty()).ok_or_else(bad_name)?;
        let room = data_room.checked_add(HEADROOM).ok_or(MempoolError::DataRoom { data_room })?;
        if count == 0 {
            return Err(MempoolError::BadSize { name: name.to_owned(), count, cache });
        }
        let socket = socket.map_or(sys::DPDK_SOCKET_ID_ANY, |socket| socket as i32);
        // SAFETY: the EAL runs and the name is NUL-terminated; DPDK checks the numbers.
        let pool = unsafe { sys::rte_pktmbuf_pool_create(c_name.as_ptr(), count, cache, 0, room, socket) };
        let Some(pool) = NonNull::new(pool) else {
            let errno = Errno::last();
            let name = name.to_owned();
            return Err(match errno.0 {
                libc::EEXIST => MempoolError::NameInUse(name),
                libc::ENAMETOOLONG => bad_name(),
                libc::ENOMEM | libc::ENOBUFS => {
                    MempoolError::OutOfMemory { name, count, bytes: u64::from(count) * (u64::from(room) + 192) }
                }
                libc::EINVAL => MempoolError::BadSize { name, count, cache },
                _ => MempoolError::Failed(name, errno),
            });
        };
        Ok(Self { inner: Arc::new(PoolInner { pool: Shared(pool), count, data_room, eal: eal.inner.clone() }) })
    }

    /// An empty mbuf with its headroom in front; `None` when the pool has none left.
    #[inline]
    pub fn alloc(&self) -> Option<Mbuf> {
        // SAFETY: the pool lives as long as self, and holds mbufs.
        let mbuf = unsafe { sys::rte_pktmbuf_alloc(self.raw()) };
        // SAFETY: a fresh mbuf has one reference, which is handed over.
        NonNull::new(mbuf).map(|mbuf| unsafe { Mbuf::from_raw(mbuf) })
    }

    /// Appends `count` empty mbufs to `into`. All or nothing: returns `count`, or 0 if the pool has fewer or `into` has not
    /// the room.
    #[inline]
    pub fn alloc_bulk<P: Carrier, const N: usize>(&self, into: &mut ArrayVec<P, N>, count: usize) -> usize {
        if count > into.remaining_capacity() {
            return 0;
        }
        let old = into.len();
        let spare = into.as_mut_ptr().wrapping_add(old).cast::<*mut sys::rte_mbuf>();
        // SAFETY: `spare` is the start of at least `count` free places, and a Carrier is a pointer to an rte_mbuf; count <= N fits.
        let result = unsafe { sys::rte_pktmbuf_alloc_bulk(self.raw(), spare, count as u32) };
        if result != 0 {
            return 0;
        }
        // SAFETY: `count` places behind `old` now hold mbufs with one reference each.
        unsafe { into.set_len(old + count) };
        count
    }

    /// How many mbufs are in the pool, caches of lcores included. Slow: it walks over all caches.
    pub fn available(&self) -> u32 {
        // SAFETY: the pool lives as long as self.
        unsafe { sys::rte_mempool_avail_count(self.raw()) }
    }

    /// How many mbufs are out: held by the program, a ring, or a port's queues. Slow, as [`Mempool::available`].
    pub fn in_use(&self) -> u32 {
        self.inner.count.saturating_sub(self.available())
    }

    /// How many mbufs the pool has in all.
    pub fn capacity(&self) -> u32 {
        self.inner.count
    }

    /// Bytes of each mbuf behind the headroom.
    pub fn data_room(&self) -> u16 {
        self.inner.data_room
    }

    pub(crate) fn raw(&self) -> *mut sys::rte_mempool {
        self.inner.pool.0.as_ptr()
    }
}

impl std::fmt::Debug for Mempool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mempool")
            .field("capacity", &self.inner.count)
            .field("data_room", &self.inner.data_room)
            .finish()
    }
}

struct PoolInner {
    pool: Shared<sys::rte_mempool>,
    count: u32,
    data_room: u16,
    eal: Arc<EalInner>,
}

impl Drop for PoolInner {
    fn drop(&mut self) {
        self.eal.retire(RetiredPool { pool: Shared(self.pool.0), count: self.count });
    }
}

/// A pool without handles. It may still have mbufs out, each of which points to it.
pub(crate) struct RetiredPool {
    pool: Shared<sys::rte_mempool>,
    count: u32,
}

impl RetiredPool {
    /// Frees the pool if all its mbufs are back; says whether it did. Only for a caller that knows that no other thread is
    /// inside a mempool function: while a cache is flushed its mbufs count twice.
    pub(crate) fn free_if_full(&mut self) -> bool {
        let pool = self.pool.0.as_ptr();
        // SAFETY: the pool was not freed yet: this method is not called again after it returned true.
        if unsafe { sys::rte_mempool_avail_count(pool) } < self.count {
            return false;
        }
        // SAFETY: no handle refers to the pool (it is retired), and no mbuf does (all are back).
        unsafe { sys::rte_mempool_free(pool) };
        true
    }
}
