//! Division by constants as multiplication: the numbers (Granlund and Montgomery 1994; Warren, *Hacker's Delight*, chapter 10).

use super::evaluate::sign_extend;

/// `n / d` signed = `(smul_high(n, multiplier) [+ n or - n]) >> shift`, plus one if that is negative.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignedMagic {
    /// The multiplier, sign-extended from the width.
    pub multiplier: i64,
    /// Arithmetic shift after the multiplication.
    pub shift: u32,
}

/// `n / d` unsigned. Without `add`: `umul_high(n, multiplier) >> shift`; with it, `h = umul_high(n, multiplier)` and
/// `(((n - h) >> 1) + h) >> (shift - 1)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnsignedMagic {
    /// The low `bits` of the multiplier.
    pub multiplier: u64,
    /// Whether the multiplier has one bit more than the width.
    pub add: bool,
    /// Shift.
    pub shift: u32,
}

/// The numbers for a signed division by `divisor` (neither 0, 1 nor -1) at a width of `bits` (32 or 64).
pub fn signed_magic(divisor: i64, bits: u32) -> SignedMagic {
    let absolute = u128::from(divisor.unsigned_abs());
    let half = 1u128 << (bits - 1);
    // The largest value whose division must come out right on the side of the divisor's sign.
    let threshold = half + u128::from(divisor < 0);
    let limit = threshold - 1 - threshold % absolute;
    let mut exponent = bits;
    loop {
        // At most 2^127; both factors of the product are at most 2^63.
        let power = 1u128 << exponent;
        let rest = absolute - power % absolute;
        if power > limit * rest {
            let multiplier = sign_extend(((power + rest) / absolute) as i64, bits);
            let multiplier = if divisor < 0 { sign_extend(multiplier.wrapping_neg(), bits) } else { multiplier };
            return SignedMagic { multiplier, shift: exponent - bits };
        }
        exponent += 1;
    }
}

/// The numbers for an unsigned division by `divisor` (at least 3 and not a power of two) at a width of `bits` (32 or 64).
pub fn unsigned_magic(divisor: u64, bits: u32) -> UnsignedMagic {
    let wide = u128::from(divisor);
    let log = 64 - (divisor - 1).leading_zeros();
    // floor(2^(bits + shift) / d) + 1, with the smallest shift whose error is small enough.
    for shift in 0..log {
        let power = 1u128 << (bits + shift);
        let error = wide - power % wide;
        if error <= 1u128 << shift {
            return UnsignedMagic { multiplier: (power / wide + 1) as u64, add: false, shift };
        }
    }
    // The multiplier has bits + 1 bits; 2^(bits + log) may not fit, so the subtraction comes first.
    let power = ((1u128 << log) - wide) << bits;
    UnsignedMagic { multiplier: (power / wide + 1) as u64, add: true, shift: log }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divide_signed(n: i32, d: i32) -> i32 {
        let magic = signed_magic(i64::from(d), 32);
        let mut q = ((i64::from(n) * i64::from(magic.multiplier as i32)) >> 32) as i32;
        if d > 0 && magic.multiplier < 0 {
            q = q.wrapping_add(n);
        } else if d < 0 && magic.multiplier > 0 {
            q = q.wrapping_sub(n);
        }
        q >>= magic.shift;
        q.wrapping_add((q as u32 >> 31) as i32)
    }

    fn divide_unsigned(n: u64, d: u64, bits: u32) -> u64 {
        let mask = if bits == 64 { u64::MAX } else { u64::from(u32::MAX) };
        let magic = unsigned_magic(d, bits);
        assert!(magic.multiplier <= mask);
        let high = ((u128::from(n) * u128::from(magic.multiplier)) >> bits) as u64;
        if magic.add { ((((n - high) & mask) >> 1) + high) >> (magic.shift - 1) } else { high >> magic.shift }
    }

    #[test]
    fn quotients_are_right() {
        let numbers = [
            0,
            1,
            -1,
            2,
            -2,
            3,
            5,
            6,
            7,
            9,
            10,
            11,
            99,
            100,
            101,
            641,
            12345,
            1 << 30,
            i32::MAX,
            i32::MAX - 1,
            i32::MIN,
            i32::MIN + 1,
        ];
        for &d in &numbers {
            if (-1..=1).contains(&d) {
                continue;
            }
            for &n in &numbers {
                for n in [n, n.wrapping_mul(d), n.wrapping_mul(d).wrapping_sub(1), n.wrapping_neg()] {
                    assert_eq!(divide_signed(n, d), n / d, "{n} / {d}");
                    let (n, d) = (n as u32, d as u32);
                    if !d.is_power_of_two() {
                        assert_eq!(divide_unsigned(n.into(), d.into(), 32), u64::from(n / d), "{n} / {d}");
                        let (n, d) = ((u64::from(n) << 32) | u64::from(d), u64::from(d) * 0x1_0000_0001);
                        assert_eq!(divide_unsigned(n, d, 64), n / d, "{n} / {d}");
                        assert_eq!(divide_unsigned(u64::MAX, d, 64), u64::MAX / d);
                    }
                }
            }
        }
    }

    #[test]
    fn wide_signed_quotients_are_right() {
        for d in [3i64, 7, 10, -10, 1000, 86_400_000_000, 864_000_000_000, i64::MAX, i64::MIN + 1] {
            let magic = signed_magic(d, 64);
            for n in [0i64, 1, -1, d, d - 1, -d, i64::MAX, i64::MIN, 1 << 62, 637_000_000_000_000_000] {
                let mut q = ((i128::from(n) * i128::from(magic.multiplier)) >> 64) as i64;
                if d > 0 && magic.multiplier < 0 {
                    q = q.wrapping_add(n);
                } else if d < 0 && magic.multiplier > 0 {
                    q = q.wrapping_sub(n);
                }
                q >>= magic.shift;
                assert_eq!(q.wrapping_add((q as u64 >> 63) as i64), n / d, "{n} / {d}");
            }
        }
    }
}
