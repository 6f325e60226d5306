//! From a method's IL to an SSA function (ECMA-335 III).
//!
//! [`scan`] looks over the IL first. Then blocks are imported in the order of their offsets, each with the shape of the evaluation
//! stack that its first predecessor left. A *clone* is a copy of a finally body on the way of a `leave`; blocks, regions and stack
//! shapes belong to one clone, of which the first (`BODY`) is the method itself.
//!
//! An error that concerns one instruction (a missing member, a type that does not load) becomes code that raises it; only
//! malformed IL fails the whole method.

mod arithmetic;
mod arrays;
mod calls;
mod casts;
mod convert;
mod dispatch;
mod exceptions;
mod fields;
pub(crate) mod generics;
mod locals;
mod memory;
mod objects;
mod proxies;
mod scan;
pub(crate) mod stack;
mod tail;
mod variable_arguments;

use crate::emit::Emitter;
use crate::env::{CellRequest, GenericLookup, MethodEnv};
use crate::signature::{AbiSignature, method_signature};
use crate::{intrinsics, wrappers};
use exceptions::{BODY, Clone, CloneId};
use generics::GenericState;
use il::instruction::{Decoder, Instruction, Opcode};
use il::method_body::MethodBody;
use il::types::{AssemblyId, GenericContext, MethodId, TypeId, method_impl_attributes};
use il::{Error, ErrorKind};
use ir::Function;
use ir::builder::Variable;
use ir::entity::{Block, Region, StackSlot};
use ir::function::SymbolRef;
use ir::instruction::SourceOffset;
use locals::Local;
use rustc_hash::FxHashMap;
use scan::{LATE, Scan};
use stack::{Operand, Shape};
use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};

/// A method's function with what the runtime needs beside its code.
#[derive(Clone, Debug)]
pub struct ImportedMethod {
    /// The function.
    pub function: Function,
    /// The caught type of each `HandlerKind::Catch` number. Types that need a generic lookup are tested in filters instead.
    pub catch_types: Vec<TypeId>,
    /// The methods behind the symbols of direct calls.
    pub callees: FxHashMap<SymbolRef, MethodId>,
    /// Bytes of IL, 0 for methods without.
    pub il_size: u32,
    /// Whether the method is worth inlining whatever its size.
    pub inline_always: bool,
}

/// Why a method has no function.
#[derive(Clone, Debug)]
pub enum ImportError {
    /// The method cannot run; the call raises this.
    Invalid(Error),
    /// It is of a kind for which there is no code yet; the reason names it.
    NotSupported(String),
}

impl std::fmt::Display for ImportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ImportError::Invalid(error) => error.fmt(f),
            ImportError::NotSupported(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for ImportError {}

impl From<Error> for ImportError {
    fn from(error: Error) -> ImportError {
        ImportError::Invalid(error)
    }
}

/// What the importer may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ImportFlags {
    /// Replace well-known methods by instructions (`-O=intrins`).
    pub intrinsics: bool,
    /// Bodies of finally handlers of up to so many bytes of IL are copied for each `leave`.
    pub finally_clone_bytes: u32,
}

impl Default for ImportFlags {
    fn default() -> ImportFlags {
        ImportFlags { intrinsics: true, finally_clone_bytes: 400 }
    }
}

/// Why an instruction could not be imported.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It concerns the instruction: raised when control gets there.
    Instruction(Error),
    /// The IL is malformed.
    Method(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Instruction(error)
    }
}

/// Malformed IL.
pub(crate) fn invalid(message: impl Into<String>) -> Failure {
    Failure::Method(Error::invalid_program(message))
}

type Outcome<T = ()> = Result<T, Failure>;

/// Builds the function of a canonical method: from its IL, or a wrapper where it has none.
pub fn import_method(env: &dyn MethodEnv, method: MethodId, flags: ImportFlags) -> Result<ImportedMethod, ImportError> {
    let types = env.types();
    if let Some(imported) = intrinsics::import_body(env, method, flags)? {
        return Ok(imported);
    }
    let Some(body) = types.method_body(method)? else {
        return wrappers::import_wrapper(env, method);
    };
    import_body(env, method, &body, flags)
}

