//! `AssemblyBuilder` and `ModuleBuilder`: the assemblies of the type system that stand for them have a name and no types.

use super::module::ModuleScope;
use super::objects::class_name;
use super::registry::{self, Kept, Owner, module_assembly};
use crate::exceptions::Result;
use crate::named_fields::Fields;
use crate::object::ObjectRef;
use crate::{domain, runtime};
use il::types::AssemblyId;
use il::{TableId, Version};

/// Adds the manifest of an `AssemblyBuilder`.
pub fn add_manifest(scope: &mut ModuleScope, assembly: Fields) -> Result<()> {
    const SHA1: u32 = 0x8004;
    let version = Version::parse(&assembly.text("version")?).unwrap_or_default();
    let version = [version.major, version.minor, version.build, version.revision].map(u32::from);
    let key = assembly.bytes("public_key")?.unwrap_or_default();
    let algorithm = match assembly.int("algid")? {
        0 => SHA1,
        algorithm => algorithm as u32,
    };
    let flags = assembly.int("flags")? as u32;
    let key = scope.writer.blob(&key);
    let (name, culture) = (scope.writer.string(&assembly.text("name")?), scope.writer.string(&assembly.text("culture")?));
    let cells = [algorithm, version[0], version[1], version[2], version[3], flags, key, name, culture];
    scope.writer.add_row(TableId::Assembly, &cells);
    Ok(())
}

/// The image that stands for a builder: a name without types.
fn install_empty(assembly: AssemblyId, whole: Option<AssemblyId>, builder: Fields, module_name: &str) -> Result<()> {
    let mut scope = ModuleScope::new(module_name);
    whole.into_iter().for_each(|whole| scope.set_whole(whole));
    add_manifest(&mut scope, builder)?;
    scope.install(assembly, module_name)
}

/// Gives a new `AssemblyBuilder` its assembly.
pub fn initialize_assembly(object: ObjectRef) -> Result<()> {
    let builder = Fields::of(object)?;
    let assembly = runtime().types.reserve_assembly();
    install_empty(assembly, Some(assembly), builder, &builder.text("name")?)?;
    builder.set_word("_mono_assembly", assembly.index() + 1)?;
    registry::set_owner(
        assembly,
        Owner { main: assembly, assembly: Kept::new(object), module: None, domain: domain::current().id },
    );
    Ok(())
}

/// Gives a new `ModuleBuilder` its assembly.
pub fn initialize_module(object: ObjectRef) -> Result<()> {
    let module = Fields::of(object)?;
    let builder = Fields::of(module.reference("assemblyb")?)?;
    let main = module_assembly(builder)?;
    let assembly = runtime().types.reserve_assembly();
    install_empty(assembly, None, builder, &module.text("name")?)?;
    module.set_word("_impl", assembly.index() + 1)?;
    let kept = registry::owner_of(main).map_or_else(|| Kept::new(builder.object()), |owner| owner.assembly);
    registry::set_owner(assembly, Owner { main, assembly: kept, module: Some(Kept::new(object)), domain: domain::current().id });
    Ok(())
}

/// `AssemblyBuilderAccess.Save`: to be written only.
const SAVE: i32 = 2;
/// `AssemblyBuilderAccess.ReflectionOnly`: to be looked at only.
const REFLECTION_ONLY: i32 = 6;

/// Whether the code of an assembly may run; that of one which a program makes to save it may not.
pub fn can_run(assembly: AssemblyId) -> Result<bool> {
    match registry::owner_of(assembly) {
        Some(owner) => Ok(Fields::of(owner.assembly.get())?.int("access")? != SAVE),
        None => Ok(true),
    }
}

/// Whether an object is an `AssemblyBuilder` whose assembly is to be looked at only.
pub fn is_reflection_only(object: ObjectRef) -> Result<bool> {
    Ok(class_name(object) == "AssemblyBuilder" && Fields::of(object)?.int("access")? == REFLECTION_ONLY)
}

/// The `ModuleBuilder` that has an assembly's manifest; null if none was defined.
pub fn manifest_module(owner: Owner) -> Result<ObjectRef> {
    let builder = Fields::of(owner.assembly.get())?;
    match builder.reference("manifest_module")?.non_null() {
        Some(module) => Ok(module),
        None => Ok(builder.elements("modules")?.next().unwrap_or(ObjectRef::NULL)),
    }
}
