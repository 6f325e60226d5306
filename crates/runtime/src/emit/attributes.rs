//! Custom attributes: their rows, the blobs of their arguments (ECMA-335 II.23.3), and what reflection finds on builders themselves.

use super::module::ModuleScope;
use super::objects::{boxed_bytes, class_name};
use super::references::{field_reference, finished_method, method_reference, type_id};
use super::registry;
use crate::exceptions::{Exception, Result};
use crate::icalls::reflection::{property_type_and_name, qualified_type_name};
use crate::named_fields::{Elements, Fields};
use crate::object::{ArrayRef, ObjectRef, StringRef};
use crate::runtime;
use il::signature::element;
use il::types::{AssemblyId, MethodId, TypeId, TypeKind, type_attributes};
use il::writer::signatures::{primitive_element, push_compressed};
use il::{TableId, Token};

/// Adds the rows for the attributes of a builder.
pub fn add_attributes(scope: &mut ModuleScope, builder: Fields, owner: Token) -> Result<()> {
    for attribute in builder.elements("cattrs")? {
        let attribute = Fields::of(attribute)?;
        if !scope.is_file && !is_visible(attribute.reference("ctor")?)? {
            continue;
        }
        let constructor = scope.method_token(&method_reference(attribute.reference("ctor")?)?);
        let blob = scope.writer.blob(&attribute.bytes("data")?.unwrap_or_default());
        scope.writer.add_row(TableId::CustomAttribute, &[owner.0, constructor.0, blob]);
    }
    Ok(())
}

