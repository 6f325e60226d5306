//! The `conv` family (ECMA-335 III.3.27 to III.3.29).

use super::stack::Shape;
use super::{Importer, Outcome, invalid};
use il::instruction::Opcode as Il;
use ir::Type;
use ir::entity::Value;
use ir::instruction::{FloatCompare, IntCompare, TrapCode};

/// The target of a conversion to an integer.
#[derive(Clone, Copy)]
struct Target {
    /// 8, 16, 32 or 64; 0 for the native width.
    bits: u32,
    signed: bool,
}

const fn target(bits: u32, signed: bool) -> Target {
    Target { bits, signed }
}

/// Target, whether it checks, whether the source counts as unsigned.
fn conversion(il: Il) -> Option<(Target, bool, bool)> {
    Some(match il {
        Il::ConvI1 => (target(8, true), false, false),
        Il::ConvI2 => (target(16, true), false, false),
        Il::ConvI4 => (target(32, true), false, false),
        Il::ConvI8 => (target(64, true), false, false),
        Il::ConvU1 => (target(8, false), false, false),
        Il::ConvU2 => (target(16, false), false, false),
        Il::ConvU4 => (target(32, false), false, false),
        Il::ConvU8 => (target(64, false), false, false),
        Il::ConvI => (target(0, true), false, false),
        Il::ConvU => (target(0, false), false, false),
        Il::ConvOvfI1 => (target(8, true), true, false),
        Il::ConvOvfI2 => (target(16, true), true, false),
        Il::ConvOvfI4 => (target(32, true), true, false),
        Il::ConvOvfI8 => (target(64, true), true, false),
        Il::ConvOvfU1 => (target(8, false), true, false),
        Il::ConvOvfU2 => (target(16, false), true, false),
        Il::ConvOvfU4 => (target(32, false), true, false),
        Il::ConvOvfU8 => (target(64, false), true, false),
        Il::ConvOvfI => (target(0, true), true, false),
        Il::ConvOvfU => (target(0, false), true, false),
        Il::ConvOvfI1Un => (target(8, true), true, true),
        Il::ConvOvfI2Un => (target(16, true), true, true),
        Il::ConvOvfI4Un => (target(32, true), true, true),
        Il::ConvOvfI8Un => (target(64, true), true, true),
        Il::ConvOvfU1Un => (target(8, false), true, true),
        Il::ConvOvfU2Un => (target(16, false), true, true),
        Il::ConvOvfU4Un => (target(32, false), true, true),
        Il::ConvOvfU8Un => (target(64, false), true, true),
        Il::ConvOvfIUn => (target(0, true), true, true),
        Il::ConvOvfUUn => (target(0, false), true, true),
        _ => return None,
    })
}

