//! `System.Threading.Thread`: thread objects, starting and ending threads, sleeping, joining, interrupting.

mod aborts;
mod names;
mod traces;

pub use aborts::{abort_background_threads, is_abort, note_entry, note_exit};
pub(super) use aborts::{abort_in_domain, end_abort_of, forget_abort_if_any};
pub use traces::{ThreadTrace, all_traces, own_trace};

use super::native_text::blocking;
use super::{InternalCall, icall, raising, wait_handles};
use crate::abort::Abortable;
use crate::class_library::core_class;
use crate::domain::{self, DomainState};
use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::gc::{self, HandleKind, Suspender};
use crate::invoke::{self, Argument};
use crate::method_table::method_table;
use crate::object::{self, ArrayRef, ObjectRef};
use crate::thread::{ROOT_MANAGED_THREAD, Thread};
use crate::{abort, delegates, exceptions, monitor, runtime, stack_guard, unhandled};
use il::types::TypeId;
use parking_lot::Mutex;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Stack of a thread that asks for no size, in bytes: as for C on 64 bits, and where addresses are rare twice what Mono gives.
const DEFAULT_STACK: usize = if cfg!(target_pointer_width = "64") { 8 << 20 } else { 2 << 20 };
/// `ThreadPriority.Normal`
const NORMAL_PRIORITY: i32 = 2;

/// `System.Threading.ApartmentState`
const SINGLE_THREADED: u8 = 0;
const MULTI_THREADED: u8 = 1;
const UNKNOWN_APARTMENT: u8 = 2;

/// Bits of `System.Threading.ThreadState`.
const STATE_BACKGROUND: i32 = 4;
const STATE_UNSTARTED: i32 = 8;
const STATE_STOPPED: i32 = 16;
const STATE_WAIT_SLEEP_JOIN: i32 = 32;
const STATE_SUSPENDED: i32 = 64;
const STATE_ABORT_REQUESTED: i32 = 128;
const STATE_ABORTED: i32 = 256;

static INTERNAL: KnownField = KnownField::new("System.Threading", "Thread", "internal_thread");
static START_ARGUMENT: KnownField = KnownField::new("System.Threading", "Thread", "m_ThreadStartArg");

const fn internal_field(name: &'static str) -> KnownField {
    KnownField::new("System.Threading", "InternalThread", name)
}

static RECORD: KnownField = internal_field("handle");
static STATE: KnownField = internal_field("state");
static THREAD_ID: KnownField = internal_field("thread_id");
static MANAGED_ID: KnownField = internal_field("managed_id");
static POOL_THREAD: KnownField = internal_field("threadpool_thread");
static PRIORITY: KnownField = internal_field("priority");
static STACK_SIZE: KnownField = internal_field("stack_size");
static ABORT_STATE: KnownField = internal_field("abort_state_handle");
static APARTMENT: KnownField = internal_field("apartment_state");

/// What ends a wait before its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interruption {
    /// `Thread.Interrupt`
    Interrupted,
    /// `Thread.Abort`
    Aborted,
}

/// The part of a thread that other threads reach, as long as somebody knows it.
struct Record {
    number: u64,
    finished: AtomicBool,
    background: AtomicBool,
    interrupt: AtomicBool,
    abortable: Arc<Abortable>,
    /// Number of the domain because of whose end the thread is aborted, or 0.
    leaving: AtomicI32,
    /// The `ApartmentState` of a thread that no object stands for yet.
    apartment: AtomicU8,
}

const MAIN_NUMBER: u64 = 1;
/// Programs see these numbers, and on Mono the second is that of the thread that runs finalisers.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(3);
/// Threads that were started and have not ended.
static LIVE: Mutex<Vec<Arc<Record>>> = Mutex::new(Vec::new());
/// Threads that run managed code, whoever started them; some may have ended.
static ATTACHED: Mutex<Vec<Weak<Record>>> = Mutex::new(Vec::new());

thread_local! {
    static CURRENT: RefCell<Option<Arc<Record>>> = const { RefCell::new(None) };
}

impl Record {
    fn new(number: u64) -> Arc<Record> {
        Arc::new(Record {
            number,
            finished: AtomicBool::new(false),
            background: AtomicBool::new(false),
            interrupt: AtomicBool::new(false),
            abortable: Arc::default(),
            leaving: AtomicI32::new(0),
            apartment: AtomicU8::new(MULTI_THREADED),
        })
    }
}

