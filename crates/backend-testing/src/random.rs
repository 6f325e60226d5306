//! Random functions on 32-bit integers and floats: what a back end makes of them computes what the interpreter computes.

use crate::{Call, TRAP, compile, options, parse};
use ir::Function;
use ir::interpreter::{Abrupt, FlatHost, interpret};
use ir::mach::{Backend, CodegenOptions, CompiledCode};
use std::fmt::Write;

const SIGNATURE: &str = "managed (i32, i32, i32, f64, f32) -> i32, f64";
const FUNCTIONS: u64 = 120;
/// Bytes of the stack slot that loads and stores go to.
const SLOT_BYTES: u32 = 64;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit
    }
    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// Writes a function as text. Values are known by their numbers, in a list for each type.
struct Generator {
    random: Random,
    text: String,
    values: u32,
    blocks: u32,
    ints: Vec<u32>,
    doubles: Vec<u32>,
    singles: Vec<u32>,
}

impl Generator {
    fn function(seed: u64) -> String {
        let random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let (ints, doubles, singles) = (vec![0, 1, 2], vec![3], vec![4]);
        let mut generator = Generator { random, text: String::new(), values: 5, blocks: 1, ints, doubles, singles };
        let _ = writeln!(generator.text, " ss0 = slot {SLOT_BYTES} align 8");
        generator.line("block0(v0: i32, v1: i32, v2: i32, v3: f64, v4: f32):");
        let slot = generator.define("stack_addr.mptr ss0");
        generator.line(&format!("zero_memory {SLOT_BYTES} v{slot}"));
        generator.statements(3);
        generator.finish();
        generator.text
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, " {line}");
    }
    /// A new value.
    fn define(&mut self, instruction: &str) -> u32 {
        let value = self.values;
        self.values += 1;
        self.line(&format!("v{value} = {instruction}"));
        value
    }
    fn new_blocks<const N: usize>(&mut self) -> [u32; N] {
        std::array::from_fn(|_| {
            self.blocks += 1;
            self.blocks - 1
        })
    }

    fn int(&mut self) -> u32 {
        const CONSTANTS: [i64; 16] =
            [0, 1, -1, 2, 4, 9, 31, 255, -256, 4095, 4096, 0xffff, 0x1234_5678, -0x0765_4321, i32::MAX as i64, i32::MIN as i64];
        if self.random.below(4) == 0 {
            let constant = self.random.pick(&CONSTANTS);
            return self.define(&format!("iconst.i32 {constant}"));
        }
        // Late values more often than early ones.
        let from = if self.random.below(3) == 0 { 0 } else { self.ints.len() * 3 / 4 };
        let index = from + self.random.below(self.ints.len() - from);
        self.ints[index]
    }
    fn double(&mut self) -> u32 {
        const CONSTANTS: [u64; 6] =
            [0, 0x3ff0_0000_0000_0000, 0x41f0_0000_0010_0000, 0xc3d0_0000_0000_1234, 0x3fb9_9999_9999_999a, 1 << 63];
        if self.random.below(5) == 0 {
            let bits = self.random.pick(&CONSTANTS);
            return self.define(&format!("fconst.f64 {bits:#x}"));
        }
        let index = self.random.below(self.doubles.len());
        self.doubles[index]
    }
    fn single(&mut self) -> u32 {
        const CONSTANTS: [u32; 4] = [0, 0x3fc0_0000, 0x4f00_0001, 0xdead_beef];
        if self.random.below(5) == 0 {
            let bits = self.random.pick(&CONSTANTS);
            return self.define(&format!("fconst.f32 {bits:#x}"));
        }
        let index = self.random.below(self.singles.len());
        self.singles[index]
    }
    fn condition(&mut self) -> u32 {
        const INTEGER: [&str; 10] = ["eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge"];
        const FLOAT: [&str; 12] = ["oeq", "une", "olt", "ole", "ogt", "oge", "ueq", "one", "ult", "ule", "ugt", "uge"];
        match self.random.below(5) {
            0 => self.int(),
            1 => {
                let (a, b, compare) = (self.double(), self.double(), self.random.pick(&FLOAT));
                self.define(&format!("fcmp.i32 {compare} v{a}, v{b}"))
            }
            _ => {
                let (a, b, compare) = (self.int(), self.int(), self.random.pick(&INTEGER));
                self.define(&format!("icmp.i32 {compare} v{a}, v{b}"))
            }
        }
    }
    /// An address in the slot with a few bytes left behind it.
    fn address(&mut self) -> (u32, u32) {
        let slot = self.define("stack_addr.mptr ss0");
        if self.random.below(2) == 0 {
            return (slot, self.random.below(SLOT_BYTES as usize / 2 - 8) as u32 & !3);
        }
        let (index, mask) = (self.int(), self.define("iconst.i32 7"));
        let index = self.define(&format!("iand.i32 v{index}, v{mask}"));
        let (index, shift) = (self.define(&format!("zext.iptr v{index}")), self.define("iconst.i32 2"));
        let index = self.define(&format!("ishl.iptr v{index}, v{shift}"));
        let offset = if self.random.below(2) == 0 { 0 } else { 16 };
        (self.define(&format!("iadd.mptr v{slot}, v{index}")), offset)
    }

    fn statement(&mut self) {
        const BINARY: [&str; 12] =
            ["iadd", "isub", "imul", "iand", "ior", "ixor", "ishl", "sshr", "ushr", "rotl", "smul_high", "umul_high"];
        const DIVISIONS: [&str; 4] = ["sdiv", "udiv", "srem", "urem"];
        const RAISING: [&str; 4] = ["sadd_ovf", "uadd_ovf", "ssub_ovf", "smul_ovf"];
        const UNARY: [&str; 10] = ["ineg", "inot", "clz", "ctz", "popcnt", "bswap", "sext8", "sext16", "zext8", "zext16"];
        const FLOAT_BINARY: [&str; 4] = ["fadd", "fsub", "fmul", "fdiv"];
        const FLOAT_UNARY: [&str; 3] = ["fneg", "fabs", "fsqrt"];
        const ACCESSES: [&str; 5] = ["i8", "u8", "i16", "u16", "i32"];
        let choice = self.random.below(32);
        let made = match choice {
            0..=10 => {
                let (name, a, b) = (self.random.pick(&BINARY), self.int(), self.int());
                format!("{name}.i32 v{a}, v{b}")
            }
            // Division by zero is a fault of the processor on some machines: the odd divisor is none.
            11 if self.random.below(8) == 0 => {
                let (name, a, b, one) = (self.random.pick(&DIVISIONS), self.int(), self.int(), self.define("iconst.i32 1"));
                let odd = self.define(&format!("ior.i32 v{b}, v{one}"));
                format!("{name}.i32 v{a}, v{odd}")
            }
            12 if self.random.below(8) == 0 => {
                let (name, a, b) = (self.random.pick(&RAISING), self.int(), self.int());
                format!("{name}.i32 v{a}, v{b}")
            }
            11..=13 => format!("{}.i32 v{}", self.random.pick(&UNARY), self.int()),
            14 | 15 => {
                let (a, b, condition) = (self.int(), self.int(), self.condition());
                format!("select.i32 v{condition}, v{a}, v{b}")
            }
            16 => {
                let condition = self.condition();
                return self.ints.push(condition);
            }
            17 | 18 => {
                let ((address, offset), access) = (self.address(), self.random.pick(&ACCESSES));
                format!("load.i32 v{address} [{access} +{offset} no_trap]")
            }
            19 | 20 => {
                let ((address, offset), value, access) = (self.address(), self.int(), self.random.pick(&ACCESSES));
                return self.line(&format!("store v{address}, v{value} [{access} +{offset} no_trap]"));
            }
            21 => format!("float_to_sint.i32 v{}", self.double()),
            22 => format!("float_to_uint.i32 v{}", self.double()),
            23 => format!("float_to_uint.i32 v{}", self.single()),
            24 | 25 => {
                let (name, a, b) = (self.random.pick(&FLOAT_BINARY), self.double(), self.double());
                let value = self.define(&format!("{name}.f64 v{a}, v{b}"));
                return self.doubles.push(value);
            }
            26 => {
                let (name, a, b) = (self.random.pick(&FLOAT_BINARY), self.single(), self.single());
                let value = self.define(&format!("{name}.f32 v{a}, v{b}"));
                return self.singles.push(value);
            }
            27 => {
                let (name, a) = (self.random.pick(&FLOAT_UNARY), self.double());
                let value = self.define(&format!("{name}.f64 v{a}"));
                return self.doubles.push(value);
            }
            28 => {
                let (name, a) = (self.random.pick(&["sint_to_float", "uint_to_float"]), self.int());
                let value = self.define(&format!("{name}.f64 v{a}"));
                return self.doubles.push(value);
            }
            29 => {
                let (a, b, condition) = (self.double(), self.double(), self.condition());
                let value = self.define(&format!("select.f64 v{condition}, v{a}, v{b}"));
                return self.doubles.push(value);
            }
            30 => {
                let (a, b) = (self.single(), self.double());
                let (wide, narrow) = (self.define(&format!("fpromote.f64 v{a}")), self.define(&format!("fdemote.f32 v{b}")));
                self.doubles.push(wide);
                return self.singles.push(narrow);
            }
            _ => {
                let ((address, _), value) = (self.address(), self.double());
                self.line(&format!("store v{address}, v{value} [f64 no_trap]"));
                let loaded = self.define(&format!("load.f64 v{address} [f64 no_trap]"));
                return self.doubles.push(loaded);
            }
        };
        let value = self.define(&made);
        self.ints.push(value);
    }

    /// Straight lines with branches and loops between them, nested to `depth`.
    fn statements(&mut self, depth: u32) {
        for _ in 0..1 + self.random.below(3) {
            for _ in 0..1 + self.random.below(14) {
                self.statement();
            }
            match self.random.below(4) {
                _ if depth == 0 => {}
                0 => self.branch(depth - 1),
                1 => self.switch(depth - 1),
                2 => self.repeat(depth - 1),
                _ => {}
            }
        }
    }
    /// Statements in a block of their own, from which one integer goes on to `join`.
    fn arm(&mut self, block: u32, join: u32, depth: u32) {
        let known = (self.ints.len(), self.doubles.len(), self.singles.len());
        self.line(&format!("block{block}:"));
        self.statements(depth);
        let value = self.int();
        self.line(&format!("jump block{join}(v{value})"));
        self.ints.truncate(known.0);
        self.doubles.truncate(known.1);
        self.singles.truncate(known.2);
    }
    fn join(&mut self, block: u32) {
        let param = self.values;
        self.values += 1;
        self.line(&format!("block{block}(v{param}: i32):"));
        self.ints.push(param);
    }
    fn branch(&mut self, depth: u32) {
        let [taken, otherwise, join] = self.new_blocks();
        let condition = self.condition();
        self.line(&format!("brif v{condition} block{taken}, block{otherwise}"));
        self.arm(taken, join, depth);
        self.arm(otherwise, join, depth);
        self.join(join);
    }
    fn switch(&mut self, depth: u32) {
        let [default, first, second, join] = self.new_blocks();
        let (index, three) = (self.int(), self.define("iconst.i32 3"));
        let index = self.define(&format!("iand.i32 v{index}, v{three}"));
        self.line(&format!("br_table v{index} block{default}, block{first}, block{second}, block{default}"));
        self.arm(default, join, depth);
        self.arm(first, join, 0);
        self.arm(second, join, 0);
        self.join(join);
    }
    fn repeat(&mut self, depth: u32) {
        let [body, done] = self.new_blocks();
        let (count, start) = (self.random.below(4) + 1, self.int());
        let count = self.define(&format!("iconst.i32 {count}"));
        self.line(&format!("jump block{body}(v{count}, v{start})"));
        let (counter, carried) = (self.values, self.values + 1);
        self.values += 2;
        let known = (self.ints.len(), self.doubles.len(), self.singles.len());
        self.line(&format!("block{body}(v{counter}: i32, v{carried}: i32):"));
        self.ints.extend([counter, carried]);
        self.statements(depth);
        let (next, minus) = (self.int(), self.define("iconst.i32 -1"));
        let left = self.define(&format!("iadd.i32 v{counter}, v{minus}"));
        self.line(&format!("brif v{left} block{body}(v{left}, v{next}), block{done}(v{next})"));
        self.ints.truncate(known.0);
        self.doubles.truncate(known.1);
        self.singles.truncate(known.2);
        self.join(done);
    }
    fn finish(&mut self) {
        let mut result = 0;
        for value in self.ints.clone() {
            result = self.define(&format!("ixor.i32 v{result}, v{value}"));
        }
        let slot = self.define("stack_addr.mptr ss0");
        for offset in (0..SLOT_BYTES).step_by(4) {
            let word = self.define(&format!("load.i32 v{slot} [i32 +{offset} no_trap]"));
            result = self.define(&format!("iadd.i32 v{result}, v{word}"));
        }
        let float = self.double();
        self.line(&format!("return v{result}, v{float}"));
    }
}

