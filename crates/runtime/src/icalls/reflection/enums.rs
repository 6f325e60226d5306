//! Internal calls of `System.Enum`.

use super::constants::{boxed_integer, integer_of_bytes};
use super::objects::{object_array, type_of};
use crate::exceptions::{Exception, Result};
use crate::icalls::{InternalCall, icall, raising, store_out};
use crate::method_table::method_table;
use crate::object::{self, ArrayRef, ObjectRef, StringRef};
use crate::{handles, runtime};
use il::types::TypeId;
use il::{TableId, Token};

/// The value of a boxed enumeration or integer, extended as its type wants.
fn integer_in(object: ObjectRef) -> Result<i64> {
    let object = object.check()?;
    let underlying = runtime().types.enum_underlying(object.type_id())?;
    let size = object.method_table().class().value_size as usize;
    // SAFETY: the payload of a boxed value of this size.
    let bytes = unsafe { std::slice::from_raw_parts(object.payload::<u8>(), size) };
    integer_of_bytes(super::type_handles::element_code(underlying), bytes)
        .ok_or_else(|| Exception::argument("value", "The value is no enumeration."))
}

fn is_unsigned(ty: TypeId) -> bool {
    matches!(ty, TypeId::U1 | TypeId::U2 | TypeId::U4 | TypeId::U8 | TypeId::U | TypeId::CHAR | TypeId::BOOLEAN)
}

fn enum_of(ty: ObjectRef) -> Result<TypeId> {
    let ty = type_of(ty)?;
    let types = &runtime().types;
    let is_enum = types.header(ty).is_ok_and(|header| header.is_enum());
    if is_enum { Ok(ty) } else { Err(Exception::argument("enumType", "Type provided must be an Enum.")) }
}

extern "C" fn values_and_names(ty: ObjectRef, values: *mut ObjectRef, names: *mut ObjectRef) -> bool {
    raising(|| {
        let types = &runtime().types;
        let ty = enum_of(ty)?;
        let mut found = Vec::new();
        for &field in types.fields_of(ty)? {
            let declaration = types.field(field);
            if !declaration.is_literal() {
                continue;
            }
            let metadata = types.metadata(declaration.assembly);
            if let Some(row) = metadata.constant(Token::new(TableId::Field, declaration.row)) {
                let value = integer_of_bytes(row.kind as u8, metadata.blob(row.value)?);
                found.push((value.unwrap_or(0) as u64, types.field_name(field)));
            }
        }
        let array = ArrayRef::new(TypeId::U8, found.len())?;
        // SAFETY: a fresh array of 64-bit integers.
        for (place, &(value, _)) in unsafe { array.slice_mut::<u64>() }.iter_mut().zip(&found) {
            *place = value;
        }
        let text = object_array(TypeId::STRING, found.len(), |index| Ok(StringRef::new(found[index].1)?.object()))?;
        store_out(values, array.object());
        store_out(names, text.object());
        Ok(found.is_sorted_by_key(|&(value, _)| value))
    })
}

extern "C" fn underlying_type(ty: ObjectRef) -> ObjectRef {
    raising(|| handles::type_object(runtime().types.enum_underlying(enum_of(ty)?)?))
}

extern "C" fn box_enum(ty: ObjectRef, value: i64) -> ObjectRef {
    raising(|| boxed_integer(enum_of(ty)?, value))
}

extern "C" fn value(this: ObjectRef) -> ObjectRef {
    raising(|| {
        let underlying = method_table(runtime().types.enum_underlying(this.check()?.type_id())?)?;
        // SAFETY: an enumeration's payload is a value of its underlying type.
        unsafe { object::box_value(underlying, this.payload()) }
    })
}

extern "C" fn compare(this: ObjectRef, other: ObjectRef) -> i32 {
    const DIFFERENT_TYPES: i32 = 2;
    raising(|| {
        if other.is_null() {
            return Ok(1);
        }
        if this.check()?.type_id() != other.type_id() {
            return Ok(DIFFERENT_TYPES);
        }
        let (a, b) = (integer_in(this)?, integer_in(other)?);
        let underlying = runtime().types.enum_underlying(this.type_id())?;
        Ok(if is_unsigned(underlying) { (a as u64).cmp(&(b as u64)) } else { a.cmp(&b) } as i32)
    })
}

extern "C" fn has_flag(this: ObjectRef, flags: ObjectRef) -> bool {
    raising(|| {
        let wanted = integer_in(flags)?;
        Ok(integer_in(this)? & wanted == wanted)
    })
}

/// The hash code of the underlying integer, as its own `GetHashCode` computes it.
extern "C" fn hash_code(this: ObjectRef) -> i32 {
    raising(|| {
        let value = integer_in(this)?;
        Ok(match runtime().types.enum_underlying(this.type_id())? {
            TypeId::I1 => value as i32 ^ (value as i32) << 8,
            TypeId::I2 => i32::from(value as u16) | (value as i32) << 16,
            TypeId::I8 | TypeId::U8 | TypeId::I | TypeId::U => value as i32 ^ (value >> 32) as i32,
            _ => value as i32,
        })
    })
}

pub(in crate::icalls) const TABLE: &[InternalCall] = &[
    icall("System.Enum:GetEnumValuesAndNames", values_and_names as *const ()),
    icall("System.Enum:InternalGetUnderlyingType", underlying_type as *const ()),
    icall("System.Enum:InternalBoxEnum", box_enum as *const ()),
    icall("System.Enum:get_value", value as *const ()),
    icall("System.Enum:InternalCompareTo", compare as *const ()),
    icall("System.Enum:InternalHasFlag", has_flag as *const ()),
    icall("System.Enum:get_hashcode", hash_code as *const ()),
];