/// Imports a method from IL.
fn import_body(
    env: &dyn MethodEnv,
    method: MethodId,
    body: &MethodBody<'_>,
    flags: ImportFlags,
) -> Result<ImportedMethod, ImportError> {
    let types = env.types();
    let abi_signature = method_signature(env, method)?;
    let name = types.method_full_name(method);
    let mut function = Function::new(name, env.abi().pointer_bytes, abi_signature.signature.clone());
    let emitter = Emitter::new(env, &mut function, method);
    let mut importer = Importer::new(emitter, body, abi_signature, flags).map_err(method_error)?;
    importer.run().map_err(method_error)?;
    let catch_types = std::mem::take(&mut importer.catch_types);
    let finished = importer.code.finish();
    finished.order_blocks(&mut function);
    Ok(ImportedMethod {
        function,
        catch_types,
        callees: finished.callees,
        il_size: body.il.len() as u32,
        inline_always: types.method(method).impl_attributes & method_impl_attributes::AGGRESSIVE_INLINING != 0,
    })
}

pub(crate) fn method_error(failure: Failure) -> ImportError {
    match failure {
        Failure::Instruction(error) | Failure::Method(error) => ImportError::Invalid(error),
    }
}

/// Prefixes before the current instruction.
#[derive(Clone, Copy, Default)]
pub(super) struct Prefixes {
    pub volatile: bool,
    pub unaligned: bool,
    pub readonly: bool,
    pub tail: bool,
    pub constrained: Option<il::Token>,
}

/// A block to import or imported.
struct Entry {
    block: Block,
    stack: Vec<Shape>,
    /// Predecessors that are not filled yet.
    missing: u32,
    imported: bool,
}

/// A method's import in progress.
pub(crate) struct Importer<'a, 'f> {
    pub(crate) code: Emitter<'a, 'f>,
    flags: ImportFlags,
    body: &'a MethodBody<'a>,
    assembly: AssemblyId,
    context: GenericContext<'a>,
    scan: Scan,
    pub(crate) abi_signature: AbiSignature,
    result_address: Option<Variable>,
    /// The lock of a synchronized method, and the region around its whole body.
    lock: Option<(StackSlot, Region)>,
    /// Where handlers find the result's address.
    result_address_slot: Option<StackSlot>,
    pub(crate) args: Vec<Local>,
    locals: Vec<Local>,
    stack: Vec<Operand>,
    entries: FxHashMap<(CloneId, u32), Entry>,
    worklist: BTreeSet<(CloneId, u32)>,
    clones: Vec<Clone>,
    regions: FxHashMap<(CloneId, usize), Region>,
    catch_types: Vec<TypeId>,
    /// Exception objects of catch handlers, for `rethrow`.
    exceptions: FxHashMap<(CloneId, u32), StackSlot>,
    /// Clone of the current block.
    clone: CloneId,
    /// Offset of the current instruction.
    offset: u32,
    prefixes: Prefixes,
    tail: tail::TailState,
    generic: GenericState<'a>,
    /// Methods whose function pointers are on the stack.
    functions: Vec<calls::LoadedFunction>,
    stack_variables: FxHashMap<(usize, ir::Type), Variable>,
    stack_slots: FxHashMap<(usize, TypeId), StackSlot>,
}

impl<'a, 'f> Deref for Importer<'a, 'f> {
    type Target = Emitter<'a, 'f>;
    fn deref(&self) -> &Emitter<'a, 'f> {
        &self.code
    }
}

impl<'a, 'f> DerefMut for Importer<'a, 'f> {
    fn deref_mut(&mut self) -> &mut Emitter<'a, 'f> {
        &mut self.code
    }
}

