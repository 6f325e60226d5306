//! Integers: arithmetic, logic, shifts, widths, comparison as a value.

use super::{
    Context, Lowering, constant, emit_compare, emit_flags, is_immediate, is_single_use, producer, reg, register_source, result,
    source, temp,
};
use crate::encoding::{Condition, DataOp, ExtendOp, ReverseOp, Shift};
use crate::instructions::{Inst, Source, UnaryOp};
use crate::registers::Reg;
use ir::entity::{Inst as IrInst, Value};
use ir::instruction::{Aux, IntCompare, Opcode, TrapCode};
use ir::mach::CodegenError;
use ir::types::Type;

pub(super) fn lower(lowering: &Lowering<'_>, context: &mut Context<'_>, inst: IrInst) -> Result<(), CodegenError> {
    use Opcode::*;
    let opcode = context.data(inst).opcode;
    match opcode {
        Iconst => {
            let Aux::Int(value) = context.data(inst).aux else { return Ok(()) };
            let dst = result(context, inst);
            context.emit(Inst::Constant { dst, value: value as u32 });
        }
        Iadd => add(context, inst),
        Isub => subtract(context, inst),
        Iand => and(context, inst),
        Ior => logic(context, inst, DataOp::Orr),
        Ixor => logic(context, inst, DataOp::Eor),
        Imul => multiply(context, inst),
        SmulHigh | UmulHigh => {
            let (high, low) = (result(context, inst), temp(context, Type::I32));
            wide_product(context, inst, opcode == SmulHigh, high, low);
        }
        Sdiv | Udiv | Srem | Urem => return divide(lowering, context, inst),
        Ishl => shift(context, inst, Shift::Lsl),
        Sshr => shift(context, inst, Shift::Asr),
        Ushr => shift(context, inst, Shift::Lsr),
        Rotl => rotate_left(context, inst),
        Ineg => {
            let lhs = reg(context, context.arg(inst, 0));
            let dst = result(context, inst);
            context.emit(Inst::Alu { op: DataOp::Rsb, set_flags: false, dst, lhs, rhs: Source::Immediate(0) });
        }
        Inot => {
            let src = register_source(context, context.arg(inst, 0));
            let dst = result(context, inst);
            context.emit(Inst::MoveSource { invert: true, dst, src });
        }
        Clz => unary(context, inst, UnaryOp::Clz),
        Bswap => unary(context, inst, UnaryOp::Reverse(ReverseOp::Rev)),
        Ctz => {
            let src = reg(context, context.arg(inst, 0));
            let reversed = temp(context, Type::I32);
            let dst = result(context, inst);
            context.emit(Inst::Unary { op: UnaryOp::Reverse(ReverseOp::Rbit), dst: reversed, src });
            context.emit(Inst::Unary { op: UnaryOp::Clz, dst, src: reversed });
        }
        Popcnt => count_ones(context, inst),
        SaddOverflow | UaddOverflow | SsubOverflow | UsubOverflow | SmulOverflow | UmulOverflow => {
            overflow(context, inst, opcode);
        }
        Icmp => compare(context, inst),
        Sext8 => unary(context, inst, UnaryOp::Extend(ExtendOp::Sxtb)),
        Sext16 => unary(context, inst, UnaryOp::Extend(ExtendOp::Sxth)),
        Zext8 => unary(context, inst, UnaryOp::Extend(ExtendOp::Uxtb)),
        Zext16 => unary(context, inst, UnaryOp::Extend(ExtendOp::Uxth)),
        // Between integers of one width: a copy.
        _ => {
            let ty = context.data(inst).ty;
            let src = reg(context, context.arg(inst, 0));
            let dst = result(context, inst);
            context.emit(Inst::Move { ty, dst, src });
        }
    }
    Ok(())
}

fn unary(context: &mut Context<'_>, inst: IrInst, op: UnaryOp) {
    let src = reg(context, context.arg(inst, 0));
    let dst = result(context, inst);
    context.emit(Inst::Unary { op, dst, src });
}

fn alu(context: &mut Context<'_>, op: DataOp, dst: Reg, lhs: Reg, rhs: Source) {
    context.emit(Inst::Alu { op, set_flags: false, dst, lhs, rhs });
}

/// Puts what can be an immediate or shifted on the right.
fn ordered(context: &Context<'_>, inst: IrInst) -> (Value, Value) {
    let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
    let rank = |value: Value| match (constant(context, value), super::as_shift(context, value)) {
        (Some(_), _) => 2,
        (None, Some(_)) => 1,
        (None, None) => 0,
    };
    if rank(a) > rank(b) { (b, a) } else { (a, b) }
}

