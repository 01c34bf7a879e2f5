//! Mbufs: one packet each, in a buffer of a mempool, with headroom in front and tailroom behind.
//!
//! ```text
//! |<- headroom ->|<----- data ----->|<- tailroom ->|
//! buffer         head               head + len     buffer's end
//! ```
//!
//! An [`Mbuf`] is a pointer, and the only one to its `rte_mbuf`: DPDK hands out mbufs with one reference, and nothing here adds
//! a second. A packet may continue in further segments; all access is to the first, and the segments are freed together.

mod offload;

pub use offload::{Checksum, L4Checksum, TxChecksums};

use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use arrayvec::ArrayVec;
use bytemuck::TransparentWrapper;
use dpdk_sys as sys;
use thiserror::Error;

/// Bytes in front of the data of a fresh mbuf, and of most received ones.
pub const HEADROOM: u16 = sys::RTE_PKTMBUF_HEADROOM as u16;

/// The window asked for reaches outside of the mbuf's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the window reaches outside of the mbuf's buffer: make room by choosing a larger mbuf size")]
pub struct OutOfBuffer;

/// A packet, owned. Dropping it returns it to its mempool.
#[repr(transparent)]
pub struct Mbuf(NonNull<sys::rte_mbuf>);

// A burst of Mbufs is what DPDK takes: an array of pointers.
const _: () = assert!(size_of::<Mbuf>() == size_of::<*mut sys::rte_mbuf>());

/// An mbuf, or a type of its user's that is nothing but an mbuf: bursts hold either, so that a user's own type costs no copy.
/// `#[derive(bytemuck::TransparentWrapper)]` makes one.
pub trait Carrier: TransparentWrapper<Mbuf> {}
impl<T: TransparentWrapper<Mbuf>> Carrier for T {}

// SAFETY: the same type has the same layout.
unsafe impl TransparentWrapper<Mbuf> for Mbuf {}

// SAFETY: the only pointer to its rte_mbuf; mempools take mbufs back from every thread.
unsafe impl Send for Mbuf {}
// SAFETY: `&self` only reads.
unsafe impl Sync for Mbuf {}

impl Mbuf {
    /// # Safety
    /// `mbuf` is a whole mbuf chain with one reference, which the caller hands over.
    #[inline]
    pub(crate) unsafe fn from_raw(mbuf: NonNull<sys::rte_mbuf>) -> Self {
        Self(mbuf)
    }

    #[inline]
    fn raw(&self) -> &sys::rte_mbuf {
        // SAFETY: the pointer is valid for as long as self owns it, and nobody else writes there.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    fn raw_mut(&mut self) -> &mut sys::rte_mbuf {
        // SAFETY: the pointer is valid for as long as self owns it, and nobody else has one.
        unsafe { self.0.as_mut() }
    }

