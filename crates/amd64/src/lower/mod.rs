//! From the IR to instructions: which opcode goes to which group, and what all groups share: operands, addresses, conditions.

mod control;
mod float;
mod integer;
mod memory;

use crate::instructions::{Amode, Base, CompareOp, Cond, Extension, Index, Inst, Memory, RegMem, Size, Source, Test, UnaryOp};
use crate::registers::Reg;
use ir::Function;
use ir::entity::{Inst as IrInst, Value};
use ir::instruction::{Aux, FloatCompare, IntCompare, MemoryFlags, Opcode};
use ir::mach::lower::{LowerBackend, LowerContext};
use ir::mach::vcode::MachBlock;
use ir::mach::{CodegenError, CodegenOptions};
use ir::types::{Access, Type};
use std::cell::Cell;

/// `CodegenOptions::cpu_features`: `popcnt`.
pub const FEATURE_POPCNT: u64 = 1;
/// `lzcnt`.
pub const FEATURE_LZCNT: u64 = 2;
/// BMI1: `tzcnt`.
pub const FEATURE_BMI1: u64 = 4;
/// BMI2: `shlx`, `shrx`, `sarx`.
pub const FEATURE_BMI2: u64 = 8;

/// What lowering works with.
pub(crate) type Context<'f> = LowerContext<'f, Inst>;

/// Lowers one function.
pub struct Lowering<'a> {
    pub(crate) options: &'a CodegenOptions,
    /// Bytes of the argument area so far.
    pub outgoing: Cell<u32>,
    /// Whether the stack pointer varies.
    pub dynamic_stack: Cell<bool>,
    tables: Cell<u32>,
}

impl<'a> Lowering<'a> {
    /// The lowering of a function.
    pub fn new(options: &'a CodegenOptions) -> Lowering<'a> {
        Lowering { options, outgoing: Cell::new(0), dynamic_stack: Cell::new(false), tables: Cell::new(0) }
    }
    pub(crate) fn feature(&self, bit: u64) -> bool {
        self.options.cpu_features & bit != 0
    }
}

impl LowerBackend for Lowering<'_> {
    type Inst = Inst;

    fn lower(&self, context: &mut Context<'_>, inst: IrInst) -> Result<(), CodegenError> {
        use Opcode::*;
        match context.data(inst).opcode {
            Iconst | Iadd | Isub | Imul | SmulHigh | UmulHigh | Sdiv | Udiv | Srem | Urem | Iand | Ior | Ixor | Ishl | Sshr
            | Ushr | Rotl | Ineg | Inot | Clz | Ctz | Popcnt | Bswap | SaddOverflow | UaddOverflow | SsubOverflow
            | UsubOverflow | SmulOverflow | UmulOverflow | Icmp | Sext8 | Sext16 | Zext8 | Zext16 | Sext | Zext | Trunc => {
                integer::lower(self, context, inst);
            }
            Fconst | Fadd | Fsub | Fmul | Fdiv | Fneg | Fabs | Fsqrt | Fcmp | Bitcast | Fpromote | Fdemote | SintToFloat
            | UintToFloat | FloatToSint | FloatToUint => float::lower(context, inst),
            SymbolAddr
            | StackAddr
            | Thread
            | FrameAddr
            | Load
            | Store
            | CopyMemory
            | ZeroMemory
            | AtomicAdd
            | AtomicExchange
            | AtomicCompareExchange
            | StackAlloc
            | Fence
            | NullCheck => memory::lower(self, context, inst),
            Select | BoundsCheck | TrapIf | Call | CallIndirect => control::lower(self, context, inst)?,
            Cell | StoreRef | NewObject | NewArray | Jump | Brif | BrTable | Return | Trap | Unreachable | EndFinally
            | EndFilter => {
                let message = format!("{} is not expected in lowering", context.data(inst).opcode.name());
                return Err(CodegenError { message });
            }
        }
        Ok(())
    }

