//! The tokens of modules that are being built: those that the class library gave to builders, those that code gets for what it refers to, and
//! what each of them stands for. Each type has an image of its own, whose rows programs never see: they are told the module's tokens instead.

use super::objects::class_name;
use super::references::{parameter_count, type_id};
use super::registry::{Kept, builder_of, owner_of};
use crate::exceptions::Result;
use crate::handles;
use crate::icalls::reflection::{field_of, method_of};
use crate::named_fields::Fields;
use crate::object::ObjectRef;
use crate::runtime;
use il::types::{AssemblyId, FieldId, MethodId, TypeId, TypeKind};
use il::{TableId, Token};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// What has one token in a module however often it is asked for. Generic definitions have two, as code means them applied to
/// their own parameters or as they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Meaning {
    Type(TypeId, bool),
    Method(MethodId, bool),
    Field(FieldId),
}

/// The user strings of a module by their tokens' lower parts, which are offsets as in a file.
#[derive(Default)]
struct Strings {
    by_offset: FxHashMap<u32, Box<[u16]>>,
    size: u32,
}

#[derive(Default)]
struct Tokens {
    /// By number of the module's assembly and token.
    objects: FxHashMap<(AssemblyId, u32), Kept>,
    known: FxHashMap<(AssemblyId, Meaning), u32>,
    /// How many tokens of a table the runtime has given out.
    counts: FxHashMap<(AssemblyId, TableId), u32>,
    /// Types of the variable arguments of call sites, by module and token.
    variable_arguments: FxHashMap<(AssemblyId, u32), Box<[TypeId]>>,
    /// Tokens of types in signatures that programs read.
    signature_types: FxHashMap<(AssemblyId, TypeId), u32>,
    strings: FxHashMap<AssemblyId, Strings>,
    /// The module's tokens for rows of the images of finished types.
    made: FxHashMap<(AssemblyId, Token), u32>,
}

impl Tokens {
    fn next(&mut self, module: AssemblyId, table: TableId) -> u32 {
        let count = self.counts.entry((module, table)).or_default();
        *count += 1;
        Token::new(table, *count).0
    }
}

static TOKENS: LazyLock<Mutex<Tokens>> = LazyLock::new(Mutex::default);

/// Notes what a token of a module stands for.
pub fn register(module: AssemblyId, token: u32, object: ObjectRef) {
    let kept = Kept::new(object);
    TOKENS.lock().objects.insert((module, token), kept);
}

/// What a token of a module stands for.
pub fn registered(module: AssemblyId, token: u32) -> Option<ObjectRef> {
    TOKENS.lock().objects.get(&(module, token)).map(|kept| kept.get())
}

/// What an object means, if all objects that mean it share a token. `is_open`: a generic definition stands for itself applied to its parameters.
fn meaning_of(object: ObjectRef, is_open: bool) -> Result<Option<Meaning>> {
    Ok(match class_name(object) {
        "RuntimeType" => Some(Meaning::Type(type_id(object)?, is_open)),
        "RuntimeMethodInfo" | "RuntimeConstructorInfo" => Some(Meaning::Method(method_of(object)?, is_open)),
        "RuntimeFieldInfo" => Some(Meaning::Field(field_of(object)?)),
        _ => None,
    })
}

/// The table of the token for an object.
fn table_for(object: ObjectRef, meaning: Option<Meaning>) -> TableId {
    let types = &runtime().types;
    match meaning {
        Some(Meaning::Type(ty, is_open)) => {
            let is_named = matches!(types.kind(ty), TypeKind::Class { .. } | TypeKind::Primitive(_) | TypeKind::TypedReference);
            let is_generic = || parameter_count(ty).is_ok_and(|count| count > 0);
            if is_named && !(is_open && is_generic()) { TableId::TypeRef } else { TableId::TypeSpec }
        }
        Some(Meaning::Method(method, is_open)) => {
            let method = types.method(method);
            let is_generic = !method.method_args.is_empty() || is_open && method.generic_param_count > 0;
            if is_generic { TableId::MethodSpec } else { TableId::MemberRef }
        }
        Some(Meaning::Field(_)) => TableId::MemberRef,
        None => match class_name(object) {
            "SignatureHelper" => TableId::StandAloneSig,
            "TypeBuilder" | "EnumBuilder" => TableId::TypeDef,
            "TypeBuilderInstantiation" | "ArrayType" | "ByRefType" | "PointerType" | "GenericTypeParameterBuilder" => {
                TableId::TypeSpec
            }
            _ => TableId::MemberRef,
        },
    }
}

