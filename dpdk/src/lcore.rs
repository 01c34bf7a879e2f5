//! Lcores: which there are, what runs on them, and threads of other origin that want to be one.

use std::any::Any;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use dpdk_sys as sys;
use thiserror::Error;

use crate::eal::{Eal, EalInner};
use crate::errno::Errno;

/// The number of an lcore, as `--lcores` gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LcoreId(pub u32);

impl fmt::Display for LcoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One of the EAL's lcores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lcore {
    /// Its number.
    pub id: LcoreId,
    /// The CPUs its thread may run on.
    pub cpus: Vec<usize>,
    /// The NUMA socket of those CPUs; `None` when they belong to several.
    pub socket: Option<u32>,
    /// Whether this is the lcore that started the EAL. Nothing can be launched on it.
    pub is_main: bool,
}

/// Why nothing was launched on an lcore, or no result came back, or a thread was not registered.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// No lcore of that number.
    #[error("lcore {0} does not exist: name it in --lcores")]
    Unknown(LcoreId),
    /// The main lcore runs the code that starts the EAL.
    #[error("lcore {0} is the main lcore, which runs the program itself: launch on another one")]
    Main(LcoreId),
    /// A function still runs there.
    #[error("lcore {0} is busy: join what runs there first")]
    Busy(LcoreId),
    /// The EAL could not reach the lcore's thread.
    #[error("lcore {0} could not be started: this is a fault of the system, restart the program: {1}")]
    Failed(LcoreId, Errno),
    /// The function panicked.
    #[error("the function on lcore {0} panicked, see the message above: {1}")]
    Panicked(LcoreId, String),
    /// All lcore ids are taken, or the thread is an lcore already.
    #[error(
        "this thread could not be registered as an lcore: it is one already, or all ids are taken (give fewer lcores): {0}"
    )]
    Register(Errno),
}

/// The lcore that the calling thread is; `None` for threads that are neither an EAL lcore nor registered.
#[inline]
pub fn current_lcore() -> Option<LcoreId> {
    // SAFETY: reads a thread-local of the calling thread.
    let id = unsafe { sys::rte_lcore_id() };
    (id != sys::DPDK_LCORE_ID_ANY).then_some(LcoreId(id))
}

impl Eal {
    /// All EAL lcores, the main one included, by rising number.
    pub fn lcores(&self) -> Vec<Lcore> {
        let main = main_lcore();
        ids().map(|id| Lcore { id, cpus: cpus(id), socket: socket(id), is_main: id == main }).collect()
    }

    /// Runs `run` on an idle lcore other than the main one.
    ///
    /// The handle may be dropped; the function then runs on by itself. Join it before the last [`Eal`] is dropped.
    ///
    /// # Errors
    /// [`LaunchError::Unknown`], [`LaunchError::Main`], [`LaunchError::Busy`] or [`LaunchError::Failed`].
    pub fn launch<F>(&self, lcore: LcoreId, run: F) -> Result<LaunchHandle, LaunchError>
    where
        F: FnOnce() -> i32 + Send + 'static,
    {
        if !ids().any(|id| id == lcore) {
            return Err(LaunchError::Unknown(lcore));
        }
        if lcore == main_lcore() {
            return Err(LaunchError::Main(lcore));
        }
        let outcome = Arc::new(Outcome { result: Mutex::new(None), done: Condvar::new() });
        let task = Box::new(Task { run: Box::new(run), outcome: outcome.clone(), eal: self.inner.clone() });
        let argument = Box::into_raw(task);
        let launching = self.inner.launching.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the lcore exists and is not the main one, nobody else launches; `trampoline` takes the box over if the launch succeeds.
        let result = unsafe { sys::rte_eal_remote_launch(Some(trampoline), argument.cast(), lcore.0) };
        drop(launching);
        if let Err(errno) = Errno::check(result) {
            // SAFETY: the launch failed, so the box that into_raw gave out is still ours alone.
            drop(unsafe { Box::from_raw(argument) });
            return Err(if errno.0 == libc::EBUSY {
                LaunchError::Busy(lcore)
            } else {
                LaunchError::Failed(lcore, errno)
            });
        }
        Ok(LaunchHandle { lcore, outcome, _eal: self.inner.clone() })
    }

    /// Makes the calling thread an lcore, so that it has a cache in each mempool. Its CPUs stay as they are.
    ///
    /// # Errors
    /// [`LaunchError::Register`].
    pub fn register_thread(&self) -> Result<RegisteredThread, LaunchError> {
        if current_lcore().is_some() {
            return Err(LaunchError::Register(Errno(libc::EINVAL)));
        }
        self.inner.registered.fetch_add(1, Ordering::AcqRel);
        // SAFETY: the EAL runs, and this thread is no lcore yet.
        let result = unsafe { sys::rte_thread_register() };
        if result < 0 {
            self.inner.registered.fetch_sub(1, Ordering::AcqRel);
            return Err(LaunchError::Register(Errno::last()));
        }
        Ok(RegisteredThread { eal: self.inner.clone(), here: PhantomData })
    }
}

