//! What must be known beyond one call: which assemblies of the type system belong to which builder.

use super::objects::class_name;
use super::references::made_type_of;
use crate::exceptions::{Exception, Result};
use crate::named_fields::Fields;
use crate::object::ObjectRef;
use crate::{handles, roots, runtime};
use il::types::{AssemblyId, TypeId};
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::LazyLock;

/// An object that is kept for good, by its slot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kept(usize);

impl Kept {
    /// Keeps an object.
    pub fn new(object: ObjectRef) -> Kept {
        Kept(roots::keep(object) as usize)
    }

    /// The object.
    pub fn get(self) -> ObjectRef {
        // SAFETY: the slot lives as long as the process.
        unsafe { (self.0 as *const ObjectRef).read() }
    }
}

/// Whose assembly of the type system it is.
#[derive(Clone, Copy)]
pub struct Owner {
    /// The assembly that the assembly builder itself has.
    pub main: AssemblyId,
    /// The `AssemblyBuilder`.
    pub assembly: Kept,
    /// The `ModuleBuilder`; none for the assembly builder's own assembly.
    pub module: Option<Kept>,
    /// Number of the domain that the builders are objects of.
    pub domain: i32,
}

impl Owner {
    /// The assembly that its module has; none for the assembly builder's own assembly.
    pub fn module_assembly(self) -> Result<Option<AssemblyId>> {
        self.module.map(|module| module_assembly(Fields::of(module.get())?)).transpose()
    }
}

#[derive(Default)]
struct Registry {
    owners: FxHashMap<AssemblyId, Owner>,
    builders: FxHashMap<TypeId, Kept>,
    /// Arguments of attributes that programs read from builders.
    blobs: FxHashSet<&'static [u8]>,
}

static REGISTRY: LazyLock<Mutex<Registry>> = LazyLock::new(Mutex::default);

/// Whose assembly it is, if it belongs to a builder.
pub fn owner_of(assembly: AssemblyId) -> Option<Owner> {
    REGISTRY.lock().owners.get(&assembly).copied()
}

/// The assembly that stands for a `ModuleBuilder` or `AssemblyBuilder`.
pub fn module_assembly(module: Fields) -> Result<AssemblyId> {
    let handle = if class_name(module.object()) == "AssemblyBuilder" { "_mono_assembly" } else { "_impl" };
    let number = module.word(handle)?.checked_sub(1);
    number.map(|number| AssemblyId(number as u32)).ok_or_else(|| Exception::engine("a builder that was not initialised"))
}

/// Notes whose assembly it is.
pub fn set_owner(assembly: AssemblyId, owner: Owner) {
    REGISTRY.lock().owners.insert(assembly, owner);
}

/// The builder of a type that is being or was built.
pub fn builder_of(ty: TypeId) -> Option<ObjectRef> {
    REGISTRY.lock().builders.get(&ty).map(|kept| kept.get())
}

/// The type that a `TypeBuilder` builds, which gets its number now if it has none.
pub fn made_type(builder: Fields) -> Result<TypeId> {
    let known = builder.word("_impl")?;
    if let Some(ty) = handles::to_type(known) {
        return Ok(ty);
    }
    let module = Fields::of(builder.reference("pmodule")?)?;
    let owner = owner_of(module_assembly(module)?);
    let assembly = runtime().types.reserve_assembly();
    let ty = made_type_of(assembly);
    runtime().types.name_reserved(assembly, builder.text("nspace")?, builder.text("tname")?);
    builder.set_word("_impl", handles::from_type(ty))?;
    if let Some(owner) = owner {
        set_owner(assembly, owner);
    }
    REGISTRY.lock().builders.insert(ty, Kept::new(builder.object()));
    Ok(ty)
}

/// Bytes that stay for good, once for all with the same content.
pub fn kept_blob(bytes: Vec<u8>) -> &'static [u8] {
    let mut registry = REGISTRY.lock();
    if let Some(known) = registry.blobs.get(&bytes[..]) {
        return known;
    }
    let kept: &'static [u8] = Vec::leak(bytes);
    registry.blobs.insert(kept);
    kept
}
