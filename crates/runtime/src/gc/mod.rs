//! The garbage collector behind one narrow module: allocate, barrier, roots, handles, finalisers, statistics.
//!
//! Behind it stands MMTk's sticky Immix: mark-region, generational by sticky mark bits, moving where nothing pins. The heap is
//! scanned precisely by the method tables' [`ReferenceMap`]s, stacks conservatively: every word on a stack that points
//! into an object pins it for the collection.
//!
//! What compiled code may do by itself is data that this module hands out: bump allocation in the thread's
//! [`AllocationWindow`] and the test of an object's log bit ([`log_bits_base`]).

mod binding;
mod ephemerons;
mod finalizers;
mod handles;
mod large_objects;
mod object_model;
mod reference_map;
#[cfg(target_pointer_width = "32")]
mod reservation;
mod roots;
mod scanning;
mod suspension;
mod weak_fields;

pub use ephemerons::register_ephemeron_array;
pub use finalizers::{
    expect_notice, queue_all_finalizers, queue_finalizers, register_finalizer, set_finalization_notice, suppress_finalizer,
    take_finalizable,
};
pub use handles::{HandleKind, allocate_handle, free_handle, handle_kind, handle_place, handle_target, set_handle_target};
pub use object_model::object_size;
pub use reference_map::ReferenceMap;
pub use roots::{add_root_range, remove_root_range};
pub use scanning::set_code_owner;
pub use suspension::{AllocationWindow, NativeState, Suspender, ThreadHeap, attach, detach, set_interruptible_test};
pub use weak_fields::register_weak_fields;

use binding::{Saki, mmtk};
use mmtk::AllocationSemantics;
use mmtk::memory_manager;
use mmtk::util::opaque_pointer::{OpaquePointer, VMMutatorThread, VMThread};
use mmtk::util::{Address, ObjectReference};
use mmtk::vm::ObjectModel;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Objects of this size and more go to the large object space, in bytes.
const LARGE_OBJECT_BYTES: usize = 16 << 10;
/// Pages in use at which the collector's threads are started: programs that stay below never pay for them.
const START_WORKERS_AT_PAGES: usize = 4 << 20 >> LOG_PAGE_BYTES;
/// log2 of the size of a page.
const LOG_PAGE_BYTES: u32 = 12;
/// Alignment of every object, in bytes.
pub const OBJECT_ALIGNMENT: usize = 8;

/// MMTk's side metadata of one bit have a bit for each word of the heap: which bit of its byte stands for an address is told by the three
/// address bits from this one on.
pub const SIDE_BIT_SHIFT: u32 = size_of::<usize>().trailing_zeros();
/// And which byte, by the bits from this one on.
pub const SIDE_BYTE_SHIFT: u32 = SIDE_BIT_SHIFT + 3;

/// Settings of the heap.
#[derive(Clone, Debug)]
pub struct GcOptions {
    /// Heap size at which the first full collection may come, in bytes.
    pub minimum_heap: usize,
    /// Heap size that is never exceeded, in bytes.
    pub maximum_heap: usize,
    /// Bytes allocated between two collections of young objects, if the collector is not to choose.
    pub nursery: Option<usize>,
    /// Number of collector threads.
    pub threads: usize,
}

/// What an object is allocated for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AllocationKind {
    /// May move and die.
    Default,
    /// Never moves and never dies: interned strings and type objects, whose addresses stand in cells.
    Immortal,
    /// Never moves.
    Pinned,
}

static WORKERS: Once = Once::new();
static STRESS: AtomicBool = AtomicBool::new(false);
/// Collections of young objects, and of all.
static COLLECTIONS: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// Sets up the heap. To be called once, before any thread is attached.
///
/// # Panics
/// If it is called twice, or an `MMTK_…` variable has a value that MMTk does not know.
pub fn initialize(options: &GcOptions) {
    let stress = binding::initialize(options);
    STRESS.store(stress, Ordering::Relaxed);
}

/// Allocates `size` bytes, zeroed but for nothing, aligned to 8; the caller stores the method table before the next allocation.
/// `None` if the memory is used up.
pub fn allocate(heap: &mut ThreadHeap, size: usize, kind: AllocationKind) -> Option<*mut u8> {
    let size = (size + OBJECT_ALIGNMENT - 1) & !(OBJECT_ALIGNMENT - 1);
    let semantics = match kind {
        AllocationKind::Immortal => AllocationSemantics::Immortal,
        AllocationKind::Pinned => AllocationSemantics::NonMoving,
        AllocationKind::Default if size >= LARGE_OBJECT_BYTES => AllocationSemantics::Los,
        AllocationKind::Default => AllocationSemantics::Default,
    };
    if semantics == AllocationSemantics::Default && !STRESS.load(Ordering::Relaxed) {
        if let Some(address) = heap.bump(size) {
            return Some(address);
        }
    }
    start_workers_if_due(heap, size);
    heap.retire_window();
    let mutator = heap.mutator();
    let address = memory_manager::alloc::<Saki>(mutator, size, OBJECT_ALIGNMENT, 0, semantics);
    let object = ObjectReference::from_raw_address(address)?;
    memory_manager::post_alloc::<Saki>(mutator, object, size, semantics);
    heap.count_allocated(size);
    if !STRESS.load(Ordering::Relaxed) {
        heap.adopt_window();
    }
    Some(address.to_mut_ptr())
}

