//! `TypeBuilder`: its rows in a metadata image. Types that share an image are declared first, so that they can name each other.

use super::assemblies;
use super::attributes::add_attributes;
use super::bodies::{Operand, generated_body};
use super::module::ModuleScope;
use super::objects::{boxed_bytes, class_name};
use super::references::{built_signature, is_finished, method_reference, type_id};
use super::registry::{self, module_assembly};
use super::tokens;
use crate::exceptions::{Exception, Result};
use crate::named_fields::{Elements, Fields};
use crate::object::{ObjectRef, StringRef};
use crate::{handles, runtime};
use il::signature::element;
use il::types::{AssemblyId, MADE_TYPE_ROW, MethodSignature, Primitive, TypeId, TypeKind, method_attributes, type_attributes};
use il::writer::signatures::{primitive_element, push_compressed, push_method_head, push_type};
use il::{TableId, Token};

/// `FieldAttributes.Static`
const FIELD_STATIC: i32 = 0x10;
/// `FieldAttributes.HasDefault`
const FIELD_HAS_DEFAULT: i32 = 0x8000;
/// `FieldAttributes.HasFieldRVA`
const FIELD_HAS_RVA: u32 = 0x100;
/// `ParameterAttributes.HasDefault`
const PARAM_HAS_DEFAULT: i32 = 0x1000;
/// `PropertyAttributes.HasDefault`
const PROPERTY_HAS_DEFAULT: i32 = 0x1000;

/// A method or constructor of a type with the name of its row.
fn method_name(method: Fields) -> Result<String> {
    if class_name(method.object()) == "MethodBuilder" {
        return method.text("name");
    }
    let is_static = method.int("attrs")? & i32::from(method_attributes::STATIC) != 0;
    Ok(if is_static { ".cctor" } else { ".ctor" }.to_owned())
}

/// Constructors, then methods: the order of their rows.
fn methods(builder: Fields) -> Result<impl Iterator<Item = ObjectRef>> {
    Ok(builder.elements("ctors")?.chain(builder.elements("methods")?))
}

/// Makes the type of a `TypeBuilder` and gives its `Type` object.
pub fn create(object: ObjectRef) -> Result<ObjectRef> {
    let types = &runtime().types;
    let builder = Fields::of(object)?;
    let ty = registry::made_type(builder)?;
    let Some((assembly, _)) = types.definition_of(ty) else { return Ok(ObjectRef::NULL) };
    if !types.is_filled(assembly) {
        let module = Fields::of(builder.reference("pmodule")?)?;
        let name = module.text("name")?;
        let mut scope = ModuleScope::new(&name);
        assemblies::add_manifest(&mut scope, Fields::of(module.reference("assemblyb")?)?)?;
        check_enumeration(builder)?;
        if types.is_promised_reference(assembly) && builds_value_type(builder)? {
            return Err(type_load(
                &builder_name(builder)?,
                "The type became a value type after others were given fields of it.",
            )?);
        }
        scope.define_type(ty, MADE_TYPE_ROW);
        if let Some(owner) = registry::owner_of(assembly) {
            scope.set_whole(owner.main);
        }
        if let Some(outer) = builder.reference("nesting_type")?.non_null() {
            scope.set_enclosing(type_id(outer)?);
        }
        declare(&mut scope, builder, MADE_TYPE_ROW)?;
        define(&mut scope, builder, MADE_TYPE_ROW, module_assembly(module)?)?;
        scope.install(assembly, &name)?;
        store_handles(builder, ty)?;
        store_tokens(builder, ty, module_assembly(module)?)?;
    }
    handles::type_object(ty)
}

