//! The verifier: checks the invariants of [`function`](crate::function) and the types of all operands.

use crate::control_flow::{ControlFlow, handler_entries};
use crate::entity::{Block, Inst, SideTable, Value};
use crate::function::{Function, HandlerKind, ValueDef};
use crate::instruction::{Aux, AuxKind, BlockCall, Instruction, Opcode, Results, SourceOffset};
use crate::signature::Signature;
use crate::types::{Access, Type};
use std::fmt;

/// All that is wrong with a function.
#[derive(Clone, Debug)]
pub struct VerifierErrors {
    /// The function's name.
    pub function: String,
    /// What is wrong and where.
    pub errors: Vec<VerifierError>,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct VerifierError {
    /// The block, if it is about one.
    pub block: Option<Block>,
    /// The instruction, if it is about one, with its text.
    pub inst: Option<(Inst, String)>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for VerifierErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}", self.function)?;
            if let Some(block) = error.block {
                write!(f, ", {block}")?;
            }
            if let Some((inst, text)) = &error.inst {
                write!(f, ", {inst} `{text}`")?;
            }
            write!(f, ": {}", error.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for VerifierErrors {}

/// A set of types.
#[derive(Clone, Copy)]
struct TypeSet(u8);

impl TypeSet {
    const fn of(types: &[Type]) -> TypeSet {
        let mut bits = 0;
        let mut index = 0;
        while index < types.len() {
            bits |= 1 << types[index] as u8;
            index += 1;
        }
        TypeSet(bits)
    }
    fn contains(self, ty: Type) -> bool {
        self.0 & (1 << ty as u8) != 0
    }
}

impl fmt::Display for TypeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Type::ALL.iter().filter(|&&ty| self.contains(ty)).map(|ty| ty.name()).collect();
        f.write_str(&names.join("|"))
    }
}

const ANY: TypeSet = TypeSet::of(&Type::ALL);
const I32: TypeSet = TypeSet::of(&[Type::I32]);
const IPTR: TypeSet = TypeSet::of(&[Type::Iptr]);
const REF: TypeSet = TypeSet::of(&[Type::Ref]);
const F32: TypeSet = TypeSet::of(&[Type::F32]);
const F64: TypeSet = TypeSet::of(&[Type::F64]);
const INT: TypeSet = TypeSet::of(&[Type::I32, Type::I64, Type::Iptr]);
const NARROW: TypeSet = TypeSet::of(&[Type::I32, Type::Iptr]);
const WIDE: TypeSet = TypeSet::of(&[Type::I64, Type::Iptr]);
const ADDRESS: TypeSet = TypeSet::of(&[Type::Iptr, Type::Ref, Type::Mptr]);
const FRAME: TypeSet = TypeSet::of(&[Type::Iptr, Type::Mptr]);
const INT_OR_ADDRESS: TypeSet = TypeSet::of(&[Type::I32, Type::I64, Type::Iptr, Type::Ref, Type::Mptr]);
const FLOAT: TypeSet = TypeSet::of(&[Type::F32, Type::F64]);

/// What an argument must be.
#[derive(Clone, Copy)]
enum Arg {
    /// Of one of these types.
    Of(TypeSet),
    /// Of the instruction's type.
    Same,
    /// Of the type of the first argument, which is one of these.
    Alike(TypeSet),
    /// The instruction's type; if that is a pointer, any other pointer too.
    Pointerlike,
    /// The type that the access moves.
    Accessed,
}