/// The constructor of an attribute that a builder carries, and its blob, which stays for good.
pub type BuilderAttribute = (MethodId, &'static [u8]);

/// The attributes that a builder carries, with the assembly in which they stand; `None` for what is no such builder. The builders of other things
/// answer for themselves, in the class library.
pub fn attributes_of_builder(object: ObjectRef) -> Result<Option<(AssemblyId, Vec<BuilderAttribute>)>> {
    let fields = Fields::of(object)?;
    let module = match class_name(object) {
        "AssemblyBuilder" | "ModuleBuilder" => fields,
        "TypeBuilder" => Fields::of(fields.reference("pmodule")?)?,
        "MethodBuilder" | "ConstructorBuilder" => Fields::of(Fields::of(fields.reference("type")?)?.reference("pmodule")?)?,
        "FieldBuilder" => Fields::of(Fields::of(fields.reference("typeb")?)?.reference("pmodule")?)?,
        _ => return Ok(None),
    };
    let assembly = registry::module_assembly(module)?;
    let assembly = registry::owner_of(assembly).map_or(assembly, |owner| owner.main);
    let mut found = Vec::new();
    for attribute in fields.elements("cattrs")? {
        let attribute = Fields::of(attribute)?;
        let constructor = attribute.reference("ctor")?;
        if is_visible(constructor)? {
            let blob = registry::kept_blob(attribute.bytes("data")?.unwrap_or_default());
            found.push((finished_method(constructor)?, blob));
        }
    }
    Ok(Some((assembly, found)))
}

/// Whether an attribute with this constructor is seen on what a program makes: Mono leaves out those whose class another assembly keeps for itself.
fn is_visible(constructor: ObjectRef) -> Result<bool> {
    const PUBLIC: u32 = 1;
    const NESTED_PUBLIC: u32 = 2;
    let types = &runtime().types;
    let owner = method_reference(constructor)?.owner;
    if registry::builder_of(types.generic_definition_type(owner)).is_some() {
        return Ok(true);
    }
    Ok(matches!(types.header(owner)?.attributes & type_attributes::VISIBILITY, PUBLIC | NESTED_PUBLIC))
}

/// A property or field that an attribute sets, with its value.
struct Named {
    tag: u8,
    ty: TypeId,
    name: String,
}

/// The blob of an attribute: constructor arguments, then what is set by name.
pub fn blob(
    constructor: ObjectRef,
    args: ArrayRef,
    properties: (ArrayRef, ArrayRef),
    fields: (ArrayRef, ArrayRef),
) -> Result<Vec<u8>> {
    const PROLOG: [u8; 2] = [1, 0];
    let types = &runtime().types;
    let constructor = method_reference(constructor)?;
    let mut bytes = PROLOG.to_vec();
    let context = types.type_context(constructor.owner);
    for (index, &param) in constructor.signature.params.iter().enumerate() {
        push_value(&mut bytes, types.substitute(param, &context), element_of(args, index))?;
    }
    let count = |array: ArrayRef| if array.is_null() { 0 } else { array.len() };
    bytes.extend(((count(properties.0) + count(fields.0)) as u16).to_le_bytes());
    for (index, property) in Elements::of(properties.0).enumerate() {
        push_named(&mut bytes, property_of(property)?, element_of(properties.1, index))?;
    }
    for (index, field) in Elements::of(fields.0).enumerate() {
        let field = field_reference(field)?;
        let named = Named { tag: element::FIELD, ty: field.ty, name: field.name };
        push_named(&mut bytes, named, element_of(fields.1, index))?;
    }
    Ok(bytes)
}

fn element_of(array: ArrayRef, index: usize) -> ObjectRef {
    if array.is_null() || index >= array.len() { ObjectRef::NULL } else { array.get_ref(index) }
}

fn property_of(property: ObjectRef) -> Result<Named> {
    let (ty, name) = match class_name(property) {
        "PropertyBuilder" => {
            let fields = Fields::of(property)?;
            (type_id(fields.reference("type")?)?, fields.text("name")?)
        }
        _ => property_type_and_name(property)?,
    };
    Ok(Named { tag: element::PROPERTY, ty, name })
}

fn push_named(bytes: &mut Vec<u8>, named: Named, value: ObjectRef) -> Result<()> {
    bytes.push(named.tag);
    push_field_type(bytes, named.ty)?;
    push_text(bytes, Some(&named.name));
    push_value(bytes, named.ty, value)
}

/// Appends a text with its length; `None` for null.
fn push_text(bytes: &mut Vec<u8>, text: Option<&str>) {
    const NULL: u8 = 0xff;
    match text {
        Some(text) => {
            push_compressed(bytes, text.len() as u32);
            bytes.extend(text.as_bytes());
        }
        None => bytes.push(NULL),
    }
}

/// Appends a type as it is spelled before a value.
fn push_field_type(bytes: &mut Vec<u8>, ty: TypeId) -> Result<()> {
    let types = &runtime().types;
    match types.kind(ty) {
        TypeKind::Primitive(primitive) => bytes.push(primitive_element(*primitive)),
        TypeKind::SzArray(inner) => {
            bytes.push(element::SZARRAY);
            push_field_type(bytes, *inner)?;
        }
        _ if ty == TypeId::STRING => bytes.push(element::STRING),
        _ if ty == TypeId::OBJECT => bytes.push(element::BOXED),
        _ if is_type(ty)? => bytes.push(element::SYSTEM_TYPE),
        _ => {
            bytes.push(element::ENUM);
            push_text(bytes, Some(&qualified_type_name(ty)));
        }
    }
    Ok(())
}

fn is_type(ty: TypeId) -> Result<bool> {
    let types = &runtime().types;
    Ok(types.is_reference_type(ty) && types.is_assignable(ty, types.well_known().type_)?)
}

/// Appends a value of a parameter, property or field of type `ty`.
fn push_value(bytes: &mut Vec<u8>, ty: TypeId, value: ObjectRef) -> Result<()> {
    const NULL_ARRAY: u32 = u32::MAX;
    let types = &runtime().types;
    match types.kind(ty) {
        TypeKind::SzArray(inner) => match value.as_array() {
            None => bytes.extend(NULL_ARRAY.to_le_bytes()),
            Some(array) => {
                bytes.extend((array.len() as u32).to_le_bytes());
                for index in 0..array.len() {
                    push_element(bytes, *inner, array, index)?;
                }
            }
        },
        _ if ty == TypeId::STRING => push_string(bytes, value),
        _ if ty == TypeId::OBJECT => match value.non_null() {
            // A null object is written as a null string.
            None => {
                bytes.push(element::STRING);
                push_text(bytes, None);
            }
            Some(value) => {
                let own = if is_type(value.type_id())? { types.well_known().type_ } else { value.type_id() };
                push_field_type(bytes, own)?;
                push_value(bytes, own, value)?;
            }
        },
        _ if is_type(ty)? => match value.non_null() {
            None => push_text(bytes, None),
            Some(value) => push_text(bytes, Some(&qualified_type_name(type_id(value)?))),
        },
        _ => match value.non_null() {
            Some(value) if types.is_value_type(value.type_id()) => bytes.extend(boxed_bytes(value)),
            _ => return Err(Exception::argument("value", "An attribute's argument does not fit its type.")),
        },
    }
    Ok(())
}

fn push_element(bytes: &mut Vec<u8>, ty: TypeId, array: ArrayRef, index: usize) -> Result<()> {
    if runtime().types.is_reference_type(array.element_type()) {
        return push_value(bytes, ty, array.get_ref(index));
    }
    let size = array.element_size();
    // SAFETY: the index is less than the array's length.
    bytes.extend(unsafe { std::slice::from_raw_parts(array.data::<u8>().add(index * size), size) });
    Ok(())
}

fn push_string(bytes: &mut Vec<u8>, value: ObjectRef) {
    push_text(bytes, value.as_string().map(StringRef::text).as_deref());
}