/// A number that no thread has had.
pub(super) fn fresh_number() -> u64 {
    NEXT_NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// From now on a thread is among those that run managed code. Those that native code made may have ended without a word.
fn note_attached(record: &Arc<Record>) {
    let mut attached = ATTACHED.lock();
    attached.retain(|record| record.strong_count() != 0);
    attached.push(Arc::downgrade(record));
}

/// The current thread's record, made at the first use.
fn current_record() -> Arc<Record> {
    let new = || {
        // SAFETY: no memory is involved.
        let is_main = unsafe { libc::gettid() == libc::getpid() };
        let record = Record::new(if is_main { MAIN_NUMBER } else { fresh_number() });
        record.abortable.begin();
        note_attached(&record);
        record
    };
    CURRENT.with(|current| current.borrow_mut().get_or_insert_with(new).clone())
}

/// How long it takes at most until a thread that is suspended is asked again whether it stands.
const SUSPENSION_PAUSE: Duration = Duration::from_micros(50);
/// The current thread's number, never 0.
pub(super) fn current_number() -> u64 {
    current_record().number
}

/// What is to end the current thread's wait, if anything; it is taken back by that.
pub fn take_interruption() -> Option<Interruption> {
    let record = current_record();
    if abort::is_due() {
        return Some(Interruption::Aborted);
    }
    if record.interrupt.swap(false, Ordering::AcqRel) { Some(Interruption::Interrupted) } else { None }
}

fn state_of(internal: ObjectRef) -> &'static AtomicI32 {
    internal.header();
    // SAFETY: a 32-bit field of a live object, which the caller's reference keeps in place while it uses the result at once.
    unsafe { &*internal.at::<AtomicI32>(STATE.offset()) }
}

fn record_of(internal: ObjectRef) -> Result<&'static Record> {
    let record: *const Record = RECORD.get(internal.check()?);
    // SAFETY: the field holds null or a counted pointer that lives as long as the object, whose reference the caller keeps.
    unsafe { record.as_ref() }
        .ok_or_else(|| Exception::new("System.Threading", "ThreadStateException", "Thread has not been created."))
}

fn internal_of(thread: ObjectRef) -> Result<ObjectRef> {
    INTERNAL.get::<ObjectRef>(thread.check()?).check()
}

fn class(name: &str) -> Result<TypeId> {
    core_class("System.Threading", name)
}

/// A new `InternalThread` for a record.
fn new_internal(record: Arc<Record>) -> Result<ObjectRef> {
    let internal = object::allocate(method_table(class("InternalThread")?)?)?;
    THREAD_ID.set(internal, record.number as i64);
    MANAGED_ID.set(internal, record.number as i32);
    PRIORITY.set(internal, NORMAL_PRIORITY);
    RECORD.set(internal, Arc::into_raw(record));
    Ok(internal)
}

/// Interrupts a system call that a thread may be in.
pub(super) fn disturb(thread: ObjectRef) -> Result<()> {
    record_of(internal_of(thread)?)?.abortable.disturb();
    Ok(())
}

/// The current thread's `Thread` object, made at the first use.
fn current_thread() -> Result<ObjectRef> {
    let known = Thread::current().root(ROOT_MANAGED_THREAD);
    if !known.is_null() {
        return Ok(known);
    }
    let record = current_record();
    if Thread::current().abortable.is_none() {
        // The native thread has been attached before.
        record.abortable.begin();
    }
    let new = new_thread(record)?;
    // Another thread may have done the same, while this one stood because of a collection.
    let known = Thread::current().root(ROOT_MANAGED_THREAD);
    if !known.is_null() {
        return Ok(known);
    }
    Thread::current().set_root(ROOT_MANAGED_THREAD, new);
    Ok(new)
}

/// A `Thread` object for a thread that runs.
fn new_thread(record: Arc<Record>) -> Result<ObjectRef> {
    let apartment = record.apartment.load(Ordering::Relaxed);
    let internal = new_internal(record)?;
    APARTMENT.set(internal, apartment);
    let thread = object::allocate(method_table(class("Thread")?)?)?;
    INTERNAL.set_ref(thread, internal);
    Ok(thread)
}

