//! Legalisation keeps the meaning: each opcode with 64-bit operands over the values where something can go wrong, and for each
//! the interpreter's answer before and after. Helpers are Rust functions.

mod common;

use common::{add_helpers, join, split};
use ir::Function;
use ir::interpreter::{Abrupt, Bits, FlatHost, World, interpret};
use ir::legalize::LegalizeOptions;
use ir::parse::parse_function;
use ir::pass_manager::{Pass, PassContext, find_pass};
use ir::types::Type;
use ir::verify::{verify, verify_legal};
use std::cell::RefCell;

/// 64-bit numbers at which something changes.
fn integers() -> Vec<i64> {
    let mut numbers = vec![0x5555_5555_5555_5555, 0x0123_4567_89ab_cdef, 86_400_000_000, -86_400_000_001, 0xffff_0000, 10, -10];
    for power in [0, 1, 15, 30, 31, 32, 33, 47, 62, 63] {
        let edge = 1i64 << power;
        numbers.extend([edge.wrapping_sub(1), edge, edge.wrapping_add(1)]);
        numbers.extend([edge.wrapping_sub(1), edge, edge.wrapping_add(1)].map(|number: i64| number.wrapping_neg()));
    }
    numbers.extend([i64::MAX, i64::MIN, 0x5555_5555, 0xaaaa_aaaa_u32 as i64, 0xaaaa_aaaa_aaaa_aaaa_u64 as i64, u32::MAX as i64]);
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Floats around the limits of the integers.
fn floats() -> Vec<f64> {
    let mut numbers = vec![0.0, -0.0, 0.5, -0.5, 0.999, 1.5, -1.5, 1e10, -1e10, 1e300, -1e300, 123_456_789_012.75];
    numbers.extend([f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 4_503_599_627_370_497.5]);
    for power in [0, 23, 24, 31, 32, 52, 53, 62, 63, 64] {
        let edge = f64::from(power).exp2();
        let neighbours = [edge.to_bits() - 1, edge.to_bits() + 1].map(f64::from_bits);
        let below = f32::from_bits((edge as f32).to_bits() - 1);
        let near = [edge, neighbours[0], neighbours[1], edge - 1.0, edge + 1.0, f64::from(below)];
        numbers.extend(near.iter().flat_map(|&number| [number, -number]));
    }
    numbers
}

/// An argument in the interpreter's form, before and after.
#[derive(Clone, Copy, Debug)]
enum Argument {
    Wide(i64),
    Word(i32),
    Single(f32),
    Double(f64),
}

impl Argument {
    fn whole(self) -> Vec<Bits> {
        vec![match self {
            Argument::Wide(value) => Bits::from(value as u64),
            Argument::Word(value) => Bits::from(i64::from(value) as u64),
            Argument::Single(value) => Bits::from(value.to_bits()),
            Argument::Double(value) => Bits::from(value.to_bits()),
        }]
    }
    fn split(self) -> Vec<Bits> {
        match self {
            Argument::Wide(value) => split(value).to_vec(),
            other => other.whole(),
        }
    }
}

thread_local! {
    /// A host for functions that leave nothing in memory.
    static HOST: RefCell<FlatHost> = {
        let mut host = FlatHost::new();
        add_helpers(&mut host, &LegalizeOptions::for_tests());
        RefCell::new(host)
    };
}

/// A function before legalisation, after it, and after it and the folding of what it made.
struct Case {
    original: Function,
    legal: Vec<Function>,
}

impl Case {
    fn new(text: &str) -> Case {
        let options = LegalizeOptions { software_division: true, ..LegalizeOptions::for_tests() };
        let original = parse_function(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        verify(&original).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        let pass = |name| find_pass(name).expect("the pass exists");
        let run = |passes: &[&Pass]| {
            let mut function = original.clone();
            let mut context = PassContext { legalize: Some(&options), ..PassContext::default() };
            for pass in passes {
                context.scratch.control_flow.invalidate();
                (pass.run)(&mut function, &mut context);
                verify(&function).unwrap_or_else(|errors| panic!("after {}: {errors}\n{function}", pass.name));
            }
            verify_legal(&function).unwrap_or_else(|errors| panic!("{errors}\n{function}"));
            function
        };
        let legal = vec![
            run(&[pass("legalize")]),
            run(&["legalize", "constant-folding", "value-numbering", "dead-code", "branch-cleanup"].map(pass)),
        ];
        Case { original, legal }
    }

    fn run(&self, function: &Function, args: Vec<Bits>) -> Result<Vec<Bits>, Abrupt> {
        HOST.with_borrow_mut(|host| interpret(function, host, &args, &mut 10_000).map(|results| results.to_vec()))
    }

    fn check(&self, args: &[Argument]) {
        let mut results = self.run(&self.original, args.iter().flat_map(|arg| arg.whole()).collect());
        if let Ok(values) = &mut results {
            let types = &self.original.signature().results;
            let halves = |(&value, &ty): (&Bits, &Type)| match ty {
                Type::I64 => split(value as u64 as i64).to_vec(),
                _ => vec![value],
            };
            *values = values.iter().zip(types).flat_map(halves).collect();
        }
        for legal in &self.legal {
            let actual = self.run(legal, args.iter().flat_map(|arg| arg.split()).collect());
            assert_eq!(actual, results, "{args:x?}\n{}\n{legal}", self.original);
        }
    }
}

fn function(params: &str, result: &str, body: &str) -> String {
    let names = params.split(", ").enumerate().map(|(index, ty)| format!("v{index}: {ty}")).collect::<Vec<_>>().join(", ");
    format!("function \"Case\" pointer 4 managed ({params}) -> {result} {{\nblock0({names}):\n{body}}}\n")
}

/// `opcode` on two variables, and on a variable and each constant on either side.
fn check_binary(opcode: &str, constants: bool) {
    let numbers = integers();
    let both = Case::new(&function("i64, i64", "i64", &format!("    v2 = {opcode}.i64 v0, v1\n    return v2\n")));
    for &a in &numbers {
        for &b in &numbers {
            both.check(&[Argument::Wide(a), Argument::Wide(b)]);
        }
    }
    for &constant in numbers.iter().filter(|_| constants) {
        for operands in ["v0, v1", "v1, v0"] {
            let body = format!("    v1 = iconst.i64 {constant}\n    v2 = {opcode}.i64 {operands}\n    return v2\n");
            let case = Case::new(&function("i64", "i64", &body));
            numbers.iter().for_each(|&number| case.check(&[Argument::Wide(number)]));
        }
    }
}

#[test]
fn arithmetic() {
    for opcode in ["iadd", "isub", "imul", "sdiv", "udiv", "srem", "urem", "iand", "ior", "ixor"] {
        check_binary(opcode, true);
    }
}

#[test]
fn checked_arithmetic_and_high_products() {
    for opcode in ["sadd_ovf", "uadd_ovf", "ssub_ovf", "usub_ovf", "smul_ovf", "umul_ovf", "smul_high", "umul_high"] {
        check_binary(opcode, opcode != "smul_high");
    }
}

#[test]
fn products_of_extended_words() {
    let words = [0, 1, -1, 2, 3, -7, 65_536, i32::MAX, i32::MIN, i32::MIN + 1];
    for opcode in ["imul", "smul_ovf", "umul_ovf"] {
        for (first, second) in [("sext", "sext"), ("zext", "zext"), ("sext", "zext")] {
            let body =
                format!("    v2 = {first}.i64 v0\n    v3 = {second}.i64 v1\n    v4 = {opcode}.i64 v2, v3\n    return v4\n");
            let case = Case::new(&function("i32, i32", "i64", &body));
            for a in words {
                words.iter().for_each(|&b| case.check(&[Argument::Word(a), Argument::Word(b)]));
            }
        }
    }
}

#[test]
fn divisions_of_words() {
    let words = [0, 1, -1, 2, 3, -7, 65_536, i32::MAX, i32::MIN, i32::MIN + 1];
    for opcode in ["sdiv", "udiv", "srem", "urem"] {
        for ty in ["i32", "iptr"] {
            let text = function(&format!("{ty}, {ty}"), ty, &format!("    v2 = {opcode}.{ty} v0, v1\n    return v2\n"));
            let case = Case::new(&text);
            for a in words {
                words.iter().for_each(|&b| case.check(&[Argument::Word(a), Argument::Word(b)]));
            }
        }
    }
}

#[test]
fn shifts() {
    for opcode in ["ishl", "sshr", "ushr", "rotl"] {
        let variable = Case::new(&function("i64, i32", "i64", &format!("    v2 = {opcode}.i64 v0, v1\n    return v2\n")));
        for amount in (-1..=65).chain([i32::MAX, i32::MIN, 1000]) {
            let body = format!("    v1 = iconst.i32 {amount}\n    v2 = {opcode}.i64 v0, v1\n    return v2\n");
            let constant = Case::new(&function("i64", "i64", &body));
            for number in integers() {
                variable.check(&[Argument::Wide(number), Argument::Word(amount)]);
                constant.check(&[Argument::Wide(number)]);
            }
        }
    }
}

#[test]
fn single_operands() {
    for opcode in ["ineg", "inot", "clz", "ctz", "popcnt", "bswap"] {
        let case = Case::new(&function("i64", "i64", &format!("    v1 = {opcode}.i64 v0\n    return v1\n")));
        integers().into_iter().for_each(|number| case.check(&[Argument::Wide(number)]));
    }
}

const COMPARES: [&str; 10] = ["eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge"];

/// As a value, as a branch, as a branch in another block, and of both uses.
const COMPARE_USES: [&str; 4] = [
    "    return v9\n",
    "    brif v9 block1(v8), block1(v7)\nblock1(v6: i32):\n    return v6\n",
    "    jump block1\nblock1:\n    brif v9 block2, block3\nblock2:\n    return v8\nblock3:\n    return v7\n",
    "    brif v9 block1, block2\nblock1:\n    return v8\nblock2:\n    return v9\n",
];

#[test]
fn compares() {
    let numbers = integers();
    for compare in COMPARES {
        for after in COMPARE_USES {
            let constants = "    v7 = iconst.i32 20\n    v8 = iconst.i32 10\n";
            let body = format!("{constants}    v9 = icmp.i32 {compare} v0, v1\n{after}");
            let case = Case::new(&function("i64, i64", "i32", &body));
            for &a in &numbers {
                numbers.iter().for_each(|&b| case.check(&[Argument::Wide(a), Argument::Wide(b)]));
            }
            for &constant in &numbers {
                for operands in ["v0, v1", "v1, v0"] {
                    let definition = format!("    v1 = iconst.i64 {constant}\n");
                    let body = format!("{constants}{definition}    v9 = icmp.i32 {compare} {operands}\n{after}");
                    let case = Case::new(&function("i64", "i32", &body));
                    numbers.iter().for_each(|&number| case.check(&[Argument::Wide(number)]));
                }
            }
        }
    }
}

#[test]
fn compares_of_extended_words() {
    let words = [0, 1, -1, 2, -7, 65_536, i32::MAX, i32::MIN, i32::MIN + 1];
    let sign = "    v20 = iconst.i32 63\n";
    for compare in COMPARES {
        for (first, second) in [("sext", "sext"), ("zext", "zext"), ("sext", "zext"), ("zext", "sext")] {
            for operands in ["v2, v3", "v4, v5", "v2, v5", "v4, v6"] {
                let extended = format!("    v2 = {first}.i64 v0\n    v3 = {second}.i64 v1\n    v6 = iconst.i64 -1\n");
                let signs = format!("{sign}    v4 = sshr.i64 v2, v20\n    v5 = sshr.i64 v3, v20\n");
                let body = format!("{extended}{signs}    v7 = icmp.i32 {compare} {operands}\n    return v7\n");
                let case = Case::new(&function("i32, i32", "i32", &body));
                for a in words {
                    words.iter().for_each(|&b| case.check(&[Argument::Word(a), Argument::Word(b)]));
                }
            }
        }
    }
}

#[test]
fn integer_conversions() {
    for (from, opcode, to) in [
        ("i32", "sext", "i64"),
        ("i32", "zext", "i64"),
        ("iptr", "sext", "i64"),
        ("iptr", "zext", "i64"),
        ("i64", "trunc", "i32"),
        ("i64", "trunc", "iptr"),
    ] {
        let case = Case::new(&function(from, to, &format!("    v1 = {opcode}.{to} v0\n    return v1\n")));
        for number in integers() {
            case.check(&[if from == "i64" { Argument::Wide(number) } else { Argument::Word(number as i32) }]);
        }
    }
}

#[test]
fn float_conversions() {
    for opcode in ["sint_to_float", "uint_to_float"] {
        for ty in ["f32", "f64"] {
            let case = Case::new(&function("i64", ty, &format!("    v1 = {opcode}.{ty} v0\n    return v1\n")));
            integers().into_iter().for_each(|number| case.check(&[Argument::Wide(number)]));
            // Near the middle between two floats, where rounding twice gives another result than rounding once.
            let halfway =
                [0x7fff_ffbf_ffff_ffff, 0x7fff_ffc0_0000_0001, 0x8000_0080_0000_0001, 0x0100_0001_0000_0001, 1 << 53 | 1];
            halfway.into_iter().for_each(|number: u64| case.check(&[Argument::Wide(number as i64)]));
        }
    }
    for opcode in ["float_to_sint", "float_to_uint"] {
        let body = format!("    v1 = {opcode}.i64 v0\n    return v1\n");
        let (single, double) = (Case::new(&function("f32", "i64", &body)), Case::new(&function("f64", "i64", &body)));
        for number in floats() {
            double.check(&[Argument::Double(number)]);
            single.check(&[Argument::Single(number as f32)]);
        }
    }
    let case = Case::new(&function("f64", "i64", "    v1 = bitcast.i64 v0\n    return v1\n"));
    floats().into_iter().for_each(|number| case.check(&[Argument::Double(number)]));
    let case = Case::new(&function("i64", "f64", "    v1 = bitcast.f64 v0\n    return v1\n"));
    integers().into_iter().for_each(|number| case.check(&[Argument::Wide(number)]));
}

#[test]
fn selection_and_bounds() {
    let case = Case::new(&function("i32, i64, i64", "i64", "    v3 = select.i64 v0, v1, v2\n    return v3\n"));
    for condition in [0, 1, -1] {
        case.check(&[Argument::Word(condition), Argument::Wide(0x1_0000_0002), Argument::Wide(-3)]);
    }
    let case = Case::new(&function("i64, i64", "i64", "    bounds_check v0, v1\n    return v0\n"));
    for a in integers() {
        integers().into_iter().for_each(|b| case.check(&[Argument::Wide(a), Argument::Wide(b)]));
    }
}

/// Memory: what is in it afterwards is part of the result, and a bad address raises and writes nothing.
#[test]
fn accesses() {
    const START: u64 = FlatHost::BASE + 0x1000;
    for body in [
        "    v3 = load.i64 v0 [i64 +8]\n    store v0, v1 [i64 +16]\n",
        "    v3 = load.i64 v0 [i64 +8 volatile]\n    store v0, v1 [i64 +16 volatile]\n",
        "    v3 = load.i64 v0 [i64 +3 volatile unaligned]\n    store v0, v1 [i64 +13 volatile unaligned]\n",
        "    v3 = atomic_add.i64 v0, v1 [i64 +8]\n",
        "    v3 = atomic_exchange.i64 v0, v1 [i64 +8]\n",
        "    v3 = atomic_compare_exchange.i64 v0, v1, v2 [i64 +8]\n",
        "    store v0, v2 [i64 +8]\n    v3 = atomic_compare_exchange.i64 v0, v2, v1 [i64 +8]\n",
    ] {
        let case = Case::new(&function("mptr, i64, i64", "i64", &format!("{body}    return v3\n")));
        for address in [START, 0] {
            let args = [Argument::Word(address as i32), Argument::Wide(-0x1234_5678_9abc), Argument::Wide(0x7_ffff_ffff)];
            let observe = |function: &Function, args: Vec<Bits>| {
                let mut host = FlatHost::new();
                add_helpers(&mut host, &LegalizeOptions::for_tests());
                let bytes: Vec<u8> = (0..32u8).map(|byte| byte.wrapping_mul(0x35) ^ 0xc0).collect();
                host.write(START, &bytes);
                let result = interpret(function, &mut host, &args, &mut 1000);
                let mut memory = [0; 32];
                host.read(START, &mut memory);
                (result, memory)
            };
            let (expected, memory) = observe(&case.original, args.iter().flat_map(|arg| arg.whole()).collect());
            for legal in &case.legal {
                let (actual, same) = observe(legal, args.iter().flat_map(|arg| arg.split()).collect());
                let actual = actual.map(|results| join(results[0], results[1]));
                assert_eq!(actual, expected.clone().map(|results| results[0] as u64 as i64), "{legal}");
                assert_eq!(memory, same, "{legal}");
            }
        }
    }
}
