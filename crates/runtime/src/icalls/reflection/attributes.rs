//! Custom attributes: which are on something, and their instances. `MonoCustomAttrs`.

use super::answers::Answers;
use super::constants::{boxed, boxed_integer, primitive_of_code};
use super::events::{EVENT_INFO, token_of_event};
use super::fields::set_value;
use super::invocation;
use super::members::SETTER;
use super::methods::{RUNTIME_PARAMETER_INFO, parameter_place, parameter_row};
use super::objects::{
    ASSEMBLY, CONSTRUCTOR_INFO, FIELD_INFO, METHOD_INFO, MODULE, assembly_of_module, assembly_of_object, field_of, method_of,
    type_of,
};
use super::parameters::parameter_of;
use super::properties::{PROPERTY_INFO, Property, method_of_member, property_of};
use super::relations::{base_type, is_assignable};
use super::type_handles::element_code;
use super::type_names::{Lookup, find_type};
use crate::class_library::KnownClass;
use crate::emit::attributes::attributes_of_builder;
use crate::exceptions::{Exception, Result};
use crate::icalls::{InternalCall, icall, raising};
use crate::object::{ArrayRef, ObjectRef, StringRef};
use crate::{handles, runtime};
use il::attributes::{ArgumentType, ArgumentValue, AttributeArguments, EnumTypes, NamedArgument};
use il::signature::MethodSig;
use il::tables::{CustomAttributeRow, MethodDefRow, PropertyRow};
use il::types::{AssemblyId, FieldId, GenericContext, LoadContext, MethodId, TypeId};
use il::{TableId, Token};
use std::sync::{Arc, LazyLock, OnceLock};

static RUNTIME_TYPE: KnownClass = KnownClass::new("System", "RuntimeType");

/// Where the attributes of a reflection object are written down; `None` for what has none.
fn place_of(object: ObjectRef) -> Result<Option<(AssemblyId, Token)>> {
    let types = &runtime().types;
    Ok(if METHOD_INFO.is_class_of(object) || CONSTRUCTOR_INFO.is_class_of(object) {
        let declaration = types.method(method_of(object)?);
        declaration.row().map(|row| (declaration.assembly, Token::new(TableId::MethodDef, row)))
    } else if RUNTIME_TYPE.is_class_of(object) {
        let ty = type_of(object)?;
        match parameter_of(ty) {
            Some(parameter) => Some((parameter.assembly, Token::new(TableId::GenericParam, parameter.row))),
            None => types.definition_of(ty).map(|(assembly, row)| (assembly, Token::new(TableId::TypeDef, row))),
        }
    } else if FIELD_INFO.is_class_of(object) {
        let field = types.field(field_of(object)?);
        Some((field.assembly, Token::new(TableId::Field, field.row)))
    } else if PROPERTY_INFO.is_class_of(object) {
        let property = property_of(object)?;
        Some((property.assembly, property.token()))
    } else if EVENT_INFO.is_class_of(object) {
        Some(token_of_event(object)?)
    } else if RUNTIME_PARAMETER_INFO.is_class_of(object) {
        let (member, position) = parameter_place(object);
        let method = method_of_member(member)?;
        let row = parameter_row(method, position);
        row.map(|row| (types.method(method).assembly, Token::new(TableId::Param, row)))
    } else if ASSEMBLY.is_class_of(object) {
        Some((assembly_of_object(object)?, Token::new(TableId::Assembly, 1)))
    } else if MODULE.is_class_of(object) {
        Some((assembly_of_module(object)?, Token::new(TableId::Module, 1)))
    } else {
        None
    })
}

/// An attribute on something.
pub(super) struct Attribute {
    /// Assembly that the attribute stands in.
    pub(super) assembly: AssemblyId,
    /// Its constructor.
    pub(super) constructor: MethodId,
    /// Its arguments.
    pub(super) blob: &'static [u8],
    decoded: OnceLock<Decoded>,
}

