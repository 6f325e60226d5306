//! `System.GC`, `GCHandle`, ephemerons, and the thread that runs finalisers.

use super::native_text::blocking;
use super::{InternalCall, icall, raising, threads};
use crate::domain::{self, Domain};
use crate::emit::releasing;
use crate::exceptions::{Exception, Result};
use crate::gc::{self, HandleKind};
use crate::method_table::method_table;
use crate::object::{self, ABI, ArrayRef, ObjectRef};
use crate::thread::Thread;
use crate::{casts, com, invoke, roots, runtime};
use compiler::abi::method_table_flags as flags;
use il::types::{MethodId, TypeId};
use parking_lot::{Condvar, Mutex};
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Value of `GCHandleType` that means: keep the kind of the handle.
const SAME_KIND: i32 = -1;

/// What finaliser thread and waiting threads tell each other: how many requests there were, and up to which one all is done.
struct Progress {
    requested: u64,
    finished: u64,
}

/// How long the end of the process waits for the finaliser thread, as Mono's does.
const EXIT_TIMEOUT: Duration = Duration::from_secs(40);

static PROGRESS: Mutex<Progress> = Mutex::new(Progress { requested: 0, finished: 0 });
static REQUEST: Condvar = Condvar::new();
static DONE: Condvar = Condvar::new();
static HAS_THREAD: AtomicBool = AtomicBool::new(false);