/// Refuses an enumeration that has no underlying type, several, or one that is none, or a layout.
fn check_enumeration(builder: Fields) -> Result<()> {
    let types = &runtime().types;
    let parent = builder.reference("parent")?.non_null().map(type_id).transpose()?;
    if parent != Some(types.well_known().enum_) {
        return Ok(());
    }
    let mut is_valid = builder.int("attrs")? as u32 & type_attributes::LAYOUT == 0;
    let mut count = 0;
    for field in builder.elements("fields")? {
        let field = Fields::of(field)?;
        if field.int("attrs")? & FIELD_STATIC == 0 {
            count += 1;
            let underlying = type_id(field.reference("type")?)?;
            is_valid &= matches!(types.kind(underlying), TypeKind::Primitive(primitive) if !matches!(primitive, Primitive::Void | Primitive::R4 | Primitive::R8));
        }
    }
    match is_valid && count == 1 {
        true => Ok(()),
        false => Err(type_load(&builder_name(builder)?, "Not a valid enumeration")?),
    }
}

/// The full name of the type that a builder builds.
fn builder_name(builder: Fields) -> Result<String> {
    let (name, namespace) = (builder.text("tname")?, builder.text("nspace")?);
    Ok(if namespace.is_empty() { name } else { format!("{namespace}.{name}") })
}

/// `TypeLoadException` that names a type.
fn type_load(name: &str, message: &str) -> Result<Exception> {
    let object = Exception::new("System", "TypeLoadException", message).into_object();
    Fields::of(object)?.set_text("ClassName", name)?;
    Ok(Exception::from_object(object))
}

/// Refuses a type that a program made if a field is of an enumeration that has not been finished: nobody knows what is in it.
pub fn check_fields(ty: TypeId) -> Result<()> {
    let types = &runtime().types;
    let Some(builder) = registry::builder_of(types.generic_definition_type(ty)) else { return Ok(()) };
    let builder = Fields::of(builder)?;
    for field in builder.elements("fields")? {
        let field = Fields::of(field)?;
        let Some(field_type) = field.reference("type")?.non_null() else { continue };
        if class_name(field_type) == "EnumBuilder" && !is_finished(type_id(field_type)?) {
            let message = format!("Field '{}' is an enum type with a bad underlying type", field.text("name")?);
            return Err(type_load(&builder_name(builder)?, &message)?);
        }
    }
    Ok(())
}

/// The builder that stands for a type which is not finished; an error for an instance of such a type, and `None` for all else.
pub fn unfinished(ty: TypeId) -> Result<Option<ObjectRef>> {
    let definition = runtime().types.generic_definition_type(ty);
    if is_finished(definition) {
        return Ok(None);
    }
    let Some(builder) = registry::builder_of(definition) else { return Ok(None) };
    if let TypeKind::Instance { args, .. } = runtime().types.kind(ty) {
        let args: Vec<String> = args.iter().map(|&arg| runtime().types.type_name(arg)).collect();
        let name = format!("{}<{}>", builder_name(Fields::of(builder)?)?, args.join(", "));
        return Err(type_load(&name, &format!("TypeBuilder.CreateType() not called for generic class {name}"))?);
    }
    Ok(Some(builder))
}

/// Gives the member builders of a finished type the handles of their members.
fn store_handles(builder: Fields, ty: TypeId) -> Result<()> {
    let types = &runtime().types;
    for (field, &id) in builder.elements("fields")?.zip(types.fields_of(ty)?) {
        Fields::of(field)?.set_word("handle", handles::from_field(id))?;
    }
    for (method, id) in methods(builder)?.zip(types.methods_of(ty)) {
        Fields::of(method)?.set_word("mhandle", handles::from_method(id))?;
    }
    Ok(())
}

/// Notes the module's tokens for the rows of a finished type.
fn store_tokens(builder: Fields, ty: TypeId, module: AssemblyId) -> Result<()> {
    let types = &runtime().types;
    let Some((assembly, row)) = types.definition_of(ty) else { return Ok(()) };
    let metadata = types.metadata(assembly);
    let own = |table: TableId, row: u32, builder: ObjectRef| -> Result<()> {
        let token = Token::new(table, Fields::of(builder)?.int("table_idx")? as u32).0;
        tokens::set_made(module, assembly, Token::new(table, row), token, builder);
        Ok(())
    };
    own(TableId::TypeDef, row, builder.object())?;
    let fields = types.fields_of(ty)?;
    for ((field, &id), token) in builder.elements("fields")?.zip(fields).zip(tokens::field_tokens(module, fields.len())) {
        tokens::set_made(module, assembly, Token::new(TableId::Field, types.field(id).row), token, field);
    }
    for (method, row) in methods(builder)?.zip(1..) {
        own(TableId::MethodDef, row, method)?;
        for (param, row) in Fields::of(method)?.elements("pinfo")?.zip(metadata.params_of(row)) {
            own(TableId::Param, row, param)?;
        }
    }
    for (property, row) in builder.elements("properties")?.zip(metadata.properties_of(row)) {
        own(TableId::Property, row, property)?;
    }
    for (event, row) in builder.elements("events")?.zip(metadata.events_of(row)) {
        own(TableId::Event, row, event)?;
    }
    Ok(())
}

