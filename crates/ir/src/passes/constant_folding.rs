//! Constant folding, algebraic identities and strength reduction, one instruction at a time.
//!
//! It looks at an instruction and at the definitions of its arguments, no further; it moves nothing and merges nothing, and
//! leaves what it made useless to dead code elimination.

use super::division::{signed_magic, unsigned_magic};
use super::evaluate::{evaluate, sign_extend, zero_extend};
use super::rewrite::apply_aliases;
use crate::entity::{Inst, Value};
use crate::function::Function;
use crate::instruction::{Aux, Effects, Instruction, IntCompare, Opcode, SourceOffset};
use crate::pass_manager::{Level, Pass, PassContext};
use crate::types::{Access, Type};
use smallvec::SmallVec;

/// The pass.
pub static PASS: Pass = Pass {
    name: "constant-folding",
    mono_aliases: &["cfold"],
    default_level: Level::Default,
    run: |function, _: &mut PassContext<'_>| run(function),
};

/// Folds until nothing changes at any one instruction. True if anything changed.
pub fn run(function: &mut Function) -> bool {
    let mut folder = Folder { function, out: Vec::new(), source: SourceOffset::UNKNOWN, changed: false, aliased: false };
    for index in 0..folder.function.layout.len() {
        let block = folder.function.layout[index];
        let insts = std::mem::take(&mut folder.function.blocks[block].insts);
        folder.out = Vec::with_capacity(insts.len());
        for &inst in &insts {
            folder.visit(inst);
        }
        folder.function.blocks[block].insts = std::mem::take(&mut folder.out);
    }
    let (changed, aliased) = (folder.changed, folder.aliased);
    if aliased {
        apply_aliases(function);
    }
    changed
}

/// What became of an instruction.
enum Outcome {
    /// Nothing to do.
    Same,
    /// It is another instruction now, which may fold further.
    Rewritten,
    /// Its result is another name for this value.
    Alias(Value),
    /// It has no effect and no result.
    Gone,
}
use Outcome::{Alias, Gone, Rewritten, Same};

/// Rewrites of one instruction that may follow on each other; more than enough for all chains of rules.
const MAX_REWRITES: usize = 8;

struct Folder<'a> {
    function: &'a mut Function,
    /// The new instruction list of the block.
    out: Vec<Inst>,
    source: SourceOffset,
    changed: bool,
    aliased: bool,
}