    fn lower_branch(&self, context: &mut Context<'_>, inst: IrInst, targets: &[MachBlock]) -> Result<(), CodegenError> {
        control::lower_branch(self, context, inst, targets)
    }

    fn lower_entry(&self, context: &mut Context<'_>, params: &[Value]) -> Result<(), CodegenError> {
        control::lower_entry(context, params)
    }

    fn lower_handler_entry(&self, context: &mut Context<'_>, params: &[Value]) -> Result<(), CodegenError> {
        control::lower_handler_entry(context, params);
        Ok(())
    }

    fn jump(&self, target: MachBlock) -> Inst {
        Inst::Jump { target }
    }
}

/// Operand size of a type.
pub(crate) fn size_of(ty: Type) -> Size {
    if ty.bytes(8) == 4 { Size::S32 } else { Size::S64 }
}

/// The register of a value.
pub(crate) fn reg(context: &mut Context<'_>, value: Value) -> Reg {
    context.reg(value).into()
}

/// A new temporary.
pub(crate) fn temp(context: &mut Context<'_>, ty: Type) -> Reg {
    context.temp(ty).into()
}

/// The register of the one result.
pub(crate) fn result(context: &mut Context<'_>, inst: IrInst) -> Reg {
    context.result(inst, 0).into()
}

/// A constant that fits into an immediate.
pub(crate) fn immediate(context: &Context<'_>, value: Value) -> Option<i32> {
    i32::try_from(context.int_constant(value)?).ok()
}

/// A register, or the memory that the value is loaded from just here, if that is as wide as the value.
pub(crate) fn reg_or_memory(context: &mut Context<'_>, value: Value) -> RegMem {
    match full_load(context, value) {
        Some(memory) => RegMem::Mem(memory),
        None => RegMem::Reg(reg(context, value)),
    }
}

/// An immediate, memory or a register.
pub(crate) fn source(context: &mut Context<'_>, value: Value) -> Source {
    if let Some(value) = immediate(context, value) {
        return Source::Imm(value);
    }
    match reg_or_memory(context, value) {
        RegMem::Reg(register) => Source::Reg(register),
        RegMem::Mem(memory) => Source::Mem(memory),
    }
}

/// Folds the load of all bits of `value`.
fn full_load(context: &mut Context<'_>, value: Value) -> Option<Memory> {
    let load = context.foldable_load(value)?;
    let Aux::Memory(memory) = context.data(load).aux else { return None };
    matches!(memory.access, Access::Full(_)).then(|| fold_load(context, load))
}

/// Folds a load that `foldable_load` gave.
pub(crate) fn fold_load(context: &mut Context<'_>, load: IrInst) -> Memory {
    context.sink(load);
    memory_operand(context, load)
}

/// The memory operand of a load, store or atomic operation.
pub(crate) fn memory_operand(context: &mut Context<'_>, inst: IrInst) -> Memory {
    let address_value = context.arg(inst, 0);
    let (offset, flags) = match context.data(inst).aux {
        Aux::Memory(memory) => (memory.offset, memory.flags),
        _ => (0, MemoryFlags::empty()),
    };
    Memory { address: address(context, address_value, offset), faults: !flags.contains(MemoryFlags::NO_TRAP) }
}

