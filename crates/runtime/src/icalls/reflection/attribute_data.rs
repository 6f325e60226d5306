//! Custom attributes as data, without instances: `CustomAttributeData`.

use super::attributes::{Attribute, NamedMember, attributes_of, named_member};
use super::objects::{assembly_object, assembly_of_object, field_object, method_object, method_of, object_array};
use super::properties::property_handle;
use crate::class_library::core_class;
use crate::exceptions::{Exception, Result};
use crate::icalls::{InternalCall, icall, raising, store_out};
use crate::invoke::{self, Argument};
use crate::method_table::method_table;
use crate::object::{self, ArrayRef, ObjectRef};
use crate::{handles, runtime};
use il::attributes::{ArgumentType, ArgumentValue};
use il::types::{MethodId, TypeId};

const REFLECTION: &str = "System.Reflection";

/// A constructor of a class of `System.Reflection` by the simple names of its parameters' types.
fn constructor(class: TypeId, params: &[&str]) -> Result<MethodId> {
    let types = &runtime().types;
    let fits = |&method: &MethodId| {
        types.method_name(method) == ".ctor"
            && types.method_signature(method).is_ok_and(|signature| {
                signature.params.iter().map(|&param| types.simple_name(param).1).eq(params.iter().copied())
            })
    };
    let found = types.methods_of(class).into_iter().find(fits);
    found.ok_or_else(|| Exception::engine(format!("{} lacks a constructor", types.reflection_name(class))))
}

extern "C" fn attribute_data(object: ObjectRef) -> ArrayRef {
    raising(|| {
        let class = core_class(REFLECTION, "CustomAttributeData")?;
        let constructor = constructor(class, &["ConstructorInfo", "Assembly", "IntPtr", "UInt32"])?;
        let found = attributes_of(object, None)?;
        object_array(class, found.len(), |index| {
            let attribute = &found[index];
            let method = method_object(attribute.constructor, None)?;
            let assembly = assembly_object(attribute.assembly)?;
            let data = object::allocate(method_table(class)?)?;
            let arguments = [
                Argument::reference(data),
                Argument::reference(method),
                Argument::reference(assembly),
                Argument::integer(attribute.blob.as_ptr() as i64),
                Argument::integer(attribute.blob.len() as i64),
            ];
            invoke::call(constructor, &arguments)?;
            Ok(data)
        })
    })
}

/// A boxed `CustomAttributeTypedArgument`.
fn typed_argument(ty: TypeId, value: ObjectRef) -> Result<ObjectRef> {
    let class = core_class(REFLECTION, "CustomAttributeTypedArgument")?;
    let constructor = constructor(class, &["Type", "Object"])?;
    let type_object = handles::type_object(ty)?;
    let holder = object::allocate(method_table(class)?)?;
    let this = Argument::integer(holder.payload::<u8>() as i64);
    invoke::call(constructor, &[this, Argument::reference(type_object), Argument::reference(value)])?;
    Ok(holder)
}

/// A boxed `CustomAttributeNamedArgument`.
fn named_argument(member: ObjectRef, value: ObjectRef) -> Result<ObjectRef> {
    let class = core_class(REFLECTION, "CustomAttributeNamedArgument")?;
    let constructor = constructor(class, &["MemberInfo", "Object"])?;
    let holder = object::allocate(method_table(class)?)?;
    let this = Argument::integer(holder.payload::<u8>() as i64);
    invoke::call(constructor, &[this, Argument::reference(member), Argument::reference(value)])?;
    Ok(holder)
}

extern "C" fn resolve_arguments(
    constructor: ObjectRef,
    assembly: ObjectRef,
    data: *const u8,
    length: u32,
    fixed: *mut ObjectRef,
    named: *mut ObjectRef,
) {
    raising(|| {
        // SAFETY: a blob of a mapped file, as `attribute_data` gave it.
        let blob = unsafe { std::slice::from_raw_parts(data, length as usize) };
        let attribute = Attribute::new(assembly_of_object(assembly)?, method_of(constructor)?, blob);
        let decoded = attribute.decoded()?;
        let values = object_array(TypeId::OBJECT, decoded.params.len(), |index| {
            let (ty, argument) = (decoded.params[index], &decoded.arguments.fixed[index]);
            let value = decoded.object(argument, ty)?;
            // A constructor's argument of type `object` has the type that the value has.
            let shown = match argument {
                ArgumentValue::Boxed(boxed) if !value.is_null() => match &boxed.0 {
                    ArgumentType::Type => runtime().types.well_known().runtime_type,
                    own => decoded.argument_type(own)?,
                },
                _ => ty,
            };
            typed_argument(shown, value)
        })?;
        store_out(fixed, values.object());
        let owner = runtime().types.method(attribute.constructor).owner;
        let values = object_array(TypeId::OBJECT, decoded.arguments.named.len(), |index| {
            let argument = &decoded.arguments.named[index];
            let ty = decoded.argument_type(&argument.ty)?;
            let value = typed_argument(ty, decoded.object(&argument.value, ty)?)?;
            let member = match named_member(owner, argument)? {
                NamedMember::Field(field) => field_object(field, None)?,
                NamedMember::Property(property) => {
                    super::properties::property_object(property_handle(property.owner, property.row), property.owner)?
                }
            };
            named_argument(member, value)
        })?;
        store_out(named, values.object());
        Ok(())
    })
}

pub(in crate::icalls) const TABLE: &[InternalCall] = &[
    icall("System.MonoCustomAttrs:GetCustomAttributesDataInternal", attribute_data as *const ()),
    icall("System.Reflection.CustomAttributeData:ResolveArgumentsInternal", resolve_arguments as *const ()),
];
