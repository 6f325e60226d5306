//! `System.Threading.ThreadPool`: the native threads under the class library's queues.

use super::environment::processor_count;
use super::native_text::blocking;
use super::{InternalCall, icall, threads};
use crate::class_library::{KnownMethod, core_class, declared_method};
use crate::domain::{self, Domain, DomainState};
use crate::exceptions::Result;
use crate::invoke;
use il::types::MethodId;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// How long a thread waits for work before it ends.
const IDLE: Duration = Duration::from_secs(15);
/// How often it is looked whether all threads are stuck.
const STARVATION_CHECK: Duration = Duration::from_millis(250);
const DEFAULT_MAXIMUM: i32 = 200;
/// As many threads as a program can ask for.
const LARGEST_MAXIMUM: i32 = 0x7fff;

/// Takes an `IThreadPoolWorkItem`, and whether it goes to the queue of all threads.
pub(super) static QUEUE_WORK_ITEM: KnownMethod = KnownMethod::new("System.Threading", "ThreadPool", "UnsafeQueueCustomWorkItem");

struct Pool {
    /// The domains of the requests that no thread has taken up.
    requests: VecDeque<&'static Domain>,
    workers: i32,
    idle: i32,
    /// Requests taken up since the last check.
    taken: u32,
    is_watched: bool,
    minimum: i32,
    maximum: i32,
}

static POOL: Mutex<Pool> = Mutex::new(Pool {
    requests: VecDeque::new(),
    workers: 0,
    idle: 0,
    taken: 0,
    is_watched: false,
    minimum: 0,
    maximum: DEFAULT_MAXIMUM,
});
static WORK: Condvar = Condvar::new();
/// Pieces of work that programs have queued.
static WORK_ITEMS: AtomicI64 = AtomicI64::new(0);

/// How many pieces of work programs have queued so far.
pub(super) fn work_items() -> i64 {
    WORK_ITEMS.load(Ordering::Relaxed)
}

/// How many threads there are.
pub(super) fn threads() -> i64 {
    i64::from(POOL.lock().workers)
}

impl Pool {
    fn minimum(&self) -> i32 {
        if self.minimum == 0 { processor_count() } else { self.minimum }
    }
}

/// `_ThreadPoolWaitCallback.PerformWaitCallback`, which works off the queues.
fn callback() -> Result<MethodId> {
    declared_method(core_class("System.Threading", "_ThreadPoolWaitCallback")?, "PerformWaitCallback", Some(&[]))
}

fn add_worker(pool: &mut Pool) {
    pool.workers += 1;
    if !threads::spawn(0, work) {
        pool.workers -= 1;
    }
}

fn work() {
    let outcome = threads::become_pool_thread().and_then(|()| callback());
    match outcome {
        Ok(callback) => {
            while let Some(domain) = wait_for_request() {
                if domain.state() == DomainState::Live {
                    work_in(domain, callback);
                }
                threads::forget_abort_if_any();
            }
        }
        Err(exception) => threads::end_with(exception),
    }
    threads::end_pool_thread();
}

/// Works off the queues of a domain.
fn work_in(domain: &'static Domain, callback: MethodId) {
    domain::enter(domain, || {
        let outcome = threads::become_pool_thread().and_then(|()| invoke::call(callback, &[]));
        if let Err(exception) = outcome {
            threads::end_with(exception);
        }
    });
}

/// Waits for work and takes it up; gives its domain. If there is none, or there are too many threads, this one no longer counts.
fn wait_for_request() -> Option<&'static Domain> {
    blocking(|| {
        let mut pool = POOL.lock();
        if pool.workers > pool.maximum {
            pool.workers -= 1;
            return None;
        }
        pool.idle += 1;
        while pool.requests.is_empty() {
            if WORK.wait_for(&mut pool, IDLE).timed_out() && pool.requests.is_empty() {
                pool.idle -= 1;
                pool.workers -= 1;
                return None;
            }
        }
        pool.idle -= 1;
        pool.taken += 1;
        pool.requests.pop_front()
    })
}

