//! Legalisation for machines whose registers hold 32 bits: every `i64` becomes a pair of `i32`, low half first.
//!
//! It runs after the expansion, so that only plain instructions are left, and before the last folding passes, which then see the
//! halves. What takes more than a few instructions (division, high products, some conversions, atomics) becomes a call of
//! a leaf helper. The pass knows no runtime: it takes the helpers' numbers from [`LegalizeOptions`].
//!
//! No new block parameters are needed and no values get new names in other blocks, so one walk in reverse post-order does it all: a
//! definition is always split before its uses. Blocks are added only where a comparison ends a block.

mod arithmetic;
mod bits;
mod compare;
mod convert;
mod memory;

use crate::entity::{Block, Inst, SideTable, StackSlot, Value};
use crate::function::{Function, StackSlotData, SymbolRef, ValueData, ValueDef};
use crate::instruction::{Aux, BlockCall, Instruction, IntCompare, Opcode, SourceOffset, TrapCode, Values};
use crate::pass_manager::{Level, Pass, PassContext};
use crate::passes::{count_uses, ensure_reachable};
use crate::signature::{CallConvention, Param, ParamKind, Signature};
use crate::types::Type;
use smallvec::SmallVec;

/// Splits 64-bit integers on targets with 4-byte pointers.
pub static PASS: Pass = Pass { name: "legalize", mono_aliases: &[], default_level: Level::Required, run };

/// Which helpers do what takes too many instructions: numbers of `SymbolRef::Helper`. All are leaves; none raises. A 64-bit
/// parameter or result is a pair, low half first.
#[derive(Clone, Debug)]
pub struct LegalizeOptions {
    /// Whether the machine lacks division of 32 bits, so that it becomes a call too.
    pub software_division: bool,
    /// `(i32, i32) -> i32`: signed and unsigned quotient, signed and unsigned remainder. The divisor is not 0, the signed quotient fits.
    pub divide_32: [u16; 4],
    /// The same on `i64`.
    pub divide_64: [u16; 4],
    /// `(i64, i64) -> i64`: high half of the signed product.
    pub signed_high_product: u16,
    /// `(i64, i64) -> i64`: high half of the unsigned product.
    pub unsigned_high_product: u16,
    /// `(i64) -> f32`, from a signed integer, rounded once.
    pub signed_to_f32: u16,
    /// `(i64) -> f32`, from an unsigned integer, rounded once.
    pub unsigned_to_f32: u16,
    /// `(f64) -> i64`, as the opcode `float_to_sint`.
    pub f64_to_signed: u16,
    /// `(f64) -> i64`, as the opcode `float_to_uint`.
    pub f64_to_unsigned: u16,
    /// `(mptr) -> i64`: one atomic load.
    pub atomic_load: u16,
    /// `(mptr, i64)`: one atomic store.
    pub atomic_store: u16,
    /// `(mptr, i64) -> i64`: gives the old value.
    pub atomic_add: u16,
    /// `(mptr, i64) -> i64`: gives the old value.
    pub atomic_exchange: u16,
    /// `(mptr, i64 expected, i64 replacement) -> i64`: gives the old value.
    pub atomic_compare_exchange: u16,
}

impl LegalizeOptions {
    /// Options with numbers of their own for all helpers, for tests.
    pub fn for_tests() -> LegalizeOptions {
        LegalizeOptions {
            software_division: false,
            divide_32: [100, 101, 102, 103],
            divide_64: [104, 105, 106, 107],
            signed_high_product: 108,
            unsigned_high_product: 109,
            signed_to_f32: 110,
            unsigned_to_f32: 111,
            f64_to_signed: 112,
            f64_to_unsigned: 113,
            atomic_load: 114,
            atomic_store: 115,
            atomic_add: 116,
            atomic_exchange: 117,
            atomic_compare_exchange: 118,
        }
    }
}

/// The halves of a 64-bit value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Pair {
    low: Value,
    high: Value,
}

