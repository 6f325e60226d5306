//! `System.Runtime.InteropServices.Marshal`: native memory and texts, and structures whose native form is their managed one.

use super::native_text::{c_text, counted_units, terminated_units};
use super::objects::native_copy;
use super::{InternalCall, icall, raising};
use crate::exceptions::{Exception, Result};
use crate::method_table::{MethodTable, method_table};
use crate::object::{self, ArrayRef, ObjectRef, StringRef};
use crate::thread::Thread;
use crate::{handles, runtime};
use il::types::{FieldLocation, TypeId};
use std::ffi::c_char;

/// Bytes of the length in front of a BSTR's text.
const BSTR_PREFIX: usize = 4;

fn allocated(address: *mut u8) -> Result<*mut u8> {
    if address.is_null() { Err(Exception::out_of_memory()) } else { Ok(address) }
}

extern "C" fn allocate(size: usize) -> *mut u8 {
    // An area of no bytes has an address, too.
    // SAFETY: any size is allowed.
    raising(|| allocated(unsafe { libc::malloc(size.max(1)) } as *mut u8))
}

extern "C" fn allocate_task_memory(size: i32) -> *mut u8 {
    allocate(size.max(0) as usize)
}

extern "C" fn reallocate(address: *mut u8, size: usize) -> *mut u8 {
    // SAFETY: null or an area of `malloc`.
    raising(|| allocated(unsafe { libc::realloc(address.cast(), size.max(1)) } as *mut u8))
}

extern "C" fn reallocate_task_memory(address: *mut u8, size: i32) -> *mut u8 {
    reallocate(address, size.max(0) as usize)
}

extern "C" fn free(address: *mut u8) {
    // SAFETY: null or an area of `malloc`.
    unsafe { libc::free(address.cast()) };
}

extern "C" fn last_error() -> i32 {
    Thread::current().last_error
}

extern "C" fn set_last_error(error: i32) {
    Thread::current().last_error = error;
}

extern "C" fn string_from_ansi(text: *const c_char) -> StringRef {
    raising(|| {
        if text.is_null() {
            return Ok(StringRef::NULL);
        }
        // SAFETY: the program passes a text that ends with a 0.
        StringRef::new(&unsafe { c_text(text) })
    })
}

extern "C" fn string_from_counted_ansi(text: *const u8, length: i32) -> StringRef {
    raising(|| {
        if text.is_null() {
            return Err(Exception::argument_null("ptr"));
        }
        // SAFETY: the program passes an area of so many bytes.
        let bytes = unsafe { std::slice::from_raw_parts(text, length.max(0) as usize) };
        StringRef::new(&String::from_utf8_lossy(bytes))
    })
}

extern "C" fn string_from_units(text: *const u16) -> StringRef {
    raising(|| {
        if text.is_null() {
            return Ok(StringRef::NULL);
        }
        // SAFETY: the program passes a text that ends with a 0.
        StringRef::from_units(unsafe { terminated_units(text) })
    })
}

extern "C" fn string_from_counted_units(text: *const u16, length: i32) -> StringRef {
    raising(|| {
        if text.is_null() {
            return Err(Exception::argument_null("ptr"));
        }
        // SAFETY: the program passes so many units.
        StringRef::from_units(unsafe { counted_units(text, length) })
    })
}

extern "C" fn ansi_from_string(text: *const u16, length: i32) -> *mut u8 {
    raising(|| {
        if text.is_null() {
            return Ok(std::ptr::null_mut());
        }
        // SAFETY: the caller passes a pinned string with its length.
        let text = String::from_utf16_lossy(unsafe { counted_units(text, length) });
        allocated(native_copy(text.as_bytes()))
    })
}

/// Copies units behind `prefix` bytes into new memory, with a 0 unit at the end.
///
/// # Safety
/// There are so many units at `text`.
unsafe fn copy_units(text: *const u16, length: i32, prefix: usize) -> Result<*mut u8> {
    // SAFETY: the caller's promise; the area has room for all of it.
    unsafe {
        let units = counted_units(text, length);
        let area = allocated(libc::malloc(prefix + 2 * units.len() + 2) as *mut u8)?;
        let copy = area.add(prefix) as *mut u16;
        std::ptr::copy_nonoverlapping(units.as_ptr(), copy, units.len());
        copy.add(units.len()).write_unaligned(0);
        Ok(area)
    }
}

extern "C" fn units_from_string(text: *const u16, length: i32) -> *mut u8 {
    raising(|| {
        if text.is_null() {
            return Ok(std::ptr::null_mut());
        }
        // SAFETY: the caller passes a pinned string with its length.
        unsafe { copy_units(text, length, 0) }
    })
}