/// The token that a finished type or member of the module itself has from its builder.
fn own_token(module: AssemblyId, meaning: Meaning, table: TableId) -> Result<Option<u32>> {
    let types = &runtime().types;
    let is_generic = |ty: TypeId| types.generic_definition_type(ty) != ty || parameter_count(ty).is_ok_and(|count| count > 0);
    let (assembly, token) = match meaning {
        Meaning::Type(ty, _) => match types.definition_of(ty) {
            Some((assembly, row)) if table == TableId::TypeRef => (assembly, Token::new(TableId::TypeDef, row)),
            _ => return Ok(None),
        },
        Meaning::Method(method, _) => {
            let declaration = types.method(method);
            match declaration.row() {
                Some(row) if table == TableId::MemberRef && !is_generic(declaration.owner) => {
                    (declaration.assembly, Token::new(TableId::MethodDef, row))
                }
                _ => return Ok(None),
            }
        }
        Meaning::Field(field) => {
            let declaration = types.field(field);
            if is_generic(declaration.owner) {
                return Ok(None);
            }
            (declaration.assembly, Token::new(TableId::Field, declaration.row))
        }
    };
    match owner_of(assembly) {
        Some(owner) if owner.module_assembly()? == Some(module) => Ok(TOKENS.lock().made.get(&(assembly, token)).copied()),
        _ => Ok(None),
    }
}

/// The token of a module for an object as code refers to it.
pub fn token_for(module: AssemblyId, object: ObjectRef, is_open: bool) -> Result<u32> {
    let meaning = meaning_of(object, is_open)?;
    let table = table_for(object, meaning);
    if let Some(meaning) = meaning {
        if let Some(token) = own_token(module, meaning, table)? {
            return Ok(token);
        }
        if let Some(&token) = TOKENS.lock().known.get(&(module, meaning)) {
            return Ok(token);
        }
    }
    let token = new_token(module, object, table);
    match meaning {
        Some(meaning) => Ok(*TOKENS.lock().known.entry((module, meaning)).or_insert(token)),
        None => Ok(token),
    }
}

fn new_token(module: AssemblyId, object: ObjectRef, table: TableId) -> u32 {
    let kept = Kept::new(object);
    let mut tokens = TOKENS.lock();
    let token = tokens.next(module, table);
    tokens.objects.insert((module, token), kept);
    token
}

/// A new token of a module for a method as one call site calls it, with these variable arguments.
pub fn call_token(module: AssemblyId, method: ObjectRef, arguments: Vec<TypeId>) -> u32 {
    let token = new_token(module, method, TableId::MemberRef);
    TOKENS.lock().variable_arguments.insert((module, token), arguments.into());
    token
}

/// The variable arguments of the call site that a token is for.
pub fn variable_arguments(module: AssemblyId, token: u32) -> Option<Vec<TypeId>> {
    TOKENS.lock().variable_arguments.get(&(module, token)).map(|arguments| arguments.to_vec())
}

/// The token of a type in a module's signatures: that of its builder, or one that is given out now.
pub fn signature_type_token(module: AssemblyId, ty: TypeId) -> Result<u32> {
    if let Some(&token) = TOKENS.lock().signature_types.get(&(module, ty)) {
        return Ok(token);
    }
    let token = match builder_of(ty) {
        Some(builder) => Token::new(TableId::TypeDef, Fields::of(builder)?.int("table_idx")? as u32).0,
        None => token_for(module, handles::type_object(ty)?, false)?,
    };
    Ok(*TOKENS.lock().signature_types.entry((module, ty)).or_insert(token))
}

/// The token of a new user string of a module.
pub fn add_string(module: AssemblyId, units: &[u16]) -> u32 {
    let mut tokens = TOKENS.lock();
    let strings = tokens.strings.entry(module).or_default();
    // As in a file: an empty entry comes first, and before each string stands its size, after it a byte.
    let offset = strings.size.max(1);
    let size = units.len() as u32 * 2 + 1;
    let prefix = match size {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        _ => 4,
    };
    strings.size = offset + prefix + size;
    strings.by_offset.insert(offset, units.into());
    u32::from(Token::USER_STRING) << 24 | offset
}

/// The user string of a token.
pub fn string(module: AssemblyId, token: u32) -> Option<Box<[u16]>> {
    TOKENS.lock().strings.get(&module)?.by_offset.get(&Token(token).row()).cloned()
}

/// Notes which of the module's tokens a row of a finished type's image has, and which builder it comes from.
pub fn set_made(module: AssemblyId, assembly: AssemblyId, row: Token, token: u32, builder: ObjectRef) {
    let kept = Kept::new(builder);
    let mut tokens = TOKENS.lock();
    tokens.made.insert((assembly, row), token);
    tokens.objects.entry((module, token)).or_insert(kept);
}

/// The module's tokens for the next fields of a type that is finished now: builders of fields have none themselves.
pub fn field_tokens(module: AssemblyId, count: usize) -> Vec<u32> {
    let mut tokens = TOKENS.lock();
    (0..count).map(|_| tokens.next(module, TableId::Field)).collect()
}

/// The token of a row as programs know it: for a finished type's image that of the module, otherwise the row's own.
pub fn shown(assembly: AssemblyId, row: Token) -> Token {
    TOKENS.lock().made.get(&(assembly, row)).map_or(row, |&token| Token(token))
}