/// Adds the rows of a type, its fields, methods and parameters, whose numbers others may then use. Its own row must be the next.
pub fn declare(scope: &mut ModuleScope, builder: Fields, row: u32) -> Result<()> {
    let (name, namespace) = (builder.text("tname")?, builder.text("nspace")?);
    let (first_field, first_method) =
        (scope.writer.row_count(TableId::Field) + 1, scope.writer.row_count(TableId::MethodDef) + 1);
    let parent = match builder.reference("parent")?.non_null() {
        Some(parent) => scope.type_token(type_id(parent)?),
        None => Token::NULL,
    };
    let (name, namespace) = (scope.writer.string(&name), scope.writer.string(&namespace));
    let cells = [builder.int("attrs")? as u32, name, namespace, parent.0, first_field, first_method];
    if row > scope.writer.row_count(TableId::TypeDef) {
        scope.writer.add_row(TableId::TypeDef, &cells);
    } else {
        // The type of the module has its row already.
        cells.iter().enumerate().for_each(|(column, &cell)| scope.writer.set_cell(TableId::TypeDef, row, column, cell));
    }
    for field in builder.elements("fields")? {
        declare_field(scope, Fields::of(field)?, row)?;
    }
    for method in methods(builder)? {
        declare_method(scope, Fields::of(method)?, row)?;
    }
    Ok(())
}

/// Lets fields be of a class that is not finished.
fn promise_reference(ty: TypeId) -> Result<()> {
    let types = &runtime().types;
    let definition = types.generic_definition_type(ty);
    if let (Some((assembly, _)), Some(builder)) = (types.definition_of(definition), registry::builder_of(definition)) {
        if !types.is_filled(assembly) && !builds_value_type(Fields::of(builder)?)? {
            types.promise_reference(assembly);
        }
    }
    Ok(())
}

/// Whether a `TypeBuilder` builds a structure or an enumeration.
fn builds_value_type(builder: Fields) -> Result<bool> {
    let known = runtime().types.well_known();
    let parent = builder.reference("parent")?.non_null().map(type_id).transpose()?;
    Ok(parent.is_some_and(|parent| parent == known.value_type || parent == known.enum_))
}

fn declare_field(scope: &mut ModuleScope, field: Fields, type_row: u32) -> Result<()> {
    const FIELD: u8 = 6;
    let mut signature = vec![FIELD];
    push_modifiers(scope, &mut signature, field, "modReq", "modOpt")?;
    let ty = type_id(field.reference("type")?)?;
    push_type(&mut signature, &runtime().types, scope, ty);
    promise_reference(ty)?;
    let has_data = field.bytes("rva_data")?.is_some();
    let attributes = field.int("attrs")? as u32 | if has_data { FIELD_HAS_RVA } else { 0 };
    let (name, signature) = (scope.writer.string(&field.text("name")?), scope.writer.blob(&signature));
    let row = scope.writer.add_row(TableId::Field, &[attributes, name, signature]);
    let plain = scope.field_signature(ty);
    scope.define_field(type_row, name, plain, row);
    Ok(())
}

