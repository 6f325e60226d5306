//! Integers: arithmetic, logic, shifts, widths, comparison as a value.

use super::{
    Context, FEATURE_BMI1, FEATURE_BMI2, FEATURE_LZCNT, FEATURE_POPCNT, Lowering, address, emit_compare, emit_extend, emit_unary,
    immediate, int_cond, is_zero_extended, reg, reg_or_memory, result, size_of, source, temp,
};
use crate::family::Family;
use crate::family::instructions::{
    AluOp, Amode, Base, BitOp, Cond, Extension, Index, Inst, RegMem, ShiftOp, Size, Source, Test, UnaryOp,
};
use crate::family::registers::Reg;
use ir::entity::{Inst as IrInst, Value};
use ir::instruction::{Aux, IntCompare, Opcode, TrapCode};
use ir::types::{Access, Type};

pub(super) fn lower<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst) {
    use Opcode::*;
    let data = context.data(inst);
    let (opcode, ty) = (data.opcode, data.ty);
    let size = size_of::<F>(ty);
    match opcode {
        Iconst => {
            let Aux::Int(value) = context.data(inst).aux else { return };
            let dst = result(context, inst);
            context.emit(Inst::Constant { size, dst, value });
        }
        Iadd => add(lowering, context, inst, size),
        Isub => subtract(lowering, context, inst, size),
        Iand => binary(lowering, context, inst, AluOp::And, size, true),
        Ior => binary(lowering, context, inst, AluOp::Or, size, true),
        Ixor => binary(lowering, context, inst, AluOp::Xor, size, true),
        Imul => multiply(lowering, context, inst, size),
        SmulHigh | UmulHigh => {
            let (high, low) = (result(context, inst), temp(context, ty));
            wide_product(context, inst, size, opcode == SmulHigh, high, low);
        }
        Sdiv | Udiv | Srem | Urem => divide(lowering, context, inst, size),
        Ishl => shift(lowering, context, inst, ShiftOp::Shl, size),
        Sshr => shift(lowering, context, inst, ShiftOp::Sar, size),
        Ushr => shift(lowering, context, inst, ShiftOp::Shr, size),
        Rotl => shift(lowering, context, inst, ShiftOp::Rol, size),
        Ineg | Inot => {
            let src = reg(context, context.arg(inst, 0));
            let dst = result(context, inst);
            emit_unary(context, if opcode == Ineg { UnaryOp::Neg } else { UnaryOp::Not }, size, dst, src);
        }
        Clz | Ctz | Popcnt => bit_count(lowering, context, inst, size),
        Bswap => {
            let src = reg(context, context.arg(inst, 0));
            let dst = result(context, inst);
            context.emit(Inst::ByteSwap { size, dst, src });
        }
        SaddOverflow | UaddOverflow | SsubOverflow | UsubOverflow | SmulOverflow | UmulOverflow => {
            overflow(lowering, context, inst, opcode, size);
        }
        Icmp => {
            let Aux::IntCompare(compare) = context.data(inst).aux else { return };
            let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
            let cond = int_cond(emit_compare(lowering, context, compare, a, b));
            let dst = result(context, inst);
            context.emit(Inst::SetCondition { cond, dst });
        }
        _ => convert(lowering, context, inst, opcode, ty),
    }
}

/// Puts what can be an immediate or memory on the right.
fn ordered(context: &Context<'_>, inst: IrInst) -> (Value, Value) {
    let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
    let movable = |value: Value| context.int_constant(value).is_some() || context.foldable_load(value).is_some();
    let swap = if movable(a) != movable(b) { movable(a) } else { context.is_single_use(b) && !context.is_single_use(a) };
    if swap && context.int_constant(b).is_none() { (b, a) } else { (a, b) }
}

fn binary<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst, op: AluOp, size: Size, commutes: bool) {
    let (a, b) = if commutes { ordered(context, inst) } else { (context.arg(inst, 0), context.arg(inst, 1)) };
    let dst = result(context, inst);
    // Masks that are extensions need no immediate and no copy.
    if op == AluOp::And {
        let kind = match context.int_constant(b) {
            Some(0xff) => Some(Extension::Unsigned8),
            Some(0xffff) => Some(Extension::Unsigned16),
            Some(0xffff_ffff) if size == Size::S64 => Some(Extension::Unsigned32),
            _ => None,
        };
        if let Some(kind) = kind {
            let src = reg(context, a);
            return emit_extend(context, kind, dst, src);
        }
    }
    let lhs = reg(context, a);
    let rhs = source(lowering, context, b);
    context.emit(Inst::Alu { op, size, dst, lhs, rhs });
}