/// Types of results and arguments of an opcode with a fixed number of arguments.
fn type_rule(opcode: Opcode) -> (TypeSet, &'static [Arg]) {
    use Arg::{Accessed, Alike, Of, Pointerlike, Same};
    use Opcode::*;
    match opcode {
        Iconst => (INT_OR_ADDRESS, &[]),
        Fconst => (FLOAT, &[]),
        SymbolAddr | Thread | FrameAddr => (IPTR, &[]),
        Cell => (ADDRESS, &[]),
        StackAddr => (FRAME, &[]),
        Iadd | Isub => (INT_OR_ADDRESS, &[Pointerlike, Pointerlike]),
        Imul | SmulHigh | UmulHigh | Sdiv | Udiv | Srem | Urem | Iand | Ior | Ixor => (INT, &[Same, Same]),
        SaddOverflow | UaddOverflow | SsubOverflow | UsubOverflow => (INT_OR_ADDRESS, &[Pointerlike, Pointerlike]),
        SmulOverflow | UmulOverflow => (INT, &[Same, Same]),
        Ishl | Sshr | Ushr | Rotl => (INT, &[Same, Of(I32)]),
        Ineg | Inot | Clz | Ctz | Popcnt | Bswap => (INT, &[Same]),
        Fadd | Fsub | Fmul | Fdiv => (FLOAT, &[Same, Same]),
        Fneg | Fabs | Fsqrt => (FLOAT, &[Same]),
        Icmp => (I32, &[Of(INT_OR_ADDRESS), Alike(INT_OR_ADDRESS)]),
        Fcmp => (I32, &[Of(FLOAT), Alike(FLOAT)]),
        Select => (ANY, &[Of(I32), Same, Same]),
        Sext8 | Sext16 | Zext8 | Zext16 => (I32, &[Same]),
        Sext | Zext => (WIDE, &[Of(INT)]),
        Trunc => (INT, &[Of(WIDE)]),
        Bitcast => (ANY, &[Of(ANY)]),
        Fpromote => (F64, &[Of(F32)]),
        Fdemote => (F32, &[Of(F64)]),
        SintToFloat | UintToFloat => (FLOAT, &[Of(INT)]),
        FloatToSint | FloatToUint => (INT, &[Of(FLOAT)]),
        Load => (ANY, &[Of(ADDRESS)]),
        Store => (ANY, &[Of(ADDRESS), Accessed]),
        StoreRef => (ANY, &[Of(REF), Of(ADDRESS), Of(REF)]),
        CopyMemory => (ANY, &[Of(ADDRESS), Of(ADDRESS)]),
        ZeroMemory => (ANY, &[Of(ADDRESS)]),
        AtomicAdd => (INT, &[Of(ADDRESS), Accessed]),
        AtomicExchange => (INT_OR_ADDRESS, &[Of(ADDRESS), Accessed]),
        AtomicCompareExchange => (INT_OR_ADDRESS, &[Of(ADDRESS), Accessed, Accessed]),
        StackAlloc => (FRAME, &[Of(IPTR)]),
        Fence => (ANY, &[]),
        NullCheck => (ANY, &[Of(ADDRESS)]),
        BoundsCheck => (ANY, &[Of(INT), Alike(INT)]),
        TrapIf => (ANY, &[Of(I32)]),
        NewObject => (REF, &[Of(IPTR)]),
        NewArray => (REF, &[Of(IPTR), Of(IPTR)]),
        TryAllocate => (REF, &[Of(IPTR), Of(IPTR), Of(NARROW)]),
        Call | CallIndirect | TailCall | TailCallIndirect | Return => (ANY, &[]),
        Brif | BrTable | EndFilter => (ANY, &[Of(I32)]),
        Jump | Trap | Unreachable | EndFinally => (ANY, &[]),
    }
}

/// Pairs of types that `bitcast` turns into each other belong to one class.
fn bit_class(ty: Type) -> u32 {
    match ty {
        Type::I32 | Type::F32 => 0,
        Type::I64 | Type::F64 => 1,
        Type::Iptr | Type::Ref | Type::Mptr => 2,
        Type::V128 => 3,
    }
}