impl<'a, 'f> Importer<'a, 'f> {
    fn new(
        code: Emitter<'a, 'f>,
        body: &'a MethodBody<'a>,
        abi_signature: AbiSignature,
        flags: ImportFlags,
    ) -> Outcome<Importer<'a, 'f>> {
        let types = code.types;
        let method = code.method;
        let local_types = types.locals(method, body)?;
        let scan = Scan::new(body, abi_signature.params.len(), local_types.len())?;
        let generic = GenericState::new(types, method);
        let tail = tail::TailState::new(&scan);
        let mut importer = Importer {
            flags,
            body,
            assembly: types.method(method).assembly,
            context: types.method_context(method),
            scan,
            abi_signature,
            lock: None,
            result_address: None,
            result_address_slot: None,
            args: Vec::new(),
            locals: Vec::new(),
            stack: Vec::new(),
            entries: FxHashMap::default(),
            worklist: BTreeSet::new(),
            clones: vec![Clone::BODY],
            regions: FxHashMap::default(),
            catch_types: Vec::new(),
            exceptions: FxHashMap::default(),
            clone: BODY,
            offset: 0,
            prefixes: Prefixes::default(),
            tail,
            generic,
            functions: Vec::new(),
            stack_variables: FxHashMap::default(),
            stack_slots: FxHashMap::default(),
            code,
        };
        importer.enter_function(&local_types.iter().map(|local| local.ty).collect::<Vec<_>>())?;
        Ok(importer)
    }

    /// The entry block: arguments and locals get their places, the class initialiser its check.
    fn enter_function(&mut self, local_types: &[TypeId]) -> Outcome {
        let entry = self.new_block();
        let params = self.b.append_function_params(entry);
        self.enter(entry);
        self.b.set_source(SourceOffset(0));
        self.place_arguments(&params)?;
        self.place_locals(local_types)?;
        self.check_class_initializer()
    }

    /// An importer for a method without IL, at the end of its entry block.
    pub(crate) fn without_il(
        code: Emitter<'a, 'f>,
        body: &'a MethodBody<'a>,
        abi_signature: AbiSignature,
    ) -> Outcome<Importer<'a, 'f>> {
        Importer::new(code, body, abi_signature, ImportFlags::default())
    }

    fn run(&mut self) -> Outcome {
        if self.locals.iter().any(|local| local.ty == TypeId::VOID) {
            let failure = invalid("a local variable of type void");
            let first = Decoder::new(self.body.il).next().and_then(Result::ok);
            return Err(first.map_or_else(|| invalid("no instruction"), |first| self.located(failure, &first)));
        }
        self.guard_against_proxies()?;
        if self.types.method(self.method).is_synchronized() {
            self.take_lock()?;
        }
        let first = self.target(BODY, 0)?;
        self.b.jump(first, &[]);
        self.note_filled(BODY, [0]);
        while let Some((clone, offset)) = self.worklist.pop_first() {
            self.import_block(clone, offset)?;
        }
        Ok(())
    }

    /// The IR block of an IL block, for a branch to it with the current stack, whose entries have been stored by `spill_stack`.
    fn target(&mut self, clone: CloneId, offset: u32) -> Outcome<Block> {
        let shapes: Vec<Shape> = self.stack.iter().map(|operand| operand.shape).collect();
        if let Some(entry) = self.entries.get(&(clone, offset)) {
            if !stack::shapes_match(&entry.stack, &shapes) {
                return Err(invalid(format!("stack depth or types differ at a merge, offset {offset:#x}")));
            }
            let block = entry.block;
            if entry.stack != shapes {
                let wanted = entry.stack.clone();
                self.adapt_stack(&wanted)?;
            }
            return Ok(block);
        }
        if !self.scan.is_instruction(offset) {
            return Err(invalid("control runs over the end of the method"));
        }
        let region = self.code.region;
        self.code.region = self.region_at(clone, offset)?;
        let block = self.new_block();
        self.code.region = region;
        let missing = if clone == BODY { self.scan.blocks.get(&offset).copied().unwrap_or(LATE) } else { LATE };
        self.entries.insert((clone, offset), Entry { block, stack: shapes, missing, imported: false });
        self.worklist.insert((clone, offset));
        Ok(block)
    }

    /// A predecessor of these blocks has its terminator; seals those that have no others.
    fn note_filled(&mut self, clone: CloneId, targets: impl IntoIterator<Item = u32>) {
        for target in targets {
            let Some(entry) = self.entries.get_mut(&(clone, target)) else { continue };
            if entry.missing != LATE {
                entry.missing = entry.missing.saturating_sub(1);
                if entry.missing == 0 {
                    let block = entry.block;
                    self.b.seal_block(block);
                }
            }
        }
    }

