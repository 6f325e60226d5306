//! What reflection and builder objects stand for, in the type system's terms: types by number, members by owner, name and signature,
//! so that members of types that are not finished can be named, too.

use super::objects::class_name;
use super::registry;
use crate::exceptions::{Exception, Result};
use crate::icalls::reflection::{field_of, hide, method_of};
use crate::named_fields::{Elements, Fields};
use crate::object::{ArrayRef, ObjectRef};
use crate::{handles, runtime};
use il::types::{CallConvention, FieldId, MADE_TYPE_ROW, Member, MethodId, MethodSignature, TypeId, method_attributes};

/// A method as IL names it.
pub struct MethodReference {
    /// The type, instantiated, that declares it.
    pub owner: TypeId,
    /// Its name.
    pub name: String,
    /// Its signature in terms of the open definition.
    pub signature: MethodSignature,
    /// Arguments for its own generic parameters.
    pub args: Vec<TypeId>,
    /// The method without arguments of its own, if it exists already and mentions no parameters.
    pub known: Option<MethodId>,
}

/// A field as IL names it.
pub struct FieldReference {
    /// The type, instantiated, that declares it.
    pub owner: TypeId,
    /// Its name.
    pub name: String,
    /// Its type in terms of the open definition.
    pub ty: TypeId,
    /// The field, if it exists already and its owner mentions no parameters.
    pub known: Option<FieldId>,
}

/// What a token may stand for.
pub enum Reference {
    /// A type.
    Type(TypeId),
    /// A method.
    Method(MethodReference),
    /// A field.
    Field(FieldReference),
    /// A signature for `calli`.
    Signature(MethodSignature),
}

/// The type of a `Type` object, finished or not, as signatures spell it.
pub fn type_id(object: ObjectRef) -> Result<TypeId> {
    let types = &runtime().types;
    let fields = Fields::of(object)?;
    let element = || type_id(fields.reference("m_baseType")?);
    Ok(match class_name(object) {
        "RuntimeType" => hide(handles::type_of(object).ok_or_else(Exception::null_reference)?),
        "TypeBuilder" => registry::made_type(fields)?,
        "EnumBuilder" => type_id(fields.reference("_tb")?)?,
        "GenericTypeParameterBuilder" => {
            let index = fields.int("index")? as u32;
            if fields.reference("mbuilder")?.is_null() { types.var(index) } else { types.mvar(index) }
        }
        "TypeBuilderInstantiation" => {
            let definition = type_id(fields.reference("generic_type")?)?;
            types.instance(definition, &type_ids(fields.elements("type_arguments")?)?)
        }
        "ArrayType" => match fields.int("rank")? {
            0 => types.sz_array(element()?),
            rank => types.array(element()?, rank as u32),
        },
        "ByRefType" => types.by_ref(element()?),
        "PointerType" => types.pointer(element()?),
        _ => return Err(Exception::argument("type", "Type must be a type provided by the runtime.")),
    })
}

/// The types of `Type` objects.
pub fn type_ids(objects: Elements) -> Result<Vec<TypeId>> {
    objects.map(type_id).collect()
}

/// The type of a `Type` object as the operand of an instruction: a generic definition stands for itself applied to its own parameters
/// there.
pub fn open_type_id(object: ObjectRef) -> Result<TypeId> {
    open_type(type_id(object)?)
}

/// How many parameters a generic definition has, finished or not; none of any other type.
pub fn parameter_count(ty: TypeId) -> Result<u32> {
    if let Some(builder) = registry::builder_of(ty) {
        return Ok(Fields::of(builder)?.elements("generic_params")?.count() as u32);
    }
    Ok(runtime().types.generic_params(ty)?.len() as u32)
}

/// A generic definition applied to its own parameters; any other type itself.
fn open_type(ty: TypeId) -> Result<TypeId> {
    let types = &runtime().types;
    let params: Vec<TypeId> = (0..parameter_count(ty)?).map(|number| types.var(number)).collect();
    Ok(if params.is_empty() { ty } else { types.instance(ty, &params) })
}

/// The method that a builder made, if its type is finished.
pub fn finished_method(object: ObjectRef) -> Result<MethodId> {
    let types = &runtime().types;
    let method = method_reference(object)?;
    if let Some(known) = method.known {
        return Ok(known);
    }
    let definition = types.generic_definition_type(method.owner);
    if !is_finished(definition) {
        return Err(Exception::not_supported("The invoked member is not supported in a dynamic module."));
    }
    Ok(types.find_method_in_bases(definition, &method.name, &method.signature)?)
}

