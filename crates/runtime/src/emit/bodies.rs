//! Method bodies: from what an `ILGenerator` has collected to the bytes of a body.

use super::module::ModuleScope;
use super::objects::class_name;
use super::references::{Reference, method_reference, reference, type_id};
use super::registry::owner_of;
use super::tokens;
use crate::exceptions::{Exception, Result};
use crate::named_fields::Fields;
use crate::object::ObjectRef;
use crate::runtime;
use il::instruction::{Decoder, Opcode, OperandKind};
use il::method_body::{ClauseKind, ExceptionClause};
use il::signature::element;
use il::types::{MethodId, TypeId};
use il::writer::bodies::MethodCode;
use il::writer::signatures::{push_compressed, push_type};
use il::{TableId, Token};

/// What a token in the code of a generator stands for.
pub enum Operand {
    /// A type, member or signature.
    Object(ObjectRef),
    /// A method with the types of the variable arguments that it is called with.
    Call(ObjectRef, Vec<TypeId>),
    /// A string.
    String(Vec<u16>),
}

/// The code of a method that a program made as it was written, with the tokens of its module; `None` for any other.
pub fn written_code(method: MethodId) -> Result<Option<Vec<u8>>> {
    let declaration = runtime().types.method(method);
    let Some(row) = declaration.row() else { return Ok(None) };
    let module = match owner_of(declaration.assembly) {
        Some(owner) => owner.module_assembly()?,
        None => None,
    };
    let token = tokens::shown(declaration.assembly, Token::new(TableId::MethodDef, row));
    let Some(builder) = module.and_then(|module| tokens::registered(module, token.0)) else { return Ok(None) };
    if !matches!(class_name(builder), "MethodBuilder" | "ConstructorBuilder") {
        return Ok(None);
    }
    let builder = Fields::of(builder)?;
    match builder.inner("ilgen")? {
        Some(generator) => Ok(Some(generated_code(generator)?)),
        None if class_name(builder.object()) == "MethodBuilder" => builder.bytes("code"),
        None => Ok(None),
    }
}

/// The instructions that a generator has collected.
fn generated_code(generator: Fields) -> Result<Vec<u8>> {
    let mut il = generator.bytes("code")?.unwrap_or_default();
    il.truncate(generator.int("code_len")?.max(0) as usize);
    Ok(il)
}

/// The body that a generator describes. `resolve` says what its tokens stand for.
pub fn generated_body(
    scope: &mut ModuleScope,
    generator: Fields,
    init_locals: bool,
    resolve: &dyn Fn(u32) -> Option<Operand>,
) -> Result<Vec<u8>> {
    let mut il = generated_code(generator)?;
    replace_tokens(scope, &mut il, resolve)?;
    let mut locals = Vec::new();
    let mut count = 0;
    for local in generator.elements("locals")? {
        let local = Fields::of(local)?;
        if local.flag("is_pinned")? {
            locals.push(element::PINNED);
        }
        let ty = type_id(local.reference("type")?)?;
        push_type(&mut locals, &runtime().types, scope, ty);
        count += 1;
    }
    let code = MethodCode {
        max_stack: generator.int("max_stack")?.clamp(0, i32::from(u16::MAX)) as u16,
        init_locals,
        locals: if count == 0 { Token::NULL } else { locals_token(scope, count, &locals) },
        clauses: clauses(scope, generator, il.len() as u32)?,
        il,
    };
    Ok(code.encode())
}

fn locals_token(scope: &mut ModuleScope, count: u32, types: &[u8]) -> Token {
    const LOCALS: u8 = 7;
    let mut signature = vec![LOCALS];
    push_compressed(&mut signature, count);
    signature.extend(types);
    scope.stand_alone_signature(&signature)
}

/// Replaces the generator's tokens in `il` by those of the image.
pub fn replace_tokens(scope: &mut ModuleScope, il: &mut [u8], resolve: &dyn Fn(u32) -> Option<Operand>) -> Result<()> {
    let copy = il.to_vec();
    for instruction in Decoder::new(&copy) {
        // What does not decode stays as it is: running it raises.
        let Ok(instruction) = instruction else { break };
        if !matches!(instruction.opcode.info().operand, OperandKind::Token | OperandKind::String) {
            continue;
        }
        let place = instruction.next as usize - 4..instruction.next as usize;
        let mut raw = [0; 4];
        raw.copy_from_slice(&copy[place.clone()]);
        let token = match resolve(u32::from_le_bytes(raw)) {
            Some(Operand::String(units)) => scope.writer.user_string(&units),
            Some(Operand::Object(object)) => match reference(object, instruction.opcode == Opcode::Ldtoken)? {
                // `ldtoken` of a generic method names its definition.
                Reference::Method(method) if instruction.opcode == Opcode::Ldtoken && is_open(&method.args) => {
                    scope.open_method_token(&method)
                }
                reference => scope.token(&reference),
            },
            Some(Operand::Call(method, arguments)) => scope.call_token(method_reference(method)?, arguments),
            None => return Err(Exception::new("System", "BadImageFormatException", "Invalid token in a generated method body.")),
        };
        il[place].copy_from_slice(&token.0.to_le_bytes());
    }
    Ok(())
}

fn is_open(args: &[il::types::TypeId]) -> bool {
    args.iter().enumerate().all(|(number, &arg)| arg == runtime().types.mvar(number as u32))
}

/// The protected regions, the inner ones first: a generator lists them in the order in which they begin.
fn clauses(scope: &mut ModuleScope, generator: Fields, code_size: u32) -> Result<Vec<ExceptionClause>> {
    // `ILExceptionBlock.type`
    const CATCH: i32 = 0;
    const FILTER: i32 = 1;
    const FINALLY: i32 = 2;
    const FAULT: i32 = 4;
    let mut clauses = Vec::new();
    for region in generator.structures("ex_handlers")?.rev() {
        let try_start = region.int("start")? as u32;
        let try_end = try_start.saturating_add(region.int("len")? as u32);
        // A finally or fault block guards the handlers before it, too.
        let mut guarded_end = try_end;
        for handler in region.structures("handlers")? {
            let handler_start = handler.int("start")? as u32;
            let handler_end = handler_start.saturating_add(handler.int("len")? as u32);
            let (kind, end) = match handler.int("type")? {
                CATCH => (ClauseKind::Catch(scope.type_token(type_id(handler.reference("extype")?)?)), try_end),
                FILTER => (ClauseKind::Filter(handler.int("filter_offset")? as u32), try_end),
                FINALLY => (ClauseKind::Finally, guarded_end),
                FAULT => (ClauseKind::Fault, guarded_end),
                _ => continue,
            };
            guarded_end = handler_end;
            if handler_end <= code_size && handler_start < handler_end && try_start < end {
                clauses.push(ExceptionClause { kind, try_start, try_end: end, handler_start, handler_end });
            }
        }
    }
    Ok(clauses)
}