impl<'a> Importer<'a, '_> {
    pub(super) fn import_convert(&mut self, il: Il) -> Outcome {
        let operand = self.pop()?;
        let Shape::Scalar(from) = operand.shape else { return Err(invalid("a conversion of a structure")) };
        let mut value = operand.value;
        if let Some((target, checked, unsigned)) = conversion(il) {
            let result = match target.bits {
                0 => Type::Iptr,
                64 => Type::I64,
                _ => Type::I32,
            };
            // Where the value stays what it is, a managed pointer stays one until it is used as a number.
            if from.is_managed() {
                value = self.b.bitcast(Type::Iptr, value);
            }
            let bits = if target.bits == 0 { self.abi.pointer_bytes * 8 } else { target.bits };
            let target = Target { bits, ..target };
            if from.is_float() {
                value = self.float_to_int(value, target, result, checked);
            } else {
                if checked {
                    self.check_range(value, target, unsigned);
                }
                value = self.int_to_int(value, target, result, unsigned || !target.signed && !checked);
            }
            self.push_scalar(value);
            return Ok(());
        }
        if from.is_managed() {
            value = self.b.bitcast(Type::Iptr, value);
        }
        let value = match (il, from) {
            (Il::ConvR4, Type::F32) | (Il::ConvR8, Type::F64) => value,
            (Il::ConvR4, Type::F64) => self.b.fdemote(value),
            (Il::ConvR8, Type::F32) => self.b.fpromote(value),
            (Il::ConvR4, _) => self.b.sint_to_float(Type::F32, value),
            (Il::ConvR8, _) => self.b.sint_to_float(Type::F64, value),
            (Il::ConvRUn, from) if from.is_float() => value,
            (Il::ConvRUn, _) => self.b.uint_to_float(Type::F64, value),
            _ => return Err(invalid("not a conversion")),
        };
        self.push_scalar(value);
        Ok(())
    }

    /// An integer as the result type, then cut to a narrow target.
    fn int_to_int(&mut self, value: Value, target: Target, result: Type, zero_extend: bool) -> Value {
        let from = self.b.function.value_type(value);
        let value = match (from, result) {
            (from, result) if from == result => value,
            (Type::I32, _) | (Type::Iptr, Type::I64) => {
                if zero_extend {
                    self.b.zext(result, value)
                } else {
                    self.b.sext(result, value)
                }
            }
            _ => self.b.trunc(result, value),
        };
        match (target.bits, target.signed) {
            (8, true) => self.narrow(value, ir::types::Access::I8),
            (8, false) => self.narrow(value, ir::types::Access::U8),
            (16, true) => self.narrow(value, ir::types::Access::I16),
            (16, false) => self.narrow(value, ir::types::Access::U16),
            _ => value,
        }
    }

    fn float_to_int(&mut self, value: Value, target: Target, result: Type, checked: bool) -> Value {
        if checked {
            self.check_float_range(value, target);
        }
        if !target.signed && (target.bits >= 32 || result == Type::Iptr) {
            return self.b.float_to_uint(result, value);
        }
        let number = self.b.float_to_sint(result, value);
        self.int_to_int(number, target, result, false)
    }

    /// Raises `Overflow` unless the float, truncated, lies in the target's range.
    fn check_float_range(&mut self, value: Value, target: Target) {
        let wide = match self.b.function.value_type(value) {
            Type::F32 => self.b.fpromote(value),
            _ => value,
        };
        let (low, high) = match (target.signed, target.bits) {
            (true, bits) => (-(2f64.powi(bits as i32 - 1)), 2f64.powi(bits as i32 - 1)),
            (false, bits) => (0.0, 2f64.powi(bits as i32)),
        };
        // Below 53 bits the numbers between low - 1 and low still truncate to low; beyond, low itself is the first.
        let low_is_exact = target.signed && target.bits == 64;
        let bound = self.b.f64const(if low_is_exact { low } else { low - 1.0 });
        let compare = if low_is_exact { FloatCompare::Ult } else { FloatCompare::Ule };
        let too_low = self.b.fcmp(compare, wide, bound);
        self.b.trap_if(too_low, TrapCode::Overflow);
        let bound = self.b.f64const(high);
        let too_high = self.b.fcmp(FloatCompare::Uge, wide, bound);
        self.b.trap_if(too_high, TrapCode::Overflow);
    }

    /// Raises `Overflow` unless the integer lies in the target's range.
    fn check_range(&mut self, value: Value, target: Target, unsigned: bool) {
        let from = self.b.function.value_type(value);
        let width = self.b.function.bits(from);
        let max = if target.signed { (1i128 << (target.bits - 1)) - 1 } else { (1i128 << target.bits) - 1 };
        let min = if target.signed { -(1i128 << (target.bits - 1)) } else { 0 };
        let (source_min, source_max) =
            if unsigned { (0, (1i128 << width) - 1) } else { (-(1i128 << (width - 1)), (1i128 << (width - 1)) - 1) };
        if min == 0 && source_min < 0 && max <= source_max {
            // One unsigned comparison covers both ends.
            let limit = self.b.iconst(from, max as i64);
            let bad = self.b.icmp(IntCompare::Ugt, value, limit);
            self.b.trap_if(bad, TrapCode::Overflow);
            return;
        }
        if source_max > max {
            let limit = self.b.iconst(from, max as i64);
            let compare = if unsigned { IntCompare::Ugt } else { IntCompare::Sgt };
            let bad = self.b.icmp(compare, value, limit);
            self.b.trap_if(bad, TrapCode::Overflow);
        }
        if source_min < min {
            let limit = self.b.iconst(from, min as i64);
            let bad = self.b.icmp(IntCompare::Slt, value, limit);
            self.b.trap_if(bad, TrapCode::Overflow);
        }
    }
}
