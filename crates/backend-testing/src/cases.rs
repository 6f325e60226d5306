//! Functions on 32-bit integers and on floats that every machine must get right. Each case is given a way to compile and load a function; longer
//! integers are legalised away before a 32-bit back end sees them.

use crate::{Call, TRAP};
use ir::instruction::{FloatCompare, IntCompare};

/// Integers at the edges of what machines treat alike.
pub const EDGES: [i32; 14] = [0, 1, -1, 2, 7, -7, 31, 255, 256, 0x1234_5678, -0x1234_5678, 0x0001_0001, i32::MAX, i32::MIN];
/// Floats of every kind.
const FLOATS: [f64; 7] = [0.0, -0.0, 1.5, -2.25, 1e10, f64::INFINITY, f64::NAN];

/// Compiles and loads a function of a signature and blocks.
pub type Load<'a> = &'a dyn Fn(&str, &str) -> Call;
/// An instruction and what it gives; nothing if it raises.
type Binary = (&'static str, fn(i32, i32) -> Option<i32>);
/// An instruction on one integer and what it gives.
type Unary = (&'static str, fn(i32) -> u32);
/// A shift and what it gives for counts that are less than the width.
type Shift = (&'static str, fn(i32, u32) -> i32);

/// The trap of overflow, and of the quotient that does not fit.
const OVERFLOW: u32 = TRAP + 3;
const OUT_OF_RANGE: u32 = TRAP + 1;

fn as_unsigned(operation: fn(u32, u32) -> Option<u32>, a: i32, b: i32) -> Option<i32> {
    operation(a as u32, b as u32).map(|value| value as i32)
}

/// One instruction on two integers, with the second in a register and as a constant, which has forms of its own.
fn binary(load: Load, (name, expected): Binary, is_allowed: fn(i32) -> bool) {
    let both = load("managed (i32, i32) -> i32", &format!("block0(v0: i32, v1: i32):\n v2 = {name}.i32 v0, v1\n return v2"));
    for b in EDGES.into_iter().filter(|&b| is_allowed(b)) {
        let body = format!("block0(v0: i32):\n v1 = iconst.i32 {b}\n v2 = {name}.i32 v0, v1\n return v2");
        let with_constant = load("managed (i32) -> i32", &body);
        for a in EDGES {
            let expected = expected(a, b).map_or(OVERFLOW, |value| value as u32);
            assert_eq!(both(&[a, b], &[]).0, expected, "{name} {a} {b}");
            assert_eq!(with_constant(&[a], &[]).0, expected, "{name} {a} constant {b}");
        }
    }
}

/// Sums, differences, products and logic; those that raise on overflow.
pub fn integer_arithmetic(load: Load) {
    let rows: [Binary; 14] = [
        ("iadd", |a, b| Some(a.wrapping_add(b))),
        ("isub", |a, b| Some(a.wrapping_sub(b))),
        ("imul", |a, b| Some(a.wrapping_mul(b))),
        ("iand", |a, b| Some(a & b)),
        ("ior", |a, b| Some(a | b)),
        ("ixor", |a, b| Some(a ^ b)),
        ("smul_high", |a, b| Some(((i64::from(a) * i64::from(b)) >> 32) as i32)),
        ("umul_high", |a, b| Some(((u64::from(a as u32) * u64::from(b as u32)) >> 32) as i32)),
        ("sadd_ovf", i32::checked_add),
        ("ssub_ovf", i32::checked_sub),
        ("smul_ovf", i32::checked_mul),
        ("uadd_ovf", |a, b| as_unsigned(u32::checked_add, a, b)),
        ("usub_ovf", |a, b| as_unsigned(u32::checked_sub, a, b)),
        ("umul_ovf", |a, b| as_unsigned(u32::checked_mul, a, b)),
    ];
    for row in rows {
        binary(load, row, |_| true);
    }
}

/// Divisions by what is not zero, which is checked before.
pub fn divisions(load: Load) {
    let rows: [Binary; 4] = [
        ("sdiv", i32::checked_div),
        ("srem", i32::checked_rem),
        ("udiv", |a, b| as_unsigned(u32::checked_div, a, b)),
        ("urem", |a, b| as_unsigned(u32::checked_rem, a, b)),
    ];
    for row in rows {
        binary(load, row, |divisor| divisor != 0);
    }
}

/// Shifts take their count modulo 32; bits are counted and bytes swapped.
pub fn shifts_and_bit_counts(load: Load) {
    let shifts: [Shift; 4] =
        [("ishl", |a, n| a << n), ("sshr", |a, n| a >> n), ("ushr", |a, n| (a as u32 >> n) as i32), ("rotl", i32::rotate_left)];
    for (name, expected) in shifts {
        let variable =
            load("managed (i32, i32) -> i32", &format!("block0(v0: i32, v1: i32):\n v2 = {name}.i32 v0, v1\n return v2"));
        for n in [0, 1, 16, 31, 32, 33, 63, 255, -1] {
            let body = format!("block0(v0: i32):\n v1 = iconst.i32 {n}\n v2 = {name}.i32 v0, v1\n return v2");
            let constant = load("managed (i32) -> i32", &body);
            for a in EDGES {
                let expected = expected(a, n as u32 & 31) as u32;
                assert_eq!(variable(&[a, n], &[]).0, expected, "{name} {a} {n}");
                assert_eq!(constant(&[a], &[]).0, expected, "{name} {a} constant {n}");
            }
        }
    }
    let counts: [Unary; 4] = [
        ("clz", i32::leading_zeros),
        ("ctz", i32::trailing_zeros),
        ("popcnt", i32::count_ones),
        ("bswap", |a| a.swap_bytes() as u32),
    ];
    for (name, expected) in counts {
        let code = load("managed (i32) -> i32", &format!("block0(v0: i32):\n v1 = {name}.i32 v0\n return v1"));
        for a in EDGES {
            assert_eq!(code(&[a], &[]).0, expected(a), "{name} {a}");
        }
    }
}

/// A comparison as a value, in a selection and in a branch: 111 if it holds, else 20.
fn comparison(load: Load, ty: &str, opcode: &str, name: &str) -> Call {
    load(
        &format!("managed ({ty}, {ty}) -> i32"),
        &format!(
            "block0(v0: {ty}, v1: {ty}):\n v2 = {opcode}.i32 {name} v0, v1\n v3 = iconst.i32 10\n v4 = iconst.i32 20\n \
             v5 = select.i32 v2, v3, v4\n v6 = iadd.i32 v2, v5\n brif v2 block1(v6), block2(v6)\n\
             block1(v7: i32):\n v8 = iconst.i32 100\n v9 = iadd.i32 v7, v8\n return v9\nblock2(v10: i32):\n return v10"
        ),
    )
}

/// Integer comparisons in all their uses.
pub fn integer_comparisons(load: Load) {
    for compare in IntCompare::ALL {
        let code = comparison(load, "i32", "icmp", compare.name());
        for x in EDGES {
            for y in EDGES {
                let holds = match compare {
                    IntCompare::Eq => x == y,
                    IntCompare::Ne => x != y,
                    IntCompare::Slt => x < y,
                    IntCompare::Sle => x <= y,
                    IntCompare::Sgt => x > y,
                    IntCompare::Sge => x >= y,
                    IntCompare::Ult => (x as u32) < y as u32,
                    IntCompare::Ule => x as u32 <= y as u32,
                    IntCompare::Ugt => x as u32 > y as u32,
                    IntCompare::Uge => x as u32 >= y as u32,
                };
                assert_eq!(code(&[x, y], &[]).0, if holds { 111 } else { 20 }, "{} {x} {y}", compare.name());
            }
        }
    }
}

/// Float comparisons in all their uses, also of what is not a number.
pub fn float_comparisons(load: Load) {
    for compare in FloatCompare::ALL {
        let double = comparison(load, "f64", "fcmp", compare.name());
        let single = comparison(load, "f32", "fcmp", compare.name());
        for a in FLOATS {
            for b in FLOATS {
                let unordered = a.is_nan() || b.is_nan();
                let holds = match compare {
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
                };
                let expected = if holds { 111 } else { 20 };
                assert_eq!(double(&[], &[a.to_bits(), b.to_bits()]).0, expected, "f64 {} {a} {b}", compare.name());
                let bits = |number: f64| u64::from((number as f32).to_bits());
                assert_eq!(single(&[], &[bits(a), bits(b)]).0, expected, "f32 {} {a} {b}", compare.name());
            }
        }
    }
}

/// Float arithmetic in both widths, and constants bit by bit.
pub fn float_arithmetic_and_constants(load: Load) {
    type Row = (&'static str, fn(f64, f64) -> f64);
    let rows: [Row; 4] = [("fadd", |a, b| a + b), ("fsub", |a, b| a - b), ("fmul", |a, b| a * b), ("fdiv", |a, b| a / b)];
    for (name, expected) in rows {
        let body = |ty: &str| format!("block0(v0: {ty}, v1: {ty}):\n v2 = {name}.{ty} v0, v1\n return v2");
        let double = load("managed (f64, f64) -> f64", &body("f64"));
        let single = load("managed (f32, f32) -> f32", &body("f32"));
        for a in FLOATS {
            for b in FLOATS {
                let (result, wanted) = (f64::from_bits(double(&[], &[a.to_bits(), b.to_bits()]).1), expected(a, b));
                assert!(result.to_bits() == wanted.to_bits() || result.is_nan() && wanted.is_nan(), "{name} {a} {b}: {result}");
                let (x, y) = (a as f32, b as f32);
                let result = f32::from_bits(single(&[], &[u64::from(x.to_bits()), u64::from(y.to_bits())]).1 as u32);
                let wanted = expected(f64::from(x), f64::from(y)) as f32;
                assert!(result.to_bits() == wanted.to_bits() || result.is_nan() && wanted.is_nan(), "{name} {x} {y}: {result}");
            }
        }
    }
    for (name, expected) in [("fneg", (|a| -a) as fn(f64) -> f64), ("fabs", f64::abs), ("fsqrt", f64::sqrt)] {
        let code = load("managed (f64) -> f64", &format!("block0(v0: f64):\n v1 = {name}.f64 v0\n return v1"));
        for a in [0.0, -0.0, 2.0, 1e300] {
            assert_eq!(code(&[], &[f64::to_bits(a)]).1, expected(a).to_bits(), "{name} {a}");
        }
    }
    for value in [0.0f64, -0.0, 1.0, -31.0, 0.1, 1e-300, f64::NAN, f64::INFINITY] {
        let constant = format!("block0:\n v0 = fconst.f64 {:#x}\n return v0", value.to_bits());
        assert_eq!(load("managed () -> f64", &constant)(&[], &[]).1, value.to_bits(), "{value}");
        let bits = (value as f32).to_bits();
        let constant = format!("block0:\n v0 = fconst.f32 {bits:#x}\n return v0");
        assert_eq!(load("managed () -> f32", &constant)(&[], &[]).1 as u32, bits, "{value}");
    }
}

/// Conversions between integers and floats, where the result exists.
pub fn conversions(load: Load) {
    let unary = |from: &str, to: &str, name: &str| {
        load(&format!("managed ({from}) -> {to}"), &format!("block0(v0: {from}):\n v1 = {name}.{to} v0\n return v1"))
    };
    let (unsigned, signed) = (unary("i32", "f64", "uint_to_float"), unary("i32", "f64", "sint_to_float"));
    let (unsigned_single, signed_single) = (unary("i32", "f32", "uint_to_float"), unary("i32", "f32", "sint_to_float"));
    for a in EDGES {
        let (double, single) =
            (|code: &Call| f64::from_bits(code(&[a], &[]).1), |code: &Call| f32::from_bits(code(&[a], &[]).1 as u32));
        assert_eq!(double(&unsigned), f64::from(a as u32));
        assert_eq!(double(&signed), f64::from(a));
        assert_eq!(single(&unsigned_single), a as u32 as f32);
        assert_eq!(single(&signed_single), a as f32);
    }
    let to_signed = unary("f64", "i32", "float_to_sint");
    for (a, expected) in [(1.9, 1), (-1.9, -1), (2147483647.0, i32::MAX), (-2147483648.0, i32::MIN)] {
        assert_eq!(to_signed(&[], &[f64::to_bits(a)]).0 as i32, expected, "{a}");
    }
    let (to_unsigned, single_to_unsigned) = (unary("f64", "i32", "float_to_uint"), unary("f32", "i32", "float_to_uint"));
    for a in [0.0, 1.9, 3e9, 4294967295.0] {
        assert_eq!(to_unsigned(&[], &[f64::to_bits(a)]).0, a as u32, "{a}");
    }
    assert_eq!(single_to_unsigned(&[], &[u64::from(f32::to_bits(3e9))]).0, 3_000_000_000);
    let (promote, demote) = (unary("f32", "f64", "fpromote"), unary("f64", "f32", "fdemote"));
    assert_eq!(f64::from_bits(promote(&[], &[u64::from(0.1f32.to_bits())]).1), f64::from(0.1f32));
    assert_eq!(f32::from_bits(demote(&[], &[0.1f64.to_bits()]).1 as u32), 0.1f32);
}

/// A switch goes to its case, and to its default from everywhere else.
pub fn switches(load: Load) {
    let code = load(
        "managed (i32) -> i32",
        "block0(v0: i32):\n br_table v0 block4, block1, block2, block3, block1\n\
         block1:\n v1 = iconst.i32 11\n return v1\nblock2:\n v2 = iconst.i32 12\n return v2\n\
         block3:\n v3 = iconst.i32 13\n return v3\nblock4:\n v4 = iconst.i32 99\n return v4",
    );
    for (index, expected) in [(0, 11), (1, 12), (2, 13), (3, 11), (4, 99), (-1, 99), (i32::MIN, 99)] {
        assert_eq!(code(&[index], &[]).0, expected, "case {index}");
    }
}

/// Fibonacci numbers: both parameters of a loop change at once on its back edge.
pub fn swapping_loops(load: Load) {
    let code = load(
        "managed (i32) -> i32",
        "block0(v0: i32):\n v1 = iconst.i32 0\n v2 = iconst.i32 1\n jump block1(v0, v1, v2)\n\
         block1(v3: i32, v4: i32, v5: i32):\n v6 = iconst.i32 0\n v7 = icmp.i32 eq v3, v6\n brif v7 block2, block3\n\
         block2:\n return v4\n\
         block3:\n v8 = iconst.i32 1\n v9 = isub.i32 v3, v8\n v10 = iadd.i32 v4, v5\n jump block1(v9, v5, v10)",
    );
    assert_eq!(code(&[40], &[]).0, 102_334_155);
}

/// Ten values that live over a loop with a division, byte stores and shifts by a variable: more than there are registers.
pub fn many_values(load: Load) {
    const FACTOR: u32 = 0x1_2345;
    let mut body = String::from("block0(v0: i32):\n");
    for index in 0..10 {
        body += &format!(" v{} = iconst.i32 {}\n v{} = imul.i32 v0, v{}\n", 10 + index, index + 3, 30 + index, 10 + index);
    }
    body += " v1 = stack_addr.mptr ss0\n v2 = iconst.i32 0\n jump block1(v2, v2)\nblock1(v3: i32, v4: i32):\n";
    let mut sum = 4;
    for index in 0..10 {
        body += &format!(" v{} = rotl.i32 v{}, v3\n", 50 + index, 30 + index);
        body += &format!(" v{} = iadd.i32 v{sum}, v{}\n", 70 + index, 50 + index);
        body += &format!(" store v1, v{} [u8 +{index} no_trap]\n", 70 + index);
        sum = 70 + index;
    }
    body += " v90 = iconst.i32 7\n v91 = udiv.i32 v79, v90\n v92 = iconst.i32 1\n v93 = iadd.i32 v3, v92\n \
             v94 = iconst.i32 5\n v95 = icmp.i32 slt v93, v94\n brif v95 block1(v93, v91), block2\n\
             block2:\n v96 = load.i32 v1 [i32 +6 no_trap]\n v97 = ixor.i32 v91, v96\n return v97";
    let mut bytes = [0u8; 10];
    let mut expected = 0u32;
    for turn in 0..5 {
        for index in 0..10u32 {
            expected = expected.wrapping_add((index + 3).wrapping_mul(FACTOR).rotate_left(turn));
            bytes[index as usize] = expected as u8;
        }
        expected /= 7;
    }
    let code = load("managed (i32) -> i32", &format!(" ss0 = slot 16 align 8\n{body}"));
    assert_eq!(code(&[FACTOR as i32], &[]).0, expected ^ u32::from_le_bytes([bytes[6], bytes[7], bytes[8], bytes[9]]));
}

/// Slots of the frame, block copies between them, and memory taken from the stack as the function runs; both aligned to `alignment` bytes.
pub fn stack_memory(load: Load, alignment: u32) {
    let mask = alignment - 1;
    let body = format!(
        " ss0 = slot 40 align 8\n ss1 = slot 40 align {alignment}\nblock0(v0: i32, v1: i32):\n v2 = stack_addr.mptr ss0\n \
         v3 = stack_addr.mptr ss1\n zero_memory 39 v2\n store v2, v0 [i32 +8 no_trap]\n store v2, v1 [i32 +31 no_trap]\n \
         copy_memory 39 v3, v2\n v4 = load.i32 v3 [i32 +8 no_trap]\n v5 = load.i32 v3 [i32 +31 no_trap]\n \
         v6 = load.i32 v3 [i32 +16 no_trap]\n v7 = iadd.i32 v4, v5\n v8 = iadd.i32 v7, v6\n v9 = trunc.i32 v3\n \
         v10 = iconst.i32 {mask}\n v11 = iand.i32 v9, v10\n v12 = iadd.i32 v8, v11\n return v12"
    );
    let code = load("managed (i32, i32) -> i32", &body);
    assert_eq!(code(&[5, 9], &[]).0, 14);
    let body = format!(
        "block0(v0: i32, v1: i32):\n v2 = zext.iptr v0\n v3 = stack_alloc.iptr v2\n v4 = stack_alloc.iptr v2\n \
         store v3, v1 [i32 no_trap]\n store v4, v2 [iptr no_trap]\n v5 = load.i32 v3 [i32 no_trap]\n v6 = trunc.i32 v4\n \
         v7 = iconst.i32 {mask}\n v8 = iand.i32 v6, v7\n v9 = iadd.i32 v5, v8\n return v9"
    );
    let code = load("managed (i32, i32) -> i32", &body);
    assert_eq!(code(&[100_000, 77], &[]).0, 77);
    assert_eq!(code(&[16, 78], &[]).0, 78);
}

/// An index out of its bounds raises.
pub fn checks_raise(load: Load) {
    let code =
        load("managed (i32, i32) -> i32", "block0(v0: i32, v1: i32):\n bounds_check v0, v1\n v2 = iconst.i32 5\n return v2");
    assert_eq!(code(&[3, 4], &[]).0, 5);
    assert_eq!(code(&[4, 4], &[]).0, OUT_OF_RANGE);
    assert_eq!(code(&[-1, 4], &[]).0, OUT_OF_RANGE);
}
