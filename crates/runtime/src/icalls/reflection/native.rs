//! What passes between the runtime and the class library in native memory: pointer arrays, zero-terminated strings, descriptions of
//! generic parameters. Memory that the library frees comes from `malloc`.

use super::Handle;
use super::objects::type_of;
use super::parameters::parameter_of;
use crate::exceptions::{Exception, Result};
use crate::handles;
use crate::icalls::{InternalCall, icall, raising};
use crate::object::{ObjectRef, StringRef};
use il::types::TypeId;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::ffi::{CStr, c_char, c_void};
use std::sync::LazyLock;

/// `Mono.RuntimeStructs.GPtrArray`
#[repr(C)]
struct PointerArray {
    data: *mut usize,
    length: i32,
}

/// `Mono.RuntimeStructs.GenericParamInfo`
#[repr(C)]
struct GenericParameterInfo {
    class: Handle,
    name: *mut c_char,
    flags: u16,
    token: u32,
    /// Type handles up to a zero.
    constraints: *mut Handle,
}

/// `malloc` of at least one byte.
fn allocate<T>(count: usize) -> Result<*mut T> {
    // SAFETY: plain allocation.
    let memory = unsafe { libc::malloc((count * size_of::<T>()).max(1)) };
    if memory.is_null() { Err(Exception::out_of_memory()) } else { Ok(memory.cast()) }
}

/// A pointer array to be freed by the class library.
pub(super) fn pointer_array(values: &[usize]) -> Result<isize> {
    let array = allocate::<PointerArray>(1)?;
    let data = allocate::<usize>(values.len())?;
    // SAFETY: fresh memory of these sizes.
    unsafe {
        std::ptr::copy_nonoverlapping(values.as_ptr(), data, values.len());
        array.write(PointerArray { data, length: values.len() as i32 });
    }
    Ok(array as isize)
}

/// A zero-terminated copy of a text from `malloc`.
pub(super) fn native_string(text: &str) -> Result<*mut c_char> {
    let memory = allocate::<u8>(text.len() + 1)?;
    // SAFETY: fresh memory of this size.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), memory, text.len());
        memory.add(text.len()).write(0);
    }
    Ok(memory.cast())
}

/// The text of a zero-terminated string; null gives `None`.
pub(super) fn text_at(address: *const c_char) -> Option<String> {
    if address.is_null() {
        return None;
    }
    // SAFETY: the class library passes what `native_string` made.
    Some(unsafe { CStr::from_ptr(address) }.to_string_lossy().into_owned())
}

/// Frees memory of `malloc`; null is allowed.
pub(super) fn free<T>(memory: *mut T) {
    // SAFETY: the class library frees once what it got from here.
    unsafe { libc::free(memory.cast::<c_void>()) }
}

extern "C" fn pointer_array_free(array: *mut c_void) {
    let array = array.cast::<PointerArray>();
    if !array.is_null() {
        // SAFETY: the class library passes what `pointer_array` made.
        free(unsafe { (*array).data });
        free(array);
    }
}

extern "C" fn string_to_utf8(text: StringRef) -> *mut c_char {
    raising(|| if text.is_null() { Ok(std::ptr::null_mut()) } else { native_string(&text.text()) })
}

extern "C" fn string_free(memory: *mut c_char) {
    free(memory);
}

/// A class is described by its type's handle.
extern "C" fn type_from_class(class: Handle) -> Handle {
    class
}

extern "C" fn generic_parameter_info(ty: ObjectRef) -> usize {
    static INFOS: LazyLock<Mutex<FxHashMap<TypeId, usize>>> = LazyLock::new(Mutex::default);
    raising(|| {
        let ty = type_of(ty)?;
        if let Some(&known) = INFOS.lock().get(&ty) {
            return Ok(known);
        }
        let parameter = parameter_of(ty).ok_or_else(|| Exception::invalid_operation("The type is not a generic parameter."))?;
        let mut constraints: Vec<Handle> = parameter.constraints()?.into_iter().map(handles::from_type).collect();
        constraints.push(0);
        let types = &crate::runtime().types;
        let info = Box::leak(Box::new(GenericParameterInfo {
            class: handles::from_type(ty),
            name: native_string(types.metadata(parameter.assembly).string(parameter.columns.name))?,
            flags: parameter.columns.flags,
            token: il::Token::new(il::TableId::GenericParam, parameter.row).0,
            constraints: Vec::leak(constraints).as_mut_ptr(),
        }));
        let address = std::ptr::from_mut(info) as usize;
        Ok(*INFOS.lock().entry(ty).or_insert(address))
    })
}

pub(in crate::icalls) const TABLE: &[InternalCall] = &[
    icall("Mono.RuntimeGPtrArrayHandle:GPtrArrayFree", pointer_array_free as *const ()),
    icall("Mono.SafeStringMarshal:StringToUtf8", string_to_utf8 as *const ()),
    icall("Mono.SafeStringMarshal:GFree", string_free as *const ()),
    icall("Mono.RuntimeClassHandle:GetTypeFromClass", type_from_class as *const ()),
    icall("System.RuntimeTypeHandle:GetGenericParameterInfo", generic_parameter_info as *const ()),
];
