//! Dynamic methods that nothing reaches any more: their code, images and cells are freed, and their numbers used again.
//!
//! A `DynamicMethod` object keeps its method; delegates refer to it, and so do the dynamic methods that call it. While a thread runs the method, an
//! address in its code stands on that thread's stack or in a register: during a collection such an address keeps the object, too
//! ([`owner_of_code`]). The handle by which the object is known here is weak, and the collector clears it. The finaliser thread then sets the method aside,
//! and releases it after one more collection in which no thread was found in its code: by then no thread is amid work with what it
//! found out about the method before.

use crate::domain::Domain;
use crate::exceptions::Result;
use crate::fields::KnownField;
use crate::gc::{self, HandleKind};
use crate::id_table::IdTable;
use crate::object::{ArrayRef, ObjectRef};
use crate::thread::Thread;
use crate::{domain, interpreter, methods, runtime};
use il::types::{AssemblyId, MethodId, TypeId};
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What keeps a dynamic method, by its number.
#[derive(Default)]
struct Keeper {
    /// Weak handle of the `DynamicMethod`; 0 for all other methods.
    handle: AtomicUsize,
    /// Whether a collection found a thread in its code.
    is_seen: AtomicBool,
}

/// A `DynamicMethod` that has an assembly.
struct Entry {
    assembly: AssemblyId,
    /// Its method, once there is one.
    method: Option<MethodId>,
    handle: usize,
    domain: &'static Domain,
}

#[derive(Default)]
struct Registry {
    live: FxHashMap<AssemblyId, Entry>,
    /// Unreachable, to be released after the next collection.
    aside: Vec<Entry>,
    /// Assemblies to be used again.
    free: Vec<AssemblyId>,
    /// Collections before the registry was looked through last.
    collections: usize,
    /// Assemblies reserved since a collection was asked for.
    fresh: usize,
    /// With more live ones than this the next collection is one of everything.
    full_above: usize,
}

/// After so many new methods a collection is due: what they take is not the heap's.
const MANY_FRESH: usize = 512;
/// So many methods may live before old ones are looked for.
const MANY_LIVE: usize = 4 * MANY_FRESH;

static KEEPERS: LazyLock<IdTable<Keeper>> = LazyLock::new(IdTable::new);
static REGISTRY: LazyLock<Mutex<Registry>> = LazyLock::new(Mutex::default);
/// Whether there ever was a dynamic method.
static HAS_METHODS: AtomicBool = AtomicBool::new(false);

static DYNAMIC_METHODS: KnownField = KnownField::new("System", "Exception", "_dynamicMethods");

/// An assembly for a `DynamicMethod`. May collect.
pub fn reserve_assembly(object: ObjectRef) -> AssemblyId {
    if let Some(is_full) = collection_due() {
        gc::collect(Thread::current().heap(), is_full);
    }
    let mut registry = REGISTRY.lock();
    let assembly = registry.free.pop().unwrap_or_else(|| runtime().types.reserve_assembly());
    let handle = gc::allocate_handle(object.raw().cast(), HandleKind::WeakTrackResurrection);
    registry.live.insert(assembly, Entry { assembly, method: None, handle, domain: domain::current() });
    assembly
}

/// Whether a collection is due, and then whether of everything.
fn collection_due() -> Option<bool> {
    let registry = &mut *REGISTRY.lock();
    registry.fresh += 1;
    if registry.fresh < MANY_FRESH {
        return None;
    }
    registry.fresh = 0;
    let is_full = registry.live.len() > registry.full_above.max(MANY_LIVE);
    if is_full {
        registry.full_above = registry.live.len() * 2;
    }
    Some(is_full)
}

/// Notes which method the `DynamicMethod` with this assembly has.
pub fn set_method(assembly: AssemblyId, method: MethodId) {
    if let Some(entry) = REGISTRY.lock().live.get_mut(&assembly) {
        entry.method = Some(method);
        KEEPERS.entry(method.0).handle.store(entry.handle, Ordering::Release);
    }
    if !HAS_METHODS.swap(true, Ordering::AcqRel) {
        gc::set_code_owner(owner_of_code);
    }
}

fn handle_of(method: MethodId) -> usize {
    match HAS_METHODS.load(Ordering::Acquire) {
        true => KEEPERS.get(method.0).map_or(0, |keeper| keeper.handle.load(Ordering::Acquire)),
        false => 0,
    }
}

/// The `DynamicMethod` of a method; null for all other methods.
fn object_of(method: MethodId) -> ObjectRef {
    match handle_of(method) {
        0 => ObjectRef::NULL,
        // SAFETY: handles hold live objects or null.
        handle => unsafe { ObjectRef::from_raw(gc::handle_target(handle).cast()) },
    }
}

/// Whether a method is a dynamic method, which may be released some day.
pub fn may_be_released(method: MethodId) -> bool {
    handle_of(method) != 0
}

/// Runs `body`, which works with a method, and keeps that until then.
pub fn keeping<T>(method: MethodId, body: impl FnOnce() -> T) -> T {
    // The collector finds it on the stack.
    let object = std::hint::black_box(object_of(method));
    let result = body();
    std::hint::black_box(&object);
    result
}

