//! Aborting threads as the class library sees it: `Thread.Abort` with what it was given, aborts at the end of an application domain and at that of the
//! process. How the exception gets into a thread: [`crate::abort`].

use super::{
    ABORT_STATE, LIVE, Record, STATE_ABORT_REQUESTED, STATE_ABORTED, STATE_STOPPED, STATE_SUSPENDED, STATE_UNSTARTED, class,
    current_number, current_record, current_thread, internal_of, own_internals, record_of, state_of, wake_waiting,
};
use crate::domain::{Domain, DomainState};
use crate::exceptions::{Exception, Result};
use crate::gc::{self, HandleKind, Suspender};
use crate::icalls::{raising, remoting, wait_handles};
use crate::object::ObjectRef;
use crate::{abort, casts};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The threads in domains but the root one; a thread may be in several, or in one several times.
static VISITORS: Mutex<Vec<(i32, Arc<Record>)>> = Mutex::new(Vec::new());

/// How long a process that ends waits for background threads that have been aborted, and for those that do not hear of it.
const FINAL_ABORT_TIME: Duration = Duration::from_secs(5);
const HEARING_TIME: Duration = Duration::from_millis(50);

/// How long a domain that is unloaded waits for its threads.
const DOMAIN_ABORT_TIME: Duration = Duration::from_secs(60);

/// The current thread enters a domain.
pub fn note_entry(domain: &Domain) {
    if !domain.is_root() {
        VISITORS.lock().push((domain.id, current_record()));
    }
}

/// The current thread leaves a domain.
pub fn note_exit(domain: &Domain) {
    if domain.is_root() {
        return;
    }
    let record = current_record();
    let mut visitors = VISITORS.lock();
    if let Some(index) = visitors.iter().rposition(|(id, visitor)| *id == domain.id && Arc::ptr_eq(visitor, &record)) {
        visitors.swap_remove(index);
    }
    drop(visitors);
    if domain.state() != DomainState::Live {
        wait_handles::wake_watchers();
    }
}

/// Whether the current thread was aborted because of a domain's end. Outside of the domain the abort is over.
pub fn end_abort_of(domain: &Domain) -> bool {
    let record = current_record();
    let was_aborted = record.leaving.compare_exchange(domain.id, 0, Ordering::AcqRel, Ordering::Acquire).is_ok();
    if was_aborted {
        forget_abort();
    }
    was_aborted
}

/// Aborts all other threads in a domain and waits until they have left it.
pub fn abort_in_domain(domain: &Domain) -> Result<()> {
    let own = current_record();
    let others = || -> Vec<Arc<Record>> {
        let visitors = VISITORS.lock();
        let inside = visitors.iter().filter(|(id, visitor)| *id == domain.id && !Arc::ptr_eq(visitor, &own));
        inside.map(|(_, visitor)| visitor.clone()).collect()
    };
    if VISITORS.lock().iter().any(|(id, visitor)| *id == domain.id && Arc::ptr_eq(visitor, &own)) {
        own.leaving.store(domain.id, Ordering::Release);
    }
    abort::install();
    for thread in others() {
        thread.leaving.store(domain.id, Ordering::Release);
        thread.abortable.request();
    }
    wake_waiting();
    let deadline = Instant::now() + DOMAIN_ABORT_TIME;
    let left = wait_handles::wait_until(Some(deadline), || others().is_empty().then_some(()));
    match left {
        Ok(Some(())) => Ok(()),
        _ => {
            let message = format!("Aborting of threads in domain {} timed out.", domain.name.read());
            Err(Exception::new("System", "CannotUnloadAppDomainException", message))
        }
    }
}

/// Whether an exception is that of an aborted thread.
pub fn is_abort(exception: ObjectRef) -> bool {
    class("ThreadAbortException").is_ok_and(|abort| casts::is_assignable(exception.type_id(), abort))
}

/// Calls off that the current thread, which goes on with other work, is aborted.
fn forget_abort() {
    abort::reset();
    if let Some(internal) = current_thread().ok().and_then(|thread| internal_of(thread).ok()) {
        state_of(internal).fetch_and(!STATE_ABORT_REQUESTED, Ordering::AcqRel);
    }
}