fn declare_method(scope: &mut ModuleScope, method: Fields, type_row: u32) -> Result<()> {
    let signature = built_signature(method)?;
    let blob = modified_signature(scope, method, &signature)?;
    let name = scope.writer.string(&method_name(method)?);
    let first_param = scope.writer.row_count(TableId::Param) + 1;
    let (attributes, implementation) = (method.int("attrs")? as u32, method.int("iattrs")? as u32);
    let row = scope.writer.add_row(TableId::MethodDef, &[0, implementation, attributes, name, blob, first_param]);
    let plain = scope.method_signature(&signature);
    scope.define_method(type_row, name, plain, row);
    for param in method.elements("pinfo")? {
        let param = Fields::of(param)?;
        let name = scope.writer.string(&param.text("name")?);
        let cells = [param.int("attrs")? as u32, param.int("position")? as u32, name];
        scope.writer.add_row(TableId::Param, &cells);
    }
    Ok(())
}

/// Appends the custom modifiers of a field or a method's result.
fn push_modifiers(
    scope: &mut ModuleScope,
    signature: &mut Vec<u8>,
    builder: Fields,
    required: &'static str,
    optional: &'static str,
) -> Result<()> {
    for (list, kind) in [(required, element::CMOD_REQD), (optional, element::CMOD_OPT)] {
        for modifier in builder.elements(list)? {
            push_modifier(scope, signature, kind, modifier)?;
        }
    }
    Ok(())
}

fn push_modifier(scope: &mut ModuleScope, signature: &mut Vec<u8>, kind: u8, modifier: ObjectRef) -> Result<()> {
    signature.push(kind);
    let token = scope.type_token(type_id(modifier)?);
    il::writer::signatures::push_type_token(signature, token);
    Ok(())
}

/// Index of a method's signature with its custom modifiers.
fn modified_signature(scope: &mut ModuleScope, method: Fields, signature: &MethodSignature) -> Result<u32> {
    let types = &runtime().types;
    let mut bytes = Vec::new();
    push_method_head(&mut bytes, signature);
    if class_name(method.object()) == "MethodBuilder" {
        push_modifiers(scope, &mut bytes, method, "returnModReq", "returnModOpt")?;
    }
    push_type(&mut bytes, types, scope, signature.ret);
    let lists = [("paramModReq", element::CMOD_REQD), ("paramModOpt", element::CMOD_OPT)];
    for (index, &param) in signature.params.iter().enumerate() {
        for (list, kind) in lists {
            let Some(list) = method.reference(list)?.as_array().filter(|list| index < list.len()) else { continue };
            let Some(modifiers) = list.get_ref(index).as_array() else { continue };
            for modifier in Elements::of(modifiers) {
                push_modifier(scope, &mut bytes, kind, modifier)?;
            }
        }
        push_type(&mut bytes, types, scope, param);
    }
    Ok(scope.writer.blob(&bytes))
}

/// Adds all else: bodies, constants, layouts, parameters, properties, events, attributes. `module` is whose tokens the bodies have.
pub fn define(scope: &mut ModuleScope, builder: Fields, row: u32, module: AssemblyId) -> Result<()> {
    let own = Token::new(TableId::TypeDef, row);
    for interface in builder.elements("interfaces")? {
        let token = scope.type_token(type_id(interface)?);
        scope.writer.add_row(TableId::InterfaceImpl, &[row, token.0]);
    }
    let (size, packing) = (builder.int("class_size")?, builder.int("packing_size")?);
    if size > 0 || packing > 0 {
        scope.writer.add_row(TableId::ClassLayout, &[packing.max(0) as u32, size.max(0) as u32, row]);
    }
    define_generic_params(scope, builder, own)?;
    add_attributes(scope, builder, own)?;
    let first_field = scope.writer.cell(TableId::TypeDef, row, 4);
    for (field, row) in builder.elements("fields")?.zip(first_field..) {
        define_field(scope, Fields::of(field)?, row)?;
    }
    let first_method = scope.writer.cell(TableId::TypeDef, row, 5);
    for (method, method_row) in methods(builder)?.zip(first_method..) {
        define_method(scope, Fields::of(method)?, row, method_row, module)?;
    }
    define_properties(scope, builder, row)?;
    define_events(scope, builder, row)
}

