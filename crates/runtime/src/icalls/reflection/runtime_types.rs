//! Internal calls of `System.RuntimeType` but for the listing of members.

use super::names::{self, Style};
use super::objects::{method_object, method_of, object_array, type_array, type_of, types_of};
use super::parameters::{
    OpenContext, hide_argument, is_definition, is_open, parameter_of, self_instance_to_definition, type_parameters,
};
use super::relations::{constraint, interfaces, is_assignable, is_bare};
use crate::class_library::core_class;
use crate::exceptions::{Exception, Result};
use crate::icalls::{InternalCall, icall, raising, store_out};
use crate::method_table::{MethodTable, method_table};
use crate::object::{self, ArrayRef, ObjectRef, StringRef};
use crate::{handles, invoke, runtime};
use il::tables::ClassLayoutRow;
use il::types::{MethodId, Primitive, TypeId, TypeKind, method_attributes};
use std::sync::atomic::Ordering;

extern "C" fn full_name(this: ObjectRef, full: u8, qualified: u8) -> StringRef {
    raising(|| {
        let ty = type_of(this)?;
        let style = match (full != 0, qualified != 0) {
            (false, _) => Style::Plain,
            (true, false) => Style::Full,
            (true, true) => Style::Qualified,
        };
        // A parameter cannot be found by its name. The class library keeps the names of open instances to itself.
        let target = if let TypeKind::ByRef(target) = *runtime().types.kind(ty) { target } else { ty };
        if style != Style::Plain && parameter_of(target).is_some() {
            return Ok(StringRef::NULL);
        }
        StringRef::new(&names::type_name(ty, style))
    })
}

extern "C" fn name(this: ObjectRef) -> StringRef {
    raising(|| StringRef::new(&names::short_name(type_of(this)?)))
}

extern "C" fn namespace(this: ObjectRef) -> StringRef {
    raising(|| names::namespace(type_of(this)?).map_or(Ok(StringRef::NULL), StringRef::new))
}

extern "C" fn declaring_type(this: ObjectRef) -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        let ty = type_of(this)?;
        let declaring = match parameter_of(ty) {
            Some(parameter) => parameter.declaring_type(),
            None => types.declaring_type(ty),
        };
        declaring.map_or(Ok(ObjectRef::NULL), handles::type_object)
    })
}

extern "C" fn declaring_method(this: ObjectRef) -> ObjectRef {
    raising(|| {
        let parameter = parameter_of(type_of(this)?)
            .ok_or_else(|| Exception::invalid_operation("DeclaringMethod can only be used on generic arguments"))?;
        parameter.declaring_method().map_or(Ok(ObjectRef::NULL), |method| method_object(method, None))
    })
}

extern "C" fn parameter_position(this: ObjectRef) -> i32 {
    raising(|| Ok(parameter_of(type_of(this)?).map_or(-1, |parameter| i32::from(parameter.columns.number))))
}

extern "C" fn generic_arguments(this: ObjectRef, as_runtime_types: u8) -> ArrayRef {
    raising(|| {
        let types = &runtime().types;
        let ty = type_of(this)?;
        let arguments = match types.kind(ty) {
            TypeKind::Instance { args, .. } => args.to_vec(),
            _ => type_parameters(ty),
        };
        let known = types.well_known();
        type_array(if as_runtime_types != 0 { known.runtime_type } else { known.type_ }, &arguments)
    })
}

extern "C" fn make_generic_type(definition: ObjectRef, arguments: ArrayRef) -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        let definition = type_of(definition)?;
        let arguments = types_of(arguments)?;
        let parameters = type_parameters(definition);
        if parameters.len() != arguments.len() {
            return Err(Exception::argument("typeArguments", "The number of generic arguments does not fit the definition."));
        }
        if !satisfies_constraints(&parameters, &arguments)? {
            return Err(Exception::argument("typeArguments", "Invalid generic arguments"));
        }
        handles::type_object(self_instance_to_definition(types.instance(definition, &arguments)))
    })
}