fn run(function: &mut Function, context: &mut PassContext<'_>) -> bool {
    let Some(options) = context.legalize else { return false };
    if function.pointer_bytes != 4 {
        return false;
    }
    let is_wide = function.values.values().any(|value| value.ty == Type::I64)
        || function.signatures.values().chain(&function.signature).any(has_wide);
    let divides = || function.insts.values().any(|instruction| division_index(instruction.opcode).is_some());
    let has_work = is_wide || options.software_division && divides();
    if !has_work {
        return false;
    }
    // Unreachable blocks go, since nothing in them is split.
    let control_flow = &mut context.scratch.control_flow;
    ensure_reachable(function, control_flow);
    function.resolve_aliases();
    let order = control_flow.reverse_post_order().to_vec();
    let uses = count_uses(function);
    let entry = function.entry();
    let mut legalizer = Legalizer {
        pairs: SideTable::with_len(function.values.len()),
        uses,
        start: entry,
        terminator: function.terminator(entry),
        current: entry,
        source: SourceOffset::UNKNOWN,
        added: SideTable::new(),
        transfer: None,
        rewritten: 0,
        function,
        options,
    };
    legalizer.run(&order);
    let rewritten = legalizer.rewritten;
    context.count("legalized instructions", rewritten);
    true
}

fn has_wide(signature: &Signature) -> bool {
    let by_bits = |ty: Type| ty.is_float() && signature.convention == CallConvention::Variadic;
    signature.params.iter().any(|param| param.ty == Type::I64 || by_bits(param.ty)) || signature.results.contains(&Type::I64)
}

/// Splits the 64-bit parameters and results of a signature. Functions with variable arguments take floats as integers of the same bits, in
/// general registers or on the stack: so the base standard of ARM has it (AAPCS32, section 6.4.1), and on x86 it makes no difference.
pub fn split_signature(signature: &mut Signature) {
    if !has_wide(signature) {
        return;
    }
    let params = std::mem::take(&mut signature.params);
    let by_bits = signature.convention == CallConvention::Variadic;
    for param in params {
        match param.ty {
            Type::F64 if !by_bits => signature.params.push(param),
            Type::I64 | Type::F64 => {
                signature.params.push(Param { ty: Type::I32, kind: ParamKind::PairLow });
                signature.params.push(Param::normal(Type::I32));
            }
            Type::F32 if by_bits => signature.params.push(Param::normal(Type::I32)),
            _ => signature.params.push(param),
        }
    }
    let split = |ty: Type| if ty == Type::I64 { SmallVec::from_slice(&[Type::I32; 2]) } else { SmallVec::from_slice(&[ty]) };
    signature.results = signature.results.iter().copied().flat_map::<SmallVec<[Type; 2]>, _>(split).collect();
}

struct Legalizer<'a> {
    function: &'a mut Function,
    options: &'a LegalizeOptions,
    /// What each 64-bit value was split into; filled by the walk.
    pairs: SideTable<Value, Option<Pair>>,
    /// How often each value was used, by its index.
    uses: Vec<u32>,
    /// The block that is being rewritten, and its terminator.
    start: Block,
    terminator: Inst,
    /// The block that instructions are appended to.
    current: Block,
    source: SourceOffset,
    /// Blocks that go behind a block.
    added: SideTable<Block, Vec<Block>>,
    /// The slot through which bits go between float and integer registers.
    transfer: Option<StackSlot>,
    rewritten: u64,
}

