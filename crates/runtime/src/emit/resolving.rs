//! `AppDomain.TypeResolve` for types that are not finished when code needs them: its handlers may finish them.

use super::bodies::written_code;
use super::references::{Reference, is_finished, reference};
use super::registry::{builder_of, owner_of};
use super::tokens;
use crate::exceptions::Result;
use crate::icalls::assembly_events::ask_to_finish;
use crate::runtime;
use il::instruction::{Decoder, OperandKind};
use il::types::{MethodId, TypeId, TypeKind};

/// Asks for the unfinished types that the code of a method of a dynamic assembly refers to, before it is compiled.
pub fn ask_for_types_of(method: MethodId) -> Result<()> {
    let Some(owner) = owner_of(runtime().types.method(method).assembly) else { return Ok(()) };
    let (Some(module), Some(code)) = (owner.module_assembly()?, written_code(method)?) else { return Ok(()) };
    let mut unfinished = Vec::new();
    for instruction in Decoder::new(&code) {
        // What does not decode is found when it is compiled.
        let Ok(instruction) = instruction else { break };
        if instruction.opcode.info().operand != OperandKind::Token {
            continue;
        }
        let mut token = [0; 4];
        token.copy_from_slice(&code[instruction.next as usize - 4..instruction.next as usize]);
        let Some(object) = tokens::registered(module, u32::from_le_bytes(token)) else { continue };
        match reference(object, true)? {
            Reference::Type(ty) => add_unfinished(ty, &mut unfinished),
            Reference::Method(method) => {
                add_unfinished(method.owner, &mut unfinished);
                method.args.iter().for_each(|&arg| add_unfinished(arg, &mut unfinished));
            }
            Reference::Field(field) => add_unfinished(field.owner, &mut unfinished),
            Reference::Signature(_) => {}
        }
    }
    for ty in unfinished {
        // A handler may finish several.
        if let Some(builder) = builder_of(ty).filter(|_| !is_finished(ty)) {
            ask_to_finish(builder)?;
        }
    }
    Ok(())
}

/// Adds the unfinished types in a type.
fn add_unfinished(ty: TypeId, found: &mut Vec<TypeId>) {
    match runtime().types.kind(ty) {
        TypeKind::Class { .. } if !is_finished(ty) && !found.contains(&ty) => found.push(ty),
        TypeKind::Instance { definition, args } => {
            add_unfinished(*definition, found);
            args.iter().for_each(|&arg| add_unfinished(arg, found));
        }
        TypeKind::SzArray(element) | TypeKind::Array { element, .. } => add_unfinished(*element, found),
        _ => {}
    }
}