/// Addition: `add` where the left side ends here, else `lea`, which saves the copy and adds up to three parts.
fn add<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst, size: Size) {
    let (a, b) = ordered(context, inst);
    let dst = result(context, inst);
    for (sum, condition) in [(a, b), (b, a)] {
        if carry(lowering, context, AluOp::Adc, size, dst, sum, condition) {
            return;
        }
    }
    let folds_load = context.foldable_load(b).is_some();
    if !folds_load {
        let sum = context.function.result(inst);
        let mode = sum_address(lowering, context, sum);
        let simple = mode.index.is_none_or(|index| index.shift == 0) && (mode.index.is_none() || mode.displacement == 0);
        let in_place = simple && context.is_single_use(a) && matches!(mode.base, Base::Register(_));
        if !in_place {
            return context.emit(Inst::Lea { size, dst, address: mode });
        }
        if let (Base::Register(lhs), None) = (mode.base, mode.index) {
            return context.emit(Inst::Alu { op: AluOp::Add, size, dst, lhs, rhs: Source::Imm(mode.displacement) });
        }
    }
    let lhs = reg(context, a);
    let rhs = source(lowering, context, b);
    context.emit(Inst::Alu { op: AluOp::Add, size, dst, lhs, rhs });
}

/// `dst` = `value` plus (`Adc`) or minus (`Sbb`) `condition`, if that is an unsigned comparison whose answer the carry flag gives: the high
/// half of a sum or difference of two words, for one.
fn carry<F: Family>(
    lowering: &Lowering<'_, F>,
    context: &mut Context<'_>,
    op: AluOp,
    size: Size,
    dst: Reg,
    value: Value,
    condition: Value,
) -> bool {
    // What is in a register anyway is added from there.
    let Some(compare) = context.producer(condition).filter(|_| !context.is_used(condition)) else { return false };
    let (x, y) = match context.data(compare).aux {
        Aux::IntCompare(IntCompare::Ult) => (context.arg(compare, 0), context.arg(compare, 1)),
        Aux::IntCompare(IntCompare::Ugt) => (context.arg(compare, 1), context.arg(compare, 0)),
        _ => return false,
    };
    // A constant would change sides.
    if context.int_constant(x).is_some() {
        return false;
    }
    let lhs = reg(context, value);
    emit_compare(lowering, context, IntCompare::Ult, x, y);
    context.emit(Inst::Alu { op, size, dst, lhs, rhs: Source::Imm(0) });
    true
}

/// The sum that `value` is as an addressing mode.
fn sum_address<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, value: Value) -> Amode {
    address(lowering, context, value, 0)
}

fn subtract<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst, size: Size) {
    let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
    let dst = result(context, inst);
    if let Some(constant) = immediate(context, b).filter(|&constant| constant != i32::MIN) {
        if !context.is_single_use(a) {
            let base = reg(context, a);
            return context.emit(Inst::Lea { size, dst, address: Amode::register(base, -constant) });
        }
    }
    if carry(lowering, context, AluOp::Sbb, size, dst, a, b) {
        return;
    }
    if context.int_constant(a) == Some(0) {
        let src = reg(context, b);
        return emit_unary(context, UnaryOp::Neg, size, dst, src);
    }
    let lhs = reg(context, a);
    let rhs = source(lowering, context, b);
    context.emit(Inst::Alu { op: AluOp::Sub, size, dst, lhs, rhs });
}

fn multiply<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst, size: Size) {
    let (a, b) = ordered(context, inst);
    let dst = result(context, inst);
    match immediate(context, b) {
        Some(constant @ (3 | 5 | 9)) => {
            let register = reg(context, a);
            let shift = (constant - 1).trailing_zeros() as u8;
            let address = Amode { base: Base::Register(register), index: Some(Index { register, shift }), displacement: 0 };
            context.emit(Inst::Lea { size, dst, address });
        }
        Some(immediate) => {
            let lhs = reg_or_memory(lowering, context, a);
            context.emit(Inst::MultiplyImmediate { size, dst, lhs, immediate });
        }
        None => {
            let lhs = reg(context, a);
            let rhs = reg_or_memory(lowering, context, b);
            context.emit(Inst::Multiply { size, dst, lhs, rhs });
        }
    }
}

fn wide_product(context: &mut Context<'_>, inst: IrInst, size: Size, signed: bool, high: Reg, low: Reg) {
    let lhs = reg(context, context.arg(inst, 0));
    let rhs = reg(context, context.arg(inst, 1));
    context.emit(Inst::MultiplyWide { size, signed, high, low, lhs, rhs });
}

