//! What must be known beyond one call: which assemblies of the type system belong to which builder, and what the tokens that
//! were given out stand for.

use super::objects::class_name;
use super::references::made_type_of;
use crate::exceptions::{Exception, Result};
use crate::named_fields::Fields;
use crate::object::ObjectRef;
use crate::{handles, roots, runtime};
use il::types::{AssemblyId, TypeId};
use il::{TableId, Token};
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

#[derive(Default)]
struct Registry {
    owners: FxHashMap<AssemblyId, Owner>,
    builders: FxHashMap<TypeId, Kept>,
    /// By number of the module's assembly and token.
    tokens: FxHashMap<(AssemblyId, u32), Kept>,
    /// Types of the variable arguments of call sites, likewise.
    variable_arguments: FxHashMap<(AssemblyId, u32), Box<[TypeId]>>,
    /// Tokens of types in signatures that programs read.
    signature_types: FxHashMap<(AssemblyId, TypeId), u32>,
    strings: FxHashMap<AssemblyId, Vec<Box<[u16]>>>,
    /// Arguments of attributes that programs read from builders.
    blobs: FxHashSet<&'static [u8]>,
    /// How many tokens the runtime itself has given out.
    token_count: u32,
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
    builder.set_word("_impl", handles::from_type(ty))?;
    if let Some(owner) = owner {
        set_owner(assembly, owner);
    }
    REGISTRY.lock().builders.insert(ty, Kept::new(builder.object()));
    Ok(ty)
}

/// Notes what a token of a module stands for.
pub fn register_token(module: AssemblyId, token: u32, object: ObjectRef) {
    let kept = Kept::new(object);
    REGISTRY.lock().tokens.insert((module, token), kept);
}

/// A new token of a module for an object.
pub fn new_token(module: AssemblyId, object: ObjectRef) -> Result<u32> {
    let table = match class_name(object) {
        "RuntimeType" => TableId::TypeRef,
        "SignatureHelper" => TableId::StandAloneSig,
        "TypeBuilder" | "EnumBuilder" => TableId::TypeDef,
        "TypeBuilderInstantiation" | "ArrayType" | "ByRefType" | "PointerType" | "GenericTypeParameterBuilder" => {
            TableId::TypeSpec
        }
        _ => TableId::MemberRef,
    };
    let kept = Kept::new(object);
    let mut registry = REGISTRY.lock();
    registry.token_count += 1;
    let token = Token::new(table, registry.token_count).0;
    registry.tokens.insert((module, token), kept);
    Ok(token)
}

/// What a token of a module stands for.
pub fn registered(module: AssemblyId, token: u32) -> Option<ObjectRef> {
    REGISTRY.lock().tokens.get(&(module, token)).map(|kept| kept.get())
}

/// A new token of a module for a method as one call site calls it, with these variable arguments.
pub fn new_call_token(module: AssemblyId, method: ObjectRef, arguments: Vec<TypeId>) -> Result<u32> {
    let token = new_token(module, method)?;
    REGISTRY.lock().variable_arguments.insert((module, token), arguments.into());
    Ok(token)
}

/// The variable arguments of the call site that a token is for.
pub fn variable_arguments(module: AssemblyId, token: u32) -> Option<Vec<TypeId>> {
    REGISTRY.lock().variable_arguments.get(&(module, token)).map(|arguments| arguments.to_vec())
}

/// The token of a type in a module's signatures: that of its builder, or one that is given out now.
pub fn signature_type_token(module: AssemblyId, ty: TypeId) -> Result<u32> {
    if let Some(&token) = REGISTRY.lock().signature_types.get(&(module, ty)) {
        return Ok(token);
    }
    let token = match builder_of(ty) {
        Some(builder) => Token::new(TableId::TypeDef, Fields::of(builder)?.int("table_idx")? as u32).0,
        None => new_token(module, handles::type_object(ty)?)?,
    };
    Ok(*REGISTRY.lock().signature_types.entry((module, ty)).or_insert(token))
}

/// The number of a user string of a module, from 1.
pub fn add_string(module: AssemblyId, units: &[u16]) -> u32 {
    let mut registry = REGISTRY.lock();
    let strings = registry.strings.entry(module).or_default();
    strings.push(units.into());
    strings.len() as u32
}

/// The user string with a number.
pub fn string(module: AssemblyId, number: u32) -> Option<Box<[u16]>> {
    let registry = REGISTRY.lock();
    registry.strings.get(&module)?.get((number as usize).checked_sub(1)?).cloned()
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
