//! Internal calls of methods: `MonoMethodInfo`, `RuntimeMethodInfo`, `RuntimeConstructorInfo`, `MethodBase`, `RuntimeParameterInfo`.

use super::Handle;
use super::constants::{constant, optional_string};
use super::fields::core_static;
use super::marshalling::marshal_object;
use super::objects::{
    Kind, allocate, cached, kept_method_object, method_object, method_of, object_array, reflected_type_of_method, type_array,
    types_of,
};
use super::parameters::{OpenContext, method_parameters, type_parameters};
use super::relations::{base_type, is_bare};
use super::runtime_types::satisfies_constraints;
use crate::class_library::{KnownClass, core_class};
use crate::emit::bodies::written_code;
use crate::emit::{releasing, tokens};
use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::icalls::{InternalCall, icall, raising, store_out};
use crate::method_table::method_table;
use crate::object::{self, ArrayRef, ObjectRef, StringRef};
use crate::stack_walk::{Step, Walk};
use crate::thread::Thread;
use crate::{handles, metadata, methods, runtime};
use il::method_body::ClauseKind;
use il::signature::{MethodSig, TypeSig};
use il::tables::{MethodDefRow, ParamRow};
use il::types::{AssemblyId, CallConvention, GenericContext, MethodId, TypeId, method_attributes};
use il::{TableId, Token};

const REFLECTION: &str = "System.Reflection";

static INFO_PARENT: KnownField = KnownField::new(REFLECTION, "MonoMethodInfo", "parent");
static INFO_RESULT: KnownField = KnownField::new(REFLECTION, "MonoMethodInfo", "ret");
static INFO_ATTRIBUTES: KnownField = KnownField::new(REFLECTION, "MonoMethodInfo", "attrs");
static INFO_IMPL_ATTRIBUTES: KnownField = KnownField::new(REFLECTION, "MonoMethodInfo", "iattrs");
static INFO_CONVENTION: KnownField = KnownField::new(REFLECTION, "MonoMethodInfo", "callconv");

/// The method of a handle that must not be 0.
fn method_of_handle(handle: Handle) -> Result<MethodId> {
    handles::to_method(handle).ok_or_else(|| Exception::argument("handle", "The handle is invalid."))
}

/// Result and parameter types of a method as reflection shows them.
pub(super) fn shown_signature(method: MethodId) -> Result<(TypeId, Vec<TypeId>)> {
    let signature = runtime().types.method_signature(method)?;
    let context = OpenContext::of_method(method);
    Ok((context.reveal(signature.ret), signature.params.iter().map(|&param| context.reveal(param)).collect()))
}

extern "C" fn method_info(handle: Handle, info: *mut u8) {
    /// `CallingConventions`
    const STANDARD: u32 = 1;
    const VARIABLE_ARGUMENTS: u32 = 2;
    const HAS_THIS: u32 = 0x20;
    const EXPLICIT_THIS: u32 = 0x40;
    raising(|| {
        let types = &runtime().types;
        let method = method_of_handle(handle)?;
        let declaration = types.method(method);
        let signature = types.method_signature(method)?;
        let result = match types.contains_type_variables(signature.ret) {
            true => OpenContext::of_method(method).reveal(signature.ret),
            false => signature.ret,
        };
        let parent = handles::type_object(declaration.owner)?;
        let result = handles::type_object(result)?;
        let mut convention = match signature.convention {
            CallConvention::VarArg => VARIABLE_ARGUMENTS,
            _ => STANDARD,
        };
        convention |= if signature.has_this { HAS_THIS } else { 0 };
        convention |= if signature.explicit_this { EXPLICIT_THIS } else { 0 };
        let at = |field: &KnownField| info.wrapping_add(field.offset() as usize);
        store_out(at(&INFO_PARENT).cast(), parent);
        store_out(at(&INFO_RESULT).cast(), result);
        // SAFETY: an `out` parameter of this structure.
        unsafe {
            at(&INFO_ATTRIBUTES).cast::<u32>().write(u32::from(declaration.attributes));
            at(&INFO_IMPL_ATTRIBUTES).cast::<u32>().write(u32::from(declaration.impl_attributes));
            at(&INFO_CONVENTION).cast::<u32>().write(convention);
        }
        Ok(())
    })
}