/// The kind of an auxiliary operand.
fn aux_kind(aux: &Aux) -> AuxKind {
    match aux {
        Aux::None => AuxKind::None,
        Aux::Int(_) => AuxKind::Int,
        Aux::IntCompare(_) => AuxKind::IntCompare,
        Aux::FloatCompare(_) => AuxKind::FloatCompare,
        Aux::Memory(_) => AuxKind::Memory,
        Aux::Slot(..) => AuxKind::Slot,
        Aux::Symbol(_) => AuxKind::Symbol,
        Aux::Call { .. } => AuxKind::Call,
        Aux::CallIndirect(_) => AuxKind::CallIndirect,
        Aux::Trap(_) => AuxKind::Trap,
        Aux::Targets(_) => AuxKind::Targets,
        Aux::Allocation(_) => AuxKind::Allocation,
        Aux::Window(_) => AuxKind::Window,
    }
}

/// Checks the auxiliary operand, the number of arguments and the types of one instruction, not the arguments of branches.
pub fn check_types(function: &Function, instruction: &Instruction) -> Result<(), String> {
    let info = instruction.opcode.info();
    if aux_kind(&instruction.aux) != info.aux {
        return Err(format!("auxiliary operand is {:?}, not {:?}", aux_kind(&instruction.aux), info.aux));
    }
    for &arg in &instruction.args {
        if function.values.get(arg).is_none() {
            return Err(format!("there is no {arg}"));
        }
    }
    check_entities(function, &instruction.aux)?;
    if let (true, Aux::Call { signature, .. } | Aux::CallIndirect(signature)) =
        (instruction.opcode.is_terminator(), &instruction.aux)
    {
        check_tail_call(function, &function.signatures[*signature])?;
    }
    match &instruction.aux {
        Aux::Call { signature, .. } => {
            let params = &function.signatures[*signature].params;
            return check_list(function, &instruction.args, params.iter().map(|param| param.ty), "argument");
        }
        Aux::CallIndirect(signature) => {
            let params = &function.signatures[*signature].params;
            let types = params.iter().map(|param| param.ty);
            let Some((&address, args)) = instruction.args.split_first() else {
                return Err("the address is missing".into());
            };
            if function.value_type(address) != Type::Iptr {
                return Err(format!("the address {address} is {}, not iptr", function.value_type(address)));
            }
            return check_list(function, args, types, "argument");
        }
        _ => {}
    }
    if instruction.opcode == Opcode::Return {
        return match &function.signature {
            Some(signature) => check_list(function, &instruction.args, signature.results.iter().copied(), "result"),
            None => Ok(()),
        };
    }
    check_rule(function, instruction)
}

/// The callee returns in the caller's place, so it must do so in the same way.
fn check_tail_call(function: &Function, callee: &Signature) -> Result<(), String> {
    match &function.signature {
        Some(own) if own.results != callee.results => Err("a tail call of a function with other results".into()),
        Some(own) if own.convention != callee.convention => Err("a tail call into another convention".into()),
        _ => Ok(()),
    }
}

fn check_rule(function: &Function, instruction: &Instruction) -> Result<(), String> {
    let (result, rule) = type_rule(instruction.opcode);
    let ty = instruction.ty;
    // The last argument may be left out.
    let optional = usize::from(instruction.opcode == Opcode::TryAllocate);
    if instruction.args.len() > rule.len() || instruction.args.len() + optional < rule.len() {
        return Err(format!("{} arguments, not {}", instruction.args.len(), rule.len()));
    }
    if instruction.opcode.info().results == Results::One && !result.contains(ty) {
        return Err(format!("the result is {ty}, not {result}"));
    }
    for (index, (&arg, rule)) in instruction.args.iter().zip(rule).enumerate() {
        let actual = function.value_type(arg);
        let good = match *rule {
            Arg::Of(set) => set.contains(actual),
            Arg::Same => actual == ty,
            Arg::Alike(set) => {
                let first = function.value_type(instruction.args[0]);
                set.contains(actual) && (actual == first || actual.is_pointer_sized() && first.is_pointer_sized())
            }
            Arg::Pointerlike => actual == ty || actual.is_pointer_sized() && ty.is_pointer_sized(),
            Arg::Accessed => match &instruction.aux {
                Aux::Memory(memory) => actual == memory.access.value_type(),
                _ => false,
            },
        };
        if !good {
            return Err(format!("argument {index} ({arg}) may not be {actual} here"));
        }
    }
    check_special(function, instruction)
}

