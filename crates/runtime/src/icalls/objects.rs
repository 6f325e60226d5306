//! `object`, `string`, `RuntimeHelpers`, `RuntimeImports` and other calls about single objects and plain memory.

use super::{InternalCall, icall, owner_of, raising};
use crate::class_init::ensure_initialized;
use crate::exceptions::{Exception, Result};
use crate::gc::AllocationKind;
use crate::method_table::method_table;
use crate::object::{self, ABI, ArrayRef, ObjectRef, StringRef, write_barrier};
use crate::thread::Thread;
use crate::{cells, delegates, handles, monitor, proxies, runtime, strings};
use compiler::abi::method_table_flags as flags;
use il::types::FieldLocation;

/// Stack that `RuntimeHelpers.EnsureSufficientExecutionStack` asks for, in bytes.
const SUFFICIENT_STACK: usize = 64 << 10;

/// A shallow copy: all fields and elements, but not lock and hash code.
fn clone_object(object: ObjectRef) -> Result<ObjectRef> {
    let table = object.method_table();
    let size = object.size();
    let copy = object::allocate_of_kind(table, size, AllocationKind::Default)?;
    let start = ABI.object_fields() as u32;
    // SAFETY: both objects have this size; the copy is fresh.
    unsafe { std::ptr::copy_nonoverlapping(object.at::<u8>(start), copy.at::<u8>(start), size - start as usize) };
    if table.has(flags::HAS_REFERENCES) {
        write_barrier(copy);
    }
    Ok(copy)
}

extern "C" fn memberwise_clone(this: ObjectRef) -> ObjectRef {
    raising(|| clone_object(this.check()?))
}

extern "C" fn get_hash_code(object: ObjectRef) -> i32 {
    if object.is_null() { 0 } else { monitor::hash_code(object) }
}

extern "C" fn get_type(this: ObjectRef) -> ObjectRef {
    raising(|| handles::type_object(proxies::shown_type(this.check()?)))
}

extern "C" fn type_from_handle(handle: usize) -> ObjectRef {
    raising(|| match handles::to_type(handle) {
        Some(ty) => handles::type_object(ty),
        None => Ok(ObjectRef::NULL),
    })
}

extern "C" fn fast_allocate_string(length: i32) -> StringRef {
    raising(|| {
        let length = usize::try_from(length).map_err(|_| Exception::out_of_memory())?;
        StringRef::with_length(length)
    })
}

extern "C" fn intern(text: StringRef) -> StringRef {
    raising(|| strings::intern(text.argument("str")?.units()))
}

extern "C" fn is_interned(text: StringRef) -> StringRef {
    raising(|| Ok(strings::find(text.argument("str")?.units()).unwrap_or(StringRef::NULL)))
}

extern "C" fn initialize_array(array: ArrayRef, handle: usize) {
    raising(|| {
        let array = array.argument("array")?;
        let field = handles::to_field(handle).ok_or_else(|| Exception::argument_null("fldHandle"))?;
        let types = &runtime().types;
        let bytes = array.len() * array.element_size();
        if array.object().method_table().has(flags::HAS_REFERENCES) {
            return Err(Exception::argument("array", "Cannot initialize array of non-primitive type"));
        }
        if !matches!(types.field_location(field)?, FieldLocation::Rva { .. }) {
            return Err(Exception::argument("field_handle", "Field doesn't have an RVA"));
        }
        let available = method_table(types.field_type(field)?)?.class().value_size as usize;
        if bytes > available {
            return Err(Exception::argument("field_handle", "Field not large enough to fill array"));
        }
        let data = cells::field_data(field)? as *const u8;
        // SAFETY: the field's initial data are as long as its type says; the array has so many bytes.
        unsafe { std::ptr::copy_nonoverlapping(data, array.data::<u8>(), bytes) };
        Ok(())
    })
}

extern "C" fn run_class_constructor(handle: usize) {
    raising(|| {
        let ty = handles::to_type(handle).ok_or_else(|| Exception::argument_null("type"))?;
        ensure_initialized(method_table(ty)?).map(|_| ())
    })
}

extern "C" fn offset_to_string_data() -> i32 {
    ABI.string_chars()
}

extern "C" fn get_object_value(object: ObjectRef) -> ObjectRef {
    raising(|| if object.is_null() || !object.method_table().has(flags::VALUE_TYPE) { Ok(object) } else { clone_object(object) })
}

extern "C" fn has_sufficient_stack() -> bool {
    let here = 0u8;
    std::ptr::from_ref(&here) as usize > Thread::current().stack_limit + SUFFICIENT_STACK
}

extern "C" fn allocate_uninitialized(class: ObjectRef) -> ObjectRef {
    raising(|| {
        let ty = handles::type_of(class).ok_or_else(|| Exception::argument_null("type"))?;
        let header = runtime().types.header(ty)?;
        if header.is_abstract() || header.is_interface() || header.is_array() {
            let name = runtime().types.reflection_name(ty);
            return Err(Exception::new("System", "MemberAccessException", format!("Cannot create an instance of {name}.")));
        }
        object::allocate(method_table(ty)?)
    })
}