/// A function that was launched on an lcore.
pub struct LaunchHandle {
    lcore: LcoreId,
    outcome: Arc<Outcome>,
    _eal: Arc<EalInner>,
}

impl LaunchHandle {
    /// Where it runs.
    pub fn lcore(&self) -> LcoreId {
        self.lcore
    }

    /// Whether the function has not returned yet. Does not wait.
    pub fn is_running(&self) -> bool {
        self.outcome.result.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Sleeps until the function has returned, and gives its result. The lcore is idle afterwards.
    ///
    /// # Errors
    /// [`LaunchError::Panicked`].
    pub fn join(self) -> Result<i32, LaunchError> {
        let mut result = self.outcome.result.lock().unwrap_or_else(PoisonError::into_inner);
        let result = loop {
            match result.take() {
                Some(result) => break result,
                None => result = self.outcome.done.wait(result).unwrap_or_else(PoisonError::into_inner),
            }
        };
        // SAFETY: the lcore exists. Its function is done, so this spins for the few instructions until the lcore says so.
        unsafe { sys::rte_eal_wait_lcore(self.lcore.0) };
        result.map_err(|message| LaunchError::Panicked(self.lcore, message))
    }
}

/// While it lives, its thread is an lcore. Drop it on the thread that it was made on; it cannot leave it.
pub struct RegisteredThread {
    eal: Arc<EalInner>,
    here: PhantomData<*const ()>,
}

impl Drop for RegisteredThread {
    fn drop(&mut self) {
        // SAFETY: the type is not Send, so this is the thread that was registered.
        unsafe { sys::rte_thread_unregister() };
        self.eal.registered.fetch_sub(1, Ordering::AcqRel);
        let _ = self.here;
    }
}

/// Where a launched function leaves its result, or the message of its panic.
struct Outcome {
    result: Mutex<Option<Result<i32, String>>>,
    done: Condvar,
}

struct Task {
    run: Box<dyn FnOnce() -> i32 + Send>,
    outcome: Arc<Outcome>,
    /// Keeps the EAL up while the function runs.
    eal: Arc<EalInner>,
}

unsafe extern "C" fn trampoline(argument: *mut c_void) -> c_int {
    // SAFETY: `launch` passes a box of its own making, once.
    let task = unsafe { Box::from_raw(argument.cast::<Task>()) };
    let Task { run, outcome, eal } = *task;
    let result = catch_unwind(AssertUnwindSafe(run)).map_err(message);
    // Before the result is out: whoever joins may then drop the last reference on the main lcore.
    drop(eal);
    *outcome.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    outcome.done.notify_all();
    0
}

fn message(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast_ref::<&str>() {
        Some(text) => (*text).to_owned(),
        None => panic.downcast_ref::<String>().cloned().unwrap_or_default(),
    }
}

/// Whether the calling thread is the main lcore.
pub(crate) fn is_main() -> bool {
    current_lcore() == Some(main_lcore())
}

/// Whether no lcore but the main one runs a function.
pub(crate) fn workers_idle() -> bool {
    let main = main_lcore();
    ids().filter(|&id| id != main).all(|id| {
        // SAFETY: the id is that of an EAL lcore.
        let state = unsafe { sys::rte_eal_get_lcore_state(id.0) };
        state == sys::WAIT
    })
}

fn main_lcore() -> LcoreId {
    // SAFETY: reads the configuration of the EAL, which is static memory.
    LcoreId(unsafe { sys::rte_get_main_lcore() })
}

fn ids() -> impl Iterator<Item = LcoreId> {
    let next = |after: u32| {
        // SAFETY: reads the configuration of the EAL; any number is accepted, u32::MAX being "from the start".
        let id = unsafe { sys::rte_get_next_lcore(after, 0, 0) };
        (id < sys::RTE_MAX_LCORE).then_some(id)
    };
    std::iter::successors(next(u32::MAX), move |&id| next(id)).map(LcoreId)
}

fn cpus(id: LcoreId) -> Vec<usize> {
    // SAFETY: the id is that of an EAL lcore; the set is returned by value.
    let set = unsafe { sys::rte_lcore_cpuset(id.0) };
    let words = set.__bits.iter().enumerate();
    words
        .flat_map(|(word, &bits)| (0..u64::BITS).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| (word, bit)))
        .map(|(word, bit)| word * u64::BITS as usize + bit as usize)
        .collect()
}

fn socket(id: LcoreId) -> Option<u32> {
    // SAFETY: the id is that of an EAL lcore.
    let socket = unsafe { sys::rte_lcore_to_socket_id(id.0) };
    (socket as i32 != sys::DPDK_SOCKET_ID_ANY).then_some(socket)
}
