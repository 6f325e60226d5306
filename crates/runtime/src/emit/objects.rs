//! What kinds of objects builders are, and the values that they carry.

use crate::object::{ABI, ObjectRef};
use crate::runtime;

/// The kind of a builder or reflection object, by its class.
pub fn class_name(object: ObjectRef) -> &'static str {
    let types = &runtime().types;
    let class = object.type_id();
    match types.definition_of(class) {
        Some((assembly, _)) if assembly == types.corlib() => types.simple_name(class).1,
        _ => "",
    }
}

/// The payload of a boxed value as bytes.
pub fn boxed_bytes(object: ObjectRef) -> Vec<u8> {
    let size = object.method_table().class().value_size as usize;
    // SAFETY: a boxed value has this many bytes behind its header.
    unsafe { std::slice::from_raw_parts(object.at::<u8>(ABI.boxed_payload() as u32), size) }.to_vec()
}