/// Adds a thread whenever there is work and nobody took up any for a while: all of them wait for something then.
fn watch() {
    blocking(|| {
        loop {
            std::thread::sleep(STARVATION_CHECK);
            let mut pool = POOL.lock();
            if pool.requests.is_empty() {
                pool.is_watched = false;
                return;
            }
            if std::mem::take(&mut pool.taken) == 0 && pool.workers < pool.maximum {
                add_worker(&mut pool);
            }
        }
    });
}

extern "C" fn request_worker() -> bool {
    let mut pool = POOL.lock();
    pool.requests.push_back(domain::current());
    if pool.idle > 0 {
        WORK.notify_one();
    }
    if pool.requests.len() as i32 > pool.idle {
        if pool.workers < pool.minimum() {
            if pool.workers == 0 {
                // Programs see numbers of threads, and Mono starts the one that watches the pool first.
                threads::fresh_number();
            }
            add_worker(&mut pool);
        } else if !pool.is_watched {
            pool.is_watched = true;
            if !threads::spawn(0, watch) {
                pool.is_watched = false;
            }
        }
    }
    true
}

extern "C" fn initialize(enable_tracking: *mut bool) {
    // SAFETY: the address of the caller's variable.
    unsafe { enable_tracking.write(false) };
}

extern "C" fn yes() -> bool {
    true
}

extern "C" fn nothing() {}

extern "C" fn note_work_item() {
    WORK_ITEMS.fetch_add(1, Ordering::Relaxed);
}

extern "C" fn report_status(_is_working: u8) {}

/// # Safety
/// Both are addresses of the caller's variables.
unsafe fn store(workers: *mut i32, ports: *mut i32, value: i32) {
    // SAFETY: the caller's promise.
    unsafe {
        workers.write(value);
        ports.write(value);
    }
}

extern "C" fn get_minimum(workers: *mut i32, ports: *mut i32) {
    // SAFETY: addresses of the caller's variables.
    unsafe { store(workers, ports, POOL.lock().minimum()) };
}

extern "C" fn get_maximum(workers: *mut i32, ports: *mut i32) {
    // SAFETY: addresses of the caller's variables.
    unsafe { store(workers, ports, POOL.lock().maximum) };
}

extern "C" fn get_available(workers: *mut i32, ports: *mut i32) {
    let pool = POOL.lock();
    // SAFETY: addresses of the caller's variables.
    unsafe { store(workers, ports, (pool.maximum - (pool.workers - pool.idle)).max(0)) };
}

extern "C" fn set_minimum(workers: i32, ports: i32) -> bool {
    let mut pool = POOL.lock();
    let fits = workers > 0 && ports > 0 && workers <= pool.maximum;
    if fits {
        pool.minimum = workers;
    }
    fits
}

extern "C" fn set_maximum(workers: i32, ports: i32) -> bool {
    let mut pool = POOL.lock();
    let fits = workers >= pool.minimum() && ports > 0 && workers >= processor_count();
    if fits {
        pool.maximum = workers.min(LARGEST_MAXIMUM);
    }
    fits
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.Threading.ThreadPool:GetAvailableThreadsNative (int&,int&)", get_available as *const ()),
    icall("System.Threading.ThreadPool:GetMaxThreadsNative (int&,int&)", get_maximum as *const ()),
    icall("System.Threading.ThreadPool:GetMinThreadsNative (int&,int&)", get_minimum as *const ()),
    icall("System.Threading.ThreadPool:InitializeVMTp (bool&)", initialize as *const ()),
    icall("System.Threading.ThreadPool:NotifyWorkItemComplete ()", yes as *const ()),
    icall("System.Threading.ThreadPool:NotifyWorkItemProgressNative ()", nothing as *const ()),
    icall("System.Threading.ThreadPool:NotifyWorkItemQueued ()", note_work_item as *const ()),
    icall("System.Threading.ThreadPool:ReportThreadStatus (bool)", report_status as *const ()),
    icall("System.Threading.ThreadPool:RequestWorkerThread ()", request_worker as *const ()),
    icall("System.Threading.ThreadPool:SetMaxThreadsNative (int,int)", set_maximum as *const ()),
    icall("System.Threading.ThreadPool:SetMinThreadsNative (int,int)", set_minimum as *const ()),
];