/// Compiles random functions for a processor with these features, with their register allocation proved. Where `load` can load what was compiled, it
/// computes what the interpreter computes.
///
/// # Panics
/// If one does not compile, or gives something else.
pub fn functions(backend: &dyn Backend, features: u64, load: Option<fn(CompiledCode) -> Call>) {
    for seed in 0..FUNCTIONS {
        let function = parse(backend, SIGNATURE, &Generator::function(seed));
        let code =
            compile(backend, &function, &CodegenOptions { optimize_allocation: seed % 2 == 0, ..options(backend, features) });
        assert!(code.code_len > 0, "seed {seed}");
        if let Some(load) = load {
            check(seed, &function, &load(code));
        }
    }
}

/// Compares results with the interpreter's.
fn check(seed: u64, function: &Function, call: &Call) {
    const ARGUMENTS: [([i32; 3], f64, f32); 4] = [
        ([0, 0, 0], 0.0, 0.0),
        ([1, -1, 0x1234_5678], -3.75e9, 1e20),
        ([i32::MIN, 7, -0x7000_0001], 4_294_967_295.5, -7.5),
        ([31, 0x8001, i32::MAX], f64::NAN, f32::INFINITY),
    ];
    for (ints, double, single) in ARGUMENTS {
        let bits: Vec<u128> = ints
            .iter()
            .map(|&int| i64::from(int) as u64 as u128)
            .chain([u128::from(double.to_bits()), u128::from(single.to_bits())])
            .collect();
        let expected = match interpret(function, &mut FlatHost::new(), &bits, &mut 1_000_000) {
            Ok(results) => (results[0] as u32, Some(f64::from_bits(results[1] as u64))),
            Err(Abrupt::Trap(code)) => (TRAP + code as u32, None),
            Err(other) => panic!("{other:?} for seed {seed}"),
        };
        let found = call(&ints, &[double.to_bits(), u64::from(single.to_bits())]);
        let float = f64::from_bits(found.1);
        let same_float = expected.1.is_none_or(|wanted| wanted.to_bits() == float.to_bits() || wanted.is_nan() && float.is_nan());
        assert!(
            found.0 == expected.0 && same_float,
            "seed {seed}: {found:x?} instead of {expected:x?} for {ints:?} {double} {single} in\n{function}"
        );
    }
}