/// The current thread is about to run a `Main` with or without `STAThread`.
pub fn enter_main(is_single_threaded: bool) {
    let apartment = if is_single_threaded { SINGLE_THREADED } else { MULTI_THREADED };
    current_record().apartment.store(apartment, Ordering::Relaxed);
    for internal in own_internals() {
        APARTMENT.set(internal, apartment);
    }
}

extern "C" fn get_current_thread() -> ObjectRef {
    raising(current_thread)
}

extern "C" fn construct_internal_thread(this: ObjectRef) {
    raising(|| {
        let this = this.check()?;
        let internal = new_internal(Record::new(fresh_number()))?;
        STATE.set(internal, STATE_UNSTARTED);
        APARTMENT.set(internal, UNKNOWN_APARTMENT);
        INTERNAL.set_ref(this, internal);
        Ok(())
    })
}

extern "C" fn free_internal_thread(this: ObjectRef) {
    let record: *const Record = RECORD.get(this);
    RECORD.set(this, std::ptr::null::<Record>());
    names::forget(this);
    if !record.is_null() {
        // SAFETY: the object owned one count, and gives it up here.
        drop(unsafe { Arc::from_raw(record) });
    }
}

/// Starts a native thread that is attached to the runtime while it runs `body`. Size 0 is the usual stack. Says whether it started.
pub(super) fn spawn(stack_bytes: usize, body: impl FnOnce() + Send + 'static) -> bool {
    let size = if stack_bytes == 0 { DEFAULT_STACK } else { stack_bytes.max(256 << 10) } + stack_guard::ROOM;
    let run = move || {
        Thread::attach_until_exit();
        body();
        Thread::end_attachment();
    };
    std::thread::Builder::new().stack_size(size).spawn(run).is_ok()
}

/// A reference on its way to another thread.
struct Parcel(usize);

impl Parcel {
    fn new(object: ObjectRef) -> Parcel {
        Parcel(gc::allocate_handle(object.raw().cast(), HandleKind::Normal))
    }

    fn open(self) -> ObjectRef {
        // SAFETY: the handle keeps its target; from here on the caller's stack does.
        let object = unsafe { ObjectRef::from_raw(gc::handle_target(self.0).cast()) };
        gc::free_handle(self.0);
        object
    }
}

fn is_unloaded_domain(exception: ObjectRef) -> bool {
    exceptions::class_name(exception) == "System.AppDomainUnloadedException"
}

/// Exit code after an exception that nothing in a thread of the runtime's own handled: of the thread pool, or that of finalisers.
const UNHANDLED_BY_RUNTIME: i32 = 255;

/// What becomes of an exception that nothing in a thread of the runtime's own handles.
pub fn end_with(exception: Exception) {
    let exception = exception.into_object();
    if !is_abort(exception) && !is_unloaded_domain(exception) {
        unhandled::report_and_exit_with(exception, UNHANDLED_BY_RUNTIME);
    }
}

/// What becomes of an exception that nothing in a thread of the program handles.
fn end_thread_with(exception: Exception) {
    let exception = exception.into_object();
    match is_abort(exception) {
        true => {}
        false if is_unloaded_domain(exception) => unhandled::report_quietly_and_exit(exception),
        false => unhandled::report_and_exit(exception),
    }
}

/// What becomes of an exception that `Main` does not handle.
pub fn end_main_with(exception: Exception) -> ! {
    let exception = exception.into_object();
    match is_abort(exception) {
        true => unhandled::report_quietly_and_exit(exception),
        false => unhandled::report_and_exit(exception),
    }
}

fn run_start(delegate: ObjectRef, argument: ObjectRef) -> Result<()> {
    let method = delegates::invoke_method(delegate.type_id())?;
    let takes_argument = !runtime().types.method_signature(method)?.params.is_empty();
    let arguments = [Argument::reference(delegate), Argument::reference(argument)];
    invoke::call(method, &arguments[..1 + usize::from(takes_argument)]).map(|_| ())
}

