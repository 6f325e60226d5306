//! Execution on the host. Traps end in a stub that returns the code as `TRAP` + code from the raising function.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use crate::Amd64;
use backend_testing::{Call, TRAP, cases, random};
use ir::Function;
use ir::instruction::SourceOffset;
use ir::mach::{Backend, CodegenOptions, CompiledCode};

const OVERFLOW: u64 = TRAP as u64 + 3;

fn options(cpu_features: u64) -> CodegenOptions {
    backend_testing::options(&Amd64, cpu_features)
}

fn parse(signature: &str, body: &str) -> Function {
    backend_testing::parse(&Amd64, signature, body)
}

fn compile(function: &Function, cpu_features: u64) -> CompiledCode {
    backend_testing::compile(&Amd64, function, &options(cpu_features))
}

/// Code of the raise helper: result = `TRAP` + code, and out of the frame that raised.
const RAISE: [u8; 8] = [0x8d, 0x87, 0x00, 0x00, 0x00, 0x10, 0xc9, 0xc3];

/// Functions in executable memory.
struct Loaded(backend_testing::Loaded);

impl Loaded {
    /// Method number n is `functions[n]`; helper n is native code at `helpers[n - 1]`, 0 raises.
    fn new(functions: &[Function], features: u64, helpers: &[usize]) -> Loaded {
        let codes = functions.iter().map(|function| compile(function, features)).collect();
        Loaded(backend_testing::Loaded::link(&Amd64, &options(features), codes, &RAISE, helpers))
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

fn call_of(code: Loaded) -> Call {
    Box::new(move |integers, floats| {
        let words: Vec<u64> = integers.iter().map(|&integer| integer as u64).collect();
        let (integer, float) = code.call(&words, floats, &[]);
        (integer as u32, float)
    })
}

fn load(signature: &str, body: &str) -> Loaded {
    Loaded::new(&[parse(signature, body)], Amd64.host_features(), &[])
}

/// On a processor with none of the features that are asked for, and on this one.
#[test]
fn cases_of_every_machine() {
    for features in [0, Amd64.host_features()] {
        let load: cases::Load = &|signature, body| call_of(Loaded::new(&[parse(signature, body)], features, &[]));
        cases::integer_arithmetic(load);
        cases::divisions(load);
        cases::shifts_and_bit_counts(load);
        cases::integer_comparisons(load);
        cases::float_comparisons(load);
        cases::float_arithmetic_and_constants(load);
        cases::conversions(load);
        cases::switches(load);
        cases::swapping_loops(load);
        cases::many_values(load);
        cases::stack_memory(load, 16);
        cases::checks_raise(load);
    }
}

#[test]
fn random_functions() {
    fn loaded(code: CompiledCode) -> Call {
        call_of(Loaded(backend_testing::Loaded::link(&Amd64, &options(0), vec![code], &RAISE, &[])))
    }
    random::functions(&Amd64, Amd64.host_features(), Some(loaded));
}

const EDGES: [i64; 12] = [0, 1, -1, 2, 7, -7, 31, i32::MAX as i64, i32::MIN as i64, i64::MAX, i64::MIN, 0x1234_5678_9abc_def0];

/// What an instruction on two 64-bit integers gives; nothing if it raises.
type Binary = (&'static str, fn(i64, i64) -> Option<i64>);

fn check_binary((name, expected): Binary, is_allowed: fn(i64) -> bool) {
    let body = format!("block0(v0: i64, v1: i64):\n v2 = {name}.i64 v0, v1\n return v2");
    let code = Loaded::new(&[parse("managed (i64, i64) -> i64", &body)], 0, &[]);
    for a in EDGES {
        for b in EDGES.into_iter().filter(|&b| is_allowed(b)) {
            let expected = expected(a, b).map_or(OVERFLOW, |value| value as u64);
            assert_eq!(code.call(&[a as u64, b as u64], &[], &[]).0, expected, "{name} {a} {b}");
        }
    }
}

#[test]
fn arithmetic_on_64_bits() {
    let rows: [Binary; 14] = [
        ("iadd", |a, b| Some(a.wrapping_add(b))),
        ("isub", |a, b| Some(a.wrapping_sub(b))),
        ("imul", |a, b| Some(a.wrapping_mul(b))),
        ("iand", |a, b| Some(a & b)),
        ("ior", |a, b| Some(a | b)),
        ("ixor", |a, b| Some(a ^ b)),
        ("smul_high", |a, b| Some(((i128::from(a) * i128::from(b)) >> 64) as i64)),
        ("umul_high", |a, b| Some(((u128::from(a as u64) * u128::from(b as u64)) >> 64) as i64)),
        ("sadd_ovf", i64::checked_add),
        ("ssub_ovf", i64::checked_sub),
        ("smul_ovf", i64::checked_mul),
        ("uadd_ovf", |a, b| (a as u64).checked_add(b as u64).map(|x| x as i64)),
        ("usub_ovf", |a, b| (a as u64).checked_sub(b as u64).map(|x| x as i64)),
        ("umul_ovf", |a, b| (a as u64).checked_mul(b as u64).map(|x| x as i64)),
    ];
    for row in rows {
        check_binary(row, |_| true);
    }
    let divisions: [Binary; 4] = [
        ("sdiv", i64::checked_div),
        ("srem", i64::checked_rem),
        ("udiv", |a, b| (a as u64).checked_div(b as u64).map(|x| x as i64)),
        ("urem", |a, b| (a as u64).checked_rem(b as u64).map(|x| x as i64)),
    ];
    for row in divisions {
        check_binary(row, |divisor| divisor != 0);
    }
}

#[test]
fn shifts_and_bit_counts_on_64_bits() {
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
fn conversions_of_64_bits() {
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
fn stack_memory_on_64_bits() {
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

#[test]
fn a_folded_load_traps_at_its_own_position() {
    let body = "block0(v0: ref, v1: i32):\n v2 = load.i32 v0 [i32 +16] @5\n v3 = iadd.i32 v1, v2 @9\n return v3 @9";
    let code = compile(&parse("managed (ref, i32) -> i32", body), 0);
    let [trap] = code.traps.as_slice() else { panic!("one trap") };
    let text = Amd64.disassemble(&code.bytes[trap.offset as usize..code.code_len as usize], 0);
    assert!(text.starts_with("add") || text.contains("add "), "{text}");
    let line = code.lines.iter().rev().find(|line| line.0 <= trap.offset).expect("a position");
    assert_eq!(line.1, SourceOffset(5));
}