/// Lets an exception whose trace goes through these methods keep those that are dynamic methods: a trace consists of addresses.
pub fn keep_by_exception(exception: ObjectRef, methods: &[MethodId]) -> Result<()> {
    let known = DYNAMIC_METHODS.get::<ObjectRef>(exception).as_array();
    let count = known.map_or(0, ArrayRef::len);
    let is_known = |method: &&MethodId| {
        let object = object_of(**method);
        object.is_null() || known.is_some_and(|known| (0..count).any(|index| known.get_ref(index).raw() == object.raw()))
    };
    let fresh: Vec<MethodId> = methods.iter().filter(|method| !is_known(method)).copied().collect();
    if fresh.is_empty() {
        return Ok(());
    }
    let array = ArrayRef::new(TypeId::OBJECT, count + fresh.len())?;
    for index in 0..count {
        array.set_ref(index, known.map_or(ObjectRef::NULL, |known| known.get_ref(index)));
    }
    for (index, &method) in fresh.iter().enumerate() {
        array.set_ref(count + index, object_of(method));
    }
    DYNAMIC_METHODS.set_ref(exception, array.object());
    Ok(())
}

/// During a collection: the handle of the `DynamicMethod` that an address keeps, because it lies in the method's code or in what leads to that.
fn owner_of_code(address: usize) -> usize {
    let runtime = runtime();
    if !runtime.code.contains(address) {
        return 0;
    }
    let method = runtime.code_map.find_in_heap(address).and_then(|range| range.keeps);
    let Some(keeper) = method.and_then(|method| KEEPERS.get(method.0)) else { return 0 };
    keeper.is_seen.store(true, Ordering::Relaxed);
    keeper.handle.load(Ordering::Acquire)
}

/// On the finaliser thread: sets aside the methods that became unreachable, and releases those that were set aside before the last collection.
/// The collector waits for this thread meanwhile.
pub fn release_unreachable() {
    if !HAS_METHODS.load(Ordering::Acquire) {
        return;
    }
    let due = take_due();
    if !due.is_empty() {
        runtime().compiler.pause(|| release(&due));
        let mut registry = REGISTRY.lock();
        registry.free.extend(due.iter().map(|entry| entry.assembly));
    }
}

fn take_due() -> Vec<Entry> {
    let registry = &mut *REGISTRY.lock();
    let collections = gc::collection_counts().iter().sum();
    if std::mem::replace(&mut registry.collections, collections) == collections {
        return Vec::new();
    }
    let take_seen =
        |entry: &Entry| entry.method.is_some_and(|method| KEEPERS.entry(method.0).is_seen.swap(false, Ordering::Relaxed));
    // One that runs may call any of the others.
    let are_seen = registry.aside.iter().map(take_seen).fold(false, |any, seen| any | seen);
    let due = if are_seen { Vec::new() } else { std::mem::take(&mut registry.aside) };
    let is_dead = |entry: &Entry| gc::handle_target(entry.handle).is_null();
    let dead: Vec<AssemblyId> = registry.live.values().filter(|entry| is_dead(entry)).map(|entry| entry.assembly).collect();
    let dead = dead.iter().filter_map(|assembly| registry.live.remove(assembly));
    registry.aside.extend(dead.inspect(|entry| {
        take_seen(entry);
    }));
    registry.full_above = registry.full_above.min(registry.live.len() * 2);
    if !registry.aside.is_empty() {
        gc::expect_notice();
    }
    due
}

/// Frees all that was made for these methods.
fn release(entries: &[Entry]) {
    let runtime = runtime();
    let mut domains: FxHashMap<i32, &'static Domain> = FxHashMap::default();
    entries.iter().for_each(|entry| {
        domains.insert(entry.domain.id, entry.domain);
    });
    for domain in domains.into_values() {
        let own = || entries.iter().filter(|entry| std::ptr::eq(entry.domain, domain));
        let assemblies: FxHashSet<AssemblyId> = own().map(|entry| entry.assembly).collect();
        let released: FxHashSet<MethodId> = own().filter_map(|entry| entry.method).collect();
        domain.delegate_stubs.forget(&released);
        domain.reflection.forget(&released);
        // SAFETY: no thread runs these methods or can come to them, see above, and nothing is compiled now.
        unsafe {
            domain.cells.forget(&assemblies, &released);
            for &method in &released {
                if let Some(code) = methods::forget_code(domain, method) {
                    if let Some(bytes) = runtime.code_map.remove(code) {
                        runtime.code.free(code, bytes);
                    }
                }
                interpreter::forget(method);
            }
        }
    }
    for entry in entries {
        if let Some(method) = entry.method {
            KEEPERS.entry(method.0).handle.store(0, Ordering::Release);
        }
        // SAFETY: as above.
        unsafe { runtime.types.empty_assembly(entry.assembly, entry.method) };
        gc::free_handle(entry.handle);
    }
}