extern "C" fn start(this: ObjectRef, delegate: ObjectRef) -> bool {
    raising(|| {
        let internal = internal_of(this)?;
        let delegate = delegate.argument("start")?;
        let record: *const Record = record_of(internal)?;
        // SAFETY: the pointer came from `Arc::into_raw`; this is one more count.
        let record = unsafe {
            Arc::increment_strong_count(record);
            Arc::from_raw(record)
        };
        let state = state_of(internal);
        // Unstarted it stays.
        if state.load(Ordering::Acquire) & STATE_ABORTED != 0 {
            return Ok(true);
        }
        if state.fetch_and(!STATE_UNSTARTED, Ordering::AcqRel) & STATE_UNSTARTED == 0 {
            return Err(Exception::new("System.Threading", "ThreadStateException", "Thread has already been started."));
        }
        if APARTMENT.get::<u8>(internal) == UNKNOWN_APARTMENT {
            APARTMENT.set(internal, MULTI_THREADED);
        }
        LIVE.lock().push(record.clone());
        let parcels = [Parcel::new(this), Parcel::new(delegate), Parcel::new(START_ARGUMENT.get(this))];
        let own = record.clone();
        let domain = domain::current();
        let started = spawn(STACK_SIZE.get::<i32>(internal).max(0) as usize, move || {
            own.abortable.begin();
            note_attached(&own);
            CURRENT.set(Some(own.clone()));
            ENDING.set(Some(Ending(own)));
            domain::enter(domain, || {
                // The end of the domain aborts those that are in it already.
                if domain.state() == DomainState::Live {
                    run_thread(parcels);
                }
            });
            ENDING.set(None);
        });
        if !started {
            LIVE.lock().retain(|live| !Arc::ptr_eq(live, &record));
        }
        Ok(started)
    })
}

/// The end of a started thread, be it within native code.
struct Ending(Arc<Record>);

impl Drop for Ending {
    fn drop(&mut self) {
        let thread = Thread::current();
        // It is in native code if that ends it.
        thread.heap().suspend_native();
        for internal in own_internals() {
            let state = state_of(internal);
            state.fetch_or(STATE_STOPPED, Ordering::AcqRel);
            state.fetch_and(!STATE_BACKGROUND, Ordering::AcqRel);
        }
        finish(&self.0);
    }
}

thread_local! {
    static ENDING: Cell<Option<Ending>> = const { Cell::new(None) };
}

/// The current thread ends with the process, and does not count as ended before.
pub fn end_with_process() {
    std::mem::forget(ENDING.take());
}

fn run_thread(parcels: [Parcel; 3]) {
    let [thread, delegate, argument] = parcels.map(Parcel::open);
    Thread::current().set_root(ROOT_MANAGED_THREAD, thread);
    if let Err(exception) = run_start(delegate, argument) {
        end_thread_with(exception);
    }
}

/// The end of a started thread: what others wait for.
fn finish(record: &Arc<Record>) {
    record.abortable.end();
    LIVE.lock().retain(|live| !Arc::ptr_eq(live, record));
    ATTACHED.lock().retain(|attached| attached.as_ptr() != Arc::as_ptr(record));
    wait_handles::abandon_mutexes(record.number);
    record.finished.store(true, Ordering::Release);
    wait_handles::wake_watchers();
}

/// Waits until all started threads but background ones have ended: what a process does after `Main`.
pub fn wait_for_foreground_threads() {
    let current = current_number();
    loop {
        let remaining = {
            let live = LIVE.lock();
            live.iter().find(|record| record.number != current && !record.background.load(Ordering::Acquire)).cloned()
        };
        let Some(record) = remaining else { return };
        let is_over = || record.finished.load(Ordering::Acquire) || record.background.load(Ordering::Acquire);
        // An interruption of the ending main thread has nobody to tell.
        let _ = wait_handles::wait_until(None, || if is_over() { Some(()) } else { None });
    }
}

/// What stands for the current thread in the domains that it has been in.
fn own_internals() -> impl Iterator<Item = ObjectRef> {
    let thread = Thread::current();
    let here = thread.root(ROOT_MANAGED_THREAD);
    // SAFETY: roots that are never freed.
    let elsewhere = thread.thread_objects.values().map(|&root| unsafe { root.read() });
    let objects = std::iter::once(here).chain(elsewhere).filter_map(ObjectRef::non_null);
    objects.filter_map(|thread| INTERNAL.get::<ObjectRef>(thread).non_null())
}

/// Runs a wait, in which collections go on and the thread's state says so.
pub fn while_waiting<T>(wait: impl FnOnce() -> T) -> T {
    let set = |on: bool| {
        for internal in own_internals() {
            let state = state_of(internal);
            if on {
                state.fetch_or(STATE_WAIT_SLEEP_JOIN, Ordering::AcqRel);
            } else {
                state.fetch_and(!STATE_WAIT_SLEEP_JOIN, Ordering::AcqRel);
            }
        }
    };
    set(true);
    let result = blocking(wait);
    set(false);
    result
}