impl Attribute {
    /// An attribute with arguments that are decoded when they are asked for.
    pub(super) fn new(assembly: AssemblyId, constructor: MethodId, blob: &'static [u8]) -> Attribute {
        Attribute { assembly, constructor, blob, decoded: OnceLock::new() }
    }

    /// Its arguments, decoded.
    pub(super) fn decoded(&self) -> Result<&Decoded> {
        match self.decoded.get() {
            Some(decoded) => Ok(decoded),
            None => {
                let decoded = decode(self)?;
                Ok(self.decoded.get_or_init(|| decoded))
            }
        }
    }
}

/// Where attributes are written down, and the class that was asked for.
type Question = (AssemblyId, Token, Option<TypeId>);

static ANSWERS: LazyLock<Answers<Question, Attribute>> = LazyLock::new(Answers::new);

/// The attributes of a reflection object whose class is `wanted` or derived from it. With `wanted`, attributes of unknown classes
/// are left out; without, they are an error.
pub(super) fn attributes_of(object: ObjectRef, wanted: Option<TypeId>) -> Result<Arc<[Attribute]>> {
    let types = &runtime().types;
    let Some((assembly, parent)) = place_of(object.check()?)? else {
        let Some((assembly, carried)) = attributes_of_builder(object)? else { return Ok([].into()) };
        let mut found = Vec::new();
        for (constructor, blob) in carried {
            if wanted.map_or(Ok(true), |wanted| is_assignable(types.method(constructor).owner, wanted))? {
                found.push(Attribute::new(assembly, constructor, blob));
            }
        }
        return Ok(found.into());
    };
    let question = (assembly, parent, wanted);
    if let Some(known) = ANSWERS.find(&question) {
        return Ok(known);
    }
    let metadata = types.metadata(assembly);
    let mut found = Vec::new();
    let mut is_final = true;
    for row in metadata.custom_attributes_of(parent) {
        let columns: CustomAttributeRow = metadata.row(row)?;
        let constructor = match types.resolve_method(assembly, columns.constructor, &GenericContext::EMPTY) {
            Ok(constructor) => constructor,
            Err(_) if wanted.is_some() => {
                // Its assembly may turn up yet.
                is_final = false;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(wanted) = wanted {
            if !is_assignable(types.method(constructor).owner, wanted)? {
                continue;
            }
        }
        found.push(Attribute::new(assembly, constructor, metadata.blob(columns.value)?));
    }
    let found: Arc<[Attribute]> = found.into();
    if is_final {
        ANSWERS.add(question, found.clone());
    }
    Ok(found)
}

/// Knows enumerations: those of the constructor's signature by its assembly, those named in the blob by the attribute's.
struct Enums {
    constructor: AssemblyId,
    attribute: AssemblyId,
}

impl Enums {
    fn named(&self, name: &str) -> il::Result<TypeId> {
        let types = &runtime().types;
        let lookup = Lookup {
            assemblies: &[self.attribute, self.constructor, types.corlib()],
            ignore_case: false,
            context: LoadContext::Execution,
            asks: false,
            allows_missing: false,
        };
        match find_type(name, &lookup) {
            Ok(Some(ty)) => Ok(ty),
            _ => Err(il::Error::type_load("").with_name(name)),
        }
    }
}

impl EnumTypes for Enums {
    fn underlying_type_of(&self, enum_type: Token) -> il::Result<u8> {
        let types = &runtime().types;
        let ty = types.resolve_type(self.constructor, enum_type, &GenericContext::EMPTY)?;
        Ok(element_code(types.enum_underlying(ty)?))
    }

    fn underlying_type_by_name(&self, enum_type: &str) -> il::Result<u8> {
        Ok(element_code(runtime().types.enum_underlying(self.named(enum_type)?)?))
    }
}

/// A decoded attribute.
pub(super) struct Decoded {
    enums: Enums,
    /// Types of the constructor's parameters.
    pub(super) params: Vec<TypeId>,
    /// What the blob says.
    pub(super) arguments: AttributeArguments,
}

/// Decodes an attribute's arguments.
fn decode(attribute: &Attribute) -> Result<Decoded> {
    let types = &runtime().types;
    let declaration = types.method(attribute.constructor);
    let metadata = types.metadata(declaration.assembly);
    let row: MethodDefRow = metadata.row(declaration.row().unwrap_or(0))?;
    let signature = MethodSig::parse(metadata.blob(row.signature)?)?;
    let enums = Enums { constructor: declaration.assembly, attribute: attribute.assembly };
    let arguments = AttributeArguments::parse(attribute.blob, &signature, &enums)?;
    let params = types.method_signature(attribute.constructor)?.params.to_vec();
    Ok(Decoded { enums, params, arguments })
}

impl Decoded {
    /// The type of a named or boxed argument.
    pub(super) fn argument_type(&self, ty: &ArgumentType) -> Result<TypeId> {
        let types = &runtime().types;
        Ok(match ty {
            ArgumentType::Primitive(code) => primitive_of_code(*code).unwrap_or(TypeId::STRING),
            ArgumentType::Type => types.well_known().type_,
            ArgumentType::Object => TypeId::OBJECT,
            ArgumentType::Enum(token) => types.resolve_type(self.enums.constructor, *token, &GenericContext::EMPTY)?,
            ArgumentType::NamedEnum(name, _) => self.enums.named(name)?,
            ArgumentType::SzArray(element) => types.sz_array(self.argument_type(element)?),
        })
    }

    /// An argument as an object of type `ty`, boxed if it is a value.
    pub(super) fn object(&self, value: &ArgumentValue, ty: TypeId) -> Result<ObjectRef> {
        let types = &runtime().types;
        Ok(match value {
            ArgumentValue::Boolean(value) => boxed_integer(ty, i64::from(*value))?,
            ArgumentValue::Char(value) => boxed_integer(ty, i64::from(*value))?,
            ArgumentValue::I1(value) => boxed_integer(ty, i64::from(*value))?,
            ArgumentValue::U1(value) => boxed_integer(ty, i64::from(*value))?,
            ArgumentValue::I2(value) => boxed_integer(ty, i64::from(*value))?,
            ArgumentValue::U2(value) => boxed_integer(ty, i64::from(*value))?,
            ArgumentValue::I4(value) => boxed_integer(ty, i64::from(*value))?,
            ArgumentValue::U4(value) => boxed_integer(ty, i64::from(*value))?,
            ArgumentValue::I8(value) => boxed_integer(ty, *value)?,
            ArgumentValue::U8(value) => boxed_integer(ty, *value as i64)?,
            ArgumentValue::R4(value) => boxed(TypeId::R4, *value)?,
            ArgumentValue::R8(value) => boxed(TypeId::R8, *value)?,
            ArgumentValue::String(None) | ArgumentValue::Type(None) | ArgumentValue::Array(None) => ObjectRef::NULL,
            ArgumentValue::String(Some(text)) => StringRef::new(text)?.object(),
            ArgumentValue::Type(Some(name)) => {
                let lookup = Lookup {
                    assemblies: &[self.enums.attribute, types.corlib()],
                    ignore_case: false,
                    context: LoadContext::Execution,
                    asks: false,
                    allows_missing: false,
                };
                let found = find_type(name, &lookup)?;
                let missing = || Exception::new("System", "TypeLoadException", format!("Could not load type '{name}'."));
                handles::type_object(found.ok_or_else(missing)?)?
            }
            ArgumentValue::Boxed(boxed) => self.object(&boxed.1, self.argument_type(&boxed.0)?)?,
            ArgumentValue::Array(Some(elements)) => {
                self.array(elements, types.element_type(ty).unwrap_or(TypeId::OBJECT))?.object()
            }
        })
    }

    fn array(&self, elements: &[ArgumentValue], element: TypeId) -> Result<ArrayRef> {
        let is_value_type = runtime().types.is_value_type(element);
        let array = ArrayRef::new(element, elements.len())?;
        for (index, value) in elements.iter().enumerate() {
            let object = self.object(value, element)?;
            if !is_value_type {
                array.set_ref(index, object);
                continue;
            }
            let size = array.element_size();
            let place = array.data::<u8>().wrapping_add(index * size);
            // SAFETY: the box holds a number of the element's size.
            unsafe { std::ptr::copy_nonoverlapping(object.payload::<u8>(), place, size) };
        }
        Ok(array)
    }
}

/// A field or property that an attribute sets.
pub(super) enum NamedMember {
    Field(FieldId),
    Property(Property),
}

/// The member of a named argument, in the attribute's class or its bases.
pub(super) fn named_member(class: TypeId, named: &NamedArgument) -> Result<NamedMember> {
    let types = &runtime().types;
    let mut current = Some(class);
    while let Some(class) = current {
        if named.is_field {
            if let Some(field) = types.find_field(class, &named.name)? {
                return Ok(NamedMember::Field(field));
            }
        } else if let Some((assembly, row)) = types.definition_of(class) {
            let metadata = types.metadata(assembly);
            let has_name =
                |&row: &u32| metadata.row::<PropertyRow>(row).is_ok_and(|columns| metadata.string(columns.name) == &*named.name);
            if let Some(row) = metadata.properties_of(row).find(has_name) {
                return Ok(NamedMember::Property(Property { owner: class, assembly, row }));
            }
        }
        current = base_type(class)?;
    }
    let message = format!("Could not find a field or property with name {}", named.name);
    Err(Exception::new("System.Reflection", "CustomAttributeFormatException", message))
}

/// A new instance of an attribute.
fn instance(attribute: &Attribute) -> Result<ObjectRef> {
    let decoded = attribute.decoded()?;
    let arguments = ArrayRef::new(TypeId::OBJECT, decoded.params.len())?;
    for (index, (value, &ty)) in decoded.arguments.fixed.iter().zip(&decoded.params).enumerate() {
        arguments.set_ref(index, decoded.object(value, ty)?);
    }
    let object = invocation::construct(attribute.constructor, arguments)?;
    for named in &decoded.arguments.named {
        let value = decoded.object(&named.value, decoded.argument_type(&named.ty)?)?;
        match named_member(object.type_id(), named)? {
            NamedMember::Field(field) => set_value(field, object, value)?,
            NamedMember::Property(property) => {
                let setter = property.accessor(SETTER).ok_or_else(|| {
                    let message = format!("'{}' property specified was not found.", named.name);
                    Exception::new("System.Reflection", "CustomAttributeFormatException", message)
                })?;
                let arguments = ArrayRef::new(TypeId::OBJECT, 1)?;
                arguments.set_ref(0, value);
                let setter = runtime().types.resolve_virtual(object.type_id(), setter)?;
                invocation::call(setter, object, arguments)?;
            }
        }
    }
    Ok(object)
}

extern "C" fn instances(object: ObjectRef, wanted: ObjectRef, _pseudo: u8) -> ArrayRef {
    raising(|| {
        let wanted = handles::type_of(wanted);
        let found = attributes_of(object, wanted)?;
        let element = runtime().types.well_known().attribute;
        let array = ArrayRef::new(element, found.len())?;
        for (index, attribute) in found.iter().enumerate() {
            array.set_ref(index, instance(attribute)?);
        }
        Ok(array)
    })
}

extern "C" fn is_defined(object: ObjectRef, wanted: ObjectRef) -> bool {
    raising(|| Ok(!attributes_of(object, Some(type_of(wanted)?))?.is_empty()))
}

pub(in crate::icalls) const TABLE: &[InternalCall] = &[
    icall("System.MonoCustomAttrs:GetCustomAttributesInternal", instances as *const ()),
    icall("System.MonoCustomAttrs:IsDefinedInternal", is_defined as *const ()),
];