extern "C" fn attributes(handle: Handle) -> i32 {
    raising(|| Ok(i32::from(runtime().types.method(method_of_handle(handle)?).attributes)))
}

static PARAMETER_INFO: KnownClass = KnownClass::new(REFLECTION, "ParameterInfo");
pub(super) static RUNTIME_PARAMETER_INFO: KnownClass = KnownClass::new(REFLECTION, "RuntimeParameterInfo");
static MISSING: KnownClass = KnownClass::new(REFLECTION, "Missing");
static DB_NULL: KnownClass = KnownClass::new("System", "DBNull");
static PARAMETER_TYPE: KnownField = KnownField::new(REFLECTION, "ParameterInfo", "ClassImpl");
static PARAMETER_DEFAULT: KnownField = KnownField::new(REFLECTION, "ParameterInfo", "DefaultValueImpl");
static PARAMETER_MEMBER: KnownField = KnownField::new(REFLECTION, "ParameterInfo", "MemberImpl");
static PARAMETER_NAME: KnownField = KnownField::new(REFLECTION, "ParameterInfo", "NameImpl");
static PARAMETER_POSITION: KnownField = KnownField::new(REFLECTION, "ParameterInfo", "PositionImpl");
static PARAMETER_ATTRIBUTES: KnownField = KnownField::new(REFLECTION, "ParameterInfo", "AttrsImpl");
static PARAMETER_MARSHAL: KnownField = KnownField::new(REFLECTION, "RuntimeParameterInfo", "marshalAs");

/// The Param row of a method's parameter, from 0; -1 is the result.
pub(super) fn parameter_row(method: MethodId, position: i32) -> Option<u32> {
    let types = &runtime().types;
    let declaration = types.method(method);
    let metadata = types.metadata(declaration.assembly);
    metadata
        .params_of(declaration.row()?)
        .find(|&row| metadata.row::<ParamRow>(row).is_ok_and(|param| i32::from(param.sequence) == position + 1))
}

/// Member and position of a `ParameterInfo`.
pub(super) fn parameter_place(object: ObjectRef) -> (ObjectRef, i32) {
    (PARAMETER_MEMBER.get(object), PARAMETER_POSITION.get(object))
}

extern "C" fn parameter_info(handle: Handle, member: ObjectRef) -> ArrayRef {
    raising(|| {
        let method = method_of_handle(handle)?;
        let make = || {
            let (_, params) = shown_signature(method)?;
            object_array(PARAMETER_INFO.id()?, params.len(), |index| parameter_object(method, member, index, params[index]))
        };
        // The class library gives programs copies of the array.
        match kept_method_object(member, method) {
            Some(reflected) => {
                let array = cached(Kind::Parameters, method.0, reflected.0, || make().map(ArrayRef::object))?;
                array.as_array().ok_or_else(|| Exception::engine("parameters that are no array"))
            }
            None => make(),
        }
    })
}

fn parameter_object(method: MethodId, member: ObjectRef, index: usize, ty: TypeId) -> Result<ObjectRef> {
    /// `ParameterAttributes`
    const OPTIONAL: u16 = 0x10;
    const HAS_DEFAULT: u16 = 0x1000;
    const HAS_FIELD_MARSHAL: u16 = 0x2000;
    let types = &runtime().types;
    let assembly = types.method(method).assembly;
    let metadata = types.metadata(assembly);
    let row = parameter_row(method, index as i32);
    let columns = row.map(|row| metadata.row::<ParamRow>(row)).transpose()?;
    let flags = columns.map_or(0, |columns| columns.flags);
    let token = row.map(|row| Token::new(TableId::Param, row));
    let target = if is_bare(ty) { types.element_type(ty).unwrap_or(ty) } else { ty };
    let as_type = Some(target).filter(|&target| !is_bare(target) && types.header(target).is_ok_and(|header| header.is_enum()));
    let default = match token {
        Some(token) if flags & HAS_DEFAULT != 0 => constant(assembly, token, as_type)?,
        _ => None,
    };
    let default = match default {
        Some(default) => default,
        None if flags & OPTIONAL != 0 => core_static(&MISSING, "Value")?,
        None => core_static(&DB_NULL, "Value")?,
    };
    let name = optional_string(columns.map(|columns| metadata.string(columns.name)))?;
    let marshal = match token {
        Some(token) if flags & HAS_FIELD_MARSHAL != 0 => marshal_object(assembly, token)?,
        _ => ObjectRef::NULL,
    };
    let type_object = handles::type_object(ty)?;
    let object = object::allocate(method_table(RUNTIME_PARAMETER_INFO.id()?)?)?;
    PARAMETER_TYPE.set_ref(object, type_object);
    PARAMETER_DEFAULT.set_ref(object, default);
    PARAMETER_MEMBER.set_ref(object, member);
    PARAMETER_NAME.set_ref(object, name.object());
    PARAMETER_POSITION.set(object, index as i32);
    PARAMETER_ATTRIBUTES.set(object, i32::from(flags));
    PARAMETER_MARSHAL.set_ref(object, marshal);
    Ok(object)
}