impl Folder<'_> {
    fn visit(&mut self, inst: Inst) {
        self.source = self.function.insts[inst].source;
        if self.aliased {
            for index in 0..self.function.insts[inst].args.len() {
                let argument = self.function.resolve(self.function.insts[inst].args[index]);
                self.function.insts[inst].args[index] = argument;
            }
        }
        for _ in 0..MAX_REWRITES {
            match self.simplify(inst) {
                Same => break,
                Rewritten => self.changed = true,
                Alias(value) => {
                    let result = self.function.result(inst);
                    debug_assert_eq!(self.function.value_type(result), self.function.value_type(value));
                    self.function.alias(result, value);
                    self.changed = true;
                    self.aliased = true;
                    return;
                }
                Gone => {
                    self.changed = true;
                    return;
                }
            }
        }
        self.out.push(inst);
    }

    // What the rules are made of.

    fn constant(&self, value: Value) -> Option<i64> {
        self.function.int_constant(value)
    }
    fn definition(&self, value: Value) -> Option<&Instruction> {
        self.function.def_inst(value).map(|inst| &self.function.insts[inst])
    }
    fn ty(&self, value: Value) -> Type {
        self.function.value_type(value)
    }
    fn emit(&mut self, opcode: Opcode, ty: Type, args: &[Value], aux: Aux) -> Value {
        let mut instruction = Instruction::new(opcode, ty, args, aux);
        instruction.source = self.source;
        let inst = self.function.make_inst(instruction);
        self.out.push(inst);
        self.function.result(inst)
    }
    fn iconst(&mut self, ty: Type, value: i64) -> Value {
        let value = sign_extend(value, self.function.bits(ty));
        self.emit(Opcode::Iconst, ty, &[], Aux::Int(value))
    }
    fn set(&mut self, inst: Inst, opcode: Opcode, args: &[Value], aux: Aux) -> Outcome {
        let instruction = &mut self.function.insts[inst];
        instruction.opcode = opcode;
        instruction.args = SmallVec::from_slice(args);
        instruction.aux = aux;
        Rewritten
    }
    fn set_constant(&mut self, inst: Inst, value: i64) -> Outcome {
        let ty = self.function.insts[inst].ty;
        if ty.is_float() {
            return self.set(inst, Opcode::Fconst, &[], Aux::Int(value));
        }
        let value = sign_extend(value, self.function.bits(ty));
        self.set(inst, Opcode::Iconst, &[], Aux::Int(value))
    }
    /// `value` as the result of `inst`, if it is of its type.
    fn alias(&self, inst: Inst, value: Value) -> Outcome {
        if self.ty(value) == self.function.insts[inst].ty { Alias(value) } else { Same }
    }

    /// An upper bound of `value` read as an unsigned number, if one is plain to see.
    fn maximum(&self, value: Value) -> Option<u64> {
        let definition = self.definition(value)?;
        match definition.opcode {
            Opcode::Icmp | Opcode::Fcmp => Some(1),
            Opcode::Zext8 => Some(0xff),
            Opcode::Zext16 => Some(0xffff),
            Opcode::Load => match &definition.aux {
                Aux::Memory(memory) if memory.access == Access::U8 => Some(0xff),
                Aux::Memory(memory) if memory.access == Access::U16 => Some(0xffff),
                _ => None,
            },
            Opcode::Iconst | Opcode::Iand => {
                let constant = *definition.args.last().unwrap_or(&value);
                self.constant(constant).filter(|&constant| constant >= 0).map(|constant| constant as u64)
            }
            Opcode::Ushr => {
                let amount = self.constant(definition.args[1])? as u32 & (self.function.bits(definition.ty) - 1);
                Some((u64::MAX >> (64 - self.function.bits(definition.ty))) >> amount)
            }
            _ => None,
        }
    }

    fn simplify(&mut self, inst: Inst) -> Outcome {
        let instruction = &self.function.insts[inst];
        let opcode = instruction.opcode;
        let effects = opcode.info().effects;
        if matches!(opcode, Opcode::Iconst | Opcode::Fconst) {
            return Same;
        }
        // Constants on all sides: evaluate.
        if !effects.intersects(Effects::READ | Effects::WRITE | Effects::CALL | Effects::TERMINATOR)
            && !instruction.args.is_empty()
        {
            let mut constants: SmallVec<[i64; 3]> = SmallVec::new();
            for &argument in &instruction.args {
                match self.definition(argument).map(|definition| (definition.opcode, &definition.aux)) {
                    Some((Opcode::Iconst | Opcode::Fconst, &Aux::Int(value))) => constants.push(value),
                    _ => break,
                }
            }
            if constants.len() == instruction.args.len() {
                if let Some(value) = evaluate(self.function, instruction, &constants) {
                    return self.set_constant(inst, value);
                }
            }
        }
        if effects.contains(Effects::COMMUTES) && !instruction.ty.is_float() {
            let (a, b) = (instruction.args[0], instruction.args[1]);
            if self.constant(a).is_some() && self.constant(b).is_none() && self.ty(a) == self.ty(b) {
                self.function.insts[inst].args.swap(0, 1);
                self.changed = true;
            }
        }
        match opcode {
            Opcode::Iadd | Opcode::Isub => self.simplify_sum(inst),
            Opcode::Imul => self.simplify_product(inst),
            Opcode::Sdiv | Opcode::Srem => self.simplify_signed_division(inst),
            Opcode::Udiv | Opcode::Urem => self.simplify_unsigned_division(inst),
            Opcode::Iand | Opcode::Ior | Opcode::Ixor => self.simplify_bits(inst),
            Opcode::Ishl | Opcode::Sshr | Opcode::Ushr | Opcode::Rotl => self.simplify_shift(inst),
            Opcode::SaddOverflow | Opcode::UaddOverflow | Opcode::SsubOverflow | Opcode::UsubOverflow => {
                let [a, b] = self.pair(inst);
                if self.constant(b) == Some(0) { self.alias(inst, a) } else { Same }
            }
            Opcode::SmulOverflow | Opcode::UmulOverflow => {
                let [a, b] = self.pair(inst);
                if self.constant(b) == Some(1) { self.alias(inst, a) } else { Same }
            }
            Opcode::Ineg | Opcode::Inot | Opcode::Fneg => {
                let argument = self.function.insts[inst].args[0];
                match self.definition(argument) {
                    Some(inner) if inner.opcode == opcode => Alias(self.function.resolve(inner.args[0])),
                    _ => Same,
                }
            }
            Opcode::Fmul | Opcode::Fdiv => self.simplify_float(inst),
            Opcode::Icmp => self.simplify_compare(inst),
            Opcode::Select => self.simplify_select(inst),
            Opcode::Sext8 | Opcode::Sext16 | Opcode::Zext8 | Opcode::Zext16 => self.simplify_narrow(inst),
            Opcode::Sext | Opcode::Zext | Opcode::Trunc | Opcode::Bitcast | Opcode::Fdemote => self.simplify_conversion(inst),
            Opcode::Load | Opcode::Store | Opcode::StoreRef => self.simplify_address(inst),
            Opcode::BoundsCheck => {
                let [index, length] = self.pair(inst);
                match (self.constant(index), self.constant(length)) {
                    (Some(index_value), Some(length_value)) => {
                        let bits = self.function.bits(self.ty(index));
                        if zero_extend(index_value, bits) < zero_extend(length_value, bits) { Gone } else { Same }
                    }
                    _ => Same,
                }
            }
            Opcode::TrapIf => {
                if self.constant(self.function.insts[inst].args[0]) == Some(0) {
                    return Gone;
                }
                self.simplify_condition(inst, false)
            }
            Opcode::Brif => self.simplify_condition(inst, true),
            _ => Same,
        }
    }

    fn pair(&self, inst: Inst) -> [Value; 2] {
        let args = &self.function.insts[inst].args;
        [args[0], args[1]]
    }

    /// The arguments of the definition of `value` if it is `opcode` with a constant on its right.
    fn with_constant(&self, value: Value, opcode: Opcode) -> Option<(Value, i64)> {
        let definition = self.definition(value).filter(|definition| definition.opcode == opcode)?;
        let constant = self.constant(definition.args[1])?;
        Some((self.function.resolve(definition.args[0]), constant))
    }

    fn simplify_sum(&mut self, inst: Inst) -> Outcome {
        let Instruction { opcode, ty, .. } = self.function.insts[inst];
        let [a, b] = self.pair(inst);
        if opcode == Opcode::Isub && a == b && ty.is_int() {
            return self.set_constant(inst, 0);
        }
        if opcode == Opcode::Isub && self.constant(a) == Some(0) && ty == self.ty(b) {
            return self.set(inst, Opcode::Ineg, &[b], Aux::None);
        }
        let Some(constant) = self.constant(b) else {
            // a + (0 - b), and (a - b) + b
            if opcode == Opcode::Iadd && ty.is_int() {
                if let Some(inner) = self.definition(b).filter(|inner| inner.opcode == Opcode::Ineg) {
                    let negated = self.function.resolve(inner.args[0]);
                    return self.set(inst, Opcode::Isub, &[a, negated], Aux::None);
                }
            }
            return Same;
        };
        if constant == 0 {
            return self.alias(inst, a);
        }
        if opcode == Opcode::Isub {
            let negated = self.iconst(self.ty(b), constant.wrapping_neg());
            return self.set(inst, Opcode::Iadd, &[a, negated], Aux::None);
        }
        if let Some((base, inner)) = self.with_constant(a, Opcode::Iadd) {
            // An address keeps its base's type, so that the collector always sees a pointer into the same object.
            if self.ty(a) == ty || self.ty(base) == ty || ty.is_managed() {
                let sum = self.iconst(self.ty(b), constant.wrapping_add(inner));
                return self.set(inst, Opcode::Iadd, &[base, sum], Aux::None);
            }
        }
        if let Some(&Instruction { opcode: Opcode::StackAddr, aux: Aux::Slot(slot, offset), .. }) = self.definition(a) {
            if let Some(offset) = i32::try_from(constant).ok().and_then(|constant| offset.checked_add(constant)) {
                return self.set(inst, Opcode::StackAddr, &[], Aux::Slot(slot, offset));
            }
        }
        Same
    }

    fn simplify_product(&mut self, inst: Inst) -> Outcome {
        let ty = self.function.insts[inst].ty;
        let [a, b] = self.pair(inst);
        let Some(constant) = self.constant(b) else { return Same };
        match constant {
            0 => return self.set_constant(inst, 0),
            1 => return self.alias(inst, a),
            -1 => return self.set(inst, Opcode::Ineg, &[a], Aux::None),
            _ => {}
        }
        if let Some((base, inner)) = self.with_constant(a, Opcode::Imul) {
            let product = self.iconst(ty, constant.wrapping_mul(inner));
            return self.set(inst, Opcode::Imul, &[base, product], Aux::None);
        }
        let unsigned = zero_extend(constant, self.function.bits(ty));
        if unsigned.is_power_of_two() {
            let amount = self.iconst(Type::I32, i64::from(unsigned.trailing_zeros()));
            return self.set(inst, Opcode::Ishl, &[a, amount], Aux::None);
        }
        Same
    }

    /// Whether a high multiplication at the width of `ty` is one instruction.
    fn has_high_multiplication(&self, ty: Type) -> bool {
        matches!(ty, Type::I32 | Type::I64) && ty.bytes(self.function.pointer_bytes) <= self.function.pointer_bytes
    }

    /// Turns a remainder into `a - quotient * divisor`, or a division into its `quotient`.
    fn finish_division(&mut self, inst: Inst, quotient: Value) -> Outcome {
        if matches!(self.function.insts[inst].opcode, Opcode::Sdiv | Opcode::Udiv) {
            return Alias(quotient);
        }
        let ty = self.function.insts[inst].ty;
        let [a, b] = self.pair(inst);
        let product = self.emit(Opcode::Imul, ty, &[quotient, b], Aux::None);
        self.set(inst, Opcode::Isub, &[a, product], Aux::None)
    }

    fn simplify_signed_division(&mut self, inst: Inst) -> Outcome {
        let Instruction { opcode, ty, .. } = self.function.insts[inst];
        let [a, b] = self.pair(inst);
        let bits = self.function.bits(ty);
        let divisor = match self.constant(b) {
            None | Some(0 | -1) => return Same,
            Some(1) if opcode == Opcode::Sdiv => return Alias(a),
            Some(1) => return self.set_constant(inst, 0),
            Some(divisor) => divisor,
        };
        if divisor > 0 && (divisor as u64).is_power_of_two() {
            // Shifting rounds down, so negative numbers are first raised by divisor - 1.
            let shift = (divisor as u64).trailing_zeros();
            let bias = self.unsigned_bias(a, ty, bits, shift);
            let biased = self.emit(Opcode::Iadd, ty, &[a, bias], Aux::None);
            if opcode == Opcode::Sdiv {
                let amount = self.iconst(Type::I32, i64::from(shift));
                return self.set(inst, Opcode::Sshr, &[biased, amount], Aux::None);
            }
            let mask = self.iconst(ty, -divisor);
            let rounded = self.emit(Opcode::Iand, ty, &[biased, mask], Aux::None);
            return self.set(inst, Opcode::Isub, &[a, rounded], Aux::None);
        }
        if !self.has_high_multiplication(ty) || divisor == sign_extend(1 << (bits - 1), bits) {
            return Same;
        }
        let magic = signed_magic(divisor, bits);
        let multiplier = self.iconst(ty, magic.multiplier);
        let mut quotient = self.emit(Opcode::SmulHigh, ty, &[a, multiplier], Aux::None);
        if divisor > 0 && magic.multiplier < 0 {
            quotient = self.emit(Opcode::Iadd, ty, &[quotient, a], Aux::None);
        } else if divisor < 0 && magic.multiplier > 0 {
            quotient = self.emit(Opcode::Isub, ty, &[quotient, a], Aux::None);
        }
        if magic.shift > 0 {
            let amount = self.iconst(Type::I32, i64::from(magic.shift));
            quotient = self.emit(Opcode::Sshr, ty, &[quotient, amount], Aux::None);
        }
        let amount = self.iconst(Type::I32, i64::from(bits - 1));
        let sign = self.emit(Opcode::Ushr, ty, &[quotient, amount], Aux::None);
        let quotient = self.emit(Opcode::Iadd, ty, &[quotient, sign], Aux::None);
        self.finish_division(inst, quotient)
    }

    /// `2^shift - 1` where `a` is negative, else 0.
    fn unsigned_bias(&mut self, a: Value, ty: Type, bits: u32, shift: u32) -> Value {
        let sign = if shift == 1 {
            a
        } else {
            let amount = self.iconst(Type::I32, i64::from(bits - 1));
            self.emit(Opcode::Sshr, ty, &[a, amount], Aux::None)
        };
        let amount = self.iconst(Type::I32, i64::from(bits - shift));
        self.emit(Opcode::Ushr, ty, &[sign, amount], Aux::None)
    }

    fn simplify_unsigned_division(&mut self, inst: Inst) -> Outcome {
        let Instruction { opcode, ty, .. } = self.function.insts[inst];
        let [a, b] = self.pair(inst);
        let bits = self.function.bits(ty);
        let divisor = match self.constant(b) {
            None | Some(0) => return Same,
            Some(divisor) => zero_extend(divisor, bits),
        };
        if divisor.is_power_of_two() {
            if opcode == Opcode::Urem {
                let mask = self.iconst(ty, divisor as i64 - 1);
                return self.set(inst, Opcode::Iand, &[a, mask], Aux::None);
            }
            let amount = self.iconst(Type::I32, i64::from(divisor.trailing_zeros()));
            return self.set(inst, Opcode::Ushr, &[a, amount], Aux::None);
        }
        if !self.has_high_multiplication(ty) {
            return Same;
        }
        let magic = unsigned_magic(divisor, bits);
        let multiplier = self.iconst(ty, magic.multiplier as i64);
        let high = self.emit(Opcode::UmulHigh, ty, &[a, multiplier], Aux::None);
        let mut quotient = high;
        let mut shift = magic.shift;
        if magic.add {
            let rest = self.emit(Opcode::Isub, ty, &[a, high], Aux::None);
            let one = self.iconst(Type::I32, 1);
            let half = self.emit(Opcode::Ushr, ty, &[rest, one], Aux::None);
            quotient = self.emit(Opcode::Iadd, ty, &[half, high], Aux::None);
            shift -= 1;
        }
        if shift > 0 {
            let amount = self.iconst(Type::I32, i64::from(shift));
            quotient = self.emit(Opcode::Ushr, ty, &[quotient, amount], Aux::None);
        }
        self.finish_division(inst, quotient)
    }

    fn simplify_bits(&mut self, inst: Inst) -> Outcome {
        let Instruction { opcode, ty, .. } = self.function.insts[inst];
        let [a, b] = self.pair(inst);
        if a == b {
            return if opcode == Opcode::Ixor { self.set_constant(inst, 0) } else { self.alias(inst, a) };
        }
        let Some(constant) = self.constant(b) else { return Same };
        match (opcode, constant) {
            (Opcode::Iand, 0) => return self.set_constant(inst, 0),
            (Opcode::Ior, -1) => return self.set_constant(inst, -1),
            (Opcode::Iand, -1) | (Opcode::Ior | Opcode::Ixor, 0) => return self.alias(inst, a),
            (Opcode::Ixor, -1) => return self.set(inst, Opcode::Inot, &[a], Aux::None),
            _ => {}
        }
        if let Some((base, inner)) = self.with_constant(a, opcode) {
            let combined = match opcode {
                Opcode::Iand => constant & inner,
                Opcode::Ior => constant | inner,
                _ => constant ^ inner,
            };
            let combined = self.iconst(ty, combined);
            return self.set(inst, opcode, &[base, combined], Aux::None);
        }
        if opcode == Opcode::Iand && ty == Type::I32 {
            let is_mask = (constant as u64).wrapping_add(1).is_power_of_two();
            if is_mask && self.maximum(a).is_some_and(|maximum| maximum <= constant as u64) {
                return self.alias(inst, a);
            }
            match constant {
                0xff => return self.set(inst, Opcode::Zext8, &[a], Aux::None),
                0xffff => return self.set(inst, Opcode::Zext16, &[a], Aux::None),
                _ => {}
            }
        }
        // A test of the lowest bit of a condition: `(a < b) ^ 1`.
        if opcode == Opcode::Ixor && constant == 1 {
            return self.negate_compare(inst, a);
        }
        Same
    }

    /// Makes `inst` the negation of the comparison that defines `value`, if one does.
    fn negate_compare(&mut self, inst: Inst, value: Value) -> Outcome {
        let Some(definition) = self.definition(value) else { return Same };
        let aux = match definition.aux {
            Aux::IntCompare(compare) => Aux::IntCompare(compare.negate()),
            Aux::FloatCompare(compare) => Aux::FloatCompare(compare.negate()),
            _ => return Same,
        };
        let (opcode, args) = (definition.opcode, definition.args.clone());
        self.set(inst, opcode, &args, aux)
    }

    fn simplify_shift(&mut self, inst: Inst) -> Outcome {
        let Instruction { opcode, ty, .. } = self.function.insts[inst];
        let [a, b] = self.pair(inst);
        let bits = self.function.bits(ty);
        if self.constant(a) == Some(0) {
            return self.alias(inst, a);
        }
        let Some(constant) = self.constant(b) else {
            // The machine masks the amount by itself.
            if let Some((amount, mask)) = self.with_constant(b, Opcode::Iand) {
                if mask as u32 & (bits - 1) == bits - 1 {
                    return self.set(inst, opcode, &[a, amount], Aux::None);
                }
            }
            return Same;
        };
        let amount = constant as u32 & (bits - 1);
        if amount == 0 {
            return self.alias(inst, a);
        }
        if let Some((base, inner)) = self.with_constant(a, opcode) {
            let total = amount + (inner as u32 & (bits - 1));
            let total = match opcode {
                Opcode::Rotl => total & (bits - 1),
                Opcode::Sshr => total.min(bits - 1),
                _ if total >= bits => return self.set_constant(inst, 0),
                _ => total,
            };
            let total = self.iconst(Type::I32, i64::from(total));
            return self.set(inst, opcode, &[base, total], Aux::None);
        }
        Same
    }

    fn simplify_float(&mut self, inst: Inst) -> Outcome {
        let Instruction { opcode, ty, .. } = self.function.insts[inst];
        let [a, b] = self.pair(inst);
        let constant = match self.definition(b) {
            Some(&Instruction { opcode: Opcode::Fconst, aux: Aux::Int(bits), .. }) => bits,
            _ => return Same,
        };
        // Only powers of two have an exact reciprocal: no mantissa bits, and an exponent whose negation is normal too.
        let (mantissa_bits, exponent_mask, one) =
            if ty == Type::F32 { (23, 0xff, i64::from(1.0f32.to_bits())) } else { (52, 0x7ff, 1.0f64.to_bits() as i64) };
        if constant == one {
            return Alias(a);
        }
        let exponent = (constant >> mantissa_bits) & exponent_mask;
        let mantissa = constant & ((1i64 << mantissa_bits) - 1);
        if opcode == Opcode::Fmul || mantissa != 0 || exponent < 2 || exponent > exponent_mask - 2 {
            return Same;
        }
        let sign = constant & !((exponent_mask << mantissa_bits) | mantissa);
        let reciprocal = sign | ((exponent_mask - 1 - exponent) << mantissa_bits);
        let reciprocal = self.emit(Opcode::Fconst, ty, &[], Aux::Int(reciprocal));
        self.set(inst, Opcode::Fmul, &[a, reciprocal], Aux::None)
    }

    fn simplify_compare(&mut self, inst: Inst) -> Outcome {
        let Aux::IntCompare(compare) = self.function.insts[inst].aux else { return Same };
        let [a, b] = self.pair(inst);
        let bits = self.function.bits(self.ty(a));
        if a == b {
            return self.set_constant(inst, i64::from(super::evaluate::compare_ints(compare, 0, 0, bits)));
        }
        if self.constant(a).is_some() && self.constant(b).is_none() {
            return self.set(inst, Opcode::Icmp, &[b, a], Aux::IntCompare(compare.swap()));
        }
        let Some(constant) = self.constant(b) else { return Same };
        use IntCompare::*;
        let minimum = sign_extend(1i64 << (bits - 1), bits);
        let replaced = match (compare, constant) {
            (Ult, 0) => return self.set_constant(inst, 0),
            (Uge, 0) => return self.set_constant(inst, 1),
            (Ugt, 0) => Some(Ne),
            (Ule, 0) => Some(Eq),
            (Slt, value) if value == minimum => return self.set_constant(inst, 0),
            (Sge, value) if value == minimum => return self.set_constant(inst, 1),
            _ => None,
        };
        if let Some(compare) = replaced {
            return self.set(inst, Opcode::Icmp, &[a, b], Aux::IntCompare(compare));
        }
        if (compare, constant) == (Ult, 1) && self.ty(a).is_int() {
            let zero = self.iconst(self.ty(a), 0);
            return self.set(inst, Opcode::Icmp, &[a, zero], Aux::IntCompare(Eq));
        }
        let Some(definition) = self.definition(a) else { return Same };
        let inner = definition.opcode;
        let args = definition.args.clone();
        if matches!(inner, Opcode::Icmp | Opcode::Fcmp) && matches!(compare, Eq | Ne) && matches!(constant, 0 | 1) {
            return if (compare == Ne) == (constant == 0) { Alias(a) } else { self.negate_compare(inst, a) };
        }
        if !matches!(compare, Eq | Ne) || !self.ty(a).is_int() {
            return Same;
        }
        match inner {
            Opcode::Iadd if self.ty(args[0]) == self.ty(a) => {
                let Some(added) = self.constant(args[1]) else { return Same };
                let other = self.iconst(self.ty(a), constant.wrapping_sub(added));
                self.set(inst, Opcode::Icmp, &[args[0], other], Aux::IntCompare(compare))
            }
            Opcode::Isub if constant == 0 && self.ty(args[0]) == self.ty(args[1]) => {
                self.set(inst, Opcode::Icmp, &[args[0], args[1]], Aux::IntCompare(compare))
            }
            Opcode::Sext | Opcode::Zext => {
                let narrow = self.function.bits(self.ty(args[0]));
                let fits = if inner == Opcode::Sext {
                    sign_extend(constant, narrow) == constant
                } else {
                    zero_extend(constant, narrow) as i64 == zero_extend(constant, bits) as i64
                };
                if !fits {
                    return self.set_constant(inst, i64::from(compare == Ne));
                }
                let other = self.iconst(self.ty(args[0]), constant);
                self.set(inst, Opcode::Icmp, &[args[0], other], Aux::IntCompare(compare))
            }
            _ => Same,
        }
    }

    fn simplify_select(&mut self, inst: Inst) -> Outcome {
        let args = self.function.insts[inst].args.clone();
        let (condition, a, b) = (args[0], args[1], args[2]);
        if a == b {
            return Alias(a);
        }
        if let Some(constant) = self.constant(condition) {
            return Alias(if constant != 0 { a } else { b });
        }
        let Some(definition) = self.definition(condition) else { return Same };
        let is_compare = matches!(definition.opcode, Opcode::Icmp | Opcode::Fcmp);
        if is_compare && self.function.insts[inst].ty == Type::I32 {
            match (self.constant(a), self.constant(b)) {
                (Some(1), Some(0)) => return Alias(self.function.resolve(condition)),
                (Some(0), Some(1)) => return self.negate_compare(inst, condition),
                _ => {}
            }
        }
        match self.zero_test(condition) {
            Some((tested, IntCompare::Ne)) => self.set(inst, Opcode::Select, &[tested, a, b], Aux::None),
            Some((tested, IntCompare::Eq)) => self.set(inst, Opcode::Select, &[tested, b, a], Aux::None),
            _ => Same,
        }
    }

    /// The `i32` that `condition` compares for (in)equality with 0, and how.
    fn zero_test(&self, condition: Value) -> Option<(Value, IntCompare)> {
        let definition = self.definition(condition)?;
        let Aux::IntCompare(compare @ (IntCompare::Eq | IntCompare::Ne)) = definition.aux else { return None };
        let tested = self.function.resolve(definition.args[0]);
        (self.constant(definition.args[1]) == Some(0) && self.ty(tested) == Type::I32).then_some((tested, compare))
    }

    /// Branches (and `trap_if`) test for not 0 by themselves.
    fn simplify_condition(&mut self, inst: Inst, may_swap: bool) -> Outcome {
        match self.zero_test(self.function.insts[inst].args[0]) {
            Some((tested, IntCompare::Ne)) => self.function.insts[inst].args[0] = tested,
            Some((tested, IntCompare::Eq)) if may_swap => {
                let instruction = &mut self.function.insts[inst];
                instruction.args[0] = tested;
                instruction.targets_mut().swap(0, 1);
            }
            _ => return Same,
        }
        Rewritten
    }

    fn simplify_narrow(&mut self, inst: Inst) -> Outcome {
        let Instruction { opcode, .. } = self.function.insts[inst];
        let argument = self.function.insts[inst].args[0];
        let (kept_bits, signed) = match opcode {
            Opcode::Sext8 => (8, true),
            Opcode::Sext16 => (16, true),
            Opcode::Zext8 => (8, false),
            _ => (16, false),
        };
        let limit = 1u64 << (kept_bits - u32::from(signed));
        if self.maximum(argument).is_some_and(|maximum| maximum < limit) {
            return Alias(argument);
        }
        let Some(definition) = self.definition(argument) else { return Same };
        // Already extended in the same way, from as few bits or fewer.
        let extended_from = match (definition.opcode, &definition.aux) {
            (Opcode::Sext8, _) => Some(8),
            (Opcode::Sext16, _) => Some(16),
            (Opcode::Load, Aux::Memory(memory)) if memory.access == Access::I8 => Some(8),
            (Opcode::Load, Aux::Memory(memory)) if memory.access == Access::I16 => Some(16),
            _ => None,
        };
        if signed && extended_from.is_some_and(|bits| bits <= kept_bits) {
            return Alias(argument);
        }
        // An extension or mask underneath that changes only bits that do not count.
        let transparent = match definition.opcode {
            Opcode::Sext8 | Opcode::Zext8 => kept_bits == 8,
            Opcode::Sext16 | Opcode::Zext16 => true,
            Opcode::Iand => {
                let mask = (1i64 << kept_bits) - 1;
                self.constant(definition.args[1]).is_some_and(|constant| constant & mask == mask)
            }
            _ => false,
        };
        if transparent {
            let inner = self.function.resolve(definition.args[0]);
            self.function.insts[inst].args[0] = inner;
            return Rewritten;
        }
        Same
    }

    fn simplify_conversion(&mut self, inst: Inst) -> Outcome {
        let Instruction { opcode, ty, .. } = self.function.insts[inst];
        let argument = self.function.insts[inst].args[0];
        if self.ty(argument) == ty {
            return Alias(argument);
        }
        let Some(definition) = self.definition(argument) else { return Same };
        let inner = definition.opcode;
        let Some(&source) = definition.args.first() else { return Same };
        let source = self.function.resolve(source);
        let same = self.ty(source) == ty;
        let widens = |from: Type, to: Type| self.function.bits(from) < self.function.bits(to);
        match (opcode, inner) {
            (Opcode::Trunc, Opcode::Sext | Opcode::Zext) if same => Alias(source),
            (Opcode::Bitcast, Opcode::Bitcast) if same => Alias(source),
            (Opcode::Fdemote, Opcode::Fpromote) if same => Alias(source),
            // Down past where it came up from.
            (Opcode::Trunc, Opcode::Trunc) => self.set(inst, Opcode::Trunc, &[source], Aux::None),
            (Opcode::Sext, Opcode::Sext) | (Opcode::Zext, Opcode::Zext) => self.set(inst, opcode, &[source], Aux::None),
            (Opcode::Sext, Opcode::Zext) if widens(self.ty(source), self.ty(argument)) => {
                self.set(inst, Opcode::Zext, &[source], Aux::None)
            }
            (Opcode::Trunc, Opcode::Sext | Opcode::Zext) if widens(self.ty(source), ty) => {
                self.set(inst, inner, &[source], Aux::None)
            }
            _ => Same,
        }
    }

    /// Takes constant additions to the address into the access's offset.
    fn simplify_address(&mut self, inst: Inst) -> Outcome {
        let place = usize::from(self.function.insts[inst].opcode == Opcode::StoreRef);
        let address = self.function.insts[inst].args[place];
        let Some((base, added)) = self.with_constant(address, Opcode::Iadd) else { return Same };
        if !self.ty(base).is_pointer_sized() {
            return Same;
        }
        let Aux::Memory(memory) = &mut self.function.insts[inst].aux else { return Same };
        let Some(offset) = i32::try_from(added).ok().and_then(|added| memory.offset.checked_add(added)) else { return Same };
        memory.offset = offset;
        self.function.insts[inst].args[place] = base;
        Rewritten
    }
}
