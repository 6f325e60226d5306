//! Array bounds check removal: a check goes if the branches and checks on the way to it prove index < length.
//!
//! Facts are comparisons that hold where a block is entered, found by walking up the dominator tree when asked. What is
//! proved of a loop's counter is proved for its first value and for the step from each iteration to the next. All
//! reasoning is about numbers that do not wrap: where one might, the proof fails.

use super::rewrite::apply_aliases;
use crate::control_flow::ControlFlow;
use crate::entity::{Block, Inst, Value};
use crate::function::{Function, ValueDef};
use crate::instruction::{Alias, Aux, IntCompare, MemoryFlags, Opcode};
use crate::pass_manager::{Level, Pass, PassContext};
use crate::types::{Access, Type};
use smallvec::SmallVec;

/// The pass.
pub static PASS: Pass = Pass {
    name: "bounds-check-removal",
    mono_aliases: &["abcrem"],
    default_level: Level::Default,
    run: |function, context: &mut PassContext<'_>| run(function, &mut context.scratch.control_flow),
};

/// How many dominators are asked for facts.
const MAX_WALK: usize = 32;
/// How deep a proof may go.
const MAX_DEPTH: u32 = 6;
/// How many of the latest checks are remembered as facts.
const MAX_CHECKS: usize = 16;

/// Runs the pass. True if anything changed.
pub fn run(function: &mut Function, control_flow: &mut ControlFlow) -> bool {
    apply_aliases(function);
    control_flow.ensure(function);
    let lengths = name_new_lengths(function);
    let mut changed = lengths;
    let mut passed: Vec<(Block, Value, Value)> = Vec::new();
    for index in 0..control_flow.reverse_post_order().len() {
        let block = control_flow.reverse_post_order()[index];
        // A copy, for a proof may ask for the block's terminator.
        let mut insts = function.blocks[block].insts.clone();
        let before = insts.len();
        insts.retain(|&inst| {
            let instruction = &function.insts[inst];
            if instruction.opcode != Opcode::BoundsCheck {
                return true;
            }
            let (index, length) = (instruction.args[0], instruction.args[1]);
            let prover = Prover { function, control_flow, passed: &passed };
            let place = Place { block, edge: None };
            let mut assumed = SmallVec::new();
            if prover.is_checked(index, length, block)
                || (prover.is_length(length)
                    && prover.is_not_negative(index, place, MAX_DEPTH, &mut assumed)
                    && prover.is_less(index, length, place, MAX_DEPTH))
            {
                return false;
            }
            if passed.len() == MAX_CHECKS {
                passed.remove(0);
            }
            passed.push((block, index, length));
            true
        });
        changed |= insts.len() != before;
        function.blocks[block].insts = insts;
    }
    if lengths {
        apply_aliases(function);
    }
    changed
}

/// The length of an array just made is the number that it was made with. True if there was one.
fn name_new_lengths(function: &mut Function) -> bool {
    let mut changed = false;
    for index in 0..function.layout.len() {
        let block = function.layout[index];
        for place in 0..function.blocks[block].insts.len() {
            let inst = function.blocks[block].insts[place];
            if !is_length_load(function, inst) {
                continue;
            }
            let array = function.insts[inst].args[0];
            let Some(made) = function.def_inst(array).map(|inst| &function.insts[inst]) else { continue };
            if made.opcode != Opcode::NewArray {
                continue;
            }
            let Some(number) = function.def_inst(made.args[1]).map(|inst| &function.insts[inst]) else { continue };
            let result = function.result(inst);
            let original = match (number.opcode, &number.aux) {
                (Opcode::Sext, _) => number.args[0],
                // The array is there, so its length was a valid one.
                (Opcode::Iconst, &Aux::Int(value)) if i32::try_from(value).is_ok() => {
                    let instruction = &mut function.insts[inst];
                    instruction.opcode = Opcode::Iconst;
                    instruction.args.clear();
                    instruction.aux = Aux::Int(value);
                    changed = true;
                    continue;
                }
                _ => continue,
            };
            if function.value_type(original) == function.value_type(result) && function.resolve(original) != result {
                function.alias(result, original);
                changed = true;
            }
        }
    }
    changed
}