fn define_generic_params(scope: &mut ModuleScope, builder: Fields, owner: Token) -> Result<()> {
    for param in builder.elements("generic_params")? {
        let param = Fields::of(param)?;
        let name = scope.writer.string(&param.text("name")?);
        let cells = [param.int("index")? as u32, param.int("attrs")? as u32, owner.0, name];
        let row = scope.writer.add_row(TableId::GenericParam, &cells);
        let base = param.reference("base_type")?.non_null();
        for constraint in base.into_iter().chain(param.elements("iface_constraints")?) {
            let token = scope.type_token(type_id(constraint)?);
            scope.writer.add_row(TableId::GenericParamConstraint, &[row, token.0]);
        }
        add_attributes(scope, param, Token::new(TableId::GenericParam, row))?;
    }
    Ok(())
}

fn define_field(scope: &mut ModuleScope, field: Fields, row: u32) -> Result<()> {
    let token = Token::new(TableId::Field, row);
    let offset = field.int("offset")?;
    if offset >= 0 {
        scope.writer.add_row(TableId::FieldLayout, &[offset as u32, row]);
    }
    if let Some(data) = initial_data(field)? {
        let rva = scope.writer.add_data(&data);
        scope.writer.add_row(TableId::FieldRva, &[rva, row]);
    }
    add_constant(scope, field, token, field.int("attrs")? & FIELD_HAS_DEFAULT != 0)?;
    add_marshalling(scope, field, token)?;
    add_attributes(scope, field, token)
}

/// The initial data of a field; zeros for one that was defined without.
fn initial_data(field: Fields) -> Result<Option<Vec<u8>>> {
    let data = field.bytes("rva_data")?;
    if data.is_some() || field.int("attrs")? as u32 & FIELD_HAS_RVA == 0 {
        return Ok(data);
    }
    let ty = type_id(field.reference("type")?)?;
    let size = match registry::builder_of(ty) {
        Some(builder) => Fields::of(builder)?.int("class_size")?.max(0) as usize,
        None => runtime().types.class(ty)?.value_size as usize,
    };
    Ok(Some(vec![0; size]))
}

fn define_method(scope: &mut ModuleScope, method: Fields, type_row: u32, row: u32, module: AssemblyId) -> Result<()> {
    let token = Token::new(TableId::MethodDef, row);
    let is_method = class_name(method.object()) == "MethodBuilder";
    let code = if is_method { method.bytes("code")? } else { None };
    let init_locals = method.flag("init_locals")?;
    let body = match (method.inner("ilgen")?, code) {
        (Some(generator), _) => Some(generated_body(scope, generator, init_locals, &|token| operand(module, token))?),
        (None, Some(mut il)) => {
            super::bodies::replace_tokens(scope, &mut il, &|token| operand(module, token))?;
            let code = il::writer::bodies::MethodCode { il, max_stack: 8, init_locals, ..Default::default() };
            Some(code.encode())
        }
        (None, None) => None,
    };
    let has_body = method.int("attrs")? & i32::from(method_attributes::ABSTRACT | method_attributes::PINVOKE) == 0;
    if let Some(body) = body.filter(|_| has_body) {
        let rva = scope.writer.add_body(&body);
        scope.writer.set_cell(TableId::MethodDef, row, 0, rva);
    }
    let first_param = scope.writer.cell(TableId::MethodDef, row, 5);
    for (param, row) in method.elements("pinfo")?.zip(first_param..) {
        let (param, token) = (Fields::of(param)?, Token::new(TableId::Param, row));
        add_constant(scope, param, token, param.int("attrs")? & PARAM_HAS_DEFAULT != 0)?;
        add_marshalling(scope, param, token)?;
        add_attributes(scope, param, token)?;
    }
    if is_method {
        define_import(scope, method, token)?;
        define_generic_params(scope, method, token)?;
        for declaration in method.elements("override_methods")? {
            let declaration = scope.open_method_token(&method_reference(declaration)?);
            scope.writer.add_row(TableId::MethodImpl, &[type_row, token.0, declaration.0]);
        }
    }
    add_attributes(scope, method, token)
}

