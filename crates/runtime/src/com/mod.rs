//! COM, as Mono has it where there is no Windows: interfaces are tables of C functions, and no library stands behind them.
//!
//! [`objects`] lets managed code use native objects, [`wrappers`] lets native code use managed ones. What crosses in a call is the business of
//! [`crate::marshal`] in both directions, as for imported functions and callbacks.

pub mod objects;
pub mod wrappers;

use crate::class_library::core_class;
use crate::exceptions::{Exception, Result};
use crate::invoke::{self, Argument};
use crate::marshal::values::find_method;
use crate::method_table::method_table;
use crate::object::{Object, ObjectRef};
use crate::thread::in_native_code;
use crate::{casts, runtime};
use compiler::marshal::Interface;
use il::types::{MethodId, TypeId};

/// Error codes (`HRESULT`), negative ones.
pub mod codes {
    /// All is well.
    pub const OK: i32 = 0;
    /// Not implemented.
    pub const NOT_IMPLEMENTED: i32 = 0x8000_4001_u32 as i32;
    /// The object has no such interface.
    pub const NO_INTERFACE: i32 = 0x8000_4002_u32 as i32;
    /// A pointer is null.
    pub const NULL_POINTER: i32 = 0x8000_4003_u32 as i32;
    /// An argument is wrong.
    pub const INVALID_ARGUMENT: i32 = 0x8007_0057_u32 as i32;
    /// `IDispatch` knows no such name.
    pub const UNKNOWN_NAME: i32 = 0x8002_0006_u32 as i32;
}

/// An interface's identity, as it lies in memory.
pub type Identity = [u8; 16];

/// The table of `IUnknown`, which every interface's begins with.
#[repr(C)]
struct UnknownTable {
    query_interface: unsafe extern "C" fn(usize, *const Identity, *mut usize) -> i32,
    add_reference: unsafe extern "C" fn(usize) -> i32,
    release: unsafe extern "C" fn(usize) -> i32,
}

/// The table of a native interface.
///
/// # Safety
/// There is a COM interface at `interface`.
unsafe fn table(interface: usize) -> *const UnknownTable {
    // SAFETY: the caller's promise: an interface is a pointer to its table.
    unsafe { (interface as *const *const UnknownTable).read() }
}

/// `IUnknown.QueryInterface`: an error code, and the interface at `result`.
///
/// # Safety
/// There is a COM interface at `interface`.
pub unsafe fn query_interface(interface: usize, identity: *const Identity, result: *mut usize) -> i32 {
    // SAFETY: the caller's promise.
    in_native_code(|| unsafe { ((*table(interface)).query_interface)(interface, identity, result) })
}

/// `IUnknown.AddRef`
///
/// # Safety
/// There is a COM interface at `interface`.
pub unsafe fn add_reference(interface: usize) -> i32 {
    // SAFETY: the caller's promise.
    in_native_code(|| unsafe { ((*table(interface)).add_reference)(interface) })
}

/// `IUnknown.Release`
///
/// # Safety
/// There is a COM interface at `interface`, and the caller owns a reference to it.
pub unsafe fn release(interface: usize) -> i32 {
    // SAFETY: the caller's promise.
    in_native_code(|| unsafe { ((*table(interface)).release)(interface) })
}

/// `Mono.Interop.IUnknown`, which stands for the interface that every object has.
pub fn unknown_interface() -> Result<TypeId> {
    core_class("Mono.Interop", "IUnknown")
}

/// `Mono.Interop.IDispatch`
pub fn dispatch_interface() -> Result<TypeId> {
    core_class("Mono.Interop", "IDispatch")
}

fn object_at(address: usize) -> ObjectRef {
    // SAFETY: results of methods that return references.
    unsafe { ObjectRef::from_raw(address as *mut Object) }
}

/// A method of `System.Runtime.InteropServices.Marshal`.
pub fn marshal_method(name: &str, params: &[TypeId]) -> Result<MethodId> {
    find_method(core_class("System.Runtime.InteropServices", "Marshal")?, name, Some(params))
}

/// The exception of an error code.
pub fn exception_of(code: i32) -> Result<Exception> {
    let method = marshal_method("GetExceptionForHR", &[TypeId::I4])?;
    let exception = object_at(invoke::call(method, &[Argument::integer(i64::from(code))])?);
    Ok(match exception.non_null() {
        Some(exception) => Exception::from_object(exception),
        None => Exception::engine("an error code without an exception"),
    })
}

/// The error code of an exception.
pub fn code_of(exception: Exception) -> Result<i32> {
    let method = marshal_method("GetHRForException", &[runtime().types.well_known().exception])?;
    Ok(invoke::call(method, &[Argument::reference(exception.into_object())])? as i32)
}

/// The interface that native code gets for an object; 0 for null. Its references are not counted.
pub fn native_interface(object: ObjectRef, interface: Interface) -> Result<usize> {
    let Some(object) = object.non_null() else { return Ok(0) };
    match (interface, objects::behind_proxy(object)) {
        (Interface::Unknown, Some(com_object)) => objects::unknown(com_object),
        (Interface::Unknown, None) => wrappers::interface_of(object, unknown_interface()?),
        (Interface::Dispatch, Some(com_object)) => objects::interface(com_object, dispatch_interface()?),
        (Interface::Dispatch, None) => wrappers::dispatch_of(object),
        (Interface::Of(ty), Some(com_object)) if runtime().types.header(ty)?.is_interface() => objects::interface(com_object, ty),
        (Interface::Of(_), Some(com_object)) => objects::unknown(com_object),
        (Interface::Of(ty), None) => wrappers::interface_of_type(object, ty),
    }
}

/// The object that managed code gets for a native interface: the managed object behind it, or one that stands for the native one.
pub fn managed_object(native: usize, interface: Interface) -> Result<ObjectRef> {
    if native == 0 {
        return Ok(ObjectRef::NULL);
    }
    let method = marshal_method("GetObjectForIUnknown", &[TypeId::I])?;
    let object = object_at(invoke::call(method, &[Argument::integer(native as i64)])?);
    match interface {
        Interface::Of(ty) => casts::cast_class(method_table(ty)?, object),
        _ => Ok(object),
    }
}