fn is_length_load(function: &Function, inst: Inst) -> bool {
    let instruction = &function.insts[inst];
    instruction.opcode == Opcode::Load
        && matches!(&instruction.aux, Aux::Memory(memory) if memory.alias == Alias::Header
            && memory.access == Access::Full(Type::I32)
            && memory.flags.contains(MemoryFlags::READ_ONLY)
            && !memory.flags.contains(MemoryFlags::VOLATILE))
}

/// Where something is to be proved: in a block, or at the end of a block on the edge that its branch takes to another.
#[derive(Clone, Copy)]
struct Place {
    block: Block,
    edge: Option<Block>,
}

/// `left compare right`
#[derive(Clone, Copy)]
struct Fact {
    compare: IntCompare,
    left: Value,
    right: Value,
}

struct Prover<'a> {
    function: &'a Function,
    control_flow: &'a ControlFlow,
    passed: &'a [(Block, Value, Value)],
}

impl Prover<'_> {
    fn resolve(&self, value: Value) -> Value {
        self.function.resolve(value)
    }

    fn constant(&self, value: Value) -> Option<i64> {
        self.function.int_constant(value)
    }

    /// `value` as another one plus a constant. Whether the addition wraps is for the caller to find out.
    fn sum(&self, value: Value) -> (Value, i64) {
        let value = self.resolve(value);
        let Some(inst) = self.function.def_inst(value) else { return (value, 0) };
        let instruction = &self.function.insts[inst];
        let sign = match instruction.opcode {
            Opcode::Iadd => 1,
            Opcode::Isub => -1,
            _ => return (value, 0),
        };
        match self.constant(instruction.args[1]) {
            // Of a modest size, so that sums of two of them do not wrap either.
            Some(constant) if constant.unsigned_abs() <= 1 << 20 => (self.resolve(instruction.args[0]), sign * constant),
            _ => (value, 0),
        }
    }

    /// What a branch's condition says on its way to `target`.
    fn edge_fact(&self, branch: Inst, target: Block) -> Option<Fact> {
        let instruction = &self.function.insts[branch];
        if instruction.opcode != Opcode::Brif {
            return None;
        }
        let [taken, other] = instruction.targets() else { return None };
        if taken.block == other.block {
            return None;
        }
        let comparison = &self.function.insts[self.function.def_inst(instruction.args[0])?];
        let Aux::IntCompare(compare) = comparison.aux else { return None };
        let compare = if taken.block == target { compare } else { compare.negate() };
        Some(Fact { compare, left: self.resolve(comparison.args[0]), right: self.resolve(comparison.args[1]) })
    }

    /// Asks for each fact that holds at `place` whether it is enough. Each is given in both directions.
    fn any_fact(&self, place: Place, mut is_enough: impl FnMut(Fact) -> bool) -> bool {
        let mut ask =
            |fact: Fact| is_enough(fact) || is_enough(Fact { compare: fact.compare.swap(), left: fact.right, right: fact.left });
        if let Some(target) = place.edge {
            let branch = self.function.terminator(place.block);
            if self.edge_fact(branch, target).is_some_and(&mut ask) {
                return true;
            }
        }
        let mut block = place.block;
        for _ in 0..MAX_WALK {
            if let [(_, branch)] = *self.control_flow.predecessors(block) {
                if !self.control_flow.roots().contains(&block) && self.edge_fact(branch, block).is_some_and(&mut ask) {
                    return true;
                }
            }
            match self.control_flow.immediate_dominator(block) {
                Some(dominator) => block = dominator,
                None => return false,
            }
        }
        false
    }

    /// Whether an equal or stronger check was passed before.
    fn is_checked(&self, index: Value, length: Value, block: Block) -> bool {
        let constant = self.constant(index).filter(|&constant| constant >= 0);
        self.passed.iter().any(|&(place, other, other_length)| {
            let covers =
                other == index || constant.is_some_and(|constant| self.constant(other).is_some_and(|other| other >= constant));
            other_length == length && covers && self.control_flow.dominates(place, block)
        })
    }

    /// Whether `value` is an array's length or a constant that could be one: not negative in any case.
    fn is_length(&self, value: Value) -> bool {
        match self.function.def_inst(value) {
            Some(inst) => is_length_load(self.function, inst) || self.constant(value).is_some_and(|constant| constant >= 0),
            None => false,
        }
    }

    /// The sources of a block parameter, with the edges that they come on.
    fn sources(&self, value: Value) -> Option<SmallVec<[(Value, Place); 4]>> {
        let ValueDef::Param(block, index) = self.function.values[value].def else { return None };
        if self.control_flow.roots().contains(&block) || !self.control_flow.is_reachable(block) {
            return None;
        }
        let mut sources = SmallVec::new();
        for &(predecessor, branch) in self.control_flow.predecessors(block) {
            for target in self.function.insts[branch].targets().iter().filter(|target| target.block == block) {
                let source = self.resolve(target.args[index as usize]);
                sources.push((source, Place { block: predecessor, edge: Some(block) }));
            }
        }
        Some(sources)
    }

    /// Whether `value >= 0`, signed, at `place`. `assumed`: parameters for which that is being proved, which may count on it
    /// for the iteration before.
    fn is_not_negative(&self, value: Value, place: Place, depth: u32, assumed: &mut SmallVec<[Value; 4]>) -> bool {
        let value = self.resolve(value);
        if assumed.contains(&value) {
            return true;
        }
        if let Some(constant) = self.constant(value) {
            return constant >= 0;
        }
        if depth == 0 {
            return false;
        }
        if self.is_length(value) || self.passed_for(value, place) {
            return true;
        }
        let by_fact = self.any_fact(place, |fact| {
            fact.left == value
                && match fact.compare {
                    IntCompare::Sge | IntCompare::Eq => self.is_plainly_at_least(fact.right, 0),
                    IntCompare::Sgt => self.is_plainly_at_least(fact.right, -1),
                    // Below a number that is not negative when it is read as signed.
                    IntCompare::Ult | IntCompare::Ule => self.is_plainly_at_least(fact.right, 0),
                    _ => false,
                }
        });
        if by_fact {
            return true;
        }
        if let Some(sources) = self.sources(value) {
            let before = assumed.len();
            assumed.push(value);
            let all = sources.iter().all(|&(source, place)| self.is_not_negative(source, place, depth - 1, assumed));
            if !all {
                assumed.truncate(before);
            }
            return all;
        }
        let Some(inst) = self.function.def_inst(value) else { return false };
        let instruction = &self.function.insts[inst];
        let args = &instruction.args;
        let bits = self.function.bits(instruction.ty);
        match instruction.opcode {
            Opcode::Zext8 | Opcode::Zext16 | Opcode::Icmp | Opcode::Fcmp => true,
            Opcode::Load => {
                matches!(&instruction.aux, Aux::Memory(memory) if matches!(memory.access, Access::U8 | Access::U16))
            }
            Opcode::Iand => args.iter().any(|&arg| self.is_not_negative(arg, place, depth - 1, assumed)),
            Opcode::Ushr => self.constant(args[1]).is_some_and(|amount| amount as u32 & (bits - 1) != 0),
            Opcode::Sshr => self.is_not_negative(args[0], place, depth - 1, assumed),
            Opcode::Select => args[1..].iter().all(|&arg| self.is_not_negative(arg, place, depth - 1, assumed)),
            // One more than a number that is below another one cannot wrap.
            Opcode::Iadd if self.constant(args[1]) == Some(1) => {
                let inner = self.resolve(args[0]);
                self.is_below_something(inner, place) && self.is_not_negative(inner, place, depth - 1, assumed)
            }
            _ => false,
        }
    }

    /// Whether a check with `value` as index was passed: indexes below a length are not negative.
    fn passed_for(&self, value: Value, place: Place) -> bool {
        self.passed.iter().any(|&(block, index, length)| {
            index == value && self.is_length(length) && self.control_flow.dominates(block, place.block)
        })
    }

    /// Without a proof of its own.
    fn is_plainly_at_least(&self, value: Value, least: i64) -> bool {
        match self.constant(value) {
            Some(constant) => constant >= least,
            None => least <= 0 && self.is_length(value),
        }
    }

    /// Whether `value` is less than some other number of its type, signed.
    fn is_below_something(&self, value: Value, place: Place) -> bool {
        self.passed_for(value, place)
            || self.any_fact(place, |fact| {
                let below = match fact.compare {
                    IntCompare::Slt => true,
                    IntCompare::Ult => self.is_plainly_at_least(fact.right, 0),
                    IntCompare::Sle => self.constant(fact.right).is_some_and(|limit| limit < i64::from(i32::MAX)),
                    _ => false,
                };
                fact.left == value && below
            })
    }

    /// Whether `value < length`, signed, at `place`, for a `length` that is not negative.
    fn is_less(&self, value: Value, length: Value, place: Place, depth: u32) -> bool {
        let value = self.resolve(value);
        let limit = self.constant(length);
        if let (Some(constant), Some(limit)) = (self.constant(value), limit) {
            return constant < limit;
        }
        if limit.is_some_and(|limit| self.maximum(value).is_some_and(|maximum| maximum < limit)) {
            return true;
        }
        if depth == 0 {
            return false;
        }
        // value = base + added; a fact `base < length + room` is enough if room + added <= 0.
        let (base, added) = self.sum(value);
        let falls = added < 0;
        if falls && !self.is_not_negative(base, place, depth - 1, &mut SmallVec::new()) {
            // It might wrap to a large number.
            return false;
        }
        let checked = self.passed.iter().any(|&(block, index, other)| {
            index == base && other == length && added <= 0 && self.control_flow.dominates(block, place.block)
        });
        if checked || (falls && self.resolve(length) == base) {
            return true;
        }
        let by_fact = self.any_fact(place, |fact| {
            if fact.left != base {
                return false;
            }
            let strict = match fact.compare {
                IntCompare::Slt => 0,
                IntCompare::Sle => 1,
                // The right side is read as signed below, so it must be the same number both ways.
                IntCompare::Ult if self.is_plainly_at_least(fact.right, 0) => 0,
                IntCompare::Ule if self.is_plainly_at_least(fact.right, 0) => 1,
                _ => return false,
            };
            if let (Some(right), Some(limit)) = (self.constant(fact.right), limit) {
                return right.saturating_add(strict + added) <= limit;
            }
            let (right, room) = self.sum(fact.right);
            // length + room does not wrap for room <= 0.
            let same = self.resolve(length) == right && room <= 0 && room + strict + added <= 0;
            // base < right and right <= length.
            same || (room == 0
                && strict == 0
                && added <= 0
                && self.constant(fact.right).is_none()
                && self.is_at_most(fact.right, length, place))
        });
        if by_fact {
            return true;
        }
        // A counter that only falls: below at first, and less from then on.
        if added == 0 {
            if let Some(sources) = self.sources(value) {
                return sources.iter().all(|&(source, place)| {
                    let (inner, step) = self.sum(source);
                    let falls = inner == value
                        && step <= 0
                        && (step == 0 || self.is_not_negative(inner, place, depth - 1, &mut SmallVec::new()));
                    falls || self.is_less(source, length, place, depth.saturating_sub(3))
                });
            }
        }
        false
    }

    /// Whether a fact says `value <= length`, signed.
    fn is_at_most(&self, value: Value, length: Value, place: Place) -> bool {
        let length = self.resolve(length);
        value == length
            || self.any_fact(place, |fact| {
                fact.left == value
                    && fact.right == length
                    && matches!(fact.compare, IntCompare::Slt | IntCompare::Sle | IntCompare::Eq)
            })
    }

    /// An upper bound that is plain to see, for a value that is not negative.
    fn maximum(&self, value: Value) -> Option<i64> {
        let instruction = &self.function.insts[self.function.def_inst(value)?];
        match (instruction.opcode, &instruction.aux) {
            (Opcode::Zext8, _) => Some(0xff),
            (Opcode::Zext16, _) => Some(0xffff),
            (Opcode::Icmp | Opcode::Fcmp, _) => Some(1),
            (Opcode::Load, Aux::Memory(memory)) if memory.access == Access::U8 => Some(0xff),
            (Opcode::Load, Aux::Memory(memory)) if memory.access == Access::U16 => Some(0xffff),
            (Opcode::Iand, _) => self.constant(instruction.args[1]).filter(|&mask| mask >= 0),
            (Opcode::Ushr, _) => {
                let bits = self.function.bits(instruction.ty);
                let amount = self.constant(instruction.args[1])? as u32 & (bits - 1);
                (amount > 0).then(|| (u64::MAX >> (64 - bits) >> amount) as i64)
            }
            _ => None,
        }
    }
}
