//! The types by which MMTk knows Saki, and its set-up.

use super::suspension;
use super::{GcOptions, finalizers, scanning};
#[cfg(target_pointer_width = "32")]
use mmtk::util::heap::vm_layout::BYTES_IN_CHUNK;
use mmtk::util::heap::vm_layout::VMLayout;
#[cfg(target_pointer_width = "32")]
use mmtk::util::metadata::side_metadata::GLOBAL_SIDE_METADATA_BASE_ADDRESS;
use mmtk::util::opaque_pointer::{VMMutatorThread, VMThread, VMWorkerThread};
use mmtk::util::options::{GCTriggerSelector, NurserySize};
use mmtk::util::{Address, ObjectReference};
use mmtk::vm::slot::{SimpleSlot, UnimplementedMemorySlice};
use mmtk::vm::{ActivePlan, Collection, GCThreadContext, ReferenceGlue, VMBinding};
use mmtk::{MMTK, MMTKBuilder, Mutator};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Saki, as MMTk's virtual machine.
#[derive(Default)]
pub struct Saki;

/// Its objects.
pub struct SakiObjectModel;

impl VMBinding for Saki {
    type VMObjectModel = SakiObjectModel;
    type VMScanning = scanning::SakiScanning;
    type VMCollection = SakiCollection;
    type VMActivePlan = SakiActivePlan;
    type VMReferenceGlue = SakiReferenceGlue;
    type VMSlot = SimpleSlot;
    type VMMemorySlice = UnimplementedMemorySlice;

    const MIN_ALIGNMENT: usize = 8;
    const MAX_ALIGNMENT: usize = 16;
    const USE_ALLOCATION_OFFSET: bool = false;
}

static MMTK_INSTANCE: OnceLock<Box<MMTK<Saki>>> = OnceLock::new();
static HEAP_START: AtomicUsize = AtomicUsize::new(0);
static HEAP_END: AtomicUsize = AtomicUsize::new(0);

/// The one collector.
///
/// # Panics
/// If it is not initialised.
pub(super) fn mmtk() -> &'static MMTK<Saki> {
    MMTK_INSTANCE.get().expect("the collector is initialised before the first allocation")
}

pub(super) fn is_in_heap(address: usize) -> bool {
    address >= HEAP_START.load(Ordering::Relaxed) && address < HEAP_END.load(Ordering::Relaxed)
}

/// Smaller ones than this would have the program collect all the time, in bytes.
const LEAST_NURSERY: usize = 256 << 10;

/// log2 of the address space of one of MMTk's sixteen spaces: 64 GiB.
#[cfg(target_pointer_width = "64")]
const LOG_SPACE_EXTENT: usize = 36;

/// MMTk keeps what it notes per chunk of heap from here on 32 bits, at the address of the chunk divided by [`CHUNK_NOTES_SHARE`].
#[cfg(target_pointer_width = "32")]
const CHUNK_NOTES: usize = 0x3000_0000;
#[cfg(target_pointer_width = "32")]
const CHUNK_NOTES_SHARE: usize = 8;

/// The heap on 32 bits: with one that begins here, what is noted per chunk is clear of where programs are loaded.
#[cfg(target_pointer_width = "32")]
const HEAP_RANGE: (usize, usize) = (0x9000_0000, 0xd000_0000);

#[cfg(target_pointer_width = "64")]
fn set_layout(builder: &mut MMTKBuilder) {
    let start = 1usize << LOG_SPACE_EXTENT;
    let end = start + (16 << LOG_SPACE_EXTENT);
    // SAFETY: plain numbers; MMTk maps the range itself and fails if it is taken.
    let (heap_start, heap_end) = unsafe { (Address::from_usize(start), Address::from_usize(end)) };
    builder.set_vm_layout(VMLayout {
        log_address_space: LOG_SPACE_EXTENT + 5,
        heap_start,
        heap_end,
        log_space_extent: LOG_SPACE_EXTENT,
        force_use_contiguous_spaces: true,
    });
    HEAP_START.store(start, Ordering::Relaxed);
    HEAP_END.store(end, Ordering::Relaxed);
}

#[cfg(target_pointer_width = "32")]
fn set_layout(builder: &mut MMTKBuilder) {
    let (start, end) = HEAP_RANGE;
    let end = super::reservation::reserve(start..end, notes_about);
    // SAFETY: plain numbers, as above.
    let (heap_start, heap_end) = unsafe { (Address::from_usize(start), Address::from_usize(end)) };
    builder.set_vm_layout(VMLayout { heap_start, heap_end, ..VMLayout::new_32bit() });
    HEAP_START.store(start, Ordering::Relaxed);
    HEAP_END.store(end, Ordering::Relaxed);
}