extern "C" fn join(this: ObjectRef, milliseconds: i32) -> bool {
    raising(|| {
        let internal = internal_of(this)?;
        if state_of(internal).load(Ordering::Acquire) & STATE_UNSTARTED != 0 {
            return Err(Exception::new("System.Threading", "ThreadStateException", "Thread has not been started."));
        }
        let record = record_of(internal)?;
        let ended = || if record.finished.load(Ordering::Acquire) { Some(()) } else { None };
        let joined = wait_handles::wait_until(wait_handles::deadline_of(milliseconds), ended);
        std::hint::black_box(&internal);
        Ok(joined.map_err(Interruption::into_exception)?.is_some())
    })
}

extern "C" fn sleep(milliseconds: i32) {
    raising(|| {
        if milliseconds == 0 {
            blocking(std::thread::yield_now);
            return Ok(());
        }
        wait_handles::sleep(wait_handles::deadline_of(milliseconds)).map_err(Interruption::into_exception)
    })
}

extern "C" fn yield_now() -> bool {
    blocking(std::thread::yield_now);
    true
}

extern "C" fn spin() {
    std::hint::spin_loop();
}

/// Wakes whoever waits, so that it looks for interruptions.
fn wake_waiting() {
    wait_handles::wake_all();
    monitor::wake_blocked();
}

extern "C" fn interrupt(this: ObjectRef) {
    raising(|| {
        record_of(internal_of(this)?)?.interrupt.store(true, Ordering::Release);
        wake_waiting();
        Ok(())
    })
}

/// The state of a thread that can be suspended and resumed.
fn running_state(internal: ObjectRef) -> Result<i32> {
    let state = state_of(internal).load(Ordering::Acquire);
    if state & (STATE_UNSTARTED | STATE_STOPPED | STATE_ABORTED) != 0 {
        let message = "Thread has not been started, or is dead.";
        return Err(Exception::new("System.Threading", "ThreadStateException", message));
    }
    Ok(state)
}

extern "C" fn suspend(this: ObjectRef) {
    raising(|| {
        let internal = internal_of(this)?;
        let record = record_of(internal)?;
        if running_state(internal)? & STATE_SUSPENDED != 0 {
            return Ok(());
        }
        record.abortable.with_thread(|thread| thread.shared_heap().suspend(Suspender::Program));
        state_of(internal).fetch_or(STATE_SUSPENDED, Ordering::AcqRel);
        if record.number == current_number() {
            blocking(|| {});
            return Ok(());
        }
        blocking(|| {
            // SAFETY: the thread does not end while this looks at it.
            let stands = |thread: &Thread| unsafe { thread.shared_heap().is_standing() };
            while record.abortable.with_thread(stands) == Some(false) {
                std::thread::sleep(SUSPENSION_PAUSE);
            }
        });
        std::hint::black_box(&internal);
        Ok(())
    })
}

extern "C" fn resume(this: ObjectRef) {
    raising(|| {
        let internal = internal_of(this)?;
        let record = record_of(internal)?;
        if running_state(internal)? & STATE_SUSPENDED == 0 {
            let message = "Thread has not been started, or is dead.";
            return Err(Exception::new("System.Threading", "ThreadStateException", message));
        }
        state_of(internal).fetch_and(!STATE_SUSPENDED, Ordering::AcqRel);
        record.abortable.with_thread(|thread| thread.shared_heap().resume(Suspender::Program));
        Ok(())
    })
}

extern "C" fn get_state(internal: ObjectRef) -> i32 {
    raising(|| {
        let state = state_of(internal.check()?).load(Ordering::Acquire);
        // The end of a domain or of the process aborts threads, too.
        let is_aborted = record_of(internal).is_ok_and(|record| record.abortable.is_in_progress());
        Ok(if is_aborted { state | STATE_ABORT_REQUESTED } else { state })
    })
}

fn note_background(internal: ObjectRef, flags: i32, background: bool) -> Result<()> {
    if flags & STATE_BACKGROUND != 0 {
        record_of(internal)?.background.store(background, Ordering::Release);
        wait_handles::wake_watchers();
    }
    Ok(())
}

extern "C" fn set_state(internal: ObjectRef, flags: i32) {
    raising(|| {
        let internal = internal.check()?;
        state_of(internal).fetch_or(flags, Ordering::AcqRel);
        note_background(internal, flags, true)
    })
}