/// What does not fit into the table.
fn check_special(function: &Function, instruction: &Instruction) -> Result<(), String> {
    let ty = instruction.ty;
    let from = |index: usize| function.value_type(instruction.args[index]);
    match (instruction.opcode, &instruction.aux) {
        (Opcode::Sext | Opcode::Zext, _) if from(0) == ty || from(0) == Type::I64 => {
            Err(format!("{} cannot be extended to {ty}", from(0)))
        }
        (Opcode::Trunc, _) if from(0) == ty || ty == Type::I64 => Err(format!("{} cannot be truncated to {ty}", from(0))),
        (Opcode::Bitcast, _) if bit_class(from(0)) != bit_class(ty) => Err(format!("the bits of {} are no {ty}", from(0))),
        (opcode, Aux::Memory(memory)) if opcode.info().results == Results::One && memory.access.value_type() != ty => {
            Err(format!("an access to {} gives no {ty}", memory.access))
        }
        (Opcode::StoreRef, Aux::Memory(memory)) if memory.access.value_type() != Type::Ref => {
            Err(format!("store_ref of {}", memory.access))
        }
        (Opcode::Iconst, &Aux::Int(value)) if function.bits(ty) == 32 && i64::from(value as i32) != value => {
            Err(format!("{value} is not sign-extended from 32 bits"))
        }
        (Opcode::CopyMemory | Opcode::ZeroMemory, &Aux::Int(bytes)) if bytes < 0 => Err(format!("{bytes} bytes")),
        (Opcode::Jump, Aux::Targets(targets)) if targets.len() != 1 => Err(format!("{} targets", targets.len())),
        (Opcode::Brif, Aux::Targets(targets)) if targets.len() != 2 => Err(format!("{} targets", targets.len())),
        (Opcode::BrTable, Aux::Targets(targets)) if targets.is_empty() => Err("no default target".into()),
        _ => Ok(()),
    }
}

fn check_entities(function: &Function, aux: &Aux) -> Result<(), String> {
    let missing = match aux {
        Aux::Slot(slot, _) if function.slots.get(*slot).is_none() => slot.to_string(),
        Aux::Symbol(symbol) | Aux::Call { callee: symbol, .. } if function.symbols.get(*symbol).is_none() => symbol.to_string(),
        Aux::Call { signature, .. } | Aux::CallIndirect(signature) if function.signatures.get(*signature).is_none() => {
            signature.to_string()
        }
        Aux::Targets(targets) => match targets.iter().find(|target| function.blocks.get(target.block).is_none()) {
            Some(target) => target.block.to_string(),
            None => return Ok(()),
        },
        _ => return Ok(()),
    };
    Err(format!("there is no {missing}"))
}

fn check_list(
    function: &Function,
    values: &[Value],
    types: impl ExactSizeIterator<Item = Type>,
    what: &str,
) -> Result<(), String> {
    if values.len() != types.len() {
        return Err(format!("{} {what}s, not {}", values.len(), types.len()));
    }
    for (index, (&value, ty)) in values.iter().zip(types).enumerate() {
        let actual = function.value_type(value);
        if actual != ty {
            return Err(format!("{what} {index} ({value}) is {actual}, not {ty}"));
        }
    }
    Ok(())
}

/// Checks everything; gives all errors found.
pub fn verify(function: &Function) -> Result<(), VerifierErrors> {
    let mut verifier = Verifier {
        function,
        position: SideTable::with_len(function.insts.len()),
        in_layout: SideTable::with_len(function.blocks.len()),
        errors: Vec::new(),
    };
    verifier.run();
    if verifier.errors.is_empty() {
        return Ok(());
    }
    Err(VerifierErrors { function: function.name.clone(), errors: verifier.errors })
}