/// Whether arguments satisfy the constraints of a definition's parameters (ECMA-335 II.10.1.7). Open arguments are not checked.
pub(super) fn satisfies_constraints(parameters: &[TypeId], arguments: &[TypeId]) -> Result<bool> {
    let types = &runtime().types;
    for (&parameter, &argument) in parameters.iter().zip(arguments) {
        let Some(parameter) = parameter_of(parameter) else { continue };
        if is_open(argument) && !is_definition(argument) {
            continue;
        }
        if is_bare(argument) || argument == TypeId::VOID {
            return Ok(false);
        }
        let flags = parameter.columns.flags;
        let is_value_type = types.is_value_type(argument);
        if flags & constraint::REFERENCE != 0 && is_value_type {
            return Ok(false);
        }
        if flags & constraint::VALUE != 0 && (!is_value_type || types.nullable_argument(argument).is_some()) {
            return Ok(false);
        }
        if flags & constraint::CONSTRUCTOR != 0 && !is_value_type && !has_default_constructor(argument)? {
            return Ok(false);
        }
        for bound in parameter.constraints()? {
            let bound = replace(bound, parameters, arguments);
            let is_known = !types.contains_type_variables(bound);
            if is_known && !is_assignable(argument, bound)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Whether a class has a public constructor without parameters. Arrays have none.
fn has_default_constructor(class: TypeId) -> Result<bool> {
    let types = &runtime().types;
    for method in types.methods_of(class) {
        let is_public = types.method(method).attributes & method_attributes::ACCESS == method_attributes::PUBLIC;
        if is_public && types.method_name(method) == ".ctor" && types.method_signature(method)?.params.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A type with some named parameters replaced.
fn replace(ty: TypeId, parameters: &[TypeId], arguments: &[TypeId]) -> TypeId {
    let types = &runtime().types;
    if let Some(position) = parameters.iter().position(|&parameter| parameter == ty) {
        return arguments[position];
    }
    match types.kind(ty) {
        TypeKind::Instance { definition, args } => {
            let args: Vec<TypeId> = args.iter().map(|&arg| replace(arg, parameters, arguments)).collect();
            types.instance(*definition, &args)
        }
        TypeKind::SzArray(element) => types.sz_array(replace(*element, parameters, arguments)),
        // A definition stands for its instance over its own parameters, which may be among those replaced.
        _ if is_definition(ty) => {
            let args: Vec<TypeId> = type_parameters(ty).into_iter().map(|arg| replace(arg, parameters, arguments)).collect();
            self_instance_to_definition(types.instance(ty, &args))
        }
        _ => ty,
    }
}

/// Why there are no arrays of a type.
pub fn refuse_element(element: TypeId) -> Result<()> {
    if element == TypeId::TYPED_REFERENCE {
        return Err(Exception::new("System", "InvalidProgramException", "Arrays of System.TypedReference types are invalid."));
    }
    let is_plain = is_bare(element) || is_open(element);
    if !is_plain && runtime().types.class(element)?.is_by_ref_like {
        let message = format!("Could not create array type '{}[]'", names::type_name(element, Style::Plain));
        return Err(Exception::new("System", "TypeLoadException", message));
    }
    Ok(())
}

/// There are no types made of typed references.
fn refuse_typed_reference(ty: TypeId) -> Result<()> {
    let message = "Could not load type 'System.TypedReference' from assembly ''.";
    if ty == TypeId::TYPED_REFERENCE { Err(Exception::new("System", "TypeLoadException", message)) } else { Ok(()) }
}

extern "C" fn make_array_type(this: ObjectRef, rank: i32) -> ObjectRef {
    const RANK_LIMIT: i32 = 32;
    raising(|| {
        let types = &runtime().types;
        let ty = type_of(this)?;
        let element = if let TypeKind::ByRef(target) = *types.kind(ty) { target } else { ty };
        refuse_typed_reference(element)?;
        refuse_element(element)?;
        if rank > RANK_LIMIT {
            let array = types.array(element, rank as u32);
            let message = format!("{} has too many dimensions.", names::type_name(array, Style::Plain));
            return Err(Exception::new("System", "TypeLoadException", message));
        }
        handles::type_object(if rank == 0 { types.sz_array(element) } else { types.array(element, rank as u32) })
    })
}

extern "C" fn make_by_ref_type(this: ObjectRef) -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        let ty = type_of(this)?;
        refuse_typed_reference(ty)?;
        if matches!(types.kind(ty), TypeKind::ByRef(_)) {
            let message = format!("Could not load type '{}&'.", names::type_name(ty, Style::Plain));
            return Err(Exception::new("System", "TypeLoadException", message));
        }
        handles::type_object(types.by_ref(ty))
    })
}

extern "C" fn make_pointer_type(ty: ObjectRef) -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        let ty = type_of(ty)?;
        refuse_typed_reference(ty)?;
        if matches!(types.kind(ty), TypeKind::ByRef(_)) {
            let message = format!("Could not load type '{}*'.", names::type_name(ty, Style::Plain));
            return Err(Exception::new("System", "TypeLoadException", message));
        }
        handles::type_object(types.pointer(ty))
    })
}