fn divide<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst, size: Size) {
    let opcode = context.data(inst).opcode;
    let ty = context.data(inst).ty;
    let signed = matches!(opcode, Opcode::Sdiv | Opcode::Srem);
    let (dividend, divisor) = (context.arg(inst, 0), context.arg(inst, 1));
    let known_divisor = context.int_constant(divisor);
    let minimum = if size == Size::S64 { i64::MIN } else { i64::from(i32::MIN) };
    let check_overflow = signed
        && known_divisor.is_none_or(|divisor| divisor == -1)
        && context.int_constant(dividend).is_none_or(|dividend| dividend == minimum);
    if check_overflow {
        lowering.note_raise();
    }
    let check_zero = known_divisor.is_none_or(|divisor| divisor == 0);
    let lhs = reg(context, dividend);
    let rhs = reg(context, divisor);
    let (dst, other) = (result(context, inst), temp(context, ty));
    let (quotient, remainder) = if matches!(opcode, Opcode::Sdiv | Opcode::Udiv) { (dst, other) } else { (other, dst) };
    context.emit(Inst::Divide { size, signed, quotient, remainder, lhs, rhs, check_overflow, check_zero });
}

fn shift<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst, op: ShiftOp, size: Size) {
    let (value, amount) = (context.arg(inst, 0), context.arg(inst, 1));
    let dst = result(context, inst);
    let src = reg(context, value);
    if let Some(amount) = context.int_constant(amount) {
        let amount = amount as u8 & if size == Size::S64 { 63 } else { 31 };
        return match amount {
            0 => context.emit(Inst::Move { ty: context.data(inst).ty, dst, src }),
            1 if op == ShiftOp::Shl && !context.is_single_use(value) => {
                let index = Some(Index { register: src, shift: 0 });
                context.emit(Inst::Lea { size, dst, address: Amode { base: Base::Register(src), index, displacement: 0 } });
            }
            amount => context.emit(Inst::ShiftImmediate { op, size, dst, src, amount }),
        };
    }
    let amount = reg(context, amount);
    if lowering.feature(FEATURE_BMI2) && op != ShiftOp::Rol {
        context.emit(Inst::ShiftExtended { op, size, dst, src, amount });
    } else {
        context.emit(Inst::Shift { op, size, dst, src, amount });
    }
}

fn bit_count<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst, size: Size) {
    let ty = context.data(inst).ty;
    let opcode = context.data(inst).opcode;
    let src = reg(context, context.arg(inst, 0));
    let dst = result(context, inst);
    let bits: i32 = if size == Size::S64 { 64 } else { 32 };
    let direct = match opcode {
        Opcode::Clz => (BitOp::Lzcnt, FEATURE_LZCNT),
        Opcode::Ctz => (BitOp::Tzcnt, FEATURE_BMI1),
        _ => (BitOp::Popcnt, FEATURE_POPCNT),
    };
    if lowering.feature(direct.1) {
        return context.emit(Inst::BitCount { op: direct.0, size, dst, src });
    }
    let (found, fallback) = (temp(context, ty), temp(context, ty));
    match opcode {
        Opcode::Ctz => {
            context.emit(Inst::Constant { size, dst: fallback, value: i64::from(bits) });
            context.emit(Inst::BitCount { op: BitOp::Bsf, size, dst: found, src });
            context.emit(Inst::ConditionalMove { cond: Cond::E, size, dst, if_false: found, if_true: fallback });
        }
        Opcode::Clz => {
            // bits - 1 - position; the position stands as -1 for zero.
            let (position, negated) = (temp(context, ty), temp(context, ty));
            context.emit(Inst::Constant { size, dst: fallback, value: -1 });
            context.emit(Inst::BitCount { op: BitOp::Bsr, size, dst: found, src });
            context.emit(Inst::ConditionalMove { cond: Cond::E, size, dst: position, if_false: found, if_true: fallback });
            context.emit(Inst::Unary { op: UnaryOp::Neg, size, dst: negated, src: position });
            context.emit(Inst::Alu { op: AluOp::Add, size, dst, lhs: negated, rhs: Source::Imm(bits - 1) });
        }
        _ => count_ones::<F>(context, ty, dst, src),
    }
}

