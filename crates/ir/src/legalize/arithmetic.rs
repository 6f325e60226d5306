//! Addition, subtraction, multiplication and division, wrapping and checked.

use super::{HelperArg, Legalizer, Pair};
use crate::entity::{Inst, Value};
use crate::instruction::{Aux, Instruction, IntCompare, Opcode, TrapCode};
use crate::types::Type;

const QUOTIENT_NAMES_32: [&str; 4] = ["div_i32", "div_u32", "rem_i32", "rem_u32"];
const QUOTIENT_NAMES_64: [&str; 4] = ["div_i64", "div_u64", "rem_i64", "rem_u64"];

impl Legalizer<'_> {
    /// The halves of the result of arithmetic or logic; `None` for other opcodes.
    pub(super) fn arithmetic(&mut self, instruction: &Instruction) -> Option<Pair> {
        let args = &instruction.args;
        let &first = args.first()?;
        let a = self.pair(first);
        let opcode = instruction.opcode;
        Some(match opcode {
            Opcode::Ineg => {
                let zero = self.pair_constant(0);
                self.subtract(zero, a)
            }
            Opcode::Inot | Opcode::Clz | Opcode::Ctz | Opcode::Popcnt | Opcode::Bswap => self.bit_operation(opcode, a),
            Opcode::Ishl | Opcode::Sshr | Opcode::Ushr | Opcode::Rotl => self.shift_pair(opcode, a, *args.get(1)?),
            _ => {
                let b = self.pair(*args.get(1)?);
                match opcode {
                    Opcode::Iadd => self.add(a, b),
                    Opcode::Isub => self.subtract(a, b),
                    Opcode::Imul => self.multiply(a, b),
                    Opcode::SmulHigh | Opcode::UmulHigh => self.high_product(a, b, opcode == Opcode::SmulHigh),
                    Opcode::Iand | Opcode::Ior | Opcode::Ixor => {
                        Pair { low: self.binary(opcode, a.low, b.low), high: self.binary(opcode, a.high, b.high) }
                    }
                    Opcode::SaddOverflow => self.add_signed(a, b),
                    Opcode::UaddOverflow => self.add_unsigned(a, b),
                    Opcode::SsubOverflow => self.subtract_signed(a, b),
                    Opcode::UsubOverflow => self.subtract_unsigned(a, b),
                    Opcode::SmulOverflow => self.multiply_signed(a, b),
                    Opcode::UmulOverflow => self.multiply_unsigned(a, b),
                    _ => return None,
                }
            }
        })
    }

    /// The low half of the sum and the carry out of it. The carry is a comparison of unsigned numbers, which back ends turn into an
    /// addition with carry.
    fn add_low(&mut self, a: Pair, b: Pair) -> (Value, Value) {
        let low = self.binary(Opcode::Iadd, a.low, b.low);
        // Either operand will do; a constant one needs no register.
        let operand = if self.known(b.low).is_some() { b.low } else { a.low };
        (low, self.icmp(IntCompare::Ult, low, operand))
    }

    pub(super) fn add(&mut self, a: Pair, b: Pair) -> Pair {
        let (low, carry) = self.add_low(a, b);
        let high = self.binary(Opcode::Iadd, a.high, b.high);
        Pair { low, high: self.binary(Opcode::Iadd, high, carry) }
    }

    pub(super) fn subtract(&mut self, a: Pair, b: Pair) -> Pair {
        let low = self.binary(Opcode::Isub, a.low, b.low);
        let borrow = self.icmp(IntCompare::Ult, a.low, b.low);
        let high = self.binary(Opcode::Isub, a.high, b.high);
        Pair { low, high: self.binary(Opcode::Isub, high, borrow) }
    }

    /// Raises if the top bit of both is set.
    fn trap_if_both_negative(&mut self, a: Value, b: Value) {
        let both = self.binary(Opcode::Iand, a, b);
        let zero = self.constant(0);
        let negative = self.icmp(IntCompare::Slt, both, zero);
        self.trap_if(negative, TrapCode::Overflow);
    }

    /// The sum overflows if its sign is neither operand's.
    fn add_signed(&mut self, a: Pair, b: Pair) -> Pair {
        let sum = self.add(a, b);
        let (from_a, from_b) = (self.binary(Opcode::Ixor, sum.high, a.high), self.binary(Opcode::Ixor, sum.high, b.high));
        self.trap_if_both_negative(from_a, from_b);
        sum
    }

    /// The difference overflows if the operands' signs differ and its sign is not the first one's.
    fn subtract_signed(&mut self, a: Pair, b: Pair) -> Pair {
        let difference = self.subtract(a, b);
        let operands = self.binary(Opcode::Ixor, a.high, b.high);
        let from_a = self.binary(Opcode::Ixor, a.high, difference.high);
        self.trap_if_both_negative(operands, from_a);
        difference
    }

    fn add_unsigned(&mut self, a: Pair, b: Pair) -> Pair {
        let (low, carry) = self.add_low(a, b);
        let partial = self.binary(Opcode::Iadd, a.high, b.high);
        let overflow = self.icmp(IntCompare::Ult, partial, a.high);
        self.trap_if(overflow, TrapCode::Overflow);
        let high = self.binary(Opcode::Iadd, partial, carry);
        let overflow = self.icmp(IntCompare::Ult, high, partial);
        self.trap_if(overflow, TrapCode::Overflow);
        Pair { low, high }
    }

    fn subtract_unsigned(&mut self, a: Pair, b: Pair) -> Pair {
        let low = self.binary(Opcode::Isub, a.low, b.low);
        let borrow = self.icmp(IntCompare::Ult, a.low, b.low);
        let overflow = self.icmp(IntCompare::Ult, a.high, b.high);
        self.trap_if(overflow, TrapCode::Overflow);
        let partial = self.binary(Opcode::Isub, a.high, b.high);
        let overflow = self.icmp(IntCompare::Ult, partial, borrow);
        self.trap_if(overflow, TrapCode::Overflow);
        Pair { low, high: self.binary(Opcode::Isub, partial, borrow) }
    }

    /// Whether the high half is the sign of the low one, by the way it was made.
    pub(super) fn is_sign_extended(&self, a: Pair) -> bool {
        if let (Some(low), Some(high)) = (self.known(a.low), self.known(a.high)) {
            return high == low >> 31;
        }
        let Some(inst) = self.function.def_inst(a.high) else { return false };
        let definition = &self.function.insts[inst];
        let is_sign = definition.opcode == Opcode::Sshr && self.is_known(definition.args[1], 31);
        is_sign && (a.high == a.low || definition.args[0] == a.low)
    }

    /// The product of two pairs, each of which is an extended `i32`: exact.
    fn extended_product(&mut self, a: Pair, b: Pair) -> Option<Pair> {
        let high = if self.is_known(a.high, 0) && self.is_known(b.high, 0) {
            Opcode::UmulHigh
        } else if self.is_sign_extended(a) && self.is_sign_extended(b) {
            Opcode::SmulHigh
        } else {
            return None;
        };
        Some(Pair { low: self.binary(Opcode::Imul, a.low, b.low), high: self.binary(high, a.low, b.low) })
    }

    fn multiply(&mut self, a: Pair, b: Pair) -> Pair {
        if let Some(product) = self.extended_product(a, b) {
            return product;
        }
        let low = self.binary(Opcode::Imul, a.low, b.low);
        let mut high = self.binary(Opcode::UmulHigh, a.low, b.low);
        for (x, y) in [(a.low, b.high), (a.high, b.low)] {
            if self.is_known(x, 0) || self.is_known(y, 0) {
                continue;
            }
            let cross = self.binary(Opcode::Imul, x, y);
            high = self.binary(Opcode::Iadd, high, cross);
        }
        Pair { low, high }
    }

    fn high_product(&mut self, a: Pair, b: Pair, signed: bool) -> Pair {
        let (helper, name) = match signed {
            true => (self.options.signed_high_product, "signed_high_product"),
            false => (self.options.unsigned_high_product, "unsigned_high_product"),
        };
        self.call_wide_helper(helper, name, &[HelperArg::Pair(a), HelperArg::Pair(b)])
    }

    /// Raises unless each half of `a` is `expected`.
    fn trap_unless_both(&mut self, a: Pair, expected: Value) {
        let (low, high) = (self.binary(Opcode::Ixor, a.low, expected), self.binary(Opcode::Ixor, a.high, expected));
        let different = self.binary(Opcode::Ior, low, high);
        self.trap_if_not_zero(different);
    }

    fn trap_if_not_zero(&mut self, value: Value) {
        let zero = self.constant(0);
        let overflow = self.icmp(IntCompare::Ne, value, zero);
        self.trap_if(overflow, TrapCode::Overflow);
    }

    fn multiply_signed(&mut self, a: Pair, b: Pair) -> Pair {
        if self.is_sign_extended(a) && self.is_sign_extended(b) {
            return self.multiply(a, b);
        }
        let product = self.multiply(a, b);
        let above = self.high_product(a, b, true);
        let sign = self.shift(Opcode::Sshr, product.high, 31);
        self.trap_unless_both(above, sign);
        product
    }

    fn multiply_unsigned(&mut self, a: Pair, b: Pair) -> Pair {
        if let (Some(0), Some(0)) = (self.known(a.high), self.known(b.high)) {
            return self.multiply(a, b);
        }
        let product = self.multiply(a, b);
        let above = self.high_product(a, b, false);
        let any = self.binary(Opcode::Ior, above.low, above.high);
        self.trap_if_not_zero(any);
        product
    }

    /// Division number `number` of 32 or 64 bits: the checks, then a helper.
    pub(super) fn divide(&mut self, inst: Inst, instruction: &Instruction, number: usize) {
        let args = &instruction.args;
        let signed = matches!(instruction.opcode, Opcode::Sdiv | Opcode::Srem);
        if instruction.ty == Type::I64 {
            let (a, b) = (self.pair(args[0]), self.pair(args[1]));
            self.check_divisor(a, b, signed);
            let (helper, name) = (self.options.divide_64[number], QUOTIENT_NAMES_64[number]);
            let quotient = self.call_wide_helper(helper, name, &[HelperArg::Pair(a), HelperArg::Pair(b)]);
            return self.define(inst, quotient);
        }
        let (a, b) = (self.low_word(args[0]), self.low_word(args[1]));
        self.check_narrow_divisor(a, b, signed);
        let (helper, name) = (self.options.divide_32[number], QUOTIENT_NAMES_32[number]);
        let quotient = self.call_helper(helper, name, &[HelperArg::One(a), HelperArg::One(b)], &[Type::I32])[0];
        let quotient = match instruction.ty {
            Type::I32 => quotient,
            ty => self.emit(Opcode::Sext, ty, &[quotient], Aux::None),
        };
        self.replace(inst, quotient);
    }

    /// Raises on 0, and where signed on the minimum by -1 (ECMA-335 III.3.31).
    fn check_divisor(&mut self, a: Pair, b: Pair, signed: bool) {
        let divisor = self.known(b.low).zip(self.known(b.high));
        let zero = self.constant(0);
        if divisor.is_none() || divisor == Some((0, 0)) {
            let any = self.binary(Opcode::Ior, b.low, b.high);
            let is_zero = self.icmp(IntCompare::Eq, any, zero);
            self.trap_if(is_zero, TrapCode::DivideByZero);
        }
        let may_be_minimum =
            self.known(a.high).is_none_or(|high| high == i32::MIN) && self.known(a.low).is_none_or(|low| low == 0);
        if signed && may_be_minimum && (divisor.is_none() || divisor == Some((-1, -1))) {
            let minimum = self.constant(i32::MIN);
            let high = self.binary(Opcode::Ixor, a.high, minimum);
            let dividend = self.binary(Opcode::Ior, a.low, high);
            let ones = self.binary(Opcode::Iand, b.low, b.high);
            let not_ones = self.unary(Opcode::Inot, ones);
            let any = self.binary(Opcode::Ior, dividend, not_ones);
            let overflows = self.icmp(IntCompare::Eq, any, zero);
            self.trap_if(overflows, TrapCode::Overflow);
        }
    }

    /// The same for 32 bits.
    fn check_narrow_divisor(&mut self, a: Value, b: Value, signed: bool) {
        let divisor = self.known(b);
        let zero = self.constant(0);
        if divisor.is_none_or(|divisor| divisor == 0) {
            let is_zero = self.icmp(IntCompare::Eq, b, zero);
            self.trap_if(is_zero, TrapCode::DivideByZero);
        }
        if signed && self.known(a).is_none_or(|a| a == i32::MIN) && divisor.is_none_or(|divisor| divisor == -1) {
            let minimum = self.constant(i32::MIN);
            let dividend = self.binary(Opcode::Ixor, a, minimum);
            let not_ones = self.unary(Opcode::Inot, b);
            let any = self.binary(Opcode::Ior, dividend, not_ones);
            let overflows = self.icmp(IntCompare::Eq, any, zero);
            self.trap_if(overflows, TrapCode::Overflow);
        }
    }
}
