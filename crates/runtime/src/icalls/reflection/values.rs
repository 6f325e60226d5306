//! Internal calls of `System.ValueType`: equality and hash codes field by field. Scalars are done here; what has an `Equals` or
//! `GetHashCode` of its own goes back to the class library in an array.

use super::fields::load;
use super::objects::object_array;
use super::relations::is_bare;
use crate::exceptions::Result;
use crate::icalls::{InternalCall, icall, raising, store_out};
use crate::object::{ObjectRef, StringRef};
use crate::runtime;
use il::types::{FieldId, Primitive, TypeId};

/// The instance fields of a value type with type and offset.
fn fields_of(ty: TypeId) -> Result<Vec<(TypeId, u32)>> {
    let types = &runtime().types;
    let fields: Vec<(FieldId, u32)> = types.instance_fields(ty)?.collect();
    fields.into_iter().map(|(field, offset)| Ok((types.field_type(field)?, offset))).collect()
}

/// Size of a field that is compared by its bits, in bytes; floating point is not.
fn plain_size(ty: TypeId) -> Option<usize> {
    let types = &runtime().types;
    if is_bare(ty) {
        return Some(size_of::<usize>());
    }
    Some(match types.primitive_of(types.enum_underlying(ty).ok()?)? {
        Primitive::Boolean | Primitive::I1 | Primitive::U1 => 1,
        Primitive::Char | Primitive::I2 | Primitive::U2 => 2,
        Primitive::I4 | Primitive::U4 => 4,
        Primitive::I8 | Primitive::U8 => 8,
        Primitive::I | Primitive::U => size_of::<usize>(),
        Primitive::R4 | Primitive::R8 | Primitive::Void => return None,
    })
}

/// # Safety
/// There are `size` bytes at the address.
unsafe fn bytes_at(object: ObjectRef, offset: u32, size: usize) -> &'static [u8] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(object.payload::<u8>().add(offset as usize), size) }
}

extern "C" fn equals(first: ObjectRef, second: ObjectRef, fields: *mut ObjectRef) -> bool {
    raising(|| {
        store_out(fields, ObjectRef::NULL);
        let first = first.check()?;
        if second.is_null() || first.type_id() != second.type_id() {
            return Ok(false);
        }
        let mut rest = Vec::new();
        for (ty, offset) in fields_of(first.type_id())? {
            match plain_size(ty) {
                Some(size) => {
                    // SAFETY: both have a field of this size.
                    if unsafe { bytes_at(first, offset, size) != bytes_at(second, offset, size) } {
                        return Ok(false);
                    }
                }
                None if ty == TypeId::STRING => {
                    // SAFETY: both have a field that is a string.
                    let [a, b] = [first, second]
                        .map(|object| unsafe { object.payload::<u8>().add(offset as usize).cast::<StringRef>().read() });
                    let same = a == b || !a.is_null() && !b.is_null() && a.units() == b.units();
                    if !same {
                        return Ok(false);
                    }
                }
                None => rest.push((ty, offset)),
            }
        }
        if rest.is_empty() {
            return Ok(true);
        }
        let pairs = object_array(TypeId::OBJECT, 2 * rest.len(), |index| {
            let (ty, offset) = rest[index / 2];
            let object = if index % 2 == 0 { first } else { second };
            // SAFETY: the object has such a field.
            unsafe { load(ty, object.payload::<u8>().add(offset as usize)) }
        })?;
        store_out(fields, pairs.object());
        Ok(false)
    })
}

extern "C" fn hash_code(object: ObjectRef, fields: *mut ObjectRef) -> i32 {
    /// So that a value without fields does not hash to 0.
    const SEED: i32 = 0x5bd1_e995;
    raising(|| {
        store_out(fields, ObjectRef::NULL);
        let object = object.check()?;
        let mut hash = SEED;
        let mut rest = Vec::new();
        for (ty, offset) in fields_of(object.type_id())? {
            match plain_size(ty) {
                Some(size) => {
                    let mut word = [0u8; 8];
                    // SAFETY: a field of this size.
                    word[..size].copy_from_slice(unsafe { bytes_at(object, offset, size) });
                    let word = i64::from_le_bytes(word);
                    hash ^= word as i32 ^ (word >> 32) as i32;
                }
                None => rest.push((ty, offset)),
            }
        }
        if !rest.is_empty() {
            let values = object_array(TypeId::OBJECT, rest.len(), |index| {
                let (ty, offset) = rest[index];
                // SAFETY: the object has such a field.
                unsafe { load(ty, object.payload::<u8>().add(offset as usize)) }
            })?;
            store_out(fields, values.object());
        }
        Ok(hash)
    })
}

pub(in crate::icalls) const TABLE: &[InternalCall] = &[
    icall("System.ValueType:InternalEquals", equals as *const ()),
    icall("System.ValueType:InternalGetHashCode", hash_code as *const ()),
];
