//! Finding references: in objects by their reference maps, on stacks by looking at every word.

use super::binding::Saki;
use super::handles::{self, HandleKind};
use super::object_model::{ABI, ObjectShape, read};
use super::{ephemerons, finalizers, roots, suspension, weak_fields};
use compiler::abi::method_table_flags as flags;
use mmtk::Mutator;
use mmtk::memory_manager;
use mmtk::scheduler::GCWorker;
use mmtk::util::opaque_pointer::VMWorkerThread;
use mmtk::util::{Address, ObjectReference};
use mmtk::vm::slot::SimpleSlot;
use mmtk::vm::{ObjectTracer, ObjectTracerContext, RootsWorkFactory, Scanning, SlotVisitor};
use std::ops::Range;
use std::sync::OnceLock;

/// How far before an address an object may begin that contains it, in bytes: the largest array.
const MAXIMUM_OBJECT_BYTES: usize = if size_of::<usize>() == 8 { 1 << 36 } else { 1 << 30 };

/// Saki's way to scan.
pub struct SakiScanning;

/// Gives the handle of the object that an address in code keeps alive, or 0.
static CODE_OWNER: OnceLock<fn(usize) -> usize> = OnceLock::new();

/// Sets what says which object an address on a stack keeps alive if it points into code: the number of a handle of any kind, or 0. It must take
/// neither memory nor a lock.
pub fn set_code_owner(owner: fn(usize) -> usize) {
    let _ = CODE_OWNER.set(owner);
}

/// The object that an address in code keeps alive.
fn owner_of_code(address: usize) -> Option<ObjectReference> {
    let handle = CODE_OWNER.get()?(address);
    let target = if handle == 0 { return None } else { handles::handle_target(handle) };
    ObjectReference::from_raw_address(Address::from_mut_ptr(target))
}

/// The live object that contains `address`, if there is one.
fn object_containing(address: usize) -> Option<ObjectReference> {
    // SAFETY: a plain number.
    let start = |range: Range<usize>| unsafe { Address::from_usize(range.start) };
    range_containing(address).map(start).and_then(ObjectReference::from_raw_address)
}

/// Where the live object lies that contains `address`, if there is one. One whose method table is not stored yet has no extent.
pub(super) fn range_containing(address: usize) -> Option<Range<usize>> {
    if !super::is_in_heap(address) {
        return None;
    }
    // SAFETY: a plain number.
    let address = unsafe { Address::from_usize(address) };
    // Small objects first: a long search backwards is for the large object space alone.
    let object = memory_manager::find_object_from_internal_pointer(address, super::LARGE_OBJECT_BYTES)
        .or_else(|| memory_manager::find_object_from_internal_pointer(address, MAXIMUM_OBJECT_BYTES))?;
    // SAFETY: a set valid-object bit means an object with its method table stored, unless it was allocated this very moment.
    let end = unsafe {
        let start: *const u8 = object.to_raw_address().to_ptr();
        if read::<usize>(start, ABI.object_method_table()) == 0 {
            return Some(start as usize..start as usize);
        }
        object.to_raw_address() + super::object_size(start)
    };
    (address < end).then(|| object.to_raw_address().as_usize()..end.as_usize())
}

/// Shows `visitor` a reference of an object whose method table has these flags.
///
/// # Safety
/// The slot lies in a live object.
unsafe fn visit(slot: Address, shape_flags: u32, visitor: &mut impl SlotVisitor<SimpleSlot>) {
    // SAFETY: the caller's.
    let value = unsafe { slot.load::<usize>() };
    if shape_flags & flags::OVERLAPPED_REFERENCES != 0 && !may_be_object(value) {
        return;
    }
    // What it refers to is scanned only when all that waits was, so it can be on its way until then.
    prefetch(value);
    visitor.visit_slot(SimpleSlot::from_address(slot));
}

/// Whether there may be an object at `address`. While objects move nothing tells it for certain; as in Mono, a number that is put in the place
/// of a reference must not look like one.
fn may_be_object(address: usize) -> bool {
    // SAFETY: a plain number.
    let place = unsafe { Address::from_usize(address) };
    super::is_in_heap(address) && place.is_aligned_to(super::OBJECT_ALIGNMENT) && place.is_mapped()
}