/// The addressing mode of `value` + `offset`, with as much of its computation folded in as fits.
pub(crate) fn address(context: &mut Context<'_>, value: Value, offset: i32) -> Amode {
    let mut displacement = offset;
    let mut index: Option<(Value, u8)> = None;
    let mut current = value;
    // Follows the base downwards; every step leaves an equal address.
    let base = loop {
        let Some(inst) = context.producer(current) else { break None };
        let data = context.data(inst);
        match (data.opcode, &data.aux) {
            (Opcode::Iadd, _) => {
                let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
                if let Some(sum) = add_constant(context, b, displacement) {
                    (displacement, current) = (sum, a);
                } else if let Some(sum) = add_constant(context, a, displacement) {
                    (displacement, current) = (sum, b);
                } else if index.is_none() {
                    // The side that is scaled becomes the index; without one, the side that is no pointer.
                    let (kept, scaled) = match (scaled_index(context, a), scaled_index(context, b)) {
                        (Some(scaled), None) => (b, scaled),
                        (_, Some(scaled)) => (a, scaled),
                        (None, None) if context.value_type(b).is_int() => (a, (b, 0, 0)),
                        (None, None) => (b, (a, 0, 0)),
                    };
                    let (scaled, shift, more) = scaled;
                    let Some(sum) = displacement.checked_add(more) else { break None };
                    (index, displacement, current) = (Some((scaled, shift)), sum, kept);
                } else {
                    break None;
                }
            }
            (Opcode::Isub, _) => {
                let negative = context.int_constant(context.arg(inst, 1)).and_then(i64::checked_neg);
                match negative.and_then(|negative| i32::try_from(i64::from(displacement) + negative).ok()) {
                    Some(sum) => (displacement, current) = (sum, context.arg(inst, 0)),
                    None => break None,
                }
            }
            (Opcode::Bitcast, _) if context.value_type(context.arg(inst, 0)).bytes(8) == 8 && is_general(context, inst) => {
                current = context.arg(inst, 0);
            }
            (Opcode::StackAddr, &Aux::Slot(slot, offset)) => {
                displacement = displacement.wrapping_add(offset);
                break Some(Base::Slot(slot));
            }
            (Opcode::SymbolAddr, &Aux::Symbol(symbol)) if index.is_none() => break Some(Base::Symbol(symbol)),
            (Opcode::Thread, _) => break Some(Base::Thread),
            (Opcode::FrameAddr, _) => break Some(Base::Frame),
            _ => break None,
        }
    };
    let base = base.unwrap_or_else(|| Base::Register(address_register(context, current)));
    let index = index.map(|(value, shift)| Index { register: address_register(context, value), shift });
    Amode { base, index, displacement }
}

fn is_general(context: &Context<'_>, bitcast: IrInst) -> bool {
    !context.value_type(context.arg(bitcast, 0)).is_float() && !context.data(bitcast).ty.is_float()
}

/// `displacement` plus a constant value, if it still fits.
fn add_constant(context: &Context<'_>, value: Value, displacement: i32) -> Option<i32> {
    i32::try_from(context.int_constant(value)?.checked_add(i64::from(displacement))?).ok()
}

/// `value` as (index, shift, displacement), if it is a shift or product that an addressing mode can do.
fn scaled_index(context: &Context<'_>, value: Value) -> Option<(Value, u8, i32)> {
    let inst = context.producer(value)?;
    let constant = context.int_constant(*context.data(inst).args.get(1)?)?;
    let shift = match (context.data(inst).opcode, constant) {
        (Opcode::Ishl, 0..=3) => constant as u8,
        (Opcode::Imul, 2) => 1,
        (Opcode::Imul, 4) => 2,
        (Opcode::Imul, 8) => 3,
        _ => return None,
    };
    let scaled = context.arg(inst, 0);
    // (x + c) << s is (x << s) + (c << s).
    if let Some(sum) = context.producer(scaled).filter(|&sum| context.data(sum).opcode == Opcode::Iadd) {
        if let Some(constant) = context.int_constant(context.arg(sum, 1)) {
            if let Some(displacement) = constant.checked_mul(1 << shift).and_then(|product| i32::try_from(product).ok()) {
                return Some((context.arg(sum, 0), shift, displacement));
            }
        }
    }
    Some((scaled, shift, 0))
}

/// The register of a part of an address: a zero extension is nothing where the upper half is zero anyway.
fn address_register(context: &mut Context<'_>, value: Value) -> Reg {
    if let Some(inst) = context.producer(value).filter(|&inst| context.data(inst).opcode == Opcode::Zext) {
        let narrow = context.arg(inst, 0);
        if is_zero_extended(context.function, narrow) && context.int_constant(narrow).is_none() {
            return reg(context, narrow);
        }
    }
    reg(context, value)
}