extern "C" fn interface_list(this: ObjectRef) -> ArrayRef {
    raising(|| type_array(runtime().types.well_known().type_, &interfaces(type_of(this)?)?))
}

extern "C" fn type_code(ty: ObjectRef) -> i32 {
    /// `System.TypeCode` by primitive, from `void` on.
    const CODES: [i32; Primitive::ALL.len()] = [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 1, 1];
    const OTHERS: [(&str, i32); 3] = [("DBNull", 2), ("Decimal", 15), ("DateTime", 16)];
    const OBJECT: i32 = 1;
    const STRING: i32 = 18;
    raising(|| {
        let types = &runtime().types;
        let ty = type_of(ty)?;
        let ty = if is_bare(ty) { ty } else { types.enum_underlying(ty)? };
        if let Some(primitive) = types.primitive_of(ty) {
            return Ok(CODES[primitive as usize]);
        }
        if ty == TypeId::STRING {
            return Ok(STRING);
        }
        let is_core = types.definition_of(ty).is_some_and(|(assembly, _)| assembly == types.corlib());
        let named = OTHERS.iter().find(|(name, _)| is_core && types.simple_name(ty) == ("System", *name));
        Ok(named.map_or(OBJECT, |&(_, code)| code))
    })
}

extern "C" fn create_instance(ty: ObjectRef) -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        let ty = type_of(ty)?;
        if types.nullable_argument(ty).is_some() {
            return Ok(ObjectRef::NULL);
        }
        let table = method_table(ty)?;
        let object = object::allocate(table)?;
        if !types.is_value_type(ty) {
            invoke::call(default_constructor(table)?, &[invoke::Argument::reference(object)])?;
        }
        Ok(object)
    })
}

/// The constructor without parameters, looked for once.
fn default_constructor(table: &MethodTable) -> Result<MethodId> {
    let known = &table.class().default_constructor;
    if let Some(number) = known.load(Ordering::Relaxed).checked_sub(1) {
        return Ok(MethodId(number));
    }
    let found = runtime().types.find_method(table.ty(), ".ctor", Some(&[]))?;
    let constructor = found.ok_or_else(|| Exception::missing_method("Default constructor not found."))?;
    known.store(constructor.0 + 1, Ordering::Relaxed);
    Ok(constructor)
}

extern "C" fn packing(this: ObjectRef, packing: *mut i32, size: *mut i32) {
    raising(|| {
        let types = &runtime().types;
        let ty = type_of(this)?;
        let layout: Option<ClassLayoutRow> =
            types.definition_of(ty).and_then(|(assembly, row)| types.metadata(assembly).class_layout(row));
        // SAFETY: both are `out` parameters.
        unsafe {
            packing.write(layout.map_or(0, |layout| i32::from(layout.packing_size)));
            size.write(layout.map_or(0, |layout| layout.class_size as i32));
        }
        Ok(())
    })
}