extern "C" fn result_marshal(handle: Handle) -> ObjectRef {
    raising(|| {
        let method = method_of_handle(handle)?;
        match parameter_row(method, -1) {
            Some(row) => marshal_object(runtime().types.method(method).assembly, Token::new(TableId::Param, row)),
            None => Ok(ObjectRef::NULL),
        }
    })
}

extern "C" fn from_handle(method: Handle, ty: Handle, check: u8) -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        let method = method_of_handle(method)?;
        let Some(reflected) = handles::to_type(ty) else { return method_object(method, None) };
        let owner = types.method(method).owner;
        if check == 0 || owner == reflected {
            return method_object(method, Some(reflected));
        }
        // The handle may be that of the definition's method and the type an instance.
        if types.generic_definition_type(owner) != types.generic_definition_type(reflected) {
            return Ok(ObjectRef::NULL);
        }
        let args = types.method(method).method_args.to_vec();
        method_object(types.instantiate_method(method, reflected, &args), Some(reflected))
    })
}

extern "C" fn name(this: ObjectRef) -> StringRef {
    raising(|| StringRef::new(runtime().types.method_name(method_of(this)?)))
}

extern "C" fn metadata_token(this: ObjectRef) -> u32 {
    raising(|| {
        let declaration = runtime().types.method(method_of(this)?);
        // Methods of arrays have none.
        let shown = |row| tokens::shown(declaration.assembly, Token::new(TableId::MethodDef, row)).0;
        Ok(declaration.row().map_or(0, shown))
    })
}

extern "C" fn base_method(this: ObjectRef, definition: u8) -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        let method = method_of(this)?;
        let declaration = types.method(method);
        // The method itself, as it is when asked of the class that declares it.
        let own = || match reflected_type_of_method(this) {
            Some(reflected) if reflected == declaration.owner => Ok(this),
            _ => method_object(method, None),
        };
        let is_root = !declaration.is_virtual() || declaration.attributes & method_attributes::NEW_SLOT != 0;
        if is_root || types.header(declaration.owner)?.is_interface() {
            return own();
        }
        let Some(slot) = types.vtable_slot(method)? else { return own() };
        let mut found = method;
        let mut class = declaration.owner;
        while let Some(base) = base_type(class)? {
            let Some(&inherited) = types.vtable(base)?.slots.get(slot as usize) else { break };
            found = inherited;
            class = base;
            if definition == 0 {
                break;
            }
        }
        if found == method { own() } else { method_object(found, None) }
    })
}

extern "C" fn generic_arguments(this: ObjectRef) -> ArrayRef {
    raising(|| {
        let types = &runtime().types;
        let method = method_of(this)?;
        let declaration = types.method(method);
        let arguments = match declaration.method_args.is_empty() {
            true => method_parameters(method),
            false => declaration.method_args.to_vec(),
        };
        type_array(types.well_known().type_, &arguments)
    })
}

extern "C" fn is_generic(this: ObjectRef) -> bool {
    raising(|| Ok(runtime().types.method(method_of(this)?).generic_param_count > 0))
}

extern "C" fn is_generic_definition(this: ObjectRef) -> bool {
    raising(|| {
        let method = runtime().types.method(method_of(this)?);
        Ok(method.generic_param_count > 0 && method.method_args.is_empty())
    })
}

