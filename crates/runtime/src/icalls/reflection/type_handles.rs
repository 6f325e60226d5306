//! Internal calls of `System.RuntimeTypeHandle` and `System.Type`.

use super::names::assembly_of;
use super::objects::{assembly_object, module_object, type_of};
use super::parameters::{is_definition, parameter_of};
use super::relations::{base_type, is_assignable, is_bare, is_subclass};
use super::type_names::{Lookup, Meaning, find_type, meaning_of};
use super::{Handle, assemblies};
use crate::emit::{registry, tokens};
use crate::exceptions::{Exception, Result};
use crate::icalls::{InternalCall, assembly_events, icall, raising};
use crate::object::{ObjectRef, StringRef};
use crate::{handles, proxies, runtime};
use il::signature::element;
use il::types::{Primitive, TypeId, TypeKind, type_attributes};
use il::{TableId, Token};

const PUBLIC: u32 = 1;
const SERIALIZABLE: u32 = 0x2000;

extern "C" fn from_handle(handle: Handle) -> ObjectRef {
    raising(|| match handles::to_type(handle) {
        Some(ty) => handles::type_object(ty),
        None => Ok(ObjectRef::NULL),
    })
}

extern "C" fn attributes(ty: ObjectRef) -> u32 {
    raising(|| attributes_of(type_of(ty)?))
}

/// `TypeAttributes` of any type.
pub(super) fn attributes_of(ty: TypeId) -> Result<u32> {
    let types = &runtime().types;
    if parameter_of(ty).is_some() {
        return Ok(PUBLIC);
    }
    match *types.kind(ty) {
        TypeKind::ByRef(_) | TypeKind::FunctionPointer(_) => Ok(0),
        TypeKind::Pointer(target) => Ok(attributes_of(target)? & type_attributes::VISIBILITY),
        TypeKind::SzArray(inner) | TypeKind::Array { element: inner, .. } => {
            Ok(attributes_of(inner)? & type_attributes::VISIBILITY | SERIALIZABLE | type_attributes::SEALED)
        }
        _ => Ok(types.header(ty)?.attributes),
    }
}

/// The code of a type in signatures (`CorElementType`).
pub(super) fn element_code(ty: TypeId) -> u8 {
    const CODES: [u8; Primitive::ALL.len()] = [
        element::VOID,
        element::BOOLEAN,
        element::CHAR,
        element::I1,
        element::U1,
        element::I2,
        element::U2,
        element::I4,
        element::U4,
        element::I8,
        element::U8,
        element::R4,
        element::R8,
        element::I,
        element::U,
    ];
    let types = &runtime().types;
    match types.kind(ty) {
        TypeKind::Primitive(primitive) => CODES[*primitive as usize],
        TypeKind::TypedReference => element::TYPEDBYREF,
        TypeKind::SzArray(_) => element::SZARRAY,
        TypeKind::Array { .. } => element::ARRAY,
        TypeKind::Pointer(_) => element::PTR,
        TypeKind::ByRef(_) => element::BYREF,
        TypeKind::FunctionPointer(_) => element::FNPTR,
        TypeKind::Var(_) => element::VAR,
        TypeKind::MVar(_) => element::MVAR,
        TypeKind::Instance { .. } => element::GENERICINST,
        TypeKind::Class { .. } | TypeKind::Canon => match ty {
            TypeId::STRING => element::STRING,
            TypeId::OBJECT | TypeId::CANON => element::OBJECT,
            _ if types.is_value_type(ty) => element::VALUETYPE,
            _ => element::CLASS,
        },
    }
}

extern "C" fn element_type_code(ty: ObjectRef) -> u8 {
    raising(|| Ok(element_code(type_of(ty)?)))
}

extern "C" fn base(ty: ObjectRef) -> ObjectRef {
    raising(|| match base_type(type_of(ty)?)? {
        Some(base) => handles::type_object(base),
        None => Ok(ObjectRef::NULL),
    })
}

