//! What instructions on numbers compute.

use super::{Abrupt, Bits, stop};
use crate::instruction::{FloatCompare, IntCompare, Opcode, TrapCode};
use crate::types::Type;

/// Two integers of `width` bits; the result is right in its low `width` bits.
pub(super) fn integer_binary(opcode: Opcode, width: u32, a: i64, b: i64) -> Result<i64, Abrupt> {
    use Opcode::*;
    let (unsigned_a, unsigned_b) = (zero_extend(a, width), zero_extend(b, width));
    let (wide_a, wide_b) = (i128::from(a), i128::from(b));
    let shift = (b as u32) & (width - 1);
    let checked_signed = |wide: i128| match i64::try_from(wide) {
        Ok(narrow) if sign_extend(narrow, width) == narrow => Ok(narrow),
        _ => Err(Abrupt::Trap(TrapCode::Overflow)),
    };
    let checked_unsigned = |wide: Option<u64>| match wide {
        Some(narrow) if narrow == zero_extend(narrow as i64, width) => Ok(narrow as i64),
        _ => Err(Abrupt::Trap(TrapCode::Overflow)),
    };
    if matches!(opcode, Sdiv | Udiv | Srem | Urem) {
        if b == 0 {
            return Err(Abrupt::Trap(TrapCode::DivideByZero));
        }
        if matches!(opcode, Sdiv | Srem) && b == -1 && a == sign_extend(1 << (width - 1), width) {
            return Err(Abrupt::Trap(TrapCode::Overflow));
        }
    }
    Ok(match opcode {
        Iadd => a.wrapping_add(b),
        Isub => a.wrapping_sub(b),
        Imul => a.wrapping_mul(b),
        SmulHigh => ((wide_a * wide_b) >> width) as i64,
        UmulHigh => ((u128::from(unsigned_a) * u128::from(unsigned_b)) >> width) as i64,
        Sdiv => a / b,
        Udiv => (unsigned_a / unsigned_b) as i64,
        Srem => a % b,
        Urem => (unsigned_a % unsigned_b) as i64,
        Iand => a & b,
        Ior => a | b,
        Ixor => a ^ b,
        Ishl => a << shift,
        Sshr => a >> shift,
        Ushr => (unsigned_a >> shift) as i64,
        Rotl => (unsigned_a << shift | unsigned_a.checked_shr(width - shift).unwrap_or(0)) as i64,
        SaddOverflow => checked_signed(wide_a + wide_b)?,
        SsubOverflow => checked_signed(wide_a - wide_b)?,
        SmulOverflow => checked_signed(wide_a * wide_b)?,
        UaddOverflow => checked_unsigned(unsigned_a.checked_add(unsigned_b))?,
        UsubOverflow => checked_unsigned(unsigned_a.checked_sub(unsigned_b))?,
        UmulOverflow => checked_unsigned(unsigned_a.checked_mul(unsigned_b))?,
        _ => return stop(format!("{} is not executable", opcode.name())),
    })
}

pub(super) fn sign_extend(value: i64, width: u32) -> i64 {
    value << (64 - width) >> (64 - width)
}

pub(super) fn zero_extend(value: i64, width: u32) -> u64 {
    (value as u64) << (64 - width) >> (64 - width)
}

pub(super) fn from_int(value: i64, width: u32) -> Bits {
    let value = if width < 64 { sign_extend(value, width) } else { value };
    Bits::from(value as u64)
}

pub(super) fn float_of(bits: i64, ty: Type) -> f64 {
    if ty == Type::F32 { f64::from(f32::from_bits(bits as u32)) } else { f64::from_bits(bits as u64) }
}

pub(super) fn from_float_bits(bits: i64, ty: Type) -> Bits {
    if ty == Type::F32 { Bits::from(bits as u32) } else { Bits::from(bits as u64) }
}

/// Rounded to `ty`. For one operation on two `f32`, rounding by way of `f64` gives the same as rounding once.
pub(super) fn from_float(value: f64, ty: Type) -> Bits {
    if ty == Type::F32 { Bits::from((value as f32).to_bits()) } else { Bits::from(value.to_bits()) }
}

/// An integer, rounded once.
pub(super) fn from_wide(value: i128, ty: Type) -> Bits {
    if ty == Type::F32 { Bits::from((value as f32).to_bits()) } else { Bits::from((value as f64).to_bits()) }
}

pub(super) fn float_to_sint(value: f64, width: u32) -> i64 {
    let limit = (1u64 << (width - 1)) as f64;
    let truncated = value.trunc();
    if truncated >= -limit && truncated < limit { truncated as i64 } else { sign_extend(1 << (width - 1), width) }
}

/// As Mono on amd64. 32 bits: the low half of the signed 64-bit conversion. 64 bits: the signed conversion below 2^63;
/// from there on, and for NaN, the conversion of what is above it, with the top bit flipped.
pub(super) fn float_to_uint(value: f64, width: u32) -> i64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if width == 64 && (value.is_nan() || value >= HALF) {
        return float_to_sint(value - HALF, 64) ^ i64::MIN;
    }
    float_to_sint(value, 64)
}

/// Sign-extended integers keep their unsigned order too.
pub(super) fn compare_ints(compare: IntCompare, a: i64, b: i64) -> bool {
    let (unsigned_a, unsigned_b) = (a as u64, b as u64);
    match compare {
        IntCompare::Eq => a == b,
        IntCompare::Ne => a != b,
        IntCompare::Slt => a < b,
        IntCompare::Sle => a <= b,
        IntCompare::Sgt => a > b,
        IntCompare::Sge => a >= b,
        IntCompare::Ult => unsigned_a < unsigned_b,
        IntCompare::Ule => unsigned_a <= unsigned_b,
        IntCompare::Ugt => unsigned_a > unsigned_b,
        IntCompare::Uge => unsigned_a >= unsigned_b,
    }
}

pub(super) fn compare_floats(compare: FloatCompare, a: f64, b: f64) -> bool {
    let unordered = a.is_nan() || b.is_nan();
    match compare {
        FloatCompare::Oeq => a == b,
        FloatCompare::Une => a != b,
        FloatCompare::Olt => a < b,
        FloatCompare::Ole => a <= b,
        FloatCompare::Ogt => a > b,
        FloatCompare::Oge => a >= b,
        FloatCompare::Ueq => unordered || a == b,
        FloatCompare::One => !unordered && a != b,
        FloatCompare::Ult => unordered || a < b,
        FloatCompare::Ule => unordered || a <= b,
        FloatCompare::Ugt => unordered || a > b,
        FloatCompare::Uge => unordered || a >= b,
    }
}
