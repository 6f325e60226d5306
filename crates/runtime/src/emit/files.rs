//! `AssemblyBuilder.Save`: all types of a module in one image, which refers to everything by name.

use super::assemblies::add_manifest;
use super::attributes::add_attributes;
use super::module::ModuleScope;
use super::references::method_reference;
use super::registry::{builder_of, made_type, module_assembly};
use super::types::{declare, define};
use crate::exceptions::{Exception, Result};
use crate::named_fields::Fields;
use crate::object::ObjectRef;
use il::types::{TypeId, file_attributes};
use il::writer::{FileFacts, NativeResource};
use il::{TableId, Token};

/// The file of a `ModuleBuilder`.
pub fn module_image(module: ObjectRef) -> Result<Vec<u8>> {
    let module = Fields::of(module)?;
    let assembly = Fields::of(module.reference("assemblyb")?)?;
    let mut scope = ModuleScope::new(&module.text("name")?);
    scope.is_file = true;
    if let Some(guid) = module.bytes("guid")?.and_then(|guid| <[u8; 16]>::try_from(guid).ok()) {
        scope.writer.set_mvid(guid);
    }
    add_types(&mut scope, module)?;
    add_attributes(&mut scope, module, Token::new(TableId::Module, 1))?;
    add_resources(&mut scope, module)?;
    if module.flag("is_main")? {
        add_manifest(&mut scope, assembly)?;
        add_attributes(&mut scope, assembly, Token::new(TableId::Assembly, 1))?;
        add_resources(&mut scope, assembly)?;
        add_native_resources(&mut scope, assembly)?;
        for other in assembly.elements("modules")? {
            let other = Fields::of(other)?;
            if !other.flag("is_main")? {
                let name = scope.writer.string(&other.text("fqname")?);
                scope.writer.add_row(TableId::File, &[0, name]);
            }
        }
    }
    scope.writer.facts = facts(&mut scope, assembly, module.flag("is_main")?)?;
    Ok(scope.writer.finish())
}

/// Bytes of a signature by those of the public key: those of the RSA modulus, before which stand 32 bytes of headers.
fn signature_size(key_bytes: usize) -> u32 {
    const HEADER_BYTES: usize = 32;
    const STANDARD_BYTES: usize = 128;
    let size = if key_bytes > HEADER_BYTES + 16 { key_bytes - HEADER_BYTES } else { STANDARD_BYTES };
    size as u32
}

fn facts(scope: &mut ModuleScope, assembly: Fields, is_main: bool) -> Result<FileFacts> {
    // `PEFileKinds`
    const DLL: i32 = 1;
    const WINDOWS_APPLICATION: i32 = 3;
    // `PortableExecutableKinds`
    const REQUIRES_32_BIT: i32 = 2;
    let kind = assembly.int("pekind")?;
    let mut facts =
        FileFacts { is_dll: kind == DLL || !is_main, is_graphical: kind == WINDOWS_APPLICATION, ..Default::default() };
    if assembly.int("peKind")? & REQUIRES_32_BIT != 0 {
        facts.flags |= il::pe::cli_flags::REQUIRES_32_BIT;
    }
    if let Some(key) = assembly.bytes("public_key")?.filter(|key| is_main && !key.is_empty()) {
        facts.signature_bytes = signature_size(key.len());
    }
    if let Some(entry_point) = assembly.reference("entry_point")?.non_null().filter(|_| is_main) {
        facts.entry_point = scope.open_method_token(&method_reference(entry_point)?);
    }
    Ok(facts)
}

/// Types with their rows, outer ones before those in them.
fn collect(builder: Fields, enclosing: u32, found: &mut Vec<(TypeId, u32)>) -> Result<()> {
    found.push((made_type(builder)?, enclosing));
    // The first row is that of the module.
    let row = found.len() as u32 + 1;
    for nested in builder.elements("subtypes")? {
        collect(Fields::of(nested)?, row, found)?;
    }
    Ok(())
}

fn builder_fields(ty: TypeId) -> Result<Fields> {
    Fields::of(builder_of(ty).ok_or_else(|| Exception::engine("a type without a builder"))?)
}

fn add_types(scope: &mut ModuleScope, module: Fields) -> Result<()> {
    const MODULE_ROW: u32 = 1;
    const FIRST_ROW: u32 = 2;
    let tokens = module_assembly(module)?;
    let mut types = Vec::new();
    let count = module.int("num_types")?.max(0) as usize;
    for builder in module.elements("types")?.take(count) {
        collect(Fields::of(builder)?, 0, &mut types)?;
    }
    let global = module.inner("global_type")?;
    if let Some(global) = global {
        scope.define_type(made_type(global)?, MODULE_ROW);
    }
    for (&(ty, _), row) in types.iter().zip(FIRST_ROW..) {
        scope.define_type(ty, row);
    }
    if let Some(global) = global {
        declare(scope, global, MODULE_ROW)?;
    }
    for (&(ty, enclosing), row) in types.iter().zip(FIRST_ROW..) {
        declare(scope, builder_fields(ty)?, row)?;
        if enclosing != 0 {
            scope.writer.add_row(TableId::NestedClass, &[row, enclosing]);
        }
    }
    if let Some(global) = global {
        define(scope, global, MODULE_ROW, tokens)?;
    }
    for (&(ty, _), row) in types.iter().zip(FIRST_ROW..) {
        define(scope, builder_fields(ty)?, row, tokens)?;
    }
    Ok(())
}

fn add_resources(scope: &mut ModuleScope, owner: Fields) -> Result<()> {
    for resource in owner.structures("resources")? {
        let name = resource.text("name")?;
        if name.is_empty() {
            continue;
        }
        let name = scope.writer.string(&name);
        let attributes = resource.int("attrs")? as u32;
        let file = resource.text("filename")?;
        let (offset, implementation) = match resource.bytes("data")? {
            Some(data) => (scope.writer.add_resource(&data), Token::NULL),
            None => {
                let file = scope.writer.string(file.rsplit('/').next().unwrap_or_default());
                (0, Token::new(TableId::File, scope.writer.add_row(TableId::File, &[file_attributes::NO_METADATA, file])))
            }
        };
        scope.writer.add_row(TableId::ManifestResource, &[offset, attributes, name, implementation.0]);
    }
    Ok(())
}

/// Icons, version information and the like: the class library gives them as they are stored.
fn add_native_resources(scope: &mut ModuleScope, assembly: Fields) -> Result<()> {
    for resource in assembly.structures("win32_resources")? {
        scope.writer.native_resources.push(NativeResource {
            kind: resource.int("res_type")? as u32,
            number: resource.int("res_id")? as u32,
            language: resource.int("lang_id")? as u32,
            data: resource.bytes("data")?.unwrap_or_default(),
        });
    }
    Ok(())
}
