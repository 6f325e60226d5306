//! Internal calls of `System.Reflection.Emit`.

use super::{InternalCall, icall, raising};
use crate::emit::references::types_of_array;
use crate::emit::{assemblies, attributes, dynamic_methods, files, registry, signatures, tokens, types};
use crate::exceptions::{Exception, Result};
use crate::named_fields::Fields;
use crate::object::{ArrayRef, ObjectRef, StringRef};
use il::types::{AssemblyId, TypeId};
use std::fs::File;
use std::io::Write;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;

extern "C" fn create_dynamic_method(method: ObjectRef) {
    raising(|| dynamic_methods::create(method));
}

extern "C" fn initialize_assembly(builder: ObjectRef) {
    raising(|| assemblies::initialize_assembly(builder));
}

extern "C" fn initialize_module(builder: ObjectRef) {
    raising(|| assemblies::initialize_module(builder));
}

extern "C" fn create_type(builder: ObjectRef) -> ObjectRef {
    raising(|| types::create(builder))
}

extern "C" fn attribute_blob(
    _assembly: ObjectRef,
    constructor: ObjectRef,
    args: ArrayRef,
    properties: ArrayRef,
    property_values: ArrayRef,
    fields: ArrayRef,
    field_values: ArrayRef,
) -> ArrayRef {
    raising(|| {
        let blob = attributes::blob(constructor, args, (properties, property_values), (fields, field_values))?;
        byte_array(&blob)
    })
}

fn byte_array(bytes: &[u8]) -> Result<ArrayRef> {
    let array = ArrayRef::new(TypeId::U1, bytes.len())?;
    // SAFETY: a fresh array of bytes.
    unsafe { array.slice_mut::<u8>() }.copy_from_slice(bytes);
    Ok(array)
}

fn module_of(module: ObjectRef) -> Result<AssemblyId> {
    registry::module_assembly(Fields::of(module)?)
}

extern "C" fn user_string(module: ObjectRef, text: StringRef) -> u32 {
    raising(|| Ok(tokens::add_string(module_of(module)?, text.argument("str")?.units())))
}

extern "C" fn token(module: ObjectRef, object: ObjectRef, open_instance: u8) -> u32 {
    raising(|| tokens::token_for(module_of(module)?, object.argument("obj")?, open_instance != 0))
}

extern "C" fn method_token(module: ObjectRef, method: ObjectRef, variable_arguments: ArrayRef) -> u32 {
    raising(|| {
        let (module, method) = (module_of(module)?, method.argument("method")?);
        match types_of_array(variable_arguments)? {
            arguments if arguments.is_empty() => tokens::token_for(module, method, true),
            arguments => Ok(tokens::call_token(module, method, arguments)),
        }
    })
}

extern "C" fn local_signature(helper: ObjectRef) -> ArrayRef {
    raising(|| byte_array(&signatures::locals(Fields::of(helper)?)?))
}

extern "C" fn field_signature(helper: ObjectRef) -> ArrayRef {
    raising(|| byte_array(&signatures::field(Fields::of(helper)?)?))
}

extern "C" fn register_token(module: ObjectRef, object: ObjectRef, token: u32) {
    raising(|| {
        tokens::register(module_of(module)?, token, object.check()?);
        Ok(())
    });
}

extern "C" fn registered_token(module: ObjectRef, token: u32) -> ObjectRef {
    raising(|| Ok(tokens::registered(module_of(module)?, token).unwrap_or(ObjectRef::NULL)))
}

/// What is written is found out when it is written.
extern "C" fn build_metadata(_module: ObjectRef) {}

extern "C" fn write_to_file(module: ObjectRef, handle: isize) {
    raising(|| {
        let image = files::module_image(module)?;
        // SAFETY: an open file descriptor, which stays the caller's.
        let mut file = ManuallyDrop::new(unsafe { File::from_raw_fd(handle as i32) });
        file.write_all(&image).map_err(|error| Exception::new("System.IO", "IOException", error.to_string()))
    });
}

/// Attributes of the assembly are read when it is saved.
extern "C" fn update_attributes(_assembly: ObjectRef) {}

/// An enumeration gets its type like any other.
extern "C" fn set_up_enumeration(_builder: ObjectRef, _ty: ObjectRef) {}

extern "C" fn set_wrappers_type(_module: ObjectRef, _ty: ObjectRef) {}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.Reflection.Emit.AssemblyBuilder:UpdateNativeCustomAttributes", update_attributes as *const ()),
    icall("System.Reflection.Emit.AssemblyBuilder:basic_init", initialize_assembly as *const ()),
    icall("System.Reflection.Emit.CustomAttributeBuilder:GetBlob", attribute_blob as *const ()),
    icall("System.Reflection.Emit.DynamicMethod:create_dynamic_method", create_dynamic_method as *const ()),
    icall("System.Reflection.Emit.EnumBuilder:setup_enum_type", set_up_enumeration as *const ()),
    icall("System.Reflection.Emit.ModuleBuilder:GetRegisteredToken", registered_token as *const ()),
    icall("System.Reflection.Emit.ModuleBuilder:RegisterToken", register_token as *const ()),
    icall("System.Reflection.Emit.ModuleBuilder:WriteToFile", write_to_file as *const ()),
    icall("System.Reflection.Emit.ModuleBuilder:basic_init", initialize_module as *const ()),
    icall("System.Reflection.Emit.ModuleBuilder:build_metadata", build_metadata as *const ()),
    icall("System.Reflection.Emit.ModuleBuilder:getMethodToken", method_token as *const ()),
    icall("System.Reflection.Emit.ModuleBuilder:getToken", token as *const ()),
    icall("System.Reflection.Emit.ModuleBuilder:getUSIndex", user_string as *const ()),
    icall("System.Reflection.Emit.ModuleBuilder:set_wrappers_type", set_wrappers_type as *const ()),
    icall("System.Reflection.Emit.SignatureHelper:get_signature_field", field_signature as *const ()),
    icall("System.Reflection.Emit.SignatureHelper:get_signature_local", local_signature as *const ()),
    icall("System.Reflection.Emit.TypeBuilder:create_runtime_class", create_type as *const ()),
];