extern "C" fn generic_definition(this: ObjectRef) -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        let method = method_of(this)?;
        let declaration = types.method(method);
        match declaration.generic_param_count {
            0 => Ok(ObjectRef::NULL),
            _ if declaration.method_args.is_empty() => Ok(this),
            _ => {
                let open = types.instantiate_method(method, declaration.owner, &[]);
                method_object(open, reflected_type_of_method(this))
            }
        }
    })
}

extern "C" fn make_generic(this: ObjectRef, arguments: ArrayRef) -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        let method = method_of(this)?;
        let arguments = types_of(arguments)?;
        let declaration = types.method(method);
        if declaration.generic_param_count as usize != arguments.len() {
            return Err(Exception::argument("typeArguments", "Incorrect number of generic arguments"));
        }
        let own = method_parameters(method);
        // A method applied to its own parameters is the definition.
        let given: &[TypeId] = if arguments == own { &[] } else { &arguments };
        let class = OpenContext::of_type(declaration.owner);
        let class_parameters = type_parameters(types.generic_definition_type(declaration.owner));
        let parameters = [class_parameters, own].concat();
        if !satisfies_constraints(&parameters, &[class.generic().type_args, &arguments].concat())? {
            return Err(Exception::argument("typeArguments", "Invalid generic arguments"));
        }
        let instance = types.instantiate_method(method, declaration.owner, given);
        method_object(instance, reflected_type_of_method(this))
    })
}

extern "C" fn platform_invoke(this: ObjectRef, flags: *mut i32, entry_point: *mut ObjectRef, library: *mut ObjectRef) {
    raising(|| {
        let types = &runtime().types;
        let method = method_of(this)?;
        let declaration = types.method(method);
        let metadata_of = types.metadata(declaration.assembly);
        let token = Token::new(TableId::MethodDef, declaration.row().unwrap_or(0));
        if let (Some(import), Some(map)) = (metadata::import(method), metadata_of.impl_map(token)) {
            // SAFETY: an `out` parameter.
            unsafe { flags.write(i32::from(map.flags)) };
            store_out(entry_point, StringRef::new(&import.entry_point)?.object());
            store_out(library, StringRef::new(&import.library)?.object());
        }
        Ok(())
    })
}

static BODY_CLAUSES: KnownField = KnownField::new(REFLECTION, "MethodBody", "clauses");
static BODY_LOCALS: KnownField = KnownField::new(REFLECTION, "MethodBody", "locals");
static BODY_CODE: KnownField = KnownField::new(REFLECTION, "MethodBody", "il");
static BODY_INIT_LOCALS: KnownField = KnownField::new(REFLECTION, "MethodBody", "init_locals");
static BODY_LOCALS_TOKEN: KnownField = KnownField::new(REFLECTION, "MethodBody", "sig_token");
static BODY_MAX_STACK: KnownField = KnownField::new(REFLECTION, "MethodBody", "max_stack");
static LOCAL_TYPE: KnownField = KnownField::new(REFLECTION, "LocalVariableInfo", "type");
static LOCAL_PINNED: KnownField = KnownField::new(REFLECTION, "LocalVariableInfo", "is_pinned");
static LOCAL_POSITION: KnownField = KnownField::new(REFLECTION, "LocalVariableInfo", "position");
static CLAUSE_TYPE: KnownField = KnownField::new(REFLECTION, "ExceptionHandlingClause", "catch_type");
static CLAUSE_FILTER: KnownField = KnownField::new(REFLECTION, "ExceptionHandlingClause", "filter_offset");
static CLAUSE_FLAGS: KnownField = KnownField::new(REFLECTION, "ExceptionHandlingClause", "flags");
static CLAUSE_TRY: KnownField = KnownField::new(REFLECTION, "ExceptionHandlingClause", "try_offset");
static CLAUSE_TRY_LENGTH: KnownField = KnownField::new(REFLECTION, "ExceptionHandlingClause", "try_length");
static CLAUSE_HANDLER: KnownField = KnownField::new(REFLECTION, "ExceptionHandlingClause", "handler_offset");
static CLAUSE_HANDLER_LENGTH: KnownField = KnownField::new(REFLECTION, "ExceptionHandlingClause", "handler_length");