    fn import_block(&mut self, clone: CloneId, start: u32) -> Outcome {
        let Some(entry) = self.entries.get_mut(&(clone, start)) else { return Ok(()) };
        if std::mem::replace(&mut entry.imported, true) {
            return Ok(());
        }
        let (block, shapes) = (entry.block, entry.stack.clone());
        self.clone = clone;
        self.code.region = self.region_at(clone, start)?;
        self.generic.forget_block();
        self.switch(block);
        self.b.set_source(SourceOffset(start));
        self.reload_stack(&shapes);
        let body: &'a MethodBody<'a> = self.body;
        let mut is_after_call = false;
        for instruction in Decoder::at(body.il, start) {
            let instruction = instruction.map_err(Failure::Method)?;
            if instruction.offset != start && self.scan.blocks.contains_key(&instruction.offset) {
                self.branch_to(instruction.offset)?;
                return Ok(());
            }
            self.offset = instruction.offset;
            // Positions are those that Mono's traces show: where the stack is empty, and behind calls.
            if self.stack.is_empty() || is_after_call {
                self.b.set_source(SourceOffset(instruction.offset));
            }
            is_after_call = match (instruction.opcode, instruction.operand) {
                (Opcode::Call | Opcode::Callvirt | Opcode::Calli, _) => true,
                (Opcode::Newobj, il::instruction::Operand::Token(token)) => !self.is_library_exception(token),
                _ => false,
            };
            match self.import_instruction(&instruction) {
                Ok(()) => {}
                Err(Failure::Instruction(error)) => {
                    self.raise_deferred(&error);
                    return Ok(());
                }
                Err(failure) => return Err(self.located(failure, &instruction)),
            }
            if self.b.current_block().is_none() {
                return Ok(());
            }
        }
        Err(invalid("control runs over the end of the method"))
    }

    /// The failure with Mono's message for it: which instruction of which method is wrong. Why it is stays as the name.
    fn located(&self, failure: Failure, instruction: &Instruction<'_>) -> Failure {
        match failure {
            Failure::Method(error) if error.kind() == ErrorKind::InvalidProgram => {
                let name = self.types.method_full_name(self.method);
                let message = format!("Invalid IL code in {name}: {instruction}\n\n");
                Failure::Method(Error::invalid_program(message).with_name(error.message()))
            }
            other => other,
        }
    }

    /// Whether a constructor makes an exception of the core library from texts alone, for which Mono calls no constructor.
    fn is_library_exception(&mut self, constructor: il::Token) -> bool {
        let Ok(constructor) = self.resolve_method(constructor) else { return false };
        let data = self.types.method(constructor.method);
        let is_text = |&param: &TypeId| param == TypeId::STRING;
        data.assembly == self.types.corlib()
            && self.types.derives_from(data.owner, self.types.well_known().exception)
            && self.types.method_signature(constructor.method).is_ok_and(|signature| signature.params.iter().all(is_text))
    }

    /// Ends the block with a jump to an IL block of the same clone.
    fn branch_to(&mut self, offset: u32) -> Outcome {
        self.spill_stack()?;
        let block = self.target(self.clone, offset)?;
        self.b.jump(block, &[]);
        self.note_filled(self.clone, [offset]);
        Ok(())
    }

    /// Code that raises `error`; ends the block if there is one.
    pub(crate) fn raise_deferred(&mut self, error: &Error) {
        if self.b.current_block().is_none() {
            return;
        }
        let number = self.env.deferred_error(error);
        let cell = self.cell_address(CellRequest::DeferredError(number));
        self.helper(crate::abi::HelperId::RaiseDeferred, &[cell]);
    }

    /// Number for a lookup in the generic context.
    fn lookup_number(&self, request: CellRequest) -> u32 {
        self.env.generic_lookup(GenericLookup {
            within: self.types.generic_definition(self.method),
            from_method_dictionary: self.generic.has_method_dictionary(),
            request,
        })
    }
}

/// A number for the alias class of a field: the same for all instances of a generic type.
pub(crate) fn field_number(types: &il::types::TypeSystem, field: il::types::FieldId) -> u32 {
    let data = types.field(field);
    (data.assembly.0 << 20) ^ data.row
}