/// Whether the instruction that computes this 32-bit value also clears the upper half of its register. True of all 32-bit
/// operations; not of copies from wider values, parameters and results of calls.
pub(crate) fn is_zero_extended(function: &Function, value: Value) -> bool {
    use Opcode::*;
    if function.value_type(value) != Type::I32 {
        return false;
    }
    let Some(inst) = function.def_inst(value) else { return false };
    !matches!(function.insts[inst].opcode, Trunc | Bitcast | Call | CallIndirect | AtomicCompareExchange | Cell)
}

/// The condition code of an integer comparison.
pub(crate) fn int_cond(compare: IntCompare) -> Cond {
    match compare {
        IntCompare::Eq => Cond::E,
        IntCompare::Ne => Cond::Ne,
        IntCompare::Slt => Cond::L,
        IntCompare::Sle => Cond::Le,
        IntCompare::Sgt => Cond::G,
        IntCompare::Sge => Cond::Ge,
        IntCompare::Ult => Cond::B,
        IntCompare::Ule => Cond::Be,
        IntCompare::Ugt => Cond::A,
        IntCompare::Uge => Cond::Ae,
    }
}

/// Emits what sets the flags for `value` not being 0, and says which.
pub(crate) fn condition(context: &mut Context<'_>, value: Value) -> Test {
    let mut negate = false;
    let mut value = value;
    loop {
        let Some(inst) = context.producer(value) else { break };
        match context.data(inst).aux {
            Aux::IntCompare(compare) => {
                let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
                // A condition compared with zero is itself or its opposite.
                if let (IntCompare::Eq | IntCompare::Ne, Some(0)) = (compare, context.int_constant(b)) {
                    let is_condition = context
                        .producer(a)
                        .is_some_and(|inner| matches!(context.data(inner).opcode, Opcode::Icmp | Opcode::Fcmp));
                    if is_condition {
                        negate ^= compare == IntCompare::Eq;
                        value = a;
                        continue;
                    }
                }
                let compare = if negate { compare.negate() } else { compare };
                return Test::If(int_cond(emit_compare(context, compare, a, b)));
            }
            Aux::FloatCompare(compare) => {
                let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
                let compare = if negate { compare.negate() } else { compare };
                return emit_float_compare(context, compare, a, b);
            }
            _ => break,
        }
    }
    let compare = match context.producer(value) {
        Some(inst) if context.data(inst).opcode == Opcode::Iand => {
            let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
            emit_test(context, a, b);
            IntCompare::Ne
        }
        _ => {
            let size = size_of(context.value_type(value));
            let lhs = reg(context, value);
            context.emit(Inst::Compare { op: CompareOp::Cmp, size, lhs, rhs: Source::Imm(0) });
            IntCompare::Ne
        }
    };
    Test::If(int_cond(if negate { compare.negate() } else { compare }))
}

/// Emits the comparison and returns the condition to look for, which is swapped if the operands are.
pub(crate) fn emit_compare(context: &mut Context<'_>, compare: IntCompare, a: Value, b: Value) -> IntCompare {
    if context.int_constant(a).is_some() && context.int_constant(b).is_none() {
        return emit_compare(context, compare.swap(), b, a);
    }
    let size = size_of(context.value_type(a));
    let op = CompareOp::Cmp;
    if let Some(constant) = immediate(context, b) {
        if constant == 0 {
            if let Some(and) = context.producer(a).filter(|&inst| context.data(inst).opcode == Opcode::Iand) {
                let (x, y) = (context.arg(and, 0), context.arg(and, 1));
                emit_test(context, x, y);
                return compare;
            }
        }
        if let Some((memory, size)) = comparable_load(context, compare, a, constant) {
            context.emit(Inst::CompareMemory { op, size, memory, rhs: Source::Imm(constant) });
            return compare;
        }
        let lhs = reg(context, a);
        context.emit(Inst::Compare { op, size, lhs, rhs: Source::Imm(constant) });
        return compare;
    }
    if let Some(memory) = full_load(context, a) {
        let rhs = Source::Reg(reg(context, b));
        context.emit(Inst::CompareMemory { op, size, memory, rhs });
        return compare;
    }
    let lhs = reg(context, a);
    let rhs = source(context, b);
    context.emit(Inst::Compare { op, size, lhs, rhs });
    compare
}