/// Checks what legalisation promises: no value, parameter or result is a 64-bit integer. Gives the first errors found.
pub fn verify_legal(function: &Function) -> Result<(), VerifierErrors> {
    let error = |inst: Option<Inst>, message: String| VerifierError {
        block: None,
        inst: inst.map(|inst| (inst, function.display_inst(inst).to_string())),
        message,
    };
    let values = function.values.iter().filter(|(_, data)| data.ty == Type::I64);
    let mut errors: Vec<VerifierError> = values.map(|(value, _)| error(None, format!("{value} is i64"))).collect();
    let signatures = function.signatures.values().chain(&function.signature);
    let is_wide = |signature: &&Signature| {
        signature.params.iter().any(|param| param.ty == Type::I64) || signature.results.contains(&Type::I64)
    };
    errors.extend(signatures.filter(is_wide).map(|signature| error(None, format!("`{signature}` has an i64"))));
    let insts = function.layout.iter().flat_map(|&block| &function.blocks[block].insts);
    let moves_wide = |inst: &&Inst| match &function.insts[**inst].aux {
        Aux::Memory(memory) => memory.access == Access::Full(Type::I64),
        _ => function.insts[**inst].ty == Type::I64,
    };
    errors.extend(insts.filter(moves_wide).map(|&inst| error(Some(inst), "works on i64".to_string())));
    if errors.is_empty() { Ok(()) } else { Err(VerifierErrors { function: function.name.clone(), errors }) }
}

struct Verifier<'a> {
    function: &'a Function,
    /// Where each instruction stands: its block and, from 1, its place there.
    position: SideTable<Inst, Option<(Block, u32)>>,
    in_layout: SideTable<Block, bool>,
    errors: Vec<VerifierError>,
}