/// What an object that a token stands for means to reflection, if the types that it mentions are finished.
pub fn finished_member(object: ObjectRef) -> Result<Member> {
    let types = &runtime().types;
    let unfinished = || Exception::not_supported("The member is not finished.");
    if let Some(ty) = (class_name(object) == "RuntimeType").then(|| handles::type_of(object)).flatten() {
        return Ok(Member::Type(ty));
    }
    let is_whole = |ty: TypeId| is_finished(types.generic_definition_type(ty)) && !types.contains_type_variables(ty);
    Ok(match reference(object, true)? {
        Reference::Type(ty) if is_whole(ty) => Member::Type(ty),
        Reference::Method(method) => {
            let found = finished_method(object)?;
            let definition = types.generic_definition_type(method.owner);
            let is_instance = method.owner != definition && method.owner != open_type(definition)?;
            let is_closed = !method.args.iter().any(|&arg| types.contains_type_variables(arg));
            match is_instance || is_closed && !method.args.is_empty() {
                true => Member::Method(types.instantiate_method(found, method.owner, &method.args)),
                false => Member::Method(found),
            }
        }
        Reference::Field(field) => {
            let definition = types.generic_definition_type(field.owner);
            if !is_finished(definition) {
                return Err(unfinished());
            }
            let owner = if field.owner == open_type(definition)? { definition } else { field.owner };
            let found = match field.known {
                Some(known) => Some(known),
                None => types.find_field(owner, &field.name)?,
            };
            Member::Field(found.ok_or_else(unfinished)?)
        }
        Reference::Type(_) | Reference::Signature(_) => return Err(unfinished()),
    })
}

/// The signature that a `MethodBuilder`, `ConstructorBuilder` or `DynamicMethod` defines.
pub fn built_signature(method: Fields) -> Result<MethodSignature> {
    let (result, attributes, convention) = match class_name(method.object()) {
        "MethodBuilder" => ("rtype", "attrs", "call_conv"),
        "ConstructorBuilder" => ("", "attrs", "call_conv"),
        _ => ("returnType", "attributes", "callingConvention"),
    };
    let ret = match result {
        "" => TypeId::VOID,
        name => method.reference(name)?.non_null().map_or(Ok(TypeId::VOID), type_id)?,
    };
    let is_static = method.int(attributes)? & i32::from(method_attributes::STATIC) != 0;
    let generic_param_count = match class_name(method.object()) {
        "MethodBuilder" => method.elements("generic_params")?.count() as u32,
        _ => 0,
    };
    let mut signature = MethodSignature::managed(type_ids(method.elements("parameters")?)?, ret, !is_static);
    signature.generic_param_count = generic_param_count;
    if method.int(convention)? & calling_conventions::ANY == calling_conventions::VAR_ARGS {
        signature.convention = CallConvention::VarArg;
    }
    Ok(signature)
}

/// `System.Reflection.CallingConventions`
mod calling_conventions {
    pub const ANY: i32 = 3;
    pub const VAR_ARGS: i32 = 2;
    pub const HAS_THIS: i32 = 0x20;
    pub const EXPLICIT_THIS: i32 = 0x40;
}

/// The method of any object that reflection or a builder has for one.
pub fn method_reference(object: ObjectRef) -> Result<MethodReference> {
    let types = &runtime().types;
    let fields = Fields::of(object)?;
    match class_name(object) {
        kind @ ("MethodBuilder" | "ConstructorBuilder") => {
            let is_static = fields.int("attrs")? & i32::from(method_attributes::STATIC) != 0;
            let name = match (kind, is_static) {
                ("MethodBuilder", _) => fields.text("name")?,
                (_, true) => ".cctor".to_owned(),
                (_, false) => ".ctor".to_owned(),
            };
            let signature = built_signature(fields)?;
            // A generic method that is being built stands for itself applied to its own parameters.
            let args = (0..signature.generic_param_count).map(|number| types.mvar(number)).collect();
            Ok(MethodReference { owner: open_type_id(fields.reference("type")?)?, name, signature, args, known: None })
        }
        kind @ ("MethodOnTypeBuilderInst" | "ConstructorOnTypeBuilderInst") => {
            let (base, args) = match kind {
                "MethodOnTypeBuilderInst" => ("base_method", type_ids(fields.elements("method_arguments")?)?),
                _ => ("cb", Vec::new()),
            };
            let base = method_reference(fields.reference(base)?)?;
            let owner = open_type_id(fields.reference("instantiation")?)?;
            let args = if args.is_empty() { base.args } else { args };
            let known = base.known.filter(|_| !types.contains_type_variables(owner) && is_finished(owner));
            let known = known.map(|method| types.instantiate_method(types.generic_definition(method), owner, &[]));
            Ok(MethodReference { owner, args, known, ..base })
        }
        "DynamicMethod" => {
            let assembly = super::dynamic_methods::assembly_of(fields)?;
            let owner = types.type_definition(assembly, super::dynamic_methods::TYPE_ROW);
            let signature = built_signature(fields)?;
            Ok(MethodReference { owner, name: fields.text("name")?, signature, args: Vec::new(), known: None })
        }
        "MonoArrayMethod" => {
            let owner = type_id(fields.reference("parent")?)?;
            let ret = fields.reference("ret")?.non_null().map_or(Ok(TypeId::VOID), type_id)?;
            let signature = MethodSignature::managed(type_ids(fields.elements("parameters")?)?, ret, true);
            Ok(MethodReference { owner, name: fields.text("name")?, signature, args: Vec::new(), known: None })
        }
        _ => runtime_method(method_of(object)?),
    }
}