/// Where MMTk notes things about a part of the heap: a bit per word, once for each of its two global tables, and per chunk of heap.
#[cfg(target_pointer_width = "32")]
fn notes_about(heap: &std::ops::Range<usize>) -> Vec<std::ops::Range<usize>> {
    // The valid-object bits are its first table.
    let valid_object_bits = GLOBAL_SIDE_METADATA_BASE_ADDRESS.as_usize();
    let log_bits = super::log_bits_base();
    // Notes are mapped in whole chunks.
    let chunks = |start: usize, end: usize| start / BYTES_IN_CHUNK * BYTES_IN_CHUNK..end.next_multiple_of(BYTES_IN_CHUNK);
    let bits = |base: usize| chunks(base + (heap.start >> super::SIDE_BYTE_SHIFT), base + (heap.end >> super::SIDE_BYTE_SHIFT));
    let per_chunk = chunks(CHUNK_NOTES + heap.start / CHUNK_NOTES_SHARE, CHUNK_NOTES + heap.end / CHUNK_NOTES_SHARE);
    vec![bits(valid_object_bits), bits(log_bits), per_chunk]
}

/// Builds the collector; says whether a stress option is set. Reads the environment only if it has a variable of MMTk's,
/// since that takes longer than all the rest.
pub(super) fn initialize(options: &GcOptions) -> bool {
    let from_environment = std::env::vars_os().any(|(name, _)| name.as_encoded_bytes().starts_with(b"MMTK_"));
    let mut builder = if from_environment { MMTKBuilder::new() } else { MMTKBuilder::new_no_env_vars() };
    set_layout(&mut builder);
    if !from_environment || std::env::var_os("MMTK_PLAN").is_none() {
        assert!(builder.set_option("plan", "StickyImmix"));
    }
    if std::env::var_os("MMTK_THREADS").is_none() {
        assert!(builder.options.threads.set(options.threads));
    }
    if std::env::var_os("MMTK_GC_TRIGGER").is_none() {
        // Not by its name: parsing the value would build regular expressions.
        let trigger = GCTriggerSelector::DynamicHeapSize(options.minimum_heap, options.maximum_heap);
        assert!(builder.options.gc_trigger.set(trigger));
    }
    if let Some(nursery) = options.nursery.filter(|_| std::env::var_os("MMTK_NURSERY").is_none()) {
        assert!(builder.options.nursery.set(NurserySize::Fixed(nursery.max(LEAST_NURSERY))));
    }
    let stress = builder.options.is_stress_test_gc_enabled();
    let instance = mmtk::memory_manager::mmtk_init::<Saki>(&builder);
    assert!(MMTK_INSTANCE.set(instance).is_ok(), "the collector is initialised once");
    stress
}

/// Stopping and going on.
pub struct SakiCollection;

impl Collection<Saki> for SakiCollection {
    fn stop_all_mutators<F>(_tls: VMWorkerThread, mut visit: F)
    where
        F: FnMut(&'static mut Mutator<Saki>),
    {
        suspension::stop_all();
        let is_young = mmtk().get_plan().generational().is_some_and(|plan| plan.is_current_gc_nursery());
        super::COLLECTIONS[usize::from(!is_young)].fetch_add(1, Ordering::Relaxed);
        for mutator in suspension::mutators() {
            visit(mutator);
        }
    }

    fn resume_mutators(_tls: VMWorkerThread) {
        suspension::resume_all();
        finalizers::notify();
    }

    fn block_for_gc(tls: VMMutatorThread) {
        suspension::block_until_resumed(tls);
    }

    fn spawn_gc_thread(_tls: VMThread, context: GCThreadContext<Saki>) {
        let GCThreadContext::Worker(worker) = context;
        let spawned = std::thread::Builder::new().name("saki-gc".into()).spawn(move || {
            let identity = std::ptr::from_ref(&*worker) as usize;
            worker.run(VMWorkerThread(super::tls_of(identity).0), mmtk());
        });
        if let Err(error) = spawned {
            eprintln!("saki: cannot start a collector thread: {error}");
            std::process::abort();
        }
    }

    fn out_of_memory(_tls: VMThread, _kind: mmtk::util::alloc::AllocationError) {
        // The allocation gives null, and the caller raises OutOfMemoryException.
    }
}

/// The threads.
pub struct SakiActivePlan;

impl ActivePlan<Saki> for SakiActivePlan {
    fn is_mutator(tls: VMThread) -> bool {
        suspension::is_mutator(tls)
    }
    fn mutator(tls: VMMutatorThread) -> &'static mut Mutator<Saki> {
        suspension::mutator(tls)
    }
    fn mutators<'a>() -> Box<dyn Iterator<Item = &'a mut Mutator<Saki>> + 'a> {
        Box::new(suspension::mutators().into_iter())
    }
    fn number_of_mutators() -> usize {
        suspension::mutators().len()
    }
}

/// MMTk's own weak references are not used: see `handles` and `finalizers`.
pub struct SakiReferenceGlue;

impl ReferenceGlue<Saki> for SakiReferenceGlue {
    type FinalizableType = ObjectReference;
    fn clear_referent(_reference: ObjectReference) {}
    fn get_referent(_object: ObjectReference) -> Option<ObjectReference> {
        None
    }
    fn set_referent(_reference: ObjectReference, _referent: ObjectReference) {}
    fn enqueue_references(_references: &[ObjectReference], _tls: VMWorkerThread) {}
}
