//! Execution on the host. Traps end in a stub that returns the code as `TRAP` + code from the raising function.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use super::{compile, options, parse};
use crate::Amd64;
use ir::Function;
use ir::instruction::{FloatCompare, IntCompare};
use ir::mach::Backend;

const TRAP: u64 = 0x1000_0000;

/// Code of the raise helper: result = `TRAP` + code, and out of the frame that raised.
const RAISE: [u8; 8] = [0x8d, 0x87, 0x00, 0x00, 0x00, 0x10, 0xc9, 0xc3];

/// Functions in executable memory.
struct Loaded(execution::Loaded);

impl Loaded {
    /// Method number n is `functions[n]`; helper n is native code at `helpers[n - 1]`, 0 raises.
    fn new(functions: &[Function], features: u64, helpers: &[usize]) -> Loaded {
        let codes = functions.iter().map(|function| compile(function, features)).collect();
        Loaded(execution::Loaded::link(&Amd64, &options(features), codes, &RAISE, helpers))
    }

    /// Calls function 0; gives integer and float result.
    fn call(&self, integers: &[u64], floats: &[u64], stack: &[u64]) -> (u64, u64) {
        let words = |list: &[u64]| list.iter().map(|&word| word as usize).collect::<Vec<_>>();
        let mut thread = [0; 8];
        // SAFETY: the code obeys the convention, and the thread is as long as it reads.
        let results = unsafe { self.0.enter(thread.as_mut_ptr(), &words(integers), floats, &words(stack)) };
        (results[0], results[2])
    }
}

fn load(signature: &str, body: &str) -> Loaded {
    Loaded::new(&[parse(signature, body)], Amd64.host_features(), &[])
}

/// One instruction on two integers, in a function.
fn binary(name: &str, ty: &str, features: u64) -> Loaded {
    let body = format!("block0(v0: {ty}, v1: {ty}):\n v2 = {name}.{ty} v0, v1\n return v2");
    Loaded::new(&[parse(&format!("managed ({ty}, {ty}) -> {ty}"), &body)], features, &[])
}

const EDGES: [i64; 12] = [0, 1, -1, 2, 7, -7, 31, i32::MAX as i64, i32::MIN as i64, i64::MAX, i64::MIN, 0x1234_5678_9abc_def0];