/// What a token in a body of a module stands for.
fn operand(module: AssemblyId, token: u32) -> Option<Operand> {
    if Token(token).table_number() == Token::USER_STRING {
        return tokens::string(module, token).map(|units| Operand::String(units.into_vec()));
    }
    let object = tokens::registered(module, token)?;
    Some(match tokens::variable_arguments(module, token) {
        Some(arguments) => Operand::Call(object, arguments),
        None => Operand::Object(object),
    })
}

/// The function that a P/Invoke method names.
fn define_import(scope: &mut ModuleScope, method: Fields, token: Token) -> Result<()> {
    let library = method.text("pi_dll")?;
    if library.is_empty() {
        return Ok(());
    }
    // `PInvokeAttributes`: character set in bits 1 and 2, convention from bit 8; 1 is `NoMangle`, which Mono writes into files only.
    let charset = match method.int("charset")? {
        0 => u32::from(scope.is_file),
        charset => (charset as u32 - 1) * 2,
    };
    let flags = (method.int("native_cc")? as u32) << 8 | charset | method.int("extra_flags")? as u32;
    let entry = match method.text("pi_entry")? {
        entry if entry.is_empty() => method.text("name")?,
        entry => entry,
    };
    let library = scope.writer.string(&library);
    let scope_row = scope.writer.add_row(TableId::ModuleRef, &[library]);
    let entry = scope.writer.string(&entry);
    scope.writer.add_row(TableId::ImplMap, &[flags, token.0, entry, scope_row]);
    Ok(())
}

/// The row of one of the type's own methods.
fn own_method_row(scope: &mut ModuleScope, type_row: u32, method: Fields) -> Result<Option<u32>> {
    let name = scope.writer.string(&method_name(method)?);
    let signature = built_signature(method)?;
    let signature = scope.method_signature(&signature);
    Ok(scope.own_method(type_row, name, signature).map(Token::row))
}

/// Adds accessors of a property or event. `semantics` as in ECMA-335 II.23.1.12.
fn define_accessor(scope: &mut ModuleScope, type_row: u32, owner: Token, method: Fields, semantics: u32) -> Result<()> {
    if let Some(row) = own_method_row(scope, type_row, method)? {
        scope.writer.add_row(TableId::MethodSemantics, &[semantics, row, owner.0]);
    }
    Ok(())
}

fn define_properties(scope: &mut ModuleScope, builder: Fields, type_row: u32) -> Result<()> {
    const PROPERTY: u8 = 8;
    const HAS_THIS: u8 = 0x20;
    const ACCESSORS: [(&str, u32); 2] = [("set_method", 1), ("get_method", 2)];
    let types = &runtime().types;
    let mut has_map = false;
    for property in builder.elements("properties")? {
        let property = Fields::of(property)?;
        let accessors = [property.inner("get_method")?, property.inner("set_method")?];
        let accessor = accessors.into_iter().flatten().next();
        let is_static = accessor.map_or(Ok(false), |accessor| accessor.int("attrs").map(|attributes| attributes & 0x10 != 0))?;
        let params = super::references::type_ids(property.elements("parameters")?)?;
        let mut signature = vec![PROPERTY | if is_static { 0 } else { HAS_THIS }];
        push_compressed(&mut signature, params.len() as u32);
        push_modifiers(scope, &mut signature, property, "returnModReq", "returnModOpt")?;
        let ty = type_id(property.reference("type")?)?;
        push_type(&mut signature, types, scope, ty);
        params.iter().for_each(|&param| push_type(&mut signature, types, scope, param));
        let (name, signature) = (scope.writer.string(&property.text("name")?), scope.writer.blob(&signature));
        let attributes = property.int("attrs")?;
        let row = scope.writer.add_row(TableId::Property, &[attributes as u32, name, signature]);
        if !std::mem::replace(&mut has_map, true) {
            scope.writer.add_row(TableId::PropertyMap, &[type_row, row]);
        }
        let token = Token::new(TableId::Property, row);
        for (name, semantics) in ACCESSORS {
            if let Some(method) = property.inner(name)? {
                define_accessor(scope, type_row, token, method, semantics)?;
            }
        }
        add_constant(scope, property, token, attributes & PROPERTY_HAS_DEFAULT != 0)?;
        add_attributes(scope, property, token)?;
    }
    Ok(())
}

