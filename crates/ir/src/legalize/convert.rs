//! Conversions between 64-bit integers and other types.

use super::{HelperArg, Legalizer, Pair};
use crate::entity::{Inst, Value};
use crate::instruction::{Aux, Instruction, Memory, Opcode};
use crate::types::Type;

/// 2^32 as the bits of an `f64`.
const TWO_TO_32: i64 = 0x41f0_0000_0000_0000;

impl Legalizer<'_> {
    /// Rewrites a conversion; false for other opcodes.
    pub(super) fn convert(&mut self, inst: Inst, instruction: &Instruction) -> bool {
        let Some(&arg) = instruction.args.first() else { return false };
        let ty = instruction.ty;
        match instruction.opcode {
            Opcode::Sext => {
                let low = self.low_word(arg);
                let high = self.shift(Opcode::Sshr, low, 31);
                self.define(inst, Pair { low, high });
            }
            Opcode::Zext => {
                let low = self.low_word(arg);
                let pair = self.zero_extended(low);
                self.define(inst, pair);
            }
            Opcode::Trunc => {
                let low = self.pair(arg).low;
                let low = if ty == Type::I32 { low } else { self.emit(Opcode::Sext, ty, &[low], Aux::None) };
                self.replace(inst, low);
            }
            Opcode::Bitcast if ty == Type::I64 => {
                let pair = self.bits_of_float(arg);
                self.define(inst, pair);
            }
            Opcode::Bitcast => {
                let pair = self.pair(arg);
                let float = self.float_of_bits(pair);
                self.replace(inst, float);
            }
            Opcode::SintToFloat | Opcode::UintToFloat => {
                let pair = self.pair(arg);
                let float = self.float_of_integer(pair, instruction.opcode, ty);
                self.replace(inst, float);
            }
            Opcode::FloatToSint | Opcode::FloatToUint => {
                let pair = self.integer_of_float(arg, instruction.opcode == Opcode::FloatToSint);
                self.define(inst, pair);
            }
            _ => return false,
        }
        true
    }

    /// `value`, an `i32` or `iptr`, as an `i32`.
    pub(super) fn low_word(&mut self, value: Value) -> Value {
        match self.function.value_type(value) {
            Type::Iptr => self.unary(Opcode::Trunc, value),
            _ => value,
        }
    }

    pub(super) fn bits_of_float(&mut self, float: Value) -> Pair {
        let address = self.transfer_address();
        self.append(Opcode::Store, Type::F64, &[address, float], Aux::Memory(Memory::frame(Type::F64)));
        let half = Memory::frame(Type::I32);
        let low = self.emit(Opcode::Load, Type::I32, &[address], Aux::Memory(half));
        let high = self.emit(Opcode::Load, Type::I32, &[address], Aux::Memory(half.at(4)));
        Pair { low, high }
    }

    fn float_of_bits(&mut self, bits: Pair) -> Value {
        let address = self.transfer_address();
        let half = Memory::frame(Type::I32);
        self.append(Opcode::Store, Type::I32, &[address, bits.low], Aux::Memory(half));
        self.append(Opcode::Store, Type::I32, &[address, bits.high], Aux::Memory(half.at(4)));
        self.emit(Opcode::Load, Type::F64, &[address], Aux::Memory(Memory::frame(Type::F64)))
    }

    /// An `f64` holds both halves exactly, so that only their sum is rounded; for an `f32` that would round twice.
    fn float_of_integer(&mut self, a: Pair, opcode: Opcode, ty: Type) -> Value {
        if ty == Type::F64 {
            let high = self.emit(opcode, ty, &[a.high], Aux::None);
            let low = self.emit(Opcode::UintToFloat, ty, &[a.low], Aux::None);
            let scale = self.emit(Opcode::Fconst, ty, &[], Aux::Int(TWO_TO_32));
            let scaled = self.emit(Opcode::Fmul, ty, &[high, scale], Aux::None);
            return self.emit(Opcode::Fadd, ty, &[scaled, low], Aux::None);
        }
        let (helper, name) = match opcode {
            Opcode::SintToFloat => (self.options.signed_to_f32, "signed_to_f32"),
            _ => (self.options.unsigned_to_f32, "unsigned_to_f32"),
        };
        self.call_helper(helper, name, &[HelperArg::Pair(a)], &[ty])[0]
    }

    fn integer_of_float(&mut self, float: Value, signed: bool) -> Pair {
        let wide = match self.function.value_type(float) {
            Type::F32 => self.emit(Opcode::Fpromote, Type::F64, &[float], Aux::None),
            _ => float,
        };
        let (helper, name) = match signed {
            true => (self.options.f64_to_signed, "f64_to_signed"),
            false => (self.options.f64_to_unsigned, "f64_to_unsigned"),
        };
        self.call_wide_helper(helper, name, &[HelperArg::One(wide)])
    }
}
