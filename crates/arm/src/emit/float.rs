//! Instructions on float registers. d15 is free within the sequence of one instruction.

use super::{AL, Emitter, immediate};
use crate::encoding::{
    Condition, Convert, DataOp, FloatImmediate, FloatSize, FloatUnaryOp, Operand2, Shift, compare, constant, data,
    flags_from_float, float_binary, float_compare, float_compare_zero, float_constant, float_convert, float_unary, load_double,
    mov, move_core_pair_to_double, move_core_to_single, move_double_to_core_pair, move_single_to_core, ubfx,
};
use crate::instructions::Inst;
use crate::registers::{FLOAT_SCRATCH, IP, LR};
use ir::types::Type;

/// The integer side of conversions: the lower half of the scratch register.
const INTEGER: u8 = 2 * FLOAT_SCRATCH.number();
const F32: FloatSize = FloatSize::F32;
const F64: FloatSize = FloatSize::F64;

impl Emitter<'_> {
    /// Copies a float register.
    pub(super) fn move_float(&mut self, ty: Type, to: u8, from: u8) {
        let size = if ty == Type::F32 { F32 } else { F64 };
        self.put(float_unary(AL, FloatUnaryOp::Vmov, size, size.register(to), size.register(from)));
    }

    /// Emits an instruction that works on floats.
    pub(super) fn float_inst(&mut self, inst: &Inst) {
        match inst {
            Inst::ConditionalMoveFloat { cond, size, dst, if_true, .. } => {
                let (dst, src) = (size.register(dst.number()), size.register(if_true.number()));
                self.put(float_unary(*cond, FloatUnaryOp::Vmov, *size, dst, src));
            }
            Inst::FloatConstant { size, dst, bits } => self.float_constant(*size, dst.number(), *bits),
            Inst::Float { op, size, dst, lhs, rhs } => {
                let [dst, lhs, rhs] = [dst, lhs, rhs].map(|register| size.register(register.number()));
                self.put(float_binary(AL, *op, *size, dst, lhs, rhs));
            }
            Inst::FloatUnary { op, size, dst, src } => {
                let [dst, src] = [dst, src].map(|register| size.register(register.number()));
                self.put(float_unary(AL, *op, *size, dst, src));
            }
            Inst::FloatConvert { size, dst, src } => {
                let (convert, from) = if *size == F64 { (Convert::F32ToF64, F32) } else { (Convert::F64ToF32, F64) };
                self.put(float_convert(AL, convert, size.register(dst.number()), from.register(src.number())));
            }
            Inst::IntToFloat { signed, size, dst, src } => {
                let convert = if *signed { Convert::SignedTo(*size) } else { Convert::UnsignedTo(*size) };
                self.put(move_core_to_single(AL, INTEGER, src.number()));
                self.put(float_convert(AL, convert, size.register(dst.number()), INTEGER));
            }
            Inst::FloatToInt { size, dst, src, limit } => {
                let [src, limit] = [src, limit].map(|register| size.register(register.number()));
                self.put(float_compare(AL, *size, false, src, limit));
                self.put(flags_from_float(AL));
                self.put(float_convert(AL, Convert::ToSigned(*size), INTEGER, src));
                self.put(move_single_to_core(AL, dst.number(), INTEGER));
                // Not less: too large, or NaN.
                self.put(mov(Condition::Pl, dst.number(), immediate(i32::MIN as u32)));
            }
            Inst::FloatToLowWord { size, dst, src, temps } => {
                self.float_to_low_word(*size, dst.number(), src.number(), temps.map(|temp| temp.number()));
            }
            Inst::CompareFloat { size, lhs, rhs, unordered_equal } => {
                let lhs = size.register(lhs.number());
                self.put(match rhs {
                    Some(rhs) => float_compare(AL, *size, false, lhs, size.register(rhs.number())),
                    None => float_compare_zero(AL, *size, false, lhs),
                });
                self.put(flags_from_float(AL));
                if *unordered_equal {
                    self.put(compare(Condition::Vs, DataOp::Cmp, IP.number(), Operand2::Register(IP.number())));
                }
            }
            Inst::MoveToFloat { dst, src } => self.put(move_core_to_single(AL, F32.register(dst.number()), src.number())),
            Inst::MoveFromFloat { dst, src } => self.put(move_single_to_core(AL, dst.number(), F32.register(src.number()))),
            Inst::MoveToDouble { dst, low, high } => {
                self.put(move_core_pair_to_double(AL, dst.number(), low.number(), high.number()));
            }
            Inst::MoveFromDouble { low, high, src } => {
                self.put(move_double_to_core_pair(AL, low.number(), high.number(), src.number()));
            }
            Inst::PackSingles { dst, lower, upper } => {
                let [dst, lower, upper] = [dst, lower, upper].map(|register| F32.register(register.number()));
                self.put(float_unary(AL, FloatUnaryOp::Vmov, F32, dst, lower));
                self.put(float_unary(AL, FloatUnaryOp::Vmov, F32, dst + 1, upper));
            }
            Inst::UnpackSingle { upper, dst, src } => {
                let [dst, src] = [dst, src].map(|register| F32.register(register.number()));
                self.put(float_unary(AL, FloatUnaryOp::Vmov, F32, dst, src + u8::from(*upper)));
            }
            _ => debug_assert!(false, "not an instruction on floats"),
        }
    }

    fn float_constant(&mut self, size: FloatSize, dst: u8, bits: u64) {
        let small = match size {
            F32 => FloatImmediate::from_f32(bits as u32),
            F64 => FloatImmediate::from_f64(bits),
        };
        let ip = IP.number();
        match (small, size) {
            (Some(small), _) => self.put(float_constant(AL, size, size.register(dst), small)),
            (None, F32) => {
                self.put_all(constant(AL, ip, bits as u32));
                self.put(move_core_to_single(AL, size.register(dst), ip));
            }
            (None, F64) if bits == 0 => {
                self.put_all(constant(AL, ip, 0));
                self.put(move_core_pair_to_double(AL, dst, ip, ip));
            }
            (None, F64) => load_double(&mut self.buffer, dst, bits),
        }
    }

    /// The low half of the conversion to a signed 64-bit integer, whose minimum stands for what is out of range.
    ///
    /// Between 0 and 2^32 that is the unsigned conversion. Else the mantissa is shifted in two words by what the exponent says.
    fn float_to_low_word(&mut self, size: FloatSize, dst: u8, src: u8, [high, other]: [u8; 2]) {
        /// Exponent of a double whose mantissa is a whole number as it stands.
        const WHOLE: [u32; 2] = [0x400, 0x33];
        /// Shift to the left from which on the value is 2^63 or more.
        const TOO_LARGE: u32 = 11;
        /// Shift to the right from which on nothing is left.
        const TOO_SMALL: u32 = 53;
        let (shift, mantissa) = (IP.number(), LR.number());
        let alu = |cond: Condition, op: DataOp, to: u8, first: u8, second: Operand2| data(cond, op, false, to, first, second);
        let by = |register: u8, shift: Shift, amount: u8| Operand2::ShiftedBy(register, shift, amount);
        let [zero, sign, done] = [(); 3].map(|()| self.buffer.new_label());

        self.put(float_convert(AL, Convert::ToUnsigned(size), INTEGER, size.register(src)));
        self.put(move_single_to_core(AL, dst, INTEGER));
        self.put(alu(AL, DataOp::Sub, shift, dst, immediate(1)));
        self.put(compare(AL, DataOp::Cmn, shift, immediate(2)));
        self.branch(Condition::Lo, done);

        let double = match size {
            F32 => {
                let scratch = FLOAT_SCRATCH.number();
                self.put(float_convert(AL, Convert::F32ToF64, scratch, size.register(src)));
                scratch
            }
            F64 => src,
        };
        self.put(move_double_to_core_pair(AL, dst, high, double));
        self.put(ubfx(AL, shift, high, 20, 11));
        for part in WHOLE {
            self.put(alu(AL, DataOp::Sub, shift, shift, immediate(part)));
        }
        self.put(compare(AL, DataOp::Cmp, shift, immediate(TOO_LARGE)));
        self.branch(Condition::Ge, zero);
        self.put(compare(AL, DataOp::Cmn, shift, immediate(TOO_SMALL)));
        self.branch(Condition::Le, zero);
        self.put(ubfx(AL, mantissa, high, 0, 20));
        self.put(alu(AL, DataOp::Orr, mantissa, mantissa, immediate(1 << 20)));
        self.put(compare(AL, DataOp::Cmp, shift, immediate(0)));
        self.put(mov(Condition::Ge, dst, by(dst, Shift::Lsl, shift)));
        self.branch(Condition::Ge, sign);
        // To the right by n: of the words shifted by n, 32 - n and n - 32, those shifted by 32 and more, or less than 0, vanish.
        self.put(alu(AL, DataOp::Rsb, shift, shift, immediate(0)));
        self.put(mov(AL, dst, by(dst, Shift::Lsr, shift)));
        self.put(alu(AL, DataOp::Rsb, other, shift, immediate(32)));
        self.put(alu(AL, DataOp::Orr, dst, dst, by(mantissa, Shift::Lsl, other)));
        self.put(alu(AL, DataOp::Sub, shift, shift, immediate(32)));
        self.put(alu(AL, DataOp::Orr, dst, dst, by(mantissa, Shift::Lsr, shift)));
        self.buffer.bind(sign);
        self.put(compare(AL, DataOp::Cmp, high, immediate(0)));
        self.put(alu(Condition::Lt, DataOp::Rsb, dst, dst, immediate(0)));
        self.branch(AL, done);
        self.buffer.bind(zero);
        self.put_all(constant(AL, dst, 0));
        self.buffer.bind(done);
    }
}
