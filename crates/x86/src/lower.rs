//! Lowering that 32 bits need forms of their own for: conversions between floats and unsigned integers.

use crate::X86;
use crate::family::instructions::{AluOp, Inst, RegMem, Size, Source, XmmOp};
use crate::family::lower::float::pool;
use crate::family::lower::{Context, Lowering, reg, result, temp};
use ir::entity::Inst as IrInst;
use ir::types::Type;

/// Bits of 2^31 as an `f64`.
const TWO_TO_31: u128 = 0x41e0_0000_0000_0000;

/// By the signed conversion of value - 2^31, to which 2^31 is added: exact in an `f64`.
pub fn uint_to_float(lowering: &Lowering<'_, X86>, context: &mut Context<'_>, inst: IrInst) {
    let src = reg(context, context.arg(inst, 0));
    let ty = context.data(inst).ty;
    let dst = result(context, inst);
    let (flipped, signed) = (temp(context, Type::I32), temp(context, Type::F64));
    let exact = if ty == Type::F64 { dst } else { temp(context, Type::F64) };
    context.emit(Inst::Alu { op: AluOp::Xor, size: Size::S32, dst: flipped, lhs: src, rhs: Source::Imm(i32::MIN) });
    context.emit(Inst::IntToFloat { size: Size::S32, ty: Type::F64, dst: signed, src: RegMem::Reg(flipped) });
    let rhs = RegMem::Mem(pool(lowering, context, 8, TWO_TO_31));
    context.emit(Inst::Xmm { op: XmmOp::Add, ty: Type::F64, dst: exact, lhs: signed, rhs });
    if ty == Type::F32 {
        context.emit(Inst::FloatConvert { ty, dst, src: exact });
    }
}

/// The low half of the signed 64-bit conversion.
pub fn float_to_uint(lowering: &Lowering<'_, X86>, context: &mut Context<'_>, inst: IrInst) {
    let arg = context.arg(inst, 0);
    let ty = context.value_type(arg);
    let src = reg(context, arg);
    let dst = result(context, inst);
    let memory = lowering.scratch_memory(16);
    context.emit(Inst::FloatToUintX87 { ty, dst, src, memory });
}
