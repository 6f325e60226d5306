//! Lowering that 64 bits have forms of their own for: conversions between floats and unsigned integers.

use crate::Amd64;
use ir::entity::Inst as IrInst;
use ir::types::{Access, Type};
use x86::family::instructions::{Extension, Inst, RegMem, Size};
use x86::family::lower::float::pool;
use x86::family::lower::{Context, Lowering, is_zero_extended, reg, result, temp};

/// 2^63 as an `f64` and as an `f32`.
const TWO_TO_63: (u128, u128) = (0x43e0_0000_0000_0000, 0x5f00_0000);

/// Lowers `uint_to_float`.
pub fn uint_to_float(context: &mut Context<'_>, inst: IrInst) {
    let ty = context.data(inst).ty;
    let dst = result(context, inst);
    let arg = context.arg(inst, 0);
    let src = reg(context, arg);
    if context.value_type(arg) != Type::I32 {
        let (temp1, temp2) = (temp(context, Type::I64), temp(context, Type::I64));
        return context.emit(Inst::UintToFloat { ty, dst, src, temp1, temp2 });
    }
    // Every unsigned 32-bit integer is a signed 64-bit one.
    let wide = if is_zero_extended(context.function, arg) {
        src
    } else {
        let wide = temp(context, Type::I64);
        context.emit(Inst::Extend { kind: Extension::Unsigned32, dst: wide, src });
        wide
    };
    context.emit(Inst::IntToFloat { size: Size::S64, ty, dst, src: RegMem::Reg(wide) });
}

/// Lowers `float_to_uint`.
pub fn float_to_uint(lowering: &Lowering<'_, Amd64>, context: &mut Context<'_>, inst: IrInst) {
    let dst = result(context, inst);
    let arg = context.arg(inst, 0);
    let from = context.value_type(arg);
    let src = reg(context, arg);
    if context.data(inst).ty == Type::I32 {
        // The low half of the signed 64-bit conversion.
        return context.emit(Inst::FloatToInt { size: Size::S64, ty: from, dst, src });
    }
    let (wide, narrow) = TWO_TO_63;
    let memory = if from == Type::F64 { pool(lowering, context, 8, wide) } else { pool(lowering, context, 4, narrow) };
    let limit = temp(context, from);
    let rest = temp(context, from);
    context.emit(Inst::Load { access: Access::Full(from), extend_to_64: false, dst: limit, memory });
    context.emit(Inst::FloatToUint { ty: from, dst, src, limit, temp: rest });
}