extern "C" fn method_body(handle: Handle) -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        let method = method_of_handle(handle)?;
        let declaration = types.method(method);
        if releasing::may_be_released(method) {
            return Err(Exception::invalid_operation(""));
        }
        let Some(body) = types.method_body(method)? else { return Ok(ObjectRef::NULL) };
        let context = OpenContext::of_method(method);
        let locals = types.locals(method, &body)?;
        let local_class = core_class(REFLECTION, "LocalVariableInfo")?;
        let locals = object_array(local_class, locals.len(), |index| {
            let ty = handles::type_object(context.reveal(locals[index].ty))?;
            let object = allocate("RuntimeLocalVariableInfo").or_else(|_| allocate("LocalVariableInfo"))?;
            LOCAL_TYPE.set_ref(object, ty);
            LOCAL_PINNED.set(object, u8::from(locals[index].is_pinned));
            LOCAL_POSITION.set(object, index as u16);
            Ok(object)
        })?;
        let clause_class = core_class(REFLECTION, "ExceptionHandlingClause")?;
        let clauses = object_array(clause_class, body.clauses.len(), |index| {
            let clause = &body.clauses[index];
            let object = allocate("RuntimeExceptionHandlingClause").or_else(|_| allocate("ExceptionHandlingClause"))?;
            let flags = match clause.kind {
                ClauseKind::Catch(token) => {
                    let ty = types.resolve_type(declaration.assembly, token, &context.generic())?;
                    CLAUSE_TYPE.set_ref(object, handles::type_object(ty)?);
                    0
                }
                ClauseKind::Filter(offset) => {
                    CLAUSE_FILTER.set(object, offset);
                    1
                }
                ClauseKind::Finally => 2,
                ClauseKind::Fault => 4,
            };
            CLAUSE_FLAGS.set(object, flags);
            CLAUSE_TRY.set(object, clause.try_start);
            CLAUSE_TRY_LENGTH.set(object, clause.try_end - clause.try_start);
            CLAUSE_HANDLER.set(object, clause.handler_start);
            CLAUSE_HANDLER_LENGTH.set(object, clause.handler_end - clause.handler_start);
            Ok(object)
        })?;
        // A generated method's own body has tokens that programs do not know.
        let written = written_code(method)?;
        let il = written.as_deref().unwrap_or(body.il);
        let code = ArrayRef::new(TypeId::U1, il.len())?;
        // SAFETY: a fresh array of bytes.
        unsafe { code.slice_mut::<u8>() }.copy_from_slice(il);
        let object = allocate("RuntimeMethodBody").or_else(|_| allocate("MethodBody"))?;
        BODY_CLAUSES.set_ref(object, clauses.object());
        BODY_LOCALS.set_ref(object, locals.object());
        BODY_CODE.set_ref(object, code.object());
        BODY_INIT_LOCALS.set(object, u8::from(body.init_locals));
        BODY_LOCALS_TOKEN.set(object, body.locals.0);
        BODY_MAX_STACK.set(object, u32::from(body.max_stack));
        Ok(object)
    })
}

/// The types of the modifiers around a signature's type, required or optional ones.
pub(super) fn modifier_types(
    assembly: AssemblyId,
    signature: &TypeSig,
    optional: bool,
    context: &OpenContext,
) -> Result<Vec<TypeId>> {
    let types = &runtime().types;
    let mut found = Vec::new();
    let mut current = signature;
    loop {
        match current {
            TypeSig::Modified { required, modifier, inner } => {
                if *required != optional {
                    found.push(context.reveal(types.resolve_type(assembly, *modifier, &GenericContext::EMPTY)?));
                }
                current = inner;
            }
            TypeSig::ByRef(inner) => current = inner,
            _ => break,
        }
    }
    // The nearest to the type comes first.
    found.reverse();
    Ok(found)
}