/// The operands of the product that `value` is, if this is its only use.
fn as_product(context: &Context<'_>, value: Value) -> Option<(Value, Value)> {
    let inst = producer(context, value).filter(|&inst| context.data(inst).opcode == Opcode::Imul)?;
    let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
    let plain = constant(context, a).is_none() && constant(context, b).is_none();
    (plain && is_single_use(context, value)).then_some((a, b))
}

/// `dst = addend ± x × y`, if `product` is such a product.
fn multiply_add(context: &mut Context<'_>, subtract: bool, dst: Reg, addend: Value, product: Value) -> bool {
    let Some((a, b)) = as_product(context, product) else { return false };
    let (lhs, rhs, addend) = (reg(context, a), reg(context, b), reg(context, addend));
    context.emit(Inst::MultiplyAdd { subtract, dst, lhs, rhs, addend });
    true
}

/// Emits the addition of a constant, if one instruction can do it.
fn add_immediate(context: &mut Context<'_>, dst: Reg, lhs: Value, constant: u32) -> bool {
    let (op, immediate) = match (is_immediate(constant), is_immediate(constant.wrapping_neg())) {
        (true, _) => (DataOp::Add, constant),
        (false, true) => (DataOp::Sub, constant.wrapping_neg()),
        (false, false) => return false,
    };
    let lhs = reg(context, lhs);
    alu(context, op, dst, lhs, Source::Immediate(immediate));
    true
}

/// The operands of the unsigned "less than" that `value` is, if this is its only use: a carry or borrow.
fn as_unsigned_less(context: &Context<'_>, value: Value) -> Option<(Value, Value)> {
    let inst = producer(context, value).filter(|_| is_single_use(context, value))?;
    let is_less = context.data(inst).aux == Aux::IntCompare(IntCompare::Ult);
    is_less.then(|| (context.arg(inst, 0), context.arg(inst, 1)))
}

/// The operands of the `opcode` that `value` is, if this is its only use; else `value` and nothing.
fn operands_of(context: &Context<'_>, opcode: Opcode, value: Value) -> (Value, Option<Value>) {
    match producer(context, value).filter(|&inst| context.data(inst).opcode == opcode && is_single_use(context, value)) {
        Some(inst) => (context.arg(inst, 0), Some(context.arg(inst, 1))),
        None => (value, None),
    }
}

/// `dst = sum + carry`, if `carry` asks whether `x + y` is less than `x`: the high half of a long addition.
fn add_carry(context: &mut Context<'_>, dst: Reg, sum: Value, carry: Value) -> bool {
    let Some((low, x)) = as_unsigned_less(context, carry) else { return false };
    let Some(addition) = producer(context, low).filter(|&inst| context.data(inst).opcode == Opcode::Iadd) else { return false };
    let (p, q) = (context.arg(addition, 0), context.arg(addition, 1));
    let y = match (super::original(context.function, p), super::original(context.function, q)) {
        (first, second) if first == super::original(context.function, x) => second,
        (first, second) if second == super::original(context.function, x) => first,
        _ => return false,
    };
    let (x, y) = if constant(context, x).is_some() { (y, x) } else { (x, y) };
    let (a, b) = operands_of(context, Opcode::Iadd, sum);
    let (a, b) = if constant(context, a).is_some() { (b.unwrap_or(a), b.map(|_| a)) } else { (a, b) };
    let lhs = reg(context, a);
    let rhs = b.map_or(Source::Immediate(0), |b| source(context, b));
    let first = reg(context, x);
    match constant(context, y) {
        // Adding a constant carries where subtracting its opposite does not borrow.
        Some(negative) if !is_immediate(negative) && is_immediate(negative.wrapping_neg()) => {
            emit_flags(context, DataOp::Cmp, first, Source::Immediate(negative.wrapping_neg()));
        }
        _ => {
            let second = source(context, y);
            emit_flags(context, DataOp::Cmn, first, second);
        }
    }
    alu(context, DataOp::Adc, dst, lhs, rhs);
    true
}

/// `dst = difference - borrow`, if `borrow` is an unsigned comparison: the high half of a long subtraction.
fn subtract_borrow(context: &mut Context<'_>, dst: Reg, difference: Value, borrow: Value) -> bool {
    let Some((x, y)) = as_unsigned_less(context, borrow) else { return false };
    let (a, b) = operands_of(context, Opcode::Isub, difference);
    let lhs = reg(context, a);
    let rhs = b.map_or(Source::Immediate(0), |b| source(context, b));
    let first = reg(context, x);
    let second = source(context, y);
    emit_flags(context, DataOp::Cmp, first, second);
    alu(context, DataOp::Sbc, dst, lhs, rhs);
    true
}