    /// Asks the CPU to bring the start of the data into its cache. Reads the mbuf itself, so prefetch a few packets ahead.
    #[inline]
    pub fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let start = self.data().as_ptr().cast();
            // SAFETY: a hint, which no address can make fault.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start) };
        }
    }

    /// As [`Mbuf::prefetch`], for data that will be written to: a cache line that another core wrote is fetched once, and not
    /// a second time to become ours.
    #[inline]
    pub fn prefetch_to_write(&self) {
        prefetch_to_write(self.data().as_ptr());
    }

    /// The bytes of the first segment: the whole packet if [`Mbuf::is_contiguous`].
    #[inline]
    pub fn data(&self) -> &[u8] {
        let raw = self.raw();
        let start = raw.buf_addr.cast::<u8>().wrapping_add(usize::from(raw.data_off));
        // SAFETY: DPDK and `set_window` keep data_off + data_len within the buffer, which is initialised memory that self owns.
        unsafe { std::slice::from_raw_parts(start, usize::from(raw.data_len)) }
    }

    /// As [`Mbuf::data`], to write.
    #[inline]
    pub fn data_mut(&mut self) -> &mut [u8] {
        let raw = self.raw();
        let start = raw.buf_addr.cast::<u8>().wrapping_add(usize::from(raw.data_off));
        // SAFETY: as in `data`; the buffer has one owner, which is borrowed for as long as the slice.
        unsafe { std::slice::from_raw_parts_mut(start, usize::from(raw.data_len)) }
    }

    /// The whole buffer of the first segment, headroom and tailroom included, with the place and length of the data in it.
    /// Follow with [`Mbuf::set_window`] when the data has moved.
    #[inline]
    pub fn buf_and_head(&mut self) -> (&mut [u8], u16, u16) {
        let raw = self.raw();
        let (start, len, head, data) =
            (raw.buf_addr.cast::<u8>(), usize::from(raw.buf_len), raw.data_off, raw.data_len);
        // SAFETY: buf_addr and buf_len are the buffer of this segment, initialised memory that self owns and that is borrowed
        // for as long as the slice.
        (unsafe { std::slice::from_raw_parts_mut(start, len) }, head, data)
    }

    /// Says where in the first segment's buffer the data is now, `head` bytes from its start and `len` bytes long. The
    /// packet's length changes by as much as the segment's. Takes back [`Mbuf::request_checksums`], whose offsets it changes.
    ///
    /// # Errors
    /// [`OutOfBuffer`]; the mbuf is then as it was.
    #[inline]
    pub fn set_window(&mut self, head: u16, len: u16) -> Result<(), OutOfBuffer> {
        let raw = self.raw_mut();
        if u32::from(head) + u32::from(len) > u32::from(raw.buf_len) {
            return Err(OutOfBuffer);
        }
        let rest = raw.pkt_len.saturating_sub(u32::from(raw.data_len));
        raw.data_off = head;
        raw.data_len = len;
        raw.pkt_len = rest.saturating_add(u32::from(len));
        raw.ol_flags &= !offload::TX_CHECKSUM_FLAGS;
        Ok(())
    }

    /// Lengthens a packet of one segment by `len` bytes, and gives these (their content is left over from earlier packets).
    /// `None` when the tailroom is too short or there are more segments.
    #[inline]
    pub fn append(&mut self, len: u16) -> Option<&mut [u8]> {
        let raw = self.raw();
        let (head, old) = (raw.data_off, raw.data_len);
        if raw.nb_segs != 1 {
            return None;
        }
        self.set_window(head, old.checked_add(len)?).ok()?;
        self.data_mut().get_mut(usize::from(old)..)
    }

    /// Empties the first segment and forgets everything about the packet: flags, VLAN, port. Further segments are dropped.
    #[inline]
    pub fn reset(&mut self) {
        let rest = NonNull::new(std::mem::replace(&mut self.raw_mut().next, std::ptr::null_mut()));
        if let Some(rest) = rest {
            // SAFETY: the segments behind the first belonged to self alone and are now unlinked: a chain of their own.
            let rest = unsafe { Self::from_raw(rest) };
            self.raw_mut().nb_segs = 1;
            drop(rest);
        }
        // SAFETY: self is a valid mbuf of one segment with one reference.
        unsafe { sys::rte_pktmbuf_reset(self.0.as_ptr()) };
    }

    /// Bytes of the packet, over all segments.
    #[inline]
    pub fn pkt_len(&self) -> u32 {
        self.raw().pkt_len
    }

    /// Bytes of the first segment.
    #[inline]
    pub fn data_len(&self) -> u16 {
        self.raw().data_len
    }

    /// Bytes in front of the data.
    #[inline]
    pub fn headroom(&self) -> u16 {
        self.raw().data_off
    }

    /// Bytes behind the data of the first segment.
    #[inline]
    pub fn tailroom(&self) -> u16 {
        let raw = self.raw();
        raw.buf_len.saturating_sub(raw.data_off).saturating_sub(raw.data_len)
    }

    /// How many segments there are.
    #[inline]
    pub fn nb_segs(&self) -> u16 {
        self.raw().nb_segs
    }

    /// Whether the packet is all in one segment.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        self.raw().nb_segs == 1
    }

    /// References to the mbuf: 1, unless a PMD breaks its contract. A packet with more must not be written to.
    #[inline]
    pub fn refcnt(&self) -> u16 {
        self.raw().refcnt
    }

    /// Whether it is one segment with one reference and at least `headroom` bytes in front of the data: what nearly every
    /// received packet is. One look at what [`Mbuf::headroom`], [`Mbuf::refcnt`] and [`Mbuf::nb_segs`] say.
    #[inline(always)]
    pub fn is_simple(&self, headroom: u16) -> bool {
        let word = self.layout();
        word as u16 >= headroom && (word >> 16) as u32 == 0x1_0001
    }

    /// [`Mbuf::headroom`], [`Mbuf::refcnt`], [`Mbuf::nb_segs`] and [`Mbuf::port`], from the lowest bit, 16 bits each. Never 0.
    #[inline(always)]
    pub fn layout(&self) -> u64 {
        const HEAD: usize = std::mem::offset_of!(sys::rte_mbuf, data_off);
        const { assert!(HEAD.is_multiple_of(8) && std::mem::offset_of!(sys::rte_mbuf, nb_segs) == HEAD + 4) };
        // SAFETY: the eight bytes from `data_off` on are `data_off`, `refcnt`, `nb_segs` and `port` of the mbuf that self owns,
        // 16 bits each, and lie at a multiple of eight in a structure that begins with a cache line.
        unsafe { *self.0.as_ptr().cast::<u64>().wrapping_add(HEAD / 8) }
    }

    /// Whether a pool takes it back as it is: one segment with one reference, whose buffer is its own.
    #[inline(always)]
    fn is_whole_of(&self, pool: *mut sys::rte_mempool) -> bool {
        const ATTACHED: u64 = sys::DPDK_MBUF_F_INDIRECT | sys::DPDK_MBUF_F_EXTERNAL;
        let raw = self.raw();
        self.is_simple(0) && raw.ol_flags & ATTACHED == 0 && raw.pool == pool
    }

    /// The port that received it, or what [`Mbuf::set_port`] said.
    #[inline]
    pub fn port(&self) -> u16 {
        self.raw().port
    }

    /// Notes a port.
    #[inline]
    pub fn set_port(&mut self, port: u16) {
        self.raw_mut().port = port;
    }

    /// DPDK's flags (`RTE_MBUF_F_*`).
    #[inline]
    pub fn ol_flags(&self) -> u64 {
        self.raw().ol_flags
    }
}