extern "C" fn element_of(ty: ObjectRef) -> ObjectRef {
    raising(|| {
        let ty = type_of(ty)?;
        match *runtime().types.kind(ty) {
            TypeKind::SzArray(inner)
            | TypeKind::Array { element: inner, .. }
            | TypeKind::Pointer(inner)
            | TypeKind::ByRef(inner) => handles::type_object(inner),
            _ => Ok(ObjectRef::NULL),
        }
    })
}

extern "C" fn array_rank(ty: ObjectRef) -> i32 {
    raising(|| {
        let rank = runtime().types.array_rank(type_of(ty)?);
        rank.map(|rank| rank as i32).ok_or_else(|| Exception::argument("type", "Type must be an array type"))
    })
}

extern "C" fn is_variable(ty: ObjectRef) -> bool {
    raising(|| Ok(matches!(runtime().types.kind(type_of(ty)?), TypeKind::Var(_) | TypeKind::MVar(_))))
}

extern "C" fn has_instantiation(ty: ObjectRef) -> bool {
    raising(|| {
        let ty = type_of(ty)?;
        Ok(matches!(runtime().types.kind(ty), TypeKind::Instance { .. }) || is_definition(ty))
    })
}

extern "C" fn is_generic_definition(ty: ObjectRef) -> bool {
    raising(|| Ok(is_definition(type_of(ty)?)))
}

extern "C" fn generic_definition(ty: ObjectRef) -> ObjectRef {
    raising(|| {
        let ty = type_of(ty)?;
        match *runtime().types.kind(ty) {
            // Of what a program made Mono shows the builder.
            TypeKind::Instance { definition, .. } => {
                registry::builder_of(definition).map_or_else(|| handles::type_object(definition), Ok)
            }
            _ if is_definition(ty) => handles::type_object(ty),
            _ => Ok(ObjectRef::NULL),
        }
    })
}

extern "C" fn is_instance(ty: ObjectRef, object: ObjectRef) -> bool {
    raising(|| {
        let ty = type_of(ty)?;
        if object.is_null() || is_bare(ty) {
            return Ok(false);
        }
        Ok(is_assignable(object.type_id(), ty)? || proxies::is_proxy(object) && proxies::can_cast(ty, object)?)
    })
}

extern "C" fn is_assignable_from(to: ObjectRef, from: ObjectRef) -> bool {
    raising(|| {
        let (to, from) = (type_of(to)?, type_of(from)?);
        is_assignable(from, to)
    })
}

extern "C" fn is_subclass_of(child: Handle, base: Handle) -> bool {
    raising(|| match (handles::to_type(child), handles::to_type(base)) {
        (Some(child), Some(base)) => is_subclass(child, base),
        _ => Ok(false),
    })
}

extern "C" fn assembly(ty: ObjectRef) -> ObjectRef {
    raising(|| assembly_object(assembly_of(type_of(ty)?)))
}

extern "C" fn module(ty: ObjectRef) -> ObjectRef {
    raising(|| module_object(assembly_of(type_of(ty)?)))
}

extern "C" fn metadata_token(ty: ObjectRef) -> u32 {
    raising(|| {
        let types = &runtime().types;
        let ty = type_of(ty)?;
        if let Some(parameter) = parameter_of(ty) {
            return Ok(Token::new(TableId::GenericParam, parameter.row).0);
        }
        match types.definition_of(ty) {
            Some((assembly, row)) => Ok(tokens::shown(assembly, Token::new(TableId::TypeDef, row)).0),
            None => Ok(Token::new(TableId::TypeDef, 0).0),
        }
    })
}

extern "C" fn is_by_ref_like(ty: ObjectRef) -> bool {
    raising(|| {
        let ty = type_of(ty)?;
        if is_bare(ty) || parameter_of(ty).is_some() || is_definition(ty) {
            return Ok(false);
        }
        Ok(runtime().types.class(ty)?.is_by_ref_like)
    })
}

extern "C" fn has_references(ty: ObjectRef) -> bool {
    raising(|| {
        let ty = type_of(ty)?;
        Ok(!is_bare(ty) && runtime().types.class(ty)?.contains_references)
    })
}