fn add(context: &mut Context<'_>, inst: IrInst) {
    let (a, b) = ordered(context, inst);
    let dst = result(context, inst);
    if constant(context, b).is_some_and(|constant| add_immediate(context, dst, a, constant)) {
        return;
    }
    if add_carry(context, dst, a, b) || add_carry(context, dst, b, a) {
        return;
    }
    if multiply_add(context, false, dst, a, b) || multiply_add(context, false, dst, b, a) {
        return;
    }
    let lhs = reg(context, a);
    let rhs = source(context, b);
    alu(context, DataOp::Add, dst, lhs, rhs);
}

fn subtract(context: &mut Context<'_>, inst: IrInst) {
    let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
    let dst = result(context, inst);
    if constant(context, b).is_some_and(|constant| add_immediate(context, dst, a, constant.wrapping_neg())) {
        return;
    }
    if subtract_borrow(context, dst, a, b) || multiply_add(context, true, dst, a, b) {
        return;
    }
    // What is subtracted from an immediate or something shifted goes to the left.
    let left_is_flexible = match constant(context, a) {
        Some(constant) => is_immediate(constant),
        None => super::as_shift(context, a).is_some() && super::as_shift(context, b).is_none(),
    };
    if left_is_flexible {
        let lhs = reg(context, b);
        let rhs = source(context, a);
        return alu(context, DataOp::Rsb, dst, lhs, rhs);
    }
    let lhs = reg(context, a);
    let rhs = source(context, b);
    alu(context, DataOp::Sub, dst, lhs, rhs);
}

/// The operand of the complement that `value` is.
fn as_complement(context: &Context<'_>, value: Value) -> Option<Value> {
    let inst = producer(context, value)?;
    match context.data(inst).opcode {
        Opcode::Inot => Some(context.arg(inst, 0)),
        Opcode::Ixor if constant(context, context.arg(inst, 1)) == Some(u32::MAX) => Some(context.arg(inst, 0)),
        _ => None,
    }
}

fn and(context: &mut Context<'_>, inst: IrInst) {
    let (a, b) = ordered(context, inst);
    let dst = result(context, inst);
    if let Some(mask) = constant(context, b) {
        let src = reg(context, a);
        let low_bits = mask.trailing_ones() as u8;
        let inst = match mask {
            0xff => Inst::Unary { op: UnaryOp::Extend(ExtendOp::Uxtb), dst, src },
            0xffff => Inst::Unary { op: UnaryOp::Extend(ExtendOp::Uxth), dst, src },
            _ if is_immediate(mask) => {
                Inst::Alu { op: DataOp::And, set_flags: false, dst, lhs: src, rhs: Source::Immediate(mask) }
            }
            _ if is_immediate(!mask) => {
                Inst::Alu { op: DataOp::Bic, set_flags: false, dst, lhs: src, rhs: Source::Immediate(!mask) }
            }
            _ if mask.count_ones() == u32::from(low_bits) => Inst::LowBits { dst, src, width: low_bits },
            _ => Inst::Alu { op: DataOp::And, set_flags: false, dst, lhs: src, rhs: Source::Register(reg(context, b)) },
        };
        return context.emit(inst);
    }
    for (kept, cleared) in [(a, b), (b, a)] {
        if let Some(cleared) = as_complement(context, cleared) {
            let lhs = reg(context, kept);
            let rhs = source(context, cleared);
            return alu(context, DataOp::Bic, dst, lhs, rhs);
        }
    }
    let lhs = reg(context, a);
    let rhs = register_source(context, b);
    alu(context, DataOp::And, dst, lhs, rhs);
}

fn logic(context: &mut Context<'_>, inst: IrInst, op: DataOp) {
    let (a, b) = ordered(context, inst);
    let dst = result(context, inst);
    if op == DataOp::Eor && constant(context, b) == Some(u32::MAX) {
        let src = register_source(context, a);
        return context.emit(Inst::MoveSource { invert: true, dst, src });
    }
    let lhs = reg(context, a);
    let rhs = source(context, b);
    alu(context, op, dst, lhs, rhs);
}