extern "C" fn interface_map(ty: ObjectRef, interface: ObjectRef, targets: *mut ObjectRef, methods: *mut ObjectRef) {
    raising(|| {
        let types = &runtime().types;
        let (ty, interface) = (type_of(ty)?, type_of(interface)?);
        if !is_assignable(ty, interface)? {
            return Ok(());
        }
        let instance_methods =
            |interface| types.methods_of(interface).into_iter().filter(|&method| !types.method(method).is_static());
        let declared: Vec<MethodId> = instance_methods(interface).collect();
        // A definition implements its interfaces as signatures spell them.
        let context = OpenContext::of_type(ty);
        let spelled = if is_definition(ty) { hide_argument(interface) } else { interface };
        let mut implementations = Vec::with_capacity(declared.len());
        for method in instance_methods(spelled) {
            let found = types.resolve_interface_method(ty, method).ok();
            implementations.push(found.map(|found| {
                let method = types.method(found);
                types.instantiate_method(found, context.reveal(method.owner), &method.method_args)
            }));
        }
        let class = core_class("System.Reflection", "MethodInfo")?;
        let found = object_array(class, declared.len(), |index| match implementations[index] {
            Some(method) => method_object(method, None),
            None => Ok(ObjectRef::NULL),
        })?;
        store_out(targets, found.object());
        store_out(methods, object_array(class, declared.len(), |index| method_object(declared[index], None))?.object());
        Ok(())
    })
}

extern "C" fn inflated_member(this: ObjectRef, generic: ObjectRef) -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        let ty = type_of(this)?;
        let method = method_of(generic)?;
        let owner = types.generic_definition_type(types.method(method).owner);
        let mut current = Some(ty);
        while let Some(class) = current {
            if types.generic_definition_type(class) == owner {
                return method_object(types.instantiate_method(types.generic_definition(method), class, &[]), Some(ty));
            }
            current = super::relations::base_type(class)?;
        }
        Err(Exception::argument("generic", "The method is not one of the type's definition."))
    })
}

extern "C" fn is_windows_runtime(_ty: ObjectRef) -> bool {
    false
}

pub(in crate::icalls) const TABLE: &[InternalCall] = &[
    icall("System.RuntimeType:getFullName", full_name as *const ()),
    icall("System.RuntimeType:get_Name", name as *const ()),
    icall("System.RuntimeType:get_Namespace", namespace as *const ()),
    icall("System.RuntimeType:get_DeclaringType", declaring_type as *const ()),
    icall("System.RuntimeType:get_DeclaringMethod", declaring_method as *const ()),
    icall("System.RuntimeType:GetGenericParameterPosition", parameter_position as *const ()),
    icall("System.RuntimeType:GetGenericArgumentsInternal", generic_arguments as *const ()),
    icall("System.RuntimeType:MakeGenericType", make_generic_type as *const ()),
    icall("System.RuntimeType:make_array_type", make_array_type as *const ()),
    icall("System.RuntimeType:make_byref_type", make_by_ref_type as *const ()),
    icall("System.RuntimeType:MakePointerType", make_pointer_type as *const ()),
    icall("System.RuntimeType:GetInterfaces", interface_list as *const ()),
    icall("System.RuntimeType:GetTypeCodeImplInternal", type_code as *const ()),
    icall("System.RuntimeType:CreateInstanceInternal", create_instance as *const ()),
    icall("System.RuntimeType:GetPacking", packing as *const ()),
    icall("System.RuntimeType:GetInterfaceMapData", interface_map as *const ()),
    icall("System.RuntimeType:GetCorrespondingInflatedMethod", inflated_member as *const ()),
    icall("System.RuntimeType:GetCorrespondingInflatedConstructor", inflated_member as *const ()),
    icall("System.RuntimeType:IsTypeExportedToWindowsRuntime", is_windows_runtime as *const ()),
    icall("System.RuntimeType:IsWindowsRuntimeObjectType", is_windows_runtime as *const ()),
];