/// Before an allocation of `size` bytes, which may need a collection.
fn start_workers_if_due(heap: &ThreadHeap, size: usize) {
    if WORKERS.is_completed() {
        return;
    }
    let pages = mmtk().get_plan().get_used_pages() + (size >> LOG_PAGE_BYTES);
    let due = STRESS.load(Ordering::Relaxed) || pages >= START_WORKERS_AT_PAGES;
    if due {
        start_workers(heap);
    }
}

/// Whoever comes while another thread starts them waits: MMTk refuses collections before.
fn start_workers(heap: &ThreadHeap) {
    WORKERS.call_once(|| memory_manager::initialize_collection(mmtk(), heap.tls().0));
}

/// Address from which the log bit of an object is found: the byte at `base + (object >> SIDE_BYTE_SHIFT)`, bit
/// `(object >> SIDE_BIT_SHIFT) & 7`.
/// A set bit means that a reference store into the object must call [`write_barrier`] after the store.
pub fn log_bits_base() -> usize {
    binding::SakiObjectModel::GLOBAL_LOG_BIT_SPEC.as_spec().extract_side_spec().get_absolute_offset().as_usize()
}

/// The write barrier, after a reference was stored into `object`.
///
/// # Safety
/// `object` is a live heap object.
pub unsafe fn write_barrier(heap: &mut ThreadHeap, object: *mut u8) {
    let Some(source) = ObjectReference::from_raw_address(Address::from_mut_ptr(object)) else { return };
    let slot = mmtk::vm::slot::SimpleSlot::from_address(source.to_raw_address());
    heap.mutator().barrier.object_reference_write_post(source, slot, None);
}

/// The object that `address` points into, or `None` if it points to no live object of the heap. Objects that were allocated
/// since the last call of [`ThreadHeap::retire_window`] are found only after it.
pub fn find_object(heap: &mut ThreadHeap, address: usize) -> Option<*mut u8> {
    // The thread is stopped for no collection in here.
    let collections = collection_counts().iter().sum();
    if let Some(start) = heap.large_objects.find(address, collections) {
        return Some(start as *mut u8);
    }
    heap.publish_window();
    let found = scanning::range_containing(address)?;
    let start = found.start;
    if found.len() >= LARGE_OBJECT_BYTES {
        heap.large_objects.add(found, collections);
    }
    Some(start as *mut u8)
}

/// Whether an address lies in the heap.
pub fn is_in_heap(address: usize) -> bool {
    binding::is_in_heap(address)
}

/// Collects now; `full` collects old objects too.
pub fn collect(heap: &mut ThreadHeap, full: bool) {
    start_workers(heap);
    let before = COLLECTIONS[1].load(Ordering::Relaxed);
    loop {
        heap.retire_window();
        mmtk().handle_user_collection_request(heap.tls(), true, full);
        // A request that comes while the threads are being stopped for a collection of young objects is taken for that one.
        if !full || COLLECTIONS[1].load(Ordering::Relaxed) != before {
            return;
        }
    }
}

/// Number of collections of young objects alone, and of all objects, so far.
pub fn collection_counts() -> [usize; 2] {
    COLLECTIONS.each_ref().map(|count| count.load(Ordering::Relaxed))
}

/// Whether the object has survived no collection yet.
///
/// # Safety
/// `object` is a live heap object.
pub unsafe fn is_young(object: *mut u8) -> bool {
    let plan = mmtk().get_plan().generational();
    let object = ObjectReference::from_raw_address(Address::from_mut_ptr(object));
    plan.zip(object).is_some_and(|(plan, object)| plan.is_object_in_nursery(object))
}

/// Bytes in use.
pub fn used_bytes() -> usize {
    memory_manager::used_bytes(mmtk())
}

/// A thread number as MMTk wants it.
fn tls_of(address: usize) -> VMMutatorThread {
    VMMutatorThread(VMThread(OpaquePointer::from_address(Address::from_mut_ptr(address as *mut u8))))
}
