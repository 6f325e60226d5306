//! Objects as the collector sees them: size and copying, by the method table.

use compiler::abi::{Abi, method_table_flags as flags};
use mmtk::util::copy::{CopySemantics, GCWorkerCopyContext};
use mmtk::util::{Address, ObjectReference};
use mmtk::vm::{
    ObjectModel, VMGlobalLogBitSpec, VMLocalForwardingBitsSpec, VMLocalForwardingPointerSpec, VMLocalLOSMarkNurserySpec,
    VMLocalMarkBitSpec,
};

use super::binding::{Saki, SakiObjectModel};
use super::reference_map::ReferenceMap;

/// The layouts of the host.
pub(super) const ABI: Abi = Abi { pointer_bytes: size_of::<usize>() as u32 };

/// Low bits of the method table word that hold the forwarding state of an object while the collector moves it. On 64 bits the state
/// lies beside the heap; on 32 bits MMTk has no room there for as many bits per object.
const FORWARDING_STATE_MASK: usize = if size_of::<usize>() == 8 { 0 } else { 3 };

/// Reads a value at an offset of a runtime structure.
///
/// # Safety
/// `base + offset` holds an initialised `T`.
pub(super) unsafe fn read<T: Copy>(base: *const u8, offset: i32) -> T {
    // SAFETY: the caller's.
    unsafe { base.offset(offset as isize).cast::<T>().read() }
}

/// What scanning needs of an object's method table.
pub(super) struct ObjectShape {
    pub method_table: *const u8,
    pub flags: u32,
}

impl ObjectShape {
    /// # Safety
    /// `object` has a method table.
    pub unsafe fn of(object: *const u8) -> ObjectShape {
        // SAFETY: the method table of an object is immutable and never freed.
        unsafe {
            let word: usize = read(object, ABI.object_method_table());
            let method_table = (word & !FORWARDING_STATE_MASK) as *const u8;
            ObjectShape { method_table, flags: read(method_table, ABI.method_table_flags()) }
        }
    }
    /// The reference map, for shapes with `HAS_REFERENCES`.
    pub fn references(&self) -> &'static ReferenceMap {
        // SAFETY: method tables with HAS_REFERENCES point to a map that is never freed.
        unsafe { &*read::<*const ReferenceMap>(self.method_table, ABI.method_table_reference_map()) }
    }
    pub fn base_size(&self) -> usize {
        // SAFETY: a field of every method table.
        unsafe { read::<u32>(self.method_table, ABI.method_table_base_size()) as usize }
    }
    pub fn component_size(&self) -> usize {
        // SAFETY: a field of every method table.
        unsafe { read::<u32>(self.method_table, ABI.method_table_component_size()) as usize }
    }
}

/// Size of an object in bytes, rounded up to the object alignment.
///
/// # Safety
/// `object` points to an object whose method table (and, for arrays and strings, length) is stored.
pub unsafe fn object_size(object: *const u8) -> usize {
    // SAFETY: the caller's.
    let shape = unsafe { ObjectShape::of(object) };
    let mut size = shape.base_size();
    if shape.flags & (flags::VECTOR | flags::ARRAY | flags::STRING) != 0 {
        // SAFETY: arrays and strings have a length.
        let mut length = unsafe { read::<u32>(object, ABI.length()) as usize };
        if shape.flags & flags::STRING != 0 {
            length += 1; // the terminating zero
        }
        size += length * shape.component_size();
    }
    (size + 7) & !7
}

impl ObjectModel<Saki> for SakiObjectModel {
    const GLOBAL_LOG_BIT_SPEC: VMGlobalLogBitSpec = VMGlobalLogBitSpec::side_first();
    const LOCAL_FORWARDING_POINTER_SPEC: VMLocalForwardingPointerSpec = VMLocalForwardingPointerSpec::in_header(0);
    #[cfg(target_pointer_width = "64")]
    const LOCAL_FORWARDING_BITS_SPEC: VMLocalForwardingBitsSpec =
        VMLocalForwardingBitsSpec::side_after(Self::LOCAL_MARK_BIT_SPEC.as_spec());
    #[cfg(target_pointer_width = "32")]
    const LOCAL_FORWARDING_BITS_SPEC: VMLocalForwardingBitsSpec = VMLocalForwardingBitsSpec::in_header(0);
    const LOCAL_MARK_BIT_SPEC: VMLocalMarkBitSpec = VMLocalMarkBitSpec::side_after(Self::LOCAL_LOS_MARK_NURSERY_SPEC.as_spec());
    const LOCAL_LOS_MARK_NURSERY_SPEC: VMLocalLOSMarkNurserySpec = VMLocalLOSMarkNurserySpec::side_first();

    const OBJECT_REF_OFFSET_LOWER_BOUND: isize = 0;

    fn copy(from: ObjectReference, semantics: CopySemantics, context: &mut GCWorkerCopyContext<Saki>) -> ObjectReference {
        let bytes = Self::get_current_size(from);
        let to = context.alloc_copy(from, bytes, super::OBJECT_ALIGNMENT, 0, semantics);
        // SAFETY: `to` is fresh memory of `bytes`, `from` is a live object of that size, which begins with its method table.
        unsafe {
            std::ptr::copy_nonoverlapping(from.to_raw_address().to_ptr::<u8>(), to.to_mut_ptr::<u8>(), bytes);
            *to.to_mut_ptr::<usize>() &= !FORWARDING_STATE_MASK;
        }
        let object = ObjectReference::from_raw_address(to).expect("copying gave no memory");
        context.post_copy(object, bytes, semantics);
        object
    }

    fn copy_to(from: ObjectReference, to: ObjectReference, _region: Address) -> Address {
        let bytes = Self::get_current_size(from);
        // SAFETY: as MMTk guarantees for `copy_to`; the areas may overlap.
        unsafe {
            std::ptr::copy(from.to_raw_address().to_ptr::<u8>(), to.to_raw_address().to_mut_ptr::<u8>(), bytes);
        }
        to.to_raw_address() + bytes
    }

    fn get_reference_when_copied_to(_from: ObjectReference, to: Address) -> ObjectReference {
        ObjectReference::from_raw_address(to).expect("an object cannot be copied to address 0")
    }

    fn get_current_size(object: ObjectReference) -> usize {
        // SAFETY: MMTk asks only for live objects.
        unsafe { object_size(object.to_raw_address().to_ptr()) }
    }

    fn get_size_when_copied(object: ObjectReference) -> usize {
        Self::get_current_size(object)
    }

    fn get_align_when_copied(_object: ObjectReference) -> usize {
        super::OBJECT_ALIGNMENT
    }

    fn get_align_offset_when_copied(_object: ObjectReference) -> usize {
        0
    }

    fn get_type_descriptor(_reference: ObjectReference) -> &'static [i8] {
        &[]
    }

    fn ref_to_object_start(object: ObjectReference) -> Address {
        object.to_raw_address()
    }

    fn ref_to_header(object: ObjectReference) -> Address {
        object.to_raw_address()
    }

    fn dump_object(object: ObjectReference) {
        eprintln!("object at {object}");
    }
}
