//! Floats: arithmetic, comparison as a value, conversions, bit casts.

use super::{Context, Lowering, emit_float_compare, reg, reg_or_memory, result, size_of, temp};
use crate::family::Family;
use crate::family::instructions::{AluOp, Amode, Base, Inst, Memory, RegMem, Size, Source, Test, XmmOp};
use crate::family::registers::Reg;
use ir::entity::{Inst as IrInst, Value};
use ir::instruction::{Aux, Opcode};
use ir::types::{Access, Type};

/// A constant in the pool as an operand.
pub fn pool<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, bytes: u8, value: u128) -> Memory {
    let base = lowering.data_base(context);
    Memory::safe(Amode::new(Base::Constant(bytes, value, base), 0))
}

/// The bits of a float constant.
fn float_constant(context: &Context<'_>, value: Value) -> Option<u64> {
    let inst = context.producer(value)?;
    match (context.data(inst).opcode, &context.data(inst).aux) {
        (Opcode::Fconst, &Aux::Int(bits)) => Some(bits as u64),
        _ => None,
    }
}

/// The bytes of a scalar and its bits cut to them.
fn scalar(ty: Type, bits: u64) -> (u8, u128) {
    if ty == Type::F32 { (4, u128::from(bits as u32)) } else { (8, u128::from(bits)) }
}

/// An operand that may be memory; constants are read from the pool.
pub(super) fn operand<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, value: Value) -> RegMem {
    match float_constant(context, value) {
        Some(bits) if bits != 0 => {
            let (bytes, bits) = scalar(context.value_type(value), bits);
            RegMem::Mem(pool(lowering, context, bytes, bits))
        }
        _ => reg_or_memory(lowering, context, value),
    }
}

pub(super) fn lower<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst) {
    let data = context.data(inst);
    let (opcode, ty) = (data.opcode, data.ty);
    let dst = result(context, inst);
    match opcode {
        Opcode::Fconst => {
            let Aux::Int(bits) = context.data(inst).aux else { return };
            match scalar(ty, bits as u64) {
                (_, 0) => context.emit(Inst::XmmZero { dst }),
                (bytes, bits) => {
                    let memory = pool(lowering, context, bytes, bits);
                    context.emit(Inst::Load { access: Access::Full(ty), extend_to_64: false, dst, memory });
                }
            }
        }
        Opcode::Fadd => binary(lowering, context, inst, XmmOp::Add, true),
        Opcode::Fmul => binary(lowering, context, inst, XmmOp::Mul, true),
        Opcode::Fsub => binary(lowering, context, inst, XmmOp::Sub, false),
        Opcode::Fdiv => binary(lowering, context, inst, XmmOp::Div, false),
        Opcode::Fneg | Opcode::Fabs => {
            let lhs = reg(context, context.arg(inst, 0));
            let (op, mask) = match (opcode, ty) {
                (Opcode::Fneg, Type::F32) => (XmmOp::Xor, 0x8000_0000),
                (Opcode::Fneg, _) => (XmmOp::Xor, 1 << 63),
                (_, Type::F32) => (XmmOp::And, 0x7fff_ffff),
                (_, _) => (XmmOp::And, (1 << 63) - 1),
            };
            let rhs = RegMem::Mem(pool(lowering, context, 16, mask));
            context.emit(Inst::Xmm { op, ty, dst, lhs, rhs });
        }
        Opcode::Fsqrt => {
            let src = reg(context, context.arg(inst, 0));
            context.emit(Inst::XmmUnary { op: XmmOp::Sqrt, ty, dst, src });
        }
        Opcode::Fcmp => compare(lowering, context, inst, dst),
        Opcode::Bitcast => bitcast::<F>(context, inst, dst),
        Opcode::Fpromote | Opcode::Fdemote => {
            let src = reg(context, context.arg(inst, 0));
            context.emit(Inst::FloatConvert { ty, dst, src });
        }
        Opcode::SintToFloat => {
            let arg = context.arg(inst, 0);
            let src = reg_or_memory(lowering, context, arg);
            let size = size_of::<F>(context.value_type(arg));
            context.emit(Inst::IntToFloat { size, ty, dst, src });
        }
        Opcode::FloatToSint => {
            let arg = context.arg(inst, 0);
            let src = reg(context, arg);
            let from = context.value_type(arg);
            context.emit(Inst::FloatToInt { size: size_of::<F>(ty), ty: from, dst, src });
        }
        _ => {}
    }
}

fn binary<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst, op: XmmOp, commutes: bool) {
    let ty = context.data(inst).ty;
    let (mut a, mut b) = (context.arg(inst, 0), context.arg(inst, 1));
    // Memory and constants can be on the right only.
    if commutes && (context.foldable_load(a).is_some() || float_constant(context, a).is_some()) {
        std::mem::swap(&mut a, &mut b);
    }
    let lhs = reg(context, a);
    let rhs = operand(lowering, context, b);
    let dst = result(context, inst);
    context.emit(Inst::Xmm { op, ty, dst, lhs, rhs });
}

/// A comparison as a number. What one flag does not tell is asked of `cmpss`, whose mask is cut to a bit.
fn compare<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst, dst: Reg) {
    let Aux::FloatCompare(compare) = context.data(inst).aux else { return };
    let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
    let op = match compare {
        ir::instruction::FloatCompare::Oeq => XmmOp::CompareEqual,
        ir::instruction::FloatCompare::Une => XmmOp::CompareNotEqual,
        compare => {
            if let Test::If(cond) = emit_float_compare(lowering, context, compare, a, b) {
                context.emit(Inst::SetCondition { cond, dst });
            }
            return;
        }
    };
    let ty = context.value_type(a);
    let lhs = reg(context, a);
    let rhs = operand(lowering, context, b);
    let mask = temp(context, ty);
    let bits = temp(context, Type::I32);
    context.emit(Inst::Xmm { op, ty, dst: mask, lhs, rhs });
    context.emit(Inst::MoveBits { to_xmm: false, size: Size::S32, dst: bits, src: mask });
    context.emit(Inst::Alu { op: AluOp::And, size: Size::S32, dst, lhs: bits, rhs: Source::Imm(1) });
}

fn bitcast<F: Family>(context: &mut Context<'_>, inst: IrInst, dst: Reg) {
    let arg = context.arg(inst, 0);
    let (from, to) = (context.value_type(arg), context.data(inst).ty);
    let src = reg(context, arg);
    if from.is_float() == to.is_float() {
        context.emit(Inst::Move { ty: to, dst, src });
    } else {
        context.emit(Inst::MoveBits { to_xmm: to.is_float(), size: size_of::<F>(to), dst, src });
    }
}
