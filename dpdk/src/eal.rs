//! The EAL, DPDK's run time: started once in a process, cleaned up after everything that uses it.
//!
//! [`Eal`] is the token that says it runs. Ports, mempools, rings and huge-page slices hold a reference to the same inner
//! object, so that the order in which DPDK wants to be taken down follows from who refers to whom.

use std::ffi::{CString, c_int};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io};

use dpdk_sys as sys;
use thiserror::Error;

use crate::affinity::CpuSet;
use crate::dump;
use crate::errno::Errno;
use crate::lcore;
use crate::mempool::RetiredPool;

/// Why the EAL did not start.
#[derive(Debug, Error)]
pub enum EalError {
    /// `Eal::init` was called before in this process.
    #[error(
        "the EAL was already started in this process, and DPDK can start only once: keep the first Eal, or restart the program"
    )]
    AlreadyStarted,
    /// No free huge pages, and `--no-huge` is not among the arguments.
    #[error(
        "there are no free huge pages: reserve some (echo 1024 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages), or set no_huge (--no-huge) to do without"
    )]
    NoHugePages,
    /// Huge pages or memory of the size asked for could not be had.
    #[error("the EAL could not get its memory: reserve more huge pages, or ask for less (-m, --socket-mem): {0}")]
    OutOfMemory(Errno),
    /// The process may not do what the EAL needs.
    #[error(
        "the EAL was refused access to memory or devices: run as root, or grant CAP_IPC_LOCK, CAP_NET_RAW, CAP_NET_ADMIN and write access to the huge pages and /dev/vfio: {0}"
    )]
    Permission(Errno),
    /// The EAL rejected an argument.
    #[error(
        "the EAL does not accept its arguments ({arguments}): correct them, its log above names the one that is wrong: {errno}"
    )]
    Arguments {
        /// The arguments, separated by spaces.
        arguments: String,
        /// What the EAL reported.
        errno: Errno,
    },
    /// An argument contains a NUL byte.
    #[error("the EAL argument {0:?} contains a NUL byte: remove it")]
    NulByte(String),
    /// Another primary process runs with the same file prefix.
    #[error("another DPDK program seems to run under the same name: stop it, or give this one its own --file-prefix")]
    Busy,
    /// Any other reason.
    #[error("the EAL did not start: its log above says which part failed: {0}")]
    Failed(Errno),
}

static STARTED: AtomicBool = AtomicBool::new(false);

/// The token that DPDK's run time is up. Cheap to clone: all clones are the same EAL.
///
/// When the last reference goes (that of a port, a mempool, a ring or a huge-page slice included) the EAL is cleaned up, but
/// only on the main lcore, with every other lcore idle and every mbuf back in its pool; in all other cases its memory is
/// left to the end of the process, because somebody may still hold a pointer into it.
#[derive(Clone)]
pub struct Eal {
    pub(crate) inner: Arc<EalInner>,
}

impl Eal {
    /// Starts the EAL with the arguments that follow the program's name, for example `["--no-pci", "--lcores", "0@0,1@1"]`.
    /// Takes 120 to 200 ms, of which 100 ms measure the time stamp counter.
    ///
    /// The calling thread becomes the main lcore and is pinned to that lcore's CPUs, which threads it starts from then on
    /// inherit: start run times and pools of threads before, or call [`Eal::restore_affinity`] in them.
    ///
    /// Standard output goes nowhere meanwhile: the EAL would print a page of usage there when it does not like an argument.
    /// It logs to standard error and syslog; `--log-level` says how much (`--log-level=lib.eal:error`, or
    /// `--log-level=*:error` for all of DPDK).
    ///
    /// # Errors
    /// See [`EalError`]. After a failure the process should end: DPDK does not promise that a second try works.
    pub fn init(args: &[String]) -> Result<Self, EalError> {
        let affinity = CpuSet::current().ok();
        let mut argv = Vec::with_capacity(args.len() + 1);
        for arg in std::iter::once(&"gatun".to_owned()).chain(args) {
            argv.push(CString::new(arg.as_str()).map_err(|_| EalError::NulByte(arg.clone()))?);
        }
        if STARTED.swap(true, Ordering::SeqCst) {
            return Err(EalError::AlreadyStarted);
        }
        // Leaked on purpose: the EAL keeps pointers into its arguments.
        let argv: Vec<_> = argv.into_iter().map(CString::into_raw).collect();
        let argv = argv.leak();
        let silence = Silence::new();
        // SAFETY: argv holds that many writable strings that are never freed, and STARTED makes this the only call.
        let result = unsafe { sys::rte_eal_init(argv.len() as c_int, argv.as_mut_ptr()) };
        let errno = Errno::last();
        drop(silence);
        if result < 0 {
            return Err(explain(errno, args));
        }
        dump::leave_memory_out();
        let inner = EalInner {
            affinity,
            open_devices: Mutex::new(Vec::new()),
            launching: Mutex::new(()),
            registered: AtomicUsize::new(0),
            retired: Mutex::new(Vec::new()),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Lets the calling thread run on every CPU that the process was allowed before [`Eal::init`] pinned the main lcore.
    /// For threads that are no lcores and were started after it. On the main lcore it takes the pin out.
    ///
    /// # Errors
    /// The kernel's error, when it refuses.
    pub fn restore_affinity(&self) -> io::Result<()> {
        self.inner.affinity.as_ref().map_or(Ok(()), CpuSet::apply)
    }

    /// Whether huge pages back DPDK's memory: false under `--no-huge`.
    pub fn has_hugepages(&self) -> bool {
        // SAFETY: reads the configuration of the EAL, which runs as long as self.
        unsafe { sys::rte_eal_has_hugepages() != 0 }
    }
}

impl std::fmt::Debug for Eal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Eal")
    }
}