/// Sums of neighbouring bits, pairs and nibbles, then of all bytes by a product.
fn count_ones<F: Family>(context: &mut Context<'_>, ty: Type, dst: Reg, src: Reg) {
    let size = size_of::<F>(ty);
    let shift = |context: &mut Context<'_>, src: Reg, amount: u8| {
        let dst = temp(context, ty);
        context.emit(Inst::ShiftImmediate { op: ShiftOp::Shr, size, dst, src, amount });
        dst
    };
    let alu = |context: &mut Context<'_>, op: AluOp, lhs: Reg, rhs: Reg| {
        let dst = temp(context, ty);
        context.emit(Inst::Alu { op, size, dst, lhs, rhs: Source::Reg(rhs) });
        dst
    };
    let mask = |context: &mut Context<'_>, byte: u8| {
        let dst = temp(context, ty);
        context.emit(Inst::Constant { size, dst, value: i64::from_le_bytes([byte; 8]) });
        dst
    };
    let fives = mask(context, 0x55);
    let half = shift(context, src, 1);
    let odd = alu(context, AluOp::And, half, fives);
    let pairs = alu(context, AluOp::Sub, src, odd);
    let threes = mask(context, 0x33);
    let upper = shift(context, pairs, 2);
    let upper = alu(context, AluOp::And, upper, threes);
    let lower = alu(context, AluOp::And, pairs, threes);
    let nibbles = alu(context, AluOp::Add, lower, upper);
    let upper = shift(context, nibbles, 4);
    let sum = alu(context, AluOp::Add, nibbles, upper);
    let fifteens = mask(context, 0x0f);
    let bytes = alu(context, AluOp::And, sum, fifteens);
    let ones = mask(context, 0x01);
    let product = temp(context, ty);
    context.emit(Inst::Multiply { size, dst: product, lhs: bytes, rhs: RegMem::Reg(ones) });
    let amount = if size == Size::S64 { 56 } else { 24 };
    context.emit(Inst::ShiftImmediate { op: ShiftOp::Shr, size, dst, src: product, amount });
}

/// Arithmetic that raises; the flags of the operation itself tell.
fn overflow<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst, opcode: Opcode, size: Size) {
    use Opcode::*;
    let cond = if matches!(opcode, UaddOverflow | UsubOverflow) { Cond::B } else { Cond::O };
    match opcode {
        SaddOverflow | UaddOverflow => binary(lowering, context, inst, AluOp::Add, size, true),
        SsubOverflow | UsubOverflow => binary(lowering, context, inst, AluOp::Sub, size, false),
        SmulOverflow => {
            let (a, b) = ordered(context, inst);
            let dst = result(context, inst);
            if let Some(immediate) = immediate(context, b) {
                let lhs = reg_or_memory(lowering, context, a);
                context.emit(Inst::MultiplyImmediate { size, dst, lhs, immediate });
            } else {
                let lhs = reg(context, a);
                let rhs = reg_or_memory(lowering, context, b);
                context.emit(Inst::Multiply { size, dst, lhs, rhs });
            }
        }
        _ => {
            let low = result(context, inst);
            let high = temp(context, context.data(inst).ty);
            wide_product(context, inst, size, false, high, low);
        }
    }
    lowering.note_raise();
    context.emit(Inst::TrapIf { test: Test::If(cond), code: TrapCode::Overflow });
}

fn convert<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst, opcode: Opcode, ty: Type) {
    let arg = context.arg(inst, 0);
    let dst = result(context, inst);
    let widens = context.value_type(arg).bytes(F::POINTER_BYTES) < ty.bytes(F::POINTER_BYTES);
    if opcode == Opcode::Sext && widens {
        if let Some(load) = context.foldable_load(arg) {
            if let Aux::Memory(memory) = context.data(load).aux {
                if matches!(memory.access, Access::I8 | Access::I16 | Access::Full(Type::I32)) {
                    let operand = super::fold_load(lowering, context, load);
                    return context.emit(Inst::Load { access: memory.access, extend_to_64: true, dst, memory: operand });
                }
            }
        }
    }
    let src = reg(context, arg);
    let kind = match opcode {
        Opcode::Sext8 => Extension::Signed8,
        Opcode::Sext16 => Extension::Signed16,
        Opcode::Zext8 => Extension::Unsigned8,
        Opcode::Zext16 => Extension::Unsigned16,
        Opcode::Sext if widens => Extension::Signed32,
        Opcode::Zext if widens && !is_zero_extended(context.function, arg) => Extension::Unsigned32,
        // A copy of the whole register: widths are equal, bits are dropped or already clear.
        _ => return context.emit(Inst::Move { ty: if widens { Type::I64 } else { ty }, dst, src }),
    };
    emit_extend(context, kind, dst, src);
}
