//! Comparisons, as values and as branches.

use super::{Legalizer, Pair};
use crate::entity::{Block, Entity, Inst, Value};
use crate::function::BlockData;
use crate::instruction::{Aux, BlockCall, Instruction, IntCompare, Opcode};
use crate::types::Type;

/// A comparison of pairs, as one of halves or of both.
enum Halves {
    /// Of one pair of `i32`.
    One(IntCompare, Value, Value),
    /// By the high halves, and where they are equal, by the low halves: both comparisons, the first one strict.
    Both(IntCompare, IntCompare),
}

/// The same without equality.
fn strict(compare: IntCompare) -> IntCompare {
    match compare {
        IntCompare::Sle => IntCompare::Slt,
        IntCompare::Sge => IntCompare::Sgt,
        IntCompare::Ule => IntCompare::Ult,
        IntCompare::Uge => IntCompare::Ugt,
        other => other,
    }
}

/// The same of unsigned numbers.
fn unsigned(compare: IntCompare) -> IntCompare {
    match compare {
        IntCompare::Slt => IntCompare::Ult,
        IntCompare::Sle => IntCompare::Ule,
        IntCompare::Sgt => IntCompare::Ugt,
        IntCompare::Sge => IntCompare::Uge,
        other => other,
    }
}

impl Legalizer<'_> {
    /// The comparison as `i32` 0 or 1.
    pub(super) fn compare(&mut self, compare: IntCompare, a: Pair, b: Pair) -> Value {
        match self.halves(compare, a, b) {
            Halves::One(compare, a, b) => self.icmp(compare, a, b),
            Halves::Both(high, low) => {
                let equal = self.icmp(IntCompare::Eq, a.high, b.high);
                let low = self.icmp(low, a.low, b.low);
                let high = self.icmp(high, a.high, b.high);
                self.select(equal, low, high)
            }
        }
    }

    fn halves(&mut self, compare: IntCompare, a: Pair, b: Pair) -> Halves {
        let same_constant = self.known(a.high).is_some_and(|high| self.is_known(b.high, high));
        if a.high == b.high || same_constant {
            return Halves::One(unsigned(compare), a.low, b.low);
        }
        // Sign extension keeps the order of unsigned numbers too.
        if self.is_sign_extended(a) && self.is_sign_extended(b) {
            return Halves::One(compare, a.low, b.low);
        }
        if matches!(compare, IntCompare::Eq | IntCompare::Ne) {
            let different = self.difference(a, b);
            let zero = self.constant(0);
            return Halves::One(compare, different, zero);
        }
        // The low halves decide nothing if one of them is the least or the greatest number on the right side.
        let (least_decides, greatest_decides) = match compare {
            IntCompare::Slt | IntCompare::Sge | IntCompare::Ult | IntCompare::Uge => (b.low, a.low),
            _ => (a.low, b.low),
        };
        if self.is_known(least_decides, 0) || self.is_known(greatest_decides, -1) {
            return Halves::One(compare, a.high, b.high);
        }
        Halves::Both(strict(compare), unsigned(compare))
    }

    /// Zero if the pairs are equal.
    fn difference(&mut self, a: Pair, b: Pair) -> Value {
        let half = |legalizer: &mut Self, a: Value, b: Value| match legalizer.is_known(b, 0) {
            true => a,
            false => legalizer.binary(Opcode::Ixor, a, b),
        };
        let (low, high) = (half(self, a.low, b.low), half(self, a.high, b.high));
        if self.is_known(high, 0) {
            return low;
        }
        self.binary(Opcode::Ior, low, high)
    }

    /// Whether the branch at the end of the block is the only user of this comparison and so is to make it itself.
    pub(super) fn is_left_to_branch(&self, compare: Inst) -> bool {
        let result = self.function.result(compare);
        let terminator = &self.function.insts[self.terminator];
        self.uses[result.index()] == 1 && terminator.opcode == Opcode::Brif && terminator.args[0] == result
    }

    /// The comparison of 64 bits that gives `condition`, if it was left to the branch.
    pub(super) fn deferred_compare(&self, condition: Value) -> Option<&Instruction> {
        let compare = &self.function.insts[self.function.def_inst(condition)?];
        let wide = compare.opcode == Opcode::Icmp && self.function.value_type(compare.args[0]) == Type::I64;
        wide.then_some(compare)
    }

    /// A branch, with the comparison that was left to it: by the high halves, and where they are equal, by the low ones.
    pub(super) fn branch(&mut self, instruction: &Instruction, targets: &[BlockCall]) {
        let targets: Vec<BlockCall> = targets.iter().map(|target| self.split_target(target)).collect();
        let condition = instruction.args[0];
        let deferred = self.deferred_compare(condition).map(|compare| (compare.args[0], compare.args[1], compare.aux.clone()));
        let Some((a, b, Aux::IntCompare(compare))) = deferred else {
            self.append(Opcode::Brif, Type::I32, &[condition], Aux::Targets(targets));
            return;
        };
        let (a, b) = (self.pair(a), self.pair(b));
        let (high, low) = match self.halves(compare, a, b) {
            Halves::One(compare, a, b) => return self.branch_on(compare, a, b, targets),
            Halves::Both(high, low) => (high, low),
        };
        let [then, otherwise] = &targets[..] else { return };
        let (differ, equal) = (self.add_block(), self.add_block());
        self.branch_on(high, a.high, b.high, vec![then.clone(), BlockCall::new(differ, &[])]);
        self.current = differ;
        self.branch_on(IntCompare::Ne, a.high, b.high, vec![otherwise.clone(), BlockCall::new(equal, &[])]);
        self.current = equal;
        self.branch_on(low, a.low, b.low, targets);
    }

    fn branch_on(&mut self, compare: IntCompare, a: Value, b: Value, targets: Vec<BlockCall>) {
        let condition = self.icmp(compare, a, b);
        self.append(Opcode::Brif, Type::I32, &[condition], Aux::Targets(targets));
    }

    /// A block that is laid out behind the one that is being rewritten, in the same region.
    fn add_block(&mut self) -> Block {
        let BlockData { region, cold, .. } = self.function.blocks[self.start];
        let block = self.function.blocks.push(BlockData { region, cold, ..BlockData::default() });
        self.added[self.start].push(block);
        block
    }
}
