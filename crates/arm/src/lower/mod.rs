//! From the IR to instructions: which opcode goes to which group, and what all groups share: operands, addresses, conditions.

mod control;
mod float;
mod integer;
mod memory;

use crate::encoding::{Condition, DataOp, FloatSize, ModifiedImmediate, Shift};
use crate::instructions::{Amode, Base, Index, Inst, Memory, Source};
use crate::registers::Reg;
use ir::Function;
use ir::entity::{Inst as IrInst, Value};
use ir::instruction::{Aux, FloatCompare, IntCompare, MemoryFlags, Opcode};
use ir::mach::lower::{LowerBackend, LowerContext};
use ir::mach::vcode::MachBlock;
use ir::mach::{CodegenError, CodegenOptions};
use ir::types::{Access, Type};
use std::cell::Cell;

/// What lowering works with.
pub(crate) type Context<'f> = LowerContext<'f, Inst>;

/// Lowers one function.
pub struct Lowering<'a> {
    pub(crate) options: &'a CodegenOptions,
    /// Bytes of the argument area so far.
    pub outgoing: Cell<u32>,
    /// Whether the stack pointer varies.
    pub dynamic_stack: Cell<bool>,
}

impl<'a> Lowering<'a> {
    /// The lowering of a function.
    pub fn new(options: &'a CodegenOptions) -> Lowering<'a> {
        Lowering { options, outgoing: Cell::new(0), dynamic_stack: Cell::new(false) }
    }
}

impl LowerBackend for Lowering<'_> {
    type Inst = Inst;

