//! Names of types and assemblies as reflection writes them.

use super::parameters::{is_definition, parameter_of, type_parameters};
use crate::emit::registry;
use crate::runtime;
use il::AssemblyName;
use il::types::{AssemblyId, TypeId, TypeKind};

/// How a type's name is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `Type.ToString`: arguments without assemblies, definitions with their parameters.
    Plain,
    /// `Type.FullName`: arguments with their assemblies.
    Full,
    /// `Type.AssemblyQualifiedName`
    Qualified,
}

/// A type's name in a style.
pub(super) fn type_name(ty: TypeId, style: Style) -> String {
    let mut name = String::new();
    write_type(ty, style, &mut name);
    if style == Style::Qualified {
        write_assembly(ty, &mut name);
    }
    name
}

/// A type's name with that of its assembly.
pub fn qualified_type_name(ty: TypeId) -> String {
    type_name(ty, Style::Qualified)
}

/// The simple name: `Type.Name`.
pub(super) fn short_name(ty: TypeId) -> String {
    let types = &runtime().types;
    if let Some(parameter) = parameter_of(ty) {
        return types.metadata(parameter.assembly).string(parameter.columns.name).to_owned();
    }
    match *types.kind(ty) {
        TypeKind::SzArray(inner) | TypeKind::Array { element: inner, .. } | TypeKind::Pointer(inner) | TypeKind::ByRef(inner) => {
            let mut name = short_name(inner);
            write_suffix(ty, &mut name);
            name
        }
        TypeKind::FunctionPointer(_) => "IntPtr".to_owned(),
        _ => types.simple_name(ty).1.to_owned(),
    }
}

/// The namespace, that of the outermost type around it; `None` for the global one.
pub(super) fn namespace(ty: TypeId) -> Option<&'static str> {
    let types = &runtime().types;
    let mut current = ty;
    loop {
        if let Some(parameter) = parameter_of(current) {
            current = parameter.declaring_type()?;
        }
        match *types.kind(current) {
            TypeKind::SzArray(inner)
            | TypeKind::Array { element: inner, .. }
            | TypeKind::Pointer(inner)
            | TypeKind::ByRef(inner) => current = inner,
            _ => match types.declaring_type(current) {
                Some(outer) => current = outer,
                None => break,
            },
        }
    }
    Some(types.simple_name(current).0).filter(|namespace| !namespace.is_empty())
}

/// The assembly of a type; of constructed types that of what they are made of. A type that is not finished has none yet but its builder's.
pub(super) fn assembly_of(ty: TypeId) -> AssemblyId {
    let types = &runtime().types;
    if let Some(parameter) = parameter_of(ty) {
        return parameter.assembly;
    }
    match *types.kind(ty) {
        TypeKind::SzArray(inner) | TypeKind::Array { element: inner, .. } | TypeKind::Pointer(inner) | TypeKind::ByRef(inner) => {
            assembly_of(inner)
        }
        _ => match types.definition_of(ty) {
            Some((assembly, _)) if !types.is_filled(assembly) => {
                registry::owner_of(assembly).map_or(assembly, |owner| owner.main)
            }
            Some((assembly, _)) => assembly,
            None => types.corlib(),
        },
    }
}

/// An assembly's display name: `mscorlib, Version=4.0.0.0, Culture=neutral, PublicKeyToken=b77a5c561934e089`.
pub fn assembly_name(name: &AssemblyName) -> String {
    let version = name.version;
    let culture = if name.culture.is_empty() { "neutral" } else { &name.culture };
    let mut text = format!(
        "{}, Version={}.{}.{}.{}, Culture={culture}, PublicKeyToken=",
        name.name, version.major, version.minor, version.build, version.revision
    );
    match name.token() {
        Some(token) => text.extend(token.iter().map(|byte| format!("{byte:02x}"))),
        None => text.push_str("null"),
    }
    text
}

fn write_assembly(ty: TypeId, name: &mut String) {
    let types = &runtime().types;
    name.push_str(", ");
    name.push_str(&assembly_name(types.assembly(types.manifest_of(assembly_of(ty))).name()));
}

fn write_suffix(ty: TypeId, name: &mut String) {
    match *runtime().types.kind(ty) {
        TypeKind::SzArray(_) => name.push_str("[]"),
        TypeKind::Array { rank: 1, .. } => name.push_str("[*]"),
        TypeKind::Array { rank, .. } => {
            name.push('[');
            name.extend((1..rank).map(|_| ','));
            name.push(']');
        }
        TypeKind::Pointer(_) => name.push('*'),
        TypeKind::ByRef(_) => name.push('&'),
        _ => {}
    }
}

fn write_type(ty: TypeId, style: Style, name: &mut String) {
    let types = &runtime().types;
    if parameter_of(ty).is_some() {
        name.push_str(&short_name(ty));
        return;
    }
    match types.kind(ty) {
        TypeKind::SzArray(inner) | TypeKind::Array { element: inner, .. } | TypeKind::Pointer(inner) | TypeKind::ByRef(inner) => {
            write_type(*inner, style, name);
            write_suffix(ty, name);
        }
        TypeKind::FunctionPointer(_) => name.push_str("System.IntPtr"),
        TypeKind::Instance { definition, args } => {
            write_definition(*definition, name);
            write_arguments(args, style, name);
        }
        _ => {
            write_definition(ty, name);
            if style == Style::Plain && is_definition(ty) {
                write_arguments(&type_parameters(ty), style, name);
            }
        }
    }
}

fn write_arguments(args: &[TypeId], style: Style, name: &mut String) {
    name.push('[');
    for (index, &arg) in args.iter().enumerate() {
        if index > 0 {
            name.push(',');
        }
        if style == Style::Plain || matches!(runtime().types.kind(arg), TypeKind::Var(_)) {
            write_type(arg, style, name);
            continue;
        }
        // A method's parameter is put into brackets, too, though it has no assembly.
        let inner = if parameter_of(arg).is_some() { Style::Full } else { Style::Qualified };
        name.push('[');
        name.push_str(&type_name(arg, inner));
        name.push(']');
    }
    name.push(']');
}

fn write_definition(ty: TypeId, name: &mut String) {
    let types = &runtime().types;
    let (namespace, simple) = types.simple_name(ty);
    if let Some(outer) = types.declaring_type(ty).filter(|&outer| outer != ty) {
        write_definition(outer, name);
        name.push('+');
    }
    if !namespace.is_empty() {
        write_escaped(namespace, name);
        name.push('.');
    }
    write_escaped(simple, name);
}

/// Characters that mean something in a type's name get a backslash.
fn write_escaped(text: &str, name: &mut String) {
    for character in text.chars() {
        if matches!(character, '+' | '&' | ',' | '*' | '[' | ']' | '\\') {
            name.push('\\');
        }
        name.push(character);
    }
}
