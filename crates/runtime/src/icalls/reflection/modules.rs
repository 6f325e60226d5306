//! Internal calls of `RuntimeModule`.

use super::Handle;
use super::assemblies::types_in;
use super::objects::{assembly_of_handle, assembly_of_module, field_object, method_object, type_array};
use super::parameters::OpenContext;
use crate::emit::references::finished_member;
use crate::emit::{registry, tokens};
use crate::exceptions::Result;
use crate::icalls::{InternalCall, icall, raising};
use crate::object::{ArrayRef, ObjectRef, StringRef};
use crate::{handles, metadata, runtime};
use il::tables::StandAloneSigRow;
use il::types::{AssemblyId, GenericContext, Member, TypeId};
use il::{ErrorKind, TableId, Token};

/// `ResolveTokenError`
const OUT_OF_RANGE: i32 = 0;
const BAD_TABLE: i32 = 1;
const OTHER: i32 = 2;

extern "C" fn guid(module: Handle, guid: ArrayRef) {
    raising(|| {
        let mvid = runtime().types.assembly(assembly_of_handle(module)?).mvid();
        guid.argument("guid")?;
        // SAFETY: an array of at least 16 bytes, from the class library.
        let bytes = unsafe { guid.slice_mut::<u8>() };
        if bytes.len() >= mvid.len() {
            bytes[..mvid.len()].copy_from_slice(&mvid);
        }
        Ok(())
    })
}

extern "C" fn metadata_token(module: ObjectRef) -> u32 {
    raising(|| {
        let assembly = assembly_of_module(module)?;
        Ok(if dynamic_module(assembly).is_some() { 0 } else { Token::new(TableId::Module, 1).0 })
    })
}

extern "C" fn stream_version(_module: Handle) -> i32 {
    // The version of the metadata streams' layout, the only one in use: 2.0.
    0x2_0000
}

extern "C" fn instance_handle(_module: Handle) -> isize {
    -1
}

extern "C" fn types(module: Handle) -> ArrayRef {
    raising(|| {
        // A module of mere data has no handle.
        let found = if module == 0 { Vec::new() } else { types_in(assembly_of_handle(module)?, false)? };
        type_array(runtime().types.well_known().type_, &found)
    })
}

extern "C" fn global_type(module: Handle) -> ObjectRef {
    raising(|| handles::type_object(runtime().types.type_definition(assembly_of_handle(module)?, 1)))
}

extern "C" fn run_initializer(module: Handle) {
    raising(|| crate::class_init::ensure_module_initialized(assembly_of_handle(module)?))
}

extern "C" fn file_kind(module: Handle, kind: *mut i32, machine: *mut i32) {
    /// `PortableExecutableKinds`
    const IL_ONLY: i32 = 1;
    const REQUIRES_32_BIT: i32 = 2;
    const PE32_PLUS: i32 = 4;
    raising(|| {
        let image = runtime().types.assembly(assembly_of_handle(module)?).image();
        let flags = image.cli_header().flags as i32;
        let plus = if image.is_pe32_plus() { PE32_PLUS } else { 0 };
        // SAFETY: `out` parameters.
        unsafe {
            kind.write(flags & (IL_ONLY | REQUIRES_32_BIT) | plus);
            machine.write(i32::from(image.machine()));
        }
        Ok(())
    })
}

/// Type arguments given as an array of handles, or none.
fn arguments_of(array: ArrayRef) -> Vec<TypeId> {
    if array.is_null() {
        return Vec::new();
    }
    // SAFETY: an array of native integers.
    unsafe { array.slice::<usize>() }.iter().filter_map(|&handle| handles::to_type(handle)).collect()
}

/// The assembly by whose number tokens of a `ModuleBuilder` are known.
fn dynamic_module(assembly: AssemblyId) -> Option<AssemblyId> {
    registry::owner_of(assembly).and_then(|owner| owner.module).map(|_| assembly)
}