fn multiply(context: &mut Context<'_>, inst: IrInst) {
    let (a, b) = ordered(context, inst);
    let dst = result(context, inst);
    if let Some(factor) = constant(context, b).filter(|&factor| factor > 1) {
        let src = reg(context, a);
        let amount = |power: u32| power.trailing_zeros() as u8;
        let shifted = |power: u32| Source::Shifted(src, Shift::Lsl, amount(power));
        if factor.is_power_of_two() {
            return context.emit(Inst::MoveSource { invert: false, dst, src: shifted(factor) });
        }
        if (factor - 1).is_power_of_two() {
            return alu(context, DataOp::Add, dst, src, shifted(factor - 1));
        }
        if factor.wrapping_add(1).is_power_of_two() {
            return alu(context, DataOp::Rsb, dst, src, shifted(factor + 1));
        }
    }
    let lhs = reg(context, a);
    let rhs = reg(context, b);
    context.emit(Inst::Multiply { dst, lhs, rhs });
}

fn wide_product(context: &mut Context<'_>, inst: IrInst, signed: bool, high: Reg, low: Reg) {
    let lhs = reg(context, context.arg(inst, 0));
    let rhs = reg(context, context.arg(inst, 1));
    context.emit(Inst::MultiplyWide { signed, high, low, lhs, rhs });
}

/// Division does not trap here, so both failures are asked for.
fn divide(lowering: &Lowering<'_>, context: &mut Context<'_>, inst: IrInst) -> Result<(), CodegenError> {
    if lowering.options.cpu_features & crate::FEATURE_DIVIDE == 0 {
        return Err(CodegenError { message: "division for a processor without it must be a call".to_string() });
    }
    let opcode = context.data(inst).opcode;
    let signed = matches!(opcode, Opcode::Sdiv | Opcode::Srem);
    let (dividend, divisor) = (context.arg(inst, 0), context.arg(inst, 1));
    let known_divisor = constant(context, divisor);
    let minimum = i32::MIN as u32;
    let (lhs, rhs) = (reg(context, dividend), reg(context, divisor));
    if known_divisor.is_none_or(|divisor| divisor == 0) {
        emit_flags(context, DataOp::Cmp, rhs, Source::Immediate(0));
        context.emit(Inst::TrapIf { cond: Condition::Eq, code: TrapCode::DivideByZero });
    }
    if signed
        && known_divisor.is_none_or(|divisor| divisor == u32::MAX)
        && constant(context, dividend).is_none_or(|dividend| dividend == minimum)
    {
        emit_flags(context, DataOp::Cmn, rhs, Source::Immediate(1));
        context.emit(Inst::Compare { op: DataOp::Cmp, only_if: Condition::Eq, lhs, rhs: Source::Immediate(minimum) });
        context.emit(Inst::TrapIf { cond: Condition::Eq, code: TrapCode::Overflow });
    }
    let dst = result(context, inst);
    if matches!(opcode, Opcode::Sdiv | Opcode::Udiv) {
        context.emit(Inst::Divide { signed, dst, lhs, rhs });
    } else {
        let quotient = temp(context, Type::I32);
        context.emit(Inst::Divide { signed, dst: quotient, lhs, rhs });
        context.emit(Inst::MultiplyAdd { subtract: true, dst, lhs: quotient, rhs, addend: lhs });
    }
    Ok(())
}

fn shift(context: &mut Context<'_>, inst: IrInst, shift: Shift) {
    let (value, amount) = (context.arg(inst, 0), context.arg(inst, 1));
    let dst = result(context, inst);
    let src = reg(context, value);
    if let Some(amount) = constant(context, amount) {
        return shift_by_constant(context, inst, dst, src, shift, amount as u8 & 31);
    }
    // The machine looks at 8 bits of the amount, of which 5 are to count. Often the mask is there already.
    let masked = producer(context, amount).is_some_and(|mask| {
        let data = context.data(mask);
        data.opcode == Opcode::Iand && constant(context, context.arg(mask, 1)).is_some_and(|mask| mask <= 31)
    });
    let amount = reg(context, amount);
    let amount = if masked {
        amount
    } else {
        let low = temp(context, Type::I32);
        alu(context, DataOp::And, low, amount, Source::Immediate(31));
        low
    };
    context.emit(Inst::Shift { shift, dst, src, amount });
}

fn shift_by_constant(context: &mut Context<'_>, inst: IrInst, dst: Reg, src: Reg, shift: Shift, amount: u8) {
    match amount {
        0 => context.emit(Inst::Move { ty: context.data(inst).ty, dst, src }),
        amount => context.emit(Inst::MoveSource { invert: false, dst, src: Source::Shifted(src, shift, amount) }),
    }
}