extern "C" fn is_com_object(ty: ObjectRef) -> bool {
    raising(|| {
        let ty = type_of(ty)?;
        Ok(!is_bare(ty) && parameter_of(ty).is_none() && runtime().types.is_com_class(ty))
    })
}

extern "C" fn from_name(
    name: StringRef,
    _stack_mark: *mut i32,
    assembly: ObjectRef,
    throw_on_error: u8,
    ignore_case: u8,
    reflection_only: u8,
) -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        let name = name.argument("name")?.text();
        let caller = match assembly.non_null() {
            Some(assembly) => super::assembly_of_object(assembly)?,
            None => assemblies::assembly_outside_of_system().unwrap_or(types.corlib()),
        };
        let (ignore_case, context) = (ignore_case != 0, assembly_events::context_of(reflection_only));
        let assemblies = &[caller, types.corlib()];
        let lookup = Lookup { assemblies, ignore_case, context, asks: true, allows_missing: true };
        match find_type(&name, &lookup) {
            Ok(Some(ty)) => handles::type_object(ty),
            _ if throw_on_error == 0 => Ok(ObjectRef::NULL),
            Ok(None) => Err(not_found(&name, caller)),
            Err(error) => Err(error),
        }
    })
}

/// The exception for a name that was not found, looked for from within an assembly.
fn not_found(name: &str, assembly: il::types::AssemblyId) -> Exception {
    match meaning_of(name) {
        Meaning::Broken(start) => Exception::argument("typeName", &format!("failed parse: {start}")),
        Meaning::Type(ty, named) => {
            let assembly = super::assembly_name(named.as_ref().unwrap_or(runtime().types.assembly(assembly).name()));
            // Mono joins namespace and name even where there is no namespace.
            let dot = if ty.contains('.') { "" } else { "." };
            Exception::new("System", "TypeLoadException", format!("Could not load type '{dot}{ty}' from assembly '{assembly}'."))
        }
    }
}

pub(in crate::icalls) const TABLE: &[InternalCall] = &[
    icall("System.Type:internal_from_handle", from_handle as *const ()),
    icall("System.RuntimeTypeHandle:GetAttributes", attributes as *const ()),
    icall("System.RuntimeTypeHandle:GetCorElementType", element_type_code as *const ()),
    icall("System.RuntimeTypeHandle:GetBaseType", base as *const ()),
    icall("System.RuntimeTypeHandle:GetElementType", element_of as *const ()),
    icall("System.RuntimeTypeHandle:GetArrayRank", array_rank as *const ()),
    icall("System.RuntimeTypeHandle:IsGenericVariable", is_variable as *const ()),
    icall("System.RuntimeTypeHandle:HasInstantiation", has_instantiation as *const ()),
    icall("System.RuntimeTypeHandle:IsGenericTypeDefinition", is_generic_definition as *const ()),
    icall("System.RuntimeTypeHandle:GetGenericTypeDefinition_impl", generic_definition as *const ()),
    icall("System.RuntimeTypeHandle:IsInstanceOfType", is_instance as *const ()),
    icall("System.RuntimeTypeHandle:type_is_assignable_from", is_assignable_from as *const ()),
    icall("System.RuntimeTypeHandle:is_subclass_of", is_subclass_of as *const ()),
    icall("System.RuntimeTypeHandle:GetAssembly", assembly as *const ()),
    icall("System.RuntimeTypeHandle:GetModule", module as *const ()),
    icall("System.RuntimeTypeHandle:GetMetadataToken", metadata_token as *const ()),
    icall("System.RuntimeTypeHandle:IsByRefLike", is_by_ref_like as *const ()),
    icall("System.RuntimeTypeHandle:HasReferences", has_references as *const ()),
    icall("System.RuntimeTypeHandle:IsComObject", is_com_object as *const ()),
    icall("System.RuntimeTypeHandle:internal_from_name", from_name as *const ()),
];