/// What a token means in the given contexts; an error code otherwise.
fn resolve(
    module: Handle,
    token: u32,
    type_args: ArrayRef,
    method_args: ArrayRef,
    tables: &[TableId],
) -> Result<std::result::Result<Member, i32>> {
    let types = &runtime().types;
    let assembly = assembly_of_handle(module)?;
    let token = Token(token);
    if !token.table().is_some_and(|table| tables.contains(&table)) {
        return Ok(Err(BAD_TABLE));
    }
    if let Some(module) = dynamic_module(assembly) {
        // What is not finished, or no member, is not found.
        let found = tokens::registered(module, token.0).and_then(|object| finished_member(object).ok());
        return Ok(found.ok_or(OTHER));
    }
    if !types.metadata(assembly).has_row(token) {
        return Ok(Err(OUT_OF_RANGE));
    }
    let (type_args, method_args) = (arguments_of(type_args), arguments_of(method_args));
    let context = GenericContext { type_args: &type_args, method_args: &method_args };
    match types.resolve_member(assembly, token, &context) {
        Ok(member) => Ok(Ok(member)),
        // Another module's part that is not there.
        Err(error) if is_missing(error.kind()) => Err(error.into()),
        Err(_) => Ok(Err(OTHER)),
    }
}

fn is_missing(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::TypeLoad
            | ErrorKind::MissingField
            | ErrorKind::MissingMethod
            | ErrorKind::FileNotFound
            | ErrorKind::NotPreloaded
    )
}

const TYPE_TABLES: [TableId; 3] = [TableId::TypeDef, TableId::TypeRef, TableId::TypeSpec];
const METHOD_TABLES: [TableId; 3] = [TableId::MethodDef, TableId::MemberRef, TableId::MethodSpec];
const FIELD_TABLES: [TableId; 2] = [TableId::Field, TableId::MemberRef];

/// Gives the handle that `pick` makes of what a token means, or 0 and the error.
fn resolve_handle(found: std::result::Result<Member, i32>, error: *mut i32, pick: impl Fn(Member) -> Option<Handle>) -> Handle {
    let outcome = found.and_then(|member| pick(member).ok_or(BAD_TABLE));
    outcome.unwrap_or_else(|code| {
        // SAFETY: an `out` parameter.
        unsafe { error.write(code) };
        0
    })
}

extern "C" fn resolve_type(module: Handle, token: u32, type_args: ArrayRef, method_args: ArrayRef, error: *mut i32) -> Handle {
    raising(|| {
        let found = resolve(module, token, type_args, method_args, &TYPE_TABLES)?;
        Ok(resolve_handle(found, error, |member| match member {
            Member::Type(ty) => Some(handles::from_type(ty)),
            _ => None,
        }))
    })
}

extern "C" fn resolve_method(module: Handle, token: u32, type_args: ArrayRef, method_args: ArrayRef, error: *mut i32) -> Handle {
    raising(|| {
        let found = resolve(module, token, type_args, method_args, &METHOD_TABLES)?;
        Ok(resolve_handle(found, error, |member| match member {
            Member::Method(method) => Some(handles::from_method(method)),
            _ => None,
        }))
    })
}

extern "C" fn resolve_field(module: Handle, token: u32, type_args: ArrayRef, method_args: ArrayRef, error: *mut i32) -> Handle {
    raising(|| {
        let found = resolve(module, token, type_args, method_args, &FIELD_TABLES)?;
        Ok(resolve_handle(found, error, |member| match member {
            Member::Field(field) => Some(handles::from_field(field)),
            _ => None,
        }))
    })
}

extern "C" fn resolve_member(
    module: Handle,
    token: u32,
    type_args: ArrayRef,
    method_args: ArrayRef,
    error: *mut i32,
) -> ObjectRef {
    raising(|| {
        let tables = [TYPE_TABLES.as_slice(), &METHOD_TABLES, &FIELD_TABLES].concat();
        match resolve(module, token, type_args, method_args, &tables)? {
            Ok(Member::Type(ty)) => handles::type_object(OpenContext::default().reveal(ty)),
            Ok(Member::Method(method)) => method_object(method, None),
            Ok(Member::Field(field)) => field_object(field, None),
            Err(code) => {
                // SAFETY: an `out` parameter.
                unsafe { error.write(code) };
                Ok(ObjectRef::NULL)
            }
        }
    })
}