/// While it lives, standard output goes nowhere.
struct Silence {
    stdout: OwnedFd,
}

impl Silence {
    /// None where there is no standard output, or nowhere to send it to.
    fn new() -> Option<Self> {
        let null = fs::File::options().write(true).open("/dev/null").ok()?;
        io::stdout().flush().ok()?;
        let stdout = io::stdout().as_fd().try_clone_to_owned().ok()?;
        // SAFETY: both are open descriptors; what was standard output stays open as `stdout`.
        let result = unsafe { libc::dup2(null.as_raw_fd(), libc::STDOUT_FILENO) };
        (result >= 0).then_some(Self { stdout })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // SAFETY: flushes every stream of C's standard library, which takes its own locks.
        unsafe { libc::fflush(std::ptr::null_mut()) };
        // SAFETY: both are open descriptors.
        unsafe { libc::dup2(self.stdout.as_raw_fd(), libc::STDOUT_FILENO) };
    }
}

/// What everything that needs the EAL refers to.
pub(crate) struct EalInner {
    affinity: Option<CpuSet>,
    /// Devices that a `Port` of this process has open, by the name that DPDK gives them, and their ports' ids once known.
    pub(crate) open_devices: Mutex<Vec<(String, Option<u16>)>>,
    /// Taken while a function is launched: DPDK expects only one thread to launch.
    pub(crate) launching: Mutex<()>,
    /// Threads that are registered and are no EAL lcores.
    pub(crate) registered: AtomicUsize,
    /// Pools whose last handle went while another thread may have been returning an mbuf.
    retired: Mutex<Vec<RetiredPool>>,
}

impl EalInner {
    /// Whether the calling thread is the only one that can be inside a mempool's or port's code: it is the main lcore, no
    /// other lcore runs a function, no other thread is registered.
    fn is_quiescent(&self) -> bool {
        lcore::is_main() && lcore::workers_idle() && self.registered.load(Ordering::Acquire) == 0
    }

    /// Frees the pool now, if nobody can be returning an mbuf to it; otherwise at the next occasion.
    pub(crate) fn retire(&self, pool: RetiredPool) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.push(pool);
        self.sweep(&mut retired);
    }

    /// Frees what was retired, so that names and memory can be used again.
    pub(crate) fn free_retired(&self) {
        self.sweep(&mut self.retired.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn sweep(&self, retired: &mut Vec<RetiredPool>) {
        if self.is_quiescent() {
            retired.retain_mut(|pool| !pool.free_if_full());
        }
    }
}

impl Drop for EalInner {
    fn drop(&mut self) {
        self.free_retired();
        let pools_out = !self.retired.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if pools_out || !self.is_quiescent() {
            return;
        }
        // SAFETY: the EAL runs; every port, pool, ring and slice held a reference to self and is gone; no other lcore runs.
        let _ = unsafe { sys::rte_eal_cleanup() };
    }
}

fn explain(errno: Errno, args: &[String]) -> EalError {
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    match errno.0 {
        libc::EALREADY => EalError::AlreadyStarted,
        libc::EACCES | libc::ENOMEM | libc::ENOENT if !has("--no-huge") && free_huge_pages() == Some(0) => {
            EalError::NoHugePages
        }
        libc::ENOMEM => EalError::OutOfMemory(errno),
        libc::EACCES | libc::EPERM => EalError::Permission(errno),
        libc::EINVAL | libc::EFAULT | libc::ENODEV => EalError::Arguments { arguments: args.join(" "), errno },
        libc::EAGAIN | libc::EBUSY => EalError::Busy,
        // DPDK sets no errno when it fails to lock its shared configuration, and fails this early for little else.
        0 if !has("--no-shconf") && !has("--in-memory") => EalError::Busy,
        _ => EalError::Failed(errno),
    }
}

/// Free huge pages of all sizes; `None` when the kernel does not say.
fn free_huge_pages() -> Option<u64> {
    let mut free = 0;
    for size in fs::read_dir(Path::new("/sys/kernel/mm/hugepages")).ok()? {
        let count = fs::read_to_string(size.ok()?.path().join("free_hugepages")).ok()?;
        free += count.trim().parse::<u64>().ok()?;
    }
    Some(free)
}

/// A pointer to an object of DPDK's that any thread may use.
pub(crate) struct Shared<T>(pub(crate) NonNull<T>);

// SAFETY: only wrapped around objects that DPDK documents as usable from every thread (mempools, rings).
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

/// A name as DPDK wants it; `None` if it contains a NUL byte.
pub(crate) fn c_name(name: &str) -> Option<CString> {
    CString::new(name).ok()
}