thread_local! {
    static IS_FINALIZER_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// Tells the finaliser thread, which is started now if there is none, that objects are queued. May be called by a thread that is not
/// attached.
pub fn wake_finalizer_thread() {
    ensure_finalizer_thread();
    PROGRESS.lock().requested += 1;
    REQUEST.notify_one();
}

/// Runs the finalisers of all objects that have one: at the end of the process. What the program's own ones use of the core library,
/// such as the console's streams, is finalised after them. COM objects that no finaliser gave back are given back last.
pub fn finalize_all() {
    // A finaliser that ends the process is the last one.
    if IS_FINALIZER_THREAD.get() {
        return;
    }
    let types = &runtime().types;
    gc::queue_all_finalizers(|address| {
        // SAFETY: the collector passes live objects.
        let object = unsafe { ObjectRef::from_raw(address.cast()) };
        types.definition_of(object.type_id()).is_none_or(|(assembly, _)| assembly != types.corlib())
    });
    if HAS_THREAD.load(Ordering::Acquire) {
        request_finalizers(Some(Instant::now() + EXIT_TIMEOUT));
    } else {
        run_due_finalizers();
    }
    com::objects::release_all();
}

/// Runs the finalisers of all objects of a domain that have one, reachable or not.
pub(super) fn finalize_domain(domain: &Domain) {
    gc::queue_finalizers(|address| {
        // SAFETY: the collector passes live objects.
        let object = unsafe { ObjectRef::from_raw(address.cast()) };
        std::ptr::eq(object.method_table().class().domain, domain)
    });
    wait_for_pending_finalizers();
}

/// Starts the finaliser thread if there is none.
fn ensure_finalizer_thread() {
    if !HAS_THREAD.swap(true, Ordering::AcqRel) {
        super::threads::spawn(0, run_finalizers_for_good);
    }
}

fn finalize_method() -> Option<MethodId> {
    static METHOD: OnceLock<Option<MethodId>> = OnceLock::new();
    *METHOD.get_or_init(|| runtime().types.find_method(TypeId::OBJECT, "Finalize", Some(&[])).ok().flatten())
}

/// Runs the finalisers that are due.
pub fn run_due_finalizers() {
    let Some(method) = finalize_method() else { return };
    while let Some(address) = gc::take_finalizable(is_critical) {
        // SAFETY: the collector gives live objects.
        let object = unsafe { ObjectRef::from_raw(address.cast()) };
        let outcome = domain::enter(object.method_table().class().domain, || invoke::call_virtual(method, object, &[]));
        if let Err(exception) = outcome {
            threads::end_with(exception);
        }
        threads::forget_abort_if_any();
    }
}

/// Whether a finaliser runs after those of other classes: that of a `CriticalFinalizerObject`.
fn is_critical(address: *mut u8) -> bool {
    static CLASS: OnceLock<Option<TypeId>> = OnceLock::new();
    let types = &runtime().types;
    let find =
        || types.find_type(types.corlib(), "System.Runtime.ConstrainedExecution", "CriticalFinalizerObject").ok().flatten();
    // SAFETY: the collector passes live objects.
    let object = unsafe { ObjectRef::from_raw(address.cast()) };
    CLASS.get_or_init(find).is_some_and(|class| casts::is_assignable(object.type_id(), class))
}

fn run_finalizers_for_good() {
    IS_FINALIZER_THREAD.set(true);
    loop {
        let request = blocking(|| {
            let mut progress = PROGRESS.lock();
            while progress.finished == progress.requested {
                REQUEST.wait(&mut progress);
            }
            progress.requested
        });
        run_due_finalizers();
        releasing::release_unreachable();
        PROGRESS.lock().finished = request;
        DONE.notify_all();
    }
}

extern "C" fn wait_for_pending_finalizers() {
    if IS_FINALIZER_THREAD.get() {
        return;
    }
    ensure_finalizer_thread();
    request_finalizers(None);
}

/// Lets the finaliser thread run the finalisers that are due, and waits for it until then or for ever.
fn request_finalizers(deadline: Option<Instant>) {
    blocking(|| {
        let mut progress = PROGRESS.lock();
        progress.requested += 1;
        let request = progress.requested;
        REQUEST.notify_one();
        while progress.finished < request {
            match deadline {
                None => DONE.wait(&mut progress),
                Some(deadline) => {
                    if DONE.wait_until(&mut progress, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
    });
}

extern "C" fn collect(generation: i32) {
    gc::collect(Thread::current().heap(), generation != 0);
}

/// As Mono counts: a collection of everything is none of generation 0.
extern "C" fn collection_count(generation: i32) -> i32 {
    gc::collection_counts()[usize::from(generation != 0)] as i32
}

extern "C" fn max_generation() -> i32 {
    1
}

extern "C" fn generation_of(object: ObjectRef) -> i32 {
    // SAFETY: references that come from managed code are null, which is told apart first, or live objects.
    i32::from(!object.is_null() && unsafe { !gc::is_young(object.raw().cast()) })
}

extern "C" fn total_memory(force: u8) -> i64 {
    if force != 0 {
        gc::collect(Thread::current().heap(), true);
    }
    gc::used_bytes() as i64
}

extern "C" fn allocated_bytes() -> i64 {
    Thread::current().heap().allocated_bytes() as i64
}

extern "C" fn record_pressure(_bytes: i64) {}

extern "C" fn suppress_finalize(object: ObjectRef) {
    raising(|| {
        let object = object.argument("obj")?;
        if object.method_table().has(flags::FINALIZER) {
            gc::suppress_finalizer(object.raw().cast());
        }
        Ok(())
    })
}

extern "C" fn reregister_for_finalize(object: ObjectRef) {
    raising(|| {
        let object = object.argument("obj")?;
        if object.method_table().has(flags::FINALIZER) {
            gc::register_finalizer(object.raw().cast());
        }
        Ok(())
    })
}

/// The root that holds the object which stands for the key of a dead ephemeron.
fn tombstone_root() -> Result<*const ObjectRef> {
    static TOMBSTONE: OnceLock<usize> = OnceLock::new();
    if let Some(&slot) = TOMBSTONE.get() {
        return Ok(slot as *const ObjectRef);
    }
    let object = object::allocate(method_table(TypeId::OBJECT)?)?;
    Ok(*TOMBSTONE.get_or_init(|| roots::keep(object) as usize) as *const ObjectRef)
}

extern "C" fn ephemeron_tombstone() -> ObjectRef {
    // SAFETY: a root that is never freed.
    raising(|| Ok(unsafe { *tombstone_root()? }))
}

extern "C" fn register_ephemeron_array(array: ArrayRef) {
    raising(|| {
        let array = array.argument("array")?;
        // SAFETY: the declaration of the internal call takes such vectors alone, and the tombstone is a root for good.
        unsafe { gc::register_ephemeron_array(array.object().raw().cast(), tombstone_root()?.cast()) };
        Ok(())
    })
}

fn kind_of(number: i32) -> Option<HandleKind> {
    Some(match number {
        0 => HandleKind::Weak,
        1 => HandleKind::WeakTrackResurrection,
        2 => HandleKind::Normal,
        3 => HandleKind::Pinned,
        _ => return None,
    })
}

fn handle_object(handle: i32) -> ObjectRef {
    // SAFETY: targets of handles are null or live objects.
    unsafe { ObjectRef::from_raw(gc::handle_target(handle as usize).cast()) }
}

extern "C" fn get_target(handle: i32) -> ObjectRef {
    handle_object(handle)
}

extern "C" fn set_target(object: ObjectRef, handle: i32, kind: i32) -> i32 {
    raising(|| {
        if handle != 0 && (kind == SAME_KIND || kind_of(kind) == gc::handle_kind(handle as usize)) {
            gc::set_handle_target(handle as usize, object.raw().cast());
            return Ok(handle);
        }
        let kind = kind_of(kind).ok_or_else(|| Exception::argument_out_of_range("type"))?;
        if handle != 0 {
            gc::free_handle(handle as usize);
        }
        Ok(gc::allocate_handle(object.raw().cast(), kind) as i32)
    })
}

extern "C" fn free_handle(handle: i32) {
    gc::free_handle(handle as usize);
}

extern "C" fn is_of_current_domain(handle: i32) -> bool {
    gc::handle_kind(handle as usize).is_some()
}

/// Address of the pinned object's data; -1 for a handle of another kind, -2 for an object without such.
extern "C" fn pinned_address(handle: i32) -> isize {
    if gc::handle_kind(handle as usize) != Some(HandleKind::Pinned) {
        return -2;
    }
    let object = handle_object(handle);
    if object.is_null() {
        return 0;
    }
    if object.as_string().is_some() {
        return object.at::<u8>(ABI.string_chars() as u32) as isize;
    }
    match object.as_array() {
        Some(array) => array.data::<u8>() as isize,
        None => object.payload::<u8>() as isize,
    }
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.GC:GetAllocatedBytesForCurrentThread ()", allocated_bytes as *const ()),
    icall("System.GC:GetCollectionCount (int)", collection_count as *const ()),
    icall("System.GC:GetGeneration (object)", generation_of as *const ()),
    icall("System.GC:GetMaxGeneration ()", max_generation as *const ()),
    icall("System.GC:GetTotalMemory (bool)", total_memory as *const ()),
    icall("System.GC:InternalCollect (int)", collect as *const ()),
    icall("System.GC:RecordPressure (long)", record_pressure as *const ()),
    icall("System.GC:WaitForPendingFinalizers ()", wait_for_pending_finalizers as *const ()),
    icall("System.GC:_ReRegisterForFinalize (object)", reregister_for_finalize as *const ()),
    icall("System.GC:_SuppressFinalize (object)", suppress_finalize as *const ()),
    icall("System.GC:get_ephemeron_tombstone ()", ephemeron_tombstone as *const ()),
    icall(
        "System.GC:register_ephemeron_array (System.Runtime.CompilerServices.Ephemeron[])",
        register_ephemeron_array as *const (),
    ),
    icall("System.Runtime.InteropServices.GCHandle:CheckCurrentDomain (int)", is_of_current_domain as *const ()),
    icall("System.Runtime.InteropServices.GCHandle:FreeHandle (int)", free_handle as *const ()),
    icall("System.Runtime.InteropServices.GCHandle:GetAddrOfPinnedObject (int)", pinned_address as *const ()),
    icall("System.Runtime.InteropServices.GCHandle:GetTarget (int)", get_target as *const ()),
    icall(
        "System.Runtime.InteropServices.GCHandle:GetTargetHandle (object,int,System.Runtime.InteropServices.GCHandleType)",
        set_target as *const (),
    ),
];
