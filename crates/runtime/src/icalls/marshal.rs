//! `System.Runtime.InteropServices.Marshal`: native memory, texts, structures, function pointers.

use super::native_text::{c_text, counted_units, terminated_units};
use super::{InternalCall, icall, raising};
use crate::exceptions::{Exception, Result};
use crate::marshal::{self, callbacks, text, values};
use crate::object::{ArrayRef, ObjectRef, StringRef};
use crate::thread::Thread;
use crate::{handles, runtime};
use compiler::marshal::Text;
use compiler::marshal::layout::NativeLayout;
use il::types::{TypeId, TypeKind};
use std::ffi::c_char;
use std::sync::Arc;

/// `LayoutMask` of a type's attributes: zero where there is no fixed layout (ECMA-335 II.23.1.15).
const LAYOUT_MASK: u32 = 0x18;

extern "C" fn allocate(size: usize) -> *mut u8 {
    raising(|| text::allocate(size))
}

extern "C" fn allocate_task_memory(size: i32) -> *mut u8 {
    allocate(size.max(0) as usize)
}

extern "C" fn reallocate(address: *mut u8, size: usize) -> *mut u8 {
    // SAFETY: null or an area of `malloc`.
    let moved = unsafe { libc::realloc(address.cast(), size.max(1)) } as *mut u8;
    raising(|| if moved.is_null() { Err(Exception::out_of_memory()) } else { Ok(moved) })
}

extern "C" fn reallocate_task_memory(address: *mut u8, size: i32) -> *mut u8 {
    reallocate(address, size.max(0) as usize)
}

extern "C" fn free(address: *mut u8) {
    text::free(address);
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

/// A native copy of units of a pinned string; null for null.
fn native_text(form: Text, units: *const u16, length: i32) -> *mut u8 {
    if units.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: the caller passes a pinned string with its length.
    raising(|| text::native_copy(form, unsafe { counted_units(units, length) }))
}

extern "C" fn ansi_from_string(units: *const u16, length: i32) -> *mut u8 {
    native_text(Text::Utf8, units, length)
}

extern "C" fn units_from_string(units: *const u16, length: i32) -> *mut u8 {
    native_text(Text::Utf16, units, length)
}

extern "C" fn bstr_from_units(units: *const u16, length: i32) -> *mut u8 {
    native_text(Text::Bstr, units, length)
}

extern "C" fn string_from_bstr(address: *const u8) -> StringRef {
    raising(|| {
        if address.is_null() {
            return Err(Exception::argument_null("ptr"));
        }
        // SAFETY: the program passes a BSTR.
        unsafe { text::managed_string(Text::Bstr, address) }
    })
}

extern "C" fn free_bstr(address: *mut u8) {
    text::free_text(Text::Bstr, address);
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

fn class_of(class: ObjectRef, name: &str) -> Result<TypeId> {
    handles::type_of(class).ok_or_else(|| Exception::argument_null(name))
}

/// The native layout of a structure or class; of a built-in type that of the structure that holds it.
fn layout_of(ty: TypeId) -> Result<Arc<NativeLayout>> {
    let types = &runtime().types;
    let has_layout = types.definition_of(ty).is_some() && types.header(ty)?.attributes & LAYOUT_MASK != 0;
    if !has_layout {
        let name = types.simple_name(ty).1;
        let message = format!("Type {name} cannot be marshaled as an unmanaged structure.");
        return Err(Exception::with_arguments("System", "ArgumentException", vec![Some(message), Some("t".into())]));
    }
    marshal::layout(ty)
}

extern "C" fn size_of_type(class: ObjectRef) -> i32 {
    raising(|| {
        let ty = class_of(class, "t")?;
        match runtime().types.kind(ty) {
            TypeKind::Pointer(_) | TypeKind::FunctionPointer(_) => Ok(size_of::<usize>() as i32),
            _ => Ok(layout_of(ty)?.size as i32),
        }
    })
}

extern "C" fn offset_of_field(class: ObjectRef, name: StringRef) -> isize {
    raising(|| {
        let types = &runtime().types;
        let name = name.argument("fieldName")?.text();
        let layout = layout_of(class_of(class, "t")?)?;
        let found = layout.fields.iter().rfind(|field| types.field_name(field.field) == name);
        let found =
            found.ok_or_else(|| Exception::argument("fieldName", "Field passed in is not a marshaled member of the type"))?;
        Ok(found.native_offset as isize)
    })
}

extern "C" fn structure_into(source: *const u8, target: ObjectRef) {
    raising(|| {
        let target = target.argument("structure")?;
        if source.is_null() {
            return Err(Exception::argument_null("ptr"));
        }
        if runtime().types.is_value_type(target.type_id()) {
            return Err(Exception::argument("structure", "Destination is a boxed value type."));
        }
        // SAFETY: the program passes a structure of the object's class.
        unsafe { values::object_to_managed(source, target) }
    })
}

extern "C" fn structure_from(source: *const u8, class: ObjectRef) -> ObjectRef {
    raising(|| {
        let ty = class_of(class, "structureType")?;
        if source.is_null() {
            return Ok(ObjectRef::NULL);
        }
        // SAFETY: the program passes a structure of this class.
        unsafe { values::managed_object(ty, source) }
    })
}

extern "C" fn structure_to(source: ObjectRef, target: *mut u8, delete_old: u8) {
    raising(|| {
        let source = source.argument("structure")?;
        if target.is_null() {
            return Err(Exception::argument_null("ptr"));
        }
        // SAFETY: the program passes room for a structure of the object's class, with such a one in it if it is to be deleted.
        unsafe {
            if delete_old != 0 {
                values::release_fields(source.type_id(), target)?;
            }
            values::object_to_native(source, target)
        }
    })
}

extern "C" fn destroy_structure(address: *mut u8, class: ObjectRef) {
    raising(|| {
        let ty = class_of(class, "structuretype")?;
        if address.is_null() {
            return Err(Exception::argument_null("ptr"));
        }
        // SAFETY: the program passes a structure of this class.
        unsafe { values::release_fields(ty, address) }
    });
}

extern "C" fn function_pointer(delegate: ObjectRef) -> usize {
    raising(|| callbacks::function_pointer(delegate.argument("d")?))
}

extern "C" fn delegate_for(pointer: usize, class: ObjectRef) -> ObjectRef {
    raising(|| callbacks::delegate_for(pointer, class_of(class, "t")?))
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
    icall(
        "System.Runtime.InteropServices.Marshal:GetDelegateForFunctionPointerInternal (intptr,System.Type)",
        delegate_for as *const (),
    ),
    icall(
        "System.Runtime.InteropServices.Marshal:GetFunctionPointerForDelegateInternal (System.Delegate)",
        function_pointer as *const (),
    ),
    icall("System.Runtime.InteropServices.Marshal:GetLastWin32Error ()", last_error as *const ()),
    icall("System.Runtime.InteropServices.Marshal:OffsetOf (System.Type,string)", offset_of_field as *const ()),
    icall("System.Runtime.InteropServices.Marshal:Prelink (System.Reflection.MethodInfo)", prelink as *const ()),
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