/// Asks for the memory at `address` ahead of time; it need not be there.
#[cfg(target_arch = "x86_64")]
fn prefetch(address: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint, which faults at no address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address as *const i8) };
}

/// Asks for the memory at `address` ahead of time; it need not be there.
#[cfg(target_arch = "x86")]
fn prefetch(address: usize) {
    use std::arch::x86::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint, which faults at no address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address as *const i8) };
}

/// Asks for the memory at `address` ahead of time; it need not be there.
#[cfg(target_arch = "arm")]
fn prefetch(address: usize) {
    // SAFETY: a hint, which faults at no address.
    unsafe { std::arch::asm!("pld [{0}]", in(reg) address, options(nostack, readonly, preserves_flags)) };
}

impl Scanning<Saki> for SakiScanning {
    fn scan_object<V: SlotVisitor<SimpleSlot>>(_tls: VMWorkerThread, object: ObjectReference, visitor: &mut V) {
        let base = object.to_raw_address();
        let start: *const u8 = base.to_ptr();
        // SAFETY: MMTk scans live objects.
        unsafe {
            if read::<usize>(start, ABI.object_method_table()) == 0 {
                return; // allocated, its method table not yet stored: all zero
            }
            let shape = ObjectShape::of(start);
            // Ephemerons have their turn after tracing.
            if shape.flags & (flags::HAS_REFERENCES | flags::SPECIAL_SCAN) != flags::HAS_REFERENCES {
                return;
            }
            let map = shape.references();
            if shape.flags & (flags::VECTOR | flags::ARRAY) == 0 {
                for &offset in &map.instance {
                    visit(base + offset as usize, shape.flags, visitor);
                }
                return;
            }
            let length = read::<u32>(start, ABI.length()) as usize;
            let size = shape.component_size();
            for index in 0..length {
                for &offset in &map.element {
                    visit(base + shape.base_size() + index * size + offset as usize, shape.flags, visitor);
                }
            }
        }
    }

    fn notify_initial_thread_scan_complete(_partial_scan: bool, _tls: VMWorkerThread) {}

    fn scan_roots_in_mutator_thread(
        _tls: VMWorkerThread,
        mutator: &'static mut Mutator<Saki>,
        mut factory: impl RootsWorkFactory<SimpleSlot>,
    ) {
        let mut pinned = Vec::new();
        let mut last = 0;
        suspension::for_each_stack_word(mutator.mutator_tls, |word| {
            // The same word often stands several times in a row of frames.
            if word != last {
                last = word;
                pinned.extend(object_containing(word).or_else(|| owner_of_code(word)));
            }
        });
        pinned.sort_unstable();
        pinned.dedup();
        factory.create_process_pinning_roots_work(pinned);
    }

    fn scan_vm_specific_roots(_tls: VMWorkerThread, mut factory: impl RootsWorkFactory<SimpleSlot>) {
        factory.create_process_roots_work(roots::root_slots());
        factory.create_process_roots_work(finalizers::queue_roots());
        let (slots, pinned) = handles::strong_roots();
        factory.create_process_roots_work(slots);
        factory.create_process_pinning_roots_work(pinned);
    }

    fn supports_return_barrier() -> bool {
        false
    }

    fn prepare_for_roots_re_scanning() {}

    fn process_weak_refs(worker: &mut GCWorker<Saki>, context: impl ObjectTracerContext<Saki>) -> bool {
        // Called again when what was traced here has been followed to its end, until nothing new is found. What the first rounds did is then
        // found done.
        let found = context.with_tracer(worker, |tracer| {
            if ephemerons::trace_values(|object| tracer.trace_object(object)) {
                return true;
            }
            handles::update_weak(HandleKind::Weak);
            weak_fields::update();
            finalizers::queue_unreachable(|object| tracer.trace_object(object))
        });
        if !found {
            ephemerons::finish();
            weak_fields::finish();
            handles::update_weak(HandleKind::WeakTrackResurrection);
        }
        found
    }
}
