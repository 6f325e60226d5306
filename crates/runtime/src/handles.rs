//! What the class library's handles hold: a number of the type system plus 1. And the `Type` objects of types.

use crate::domain;
use crate::exceptions::Result;
use crate::fields::KnownField;
use crate::gc::AllocationKind;
use crate::method_table::method_table;
use crate::object::{self, ObjectRef};
use crate::{emit, roots, runtime};
use il::types::{FieldId, MethodId, TypeId};
use std::sync::atomic::Ordering;

/// Value of a `RuntimeTypeHandle`.
pub fn from_type(ty: TypeId) -> usize {
    ty.0 as usize + 1
}

/// Type of a `RuntimeTypeHandle`'s value; `None` for 0.
pub fn to_type(handle: usize) -> Option<TypeId> {
    handle.checked_sub(1).map(|number| TypeId(number as u32))
}

/// Value of a `RuntimeMethodHandle`.
pub fn from_method(method: MethodId) -> usize {
    method.0 as usize + 1
}

/// Method of a `RuntimeMethodHandle`'s value; `None` for 0.
pub fn to_method(handle: usize) -> Option<MethodId> {
    handle.checked_sub(1).map(|number| MethodId(number as u32))
}

/// Value of a `RuntimeFieldHandle`.
pub fn from_field(field: FieldId) -> usize {
    field.0 as usize + 1
}

/// Field of a `RuntimeFieldHandle`'s value; `None` for 0.
pub fn to_field(handle: usize) -> Option<FieldId> {
    handle.checked_sub(1).map(|number| FieldId(number as u32))
}

static TYPE_HANDLE: KnownField = KnownField::new("System", "Type", "_impl");

/// The one `System.RuntimeType` object of a type. It never moves. A type that the program has still to finish is shown by its builder.
pub fn type_object(ty: TypeId) -> Result<ObjectRef> {
    let runtime = runtime();
    let entry = domain::current().type_objects.entry(ty.0);
    let known = entry.load(Ordering::Acquire);
    if !known.is_null() {
        // SAFETY: type objects are never freed.
        return Ok(unsafe { ObjectRef::from_raw(known) });
    }
    if let Some(builder) = emit::types::unfinished(ty)? {
        return Ok(builder);
    }
    let table = method_table(runtime.types.well_known().runtime_type)?;
    let object = object::allocate_of_kind(table, table.base_size as usize, AllocationKind::Immortal)?;
    // SAFETY: `_impl` is a structure of one pointer.
    unsafe { object.write(TYPE_HANDLE.offset(), from_type(ty)) };
    match entry.compare_exchange(std::ptr::null_mut(), object.raw(), Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            roots::keep(object);
            Ok(object)
        }
        // SAFETY: as above.
        Err(other) => Ok(unsafe { ObjectRef::from_raw(other) }),
    }
}

/// Type of a `System.RuntimeType` object; `None` for null.
pub fn type_of(object: ObjectRef) -> Option<TypeId> {
    let object = object.non_null()?;
    // SAFETY: `_impl` is a structure of one pointer.
    to_type(unsafe { object.read(TYPE_HANDLE.offset()) })
}