impl Drop for Mbuf {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: self owns the mbuf's one reference and is not used again.
        unsafe { sys::rte_pktmbuf_free(self.0.as_ptr()) };
    }
}

impl fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let raw = self.raw();
        f.debug_struct("Mbuf")
            .field("port", &raw.port)
            .field("pkt_len", &raw.pkt_len)
            .field("nb_segs", &raw.nb_segs)
            .field("head", &raw.data_off)
            .field("ol_flags", &format_args!("{:#x}", raw.ol_flags))
            .finish()
    }
}

/// Asks the CPU for mbufs that another core had, first for all of them, then for the start of their data.
#[inline]
pub fn prefetch_burst<P: Carrier>(burst: &[P]) {
    for mbuf in burst.iter().map(P::peel_ref) {
        prefetch_to_write(mbuf.0.as_ptr().cast());
    }
    for mbuf in burst.iter().map(P::peel_ref) {
        mbuf.prefetch_to_write();
    }
}

#[inline]
fn prefetch_to_write(line: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which no address can make fault; CPUs without it take it for a no-op.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) line, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}

/// Frees all mbufs of a burst at once: cheaper than dropping them one by one. When all are of one pool, and packets of one
/// segment, nothing is read of them but their first cache line.
#[inline]
pub fn free_burst<P: Carrier, const N: usize>(burst: &mut ArrayVec<P, N>) {
    let count = burst.len() as u32;
    let Some(pool) = burst.first().map(|first| P::peel_ref(first).raw().pool) else { return };
    let alike = burst.iter().all(|mbuf| P::peel_ref(mbuf).is_whole_of(pool));
    // SAFETY: no place is dropped twice: from here on the elements belong to one of the calls below.
    unsafe { burst.set_len(0) };
    if alike {
        // SAFETY: the first `count` places hold pointers to mbufs of this pool, which are handed over. Each has one reference,
        // its own buffer, and one segment, behind which DPDK keeps no link: so a pool takes it back as it is.
        unsafe { sys::rte_mempool_put_bulk(pool, raw_burst(burst).cast(), count) };
    } else {
        // SAFETY: the first `count` places hold pointers to mbufs with one reference each, which are handed over.
        unsafe { sys::rte_pktmbuf_free_bulk(raw_burst(burst), count) };
    }
}

/// The places of a burst as DPDK sees them: an array of pointers. A [`Carrier`] has the layout of an [`Mbuf`].
#[inline]
pub(crate) fn raw_burst<P: Carrier, const N: usize>(burst: &mut ArrayVec<P, N>) -> *mut *mut sys::rte_mbuf {
    burst.as_mut_ptr().cast()
}

/// Takes the first `count` mbufs out of the burst without freeing them: somebody else owns them now. The others move up.
///
/// # Safety
/// The first `count` elements were handed over.
#[inline]
pub(crate) unsafe fn forget_front<P: Carrier, const N: usize>(burst: &mut ArrayVec<P, N>, count: usize) {
    let count = count.min(burst.len());
    let rest = burst.len() - count;
    let start = burst.as_mut_ptr().cast::<ManuallyDrop<P>>();
    // SAFETY: both ranges lie within the elements; a Carrier is a plain pointer, as the Mbuf in it.
    unsafe { std::ptr::copy(start.wrapping_add(count), start, rest) };
    // SAFETY: the first `rest` places hold what was moved there; behind them is nothing that anybody owns here.
    unsafe { burst.set_len(rest) };
}
