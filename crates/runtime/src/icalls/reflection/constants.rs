//! Boxed values: compile-time constants of metadata and integers as objects.

use crate::exceptions::{Exception, Result};
use crate::method_table::method_table;
use crate::object::{self, ObjectRef, StringRef};
use crate::runtime;
use il::Token;
use il::signature::element;
use il::types::{AssemblyId, TypeId};

/// Boxes a value of a class that is no nullable.
///
/// The value must have the class's layout; asserted by size.
pub(super) fn boxed<T: Copy>(ty: TypeId, value: T) -> Result<ObjectRef> {
    let table = method_table(ty)?;
    assert!(table.class().value_size as usize == size_of::<T>(), "a value of another size was boxed");
    // SAFETY: a value of the class's size, and classes boxed here hold no references.
    unsafe { object::box_value(table, (&raw const value).cast()) }
}

/// Boxes an integer as a primitive type or enumeration, cut to its size.
pub(super) fn boxed_integer(ty: TypeId, value: i64) -> Result<ObjectRef> {
    match method_table(ty)?.class().value_size {
        1 => boxed(ty, value as u8),
        2 => boxed(ty, value as u16),
        4 => boxed(ty, value as u32),
        _ => boxed(ty, value),
    }
}

/// The primitive type of a code in signatures.
pub(super) fn primitive_of_code(code: u8) -> Option<TypeId> {
    Some(match code {
        element::BOOLEAN => TypeId::BOOLEAN,
        element::CHAR => TypeId::CHAR,
        element::I1 => TypeId::I1,
        element::U1 => TypeId::U1,
        element::I2 => TypeId::I2,
        element::U2 => TypeId::U2,
        element::I4 => TypeId::I4,
        element::U4 => TypeId::U4,
        element::I8 => TypeId::I8,
        element::U8 => TypeId::U8,
        element::R4 => TypeId::R4,
        element::R8 => TypeId::R8,
        element::I => TypeId::I,
        element::U => TypeId::U,
        _ => return None,
    })
}

/// The integer behind the little-endian bytes of a constant, extended as its type wants.
pub(super) fn integer_of_bytes(code: u8, bytes: &[u8]) -> Option<i64> {
    let mut word = [0u8; 8];
    word[..bytes.len().min(8)].copy_from_slice(&bytes[..bytes.len().min(8)]);
    let word = i64::from_le_bytes(word);
    Some(match code {
        element::I1 => i64::from(word as i8),
        element::I2 => i64::from(word as i16),
        element::I4 => i64::from(word as i32),
        element::BOOLEAN | element::U1 => i64::from(word as u8),
        element::CHAR | element::U2 => i64::from(word as u16),
        element::U4 => i64::from(word as u32),
        element::I8 | element::U8 | element::I | element::U => word,
        _ => return None,
    })
}

/// The constant of a field, parameter or property; `None` if it has none. `as_type` is the enumeration to box it as.
pub(super) fn constant(assembly: AssemblyId, parent: Token, as_type: Option<TypeId>) -> Result<Option<ObjectRef>> {
    let metadata = runtime().types.metadata(assembly);
    let Some(row) = metadata.constant(parent) else { return Ok(None) };
    let bytes = metadata.blob(row.value)?;
    let code = row.kind as u8;
    let object = match code {
        element::STRING => {
            let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
            crate::strings::intern(&units)?.object()
        }
        element::CLASS => ObjectRef::NULL,
        element::R4 => boxed(TypeId::R4, f32::from_bits(u32::from_le_bytes(array_of(bytes)?)))?,
        element::R8 => boxed(TypeId::R8, f64::from_bits(u64::from_le_bytes(array_of(bytes)?)))?,
        _ => {
            let ty = as_type.or(primitive_of_code(code));
            let (Some(ty), Some(value)) = (ty, integer_of_bytes(code, bytes)) else {
                return Err(Exception::engine("a constant of an unknown type"));
            };
            boxed_integer(ty, value)?
        }
    };
    Ok(Some(object))
}

fn array_of<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| Exception::engine("a constant of a wrong size"))
}

/// A string object, or null for `None`.
pub(super) fn optional_string(text: Option<&str>) -> Result<StringRef> {
    text.map_or(Ok(StringRef::NULL), StringRef::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_extended_by_their_type() {
        assert_eq!(integer_of_bytes(element::I1, &[0xff]), Some(-1));
        assert_eq!(integer_of_bytes(element::U1, &[0xff]), Some(255));
        assert_eq!(integer_of_bytes(element::I4, &[0xfe, 0xff, 0xff, 0xff]), Some(-2));
        assert_eq!(integer_of_bytes(element::STRING, &[]), None);
    }
}