extern "C" fn bstr_from_units(text: *const u16, length: i32) -> *mut u8 {
    raising(|| {
        // SAFETY: the caller passes so many units.
        unsafe {
            let area = copy_units(text, length, BSTR_PREFIX)?;
            (area as *mut u32).write(2 * length.max(0) as u32);
            Ok(area.add(BSTR_PREFIX))
        }
    })
}

extern "C" fn string_from_bstr(text: *const u16) -> StringRef {
    raising(|| {
        if text.is_null() {
            return Err(Exception::argument_null("ptr"));
        }
        // SAFETY: a BSTR has its length in bytes in front.
        unsafe {
            let bytes = (text as *const u8).sub(BSTR_PREFIX).cast::<u32>().read_unaligned();
            StringRef::from_units(counted_units(text, (bytes / 2) as i32))
        }
    })
}

extern "C" fn free_bstr(text: *mut u8) {
    if !text.is_null() {
        free(text.wrapping_sub(BSTR_PREFIX));
    }
}

/// The part of an array that a copy is about: address and bytes.
fn array_range(array: ArrayRef, start: i32, length: i32) -> Result<(*mut u8, usize)> {
    let array = array.argument("array")?;
    if start < 0 || length < 0 || start as usize + length as usize > array.len() {
        return Err(Exception::argument_out_of_range("startIndex"));
    }
    let size = array.element_size();
    Ok((array.data::<u8>().wrapping_add(start as usize * size), length as usize * size))
}

extern "C" fn copy_to_native(source: ArrayRef, start: i32, target: *mut u8, length: i32, _element: *const u8) {
    raising(|| {
        let (address, bytes) = array_range(source, start, length)?;
        // SAFETY: the program passes an area of that size.
        unsafe { std::ptr::copy(address, target, bytes) };
        Ok(())
    })
}

extern "C" fn copy_from_native(source: *const u8, start: i32, target: ArrayRef, length: i32, _element: *const u8) {
    raising(|| {
        let (address, bytes) = array_range(target, start, length)?;
        // SAFETY: the program passes an area of that size; the class library copies arrays of numbers only.
        unsafe { std::ptr::copy(source, address, bytes) };
        Ok(())
    })
}

extern "C" fn address_of_element(array: ArrayRef, index: i32) -> *mut u8 {
    raising(|| {
        let array = array.argument("arr")?;
        Ok(array.data::<u8>().wrapping_add(index as usize * array.element_size()))
    })
}

/// Bytes and class of a structure whose native form is its managed one.
fn blittable(ty: TypeId) -> Result<(&'static MethodTable, usize)> {
    let types = &runtime().types;
    let class = types.class(ty)?;
    let table = method_table(ty)?;
    if class.contains_references || !types.type_args(ty).is_empty() {
        let name = types.reflection_name(ty);
        let message = format!("Type {name} cannot be marshaled as an unmanaged structure.");
        return Err(Exception::with_arguments("System", "ArgumentException", vec![Some(message)]));
    }
    let size = if types.is_value_type(ty) { class.value_size } else { class.instance_size - object::ABI.boxed_payload() as u32 };
    Ok((table, size as usize))
}

fn class_of(class: ObjectRef, name: &str) -> Result<TypeId> {
    handles::type_of(class).ok_or_else(|| Exception::argument_null(name))
}

extern "C" fn size_of_type(class: ObjectRef) -> i32 {
    raising(|| Ok(blittable(class_of(class, "t")?)?.1 as i32))
}

extern "C" fn offset_of_field(class: ObjectRef, name: StringRef) -> isize {
    raising(|| {
        let types = &runtime().types;
        let ty = class_of(class, "t")?;
        let found = types.find_field(ty, &name.argument("fieldName")?.text())?;
        match found.map(|field| types.field_location(field)).transpose()? {
            Some(FieldLocation::Instance { offset }) if types.is_value_type(ty) => Ok(offset as isize),
            Some(FieldLocation::Instance { offset }) => Ok(offset as isize - object::ABI.boxed_payload() as isize),
            _ => Err(Exception::argument("fieldName", "Field not found.")),
        }
    })
}

/// Copies native memory into the fields of an object.
///
/// # Safety
/// There is a structure of the object's class at `source`.
unsafe fn load_structure(source: *const u8, target: ObjectRef) -> Result<()> {
    let (_, size) = blittable(target.type_id())?;
    // SAFETY: the caller's promise; the class holds no references.
    unsafe { std::ptr::copy(source, target.payload(), size) };
    Ok(())
}

extern "C" fn structure_into(source: *const u8, target: ObjectRef) {
    raising(|| {
        let target = target.argument("structure")?;
        if source.is_null() {
            return Err(Exception::argument_null("ptr"));
        }
        // SAFETY: the program passes a structure of the object's class.
        unsafe { load_structure(source, target) }
    })
}