extern "C" fn resolve_string(module: Handle, token: u32, error: *mut i32) -> StringRef {
    raising(|| {
        let assembly = assembly_of_handle(module)?;
        let is_string = Token(token).table_number() == Token::USER_STRING;
        if let Some(module) = dynamic_module(assembly).filter(|_| is_string) {
            if let Some(units) = tokens::string(module, token) {
                return StringRef::from_units(&units);
            }
            // SAFETY: an `out` parameter.
            unsafe { error.write(OTHER) };
            return Ok(StringRef::NULL);
        }
        match metadata::user_string(assembly, token) {
            Ok(units) if is_string => StringRef::from_units(&units),
            outcome => {
                let code = if outcome.is_err() { OUT_OF_RANGE } else { BAD_TABLE };
                // SAFETY: an `out` parameter.
                unsafe { error.write(code) };
                Ok(StringRef::NULL)
            }
        }
    })
}

/// The signature's bytes behind a token.
fn signature_of(assembly: AssemblyId, token: Token) -> Option<&'static [u8]> {
    use il::tables::{FieldRow, MemberRefRow, MethodDefRow, MethodSpecRow, TypeSpecRow};
    let metadata = runtime().types.metadata(assembly);
    let row = token.row();
    let blob = match token.table()? {
        TableId::Field => metadata.row::<FieldRow>(row).ok()?.signature,
        TableId::MethodDef => metadata.row::<MethodDefRow>(row).ok()?.signature,
        TableId::MemberRef => metadata.row::<MemberRefRow>(row).ok()?.signature,
        TableId::StandAloneSig => metadata.row::<StandAloneSigRow>(row).ok()?.signature,
        TableId::TypeSpec => metadata.row::<TypeSpecRow>(row).ok()?.signature,
        TableId::MethodSpec => metadata.row::<MethodSpecRow>(row).ok()?.instantiation,
        _ => return None,
    };
    metadata.blob(blob).ok()
}

extern "C" fn resolve_signature(module: Handle, token: u32, error: *mut i32) -> ArrayRef {
    raising(|| {
        let assembly = assembly_of_handle(module)?;
        // Those of a module that is being built are not there, in Mono neither.
        let (found, code) = match dynamic_module(assembly) {
            Some(_) => (None, OUT_OF_RANGE),
            None => (signature_of(assembly, Token(token)), BAD_TABLE),
        };
        let Some(blob) = found else {
            // SAFETY: an `out` parameter.
            unsafe { error.write(code) };
            return Ok(ArrayRef::NULL);
        };
        let array = ArrayRef::new(TypeId::U1, blob.len())?;
        // SAFETY: a fresh array of bytes.
        unsafe { array.slice_mut::<u8>() }.copy_from_slice(blob);
        Ok(array)
    })
}

pub(in crate::icalls) const TABLE: &[InternalCall] = &[
    icall("System.Runtime.CompilerServices.RuntimeHelpers:RunModuleConstructor (intptr)", run_initializer as *const ()),
    icall("System.Reflection.RuntimeModule:GetGuidInternal", guid as *const ()),
    icall("System.Reflection.RuntimeModule:get_MetadataToken (System.Reflection.Module)", metadata_token as *const ()),
    icall("System.Reflection.RuntimeModule:GetMDStreamVersion", stream_version as *const ()),
    icall("System.Reflection.RuntimeModule:GetHINSTANCE", instance_handle as *const ()),
    icall("System.Reflection.RuntimeModule:InternalGetTypes", types as *const ()),
    icall("System.Reflection.RuntimeModule:GetGlobalType", global_type as *const ()),
    icall(
        "System.Reflection.RuntimeModule:GetPEKind (intptr,System.Reflection.PortableExecutableKinds&,System.Reflection.ImageFileMachine&)",
        file_kind as *const (),
    ),
    icall("System.Reflection.RuntimeModule:ResolveTypeToken", resolve_type as *const ()),
    icall("System.Reflection.RuntimeModule:ResolveMethodToken", resolve_method as *const ()),
    icall("System.Reflection.RuntimeModule:ResolveFieldToken", resolve_field as *const ()),
    icall("System.Reflection.RuntimeModule:ResolveMemberToken", resolve_member as *const ()),
    icall("System.Reflection.RuntimeModule:ResolveStringToken", resolve_string as *const ()),
    icall(
        "System.Reflection.RuntimeModule:ResolveSignature (intptr,int,System.Reflection.ResolveTokenError&)",
        resolve_signature as *const (),
    ),
];