/// Likewise, if it is.
pub fn forget_abort_if_any() {
    if abort::is_in_progress() {
        forget_abort();
    }
}

/// Aborts all background threads and waits for their ends: what a process does at its own. One that is in native code and does not hear of
/// it is not waited for.
pub fn abort_background_threads() {
    let own = current_number();
    let is_other = |record: &&Arc<Record>| record.number != own && record.background.load(Ordering::Acquire);
    let threads: Vec<Arc<Record>> = LIVE.lock().iter().filter(is_other).cloned().collect();
    if threads.is_empty() {
        return;
    }
    abort::install();
    for thread in &threads {
        thread.abortable.request();
    }
    wake_waiting();
    let begin = Instant::now();
    while begin.elapsed() < FINAL_ABORT_TIME {
        let hears = |record: &&Arc<Record>| begin.elapsed() < HEARING_TIME || !record.abortable.is_pending();
        let is_over = || threads.iter().filter(hears).all(|record| record.finished.load(Ordering::Acquire)).then_some(());
        let over = wait_handles::wait_until(Some(Instant::now() + HEARING_TIME), is_over);
        if !matches!(over, Ok(None)) {
            return;
        }
    }
}

pub(super) extern "C" fn abort(internal: ObjectRef, state: ObjectRef) {
    raising(|| {
        let internal = internal.check()?;
        let record = record_of(internal)?;
        if state_of(internal).load(Ordering::Acquire) & STATE_UNSTARTED != 0 {
            state_of(internal).fetch_or(STATE_ABORTED, Ordering::AcqRel);
            return Ok(());
        }
        let flags = state_of(internal).fetch_or(STATE_ABORT_REQUESTED, Ordering::AcqRel);
        let is_own = record.number == current_number();
        if flags & (STATE_ABORT_REQUESTED | STATE_STOPPED) != 0 && !is_own {
            return Ok(());
        }
        if !state.is_null() {
            forget_abort_state(internal);
            ABORT_STATE.set(internal, gc::allocate_handle(state.raw().cast(), HandleKind::Normal) as i32);
        }
        if is_own {
            return Err(abort::exception());
        }
        abort::install();
        record.abortable.request();
        if flags & STATE_SUSPENDED != 0 {
            // It has to run for that.
            state_of(internal).fetch_and(!STATE_SUSPENDED, Ordering::AcqRel);
            record.abortable.with_thread(|thread| thread.shared_heap().resume(Suspender::Program));
        }
        wake_waiting();
        Ok(())
    })
}

/// Frees the object that was given to `Thread.Abort`.
fn forget_abort_state(internal: ObjectRef) {
    gc::free_handle(ABORT_STATE.get::<i32>(internal) as usize);
    ABORT_STATE.set(internal, 0);
}

pub(super) extern "C" fn reset_abort(this: ObjectRef) {
    raising(|| {
        let internal = internal_of(this)?;
        if record_of(internal)?.leaving.load(Ordering::Acquire) != 0 {
            // A thread has to leave a domain that is being unloaded.
            return Ok(());
        }
        let flags = state_of(internal).fetch_and(!STATE_ABORT_REQUESTED, Ordering::AcqRel);
        if flags & STATE_ABORT_REQUESTED == 0 && !abort::is_in_progress() {
            let message = "Unable to reset abort because no abort was requested";
            return Err(Exception::new("System.Threading", "ThreadStateException", message));
        }
        own_internals().for_each(forget_abort_state);
        abort::reset();
        Ok(())
    })
}

pub(super) extern "C" fn abort_exception_state(this: ObjectRef) -> ObjectRef {
    raising(|| {
        // The thread may have been aborted in another domain, where another object stands for it.
        let own = internal_of(this)?;
        let internals = std::iter::once(own).chain(own_internals());
        let handle = internals.map(|internal| ABORT_STATE.get::<i32>(internal)).find(|&handle| handle != 0).unwrap_or(0);
        // SAFETY: null or the target of a handle.
        let state = unsafe { ObjectRef::from_raw(gc::handle_target(handle as usize).cast()) };
        remoting::pass_from_its_domain(state)
    })
}