#[test]
fn integer_arithmetic() {
    type Row = (&'static str, fn(i32, i32) -> Option<i32>, fn(i64, i64) -> Option<i64>);
    let rows: [Row; 14] = [
        ("iadd", |a, b| Some(a.wrapping_add(b)), |a, b| Some(a.wrapping_add(b))),
        ("isub", |a, b| Some(a.wrapping_sub(b)), |a, b| Some(a.wrapping_sub(b))),
        ("imul", |a, b| Some(a.wrapping_mul(b)), |a, b| Some(a.wrapping_mul(b))),
        ("iand", |a, b| Some(a & b), |a, b| Some(a & b)),
        ("ior", |a, b| Some(a | b), |a, b| Some(a | b)),
        ("ixor", |a, b| Some(a ^ b), |a, b| Some(a ^ b)),
        (
            "smul_high",
            |a, b| Some(((i64::from(a) * i64::from(b)) >> 32) as i32),
            |a, b| Some(((i128::from(a) * i128::from(b)) >> 64) as i64),
        ),
        (
            "umul_high",
            |a, b| Some(((u64::from(a as u32) * u64::from(b as u32)) >> 32) as i32),
            |a, b| Some(((u128::from(a as u64) * u128::from(b as u64)) >> 64) as i64),
        ),
        ("sadd_ovf", i32::checked_add, i64::checked_add),
        ("ssub_ovf", i32::checked_sub, i64::checked_sub),
        ("smul_ovf", i32::checked_mul, i64::checked_mul),
        (
            "uadd_ovf",
            |a, b| (a as u32).checked_add(b as u32).map(|x| x as i32),
            |a, b| (a as u64).checked_add(b as u64).map(|x| x as i64),
        ),
        (
            "usub_ovf",
            |a, b| (a as u32).checked_sub(b as u32).map(|x| x as i32),
            |a, b| (a as u64).checked_sub(b as u64).map(|x| x as i64),
        ),
        (
            "umul_ovf",
            |a, b| (a as u32).checked_mul(b as u32).map(|x| x as i32),
            |a, b| (a as u64).checked_mul(b as u64).map(|x| x as i64),
        ),
    ];
    const OVERFLOW: u64 = TRAP + 3;
    for (name, narrow, wide) in rows {
        let (code32, code64) = (binary(name, "i32", 0), binary(name, "i64", 0));
        for a in EDGES {
            for b in EDGES {
                let expected = narrow(a as i32, b as i32).map_or(OVERFLOW as u32, |value| value as u32);
                assert_eq!(code32.call(&[a as u64, b as u64], &[], &[]).0 as u32, expected, "{name}.i32 {a} {b}");
                let expected = wide(a, b).map_or(OVERFLOW, |value| value as u64);
                assert_eq!(code64.call(&[a as u64, b as u64], &[], &[]).0, expected, "{name}.i64 {a} {b}");
            }
        }
    }
}

#[test]
fn divisions() {
    type Row = (&'static str, fn(i32, i32) -> Option<i32>, fn(i64, i64) -> Option<i64>);
    let rows: [Row; 4] = [
        ("sdiv", i32::checked_div, i64::checked_div),
        ("srem", i32::checked_rem, i64::checked_rem),
        ("udiv", |a, b| Some((a as u32 / b as u32) as i32), |a, b| Some((a as u64 / b as u64) as i64)),
        ("urem", |a, b| Some((a as u32 % b as u32) as i32), |a, b| Some((a as u64 % b as u64) as i64)),
    ];
    for (name, narrow, wide) in rows {
        let (code32, code64) = (binary(name, "i32", 0), binary(name, "i64", 0));
        for a in EDGES {
            for b in EDGES {
                if b as i32 != 0 {
                    let expected = narrow(a as i32, b as i32).map_or(TRAP as u32 + 3, |value| value as u32);
                    assert_eq!(code32.call(&[a as u64, b as u64], &[], &[]).0 as u32, expected, "{name}.i32 {a} {b}");
                }
                if b != 0 {
                    let expected = wide(a, b).map_or(TRAP + 3, |value| value as u64);
                    assert_eq!(code64.call(&[a as u64, b as u64], &[], &[]).0, expected, "{name}.i64 {a} {b}");
                }
            }
        }
    }
}

#[test]
fn shifts_and_bit_counts() {
    let features = [0, Amd64.host_features()];
    for features in features {
        for (name, expected) in [
            ("ishl", (|a, n| a << n) as fn(i64, u32) -> i64),
            ("sshr", |a, n| a >> n),
            ("ushr", |a, n| (a as u64 >> n) as i64),
            ("rotl", |a, n| a.rotate_left(n)),
        ] {
            let body = format!("block0(v0: i64, v1: i32):\n v2 = {name}.i64 v0, v1\n return v2");
            let code = Loaded::new(&[parse("managed (i64, i32) -> i64", &body)], features, &[]);
            for a in EDGES {
                for n in [0u32, 1, 31, 33, 63, 64, 67] {
                    assert_eq!(code.call(&[a as u64, u64::from(n)], &[], &[]).0 as i64, expected(a, n & 63), "{name} {a} {n}");
                }
            }
        }
        for (name, expected) in
            [("clz", i64::leading_zeros as fn(i64) -> u32), ("ctz", i64::trailing_zeros), ("popcnt", i64::count_ones)]
        {
            let body = format!("block0(v0: i64):\n v1 = {name}.i64 v0\n return v1");
            let code = Loaded::new(&[parse("managed (i64) -> i64", &body)], features, &[]);
            for a in EDGES {
                assert_eq!(code.call(&[a as u64], &[], &[]).0, u64::from(expected(a)), "{name} {a}");
            }
        }
    }
}

#[test]
fn comparisons_as_values_branches_and_selections() {
    for compare in IntCompare::ALL {
        let name = compare.name();
        let code = load(
            "managed (i32, i32) -> i32",
            &format!(
                "block0(v0: i32, v1: i32):\n v2 = icmp.i32 {name} v0, v1\n v3 = iconst.i32 10\n v4 = iconst.i32 20\n \
                 v5 = select.i32 v2, v3, v4\n v6 = iadd.i32 v2, v5\n brif v2 block1(v6), block2(v6)\n\
                 block1(v7: i32):\n v8 = iconst.i32 100\n v9 = iadd.i32 v7, v8\n return v9\nblock2(v10: i32):\n return v10"
            ),
        );
        for a in EDGES {
            for b in EDGES {
                let (x, y) = (a as i32, b as i32);
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
                let expected = if holds { 111 } else { 20 };
                assert_eq!(code.call(&[a as u64, b as u64], &[], &[]).0 as u32, expected, "{name} {x} {y}");
            }
        }
    }
}

#[test]
fn float_comparisons_with_nan() {
    let numbers = [0.0, -0.0, 1.5, -1.5, f64::INFINITY, f64::NAN];
    for compare in FloatCompare::ALL {
        let name = compare.name();
        let code = load(
            "managed (f64, f64) -> i32",
            &format!(
                "block0(v0: f64, v1: f64):\n v2 = fcmp.i32 {name} v0, v1\n v3 = iconst.i32 10\n v4 = iconst.i32 20\n \
                 v5 = select.i32 v2, v3, v4\n v6 = iadd.i32 v2, v5\n brif v2 block1(v6), block2(v6)\n\
                 block1(v7: i32):\n v8 = iconst.i32 100\n v9 = iadd.i32 v7, v8\n return v9\nblock2(v10: i32):\n return v10"
            ),
        );
        for a in numbers {
            for b in numbers {
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
                let result = code.call(&[], &[a.to_bits(), b.to_bits()], &[]).0 as u32;
                assert_eq!(result, expected, "{name} {a} {b}");
            }
        }
    }
}

#[test]
fn conversions() {
    let to_float = load("managed (i64) -> f64", "block0(v0: i64):\n v1 = uint_to_float.f64 v0\n return v1");
    let signed = load("managed (i64) -> f64", "block0(v0: i64):\n v1 = sint_to_float.f64 v0\n return v1");
    for a in EDGES {
        assert_eq!(f64::from_bits(to_float.call(&[a as u64], &[], &[]).1), a as u64 as f64);
        assert_eq!(f64::from_bits(signed.call(&[a as u64], &[], &[]).1), a as f64);
    }
    let to_int = load("managed (f64) -> i64", "block0(v0: f64):\n v1 = float_to_uint.i64 v0\n return v1");
    for a in [0.0, 1.9, 1e18, 9.3e18, 1.8e19] {
        assert_eq!(to_int.call(&[], &[f64::to_bits(a)], &[]).0, a as u64);
    }
    let there_and_back =
        load("managed (f64) -> f64", "block0(v0: f64):\n v1 = float_to_uint.i32 v0\n v2 = uint_to_float.f64 v1\n return v2");
    assert_eq!(f64::from_bits(there_and_back.call(&[], &[f64::to_bits(-1.0)], &[]).1), 4294967295.0);
    let narrow = load("managed (f64) -> i32", "block0(v0: f64):\n v1 = float_to_sint.i32 v0\n return v1");
    for (a, expected) in [(1.9, 1), (-1.9, -1), (3e9, i32::MIN), (f64::NAN, i32::MIN)] {
        assert_eq!(narrow.call(&[], &[f64::to_bits(a)], &[]).0 as i32, expected);
    }
}

#[test]
fn a_switch_goes_to_its_case_or_the_default() {
    let code = load(
        "managed (i32) -> i32",
        "block0(v0: i32):\n br_table v0 block4, block1, block2, block3, block1\n\
         block1:\n v1 = iconst.i32 11\n return v1\nblock2:\n v2 = iconst.i32 12\n return v2\n\
         block3:\n v3 = iconst.i32 13\n return v3\nblock4:\n v4 = iconst.i32 99\n return v4",
    );
    for (index, expected) in [(0, 11), (1, 12), (2, 13), (3, 11), (4, 99), (-1i64, 99), (i64::from(i32::MIN), 99)] {
        assert_eq!(code.call(&[index as u64], &[], &[]).0, expected, "case {index}");
    }
}

#[test]
fn a_loop_swaps_its_variables() {
    // Fibonacci numbers: both parameters change at once on the back edge.
    let code = load(
        "managed (i64) -> i64",
        "block0(v0: i64):\n v1 = iconst.i64 0\n v2 = iconst.i64 1\n jump block1(v0, v1, v2)\n\
         block1(v3: i64, v4: i64, v5: i64):\n v6 = iconst.i64 0\n v7 = icmp.i32 eq v3, v6\n brif v7 block2, block3\n\
         block2:\n return v4\n\
         block3:\n v8 = iconst.i64 1\n v9 = isub.i64 v3, v8\n v10 = iadd.i64 v4, v5\n jump block1(v9, v5, v10)",
    );
    assert_eq!(code.call(&[50], &[], &[]).0, 12_586_269_025);
}

#[test]
fn calls_pass_many_arguments() {
    let ints: Vec<String> = (0..9).map(|index| format!("v{index}: i64")).collect();
    let floats: Vec<String> = (9..19).map(|index| format!("v{index}: f64")).collect();
    let types = format!("{}, {}", ["i64"; 9].join(", "), ["f64"; 10].join(", "));
    let mut callee = format!("block0({}, {}):\n v20 = iconst.i64 0\n", ints.join(", "), floats.join(", "));
    let mut sum = 20;
    for index in 0..9 {
        callee +=
            &format!(" v{} = iconst.i64 {}\n v{} = imul.i64 v{index}, v{}\n", 100 + index, index + 1, 120 + index, 100 + index);
        callee += &format!(" v{} = iadd.i64 v{sum}, v{}\n", 140 + index, 120 + index);
        sum = 140 + index;
    }
    for index in 9..19 {
        callee +=
            &format!(" v{} = float_to_sint.i64 v{index}\n v{} = iadd.i64 v{sum}, v{}\n", 160 + index, 180 + index, 160 + index);
        sum = 180 + index;
    }
    callee += &format!(" return v{sum}");
    let mut caller = format!(" sig0 = managed ({types}) -> i64\n sym0 = method 1 \"callee\"\nblock0(v0: i64):\n");
    let mut args = Vec::new();
    for index in 0..9 {
        caller += &format!(" v{} = iconst.i64 {index}\n v{} = iadd.i64 v0, v{}\n", 10 + index, 30 + index, 10 + index);
        args.push(format!("v{}", 30 + index));
    }
    for index in 0..10 {
        caller += &format!(
            " v{} = sint_to_float.f64 v{}\n",
            50 + index,
            if index == 9 { "0".into() } else { (30 + index).to_string() }
        );
        args.push(format!("v{}", 50 + index));
    }
    caller += &format!(" v80 = call sym0 sig0 {}\n v81 = iadd.i64 v80, v0\n return v81", args.join(", "));
    let functions = [parse("managed (i64) -> i64", &caller), parse(&format!("managed ({types}) -> i64"), &callee)];
    let code = Loaded::new(&functions, 0, &[]);
    let x = 1000i64;
    let expected: i64 = (0..9).map(|i| (x + i) * (i + 1)).sum::<i64>() + (0..9).map(|i| x + i).sum::<i64>() + x + x;
    assert_eq!(code.call(&[x as u64], &[], &[]).0 as i64, expected);
}

extern "C" fn helper(a: i64, b: f64) -> i64 {
    a * 2 + b as i64
}

#[test]
fn native_helpers_are_called_through_their_cells() {
    let function = parse(
        "managed (i64, f64) -> i64",
        " sig0 = native (i64, f64) -> i64\n sym0 = helper 1 \"helper\"\nblock0(v0: i64, v1: f64):\n \
         v2 = call sym0 sig0 v0, v1\n v3 = iadd.i64 v2, v0\n return v3",
    );
    let code = Loaded::new(&[function], 0, &[helper as *const () as usize]);
    assert_eq!(code.call(&[7], &[3.0f64.to_bits()], &[]).0, 24);
}

#[test]
fn stack_slots_copies_and_the_dynamic_stack() {
    let code = load(
        "managed (i64, i64) -> i64",
        " ss0 = slot 40 align 8\n ss1 = slot 40 align 8\nblock0(v0: i64, v1: i64):\n v2 = stack_addr.mptr ss0\n \
         v3 = stack_addr.mptr ss1\n zero_memory 39 v2\n store v2, v0 [i64 +8 no_trap]\n store v2, v1 [i64 +31 no_trap]\n \
         copy_memory 39 v3, v2\n v4 = load.i64 v3 [i64 +8 no_trap]\n v5 = load.i64 v3 [i64 +31 no_trap]\n \
         v6 = load.i64 v3 [i64 +16 no_trap]\n v7 = iadd.i64 v4, v5\n v8 = iadd.i64 v7, v6\n return v8",
    );
    assert_eq!(code.call(&[5, 9], &[], &[]).0, 14);
    let code = load(
        "managed (iptr, i64) -> i64",
        "block0(v0: iptr, v1: i64):\n v2 = stack_alloc.iptr v0\n v3 = stack_alloc.iptr v0\n store v2, v1 [i64 no_trap]\n \
         store v3, v0 [iptr no_trap]\n v4 = load.i64 v2 [i64 no_trap]\n return v4",
    );
    assert_eq!(code.call(&[100_000, 77], &[], &[]).0, 77);
    assert_eq!(code.call(&[16, 78], &[], &[]).0, 78);
}

#[test]
fn checks_raise() {
    let code =
        load("managed (i32, i32) -> i32", "block0(v0: i32, v1: i32):\n bounds_check v0, v1\n v2 = iconst.i32 5\n return v2");
    assert_eq!(code.call(&[3, 4], &[], &[]).0, 5);
    assert_eq!(code.call(&[4, 4], &[], &[]).0, TRAP + 1);
    assert_eq!(code.call(&[-1i64 as u64, 4], &[], &[]).0, TRAP + 1);
}

#[test]
fn allocation_takes_from_the_window_or_gives_null() {
    let body = "block0(v0: iptr, v1: iptr, v2: iptr, v3: iptr):\n v4 = thread.iptr\n store v4, v0 [iptr +24 no_trap]\n \
         store v4, v1 [iptr +32 no_trap]\n v5 = trunc.i32 v2\n \
         v6 = try_allocate.ref v3, v2, v5 [cursor 24 limit 32 method_table 0 length 12]\n v7 = load.iptr v4 [iptr +24 no_trap]\n \
         store v3, v7 [iptr no_trap]\n return v6";
    let code = load("managed (iptr, iptr, iptr, iptr) -> ref", body);
    for (size, fits) in [(16, true), (32, true), (40, false)] {
        let mut window = [0u64; 4];
        let mut cursor = 0u64;
        let start = window.as_mut_ptr() as u64;
        let method_table = &raw mut cursor as u64;
        let object = code.call(&[start, start + 32, size, method_table], &[], &[]).0;
        assert_eq!((object, cursor), if fits { (start, start + size) } else { (0, start) });
        assert_eq!(window, if fits { [method_table, size << 32, 0, 0] } else { [0; 4] });
    }
    let code = compile(&parse("managed (iptr, iptr, iptr, iptr) -> ref", body), 0);
    let &[(start, end)] = code.uninterruptible.as_slice() else { panic!("one range") };
    let text = Amd64.disassemble(&code.bytes[start as usize..end as usize], 0);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("lea") && lines.last().is_some_and(|line| line.contains("mov [r15+0x18],")), "{text}");
}