extern "C" fn parameter_modifiers(_ty: ObjectRef, member: ObjectRef, position: i32, optional: u8) -> ArrayRef {
    raising(|| {
        let types = &runtime().types;
        let method = super::properties::method_of_member(member)?;
        let declaration = types.method(method);
        let mut found = Vec::new();
        if let Some(row) = declaration.row() {
            let metadata = types.metadata(declaration.assembly);
            let signature = MethodSig::parse(metadata.blob(metadata.row::<MethodDefRow>(row)?.signature)?)?;
            let ty = if position < 0 { Some(&signature.ret) } else { signature.params.get(position as usize) };
            let context = OpenContext::of_method(method);
            found = ty.map_or(Ok(found), |ty| modifier_types(declaration.assembly, ty, optional != 0, &context))?;
        }
        type_array(types.well_known().type_, &found)
    })
}

extern "C" fn parameter_token(this: ObjectRef) -> u32 {
    raising(|| {
        let (member, position) = parameter_place(this.check()?);
        let method = super::properties::method_of_member(member)?;
        let row = Token::new(TableId::Param, parameter_row(method, position).unwrap_or(0));
        Ok(tokens::shown(runtime().types.method(method).assembly, row).0)
    })
}

/// The methods of the current thread's managed frames, innermost first, with those that were inlined into others.
pub(super) fn frames() -> impl Iterator<Item = MethodId> {
    let frames = Walk::from_runtime(Thread::current()).filter_map(|step| match step {
        Step::Frame(frame) => Some(frame.code.frames(frame.trace_address()).map(|(method, _)| method)),
        Step::Entry { .. } => None,
    });
    frames.flatten()
}

extern "C" fn current_method() -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        let is_own = |&method: &MethodId| types.simple_name(types.method(method).owner) == (REFLECTION, "MethodBase");
        match frames().find(|method| !is_own(method)) {
            // Reflection shows the definition, whatever the instance.
            Some(method) => method_object(types.generic_definition(method), None),
            None => Ok(ObjectRef::NULL),
        }
    })
}

extern "C" fn function_pointer(handle: Handle) -> usize {
    raising(|| methods::function_pointer(method_of_handle(handle)?))
}

pub(in crate::icalls) const TABLE: &[InternalCall] = &[
    icall("System.Reflection.MonoMethodInfo:get_method_info", method_info as *const ()),
    icall("System.Reflection.MonoMethodInfo:get_method_attributes", attributes as *const ()),
    icall("System.Reflection.MonoMethodInfo:get_parameter_info", parameter_info as *const ()),
    icall("System.Reflection.MonoMethodInfo:get_retval_marshal", result_marshal as *const ()),
    icall("System.Reflection.RuntimeMethodInfo:GetMethodFromHandleInternalType_native", from_handle as *const ()),
    icall("System.Reflection.RuntimeMethodInfo:get_name", name as *const ()),
    icall("System.Reflection.RuntimeMethodInfo:get_metadata_token", metadata_token as *const ()),
    icall("System.Reflection.RuntimeConstructorInfo:get_metadata_token", metadata_token as *const ()),
    icall("System.Reflection.RuntimeMethodInfo:get_base_method", base_method as *const ()),
    icall("System.Reflection.RuntimeMethodInfo:GetGenericArguments", generic_arguments as *const ()),
    icall("System.Reflection.RuntimeMethodInfo:get_IsGenericMethod", is_generic as *const ()),
    icall("System.Reflection.RuntimeMethodInfo:get_IsGenericMethodDefinition", is_generic_definition as *const ()),
    icall("System.Reflection.RuntimeMethodInfo:GetGenericMethodDefinition_impl", generic_definition as *const ()),
    icall("System.Reflection.RuntimeMethodInfo:MakeGenericMethod_impl", make_generic as *const ()),
    icall("System.Reflection.RuntimeMethodInfo:GetPInvoke", platform_invoke as *const ()),
    icall("System.Reflection.RuntimeMethodInfo:GetMethodBodyInternal", method_body as *const ()),
    icall("System.Reflection.RuntimeParameterInfo:GetTypeModifiers", parameter_modifiers as *const ()),
    icall("System.Reflection.RuntimeParameterInfo:GetMetadataToken", parameter_token as *const ()),
    icall("System.Reflection.MethodBase:GetCurrentMethod", current_method as *const ()),
    icall("System.RuntimeMethodHandle:GetFunctionPointer", function_pointer as *const ()),
];