fn define_events(scope: &mut ModuleScope, builder: Fields, type_row: u32) -> Result<()> {
    const OTHER: u32 = 4;
    const ACCESSORS: [(&str, u32); 3] = [("add_method", 8), ("remove_method", 0x10), ("raise_method", 0x20)];
    let mut has_map = false;
    for event in builder.elements("events")? {
        let event = Fields::of(event)?;
        let ty = scope.type_token(type_id(event.reference("type")?)?);
        let name = scope.writer.string(&event.text("name")?);
        let row = scope.writer.add_row(TableId::Event, &[event.int("attrs")? as u32, name, ty.0]);
        if !std::mem::replace(&mut has_map, true) {
            scope.writer.add_row(TableId::EventMap, &[type_row, row]);
        }
        let token = Token::new(TableId::Event, row);
        for (name, semantics) in ACCESSORS {
            if let Some(method) = event.inner(name)? {
                define_accessor(scope, type_row, token, method, semantics)?;
            }
        }
        for method in event.elements("other_methods")? {
            define_accessor(scope, type_row, token, Fields::of(method)?, OTHER)?;
        }
        add_attributes(scope, event, token)?;
    }
    Ok(())
}

/// Adds the constant of a field, parameter or property. `is_declared`: there is one even if it is null.
fn add_constant(scope: &mut ModuleScope, builder: Fields, owner: Token, is_declared: bool) -> Result<()> {
    let value = builder.reference("def_value")?;
    let (kind, bytes) = match value.non_null() {
        None if !is_declared => return Ok(()),
        None => (element::CLASS, vec![0; 4]),
        Some(value) => match value.as_string() {
            Some(text) => (element::STRING, StringRef::units(text).iter().flat_map(|unit| unit.to_le_bytes()).collect()),
            None => (constant_element(value.type_id())?, boxed_bytes(value)),
        },
    };
    let blob = scope.writer.blob(&bytes);
    scope.writer.add_row(TableId::Constant, &[u32::from(kind), owner.0, blob]);
    Ok(())
}

/// The element type of a constant of a primitive type or enumeration.
fn constant_element(ty: TypeId) -> Result<u8> {
    let types = &runtime().types;
    let underlying = if types.is_enum(ty) { types.enum_underlying(ty)? } else { ty };
    Ok(match types.kind(underlying) {
        TypeKind::Primitive(primitive) => primitive_element(*primitive),
        _ => element::CLASS,
    })
}

/// Adds how a field or parameter is marshalled (ECMA-335 II.23.4).
fn add_marshalling(scope: &mut ModuleScope, builder: Fields, owner: Token) -> Result<()> {
    const BY_VALUE_STRING: i32 = 0x17;
    const BY_VALUE_ARRAY: i32 = 0x1e;
    const ARRAY: i32 = 0x2a;
    const UNKNOWN: i32 = 0x50;
    let Some(marshalling) = builder.inner("marshal_info")? else { return Ok(()) };
    let kind = marshalling.int("t")?;
    let mut bytes = Vec::new();
    push_compressed(&mut bytes, kind as u32);
    let mut push_positive = |value: i32| push_compressed(&mut bytes, value.max(0) as u32);
    match kind {
        BY_VALUE_STRING => push_positive(marshalling.int("count")?),
        BY_VALUE_ARRAY => {
            push_positive(marshalling.int("count")?);
            let element = marshalling.int("tbase")?;
            if element != UNKNOWN && element != 0 {
                push_positive(element);
            }
        }
        ARRAY => {
            push_positive(marshalling.int("tbase")?);
            if marshalling.flag("has_size")? {
                push_positive(marshalling.int("param_num")?);
                push_positive(marshalling.int("count")?);
                push_positive(i32::from(marshalling.int("param_num")? >= 0));
            }
        }
        _ => {}
    }
    let blob = scope.writer.blob(&bytes);
    scope.writer.add_row(TableId::FieldMarshal, &[owner.0, blob]);
    Ok(())
}