extern "C" fn delegate_like(delegate: ObjectRef) -> ObjectRef {
    raising(|| delegates::allocate_multicast(delegate.check()?))
}

extern "C" fn zero_memory(address: *mut u8, length: u32) {
    // SAFETY: the class library's own memory of so many bytes.
    unsafe { std::ptr::write_bytes(address, 0, length as usize) };
}

extern "C" fn copy_memory(destination: *mut u8, source: *const u8, length: i32) {
    // SAFETY: the class library's own areas of so many bytes, without references.
    unsafe { std::ptr::copy(source, destination, length as usize) };
}

extern "C" fn copy_with_barrier(destination: *mut u8, source: *const u8, count: u32, element: usize) {
    raising(|| {
        let ty = handles::to_type(element).ok_or_else(|| Exception::argument_null("type_handle"))?;
        let size = match runtime().types.is_value_type(ty) {
            true => method_table(ty)?.class().value_size as usize,
            false => size_of::<ObjectRef>(),
        };
        // SAFETY: both areas hold so many elements of the type.
        unsafe { std::ptr::copy(source, destination, size * count as usize) };
        let owner = owner_of(destination as usize);
        if !owner.is_null() {
            write_barrier(owner);
        }
        Ok(())
    })
}

extern "C" fn string_to_utf8(text: StringRef) -> *mut u8 {
    if text.is_null() {
        return std::ptr::null_mut();
    }
    native_copy(text.text().as_bytes())
}

/// A copy in the C library's memory, with a 0 at its end; null if there is no memory.
pub(super) fn native_copy(bytes: &[u8]) -> *mut u8 {
    // SAFETY: the area has room for the bytes and the 0.
    unsafe {
        let copy = libc::malloc(bytes.len() + 1) as *mut u8;
        if !copy.is_null() {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), copy, bytes.len());
            copy.add(bytes.len()).write(0);
        }
        copy
    }
}

extern "C" fn free_native(address: *mut u8) {
    // SAFETY: null or an area of `malloc`.
    unsafe { libc::free(address.cast()) };
}

extern "C" fn no(_anything: usize) -> bool {
    false
}

extern "C" fn nothing(_anything: usize) {}

pub(super) const TABLE: &[InternalCall] = &[
    icall("Mono.SafeStringMarshal:GFree (intptr)", free_native as *const ()),
    icall("Mono.SafeStringMarshal:StringToUtf8 (string)", string_to_utf8 as *const ()),
    icall("System.Buffer:InternalMemcpy (byte*,byte*,int)", copy_memory as *const ()),
    icall("System.Delegate:AllocDelegateLike_internal (System.Delegate)", delegate_like as *const ()),
    icall("System.Runtime.CompilerServices.RuntimeHelpers:InitializeArray (System.Array,intptr)", initialize_array as *const ()),
    icall("System.Runtime.CompilerServices.RuntimeHelpers:GetObjectValue (object)", get_object_value as *const ()),
    icall("System.Runtime.CompilerServices.RuntimeHelpers:RunClassConstructor (intptr)", run_class_constructor as *const ()),
    icall("System.Runtime.CompilerServices.RuntimeHelpers:SufficientExecutionStack ()", has_sufficient_stack as *const ()),
    icall("System.Runtime.CompilerServices.RuntimeHelpers:get_OffsetToStringData ()", offset_to_string_data as *const ()),
    icall(
        "System.Runtime.Remoting.Activation.ActivationServices:AllocateUninitializedClassInstance (System.Type)",
        allocate_uninitialized as *const (),
    ),
    icall("System.Runtime.RuntimeImports:Memmove (byte*,byte*,uint)", copy_memory as *const ()),
    icall("System.Runtime.RuntimeImports:Memmove_wbarrier (byte*,byte*,uint,intptr)", copy_with_barrier as *const ()),
    icall("System.Runtime.RuntimeImports:ZeroMemory (void*,uint)", zero_memory as *const ()),
    icall("System.Security.SecurityManager:get_SecurityEnabled ()", no as *const ()),
    icall("System.Security.SecurityManager:set_SecurityEnabled (bool)", nothing as *const ()),
    icall("System.Type:internal_from_handle (intptr)", type_from_handle as *const ()),
    icall("object:GetType ()", get_type as *const ()),
    icall("object:InternalGetHashCode (object)", get_hash_code as *const ()),
    icall("object:MemberwiseClone ()", memberwise_clone as *const ()),
    icall("string:FastAllocateString (int)", fast_allocate_string as *const ()),
    icall("string:InternalIntern (string)", intern as *const ()),
    icall("string:InternalIsInterned (string)", is_interned as *const ()),
];