/// To the left is to the right by what is missing to 32. Of that amount only 5 bits count.
fn rotate_left(context: &mut Context<'_>, inst: IrInst) {
    let (value, amount) = (context.arg(inst, 0), context.arg(inst, 1));
    let dst = result(context, inst);
    let src = reg(context, value);
    if let Some(amount) = constant(context, amount) {
        return shift_by_constant(context, inst, dst, src, Shift::Ror, (32 - (amount as u8 & 31)) & 31);
    }
    let left = reg(context, amount);
    let right = temp(context, Type::I32);
    alu(context, DataOp::Rsb, right, left, Source::Immediate(0));
    context.emit(Inst::Shift { shift: Shift::Ror, dst, src, amount: right });
}

/// Sums of neighbouring bits, pairs and nibbles, then of all bytes by a product.
fn count_ones(context: &mut Context<'_>, inst: IrInst) {
    let src = reg(context, context.arg(inst, 0));
    let dst = result(context, inst);
    let mask = |context: &mut Context<'_>, byte: u8| {
        let dst = temp(context, Type::I32);
        context.emit(Inst::Constant { dst, value: u32::from_le_bytes([byte; 4]) });
        dst
    };
    let binary = |context: &mut Context<'_>, op: DataOp, lhs: Reg, rhs: Source| {
        let dst = temp(context, Type::I32);
        alu(context, op, dst, lhs, rhs);
        dst
    };
    let right = |register: Reg, amount: u8| Source::Shifted(register, Shift::Lsr, amount);
    let fives = mask(context, 0x55);
    let odd = binary(context, DataOp::And, fives, right(src, 1));
    let pairs = binary(context, DataOp::Sub, src, Source::Register(odd));
    let threes = mask(context, 0x33);
    let upper = binary(context, DataOp::And, threes, right(pairs, 2));
    let lower = binary(context, DataOp::And, pairs, Source::Register(threes));
    let nibbles = binary(context, DataOp::Add, lower, Source::Register(upper));
    let sum = binary(context, DataOp::Add, nibbles, right(nibbles, 4));
    let fifteens = mask(context, 0x0f);
    let bytes = binary(context, DataOp::And, sum, Source::Register(fifteens));
    let ones = mask(context, 0x01);
    let product = temp(context, Type::I32);
    context.emit(Inst::Multiply { dst: product, lhs: bytes, rhs: ones });
    context.emit(Inst::MoveSource { invert: false, dst, src: right(product, 24) });
}

/// Arithmetic that raises. Subtraction sets the carry where nothing was borrowed.
fn overflow(context: &mut Context<'_>, inst: IrInst, opcode: Opcode) {
    use Opcode::*;
    let dst = result(context, inst);
    let (op, cond) = match opcode {
        SaddOverflow => (DataOp::Add, Condition::Vs),
        UaddOverflow => (DataOp::Add, Condition::Hs),
        SsubOverflow => (DataOp::Sub, Condition::Vs),
        UsubOverflow => (DataOp::Sub, Condition::Lo),
        _ => {
            let signed = opcode == SmulOverflow;
            let high = temp(context, Type::I32);
            wide_product(context, inst, signed, high, dst);
            // The product fits if the high half holds nothing but copies of the sign, or nothing.
            let rhs = if signed { Source::Shifted(dst, Shift::Asr, 31) } else { Source::Immediate(0) };
            emit_flags(context, DataOp::Cmp, high, rhs);
            return context.emit(Inst::TrapIf { cond: Condition::Ne, code: TrapCode::Overflow });
        }
    };
    let (a, b) = if op == DataOp::Add { ordered(context, inst) } else { (context.arg(inst, 0), context.arg(inst, 1)) };
    let lhs = reg(context, a);
    let rhs = source(context, b);
    context.emit(Inst::Alu { op, set_flags: true, dst, lhs, rhs });
    context.emit(Inst::TrapIf { cond, code: TrapCode::Overflow });
}

fn compare(context: &mut Context<'_>, inst: IrInst) {
    let Aux::IntCompare(compare) = context.data(inst).aux else { return };
    let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
    let dst = result(context, inst);
    match (compare, constant(context, b)) {
        // Only 0 has 32 leading zeros.
        (IntCompare::Eq, Some(0)) if super::producer(context, a).is_none() => {
            let src = reg(context, a);
            let zeros = temp(context, Type::I32);
            context.emit(Inst::Unary { op: UnaryOp::Clz, dst: zeros, src });
            context.emit(Inst::MoveSource { invert: false, dst, src: Source::Shifted(zeros, Shift::Lsr, 5) });
        }
        // The sign.
        (IntCompare::Slt, Some(0)) => {
            let src = reg(context, a);
            context.emit(Inst::MoveSource { invert: false, dst, src: Source::Shifted(src, Shift::Lsr, 31) });
        }
        _ => {
            let cond = emit_compare(context, compare, a, b);
            context.emit(Inst::SetCondition { cond, dst });
        }
    }
}