impl Legalizer<'_> {
    fn run(&mut self, order: &[Block]) {
        self.function.signatures.values_mut().for_each(split_signature);
        self.function.signature.iter_mut().for_each(split_signature);
        let layout = std::mem::take(&mut self.function.layout);
        for &block in order {
            self.split_params(block);
        }
        for &block in order {
            (self.start, self.current, self.terminator) = (block, block, self.function.terminator(block));
            for inst in std::mem::take(&mut self.function.blocks[block].insts) {
                if self.is_wide(inst) {
                    self.rewritten += 1;
                    self.rewrite(inst);
                } else {
                    self.function.blocks[self.current].insts.push(inst);
                }
            }
        }
        for block in layout {
            self.function.layout.push(block);
            self.function.layout.append(&mut self.added[block]);
        }
        self.function.resolve_aliases();
        // What was split is defined nowhere any more; its type must not confuse those who look at all values.
        for value in self.function.values.values_mut() {
            if value.ty == Type::I64 {
                value.ty = Type::I32;
            }
        }
    }

    fn split_params(&mut self, block: Block) {
        let is_wide = |&param: &Value| self.function.value_type(param) == Type::I64;
        if !self.function.blocks[block].params.iter().any(is_wide) {
            return;
        }
        let mut params = Vec::new();
        for param in std::mem::take(&mut self.function.blocks[block].params) {
            if self.function.value_type(param) == Type::I64 {
                let mut half = || self.function.values.push(ValueData { ty: Type::I32, def: ValueDef::Param(block, 0) });
                let pair = Pair { low: half(), high: half() };
                self.pairs[param] = Some(pair);
                params.extend([pair.low, pair.high]);
            } else {
                params.push(param);
            }
        }
        self.function.blocks[block].params = params;
        self.function.renumber_params(block);
    }

    /// Whether an instruction has to do with 64-bit integers, or with what else the machine lacks.
    fn is_wide(&self, inst: Inst) -> bool {
        let instruction = &self.function.insts[inst];
        let is_wide = |&value: &Value| self.function.value_type(value) == Type::I64;
        instruction.args.iter().any(is_wide)
            || self.function.results[inst].iter().any(is_wide)
            || instruction.targets().iter().any(|target| target.args.iter().any(is_wide))
            || self.options.software_division && division_index(instruction.opcode).is_some()
            || self.is_variadic(instruction)
            || self.is_deferred_condition(inst)
    }

    /// Whether this is a call of a function with variable arguments.
    fn is_variadic(&self, instruction: &Instruction) -> bool {
        match instruction.aux {
            Aux::Call { signature, .. } | Aux::CallIndirect(signature) => {
                self.function.signatures[signature].convention == CallConvention::Variadic
            }
            _ => false,
        }
    }

    /// Whether this is a branch on a comparison that was left for it to make.
    fn is_deferred_condition(&self, inst: Inst) -> bool {
        self.function.insts[inst].opcode == Opcode::Brif && self.deferred_compare(self.function.insts[inst].args[0]).is_some()
    }

    fn rewrite(&mut self, inst: Inst) {
        let instruction = self.function.insts[inst].clone();
        self.source = instruction.source;
        let args = &instruction.args;
        if let Some(number) = division_index(instruction.opcode) {
            return self.divide(inst, &instruction, number);
        }
        match (instruction.opcode, &instruction.aux) {
            (Opcode::Iconst, &Aux::Int(value)) => {
                let pair = self.pair_constant(value);
                self.define(inst, pair);
            }
            (Opcode::Icmp, &Aux::IntCompare(compare)) => {
                if !self.is_left_to_branch(inst) {
                    let result = self.compare(compare, self.pair(args[0]), self.pair(args[1]));
                    self.replace(inst, result);
                }
            }
            (Opcode::Brif, Aux::Targets(targets)) => self.branch(&instruction, targets),
            (Opcode::Jump | Opcode::BrTable, Aux::Targets(targets)) => {
                let targets = targets.iter().map(|target| self.split_target(target)).collect();
                self.append(instruction.opcode, Type::I32, args, Aux::Targets(targets));
            }
            (Opcode::Return, _) => {
                let args = self.split_values(args);
                self.append(Opcode::Return, Type::I32, &args, Aux::None);
            }
            (Opcode::TailCall | Opcode::TailCallIndirect, aux) => {
                let args = self.split_values(args);
                self.append(instruction.opcode, Type::I32, &args, aux.clone());
            }
            (Opcode::Call | Opcode::CallIndirect, aux) => self.call(inst, &instruction, aux.clone()),
            (Opcode::Select, _) => {
                let (a, b) = (self.pair(args[1]), self.pair(args[2]));
                let pair = self.select_pair(args[0], a, b);
                self.define(inst, pair);
            }
            (Opcode::BoundsCheck, _) => {
                let outside = self.compare(IntCompare::Uge, self.pair(args[0]), self.pair(args[1]));
                self.trap_if(outside, TrapCode::IndexOutOfRange);
            }
            (Opcode::Load, Aux::Memory(memory)) => {
                let pair = self.load(args[0], *memory);
                self.define(inst, pair);
            }
            (Opcode::Store, Aux::Memory(memory)) => self.store(args[0], *memory, self.pair(args[1])),
            (Opcode::AtomicAdd | Opcode::AtomicExchange | Opcode::AtomicCompareExchange, Aux::Memory(memory)) => {
                let pair = self.atomic(&instruction, *memory);
                self.define(inst, pair);
            }
            _ if self.convert(inst, &instruction) => {}
            _ => match self.arithmetic(&instruction) {
                Some(pair) => self.define(inst, pair),
                // An opcode that does not know 64 bits is the verifier's to report.
                None => self.function.blocks[self.current].insts.push(inst),
            },
        }
    }

    // Values

    /// The halves of `value`. A value of another type is its own low half, so that broken functions break nothing here.
    fn pair(&self, value: Value) -> Pair {
        let value = self.function.resolve(value);
        self.pairs[value].unwrap_or(Pair { low: value, high: value })
    }
    /// Says what the one result of `inst` was split into.
    fn define(&mut self, inst: Inst, pair: Pair) {
        let result = self.function.result(inst);
        self.pairs[result] = Some(pair);
    }
    /// Puts `value` in the place of the one result of `inst`, which is not of 64 bits.
    fn replace(&mut self, inst: Inst, value: Value) {
        let result = self.function.result(inst);
        self.function.alias(result, value);
    }
    fn split_values(&self, values: &[Value]) -> Values {
        let mut split = Values::new();
        for &value in values {
            match self.pairs[self.function.resolve(value)] {
                Some(pair) => split.extend([pair.low, pair.high]),
                None => split.push(value),
            }
        }
        split
    }
    /// The same with floats as integers.
    fn split_bits(&mut self, values: &[Value]) -> Values {
        let mut split = Values::new();
        for &value in values {
            match self.function.value_type(value) {
                Type::F32 => split.push(self.unary(Opcode::Bitcast, value)),
                Type::F64 => {
                    let pair = self.bits_of_float(value);
                    split.extend([pair.low, pair.high]);
                }
                _ => split.extend(self.split_values(&[value])),
            }
        }
        split
    }
    fn split_target(&self, target: &BlockCall) -> BlockCall {
        BlockCall::new(target.block, &self.split_values(&target.args))
    }

    // Small instructions

    fn append(&mut self, opcode: Opcode, ty: Type, args: &[Value], aux: Aux) -> Inst {
        let mut instruction = Instruction::new(opcode, ty, args, aux);
        instruction.source = self.source;
        self.function.append(self.current, instruction)
    }
    fn emit(&mut self, opcode: Opcode, ty: Type, args: &[Value], aux: Aux) -> Value {
        let inst = self.append(opcode, ty, args, aux);
        self.function.result(inst)
    }
    fn unary(&mut self, opcode: Opcode, a: Value) -> Value {
        self.emit(opcode, Type::I32, &[a], Aux::None)
    }
    fn binary(&mut self, opcode: Opcode, a: Value, b: Value) -> Value {
        self.emit(opcode, Type::I32, &[a, b], Aux::None)
    }
    fn constant(&mut self, value: i32) -> Value {
        self.emit(Opcode::Iconst, Type::I32, &[], Aux::Int(i64::from(value)))
    }
    fn pair_constant(&mut self, value: i64) -> Pair {
        Pair { low: self.constant(value as i32), high: self.constant((value >> 32) as i32) }
    }
    fn shift(&mut self, opcode: Opcode, a: Value, amount: i32) -> Value {
        let amount = self.constant(amount);
        self.binary(opcode, a, amount)
    }
    fn icmp(&mut self, compare: IntCompare, a: Value, b: Value) -> Value {
        self.emit(Opcode::Icmp, Type::I32, &[a, b], Aux::IntCompare(compare))
    }
    fn select(&mut self, condition: Value, a: Value, b: Value) -> Value {
        self.emit(Opcode::Select, Type::I32, &[condition, a, b], Aux::None)
    }
    fn select_pair(&mut self, condition: Value, a: Pair, b: Pair) -> Pair {
        Pair { low: self.select(condition, a.low, b.low), high: self.select(condition, a.high, b.high) }
    }
    fn trap_if(&mut self, condition: Value, code: TrapCode) {
        self.append(Opcode::TrapIf, Type::I32, &[condition], Aux::Trap(code));
    }
    /// The constant that a half is.
    fn known(&self, half: Value) -> Option<i32> {
        self.function.int_constant(half).map(|value| value as i32)
    }
    fn is_known(&self, half: Value, value: i32) -> bool {
        self.known(half) == Some(value)
    }
    /// Address of the slot for bits that change between float and integer registers.
    fn transfer_address(&mut self) -> Value {
        let slot = *self
            .transfer
            .get_or_insert_with(|| self.function.slots.push(StackSlotData { size: 8, align: 8, in_handler: false }));
        self.emit(Opcode::StackAddr, Type::Iptr, &[], Aux::Slot(slot, 0))
    }

    // Calls

    /// A call whose signature has been split already.
    fn call(&mut self, inst: Inst, instruction: &Instruction, aux: Aux) {
        let args = match self.is_variadic(instruction) {
            true => self.split_bits(&instruction.args),
            false => self.split_values(&instruction.args),
        };
        let old = self.function.results[inst].clone();
        let call = self.append(instruction.opcode, instruction.ty, &args, aux);
        let mut results = self.function.results[call].clone().into_iter();
        for result in old {
            let Some(first) = results.next() else { break };
            if self.function.value_type(result) != Type::I64 {
                self.function.alias(result, first);
            } else if let Some(high) = results.next() {
                self.pairs[result] = Some(Pair { low: first, high });
            }
        }
    }

    /// Calls a leaf helper and gives its results.
    fn call_helper(&mut self, helper: u16, name: &str, args: &[HelperArg], results: &[Type]) -> SmallVec<[Value; 2]> {
        let mut signature = Signature::new(CallConvention::Leaf);
        let mut values = Values::new();
        for arg in args {
            match *arg {
                HelperArg::One(value) => {
                    signature.params.push(Param::normal(self.function.value_type(value)));
                    values.push(value);
                }
                HelperArg::Pair(pair) => {
                    signature.params.push(Param { ty: Type::I32, kind: ParamKind::PairLow });
                    signature.params.push(Param::normal(Type::I32));
                    values.extend([pair.low, pair.high]);
                }
            }
        }
        signature.results.extend_from_slice(results);
        let signature = self.function.add_signature(signature);
        let callee = self.function.add_symbol(SymbolRef::Helper(helper), || name.to_string());
        let call = self.append(Opcode::Call, Type::I32, &values, Aux::Call { signature, callee });
        self.function.results[call].clone()
    }
    /// The same for a helper with a 64-bit result.
    fn call_wide_helper(&mut self, helper: u16, name: &str, args: &[HelperArg]) -> Pair {
        let results = self.call_helper(helper, name, args, &[Type::I32, Type::I32]);
        Pair { low: results[0], high: results[1] }
    }
}

/// Number of a division in the lists of [`LegalizeOptions`].
fn division_index(opcode: Opcode) -> Option<usize> {
    [Opcode::Sdiv, Opcode::Udiv, Opcode::Srem, Opcode::Urem].iter().position(|&division| division == opcode)
}

/// An argument of a helper.
#[derive(Clone, Copy)]
enum HelperArg {
    One(Value),
    Pair(Pair),
}
