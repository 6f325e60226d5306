//! Objects with finalisers: known from their allocation, queued when nothing else reaches them.

use mmtk::util::{Address, ObjectReference};
use mmtk::vm::slot::SimpleSlot;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

struct Finalizers {
    /// Objects whose finaliser is to run some day.
    registered: Vec<usize>,
    /// Unreachable ones, kept alive until their finaliser ran. Boxed for the sake of stable slots.
    ready: VecDeque<Box<usize>>,
    /// Those of them whose turn comes after all others.
    last: VecDeque<Box<usize>>,
    /// Registrations since the last collection.
    fresh: usize,
}

/// So many registrations bring about a collection of young objects: what finalisers free is seldom the heap's.
const MANY_FRESH: usize = 1 << 16;

static NOTICE: OnceLock<fn()> = OnceLock::new();
/// The running collection queued objects.
static QUEUED: AtomicBool = AtomicBool::new(false);
static FINALIZERS: Mutex<Finalizers> =
    Mutex::new(Finalizers { registered: Vec::new(), ready: VecDeque::new(), last: VecDeque::new(), fresh: 0 });

/// Notes that the finaliser of `object` is to run when it becomes unreachable. Says whether there were so many that a collection is due.
pub fn register_finalizer(object: *mut u8) -> bool {
    let mut finalizers = FINALIZERS.lock();
    finalizers.registered.push(object as usize);
    finalizers.fresh += 1;
    finalizers.fresh > MANY_FRESH
}

/// `GC.SuppressFinalize`.
pub fn suppress_finalizer(object: *mut u8) {
    let registered = &mut FINALIZERS.lock().registered;
    if let Some(index) = registered.iter().rposition(|&known| known == object as usize) {
        registered.swap_remove(index);
    }
}

/// The next object whose finaliser is due; those of which `is_last` says so come after all others. From here on only the caller's stack
/// keeps it.
pub fn take_finalizable(is_last: impl Fn(*mut u8) -> bool) -> Option<*mut u8> {
    let mut finalizers = FINALIZERS.lock();
    while let Some(object) = finalizers.ready.pop_front() {
        let address = *object as *mut u8;
        if !is_last(address) {
            return Some(address);
        }
        finalizers.last.push_back(object);
    }
    finalizers.last.pop_front().map(|object| *object as *mut u8)
}

/// Queues all objects with finalisers, reachable or not: first those of which `is_first` says so, and the younger before the older.
pub fn queue_all_finalizers(is_first: impl Fn(*mut u8) -> bool) {
    let mut finalizers = FINALIZERS.lock();
    let registered = std::mem::take(&mut finalizers.registered);
    let (first, last): (Vec<usize>, Vec<usize>) = registered.into_iter().rev().partition(|&object| is_first(object as *mut u8));
    finalizers.ready.extend(first.into_iter().chain(last).map(Box::new));
}

/// Queues the objects with finalisers of which `is_wanted` says so, reachable or not, the younger before the older.
pub fn queue_finalizers(is_wanted: impl Fn(*mut u8) -> bool) {
    let mut finalizers = FINALIZERS.lock();
    let registered = std::mem::take(&mut finalizers.registered);
    let (wanted, others): (Vec<usize>, Vec<usize>) = registered.into_iter().partition(|&object| is_wanted(object as *mut u8));
    finalizers.registered = others;
    finalizers.ready.extend(wanted.into_iter().rev().map(Box::new));
}

/// Asks for the notice after the next collection, even if that queues no objects.
pub fn expect_notice() {
    QUEUED.store(true, Ordering::Relaxed);
}

/// Sets what is called after a collection that queued objects; it is called by a collector thread while the others run again.
pub fn set_finalization_notice(notice: fn()) {
    let _ = NOTICE.set(notice);
}

/// After the threads go on: gives the notice if objects were queued.
pub(super) fn notify() {
    if QUEUED.swap(false, Ordering::Relaxed) {
        if let Some(notice) = NOTICE.get() {
            notice();
        }
    }
}

/// Slots of the queue.
pub(super) fn queue_roots() -> Vec<SimpleSlot> {
    let slot = |object: &mut Box<usize>| SimpleSlot::from_address(Address::from_mut_ptr(&raw mut **object));
    let finalizers = &mut *FINALIZERS.lock();
    finalizers.ready.iter_mut().chain(&mut finalizers.last).map(slot).collect()
}

/// After tracing: queues what is unreachable, tracing it with `trace`, and follows the rest. Says whether anything was queued.
pub(super) fn queue_unreachable(mut trace: impl FnMut(ObjectReference) -> ObjectReference) -> bool {
    let mut finalizers = FINALIZERS.lock();
    let registered = std::mem::take(&mut finalizers.registered);
    finalizers.fresh = 0;
    let mut queued = false;
    for address in registered {
        // SAFETY: a plain number; registered addresses are objects.
        let Some(object) = ObjectReference::from_raw_address(unsafe { Address::from_usize(address) }) else { continue };
        if object.is_reachable() {
            let object = object.get_forwarded_object().unwrap_or(object);
            finalizers.registered.push(object.to_raw_address().as_usize());
        } else {
            queued = true;
            finalizers.ready.push_back(Box::new(trace(object).to_raw_address().as_usize()));
        }
    }
    QUEUED.fetch_or(queued, Ordering::Relaxed);
    queued
}