/// Whether the definition of a type exists.
pub fn is_finished(ty: TypeId) -> bool {
    let types = &runtime().types;
    types.definition_of(ty).is_none_or(|(assembly, _)| types.is_filled(assembly))
}

/// A method that exists, as a reference.
fn runtime_method(method: MethodId) -> Result<MethodReference> {
    let types = &runtime().types;
    let data = types.method(method);
    let owner = open_type(hide(data.owner))?;
    let is_built = registry::builder_of(types.generic_definition_type(owner)).is_some();
    let args: Vec<TypeId> = match data.method_args.is_empty() && is_built {
        true => (0..data.generic_param_count).map(|number| types.mvar(number)).collect(),
        false => data.method_args.iter().map(|&arg| hide(arg)).collect(),
    };
    let signature = types.method_signature(types.generic_definition(method))?.clone();
    let known = (!types.contains_type_variables(owner)).then(|| types.instantiate_method(method, owner, &[]));
    Ok(MethodReference { owner, name: types.method_name(method).to_owned(), signature, args, known })
}

/// The field of any object that reflection or a builder has for one.
pub fn field_reference(object: ObjectRef) -> Result<FieldReference> {
    let types = &runtime().types;
    let fields = Fields::of(object)?;
    match class_name(object) {
        "FieldBuilder" => {
            let owner = open_type_id(fields.reference("typeb")?)?;
            Ok(FieldReference { owner, name: fields.text("name")?, ty: type_id(fields.reference("type")?)?, known: None })
        }
        "FieldOnTypeBuilderInst" => {
            let base = field_reference(fields.reference("fb")?)?;
            Ok(FieldReference { owner: open_type_id(fields.reference("instantiation")?)?, known: None, ..base })
        }
        _ => {
            let field = field_of(object)?;
            let data = types.field(field);
            let owner = open_type(hide(data.owner))?;
            let open = types.fields_of(types.generic_definition_type(data.owner))?.get(data.index as usize).copied();
            let ty = types.field_type(open.unwrap_or(field))?;
            let known = (!types.contains_type_variables(owner)).then_some(field);
            Ok(FieldReference { owner, name: types.field_name(field).to_owned(), ty, known })
        }
    }
}

/// The signature that a `SignatureHelper` describes.
fn helper_signature(helper: Fields) -> Result<MethodSignature> {
    let ret = helper.reference("returnType")?.non_null().map_or(Ok(TypeId::VOID), type_id)?;
    let managed = helper.int("callConv")?;
    let mut signature = MethodSignature::managed(type_ids(helper.elements("arguments")?)?, ret, false);
    signature.has_this = managed & calling_conventions::HAS_THIS != 0;
    signature.explicit_this = managed & calling_conventions::EXPLICIT_THIS != 0;
    // `System.Runtime.InteropServices.CallingConvention`
    signature.convention = match helper.int("unmanagedCallConv")? {
        1 | 2 => CallConvention::C,
        3 => CallConvention::StdCall,
        4 => CallConvention::ThisCall,
        5 => CallConvention::FastCall,
        _ if managed & calling_conventions::ANY == calling_conventions::VAR_ARGS => CallConvention::VarArg,
        _ => CallConvention::Default,
    };
    Ok(signature)
}

/// What an object stands for as the operand of an instruction; `is_handle`: of `ldtoken`, where definitions stay open.
pub fn reference(object: ObjectRef, is_handle: bool) -> Result<Reference> {
    let types = &runtime().types;
    let class = class_name(object);
    Ok(match class {
        "SignatureHelper" => Reference::Signature(helper_signature(Fields::of(object)?)?),
        "FieldBuilder" | "FieldOnTypeBuilderInst" | "RuntimeFieldInfo" => Reference::Field(field_reference(object)?),
        "RuntimeMethodInfo"
        | "RuntimeConstructorInfo"
        | "MethodBuilder"
        | "ConstructorBuilder"
        | "MethodOnTypeBuilderInst"
        | "ConstructorOnTypeBuilderInst"
        | "DynamicMethod"
        | "MonoArrayMethod" => Reference::Method(method_reference(object)?),
        _ if types.is_assignable(object.check()?.type_id(), types.well_known().type_)? => {
            Reference::Type(if is_handle { type_id(object)? } else { open_type_id(object)? })
        }
        _ => {
            let message = format!("A token cannot stand for an object of {}.", types.type_name(object.type_id()));
            return Err(Exception::argument("member", &message));
        }
    })
}

/// The types of an array of `Type` objects.
pub fn types_of_array(array: ArrayRef) -> Result<Vec<TypeId>> {
    type_ids(Elements::of(array))
}

/// The number of a type that is being built, once it has an assembly.
pub fn made_type_of(assembly: il::types::AssemblyId) -> TypeId {
    runtime().types.type_definition(assembly, MADE_TYPE_ROW)
}