extern "C" fn clear_state(internal: ObjectRef, flags: i32) {
    raising(|| {
        let internal = internal.check()?;
        state_of(internal).fetch_and(!flags, Ordering::AcqRel);
        note_background(internal, flags, false)
    })
}

extern "C" fn get_priority(this: ObjectRef) -> i32 {
    raising(|| Ok(PRIORITY.get(internal_of(this)?)))
}

extern "C" fn set_priority(this: ObjectRef, priority: i32) {
    raising(|| {
        PRIORITY.set(internal_of(this)?, priority);
        Ok(())
    })
}

extern "C" fn domain_id() -> i32 {
    domain::current().id
}

extern "C" fn largest_stack() -> i32 {
    DEFAULT_STACK as i32
}

extern "C" fn same_bytes(array: ArrayRef) -> ArrayRef {
    array
}

/// Makes the current native thread one of the thread pool's, or one again, whatever the work that it did last made of it.
pub(super) fn become_pool_thread() -> Result<()> {
    let internal = become_background()?;
    POOL_THREAD.set(internal, true);
    names::name_pool_thread(internal);
    Ok(())
}

/// Makes the current native thread one that the process does not wait for; its `InternalThread`.
pub fn become_background() -> Result<ObjectRef> {
    current_record().background.store(true, Ordering::Release);
    let internal = internal_of(current_thread()?)?;
    state_of(internal).fetch_or(STATE_BACKGROUND, Ordering::AcqRel);
    Ok(internal)
}

/// Marks the current thread's object as ended.
pub(super) fn end_pool_thread() {
    if let Ok(internal) = current_thread().and_then(internal_of) {
        state_of(internal).fetch_or(STATE_STOPPED, Ordering::AcqRel);
    }
    finish(&current_record());
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.Threading.InternalThread:Thread_free_internal ()", free_internal_thread as *const ()),
    icall("System.Threading.Thread:Abort_internal (System.Threading.InternalThread,object)", aborts::abort as *const ()),
    icall("System.Threading.Thread:ByteArrayToCurrentDomain (byte[])", same_bytes as *const ()),
    icall("System.Threading.Thread:ByteArrayToRootDomain (byte[])", same_bytes as *const ()),
    icall("System.Threading.Thread:ClrState", clear_state as *const ()),
    icall("System.Threading.Thread:ConstructInternalThread ()", construct_internal_thread as *const ()),
    icall("System.Threading.Thread:GetAbortExceptionState ()", aborts::abort_exception_state as *const ()),
    icall("System.Threading.Thread:GetCurrentThread ()", get_current_thread as *const ()),
    icall("System.Threading.Thread:GetDomainID ()", domain_id as *const ()),
    icall("System.Threading.Thread:GetName_internal (System.Threading.InternalThread)", names::get_name as *const ()),
    icall("System.Threading.Thread:GetPriorityNative ()", get_priority as *const ()),
    icall("System.Threading.Thread:GetState (System.Threading.InternalThread)", get_state as *const ()),
    icall("System.Threading.Thread:GetStackTraces", traces::stack_traces as *const ()),
    icall("System.Threading.Thread:InterruptInternal ()", interrupt as *const ()),
    icall("System.Threading.Thread:JoinInternal (int)", join as *const ()),
    icall("System.Threading.Thread:ResetAbortNative ()", aborts::reset_abort as *const ()),
    icall("System.Threading.Thread:ResumeInternal ()", resume as *const ()),
    icall("System.Threading.Thread:SetName_icall (System.Threading.InternalThread,char*,int)", names::set_name as *const ()),
    icall("System.Threading.Thread:SetPriorityNative (int)", set_priority as *const ()),
    icall("System.Threading.Thread:SetState", set_state as *const ()),
    icall("System.Threading.Thread:SleepInternal (int)", sleep as *const ()),
    icall("System.Threading.Thread:SpinWait_nop ()", spin as *const ()),
    icall("System.Threading.Thread:SuspendInternal ()", suspend as *const ()),
    icall("System.Threading.Thread:SystemMaxStackStize ()", largest_stack as *const ()),
    icall("System.Threading.Thread:Thread_internal (System.MulticastDelegate)", start as *const ()),
    icall("System.Threading.Thread:YieldInternal ()", yield_now as *const ()),
];
