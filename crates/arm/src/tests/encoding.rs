//! Every encoding against the GNU assembler, word for word, and through the decoder.

use crate::disassemble::disassemble;
use crate::encoding::*;
use std::process::Command;

const ASSEMBLER: &str = "arm-linux-gnueabihf-as";
const OBJCOPY: &str = "arm-linux-gnueabihf-objcopy";

/// Registers whose numbers have all bits set and clear somewhere.
const REGISTERS: [u8; 6] = [0, 1, 5, 8, 10, 14];
const S_REGISTERS: [u8; 6] = [0, 1, 6, 15, 30, 31];
const D_REGISTERS: [u8; 5] = [0, 1, 6, 8, 15];
const AL: Condition = Condition::Al;

/// Instructions with what the assembler is to make them of.
#[derive(Default)]
struct Cases(Vec<(String, u32)>);

impl Cases {
    fn add(&mut self, text: impl Into<String>, word: u32) {
        self.0.push((text.into(), word));
    }

    /// Assembles all and compares.
    fn check(&self, name: &str) {
        let folder = std::env::temp_dir().join(format!("arm-encoding-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = |file: &str| folder.join(file);
        let mut source = String::from(".syntax unified\n.arch armv7-a\n.arch_extension idiv\n.fpu vfpv3-d16\n.arm\n");
        for (text, _) in &self.0 {
            source.push_str(text);
            source.push('\n');
        }
        std::fs::write(path("code.s"), source).unwrap();
        let run = |command: &mut Command| {
            let output = command.output().unwrap_or_else(|error| {
                panic!("{:?} cannot be run ({error}): it is in the package binutils-arm-linux-gnueabihf", command.get_program())
            });
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        run(Command::new(ASSEMBLER).args(["-o".as_ref(), path("code.o").as_os_str(), path("code.s").as_os_str()]));
        run(Command::new(OBJCOPY).args(["-O", "binary", "-j", ".text"]).args([path("code.o"), path("code.bin")]));
        let assembled = std::fs::read(path("code.bin")).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(assembled.len(), 4 * self.0.len());
        for ((text, word), expected) in self.0.iter().zip(assembled.chunks(4)) {
            let expected = u32::from_le_bytes(expected.try_into().unwrap());
            assert_eq!(*word, expected, "{text}: {word:#010x}, the assembler says {expected:#010x}");
        }
        let decoded = disassemble(&assembled, 0);
        for (line, (text, _)) in decoded.lines().zip(&self.0) {
            assert!(!line.contains(".word"), "{text} is not decoded: {line}");
        }
    }
}

fn operands() -> Vec<(String, Operand2)> {
    let mut operands = Vec::new();
    for value in [0, 1, 0xff, 0x3fc, 0xff0, 0x2900, 0xf000_000f, 0xff00_0000, 0x8000_0000, 0x1_0000] {
        operands.push((format!("#{value}"), Operand2::immediate(value).unwrap()));
    }
    for register in REGISTERS {
        operands.push((format!("r{register}"), Operand2::Register(register)));
        operands.push((format!("r{register}, rrx"), Operand2::Rrx(register)));
        for shift in Shift::ALL {
            let most = if matches!(shift, Shift::Lsr | Shift::Asr) { 32 } else { 31 };
            for amount in [1, 7, 16, most] {
                let text = format!("r{register}, {} #{amount}", shift.name());
                operands.push((text, Operand2::Shifted(register, shift, amount)));
            }
            operands.push((format!("r{register}, {} r9", shift.name()), Operand2::ShiftedBy(register, shift, 9)));
        }
    }
    operands
}

#[test]
fn data_processing() {
    let mut cases = Cases::default();
    for op in DataOp::ALL {
        for (text, operand) in operands() {
            for set_flags in [false, true] {
                let name = format!("{}{}", op.name(), if set_flags && !op.only_compares() { "s" } else { "" });
                let registers = match op {
                    op if op.only_compares() => "r11",
                    op if op.is_move() => "r6",
                    _ => "r6, r11",
                };
                cases.add(format!("{name} {registers}, {text}"), data(AL, op, set_flags, 6, 11, operand));
            }
        }
        for condition in Condition::ALL {
            let (registers, word) = match op {
                op if op.only_compares() => ("r3", compare(condition, op, 3, Operand2::Register(4))),
                DataOp::Mov => ("r3", mov(condition, 3, Operand2::Register(4))),
                DataOp::Mvn => ("r3", mvn(condition, 3, Operand2::Register(4))),
                op => ("r3, r3", data(condition, op, false, 3, 3, Operand2::Register(4))),
            };
            cases.add(format!("{}{} {registers}, r4", op.name(), condition.name()), word);
        }
    }
    cases.add("add pc, pc, r3, lsl #2", data(AL, DataOp::Add, false, 15, 15, Operand2::Shifted(3, Shift::Lsl, 2)));
    cases.add("add lr, pc, #4", data(AL, DataOp::Add, false, 14, 15, Operand2::immediate(4).unwrap()));
    for shift in Shift::ALL {
        cases.add(format!("{} r3, r4, #5", shift.name()), mov_shifted(AL, 3, 4, shift, 5));
    }
    for value in [0, 1, 0xfff, 0x1000, 0xabcd, 0xffff] {
        cases.add(format!("movw r7, #{value}"), movw(AL, 7, value));
        cases.add(format!("movtlo r12, #{value}"), movt(Condition::Lo, 12, value));
    }
    cases.check("data");
}

#[test]
fn constants_take_the_shortest_form() {
    let mut cases = Cases::default();
    for (value, texts) in [
        (0, &["mov r4, #0"][..]),
        (u32::MAX, &["mvn r4, #0"]),
        (-2i32 as u32, &["mvn r4, #1"]),
        (0x0003_fc00, &["mov r4, #0x3fc00"]),
        (0x1234, &["movw r4, #0x1234"]),
        (0x1234_5678, &["movw r4, #0x5678", "movt r4, #0x1234"]),
    ] {
        let words = constant(AL, 4, value);
        assert_eq!(texts.len(), words.len());
        for (text, word) in texts.iter().zip(words) {
            cases.add(*text, word);
        }
    }
    cases.check("constants");
    for rotation in 0..16 {
        for bits in 0..256u32 {
            let value = bits.rotate_right(2 * rotation);
            assert_eq!(ModifiedImmediate::new(value).unwrap().value(), value);
        }
    }
    for value in [0x101, 0xff1, 0x102, 0xf000_001f, 0x1234_5678] {
        assert!(ModifiedImmediate::new(value).is_none());
    }
    for value in [0x101, 4096 + 8, 0x12340, 0xffff, 0x0fff_f000] {
        let (first, second) = ModifiedImmediate::split(value).unwrap();
        assert_eq!(first.value() + second.value(), value);
    }
    assert!(ModifiedImmediate::split(0x10101).is_none());
}

#[test]
fn multiplication_division_and_bits() {
    let mut cases = Cases::default();
    for condition in [AL, Condition::Ne, Condition::Gt] {
        let c = condition.name();
        for a in REGISTERS {
            for b in REGISTERS {
                cases.add(format!("mul{c} r{a}, r{b}, r3"), mul(condition, a, b, 3));
                cases.add(format!("mla{c} r{a}, r3, r{b}, r4"), multiply_add(condition, a, 3, b, 4));
                cases.add(format!("mls{c} r{a}, r{b}, r3, r4"), mls(condition, a, b, 3, 4));
                for (name, op) in [
                    ("umull", MultiplyOp::Umull),
                    ("umlal", MultiplyOp::Umlal),
                    ("smull", MultiplyOp::Smull),
                    ("smlal", MultiplyOp::Smlal),
                    ("umaal", MultiplyOp::Umaal),
                ] {
                    cases.add(format!("{name}{c} r2, r{a}, r{b}, r11"), long_multiply(condition, op, 2, a, b, 11));
                }
                cases.add(format!("sdiv{c} r{a}, r{b}, r3"), sdiv(condition, a, b, 3));
                cases.add(format!("udiv{c} r{a}, r3, r{b}"), udiv(condition, a, 3, b));
                cases.add(format!("clz{c} r{a}, r{b}"), clz(condition, a, b));
                for (name, op) in
                    [("rbit", ReverseOp::Rbit), ("rev", ReverseOp::Rev), ("rev16", ReverseOp::Rev16), ("revsh", ReverseOp::Revsh)]
                {
                    cases.add(format!("{name}{c} r{a}, r{b}"), reverse(condition, op, a, b));
                }
                for (name, op) in
                    [("sxtb", ExtendOp::Sxtb), ("sxth", ExtendOp::Sxth), ("uxtb", ExtendOp::Uxtb), ("uxth", ExtendOp::Uxth)]
                {
                    cases.add(format!("{name}{c} r{a}, r{b}"), extend(condition, op, a, b));
                }
            }
        }
        for (lsb, width) in [(0, 1), (0, 32), (5, 7), (16, 16), (31, 1)] {
            cases.add(format!("bfi{c} r3, r9, #{lsb}, #{width}"), bfi(condition, 3, 9, lsb, width));
            cases.add(format!("bfc{c} r9, #{lsb}, #{width}"), bfc(condition, 9, lsb, width));
            cases.add(format!("ubfx{c} r3, r9, #{lsb}, #{width}"), ubfx(condition, 3, 9, lsb, width));
            cases.add(format!("sbfx{c} r9, r3, #{lsb}, #{width}"), sbfx(condition, 9, 3, lsb, width));
        }
    }
    cases.check("multiplication");
}

#[test]
fn loads_and_stores() {
    let mut cases = Cases::default();
    for op in Transfer::ALL {
        let double = matches!(op, Transfer::Ldrd | Transfer::Strd);
        let mut offsets: Vec<(String, Offset)> = Vec::new();
        for value in [0, 1, 4, 15, 16, 254, op.reach()] {
            offsets.push((format!("#{value}"), Offset::Constant(value)));
            if value != 0 {
                offsets.push((format!("#-{value}"), Offset::Constant(-value)));
            }
        }
        for index in [2, 7, 9] {
            offsets.push((format!("r{index}"), Offset::Register(index)));
            offsets.push((format!("-r{index}"), Offset::Minus(index)));
            if op.reach() == 4095 {
                for (shift, amount) in [(Shift::Lsl, 2), (Shift::Lsl, 31), (Shift::Lsr, 32), (Shift::Asr, 3), (Shift::Ror, 4)] {
                    let text = format!("r{index}, {} #{amount}", shift.name());
                    offsets.push((text, Offset::Shifted(index, shift, amount)));
                }
            }
        }
        for register in [0u8, 4, 10, 12] {
            let text = if double { format!("r{register}, r{}", register + 1) } else { format!("r{register}") };
            for base in [3u8, 8, 13, 15] {
                for (offset_text, offset) in &offsets {
                    let mut address = Address { base, offset: *offset, indexing: Indexing::None };
                    let name = op.name();
                    cases.add(format!("{name} {text}, [r{base}, {offset_text}]"), transfer(AL, op, register, address));
                    // A base that changes must be none of the other registers, nor pc.
                    if base == 15 || double && base == register + 1 {
                        continue;
                    }
                    address.indexing = Indexing::Before;
                    cases.add(format!("{name} {text}, [r{base}, {offset_text}]!"), transfer(AL, op, register, address));
                    address.indexing = Indexing::After;
                    cases.add(format!("{name} {text}, [r{base}], {offset_text}"), transfer(AL, op, register, address));
                }
            }
            let address = Address::at(1, 12);
            cases.add(format!("{}vs {text}, [r1, #12]", op.name()), transfer(Condition::Vs, op, register, address));
        }
    }
    cases.add("ldr pc, [pc, ip]", transfer(AL, Transfer::Ldr, 15, Address::indexed(15, 12, 0)));
    cases.add("ldr r1, [r2, r3, lsl #2]", transfer(AL, Transfer::Ldr, 1, Address::indexed(2, 3, 2)));
    for mode in BlockMode::ALL {
        for write_back in [false, true] {
            let sign = if write_back { "!" } else { "" };
            let list = 1 << 0 | 1 << 3 | 1 << 9 | 1 << 14;
            cases.add(
                format!("stm{}lt r7{sign}, {{r0, r3, r9, lr}}", mode.name()),
                store_many(Condition::Lt, mode, 7, write_back, list),
            );
            cases.add(format!("ldm{} r12{sign}, {{r0, r3, r9, lr}}", mode.name()), load_many(AL, mode, 12, write_back, list));
        }
    }
    for (text, list) in [("{r4}", 1u16 << 4), ("{pc}", 1 << 15), ("{r4-r7, fp, pc}", 0x88f0), ("{fp, lr}", 1 << 11 | 1 << 14)] {
        cases.add(format!("pop {text}"), pop(AL, list));
        if list & 1 << 15 == 0 {
            cases.add(format!("pushne {text}"), push(Condition::Ne, list));
        }
    }
    for size in ExclusiveSize::ALL {
        let pair = if size == ExclusiveSize::Double { "r4, r5" } else { "r4" };
        for (base, status) in [(0, 1), (8, 12), (13, 3)] {
            cases.add(format!("ldrex{} {pair}, [r{base}]", size.name()), load_exclusive(AL, size, 4, base));
            cases.add(
                format!("strex{}eq r{status}, {pair}, [r{base}]", size.name()),
                store_exclusive(Condition::Eq, size, status, 4, base),
            );
        }
    }
    cases.check("memory");
}

#[test]
fn control() {
    let mut cases = Cases::default();
    for condition in Condition::ALL {
        let c = condition.name();
        for distance in [0, 4, -8, -4, 1 << 20, -(1 << 24), (1 << 25) - 4, -(1 << 25)] {
            cases.add(format!("b{c} . + {} + 8", distance), branch(condition, distance));
            cases.add(format!("bl{c} . + {} + 8", distance), branch_link(condition, distance));
        }
        cases.add(format!("bx{c} lr"), bx(condition, 14));
        cases.add(format!("blx{c} ip"), blx(condition, 12));
    }
    cases.add("nop", nop());
    cases.add("dmb ish", dmb_ish());
    cases.add("clrex", clrex());
    for code in [0, 15, 16, 0xffff] {
        cases.add(format!("udf #{code}"), udf(code));
    }
    cases.check("control");
}

/// Names of registers of a size.
fn names(size: FloatSize) -> Vec<(String, u8)> {
    match size {
        FloatSize::F32 => S_REGISTERS.map(|number| (format!("s{number}"), number)).to_vec(),
        FloatSize::F64 => D_REGISTERS.map(|number| (format!("d{number}"), number)).to_vec(),
    }
}

fn suffix(size: FloatSize) -> &'static str {
    if size == FloatSize::F32 { "f32" } else { "f64" }
}

#[test]
fn float_arithmetic_and_comparisons() {
    let mut cases = Cases::default();
    for size in FloatSize::ALL {
        let ty = suffix(size);
        for condition in [AL, Condition::Mi] {
            let c = condition.name();
            for (a, na) in names(size) {
                for (b, nb) in names(size) {
                    for op in FloatOp::ALL {
                        let name = op.name();
                        cases.add(format!("{name}{c}.{ty} {a}, {b}, {a}"), float_binary(condition, op, size, na, nb, na));
                        cases.add(format!("{name}{c}.{ty} {b}, {a}, {a}"), float_binary(condition, op, size, nb, na, na));
                    }
                    for op in FloatUnaryOp::ALL {
                        cases.add(format!("{}{c}.{ty} {a}, {b}", op.name()), float_unary(condition, op, size, na, nb));
                    }
                    cases.add(format!("vcmp{c}.{ty} {a}, {b}"), float_compare(condition, size, false, na, nb));
                    cases.add(format!("vcmpe{c}.{ty} {a}, {b}"), float_compare(condition, size, true, na, nb));
                }
                cases.add(format!("vcmp{c}.{ty} {a}, #0"), float_compare_zero(condition, size, false, na));
                cases.add(format!("vcmpe{c}.{ty} {a}, #0"), float_compare_zero(condition, size, true, na));
            }
        }
        for value in [1.0f64, -1.0, 2.0, 0.5, 31.0, -31.0, 0.125, -0.1328125, 10.0, 17.0] {
            let from_f64 = FloatImmediate::from_f64(value.to_bits()).unwrap();
            assert_eq!(FloatImmediate::from_f32((value as f32).to_bits()), Some(from_f64));
            for (a, na) in names(size) {
                cases.add(format!("vmov.{ty} {a}, #{value:?}"), float_constant(AL, size, na, from_f64));
            }
        }
    }
    for value in [0.0, -0.0, 0.1, 32.0, 33.0, 0.0625, 1.03125, f64::INFINITY, f64::NAN] {
        assert!(FloatImmediate::from_f64(value.to_bits()).is_none(), "{value}");
        assert!(FloatImmediate::from_f32((value as f32).to_bits()).is_none(), "{value}");
    }
    cases.add("vmrs APSR_nzcv, fpscr", flags_from_float(AL));
    cases.add("vmrsge APSR_nzcv, fpscr", flags_from_float(Condition::Ge));
    cases.check("float");
}

#[test]
fn float_conversions_moves_and_memory() {
    use FloatSize::{F32, F64};
    let mut cases = Cases::default();
    for (s, ns) in names(F32) {
        for (d, nd) in names(F64) {
            cases.add(format!("vcvt.f64.f32 {d}, {s}"), float_convert(AL, Convert::F32ToF64, nd, ns));
            cases.add(format!("vcvtne.f32.f64 {s}, {d}"), float_convert(Condition::Ne, Convert::F64ToF32, ns, nd));
        }
        for size in FloatSize::ALL {
            let ty = suffix(size);
            for (f, nf) in names(size) {
                cases.add(format!("vcvt.{ty}.s32 {f}, {s}"), float_convert(AL, Convert::SignedTo(size), nf, ns));
                cases.add(format!("vcvt.{ty}.u32 {f}, {s}"), float_convert(AL, Convert::UnsignedTo(size), nf, ns));
                cases.add(format!("vcvt.s32.{ty} {s}, {f}"), float_convert(AL, Convert::ToSigned(size), ns, nf));
                cases.add(format!("vcvt.u32.{ty} {s}, {f}"), float_convert(AL, Convert::ToUnsigned(size), ns, nf));
            }
        }
        for r in REGISTERS {
            cases.add(format!("vmov {s}, r{r}"), move_core_to_single(AL, ns, r));
            cases.add(format!("vmoveq r{r}, {s}"), move_single_to_core(Condition::Eq, r, ns));
        }
    }
    for (d, nd) in names(F64) {
        for r in REGISTERS {
            cases.add(format!("vmov {d}, r{r}, r3"), move_core_pair_to_double(AL, nd, r, 3));
            cases.add(format!("vmoveq r3, r{r}, {d}"), move_double_to_core_pair(Condition::Eq, 3, r, nd));
        }
    }
    for size in FloatSize::ALL {
        for (f, nf) in names(size) {
            for base in [0, 11, 13, 15] {
                for offset in [0, 4, -4, 512, 1020, -1020] {
                    cases.add(format!("vldr {f}, [r{base}, #{offset}]"), float_load(AL, size, nf, base, offset));
                    if base != 15 {
                        let word = float_store(Condition::Hi, size, nf, base, offset);
                        cases.add(format!("vstrhi {f}, [r{base}, #{offset}]"), word);
                    }
                }
            }
        }
    }
    let increment = BlockMode::IncrementAfter;
    cases.add("vldmia r3, {d0-d7}", float_load_many(AL, increment, F64, 3, false, 0, 8));
    cases.add("vldmia r3!, {s5-s9}", float_load_many(AL, increment, F32, 3, true, 5, 5));
    cases.add("vstmia r3, {d0-d15}", float_store_many(AL, increment, F64, 3, false, 0, 16));
    cases.add("vstmdb r3!, {s31}", float_store_many(AL, BlockMode::DecrementBefore, F32, 3, true, 31, 1));
    cases.add("vpush {d8-d15}", float_push(AL, F64, 8, 8));
    cases.add("vpople {d8-d15}", float_pop(Condition::Le, F64, 8, 8));
    cases.check("float-memory");
}
