//! Floats: arithmetic, comparison as a value, conversions, bit casts.

use super::{Context, emit_float_compare, float_size, producer, reg, result, temp};
use crate::encoding::{FloatOp, FloatSize, FloatUnaryOp};
use crate::instructions::Inst;
use crate::registers::Reg;
use ir::entity::{Inst as IrInst, Value};
use ir::instruction::{Aux, Opcode};
use ir::types::Type;

/// Whether `value` is the constant positive zero, with which comparisons have a form of their own.
pub(super) fn is_zero(context: &Context<'_>, value: Value) -> bool {
    producer(context, value).is_some_and(|inst| {
        let data = context.data(inst);
        data.opcode == Opcode::Fconst && data.aux == Aux::Int(0)
    })
}

pub(super) fn lower(context: &mut Context<'_>, inst: IrInst) {
    let data = context.data(inst);
    let (opcode, size) = (data.opcode, float_size(data.ty));
    match opcode {
        Opcode::Fconst => {
            let Aux::Int(bits) = data.aux else { return };
            let bits = if size == FloatSize::F32 { u64::from(bits as u32) } else { bits as u64 };
            let dst = result(context, inst);
            context.emit(Inst::FloatConstant { size, dst, bits });
        }
        Opcode::Fadd => binary(context, inst, FloatOp::Vadd),
        Opcode::Fmul => binary(context, inst, FloatOp::Vmul),
        Opcode::Fsub => binary(context, inst, FloatOp::Vsub),
        Opcode::Fdiv => binary(context, inst, FloatOp::Vdiv),
        Opcode::Fneg => unary(context, inst, FloatUnaryOp::Vneg),
        Opcode::Fabs => unary(context, inst, FloatUnaryOp::Vabs),
        Opcode::Fsqrt => unary(context, inst, FloatUnaryOp::Vsqrt),
        Opcode::Fcmp => {
            let Aux::FloatCompare(compare) = data.aux else { return };
            let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
            let dst = result(context, inst);
            let cond = emit_float_compare(context, compare, a, b);
            context.emit(Inst::SetCondition { cond, dst });
        }
        Opcode::Bitcast => bitcast(context, inst),
        Opcode::Fpromote | Opcode::Fdemote => {
            let (src, dst) = operand(context, inst);
            context.emit(Inst::FloatConvert { size, dst, src });
        }
        Opcode::SintToFloat | Opcode::UintToFloat => {
            let (src, dst) = operand(context, inst);
            context.emit(Inst::IntToFloat { signed: opcode == Opcode::SintToFloat, size, dst, src });
        }
        Opcode::FloatToSint => float_to_sint(context, inst),
        _ => {
            let size = float_size(context.value_type(context.arg(inst, 0)));
            let (src, dst) = operand(context, inst);
            let temps = [(); 2].map(|()| temp(context, Type::I32));
            context.emit(Inst::FloatToLowWord { size, dst, src, temps });
        }
    }
}

/// The registers of the one argument and of the result.
fn operand(context: &mut Context<'_>, inst: IrInst) -> (Reg, Reg) {
    let src = reg(context, context.arg(inst, 0));
    (src, result(context, inst))
}

fn unary(context: &mut Context<'_>, inst: IrInst, op: FloatUnaryOp) {
    let size = float_size(context.data(inst).ty);
    let (src, dst) = operand(context, inst);
    context.emit(Inst::FloatUnary { op, size, dst, src });
}

fn binary(context: &mut Context<'_>, inst: IrInst, op: FloatOp) {
    let size = float_size(context.data(inst).ty);
    let lhs = reg(context, context.arg(inst, 0));
    let rhs = reg(context, context.arg(inst, 1));
    let dst = result(context, inst);
    context.emit(Inst::Float { op, size, dst, lhs, rhs });
}

fn bitcast(context: &mut Context<'_>, inst: IrInst) {
    let ty = context.data(inst).ty;
    let from = context.value_type(context.arg(inst, 0));
    let (src, dst) = operand(context, inst);
    context.emit(match (from.is_float(), ty.is_float()) {
        (false, true) => Inst::MoveToFloat { dst, src },
        (true, false) => Inst::MoveFromFloat { dst, src },
        _ => Inst::Move { ty, dst, src },
    });
}

/// The machine saturates and gives 0 of NaN; what is not below 2^31 must give the minimum.
fn float_to_sint(context: &mut Context<'_>, inst: IrInst) {
    const TWO_TO_31_F32: u64 = 0x4f00_0000;
    const TWO_TO_31_F64: u64 = 0x41e0_0000_0000_0000;
    let from = context.value_type(context.arg(inst, 0));
    let size = float_size(from);
    let limit = temp(context, from);
    let (src, dst) = operand(context, inst);
    let bits = if size == FloatSize::F32 { TWO_TO_31_F32 } else { TWO_TO_31_F64 };
    context.emit(Inst::FloatConstant { size, dst: limit, bits });
    context.emit(Inst::FloatToInt { size, dst, src, limit });
}
