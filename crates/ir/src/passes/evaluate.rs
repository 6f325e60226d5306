//! Evaluation of pure opcodes on constants, with the semantics of the target.
//!
//! Constants are `i64`: integers sign-extended from their type's width, floats by their bits. Host float arithmetic is
//! only used where IEEE 754 fixes the result's bits, so NaN results are never folded.

use crate::function::Function;
use crate::instruction::{Aux, FloatCompare, Instruction, IntCompare, Opcode};
use crate::types::Type;

/// `value` sign-extended from its low `bits`.
pub fn sign_extend(value: i64, bits: u32) -> i64 {
    let shift = 64 - bits;
    (value << shift) >> shift
}

/// `value` zero-extended from its low `bits`.
pub fn zero_extend(value: i64, bits: u32) -> u64 {
    let shift = 64 - bits;
    ((value as u64) << shift) >> shift
}

/// The result of comparing two integers of `bits`.
pub fn compare_ints(compare: IntCompare, a: i64, b: i64, bits: u32) -> bool {
    let (unsigned_a, unsigned_b) = (zero_extend(a, bits), zero_extend(b, bits));
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

fn compare_floats(compare: FloatCompare, a: f64, b: f64) -> bool {
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

/// The float with the bits `bits` of type `ty`, widened.
fn float(bits: i64, ty: Type) -> f64 {
    if ty == Type::F32 { f64::from(f32::from_bits(bits as u32)) } else { f64::from_bits(bits as u64) }
}

/// The bits of `value` rounded to `ty`; nothing for NaN, whose sign and payload depend on the machine.
///
/// Computing in `f64` and rounding once to `f32` is exact for one `+ - × ÷ √` (double rounding is innocuous there).
fn float_bits(value: f64, ty: Type) -> Option<i64> {
    if value.is_nan() {
        return None;
    }
    Some(if ty == Type::F32 { i64::from((value as f32).to_bits()) } else { value.to_bits() as i64 })
}

/// The result of `instruction` on the constants `args` (one for each of its arguments), unless it would raise or cannot be
/// computed at compile time.
pub fn evaluate(function: &Function, instruction: &Instruction, args: &[i64]) -> Option<i64> {
    use Opcode::*;
    let ty = instruction.ty;
    let argument_type = instruction.args.first().map_or(ty, |&value| function.value_type(value));
    if ty == Type::V128 || argument_type == Type::V128 {
        return None;
    }
    let bits = function.bits(ty);
    let argument_bits = function.bits(argument_type);
    let a = args.first().copied().unwrap_or(0);
    let b = args.get(1).copied().unwrap_or(0);
    let amount = (b as u32) & (bits - 1);
    let unsigned_a = zero_extend(a, bits);
    let unsigned_b = zero_extend(b, bits);
    let float_a = || float(a, argument_type);
    let float_b = || float(b, argument_type);
    let signed_fits = |wide: i128| (wide == i128::from(sign_extend(wide as i64, bits))).then_some(wide as i64);
    let unsigned_fits = |wide: i128| {
        let limit = 1i128 << bits;
        (wide >= 0 && wide < limit).then_some(wide as i64)
    };
    let minimum = sign_extend(1i64 << (bits - 1), bits);
    let result = match instruction.opcode {
        Iconst => match instruction.aux {
            Aux::Int(value) => value,
            _ => return None,
        },
        Fconst => match instruction.aux {
            Aux::Int(value) => return Some(value),
            _ => return None,
        },
        Iadd => a.wrapping_add(b),
        Isub => a.wrapping_sub(b),
        Imul => a.wrapping_mul(b),
        SmulHigh => ((i128::from(a) * i128::from(b)) >> bits) as i64,
        UmulHigh => ((u128::from(unsigned_a) * u128::from(unsigned_b)) >> bits) as i64,
        Sdiv | Srem if b == 0 || (b == -1 && a == minimum) => return None,
        Udiv | Urem if b == 0 => return None,
        Sdiv => a / b,
        Srem => a % b,
        Udiv => (unsigned_a / unsigned_b) as i64,
        Urem => (unsigned_a % unsigned_b) as i64,
        Iand => a & b,
        Ior => a | b,
        Ixor => a ^ b,
        Ishl => a << amount,
        Sshr => a >> amount,
        Ushr => (unsigned_a >> amount) as i64,
        Rotl if amount == 0 => a,
        Rotl => ((unsigned_a << amount) | (unsigned_a >> (bits - amount))) as i64,
        Ineg => a.wrapping_neg(),
        Inot => !a,
        Clz => i64::from(unsigned_a.leading_zeros() - (64 - bits)),
        Ctz if unsigned_a == 0 => i64::from(bits),
        Ctz => i64::from(unsigned_a.trailing_zeros()),
        Popcnt => i64::from(unsigned_a.count_ones()),
        Bswap => (unsigned_a.swap_bytes() >> (64 - bits)) as i64,
        SaddOverflow => signed_fits(i128::from(a) + i128::from(b))?,
        SsubOverflow => signed_fits(i128::from(a) - i128::from(b))?,
        SmulOverflow => signed_fits(i128::from(a) * i128::from(b))?,
        UaddOverflow => unsigned_fits(i128::from(unsigned_a) + i128::from(unsigned_b))?,
        UsubOverflow => unsigned_fits(i128::from(unsigned_a) - i128::from(unsigned_b))?,
        UmulOverflow => {
            i64::try_from(unsigned_a.checked_mul(unsigned_b)?).ok().and_then(|wide| unsigned_fits(i128::from(wide)))?
        }
        Fadd => return float_bits(float_a() + float_b(), ty),
        Fsub => return float_bits(float_a() - float_b(), ty),
        Fmul => return float_bits(float_a() * float_b(), ty),
        Fdiv => return float_bits(float_a() / float_b(), ty),
        Fsqrt => return float_bits(float_a().sqrt(), ty),
        Fneg => return Some(if ty == Type::F32 { i64::from(a as u32 ^ (1 << 31)) } else { a ^ i64::MIN }),
        Fabs => return Some(if ty == Type::F32 { i64::from(a as u32 & !(1 << 31)) } else { a & i64::MAX }),
        Fpromote | Fdemote => return float_bits(float_a(), ty),
        Icmp => match instruction.aux {
            Aux::IntCompare(compare) => i64::from(compare_ints(compare, a, b, argument_bits)),
            _ => return None,
        },
        Fcmp => match instruction.aux {
            Aux::FloatCompare(compare) => i64::from(compare_floats(compare, float_a(), float_b())),
            _ => return None,
        },
        Select => {
            let chosen = if a != 0 { b } else { *args.get(2)? };
            return Some(chosen);
        }
        Sext8 => sign_extend(a, 8),
        Sext16 => sign_extend(a, 16),
        Zext8 => a & 0xff,
        Zext16 => a & 0xffff,
        Sext | Trunc => a,
        Zext => zero_extend(a, argument_bits) as i64,
        Bitcast if ty.is_float() => return Some(zero_extend(a, bits) as i64),
        Bitcast => a,
        // The integer goes to f64 exactly only up to 32 bits; wider ones are converted straight to the result's type.
        SintToFloat if ty == Type::F32 => return Some(i64::from((a as f32).to_bits())),
        SintToFloat => return Some((a as f64).to_bits() as i64),
        UintToFloat if ty == Type::F32 => return Some(i64::from((zero_extend(a, argument_bits) as f32).to_bits())),
        UintToFloat => return Some((zero_extend(a, argument_bits) as f64).to_bits() as i64),
        FloatToSint => {
            let value = float_a().trunc();
            let limit = (2.0f64).powi(bits as i32 - 1);
            if value >= -limit && value < limit { value as i64 } else { minimum }
        }
        FloatToUint => {
            let value = float_a().trunc();
            // Out of range depends on the target's conversion sequence, so it is left to run.
            if !(value >= 0.0 && value < (2.0f64).powi(bits as i32)) {
                return None;
            }
            value as u64 as i64
        }
        _ => return None,
    };
    let result = sign_extend(result, bits);
    // There are no constants of managed types but null.
    (!ty.is_managed() || result == 0).then_some(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Entity;
    use crate::signature::{CallConvention, Signature};

    fn binary(pointer_bytes: u32, opcode: Opcode, ty: Type, a: i64, b: i64) -> Option<i64> {
        let mut function = Function::new("test", pointer_bytes, Signature::new(CallConvention::Managed));
        let block = function.add_block();
        let left = function.add_block_param(block, ty);
        let right = function.add_block_param(block, ty);
        assert_eq!(left.index(), 0);
        evaluate(&function, &Instruction::new(opcode, ty, &[left, right], Aux::None), &[a, b])
    }

    #[test]
    fn integers_wrap_at_their_width() {
        assert_eq!(binary(8, Opcode::Iadd, Type::I32, i64::from(i32::MAX), 1), Some(i64::from(i32::MIN)));
        assert_eq!(binary(4, Opcode::Iadd, Type::Iptr, i64::from(i32::MAX), 1), Some(i64::from(i32::MIN)));
        assert_eq!(binary(8, Opcode::Iadd, Type::Iptr, i64::from(i32::MAX), 1), Some(1 << 31));
        assert_eq!(binary(8, Opcode::Ushr, Type::I32, -1, 33), Some(i64::from(i32::MAX)));
        assert_eq!(binary(8, Opcode::Udiv, Type::I32, -1, 2), Some(i64::from(i32::MAX)));
        assert_eq!(binary(8, Opcode::UmulHigh, Type::I64, -1, -1), Some(-2));
        assert_eq!(binary(8, Opcode::Rotl, Type::I32, i64::from(i32::MIN), 1), Some(1));
    }

    #[test]
    fn what_raises_is_not_folded() {
        assert_eq!(binary(8, Opcode::Sdiv, Type::I32, 1, 0), None);
        assert_eq!(binary(8, Opcode::Sdiv, Type::I32, i64::from(i32::MIN), -1), None);
        assert_eq!(binary(8, Opcode::Srem, Type::I64, i64::MIN, -1), None);
        assert_eq!(binary(8, Opcode::SaddOverflow, Type::I32, i64::from(i32::MAX), 1), None);
        assert_eq!(binary(8, Opcode::UsubOverflow, Type::I32, 1, 2), None);
        assert_eq!(binary(8, Opcode::UaddOverflow, Type::I64, -1, 1), None);
        assert_eq!(binary(8, Opcode::UaddOverflow, Type::I64, -2, 1), Some(-1));
        assert_eq!(binary(8, Opcode::SmulOverflow, Type::I64, 1 << 32, 1 << 31), None);
    }
}