extern "C" fn structure_from(source: *const u8, class: ObjectRef) -> ObjectRef {
    raising(|| {
        let ty = class_of(class, "structureType")?;
        if source.is_null() {
            return Ok(ObjectRef::NULL);
        }
        let object = object::allocate(blittable(ty)?.0)?;
        // SAFETY: the program passes a structure of this class.
        unsafe { load_structure(source, object)? };
        Ok(object)
    })
}

extern "C" fn structure_to(source: ObjectRef, target: *mut u8, _delete_old: u8) {
    raising(|| {
        let source = source.argument("structure")?;
        if target.is_null() {
            return Err(Exception::argument_null("ptr"));
        }
        let (_, size) = blittable(source.type_id())?;
        // SAFETY: the program passes room for a structure of the object's class.
        unsafe { std::ptr::copy(source.payload(), target, size) };
        Ok(())
    })
}

extern "C" fn destroy_structure(_address: *mut u8, class: ObjectRef) {
    raising(|| blittable(class_of(class, "structuretype")?).map(|_| ()))
}

extern "C" fn is_com_object(_object: ObjectRef) -> bool {
    false
}

extern "C" fn prelink(_class: ObjectRef) {}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.Runtime.InteropServices.Marshal:AllocCoTaskMem (int)", allocate_task_memory as *const ()),
    icall("System.Runtime.InteropServices.Marshal:AllocCoTaskMemSize (uintptr)", allocate as *const ()),
    icall("System.Runtime.InteropServices.Marshal:AllocHGlobal (intptr)", allocate as *const ()),
    icall("System.Runtime.InteropServices.Marshal:BufferToBSTR (char*,int)", bstr_from_units as *const ()),
    icall("System.Runtime.InteropServices.Marshal:DestroyStructure (intptr,System.Type)", destroy_structure as *const ()),
    icall("System.Runtime.InteropServices.Marshal:FreeBSTR (intptr)", free_bstr as *const ()),
    icall("System.Runtime.InteropServices.Marshal:FreeCoTaskMem (intptr)", free as *const ()),
    icall("System.Runtime.InteropServices.Marshal:FreeHGlobal (intptr)", free as *const ()),
    icall("System.Runtime.InteropServices.Marshal:GetLastWin32Error ()", last_error as *const ()),
    icall("System.Runtime.InteropServices.Marshal:IsComObject (object)", is_com_object as *const ()),
    icall("System.Runtime.InteropServices.Marshal:OffsetOf (System.Type,string)", offset_of_field as *const ()),
    icall("System.Runtime.InteropServices.Marshal:PrelinkAll (System.Type)", prelink as *const ()),
    icall("System.Runtime.InteropServices.Marshal:PtrToStringAnsi (intptr)", string_from_ansi as *const ()),
    icall("System.Runtime.InteropServices.Marshal:PtrToStringAnsi (intptr,int)", string_from_counted_ansi as *const ()),
    icall("System.Runtime.InteropServices.Marshal:PtrToStringBSTR (intptr)", string_from_bstr as *const ()),
    icall("System.Runtime.InteropServices.Marshal:PtrToStringUni (intptr)", string_from_units as *const ()),
    icall("System.Runtime.InteropServices.Marshal:PtrToStringUni (intptr,int)", string_from_counted_units as *const ()),
    icall("System.Runtime.InteropServices.Marshal:PtrToStructure (intptr,System.Type)", structure_from as *const ()),
    icall("System.Runtime.InteropServices.Marshal:PtrToStructure (intptr,object)", structure_into as *const ()),
    icall("System.Runtime.InteropServices.Marshal:ReAllocCoTaskMem (intptr,int)", reallocate_task_memory as *const ()),
    icall("System.Runtime.InteropServices.Marshal:ReAllocHGlobal (intptr,intptr)", reallocate as *const ()),
    icall("System.Runtime.InteropServices.Marshal:SetLastWin32Error (int)", set_last_error as *const ()),
    icall("System.Runtime.InteropServices.Marshal:SizeOf (System.Type)", size_of_type as *const ()),
    icall("System.Runtime.InteropServices.Marshal:StringToHGlobalAnsi (char*,int)", ansi_from_string as *const ()),
    icall("System.Runtime.InteropServices.Marshal:StringToHGlobalUni (char*,int)", units_from_string as *const ()),
    icall("System.Runtime.InteropServices.Marshal:StructureToPtr (object,intptr,bool)", structure_to as *const ()),
    icall(
        "System.Runtime.InteropServices.Marshal:UnsafeAddrOfPinnedArrayElement (System.Array,int)",
        address_of_element as *const (),
    ),
    icall("System.Runtime.InteropServices.Marshal:copy_from_unmanaged_fixed", copy_from_native as *const ()),
    icall("System.Runtime.InteropServices.Marshal:copy_to_unmanaged_fixed", copy_to_native as *const ()),
];