/// Folds the load of `value` into a comparison with `constant`, at the width of the access where that comes to the same.
fn comparable_load(context: &mut Context<'_>, compare: IntCompare, value: Value, constant: i32) -> Option<(Memory, Size)> {
    use IntCompare::*;
    let load = context.foldable_load(value)?;
    let Aux::Memory(memory) = context.data(load).aux else { return None };
    let size = match memory.access {
        Access::Full(ty) if !ty.is_float() && ty != Type::V128 => size_of(ty),
        Access::U8 if (0..256).contains(&constant) && matches!(compare, Eq | Ne | Ult | Ule | Ugt | Uge) => Size::S8,
        Access::I8 if (-128..128).contains(&constant) && matches!(compare, Eq | Ne | Slt | Sle | Sgt | Sge) => Size::S8,
        // Only immediates of one byte: the prefix that changes an immediate's length stalls decoders.
        Access::U16 if (0..128).contains(&constant) && matches!(compare, Eq | Ne | Ult | Ule | Ugt | Uge) => Size::S16,
        Access::I16 if (-128..128).contains(&constant) && matches!(compare, Eq | Ne | Slt | Sle | Sgt | Sge) => Size::S16,
        _ => return None,
    };
    Some((fold_load(context, load), size))
}

/// Emits `test a, b`.
fn emit_test(context: &mut Context<'_>, a: Value, b: Value) {
    let size = size_of(context.value_type(a));
    let op = CompareOp::Test;
    let (a, b) = if context.int_constant(a).is_some() { (b, a) } else { (a, b) };
    if let Some(constant) = immediate(context, b) {
        if let Some(memory) = full_load(context, a) {
            return context.emit(Inst::CompareMemory { op, size, memory, rhs: Source::Imm(constant) });
        }
    }
    let lhs = reg(context, a);
    let rhs = source(context, b);
    context.emit(Inst::Compare { op, size, lhs, rhs });
}

/// Emits the comparison of floats; unordered operands set the flags as "below" and "equal" at once.
pub(crate) fn emit_float_compare(context: &mut Context<'_>, compare: FloatCompare, a: Value, b: Value) -> Test {
    use FloatCompare::*;
    let (swap, test) = match compare {
        Oeq => (false, Test::OrderedEqual),
        Une => (false, Test::UnorderedNotEqual),
        Ogt => (false, Test::If(Cond::A)),
        Oge => (false, Test::If(Cond::Ae)),
        Olt => (true, Test::If(Cond::A)),
        Ole => (true, Test::If(Cond::Ae)),
        Ult => (false, Test::If(Cond::B)),
        Ule => (false, Test::If(Cond::Be)),
        Ugt => (true, Test::If(Cond::B)),
        Uge => (true, Test::If(Cond::Be)),
        Ueq => (false, Test::If(Cond::E)),
        One => (false, Test::If(Cond::Ne)),
    };
    let (a, b) = if swap { (b, a) } else { (a, b) };
    let ty = context.value_type(a);
    let lhs = reg(context, a);
    let rhs = float::operand(context, b);
    context.emit(Inst::CompareFloat { ty, lhs, rhs });
    test
}

/// Emits a register-to-register extension.
pub(crate) fn emit_extend(context: &mut Context<'_>, kind: Extension, dst: Reg, src: Reg) {
    context.emit(Inst::Extend { kind, dst, src });
}

/// Emits a one-operand operation.
pub(crate) fn emit_unary(context: &mut Context<'_>, op: UnaryOp, size: Size, dst: Reg, src: Reg) {
    context.emit(Inst::Unary { op, size, dst, src });
}