    fn lower(&self, context: &mut Context<'_>, inst: IrInst) -> Result<(), CodegenError> {
        use Opcode::*;
        let data = context.data(inst);
        let wide = |ty: Type| matches!(ty, Type::I64 | Type::V128);
        if wide(data.ty) || data.args.iter().any(|&arg| wide(context.value_type(arg))) {
            let message = format!("{} of a type that the machine does not have", data.opcode.name());
            return Err(CodegenError { message });
        }
        match data.opcode {
            Iconst | Iadd | Isub | Imul | SmulHigh | UmulHigh | Sdiv | Udiv | Srem | Urem | Iand | Ior | Ixor | Ishl | Sshr
            | Ushr | Rotl | Ineg | Inot | Clz | Ctz | Popcnt | Bswap | SaddOverflow | UaddOverflow | SsubOverflow
            | UsubOverflow | SmulOverflow | UmulOverflow | Icmp | Sext8 | Sext16 | Zext8 | Zext16 | Sext | Zext | Trunc => {
                integer::lower(self, context, inst)?;
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
            | TryAllocate
            | Fence
            | NullCheck => memory::lower(self, context, inst),
            Select | BoundsCheck | TrapIf | Call | CallIndirect => control::lower(self, context, inst)?,
            Cell | StoreRef | NewObject | NewArray | Jump | Brif | BrTable | Return | TailCall | TailCallIndirect | Trap
            | Unreachable | EndFinally | EndFilter => {
                let message = format!("{} is not expected in lowering", data.opcode.name());
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

/// `value`, or what it is a copy of: general registers are all of one width.
pub(crate) fn original(function: &Function, value: Value) -> Value {
    let mut value = function.resolve(value);
    while let Some(inst) = function.def_inst(value) {
        let data = &function.insts[inst];
        if !matches!(data.opcode, Opcode::Sext | Opcode::Zext | Opcode::Trunc | Opcode::Bitcast) {
            break;
        }
        let source = function.resolve(data.args[0]);
        if data.ty.is_float() || function.value_type(source).is_float() {
            break;
        }
        value = source;
    }
    value
}

/// The constant that a value is.
pub(crate) fn constant(context: &Context<'_>, value: Value) -> Option<u32> {
    context.int_constant(original(context.function, value)).map(|constant| constant as u32)
}

/// The instruction that makes `value`, if a consumer may do its work again.
pub(crate) fn producer(context: &Context<'_>, value: Value) -> Option<IrInst> {
    context.producer(original(context.function, value))
}

/// Whether `value` has this one use only, and what it is a copy of likewise.
pub(crate) fn is_single_use(context: &Context<'_>, value: Value) -> bool {
    context.is_single_use(value) && context.is_single_use(original(context.function, value))
}

/// The register of a value.
pub(crate) fn reg(context: &mut Context<'_>, value: Value) -> Reg {
    let value = original(context.function, value);
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

/// The size of a float type.
pub(crate) fn float_size(ty: Type) -> FloatSize {
    if ty == Type::F32 { FloatSize::F32 } else { FloatSize::F64 }
}

/// Whether a constant fits into a data-processing instruction.
pub(crate) fn is_immediate(value: u32) -> bool {
    ModifiedImmediate::new(value).is_some()
}

/// `value` as a shift of another value by a constant of 1 to 31 bits.
fn as_shift(context: &Context<'_>, value: Value) -> Option<(Value, Shift, u8)> {
    let inst = producer(context, value)?;
    let data = context.data(inst);
    let shift = match data.opcode {
        Opcode::Ishl => Shift::Lsl,
        Opcode::Sshr => Shift::Asr,
        Opcode::Ushr => Shift::Lsr,
        Opcode::Rotl => Shift::Ror,
        Opcode::Imul => {
            let factor = constant(context, context.arg(inst, 1)).filter(|factor| factor.is_power_of_two() && *factor > 1)?;
            return Some((context.arg(inst, 0), Shift::Lsl, factor.trailing_zeros() as u8));
        }
        _ => return None,
    };
    let amount = constant(context, context.arg(inst, 1))? as u8 & 31;
    let amount = if shift == Shift::Ror { (32 - amount) & 31 } else { amount };
    (amount != 0).then(|| (context.arg(inst, 0), shift, amount))
}

/// The flexible second operand: an immediate, a shifted register or a register.
pub(crate) fn source(context: &mut Context<'_>, value: Value) -> Source {
    match constant(context, value) {
        Some(constant) if is_immediate(constant) => Source::Immediate(constant),
        Some(_) => Source::Register(reg(context, value)),
        None => register_source(context, value),
    }
}

/// The same but for constants.
pub(crate) fn register_source(context: &mut Context<'_>, value: Value) -> Source {
    match as_shift(context, value) {
        Some((shifted, shift, amount)) if constant(context, shifted).is_none() => {
            Source::Shifted(reg(context, shifted), shift, amount)
        }
        _ => Source::Register(reg(context, value)),
    }
}

/// What a kind of load or store can add to a base register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// A constant within 4095, or an index with a shift.
    Wide,
    /// A constant within 255, or an index.
    Short,
    /// A constant within 1020.
    Float,
}

impl Reach {
    pub(crate) fn of(access: Access) -> Reach {
        match access {
            Access::Full(ty) if ty.is_float() => Reach::Float,
            Access::Full(_) | Access::U8 => Reach::Wide,
            Access::I8 | Access::I16 | Access::U16 => Reach::Short,
        }
    }
    /// Stores of signed bytes are those of unsigned ones.
    pub(crate) fn of_store(access: Access) -> Reach {
        if access == Access::I8 { Reach::Wide } else { Reach::of(access) }
    }
    /// The largest constant.
    pub(crate) fn limit(self) -> i32 {
        match self {
            Reach::Wide => 4095,
            Reach::Short => 255,
            Reach::Float => 1020,
        }
    }
    fn spans(self, displacement: i32) -> bool {
        displacement.unsigned_abs() <= self.limit() as u32 && (self != Reach::Float || displacement % 4 == 0)
    }
}

/// The memory operand of a load or store.
pub(crate) fn memory_operand(context: &mut Context<'_>, inst: IrInst, reach: Reach) -> Memory {
    let address_value = context.arg(inst, 0);
    let (offset, flags) = match context.data(inst).aux {
        Aux::Memory(memory) => (memory.offset, memory.flags),
        _ => (0, MemoryFlags::empty()),
    };
    Memory { address: address(context, address_value, offset, reach), faults: !flags.contains(MemoryFlags::NO_TRAP) }
}

/// The addressing mode of `value` + `offset`, with as much of its computation folded in as fits.
pub(crate) fn address(context: &mut Context<'_>, value: Value, offset: i32, reach: Reach) -> Amode {
    let mut displacement = offset;
    let mut current = original(context.function, value);
    // Follows the base downwards; every step leaves an equal address.
    while let Some(inst) = context.producer(current) {
        let data = context.data(inst);
        let next = match (data.opcode, &data.aux) {
            (Opcode::Iadd, _) => {
                let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
                let sum = |constant: Option<u32>| Some(displacement.wrapping_add(constant? as i32));
                match (sum(constant(context, b)), sum(constant(context, a))) {
                    (Some(sum), _) if reach.spans(sum) => (sum, a),
                    (_, Some(sum)) if reach.spans(sum) => (sum, b),
                    _ if displacement == 0 && reach != Reach::Float => match indexed(context, a, b, reach) {
                        Some(address) => return address,
                        None => break,
                    },
                    _ => break,
                }
            }
            (Opcode::Isub, _) => match constant(context, context.arg(inst, 1)) {
                Some(constant) if reach.spans(displacement.wrapping_sub(constant as i32)) => {
                    (displacement.wrapping_sub(constant as i32), context.arg(inst, 0))
                }
                _ => break,
            },
            (Opcode::StackAddr, &Aux::Slot(slot, offset)) => {
                return Amode::new(Base::Slot(slot), displacement.wrapping_add(offset));
            }
            (Opcode::Thread, _) => return Amode::new(Base::Thread, displacement),
            (Opcode::FrameAddr, _) => return Amode::new(Base::Frame, displacement),
            _ => break,
        };
        (displacement, current) = (next.0, original(context.function, next.1));
    }
    Amode::new(Base::Register(reg(context, current)), displacement)
}

/// a + b with one of them as an index.
fn indexed(context: &mut Context<'_>, a: Value, b: Value, reach: Reach) -> Option<Amode> {
    if constant(context, a).is_some() || constant(context, b).is_some() {
        return None;
    }
    let left_shift = |context: &Context<'_>, value: Value| match as_shift(context, value) {
        Some((index, Shift::Lsl, shift)) if reach == Reach::Wide && constant(context, index).is_none() => Some((index, shift)),
        _ => None,
    };
    let (base, (index, shift)) = match (left_shift(context, a), left_shift(context, b)) {
        (_, Some(scaled)) => (a, scaled),
        (Some(scaled), None) => (b, scaled),
        (None, None) => (a, (b, 0)),
    };
    let base = reg(context, base);
    let register = reg(context, index);
    Some(Amode { base: Base::Register(base), index: Some(Index { register, shift }), displacement: 0 })
}

/// The condition code of an integer comparison.
pub(crate) fn int_condition(compare: IntCompare) -> Condition {
    match compare {
        IntCompare::Eq => Condition::Eq,
        IntCompare::Ne => Condition::Ne,
        IntCompare::Slt => Condition::Lt,
        IntCompare::Sle => Condition::Le,
        IntCompare::Sgt => Condition::Gt,
        IntCompare::Sge => Condition::Ge,
        IntCompare::Ult => Condition::Lo,
        IntCompare::Ule => Condition::Ls,
        IntCompare::Ugt => Condition::Hi,
        IntCompare::Uge => Condition::Hs,
    }
}

/// Emits what sets the flags for `value` not being 0, and says which.
pub(crate) fn condition(context: &mut Context<'_>, value: Value) -> Condition {
    let mut negate = false;
    let mut value = value;
    while let Some(inst) = producer(context, value) {
        match context.data(inst).aux {
            Aux::IntCompare(compare) => {
                let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
                // A condition compared with zero is itself or its opposite.
                if let (IntCompare::Eq | IntCompare::Ne, Some(0)) = (compare, constant(context, b)) {
                    let is_condition = producer(context, a)
                        .is_some_and(|inner| matches!(context.data(inner).opcode, Opcode::Icmp | Opcode::Fcmp));
                    if is_condition {
                        negate ^= compare == IntCompare::Eq;
                        value = a;
                        continue;
                    }
                }
                let compare = if negate { compare.negate() } else { compare };
                return emit_compare(context, compare, a, b);
            }
            Aux::FloatCompare(compare) => {
                let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
                let compare = if negate { compare.negate() } else { compare };
                return emit_float_compare(context, compare, a, b);
            }
            _ => break,
        }
    }
    emit_compare_zero(context, value);
    if negate { Condition::Eq } else { Condition::Ne }
}

/// Emits a comparison of flags only.
pub(crate) fn emit_flags(context: &mut Context<'_>, op: DataOp, lhs: Reg, rhs: Source) {
    context.emit(Inst::Compare { op, only_if: Condition::Al, lhs, rhs });
}

/// Emits what sets the flags for being equal to 0 or not.
fn emit_compare_zero(context: &mut Context<'_>, value: Value) {
    let test = producer(context, value).and_then(|inst| match context.data(inst).opcode {
        Opcode::Iand => Some((DataOp::Tst, inst)),
        Opcode::Ixor => Some((DataOp::Teq, inst)),
        _ => None,
    });
    if let Some((op, inst)) = test {
        let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
        let (a, b) = if constant(context, a).is_some() { (b, a) } else { (a, b) };
        let lhs = reg(context, a);
        let rhs = source(context, b);
        return emit_flags(context, op, lhs, rhs);
    }
    let lhs = reg(context, value);
    emit_flags(context, DataOp::Cmp, lhs, Source::Immediate(0));
}

/// Emits the comparison and returns the condition to look for.
pub(crate) fn emit_compare(context: &mut Context<'_>, compare: IntCompare, a: Value, b: Value) -> Condition {
    if constant(context, a).is_some() && constant(context, b).is_none() {
        return emit_compare(context, compare.swap(), b, a);
    }
    let cond = int_condition(compare);
    if let Some(constant) = constant(context, b) {
        if constant == 0 && matches!(compare, IntCompare::Eq | IntCompare::Ne) {
            emit_compare_zero(context, a);
            return cond;
        }
        let lhs = reg(context, a);
        let negative = constant.wrapping_neg();
        if !is_immediate(constant) && is_immediate(negative) {
            // Adding -x sets the flags as subtracting x does, but for 0 and the minimum, which are immediates.
            emit_flags(context, DataOp::Cmn, lhs, Source::Immediate(negative));
            return cond;
        }
        let rhs = source(context, b);
        emit_flags(context, DataOp::Cmp, lhs, rhs);
        return cond;
    }
    // Only the right side can be shifted.
    if as_shift(context, a).is_some() && as_shift(context, b).is_none() {
        let lhs = reg(context, b);
        let rhs = register_source(context, a);
        emit_flags(context, DataOp::Cmp, lhs, rhs);
        return int_condition(compare.swap());
    }
    let lhs = reg(context, a);
    let rhs = register_source(context, b);
    emit_flags(context, DataOp::Cmp, lhs, rhs);
    cond
}

/// Emits the comparison of floats. Where one condition does not tell, unordered operands are made to look equal.
pub(crate) fn emit_float_compare(context: &mut Context<'_>, compare: FloatCompare, a: Value, b: Value) -> Condition {
    use FloatCompare::*;
    let (a, b, compare) =
        if float::is_zero(context, a) && !float::is_zero(context, b) { (b, a, compare.swap()) } else { (a, b, compare) };
    let (cond, unordered_equal) = match compare {
        Oeq => (Condition::Eq, false),
        Une => (Condition::Ne, false),
        Olt => (Condition::Mi, false),
        Ole => (Condition::Ls, false),
        Ogt => (Condition::Gt, false),
        Oge => (Condition::Ge, false),
        Ult => (Condition::Lt, false),
        Ule => (Condition::Le, false),
        Ugt => (Condition::Hi, false),
        Uge => (Condition::Pl, false),
        Ueq => (Condition::Eq, true),
        One => (Condition::Ne, true),
    };
    let size = float_size(context.value_type(a));
    let lhs = reg(context, a);
    let rhs = if float::is_zero(context, b) { None } else { Some(reg(context, b)) };
    context.emit(Inst::CompareFloat { size, lhs, rhs, unordered_equal });
    cond
}