impl Verifier<'_> {
    fn error(&mut self, block: Option<Block>, inst: Option<Inst>, message: impl Into<String>) {
        let inst = inst.map(|inst| (inst, self.function.display_inst(inst).to_string()));
        self.errors.push(VerifierError { block, inst, message: message.into() });
    }

    fn run(&mut self) {
        let function = self.function;
        if !matches!(function.pointer_bytes, 4 | 8) {
            self.error(None, None, format!("pointers of {} bytes", function.pointer_bytes));
        }
        if function.signature.is_none() {
            self.error(None, None, "no signature");
        }
        if function.layout.is_empty() {
            self.error(None, None, "no entry block");
            return;
        }
        self.check_structure();
        if !self.errors.is_empty() {
            // Orders and dominators make no sense yet.
            return;
        }
        let control_flow = ControlFlow::new(function);
        self.check_entries(&control_flow);
        for &block in control_flow.reverse_post_order() {
            self.check_block(&control_flow, block);
        }
    }

    /// Layout, terminators, parameters and regions.
    fn check_structure(&mut self) {
        let function = self.function;
        for &block in &function.layout {
            if function.blocks.get(block).is_none() {
                self.error(None, None, format!("the layout names {block}, which does not exist"));
                return;
            }
            if std::mem::replace(&mut self.in_layout[block], true) {
                self.error(Some(block), None, "twice in the layout");
            }
        }
        self.check_regions();
        self.check_inline_sites();
        for &block in &function.layout {
            let data = &function.blocks[block];
            if data.region.is_some_and(|region| function.regions.get(region).is_none()) {
                self.error(Some(block), None, "its region does not exist");
            }
            for (index, &param) in data.params.iter().enumerate() {
                let def = function.values.get(param).map(|value| value.def);
                let aliased = matches!(def, Some(ValueDef::Alias(_)));
                if !aliased && def != Some(ValueDef::Param(block, index as u32)) {
                    self.error(Some(block), None, format!("parameter {index} ({param}) is defined as {def:?}"));
                }
            }
            if data.insts.is_empty() {
                self.error(Some(block), None, "no terminator");
            }
            for (index, &inst) in data.insts.iter().enumerate() {
                self.place_inst(block, index, inst, index + 1 == data.insts.len());
            }
        }
    }

    /// Each has its own source positions, behind that of its call.
    fn check_inline_sites(&mut self) {
        let mut last = None;
        for (number, site) in self.function.inline_sites.iter().enumerate() {
            if self.function.symbols.get(site.callee).is_none() {
                self.error(None, None, format!("inline{number} is of {}, which does not exist", site.callee));
            }
            let is_call_before = site.call == SourceOffset::UNKNOWN || site.call.0 < site.first;
            if last.replace(site.first) >= Some(site.first) || !is_call_before {
                self.error(None, None, format!("the positions of inline{number} do not come behind those before"));
            }
        }
    }

    fn place_inst(&mut self, block: Block, index: usize, inst: Inst, last: bool) {
        let function = self.function;
        let Some(instruction) = function.insts.get(inst) else {
            self.error(Some(block), None, format!("there is no {inst}"));
            return;
        };
        if self.position[inst].is_some() {
            self.error(Some(block), Some(inst), "stands in two places");
        }
        self.position[inst] = Some((block, index as u32 + 1));
        if instruction.opcode.is_terminator() != last {
            let message = if last { "the last instruction is no terminator" } else { "a terminator before the end" };
            self.error(Some(block), Some(inst), message);
        }
        for target in instruction.targets() {
            if !self.in_layout[target.block] {
                self.error(Some(block), Some(inst), format!("branch to {}, which is not in the layout", target.block));
            }
        }
        for (index, &result) in function.results[inst].iter().enumerate() {
            let def = function.values.get(result).map(|value| value.def);
            let aliased = matches!(def, Some(ValueDef::Alias(_)));
            if !aliased && def != Some(ValueDef::Result(inst, index as u32)) {
                self.error(Some(block), Some(inst), format!("result {index} ({result}) is defined as {def:?}"));
            }
        }
    }

    fn check_regions(&mut self) {
        let function = self.function;
        for (region, data) in function.regions.iter() {
            let mut parent = data.parent;
            let mut steps = 0;
            while let Some(current) = parent {
                steps += 1;
                match function.regions.get(current) {
                    Some(_) if steps > function.regions.len() => {
                        self.error(None, None, format!("{region} encloses itself"));
                        break;
                    }
                    Some(data) => parent = data.parent,
                    None => {
                        self.error(None, None, format!("the parent of {region} does not exist"));
                        break;
                    }
                }
            }
            for entry in handler_entries(function, region) {
                if function.blocks.get(entry).is_none() {
                    self.error(None, None, format!("{region}: the handler {entry} does not exist"));
                }
            }
        }
    }

    /// What is special about the entries of the function and of handlers.
    fn check_entries(&mut self, control_flow: &ControlFlow) {
        let function = self.function;
        for &root in control_flow.roots() {
            if !self.in_layout[root] {
                self.error(Some(root), None, "a handler that can be entered is not in the layout");
            }
            if !control_flow.predecessors(root).is_empty() {
                self.error(Some(root), None, "branch to the entry of the function or of a handler");
            }
        }
        let actual: Vec<Type> =
            function.blocks[function.entry()].params.iter().map(|&param| function.value_type(param)).collect();
        let expected: Vec<Type> = function.signature().params.iter().map(|param| param.ty).collect();
        if actual != expected {
            self.error(Some(function.entry()), None, "the entry's parameters are not those of the signature");
        }
        for (_, region) in function.regions.iter() {
            for handler in &region.handlers {
                let params = match handler.kind {
                    HandlerKind::Catch(_) => &[Type::Ref][..],
                    HandlerKind::Filter(filter) => {
                        self.check_handler_params(control_flow, filter, &[Type::Ref]);
                        &[Type::Ref]
                    }
                    HandlerKind::Finally | HandlerKind::Fault => &[],
                };
                self.check_handler_params(control_flow, handler.entry, params);
            }
        }
    }

    fn check_handler_params(&mut self, control_flow: &ControlFlow, entry: Block, expected: &[Type]) {
        let function = self.function;
        let params = &function.blocks[entry].params;
        if control_flow.is_reachable(entry)
            && !params.iter().map(|&param| function.value_type(param)).eq(expected.iter().copied())
        {
            self.error(Some(entry), None, format!("the parameters of this handler are not {expected:?}"));
        }
    }

    fn check_block(&mut self, control_flow: &ControlFlow, block: Block) {
        let function = self.function;
        for (index, &inst) in function.blocks[block].insts.iter().enumerate() {
            let instruction = &function.insts[inst];
            if let Err(message) = check_types(function, instruction) {
                self.error(Some(block), Some(inst), message);
                continue;
            }
            let results = &function.results[inst];
            let good = match (&instruction.aux, instruction.opcode.info().results) {
                (_, Results::None) => results.is_empty(),
                (_, Results::One) => results.len() == 1 && function.value_type(results[0]) == instruction.ty,
                (Aux::Call { signature, .. } | Aux::CallIndirect(signature), Results::Signature) => {
                    let types = results.iter().map(|&result| function.value_type(result));
                    types.eq(function.signatures[*signature].results.iter().copied())
                }
                _ => false,
            };
            if !good {
                self.error(Some(block), Some(inst), "the results are not of the types of the instruction");
            }
            let keeps_frame = !matches!(instruction.opcode, Opcode::TailCall | Opcode::TailCallIndirect);
            if !keeps_frame && function.blocks[block].region.is_some() {
                self.error(Some(block), Some(inst), "a tail call in a protected region");
            }
            for &arg in &instruction.args {
                self.check_use(control_flow, block, index, inst, arg);
            }
            for target in instruction.targets() {
                self.check_target(control_flow, block, index, inst, target);
            }
        }
    }

    fn check_target(&mut self, control_flow: &ControlFlow, block: Block, index: usize, inst: Inst, target: &BlockCall) {
        let function = self.function;
        if let Some(missing) = target.args.iter().find(|&&arg| function.values.get(arg).is_none()) {
            self.error(Some(block), Some(inst), format!("there is no {missing}"));
            return;
        }
        let params = &function.blocks[target.block].params;
        let types = params.iter().map(|&param| function.value_type(param));
        if let Err(message) = check_list(function, &target.args, types, "block argument") {
            self.error(Some(block), Some(inst), format!("{}: {message}", target.block));
        }
        for &arg in &target.args {
            self.check_use(control_flow, block, index, inst, arg);
        }
    }

    /// A use must be dominated by the definition.
    fn check_use(&mut self, control_flow: &ControlFlow, block: Block, index: usize, inst: Inst, value: Value) {
        let function = self.function;
        let original = function.resolve(value);
        if function.value_type(original) != function.value_type(value) {
            self.error(Some(block), Some(inst), format!("{value} is an alias of {original}, of another type"));
        }
        let dominated = match function.values[original].def {
            ValueDef::Param(definer, place) => {
                let listed = function.blocks.get(definer).and_then(|data| data.params.get(place as usize));
                listed == Some(&original) && control_flow.dominates(definer, block)
            }
            ValueDef::Result(definer, _) => match self.position[definer] {
                Some((home, place)) if home == block => place as usize <= index,
                Some((home, _)) => control_flow.dominates(home, block),
                None => false,
            },
            ValueDef::Alias(_) => false,
        };
        if !dominated {
            self.error(Some(block), Some(inst), format!("{value} is used where its definition does not reach"));
        }
    }
}
